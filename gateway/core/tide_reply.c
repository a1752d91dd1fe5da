/*  tide_reply.c - answers, resets and events in the words of each dialect.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_reply.h"
#include "tide_application_internal.h"
#include "tide_calls.h"
#include "tide_client_engineio.h"
#include "tide_client_sse.h"

#include <stdlib.h>
#include <string.h>

enum { PART_SIZE = 256 << 10 };

tide_reply_t tide_reply_take (tide_reply_t *reply)
{
    tide_reply_t taken = *reply;
    *reply = (tide_reply_t){0};
    return taken;
}

void tide_reply_free (tide_reply_t *reply)
{
    /*  Whoever waits for it is told, even if what it was about is gone. */
    if (reply->kind == TIDE_REPLY_DONE)
        tide_app_tell (reply->hub, reply->done, reply->argument,
                       reply->hub->is_over ? TIDE_SHUTTING_DOWN : TIDE_NOT_FOUND);
    free (reply->nsp);
    json_decref (reply->id);
    *reply = (tide_reply_t){0};
}

static unsigned http_status (tide_status_t status)
{
    switch (status) {
    case TIDE_OK:
        return 200;
    case TIDE_UNAUTHORIZED:
    case TIDE_TOKEN_EXPIRED:
        return 401;
    case TIDE_FORBIDDEN:
        return 403;
    case TIDE_NOT_FOUND:
        return 404;
    case TIDE_CONFLICT:
    case TIDE_EPOCH_CHANGED:
        return 409;
    case TIDE_TRIMMED:
        return 410;
    case TIDE_TOO_LARGE:
        return 413;
    case TIDE_TOO_MANY:
    case TIDE_RATE_LIMITED:
        return 429;
    case TIDE_TIMEOUT:
        return 504;
    case TIDE_WORKER_FAILED:
        return 502;
    case TIDE_LOG_FULL:
        return 507;
    case TIDE_NO_WORKER:
    case TIDE_BROKER_AWAY:
    case TIDE_SHUTTING_DOWN:
        return 503;
    default:
        return 400;
    }
}

/*  Sends a JSON object to whoever waits; head is its beginning, members what follows a comma. */
static void send_object (tide_hub_t *hub, const tide_reply_t *reply, const char *head,
                         tide_bytes_t members)
{
    tide_buffer_t object = {0}, packet = {0};
    tide_buffer_append_text (&object, head);
    if (reply->kind == TIDE_REPLY_JSON && reply->id) {
        tide_buffer_append_text (&object, ",\"id\":");
        tide_json_value (&object, reply->id);
    }
    if (members.size > 0) {
        tide_buffer_append (&object, ",", 1);
        tide_buffer_append_bytes (&object, members);
    }
    tide_buffer_append (&object, "}", 1);
    if (reply->kind == TIDE_REPLY_ACK)
        tide_socketio_ack (&packet, tide_bytes (reply->nsp), reply->ack,
                           tide_buffer_bytes (&object), 0);
    tide_hub_send_text (hub, reply->connection,
                        tide_buffer_bytes (packet.size > 0 ? &packet : &object));
    tide_buffer_free (&object);
    tide_buffer_free (&packet);
}

static void tell (tide_hub_t *hub, tide_reply_t *reply, tide_status_t status)
{
    tide_app_tell (hub, reply->done, reply->argument, status);
    reply->kind = TIDE_REPLY_NONE;
}

void tide_reply_ok (tide_hub_t *hub, tide_reply_t *reply, tide_bytes_t members)
{
    if (reply->kind == TIDE_REPLY_ACK)
        send_object (hub, reply, "{\"ok\":true", members);
    else if (reply->kind == TIDE_REPLY_JSON)
        send_object (hub, reply, "{\"op\":\"ok\"", members);
    else if (reply->kind == TIDE_REPLY_HTTP) {
        tide_buffer_t body = {0};
        tide_buffer_append (&body, "{", 1);
        tide_buffer_append_bytes (&body, members);
        tide_buffer_append (&body, "}\n", 2);
        tide_hub_respond (hub, reply->ticket, 200, "application/json", tide_buffer_bytes (&body));
        tide_buffer_free (&body);
    }
    else if (reply->kind == TIDE_REPLY_DONE)
        tell (hub, reply, TIDE_OK);
    tide_reply_free (reply);
}

void tide_reply_fail (tide_hub_t *hub, tide_reply_t *reply, tide_status_t status,
                      const char *message)
{
    tide_buffer_t text = {0};
    if (!message || !*message)
        message = tide_status_meaning (status);
    hub->counters.requests++;
    if (reply->kind == TIDE_REPLY_HTTP) {
        tide_json_error (&text, status, message);
        tide_hub_respond (hub, reply->ticket, http_status (status), "application/json",
                          tide_buffer_bytes (&text));
    }
    else if (reply->kind == TIDE_REPLY_DONE)
        tell (hub, reply, status);
    else if (reply->kind != TIDE_REPLY_NONE) {
        tide_buffer_printf (&text, "\"code\":\"%s\",\"message\":", tide_status_name (status));
        tide_json_string (&text, tide_bytes (message));
        send_object (hub, reply,
                     reply->kind == TIDE_REPLY_ACK ? "{\"ok\":false" : "{\"op\":\"error\"",
                     tide_buffer_bytes (&text));
    }
    tide_buffer_free (&text);
    tide_reply_free (reply);
}

void tide_reply_fail_answer (tide_hub_t *hub, tide_reply_t *reply, const tide_message_t *answer)
{
    if (!answer) {
        tide_reply_fail (hub, reply, hub->is_welcome ? TIDE_TIMEOUT : TIDE_BROKER_AWAY, NULL);
        return;
    }
    tide_assert (answer->kind != TIDE_MESSAGE_FAIL || answer->fail.request != 0);
    if (answer->kind != TIDE_MESSAGE_FAIL) {
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "the broker's answer was not understood");
        return;
    }
    char *message = tide_copy (answer->fail.message.data, answer->fail.message.size);
    tide_reply_fail (hub, reply, (tide_status_t) answer->fail.code, message);
    free (message);
}

/*  -- events ---------------------------------------------------------------------------------- */

static void append_meta (tide_buffer_t *out, const tide_event_t *event)
{
    tide_buffer_append_text (out, "{\"topic\":");
    tide_json_string (out, event->topic);
    if (event->seq > 0)
        tide_buffer_printf (out, ",\"seq\":%llu", (unsigned long long) event->seq);
    if (event->key.size > 0) {
        tide_buffer_append_text (out, ",\"key\":");
        tide_json_string (out, event->key);
    }
    tide_buffer_printf (out, ",\"time\":%llu", (unsigned long long) event->time_ms);
    if (event->from.size > 0) {
        tide_buffer_append_text (out, ",\"from\":");
        tide_json_string (out, event->from);
    }
    tide_buffer_append_text (out, event->payload.size == 0 ? ",\"removed\":true}" : "}");
}

static void encode_socketio (tide_hub_t *hub, const tide_form_t *form, const tide_event_t *event,
                             uint64_t position, tide_buffer_t *frames)
{
    /*  A client would take the connection for broken, come again, and be told again. */
    if (tide_socketio_name_fault (event->name))
        return;
    tide_args_t args;
    if (tide_args_decode (event->payload, &args) != TIDE_OK)
        args = (tide_args_t){.json = tide_bytes ("null")};
    tide_buffer_t *packet = &hub->scratch, *extra = &hub->scratch2;
    packet->size = extra->size = 0;
    tide_bytes_t trailing[2];
    unsigned count = 0;
    if (form->meta)
        append_meta (extra, event);
    size_t meta_size = extra->size;
    if (form->offset) {
        tide_buffer_append (extra, "\"", 1);
        tide_position_text (extra, tide_feed_epoch (hub->feed), position);
        tide_buffer_append (extra, "\"", 1);
    }
    if (form->meta)
        trailing[count++] = (tide_bytes_t){extra->data, meta_size};
    if (form->offset)
        trailing[count++] = (tide_bytes_t){extra->data + meta_size, extra->size - meta_size};
    tide_socketio_event (packet, tide_bytes (form->nsp), event->name, &args, trailing, count);
    tide_wsframe_append (frames, TIDE_WSFRAME_TEXT, tide_buffer_bytes (packet));
    for (unsigned at = 0; at < args.attachments; at++)
        tide_wsframe_append (frames, TIDE_WSFRAME_BINARY, args.attachment[at]);
}

tide_form_t tide_form_of (const tide_session_t *session, bool meta)
{
    bool is_socketio = session->connection->kind == TIDE_CLIENT_SOCKETIO;
    return (tide_form_t){session->connection->kind, session->nsp, is_socketio && meta,
                         is_socketio && session->recovers};
}

void tide_form_encode (tide_hub_t *hub, const tide_form_t *form, const tide_event_t *event,
                       uint64_t position, tide_buffer_t *frames)
{
    hub->counters.forms_made++;
    if (tide_calls_is_reply (event)) {
        tide_calls_encode (hub, form, event, frames);
        return;
    }
    if (form->kind == TIDE_CLIENT_SOCKETIO) {
        encode_socketio (hub, form, event, position, frames);
        return;
    }
    hub->scratch.size = 0;
    if (form->kind == TIDE_CLIENT_SSE) {
        tide_json_event (&hub->scratch, event, NULL);
        tide_sse_id (hub, frames, position);
        tide_sse_block (frames, NULL, tide_buffer_bytes (&hub->scratch));
        return;
    }
    tide_json_event (&hub->scratch, event, "event");
    tide_wsframe_append (frames, TIDE_WSFRAME_TEXT, tide_buffer_bytes (&hub->scratch));
}

/*  -- snapshots ------------------------------------------------------------------------------- */

/*  {"op":OP,"topic","seq","epoch","state"[,"code"][,"more":true]}, in parts; in a stream OP is the
 *  event's name. */
static void send_parts (tide_hub_t *hub, tide_session_t *session, const char *op,
                        tide_bytes_t topic, uint64_t seq, tide_state_t *state, const char *code)
{
    bool more = true, is_stream = session->connection->kind == TIDE_CLIENT_SSE;
    tide_state_rewind (state);
    while (more) {
        tide_buffer_t text = {0};
        if (is_stream)
            tide_buffer_append_text (&text, "{\"topic\":");
        else
            tide_buffer_printf (&text, "{\"op\":\"%s\",\"topic\":", op);
        tide_json_string (&text, topic);
        tide_buffer_printf (&text, ",\"seq\":%llu,\"epoch\":", (unsigned long long) seq);
        tide_json_epoch (&text, tide_feed_epoch (hub->feed));
        tide_buffer_append_text (&text, ",\"state\":");
        more = tide_state_part (state, PART_SIZE, &text);
        if (code)
            tide_buffer_printf (&text, ",\"code\":\"%s\"", code);
        tide_buffer_append_text (&text, more ? ",\"more\":true}" : "}");
        tide_buffer_t block = {0};
        if (is_stream)
            tide_sse_block (&block, op, tide_buffer_bytes (&text));
        tide_hub_send_text (hub, session->connection,
                            tide_buffer_bytes (is_stream ? &block : &text));
        tide_buffer_free (&block);
        tide_buffer_free (&text);
    }
}

void tide_snapshot_send (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, uint64_t seq,
                         tide_state_t *state)
{
    send_parts (hub, session, "snapshot", topic, seq, state, NULL);
}

void tide_reset_send (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, uint64_t seq,
                      tide_state_t *state, tide_status_t reason)
{
    hub->counters.resets++;
    if (session->connection->kind != TIDE_CLIENT_SOCKETIO) {
        send_parts (hub, session, "reset", topic, seq, state, tide_status_name (reason));
        return;
    }
    tide_buffer_t text = {0}, packet = {0};
    tide_buffer_append_text (&text, "{\"topic\":");
    tide_json_string (&text, topic);
    tide_buffer_printf (&text, ",\"seq\":%llu,\"epoch\":", (unsigned long long) seq);
    tide_json_epoch (&text, tide_feed_epoch (hub->feed));
    tide_buffer_append_text (&text, ",\"state\":");
    tide_state_rewind (state);
    tide_state_part (state, SIZE_MAX, &text);
    tide_buffer_printf (&text, ",\"code\":\"%s\"}", tide_status_name (reason));
    tide_args_t args = {.json = tide_buffer_bytes (&text)};
    tide_socketio_event (&packet, tide_bytes (session->nsp), tide_bytes ("tide:reset"), &args, NULL,
                         0);
    tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&text);
    tide_buffer_free (&packet);
}
