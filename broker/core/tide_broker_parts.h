/*  tide_broker_parts.h - what is inside a broker: for tide_broker*.c, tests and simulator only.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BROKER_PARTS_H
#define TIDE_BROKER_PARTS_H

#include "tide_core.h"
#include "tide_dispatch.h"
#include "tide_groups.h"
#include "tide_peers.h"
#include "tide_queue.h"
#include "tide_reading.h"
#include "tide_retention.h"
#include "tide_sequencer.h"
#include "tide_snapshots.h"

/*  A counter of the shell's. */
typedef struct {
    char *name;
    const uint64_t *value;
} tide_broker_stat_t;

struct tide_broker {
    tide_core_t core;
    tide_broker_config_t config; /* its strings are owned */
    tide_sequencer_t *sequencer; /* made at start */
    tide_reading_t *reading;
    tide_snapshots_t *snapshots;
    tide_peers_t *peers;
    tide_retention_t retention;
    tide_queue_t requests;  /* reads and snapshots that wait for a fetch to end */
    uint64_t segment;       /* the first sequence of the segment that is being loaded */
    uint64_t last_time_ms;  /* of the events loaded */
    uint64_t next_mark_ms;  /* when the next heartbeat is due */
    uint64_t next_round_ms; /* when to look at ages, silent peers and old snapshots */
    uint64_t ticked_ms;     /* when leases were looked at last */
    uint64_t next_look_ms;  /* when to look for dead workers */
    uint64_t looked_ms;     /* when it could have been */
    bool is_stopping, has_failed;
    bool is_expiry_blocked; /* there was no room for removals: go on when the log has answered */
    tide_broker_stat_t *stats;
    size_t stat_count;
};

/*  Smaller than life, so that little input reaches every corner: before anything is loaded. */
void tide_broker_shrink (tide_broker_t *self, uint32_t segment_events, uint32_t segments_max,
                         uint32_t ghosts_max);

/*  Answers STATS_READ. */
void tide_broker_send_stats (tide_broker_t *self, tide_bytes_t peer, uint64_t request);

#endif
