/*  tide_log_engine.h - what a log engine is, and what all engines share. Private to this folder.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOG_ENGINE_H
#define TIDE_LOG_ENGINE_H

#include "tide_log.h"

/*  One function for each of tide_log.h; close frees self. */
typedef struct {
    void (*close) (tide_log_t *self);
    tide_status_t (*scan) (tide_log_t *self, tide_log_scan_fn *event, void *argument);
    tide_status_t (*lost) (tide_log_t *self, tide_log_lost_fn *entry, void *argument);
    tide_log_info_t (*info) (tide_log_t *self);
    void (*append) (tide_log_t *self, tide_log_batch_t *batch);
    void (*fetch) (tide_log_t *self, tide_log_fetch_t *fetch);
    int (*fd) (tide_log_t *self);
    bool (*next) (tide_log_t *self, tide_log_completion_t *completion);
} tide_log_engine_t;

/*  The first member of every engine's own object. */
struct tide_log {
    const tide_log_engine_t *engine;
};

/*  -- work that waits, and completions: a queue without a lock -------------------------------- */

typedef struct {
    tide_log_completion_t *at;
    size_t head, count, capacity;
} tide_log_queue_t;

void tide_log_queue_push (tide_log_queue_t *self, tide_log_completion_t item);
bool tide_log_queue_pop (tide_log_queue_t *self, tide_log_completion_t *item);
/*  Destroys what is still in it, too. */
void tide_log_queue_free (tide_log_queue_t *self);

/*  -- answers of a fetch ---------------------------------------------------------------------- */

/*  Empties the answer. */
void tide_log_fetch_begin (tide_log_fetch_t *fetch);
/*  Answers the next sequence. False, and nothing is done, if the event would exceed size_max: the
 *  fetch is then complete. */
bool tide_log_fetch_found (tide_log_fetch_t *fetch, tide_bytes_t record);
void tide_log_fetch_missing (tide_log_fetch_t *fetch);
void tide_log_fetch_damaged (tide_log_fetch_t *fetch);

#endif
