/*  tide_ops.c - what any dialect may ask for: publish, snapshot, history, topics.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_ops.h"
#include "tide_op.h"
#include "tide_presence.h"
#include "tide_reply.h"

#include <stdlib.h>
#include <string.h>

enum { TOPICS_PER_PAGE = 1000, TOPICS_MAX = 100000 };

tide_status_t tide_may_read (tide_hub_t *hub, tide_bytes_t pattern, const char **why)
{
    if (!tide_pattern_valid (pattern)) {
        *why = "a topic is 1-255 bytes of UTF-8 without control characters or #, or ends in /#";
        return TIDE_BAD_TOPIC;
    }
    if (!tide_topic_is_readable (pattern)) {
        *why = "topics that begin with $ or @ are the system's; only $presence/… can be read";
        return TIDE_FORBIDDEN;
    }
    if (!hub->config.may_read) {
        *why = "anonymous clients may not read here (--anonymous)";
        return TIDE_UNAUTHORIZED;
    }
    return TIDE_OK;
}

/*  -- publish --------------------------------------------------------------------------------- */

static tide_status_t check_publish (tide_hub_t *hub, const tide_event_t *event, const char **why)
{
    if (tide_topic_is_system (event->topic)) {
        *why = "topics that begin with $ or @ are the system's";
        return TIDE_FORBIDDEN;
    }
    if (!hub->config.may_publish) {
        *why = "anonymous clients may not publish here (--anonymous)";
        return TIDE_UNAUTHORIZED;
    }
    return TIDE_OK;
}

/*  Where a publish came from. */
typedef struct {
    const tide_session_t *session;
    const char *id_member;
    const tide_socketio_packet_t *packet;
} source_t;

/*  Appends the record of one event to be published. */
static tide_status_t append_publish (tide_hub_t *hub, const source_t *source, json_t *object,
                                     tide_buffer_t *records, const char **why)
{
    tide_event_t event = {0};
    tide_buffer_t payload = {0};
    const tide_session_t *session = source->session;
    const tide_socketio_packet_t *packet = source->packet;
    uint32_t payload_max = hub->config.payload_max;
    tide_status_t status =
        packet
            ? tide_json_publish_attached (object, source->id_member, packet->attachment,
                                          packet->attachments, payload_max, &event, &payload, why)
            : tide_json_publish (object, source->id_member, payload_max, &event, &payload, why);
    if (status == TIDE_OK)
        status = check_publish (hub, &event, why);
    if (status == TIDE_OK) {
        char id[64];
        if (event.id.size == 0 && !(event.flags & TIDE_EVENT_VOLATILE)) {
            tide_link_make_id (hub->link, id);
            event.id = tide_bytes (id);
        }
        if (session) {
            event.from = tide_bytes (session->sid);
            event.user = tide_bytes (session->user);
        }
        tide_event_append (records, &event);
    }
    tide_buffer_free (&payload);
    return status;
}

static void append_position (tide_hub_t *hub, tide_buffer_t *out, uint64_t seq)
{
    tide_buffer_append_text (out, "\"epoch\":");
    tide_json_epoch (out, tide_feed_epoch (hub->feed));
    if (seq > 0)
        tide_buffer_printf (out, ",\"seq\":%llu", (unsigned long long) seq);
}

static void published (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!answer || answer->kind != TIDE_MESSAGE_ACK) {
        hub->counters.publish_failures++;
        tide_reply_fail_answer (hub, &op->reply, answer);
        return;
    }
    tide_buffer_t text = {0};
    uint64_t first = answer->ack.first;
    if (op->number == 0 || op->reply.kind != TIDE_REPLY_HTTP) {
        append_position (hub, &text, first);
        tide_reply_ok (hub, &op->reply, tide_buffer_bytes (&text));
        tide_buffer_free (&text);
        return;
    }
    tide_buffer_append (&text, "[", 1);
    for (uint64_t at = 0; at < op->number; at++) {
        tide_buffer_append_text (&text, at > 0 ? ",{" : "{");
        append_position (hub, &text, first > 0 ? first + at : 0);
        tide_buffer_append (&text, "}", 1);
    }
    tide_buffer_append (&text, "]\n", 2);
    tide_hub_action_t *action = tide_hub_queue (hub, TIDE_HUB_RESPOND, tide_buffer_bytes (&text));
    action->ticket = op->reply.ticket;
    action->http_status = 200;
    action->type = "application/json";
    tide_buffer_free (&text);
}

static tide_status_t gather (tide_hub_t *hub, const source_t *source, json_t *json,
                             tide_buffer_t *records, uint32_t *count, const char **why)
{
    if (!json_is_array (json)) {
        *count = 1;
        return append_publish (hub, source, json, records, why);
    }
    size_t size = json_array_size (json);
    if (size == 0 || size > TIDE_PUBLISH_EVENTS_MAX) {
        *why = size == 0 ? "the array is empty" : "a publish joins at most 256 events";
        return size == 0 ? TIDE_BAD_REQUEST : TIDE_TOO_MANY;
    }
    *count = (uint32_t) size;
    for (size_t at = 0; at < size; at++) {
        tide_status_t status =
            append_publish (hub, source, json_array_get (json, at), records, why);
        if (status != TIDE_OK)
            return status;
    }
    return TIDE_OK;
}

void tide_op_publish (tide_hub_t *hub, tide_session_t *session, json_t *object_or_array,
                      const char *id_member, const tide_socketio_packet_t *packet,
                      tide_reply_t *reply)
{
    const source_t source = {session, id_member, packet};
    tide_buffer_t records = {0};
    uint32_t count = 0;
    const char *why = NULL;
    hub->counters.publishes++;
    tide_status_t status = gather (hub, &source, object_or_array, &records, &count, &why);
    tide_op_t *op = NULL;
    if (status == TIDE_OK) {
        tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
        message.publish.events = tide_list (&records, count);
        op = tide_op_send (hub, &message, published, reply->connection);
        if (!op) {
            status = TIDE_TOO_MANY;
            why = "too many requests wait for the broker";
        }
    }
    tide_buffer_free (&records);
    if (!op) {
        hub->counters.publish_failures++;
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    op->survives = true;
    op->number = json_is_array (object_or_array) ? count : 0;
    op->reply = tide_reply_take (reply);
}

/*  -- snapshot -------------------------------------------------------------------------------- */

static void standing_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!tide_op_has_gathered (hub, op, answer))
        return;
    tide_state_t *state = tide_state_new (tide_pattern_is_subtree (tide_bytes (op->topic)));
    tide_list_t events = tide_list (&op->text, (uint32_t) op->tag);
    tide_event_t event;
    while (tide_event_next (&events, &event))
        tide_state_put (state, &event);
    tide_buffer_t text = {0};
    append_position (hub, &text, 0);
    tide_buffer_printf (&text,
                        ",\"seq\":%llu,\"state\":", (unsigned long long) answer->standing.seq);
    tide_state_rewind (state);
    tide_state_part (state, SIZE_MAX, &text);
    tide_reply_ok (hub, &op->reply, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
    tide_state_destroy (&state);
}

void tide_op_snapshot (tide_hub_t *hub, tide_bytes_t topic, tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = tide_may_read (hub, topic, &why);
    tide_op_t *op = NULL;
    if (status == TIDE_OK) {
        tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
        message.snapshot.topic = topic;
        op = tide_op_send (hub, &message, standing_came, reply->connection);
        status = op ? TIDE_OK : TIDE_TOO_MANY;
    }
    if (!op) {
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    op->topic = tide_copy (topic.data, topic.size);
    op->reply = tide_reply_take (reply);
}

/*  -- history --------------------------------------------------------------------------------- */

static void history_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!answer || answer->kind != TIDE_MESSAGE_PAGE) {
        tide_reply_fail_answer (hub, &op->reply, answer);
        return;
    }
    tide_buffer_t text = {0}, events = {0};
    tide_list_t list = answer->page.events;
    tide_event_t event;
    uint64_t first = 0, last = 0;
    while (tide_event_next (&list, &event)) {
        if (first > 0)
            tide_buffer_append (&events, ",", 1);
        first = first > 0 ? first : event.seq;
        last = event.seq;
        tide_json_event (&events, &event, NULL);
    }
    append_position (hub, &text, 0);
    tide_buffer_printf (&text, ",\"first\":%llu,\"last\":%llu,\"events\":[",
                        (unsigned long long) first, (unsigned long long) last);
    tide_buffer_append_bytes (&text, tide_buffer_bytes (&events));
    tide_buffer_printf (&text, "],\"more\":%s", answer->page.more ? "true" : "false");
    if (answer->page.lost.count > 0)
        tide_buffer_append_text (&text, ",\"trimmed\":true");
    tide_reply_ok (hub, &op->reply, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
    tide_buffer_free (&events);
}

void tide_op_history (tide_hub_t *hub, tide_bytes_t topic, uint64_t epoch, uint64_t since,
                      uint64_t limit, tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = tide_may_read (hub, topic, &why);
    if (status == TIDE_OK && (limit == 0 || limit > TIDE_PAGE_EVENTS_MAX)) {
        status = TIDE_BAD_REQUEST;
        why = "limit is a number from 1 to 1000";
    }
    tide_op_t *op = NULL;
    if (status == TIDE_OK) {
        tide_buffer_t wants = {0};
        tide_want_append (&wants, &(tide_want_t){topic, since});
        tide_message_t message = {.kind = TIDE_MESSAGE_READ};
        message.read.epoch = epoch;
        message.read.limit = (uint32_t) limit;
        message.read.size_max = 1u << 20;
        message.read.wants = tide_list (&wants, 1);
        op = tide_op_send (hub, &message, history_came, reply->connection);
        status = op ? TIDE_OK : TIDE_TOO_MANY;
        tide_buffer_free (&wants);
    }
    if (op)
        op->reply = tide_reply_take (reply);
    else
        tide_reply_fail (hub, reply, status, why);
}

/*  -- topics ---------------------------------------------------------------------------------- */

static bool read_topics (tide_hub_t *hub, tide_op_t *op, tide_bytes_t after)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_TOPICS_READ};
    message.topics_read.after = after;
    message.topics_read.limit = TOPICS_PER_PAGE;
    return tide_op_again (hub, op, &message);
}

static void topics_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!answer || answer->kind != TIDE_MESSAGE_TOPICS) {
        tide_reply_fail_answer (hub, &op->reply, answer);
        return;
    }
    tide_list_t list = answer->topics.topics;
    tide_topic_info_t info = {0};
    while (tide_topic_info_next (&list, &info)) {
        tide_buffer_append_text (&op->text, op->number++ > 0 ? ",{\"topic\":" : "{\"topic\":");
        tide_json_string (&op->text, info.topic);
        tide_buffer_printf (&op->text, ",\"last\":%llu,\"events\":%llu,\"standing\":%llu}",
                            (unsigned long long) info.last, (unsigned long long) info.events,
                            (unsigned long long) info.standing);
    }
    bool more = answer->topics.more && info.topic.size > 0;
    if (more && op->number < TOPICS_MAX) {
        if (!read_topics (hub, op, info.topic))
            tide_reply_fail (hub, &op->reply, TIDE_TOO_MANY, NULL);
        return;
    }
    tide_buffer_t text = {0};
    append_position (hub, &text, 0);
    tide_buffer_printf (&text, ",\"seq\":%llu,\"topics\":[",
                        (unsigned long long) answer->topics.head);
    tide_buffer_append_bytes (&text, tide_buffer_bytes (&op->text));
    tide_buffer_printf (&text, "],\"more\":%s", more ? "true" : "false");
    tide_reply_ok (hub, &op->reply, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

void tide_op_topics (tide_hub_t *hub, tide_reply_t *reply)
{
    if (!hub->config.may_read) {
        tide_reply_fail (hub, reply, TIDE_UNAUTHORIZED,
                         "anonymous clients may not read here (--anonymous)");
        return;
    }
    tide_message_t message = {.kind = TIDE_MESSAGE_TOPICS_READ};
    message.topics_read.limit = TOPICS_PER_PAGE;
    tide_op_t *op = tide_op_send (hub, &message, topics_came, reply->connection);
    if (op)
        op->reply = tide_reply_take (reply);
    else
        tide_reply_fail (hub, reply, TIDE_TOO_MANY, NULL);
}
