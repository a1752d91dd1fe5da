/*  tide_payload.h - immutable, reference-counted bytes.
 *
 *  What many hold at once (a page of history that several sessions read, a fan-out message) lies
 *  here once. The count is not atomic: a payload belongs to one thread, as all state does.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PAYLOAD_H
#define TIDE_PAYLOAD_H

#include "tide_wire.h"

typedef struct tide_payload tide_payload_t;

/*  Copies the bytes. The caller holds the one reference. */
tide_payload_t *tide_payload_new (tide_bytes_t bytes);

/*  Returns self, with one more reference for the caller. */
tide_payload_t *tide_payload_ref (tide_payload_t *self);

/*  Gives the caller's reference back and sets it to NULL; the last one frees. NULL is tolerated. */
void tide_payload_unref (tide_payload_t **self_p);

/*  The bytes, valid while a reference is held. */
tide_bytes_t tide_payload_bytes (const tide_payload_t *self);

#endif
