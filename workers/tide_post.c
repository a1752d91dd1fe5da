/*  tide_post.c - a worker's thread that talks to the broker.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_post.h"

#include "tide_link.h"
#include "tide_listener.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

/*  Messages taken from one socket before what follows from them is done. */
#define RECEIVE_BUDGET 500
#define RECONNECT_MS 50
#define RECONNECT_MAX_MS 1000
#define FAREWELL_MS 200
/*  Publishes that may await their answer: calls' ends always have a place beside them. */
#define PUBLISHES_MAX (TIDE_LINK_REQUESTS_MAX - TIDE_CREDIT_MAX - 16u)

_Static_assert(TIDE_LINK_REQUESTS_MAX > TIDE_CREDIT_MAX + 1000u, "publishes have places, too");

/*  Something that was handed over. */
typedef struct order order_t;
struct order {
    order_t *prev, *next; /* while it waits for the thread */
    UT_hash_handle hh;    /* while it awaits its answer, by token */
    uint64_t serial, token;
    bool is_cancelling; /* it is the request `serial` that is meant */
    bool is_publish;
    bool is_reading; /* nothing is lost if nobody answers it any more */
    tide_buffer_t bytes;
    tide_answered_fn *answered;
    void *argument;
};

struct tide_post {
    tide_post_config_t config;
    char *endpoint;
    char origin[40];
    pthread_t thread;
    int wake; /* an eventfd: something was handed over */

    pthread_mutex_t lock; /* of what follows */
    order_t *orders;
    uint64_t last_serial, last_id;
    size_t publishes;
    bool is_ending;
    uint64_t end_ms;

    /*  The thread's own. */
    void *context;
    tide_edge_t dealer;
    tide_link_t *link;
    tide_listener_t *listener;
    order_t *asked; /* by token */
    uint64_t tick_ms;
};

uint64_t tide_post_clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/*  -- handing over ---------------------------------------------------------------------------- */

/*  Whoever handed over before has woken the thread, and it has not looked yet. */
static bool is_awake (const tide_post_t *self)
{
    return self->orders != NULL;
}

void tide_post_wake (tide_post_t *self)
{
    uint64_t one = 1;
    ssize_t size = write (self->wake, &one, sizeof one);
    (void) size; /* a counter that is full has woken it already */
}

uint64_t tide_post_send (tide_post_t *self, const tide_message_t *message,
                         tide_answered_fn *answered, void *argument)
{
    order_t *order = tide_alloc (sizeof *order);
    order->is_publish = message->kind == TIDE_MESSAGE_PUBLISH;
    order->is_reading = message->kind == TIDE_MESSAGE_READ
                        || message->kind == TIDE_MESSAGE_MARKS_READ
                        || message->kind == TIDE_MESSAGE_SNAPSHOT;
    order->answered = answered;
    order->argument = argument;
    tide_message_encode (&order->bytes, message);
    pthread_mutex_lock (&self->lock);
    bool has_place = !order->is_publish || self->publishes < PUBLISHES_MAX;
    bool must_wake = has_place && !is_awake (self);
    uint64_t serial = 0;
    if (has_place) {
        serial = order->serial = ++self->last_serial;
        self->publishes += order->is_publish;
        DL_APPEND (self->orders, order);
    }
    pthread_mutex_unlock (&self->lock);
    if (must_wake)
        tide_post_wake (self);
    if (!has_place) {
        tide_buffer_free (&order->bytes);
        free (order);
    }
    return serial;
}

void tide_post_cancel (tide_post_t *self, uint64_t serial)
{
    order_t *order = tide_alloc (sizeof *order);
    order->serial = serial;
    order->is_cancelling = true;
    pthread_mutex_lock (&self->lock);
    bool must_wake = !is_awake (self);
    DL_APPEND (self->orders, order);
    pthread_mutex_unlock (&self->lock);
    if (must_wake)
        tide_post_wake (self);
}

void tide_post_follow (tide_post_t *self, tide_bytes_t pattern, bool on)
{
    tide_listener_follow (self->listener, pattern, on);
}

void tide_post_make_id (tide_post_t *self, char id[64])
{
    pthread_mutex_lock (&self->lock);
    uint64_t number = ++self->last_id;
    pthread_mutex_unlock (&self->lock);
    snprintf (id, 64, "%s-%" PRIu64, self->origin, number);
}

/*  -- answers --------------------------------------------------------------------------------- */

static void order_free (order_t *order)
{
    tide_buffer_free (&order->bytes);
    free (order);
}

/*  The order is not in any list by now. */
static void finish (tide_post_t *self, order_t *order, const tide_message_t *answer)
{
    if (order->is_publish) {
        pthread_mutex_lock (&self->lock);
        self->publishes--;
        pthread_mutex_unlock (&self->lock);
    }
    if (order->answered)
        order->answered (order->argument, order->serial, answer);
    order_free (order);
}

static void finish_failed (tide_post_t *self, order_t *order, tide_status_t status)
{
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL};
    fail.fail.code = (uint8_t) status;
    fail.fail.message = tide_bytes (tide_status_meaning (status));
    finish (self, order, &fail);
}

static void take_answer (tide_post_t *self, uint64_t token, const tide_message_t *answer)
{
    order_t *order;
    HASH_FIND (hh, self->asked, &token, sizeof token, order);
    if (!order)
        return;
    HASH_DEL (self->asked, order);
    finish (self, order, answer);
}

/*  -- the socket ------------------------------------------------------------------------------ */

static void set (void *socket, int option, int value)
{
    int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    tide_assert (rc == 0);
}

static void close_dealer (tide_post_t *self, int linger_ms)
{
    if (!self->dealer.socket)
        return;
    set (self->dealer.socket, ZMQ_LINGER, linger_ms);
    zmq_close (self->dealer.socket);
    self->dealer = (tide_edge_t){0};
}

/*  A fresh socket; none if the process has no descriptors left: the link tries again. */
static void connect_afresh (tide_post_t *self)
{
    close_dealer (self, 0);
    void *dealer = zmq_socket (self->context, ZMQ_DEALER);
    if (!dealer)
        return;
    int64_t size_max = TIDE_MESSAGE_SIZE_MAX;
    zmq_setsockopt (dealer, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    set (dealer, ZMQ_SNDHWM, TIDE_ROUTER_HWM);
    set (dealer, ZMQ_RCVHWM, TIDE_ROUTER_HWM);
    set (dealer, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set (dealer, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set (dealer, ZMQ_HEARTBEAT_IVL, TIDE_HEARTBEAT_MS);
    set (dealer, ZMQ_HEARTBEAT_TIMEOUT, TIDE_LIVENESS_MS);
    set (dealer, ZMQ_IPV6, strchr (self->endpoint, '[') != NULL);
    self->dealer = tide_edge (dealer);
    if (zmq_connect (dealer, self->endpoint) != 0)
        close_dealer (self, 0);
}

/*  -- the thread ------------------------------------------------------------------------------ */

static void cancel (tide_post_t *self, uint64_t serial)
{
    order_t *order, *next;
    HASH_ITER (hh, self->asked, order, next) {
        if (order->serial != serial)
            continue;
        tide_link_cancel (self->link, order->token);
        HASH_DEL (self->asked, order);
        finish_failed (self, order, TIDE_TIMEOUT);
        return;
    }
}

static void carry_out (tide_post_t *self, order_t *order)
{
    if (order->is_cancelling) {
        cancel (self, order->serial);
        order_free (order);
        return;
    }
    tide_message_t message;
    const char *why;
    tide_status_t status = tide_message_decode (tide_buffer_bytes (&order->bytes), &message, &why);
    tide_assert (status == TIDE_OK); /* we encoded it */
    if (message.kind == TIDE_MESSAGE_EXTEND || message.kind == TIDE_MESSAGE_GROUP_EXTEND) {
        tide_link_send (self->link, &message);
        order_free (order);
        return;
    }
    order->token = tide_link_request (self->link, tide_post_clock_ms (), &message);
    tide_buffer_free (&order->bytes);
    if (order->token == 0)
        finish_failed (self, order, TIDE_TOO_MANY);
    else
        HASH_ADD (hh, self->asked, token, sizeof order->token, order);
}

static void carry_out_all (tide_post_t *self)
{
    pthread_mutex_lock (&self->lock);
    order_t *orders = self->orders;
    self->orders = NULL;
    pthread_mutex_unlock (&self->lock);
    while (orders) {
        order_t *order = orders;
        DL_DELETE (orders, order);
        carry_out (self, order);
    }
}

static void hand_on (tide_post_t *self, const tide_message_t *message)
{
    if (message->kind == TIDE_MESSAGE_LEND)
        self->config.lent (self->config.argument, tide_post_clock_ms (), &message->lend);
    else
        self->config.member (self->config.argument, tide_post_clock_ms (), message);
}

static void drain_link (tide_post_t *self)
{
    tide_link_action_t action;
    while (tide_link_next_action (self->link, &action)) {
        switch (action.kind) {
        case TIDE_LINK_CONNECT:
            connect_afresh (self);
            break;
        case TIDE_LINK_SEND:
            /*  What cannot be sent the link says again. */
            if (self->dealer.socket)
                zmq_send (self->dealer.socket, action.bytes.data, action.bytes.size, ZMQ_DONTWAIT);
            self->dealer.is_touched = self->dealer.socket != NULL;
            break;
        case TIDE_LINK_UP:
            tide_listener_welcome (self->listener, &action.message->welcome);
            self->config.up (self->config.argument, &action.message->welcome);
            break;
        case TIDE_LINK_ANSWER:
            take_answer (self, action.token, action.message);
            break;
        case TIDE_LINK_LENT:
            hand_on (self, action.message);
            break;
        case TIDE_LINK_AWAY:    /* what is asked is asked again */
        case TIDE_LINK_RELAYED: /* is for those who hold a lease */
            break;
        }
    }
}

static void receive (tide_post_t *self)
{
    zmq_msg_t message;
    zmq_msg_init (&message);
    unsigned left = RECEIVE_BUDGET;
    for (; left > 0 && zmq_msg_recv (&message, self->dealer.socket, ZMQ_DONTWAIT) >= 0; left--) {
        tide_bytes_t bytes = {zmq_msg_data (&message), zmq_msg_size (&message)};
        tide_link_receive (self->link, tide_post_clock_ms (), bytes);
    }
    self->dealer.is_touched = left == 0;
    zmq_msg_close (&message);
}

/*  Until something comes, was handed over or is due. */
static void wait (tide_post_t *self, uint64_t deadline_ms)
{
    enum { WAKE, DEALER, HEARD, COUNT = HEARD + TIDE_LISTENER_SOCKETS };
    struct pollfd items[COUNT] = {[WAKE] = {.fd = self->wake, .events = POLLIN}};
    tide_edge_t *edges[COUNT] = {[DEALER] = &self->dealer};
    for (unsigned which = 0; which < TIDE_LISTENER_SOCKETS; which++)
        edges[HEARD + which] = tide_listener_edge (self->listener, which);
    bool has_input = false;
    for (unsigned each = DEALER; each < COUNT; each++) {
        items[each] = tide_edge_item (edges[each]);
        has_input |= tide_edge_has_input (edges[each]);
    }
    uint64_t now_ms = tide_post_clock_ms ();
    uint64_t wait_ms = deadline_ms > now_ms && !has_input ? deadline_ms - now_ms : 0;
    if (wait_ms > TIDE_HEARTBEAT_MS)
        wait_ms = TIDE_HEARTBEAT_MS;
    if (poll (items, COUNT, (int) wait_ms) <= 0)
        return;
    for (unsigned each = DEALER; each < COUNT; each++)
        edges[each]->is_touched |= items[each].revents != 0;
    uint64_t count;
    if (items[WAKE].revents != 0) {
        ssize_t size = read (self->wake, &count, sizeof count);
        (void) size;
    }
}

static bool is_idle (const tide_post_t *self)
{
    const order_t *order, *next;
    DL_FOREACH (self->orders, order) {
        if (!order->is_reading)
            return false;
    }
    HASH_ITER (hh, self->asked, order, next) {
        if (!order->is_reading)
            return false;
    }
    return true;
}

/*  Whether it ends now: all is answered, or the time that there was is up. */
static bool is_over (tide_post_t *self)
{
    pthread_mutex_lock (&self->lock);
    bool is_over = self->is_ending && (is_idle (self) || tide_post_clock_ms () >= self->end_ms);
    pthread_mutex_unlock (&self->lock);
    return is_over;
}

static uint64_t sooner (uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static void *run (void *argument)
{
    tide_post_t *self = argument;
    tide_link_start (self->link, tide_post_clock_ms ());
    drain_link (self);
    while (!is_over (self)) {
        wait (self, sooner (tide_link_deadline_ms (self->link), self->tick_ms));
        carry_out_all (self);
        if (self->dealer.is_touched)
            receive (self);
        tide_listener_receive (self->listener, RECEIVE_BUDGET, self->config.heard,
                               self->config.argument);
        uint64_t now_ms = tide_post_clock_ms ();
        if (tide_link_deadline_ms (self->link) <= now_ms)
            tide_link_tick (self->link, now_ms);
        drain_link (self);
        self->config.settle (self->config.argument);
        self->tick_ms = self->config.tick (self->config.argument, now_ms);
    }
    return NULL;
}

/*  -- its life -------------------------------------------------------------------------------- */

static bool is_endpoint (void *context, const char *endpoint)
{
    void *probe = zmq_socket (context, ZMQ_DEALER);
    if (!probe)
        return false;
    set (probe, ZMQ_LINGER, 0);
    set (probe, ZMQ_IPV6, strchr (endpoint, '[') != NULL);
    bool is_one = zmq_connect (probe, endpoint) == 0;
    zmq_close (probe);
    return is_one;
}

static void start (tide_post_t *self)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = pthread_create (&self->thread, NULL, run, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    tide_assert (rc == 0);
}

tide_post_t *tide_post_new (const char *endpoint, const char *name,
                            const tide_post_config_t *config)
{
    void *context = zmq_ctx_new ();
    tide_assert (context);
    if (!is_endpoint (context, endpoint)) {
        zmq_ctx_term (context);
        return NULL;
    }
    tide_post_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    self->context = context;
    self->endpoint = tide_copy (endpoint, strlen (endpoint));
    uint64_t random[2];
    ssize_t size = getrandom (random, sizeof random, 0);
    tide_assert (size == (ssize_t) sizeof random);
    snprintf (self->origin, sizeof self->origin, "%016" PRIx64 "%08x", random[0],
              (unsigned) random[1]);
    tide_link_config_t link = {.name = name, .origin = self->origin};
    self->link = tide_link_new (&link);
    self->listener = tide_listener_new (context, endpoint);
    self->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    tide_assert (self->wake >= 0);
    pthread_mutex_init (&self->lock, NULL);
    self->tick_ms = UINT64_MAX;
    start (self);
    return self;
}

static void say_bye (tide_post_t *self)
{
    tide_message_t bye = {.kind = TIDE_MESSAGE_BYE};
    tide_link_send (self->link, &bye);
    tide_link_action_t action;
    while (tide_link_next_action (self->link, &action))
        if (action.kind == TIDE_LINK_SEND && self->dealer.socket)
            zmq_send (self->dealer.socket, action.bytes.data, action.bytes.size, ZMQ_DONTWAIT);
}

static void finish_all (tide_post_t *self)
{
    order_t *order, *next;
    self->publishes += PUBLISHES_MAX; /* no more are taken */
    HASH_ITER (hh, self->asked, order, next) {
        HASH_DEL (self->asked, order);
        finish_failed (self, order, TIDE_SHUTTING_DOWN);
    }
    while (self->orders) {
        order = self->orders;
        DL_DELETE (self->orders, order);
        finish_failed (self, order, TIDE_SHUTTING_DOWN);
    }
}

void tide_post_destroy (tide_post_t **self_p, uint32_t linger_ms)
{
    tide_post_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    pthread_mutex_lock (&self->lock);
    self->is_ending = true;
    self->end_ms = tide_post_clock_ms () + linger_ms;
    pthread_mutex_unlock (&self->lock);
    tide_post_wake (self);
    pthread_join (self->thread, NULL);
    if (tide_link_is_up (self->link))
        say_bye (self);
    close_dealer (self, FAREWELL_MS);
    tide_listener_destroy (&self->listener);
    zmq_ctx_term (self->context);
    finish_all (self);
    tide_link_destroy (&self->link);
    pthread_mutex_destroy (&self->lock);
    close (self->wake);
    free (self->endpoint);
    free (self);
}
