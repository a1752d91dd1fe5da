/*  tide_dispatch_internal.h - the state of dispatch, and the steps of a call's life that what peers
 *  say can lead to; private to tide_dispatch*.c.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DISPATCH_INTERNAL_H
#define TIDE_DISPATCH_INTERNAL_H

#include "tide_dispatch.h"
#include "tide_due.h"
#include "tide_ids.h"
#include "tide_services.h"

typedef enum {
    TIDE_CALL_WAITING,
    TIDE_CALL_READY,
    TIDE_CALL_LENT,
    TIDE_CALL_RESTING,
    TIDE_CALL_ENDING,
    TIDE_CALL_STATES
} tide_call_state_t;

struct tide_lent_call {
    uint64_t number;
    uint32_t key;    /* the index's handle; 0: volatile */
    uint32_t handle; /* in `calls` and `due` */
    tide_call_state_t state;
    uint32_t attempt;  /* how often it was lent */
    uint32_t unused;   /* … and given back before anybody had begun */
    uint32_t lease_ms; /* LENT: as it was told last */
    tide_who_t holder; /* to whom it was lent last, even if it is in nobody's hands by now */
    uint64_t came_ms;
    tide_handler_t *handler;
    tide_call_chain_t *chain;                  /* NULL: in no order */
    tide_worker_t *worker;                     /* while it is in its hands */
    tide_bytes_t record;                       /* the event; in `list` */
    uint8_t *list;                             /* it alone, as LEND has it */
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
    uint64_t counts[TIDE_CALL_STATES];
    uint64_t size; /* bytes of records */
    uint64_t volatile_number, given;
    tide_ids_t *volatile_ids; /* of calls that came lately; NULL: none did */
};

/*  NULL: there is no such call, or not any more. */
tide_lent_call_t *tide_dispatch_find (const tide_dispatch_t *self, uint64_t number);
/*  The session has a topic of its own, or there is none. */
bool tide_dispatch_can_answer (tide_bytes_t from);
void tide_dispatch_acknowledge (tide_dispatch_t *self, tide_bytes_t peer, uint64_t request);

/*  A call that is in no log enters. */
void tide_dispatch_enter_volatile (tide_dispatch_t *self, tide_handler_t *handler,
                                   tide_bytes_t record);
/*  False if it has come before, under its id, since the start and not too long ago: then it is open
 *  or over, and whoever says it again has not heard that it was taken. */
bool tide_dispatch_is_new (tide_dispatch_t *self, const tide_call_message_t *call);
/*  The worker can take more: of what is ready for it, each handler has its turn. */
void tide_dispatch_feed (tide_dispatch_t *self, tide_worker_t *worker);
/*  Workers of the handler came or went: from now on its calls wait for ever, or not. */
void tide_dispatch_arm (tide_dispatch_t *self, const tide_handler_t *handler);

/*  A worker has handled it, so it ends. False if there is no room for what is to be appended: then
 *  the worker has not been answered, and a logged call goes on. */
bool tide_dispatch_handled (tide_dispatch_t *self, tide_bytes_t peer, tide_lent_call_t *call,
                            const tide_done_message_t *done);
/*  It was not handled: again, a while later, unless it was tried too often. */
void tide_dispatch_retry (tide_dispatch_t *self, tide_lent_call_t *call, uint64_t delay_ms,
                          tide_status_t code, const char *why);
/*  Nobody has begun to handle it: to another one at once, and this attempt does not count, unless
 *  that goes on and on. */
void tide_dispatch_take_back (tide_dispatch_t *self, tide_lent_call_t *call);
/*  How long it rests unless somebody says otherwise. */
uint64_t tide_dispatch_delay_ms (const tide_lent_call_t *call);
/*  It ends with an error: of our own, so nobody is answered but the caller. */
void tide_dispatch_fail (tide_dispatch_t *self, tide_lent_call_t *call, tide_status_t code,
                         const char *format, ...) __attribute__ ((format (printf, 4, 5)));

#endif
