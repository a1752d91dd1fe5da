/*  tide_group_items.c - the events in a group's window: where each is, and how it moves.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_group_parts.h"

#include <stdlib.h>
#include <utlist.h>

void tide_item_become (tide_groups_t *self, tide_group_item_t *item, tide_item_state_t state)
{
    self->counts[item->state]--;
    self->counts[state]++;
    item->state = state;
}

static uint32_t take_handle (tide_groups_t *self, tide_group_item_t *item)
{
    uint32_t handle;
    if (self->free_count > 0)
        handle = self->free[--self->free_count];
    else {
        if (self->used == self->capacity) {
            self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
            self->items = tide_realloc (self->items, self->capacity * sizeof *self->items);
            self->free = tide_realloc (self->free, self->capacity * sizeof *self->free);
        }
        handle = self->used++;
    }
    self->items[handle] = item;
    return handle;
}

tide_group_item_t *tide_item_new (tide_groups_t *self, tide_group_t *group, uint64_t seq,
                                  tide_item_state_t state)
{
    tide_group_item_t *item = tide_alloc (sizeof *item);
    item->group = group;
    item->seq = seq;
    item->state = state;
    item->handle = take_handle (self, item);
    self->counts[state]++;
    tide_group_window_push (&group->window, item);
    return item;
}

void tide_item_drop_record (tide_groups_t *self, tide_group_item_t *item)
{
    self->size -= item->record.size;
    item->group->size -= item->record.size;
    free ((void *) item->record.data);
    item->record = (tide_bytes_t){0};
}

void tide_item_keep_record (tide_groups_t *self, tide_group_item_t *item, tide_bytes_t record)
{
    item->record = tide_core_copy (record);
    self->size += record.size;
    item->group->size += record.size;
}

/*  Out of the window already. */
void tide_item_free (tide_groups_t *self, tide_group_item_t *item)
{
    tide_item_let_go (self, item);
    tide_item_drop_record (self, item);
    self->free[self->free_count++] = item->handle;
    self->items[item->handle] = NULL;
    self->counts[item->state]--;
    free (item->message);
    free (item);
}

/*  Out of its group's list, or its member's hands, and without a time. */
void tide_item_let_go (tide_groups_t *self, tide_group_item_t *item)
{
    tide_due_clear (&self->due, item->handle);
    if (item->state == TIDE_ITEM_WAITING && item->prev) {
        DL_DELETE (item->group->waiting, item);
        item->prev = item->next = NULL;
        item->group->waiting_count--;
    }
    if (item->member) {
        DL_DELETE2 (item->member->items, item, hand_prev, hand_next);
        item->member->in_hand--;
        item->member = NULL;
    }
}

/*  Among those that wait, in order of sequence: what comes back is near the front. */
void tide_item_wait (tide_groups_t *self, tide_group_item_t *item)
{
    tide_group_t *group = item->group;
    tide_item_let_go (self, item);
    tide_item_become (self, item, TIDE_ITEM_WAITING);
    group->waiting_count++;
    tide_group_item_t *next = group->waiting;
    if (next && next->prev->seq < item->seq)
        next = NULL;
    while (next && next->seq < item->seq)
        next = next->next;
    if (next)
        DL_PREPEND_ELEM (group->waiting, next, item);
    else
        DL_APPEND (group->waiting, item);
}

/*  The floor moves up to what is not acknowledged. */
void tide_group_settle (tide_groups_t *self, tide_group_t *group)
{
    tide_group_item_t *item;
    while ((item = tide_group_window_shift (&group->window)) != NULL)
        tide_item_free (self, item);
}
