/*  tide_lane_internal.h - what the files of a lane share; nobody else includes it.
 *
 *      tide_lane.c    the loop, the hub's actions, connections as such
 *      tide_socket.c  WebSocket: upgrade, messages, gathered writes, closing
 *      tide_web.c     HTTP: requests, bodies, answers
 *
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LANE_INTERNAL_H
#define TIDE_LANE_INTERNAL_H

#include "tide_hub.h"
#include "tide_lane.h"
#include "tide_lws_quirks.h"
#include "tide_uplink.h"

#include <pthread.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/*  A client that is to be closed has this long to take what is outstanding, and to say goodbye. */
#define TIDE_CLOSE_MS 3000
/*  A client that takes nothing of an answer for this long is let go. */
#define TIDE_ANSWER_MS 30000
/*  What a client still sends behind a refused request is read for this long, so that it sees the
 *  refusal and not a reset connection. */
#define TIDE_DISCARD_MS 2000
#define TIDE_SWEEP_MS 500

typedef struct tide_client tide_client_t;
typedef struct tide_web_request tide_web_request_t;

/*  One connection, from accept to its end. */
struct tide_client {
    tide_lane_t *lane;
    struct lws *wsi;

    /*  WebSocket */
    tide_client_kind_t kind;
    tide_connection_t *connection; /* the hub's; NULL: not (or no more) a WebSocket */
    tide_buffer_t message;         /* fragments of a message that is not whole yet */
    bool is_text;
    bool is_paused;
    bool is_closing;      /* the hub, or we, want it closed */
    bool is_close_sent;   /* … and our close frame is out: nothing more is written */
    bool is_peer_closing; /* libwebsockets is answering its close frame */
    uint16_t close_code;
    bool is_writable_asked; /* in the lane's list */
    tide_client_t *writable_prev, *writable_next;

    /*  HTTP */
    tide_web_request_t *request; /* NULL: none is under way */

    /*  Watched by the sweep: closing, or not read from, so that nothing else would tell that it has
     *  left. */
    bool is_watched;
    uint64_t due_ms; /* when it is let go; 0: never */
    tide_client_t *watched_prev, *watched_next;
};

typedef struct {
    uint64_t index;                   /* which lane this is: each has counters of its own */
    uint64_t connections, websockets; /* at present */
    uint64_t accepted, accept_errors;
    uint64_t refused_origin, refused_handshake, refused_path, refused_method, refused_length,
        refused_size, refused_stopping;
    uint64_t requests_file, requests_api, requests_health, requests_metrics, requests_abandoned;
    uint64_t answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    uint64_t messages, message_bytes, messages_too_large, messages_not_utf8;
    uint64_t writes, write_bytes, partial_writes, answer_bytes, flushes, gathered;
} tide_lane_counters_t;

struct tide_lane {
    tide_lane_config_t config;
    pthread_t thread;
    bool has_thread;

    struct ev_loop *loop;
    struct lws_context *context;
    struct lws_vhost *vhost;
    ev_io listener[TIDE_LISTENERS_MAX];
    ev_prepare prepare;
    ev_idle again;   /* active: the loop must not sleep */
    ev_timer tick;   /* the hub's deadline */
    ev_timer gather; /* until clients are written to */
    ev_timer sweep;
    ev_timer reaccept; /* accepting goes on after descriptors ran out */
    ev_async stop;
    uint64_t tick_ms; /* what the tick timer is set to */

    uint64_t wall_ms, started_ms; /* the wall clock, read once, and the monotonic one then */
    bool is_stopping;
    uint64_t stop_by_ms;

    tide_hub_t *hub;
    tide_uplink_t *uplink;
    tide_web_request_t *requests; /* those that the hub answers, by ticket */
    tide_client_t *writables;     /* asked for by the hub, not yet by us */
    unsigned writable_count;
    double window_at; /* clients written to since then … */
    unsigned window_count;
    tide_client_t *watched;
    tide_lane_counters_t counters;
};

/*  -- tide_lane.c ----------------------------------------------------------------------------- */

/*  Unix milliseconds that never fall. */
uint64_t tide_lane_now (const tide_lane_t *self);
/*  The sweep looks after the client from now on, and lets it go in time_ms (0: never). */
void tide_client_watch (tide_client_t *client, uint64_t time_ms);
void tide_client_unwatch (tide_client_t *client);

/*  -- tide_socket.c --------------------------------------------------------------------------- */

/*  Callbacks of libwebsockets; what they return is what it wants. */
int tide_socket_confirm (tide_client_t *client);
int tide_socket_established (tide_client_t *client);
int tide_socket_receive (tide_client_t *client, tide_bytes_t bytes);
int tide_socket_writable (tide_client_t *client);
int tide_socket_peer_closes (tide_client_t *client);
/*  The connection is gone. */
void tide_socket_gone (tide_client_t *client);
/*  Closes when all that is outstanding was written; code 0: none is told. */
void tide_socket_close (tide_client_t *client, uint16_t code);
void tide_socket_pause (tide_client_t *client, bool is_paused);
/*  -1, or Engine.IO's code for what is wrong with a handshake's query. */
int tide_socket_engineio_check (struct lws *wsi, const char *method, bool is_websocket);
/*  Takes the client off the list of those that are to be written to (tide_lane.c). */
void tide_socket_forget_writable (tide_client_t *client);

/*  -- tide_web.c ------------------------------------------------------------------------------ */

int tide_web_request (tide_client_t *client);
int tide_web_body (tide_client_t *client, tide_bytes_t bytes);
int tide_web_body_complete (tide_client_t *client);
void tide_web_gone (tide_client_t *client);
/*  The hub's answer. */
void tide_web_respond (tide_lane_t *lane, const tide_hub_action_t *action);
/*  The sweep found that the client has left, or its time is over. */
void tide_web_sweep (tide_client_t *client, bool is_due);

/*  Answers an upgrade that is refused; it is to be closed then. `type` NULL: the code as JSON error
 *  with this message; otherwise message is the body. */
void tide_web_refuse (tide_client_t *client, unsigned http_status, const char *type,
                      const char *message);

/*  What a request says. Buffers are appended to; empty where there is nothing. */
void tide_web_header (struct lws *wsi, enum lws_token_indexes token, tide_buffer_t *out);
void tide_web_path (struct lws *wsi, tide_buffer_t *out, const char **method);
void tide_web_query (struct lws *wsi, tide_buffer_t *out);
/*  True if the path is that of Socket.IO, with or without its last slash. */
bool tide_web_is_socketio (const tide_lane_t *lane, tide_bytes_t path);
bool tide_web_origin_is_allowed (const tide_client_t *client);

#endif
