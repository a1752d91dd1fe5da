/*  sim_order.c - what workers do to sessions: they let them into topics, make them leave, send them
 *  away.
 *
 *  A client that is in a topic by an order gets all that is behind it there; one that was made to
 *  leave, nothing. A session that was sent away gets nothing behind that order, of no topic, and is
 *  not there at the end. Where a client's own request is under way, or the log may have refused
 *  what the lane writes, nobody knows.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

/*  The session was in this log before the order was. */
static bool is_in (const sim_client_t *client, uint64_t epoch)
{
    return client->epoch == 0 ? client->born == epoch : client->epoch == epoch;
}

/*  Only one connection reads for the session, and of this log. */
static bool is_sure (const sim_t *sim, const sim_client_t *client, uint64_t epoch)
{
    return sim->hooks.is_strict && !client->ghost && !client->is_ghost && epoch == sim->disk->epoch
           && is_in (client, epoch);
}

/*  One of another log is none that its position has passed: it has not heard of that log yet. */
bool sim_orders_await (const sim_client_t *client, const sim_topic_t *topic)
{
    return topic->ordered > 0
           && (!is_in (client, topic->ordered_epoch) || topic->ordered > client->position);
}

static bool is_busy (const sim_client_t *client, const sim_topic_t *topic)
{
    return topic->is_joining || topic->is_left || topic->may_be_in
           || sim_orders_await (client, topic) || topic->left > client->position;
}

/*  -- one at a time --------------------------------------------------------------------------- */

static void enter (sim_client_t *client, const sim_order_t *order, bool sure)
{
    sim_topic_t *topic = &client->topics[order->pattern];
    bool is_certain = sure && !is_busy (client, topic);
    if (topic->left > client->position && topic->state != SIM_OUT)
        topic->state = SIM_MAYBE;
    /*  One before it went with its log: it need not have come to that. */
    if (sim_orders_await (client, topic) && !is_in (client, order->epoch) && topic->state == SIM_IN)
        topic->state = SIM_MAYBE;
    topic->left = 0;
    topic->ordered = order->seq;
    topic->ordered_epoch = order->epoch;
    sim_presence_anew (topic);
    if (topic->state != SIM_OUT)
        return;
    topic->meta = false;
    topic->state = is_certain ? SIM_IN : SIM_MAYBE;
    topic->joined = order->seq;
    if (is_certain)
        client->epoch = order->epoch;
}

static void leave (sim_client_t *client, const sim_order_t *order, bool sure)
{
    sim_topic_t *topic = &client->topics[order->pattern];
    bool is_behind = topic->joined > order->seq && client->epoch == order->epoch;
    if (topic->state != SIM_IN || is_behind)
        return;
    if (sure && !is_busy (client, topic))
        topic->left = order->seq;
    if (topic->left == 0 || client->state != SIM_OPEN)
        topic->state = SIM_MAYBE; /* the connection before it may have left */
}

static void carry_out (sim_t *sim, sim_client_t *client, const sim_order_t *order)
{
    bool sure = is_sure (sim, client, order->epoch);
    if (order->kind == SIM_ORDER_JOIN)
        enter (client, order, sure);
    else if (order->kind == SIM_ORDER_LEAVE)
        leave (client, order, sure);
    else if (is_in (client, order->epoch) && client->gone_at == 0)
        client->gone_at = order->seq;
}

/*  -- in the log ------------------------------------------------------------------------------ */

static bool kind_of (const tide_event_t *event, sim_order_t *order)
{
    static const char *const names[] = {TIDE_ORDER_JOIN, TIDE_ORDER_LEAVE, TIDE_ORDER_DISCONNECT};
    for (unsigned at = 0; at < 3; at++)
        if (tide_bytes_is (event->name, names[at])) {
            order->kind = at;
            return true;
        }
    return false;
}

static void take (sim_t *sim, const sim_order_t *order)
{
    sim_hooks_t *self = &sim->hooks;
    sim->stats.orders++;
    sim->stats.order_leaves += order->kind == SIM_ORDER_LEAVE;
    sim->stats.order_gos += order->kind == SIM_ORDER_GO;
    self->orders = tide_realloc (self->orders, (self->order_count + 1) * sizeof *self->orders);
    self->orders[self->order_count++] = *order;
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++) {
        sim_client_t *client = &sim->clients[at];
        bool is_there = client->state == SIM_OPEN || client->sid[0] != 0;
        if (!is_there || client->is_dead || strcmp (client->sid, order->sid) != 0)
            continue;
        sim_note (sim, "client %u %s %s at %llu", client->number,
                  order->kind == SIM_ORDER_JOIN    ? "is to be let into"
                  : order->kind == SIM_ORDER_LEAVE ? "is made to leave"
                                                   : "is sent away:",
                  sim_patterns[order->pattern], (unsigned long long) order->seq);
        carry_out (sim, client, order);
    }
}

bool sim_order_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    sim_order_t order = {.epoch = disk->epoch, .seq = seq, .pattern = SIM_PATTERNS};
    tide_args_t args;
    if (!kind_of (event, &order))
        return false;
    snprintf (order.sid, sizeof order.sid, "%.*s", (int) event->topic.size - 1,
              (const char *) event->topic.data + 1);
    char room[TIDE_TOPIC_SIZE_MAX + 3] = "";
    if (tide_args_decode (event->payload, &args) == TIDE_OK)
        snprintf (room, sizeof room, "%.*s", TIDE_PRINT (args.json));
    for (unsigned at = 0; at < SIM_TOPICS; at++)
        if (strlen (room) == strlen (sim_patterns[at]) + 2
            && memcmp (room + 1, sim_patterns[at], strlen (sim_patterns[at])) == 0)
            order.pattern = at;
    if (order.kind == SIM_ORDER_GO)
        order.pattern = 0;
    if (order.pattern == SIM_PATTERNS)
        sim_fail (sim, "G7", "at %llu is an order that nobody gave", (unsigned long long) seq);
    else
        take (sim, &order);
    return true;
}

/*  -- what clients come to -------------------------------------------------------------------- */

/*  A session begins, or goes on: it comes to what lies behind its position. */
void sim_orders_opened (sim_t *sim, sim_client_t *client)
{
    sim_hooks_t *self = &sim->hooks;
    for (size_t at = 0; at < self->order_count; at++) {
        const sim_order_t *order = &self->orders[at];
        bool is_behind = client->epoch != order->epoch || order->seq > client->position;
        if (strcmp (order->sid, client->sid) != 0 || !is_behind)
            continue;
        sim_note (sim, "client %u comes to an order at %llu", client->number,
                  (unsigned long long) order->seq);
        const sim_topic_t *topic = &client->topics[order->pattern];
        bool is_known = (topic->ordered >= order->seq && topic->ordered_epoch == order->epoch)
                        || topic->left >= order->seq;
        if (!is_known || order->kind == SIM_ORDER_GO)
            carry_out (sim, client, order);
    }
}

/*  It may have left already: what was before the order it may have got, or not. */
void sim_orders_dropped (sim_client_t *client)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        if (topic->left > client->position && topic->state == SIM_IN)
            topic->state = SIM_MAYBE;
    }
}

bool sim_orders_hide (const sim_topic_t *topic, uint64_t seq)
{
    return topic->left > 0 && seq > topic->left;
}

void sim_orders_passed (sim_t *sim, sim_client_t *client, uint64_t seq)
{
    if (client->gone_at > 0 && seq > client->gone_at)
        sim_fail (sim, "G7", "client %u, which was sent away at %llu, is at %llu", client->number,
                  (unsigned long long) client->gone_at, (unsigned long long) seq);
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        if (topic->left == 0 || seq <= topic->left)
            continue;
        topic->state = SIM_OUT;
        topic->left = 0;
        sim_presence_left (topic);
    }
}

/*  What it was told at or before seq it may not have come to, and is told so. */
void sim_orders_trimmed (sim_client_t *client, uint64_t seq)
{
    if (client->gone_at <= seq)
        client->gone_at = 0;
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        if (topic->left == 0 || topic->left > seq)
            continue;
        topic->left = 0;
        topic->state = SIM_MAYBE;
    }
}

/*  It may come to an order yet that it leaves. */
void sim_orders_joined (const sim_t *sim, sim_client_t *client, unsigned pattern)
{
    sim_topic_t *topic = &client->topics[pattern];
    for (size_t at = 0; at < sim->hooks.order_count; at++) {
        const sim_order_t *order = &sim->hooks.orders[at];
        if (order->kind == SIM_ORDER_LEAVE && order->pattern == pattern
            && order->epoch == client->epoch && order->seq >= topic->joined
            && topic->state == SIM_IN && strcmp (order->sid, client->sid) == 0)
            topic->state = SIM_MAYBE;
    }
    topic->left = 0;
}

void sim_orders_gone (sim_t *sim, sim_client_t *client)
{
    sim_note (sim, "client %u is told to go", client->number);
    sim->stats.gone++;
    for (size_t at = 0; at < sim->hooks.order_count; at++)
        if (sim->hooks.orders[at].kind == SIM_ORDER_GO
            && strcmp (sim->hooks.orders[at].sid, client->sid) == 0)
            return;
    sim_fail (sim, "G7", "client %u is told to go, and nobody has said so", client->number);
}
