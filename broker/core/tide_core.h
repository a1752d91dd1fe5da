/*  tide_core.h - what the parts of the broker's core share.
 *
 *  Who the log is, how far it is durable, what there is, and where answers go. Only the broker
 *  (tide_broker.c) changes `head`, and only when what is up to there has been put into the outbox
 *  to be published: whatever is answered later may name it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CORE_H
#define TIDE_CORE_H

#include "tide_ids.h"
#include "tide_index.h"
#include "tide_leases.h"
#include "tide_outbox.h"

/*  Limits of the broker alone; the shared ones are in tide_limits.h. */
#define TIDE_CORE_PEERS_MAX 16384
#define TIDE_CORE_PEER_SILENT_MS (10 * TIDE_HEARTBEAT_MS)
/*  Publishes that wait for a place in a batch. */
#define TIDE_CORE_QUEUE_MAX 65536
#define TIDE_CORE_QUEUE_SIZE_MAX (64u << 20)
/*  Fetches with the log at once; reads that wait for one to end. */
#define TIDE_CORE_FETCHES_MAX 64
#define TIDE_CORE_REQUESTS_MAX 8192
#define TIDE_CORE_REQUESTS_SIZE_MAX (32u << 20)
/*  Snapshots under way, and the keys that all of them may have frozen. */
#define TIDE_CORE_SNAPSHOTS_MAX 1024
#define TIDE_CORE_SNAPSHOT_KEYS_MAX (16u << 20)
#define TIDE_CORE_SNAPSHOT_MS 30000
#define TIDE_CORE_GHOSTS_MAX 16384
/*  One answer about marks. */
#define TIDE_CORE_MARKS_MAX 16
#define TIDE_CORE_TOPICS_MAX 1000

/*  X (name, what it counts). They become tidemark_broker_NAME_total. */
#define TIDE_COUNTERS(X)                                                                           \
    X (messages, "messages from peers")                                                            \
    X (malformed, "messages that could not be read")                                               \
    X (strangers, "messages of peers that had not said hello")                                     \
    X (hellos, "hellos")                                                                           \
    X (publishes, "publishes of logged events that were appended")                                 \
    X (events, "events that became durable")                                                       \
    X (event_bytes, "bytes of their records")                                                      \
    X (volatile_events, "volatile events published")                                               \
    X (repeats, "publishes that had been appended before")                                         \
    X (conflicts, "publishes refused because something else stood there")                          \
    X (batches, "commits")                                                                         \
    X (log_full, "commits refused because the disk was full")                                      \
    X (fanout_messages, "messages published with events")                                          \
    X (fanout_large, "events too large to be published, only listed in marks")                     \
    X (marks, "marks published")                                                                   \
    X (marks_reads, "reads of marks")                                                              \
    X (reads, "reads")                                                                             \
    X (pages, "pages of history given")                                                            \
    X (page_events, "events in them")                                                              \
    X (fetches, "fetches from the log")                                                            \
    X (read_again, "answers begun again because events had gone meanwhile")                        \
    X (snapshots, "snapshots begun")                                                               \
    X (snapshot_parts, "parts of snapshots given")                                                 \
    X (snapshots_again, "snapshots begun again because events had gone meanwhile")                 \
    X (topics_reads, "pages of topics given")                                                      \
    X (lost_events, "events that the log could not give")                                          \
    X (relayed, "messages handed on from one peer to another, each that got one counted")          \
    X (relays_nowhere, "relays that reached nobody")                                               \
    X (relays_full, "relays to peers that do not take what was relayed to them")                   \
    X (relays_refused, "relays of peers that hold no lease")                                       \
    X (releases, "keys released by their holders")                                                 \
    X (calls, "calls that were emitted")                                                           \
    X (calls_unknown, "events in $call that are no calls")                                         \
    X (lent, "calls lent to a worker")                                                             \
    X (lent_again, "of them, again")                                                               \
    X (calls_expired, "calls that a worker did not answer in time")                                \
    X (hooks_dropped, "ends of sessions that workers were not told of for want of room")           \
    X (calls_failed, "calls that ended with an error of the broker's")                             \
    X (calls_over, "logged calls that ended")                                                      \
    X (workers_dead, "workers that fell silent")                                                   \
    X (stale, "words of workers on what was lent anew, or to others, or is over")                  \
    X (group_events, "events lent to a member of a group")                                         \
    X (group_events_again, "of them, again")                                                       \
    X (group_events_expired, "events that a member did not answer in time")                        \
    X (group_events_dead, "events that no member of a group could handle")                         \
    X (groups_written, "records of groups written")                                                \
    X (groups_trimmed, "times that a group missed what was trimmed")                               \
    X (groups_unknown, "events in $group that are no groups")                                      \
    X (removals, "keys removed because their lease was over")                                      \
    X (segments, "segments begun")                                                                 \
    X (segments_dropped, "segments emptied")                                                       \
    X (peers_forgotten, "peers that fell silent")                                                  \
    X (pauses, "times that the broker itself stood still")

typedef struct {
#define X(name, doc) uint64_t name;
    TIDE_COUNTERS (X)
#undef X
    uint64_t refused[TIDE_STATUS_COUNT]; /* by code */
} tide_counters_t;

typedef struct tide_dispatch tide_dispatch_t;
typedef struct tide_groups tide_groups_t;

typedef struct {
    uint64_t epoch;
    uint64_t hash_seed[2];
    uint32_t payload_max;
    uint64_t head; /* the last durable sequence */
    uint32_t fetching;
    uint64_t tag; /* of the last fetch */
    tide_outbox_t out;
    tide_counters_t counters;
    tide_index_t *index;
    tide_leases_t *leases;
    tide_dispatch_t *dispatch;
    tide_groups_t *groups;
    tide_ids_t *ids[TIDE_CLASSES];
} tide_core_t;

/*  Makes a core with nothing in it, everything but the outbox in its place. */
void tide_core_init (tide_core_t *self, const tide_broker_config_t *config);
void tide_core_free (tide_core_t *self);

/*  Refuses a request. seq as in tide_fail_message_t. */
void tide_core_fail (tide_core_t *self, tide_bytes_t peer, uint64_t request, tide_status_t status,
                     uint64_t seq, const char *format, ...) __attribute__ ((format (printf, 6, 7)));

/*  The log could not give these, though they should be there: told as lost from now on. */
void tide_core_lose (tide_core_t *self, const uint64_t *seqs, size_t count);

/*  Counts and hands on a fetch; its tag, to be kept, is returned. */
uint64_t tide_core_fetch (tide_core_t *self, tide_log_fetch_t *fetch);

/*  An owned copy of a span; free its data. */
tide_bytes_t tide_core_copy (tide_bytes_t bytes);

#endif
