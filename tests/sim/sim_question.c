/*  sim_question.c - what workers ask clients for: an acknowledgement.
 *
 *  A question is volatile: it may be lost, and then its asker's time is up. It comes to a client
 *  once at most, and is answered once at most, with what that client has said. When faults have
 *  stopped, who is there is asked until the answer comes.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKER "@door"

static sim_question_t *find (sim_t *sim, uint64_t n)
{
    return n > 0 && n <= sim->hooks.question_count ? &sim->hooks.questions[n - 1] : NULL;
}

/*  -- asking ---------------------------------------------------------------------------------- */

static void append_question (uint64_t n, const char *sid, uint32_t timeout_ms,
                             tide_buffer_t *events)
{
    char wanted[32], topic[SIM_SID_SIZE + 1], text[64];
    tide_buffer_t about = {0}, payload = {0};
    snprintf (wanted, sizeof wanted, "q%llu", (unsigned long long) n);
    snprintf (topic, sizeof topic, "@%s", sid);
    snprintf (text, sizeof text, "[%u,\"q\",{\"n\":%llu}]", timeout_ms, (unsigned long long) n);
    tide_called_append (&about, &(tide_called_t){.nsp = tide_bytes ("/"),
                                                 .wanted = tide_bytes (wanted),
                                                 .answer = tide_bytes (ASKER)});
    tide_args_encode (&payload, &(tide_args_t){.many = true,
                                               .about = {about.data + 4, about.size - 4},
                                               .json = tide_bytes (text)});
    tide_event_append (events, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                               .topic = tide_bytes (topic),
                                               .name = tide_bytes (TIDE_ORDER_ASK),
                                               .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

void sim_question_ask (sim_t *sim, const sim_client_t *client)
{
    sim_hooks_t *self = &sim->hooks;
    tide_buffer_t events = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    if (!self->link || client->is_json || client->sid[0] == 0 || client->is_dead)
        return;
    self->questions =
        tide_realloc (self->questions, (self->question_count + 1) * sizeof *self->questions);
    sim_question_t *question = &self->questions[self->question_count++];
    uint32_t timeout_ms = 200 + (uint32_t) sim_random (sim, 3000);
    *question = (sim_question_t){.is_last = !sim->has_faults};
    snprintf (question->sid, sizeof question->sid, "%s", client->sid);
    append_question (self->question_count, client->sid, timeout_ms, &events);
    message.publish.events = tide_list (&events, 1);
    tide_link_request (self->link, sim->now_ms, &message);
    sim_note (sim, "client %u is asked q%llu", client->number,
              (unsigned long long) self->question_count);
    sim->stats.questions++;
    tide_buffer_free (&events);
}

static bool has_answered (const sim_t *sim, const char *sid)
{
    for (size_t at = 0; at < sim->hooks.question_count; at++) {
        const sim_question_t *question = &sim->hooks.questions[at];
        if (question->is_last && question->answers > 0 && strcmp (question->sid, sid) == 0)
            return true;
    }
    return false;
}

static bool is_asked (const sim_t *sim, const sim_client_t *client)
{
    return sim->hooks.is_on && client->state == SIM_OPEN && !client->is_json && !client->ghost
           && !client->reader.is_on && client->sid[0] != 0;
}

/*  Who has not answered is asked again: what is volatile may be lost. */
void sim_questions_last (sim_t *sim)
{
    for (unsigned at = 0; at < sim->client_count; at++)
        if (is_asked (sim, &sim->clients[at]) && !has_answered (sim, sim->clients[at].sid))
            sim_question_ask (sim, &sim->clients[at]);
}

/*  -- who is asked ---------------------------------------------------------------------------- */

bool sim_question_heard (sim_t *sim, sim_client_t *client, const json_t *array, char answer[64])
{
    const char *name = json_string_value (json_array_get (array, 0));
    uint64_t n = (uint64_t) json_integer_value (json_object_get (json_array_get (array, 1), "n"));
    sim_question_t *question = find (sim, n);
    if (!question || !name || strcmp (name, "q") != 0 || strcmp (question->sid, client->sid) != 0) {
        sim_fail (sim, "G7", "client %u is asked what nobody has asked it", client->number);
        return false;
    }
    if (question->heard_by & (1u << client->number))
        sim_fail (sim, "G9", "client %u is asked q%llu again", client->number,
                  (unsigned long long) n);
    question->heard_by |= 1u << client->number;
    if (sim->has_faults && sim_chance (sim, 15))
        return false; /* it never says anything */
    if (sim->mutation == SIM_MUTATION_LOST_ANSWER) {
        sim->mutated++;
        return false;
    }
    question->is_answered = true;
    snprintf (answer, 64, "[{\"n\":%llu}]", (unsigned long long) n);
    return true;
}

/*  -- who asks -------------------------------------------------------------------------------- */

bool sim_question_told (sim_t *sim, const tide_event_t *event)
{
    tide_args_t args;
    tide_replied_t replied;
    char wanted[32], text[64], said[64];
    if (!tide_bytes_is (event->topic, ASKER))
        return false;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied) || replied.wanted.size >= sizeof wanted) {
        sim_fail (sim, "G7", "an answer to a question is malformed");
        return true;
    }
    snprintf (wanted, sizeof wanted, "%.*s", TIDE_PRINT (replied.wanted));
    uint64_t n = strtoull (wanted + 1, NULL, 10);
    sim_question_t *question = find (sim, n);
    snprintf (text, sizeof text, "{\"n\":%llu}", (unsigned long long) n);
    snprintf (said, sizeof said, "%.*s", TIDE_PRINT (args.json));
    if (!question || !tide_bytes_is (event->from, question->sid))
        sim_fail (sim, "G7", "%s is answered, which nobody has asked that session", wanted);
    else if (replied.code == TIDE_OK && (!question->is_answered || !strstr (said, text)))
        sim_fail (sim, "G7", "q%llu is answered with %s, which its client has not said",
                  (unsigned long long) n, said);
    else if (replied.code == TIDE_OK && question->answers++ > 0)
        sim_fail (sim, "G7", "q%llu is answered twice", (unsigned long long) n);
    sim->stats.answers += replied.code == TIDE_OK;
    return true;
}

/*  -- the end --------------------------------------------------------------------------------- */

bool sim_questions_settled (sim_t *sim, bool say)
{
    for (unsigned at = 0; at < sim->client_count; at++) {
        const sim_client_t *client = &sim->clients[at];
        if (!is_asked (sim, client) || has_answered (sim, client->sid))
            continue;
        if (say)
            sim_fail (sim, "G7", "at the end, client %u is asked again and again, in vain",
                      client->number);
        return false;
    }
    return true;
}
