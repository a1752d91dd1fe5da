/*  tide_message.h - every ZeroMQ message, as one model.
 *
 *  The tables below are the protocol: each record and message with its fields, types, limits and
 *  meaning. Structs, encoder, decoder, round-trip test, fuzz target and docs/protocol.md all
 *  follow from them.
 *
 *  A message is one ZeroMQ frame: "TM", u8 version, u8 kind, then the fields in order, numbers
 *  big-endian. What is published has in front of that a class byte, the topic and a NUL, so that
 *  ZeroMQ filters by prefix. A list is u32 count, u32 bytes, then records, each behind its u32
 *  size. Unknown versions and kinds, trailing bytes and sizes above their limit are errors.
 *
 *  Decoded spans are borrowed from the message's bytes; nothing is allocated.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_MESSAGE_H
#define TIDE_MESSAGE_H

#include "tide_limits.h"
#include "tide_status.h"
#include "tide_wire.h"

#define TIDE_PROTOCOL_VERSION 1

/*  A list of records, still encoded. Copy it and step through the copy with tide_X_next. */
typedef struct {
    uint32_t count;
    tide_bytes_t bytes;
} tide_list_t;

/*  Types of fields: U8 U16 U32 U64 numbers; STR up to 255 bytes; TEXT up to 65,535 bytes; BLOB
 *  bytes with a u32 size; LIST of records. The third column is the limit (bytes for STR, TEXT and
 *  BLOB; the largest value for U8; 0: the type's own) or, for a LIST, the record's name. */

/*  An event, as it lies in the log and travels everywhere. seq and time_ms stand first, at fixed
 *  places, so that the sequencer writes them into the publisher's bytes. */
#define TIDE_EVENT_FIELDS(F, S)                                                                    \
    F (S, seq, U64, 0,                                                                             \
       "place in the log; 0 until the sequencer gave one, and for volatile events")                \
    F (S, time_ms, U64, 0, "the broker's clock, Unix milliseconds, never falling")                 \
    F (S, flags, U8, 7,                                                                            \
       "1 volatile; 2 owns its topic: when its lease removes this key, all keys go; 4 it is "      \
       "told already that whoever holds its lease is gone, and not again when the lease is over")  \
    F (S, topic, STR, 255, "where it belongs")                                                     \
    F (S, name, STR, 255, "the event's name")                                                      \
    F (S, key, STR, 255, "the key under which it stands; empty: none")                             \
    F (S, id, STR, 255,                                                                            \
       "the publisher's id, for publishing again without appending twice; or empty")               \
    F (S, user, STR, 255, "whose id it is; empty: anonymous")                                      \
    F (S, from, STR, 255, "the publishing session's public id; or empty")                          \
    F (S, lease, STR, 255, "the lease whose end removes the key; or empty")                        \
    F (S, linger_ms, U32, 0, "how long after the lease's end the key is removed")                  \
    F (S, except, TEXT, TIDE_EXCEPT_SIZE_MAX,                                                      \
       "topics whose members do not get it, one a line; empty: none")                              \
    F (S, payload, BLOB, TIDE_PAYLOAD_SIZE_MAX,                                                    \
       "the arguments (tide_args.h); empty: removes the key")

#define TIDE_EXPECT_FIELDS(F, S)                                                                   \
    F (S, topic, STR, 255, "topic of the key")                                                     \
    F (S, key, STR, 255, "the key")                                                                \
    F (S, seq, U64, 0, "the sequence that must be standing there; 0: none")

#define TIDE_WANT_FIELDS(F, S)                                                                     \
    F (S, topic, STR, 255, "a topic or a subtree")                                                 \
    F (S, seq, U64, 0, "the sequence behind which to read; in an answer: the highest that was lost")

#define TIDE_TOUCHED_FIELDS(F, S)                                                                  \
    F (S, topic, STR, 255, "a topic that the mark's range touched")                                \
    F (S, offsets, BLOB, 1u << 24,                                                                 \
       "its sequences, each a u32 to be added to the mark's `from`, rising")

#define TIDE_MARK_FIELDS(F, S)                                                                     \
    F (S, from, U64, 0, "everything up to here was in earlier marks")                              \
    F (S, to, U64, 0, "everything up to here is out")                                              \
    F (S, topics, LIST, touched, "each topic that was touched in between, once")

#define TIDE_TOPIC_INFO_FIELDS(F, S)                                                               \
    F (S, topic, STR, 255, "the topic")                                                            \
    F (S, last, U64, 0, "its latest sequence")                                                     \
    F (S, events, U64, 0, "events of it in the history")                                           \
    F (S, standing, U64, 0, "keys that stand")

#define TIDE_STAT_FIELDS(F, S)                                                                     \
    F (S, name, STR, 255, "the counter's name, as on /metrics")                                    \
    F (S, value, U64, 0, "its value")

/*  The name of a worker's reply, in the topic of the session that called. */
#define TIDE_REPLY_NAME "$reply"

/*  Beside it in a session's own topic, what a worker does to the session: an argument each, the
 *  topic, the topic, and whether its connection is to be closed. A volatile one asks its client for
 *  an acknowledgement: within how many milliseconds, the event's name, its arguments; beside them
 *  what the question is called, and the topic that gets the answer (`called`), as a reply. */
#define TIDE_ORDER_JOIN "$join"
#define TIDE_ORDER_LEAVE "$leave"
#define TIDE_ORDER_DISCONNECT "$disconnect"
#define TIDE_ORDER_ASK "$ask"

/*  Keys of a session's topic: its record, and what workers keep of it, as {"data":…}. */
#define TIDE_SESSION_KEY "#session"
#define TIDE_SESSION_DATA_KEY "#data"
/*  The limit of the latter, as libtidemark writes JSON; and of what its payload has above that:
 *  what is around it, and a fifth where all is numbers, since there 1e22 is 1e+22. */
#define TIDE_SESSION_DATA_SIZE_MAX (64u << 10)
#define TIDE_SESSION_DATA_OVERHEAD_MAX (1024u + (16u << 10))

/*  What a gateway calls on its clients' behalf: one comes in, has lost its connection, is gone.
 *  What workers keep of a session that is new comes with the answer that lets it in, as the member
 *  TIDE_SESSION_DATA_KEY of its first argument. */
#define TIDE_HOOK_CONNECT "tide:connect"
#define TIDE_HOOK_DISCONNECT "tide:disconnect"
#define TIDE_HOOK_EXPIRED "tide:session_expired"

/*  What lies beside the arguments of a call in the log, of its reply, and of what came of it when
 *  nobody could handle it. */
#define TIDE_CALLED_FIELDS(F, S)                                                                   \
    F (S, nsp, STR, 255, "the namespace in which it was emitted")                                  \
    F (S, wanted, BLOB, TIDE_REFERENCE_SIZE_MAX,                                                   \
       "the caller's own name for the answer that it wants; empty: it wants none")                 \
    F (S, session, STR, 255, "the topic of the caller's record; empty: it has none")               \
    F (S, answer, STR, 255, "the topic that gets the reply; empty: the caller's own")
#define TIDE_REPLIED_FIELDS(F, S)                                                                  \
    F (S, call, U64, 0, "the call's number")                                                       \
    F (S, wanted, BLOB, TIDE_REFERENCE_SIZE_MAX, "as in the call")                                 \
    F (S, code, U8, 0, "the tide_status_t; if it is not ok, there are no arguments")               \
    F (S, message, TEXT, 0, "what was wrong, for people")

#define TIDE_OFFER_FIELDS(F, S)                                                                    \
    F (S, nsp, STR, 255, "the namespace; * for all")                                               \
    F (S, event, STR, 255, "the event's name; * for all that have no handler of their own")        \
    F (S, flags, U8, 3,                                                                            \
       "1 calls are volatile: never logged, lent once; 2 those of one session may "                \
       "be handled side by side")
/*  What stands in $serve of each handler that there ever was. */
#define TIDE_SERVED_FIELDS(F, S)                                                                   \
    F (S, service, STR, 255, "whose handler it is")                                                \
    F (S, nsp, STR, 255, "the namespace; * for all")                                               \
    F (S, event, STR, 255, "the event's name; * for all")                                          \
    F (S, flags, U8, 3, "the handler's")

/*  What stands for a named cursor (tide_cursor.h). */
#define TIDE_CURSOR_FIELDS(F, S)                                                                   \
    F (S, name, STR, 255, "the cursor's name")                                                     \
    F (S, user, STR, 255, "whose it is; empty: anonymous")                                         \
    F (S, topics, TEXT, 0, "what is read by it: topics and subtrees, sorted, one a line")          \
    F (S, owner, STR, 255, "who has taken it last: the sid of a session, or a worker's name")      \
    F (S, epoch, U64, 0, "the log that the position belongs to")                                   \
    F (S, seq, U64, 0, "all up to here was acknowledged")                                          \
    F (S, flags, U8, 1, "1 it begins with a snapshot, and nothing has been acknowledged since")
/*  What stands in $group/NAME of each group. */
#define TIDE_GROUPED_FIELDS(F, S)                                                                  \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is; empty: anonymous")              \
    F (S, name, STR, 63, "the group's name")                                                       \
    F (S, topics, TEXT, 0, "topics and subtrees, one a line, sorted")                              \
    F (S, floor, U64, 0, "everything of its topics up to here is acknowledged")                    \
    F (S, upto, U64, 0,                                                                            \
       "nothing behind this was given to a member yet; all ones: not known, it has members")       \
    F (S, acked, BLOB, 4 * TIDE_GROUP_WINDOW_MAX,                                                  \
       "what is acknowledged above the floor, each a u32 to be added to it, rising")

#define TIDE_RECORDS(R)                                                                            \
    R (event, EVENT, "one event")                                                                  \
    R (expect, EXPECT, "a condition on a key")                                                     \
    R (want, WANT, "a topic and a position")                                                       \
    R (touched, TOUCHED, "a topic in a mark")                                                      \
    R (mark, MARK, "what was published from … to …")                                               \
    R (topic_info, TOPIC_INFO, "what there is of one topic")                                       \
    R (stat, STAT, "one counter")                                                                  \
    R (called, CALLED, "beside the arguments of a call")                                           \
    R (replied, REPLIED, "beside the arguments of a reply")                                        \
    R (offer, OFFER, "what a worker handles")                                                      \
    R (served, SERVED, "what is known of a handler")                                               \
    R (cursor, CURSOR, "what stands for a named cursor")                                           \
    R (grouped, GROUPED, "what is known of a group")

#define TIDE_HELLO_FIELDS(F, S)                                                                    \
    F (S, name, STR, 255, "who is speaking, for logs")                                             \
    F (S, lease, STR, 255, "the lease that this peer's heartbeats renew; empty: none")             \
    F (S, origin, STR, 255,                                                                        \
       "who is speaking, for the broker: the same behind each connection of a process, and "       \
       "nobody else's; empty: not said")
#define TIDE_WELCOME_FIELDS(F, S)                                                                  \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, head, U64, 0, "the last sequence that is durable")                                       \
    F (S, events, TEXT, 0, "port or endpoint where events and marks are published")                \
    F (S, volatiles, TEXT, 0, "port or endpoint where volatile events are published")              \
    F (S, payload_max, U32, 0, "the largest payload that the broker takes")
#define TIDE_PING_FIELDS(F, S)                                                                     \
    F (S, relayed, U64, 0, "bytes of payloads that were relayed to this peer since its HELLO")
#define TIDE_PONG_FIELDS(F, S)                                                                     \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, head, U64, 0, "the last sequence that is durable")
#define TIDE_BYE_FIELDS(F, S)
#define TIDE_PUBLISH_FIELDS(F, S)                                                                  \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, expects, LIST, expect, "all must hold, or nothing is appended")                          \
    F (S, events, LIST, event, "they stand or fall together, and get contiguous sequences")
#define TIDE_ACK_FIELDS(F, S)                                                                      \
    F (S, request, U64, 0, "the publish")                                                          \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, first, U64, 0, "the first event's sequence; the others follow it; 0 for volatile ones")  \
    F (S, count, U32, 0, "how many events")                                                        \
    F (S, repeated, U8, 1, "1: these ids had been appended before, at these sequences")
#define TIDE_FAIL_FIELDS(F, S)                                                                     \
    F (S, request, U64, 0, "the request that failed; 0: the conversation")                         \
    F (S, code, U8, 0, "the tide_status_t")                                                        \
    F (S, seq, U64, 0, "conflict: the sequence that stands; epoch_changed: the head")              \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, message, TEXT, 0, "what was wrong, for people")
#define TIDE_READ_FIELDS(F, S)                                                                     \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, epoch, U64, 0, "the log that the positions belong to; 0: the present one")               \
    F (S, until, U64, 0, "read no further than this; 0: the head")                                 \
    F (S, limit, U32, 0, "events at most; 0: none, only positions and what was lost")              \
    F (S, size_max, U32, 0, "bytes at most, but always one event")                                 \
    F (S, wants, LIST, want, "topics and subtrees, each with the sequence behind which to read")
#define TIDE_PAGE_FIELDS(F, S)                                                                     \
    F (S, request, U64, 0, "the read")                                                             \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, upto, U64, 0, "the page is complete up to here: read on behind it")                      \
    F (S, head, U64, 0, "the last sequence that is durable")                                       \
    F (S, more, U8, 1, "1: there is more up to `until`")                                           \
    F (S, lost, LIST, want,                                                                        \
       "each wanted topic that lost events behind its position, and up to where")                  \
    F (S, events, LIST, event, "in sequence order")
#define TIDE_MARKS_READ_FIELDS(F, S)                                                               \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, epoch, U64, 0, "the log that the position belongs to")                                   \
    F (S, since, U64, 0, "marks behind this sequence")
#define TIDE_MARKS_FIELDS(F, S)                                                                    \
    F (S, request, U64, 0, "the read")                                                             \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, head, U64, 0,                                                                            \
       "the last sequence that is durable; the last mark's `to` if there is no more")              \
    F (S, marks, LIST, mark, "contiguous, the first from `since`")
#define TIDE_SNAPSHOT_FIELDS(F, S)                                                                 \
    F (S, request, U64, 0, "echoed; the parts of one snapshot are asked for under one number")     \
    F (S, topic, STR, 255, "a topic or a subtree")                                                 \
    F (S, part, U32, 0, "which part, from 0; each is asked for when the one before it has come")
#define TIDE_STANDING_FIELDS(F, S)                                                                 \
    F (S, request, U64, 0, "the snapshot")                                                         \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, seq, U64, 0, "the sequence N at which it was frozen")                                    \
    F (S, part, U32, 0, "0 begins (again): what came before is void")                              \
    F (S, more, U8, 1, "1: ask for the next part")                                                 \
    F (S, events, LIST, event, "standing events, in sequence order")
#define TIDE_TOPICS_READ_FIELDS(F, S)                                                              \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, after, STR, 255, "topics that sort behind this one")                                     \
    F (S, limit, U32, 0, "topics at most")
#define TIDE_TOPICS_FIELDS(F, S)                                                                   \
    F (S, request, U64, 0, "the read")                                                             \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, head, U64, 0, "the last sequence that is durable")                                       \
    F (S, more, U8, 1, "1: there are more behind the last one")                                    \
    F (S, topics, LIST, topic_info, "sorted by name; none of the system's")
#define TIDE_RELEASE_FIELDS(F, S)                                                                  \
    F (S, topic, STR, 255, "topic of a leased key")                                                \
    F (S, key, STR, 255, "the key")                                                                \
    F (S, seq, U64, 0, "the sequence that stands there; otherwise nothing happens")
#define TIDE_STATS_READ_FIELDS(F, S) F (S, request, U64, 0, "echoed in the answer")
#define TIDE_STATS_FIELDS(F, S)                                                                    \
    F (S, request, U64, 0, "the read")                                                             \
    F (S, stats, LIST, stat, "the broker's counters")
#define TIDE_EVENTS_FIELDS(F, S)                                                                   \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, events, LIST, event, "events of one topic, in sequence order")
#define TIDE_MARKED_FIELDS(F, S)                                                                   \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, marks, LIST, mark, "one mark; an empty range is the heartbeat")
#define TIDE_VOLATILE_FIELDS(F, S)                                                                 \
    F (S, epoch, U64, 0, "the log's identity")                                                     \
    F (S, behind, U64, 0,                                                                          \
       "the sequence behind which the events belong: a feed past it drops them")                   \
    F (S, events, LIST, event, "volatile events of one topic")

#define TIDE_RELAY_FIELDS(F, S)                                                                    \
    F (S, token, U64, 0, "the sender's own: comes back in TOLD, and reaches the receiver")         \
    F (S, to, STR, 255, "the lease whose holder is meant; empty: every other lease's holder")      \
    F (S, payload, BLOB, TIDE_RELAY_SIZE_MAX, "what is handed on: the broker does not look at it")
#define TIDE_RELAYED_FIELDS(F, S)                                                                  \
    F (S, token, U64, 0, "the sender's own")                                                       \
    F (S, from, STR, 255, "the sender's lease")                                                    \
    F (S, payload, BLOB, TIDE_RELAY_SIZE_MAX, "as it was sent")
#define TIDE_TOLD_FIELDS(F, S)                                                                     \
    F (S, token, U64, 0, "the RELAY's")                                                            \
    F (S, count, U32, 0, "to how many peers it went")

/*  Calls, and who handles them. */
#define TIDE_SERVE_FIELDS(F, S)                                                                    \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, service, STR, 63, "what the worker is one of; a topic's level")                          \
    F (S, credit, U32, 0, "calls that it takes at once; 0: none for now")                          \
    F (S, lease_ms, U32, 0, "how long it may be silent about a call; 0: 30 seconds")               \
    F (S, attempts, U32, 0, "how often a call is lent before it is dead; 0: 5")                    \
    F (S, delay_ms, U32, 0,                                                                        \
       "how long the second attempt waits; each later one twice as long; "                         \
       "0: a second")                                                                              \
    F (S, offers, LIST, offer, "all that it handles: what it said before is void")
#define TIDE_CALL_FIELDS(F, S)                                                                     \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, nsp, STR, 255, "the namespace")                                                          \
    F (S, event, STR, 255, "the event's name")                                                     \
    F (S, id, STR, 255, "the caller's, unique: called again under it, it is one call")             \
    F (S, user, STR, 255, "who calls; empty: anonymous")                                           \
    F (S, from, STR, 63, "the session that calls, which gets the reply; empty: none")              \
    F (S, wanted, BLOB, TIDE_REFERENCE_SIZE_MAX,                                                   \
       "the caller's own name for the answer that it wants; empty: it wants none")                 \
    F (S, session, STR, 255, "the topic of the caller's record; empty: it has none")               \
    F (S, answer, STR, 255, "the topic that gets the reply; empty: the caller's own, @from")       \
    F (S, payload, BLOB, TIDE_PAYLOAD_SIZE_MAX, "the arguments")
#define TIDE_LEND_FIELDS(F, S)                                                                     \
    F (S, call, U64, 0, "the call's number: its sequence; above 2^63: it is volatile")             \
    F (S, attempt, U32, 0, "from 1; above 1 it may have been handled before")                      \
    F (S, lease_ms, U32, 0, "how long the worker may be silent about it")                          \
    F (S, events, LIST, event, "the one event that is the call")
#define TIDE_DONE_FIELDS(F, S)                                                                     \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, call, U64, 0, "the call's number")                                                       \
    F (S, attempt, U32, 0, "which time it was lent: what another attempt says is refused")         \
    F (S, outcome, U8, 3,                                                                          \
       "0 handled; 1 to be tried again; 2 never to be tried again; 3 not begun")                   \
    F (S, delay_ms, U32, 0, "tried again: how long to wait; 0: as told by SERVE")                  \
    F (S, code, U8, 0, "handled: the reply's tide_status_t")                                       \
    F (S, message, TEXT, 0, "what was wrong, for people")                                          \
    F (S, payload, BLOB, TIDE_PAYLOAD_SIZE_MAX, "handled: the reply's arguments; may be empty")    \
    F (S, events, LIST, event, "handled: what is appended together with the call's end")
#define TIDE_EXTEND_FIELDS(F, S)                                                                   \
    F (S, call, U64, 0, "the call's number")                                                       \
    F (S, attempt, U32, 0, "which time it was lent")                                               \
    F (S, lease_ms, U32, 0, "how long the worker may be silent about it from now on; 0: as before")

/*  Groups: each event of some topics to one of their members. */
#define TIDE_GROUP_JOIN_FIELDS(F, S)                                                               \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is; empty: anonymous")              \
    F (S, name, STR, 63, "the group's name; a topic's level")                                      \
    F (S, topics, TEXT, 0, "topics and subtrees, one a line: the same for all who ever join")      \
    F (S, start, U8, 2,                                                                            \
       "where a group that is new begins: 0 behind the head; 1 before the first event; "           \
       "2 behind `since`")                                                                         \
    F (S, epoch, U64, 0, "the log that `since` belongs to; 0: the present one")                    \
    F (S, since, U64, 0, "a sequence")                                                             \
    F (S, credit, U32, 0, "events that the member takes at once; 0: none for now")                 \
    F (S, lease_ms, U32, 0, "how long it may be silent about an event; 0: 30 seconds")             \
    F (S, attempts, U32, 0, "how often an event is lent before it is dead; 0: 5")                  \
    F (S, delay_ms, U32, 0,                                                                        \
       "how long the second attempt waits; each later one twice as long; 0: a second")
#define TIDE_GROUP_LEAVE_FIELDS(F, S)                                                              \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is")                                \
    F (S, name, STR, 63, "the group's name")
#define TIDE_GROUP_EVENT_FIELDS(F, S)                                                              \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is")                                \
    F (S, name, STR, 63, "the group's name")                                                       \
    F (S, attempt, U32, 0, "from 1; above 1 it may have been handled before")                      \
    F (S, lease_ms, U32, 0, "how long the member may be silent about it")                          \
    F (S, events, LIST, event, "the one event")
#define TIDE_GROUP_DONE_FIELDS(F, S)                                                               \
    F (S, request, U64, 0, "echoed in the answer")                                                 \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is")                                \
    F (S, name, STR, 63, "the group's name")                                                       \
    F (S, seq, U64, 0, "the event's sequence")                                                     \
    F (S, attempt, U32, 0, "which time it was lent: what another attempt says is refused")         \
    F (S, outcome, U8, 3,                                                                          \
       "0 acknowledged; 1 to be tried again; 2 never to be tried again; 3 not begun")              \
    F (S, delay_ms, U32, 0, "tried again: how long to wait; 0: as told by GROUP_JOIN")             \
    F (S, message, TEXT, 0, "what was wrong, for people")
#define TIDE_GROUP_EXTEND_FIELDS(F, S)                                                             \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is")                                \
    F (S, name, STR, 63, "the group's name")                                                       \
    F (S, seq, U64, 0, "the event's sequence")                                                     \
    F (S, attempt, U32, 0, "which time it was lent")                                               \
    F (S, lease_ms, U32, 0, "how long the member may be silent about it from now on; 0: as before")
#define TIDE_GROUP_NOTE_FIELDS(F, S)                                                               \
    F (S, user, STR, TIDE_GROUP_USER_SIZE_MAX, "whose group it is")                                \
    F (S, name, STR, 63, "the group's name")                                                       \
    F (S, code, U8, 0, "trimmed, or not_found: the group was removed, and has no members now")     \
    F (S, seq, U64, 0, "trimmed: events up to here that it had not read may be gone")              \
    F (S, message, TEXT, 0, "the same, for people")

/*  M (member, NAME, number on the wire, who sends it, what it is for and what answers it) */
#define TIDE_MESSAGES(M)                                                                           \
    M (hello, HELLO, 1, "peer", "the first message of a conversation; answered by WELCOME")        \
    M (welcome, WELCOME, 2, "broker", "where the log stands and where events are published")       \
    M (ping, PING, 3, "peer", "heartbeat, renews the lease; any other message is one too")         \
    M (pong, PONG, 4, "broker", "answers PING")                                                    \
    M (bye, BYE, 5, "peer", "leaves cleanly; its lease ends at once; not answered")                \
    M (publish, PUBLISH, 6, "peer", "appends events; answered by ACK, when durable, or FAIL")      \
    M (ack, ACK, 7, "broker", "the events are durable at these sequences")                         \
    M (fail, FAIL, 8, "broker", "a request was refused, and why")                                  \
    M (read, READ, 9, "peer", "reads on from cursors; answered by PAGE or FAIL")                   \
    M (page, PAGE, 10, "broker", "a page of history")                                              \
    M (marks_read, MARKS_READ, 11, "peer",                                                         \
       "reads marks again; answered by MARKS, or FAIL trimmed")                                    \
    M (marks, MARKS, 12, "broker", "marks behind a sequence")                                      \
    M (snapshot, SNAPSHOT, 13, "peer", "what stands; answered by STANDING or FAIL")                \
    M (standing, STANDING, 14, "broker", "a part of a snapshot frozen at one sequence")            \
    M (topics_read, TOPICS_READ, 15, "peer", "what topics there are; answered by TOPICS")          \
    M (topics, TOPICS, 16, "broker", "a page of topics")                                           \
    M (release, RELEASE, 17, "peer", "the leased key's holder is gone: its linger begins now")     \
    M (stats_read, STATS_READ, 18, "peer", "asks for counters; answered by STATS")                 \
    M (stats, STATS, 19, "broker", "the broker's counters")                                        \
    M (events, EVENTS, 20, "broker", "published: events of one topic in a batch")                  \
    M (marked, MARKED, 21, "broker", "published behind a batch's events, and each second")         \
    M (volatiles, VOLATILE, 22, "broker", "published on a socket of its own, dropped first")       \
    M (relay, RELAY, 23, "peer",                                                                   \
       "hands bytes to whoever holds a lease; not answered, but TOLD if it went nowhere")          \
    M (relayed, RELAYED, 24, "broker", "bytes from another peer")                                  \
    M (told, TOLD, 25, "broker",                                                                   \
       "to how many peers a RELAY to all went, or that nobody was there")                          \
    M (serve, SERVE, 26, "peer", "a worker says what it handles; answered by ACK or FAIL")         \
    M (call, CALL, 27, "peer", "what a client emitted; answered by ACK, when durable, or FAIL")    \
    M (lend, LEND, 28, "broker", "a call for a worker; answered by DONE")                          \
    M (done, DONE, 29, "peer", "what came of a call; answered by ACK, when durable, or FAIL")      \
    M (extend, EXTEND, 30, "peer", "a call takes longer; not answered")                            \
    M (group_join, GROUP_JOIN, 31, "peer",                                                         \
       "becomes a member of a group, which is made if there is none; answered by ACK (with the "   \
       "group's floor) or FAIL")                                                                   \
    M (group_leave, GROUP_LEAVE, 32, "peer",                                                       \
       "is no member any more; what it had goes to others; answered by ACK")                       \
    M (group_event, GROUP_EVENT, 33, "broker", "an event for a member; answered by GROUP_DONE")    \
    M (group_done, GROUP_DONE, 34, "peer",                                                         \
       "what came of an event; answered by ACK, at once, or FAIL")                                 \
    M (group_extend, GROUP_EXTEND, 35, "peer", "an event takes longer; not answered")              \
    M (group_note, GROUP_NOTE, 36, "broker", "what a group's members have to know")

#define TIDE_C_U8 uint8_t
#define TIDE_C_U16 uint16_t
#define TIDE_C_U32 uint32_t
#define TIDE_C_U64 uint64_t
#define TIDE_C_STR tide_bytes_t
#define TIDE_C_TEXT tide_bytes_t
#define TIDE_C_BLOB tide_bytes_t
#define TIDE_C_LIST tide_list_t
#define TIDE_MEMBER(S, member, type, limit, doc) TIDE_C_##type member;

/*  tide_event_t, tide_expect_t, tide_want_t, tide_touched_t, tide_mark_t, tide_topic_info_t, … and
 *  for each record
 *    tide_X_append: encodes it behind a list's bytes; the caller counts;
 *    tide_X_next:   takes the first record off the list; false at its end;
 *    tide_X_decode: reads one record's bytes; false if they are malformed. */
#define TIDE_RECORD_TYPE(name, NAME, doc)                                                          \
    typedef struct {                                                                               \
        TIDE_##NAME##_FIELDS (TIDE_MEMBER, )                                                       \
    } tide_##name##_t;                                                                             \
    void tide_##name##_append (tide_buffer_t *list, const tide_##name##_t *record);                \
    bool tide_##name##_next (tide_list_t *list, tide_##name##_t *record);                          \
    bool tide_##name##_decode (tide_bytes_t bytes, tide_##name##_t *record);
TIDE_RECORDS (TIDE_RECORD_TYPE)
#undef TIDE_RECORD_TYPE

typedef enum {
#define X(member, NAME, number, sender, doc) TIDE_MESSAGE_##NAME = number,
    TIDE_MESSAGES (X)
#undef X
        TIDE_MESSAGE_KINDS
} tide_message_kind_t;

/*  tide_hello_message_t, tide_welcome_message_t, … */
#define X(member, NAME, number, sender, doc)                                                       \
    typedef struct {                                                                               \
        TIDE_##NAME##_FIELDS (TIDE_MEMBER, )                                                       \
    } tide_##member##_message_t;
TIDE_MESSAGES (X)
#undef X

typedef struct {
    tide_message_kind_t kind;
    union {
#define X(member, NAME, number, sender, doc) tide_##member##_message_t member;
        TIDE_MESSAGES (X)
#undef X
    };
} tide_message_t;

/*  Flags of an event. */
enum { TIDE_EVENT_VOLATILE = 1, TIDE_EVENT_OWNS_TOPIC = 2, TIDE_EVENT_IS_TOLD = 4 };

/*  Flags of a handler. */
enum { TIDE_HANDLER_VOLATILE = 1, TIDE_HANDLER_UNORDERED = 2 };

/*  Flags of a named cursor. */
enum { TIDE_CURSOR_BEGINS_WITH_SNAPSHOT = 1 };

/*  Where seq and time_ms stand in an encoded event, for writing them in place. */
enum { TIDE_EVENT_SEQ_AT = 0, TIDE_EVENT_TIME_AT = 8, TIDE_EVENT_FLAGS_AT = 16 };

/*  The encoded records of a buffer as a list of count records; valid until the buffer changes. */
tide_list_t tide_list (const tide_buffer_t *records, uint32_t count);

/*  Takes the first record's bytes off the list, undecoded, without its size; false at the end. */
bool tide_list_next (tide_list_t *list, tide_bytes_t *record);

/*  Appends a record's bytes, as tide_list_next gives them, behind a list's bytes. */
void tide_list_append (tide_buffer_t *list, tide_bytes_t record);

/*  Appends the message's bytes to out. The message must be one that decodes: our own state. */
void tide_message_encode (tide_buffer_t *out, const tide_message_t *message);

/*  Reads one whole message, its lists and their records included.
 *  TIDE_BAD_REQUEST if it is malformed or of an unknown version, TIDE_TOO_LARGE if a size is above
 *  its limit; then *why says what, as a constant or in a buffer of the calling thread's. */
tide_status_t tide_message_decode (tide_bytes_t bytes, tide_message_t *message, const char **why);

/*  The kind's name, as "PUBLISH"; "?" for a number that is none. */
const char *tide_message_name (tide_message_kind_t kind);

/*  Writes docs/protocol.md's tables: every record and message with its fields. */
void tide_message_describe (tide_buffer_t *out);

/*  -- what is published ----------------------------------------------------------------------- */

/*  Class bytes: events of clients' topics and of `$…` and `@…` (which `#` never reaches), the same
 *  for volatile ones, and marks. */
enum {
    TIDE_CLASS_EVENT = 'e',
    TIDE_CLASS_SYSTEM = 's',
    TIDE_CLASS_VOLATILE = 'v',
    TIDE_CLASS_SYSTEM_VOLATILE = 'w',
    TIDE_CLASS_MARK = 'm'
};

/*  Appends class byte, topic and NUL. The class follows from the topic and from is_volatile. */
void tide_fanout_prefix (tide_buffer_t *out, tide_bytes_t topic, bool is_volatile);

/*  Appends the mark's prefix: its class byte and a NUL. */
void tide_fanout_mark_prefix (tide_buffer_t *out);

/*  Splits a published frame into its prefix and its message; false if there is no prefix. */
bool tide_fanout_split (tide_bytes_t frame, tide_bytes_t *prefix, tide_bytes_t *message);

/*  The prefixes to subscribe to for a topic or a subtree: returns how many, 1 or 2, appended to
 *  each of the two buffers. */
unsigned tide_fanout_subscription (tide_bytes_t pattern, bool is_volatile, tide_buffer_t *one,
                                   tide_buffer_t *two);

#endif
