/*  tide_members.h - the groups that a worker is a member of, and what it was given of them.
 *
 *  An event that was given waits (QUEUED) until a thread takes it, and is in that thread's hands
 *  until it lets it go. What ends it is said once, while the lease lasts, of the latest attempt:
 *  all else is a conflict, and the broker is not asked. One that only waits has its lease extended
 *  here.
 *
 *  When the conversation with the broker begins anew, each group is joined again and what waits is
 *  forgotten (it is given again); what is in a thread's hands may still be acknowledged, and the
 *  broker decides. A join that is refused for now is said again; refused for good, or a group that
 *  was removed, it is told as ENDED.
 *
 *  Pure: what is to be said comes out one by one.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_MEMBERS_H
#define TIDE_MEMBERS_H

#include "tide_alloc.h"
#include "tide_message.h"

typedef struct tide_members tide_members_t;
typedef struct tide_membership tide_membership_t;

/*  A join that was refused for now is said again after this. */
#define TIDE_MEMBERS_AGAIN_MS 1000

tide_members_t *tide_members_new (void);
/*  Nothing that was taken may be out. */
void tide_members_destroy (tide_members_t **self_p);

/*  -- groups ---------------------------------------------------------------------------------- */

/*  Becomes a member, with what GROUP_JOIN says (its request is not looked at). handle is the
 *  caller's. CONFLICT: this worker is one already; BAD_REQUEST: the name is none; BAD_TOPIC;
 *  TOO_LARGE: a number is above its limit. */
tide_status_t tide_members_add (tide_members_t *self, const tide_group_join_message_t *join,
                                void *handle, tide_membership_t **membership) TIDE_UNUSED_RESULT;
/*  Leaves, and nulls. What waits is given back; what is taken may still be
 *  acknowledged until somebody else has it. */
void tide_members_remove (tide_members_t *self, tide_membership_t **membership_p);

/*  Whether there are threads that take events, from now on. Without them no credit is given, and
 *  what waits is given back. */
void tide_members_run (tide_members_t *self, bool is_running);

/*  -- from the broker ------------------------------------------------------------------------- */

/*  The conversation is up, for the first time or again. */
void tide_members_up (tide_members_t *self, uint64_t epoch);
/*  GROUP_EVENT; it is copied. False if it is of no group of ours, malformed, or older than what is
 *  there: it is counted, and its lease will end. */
bool tide_members_event (tide_members_t *self, uint64_t now_ms,
                         const tide_group_event_message_t *event);
void tide_members_note (tide_members_t *self, const tide_group_note_message_t *note);
/*  What answers the GROUP_JOIN that was said under this tag. */
void tide_members_joined (tide_members_t *self, uint64_t now_ms, uint64_t tag,
                          const tide_message_t *answer);

/*  Time has passed. */
void tide_members_tick (tide_members_t *self, uint64_t now_ms);
uint64_t tide_members_deadline_ms (const tide_members_t *self);

/*  -- to the broker --------------------------------------------------------------------------- */

/*  The next message to be sent; false if there is none. To be asked until then after each input.
 *  tag is 0 unless it is a GROUP_JOIN. Spans are valid until the next call. */
bool tide_members_next (tide_members_t *self, tide_message_t *message, uint64_t *tag);

/*  -- to the worker's threads ----------------------------------------------------------------- */

typedef enum {
    TIDE_GIVEN_EVENT,
    TIDE_GIVEN_TRIMMED, /* events up to seq that the group had not read are gone */
    TIDE_GIVEN_ENDED    /* it is no member any more: code says why */
} tide_given_kind_t;

typedef struct tide_given tide_given_t;

/*  Valid until it is let go. */
typedef struct {
    void *handle;
    tide_given_kind_t kind;
    tide_status_t code;
    uint64_t seq, epoch;
    uint32_t attempt;
    tide_event_t event; /* EVENT */
} tide_given_view_t;
const tide_given_view_t *tide_given_view (const tide_given_t *given);

/*  The next that waits, in the order in which it came; NULL if there is none. */
tide_given_t *tide_members_take (tide_members_t *self, uint64_t now_ms);
/*  True if tide_members_take may give something. */
bool tide_members_is_ready (const tide_members_t *self);

typedef enum {
    TIDE_GIVEN_HANDLED,
    TIDE_GIVEN_AGAIN,
    TIDE_GIVEN_NEVER,
    TIDE_GIVEN_NOT_BEGUN
} tide_given_outcome_t;

/*  Says what became of an event that was taken: OK, or CONFLICT: it was said before, its lease is
 *  over, or it was given anew. */
tide_status_t tide_members_end (tide_members_t *self, uint64_t now_ms, tide_given_t *given,
                                tide_given_outcome_t outcome, uint32_t delay_ms,
                                tide_bytes_t message) TIDE_UNUSED_RESULT;
/*  Its lease begins anew, with lease_ms (0: as before): OK or CONFLICT. */
tide_status_t tide_members_extend (tide_members_t *self, uint64_t now_ms, tide_given_t *given,
                                   uint32_t lease_ms) TIDE_UNUSED_RESULT;
/*  Lets go of what was taken, and nulls. */
void tide_members_let (tide_members_t *self, tide_given_t **given_p);

typedef struct {
    uint64_t given, refused, replaced, forgotten, waiting;
} tide_members_counters_t;
tide_members_counters_t tide_members_counters (const tide_members_t *self);

#endif
