/*  tide_check.c - whether a publish is well-formed.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_check.h"

#include "tide_args.h"
#include "tide_except.h"
#include "tide_json_text.h"
#include "tide_topic.h"

#include <jansson.h>

#include <stdio.h>

static _Thread_local char text[160];

static bool optional_name_valid (tide_bytes_t name)
{
    return name.size == 0 || tide_name_valid (name);
}

static tide_status_t check_names (const tide_event_t *event, const char **why)
{
    *why = "a topic is 1-255 bytes of UTF-8 without control characters or #";
    if (!tide_topic_valid (event->topic))
        return TIDE_BAD_TOPIC;
    *why = "an event's name is 1-255 bytes of UTF-8 without control characters";
    if (!tide_name_valid (event->name))
        return TIDE_BAD_REQUEST;
    const struct {
        tide_bytes_t name;
        const char *why;
    } names[] = {
        {event->key, "the key is not UTF-8 without control characters"},
        {event->id, "the event's id is not UTF-8 without control characters"},
        {event->user, "the user is not UTF-8 without control characters"},
        {event->from, "the origin is not UTF-8 without control characters"},
        {event->lease, "the lease is not UTF-8 without control characters"},
    };
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++) {
        *why = names[at].why;
        if (!optional_name_valid (names[at].name))
            return TIDE_BAD_REQUEST;
    }
    *why = "each line of those that an event excepts is a topic";
    return tide_except_valid (event->except) ? TIDE_OK : TIDE_BAD_TOPIC;
}

/*  In text that is known to be JSON: each placeholder stands for an attachment that is there.
 *  Clients would take one that does not for a broken connection. */
static bool placeholders_fit (const json_t *value, unsigned attachments)
{
    const json_t *item;
    size_t at;
    const char *name;
    if (json_is_array (value))
        json_array_foreach (value, at, item)
            if (!placeholders_fit (item, attachments))
                return false;
    if (!json_is_object (value))
        return true;
    if (json_is_true (json_object_get (value, "_placeholder"))) {
        const json_t *number = json_object_get (value, "num");
        return json_is_integer (number) && json_integer_value (number) >= 0
               && json_integer_value (number) < (json_int_t) attachments;
    }
    json_object_foreach ((json_t *) (uintptr_t) value, name, item)
        if (!placeholders_fit (item, attachments))
            return false;
    return true;
}

tide_status_t tide_check_payload (tide_bytes_t payload, const char **why)
{
    tide_args_t args;
    *why = "the payload is not of the form that events have";
    if (tide_args_decode (payload, &args) != TIDE_OK)
        return TIDE_BAD_REQUEST;
    *why = "the payload's arguments are not JSON, or too deep";
    if (!tide_json_valid (args.json))
        return TIDE_BAD_JSON;
    *why = "several arguments are a JSON array, with nothing around it";
    if (args.many && (args.json.data[0] != '[' || args.json.data[args.json.size - 1] != ']'))
        return TIDE_BAD_REQUEST;
    if (args.attachments == 0)
        return TIDE_OK;
    *why = "a placeholder in the payload stands for no attachment of it";
    json_t *value = json_loadb ((const char *) args.json.data, args.json.size,
                                JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool is_fit = value && placeholders_fit (value, args.attachments);
    json_decref (value);
    return is_fit ? TIDE_OK : TIDE_BAD_REQUEST;
}

static tide_status_t check_event (const tide_event_t *event, uint32_t payload_max, const char **why)
{
    tide_status_t status = check_names (event, why);
    if (status != TIDE_OK)
        return status;
    if (event->payload.size > payload_max) {
        snprintf (text, sizeof text, "a payload of %zu bytes is above the limit of %u",
                  event->payload.size, payload_max);
        *why = text;
        return TIDE_TOO_LARGE;
    }
    if (event->payload.size > 0) {
        status = tide_check_payload (event->payload, why);
        if (status != TIDE_OK)
            return status;
    }
    *why = "an event without a payload removes a key, and must name it";
    if (event->payload.size == 0 && event->key.size == 0)
        return TIDE_BAD_REQUEST;
    *why = "a lease holds a key: the event names none";
    if (event->lease.size > 0 && event->key.size == 0)
        return TIDE_BAD_REQUEST;
    *why = "a volatile event stands nowhere, so it cannot be leased";
    if (event->lease.size > 0 && event->flags & TIDE_EVENT_VOLATILE)
        return TIDE_BAD_REQUEST;
    return TIDE_OK;
}

static tide_status_t check_counts (const tide_publish_message_t *publish, uint32_t payload_max,
                                   const char **why)
{
    *why = "a publish has at least one event";
    if (publish->events.count == 0)
        return TIDE_BAD_REQUEST;
    *why = text;
    if (publish->events.count > TIDE_PUBLISH_EVENTS_MAX) {
        snprintf (text, sizeof text, "%u events in one publish are above the limit of %u",
                  publish->events.count, TIDE_PUBLISH_EVENTS_MAX);
        return TIDE_TOO_MANY;
    }
    if (publish->expects.count > TIDE_EXPECTS_MAX) {
        snprintf (text, sizeof text, "%u conditions in one publish are above the limit of %u",
                  publish->expects.count, TIDE_EXPECTS_MAX);
        return TIDE_TOO_MANY;
    }
    /*  One event may be as large as it may; many together are one batch at most. */
    size_t limit = (size_t) payload_max + TIDE_EVENT_OVERHEAD_MAX;
    if (limit < TIDE_BATCH_SIZE_MAX)
        limit = TIDE_BATCH_SIZE_MAX;
    if (publish->events.bytes.size > limit) {
        snprintf (text, sizeof text, "%zu bytes in one publish are above the limit of %zu",
                  publish->events.bytes.size, limit);
        return TIDE_TOO_LARGE;
    }
    return TIDE_OK;
}

tide_status_t tide_check_publish (const tide_publish_message_t *publish, uint32_t payload_max,
                                  bool *is_volatile, const char **why)
{
    tide_status_t status = check_counts (publish, payload_max, why);
    uint32_t volatiles = 0, ids = 0;
    tide_list_t events = publish->events;
    tide_event_t event;
    while (status == TIDE_OK && tide_event_next (&events, &event)) {
        status = check_event (&event, payload_max, why);
        volatiles += event.flags & TIDE_EVENT_VOLATILE;
        ids += event.id.size > 0;
    }
    tide_list_t expects = publish->expects;
    tide_expect_t expect;
    while (status == TIDE_OK && tide_expect_next (&expects, &expect)) {
        *why = "a condition's topic is not valid";
        if (!tide_topic_valid (expect.topic))
            status = TIDE_BAD_TOPIC;
        *why = status == TIDE_OK ? "a condition's key is not valid" : *why;
        if (status == TIDE_OK && !tide_name_valid (expect.key))
            status = TIDE_BAD_REQUEST;
    }
    if (status != TIDE_OK)
        return status;
    *is_volatile = volatiles > 0;
    *why = "the events of one publish are all volatile, or none is";
    if (volatiles > 0 && volatiles != publish->events.count)
        return TIDE_BAD_REQUEST;
    /*  Of a part it could not be told whether it is a repetition. */
    *why = "the events of one publish all have ids, or none has";
    if (volatiles == 0 && ids > 0 && ids != publish->events.count)
        return TIDE_BAD_REQUEST;
    *why = "volatile events cannot have conditions";
    return volatiles > 0 && publish->expects.count > 0 ? TIDE_BAD_REQUEST : TIDE_OK;
}
