/*  sim_calls.h - calls: who makes them, who handles them, and what became of each.
 *  SPDX-License-Identifier: MIT
 */
#ifndef SIM_CALLS_H
#define SIM_CALLS_H

#include "tide_message.h"

enum {
    SIM_CALLERS = 2,
    SIM_CALL_SESSIONS = 4,
    SIM_WORKERS = 4,
    SIM_SERVICES = 2,
    SIM_CALL_EVENTS = 5,
    SIM_HANDS = 8,
    SIM_CALLS_MAX = 400
};

/*  What can be called: the last one is served by nobody. */
typedef struct {
    const char *name, *service;
    unsigned service_number;
    uint8_t flags;
} sim_call_event_t;
extern const sim_call_event_t sim_call_events[SIM_CALL_EVENTS];

typedef struct {
    unsigned event, session, caller;
    bool is_wanted, is_acked, was_lent, was_refused; /* a worker will never handle it */
    uint64_t token;                                  /* of the request; 0: it has its answer */
    uint64_t epoch, seq, end;                        /* where it is durable, and its removal */
    uint32_t attempt;                                /* as the broker counts */
    uint32_t given_back; /* so often a worker said that it had not begun */
} sim_call_t;

/*  One word of a worker that a call was handled. */
typedef struct {
    uint64_t n;
    uint32_t attempt, joints;
    uint8_t code;
} sim_done_t;

/*  The call whose end is being read from the log. */
typedef struct {
    uint64_t n, epoch, next, at_ms;
    uint32_t attempt;
    unsigned replies, deads, joints;
    uint8_t code;
    uint64_t done; /* what ended it; 0: not known */
} sim_ending_t;

typedef struct {
    tide_link_t *link; /* NULL: not there */
    sim_dealer_t dealer;
} sim_caller_t;

typedef struct {
    uint64_t call, n, due_ms;
    uint32_t attempt;
} sim_hand_t;

typedef struct {
    tide_link_t *link; /* NULL: dead, until up_at_ms */
    sim_dealer_t dealer;
    unsigned number, service;
    uint64_t up_at_ms, serve_at_ms, serve_token, epoch;
    sim_hand_t hands[SIM_HANDS];
} sim_worker_t;

typedef struct {
    uint64_t mended_ms; /* when faults stopped; 0: not yet */
    bool is_on;         /* there are calls in this world */
    bool is_forgetful;  /* ids may be forgotten: a call that is said again may be another one */
    struct {
        uint32_t lease_ms, attempts, delay_ms;
    } services[SIM_SERVICES];
    sim_caller_t callers[SIM_CALLERS];
    sim_worker_t workers[SIM_WORKERS];
    unsigned worker_count;
    sim_call_t calls[SIM_CALLS_MAX]; /* by number; 0 is none */
    uint64_t count;
    sim_done_t *dones; /* by number; 0 is none */
    uint64_t done_count;
    sim_ending_t ending;
} sim_calls_t;

void sim_calls_start (sim_t *sim);
void sim_calls_free (sim_t *sim);
/*  Faults stop: everybody is there, and serves. */
void sim_calls_mend (sim_t *sim);
/*  Somebody calls; something strikes workers or callers. */
void sim_calls_act (sim_t *sim);
void sim_calls_fault (sim_t *sim);
/*  The broker has started: what stands may have been lent. */
void sim_calls_restarted (sim_t *sim);

void sim_caller_receive (sim_t *sim, sim_caller_t *self, tide_bytes_t bytes);
void sim_caller_drain (sim_t *sim, sim_caller_t *self);
void sim_worker_receive (sim_t *sim, sim_worker_t *self, tide_bytes_t bytes);
void sim_worker_tick (sim_t *sim, sim_worker_t *self);
uint64_t sim_worker_due_ms (const sim_worker_t *self);
void sim_worker_start (sim_t *sim, sim_worker_t *self);
void sim_worker_fault (sim_t *sim, sim_worker_t *self);

/*  The DEALER's bytes to the broker, through the mutations. */
void sim_dealer_send (sim_t *sim, sim_dealer_t *dealer, tide_bytes_t bytes);

/*  A record of the system's has become durable; the broker lends; a worker gets an answer. */
void sim_call_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq);
void sim_call_lent (sim_t *sim, const tide_message_t *message);
void sim_call_answered (sim_t *sim, sim_call_t *call, const tide_message_t *message);
/*  What can be seen at any time. */
void sim_calls_look (sim_t *sim);
/*  A volatile event is published that answers a call. */
void sim_call_told (sim_t *sim, const tide_event_t *event);
bool sim_calls_settled (sim_t *sim, bool say);
/*  The call's number in the event's arguments, or in its key. */
uint64_t sim_call_number (const tide_event_t *event);

#endif
