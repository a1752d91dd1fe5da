/*  tide_retention.h - how the history that is kept becomes segments of the log.
 *
 *  A batch begins a new segment when the one before is full, by events or by bytes. In the same
 *  commit the oldest segments are emptied, when there would be too many or when nothing in them is
 *  alive; what must outlive them is set aside, what was lost is written down, and what was set
 *  aside earlier and is not needed any more is forgotten. A commit that fails changes nothing: the
 *  next one says all of it again.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_RETENTION_H
#define TIDE_RETENTION_H

#include "tide_core.h"

typedef struct {
    uint32_t topic;
    uint64_t lost_to;
} tide_retention_said_t;

/*  Set segments_max and segment_events; free with tide_retention_free. */
typedef struct {
    uint32_t segments_max;   /* that the log has room for */
    uint32_t segment_events; /* TIDE_LOG_SEGMENT_EVENTS, but in tests */
    uint64_t segment_bytes;  /* closes a segment, too; 0: only the events count */
    bool is_pressed;         /* the disk was full: begin early if that frees something */
    uint64_t common_said[TIDE_INDEX_COMMON];
    /*  What the flying batch says: */
    uint64_t common[TIDE_INDEX_COMMON];
    tide_retention_said_t *said;
    size_t said_count, said_capacity;
    size_t dirty_count, erased_size, forget_count;
} tide_retention_t;

void tide_retention_free (tide_retention_t *self);

/*  A segment goes as a whole. So that the history's bytes bound the disk's, it is closed when it
 *  holds an eighth of what is kept; 0: bytes are not limited. */
uint64_t tide_retention_segment_bytes (const tide_broker_config_t *config);

/*  Segments needed for a configuration. */
uint32_t tide_retention_segments (const tide_broker_config_t *config, uint32_t segment_events);

/*  After loading, before the index is settled: what it holds now, the log has written down. */
void tide_retention_start (tide_retention_t *self, const tide_core_t *core);

/*  Completes a batch that is about to be handed to the log. */
void tide_retention_plan (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch);

/*  The batch is durable: the index follows, before the batch's events are added to it. */
void tide_retention_done (tide_retention_t *self, tide_core_t *core, const tide_log_batch_t *batch);
/*  It was not appended, because the log is full. */
void tide_retention_full (tide_retention_t *self);

#endif
