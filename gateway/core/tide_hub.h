/*  tide_hub.h - everything a gateway lane decides, without sockets, clocks, threads or files.
 *
 *  Brings together the link and the feed (towards the broker), the tape (recent events in wire
 *  form), the sessions (a cursor each) and the dialects (towards clients). Frames, requests,
 *  broker messages and time come in; what is to be done comes out as actions. The shells (tide_lane
 *  for libwebsockets, tide_uplink for ZeroMQ) and the simulator drive it in the same way.
 *
 *  Delivery: a connection that has something to say asks for WRITABLE once; when the shell can
 *  write, tide_hub_write gathers as many frames as fit into one buffer. What a client does not
 *  take costs nothing: its session keeps its cursor.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HUB_H
#define TIDE_HUB_H

#include "tide_engineio.h"
#include "tide_message.h"

typedef struct tide_hub tide_hub_t;
typedef struct tide_connection tide_connection_t;

/*  What stands behind Socket.IO, or instead of it (tide_application.h). */
typedef struct tide_application tide_application_t;

typedef struct {
    const char *lane;    /* this lane's id, unique among all lanes of all gateways and
                            their restarts: it names its lease and begins its sids */
    const char *gateway; /* what people call it who look how it fares; NULL: it does not tell */
    uint8_t secret[32];  /* random: sids and pids are made from it */
    tide_engineio_config_t engineio;
    uint32_t connect_timeout_ms;    /* --connect-timeout: a Socket.IO client without a namespace */
    uint32_t payload_max;           /* --max-payload */
    uint32_t resume_ms;             /* --resume */
    const char *const *namespaces;  /* --namespace, NULL-terminated; a `*` matches any rest */
    const char *const *no_recovery; /* --no-recovery, NULL-terminated */
    bool may_read, may_publish;     /* --anonymous: none, read, all */
    const tide_application_t *application; /* NULL: nobody; outlives the hub */
    size_t tape_size;                      /* bytes of the tape's arena; 0: 16 MiB */
    size_t write_size_max;                 /* bytes of one gathered write; 0: 64 KiB */
} tide_hub_config_t;

typedef enum { TIDE_CLIENT_SOCKETIO, TIDE_CLIENT_JSON, TIDE_CLIENT_SSE } tide_client_kind_t;

typedef enum {
    /* towards the broker */
    TIDE_HUB_CONNECT,   /* fresh DEALER to the broker (drop the old one) */
    TIDE_HUB_SEND,      /* bytes on the DEALER */
    TIDE_HUB_FOLLOW,    /* fresh SUB sockets to `events` and `volatiles` (ports or endpoints from
                           the WELCOME), subscribed to the mark prefix and to all that SUBSCRIBE
                           said and UNSUBSCRIBE did not take back */
    TIDE_HUB_SUBSCRIBE, /* bytes is a prefix for the events SUB or, is_volatile, the other */
    TIDE_HUB_UNSUBSCRIBE,
    /* towards clients */
    TIDE_HUB_WRITABLE, /* call tide_hub_write when the connection can take bytes */
    TIDE_HUB_CLOSE,    /* close it with the WebSocket code (0: none), then tide_hub_closed */
    TIDE_HUB_PAUSE,    /* read nothing more from it for now */
    TIDE_HUB_RESUME,   /* read from it again */
    TIDE_HUB_UPGRADED, /* the WebSocket `handle` is `connection` from now on: the one that it was
                          opened as is no longer valid */
    TIDE_HUB_RESPOND   /* answer the HTTP request `ticket` with http_status, type and bytes */
} tide_hub_action_kind_t;

typedef struct {
    tide_hub_action_kind_t kind;
    tide_connection_t *connection;
    void *handle; /* the shell's own, of the connection */
    tide_bytes_t bytes;
    bool is_volatile;
    tide_bytes_t events, volatiles; /* FOLLOW */
    uint16_t close_code;
    uint64_t ticket;
    unsigned http_status;
    const char *type; /* content type */
} tide_hub_action_t;

tide_hub_t *tide_hub_new (const tide_hub_config_t *config, uint64_t now_ms);
void tide_hub_destroy (tide_hub_t **self_p);

/*  -- towards the broker ---------------------------------------------------------------------- */

/*  A message from the DEALER. */
void tide_hub_receive (tide_hub_t *self, uint64_t now_ms, tide_bytes_t message);
/*  A frame from a SUB socket. */
void tide_hub_published (tide_hub_t *self, uint64_t now_ms, tide_bytes_t frame);

/*  -- towards clients ------------------------------------------------------------------------- */

/*  A WebSocket was opened. handle is the shell's and comes back in actions. sid is the Engine.IO
 *  session that the handshake names, which is to be upgraded; empty: none. Never NULL. */
tide_connection_t *tide_hub_open (tide_hub_t *self, uint64_t now_ms, tide_client_kind_t kind,
                                  tide_bytes_t sid, void *handle);
/*  A whole message from the client. */
void tide_hub_frame (tide_hub_t *self, uint64_t now_ms, tide_connection_t *connection,
                     tide_bytes_t bytes, bool is_text);
/*  The connection is gone; *connection_p is no longer valid. Must be called once for each open. */
void tide_hub_closed (tide_hub_t *self, uint64_t now_ms, tide_connection_t **connection_p);
/*  The client can take bytes: gathers WebSocket frames, headers included, to be written as they
 *  are. Empty: nothing to say. Asks for WRITABLE by itself if there is more. The bytes are valid
 *  until the next call. The shell must write all of them, or close. */
tide_bytes_t tide_hub_write (tide_hub_t *self, uint64_t now_ms, tide_connection_t *connection);

/*  -- HTTP ------------------------------------------------------------------------------------ */

typedef struct {
    tide_bytes_t method;
    tide_bytes_t path;  /* without the query */
    tide_bytes_t query; /* raw, without the `?`; percent-decoded here */
    tide_bytes_t body;
    tide_bytes_t last_event_id;
    bool is_binary;    /* Content-Type: application/octet-stream */
    bool is_websocket; /* asks for an upgrade to WebSocket */
} tide_http_request_t;

/*  A request for the path of Socket.IO whose head is there; the body of a POST is given by
 *  tide_hub_body, once. Answered by one RESPOND with the ticket returned: at once, later, or, where
 *  the head alone is refused, before the body has come. */
uint64_t tide_hub_engineio (tide_hub_t *self, uint64_t now_ms, const tide_http_request_t *request);
void tide_hub_body (tide_hub_t *self, uint64_t now_ms, uint64_t ticket, tide_bytes_t body);
/*  -1 if the handshake of a WebSocket at the path of Socket.IO may go on to tide_hub_open, or
 *  Engine.IO's code for what is wrong with it. TIDE_HANDSHAKE_FAR: it names a session of another
 *  lane, which is to be asked for: one RESPOND follows, with status 101 if it may go on. */
#define TIDE_HANDSHAKE_FAR (-2)
int tide_hub_check_handshake (tide_hub_t *self, const tide_http_request_t *request);
uint64_t tide_hub_ask_handshake (tide_hub_t *self, uint64_t now_ms,
                                 const tide_http_request_t *request);

/*  A request for /events. A connection, whose tide_hub_write gives bytes of text/event-stream that
 *  are written as they are, or NULL: then it is refused by one RESPOND with *ticket. The connection
 *  ends as any other does, by CLOSE or tide_hub_closed. */
tide_connection_t *tide_hub_stream (tide_hub_t *self, uint64_t now_ms,
                                    const tide_http_request_t *request, void *handle,
                                    uint64_t *ticket);

/*  A request for /api/…, /healthz, /readyz or /metrics. Answered by one RESPOND with the ticket
 *  returned, maybe later; tide_hub_abandon says that nobody waits any more. */
uint64_t tide_hub_request (tide_hub_t *self, uint64_t now_ms, const tide_http_request_t *request);
void tide_hub_abandon (tide_hub_t *self, uint64_t ticket);

/*  The shell's own counters for /metrics (name with labels, help text, value that stays in place).
 */
void tide_hub_add_stat (tide_hub_t *self, const char *name, const uint64_t *value);

/*  -- time ------------------------------------------------------------------------------------ */

void tide_hub_tick (tide_hub_t *self, uint64_t now_ms);
uint64_t tide_hub_deadline_ms (const tide_hub_t *self);

/*  Begins a clean stop: connections are closed ("server shutting down"), the broker is told. */
void tide_hub_stop (tide_hub_t *self, uint64_t now_ms);

/*  The next thing to be done; false if there is none. Spans are valid until the next call. */
bool tide_hub_next_action (tide_hub_t *self, tide_hub_action_t *action);

bool tide_hub_is_ready (const tide_hub_t *self);
/*  Something is still on its way to the broker on behalf of clients that have gone: a clean stop
 *  waits for it, for a while. */
bool tide_hub_owes (const tide_hub_t *self);

#endif
