/*  tide_listener.c - the sockets at which a worker hears what is published.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_listener.h"

#include "tide_alloc.h"
#include "tide_endpoint.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>

#define RECONNECT_MS 50
#define RECONNECT_MAX_MS 1000

enum { EVENTS, VOLATILES };

typedef struct {
    UT_hash_handle hh;
    size_t size;
    uint8_t text[];
} pattern_t;

struct tide_listener {
    void *context;
    char *broker;
    char *endpoint[TIDE_LISTENER_SOCKETS]; /* NULL before the first welcome */
    tide_edge_t edge[TIDE_LISTENER_SOCKETS];
    pattern_t *patterns;
};

tide_listener_t *tide_listener_new (void *context, const char *broker)
{
    tide_listener_t *self = tide_alloc (sizeof *self);
    self->context = context;
    self->broker = tide_copy (broker, strlen (broker));
    return self;
}

static void set (void *socket, int option, int value)
{
    int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    tide_assert (rc == 0);
}

static void close_socket (tide_listener_t *self, unsigned which)
{
    if (self->edge[which].socket)
        zmq_close (self->edge[which].socket);
    self->edge[which] = (tide_edge_t){0};
}

void tide_listener_destroy (tide_listener_t **self_p)
{
    tide_listener_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (unsigned which = 0; which < TIDE_LISTENER_SOCKETS; which++) {
        close_socket (self, which);
        free (self->endpoint[which]);
    }
    pattern_t *pattern, *next;
    HASH_ITER (hh, self->patterns, pattern, next) {
        HASH_DEL (self->patterns, pattern);
        free (pattern);
    }
    free (self->broker);
    free (self);
}

static void subscribe_one (void *socket, const tide_buffer_t *prefix, bool on)
{
    if (prefix->size > 0)
        zmq_setsockopt (socket, on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, prefix->data, prefix->size);
}

/*  Two patterns may share a prefix: ZeroMQ counts. */
static void subscribe (tide_listener_t *self, unsigned which, tide_bytes_t pattern, bool on)
{
    tide_edge_t *edge = &self->edge[which];
    tide_buffer_t one = {0}, two = {0};
    tide_fanout_subscription (pattern, which == VOLATILES, &one, &two);
    subscribe_one (edge->socket, &one, on);
    subscribe_one (edge->socket, &two, on);
    edge->is_touched = true;
    tide_buffer_free (&one);
    tide_buffer_free (&two);
}

/*  One that cannot be had (the process has no descriptors left) is tried again. */
static void open_socket (tide_listener_t *self, unsigned which)
{
    if (self->edge[which].socket || !self->patterns || !self->endpoint[which])
        return;
    void *socket = zmq_socket (self->context, ZMQ_SUB);
    if (!socket)
        return;
    int64_t size_max = TIDE_MESSAGE_SIZE_MAX;
    zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    set (socket, ZMQ_RCVHWM, which == EVENTS ? TIDE_FANOUT_HWM : TIDE_VOLATILE_HWM);
    set (socket, ZMQ_LINGER, 0);
    set (socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
    set (socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
    set (socket, ZMQ_HEARTBEAT_IVL, TIDE_HEARTBEAT_MS);
    set (socket, ZMQ_HEARTBEAT_TIMEOUT, TIDE_LIVENESS_MS);
    set (socket, ZMQ_IPV6, strchr (self->endpoint[which], '[') != NULL);
    self->edge[which] = tide_edge (socket);
    if (zmq_connect (socket, self->endpoint[which]) != 0) {
        close_socket (self, which);
        return;
    }
    if (which == EVENTS) {
        tide_buffer_t mark = {0};
        tide_fanout_mark_prefix (&mark);
        subscribe_one (socket, &mark, true);
        tide_buffer_free (&mark);
    }
    pattern_t *pattern, *next;
    HASH_ITER (hh, self->patterns, pattern, next)
        subscribe (self, which, (tide_bytes_t){pattern->text, pattern->size}, true);
}

void tide_listener_welcome (tide_listener_t *self, const tide_welcome_message_t *welcome)
{
    const tide_bytes_t told[] = {welcome->events, welcome->volatiles};
    for (unsigned which = 0; which < TIDE_LISTENER_SOCKETS; which++) {
        close_socket (self, which);
        free (self->endpoint[which]);
        self->endpoint[which] =
            told[which].size > 0 ? tide_endpoint_told (self->broker, told[which]) : NULL;
        open_socket (self, which);
    }
}

void tide_listener_follow (tide_listener_t *self, tide_bytes_t text, bool on)
{
    pattern_t *pattern;
    HASH_FIND (hh, self->patterns, text.data, text.size, pattern);
    tide_assert (on == !pattern);
    if (on) {
        pattern = tide_alloc (sizeof *pattern + text.size);
        pattern->size = text.size;
        memcpy (pattern->text, text.data, text.size);
        HASH_ADD (hh, self->patterns, text, pattern->size, pattern);
    }
    for (unsigned which = 0; which < TIDE_LISTENER_SOCKETS; which++) {
        if (self->edge[which].socket)
            subscribe (self, which, text, on);
        else if (on)
            open_socket (self, which);
    }
    if (!on) {
        HASH_DEL (self->patterns, pattern);
        free (pattern);
    }
}

tide_edge_t *tide_listener_edge (tide_listener_t *self, unsigned which)
{
    return &self->edge[which];
}

static void receive (tide_edge_t *edge, unsigned frames_max, tide_heard_fn *heard, void *argument)
{
    zmq_msg_t message;
    zmq_msg_init (&message);
    unsigned left = frames_max;
    for (; left > 0 && zmq_msg_recv (&message, edge->socket, ZMQ_DONTWAIT) >= 0; left--)
        heard (argument, (tide_bytes_t){zmq_msg_data (&message), zmq_msg_size (&message)});
    edge->is_touched = left == 0;
    zmq_msg_close (&message);
}

void tide_listener_receive (tide_listener_t *self, unsigned frames_max, tide_heard_fn *heard,
                            void *argument)
{
    for (unsigned which = 0; which < TIDE_LISTENER_SOCKETS; which++) {
        open_socket (self, which);
        if (self->edge[which].is_touched)
            receive (&self->edge[which], frames_max, heard, argument);
    }
}
