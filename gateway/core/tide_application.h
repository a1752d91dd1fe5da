/*  tide_application.h - what stands behind Socket.IO: who may come in, and what becomes of what
 *  clients emit.
 *
 *  The hub tells an application of what concerns it, and the application answers when it can, from
 *  within the call or later, in the thread of the hub. Clients are named by their public id, which
 *  outlives their connections. Pure, as the hub is: what an application does becomes frames for
 *  clients and events for the broker.
 *
 *  Without one it is for workers to say who may come in, and what becomes of events (tide_hooks.h,
 *  tide_calls.h).
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_APPLICATION_H
#define TIDE_APPLICATION_H

#include "tide_args.h"
#include "tide_hub.h"

#include <jansson.h>

/*  Who it is about; the spans are valid during the call. */
typedef struct {
    const char *nsp;
    const char *sid;
    bool recovered; /* the session went on where it was */
} tide_app_client_t;

/*  Members may be NULL. */
struct tide_application {
    void *argument;

    /*  Each message of Engine.IO. If there is this, Socket.IO is not there at all. */
    void (*message) (void *argument, tide_hub_t *hub, tide_connection_t *connection,
                     tide_bytes_t message, bool is_text);

    /*  A client wants to come in, with what it sent to that end (an object, or NULL). To be
     *  answered by one tide_app_admit or tide_app_refuse, unless the client is gone by then. */
    void (*connect) (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                     const json_t *auth, uint64_t admission);
    /*  It is in, and has been told. */
    void (*connected) (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                       const json_t *auth);
    /*  It has emitted an event. call: what to answer by tide_app_acknowledge or tide_app_fail; 0:
     *  no acknowledgement is wanted. */
    void (*event) (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                   tide_bytes_t name, const tide_args_t *args, uint64_t call);
    /*  Its connection has ended, for one of Socket.IO's reasons ("transport close", "ping timeout",
     *  "client namespace disconnect", …). */
    void (*disconnected) (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const char *reason);
};

void tide_app_admit (tide_hub_t *hub, uint64_t admission);
/*  The client gets connect_error with the message and, unless it is NULL, the data (JSON text). */
void tide_app_refuse (tide_hub_t *hub, uint64_t admission, const char *message, const char *data);

/*  The first answer to a call counts; one to a client that is gone is dropped. */
void tide_app_acknowledge (tide_hub_t *hub, uint64_t call, const tide_args_t *args);
void tide_app_fail (tide_hub_t *hub, uint64_t call, tide_status_t status, const char *message);

/*  How something ended that takes a while. SHUTTING_DOWN: the hub is being destroyed; what is
 *  asked of it from then on is neither done nor told. */
typedef void (tide_app_done_fn) (void *argument, tide_hub_t *hub, tide_status_t status);

/*  The topic of a room of a namespace, appended: NAMESPACE/ROOM without the leading slash, the room
 *  percent-encoded where a topic's level cannot hold it; @ROOM if a client of this hub has that id;
 *  of an empty room, the topic of all that are in the namespace. */
void tide_app_topic (tide_hub_t *hub, tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t room);

typedef struct {
    tide_bytes_t topic;
    tide_bytes_t name;
    tide_args_t args;
    tide_bytes_t except; /* topics whose members do not get it, one a line */
    bool is_volatile;
} tide_app_emit_t;

/*  Publishes an event. done, unless it is NULL, is told when it is durable (volatile: on its way),
 *  or why it is not: BAD_TOPIC also of `except`, BAD_REQUEST of a name that Socket.IO or the
 *  gateway keeps for itself. */
void tide_app_emit (tide_hub_t *hub, const tide_app_emit_t *emit, tide_app_done_fn *done,
                    void *argument);

/*  What a client answered; answered is false if it did not. */
typedef struct {
    const char *sid;
    bool answered;
    tide_args_t args;
} tide_app_answer_t;

typedef void (tide_app_answers_fn) (void *argument, tide_hub_t *hub,
                                    const tide_app_answer_t *answers, size_t count);

/*  Emits an event that asks each member of the topic, but those of `except`, for an acknowledgement
 *  (never logged, never replayed). done is called once, when all have answered or the time is up:
 *  with everybody who was asked: nobody, if an event cannot be of that topic or name. A hub that is
 *  destroyed calls it before. */
void tide_app_ask (tide_hub_t *hub, const tide_app_emit_t *emit, uint32_t timeout_ms,
                   tide_app_answers_fn *done, void *argument);

/*  Lets a client of this hub join or leave a topic, as if it had asked for that itself. NOT_FOUND
 *  if there is none such. */
void tide_app_join (tide_hub_t *hub, const char *sid, tide_bytes_t topic, tide_app_done_fn *done,
                    void *argument);
void tide_app_leave (tide_hub_t *hub, const char *sid, tide_bytes_t topic, tide_app_done_fn *done,
                     void *argument);

/*  Ends a client's session in its namespace ("io server disconnect"), for good; closes: those that
 *  it has in other namespaces as well, and its connection. */
void tide_app_disconnect (tide_hub_t *hub, const char *sid, bool closes);

/*  For what stands on Engine.IO: sends a message to the client. */
void tide_app_send (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t message,
                    bool is_text);

#endif
