/*  tide_session.c - what a handler does to the session that calls.
 *
 *  An order is an event in the session's own topic, which the gateway comes to by reading on.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

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
    if (message && strcmp (call->event, TIDEMARK_CONNECT) == 0)
        return tidemark_ack (call, data ? json_pack ("{ss, so}", "message", message, "data", data)
                                        : json_pack ("{ss}", "message", message));
    json_decref (data);
    return TIDEMARK_BAD_REQUEST;
}
