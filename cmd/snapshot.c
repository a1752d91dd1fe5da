/*  snapshot.c - `tidemark snapshot`: prints the standing keyed events as of one sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_dialect_json.h"
#include "tide_question.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct {
    tide_client_options_t common;
} options_t;

static const tide_option_t table[] = {
    TIDE_CLIENT_OPTION_BROKER, TIDE_CLIENT_OPTION_TIMEOUT, {NULL}};

static const tide_program_t program = {
    .program = "tidemark snapshot",
    .arguments = "TOPIC",
    .about = "Prints the standing keyed events of a topic or a subtree (prefix/#), one JSON object "
             "a\nline, and on standard error the sequence N as of which they stand: with\n"
             "`tidemark sub TOPIC --since EPOCH:N` one goes on from there.",
    .table = table,
    .bit = 1,
    .arguments_min = 1,
    .arguments_max = 1,
};

typedef struct {
    tide_question_t question;
    const char *topic;
    uint32_t part;       /* the one that is awaited */
    tide_buffer_t lines; /* of the parts so far: a part 0 makes them void */
    uint64_t count;
} snapshot_t;

static void ask (snapshot_t *self)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = self->part > 0 ? self->question.token : 0;
    message.snapshot.topic = tide_bytes (self->topic);
    message.snapshot.part = self->part;
    tide_question_ask (&self->question, &message);
}

static void take_part (snapshot_t *self, const tide_standing_message_t *standing)
{
    if (standing->part == 0)
        self->lines.size = self->count = 0;
    tide_list_t events = standing->events;
    tide_event_t event;
    while (tide_event_next (&events, &event)) {
        tide_json_event (&self->lines, &event, NULL);
        tide_buffer_append_text (&self->lines, "\n");
        self->count++;
    }
    if (standing->more) {
        self->part = standing->part + 1;
        ask (self);
        return;
    }
    if (self->count > 0)
        fwrite (self->lines.data, 1, self->lines.size, stdout);
    fflush (stdout);
    tide_buffer_t told = {0};
    tide_buffer_append_text (&told, "{\"snapshot\":{\"topic\":");
    tide_json_string (&told, tide_bytes (self->topic));
    tide_buffer_append_text (&told, ",\"epoch\":");
    tide_json_epoch (&told, standing->epoch);
    tide_buffer_printf (&told, ",\"seq\":%" PRIu64 ",\"events\":%" PRIu64 "}}\n", standing->seq,
                        self->count);
    fwrite (told.data, 1, told.size, stderr);
    tide_buffer_free (&told);
    self->question.is_done = true;
}

static void begin (tide_question_t *question)
{
    snapshot_t *self = (snapshot_t *) question;
    self->part = 0;
    ask (self);
}

static bool take (tide_question_t *question, const tide_message_t *answer)
{
    if (answer->kind != TIDE_MESSAGE_STANDING)
        return false;
    take_part ((snapshot_t *) question, &answer->standing);
    return true;
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    snapshot_t self = {.question = {&program, begin, take}, .topic = arguments[0]};
    if (!tide_client_check_topic (program.program, self.topic))
        return 2;
    int exit_status = tide_question_run (&self.question, &options->common);
    tide_buffer_free (&self.lines);
    return exit_status;
}

int tide_command_snapshot (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
