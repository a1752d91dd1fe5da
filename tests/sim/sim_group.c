/*  sim_group.c - what must hold of groups: each event goes to one member at a time, until it is
 *  over; none is passed over.
 *
 *  The log is the truth of what is over: the group's record, and letters of what is dead. What the
 *  broker tells its peers says who has what, and a member's word that was acknowledged frees it, as
 *  do its lease and its silence. Where this model cannot know it takes the event for free.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_broker_parts.h"
#include "tide_dead.h"
#include "tide_group_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sim_group_t *find (sim_t *sim, tide_bytes_t name, unsigned *number)
{
    for (*number = 0; *number < SIM_GROUPS; (*number)++)
        if (tide_bytes_is (name, sim_group_names[*number]))
            return &sim->groups.groups[*number];
    return NULL;
}

static sim_group_item_t *item_at (sim_group_t *self, uint64_t seq)
{
    if (seq >= self->capacity) {
        size_t capacity = 2 * (size_t) seq + 64;
        self->items = tide_realloc (self->items, capacity * sizeof *self->items);
        memset (self->items + self->capacity, 0, (capacity - self->capacity) * sizeof *self->items);
        self->capacity = capacity;
    }
    return &self->items[seq];
}

static bool is_of (const sim_t *sim, unsigned number, uint64_t seq)
{
    const sim_record_t *record = sim_disk_record (sim->disk, seq);
    return record && !record->is_system
           && tide_pattern_matches (tide_bytes (sim_group_topics[number]), record->event.topic);
}

/*  -- a life of the broker's ------------------------------------------------------------------ */

static void begin_life (const sim_t *sim, sim_group_t *self)
{
    if (self->epoch != sim->disk->epoch) {
        free (self->items);
        free (self->acked);
        *self = (sim_group_t){.epoch = sim->disk->epoch};
    }
    self->suspect_to = self->upto < sim->disk->count ? self->upto : sim->disk->count;
    self->newest = self->floor;
    self->told = 0;
}

void sim_groups_restarted (sim_t *sim)
{
    sim->groups.life++;
    for (unsigned at = 0; at < SIM_GROUPS && sim->groups.is_on; at++)
        begin_life (sim, &sim->groups.groups[at]);
}

/*  -- who has what ---------------------------------------------------------------------------- */

static sim_member_t *find_member (sim_t *sim, tide_bytes_t peer)
{
    for (unsigned at = 0; at < sim->groups.member_count; at++) {
        sim_member_t *member = &sim->groups.members[at];
        if (member->dealer.is_open && tide_bytes_is (peer, member->dealer.id))
            return member;
    }
    return NULL;
}

static bool is_held (sim_t *sim, const sim_group_item_t *item)
{
    if (item->holder[0] == 0 || item->life != sim->groups.life || item->until_ms <= sim->now_ms)
        return false;
    const sim_member_t *member = find_member (sim, tide_bytes (item->holder));
    return member && strcmp (member->peer, item->holder) == 0 && item->lent_ms >= member->known_ms
           && sim->now_ms - member->heard_ms < TIDE_WORKER_SILENT_MS;
}

static void extended (sim_t *sim, const sim_member_t *member,
                      const tide_group_extend_message_t *extend)
{
    unsigned number;
    sim_group_t *self = find (sim, extend->name, &number);
    sim_group_item_t *item = item_at (self, extend->seq);
    uint32_t lease_ms = extend->lease_ms > 0 ? extend->lease_ms : sim->groups.lease_ms[number];
    if (is_held (sim, item) && strcmp (item->holder, member->peer) == 0
        && item->attempt == extend->attempt)
        item->until_ms = sim->now_ms + lease_ms;
}

void sim_group_heard (sim_t *sim, sim_member_t *member, tide_bytes_t bytes)
{
    tide_message_t message;
    const char *why;
    bool is_new = strcmp (member->peer, member->dealer.id) != 0
                  || sim->now_ms - member->heard_ms >= TIDE_WORKER_SILENT_MS;
    snprintf (member->peer, sizeof member->peer, "%s", member->dealer.id);
    member->heard_ms = sim->now_ms;
    if (is_new)
        member->known_ms = sim->now_ms;
    if (tide_message_decode (bytes, &message, &why) != TIDE_OK)
        return;
    if (message.kind == TIDE_MESSAGE_BYE)
        member->peer[0] = 0;
    else if (message.kind == TIDE_MESSAGE_GROUP_EXTEND)
        extended (sim, member, &message.group_extend);
}

/*  -- what members say ------------------------------------------------------------------------ */

void sim_group_said (sim_t *sim, const sim_member_t *member, unsigned group,
                     const tide_group_done_message_t *done)
{
    sim_group_t *self = &sim->groups.groups[group];
    if (member->epoch != self->epoch)
        return;
    sim_group_item_t *item = item_at (self, done->seq);
    item->was_handled = item->was_handled || done->outcome == TIDE_GIVEN_HANDLED;
    item->was_refused = item->was_refused || done->outcome == TIDE_GIVEN_NEVER;
    item->given_back += done->outcome == TIDE_GIVEN_NOT_BEGUN;
    sim->stats.group_handled += done->outcome == TIDE_GIVEN_HANDLED;
}

void sim_group_told (sim_t *sim, unsigned group, const tide_given_view_t *view)
{
    sim_disk_t *disk = sim_disk_find (sim, view->epoch);
    const sim_record_t *record = disk ? sim_disk_record (disk, view->seq) : NULL;
    if (!record || record->is_system || record->event.seq != view->event.seq
        || !tide_bytes_equal (record->event.name, view->event.name)
        || !tide_bytes_equal (record->event.payload, view->event.payload))
        sim_fail (sim, "G3", "a member of %s is handed %llu, which is not so in the log",
                  sim_group_names[group], (unsigned long long) view->seq);
}

static void left (sim_group_t *self, const char *peer)
{
    for (size_t at = 0; at < self->capacity; at++)
        if (strcmp (self->items[at].holder, peer) == 0)
            self->items[at].holder[0] = 0;
}

/*  The broker takes a member's word. */
static void taken (sim_t *sim, const char *peer, const sim_word_t *word)
{
    sim_group_t *self = &sim->groups.groups[word->group];
    if (word->epoch != self->epoch)
        return;
    if (word->is_leave) {
        left (self, peer);
        return;
    }
    sim_group_item_t *item = item_at (self, word->seq);
    if (word->is_handled)
        item->acked_life = sim->groups.life;
    if (item->attempt == word->attempt)
        item->holder[0] = 0;
}

static void answered (sim_t *sim, tide_bytes_t peer, uint64_t request, bool is_taken)
{
    sim_member_t *member = find_member (sim, peer);
    for (size_t at = 0; member && at < SIM_WORDS; at++)
        if (member->words[at].token == request && request > 0) {
            if (is_taken)
                taken (sim, member->dealer.id, &member->words[at]);
            return;
        }
}

/*  -- what is lent ---------------------------------------------------------------------------- */

/*  What lies between what was lent before and seq is over, or gone; a member that had it in another
 *  life may have said so before it was lent in this one. */
static void check_passed (sim_t *sim, sim_group_t *self, unsigned number, uint64_t seq)
{
    for (uint64_t at = self->newest + 1; at < seq; at++) {
        const sim_group_item_t *item = item_at (self, at);
        if (!is_of (sim, number, at) || item->is_over || item->was_handled || item->was_refused
            || (self->told >= at && sim_disk_may_be_lost (sim, sim->disk, at)))
            continue;
        sim_fail (sim, "G5", "%s passes over %llu, and lends %llu", sim_group_names[number],
                  (unsigned long long) at, (unsigned long long) seq);
        return;
    }
}

static void check_attempt (sim_t *sim, const sim_group_t *self, unsigned number,
                           const sim_group_item_t *item, uint64_t seq, uint32_t attempt)
{
    bool is_first = item->life != sim->groups.life;
    uint32_t expected = is_first ? 1 + (seq <= self->suspect_to) : item->attempt + 1;
    uint32_t most = sim->groups.attempts[number];
    if (most < 2) /* a start counts as one, but one is always made */
        most = 2;
    if (attempt != expected || (is_first && item->life > 0 && attempt < 2))
        sim_fail (sim, "G7", "%s lends %llu as attempt %u, and it is the %u.",
                  sim_group_names[number], (unsigned long long) seq, attempt, expected);
    else if (attempt > most + item->given_back)
        sim_fail (sim, "G7", "%s lends %llu %u times, but %u at most, and given back %u times",
                  sim_group_names[number], (unsigned long long) seq, attempt, most,
                  item->given_back);
}

static void lent (sim_t *sim, tide_bytes_t peer, const tide_group_event_message_t *message)
{
    unsigned number;
    tide_list_t list = message->events;
    tide_event_t event;
    sim_group_t *self = find (sim, message->name, &number);
    if (!self || !tide_event_next (&list, &event)) {
        sim_fail (sim, "wire", "a group lends what is none");
        return;
    }
    uint64_t seq = event.seq;
    const char *name = sim_group_names[number];
    sim_group_item_t *item = item_at (self, seq);
    bool is_first = item->life != sim->groups.life;
    sim->stats.group_lent++;
    sim->stats.group_again += message->attempt > 1;
    if (!is_of (sim, number, seq) || seq <= self->begin)
        sim_fail (sim, "G7", "%s lends %llu, which is not one of its", name,
                  (unsigned long long) seq);
    else if (self->stands_at == 0 || self->upto != UINT64_MAX)
        sim_fail (sim, "G7", "%s lends %llu before it is durable that it has members", name,
                  (unsigned long long) seq);
    else if (item->is_over || item->acked_life == sim->groups.life)
        sim_fail (sim, "G7", "%s lends %llu, which is over", name, (unsigned long long) seq);
    else if (is_held (sim, item))
        sim_fail (sim, "G7", "%s lends %llu to %.*s, but %s has it", name, (unsigned long long) seq,
                  TIDE_PRINT (peer), item->holder);
    else if (is_first && seq <= self->newest)
        sim_fail (sim, "G7", "%s lends %llu for the first time behind %llu", name,
                  (unsigned long long) seq, (unsigned long long) self->newest);
    else
        check_attempt (sim, self, number, item, seq, message->attempt);
    if (is_first) {
        check_passed (sim, self, number, seq);
        self->newest = seq;
    }
    item = item_at (self, seq);
    item->attempt = message->attempt;
    item->life = sim->groups.life;
    item->lent_ms = sim->now_ms;
    item->until_ms = sim->broker.dirty_ms + message->lease_ms;
    snprintf (item->holder, sizeof item->holder, "%.*s", TIDE_PRINT (peer));
}

void sim_group_tells (sim_t *sim, tide_bytes_t peer, const tide_message_t *message)
{
    unsigned number;
    if (!sim->groups.is_on)
        return;
    if (message->kind == TIDE_MESSAGE_GROUP_EVENT)
        lent (sim, peer, &message->group_event);
    else if (message->kind == TIDE_MESSAGE_ACK)
        answered (sim, peer, message->ack.request, true);
    else if (message->kind == TIDE_MESSAGE_GROUP_NOTE && message->group_note.code == TIDE_TRIMMED) {
        sim_group_t *self = find (sim, message->group_note.name, &number);
        if (self && self->told < message->group_note.seq)
            self->told = message->group_note.seq;
    }
}

/*  -- what the log says ----------------------------------------------------------------------- */

/*  It is acknowledged by the log: then somebody has handled it, or it is dead, or gone. */
static void is_over (sim_t *sim, sim_group_t *self, unsigned number, uint64_t seq)
{
    sim_group_item_t *item = item_at (self, seq);
    if (item->is_over || !is_of (sim, number, seq))
        return;
    bool is_gone = self->told >= seq && sim_disk_may_be_lost (sim, sim->disk, seq);
    if (!item->was_handled && !item->is_dead && !is_gone)
        sim_fail (sim, "G7", "of %s %llu is over, but nobody has handled it",
                  sim_group_names[number], (unsigned long long) seq);
    item->is_over = true;
}

static void take_acked (sim_t *sim, sim_group_t *self, unsigned number,
                        const tide_grouped_t *grouped)
{
    size_t count = grouped->acked.size / 4, before = 0;
    uint64_t *acked = tide_alloc ((count + 1) * sizeof *acked);
    for (size_t at = 0; at < count; at++) {
        acked[at] = grouped->floor + tide_load_u32 (grouped->acked.data + 4 * at);
        if (!is_of (sim, number, acked[at]))
            sim_fail (sim, "G7", "of %s %llu is over, which is not one of its",
                      sim_group_names[number], (unsigned long long) acked[at]);
        else
            is_over (sim, self, number, acked[at]);
    }
    for (size_t at = 0; at < self->acked_count; at++) {
        while (before < count && acked[before] < self->acked[at])
            before++;
        /*  What is gone from the log need not be remembered. */
        if (self->acked[at] > grouped->floor
            && (before == count || acked[before] != self->acked[at])
            && !sim_disk_may_be_lost (sim, sim->disk, self->acked[at]))
            sim_fail (sim, "G7", "of %s %llu was over, and is no more", sim_group_names[number],
                      (unsigned long long) self->acked[at]);
    }
    free (self->acked);
    self->acked = acked;
    self->acked_count = count;
}

static void take_record (sim_t *sim, sim_group_t *self, unsigned number,
                         const tide_grouped_t *grouped, uint64_t seq)
{
    const char *name = sim_group_names[number];
    bool is_first = self->stands_at == 0;
    if (is_first && number > 0)
        self->begin = self->floor = self->newest = grouped->floor;
    if (grouped->floor < self->floor || grouped->floor >= seq)
        sim_fail (sim, "G7", "%s goes from %llu to %llu, at %llu", name,
                  (unsigned long long) self->floor, (unsigned long long) grouped->floor,
                  (unsigned long long) seq);
    for (uint64_t at = self->floor + 1; at <= grouped->floor; at++)
        is_over (sim, self, number, at);
    take_acked (sim, self, number, grouped);
    if (self->letter_at > 0
        && (self->letter_at + 1 != seq || !item_at (self, self->letter)->is_over))
        sim_fail (sim, "G7", "the dead letter at %llu of %llu does not go with the record of %s",
                  (unsigned long long) self->letter_at, (unsigned long long) self->letter, name);
    self->letter_at = 0;
    self->stands_at = seq;
    self->floor = grouped->floor;
    self->upto = grouped->upto;
    sim->stats.group_writes++;
}

static void read_letter (sim_t *sim, sim_group_t *self, unsigned number, const json_t *why,
                         uint64_t at)
{
    const char *name = sim_group_names[number];
    uint64_t seq = (uint64_t) json_integer_value (json_object_get (why, "seq"));
    json_int_t attempts = json_integer_value (json_object_get (why, "attempts"));
    if (!is_of (sim, number, seq)) {
        sim_fail (sim, "G7", "%s has a dead letter of %llu, which is not one of its", name,
                  (unsigned long long) seq);
        return;
    }
    sim_group_item_t *item = item_at (self, seq);
    if (item->is_dead || item->is_over || item->acked_life == sim->groups.life)
        sim_fail (sim, "G7", "%s has a dead letter of %llu, which was over", name,
                  (unsigned long long) seq);
    else if (!item->was_refused && attempts < sim->groups.attempts[number])
        sim_fail (sim, "G7", "of %s %llu is dead before it was tried as often as it may be", name,
                  (unsigned long long) seq);
    else if (self->letter_at > 0 && self->letter_at + 1 != at)
        sim_fail (sim, "G7", "%s has a dead letter at %llu without its record", name,
                  (unsigned long long) self->letter_at);
    item_at (self, seq)->is_dead = true;
    self->letter_at = at;
    self->letter = seq;
    sim->stats.group_deads++;
}

static bool has_prefix (tide_bytes_t name, const char *prefix)
{
    size_t size = strlen (prefix);
    return name.size >= size && memcmp (name.data, prefix, size) == 0;
}

bool sim_groups_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                         uint64_t seq)
{
    unsigned number;
    tide_grouped_t grouped;
    tide_args_t args;
    bool is_record = has_prefix (event->topic, TIDE_GROUP_TOPIC);
    bool is_letter = has_prefix (event->topic, TIDE_DEAD_TOPIC);
    if (!sim->groups.is_on || (!is_record && !is_letter))
        return false;
    size_t prefix = strlen (is_record ? TIDE_GROUP_TOPIC : TIDE_DEAD_TOPIC);
    sim_group_t *self =
        find (sim, (tide_bytes_t){event->topic.data + prefix, event->topic.size - prefix}, &number);
    if (!self || disk->epoch != self->epoch)
        return is_record;
    if (is_record) {
        if (tide_group_decode (event, &grouped))
            take_record (sim, self, number, &grouped, seq);
        else
            sim_fail (sim, "G7", "what is written of %s is none", sim_group_names[number]);
        return true;
    }
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? json_loadb ((const char *) args.json.data, args.json.size, 0, NULL)
                       : NULL;
    read_letter (sim, self, number, json_array_get (json, 0), seq);
    json_decref (json);
    return true;
}

/*  -- the end --------------------------------------------------------------------------------- */

static const char *what_is_left (sim_t *sim, unsigned number, uint64_t *seq)
{
    sim_group_t *self = &sim->groups.groups[number];
    *seq = 0;
    bool is_wanted = false;
    for (unsigned at = 0; at < sim->groups.member_count; at++)
        is_wanted = is_wanted || sim->groups.members[at].in[number].is_wanted;
    if (!is_wanted)
        return NULL;
    if (self->epoch != sim->disk->epoch || self->stands_at == 0)
        return "is not in the log";
    for (*seq = self->floor + 1; *seq <= sim->disk->count; (*seq)++)
        if (is_of (sim, number, *seq) && !item_at (self, *seq)->is_over)
            return "has not come to an end with";
    return NULL;
}

bool sim_groups_settled (sim_t *sim, bool say)
{
    uint64_t seq = 0;
    for (unsigned at = 0; at < SIM_GROUPS && sim->groups.is_on; at++) {
        const char *why = what_is_left (sim, at, &seq);
        if (!why && at + 1 == SIM_GROUPS && !sim_members_settled (sim))
            why = "has members that are at work behind";
        if (!why)
            continue;
        if (say)
            sim_fail (sim, "G7", "at the end, %s %s %llu", sim_group_names[at], why,
                      (unsigned long long) seq);
        return false;
    }
    return true;
}
