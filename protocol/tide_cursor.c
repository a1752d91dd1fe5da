/*  tide_cursor.c - a named cursor: taken over, moved forward, lost.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursor.h"

#include "tide_args.h"
#include "tide_room.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>

/*  How often a lost race for it is run again. */
enum { ATTEMPTS_MAX = 4 };

/*  What is to be told, apart from what is to be asked. */
enum { TELL_DURABLE = 1, TELL_TAKEN = 2, TELL_REFUSED = 4, TELL_DELAYED = 8, TELL_OVER = 16 };

struct tide_named_cursor {
    enum {
        UNREAD,  /* what stands is not known, and nobody needs to know it yet */
        READING, /* what stands is asked for, or will be when it is due */
        TAKING,  /* the append that makes it ours is under way */
        OURS,
        OVER
    } state;
    char *name, *user, *topics, *owner, *topic;
    bool is_beginning; /* it is to be taken over, and whoever reads is to be told where to begin */
    bool is_held;      /* it was taken before, here or elsewhere */
    bool is_renewing;  /* the log is another one: that nothing stands there is no wonder */
    tide_cursor_place_t otherwise;

    uint64_t epoch;            /* the present log's */
    uint64_t stands;           /* where our record stands; 0: none does */
    tide_cursor_place_t place; /* what it says, if has_place */
    bool has_place;
    uint64_t pending; /* acknowledged, and not durable yet; 0: nothing */
    uint64_t least;   /* acknowledgements below this do not count */

    bool is_asked; /* READ or WRITE is under way */
    enum { NOTHING, A_READ, A_WRITE } wants;
    tide_cursor_place_t writing;
    bool is_hurried; /* what is pending is written as soon as nothing is under way */
    uint64_t due_ms;
    unsigned attempts;

    unsigned tells;
    tide_status_t status;
    char why[200];
    tide_buffer_t payload; /* of the WRITE that was given out */
};

/*  -- what stands ----------------------------------------------------------------------------- */

void tide_cursor_topic (tide_buffer_t *out, tide_bytes_t name, tide_bytes_t user)
{
    tide_buffer_append_text (out, "$cursor/");
    tide_level_append (out, name);
    if (user.size == 0)
        return;
    tide_put_u8 (out, '/');
    tide_level_append (out, user);
}

tide_status_t tide_cursor_check (tide_bytes_t name, tide_bytes_t user, const char **why)
{
    *why = "a cursor's name is 1-64 bytes of UTF-8 without control characters";
    if (name.size > TIDE_CURSOR_NAME_SIZE_MAX || !tide_name_valid (name))
        return TIDE_BAD_REQUEST;
    *why = "a user's name is 1-255 bytes of UTF-8 without control characters";
    if (user.size > 0 && !tide_name_valid (user))
        return TIDE_BAD_REQUEST;
    tide_buffer_t topic = {0};
    tide_cursor_topic (&topic, name, user);
    bool is_fit = topic.size <= TIDE_TOPIC_SIZE_MAX;
    tide_buffer_free (&topic);
    *why = "the names of the cursor and of its user are too long together";
    return is_fit ? TIDE_OK : TIDE_TOO_LARGE;
}

bool tide_cursor_of (const tide_event_t *event, tide_cursor_t *cursor)
{
    tide_args_t args;
    return tide_bytes_is (event->key, TIDE_CURSOR_KEY)
           && tide_args_decode (event->payload, &args) == TIDE_OK
           && tide_cursor_decode (args.about, cursor);
}

uint32_t tide_cursor_append_wants (tide_buffer_t *wants, const tide_cursor_t *cursor)
{
    uint32_t count = 0;
    tide_bytes_t lines = cursor->topics, topic;
    while (count < TIDE_WANTS_MAX && tide_pattern_next (&lines, &topic)) {
        if (!tide_pattern_valid (topic))
            continue; /* whoever wrote it */
        tide_want_append (wants, &(tide_want_t){topic, cursor->seq});
        count++;
    }
    return count;
}

static tide_cursor_place_t place_of (const tide_cursor_t *cursor)
{
    bool is_snapshot = (cursor->flags & TIDE_CURSOR_BEGINS_WITH_SNAPSHOT) != 0;
    return (tide_cursor_place_t){is_snapshot ? TIDE_CURSOR_FROM_SNAPSHOT : TIDE_CURSOR_FROM_SEQ,
                                 cursor->epoch, cursor->seq};
}

/*  The event that makes `writing` stand. */
static tide_event_t event_of (tide_named_cursor_t *self)
{
    const tide_cursor_place_t *place = &self->writing;
    bool is_snapshot = place->kind == TIDE_CURSOR_FROM_SNAPSHOT;
    tide_buffer_t list = {0};
    tide_bytes_t record;
    tide_cursor_append (
        &list, &(tide_cursor_t){.name = tide_bytes (self->name),
                                .user = tide_bytes (self->user),
                                .topics = tide_bytes (self->topics),
                                .owner = tide_bytes (self->owner),
                                .epoch = place->epoch,
                                .seq = place->seq,
                                .flags = is_snapshot ? TIDE_CURSOR_BEGINS_WITH_SNAPSHOT : 0});
    tide_list_t records = tide_list (&list, 1);
    bool is_there = tide_list_next (&records, &record);
    tide_assert (is_there);
    self->payload.size = 0;
    tide_args_encode (&self->payload, &(tide_args_t){.about = record, .json = tide_bytes ("null")});
    tide_buffer_free (&list);
    return (tide_event_t){.topic = tide_bytes (self->topic),
                          .name = tide_bytes ("cursor"),
                          .key = tide_bytes (TIDE_CURSOR_KEY),
                          .payload = tide_buffer_bytes (&self->payload)};
}

/*  -- asking and telling ---------------------------------------------------------------------- */

tide_named_cursor_t *tide_named_cursor_new (const tide_cursor_reader_t *reader)
{
    tide_named_cursor_t *self = tide_alloc (sizeof *self);
    tide_buffer_t topic = {0};
    self->name = tide_copy (reader->name.data, reader->name.size);
    self->user = tide_copy (reader->user.data, reader->user.size);
    self->topics = tide_copy (reader->topics.data, reader->topics.size);
    self->owner = tide_copy (reader->owner.data, reader->owner.size);
    tide_cursor_topic (&topic, reader->name, reader->user);
    self->topic = tide_copy (topic.data, topic.size);
    tide_buffer_free (&topic);
    return self;
}

void tide_named_cursor_destroy (tide_named_cursor_t **self_p)
{
    tide_named_cursor_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    tide_buffer_free (&self->payload);
    free (self->name);
    free (self->user);
    free (self->topics);
    free (self->owner);
    free (self->topic);
    free (self);
}

static void ask_read (tide_named_cursor_t *self)
{
    self->state = READING;
    self->wants = A_READ;
    self->is_asked = true;
    self->due_ms = 0;
}

static void ask_write (tide_named_cursor_t *self, tide_cursor_place_t place)
{
    self->writing = place;
    self->wants = A_WRITE;
    self->is_asked = true;
    self->is_hurried = false;
    self->due_ms = 0;
}

static void ask_write_pending (tide_named_cursor_t *self)
{
    ask_write (self, (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, self->epoch, self->pending});
}

static void set_why (tide_named_cursor_t *self, tide_status_t status, tide_bytes_t why)
{
    why = tide_utf8_cut (why, sizeof self->why - 1);
    snprintf (self->why, sizeof self->why, "%.*s", TIDE_PRINT (why));
    self->status = status;
}

static void over (tide_named_cursor_t *self, tide_status_t status, tide_bytes_t why)
{
    self->state = OVER;
    self->wants = NOTHING;
    self->is_asked = self->is_beginning = self->is_hurried = false;
    self->pending = self->due_ms = 0;
    set_why (self, status, why);
    self->tells = TELL_OVER;
}

static void over_because (tide_named_cursor_t *self, tide_status_t status, const char *why)
{
    over (self, status, tide_bytes (why));
}

/*  True if the record says of this log that all up to seq was acknowledged. */
static bool has_counted (const tide_named_cursor_t *self, uint64_t seq)
{
    return self->has_place && self->place.kind == TIDE_CURSOR_FROM_SEQ
           && self->place.epoch == self->epoch && seq <= self->place.seq;
}

static void set_place (tide_named_cursor_t *self, tide_cursor_place_t place)
{
    self->place = place;
    self->has_place = true;
    if (self->pending == 0 || !has_counted (self, 0))
        return;
    self->tells |= TELL_DURABLE;
    if (has_counted (self, self->pending))
        self->pending = 0;
}

/*  Nothing is under way any more: what comes next? */
static void go_on (tide_named_cursor_t *self, uint64_t now_ms)
{
    if (self->is_beginning)
        ask_read (self);
    else if (self->pending > 0 && (self->is_hurried || (self->due_ms && self->due_ms <= now_ms)))
        ask_write_pending (self);
}

/*  -- reading what stands --------------------------------------------------------------------- */

static tide_cursor_place_t first_place (const tide_named_cursor_t *self,
                                        const tide_standing_message_t *standing)
{
    tide_cursor_place_t place = self->otherwise;
    if (place.kind == TIDE_CURSOR_FROM_HEAD)
        return (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, standing->epoch, standing->seq};
    if (place.epoch == 0)
        place.epoch = standing->epoch;
    return place;
}

/*  Whether what stands, or that nothing does, is for us to go on with. False: it is over. */
static bool is_admissible (tide_named_cursor_t *self, const tide_cursor_t *cursor)
{
    if (!cursor && !self->is_beginning && !self->is_renewing)
        over_because (self, TIDE_NOT_FOUND, "the cursor was removed");
    else if (cursor && !tide_bytes_is (cursor->topics, self->topics))
        over_because (self, TIDE_CONFLICT, "the cursor of this name reads other topics");
    else if (cursor && !self->is_beginning && !tide_bytes_is (cursor->owner, self->owner))
        over_because (self, TIDE_CONFLICT, "another reader has taken the cursor over");
    return self->state != OVER;
}

static void take (tide_named_cursor_t *self)
{
    if (self->pending > 0 && !has_counted (self, self->pending))
        self->place = (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, self->epoch, self->pending};
    self->state = TAKING;
    ask_write (self, self->place);
}

/*  The owner goes on with what stands. */
static void resume (tide_named_cursor_t *self)
{
    self->state = OURS;
    if (self->has_place)
        set_place (self, self->place);
    if (self->pending > 0)
        ask_write_pending (self);
    else if (self->stands == 0 && self->has_place)
        ask_write (self, self->place);
    else if (self->stands == 0)
        self->state = UNREAD;
    else
        self->attempts = 0;
}

static void read_came (tide_named_cursor_t *self, const tide_standing_message_t *standing)
{
    tide_cursor_t cursor;
    tide_event_t event;
    tide_list_t events = standing->events;
    bool is_there = false;
    while (!is_there && tide_event_next (&events, &event))
        is_there = tide_bytes_is (event.key, TIDE_CURSOR_KEY);
    if (is_there && !tide_cursor_of (&event, &cursor)) {
        over_because (self, TIDE_CONFLICT, "what stands there is no cursor");
        return;
    }
    if (!is_admissible (self, is_there ? &cursor : NULL))
        return;
    self->epoch = standing->epoch;
    self->stands = is_there ? event.seq : 0;
    bool is_kept = self->is_renewing && self->has_place; /* it is of the log before */
    if (is_there)
        self->place = place_of (&cursor);
    else if (self->is_beginning && !is_kept)
        self->place = first_place (self, standing);
    self->has_place = self->has_place || is_there || self->is_beginning;
    self->is_renewing = self->is_renewing && !self->has_place;
    if (self->is_beginning)
        take (self);
    else
        resume (self);
}

/*  -- answers --------------------------------------------------------------------------------- */

static void written (tide_named_cursor_t *self, uint64_t now_ms, uint64_t seq)
{
    bool was_taken = self->state == TAKING && self->is_beginning;
    self->stands = seq;
    self->attempts = 0;
    self->is_held = self->is_held || self->state == TAKING;
    self->state = OURS;
    set_place (self, self->writing);
    if (was_taken) {
        /*  What is to be bridged by a snapshot is not acknowledged before that is there. */
        bool is_bridged =
            self->place.kind == TIDE_CURSOR_FROM_SNAPSHOT || self->place.epoch != self->epoch;
        self->is_beginning = false;
        self->least = is_bridged ? UINT64_MAX : 0;
        self->tells |= TELL_TAKEN;
    }
    go_on (self, now_ms);
}

/*  Something else stands there: another reader's, or what we wrote from elsewhere. */
static void lost_race (tide_named_cursor_t *self)
{
    if (++self->attempts < ATTEMPTS_MAX)
        ask_read (self);
    else
        over_because (self, TIDE_CONFLICT, "others take the cursor over as well");
}

/*  What was to begin can't. Whether a cursor that was ours before still is, is looked at when
 *  something is acknowledged. */
static void refuse (tide_named_cursor_t *self, uint64_t now_ms, tide_status_t status,
                    tide_bytes_t why)
{
    if (!self->is_held) {
        over (self, status, why);
        return;
    }
    self->is_beginning = false;
    self->state = self->pending > 0 ? READING : UNREAD;
    self->due_ms = self->pending > 0 ? now_ms + TIDE_CURSOR_GATHER_MS : 0;
    set_why (self, status, why);
    self->tells |= TELL_REFUSED;
}

static void failed (tide_named_cursor_t *self, uint64_t now_ms, tide_status_t status,
                    tide_bytes_t why)
{
    if (self->is_beginning && self->state != OURS) {
        refuse (self, now_ms, status, why);
        return;
    }
    self->tells |= TELL_DELAYED;
    set_why (self, status, why);
    if (self->is_beginning)
        ask_read (self);
    else
        self->due_ms = now_ms + TIDE_CURSOR_GATHER_MS;
}

void tide_cursor_unanswered (tide_named_cursor_t *self, uint64_t now_ms, tide_status_t status)
{
    if (!self->is_asked)
        return;
    self->is_asked = false;
    self->wants = NOTHING;
    failed (self, now_ms, status, tide_bytes (tide_status_meaning (status)));
}

void tide_cursor_answer (tide_named_cursor_t *self, uint64_t now_ms, const tide_message_t *answer)
{
    if (!self->is_asked || self->wants != NOTHING)
        return;
    self->is_asked = false;
    bool is_fail = answer->kind == TIDE_MESSAGE_FAIL;
    if (answer->kind == TIDE_MESSAGE_STANDING && self->state == READING)
        read_came (self, &answer->standing);
    else if (answer->kind == TIDE_MESSAGE_ACK && self->state != READING)
        written (self, now_ms, answer->ack.first);
    else if (is_fail && answer->fail.code == TIDE_CONFLICT && self->state != READING)
        lost_race (self);
    else if (is_fail)
        failed (self, now_ms, (tide_status_t) answer->fail.code, answer->fail.message);
    else
        over_because (self, TIDE_BAD_REQUEST, "the broker's answer was not understood");
}

/*  -- what the reader says -------------------------------------------------------------------- */

void tide_cursor_begin (tide_named_cursor_t *self, tide_cursor_place_t otherwise)
{
    tide_assert (self->state != OVER);
    self->is_beginning = true;
    self->otherwise = otherwise;
    if (!self->is_asked)
        ask_read (self);
}

void tide_cursor_cease (tide_named_cursor_t *self)
{
    self->is_beginning = false;
}

void tide_cursor_go_on (tide_named_cursor_t *self, uint64_t least)
{
    self->least = least;
    self->is_held = true;
}

tide_status_t tide_cursor_ack (tide_named_cursor_t *self, uint64_t now_ms, uint64_t seq,
                               uint64_t delivered)
{
    if (self->state == OVER)
        return self->status;
    if (seq > delivered)
        return TIDE_BAD_REQUEST;
    if (seq < self->least || seq <= self->pending || has_counted (self, seq))
        return TIDE_OK;
    self->pending = seq;
    if (self->state == UNREAD)
        ask_read (self);
    else if (self->due_ms == 0)
        self->due_ms = now_ms + TIDE_CURSOR_GATHER_MS;
    return TIDE_OK;
}

uint64_t tide_cursor_owes (const tide_named_cursor_t *self)
{
    return self->pending;
}

void tide_cursor_hurry (tide_named_cursor_t *self)
{
    if (self->pending == 0)
        return;
    if (self->state == OURS && !self->is_asked)
        ask_write_pending (self);
    else
        self->is_hurried = true;
}

void tide_cursor_snapshot (tide_named_cursor_t *self, uint64_t seq)
{
    self->least = seq;
    /*  A position that this log never had holds nothing back. */
    if (self->place.epoch == self->epoch && self->place.seq > seq)
        self->place.kind = TIDE_CURSOR_FROM_SNAPSHOT;
}

void tide_cursor_epoch (tide_named_cursor_t *self, uint64_t epoch)
{
    if (self->state == OVER)
        return;
    self->epoch = epoch;
    self->pending = self->due_ms = self->stands = 0;
    self->least = UINT64_MAX;
    self->attempts = 0;
    self->is_hurried = self->is_asked = self->is_beginning = false;
    self->wants = NOTHING;
    self->is_renewing = true;
    self->state = UNREAD;
    if (self->has_place)
        ask_read (self);
}

bool tide_cursor_is_over (const tide_named_cursor_t *self)
{
    return self->state == OVER;
}

bool tide_cursor_is_idle (const tide_named_cursor_t *self)
{
    return !self->is_asked && self->pending == 0 && self->due_ms == 0;
}

/*  -- time, and what is to be done ------------------------------------------------------------ */

void tide_cursor_tick (tide_named_cursor_t *self, uint64_t now_ms)
{
    if (self->due_ms == 0 || now_ms < self->due_ms)
        return;
    self->due_ms = 0;
    if (self->is_asked)
        self->is_hurried = true;
    else if (self->state == READING)
        ask_read (self);
    else if (self->pending > 0)
        ask_write_pending (self);
    else if (self->stands == 0)
        ask_write (self, self->place);
}

uint64_t tide_cursor_deadline_ms (const tide_named_cursor_t *self)
{
    return self->due_ms;
}

static bool tell (tide_named_cursor_t *self, tide_cursor_action_t *action)
{
    if (self->tells == 0)
        return false;
    unsigned first = self->tells & -self->tells;
    self->tells &= ~first;
    *action = (tide_cursor_action_t){.status = self->status, .why = self->why};
    action->kind = first == TELL_DURABLE   ? TIDE_CURSOR_DURABLE
                   : first == TELL_TAKEN   ? TIDE_CURSOR_TAKEN
                   : first == TELL_REFUSED ? TIDE_CURSOR_REFUSED
                   : first == TELL_DELAYED ? TIDE_CURSOR_DELAYED
                                           : TIDE_CURSOR_OVER;
    action->place = self->place;
    action->seq = self->place.seq;
    return true;
}

bool tide_cursor_next_action (tide_named_cursor_t *self, tide_cursor_action_t *action)
{
    if (tell (self, action))
        return true;
    if (self->wants == NOTHING)
        return false;
    *action = (tide_cursor_action_t){.kind = TIDE_CURSOR_READ, .topic = tide_bytes (self->topic)};
    if (self->wants == A_WRITE) {
        action->kind = TIDE_CURSOR_WRITE;
        action->event = event_of (self);
        action->expect = (tide_expect_t){action->topic, tide_bytes (TIDE_CURSOR_KEY), self->stands};
    }
    self->wants = NOTHING;
    return true;
}
