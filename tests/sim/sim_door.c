/*  sim_door.c - the worker at the door. It is killed, cut off and slow as others are.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t lease_ms = 1500;

static void drain (sim_t *sim);

static void start (sim_t *sim)
{
    sim_hooks_t *self = &sim->hooks;
    char origin[32];
    snprintf (origin, sizeof origin, "door%llu", (unsigned long long) ++sim->serial);
    self->link =
        tide_link_new (&(tide_link_config_t){.name = "door", .lease = NULL, .origin = origin});
    self->serve_at_ms = UINT64_MAX;
    self->epoch = 0;
    memset (self->hands, 0, sizeof self->hands);
    sim_note (sim, "the door starts");
    tide_link_start (self->link, sim->now_ms);
    drain (sim);
}

void sim_hooks_start (sim_t *sim)
{
    if (sim->hooks.is_on)
        start (sim);
}

void sim_hooks_free (sim_t *sim)
{
    sim_hooks_t *self = &sim->hooks;
    tide_link_destroy (&self->link);
    sim_dealer_close (&self->dealer);
    free (self->guests);
    free (self->told);
    free (self->orders);
    free (self->questions);
}

void sim_hooks_mend (sim_t *sim)
{
    sim->hooks.up_at_ms = sim->now_ms;
}

static void serve (sim_t *sim)
{
    static const char *const names[] = {TIDE_HOOK_CONNECT, TIDE_HOOK_DISCONNECT, TIDE_HOOK_EXPIRED};
    tide_buffer_t offers = {0};
    for (unsigned at = 0; at < 3; at++)
        tide_offer_append (
            &offers, &(tide_offer_t){.nsp = tide_bytes ("/"), .event = tide_bytes (names[at])});
    tide_message_t message = {.kind = TIDE_MESSAGE_SERVE,
                              .serve = {.service = tide_bytes ("door"),
                                        .credit = SIM_DOOR_HANDS / 2,
                                        .lease_ms = lease_ms,
                                        .attempts = 100,
                                        .delay_ms = 50,
                                        .offers = tide_list (&offers, 3)}};
    sim->hooks.serve_at_ms = UINT64_MAX;
    sim->hooks.serve_token = tide_link_request (sim->hooks.link, sim->now_ms, &message);
    tide_buffer_free (&offers);
}

/*  -- orders ---------------------------------------------------------------------------------- */

/*  Appends an order for somebody who is there, or was; false if nobody is. */
static bool append_order (sim_t *sim, tide_buffer_t *events)
{
    static const char *const names[] = {TIDE_ORDER_JOIN, TIDE_ORDER_LEAVE, TIDE_ORDER_DISCONNECT};
    const sim_client_t *client = &sim->clients[sim_random (sim, sim->client_count)];
    char topic[SIM_SID_SIZE + 1], text[TIDE_TOPIC_SIZE_MAX + 2], id[64];
    unsigned pattern = (unsigned) sim_random (sim, SIM_TOPICS);
    unsigned dice = (unsigned) sim_random (sim, 100), kind = dice < 45 ? 0 : dice < 92 ? 1 : 2;
    if (client->is_json || client->reader.is_on || client->sid[0] == 0)
        return false;
    for (unsigned tries = 0; kind == 1 && tries < 8 && client->topics[pattern].state == SIM_OUT;
         tries++)
        pattern = (unsigned) sim_random (sim, SIM_TOPICS);
    snprintf (topic, sizeof topic, "@%s", client->sid);
    if (kind == 2)
        snprintf (text, sizeof text, "%s", sim_chance (sim, 30) ? "true" : "false");
    else
        snprintf (text, sizeof text, "\"%s\"", sim_patterns[pattern]);
    tide_link_make_id (sim->hooks.link, id);
    tide_buffer_t payload = {0};
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (text)});
    tide_event_append (events, &(tide_event_t){.topic = tide_bytes (topic),
                                               .name = tide_bytes (names[kind]),
                                               .id = tide_bytes (id),
                                               .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
    return true;
}

void sim_door_act (sim_t *sim)
{
    tide_buffer_t events = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    if (sim_chance (sim, 25)) {
        sim_question_ask (sim, &sim->clients[sim_random (sim, sim->client_count)]);
        drain (sim);
        return;
    }
    if (!sim->hooks.link || !append_order (sim, &events)) {
        tide_buffer_free (&events);
        return;
    }
    message.publish.events = tide_list (&events, 1);
    tide_link_request (sim->hooks.link, sim->now_ms, &message);
    tide_buffer_free (&events);
    drain (sim);
}

/*  Most come in, and half of them into some topic. */
static void answer (sim_t *sim, const sim_door_hand_t *hand)
{
    tide_buffer_t payload = {0}, order = {0}, events = {0};
    char topic[SIM_SID_SIZE + 1], room[TIDE_TOPIC_SIZE_MAX + 2];
    unsigned pattern = (unsigned) sim_random (sim, SIM_TOPICS);
    bool is_refused = hand->asks && sim->has_faults && sim_chance (sim, 8);
    bool is_order = hand->asks && !is_refused && sim_chance (sim, 50);
    snprintf (topic, sizeof topic, "@%s", hand->sid);
    snprintf (room, sizeof room, "\"%s\"", sim_patterns[pattern]);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (
                                                   is_refused ? "{\"message\":\"no\"}" : "null")});
    tide_args_encode (&order, &(tide_args_t){.json = tide_bytes (room)});
    if (is_order)
        tide_event_append (&events, &(tide_event_t){.topic = tide_bytes (topic),
                                                    .name = tide_bytes (TIDE_ORDER_JOIN),
                                                    .payload = tide_buffer_bytes (&order)});
    else if (!hand->asks && sim->has_faults && sim_chance (sim, 50))
        is_order = append_order (sim, &events); /* of another one */
    tide_link_request (
        sim->hooks.link, sim->now_ms,
        &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                          .done = {.call = hand->call,
                                   .attempt = hand->attempt,
                                   .payload = tide_buffer_bytes (&payload),
                                   .events = tide_list (&events, is_order ? 1 : 0)}});
    sim->stats.hooks++;
    tide_buffer_free (&payload);
    tide_buffer_free (&order);
    tide_buffer_free (&events);
}

static void lent (sim_t *sim, const tide_message_t *message)
{
    tide_list_t list = message->lend.events;
    tide_event_t event;
    size_t at = 0;
    if (!tide_event_next (&list, &event))
        return;
    while (at < SIM_DOOR_HANDS && sim->hooks.hands[at].call > 0)
        at++;
    if (at == SIM_DOOR_HANDS)
        at = sim_random (sim, SIM_DOOR_HANDS); /* that one it forgets */
    sim_door_hand_t *hand = &sim->hooks.hands[at];
    *hand = (sim_door_hand_t){.call = message->lend.call,
                              .attempt = message->lend.attempt,
                              .due_ms = sim->now_ms + sim_random (sim, 30),
                              .asks = tide_bytes_is (event.name, TIDE_HOOK_CONNECT)};
    snprintf (hand->sid, sizeof hand->sid, "%.*s", TIDE_PRINT (event.from));
}

static void drain (sim_t *sim)
{
    sim_hooks_t *self = &sim->hooks;
    tide_link_action_t action;
    while (!sim->failed && self->link && tide_link_next_action (self->link, &action)) {
        if (action.kind == TIDE_LINK_CONNECT) {
            sim_dealer_close (&self->dealer);
            sim_dealer_open (sim, &self->dealer);
        }
        else if (action.kind == TIDE_LINK_SEND)
            sim_dealer_send (sim, &self->dealer, action.bytes);
        else if (action.kind == TIDE_LINK_UP) {
            if (self->epoch != action.message->welcome.epoch)
                memset (self->hands, 0, sizeof self->hands);
            self->epoch = action.message->welcome.epoch;
            self->serve_at_ms = sim->now_ms;
        }
        else if (action.kind == TIDE_LINK_LENT)
            lent (sim, action.message);
        else if (action.kind == TIDE_LINK_ANSWER && action.token == self->serve_token
                 && action.message->kind == TIDE_MESSAGE_FAIL)
            self->serve_at_ms = sim->now_ms + 200;
    }
}

void sim_door_receive (sim_t *sim, tide_bytes_t bytes)
{
    if (!sim->hooks.link)
        return;
    tide_link_receive (sim->hooks.link, sim->now_ms, bytes);
    drain (sim);
}

uint64_t sim_door_due_ms (const sim_hooks_t *self)
{
    if (!self->link)
        return self->up_at_ms;
    uint64_t due_ms = tide_link_deadline_ms (self->link);
    if (self->serve_at_ms < due_ms)
        due_ms = self->serve_at_ms;
    for (size_t at = 0; at < SIM_DOOR_HANDS; at++)
        if (self->hands[at].call > 0 && self->hands[at].due_ms < due_ms)
            due_ms = self->hands[at].due_ms;
    return due_ms;
}

void sim_door_tick (sim_t *sim)
{
    sim_hooks_t *self = &sim->hooks;
    if (!self->link) {
        start (sim);
        return;
    }
    if (self->serve_at_ms <= sim->now_ms)
        serve (sim);
    for (size_t at = 0; at < SIM_DOOR_HANDS; at++) {
        sim_door_hand_t *hand = &self->hands[at];
        if (hand->call == 0 || hand->due_ms > sim->now_ms)
            continue;
        if (!sim->has_faults || sim_chance (sim, 95)) /* or it never says anything */
            answer (sim, hand);
        *hand = (sim_door_hand_t){0};
    }
    tide_link_tick (self->link, sim->now_ms);
    drain (sim);
}

void sim_hooks_fault (sim_t *sim)
{
    sim_hooks_t *self = &sim->hooks;
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (!self->link)
        return;
    sim->stats.worker_faults++;
    sim_note (sim, "the door is %s", dice < 40 ? "killed" : dice < 75 ? "cut off" : "slow");
    if (dice < 40) {
        sim_dealer_close (&self->dealer);
        tide_link_destroy (&self->link);
        self->up_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 6000 : 800);
    }
    else if (dice < 75) {
        sim_dealer_close (&self->dealer);
        sim_dealer_open (sim, &self->dealer);
    }
    else
        sim_pipe_hold (sim, dice < 88 ? &self->dealer.up : &self->dealer.down,
                       sim_random (sim, 4000));
}
