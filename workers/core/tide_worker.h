/*  tide_worker.h - what a worker has in hand, and what its word about it is worth.
 *
 *  A call that was lent waits (QUEUED) until a thread takes it, and is in that thread's hands until
 *  it lets it go. What ends it is said once, while the lease lasts, of the latest attempt: all else
 *  is a conflict, and the broker is not asked. A call that only waits has its lease extended here,
 *  so that a handler that is slow does not cost the calls behind it an attempt; and whoever takes
 *  it has the whole lease, of which the broker is told only if it comes to that.
 *
 *  When the conversation with the broker begins anew, what waits is forgotten (it is lent again);
 *  what is in a thread's hands may still be answered, and the broker decides.
 *
 *  Pure: what is to be said is given out as messages whose spans are borrowed until the next call.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WORKER_H
#define TIDE_WORKER_H

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_message.h"

typedef struct tide_worker_side tide_worker_side_t;
typedef struct tide_hand tide_hand_t;

tide_worker_side_t *tide_worker_side_new (void);
/*  Hands that were taken must have been let go. */
void tide_worker_side_destroy (tide_worker_side_t **self_p);

/*  -- what it serves -------------------------------------------------------------------------- */

/*  Adds a handler; *index counts from 0. BAD_REQUEST: no names; CONFLICT: there is one already;
 *  TOO_MANY: above TIDE_SERVE_HANDLERS_MAX. */
tide_status_t tide_worker_handle (tide_worker_side_t *self, tide_bytes_t nsp, tide_bytes_t event,
                                  uint8_t flags, size_t *index) TIDE_UNUSED_RESULT;

/*  The service that it is one of; credit, lease_ms, attempts and delay_ms as in SERVE, above their
 *  limits TOO_LARGE. BAD_REQUEST: the name is none. */
tide_status_t tide_worker_serve (tide_worker_side_t *self,
                                 const tide_serve_message_t *service) TIDE_UNUSED_RESULT;

/*  True if it has a service and a handler. */
bool tide_worker_can_serve (const tide_worker_side_t *self);

/*  What is to be said of it: SERVE; without credit if it takes none for now. */
void tide_worker_offer (tide_worker_side_t *self, bool takes_calls, tide_message_t *serve);

/*  The broker is there, for the first time or again. If its log is another one, what is in hand can
 *  be ended no more: its number may be another call's. */
void tide_worker_up (tide_worker_side_t *self, uint64_t epoch, uint32_t payload_max);

/*  -- calls ----------------------------------------------------------------------------------- */

/*  A call was lent; it is copied. False if it is not for any handler, malformed, or older than what
 *  is in hand: it is counted, and its lease will end. */
bool tide_worker_lent (tide_worker_side_t *self, uint64_t now_ms, const tide_lend_message_t *lend);

/*  The next call that waits, in the order of lending; NULL if there is none. */
tide_hand_t *tide_worker_take (tide_worker_side_t *self, uint64_t now_ms);

/*  Gives back what waits, one by one: done is DONE, which says that nobody has begun. False if
 *  there is none. */
bool tide_worker_give_back (tide_worker_side_t *self, tide_message_t *done);

/*  Lets go of a call that was taken, however it ended. */
void tide_worker_let (tide_worker_side_t *self, tide_hand_t **hand_p);

typedef enum {
    TIDE_OUTCOME_HANDLED,
    TIDE_OUTCOME_AGAIN,
    TIDE_OUTCOME_NEVER,
    TIDE_OUTCOME_NOT_BEGUN
} tide_outcome_t;

typedef struct {
    tide_outcome_t outcome;
    uint32_t delay_ms;
    tide_status_t code;
    tide_bytes_t message;
    tide_bytes_t payload;
} tide_worker_end_t;

/*  Ends a call: OK, and done is what is to be said. CONFLICT: it was ended before, its lease is
 *  over, or it was lent anew. TOO_LARGE: the payload is above the broker's limit, and the call goes
 *  on. */
tide_status_t tide_worker_end (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                               const tide_worker_end_t *end,
                               tide_message_t *done) TIDE_UNUSED_RESULT;

/*  Its lease begins anew, with lease_ms (0: as before): OK, and extend is to be said; CONFLICT. */
tide_status_t tide_worker_extend (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                                  uint32_t lease_ms, tide_message_t *extend) TIDE_UNUSED_RESULT;

/*  Adds an event that is appended together with the call's end, if it is handled. The event has its
 *  topic, name, key, id, except and payload. BAD_TOPIC, BAD_REQUEST, TOO_LARGE, TOO_MANY; CONFLICT
 *  as above. */
tide_status_t tide_worker_emit (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                                const tide_event_t *event) TIDE_UNUSED_RESULT;

/*  True if something has ended it, or nothing can any more. */
bool tide_hand_is_over (const tide_hand_t *hand, uint64_t now_ms);

typedef struct {
    uint64_t number;
    uint32_t attempt;
    tide_outcome_t outcome;
} tide_worker_said_t;

/*  The broker refused what was said of a call's end. True if next is to be said instead: a reply
 *  that it can never take makes the call dead rather than handled again in vain; one for which the
 *  log has no place is tried again. */
bool tide_worker_refused (tide_worker_side_t *self, const tide_worker_said_t *said,
                          tide_status_t status, tide_bytes_t why, tide_message_t *next);

/*  -- time ------------------------------------------------------------------------------------ */

/*  The next extension that is due; false if there is none. The deadline may be too early. */
bool tide_worker_next_extend (tide_worker_side_t *self, uint64_t now_ms, tide_message_t *extend);
uint64_t tide_worker_deadline_ms (const tide_worker_side_t *self);

/*  -- what it is about ------------------------------------------------------------------------ */

/*  Valid until it is let go. */
typedef struct {
    uint64_t number;
    uint32_t attempt;
    size_t handler;
    tide_event_t event;
    tide_called_t called;
    tide_args_t args;
} tide_hand_view_t;
const tide_hand_view_t *tide_hand_view (const tide_hand_t *hand);

typedef struct {
    uint64_t lent, waiting;
    uint64_t unknown;  /* LENDs that are for no handler, malformed, or older than what is in hand */
    uint64_t replaced; /* lent anew to this worker */
    uint64_t returned; /* what waited, and was given back or is another's by now */
    uint64_t refused;  /* ends that the broker did not take */
} tide_worker_counters_t;
tide_worker_counters_t tide_worker_counters (const tide_worker_side_t *self);

#endif
