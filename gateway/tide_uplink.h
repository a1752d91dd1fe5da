/*  tide_uplink.h - a lane's sockets towards the broker, in the lane's own event loop.
 *
 *  A DEALER for the conversation and a SUB each for events and volatile events. What goes through
 *  them is decided by the hub; this only keeps ZeroMQ's descriptors, which tell of an edge and
 *  not of a state, in step with a loop: after each wake and each send a socket is drained until it
 *  has nothing more, at most a budget a round, and the loop does not sleep before that.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_UPLINK_H
#define TIDE_UPLINK_H

#include "tide_wire.h"

#include <ev.h>

typedef struct tide_uplink tide_uplink_t;

/*  What came: a frame of a SUB, or a message of the DEALER. Valid for the call. */
typedef void (tide_uplink_fn) (void *argument, tide_bytes_t bytes, bool is_published);

typedef struct {
    uint64_t sent, sent_bytes;
    uint64_t dropped; /* could not be sent: no broker, or its queue is full */
    uint64_t received, received_bytes;
    uint64_t published, published_bytes;
    uint64_t errors; /* endpoints that ZeroMQ refused, messages of several frames */
} tide_uplink_counters_t;

/*  zmq is a ZeroMQ context that outlives the uplink; broker is the endpoint of its ROUTER. */
tide_uplink_t *tide_uplink_new (struct ev_loop *loop, void *zmq, const char *broker,
                                tide_uplink_fn *handler, void *argument);

/*  Gives what was sent last up to 200 ms to leave. */
void tide_uplink_destroy (tide_uplink_t **self_p);

/*  Drops the DEALER, if there is one, and connects a fresh one. */
void tide_uplink_connect (tide_uplink_t *self);
/*  Sends on the DEALER; what cannot be sent is dropped and counted. */
void tide_uplink_send (tide_uplink_t *self, tide_bytes_t bytes);
/*  Fresh SUB sockets to where the broker publishes: endpoints, or ports on the broker's host;
 *  subscribed to marks and to every prefix that is subscribed. */
void tide_uplink_follow (tide_uplink_t *self, tide_bytes_t events, tide_bytes_t volatiles);
/*  Each subscription needs its own end. */
void tide_uplink_subscribe (tide_uplink_t *self, tide_bytes_t prefix, bool is_volatile);
void tide_uplink_unsubscribe (tide_uplink_t *self, tide_bytes_t prefix, bool is_volatile);

/*  Hands on what has come; to be called in every round of the loop, before it sleeps. True if
 *  there is more: then it must not sleep. */
bool tide_uplink_service (tide_uplink_t *self);

const tide_uplink_counters_t *tide_uplink_counters (const tide_uplink_t *self);

#endif
