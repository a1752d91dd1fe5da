/*  tide_subscriptions.c - what a worker reads: topics and subtrees, each a cursor.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_subscriptions.h"

#include "tide_bookmarks.h"
#include "tide_patterns.h"
#include "tide_position.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

/*  A request that was refused for now is made again after so long. */
#define RETRY_MS 500u
/*  What was not acknowledged is told again after so long. */
#define AGAIN_MS 1000u

/*  A pattern of the feed, for all subscriptions that read it. */
typedef struct {
    UT_hash_handle hh;
    tide_subscription_t *readers; /* by reader_next */
    tide_pattern_t *pattern;
    bool is_joined;
    uint64_t joined; /* the feed speaks for it behind this */
} followed_t;

typedef enum { WAITING, TAKING, READING, GATHERING, LIVE, ENDED } state_t;

struct tide_subscription {
    tide_subscription_t *prev, *next;               /* of all */
    tide_subscription_t *reader_prev, *reader_next; /* of those of one pattern */
    tide_subscription_t *ready_prev, *ready_next;
    tide_subscription_t *asking_prev, *asking_next;
    followed_t *followed;
    void *handle;
    tide_bookmark_t *bookmark; /* it reads by a named cursor; NULL: by none */
    bool is_ours;              /* … which was taken */
    uint64_t again_ms;         /* its first is told again then; 0: that waits for nothing */
    bool is_direct, is_ready, is_asking, is_taken, is_removed;
    bool was_joined; /* JOINED was told since it began, or since the last reset */
    state_t state;
    tide_begin_t begin;
    tide_status_t reset; /* OK: none is due */
    uint64_t cursor;     /* all up to here was queued */
    uint64_t target;     /* what the feed has for it is behind this */
    uint64_t tag;        /* of the request that is under way; 0: none */
    uint64_t part_of;    /* GATHERING: the number under which the next part is asked for */
    uint32_t part;
    uint64_t retry_ms; /* 0: not refused */
    tide_told_t *queue;
    tide_told_t *gathered; /* what stands, until it is whole */
    size_t count, size, gathered_size;
};

struct tide_subscriptions {
    tide_feed_t *feed; /* NULL until something is read */
    bool is_up;
    bool is_head_due;  /* where the log stands is to be asked for, so that the feed begins there */
    uint64_t head_tag; /* … and is being asked */
    uint64_t head_retry_ms;
    uint64_t last_tag;
    tide_patterns_t patterns;
    tide_bookmarks_t *bookmarks;
    followed_t *followed;
    tide_subscription_t *all, *ready, *asking;
    size_t subscription_count;
    size_t events_max, standing_size_max;
    tide_message_t request;
    tide_buffer_t wants;
    tide_subscriptions_counters_t counters;
};

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

/*  -- what is to be told ---------------------------------------------------------------------- */

static tide_told_t *told_new (tide_subscription_t *subscription, tide_told_kind_t kind,
                              uint64_t seq, uint64_t epoch, tide_bytes_t record)
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

static void set_ready (tide_subscriptions_t *self, tide_subscription_t *subscription)
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

static void put (tide_subscriptions_t *self, tide_told_t *told)
{
    tide_subscription_t *subscription = told->subscription;
    DL_APPEND (subscription->queue, told);
    subscription->count++;
    subscription->size += told->size;
    self->counters.waiting++;
    self->counters.waiting_size += told->size;
    self->counters.told += told->kind == TIDE_TOLD_EVENT;
    set_ready (self, subscription);
}

static void tell (tide_subscriptions_t *self, tide_subscription_t *subscription,
                  tide_told_kind_t kind, tide_status_t code, uint64_t seq)
{
    uint64_t epoch = tide_feed_epoch (self->feed);
    tide_told_t *told = told_new (subscription, kind, seq, epoch, (tide_bytes_t){0});
    told->code = code;
    put (self, told);
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

static void drop_queue (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    tide_told_t *told;
    while ((told = take_first (self, subscription)) != NULL)
        free (told);
    subscription->again_ms = 0;
    set_ready (self, subscription);
}

static bool is_full (const tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    return subscription->count >= self->events_max || subscription->size >= TIDE_TOLD_SIZE_MAX;
}

static bool has_room (const tide_subscriptions_t *self, const tide_subscription_t *subscription)
{
    return subscription->count < self->events_max / 2
           && subscription->size < TIDE_TOLD_SIZE_MAX / 2;
}

static void drop_gathered (tide_subscription_t *subscription)
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

/*  -- asking ---------------------------------------------------------------------------------- */

static void set_asking (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    /*  What stands waits for room before it is frozen, or resets would queue up; then it is taken
     *  whole, before the broker's patience ends. */
    bool is_wanted = (subscription->state == READING && has_room (self, subscription))
                     || (subscription->state == GATHERING
                         && (subscription->part > 0 || has_room (self, subscription)));
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

static void set_state (tide_subscriptions_t *self, tide_subscription_t *subscription, state_t state)
{
    subscription->state = state;
    subscription->tag = 0;
    subscription->retry_ms = 0;
    drop_gathered (subscription);
    set_asking (self, subscription);
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
        tell (self, subscription, TIDE_TOLD_JOINED, TIDE_OK, subscription->cursor);
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
    set_asking (self, subscription);
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
    if (is_full (self, subscription)) {
        self->counters.lags++;
        subscription->target = seq;
        /*  All of its events before this one were queued. */
        subscription->cursor = seq - 1;
        set_state (self, subscription, READING);
        return;
    }
    subscription->cursor = seq;
    put (self, told_new (subscription, TIDE_TOLD_EVENT, seq, action->epoch, action->record));
}

static void take_volatile (tide_subscriptions_t *self, tide_subscription_t *subscription,
                           const tide_feed_action_t *action)
{
    /*  A page may have gone further than the place where it belongs. */
    if (subscription->state != LIVE || action->seq < subscription->cursor
        || is_full (self, subscription)) {
        self->counters.volatiles++;
        return;
    }
    put (self,
         told_new (subscription, TIDE_TOLD_EVENT, action->seq, action->epoch, action->record));
}

static followed_t *find_followed (tide_subscriptions_t *self, tide_bytes_t pattern)
{
    followed_t *followed;
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
        followed_t *followed = find_followed (self, matches[at]->text);
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
    followed_t *followed = find_followed (self, action->pattern);
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
    followed_t *followed, *next;
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
    drop_queue (self, subscription);
    tell (self, subscription, TIDE_TOLD_ENDED, status, subscription->cursor);
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

static followed_t *follow (tide_subscriptions_t *self, tide_bytes_t pattern)
{
    followed_t *followed = find_followed (self, pattern);
    if (followed)
        return followed;
    followed = tide_alloc (sizeof *followed);
    followed->pattern = tide_patterns_add (&self->patterns, pattern);
    HASH_ADD_KEYPTR (hh, self->followed, followed->pattern->text.data, pattern.size, followed);
    tide_feed_add (self->feed, pattern);
    return followed;
}

static void unfollow (tide_subscriptions_t *self, followed_t *followed)
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
    drop_queue (self, subscription);
    followed_t *followed = subscription->followed;
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
    set_asking (self, subscription);
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
            put (self, told_new (subscription, TIDE_TOLD_EVENT, seq, page->epoch, record));
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
        tell (self, subscription, TIDE_TOLD_RESET, subscription->reset, seq);
    }
    subscription->reset = TIDE_OK;
    while (subscription->gathered) {
        tide_told_t *told = subscription->gathered;
        DL_DELETE (subscription->gathered, told);
        put (self, told);
    }
    subscription->cursor = seq;
    go_on (self, subscription, false);
}

static void take_standing (tide_subscriptions_t *self, uint64_t now_ms,
                           tide_subscription_t *subscription, const tide_message_t *answer)
{
    const tide_standing_message_t *standing = &answer->standing;
    if (answer->kind != TIDE_MESSAGE_STANDING || standing->epoch != tide_feed_epoch (self->feed)) {
        drop_gathered (subscription);
        ask_later (self, subscription, now_ms);
        return;
    }
    if (standing->part == 0)
        drop_gathered (subscription);
    tide_list_t list = standing->events;
    tide_bytes_t record;
    while (tide_list_next (&list, &record)) {
        uint64_t seq = tide_load_u64 (record.data + TIDE_EVENT_SEQ_AT);
        tide_told_t *told =
            told_new (subscription, TIDE_TOLD_STANDING, seq, standing->epoch, record);
        DL_APPEND (subscription->gathered, told);
        subscription->gathered_size += sizeof *told + told->size;
    }
    if (subscription->gathered_size > self->standing_size_max) {
        tell (self, subscription, TIDE_TOLD_ENDED, TIDE_TOO_LARGE, standing->seq);
        set_state (self, subscription, ENDED);
    }
    else if (!standing->more)
        tell_standing (self, subscription, standing->seq);
    else {
        subscription->part_of = standing->request;
        subscription->part = standing->part + 1;
        set_asking (self, subscription);
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
            set_ready (self, subscription);
        }
        if (subscription->retry_ms == 0 || now_ms < subscription->retry_ms)
            continue;
        subscription->retry_ms = 0;
        set_asking (self, subscription);
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

/*  -- to the reader --------------------------------------------------------------------------- */

static tide_told_t *take (tide_subscriptions_t *self, tide_subscription_t *subscription)
{
    tide_told_t *told = take_first (self, subscription);
    if (!told)
        return NULL;
    told->attempt++;
    subscription->is_taken = true;
    set_ready (self, subscription);
    set_asking (self, subscription);
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
        set_ready (self, subscription);
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

void tide_subscriptions_hurry (tide_subscriptions_t *self)
{
    tide_bookmarks_hurry (self->bookmarks);
}

bool tide_subscriptions_owe (const tide_subscriptions_t *self)
{
    return tide_bookmarks_owe (self->bookmarks);
}

bool tide_subscriptions_is_ready (const tide_subscriptions_t *self)
{
    return self->ready != NULL;
}

tide_subscriptions_counters_t tide_subscriptions_counters (const tide_subscriptions_t *self)
{
    return self->counters;
}
