/*  tide_services.h - who serves what: services, their handlers, the workers that are there.
 *
 *  A handler is a pair of namespace and event and belongs to one service for as long as the log
 *  lasts: it stands in the topic $serve. Workers come and go; those of one service may handle
 *  different events of it, but agree on how its calls are lent.
 *
 *      service ─┬─ handler ── calls that are ready
 *               └─ worker ─── calls in its hands
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SERVICES_H
#define TIDE_SERVICES_H

#include "tide_message.h"
#include "tide_who.h"

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>

#define TIDE_SERVICE_SIZE_MAX 63
#define TIDE_SERVE_TOPIC "$serve"

typedef struct tide_service tide_service_t;
typedef struct tide_handler tide_handler_t;
typedef struct tide_worker tide_worker_t;
typedef struct tide_lent_call tide_lent_call_t; /* tide_dispatch_internal.h */
typedef struct tide_call_chain tide_call_chain_t;

struct tide_handler {
    tide_service_t *service;
    uint8_t flags;
    bool is_logged;          /* it stands in $serve */
    bool is_invented;        /* for calls of which it is not known any more whose they were */
    tide_lent_call_t *ready; /* in the order in which they are to be lent */
    uint32_t ready_count, open_count; /* of them; of all its calls */
    tide_worker_t **workers;
    uint32_t worker_count, worker_capacity;
    uint64_t workerless_ms; /* since when there is none */
    UT_hash_handle hh;
    size_t nsp_size, size;
    char name[]; /* namespace, NUL, event */
};

struct tide_worker {
    tide_service_t *service;
    tide_who_t who;
    uint32_t credit, in_hand;
    uint64_t given; /* rises with each call that it gets: of equals the one that waits longest */
    uint32_t turn;  /* the handler that is looked at first */
    tide_handler_t **handlers;
    uint32_t handler_count;
    tide_lent_call_t *calls;
    tide_worker_t *prev, *next; /* of the service */
    UT_hash_handle hh;
    size_t peer_size;
    uint8_t peer[];
};

struct tide_service {
    uint32_t lease_ms, attempts, delay_ms;
    tide_worker_t *workers;
    tide_call_chain_t *chains; /* by session */
    uint32_t open_count;       /* of its calls, when they were counted last */
    UT_hash_handle hh;
    char name[TIDE_SERVICE_SIZE_MAX + 1];
};

/*  Zero-initialise it; free with tide_services_free. */
typedef struct {
    tide_service_t *services;
    tide_handler_t *handlers;
    tide_worker_t *workers;
} tide_services_t;

/*  There must be no calls any more. */
void tide_services_free (tide_services_t *self);

/*  True for what can be a service's name: one level of a topic. */
bool tide_service_valid (tide_bytes_t name);

/*  Who handles the event there: a handler of just that, or one for all events of the namespace, or
 *  for the event in all namespaces, or for everything. NULL: nobody ever did. */
tide_handler_t *tide_services_find (const tide_services_t *self, tide_bytes_t nsp,
                                    tide_bytes_t event);

/*  Whether a worker has ever served anything in just this namespace. */
bool tide_services_has_namespace (const tide_services_t *self, tide_bytes_t nsp);

/*  There is such a handler; what was known of it is void. */
tide_handler_t *tide_services_stand (tide_services_t *self, const tide_served_t *served);

/*  Whether a worker may serve this. OK: then its handlers are there, and `changed` gets a list of
 *  *count events to be appended: what the log has yet to know. */
tide_status_t tide_services_admit (tide_services_t *self, tide_bytes_t peer,
                                   const tide_serve_message_t *serve, tide_buffer_t *changed,
                                   uint32_t *count, const char **why);
/*  The peer is a worker from now on, with these handlers, which were admitted. One that was
 *  a worker before keeps the calls that it has. */
tide_worker_t *tide_services_join (tide_services_t *self, uint64_t now_ms, tide_bytes_t peer,
                                   const tide_serve_message_t *serve);
tide_worker_t *tide_services_worker (const tide_services_t *self, tide_bytes_t peer);
/*  It is none any more; it must have no calls. */
void tide_services_leave (tide_services_t *self, uint64_t now_ms, tide_worker_t **worker_p);

/*  The worker that is to get the handler's next call: of those with credit the one with the fewest
 *  in hand. NULL: nobody takes one now. */
tide_worker_t *tide_handler_pick (const tide_handler_t *self);
tide_bytes_t tide_handler_nsp (const tide_handler_t *self);
tide_bytes_t tide_handler_event (const tide_handler_t *self);

#endif
