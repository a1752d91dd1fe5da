/*  tide_publish.c - what a worker program publishes.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_except.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  -- what is sent ---------------------------------------------------------------------------- */

/*  Makes an event of its parts; args are taken. The caller frees the payload. */
tide_status_t tide_event_make (tidemark_t *self, const char *topic, const char *name, json_t *args,
                               const tidemark_event_options_t *options, tide_made_event_t *made)
{
    static const tidemark_event_options_t standard;
    if (!options)
        options = &standard;
    memset (made, 0, sizeof *made);
    bool removes = (options->flags & TIDEMARK_REMOVE) != 0;
    bool is_volatile = (options->flags & TIDEMARK_VOLATILE) != 0;
    tide_status_t status = TIDE_OK;
    if (removes)
        json_decref (args);
    else
        status = tide_payload_of_json (args, &made->payload);
    if (!options->id && !is_volatile)
        tide_post_make_id (self->post, made->id);
    made->event = (tide_event_t){.flags = is_volatile ? TIDE_EVENT_VOLATILE : 0,
                                 .topic = tide_text (topic),
                                 .name = tide_text (name),
                                 .key = tide_text (options->key),
                                 .id = tide_text (options->id ? options->id : made->id),
                                 .except = tide_text (options->except),
                                 .payload = tide_buffer_bytes (&made->payload)};
    const tide_event_t *event = &made->event;
    if (status == TIDE_OK
        && ((removes && event->key.size == 0) || !tide_name_valid (event->name)
            || (event->key.size > 0 && !tide_name_valid (event->key))
            || (event->id.size > 0 && !tide_name_valid (event->id))
            || (is_volatile && options->id)))
        status = TIDE_BAD_REQUEST;
    if (status == TIDE_OK
        && (!tide_topic_valid (event->topic) || event->except.size > TIDE_EXCEPT_SIZE_MAX
            || !tide_except_valid (event->except)))
        status = TIDE_BAD_TOPIC;
    if (status == TIDE_OK && event->payload.size > TIDE_PAYLOAD_SIZE_MAX)
        status = TIDE_TOO_LARGE;
    return status;
}

/*  -- publishing ------------------------------------------------------------------------------ */

/*  The message that publishes the event; list is the caller's to free. */
static tide_message_t publish_of (const tide_made_event_t *made, tide_buffer_t *list)
{
    tide_event_append (list, &made->event);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (list, 1);
    return message;
}

static tidemark_result_t result_of (const tide_message_t *answer)
{
    if (answer->kind == TIDE_MESSAGE_ACK)
        return (tidemark_result_t){.seq = answer->ack.first, .epoch = answer->ack.epoch};
    return (tidemark_result_t){.status = (tidemark_status_t) answer->fail.code,
                               .epoch = answer->fail.epoch};
}

typedef struct {
    tidemark_done_fn *done;
    void *argument;
} told_t;

static void on_published (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    told_t *told = argument;
    tidemark_result_t result = result_of (answer);
    char *message = answer->kind == TIDE_MESSAGE_FAIL
                        ? tide_copy (answer->fail.message.data, answer->fail.message.size)
                        : tide_copy ("", 0);
    result.message = message;
    if (told->done)
        told->done (told->argument, &result);
    free (message);
    free (told);
}

tidemark_status_t tidemark_publish_async (tidemark_t *self, const char *topic, const char *event,
                                          json_t *args, const tidemark_event_options_t *options,
                                          tidemark_done_fn *done, void *argument)
{
    told_t *told = tide_alloc (sizeof *told);
    *told = (told_t){done, argument};
    tide_made_event_t made;
    tide_buffer_t list = {0};
    tide_status_t status = tide_event_make (self, topic, event, args, options, &made);
    if (status == TIDE_OK) {
        tide_message_t publish = publish_of (&made, &list);
        if (tide_post_send (self->post, &publish, on_published, told) == 0)
            status = TIDE_TOO_MANY;
    }
    if (status != TIDE_OK)
        free (told);
    tide_buffer_free (&list);
    tide_buffer_free (&made.payload);
    return (tidemark_status_t) status;
}

/*  A thread that waits for an answer; it stays until the answer has come, if only that nobody waits
 *  any more. */
typedef struct {
    tidemark_t *client;
    bool is_answered;
    tidemark_result_t result;
    char *message;
} waiter_t;

static void on_awaited (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    waiter_t *waiter = argument;
    tidemark_t *self = waiter->client;
    pthread_mutex_lock (&self->lock);
    waiter->result = result_of (answer);
    if (answer->kind == TIDE_MESSAGE_FAIL)
        waiter->message = tide_copy (answer->fail.message.data, answer->fail.message.size);
    waiter->is_answered = true;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

tide_status_t tide_publish_await (tidemark_t *self, const tide_message_t *publish, uint64_t end_ms,
                                  uint64_t *seq, char **message)
{
    waiter_t waiter = {.client = self};
    *message = NULL;
    uint64_t serial = tide_post_send (self->post, publish, on_awaited, &waiter);
    if (serial == 0)
        return TIDE_TOO_MANY;
    pthread_mutex_lock (&self->lock);
    if (!tide_await (self, &waiter.is_answered, end_ms)) {
        tide_post_cancel (self->post, serial);
        tide_await (self, &waiter.is_answered, UINT64_MAX);
    }
    pthread_mutex_unlock (&self->lock);
    *seq = waiter.result.seq;
    *message = waiter.message;
    return (tide_status_t) waiter.result.status;
}

tidemark_status_t tidemark_publish (tidemark_t *self, const char *topic, const char *event,
                                    json_t *args, const tidemark_event_options_t *options,
                                    uint32_t timeout_ms, uint64_t *seq)
{
    uint64_t end_ms = tide_post_clock_ms () + timeout_ms, appended = 0;
    tide_made_event_t made;
    tide_buffer_t list = {0};
    char *message = NULL;
    tide_status_t status = tide_event_make (self, topic, event, args, options, &made);
    if (status == TIDE_OK) {
        tide_message_t publish = publish_of (&made, &list);
        status = tide_publish_await (self, &publish, end_ms, &appended, &message);
        if (seq)
            *seq = appended;
    }
    tide_buffer_free (&list);
    tide_buffer_free (&made.payload);
    tidemark_status_t result = tide_failed (status, message);
    free (message);
    return result;
}
