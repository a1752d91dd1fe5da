/*  memory.c - the memory engine: a log for tests and for --memory. Nothing outlives it.
 *
 *  It does what the LMDB engine does, segment for segment, so that whatever is tested on one holds
 *  on the other (one conformance suite runs over both); completions are there at once.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_log_engine.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t first;
    tide_buffer_t records; /* as in a LIST */
    size_t *at;            /* where each event begins in records, behind its size */
    size_t count, capacity;
} segment_t;

typedef struct {
    uint64_t seq;
    uint8_t *data;
    size_t size;
} kept_t;

typedef struct {
    char *topic;
    size_t size;
    uint64_t seq;
} lost_t;

typedef struct {
    tide_log_t base;
    tide_log_info_t info;
    segment_t *segments; /* rising */
    size_t segment_count;
    kept_t *kept; /* rising: segments are emptied oldest first */
    size_t kept_count;
    lost_t *lost; /* by topic */
    size_t lost_count;
    tide_log_queue_t done;
} memory_t;

static tide_bytes_t lost_topic (const lost_t *lost)
{
    return (tide_bytes_t){(const uint8_t *) lost->topic, lost->size};
}

static tide_bytes_t segment_record (const segment_t *segment, size_t index)
{
    const uint8_t *at = segment->records.data + segment->at[index];
    return (tide_bytes_t){at, tide_load_u32 (at - sizeof (uint32_t))};
}

static void segment_append (segment_t *segment, const tide_log_batch_t *batch)
{
    tide_list_t list = tide_list (&batch->records, batch->count);
    tide_bytes_t record;
    size_t moved = segment->records.size;
    if (segment->capacity - segment->count < batch->count) {
        segment->capacity = 2 * segment->capacity + batch->count;
        segment->at = tide_realloc (segment->at, segment->capacity * sizeof *segment->at);
    }
    for (uint32_t each = 0; each < batch->count; each++) {
        bool there = tide_list_next (&list, &record);
        tide_assert (there);
        segment->at[segment->count++] = moved + (size_t) (record.data - batch->records.data);
    }
    tide_buffer_append_bytes (&segment->records, tide_buffer_bytes (&batch->records));
}

static void segment_free (segment_t *segment)
{
    tide_buffer_free (&segment->records);
    free (segment->at);
}

/*  The segment that holds the event, or NULL. */
static const segment_t *find_segment (const memory_t *self, uint64_t seq)
{
    for (size_t each = self->segment_count; each > 0; each--) {
        const segment_t *segment = &self->segments[each - 1];
        if (seq >= segment->first)
            return seq - segment->first < segment->count ? segment : NULL;
    }
    return NULL;
}

static const kept_t *find_kept (const memory_t *self, uint64_t seq)
{
    size_t low = 0, high = self->kept_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->kept[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->kept_count && self->kept[low].seq == seq ? &self->kept[low] : NULL;
}

/*  -- what a batch does ----------------------------------------------------------------------- */

static void drop (memory_t *self, const tide_log_batch_t *batch)
{
    size_t dropped = 0;
    while (dropped < self->segment_count) {
        const segment_t *segment = &self->segments[dropped];
        if (segment->first + segment->count - 1 > batch->drop_through)
            break;
        dropped++;
    }
    for (size_t each = 0; each < batch->keep_count; each++) {
        const segment_t *segment = find_segment (self, batch->keep[each]);
        if (!segment || segment >= self->segments + dropped)
            continue;
        tide_bytes_t record =
            segment_record (segment, (size_t) (batch->keep[each] - segment->first));
        self->kept = tide_realloc (self->kept, (self->kept_count + 1) * sizeof *self->kept);
        self->kept[self->kept_count++] = (kept_t){
            batch->keep[each], (uint8_t *) tide_copy (record.data, record.size), record.size};
    }
    for (size_t each = 0; each < dropped; each++)
        segment_free (&self->segments[each]);
    if (dropped > 0)
        memmove (self->segments, self->segments + dropped,
                 (self->segment_count - dropped) * sizeof *self->segments);
    self->segment_count -= dropped;
}

static void forget (memory_t *self, const tide_log_batch_t *batch)
{
    size_t left = 0;
    for (size_t each = 0; each < batch->forget_count; each++) {
        kept_t *kept = (kept_t *) find_kept (self, batch->forget[each]);
        if (kept) {
            free (kept->data);
            kept->data = NULL;
        }
    }
    for (size_t each = 0; each < self->kept_count; each++) {
        if (self->kept[each].data)
            self->kept[left++] = self->kept[each];
    }
    self->kept_count = left;
}

static void note_lost (memory_t *self, tide_bytes_t topic, uint64_t seq)
{
    size_t low = 0, high = self->lost_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tide_bytes_compare (lost_topic (&self->lost[middle]), topic) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    lost_t *at = self->lost + low;
    size_t behind = self->lost_count - low;
    bool there = behind > 0 && tide_bytes_equal (lost_topic (at), topic);
    if (there && seq > 0)
        at->seq = seq;
    else if (there) {
        free (at->topic);
        memmove (at, at + 1, (behind - 1) * sizeof *at);
        self->lost_count--;
    }
    else if (seq > 0) {
        self->lost = tide_realloc (self->lost, (self->lost_count + 1) * sizeof *self->lost);
        at = self->lost + low;
        memmove (at + 1, at, behind * sizeof *at);
        *at = (lost_t){tide_copy (topic.data, topic.size), topic.size, seq};
        self->lost_count++;
    }
}

static void append_events (memory_t *self, const tide_log_batch_t *batch)
{
    if (batch->begin_segment || self->segment_count == 0) {
        self->segments =
            tide_realloc (self->segments, (self->segment_count + 1) * sizeof *self->segments);
        self->segments[self->segment_count++] = (segment_t){.first = batch->first};
    }
    segment_append (&self->segments[self->segment_count - 1], batch);
    self->info.last = batch->first + batch->count - 1;
}

static void memory_append (tide_log_t *base, tide_log_batch_t *batch)
{
    memory_t *self = (memory_t *) base;
    tide_want_t want;
    tide_list_t lost = tide_list (&batch->lost, batch->lost_count);
    tide_assert (batch->count == 0 || batch->first > self->info.last);
    if (batch->count > 0 && batch->first != self->info.last + 1) {
        tide_log_queue_push (&self->done,
                             (tide_log_completion_t){.status = TIDE_LOG_FULL, .batch = batch});
        return;
    }
    if (batch->drop_through > 0)
        drop (self, batch);
    if (batch->forget_count > 0)
        forget (self, batch);
    while (tide_want_next (&lost, &want))
        note_lost (self, want.topic, want.seq);
    if (batch->count > 0)
        append_events (self, batch);
    self->info.commits++;
    tide_log_queue_push (&self->done, (tide_log_completion_t){.status = TIDE_OK, .batch = batch});
}

/*  -- reading --------------------------------------------------------------------------------- */

static void memory_fetch (tide_log_t *base, tide_log_fetch_t *fetch)
{
    memory_t *self = (memory_t *) base;
    bool room = true;
    tide_log_fetch_begin (fetch);
    while (room && fetch->done < fetch->count) {
        uint64_t seq = fetch->seqs[fetch->done];
        const segment_t *segment = find_segment (self, seq);
        const kept_t *kept = segment ? NULL : find_kept (self, seq);
        if (segment)
            room = tide_log_fetch_found (fetch,
                                         segment_record (segment, (size_t) (seq - segment->first)));
        else if (kept)
            room = tide_log_fetch_found (fetch, (tide_bytes_t){kept->data, kept->size});
        else
            tide_log_fetch_missing (fetch);
    }
    tide_log_queue_push (&self->done, (tide_log_completion_t){.status = TIDE_OK, .fetch = fetch});
}

static tide_status_t memory_scan (tide_log_t *base, tide_log_scan_fn *event, void *argument)
{
    memory_t *self = (memory_t *) base;
    for (size_t each = 0; each < self->kept_count; each++) {
        tide_bytes_t record = {self->kept[each].data, self->kept[each].size};
        event (argument, self->kept[each].seq, 0, &record);
    }
    for (size_t each = 0; each < self->segment_count; each++) {
        const segment_t *segment = &self->segments[each];
        for (size_t index = 0; index < segment->count; index++) {
            tide_bytes_t record = segment_record (segment, index);
            event (argument, segment->first + index, segment->first, &record);
        }
    }
    return TIDE_OK;
}

static tide_status_t memory_lost (tide_log_t *base, tide_log_lost_fn *entry, void *argument)
{
    memory_t *self = (memory_t *) base;
    for (size_t each = 0; each < self->lost_count; each++) {
        entry (argument, lost_topic (&self->lost[each]), self->lost[each].seq);
    }
    return TIDE_OK;
}

static tide_log_info_t memory_info (tide_log_t *base)
{
    memory_t *self = (memory_t *) base;
    tide_log_info_t info = self->info;
    info.set_aside = self->kept_count;
    info.events = self->kept_count;
    info.segments = self->segment_count;
    info.first = self->segment_count > 0 ? self->segments[0].first : 0;
    for (size_t each = 0; each < self->kept_count; each++)
        info.size += self->kept[each].size;
    for (size_t each = 0; each < self->segment_count; each++) {
        info.events += self->segments[each].count;
        info.size += self->segments[each].records.size;
    }
    return info;
}

static int memory_fd (tide_log_t *base)
{
    (void) base;
    return -1;
}

static bool memory_next (tide_log_t *base, tide_log_completion_t *completion)
{
    return tide_log_queue_pop (&((memory_t *) base)->done, completion);
}

static void memory_close (tide_log_t *base)
{
    memory_t *self = (memory_t *) base;
    for (size_t each = 0; each < self->segment_count; each++)
        segment_free (&self->segments[each]);
    for (size_t each = 0; each < self->kept_count; each++)
        free (self->kept[each].data);
    for (size_t each = 0; each < self->lost_count; each++)
        free (self->lost[each].topic);
    free (self->segments);
    free (self->kept);
    free (self->lost);
    tide_log_queue_free (&self->done);
    free (self);
}

static const tide_log_engine_t engine = {memory_close,  memory_scan,  memory_lost, memory_info,
                                         memory_append, memory_fetch, memory_fd,   memory_next};

tide_log_t *tide_log_open_memory (uint64_t epoch)
{
    memory_t *self = tide_alloc (sizeof *self);
    self->base.engine = &engine;
    self->info.epoch = epoch;
    return &self->base;
}
