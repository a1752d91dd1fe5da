/*  tide_services.c - who serves what.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_services.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static _Thread_local char text[700];

/*  -- names ----------------------------------------------------------------------------------- */

bool tide_service_valid (tide_bytes_t name)
{
    if (name.size > TIDE_SERVICE_SIZE_MAX || !tide_name_valid (name)
        || memchr (name.data, '/', name.size) || memchr (name.data, '#', name.size))
        return false;
    return name.data[0] != '$' && name.data[0] != '@';
}

static bool is_any (tide_bytes_t name)
{
    return tide_bytes_is (name, "*");
}

static bool has_prefix (tide_bytes_t name, const char *prefix)
{
    size_t size = strlen (prefix);
    return name.size >= size && memcmp (name.data, prefix, size) == 0;
}

/*  Names that no client can emit. */
static bool is_reserved (tide_bytes_t event)
{
    return has_prefix (event, "tide:");
}

static bool is_hook (tide_bytes_t event)
{
    return tide_bytes_is (event, TIDE_HOOK_CONNECT) || tide_bytes_is (event, TIDE_HOOK_DISCONNECT)
           || tide_bytes_is (event, TIDE_HOOK_EXPIRED);
}

tide_bytes_t tide_handler_nsp (const tide_handler_t *self)
{
    return (tide_bytes_t){(const uint8_t *) self->name, self->nsp_size};
}

tide_bytes_t tide_handler_event (const tide_handler_t *self)
{
    return (tide_bytes_t){(const uint8_t *) self->name + self->nsp_size + 1,
                          self->size - self->nsp_size - 1};
}

/*  A namespace has no NUL, so it cannot run into the event. */
typedef struct {
    char bytes[2 * TIDE_NAME_SIZE_MAX + 1];
    size_t size;
} name_t;

static void name_of (name_t *name, tide_bytes_t nsp, tide_bytes_t event)
{
    memcpy (name->bytes, nsp.data, nsp.size);
    name->bytes[nsp.size] = 0;
    memcpy (name->bytes + nsp.size + 1, event.data, event.size);
    name->size = nsp.size + 1 + event.size;
}

/*  -- handlers -------------------------------------------------------------------------------- */

static tide_handler_t *find_exact (const tide_services_t *self, tide_bytes_t nsp,
                                   tide_bytes_t event)
{
    name_t name;
    tide_handler_t *handler;
    name_of (&name, nsp, event);
    HASH_FIND (hh, self->handlers, name.bytes, name.size, handler);
    return handler;
}

tide_handler_t *tide_services_find (const tide_services_t *self, tide_bytes_t nsp,
                                    tide_bytes_t event)
{
    tide_bytes_t any = tide_bytes ("*");
    const tide_bytes_t names[][2] = {{nsp, event}, {nsp, any}, {any, event}, {any, any}};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++) {
        if (is_any (names[at][1]) && is_reserved (event))
            continue; /* who serves all events means those that clients emit */
        tide_handler_t *handler = find_exact (self, names[at][0], names[at][1]);
        if (handler && !(handler->is_invented && handler->worker_count == 0))
            return handler;
    }
    return NULL;
}

bool tide_services_has_namespace (const tide_services_t *self, tide_bytes_t nsp)
{
    const tide_handler_t *handler;
    for (handler = self->handlers; handler; handler = handler->hh.next)
        if (tide_bytes_equal (tide_handler_nsp (handler), nsp))
            return true;
    return false;
}

static tide_service_t *take_service (tide_services_t *self, tide_bytes_t name)
{
    tide_service_t *service;
    HASH_FIND (hh, self->services, name.data, name.size, service);
    if (service)
        return service;
    service = tide_alloc (sizeof *service);
    snprintf (service->name, sizeof service->name, "%.*s", TIDE_PRINT (name));
    service->lease_ms = TIDE_CALL_LEASE_MS;
    service->attempts = TIDE_CALL_ATTEMPTS;
    service->delay_ms = TIDE_CALL_DELAY_MS;
    HASH_ADD (hh, self->services, name, name.size, service);
    return service;
}

tide_handler_t *tide_services_stand (tide_services_t *self, const tide_served_t *served)
{
    tide_handler_t *handler = find_exact (self, served->nsp, served->event);
    if (!handler) {
        name_t name;
        name_of (&name, served->nsp, served->event);
        handler = tide_alloc (sizeof *handler + name.size);
        memcpy (handler->name, name.bytes, name.size);
        handler->nsp_size = served->nsp.size;
        handler->size = name.size;
        HASH_ADD (hh, self->handlers, name, name.size, handler);
    }
    handler->is_logged = handler->is_invented = false;
    handler->flags = served->flags;
    handler->service = take_service (self, served->service);
    return handler;
}

/*  -- what a worker says ---------------------------------------------------------------------- */

/*  What is 0 is as it is unless told. */
static uint32_t told_or (uint32_t told, uint32_t otherwise)
{
    return told > 0 ? told : otherwise;
}

static tide_status_t check_range (const char *what, uint32_t value, uint32_t min, uint32_t max,
                                  const char **why)
{
    if (value >= min && value <= max)
        return TIDE_OK;
    snprintf (text, sizeof text, "%s is from %u to %u, not %u", what, min, max, value);
    *why = text;
    return TIDE_BAD_REQUEST;
}

static tide_status_t check_service (const tide_serve_message_t *serve, const char **why)
{
    *why = "a service's name is 1-63 bytes of UTF-8: one level of a topic";
    if (!tide_service_valid (serve->service))
        return TIDE_BAD_REQUEST;
    if (serve->offers.count == 0 || serve->offers.count > TIDE_SERVE_HANDLERS_MAX) {
        snprintf (text, sizeof text, "a worker serves 1 to %u events, not %u",
                  TIDE_SERVE_HANDLERS_MAX, serve->offers.count);
        *why = text;
        return serve->offers.count == 0 ? TIDE_BAD_REQUEST : TIDE_TOO_MANY;
    }
    tide_status_t status = check_range ("the credit", serve->credit, 0, TIDE_CREDIT_MAX, why);
    if (status == TIDE_OK)
        status = check_range ("lease_ms", told_or (serve->lease_ms, TIDE_CALL_LEASE_MS),
                              TIDE_CALL_LEASE_MS_MIN, TIDE_CALL_LEASE_MS_MAX, why);
    if (status == TIDE_OK)
        status = check_range ("attempts", told_or (serve->attempts, TIDE_CALL_ATTEMPTS), 1,
                              TIDE_CALL_ATTEMPTS_MAX, why);
    if (status == TIDE_OK)
        status = check_range ("delay_ms", told_or (serve->delay_ms, TIDE_CALL_DELAY_MS), 1,
                              TIDE_CALL_DELAY_MS_MAX, why);
    return status;
}

/*  True if other workers of the service are there than this peer. */
static bool has_others (const tide_service_t *service, const tide_worker_t *self)
{
    return service->workers && (service->workers != self || self->next);
}

static tide_status_t check_agreement (const tide_service_t *service, const tide_worker_t *self,
                                      const tide_serve_message_t *serve, const char **why)
{
    const struct {
        const char *what;
        uint32_t has, wants;
    } options[] = {
        {"lease_ms", service->lease_ms, told_or (serve->lease_ms, TIDE_CALL_LEASE_MS)},
        {"attempts", service->attempts, told_or (serve->attempts, TIDE_CALL_ATTEMPTS)},
        {"delay_ms", service->delay_ms, told_or (serve->delay_ms, TIDE_CALL_DELAY_MS)},
    };
    for (size_t at = 0; has_others (service, self) && at < sizeof options / sizeof options[0];
         at++) {
        if (options[at].has == options[at].wants)
            continue;
        snprintf (text, sizeof text, "%s has %s %u for other workers that are here, not %u",
                  service->name, options[at].what, options[at].has, options[at].wants);
        *why = text;
        return TIDE_CONFLICT;
    }
    return TIDE_OK;
}

static tide_status_t check_names (const tide_offer_t *handler, const char **why)
{
    *why = "a handler's namespace is * or begins with / and is UTF-8 without control characters";
    if (!is_any (handler->nsp) && (!tide_name_valid (handler->nsp) || handler->nsp.data[0] != '/'))
        return TIDE_BAD_REQUEST;
    *why = "a handler's event is 1-255 bytes of UTF-8 without control characters, or *";
    if (!tide_name_valid (handler->event))
        return TIDE_BAD_REQUEST;
    *why = "of the names that begin with tide: a worker can serve tide:connect, tide:disconnect "
           "and tide:session_expired";
    if (is_reserved (handler->event) && !is_hook (handler->event))
        return TIDE_BAD_REQUEST;
    *why = "a handler's namespace and event are too long together";
    return handler->nsp.size + handler->event.size + 4 <= TIDE_NAME_SIZE_MAX ? TIDE_OK
                                                                             : TIDE_TOO_LARGE;
}

/*  True if somebody else than the worker handles it just now. */
static bool is_shared (const tide_handler_t *handler, const tide_worker_t *worker)
{
    return handler->worker_count > 1
           || (handler->worker_count == 1 && handler->workers[0] != worker);
}

static tide_status_t check_handler (const tide_services_t *self, const tide_worker_t *worker,
                                    tide_bytes_t service, const tide_offer_t *record,
                                    const char **why)
{
    tide_status_t status = check_names (record, why);
    if (status != TIDE_OK)
        return status;
    const tide_handler_t *handler = find_exact (self, record->nsp, record->event);
    *why = text;
    if (!handler) {
        snprintf (text, sizeof text, "%u events are served already", TIDE_HANDLERS_MAX);
        return HASH_COUNT (self->handlers) < TIDE_HANDLERS_MAX ? TIDE_OK : TIDE_TOO_MANY;
    }
    bool is_free = handler->worker_count == 0 && handler->open_count == 0;
    if (!tide_bytes_is (service, handler->service->name) && !is_free) {
        snprintf (text, sizeof text, "%.*s in %.*s is served by %s", TIDE_PRINT (record->event),
                  TIDE_PRINT (record->nsp), handler->service->name);
        return TIDE_CONFLICT;
    }
    if (handler->flags != record->flags && is_shared (handler, worker)) {
        snprintf (text, sizeof text,
                  "%.*s in %.*s is handled with other flags (%u) by workers that are here",
                  TIDE_PRINT (record->event), TIDE_PRINT (record->nsp), handler->flags);
        return TIDE_CONFLICT;
    }
    return TIDE_OK;
}

/*  The event by which the log knows the handler. */
static void append_served (tide_buffer_t *list, const tide_served_t *served)
{
    char key[TIDE_NAME_SIZE_MAX + 1];
    int size = snprintf (key, sizeof key, "%zu:%.*s%.*s", served->nsp.size,
                         TIDE_PRINT (served->nsp), TIDE_PRINT (served->event));
    tide_buffer_t about = {0}, payload = {0};
    tide_served_append (&about, served);
    tide_args_encode (&payload, &(tide_args_t){.about = {about.data + 4, about.size - 4},
                                               .json = tide_bytes ("null")});
    tide_event_append (list, &(tide_event_t){.topic = tide_bytes (TIDE_SERVE_TOPIC),
                                             .name = tide_bytes ("served"),
                                             .key = {(const uint8_t *) key, (size_t) size},
                                             .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

tide_status_t tide_services_admit (tide_services_t *self, tide_bytes_t peer,
                                   const tide_serve_message_t *serve, tide_buffer_t *changed,
                                   uint32_t *count, const char **why)
{
    const tide_worker_t *worker = tide_services_worker (self, peer);
    tide_status_t status = check_service (serve, why);
    if (status != TIDE_OK)
        return status;
    tide_service_t *service;
    HASH_FIND (hh, self->services, serve->service.data, serve->service.size, service);
    if (service)
        status = check_agreement (service, worker, serve, why);
    tide_offer_t record;
    for (tide_list_t list = serve->offers; status == TIDE_OK && tide_offer_next (&list, &record);)
        status = check_handler (self, worker, serve->service, &record, why);
    *count = 0;
    for (tide_list_t list = serve->offers; status == TIDE_OK && tide_offer_next (&list, &record);) {
        const tide_handler_t *known = find_exact (self, record.nsp, record.event);
        if (known && known->is_logged && known->flags == record.flags
            && tide_bytes_is (serve->service, known->service->name))
            continue;
        tide_served_t served = {serve->service, record.nsp, record.event, record.flags};
        append_served (changed, &served);
        tide_services_stand (self, &served);
        (*count)++;
    }
    return status;
}

/*  -- workers --------------------------------------------------------------------------------- */

tide_worker_t *tide_services_worker (const tide_services_t *self, tide_bytes_t peer)
{
    tide_worker_t *worker;
    HASH_FIND (hh, self->workers, peer.data, peer.size, worker);
    return worker;
}

static void add_worker (tide_handler_t *handler, tide_worker_t *worker)
{
    if (handler->worker_count == handler->worker_capacity) {
        handler->worker_capacity = handler->worker_capacity > 0 ? handler->worker_capacity * 2 : 4;
        handler->workers =
            tide_realloc (handler->workers, handler->worker_capacity * sizeof *handler->workers);
    }
    handler->workers[handler->worker_count++] = worker;
}

static void remove_worker (tide_handler_t *handler, const tide_worker_t *worker)
{
    for (uint32_t at = 0; at < handler->worker_count; at++)
        if (handler->workers[at] == worker) {
            handler->workers[at] = handler->workers[--handler->worker_count];
            return;
        }
}

static void drop_handlers (tide_worker_t *worker, uint64_t now_ms)
{
    for (uint32_t at = 0; at < worker->handler_count; at++) {
        tide_handler_t *handler = worker->handlers[at];
        remove_worker (handler, worker);
        if (handler->worker_count == 0)
            handler->workerless_ms = now_ms;
    }
    free (worker->handlers);
    worker->handlers = NULL;
    worker->handler_count = 0;
}

static bool handles (const tide_worker_t *worker, const tide_handler_t *handler)
{
    for (uint32_t at = 0; at < worker->handler_count; at++)
        if (worker->handlers[at] == handler)
            return true;
    return false;
}

static void take_handlers (tide_services_t *self, tide_worker_t *worker, tide_list_t list)
{
    worker->handlers = tide_alloc (list.count * sizeof *worker->handlers);
    tide_offer_t record;
    while (tide_offer_next (&list, &record)) {
        tide_handler_t *handler = find_exact (self, record.nsp, record.event);
        if (handles (worker, handler)) /* named twice */
            continue;
        worker->handlers[worker->handler_count++] = handler;
        add_worker (handler, worker);
    }
}

tide_worker_t *tide_services_join (tide_services_t *self, uint64_t now_ms, tide_bytes_t peer,
                                   const tide_serve_message_t *serve)
{
    tide_service_t *service = take_service (self, serve->service);
    tide_worker_t *worker = tide_services_worker (self, peer);
    if (!worker) {
        worker = tide_alloc (sizeof *worker + peer.size);
        memcpy (worker->peer, peer.data, peer.size);
        worker->peer_size = peer.size;
        HASH_ADD (hh, self->workers, peer, worker->peer_size, worker);
    }
    else {
        drop_handlers (worker, now_ms);
        DL_DELETE (worker->service->workers, worker);
    }
    worker->service = service;
    DL_APPEND (service->workers, worker);
    service->lease_ms = told_or (serve->lease_ms, TIDE_CALL_LEASE_MS);
    service->attempts = told_or (serve->attempts, TIDE_CALL_ATTEMPTS);
    service->delay_ms = told_or (serve->delay_ms, TIDE_CALL_DELAY_MS);
    worker->credit = serve->credit;
    take_handlers (self, worker, serve->offers);
    return worker;
}

void tide_services_leave (tide_services_t *self, uint64_t now_ms, tide_worker_t **worker_p)
{
    tide_worker_t *worker = *worker_p;
    *worker_p = NULL;
    tide_assert (!worker->calls);
    drop_handlers (worker, now_ms);
    DL_DELETE (worker->service->workers, worker);
    HASH_DEL (self->workers, worker);
    free (worker);
}

tide_worker_t *tide_handler_pick (const tide_handler_t *self)
{
    tide_worker_t *best = NULL;
    for (uint32_t at = 0; at < self->worker_count; at++) {
        tide_worker_t *worker = self->workers[at];
        if (worker->in_hand >= worker->credit)
            continue;
        if (!best || worker->in_hand < best->in_hand
            || (worker->in_hand == best->in_hand && worker->given < best->given))
            best = worker;
    }
    return best;
}

void tide_services_free (tide_services_t *self)
{
    tide_worker_t *worker, *next_worker;
    HASH_ITER (hh, self->workers, worker, next_worker)
        tide_services_leave (self, 0, &worker);
    tide_handler_t *handler, *next_handler;
    HASH_ITER (hh, self->handlers, handler, next_handler) {
        HASH_DEL (self->handlers, handler);
        free (handler->workers);
        free (handler);
    }
    tide_service_t *service, *next_service;
    HASH_ITER (hh, self->services, service, next_service) {
        HASH_DEL (self->services, service);
        free (service);
    }
}
