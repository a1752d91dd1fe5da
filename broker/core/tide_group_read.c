/*  tide_group_read.c - what a group reads from the log, as far as its members can take it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_group_parts.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

/*  So many are read beyond what members can take now, so that the next one is there. */
enum { AHEAD = 64 };
/*  Fetches of all groups at once: readers have the rest. */
enum { FETCHES_MAX = TIDE_CORE_FETCHES_MAX / 2 };

static uint32_t free_credit (const tide_group_t *group)
{
    uint32_t credit = 0;
    const tide_member_t *member;
    DL_FOREACH (group->members, member)
        if (member->in_hand < member->credit)
            credit += member->credit - member->in_hand;
    return credit;
}

void tide_group_tell (tide_groups_t *self, const tide_group_t *group, tide_status_t code,
                      uint64_t seq, const char *text)
{
    tide_message_t note = {.kind = TIDE_MESSAGE_GROUP_NOTE,
                           .group_note = {.user = group->user,
                                          .name = group->name,
                                          .code = (uint8_t) code,
                                          .seq = seq,
                                          .message = tide_bytes (text)}};
    const tide_member_t *member;
    DL_FOREACH (group->members, member)
        tide_outbox_send (&self->core->out, tide_member_peer (member), &note);
}

static void tell_trimmed (tide_groups_t *self, tide_group_t *group, uint64_t seq)
{
    char text[128];
    snprintf (text, sizeof text, "events up to %llu that the group had not read may be gone",
              (unsigned long long) seq);
    group->told = seq;
    self->core->counters.groups_trimmed++;
    tide_group_tell (self, group, TIDE_TRIMMED, seq, text);
}

/*  Says once of each loss that something of the group's topics is gone. */
static void look_for_losses (tide_groups_t *self, tide_group_t *group)
{
    uint64_t since = group->told > group->window.read_to ? group->told : group->window.read_to,
             lost = 0;
    tide_bytes_t lines = group->topics, topic;
    while (tide_pattern_next (&lines, &topic)) {
        uint64_t found = tide_index_lost (self->core->index, topic, since);
        lost = lost < found ? found : lost;
    }
    if (lost > 0)
        tell_trimmed (self, group, lost);
}

static bool has_fetches (const tide_groups_t *self)
{
    return self->fetching < FETCHES_MAX && self->core->fetching < TIDE_CORE_FETCHES_MAX;
}

/*  Takes seqs. */
static void fetch (tide_groups_t *self, tide_group_t *group, uint64_t *seqs, size_t count)
{
    tide_log_fetch_t *asked = tide_log_fetch_new ();
    asked->seqs = seqs;
    asked->count = count;
    asked->size_max = TIDE_PAGE_SIZE_MAX;
    tide_group_job_t *job = tide_alloc (sizeof *job);
    job->group = group;
    job->tag = tide_core_fetch (self->core, asked);
    DL_APPEND (self->jobs, job);
    self->fetching++;
    group->job = job;
    /*  The others come first next time. */
    DL_DELETE (self->list, group);
    DL_APPEND (self->list, group);
}

/*  What waits and is not in memory, since the group had no members meanwhile. */
static void fetch_again (tide_groups_t *self, tide_group_t *group)
{
    uint64_t *seqs = tide_alloc (TIDE_PAGE_EVENTS_MAX * sizeof *seqs);
    size_t count = 0;
    tide_group_item_t *item;
    DL_FOREACH (group->waiting, item)
        if (item->record.size == 0 && count < TIDE_PAGE_EVENTS_MAX)
            seqs[count++] = item->seq;
    fetch (self, group, seqs, count);
    group->job->upto = 0;
}

/*  No more of its events may be in memory. */
static bool is_full (const tide_groups_t *self, const tide_group_t *group)
{
    return group->size >= TIDE_GROUP_SIZE_MAX
           || (self->size >= TIDE_GROUPS_SIZE_MAX && group->size > 0);
}

/*  How many are to be read now. */
static uint32_t appetite (const tide_groups_t *self, const tide_group_t *group)
{
    uint32_t credit = free_credit (group), room = tide_group_window_room (&group->window);
    uint32_t all = credit + AHEAD;
    if (is_full (self, group) || group->waiting_count >= all)
        return 0;
    uint32_t wanted = all - group->waiting_count;
    wanted = wanted < TIDE_PAGE_EVENTS_MAX ? wanted : TIDE_PAGE_EVENTS_MAX;
    if (group->waiting_count > credit && wanted < AHEAD / 2)
        return 0;
    return wanted < room ? wanted : room;
}

/*  Chooses what comes next behind read_to. */
static void read_on (tide_groups_t *self, tide_group_t *group, uint32_t limit)
{
    tide_group_window_t *window = &group->window;
    look_for_losses (self, group);
    tide_buffer_t wants = {0};
    uint32_t count = 0;
    tide_bytes_t lines = group->topics, topic;
    for (; tide_pattern_next (&lines, &topic); count++)
        tide_want_append (&wants, &(tide_want_t){.topic = topic, .seq = window->read_to});
    /*  What is acknowledged is written down as offsets. */
    uint64_t head = self->core->head, reach = window->floor + UINT32_MAX;
    tide_page_t page = {.wants = tide_list (&wants, count),
                        .since = window->read_to,
                        .until = head < reach ? head : reach,
                        .limit = limit,
                        .size_max = TIDE_PAGE_SIZE_MAX,
                        .seqs = tide_alloc (limit * sizeof *page.seqs)};
    tide_pager_choose (self->pages, &page);
    tide_buffer_free (&wants);
    if (page.count == 0) {
        tide_group_window_read (window, page.until);
        free (page.seqs);
        return;
    }
    uint64_t upto = page.more ? page.seqs[page.count - 1] : page.until;
    fetch (self, group, page.seqs, page.count);
    group->job->upto = upto;
}

/*  What is lent last goes out of memory, for what is lent first. False if all that is there is in
 *  members' hands, or dead: then some of it will be over. */
static bool make_room (tide_groups_t *self, tide_group_t *group)
{
    for (uint32_t at = group->window.count; at-- > 0 && is_full (self, group);) {
        tide_group_item_t *item = tide_group_window_at (&group->window, at);
        if (item->state == TIDE_ITEM_WAITING || item->state == TIDE_ITEM_RESTING)
            tide_item_drop_record (self, item);
    }
    return !is_full (self, group);
}

/*  Reads as far as members can take it. */
static void fill (tide_groups_t *self, tide_group_t *group)
{
    if (!tide_group_can_lend (self, group) || group->job || !group->members || !has_fetches (self))
        return;
    if (group->waiting && group->waiting->record.size == 0) {
        if (make_room (self, group))
            fetch_again (self, group);
        return;
    }
    uint32_t limit = group->window.read_to < self->core->head ? appetite (self, group) : 0;
    if (limit > 0)
        read_on (self, group, limit);
}

void tide_group_go_on (tide_groups_t *self, tide_group_t *group)
{
    tide_group_lend (self, group);
    fill (self, group);
}

void tide_groups_go_on (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_group_t *group, *next;
    DL_FOREACH_SAFE (self->list, group, next)
        fill (self, group);
}

/*  Whatever is on its way is not for the group any more. */
void tide_group_cancel_fetch (tide_group_t *group)
{
    if (group->job)
        group->job->group = NULL;
    group->job = NULL;
}

static void read_event (tide_groups_t *self, tide_group_t *group, uint64_t seq, tide_bytes_t record)
{
    bool was_acked = tide_group_window_knows_acked (&group->window, seq);
    tide_group_item_t *item =
        tide_item_new (self, group, seq, was_acked ? TIDE_ITEM_ACKED : TIDE_ITEM_WAITING);
    item->attempt = seq <= group->suspect_to; /* it may have been lent before the start */
    if (was_acked)
        return;
    tide_item_keep_record (self, item, record);
    tide_item_wait (self, item);
}

static void take_records (tide_groups_t *self, tide_group_t *group, const tide_log_fetch_t *fetched)
{
    tide_list_t list = tide_list (&fetched->records, fetched->found);
    tide_bytes_t record;
    while (tide_list_next (&list, &record)) {
        tide_event_t event;
        bool is_sound = tide_event_decode (record, &event);
        tide_assert (is_sound);
        tide_group_item_t *item = tide_group_window_find (&group->window, event.seq);
        if (item && item->record.size == 0 && item->state == TIDE_ITEM_WAITING)
            tide_item_keep_record (self, item, record);
        else if (!item && event.seq > group->window.read_to)
            read_event (self, group, event.seq, record);
    }
}

/*  What was to be lent again is not in the log any more. */
static void give_up (tide_groups_t *self, tide_group_t *group, const uint64_t *seqs, size_t count)
{
    uint64_t last = 0;
    for (size_t at = 0; at < count; at++) {
        tide_group_item_t *item = tide_group_window_find (&group->window, seqs[at]);
        if (!item || item->state != TIDE_ITEM_WAITING)
            continue;
        tide_item_let_go (self, item);
        tide_item_become (self, item, TIDE_ITEM_ACKED);
        last = seqs[at] > last ? seqs[at] : last;
    }
    if (last == 0)
        return;
    tell_trimmed (self, group, last);
    tide_group_touch (self, group);
}

static void fetched (tide_groups_t *self, tide_group_t *group, uint64_t upto,
                     const tide_log_fetch_t *got)
{
    tide_core_lose (self->core, got->missing, got->missing_count);
    tide_core_lose (self->core, got->damaged, got->damaged_count);
    bool is_whole = got->missing_count == 0 && got->damaged_count == 0;
    if (upto == 0) { /* again */
        give_up (self, group, got->missing, got->missing_count);
        give_up (self, group, got->damaged, got->damaged_count);
    }
    else if (!is_whole) /* what is lost is told when it is read on from where it was */
        return;
    take_records (self, group, got);
    if (upto > 0)
        tide_group_window_read (&group->window,
                                got->done < got->count ? got->seqs[got->done - 1] : upto);
    tide_group_settle (self, group);
}

bool tide_groups_complete (tide_groups_t *self, uint64_t now_ms, tide_log_fetch_t *got)
{
    self->now_ms = now_ms;
    tide_group_job_t *job;
    DL_FOREACH (self->jobs, job)
        if (job->tag == got->tag)
            break;
    if (!job)
        return false;
    tide_group_t *group = job->group;
    uint64_t upto = job->upto;
    DL_DELETE (self->jobs, job);
    free (job);
    self->fetching--;
    if (!group)
        return true;
    group->job = NULL;
    fetched (self, group, upto, got);
    tide_group_go_on (self, group);
    return true;
}
