/*  tide_payload.c - immutable, reference-counted bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_payload.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

struct tide_payload {
    size_t references;
    size_t size;
    uint8_t data[];
};

tide_payload_t *tide_payload_new (tide_bytes_t bytes)
{
    tide_payload_t *self = tide_alloc (sizeof *self + bytes.size);
    self->references = 1;
    self->size = bytes.size;
    if (bytes.size > 0)
        memcpy (self->data, bytes.data, bytes.size);
    return self;
}

tide_payload_t *tide_payload_ref (tide_payload_t *self)
{
    self->references++;
    return self;
}

void tide_payload_unref (tide_payload_t **self_p)
{
    tide_payload_t *self = *self_p;
    *self_p = NULL;
    if (self && --self->references == 0)
        free (self);
}

tide_bytes_t tide_payload_bytes (const tide_payload_t *self)
{
    return (tide_bytes_t){self->data, self->size};
}
