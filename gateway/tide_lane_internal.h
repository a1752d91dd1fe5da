/*  tide_lane_internal.h - what the files of a lane share; nobody else includes it.
 *
 *      tide_lane.c    the loop, the hub's actions, connections as such
 *      tide_socket.c  WebSocket: handshake, messages, gathered writes, closing
 *      tide_web*.c    HTTP: requests, bodies, answers; where every connection begins
 *
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LANE_INTERNAL_H
#define TIDE_LANE_INTERNAL_H

#include "tide_hub.h"
#include "tide_lane.h"
#include "tide_lws_quirks.h"
#include "tide_request.h"
#include "tide_uplink.h"

#include <pthread.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/*  A client that is to be closed has this long to take what is outstanding, and to say goodbye. */
#define TIDE_CLOSE_MS 3000
#define TIDE_SWEEP_MS 500

typedef struct tide_lane_client tide_lane_client_t;
typedef struct tide_web tide_web_t;

/*  One connection, from accept to its end. */
struct tide_lane_client {
    tide_lane_t *lane;
    tide_web_t *web; /* as long as it speaks HTTP; then it is a WebSocket */

    /*  WebSocket */
    struct lws *wsi;
    tide_client_kind_t kind;
    tide_connection_t *connection; /* the hub's; NULL: not (or no more) a WebSocket */
    tide_buffer_t engine_sid;      /* the session of Engine.IO that its handshake names */
    tide_buffer_t message;         /* fragments of a message that is not whole yet */
    bool is_text;
    bool is_paused;
    bool is_closing;      /* the hub, or we, want it closed */
    bool is_close_sent;   /* … and our close frame is out: nothing more is written */
    bool is_peer_closing; /* libwebsockets is answering its close frame */
    uint16_t close_code;
    bool is_writable_asked; /* in the lane's list */
    tide_lane_client_t *writable_prev, *writable_next;

    tide_lane_client_t *ready_prev, *ready_next; /* speaks HTTP, and has something to be read */

    /*  Watched by the sweep: all that speak HTTP, and WebSockets that are closing, or are not read
     *  from, so that nothing else would tell that they have left. */
    bool is_watched;
    uint64_t due_ms; /* when it is let go; 0: never */
    tide_lane_client_t *watched_prev, *watched_next;
};

typedef struct {
    uint64_t index; /* which lane this is: each has counters of its own */
    uint64_t connections, websockets, streams; /* at present */
    uint64_t accepted, accept_errors;
    uint64_t refused_origin, refused_handshake, refused_path, refused_method, refused_length,
        refused_size, refused_stopping;
    uint64_t requests_file, requests_api, requests_health, requests_metrics, requests_polling,
        requests_events, requests_abandoned;
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
    tide_web_t *held;              /* those whose request the hub has, by ticket */
    tide_lane_client_t *adopting;  /* on its way to libwebsockets */
    tide_lane_client_t *writables; /* asked for by the hub, not yet by us */
    unsigned writable_count;
    double window_at; /* clients written to since then … */
    unsigned window_count;
    tide_lane_client_t *watched;
    tide_lane_client_t *ready; /* in the order in which they became so */
    tide_lane_counters_t counters;
};

/*  -- tide_lane.c ----------------------------------------------------------------------------- */

/*  Unix milliseconds that never fall. */
uint64_t tide_lane_now (const tide_lane_t *self);
/*  The sweep looks after the client from now on, and lets it go in time_ms (0: never). */
void tide_lane_client_watch (tide_lane_client_t *client, uint64_t time_ms);
void tide_lane_client_unwatch (tide_lane_client_t *client);
/*  The connection is over and its socket closed: forgets it. */
void tide_lane_client_destroy (tide_lane_client_t *client);
/*  True if whoever is behind the socket has left, or has said that it will send nothing more,
 *  whatever lies unread before that. */
bool tide_lane_client_has_left (int fd);

/*  -- tide_socket.c --------------------------------------------------------------------------- */

/*  What is wrong with a handshake, or NULL. */
const char *tide_socket_fault (const tide_request_t *request, bool is_socketio);
/*  Makes a WebSocket of the client, whose kind is set; key is that of its handshake, early what it
 *  sent behind it. May be its end. */
void tide_socket_adopt (tide_lane_client_t *client, int fd, const char *key, bool has_protocol,
                        tide_bytes_t early);

/*  Callbacks of libwebsockets; what they return is what it wants. */
int tide_socket_established (tide_lane_client_t *client);
int tide_socket_receive (tide_lane_client_t *client, tide_bytes_t bytes);
int tide_socket_writable (tide_lane_client_t *client);
int tide_socket_peer_closes (tide_lane_client_t *client);
/*  The connection is gone. */
void tide_socket_gone (tide_lane_client_t *client);
/*  Closes when all that is outstanding was written; code 0: none is told. */
void tide_socket_close (tide_lane_client_t *client, uint16_t code);
void tide_socket_pause (tide_lane_client_t *client, bool is_paused);
/*  Takes the client off the list of those that are to be written to (tide_lane.c). */
void tide_socket_forget_writable (tide_lane_client_t *client);

/*  -- tide_web.c ------------------------------------------------------------------------------ */

/*  A connection was accepted: it begins with HTTP. */
void tide_web_open (tide_lane_client_t *client, int fd);
void tide_web_close (tide_lane_client_t *client);
/*  The hub's answer. */
void tide_web_respond (tide_lane_t *lane, const tide_hub_action_t *action);
/*  The client's time is over, or is to be looked after. */
void tide_web_sweep (tide_lane_client_t *client, bool is_due);
/*  Serves all that have something to be read. */
void tide_web_serve (tide_lane_t *lane);
/*  A stream may be written to; the hub wants it ended. */
void tide_web_writable (tide_lane_client_t *client);
void tide_web_end_stream (tide_lane_client_t *client);
/*  True while a request is being answered. */
bool tide_web_is_busy (const tide_lane_client_t *client);

#endif
