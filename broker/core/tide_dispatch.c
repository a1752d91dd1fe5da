/*  tide_dispatch.c - calls: which worker gets which, and what becomes of it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_call_end.h"
#include "tide_check.h"
#include "tide_due.h"
#include "tide_marks.h"
#include "tide_services.h"
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

typedef enum { WAITING, READY, LENT, RESTING, ENDING, STATES } state_t;

struct tide_lent_call {
    uint64_t number;
    uint32_t key;    /* the index's handle; 0: volatile */
    uint32_t handle; /* in `calls` and `due` */
    state_t state;
    uint32_t attempt; /* how often it was lent */
    uint64_t came_ms;
    tide_handler_t *handler;
    tide_call_chain_t *chain;                  /* NULL: in no order */
    tide_worker_t *worker;                     /* while it is in its hands */
    tide_bytes_t record;                       /* owned: the event */
    tide_status_t code;                        /* ENDING by us: why */
    char *message;                             /* ENDING: NULL if a worker has ended it */
    tide_lent_call_t *prev, *next;             /* ready ones of the handler */
    tide_lent_call_t *hand_prev, *hand_next;   /* in the worker's hands */
    tide_lent_call_t *chain_prev, *chain_next; /* of the session */
    UT_hash_handle hh, key_hh;
};

/*  The calls of one session to one service, in order. */
struct tide_call_chain {
    tide_service_t *service;
    tide_lent_call_t *calls;
    uint32_t count;
    UT_hash_handle hh;
    size_t size;
    uint8_t from[];
};

struct tide_dispatch {
    tide_core_t *core;
    tide_sequencer_t *sequencer; /* NULL: not started */
    uint64_t workers_wait_ms, now_ms;
    bool is_stopping, is_starting;
    tide_services_t services;
    tide_lent_call_t *by_number, *by_key;
    tide_lent_call_t **calls; /* by handle, from 1 */
    uint32_t used, capacity;
    uint32_t *free;
    uint32_t free_count;
    tide_due_t due;
    uint64_t counts[STATES];
    uint64_t size; /* bytes of records */
    uint64_t volatile_number, given;
};

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

/*  -- calls ----------------------------------------------------------------------------------- */

static void become (tide_dispatch_t *self, tide_lent_call_t *call, state_t state)
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
    call->record = tide_core_copy (record);
    call->handle = take_handle (self, call);
    self->size += record.size;
    handler->open_count++;
    self->counts[WAITING]++;
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
    if (call->state == READY) {
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
    free ((void *) call->record.data);
    free (call->message);
    free (call);
    if (next && next->state == WAITING)
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
    free (self->calls);
    free (self->free);
    free (self);
}

/*  -- lending --------------------------------------------------------------------------------- */

static void lend (tide_dispatch_t *self, tide_lent_call_t *call, tide_worker_t *worker)
{
    uint32_t lease_ms = call->handler->service->lease_ms;
    let_go (call);
    become (self, call, LENT);
    call->attempt++;
    call->worker = worker;
    DL_APPEND2 (worker->calls, call, hand_prev, hand_next);
    worker->in_hand++;
    worker->given = ++self->given;
    tide_due_set (&self->due, call->handle, self->now_ms + lease_ms);
    tide_buffer_t list = {0};
    tide_list_append (&list, call->record);
    tide_message_t message = {.kind = TIDE_MESSAGE_LEND,
                              .lend = {.call = call->number,
                                       .attempt = call->attempt,
                                       .lease_ms = lease_ms,
                                       .events = tide_list (&list, 1)}};
    tide_outbox_send (&self->core->out, (tide_bytes_t){worker->peer, worker->peer_size}, &message);
    tide_buffer_free (&list);
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

/*  The worker can take more: of what is ready for it, each handler has its turn. */
static void feed (tide_dispatch_t *self, tide_worker_t *worker)
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

static void arm_all (tide_dispatch_t *self, const tide_handler_t *handler)
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
    become (self, call, READY);
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

/*  -- ends ------------------------------------------------------------------------------------ */

static tide_call_end_t end_of (const tide_lent_call_t *call, tide_event_t *event)
{
    event_of (call, event);
    return (tide_call_end_t){.event = event,
                             .number = call->number,
                             .attempts = call->attempt,
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

/*  Ends it with an error: of our own, so nobody is answered but the caller. */
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

static void fail (tide_dispatch_t *self, tide_lent_call_t *call, tide_status_t code,
                  const char *format, ...) __attribute__ ((format (printf, 4, 5)));
static void fail (tide_dispatch_t *self, tide_lent_call_t *call, tide_status_t code,
                  const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    let_go (call);
    become (self, call, ENDING);
    call->code = code;
    call->message = tide_copy (text, strlen (text));
    self->core->counters.calls_failed++;
    end_call (self, call);
}

/*  It was not handled: again, a while later, unless it was tried too often. */
static void retry (tide_dispatch_t *self, tide_lent_call_t *call, uint64_t delay_ms,
                   tide_status_t code, const char *why)
{
    const tide_service_t *service = call->handler->service;
    if (!call->key || call->attempt >= service->attempts) {
        fail (self, call, code, "%s (attempt %u of %u)", why, call->attempt,
              call->key ? service->attempts : 1);
        return;
    }
    let_go (call);
    if (delay_ms == 0) {
        ready (self, call);
        return;
    }
    become (self, call, RESTING);
    tide_due_set (&self->due, call->handle, self->now_ms + delay_ms);
}

/*  Each attempt waits twice as long as the one before it. */
static uint64_t growing_delay (const tide_lent_call_t *call)
{
    unsigned doublings = call->attempt > 0 ? call->attempt - 1 : 0;
    uint64_t delay_ms = call->handler->service->delay_ms;
    while (doublings-- > 0 && delay_ms < TIDE_CALL_DELAY_MS_MAX)
        delay_ms *= 2;
    return delay_ms < TIDE_CALL_DELAY_MS_MAX ? delay_ms : TIDE_CALL_DELAY_MS_MAX;
}

/*  -- what the log says ----------------------------------------------------------------------- */

/*  The session has a topic of its own, or there is none. */
static bool can_answer (tide_bytes_t from)
{
    char topic[TIDE_NAME_SIZE_MAX + 2];
    int size = snprintf (topic, sizeof topic, "@%.*s", TIDE_PRINT (from));
    return from.size == 0
           || ((size_t) size == from.size + 1
               && tide_topic_valid ((tide_bytes_t){(const uint8_t *) topic, (size_t) size}));
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
    if (handler) /* another service took the event while the call was on its way: it is theirs now
                  */
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
        && tide_called_decode (args.about, &called) && can_answer (event->from))
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
        feed (self, worker);
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

/*  -- what peers say -------------------------------------------------------------------------- */

static void acknowledge (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request)
{
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK,
                          .ack = {.request = request, .epoch = self->core->epoch}};
    tide_outbox_send (&self->core->out, peer, &ack);
}

static void refuse_full (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request)
{
    tide_core_fail (self->core, peer, request, TIDE_TOO_MANY, 0,
                    "too many publishes are waiting already: send again later");
}

/*  Handlers that a worker does not serve any more: their calls wait for another one. */
static void rearm (tide_dispatch_t *self, tide_handler_t *const *handlers, uint32_t count)
{
    for (uint32_t at = 0; at < count; at++)
        arm_all (self, handlers[at]);
}

static void join (tide_dispatch_t *self, tide_bytes_t peer, const tide_serve_message_t *serve)
{
    tide_worker_t *worker = tide_services_worker (&self->services, peer);
    uint32_t count = worker ? worker->handler_count : 0;
    tide_handler_t **before = tide_alloc ((count + 1) * sizeof *before);
    for (uint32_t at = 0; at < count; at++)
        before[at] = worker->handlers[at];
    worker = tide_services_join (&self->services, self->now_ms, peer, serve);
    rearm (self, before, count);
    rearm (self, worker->handlers, worker->handler_count);
    free (before);
    feed (self, worker);
}

void tide_dispatch_serve (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer,
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
        acknowledge (self, peer, serve->request);
        join (self, peer, serve);
    }
    else if (tide_sequencer_append (self->sequencer, now_ms, peer, &publish))
        join (self, peer, serve);
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
    tide_called_append (&about, &(tide_called_t){.nsp = call->nsp, .wanted = call->wanted});
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
    if (!can_answer (call->from))
        return TIDE_BAD_REQUEST;
    *why = text;
    uint32_t limit = self->core->payload_max;
    if (limit > TIDE_PAYLOAD_SIZE_MAX - TIDE_CALL_ABOUT_SIZE_MAX)
        limit = TIDE_PAYLOAD_SIZE_MAX - TIDE_CALL_ABOUT_SIZE_MAX;
    snprintf (text, sizeof text, "a payload of %zu bytes is above the limit of %u",
              call->payload.size, limit);
    return call->payload.size > limit ? TIDE_TOO_LARGE : TIDE_OK;
}

static void call_volatile (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                           tide_handler_t *handler, const tide_buffer_t *list)
{
    if (handler->worker_count == 0) {
        tide_core_fail (self->core, peer, request, TIDE_NO_WORKER, 0, "no worker is there for %.*s",
                        TIDE_PRINT (tide_handler_event (handler)));
        return;
    }
    acknowledge (self, peer, request);
    tide_bytes_t record = {list->data + 4, list->size - 4};
    enter (self, add_call (self, ++self->volatile_number, handler, record));
}

/*  What is around the arguments may be above what a publish has, they themselves are not. */
static bool is_sound (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                      const tide_buffer_t *list)
{
    tide_publish_message_t publish = {.request = request, .events = tide_list (list, 1)};
    bool is_volatile;
    const char *why;
    tide_status_t status = tide_check_publish (
        &publish, self->core->payload_max + TIDE_CALL_ABOUT_SIZE_MAX, &is_volatile, &why);
    if (status != TIDE_OK)
        tide_core_fail (self->core, peer, request, status, 0, "%s", why);
    return status == TIDE_OK;
}

static void call_logged (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request,
                         const tide_buffer_t *list)
{
    tide_publish_message_t publish = {.request = request, .events = tide_list (list, 1)};
    if (!tide_sequencer_append (self->sequencer, self->now_ms, peer, &publish))
        refuse_full (self, peer, request);
}

void tide_dispatch_call (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer,
                         const tide_call_message_t *call)
{
    self->now_ms = now_ms;
    tide_core_t *core = self->core;
    const char *why;
    core->counters.calls++;
    tide_status_t status = check_call (self, call, &why);
    if (status != TIDE_OK) {
        tide_core_fail (core, peer, call->request, status, 0, "%s", why);
        return;
    }
    tide_handler_t *handler = tide_services_find (&self->services, call->nsp, call->event);
    if (!handler) {
        tide_core_fail (core, peer, call->request, TIDE_NO_WORKER, 0,
                        "no worker has ever served %.*s in %.*s", TIDE_PRINT (call->event),
                        TIDE_PRINT (call->nsp));
        return;
    }
    if (HASH_COUNT (self->by_number) >= TIDE_DISPATCH_CALLS_MAX
        || self->size >= TIDE_DISPATCH_SIZE_MAX) {
        tide_core_fail (core, peer, call->request, TIDE_TOO_MANY, 0,
                        "%u calls of %llu bytes are open already", HASH_COUNT (self->by_number),
                        (unsigned long long) self->size);
        return;
    }
    tide_call_chain_t *chain;
    HASH_FIND (hh, handler->service->chains, call->from.data, call->from.size, chain);
    if (chain && chain->count >= TIDE_DISPATCH_SESSION_CALLS_MAX) {
        tide_core_fail (core, peer, call->request, TIDE_TOO_MANY, 0,
                        "%u calls of the session to %s are open already", chain->count,
                        handler->service->name);
        return;
    }
    tide_buffer_t list = {0};
    if (!make_call (call, handler, &list))
        tide_core_fail (core, peer, call->request, TIDE_BAD_REQUEST, 0,
                        "the arguments are not of the form that events have, or the namespace is "
                        "too long");
    else if (!is_sound (self, peer, call->request, &list)) {
    }
    else if (handler->flags & TIDE_HANDLER_VOLATILE)
        call_volatile (self, peer, call->request, handler, &list);
    else
        call_logged (self, peer, call->request, &list);
    tide_buffer_free (&list);
}

/*  -- what workers say ------------------------------------------------------------------------ */

static tide_lent_call_t *find_call (const tide_dispatch_t *self, uint64_t number)
{
    tide_lent_call_t *call;
    HASH_FIND (hh, self->by_number, &number, sizeof number, call);
    return call;
}

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

static void handled (tide_dispatch_t *self, tide_bytes_t peer, tide_lent_call_t *call,
                     const tide_done_message_t *done)
{
    tide_event_t event;
    tide_call_end_t end = end_of (call, &event);
    end.code = (tide_status_t) done->code;
    end.message = done->message;
    end.payload = done->payload;
    end.events = done->events;
    if (call->key) {
        if (!append_end (self, peer, done->request, &end)) {
            refuse_full (self, peer, done->request);
            return;
        }
        let_go (call);
        become (self, call, ENDING);
        tide_due_set (&self->due, call->handle, self->now_ms + ENDING_MS);
        return;
    }
    publish_end (self, &end);
    tide_publish_message_t publish = {.request = done->request, .events = done->events};
    if (done->events.count == 0)
        acknowledge (self, peer, done->request);
    else if (!tide_sequencer_append (self->sequencer, self->now_ms, peer, &publish))
        refuse_full (self, peer, done->request);
    remove_call (self, call);
}

/*  Why a worker's word does not count; NULL if it does. */
static const char *staleness (const tide_lent_call_t *call, uint32_t attempt)
{
    if (!call)
        return "the call is over";
    if (call->attempt != attempt || call->attempt == 0)
        return "the call was lent anew meanwhile";
    return call->state == ENDING ? "the call's end is with the log already" : NULL;
}

void tide_dispatch_done (tide_dispatch_t *self, uint64_t now_ms, tide_bytes_t peer,
                         const tide_done_message_t *done)
{
    self->now_ms = now_ms;
    enum { HANDLED, AGAIN, NEVER };
    tide_lent_call_t *call = find_call (self, done->call);
    const char *why = staleness (call, done->attempt);
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
    if (done->outcome == HANDLED)
        handled (self, peer, call, done);
    else {
        acknowledge (self, peer, done->request);
        if (done->outcome == AGAIN)
            retry (self, call, done->delay_ms > 0 ? done->delay_ms : growing_delay (call),
                   TIDE_WORKER_FAILED, *message ? message : "the worker could not handle it");
        else
            fail (self, call, TIDE_WORKER_FAILED, "%s",
                  *message ? message : "the worker will not handle it");
    }
    tide_worker_t *worker = tide_services_worker (&self->services, peer);
    if (worker)
        feed (self, worker);
}

void tide_dispatch_extend (tide_dispatch_t *self, uint64_t now_ms,
                           const tide_extend_message_t *extend)
{
    self->now_ms = now_ms;
    const tide_lent_call_t *call = find_call (self, extend->call);
    if (!call || call->attempt != extend->attempt || call->state != LENT)
        return;
    uint32_t lease_ms = extend->lease_ms > 0 ? extend->lease_ms : call->handler->service->lease_ms;
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
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
        retry (self, worker->calls, 0, TIDE_WORKER_FAILED, "the worker died");
    uint32_t count = worker->handler_count;
    tide_handler_t **before = tide_alloc ((count + 1) * sizeof *before);
    for (uint32_t at = 0; at < count; at++)
        before[at] = worker->handlers[at];
    tide_services_leave (&self->services, now_ms, &worker);
    rearm (self, before, count);
    free (before);
}

bool tide_dispatch_next_worker (const tide_dispatch_t *self, void **at, tide_bytes_t *peer)
{
    tide_worker_t *worker = *at ? ((tide_worker_t *) *at)->hh.next : self->services.workers;
    *at = worker;
    if (worker)
        *peer = (tide_bytes_t){worker->peer, worker->peer_size};
    return worker != NULL;
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
        retry (self, call, 0, TIDE_WORKER_FAILED, "its end could not be appended");
}

static void fall_due (tide_dispatch_t *self, tide_lent_call_t *call)
{
    tide_worker_t *worker = call->worker;
    switch (call->state) {
    case READY:
        fail (self, call, TIDE_NO_WORKER, "no worker came for it within %llu ms",
              (unsigned long long) self->workers_wait_ms);
        return;
    case LENT:
        self->core->counters.calls_expired++;
        retry (self, call, growing_delay (call), TIDE_TIMEOUT, "the worker did not answer in time");
        if (worker)
            feed (self, worker);
        return;
    case RESTING:
        ready (self, call);
        return;
    case ENDING:
        look_at_end (self, call);
        return;
    case WAITING:
    case STATES:
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
        arm_all (self, handler);
    }
    tide_lent_call_t *call;
    for (call = self->by_number; call; call = call->hh.next)
        if (call->state == LENT)
            tide_due_set (&self->due, call->handle, now_ms + call->handler->service->lease_ms);
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

tide_dispatch_counts_t tide_dispatch_counts (const tide_dispatch_t *self)
{
    return (tide_dispatch_counts_t){.services = HASH_COUNT (self->services.services),
                                    .handlers = HASH_COUNT (self->services.handlers),
                                    .workers = HASH_COUNT (self->services.workers),
                                    .calls = HASH_COUNT (self->by_number),
                                    .waiting = self->counts[WAITING],
                                    .ready = self->counts[READY],
                                    .lent = self->counts[LENT],
                                    .resting = self->counts[RESTING],
                                    .ending = self->counts[ENDING],
                                    .bytes = self->size};
}
