/*  tide_limits.h - every limit of the system, and how they depend on one another.
 *
 *  A limit that an operator may change is a default here; the others are fixed, because two
 *  programs that talk to each other must agree on them.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LIMITS_H
#define TIDE_LIMITS_H

/*  Names, in bytes. A string on the wire has one byte of length. */
#define TIDE_NAME_SIZE_MAX 255
#define TIDE_TOPIC_SIZE_MAX 255

/*  A payload, as --max-payload allows it at most, and unless told. */
#define TIDE_PAYLOAD_SIZE_MAX (64u << 20)
#define TIDE_PAYLOAD_SIZE_DEFAULT 1000000u

/*  Attachments (binary values) of one event; Socket.IO's own limit. */
#define TIDE_ATTACHMENTS_MAX 10

/*  The topics whose members do not get an event, one a line. */
#define TIDE_EXCEPT_SIZE_MAX 4096

/*  One event on the wire beside its payload: seven strings, `except` and the fixed fields. */
#define TIDE_EVENT_OVERHEAD_MAX (7 * 256 + 64 + TIDE_EXCEPT_SIZE_MAX)

/*  What one peer hands to another: a client's whole message, and what has to be said of it. */
#define TIDE_RELAY_SIZE_MAX (TIDE_PAYLOAD_SIZE_MAX + (64u << 10))
/*  Relayed payloads that may be on their way to one peer: what is above this goes nowhere. */
#define TIDE_RELAY_OPEN_SIZE_MAX (128u << 20)
/*  A RELAY or a RELAYED beside that: one string and the fixed fields. */
#define TIDE_RELAY_OVERHEAD_MAX (256 + 64)

/*  A caller's own name for an answer. */
#define TIDE_REFERENCE_SIZE_MAX 4096
/*  Handlers of one worker, and of all together. */
#define TIDE_SERVE_HANDLERS_MAX 250
#define TIDE_HANDLERS_MAX 10000
/*  Calls that one worker may have in hand, and what it may ask for: how long a call's lease is, how
 *  often it is lent, how long the second attempt waits; each with what it is unless told. */
#define TIDE_CREDIT_MAX 10000
#define TIDE_CALL_LEASE_MS 30000
#define TIDE_CALL_LEASE_MS_MIN 100
#define TIDE_CALL_LEASE_MS_MAX 3600000
#define TIDE_CALL_ATTEMPTS 5
#define TIDE_CALL_ATTEMPTS_MAX 100
#define TIDE_CALL_DELAY_MS 1000
#define TIDE_CALL_DELAY_MS_MAX 3600000

/*  Groups: a name's user; topics and subtrees; events that it has read and that are not yet all
 *  acknowledged up to there. */
#define TIDE_GROUP_USER_SIZE_MAX 240
#define TIDE_GROUP_TOPICS_MAX 64
#define TIDE_GROUP_WINDOW_MAX 10000

/*  One ZeroMQ message: a payload, and room for everything around it. */
#define TIDE_MESSAGE_SPARE (1u << 20)
#define TIDE_MESSAGE_SIZE_MAX (TIDE_PAYLOAD_SIZE_MAX + TIDE_MESSAGE_SPARE)

/*  What a broker with this --max-payload reads at most: the largest publish that it may take, and
 *  enough above it for a peer to be told rather than cut. */
#define TIDE_MESSAGE_SIZE_READ(payload_max)                                                        \
    (((payload_max) + 0ull + TIDE_EVENT_OVERHEAD_MAX > TIDE_BATCH_SIZE_MAX                         \
          ? (payload_max) + 0ull + TIDE_EVENT_OVERHEAD_MAX                                         \
          : TIDE_BATCH_SIZE_MAX)                                                                   \
     + TIDE_MESSAGE_SPARE)

/*  Events that one publish may join, and topics that one READ may name. */
#define TIDE_PUBLISH_EVENTS_MAX 256
#define TIDE_EXPECTS_MAX 64
#define TIDE_WANTS_MAX 1024

/*  One batch: what a commit makes durable at once. */
#define TIDE_BATCH_EVENTS_MAX 4096
#define TIDE_BATCH_SIZE_MAX (8u << 20)

/*  Fan-out: events of one topic travel together up to this; a larger event is only in the mark. */
#define TIDE_FANOUT_SIZE_MAX 65536
/*  Messages that may wait for one subscriber; at least four times what the largest batch makes. */
#define TIDE_FANOUT_HWM 20000
#define TIDE_VOLATILE_HWM 1000

/*  Pages of history: events and bytes of one answer (one event is always given, however large). */
#define TIDE_PAGE_EVENTS_MAX 1000
#define TIDE_PAGE_SIZE_MAX (256u << 10)
#define TIDE_SNAPSHOT_PART_SIZE_MAX (256u << 10)

/*  What a feed holds until its mark, and marks that wait for their turn: what is above this is
 *  dropped and read later. */
#define TIDE_FEED_HELD_SIZE_MAX (64u << 20)
#define TIDE_FEED_MARKS_SIZE_MAX (16u << 20)
#define TIDE_FEED_VOLATILES_MAX 4096
#define TIDE_FEED_VOLATILE_SIZE_MAX (4u << 20)

/*  Requests of one link that await their answer; the broker's queue towards one peer holds more. */
#define TIDE_LINK_REQUESTS_MAX 16384
#define TIDE_ROUTER_HWM 65536

/*  Topics and subscriptions of one session. */
#define TIDE_SESSION_TOPICS_MAX 1000
/*  Of these, in which it is present, and what it says of itself in each: bytes of JSON, and arrays
 *  and objects within one another. */
#define TIDE_SESSION_PRESENT_MAX 100
#define TIDE_PRESENT_SIZE_MAX 4096
#define TIDE_PRESENT_DEPTH_MAX 32

/*  The name of a cursor, in bytes; and how many of them one session reads by. */
#define TIDE_CURSOR_NAME_SIZE_MAX 64
#define TIDE_SESSION_CURSORS_MAX 100
/*  How long acknowledgements of a named cursor are gathered before they are written. */
#define TIDE_CURSOR_GATHER_MS 1000

/*  History that a broker may be asked to keep: three classes of topics have that many, or an
 *  eighth, and the log as many segments as it can (a test holds the two together). */
#define TIDE_RETAIN_EVENTS_MAX 120000000u
#define TIDE_LOG_SEGMENTS_MAX 4096

/*  Heartbeats between a link and the broker; a peer that was silent for LIVENESS is gone. */
#define TIDE_HEARTBEAT_MS 1000
#define TIDE_LIVENESS_MS 3000
#define TIDE_LEASE_MS 10000
/*  A worker that was silent for so long is dead. It is looked at every half second. */
#define TIDE_WORKER_SILENT_MS 2500
#define TIDE_WORKER_LOOK_MS 500
/*  A request that was not answered for this long is asked again. */
#define TIDE_RETRY_MS 5000

_Static_assert(TIDE_EVENT_OVERHEAD_MAX < TIDE_MESSAGE_SPARE,
               "the largest event fits into a message");
_Static_assert(TIDE_RELAY_SIZE_MAX - TIDE_PAYLOAD_SIZE_MAX + TIDE_RELAY_OVERHEAD_MAX
                   <= TIDE_MESSAGE_SPARE,
               "a client's message can be relayed, whatever --max-payload is");
_Static_assert(TIDE_RELAY_OPEN_SIZE_MAX >= TIDE_RELAY_SIZE_MAX, "the largest can be relayed");
_Static_assert(2 * TIDE_SESSION_PRESENT_MAX < TIDE_PUBLISH_EVENTS_MAX,
               "a session enters all its topics together with its record");
_Static_assert(TIDE_FANOUT_HWM >= 4 * TIDE_BATCH_EVENTS_MAX,
               "the high-water mark must hold four of the largest batches");
_Static_assert(TIDE_LIVENESS_MS >= 3 * TIDE_HEARTBEAT_MS, "three heartbeats may be missed");
_Static_assert(TIDE_WORKER_SILENT_MS + TIDE_WORKER_LOOK_MS <= 3000,
               "a dead worker is noticed within three seconds");
_Static_assert(TIDE_LEASE_MS > 2 * TIDE_LIVENESS_MS, "a lease outlives a reconnect");
_Static_assert(sizeof "$cursor/" - 1 + 3 * TIDE_CURSOR_NAME_SIZE_MAX <= TIDE_TOPIC_SIZE_MAX,
               "a cursor's name has a topic, whatever is encoded of it");
_Static_assert(TIDE_ROUTER_HWM > TIDE_LINK_REQUESTS_MAX, "each request's answer has a place");

#endif
