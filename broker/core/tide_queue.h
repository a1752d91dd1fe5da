/*  tide_queue.h - messages that wait for their turn: first in, first out, bounded.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_QUEUE_H
#define TIDE_QUEUE_H

#include "tide_wire.h"

typedef struct {
    tide_bytes_t peer, bytes; /* owned */
} tide_queue_item_t;

/*  Set the limits; free with tide_queue_free. */
typedef struct {
    size_t count_max, size_max;
    tide_queue_item_t *items;
    size_t start, count, capacity;
    size_t size; /* bytes of the messages */
} tide_queue_t;

void tide_queue_free (tide_queue_t *self);

/*  Copies both in. False if a limit would be passed; one message is taken however large it is. */
bool tide_queue_push (tide_queue_t *self, tide_bytes_t peer, tide_bytes_t bytes);
/*  The next one, or NULL; valid until it is popped. */
const tide_queue_item_t *tide_queue_front (const tide_queue_t *self);
void tide_queue_pop (tide_queue_t *self);

#endif
