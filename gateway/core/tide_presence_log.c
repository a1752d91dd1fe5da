/*  tide_presence_log.c - who is present, as it is written to the log, and with what.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_presence_internal.h"
#include "tide_record.h"
#include "tide_session.h"

#include <string.h>

/*  -- with a record --------------------------------------------------------------------------- */

/*  Appends the event of one member; data NULL removes it. */
static void append_event (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                          const json_t *data, uint64_t since_ms, tide_buffer_t *records)
{
    tide_buffer_t text = {0}, payload = {0};
    char name[TIDE_TOPIC_SIZE_MAX + 1], id[64];
    tide_presence_name (pattern, name);
    tide_link_make_id (hub->link, id);
    tide_event_t event = {.topic = tide_bytes (name),
                          .name = tide_bytes ("presence"),
                          .key = tide_bytes (session->sid),
                          .id = tide_bytes (id),
                          .from = tide_bytes (session->sid)};
    if (data) {
        const char *comma = "";
        tide_buffer_append (&text, "{", 1);
        if (*session->user) {
            tide_buffer_append_text (&text, "\"user\":");
            tide_json_string (&text, tide_bytes (session->user));
            comma = ",";
        }
        if (json_is_object (data)) {
            tide_buffer_printf (&text, "%s\"data\":", comma);
            tide_json_value (&text, data);
            comma = ",";
        }
        if (since_ms > 0)
            tide_buffer_printf (&text, "%s\"since\":%llu", comma, (unsigned long long) since_ms);
        tide_buffer_append (&text, "}", 1);
        tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
        event.payload = tide_buffer_bytes (&payload);
        event.lease = tide_bytes (hub->config.lane);
        event.linger_ms = session->recovers ? TIDE_PRESENCE_LINGER_MS : 0;
        hub->counters.presence_entered++;
    }
    tide_event_append (records, &event);
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
}

bool tide_presence_append (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                           const tide_present_t *present, tide_buffer_t *records)
{
    if (!present || !present->is_due || !tide_present_is_any (present))
        return false;
    append_event (hub, session, pattern, present->data, present->since_ms, records);
    return true;
}

void tide_presence_gone (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session;
    const char *sid = (const char *) op->text.data;
    if (!op->has_presence || op->present || !answer || answer->kind != TIDE_MESSAGE_ACK)
        return;
    HASH_FIND (hh, hub->sessions, sid, strlen (sid), session);
    if (session && session->gone_at < answer->ack.first + op->tag)
        session->gone_at = answer->ack.first + op->tag;
}

/*  The op's text: the session's public id, and the topics of its presence events, which follow one
 *  another from op->tag on; each ends in a NUL. Behind a topic, where what was there before stands.
 */
static void expect_topic (tide_op_t *op, const tide_session_t *session, tide_bytes_t pattern,
                          const tide_present_t *present)
{
    if (!op->has_presence)
        tide_buffer_append (&op->text, session->sid, strlen (session->sid) + 1);
    op->has_presence = true;
    tide_buffer_append_bytes (&op->text, pattern);
    tide_put_u8 (&op->text, 0);
    tide_put_u64 (&op->text, present->seq);
}

void tide_presence_expect (tide_op_t *op, const tide_session_t *session, tide_bytes_t pattern,
                           const tide_present_t *present, uint32_t place)
{
    op->tag = place;
    op->present = json_incref (present->data);
    expect_topic (op, session, pattern, present);
}

/*  The next of the op's topics, and where it stood, if that is asked for; `at` begins at 0. */
static bool next_topic (const tide_op_t *op, size_t *at, tide_bytes_t *pattern, uint64_t *stood)
{
    const char *text = (const char *) op->text.data;
    if (!op->has_presence)
        return false;
    if (*at == 0)
        *at = strlen (text) + 1;
    if (*at >= op->text.size)
        return false;
    *pattern = tide_bytes (text + *at);
    *at += pattern->size + 1;
    tide_reader_t reader = tide_reader ((tide_bytes_t){op->text.data + *at, 8});
    uint64_t seq = tide_take_u64 (&reader);
    *at += 8;
    if (stood)
        *stood = seq;
    return true;
}

/*  The last publish that is under way of the session's presence there; NULL: none is. It is known
 *  by the public id, for what a session that ends has sent is nobody's. */
static tide_op_t *under_way (const tide_session_t *session, tide_bytes_t pattern)
{
    tide_op_t *op, *last = NULL;
    DL_FOREACH2 (session->connection->ops, op, own_next) {
        tide_bytes_t topic;
        size_t at = 0;
        if (next_topic (op, &at, &topic, NULL) && tide_bytes_equal (topic, pattern)
            && strcmp ((const char *) op->text.data, session->sid) == 0)
            last = op;
    }
    return last;
}

bool tide_presence_awaits_removal (const tide_session_t *session, tide_bytes_t pattern,
                                   uint64_t seq)
{
    tide_op_t *op = under_way (session, pattern);
    if (!op || op->present)
        return false;
    tide_bytes_t topic;
    uint64_t stood = seq;
    size_t at = 0;
    next_topic (op, &at, &topic, &stood);
    if (stood < seq && at == op->text.size) { /* it was not known yet when that was sent */
        op->text.size -= 8;
        tide_put_u64 (&op->text, seq);
    }
    return true;
}

void tide_presence_change (const tide_session_t *session, tide_bytes_t topic,
                           tide_present_t *present, json_t *wanted)
{
    const tide_op_t *op = under_way (session, topic);
    if (op) {
        if (!op->present || !present->data || !json_equal (op->present, present->data))
            present->since_ms = 0;
        json_decref (present->data);
        present->data = json_incref (op->present);
        present->seq += present->seq == 0; /* it stands, or has to be removed */
        present->is_due = wanted != NULL;  /* as it is, too: that is not in the log yet */
    }
    tide_present_wish (present, wanted);
}

void tide_presence_stands (tide_present_t *present, const tide_op_t *op,
                           const tide_message_t *answer)
{
    if (!op->has_presence)
        return;
    json_t *written = json_incref (op->present);
    if (!written || !present->data || !json_equal (written, present->data))
        present->since_ms = 0;
    json_decref (present->data);
    present->data = written;
    present->seq = written ? answer->ack.first + op->tag : 0;
    present->is_due = false;
}

void tide_presence_member_stands (tide_hub_t *hub, tide_member_t *member, const tide_op_t *op,
                                  const tide_message_t *answer)
{
    tide_presence_gone (hub, op, answer);
    tide_presence_stands (&member->present, op, answer);
    tide_presence_count (hub, member);
}

/*  It joins anew, or has: what stood there before seq does not any more. */
static void removed_late (tide_hub_t *hub, tide_session_t *session, tide_bytes_t pattern,
                          uint64_t seq)
{
    tide_member_t *member = tide_member_find (session, pattern);
    tide_join_t *join = tide_join_find (session, pattern);
    tide_present_t *present = member ? &member->present : join ? &join->present : NULL;
    if (!present || present->seq >= seq)
        return;
    present->seq = 0;
    present->is_due = present->data != NULL;
    if (member)
        tide_presence_count (hub, member);
}

void tide_presence_late (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer)
{
    if (!op->has_presence)
        return;
    if (!answer || answer->kind != TIDE_MESSAGE_ACK) {
        /*  What another has taken is let alone. */
        if (!answer || answer->kind != TIDE_MESSAGE_FAIL || answer->fail.code != TIDE_CONFLICT)
            tide_presence_not_left (hub, op);
        return;
    }
    tide_presence_gone (hub, op, answer);
    const char *sid = (const char *) op->text.data;
    tide_session_t *session;
    HASH_FIND (hh, hub->sessions, sid, strlen (sid), session);
    uint64_t seq = answer->ack.first + op->tag;
    tide_bytes_t pattern;
    for (size_t at = 0; next_topic (op, &at, &pattern, NULL); seq++) {
        tide_member_t *member = session ? tide_member_find (session, pattern) : NULL;
        char name[TIDE_TOPIC_SIZE_MAX + 1];
        if (member && member->present.data) {
            /*  Only the time was up for whoever asked. It may stand otherwise than was told, or
             *  not at all. */
            if (member->present.seq < seq) {
                member->present.seq = seq;
                member->present.is_due = true;
                tide_presence_look_soon (hub);
            }
        }
        else if (op->present) {
            tide_presence_name (pattern, name);
            tide_presence_release (hub, name, sid, seq);
        }
        else if (session)
            removed_late (hub, session, pattern, seq);
    }
}

void tide_presence_left (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                         const tide_present_t *present)
{
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    if (present->seq == 0)
        return;
    tide_presence_name (pattern, name);
    tide_presence_release (hub, name, session->sid, present->seq);
}

void tide_presence_not_left (tide_hub_t *hub, const tide_op_t *op)
{
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    size_t at = 0;
    tide_bytes_t pattern;
    uint64_t stood;
    while (!op->present && next_topic (op, &at, &pattern, &stood))
        if (stood > 0) {
            tide_presence_name (pattern, name);
            tide_presence_release (hub, name, (const char *) op->text.data, stood);
        }
}

/*  -- a publish of its own -------------------------------------------------------------------- */

static void entered (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    size_t at = 0;
    tide_bytes_t pattern = {0};
    bool is_good = answer && answer->kind == TIDE_MESSAGE_ACK;
    bool is_taken =
        answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT;
    next_topic (op, &at, &pattern, NULL);
    tide_member_t *member = session ? tide_member_find (session, pattern) : NULL;
    if (member) {
        member->present.is_under_way = false;
        if (is_good)
            tide_presence_member_stands (hub, member, op, answer);
    }
    if (!member || (!is_good && member->present.seq == 0)) /* or it has left, and joined again */
        tide_presence_late (hub, op, answer);
    if (session && is_taken)
        tide_session_taken (hub, session);
    else if (session && !is_good)
        tide_presence_try_later (hub);
    if (is_good)
        hub->presence_failures = 0;
}

/*  Enters or removes what is due of one topic, where nothing else of the session is written. */
static bool publish (tide_hub_t *hub, tide_session_t *session, tide_bytes_t pattern,
                     const tide_present_t *present)
{
    tide_buffer_t records = {0};
    tide_op_t *op = NULL;
    if (tide_presence_append (hub, session, pattern, present, &records))
        op = tide_record_publish (hub, session, &records, 1, session->record_seq, entered);
    tide_buffer_free (&records);
    if (op)
        tide_presence_expect (op, session, pattern, present, 0);
    return op != NULL;
}

void tide_presence_publish_member (tide_hub_t *hub, tide_member_t *member)
{
    tide_present_t *present = &member->present;
    if (!present->is_due || present->is_under_way || !tide_present_is_any (present))
        return;
    present->is_under_way =
        publish (hub, member->session, tide_channel_pattern (member->channel), present);
    present->is_nowhere = present->is_nowhere && !present->is_under_way;
    if (!present->is_under_way)
        tide_presence_try_later (hub);
}

/*  -- sessions that come and go --------------------------------------------------------------- */

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

uint32_t tide_presence_append_all (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records)
{
    uint32_t count = 0;
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        member->present.is_due = member->present.data != NULL;
        member->present.is_nowhere = false;
        count += tide_presence_append (hub, session, tide_channel_pattern (member->channel),
                                       &member->present, records);
    }
    return count;
}

void tide_presence_expect_all (tide_op_t *op, const tide_session_t *session, uint32_t place)
{
    op->tag = place;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (member->present.data)
            expect_topic (op, session, tide_channel_pattern (member->channel), &member->present);
    if (op->has_presence)
        op->present = json_true ();
}

void tide_presence_stand_all (tide_hub_t *hub, tide_session_t *session, const tide_op_t *op,
                              const tide_message_t *answer)
{
    uint64_t seq = answer->ack.first + op->tag;
    tide_bytes_t pattern;
    for (size_t at = 0; next_topic (op, &at, &pattern, NULL); seq++) {
        tide_member_t *member = tide_member_find (session, pattern);
        if (!member)
            continue;
        member->present.seq = seq;
        member->present.is_due = false;
        tide_presence_count (hub, member);
    }
}

json_t *tide_presence_keep (const tide_session_t *session)
{
    json_t *kept = json_object ();
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        if (member->present.seq == 0)
            continue;
        json_t *entry = json_object ();
        json_object_set (entry, "data", member->present.data);
        json_object_set_new (entry, "seq", json_integer ((json_int_t) member->present.seq));
        json_object_setn_new (kept, member->channel->pattern, member->channel->size, entry);
    }
    return kept;
}

void tide_presence_match (tide_hub_t *hub, tide_session_t *session, json_t *kept)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        tide_present_t *present = &member->present;
        const json_t *entry =
            json_object_getn (kept, member->channel->pattern, member->channel->size);
        if (entry) {
            present->seq = (uint64_t) json_integer_value (json_object_get (entry, "seq"));
            present->is_due =
                !present->data || !json_equal (present->data, json_object_get (entry, "data"));
            json_object_deln (kept, member->channel->pattern, member->channel->size);
            tide_presence_count (hub, member);
        }
        tide_presence_publish_member (hub, member);
    }
    /*  Topics that it had left before it was ours. */
    const char *topic;
    json_t *entry;
    json_object_foreach (kept, topic, entry) {
        tide_present_t present = {
            .seq = (uint64_t) json_integer_value (json_object_get (entry, "seq")), .is_due = true};
        if (!publish (hub, session, tide_bytes (topic), &present))
            tide_presence_left (hub, session, tide_bytes (topic), &present);
    }
    json_decref (kept);
}

void tide_presence_move_in (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        member->present.is_due = member->present.data != NULL;
        tide_presence_publish_member (hub, member);
    }
}

void tide_presence_epoch (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member;
    session->gone_at = 0;
    DL_FOREACH2 (session->members, member, own_next) {
        tide_present_t *present = &member->present;
        present->seq = present->since_ms = 0;
        present->is_due = present->data != NULL;
        present->is_under_way = false;
        present->is_nowhere = true;
        tide_presence_count (hub, member);
    }
}

/*  As the session's record: what another lane has is let alone, what goes to another is that
 *  lane's, or nobody's in a while. */
static void release (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                     const tide_present_t *present)
{
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    if (present->seq == 0 || (session->recovers && !session->owns_record))
        return;
    tide_presence_name (pattern, name);
    if (session->is_moved)
        tide_presence_release_later (hub, name, session->sid, present->seq);
    else
        tide_presence_release (hub, name, session->sid, present->seq);
}

void tide_presence_end_joins (tide_hub_t *hub, tide_session_t *session, bool for_good)
{
    tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next) {
        tide_bytes_t pattern = tide_channel_pattern (join->channel);
        if (!tide_presence_may_stand (join))
            continue;
        tide_present_t gone = {.seq = later (join->present.seq, 1), .is_due = true};
        if (for_good && tide_presence_awaits_removal (session, pattern, gone.seq))
            continue;
        bool is_removed = for_good && session->owns_record && !session->is_moved
                          && publish (hub, session, pattern, &gone);
        if (!is_removed)
            release (hub, session, pattern, &join->present);
    }
}

/*  Something stands, or was sent and may stand yet; and what removes it was not sent yet. */
static bool has_to_go (const tide_member_t *member)
{
    const tide_present_t *present = &member->present;
    return member->is_present && (present->seq > 0 || !present->is_nowhere)
           && !tide_presence_awaits_removal (member->session,
                                             tide_channel_pattern (member->channel), present->seq);
}

uint32_t tide_presence_append_removals (tide_hub_t *hub, const tide_session_t *session,
                                        tide_buffer_t *records)
{
    uint32_t count = 0;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (has_to_go (member)) {
            tide_bytes_t pattern = tide_channel_pattern (member->channel);
            append_event (hub, session, pattern, NULL, 0, records);
            count++;
        }
    return count;
}

void tide_presence_expect_removals (tide_op_t *op, const tide_session_t *session)
{
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (has_to_go (member))
            expect_topic (op, session, tide_channel_pattern (member->channel), &member->present);
}

void tide_presence_end (tide_hub_t *hub, tide_session_t *session)
{
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        release (hub, session, tide_channel_pattern (member->channel), &member->present);
}
