/*  tide_outbox.c - what is to be done, in order.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_outbox.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  After a burst the arena is not kept at its size. */
enum { ARENA_KEPT = 16 << 20 };

static void drop_items (tide_outbox_t *self)
{
    for (size_t at = self->taken; at < self->count; at++)
        tide_log_fetch_destroy (&self->items[at].fetch);
    self->taken = self->count = 0;
}

void tide_outbox_free (tide_outbox_t *self)
{
    drop_items (self);
    tide_buffer_free (&self->arena);
    free (self->items);
    *self = (tide_outbox_t){0};
}

/*  Everything was taken: begin again at the front. */
static void rewind_arena (tide_outbox_t *self)
{
    if (self->taken < self->count)
        return;
    self->taken = self->count = 0;
    self->arena.size = 0;
    if (self->arena.capacity > ARENA_KEPT)
        tide_buffer_free (&self->arena);
}

static void push (tide_outbox_t *self, tide_outbox_item_t item)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        self->items = tide_realloc (self->items, self->capacity * sizeof *self->items);
    }
    self->items[self->count++] = item;
}

void tide_outbox_send (tide_outbox_t *self, tide_bytes_t peer, const tide_message_t *message)
{
    rewind_arena (self);
    tide_outbox_item_t item = {.kind = TIDE_BROKER_SEND};
    item.peer_at = self->arena.size;
    item.peer_size = peer.size;
    tide_buffer_append_bytes (&self->arena, peer);
    item.at = self->arena.size;
    tide_message_encode (&self->arena, message);
    item.size = self->arena.size - item.at;
    push (self, item);
}

void tide_outbox_send_again (tide_outbox_t *self, tide_bytes_t peer)
{
    tide_assert (!tide_outbox_is_empty (self));
    tide_outbox_item_t item = self->items[self->count - 1];
    tide_assert (item.kind == TIDE_BROKER_SEND);
    item.peer_at = self->arena.size;
    item.peer_size = peer.size;
    tide_buffer_append_bytes (&self->arena, peer);
    push (self, item);
}

tide_buffer_t *tide_outbox_begin (tide_outbox_t *self)
{
    rewind_arena (self);
    self->begun = self->arena.size;
    return &self->arena;
}

void tide_outbox_end (tide_outbox_t *self, bool is_volatile)
{
    push (self, (tide_outbox_item_t){.kind = TIDE_BROKER_PUBLISH,
                                     .is_volatile = is_volatile,
                                     .at = self->begun,
                                     .size = self->arena.size - self->begun});
}

void tide_outbox_fetch (tide_outbox_t *self, tide_log_fetch_t *fetch)
{
    rewind_arena (self);
    push (self, (tide_outbox_item_t){.kind = TIDE_BROKER_FETCH, .fetch = fetch});
}

void tide_outbox_stop (tide_outbox_t *self, tide_status_t status)
{
    drop_items (self);
    rewind_arena (self);
    push (self, (tide_outbox_item_t){.kind = TIDE_BROKER_STOP, .status = status});
}

bool tide_outbox_is_empty (const tide_outbox_t *self)
{
    return self->taken == self->count;
}

bool tide_outbox_next (tide_outbox_t *self, tide_broker_action_t *action)
{
    if (tide_outbox_is_empty (self))
        return false;
    tide_outbox_item_t *item = &self->items[self->taken++];
    *action = (tide_broker_action_t){.kind = item->kind,
                                     .is_volatile = item->is_volatile,
                                     .fetch = item->fetch,
                                     .status = item->status};
    if (item->peer_size > 0)
        action->peer = (tide_bytes_t){self->arena.data + item->peer_at, item->peer_size};
    if (item->size > 0)
        action->bytes = (tide_bytes_t){self->arena.data + item->at, item->size};
    return true;
}
