/*  tide_dispatch_peers.c - what peers may say of calls: checked, answered, told to tide_dispatch.c.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch_internal.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_check.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse_full (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request)
{
    tide_core_fail (self->core, peer, request, TIDE_TOO_MANY, 0,
                    "too many publishes are waiting already: send again later");
}

/*  Handlers that a worker does not serve any more: their calls wait for another one. */
static void rearm (tide_dispatch_t *self, tide_handler_t *const *handlers, uint32_t count)
{
    for (uint32_t at = 0; at < count; at++)
        tide_dispatch_arm (self, handlers[at]);
}

static void join (tide_dispatch_t *self, tide_bytes_t peer, tide_who_t who,
                  const tide_serve_message_t *serve)
{
    tide_worker_t *worker = tide_services_worker (&self->services, peer);
    uint32_t count = worker ? worker->handler_count : 0;
    tide_handler_t **before = tide_alloc ((count + 1) * sizeof *before);
    for (uint32_t at = 0; at < count; at++)
        before[at] = worker->handlers[at];
    worker = tide_services_join (&self->services, self->now_ms, peer, serve);
    worker->who = who;
    rearm (self, before, count);
    rearm (self, worker->handlers, worker->handler_count);
    free (before);
    tide_dispatch_feed (self, worker);
}

void tide_dispatch_serve (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                          const tide_serve_message_t *serve)
{
    self->now_ms = now_ms;
    tide_buffer_t changed = {0};
    uint32_t count = 0;
    const char *why;
    tide_status_t status =
        tide_services_admit (&self->services, peer, serve, &changed, &count, &why);
    tide_publish_message_t publish = {.request = serve->request,
                                      .events = tide_list (&changed, count)};
    if (status != TIDE_OK)
        tide_core_fail (self->core, peer, serve->request, status, 0, "%s", why);
    else if (count == 0) {
        tide_dispatch_acknowledge (self, peer, serve->request);
        join (self, peer, who, serve);
    }
    else if (tide_sequencer_append (self->sequencer, now_ms, peer, &publish))
        join (self, peer, who, serve);
    else
        refuse_full (self, peer, serve->request);
    tide_buffer_free (&changed);
}

/*  The event that is the call, in its topic. False if a name is too long for one. */
static bool make_call (const tide_call_message_t *call, const tide_handler_t *handler,
                       tide_buffer_t *list)
{
    char topic[sizeof TIDE_CALL_TOPIC + TIDE_SERVICE_SIZE_MAX + TIDE_NAME_SIZE_MAX + 1];
    bool is_main = tide_bytes_is (call->nsp, "/");
    int size = snprintf (topic, sizeof topic, TIDE_CALL_TOPIC "%s%.*s", handler->service->name,
                         is_main ? 0 : (int) call->nsp.size, (const char *) call->nsp.data);
    tide_args_t args;
    if (tide_args_decode (call->payload, &args) != TIDE_OK)
        return false;
    tide_buffer_t about = {0}, payload = {0};
    tide_called_append (&about, &(tide_called_t){.nsp = call->nsp,
                                                 .wanted = call->wanted,
                                                 .session = call->session,
                                                 .answer = call->answer});
    args.about = (tide_bytes_t){about.data + 4, about.size - 4};
    tide_args_encode (&payload, &args);
    bool is_volatile = (handler->flags & TIDE_HANDLER_VOLATILE) != 0;
    bool is_short = size <= TIDE_TOPIC_SIZE_MAX;
    tide_event_t event = {.flags = is_volatile ? TIDE_EVENT_VOLATILE : 0,
                          .topic = {(const uint8_t *) topic, (size_t) size},
                          .name = call->event,
                          .key = is_volatile ? (tide_bytes_t){0} : call->id,
                          .id = is_volatile ? (tide_bytes_t){0} : call->id,
                          .user = call->user,
                          .from = call->from,
                          .payload = tide_buffer_bytes (&payload)};
    if (is_short)
        tide_event_append (list, &event);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
    return is_short;
}

static tide_status_t check_call (const tide_dispatch_t *self, const tide_call_message_t *call,
                                 const char **why)
{
    static _Thread_local char text[160];
    *why = "a call's namespace begins with / and is UTF-8 without control characters";
    if (!tide_name_valid (call->nsp) || call->nsp.data[0] != '/')
        return TIDE_BAD_REQUEST;
    *why = "a call has an id";
    if (call->id.size == 0)
        return TIDE_BAD_REQUEST;
    *why = "a call that wants an answer names the session that gets it";
    if (call->wanted.size > 0 && call->from.size == 0)
        return TIDE_BAD_REQUEST;
    *why = "the session is no topic's level";
    if (!tide_dispatch_can_answer (call->from))
        return TIDE_BAD_REQUEST;
    *why = "the session's record, and what gets the answer, are topics";
    if ((call->session.size > 0 && !tide_topic_valid (call->session))
        || (call->answer.size > 0 && !tide_topic_valid (call->answer)))
        return TIDE_BAD_TOPIC;
    *why = text;
    uint32_t limit = self->core->payload_max;
    if (limit > TIDE_PAYLOAD_SIZE_MAX - TIDE_CALL_ABOUT_SIZE_MAX)
        limit = TIDE_PAYLOAD_SIZE_MAX - TIDE_CALL_ABOUT_SIZE_MAX;
    if (call->payload.size <= limit)
        return TIDE_OK;
    snprintf (text, sizeof text, "a payload of %zu bytes is above the limit of %u",
              call->payload.size, limit);
    return TIDE_TOO_LARGE;
}

static void call_volatile (tide_dispatch_t *self, tide_bytes_t peer,
                           const tide_call_message_t *call, tide_handler_t *handler,
                           const tide_buffer_t *list)
{
    if (handler->worker_count == 0) {
        tide_core_fail (self->core, peer, call->request, TIDE_NO_WORKER, 0,
                        "no worker is there for %.*s", TIDE_PRINT (tide_handler_event (handler)));
        return;
    }
    tide_dispatch_acknowledge (self, peer, call->request);
    if (tide_dispatch_is_new (self, call))
        tide_dispatch_enter_volatile (self, handler,
                                      (tide_bytes_t){list->data + 4, list->size - 4});
}

static void call_logged (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                         const tide_buffer_t *list)
{
    tide_publish_message_t publish = {.request = request, .events = tide_list (list, 1)};
    if (!tide_sequencer_append (self->sequencer, self->now_ms, peer, &publish))
        refuse_full (self, peer, request);
}

/*  What is around the arguments may be above what a publish has, they themselves are not. */
static tide_status_t check_made (const tide_dispatch_t *self, const tide_buffer_t *list,
                                 const char **why)
{
    tide_publish_message_t publish = {.events = tide_list (list, 1)};
    bool is_volatile;
    return tide_check_publish (&publish, self->core->payload_max + TIDE_CALL_ABOUT_SIZE_MAX,
                               &is_volatile, why);
}

static bool is_sound (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                      const tide_buffer_t *list)
{
    const char *why;
    tide_status_t status = check_made (self, list, &why);
    if (status != TIDE_OK)
        tide_core_fail (self->core, peer, request, status, 0, "%s", why);
    return status == TIDE_OK;
}

static bool is_full (const tide_dispatch_t *self)
{
    return HASH_COUNT (self->by_number) >= TIDE_DISPATCH_CALLS_MAX
           || self->size >= TIDE_DISPATCH_SIZE_MAX;
}

/*  That a session has ended is told, however much it has called. */
static uint32_t calls_max (const tide_call_message_t *call)
{
    bool is_end = tide_bytes_is (call->event, TIDE_HOOK_DISCONNECT);
    return TIDE_DISPATCH_SESSION_CALLS_MAX * (is_end ? 2 : 1);
}

/*  The handler that the call is for; NULL: it has been refused. */
static tide_handler_t *admit_call (tide_dispatch_t *self, tide_bytes_t peer,
                                   const tide_call_message_t *call)
{
    tide_core_t *core = self->core;
    const char *why;
    tide_status_t status = check_call (self, call, &why);
    if (status != TIDE_OK) {
        tide_core_fail (core, peer, call->request, status, 0, "%s", why);
        return NULL;
    }
    tide_handler_t *handler = tide_services_find (&self->services, call->nsp, call->event);
    if (!handler) {
        /*  Whoever asks for a client that wants to come in learns whether there is a namespace. */
        bool is_nobodys = tide_bytes_is (call->event, TIDE_HOOK_CONNECT)
                          && !tide_services_has_namespace (&self->services, call->nsp);
        tide_core_fail (core, peer, call->request, is_nobodys ? TIDE_NOT_FOUND : TIDE_NO_WORKER, 0,
                        "no worker has ever served %.*s in %.*s", TIDE_PRINT (call->event),
                        TIDE_PRINT (call->nsp));
        return NULL;
    }
    if (is_full (self)) {
        tide_core_fail (core, peer, call->request, TIDE_TOO_MANY, 0,
                        "%u calls of %llu bytes are open already", HASH_COUNT (self->by_number),
                        (unsigned long long) self->size);
        return NULL;
    }
    tide_call_chain_t *chain;
    HASH_FIND (hh, handler->service->chains, call->from.data, call->from.size, chain);
    if (chain && chain->count >= calls_max (call)) {
        tide_core_fail (core, peer, call->request, TIDE_TOO_MANY, 0,
                        "%u calls of the session to %s are open already", chain->count,
                        handler->service->name);
        return NULL;
    }
    return handler;
}

void tide_dispatch_call (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer,
                         const tide_call_message_t *call)
{
    self->now_ms = now_ms;
    self->core->counters.calls++;
    tide_handler_t *handler = admit_call (self, peer, call);
    if (!handler)
        return;
    tide_buffer_t list = {0};
    if (!make_call (call, handler, &list))
        tide_core_fail (self->core, peer, call->request, TIDE_BAD_REQUEST, 0,
                        "the arguments are not of the form that events have, or the namespace is "
                        "too long");
    else if (is_sound (self, peer, call->request, &list)) {
        if (handler->flags & TIDE_HANDLER_VOLATILE)
            call_volatile (self, peer, call, handler, &list);
        else
            call_logged (self, peer, call->request, &list);
    }
    tide_buffer_free (&list);
}

/*  Whoever wrote the record may be any peer: what names it has may make no event. */
static bool make_hook (const tide_dispatch_t *self, const tide_call_message_t *call,
                       const tide_handler_t *handler, tide_buffer_t *list)
{
    const char *why;
    return call->id.size <= TIDE_NAME_SIZE_MAX && tide_dispatch_can_answer (call->from)
           && make_call (call, handler, list) && check_made (self, list, &why) == TIDE_OK;
}

bool tide_dispatch_hook (tide_dispatch_t *self, uint64_t now_ms, const tide_call_message_t *call)
{
    self->now_ms = now_ms;
    tide_handler_t *handler = tide_services_find (&self->services, call->nsp, call->event);
    if (!handler)
        return true;
    tide_buffer_t list = {0};
    bool is_done = true;
    self->core->counters.calls++;
    if (is_full (self) || !make_hook (self, call, handler, &list))
        self->core->counters.hooks_dropped++;
    else if ((handler->flags & TIDE_HANDLER_VOLATILE) == 0) {
        tide_publish_message_t publish = {.events = tide_list (&list, 1)};
        is_done = tide_sequencer_append (self->sequencer, now_ms, (tide_bytes_t){0}, &publish);
    }
    else if (handler->worker_count > 0 && tide_dispatch_is_new (self, call))
        tide_dispatch_enter_volatile (self, handler, (tide_bytes_t){list.data + 4, list.size - 4});
    tide_buffer_free (&list);
    return is_done;
}

/*  -- what workers say ------------------------------------------------------------------------ */

static tide_status_t check_done (const tide_dispatch_t *self, const tide_done_message_t *done,
                                 const char **why)
{
    bool is_volatile = false;
    tide_publish_message_t publish = {.events = done->events};
    tide_status_t sound =
        done->payload.size > 0 ? tide_check_payload (done->payload, why) : TIDE_OK;
    if (sound != TIDE_OK)
        return sound;
    *why = "the message is not UTF-8";
    if (!tide_utf8_valid (done->message))
        return TIDE_BAD_REQUEST;
    *why = "the reply is above the limit of a payload";
    if (done->payload.size > self->core->payload_max
        || done->payload.size > TIDE_PAYLOAD_SIZE_MAX - 2 * TIDE_CALL_ABOUT_SIZE_MAX)
        return TIDE_TOO_LARGE;
    *why = "more events than one publish may have are to be appended with the call's end";
    if (done->events.count + TIDE_CALL_END_EVENTS_MAX > TIDE_PUBLISH_EVENTS_MAX)
        return TIDE_TOO_MANY;
    tide_status_t status =
        done->events.count == 0
            ? TIDE_OK
            : tide_check_publish (&publish, self->core->payload_max, &is_volatile, why);
    if (status == TIDE_OK && is_volatile) {
        *why = "volatile events are not appended: publish them by themselves";
        status = TIDE_BAD_REQUEST;
    }
    return status;
}

/*  Why a worker's word does not count; NULL if it does. */
static const char *staleness (const tide_lent_call_t *call, tide_who_t who, uint32_t attempt)
{
    if (!call)
        return "the call is over";
    if (call->attempt != attempt || call->attempt == 0)
        return "the call was lent anew meanwhile";
    if (!tide_who_is (who, call->holder)) /* attempts are counted anew when the broker starts */
        return "the call was lent to another worker";
    return call->state == TIDE_CALL_ENDING ? "the call's end is with the log already" : NULL;
}

void tide_dispatch_done (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                         const tide_done_message_t *done)
{
    self->now_ms = now_ms;
    enum { HANDLED, AGAIN, NEVER, NOT_BEGUN };
    tide_lent_call_t *call = tide_dispatch_find (self, done->call);
    const char *why = staleness (call, who, done->attempt);
    if (why) {
        self->core->counters.stale++;
        tide_core_fail (self->core, peer, done->request, call ? TIDE_CONFLICT : TIDE_NOT_FOUND, 0,
                        "%s", why);
        return;
    }
    tide_status_t status = check_done (self, done, &why);
    if (status != TIDE_OK) {
        tide_core_fail (self->core, peer, done->request, status, 0, "%s", why);
        return;
    }
    char message[512];
    tide_bytes_t said = tide_utf8_cut (done->message, sizeof message - 1);
    snprintf (message, sizeof message, "%.*s", TIDE_PRINT (said));
    if (done->outcome == HANDLED) {
        if (!tide_dispatch_handled (self, peer, call, done))
            refuse_full (self, peer, done->request);
    }
    else {
        tide_dispatch_acknowledge (self, peer, done->request);
        /*  Of what is in nobody's hands only NEVER says something new: the word may have come
         *  twice, and what was given back once costs one attempt less, not two. */
        if (done->outcome != NEVER && call->state != TIDE_CALL_LENT)
            return;
        if (done->outcome == AGAIN)
            tide_dispatch_retry (
                self, call, done->delay_ms > 0 ? done->delay_ms : tide_dispatch_delay_ms (call),
                TIDE_WORKER_FAILED, *message ? message : "the worker could not handle it");
        else if (done->outcome == NOT_BEGUN)
            tide_dispatch_take_back (self, call);
        else
            tide_dispatch_fail (self, call, TIDE_WORKER_FAILED, "%s",
                                *message ? message : "the worker will not handle it");
    }
    tide_worker_t *worker = tide_services_worker (&self->services, peer);
    if (worker)
        tide_dispatch_feed (self, worker);
}

void tide_dispatch_extend (tide_dispatch_t *self, uint64_t now_ms, tide_who_t who,
                           const tide_extend_message_t *extend)
{
    self->now_ms = now_ms;
    tide_lent_call_t *call = tide_dispatch_find (self, extend->call);
    if (staleness (call, who, extend->attempt) || call->state != TIDE_CALL_LENT) {
        self->core->counters.stale++; /* it is not answered */
        return;
    }
    uint32_t lease_ms = extend->lease_ms > 0 ? extend->lease_ms : call->handler->service->lease_ms;
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
    call->lease_ms = lease_ms;
    tide_due_set (&self->due, call->handle, now_ms + lease_ms);
}

void tide_dispatch_gone (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer)
{
    self->now_ms = now_ms;
    tide_worker_t *worker = tide_services_worker (&self->services, peer);
    if (!worker)
        return;
    worker->credit = 0; /* it gets nothing back */
    while (worker->calls)
        tide_dispatch_retry (self, worker->calls, 0, TIDE_WORKER_FAILED, "the worker died");
    uint32_t count = worker->handler_count;
    tide_handler_t **before = tide_alloc ((count + 1) * sizeof *before);
    for (uint32_t at = 0; at < count; at++)
        before[at] = worker->handlers[at];
    tide_services_leave (&self->services, now_ms, &worker);
    rearm (self, before, count);
    free (before);
}
