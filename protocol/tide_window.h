/*  tide_window.h - what is missing between the watermark and a later sequence, and its reading.
 *
 *  Private to the feed. A window is what one or more marks cover. What they list and is not there
 *  is asked for topic by topic, at most TIDE_WANTS_MAX topics a READ. Several such shares of one
 *  window are read in turns, always the one that is behind the others, so that no more than a
 *  page of each has to wait.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WINDOW_H
#define TIDE_WINDOW_H

#include "tide_message.h"

typedef struct tide_window_want tide_window_want_t;

typedef struct {
    bool is_open;
    uint64_t from, to;
    tide_window_want_t *by_name; /* a uthash, in order of adding */
    tide_window_want_t **wants;  /* the same, by number; share n begins at n * TIDE_WANTS_MAX */
    size_t count, capacity;
    uint64_t *upto; /* for each share: read up to here */
    size_t shares;
    uint64_t missing; /* events, as far as they are known by number */
} tide_window_t;

void tide_window_open (tide_window_t *self, uint64_t from, uint64_t to);

/*  This event of this topic is not there. Called in rising order for each topic. */
void tide_window_miss (tide_window_t *self, tide_bytes_t topic, uint64_t seq);

/*  Whatever there is of the pattern behind `since` is to be read. */
void tide_window_want (tide_window_t *self, tide_bytes_t pattern, uint64_t since);

/*  After the last miss or want: shares them out. */
void tide_window_plan (tide_window_t *self);

/*  What has come is complete up to here. */
uint64_t tide_window_limit (const tide_window_t *self);

/*  Appends the wants of the share that is to be read next, and says which it is and how many they
 *  are; false if nothing is missing any more. */
bool tide_window_ask (const tide_window_t *self, tide_buffer_t *wants, uint32_t *count,
                      size_t *share);

/*  Where the want of this name, if there is one, is read from. */
bool tide_window_since (const tide_window_t *self, tide_bytes_t name, uint64_t *since);

/*  What the want of this name has up to seq is gone: it is read behind that. */
void tide_window_lost (tide_window_t *self, tide_bytes_t name, uint64_t seq);

/*  A page of this share is complete up to `upto`; `more` says that there are others. */
void tide_window_page (tide_window_t *self, size_t share, uint64_t upto, bool more);

/*  Takes the next missing event of this share that should have come by now, with its topic
 *  (borrowed from self); false if there is none. *at is 0 for the first call, and self's then. */
bool tide_window_next_due (tide_window_t *self, size_t share, size_t *at, tide_bytes_t *topic,
                           uint64_t *seq);

void tide_window_close (tide_window_t *self);

#endif
