/*  tide_group_lend.c - who gets an event, and what becomes of it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_group_parts.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/*  -- lending --------------------------------------------------------------------------------- */

bool tide_group_can_lend (const tide_groups_t *self, const tide_group_t *group)
{
    return self->sequencer && !self->is_stopping && group->is_open;
}

/*  Of those with credit the one with the fewest in hand; of equals the one that waits longest. */
static tide_member_t *pick (const tide_group_t *group)
{
    tide_member_t *picked = NULL, *member;
    DL_FOREACH (group->members, member)
        if (member->in_hand < member->credit
            && (!picked || member->in_hand < picked->in_hand
                || (member->in_hand == picked->in_hand && member->given < picked->given)))
            picked = member;
    return picked;
}

static void lend (tide_groups_t *self, tide_group_item_t *item, tide_member_t *member)
{
    tide_group_t *group = item->group;
    tide_item_let_go (self, item);
    tide_item_become (self, item, TIDE_ITEM_LENT);
    item->attempt++;
    item->member = member;
    item->holder = member->who;
    DL_APPEND2 (member->items, item, hand_prev, hand_next);
    member->in_hand++;
    member->given = ++self->given;
    if (group->lent_to < item->seq)
        group->lent_to = item->seq;
    item->lease_ms = group->lease_ms;
    tide_due_set (&self->due, item->handle, self->now_ms + item->lease_ms);
    tide_buffer_t list = {0};
    tide_list_append (&list, item->record);
    tide_message_t message = {.kind = TIDE_MESSAGE_GROUP_EVENT,
                              .group_event = {.user = group->user,
                                              .name = group->name,
                                              .attempt = item->attempt,
                                              .lease_ms = group->lease_ms,
                                              .events = tide_list (&list, 1)}};
    tide_outbox_send (&self->core->out, tide_member_peer (member), &message);
    tide_buffer_free (&list);
    self->core->counters.group_events++;
    self->core->counters.group_events_again += item->attempt > 1;
}

void tide_group_lend (tide_groups_t *self, tide_group_t *group)
{
    tide_member_t *member;
    while (tide_group_can_lend (self, group) && group->waiting && group->waiting->record.size > 0
           && (member = pick (group)) != NULL)
        lend (self, group->waiting, member);
}

/*  -- what becomes of an event ---------------------------------------------------------------- */

void tide_item_acknowledge (tide_groups_t *self, tide_group_item_t *item)
{
    tide_group_t *group = item->group;
    tide_item_let_go (self, item);
    tide_item_become (self, item, TIDE_ITEM_ACKED);
    tide_item_drop_record (self, item);
    tide_group_settle (self, group);
    tide_group_touch (self, group);
}

void tide_item_bury (tide_groups_t *self, tide_group_item_t *item, tide_status_t code,
                     const char *message)
{
    tide_item_let_go (self, item);
    tide_item_become (self, item, TIDE_ITEM_DEAD);
    item->group->dead_count++;
    item->code = (uint8_t) code;
    item->message = tide_copy (message, strlen (message));
    self->core->counters.group_events_dead++;
    tide_group_touch (self, item->group);
}

uint64_t tide_item_delay_ms (const tide_group_item_t *item)
{
    uint32_t made = tide_item_attempts (item);
    unsigned doublings = made > 0 ? made - 1 : 0;
    uint64_t delay_ms = item->group->delay_ms;
    while (doublings-- > 0 && delay_ms < TIDE_CALL_DELAY_MS_MAX)
        delay_ms *= 2;
    return delay_ms < TIDE_CALL_DELAY_MS_MAX ? delay_ms : TIDE_CALL_DELAY_MS_MAX;
}

/*  It was not handled: again, a while later, unless it was tried too often. */
void tide_item_retry (tide_groups_t *self, tide_group_item_t *item, uint64_t delay_ms,
                      tide_status_t code, const char *why)
{
    char text[TIDE_GROUP_MESSAGE_SIZE_MAX + 64];
    uint32_t made = tide_item_attempts (item);
    if (made >= item->group->attempts) {
        snprintf (text, sizeof text, "%s (attempt %u of %u)", why, made, item->group->attempts);
        tide_item_bury (self, item, code, text);
        return;
    }
    if (delay_ms == 0) {
        tide_item_wait (self, item);
        return;
    }
    tide_item_let_go (self, item);
    tide_item_become (self, item, TIDE_ITEM_RESTING);
    tide_due_set (&self->due, item->handle, self->now_ms + delay_ms);
}

void tide_item_take_back (tide_groups_t *self, tide_group_item_t *item)
{
    if (item->unused == TIDE_CALL_ATTEMPTS_MAX) {
        tide_item_retry (self, item, tide_item_delay_ms (item), TIDE_WORKER_FAILED,
                         "members only give it back");
        return;
    }
    item->unused++;
    tide_item_wait (self, item);
}
