/*  tide_groups.c - groups: each event of some topics goes to one of their members.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_groups.h"

#include "tide_alloc.h"
#include "tide_dead.h"
#include "tide_due.h"
#include "tide_group_parts.h"
#include "tide_json_text.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*  So many are read beyond what members can take now, so that the next one is there. */
enum { AHEAD = 64 };
/*  Fetches of all groups at once: readers have the rest. */
enum { FETCHES_MAX = TIDE_CORE_FETCHES_MAX / 2 };
/*  A record for which there was no room, or whose forerunner is not durable. */
enum { AGAIN_MS = 50 };
/*  Dead letters that go along with one record: how many, and how large together. */
enum { LETTERS_MAX = 200, LETTERS_SIZE_MAX = 1 << 20 };

static void let_go (tide_groups_t *self, tide_group_item_t *item);

/*  -- items ----------------------------------------------------------------------------------- */

static void become (tide_groups_t *self, tide_group_item_t *item, tide_item_state_t state)
{
    self->counts[item->state]--;
    self->counts[state]++;
    item->state = state;
}

static uint32_t take_handle (tide_groups_t *self, tide_group_item_t *item)
{
    uint32_t handle;
    if (self->free_count > 0)
        handle = self->free[--self->free_count];
    else {
        if (self->used == self->capacity) {
            self->capacity = self->capacity > 0 ? self->capacity * 2 : 64;
            self->items = tide_realloc (self->items, self->capacity * sizeof *self->items);
            self->free = tide_realloc (self->free, self->capacity * sizeof *self->free);
        }
        handle = self->used++;
    }
    self->items[handle] = item;
    return handle;
}

static void drop_record (tide_groups_t *self, tide_group_item_t *item)
{
    self->size -= item->record.size;
    item->group->size -= item->record.size;
    free ((void *) item->record.data);
    item->record = (tide_bytes_t){0};
}

static void keep_record (tide_groups_t *self, tide_group_item_t *item, tide_bytes_t record)
{
    item->record = tide_core_copy (record);
    self->size += record.size;
    item->group->size += record.size;
}

/*  Out of the window already. */
static void free_item (tide_groups_t *self, tide_group_item_t *item)
{
    let_go (self, item);
    drop_record (self, item);
    self->free[self->free_count++] = item->handle;
    self->items[item->handle] = NULL;
    self->counts[item->state]--;
    free (item->message);
    free (item);
}

/*  Out of its group's list, or its member's hands, and without a time. */
static void let_go (tide_groups_t *self, tide_group_item_t *item)
{
    tide_due_clear (&self->due, item->handle);
    if (item->state == TIDE_ITEM_WAITING && item->prev) {
        DL_DELETE (item->group->waiting, item);
        item->prev = item->next = NULL;
        item->group->waiting_count--;
    }
    if (item->member) {
        DL_DELETE2 (item->member->items, item, hand_prev, hand_next);
        item->member->in_hand--;
        item->member = NULL;
    }
}

/*  Among those that wait, in order of sequence: what comes back is near the front. */
static void wait_in_order (tide_groups_t *self, tide_group_item_t *item)
{
    tide_group_t *group = item->group;
    let_go (self, item);
    become (self, item, TIDE_ITEM_WAITING);
    group->waiting_count++;
    tide_group_item_t *next = group->waiting;
    if (next && next->prev->seq < item->seq)
        next = NULL;
    while (next && next->seq < item->seq)
        next = next->next;
    if (next)
        DL_PREPEND_ELEM (group->waiting, next, item);
    else
        DL_APPEND (group->waiting, item);
}

/*  The floor moves up to what is not acknowledged. */
static void settle (tide_groups_t *self, tide_group_t *group)
{
    tide_group_item_t *item;
    while ((item = tide_group_window_shift (&group->window)) != NULL)
        free_item (self, item);
}

/*  -- what is written down -------------------------------------------------------------------- */

static bool wants_open (const tide_groups_t *self, const tide_group_t *group)
{
    return group->members && !self->is_stopping;
}

static void append_letter (const tide_group_item_t *item, tide_buffer_t *list)
{
    tide_event_t event;
    bool is_sound = tide_event_decode (item->record, &event);
    tide_assert (is_sound);
    tide_buffer_t more = {0};
    char name[TIDE_SERVICE_SIZE_MAX + 1];
    snprintf (name, sizeof name, "%.*s", TIDE_PRINT (item->group->name));
    tide_buffer_printf (&more, ",\"group\":");
    tide_json_string (&more, item->group->name);
    tide_buffer_printf (&more, ",\"seq\":%llu,\"topic\":", (unsigned long long) item->seq);
    tide_json_string (&more, event.topic);
    tide_dead_append (&(tide_dead_t){.name = name,
                                     .event = &event,
                                     .code = (tide_status_t) item->code,
                                     .message = tide_bytes (item->message),
                                     .attempts = item->attempt,
                                     .more = tide_buffer_bytes (&more),
                                     .spare = 16384},
                      list);
    tide_buffer_free (&more);
}

/*  The letters of those that are dead, as many as go along; the others go with the next record. */
static uint32_t append_letters (tide_group_t *group, tide_buffer_t *list)
{
    uint32_t count = 0;
    for (uint32_t at = 0; group->dead_count > 0 && at < group->window.count; at++) {
        tide_group_item_t *item = tide_group_window_at (&group->window, at);
        if (item->state != TIDE_ITEM_DEAD)
            continue;
        bool fits = count == 0
                    || (count < LETTERS_MAX && list->size + item->record.size < LETTERS_SIZE_MAX);
        item->is_said = fits;
        group->is_changed = group->is_changed || !fits;
        if (!fits)
            continue;
        append_letter (item, list);
        count++;
    }
    return count;
}

static void append_record (const tide_group_t *group, bool opens, tide_buffer_t *list)
{
    tide_buffer_t acked = {0};
    uint64_t floor = tide_group_window_write (&group->window, &acked);
    tide_group_append (&(tide_grouped_t){.user = group->user,
                                         .name = group->name,
                                         .topics = group->topics,
                                         .floor = floor,
                                         .upto = opens ? UINT64_MAX : group->lent_to,
                                         .acked = tide_buffer_bytes (&acked)},
                       list);
    tide_buffer_free (&acked);
}

/*  What was said is void: it was refused, or something else stands there now. */
static void unsay (tide_groups_t *self, tide_group_t *group, uint64_t delay_ms)
{
    tide_buffer_free (&group->said);
    for (uint32_t at = 0; group->dead_count > 0 && at < group->window.count; at++)
        tide_group_window_at (&group->window, at)->is_said = false;
    group->is_changed = true;
    tide_due_set (&self->writing, group->handle, self->now_ms + delay_ms);
}

/*  On condition that nobody else has written there. */
static bool append (tide_groups_t *self, const tide_group_t *group, const tide_buffer_t *events,
                    uint32_t count)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    tide_buffer_t expects = {0};
    tide_expect_append (&expects, &(tide_expect_t){.topic = tide_group_topic (group->name, topic),
                                                   .key = tide_group_key (group->user, key),
                                                   .seq = group->stands_at});
    tide_publish_message_t publish = {.expects = tide_list (&expects, 1),
                                      .events = tide_list (events, count)};
    bool done = tide_sequencer_append (self->sequencer, self->now_ms, (tide_bytes_t){0}, &publish);
    tide_buffer_free (&expects);
    return done;
}

/*  Writes the group's record, and the letters of what is dead; one at a time. */
static void say (tide_groups_t *self, tide_group_t *group)
{
    if (group->said.size > 0) {
        tide_due_set (&self->writing, group->handle, self->now_ms + AGAIN_MS);
        return;
    }
    tide_buffer_t events = {0}, record = {0};
    bool opens = wants_open (self, group);
    group->is_changed = false;
    tide_due_clear (&self->writing, group->handle);
    uint32_t count = append_letters (group, &events) + 1;
    append_record (group, opens, &record);
    tide_buffer_append_bytes (&events, tide_buffer_bytes (&record));
    if (append (self, group, &events, count)) {
        tide_event_t event;
        bool is_sound =
            tide_event_decode ((tide_bytes_t){record.data + 4, record.size - 4}, &event);
        tide_assert (is_sound);
        tide_buffer_append_bytes (&group->said, event.payload);
        group->says_open = opens;
        group->is_open = group->is_open && opens;
        if (group->is_changed)
            tide_due_set (&self->writing, group->handle, self->now_ms + AGAIN_MS);
        self->core->counters.groups_written++;
    }
    else
        unsay (self, group, AGAIN_MS);
    tide_buffer_free (&events);
    tide_buffer_free (&record);
}

/*  Something is to be written down: soon, together with what comes meanwhile. */
static void touch (tide_groups_t *self, tide_group_t *group)
{
    bool was_changed = group->is_changed;
    group->is_changed = true;
    if (self->is_stopping)
        say (self, group);
    else if (!was_changed)
        tide_due_set (&self->writing, group->handle, self->now_ms + TIDE_GROUP_GATHER_MS);
}

/*  -- lending --------------------------------------------------------------------------------- */

static bool can_lend (const tide_groups_t *self, const tide_group_t *group)
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
    let_go (self, item);
    become (self, item, TIDE_ITEM_LENT);
    item->attempt++;
    item->member = member;
    DL_APPEND2 (member->items, item, hand_prev, hand_next);
    member->in_hand++;
    member->given = ++self->given;
    if (group->lent_to < item->seq)
        group->lent_to = item->seq;
    tide_due_set (&self->due, item->handle, self->now_ms + group->lease_ms);
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

static void lend_waiting (tide_groups_t *self, tide_group_t *group)
{
    tide_member_t *member;
    while (can_lend (self, group) && group->waiting && group->waiting->record.size > 0
           && (member = pick (group)) != NULL)
        lend (self, group->waiting, member);
}

/*  -- reading --------------------------------------------------------------------------------- */

static uint32_t free_credit (const tide_group_t *group)
{
    uint32_t credit = 0;
    const tide_member_t *member;
    DL_FOREACH (group->members, member)
        if (member->in_hand < member->credit)
            credit += member->credit - member->in_hand;
    return credit;
}

static void tell (tide_groups_t *self, const tide_group_t *group, tide_status_t code, uint64_t seq,
                  const char *text)
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
    tell (self, group, TIDE_TRIMMED, seq, text);
}

/*  Says once of each loss that something of the group's topics is gone. */
static void look_for_losses (tide_groups_t *self, tide_group_t *group)
{
    uint64_t since = group->told > group->window.read_to ? group->told : group->window.read_to,
             lost = 0;
    tide_bytes_t lines = group->topics, topic;
    while (tide_group_topics_next (&lines, &topic)) {
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

/*  How many are to be read now. */
static uint32_t appetite (const tide_groups_t *self, const tide_group_t *group)
{
    uint32_t credit = free_credit (group), room = tide_group_window_room (&group->window);
    uint32_t all = credit + AHEAD;
    bool is_full = group->size >= TIDE_GROUP_SIZE_MAX
                   || (self->size >= TIDE_GROUPS_SIZE_MAX && group->size > 0);
    if (is_full || group->waiting_count >= all)
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
    for (; tide_group_topics_next (&lines, &topic); count++)
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

/*  Reads as far as members can take it. */
static void fill (tide_groups_t *self, tide_group_t *group)
{
    if (!can_lend (self, group) || group->job || !group->members || !has_fetches (self))
        return;
    if (group->waiting && group->waiting->record.size == 0) {
        fetch_again (self, group);
        return;
    }
    uint32_t limit = group->window.read_to < self->core->head ? appetite (self, group) : 0;
    if (limit > 0)
        read_on (self, group, limit);
}

static void go_on (tide_groups_t *self, tide_group_t *group)
{
    lend_waiting (self, group);
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
static void cancel_fetch (tide_group_t *group)
{
    if (group->job)
        group->job->group = NULL;
    group->job = NULL;
}

static void read_event (tide_groups_t *self, tide_group_t *group, uint64_t seq, tide_bytes_t record)
{
    tide_group_item_t *item = tide_alloc (sizeof *item);
    bool was_acked = tide_group_window_knows_acked (&group->window, seq);
    item->group = group;
    item->seq = seq;
    item->handle = take_handle (self, item);
    item->state = was_acked ? TIDE_ITEM_ACKED : TIDE_ITEM_WAITING;
    self->counts[item->state]++;
    item->attempt = seq <= group->suspect_to; /* it may have been lent before the start */
    tide_group_window_push (&group->window, item);
    if (was_acked)
        return;
    keep_record (self, item, record);
    wait_in_order (self, item);
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
            keep_record (self, item, record);
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
        let_go (self, item);
        become (self, item, TIDE_ITEM_ACKED);
        last = seqs[at] > last ? seqs[at] : last;
    }
    if (last == 0)
        return;
    tell_trimmed (self, group, last);
    touch (self, group);
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
    settle (self, group);
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
    go_on (self, group);
    return true;
}

/*  -- what becomes of an event ---------------------------------------------------------------- */

static void acknowledge (tide_groups_t *self, tide_group_item_t *item)
{
    tide_group_t *group = item->group;
    let_go (self, item);
    become (self, item, TIDE_ITEM_ACKED);
    drop_record (self, item);
    settle (self, group);
    touch (self, group);
}

static void bury (tide_groups_t *self, tide_group_item_t *item, tide_status_t code,
                  const char *message)
{
    let_go (self, item);
    become (self, item, TIDE_ITEM_DEAD);
    item->group->dead_count++;
    item->code = (uint8_t) code;
    item->message = tide_copy (message, strlen (message));
    self->core->counters.group_events_dead++;
    touch (self, item->group);
}

static uint64_t growing_delay (const tide_group_item_t *item)
{
    unsigned doublings = item->attempt > 0 ? item->attempt - 1 : 0;
    uint64_t delay_ms = item->group->delay_ms;
    while (doublings-- > 0 && delay_ms < TIDE_CALL_DELAY_MS_MAX)
        delay_ms *= 2;
    return delay_ms < TIDE_CALL_DELAY_MS_MAX ? delay_ms : TIDE_CALL_DELAY_MS_MAX;
}

/*  It was not handled: again, a while later, unless it was tried too often. */
static void retry (tide_groups_t *self, tide_group_item_t *item, uint64_t delay_ms,
                   tide_status_t code, const char *why)
{
    char text[TIDE_GROUP_MESSAGE_SIZE_MAX + 64];
    if (item->attempt >= item->group->attempts) {
        snprintf (text, sizeof text, "%s (attempt %u of %u)", why, item->attempt,
                  item->group->attempts);
        bury (self, item, code, text);
        return;
    }
    if (delay_ms == 0) {
        wait_in_order (self, item);
        return;
    }
    let_go (self, item);
    become (self, item, TIDE_ITEM_RESTING);
    tide_due_set (&self->due, item->handle, self->now_ms + delay_ms);
}

/*  -- groups ---------------------------------------------------------------------------------- */

static tide_group_t *find_group (const tide_groups_t *self, tide_bytes_t user, tide_bytes_t name)
{
    tide_group_t *group;
    tide_group_id_t id = tide_group_id (user, name);
    HASH_FIND (hh, self->groups, id.bytes, id.size, group);
    return group;
}

static tide_group_t *add_group (tide_groups_t *self, tide_bytes_t user, tide_bytes_t name,
                                tide_bytes_t topics)
{
    tide_group_t *group = tide_alloc (sizeof *group);
    group->id = tide_group_id (user, name);
    group->name = tide_core_copy (name);
    group->user = tide_core_copy (user);
    group->topics = tide_core_copy (topics);
    group->lease_ms = TIDE_CALL_LEASE_MS;
    group->attempts = TIDE_CALL_ATTEMPTS;
    group->delay_ms = TIDE_CALL_DELAY_MS;
    for (group->handle = 0; self->used_handles[group->handle];)
        group->handle++;
    self->used_handles[group->handle] = group;
    HASH_ADD (hh, self->groups, id.bytes, group->id.size, group);
    DL_APPEND (self->list, group);
    return group;
}

static void remove_items (tide_groups_t *self, tide_group_t *group)
{
    for (uint32_t at = 0; at < group->window.count; at++)
        free_item (self, tide_group_window_at (&group->window, at));
    tide_group_window_free (&group->window);
    group->dead_count = 0;
}

/*  It must have no members any more. */
static void remove_group (tide_groups_t *self, tide_group_t *group)
{
    cancel_fetch (group);
    remove_items (self, group);
    tide_due_clear (&self->writing, group->handle);
    self->used_handles[group->handle] = NULL;
    if (group->key)
        HASH_DELETE (key_hh, self->by_key, group);
    HASH_DEL (self->groups, group);
    DL_DELETE (self->list, group);
    tide_buffer_free (&group->said);
    free ((void *) group->name.data);
    free ((void *) group->user.data);
    free ((void *) group->topics.data);
    free (group);
}

/*  One of which nobody knows, in the log or here. */
static bool drop_if_void (tide_groups_t *self, tide_group_t *group)
{
    bool is_void = !group->members && group->stands_at == 0 && group->said.size == 0;
    if (is_void)
        remove_group (self, group);
    return is_void;
}

/*  -- members --------------------------------------------------------------------------------- */

static tide_group_peer_t *find_peer (const tide_groups_t *self, tide_bytes_t id)
{
    tide_group_peer_t *peer;
    HASH_FIND (hh, self->peers, id.data, id.size, peer);
    return peer;
}

static tide_member_t *find_member (const tide_groups_t *self, const tide_group_t *group,
                                   tide_bytes_t id)
{
    const tide_group_peer_t *peer = find_peer (self, id);
    tide_member_t *member = peer ? peer->members : NULL;
    while (member && member->group != group)
        member = member->peer_next;
    return member;
}

static tide_member_t *add_member (tide_groups_t *self, tide_group_t *group, tide_bytes_t id)
{
    tide_group_peer_t *peer = find_peer (self, id);
    if (!peer) {
        peer = tide_alloc (sizeof *peer + id.size);
        memcpy (peer->id, id.data, id.size);
        peer->size = id.size;
        HASH_ADD (hh, self->peers, id, peer->size, peer);
    }
    tide_member_t *member = tide_alloc (sizeof *member);
    member->group = group;
    member->peer = peer;
    DL_APPEND (group->members, member);
    DL_APPEND2 (peer->members, member, peer_prev, peer_next);
    group->member_count++;
    self->member_count++;
    return member;
}

/*  Without members nothing is kept in memory but what became of what was lent. */
static void rest (tide_groups_t *self, tide_group_t *group)
{
    tide_group_item_t *item;
    cancel_fetch (group);
    while ((item = tide_group_window_unread (&group->window)) != NULL)
        free_item (self, item);
    settle (self, group);
    for (uint32_t at = 0; at < group->window.count; at++) {
        item = tide_group_window_at (&group->window, at);
        if (item->state != TIDE_ITEM_DEAD)
            drop_record (self, item);
    }
}

/*  What it had in hand goes to others, the last one first, so that each finds its place at once. */
static void give_back (tide_groups_t *self, tide_member_t *member, const char *why)
{
    member->credit = 0; /* it gets nothing back */
    while (member->items)
        retry (self, member->items->hand_prev, 0, TIDE_WORKER_FAILED, why);
}

static void remove_member (tide_groups_t *self, tide_member_t *member)
{
    tide_group_t *group = member->group;
    tide_group_peer_t *peer = member->peer;
    DL_DELETE (group->members, member);
    DL_DELETE2 (peer->members, member, peer_prev, peer_next);
    group->member_count--;
    self->member_count--;
    free (member);
    if (peer->members)
        return;
    HASH_DEL (self->peers, peer);
    free (peer);
}

static void leave (tide_groups_t *self, tide_member_t *member, const char *why)
{
    tide_group_t *group = member->group;
    give_back (self, member, why);
    remove_member (self, member);
    if (!group->members)
        rest (self, group);
    if (drop_if_void (self, group))
        return;
    if (!group->members && (group->is_open || group->is_changed))
        say (self, group);
    go_on (self, group);
}

/*  -- what peers say -------------------------------------------------------------------------- */

static void ack (tide_groups_t *self, tide_bytes_t peer, uint64_t request, uint64_t floor)
{
    tide_message_t answer = {
        .kind = TIDE_MESSAGE_ACK,
        .ack = {.request = request, .epoch = self->core->epoch, .first = floor}};
    tide_outbox_send (&self->core->out, peer, &answer);
}

static void answer_join (tide_groups_t *self, tide_member_t *member, uint64_t request)
{
    tide_group_t *group = member->group;
    if (member->is_asking && member->request != request)
        tide_core_fail (self->core, tide_member_peer (member), member->request, TIDE_CONFLICT, 0,
                        "the member has joined anew meanwhile");
    member->is_asking = !group->is_open;
    member->request = request;
    if (group->is_open)
        ack (self, tide_member_peer (member), request, group->window.floor);
    else if (group->said.size == 0)
        say (self, group);
}

static tide_group_t *new_group (tide_groups_t *self, const tide_group_join_message_t *join,
                                tide_bytes_t topics)
{
    enum { LIVE, START, SINCE };
    tide_group_t *group = add_group (self, join->user, join->name, topics);
    uint64_t floor = join->start == SINCE ? join->since : 0;
    if (join->start == LIVE)
        floor = self->core->head;
    group->window.floor = group->window.read_to = group->lent_to = floor;
    return group;
}

void tide_groups_join (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer,
                       const tide_group_join_message_t *join)
{
    self->now_ms = now_ms;
    tide_buffer_t topics = {0};
    const char *why;
    tide_group_t *group = find_group (self, join->user, join->name);
    tide_member_t *member = group ? find_member (self, group, peer) : NULL;
    tide_status_t status = tide_group_check_join (self, group, member, join, &topics, &why);
    if (status != TIDE_OK)
        tide_core_fail (self->core, peer, join->request, status,
                        status == TIDE_EPOCH_CHANGED ? self->core->head : 0, "%s", why);
    else {
        if (!group)
            group = new_group (self, join, tide_buffer_bytes (&topics));
        if (!member)
            member = add_member (self, group, peer);
        member->credit = join->credit;
        tide_group_take_options (group, join);
        answer_join (self, member, join->request);
        go_on (self, group);
    }
    tide_buffer_free (&topics);
}

void tide_groups_leave (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer,
                        const tide_group_leave_message_t *message)
{
    self->now_ms = now_ms;
    tide_group_t *group = find_group (self, message->user, message->name);
    tide_member_t *member = group ? find_member (self, group, peer) : NULL;
    ack (self, peer, message->request, group ? group->window.floor : 0);
    if (member)
        leave (self, member, "the member left");
}

/*  Why a member's word does not count; NULL if it does. */
static const char *staleness (const tide_group_item_t *item, uint32_t attempt)
{
    if (!item || item->state == TIDE_ITEM_ACKED)
        return "the event is over, or the group has not read it";
    if (item->attempt != attempt || item->attempt == 0)
        return "the event was lent anew meanwhile";
    return item->state == TIDE_ITEM_DEAD ? "the event is dead: it was tried too often" : NULL;
}

static void hear (tide_groups_t *self, tide_group_item_t *item,
                  const tide_group_done_message_t *done)
{
    enum { HANDLED, AGAIN };
    char message[TIDE_GROUP_MESSAGE_SIZE_MAX + 1];
    tide_bytes_t said = tide_utf8_cut (done->message, sizeof message - 1);
    snprintf (message, sizeof message, "%.*s", TIDE_PRINT (said));
    if (done->outcome == HANDLED)
        acknowledge (self, item);
    else if (done->outcome == AGAIN)
        retry (self, item, done->delay_ms > 0 ? done->delay_ms : growing_delay (item),
               TIDE_WORKER_FAILED, *message ? message : "the member could not handle it");
    else
        bury (self, item, TIDE_WORKER_FAILED, *message ? message : "the member will not handle it");
}

void tide_groups_done (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer,
                       const tide_group_done_message_t *done)
{
    self->now_ms = now_ms;
    tide_group_t *group = find_group (self, done->user, done->name);
    tide_group_item_t *item = group ? tide_group_window_find (&group->window, done->seq) : NULL;
    const char *why = group ? staleness (item, done->attempt) : "there is no such group";
    if (why) {
        bool is_over = !item || item->state == TIDE_ITEM_ACKED;
        self->core->counters.stale++;
        tide_core_fail (self->core, peer, done->request, is_over ? TIDE_NOT_FOUND : TIDE_CONFLICT,
                        0, "%s", why);
        return;
    }
    if (!tide_utf8_valid (done->message)) {
        tide_core_fail (self->core, peer, done->request, TIDE_BAD_REQUEST, 0,
                        "the message is not UTF-8");
        return;
    }
    /*  Longer than the longest lease nobody waits. */
    tide_group_done_message_t heard = *done;
    if (heard.delay_ms > TIDE_CALL_DELAY_MS_MAX)
        heard.delay_ms = TIDE_CALL_DELAY_MS_MAX;
    ack (self, peer, done->request, 0);
    hear (self, item, &heard);
    go_on (self, group);
}

void tide_groups_extend (tide_groups_t *self, uint64_t now_ms,
                         const tide_group_extend_message_t *extend)
{
    self->now_ms = now_ms;
    const tide_group_t *group = find_group (self, extend->user, extend->name);
    const tide_group_item_t *item =
        group ? tide_group_window_find (&group->window, extend->seq) : NULL;
    if (!item || item->attempt != extend->attempt || item->state != TIDE_ITEM_LENT)
        return;
    uint32_t lease_ms = extend->lease_ms > 0 ? extend->lease_ms : group->lease_ms;
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
    tide_due_set (&self->due, item->handle, now_ms + lease_ms);
}

void tide_groups_gone (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer)
{
    self->now_ms = now_ms;
    const tide_group_peer_t *entry;
    while ((entry = find_peer (self, peer)) != NULL)
        leave (self, entry->members, "the member died");
}

bool tide_groups_next_peer (const tide_groups_t *self, void **at, tide_bytes_t *peer)
{
    tide_group_peer_t *entry = *at ? ((tide_group_peer_t *) *at)->hh.next : self->peers;
    *at = entry;
    if (entry)
        *peer = (tide_bytes_t){entry->id, entry->size};
    return entry != NULL;
}

/*  -- what the log says ----------------------------------------------------------------------- */

static tide_group_t *find_key (const tide_groups_t *self, uint32_t key)
{
    tide_group_t *group;
    HASH_FIND (key_hh, self->by_key, &key, sizeof key, group);
    return group;
}

/*  Takes over what stands in the log: at a start, or when somebody has set a group without members
 *  elsewhere. A record knows nothing of what came behind it. */
static void adopt (tide_groups_t *self, tide_group_t *group, const tide_grouped_t *grouped,
                   uint64_t seq)
{
    cancel_fetch (group);
    remove_items (self, group);
    free ((void *) group->topics.data);
    group->topics = tide_core_copy (grouped->topics);
    tide_group_window_load (&group->window, grouped, seq);
    bool is_known = !self->sequencer || grouped->upto < seq; /* until the head is known */
    group->suspect_to = group->lent_to = is_known ? grouped->upto : seq;
    group->is_open = group->is_changed = false;
    tide_due_clear (&self->writing, group->handle);
}

/*  What we have written is durable. */
static void written (tide_groups_t *self, tide_group_t *group)
{
    tide_buffer_free (&group->said);
    group->is_open = group->is_open || group->says_open;
    for (uint32_t at = 0; group->dead_count > 0 && at < group->window.count; at++) {
        tide_group_item_t *item = tide_group_window_at (&group->window, at);
        if (!item->is_said)
            continue;
        item->is_said = false;
        become (self, item, TIDE_ITEM_ACKED);
        drop_record (self, item);
        group->dead_count--;
    }
    settle (self, group);
    tide_member_t *member;
    DL_FOREACH (group->members, member)
        if (member->is_asking && group->is_open) {
            member->is_asking = false;
            ack (self, tide_member_peer (member), member->request, group->window.floor);
        }
    bool is_due = wants_open (self, group) != group->is_open;
    if (is_due || (group->is_changed && self->is_stopping))
        say (self, group);
    else if (group->is_changed)
        tide_due_set (&self->writing, group->handle, self->now_ms + TIDE_GROUP_GATHER_MS);
}

void tide_groups_stand (tide_groups_t *self, uint64_t now_ms, uint32_t key,
                        const tide_event_t *event)
{
    self->now_ms = now_ms;
    size_t prefix = strlen (TIDE_GROUP_TOPIC);
    if (event->topic.size < prefix || memcmp (event->topic.data, TIDE_GROUP_TOPIC, prefix) != 0)
        return;
    tide_grouped_t grouped;
    tide_group_t *group = NULL;
    if (tide_group_decode (event, &grouped)) {
        group = find_group (self, grouped.user, grouped.name);
        if (!group && HASH_COUNT (self->groups) < TIDE_GROUPS_MAX)
            group = add_group (self, grouped.user, grouped.name, grouped.topics);
    }
    if (!group) {
        self->core->counters.groups_unknown++;
        tide_groups_forget (self, key);
        return;
    }
    if (!group->key) {
        group->key = key;
        HASH_ADD (key_hh, self->by_key, key, sizeof group->key, group);
    }
    group->stands_at = event->seq;
    if (group->said.size > 0
        && tide_bytes_equal (event->payload, tide_buffer_bytes (&group->said))) {
        written (self, group);
        return;
    }
    /*  Somebody else's: ours, if it is on its way, expected something else to stand there. */
    group->is_open = false;
    if (group->members || group->said.size > 0)
        unsay (self, group, 0);
    if (!group->members)
        adopt (self, group, &grouped, event->seq);
}

void tide_groups_forget (tide_groups_t *self, uint32_t key)
{
    tide_group_t *group = find_key (self, key);
    if (!group)
        return;
    tell (self, group, TIDE_NOT_FOUND, 0, "the group was removed");
    while (group->members) {
        tide_member_t *member = group->members;
        if (member->is_asking)
            tide_core_fail (self->core, tide_member_peer (member), member->request, TIDE_NOT_FOUND,
                            0, "the group was removed");
        while (member->items)
            wait_in_order (self, member->items);
        remove_member (self, member);
    }
    remove_group (self, group);
}

void tide_groups_undo (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_group_t *group, *next;
    DL_FOREACH_SAFE (self->list, group, next) {
        if (group->said.size == 0)
            continue;
        unsay (self, group, TIDE_HEARTBEAT_MS);
        tide_member_t *member, *after;
        DL_FOREACH_SAFE (group->members, member, after)
            if (member->is_asking) {
                tide_core_fail (self->core, tide_member_peer (member), member->request,
                                TIDE_LOG_FULL, 0, "the log's disk is full: nobody has joined");
                give_back (self, member, "the member left");
                remove_member (self, member);
            }
        if (!group->members)
            rest (self, group);
        drop_if_void (self, group);
    }
}

/*  -- time ------------------------------------------------------------------------------------ */

static void fall_due (tide_groups_t *self, tide_group_item_t *item)
{
    tide_group_t *group = item->group;
    if (item->state == TIDE_ITEM_LENT) {
        self->core->counters.group_events_expired++;
        retry (self, item, growing_delay (item), TIDE_TIMEOUT, "the member did not answer in time");
    }
    else {
        tide_assert (item->state == TIDE_ITEM_RESTING);
        wait_in_order (self, item);
    }
    go_on (self, group);
}

void tide_groups_paused (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    for (uint32_t at = 0; at < self->used; at++) {
        const tide_group_item_t *item = self->items[at];
        if (item && item->state == TIDE_ITEM_LENT)
            tide_due_set (&self->due, at, now_ms + item->group->lease_ms);
    }
}

void tide_groups_tick (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    uint32_t handle;
    while (self->sequencer && !self->is_stopping && tide_due_first (&self->due, now_ms, &handle))
        fall_due (self, self->items[handle]);
    while (self->sequencer && tide_due_first (&self->writing, now_ms, &handle))
        say (self, self->used_handles[handle]);
}

uint64_t tide_groups_deadline_ms (const tide_groups_t *self)
{
    if (!self->sequencer)
        return UINT64_MAX;
    uint64_t writing_ms = tide_due_first_ms (&self->writing);
    uint64_t due_ms = self->is_stopping ? UINT64_MAX : tide_due_first_ms (&self->due);
    return writing_ms < due_ms ? writing_ms : due_ms;
}

/*  -- all of it ------------------------------------------------------------------------------- */

tide_groups_t *tide_groups_new (tide_core_t *core)
{
    tide_groups_t *self = tide_alloc (sizeof *self);
    self->core = core;
    self->pages = tide_pager_new (core->index);
    return self;
}

void tide_groups_destroy (tide_groups_t **self_p)
{
    tide_groups_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->list) {
        tide_group_t *group = self->list;
        while (group->members) {
            while (group->members->items)
                wait_in_order (self, group->members->items);
            remove_member (self, group->members);
        }
        remove_group (self, group);
    }
    tide_group_job_t *job, *next;
    DL_FOREACH_SAFE (self->jobs, job, next)
        free (job);
    tide_pager_destroy (&self->pages);
    tide_due_free (&self->due);
    tide_due_free (&self->writing);
    free (self->items);
    free (self->free);
    free (self);
}

void tide_groups_start (tide_groups_t *self, uint64_t now_ms, tide_sequencer_t *sequencer)
{
    self->now_ms = now_ms;
    self->sequencer = sequencer;
    tide_group_t *group;
    DL_FOREACH (self->list, group)
        if (group->suspect_to > self->core->head)
            group->suspect_to = group->lent_to = self->core->head;
}

void tide_groups_stop (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    self->is_stopping = true;
    tide_group_t *group;
    DL_FOREACH (self->list, group)
        if (self->sequencer && (group->is_open || group->is_changed))
            say (self, group);
}

tide_groups_counts_t tide_groups_counts (const tide_groups_t *self)
{
    return (tide_groups_counts_t){.groups = HASH_COUNT (self->groups),
                                  .members = self->member_count,
                                  .waiting = self->counts[TIDE_ITEM_WAITING],
                                  .lent = self->counts[TIDE_ITEM_LENT],
                                  .resting = self->counts[TIDE_ITEM_RESTING],
                                  .dead = self->counts[TIDE_ITEM_DEAD],
                                  .acked = self->counts[TIDE_ITEM_ACKED],
                                  .bytes = self->size};
}
