/*  top.c - `tidemark top`: topics with their rates, clients, workers and lag, live in a terminal.
 *
 *  A round a second: the broker's counters, and the marks since the round before, which name each
 *  topic that was touched, and how often. All topics are read now and then, for what stands and is
 *  kept of them. Gateways tell of themselves in volatile events ($stats/LANE). What is shown is
 *  made of that by tide_picture.h.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_client.h"
#include "tide_cursor.h"
#include "tide_picture.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>

enum {
    ROUND_MS = 1000,
    ONCE_MS = 2200,    /* between the two rounds of --once: each lane speaks twice */
    TOPICS_EVERY = 10, /* rounds */
    READERS_EVERY = 5,
    READERS_MAX = 50,     /* of named cursors: each costs a page of history to count */
    TOPICS_MAX = 10000,   /* that are known of */
    TOPICS_SHOWN = 200,   /* at most, however high the terminal is */
    LANE_SILENT_MS = 5000 /* then it is not there any more */
};

typedef struct {
    tide_client_options_t common;
    bool once;
} options_t;

static const tide_option_t table[] = {TIDE_CLIENT_OPTION_BROKER,
                                      {"once", TIDE_OPTION_SWITCH, 1, .is_flag_only = true,
                                       .offset = offsetof (options_t, once),
                                       .help = "print one picture and end, as without a terminal"},
                                      TIDE_CLIENT_OPTION_TIMEOUT,
                                      {NULL}};

static const tide_program_t program = {
    .program = "tidemark top",
    .arguments = "",
    .about =
        "Shows topics with their rates, gateways with their clients, services with their workers\n"
        "and named cursors with their lag, once a second. q ends it.",
    .table = table,
    .bit = 1,
    .arguments_min = 0,
    .arguments_max = 0,
};

/*  The broker's counters that are of interest. */
#define FIGURES(X)                                                                                 \
    X (EVENTS, "events_total")                                                                     \
    X (EVENT_BYTES, "event_bytes_total")                                                           \
    X (BATCHES, "batches_total")                                                                   \
    X (VOLATILES, "volatile_events_total")                                                         \
    X (CALLS, "calls_total")                                                                       \
    X (HEAD, "head")                                                                               \
    X (STANDING, "standing_keys")                                                                  \
    X (WORKERS, "workers")                                                                         \
    X (HISTORY, "history_events{class=\"clients\"}")                                               \
    X (HISTORY_BYTES, "history_bytes{class=\"clients\"}")                                          \
    X (IN_HAND, "open_calls{state=\"lent\"}")                                                      \
    X (WAITING, "open_calls{state=\"waiting\"}")                                                   \
    X (READY, "open_calls{state=\"ready\"}")                                                       \
    X (RESTING, "open_calls{state=\"resting\"}")

enum {
#define X(NAME, text) NAME,
    FIGURES (X)
#undef X
        FIGURE_COUNT
};

typedef struct {
    UT_hash_handle hh;
    uint64_t events, standing, last;
    bool is_known;    /* the broker listed it: events and standing are right */
    uint32_t listed;  /* in which listing */
    uint64_t touched; /* in the round that is under way */
    double rate;
    size_t size;
    char name[];
} topic_t;

typedef struct {
    uint64_t at, connections, sessions, behind, deliveries, publishes, calls;
} report_t;

typedef struct {
    UT_hash_handle hh;
    char id[64];
    char gateway[192];
    uint64_t heard_ms;
    report_t now, before;
    bool has_rates;
} lane_t;

typedef struct {
    char *name;
    uint64_t workers, credit, in_hand, waiting;
} service_t;

/*  Whoever reads by a named cursor. */
typedef struct {
    char *name;
    uint64_t epoch;
    tide_buffer_t wants;
    uint32_t want_count;
    tide_cell_t lag;
} cursor_t;

typedef struct {
    tide_client_t *client;
    const options_t *options;
    bool is_done;

    /*  A round. */
    uint64_t stats_token, marks_token, topics_token, cursors_token, lag_token;
    bool is_asking; /* the broker is there, and its answers have not all come */
    bool has_failed;
    uint64_t next_ms;
    unsigned rounds;

    /*  What is known. */
    uint64_t epoch, marked; /* marks were read up to here */
    uint64_t taken_ms, before_ms;
    uint64_t figures[FIGURE_COUNT], before[FIGURE_COUNT];
    service_t *services;
    size_t service_count;
    cursor_t *cursors; /* whose lag is known up to `counted` */
    cursor_t *listing_cursors;
    size_t cursor_count, listed_cursors, counted;
    topic_t *topics;
    uint32_t listing;
    size_t listed;
    lane_t *lanes;
} top_t;

static uint64_t clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/*  -- the broker's counters ------------------------------------------------------------------- */

static void forget_services (top_t *self)
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

static service_t *require_service (top_t *self, const char *name)
{
    for (size_t at = 0; at < self->service_count; at++)
        if (strcmp (self->services[at].name, name) == 0)
            return &self->services[at];
    self->services =
        tide_realloc (self->services, (self->service_count + 1) * sizeof *self->services);
    service_t *service = &self->services[self->service_count++];
    *service = (service_t){.name = tide_copy (name, strlen (name))};
    return service;
}

/*  service_WHAT{service="NAME",state="STATE"} */
static void take_service (top_t *self, tide_bytes_t name, uint64_t value)
{
    tide_bytes_t what = name;
    while (name.size > 0 && name.data[0] != '{')
        name = (tide_bytes_t){name.data + 1, name.size - 1};
    what.size -= name.size;
    if (!takes (&name, "{service=\""))
        return;
    char *label = take_label (&name);
    service_t *service = require_service (self, label);
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

static void take_stats (top_t *self, const tide_stats_message_t *stats)
{
    static const char *const names[FIGURE_COUNT] = {
#define X(NAME, text) text,
        FIGURES (X)
#undef X
    };
    memcpy (self->before, self->figures, sizeof self->before);
    self->before_ms = self->taken_ms;
    self->taken_ms = clock_ms ();
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
static topic_t *require_topic (top_t *self, tide_bytes_t name)
{
    topic_t *topic;
    HASH_FIND (hh, self->topics, name.data, name.size, topic);
    if (topic || HASH_COUNT (self->topics) >= TOPICS_MAX)
        return topic;
    topic = tide_alloc (sizeof *topic + name.size + 1);
    memcpy (topic->name, name.data, name.size);
    topic->size = name.size;
    HASH_ADD_KEYPTR (hh, self->topics, topic->name, topic->size, topic);
    return topic;
}

static void forget_topics (top_t *self, bool all)
{
    topic_t *topic, *next;
    HASH_ITER (hh, self->topics, topic, next) {
        if (!all && (topic->listed == self->listing || topic->rate > 0 || topic->touched > 0))
            continue;
        HASH_DEL (self->topics, topic);
        free (topic);
    }
}

static void ask_marks (top_t *self)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKS_READ};
    message.marks_read.epoch = self->epoch;
    message.marks_read.since = self->marked;
    self->marks_token = tide_client_request (self->client, &message);
}

static void take_mark (top_t *self, const tide_mark_t *mark)
{
    tide_list_t list = mark->topics;
    tide_touched_t touched;
    char name[TIDE_TOPIC_SIZE_MAX + 3];
    while (tide_touched_next (&list, &touched)) {
        size_t count = touched.offsets.size / 4;
        topic_t *topic =
            touched.topic.size > 0 ? require_topic (self, name_shown (touched.topic, name)) : NULL;
        if (!topic || count == 0)
            continue;
        tide_reader_t last =
            tide_reader ((tide_bytes_t){touched.offsets.data + 4 * (count - 1), 4});
        topic->touched += count;
        topic->last = mark->from + tide_take_u32 (&last);
    }
    self->marked = mark->to;
}

static void take_marks (top_t *self, const tide_marks_message_t *marks)
{
    uint64_t before = self->marked;
    tide_list_t list = marks->marks;
    tide_mark_t mark;
    while (tide_mark_next (&list, &mark))
        take_mark (self, &mark);
    if (self->marked < marks->head && self->marked > before)
        ask_marks (self);
}

static void ask_topics (top_t *self, tide_bytes_t after)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_TOPICS_READ};
    message.topics_read.after = after;
    message.topics_read.limit = TIDE_PAGE_EVENTS_MAX;
    self->topics_token = tide_client_request (self->client, &message);
}

static void take_topics (top_t *self, const tide_topics_message_t *topics)
{
    char last[TIDE_TOPIC_SIZE_MAX + 1] = "";
    if (self->rounds == 0)
        self->epoch = topics->epoch; /* nothing that is known belongs to another log */
    tide_list_t list = topics->topics;
    tide_topic_info_t info;
    while (tide_topic_info_next (&list, &info)) {
        topic_t *topic = require_topic (self, info.topic);
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

static void forget_cursors (cursor_t **cursors, size_t *count)
{
    for (size_t at = 0; at < *count; at++) {
        free ((*cursors)[at].name);
        tide_buffer_free (&(*cursors)[at].wants);
    }
    free (*cursors);
    *cursors = NULL;
    *count = 0;
}

/*  Each of the topics, one a line, behind the cursor's position. */
static void want_topics (cursor_t *cursor, tide_bytes_t topics, uint64_t seq)
{
    while (topics.size > 0 && cursor->want_count < TIDE_WANTS_MAX) {
        const uint8_t *end = memchr (topics.data, '\n', topics.size);
        size_t size = end ? (size_t) (end - topics.data) : topics.size;
        if (size > 0 && size <= TIDE_TOPIC_SIZE_MAX) {
            tide_want_append (&cursor->wants, &(tide_want_t){{topics.data, size}, seq});
            cursor->want_count++;
        }
        size += end != NULL;
        topics = (tide_bytes_t){topics.data + size, topics.size - size};
    }
}

static void list_cursor (top_t *self, const tide_cursor_t *stands)
{
    self->listing_cursors = tide_realloc (
        self->listing_cursors, (self->listed_cursors + 1) * sizeof *self->listing_cursors);
    cursor_t *cursor = &self->listing_cursors[self->listed_cursors++];
    *cursor = (cursor_t){.epoch = stands->epoch};
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
        want_topics (cursor, stands->topics, stands->seq);
}

static void ask_cursors (top_t *self, uint64_t request, uint32_t part)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = request;
    message.snapshot.topic = tide_bytes ("$cursor/#");
    message.snapshot.part = part;
    self->cursors_token = tide_client_request (self->client, &message);
}

/*  How much is behind the next one whose lag can be told; those that can't are passed over. What
 * was shown before is shown until all is known. */
static void ask_lag (top_t *self)
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
    const cursor_t *cursor = &self->listing_cursors[self->counted];
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = cursor->epoch;
    message.read.limit = TIDE_PAGE_EVENTS_MAX;
    message.read.size_max = TIDE_PAGE_SIZE_MAX;
    message.read.wants = tide_list (&cursor->wants, cursor->want_count);
    self->lag_token = tide_client_request (self->client, &message);
}

static void take_standing (top_t *self, const tide_standing_message_t *standing)
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
static void take_lag (top_t *self, const tide_page_message_t *page)
{
    cursor_t *cursor = &self->listing_cursors[self->counted++];
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

static lane_t *require_lane (top_t *self, const char *id)
{
    lane_t *lane;
    HASH_FIND_STR (self->lanes, id, lane);
    if (lane)
        return lane;
    lane = tide_alloc (sizeof *lane);
    snprintf (lane->id, sizeof lane->id, "%s", id);
    HASH_ADD_STR (self->lanes, id, lane);
    return lane;
}

static void take_report (top_t *self, const char *id, const json_t *json)
{
    const char *gateway = json_string_value (json_object_get (json, "gateway"));
    if (!gateway)
        return;
    lane_t *lane = require_lane (self, id);
    snprintf (lane->gateway, sizeof lane->gateway, "%s", gateway);
    lane->before = lane->now;
    lane->now = (report_t){.at = number_of (json, "at"),
                           .connections = number_of (json, "connections"),
                           .sessions = number_of (json, "sessions"),
                           .behind = number_of (json, "behind"),
                           .deliveries = number_of (json, "deliveries"),
                           .publishes = number_of (json, "publishes"),
                           .calls = number_of (json, "calls")};
    lane->has_rates = lane->heard_ms > 0 && lane->now.at > lane->before.at;
    lane->heard_ms = clock_ms ();
}

static void happened (void *argument, const tide_feed_action_t *action)
{
    static const char prefix[] = "$stats/";
    tide_bytes_t topic = action->event.topic;
    if (action->kind != TIDE_FEED_VOLATILE || !takes (&topic, prefix))
        return;
    char id[sizeof ((lane_t *) NULL)->id];
    tide_args_t args;
    if (topic.size >= sizeof id || tide_args_decode (action->event.payload, &args) != TIDE_OK)
        return;
    snprintf (id, sizeof id, "%.*s", TIDE_PRINT (topic));
    json_t *json = json_loadb ((const char *) args.json.data, args.json.size, 0, NULL);
    take_report (argument, id, json);
    json_decref (json);
}

static void forget_lanes (top_t *self, uint64_t now_ms, bool all)
{
    lane_t *lane, *next;
    HASH_ITER (hh, self->lanes, lane, next) {
        if (!all && now_ms - lane->heard_ms < LANE_SILENT_MS)
            continue;
        HASH_DEL (self->lanes, lane);
        free (lane);
    }
}

/*  -- a round --------------------------------------------------------------------------------- */

static void begin_round (top_t *self)
{
    self->is_asking = true;
    tide_message_t message = {.kind = TIDE_MESSAGE_STATS_READ};
    self->stats_token = tide_client_request (self->client, &message);
    if (self->rounds > 0)
        ask_marks (self);
    if (self->rounds % TOPICS_EVERY == 0 || self->options->once) {
        self->listing++;
        self->listed = 0;
        ask_topics (self, (tide_bytes_t){0});
    }
    if (self->rounds % READERS_EVERY == 0 || self->options->once)
        ask_cursors (self, 0, 0);
}

static void end_round (top_t *self)
{
    double seconds = (double) (self->taken_ms - self->before_ms) / 1000;
    topic_t *topic;
    for (topic = self->topics; topic; topic = topic->hh.next) {
        topic->rate = self->rounds > 0 && seconds > 0 ? (double) topic->touched / seconds : 0;
        topic->events += topic->is_known ? topic->touched : 0;
        topic->touched = 0;
    }
    /*  Marks are read from the first round on. */
    if (self->rounds++ == 0)
        self->marked = self->figures[HEAD];
    self->is_asking = false;
}

/*  Another log, or marks that are not known any more: it goes on at the head. */
static void fail_marks (top_t *self, const tide_fail_message_t *fail)
{
    if (fail->code == TIDE_EPOCH_CHANGED) {
        self->epoch = fail->epoch;
        forget_topics (self, true);
        self->rounds = 0;
    }
    self->marked = fail->seq;
}

static void take_fail (top_t *self, uint64_t token, const tide_fail_message_t *fail)
{
    if (token == self->lag_token || token == self->cursors_token)
        return; /* it shows: nothing can be told of them */
    if (token == self->marks_token
        && (fail->code == TIDE_EPOCH_CHANGED || fail->code == TIDE_TRIMMED))
        fail_marks (self, fail);
    else if (fail->code != TIDE_SHUTTING_DOWN) {
        tide_client_say_fail (program.program, fail);
        self->has_failed = self->is_done = true;
    }
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    top_t *self = argument;
    uint64_t *tokens[] = {&self->stats_token, &self->marks_token, &self->topics_token,
                          &self->cursors_token, &self->lag_token};
    bool is_lag = token == self->lag_token;
    if (answer->kind == TIDE_MESSAGE_FAIL)
        take_fail (self, token, &answer->fail);
    for (size_t at = 0; at < sizeof tokens / sizeof tokens[0]; at++)
        if (*tokens[at] == token)
            *tokens[at] = 0;
    if (answer->kind == TIDE_MESSAGE_STATS)
        take_stats (self, &answer->stats);
    else if (answer->kind == TIDE_MESSAGE_MARKS)
        take_marks (self, &answer->marks);
    else if (answer->kind == TIDE_MESSAGE_TOPICS)
        take_topics (self, &answer->topics);
    else if (answer->kind == TIDE_MESSAGE_STANDING)
        take_standing (self, &answer->standing);
    if (is_lag)
        take_lag (self, answer->kind == TIDE_MESSAGE_PAGE ? &answer->page : NULL);
    bool is_waiting = false;
    for (size_t at = 0; at < sizeof tokens / sizeof tokens[0]; at++)
        is_waiting = is_waiting || *tokens[at] != 0;
    if (self->is_asking && !is_waiting)
        end_round (self);
}

/*  -- the picture ----------------------------------------------------------------------------- */

static tide_cell_t count_of (uint64_t value)
{
    return (tide_cell_t){TIDE_CELL_COUNT, (double) value};
}

static tide_cell_t rate_of (double value)
{
    return (tide_cell_t){TIDE_CELL_RATE, value};
}

/*  By how much the figure has risen in a second. */
static tide_cell_t rise_of (const top_t *self, unsigned figure)
{
    double seconds = (double) (self->taken_ms - self->before_ms) / 1000;
    if (self->rounds < 2 || seconds <= 0 || self->figures[figure] < self->before[figure])
        return (tide_cell_t){0};
    return rate_of ((double) (self->figures[figure] - self->before[figure]) / seconds);
}

/*  Appends text in which each % stands for the next of the numbers. */
static void put_line (tide_buffer_t *out, const char *format, const tide_cell_t *numbers)
{
    for (; *format; format++)
        if (*format == '%')
            tide_picture_number (out, *numbers++);
        else
            tide_buffer_append (out, format, 1);
    tide_put_u8 (out, 0);
}

enum { LINES = 3 };

typedef struct {
    uint64_t connections, behind, gateways;
} clients_t;

static void put_lines (const top_t *self, const clients_t *clients, tide_buffer_t lines[LINES])
{
    bool is_away = self->is_asking && clock_ms () > self->next_ms + ROUND_MS;
    tide_buffer_printf (&lines[0], "tidemark top   %s%s   epoch %016" PRIx64 "   head %" PRIu64,
                        is_away ? "THE BROKER IS AWAY   " : "", self->options->common.broker,
                        self->epoch, self->figures[HEAD]);
    tide_put_u8 (&lines[0], 0);
    put_line (&lines[1],
              "events     %/s   %B/s   commits %/s   volatile %/s   history % events, %B   keys %",
              (tide_cell_t[]){
                  rise_of (self, EVENTS), rise_of (self, EVENT_BYTES), rise_of (self, BATCHES),
                  rise_of (self, VOLATILES), count_of (self->figures[HISTORY]),
                  count_of (self->figures[HISTORY_BYTES]), count_of (self->figures[STANDING])});
    put_line (&lines[2],
              "clients    % at % gateways, % behind   workers %   calls %/s, % in hand, % waiting",
              (tide_cell_t[]){count_of (clients->connections), count_of (clients->gateways),
                              count_of (clients->behind), count_of (self->figures[WORKERS]),
                              rise_of (self, CALLS), count_of (self->figures[IN_HAND]),
                              count_of (self->figures[WAITING] + self->figures[READY]
                                        + self->figures[RESTING])});
}

static int by_name (const void *one, const void *other)
{
    return strcmp ((*(lane_t *const *) one)->gateway, (*(lane_t *const *) other)->gateway);
}

static void add_rate (tide_cell_t *cell, const lane_t *lane, uint64_t now, uint64_t before)
{
    if (!lane->has_rates || now < before)
        return;
    cell->kind = TIDE_CELL_RATE;
    cell->value += (double) (now - before) * 1000 / (double) (lane->now.at - lane->before.at);
}

/*  One row for all lanes of a gateway. */
static tide_row_t *make_gateways (const top_t *self, size_t *count, clients_t *clients)
{
    size_t lanes = HASH_COUNT (self->lanes), at = 0;
    lane_t **list = tide_alloc ((lanes + 1) * sizeof (lane_t *));
    tide_row_t *rows = tide_alloc ((lanes + 1) * sizeof *rows);
    *count = 0;
    for (lane_t *lane = self->lanes; lane; lane = lane->hh.next)
        list[at++] = lane;
    qsort (list, lanes, sizeof list[0], by_name);
    for (at = 0; at < lanes; at++) {
        const lane_t *lane = list[at];
        if (at == 0 || strcmp (list[at - 1]->gateway, lane->gateway) != 0)
            rows[(*count)++] = (tide_row_t){.name = tide_bytes (lane->gateway),
                                            .cells = {count_of (0), count_of (0)}};
        tide_cell_t *cells = rows[*count - 1].cells;
        cells[0].value += (double) lane->now.connections;
        cells[1].value += (double) lane->now.behind;
        add_rate (&cells[2], lane, lane->now.deliveries, lane->before.deliveries);
        add_rate (&cells[3], lane, lane->now.publishes, lane->before.publishes);
        add_rate (&cells[4], lane, lane->now.calls, lane->before.calls);
        clients->connections += lane->now.connections;
        clients->behind += lane->now.behind;
    }
    clients->gateways = *count;
    free (list);
    return rows;
}

static int by_service (const void *one, const void *other)
{
    return strcmp (((const service_t *) one)->name, ((const service_t *) other)->name);
}

static tide_row_t *make_services (const top_t *self)
{
    tide_row_t *rows = tide_alloc ((self->service_count + 1) * sizeof *rows);
    if (self->service_count > 0)
        qsort (self->services, self->service_count, sizeof *self->services, by_service);
    for (size_t at = 0; at < self->service_count; at++) {
        const service_t *service = &self->services[at];
        rows[at] =
            (tide_row_t){.name = tide_bytes (service->name),
                         .cells = {count_of (service->workers), count_of (service->credit),
                                   count_of (service->in_hand), count_of (service->waiting)}};
    }
    return rows;
}

static tide_row_t *make_cursors (const top_t *self)
{
    tide_row_t *rows = tide_alloc ((self->cursor_count + 1) * sizeof *rows);
    for (size_t at = 0; at < self->cursor_count; at++)
        rows[at] = (tide_row_t){.name = tide_bytes (self->cursors[at].name),
                                .cells = {self->cursors[at].lag}};
    return rows;
}

static int by_rate (const void *one, const void *other)
{
    const topic_t *left = *(topic_t *const *) one, *right = *(topic_t *const *) other;
    if (left->rate > right->rate || left->rate < right->rate)
        return left->rate > right->rate ? -1 : 1;
    return left->last > right->last ? -1 : left->last < right->last;
}

static tide_row_t *make_topics (const top_t *self, size_t *count)
{
    size_t all = HASH_COUNT (self->topics), at = 0;
    topic_t **list = tide_alloc ((all + 1) * sizeof (topic_t *));
    for (topic_t *topic = self->topics; topic; topic = topic->hh.next)
        list[at++] = topic;
    qsort (list, all, sizeof list[0], by_rate);
    *count = all < TOPICS_SHOWN ? all : TOPICS_SHOWN;
    tide_row_t *rows = tide_alloc ((*count + 1) * sizeof *rows);
    for (at = 0; at < *count; at++) {
        const topic_t *topic = list[at];
        rows[at] =
            (tide_row_t){.name = {(const uint8_t *) topic->name, topic->size},
                         .cells = {[0] = rate_of (topic->rate), [3] = count_of (topic->last)}};
        if (self->rounds < 2)
            rows[at].cells[0].kind = TIDE_CELL_NONE;
        if (topic->is_known) {
            rows[at].cells[1] = count_of (topic->events);
            rows[at].cells[2] = count_of (topic->standing);
        }
    }
    free (list);
    return rows;
}

static void draw (top_t *self, unsigned width, unsigned height, bool has_colors, tide_buffer_t *out)
{
    clients_t clients = {0};
    size_t gateway_count, topic_count;
    tide_row_t *gateways = make_gateways (self, &gateway_count, &clients);
    tide_row_t *services = make_services (self);
    tide_row_t *cursors = make_cursors (self);
    tide_row_t *topics = make_topics (self, &topic_count);
    tide_buffer_t lines[LINES] = {0};
    put_lines (self, &clients, lines);
    const char *texts[LINES];
    for (unsigned at = 0; at < LINES; at++)
        texts[at] = (const char *) lines[at].data;
    const tide_table_t tables[] = {
        {.title = "GATEWAY",
         .heads = {"CLIENTS", "BEHIND", "OUT/s", "IN/s", "CALLS/s"},
         .rows = gateways,
         .row_count = gateway_count,
         .empty = "no gateway has told of itself"},
        {.title = "SERVICE",
         .heads = {"WORKERS", "CREDIT", "IN HAND", "WAITING"},
         .rows = services,
         .row_count = self->service_count},
        {.title = "CURSOR", .heads = {"LAG"}, .rows = cursors, .row_count = self->cursor_count},
        {.title = "TOPIC",
         .heads = {"EVENTS/s", "EVENTS", "KEYS", "LAST"},
         .rows = topics,
         .row_count = topic_count,
         .empty = "there are no topics yet"},
    };
    tide_picture_draw (&(tide_picture_t){.lines = texts,
                                         .line_count = LINES,
                                         .tables = tables,
                                         .table_count = sizeof tables / sizeof tables[0],
                                         .width = width,
                                         .height = height,
                                         .has_colors = has_colors},
                       out);
    for (unsigned at = 0; at < LINES; at++)
        tide_buffer_free (&lines[at]);
    free (gateways);
    free (services);
    free (cursors);
    free (topics);
}

/*  -- a terminal ------------------------------------------------------------------------------ */

static struct termios terminal_before;
static volatile sig_atomic_t is_interrupted;

static void interrupt (int number)
{
    (void) number;
    is_interrupted = 1;
}

static void put_out (tide_bytes_t bytes)
{
    while (bytes.size > 0) {
        ssize_t size = write (STDOUT_FILENO, bytes.data, bytes.size);
        if (size <= 0)
            return;
        bytes = (tide_bytes_t){bytes.data + size, bytes.size - (size_t) size};
    }
}

/*  Another screen, without a cursor; keys are told at once, and not shown. Ctrl-Z would leave the
 *  terminal like that. */
static void open_terminal (void)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction (SIGINT, &action, NULL);
    sigaction (SIGTERM, &action, NULL);
    sigaction (SIGHUP, &action, NULL);
    tcgetattr (STDIN_FILENO, &terminal_before);
    struct termios raw = terminal_before;
    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr (STDIN_FILENO, TCSANOW, &raw);
    put_out (tide_bytes ("\x1b[?1049h\x1b[?25l"));
}

static void close_terminal (void)
{
    put_out (tide_bytes ("\x1b[?25h\x1b[?1049l"));
    tcsetattr (STDIN_FILENO, TCSANOW, &terminal_before);
}

/*  Over what is there, line by line, so that it does not flicker. */
static void show (top_t *self)
{
    struct winsize size = {0};
    ioctl (STDOUT_FILENO, TIOCGWINSZ, &size);
    tide_buffer_t text = {0}, out = {0};
    draw (self, size.ws_col > 0 ? size.ws_col : 80, size.ws_row > 0 ? size.ws_row : 24, true,
          &text);
    tide_buffer_append_text (&out, "\x1b[H");
    for (size_t at = 0; at < text.size; at++)
        if (text.data[at] == '\n')
            tide_buffer_append_text (&out, "\x1b[K\n");
        else
            tide_buffer_append (&out, text.data + at, 1);
    tide_buffer_append_text (&out, "\x1b[K\x1b[J");
    put_out (tide_buffer_bytes (&out));
    tide_buffer_free (&text);
    tide_buffer_free (&out);
}

/*  True if it is to end: a terminal that is gone says nothing more, either. */
static bool was_told_to_end (void)
{
    char keys[64];
    ssize_t size = read (STDIN_FILENO, keys, sizeof keys);
    return size <= 0 || memchr (keys, 'q', (size_t) size) || memchr (keys, 'Q', (size_t) size);
}

/*  -- the command ----------------------------------------------------------------------------- */

static void welcomed (void *argument)
{
    top_t *self = argument;
    if (!self->is_asking && self->rounds == 0)
        self->next_ms = 0;
}

static void step (top_t *self, int other, bool *has_input)
{
    uint64_t now = clock_ms ();
    unsigned wait_ms = self->next_ms > now ? (unsigned) (self->next_ms - now) : ROUND_MS / 4;
    *has_input = tide_client_step (self->client, other, wait_ms);
}

static bool is_round_due (const top_t *self)
{
    return !self->is_asking && clock_ms () >= self->next_ms
           && tide_client_payload_max (self->client) > 0;
}

static int run_once (top_t *self)
{
    bool has_input;
    while (!self->is_done && !tide_client_has_failed (self->client) && self->rounds < 2) {
        if (is_round_due (self)) {
            self->next_ms = clock_ms () + ONCE_MS;
            begin_round (self);
        }
        step (self, -1, &has_input);
        if (tide_client_gave_up (self->client, self->is_asking || self->rounds == 0,
                                 self->options->common.timeout_s))
            return 1;
    }
    if (self->has_failed || tide_client_has_failed (self->client))
        return 1;
    tide_buffer_t out = {0};
    draw (self, 0, 0, false, &out);
    put_out (tide_buffer_bytes (&out));
    tide_buffer_free (&out);
    return 0;
}

static int run_live (top_t *self)
{
    open_terminal ();
    while (!self->is_done && !tide_client_has_failed (self->client) && !is_interrupted) {
        if (clock_ms () >= self->next_ms) {
            forget_lanes (self, clock_ms (), false);
            show (self);
            if (is_round_due (self)) {
                self->next_ms = clock_ms () + ROUND_MS;
                begin_round (self);
            }
        }
        bool has_input;
        step (self, STDIN_FILENO, &has_input);
        self->is_done = self->is_done || (has_input && was_told_to_end ());
    }
    close_terminal ();
    return self->has_failed || tide_client_has_failed (self->client);
}

static int run (const options_t *options)
{
    top_t self = {.options = options};
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = &self,
                                   .answered = answered,
                                   .happened = happened,
                                   .welcomed = welcomed};
    self.client = tide_client_new (&config);
    tide_client_follow (self.client, tide_bytes ("$stats/#"));
    bool is_terminal = isatty (STDIN_FILENO) && isatty (STDOUT_FILENO);
    int exit_status = options->once || !is_terminal ? run_once (&self) : run_live (&self);
    tide_client_destroy (&self.client);
    forget_services (&self);
    forget_cursors (&self.cursors, &self.cursor_count);
    forget_cursors (&self.listing_cursors, &self.listed_cursors);
    forget_topics (&self, true);
    forget_lanes (&self, 0, true);
    return exit_status;
}

int tide_command_top (int argc, char *argv[])
{
    options_t options = {0};
    char **arguments;
    int exit_status;
    if (tide_client_options (&program, argc, argv, &options, &arguments, &exit_status))
        exit_status = run (&options);
    tide_options_free (table, &options);
    free (arguments);
    return exit_status;
}
