/*  tide_hooks.c - calls that the gateway makes on clients' behalf.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_hooks.h"

#include "tide_application.h"
#include "tide_client.h"
#include "tide_op.h"
#include "tide_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tide_namespace_listed (const char *const *patterns, tide_bytes_t nsp)
{
    for (; *patterns; patterns++) {
        size_t size = strlen (*patterns);
        bool open = size > 0 && (*patterns)[size - 1] == '*';
        if (open ? nsp.size >= size && memcmp (nsp.data, *patterns, size - 1) == 0
                 : tide_bytes_is (nsp, *patterns))
            return true;
    }
    return false;
}

/*  Calls with the arguments, which are taken. NULL: too many requests wait, or what the client sent
 *  is no argument; *why says so. */
static tide_op_t *call (tide_hub_t *hub, const tide_session_t *session, const char *event,
                        const char *id, json_t *args, const char *wanted,
                        tide_connection_t *connection, tide_op_fn *done, const char **why)
{
    tide_buffer_t payload = {0};
    *why = "too many requests wait for the broker";
    tide_status_t status = tide_json_payload (&payload, args, true, hub->config.payload_max, why);
    json_decref (args);
    tide_message_t message = {
        .kind = TIDE_MESSAGE_CALL,
        .call = {.nsp = tide_bytes (session->nsp),
                 .event = tide_bytes (event),
                 .id = tide_bytes (id),
                 .user = tide_bytes (session->user),
                 .from = tide_bytes (session->sid),
                 .wanted = tide_bytes (wanted),
                 .session = tide_bytes (session->recovers ? session->topic : ""),
                 .answer = tide_bytes (*wanted ? hub->lane_topic : ""),
                 .payload = tide_buffer_bytes (&payload)}};
    tide_op_t *op = status == TIDE_OK ? tide_op_send (hub, &message, done, connection) : NULL;
    tide_buffer_free (&payload);
    return op;
}

/*  -- coming in ------------------------------------------------------------------------------- */

static tide_session_t *find_asked (tide_hub_t *hub, uint64_t admission)
{
    tide_session_t *session;
    HASH_FIND (admission_hh, hub->admissions, &admission, sizeof admission, session);
    return session;
}

static void asked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    bool is_fail = answer && answer->kind == TIDE_MESSAGE_FAIL;
    tide_status_t code = is_fail ? (tide_status_t) answer->fail.code : TIDE_OK;
    bool is_called = answer && !is_fail;
    session->is_served = session->is_served || is_called || code == TIDE_NO_WORKER;
    if (is_called || session->admission == 0) /* the reply comes, or was here first */
        return;
    bool is_nobodys = code == TIDE_NOT_FOUND;
    session->let_in = 0;
    if (code == TIDE_NO_WORKER
        || (is_nobodys
            && tide_namespace_listed (hub->config.namespaces, tide_bytes (session->nsp))))
        tide_app_admit (hub, session->admission);
    else if (is_nobodys)
        tide_app_refuse (hub, session->admission, "Invalid namespace", NULL);
    else /* the broker is away, or takes no more: the client tries again */
        tide_client_refused (hub, session);
}

/*  What the client sent to come in, but for what is recovery's: the private id is nobody else's. */
static json_t *auth_of (const tide_session_t *session)
{
    json_t *auth = session->auth ? json_copy (session->auth) : json_object ();
    json_object_del (auth, "pid");
    json_object_del (auth, "offset");
    return auth;
}

void tide_hooks_ask (tide_hub_t *hub, tide_session_t *session)
{
    char wanted[24], id[64];
    const char *why;
    tide_link_make_id (hub->link, id);
    session->let_in = tide_feed_watermark (hub->feed); /* a volatile answer says no more of it */
    session->let_in_epoch = tide_feed_epoch (hub->feed);
    snprintf (wanted, sizeof wanted, "%" PRIu64, session->admission);
    json_t *args = json_pack ("[o, b]", auth_of (session), session->recovered);
    tide_op_t *op =
        call (hub, session, TIDE_HOOK_CONNECT, id, args, wanted, session->connection, asked, &why);
    if (op)
        op->session = session;
    else
        tide_app_refuse (hub, session->admission, why, NULL);
}

/*  What a worker that refuses answers: {message, data?}. */
static bool is_refusal (tide_bytes_t payload, char **message, char **data)
{
    tide_args_t args;
    const char *why;
    *message = *data = NULL;
    json_t *json =
        tide_args_decode (payload, &args) == TIDE_OK ? tide_json_parse (args.json, &why) : NULL;
    const json_t *answer = json_is_array (json) ? json_array_get (json, 0) : json;
    const char *said = json_string_value (json_object_get (answer, "message"));
    if (said)
        *message = tide_copy (said, strlen (said));
    if (said && json_object_get (answer, "data"))
        *data = json_dumps (json_object_get (answer, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref (json);
    return *message != NULL;
}

static void fail (tide_hub_t *hub, tide_session_t *session, const tide_replied_t *replied)
{
    tide_status_t code = (tide_status_t) replied->code;
    if (code == TIDE_NO_WORKER) { /* one will come: the client tries again until then */
        tide_client_refused (hub, session);
        return;
    }
    char data[64];
    char *message =
        replied->message.size > 0
            ? tide_copy (replied->message.data, replied->message.size)
            : tide_copy (tide_status_meaning (code), strlen (tide_status_meaning (code)));
    snprintf (data, sizeof data, "{\"code\":\"%s\"}", tide_status_name (code));
    tide_app_refuse (hub, session->admission, message, data);
    free (message);
}

static void reply (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event,
                   const tide_replied_t *replied)
{
    char *message, *data;
    session->is_served = true;
    if (event->seq > 0)
        session->let_in = event->seq;
    if (replied->code != TIDE_OK)
        fail (hub, session, replied);
    else if (is_refusal (event->payload, &message, &data)) {
        tide_app_refuse (hub, session->admission, message, data);
        free (message);
        free (data);
    }
    else
        tide_app_admit (hub, session->admission);
}

bool tide_hooks_replied (tide_hub_t *hub, const tide_event_t *event)
{
    tide_args_t args;
    tide_replied_t replied;
    if (!tide_bytes_is (event->name, TIDE_REPLY_NAME))
        return false;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied) || replied.wanted.size >= 24)
        return true;
    char number[24];
    snprintf (number, sizeof number, "%.*s", TIDE_PRINT (replied.wanted));
    tide_session_t *session = find_asked (hub, strtoull (number, NULL, 10));
    if (session)
        reply (hub, session, event, &replied);
    return true;
}

void tide_hooks_epoch (tide_hub_t *hub)
{
    tide_session_t *session, *next;
    HASH_ITER (admission_hh, hub->admissions, session, next)
        tide_client_refused (hub, session);
}

/*  -- going ----------------------------------------------------------------------------------- */

static void told (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) op;
    bool is_known =
        answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_NO_WORKER;
    hub->counters.call_failures += !is_known && (!answer || answer->kind != TIDE_MESSAGE_ACK);
}

/*  The broker tells the end of who cannot speak for itself, under the same id: it is told once. */
void tide_hooks_disconnected (tide_hub_t *hub, const tide_session_t *session, const char *reason)
{
    const char *why;
    char id[128];
    if (hub->is_over || !session->is_served || session->connection->kind != TIDE_CLIENT_SOCKETIO)
        return;
    snprintf (id, sizeof id, TIDE_HOOK_DISCONNECT "/%s/%" PRIu64, session->sid,
              session->record_seq);
    tide_op_t *op = call (hub, session, TIDE_HOOK_DISCONNECT, id, json_pack ("[s]", reason), "",
                          NULL, told, &why);
    if (op)
        op->survives = true;
    else
        hub->counters.call_failures++;
}
