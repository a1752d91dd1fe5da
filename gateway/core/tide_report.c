/*  tide_report.c - what a lane tells of itself.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_report.h"
#include "tide_op.h"

#include <stdio.h>

enum { EVERY_MS = 1000 };

/*  Those that have not been given all that there is for them. */
static uint64_t count_behind (const tide_hub_t *hub)
{
    uint64_t count = 0;
    const tide_session_t *session, *next;
    HASH_ITER (hh, hub->sessions, session, next)
        count += session->state == TIDE_SESSION_OPEN && !session->is_live;
    return count;
}

static void say (tide_hub_t *hub, tide_buffer_t *text)
{
    const tide_hub_counters_t *counters = &hub->counters;
    const struct {
        const char *name;
        uint64_t value;
    } values[] = {
        {"at", hub->now_ms},
        {"connections", counters->connections},
        {"sessions", counters->sessions},
        {"behind", count_behind (hub)},
        {"deliveries", counters->deliveries},
        {"bytes", counters->write_bytes},
        {"publishes", counters->publishes},
        {"calls", counters->calls},
    };
    tide_buffer_append_text (text, "{\"gateway\":");
    tide_json_string (text, tide_bytes (hub->config.gateway));
    for (size_t at = 0; at < sizeof values / sizeof values[0]; at++)
        tide_buffer_printf (text, ",\"%s\":%llu", values[at].name,
                            (unsigned long long) values[at].value);
    tide_buffer_append (text, "}", 1);
}

static void said (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) hub;
    (void) op;
    (void) answer; /* the next one says it all again */
}

static void publish (tide_hub_t *hub)
{
    tide_buffer_t text = {0}, payload = {0}, records = {0};
    char topic[TIDE_LANE_SIZE_MAX + sizeof "$stats/"];
    snprintf (topic, sizeof topic, "$stats/%.*s", TIDE_LANE_SIZE_MAX, hub->config.lane);
    say (hub, &text);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
    tide_event_append (&records, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                                 .topic = tide_bytes (topic),
                                                 .name = tide_bytes ("stats"),
                                                 .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&records, 1);
    tide_op_send (hub, &message, said, NULL);
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
    tide_buffer_free (&records);
}

void tide_report_tick (tide_hub_t *hub)
{
    if (!hub->config.gateway || hub->is_stopping || hub->now_ms < hub->report_ms
        || !tide_link_is_up (hub->link))
        return;
    hub->report_ms = hub->now_ms + EVERY_MS;
    publish (hub);
}
