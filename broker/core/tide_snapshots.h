/*  tide_snapshots.h - what stands, frozen at one sequence and given in parts.
 *
 *  A snapshot freezes the list of standing sequences at the durable head N, then fetches their
 *  events part by part. Where one has gone meanwhile, it begins again with a new N and part 0.
 *  A part that is asked for again is given again; one of a snapshot that is not known any more
 *  (the broker was restarted, the time was over) is answered by part 0 of a new one.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SNAPSHOTS_H
#define TIDE_SNAPSHOTS_H

#include "tide_core.h"

typedef struct tide_snapshots tide_snapshots_t;

tide_snapshots_t *tide_snapshots_new (tide_core_t *core);
void tide_snapshots_destroy (tide_snapshots_t **self_p);

/*  A SNAPSHOT. There must be room for a fetch (TIDE_CORE_FETCHES_MAX). */
void tide_snapshots_receive (tide_snapshots_t *self, uint64_t now_ms, tide_bytes_t peer,
                             const tide_snapshot_message_t *snapshot);

/*  A fetch has come back. False if it is not one of these. */
bool tide_snapshots_complete (tide_snapshots_t *self, uint64_t now_ms, tide_log_fetch_t *fetch);

/*  Ends those of a peer that is gone. */
void tide_snapshots_forget (tide_snapshots_t *self, tide_bytes_t peer);

/*  Ends those that went on for too long. */
void tide_snapshots_tick (tide_snapshots_t *self, uint64_t now_ms);

uint64_t tide_snapshots_count (const tide_snapshots_t *self);

#endif
