/*  test_tide_feed_model.c - the feed against a model of the broker, over random schedules.
 *
 *  The model publishes batches and marks, drops most of what it publishes, cuts connections,
 *  answers late, trims, refuses, and now and then is another log. After every action of the feed
 *  the guarantees are checked. One seed makes one schedule; a failure prints it, and
 *  TIDE_TEST_SEED=seed runs that one alone.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_feed.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SCHEDULES = 3000, STEPS = 300, EVENTS_MAX = 2000 };

static const char *const topics[] = {"a", "a/b", "a/b/c", "a/x", "b", "$sys/x", "@sid", "c/d"};
static const char *const patterns[] = {"a",   "a/b", "a/b/c", "b",      "$sys/x", "@sid",
                                       "c/d", "a/#", "#",     "a/b/#",  "$sys/#", "c/#",
                                       "a/x", "b/#", "none",  "a/b/c/#"};
enum { TOPICS = sizeof topics / sizeof *topics, PATTERNS = sizeof patterns / sizeof *patterns };

/*  What travels: a frame, or a request or an answer with its tag, or (kind 0) a welcome. */
typedef struct {
    tide_buffer_t bytes;
    uint64_t tag, epoch, head;
} item_t;

typedef struct {
    item_t *items;
    size_t first, end, capacity;
} channel_t;

typedef struct {
    uint8_t topic;
    bool is_gone; /* trimmed */
    bool is_large;
    bool was_handed;
} entry_t;

typedef struct {
    bool is_followed, is_subscribed, has_joined;
    uint64_t floor;
} follower_t;

typedef struct {
    uint64_t seed, random;
    /*  How this schedule is. */
    unsigned drop_events, drop_marks, cut, trim, refuse, large;
    bool is_mute; /* says nothing of what was lost */

    /*  The log. */
    uint64_t epoch, head;
    entry_t log[EVENTS_MAX + 1];
    uint64_t marks[EVENTS_MAX + 1]; /* where each ends */
    size_t mark_count;
    uint64_t marks_floor; /* marks up to here are gone */
    uint64_t lost_to[TOPICS];

    /*  The way to the feed and back. */
    channel_t frames, volatiles, requests, answers, subscriptions;
    bool is_away, takes_subscription[PATTERNS];

    /*  The reader. */
    tide_feed_t *feed;
    follower_t followers[PATTERNS];
    uint64_t feed_epoch, watermark, last_event;
    bool has_welcome, is_first_complete;
    uint64_t handed, mended;
} model_t;

#define CHECK(self, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg ("TIDE_TEST_SEED=%llu: %s", (unsigned long long) (self)->seed, #condition);   \
    } while (0)

/*  -- chance and channels --------------------------------------------------------------------- */

static uint64_t draw (model_t *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random * UINT64_C (0x2545f4914f6cdd1d) >> 16;
}

static unsigned below (model_t *self, unsigned limit)
{
    return (unsigned) (draw (self) % limit);
}

static bool chance (model_t *self, unsigned percent)
{
    return below (self, 100) < percent;
}

static item_t *push (channel_t *self)
{
    if (self->end == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
        self->items = tide_realloc (self->items, self->capacity * sizeof *self->items);
    }
    self->items[self->end] = (item_t){0};
    return &self->items[self->end++];
}

static bool pop (channel_t *self, item_t *item)
{
    if (self->first == self->end)
        return false;
    *item = self->items[self->first++];
    return true;
}

static void clear (channel_t *self)
{
    item_t item;
    while (pop (self, &item))
        tide_buffer_free (&item.bytes);
    self->first = self->end = 0;
}

/*  -- the broker: what it publishes ----------------------------------------------------------- */

static void append_event (tide_buffer_t *list, uint64_t seq, const char *topic, bool is_volatile)
{
    char payload[32];
    snprintf (payload, sizeof payload, "payload %llu", (unsigned long long) seq);
    tide_event_t event = {.seq = is_volatile ? 0 : seq,
                          .flags = is_volatile,
                          .topic = tide_bytes (topic),
                          .name = tide_bytes ("event"),
                          .payload = tide_bytes (payload)};
    tide_event_append (list, &event);
}

static bool is_wanted (const model_t *self, const char *topic)
{
    for (size_t at = 0; at < PATTERNS; at++)
        if (self->takes_subscription[at]
            && tide_pattern_matches (tide_bytes (patterns[at]), tide_bytes (topic)))
            return true;
    return false;
}

static void publish_topic (model_t *self, unsigned topic, uint64_t from)
{
    tide_buffer_t events = {0};
    uint32_t count = 0;
    for (uint64_t seq = from + 1; seq <= self->head; seq++) {
        if (self->log[seq].topic == topic && !self->log[seq].is_large) {
            append_event (&events, seq, topics[topic], false);
            count++;
        }
    }
    if (count > 0 && is_wanted (self, topics[topic]) && !chance (self, self->drop_events)) {
        tide_message_t message = {.kind = TIDE_MESSAGE_EVENTS};
        message.events.epoch = self->epoch;
        message.events.events = tide_list (&events, count);
        item_t *item = push (&self->frames);
        tide_fanout_prefix (&item->bytes, tide_bytes (topics[topic]), false);
        tide_message_encode (&item->bytes, &message);
    }
    tide_buffer_free (&events);
}

static void append_mark (const model_t *self, tide_buffer_t *marks, uint64_t from, uint64_t to)
{
    tide_buffer_t touched = {0}, offsets = {0};
    uint32_t count = 0;
    for (unsigned topic = 0; topic < TOPICS; topic++) {
        offsets.size = 0;
        for (uint64_t seq = from + 1; seq <= to; seq++)
            if (self->log[seq].topic == topic)
                tide_put_u32 (&offsets, (uint32_t) (seq - from));
        if (offsets.size > 0) {
            tide_touched_t entry = {tide_bytes (topics[topic]), tide_buffer_bytes (&offsets)};
            tide_touched_append (&touched, &entry);
            count++;
        }
    }
    tide_mark_t mark = {from, to, tide_list (&touched, count)};
    tide_mark_append (marks, &mark);
    tide_buffer_free (&touched);
    tide_buffer_free (&offsets);
}

static void publish_mark (model_t *self, uint64_t from)
{
    if (chance (self, self->drop_marks))
        return;
    tide_buffer_t marks = {0};
    append_mark (self, &marks, from, self->head);
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKED};
    message.marked.epoch = self->epoch;
    message.marked.marks = tide_list (&marks, 1);
    item_t *item = push (&self->frames);
    tide_fanout_mark_prefix (&item->bytes);
    tide_message_encode (&item->bytes, &message);
    tide_buffer_free (&marks);
}

static void publish_batch (model_t *self)
{
    uint64_t from = self->head;
    unsigned size = 1 + below (self, 6);
    if (from + size > EVENTS_MAX)
        return;
    for (unsigned at = 0; at < size; at++)
        self->log[++self->head] = (entry_t){.topic = (uint8_t) below (self, TOPICS),
                                            .is_large = chance (self, self->large)};
    self->marks[self->mark_count++] = self->head;
    unsigned first = below (self, TOPICS);
    for (unsigned at = 0; at < TOPICS; at++)
        publish_topic (self, (first + at) % TOPICS, from);
    publish_mark (self, from);
}

static void publish_volatile (model_t *self)
{
    const char *topic = topics[below (self, TOPICS)];
    tide_buffer_t events = {0};
    uint32_t count = 1 + below (self, 2);
    for (unsigned at = 0; at < count; at++)
        append_event (&events, self->head, topic, true);
    tide_message_t message = {.kind = TIDE_MESSAGE_VOLATILE};
    message.volatiles.epoch = self->epoch;
    message.volatiles.behind = self->head;
    message.volatiles.events = tide_list (&events, count);
    item_t *item = push (&self->volatiles);
    tide_fanout_prefix (&item->bytes, tide_bytes (topic), true);
    tide_message_encode (&item->bytes, &message);
    tide_buffer_free (&events);
}

/*  -- the broker: what it answers ------------------------------------------------------------- */

static bool is_in (tide_list_t wants, unsigned topic, uint64_t seq)
{
    tide_want_t want;
    while (tide_want_next (&wants, &want))
        if (seq > want.seq && tide_pattern_matches (want.topic, tide_bytes (topics[topic])))
            return true;
    return false;
}

static uint32_t append_lost (const model_t *self, tide_buffer_t *lost, tide_list_t wants)
{
    tide_want_t want;
    uint32_t count = 0;
    while (!self->is_mute && tide_want_next (&wants, &want)) {
        uint64_t highest = 0;
        for (unsigned topic = 0; topic < TOPICS; topic++)
            if (tide_pattern_matches (want.topic, tide_bytes (topics[topic]))
                && self->lost_to[topic] > highest)
                highest = self->lost_to[topic];
        if (highest > want.seq) {
            want.seq = highest;
            tide_want_append (lost, &want);
            count++;
        }
    }
    return count;
}

static void answer_read (model_t *self, const tide_read_message_t *read, tide_message_t *answer,
                         tide_buffer_t *events, tide_buffer_t *lost)
{
    uint64_t until = read->until == 0 ? self->head : read->until;
    uint32_t limit = read->limit == 0 ? 0 : 1 + below (self, 5), count = 0;
    CHECK (self, until <= self->head && read->wants.count <= TIDE_WANTS_MAX);
    answer->kind = TIDE_MESSAGE_PAGE;
    answer->page.epoch = self->epoch;
    answer->page.head = self->head;
    answer->page.upto = until;
    for (uint64_t seq = 1; seq <= until && read->limit > 0; seq++) {
        if (self->log[seq].is_gone || !is_in (read->wants, self->log[seq].topic, seq))
            continue;
        if (count == limit) {
            answer->page.more = 1;
            break;
        }
        append_event (events, seq, topics[self->log[seq].topic], false);
        answer->page.upto = seq;
        count++;
    }
    if (!answer->page.more)
        answer->page.upto = until;
    answer->page.events = tide_list (events, count);
    answer->page.lost = tide_list (lost, append_lost (self, lost, read->wants));
}

static void answer_marks (model_t *self, uint64_t since, tide_message_t *answer,
                          tide_buffer_t *marks)
{
    if (since < self->marks_floor) {
        answer->kind = TIDE_MESSAGE_FAIL;
        answer->fail.code = TIDE_TRIMMED;
        return;
    }
    uint32_t count = 0;
    uint64_t from = 0;
    for (size_t at = 0; at < self->mark_count && count < 3; from = self->marks[at++]) {
        if (self->marks[at] > since) {
            append_mark (self, marks, from > since ? from : since, self->marks[at]);
            count++;
        }
    }
    answer->kind = TIDE_MESSAGE_MARKS;
    answer->marks.epoch = self->epoch;
    answer->marks.head = self->head;
    answer->marks.marks = tide_list (marks, count);
}

static void answer_request (model_t *self)
{
    item_t item;
    tide_message_t request, answer = {0};
    tide_buffer_t one = {0}, other = {0};
    const char *why;
    if (self->is_away || !pop (&self->requests, &item))
        return;
    CHECK (self, tide_message_decode (tide_buffer_bytes (&item.bytes), &request, &why) == TIDE_OK);
    uint64_t epoch =
        request.kind == TIDE_MESSAGE_READ ? request.read.epoch : request.marks_read.epoch;
    if (epoch != self->epoch || chance (self, self->refuse)) {
        answer.kind = TIDE_MESSAGE_FAIL;
        answer.fail.code = epoch != self->epoch ? TIDE_EPOCH_CHANGED : TIDE_SHUTTING_DOWN;
    }
    else if (request.kind == TIDE_MESSAGE_READ)
        answer_read (self, &request.read, &answer, &one, &other);
    else
        answer_marks (self, request.marks_read.since, &answer, &one);
    item_t *made = push (&self->answers);
    made->tag = item.tag;
    tide_message_encode (&made->bytes, &answer);
    tide_buffer_free (&one);
    tide_buffer_free (&other);
    tide_buffer_free (&item.bytes);
}

/*  -- the broker: what happens to it ---------------------------------------------------------- */

/*  All up to some sequence goes, but for what stands. */
static void trim (model_t *self)
{
    uint64_t to = self->head > 0 ? draw (self) % (self->head + 1) : 0;
    for (uint64_t seq = 1; seq <= to; seq++) {
        if (self->log[seq].is_gone || chance (self, 10))
            continue;
        self->log[seq].is_gone = true;
        if (self->lost_to[self->log[seq].topic] < seq)
            self->lost_to[self->log[seq].topic] = seq;
    }
    if (!self->is_mute && to > self->marks_floor && chance (self, 50))
        self->marks_floor = to;
}

static void cut_subscriber (model_t *self)
{
    clear (&self->frames);
    clear (&self->subscriptions);
    for (size_t at = 0; at < PATTERNS; at++) {
        self->takes_subscription[at] = false;
        if (self->followers[at].is_subscribed)
            push (&self->subscriptions)->tag = at << 1 | 1;
    }
}

static void cut_dealer (model_t *self)
{
    clear (&self->requests);
    clear (&self->answers);
    self->is_away = true;
}

static void welcome (model_t *self)
{
    item_t *item = push (&self->answers);
    self->is_away = false;
    item->epoch = self->epoch;
    item->head = self->head;
}

static void begin_another_log (model_t *self)
{
    cut_dealer (self);
    cut_subscriber (self);
    clear (&self->volatiles);
    self->epoch++;
    self->head = self->mark_count = self->marks_floor = 0;
    memset (self->lost_to, 0, sizeof self->lost_to);
    welcome (self);
}

/*  -- the reader, and what it was promised ---------------------------------------------------- */

static size_t pattern_number (model_t *self, tide_bytes_t text)
{
    for (size_t at = 0; at < PATTERNS; at++)
        if (tide_bytes_is (text, patterns[at]))
            return at;
    bool is_followed = false;
    CHECK (self, is_followed);
    return 0;
}

static bool has_floor_below (const model_t *self, const char *topic, uint64_t seq)
{
    for (size_t at = 0; at < PATTERNS; at++)
        if (self->followers[at].has_joined && self->followers[at].floor < seq
            && tide_pattern_matches (tide_bytes (patterns[at]), tide_bytes (topic)))
            return true;
    return false;
}

/*  G1: rising, once; G3: durable, and what the log has there. */
static void check_event (model_t *self, const tide_feed_action_t *action)
{
    char payload[32];
    snprintf (payload, sizeof payload, "payload %llu", (unsigned long long) action->seq);
    CHECK (self, action->epoch == self->feed_epoch);
    CHECK (self, action->seq > self->last_event && action->seq > self->watermark);
    CHECK (self, action->event.seq == action->seq);
    CHECK (self, tide_bytes_is (action->event.payload, payload));
    tide_event_t again;
    CHECK (self, tide_event_decode (action->record, &again));
    CHECK (self, again.payload.data == action->event.payload.data);
    self->last_event = action->seq;
    self->handed++;
    if (self->feed_epoch != self->epoch)
        return;
    CHECK (self, action->seq <= self->head);
    const char *topic = topics[self->log[action->seq].topic];
    CHECK (self, tide_bytes_is (action->event.topic, topic));
    CHECK (self, has_floor_below (self, topic, action->seq));
    self->log[action->seq].was_handed = true;
}

/*  G5: each pattern has had everything between the sequence at which it joined and C. */
static void check_complete (model_t *self, uint64_t seq)
{
    CHECK (self, seq > self->watermark && seq >= self->last_event);
    if (self->feed_epoch == self->epoch) {
        CHECK (self, seq <= self->head);
        for (uint64_t at = self->watermark + 1; at <= seq; at++)
            CHECK (self, self->log[at].was_handed
                             || !has_floor_below (self, topics[self->log[at].topic], at));
    }
    self->watermark = seq;
}

/*  Only what is gone may be said to be lost. */
static void check_lost (model_t *self, const tide_feed_action_t *action)
{
    size_t number = pattern_number (self, action->pattern);
    follower_t *follower = &self->followers[number];
    uint64_t highest = 0;
    for (unsigned topic = 0; topic < TOPICS; topic++)
        if (tide_pattern_matches (action->pattern, tide_bytes (topics[topic]))
            && self->lost_to[topic] > highest)
            highest = self->lost_to[topic];
    CHECK (self, follower->has_joined && action->seq > follower->floor);
    CHECK (self, self->feed_epoch != self->epoch || action->seq <= highest);
    follower->floor = action->seq;
}

static void check_volatile (model_t *self, const tide_feed_action_t *action)
{
    bool is_joined = false;
    for (size_t at = 0; at < PATTERNS; at++)
        is_joined = is_joined
                    || (self->followers[at].has_joined && self->followers[at].floor <= action->seq
                        && tide_pattern_matches (tide_bytes (patterns[at]), action->event.topic));
    CHECK (self, is_joined && action->seq == self->watermark);
    CHECK (self, action->event.flags & TIDE_EVENT_VOLATILE);
}

static void check_joined (model_t *self, const tide_feed_action_t *action)
{
    follower_t *follower = &self->followers[pattern_number (self, action->pattern)];
    CHECK (self, follower->is_followed && !follower->has_joined);
    CHECK (self, action->seq >= self->watermark);
    follower->has_joined = true;
    follower->floor = action->seq;
}

static void check_epoch (model_t *self, const tide_feed_action_t *action)
{
    CHECK (self, action->epoch != self->feed_epoch);
    self->feed_epoch = action->epoch;
    self->watermark = self->last_event = action->seq;
    for (size_t at = 0; at < PATTERNS; at++)
        self->followers[at].has_joined = false;
    for (uint64_t seq = 0; seq <= EVENTS_MAX; seq++)
        self->log[seq].was_handed = false;
}

static void subscribe (model_t *self, const tide_feed_action_t *action, bool is_on)
{
    size_t number = pattern_number (self, action->pattern);
    CHECK (self, self->followers[number].is_subscribed != is_on);
    self->followers[number].is_subscribed = is_on;
    push (&self->subscriptions)->tag = number << 1 | is_on;
}

static void take_action (model_t *self, const tide_feed_action_t *action)
{
    switch (action->kind) {
    case TIDE_FEED_SUBSCRIBE:
    case TIDE_FEED_UNSUBSCRIBE:
        subscribe (self, action, action->kind == TIDE_FEED_SUBSCRIBE);
        break;
    case TIDE_FEED_REQUEST: {
        item_t *item = push (&self->requests);
        item->tag = action->tag;
        tide_message_encode (&item->bytes, action->message);
        break;
    }
    case TIDE_FEED_JOINED:
        check_joined (self, action);
        break;
    case TIDE_FEED_EVENT:
        check_event (self, action);
        break;
    case TIDE_FEED_VOLATILE:
        check_volatile (self, action);
        break;
    case TIDE_FEED_LOST:
        check_lost (self, action);
        break;
    case TIDE_FEED_COMPLETE:
        if (self->is_first_complete) { /* the first welcome says where C begins */
            CHECK (self, action->seq == self->watermark);
            self->is_first_complete = false;
            break;
        }
        check_complete (self, action->seq);
        CHECK (self, action->seq == tide_feed_watermark (self->feed));
        break;
    case TIDE_FEED_EPOCH:
        check_epoch (self, action);
        break;
    }
}

static void drain (model_t *self)
{
    tide_feed_action_t action;
    while (tide_feed_next_action (self->feed, &action))
        take_action (self, &action);
}

/*  -- a schedule ------------------------------------------------------------------------------ */

static void deliver (model_t *self, channel_t *channel)
{
    item_t item;
    if (!pop (channel, &item))
        return;
    tide_feed_receive (self->feed, tide_buffer_bytes (&item.bytes));
    tide_buffer_free (&item.bytes);
}

static void deliver_answer (model_t *self)
{
    item_t item;
    tide_message_t message;
    const char *why;
    if (!pop (&self->answers, &item))
        return;
    if (item.tag == 0) {
        if (!self->has_welcome) {
            self->feed_epoch = item.epoch;
            self->has_welcome = true;
            self->watermark = self->last_event = item.head;
            self->is_first_complete = true;
        }
        tide_feed_welcome (self->feed, item.epoch, item.head);
        return;
    }
    CHECK (self, tide_message_decode (tide_buffer_bytes (&item.bytes), &message, &why) == TIDE_OK);
    tide_feed_answer (self->feed, item.tag, &message);
    tide_buffer_free (&item.bytes);
}

static void deliver_subscription (model_t *self)
{
    item_t item;
    if (pop (&self->subscriptions, &item))
        self->takes_subscription[item.tag >> 1] = item.tag & 1;
}

static void follow (model_t *self)
{
    size_t number = below (self, PATTERNS);
    follower_t *follower = &self->followers[number];
    if (!follower->is_followed) {
        follower->is_followed = true;
        tide_feed_add (self->feed, tide_bytes (patterns[number]));
    }
    else if (chance (self, 40)) {
        follower->is_followed = follower->has_joined = false;
        tide_feed_remove (self->feed, tide_bytes (patterns[number]));
    }
}

static void disturb (model_t *self)
{
    if (chance (self, self->trim))
        trim (self);
    if (chance (self, self->cut))
        cut_subscriber (self);
    if (chance (self, self->cut))
        cut_dealer (self);
    if (self->is_away && chance (self, 30))
        welcome (self);
    if (self->cut > 0 && below (self, 400) == 0)
        begin_another_log (self);
}

static void step (model_t *self)
{
    disturb (self);
    unsigned which = below (self, 20);
    if (which < 4)
        publish_batch (self);
    else if (which == 4)
        publish_volatile (self);
    else if (which == 5)
        publish_mark (self, self->head);
    else if (which == 6)
        follow (self);
    else if (which < 12)
        deliver (self, &self->frames);
    else if (which == 12)
        deliver (self, &self->volatiles);
    else if (which < 15)
        answer_request (self);
    else if (which < 18)
        deliver_answer (self);
    else
        deliver_subscription (self);
    if (chance (self, 80))
        drain (self);
}

/*  Nothing disturbs any more: the feed must come to know everything. */
static void settle (model_t *self)
{
    self->drop_events = self->drop_marks = self->refuse = 0;
    self->is_away = false;
    welcome (self);
    for (unsigned round = 0; round < 3 || self->requests.first < self->requests.end; round++) {
        CHECK (self, round < 5000);
        publish_mark (self, self->head);
        while (self->frames.first < self->frames.end)
            deliver (self, &self->frames);
        while (self->answers.first < self->answers.end)
            deliver_answer (self);
        drain (self);
        answer_request (self);
        while (self->answers.first < self->answers.end)
            deliver_answer (self);
        drain (self);
    }
    CHECK (self, tide_feed_watermark (self->feed) == self->head);
    CHECK (self, self->watermark == self->head && self->feed_epoch == self->epoch);
    CHECK (self, tide_feed_counters (self->feed).held == 0);
    for (size_t at = 0; at < PATTERNS; at++)
        CHECK (self, self->followers[at].has_joined == self->followers[at].is_followed);
}

static void run_schedule (uint64_t seed, bool only_read, uint64_t *handed, uint64_t *mended)
{
    model_t *self = tide_alloc (sizeof *self);
    self->seed = seed;
    self->random = (seed + 1) * UINT64_C (0x9e3779b97f4a7c15);
    for (int at = 0; at < 4; at++)
        draw (self);
    self->epoch = 1 + below (self, 1000);
    self->drop_events = only_read ? 100 : below (self, 61);
    self->drop_marks = only_read ? 0 : below (self, 61);
    self->cut = chance (self, 50) ? below (self, 4) : 0;
    self->trim = chance (self, 50) ? below (self, 6) : 0;
    self->refuse = chance (self, 30) ? below (self, 30) : 0;
    self->large = chance (self, 50) ? below (self, 20) : 0;
    self->is_mute = chance (self, 20);
    self->feed = tide_feed_new ();
    for (unsigned at = below (self, 10); at > 0; at--)
        publish_batch (self);
    welcome (self);
    for (unsigned at = 0; at < STEPS; at++)
        step (self);
    settle (self);
    *handed += self->handed;
    *mended += tide_feed_counters (self->feed).mended;
    tide_feed_destroy (&self->feed);
    channel_t *channels[] = {&self->frames, &self->volatiles, &self->requests, &self->answers,
                             &self->subscriptions};
    for (size_t at = 0; at < sizeof channels / sizeof *channels; at++) {
        clear (channels[at]);
        free (channels[at]->items);
    }
    free (self);
}

static void run_schedules (bool only_read)
{
    const char *given = getenv ("TIDE_TEST_SEED");
    uint64_t handed = 0, mended = 0;
    uint64_t first = given ? strtoull (given, NULL, 10) : only_read ? 1000000 : 1;
    uint64_t count = given ? 1 : only_read ? SCHEDULES / 6 : SCHEDULES;
    for (uint64_t seed = first; seed < first + count; seed++)
        run_schedule (seed, only_read, &handed, &mended);
    print_message ("%llu schedules, %llu events handed on, %llu of them read\n",
                   (unsigned long long) count, (unsigned long long) handed,
                   (unsigned long long) mended);
    assert_true (given || handed > 10 * count);
    assert_true (!only_read || handed == mended);
}

static void g1_g3_g5_one_gapless_stream_whatever_is_dropped_or_cut (void **state)
{
    (void) state;
    run_schedules (false);
}

static void g5_marks_and_reads_alone_are_enough (void **state)
{
    (void) state;
    run_schedules (true);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g1_g3_g5_one_gapless_stream_whatever_is_dropped_or_cut),
        cmocka_unit_test (g5_marks_and_reads_alone_are_enough),
    };
    return cmocka_run_group_tests_name ("tide_feed_model", tests, NULL, NULL);
}
