/*  tide_loop_worker.c - a worker on the loop.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_loop_worker.h"

#include "tide_alloc.h"

#include <stdio.h>
#include <string.h>

void tide_loop_serve (tide_loop_t *self, const char *service, const char *nsp, const char *event,
                      uint8_t flags)
{
    tide_buffer_t offers = {0};
    uint32_t count = 0;
    for (const char *at = event; *at; count++) {
        size_t size = strcspn (at, " ");
        tide_offer_append (
            &offers,
            &(tide_offer_t){.nsp = tide_bytes (nsp), .event = {(const uint8_t *) at, size}, flags});
        at += size + (at[size] == ' ');
    }
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO, .hello = {tide_bytes ("worker")}};
    tide_message_t serve = {.kind = TIDE_MESSAGE_SERVE,
                            .serve = {.request = 1,
                                      .service = tide_bytes (service),
                                      .credit = 100,
                                      .offers = tide_list (&offers, count)}};
    self->has_worker = true;
    tide_loop_ask_broker (self, &hello);
    tide_loop_ask_broker (self, &serve);
    tide_buffer_free (&offers);
}

bool tide_loop_lent (tide_loop_t *self, tide_lend_message_t *lend, tide_event_t *event)
{
    tide_reader_t reader = tide_reader (
        (tide_bytes_t){self->lent.data + self->lent_at, self->lent.size - self->lent_at});
    if (reader.remaining == 0)
        return false;
    tide_bytes_t bytes = tide_take_bytes (&reader, tide_take_u32 (&reader));
    self->lent_at = self->lent.size - reader.remaining;
    tide_message_t message;
    const char *why;
    tide_status_t status = tide_message_decode (bytes, &message, &why);
    tide_assert (status == TIDE_OK && message.kind == TIDE_MESSAGE_LEND);
    *lend = message.lend;
    tide_list_t list = lend->events;
    return tide_event_next (&list, event);
}

static void handled (tide_loop_t *self, const tide_lend_message_t *lend, tide_status_t code,
                     const tide_args_t *args, tide_list_t events)
{
    tide_buffer_t payload = {0};
    if (args)
        tide_args_encode (&payload, args);
    tide_message_t done = {.kind = TIDE_MESSAGE_DONE,
                           .done = {.request = 2,
                                    .call = lend->call,
                                    .attempt = lend->attempt,
                                    .code = (uint8_t) code,
                                    .payload = tide_buffer_bytes (&payload),
                                    .events = events}};
    tide_loop_ask_broker (self, &done);
    tide_buffer_free (&payload);
}

void tide_loop_handled (tide_loop_t *self, const tide_lend_message_t *lend, tide_status_t code,
                        const tide_args_t *args)
{
    handled (self, lend, code, args, (tide_list_t){0});
}

void tide_loop_handled_with (tide_loop_t *self, const tide_lend_message_t *lend,
                             const tide_args_t *args, const tide_event_t *events, uint32_t count)
{
    tide_buffer_t list = {0};
    for (uint32_t at = 0; at < count; at++)
        tide_event_append (&list, &events[at]);
    handled (self, lend, TIDE_OK, args, tide_list (&list, count));
    tide_buffer_free (&list);
}

void tide_loop_handled_and (tide_loop_t *self, const tide_lend_message_t *lend,
                            const tide_args_t *args, const char *topic, int number)
{
    char json[16];
    snprintf (json, sizeof json, "%d", number);
    tide_buffer_t payload = {0}, events = {0};
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (json)});
    tide_event_append (&events, &(tide_event_t){.topic = tide_bytes (topic),
                                                .name = tide_bytes ("n"),
                                                .payload = tide_buffer_bytes (&payload)});
    handled (self, lend, TIDE_OK, args, tide_list (&events, 1));
    tide_buffer_free (&payload);
    tide_buffer_free (&events);
}
