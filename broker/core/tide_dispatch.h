/*  tide_dispatch.h - calls: which worker gets which, and what becomes of it.
 *
 *  A call is a keyed event in $call/SERVICE (below it the namespace), so the log is the only store:
 *  it is lent when it is durable, and over when its key is removed. Its end, its reply and whatever
 *  the worker emits with it are one append; so it ends once, however often it was handled.
 *
 *                 older ones of its session are over            no worker for workers_wait_ms
 *      WAITING ───────────────────────────────────► READY ──────────────────────────────► ENDING
 *                                                   │   ▲ ▲                                 ▲
 *                            a worker has credit    │   │ └────── delay ── RESTING          │
 *                                                   ▼   │                     ▲             │
 *                                                  LENT ┴─ worker gone ─┬─────┴ nak, or     │
 *                                                   │                   │       expired     │
 *                                                   └───────────────────┴── handled, failed ┘
 *                                                                           for good, or too often
 *
 *  ENDING waits for its removal to be durable. What is not (the disk is full, the worker's events
 *  are refused) falls due again. A worker's word is good for the last attempt, if it was lent to
 *  that worker: whatever was lent anew is stale. After a start nobody knows what was lent, nor to
 *  whom, so the first attempt counts as made, and its end is taken from anybody until it is lent.
 *
 *  What a worker gives back before anybody began is READY again, and that attempt does not count.
 *
 *  Volatile calls are never logged: they are handled once, and end with an error if that fails.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DISPATCH_H
#define TIDE_DISPATCH_H

#include "tide_call_end.h"
#include "tide_core.h"
#include "tide_sequencer.h"
#include "tide_who.h"

/*  Calls that are open, and their bytes. */
#define TIDE_DISPATCH_CALLS_MAX 200000u
#define TIDE_DISPATCH_SIZE_MAX (512u << 20)
/*  … of one session to one service; it has as many places again for its ends. */
#define TIDE_DISPATCH_SESSION_CALLS_MAX 1000u

tide_dispatch_t *tide_dispatch_new (tide_core_t *core, uint64_t workers_wait_ms);
void tide_dispatch_destroy (tide_dispatch_t **self_p);
/*  All is loaded: calls are lent from now on. */
void tide_dispatch_start (tide_dispatch_t *self, uint64_t now_ms, tide_sequencer_t *sequencer);
/*  Nothing is lent any more; ends that workers tell are taken as long as the sequencer takes them.
 */
void tide_dispatch_stop (tide_dispatch_t *self);

/*  The log says what stands: as tide_leases_stand and _forget, with the index's handle. Calls and
 *  handlers are taken from it; what it is not about is ignored. */
void tide_dispatch_stand (tide_dispatch_t *self, uint64_t now_ms, uint32_t key,
                          const tide_event_t *event, tide_bytes_t record);
void tide_dispatch_forget (tide_dispatch_t *self, uint32_t key);

/*  What peers say; each is answered. */
void tide_dispatch_serve (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                          const tide_serve_message_t *serve);
void tide_dispatch_call (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer,
                         const tide_call_message_t *call);
/*  The broker's own call, of a session that cannot speak for itself any more; nobody is answered,
 *  and nothing happens if nobody serves it. Said twice under one id it is one call. False if there
 *  is no room now: to be said again. */
bool tide_dispatch_hook (tide_dispatch_t *self, uint64_t now_ms, const tide_call_message_t *call);
void tide_dispatch_done (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                         const tide_done_message_t *done);
void tide_dispatch_extend (tide_dispatch_t *self, uint64_t now_ms, tide_who_t who,
                           const tide_extend_message_t *extend);
/*  The peer is not there any more: what it had in hand goes to others. */
void tide_dispatch_gone (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer);

/*  The peers that are workers, one by one, in no order: begin with *at NULL; false at the end. */
bool tide_dispatch_next_worker (const tide_dispatch_t *self, void **at, tide_bytes_t *peer);

/*  The broker itself stood still: what workers said meanwhile has still to be read, so whatever is
 *  lent or waits for a worker gets its whole time anew. */
void tide_dispatch_paused (tide_dispatch_t *self, uint64_t now_ms);
void tide_dispatch_tick (tide_dispatch_t *self, uint64_t now_ms);
uint64_t tide_dispatch_deadline_ms (const tide_dispatch_t *self);

typedef struct {
    uint64_t services, handlers, workers;
    uint64_t calls, waiting, ready, lent, resting, ending; /* calls: all of them */
    uint64_t bytes;
} tide_dispatch_counts_t;
tide_dispatch_counts_t tide_dispatch_counts (const tide_dispatch_t *self);

typedef struct {
    const char *name;
    uint32_t workers, credit, in_hand; /* credit: of all of them */
    uint32_t waiting;                  /* calls that are open and in nobody's hands */
} tide_service_counts_t;

/*  Services that have workers or open calls, one by one, in no order: begin with *at NULL; false at
 *  the end. */
bool tide_dispatch_next_service (tide_dispatch_t *self, void **at, tide_service_counts_t *counts);

#endif
