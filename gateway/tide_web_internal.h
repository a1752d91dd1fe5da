/*  tide_web_internal.h - what the files of a lane's HTTP share; nobody else includes it.
 *
 *      tide_web.c         connections: what is asked, as it comes in
 *      tide_web_route.c   who answers: a file, the hub, libwebsockets
 *      tide_web_answer.c  the answer on its way
 *
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WEB_INTERNAL_H
#define TIDE_WEB_INTERNAL_H

#include "tide_lane_internal.h"

#include "tide_request.h"

/*  Times that a client has: to begin and finish a request's head, for each part of a body, between
 *  two requests, to take any part of an answer. Behind a refusal its bytes are thrown away for a
 *  while, so that it sees the answer and not a reset connection. */
#define TIDE_WEB_HEAD_MS 10000
#define TIDE_WEB_BODY_MS 15000
#define TIDE_WEB_IDLE_MS 60000
#define TIDE_WEB_ANSWER_MS 30000
#define TIDE_WEB_DISCARD_MS 2000

/*  What a callback is to do with the connection. */
typedef enum { TIDE_WEB_GO_ON, TIDE_WEB_CLOSE, TIDE_WEB_GONE } tide_web_outcome_t;

typedef enum {
    TIDE_WEB_HEAD,      /* between requests, or a request's head is coming */
    TIDE_WEB_BODY,      /* its body is coming */
    TIDE_WEB_HELD,      /* the hub has it */
    TIDE_WEB_ANSWERING, /* the client takes the answer */
    TIDE_WEB_STREAMING, /* … which has no end: Server-Sent Events */
    TIDE_WEB_DISCARDING /* answered; what still comes is thrown away before the end */
} tide_web_state_t;

typedef enum {
    TIDE_WEB_KIND_FILE,
    TIDE_WEB_KIND_API,
    TIDE_WEB_KIND_HEALTH,
    TIDE_WEB_KIND_METRICS,
    TIDE_WEB_KIND_SOCKETIO,
    TIDE_WEB_KIND_WS,
    TIDE_WEB_KIND_EVENTS
} tide_web_kind_t;

/*  A connection as long as it speaks HTTP. */
struct tide_web {
    tide_lane_client_t *client;
    tide_web_state_t state;
    ev_io readable, writable;
    tide_buffer_t in; /* what came and was not taken yet: a head at most, and what is behind it */
    size_t head_size; /* of it, the head that is being looked at */

    /*  The request under way. */
    tide_web_kind_t kind;
    uint64_t
        ticket; /* the hub's, if it has the request: TIDE_WEB_HELD, or the body is for it; else 0 */
    UT_hash_handle hh;
    bool is_read, is_head_only;
    bool is_http10, is_kept;
    char key[32]; /* of a handshake … */
    bool has_protocol;
    bool is_ready; /* in the lane's list of those that have something to be read */
    bool has_more; /* TIDE_WEB_STREAMING: there is more to be said than is on its way */
    bool has_rest; /* a body may still come that nobody waits for */
    bool is_origin_allowed, has_credentials;
    tide_buffer_t method, path, query, origin, body;
    uint64_t length;

    tide_buffer_t head, own_content;
    tide_bytes_t content; /* own_content, or a file's */
    size_t sent;
};

/*  -- tide_web.c ------------------------------------------------------------------------------ */

/*  Forgets the request; the buffers keep their memory where they are small. */
void tide_web_reset (tide_web_t *web);
/*  Leaves HTTP, with the socket still open. */
void tide_web_destroy (tide_lane_client_t *client);

/*  -- tide_web_route.c ------------------------------------------------------------------------ */

/*  A whole head is here. */
tide_web_outcome_t tide_web_route (tide_lane_client_t *client, const tide_request_t *request);
/*  The whole request is here: the hub has it. */
tide_web_outcome_t tide_web_dispatch (tide_lane_client_t *client);
/*  For libwebsockets, with what the client has sent behind its request. */
tide_web_outcome_t tide_web_leave (tide_lane_client_t *client);

/*  -- tide_web_answer.c ----------------------------------------------------------------------- */

/*  Begins the answer, whose content is in place; `extra` is whole header lines. */
tide_web_outcome_t tide_web_answer (tide_lane_client_t *client, unsigned http_status,
                                    const char *type, const char *extra);
tide_web_outcome_t tide_web_refuse (tide_lane_client_t *client, unsigned http_status,
                                    const char *message, const char *extra);
/*  What every answer's head ends with. */
void tide_web_end_head (tide_web_t *web);
void tide_web_count (tide_lane_counters_t *counters, unsigned http_status);
/*  Sends what the client takes. */
tide_web_outcome_t tide_web_pump (tide_lane_client_t *client);

#endif
