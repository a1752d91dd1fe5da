/*  tide_listener.h - the sockets at which a worker hears what is published.
 *
 *  They are there only while something is followed: a worker that reads nothing is not told of
 *  every batch. All of it belongs to the thread of the post.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LISTENER_H
#define TIDE_LISTENER_H

#include "tide_edge.h"
#include "tide_message.h"

typedef struct tide_listener tide_listener_t;

/*  context is ZeroMQ's; broker the endpoint of its ROUTER, which is copied. */
tide_listener_t *tide_listener_new (void *context, const char *broker);
void tide_listener_destroy (tide_listener_t **self_p);

/*  The broker is there, for the first time or again: fresh sockets, for all that is followed. */
void tide_listener_welcome (tide_listener_t *self, const tide_welcome_message_t *welcome);

/*  Begins or ends to hear a pattern, which is followed once. */
void tide_listener_follow (tide_listener_t *self, tide_bytes_t pattern, bool on);

enum { TIDE_LISTENER_SOCKETS = 2 };
/*  To be polled for input; without a socket if it is not there. */
tide_edge_t *tide_listener_edge (tide_listener_t *self, unsigned which);

typedef void (tide_heard_fn) (void *argument, tide_bytes_t frame);
/*  Hands on what has come, at most so many frames of each socket. */
void tide_listener_receive (tide_listener_t *self, unsigned frames_max, tide_heard_fn *heard,
                            void *argument);

#endif
