/*  tide_snapshots.c - what stands, frozen at one sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_snapshots.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdlib.h>

/*  Standing events that one part asks the log for, at most. */
enum { PART_EVENTS_MAX = 4096 };

typedef struct {
    tide_bytes_t peer, topic;
    uint64_t request;
    uint64_t deadline_ms;
    uint64_t frozen_at; /* N */
    uint64_t *seqs;     /* that stood at N, rising */
    size_t count;
    size_t begin, end; /* of the part that was given last, or is being fetched */
    uint32_t part;     /* that one's number */
    uint64_t tag;      /* of its fetch; 0: none is under way */
} job_t;

struct tide_snapshots {
    tide_core_t *core;
    job_t *jobs[TIDE_CORE_SNAPSHOTS_MAX]; /* without gaps */
    size_t count;
    size_t keys; /* that all of them have frozen */
};

tide_snapshots_t *tide_snapshots_new (tide_core_t *core)
{
    tide_snapshots_t *self = tide_alloc (sizeof *self);
    self->core = core;
    return self;
}

static void end_job (tide_snapshots_t *self, size_t at)
{
    job_t *job = self->jobs[at];
    self->keys -= job->count;
    self->jobs[at] = self->jobs[--self->count];
    free ((void *) job->peer.data);
    free ((void *) job->topic.data);
    free (job->seqs);
    free (job);
}

void tide_snapshots_destroy (tide_snapshots_t **self_p)
{
    tide_snapshots_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->count > 0)
        end_job (self, 0);
    free (self);
}

static int compare_seqs (const void *one, const void *other)
{
    uint64_t first = *(const uint64_t *) one, second = *(const uint64_t *) other;
    return first < second ? -1 : first > second;
}

/*  Lists what stands now. False if that is too much together with all others'. */
static bool freeze (tide_snapshots_t *self, job_t *job)
{
    const tide_keys_t *keys = tide_index_keys (self->core->index);
    const tide_topics_t *topics = tide_index_topics (self->core->index);
    tide_topics_walk_t walk = tide_topics_walk (topics, job->topic);
    uint32_t topic;
    size_t capacity = job->count;
    self->keys -= job->count;
    job->count = 0;
    job->begin = job->end = 0;
    job->part = 0;
    job->frozen_at = self->core->head;
    while ((topic = tide_topics_walk_next (&walk)) != 0) {
        const tide_topic_t *entry = tide_topics_at (topics, topic);
        if (entry->key_count > TIDE_CORE_SNAPSHOT_KEYS_MAX - self->keys - job->count)
            return false;
        if (entry->key_count > capacity - job->count) {
            capacity = capacity * 2 + entry->key_count;
            job->seqs = tide_realloc (job->seqs, capacity * sizeof *job->seqs);
        }
        for (uint32_t key = entry->keys; key; key = tide_keys_next (keys, key))
            job->seqs[job->count++] = tide_keys_seq (keys, key);
    }
    self->keys += job->count;
    if (job->count > 0)
        qsort (job->seqs, job->count, sizeof *job->seqs, compare_seqs);
    return true;
}

static void send_part (tide_snapshots_t *self, const job_t *job, const tide_buffer_t *records,
                       uint32_t count, bool more)
{
    tide_message_t answer = {.kind = TIDE_MESSAGE_STANDING,
                             .standing = {.request = job->request,
                                          .epoch = self->core->epoch,
                                          .seq = job->frozen_at,
                                          .part = job->part,
                                          .more = more,
                                          .events = tide_list (records, count)}};
    self->core->counters.snapshot_parts++;
    tide_outbox_send (&self->core->out, job->peer, &answer);
}

/*  Fetches the part that begins at job->begin, or answers that nothing stands. */
static void give_part (tide_snapshots_t *self, size_t at)
{
    job_t *job = self->jobs[at];
    if (job->count == 0) {
        tide_buffer_t nothing = {0};
        send_part (self, job, &nothing, 0, false);
        end_job (self, at);
        return;
    }
    tide_log_fetch_t *fetch = tide_log_fetch_new ();
    fetch->count = job->count - job->begin;
    if (fetch->count > PART_EVENTS_MAX)
        fetch->count = PART_EVENTS_MAX;
    fetch->seqs = tide_alloc (fetch->count * sizeof *fetch->seqs);
    for (size_t place = 0; place < fetch->count; place++)
        fetch->seqs[place] = job->seqs[job->begin + place];
    fetch->size_max = TIDE_SNAPSHOT_PART_SIZE_MAX;
    job->tag = tide_core_fetch (self->core, fetch);
}

static void begin (tide_snapshots_t *self, size_t at)
{
    job_t *job = self->jobs[at];
    if (freeze (self, job)) {
        give_part (self, at);
        return;
    }
    tide_core_fail (self->core, job->peer, job->request, TIDE_TOO_MANY, 0,
                    "the snapshots under way may hold %u keys together: ask again later",
                    TIDE_CORE_SNAPSHOT_KEYS_MAX);
    job->count = 0; /* not counted in */
    end_job (self, at);
}

static size_t find_job (const tide_snapshots_t *self, tide_bytes_t peer, uint64_t request)
{
    size_t at = 0;
    while (
        at < self->count
        && (self->jobs[at]->request != request || !tide_bytes_equal (self->jobs[at]->peer, peer)))
        at++;
    return at;
}

void tide_snapshots_receive (tide_snapshots_t *self, uint64_t now_ms, tide_bytes_t peer,
                             const tide_snapshot_message_t *snapshot)
{
    tide_core_t *core = self->core;
    if (!tide_pattern_valid (snapshot->topic)) {
        tide_core_fail (core, peer, snapshot->request, TIDE_BAD_TOPIC, 0,
                        "what is to be read is neither a topic nor a subtree");
        return;
    }
    size_t at = find_job (self, peer, snapshot->request);
    bool known = at < self->count && tide_bytes_equal (self->jobs[at]->topic, snapshot->topic);
    if (known && self->jobs[at]->tag)
        return; /* asked again while it is being fetched: that answer is under way */
    if (known && snapshot->part > 0 && snapshot->part - self->jobs[at]->part <= 1) {
        job_t *job = self->jobs[at];
        if (snapshot->part > job->part) {
            job->part++;
            job->begin = job->end;
        }
        job->deadline_ms = now_ms + TIDE_CORE_SNAPSHOT_MS;
        give_part (self, at);
        return;
    }
    if (at < self->count)
        end_job (self, at);
    if (self->count == TIDE_CORE_SNAPSHOTS_MAX) {
        tide_core_fail (core, peer, snapshot->request, TIDE_TOO_MANY, 0,
                        "%u snapshots are under way: ask again later", TIDE_CORE_SNAPSHOTS_MAX);
        return;
    }
    job_t *job = tide_alloc (sizeof *job);
    *job = (job_t){.peer = tide_core_copy (peer),
                   .topic = tide_core_copy (snapshot->topic),
                   .request = snapshot->request,
                   .deadline_ms = now_ms + TIDE_CORE_SNAPSHOT_MS};
    self->jobs[self->count++] = job;
    core->counters.snapshots++;
    begin (self, self->count - 1);
}

bool tide_snapshots_complete (tide_snapshots_t *self, uint64_t now_ms, tide_log_fetch_t *fetch)
{
    size_t at = 0;
    while (at < self->count && self->jobs[at]->tag != fetch->tag)
        at++;
    if (at == self->count)
        return false;
    job_t *job = self->jobs[at];
    job->tag = 0;
    if (fetch->missing_count > 0 || fetch->damaged_count > 0) {
        self->core->counters.snapshots_again++;
        tide_core_lose (self->core, fetch->missing, fetch->missing_count);
        tide_core_lose (self->core, fetch->damaged, fetch->damaged_count);
        if (job->deadline_ms > now_ms)
            begin (self, at);
        else {
            tide_core_fail (self->core, job->peer, job->request, TIDE_TIMEOUT, 0,
                            "what stands changes faster than it can be read");
            end_job (self, at);
        }
        return true;
    }
    job->end = job->begin + fetch->done;
    bool more = job->end < job->count;
    send_part (self, job, &fetch->records, fetch->found, more);
    if (more)
        job->deadline_ms = now_ms + TIDE_CORE_SNAPSHOT_MS;
    else
        end_job (self, at);
    return true;
}

void tide_snapshots_forget (tide_snapshots_t *self, tide_bytes_t peer)
{
    for (size_t at = self->count; at-- > 0;)
        if (tide_bytes_equal (self->jobs[at]->peer, peer))
            end_job (self, at);
}

void tide_snapshots_tick (tide_snapshots_t *self, uint64_t now_ms)
{
    for (size_t at = self->count; at-- > 0;) {
        job_t *job = self->jobs[at];
        if (job->deadline_ms > now_ms)
            continue;
        if (job->tag)
            tide_core_fail (self->core, job->peer, job->request, TIDE_TIMEOUT, 0,
                            "the log did not give this part of the snapshot in time");
        end_job (self, at);
    }
}

uint64_t tide_snapshots_count (const tide_snapshots_t *self)
{
    return self->count;
}
