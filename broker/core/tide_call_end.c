/*  tide_call_end.c - the events that end a call.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_call_end.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_dead.h"
#include "tide_json_text.h"
#include "tide_topic.h"

#include <stdio.h>

static tide_bytes_t message_of (const tide_call_end_t *self)
{
    return tide_utf8_cut (self->message, TIDE_CALL_MESSAGE_SIZE_MAX);
}

static void append_removal (const tide_call_end_t *self, tide_buffer_t *list)
{
    const tide_event_t *call = self->event;
    tide_event_append (list, &(tide_event_t){.topic = call->topic,
                                             .name = call->name,
                                             .key = call->key,
                                             .user = call->user,
                                             .from = call->from});
}

static void append_reply (const tide_call_end_t *self, const tide_called_t *called,
                          tide_buffer_t *list)
{
    char own[TIDE_TOPIC_SIZE_MAX + 1];
    snprintf (own, sizeof own, "@%.*s", TIDE_PRINT (self->event->from));
    tide_bytes_t topic = called->answer.size > 0 ? called->answer : tide_bytes (own);
    tide_args_t args = {.many = true, .json = tide_bytes ("[]")};
    if (self->payload.size > 0) {
        tide_status_t status = tide_args_decode (self->payload, &args);
        tide_assert (status == TIDE_OK); /* was checked */
    }
    tide_buffer_t about = {0}, payload = {0};
    tide_replied_append (&about, &(tide_replied_t){.call = self->number,
                                                   .wanted = called->wanted,
                                                   .code = (uint8_t) self->code,
                                                   .message = message_of (self)});
    args.about = (tide_bytes_t){about.data + 4, about.size - 4};
    tide_args_encode (&payload, &args);
    tide_event_append (list, &(tide_event_t){.flags = self->is_volatile ? TIDE_EVENT_VOLATILE : 0,
                                             .topic = topic,
                                             .name = tide_bytes (TIDE_REPLY_NAME),
                                             .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

static void append_dead (const tide_call_end_t *self, tide_bytes_t nsp, tide_buffer_t *list)
{
    tide_buffer_t more = {0};
    tide_buffer_printf (&more, ",\"call\":%llu,\"namespace\":", (unsigned long long) self->number);
    tide_json_string (&more, nsp);
    tide_dead_append (&(tide_dead_t){.name = self->service,
                                     .event = self->event,
                                     .code = self->code,
                                     .message = message_of (self),
                                     .attempts = self->attempts,
                                     .more = tide_buffer_bytes (&more),
                                     .spare = 8 * TIDE_CALL_ABOUT_SIZE_MAX},
                      list);
    tide_buffer_free (&more);
}

uint32_t tide_call_end_append (const tide_call_end_t *self, tide_buffer_t *list)
{
    tide_args_t args;
    tide_called_t called;
    bool is_sound = tide_args_decode (self->event->payload, &args) == TIDE_OK
                    && tide_called_decode (args.about, &called);
    tide_assert (is_sound); /* no other one becomes a call */
    bool is_wanted = called.wanted.size > 0 && self->event->from.size > 0;
    bool is_dead = self->is_dead && !(is_wanted && self->code == TIDE_NO_WORKER);
    uint32_t count = 0;
    if (!self->is_volatile) {
        append_removal (self, list);
        count++;
    }
    if (is_wanted) {
        append_reply (self, &called, list);
        count++;
    }
    if (!self->is_volatile && is_dead) {
        append_dead (self, called.nsp, list);
        count++;
    }
    if (!self->is_volatile) {
        tide_buffer_append_bytes (list, self->events.bytes);
        count += self->events.count;
    }
    return count;
}
