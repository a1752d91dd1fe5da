/*  pub.c - `tidemark pub`: publishes one event, or one for each line of standard input.
 *
 *  Every event has an id before it is sent, so that it may be sent again and is appended once,
 *  whatever happens to the broker meanwhile (G4). Many are under way at once; what became of them
 *  is printed in the order in which they came in.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_alloc.h"
#include "tide_client.h"
#include "tide_dialect_json.h"
#include "tide_topic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*  Events under way at once: what the broker commits in one batch. */
#define WINDOW TIDE_BATCH_EVENTS_MAX
/*  And their bytes: large events go fewer at a time. */
#define WINDOW_SIZE (32u << 20)
#define READ_SIZE 65536
/*  How long what was crowded out waits. */
#define CROWDED_MS 500

typedef struct {
    tide_client_options_t common;
    char *key;
    char *id;
    bool is_volatile;
} options_t;

static const tide_option_t table[] = {
    TIDE_CLIENT_OPTION_BROKER,
    {"key", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, key),
     .value = "K", .help = "the key under which it stands; without DATA: remove it"},
    {"id", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, id),
     .value = "I", .help = "for publishing again without appending twice; lines get I-1, I-2, …",
     .otherwise = "made"},
    {"volatile", TIDE_OPTION_SWITCH, 1, .is_flag_only = true,
     .offset = offsetof (options_t, is_volatile),
     .help = "not logged, dropped where it is not read"},
    TIDE_CLIENT_OPTION_TIMEOUT,
    {NULL}};

static const tide_program_t program = {
    .program = "tidemark pub",
    .arguments = "TOPIC EVENT [DATA]",
    .about = "Publishes an event and prints where it stands, when it is durable, as JSON.\n"
             "DATA is JSON; - reads lines from standard input, each the data of one event.",
    .table = table,
    .bit = 1,
    .arguments_min = 2,
    .arguments_max = 3,
};

typedef struct {
    uint64_t line; /* of the input, from 1 */
    uint64_t token;
    enum {
        SENT,
        REFUSED_FOR_NOW, /* the broker stops: sent again to the next one */
        CROWDED_OUT,     /* too many wait there: sent again a little later */
        ANSWERED
    } state;
    bool has_failed;       /* and what was wrong has been said */
    uint64_t epoch, seq;   /* where it stands */
    tide_buffer_t message; /* its list of events, to be sent again */
} slot_t;

typedef struct {
    const options_t *options;
    char **arguments;
    tide_client_t *client;
    slot_t slots[WINDOW]; /* a ring: those under way, in order */
    size_t first, count;
    size_t size;         /* bytes of all messages under way */
    tide_buffer_t input; /* read, and not yet published */
    size_t taken;        /* of input */
    uint64_t line;
    bool has_ended; /* the input has */
    bool is_lines;
    bool is_welcome;
    uint64_t again_ms;     /* when those that were crowded out are sent again; 0: there are none */
    bool has_failed;       /* any of them did */
    bool is_given_up;      /* nothing more is taken: the rest would be refused, too */
    uint64_t more_refused; /* since then, not told one by one */
} pub_t;

static void complain (pub_t *self, uint64_t line, tide_status_t status, const char *why)
{
    self->has_failed = true;
    if (self->is_lines)
        fprintf (stderr, "%s: line %" PRIu64 ": %s: %s\n", program.program, line,
                 tide_status_name (status), why);
    else
        fprintf (stderr, "%s: %s: %s\n", program.program, tide_status_name (status), why);
}

/*  -- under way ------------------------------------------------------------------------------- */

static slot_t *slot_at (pub_t *self, size_t at)
{
    return &self->slots[(self->first + at) % WINDOW];
}

static void send_slot (pub_t *self, slot_t *slot)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&slot->message, 1);
    slot->token = tide_client_request (self->client, &message);
    slot->state = SENT;
}

/*  Prints what became of the first ones, as far as is known. */
static void retire (pub_t *self)
{
    while (self->count > 0 && slot_at (self, 0)->state == ANSWERED) {
        slot_t *slot = slot_at (self, 0);
        if (!slot->has_failed)
            printf ("{\"epoch\":\"%016" PRIx64 "\",\"seq\":%" PRIu64 "}\n", slot->epoch, slot->seq);
        self->size -= slot->message.size;
        slot->message.size = 0;
        self->first = (self->first + 1) % WINDOW;
        self->count--;
    }
}

/*  Refusals that say nothing about the one event: what comes behind it would only get ahead of it.
 */
static bool is_about_all (unsigned code)
{
    return code == TIDE_LOG_FULL || code == TIDE_UNAUTHORIZED || code == TIDE_FORBIDDEN
           || code == TIDE_TOKEN_EXPIRED || code == TIDE_RATE_LIMITED;
}

static uint64_t clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static void take_fail (pub_t *self, slot_t *slot, const tide_fail_message_t *fail)
{
    if (fail->code == TIDE_SHUTTING_DOWN) {
        slot->state = REFUSED_FOR_NOW;
        return;
    }
    if (fail->code == TIDE_TOO_MANY) {
        slot->state = CROWDED_OUT;
        if (self->again_ms == 0)
            self->again_ms = clock_ms () + CROWDED_MS;
        return;
    }
    slot->has_failed = true;
    slot->state = ANSWERED;
    if (self->is_given_up) {
        self->more_refused++;
        return;
    }
    char *why = tide_copy (fail->message.data, fail->message.size);
    complain (self, slot->line, (tide_status_t) fail->code, why);
    free (why);
    if (is_about_all (fail->code)) {
        self->is_given_up = self->has_ended = true;
        self->taken = self->input.size;
    }
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    pub_t *self = argument;
    /*  Answers come nearly in order: the search ends soon. */
    for (size_t at = 0; at < self->count; at++) {
        slot_t *slot = slot_at (self, at);
        if (slot->state != SENT || slot->token != token)
            continue;
        if (answer->kind == TIDE_MESSAGE_FAIL)
            take_fail (self, slot, &answer->fail);
        else if (answer->kind == TIDE_MESSAGE_ACK) {
            slot->epoch = answer->ack.epoch;
            slot->seq = answer->ack.first;
            slot->state = ANSWERED;
        }
        break;
    }
    retire (self);
}

static void welcomed (void *argument)
{
    pub_t *self = argument;
    self->is_welcome = true;
    for (size_t at = 0; at < self->count; at++)
        if (slot_at (self, at)->state == REFUSED_FOR_NOW)
            send_slot (self, slot_at (self, at));
}

/*  Sends again, in order, what was crowded out. */
static void send_again (pub_t *self)
{
    if (self->again_ms == 0 || clock_ms () < self->again_ms)
        return;
    self->again_ms = 0;
    for (size_t at = 0; at < self->count; at++)
        if (slot_at (self, at)->state == CROWDED_OUT)
            send_slot (self, slot_at (self, at));
}

/*  -- an event -------------------------------------------------------------------------------- */

/*  {topic,event,data?,key?,id?,volatile?} as one publishes elsewhere. NULL if a text is not UTF-8.
 */
static json_t *make_object (const pub_t *self, json_t *data, const char *id)
{
    json_t *object = json_object ();
    tide_assert (object);
    int rc = json_object_set_new (object, "topic", json_string (self->arguments[0]));
    rc |= json_object_set_new (object, "event", json_string (self->arguments[1]));
    if (data)
        rc |= json_object_set (object, "data", data);
    if (self->options->key)
        rc |= json_object_set_new (object, "key", json_string (self->options->key));
    if (!self->options->is_volatile)
        rc |= json_object_set_new (object, "id", json_string (id));
    else
        rc |= json_object_set_new (object, "volatile", json_true ());
    if (rc == 0)
        return object;
    json_decref (object);
    return NULL;
}

/*  Publishes one event with this data (NULL: none); what is wrong with it is said. */
static void publish (pub_t *self, json_t *data, const char *id)
{
    const char *why = "it is not UTF-8";
    tide_status_t status = TIDE_BAD_REQUEST;
    tide_event_t event;
    tide_buffer_t payload = {0};
    json_t *object = make_object (self, data, id);
    if (object)
        status = tide_json_publish (object, "id", tide_client_payload_max (self->client), &event,
                                    &payload, &why);
    if (status == TIDE_OK && tide_topic_is_system (event.topic)) {
        status = TIDE_FORBIDDEN;
        why = "topics that begin with $ or @ are the system's";
    }
    if (status == TIDE_OK) {
        slot_t *slot = slot_at (self, self->count);
        tide_buffer_t message = slot->message;
        *slot = (slot_t){.line = self->line, .message = message};
        tide_event_append (&slot->message, &event);
        self->count++;
        self->size += slot->message.size;
        send_slot (self, slot);
    }
    else
        complain (self, self->line, status, why);
    json_decref (object);
    tide_buffer_free (&payload);
}

static void make_id (pub_t *self, char id[512])
{
    const char *given = self->options->id;
    if (!given) {
        char made[64];
        tide_client_make_id (self->client, made);
        snprintf (id, 512, "%s", made);
    }
    else if (self->is_lines)
        snprintf (id, 512, "%.400s-%" PRIu64, given, self->line);
    else
        snprintf (id, 512, "%.500s", given);
}

/*  Publishes one event with this JSON text as its data. */
static void publish_text (pub_t *self, tide_bytes_t text)
{
    const char *why;
    json_t *data = tide_json_parse (text, &why);
    if (!data) {
        complain (self, self->line, TIDE_BAD_JSON, why);
        return;
    }
    char id[512];
    make_id (self, id);
    publish (self, data, id);
    json_decref (data);
}

/*  -- lines ----------------------------------------------------------------------------------- */

static bool has_room (const pub_t *self)
{
    /*  Nothing new gets ahead of what was crowded out. */
    return self->count < WINDOW && (self->count == 0 || self->size < WINDOW_SIZE)
           && self->again_ms == 0;
}

static bool is_blank (tide_bytes_t line)
{
    for (size_t at = 0; at < line.size; at++)
        if (!strchr (" \t\r", line.data[at]) || line.data[at] == 0)
            return false;
    return true;
}

/*  Takes the next whole line of what was read; at the input's end also one without its newline. */
static bool next_line (pub_t *self, tide_bytes_t *line)
{
    tide_bytes_t rest = {self->input.data + self->taken, self->input.size - self->taken};
    if (rest.size == 0)
        return false;
    const uint8_t *end = memchr (rest.data, '\n', rest.size);
    if (!end && !self->has_ended)
        return false;
    *line = (tide_bytes_t){rest.data, end ? (size_t) (end - rest.data) : rest.size};
    self->taken += line->size + (end ? 1 : 0);
    return true;
}

static void publish_lines (pub_t *self)
{
    tide_bytes_t line;
    while (has_room (self) && next_line (self, &line)) {
        self->line++;
        if (!is_blank (line))
            publish_text (self, line);
    }
}

/*  A line is data of one event: much longer than the largest payload as JSON it can't be. */
static bool is_line_too_long (const pub_t *self)
{
    return self->input.size - self->taken
           > 2 * (size_t) tide_client_payload_max (self->client) + READ_SIZE;
}

static void read_input (pub_t *self)
{
    if (self->taken > 0) {
        memmove (self->input.data, self->input.data + self->taken, self->input.size - self->taken);
        self->input.size -= self->taken;
        self->taken = 0;
    }
    uint8_t *room = tide_buffer_reserve (&self->input, READ_SIZE);
    ssize_t size = read (STDIN_FILENO, room, READ_SIZE);
    if (size > 0)
        self->input.size += (size_t) size;
    else if (size == 0)
        self->has_ended = true;
    else if (errno != EINTR && errno != EAGAIN) {
        fprintf (stderr, "%s: cannot read standard input: %s\n", program.program, strerror (errno));
        self->has_ended = self->has_failed = true;
    }
}

static bool is_waiting (const pub_t *self)
{
    return self->count > 0 || !self->is_welcome;
}

/*  Publishes what comes in, until its end and the last answer. Returns the exit status. */
static int run_lines (pub_t *self)
{
    while (!self->has_ended || self->input.size > self->taken || self->count > 0) {
        publish_lines (self);
        bool wants_input =
            !self->has_ended && has_room (self) && tide_client_payload_max (self->client) > 0;
        if (tide_client_step (self->client, wants_input ? STDIN_FILENO : -1, 250))
            read_input (self);
        send_again (self);
        if (tide_client_has_failed (self->client)
            || tide_client_gave_up (self->client, is_waiting (self),
                                    self->options->common.timeout_s))
            return 1;
        publish_lines (self);
        if (has_room (self) && is_line_too_long (self)) {
            complain (self, self->line + 1, TIDE_TOO_LARGE, "the line is too long");
            return 1;
        }
    }
    return 0;
}

/*  -- the command ----------------------------------------------------------------------------- */

static int run_one (pub_t *self)
{
    int exit_status =
        tide_client_run (self->client, &self->is_welcome, self->options->common.timeout_s);
    if (exit_status != 0)
        return exit_status;
    self->line = 1;
    if (self->arguments[2])
        publish_text (self, tide_bytes (self->arguments[2]));
    else {
        char id[512];
        make_id (self, id);
        publish (self, NULL, id);
    }
    while (self->count > 0) {
        tide_client_step (self->client, -1, 250);
        send_again (self);
        if (tide_client_has_failed (self->client)
            || tide_client_gave_up (self->client, is_waiting (self),
                                    self->options->common.timeout_s))
            return 1;
    }
    return 0;
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    if (options->is_volatile && options->id) {
        fprintf (stderr, "%s: --id and --volatile exclude each other\n", program.program);
        return 2;
    }
    /*  Its ring is too large for a stack. */
    pub_t *self = tide_alloc (sizeof *self);
    self->options = options;
    self->arguments = arguments;
    self->is_lines = arguments[2] && strcmp (arguments[2], "-") == 0;
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = self,
                                   .answered = answered,
                                   .welcomed = welcomed};
    self->client = tide_client_new (&config);
    int exit_status = self->is_lines ? run_lines (self) : run_one (self);
    if (self->has_failed)
        exit_status = 1;
    if (self->is_given_up && self->is_lines)
        fprintf (stderr, "%s: given up at line %" PRIu64 ": %" PRIu64 " more were refused\n",
                 program.program, self->line, self->more_refused);
    tide_client_destroy (&self->client);
    for (size_t at = 0; at < WINDOW; at++)
        tide_buffer_free (&self->slots[at].message);
    tide_buffer_free (&self->input);
    free (self);
    return exit_status;
}

int tide_command_pub (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
