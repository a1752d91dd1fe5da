/*  tide_bookmarks.c - the named cursors by which a worker's subscriptions read.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_bookmarks.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/*  A cursor that can't be had for now is tried again after so long. */
#define RETRY_MS 500u

struct tide_bookmark {
    tide_bookmark_t *prev, *next;
    tide_bookmark_t *touched_prev, *touched_next;
    char *name, *owner, *topics;
    void *handle;
    tide_named_cursor_t *cursor;
    bool is_touched; /* the cursor may have something to say */
    bool is_wanted;  /* to be taken, as soon as nobody here owes anything under the name */
    bool is_taken;   /* it was */
    bool is_left;
    tide_cursor_place_t otherwise;
    uint64_t retry_ms; /* to be taken again then; 0: it is not */
    uint64_t epoch;    /* the log that the cursor knows */
    uint64_t tag;      /* of the request that is under way; 0: none */
    uint64_t events;   /* that were written: their ids are the owner's name and this */
};

struct tide_bookmarks {
    tide_bookmark_t *all, *touched;
    uint64_t last_tag, now_ms;
    tide_message_t request;
    tide_buffer_t records, expects;
};

tide_bookmarks_t *tide_bookmarks_new (void)
{
    return tide_alloc (sizeof (tide_bookmarks_t));
}

static void touch (tide_bookmarks_t *self, tide_bookmark_t *bookmark)
{
    if (bookmark->is_touched)
        return;
    bookmark->is_touched = true;
    DL_APPEND2 (self->touched, bookmark, touched_prev, touched_next);
}

static void bookmark_free (tide_bookmarks_t *self, tide_bookmark_t *bookmark)
{
    if (bookmark->is_touched)
        DL_DELETE2 (self->touched, bookmark, touched_prev, touched_next);
    DL_DELETE (self->all, bookmark);
    tide_named_cursor_destroy (&bookmark->cursor);
    free (bookmark->name);
    free (bookmark->owner);
    free (bookmark->topics);
    free (bookmark);
}

void tide_bookmarks_destroy (tide_bookmarks_t **self_p)
{
    tide_bookmarks_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->all)
        bookmark_free (self, self->all);
    tide_buffer_free (&self->records);
    tide_buffer_free (&self->expects);
    free (self);
}

/*  -- their readers --------------------------------------------------------------------------- */

static tide_named_cursor_t *new_cursor (const tide_bookmark_t *bookmark)
{
    return tide_named_cursor_new (&(tide_cursor_reader_t){.name = tide_bytes (bookmark->name),
                                                          .topics = tide_bytes (bookmark->topics),
                                                          .owner = tide_bytes (bookmark->owner)});
}

tide_bookmark_t *tide_bookmarks_add (tide_bookmarks_t *self, tide_bytes_t name, tide_bytes_t owner,
                                     tide_bytes_t topics, void *handle)
{
    tide_assert (owner.size > 0 && owner.size <= TIDE_BOOKMARK_OWNER_SIZE_MAX && handle);
    tide_bookmark_t *bookmark = tide_alloc (sizeof *bookmark);
    bookmark->name = tide_copy (name.data, name.size);
    bookmark->owner = tide_copy (owner.data, owner.size);
    bookmark->topics = tide_copy (topics.data, topics.size);
    bookmark->handle = handle;
    bookmark->cursor = new_cursor (bookmark);
    DL_APPEND (self->all, bookmark);
    return bookmark;
}

bool tide_bookmarks_have (const tide_bookmarks_t *self, tide_bytes_t name)
{
    const tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark) {
        if (!bookmark->is_left && !tide_cursor_is_over (bookmark->cursor)
            && tide_bytes_is (name, bookmark->name))
            return true;
    }
    return false;
}

/*  The cursor learns what the log is. What it asked in another one counts no more. */
static void renew (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t epoch)
{
    if (bookmark->epoch == epoch)
        return;
    bool is_known = bookmark->epoch != 0;
    bookmark->epoch = epoch;
    if (!is_known)
        return;
    bookmark->tag = 0;
    tide_cursor_epoch (bookmark->cursor, epoch);
    touch (self, bookmark);
}

void tide_bookmark_begin (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t epoch,
                          tide_cursor_place_t otherwise)
{
    renew (self, bookmark, epoch);
    bookmark->otherwise = otherwise;
    bookmark->is_wanted = true;
    touch (self, bookmark);
}

static void acknowledge (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t now_ms,
                         uint64_t seq)
{
    /*  What it says where the cursor is over was said as OVER. */
    tide_status_t status = tide_cursor_ack (bookmark->cursor, now_ms, seq, seq);
    (void) status;
    touch (self, bookmark);
}

void tide_bookmark_ack (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t now_ms,
                        uint64_t epoch, uint64_t seq)
{
    if (epoch == bookmark->epoch)
        acknowledge (self, bookmark, now_ms, seq);
}

void tide_bookmark_ack_snapshot (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t now_ms,
                                 uint64_t epoch, uint64_t seq)
{
    if (epoch != bookmark->epoch)
        return;
    tide_cursor_snapshot (bookmark->cursor, seq);
    acknowledge (self, bookmark, now_ms, seq);
}

bool tide_bookmark_is_over (const tide_bookmark_t *bookmark)
{
    return tide_cursor_is_over (bookmark->cursor);
}

void tide_bookmark_leave (tide_bookmarks_t *self, tide_bookmark_t **bookmark_p)
{
    tide_bookmark_t *bookmark = *bookmark_p;
    *bookmark_p = NULL;
    if (!bookmark)
        return;
    bookmark->is_left = true;
    bookmark->is_wanted = false;
    bookmark->retry_ms = 0;
    tide_cursor_hurry (bookmark->cursor);
    touch (self, bookmark);
}

/*  -- from outside ---------------------------------------------------------------------------- */

void tide_bookmarks_epoch (tide_bookmarks_t *self, uint64_t epoch)
{
    tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark)
        renew (self, bookmark, epoch);
}

void tide_bookmarks_answer (tide_bookmarks_t *self, uint64_t now_ms, uint64_t tag,
                            const tide_message_t *answer)
{
    self->now_ms = now_ms;
    tide_bookmark_t *bookmark;
    if (tag == 0)
        return;
    DL_SEARCH_SCALAR (self->all, bookmark, tag, tag);
    if (!bookmark)
        return;
    bookmark->tag = 0;
    tide_cursor_answer (bookmark->cursor, now_ms, answer);
    touch (self, bookmark);
}

static bool is_due (uint64_t due_ms, uint64_t now_ms)
{
    return due_ms != 0 && due_ms <= now_ms;
}

void tide_bookmarks_tick (tide_bookmarks_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark) {
        if (is_due (bookmark->retry_ms, now_ms)) {
            bookmark->retry_ms = 0;
            bookmark->is_wanted = true;
            touch (self, bookmark);
        }
        if (is_due (tide_cursor_deadline_ms (bookmark->cursor), now_ms)) {
            tide_cursor_tick (bookmark->cursor, now_ms);
            touch (self, bookmark);
        }
    }
}

static uint64_t sooner (uint64_t due_ms, uint64_t other_ms)
{
    return other_ms != 0 && other_ms < due_ms ? other_ms : due_ms;
}

uint64_t tide_bookmarks_deadline_ms (const tide_bookmarks_t *self)
{
    uint64_t due_ms = UINT64_MAX;
    const tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark) {
        due_ms = sooner (due_ms, bookmark->retry_ms);
        due_ms = sooner (due_ms, tide_cursor_deadline_ms (bookmark->cursor));
    }
    return due_ms;
}

void tide_bookmarks_hurry (tide_bookmarks_t *self)
{
    tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark) {
        tide_cursor_hurry (bookmark->cursor);
        touch (self, bookmark);
    }
}

bool tide_bookmarks_owe (const tide_bookmarks_t *self)
{
    const tide_bookmark_t *bookmark;
    DL_FOREACH (self->all, bookmark) {
        if (tide_cursor_owes (bookmark->cursor) > 0)
            return true;
    }
    return false;
}

/*  -- what is to be done ---------------------------------------------------------------------- */

/*  Whoever read under its name before has still to write up to where. */
static bool must_wait (const tide_bookmarks_t *self, const tide_bookmark_t *bookmark)
{
    const tide_bookmark_t *other;
    DL_FOREACH (self->all, other) {
        if (other->is_left && tide_bytes_is (tide_bytes (other->name), bookmark->name))
            return true;
    }
    return false;
}

static void begin_if_wanted (tide_bookmarks_t *self, tide_bookmark_t *bookmark)
{
    if (!bookmark->is_wanted || must_wait (self, bookmark))
        return;
    bookmark->is_wanted = false;
    bookmark->retry_ms = 0;
    tide_cursor_begin (bookmark->cursor, bookmark->otherwise);
}

/*  It is gone; whoever waited for that may begin. */
static void finish (tide_bookmarks_t *self, tide_bookmark_t *bookmark)
{
    tide_bookmark_t *other;
    DL_FOREACH (self->all, other) {
        if (other->is_wanted)
            touch (self, other);
    }
    bookmark_free (self, bookmark);
}

/*  Of those that can't be had, some can later. */
static bool is_for_now (tide_status_t status)
{
    switch (status) {
    case TIDE_TOO_MANY:
    case TIDE_RATE_LIMITED:
    case TIDE_TIMEOUT:
    case TIDE_EPOCH_CHANGED:
    case TIDE_BROKER_AWAY:
    case TIDE_LOG_FULL:
    case TIDE_SHUTTING_DOWN:
        return true;
    default:
        return false;
    }
}

static void ask (tide_bookmarks_t *self, tide_bookmark_t *bookmark,
                 const tide_cursor_action_t *wanted)
{
    char id[TIDE_BOOKMARK_OWNER_SIZE_MAX + 30];
    bookmark->tag = ++self->last_tag;
    if (wanted->kind == TIDE_CURSOR_READ) {
        self->request = (tide_message_t){.kind = TIDE_MESSAGE_SNAPSHOT};
        self->request.snapshot.topic = wanted->topic;
        return;
    }
    tide_event_t event = wanted->event;
    snprintf (id, sizeof id, "%s-%llu", bookmark->owner, (unsigned long long) ++bookmark->events);
    event.id = tide_bytes (id);
    self->records.size = self->expects.size = 0;
    tide_event_append (&self->records, &event);
    tide_expect_append (&self->expects, &wanted->expect);
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_PUBLISH};
    self->request.publish.events = tide_list (&self->records, 1);
    self->request.publish.expects = tide_list (&self->expects, 1);
}

/*  The cursor is over. False: it is tried again. */
static bool tell_over (tide_bookmarks_t *self, tide_bookmark_t *bookmark, tide_status_t status)
{
    if (bookmark->is_taken || bookmark->is_left || !is_for_now (status))
        return !bookmark->is_left;
    tide_named_cursor_destroy (&bookmark->cursor);
    bookmark->cursor = new_cursor (bookmark);
    bookmark->retry_ms = self->now_ms + RETRY_MS;
    return false;
}

/*  True if it is something that others have to do. */
static bool take (tide_bookmarks_t *self, tide_bookmark_t *bookmark,
                  const tide_cursor_action_t *wanted, tide_bookmark_action_t *action)
{
    *action = (tide_bookmark_action_t){.handle = bookmark->handle, .status = wanted->status};
    switch (wanted->kind) {
    case TIDE_CURSOR_READ:
    case TIDE_CURSOR_WRITE:
        ask (self, bookmark, wanted);
        action->kind = TIDE_BOOKMARK_ASK;
        action->tag = bookmark->tag;
        action->message = &self->request;
        return true;
    case TIDE_CURSOR_TAKEN:
        bookmark->is_taken = true;
        action->kind = TIDE_BOOKMARK_TAKEN;
        action->place = wanted->place;
        return !bookmark->is_left;
    case TIDE_CURSOR_OVER:
        action->kind = TIDE_BOOKMARK_OVER;
        return tell_over (self, bookmark, wanted->status);
    case TIDE_CURSOR_DURABLE:
    case TIDE_CURSOR_DELAYED: /* it has a deadline of its own */
    case TIDE_CURSOR_REFUSED: /* none is begun twice */
        break;
    }
    return false;
}

bool tide_bookmarks_next_action (tide_bookmarks_t *self, tide_bookmark_action_t *action)
{
    tide_cursor_action_t wanted;
    while (self->touched) {
        tide_bookmark_t *bookmark = self->touched;
        begin_if_wanted (self, bookmark);
        bool was_delayed = false;
        while (tide_cursor_next_action (bookmark->cursor, &wanted)) {
            was_delayed = wanted.kind == TIDE_CURSOR_DELAYED;
            if (take (self, bookmark, &wanted, action))
                return true;
        }
        DL_DELETE2 (self->touched, bookmark, touched_prev, touched_next);
        bookmark->is_touched = false;
        if (bookmark->is_left && (was_delayed || tide_cursor_owes (bookmark->cursor) == 0))
            finish (self, bookmark);
    }
    return false;
}

bool tide_bookmarks_are_due (const tide_bookmarks_t *self)
{
    return self->touched != NULL;
}
