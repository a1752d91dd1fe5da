/*  tide_edge.h - a ZeroMQ socket among the descriptors of a poll.
 *
 *  A socket's descriptor tells that something happened to it, not that there is something: once,
 *  and whatever is called on the socket may use that up. So who has called anything on it asks the
 *  socket before it waits. zmq_poll asks all sockets before and after each wait, two system calls
 *  each; here only those that were touched are asked. Source: zmq_getsockopt(3), ZMQ_FD and
 *  ZMQ_EVENTS.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_EDGE_H
#define TIDE_EDGE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

typedef struct {
    void *socket; /* NULL: there is none */
    int fd;
    bool is_touched; /* it may have something of which its descriptor tells no more */
} tide_edge_t;

/*  Does not own the socket, which may be NULL. */
static inline tide_edge_t tide_edge (void *socket)
{
    tide_edge_t self = {.socket = socket, .fd = -1, .is_touched = socket != NULL};
    size_t size = sizeof self.fd;
    if (socket)
        zmq_getsockopt (socket, ZMQ_FD, &self.fd, &size);
    return self;
}

/*  Whether there is something to be received; false: its descriptor will tell. */
static inline bool tide_edge_has_input (tide_edge_t *self)
{
    int events = 0;
    size_t size = sizeof events;
    if (!self->is_touched)
        return false;
    if (zmq_getsockopt (self->socket, ZMQ_EVENTS, &events, &size) != 0)
        events = 0;
    self->is_touched = (events & ZMQ_POLLIN) != 0;
    return self->is_touched;
}

/*  An entry of poll(2), which skips one without a socket. */
static inline struct pollfd tide_edge_item (const tide_edge_t *self)
{
    return (struct pollfd){.fd = self->socket ? self->fd : -1, .events = POLLIN};
}

#endif
