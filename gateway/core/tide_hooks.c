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

/*  How long after a call that nobody took it is made again. */
enum { UNTOLD_MS = 1000 };

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
 *  is no argument; *why says so. The message is in `kept` as well, unless that is NULL. */
static tide_op_t *call (tide_hub_t *hub, const tide_session_t *session, const char *event,
                        const char *id, json_t *args, const char *wanted,
                        tide_connection_t *connection, tide_op_fn *done, tide_buffer_t *kept,
                        const char **why)
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
    if (kept && status == TIDE_OK)
        tide_message_encode (kept, &message);
    tide_op_t *op = status == TIDE_OK ? tide_op_send (hub, &message, done, connection) : NULL;
    tide_buffer_free (&payload);
    return op;
}

/*  -- ends that are to be told ---------------------------------------------------------------- */

static void free_first (tide_hub_t *hub)
{
    tide_untold_t *untold = hub->untold;
    DL_DELETE (hub->untold, untold);
    hub->untold_count--;
    tide_buffer_free (&untold->message);
    free (untold);
}

/*  It is told later. Takes the message. */
static void keep_untold (tide_hub_t *hub, tide_buffer_t *message)
{
    if (hub->untold_count == TIDE_RELEASED_MAX) {
        hub->counters.call_failures++;
        free_first (hub);
    }
    tide_untold_t *untold = tide_alloc (sizeof *untold);
    untold->message = *message;
    *message = (tide_buffer_t){0};
    DL_APPEND (hub->untold, untold);
    hub->untold_count++;
    if (hub->untold_ms == 0)
        hub->untold_ms = hub->now_ms + UNTOLD_MS;
}

/*  A broker that stops takes nothing any more: the next one does. */
static void told (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_status_t code =
        answer && answer->kind == TIDE_MESSAGE_FAIL ? (tide_status_t) answer->fail.code : TIDE_OK;
    if (code == TIDE_SHUTTING_DOWN)
        keep_untold (hub, &op->text);
    else if (code != TIDE_NO_WORKER)
        hub->counters.call_failures += !answer || answer->kind != TIDE_MESSAGE_ACK;
}

static bool tell_first (tide_hub_t *hub)
{
    tide_untold_t *untold = hub->untold;
    tide_message_t message;
    const char *why;
    tide_status_t status =
        tide_message_decode (tide_buffer_bytes (&untold->message), &message, &why);
    tide_assert (status == TIDE_OK); /* it is as we have written it */
    tide_op_t *op = tide_op_send (hub, &message, told, NULL);
    if (!op)
        return false;
    op->survives = true;
    op->text = untold->message;
    untold->message = (tide_buffer_t){0};
    free_first (hub);
    return true;
}

static void tell_untold (tide_hub_t *hub)
{
    while (hub->untold && tell_first (hub))
        continue;
    hub->untold_ms = hub->untold ? hub->now_ms + UNTOLD_MS : 0;
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
    tell_untold (hub); /* that it had gone is told before that it is back */
    tide_link_make_id (hub->link, id);
    session->let_in = tide_feed_watermark (hub->feed); /* a volatile answer says no more of it */
    session->let_in_epoch = tide_feed_epoch (hub->feed);
    snprintf (wanted, sizeof wanted, "%" PRIu64, session->admission);
    json_t *args = json_pack ("[o, b]", auth_of (session), session->recovered);
    tide_op_t *op = call (hub, session, TIDE_HOOK_CONNECT, id, args, wanted, session->connection,
                          asked, NULL, &why);
    if (op)
        op->session = session;
    else
        tide_app_refuse (hub, session->admission, why, NULL);
}

static void fail (tide_hub_t *hub, tide_session_t *session, tide_status_t code, tide_bytes_t said)
{
    if (code == TIDE_NO_WORKER) { /* one will come: the client tries again until then */
        tide_client_refused (hub, session);
        return;
    }
    char data[64];
    char *message =
        said.size > 0 ? tide_copy (said.data, said.size)
                      : tide_copy (tide_status_meaning (code), strlen (tide_status_meaning (code)));
    snprintf (data, sizeof data, "{\"code\":\"%s\"}", tide_status_name (code));
    tide_app_refuse (hub, session->admission, message, data);
    free (message);
}

static void refuse (tide_hub_t *hub, tide_session_t *session, const json_t *answer)
{
    const json_t *more = json_object_get (answer, "data");
    char *data = more ? json_dumps (more, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    tide_app_refuse (hub, session->admission,
                     json_string_value (json_object_get (answer, "message")), data);
    free (data);
}

/*  The record of a session that is new gets what the worker has set of it, in one append: nobody
 *  sees the session without it. False if that is too large. */
static bool keep_data (tide_hub_t *hub, tide_session_t *session, const json_t *answer,
                       const tide_args_t *args)
{
    const json_t *set = json_object_get (answer, TIDE_SESSION_DATA_KEY);
    if (!set || session->recovered || !session->recovers)
        return true;
    tide_buffer_t text = {0};
    tide_buffer_append_text (&text, "{\"data\":");
    tide_json_value (&text, set);
    tide_put_u8 (&text, '}');
    tide_args_t kept = {.json = tide_buffer_bytes (&text), .attachments = args->attachments};
    memcpy (kept.attachment, args->attachment, sizeof kept.attachment);
    tide_args_encode (&session->data, &kept);
    tide_buffer_free (&text);
    return session->data.size <= TIDE_SESSION_DATA_SIZE_MAX + TIDE_SESSION_DATA_OVERHEAD_MAX
           && session->data.size <= hub->config.payload_max;
}

/*  {message, data?} keeps it out, whatever else lets it in. */
static void answered (tide_hub_t *hub, tide_session_t *session, const json_t *answer,
                      const tide_args_t *args)
{
    if (json_is_string (json_object_get (answer, "message")))
        refuse (hub, session, answer);
    else if (keep_data (hub, session, answer, args))
        tide_app_admit (hub, session->admission);
    else
        fail (hub, session, TIDE_TOO_LARGE,
              tide_bytes ("what is kept of a session is 64 KiB of JSON at most"));
}

static void reply (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event,
                   const tide_args_t *args, const tide_replied_t *replied)
{
    session->is_served = true;
    if (event->seq > 0)
        session->let_in = event->seq;
    if (replied->code != TIDE_OK) {
        fail (hub, session, (tide_status_t) replied->code, replied->message);
        return;
    }
    const char *why;
    json_t *json = tide_json_parse (args->json, &why);
    if (json)
        answered (hub, session, json_is_array (json) ? json_array_get (json, 0) : json, args);
    else /* it may have kept it out, or have set what is not known now */
        fail (hub, session, TIDE_BAD_JSON, tide_bytes ("the worker's answer cannot be read"));
    json_decref (json);
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
        reply (hub, session, event, &args, &replied);
    return true;
}

void tide_hooks_epoch (tide_hub_t *hub)
{
    tide_session_t *session, *next;
    HASH_ITER (admission_hh, hub->admissions, session, next)
        tide_client_refused (hub, session);
}

/*  -- going ----------------------------------------------------------------------------------- */

/*  Before it hears that their records are released: it tells the end of none of them. */
void tide_hooks_broker_came (tide_hub_t *hub)
{
    tell_untold (hub);
}

void tide_hooks_tick (tide_hub_t *hub)
{
    if (hub->untold_ms > 0 && hub->untold_ms <= hub->now_ms && tide_link_is_up (hub->link))
        tell_untold (hub);
}

void tide_hooks_forget (tide_hub_t *hub)
{
    while (hub->untold)
        free_first (hub);
}

/*  The broker tells the end of who cannot speak for itself, under the same id: it is told once. */
void tide_hooks_disconnected (tide_hub_t *hub, const tide_session_t *session, const char *reason)
{
    const char *why;
    char id[128];
    tide_buffer_t message = {0};
    if (hub->is_over || !session->is_served || session->connection->kind != TIDE_CLIENT_SOCKETIO)
        return;
    snprintf (id, sizeof id, TIDE_HOOK_DISCONNECT "/%s/%" PRIu64, session->sid,
              session->record_seq);
    tide_op_t *op = call (hub, session, TIDE_HOOK_DISCONNECT, id, json_pack ("[s]", reason), "",
                          NULL, told, &message, &why);
    if (op) {
        op->survives = true;
        op->text = message;
    }
    else if (message.size > 0)
        keep_untold (hub, &message);
    else
        hub->counters.call_failures++;
}
