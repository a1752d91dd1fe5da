/*  tide_calls.c - what clients emit for workers, and the replies.
 *
 *  The lane keeps nothing of a call: it is the broker's once it is durable, and the reply is an
 *  event in the session's own topic that says what the client called the answer. So it arrives in
 *  order with whatever the worker emits, and finds the session at another lane, or after a
 *  reconnect, by reading on like everything else.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_calls.h"
#include "tide_op.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  So many calls of a session that were given up are remembered. */
#define GIVEN_UP_MAX TIDE_CONNECTION_OPS_MAX

/*  A call that may still be answered, though its client was told that it is not. */
struct tide_given_up {
    tide_given_up_t *prev, *next;
    size_t size;
    uint8_t wanted[]; /* what the client calls the answer */
};

/*  -- there ----------------------------------------------------------------------------------- */

static tide_given_up_t *find_given_up (const tide_session_t *session, tide_bytes_t wanted)
{
    tide_given_up_t *call;
    DL_FOREACH (session->given_up, call)
        if (tide_bytes_equal (wanted, (tide_bytes_t){call->wanted, call->size}))
            return call;
    return NULL;
}

static void forget_given_up (tide_session_t *session, tide_given_up_t *call)
{
    if (!call)
        return;
    DL_DELETE (session->given_up, call);
    session->given_up_count--;
    free (call);
}

void tide_calls_forget (tide_session_t *session)
{
    while (session->given_up)
        forget_given_up (session, session->given_up);
}

static void give_up (tide_session_t *session, tide_bytes_t wanted)
{
    if (session->given_up_count == GIVEN_UP_MAX)
        forget_given_up (session, session->given_up);
    tide_given_up_t *call = tide_alloc (sizeof *call + wanted.size);
    call->size = wanted.size;
    memcpy (call->wanted, wanted.data, wanted.size);
    DL_APPEND (session->given_up, call);
    session->given_up_count++;
}

void tide_calls_put (tide_buffer_t *out, const tide_session_t *session)
{
    const tide_given_up_t *call;
    tide_put_u32 (out, session->given_up_count);
    DL_FOREACH (session->given_up, call) {
        tide_put_u32 (out, (uint32_t) call->size);
        tide_buffer_append (out, call->wanted, call->size);
    }
}

bool tide_calls_take (tide_session_t *session, tide_reader_t *reader)
{
    uint32_t count = tide_take_u32 (reader);
    if (count > GIVEN_UP_MAX)
        return false;
    for (uint32_t at = 0; at < count; at++) {
        uint32_t size = tide_take_u32 (reader);
        tide_bytes_t wanted = tide_take_bytes (reader, size);
        if (reader->failed || size > TIDE_REFERENCE_SIZE_MAX)
            return false;
        give_up (session, wanted);
    }
    return true;
}

/*  It is durable, and its reply on its way; or it is not to be. */
static void called (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool is_called = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (op->session && (is_called || !answer))
        op->session->is_served = true;
    if (is_called)
        return;
    hub->counters.call_failures++;
    if (!answer && op->session && op->text.size > 0)
        give_up (op->session, tide_buffer_bytes (&op->text));
    if (op->reply.kind != TIDE_REPLY_NONE)
        tide_reply_fail_answer (hub, &op->reply, answer);
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_NO_WORKER)
        hub->counters.ignored_events++;
}

bool tide_calls_are_open (const tide_session_t *session)
{
    const tide_op_t *op;
    DL_FOREACH2 (session->connection->ops, op, own_next)
        if (op->done == called && op->session == session)
            return true;
    return false;
}

static void refuse (tide_hub_t *hub, tide_reply_t *reply, tide_status_t status, const char *why)
{
    hub->counters.call_failures++;
    tide_reply_fail (hub, reply, status, why);
}

static void emit (tide_hub_t *hub, tide_session_t *session, tide_bytes_t name, tide_bytes_t payload,
                  tide_bytes_t wanted, tide_reply_t *reply)
{
    char id[64];
    hub->counters.calls++;
    if (!tide_name_valid (name)) {
        refuse (hub, reply, TIDE_BAD_REQUEST,
                "an event's name is 1-255 bytes of UTF-8 without control characters");
        return;
    }
    if (wanted.size > TIDE_REFERENCE_SIZE_MAX) {
        refuse (hub, reply, TIDE_TOO_LARGE, "the call's id is above 4096 bytes");
        return;
    }
    tide_link_make_id (hub->link, id);
    tide_message_t message = {
        .kind = TIDE_MESSAGE_CALL,
        .call = {.nsp = tide_bytes (session->nsp),
                 .event = name,
                 .id = tide_bytes (id),
                 .user = tide_bytes (session->user),
                 .from = tide_bytes (session->sid),
                 .wanted = wanted,
                 .session = tide_bytes (session->recovers ? session->topic : ""),
                 .payload = payload}};
    tide_op_t *op = tide_op_send (hub, &message, called, session->connection);
    if (!op) {
        refuse (hub, reply, TIDE_TOO_MANY, "too many requests wait for the broker");
        return;
    }
    op->survives = true;
    op->session = session;
    op->reply = tide_reply_take (reply);
    tide_buffer_append_bytes (&op->text, wanted);
    forget_given_up (session, find_given_up (session, wanted)); /* the name is in use again */
}

tide_status_t tide_calls_decode (tide_hub_t *hub, tide_socketio_packet_t *packet,
                                 tide_buffer_t *name, tide_buffer_t *payload, const char **why)
{
    json_t *first = json_array_get (packet->data, 0);
    if (json_is_string (first))
        tide_buffer_append (name, json_string_value (first), json_string_length (first));
    else
        tide_json_value (name, first);
    json_array_remove (packet->data, 0);
    return tide_json_payload_attached (payload, packet->data, true, packet->attachment,
                                       packet->attachments, hub->config.payload_max, why);
}

void tide_calls_packet (tide_hub_t *hub, tide_session_t *session, tide_socketio_packet_t *packet,
                        tide_reply_t *reply)
{
    tide_buffer_t *name = &hub->scratch, *payload = &hub->scratch2;
    name->size = payload->size = 0;
    const char *why;
    tide_status_t status = tide_calls_decode (hub, packet, name, payload, &why);
    char wanted[24] = "";
    if (packet->has_ack)
        snprintf (wanted, sizeof wanted, "%llu", (unsigned long long) packet->ack);
    if (status == TIDE_OK)
        emit (hub, session, tide_buffer_bytes (name), tide_buffer_bytes (payload),
              tide_bytes (wanted), reply);
    else
        refuse (hub, reply, status, why);
}

static tide_status_t take_arguments (tide_hub_t *hub, const json_t *object, tide_buffer_t *payload,
                                     const char **why)
{
    json_t *data = json_object_get (object, "data"), *args = json_object_get (object, "args");
    *why = "data and args at once";
    if (data && args)
        return TIDE_BAD_REQUEST;
    if (data || args)
        return tide_json_payload (payload, data ? data : args, args != NULL,
                                  hub->config.payload_max, why);
    tide_args_encode (payload, &(tide_args_t){.many = true, .json = tide_bytes ("[]")});
    return TIDE_OK;
}

void tide_calls_object (tide_hub_t *hub, tide_session_t *session, json_t *object,
                        tide_reply_t *reply)
{
    const json_t *event = json_object_get (object, "event");
    const char *why = "event is not a string";
    tide_bytes_t name = {(const uint8_t *) json_string_value (event), json_string_length (event)};
    tide_buffer_t payload = {0}, wanted = {0};
    tide_status_t status = json_is_string (event) ? TIDE_OK : TIDE_BAD_REQUEST;
    if (status == TIDE_OK && tide_socketio_name_fault (name)) {
        why = tide_socketio_name_fault (name);
        status = TIDE_BAD_REQUEST;
    }
    if (status == TIDE_OK)
        status = take_arguments (hub, object, &payload, &why);
    tide_json_value (&wanted, reply->id ? reply->id : json_null ());
    if (status == TIDE_OK) {
        tide_session_join_own (hub, session);
        emit (hub, session, name, tide_buffer_bytes (&payload), tide_buffer_bytes (&wanted), reply);
    }
    else
        refuse (hub, reply, status, why);
    tide_buffer_free (&payload);
    tide_buffer_free (&wanted);
}

/*  -- and back -------------------------------------------------------------------------------- */

bool tide_calls_is_reply (const tide_event_t *event)
{
    return event->topic.size > 0 && event->topic.data[0] == '@'
           && tide_bytes_is (event->name, TIDE_REPLY_NAME);
}

bool tide_calls_was_answered (const tide_session_t *session, const tide_event_t *event)
{
    tide_args_t args;
    tide_replied_t replied;
    if (!tide_calls_is_reply (event) || tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied))
        return false;
    tide_op_t *op;
    DL_FOREACH2 (session->connection->ops, op, own_next)
        if (op->done == called && op->session == session
            && tide_bytes_equal (tide_buffer_bytes (&op->text), replied.wanted))
            tide_reply_free (&op->reply);
    return find_given_up (session, replied.wanted) != NULL;
}

/*  A Socket.IO client calls an answer by the number of its acknowledgement. */
static bool ack_of (tide_bytes_t wanted, uint64_t *ack)
{
    *ack = 0;
    for (size_t at = 0; at < wanted.size; at++) {
        if (wanted.data[at] < '0' || wanted.data[at] > '9')
            return false;
        *ack = *ack * 10 + (uint64_t) (wanted.data[at] - '0');
    }
    return wanted.size > 0 && wanted.size < 20;
}

static void append_error (tide_buffer_t *out, const tide_replied_t *replied)
{
    tide_status_t status = (tide_status_t) replied->code;
    tide_buffer_printf (out, "\"code\":\"%s\",\"message\":", tide_status_name (status));
    if (replied->message.size > 0)
        tide_json_string (out, replied->message);
    else
        tide_json_string (out, tide_bytes (tide_status_meaning (status)));
    tide_put_u8 (out, '}');
}

static void encode_ack (tide_hub_t *hub, const tide_form_t *form, const tide_args_t *args,
                        const tide_replied_t *replied, tide_buffer_t *frames)
{
    uint64_t ack;
    tide_buffer_t *packet = &hub->scratch, *error = &hub->scratch2;
    packet->size = error->size = 0;
    if (!ack_of (replied->wanted, &ack))
        return;
    bool is_ok = replied->code == TIDE_OK;
    if (!is_ok) {
        tide_buffer_append_text (error, "{\"ok\":false,");
        append_error (error, replied);
    }
    tide_socketio_ack (packet, tide_bytes (form->nsp), ack,
                       is_ok ? tide_socketio_arguments (args) : tide_buffer_bytes (error),
                       is_ok ? args->attachments : 0);
    tide_wsframe_append (frames, TIDE_WSFRAME_TEXT, tide_buffer_bytes (packet));
    for (unsigned at = 0; is_ok && at < args->attachments; at++)
        tide_wsframe_append (frames, TIDE_WSFRAME_BINARY, args->attachment[at]);
}

static void encode_json (tide_hub_t *hub, const tide_event_t *event, const tide_replied_t *replied,
                         tide_buffer_t *frames)
{
    tide_buffer_t *text = &hub->scratch;
    bool is_ok = replied->code == TIDE_OK;
    text->size = 0;
    tide_buffer_append_text (text, is_ok ? "{\"op\":\"ok\"" : "{\"op\":\"error\"");
    if (!tide_bytes_is (replied->wanted, "null")) {
        tide_buffer_append_text (text, ",\"id\":");
        tide_buffer_append_bytes (text, replied->wanted);
    }
    tide_put_u8 (text, ',');
    if (is_ok) {
        tide_json_data (text, event->payload);
        tide_put_u8 (text, '}');
    }
    else
        append_error (text, replied);
    tide_wsframe_append (frames, TIDE_WSFRAME_TEXT, tide_buffer_bytes (text));
}

void tide_calls_encode (tide_hub_t *hub, const tide_form_t *form, const tide_event_t *event,
                        tide_buffer_t *frames)
{
    tide_args_t args;
    tide_replied_t replied;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied))
        return;
    hub->counters.call_replies++;
    if (form->kind == TIDE_CLIENT_SOCKETIO)
        encode_ack (hub, form, &args, &replied, frames);
    else if (form->kind == TIDE_CLIENT_JSON && tide_json_valid (replied.wanted))
        encode_json (hub, event, &replied, frames);
}
