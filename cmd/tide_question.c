/*  tide_question.c - a command that asks the broker for something, answer by answer, and ends.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_question.h"

uint64_t tide_question_ask (tide_question_t *self, tide_message_t *message)
{
    self->token = tide_client_request (self->client, message);
    return self->token;
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    tide_question_t *self = argument;
    if (token != self->token)
        return;
    if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_SHUTTING_DOWN)
        self->is_due = true;
    else if (!self->take (self, answer)) {
        tide_client_say_fail (self->program->program, &answer->fail);
        self->is_done = self->has_failed = true;
    }
}

static void welcomed (void *argument)
{
    tide_question_t *self = argument;
    if (!self->is_due)
        return;
    self->is_due = false;
    self->begin (self);
}

int tide_question_run (tide_question_t *self, const tide_client_options_t *options)
{
    tide_client_config_t config = {.program = self->program->program,
                                   .endpoint = options->broker,
                                   .argument = self,
                                   .answered = answered,
                                   .welcomed = welcomed};
    self->is_due = true;
    self->client = tide_client_new (&config);
    int exit_status = tide_client_run (self->client, &self->is_done, options->timeout_s);
    tide_client_destroy (&self->client);
    return self->has_failed ? 1 : exit_status;
}
