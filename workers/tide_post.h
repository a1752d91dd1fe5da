/*  tide_post.h - a worker's thread that talks to the broker.
 *
 *  It owns the DEALER, the link, and the sockets at which it hears what is published
 *  (tide_listener.h); other threads hand it messages, already encoded, and it tells
 *  what comes by the functions below, in its own thread. It does nothing that could block, so the
 *  broker hears its heartbeats however busy the others are. It is a plain thread and no CZMQ actor:
 *  CZMQ takes SIGINT and SIGTERM from the whole process, which are the worker program's.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_POST_H
#define TIDE_POST_H

#include "tide_alloc.h"
#include "tide_message.h"

typedef struct tide_post tide_post_t;

/*  What comes; all spans are valid for the call. */
typedef struct {
    void *argument;
    void (*up) (void *argument, const tide_welcome_message_t *welcome);
    void (*lent) (void *argument, uint64_t now_ms, const tide_lend_message_t *lend);
    /*  GROUP_EVENT or GROUP_NOTE. */
    void (*member) (void *argument, uint64_t now_ms, const tide_message_t *message);
    /*  A frame that was published. */
    void (*heard) (void *argument, tide_bytes_t frame);
    /*  All that had come was told. */
    void (*settle) (void *argument);
    /*  Returns when it is to be called next. */
    uint64_t (*tick) (void *argument, uint64_t now_ms);
} tide_post_config_t;

/*  What answers the request, or FAIL; a post that ends says FAIL shutting_down. Called once. */
typedef void (tide_answered_fn) (void *argument, uint64_t serial, const tide_message_t *answer);

/*  NULL if the endpoint is none. Both texts are copied. */
tide_post_t *tide_post_new (const char *endpoint, const char *name,
                            const tide_post_config_t *config);

/*  Gives what is asked up to linger_ms to be answered, and ends the thread. */
void tide_post_destroy (tide_post_t **self_p, uint32_t linger_ms);

/*  Hands over a message; from any thread, and never waits. A request (all but EXTEND, GROUP_EXTEND
 *  and BYE) gets one answer, unless answered is NULL; a further part of a snapshot has in `request`
 *  what its first part's answer has. Returns its serial number; 0 if it is a PUBLISH and too many
 *  await their answer: the places of calls' ends are kept free. */
uint64_t tide_post_send (tide_post_t *self, const tide_message_t *message,
                         tide_answered_fn *answered, void *argument);

/*  The request is not tried any more; it is answered by FAIL timeout, if it was not yet. */
void tide_post_cancel (tide_post_t *self, uint64_t serial);

/*  The post's thread settles soon; from any thread. */
void tide_post_wake (tide_post_t *self);

/*  Begins or ends to hear a pattern; in `settle` only. */
void tide_post_follow (tide_post_t *self, tide_bytes_t pattern, bool on);

/*  Writes a fresh event id, NUL-terminated; from any thread. */
void tide_post_make_id (tide_post_t *self, char id[64]);

/*  The clock of all of a worker. */
uint64_t tide_post_clock_ms (void);

#endif
