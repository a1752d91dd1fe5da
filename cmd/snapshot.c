/*  snapshot.c - `tidemark snapshot`: prints the standing keyed events as of one sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_client.h"
#include "tide_dialect_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    tide_client_t *client;
    const char *topic;
    uint64_t token;
    uint32_t part;       /* the one that is awaited */
    tide_buffer_t lines; /* of the parts so far: a part 0 makes them void */
    uint64_t count;
    bool is_due;
    bool is_done;
    bool has_failed;
} snapshot_t;

static void ask (snapshot_t *self)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = self->part > 0 ? self->token : 0;
    message.snapshot.topic = tide_bytes (self->topic);
    message.snapshot.part = self->part;
    self->token = tide_client_request (self->client, &message);
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
    self->is_done = true;
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    snapshot_t *self = argument;
    if (token != self->token)
        return;
    if (answer->kind == TIDE_MESSAGE_STANDING)
        take_part (self, &answer->standing);
    else if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_SHUTTING_DOWN)
        self->is_due = true;
    else if (answer->kind == TIDE_MESSAGE_FAIL) {
        tide_client_say_fail (program.program, &answer->fail);
        self->is_done = self->has_failed = true;
    }
}

static void welcomed (void *argument)
{
    snapshot_t *self = argument;
    if (!self->is_due)
        return;
    self->is_due = false;
    self->part = 0;
    ask (self);
}

static int run (const options_t *options, const char *topic)
{
    if (!tide_client_check_topic (program.program, topic))
        return 2;
    snapshot_t self = {.topic = topic, .is_due = true};
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = &self,
                                   .answered = answered,
                                   .welcomed = welcomed};
    self.client = tide_client_new (&config);
    int exit_status = tide_client_run (self.client, &self.is_done, options->common.timeout_s);
    tide_client_destroy (&self.client);
    tide_buffer_free (&self.lines);
    return self.has_failed ? 1 : exit_status;
}

int tide_command_snapshot (int argc, char *argv[])
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
