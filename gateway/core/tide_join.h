/*  tide_join.h - joining, leaving, resetting a topic.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_JOIN_H
#define TIDE_JOIN_H

#include "tide_hub_internal.h"

typedef struct {
    enum {
        TIDE_SINCE_LIVE,
        TIDE_SINCE_SEQ,
        TIDE_SINCE_SNAPSHOT,
        TIDE_SINCE_HERE /* at `seq`, where an order holds the session's cursor */
    } kind;
    uint64_t epoch; /* 0: the present one */
    uint64_t seq;
    bool by_cursor; /* a named cursor says so */
} tide_since_t;

/*  `since` from a client: absent, "live", "start", "snapshot", a number or "epoch:seq". */
bool tide_since_json (const json_t *since, const json_t *epoch, tide_since_t *out);
/*  present, borrowed: true or an object, see tide_presence.h; false: it is not; NULL: as it was, so
 *  not if the topic is not joined yet. */
void tide_join_begin (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                      tide_since_t since, bool meta, json_t *present, tide_reply_t *reply);
/*  A join that was under way in another lane: `wanted` says what of it, up to where. */
void tide_join_go_on (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                      const tide_join_t *wanted, tide_reply_t *reply);
/*  The session's members were made anew from its record: what is being joined again is none of them
 *  yet, and what awaits a reset gets nothing. */
void tide_join_members_made (tide_hub_t *hub, tide_session_t *session);
void tide_join_reset (tide_hub_t *hub, tide_member_t *member, tide_status_t reason);
void tide_join_abandon (tide_hub_t *hub, tide_join_t **join_p);
/*  Ends joins that failed, and begins those that were queued. */
void tide_join_sweep (tide_hub_t *hub);
/*  The session is open: joins that waited for that go on. */
void tide_join_session_ready (tide_hub_t *hub, tide_session_t *session);
/*  The feed speaks for the join's channel now. */
void tide_join_channel_ready (tide_hub_t *hub, tide_join_t *join);
/*  The client took what was sent: go on reading. */
void tide_join_drained (tide_hub_t *hub, tide_session_t *session);
void tide_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, tide_reply_t *reply);
/*  The join of a topic that is under way; NULL if none is. */
tide_join_t *tide_join_find (tide_session_t *session, tide_bytes_t pattern);
tide_member_t *tide_member_find (tide_session_t *session, tide_bytes_t pattern);
tide_member_t *tide_member_add (tide_hub_t *hub, tide_session_t *session, tide_channel_t *channel,
                                uint64_t joined, bool meta);
void tide_member_remove (tide_hub_t *hub, tide_member_t **member_p);
/*  Publishes the event that records a topic in the session, on condition that the record is still
 *  ours; joined 0: it was left. was_reset: by a reset, which the client may not have got when it
 *  comes back. With it what is due of its presence there, which is all that is published for a
 *  session without a record; NULL: nothing. NULL: too many requests. */
tide_op_t *tide_session_publish_topic (tide_hub_t *hub, tide_session_t *session,
                                       tide_bytes_t pattern, uint64_t joined, bool meta,
                                       bool was_reset, const tide_present_t *present,
                                       tide_op_fn *done);

#endif
