/*  tide_groups.c - groups: each event of some topics goes to one of their members.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_groups.h"

#include "tide_alloc.h"
#include "tide_group_parts.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

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
        tide_item_free (self, tide_group_window_at (&group->window, at));
    tide_group_window_free (&group->window);
    group->dead_count = 0;
}

/*  It must have no members any more. */
static void remove_group (tide_groups_t *self, tide_group_t *group)
{
    tide_group_cancel_fetch (group);
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
    tide_group_cancel_fetch (group);
    while ((item = tide_group_window_unread (&group->window)) != NULL)
        tide_item_free (self, item);
    tide_group_settle (self, group);
    for (uint32_t at = 0; at < group->window.count; at++) {
        item = tide_group_window_at (&group->window, at);
        if (item->state != TIDE_ITEM_DEAD)
            tide_item_drop_record (self, item);
    }
}

/*  What it had in hand goes to others, the last one first, so that each finds its place at once. */
static void give_back (tide_groups_t *self, tide_member_t *member, const char *why)
{
    member->credit = 0; /* it gets nothing back */
    while (member->items)
        tide_item_retry (self, member->items->hand_prev, 0, TIDE_WORKER_FAILED, why);
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
        tide_group_say (self, group);
    tide_group_go_on (self, group);
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
        tide_group_say (self, group);
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

void tide_groups_join (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
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
        member->who = who;
        member->credit = join->credit;
        tide_group_take_options (group, join);
        answer_join (self, member, join->request);
        tide_group_go_on (self, group);
    }
    tide_buffer_free (&topics);
}

void tide_groups_leave (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer,
                        const tide_group_leave_message_t *message)
{
    self->now_ms = now_ms;
    tide_group_t *group = find_group (self, message->user, message->name);
    tide_member_t *member = group ? find_member (self, group, peer) : NULL;
    /*  Who is not answered says it again, later, and would be a member anew. */
    if (member && member->is_asking)
        tide_core_fail (self->core, peer, member->request, TIDE_CONFLICT, 0,
                        "the member has left meanwhile");
    ack (self, peer, message->request, group ? group->window.floor : 0);
    if (member)
        leave (self, member, "the member left");
}

enum { HANDLED, AGAIN, NEVER, NOT_BEGUN };

/*  It is to be given to somebody. */
static bool wants_more (const tide_group_done_message_t *done)
{
    return done->outcome == AGAIN || done->outcome == NOT_BEGUN;
}

/*  Why a member's word does not count; NULL if it does. */
static const char *staleness (const tide_group_item_t *item, tide_who_t who, uint32_t attempt)
{
    if (!item || item->state == TIDE_ITEM_ACKED)
        return "the event is over, or the group has not read it";
    if (item->attempt != attempt || item->attempt == 0)
        return "the event was lent anew meanwhile";
    if (!tide_who_is (who, item->holder)) /* attempts are counted anew when the broker starts */
        return "the event was lent to another member";
    return item->state == TIDE_ITEM_DEAD ? "the event is dead: it was tried too often" : NULL;
}

/*  What is in nobody's hands waits already, to be given; what is in memory no more has no letter.
 */
static bool counts (const tide_group_item_t *item, const tide_group_done_message_t *done)
{
    if (wants_more (done))
        return item->state == TIDE_ITEM_LENT;
    return done->outcome == HANDLED || item->record.size > 0;
}

static void hear (tide_groups_t *self, tide_group_item_t *item,
                  const tide_group_done_message_t *done)
{
    char message[TIDE_GROUP_MESSAGE_SIZE_MAX + 1];
    tide_bytes_t said = tide_utf8_cut (done->message, sizeof message - 1);
    snprintf (message, sizeof message, "%.*s", TIDE_PRINT (said));
    /*  What is in nobody's hands waits already, or rests: the word may have come twice, and what
     *  was given back once costs one attempt less, not two. */
    bool is_lent = item->state == TIDE_ITEM_LENT;
    if (!is_lent && (done->outcome == AGAIN || done->outcome == NOT_BEGUN))
        return;
    if (done->outcome == HANDLED)
        tide_item_acknowledge (self, item);
    else if (done->outcome == AGAIN)
        tide_item_retry (self, item,
                         done->delay_ms > 0 ? done->delay_ms : tide_item_delay_ms (item),
                         TIDE_WORKER_FAILED, *message ? message : "the member could not handle it");
    else if (done->outcome == NOT_BEGUN)
        tide_item_take_back (self, item);
    else
        tide_item_bury (self, item, TIDE_WORKER_FAILED,
                        *message ? message : "the member will not handle it");
}

void tide_groups_done (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                       const tide_group_done_message_t *done)
{
    self->now_ms = now_ms;
    tide_group_t *group = find_group (self, done->user, done->name);
    tide_group_item_t *item = group ? tide_group_window_find (&group->window, done->seq) : NULL;
    const char *why = group ? staleness (item, who, done->attempt) : "there is no such group";
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
    if (counts (item, done))
        hear (self, item, &heard);
    tide_group_go_on (self, group);
}

void tide_groups_extend (tide_groups_t *self, uint64_t now_ms, tide_who_t who,
                         const tide_group_extend_message_t *extend)
{
    self->now_ms = now_ms;
    const tide_group_t *group = find_group (self, extend->user, extend->name);
    tide_group_item_t *item = group ? tide_group_window_find (&group->window, extend->seq) : NULL;
    if (staleness (item, who, extend->attempt) || item->state != TIDE_ITEM_LENT) {
        self->core->counters.stale++; /* it is not answered */
        return;
    }
    uint32_t lease_ms = extend->lease_ms > 0 ? extend->lease_ms : group->lease_ms;
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
    item->lease_ms = lease_ms;
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
    tide_group_cancel_fetch (group);
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
        tide_item_become (self, item, TIDE_ITEM_ACKED);
        tide_item_drop_record (self, item);
        group->dead_count--;
    }
    tide_group_settle (self, group);
    tide_member_t *member;
    DL_FOREACH (group->members, member)
        if (member->is_asking && group->is_open) {
            member->is_asking = false;
            ack (self, tide_member_peer (member), member->request, group->window.floor);
        }
    bool is_due = tide_group_wants_open (self, group) != group->is_open;
    if (is_due || (group->is_changed && self->is_stopping))
        tide_group_say (self, group);
    else if (group->is_changed)
        tide_due_set (&self->writing, group->handle, self->now_ms + TIDE_GROUP_GATHER_MS);
}

/*  The group whose record is to stand where the event does. */
static tide_group_t *find_place (const tide_groups_t *self, const tide_event_t *event)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    tide_group_t *group;
    DL_FOREACH (self->list, group)
        if (tide_bytes_equal (event->topic, tide_group_topic (group->name, topic))
            && tide_bytes_equal (event->key, tide_group_key (group->user, key)))
            break;
    return group;
}

/*  It is there no more. */
static void forget (tide_groups_t *self, tide_group_t *group)
{
    tide_group_tell (self, group, TIDE_NOT_FOUND, 0, "the group was removed");
    while (group->members) {
        tide_member_t *member = group->members;
        if (member->is_asking)
            tide_core_fail (self->core, tide_member_peer (member), member->request, TIDE_NOT_FOUND,
                            0, "the group was removed");
        while (member->items)
            tide_item_let_go (self, member->items);
        remove_member (self, member);
    }
    remove_group (self, group);
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
        group = find_place (self, event);
        if (group)
            forget (self, group);
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
        tide_group_unsay (self, group, 0);
    if (!group->members)
        adopt (self, group, &grouped, event->seq);
}

void tide_groups_forget (tide_groups_t *self, uint32_t key)
{
    tide_group_t *group = find_key (self, key);
    if (group)
        forget (self, group);
}

void tide_groups_undo (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_group_t *group, *next;
    DL_FOREACH_SAFE (self->list, group, next) {
        if (group->said.size == 0)
            continue;
        tide_group_unsay (self, group, TIDE_HEARTBEAT_MS);
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
        tide_item_retry (self, item, tide_item_delay_ms (item), TIDE_TIMEOUT,
                         "the member did not answer in time");
    }
    else {
        tide_assert (item->state == TIDE_ITEM_RESTING);
        tide_item_wait (self, item);
    }
    tide_group_go_on (self, group);
}

void tide_groups_paused (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    for (uint32_t at = 0; at < self->used; at++) {
        const tide_group_item_t *item = self->items[at];
        if (item && item->state == TIDE_ITEM_LENT)
            tide_due_set (&self->due, at, now_ms + item->lease_ms);
    }
}

void tide_groups_tick (tide_groups_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    uint32_t handle;
    while (self->sequencer && !self->is_stopping && tide_due_first (&self->due, now_ms, &handle))
        fall_due (self, self->items[handle]);
    while (self->sequencer && tide_due_first (&self->writing, now_ms, &handle))
        tide_group_say (self, self->used_handles[handle]);
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
                tide_item_let_go (self, group->members->items);
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
            tide_group_say (self, group);
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
