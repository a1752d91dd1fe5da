/*  tide_link.h - the client's half of the conversation with a broker.
 *
 *  Hello and its repetition, requests that await their answer and are asked again in order after
 *  a reconnect (a publish is safe to repeat because its events have ids), heartbeats and the
 *  broker's silence. Pure: two thin shells (a gateway's lane, a program's loop) own the DEALER.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LINK_H
#define TIDE_LINK_H

#include "tide_message.h"

typedef struct tide_link tide_link_t;

typedef struct {
    const char *name;   /* who is speaking, for the broker's log */
    const char *lease;  /* the lease that heartbeats renew, or NULL */
    const char *origin; /* unique to this link: made ids are ORIGIN-number, and the broker knows
                           by it who speaks, behind whichever connection */
} tide_link_config_t;

typedef enum {
    TIDE_LINK_CONNECT, /* drop the DEALER, if there is one, and connect a fresh one */
    TIDE_LINK_SEND,    /* send bytes on the DEALER; what cannot be sent may be dropped */
    TIDE_LINK_UP,      /* message is WELCOME: the conversation is up, for the first time or again */
    TIDE_LINK_AWAY,    /* the broker fell silent; requests stay pending and are asked again */
    TIDE_LINK_ANSWER,  /* message answers token: ACK, FAIL, PAGE, MARKS, STANDING, TOPICS, STATS */
    TIDE_LINK_LENT,    /* message is LEND: a call for this worker, token is the call's number; or
                          GROUP_EVENT, or GROUP_NOTE: an event, or a word, for a group's member */
    TIDE_LINK_RELAYED  /* message came from another peer (RELAYED) or says what became of one of
                          ours (TOLD); token is the message's own */
} tide_link_action_kind_t;

typedef struct {
    tide_link_action_kind_t kind;
    uint64_t token;
    tide_bytes_t bytes;
    const tide_message_t *message;
} tide_link_action_t;

tide_link_t *tide_link_new (const tide_link_config_t *config);
void tide_link_destroy (tide_link_t **self_p);

/*  Begins: says CONNECT, then SEND of a HELLO that is repeated until the WELCOME. */
void tide_link_start (tide_link_t *self, uint64_t now_ms);

/*  Sends a request (PUBLISH, READ, MARKS_READ, SNAPSHOT, TOPICS_READ, STATS_READ, SERVE, CALL,
 *  DONE, GROUP_JOIN, GROUP_LEAVE, GROUP_DONE), now or as soon as the broker is there, and again
 *  until it is answered. Sets the message's `request` and returns it as the token; 0 if
 *  TIDE_LINK_REQUESTS_MAX await their answer already (too_many). The message is copied. A SNAPSHOT
 *  with part > 0 goes on under its first part's token, which the caller has put into `request`; all
 *  other requests get a new one. What is larger than the broker reads is answered here, by FAIL
 *  too_large; so is a volatile publish, by FAIL broker_away, if the broker is away or did not
 *  answer: it is never repeated. SERVE and GROUP_JOIN are forgotten by a broker that starts or that
 *  took the worker for dead: say them again at each TIDE_LINK_UP. DONE and GROUP_DONE may be
 *  answered by FAIL conflict or not_found where it is said again: the call is over, or another's by
 *  now; with another epoch's WELCOME all that await their answer are answered by FAIL epoch_changed
 *  here, and what is in hand is to be dropped: its number may be another call's. PUBLISH: each
 *  logged event should have an id (tide_link_make_id), or a repetition may append it twice; of one
 *  that was sent twice FAIL log_full and too_many are told when both were refused so. */
uint64_t tide_link_request (tide_link_t *self, uint64_t now_ms, tide_message_t *message);

/*  Forgets a request: its answer, if one comes, is dropped. */
void tide_link_cancel (tide_link_t *self, uint64_t token);

/*  Sends a message that has no answer (RELEASE, RELAY, EXTEND, GROUP_EXTEND, BYE), once: it may be
 *  lost on the way and is not repeated. False if it was dropped here: the broker is away (see
 *  tide_link_is_up), or reads nothing as large. The message is copied. */
bool tide_link_send (tide_link_t *self, const tide_message_t *message);

/*  Writes a fresh event id, NUL-terminated. */
void tide_link_make_id (tide_link_t *self, char id[64]);

/*  A message from the DEALER. Anything malformed is counted and ignored. A FAIL with request 0
 *  (the broker does not know us: it restarted or dropped us) makes the link say hello again. */
void tide_link_receive (tide_link_t *self, uint64_t now_ms, tide_bytes_t bytes);

/*  Time has passed. */
void tide_link_tick (tide_link_t *self, uint64_t now_ms);
/*  When tick is due next. */
uint64_t tide_link_deadline_ms (const tide_link_t *self);

bool tide_link_next_action (tide_link_t *self, tide_link_action_t *action);

bool tide_link_is_up (const tide_link_t *self);
/*  Requests that await their answer. */
size_t tide_link_pending (const tide_link_t *self);

/*  If the broker refuses this protocol's version, or one more peer, it says so by FAIL; the text,
 *  or NULL. */
const char *tide_link_refusal (const tide_link_t *self);

typedef struct {
    uint64_t requests, answers, repeats, welcomes, aways, malformed, stray;
    uint64_t refused; /* by the link itself */
} tide_link_counters_t;
tide_link_counters_t tide_link_counters (const tide_link_t *self);

#endif
