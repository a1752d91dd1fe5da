/*  tide_subscriptions.c - what a worker reads: topics and subtrees, each a cursor.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_subscriptions_internal.h"

#include "tide_position.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  A request that was refused for now is made again after so long. */
#define RETRY_MS 500u
/*  Tags of the feed's requests, of our own and of the bookmarks' are told apart by the lowest bits.
 */
enum { TAG_FEED, TAG_OWN, TAG_BOOKMARK, TAG_BITS = 2, TAG_MASK = 3 };

static uint64_t tag_of (uint64_t tag, uint64_t whose)
{
    return tag << TAG_BITS | whose;
}

static uint64_t new_tag (tide_subscriptions_t *self)
{
    return tag_of (++self->last_tag, TAG_OWN);
}

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

tide_subscriptions_t *tide_subscriptions_new (void)
{
    tide_subscriptions_t *self = tide_alloc (sizeof *self);
    self->bookmarks = tide_bookmarks_new ();
    self->events_max = TIDE_TOLD_EVENTS_MAX;
    self->standing_size_max = TIDE_STANDING_SIZE_MAX;
    /*  As in the feed: nothing but places in the table depends on it. */
    self->patterns.seed = (uint64_t) (uintptr_t) self * UINT64_C (0x9e3779b97f4a7c15);
    return self;
}

void tide_subscriptions_shrink (tide_subscriptions_t *self, size_t events_max,
                                size_t standing_size_max)
{
    self->events_max = events_max;
    self->standing_size_max = standing_size_max;
}

bool tide_begin_parse (const char *text, tide_begin_t *begin)
{
    *begin = (tide_begin_t){.kind = TIDE_BEGIN_LIVE};
    if (!text || strcmp (text, "live") == 0)
        return true;
    begin->kind = TIDE_BEGIN_BEHIND;
    if (strcmp (text, "snapshot") == 0)
        begin->kind = TIDE_BEGIN_SNAPSHOT;
    else if (strcmp (text, "start") != 0)
        return tide_position_parse (tide_bytes (text), &begin->epoch, &begin->seq);
    return true;
}

/*  -- asking ---------------------------------------------------------------------------------- */

void tide_subscription_set_asking (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    /*  What stands waits for room before it is frozen, or resets would queue up; then it is taken
     *  whole, before the broker's patience ends. */
    bool is_wanted = (subscription->state == READING && tide_told_has_room (self, subscription))
                     || (subscription->state == GATHERING
                         && (subscription->part > 0 || tide_told_has_room (self, subscription)));
    bool is_asking = is_wanted && subscription->tag == 0 && subscription->retry_ms == 0
                     && !subscription->is_removed;
    if (is_asking == subscription->is_asking)
        return;
    subscription->is_asking = is_asking;
    if (is_asking)
        DL_APPEND2 (self->asking, subscription, asking_prev, asking_next);
    else
        DL_DELETE2 (self->asking, subscription, asking_prev, asking_next);
}

static void set_state (tide_subscriptions_t *self, tide_subscription_t *subscription,
                       tide_subscription_state_t state)
{
    subscription->state = state;
    subscription->tag = 0;
    subscription->retry_ms = 0;
    tide_told_drop_gathered (subscription);
    tide_subscription_set_asking (self, subscription);
}

/*  What was told is void: what stands is told instead. */
static void begin_reset (tide_subscriptions_t *self, tide_subscription_t *subscription,
                         tide_status_t code)
{
    if (subscription->reset == TIDE_OK)
        subscription->reset = code;
    subscription->was_joined = false;
    set_state (self, subscription, GATHERING);
}

/*  All that there was when the broker answered is queued. Live, if what the feed has goes on right
 *  behind it. */
static void go_on (tide_subscriptions_t *self, tide_subscription_t *subscription, bool has_more)
{
    if (!has_more && !subscription->was_joined) {
        tide_told_say (self, subscription, TIDE_TOLD_JOINED, TIDE_OK, subscription->cursor);
        subscription->was_joined = true;
    }
    bool is_live = !has_more && subscription->cursor >= subscription->target;
    set_state (self, subscription, is_live ? LIVE : READING);
}

/*  Where a new named cursor begins. */
static tide_cursor_place_t place_of (const tide_begin_t *begin)
{
    if (begin->kind == TIDE_BEGIN_LIVE)
        return (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD};
    if (begin->kind == TIDE_BEGIN_SNAPSHOT)
        return (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SNAPSHOT};
    return (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, begin->epoch, begin->seq};
}

/*  The feed speaks for its pattern, behind target. A named cursor says where to begin. */
static void begin (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    const tide_begin_t *from = &subscription->begin;
    if (subscription->bookmark && !subscription->is_ours) {
        set_state (self, subscription, TAKING);
        tide_bookmark_begin (self->bookmarks, subscription->bookmark, tide_feed_epoch (self->feed),
                             place_of (from));
        return;
    }
    subscription->target = later (subscription->followed->joined, tide_feed_watermark (self->feed));
    bool is_elsewhere = from->kind == TIDE_BEGIN_BEHIND && from->epoch != 0
                        && from->epoch != tide_feed_epoch (self->feed);
    if (subscription->reset != TIDE_OK || is_elsewhere)
        begin_reset (self, subscription, TIDE_EPOCH_CHANGED);
    else if (from->kind == TIDE_BEGIN_SNAPSHOT)
        set_state (self, subscription, GATHERING);
    else if (from->kind == TIDE_BEGIN_LIVE) {
        subscription->cursor = subscription->target;
        go_on (self, subscription, false);
    }
    else {
        subscription->cursor = from->seq;
        set_state (self, subscription, READING);
    }
}

static void ask_page (tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    self->wants.size = 0;
    tide_want_append (&self->wants,
                      &(tide_want_t){subscription->followed->pattern->text, subscription->cursor});
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_READ};
    self->request.read.epoch = tide_feed_epoch (self->feed);
    self->request.read.limit = (uint32_t) (self->events_max / 4);
    self->request.read.size_max = TIDE_PAGE_SIZE_MAX;
    self->request.read.wants = tide_list (&self->wants, 1);
}

static void ask_standing (tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_SNAPSHOT};
    self->request.snapshot.request = subscription->part_of;
    self->request.snapshot.topic = subscription->followed->pattern->text;
    self->request.snapshot.part = subscription->part;
}

/*  Where the log stands: reading no topic tells that. */
static void ask_head (tide_subscriptions_t *self)
{
    self->wants.size = 0;
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_READ};
    self->request.read.wants = tide_list (&self->wants, 0);
    self->head_tag = new_tag (self);
    self->is_head_due = false;
}

static bool take_request (tide_subscriptions_t *self, tide_subscriptions_action_t *action)
{
    tide_subscription_t *subscription = self->asking;
    action->kind = TIDE_SUBSCRIPTIONS_REQUEST;
    action->message = &self->request;
    if (self->is_head_due) {
        ask_head (self);
        action->tag = self->head_tag;
        return true;
    }
    if (!subscription)
        return false;
    if (subscription->state == READING)
        ask_page (self, subscription);
    else
        ask_standing (self, subscription);
    action->tag = subscription->tag = new_tag (self);
    tide_subscription_set_asking (self, subscription);
    return true;
}

/*  -- what the feed hands on ------------------------------------------------------------------ */

static void take_live (tide_subscriptions_t *self, tide_subscription_t *subscription,
                       const tide_feed_action_t *action)
{
    uint64_t seq = action->seq;
    if (subscription->state != LIVE) {
        subscription->target = later (subscription->target, seq);
        return;
    }
    if (seq <= subscription->cursor)
        return;
    if (tide_told_is_full (self, subscription)) {
        self->counters.lags++;
        subscription->target = seq;
        /*  All of its events before this one were queued. */
        subscription->cursor = seq - 1;
        set_state (self, subscription, READING);
        return;
    }
    subscription->cursor = seq;
    tide_told_put (
        self, tide_told_new (subscription, TIDE_TOLD_EVENT, seq, action->epoch, action->record));
}

static void take_volatile (tide_subscriptions_t *self, tide_subscription_t *subscription,
                           const tide_feed_action_t *action)
{
    /*  A page may have gone further than the place where it belongs. */
    if (subscription->state != LIVE || action->seq < subscription->cursor
        || tide_told_is_full (self, subscription)) {
        self->counters.volatiles++;
        return;
    }
    tide_told_put (self, tide_told_new (subscription, TIDE_TOLD_EVENT, action->seq, action->epoch,
                                        action->record));
}

static tide_followed_t *find_followed (tide_subscriptions_t *self, tide_bytes_t pattern)
{
    tide_followed_t *followed;
    HASH_FIND (hh, self->followed, pattern.data, pattern.size, followed);
    return followed;
}

/*  Gives the event to all that read its topic. */
static void hand_on (tide_subscriptions_t *self, const tide_feed_action_t *action)
{
    tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX];
    size_t count = tide_patterns_match (&self->patterns, action->event.topic, matches);
    bool is_volatile = action->kind == TIDE_FEED_VOLATILE;
    for (size_t at = 0; at < count; at++) {
        tide_followed_t *followed = find_followed (self, matches[at]->text);
        tide_subscription_t *subscription;
        DL_FOREACH2 (followed->readers, subscription, reader_next) {
            if (is_volatile)
                take_volatile (self, subscription, action);
            else
                take_live (self, subscription, action);
        }
    }
}

static void take_joined (tide_subscriptions_t *self, const tide_feed_action_t *action)
{
    tide_followed_t *followed = find_followed (self, action->pattern);
    followed->is_joined = true;
    followed->joined = action->seq;
    tide_subscription_t *subscription;
    DL_FOREACH2 (followed->readers, subscription, reader_next) {
        if (subscription->state == WAITING)
            begin (self, subscription);
    }
}

static void take_lost (tide_subscriptions_t *self, const tide_feed_action_t *action)
{
    tide_subscription_t *subscription;
    DL_FOREACH2 (find_followed (self, action->pattern)->readers, subscription, reader_next) {
        bool is_reading = subscription->state == READING || subscription->state == LIVE;
        subscription->target = later (subscription->target, action->seq);
        if (is_reading && action->seq > subscription->cursor)
            begin_reset (self, subscription, TIDE_TRIMMED);
    }
}

static void take_epoch (tide_subscriptions_t *self)
{
    tide_bookmarks_epoch (self->bookmarks, tide_feed_epoch (self->feed));
    tide_followed_t *followed, *next;
    HASH_ITER (hh, self->followed, followed, next)
        followed->is_joined = false;
    tide_subscription_t *subscription;
    DL_FOREACH (self->all, subscription) {
        if (subscription->state == ENDED)
            continue;
        if (subscription->state != WAITING && subscription->state != TAKING) {
            subscription->reset = TIDE_EPOCH_CHANGED;
            subscription->was_joined = false;
        }
        subscription->cursor = subscription->target = 0;
        set_state (self, subscription, WAITING);
    }
}

static bool take_feed (tide_subscriptions_t *self, const tide_feed_action_t *from,
                       tide_subscriptions_action_t *action)
{
    *action = (tide_subscriptions_action_t){.pattern = from->pattern};
    switch (from->kind) {
    case TIDE_FEED_SUBSCRIBE:
        action->kind = TIDE_SUBSCRIPTIONS_FOLLOW;
        return true;
    case TIDE_FEED_UNSUBSCRIBE:
        action->kind = TIDE_SUBSCRIPTIONS_UNFOLLOW;
        return true;
    case TIDE_FEED_REQUEST:
        action->kind = TIDE_SUBSCRIPTIONS_REQUEST;
        action->tag = tag_of (from->tag, TAG_FEED);
        action->message = from->message;
        return true;
    case TIDE_FEED_JOINED:
        take_joined (self, from);
        return false;
    case TIDE_FEED_EVENT:
    case TIDE_FEED_VOLATILE:
        hand_on (self, from);
        return false;
    case TIDE_FEED_LOST:
        take_lost (self, from);
        return false;
    case TIDE_FEED_EPOCH:
        take_epoch (self);
        return false;
    case TIDE_FEED_COMPLETE: /* each one's cursor is where its own events are */
        return false;
    }
    return false;
}

/*  -- named cursors --------------------------------------------------------------------------- */

static void take_place (tide_subscriptions_t *self, tide_subscription_t *subscription,
                        const tide_cursor_place_t *place)
{
    bool is_snapshot = place->kind == TIDE_CURSOR_FROM_SNAPSHOT;
    subscription->is_ours = true;
    subscription->begin = (tide_begin_t){is_snapshot ? TIDE_BEGIN_SNAPSHOT : TIDE_BEGIN_BEHIND,
                                         place->epoch, place->seq};
    if (subscription->state == TAKING) /* and the log is the same still */
        begin (self, subscription);
}

/*  What waits is another reader's to tell. */
static void lose (tide_subscriptions_t *self, tide_subscription_t *subscription,
                  tide_status_t status)
{
    if (subscription->is_removed || subscription->state == ENDED)
        return;
    tide_told_drop (self, subscription);
    tide_told_say (self, subscription, TIDE_TOLD_ENDED, status, subscription->cursor);
    set_state (self, subscription, ENDED);
}

static bool take_bookmark (tide_subscriptions_t *self, const tide_bookmark_action_t *from,
                           tide_subscriptions_action_t *action)
{
    switch (from->kind) {
    case TIDE_BOOKMARK_ASK:
        *action = (tide_subscriptions_action_t){.kind = TIDE_SUBSCRIPTIONS_REQUEST,
                                                .tag = tag_of (from->tag, TAG_BOOKMARK),
                                                .message = from->message};
        return true;
    case TIDE_BOOKMARK_TAKEN:
        take_place (self, from->handle, &from->place);
        return false;
    case TIDE_BOOKMARK_OVER:
        lose (self, from->handle, from->status);
        return false;
    }
    return false;
}

bool tide_subscriptions_next_action (tide_subscriptions_t *self,
                                     tide_subscriptions_action_t *action)
{
    tide_feed_action_t from;
    tide_bookmark_action_t wanted;
    while (self->feed && tide_feed_next_action (self->feed, &from))
        if (take_feed (self, &from, action))
            return true;
    while (self->feed && tide_bookmarks_next_action (self->bookmarks, &wanted))
        if (take_bookmark (self, &wanted, action))
            return true;
    *action = (tide_subscriptions_action_t){0};
    return self->is_up && take_request (self, action);
}

bool tide_subscriptions_is_due (const tide_subscriptions_t *self)
{
    return (self->is_up && (self->asking || self->is_head_due))
           || tide_bookmarks_are_due (self->bookmarks);
}

/*  -- adding and removing --------------------------------------------------------------------- */

static tide_followed_t *follow (tide_subscriptions_t *self, tide_bytes_t pattern)
{
    tide_followed_t *followed = find_followed (self, pattern);
    if (followed)
        return followed;
    followed = tide_alloc (sizeof *followed);
    followed->pattern = tide_patterns_add (&self->patterns, pattern);
    HASH_ADD_KEYPTR (hh, self->followed, followed->pattern->text.data, pattern.size, followed);
    tide_feed_add (self->feed, pattern);
    return followed;
}

static void unfollow (tide_subscriptions_t *self, tide_followed_t *followed)
{
    tide_feed_remove (self->feed, followed->pattern->text);
    HASH_DEL (self->followed, followed);
    tide_patterns_remove (&self->patterns, &followed->pattern);
    free (followed);
}

static tide_subscription_t *add (tide_subscriptions_t *self, tide_bytes_t pattern,
                                 const tide_begin_t *from, void *handle)
{
    tide_assert (tide_pattern_valid (pattern) && handle);
    if (self->subscription_count == TIDE_SUBSCRIPTIONS_MAX)
        return NULL;
    if (!self->feed) {
        /*  Its first welcome: where the log stands now, not where it stood when the conversation
         *  began, or all that happened since would be looked through. */
        self->feed = tide_feed_new ();
        self->is_head_due = self->is_up;
    }
    tide_subscription_t *subscription = tide_alloc (sizeof *subscription);
    subscription->begin = *from;
    subscription->handle = handle;
    subscription->followed = follow (self, pattern);
    DL_APPEND2 (subscription->followed->readers, subscription, reader_prev, reader_next);
    DL_APPEND (self->all, subscription);
    self->subscription_count++;
    return subscription;
}

tide_subscription_t *tide_subscriptions_add (tide_subscriptions_t *self, tide_bytes_t pattern,
                                             const tide_begin_t *from, bool is_direct, void *handle)
{
    tide_subscription_t *subscription = add (self, pattern, from, handle);
    if (!subscription)
        return NULL;
    subscription->is_direct = is_direct;
    if (subscription->followed->is_joined)
        begin (self, subscription);
    return subscription;
}

tide_status_t tide_subscriptions_add_named (tide_subscriptions_t *self, tide_bytes_t pattern,
                                            const tide_begin_t *from, tide_bytes_t name,
                                            tide_bytes_t owner, void *handle,
                                            tide_subscription_t **subscription_p)
{
    const char *why;
    *subscription_p = NULL;
    tide_status_t status = tide_cursor_check (name, (tide_bytes_t){0}, &why);
    if (status != TIDE_OK)
        return status;
    if (tide_bookmarks_have (self->bookmarks, name))
        return TIDE_CONFLICT;
    tide_subscription_t *subscription = add (self, pattern, from, handle);
    if (!subscription)
        return TIDE_TOO_MANY;
    subscription->bookmark =
        tide_bookmarks_add (self->bookmarks, name, owner, pattern, subscription);
    if (subscription->followed->is_joined)
        begin (self, subscription);
    *subscription_p = subscription;
    return TIDE_OK;
}

void tide_subscriptions_remove (tide_subscriptions_t *self, tide_subscription_t **subscription_p)
{
    tide_subscription_t *subscription = *subscription_p;
    *subscription_p = NULL;
    if (!subscription)
        return;
    subscription->is_removed = true;
    set_state (self, subscription, ENDED);
    tide_told_drop (self, subscription);
    tide_followed_t *followed = subscription->followed;
    DL_DELETE2 (followed->readers, subscription, reader_prev, reader_next);
    if (!followed->readers)
        unfollow (self, followed);
    DL_DELETE (self->all, subscription);
    self->subscription_count--;
    if (subscription->is_taken)
        return; /* what it is told now may be acknowledged still */
    tide_bookmark_leave (self->bookmarks, &subscription->bookmark);
    free (subscription);
}

void tide_subscriptions_destroy (tide_subscriptions_t **self_p)
{
    tide_subscriptions_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->all) {
        tide_subscription_t *subscription = self->all;
        tide_assert (!subscription->is_taken);
        tide_subscriptions_remove (self, &subscription);
    }
    tide_bookmarks_destroy (&self->bookmarks);
    tide_patterns_free (&self->patterns);
    tide_feed_destroy (&self->feed);
    tide_buffer_free (&self->wants);
    free (self);
}

/*  -- from the broker ------------------------------------------------------------------------- */

void tide_subscriptions_up (tide_subscriptions_t *self, uint64_t epoch, uint64_t head)
{
    self->is_up = true;
    self->is_head_due = false;
    self->head_tag = self->head_retry_ms = 0;
    if (self->feed)
        tide_feed_welcome (self->feed, epoch, head);
}

void tide_subscriptions_receive (tide_subscriptions_t *self, tide_bytes_t frame)
{
    if (self->feed)
        tide_feed_receive (self->feed, frame);
}

/*  Refused for now, or in a way that nobody foresaw: it is asked again. */
static void ask_later (tide_subscriptions_t *self, tide_subscription_t *subscription,
                       uint64_t now_ms)
{
    subscription->retry_ms = now_ms + RETRY_MS;
    tide_subscription_set_asking (self, subscription);
}

static void take_page (tide_subscriptions_t *self, uint64_t now_ms,
                       tide_subscription_t *subscription, const tide_message_t *answer)
{
    const tide_page_message_t *page = &answer->page;
    if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_EPOCH_CHANGED
        && answer->fail.epoch == tide_feed_epoch (self->feed)) {
        begin_reset (self, subscription, TIDE_EPOCH_CHANGED); /* beyond the head */
        return;
    }
    if (answer->kind != TIDE_MESSAGE_PAGE || page->epoch != tide_feed_epoch (self->feed)) {
        ask_later (self, subscription, now_ms);
        return;
    }
    self->counters.pages++;
    if (page->lost.count > 0) {
        begin_reset (self, subscription, TIDE_TRIMMED);
        return;
    }
    tide_list_t list = page->events;
    tide_bytes_t record;
    while (tide_list_next (&list, &record)) {
        uint64_t seq = tide_load_u64 (record.data + TIDE_EVENT_SEQ_AT);
        if (seq > subscription->cursor)
            tide_told_put (self,
                           tide_told_new (subscription, TIDE_TOLD_EVENT, seq, page->epoch, record));
        subscription->cursor = later (subscription->cursor, seq);
    }
    subscription->cursor = later (subscription->cursor, page->upto);
    go_on (self, subscription, page->more);
}

/*  What stands is whole: it is told, and reading goes on behind it. */
static void tell_standing (tide_subscriptions_t *self, tide_subscription_t *subscription,
                           uint64_t seq)
{
    if (subscription->reset != TIDE_OK) {
        self->counters.resets++;
        tide_told_say (self, subscription, TIDE_TOLD_RESET, subscription->reset, seq);
    }
    subscription->reset = TIDE_OK;
    while (subscription->gathered) {
        tide_told_t *told = subscription->gathered;
        DL_DELETE (subscription->gathered, told);
        tide_told_put (self, told);
    }
    subscription->cursor = seq;
    go_on (self, subscription, false);
}

static void take_standing (tide_subscriptions_t *self, uint64_t now_ms,
                           tide_subscription_t *subscription, const tide_message_t *answer)
{
    const tide_standing_message_t *standing = &answer->standing;
    if (answer->kind != TIDE_MESSAGE_STANDING || standing->epoch != tide_feed_epoch (self->feed)) {
        tide_told_drop_gathered (subscription);
        ask_later (self, subscription, now_ms);
        return;
    }
    if (standing->part == 0)
        tide_told_drop_gathered (subscription);
    tide_list_t list = standing->events;
    tide_bytes_t record;
    while (tide_list_next (&list, &record)) {
        uint64_t seq = tide_load_u64 (record.data + TIDE_EVENT_SEQ_AT);
        tide_told_t *told =
            tide_told_new (subscription, TIDE_TOLD_STANDING, seq, standing->epoch, record);
        DL_APPEND (subscription->gathered, told);
        subscription->gathered_size += sizeof *told + told->size;
    }
    if (subscription->gathered_size > self->standing_size_max) {
        tide_told_say (self, subscription, TIDE_TOLD_ENDED, TIDE_TOO_LARGE, standing->seq);
        set_state (self, subscription, ENDED);
    }
    else if (!standing->more)
        tell_standing (self, subscription, standing->seq);
    else {
        subscription->part_of = standing->request;
        subscription->part = standing->part + 1;
        tide_subscription_set_asking (self, subscription);
    }
}

static void take_head (tide_subscriptions_t *self, uint64_t now_ms, const tide_message_t *answer)
{
    self->head_tag = 0;
    if (answer->kind == TIDE_MESSAGE_PAGE)
        tide_feed_welcome (self->feed, answer->page.epoch, answer->page.head);
    else
        self->head_retry_ms = now_ms + RETRY_MS;
}

void tide_subscriptions_answer (tide_subscriptions_t *self, uint64_t now_ms, uint64_t tag,
                                const tide_message_t *answer)
{
    if (tag == 0 || !self->feed)
        return;
    if ((tag & TAG_MASK) == TAG_FEED) {
        tide_feed_answer (self->feed, tag >> TAG_BITS, answer);
        return;
    }
    if ((tag & TAG_MASK) == TAG_BOOKMARK) {
        /*  Of another log it must not be taken for this one's. */
        tide_bookmarks_epoch (self->bookmarks, tide_feed_epoch (self->feed));
        tide_bookmarks_answer (self->bookmarks, now_ms, tag >> TAG_BITS, answer);
        return;
    }
    if (tag == self->head_tag) {
        take_head (self, now_ms, answer);
        return;
    }
    tide_subscription_t *subscription;
    DL_SEARCH_SCALAR (self->all, subscription, tag, tag);
    if (!subscription)
        return;
    subscription->tag = 0;
    if (subscription->state == READING)
        take_page (self, now_ms, subscription, answer);
    else
        take_standing (self, now_ms, subscription, answer);
}

/*  -- time ------------------------------------------------------------------------------------ */

void tide_subscriptions_tick (tide_subscriptions_t *self, uint64_t now_ms)
{
    if (self->head_retry_ms != 0 && now_ms >= self->head_retry_ms) {
        self->head_retry_ms = 0;
        self->is_head_due = true;
    }
    tide_bookmarks_tick (self->bookmarks, now_ms);
    tide_subscription_t *subscription;
    DL_FOREACH (self->all, subscription) {
        if (subscription->again_ms != 0 && now_ms >= subscription->again_ms) {
            subscription->again_ms = 0;
            tide_told_set_ready (self, subscription);
        }
        if (subscription->retry_ms == 0 || now_ms < subscription->retry_ms)
            continue;
        subscription->retry_ms = 0;
        tide_subscription_set_asking (self, subscription);
    }
}

static uint64_t sooner (uint64_t due_ms, uint64_t retry_ms)
{
    return retry_ms != 0 && retry_ms < due_ms ? retry_ms : due_ms;
}

uint64_t tide_subscriptions_deadline_ms (const tide_subscriptions_t *self)
{
    uint64_t due_ms = tide_bookmarks_deadline_ms (self->bookmarks);
    due_ms = sooner (due_ms, self->head_retry_ms);
    const tide_subscription_t *subscription;
    DL_FOREACH (self->all, subscription) {
        due_ms = sooner (due_ms, subscription->retry_ms);
        due_ms = sooner (due_ms, subscription->again_ms);
    }
    return due_ms;
}

/*  -- what is owed, and was done --------------------------------------------------------------- */

void tide_subscriptions_hurry (tide_subscriptions_t *self)
{
    tide_bookmarks_hurry (self->bookmarks);
}

bool tide_subscriptions_owe (const tide_subscriptions_t *self)
{
    return tide_bookmarks_owe (self->bookmarks);
}

tide_subscriptions_counters_t tide_subscriptions_counters (const tide_subscriptions_t *self)
{
    return self->counters;
}
