/*  tide_batch.h - what the broker asks of a log, and what it gets back.
 *
 *  The core says what it needs; the engines of broker/log do it. These objects travel whole from
 *  the core to the log and back: at any time exactly one of them owns one.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BATCH_H
#define TIDE_BATCH_H

#include "tide_message.h"

/*  A segment holds whole batches and is closed when it has this many events or more. */
#define TIDE_LOG_SEGMENT_EVENTS 65536

/*  What is appended in one commit. Made by the broker, which gets the same object back. */
typedef struct {
    uint64_t number; /* the broker's own count of batches */
    uint64_t first;  /* sequence of the first event: the log's last + 1; 0 events allowed */
    uint32_t count;
    tide_buffer_t records; /* encoded events as in a LIST: u32 size, then the event, count times */

    /*  Done in the same commit, before the events are appended: */
    bool begin_segment;    /* these events begin a new segment */
    uint64_t drop_through; /* segments whose last event is at or below this are emptied; 0: none */
    uint64_t *keep;        /* sequences in those segments that must outlive them, rising */
    size_t keep_count;     /*   (set aside, and fetched as before) */
    uint64_t *forget;      /* sequences set aside earlier that are no longer needed */
    size_t forget_count;
    tide_buffer_t lost;  /* encoded WANT records, as in a LIST: topic and the highest sequence */
    uint32_t lost_count; /*   that was lost; kept by the log until said anew; seq 0 removes;
                              topic "" is allowed here: it is the value for all forgotten ones */
} tide_log_batch_t;

tide_log_batch_t *tide_log_batch_new (void);
void tide_log_batch_destroy (tide_log_batch_t **self_p);
/*  Empties it for another use, keeping its memory. */
void tide_log_batch_clear (tide_log_batch_t *self);

/*  A fetch: events by sequence. Made by the broker, which gets the same object back. */
typedef struct {
    uint64_t tag;   /* the broker's */
    uint64_t *seqs; /* rising */
    size_t count;
    size_t size_max; /* stop before exceeding this many bytes, but not before one event */
    /*  The answer: */
    size_t done;           /* how many of seqs were looked up */
    tide_buffer_t records; /* those found, as in a LIST, in order */
    uint32_t found;
    uint64_t *missing; /* those not there any more (trimmed meanwhile), rising */
    size_t missing_count;
    uint64_t *damaged; /* those whose checksum is wrong: never served */
    size_t damaged_count;
} tide_log_fetch_t;

tide_log_fetch_t *tide_log_fetch_new (void);
void tide_log_fetch_destroy (tide_log_fetch_t **self_p);

/*  What the log says when one of them is done. */
typedef struct {
    tide_status_t status;    /* append: TIDE_OK, TIDE_LOG_FULL (nothing was appended; try later
                                batches), or anything else: the log can't go on, stop serving */
    tide_log_batch_t *batch; /* one of these two; the receiver owns it again */
    tide_log_fetch_t *fetch;
} tide_log_completion_t;

#endif
