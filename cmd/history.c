/*  history.c - `tidemark history`: prints logged events, page by page.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    tide_client_options_t common;
    char *since;
    uint64_t limit;
} options_t;

static const tide_option_t table[] = {
    TIDE_CLIENT_OPTION_BROKER,
    {"since", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, since),
     .standard = "start", .value = "SEQ|EPOCH:SEQ",
     .help = "what comes after this; a bare SEQ is unsafe across logs"},
    {"limit", TIDE_OPTION_NUMBER, 1, .is_flag_only = true, .offset = offsetof (options_t, limit),
     .standard = "100", .min = 1, .max = 1000000000, .value = "N", .help = "events at most"},
    TIDE_CLIENT_OPTION_TIMEOUT,
    {NULL}};

static const tide_program_t program = {
    .program = "tidemark history",
    .arguments = "TOPIC",
    .about = "Prints the logged events of a topic or a subtree (prefix/#), one JSON object a line.",
    .table = table,
    .bit = 1,
    .arguments_min = 1,
    .arguments_max = 1,
};

typedef struct {
    tide_client_t *client;
    const char *topic;
    uint64_t epoch, cursor;
    uint64_t left; /* events that may still be printed */
    uint64_t token;
    bool is_due; /* the next page is to be asked for when the broker is there again */
    bool is_done;
    bool has_failed;
} history_t;

static void ask (history_t *self)
{
    tide_want_t want = {.topic = tide_bytes (self->topic), .seq = self->cursor};
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &want);
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = self->epoch;
    message.read.limit =
        (uint32_t) (self->left < TIDE_PAGE_EVENTS_MAX ? self->left : TIDE_PAGE_EVENTS_MAX);
    message.read.size_max = TIDE_PAGE_SIZE_MAX;
    message.read.wants = tide_list (&wants, 1);
    self->token = tide_client_request (self->client, &message);
    tide_buffer_free (&wants);
}

static void take_page (history_t *self, const tide_page_message_t *page)
{
    tide_list_t lost = page->lost;
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        tide_client_say_reset (want.topic, want.seq, page->epoch, TIDE_TRIMMED);
    tide_list_t events = page->events;
    tide_event_t event;
    while (self->left > 0 && tide_event_next (&events, &event)) {
        tide_client_print_event (&event);
        self->left--;
    }
    self->epoch = page->epoch;
    self->cursor = page->upto;
    bool has_more = page->more;
    if (has_more && self->left > 0) {
        ask (self);
        return;
    }
    if (has_more)
        fprintf (stderr,
                 "tidemark history: there is more, behind --since %016" PRIx64 ":%" PRIu64 "\n",
                 self->epoch, self->cursor);
    self->is_done = true;
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    history_t *self = argument;
    if (token != self->token)
        return;
    if (answer->kind == TIDE_MESSAGE_PAGE)
        take_page (self, &answer->page);
    else if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_SHUTTING_DOWN)
        self->is_due = true;
    else if (answer->kind == TIDE_MESSAGE_FAIL) {
        tide_client_say_fail (program.program, &answer->fail);
        self->is_done = self->has_failed = true;
    }
}

static void welcomed (void *argument)
{
    history_t *self = argument;
    if (self->is_due)
        ask (self);
    self->is_due = false;
}

static int run (const options_t *options, const char *topic)
{
    history_t self = {.topic = topic, .left = options->limit, .is_due = true};
    bool is_live;
    if (!tide_client_parse_since (options->since, &is_live, &self.epoch, &self.cursor) || is_live) {
        fprintf (stderr, "%s: --since is start, SEQ or EPOCH:SEQ, not \"%s\"\n", program.program,
                 options->since);
        return 2;
    }
    if (!tide_client_check_topic (program.program, topic))
        return 2;
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = &self,
                                   .answered = answered,
                                   .welcomed = welcomed};
    self.client = tide_client_new (&config);
    int exit_status = tide_client_run (self.client, &self.is_done, options->common.timeout_s);
    tide_client_destroy (&self.client);
    return self.has_failed ? 1 : exit_status;
}

int tide_command_history (int argc, char *argv[])
{
    options_t options = {0};
    char **arguments;
    int exit_status;
    if (tide_client_options (&program, argc, argv, &options, &arguments, &exit_status))
        exit_status = run (&options, arguments[0]);
    tide_options_free (table, &options);
    free (arguments);
    return exit_status;
}
