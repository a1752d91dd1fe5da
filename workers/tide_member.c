/*  tide_member.c - a worker program's subscriptions that are shared by a group.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <utlist.h>

_Static_assert((int) TIDEMARK_EVENT == (int) TIDE_TOLD_EVENT
                   && (int) TIDEMARK_ENDED == (int) TIDE_TOLD_ENDED,
               "one number for one kind");

/*  -- to the broker --------------------------------------------------------------------------- */

/*  A GROUP_JOIN, until it is answered. */
typedef struct {
    tidemark_t *client;
    uint64_t tag;
} joining_t;

static void on_joined (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    joining_t *joining = argument;
    tidemark_t *self = joining->client;
    pthread_mutex_lock (&self->lock);
    tide_members_joined (self->members, tide_post_clock_ms (), joining->tag, answer);
    if (tide_members_is_ready (self->members))
        pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
    free (joining);
}

void tide_member_say (tidemark_t *self)
{
    tide_message_t message;
    uint64_t tag;
    while (tide_members_next (self->members, &message, &tag)) {
        if (tag == 0) {
            tide_post_send (self->post, &message, NULL, NULL);
            continue;
        }
        joining_t *joining = tide_alloc (sizeof *joining);
        *joining = (joining_t){self, tag};
        tide_post_send (self->post, &message, on_joined, joining);
    }
}

/*  -- from the broker ------------------------------------------------------------------------- */

void tide_member_told (void *argument, uint64_t now_ms, const tide_message_t *message)
{
    tidemark_t *self = argument;
    pthread_mutex_lock (&self->lock);
    if (message->kind == TIDE_MESSAGE_GROUP_EVENT)
        tide_members_event (self->members, now_ms, &message->group_event);
    else
        tide_members_note (self->members, &message->group_note);
    if (tide_members_is_ready (self->members))
        pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

/*  -- in the threads that run ----------------------------------------------------------------- */

tide_given_t *tide_member_take (tidemark_t *self)
{
    tide_given_t *given = tide_members_take (self->members, tide_post_clock_ms ());
    tide_member_say (self);
    if (given)
        ((tidemark_subscription_t *) tide_given_view (given)->handle)->running_count++;
    return given;
}

static tidemark_event_kind_t kind_of (tide_given_kind_t kind)
{
    static const tidemark_event_kind_t kinds[] = {
        [TIDE_GIVEN_EVENT] = TIDEMARK_EVENT,
        [TIDE_GIVEN_TRIMMED] = TIDEMARK_MISSED,
        [TIDE_GIVEN_ENDED] = TIDEMARK_ENDED,
    };
    return kinds[kind];
}

/*  What the function returns is what becomes of the event. */
static void settle (tidemark_t *self, tide_given_t *given, int rc)
{
    if (tide_given_view (given)->kind != TIDE_GIVEN_EVENT)
        return;
    /*  CONFLICT: it took too long, and is another's. */
    tide_status_t status =
        tide_members_end (self->members, tide_post_clock_ms (), given,
                          rc == 0 ? TIDE_GIVEN_HANDLED : TIDE_GIVEN_AGAIN, 0, (tide_bytes_t){0});
    (void) status;
}

/*  The functions of this subscription that run, of this thread: the innermost first. */
static _Thread_local const tidemark_subscription_t *running_here;

void tide_member_tell (tidemark_t *self, tide_given_t *given)
{
    const tide_given_view_t *view = tide_given_view (given);
    tidemark_subscription_t *subscription = view->handle;
    tide_telling_t telling = {.kind = kind_of (view->kind),
                              .code = view->code,
                              .seq = view->seq,
                              .epoch = view->epoch,
                              .attempt = view->attempt,
                              .event = &view->event,
                              .client = self,
                              .given = given};
    running_here = subscription;
    int rc = tide_event_tell (subscription, &telling);
    running_here = NULL;
    pthread_mutex_lock (&self->lock);
    settle (self, given, rc);
    tide_members_let (self->members, &given);
    tide_member_say (self);
    bool is_last = --subscription->running_count == 0 && subscription->is_ended;
    pthread_cond_broadcast (&self->changed); /* somebody may wait for its end */
    pthread_mutex_unlock (&self->lock);
    if (is_last)
        free (subscription);
}

/*  -- the interface --------------------------------------------------------------------------- */

tide_status_t tide_member_subscribe (tidemark_t *self, const char *topic,
                                     const tidemark_subscribe_options_t *options,
                                     const tide_begin_t *begin, tidemark_subscription_t *made)
{
    enum { LIVE, SINCE = 2 };
    if (begin->kind == TIDE_BEGIN_SNAPSHOT)
        return TIDE_BAD_REQUEST;
    tide_group_join_message_t join = {.name = tide_bytes (options->group),
                                      .topics = tide_text (topic),
                                      .start = begin->kind == TIDE_BEGIN_LIVE ? LIVE : SINCE,
                                      .epoch = begin->epoch,
                                      .since = begin->seq,
                                      .credit = options->credit > 0 ? options->credit : 1,
                                      .lease_ms = options->lease_ms,
                                      .attempts = options->attempts};
    tide_status_t status = tide_members_add (self->members, &join, made, &made->membership);
    tide_member_say (self);
    return status;
}

void tide_member_unsubscribe (tidemark_subscription_t *subscription)
{
    tidemark_t *self = subscription->client;
    bool is_own = running_here == subscription;
    pthread_mutex_lock (&self->lock);
    tide_members_remove (self->members, &subscription->membership);
    tide_member_say (self);
    DL_DELETE (self->subscriptions, subscription);
    if (is_own)
        subscription->is_ended = true; /* the last that runs frees it */
    while (!is_own && subscription->running_count > 0)
        pthread_cond_wait (&self->changed, &self->lock);
    pthread_mutex_unlock (&self->lock);
    if (!is_own)
        free (subscription);
}

tidemark_status_t tidemark_event_extend (const tidemark_event_t *event, uint32_t lease_ms)
{
    const tide_told_event_t *told = (const tide_told_event_t *) event;
    if (!told->given)
        return TIDEMARK_BAD_REQUEST;
    tidemark_t *self = told->client;
    pthread_mutex_lock (&self->lock);
    tide_status_t status =
        tide_members_extend (self->members, tide_post_clock_ms (), told->given, lease_ms);
    tide_member_say (self);
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}
