/*  tide_retention.c - how the history that is kept becomes segments of the log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_retention.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

/*  Beside those that the history fills: the one being written, one that is half outlived, and one
 *  in reserve (a segment may hold more than its share when its last batch is large). */
enum { SEGMENTS_BESIDE = 3, SEGMENTS_MOST = 65535 };

/*  Of the clients' bytes in one segment. The system's are as many again, or SEGMENT_BYTES_MIN. */
enum { SEGMENT_SHARE = 8, SEGMENT_BYTES_MIN = 1 << 20 };

void tide_retention_free (tide_retention_t *self)
{
    free (self->said);
    self->said = NULL;
}

uint64_t tide_retention_segment_bytes (const tide_broker_config_t *config)
{
    uint64_t bytes = config->retain_bytes / SEGMENT_SHARE;
    if (config->retain_bytes == 0)
        return 0;
    return bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
}

uint32_t tide_retention_segments (const tide_broker_config_t *config, uint32_t segment_events)
{
    tide_index_config_t index = {.retain_events = config->retain_events};
    uint64_t segments = 0, rest = 0;
    for (unsigned class = 0; class < TIDE_CLASSES; class ++) {
        /*  Each by itself, so that no sum overflows. */
        uint64_t events = tide_index_events_max (&index, class);
        segments += events / segment_events;
        rest += events % segment_events;
    }
    segments += (rest + segment_events - 1) / segment_events + SEGMENTS_BESIDE;
    /*  Those that are closed because of their bytes. */
    segments += config->retain_bytes > 0 ? SEGMENT_SHARE + 1 : 0;
    return segments < SEGMENTS_MOST ? (uint32_t) segments : SEGMENTS_MOST;
}

void tide_retention_start (tide_retention_t *self, const tide_core_t *core)
{
    for (unsigned at = 0; at < TIDE_INDEX_COMMON; at++)
        self->common_said[at] = tide_index_common (core->index, at);
    /*  Damage that was only seen now is not written down yet. */
    self->common_said[0] = 0;
}

/*  -- what is said ---------------------------------------------------------------------------- */

static void append_lost (tide_log_batch_t *batch, tide_bytes_t topic, uint64_t seq)
{
    tide_want_append (&batch->lost, &(tide_want_t){topic, seq});
    batch->lost_count++;
}

/*  The topic's lost_to, once in a batch. */
static void say_topic (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch,
                       uint32_t stamp, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (tide_index_topics (core->index), handle);
    if (topic->stamp == stamp || topic->lost_to <= topic->lost_said)
        return;
    topic->stamp = stamp;
    append_lost (batch, tide_topics_name (tide_index_topics (core->index), handle), topic->lost_to);
    if (self->said_count == self->said_capacity) {
        self->said_capacity = self->said_capacity > 0 ? self->said_capacity * 2 : 64;
        self->said = tide_realloc (self->said, self->said_capacity * sizeof *self->said);
    }
    self->said[self->said_count++] = (tide_retention_said_t){handle, topic->lost_to};
}

/*  Names that stand for nothing any more. One that is known again says its own value instead. */
static void say_erased (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch)
{
    tide_bytes_t erased = tide_index_erased (core->index);
    self->erased_size = erased.size;
    for (size_t at = 0; at < erased.size; at += 1u + erased.data[at]) {
        tide_bytes_t name = {erased.data + at + 1, erased.data[at]};
        if (!tide_topics_find (tide_index_topics (core->index), name))
            append_lost (batch, name, 0);
    }
}

static void say_common (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch)
{
    static const char *const names[TIDE_INDEX_COMMON] = {
        TIDE_INDEX_LOST_ALL, TIDE_INDEX_LOST_CLIENTS, TIDE_INDEX_LOST_SYSTEM,
        TIDE_INDEX_LOST_ROOMS};
    for (unsigned at = 0; at < TIDE_INDEX_COMMON; at++) {
        self->common[at] = tide_index_common (core->index, at);
        if (self->common[at] != self->common_said[at])
            append_lost (batch, tide_bytes (names[at]), self->common[at]);
    }
}

static int compare_seqs (const void *one, const void *other)
{
    uint64_t first = *(const uint64_t *) one, second = *(const uint64_t *) other;
    return first < second ? -1 : first > second;
}

static void say_forgotten (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch)
{
    const uint64_t *forgotten = tide_index_forgotten (core->index, &self->forget_count);
    if (self->forget_count == 0)
        return;
    batch->forget = tide_alloc (self->forget_count * sizeof *batch->forget);
    memcpy (batch->forget, forgotten, self->forget_count * sizeof *batch->forget);
    batch->forget_count = self->forget_count;
    qsort (batch->forget, batch->forget_count, sizeof *batch->forget, compare_seqs);
}

/*  -- segments -------------------------------------------------------------------------------- */

static bool must_begin (const tide_retention_t *self, const tide_core_t *core,
                        const tide_log_batch_t *batch)
{
    uint32_t count = tide_index_segment_count (core->index);
    if (count == 0)
        return true;
    const tide_index_segment_t *last = tide_index_segment (core->index, count - 1);
    if (last->count >= self->segment_events || last->first + last->count != batch->first)
        return true;
    if (self->segment_bytes > 0 && last->bytes >= self->segment_bytes)
        return true;
    return self->is_pressed && count > 1 && tide_index_segment (core->index, 0)->alive == 0;
}

/*  How many of the oldest segments are emptied when another one is begun. One closed segment is
 *  left if it can be, so that marks can be read a while back. */
static uint32_t count_dropped (const tide_retention_t *self, const tide_core_t *core)
{
    uint32_t count = tide_index_segment_count (core->index);
    uint32_t left_at_least = self->is_pressed ? 1 : 2;
    uint32_t dropped = 0;
    while (dropped < count) {
        uint32_t in_use = count + 1 - dropped;
        bool is_dead = tide_index_segment (core->index, dropped)->alive == 0;
        if (in_use <= self->segments_max - 1 && !(is_dead && in_use > left_at_least))
            break;
        dropped++;
    }
    return dropped;
}

static void plan_drop (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch,
                       uint32_t stamp)
{
    uint32_t dropped = count_dropped (self, core);
    size_t capacity = 0;
    for (uint32_t at = 0; at < dropped; at++) {
        const tide_index_segment_t *segment = tide_index_segment (core->index, at);
        batch->drop_through = segment->first + segment->count - 1;
        for (uint32_t place = 0; place < segment->count; place++) {
            const tide_index_entry_t *entry = &segment->entries[place];
            if (entry->topic == 0)
                continue;
            if (!tide_index_keeps (core->index, segment->first + place, entry)) {
                say_topic (self, core, batch, stamp, entry->topic);
                continue;
            }
            if (batch->keep_count == capacity) {
                capacity = capacity > 0 ? capacity * 2 : 256;
                batch->keep = tide_realloc (batch->keep, capacity * sizeof *batch->keep);
            }
            batch->keep[batch->keep_count++] = segment->first + place;
        }
    }
}

void tide_retention_plan (tide_retention_t *self, tide_core_t *core, tide_log_batch_t *batch)
{
    uint32_t stamp = tide_topics_stamp (tide_index_topics (core->index));
    self->said_count = 0;
    say_erased (self, core, batch);
    say_common (self, core, batch);
    say_forgotten (self, core, batch);
    const uint32_t *dirty = tide_index_dirty (core->index, &self->dirty_count);
    for (size_t at = 0; at < self->dirty_count; at++)
        say_topic (self, core, batch, stamp, dirty[at]);
    batch->begin_segment = must_begin (self, core, batch);
    if (batch->begin_segment)
        plan_drop (self, core, batch, stamp);
}

void tide_retention_done (tide_retention_t *self, tide_core_t *core, const tide_log_batch_t *batch)
{
    tide_topics_t *topics = tide_index_topics (core->index);
    self->is_pressed = false;
    for (size_t at = 0; at < self->said_count; at++)
        tide_topics_at (topics, self->said[at].topic)->lost_said = self->said[at].lost_to;
    for (unsigned at = 0; at < TIDE_INDEX_COMMON; at++)
        self->common_said[at] = self->common[at];
    tide_index_forgot (core->index, self->forget_count);
    tide_index_said (core->index, self->dirty_count, self->erased_size);
    if (batch->drop_through > 0) {
        uint32_t before = tide_index_segment_count (core->index);
        tide_index_drop (core->index, batch->drop_through, batch->keep, batch->keep_count);
        core->counters.segments_dropped += before - tide_index_segment_count (core->index);
    }
    if (batch->begin_segment) {
        tide_index_begin_segment (core->index, batch->first);
        core->counters.segments++;
    }
}

void tide_retention_full (tide_retention_t *self)
{
    self->is_pressed = true;
}
