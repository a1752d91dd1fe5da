/*  tide_feed.h - events and marks in, one gapless stream with a watermark out.
 *
 *  A feed holds the events of its topics until the mark behind them, and then knows exactly
 *  whether it has everything up to there: what a mark lists and did not arrive (dropped at a
 *  high-water mark, subscribed too late, connection lost) it asks for by READ; a missing mark
 *  shows because marks are contiguous, and is asked for by MARKS_READ. No timer guesses. What it
 *  hands on is in sequence order, each event once, with a watermark C: complete up to C.
 *
 *  A topic joins the set that C speaks for at N, the later of C and the head in the answer to its
 *  first READ (with limit 0). It never hands on an event of a topic at or below the sequence at
 *  which the topic joined. A feed must never let C pass something that it did not hand on, except
 *  where it says LOST.
 *
 *  Pure: no clock, socket or thread. Sources: design.md part 1 (4); the ZeroMQ guide's "clone"
 *  pattern, whose gaps this closes.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_FEED_H
#define TIDE_FEED_H

#include "tide_message.h"

typedef struct tide_feed tide_feed_t;

typedef enum {
    TIDE_FEED_SUBSCRIBE,   /* subscribe both PUB sockets to pattern (tide_fanout_subscription) */
    TIDE_FEED_UNSUBSCRIBE, /* the reverse */
    TIDE_FEED_REQUEST,     /* send message (READ or MARKS_READ); give the answer back under tag */
    TIDE_FEED_JOINED,      /* C speaks for pattern from seq on; C may be below seq still */
    TIDE_FEED_EVENT,       /* the next event, in sequence order; record is its bytes, borrowed */
    TIDE_FEED_VOLATILE,    /* a volatile event that belongs behind seq == C */
    TIDE_FEED_LOST,        /* events of pattern up to seq are gone for good: a reset is due; the
                              topic stays joined, and events behind seq are handed on */
    TIDE_FEED_COMPLETE,    /* everything up to seq was handed on: the watermark */
    TIDE_FEED_EPOCH        /* another log: epoch, its head is seq; all positions are void, every
                              pattern will say JOINED anew */
} tide_feed_action_kind_t;

typedef struct {
    tide_feed_action_kind_t kind;
    uint64_t seq;
    uint64_t epoch;
    uint64_t tag;
    tide_bytes_t pattern;
    tide_bytes_t record;           /* the encoded event (tide_event_decode), EVENT and VOLATILE */
    tide_event_t event;            /* the same, decoded */
    const tide_message_t *message; /* REQUEST: `request` is filled in by whoever sends it */
} tide_feed_action_t;

tide_feed_t *tide_feed_new (void);
void tide_feed_destroy (tide_feed_t **self_p);

/*  The conversation with the broker is up, for the first time or again: where its log stands.
 *  In the same epoch the feed reads on from C (marks first, then only its own topics among them);
 *  requests that were under way are asked again. */
void tide_feed_welcome (tide_feed_t *self, uint64_t epoch, uint64_t head);

/*  Begins to follow a topic or a subtree, which it does not follow yet. Says SUBSCRIBE, then
 *  JOINED. Without a broker it waits for one. Patterns may overlap: an event comes once. */
void tide_feed_add (tide_feed_t *self, tide_bytes_t pattern);

/*  Ends it. An event that is still matched by another pattern goes on coming. */
void tide_feed_remove (tide_feed_t *self, tide_bytes_t pattern);

/*  A frame from one of the broker's PUB sockets. Anything malformed is counted and ignored: the
 *  next mark shows what is missing. */
void tide_feed_receive (tide_feed_t *self, tide_bytes_t frame);

/*  The answer to the REQUEST with this tag: PAGE, MARKS or FAIL. An unknown tag is ignored. */
void tide_feed_answer (tide_feed_t *self, uint64_t tag, const tide_message_t *answer);

/*  Takes the next thing to be done; false if there is none. Spans in it are valid until the next
 *  call of any function of this feed. */
bool tide_feed_next_action (tide_feed_t *self, tide_feed_action_t *action);

/*  C; 0 before the first welcome. */
uint64_t tide_feed_watermark (const tide_feed_t *self);
uint64_t tide_feed_epoch (const tide_feed_t *self);

/*  Counters, always on. */
typedef struct {
    uint64_t events;         /* handed on */
    uint64_t repeats;        /* arrived again, or at or below C, and dropped */
    uint64_t mended;         /* handed on, but had to be read */
    uint64_t gaps;           /* times that a mark listed what had not come */
    uint64_t marks_read;     /* times that marks were read again */
    uint64_t malformed;      /* frames that were no message */
    uint64_t volatiles;      /* volatile events handed on */
    uint64_t volatiles_late; /* volatile events behind C, dropped */
    uint64_t held;           /* events that wait for their mark now */
    uint64_t overflows; /* times that held events were dropped at the limit, to be read later */
} tide_feed_counters_t;
tide_feed_counters_t tide_feed_counters (const tide_feed_t *self);

#endif
