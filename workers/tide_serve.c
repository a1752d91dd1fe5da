/*  tide_serve.c - what a worker serves, and the threads that run its handlers.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

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

void tide_serve_say (tidemark_t *self)
{
    tide_message_t serve;
    if (!tide_worker_can_serve (self->side))
        return;
    tide_worker_offer (self->side, self->runners > 0 && !self->is_stopping, &serve);
    self->serving = tide_post_send (self->post, &serve, on_served, self);
}

tidemark_status_t tidemark_handle (tidemark_t *self, const char *nsp, const char *event,
                                   tidemark_handler_fn *handler, void *argument, unsigned flags)
{
    if (!handler || flags > UINT8_MAX)
        return TIDEMARK_BAD_REQUEST;
    pthread_mutex_lock (&self->lock);
    size_t index;
    tide_status_t status = tide_worker_handle (self->side, tide_text (nsp), tide_text (event),
                                               (uint8_t) flags, &index);
    if (status == TIDE_OK)
        self->handlers[index] = (tide_handler_t){handler, argument};
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}

tidemark_status_t tidemark_use (tidemark_t *self, const char *nsp, tidemark_handler_fn *middleware,
                                void *argument)
{
    tide_bytes_t name = tide_text (nsp);
    if (!middleware || !tide_name_valid (name) || (*nsp != '/' && strcmp (nsp, "*") != 0))
        return TIDEMARK_BAD_REQUEST;
    pthread_mutex_lock (&self->lock);
    bool has_place = self->middleware_count < TIDE_MIDDLEWARES_MAX;
    if (has_place)
        self->middlewares[self->middleware_count++] =
            (tide_middleware_t){tide_copy (name.data, name.size), middleware, argument};
    pthread_mutex_unlock (&self->lock);
    return has_place ? TIDEMARK_OK : TIDEMARK_TOO_MANY;
}

tidemark_status_t tidemark_service (tidemark_t *self, const char *name,
                                    const tidemark_service_options_t *options)
{
    tide_serve_message_t service = {.service = tide_text (name), .credit = 1};
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

void tidemark_counts (tidemark_t *self, tidemark_counts_t *counts)
{
    pthread_mutex_lock (&self->lock);
    tide_worker_counters_t counters = tide_worker_counters (self->side);
    pthread_mutex_unlock (&self->lock);
    *counts = (tidemark_counts_t){.lent = counters.lent,
                                  .waiting = counters.waiting,
                                  .returned = counters.returned,
                                  .refused = counters.refused,
                                  .unknown = counters.unknown};
}

/*  What a thread does next. */
typedef struct {
    tide_hand_t *hand;
    tide_told_t *told;
    tide_given_t *given;
} work_t;

static bool take_call (tidemark_t *self, work_t *work)
{
    work->hand = tide_worker_take (self->side, tide_post_clock_ms ());
    return work->hand != NULL;
}

/*  What a subscription of its own and what a group is told take turns as well. */
static bool take_told (tidemark_t *self, work_t *work)
{
    if (!self->given_last)
        work->given = tide_member_take (self);
    if (!work->given)
        work->told = tide_subscribe_take (self);
    if (!work->given && !work->told)
        work->given = tide_member_take (self);
    self->given_last = work->given != NULL;
    return work->told || work->given;
}

/*  Under the lock: calls and what is told take turns. False: the thread returns. */
static bool next_work (tidemark_t *self, work_t *work)
{
    *work = (work_t){0};
    while (!self->is_stopping && self->served == TIDE_OK) {
        if ((self->told_last && take_call (self, work)) || take_told (self, work)
            || take_call (self, work)) {
            self->told_last = work->hand == NULL;
            return true;
        }
        pthread_cond_wait (&self->changed, &self->lock);
    }
    return false;
}

/*  Under the lock: the last thread that ran returns. */
static void leave (tidemark_t *self)
{
    tide_message_t done;
    tide_serve_say (self);
    tide_members_run (self->members, false);
    tide_member_say (self);
    while (tide_worker_give_back (self->side, &done))
        tide_call_say_done (self, &done);
    self->is_stopping = false;
    self->served = TIDE_OK;
}

tidemark_status_t tidemark_run (tidemark_t *self)
{
    work_t work;
    pthread_mutex_lock (&self->lock);
    if (!tide_worker_can_serve (self->side) && !self->subscriptions) {
        pthread_mutex_unlock (&self->lock);
        return TIDEMARK_BAD_REQUEST;
    }
    if (self->runners++ == 0) {
        tide_serve_say (self);
        tide_members_run (self->members, true);
        tide_member_say (self);
    }
    while (next_work (self, &work)) {
        pthread_mutex_unlock (&self->lock);
        if (work.hand)
            tide_call_handle (self, work.hand);
        else if (work.given)
            tide_member_tell (self, work.given);
        else
            tide_subscribe_tell (self, work.told);
        pthread_mutex_lock (&self->lock);
    }
    tide_status_t status = self->served;
    if (--self->runners == 0)
        leave (self);
    pthread_mutex_unlock (&self->lock);
    return (tidemark_status_t) status;
}
