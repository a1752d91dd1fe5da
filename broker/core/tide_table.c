/*  tide_table.c - a hash table of handles.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_table.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

static void place (tide_table_t *self, tide_slot_t slot)
{
    uint32_t at = slot.hash & self->mask;
    while (self->slots[at].handle)
        at = (at + 1) & self->mask;
    self->slots[at] = slot;
}

static void grow (tide_table_t *self)
{
    tide_slot_t *old = self->slots;
    uint32_t old_size = old ? self->mask + 1 : 0;
    uint32_t size = old ? old_size * 2 : 16;
    self->slots = tide_alloc (size * sizeof (tide_slot_t));
    self->mask = size - 1;
    for (uint32_t at = 0; at < old_size; at++)
        if (old[at].handle)
            place (self, old[at]);
    free (old);
}

void tide_table_insert (tide_table_t *self, uint32_t hash, uint32_t handle)
{
    tide_assert (handle != 0);
    if (!self->slots || self->count >= self->mask - self->mask / 4)
        grow (self);
    place (self, (tide_slot_t){hash, handle});
    self->count++;
}

void tide_table_remove (tide_table_t *self, uint32_t hash, uint32_t handle)
{
    tide_assert (self->slots);
    uint32_t hole = hash & self->mask;
    while (self->slots[hole].handle != handle) {
        tide_assert (self->slots[hole].handle);
        hole = (hole + 1) & self->mask;
    }
    /*  What follows in the run moves up into the hole, unless it stands before its own place. */
    for (uint32_t at = (hole + 1) & self->mask; self->slots[at].handle;
         at = (at + 1) & self->mask) {
        uint32_t home = self->slots[at].hash & self->mask;
        if (((at - home) & self->mask) < ((at - hole) & self->mask))
            continue;
        self->slots[hole] = self->slots[at];
        hole = at;
    }
    self->slots[hole] = (tide_slot_t){0};
    self->count--;
}

void tide_table_clear (tide_table_t *self)
{
    if (self->count > 0)
        memset (self->slots, 0, ((size_t) self->mask + 1) * sizeof (tide_slot_t));
    self->count = 0;
}

void tide_table_free (tide_table_t *self)
{
    free (self->slots);
    *self = (tide_table_t){0};
}
