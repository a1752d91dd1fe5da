/*  tide_uplink.c - a lane's sockets towards the broker, in the lane's own event loop.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_uplink.h"

#include "tide_alloc.h"
#include "tide_endpoint.h"
#include "tide_message.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/*  Messages that one socket may hand on in one round, and their bytes. */
#define BUDGET_MESSAGES 2000
#define BUDGET_BYTES (4u << 20)

#define RECONNECT_MS 50
#define RECONNECT_MAX_MS 1000
#define FAREWELL_MS 200

enum { DEALER, EVENTS, VOLATILES, SOCKETS };

typedef struct {
    void *zmq;
    ev_io io;
    bool is_pending; /* it may have something: not drained since the last edge or send */
} tide_uplink_socket_t;

/*  A prefix that is subscribed. Two subscriptions of the hub may share one. */
typedef struct {
    size_t size;
    unsigned count;
    uint8_t bytes[];
} tide_prefix_t;

struct tide_uplink {
    struct ev_loop *loop;
    void *zmq;
    char *broker;
    tide_uplink_fn *handler;
    void *argument;
    tide_uplink_socket_t socket[SOCKETS];
    void *prefixes[SOCKETS]; /* trees of tide_prefix_t (search.h): no bad case for names that
                                strangers choose */
    tide_uplink_counters_t counters;
};

/*  -- prefixes -------------------------------------------------------------------------------- */

static int compare (const void *one_p, const void *other_p)
{
    const tide_prefix_t *one = one_p, *other = other_p;
    return tide_bytes_compare ((tide_bytes_t){one->bytes, one->size},
                               (tide_bytes_t){other->bytes, other->size});
}

static tide_prefix_t *prefix_new (tide_bytes_t bytes)
{
    tide_prefix_t *prefix = tide_alloc (sizeof *prefix + bytes.size);
    prefix->size = bytes.size;
    memcpy (prefix->bytes, bytes.data, bytes.size);
    return prefix;
}

static void resubscribe (const void *node, VISIT visit, void *socket)
{
    const tide_prefix_t *prefix = *(tide_prefix_t *const *) node;
    if (visit == preorder || visit == leaf)
        zmq_setsockopt (socket, ZMQ_SUBSCRIBE, prefix->bytes, prefix->size);
}

void tide_uplink_subscribe (tide_uplink_t *self, tide_bytes_t bytes, bool is_volatile)
{
    int which = is_volatile ? VOLATILES : EVENTS;
    tide_prefix_t *prefix = prefix_new (bytes);
    tide_prefix_t **node = tsearch (prefix, &self->prefixes[which], compare);
    tide_assert (node);
    if (*node != prefix)
        free (prefix);
    if ((*node)->count++ == 0 && self->socket[which].zmq)
        zmq_setsockopt (self->socket[which].zmq, ZMQ_SUBSCRIBE, bytes.data, bytes.size);
}

void tide_uplink_unsubscribe (tide_uplink_t *self, tide_bytes_t bytes, bool is_volatile)
{
    int which = is_volatile ? VOLATILES : EVENTS;
    tide_prefix_t *key = prefix_new (bytes);
    tide_prefix_t **node = tfind (key, &self->prefixes[which], compare);
    free (key);
    if (!node || --(*node)->count > 0)
        return;
    if (self->socket[which].zmq)
        zmq_setsockopt (self->socket[which].zmq, ZMQ_UNSUBSCRIBE, bytes.data, bytes.size);
    tide_prefix_t *prefix = *node;
    tdelete (prefix, &self->prefixes[which], compare);
    free (prefix);
}

/*  -- sockets --------------------------------------------------------------------------------- */

static void on_edge (struct ev_loop *loop, ev_io *io, int events)
{
    (void) loop;
    (void) events;
    tide_uplink_socket_t *socket = io->data;
    socket->is_pending = true;
}

static void set (void *socket, int option, int value)
{
    int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    tide_assert (rc == 0);
}

static void socket_close (tide_uplink_t *self, int which, int linger_ms)
{
    tide_uplink_socket_t *socket = &self->socket[which];
    if (!socket->zmq)
        return;
    ev_io_stop (self->loop, &socket->io);
    set (socket->zmq, ZMQ_LINGER, linger_ms);
    zmq_close (socket->zmq);
    socket->zmq = NULL;
    socket->is_pending = false;
}

/*  A fresh socket, not yet connected. NULL only where the process has no descriptors left. */
static void *socket_open (tide_uplink_t *self, int which)
{
    socket_close (self, which, 0);
    tide_uplink_socket_t *socket = &self->socket[which];
    socket->zmq = zmq_socket (self->zmq, which == DEALER ? ZMQ_DEALER : ZMQ_SUB);
    if (!socket->zmq) {
        self->counters.errors++;
        return NULL;
    }
    int64_t message_size_max = TIDE_MESSAGE_SIZE_MAX;
    zmq_setsockopt (socket->zmq, ZMQ_MAXMSGSIZE, &message_size_max, sizeof message_size_max);
    set (socket->zmq, ZMQ_SNDHWM, TIDE_ROUTER_HWM);
    set (socket->zmq, ZMQ_RCVHWM,
         which == DEALER   ? TIDE_ROUTER_HWM
         : which == EVENTS ? TIDE_FANOUT_HWM
                           : TIDE_VOLATILE_HWM);
    set (socket->zmq, ZMQ_HEARTBEAT_IVL, TIDE_HEARTBEAT_MS);
    set (socket->zmq, ZMQ_HEARTBEAT_TIMEOUT, TIDE_LIVENESS_MS);
    set (socket->zmq, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set (socket->zmq, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    return socket->zmq;
}

static void socket_connect (tide_uplink_t *self, int which, const char *endpoint)
{
    tide_uplink_socket_t *socket = &self->socket[which];
    /*  Only where it is asked for: a name with both kinds of address would be taken as the one at
     *  which nobody listens. */
    set (socket->zmq, ZMQ_IPV6, strchr (endpoint, '[') ? 1 : 0);
    if (zmq_connect (socket->zmq, endpoint) != 0) {
        self->counters.errors++;
        socket_close (self, which, 0);
        return;
    }
    int fd;
    size_t size = sizeof fd;
    int rc = zmq_getsockopt (socket->zmq, ZMQ_FD, &fd, &size);
    tide_assert (rc == 0);
    ev_io_init (&socket->io, on_edge, fd, EV_READ);
    socket->io.data = socket;
    ev_io_start (self->loop, &socket->io);
    socket->is_pending = true;
}

void tide_uplink_connect (tide_uplink_t *self)
{
    if (socket_open (self, DEALER))
        socket_connect (self, DEALER, self->broker);
}

void tide_uplink_follow (tide_uplink_t *self, tide_bytes_t events, tide_bytes_t volatiles)
{
    if (socket_open (self, EVENTS)) {
        tide_buffer_t mark = {0};
        tide_fanout_mark_prefix (&mark);
        zmq_setsockopt (self->socket[EVENTS].zmq, ZMQ_SUBSCRIBE, mark.data, mark.size);
        tide_buffer_free (&mark);
        twalk_r (self->prefixes[EVENTS], resubscribe, self->socket[EVENTS].zmq);
        char *endpoint = tide_endpoint_told (self->broker, events);
        socket_connect (self, EVENTS, endpoint);
        free (endpoint);
    }
    if (volatiles.size > 0 && socket_open (self, VOLATILES)) {
        twalk_r (self->prefixes[VOLATILES], resubscribe, self->socket[VOLATILES].zmq);
        char *endpoint = tide_endpoint_told (self->broker, volatiles);
        socket_connect (self, VOLATILES, endpoint);
        free (endpoint);
    }
}

void tide_uplink_send (tide_uplink_t *self, tide_bytes_t bytes)
{
    tide_uplink_socket_t *socket = &self->socket[DEALER];
    /*  A send may use up the edge that would have told of something to receive. */
    socket->is_pending = socket->zmq != NULL;
    if (!socket->zmq || zmq_send (socket->zmq, bytes.data, bytes.size, ZMQ_DONTWAIT) < 0) {
        self->counters.dropped++;
        return;
    }
    self->counters.sent++;
    self->counters.sent_bytes += bytes.size;
}

static void hand_on (tide_uplink_t *self, int which, tide_bytes_t bytes)
{
    if (which == DEALER) {
        self->counters.received++;
        self->counters.received_bytes += bytes.size;
    }
    else {
        self->counters.published++;
        self->counters.published_bytes += bytes.size;
    }
    self->handler (self->argument, bytes, which != DEALER);
}

/*  True if the budget ended before the messages did. The handler only tells the hub, which acts
 *  later: the socket cannot be replaced meanwhile. */
static bool drain (tide_uplink_t *self, int which)
{
    tide_uplink_socket_t *socket = &self->socket[which];
    size_t taken = 0;
    for (unsigned messages = 0; messages < BUDGET_MESSAGES && taken < BUDGET_BYTES; messages++) {
        zmq_msg_t message;
        zmq_msg_init (&message);
        if (zmq_msg_recv (&message, socket->zmq, ZMQ_DONTWAIT) < 0) {
            /*  With EAGAIN ZeroMQ has taken up all that its descriptor told of. */
            socket->is_pending = false;
            return false;
        }
        taken += zmq_msg_size (&message);
        if (zmq_msg_more (&message))
            self->counters.errors++;
        else
            hand_on (self, which, (tide_bytes_t){zmq_msg_data (&message), zmq_msg_size (&message)});
        zmq_msg_close (&message);
    }
    return true;
}

bool tide_uplink_service (tide_uplink_t *self)
{
    bool has_more = false;
    for (int which = 0; which < SOCKETS; which++)
        if (self->socket[which].is_pending && drain (self, which))
            has_more = true;
    return has_more;
}

/*  -- its life -------------------------------------------------------------------------------- */

tide_uplink_t *tide_uplink_new (struct ev_loop *loop, void *zmq, const char *broker,
                                tide_uplink_fn *handler, void *argument)
{
    tide_uplink_t *self = tide_alloc (sizeof *self);
    self->loop = loop;
    self->zmq = zmq;
    self->broker = tide_copy (broker, strlen (broker));
    self->handler = handler;
    self->argument = argument;
    return self;
}

void tide_uplink_destroy (tide_uplink_t **self_p)
{
    tide_uplink_t *self = *self_p;
    if (!self)
        return;
    for (int which = 0; which < SOCKETS; which++) {
        socket_close (self, which, which == DEALER ? FAREWELL_MS : 0);
        tdestroy (self->prefixes[which], free);
    }
    free (self->broker);
    free (self);
    *self_p = NULL;
}

const tide_uplink_counters_t *tide_uplink_counters (const tide_uplink_t *self)
{
    return &self->counters;
}
