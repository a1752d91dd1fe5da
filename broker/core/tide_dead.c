/*  tide_dead.c - dead letters.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dead.h"

#include "tide_args.h"
#include "tide_json_text.h"

#include <stdio.h>

/*  Behind the object that says why come the call's own arguments. */
static void append_arguments (tide_buffer_t *json, const tide_args_t *args)
{
    tide_bytes_t inner = args->json;
    if (args->many) { /* without its brackets */
        inner.data++;
        inner.size -= 2;
    }
    bool is_blank = true;
    for (size_t at = 0; at < inner.size && is_blank; at++)
        is_blank = inner.data[at] == ' ' || (inner.data[at] >= '\t' && inner.data[at] <= '\r');
    if (is_blank)
        return;
    tide_put_u8 (json, ',');
    tide_buffer_append_bytes (json, inner);
}

void tide_dead_append (const tide_dead_t *self, tide_buffer_t *list)
{
    const tide_event_t *event = self->event;
    char topic[TIDE_TOPIC_SIZE_MAX + 1];
    int size = snprintf (topic, sizeof topic, TIDE_DEAD_TOPIC "%s", self->name);
    tide_args_t args;
    if (tide_args_decode (event->payload, &args) != TIDE_OK) /* it only removes a key */
        args = (tide_args_t){.many = true, .json = tide_bytes ("[]")};
    tide_buffer_t json = {0}, payload = {0};
    tide_buffer_printf (&json, "[{\"code\":\"%s\",\"message\":", tide_status_name (self->code));
    tide_json_string (&json, self->message);
    tide_buffer_printf (&json, ",\"attempts\":%u", self->attempts);
    tide_buffer_append_bytes (&json, self->more);
    tide_put_u8 (&json, '}');
    if (event->payload.size + self->spare <= TIDE_PAYLOAD_SIZE_MAX)
        append_arguments (&json, &args);
    else
        args.attachments = 0;
    tide_put_u8 (&json, ']');
    args.many = true;
    args.about = (tide_bytes_t){0};
    args.json = tide_buffer_bytes (&json);
    tide_args_encode (&payload, &args);
    tide_event_append (list, &(tide_event_t){.topic = {(const uint8_t *) topic, (size_t) size},
                                             .name = event->name,
                                             .user = event->user,
                                             .from = event->from,
                                             .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&json);
    tide_buffer_free (&payload);
}
