/*  history.c - `tidemark history`: prints logged events, page by page.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_question.h"

#include <inttypes.h>
#include <stdio.h>

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
    tide_question_t question; /* for the next page */
    const char *topic;
    uint64_t epoch, cursor;
    uint64_t left; /* events that may still be printed */
} history_t;

static void ask (tide_question_t *question)
{
    history_t *self = (history_t *) question;
    tide_want_t want = {.topic = tide_bytes (self->topic), .seq = self->cursor};
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &want);
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = self->epoch;
    message.read.limit =
        (uint32_t) (self->left < TIDE_PAGE_EVENTS_MAX ? self->left : TIDE_PAGE_EVENTS_MAX);
    message.read.size_max = TIDE_PAGE_SIZE_MAX;
    message.read.wants = tide_list (&wants, 1);
    tide_question_ask (question, &message);
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
        ask (&self->question);
        return;
    }
    if (has_more)
        fprintf (stderr,
                 "tidemark history: there is more, behind --since %016" PRIx64 ":%" PRIu64 "\n",
                 self->epoch, self->cursor);
    self->question.is_done = true;
}

static bool take (tide_question_t *question, const tide_message_t *answer)
{
    if (answer->kind != TIDE_MESSAGE_PAGE)
        return false;
    take_page ((history_t *) question, &answer->page);
    return true;
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    history_t self = {
        .question = {&program, ask, take}, .topic = arguments[0], .left = options->limit};
    bool is_live;
    if (!tide_client_parse_since (options->since, &is_live, &self.epoch, &self.cursor) || is_live) {
        fprintf (stderr, "%s: --since is start, SEQ or EPOCH:SEQ, not \"%s\"\n", program.program,
                 options->since);
        return 2;
    }
    if (!tide_client_check_topic (program.program, self.topic))
        return 2;
    return tide_question_run (&self.question, &options->common);
}

int tide_command_history (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
