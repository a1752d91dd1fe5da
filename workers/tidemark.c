/*  tidemark.c - libtidemark's interface: the shell that threads of a worker program call.
 *
 *  One lock guards the core and what stands beside it. Nothing that waits is done under it, and the
 *  post is handed messages only when their spans need it no more.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark.h"

#include "tide_except.h"
#include "tide_post.h"
#include "tide_room.h"
#include "tide_topic.h"
#include "tide_worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINGER_MS 1000u

#define X(name, number, code, meaning)                                                             \
    _Static_assert((int) TIDEMARK_##name == (int) TIDE_##name, "one number for one status");
TIDE_STATUSES (X)
#undef X
_Static_assert((int) TIDEMARK_VOLATILE == (int) TIDE_HANDLER_VOLATILE
                   && (int) TIDEMARK_UNORDERED == (int) TIDE_HANDLER_UNORDERED
                   && (int) TIDEMARK_VOLATILE == (int) TIDE_EVENT_VOLATILE,
               "flags are the protocol's");
_Static_assert(TIDEMARK_TOPIC_SIZE == TIDE_TOPIC_SIZE_MAX + 1, "a topic and its NUL");

typedef struct {
    tidemark_handler_fn *function;
    void *argument;
} handler_t;

struct tidemark {
    tide_post_t *post;
    uint32_t linger_ms;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    tide_worker_side_t *side;
    handler_t handlers[TIDE_SERVE_HANDLERS_MAX];
    unsigned runners;
    bool is_stopping;
    uint64_t serving;     /* the serial number of the last SERVE */
    tide_status_t served; /* what came of it, if it was refused */
    char *message;
    uint32_t payload_max;
};

struct tidemark_call {
    tidemark_t *client;
    tide_hand_t *hand;
    json_t *args;
    char *nsp, *event, *id, *from, *user;
    bool is_kept, has_returned, is_destroyed;
};

const char *tidemark_status_name (tidemark_status_t status)
{
    return tide_status_name ((tide_status_t) status);
}

const char *tidemark_status_meaning (tidemark_status_t status)
{
    return tide_status_meaning ((tide_status_t) status);
}

static tide_bytes_t bytes_of (const char *text)
{
    return text ? tide_bytes (text) : (tide_bytes_t){0};
}

/*  -- what the post tells --------------------------------------------------------------------- */

static void on_served (void *argument, uint64_t serial, const tide_message_t *answer)
{
    tidemark_t *self = argument;
    if (answer->kind != TIDE_MESSAGE_FAIL)
        return;
    pthread_mutex_lock (&self->lock);
    if (serial == self->serving && self->runners > 0 && !self->is_stopping) {
        self->served = (tide_status_t) answer->fail.code;
        free (self->message);
        self->message = tide_copy (answer->fail.message.data, answer->fail.message.size);
        pthread_cond_broadcast (&self->changed);
    }
    pthread_mutex_unlock (&self->lock);
}

/*  Under the lock, which the post's own never waits for. */
static void say_serve (tidemark_t *self)
{
    tide_message_t serve;
    tide_worker_offer (self->side, self->runners > 0 && !self->is_stopping, &serve);
    self->serving = tide_post_send (self->post, &serve, on_served, self);
}

static void on_up (void *argument, const tide_welcome_message_t *welcome)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    self->payload_max = welcome->payload_max;
    tide_worker_up (self->side, welcome->epoch, welcome->payload_max);
    if (self->runners > 0)
        say_serve (self);
    pthread_mutex_unlock (&self->lock);
}

static void on_lent (void *argument, uint64_t now_ms, const tide_lend_message_t *lend)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    if (tide_worker_lent (self->side, now_ms, lend))
        pthread_cond_broadcast (&self->changed); /* those who wait for an answer wait here, too */
    pthread_mutex_unlock (&self->lock);
}

static uint64_t on_tick (void *argument, uint64_t now_ms)
{
    tidemark_t *self = argument;
    tide_message_t extend;
    pthread_mutex_lock (&self->lock);
    while (tide_worker_next_extend (self->side, now_ms, &extend))
        tide_post_send (self->post, &extend, NULL, NULL);
    uint64_t due_ms = tide_worker_deadline_ms (self->side);
    pthread_mutex_unlock (&self->lock);
    return due_ms;
}

/*  -- the connection -------------------------------------------------------------------------- */

tidemark_t *tidemark_connect (const tidemark_options_t *options)
{
    static const tidemark_options_t standard;
    if (!options)
        options = &standard;
    const char *name = options->name ? options->name : "worker";
    if (strlen (name) > TIDE_NAME_SIZE_MAX)
        return NULL;
    tidemark_t *self = tide_alloc (sizeof *self);
    self->linger_ms = options->linger_ms > 0 ? options->linger_ms : LINGER_MS;
    self->side = tide_worker_side_new ();
    self->message = tide_copy ("", 0);
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init (&monotonic);
    pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init (&self->changed, &monotonic);
    pthread_condattr_destroy (&monotonic);
    tide_post_config_t config = {self, on_up, on_lent, on_tick};
    pthread_mutex_lock (&self->lock); /* the post's thread sees it whole */
    self->post = tide_post_new (options->endpoint ? options->endpoint : "tcp://127.0.0.1:7400",
                                name, &config);
    pthread_mutex_unlock (&self->lock);
    if (!self->post)
        tidemark_close (&self);
    return self;
}

void tidemark_close (tidemark_t **self_p)
{
    tidemark_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    tide_post_t *post = self->post; /* what it still tells may send */
    tide_post_destroy (&post, self->linger_ms);
    tide_worker_side_destroy (&self->side);
    pthread_cond_destroy (&self->changed);
    pthread_mutex_destroy (&self->lock);
    free (self->message);
    free (self);
}

/*  -- what is sent ---------------------------------------------------------------------------- */

/*  Attachments cannot be sent yet: what stands for one would be read as damage. */
static bool has_placeholder (json_t *value)
{
    size_t at;
    const char *key;
    json_t *each;
    json_array_foreach (value, at, each)
        if (has_placeholder (each))
            return true;
    json_object_foreach (value, key, each)
        if (strcmp (key, "_placeholder") == 0 || has_placeholder (each))
            return true;
    return false;
}

/*  Appends the payload of the arguments, which are taken. */
static tide_status_t payload_of (json_t *args, tide_buffer_t *payload)
{
    char *text = NULL;
    bool is_one = !json_is_array (args) || json_array_size (args) == 1;
    const json_t *said = json_is_array (args) && is_one ? json_array_get (args, 0) : args;
    if (!args || !has_placeholder (args))
        text = args ? json_dumps (said, JSON_COMPACT | JSON_ENCODE_ANY) : strdup ("[]");
    bool is_many = !args || !is_one;
    json_decref (args);
    if (!text)
        return TIDE_BAD_REQUEST;
    tide_args_t encoded = {.many = is_many, .json = tide_bytes (text)};
    tide_args_encode (payload, &encoded);
    free (text);
    return TIDE_OK;
}

typedef struct {
    tide_event_t event;
    tide_buffer_t payload;
    char id[64];
} made_event_t;

/*  Makes an event of its parts; args are taken. The caller frees the payload. */
static tide_status_t make_event (tidemark_t *self, const char *topic, const char *name,
                                 json_t *args, const tidemark_event_options_t *options,
                                 made_event_t *made)
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
        status = payload_of (args, &made->payload);
    if (!options->id && !is_volatile)
        tide_post_make_id (self->post, made->id);
    made->event = (tide_event_t){.flags = is_volatile ? TIDE_EVENT_VOLATILE : 0,
                                 .topic = bytes_of (topic),
                                 .name = bytes_of (name),
                                 .key = bytes_of (options->key),
                                 .id = bytes_of (options->id ? options->id : made->id),
                                 .except = bytes_of (options->except),
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

static tide_status_t publish (tidemark_t *self, const char *topic, const char *name, json_t *args,
                              const tidemark_event_options_t *options, tide_answered_fn *answered,
                              void *argument, uint64_t *serial)
{
    made_event_t made;
    tide_status_t status = make_event (self, topic, name, args, options, &made);
    if (status == TIDE_OK) {
        tide_buffer_t list = {0};
        tide_event_append (&list, &made.event);
        tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
        message.publish.events = tide_list (&list, 1);
        *serial = tide_post_send (self->post, &message, answered, argument);
        if (*serial == 0)
            status = TIDE_TOO_MANY;
        tide_buffer_free (&list);
    }
    tide_buffer_free (&made.payload);
    return status;
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
    uint64_t serial;
    tide_status_t status = publish (self, topic, event, args, options, on_published, told, &serial);
    if (status != TIDE_OK)
        free (told);
    return (tidemark_status_t) status;
}

/*  A thread that waits for an answer; it stays until the answer has come, if only that nobody waits
 *  any more. */
typedef struct {
    tidemark_t *client;
    bool is_answered;
    tidemark_result_t result;
} waiter_t;

static void on_awaited (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    waiter_t *waiter = argument;
    tidemark_t *self = waiter->client;
    pthread_mutex_lock (&self->lock);
    waiter->result = result_of (answer);
    waiter->is_answered = true;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

static struct timespec time_of (uint64_t time_ms)
{
    return (struct timespec){.tv_sec = (time_t) (time_ms / 1000),
                             .tv_nsec = (long) (time_ms % 1000) * 1000000};
}

tidemark_status_t tidemark_publish (tidemark_t *self, const char *topic, const char *event,
                                    json_t *args, const tidemark_event_options_t *options,
                                    uint32_t timeout_ms, uint64_t *seq)
{
    waiter_t waiter = {.client = self};
    uint64_t serial;
    struct timespec end = time_of (tide_post_clock_ms () + timeout_ms);
    tide_status_t status =
        publish (self, topic, event, args, options, on_awaited, &waiter, &serial);
    if (status != TIDE_OK)
        return (tidemark_status_t) status;
    pthread_mutex_lock (&self->lock);
    int rc = 0;
    while (!waiter.is_answered && rc == 0)
        rc = pthread_cond_timedwait (&self->changed, &self->lock, &end);
    if (!waiter.is_answered) {
        tide_post_cancel (self->post, serial);
        while (!waiter.is_answered)
            pthread_cond_wait (&self->changed, &self->lock);
    }
    pthread_mutex_unlock (&self->lock);
    if (seq)
        *seq = waiter.result.seq;
    return waiter.result.status;
}

/*  -- serving --------------------------------------------------------------------------------- */

tidemark_status_t tidemark_handle (tidemark_t *self, const char *nsp, const char *event,
                                   tidemark_handler_fn *handler, void *argument, unsigned flags)
{
    if (!handler || flags > UINT8_MAX)
        return TIDEMARK_BAD_REQUEST;
    pthread_mutex_lock (&self->lock);
    size_t index;
    tide_status_t status =
        tide_worker_handle (self->side, bytes_of (nsp), bytes_of (event), (uint8_t) flags, &index);
    if (status == TIDE_OK)
        self->handlers[index] = (handler_t){handler, argument};
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}

tidemark_status_t tidemark_service (tidemark_t *self, const char *name,
                                    const tidemark_service_options_t *options)
{
    tide_serve_message_t service = {.service = bytes_of (name), .credit = 1};
    if (options) {
        service.credit = options->credit > 0 ? options->credit : 1;
        service.lease_ms = options->lease_ms;
        service.attempts = options->attempts;
        service.delay_ms = options->delay_ms;
    }
    pthread_mutex_lock (&self->lock);
    tide_status_t status = tide_worker_serve (self->side, &service);
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}

void tidemark_stop (tidemark_t *self)
{
    pthread_mutex_lock (&self->lock);
    self->is_stopping = true;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

const char *tidemark_message (tidemark_t *self)
{
    return self->message;
}

/*  -- calls ----------------------------------------------------------------------------------- */

static char *text_of (tide_bytes_t bytes)
{
    return tide_copy (bytes.data, bytes.size);
}

static json_t *args_of (const tide_args_t *args)
{
    json_t *value = json_loadb ((const char *) args->json.data, args->json.size,
                                JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value || args->many)
        return value;
    return json_pack ("[o]", value);
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
    call->args = args_of (&view->args);
    return call;
}

/*  What was said of a call's end, until the broker has it. */
typedef struct {
    tidemark_t *client;
    tide_worker_said_t said;
} end_t;

static void say_done (tidemark_t *self, const tide_message_t *done);

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
            say_done (self, &next);
        pthread_mutex_unlock (&self->lock);
    }
    free (end);
}

static void say_done (tidemark_t *self, const tide_message_t *done)
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
        say_done (self, &done);
    pthread_mutex_unlock (&self->lock);
    return status;
}

/*  One with an end, or that nobody can end any more, only says conflict here. */
static void end_silent (tidemark_call_t *call, bool is_handled)
{
    tide_buffer_t payload = {0};
    tide_worker_end_t end = {.outcome = TIDE_OUTCOME_AGAIN};
    if (is_handled && payload_of (NULL, &payload) == TIDE_OK)
        end = (tide_worker_end_t){.payload = tide_buffer_bytes (&payload)};
    tide_status_t status = end_call (call, &end);
    (void) status;
    tide_buffer_free (&payload);
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

static void handle_call (tidemark_t *self, tide_hand_t *hand)
{
    handler_t handler = self->handlers[tide_hand_view (hand)->handler];
    tidemark_call_t *call = call_new (self, hand);
    int rc = 0;
    if (call->args)
        rc = handler.function (call, handler.argument);
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

/*  Under the lock: the next call to handle, when there is one; NULL to return. */
static tide_hand_t *next_call (tidemark_t *self)
{
    while (!self->is_stopping && self->served == TIDE_OK) {
        tide_message_t extend;
        tide_hand_t *hand = tide_worker_take (self->side, tide_post_clock_ms (), &extend);
        if (hand && extend.kind == TIDE_MESSAGE_EXTEND)
            tide_post_send (self->post, &extend, NULL, NULL);
        if (hand)
            return hand;
        pthread_cond_wait (&self->changed, &self->lock);
    }
    return NULL;
}

/*  Under the lock: the last thread that ran returns. */
static void leave (tidemark_t *self)
{
    tide_message_t done;
    say_serve (self);
    while (tide_worker_give_back (self->side, &done))
        say_done (self, &done);
    self->is_stopping = false;
    self->served = TIDE_OK;
}

tidemark_status_t tidemark_run (tidemark_t *self)
{
    pthread_mutex_lock (&self->lock);
    bool can_serve = tide_worker_can_serve (self->side);
    if (can_serve && self->runners++ == 0)
        say_serve (self);
    tide_hand_t *hand;
    while (can_serve && (hand = next_call (self)) != NULL) {
        pthread_mutex_unlock (&self->lock);
        handle_call (self, hand);
        pthread_mutex_lock (&self->lock);
    }
    tide_status_t status = can_serve ? self->served : TIDE_BAD_REQUEST;
    if (can_serve && --self->runners == 0)
        leave (self);
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
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
    tide_buffer_t payload = {0};
    tide_status_t status = payload_of (args, &payload);
    if (status == TIDE_OK)
        status = end_call (call, &(tide_worker_end_t){.payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
    return (tidemark_status_t) status;
}

/*  A text for people, no longer than the wire takes. */
static tide_bytes_t message_of (const char *message)
{
    tide_bytes_t bytes = bytes_of (message);
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
    tide_worker_end_t end = {.code = (tide_status_t) code, .message = message_of (message)};
    return (tidemark_status_t) end_call (call, &end);
}

tidemark_status_t tidemark_retry (tidemark_call_t *call, uint32_t delay_ms)
{
    tide_worker_end_t end = {.outcome = TIDE_OUTCOME_AGAIN, .delay_ms = delay_ms};
    return (tidemark_status_t) end_call (call, &end);
}

tidemark_status_t tidemark_reject (tidemark_call_t *call, const char *message)
{
    tide_worker_end_t end = {.outcome = TIDE_OUTCOME_NEVER, .message = message_of (message)};
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
    made_event_t made;
    tide_status_t status = make_event (self, topic, event, args, options, &made);
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

/*  -- topics ---------------------------------------------------------------------------------- */

static tidemark_status_t give_topic (char topic[TIDEMARK_TOPIC_SIZE], tide_buffer_t *made)
{
    bool is_valid = tide_topic_valid (tide_buffer_bytes (made));
    topic[0] = '\0';
    if (is_valid) {
        memcpy (topic, made->data, made->size);
        topic[made->size] = '\0';
    }
    tide_buffer_free (made);
    return is_valid ? TIDEMARK_OK : TIDEMARK_BAD_TOPIC;
}

tidemark_status_t tidemark_topic_of_room (char topic[TIDEMARK_TOPIC_SIZE], const char *nsp,
                                          const char *room)
{
    tide_buffer_t made = {0};
    tide_room_topic (&made, bytes_of (nsp), bytes_of (room));
    return give_topic (topic, &made);
}

tidemark_status_t tidemark_topic_of_all (char topic[TIDEMARK_TOPIC_SIZE], const char *nsp)
{
    tide_buffer_t made = {0};
    tide_namespace_topic (&made, bytes_of (nsp));
    return give_topic (topic, &made);
}

tidemark_status_t tidemark_topic_of_session (char topic[TIDEMARK_TOPIC_SIZE], const char *sid)
{
    tide_buffer_t made = {0};
    tide_session_topic (&made, bytes_of (sid));
    return give_topic (topic, &made);
}
