/*  tide_session_remake.c - how a session that is open goes on in another log.
 *
 *  Its record is made anew there, and each of its topics is reset. Until all of these resets have
 *  been said, the record says so: who resumed it meanwhile would miss them.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_reply.h"
#include "tide_session_internal.h"

static void reset_all (tide_hub_t *hub, tide_session_t *session)
{
    session->state = TIDE_SESSION_OPEN;
    tide_join_session_ready (hub, session);
    tide_member_t *member, *next;
    DL_FOREACH_SAFE2 (session->members, member, next, own_next) {
        if (!tide_topic_is_readable (tide_channel_pattern (member->channel))) {
            member->joined = session->base; /* there is nothing that it could have missed */
            member->is_suspended = false;
        }
        else
            tide_join_reset (hub, member, TIDE_EPOCH_CHANGED);
    }
    tide_session_whole (hub, session);
    tide_deliver_settle (hub, session);
}

void tide_session_whole (tide_hub_t *hub, tide_session_t *session)
{
    if (!session->is_remaking || session->state != TIDE_SESSION_OPEN)
        return;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (member->is_suspended)
            return;
    session->is_remaking = false;
    tide_buffer_t records = {0};
    tide_record_remaking (hub, session, false, &records);
    tide_record_publish (hub, session, &records, 1, session->record_seq, tide_session_nothing_more);
    tide_buffer_free (&records);
}

static void remade (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (!op->session) {
        if (good)
            tide_record_release (hub, op->topic, answer->ack.first);
        return;
    }
    if (!good) {
        tide_hub_close (hub, op->session->connection, 1011);
        return;
    }
    op->session->record_seq = op->session->base = answer->ack.first;
    op->session->owns_record = true;
    /*  What is joined from here on is joined behind the base, which a resume does not go below. */
    if (op->session->cursor < op->session->base)
        op->session->cursor = op->session->base;
    reset_all (hub, op->session);
}

/*  Topics that the client joined itself. */
static bool has_own_topics (const tide_session_t *session)
{
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (tide_topic_is_readable (tide_channel_pattern (member->channel)))
            return true;
    return false;
}

/*  It was taken over in a log that is not there any more, and not opened: its topics may never have
 *  been read as a whole, and its position is none of this log. */
static void lose_taken (tide_hub_t *hub, tide_session_t *session)
{
    tide_session_unregister (hub, session);
    session->owns_record = false;
    tide_session_drop_ops (hub, session);
    tide_session_refuse_resume (hub, session);
}

void tide_session_epoch (tide_hub_t *hub, tide_session_t *session)
{
    tide_deliver_forget_page (hub, session);
    tide_orders_forget (hub, session); /* what the other log said */
    if (session->state == TIDE_SESSION_TAKEN) {
        lose_taken (hub, session);
        return;
    }
    while (session->joins) {
        tide_join_t *join = session->joins;
        tide_reply_fail (hub, &join->reply, TIDE_EPOCH_CHANGED, NULL);
        tide_join_abandon (hub, &join);
    }
    tide_cursors_epoch (hub, session);
    /*  Until its reset is said, nothing of another log is delivered as if it went on. */
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        member->is_suspended = true;
        tide_deliver_forget_pending (session, member);
    }
    tide_presence_epoch (hub, session);
    session->owns_record = false;
    session->base = session->record_seq = session->last_number = 0;
    session->cursor = tide_feed_watermark (hub->feed);
    session->is_live = false;
    if (!session->recovers) {
        reset_all (hub, session);
        return;
    }
    session->state = TIDE_SESSION_REMAKING;
    session->is_remaking = has_own_topics (session);
    tide_buffer_t records = {0};
    tide_record_session (hub, session, &records);
    if (session->is_remaking)
        tide_record_remaking (hub, session, true, &records);
    if (!tide_record_publish (hub, session, &records, session->is_remaking ? 2 : 1, 0, remade))
        tide_hub_close (hub, session->connection, 1011);
    tide_buffer_free (&records);
}
