/*  tide_subscriptions.h - what a worker reads: topics and subtrees, each a cursor.
 *
 *  A subscription is brought up (by nothing, pages of history, or what stands), then takes what the
 *  feed hands on. What it is to be told waits in a queue of bounded size: while its reader is slow
 *  and the queue is full, what comes live is let go of, and pages are read from where the queue
 *  ends. So a slow reader costs the same however far it lags, and misses nothing. Where history is
 *  gone it is told RESET, then what stands at N, and reading goes on behind N.
 *
 *      WAITING --feed speaks for it--> READING <--> LIVE
 *                                   \-> GATHERING what stands --> READING or LIVE
 *
 *  One that reads by a named cursor (tide_bookmarks.h) takes it before it begins, where that says.
 *  What its reader does not acknowledge is told again, and nothing behind it before.
 *
 *  Only what stands is held whole, at most TIDE_STANDING_SIZE_MAX of it, so that what was frozen at
 *  N is told once, however slow the reader is.
 *
 *  Pure: no clock, socket or thread. The feed (tide_feed.h) is inside.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SUBSCRIPTIONS_H
#define TIDE_SUBSCRIPTIONS_H

#include "tide_alloc.h"
#include "tide_feed.h"

typedef struct tide_subscriptions tide_subscriptions_t;
typedef struct tide_subscription tide_subscription_t;

#define TIDE_SUBSCRIPTIONS_MAX 1000
/*  What waits to be told to one subscription; pages are asked for while less than half is there. */
#define TIDE_TOLD_EVENTS_MAX 4096u
#define TIDE_TOLD_SIZE_MAX (4u << 20)
#define TIDE_STANDING_SIZE_MAX (256u << 20)

tide_subscriptions_t *tide_subscriptions_new (void);
/*  Nothing that was taken may be out. */
void tide_subscriptions_destroy (tide_subscriptions_t **self_p);

/*  Where a subscription begins. */
typedef struct {
    enum { TIDE_BEGIN_LIVE, TIDE_BEGIN_BEHIND, TIDE_BEGIN_SNAPSHOT } kind;
    uint64_t epoch; /* BEHIND: the log that seq belongs to; 0: the present one */
    uint64_t seq;
} tide_begin_t;

/*  "live", "start", "snapshot", "epoch:seq" or "seq"; NULL is "live". False if it is none. */
bool tide_begin_parse (const char *text, tide_begin_t *begin);

/*  Begins to read a valid topic or subtree. handle is the caller's, not NULL. One that is direct is
 *  never among those of tide_subscriptions_take. NULL: there are TIDE_SUBSCRIPTIONS_MAX. */
tide_subscription_t *tide_subscriptions_add (tide_subscriptions_t *self, tide_bytes_t pattern,
                                             const tide_begin_t *begin, bool is_direct,
                                             void *handle);

/*  Begins to read by a named cursor; begin counts where that is new. owner is a name unlike all
 *  others, at most TIDE_BOOKMARK_OWNER_SIZE_MAX bytes. CONFLICT: it is read by here already;
 *  TOO_MANY; BAD_REQUEST and TOO_LARGE: the name is none. */
tide_status_t tide_subscriptions_add_named (
    tide_subscriptions_t *self, tide_bytes_t pattern, const tide_begin_t *begin, tide_bytes_t name,
    tide_bytes_t owner, void *handle, tide_subscription_t **subscription_p) TIDE_UNUSED_RESULT;

/*  Ends it, and nulls. What waited to be told is dropped; what is taken may still be let go of. */
void tide_subscriptions_remove (tide_subscriptions_t *self, tide_subscription_t **subscription_p);

/*  -- from the broker ------------------------------------------------------------------------- */

/*  The conversation is up, for the first time or again. */
void tide_subscriptions_up (tide_subscriptions_t *self, uint64_t epoch, uint64_t head);
/*  A frame of one of the PUB sockets. */
void tide_subscriptions_receive (tide_subscriptions_t *self, tide_bytes_t frame);
/*  The answer to the REQUEST with this tag; an unknown one is ignored. */
void tide_subscriptions_answer (tide_subscriptions_t *self, uint64_t now_ms, uint64_t tag,
                                const tide_message_t *answer);
/*  What was refused for now is asked again. */
void tide_subscriptions_tick (tide_subscriptions_t *self, uint64_t now_ms);
uint64_t tide_subscriptions_deadline_ms (const tide_subscriptions_t *self);

/*  -- to the broker --------------------------------------------------------------------------- */

typedef enum {
    TIDE_SUBSCRIPTIONS_FOLLOW,   /* subscribe both PUB sockets to pattern, and to marks */
    TIDE_SUBSCRIPTIONS_UNFOLLOW, /* the reverse */
    TIDE_SUBSCRIPTIONS_REQUEST   /* send message; give the answer back under tag */
} tide_subscriptions_action_kind_t;

typedef struct {
    tide_subscriptions_action_kind_t kind;
    tide_bytes_t pattern;
    uint64_t tag;
    const tide_message_t *message;
} tide_subscriptions_action_t;

/*  The next thing to be done; false if there is none. Must be asked until then after each input,
 *  before the next subscription is added. Spans are valid until the next call. */
bool tide_subscriptions_next_action (tide_subscriptions_t *self,
                                     tide_subscriptions_action_t *action);
/*  True if something is to be asked for: room was made by what was taken. */
bool tide_subscriptions_is_due (const tide_subscriptions_t *self);

/*  -- to the reader --------------------------------------------------------------------------- */

typedef enum {
    TIDE_TOLD_EVENT = 1,
    TIDE_TOLD_STANDING, /* of what stands at the sequence of the JOINED that follows */
    TIDE_TOLD_RESET,    /* what was known is void: code says why; what stands at seq follows */
    TIDE_TOLD_JOINED,   /* all up to seq was told */
    TIDE_TOLD_ENDED     /* nothing more comes: code says why */
} tide_told_kind_t;

typedef struct tide_told tide_told_t;
struct tide_told {
    tide_told_t *prev, *next;
    tide_subscription_t *subscription;
    void *handle; /* the subscription's */
    tide_told_kind_t kind;
    tide_status_t code;
    uint64_t seq, epoch;
    unsigned attempt;   /* from 1; above 1 it was told before, and not acknowledged */
    tide_event_t event; /* EVENT and STANDING; lies in bytes */
    size_t size;
    uint8_t bytes[];
};

/*  Takes the next of what is to be told, of one subscription after the other; NULL if there is
 *  none. The subscription is told nothing else until it is let go of. */
tide_told_t *tide_subscriptions_take (tide_subscriptions_t *self);
/*  The same of one that is direct. */
tide_told_t *tide_subscription_take (tide_subscriptions_t *self, tide_subscription_t *subscription);
/*  Lets go of what was told, and nulls. */
void tide_subscriptions_let (tide_subscriptions_t *self, tide_told_t **told_p);
/*  The same, and whether it was acknowledged: an event or JOINED that was not is told again by a
 *  named cursor, and is done with by none. True: something is to be asked for, or due sooner. */
bool tide_subscriptions_handled (tide_subscriptions_t *self, uint64_t now_ms, tide_told_t **told_p,
                                 bool is_acknowledged);
/*  True if tide_subscriptions_take would give something. */
bool tide_subscriptions_is_ready (const tide_subscriptions_t *self);

/*  What was acknowledged is written as soon as it can be, and not a while later. */
void tide_subscriptions_hurry (tide_subscriptions_t *self);
/*  Something was acknowledged that is not durable yet. */
bool tide_subscriptions_owe (const tide_subscriptions_t *self);

typedef struct {
    uint64_t told;      /* events that were queued */
    uint64_t volatiles; /* volatile ones that were dropped here */
    uint64_t lags;      /* times that a queue was full */
    uint64_t pages;     /* pages that were read */
    uint64_t resets;
    uint64_t repeated;              /* that were not acknowledged, and are told again */
    uint64_t waiting, waiting_size; /* events in the queues now, and their bytes */
} tide_subscriptions_counters_t;
tide_subscriptions_counters_t tide_subscriptions_counters (const tide_subscriptions_t *self);

/*  For tests: other limits than TIDE_TOLD_EVENTS_MAX and TIDE_STANDING_SIZE_MAX. */
void tide_subscriptions_shrink (tide_subscriptions_t *self, size_t events_max,
                                size_t standing_size_max);

#endif
