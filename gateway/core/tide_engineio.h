/*  tide_engineio.h - one Engine.IO v4 session: over HTTP long-polling, over WebSocket, or from the
 *  one to the other.
 *
 *  Handshake, heartbeat, packets, payloads, who may ask what, and the upgrade. Pure: requests and
 *  frames in, what becomes of them out, time as an argument. What the session is to say does not
 *  lie here: both transports take it from the same place (tide_hub_write), so an upgrade has
 *  nothing to carry over.
 *
 *      POLLING --a WebSocket asks--> probing: none → opened → probed --"5"--> WEBSOCKET
 *                                    (anything else ends that WebSocket, and nothing else)
 *
 *  Source: socketio/socket.io, docs/engine.io-protocol/v4-current.md, and where that is silent the
 *  reference server's behaviour.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ENGINEIO_H
#define TIDE_ENGINEIO_H

#include "tide_wire.h"

/*  A WebSocket that asks to take over has this long; and a client that is to be told of the end by
 *  its next poll has this long to ask. The reference's. */
#define TIDE_ENGINEIO_UPGRADE_MS 10000
#define TIDE_ENGINEIO_FAREWELL_MS 30000

typedef struct {
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t payload_max;
} tide_engineio_config_t;

typedef enum { TIDE_ENGINEIO_POLLING, TIDE_ENGINEIO_WEBSOCKET } tide_engineio_transport_t;

/*  A plain value: embed it. */
typedef struct {
    tide_engineio_transport_t transport;
    uint64_t ping_at_ms; /* when the next ping is due; 0 while a pong is awaited */
    uint64_t pong_by_ms; /* when the client is given up; 0 while none is awaited */

    /*  Polling. Requests are the caller's numbers; 0: none. */
    uint64_t poll; /* the GET that waits for something to be said */
    uint64_t post; /* the POST that is coming, or not answered yet */
    enum {
        TIDE_ENGINEIO_UNPROBED,
        TIDE_ENGINEIO_OPENED, /* a WebSocket asks */
        TIDE_ENGINEIO_PROBED  /* … and was answered: polls are not held any more */
    } probing;
} tide_engineio_t;

/*  -- handshake ------------------------------------------------------------------------------- */

/*  Error codes of a refused request, with Engine.IO's own messages. */
enum {
    TIDE_ENGINEIO_TRANSPORT_UNKNOWN = 0,
    TIDE_ENGINEIO_SESSION_UNKNOWN = 1,
    TIDE_ENGINEIO_BAD_METHOD = 2,
    TIDE_ENGINEIO_BAD_REQUEST = 3,
    TIDE_ENGINEIO_FORBIDDEN = 4,
    TIDE_ENGINEIO_UNSUPPORTED_VERSION = 5
};

/*  What a request says in its query and headers; empty where it says nothing. */
typedef struct {
    tide_bytes_t method;
    tide_bytes_t transport;
    tide_bytes_t eio;
    tide_bytes_t sid;
    bool is_websocket; /* the request asks for an upgrade to WebSocket */
} tide_engineio_request_t;

/*  -1 if the request may go on, or the error code, in the order in which the reference checks.
 *  session is the one that `sid` names, NULL where there is none such; it is not looked at where
 *  no sid is given. A WebSocket that names a session which cannot take it is let in all the same:
 *  it is accepted and then closed (tide_engineio_probe). */
int tide_engineio_check (const tide_engineio_request_t *request, const tide_engineio_t *session);

/*  Appends the body of a refusal: {"code":n,"message":"…"}; for the handshake of a WebSocket the
 *  message alone, as plain text. */
void tide_engineio_refusal (tide_buffer_t *out, int code, bool is_websocket);

/*  Begins the session: appends the open packet ("0{…}") and sets the heartbeat going. */
void tide_engineio_open (tide_engineio_t *self, const tide_engineio_config_t *config,
                         tide_engineio_transport_t transport, uint64_t now_ms, tide_bytes_t sid,
                         tide_buffer_t *out);

/*  -- packets --------------------------------------------------------------------------------- */

typedef enum {
    TIDE_ENGINEIO_MESSAGE, /* a message for the layer above; body is its content */
    TIDE_ENGINEIO_NOTHING, /* taken care of (pong, noop) */
    TIDE_ENGINEIO_CLOSE,   /* the client closes ("transport close") */
    TIDE_ENGINEIO_ERROR    /* not a packet that a client may send: close ("parse error") */
} tide_engineio_result_t;

/*  True if a text frame or packet is a binary message as base64 ("b…"). Then `out` is replaced by
 *  its bytes; receive takes them as a binary frame. As text it would be an error. */
bool tide_engineio_base64 (tide_bytes_t frame, tide_buffer_t *out);

/*  A whole WebSocket message from the client, or a packet of a payload. */
tide_engineio_result_t tide_engineio_receive (tide_engineio_t *self,
                                              const tide_engineio_config_t *config, uint64_t now_ms,
                                              tide_bytes_t frame, bool is_text, tide_bytes_t *body);

/*  Takes the next packet off a payload, the body of a POST; false at its end. A payload has one
 *  packet more than it has separators: the empty one has an empty packet, which is an error. Set
 *  *rest to the body and *has_more to true first. */
bool tide_engineio_payload_next (tide_bytes_t *rest, bool *has_more, tide_bytes_t *packet);

/*  Appends a packet to a payload, the answer to a GET: text as it is, a binary message as base64.
 */
void tide_engineio_payload_append (tide_buffer_t *payload, tide_bytes_t packet, bool is_text);

/*  Appends what WebSocket frames (tide_wsframe.h) carry, as packets of a payload. */
void tide_engineio_payload_frames (tide_buffer_t *payload, tide_bytes_t frames);

/*  -- polling --------------------------------------------------------------------------------- */

/*  A GET, to be held until there is something to say. False: another one is held already; the
 *  session is over, and the request refused (the one that is held is answered "1"). */
bool tide_engineio_poll (tide_engineio_t *self, uint64_t request);

/*  A POST begins. False: another one is under way; the session is over, and the request refused. */
bool tide_engineio_post (tide_engineio_t *self, uint64_t request);

/*  The request was broken off before its answer. True: so the session is over. */
bool tide_engineio_abandon (tide_engineio_t *self, uint64_t request);

/*  Takes the request that is held; 0 if there is none. */
uint64_t tide_engineio_take_poll (tide_engineio_t *self);
uint64_t tide_engineio_take_post (tide_engineio_t *self);

/*  True if a GET must be answered though there is nothing to say: by "6". */
bool tide_engineio_wants_noop (const tide_engineio_t *self);

/*  -- the upgrade ----------------------------------------------------------------------------- */

/*  A WebSocket asks to take over. False: it cannot, because the session has one or is being asked
 *  by another; it is to be closed. */
bool tide_engineio_probe (tide_engineio_t *self);

typedef enum {
    TIDE_ENGINEIO_PROBE_ANSWER, /* send "3probe" on it */
    TIDE_ENGINEIO_PROBE_TAKES,  /* from here on the session is the WebSocket's */
    TIDE_ENGINEIO_PROBE_FAILS   /* close it; polling goes on */
} tide_engineio_probe_result_t;

/*  A message on the WebSocket that asks. A held GET is due after TAKES, and after ANSWER. */
tide_engineio_probe_result_t tide_engineio_probe_frame (tide_engineio_t *self, tide_bytes_t frame,
                                                        bool is_text);

/*  The WebSocket that asked is gone, or has no more time. */
void tide_engineio_unprobe (tide_engineio_t *self);

/*  -- time ------------------------------------------------------------------------------------ */

typedef enum { TIDE_ENGINEIO_QUIET, TIDE_ENGINEIO_PING, TIDE_ENGINEIO_TIMEOUT } tide_engineio_due_t;

/*  What time asks for: a ping to be sent (packet "2"), or the client given up. */
tide_engineio_due_t tide_engineio_tick (tide_engineio_t *self, const tide_engineio_config_t *config,
                                        uint64_t now_ms);
/*  When tick is due next; UINT64_MAX before open. */
uint64_t tide_engineio_deadline_ms (const tide_engineio_t *self);

#endif
