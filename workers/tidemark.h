/*  tidemark.h - libtidemark: workers for a Tidemark broker, in C.
 *
 *  A worker is a process that handles what clients emit. It names its handlers, says what service
 *  it is one of, and runs: calls come one by one to each thread that runs. A call that is not
 *  answered goes to another worker, so a handler may see one twice: tidemark_call_id is the same.
 *  It may read topics as well, or nothing but that: tidemark_subscribe.
 *
 *  Threads. A client has one thread of its own, which talks to the broker, connects again when it
 *  was away, and lives on while handlers are busy. Any function here may be called from any thread,
 *  except: tidemark_handle, tidemark_use and tidemark_service only before the first tidemark_run;
 *  tidemark_close when no other thread is in a function of the client and every kept call is
 *  destroyed. Handlers, and functions of type tidemark_event_fn, run in the threads that call
 *  tidemark_run. Functions of type tidemark_done_fn run in the client's own thread: they must not
 *  block, nor call anything that waits (tidemark_publish, tidemark_unsubscribe, tidemark_snapshot,
 *  tidemark_request, tidemark_close). No function is for signal handlers. No signal is caught, and
 *  no thread of the client gets one.
 *
 *  Text is UTF-8 and NUL-terminated. A json_t * that is given is taken, whatever comes of it:
 *  tidemark_ack (call, json_pack ("[s]", "hello")). It is an array of all arguments, or anything
 *  else as the only one; NULL stands for no arguments.
 *
 *  Not there yet: CURVE.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  The error codes of the protocol, under their numbers on the wire. */
typedef enum {
    TIDEMARK_OK = 0,
    TIDEMARK_BAD_REQUEST = 1,
    TIDEMARK_BAD_TOPIC = 2,
    TIDEMARK_BAD_JSON = 3,
    TIDEMARK_TOO_LARGE = 4,
    TIDEMARK_TOO_MANY = 5,
    TIDEMARK_RATE_LIMITED = 6,
    TIDEMARK_UNAUTHORIZED = 7,
    TIDEMARK_FORBIDDEN = 8,
    TIDEMARK_TOKEN_EXPIRED = 9,
    TIDEMARK_CONFLICT = 10,
    TIDEMARK_NOT_FOUND = 11,
    TIDEMARK_NO_WORKER = 12,
    TIDEMARK_WORKER_FAILED = 13,
    TIDEMARK_TIMEOUT = 14,
    TIDEMARK_EPOCH_CHANGED = 15,
    TIDEMARK_TRIMMED = 16,
    TIDEMARK_BROKER_AWAY = 17,
    TIDEMARK_LOG_FULL = 18,
    TIDEMARK_SHUTTING_DOWN = 19
} tidemark_status_t;

/*  The code's name, as "bad_topic", and a sentence on cause and remedy; both are constants. */
const char *tidemark_status_name (tidemark_status_t status);
const char *tidemark_status_meaning (tidemark_status_t status);

/*  What was wrong, in words for people, or "": of the last function that the calling thread called
 *  and that waits for an answer (tidemark_publish, tidemark_snapshot, tidemark_request). Valid
 *  until the next one. */
const char *tidemark_error (void);

/*  -- the connection -------------------------------------------------------------------------- */

typedef struct tidemark tidemark_t;

typedef struct {
    const char *endpoint; /* of the broker; NULL: tcp://127.0.0.1:7400 */
    const char *name;     /* who this is, for the broker's log, at most 255 bytes; NULL: "worker" */
    uint32_t linger_ms;   /* how long tidemark_close waits for the broker; 0: 1000 */
} tidemark_options_t;

/*  Begins to connect, and returns at once: a broker that is away is tried until it is there. The
 *  options (NULL: all as above) are copied. NULL if the endpoint is none, or the name too long. The
 *  caller closes. */
tidemark_t *tidemark_connect (const tidemark_options_t *options);

/*  Waits up to linger_ms until the broker has answered what was published, replied and
 *  acknowledged, then takes its leave and nulls. What is still unanswered
 *  ends with SHUTTING_DOWN. */
void tidemark_close (tidemark_t **self_p);

/*  -- publishing ------------------------------------------------------------------------------ */

enum {
    TIDEMARK_VOLATILE = 1,  /* an event: never logged, dropped first; a handler: its calls are so */
    TIDEMARK_UNORDERED = 2, /* a handler: calls of one session may run side by side */
    TIDEMARK_REMOVE = 4     /* an event: removes its key; it has no arguments */
};

/*  What is beside the arguments; each may be NULL or 0. */
typedef struct {
    const char *key;    /* it stands under this key */
    const char *id;     /* published again under it, it is appended once; NULL: one is made */
    const char *except; /* topics whose members do not get it, one a line */
    unsigned flags;     /* TIDEMARK_VOLATILE, TIDEMARK_REMOVE */
} tidemark_event_options_t;

typedef struct {
    tidemark_status_t status;
    uint64_t seq;        /* the event's sequence; 0 of a volatile one */
    uint64_t epoch;      /* the log it belongs to */
    const char *message; /* what was wrong, or "" */
} tidemark_result_t;

typedef void (tidemark_done_fn) (void *argument, const tidemark_result_t *result);

/*  Publishes, and waits up to timeout_ms until it is durable. *seq, unless it is NULL, is the
 *  sequence. TIMEOUT: it may have been done, and is not tried any more. TOO_MANY: several thousand
 *  await their answer. BAD_TOPIC, BAD_REQUEST, TOO_LARGE, LOG_FULL, CONFLICT (the id was another
 *  event's); BROKER_AWAY of a volatile one. */
tidemark_status_t tidemark_publish (tidemark_t *self, const char *topic, const char *event,
                                    json_t *args, const tidemark_event_options_t *options,
                                    uint32_t timeout_ms, uint64_t *seq);

/*  Publishes, and returns at once. If that is OK, done (it may be NULL) is told once what came of
 *  it. While the broker is away, events are kept in order, and sent under their ids when it is
 *  back; TOO_MANY: no more are kept. */
tidemark_status_t tidemark_publish_async (tidemark_t *self, const char *topic, const char *event,
                                          json_t *args, const tidemark_event_options_t *options,
                                          tidemark_done_fn *done, void *argument);

/*  -- reading ---------------------------------------------------------------------------------- */

typedef enum {
    TIDEMARK_EVENT = 1, /* an event, in the order of the log; a volatile one where it belongs */
    TIDEMARK_STANDING,  /* the latest event of a key: part of what stands */
    TIDEMARK_RESET,     /* what was known is void, and code says why: TRIMMED, EPOCH_CHANGED. What
                           stands at seq follows, then JOINED */
    TIDEMARK_JOINED,    /* brought up: all up to seq, or what stands there, was told */
    TIDEMARK_ENDED,     /* nothing more comes, and code says why: TOO_LARGE, what stands is above
                           256 MiB; of a cursor or a group, CONFLICT and others as
                           tidemark_subscribe says, NOT_FOUND, it was removed. It is still to be
                           unsubscribed */
    TIDEMARK_MISSED     /* of a group: events up to seq were trimmed before it had read them */
} tidemark_event_kind_t;

typedef struct {
    const void *data;
    size_t size;
} tidemark_attachment_t;

/*  What a function is told; all of it is valid while the function runs. Texts are "" where there is
 *  nothing; of RESET, JOINED and ENDED there are only kind, code, seq and epoch. */
typedef struct {
    tidemark_event_kind_t kind;
    tidemark_status_t code; /* of RESET, ENDED and MISSED */
    uint64_t seq;     /* its place in the log; of a volatile one that behind which it belongs */
    uint64_t epoch;   /* the log */
    uint64_t time_ms; /* the broker's clock, Unix milliseconds */
    const char *topic, *event, *key;
    const char *id;     /* under which it was published */
    const char *from;   /* the session that published it */
    const char *user;   /* … and whose it is */
    const json_t *args; /* an array of all arguments; a binary value is
                           {"_placeholder":true,"num":n}: attachment n. NULL if it is removed */
    const tidemark_attachment_t *attachments;
    unsigned attachment_count;
    int is_removed; /* the key is: it stands no more */
    int is_volatile;
    unsigned attempt; /* of a group: from 1; above 1 it may have been handled before. Of a cursor:
                         how often this subscription was told it */
} tidemark_event_t;

/*  Is told what a subscription reads. What it returns is for cursors and groups: 0 acknowledges the
 *  event, all else gives it back, to be tried again after a while. */
typedef int (tidemark_event_fn) (const tidemark_event_t *event, void *argument);

typedef struct {
    /*  Where it begins: NULL or "live", with what comes from now on; "start", with all that there
     *  is; "snapshot", with what stands; "epoch:seq", with what is behind that place (the epoch in
     *  16 hex digits, as "%016" PRIx64 writes it). */
    const char *since;
    /*  The named cursor by which it reads, 1-64 bytes, without a group. NULL: none. */
    const char *cursor;
    /*  The group that shares what is read: one level of a topic, of 1-63 bytes. NULL: none, and the
     *  others are 0. Members that are there at the same time agree on lease and attempts. */
    const char *group;
    uint32_t credit;   /* events in hand at once, at most 10000; 0: 1 */
    uint32_t lease_ms; /* how long the function may take for one; 0: 30 seconds */
    uint32_t attempts; /* how often one is given before it is dead; 0: 5 */
} tidemark_subscribe_options_t;

typedef struct tidemark_subscription tidemark_subscription_t;

/*  Reads a topic, a subtree ("shop/#"), or all topics of clients ("#"); the system's own, too
 *  ("$dead/#", "@…"). The function is called in the threads of tidemark_run, with one thing at a
 *  time, in order; other subscriptions and calls go on beside it. While it is slow nothing is
 *  lost, but volatile events: it goes on reading in the log, and where that has been trimmed
 *  meanwhile it is told RESET. The same of a broker that is away or comes again.
 *
 *  The options (NULL: live) are copied. *subscription (it may be NULL) is for tidemark_unsubscribe;
 *  tidemark_close ends what is left. BAD_TOPIC; BAD_REQUEST: no function, since is none of the
 *  above, or options that do not go together; TOO_MANY: above 1000. */
tidemark_status_t tidemark_subscribe (tidemark_t *self, const char *topic,
                                      tidemark_event_fn *function, void *argument,
                                      const tidemark_subscribe_options_t *options,
                                      tidemark_subscription_t **subscription);

/*  With a cursor, it goes on behind what was acknowledged under that name, whoever reads by it: the
 *  position is in the log, and a browser's is the same (of anonymous clients). `since` counts only
 *  where it is new. An event, or JOINED, is acknowledged with all before it where the function
 *  returns 0; otherwise the same is told again a second later, and nothing behind it meanwhile. (Of
 *  what is volatile, of STANDING and of RESET it does not count: what stands is acknowledged as a
 *  whole, by JOINED.) Acknowledgements are gathered for up to a second, and written at once by
 *  tidemark_unsubscribe and tidemark_close; what is not yet durable when the process dies comes
 *  again. Of two readers the later one has it: the earlier is told ENDED with CONFLICT when it has
 *  acknowledged something, and both may be told an event until then. It belongs to its topic: ENDED
 *  with CONFLICT where it is another one's. What was trimmed before it was read, or is of another
 *  log, is told as RESET, until JOINED is acknowledged.
 *  CONFLICT: this client reads by it already; BAD_REQUEST: it is no name.
 *
 *  With a group, each event goes to one of its members, wherever they run, and to another one where
 *  it was not acknowledged: the function returned something else than 0, took longer than the
 *  lease, or its process died. So it may come twice: the attempt is above 1 then. After the last
 *  attempt it is in $dead/GROUP. The group is in the log: it goes on where it was, whoever comes
 *  back, and `since` counts only where it is new (not "snapshot"). It belongs to its topic: ENDED
 *  with CONFLICT where it is another one's. As many functions run at once as there are threads in
 *  tidemark_run, up to the credit: with a credit of 1 one after the other, in order but for what is
 *  tried again. Acknowledgements of the last second may be forgotten if the broker dies. CONFLICT:
 *  this client is a member already; TOO_LARGE: a number above its limit.
 *
 *  In the function, for as long as it runs: the event's lease begins anew, with lease_ms (0: as
 *  long as before). CONFLICT: it was over. BAD_REQUEST: the event is of no group. */
tidemark_status_t tidemark_event_extend (const tidemark_event_t *event, uint32_t lease_ms);

/*  Ends it, and nulls: the function is not called any more. Waits until it has returned, unless it
 *  is this function that calls. */
void tidemark_unsubscribe (tidemark_subscription_t **subscription);

/*  What stands in a topic or a subtree: waits for it up to timeout_ms. *state, which the caller
 *  gives back, is {key:event}, of a subtree {topic:{key:event}}; an event is
 *  {"topic","seq","event", "data" or "args","key","time","from"}, a binary value
 *  {"$binary":"<base64>"}. *seq (it may be NULL) is the sequence at which it stands. Otherwise
 *  *state is NULL: BAD_TOPIC, TIMEOUT, TOO_LARGE (above 256 MiB), TOO_MANY (the broker makes as
 *  many snapshots as it can: later). To read on behind it without a gap, subscribe from "snapshot"
 *  instead. */
tidemark_status_t tidemark_snapshot (tidemark_t *self, const char *topic, uint32_t timeout_ms,
                                     json_t **state, uint64_t *seq);

/*  -- calling other workers ------------------------------------------------------------------ */

/*  Asks a client, by its session's public id, for an acknowledgement of an event, and waits up to
 *  timeout_ms (at most ten minutes) for it. args are taken. *answer (it may be NULL), which the
 *  caller gives back, is an array of what it acknowledged with. Questions are never logged and
 *  never replayed: TIMEOUT if the client is away, or does not answer. BAD_REQUEST: no session, no
 *  name that a client can get, or no time; TOO_LARGE, TOO_MANY. */
tidemark_status_t tidemark_ask (tidemark_t *self, const char *sid, const char *event, json_t *args,
                                uint32_t timeout_ms, json_t **answer);

/*  Calls another worker, whoever serves the event in the namespace, as a client does that emits it,
 *  and waits up to timeout_ms for what it says. args are taken. *reply (it may be NULL), which the
 *  caller gives back, is an array of the arguments that it acknowledges with; a binary value is
 *  {"$binary":"<base64>"}. Where that is not OK *reply is NULL, and tidemark_error says why: the
 *  worker's own code; NO_WORKER; WORKER_FAILED: it was tried as often as it may be; TIMEOUT: it may
 *  be handled still; TRIMMED, EPOCH_CHANGED: the log has lost the place of the reply; BAD_REQUEST,
 *  TOO_LARGE, LOG_FULL; TOO_MANY. Calls of one client to one service are handled in order, unless
 *  the handler says otherwise; it sees a name that begins with "worker-" as the session that calls.
 *  A volatile call's reply is volatile, too. */
tidemark_status_t tidemark_request (tidemark_t *self, const char *nsp, const char *event,
                                    json_t *args, uint32_t timeout_ms, json_t **reply);

/*  -- serving --------------------------------------------------------------------------------- */

typedef struct tidemark_call tidemark_call_t;

/*  Handles a call, which is the library's. If it said nothing, the call is acknowledged without
 *  arguments where it returns 0, and else tried again after a while. */
typedef int (tidemark_handler_fn) (tidemark_call_t *call, void *argument);

/*  What clients do, under names that they cannot emit. Name a handler for them as for any event.
 *
 *  CONNECT: a client of Socket.IO wants to come in, or back in. Arguments: what it sent as `auth`,
 *  and whether its session goes on. If the call is acknowledged it comes in; tidemark_refuse and
 *  tidemark_fail keep it out. A namespace is there as soon as anything was served in it.
 *  DISCONNECT: its connection has ended, or it has left. Argument: Socket.IO's reason. If the
 *  gateway died with it, that is told as "transport close" when it is known, within some ten
 *  seconds, unless the client has come back by then.
 *  SESSION_EXPIRED: it cannot come back any more, and its data is gone. Half a minute after it has
 *  left; the server's --resume after it was cut off. */
#define TIDEMARK_CONNECT "tide:connect"
#define TIDEMARK_DISCONNECT "tide:disconnect"
#define TIDEMARK_SESSION_EXPIRED "tide:session_expired"

/*  Names a handler: namespace "/", "/chat" or "*" for all; an event's name, or "*" for all that
 *  have no handler of their own. flags: TIDEMARK_VOLATILE, TIDEMARK_UNORDERED. CONFLICT: there is
 *  one; BAD_REQUEST; TOO_MANY. */
tidemark_status_t tidemark_handle (tidemark_t *self, const char *nsp, const char *event,
                                   tidemark_handler_fn *handler, void *argument, unsigned flags);

/*  Names a middleware: a function that gets each call of a namespace ("*": of all) before its
 *  handler does, in the order in which they were named. It goes on where it returns 0 and has not
 *  ended the call; otherwise it was as if the handler had done so. BAD_REQUEST; TOO_MANY: above 64.
 */
tidemark_status_t tidemark_use (tidemark_t *self, const char *nsp, tidemark_handler_fn *middleware,
                                void *argument);

/*  What all workers of a service should agree on; 0 is what is said. */
typedef struct {
    uint32_t credit;   /* calls in hand at once, at most 10000; 0: 1 */
    uint32_t lease_ms; /* how long a handler may be silent about a call; 0: 30 seconds */
    uint32_t attempts; /* how often a call is lent before it is dead; 0: 5 */
    uint32_t delay_ms; /* the wait before the second attempt, later ones twice as long; 0: 1000 */
} tidemark_service_options_t;

/*  The service that this worker is one of: its name is one level of a topic, of 1-63 bytes. The
 *  options may be NULL. BAD_REQUEST; TOO_LARGE: a number above its limit. */
tidemark_status_t tidemark_service (tidemark_t *self, const char *name,
                                    const tidemark_service_options_t *options);

/*  Runs handlers, and the functions of subscriptions, in the calling thread until tidemark_stop:
 *  then OK. As many threads as call it handle calls side by side, up to the credit. Another status
 *  if the broker refuses to let it serve (tidemark_message says why); BAD_REQUEST if there is
 *  nothing to run: no subscription, and no handlers or no service. */
tidemark_status_t tidemark_run (tidemark_t *self);

/*  Lets every tidemark_run return when its handler has; if there is none, the next one at once.
 *  Calls that only waited go to another worker; what waited to be told waits on. */
void tidemark_stop (tidemark_t *self);

/*  Why the last tidemark_run that failed did, or ""; valid until another one fails. */
const char *tidemark_message (tidemark_t *self);

/*  Calls, since tidemark_connect. */
typedef struct {
    uint64_t lent;     /* that came */
    uint64_t waiting;  /* that no handler has begun */
    uint64_t returned; /* that waited, and went to others: at a stop, or when the broker was away */
    uint64_t refused;  /* ends that the broker did not take: the call was another's, or over; or one
                          of  the events could not be appended */
    uint64_t unknown;  /* that are malformed, or that no handler here is for */
} tidemark_counts_t;
void tidemark_counts (tidemark_t *self, tidemark_counts_t *counts);

/*  -- in a handler: what the call is ---------------------------------------------------------- */

/*  All that is returned is the call's. */
const char *tidemark_call_namespace (const tidemark_call_t *call);
const char *tidemark_call_event (const tidemark_call_t *call);
/*  Unique to the call, the same at each attempt; "" of a volatile one. */
const char *tidemark_call_id (const tidemark_call_t *call);
/*  The public id of the session that calls, or "". */
const char *tidemark_call_from (const tidemark_call_t *call);
/*  Who calls, or "" for anonymous. */
const char *tidemark_call_user (const tidemark_call_t *call);
/*  From 1; above 1 it may have been handled before. */
unsigned tidemark_call_attempt (const tidemark_call_t *call);
/*  1 if the caller wants an answer. */
int tidemark_call_is_wanted (const tidemark_call_t *call);
/*  An array of all arguments. A binary value is {"_placeholder":true,"num":n}: attachment n. */
const json_t *tidemark_call_args (const tidemark_call_t *call);
/*  The n-th attachment's bytes; NULL, and size 0, if there is none. */
const void *tidemark_call_attachment (const tidemark_call_t *call, unsigned n, size_t *size);

/*  -- in a handler: what becomes of it -------------------------------------------------------- */

/*  Each says the call's end, once, and returns without waiting for the broker; what the broker
 *  cannot be told now is told when it is back. CONFLICT: the call has had an end, or its lease is
 *  over: it is another's, and nothing was done. */

/*  Handled: the caller gets the arguments, which are taken. TOO_LARGE, BAD_REQUEST: they cannot be
 *  sent, and the call goes on. */
tidemark_status_t tidemark_ack (tidemark_call_t *call, json_t *args);
/*  Handled: the caller gets an error. BAD_REQUEST: code is OK, or none. */
tidemark_status_t tidemark_fail (tidemark_call_t *call, tidemark_status_t code,
                                 const char *message);
/*  To be tried again, after delay_ms (0: as the service says); dead after the last attempt. */
tidemark_status_t tidemark_retry (tidemark_call_t *call, uint32_t delay_ms);
/*  Never to be tried again: a dead letter, and an error to the caller. */
tidemark_status_t tidemark_reject (tidemark_call_t *call, const char *message);

/*  The lease begins anew and lasts lease_ms, at most an hour (0: as long as before). */
tidemark_status_t tidemark_extend (tidemark_call_t *call, uint32_t lease_ms);

/*  Adds an event that is appended together with the call's end, if that is tidemark_ack or
 *  tidemark_fail: all or nothing, and once. args are taken. BAD_TOPIC, BAD_REQUEST (also of
 *  TIDEMARK_VOLATILE: publish it), TOO_LARGE, TOO_MANY, CONFLICT as above. */
tidemark_status_t tidemark_emit (tidemark_call_t *call, const char *topic, const char *event,
                                 json_t *args, const tidemark_event_options_t *options);

/*  -- in a handler: the session that calls ---------------------------------------------------- */

/*  What is done to it is appended together with the call's end, as what is emitted is, and happens
 *  in that order, wherever the session is by then. NOT_FOUND: it is no session's call. */

/*  Lets the session join a room of its namespace, from this point on: it gets what is emitted to
 *  the room behind it, also in this very call. present, taken: true, or an object with what it says
 *  of itself, makes it present there, for all to see in $presence/TOPIC as long as it is connected;
 *  false: it is not any more; NULL: as it was. BAD_TOPIC; BAD_REQUEST if present is none of these,
 *  TOO_LARGE above 4096 bytes. A session that is present in 100 topics joins without. */
tidemark_status_t tidemark_join (tidemark_call_t *call, const char *room, json_t *present);
tidemark_status_t tidemark_leave (tidemark_call_t *call, const char *room);
/*  Ends the session for good; closes: and its whole connection, with other namespaces' sessions. */
tidemark_status_t tidemark_disconnect (tidemark_call_t *call, int closes);
/*  What workers keep of the session, in whatever handler: both wait for the broker, up to five
 *  seconds. NOT_FOUND: it is no session's call, or one without a record (--no-recovery), or the
 *  session is over. TIMEOUT; tidemark_error says more.
 *
 *  The data, which the caller gives back; NULL: there is none. Half a minute after the session was
 *  left for good, or when it can be resumed no more, there is none either. */
tidemark_status_t tidemark_session_get (tidemark_call_t *call, json_t **data);
/*  Sets it (taken; NULL: there is none from now on), durable on return: the next handler of the
 *  session sees it. TOO_LARGE: above 64 KiB of JSON, or the broker's limit; CONFLICT: the session
 *  has been taken over, again and again, meanwhile.
 *
 *  In TIDEMARK_CONNECT of a session that is new neither waits: what is set, by middlewares too, is
 *  kept until the call is acknowledged, and becomes durable together with the session, before
 *  anything else of it is called. (What tidemark_ack is given says nothing to the client there.)
 *  Where the session is kept out, or the call tried again, it is forgotten. */
tidemark_status_t tidemark_session_set (tidemark_call_t *call, json_t *data);

/*  Of TIDEMARK_CONNECT: keeps the client out, which gets `connect_error` with the message and the
 *  data (taken; may be NULL). BAD_REQUEST: it is no such call, or there is no message. */
tidemark_status_t tidemark_refuse (tidemark_call_t *call, const char *message, json_t *data);

/*  Keeps the call when the handler returns without having ended it. Whoever keeps it ends it from
 *  any thread, one at a time, and destroys it. */
void tidemark_keep (tidemark_call_t *call);
/*  Lets go of a kept call, and nulls; one without an end is tried again. */
void tidemark_call_destroy (tidemark_call_t **call_p);

/*  -- binary values ---------------------------------------------------------------------------- */

/*  {"$binary":"<base64>"}: stands for the bytes anywhere in arguments that are sent, at most ten of
 *  them in one event; clients of Socket.IO get a binary value. The caller gives it on. */
json_t *tidemark_binary (const void *bytes, size_t size);

/*  -- topics ---------------------------------------------------------------------------------- */

#define TIDEMARK_TOPIC_SIZE 256

/*  Each writes a topic, NUL-terminated: of a room of a namespace, of everybody in a namespace, of
 *  one session. BAD_TOPIC, and "", if it would be none. */
tidemark_status_t tidemark_topic_of_room (char topic[TIDEMARK_TOPIC_SIZE], const char *nsp,
                                          const char *room);
tidemark_status_t tidemark_topic_of_all (char topic[TIDEMARK_TOPIC_SIZE], const char *nsp);
tidemark_status_t tidemark_topic_of_session (char topic[TIDEMARK_TOPIC_SIZE], const char *sid);

#ifdef __cplusplus
}
#endif

#endif
