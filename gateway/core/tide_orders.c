/*  tide_orders.c - what workers do to a session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_orders.h"

#include "tide_application_internal.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_reply.h"

#include <stdlib.h>
#include <string.h>

typedef enum { JOIN, LEAVE, DISCONNECT } order_kind_t;

/*  It outlives the session if it must: whoever was asked tells in any case. */
struct tide_order {
    order_kind_t kind;
    tide_session_t *session; /* until it is being carried out */
    char sid[40];
    uint64_t seq;
    json_t *args;
    struct tide_order *prev, *next;
};
typedef struct tide_order order_t;

static bool kind_of (const tide_event_t *event, order_kind_t *kind)
{
    static const char *const names[] = {TIDE_ORDER_JOIN, TIDE_ORDER_LEAVE, TIDE_ORDER_DISCONNECT};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++)
        if (tide_bytes_is (event->name, names[at])) {
            *kind = (order_kind_t) at;
            return true;
        }
    return false;
}

bool tide_orders_is_one (const tide_event_t *event)
{
    order_kind_t kind;
    return event->topic.size > 0 && event->topic.data[0] == '@' && kind_of (event, &kind);
}

static void order_free (order_t *order)
{
    json_decref (order->args);
    free (order);
}

/*  The arguments as an array; NULL if they are none. */
static json_t *arguments_of (const tide_event_t *event)
{
    tide_args_t args;
    const char *why;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? tide_json_parse (args.json, &why)
                       : NULL;
    return json && !args.many ? json_pack ("[o]", json) : json;
}

void tide_orders_take (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event)
{
    order_kind_t kind;
    json_t *args = arguments_of (event);
    if (event->seq == 0 || !kind_of (event, &kind) || !args) {
        json_decref (args);
        hub->counters.ignored_events++;
        return;
    }
    order_t *order = tide_alloc (sizeof *order);
    order->kind = kind;
    order->session = session;
    memcpy (order->sid, session->sid, sizeof order->sid);
    order->seq = event->seq;
    order->args = args;
    session->order_pin = event->seq;
    DL_APPEND (hub->orders, order);
}

/*  The session may be another one under the same sid by now: that one has come to the order by
 *  itself, or will. */
static void carried_out (void *argument, tide_hub_t *hub, tide_status_t status)
{
    order_t *order = argument;
    tide_session_t *session;
    (void) status; /* a topic that cannot be joined is none: the worker was told when it said so */
    HASH_FIND (hh, hub->sessions, order->sid, strlen (order->sid), session);
    if (session && session->order_pin == order->seq) {
        session->order_pin = 0;
        tide_deliver_settle (hub, session);
    }
    order_free (order);
}

static void carry_out (tide_hub_t *hub, order_t *order)
{
    tide_session_t *session = order->session;
    const json_t *first = json_array_get (order->args, 0);
    tide_bytes_t topic = {(const uint8_t *) json_string_value (first), json_string_length (first)};
    tide_reply_t reply = {
        .kind = TIDE_REPLY_DONE, .done = carried_out, .argument = order, .hub = hub};
    order->session = NULL;
    if (order->kind == JOIN)
        tide_join_begin (hub, session, topic,
                         (tide_since_t){.kind = TIDE_SINCE_HERE,
                                        .epoch = tide_feed_epoch (hub->feed),
                                        .seq = order->seq},
                         false, &reply);
    else if (order->kind == LEAVE)
        tide_leave (hub, session, topic, &reply);
    else
        tide_app_disconnect (hub, session->sid, json_is_true (first));
    tide_reply_free (&reply); /* of one that goes nothing is left to hold */
}

void tide_orders_sweep (tide_hub_t *hub)
{
    while (hub->orders) {
        order_t *order = hub->orders;
        DL_DELETE (hub->orders, order);
        carry_out (hub, order);
    }
}

void tide_orders_forget (tide_hub_t *hub, tide_session_t *session)
{
    order_t *order, *next;
    DL_FOREACH_SAFE (hub->orders, order, next) {
        if (order->session != session)
            continue;
        DL_DELETE (hub->orders, order);
        order_free (order);
    }
}
