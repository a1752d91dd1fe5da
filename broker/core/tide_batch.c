/*  tide_batch.c - what the broker asks of a log, and what it gets back.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_batch.h"

#include "tide_alloc.h"

#include <stdlib.h>

tide_log_batch_t *tide_log_batch_new (void)
{
    return tide_alloc (sizeof (tide_log_batch_t));
}

void tide_log_batch_destroy (tide_log_batch_t **self_p)
{
    tide_log_batch_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    tide_buffer_free (&self->records);
    tide_buffer_free (&self->lost);
    free (self->keep);
    free (self->forget);
    free (self);
}

void tide_log_batch_clear (tide_log_batch_t *self)
{
    tide_buffer_t records = self->records;
    tide_buffer_t lost = self->lost;
    records.size = 0;
    lost.size = 0;
    free (self->keep);
    free (self->forget);
    *self = (tide_log_batch_t){.records = records, .lost = lost};
}

tide_log_fetch_t *tide_log_fetch_new (void)
{
    return tide_alloc (sizeof (tide_log_fetch_t));
}

void tide_log_fetch_destroy (tide_log_fetch_t **self_p)
{
    tide_log_fetch_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    tide_buffer_free (&self->records);
    free (self->seqs);
    free (self->missing);
    free (self->damaged);
    free (self);
}
