/*  tide_cursor.h - a named cursor: a position in the log that is kept there under a name.
 *
 *  It belongs to (user, name) and one set of topics, and stands as the key "#cursor" in the topic
 *  `$cursor/NAME` (`$cursor/NAME/USER` of a user). Whoever reads by it takes it over, and from then
 *  on moves it by acknowledging; both are conditional appends, so of two readers the later one wins
 *  and the earlier one learns it at its next write. Acknowledgements only go forward, and are
 *  gathered for a while before they are written; one write is under way at a time.
 *
 *      (new) --begin--> READING --> TAKING --> OURS <--> (a write is under way)
 *      (new) --go on--> UNREAD --first acknowledgement--> READING --> OURS
 *
 *  Pure: the reader's own link asks and appends, and hands the answers back. It knows neither
 *  sessions nor workers; both read by it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CURSOR_H
#define TIDE_CURSOR_H

#include "tide_alloc.h"
#include "tide_message.h"

#define TIDE_CURSOR_KEY "#cursor"

typedef struct tide_named_cursor tide_named_cursor_t;

/*  Whose cursor it is, and who reads by it. */
typedef struct {
    tide_bytes_t name;
    tide_bytes_t user;   /* empty: anonymous */
    tide_bytes_t topics; /* topics and subtrees, sorted, one a line */
    tide_bytes_t owner;  /* the reader's own name, unlike all others': a session's sid, … */
} tide_cursor_reader_t;

/*  Where reading begins. */
typedef struct {
    enum {
        TIDE_CURSOR_FROM_SEQ, /* behind seq of epoch; epoch 0: of the present log */
        TIDE_CURSOR_FROM_HEAD,
        TIDE_CURSOR_FROM_SNAPSHOT
    } kind;
    uint64_t epoch, seq;
} tide_cursor_place_t;

typedef enum {
    TIDE_CURSOR_READ,    /* ask for what stands in topic (SNAPSHOT), and hand on the answer */
    TIDE_CURSOR_WRITE,   /* publish event, to which an id is to be given, on condition of expect,
                            and hand on the answer */
    TIDE_CURSOR_TAKEN,   /* what was begun: it is ours, and place (never FROM_HEAD) is where to read
                            on; one of another log is to be bridged by a snapshot */
    TIDE_CURSOR_DURABLE, /* what was acknowledged up to seq is */
    TIDE_CURSOR_REFUSED, /* what was begun again can't be (status and why); it stays what it was */
    TIDE_CURSOR_DELAYED, /* it could not be written (status), and is tried again a second later */
    TIDE_CURSOR_OVER     /* status and why: it can't be had, or is another's by now, or removed.
                            Nothing more comes of it. */
} tide_cursor_action_kind_t;

/*  Spans are borrowed until the next call. */
typedef struct {
    tide_cursor_action_kind_t kind;
    tide_bytes_t topic;
    tide_event_t event;
    tide_expect_t expect;
    tide_cursor_place_t place;
    uint64_t seq;
    tide_status_t status;
    const char *why;
} tide_cursor_action_t;

/*  BAD_REQUEST or TOO_LARGE, and why, where there can be no such cursor. */
tide_status_t tide_cursor_check (tide_bytes_t name, tide_bytes_t user, const char **why);

/*  Appends the topic in which it stands; name and user have been checked. */
void tide_cursor_topic (tide_buffer_t *out, tide_bytes_t name, tide_bytes_t user);

/*  Reads what stands there. False if the event is no cursor's. */
bool tide_cursor_of (const tide_event_t *event, tide_cursor_t *cursor);
/*  Appends what is behind it, to be read (tide_want_t), and returns of how many topics. */
uint32_t tide_cursor_append_wants (tide_buffer_t *wants, const tide_cursor_t *cursor);

/*  The reader's spans are copied; its cursor has been checked. */
tide_named_cursor_t *tide_named_cursor_new (const tide_cursor_reader_t *reader);
/*  What was acknowledged and is not durable is forgotten: see tide_cursor_owes. */
void tide_named_cursor_destroy (tide_named_cursor_t **self_p);

/*  Begins to read by it: takes it over from whoever has it. `otherwise` is where a new one begins.
 *  May be said again, in any state but OVER. */
void tide_cursor_begin (tide_named_cursor_t *self, tide_cursor_place_t otherwise);

/*  Nobody waits any more for what was begun: whoever read by it before goes on as it did, and takes
 *  it from nobody. An append that is under way may still make it ours, which is not told. */
void tide_cursor_cease (tide_named_cursor_t *self);

/*  The owner goes on from elsewhere, and knows its position: nothing is asked before the first
 *  acknowledgement, which is refused if another has taken the cursor since. Nothing before `least`
 *  counts (tide_cursor_snapshot); 0: all does. */
void tide_cursor_go_on (tide_named_cursor_t *self, uint64_t least);

/*  The answer to READ or WRITE. */
void tide_cursor_answer (tide_named_cursor_t *self, uint64_t now_ms, const tide_message_t *answer);
/*  It could not be asked, or there was no answer to a READ in time. */
void tide_cursor_unanswered (tide_named_cursor_t *self, uint64_t now_ms, tide_status_t status);

/*  All up to seq has been dealt with; `delivered` is up to where the reader was given anything.
 *  What is not ahead of what was acknowledged before changes nothing. BAD_REQUEST: it is beyond
 *  `delivered`; if the cursor is over, what ended it. */
tide_status_t tide_cursor_ack (tide_named_cursor_t *self, uint64_t now_ms, uint64_t seq,
                               uint64_t delivered) TIDE_UNUSED_RESULT;
/*  Up to where something was acknowledged that is not durable yet; 0: all is. */
uint64_t tide_cursor_owes (const tide_named_cursor_t *self);
/*  What was acknowledged so far is written as soon as it can be. */
void tide_cursor_hurry (tide_named_cursor_t *self);

/*  The reader was given a snapshot at seq in place of what lay before it: until that is
 *  acknowledged the position stays where it was, so that whoever comes back gets one again. */
void tide_cursor_snapshot (tide_named_cursor_t *self, uint64_t seq);

/*  The log is another one, and answers that are still to come are void. The position is written
 *  there as it was, so that whoever comes back is told; nothing counts before the next snapshot.
 *  What was to begin does not. */
void tide_cursor_epoch (tide_named_cursor_t *self, uint64_t epoch);

bool tide_cursor_is_over (const tide_named_cursor_t *self);
/*  Nothing is under way, and nothing is owed. */
bool tide_cursor_is_idle (const tide_named_cursor_t *self);

void tide_cursor_tick (tide_named_cursor_t *self, uint64_t now_ms);
/*  When it is due: TIDE_CURSOR_GATHER_MS behind the call that made it so; 0: it is not. */
uint64_t tide_cursor_deadline_ms (const tide_named_cursor_t *self);

bool tide_cursor_next_action (tide_named_cursor_t *self, tide_cursor_action_t *action);

#endif
