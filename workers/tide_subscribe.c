/*  tide_subscribe.c - what a worker program reads, and its functions that are told.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

_Static_assert((int) TIDEMARK_EVENT == (int) TIDE_TOLD_EVENT
                   && (int) TIDEMARK_STANDING == (int) TIDE_TOLD_STANDING
                   && (int) TIDEMARK_RESET == (int) TIDE_TOLD_RESET
                   && (int) TIDEMARK_JOINED == (int) TIDE_TOLD_JOINED
                   && (int) TIDEMARK_ENDED == (int) TIDE_TOLD_ENDED,
               "one number for one kind");

/*  -- in the post's thread -------------------------------------------------------------------- */

void tide_subscribe_heard (void *argument, tide_bytes_t frame)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    tide_subscriptions_receive (self->reading, frame);
    pthread_mutex_unlock (&self->lock);
}

/*  A request of the subscriptions, until it is answered. */
typedef struct {
    tidemark_t *client;
    uint64_t tag;
} asked_t;

static void on_answered (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    asked_t *asked = argument;
    tidemark_t *self = asked->client;
    pthread_mutex_lock (&self->lock);
    tide_subscriptions_answer (self->reading, tide_post_clock_ms (), asked->tag, answer);
    pthread_mutex_unlock (&self->lock);
    free (asked);
}

/*  Under the lock: too many await their answer. */
static void refuse (asked_t *asked)
{
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL};
    fail.fail.code = TIDE_TOO_MANY;
    fail.fail.message = tide_bytes (tide_status_meaning (TIDE_TOO_MANY));
    tide_subscriptions_answer (asked->client->reading, tide_post_clock_ms (), asked->tag, &fail);
    free (asked);
}

void tide_subscribe_settle (void *argument)
{
    tidemark_t *self = argument;
    tide_subscriptions_action_t action;
    pthread_mutex_lock (&self->lock);
    while (tide_subscriptions_next_action (self->reading, &action)) {
        if (action.kind == TIDE_SUBSCRIPTIONS_REQUEST) {
            asked_t *asked = tide_alloc (sizeof *asked);
            *asked = (asked_t){self, action.tag};
            if (tide_post_send (self->post, action.message, on_answered, asked) == 0)
                refuse (asked);
        }
        else
            tide_post_follow (self->post, action.pattern, action.kind == TIDE_SUBSCRIPTIONS_FOLLOW);
    }
    tide_request_settle (self);
    if (self->is_closing)
        self->is_flushed = !tide_subscriptions_owe (self->reading);
    if (self->is_flushed || tide_subscriptions_is_ready (self->reading))
        pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

void tide_subscribe_flush (tidemark_t *self, uint64_t end_ms)
{
    pthread_mutex_lock (&self->lock);
    tide_subscriptions_hurry (self->reading);
    self->is_closing = true;
    self->is_flushed = !tide_subscriptions_owe (self->reading);
    tide_post_wake (self->post);
    tide_await (self, &self->is_flushed, end_ms);
    pthread_mutex_unlock (&self->lock);
}

/*  -- in the threads that run ----------------------------------------------------------------- */

tide_told_t *tide_subscribe_take (tidemark_t *self)
{
    tide_told_t *told = tide_subscriptions_take (self->reading);
    if (!told)
        return NULL;
    tidemark_subscription_t *subscription = told->handle;
    subscription->is_running = true;
    subscription->thread = pthread_self ();
    if (tide_subscriptions_is_due (self->reading))
        tide_post_wake (self->post);
    return told;
}

/*  Copies the text behind what is there, with its NUL. There must be room. */
static const char *put_text (tide_buffer_t *texts, tide_bytes_t text)
{
    const char *at = (const char *) texts->data + texts->size;
    tide_buffer_append_bytes (texts, text);
    tide_put_u8 (texts, 0);
    return at;
}

int tide_event_tell (const tidemark_subscription_t *subscription, const tide_telling_t *telling)
{
    const tide_event_t *event = telling->event;
    tide_buffer_t texts = {0};
    tidemark_attachment_t attachments[TIDE_ATTACHMENTS_MAX];
    tide_args_t args = {0};
    json_t *json = NULL;
    bool is_event = telling->kind == TIDEMARK_EVENT || telling->kind == TIDEMARK_STANDING;
    if (event->payload.size > 0 && tide_args_decode (event->payload, &args) == TIDE_OK)
        json = tide_json_of_args (&args);
    for (unsigned at = 0; at < args.attachments; at++)
        attachments[at] =
            (tidemark_attachment_t){args.attachment[at].data, args.attachment[at].size};
    tide_buffer_reserve (&texts, event->topic.size + event->name.size + event->key.size
                                     + event->id.size + event->from.size + event->user.size + 6);
    tidemark_event_t made = {
        .kind = telling->kind,
        .code = (tidemark_status_t) telling->code,
        .seq = telling->seq,
        .epoch = telling->epoch,
        .attempt = telling->attempt,
        .time_ms = event->time_ms,
        .topic = put_text (&texts, event->topic),
        .event = put_text (&texts, event->name),
        .key = put_text (&texts, event->key),
        .id = put_text (&texts, event->id),
        .from = put_text (&texts, event->from),
        .user = put_text (&texts, event->user),
        .args = json,
        .attachments = attachments,
        .attachment_count = args.attachments,
        .is_removed = is_event && event->payload.size == 0,
        .is_volatile = (event->flags & TIDE_EVENT_VOLATILE) != 0,
    };
    tide_told_event_t told = {made, telling->client, telling->given};
    int rc = subscription->function (&told.event, subscription->argument);
    json_decref (json);
    tide_buffer_free (&texts);
    return rc;
}

void tide_subscribe_tell (tidemark_t *self, tide_told_t *told)
{
    tidemark_subscription_t *subscription = told->handle;
    tide_telling_t telling = {.kind = (tidemark_event_kind_t) told->kind,
                              .code = told->code,
                              .seq = told->seq,
                              .epoch = told->epoch,
                              .attempt = subscription->is_named ? told->attempt : 0,
                              .event = &told->event,
                              .client = self};
    int rc = tide_event_tell (subscription, &telling);
    pthread_mutex_lock (&self->lock);
    bool is_ended = subscription->is_ended;
    subscription->is_running = false;
    if (tide_subscriptions_handled (self->reading, tide_post_clock_ms (), &told, rc == 0))
        tide_post_wake (self->post);
    /*  Somebody may wait for its end, another thread may tell it on. */
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
    if (is_ended)
        free (subscription);
}

/*  -- the interface --------------------------------------------------------------------------- */

static tide_status_t read_alone (tidemark_t *self, const char *topic, const tide_begin_t *begin,
                                 tidemark_subscription_t *made)
{
    made->subscription =
        tide_subscriptions_add (self->reading, tide_bytes (topic), begin, false, made);
    if (!made->subscription)
        return TIDE_TOO_MANY;
    tide_post_wake (self->post);
    return TIDE_OK;
}

static tide_status_t read_named (tidemark_t *self, const char *topic, const char *cursor,
                                 const tide_begin_t *begin, tidemark_subscription_t *made)
{
    char owner[64];
    tide_post_make_id (self->post, owner);
    made->is_named = true;
    tide_status_t status =
        tide_subscriptions_add_named (self->reading, tide_bytes (topic), begin, tide_bytes (cursor),
                                      tide_bytes (owner), made, &made->subscription);
    if (status == TIDE_OK)
        tide_post_wake (self->post);
    return status;
}

static tide_status_t read_on (tidemark_t *self, const char *topic,
                              const tidemark_subscribe_options_t *options,
                              const tide_begin_t *begin, tidemark_subscription_t *made)
{
    if (options->group)
        return tide_member_subscribe (self, topic, options, begin, made);
    if (options->cursor)
        return read_named (self, topic, options->cursor, begin, made);
    return read_alone (self, topic, begin, made);
}

tidemark_status_t tidemark_subscribe (tidemark_t *self, const char *topic,
                                      tidemark_event_fn *function, void *argument,
                                      const tidemark_subscribe_options_t *options,
                                      tidemark_subscription_t **subscription_p)
{
    static const tidemark_subscribe_options_t standard;
    tide_begin_t begin;
    if (subscription_p)
        *subscription_p = NULL;
    if (!options)
        options = &standard;
    bool is_groups = options->credit > 0 || options->lease_ms > 0 || options->attempts > 0;
    if (!function || (options->cursor && options->group) || (is_groups && !options->group)
        || !tide_begin_parse (options->since, &begin))
        return TIDEMARK_BAD_REQUEST;
    if (!tide_pattern_valid (tide_text (topic)))
        return TIDEMARK_BAD_TOPIC;
    tidemark_subscription_t *made = tide_alloc (sizeof *made);
    made->client = self;
    made->function = function;
    made->argument = argument;
    pthread_mutex_lock (&self->lock);
    tide_status_t status = read_on (self, topic, options, &begin, made);
    if (status == TIDE_OK)
        DL_APPEND (self->subscriptions, made);
    if (status == TIDE_OK && subscription_p)
        *subscription_p = made;
    pthread_mutex_unlock (&self->lock);
    if (status != TIDE_OK)
        free (made);
    return (tidemark_status_t) status;
}

void tidemark_unsubscribe (tidemark_subscription_t **subscription_p)
{
    tidemark_subscription_t *subscription = *subscription_p;
    if (!subscription)
        return;
    *subscription_p = NULL;
    if (subscription->membership) {
        tide_member_unsubscribe (subscription);
        return;
    }
    tidemark_t *self = subscription->client;
    pthread_mutex_lock (&self->lock);
    tide_subscriptions_remove (self->reading, &subscription->subscription);
    DL_DELETE (self->subscriptions, subscription);
    bool is_own = subscription->is_running && pthread_equal (subscription->thread, pthread_self ());
    if (is_own)
        subscription->is_ended = true;
    while (!is_own && subscription->is_running)
        pthread_cond_wait (&self->changed, &self->lock);
    tide_post_wake (self->post);
    pthread_mutex_unlock (&self->lock);
    if (!is_own)
        free (subscription);
}
