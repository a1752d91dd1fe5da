/*  tide_client_json.c - the JSON dialect of /ws: one object a text frame.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_calls.h"
#include "tide_channel.h"
#include "tide_client.h"
#include "tide_cursors.h"
#include "tide_join.h"
#include "tide_ops.h"
#include "tide_presence.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdlib.h>
#include <string.h>

static tide_bytes_t bytes_of (const json_t *string)
{
    if (!json_is_string (string))
        return (tide_bytes_t){0};
    return (tide_bytes_t){(const uint8_t *) json_string_value (string),
                          json_string_length (string)};
}

/*  -- hello ----------------------------------------------------------------------------------- */

void tide_client_json_opened (tide_hub_t *hub, tide_session_t *session)
{
    if (!session->recovers && !session->connection->wants_welcome)
        return;
    session->connection->wants_welcome = false;
    tide_buffer_t text = {0};
    tide_buffer_append_text (&text, "{\"op\":\"welcome\",\"sid\":");
    tide_json_string (&text, tide_bytes (session->sid));
    if (session->recovers) {
        tide_buffer_append_text (&text, ",\"session\":");
        tide_json_string (&text, tide_bytes (session->pid));
    }
    tide_buffer_append_text (&text, ",\"epoch\":");
    tide_json_epoch (&text, tide_feed_epoch (hub->feed));
    tide_buffer_printf (&text, ",\"seq\":%llu,\"resumed\":%s,\"topics\":[",
                        (unsigned long long) session->cursor,
                        session->recovered ? "true" : "false");
    const char *comma = "";
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        if (!tide_topic_is_readable (tide_channel_pattern (member->channel)))
            continue; /* not joined by the client */
        tide_buffer_append_text (&text, comma);
        tide_json_string (&text, tide_channel_pattern (member->channel));
        comma = ",";
    }
    tide_buffer_append_text (&text, "]}");
    tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

static void do_hello (tide_hub_t *hub, tide_connection_t *connection, json_t *object,
                      tide_reply_t *reply)
{
    const json_t *pid = json_object_get (object, "session");
    const json_t *since = json_object_get (object, "since");
    tide_since_t position = {.kind = TIDE_SINCE_LIVE};
    if (connection->sessions)
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "hello comes first, and once");
    else if (json_object_get (object, "token"))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "tokens are not available yet");
    else if (pid && !json_is_string (pid))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "session is a string");
    else if (!tide_since_json (since, json_object_get (object, "epoch"), &position)
             || position.kind == TIDE_SINCE_SNAPSHOT || (since && position.kind != TIDE_SINCE_SEQ))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "since is a sequence or epoch:seq");
    else {
        connection->wants_welcome = true;
        tide_session_open (hub, connection,
                           &(tide_opening_t){.nsp = "/",
                                             .user = "",
                                             .recovers = true,
                                             .pid = bytes_of (pid),
                                             .has_position = position.kind == TIDE_SINCE_SEQ,
                                             .epoch = position.epoch,
                                             .seq = position.seq});
    }
}

/*  -- the other operations -------------------------------------------------------------------- */

static void do_sub (tide_hub_t *hub, tide_session_t *session, json_t *object, tide_reply_t *reply)
{
    tide_since_t since;
    const json_t *cursor = json_object_get (object, "cursor");
    json_t *present = json_object_get (object, "present");
    tide_bytes_t topic = bytes_of (json_object_get (object, "topic"));
    if (!tide_since_json (json_object_get (object, "since"), json_object_get (object, "epoch"),
                          &since))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST,
                         "since is \"live\", \"start\", \"snapshot\", a sequence or epoch:seq");
    else if (cursor)
        tide_cursors_subscribe (hub, session, topic, since, true, present, cursor, reply);
    else
        tide_join_begin (hub, session, topic, since, true, present, reply);
}

static void do_ping (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_buffer_t text = {0};
    tide_buffer_printf (&text, "{\"op\":\"pong\",\"seq\":%llu,\"epoch\":",
                        (unsigned long long) tide_feed_watermark (hub->feed));
    tide_json_epoch (&text, tide_feed_epoch (hub->feed));
    tide_buffer_append (&text, "}", 1);
    tide_hub_send_text (hub, connection, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

static void perform (tide_hub_t *hub, tide_connection_t *connection, const char *op, json_t *object,
                     tide_reply_t *reply)
{
    if (strcmp (op, "ping") == 0) {
        do_ping (hub, connection);
        return;
    }
    if (strcmp (op, "hello") == 0) {
        do_hello (hub, connection, object, reply);
        return;
    }
    /*  Without a hello: a session that nobody can resume, and so without a record. */
    if (!connection->sessions)
        tide_session_open (hub, connection, &(tide_opening_t){.nsp = "/", .user = ""});
    tide_session_t *session = connection->sessions;
    if (strcmp (op, "sub") == 0)
        do_sub (hub, session, object, reply);
    else if (strcmp (op, "unsub") == 0)
        tide_leave (hub, session, bytes_of (json_object_get (object, "topic")), reply);
    else if (strcmp (op, "pub") == 0)
        tide_op_publish (hub, session, object, "event_id", NULL, reply);
    else if (strcmp (op, "call") == 0)
        tide_calls_object (hub, session, object, reply);
    else if (strcmp (op, "presence") == 0)
        tide_presence_list (hub, bytes_of (json_object_get (object, "topic")), reply);
    else if (strcmp (op, "ack") == 0)
        tide_cursors_ack (hub, session, object, reply);
    else
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "unknown op");
}

void tide_client_json_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                             bool is_text)
{
    tide_reply_t reply = {.kind = TIDE_REPLY_JSON, .connection = connection};
    const char *why = "messages are text frames";
    json_t *object = is_text ? tide_json_parse (bytes, &why) : NULL;
    if (!object) {
        tide_reply_fail (hub, &reply, is_text ? TIDE_BAD_JSON : TIDE_BAD_REQUEST, why);
        return;
    }
    const char *op = json_string_value (json_object_get (object, "op"));
    reply.id = json_incref (json_object_get (object, "id"));
    if (!json_is_object (object))
        tide_reply_fail (hub, &reply, TIDE_BAD_REQUEST, "a message is a JSON object");
    else if (!op)
        tide_reply_fail (hub, &reply, TIDE_BAD_REQUEST, "op is missing or not a string");
    else
        perform (hub, connection, op, object, &reply);
    tide_reply_free (&reply);
    json_decref (object);
}
