/*  tide_watch.c - what `tidemark top` knows of a running system.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"
#include "tide_cursor.h"
#include "tide_watch_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOPICS_EVERY = 10, /* rounds */
    READERS_EVERY = 5,
    READERS_MAX = 50,     /* of named cursors: each costs a page of history to count */
    TOPICS_MAX = 10000,   /* that are known of */
    LANE_SILENT_MS = 5000 /* then it is not there any more */
};

/*  -- the broker's counters ------------------------------------------------------------------- */

static void forget_services (tide_watch_t *self)
{
    for (size_t at = 0; at < self->service_count; at++)
        free (self->services[at].name);
    free (self->services);
    self->services = NULL;
    self->service_count = 0;
}

static bool takes (tide_bytes_t *text, const char *what)
{
    size_t size = strlen (what);
    if (text->size < size || memcmp (text->data, what, size) != 0)
        return false;
    *text = (tide_bytes_t){text->data + size, text->size - size};
    return true;
}

/*  A label's value up to its quote, of which the escapes are undone. */
static char *take_label (tide_bytes_t *text)
{
    char *value = tide_alloc (text->size + 1);
    size_t size = 0;
    while (text->size > 0 && text->data[0] != '"') {
        size_t skipped = text->data[0] == '\\' && text->size > 1;
        value[size++] = (char) text->data[skipped];
        *text = (tide_bytes_t){text->data + skipped + 1, text->size - skipped - 1};
    }
    return value;
}

static tide_watch_service_t *require_service (tide_watch_t *self, const char *name)
{
    for (size_t at = 0; at < self->service_count; at++)
        if (strcmp (self->services[at].name, name) == 0)
            return &self->services[at];
    self->services =
        tide_realloc (self->services, (self->service_count + 1) * sizeof *self->services);
    tide_watch_service_t *service = &self->services[self->service_count++];
    *service = (tide_watch_service_t){.name = tide_copy (name, strlen (name))};
    return service;
}

/*  service_WHAT{service="NAME",state="STATE"} */
static void take_service (tide_watch_t *self, tide_bytes_t name, uint64_t value)
{
    tide_bytes_t what = name;
    while (name.size > 0 && name.data[0] != '{')
        name = (tide_bytes_t){name.data + 1, name.size - 1};
    what.size -= name.size;
    if (!takes (&name, "{service=\""))
        return;
    char *label = take_label (&name);
    tide_watch_service_t *service = require_service (self, label);
    free (label);
    bool is_waiting = takes (&name, "\",state=\"waiting\"");
    if (tide_bytes_is (what, "workers"))
        service->workers = value;
    else if (tide_bytes_is (what, "credit"))
        service->credit = value;
    else if (tide_bytes_is (what, "calls") && is_waiting)
        service->waiting = value;
    else if (tide_bytes_is (what, "calls"))
        service->in_hand = value;
}

static void take_stats (tide_watch_t *self, uint64_t now_ms, const tide_stats_message_t *stats)
{
    static const char *const names[FIGURE_COUNT] = {
#define X(NAME, text) text,
        FIGURES (X)
#undef X
    };
    memcpy (self->before, self->figures, sizeof self->before);
    self->before_ms = self->taken_ms;
    self->taken_ms = now_ms;
    forget_services (self);
    tide_list_t list = stats->stats;
    tide_stat_t stat;
    while (tide_stat_next (&list, &stat)) {
        if (!takes (&stat.name, "tidemark_broker_"))
            continue;
        if (takes (&stat.name, "service_"))
            take_service (self, stat.name, stat.value);
        for (unsigned at = 0; at < FIGURE_COUNT; at++)
            if (tide_bytes_is (stat.name, names[at]))
                self->figures[at] = stat.value;
    }
}

/*  -- topics ---------------------------------------------------------------------------------- */

/*  What is the system's is shown together: nobody wants to see each session's topic. */
static tide_bytes_t name_shown (tide_bytes_t topic, char name[TIDE_TOPIC_SIZE_MAX + 3])
{
    if (topic.data[0] == '@')
        return tide_bytes ("@...");
    const uint8_t *end = topic.data[0] == '$' ? memchr (topic.data, '/', topic.size) : NULL;
    if (!end)
        return topic;
    int size = snprintf (name, TIDE_TOPIC_SIZE_MAX + 3, "%.*s/#", (int) (end - topic.data),
                         (const char *) topic.data);
    return (tide_bytes_t){(const uint8_t *) name, (size_t) size};
}

/*  NULL: there are too many. */
static tide_watch_topic_t *require_topic (tide_watch_t *self, tide_bytes_t name)
{
    tide_watch_topic_t *topic;
    HASH_FIND (hh, self->topics, name.data, name.size, topic);
    if (topic || HASH_COUNT (self->topics) >= TOPICS_MAX)
        return topic;
    topic = tide_alloc (sizeof *topic + name.size + 1);
    memcpy (topic->name, name.data, name.size);
    topic->size = name.size;
    HASH_ADD_KEYPTR (hh, self->topics, topic->name, topic->size, topic);
    return topic;
}

static void forget_topics (tide_watch_t *self, bool all)
{
    tide_watch_topic_t *topic, *next;
    HASH_ITER (hh, self->topics, topic, next) {
        if (!all && (topic->listed == self->listing || topic->rate > 0 || topic->touched > 0))
            continue;
        HASH_DEL (self->topics, topic);
        free (topic);
    }
}

static void ask_marks (tide_watch_t *self)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKS_READ};
    message.marks_read.epoch = self->epoch;
    message.marks_read.since = self->marked;
    self->marks_token = self->request (self->argument, &message);
}

/*  Of an event that a listing has counted already only the rate is told. */
static void take_touched (tide_watch_topic_t *topic, uint64_t from, tide_bytes_t offsets)
{
    tide_reader_t reader = tide_reader (offsets);
    for (size_t count = offsets.size / 4; count > 0; count--) {
        uint64_t seq = from + tide_take_u32 (&reader);
        topic->touched++;
        if (seq <= topic->last)
            continue;
        topic->last = seq;
        topic->events++;
    }
}

static void take_mark (tide_watch_t *self, const tide_mark_t *mark)
{
    tide_list_t list = mark->topics;
    tide_touched_t touched;
    char name[TIDE_TOPIC_SIZE_MAX + 3];
    while (tide_touched_next (&list, &touched)) {
        tide_watch_topic_t *topic =
            touched.topic.size > 0 ? require_topic (self, name_shown (touched.topic, name)) : NULL;
        if (topic)
            take_touched (topic, mark->from, touched.offsets);
    }
    self->marked = mark->to;
}

static void take_marks (tide_watch_t *self, const tide_marks_message_t *marks)
{
    uint64_t before = self->marked;
    tide_list_t list = marks->marks;
    tide_mark_t mark;
    while (tide_mark_next (&list, &mark))
        take_mark (self, &mark);
    if (self->marked < marks->head && self->marked > before)
        ask_marks (self);
}

static void ask_topics (tide_watch_t *self, tide_bytes_t after)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_TOPICS_READ};
    message.topics_read.after = after;
    message.topics_read.limit = TIDE_PAGE_EVENTS_MAX;
    self->topics_token = self->request (self->argument, &message);
}

static void take_topics (tide_watch_t *self, const tide_topics_message_t *topics)
{
    char last[TIDE_TOPIC_SIZE_MAX + 1] = "";
    if (self->rounds == 0)
        self->epoch = topics->epoch; /* nothing that is known belongs to another log */
    tide_list_t list = topics->topics;
    tide_topic_info_t info;
    while (tide_topic_info_next (&list, &info)) {
        tide_watch_topic_t *topic = require_topic (self, info.topic);
        snprintf (last, sizeof last, "%.*s", TIDE_PRINT (info.topic));
        self->listed++;
        if (!topic)
            continue;
        topic->events = info.events;
        topic->standing = info.standing;
        topic->last = info.last > topic->last ? info.last : topic->last;
        topic->is_known = true;
        topic->listed = self->listing;
    }
    if (topics->more && *last && self->listed < TOPICS_MAX)
        ask_topics (self, tide_bytes (last));
    else
        forget_topics (self, false);
}

/*  -- named cursors --------------------------------------------------------------------------- */

static void forget_cursors (tide_watch_cursor_t **cursors, size_t *count)
{
    for (size_t at = 0; at < *count; at++) {
        free ((*cursors)[at].name);
        tide_buffer_free (&(*cursors)[at].wants);
    }
    free (*cursors);
    *cursors = NULL;
    *count = 0;
}

static void list_cursor (tide_watch_t *self, const tide_cursor_t *stands)
{
    self->listing_cursors = tide_realloc (
        self->listing_cursors, (self->listed_cursors + 1) * sizeof *self->listing_cursors);
    tide_watch_cursor_t *cursor = &self->listing_cursors[self->listed_cursors++];
    *cursor = (tide_watch_cursor_t){.epoch = stands->epoch};
    tide_buffer_t name = {0};
    tide_buffer_append_bytes (&name, stands->name);
    if (stands->user.size > 0) {
        tide_buffer_append_text (&name, " of ");
        tide_buffer_append_bytes (&name, stands->user);
    }
    tide_put_u8 (&name, 0);
    cursor->name = (char *) name.data;
    /*  One that begins with a snapshot is not behind: that stands for all there is. */
    if (!(stands->flags & TIDE_CURSOR_BEGINS_WITH_SNAPSHOT))
        cursor->want_count = tide_cursor_append_wants (&cursor->wants, stands);
}

static void ask_cursors (tide_watch_t *self, uint64_t request, uint32_t part)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = request;
    message.snapshot.topic = tide_bytes ("$cursor/#");
    message.snapshot.part = part;
    self->cursors_token = self->request (self->argument, &message);
}

/*  How much is behind the next one whose lag can be told; those that can't are passed over. What
 *  was shown before is shown until all is known. */
static void ask_lag (tide_watch_t *self)
{
    while (self->counted < self->listed_cursors
           && self->listing_cursors[self->counted].want_count == 0)
        self->counted++;
    if (self->counted == self->listed_cursors) {
        forget_cursors (&self->cursors, &self->cursor_count);
        self->cursors = self->listing_cursors;
        self->cursor_count = self->listed_cursors;
        self->listing_cursors = NULL;
        self->listed_cursors = 0;
        return;
    }
    const tide_watch_cursor_t *cursor = &self->listing_cursors[self->counted];
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = cursor->epoch;
    message.read.limit = TIDE_PAGE_EVENTS_MAX;
    message.read.size_max = TIDE_PAGE_SIZE_MAX;
    message.read.wants = tide_list (&cursor->wants, cursor->want_count);
    self->lag_token = self->request (self->argument, &message);
}

static void take_standing (tide_watch_t *self, const tide_standing_message_t *standing)
{
    if (standing->part == 0)
        forget_cursors (&self->listing_cursors, &self->listed_cursors);
    tide_list_t events = standing->events;
    tide_event_t event;
    tide_cursor_t cursor;
    while (tide_event_next (&events, &event) && self->listed_cursors < READERS_MAX)
        if (tide_cursor_of (&event, &cursor))
            list_cursor (self, &cursor);
    self->counted = 0;
    if (standing->more && self->listed_cursors < READERS_MAX)
        ask_cursors (self, standing->request, standing->part + 1);
    else
        ask_lag (self);
}

/*  page: NULL where its position is none of this log. */
static void take_lag (tide_watch_t *self, const tide_page_message_t *page)
{
    tide_watch_cursor_t *cursor = &self->listing_cursors[self->counted++];
    if (page)
        cursor->lag = (tide_cell_t){page->more ? TIDE_CELL_LEAST : TIDE_CELL_COUNT,
                                    (double) page->events.count};
    ask_lag (self);
}

/*  -- gateways -------------------------------------------------------------------------------- */

static uint64_t number_of (const json_t *json, const char *name)
{
    json_int_t value = json_integer_value (json_object_get (json, name));
    return value > 0 ? (uint64_t) value : 0;
}

static tide_watch_lane_t *require_lane (tide_watch_t *self, const char *id)
{
    tide_watch_lane_t *lane;
    HASH_FIND_STR (self->lanes, id, lane);
    if (lane)
        return lane;
    lane = tide_alloc (sizeof *lane);
    snprintf (lane->id, sizeof lane->id, "%s", id);
    HASH_ADD_STR (self->lanes, id, lane);
    return lane;
}

static void take_report (tide_watch_t *self, uint64_t now_ms, const char *id, const json_t *json)
{
    const char *gateway = json_string_value (json_object_get (json, "gateway"));
    if (!gateway)
        return;
    tide_watch_lane_t *lane = require_lane (self, id);
    snprintf (lane->gateway, sizeof lane->gateway, "%s", gateway);
    lane->before = lane->now;
    lane->now = (tide_watch_report_t){.at = number_of (json, "at"),
                                      .connections = number_of (json, "connections"),
                                      .sessions = number_of (json, "sessions"),
                                      .behind = number_of (json, "behind"),
                                      .deliveries = number_of (json, "deliveries"),
                                      .publishes = number_of (json, "publishes"),
                                      .calls = number_of (json, "calls")};
    lane->has_rates = lane->heard_ms > 0 && lane->now.at > lane->before.at;
    lane->heard_ms = now_ms;
}

void tide_watch_hear (tide_watch_t *self, uint64_t now_ms, const tide_event_t *event)
{
    tide_bytes_t topic = event->topic;
    char id[sizeof ((tide_watch_lane_t *) NULL)->id];
    tide_args_t args;
    if (!takes (&topic, "$stats/") || topic.size >= sizeof id
        || tide_args_decode (event->payload, &args) != TIDE_OK)
        return;
    snprintf (id, sizeof id, "%.*s", TIDE_PRINT (topic));
    json_t *json = json_loadb ((const char *) args.json.data, args.json.size, 0, NULL);
    take_report (self, now_ms, id, json);
    json_decref (json);
}

static void forget_lanes (tide_watch_t *self, uint64_t now_ms, bool all)
{
    tide_watch_lane_t *lane, *next;
    HASH_ITER (hh, self->lanes, lane, next) {
        if (!all && now_ms - lane->heard_ms < LANE_SILENT_MS)
            continue;
        HASH_DEL (self->lanes, lane);
        free (lane);
    }
}

void tide_watch_forget_silent (tide_watch_t *self, uint64_t now_ms)
{
    forget_lanes (self, now_ms, false);
}

/*  -- a round --------------------------------------------------------------------------------- */

void tide_watch_begin (tide_watch_t *self)
{
    self->is_asking = true;
    tide_message_t message = {.kind = TIDE_MESSAGE_STATS_READ};
    self->stats_token = self->request (self->argument, &message);
    if (self->rounds > 0)
        ask_marks (self);
    if (self->rounds % TOPICS_EVERY == 0 || self->lists_always) {
        self->listing++;
        self->listed = 0;
        ask_topics (self, (tide_bytes_t){0});
    }
    if (self->rounds % READERS_EVERY == 0 || self->lists_always)
        ask_cursors (self, 0, 0);
}

static void end_round (tide_watch_t *self)
{
    double seconds = (double) (self->taken_ms - self->before_ms) / 1000;
    tide_watch_topic_t *topic;
    for (topic = self->topics; topic; topic = topic->hh.next) {
        topic->rate = self->rounds > 0 && seconds > 0 ? (double) topic->touched / seconds : 0;
        topic->touched = 0;
    }
    /*  Marks are read from the first round on. */
    if (self->rounds++ == 0)
        self->marked = self->figures[HEAD];
    self->is_asking = false;
}

/*  Another log, or marks that are not known any more: it goes on at the head. */
static void fail_marks (tide_watch_t *self, const tide_fail_message_t *fail)
{
    if (fail->code == TIDE_EPOCH_CHANGED) {
        self->epoch = fail->epoch;
        forget_topics (self, true);
        self->rounds = 0;
    }
    self->marked = fail->seq;
}

/*  False if there is no going on. */
static bool take_fail (tide_watch_t *self, uint64_t token, const tide_fail_message_t *fail)
{
    if (token == self->lag_token || token == self->cursors_token)
        return true; /* it shows: nothing can be told of them */
    if (token != self->marks_token
        || (fail->code != TIDE_EPOCH_CHANGED && fail->code != TIDE_TRIMMED))
        return fail->code == TIDE_SHUTTING_DOWN;
    fail_marks (self, fail);
    return true;
}

bool tide_watch_answer (tide_watch_t *self, uint64_t now_ms, uint64_t token,
                        const tide_message_t *answer)
{
    uint64_t *tokens[] = {&self->stats_token, &self->marks_token, &self->topics_token,
                          &self->cursors_token, &self->lag_token};
    bool is_lag = token == self->lag_token, is_waiting = false;
    bool goes_on = answer->kind != TIDE_MESSAGE_FAIL || take_fail (self, token, &answer->fail);
    for (size_t at = 0; at < sizeof tokens / sizeof tokens[0]; at++)
        if (*tokens[at] == token)
            *tokens[at] = 0;
    if (answer->kind == TIDE_MESSAGE_STATS)
        take_stats (self, now_ms, &answer->stats);
    else if (answer->kind == TIDE_MESSAGE_MARKS)
        take_marks (self, &answer->marks);
    else if (answer->kind == TIDE_MESSAGE_TOPICS)
        take_topics (self, &answer->topics);
    else if (answer->kind == TIDE_MESSAGE_STANDING)
        take_standing (self, &answer->standing);
    if (is_lag)
        take_lag (self, answer->kind == TIDE_MESSAGE_PAGE ? &answer->page : NULL);
    for (size_t at = 0; at < sizeof tokens / sizeof tokens[0]; at++)
        is_waiting = is_waiting || *tokens[at] != 0;
    if (self->is_asking && !is_waiting)
        end_round (self);
    return goes_on;
}

bool tide_watch_is_asking (const tide_watch_t *self)
{
    return self->is_asking;
}

unsigned tide_watch_rounds (const tide_watch_t *self)
{
    return self->rounds;
}

/*  -- its life -------------------------------------------------------------------------------- */

tide_watch_t *tide_watch_new (tide_watch_request_fn *request, void *argument, bool lists_always)
{
    tide_watch_t *self = tide_alloc (sizeof *self);
    self->request = request;
    self->argument = argument;
    self->lists_always = lists_always;
    return self;
}

void tide_watch_destroy (tide_watch_t **self_p)
{
    tide_watch_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    forget_services (self);
    forget_cursors (&self->cursors, &self->cursor_count);
    forget_cursors (&self->listing_cursors, &self->listed_cursors);
    forget_topics (self, true);
    forget_lanes (self, 0, true);
    free (self);
}
