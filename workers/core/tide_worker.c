/*  tide_worker.c - what a worker has in hand.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker.h"

#include "tide_except.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

/*  As the broker counts: its own events that end a call are beside the worker's. */
#define EVENTS_MAX (TIDE_PUBLISH_EVENTS_MAX - 3u)
#define SERVICE_SIZE_MAX 63u

typedef struct {
    char *nsp, *event;
    uint8_t flags;
} handler_t;

typedef enum { HAND_QUEUED, HAND_TAKEN } hand_state_t;

struct tide_hand {
    tide_hand_t *prev, *next; /* waiting; or taken, and owed part of its lease */
    UT_hash_handle hh;        /* by its number, unless it is replaced */
    hand_state_t state;
    bool is_owed;     /* its lease began before it was taken: its handler has not all of it yet */
    bool is_ended;    /* its end was said */
    bool is_replaced; /* it was lent anew to this same worker, or its log is another one */
    uint32_t lease_ms;
    uint64_t began_ms, until_ms; /* the lease */
    uint64_t taken_ms;
    tide_buffer_t events; /* to be appended with its end */
    uint32_t event_count;
    tide_hand_view_t view;
    uint8_t bytes[]; /* the event that is the call */
};

struct tide_worker_side {
    char *service;
    tide_serve_message_t options; /* without its spans */
    handler_t handlers[TIDE_SERVE_HANDLERS_MAX];
    size_t handler_count;
    uint64_t epoch;       /* of the log whose calls they are; 0: not known yet */
    uint32_t payload_max; /* 0: not known yet */
    tide_hand_t *by_number;
    tide_hand_t *waiting; /* in the order of lending */
    tide_hand_t *owed;    /* in the order of taking */
    uint64_t waiting_count;
    uint64_t due_ms; /* no lease is to be extended before this */
    tide_buffer_t scratch;
    tide_worker_counters_t counters;
};

tide_worker_side_t *tide_worker_side_new (void)
{
    return tide_alloc (sizeof (tide_worker_side_t));
}

static void settle (tide_worker_side_t *self, tide_hand_t *hand)
{
    if (hand->is_owed)
        DL_DELETE (self->owed, hand);
    hand->is_owed = false;
}

static void replace (tide_worker_side_t *self, tide_hand_t *hand)
{
    if (!hand->is_replaced)
        HASH_DEL (self->by_number, hand);
    hand->is_replaced = true;
    settle (self, hand);
}

static void remove_hand (tide_worker_side_t *self, tide_hand_t *hand)
{
    replace (self, hand);
    if (hand->state == HAND_QUEUED) {
        DL_DELETE (self->waiting, hand);
        self->waiting_count--;
    }
    tide_buffer_free (&hand->events);
    free (hand);
}

/*  It waited, and is another's by now. */
static void drop (tide_worker_side_t *self, tide_hand_t *hand)
{
    self->counters.returned++;
    remove_hand (self, hand);
}

void tide_worker_side_destroy (tide_worker_side_t **self_p)
{
    tide_worker_side_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    while (self->waiting)
        remove_hand (self, self->waiting);
    tide_assert (!self->by_number);
    for (size_t at = 0; at < self->handler_count; at++) {
        free (self->handlers[at].nsp);
        free (self->handlers[at].event);
    }
    free (self->service);
    tide_buffer_free (&self->scratch);
    free (self);
}

/*  -- what it serves -------------------------------------------------------------------------- */

/*  The handler of exactly these names; handler_count if there is none. */
static size_t find_exact (const tide_worker_side_t *self, tide_bytes_t nsp, tide_bytes_t event)
{
    size_t at = 0;
    while (at < self->handler_count
           && !(tide_bytes_is (nsp, self->handlers[at].nsp)
                && tide_bytes_is (event, self->handlers[at].event)))
        at++;
    return at;
}

/*  Names that no client can emit: `*` does not stand for them. */
static bool is_reserved (tide_bytes_t event)
{
    return event.size >= 5 && memcmp (event.data, "tide:", 5) == 0;
}

static bool is_hook (tide_bytes_t event)
{
    return tide_bytes_is (event, TIDE_HOOK_CONNECT) || tide_bytes_is (event, TIDE_HOOK_DISCONNECT)
           || tide_bytes_is (event, TIDE_HOOK_EXPIRED);
}

/*  In the broker's order: the namespace's own handlers before those of all namespaces. */
static size_t find_handler (const tide_worker_side_t *self, tide_bytes_t nsp, tide_bytes_t event)
{
    tide_bytes_t any = tide_bytes ("*");
    const tide_bytes_t names[][2] = {{nsp, event}, {nsp, any}, {any, event}, {any, any}};
    size_t at = self->handler_count;
    for (size_t name = 0; name < 4 && at == self->handler_count; name++)
        if (!is_reserved (event) || !tide_bytes_is (names[name][1], "*"))
            at = find_exact (self, names[name][0], names[name][1]);
    return at;
}

tide_status_t tide_worker_handle (tide_worker_side_t *self, tide_bytes_t nsp, tide_bytes_t event,
                                  uint8_t flags, size_t *index)
{
    bool is_namespace = tide_name_valid (nsp) && (nsp.data[0] == '/' || tide_bytes_is (nsp, "*"));
    if (!is_namespace || !tide_name_valid (event) || (is_reserved (event) && !is_hook (event))
        || (flags & ~(TIDE_HANDLER_VOLATILE | TIDE_HANDLER_UNORDERED)) != 0)
        return TIDE_BAD_REQUEST;
    if (find_exact (self, nsp, event) < self->handler_count)
        return TIDE_CONFLICT;
    if (self->handler_count == TIDE_SERVE_HANDLERS_MAX)
        return TIDE_TOO_MANY;
    *index = self->handler_count++;
    self->handlers[*index] =
        (handler_t){tide_copy (nsp.data, nsp.size), tide_copy (event.data, event.size), flags};
    return TIDE_OK;
}

tide_status_t tide_worker_serve (tide_worker_side_t *self, const tide_serve_message_t *service)
{
    tide_bytes_t name = service->service;
    if (name.size == 0 || name.size > SERVICE_SIZE_MAX || !tide_topic_valid (name)
        || memchr (name.data, '/', name.size))
        return TIDE_BAD_REQUEST;
    if (service->credit > TIDE_CREDIT_MAX || service->lease_ms > TIDE_CALL_LEASE_MS_MAX
        || service->attempts > TIDE_CALL_ATTEMPTS_MAX || service->delay_ms > TIDE_CALL_DELAY_MS_MAX)
        return TIDE_TOO_LARGE;
    char *copy = tide_copy (name.data, name.size);
    free (self->service);
    self->service = copy;
    self->options = *service;
    return TIDE_OK;
}

bool tide_worker_can_serve (const tide_worker_side_t *self)
{
    return self->service && self->handler_count > 0;
}

void tide_worker_offer (tide_worker_side_t *self, bool takes_calls, tide_message_t *serve)
{
    tide_assert (tide_worker_can_serve (self));
    self->scratch.size = 0;
    for (size_t at = 0; at < self->handler_count; at++) {
        const handler_t *handler = &self->handlers[at];
        tide_offer_append (&self->scratch,
                           &(tide_offer_t){tide_bytes (handler->nsp), tide_bytes (handler->event),
                                           handler->flags});
    }
    *serve = (tide_message_t){.kind = TIDE_MESSAGE_SERVE, .serve = self->options};
    serve->serve.request = 0;
    serve->serve.service = tide_bytes (self->service);
    serve->serve.offers = tide_list (&self->scratch, (uint32_t) self->handler_count);
    if (!takes_calls)
        serve->serve.credit = 0;
}

void tide_worker_up (tide_worker_side_t *self, uint64_t epoch, uint32_t payload_max)
{
    bool is_other_log = self->epoch != 0 && self->epoch != epoch;
    self->epoch = epoch;
    self->payload_max = payload_max;
    tide_hand_t *hand, *next;
    HASH_ITER (hh, self->by_number, hand, next) {
        if (hand->state == HAND_QUEUED)
            drop (self, hand);
        else if (is_other_log)
            replace (self, hand);
    }
}

/*  -- calls ----------------------------------------------------------------------------------- */

/*  What this same worker has of the call already. */
static tide_hand_t *find_current (const tide_worker_side_t *self, uint64_t number)
{
    tide_hand_t *hand;
    HASH_FIND (hh, self->by_number, &number, sizeof number, hand);
    return hand;
}

static tide_hand_t *hand_new (const tide_lend_message_t *lend)
{
    tide_list_t list = lend->events;
    tide_bytes_t record;
    if (lend->events.count != 1 || !tide_list_next (&list, &record))
        return NULL;
    tide_hand_t *hand = tide_alloc (sizeof *hand + record.size);
    memcpy (hand->bytes, record.data, record.size);
    tide_hand_view_t *view = &hand->view;
    view->number = lend->call;
    view->attempt = lend->attempt;
    if (tide_event_decode ((tide_bytes_t){hand->bytes, record.size}, &view->event)
        && tide_args_decode (view->event.payload, &view->args) == TIDE_OK
        && tide_called_decode (view->args.about, &view->called))
        return hand;
    free (hand);
    return NULL;
}

static uint64_t extend_due_ms (const tide_hand_t *hand)
{
    return hand->began_ms + (hand->until_ms - hand->began_ms) / 2;
}

bool tide_worker_lent (tide_worker_side_t *self, uint64_t now_ms, const tide_lend_message_t *lend)
{
    tide_hand_t *hand = hand_new (lend);
    tide_hand_t *current = find_current (self, lend->call);
    if (hand)
        hand->view.handler = find_handler (self, hand->view.called.nsp, hand->view.event.name);
    if (!hand || hand->view.handler == self->handler_count
        || (current && current->view.attempt >= lend->attempt)) {
        self->counters.unknown++;
        free (hand);
        return false;
    }
    if (current) {
        self->counters.replaced++;
        if (current->state == HAND_QUEUED)
            remove_hand (self, current);
        else
            replace (self, current);
    }
    hand->lease_ms = lend->lease_ms;
    hand->began_ms = now_ms;
    hand->until_ms = now_ms + lend->lease_ms;
    HASH_ADD (hh, self->by_number, view.number, sizeof hand->view.number, hand);
    DL_APPEND (self->waiting, hand);
    if (self->waiting_count++ == 0 && !self->owed)
        self->due_ms = UINT64_MAX;
    if (extend_due_ms (hand) < self->due_ms)
        self->due_ms = extend_due_ms (hand);
    self->counters.lent++;
    return true;
}

static void begin_lease (tide_hand_t *hand, uint64_t now_ms, uint32_t lease_ms,
                         tide_message_t *extend)
{
    hand->began_ms = now_ms;
    hand->until_ms = now_ms + (lease_ms > 0 ? lease_ms : hand->lease_ms);
    *extend = (tide_message_t){.kind = TIDE_MESSAGE_EXTEND};
    extend->extend.call = hand->view.number;
    extend->extend.attempt = hand->view.attempt;
    extend->extend.lease_ms = lease_ms;
}

tide_hand_t *tide_worker_take (tide_worker_side_t *self, uint64_t now_ms)
{
    while (self->waiting && now_ms >= self->waiting->until_ms)
        drop (self, self->waiting); /* this process stood still */
    tide_hand_t *hand = self->waiting;
    if (!hand)
        return NULL;
    DL_DELETE (self->waiting, hand);
    self->waiting_count--;
    hand->state = HAND_TAKEN;
    hand->taken_ms = now_ms;
    hand->is_owed = now_ms > hand->began_ms;
    if (hand->is_owed)
        DL_APPEND (self->owed, hand);
    return hand;
}

static void say_again (uint64_t number, uint32_t attempt, uint32_t delay_ms, tide_message_t *done)
{
    *done = (tide_message_t){.kind = TIDE_MESSAGE_DONE};
    done->done.call = number;
    done->done.attempt = attempt;
    done->done.outcome = TIDE_OUTCOME_AGAIN;
    done->done.delay_ms = delay_ms;
}

bool tide_worker_give_back (tide_worker_side_t *self, tide_message_t *done)
{
    tide_hand_t *hand = self->waiting;
    if (!hand)
        return false;
    say_again (hand->view.number, hand->view.attempt, 0, done);
    done->done.outcome = TIDE_OUTCOME_NOT_BEGUN;
    self->counters.returned++;
    remove_hand (self, hand);
    return true;
}

void tide_worker_let (tide_worker_side_t *self, tide_hand_t **hand_p)
{
    tide_hand_t *hand = *hand_p;
    if (!hand)
        return;
    *hand_p = NULL;
    tide_assert (hand->state == HAND_TAKEN);
    remove_hand (self, hand);
}

bool tide_hand_is_over (const tide_hand_t *hand, uint64_t now_ms)
{
    return hand->is_ended || hand->is_replaced || now_ms >= hand->until_ms;
}

tide_status_t tide_worker_end (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                               const tide_worker_end_t *end, tide_message_t *done)
{
    tide_assert (hand->state == HAND_TAKEN);
    if (tide_hand_is_over (hand, now_ms))
        return TIDE_CONFLICT;
    if (self->payload_max > 0 && end->payload.size > self->payload_max)
        return TIDE_TOO_LARGE;
    bool is_handled = end->outcome == TIDE_OUTCOME_HANDLED;
    hand->is_ended = true;
    settle (self, hand);
    *done = (tide_message_t){.kind = TIDE_MESSAGE_DONE};
    done->done.call = hand->view.number;
    done->done.attempt = hand->view.attempt;
    done->done.outcome = (uint8_t) end->outcome;
    done->done.delay_ms = end->delay_ms;
    done->done.code = (uint8_t) end->code;
    done->done.message = end->message;
    if (is_handled && end->code == TIDE_OK)
        done->done.payload = end->payload;
    if (is_handled)
        done->done.events = tide_list (&hand->events, hand->event_count);
    return TIDE_OK;
}

tide_status_t tide_worker_extend (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                                  uint32_t lease_ms, tide_message_t *extend)
{
    if (tide_hand_is_over (hand, now_ms))
        return TIDE_CONFLICT;
    settle (self, hand);
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
    begin_lease (hand, now_ms, lease_ms, extend);
    return TIDE_OK;
}

tide_status_t tide_worker_emit (tide_worker_side_t *self, uint64_t now_ms, tide_hand_t *hand,
                                const tide_event_t *event)
{
    if (tide_hand_is_over (hand, now_ms))
        return TIDE_CONFLICT;
    if (!tide_topic_valid (event->topic) || !tide_except_valid (event->except)
        || event->except.size > TIDE_EXCEPT_SIZE_MAX)
        return TIDE_BAD_TOPIC;
    if (!tide_name_valid (event->name) || (event->key.size > 0 && !tide_name_valid (event->key))
        || (event->payload.size == 0 && event->key.size == 0))
        return TIDE_BAD_REQUEST;
    uint32_t payload_max = self->payload_max > 0 ? self->payload_max : TIDE_PAYLOAD_SIZE_MAX;
    if (event->payload.size > payload_max
        || hand->events.size + event->payload.size + TIDE_EVENT_OVERHEAD_MAX > TIDE_BATCH_SIZE_MAX)
        return TIDE_TOO_LARGE;
    if (hand->event_count >= EVENTS_MAX)
        return TIDE_TOO_MANY;
    tide_event_append (&hand->events, event);
    hand->event_count++;
    return TIDE_OK;
}

bool tide_worker_refused (tide_worker_side_t *self, const tide_worker_said_t *said,
                          tide_status_t status, tide_bytes_t why, tide_message_t *next)
{
    self->counters.refused++;
    if (said->outcome != TIDE_OUTCOME_HANDLED || status == TIDE_CONFLICT
        || status == TIDE_NOT_FOUND)
        return false;
    say_again (said->number, said->attempt, 0, next);
    next->done.message = why;
    if (status == TIDE_BAD_REQUEST || status == TIDE_BAD_TOPIC || status == TIDE_BAD_JSON
        || status == TIDE_TOO_LARGE || status == TIDE_TOO_MANY)
        next->done.outcome = TIDE_OUTCOME_NEVER;
    return true;
}

/*  -- time ------------------------------------------------------------------------------------ */

/*  What waits gets a whole lease anew. */
static bool extend_waiting (tide_worker_side_t *self, uint64_t now_ms, tide_message_t *extend)
{
    tide_hand_t *hand, *next;
    DL_FOREACH_SAFE (self->waiting, hand, next) {
        if (now_ms < extend_due_ms (hand))
            continue;
        if (now_ms < hand->until_ms) {
            begin_lease (hand, now_ms, 0, extend);
            return true;
        }
        drop (self, hand);
    }
    return false;
}

/*  What was taken gets what is lacking: its lease is whole from when it was taken. */
static bool extend_owed (tide_worker_side_t *self, uint64_t now_ms, tide_message_t *extend)
{
    tide_hand_t *hand, *next;
    DL_FOREACH_SAFE (self->owed, hand, next) {
        if (now_ms < extend_due_ms (hand))
            continue;
        settle (self, hand);
        if (tide_hand_is_over (hand, now_ms))
            continue;
        uint64_t until_ms = hand->taken_ms + hand->lease_ms;
        begin_lease (hand, now_ms, (uint32_t) (until_ms - now_ms), extend);
        return true;
    }
    return false;
}

bool tide_worker_next_extend (tide_worker_side_t *self, uint64_t now_ms, tide_message_t *extend)
{
    if (now_ms < self->due_ms)
        return false;
    if (extend_waiting (self, now_ms, extend) || extend_owed (self, now_ms, extend))
        return true;
    self->due_ms = UINT64_MAX;
    const tide_hand_t *hand;
    DL_FOREACH (self->waiting, hand)
        if (extend_due_ms (hand) < self->due_ms)
            self->due_ms = extend_due_ms (hand);
    DL_FOREACH (self->owed, hand)
        if (extend_due_ms (hand) < self->due_ms)
            self->due_ms = extend_due_ms (hand);
    return false;
}

uint64_t tide_worker_deadline_ms (const tide_worker_side_t *self)
{
    return self->waiting || self->owed ? self->due_ms : UINT64_MAX;
}

/*  -- what it is about ------------------------------------------------------------------------ */

const tide_hand_view_t *tide_hand_view (const tide_hand_t *hand)
{
    return &hand->view;
}

tide_worker_counters_t tide_worker_counters (const tide_worker_side_t *self)
{
    tide_worker_counters_t counters = self->counters;
    counters.waiting = self->waiting_count;
    return counters;
}
