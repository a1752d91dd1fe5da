/*  tide_feed.c - events and marks in, one gapless stream with a watermark out.
 *
 *  How it goes: what arrives is held (tide_held), marks queue up (tide_mark_queue). When the queue
 *  is looked at, all marks that wait open one window (tide_window) from C to the last one's end:
 *  what they list of joined topics and is not held is asked for. The stream is handed on as far
 *  as the window is complete; when it is, the window closes and the next one opens. All of this
 *  happens while actions are taken, so that a burst of input is one window.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_feed.h"

#include "tide_alloc.h"
#include "tide_held.h"
#include "tide_mark_queue.h"
#include "tide_patterns.h"
#include "tide_topic.h"
#include "tide_window.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*  A window takes no more marks when so many events are missing: what is known of each is held. */
enum { MISSING_MAX = 100000 };

/*  What is to be said beside the stream, in order. */
typedef struct said said_t;
struct said {
    said_t *prev, *next;
    tide_feed_action_t action;
    uint8_t text[];
};

/*  A message of volatile events that waits until C is where they belong. */
typedef struct volatiles volatiles_t;
struct volatiles {
    volatiles_t *prev, *next;
    uint64_t behind;
    tide_list_t events;
    size_t size;
    uint8_t data[];
};

struct tide_feed {
    bool is_up; /* there was a welcome */
    uint64_t epoch;
    uint64_t watermark;
    uint64_t limit;  /* the stream is complete, but not yet handed on, up to here */
    uint64_t handed; /* the last event handed on */

    tide_patterns_t patterns;
    tide_pattern_t *lists[3]; /* of patterns, by state */
    uint32_t version;         /* of what is joined, and where; never 0 */

    tide_arena_t arena;
    tide_held_t held;     /* arrived, and wait for their mark */
    tide_held_t mended;   /* were read, and wait for their turn; in order */
    tide_chunk_t *lent;   /* holds the record of the last action */
    volatiles_t *waiting; /* volatile events, as they came */
    size_t waiting_count, waiting_size;
    volatiles_t *spent; /* holds the volatile event of the last action */

    tide_mark_queue_t marks;
    bool is_trimmed; /* marks behind marks.to are gone: all is read instead */
    tide_window_t window;

    /*  Requests under way, 0: none. One of each kind at a time. */
    uint64_t last_tag, join_tag, marks_tag, mend_tag;
    size_t mend_share;
    uint64_t marks_since; /* from where marks were asked for */
    bool is_stalled;      /* a request failed: the next mark is the time to ask again */
    tide_message_t request;
    tide_buffer_t wants;

    said_t *said, *last_said;
    tide_feed_counters_t counters;
};

/*  -- objects --------------------------------------------------------------------------------- */

tide_feed_t *tide_feed_new (void)
{
    tide_feed_t *self = tide_alloc (sizeof *self);
    /*  Where an object lies cannot be guessed from outside, and nothing but the places in the
     *  table depends on it. */
    self->patterns.seed = (uint64_t) (uintptr_t) self * UINT64_C (0x9e3779b97f4a7c15);
    self->version = 1;
    return self;
}

static void drop_volatiles (tide_feed_t *self)
{
    volatiles_t *at, *next;
    DL_FOREACH_SAFE (self->waiting, at, next) {
        free (at);
    }
    self->waiting = NULL;
    self->waiting_count = self->waiting_size = 0;
}

/*  The last action's spans are valid until now. */
static void end_loan (tide_feed_t *self)
{
    if (self->lent)
        tide_arena_release (&self->arena, self->lent);
    self->lent = NULL;
    free (self->spent);
    self->spent = NULL;
    free (self->last_said);
    self->last_said = NULL;
}

/*  Forgets all that belongs to the present epoch's stream. */
static void drop_stream (tide_feed_t *self)
{
    tide_held_free (&self->held, &self->arena);
    tide_held_free (&self->mended, &self->arena);
    drop_volatiles (self);
    tide_window_close (&self->window);
    tide_mark_queue_reset (&self->marks, 0);
    self->is_trimmed = false;
}

void tide_feed_destroy (tide_feed_t **self_p)
{
    tide_feed_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    end_loan (self);
    drop_stream (self);
    tide_arena_free (&self->arena);
    for (size_t state = 0; state < 3; state++) {
        while (self->lists[state]) {
            tide_pattern_t *pattern = self->lists[state];
            DL_DELETE (self->lists[state], pattern);
            tide_patterns_remove (&self->patterns, &pattern);
        }
    }
    tide_patterns_free (&self->patterns);
    said_t *said, *next;
    DL_FOREACH_SAFE (self->said, said, next) {
        free (said);
    }
    tide_buffer_free (&self->wants);
    free (self);
}

static void say (tide_feed_t *self, tide_feed_action_kind_t kind, tide_bytes_t pattern,
                 uint64_t seq)
{
    said_t *said = tide_alloc (sizeof *said + pattern.size);
    if (pattern.size > 0)
        memcpy (said->text, pattern.data, pattern.size);
    said->action.kind = kind;
    said->action.pattern = (tide_bytes_t){said->text, pattern.size};
    said->action.seq = seq;
    said->action.epoch = self->epoch;
    DL_APPEND (self->said, said);
}

/*  -- patterns -------------------------------------------------------------------------------- */

static void set_state (tide_feed_t *self, tide_pattern_t *pattern, tide_pattern_state_t state)
{
    DL_DELETE (self->lists[pattern->state], pattern);
    pattern->state = state;
    DL_APPEND (self->lists[state], pattern);
}

/*  What was found out about events that are held is no longer sure. */
static void change_version (tide_feed_t *self)
{
    if (++self->version == 0)
        self->version = 1;
}

void tide_feed_add (tide_feed_t *self, tide_bytes_t pattern)
{
    tide_assert (!tide_patterns_find (&self->patterns, pattern));
    tide_pattern_t *added = tide_patterns_add (&self->patterns, pattern);
    DL_APPEND (self->lists[TIDE_PATTERN_WAITING], added);
    say (self, TIDE_FEED_SUBSCRIBE, pattern, 0);
}

void tide_feed_remove (tide_feed_t *self, tide_bytes_t pattern)
{
    tide_pattern_t *removed = tide_patterns_find (&self->patterns, pattern);
    if (!removed)
        return;
    /*  What would be said of it must not be taken for a later pattern of the same name. */
    said_t *said, *next;
    DL_FOREACH_SAFE (self->said, said, next) {
        tide_feed_action_kind_t kind = said->action.kind;
        if ((kind == TIDE_FEED_JOINED || kind == TIDE_FEED_LOST)
            && tide_bytes_equal (said->action.pattern, pattern)) {
            DL_DELETE (self->said, said);
            free (said);
        }
    }
    say (self, TIDE_FEED_UNSUBSCRIBE, pattern, 0);
    DL_DELETE (self->lists[removed->state], removed);
    tide_patterns_remove (&self->patterns, &removed);
    change_version (self);
}

/*  Events of the pattern up to seq are gone. It is as if it had joined there once more. */
static void say_lost (tide_feed_t *self, tide_pattern_t *pattern, uint64_t seq)
{
    if (pattern->state != TIDE_PATTERN_JOINED || pattern->floor >= seq)
        return;
    pattern->floor = seq;
    change_version (self);
    say (self, TIDE_FEED_LOST, pattern->text, seq);
}

static void say_topic_lost (tide_feed_t *self, tide_bytes_t topic, uint64_t seq)
{
    tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX];
    size_t count = tide_patterns_match (&self->patterns, topic, matches);
    for (size_t at = 0; at < count; at++)
        say_lost (self, matches[at], seq);
}

/*  -- welcome --------------------------------------------------------------------------------- */

/*  Another log: whoever had joined begins again. */
static void begin_epoch (tide_feed_t *self, uint64_t epoch, uint64_t head)
{
    bool is_first = !self->is_up;
    drop_stream (self);
    self->is_up = true;
    self->epoch = epoch;
    self->watermark = self->limit = self->handed = head;
    tide_mark_queue_reset (&self->marks, head);
    while (self->lists[TIDE_PATTERN_JOINED]) {
        tide_pattern_t *pattern = self->lists[TIDE_PATTERN_JOINED];
        pattern->floor = TIDE_FLOOR_NONE;
        set_state (self, pattern, TIDE_PATTERN_WAITING);
    }
    change_version (self);
    say (self, is_first ? TIDE_FEED_COMPLETE : TIDE_FEED_EPOCH, (tide_bytes_t){0}, head);
}

void tide_feed_welcome (tide_feed_t *self, uint64_t epoch, uint64_t head)
{
    self->join_tag = self->marks_tag = self->mend_tag = 0;
    self->is_stalled = false;
    while (self->lists[TIDE_PATTERN_ASKED])
        set_state (self, self->lists[TIDE_PATTERN_ASKED], TIDE_PATTERN_WAITING);
    if (!self->is_up || epoch != self->epoch)
        begin_epoch (self, epoch, head);
    else
        tide_mark_queue_head (&self->marks, head);
}

/*  -- what is published ----------------------------------------------------------------------- */

/*  An encoded event's topic, without decoding the rest: its place is fixed. The event has been
 *  decoded once, so it is there. */
static tide_bytes_t topic_of (tide_bytes_t record)
{
    const uint8_t *at = record.data + TIDE_EVENT_FLAGS_AT + 1;
    return (tide_bytes_t){at + 1, at[0]};
}

/*  Up to here all was handed on, or will be without a further look at what arrives. */
static uint64_t settled (const tide_feed_t *self)
{
    return self->window.is_open ? self->window.to : self->watermark;
}

/*  Keeps memory bounded: what is needed for the window that is open stays. */
static bool has_room (tide_feed_t *self)
{
    if (self->arena.size < TIDE_FEED_HELD_SIZE_MAX)
        return true;
    self->counters.overflows++;
    tide_held_drop_behind (&self->held, &self->arena, settled (self));
    return self->arena.size < TIDE_FEED_HELD_SIZE_MAX;
}

static void receive_events (tide_feed_t *self, const tide_events_message_t *events)
{
    if (events->epoch != self->epoch || !has_room (self))
        return;
    tide_held_event_t event = {0};
    tide_list_t list = events->events;
    list.bytes.data = tide_arena_copy (&self->arena, list.bytes, &event.chunk);
    tide_bytes_t topic = {0}, record;
    uint64_t floor = TIDE_FLOOR_NONE, at = settled (self);
    bool is_followed = false;
    while (tide_list_next (&list, &record)) {
        event.seq = tide_load_u64 (record.data + TIDE_EVENT_SEQ_AT);
        if (event.seq <= at) {
            self->counters.repeats++;
            continue;
        }
        tide_bytes_t own = topic_of (record);
        if (own.size == 0)
            continue;
        if (!tide_bytes_equal (own, topic)) {
            floor = tide_patterns_floor (&self->patterns, own, &is_followed);
            topic = own;
        }
        if (!is_followed)
            continue;
        event.record = record.data;
        event.size = (uint32_t) record.size;
        event.version = event.seq > floor ? self->version : 0;
        tide_held_add (&self->held, &event);
    }
    tide_arena_release (&self->arena, event.chunk);
}

static void receive_marks (tide_feed_t *self, uint64_t epoch, tide_list_t marks)
{
    if (epoch != self->epoch)
        return;
    self->is_stalled = false;
    tide_mark_t mark;
    while (tide_mark_next (&marks, &mark)) {
        if (mark.from > mark.to)
            self->counters.malformed++;
        else
            tide_mark_queue_add (&self->marks, &mark);
    }
}

static void receive_volatiles (tide_feed_t *self, const tide_volatiles_message_t *message)
{
    tide_list_t events = message->events;
    if (message->epoch != self->epoch || events.count == 0)
        return;
    if (message->behind < self->watermark || self->waiting_count >= TIDE_FEED_VOLATILES_MAX
        || self->waiting_size >= TIDE_FEED_VOLATILE_SIZE_MAX) {
        self->counters.volatiles_late += events.count;
        return;
    }
    volatiles_t *made = tide_alloc (sizeof *made + events.bytes.size);
    made->behind = message->behind;
    made->size = events.bytes.size;
    made->events = (tide_list_t){events.count, {made->data, events.bytes.size}};
    memcpy (made->data, events.bytes.data, events.bytes.size);
    DL_APPEND (self->waiting, made);
    self->waiting_count++;
    self->waiting_size += made->size;
}

void tide_feed_receive (tide_feed_t *self, tide_bytes_t frame)
{
    tide_bytes_t prefix, bytes;
    tide_message_t message;
    const char *why;
    end_loan (self);
    if (!self->is_up)
        return;
    if (!tide_fanout_split (frame, &prefix, &bytes)
        || tide_message_decode (bytes, &message, &why) != TIDE_OK) {
        self->counters.malformed++;
        return;
    }
    if (message.kind == TIDE_MESSAGE_EVENTS)
        receive_events (self, &message.events);
    else if (message.kind == TIDE_MESSAGE_MARKED)
        receive_marks (self, message.marked.epoch, message.marked.marks);
    else if (message.kind == TIDE_MESSAGE_VOLATILE)
        receive_volatiles (self, &message.volatiles);
    else
        self->counters.malformed++;
}

/*  -- answers --------------------------------------------------------------------------------- */

/*  Patterns that were asked for join. They must not expect anything of the window that is open:
 *  when it was opened they were not among those it looked for. */
static void answer_join (tide_feed_t *self, const tide_message_t *answer)
{
    bool is_good = answer->kind == TIDE_MESSAGE_PAGE && answer->page.epoch == self->epoch;
    uint64_t at = settled (self);
    if (is_good && answer->page.head > at)
        at = answer->page.head;
    while (self->lists[TIDE_PATTERN_ASKED]) {
        tide_pattern_t *pattern = self->lists[TIDE_PATTERN_ASKED];
        set_state (self, pattern, is_good ? TIDE_PATTERN_JOINED : TIDE_PATTERN_WAITING);
        if (is_good) {
            pattern->floor = at;
            say (self, TIDE_FEED_JOINED, pattern->text, at);
        }
    }
    self->is_stalled = self->is_stalled || !is_good;
    change_version (self);
}

static void answer_marks (tide_feed_t *self, const tide_message_t *answer)
{
    if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_TRIMMED) {
        self->is_trimmed = true;
        return;
    }
    if (answer->kind != TIDE_MESSAGE_MARKS || answer->marks.epoch != self->epoch) {
        self->is_stalled = true;
        return;
    }
    receive_marks (self, answer->marks.epoch, answer->marks.marks);
    tide_mark_queue_head (&self->marks, answer->marks.head);
    /*  An answer that does not go on from where it was asked to is as good as none: events are
     *  still there. (Live marks may have overtaken it; then it was only late.) */
    if (self->marks.to == self->marks_since && tide_mark_queue_is_short (&self->marks))
        self->is_trimmed = true;
}

/*  What a page says is lost. True if it is news. */
static bool take_lost (tide_feed_t *self, tide_list_t lost)
{
    bool is_news = false;
    tide_want_t entry;
    while (tide_want_next (&lost, &entry)) {
        uint64_t since;
        if (!tide_window_since (&self->window, entry.topic, &since) || entry.seq <= since)
            continue;
        is_news = true;
        tide_window_lost (&self->window, entry.topic, entry.seq);
        if (tide_pattern_is_subtree (entry.topic)) {
            tide_pattern_t *pattern = tide_patterns_find (&self->patterns, entry.topic);
            if (pattern)
                say_lost (self, pattern, entry.seq);
        }
        else
            say_topic_lost (self, entry.topic, entry.seq);
    }
    return is_news;
}

static void take_page (tide_feed_t *self, tide_list_t events)
{
    tide_held_event_t event = {0};
    tide_bytes_t record;
    events.bytes.data = tide_arena_copy (&self->arena, events.bytes, &event.chunk);
    while (tide_list_next (&events, &record)) {
        event.seq = tide_load_u64 (record.data + TIDE_EVENT_SEQ_AT);
        if (event.seq <= self->limit || event.seq > self->window.to
            || topic_of (record).size == 0) {
            self->counters.repeats++;
            continue;
        }
        event.record = record.data;
        event.size = (uint32_t) record.size;
        tide_held_add (&self->mended, &event);
    }
    tide_arena_release (&self->arena, event.chunk);
    tide_held_sort (&self->mended);
}

/*  What was listed and should have come by now is gone, whether it was said or not. */
static void find_absent (tide_feed_t *self)
{
    tide_bytes_t topic;
    uint64_t seq;
    size_t at = 0;
    while (tide_window_next_due (&self->window, self->mend_share, &at, &topic, &seq))
        if (!tide_held_has (&self->mended, seq)
            && tide_patterns_floor (&self->patterns, topic, NULL) < seq)
            say_topic_lost (self, topic, seq);
}

static void answer_mend (tide_feed_t *self, const tide_message_t *answer)
{
    if (answer->kind != TIDE_MESSAGE_PAGE || answer->page.epoch != self->epoch) {
        self->is_stalled = true;
        return;
    }
    const tide_page_message_t *page = &answer->page;
    size_t share = self->mend_share;
    uint64_t before = self->window.upto[share];
    bool is_news = take_lost (self, page->lost);
    take_page (self, page->events);
    tide_window_page (&self->window, share, page->upto, page->more);
    find_absent (self);
    if (self->window.upto[share] == before && !is_news)
        self->is_stalled = true;
    self->limit = tide_window_limit (&self->window);
}

void tide_feed_answer (tide_feed_t *self, uint64_t tag, const tide_message_t *answer)
{
    end_loan (self);
    if (tag == 0)
        return;
    if (tag == self->join_tag) {
        self->join_tag = 0;
        answer_join (self, answer);
    }
    else if (tag == self->marks_tag) {
        self->marks_tag = 0;
        answer_marks (self, answer);
    }
    else if (tag == self->mend_tag) {
        self->mend_tag = 0;
        answer_mend (self, answer);
    }
}

/*  -- windows --------------------------------------------------------------------------------- */

/*  What a mark lists of joined topics, behind C, must be held; the window gets the rest. */
static void check_mark (tide_feed_t *self, const tide_queued_mark_t *mark)
{
    uint64_t missing = self->window.missing;
    tide_list_t topics = mark->topics;
    tide_bytes_t record;
    while (tide_list_next (&topics, &record)) {
        tide_reader_t reader = tide_reader (record);
        tide_bytes_t topic = tide_take_bytes (&reader, tide_take_u8 (&reader));
        size_t count = tide_take_u32 (&reader) / sizeof (uint32_t);
        bool is_known = false;
        uint64_t floor = TIDE_FLOOR_NONE;
        for (size_t at = 0; at < count && topic.size > 0; at++) {
            uint32_t offset = tide_take_u32 (&reader);
            uint64_t seq = mark->from + offset;
            if (offset == 0 || offset > mark->to - mark->from || seq <= self->window.from
                || tide_held_has (&self->held, seq))
                continue;
            if (!is_known)
                floor = tide_patterns_floor (&self->patterns, topic, NULL);
            is_known = true;
            if (floor == TIDE_FLOOR_NONE)
                break;
            if (seq > floor)
                tide_window_miss (&self->window, topic, seq);
        }
    }
    if (self->window.missing > missing)
        self->counters.gaps++;
}

/*  Where marks are gone, everything of ours is read up to where we know that the log goes. */
static void want_all (tide_feed_t *self)
{
    tide_pattern_t *pattern;
    DL_FOREACH (self->lists[TIDE_PATTERN_JOINED], pattern) {
        uint64_t since = pattern->floor > self->watermark ? pattern->floor : self->watermark;
        if (since < self->window.to)
            tide_window_want (&self->window, pattern->text, since);
    }
}

static void plan_window (tide_feed_t *self)
{
    tide_window_plan (&self->window);
    tide_mark_queue_skip (&self->marks, self->window.to);
    self->limit = tide_window_limit (&self->window);
}

static bool open_window (tide_feed_t *self)
{
    tide_queued_mark_t *mark = tide_mark_queue_take (&self->marks);
    if (!mark && !self->is_trimmed)
        return false;
    tide_window_open (&self->window, self->watermark, self->watermark);
    tide_held_sort (&self->held);
    if (!mark) {
        self->is_trimmed = false;
        self->window.to = self->marks.target;
        want_all (self);
        plan_window (self);
        return true;
    }
    while (mark) {
        if (mark->to > self->window.to) {
            self->window.to = mark->to;
            check_mark (self, mark);
        }
        free (mark);
        bool has_room = self->window.missing < MISSING_MAX;
        mark = has_room ? tide_mark_queue_take (&self->marks) : NULL;
    }
    plan_window (self);
    return true;
}

/*  Goes on without a word from outside; false if there is nothing more to do. */
static bool advance (tide_feed_t *self)
{
    if (self->window.is_open) {
        if (self->watermark < self->window.to)
            return false;
        tide_window_close (&self->window);
        return true;
    }
    return self->is_up && open_window (self);
}

/*  -- requests -------------------------------------------------------------------------------- */

static void take_read (tide_feed_t *self, uint64_t until, uint32_t limit, uint32_t wants)
{
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_READ};
    self->request.read.epoch = self->epoch;
    self->request.read.until = until;
    self->request.read.limit = limit;
    self->request.read.size_max = TIDE_PAGE_SIZE_MAX;
    self->request.read.wants = tide_list (&self->wants, wants);
}

static bool ask_mend (tide_feed_t *self)
{
    uint32_t count;
    self->wants.size = 0;
    if (!self->window.is_open || self->mend_tag != 0
        || !tide_window_ask (&self->window, &self->wants, &count, &self->mend_share))
        return false;
    take_read (self, self->window.to, TIDE_PAGE_EVENTS_MAX, count);
    self->mend_tag = ++self->last_tag;
    return true;
}

static bool ask_marks (tide_feed_t *self)
{
    if (self->marks_tag != 0 || self->is_trimmed || !tide_mark_queue_is_short (&self->marks))
        return false;
    self->request = (tide_message_t){.kind = TIDE_MESSAGE_MARKS_READ};
    self->request.marks_read.epoch = self->epoch;
    self->request.marks_read.since = self->marks_since = self->marks.to;
    self->marks_tag = ++self->last_tag;
    self->counters.marks_read++;
    return true;
}

/*  A join is a READ that reads nothing: its answer says where the log's head is at a time when
 *  the subscription had been sent. As many patterns as wait share one. */
static bool ask_join (tide_feed_t *self)
{
    uint32_t count = 0;
    self->wants.size = 0;
    if (self->join_tag != 0 || !self->lists[TIDE_PATTERN_WAITING])
        return false;
    while (self->lists[TIDE_PATTERN_WAITING] && count < TIDE_WANTS_MAX) {
        tide_pattern_t *pattern = self->lists[TIDE_PATTERN_WAITING];
        tide_want_t want = {pattern->text, self->watermark};
        tide_want_append (&self->wants, &want);
        set_state (self, pattern, TIDE_PATTERN_ASKED);
        count++;
    }
    take_read (self, 0, 0, count);
    self->join_tag = ++self->last_tag;
    return true;
}

/*  What mends a gap goes before what is new. */
static bool take_request (tide_feed_t *self, tide_feed_action_t *action)
{
    if (!self->is_up || self->is_stalled)
        return false;
    if (!ask_mend (self) && !ask_marks (self) && !ask_join (self))
        return false;
    action->kind = TIDE_FEED_REQUEST;
    action->epoch = self->epoch;
    action->tag = self->last_tag;
    action->message = &self->request;
    return true;
}

/*  -- the stream ------------------------------------------------------------------------------ */

static bool take_said (tide_feed_t *self, tide_feed_action_t *action)
{
    if (!self->said)
        return false;
    self->last_said = self->said;
    DL_DELETE (self->said, self->last_said);
    *action = self->last_said->action;
    return true;
}

static void complete (tide_feed_t *self, uint64_t seq, tide_feed_action_t *action)
{
    self->watermark = seq;
    action->kind = TIDE_FEED_COMPLETE;
    action->seq = seq;
    action->epoch = self->epoch;
}

/*  The volatile events at the front, whose place has come: says C first if it is not there yet. */
static bool take_volatile (tide_feed_t *self, tide_feed_action_t *action)
{
    volatiles_t *front = self->waiting;
    tide_bytes_t record = {0};
    /*  Events behind its place may have been handed on, though C was not said there yet. */
    bool is_late = front->behind < self->watermark || front->behind < self->handed;
    while (!is_late && front->events.count > 0) {
        tide_list_t rest = front->events;
        tide_list_next (&rest, &record);
        if (tide_patterns_floor (&self->patterns, topic_of (record), NULL) <= front->behind
            && tide_event_decode (record, &action->event))
            break;
        front->events = rest;
    }
    if (is_late)
        self->counters.volatiles_late += front->events.count;
    else if (front->events.count > 0 && front->behind > self->watermark) {
        complete (self, front->behind, action);
        return true;
    }
    else if (front->events.count > 0) {
        tide_list_next (&front->events, &record);
        action->kind = TIDE_FEED_VOLATILE;
        action->seq = front->behind;
        action->epoch = self->epoch;
        action->record = record;
        self->counters.volatiles++;
        return true;
    }
    DL_DELETE (self->waiting, front);
    self->waiting_count--;
    self->waiting_size -= front->size;
    free (front);
    return false;
}

/*  The event, unless it was handed on already or belongs to no pattern that has joined before
 *  it. */
static bool take_event (tide_feed_t *self, tide_held_t *from, tide_feed_action_t *action)
{
    tide_held_event_t event = tide_held_take (from);
    tide_bytes_t record = {event.record, event.size};
    bool is_repeat = event.seq <= self->handed;
    bool is_ours = event.version == self->version
                   || tide_patterns_floor (&self->patterns, topic_of (record), NULL) < event.seq;
    if (is_repeat || !is_ours || !tide_event_decode (record, &action->event)) {
        self->counters.repeats += is_repeat;
        tide_arena_release (&self->arena, event.chunk);
        return false;
    }
    self->lent = event.chunk;
    self->handed = event.seq;
    self->counters.events++;
    self->counters.mended += from == &self->mended;
    action->kind = TIDE_FEED_EVENT;
    action->seq = event.seq;
    action->epoch = self->epoch;
    action->record = record;
    return true;
}

/*  The next of what is complete: events in order, volatile ones where they belong, then C. */
static bool take_stream (tide_feed_t *self, tide_feed_action_t *action)
{
    for (;;) {
        const tide_held_event_t *held = tide_held_first (&self->held);
        const tide_held_event_t *mended = tide_held_first (&self->mended);
        bool is_mended = mended && (!held || mended->seq < held->seq);
        const tide_held_event_t *next = is_mended ? mended : held;
        if (next && (next->seq > self->limit || self->limit == self->watermark))
            next = NULL;
        const volatiles_t *waiting = self->waiting;
        if (waiting && waiting->behind <= self->limit && (!next || waiting->behind < next->seq)) {
            if (take_volatile (self, action))
                return true;
        }
        else if (next) {
            if (take_event (self, is_mended ? &self->mended : &self->held, action))
                return true;
        }
        else
            break;
    }
    if (self->watermark == self->limit)
        return false;
    complete (self, self->limit, action);
    return true;
}

bool tide_feed_next_action (tide_feed_t *self, tide_feed_action_t *action)
{
    end_loan (self);
    *action = (tide_feed_action_t){0};
    do {
        if (take_said (self, action) || take_stream (self, action))
            return true;
    } while (advance (self));
    return take_request (self, action);
}

/*  -- state ----------------------------------------------------------------------------------- */

uint64_t tide_feed_watermark (const tide_feed_t *self)
{
    return self->watermark;
}

uint64_t tide_feed_epoch (const tide_feed_t *self)
{
    return self->epoch;
}

tide_feed_counters_t tide_feed_counters (const tide_feed_t *self)
{
    tide_feed_counters_t counters = self->counters;
    counters.held = tide_held_count (&self->held) + tide_held_count (&self->mended);
    return counters;
}
