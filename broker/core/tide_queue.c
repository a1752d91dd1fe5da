/*  tide_queue.c - messages that wait for their turn.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_queue.h"

#include "tide_alloc.h"

#include <stdlib.h>

void tide_queue_free (tide_queue_t *self)
{
    while (self->count > 0)
        tide_queue_pop (self);
    free (self->items);
    self->items = NULL;
    self->capacity = 0;
}

static void grow (tide_queue_t *self)
{
    size_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
    tide_queue_item_t *items = tide_alloc (capacity * sizeof *items);
    for (size_t at = 0; at < self->count; at++)
        items[at] = self->items[(self->start + at) % self->capacity];
    free (self->items);
    self->items = items;
    self->start = 0;
    self->capacity = capacity;
}

static tide_bytes_t copy (tide_bytes_t bytes)
{
    return (tide_bytes_t){(const uint8_t *) tide_copy (bytes.data, bytes.size), bytes.size};
}

bool tide_queue_push (tide_queue_t *self, tide_bytes_t peer, tide_bytes_t bytes)
{
    bool fits = self->size <= self->size_max && bytes.size <= self->size_max - self->size;
    if (self->count >= self->count_max || (self->count > 0 && !fits))
        return false;
    if (self->count == self->capacity)
        grow (self);
    size_t at = (self->start + self->count++) % self->capacity;
    self->items[at] = (tide_queue_item_t){copy (peer), copy (bytes)};
    self->size += bytes.size;
    return true;
}

const tide_queue_item_t *tide_queue_front (const tide_queue_t *self)
{
    return self->count > 0 ? &self->items[self->start] : NULL;
}

void tide_queue_pop (tide_queue_t *self)
{
    tide_assert (self->count > 0);
    tide_queue_item_t *item = &self->items[self->start];
    self->size -= item->bytes.size;
    free ((void *) item->peer.data);
    free ((void *) item->bytes.data);
    self->start = (self->start + 1) % self->capacity;
    self->count--;
}
