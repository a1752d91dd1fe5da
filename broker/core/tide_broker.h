/*  tide_broker.h - everything a broker decides, without sockets, clocks, threads or files.
 *
 *  Brings the cores of this folder together: the index (what there is), the sequencer (what is
 *  appended), marks (what was published), reading (pages, snapshots), leases and retention. Bytes
 *  from peers, completions of the log and time come in; what is to be done comes out as actions.
 *  The shell (tide_server) and the simulator drive it in the same way.
 *
 *  It keeps at most one batch with the log at a time; what arrives meanwhile gathers for the next
 *  (group commit without a timer). Nothing of a batch leaves before the log says it is durable.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BROKER_H
#define TIDE_BROKER_H

#include "tide_batch.h"
#include "tide_message.h"

typedef struct tide_broker tide_broker_t;

typedef struct {
    uint64_t epoch;
    uint64_t hash_seed[2]; /* random: keeps strangers from choosing colliding names */
    const char *events;    /* for WELCOME: where events are published */
    const char *volatiles;
    uint32_t payload_max;   /* --max-payload */
    uint64_t retain_events; /* history of clients' topics; system topics have 1/8 beside it */
    uint64_t retain_bytes;
    uint64_t retain_ms;
    uint64_t dedupe_ids;
    uint64_t workers_wait_ms; /* how long a call waits for a worker */
} tide_broker_config_t;

typedef enum {
    TIDE_BROKER_SEND,    /* send bytes to peer on ROUTER; if it cannot be: tide_broker_gone, or
                            drop and count where only its queue is full */
    TIDE_BROKER_PUBLISH, /* send bytes on the XPUB of events, or of volatile ones */
    TIDE_BROKER_APPEND,  /* give *batch to the log */
    TIDE_BROKER_FETCH,   /* give *fetch to the log */
    TIDE_BROKER_STOP     /* the log failed (status): stop serving at once, acknowledge nothing */
} tide_broker_action_kind_t;

typedef struct {
    tide_broker_action_kind_t kind;
    tide_bytes_t peer;
    tide_bytes_t bytes; /* a whole frame */
    bool is_volatile;
    tide_log_batch_t *batch; /* owned by whoever took the action */
    tide_log_fetch_t *fetch;
    tide_status_t status;
} tide_broker_action_t;

tide_broker_t *tide_broker_new (const tide_broker_config_t *config);
void tide_broker_destroy (tide_broker_t **self_p);

/*  How many segments a log needs with this configuration (tide_log_lmdb_config_t.segments). */
unsigned tide_broker_segments (const tide_broker_config_t *config);

/*  At start, before anything else: what the log holds, in the order in which tide_log_lost and
 *  tide_log_scan tell it (lost entries first), then `last` from tide_log_info, and begin. A
 *  damaged record (NULL) counts as lost for the topic of …: unknown, so for all topics. */
void tide_broker_load_lost (tide_broker_t *self, tide_bytes_t topic, uint64_t seq);
void tide_broker_load (tide_broker_t *self, uint64_t seq, uint64_t segment_first,
                       const tide_bytes_t *record);
void tide_broker_start (tide_broker_t *self, uint64_t now_ms, uint64_t last);

/*  A frame from the ROUTER. peer is its routing id. Anything malformed is answered by FAIL. A peer
 *  that sends anything but HELLO first is told so (FAIL, request 0). */
void tide_broker_receive (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer,
                          tide_bytes_t bytes);
/*  The peer cannot be reached any more. */
void tide_broker_gone (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer);

/*  A completion of the log. Takes what is in it. */
void tide_broker_complete (tide_broker_t *self, uint64_t now_ms, tide_log_completion_t *completion);

/*  Time has passed: heartbeat marks, leases, retention by age, silent peers. now_ms is everywhere
 *  in Unix milliseconds and never falls: the shell takes the wall clock once, at start, and adds
 *  the monotonic clock's progress. */
void tide_broker_tick (tide_broker_t *self, uint64_t now_ms);
uint64_t tide_broker_deadline_ms (const tide_broker_t *self);

/*  Begins a clean stop: new publishes are refused with shutting_down; what was taken is finished.
 */
void tide_broker_stop (tide_broker_t *self, uint64_t now_ms);
/*  True when nothing is with the log and no action is left. */
bool tide_broker_is_idle (const tide_broker_t *self);

/*  The next thing to be done; false if there is none. Spans are valid until the next call. Should
 *  be drained after every input, or after a burst of them: what is gathered is appended at the
 *  moment of draining. */
bool tide_broker_next_action (tide_broker_t *self, tide_broker_action_t *action);

/*  Bytes that wait to be taken: a burst of inputs should end when they are many. */
size_t tide_broker_said_size (const tide_broker_t *self);

/*  The last durable sequence. */
uint64_t tide_broker_head (const tide_broker_t *self);

/*  The shell's own counters (queues of its sockets) for STATS: a name and a value that stays in
 *  place as long as the broker lives. */
void tide_broker_add_stat (tide_broker_t *self, const char *name, const uint64_t *value);

#endif
