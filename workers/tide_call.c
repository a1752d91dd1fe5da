/*  tide_call.c - a call in a handler: what it is, and what becomes of it.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

static char *text_of (tide_bytes_t bytes)
{
    return tide_copy (bytes.data, bytes.size);
}

static tidemark_call_t *call_new (tidemark_t *client, tide_hand_t *hand)
{
    const tide_hand_view_t *view = tide_hand_view (hand);
    tidemark_call_t *call = tide_alloc (sizeof *call);
    call->client = client;
    call->hand = hand;
    call->nsp = text_of (view->called.nsp);
    call->event = text_of (view->event.name);
    call->id = text_of (view->event.key);
    call->from = text_of (view->event.from);
    call->user = text_of (view->event.user);
    call->session = text_of (view->called.session);
    call->args = tide_json_of_args (&view->args);
    return call;
}

/*  What was said of a call's end, until the broker has it. */
typedef struct {
    tidemark_t *client;
    tide_worker_said_t said;
} end_t;

static void on_done (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    end_t *end = argument;
    tidemark_t *self = end->client;
    tide_message_t next;
    if (answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code != TIDE_SHUTTING_DOWN) {
        pthread_mutex_lock (&self->lock);
        if (tide_worker_refused (self->side, &end->said, (tide_status_t) answer->fail.code,
                                 answer->fail.message, &next))
            tide_call_say_done (self, &next);
        pthread_mutex_unlock (&self->lock);
    }
    free (end);
}

void tide_call_say_done (tidemark_t *self, const tide_message_t *done)
{
    end_t *end = tide_alloc (sizeof *end);
    end->client = self;
    end->said = (tide_worker_said_t){done->done.call, done->done.attempt,
                                     (tide_outcome_t) done->done.outcome};
    tide_post_send (self->post, done, on_done, end);
}

static tide_status_t end_call (tidemark_call_t *call, const tide_worker_end_t *end)
{
    tidemark_t *self = call->client;
    tide_message_t done;
    pthread_mutex_lock (&self->lock);
    tide_status_t status =
        tide_worker_end (self->side, tide_post_clock_ms (), call->hand, end, &done);
    if (status == TIDE_OK)
        tide_call_say_done (self, &done);
    pthread_mutex_unlock (&self->lock);
    return status;
}

/*  args are taken. To who comes in by it they say nothing: what was set of its session goes in
 *  their place. */
static tide_status_t end_handled (tidemark_call_t *call, json_t *args)
{
    tide_buffer_t payload = {0};
    bool carries = call->data && !tide_session_is_refusal (args);
    tide_status_t status = tide_payload_of_json (args, &payload);
    tide_bytes_t said = tide_buffer_bytes (carries ? &call->carrier : &payload);
    if (status == TIDE_OK)
        status = end_call (call, &(tide_worker_end_t){.payload = said});
    tide_buffer_free (&payload);
    return status;
}

/*  One with an end, or that nobody can end any more, only says conflict here. */
static void end_silent (tidemark_call_t *call, bool is_handled)
{
    tide_status_t status =
        is_handled ? end_handled (call, NULL)
                   : end_call (call, &(tide_worker_end_t){.outcome = TIDE_OUTCOME_AGAIN});
    (void) status;
}

static void call_free (tidemark_call_t *call)
{
    pthread_mutex_lock (&call->client->lock);
    tide_worker_let (call->client->side, &call->hand);
    pthread_mutex_unlock (&call->client->lock);
    json_decref (call->args);
    free (call->nsp);
    free (call->event);
    free (call->id);
    free (call->from);
    free (call->user);
    free (call->session);
    json_decref (call->data);
    tide_buffer_free (&call->carrier);
    free (call);
}

void tidemark_keep (tidemark_call_t *call)
{
    pthread_mutex_lock (&call->client->lock);
    call->is_kept = true;
    pthread_mutex_unlock (&call->client->lock);
}

void tidemark_call_destroy (tidemark_call_t **call_p)
{
    tidemark_call_t *call = *call_p;
    if (!call)
        return;
    *call_p = NULL;
    end_silent (call, false);
    pthread_mutex_lock (&call->client->lock);
    call->is_destroyed = true;
    bool is_last = call->has_returned;
    pthread_mutex_unlock (&call->client->lock);
    if (is_last)
        call_free (call);
}

bool tide_call_is_over (tidemark_call_t *call)
{
    pthread_mutex_lock (&call->client->lock);
    bool is_over = tide_hand_is_over (call->hand, tide_post_clock_ms ());
    pthread_mutex_unlock (&call->client->lock);
    return is_over;
}

/*  The handler, behind the namespace's middlewares. They are named before anybody runs. */
static int run (tidemark_t *self, tidemark_call_t *call, const tide_handler_t *handler)
{
    for (size_t at = 0; at < self->middleware_count; at++) {
        const tide_middleware_t *middleware = &self->middlewares[at];
        bool is_meant =
            strcmp (middleware->nsp, "*") == 0 || strcmp (middleware->nsp, call->nsp) == 0;
        int rc = is_meant ? middleware->function (call, middleware->argument) : 0;
        if (rc != 0 || (is_meant && tide_call_is_over (call)))
            return rc;
    }
    return handler->function (call, handler->argument);
}

void tide_call_handle (tidemark_t *self, tide_hand_t *hand)
{
    tide_handler_t handler = self->handlers[tide_hand_view (hand)->handler];
    tidemark_call_t *call = call_new (self, hand);
    int rc = 0;
    if (call->args)
        rc = run (self, call, &handler);
    else
        tidemark_reject (call, "the arguments are not JSON");
    pthread_mutex_lock (&self->lock);
    bool is_kept = call->is_kept;
    bool is_last = !is_kept || call->is_destroyed;
    call->has_returned = true;
    pthread_mutex_unlock (&self->lock);
    if (!is_kept)
        end_silent (call, rc == 0);
    if (is_last)
        call_free (call);
}

/*  -- what a call is -------------------------------------------------------------------------- */

const char *tidemark_call_namespace (const tidemark_call_t *call)
{
    return call->nsp;
}

const char *tidemark_call_event (const tidemark_call_t *call)
{
    return call->event;
}

const char *tidemark_call_id (const tidemark_call_t *call)
{
    return call->id;
}

const char *tidemark_call_from (const tidemark_call_t *call)
{
    return call->from;
}

const char *tidemark_call_user (const tidemark_call_t *call)
{
    return call->user;
}

unsigned tidemark_call_attempt (const tidemark_call_t *call)
{
    return tide_hand_view (call->hand)->attempt;
}

int tidemark_call_is_wanted (const tidemark_call_t *call)
{
    return tide_hand_view (call->hand)->called.wanted.size > 0;
}

const json_t *tidemark_call_args (const tidemark_call_t *call)
{
    return call->args;
}

const void *tidemark_call_attachment (const tidemark_call_t *call, unsigned n, size_t *size)
{
    const tide_args_t *args = &tide_hand_view (call->hand)->args;
    *size = n < args->attachments ? args->attachment[n].size : 0;
    return n < args->attachments ? args->attachment[n].data : NULL;
}

/*  -- what becomes of it ---------------------------------------------------------------------- */

tidemark_status_t tidemark_ack (tidemark_call_t *call, json_t *args)
{
    return (tidemark_status_t) end_handled (call, args);
}

tide_bytes_t tide_message_of (const char *message)
{
    tide_bytes_t bytes = tide_text (message);
    if (bytes.size > 1024)
        bytes.size = 1024;
    while (bytes.size > 0 && !tide_utf8_valid (bytes))
        bytes.size--;
    return bytes;
}

tidemark_status_t tidemark_fail (tidemark_call_t *call, tidemark_status_t code, const char *message)
{
    if (code <= TIDEMARK_OK || (int) code >= (int) TIDE_STATUS_COUNT)
        return TIDEMARK_BAD_REQUEST;
    tide_worker_end_t end = {.code = (tide_status_t) code, .message = tide_message_of (message)};
    return (tidemark_status_t) end_call (call, &end);
}

tidemark_status_t tidemark_retry (tidemark_call_t *call, uint32_t delay_ms)
{
    tide_worker_end_t end = {.outcome = TIDE_OUTCOME_AGAIN, .delay_ms = delay_ms};
    return (tidemark_status_t) end_call (call, &end);
}

tidemark_status_t tidemark_reject (tidemark_call_t *call, const char *message)
{
    tide_worker_end_t end = {.outcome = TIDE_OUTCOME_NEVER, .message = tide_message_of (message)};
    return (tidemark_status_t) end_call (call, &end);
}

tidemark_status_t tidemark_extend (tidemark_call_t *call, uint32_t lease_ms)
{
    tidemark_t *self = call->client;
    tide_message_t extend;
    pthread_mutex_lock (&self->lock);
    tide_status_t status =
        tide_worker_extend (self->side, tide_post_clock_ms (), call->hand, lease_ms, &extend);
    if (status == TIDE_OK)
        tide_post_send (self->post, &extend, NULL, NULL);
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}

tidemark_status_t tidemark_emit (tidemark_call_t *call, const char *topic, const char *event,
                                 json_t *args, const tidemark_event_options_t *options)
{
    tidemark_t *self = call->client;
    tide_made_event_t made;
    tide_status_t status = tide_event_make (self, topic, event, args, options, &made);
    if (status == TIDE_OK && (made.event.flags & TIDE_EVENT_VOLATILE) != 0)
        status = TIDE_BAD_REQUEST;
    if (status == TIDE_OK) {
        pthread_mutex_lock (&self->lock);
        status = tide_worker_emit (self->side, tide_post_clock_ms (), call->hand, &made.event);
        pthread_mutex_unlock (&self->lock);
    }
    tide_buffer_free (&made.payload);
    return (tidemark_status_t) status;
}
