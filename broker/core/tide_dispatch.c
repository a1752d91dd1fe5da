/*  tide_dispatch.c - calls: the life of each, from the log's word that it stands to its end.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch_internal.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_call_end.h"
#include "tide_marks.h"
#include "tide_topic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*  Numbers of volatile calls are above those of logged ones. */
#define VOLATILE_NUMBER (1ull << 63)
/*  So many bits of it count; the others are the time of the start. */
#define VOLATILE_BITS 20
/*  An end that is with the log, or was refused by it: looked at again after this. */
#define ENDING_MS 1000

static bool begins (tide_bytes_t name, const char *prefix)
{
    size_t size = strlen (prefix);
    return name.size > size && memcmp (name.data, prefix, size) == 0;
}

static void event_of (const tide_lent_call_t *call, tide_event_t *event)
{
    bool is_sound = tide_event_decode (call->record, event);
    tide_assert (is_sound);
}

tide_lent_call_t *tide_dispatch_find (const tide_dispatch_t *self, uint64_t number)
{
    tide_lent_call_t *call;
    HASH_FIND (hh, self->by_number, &number, sizeof number, call);
    return call;
}

/*  Those that count. */
static uint32_t attempts_of (const tide_lent_call_t *call)
{
    return call->attempt - call->unused;
}

/*  -- calls ----------------------------------------------------------------------------------- */

static void become (tide_dispatch_t *self, tide_lent_call_t *call, tide_call_state_t state)
{
    self->counts[call->state]--;
    self->counts[state]++;
    call->state = state;
}

static uint32_t take_handle (tide_dispatch_t *self, tide_lent_call_t *call)
{
    uint32_t handle;
    if (self->free_count > 0)
        handle = self->free[--self->free_count];
    else {
        if (self->used == self->capacity) {
            self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
            self->calls = tide_realloc (self->calls, self->capacity * sizeof *self->calls);
            self->free = tide_realloc (self->free, self->capacity * sizeof *self->free);
        }
        handle = self->used++;
    }
    self->calls[handle] = call;
    return handle;
}

static tide_call_chain_t *take_chain (tide_service_t *service, tide_bytes_t from)
{
    tide_call_chain_t *chain;
    HASH_FIND (hh, service->chains, from.data, from.size, chain);
    if (chain)
        return chain;
    chain = tide_alloc (sizeof *chain + from.size);
    chain->service = service;
    chain->size = from.size;
    memcpy (chain->from, from.data, from.size);
    HASH_ADD (hh, service->chains, from, chain->size, chain);
    return chain;
}

static void let_chain (tide_lent_call_t *call)
{
    tide_call_chain_t *chain = call->chain;
    DL_DELETE2 (chain->calls, call, chain_prev, chain_next);
    chain->count--;
    call->chain = NULL;
    if (chain->calls)
        return;
    HASH_DEL (chain->service->chains, chain);
    free (chain);
}

static tide_lent_call_t *add_call (tide_dispatch_t *self, uint64_t number, tide_handler_t *handler,
                                   tide_bytes_t record)
{
    tide_lent_call_t *call = tide_alloc (sizeof *call);
    call->number = number;
    call->handler = handler;
    call->came_ms = self->now_ms;
    call->list = tide_alloc (4 + record.size);
    tide_store_u32 (call->list, (uint32_t) record.size);
    memcpy (call->list + 4, record.data, record.size);
    call->record = (tide_bytes_t){call->list + 4, record.size};
    call->handle = take_handle (self, call);
    self->size += record.size;
    handler->open_count++;
    self->counts[TIDE_CALL_WAITING]++;
    HASH_ADD (hh, self->by_number, number, sizeof call->number, call);
    tide_event_t event;
    event_of (call, &event);
    if (event.from.size > 0 && !(handler->flags & TIDE_HANDLER_UNORDERED)) {
        call->chain = take_chain (handler->service, event.from);
        DL_APPEND2 (call->chain->calls, call, chain_prev, chain_next);
        call->chain->count++;
    }
    return call;
}

/*  Out of its handler's list, or its worker's hands. */
static void let_go (tide_lent_call_t *call)
{
    if (call->state == TIDE_CALL_READY) {
        DL_DELETE (call->handler->ready, call);
        call->handler->ready_count--;
    }
    if (call->worker) {
        DL_DELETE2 (call->worker->calls, call, hand_prev, hand_next);
        call->worker->in_hand--;
        call->worker = NULL;
    }
}

static void ready (tide_dispatch_t *self, tide_lent_call_t *call);

/*  It is over, in every way. */
static void remove_call (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_lent_call_t *next = NULL;
    let_go (call);
    if (call->chain) {
        if (call->chain->calls == call)
            next = call->chain_next;
        let_chain (call);
    }
    HASH_DEL (self->by_number, call);
    if (call->key)
        HASH_DELETE (key_hh, self->by_key, call);
    tide_due_clear (&self->due, call->handle);
    self->free[self->free_count++] = call->handle;
    self->calls[call->handle] = NULL;
    self->counts[call->state]--;
    self->size -= call->record.size;
    call->handler->open_count--;
    free (call->list);
    free (call->message);
    free (call);
    if (next && next->state == TIDE_CALL_WAITING)
        ready (self, next);
}

tide_dispatch_t *tide_dispatch_new (tide_core_t *core, uint64_t workers_wait_ms)
{
    tide_dispatch_t *self = tide_alloc (sizeof *self);
    self->core = core;
    self->workers_wait_ms = workers_wait_ms;
    self->volatile_number = VOLATILE_NUMBER;
    return self;
}

void tide_dispatch_destroy (tide_dispatch_t **self_p)
{
    tide_dispatch_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    self->sequencer = NULL; /* nothing is lent any more */
    while (self->by_number)
        remove_call (self, self->by_number);
    tide_services_free (&self->services);
    tide_due_free (&self->due);
    tide_ids_destroy (&self->volatile_ids);
    free (self->calls);
    free (self->free);
    free (self);
}

/*  -- lending --------------------------------------------------------------------------------- */

static void lend (tide_dispatch_t *self, tide_lent_call_t *call, tide_worker_t *worker)
{
    uint32_t lease_ms = call->handler->service->lease_ms;
    let_go (call);
    become (self, call, TIDE_CALL_LENT);
    call->attempt++;
    call->worker = worker;
    call->holder = worker->who;
    call->lease_ms = lease_ms;
    DL_APPEND2 (worker->calls, call, hand_prev, hand_next);
    worker->in_hand++;
    worker->given = ++self->given;
    tide_due_set (&self->due, call->handle, self->now_ms + lease_ms);
    tide_message_t message = {.kind = TIDE_MESSAGE_LEND,
                              .lend = {.call = call->number,
                                       .attempt = call->attempt,
                                       .lease_ms = lease_ms,
                                       .events = {1, {call->list, 4 + call->record.size}}}};
    tide_outbox_send (&self->core->out, (tide_bytes_t){worker->peer, worker->peer_size}, &message);
    self->core->counters.lent++;
    self->core->counters.lent_again += call->attempt > 1;
}

/*  Lends what is ready of the handler while somebody takes it. */
static void lend_ready (tide_dispatch_t *self, tide_handler_t *handler)
{
    tide_worker_t *worker;
    while (self->sequencer && !self->is_stopping && handler->ready
           && (worker = tide_handler_pick (handler)) != NULL)
        lend (self, handler->ready, worker);
}

void tide_dispatch_feed (tide_dispatch_t *self, tide_worker_t *worker)
{
    uint32_t begin = worker->turn++;
    for (uint32_t at = 0; at < worker->handler_count && worker->in_hand < worker->credit; at++)
        lend_ready (self, worker->handlers[(begin + at) % worker->handler_count]);
}

/*  While there is no worker for it a ready call waits, but not for ever. */
static void arm (tide_dispatch_t *self, tide_lent_call_t *call)
{
    const tide_handler_t *handler = call->handler;
    if (handler->worker_count > 0) {
        tide_due_clear (&self->due, call->handle);
        return;
    }
    uint64_t since_ms =
        call->came_ms > handler->workerless_ms ? call->came_ms : handler->workerless_ms;
    tide_due_set (&self->due, call->handle, since_ms + self->workers_wait_ms);
}

void tide_dispatch_arm (tide_dispatch_t *self, const tide_handler_t *handler)
{
    tide_lent_call_t *call;
    DL_FOREACH (handler->ready, call)
        arm (self, call);
}

/*  It can be lent; one that was before goes first. */
static void ready (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_handler_t *handler = call->handler;
    let_go (call);
    become (self, call, TIDE_CALL_READY);
    handler->ready_count++;
    if (call->attempt > 0 && !self->is_starting)
        DL_PREPEND (handler->ready, call);
    else
        DL_APPEND (handler->ready, call);
    arm (self, call);
    lend_ready (self, handler);
}

/*  A new call: behind the older ones of its session, or ready. */
static void enter (tide_dispatch_t *self, tide_lent_call_t *call)
{
    if (self->sequencer && (!call->chain || call->chain->calls == call))
        ready (self, call);
}

void tide_dispatch_enter_volatile (tide_dispatch_t *self, tide_handler_t *handler,
                                   tide_bytes_t record)
{
    enter (self, add_call (self, ++self->volatile_number, handler, record));
}

bool tide_dispatch_is_new (tide_dispatch_t *self, const tide_call_message_t *call)
{
    tide_event_t event = {.topic = call->from, .user = call->user, .id = call->id};
    tide_id_t id = tide_id (self->core->hash_seed, &event);
    uint64_t content;
    if (!self->volatile_ids) {
        self->volatile_ids = tide_ids_new (TIDE_DISPATCH_CALLS_MAX);
        tide_ids_settle (self->volatile_ids);
    }
    if (tide_ids_find (self->volatile_ids, &id, &content) > 0)
        return false;
    tide_ids_add (self->volatile_ids, &id, self->volatile_number + 1);
    return true;
}

/*  -- ends ------------------------------------------------------------------------------------ */

static tide_call_end_t end_of (const tide_lent_call_t *call, tide_event_t *event)
{
    event_of (call, event);
    return (tide_call_end_t){.event = event,
                             .number = call->number,
                             .attempts = attempts_of (call),
                             .service = call->handler->service->name,
                             .is_volatile = call->key == 0};
}

/*  Appends what ends a logged call; the answer goes to the peer, unless that is empty. False if
 *  there is no room now. */
static bool append_end (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                        const tide_call_end_t *end)
{
    tide_buffer_t events = {0}, expects = {0};
    uint32_t count = tide_call_end_append (end, &events);
    tide_expect_append (
        &expects,
        &(tide_expect_t){.topic = end->event->topic, .key = end->event->key, .seq = end->number});
    tide_publish_message_t publish = {.request = request,
                                      .expects = tide_list (&expects, 1),
                                      .events = tide_list (&events, count)};
    bool done = tide_sequencer_append (self->sequencer, self->now_ms, peer, &publish);
    tide_buffer_free (&events);
    tide_buffer_free (&expects);
    return done;
}

/*  A volatile call's reply leaves at once. */
static void publish_end (tide_dispatch_t *self, const tide_call_end_t *end)
{
    tide_buffer_t events = {0};
    uint32_t count = tide_call_end_append (end, &events);
    tide_list_t list = tide_list (&events, count);
    if (count > 0)
        tide_marks_volatile (self->core, self->now_ms, &list);
    tide_buffer_free (&events);
}

/*  Says the error that it ends with. */
static void end_call (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_event_t event;
    tide_call_end_t end = end_of (call, &event);
    end.code = call->code;
    end.message = tide_bytes (call->message);
    end.is_dead = true;
    if (call->key) {
        append_end (self, (tide_bytes_t){0}, 0, &end);
        tide_due_set (&self->due, call->handle, self->now_ms + ENDING_MS);
        return;
    }
    publish_end (self, &end);
    remove_call (self, call);
}

void tide_dispatch_fail (tide_dispatch_t *self, tide_lent_call_t *call, tide_status_t code,
                         const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    let_go (call);
    become (self, call, TIDE_CALL_ENDING);
    call->code = code;
    call->message = tide_copy (text, strlen (text));
    self->core->counters.calls_failed++;
    end_call (self, call);
}

void tide_dispatch_retry (tide_dispatch_t *self, tide_lent_call_t *call, uint64_t delay_ms,
                          tide_status_t code, const char *why)
{
    const tide_service_t *service = call->handler->service;
    uint32_t made = attempts_of (call), most = call->key ? service->attempts : 1;
    if (made >= most) {
        tide_dispatch_fail (self, call, code, "%s (attempt %u of %u)", why, made, most);
        return;
    }
    let_go (call);
    if (delay_ms == 0) {
        ready (self, call);
        return;
    }
    become (self, call, TIDE_CALL_RESTING);
    tide_due_set (&self->due, call->handle, self->now_ms + delay_ms);
}

void tide_dispatch_take_back (tide_dispatch_t *self, tide_lent_call_t *call)
{
    if (call->unused == TIDE_CALL_ATTEMPTS_MAX) {
        tide_dispatch_retry (self, call, tide_dispatch_delay_ms (call), TIDE_WORKER_FAILED,
                             "workers only give it back");
        return;
    }
    call->unused++;
    ready (self, call);
}

/*  Each attempt waits twice as long as the one before it. */
uint64_t tide_dispatch_delay_ms (const tide_lent_call_t *call)
{
    unsigned doublings = attempts_of (call) > 0 ? attempts_of (call) - 1 : 0;
    uint64_t delay_ms = call->handler->service->delay_ms;
    while (doublings-- > 0 && delay_ms < TIDE_CALL_DELAY_MS_MAX)
        delay_ms *= 2;
    return delay_ms < TIDE_CALL_DELAY_MS_MAX ? delay_ms : TIDE_CALL_DELAY_MS_MAX;
}

void tide_dispatch_acknowledge (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request)
{
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK,
                          .ack = {.request = request, .epoch = self->core->epoch}};
    tide_outbox_send (&self->core->out, peer, &ack);
}

bool tide_dispatch_handled (tide_dispatch_t *self, tide_bytes_t peer, tide_lent_call_t *call,
                            const tide_done_message_t *done)
{
    tide_event_t event;
    tide_call_end_t end = end_of (call, &event);
    end.code = (tide_status_t) done->code;
    end.message = done->message;
    end.payload = done->payload;
    end.events = done->events;
    if (call->key) {
        if (!append_end (self, peer, done->request, &end))
            return false;
        let_go (call);
        become (self, call, TIDE_CALL_ENDING);
        tide_due_set (&self->due, call->handle, self->now_ms + ENDING_MS);
        return true;
    }
    publish_end (self, &end);
    tide_publish_message_t publish = {.request = done->request, .events = done->events};
    bool is_taken = true;
    if (done->events.count == 0)
        tide_dispatch_acknowledge (self, peer, done->request);
    else
        is_taken = tide_sequencer_append (self->sequencer, self->now_ms, peer, &publish);
    remove_call (self, call);
    return is_taken;
}

/*  -- what the log says ----------------------------------------------------------------------- */

bool tide_dispatch_can_answer (tide_bytes_t from)
{
    uint8_t topic[TIDE_TOPIC_SIZE_MAX] = {'@'};
    if (from.size == 0 || from.size >= sizeof topic)
        return from.size == 0;
    memcpy (topic + 1, from.data, from.size);
    return tide_topic_valid ((tide_bytes_t){topic, from.size + 1});
}

static tide_lent_call_t *find_key (const tide_dispatch_t *self, uint32_t key)
{
    tide_lent_call_t *call;
    HASH_FIND (key_hh, self->by_key, &key, sizeof key, call);
    return call;
}

/*  Of a call that stands there may be no handler in the log any more: its topic has the service. */
static tide_handler_t *handler_of (tide_dispatch_t *self, const tide_event_t *event,
                                   const tide_called_t *called)
{
    tide_bytes_t service = {event->topic.data + strlen (TIDE_CALL_TOPIC),
                            event->topic.size - strlen (TIDE_CALL_TOPIC)};
    const uint8_t *slash = memchr (service.data, '/', service.size);
    if (slash)
        service.size = (size_t) (slash - service.data);
    tide_handler_t *handler = tide_services_find (&self->services, called->nsp, event->name);
    if (handler && tide_bytes_is (service, handler->service->name))
        return handler;
    if (!tide_service_valid (service))
        return NULL;
    /*  Another service took the event while the call was on its way: it is theirs now. */
    if (handler)
        return handler;
    if (HASH_COUNT (self->services.handlers) >= TIDE_HANDLERS_MAX)
        return NULL;
    handler = tide_services_stand (
        &self->services,
        &(tide_served_t){.service = service, .nsp = called->nsp, .event = event->name});
    handler->is_invented = true;
    handler->workerless_ms = self->now_ms;
    return handler;
}

static void stand_call (tide_dispatch_t *self, uint32_t key, const tide_event_t *event,
                        tide_bytes_t record)
{
    tide_args_t args;
    tide_called_t called;
    tide_handler_t *handler = NULL;
    if (tide_args_decode (event->payload, &args) == TIDE_OK
        && tide_called_decode (args.about, &called) && tide_dispatch_can_answer (event->from)
        && (called.answer.size == 0 || tide_topic_valid (called.answer)))
        handler = handler_of (self, event, &called);
    if (!handler) {
        self->core->counters.calls_unknown++;
        return;
    }
    tide_lent_call_t *call = add_call (self, event->seq, handler, record);
    call->key = key;
    HASH_ADD (key_hh, self->by_key, key, sizeof call->key, call);
    if (!self->sequencer)
        call->attempt = 1; /* it may have been lent before the start */
    enter (self, call);
}

static void stand_handler (tide_dispatch_t *self, const tide_event_t *event)
{
    tide_args_t args;
    tide_served_t served;
    if (tide_args_decode (event->payload, &args) == TIDE_OK
        && tide_served_decode (args.about, &served) && tide_service_valid (served.service))
        tide_services_stand (&self->services, &served)->is_logged = true;
}

void tide_dispatch_stand (tide_dispatch_t *self, uint64_t now_ms, uint32_t key,
                          const tide_event_t *event, tide_bytes_t record)
{
    self->now_ms = now_ms;
    if (begins (event->topic, TIDE_CALL_TOPIC)) {
        tide_dispatch_forget (self, key);
        stand_call (self, key, event, record);
    }
    else if (tide_bytes_is (event->topic, TIDE_SERVE_TOPIC))
        stand_handler (self, event);
}

void tide_dispatch_forget (tide_dispatch_t *self, uint32_t key)
{
    tide_lent_call_t *call = find_key (self, key);
    if (!call)
        return;
    self->core->counters.calls_over++;
    tide_worker_t *worker = call->worker;
    remove_call (self, call);
    if (worker) /* not by its own word: that has let go before */
        tide_dispatch_feed (self, worker);
}

void tide_dispatch_start (tide_dispatch_t *self, uint64_t now_ms, tide_sequencer_t *sequencer)
{
    self->now_ms = now_ms;
    self->sequencer = sequencer;
    /*  What workers still say of volatile calls before the start must be about none of now. */
    self->volatile_number = VOLATILE_NUMBER + ((now_ms & ((1ull << 43) - 1)) << VOLATILE_BITS);
    tide_handler_t *handler;
    for (handler = self->services.handlers; handler; handler = handler->hh.next)
        handler->workerless_ms = now_ms;
    tide_lent_call_t *call, *next;
    self->is_starting = true; /* in the order in which they came */
    HASH_ITER (hh, self->by_number, call, next) {
        call->came_ms = now_ms;
        enter (self, call);
    }
    self->is_starting = false;
}

void tide_dispatch_stop (tide_dispatch_t *self)
{
    self->is_stopping = true;
}

/*  -- time ------------------------------------------------------------------------------------ */

/*  Its end is durable soon, or was refused: then it is said again, or the call lent again. */
static void look_at_end (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_event_t event;
    event_of (call, &event);
    if (tide_sequencer_touches (self->sequencer, event.topic, event.key)
        || tide_sequencer_counts (self->sequencer).queued > 0) /* it may be among them */
        tide_due_set (&self->due, call->handle, self->now_ms + ENDING_MS);
    else if (call->message)
        end_call (self, call);
    else
        tide_dispatch_retry (self, call, 0, TIDE_WORKER_FAILED, "its end could not be appended");
}

static void fall_due (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_worker_t *worker = call->worker;
    switch (call->state) {
    case TIDE_CALL_READY:
        tide_dispatch_fail (self, call, TIDE_NO_WORKER, "no worker came for it within %llu ms",
                            (unsigned long long) self->workers_wait_ms);
        return;
    case TIDE_CALL_LENT:
        self->core->counters.calls_expired++;
        tide_dispatch_retry (self, call, tide_dispatch_delay_ms (call), TIDE_TIMEOUT,
                             "the worker did not answer in time");
        if (worker)
            tide_dispatch_feed (self, worker);
        return;
    case TIDE_CALL_RESTING:
        ready (self, call);
        return;
    case TIDE_CALL_ENDING:
        look_at_end (self, call);
        return;
    case TIDE_CALL_WAITING:
    case TIDE_CALL_STATES:
        break;
    }
    tide_assert (false); /* has no time */
}

void tide_dispatch_paused (tide_dispatch_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_handler_t *handler;
    for (handler = self->services.handlers; handler; handler = handler->hh.next) {
        if (handler->worker_count == 0)
            handler->workerless_ms = now_ms;
        tide_dispatch_arm (self, handler);
    }
    tide_lent_call_t *call;
    for (call = self->by_number; call; call = call->hh.next)
        if (call->state == TIDE_CALL_LENT)
            tide_due_set (&self->due, call->handle, now_ms + call->lease_ms);
}

void tide_dispatch_tick (tide_dispatch_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    uint32_t handle;
    while (self->sequencer && !self->is_stopping && tide_due_first (&self->due, now_ms, &handle))
        fall_due (self, self->calls[handle]);
}

uint64_t tide_dispatch_deadline_ms (const tide_dispatch_t *self)
{
    return self->sequencer && !self->is_stopping ? tide_due_first_ms (&self->due) : UINT64_MAX;
}

bool tide_dispatch_next_worker (const tide_dispatch_t *self, void **at, tide_bytes_t *peer)
{
    tide_worker_t *worker = *at ? ((tide_worker_t *) *at)->hh.next : self->services.workers;
    *at = worker;
    if (worker)
        *peer = (tide_bytes_t){worker->peer, worker->peer_size};
    return worker != NULL;
}

tide_dispatch_counts_t tide_dispatch_counts (const tide_dispatch_t *self)
{
    return (tide_dispatch_counts_t){.services = HASH_COUNT (self->services.services),
                                    .handlers = HASH_COUNT (self->services.handlers),
                                    .workers = HASH_COUNT (self->services.workers),
                                    .calls = HASH_COUNT (self->by_number),
                                    .waiting = self->counts[TIDE_CALL_WAITING],
                                    .ready = self->counts[TIDE_CALL_READY],
                                    .lent = self->counts[TIDE_CALL_LENT],
                                    .resting = self->counts[TIDE_CALL_RESTING],
                                    .ending = self->counts[TIDE_CALL_ENDING],
                                    .bytes = self->size};
}

static void count_open (const tide_services_t *services)
{
    tide_service_t *service, *next_service;
    HASH_ITER (hh, services->services, service, next_service)
        service->open_count = 0;
    tide_handler_t *handler, *next;
    HASH_ITER (hh, services->handlers, handler, next)
        handler->service->open_count += handler->open_count;
}

bool tide_dispatch_next_service (tide_dispatch_t *self, void **at, tide_service_counts_t *counts)
{
    if (!*at)
        count_open (&self->services);
    tide_service_t *service = *at;
    do
        service = service ? service->hh.next : self->services.services;
    while (service && !service->workers && service->open_count == 0);
    *at = service;
    if (!service)
        return false;
    *counts = (tide_service_counts_t){.name = service->name};
    const tide_worker_t *worker;
    DL_FOREACH (service->workers, worker) {
        counts->workers++;
        counts->credit += worker->credit;
        counts->in_hand += worker->in_hand;
    }
    if (service->open_count > counts->in_hand)
        counts->waiting = service->open_count - counts->in_hand;
    return true;
}
