/*  tide_presence.c - who is in a topic.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_presence.h"
#include "tide_channel.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_record.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "$presence/"
enum { PREFIX_SIZE = sizeof PREFIX - 1 };

/*  How long after a broker came it is looked who stands: what it was about to remove then is gone
 *  by now. And how long after something could not be done it is tried again. */
enum { LOOK_MS = 1000, FAILURES_MAX = 5 /* … twice as long each time, up to 32 s */ };

bool tide_topic_is_presence (tide_bytes_t pattern)
{
    return pattern.size > PREFIX_SIZE && memcmp (pattern.data, PREFIX, PREFIX_SIZE) == 0;
}

bool tide_topic_is_readable (tide_bytes_t pattern)
{
    return !tide_topic_is_system (pattern) || tide_topic_is_presence (pattern);
}

/*  The topic's presence, as a string. */
static void name_topic (tide_bytes_t topic, char name[TIDE_TOPIC_SIZE_MAX + 1])
{
    snprintf (name, TIDE_TOPIC_SIZE_MAX + 1, PREFIX "%.*s", TIDE_PRINT (topic));
}

/*  -- what clients and workers want ----------------------------------------------------------- */

static bool is_deeper (const json_t *json, unsigned depth)
{
    if (!json_is_object (json) && !json_is_array (json))
        return false;
    if (depth == 0)
        return true;
    const char *key;
    const json_t *value;
    size_t at;
    if (json_is_array (json)) {
        json_array_foreach (json, at, value)
            if (is_deeper (value, depth - 1))
                return true;
    }
    else
        json_object_foreach ((json_t *) json, key, value)
            if (is_deeper (value, depth - 1))
                return true;
    return false;
}

static size_t size_of (const json_t *json)
{
    tide_buffer_t text = {0};
    tide_json_value (&text, json);
    size_t size = text.size;
    tide_buffer_free (&text);
    return size;
}

/*  Topics in which the session is present, but for this one. */
static unsigned count_present (const tide_session_t *session, tide_bytes_t but)
{
    unsigned count = 0;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        count +=
            member->present.data && !tide_bytes_equal (tide_channel_pattern (member->channel), but);
    const tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next)
        count +=
            join->present.data && !tide_bytes_equal (tide_channel_pattern (join->channel), but);
    return count;
}

tide_status_t tide_presence_check (const tide_session_t *session, tide_bytes_t topic,
                                   const json_t *present, const char **why)
{
    if (!present || json_is_false (present))
        return TIDE_OK;
    *why = "present is true, false or an object";
    if (!json_is_object (present) && !json_is_true (present))
        return TIDE_BAD_REQUEST;
    *why = "present: arrays and objects can be 32 deep";
    if (is_deeper (present, TIDE_PRESENT_DEPTH_MAX))
        return TIDE_TOO_LARGE;
    *why = "present has at most 4096 bytes as JSON";
    if (size_of (present) > TIDE_PRESENT_SIZE_MAX)
        return TIDE_TOO_LARGE;
    *why = "one is present in a topic, not in a subtree, and not in the system's";
    if (tide_pattern_is_subtree (topic) || tide_topic_is_system (topic))
        return TIDE_BAD_TOPIC;
    *why = "the name of a topic with presence has at most 245 bytes";
    if (topic.size > TIDE_TOPIC_SIZE_MAX - PREFIX_SIZE)
        return TIDE_BAD_TOPIC;
    *why = "a session can be present in 100 topics";
    if (count_present (session, topic) >= TIDE_SESSION_PRESENT_MAX)
        return TIDE_TOO_MANY;
    return TIDE_OK;
}

void tide_presence_enter (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                          json_t *present, tide_reply_t *reply)
{
    const tide_member_t *member = tide_member_find (session, topic);
    if (member)
        tide_join_begin (hub, session, topic, (tide_since_t){.kind = TIDE_SINCE_LIVE}, member->meta,
                         present, reply);
    else
        tide_reply_fail (hub, reply, TIDE_NOT_FOUND, "this topic is not joined");
}

void tide_presence_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                          tide_reply_t *reply)
{
    tide_presence_enter (hub, session, topic, json_false (), reply);
}

/*  One who is present, from the event that stands: no one else can have written it. */
static void append_member (tide_buffer_t *text, const tide_event_t *event)
{
    tide_args_t args;
    const char *why;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? tide_json_parse (args.json, &why)
                       : NULL;
    const json_t *user = json_object_get (json, "user"), *data = json_object_get (json, "data");
    const json_t *since = json_object_get (json, "since");
    tide_buffer_append_text (text, "{\"sid\":");
    tide_json_string (text, event->key);
    if (user) {
        tide_buffer_append_text (text, ",\"user\":");
        tide_json_value (text, user);
    }
    if (data) {
        tide_buffer_append_text (text, ",\"data\":");
        tide_json_value (text, data);
    }
    uint64_t since_ms = since ? (uint64_t) json_integer_value (since) : event->time_ms;
    tide_buffer_printf (text, ",\"since\":%llu}", (unsigned long long) since_ms);
    json_decref (json);
}

static void listed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_reply_fail_answer (hub, &op->reply, answer);
        return;
    }
    tide_gathered_t gathered = tide_op_gather (hub, op, answer);
    if (gathered == TIDE_GATHERED_TOO_LARGE)
        tide_reply_fail (hub, &op->reply, TIDE_TOO_LARGE, "the snapshot is above 64 MiB");
    else if (gathered == TIDE_GATHERED_TOO_MANY)
        tide_reply_fail (hub, &op->reply, TIDE_TOO_MANY, NULL);
    if (gathered != TIDE_GATHERED_ALL)
        return;
    tide_buffer_t text = {0};
    tide_buffer_append_text (&text, "\"epoch\":");
    tide_json_epoch (&text, answer->standing.epoch);
    tide_buffer_printf (&text, ",\"seq\":%llu,\"members\":[",
                        (unsigned long long) answer->standing.seq);
    tide_list_t events = tide_list (&op->text, (uint32_t) op->tag);
    tide_event_t event;
    for (bool is_first = true; tide_event_next (&events, &event); is_first = false) {
        tide_buffer_append_text (&text, is_first ? "" : ",");
        append_member (&text, &event);
    }
    tide_buffer_append (&text, "]", 1);
    tide_reply_ok (hub, &op->reply, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

/*  Asks for what stands in a topic of presence. */
static tide_op_t *ask (tide_hub_t *hub, const char *name, tide_op_fn *done,
                       tide_connection_t *connection)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = tide_bytes (name);
    tide_op_t *op = tide_op_send (hub, &message, done, connection);
    if (op)
        op->topic = tide_copy (name, strlen (name));
    return op;
}

void tide_presence_list (tide_hub_t *hub, tide_bytes_t topic, tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = tide_may_read (hub, topic, &why);
    if (status == TIDE_OK
        && (tide_pattern_is_subtree (topic) || tide_topic_is_system (topic)
            || topic.size > TIDE_TOPIC_SIZE_MAX - PREFIX_SIZE)) {
        status = TIDE_BAD_TOPIC;
        why = "presence is asked for one topic, of at most 245 bytes: of a subtree, take the "
              "snapshot of $presence/…/#";
    }
    tide_op_t *op = NULL;
    if (status == TIDE_OK) {
        char name[TIDE_TOPIC_SIZE_MAX + 1];
        name_topic (topic, name);
        op = ask (hub, name, listed, reply->connection);
        status = op ? TIDE_OK : TIDE_TOO_MANY;
    }
    if (op)
        op->reply = tide_reply_take (reply);
    else
        tide_reply_fail (hub, reply, status, why);
}

/*  -- what a member says of itself ------------------------------------------------------------ */

bool tide_present_is_any (const tide_present_t *self)
{
    return self->data || self->seq > 0;
}

bool tide_presence_may_stand (const tide_join_t *join)
{
    return join->present.seq > 0 || (join->present.data && join->step == TIDE_JOIN_RECORDING);
}

void tide_present_wish (tide_present_t *self, json_t *present)
{
    json_t *wanted = json_is_false (present) ? NULL : present;
    bool is_same = wanted ? self->data && json_equal (wanted, self->data) : !self->data;
    if (!present || is_same)
        return;
    json_incref (wanted); /* it may be what it is */
    json_decref (self->data);
    self->data = wanted;
    self->since_ms = 0;
    self->is_due = true;
}

void tide_present_free (tide_present_t *self)
{
    json_decref (self->data);
    *self = (tide_present_t){0};
}

/*  Keeps the lists right, after any change of the member's. */
static void count_member (tide_hub_t *hub, tide_member_t *member)
{
    tide_channel_t *channel = member->channel;
    bool is_any = tide_present_is_any (&member->present);
    if (is_any == member->is_present)
        return;
    member->is_present = is_any;
    if (is_any && channel->present++ == 0)
        DL_APPEND2 (hub->present, channel, present_prev, present_next);
    else if (!is_any && --channel->present == 0)
        DL_DELETE2 (hub->present, channel, present_prev, present_next);
}

void tide_presence_move (tide_hub_t *hub, tide_member_t *member, tide_present_t *from)
{
    tide_present_free (&member->present);
    member->present = *from;
    *from = (tide_present_t){0};
    count_member (hub, member);
}

void tide_presence_forget (tide_hub_t *hub, tide_member_t *member)
{
    tide_present_free (&member->present);
    count_member (hub, member);
}

/*  -- in the session's record ----------------------------------------------------------------- */

void tide_presence_record (const tide_present_t *present, tide_buffer_t *text)
{
    if (!present || !present->data)
        return;
    tide_buffer_append_text (text, ",\"present\":");
    tide_json_value (text, present->data);
    if (present->since_ms > 0)
        tide_buffer_printf (text, ",\"since\":%llu", (unsigned long long) present->since_ms);
}

void tide_presence_take (tide_hub_t *hub, tide_member_t *member, const json_t *json,
                         uint64_t time_ms)
{
    json_t *data = json_object_get (json, "present");
    const json_t *since = json_object_get (json, "since");
    const char *why;
    if (!data || json_is_false (data)
        || tide_presence_check (member->session, tide_channel_pattern (member->channel), data, &why)
               != TIDE_OK)
        return;
    tide_present_free (&member->present);
    member->present = (tide_present_t){
        .data = json_incref (data),
        .since_ms = since ? (uint64_t) json_integer_value (since) : time_ms,
        .is_due = true,
    };
    count_member (hub, member);
}

/*  -- in the log ------------------------------------------------------------------------------ */

/*  Appends the event of one member; data NULL removes it. */
static void append_event (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                          const json_t *data, uint64_t since_ms, tide_buffer_t *records)
{
    tide_buffer_t text = {0}, payload = {0};
    char name[TIDE_TOPIC_SIZE_MAX + 1], id[64];
    name_topic (pattern, name);
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

/*  The last publish that is under way of the session's presence there; NULL: none is. */
static const tide_op_t *under_way (const tide_session_t *session, tide_bytes_t pattern)
{
    const tide_op_t *op, *last = NULL;
    DL_FOREACH2 (session->connection->ops, op, own_next) {
        tide_bytes_t topic;
        size_t at = 0;
        if (op->session == session && next_topic (op, &at, &topic, NULL)
            && tide_bytes_equal (topic, pattern))
            last = op;
    }
    return last;
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
    tide_presence_stands (&member->present, op, answer);
    count_member (hub, member);
}

static void look_soon (tide_hub_t *hub)
{
    if (hub->presence_round_ms == 0)
        hub->presence_round_ms = hub->now_ms + LOOK_MS;
}

/*  Something could not be done, and others are as likely to fail: it is tried again later, and
 *  later still as long as nothing can be done. */
static void try_later (tide_hub_t *hub)
{
    if (hub->presence_round_ms != 0)
        return;
    hub->presence_round_ms = hub->now_ms + ((uint64_t) LOOK_MS << hub->presence_failures);
    hub->presence_failures += hub->presence_failures < FAILURES_MAX;
}

void tide_presence_late (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer)
{
    if (!op->has_presence || !answer || answer->kind != TIDE_MESSAGE_ACK)
        return;
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
                look_soon (hub);
            }
        }
        else if (op->present) {
            name_topic (pattern, name);
            tide_presence_release (hub, name, sid, seq);
        }
    }
}

void tide_presence_left (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                         const tide_present_t *present)
{
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    if (present->seq == 0)
        return;
    name_topic (pattern, name);
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
            name_topic (pattern, name);
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
    else if (is_good)
        tide_presence_late (hub, op, answer);
    else if (!is_taken)
        tide_presence_not_left (hub, op);
    if (session && is_taken)
        tide_session_taken (hub, session);
    else if (session && !is_good)
        try_later (hub);
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

static void publish_member (tide_hub_t *hub, tide_member_t *member)
{
    tide_present_t *present = &member->present;
    if (!present->is_due || present->is_under_way || !tide_present_is_any (present))
        return;
    present->is_under_way =
        publish (hub, member->session, tide_channel_pattern (member->channel), present);
    if (!present->is_under_way)
        try_later (hub);
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
        count_member (hub, member);
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
            count_member (hub, member);
        }
        publish_member (hub, member);
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
        publish_member (hub, member);
    }
}

void tide_presence_epoch (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        tide_present_t *present = &member->present;
        present->seq = present->since_ms = 0;
        present->is_due = present->data != NULL;
        present->is_under_way = false;
        count_member (hub, member);
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
    name_topic (pattern, name);
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
        bool is_removed = for_good && session->owns_record && !session->is_moved
                          && publish (hub, session, pattern, &gone);
        if (!is_removed)
            release (hub, session, pattern, &join->present);
    }
}

uint32_t tide_presence_append_removals (tide_hub_t *hub, const tide_session_t *session,
                                        tide_buffer_t *records)
{
    uint32_t count = 0;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (member->is_present) {
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
        if (member->is_present)
            expect_topic (op, session, tide_channel_pattern (member->channel), &member->present);
}

void tide_presence_end (tide_hub_t *hub, tide_session_t *session)
{
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        release (hub, session, tide_channel_pattern (member->channel), &member->present);
}

/*  -- the lane -------------------------------------------------------------------------------- */

static void look_at_next (tide_hub_t *hub);

/*  Who of this lane stands there is marked. */
static void mark_standing (tide_hub_t *hub, tide_bytes_t pattern, tide_list_t events)
{
    tide_event_t event;
    while (tide_event_next (&events, &event)) {
        tide_session_t *session;
        HASH_FIND (hh, hub->sessions, event.key.data, event.key.size, session);
        tide_member_t *member = session ? tide_member_find (session, pattern) : NULL;
        if (!member)
            continue;
        member->present.is_seen = true;
        /*  Under another lane's lease it is not ours to be released. */
        if (tide_bytes_is (event.lease, hub->config.lane) && member->present.seq < event.seq) {
            member->present.seq = event.seq;
            count_member (hub, member);
        }
    }
}

/*  Enters again who ought to stand there as of `upto`, and does not. */
static void mend (tide_hub_t *hub, tide_member_t *member, uint64_t upto)
{
    tide_present_t *present = &member->present;
    tide_bytes_t pattern = tide_channel_pattern (member->channel);
    if (member->session->state != TIDE_SESSION_OPEN || tide_join_find (member->session, pattern))
        return;
    if (present->data && !present->is_seen && present->seq <= upto)
        present->is_due = true;
    hub->counters.presence_mended += present->is_due && !present->is_under_way;
    publish_member (hub, member);
}

static void looked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_gathered_t gathered = TIDE_GATHERED_TOO_MANY;
    if (answer && answer->kind == TIDE_MESSAGE_STANDING)
        gathered = tide_op_gather (hub, op, answer);
    if (gathered == TIDE_GATHERED_PART)
        return;
    hub->is_presence_asked = false;
    if (gathered == TIDE_GATHERED_TOO_LARGE) { /* it would be the next time, too */
        look_at_next (hub);
        return;
    }
    if (gathered != TIDE_GATHERED_ALL) {
        try_later (hub);
        return;
    }
    tide_bytes_t pattern = tide_bytes (op->topic + PREFIX_SIZE);
    tide_channel_t *channel = tide_channel_find (hub, pattern);
    tide_member_t *member;
    if (channel) {
        DL_FOREACH2 (channel->members, member, next_member)
            member->present.is_seen = false;
        mark_standing (hub, pattern, tide_list (&op->text, (uint32_t) op->tag));
        DL_FOREACH2 (channel->members, member, next_member)
            mend (hub, member, answer->standing.seq);
    }
    look_at_next (hub);
}

/*  One topic at a time, so that the broker has little to do with it. */
static void look_at_next (tide_hub_t *hub)
{
    tide_channel_t *channel = hub->present;
    if (!channel || channel->round == hub->presence_round)
        return;
    channel->round = hub->presence_round;
    DL_DELETE2 (hub->present, channel, present_prev, present_next);
    DL_APPEND2 (hub->present, channel, present_prev, present_next);
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    name_topic (tide_channel_pattern (channel), name);
    hub->is_presence_asked = ask (hub, name, looked, NULL) != NULL;
    if (!hub->is_presence_asked)
        try_later (hub);
}

void tide_presence_broker_came (tide_hub_t *hub)
{
    hub->presence_round_ms = hub->presence_failures = 0;
    look_soon (hub);
}

void tide_presence_tick (tide_hub_t *hub)
{
    if (hub->presence_round_ms == 0 || hub->presence_round_ms > hub->now_ms
        || hub->is_presence_asked || !tide_link_is_up (hub->link))
        return;
    hub->presence_round_ms = 0;
    hub->presence_round++;
    look_at_next (hub);
}
