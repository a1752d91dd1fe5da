/*  tide_bookmarks.h - the named cursors by which a worker's subscriptions read.
 *
 *  A bookmark is one reader's hold on a named cursor (tide_cursor.h): it takes the cursor, says
 *  where to read on, and moves it by what is acknowledged, until another reader takes it over. One
 *  that is left stays until what was acknowledged is written; who reads under its name next waits
 *  for that, so that nothing of it comes again.
 *
 *  Pure: its requests go out, and answers come back, with the subscriptions' own.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BOOKMARKS_H
#define TIDE_BOOKMARKS_H

#include "tide_cursor.h"

typedef struct tide_bookmarks tide_bookmarks_t;
typedef struct tide_bookmark tide_bookmark_t;

tide_bookmarks_t *tide_bookmarks_new (void);
/*  What was acknowledged and is not durable is forgotten. */
void tide_bookmarks_destroy (tide_bookmarks_t **self_p);

/*  name has been checked (tide_cursor_check), for anonymous; owner is unlike all others, at most
 *  TIDE_BOOKMARK_OWNER_SIZE_MAX bytes; topics is what is read. All are copied. */
#define TIDE_BOOKMARK_OWNER_SIZE_MAX 63
tide_bookmark_t *tide_bookmarks_add (tide_bookmarks_t *self, tide_bytes_t name, tide_bytes_t owner,
                                     tide_bytes_t topics, void *handle);
/*  True if somebody here reads under this name. */
bool tide_bookmarks_have (const tide_bookmarks_t *self, tide_bytes_t name);

/*  Takes the cursor. `otherwise` is where a new one begins; epoch is the present log's, as below.
 */
void tide_bookmark_begin (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t epoch,
                          tide_cursor_place_t otherwise);
/*  Was told all up to seq of this log, and acknowledges it; what is of another one does not count.
 */
void tide_bookmark_ack (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t now_ms,
                        uint64_t epoch, uint64_t seq);
/*  The same of a snapshot at seq. */
void tide_bookmark_ack_snapshot (tide_bookmarks_t *self, tide_bookmark_t *bookmark, uint64_t now_ms,
                                 uint64_t epoch, uint64_t seq);
/*  It was lost, or could not be had: OVER was said. */
bool tide_bookmark_is_over (const tide_bookmark_t *bookmark);
/*  Reads by it no longer; nulls. */
void tide_bookmark_leave (tide_bookmarks_t *self, tide_bookmark_t **bookmark_p);

/*  The log is this one from now on. */
void tide_bookmarks_epoch (tide_bookmarks_t *self, uint64_t epoch);
/*  The answer to the ASK with this tag; an unknown one is ignored. */
void tide_bookmarks_answer (tide_bookmarks_t *self, uint64_t now_ms, uint64_t tag,
                            const tide_message_t *answer);
void tide_bookmarks_tick (tide_bookmarks_t *self, uint64_t now_ms);
/*  UINT64_MAX: nothing is due. */
uint64_t tide_bookmarks_deadline_ms (const tide_bookmarks_t *self);

/*  What was acknowledged is written as soon as it can be. */
void tide_bookmarks_hurry (tide_bookmarks_t *self);
/*  Something was acknowledged that is not durable yet. */
bool tide_bookmarks_owe (const tide_bookmarks_t *self);

typedef enum {
    TIDE_BOOKMARK_ASK,   /* send message; give the answer back under tag */
    TIDE_BOOKMARK_TAKEN, /* reading goes on at place */
    TIDE_BOOKMARK_OVER   /* the cursor can't be had, or is another's by now, or removed: status */
} tide_bookmark_action_kind_t;

typedef struct {
    tide_bookmark_action_kind_t kind;
    uint64_t tag;
    const tide_message_t *message;
    void *handle;
    tide_cursor_place_t place;
    tide_status_t status;
} tide_bookmark_action_t;

/*  The next thing to be done; false if there is none. Spans are valid until the next call. */
bool tide_bookmarks_next_action (tide_bookmarks_t *self, tide_bookmark_action_t *action);
/*  True if there may be something to be done. */
bool tide_bookmarks_are_due (const tide_bookmarks_t *self);

#endif
