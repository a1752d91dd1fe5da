/*  tide_session.c - what a handler does to the session that calls.
 *
 *  An order is an event in the session's own topic, which the gateway comes to by reading on.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_args.h"
#include "tide_json_text.h"

#include <stdlib.h>
#include <string.h>

/*  args are taken. */
static tidemark_status_t order (tidemark_call_t *call, const char *name, json_t *args)
{
    char topic[TIDEMARK_TOPIC_SIZE];
    if (*call->from && tidemark_topic_of_session (topic, call->from) == TIDEMARK_OK)
        return tidemark_emit (call, topic, name, args, NULL);
    json_decref (args);
    return TIDEMARK_NOT_FOUND;
}

/*  What a gateway would not take: a worker is to know at once. */
static tidemark_status_t check_present (const char *topic, const json_t *present)
{
    if (!json_is_boolean (present) && !json_is_object (present))
        return TIDEMARK_BAD_REQUEST;
    if (json_is_false (present))
        return TIDEMARK_OK;
    size_t size = json_dumpb (present, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (size == 0 || size > TIDE_PRESENT_SIZE_MAX)
        return TIDEMARK_TOO_LARGE;
    return strlen ("$presence/") + strlen (topic) <= TIDE_TOPIC_SIZE_MAX ? TIDEMARK_OK
                                                                         : TIDEMARK_BAD_TOPIC;
}

tidemark_status_t tidemark_join (tidemark_call_t *call, const char *room, json_t *present)
{
    char topic[TIDEMARK_TOPIC_SIZE];
    tidemark_status_t status = tidemark_topic_of_room (topic, call->nsp, room);
    if (status == TIDEMARK_OK && present)
        status = check_present (topic, present);
    if (status == TIDEMARK_OK)
        return order (call, TIDE_ORDER_JOIN,
                      present ? json_pack ("[so]", topic, present) : json_string (topic));
    json_decref (present);
    return status;
}

tidemark_status_t tidemark_leave (tidemark_call_t *call, const char *room)
{
    char topic[TIDEMARK_TOPIC_SIZE];
    tidemark_status_t status = tidemark_topic_of_room (topic, call->nsp, room);
    return status == TIDEMARK_OK ? order (call, TIDE_ORDER_LEAVE, json_string (topic)) : status;
}

tidemark_status_t tidemark_disconnect (tidemark_call_t *call, int closes)
{
    return order (call, TIDE_ORDER_DISCONNECT, json_boolean (closes));
}

tidemark_status_t tidemark_refuse (tidemark_call_t *call, const char *message, json_t *data)
{
    if (!message || strcmp (call->event, TIDEMARK_CONNECT) != 0) {
        json_decref (data);
        return TIDEMARK_BAD_REQUEST;
    }
    /*  No answer at all lets the client in: the message must make one, whatever is in it. */
    tide_bytes_t said = tide_message_of (message);
    json_t *answer =
        json_pack ("{ss%}", "message", said.size > 0 ? (const char *) said.data : "", said.size);
    if (data)
        json_object_set_new (answer, "data", data);
    return tidemark_ack (call, answer);
}

bool tide_session_is_refusal (const json_t *args)
{
    const json_t *answer = json_is_array (args) ? json_array_get (args, 0) : args;
    return json_is_string (json_object_get (answer, "message"));
}

/*  -- what workers keep of it ----------------------------------------------------------------- */

enum { PATIENCE_MS = 5000, ATTEMPTS = 5 };

/*  A session that is new has no record before it is in. What is set of it while it is asked for is
 *  kept here; the answer that lets it in carries it, and the gateway writes it with the record. */
static bool is_coming_in (tidemark_call_t *call)
{
    return *call->session && strcmp (call->event, TIDEMARK_CONNECT) == 0
           && json_is_false (json_array_get (call->args, 1)) && !tide_call_is_over (call);
}

/*  The answer; only what the broker takes is kept. */
static tide_status_t make_carrier (const tidemark_call_t *call, json_t *data,
                                   tide_buffer_t *carrier)
{
    tide_args_t args;
    tide_status_t status =
        tide_payload_of_json (json_pack ("{sO}", TIDE_SESSION_DATA_KEY, data), carrier);
    if (status != TIDE_OK)
        return status;
    status = tide_args_decode (tide_buffer_bytes (carrier), &args);
    if (status == TIDE_OK && !tide_json_valid (args.json))
        status = TIDE_BAD_JSON;
    pthread_mutex_lock (&call->client->lock);
    if (status == TIDE_OK && carrier->size > call->client->payload_max)
        status = TIDE_TOO_LARGE;
    pthread_mutex_unlock (&call->client->lock);
    return status;
}

/*  data is taken, and may be NULL. */
static tidemark_status_t keep_data (tidemark_call_t *call, json_t *data)
{
    tide_buffer_t carrier = {0};
    tide_status_t status = data ? make_carrier (call, data, &carrier) : TIDE_OK;
    if (status == TIDE_OK) {
        json_decref (call->data);
        tide_buffer_free (&call->carrier);
        call->data = json_deep_copy (data); /* others may hold what was given */
        call->carrier = carrier;
    }
    else
        tide_buffer_free (&carrier);
    json_decref (data);
    return tide_failed (status, NULL);
}

/*  Reads the session's topic: *record is where its record stands. *state is given back, if OK. */
static tidemark_status_t read_session (const tidemark_call_t *call, uint64_t end_ms, json_t **state,
                                       uint64_t *record)
{
    static const char gone[] = "the session has no record, or is over";
    uint64_t now_ms = tide_post_clock_ms ();
    if (!*call->session)
        return tide_failed (TIDE_NOT_FOUND, gone);
    tidemark_status_t status =
        tidemark_snapshot (call->client, call->session,
                           end_ms > now_ms ? (uint32_t) (end_ms - now_ms) : 0, state, NULL);
    if (status != TIDEMARK_OK)
        return status;
    const json_t *event = json_object_get (*state, TIDE_SESSION_KEY);
    *record = (uint64_t) json_integer_value (json_object_get (event, "seq"));
    if (event)
        return TIDEMARK_OK;
    json_decref (*state);
    *state = NULL;
    return tide_failed (TIDE_NOT_FOUND, gone);
}

tidemark_status_t tidemark_session_get (tidemark_call_t *call, json_t **data)
{
    json_t *state;
    uint64_t record;
    *data = NULL;
    if (is_coming_in (call)) {
        *data = json_deep_copy (call->data);
        return tide_failed (TIDE_OK, NULL);
    }
    tidemark_status_t status =
        read_session (call, tide_post_clock_ms () + PATIENCE_MS, &state, &record);
    if (status != TIDEMARK_OK)
        return status;
    const json_t *event = json_object_get (state, TIDE_SESSION_DATA_KEY);
    *data = json_incref (json_object_get (json_object_get (event, "data"), "data"));
    json_decref (state);
    return TIDEMARK_OK;
}

/*  On condition that the record still stands where it was read: what is over gets no data that
 *  nobody would ever remove. */
static tide_status_t publish_data (const tidemark_call_t *call, const tide_made_event_t *made,
                                   uint64_t record, uint64_t end_ms, char **message)
{
    tide_buffer_t expects = {0}, list = {0};
    uint64_t seq;
    tide_expect_append (&expects, &(tide_expect_t){tide_bytes (call->session),
                                                   tide_bytes (TIDE_SESSION_KEY), record});
    tide_event_append (&list, &made->event);
    tide_message_t message_out = {.kind = TIDE_MESSAGE_PUBLISH};
    message_out.publish.expects = tide_list (&expects, 1);
    message_out.publish.events = tide_list (&list, 1);
    tide_status_t status = tide_publish_await (call->client, &message_out, end_ms, &seq, message);
    tide_buffer_free (&expects);
    tide_buffer_free (&list);
    return status;
}

/*  A take-over writes the record anew: then it is read again. */
static tidemark_status_t set_data (tidemark_call_t *call, const tide_made_event_t *made)
{
    uint64_t end_ms = tide_post_clock_ms () + PATIENCE_MS, record;
    tidemark_status_t status = TIDEMARK_CONFLICT;
    for (int attempt = 0; status == TIDEMARK_CONFLICT && attempt < ATTEMPTS; attempt++) {
        json_t *state;
        char *message = NULL;
        status = read_session (call, end_ms, &state, &record);
        if (status != TIDEMARK_OK)
            break;
        json_decref (state);
        status = tide_failed (publish_data (call, made, record, end_ms, &message), message);
        free (message);
    }
    return status;
}

tidemark_status_t tidemark_session_set (tidemark_call_t *call, json_t *data)
{
    size_t size = data ? json_dumpb (data, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) : 1;
    if (size == 0 || size > TIDE_SESSION_DATA_SIZE_MAX) {
        json_decref (data);
        return tide_failed (size == 0 ? TIDE_BAD_REQUEST : TIDE_TOO_LARGE, NULL);
    }
    if (is_coming_in (call))
        return keep_data (call, data);
    if (!*call->session) {
        json_decref (data);
        return tide_failed (TIDE_NOT_FOUND, "the session has no record");
    }
    tidemark_event_options_t options = {.key = TIDE_SESSION_DATA_KEY,
                                        .flags = data ? 0 : TIDEMARK_REMOVE};
    json_t *args = data ? json_pack ("{so}", "data", data) : NULL;
    tide_made_event_t made;
    tidemark_status_t status = tide_failed (
        tide_event_make (call->client, call->session, "data", args, &options, &made), NULL);
    if (status == TIDEMARK_OK)
        status = set_data (call, &made);
    tide_buffer_free (&made.payload);
    return status;
}
