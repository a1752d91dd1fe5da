/*  sim_disk.c - a log that fails on demand, and the truth about what was ever durable.
 *
 *  It does what the engines of broker/log do (segments that are emptied whole, events set aside,
 *  losses written down), with time between the request and its completion; a crash in between
 *  leaves the batch whole or not at all. What the log has dropped stays here, for the checkers.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

sim_disk_t *sim_disk_new (sim_t *sim)
{
    sim_disk_t *self = tide_alloc (sizeof *self);
    self->epoch = sim_random (sim, UINT64_MAX - 1) + 1;
    return self;
}

void sim_disk_destroy (sim_disk_t **self_p)
{
    sim_disk_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    sim_disk_destroy (&self->older);
    for (size_t at = 0; at < self->count; at++)
        free (self->records[at].data);
    while (self->fetches) {
        sim_fetching_t *fetching = self->fetches;
        self->fetches = fetching->next;
        tide_log_fetch_destroy (&fetching->fetch);
        free (fetching);
    }
    if (self->batch)
        tide_log_batch_destroy (&self->batch);
    if (self->early)
        tide_log_batch_destroy (&self->early);
    free (self->records);
    free (self->lost);
    free (self);
}

const sim_record_t *sim_disk_record (const sim_disk_t *self, uint64_t seq)
{
    return seq > 0 && seq <= self->count ? &self->records[seq - 1] : NULL;
}

sim_disk_t *sim_disk_find (const sim_t *sim, uint64_t epoch)
{
    sim_disk_t *disk = sim->disk;
    while (disk && disk->epoch != epoch)
        disk = disk->older;
    return disk;
}

/*  The history is what was published last: so many events, bytes and milliseconds, for clients'
 *  topics; an eighth of it for the system's. A damaged record may be anybody's. */
bool sim_disk_may_be_lost (const sim_t *sim, const sim_disk_t *self, uint64_t seq)
{
    const sim_record_t *record = sim_disk_record (self, seq);
    if (!record || self->has_damage || record->is_system)
        return true;
    uint64_t since = self->class_count[0] - record->ordinal;
    uint64_t bytes = self->class_bytes[0] - record->bytes + record->size;
    return since >= sim->config.retain_events || bytes >= sim->config.retain_bytes / 2
           || record->event.time_ms + sim->config.retain_ms <= sim->now_ms + 1000;
}

/*  -- what a batch does ----------------------------------------------------------------------- */

static void add_record (sim_t *sim, sim_disk_t *self, tide_bytes_t bytes)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 256;
        self->records = tide_realloc (self->records, self->capacity * sizeof *self->records);
    }
    sim_record_t *record = &self->records[self->count];
    *record = (sim_record_t){.size = bytes.size, .segment = self->segment};
    record->data = (uint8_t *) tide_copy (bytes.data, bytes.size);
    if (!tide_event_decode ((tide_bytes_t){record->data, record->size}, &record->event)
        || record->event.seq != self->count + 1) {
        free (record->data);
        sim_fail (sim, "G3", "a record of batch is malformed or at the wrong sequence");
        return;
    }
    record->is_system = tide_topic_is_system (record->event.topic);
    record->ordinal = ++self->class_count[record->is_system];
    record->bytes = self->class_bytes[record->is_system] += bytes.size;
    self->count++;
    sim_check_durable (sim, self, record, self->count);
}

static void note_lost (sim_disk_t *self, tide_bytes_t topic, uint64_t seq)
{
    size_t at = 0;
    while (at < self->lost_count
           && !tide_bytes_equal (
               topic, (tide_bytes_t){(uint8_t *) self->lost[at].topic, self->lost[at].size}))
        at++;
    if (at == self->lost_count && seq > 0) {
        self->lost = tide_realloc (self->lost, (at + 1) * sizeof *self->lost);
        self->lost[at].size = topic.size;
        if (topic.size > 0)
            memcpy (self->lost[at].topic, topic.data, topic.size);
        self->lost_count++;
    }
    if (at < self->lost_count && seq > 0)
        self->lost[at].seq = seq;
    else if (at < self->lost_count)
        self->lost[at] = self->lost[--self->lost_count];
}

static bool is_in (uint64_t seq, const uint64_t *list, size_t count)
{
    for (size_t at = 0; at < count; at++)
        if (list[at] == seq)
            return true;
    return false;
}

/*  Segments go whole: one that reaches behind drop_through stays. */
static void drop_segments (sim_t *sim, sim_disk_t *self, const tide_log_batch_t *batch)
{
    uint64_t through = batch->drop_through, partial = 0;
    if (through < self->count
        && self->records[through].segment == self->records[through - 1].segment)
        partial = self->records[through].segment;
    for (size_t at = 0; at < self->count && at < through; at++) {
        sim_record_t *record = &self->records[at];
        if (record->place != SIM_RECORD_THERE || record->segment == partial)
            continue;
        bool is_kept = is_in (at + 1, batch->keep, batch->keep_count);
        record->place = is_kept ? SIM_RECORD_ASIDE : SIM_RECORD_GONE;
        sim->stats.segments_dropped += record->segment == at + 1;
    }
    if (through >= self->count)
        self->segment = 0;
}

static void apply (sim_t *sim, sim_disk_t *self, const tide_log_batch_t *batch)
{
    if (batch->count > 0 && batch->first != self->count + 1) {
        sim_fail (sim, "G3", "a batch begins at %llu, but the log ends at %llu",
                  (unsigned long long) batch->first, (unsigned long long) self->count);
        return;
    }
    if (batch->drop_through > 0)
        drop_segments (sim, self, batch);
    for (size_t at = 0; at < batch->forget_count; at++)
        if (batch->forget[at] > 0 && batch->forget[at] <= self->count)
            self->records[batch->forget[at] - 1].place = SIM_RECORD_GONE;
    tide_list_t lost = tide_list (&batch->lost, batch->lost_count);
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        note_lost (self, want.topic, want.seq);
    if (batch->begin_segment || self->segment == 0)
        self->segment = batch->first;
    tide_list_t records = tide_list (&batch->records, batch->count);
    tide_bytes_t record;
    while (tide_list_next (&records, &record) && !sim->failed)
        add_record (sim, self, record);
    sim->stats.commits++;
}

/*  -- requests -------------------------------------------------------------------------------- */

void sim_disk_append (sim_t *sim, tide_log_batch_t *batch)
{
    sim_disk_t *self = sim->disk;
    tide_assert (!self->batch);
    self->batch = batch;
    self->batch_due_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 3) ? 300 : 8);
}

void sim_disk_fetch (sim_t *sim, tide_log_fetch_t *fetch)
{
    sim_fetching_t *fetching = tide_alloc (sizeof *fetching);
    fetching->fetch = fetch;
    fetching->due_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 5) ? 200 : 5);
    fetching->next = sim->disk->fetches;
    sim->disk->fetches = fetching;
}

bool sim_disk_ready (const sim_t *sim, uint64_t *due_ms)
{
    uint64_t due = sim->disk->batch ? sim->disk->batch_due_ms : UINT64_MAX;
    for (const sim_fetching_t *at = sim->disk->fetches; at; at = at->next)
        if (at->due_ms < due)
            due = at->due_ms;
    *due_ms = due;
    return due <= sim->now_ms;
}

static void complete (sim_t *sim, tide_log_completion_t *completion)
{
    if (!sim->broker.core) {
        if (completion->batch)
            tide_log_batch_destroy (&completion->batch);
        if (completion->fetch)
            tide_log_fetch_destroy (&completion->fetch);
        return;
    }
    tide_broker_complete (sim->broker.core, sim->now_ms, completion);
    sim_broker_stir (sim);
}

/*  Mutation: what was said to be durable becomes so only now. */
static void finish_early (sim_t *sim, sim_disk_t *self)
{
    if (!self->early)
        return;
    apply (sim, self, self->early);
    tide_log_batch_destroy (&self->early);
}

static tide_log_batch_t *copy_batch (const tide_log_batch_t *batch)
{
    tide_log_batch_t *copy = tide_log_batch_new ();
    copy->number = batch->number;
    copy->first = batch->first;
    copy->count = batch->count;
    copy->begin_segment = batch->begin_segment;
    tide_buffer_append_bytes (&copy->records, tide_buffer_bytes (&batch->records));
    return copy;
}

static void complete_batch (sim_t *sim)
{
    sim_disk_t *self = sim->disk;
    tide_log_completion_t completion = {.status = TIDE_OK, .batch = self->batch};
    self->batch = NULL;
    finish_early (sim, self);
    if (self->full_until_ms > sim->now_ms) {
        completion.status = TIDE_LOG_FULL;
        sim->stats.fulls++;
    }
    else if (sim->mutation == SIM_MUTATION_EARLY_COMMIT) {
        self->early = copy_batch (completion.batch);
        sim->mutated++;
    }
    else
        apply (sim, self, completion.batch);
    complete (sim, &completion);
}

static void answer_one (sim_disk_t *self, tide_log_fetch_t *fetch, uint64_t seq)
{
    const sim_record_t *record = sim_disk_record (self, seq);
    if (record && record->place != SIM_RECORD_GONE && record->is_damaged) {
        fetch->damaged =
            tide_realloc (fetch->damaged, (fetch->damaged_count + 1) * sizeof *fetch->damaged);
        fetch->damaged[fetch->damaged_count++] = seq;
    }
    else if (record && record->place != SIM_RECORD_GONE) {
        tide_list_append (&fetch->records, (tide_bytes_t){record->data, record->size});
        fetch->found++;
    }
    else {
        fetch->missing =
            tide_realloc (fetch->missing, (fetch->missing_count + 1) * sizeof *fetch->missing);
        fetch->missing[fetch->missing_count++] = seq;
    }
}

static void complete_fetch (sim_t *sim, tide_log_fetch_t *fetch)
{
    sim_disk_t *self = sim->disk;
    fetch->done = fetch->missing_count = fetch->damaged_count = 0;
    fetch->records.size = 0;
    fetch->found = 0;
    while (fetch->done < fetch->count) {
        const sim_record_t *record = sim_disk_record (self, fetch->seqs[fetch->done]);
        if (fetch->found > 0 && record && fetch->records.size + record->size > fetch->size_max)
            break;
        answer_one (self, fetch, fetch->seqs[fetch->done++]);
    }
    complete (sim, &(tide_log_completion_t){.status = TIDE_OK, .fetch = fetch});
}

void sim_disk_work (sim_t *sim)
{
    sim_disk_t *self = sim->disk;
    bool batch_due = self->batch && self->batch_due_ms <= sim->now_ms;
    for (sim_fetching_t **at = &self->fetches; *at; at = &(*at)->next) {
        if ((*at)->due_ms > sim->now_ms || (batch_due && sim_chance (sim, 50)))
            continue;
        sim_fetching_t *fetching = *at;
        *at = fetching->next;
        complete_fetch (sim, fetching->fetch);
        free (fetching);
        return;
    }
    if (batch_due)
        complete_batch (sim);
}

/*  -- crashes --------------------------------------------------------------------------------- */

void sim_disk_crash (sim_t *sim)
{
    sim_disk_t *self = sim->disk;
    if (self->early)
        tide_log_batch_destroy (&self->early);
    if (self->batch) {
        bool fits = self->batch->count == 0 || self->batch->first == self->count + 1;
        if (sim_chance (sim, 50) && fits && self->full_until_ms <= sim->now_ms)
            apply (sim, self, self->batch);
        tide_log_batch_destroy (&self->batch);
    }
    while (self->fetches) {
        sim_fetching_t *fetching = self->fetches;
        self->fetches = fetching->next;
        tide_log_fetch_destroy (&fetching->fetch);
        free (fetching);
    }
}

static void load_one (sim_disk_t *self, tide_broker_t *broker, size_t at)
{
    const sim_record_t *record = &self->records[at];
    tide_bytes_t bytes = {record->data, record->size};
    tide_broker_load (broker, at + 1, record->place == SIM_RECORD_ASIDE ? 0 : record->segment,
                      record->is_damaged ? NULL : &bytes);
}

void sim_disk_load (sim_t *sim, tide_broker_t *broker)
{
    sim_disk_t *self = sim->disk;
    for (size_t at = 0; at < self->lost_count; at++)
        tide_broker_load_lost (
            broker, (tide_bytes_t){(uint8_t *) self->lost[at].topic, self->lost[at].size},
            self->lost[at].seq);
    for (size_t at = 0; at < self->count; at++)
        if (self->records[at].place == SIM_RECORD_ASIDE)
            load_one (self, broker, at);
    for (size_t at = 0; at < self->count; at++)
        if (self->records[at].place == SIM_RECORD_THERE)
            load_one (self, broker, at);
    tide_broker_start (broker, sim->now_ms, self->count);
}

void sim_disk_damage (sim_t *sim)
{
    sim_disk_t *self = sim->disk;
    if (self->count == 0)
        return;
    sim_record_t *record = &self->records[sim_random (sim, self->count)];
    /*  The system's own records are spared: a session that is gone is no gap. */
    if (record->is_system || record->place == SIM_RECORD_GONE)
        return;
    record->is_damaged = self->has_damage = true;
    sim->stats.damaged++;
    sim_note (sim, "record %llu is damaged", (unsigned long long) record->event.seq);
}
