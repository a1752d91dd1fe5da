/*  tide_orders.c - what workers do to a session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_orders.h"

#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_presence.h"
#include "tide_reply.h"
#include "tide_room.h"

#include <stdlib.h>
#include <string.h>

typedef enum { JOIN, LEAVE, DISCONNECT, ASK } order_kind_t;

/*  It outlives the session if it must: whoever was asked tells in any case. */
struct tide_order {
    order_kind_t kind;
    tide_session_t *session; /* until it is being carried out */
    char sid[40];
    uint64_t seq;
    json_t *args;
    tide_buffer_t payload; /* ASK: as it came */
    char *wanted, *answer; /* ASK: what it is called, and the topic that gets the answer */
    struct tide_order *prev, *next;
};
typedef struct tide_order order_t;

static bool kind_of (const tide_event_t *event, order_kind_t *kind)
{
    static const char *const names[] = {TIDE_ORDER_JOIN, TIDE_ORDER_LEAVE, TIDE_ORDER_DISCONNECT,
                                        TIDE_ORDER_ASK};
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
    tide_buffer_free (&order->payload);
    free (order->wanted);
    free (order->answer);
    free (order);
}

/*  The arguments as an array; NULL if they are none. */
static json_t *arguments_of (const tide_args_t *args)
{
    const char *why;
    json_t *json = tide_json_parse (args->json, &why);
    return json && !args->many ? json_pack ("[o]", json) : json;
}

/*  What a question has beside its arguments. */
static bool take_asker (order_t *order, const tide_args_t *args)
{
    tide_called_t called;
    if (!tide_called_decode (args->about, &called) || !tide_topic_valid (called.answer))
        return false;
    order->wanted = tide_copy (called.wanted.data, called.wanted.size);
    order->answer = tide_copy (called.answer.data, called.answer.size);
    return true;
}

void tide_orders_take (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event)
{
    order_t *order = tide_alloc (sizeof *order);
    tide_args_t args;
    bool is_good =
        kind_of (event, &order->kind) && tide_args_decode (event->payload, &args) == TIDE_OK;
    order->args = is_good ? arguments_of (&args) : NULL;
    is_good = order->args && (order->kind == ASK) == (event->seq == 0)
              && (order->kind != ASK || take_asker (order, &args));
    if (!is_good) {
        order_free (order);
        hub->counters.ignored_events++;
        return;
    }
    order->session = session;
    memcpy (order->sid, session->sid, sizeof order->sid);
    order->seq = event->seq;
    if (order->seq > 0)
        session->order_pin = order->seq;
    else
        tide_buffer_append_bytes (&order->payload, event->payload);
    DL_APPEND (hub->orders, order);
}

static void published (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) op;
    hub->counters.publish_failures += !answer || answer->kind != TIDE_MESSAGE_ACK;
}

/*  The session may be another one under the same sid by now: that one has come to the order by
 *  itself, or will. */
static void carried_out (void *argument, tide_hub_t *hub, tide_status_t status)
{
    order_t *order = argument;
    tide_session_t *session;
    bool is_unanswered = status == TIDE_TIMEOUT || status == TIDE_BROKER_AWAY
                         || status == TIDE_SHUTTING_DOWN; /* the next one takes it */
    HASH_FIND (hh, hub->sessions, order->sid, strlen (order->sid), session);
    if (session && session->order_pin == order->seq && is_unanswered)
        tide_hub_close (hub, session->connection, 1011); /* it comes back, and to the order again */
    else if (session && session->order_pin == order->seq) {
        /*  A topic that cannot be joined is none: the worker was told when it said so. */
        session->order_pin = 0;
        tide_deliver_settle (hub, session);
    }
    order_free (order);
}

/*  -- asking ---------------------------------------------------------------------------------- */

static void publish_answer (tide_hub_t *hub, const order_t *order, tide_status_t code,
                            const tide_args_t *args)
{
    tide_buffer_t about = {0}, payload = {0}, list = {0};
    tide_args_t answer = args ? *args : (tide_args_t){.many = true, .json = tide_bytes ("[]")};
    tide_replied_append (
        &about, &(tide_replied_t){.wanted = tide_bytes (order->wanted), .code = (uint8_t) code});
    answer.about = (tide_bytes_t){about.data + 4, about.size - 4};
    tide_args_encode (&payload, &answer);
    tide_event_append (&list, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                              .topic = tide_bytes (order->answer),
                                              .name = tide_bytes (TIDE_REPLY_NAME),
                                              .from = tide_bytes (order->sid),
                                              .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&list, 1);
    if (args && payload.size > hub->config.payload_max)
        publish_answer (hub, order, TIDE_TOO_LARGE, NULL);
    else if (!tide_op_send (hub, &message, published, NULL))
        hub->counters.publish_failures++; /* whoever asked sees that its time is up */
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
    tide_buffer_free (&list);
}

static void answered (void *argument, tide_hub_t *hub, const tide_app_answer_t *answers,
                      size_t count)
{
    order_t *order = argument;
    if (count > 0 && answers[0].answered)
        publish_answer (hub, order, TIDE_OK, &answers[0].args);
    else if (!hub->is_over)
        publish_answer (hub, order, count > 0 ? TIDE_TIMEOUT : TIDE_NOT_FOUND, NULL);
    order_free (order);
}

/*  What is asked, as an event; false if it is no question. */
static bool make_question (const order_t *order, tide_buffer_t *record)
{
    const json_t *name = json_array_get (order->args, 1);
    tide_bytes_t said = {(const uint8_t *) json_string_value (name), json_string_length (name)};
    if (!json_is_string (name) || !tide_name_valid (said) || tide_socketio_name_fault (said))
        return false;
    json_t *rest = json_copy (order->args);
    json_array_remove (rest, 0);
    json_array_remove (rest, 0);
    tide_buffer_t text = {0}, payload = {0}, topic = {0};
    tide_json_value (&text, rest);
    tide_args_t args;
    tide_status_t status = tide_args_decode (tide_buffer_bytes (&order->payload), &args);
    tide_assert (status == TIDE_OK); /* was when it came */
    args.many = true;
    args.about = (tide_bytes_t){0};
    args.json = tide_buffer_bytes (&text); /* its attachments stay where they were */
    tide_args_encode (&payload, &args);
    tide_session_topic (&topic, tide_bytes (order->sid));
    tide_event_append (record, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                               .topic = tide_buffer_bytes (&topic),
                                               .name = said,
                                               .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
    tide_buffer_free (&topic);
    json_decref (rest);
    return true;
}

static void ask (tide_hub_t *hub, order_t *order)
{
    tide_buffer_t record = {0};
    json_int_t timeout_ms = json_integer_value (json_array_get (order->args, 0));
    if (timeout_ms > 0 && timeout_ms <= TIDE_ASK_TIMEOUT_MAX_MS && make_question (order, &record))
        tide_ask_begin (hub, (tide_bytes_t){record.data + 4, record.size - 4},
                        (uint32_t) timeout_ms, answered, order);
    else {
        publish_answer (hub, order, TIDE_BAD_REQUEST, NULL);
        order_free (order);
    }
    tide_buffer_free (&record);
}

/*  The topic is being joined by the client itself: that comes to its end first. */
static bool must_wait (const order_t *order, tide_bytes_t topic)
{
    tide_session_t *session = order->session;
    return order->kind == JOIN
           && (tide_join_find (session, topic) || tide_cursors_are_asked (session, topic));
}

static void carry_out (tide_hub_t *hub, order_t *order)
{
    tide_session_t *session = order->session;
    const json_t *first = json_array_get (order->args, 0);
    tide_bytes_t topic = {(const uint8_t *) json_string_value (first), json_string_length (first)};
    if (must_wait (order, topic)) {
        session->order_waiting = order;
        return;
    }
    order->session = NULL;
    if (order->kind == ASK) {
        ask (hub, order);
        return;
    }
    tide_reply_t reply = {
        .kind = TIDE_REPLY_DONE, .done = carried_out, .argument = order, .hub = hub};
    json_t *present = json_array_get (order->args, 1);
    const char *why;
    if (tide_presence_check (session, topic, present, &why) != TIDE_OK)
        present = NULL; /* it joins all the same */
    /*  How it gets its events is the client's to say, if it has joined by itself. */
    const tide_member_t *member = tide_member_find (session, topic);
    if (order->kind == JOIN)
        tide_join_begin (hub, session, topic,
                         (tide_since_t){.kind = TIDE_SINCE_HERE,
                                        .epoch = tide_feed_epoch (hub->feed),
                                        .seq = order->seq},
                         member && member->meta, present, &reply);
    else if (order->kind == LEAVE && !(member && member->joined > order->seq))
        tide_leave (hub, session, topic, &reply);
    else if (order->kind == DISCONNECT)
        tide_app_disconnect (hub, session->sid, json_is_true (first));
    tide_reply_free (&reply); /* of one that goes nothing is left to hold, nor of one that has
                                 joined anew since, and comes from behind the order again */
}

void tide_orders_sweep (tide_hub_t *hub)
{
    while (hub->orders) {
        order_t *order = hub->orders;
        DL_DELETE (hub->orders, order);
        carry_out (hub, order);
    }
}

void tide_orders_go_on (tide_hub_t *hub, tide_session_t *session)
{
    order_t *order = session->order_waiting;
    session->order_waiting = NULL;
    if (order)
        DL_APPEND (hub->orders, order);
}

void tide_orders_forget (tide_hub_t *hub, tide_session_t *session)
{
    order_t *order, *next;
    tide_orders_go_on (hub, session);
    session->order_pin = 0;
    DL_FOREACH_SAFE (hub->orders, order, next) {
        if (order->session != session)
            continue;
        DL_DELETE (hub->orders, order);
        order_free (order);
    }
}
