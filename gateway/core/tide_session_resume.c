/*  tide_session_resume.c - how a session is taken over by who comes with its pid.
 *
 *  Its record is read, what lies behind the client's position must be there still, and then a
 *  conditional append on "#session" makes it ours: of two that resume one pid one wins, and the old
 *  connection's late end cannot touch the new one. Then the record is read once more.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_client.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_session_internal.h"

#include <stdio.h>
#include <string.h>

/*  How often a lost race for the record is run again. */
enum { TAKE_ATTEMPTS = 4 };

static void read_again (tide_hub_t *hub, tide_session_t *session);

static void taken (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (!op->session) {
        if (good)
            tide_record_release (hub, op->topic, answer->ack.first);
        tide_presence_late (hub, op, answer);
        return;
    }
    tide_session_t *session = op->session;
    if (good) {
        session->record_seq = answer->ack.first;
        session->owns_record = true;
        session->state = TIDE_SESSION_TAKEN;
        tide_presence_stand_all (hub, session, op, answer);
        tide_session_register (hub, session);
        hub->counters.take_overs++;
        read_again (hub, session);
    }
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT
             && op->number < TAKE_ATTEMPTS && !session->is_moved)
        tide_session_read_record (hub, session, (unsigned) op->number + 1);
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT)
        tide_session_refuse_resume (hub, session);
    else
        tide_client_refused (hub, session);
}

void tide_session_take_over (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                             unsigned attempt)
{
    session->state = TIDE_SESSION_TAKING;
    tide_buffer_t records = {0}, text = {0}, payload = {0};
    uint32_t count = 1;
    tide_record_session (hub, session, &records);
    char topic[TIDE_TOPIC_SIZE_MAX + 1], id[64];
    snprintf (topic, sizeof topic, "$lane/%.64s", old_lane);
    if (strcmp (old_lane, hub->config.lane) != 0 && tide_topic_valid (tide_bytes (topic))) {
        tide_link_make_id (hub->link, id);
        tide_json_string (&text, tide_bytes (session->sid));
        tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
        tide_event_append (&records, &(tide_event_t){.topic = tide_bytes (topic),
                                                     .name = tide_bytes ("taken"),
                                                     .id = tide_bytes (id),
                                                     .payload = tide_buffer_bytes (&payload)});
        count++;
    }
    uint32_t present = tide_presence_append_all (hub, session, &records);
    tide_op_t *op =
        tide_record_publish (hub, session, &records, count + present, session->record_seq, taken);
    if (op) {
        op->number = attempt;
        tide_presence_expect_all (op, session, count);
    }
    else
        tide_client_refused (hub, session);
    tide_buffer_free (&records);
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
}

/*  Nothing behind the position may be lost, and the position must be of this log. */
static void checked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    bool complete = answer && answer->kind == TIDE_MESSAGE_PAGE;
    bool is_other_log =
        answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_EPOCH_CHANGED;
    if (!complete && !is_other_log) {
        tide_client_refused (hub, session);
        return;
    }
    tide_list_t lost = complete ? answer->page.lost : (tide_list_t){0};
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        if (!tide_bytes_is (want.topic, session->topic))
            complete = false;
    if (!complete) {
        tide_session_refuse_resume (hub, session);
        return;
    }
    session->recovered = true;
    if (tide_session_is_admitted (hub, session, op->topic, (unsigned) op->number))
        tide_session_take_over (hub, session, op->topic, (unsigned) op->number);
}

static void check_history (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                           unsigned attempt)
{
    session->state = TIDE_SESSION_CHECKING;
    tide_buffer_t wants = {0};
    uint32_t count = 1;
    tide_want_append (&wants, &(tide_want_t){tide_bytes (session->topic), session->cursor});
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        uint64_t since = member->joined > session->cursor ? member->joined : session->cursor;
        tide_want_append (&wants, &(tide_want_t){tide_channel_pattern (member->channel), since});
        count++;
    }
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = tide_feed_epoch (hub->feed);
    message.read.wants = tide_list (&wants, count);
    tide_op_t *op = tide_op_send (hub, &message, checked, session->connection);
    if (op) {
        op->session = session;
        op->number = attempt;
        op->topic = tide_copy (old_lane, strlen (old_lane));
    }
    else
        tide_client_refused (hub, session);
    tide_buffer_free (&wants);
}

/*  Gathers the parts of the record. True if it is whole. */
static bool gather_record (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_gathered_t gathered = tide_op_gather (hub, op, answer);
    if (gathered != TIDE_GATHERED_ALL && gathered != TIDE_GATHERED_PART)
        tide_client_refused (hub, op->session);
    return gathered == TIDE_GATHERED_ALL;
}

static bool take_records (tide_hub_t *hub, tide_session_t *session, tide_op_t *op, char lane[128])
{
    bool good = op->tag > 0;
    tide_event_t event;
    session->record_seq = 0;
    /*  Whose it is comes first, wherever it stands: its topics' cursors and presence go by that. */
    for (int is_topics = 0; is_topics < 2; is_topics++) {
        tide_list_t events = tide_list (&op->text, (uint32_t) op->tag);
        while (good && tide_event_next (&events, &event))
            if (tide_bytes_is (event.key, TIDE_SESSION_KEY) != is_topics)
                good = tide_record_take (hub, session, &event, lane);
    }
    good = good && session->record_seq > 0;
    if (good)
        tide_session_add_rooms (hub, session);
    return good;
}

static void record_read (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_client_refused (hub, session);
        return;
    }
    if (!gather_record (hub, op, answer))
        return;
    /*  Whether the position is of this log is known only now: this lane may have begun a moment
     *  ago, without a broker. */
    char lane[128] = "";
    bool same_log =
        session->position_epoch == 0 || session->position_epoch == answer->standing.epoch;
    if (!same_log || !take_records (hub, session, op, lane)) {
        tide_session_refuse_resume (hub, session);
        return;
    }
    if (!session->has_position || session->cursor < session->base)
        session->cursor = session->base;
    check_history (hub, session, lane, (unsigned) op->number);
}

/*  A reset that was recorded may not have reached the client: if its position is not behind it, it
 *  is said again. */
static void repeat_resets (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member, *next;
    DL_FOREACH_SAFE2 (session->members, member, next, own_next)
        if (member->was_reset && session->cursor <= member->joined)
            tide_join_reset (hub, member, TIDE_TRIMMED);
}

/*  A topic that the one before us joined or left while we took over is in the record, though not
 *  in what we read of it: from the take-over on nobody but us can change it. */
static void record_read_again (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_client_refused (hub, session);
        return;
    }
    if (!gather_record (hub, op, answer))
        return;
    uint64_t record_seq = session->record_seq;
    char lane[128] = "";
    json_t *entered = tide_presence_keep (session);
    tide_session_forget_members (hub, session);
    if (take_records (hub, session, op, lane) && session->record_seq == record_seq) {
        if (session->is_moved) /* its resets are said, or are among its joins */
            tide_join_members_made (hub, session);
        else {
            session->recovered = true;
            repeat_resets (hub, session);
        }
        tide_presence_match (hub, session, entered);
        tide_session_open_now (hub, session);
        return;
    }
    json_decref (entered);
    /*  Taken from us by now. */
    session->owns_record = false;
    tide_client_refused (hub, session);
}

static void read_again (tide_hub_t *hub, tide_session_t *session)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = tide_bytes (session->topic);
    tide_op_t *op = tide_op_send (hub, &message, record_read_again, session->connection);
    if (op) {
        op->session = session;
        op->topic = tide_copy (session->topic, strlen (session->topic));
    }
    else
        tide_client_refused (hub, session);
}

void tide_session_read_record (tide_hub_t *hub, tide_session_t *session, unsigned attempt)
{
    tide_session_forget_members (hub, session);
    session->state = TIDE_SESSION_READING;
    session->record_seq = 0;
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = tide_bytes (session->topic);
    tide_op_t *op = tide_op_send (hub, &message, record_read, session->connection);
    if (op) {
        op->session = session;
        op->topic = tide_copy (session->topic, strlen (session->topic));
        op->number = attempt;
    }
    else
        tide_client_refused (hub, session);
}
