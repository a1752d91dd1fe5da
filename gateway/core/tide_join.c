/*  tide_join.c - a topic is brought up, joined at N, left, or reset.
 *
 *  Bring-up is nothing (live), pages of history (since), or a snapshot with what came behind it
 *  folded in; it goes on until it has reached the session's cursor, which is then held (pinned)
 *  for the short time in which the session's record is written. So the topic is joined at one
 *  sequence N: what came at or before N is never delivered again as live, what comes behind N is
 *  not missed, and one cursor serves all topics. A reset is the same with another answer.
 *
 *      CHANNEL --feed speaks for it--> READING <--> SENDING --reached--> RECORDING --> a member
 *
 *  SPDX-License-Identifier: MIT
 */
#include "tide_join.h"
#include "tide_channel.h"
#include "tide_client_engineio.h"
#include "tide_client_sse.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdlib.h>
#include <string.h>

static void read_on (tide_hub_t *hub, tide_join_t *join);
static void begin_snapshot (tide_hub_t *hub, tide_join_t *join);

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

static tide_bytes_t pattern_of (const tide_join_t *join)
{
    return tide_channel_pattern (join->channel);
}

static bool is_snapshot (const tide_join_t *join)
{
    return join->mode == TIDE_JOIN_SNAPSHOT || join->mode == TIDE_JOIN_RESET;
}

/*  -- members --------------------------------------------------------------------------------- */

tide_member_t *tide_member_find (tide_session_t *session, tide_bytes_t pattern)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (tide_bytes_equal (tide_channel_pattern (member->channel), pattern))
            return member;
    return NULL;
}

static void set_form (tide_hub_t *hub, tide_member_t *member, bool meta)
{
    tide_form_t form = tide_form_of (member->session, meta);
    member->meta = meta;
    member->form = tide_hub_form (hub, &form);
}

tide_member_t *tide_member_add (tide_hub_t *hub, tide_session_t *session, tide_channel_t *channel,
                                uint64_t joined, bool meta)
{
    tide_member_t *member = tide_alloc (sizeof *member);
    member->session = session;
    member->channel = channel;
    member->joined = joined;
    member->begun = hub->tape_number;
    set_form (hub, member, meta);
    DL_APPEND2 (channel->members, member, prev, next_member);
    DL_APPEND2 (session->members, member, own_prev, own_next);
    session->member_count++;
    return member;
}

void tide_member_remove (tide_hub_t *hub, tide_member_t **member_p)
{
    tide_member_t *member = *member_p;
    *member_p = NULL;
    tide_session_t *session = member->session;
    tide_deliver_forget_pending (session, member);
    tide_presence_forget (hub, member);
    DL_DELETE2 (member->channel->members, member, prev, next_member);
    DL_DELETE2 (session->members, member, own_prev, own_next);
    session->member_count--;
    tide_channel_unuse (hub, member->channel);
    free (member);
}

/*  -- beginning ------------------------------------------------------------------------------- */

bool tide_since_json (const json_t *since, const json_t *epoch, tide_since_t *out)
{
    const char *text = json_string_value (since);
    *out = (tide_since_t){.kind = TIDE_SINCE_LIVE};
    if (!since || json_is_null (since) || (text && strcmp (text, "live") == 0))
        return true;
    if (text && strcmp (text, "snapshot") == 0)
        out->kind = TIDE_SINCE_SNAPSHOT;
    else if (text && strcmp (text, "start") == 0)
        out->kind = TIDE_SINCE_SEQ;
    else {
        out->kind = TIDE_SINCE_SEQ;
        if (!tide_position_json (since, &out->epoch, &out->seq))
            return false;
    }
    if (!epoch || json_is_null (epoch))
        return true;
    uint64_t named;
    const char *hex = json_string_value (epoch);
    if (!hex || !tide_epoch_parse (tide_bytes (hex), &named))
        return false;
    if (out->epoch == 0)
        out->epoch = named;
    return true;
}

static tide_join_t *join_new (tide_session_t *session, tide_channel_t *channel, bool meta)
{
    tide_join_t *join = tide_alloc (sizeof *join);
    join->session = session;
    join->channel = channel;
    join->meta = meta;
    DL_APPEND2 (session->joins, join, own_prev, own_next);
    session->join_count++;
    return join;
}

/*  Waits for the feed to speak for the channel, and for the session to be open, if they do not. */
static void wait_channel (tide_hub_t *hub, tide_join_t *join)
{
    join->step = TIDE_JOIN_CHANNEL;
    DL_APPEND (join->channel->waiting, join);
    if (join->channel->is_joined && join->session->state == TIDE_SESSION_OPEN)
        tide_join_channel_ready (hub, join);
}

void tide_join_abandon (tide_hub_t *hub, tide_join_t **join_p)
{
    tide_join_t *join = *join_p;
    *join_p = NULL;
    if (join->op && join->op->survives) {
        join->op->join = NULL;
        join->op->session = NULL;
    }
    else if (join->op)
        tide_op_cancel (hub, join->op);
    if (join->step == TIDE_JOIN_CHANNEL)
        DL_DELETE (join->channel->waiting, join);
    else if (join->step == TIDE_JOIN_QUEUED)
        DL_DELETE (hub->joins_queued, join);
    else if (join->step == TIDE_JOIN_FAILED)
        DL_DELETE (hub->joins_failed, join);
    hub->gathering -= join->is_gathering;
    DL_DELETE2 (join->session->joins, join, own_prev, own_next);
    join->session->join_count--;
    tide_orders_go_on (hub, join->session);
    tide_channel_unuse (hub, join->channel);
    tide_state_destroy (&join->state);
    tide_present_free (&join->present);
    tide_reply_free (&join->reply);
    free (join);
}

/*  The session does not know of the topic any more: what stands there has to be released here. */
static void unrecorded (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_presence_gone (hub, op, answer);
    if (answer && answer->kind == TIDE_MESSAGE_ACK)
        return;
    if (!answer || answer->kind != TIDE_MESSAGE_FAIL || answer->fail.code != TIDE_CONFLICT)
        tide_presence_not_left (hub, op);
    if (op->session)
        tide_hub_close (hub, op->session->connection, 1011);
}

/*  The topic goes from the record, and so does presence there. False: that can't be done now. */
static bool forget_topic (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    if (!session->recovers) {
        tide_presence_left (hub, session, pattern_of (join), &join->present);
        tide_present_free (&join->present);
        return true;
    }
    tide_present_wish (&join->present, json_false ());
    bool is_done = tide_session_publish_topic (hub, session, pattern_of (join), 0, false, false,
                                               &join->present, unrecorded)
                   != NULL;
    if (!is_done)
        tide_presence_left (hub, session, pattern_of (join), &join->present);
    tide_present_free (&join->present);
    return is_done;
}

/*  The join can't be: whoever asked is told. A reset that can't be leaves a gap that would not be
 *  said aloud, and a stream can't be told: there the connection ends, and the client comes again.
 *  The join itself is swept later: whoever called may be in the midst of a list that it is in. */
static void join_failed (tide_hub_t *hub, tide_join_t *join, tide_status_t status,
                         const tide_message_t *answer)
{
    if (join->step == TIDE_JOIN_CHANNEL)
        DL_DELETE (join->channel->waiting, join);
    else if (join->step == TIDE_JOIN_QUEUED)
        DL_DELETE (hub->joins_queued, join);
    else if (join->step == TIDE_JOIN_RECORDING)
        join->session->is_record_stale = true;
    join->step = TIDE_JOIN_FAILED;
    DL_APPEND (hub->joins_failed, join);
    tide_cursors_leave (hub, join->session, pattern_of (join));
    /*  The client is told that it is not in the topic: the record must not say that it is. */
    bool is_right = !join->had_member || forget_topic (hub, join);
    if (join->is_reset || !is_right || join->session->connection->kind == TIDE_CLIENT_SSE)
        tide_hub_close (hub, join->session->connection, 1011);
    else if (status != TIDE_OK)
        tide_reply_fail (hub, &join->reply, status, NULL);
    else
        tide_reply_fail_answer (hub, &join->reply, answer);
}

void tide_join_sweep (tide_hub_t *hub)
{
    while (hub->joins_failed) {
        tide_join_t *join = hub->joins_failed;
        tide_session_t *session = join->session;
        tide_join_abandon (hub, &join);
        tide_deliver_settle (hub, session);
    }
    while (hub->joins_queued && hub->gathering < TIDE_GATHERING_MAX) {
        tide_join_t *join = hub->joins_queued;
        DL_DELETE (hub->joins_queued, join);
        join->step = TIDE_JOIN_READING;
        begin_snapshot (hub, join);
    }
}

void tide_join_session_ready (tide_hub_t *hub, tide_session_t *session)
{
    tide_join_t *join, *next;
    DL_FOREACH_SAFE2 (session->joins, join, next, own_next)
        if (join->step == TIDE_JOIN_CHANNEL && join->channel->is_joined)
            tide_join_channel_ready (hub, join);
}

tide_join_t *tide_join_find (tide_session_t *session, tide_bytes_t pattern)
{
    tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next)
        if (join->step != TIDE_JOIN_FAILED && tide_bytes_equal (pattern_of (join), pattern))
            return join;
    return NULL;
}

static void append_joined (tide_hub_t *hub, tide_bytes_t topic, uint64_t seq,
                           tide_buffer_t *members)
{
    tide_buffer_append_text (members, "\"topic\":");
    tide_json_string (members, topic);
    tide_buffer_append_text (members, ",\"epoch\":");
    tide_json_epoch (members, tide_feed_epoch (hub->feed));
    tide_buffer_printf (members, ",\"seq\":%llu", (unsigned long long) seq);
}

static void answer_joined (tide_hub_t *hub, tide_bytes_t topic, uint64_t seq, tide_reply_t *reply)
{
    tide_buffer_t members = {0};
    append_joined (hub, topic, seq, &members);
    tide_reply_ok (hub, reply, tide_buffer_bytes (&members));
    tide_buffer_free (&members);
}

static void changed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    tide_bytes_t topic = tide_bytes (op->topic);
    tide_member_t *member = op->session ? tide_member_find (op->session, topic) : NULL;
    if (good && member)
        tide_presence_member_stands (hub, member, op, answer);
    else if (!member || member->present.seq == 0) /* otherwise it stays, which is told */
        tide_presence_late (hub, op, answer);
    /*  Where it was is no place in another log: of that it is told as any join is, and reset. */
    if (op->epoch != tide_feed_epoch (hub->feed))
        tide_reply_fail (hub, &op->reply, TIDE_EPOCH_CHANGED, NULL);
    else if (!good)
        tide_reply_fail_answer (hub, &op->reply, answer);
    else /* it went on reading meanwhile */
        answer_joined (hub, topic, member ? later (op->number, op->session->cursor) : op->number,
                       &op->reply);
}

/*  A topic that is joined already and asked for live stays as it is: what is on its way to a slow
 *  client is not lost by asking again. Only how it gets its events may change, and whether it is
 *  present; that becomes so when it is in the log. */
static void join_again (tide_hub_t *hub, tide_member_t *member, bool meta, json_t *wanted,
                        tide_reply_t *reply)
{
    tide_session_t *session = member->session;
    tide_bytes_t topic = tide_channel_pattern (member->channel);
    uint64_t seq = later (session->cursor, member->joined);
    bool is_same = meta == member->meta || !session->recovers;
    tide_present_t present = member->present;
    json_incref (present.data);
    tide_presence_change (session, topic, &present, wanted);
    set_form (hub, member, meta);
    if (is_same && !present.is_due)
        answer_joined (hub, topic, seq, reply);
    else {
        tide_op_t *op = tide_session_publish_topic (hub, session, topic, member->joined, meta,
                                                    member->was_reset, &present, changed);
        if (op) {
            op->number = seq;
            op->epoch = tide_feed_epoch (hub->feed);
            free (op->topic);
            op->topic = tide_copy (topic.data, topic.size);
            op->reply = tide_reply_take (reply);
            member->present.is_nowhere = false;
        }
        else
            tide_reply_fail (hub, reply, TIDE_TOO_MANY, NULL);
    }
    tide_present_free (&present);
}

void tide_join_begin (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                      tide_since_t since, bool meta, json_t *present, tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = tide_may_read (hub, topic, &why);
    if (status == TIDE_OK)
        status = tide_presence_check (session, topic, present, &why);
    if (status == TIDE_OK
        && (tide_join_find (session, topic) || tide_cursors_are_asked (session, topic))) {
        status = TIDE_CONFLICT;
        why = "this topic is being joined already";
    }
    if (status == TIDE_OK && !tide_member_find (session, topic)
        && session->member_count + session->join_count >= TIDE_SESSION_TOPICS_MAX) {
        status = TIDE_TOO_MANY;
        why = "a session can join 1000 topics";
    }
    if (status != TIDE_OK) {
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    hub->counters.joins++;
    tide_member_t *member = tide_member_find (session, topic);
    bool moves = since.kind == TIDE_SINCE_SEQ || since.kind == TIDE_SINCE_SNAPSHOT;
    if (member && !moves && !member->is_suspended) {
        join_again (hub, member, meta, present, reply);
        return;
    }
    if (!since.by_cursor)
        tide_cursors_leave (hub, session, topic);
    /*  In use before the member goes, so that the channel stays. */
    tide_join_t *join = join_new (session, tide_channel_use (hub, topic), meta);
    join->had_member = member != NULL;
    if (member) {
        join->present = member->present;
        join->present.is_under_way = false; /* its answer finds no member */
        member->present = (tide_present_t){0};
        tide_member_remove (hub, &member);
        tide_deliver_settle (hub, session);
    }
    tide_present_wish (&join->present, present);
    static const uint8_t modes[] = {[TIDE_SINCE_LIVE] = TIDE_JOIN_LIVE,
                                    [TIDE_SINCE_SEQ] = TIDE_JOIN_SINCE,
                                    [TIDE_SINCE_SNAPSHOT] = TIDE_JOIN_SNAPSHOT,
                                    [TIDE_SINCE_HERE] = TIDE_JOIN_HERE};
    join->mode = modes[since.kind];
    join->at = since.seq;
    join->epoch = since.epoch;
    join->reply = tide_reply_take (reply);
    wait_channel (hub, join);
}

void tide_join_go_on (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                      const tide_join_t *wanted, tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = tide_may_read (hub, topic, &why);
    tide_member_t *member = tide_member_find (session, topic);
    if (status == TIDE_OK
        && (tide_join_find (session, topic) || session->join_count >= TIDE_SESSION_TOPICS_MAX))
        status = TIDE_CONFLICT;
    if (status != TIDE_OK || (wanted->is_reset && !member)) {
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    if (wanted->is_reset) {
        tide_join_reset (hub, member, wanted->reason);
        return;
    }
    tide_join_t *join = join_new (session, tide_channel_use (hub, topic), wanted->meta);
    join->mode = wanted->mode;
    join->reason = wanted->reason;
    join->epoch = wanted->epoch;
    join->at = wanted->at;
    join->had_member = wanted->had_member;
    join->present = wanted->present;
    json_incref (join->present.data);
    join->reply = tide_reply_take (reply);
    wait_channel (hub, join);
}

void tide_join_members_made (tide_hub_t *hub, tide_session_t *session)
{
    tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next) {
        tide_member_t *member = tide_member_find (session, pattern_of (join));
        if (!member || join->step == TIDE_JOIN_FAILED)
            continue;
        if (join->is_reset)
            member->is_suspended = true;
        else
            tide_member_remove (hub, &member);
    }
}

void tide_join_reset (tide_hub_t *hub, tide_member_t *member, tide_status_t reason)
{
    tide_session_t *session = member->session;
    member->is_suspended = true;
    tide_deliver_forget_pending (session, member);
    tide_channel_t *channel = tide_channel_use (hub, tide_channel_pattern (member->channel));
    tide_join_t *join = join_new (session, channel, member->meta);
    join->mode = TIDE_JOIN_RESET;
    join->reason = reason;
    join->is_reset = true;
    /*  The position must not pass what is lost before that is said: who comes back from behind it
     *  would never be told. After a change of the log the session's record takes care of it. */
    if (reason == TIDE_TRIMMED)
        join->pin = later (session->cursor, 1);
    wait_channel (hub, join);
}

/*  -- becoming a member ----------------------------------------------------------------------- */

static void answer_join (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    bool is_json = session->connection->kind != TIDE_CLIENT_SOCKETIO;
    tide_bytes_t topic = pattern_of (join);
    tide_buffer_t members = {0};
    if (is_snapshot (join))
        tide_cursors_snapshot (session, topic, join->at);
    if (join->mode == TIDE_JOIN_RESET)
        tide_reset_send (hub, session, topic, join->at, join->state, join->reason);
    else if (join->mode == TIDE_JOIN_SNAPSHOT && is_json)
        tide_snapshot_send (hub, session, topic, join->at, join->state);
    append_joined (hub, topic, join->at, &members);
    if (join->mode == TIDE_JOIN_SNAPSHOT && !is_json) {
        tide_buffer_append_text (&members, ",\"state\":");
        tide_state_rewind (join->state);
        tide_state_part (join->state, SIZE_MAX, &members);
    }
    tide_reply_ok (hub, &join->reply, tide_buffer_bytes (&members));
    tide_buffer_free (&members);
}

/*  The join has come to its end: from here on the topic is the session's, behind `at`. */
static void become_member (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    answer_join (hub, join);
    /*  While it is held, the cursor goes as far as it may; from there on, what lies on the tape for
     *  the new member has to be looked for before the cursor goes on. */
    tide_deliver_settle (hub, session);
    session->is_live = false;
    tide_member_t *member = tide_member_find (session, pattern_of (join));
    if (member) {
        member->joined = join->at;
        member->is_suspended = false;
    }
    else {
        join->channel->users++; /* the member's own use */
        member = tide_member_add (hub, session, join->channel, join->at, join->meta);
        tide_presence_move (hub, member, &join->present);
    }
    tide_join_abandon (hub, &join);
    tide_session_whole (hub, session);
    tide_deliver_settle (hub, session);
    if (session->connection->kind == TIDE_CLIENT_SSE)
        tide_sse_joined (hub, session);
}

/*  What is to be written of presence with the join: of a reset, what is due after another log. */
static tide_present_t *present_of (tide_join_t *join)
{
    tide_member_t *member =
        join->is_reset ? tide_member_find (join->session, pattern_of (join)) : NULL;
    return member ? &member->present : &join->present;
}

static void recorded (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_join_t *join = op->join;
    if (!join) {
        tide_presence_late (hub, op, answer);
        return;
    }
    join->op = NULL;
    if (answer && answer->kind == TIDE_MESSAGE_ACK) {
        tide_presence_gone (hub, op, answer);
        tide_presence_stands (present_of (join), op, answer);
        become_member (hub, join);
    }
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT)
        /*  The record is another's by now: this connection is the old one. */
        tide_session_taken (hub, join->session);
    else
        join_failed (hub, join, TIDE_OK, answer);
}

/*  Holds the cursor at or below `at` and writes the topic into the session's record. */
static void record (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    tide_present_t *present = present_of (join);
    join->step = TIDE_JOIN_RECORDING;
    /*  A reset goes on holding the cursor where it was, until it is said. */
    if (join->pin == 0 || !join->is_reset)
        join->pin = join->at;
    if (session->recovers && !present->data && present->is_due
        && tide_presence_awaits_removal (session, pattern_of (join), present->seq))
        present->is_due = false; /* the answer of that comes before the record's */
    if (!session->recovers && !present->is_due) {
        become_member (hub, join);
        return;
    }
    tide_op_t *op = tide_session_publish_topic (hub, session, pattern_of (join), join->at,
                                                join->meta, join->is_reset, present, recorded);
    if (!op) {
        join_failed (hub, join, TIDE_TOO_MANY, NULL);
        return;
    }
    present->is_nowhere = false;
    op->join = join;
    join->op = op;
}

/*  Everything up to `at` was brought up, and there was no more then. */
static void reached (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    tide_deliver_settle (hub, session);
    if (join->at >= session->cursor)
        record (hub, join);
    else {
        /*  The session has gone on meanwhile: hold it, and close the rest of the distance. */
        join->pin = session->cursor;
        read_on (hub, join);
    }
}

/*  -- reading --------------------------------------------------------------------------------- */

/*  Bring-up events are the client's, but do not move its position: they carry the old one. */
static void bring_up (tide_hub_t *hub, tide_join_t *join, tide_list_t events)
{
    tide_session_t *session = join->session;
    const tide_form_t form = tide_form_of (session, join->meta);
    tide_buffer_t *outbox = &session->connection->outbox;
    tide_event_t event;
    while (tide_event_next (&events, &event)) {
        if (is_snapshot (join))
            tide_state_put (join->state, &event);
        else if (!tide_session_is_excluded (session, &event))
            tide_form_encode (hub, &form, &event, tide_session_position (session), outbox);
    }
    if (outbox->size > 0)
        tide_hub_ask_writable (hub, session->connection);
    tide_hub_pace (hub, session->connection);
}

/*  One thing at a time. */
static void ask (tide_hub_t *hub, tide_join_t *join, tide_message_t *message, tide_op_fn *done)
{
    tide_op_t *op = tide_op_send (hub, message, done, join->session->connection);
    if (!op) {
        join_failed (hub, join, TIDE_TOO_MANY, NULL);
        return;
    }
    op->session = join->session;
    op->join = join;
    join->op = op;
}

static void page_read (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_join_t *join = op->join;
    join->op = NULL;
    if (!answer || answer->kind != TIDE_MESSAGE_PAGE) {
        if (answer && answer->kind == TIDE_MESSAGE_FAIL
            && answer->fail.code == TIDE_EPOCH_CHANGED) {
            join->mode = TIDE_JOIN_RESET;
            join->reason = TIDE_EPOCH_CHANGED;
            begin_snapshot (hub, join);
        }
        else
            join_failed (hub, join, TIDE_OK, answer);
        return;
    }
    if (answer->page.lost.count > 0) {
        if (!is_snapshot (join)) {
            tide_cursors_given (join->session, pattern_of (join), join->at);
            join->mode = TIDE_JOIN_RESET;
            join->reason = TIDE_TRIMMED;
        }
        begin_snapshot (hub, join);
        return;
    }
    bring_up (hub, join, answer->page.events);
    join->at = later (join->at, answer->page.upto);
    if (join->pin != 0 && join->at >= join->pin) {
        join->at = join->pin;
        record (hub, join);
    }
    else if (answer->page.more) {
        join->step = TIDE_JOIN_SENDING;
        if (join->session->connection->outbox.size == 0)
            read_on (hub, join);
    }
    else if (join->pin != 0)
        /*  The log ends before the session's own position, which so is none of it. */
        join_failed (hub, join, TIDE_EPOCH_CHANGED, NULL);
    else
        reached (hub, join);
}

static void read_on (tide_hub_t *hub, tide_join_t *join)
{
    join->step = TIDE_JOIN_READING;
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &(tide_want_t){pattern_of (join), join->at});
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = tide_feed_epoch (hub->feed);
    message.read.until = join->pin;
    message.read.limit = TIDE_PAGE_EVENTS_MAX;
    message.read.size_max = TIDE_CATCH_UP_PAGE_SIZE;
    message.read.wants = tide_list (&wants, 1);
    ask (hub, join, &message, page_read);
    tide_buffer_free (&wants);
}

void tide_join_drained (tide_hub_t *hub, tide_session_t *session)
{
    tide_join_t *join, *next;
    if (session->connection->outbox.size > 0)
        return;
    DL_FOREACH_SAFE2 (session->joins, join, next, own_next)
        if (join->step == TIDE_JOIN_SENDING)
            read_on (hub, join);
}

static void standing_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_join_t *join = op->join;
    join->op = NULL;
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        join_failed (hub, join, TIDE_OK, answer);
        return;
    }
    if (answer->standing.part == 0)
        tide_state_clear (join->state);
    tide_list_t events = answer->standing.events;
    tide_event_t event;
    while (tide_event_next (&events, &event))
        tide_state_put (join->state, &event);
    if (tide_state_size (join->state) > TIDE_SNAPSHOT_SIZE_MAX) {
        join_failed (hub, join, TIDE_TOO_LARGE, NULL);
        return;
    }
    join->at = answer->standing.seq;
    if (!answer->standing.more) {
        reached (hub, join);
        return;
    }
    if (tide_op_next_part (hub, op, &answer->standing, pattern_of (join)))
        join->op = op;
    else
        join_failed (hub, join, TIDE_TOO_MANY, NULL);
}

static void begin_snapshot (tide_hub_t *hub, tide_join_t *join)
{
    if (!join->is_gathering && hub->gathering >= TIDE_GATHERING_MAX) {
        join->step = TIDE_JOIN_QUEUED;
        DL_APPEND (hub->joins_queued, join);
        return;
    }
    hub->gathering += !join->is_gathering;
    join->is_gathering = true;
    join->step = TIDE_JOIN_READING;
    if (!join->is_reset)
        join->pin = 0;
    tide_state_destroy (&join->state);
    join->state = tide_state_new (tide_pattern_is_subtree (pattern_of (join)));
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = pattern_of (join);
    ask (hub, join, &message, standing_came);
}

void tide_join_channel_ready (tide_hub_t *hub, tide_join_t *join)
{
    tide_session_t *session = join->session;
    DL_DELETE (join->channel->waiting, join);
    join->step = TIDE_JOIN_READING;
    if (join->mode == TIDE_JOIN_SINCE && join->epoch != 0
        && join->epoch != tide_feed_epoch (hub->feed)) {
        join->mode = TIDE_JOIN_RESET;
        join->reason = TIDE_EPOCH_CHANGED;
    }
    if (is_snapshot (join))
        begin_snapshot (hub, join);
    else if (join->mode == TIDE_JOIN_SINCE)
        read_on (hub, join);
    else if (join->mode == TIDE_JOIN_HERE)
        record (hub, join);
    else {
        tide_deliver_settle (hub, session);
        join->at = later (later (tide_feed_watermark (hub->feed), join->channel->horizon),
                          session->cursor);
        record (hub, join);
    }
}

/*  -- leaving --------------------------------------------------------------------------------- */

static void left (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_presence_gone (hub, op, answer);
    if (answer && answer->kind == TIDE_MESSAGE_ACK)
        tide_reply_ok (hub, &op->reply, (tide_bytes_t){0});
    else if (op->session && answer && answer->kind == TIDE_MESSAGE_FAIL
             && answer->fail.code == TIDE_CONFLICT)
        tide_session_taken (hub, op->session);
    else {
        if (op->session)
            op->session->is_record_stale = true;
        tide_presence_not_left (hub, op);
        tide_reply_fail_answer (hub, &op->reply, answer);
    }
}

void tide_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, tide_reply_t *reply)
{
    /*  What cannot have been joined is in no record; and from what is the system's nobody goes. */
    if (!tide_pattern_valid (topic) || !tide_topic_is_readable (topic)) {
        tide_reply_fail (hub, reply, TIDE_NOT_FOUND, "this topic is not joined");
        return;
    }
    tide_join_t *join = tide_join_find (session, topic);
    bool was_joining = join != NULL; /* and the record may say that it is joined */
    tide_present_t gone = {0};
    if (join) {
        gone.seq = join->present.seq > 0 ? join->present.seq : tide_presence_may_stand (join);
        if (!session->recovers)
            tide_presence_left (hub, session, topic, &join->present);
        tide_reply_fail (hub, &join->reply, TIDE_NOT_FOUND,
                         "the topic was left while it was joined");
        tide_join_abandon (hub, &join);
    }
    tide_member_t *member = tide_member_find (session, topic);
    if (tide_cursors_leave (hub, session, topic))
        was_joining = true;
    if (!member && !was_joining && !session->is_record_stale) {
        tide_reply_fail (hub, reply, TIDE_NOT_FOUND, "this topic is not joined");
        return;
    }
    if (member) {
        gone.seq = member->present.seq > 0 ? member->present.seq : gone.seq;
        if (!session->recovers)
            tide_presence_left (hub, session, topic, &member->present);
        tide_member_remove (hub, &member);
    }
    tide_session_whole (hub, session);
    tide_deliver_settle (hub, session);
    if (!session->recovers || session->record_seq == 0) {
        tide_reply_ok (hub, reply, (tide_bytes_t){0});
        return;
    }
    gone.is_due = gone.seq > 0 && !tide_presence_awaits_removal (session, topic, gone.seq);
    tide_op_t *op = tide_session_publish_topic (hub, session, topic, 0, false, false, &gone, left);
    if (!op) {
        session->is_record_stale = true;
        tide_presence_left (hub, session, topic, &gone);
        tide_reply_fail (hub, reply, TIDE_TOO_MANY, NULL);
        return;
    }
    op->reply = tide_reply_take (reply);
}
