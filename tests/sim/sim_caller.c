/*  sim_caller.c - callers: each stands for a lane that hands on what its sessions emit.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const sim_call_event_t sim_call_events[SIM_CALL_EVENTS] = {
    {"set", "room", 0, 0},
    {"get", "room", 0, TIDE_HANDLER_UNORDERED},
    {"blip", "room", 0, TIDE_HANDLER_VOLATILE},
    {"pay", "bank", 1, 0},
    {"nothing", "", SIM_SERVICES, 0},
};

static void caller_start (sim_t *sim, sim_caller_t *self)
{
    char origin[32];
    snprintf (origin, sizeof origin, "caller%llu", (unsigned long long) ++sim->serial);
    self->link =
        tide_link_new (&(tide_link_config_t){.name = "caller", .lease = NULL, .origin = origin});
    tide_link_start (self->link, sim->now_ms);
    sim_caller_drain (sim, self);
}

void sim_calls_start (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    if (!self->is_on)
        return;
    self->worker_count = 1 + (unsigned) sim_random (sim, SIM_WORKERS);
    for (unsigned at = 0; at < SIM_SERVICES; at++) {
        self->services[at].lease_ms = 300 + (uint32_t) sim_random (sim, 2500);
        self->services[at].attempts = 1 + (uint32_t) sim_random (sim, 5);
        self->services[at].delay_ms = 1 + (uint32_t) sim_random (sim, 700);
    }
    for (unsigned at = 0; at < SIM_CALLERS; at++)
        caller_start (sim, &self->callers[at]);
    for (unsigned at = 0; at < self->worker_count; at++) {
        self->workers[at].number = at;
        self->workers[at].service = at % SIM_SERVICES;
        sim_worker_start (sim, &self->workers[at]);
    }
}

void sim_calls_free (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    for (unsigned at = 0; at < SIM_CALLERS; at++) {
        tide_link_destroy (&self->callers[at].link);
        sim_dealer_close (&self->callers[at].dealer);
    }
    for (unsigned at = 0; at < SIM_WORKERS; at++) {
        tide_link_destroy (&self->workers[at].link);
        sim_dealer_close (&self->workers[at].dealer);
    }
    free (self->dones);
}

void sim_calls_mend (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    self->mended_ms = sim->now_ms;
    for (unsigned at = 0; at < self->worker_count; at++) {
        sim_worker_t *worker = &self->workers[at];
        worker->up_at_ms = sim->now_ms;
        if (worker->link)
            worker->serve_at_ms = sim->now_ms;
    }
}

void sim_dealer_send (sim_t *sim, sim_dealer_t *dealer, tide_bytes_t bytes)
{
    tide_buffer_t changed = {0};
    if (!dealer->is_open)
        return;
    bool is_changed = sim_mutate_to_broker (sim, bytes, &changed);
    if (!is_changed || changed.size > 0)
        sim_pipe_put (sim, &dealer->up, SIM_PACKET_BYTES,
                      is_changed ? tide_buffer_bytes (&changed) : bytes);
    tide_buffer_free (&changed);
}

/*  -- calling --------------------------------------------------------------------------------- */

static void send_call (sim_t *sim, sim_caller_t *caller, uint64_t n)
{
    sim_call_t *call = &sim->calls.calls[n];
    char id[32], session[32], wanted[32], text[32];
    snprintf (id, sizeof id, "c%llu", (unsigned long long) n);
    snprintf (session, sizeof session, "caller%u", call->session);
    snprintf (wanted, sizeof wanted, "w%llu", (unsigned long long) n);
    snprintf (text, sizeof text, "{\"n\":%llu}", (unsigned long long) n);
    tide_buffer_t payload = {0};
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (text)});
    tide_message_t message = {
        .kind = TIDE_MESSAGE_CALL,
        .call = {.nsp = tide_bytes ("/"),
                 .event = tide_bytes (sim_call_events[call->event].name),
                 .id = tide_bytes (id),
                 .from = tide_bytes (session),
                 .wanted = call->is_wanted ? tide_bytes (wanted) : (tide_bytes_t){0},
                 .payload = tide_buffer_bytes (&payload)}};
    call->token = tide_link_request (caller->link, sim->now_ms, &message);
    tide_buffer_free (&payload);
    sim_caller_drain (sim, caller);
}

void sim_calls_act (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    if (!self->is_on || self->count + 1 >= SIM_CALLS_MAX)
        return;
    uint64_t n = ++self->count;
    unsigned dice = (unsigned) sim_random (sim, 100);
    unsigned caller = (unsigned) sim_random (sim, SIM_CALLERS);
    self->calls[n] = (sim_call_t){.event = dice < 30   ? 0
                                           : dice < 50 ? 1
                                           : dice < 65 ? 2
                                           : dice < 95 ? 3
                                                       : 4,
                                  .caller = caller,
                                  .session = caller * SIM_CALL_SESSIONS
                                             + (unsigned) sim_random (sim, SIM_CALL_SESSIONS),
                                  .is_wanted = sim_chance (sim, 60)};
    sim_note (sim, "caller %u calls %s, c%llu%s", caller,
              sim_call_events[self->calls[n].event].name, (unsigned long long) n,
              self->calls[n].is_wanted ? ", wants an answer" : "");
    sim->stats.calls++;
    send_call (sim, &self->callers[caller], n);
}

static void answered (sim_t *sim, const sim_caller_t *self, const tide_link_action_t *action)
{
    sim_calls_t *calls = &sim->calls;
    unsigned number = (unsigned) (self - calls->callers);
    for (uint64_t n = 1; n <= calls->count; n++)
        if (calls->calls[n].token == action->token && calls->calls[n].caller == number) {
            calls->calls[n].token = 0;
            sim_call_answered (sim, &calls->calls[n], action->message);
            return;
        }
}

void sim_caller_drain (sim_t *sim, sim_caller_t *self)
{
    tide_link_action_t action;
    while (!sim->failed && tide_link_next_action (self->link, &action)) {
        if (action.kind == TIDE_LINK_CONNECT) {
            sim_dealer_close (&self->dealer);
            sim_dealer_open (sim, &self->dealer);
        }
        else if (action.kind == TIDE_LINK_SEND)
            sim_dealer_send (sim, &self->dealer, action.bytes);
        else if (action.kind == TIDE_LINK_ANSWER)
            answered (sim, self, &action);
    }
}

void sim_caller_receive (sim_t *sim, sim_caller_t *self, tide_bytes_t bytes)
{
    tide_link_receive (self->link, sim->now_ms, bytes);
    sim_caller_drain (sim, self);
}

/*  -- what strikes ---------------------------------------------------------------------------- */

static void strike_caller (sim_t *sim, sim_caller_t *self)
{
    unsigned number = (unsigned) (self - sim->calls.callers);
    sim_dealer_close (&self->dealer);
    if (sim_chance (sim, 70)) {
        sim_note (sim, "caller %u is cut off", number);
        sim_dealer_open (sim, &self->dealer);
        return;
    }
    sim_note (sim, "caller %u is killed", number);
    tide_link_destroy (&self->link);
    for (uint64_t n = 1; n <= sim->calls.count; n++)
        if (sim->calls.calls[n].caller == number)
            sim->calls.calls[n].token = 0;
    caller_start (sim, self);
}

void sim_calls_fault (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    if (!self->is_on)
        return;
    if (sim_chance (sim, 20))
        strike_caller (sim, &self->callers[sim_random (sim, SIM_CALLERS)]);
    else
        sim_worker_fault (sim, &self->workers[sim_random (sim, self->worker_count)]);
}
