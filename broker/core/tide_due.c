/*  tide_due.c - what falls due when.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_due.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

void tide_due_free (tide_due_t *self)
{
    free (self->heap);
    free (self->places);
    *self = (tide_due_t){0};
}

static void put (tide_due_t *self, uint32_t place, tide_due_item_t item)
{
    self->heap[place] = item;
    self->places[item.handle] = place + 1;
}

static void sift_up (tide_due_t *self, uint32_t place)
{
    tide_due_item_t item = self->heap[place];
    while (place > 0 && item.due_ms < self->heap[(place - 1) / 2].due_ms) {
        put (self, place, self->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put (self, place, item);
}

static void sift_down (tide_due_t *self, uint32_t place)
{
    tide_due_item_t item = self->heap[place];
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child >= self->count)
            break;
        if (child + 1 < self->count && self->heap[child + 1].due_ms < self->heap[child].due_ms)
            child++;
        if (self->heap[child].due_ms >= item.due_ms)
            break;
        put (self, place, self->heap[child]);
        place = child;
    }
    put (self, place, item);
}

/*  What is at the place may have to go either way. */
static void settle (tide_due_t *self, uint32_t place)
{
    uint32_t handle = self->heap[place].handle;
    sift_up (self, place);
    sift_down (self, self->places[handle] - 1);
}

static void grow (tide_due_t *self, uint32_t handle)
{
    if (handle >= self->place_capacity) {
        uint32_t capacity = self->place_capacity > 0 ? self->place_capacity : 64;
        while (capacity <= handle)
            capacity *= 2;
        self->places = tide_realloc (self->places, capacity * sizeof *self->places);
        memset (self->places + self->place_capacity, 0,
                (capacity - self->place_capacity) * sizeof *self->places);
        self->place_capacity = capacity;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        self->heap = tide_realloc (self->heap, self->capacity * sizeof *self->heap);
    }
}

void tide_due_set (tide_due_t *self, uint32_t handle, uint64_t due_ms)
{
    grow (self, handle);
    uint32_t place = self->places[handle];
    place = place > 0 ? place - 1 : self->count++;
    put (self, place, (tide_due_item_t){due_ms, handle});
    settle (self, place);
}

void tide_due_clear (tide_due_t *self, uint32_t handle)
{
    if (handle >= self->place_capacity || self->places[handle] == 0)
        return;
    uint32_t place = self->places[handle] - 1;
    self->places[handle] = 0;
    tide_due_item_t last = self->heap[--self->count];
    if (place == self->count)
        return;
    put (self, place, last);
    settle (self, place);
}
