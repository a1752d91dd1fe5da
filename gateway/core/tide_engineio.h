/*  tide_engineio.h - one Engine.IO v4 session over one WebSocket.
 *
 *  Handshake, heartbeat and packet types. Pure: frames in, packets out, time as an argument.
 *  Source: socketio/socket.io, docs/engine.io-protocol/v4-current.md.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ENGINEIO_H
#define TIDE_ENGINEIO_H

#include "tide_wire.h"

typedef struct {
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t payload_max;
} tide_engineio_config_t;

/*  A plain value: embed it. */
typedef struct {
    uint64_t ping_at_ms; /* when the next ping is due; 0 while a pong is awaited */
    uint64_t pong_by_ms; /* when the client is given up; 0 while none is awaited */
} tide_engineio_t;

typedef enum {
    TIDE_ENGINEIO_MESSAGE, /* a message for the layer above; body is its content */
    TIDE_ENGINEIO_NOTHING, /* taken care of (pong, noop) */
    TIDE_ENGINEIO_CLOSE,   /* the client closes ("transport close") */
    TIDE_ENGINEIO_ERROR    /* not a packet that a client may send: close ("parse error") */
} tide_engineio_result_t;

typedef enum { TIDE_ENGINEIO_QUIET, TIDE_ENGINEIO_PING, TIDE_ENGINEIO_TIMEOUT } tide_engineio_due_t;

/*  Error codes of a refused handshake, with Engine.IO's own messages. */
enum {
    TIDE_ENGINEIO_TRANSPORT_UNKNOWN = 0,
    TIDE_ENGINEIO_SESSION_UNKNOWN = 1,
    TIDE_ENGINEIO_BAD_METHOD = 2,
    TIDE_ENGINEIO_BAD_REQUEST = 3,
    TIDE_ENGINEIO_FORBIDDEN = 4,
    TIDE_ENGINEIO_UNSUPPORTED_VERSION = 5
};

/*  What a handshake says in its query and headers; empty where it says nothing. */
typedef struct {
    tide_bytes_t method;
    tide_bytes_t transport;
    tide_bytes_t eio;
    tide_bytes_t sid;
    bool is_websocket; /* the request asks for an upgrade to WebSocket */
} tide_engineio_request_t;

/*  -1 if a new WebSocket session may begin, or the error code, in the order in which the reference
 *  checks. transport=polling is not served yet: code 0. */
int tide_engineio_check (const tide_engineio_request_t *request);

/*  Appends the JSON body of a refusal: {"code":n,"message":"…"}. */
void tide_engineio_refusal (tide_buffer_t *out, int code);

/*  Begins the session: appends the open packet ("0{…}") and sets the heartbeat going. */
void tide_engineio_open (tide_engineio_t *self, const tide_engineio_config_t *config,
                         uint64_t now_ms, tide_bytes_t sid, tide_buffer_t *out);

/*  True if a text frame is a binary message as base64 ("b…": a client with forceBase64). Then `out`
 *  is replaced by its bytes; receive takes them as a binary frame. As text it would be an error. */
bool tide_engineio_base64 (tide_bytes_t frame, tide_buffer_t *out);

/*  A whole WebSocket message from the client. */
tide_engineio_result_t tide_engineio_receive (tide_engineio_t *self,
                                              const tide_engineio_config_t *config, uint64_t now_ms,
                                              tide_bytes_t frame, bool is_text, tide_bytes_t *body);

/*  What time asks for: a ping to be sent (text frame "2"), or the client given up. */
tide_engineio_due_t tide_engineio_tick (tide_engineio_t *self, const tide_engineio_config_t *config,
                                        uint64_t now_ms);
/*  When tick is due next; UINT64_MAX before open. */
uint64_t tide_engineio_deadline_ms (const tide_engineio_t *self);

#endif
