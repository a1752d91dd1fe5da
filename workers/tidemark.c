/*  tidemark.c - libtidemark's interface: the connection, and what its thread tells.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_room.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

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

const char *tidemark_status_name (tidemark_status_t status)
{
    return tide_status_name ((tide_status_t) status);
}

const char *tidemark_status_meaning (tidemark_status_t status)
{
    return tide_status_meaning ((tide_status_t) status);
}

static struct timespec time_of (uint64_t time_ms)
{
    return (struct timespec){.tv_sec = (time_t) (time_ms / 1000),
                             .tv_nsec = (long) (time_ms % 1000) * 1000000};
}

bool tide_await (tidemark_t *self, const bool *is_so, uint64_t end_ms)
{
    struct timespec end = time_of (end_ms);
    int rc = 0;
    while (!*is_so && rc == 0)
        rc = end_ms == UINT64_MAX ? pthread_cond_wait (&self->changed, &self->lock)
                                  : pthread_cond_timedwait (&self->changed, &self->lock, &end);
    return *is_so;
}

static _Thread_local char error_text[1024];

tidemark_status_t tide_failed (tide_status_t status, const char *message)
{
    tide_bytes_t text = tide_bytes (message && *message ? message : tide_status_meaning (status));
    text = tide_utf8_cut (text, sizeof error_text - 1);
    memcpy (error_text, text.data, text.size);
    error_text[status == TIDE_OK ? 0 : text.size] = '\0';
    return (tidemark_status_t) status;
}

const char *tidemark_error (void)
{
    return error_text;
}

/*  -- what the post tells --------------------------------------------------------------------- */

static void on_up (void *argument, const tide_welcome_message_t *welcome)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    self->payload_max = welcome->payload_max;
    tide_worker_up (self->side, welcome->epoch, welcome->payload_max);
    tide_subscriptions_up (self->reading, welcome->epoch, welcome->head);
    tide_members_up (self->members, welcome->epoch);
    tide_member_say (self);
    if (self->runners > 0)
        tide_serve_say (self);
    pthread_mutex_unlock (&self->lock);
}

static void on_lent (void *argument, uint64_t now_ms, const tide_lend_message_t *lend)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    self->has_news |= tide_worker_lent (self->side, now_ms, lend);
    pthread_mutex_unlock (&self->lock);
}

/*  The last thing that the post does before it waits: a thread that is woken finds the lock free.
 */
static uint64_t on_tick (void *argument, uint64_t now_ms)
{
    tidemark_t *self = argument;
    tide_message_t extend;
    pthread_mutex_lock (&self->lock);
    while (tide_worker_next_extend (self->side, now_ms, &extend))
        tide_post_send (self->post, &extend, NULL, NULL);
    tide_subscriptions_tick (self->reading, now_ms);
    tide_members_tick (self->members, now_ms);
    tide_member_say (self);
    uint64_t members_ms = tide_members_deadline_ms (self->members);
    uint64_t calls_ms = tide_worker_deadline_ms (self->side);
    uint64_t reading_ms = tide_subscriptions_deadline_ms (self->reading);
    uint64_t due_ms = calls_ms < reading_ms ? calls_ms : reading_ms;
    due_ms = due_ms < members_ms ? due_ms : members_ms;
    if (tide_subscriptions_is_due (self->reading))
        due_ms = now_ms;
    bool has_news = self->has_news || tide_subscriptions_is_ready (self->reading);
    self->has_news = false;
    pthread_mutex_unlock (&self->lock);
    if (has_news)
        pthread_cond_broadcast (&self->changed); /* those who wait for an answer wait here, too */
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
    self->reading = tide_subscriptions_new ();
    self->members = tide_members_new ();
    self->message = tide_copy ("", 0);
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init (&monotonic);
    pthread_condattr_setclock (&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init (&self->changed, &monotonic);
    pthread_condattr_destroy (&monotonic);
    tide_post_config_t config = {.argument = self,
                                 .up = on_up,
                                 .lent = on_lent,
                                 .member = tide_member_told,
                                 .heard = tide_subscribe_heard,
                                 .settle = tide_subscribe_settle,
                                 .tick = on_tick};
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
    uint64_t end_ms = tide_post_clock_ms () + self->linger_ms;
    if (post)
        tide_subscribe_flush (self, end_ms);
    uint64_t now_ms = tide_post_clock_ms ();
    tide_post_destroy (&post, now_ms < end_ms ? (uint32_t) (end_ms - now_ms) : 0);
    tide_subscriptions_destroy (&self->reading);
    tide_members_destroy (&self->members);
    while (self->subscriptions) {
        tidemark_subscription_t *subscription = self->subscriptions;
        DL_DELETE (self->subscriptions, subscription);
        free (subscription);
    }
    tide_worker_side_destroy (&self->side);
    pthread_cond_destroy (&self->changed);
    pthread_mutex_destroy (&self->lock);
    for (size_t at = 0; at < self->middleware_count; at++)
        free (self->middlewares[at].nsp);
    free (self->message);
    free (self->caller);
    free (self);
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
    tide_room_topic (&made, tide_text (nsp), tide_text (room));
    return give_topic (topic, &made);
}

tidemark_status_t tidemark_topic_of_all (char topic[TIDEMARK_TOPIC_SIZE], const char *nsp)
{
    tide_buffer_t made = {0};
    tide_namespace_topic (&made, tide_text (nsp));
    return give_topic (topic, &made);
}

tidemark_status_t tidemark_topic_of_session (char topic[TIDEMARK_TOPIC_SIZE], const char *sid)
{
    tide_buffer_t made = {0};
    tide_session_topic (&made, tide_text (sid));
    return give_topic (topic, &made);
}
