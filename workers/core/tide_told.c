/*  tide_told.c - what waits to be told to a subscription's reader, and what he says of it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_subscriptions_internal.h"

#include <stdlib.h>
#include <string.h>

/*  What was not acknowledged is told again after so long. */
#define AGAIN_MS 1000u

/*  -- what is to be told ---------------------------------------------------------------------- */

tide_told_t *tide_told_new (tide_subscription_t *subscription, tide_told_kind_t kind, uint64_t seq,
                            uint64_t epoch, tide_bytes_t record)
{
    tide_told_t *told = tide_alloc (sizeof *told + record.size);
    told->subscription = subscription;
    told->handle = subscription->handle;
    told->kind = kind;
    told->seq = seq;
    told->epoch = epoch;
    told->size = record.size;
    if (record.size > 0) {
        memcpy (told->bytes, record.data, record.size);
        bool is_sound = tide_event_decode ((tide_bytes_t){told->bytes, record.size}, &told->event);
        tide_assert (is_sound); /* the message was decoded as a whole */
    }
    return told;
}

void tide_told_set_ready (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    bool is_ready = subscription->queue && !subscription->is_direct && !subscription->is_taken
                    && subscription->again_ms == 0;
    if (is_ready == subscription->is_ready)
        return;
    subscription->is_ready = is_ready;
    if (is_ready)
        DL_APPEND2 (self->ready, subscription, ready_prev, ready_next);
    else
        DL_DELETE2 (self->ready, subscription, ready_prev, ready_next);
}

void tide_told_put (tide_subscriptions_t *self, tide_told_t *told)
{
    tide_subscription_t *subscription = told->subscription;
    DL_APPEND (subscription->queue, told);
    subscription->count++;
    subscription->size += told->size;
    self->counters.waiting++;
    self->counters.waiting_size += told->size;
    self->counters.told += told->kind == TIDE_TOLD_EVENT;
    tide_told_set_ready (self, subscription);
}

void tide_told_say (tide_subscriptions_t *self, tide_subscription_t *subscription,
                    tide_told_kind_t kind, tide_status_t code, uint64_t seq)
{
    uint64_t epoch = tide_feed_epoch (self->feed);
    tide_told_t *told = tide_told_new (subscription, kind, seq, epoch, (tide_bytes_t){0});
    told->code = code;
    tide_told_put (self, told);
}

static tide_told_t *take_first (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    tide_told_t *told = subscription->queue;
    if (!told)
        return NULL;
    DL_DELETE (subscription->queue, told);
    subscription->count--;
    subscription->size -= told->size;
    self->counters.waiting--;
    self->counters.waiting_size -= told->size;
    return told;
}

void tide_told_drop (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    tide_told_t *told;
    while ((told = take_first (self, subscription)) != NULL)
        free (told);
    subscription->again_ms = 0;
    tide_told_set_ready (self, subscription);
}

bool tide_told_is_full (const tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    return subscription->count >= self->events_max || subscription->size >= TIDE_TOLD_SIZE_MAX;
}

bool tide_told_has_room (const tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    return subscription->count < self->events_max / 2
           && subscription->size < TIDE_TOLD_SIZE_MAX / 2;
}

void tide_told_drop_gathered (tide_subscription_t *subscription)
{
    while (subscription->gathered) {
        tide_told_t *told = subscription->gathered;
        DL_DELETE (subscription->gathered, told);
        free (told);
    }
    subscription->gathered_size = 0;
    subscription->part_of = 0;
    subscription->part = 0;
}

/*  -- to the reader --------------------------------------------------------------------------- */

static tide_told_t *take (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    tide_told_t *told = take_first (self, subscription);
    if (!told)
        return NULL;
    told->attempt++;
    subscription->is_taken = true;
    tide_told_set_ready (self, subscription);
    tide_subscription_set_asking (self, subscription);
    return told;
}

tide_told_t *tide_subscriptions_take (tide_subscriptions_t *self)
{
    return self->ready ? take (self, self->ready) : NULL;
}

tide_told_t *tide_subscription_take (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    return take (self, subscription);
}

void tide_subscriptions_let (tide_subscriptions_t *self, tide_told_t **told_p)
{
    tide_told_t *told = *told_p;
    *told_p = NULL;
    if (!told)
        return;
    tide_subscription_t *subscription = told->subscription;
    free (told);
    subscription->is_taken = false;
    if (subscription->is_removed) {
        tide_bookmark_leave (self->bookmarks, &subscription->bookmark);
        free (subscription);
    }
    else
        tide_told_set_ready (self, subscription);
}

static bool counts (const tide_told_t *told)
{
    return told->kind == TIDE_TOLD_JOINED
           || (told->kind == TIDE_TOLD_EVENT && (told->event.flags & TIDE_EVENT_VOLATILE) == 0);
}

static void acknowledge (tide_subscriptions_t *self, uint64_t now_ms, const tide_told_t *told)
{
    tide_bookmark_t *bookmark = told->subscription->bookmark;
    if (told->kind == TIDE_TOLD_JOINED) /* what stands was told before it, or nothing is between */
        tide_bookmark_ack_snapshot (self->bookmarks, bookmark, now_ms, told->epoch, told->seq);
    else
        tide_bookmark_ack (self->bookmarks, bookmark, now_ms, told->epoch, told->seq);
}

/*  It is the first of what is to be told again, a while later. */
static void put_back (tide_subscriptions_t *self, uint64_t now_ms, tide_told_t *told)
{
    tide_subscription_t *subscription = told->subscription;
    DL_PREPEND (subscription->queue, told);
    subscription->count++;
    subscription->size += told->size;
    self->counters.waiting++;
    self->counters.waiting_size += told->size;
    self->counters.repeated++;
    subscription->is_taken = false;
    subscription->again_ms = now_ms + AGAIN_MS;
}

bool tide_subscriptions_handled (tide_subscriptions_t *self, uint64_t now_ms, tide_told_t **told_p,
                                 bool is_acknowledged)
{
    tide_told_t *told = *told_p;
    tide_subscription_t *subscription = told->subscription;
    if (!subscription->bookmark || !counts (told)) {
        tide_subscriptions_let (self, told_p);
        return false;
    }
    /*  Nothing is told again that is of another log, or another reader's by now. */
    bool is_void = told->epoch != tide_feed_epoch (self->feed)
                   || tide_bookmark_is_over (subscription->bookmark) || subscription->is_removed;
    if (!is_acknowledged && !is_void) {
        put_back (self, now_ms, told);
        *told_p = NULL;
        return true;
    }
    if (is_acknowledged)
        acknowledge (self, now_ms, told);
    tide_subscriptions_let (self, told_p);
    return tide_bookmarks_are_due (self->bookmarks);
}

bool tide_subscriptions_is_ready (const tide_subscriptions_t *self)
{
    return self->ready != NULL;
}
