/*  tide_hub_broker.c - what the hub hears from the broker: by the feed, and by the link.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_client_sse.h"
#include "tide_cursors.h"
#include "tide_hooks.h"
#include "tide_neighbours.h"
#include "tide_op.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_session.h"

#include <string.h>

void tide_hub_receive (tide_hub_t *self, uint64_t now_ms, tide_bytes_t message)
{
    self->now_ms = now_ms;
    tide_link_receive (self->link, now_ms, message);
}

void tide_hub_published (tide_hub_t *self, uint64_t now_ms, tide_bytes_t frame)
{
    self->now_ms = now_ms;
    tide_feed_receive (self->feed, frame);
}

static void feed_answered (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_feed_answer (hub->feed, op->tag, answer);
}

static void request_for_feed (tide_hub_t *self, const tide_feed_action_t *action)
{
    tide_message_t message = *action->message;
    tide_op_t *op = tide_op_new (self, &message, feed_answered);
    tide_assert (op); /* the feed asks for few things at once, see tide_op_send */
    op->tag = action->tag;
}

static void subscribe (tide_hub_t *self, tide_hub_action_kind_t kind, tide_bytes_t pattern)
{
    for (int is_volatile = 0; is_volatile < 2; is_volatile++) {
        tide_buffer_t one = {0}, two = {0};
        unsigned count = tide_fanout_subscription (pattern, is_volatile, &one, &two);
        tide_hub_queue (self, kind, tide_buffer_bytes (&one))->is_volatile = is_volatile;
        if (count == 2)
            tide_hub_queue (self, kind, tide_buffer_bytes (&two))->is_volatile = is_volatile;
        tide_buffer_free (&one);
        tide_buffer_free (&two);
    }
}

static void change_epoch (tide_hub_t *self)
{
    tide_channel_t *channel, *next_channel;
    HASH_ITER (hh, self->channels, channel, next_channel) {
        channel->is_joined = false;
        channel->begin = channel->end;
    }
    tide_hooks_epoch (self);
    tide_cursors_forget_left (self);
    tide_session_t *session, *next;
    HASH_ITER (hh, self->sessions, session, next)
        tide_session_epoch (self, session);
}

void tide_hub_feed_said (tide_hub_t *self, const tide_feed_action_t *action)
{
    switch (action->kind) {
    case TIDE_FEED_SUBSCRIBE:
        subscribe (self, TIDE_HUB_SUBSCRIBE, action->pattern);
        break;
    case TIDE_FEED_UNSUBSCRIBE:
        subscribe (self, TIDE_HUB_UNSUBSCRIBE, action->pattern);
        break;
    case TIDE_FEED_REQUEST:
        request_for_feed (self, action);
        break;
    case TIDE_FEED_JOINED:
        tide_channel_joined (self, action->pattern, action->seq);
        break;
    case TIDE_FEED_EVENT:
    case TIDE_FEED_VOLATILE:
        if (!tide_bytes_is (action->event.topic, self->lane_topic))
            tide_channel_event (self, action, action->kind == TIDE_FEED_VOLATILE);
        else if (!tide_hooks_replied (self, &action->event))
            tide_session_lane_event (self, &action->event);
        break;
    case TIDE_FEED_LOST:
        tide_channel_lost (self, action->pattern, action->seq);
        break;
    case TIDE_FEED_COMPLETE:
        tide_channel_complete (self);
        break;
    case TIDE_FEED_EPOCH:
        change_epoch (self);
        break;
    }
}

static void link_is_up (tide_hub_t *self, const tide_message_t *message)
{
    const tide_welcome_message_t *welcome = &message->welcome;
    self->is_welcome = true;
    tide_neighbour_broker_left (self); /* it may be back before it was missed */
    tide_hub_action_t *action = tide_hub_queue (self, TIDE_HUB_FOLLOW, welcome->events);
    action->events = action->bytes;
    /*  Both endpoints share one copy of the bytes. */
    tide_queued_t *queued = self->queue->prev;
    size_t size = welcome->events.size;
    queued->bytes = tide_realloc (queued->bytes, size + welcome->volatiles.size + 1);
    if (welcome->volatiles.size > 0)
        memcpy (queued->bytes + size, welcome->volatiles.data, welcome->volatiles.size);
    action->bytes = (tide_bytes_t){0};
    action->events = (tide_bytes_t){queued->bytes, size};
    action->volatiles = (tide_bytes_t){queued->bytes + size, welcome->volatiles.size};
    tide_feed_welcome (self->feed, welcome->epoch, welcome->head);
    tide_hooks_broker_came (self);
    tide_released_resend (self);
    tide_presence_broker_came (self);
    tide_sse_broker_came (self);
}

bool tide_hub_link_said (tide_hub_t *self, const tide_link_action_t *from,
                         tide_hub_action_t *action)
{
    tide_op_t *op;
    switch (from->kind) {
    case TIDE_LINK_CONNECT:
        *action = (tide_hub_action_t){.kind = TIDE_HUB_CONNECT};
        return true;
    case TIDE_LINK_SEND:
        *action = (tide_hub_action_t){.kind = TIDE_HUB_SEND, .bytes = from->bytes};
        return true;
    case TIDE_LINK_UP:
        link_is_up (self, from->message);
        return false;
    case TIDE_LINK_AWAY:
        self->is_welcome = false;
        tide_neighbour_broker_left (self);
        return false;
    case TIDE_LINK_ANSWER:
        HASH_FIND (hh, self->ops, &from->token, sizeof from->token, op);
        if (op)
            tide_op_answer (self, op, from->message);
        return false;
    case TIDE_LINK_LENT: /* it is no worker */
        return false;
    case TIDE_LINK_RELAYED:
        tide_neighbour_receive (self, from->message);
        return false;
    }
    return false;
}
