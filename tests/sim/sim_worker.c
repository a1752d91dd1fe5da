/*  sim_worker.c - workers: they handle, refuse, dawdle, die, are cut off and come back.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void drain (sim_t *sim, sim_worker_t *self);

static void serve (sim_t *sim, sim_worker_t *self)
{
    sim_calls_t *calls = &sim->calls;
    tide_buffer_t offers = {0};
    uint32_t count = 0;
    for (unsigned at = 0; at < SIM_CALL_EVENTS; at++) {
        const sim_call_event_t *event = &sim_call_events[at];
        if (event->service_number != self->service || (sim->has_faults && sim_chance (sim, 10)))
            continue;
        tide_offer_append (&offers, &(tide_offer_t){.nsp = tide_bytes ("/"),
                                                    .event = tide_bytes (event->name),
                                                    .flags = event->flags});
        count++;
    }
    uint32_t credit = (uint32_t) sim_random (sim, SIM_HANDS / 2 + 1);
    if (!sim->has_faults && credit == 0)
        credit = 1;
    tide_message_t message = {.kind = TIDE_MESSAGE_SERVE,
                              .serve = {.service = tide_bytes (self->service ? "bank" : "room"),
                                        .credit = credit,
                                        .lease_ms = calls->services[self->service].lease_ms,
                                        .attempts = calls->services[self->service].attempts,
                                        .delay_ms = calls->services[self->service].delay_ms,
                                        .offers = tide_list (&offers, count)}};
    sim_note (sim, "worker %u serves %u events, takes %u", self->number, count, credit);
    self->serve_at_ms = UINT64_MAX;
    if (count > 0)
        self->serve_token = tide_link_request (self->link, sim->now_ms, &message);
    tide_buffer_free (&offers);
}

void sim_worker_start (sim_t *sim, sim_worker_t *self)
{
    char origin[32];
    snprintf (origin, sizeof origin, "w%llu", (unsigned long long) ++sim->serial);
    self->link =
        tide_link_new (&(tide_link_config_t){.name = "worker", .lease = NULL, .origin = origin});
    self->serve_at_ms = UINT64_MAX;
    self->epoch = 0;
    sim_note (sim, "worker %u starts", self->number);
    tide_link_start (self->link, sim->now_ms);
    drain (sim, self);
}

static void forget (sim_worker_t *self)
{
    memset (self->hands, 0, sizeof self->hands);
}

/*  -- what it says ---------------------------------------------------------------------------- */

static uint64_t add_done (sim_t *sim, const sim_hand_t *hand, uint8_t code, uint32_t joints)
{
    sim_calls_t *calls = &sim->calls;
    calls->dones = tide_realloc (calls->dones, (calls->done_count + 2) * sizeof *calls->dones);
    calls->dones[++calls->done_count] =
        (sim_done_t){.n = hand->n, .attempt = hand->attempt, .joints = joints, .code = code};
    return calls->done_count;
}

static void handle (sim_t *sim, sim_worker_t *self, const sim_hand_t *hand, tide_status_t code)
{
    bool is_volatile = hand->call >> 63;
    uint32_t joints = !is_volatile && sim_chance (sim, 30) ? 1 + (uint32_t) sim_random (sim, 2) : 0;
    uint64_t done = add_done (sim, hand, (uint8_t) code, joints);
    char text[64];
    snprintf (text, sizeof text, "{\"n\":%llu,\"done\":%llu}", (unsigned long long) hand->n,
              (unsigned long long) done);
    tide_buffer_t payload = {0}, events = {0};
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (text)});
    for (uint32_t at = 0; at < joints; at++)
        tide_event_append (&events, &(tide_event_t){.topic = tide_bytes ("$joint"),
                                                    .name = tide_bytes ("joint"),
                                                    .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_DONE,
                              .done = {.call = hand->call,
                                       .attempt = hand->attempt,
                                       .code = (uint8_t) code,
                                       .events = tide_list (&events, joints)}};
    if (code == TIDE_OK)
        message.done.payload = tide_buffer_bytes (&payload);
    else
        message.done.message = tide_bytes (text);
    tide_link_request (self->link, sim->now_ms, &message);
    sim->stats.handled++;
    tide_buffer_free (&payload);
    tide_buffer_free (&events);
}

static void give_back (sim_t *sim, sim_worker_t *self, const sim_hand_t *hand)
{
    sim->calls.calls[hand->n].given_back++;
    tide_message_t message = {.kind = TIDE_MESSAGE_DONE,
                              .done = {.call = hand->call, .attempt = hand->attempt, .outcome = 3}};
    tide_link_request (self->link, sim->now_ms, &message);
}

static void refuse (sim_t *sim, sim_worker_t *self, const sim_hand_t *hand, bool for_good)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_DONE,
                              .done = {.call = hand->call,
                                       .attempt = hand->attempt,
                                       .outcome = for_good ? 2 : 1,
                                       .message = tide_bytes ("not now")}};
    if (!for_good && sim_chance (sim, 50))
        message.done.delay_ms = 1 + (uint32_t) sim_random (sim, 800);
    if (for_good)
        sim->calls.calls[hand->n].was_refused = true;
    tide_link_request (self->link, sim->now_ms, &message);
}

/*  It has worked on it for a while. */
static void work (sim_t *sim, sim_worker_t *self, sim_hand_t *hand)
{
    unsigned dice = (unsigned) sim_random (sim, 100);
    uint32_t lease_ms = sim->calls.services[self->service].lease_ms;
    if (sim->has_faults && dice >= 92) { /* past its time, or never */
        hand->due_ms = sim->now_ms + lease_ms + sim_random (sim, 2000);
        if (dice >= 97)
            *hand = (sim_hand_t){0};
        return;
    }
    if (dice >= 80 && dice < 86) {
        tide_link_send (self->link, &(tide_message_t){
                                        .kind = TIDE_MESSAGE_EXTEND,
                                        .extend = {.call = hand->call, .attempt = hand->attempt}});
        hand->due_ms = sim->now_ms + sim_random (sim, lease_ms);
        return;
    }
    if (dice < 62)
        handle (sim, self, hand, TIDE_OK);
    else if (dice < 70)
        handle (sim, self, hand, TIDE_WORKER_FAILED);
    else if (dice < 74)
        give_back (sim, self, hand);
    else
        refuse (sim, self, hand, dice >= 86);
    *hand = (sim_hand_t){0};
}

/*  -- what it hears --------------------------------------------------------------------------- */

static void lent (sim_t *sim, sim_worker_t *self, const tide_message_t *message)
{
    tide_list_t list = message->lend.events;
    tide_event_t event;
    if (!tide_event_next (&list, &event))
        return;
    uint32_t lease_ms = sim->calls.services[self->service].lease_ms;
    size_t at = 0;
    while (at < SIM_HANDS && self->hands[at].n > 0)
        at++;
    if (at == SIM_HANDS) /* what it forgot, or said late, may still be here: it is lost */
        at = sim_random (sim, SIM_HANDS);
    self->hands[at] = (sim_hand_t){
        .call = message->lend.call,
        .n = sim_call_number (&event),
        .due_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 80) ? 40 : lease_ms / 2),
        .attempt = message->lend.attempt};
}

static void drain (sim_t *sim, sim_worker_t *self)
{
    tide_link_action_t action;
    while (!sim->failed && self->link && tide_link_next_action (self->link, &action)) {
        switch (action.kind) {
        case TIDE_LINK_CONNECT:
            sim_dealer_close (&self->dealer);
            sim_dealer_open (sim, &self->dealer);
            break;
        case TIDE_LINK_SEND:
            sim_dealer_send (sim, &self->dealer, action.bytes);
            break;
        case TIDE_LINK_UP:
            if (self->epoch != action.message->welcome.epoch)
                forget (self); /* numbers of another log */
            self->epoch = action.message->welcome.epoch;
            self->serve_at_ms = sim->now_ms;
            break;
        case TIDE_LINK_ANSWER:
            if (action.token == self->serve_token && action.message->kind == TIDE_MESSAGE_FAIL)
                self->serve_at_ms = sim->now_ms + 200;
            break;
        case TIDE_LINK_LENT:
            lent (sim, self, action.message);
            break;
        default:
            break;
        }
    }
}

void sim_worker_receive (sim_t *sim, sim_worker_t *self, tide_bytes_t bytes)
{
    if (!self->link)
        return;
    tide_link_receive (self->link, sim->now_ms, bytes);
    drain (sim, self);
}

/*  -- time ------------------------------------------------------------------------------------ */

uint64_t sim_worker_due_ms (const sim_worker_t *self)
{
    if (!self->link)
        return self->up_at_ms;
    uint64_t due_ms = tide_link_deadline_ms (self->link);
    if (self->serve_at_ms < due_ms)
        due_ms = self->serve_at_ms;
    for (size_t at = 0; at < SIM_HANDS; at++)
        if (self->hands[at].n > 0 && self->hands[at].due_ms < due_ms)
            due_ms = self->hands[at].due_ms;
    return due_ms;
}

void sim_worker_tick (sim_t *sim, sim_worker_t *self)
{
    if (!self->link) {
        sim_worker_start (sim, self);
        return;
    }
    if (self->serve_at_ms <= sim->now_ms)
        serve (sim, self);
    for (size_t at = 0; at < SIM_HANDS; at++)
        if (self->hands[at].n > 0 && self->hands[at].due_ms <= sim->now_ms)
            work (sim, self, &self->hands[at]);
    tide_link_tick (self->link, sim->now_ms);
    drain (sim, self);
}

/*  -- what strikes it ------------------------------------------------------------------------- */

static void die (sim_t *sim, sim_worker_t *self)
{
    tide_link_destroy (&self->link);
    forget (self);
    self->up_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 9000 : 800);
}

void sim_worker_fault (sim_t *sim, sim_worker_t *self)
{
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (!self->link)
        return;
    sim->stats.worker_faults++;
    if (dice < 35) {
        sim_note (sim, "worker %u is killed", self->number);
        sim_dealer_close (&self->dealer);
        die (sim, self);
    }
    else if (dice < 50) {
        sim_note (sim, "worker %u leaves", self->number);
        tide_link_send (self->link, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
        drain (sim, self);
        die (sim, self); /* the word is on its way */
    }
    else if (dice < 75) {
        sim_note (sim, "worker %u is cut off", self->number);
        sim_dealer_close (&self->dealer);
        sim_dealer_open (sim, &self->dealer);
        if (sim_chance (sim, 40))
            sim_pipe_hold (sim, &self->dealer.up, sim_random (sim, 6000));
    }
    else if (dice < 85) {
        sim_note (sim, "worker %u is slow", self->number);
        sim_pipe_hold (sim, sim_chance (sim, 50) ? &self->dealer.up : &self->dealer.down,
                       sim_random (sim, 6000));
    }
    else
        self->serve_at_ms = sim->now_ms;
}
