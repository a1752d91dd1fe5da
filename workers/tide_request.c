/*  tide_request.c - a worker's own calls.
 *
 *  A client of the library calls as a session does: under a name of its own, in whose topic the
 *  replies are. They are read like everything else, so a reply is found whatever happened to the
 *  broker meanwhile.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*  How much later than a question's time its answer may come. */
enum { GRACE_MS = 1000 };

/*  A thread that waits for a reply, on whose stack this lies. */
struct tide_request {
    tide_request_t *prev, *next;
    tidemark_t *client;
    uint64_t number; /* what it calls the reply */
    bool is_called;  /* the broker has answered the call, or nobody asks any more */
    bool is_replied; /* … and here is what came of it */
    bool is_over;    /* both */
    tide_status_t status;
    char *message;
    json_t *args;
};

/*  Under the lock. What came first counts. */
static void reply (tide_request_t *self, tide_status_t status, tide_bytes_t message, json_t *args)
{
    if (self->is_replied) {
        json_decref (args);
        return;
    }
    self->is_replied = true;
    self->is_over = self->is_called;
    self->status = status;
    self->message = tide_copy (message.data, message.size);
    self->args = args;
    pthread_cond_broadcast (&self->client->changed);
}

static void on_called (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    tide_request_t *self = argument;
    tidemark_t *client = self->client;
    pthread_mutex_lock (&client->lock);
    self->is_called = true;
    if (answer->kind == TIDE_MESSAGE_FAIL)
        reply (self, (tide_status_t) answer->fail.code, answer->fail.message, NULL);
    self->is_over = self->is_replied;
    pthread_cond_broadcast (&client->changed);
    pthread_mutex_unlock (&client->lock);
}

/*  -- replies, in the post's thread and under the lock ---------------------------------------- */

static tide_request_t *find (const tidemark_t *self, tide_bytes_t wanted)
{
    char number[24];
    tide_request_t *request;
    DL_FOREACH (self->requests, request) {
        snprintf (number, sizeof number, "%" PRIu64, request->number);
        if (tide_bytes_is (wanted, number))
            return request;
    }
    return NULL;
}

static void take_reply (tidemark_t *self, const tide_event_t *event)
{
    tide_args_t args;
    tide_replied_t replied;
    if (!tide_bytes_is (event->name, TIDE_REPLY_NAME)
        || tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied))
        return;
    tide_request_t *request = find (self, replied.wanted);
    if (!request)
        return; /* nobody waits any more */
    tide_status_t status = (tide_status_t) replied.code;
    json_t *json = status == TIDE_OK ? tide_json_of_payload (event->payload) : NULL;
    if (status == TIDE_OK && !json)
        reply (request, TIDE_BAD_JSON, tide_bytes ("the worker's reply is not JSON"), NULL);
    else
        reply (request, status, replied.message, json);
}

void tide_request_settle (tidemark_t *self)
{
    tide_told_t *told;
    while (self->replies
           && (told = tide_subscription_take (self->reading, self->replies)) != NULL) {
        if (told->kind == TIDE_TOLD_JOINED) {
            self->hears_replies = true;
            pthread_cond_broadcast (&self->changed);
        }
        else if (told->kind == TIDE_TOLD_EVENT)
            take_reply (self, &told->event);
        else if (told->kind == TIDE_TOLD_RESET) {
            tide_request_t *request;
            DL_FOREACH (self->requests, request) {
                reply (request, told->code, tide_bytes ("the log has lost the place of the reply"),
                       NULL);
            }
        }
        tide_subscriptions_let (self->reading, &told);
    }
}

/*  -- the call -------------------------------------------------------------------------------- */

/*  Under the lock: the topic of the replies is read, or about to be. False if there is no room. */
static bool hear_replies (tidemark_t *self)
{
    static const tide_begin_t live = {.kind = TIDE_BEGIN_LIVE};
    if (self->replies)
        return true;
    char id[64], topic[80];
    tide_post_make_id (self->post, id);
    snprintf (topic, sizeof topic, "@worker-%s", id);
    self->replies = tide_subscriptions_add (self->reading, tide_bytes (topic), &live, true, self);
    if (!self->replies)
        return false;
    self->caller = tide_copy (topic + 1, strlen (topic) - 1);
    tide_post_wake (self->post);
    return true;
}

/*  What is sent: a call, or a question to a client. */
typedef struct {
    const char *nsp, *event; /* of a call */
    const char *sid;         /* of a question; NULL: it is a call */
    json_t *args;            /* … its arguments */
    tide_bytes_t payload;    /* of a call */
} said_t;

static uint64_t send_call (tide_request_t *self, const said_t *said, const char *wanted)
{
    char id[64];
    tide_post_make_id (self->client->post, id);
    tide_message_t message = {.kind = TIDE_MESSAGE_CALL,
                              .call = {.nsp = tide_text (said->nsp),
                                       .event = tide_text (said->event),
                                       .id = tide_bytes (id),
                                       .from = tide_bytes (self->client->caller),
                                       .wanted = tide_bytes (wanted),
                                       .payload = said->payload}};
    return tide_post_send (self->client->post, &message, on_called, self);
}

/*  An order to the client's session (gateway/core/tide_orders.h). */
static uint64_t send_question (tide_request_t *self, const said_t *said, const char *wanted)
{
    char own[TIDEMARK_TOPIC_SIZE], topic[TIDEMARK_TOPIC_SIZE];
    tide_buffer_t about = {0}, payload = {0}, list = {0};
    snprintf (own, sizeof own, "@%s", self->client->caller);
    snprintf (topic, sizeof topic, "@%s", said->sid);
    tide_called_append (&about, &(tide_called_t){.nsp = tide_bytes ("/"),
                                                 .wanted = tide_bytes (wanted),
                                                 .answer = tide_bytes (own)});
    tide_status_t status = tide_payload_with (
        json_incref (said->args), (tide_bytes_t){about.data + 4, about.size - 4}, &payload);
    uint64_t serial = 0;
    tide_event_append (&list, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                              .topic = tide_bytes (topic),
                                              .name = tide_bytes (TIDE_ORDER_ASK),
                                              .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&list, 1);
    if (status == TIDE_OK)
        serial = tide_post_send (self->client->post, &message, on_called, self);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
    tide_buffer_free (&list);
    return serial;
}

/*  Under the lock, which is let go of meanwhile. */
static void call (tidemark_t *self, tide_request_t *request, const said_t *said, uint64_t end_ms)
{
    char wanted[24];
    static const char late[] = "no reply in time";
    if (!hear_replies (self)) {
        reply (request, TIDE_TOO_MANY, tide_bytes ("there is no room for another subscription"),
               NULL);
        return;
    }
    if (!tide_await (self, &self->hears_replies, end_ms)) {
        reply (request, TIDE_TIMEOUT, tide_bytes ("the broker is away"), NULL);
        return;
    }
    request->number = ++self->last_request;
    DL_APPEND (self->requests, request);
    snprintf (wanted, sizeof wanted, "%" PRIu64, request->number);
    uint64_t serial =
        said->sid ? send_question (request, said, wanted) : send_call (request, said, wanted);
    if (serial == 0) {
        reply (request, TIDE_TOO_MANY, tide_bytes ("too many events wait for the broker"), NULL);
        DL_DELETE (self->requests, request);
        return;
    }
    if (!tide_await (self, &request->is_over, end_ms)) {
        reply (request, TIDE_TIMEOUT, tide_bytes (late), NULL);
        if (!request->is_called)
            tide_post_cancel (self->post, serial);
        tide_await (self, &request->is_called, UINT64_MAX);
    }
    DL_DELETE (self->requests, request);
}

static tidemark_status_t request (tidemark_t *self, const said_t *said, uint32_t timeout_ms,
                                  json_t **reply_p)
{
    uint64_t end_ms = tide_post_clock_ms () + timeout_ms;
    tide_request_t request = {.client = self};
    pthread_mutex_lock (&self->lock);
    call (self, &request, said, end_ms);
    pthread_mutex_unlock (&self->lock);
    if (reply_p)
        *reply_p = request.args;
    else
        json_decref (request.args);
    tidemark_status_t result = tide_failed (request.status, request.message);
    free (request.message);
    return result;
}

tidemark_status_t tidemark_request (tidemark_t *self, const char *nsp, const char *event,
                                    json_t *args, uint32_t timeout_ms, json_t **reply_p)
{
    tide_buffer_t payload = {0};
    tide_bytes_t name = tide_text (nsp);
    if (reply_p)
        *reply_p = NULL;
    tide_status_t status = tide_payload_of_json (args, &payload);
    if (!tide_name_valid (name) || name.data[0] != '/' || !tide_name_valid (tide_text (event)))
        status = TIDE_BAD_REQUEST;
    else if (status == TIDE_OK && payload.size > TIDE_PAYLOAD_SIZE_MAX)
        status = TIDE_TOO_LARGE;
    said_t said = {.nsp = nsp, .event = event, .payload = tide_buffer_bytes (&payload)};
    tidemark_status_t result =
        status == TIDE_OK ? request (self, &said, timeout_ms, reply_p) : tide_failed (status, NULL);
    tide_buffer_free (&payload);
    return result;
}

/*  The arguments of the order: the time, the event's name, and its own. args are taken. */
static json_t *question_of (uint32_t timeout_ms, const char *event, json_t *args)
{
    json_t *all = json_pack ("[I, s]", (json_int_t) timeout_ms, event);
    if (json_is_array (args)) {
        json_array_extend (all, args);
        json_decref (args);
    }
    else if (args)
        json_array_append_new (all, args);
    return all;
}

tidemark_status_t tidemark_ask (tidemark_t *self, const char *sid, const char *event, json_t *args,
                                uint32_t timeout_ms, json_t **answer)
{
    char topic[TIDEMARK_TOPIC_SIZE];
    tide_buffer_t payload = {0};
    if (answer)
        *answer = NULL;
    bool is_good = tide_name_valid (tide_text (event)) && timeout_ms > 0
                   && tidemark_topic_of_session (topic, sid) == TIDEMARK_OK;
    if (!is_good) {
        json_decref (args);
        return tide_failed (TIDE_BAD_REQUEST, NULL);
    }
    said_t said = {.sid = sid, .args = question_of (timeout_ms, event, args)};
    tide_status_t status =
        said.args ? tide_payload_of_json (json_incref (said.args), &payload) : TIDE_BAD_REQUEST;
    if (status == TIDE_OK && payload.size > TIDE_PAYLOAD_SIZE_MAX / 2)
        status = TIDE_TOO_LARGE;
    tide_buffer_free (&payload);
    /*  The gateway says when the time is up; this waits a little longer for that. */
    tidemark_status_t result = status == TIDE_OK
                                   ? request (self, &said, timeout_ms + GRACE_MS, answer)
                                   : tide_failed (status, NULL);
    json_decref (said.args);
    return result;
}
