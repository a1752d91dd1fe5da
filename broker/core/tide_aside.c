/*  tide_aside.c - events that outlived their segment.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_aside.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

void tide_aside_free (tide_aside_t *self)
{
    free (self->items);
    free (self->forgotten);
    *self = (tide_aside_t){0};
}

tide_index_entry_t *tide_aside_add (tide_aside_t *self, uint64_t seq,
                                    const tide_index_entry_t *entry)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity + self->capacity / 2 : 64;
        self->items = tide_realloc (self->items, self->capacity * sizeof *self->items);
    }
    tide_assert (self->count == 0 || self->items[self->count - 1].seq < seq);
    self->items[self->count] = (tide_aside_item_t){.seq = seq, .entry = *entry};
    return &self->items[self->count++].entry;
}

size_t tide_aside_above (const tide_aside_t *self, uint64_t seq)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->items[middle].seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

tide_index_entry_t *tide_aside_find (const tide_aside_t *self, uint64_t seq)
{
    size_t place = tide_aside_above (self, seq);
    if (place == 0 || self->items[place - 1].seq != seq || self->items[place - 1].entry.topic == 0)
        return NULL;
    return &self->items[place - 1].entry;
}

static void compact (tide_aside_t *self)
{
    size_t count = 0;
    for (size_t at = 0; at < self->count; at++)
        if (self->items[at].entry.topic)
            self->items[count++] = self->items[at];
    self->count = count;
    self->holes = 0;
}

void tide_aside_remove (tide_aside_t *self, uint64_t seq)
{
    tide_index_entry_t *entry = tide_aside_find (self, seq);
    tide_assert (entry);
    *entry = (tide_index_entry_t){0};
    tide_aside_forget (self, seq);
    if (++self->holes > 64 && self->holes > self->count / 2)
        compact (self);
}

void tide_aside_forget (tide_aside_t *self, uint64_t seq)
{
    if (self->forgotten_count == self->forgotten_capacity) {
        self->forgotten_capacity = self->forgotten_capacity > 0 ? self->forgotten_capacity * 2 : 64;
        self->forgotten =
            tide_realloc (self->forgotten, self->forgotten_capacity * sizeof *self->forgotten);
    }
    self->forgotten[self->forgotten_count++] = seq;
}

void tide_aside_forgot (tide_aside_t *self, size_t count)
{
    self->forgotten_count -= count;
    memmove (self->forgotten, self->forgotten + count,
             self->forgotten_count * sizeof *self->forgotten);
}
