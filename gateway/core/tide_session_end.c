/*  tide_session_end.c - how a session ends: for good, to be resumed, or taken by somebody else.
 *
 *  What ends the record is on condition that it is ours still. Where it cannot be ended, and where
 *  the connection is all that ended, it is released: then its resume time runs.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_calls.h"
#include "tide_channel.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_reply.h"
#include "tide_session_internal.h"

#include <stdlib.h>
#include <string.h>

/*  It could not be ended so: its time has to run out. Of one that was taken over nothing is ours.
 */
static void not_ended (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer)
{
    bool is_fail = answer && answer->kind == TIDE_MESSAGE_FAIL;
    if (answer && (!is_fail || answer->fail.code == TIDE_CONFLICT))
        return;
    tide_presence_not_left (hub, op);
    tide_record_release (hub, op->topic, op->number);
}

static void removed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    not_ended (hub, op, answer);
}

/*  Workers are told that it has ended, and what it had is theirs to read for as long as that may
 *  take: so it is closed, which nobody resumes, and the broker removes it a while later. */
static void closed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (answer && answer->kind == TIDE_MESSAGE_ACK)
        tide_record_release (hub, op->topic, answer->ack.first);
    else
        not_ended (hub, op, answer);
}

/*  What ends the record, on condition that it is still ours, and presence with it. False if too
 *  many requests wait: then its time has to run out. */
static bool publish_end (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records,
                         uint32_t count, tide_op_fn *done)
{
    count += tide_presence_append_removals (hub, session, records);
    tide_op_t *op = tide_record_publish (hub, session, records, count, session->record_seq, done);
    if (!op)
        return false;
    op->number = session->record_seq;
    tide_presence_expect_removals (op, session);
    return true;
}

/*  Removes the record: its topics first, then itself. */
static bool remove_record (tide_hub_t *hub, tide_session_t *session)
{
    enum { TOPICS_MAX = TIDE_PUBLISH_EVENTS_MAX - 2 * TIDE_SESSION_PRESENT_MAX - 1 };
    tide_buffer_t records = {0};
    uint32_t count = 0;
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        tide_bytes_t pattern = tide_channel_pattern (member->channel);
        if (!tide_topic_is_readable (pattern))
            continue; /* not in the record */
        tide_record_topic (hub, session, pattern, 0, false, false, NULL, &records);
        if (++count == TIDE_PUBLISH_EVENTS_MAX) {
            tide_record_publish (hub, session, &records, count, session->record_seq,
                                 tide_session_nothing_more);
            records.size = count = 0;
        }
    }
    if (count > TOPICS_MAX) {
        tide_record_publish (hub, session, &records, count, session->record_seq,
                             tide_session_nothing_more);
        records.size = count = 0;
    }
    tide_record_topic (hub, session, tide_bytes (TIDE_SESSION_KEY), 0, false, false, NULL,
                       &records);
    bool is_sent = publish_end (hub, session, &records, count + 1, removed);
    tide_buffer_free (&records);
    return is_sent;
}

static bool close_record (tide_hub_t *hub, tide_session_t *session)
{
    tide_buffer_t records = {0};
    session->is_closed = true;
    tide_record_session (hub, session, &records);
    bool is_sent = publish_end (hub, session, &records, 1, closed);
    tide_buffer_free (&records);
    return is_sent;
}

void tide_session_drop_ops (tide_hub_t *hub, tide_session_t *session)
{
    tide_op_t *op, *next;
    DL_FOREACH_SAFE2 (session->connection->ops, op, next, own_next) {
        if (op->session != session)
            continue;
        if (op->survives) {
            op->session = NULL;
            op->join = NULL;
            tide_reply_free (&op->reply);
        }
        else
            tide_op_cancel (hub, op);
    }
}

void tide_session_end (tide_hub_t *hub, tide_session_t **session_p, bool for_good)
{
    tide_session_t *session = *session_p;
    *session_p = NULL;
    session->is_served = session->is_served || tide_calls_are_open (session);
    /*  One that is on its way is told of by the lane that it has reached. */
    if ((session->state >= TIDE_SESSION_OPEN) != session->is_moved) {
        const char *reason = session->reason ? session->reason : session->connection->reason;
        tide_app_disconnected (hub, session, reason ? reason : "transport close");
    }
    if (session->is_kicked)
        DL_DELETE2 (hub->kicked, session, kicked_prev, kicked_next);
    tide_app_forget_admission (hub, session);
    tide_app_forget_calls (hub, session);
    tide_ask_forget (hub, session);
    tide_calls_forget (session);
    tide_orders_forget (hub, session);
    for_good = for_good || session->is_kicked;
    tide_presence_end_joins (hub, session, for_good);
    while (session->joins) {
        tide_join_t *join = session->joins;
        tide_join_abandon (hub, &join);
    }
    tide_session_drop_ops (hub, session);
    tide_cursors_end (hub, session);
    tide_deliver_forget_page (hub, session);
    tide_deliver_pump (hub);
    tide_session_unregister (hub, session);
    hub->counters.sessions -= session->state >= TIDE_SESSION_OPEN;
    bool is_removed =
        session->owns_record && for_good
        && (session->is_served ? close_record (hub, session) : remove_record (hub, session));
    if (!is_removed)
        tide_presence_end (hub, session);
    if (session->owns_record && !is_removed && session->is_moved)
        tide_record_release_later (hub, session->topic, session->record_seq);
    else if (session->owns_record && !is_removed)
        tide_record_release (hub, session->topic, session->record_seq);
    tide_session_drop_ops (hub, session);
    tide_session_forget_members (hub, session);
    DL_DELETE (session->connection->sessions, session);
    session->connection->session_count--;
    json_decref (session->auth);
    tide_buffer_free (&session->data);
    free (session->taken_from);
    free (session->asks);
    free (session->pending);
    free (session->nsp);
    free (session->user);
    free (session);
}

void tide_session_kick (tide_hub_t *hub, tide_session_t *session)
{
    if (session->is_kicked)
        return;
    session->is_kicked = true;
    DL_APPEND2 (hub->kicked, session, kicked_prev, kicked_next);
}

void tide_session_sweep (tide_hub_t *hub)
{
    while (hub->kicked) {
        tide_session_t *session = hub->kicked;
        tide_session_end (hub, &session, true);
    }
}

void tide_session_taken (tide_hub_t *hub, tide_session_t *session)
{
    tide_connection_t *connection = session->connection;
    tide_session_unregister (hub, session);
    session->owns_record = false;     /* it is somebody else's now: nothing is released */
    tide_session_kick (hub, session); /* ends before it begins again, however long closing takes */
    tide_hub_close (hub, connection, connection->kind == TIDE_CLIENT_JSON ? 4001 : 0);
}

void tide_session_lane_event (tide_hub_t *hub, const tide_event_t *event)
{
    tide_args_t args;
    const char *why;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? tide_json_parse (args.json, &why)
                       : NULL;
    const char *sid = json_string_value (json);
    tide_session_t *session = NULL;
    if (sid)
        HASH_FIND (hh, hub->sessions, sid, strlen (sid), session);
    /*  It may have come back to this lane since: then the record that we hold is a later one. */
    if (session && session->owns_record && session->record_seq < event->seq)
        tide_session_taken (hub, session);
    json_decref (json);
}
