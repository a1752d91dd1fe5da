/*  tide_log.h - where events lie durably: the small interface, and its engines.
 *
 *  A log keeps encoded events by sequence, in segments that are emptied whole; it knows nothing
 *  of topics, keys or ids (the broker's core indexes those in memory, and rebuilds the index from
 *  `scan` at start). Appending and fetching are asynchronous: what is handed over is owned by the
 *  log until it comes back as a completion. One batch is one atomic commit, synced before its
 *  completion says TIDE_OK.
 *
 *  All functions are called by one thread, the broker's; engines have threads of their own. Read
 *  on spikes in docs/architecture.md for why segments are a ring of named databases.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOG_H
#define TIDE_LOG_H

#include "tide_batch.h"

typedef struct {
    uint64_t epoch;
    uint64_t first, last; /* kept sequences, set-aside ones left out; 0, 0 if empty. last is
                             also right if all events are gone: it never falls */
    uint64_t events;      /* kept, set-aside ones included */
    uint64_t set_aside;
    uint64_t segments; /* in use */
    uint64_t size;     /* bytes used on disk or in memory */
    uint64_t damaged;  /* seen since opening */
    uint64_t commits, syncs;
} tide_log_info_t;

typedef struct tide_log tide_log_t;

/*  Called for each kept event in sequence order, set-aside ones included. record is NULL for a
 *  damaged one. segment_first is the first sequence of its segment, 0 if it was set aside. */
typedef void (tide_log_scan_fn) (void *argument, uint64_t seq, uint64_t segment_first,
                                 const tide_bytes_t *record);
/*  Called for each lost entry. */
typedef void (tide_log_lost_fn) (void *argument, tide_bytes_t topic, uint64_t seq);

/*  The memory engine: nothing outlives it. Completions are there at once. */
tide_log_t *tide_log_open_memory (uint64_t epoch);

typedef struct {
    const char *directory; /* made if it is not there */
    bool sync_always;      /* sync each commit; else the system decides when */
    unsigned segments;     /* how many at once; more are never needed than the broker keeps + 2 */
    uint64_t size_max;     /* of the file; 0: as large as the disk allows */
    uint64_t epoch_seed;   /* random: the epoch of a log that is made now */
    const char *boot_id;   /* the machine's present boot, or NULL */
} tide_log_lmdb_config_t;

/*  The LMDB engine. Makes the log, or opens it; after an unclean stop it is checked first, in a
 *  child process (it must be called before the caller has threads). NULL if that is not possible
 *  or the file is broken or of another format; then *why says what and where, in a string that the
 *  caller frees. */
tide_log_t *tide_log_open_lmdb (const tide_log_lmdb_config_t *config, char **why);

/*  Verifies a log's file, pages and records without changing it, in a child process. Writes a
 *  report for people to `report` (what it holds: epoch, sequences, events, topics, standing keys,
 *  size, every damaged record by sequence). TIDE_OK: sound; TIDE_NOT_FOUND: no log there;
 *  TIDE_CONFLICT: damaged; TIDE_BAD_REQUEST: of another format; TIDE_FORBIDDEN: it can't be read by
 *  this user. A log in use by a running broker may be checked, too. */
tide_status_t tide_log_check (const char *directory, tide_buffer_t *report);

/*  Waits for what is under way, stops the engine's threads, marks the log cleanly closed. */
void tide_log_close (tide_log_t **self_p);

/*  Nothing may be with the log meanwhile. TIDE_OK: everything was told. Otherwise the log can't be
 *  read, and what was told is not all. */
tide_status_t tide_log_scan (tide_log_t *self, tide_log_scan_fn *event, void *argument);
tide_status_t tide_log_lost (tide_log_t *self, tide_log_lost_fn *entry, void *argument);
tide_log_info_t tide_log_info (tide_log_t *self);

/*  Takes the batch. Batches commit in the order given; several that wait may share one commit. One
 *  that was numbered behind a batch that found no room is refused with it (TIDE_LOG_FULL), and so
 *  is one that begins a segment while all are in use. An empty batch begins none. */
void tide_log_append (tide_log_t *self, tide_log_batch_t **batch_p);

/*  Takes the fetch. Fetches run beside appends and see only what is durable. They complete with
 *  TIDE_OK, or, where nothing can be read any more, as appends do. */
void tide_log_fetch (tide_log_t *self, tide_log_fetch_t **fetch_p);

/*  Readable when a completion may be there; -1 if completions are there at once (memory). */
int tide_log_fd (tide_log_t *self);
/*  Takes the next completion; false if there is none (the fd is then quiet). */
bool tide_log_next (tide_log_t *self, tide_log_completion_t *completion);

#endif
