/*  sub.c - `tidemark sub`: prints events as they come, from now or from a position.
 *
 *  Reads as every reader of Tidemark does: a cursor. While it is behind it asks for pages of
 *  history and lets go of what comes live meanwhile; once a page reaches what it let go of, it
 *  goes on with what comes. So nothing is held, and nothing is missed or printed twice.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    tide_client_options_t common;
    char *since;
    uint64_t count;
} options_t;

static const tide_option_t table[] = {
    TIDE_CLIENT_OPTION_BROKER,
    {"since", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, since),
     .standard = "live", .value = "SEQ|start|live|EPOCH:SEQ",
     .help = "where to begin: behind this, then live; a bare SEQ is unsafe across logs"},
    {"count", TIDE_OPTION_NUMBER, 1, .is_flag_only = true, .offset = offsetof (options_t, count),
     .min = 1, .max = UINT64_MAX, .value = "N", .help = "end after so many events"},
    {NULL}};

static const tide_program_t program = {
    .program = "tidemark sub",
    .arguments = "TOPIC...",
    .about = "Prints the events of topics and subtrees (prefix/#, or # for all), one JSON object a "
             "line.\nWhere events are gone for good it says {\"reset\":…} on standard error and "
             "goes on.",
    .table = table,
    .bit = 1,
    .arguments_min = 1,
    .arguments_max = TIDE_WANTS_MAX,
};

typedef struct {
    tide_client_t *client;
    char **topics;
    unsigned topic_count;
    enum {
        LIVE,    /* what comes is printed */
        JOINING, /* a position was given: waits until all topics are joined */
        READING  /* pages are read, until they reach `target` */
    } state;
    unsigned joined;  /* topics that are */
    uint64_t epoch;   /* of cursor; 0: the present one */
    uint64_t cursor;  /* complete up to here */
    uint64_t target;  /* the highest sequence that came live and was let go of */
    uint64_t printed; /* the last one, as overlapping topics may repeat it */
    uint64_t token;   /* of the page that is awaited */
    bool is_due;      /* a page is to be asked for when the broker is there again */
    uint64_t left;    /* events still to be printed; 0 of `has_count`: done */
    bool has_count;
    uint64_t reset_epoch; /* the last one that was told */
    bool is_done;
    bool has_failed;
} sub_t;

static void print (sub_t *self, const tide_event_t *event)
{
    if (self->is_done)
        return;
    tide_client_print_event (event);
    if (self->has_count && --self->left == 0)
        self->is_done = true;
}

static void print_logged (sub_t *self, const tide_event_t *event)
{
    if (event->seq <= self->printed)
        return;
    self->printed = event->seq;
    print (self, event);
}

/*  -- behind ---------------------------------------------------------------------------------- */

static void ask (sub_t *self)
{
    tide_buffer_t wants = {0};
    for (unsigned at = 0; at < self->topic_count; at++) {
        tide_want_t want = {.topic = tide_bytes (self->topics[at]), .seq = self->cursor};
        tide_want_append (&wants, &want);
    }
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = self->epoch;
    message.read.limit = TIDE_PAGE_EVENTS_MAX;
    message.read.size_max = TIDE_PAGE_SIZE_MAX;
    message.read.wants = tide_list (&wants, self->topic_count);
    self->token = tide_client_request (self->client, &message);
    tide_buffer_free (&wants);
}

static void say_epoch (sub_t *self, uint64_t epoch, uint64_t seq)
{
    if (self->reset_epoch != epoch)
        tide_client_say_reset (tide_bytes (""), seq, epoch, TIDE_EPOCH_CHANGED);
    self->reset_epoch = epoch;
}

static void take_page (sub_t *self, const tide_page_message_t *page)
{
    tide_list_t lost = page->lost;
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        tide_client_say_reset (want.topic, want.seq, page->epoch, TIDE_TRIMMED);
    tide_list_t events = page->events;
    tide_event_t event;
    while (tide_event_next (&events, &event))
        print_logged (self, &event);
    self->epoch = page->epoch;
    self->cursor = page->upto;
    if (page->more || self->cursor < self->target)
        ask (self);
    else
        self->state = LIVE;
}

static void take_fail (sub_t *self, const tide_fail_message_t *fail)
{
    if (fail->code == TIDE_SHUTTING_DOWN) {
        self->is_due = true;
        return;
    }
    if (fail->code != TIDE_EPOCH_CHANGED) {
        tide_client_say_fail (program.program, fail);
        self->is_done = self->has_failed = true;
        return;
    }
    /*  What lies before the head of the other log is not read: nothing connects it to where this
     *  reader was. */
    say_epoch (self, fail->epoch, fail->seq);
    self->epoch = fail->epoch;
    self->cursor = self->printed = fail->seq;
    ask (self);
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    sub_t *self = argument;
    if (token != self->token || self->state != READING)
        return;
    self->token = 0;
    if (answer->kind == TIDE_MESSAGE_PAGE)
        take_page (self, &answer->page);
    else if (answer->kind == TIDE_MESSAGE_FAIL)
        take_fail (self, &answer->fail);
}

static void welcomed (void *argument)
{
    sub_t *self = argument;
    if (self->is_due)
        ask (self);
    self->is_due = false;
}

/*  -- live ------------------------------------------------------------------------------------ */

static void let_go (sub_t *self, uint64_t seq)
{
    if (self->target < seq)
        self->target = seq;
}

static void joined (sub_t *self, uint64_t seq)
{
    let_go (self, seq);
    self->joined++;
    if (self->state != JOINING || self->joined < self->topic_count)
        return;
    self->state = READING;
    ask (self);
}

/*  The broker has another log: every position is void, and it goes on where that one stands. */
static void change_epoch (sub_t *self, uint64_t epoch, uint64_t head)
{
    say_epoch (self, epoch, head);
    if (self->token != 0)
        tide_client_cancel (self->client, self->token);
    self->token = 0;
    self->is_due = false;
    self->state = LIVE;
    self->epoch = epoch;
    self->printed = self->target = 0;
    self->joined = 0;
}

static void happened (void *argument, const tide_feed_action_t *action)
{
    sub_t *self = argument;
    switch (action->kind) {
    case TIDE_FEED_JOINED:
        joined (self, action->seq);
        break;
    case TIDE_FEED_EVENT:
        if (self->state == LIVE)
            print_logged (self, &action->event);
        else
            let_go (self, action->seq);
        break;
    case TIDE_FEED_VOLATILE:
        if (self->state == LIVE)
            print (self, &action->event);
        break;
    case TIDE_FEED_LOST:
        /*  While it is behind, the pages tell. */
        if (self->state == LIVE)
            tide_client_say_reset (action->pattern, action->seq, action->epoch, TIDE_TRIMMED);
        break;
    case TIDE_FEED_EPOCH:
        change_epoch (self, action->epoch, action->seq);
        break;
    default:
        break;
    }
}

/*  -- the command ----------------------------------------------------------------------------- */

/*  Leaves each topic once: the feed follows none twice. */
static bool prepare_topics (sub_t *self, char **topics)
{
    self->topics = topics;
    for (char **topic = topics; *topic; topic++) {
        if (!tide_client_check_topic (program.program, *topic))
            return false;
        unsigned at = 0;
        while (at < self->topic_count && strcmp (topics[at], *topic) != 0)
            at++;
        if (at == self->topic_count)
            topics[self->topic_count++] = *topic;
    }
    return true;
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    sub_t self = {.left = options->count, .has_count = options->count > 0};
    bool is_live;
    if (!tide_client_parse_since (options->since, &is_live, &self.epoch, &self.cursor)) {
        fprintf (stderr, "%s: --since is start, live, SEQ or EPOCH:SEQ, not \"%s\"\n",
                 program.program, options->since);
        return 2;
    }
    if (!prepare_topics (&self, arguments))
        return 2;
    self.state = is_live ? LIVE : JOINING;
    /*  A sequence of another log says nothing about this one's. */
    self.printed = is_live || self.epoch != 0 ? 0 : self.cursor;
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = &self,
                                   .answered = answered,
                                   .happened = happened,
                                   .welcomed = welcomed};
    self.client = tide_client_new (&config);
    for (unsigned at = 0; at < self.topic_count; at++)
        tide_client_follow (self.client, tide_bytes (arguments[at]));
    int exit_status = tide_client_run (self.client, &self.is_done, 0);
    tide_client_destroy (&self.client);
    return self.has_failed ? 1 : exit_status;
}

int tide_command_sub (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
