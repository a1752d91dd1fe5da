/*  conformance_socket.c - the application behind Socket.IO that conformance runs talk to.
 *
 *      message ARGS…                               → message-back ARGS…
 *      message-with-ack ARGS…, ack                 → ack ARGS…
 *      join ROOM, ack · leave ROOM, ack            → ack "ok"
 *      to {room?, event, args?, except?, volatile?}, ack     → the event; ack "ok"
 *      ask {room?, event, args?, timeout?}, ack    → ack {answers: [{sid, args}], missing: [sid]}
 *      kick [CLOSE]                                → the namespace, or the connection, is left
 *
 *  SPDX-License-Identifier: MIT
 */
#include "conformance_socket.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_socketio.h"

#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_MS 1000

static tide_bytes_t bytes_of (const json_t *string)
{
    if (!json_is_string (string))
        return (tide_bytes_t){0};
    return (tide_bytes_t){(const uint8_t *) json_string_value (string),
                          json_string_length (string)};
}

/*  -- coming in ------------------------------------------------------------------------------- */

static void on_connect (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                        const json_t *auth, uint64_t admission)
{
    (void) argument;
    (void) client;
    if (json_is_true (json_object_get (auth, "refuse")))
        tide_app_refuse (hub, admission, "refused", "{\"why\":\"asked for\"}");
    else
        tide_app_admit (hub, admission);
}

/*  Emits to this client alone. */
static void emit_back (tide_hub_t *hub, const tide_app_client_t *client, const char *name,
                       const tide_args_t *args)
{
    tide_buffer_t topic = {0};
    tide_buffer_printf (&topic, "@%s", client->sid);
    tide_app_emit (hub,
                   &(tide_app_emit_t){.topic = tide_buffer_bytes (&topic),
                                      .name = tide_bytes (name),
                                      .args = *args},
                   NULL, NULL);
    tide_buffer_free (&topic);
}

static void on_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const json_t *auth)
{
    (void) argument;
    tide_buffer_t text = {0};
    if (auth)
        tide_json_value (&text, auth);
    else
        tide_buffer_append_text (&text, "{}");
    if (!client->recovered)
        emit_back (hub, client, "auth", &(tide_args_t){.json = tide_buffer_bytes (&text)});
    tide_buffer_free (&text);
}

/*  -- what is asked for ----------------------------------------------------------------------- */

/*  A call that ends in "ok", or in what went wrong. */
typedef struct {
    uint64_t call;
} pending_t;

static pending_t *pending (uint64_t call)
{
    pending_t *self = tide_alloc (sizeof *self);
    self->call = call;
    return self;
}

static void on_done (void *argument, tide_hub_t *hub, tide_status_t status)
{
    pending_t *self = argument;
    tide_args_t args = {.json = tide_bytes ("\"ok\"")};
    if (status == TIDE_OK)
        tide_app_acknowledge (hub, self->call, &args);
    else
        tide_app_fail (hub, self->call, status, NULL);
    free (self);
}

static void append_topic (tide_hub_t *hub, const tide_app_client_t *client, const json_t *room,
                          tide_buffer_t *topic)
{
    tide_app_topic (hub, topic, tide_bytes (client->nsp), bytes_of (room));
}

static void do_room (tide_hub_t *hub, const tide_app_client_t *client, const json_t *room,
                     bool joins, uint64_t call)
{
    tide_buffer_t topic = {0};
    append_topic (hub, client, room, &topic);
    (joins ? tide_app_join : tide_app_leave) (hub, client->sid, tide_buffer_bytes (&topic), on_done,
                                              pending (call));
    tide_buffer_free (&topic);
}

/*  What {room, event, args, except, volatile} stands for; the buffers hold it. */
typedef struct {
    tide_app_emit_t emit;
    tide_buffer_t topic, payload, except;
} wish_t;

static bool wish_read (tide_hub_t *hub, const tide_app_client_t *client, const json_t *object,
                       const tide_args_t *from, wish_t *wish)
{
    const char *why;
    json_t *args = json_object_get (object, "args"), *none = json_array ();
    append_topic (hub, client, json_object_get (object, "room"), &wish->topic);
    bool good = tide_json_payload_attached (&wish->payload, json_is_array (args) ? args : none,
                                            true, from->attachment, from->attachments,
                                            TIDE_PAYLOAD_SIZE_MAX, &why)
                == TIDE_OK;
    json_decref (none);
    const json_t *except = json_object_get (object, "except");
    for (size_t at = 0; at < json_array_size (except); at++) {
        if (at > 0)
            tide_put_u8 (&wish->except, '\n');
        append_topic (hub, client, json_array_get (except, at), &wish->except);
    }
    wish->emit =
        (tide_app_emit_t){.topic = tide_buffer_bytes (&wish->topic),
                          .name = bytes_of (json_object_get (object, "event")),
                          .except = tide_buffer_bytes (&wish->except),
                          .is_volatile = json_is_true (json_object_get (object, "volatile"))};
    return good
           && tide_args_decode (tide_buffer_bytes (&wish->payload), &wish->emit.args) == TIDE_OK;
}

static void wish_free (wish_t *wish)
{
    tide_buffer_free (&wish->topic);
    tide_buffer_free (&wish->payload);
    tide_buffer_free (&wish->except);
}

static void do_to (tide_hub_t *hub, const tide_app_client_t *client, const json_t *object,
                   const tide_args_t *from, uint64_t call)
{
    wish_t wish = {0};
    if (wish_read (hub, client, object, from, &wish))
        tide_app_emit (hub, &wish.emit, on_done, pending (call));
    else
        tide_app_fail (hub, call, TIDE_BAD_REQUEST, NULL);
    wish_free (&wish);
}

/*  Several answers become one: their attachments come one behind the other. */
static void renumber (json_t *value, unsigned by)
{
    size_t at;
    const char *name;
    json_t *inner;
    if (json_is_true (json_object_get (value, "_placeholder"))) {
        json_int_t number = json_integer_value (json_object_get (value, "num"));
        json_object_set_new (value, "num", json_integer (number + (json_int_t) by));
    }
    else if (json_is_object (value))
        json_object_foreach (value, name, inner)
            renumber (inner, by);
    else
        json_array_foreach (value, at, inner)
            renumber (inner, by);
}

static json_t *take_answer (const tide_app_answer_t *answer, tide_args_t *all)
{
    const char *why;
    json_t *args = tide_json_parse (answer->args.json, &why);
    if (!answer->args.many) {
        json_t *only = args;
        args = json_array ();
        json_array_append_new (args, only);
    }
    if (all->attachments + answer->args.attachments <= TIDE_ATTACHMENTS_MAX) {
        renumber (args, all->attachments);
        for (unsigned at = 0; at < answer->args.attachments; at++)
            all->attachment[all->attachments++] = answer->args.attachment[at];
    }
    return json_pack ("{s:s,s:o}", "sid", answer->sid, "args", args);
}

static void on_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answers,
                        size_t count)
{
    pending_t *self = argument;
    tide_args_t all = {0};
    json_t *answered = json_array (), *missing = json_array ();
    for (size_t at = 0; at < count; at++) {
        if (answers[at].answered)
            json_array_append_new (answered, take_answer (&answers[at], &all));
        else
            json_array_append_new (missing, json_string (answers[at].sid));
    }
    json_t *report = json_pack ("{s:o,s:o}", "answers", answered, "missing", missing);
    tide_buffer_t text = {0};
    tide_json_value (&text, report);
    all.json = tide_buffer_bytes (&text);
    tide_app_acknowledge (hub, self->call, &all);
    json_decref (report);
    tide_buffer_free (&text);
    free (self);
}

static void do_ask (tide_hub_t *hub, const tide_app_client_t *client, const json_t *object,
                    const tide_args_t *from, uint64_t call)
{
    wish_t wish = {0};
    const json_t *timeout = json_object_get (object, "timeout");
    uint32_t timeout_ms =
        json_is_integer (timeout) ? (uint32_t) json_integer_value (timeout) : ASK_TIMEOUT_MS;
    bool good = wish_read (hub, client, object, from, &wish);
    if (!json_object_get (object, "room")) {
        wish.topic.size = 0;
        tide_buffer_printf (&wish.topic, "@%s", client->sid);
        wish.emit.topic = tide_buffer_bytes (&wish.topic);
    }
    if (good)
        tide_app_ask (hub, &wish.emit, timeout_ms, on_answers, pending (call));
    else
        tide_app_fail (hub, call, TIDE_BAD_REQUEST, NULL);
    wish_free (&wish);
}

static void on_request (tide_hub_t *hub, const tide_app_client_t *client, tide_bytes_t name,
                        const json_t *first, const tide_args_t *args, uint64_t call)
{
    if (tide_bytes_is (name, "join") || tide_bytes_is (name, "leave"))
        do_room (hub, client, first, tide_bytes_is (name, "join"), call);
    else if (tide_bytes_is (name, "to"))
        do_to (hub, client, first, args, call);
    else if (tide_bytes_is (name, "ask"))
        do_ask (hub, client, first, args, call);
    else if (tide_bytes_is (name, "kick"))
        tide_app_disconnect (hub, client->sid, json_is_true (first));
    else
        tide_app_fail (hub, call, TIDE_NO_WORKER, NULL);
}

static void on_event (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                      tide_bytes_t name, const tide_args_t *args, uint64_t call)
{
    (void) argument;
    if (tide_bytes_is (name, "message")) {
        emit_back (hub, client, "message-back", args);
        return;
    }
    if (tide_bytes_is (name, "message-with-ack")) {
        tide_app_acknowledge (hub, call, args);
        return;
    }
    const char *why;
    json_t *json = tide_json_parse (args->json, &why);
    on_request (hub, client, name, args->many ? json_array_get (json, 0) : json, args, call);
    json_decref (json);
}

const tide_application_t conformance_socket = {
    .connect = on_connect,
    .connected = on_connected,
    .event = on_event,
};
