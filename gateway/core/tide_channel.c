/*  tide_channel.c - the topics of a lane: who is in them, and which entries of the tape are theirs.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_orders.h"

#include <stdlib.h>
#include <string.h>

tide_bytes_t tide_channel_pattern (const tide_channel_t *channel)
{
    return (tide_bytes_t){(const uint8_t *) channel->pattern, channel->size};
}

tide_channel_t *tide_channel_find (tide_hub_t *hub, tide_bytes_t pattern)
{
    tide_channel_t *channel;
    HASH_FIND (hh, hub->channels, pattern.data, pattern.size, channel);
    return channel;
}

tide_channel_t *tide_channel_use (tide_hub_t *hub, tide_bytes_t pattern)
{
    tide_channel_t *channel = tide_channel_find (hub, pattern);
    if (!channel) {
        channel = tide_alloc (sizeof *channel);
        channel->pattern = tide_copy (pattern.data, pattern.size);
        channel->size = pattern.size;
        HASH_ADD_KEYPTR (hh, hub->channels, channel->pattern, channel->size, channel);
        hub->subtrees += tide_pattern_is_subtree (pattern);
        tide_feed_add (hub->feed, pattern);
    }
    channel->users++;
    return channel;
}

void tide_channel_unuse (tide_hub_t *hub, tide_channel_t *channel)
{
    if (--channel->users > 0)
        return;
    tide_bytes_t pattern = tide_channel_pattern (channel);
    tide_feed_remove (hub->feed, pattern);
    hub->subtrees -= tide_pattern_is_subtree (pattern);
    HASH_DEL (hub->channels, channel);
    if (channel->is_touched)
        LL_DELETE2 (hub->touched, channel, touched_next);
    free (channel->items);
    free (channel->pattern);
    free (channel);
}

tide_item_t tide_channel_item (const tide_channel_t *channel, uint64_t index)
{
    return channel->items[index & (channel->capacity - 1)];
}

void tide_channel_trim (tide_hub_t *hub, tide_channel_t *channel)
{
    uint64_t first = tide_tape_first (hub->tape);
    while (channel->begin < channel->end) {
        tide_item_t item = tide_channel_item (channel, channel->begin);
        if (item.number >= first)
            break;
        if (item.seq > channel->horizon)
            channel->horizon = item.seq;
        channel->begin++;
    }
}

uint64_t tide_channel_behind (const tide_channel_t *channel, uint64_t seq)
{
    uint64_t low = channel->begin, high = channel->end;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (tide_channel_item (channel, middle).seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void grow (tide_channel_t *channel)
{
    uint64_t capacity = channel->capacity > 0 ? channel->capacity * 2 : 8;
    tide_item_t *items = tide_alloc (capacity * sizeof *items);
    for (uint64_t index = channel->begin; index < channel->end; index++)
        items[index & (capacity - 1)] = tide_channel_item (channel, index);
    free (channel->items);
    channel->items = items;
    channel->capacity = capacity;
}

static void link_item (tide_hub_t *hub, tide_channel_t *channel, tide_item_t item)
{
    if (channel->end - channel->begin == channel->capacity)
        tide_channel_trim (hub, channel);
    if (channel->end - channel->begin == channel->capacity)
        grow (channel);
    channel->items[channel->end++ & (channel->capacity - 1)] = item;
    if (!channel->is_touched) {
        channel->is_touched = true;
        LL_PREPEND2 (hub->touched, channel, touched_next);
    }
}

/*  Links an item to each level's subtree, from the topic itself up, then to `#`. */
static void link_subtrees (tide_hub_t *hub, tide_bytes_t topic, tide_item_t item)
{
    char pattern[TIDE_TOPIC_SIZE_MAX + 3];
    memcpy (pattern, topic.data, topic.size);
    for (size_t size = topic.size; size > 0; size--) {
        if (size < topic.size && topic.data[size] != '/')
            continue;
        memcpy (pattern + size, "/#", 2);
        tide_channel_t *channel =
            tide_channel_find (hub, (tide_bytes_t){(uint8_t *) pattern, size + 2});
        if (channel)
            link_item (hub, channel, item);
    }
    if (tide_topic_is_system (topic))
        return;
    tide_channel_t *channel = tide_channel_find (hub, tide_bytes ("#"));
    if (channel)
        link_item (hub, channel, item);
}

void tide_channel_event (tide_hub_t *hub, const tide_feed_action_t *action, bool is_volatile)
{
    tide_bytes_t topic = action->event.topic;
    tide_channel_t *channel = tide_channel_find (hub, topic);
    if (!channel && hub->subtrees == 0)
        return;
    tide_item_t item = {0, is_volatile ? action->seq : action->event.seq};
    unsigned flags = (is_volatile ? TIDE_TAPE_VOLATILE : 0)
                     | (action->event.except.size > 0 ? TIDE_TAPE_EXCEPT : 0)
                     | (tide_orders_is_one (&action->event) ? TIDE_TAPE_ORDER : 0);
    item.number = tide_tape_append (hub->tape, action->record, item.seq, flags, hub->now_ms);
    hub->tape_number = item.number;
    hub->counters.tape_events++;
    if (channel)
        link_item (hub, channel, item);
    if (hub->subtrees > 0)
        link_subtrees (hub, topic, item);
    if (is_volatile)
        tide_channel_complete (hub);
}

void tide_channel_complete (tide_hub_t *hub)
{
    while (hub->touched) {
        tide_channel_t *channel = hub->touched;
        hub->touched = channel->touched_next;
        channel->is_touched = false;
        tide_member_t *member;
        DL_FOREACH2 (channel->members, member, next_member)
            tide_deliver_touch (hub, member);
    }
}

void tide_channel_joined (tide_hub_t *hub, tide_bytes_t pattern, uint64_t seq)
{
    tide_channel_t *channel = tide_channel_find (hub, pattern);
    if (!channel)
        return;
    channel->is_joined = true;
    channel->begin = channel->end;
    channel->horizon = seq;
    tide_join_t *join, *next;
    DL_FOREACH_SAFE (channel->waiting, join, next)
        if (join->session->state == TIDE_SESSION_OPEN)
            tide_join_channel_ready (hub, join);
    tide_member_t *member;
    DL_FOREACH2 (channel->members, member, next_member)
        tide_deliver_settle (hub, member->session);
}

void tide_channel_lost (tide_hub_t *hub, tide_bytes_t pattern, uint64_t seq)
{
    tide_channel_t *channel = tide_channel_find (hub, pattern);
    if (!channel)
        return;
    /*  Whoever is not past it reads from the broker, and is told there that it is lost. */
    if (seq > channel->horizon)
        channel->horizon = seq;
    tide_member_t *member;
    DL_FOREACH2 (channel->members, member, next_member)
        tide_deliver_settle (hub, member->session);
}
