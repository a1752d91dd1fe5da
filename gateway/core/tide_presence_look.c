/*  tide_presence_look.c - a lane looks whether its members stand, and enters them again.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_channel.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_presence_internal.h"

/*  How long after a broker came it is looked who stands: what it was about to remove then is gone
 *  by now. And how long after something could not be done it is tried again. */
enum { LOOK_MS = 1000, FAILURES_MAX = 5 /* … twice as long each time, up to 32 s */ };

void tide_presence_look_soon (tide_hub_t *hub)
{
    if (hub->presence_round_ms == 0)
        hub->presence_round_ms = hub->now_ms + LOOK_MS;
}

void tide_presence_try_later (tide_hub_t *hub)
{
    if (hub->presence_round_ms != 0)
        return;
    hub->presence_round_ms = hub->now_ms + ((uint64_t) LOOK_MS << hub->presence_failures);
    hub->presence_failures += hub->presence_failures < FAILURES_MAX;
}

static void look_at_next (tide_hub_t *hub);

/*  Who of this lane stands there as of `upto` is marked. */
static void mark_standing (tide_hub_t *hub, tide_bytes_t pattern, tide_list_t events, uint64_t upto)
{
    tide_event_t event;
    while (tide_event_next (&events, &event)) {
        tide_session_t *session;
        HASH_FIND (hh, hub->sessions, event.key.data, event.key.size, session);
        tide_member_t *member = session ? tide_member_find (session, pattern) : NULL;
        if (!member)
            continue;
        member->present.is_seen = true;
        /*  Under another lane's lease it is not ours to be released; and it may be gone again. */
        if (session->gone_at <= upto && tide_bytes_is (event.lease, hub->config.lane)
            && member->present.seq < event.seq) {
            member->present.seq = event.seq;
            tide_presence_count (hub, member);
        }
    }
}

/*  Enters again who ought to stand there as of `upto`, and does not. */
static void mend (tide_hub_t *hub, tide_member_t *member, uint64_t upto)
{
    tide_present_t *present = &member->present;
    tide_bytes_t pattern = tide_channel_pattern (member->channel);
    if (member->session->state != TIDE_SESSION_OPEN || tide_join_find (member->session, pattern))
        return;
    if (present->data && !present->is_seen && present->seq <= upto)
        present->is_due = true;
    hub->counters.presence_mended += present->is_due && !present->is_under_way;
    tide_presence_publish_member (hub, member);
}

static void looked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_gathered_t gathered = TIDE_GATHERED_TOO_MANY;
    if (answer && answer->kind == TIDE_MESSAGE_STANDING)
        gathered = tide_op_gather (hub, op, answer);
    if (gathered == TIDE_GATHERED_PART)
        return;
    hub->is_presence_asked = false;
    if (gathered == TIDE_GATHERED_TOO_LARGE) { /* it would be the next time, too */
        look_at_next (hub);
        return;
    }
    if (gathered != TIDE_GATHERED_ALL) {
        tide_presence_try_later (hub);
        return;
    }
    tide_bytes_t pattern = tide_bytes (op->topic + TIDE_PRESENCE_PREFIX_SIZE);
    tide_channel_t *channel = tide_channel_find (hub, pattern);
    tide_member_t *member;
    if (channel) {
        DL_FOREACH2 (channel->members, member, next_member)
            member->present.is_seen = false;
        mark_standing (hub, pattern, tide_list (&op->text, (uint32_t) op->tag),
                       answer->standing.seq);
        DL_FOREACH2 (channel->members, member, next_member)
            mend (hub, member, answer->standing.seq);
    }
    look_at_next (hub);
}

/*  One topic at a time, so that the broker has little to do with it. */
static void look_at_next (tide_hub_t *hub)
{
    tide_channel_t *channel = hub->present;
    if (!channel || channel->round == hub->presence_round)
        return;
    channel->round = hub->presence_round;
    DL_DELETE2 (hub->present, channel, present_prev, present_next);
    DL_APPEND2 (hub->present, channel, present_prev, present_next);
    char name[TIDE_TOPIC_SIZE_MAX + 1];
    tide_presence_name (tide_channel_pattern (channel), name);
    hub->is_presence_asked = tide_presence_ask (hub, name, looked, NULL) != NULL;
    if (!hub->is_presence_asked)
        tide_presence_try_later (hub);
}

void tide_presence_broker_came (tide_hub_t *hub)
{
    hub->presence_round_ms = hub->presence_failures = 0;
    tide_presence_look_soon (hub);
}

void tide_presence_tick (tide_hub_t *hub)
{
    if (hub->presence_round_ms == 0 || hub->presence_round_ms > hub->now_ms
        || hub->is_presence_asked || !tide_link_is_up (hub->link))
        return;
    hub->presence_round_ms = 0;
    hub->presence_round++;
    look_at_next (hub);
}
