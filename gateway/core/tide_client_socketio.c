/*  tide_client_socketio.c - what a stock socket.io-client says, and what it means.
 *
 *  Each namespace of a connection is a session. Events whose name begins with `tide:` are the
 *  gateway's own; any other is the application's, if there is one, or a call. What breaks the
 *  protocol closes the whole connection, as the reference does.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_calls.h"
#include "tide_client.h"
#include "tide_client_engineio.h"
#include "tide_cursors.h"
#include "tide_hooks.h"
#include "tide_join.h"
#include "tide_ops.h"
#include "tide_presence.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void violation (tide_hub_t *hub, tide_connection_t *connection)
{
    hub->counters.parse_errors++;
    connection->reason = "parse error";
    tide_hub_close (hub, connection, 0);
}

static tide_session_t *find_session (tide_connection_t *connection, tide_bytes_t nsp)
{
    tide_session_t *session;
    DL_FOREACH (connection->sessions, session)
        if (tide_bytes_is (nsp, session->nsp))
            return session;
    return NULL;
}

/*  -- namespaces ------------------------------------------------------------------------------ */

static void refuse_namespace (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t nsp,
                              const char *message)
{
    tide_buffer_t packet = {0};
    tide_socketio_connect_error (&packet, nsp, message, NULL);
    tide_hub_send_text (hub, connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&packet);
}

/*  The auth object's pid and offset are recovery's. An offset that is no position of ours (a
 *  client takes any trailing string for one) makes the resume impossible, and so a new session. */
static void connect_namespace (tide_hub_t *hub, tide_connection_t *connection,
                               const tide_socketio_packet_t *packet)
{
    tide_bytes_t nsp = packet->nsp;
    if (find_session (connection, nsp)) {
        violation (hub, connection);
        return;
    }
    /*  One that is not configured may be a worker's: that is asked when the session is opened. */
    bool valid = nsp.size > 0 && nsp.size <= TIDE_NAME_SIZE_MAX && tide_name_valid (nsp);
    if (!valid
        || (hub->config.application && !tide_namespace_listed (hub->config.namespaces, nsp))) {
        refuse_namespace (hub, connection, packet->nsp, "Invalid namespace");
        return;
    }
    if (connection->session_count >= TIDE_NAMESPACES_MAX) {
        refuse_namespace (hub, connection, nsp, "too_many: a connection can join 64 namespaces");
        return;
    }
    const json_t *pid = json_object_get (packet->data, "pid");
    const json_t *offset = json_object_get (packet->data, "offset");
    uint64_t epoch = 0, seq = 0;
    bool has_position = json_is_string (offset);
    bool good =
        json_is_string (pid) && (!has_position || tide_position_json (offset, &epoch, &seq));
    char name[TIDE_NAME_SIZE_MAX + 1];
    snprintf (name, sizeof name, "%.*s", TIDE_PRINT (nsp));
    tide_opening_t opening = {.nsp = name,
                              .user = "",
                              .recovers = !tide_namespace_listed (hub->config.no_recovery, nsp),
                              .has_position = has_position,
                              .epoch = epoch,
                              .seq = seq,
                              .auth = packet->data};
    if (good)
        opening.pid =
            (tide_bytes_t){(const uint8_t *) json_string_value (pid), json_string_length (pid)};
    tide_session_open (hub, connection, &opening);
}

static void socketio_opened (tide_hub_t *hub, tide_session_t *session)
{
    tide_hub_settled (hub, session->connection);
    tide_buffer_t packet = {0};
    tide_socketio_connect (&packet, tide_bytes (session->nsp), session->sid,
                           session->recovers ? session->pid : NULL);
    tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&packet);
}

/*  -- the gateway's own events ----------------------------------------------------------------- */

static tide_bytes_t topic_of (const json_t *object)
{
    const json_t *topic = json_object_get (object, "topic");
    if (!json_is_string (topic))
        return (tide_bytes_t){0};
    return (tide_bytes_t){(const uint8_t *) json_string_value (topic), json_string_length (topic)};
}

static void do_subscribe (tide_hub_t *hub, tide_session_t *session, json_t *object, bool is_binary,
                          tide_reply_t *reply)
{
    tide_since_t since;
    const json_t *meta = json_object_get (object, "meta");
    const json_t *cursor = json_object_get (object, "cursor");
    json_t *present = json_object_get (object, "present");
    tide_bytes_t topic = topic_of (object);
    /*  Who it is that came or went is said in meta. */
    bool says_meta = meta ? json_is_true (meta) : tide_topic_is_presence (topic);
    if (!tide_since_json (json_object_get (object, "since"), json_object_get (object, "epoch"),
                          &since))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST,
                         "since is \"live\", \"start\", \"snapshot\", a sequence or epoch:seq");
    else if (meta && !json_is_boolean (meta))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "meta is true or false");
    else if (is_binary && present)
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "present holds no binary values");
    else if (cursor)
        tide_cursors_subscribe (hub, session, topic, since, says_meta, present, cursor, reply);
    else
        tide_join_begin (hub, session, topic, since, says_meta, present, reply);
}

static void do_history (tide_hub_t *hub, json_t *object, tide_reply_t *reply)
{
    tide_since_t since;
    const json_t *limit = json_object_get (object, "limit");
    if (!tide_since_json (json_object_get (object, "since"), json_object_get (object, "epoch"),
                          &since)
        || since.kind == TIDE_SINCE_SNAPSHOT)
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "since is a sequence or epoch:seq");
    else if (limit && !json_is_integer (limit))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "limit is a number from 1 to 1000");
    else
        tide_op_history (hub, topic_of (object), since.epoch, since.seq,
                         limit ? (uint64_t) json_integer_value (limit) : 100, reply);
}

static void own_event (tide_hub_t *hub, tide_session_t *session, const char *name,
                       const tide_socketio_packet_t *packet, tide_reply_t *reply)
{
    json_t *object = json_array_get (packet->data, 1);
    if (!json_is_object (object))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "tide:* events take one object");
    else if (strcmp (name, "tide:subscribe") == 0)
        do_subscribe (hub, session, object, packet->attachments > 0, reply);
    else if (strcmp (name, "tide:ack") == 0)
        tide_cursors_ack (hub, session, object, reply);
    else if (strcmp (name, "tide:unsubscribe") == 0)
        tide_leave (hub, session, topic_of (object), reply);
    else if (strcmp (name, "tide:publish") == 0)
        tide_op_publish (hub, session, object, "id", packet, reply);
    else if (strcmp (name, "tide:snapshot") == 0)
        tide_op_snapshot (hub, topic_of (object), reply);
    else if (strcmp (name, "tide:presence") == 0)
        tide_presence_list (hub, topic_of (object), reply);
    else if (strcmp (name, "tide:history") == 0)
        do_history (hub, object, reply);
    else
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "no such tide:* event in this version");
}

static void receive_event (tide_hub_t *hub, tide_session_t *session, tide_socketio_packet_t *packet)
{
    const char *name = json_string_value (json_array_get (packet->data, 0));
    tide_reply_t reply = {0};
    if (packet->has_ack)
        reply = (tide_reply_t){.kind = TIDE_REPLY_ACK,
                               .connection = session->connection,
                               .nsp = tide_copy (session->nsp, strlen (session->nsp)),
                               .ack = packet->ack};
    else
        reply.connection = session->connection;
    if (name && strncmp (name, "tide:", 5) == 0) {
        own_event (hub, session, name, packet, &reply);
    }
    else if (tide_app_event (hub, session, packet, &reply)) {
    }
    else
        tide_calls_packet (hub, session, packet, &reply);
    tide_reply_free (&reply);
}

/*  -- packets --------------------------------------------------------------------------------- */

static void receive_packet (tide_hub_t *hub, tide_connection_t *connection,
                            tide_socketio_packet_t *packet)
{
    if (packet->type == TIDE_SOCKETIO_CONNECT) {
        connect_namespace (hub, connection, packet);
        return;
    }
    tide_session_t *session = find_session (connection, packet->nsp);
    if (!session || session->state < TIDE_SESSION_OPEN) {
        violation (hub, connection);
        return;
    }
    if (packet->type == TIDE_SOCKETIO_EVENT)
        receive_event (hub, session, packet);
    else if (packet->type == TIDE_SOCKETIO_DISCONNECT) {
        session->reason = "client namespace disconnect";
        tide_session_end (hub, &session, true);
    }
    else if (!tide_ask_answer (hub, session, packet))
        hub->counters.stray_answers++; /* ignored, as the reference does */
}

void tide_client_socketio_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                                 bool is_text)
{
    tide_socketio_packet_t packet;
    const char *why;
    switch (tide_socketio_decode (connection->decoder, bytes, is_text, &packet, &why)) {
    case TIDE_SOCKETIO_PACKET:
        receive_packet (hub, connection, &packet);
        tide_socketio_decoder_release (connection->decoder);
        break;
    case TIDE_SOCKETIO_MORE:
        break;
    case TIDE_SOCKETIO_INVALID:
        violation (hub, connection);
        break;
    }
}

/*  -- what becomes of opening ----------------------------------------------------------------- */

void tide_client_opened (tide_hub_t *hub, tide_session_t *session)
{
    if (session->connection->kind == TIDE_CLIENT_SOCKETIO)
        socketio_opened (hub, session);
    else
        tide_client_json_opened (hub, session);
}

void tide_client_refused (tide_hub_t *hub, tide_session_t *session)
{
    tide_hub_close (hub, session->connection,
                    session->connection->kind == TIDE_CLIENT_JSON ? 1013 : 0);
}
