/*  tide_group_window.c - what a group has read and not yet got done with.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_window.h"

#include "tide_alloc.h"

#include <stdlib.h>

void tide_group_window_free (tide_group_window_t *self)
{
    free (self->items);
    free (self->before);
    *self = (tide_group_window_t){0};
}

void tide_group_window_load (tide_group_window_t *self, const tide_grouped_t *grouped,
                             uint64_t written_at)
{
    tide_assert (self->count == 0);
    self->floor = self->read_to = grouped->floor < written_at ? grouped->floor : written_at - 1;
    uint32_t count = (uint32_t) (grouped->acked.size / 4);
    self->before = tide_realloc (self->before, (count + 1) * sizeof *self->before);
    self->before_count = 0;
    uint64_t last = self->floor;
    for (uint32_t at = 0; at < count; at++) {
        uint64_t seq = grouped->floor + tide_load_u32 (grouped->acked.data + at * 4);
        if (seq > last && seq < written_at) /* or it is not what a broker has written */
            self->before[self->before_count++] = last = seq;
    }
}

/*  The place of the first one above seq among those that were acknowledged before. */
static uint32_t before_above (const tide_group_window_t *self, uint64_t seq)
{
    uint32_t low = 0, high = self->before_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->before[middle] <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tide_group_window_knows_acked (const tide_group_window_t *self, uint64_t seq)
{
    uint32_t above = before_above (self, seq);
    return above > 0 && self->before[above - 1] == seq;
}

tide_group_item_t *tide_group_window_at (const tide_group_window_t *self, uint32_t place)
{
    uint32_t at = self->start + place;
    return self->items[at >= self->capacity ? at - self->capacity : at];
}

static void grow (tide_group_window_t *self)
{
    uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 64;
    tide_group_item_t **items = tide_alloc (capacity * sizeof *items);
    for (uint32_t at = 0; at < self->count; at++)
        items[at] = tide_group_window_at (self, at);
    free (self->items);
    self->items = items;
    self->capacity = capacity;
    self->start = 0;
}

void tide_group_window_push (tide_group_window_t *self, tide_group_item_t *item)
{
    tide_assert (item->seq > self->read_to);
    if (self->count == self->capacity)
        grow (self);
    uint32_t at = self->start + self->count++;
    self->items[at >= self->capacity ? at - self->capacity : at] = item;
    self->read_to = item->seq;
}

tide_group_item_t *tide_group_window_find (const tide_group_window_t *self, uint64_t seq)
{
    uint32_t low = 0, high = self->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        tide_group_item_t *item = tide_group_window_at (self, middle);
        if (item->seq == seq)
            return item;
        if (item->seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void tide_group_window_read (tide_group_window_t *self, uint64_t upto)
{
    if (self->read_to < upto)
        self->read_to = upto;
    if (self->count == 0)
        self->floor = self->read_to;
}

tide_group_item_t *tide_group_window_shift (tide_group_window_t *self)
{
    tide_group_item_t *item = self->count > 0 ? tide_group_window_at (self, 0) : NULL;
    if (item && item->state != TIDE_ITEM_ACKED) {
        self->floor = item->seq - 1;
        return NULL;
    }
    if (!item) {
        self->floor = self->read_to;
        return NULL;
    }
    self->floor = item->seq;
    self->start = self->start + 1 == self->capacity ? 0 : self->start + 1;
    self->count--;
    return item;
}

tide_group_item_t *tide_group_window_unread (tide_group_window_t *self)
{
    tide_group_item_t *item = self->count > 0 ? tide_group_window_at (self, self->count - 1) : NULL;
    if (!item || item->state != TIDE_ITEM_WAITING || item->attempt > 0)
        return NULL;
    self->count--;
    self->read_to = item->seq - 1;
    return item;
}

uint32_t tide_group_window_room (const tide_group_window_t *self)
{
    uint32_t unread = self->before_count - before_above (self, self->read_to);
    uint32_t used = self->count + unread;
    return used < TIDE_GROUP_WINDOW_MAX ? TIDE_GROUP_WINDOW_MAX - used : 0;
}

static bool is_over (const tide_group_item_t *item)
{
    return item->state == TIDE_ITEM_ACKED || (item->state == TIDE_ITEM_DEAD && item->is_said);
}

uint64_t tide_group_window_write (const tide_group_window_t *self, tide_buffer_t *acked)
{
    uint32_t begin = 0;
    while (begin < self->count && is_over (tide_group_window_at (self, begin)))
        begin++;
    uint64_t floor =
        begin < self->count ? tide_group_window_at (self, begin)->seq - 1 : self->read_to;
    for (uint32_t at = begin; at < self->count; at++) {
        const tide_group_item_t *item = tide_group_window_at (self, at);
        if (is_over (item))
            tide_put_u32 (acked, (uint32_t) (item->seq - floor));
    }
    for (uint32_t at = before_above (self, self->read_to); at < self->before_count; at++)
        tide_put_u32 (acked, (uint32_t) (self->before[at] - floor));
    return floor;
}
