/*  sim_hooks.h - a worker at the door: it lets clients in and into topics, and is told who left.
 *  SPDX-License-Identifier: MIT
 */
#ifndef SIM_HOOKS_H
#define SIM_HOOKS_H

#include "tide_message.h"

enum { SIM_DOOR_HANDS = 8, SIM_SID_SIZE = 64 };

struct sim_topic;

/*  A session's record, as the log has it. */
typedef struct {
    char topic[100], sid[SIM_SID_SIZE];
    uint64_t epoch, seq;      /* of what stands; 0: it was removed */
    uint64_t open_seq;        /* the last that is not closed */
    uint64_t opened;          /* … under which a client heard that it is in */
    bool is_asked, was_ended; /* a worker was asked; was told that it is over */
    bool is_served;           /* it was asked before the record was written */
} sim_guest_t;

/*  An end that is told: the connection's, or the session's. */
typedef struct {
    char key[160], sid[SIM_SID_SIZE];
    uint64_t epoch, seq, number;
    bool is_expired, is_over;
} sim_told_t;

/*  Into a topic, out of one, or away. */
typedef struct {
    enum { SIM_ORDER_JOIN, SIM_ORDER_LEAVE, SIM_ORDER_GO } kind;
    char sid[SIM_SID_SIZE];
    uint64_t epoch, seq;
    unsigned pattern;
} sim_order_t;

/*  What a client is asked for. */
typedef struct {
    char sid[SIM_SID_SIZE];
    bool is_last;     /* nothing strikes any more */
    bool is_answered; /* the client has answered */
    uint32_t heard_by;
    unsigned answers;
} sim_question_t;

typedef struct {
    uint64_t call, due_ms;
    uint32_t attempt;
    bool asks; /* whether somebody may come in */
    char sid[SIM_SID_SIZE];
} sim_door_hand_t;

typedef struct {
    bool is_on;
    bool is_strict;    /* nothing is lost or refused by the log in this world */
    tide_link_t *link; /* NULL: dead, until up_at_ms */
    sim_dealer_t dealer;
    uint64_t up_at_ms, serve_at_ms, serve_token, epoch;
    sim_door_hand_t hands[SIM_DOOR_HANDS];
    uint64_t served_epoch; /* the log that knows that ends are told */
    sim_guest_t *guests;
    sim_told_t *told;
    sim_order_t *orders;
    sim_question_t *questions; /* by number, from 1 */
    size_t guest_count, told_count, order_count, question_count;
} sim_hooks_t;

/*  sim_door.c: the worker. */
void sim_hooks_start (sim_t *sim);
void sim_hooks_free (sim_t *sim);
void sim_hooks_mend (sim_t *sim);
void sim_hooks_fault (sim_t *sim);
void sim_door_receive (sim_t *sim, tide_bytes_t bytes);
void sim_door_tick (sim_t *sim);
uint64_t sim_door_due_ms (const sim_hooks_t *self);

/*  The worker orders something of somebody. */
void sim_door_act (sim_t *sim);

/*  sim_order.c: what workers do to sessions. */
bool sim_order_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                        uint64_t seq);
void sim_orders_opened (sim_t *sim, sim_client_t *client);
/*  The client's connection has gone, or is another one's that it does not know; it is about to be
 *  at seq; it is told to go. */
void sim_orders_dropped (sim_client_t *client);
void sim_orders_trimmed (sim_client_t *client, uint64_t seq);
void sim_orders_passed (sim_t *sim, sim_client_t *client, uint64_t seq);
/*  It has joined, or was reset. */
void sim_orders_joined (const sim_t *sim, sim_client_t *client, unsigned pattern);
void sim_orders_gone (sim_t *sim, sim_client_t *client);
/*  A worker has let it in there, and it need not have come to that yet. */
bool sim_orders_await (const sim_client_t *client, const struct sim_topic *topic);
/*  The client is not to get what is at seq by that subscription: it was made to leave. */
bool sim_orders_hide (const struct sim_topic *topic, uint64_t seq);

/*  sim_question.c: what workers ask clients for. */
void sim_question_ask (sim_t *sim, const sim_client_t *client);
void sim_questions_last (sim_t *sim);
/*  The client is asked: true if it answers that. */
bool sim_question_heard (sim_t *sim, sim_client_t *client, const json_t *array, char answer[64]);
/*  A volatile event is published; true if it is an answer. */
bool sim_question_told (sim_t *sim, const tide_event_t *event);
bool sim_questions_settled (sim_t *sim, bool say);

/*  sim_hooks.c: what must hold. */
bool sim_hooks_is_call (const tide_event_t *event);
/*  A record of the system's has become durable; true if it is no business of other calls. */
bool sim_hooks_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                        uint64_t seq);
/*  The client hears that it is in. */
void sim_hooks_opened (sim_t *sim, sim_client_t *client);
bool sim_hooks_settled (sim_t *sim, bool say);

#endif
