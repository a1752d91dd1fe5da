/*  tide_presence.c - who is in a topic.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_presence_internal.h"
#include "tide_reply.h"

#include <stdio.h>
#include <string.h>

bool tide_topic_is_presence (tide_bytes_t pattern)
{
    return pattern.size > TIDE_PRESENCE_PREFIX_SIZE
           && memcmp (pattern.data, TIDE_PRESENCE_PREFIX, TIDE_PRESENCE_PREFIX_SIZE) == 0;
}

bool tide_topic_is_readable (tide_bytes_t pattern)
{
    return !tide_topic_is_system (pattern) || tide_topic_is_presence (pattern);
}

void tide_presence_name (tide_bytes_t topic, char name[TIDE_TOPIC_SIZE_MAX + 1])
{
    snprintf (name, TIDE_TOPIC_SIZE_MAX + 1, TIDE_PRESENCE_PREFIX "%.*s", TIDE_PRINT (topic));
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
    if (topic.size > TIDE_TOPIC_SIZE_MAX - TIDE_PRESENCE_PREFIX_SIZE)
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
    if (!tide_op_has_gathered (hub, op, answer))
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

tide_op_t *tide_presence_ask (tide_hub_t *hub, const char *name, tide_op_fn *done,
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
            || topic.size > TIDE_TOPIC_SIZE_MAX - TIDE_PRESENCE_PREFIX_SIZE)) {
        status = TIDE_BAD_TOPIC;
        why = "presence is asked for one topic, of at most 245 bytes: of a subtree, take the "
              "snapshot of $presence/…/#";
    }
    tide_op_t *op = NULL;
    if (status == TIDE_OK) {
        char name[TIDE_TOPIC_SIZE_MAX + 1];
        tide_presence_name (topic, name);
        op = tide_presence_ask (hub, name, listed, reply->connection);
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

void tide_presence_count (tide_hub_t *hub, tide_member_t *member)
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
    tide_presence_count (hub, member);
}

void tide_presence_forget (tide_hub_t *hub, tide_member_t *member)
{
    tide_present_free (&member->present);
    tide_presence_count (hub, member);
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
    tide_presence_count (hub, member);
}
