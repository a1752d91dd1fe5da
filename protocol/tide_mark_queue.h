/*  tide_mark_queue.h - the marks of a feed that wait for their turn.
 *
 *  Private to the feed. Two parts: marks that follow one another without a gap (ready), and live
 *  marks that came behind a gap (later), kept so that reading the gap's marks is enough to go on.
 *  Both are bounded: what has no place is read again.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_MARK_QUEUE_H
#define TIDE_MARK_QUEUE_H

#include "tide_message.h"

typedef struct tide_queued_mark tide_queued_mark_t;
struct tide_queued_mark {
    tide_queued_mark_t *prev, *next;
    uint64_t from, to;
    tide_list_t topics; /* of touched */
    size_t size;
};

typedef struct {
    tide_queued_mark_t *ready, *later;
    size_t size;     /* bytes of both */
    uint64_t to;     /* marks are known without a gap up to here */
    uint64_t target; /* marks are known to exist up to here */
} tide_mark_queue_t;

/*  Empties it: all up to `to` is known, and there is nothing behind it yet. */
void tide_mark_queue_reset (tide_mark_queue_t *self, uint64_t to);

/*  A mark, live or read again. One that tells nothing new is ignored. */
void tide_mark_queue_add (tide_mark_queue_t *self, const tide_mark_t *mark);

/*  What is known up to `to` needs no marks any more. */
void tide_mark_queue_skip (tide_mark_queue_t *self, uint64_t to);

/*  The log goes up to `head`. */
void tide_mark_queue_head (tide_mark_queue_t *self, uint64_t head);

/*  True if marks behind `to` are missing and there is room for them. */
bool tide_mark_queue_is_short (const tide_mark_queue_t *self);

/*  Takes the next ready mark; NULL if there is none. The caller frees it with free (). */
tide_queued_mark_t *tide_mark_queue_take (tide_mark_queue_t *self);

#endif
