/*  tide_application.c - what an application behind Socket.IO can do.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_application.h"

#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_calls.h"
#include "tide_client_engineio.h"
#include "tide_hooks.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_reply.h"
#include "tide_room.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tide_session_t *find_session (tide_hub_t *hub, const char *sid)
{
    tide_session_t *session;
    HASH_FIND (hh, hub->sessions, sid, strlen (sid), session);
    return session;
}

/*  -- coming in ------------------------------------------------------------------------------- */

static tide_app_client_t client_of (const tide_session_t *session)
{
    return (tide_app_client_t){session->nsp, session->sid, session->recovered};
}

bool tide_app_asks_admission (tide_hub_t *hub, tide_session_t *session)
{
    const tide_application_t *app = hub->config.application;
    if ((app && !app->connect) || session->connection->kind != TIDE_CLIENT_SOCKETIO)
        return false;
    session->admission = ++hub->serial;
    HASH_ADD (admission_hh, hub->admissions, admission, sizeof session->admission, session);
    if (!app) {
        tide_hooks_ask (hub, session);
        return true;
    }
    tide_app_client_t client = client_of (session);
    app->connect (app->argument, hub, &client, session->auth, session->admission);
    return true;
}

void tide_app_forget_admission (tide_hub_t *hub, tide_session_t *session)
{
    if (session->admission == 0)
        return;
    HASH_DELETE (admission_hh, hub->admissions, session);
    session->admission = 0;
}

static tide_session_t *take_admission (tide_hub_t *hub, uint64_t admission)
{
    tide_session_t *session;
    HASH_FIND (admission_hh, hub->admissions, &admission, sizeof admission, session);
    if (session)
        tide_app_forget_admission (hub, session);
    return session;
}

void tide_app_admit (tide_hub_t *hub, uint64_t admission)
{
    tide_session_t *session = take_admission (hub, admission);
    if (session)
        tide_session_admitted (hub, session);
}

void tide_app_refuse (tide_hub_t *hub, uint64_t admission, const char *message, const char *data)
{
    tide_session_t *session = take_admission (hub, admission);
    if (!session)
        return;
    tide_buffer_t packet = {0};
    tide_socketio_connect_error (&packet, tide_bytes (session->nsp), message, data);
    tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&packet);
    tide_session_kick (hub, session);
}

void tide_app_connected (tide_hub_t *hub, tide_session_t *session)
{
    const tide_application_t *app = hub->config.application;
    if (app && app->connected && session->connection->kind == TIDE_CLIENT_SOCKETIO) {
        tide_app_client_t client = client_of (session);
        app->connected (app->argument, hub, &client, session->auth);
    }
    json_decref (session->auth);
    session->auth = NULL;
}

void tide_app_disconnected (tide_hub_t *hub, const tide_session_t *session, const char *reason)
{
    const tide_application_t *app = hub->config.application;
    if (!app)
        tide_hooks_disconnected (hub, session, reason);
    if (!app || !app->disconnected || session->connection->kind != TIDE_CLIENT_SOCKETIO)
        return;
    tide_app_client_t client = client_of (session);
    app->disconnected (app->argument, hub, &client, reason);
}

/*  -- calls ----------------------------------------------------------------------------------- */

bool tide_app_event (tide_hub_t *hub, tide_session_t *session, tide_socketio_packet_t *packet,
                     tide_reply_t *reply)
{
    const tide_application_t *app = hub->config.application;
    if (!app || !app->event)
        return false;
    tide_buffer_t name = {0}, payload = {0};
    const char *why = NULL;
    tide_args_t args;
    tide_status_t status = tide_calls_decode (hub, packet, &name, &payload, &why);
    if (status == TIDE_OK)
        status = tide_args_decode (tide_buffer_bytes (&payload), &args);
    if (status == TIDE_OK) {
        uint64_t number = 0;
        if (reply->kind == TIDE_REPLY_ACK) {
            tide_call_t *call = tide_alloc (sizeof *call);
            call->number = number = ++hub->serial;
            call->reply = tide_reply_take (reply);
            HASH_ADD (hh, hub->calls, number, sizeof call->number, call);
            DL_APPEND (session->calls, call);
            call->session = session;
        }
        tide_app_client_t client = client_of (session);
        app->event (app->argument, hub, &client, tide_buffer_bytes (&name), &args, number);
    }
    else
        tide_reply_fail (hub, reply, status, why);
    tide_buffer_free (&name);
    tide_buffer_free (&payload);
    return true;
}

static void forget_call (tide_hub_t *hub, tide_call_t *call)
{
    HASH_DEL (hub->calls, call);
    DL_DELETE (call->session->calls, call);
    tide_reply_free (&call->reply);
    free (call);
}

void tide_app_forget_calls (tide_hub_t *hub, tide_session_t *session)
{
    while (session->calls)
        forget_call (hub, session->calls);
}

static tide_call_t *find_call (tide_hub_t *hub, uint64_t number)
{
    tide_call_t *call;
    HASH_FIND (hh, hub->calls, &number, sizeof number, call);
    return call;
}

void tide_app_acknowledge (tide_hub_t *hub, uint64_t number, const tide_args_t *args)
{
    tide_call_t *call = find_call (hub, number);
    if (!call)
        return;
    tide_connection_t *connection = call->session->connection;
    tide_buffer_t packet = {0};
    tide_socketio_ack (&packet, tide_bytes (call->reply.nsp), call->reply.ack,
                       tide_socketio_arguments (args), args->attachments);
    tide_hub_send_text (hub, connection, tide_buffer_bytes (&packet));
    for (unsigned at = 0; at < args->attachments; at++)
        tide_hub_send_binary (hub, connection, args->attachment[at]);
    tide_buffer_free (&packet);
    forget_call (hub, call);
}

void tide_app_fail (tide_hub_t *hub, uint64_t number, tide_status_t status, const char *message)
{
    tide_call_t *call = find_call (hub, number);
    if (!call)
        return;
    tide_reply_fail (hub, &call->reply, status, message);
    forget_call (hub, call);
}

/*  -- topics ---------------------------------------------------------------------------------- */

void tide_app_topic (tide_hub_t *hub, tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t room)
{
    tide_session_t *session = NULL;
    if (room.size > 0)
        HASH_FIND (hh, hub->sessions, room.data, room.size, session);
    if (session)
        tide_session_topic (out, room);
    else
        tide_room_topic (out, nsp, room);
}

/*  -- emitting -------------------------------------------------------------------------------- */

static tide_status_t check_emit (const tide_app_emit_t *emit)
{
    if (!tide_topic_valid (emit->topic) || !tide_except_valid (emit->except))
        return TIDE_BAD_TOPIC;
    return tide_name_valid (emit->name) && !tide_socketio_name_fault (emit->name)
               ? TIDE_OK
               : TIDE_BAD_REQUEST;
}

static void append_event (tide_hub_t *hub, const tide_app_emit_t *emit, tide_buffer_t *records)
{
    tide_buffer_t payload = {0};
    tide_args_encode (&payload, &emit->args);
    char id[64] = "";
    if (!emit->is_volatile)
        tide_link_make_id (hub->link, id);
    tide_event_append (records,
                       &(tide_event_t){.flags = emit->is_volatile ? TIDE_EVENT_VOLATILE : 0,
                                       .topic = emit->topic,
                                       .name = emit->name,
                                       .id = tide_bytes (id),
                                       .except = emit->except,
                                       .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
}

struct tide_told {
    tide_app_done_fn *done;
    void *argument;
    tide_status_t status;
    struct tide_told *prev, *next;
};

void tide_app_tell (tide_hub_t *hub, tide_app_done_fn *done, void *argument, tide_status_t status)
{
    if (!done)
        return;
    struct tide_told *told = tide_alloc (sizeof *told);
    told->done = done;
    told->argument = argument;
    told->status = status;
    DL_APPEND (hub->told, told);
}

void tide_app_sweep (tide_hub_t *hub)
{
    while (hub->told) {
        struct tide_told *told = hub->told;
        DL_DELETE (hub->told, told);
        told->done (told->argument, hub, told->status);
        free (told);
    }
}

static void emitted (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (answer && answer->kind == TIDE_MESSAGE_ACK)
        tide_reply_ok (hub, &op->reply, (tide_bytes_t){0});
    else
        tide_reply_fail_answer (hub, &op->reply, answer);
}

void tide_app_emit (tide_hub_t *hub, const tide_app_emit_t *emit, tide_app_done_fn *done,
                    void *argument)
{
    if (hub->is_over)
        return;
    tide_status_t status = check_emit (emit);
    if (status != TIDE_OK) {
        tide_app_tell (hub, done, argument, status);
        return;
    }
    tide_buffer_t records = {0};
    append_event (hub, emit, &records);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&records, 1);
    tide_op_t *op = tide_op_send (hub, &message, emitted, NULL);
    tide_buffer_free (&records);
    if (op) {
        op->survives = true;
        op->reply =
            (tide_reply_t){.kind = TIDE_REPLY_DONE, .done = done, .argument = argument, .hub = hub};
    }
    else
        tide_app_tell (hub, done, argument, TIDE_TOO_MANY);
}

void tide_app_ask (tide_hub_t *hub, const tide_app_emit_t *emit, uint32_t timeout_ms,
                   tide_app_answers_fn *done, void *argument)
{
    if (hub->is_over)
        return;
    if (check_emit (emit) != TIDE_OK) {
        tide_ask_nobody (hub, done, argument);
        return;
    }
    tide_app_emit_t asked = *emit;
    asked.is_volatile = true;
    tide_buffer_t records = {0};
    append_event (hub, &asked, &records);
    tide_list_t list = tide_list (&records, 1);
    tide_bytes_t record;
    tide_list_next (&list, &record);
    tide_ask_begin (hub, record, timeout_ms, done, argument);
    tide_buffer_free (&records);
}

/*  -- what is done to clients ----------------------------------------------------------------- */

void tide_app_join (tide_hub_t *hub, const char *sid, tide_bytes_t topic, tide_app_done_fn *done,
                    void *argument)
{
    if (hub->is_over)
        return;
    tide_session_t *session = find_session (hub, sid);
    tide_reply_t reply = {.kind = TIDE_REPLY_DONE, .done = done, .argument = argument, .hub = hub};
    if (session)
        tide_join_begin (hub, session, topic, (tide_since_t){.kind = TIDE_SINCE_LIVE}, false, NULL,
                         &reply);
    else
        tide_reply_fail (hub, &reply, TIDE_NOT_FOUND, NULL);
}

void tide_app_leave (tide_hub_t *hub, const char *sid, tide_bytes_t topic, tide_app_done_fn *done,
                     void *argument)
{
    if (hub->is_over)
        return;
    tide_session_t *session = find_session (hub, sid);
    tide_reply_t reply = {.kind = TIDE_REPLY_DONE, .done = done, .argument = argument, .hub = hub};
    if (session)
        tide_leave (hub, session, topic, &reply);
    else
        tide_reply_fail (hub, &reply, TIDE_NOT_FOUND, NULL);
}

static void kick (tide_hub_t *hub, tide_session_t *session)
{
    tide_buffer_t packet = {0};
    if (session->connection->kind == TIDE_CLIENT_SOCKETIO) {
        tide_socketio_disconnect (&packet, tide_bytes (session->nsp));
        tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&packet));
    }
    tide_buffer_free (&packet);
    session->reason = "server namespace disconnect";
    tide_session_kick (hub, session);
}

void tide_app_disconnect (tide_hub_t *hub, const char *sid, bool closes)
{
    tide_session_t *session = find_session (hub, sid), *each;
    if (!session)
        return;
    /*  A connection that is no Socket.IO's is its one session. */
    if (!closes && session->connection->kind == TIDE_CLIENT_SOCKETIO) {
        kick (hub, session);
        return;
    }
    DL_FOREACH (session->connection->sessions, each)
        if (each->is_registered)
            kick (hub, each);
    tide_hub_close (hub, session->connection,
                    session->connection->kind == TIDE_CLIENT_JSON ? 1000 : 0);
}

void tide_app_send (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t message,
                    bool is_text)
{
    if (!is_text) {
        tide_hub_send_binary (hub, connection, message);
        return;
    }
    tide_buffer_t packet = {0};
    tide_buffer_append (&packet, "4", 1);
    tide_buffer_append_bytes (&packet, message);
    tide_hub_send_text (hub, connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&packet);
}
