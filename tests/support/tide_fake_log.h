/*  tide_fake_log.h - a log in an array, for tests: nothing is done before it is told to.
 *
 *  Keeps what tide_log.h promises to keep, fails on demand, and can be read back by a new broker
 *  as after a restart. Checks what it is asked: a wrong request fails the test.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_FAKE_LOG_H
#define TIDE_FAKE_LOG_H

#include "tide_alloc.h"
#include "tide_batch.h"
#include "tide_broker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    uint64_t seq;
    uint64_t segment; /* its first sequence; 0: set aside */
    uint8_t *data;
    size_t size;
    bool is_damaged;
} tide_fake_event_t;

typedef struct {
    uint8_t *topic;
    size_t size;
    uint64_t seq;
} tide_fake_lost_t;

typedef struct {
    tide_fake_event_t *events; /* by seq */
    size_t count, capacity;
    tide_fake_lost_t *lost;
    size_t lost_count;
    uint64_t last, segment;
    uint64_t segments;        /* in use */
    tide_log_batch_t *batch;  /* that waits */
    tide_log_fetch_t **fetch; /* that wait */
    size_t fetch_count;
    tide_status_t status; /* what the next batches come to */
} tide_fake_log_t;

static inline tide_fake_event_t *fake_find (tide_fake_log_t *self, uint64_t seq)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->events[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->count && self->events[low].seq == seq ? &self->events[low] : NULL;
}

static inline void fake_remove (tide_fake_log_t *self, size_t at)
{
    free (self->events[at].data);
    self->count--;
    memmove (self->events + at, self->events + at + 1, (self->count - at) * sizeof *self->events);
}

static inline void fake_note_lost (tide_fake_log_t *self, const tide_want_t *want)
{
    size_t at = 0;
    while (at < self->lost_count
           && !tide_bytes_equal (want->topic,
                                 (tide_bytes_t){self->lost[at].topic, self->lost[at].size}))
        at++;
    if (at < self->lost_count && want->seq == 0) {
        free (self->lost[at].topic);
        self->lost[at] = self->lost[--self->lost_count];
    }
    else if (at < self->lost_count) {
        assert_true (want->seq >= self->lost[at].seq);
        self->lost[at].seq = want->seq;
    }
    else if (want->seq > 0) {
        self->lost = tide_realloc (self->lost, (self->lost_count + 1) * sizeof *self->lost);
        self->lost[self->lost_count++] =
            (tide_fake_lost_t){(uint8_t *) tide_copy (want->topic.data, want->topic.size),
                               want->topic.size, want->seq};
    }
}

/*  Empties the segments that end at or below `through`. */
static inline void fake_drop (tide_fake_log_t *self, const tide_log_batch_t *batch)
{
    size_t keep = 0, kept = 0;
    uint64_t dropped = 0;
    for (size_t at = 0; at < self->count; at++) {
        tide_fake_event_t *event = &self->events[at];
        while (keep < batch->keep_count && batch->keep[keep] < event->seq)
            keep++;
        bool goes = event->segment > 0 && event->seq <= batch->drop_through;
        bool stays = keep < batch->keep_count && batch->keep[keep] == event->seq;
        assert_true (!stays || goes);
        if (goes && event->segment != dropped) {
            dropped = event->segment;
            self->segments--;
        }
        if (goes && !stays) {
            free (event->data);
            continue;
        }
        if (goes)
            event->segment = 0;
        self->events[kept++] = *event;
    }
    self->count = kept;
    /*  Whole segments only. */
    for (size_t at = 0; at < kept; at++)
        assert_true (self->events[at].segment != dropped || dropped == 0);
}

static inline void fake_apply (tide_fake_log_t *self, const tide_log_batch_t *batch)
{
    assert_int_equal (batch->first, self->last + 1);
    for (size_t at = 1; at < batch->keep_count; at++)
        assert_true (batch->keep[at - 1] < batch->keep[at]);
    for (size_t at = 0; at < batch->keep_count; at++)
        assert_non_null (fake_find (self, batch->keep[at]));
    if (batch->drop_through > 0)
        fake_drop (self, batch);
    for (size_t at = 0; at < batch->forget_count; at++) {
        tide_fake_event_t *event = fake_find (self, batch->forget[at]);
        assert_true (event && event->segment == 0);
        fake_remove (self, (size_t) (event - self->events));
    }
    tide_list_t lost = tide_list (&batch->lost, batch->lost_count);
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        fake_note_lost (self, &want);
    tide_list_t list = tide_list (&batch->records, batch->count);
    tide_bytes_t record;
    if (batch->begin_segment) {
        self->segment = batch->first;
        self->segments++;
    }
    assert_true (self->segment > 0);
    while (tide_list_next (&list, &record)) {
        if (self->count == self->capacity) {
            self->capacity = self->capacity > 0 ? self->capacity * 2 : 1024;
            self->events = tide_realloc (self->events, self->capacity * sizeof *self->events);
        }
        self->last++;
        assert_int_equal (tide_load_u64 (record.data), self->last);
        self->events[self->count++] = (tide_fake_event_t){
            self->last, self->segment, (uint8_t *) tide_copy (record.data, record.size),
            record.size, false};
    }
}

/*  Commits, or refuses, the batch that waits. False if none does. */
static inline bool fake_commit (tide_fake_log_t *self, tide_log_completion_t *completion)
{
    if (!self->batch)
        return false;
    *completion = (tide_log_completion_t){.status = self->status, .batch = self->batch};
    self->batch = NULL;
    if (self->status == TIDE_OK)
        fake_apply (self, completion->batch);
    return true;
}

/*  Answers the fetch that waits for longest. False if none does. */
static inline bool fake_answer (tide_fake_log_t *self, tide_log_completion_t *completion)
{
    if (self->fetch_count == 0)
        return false;
    tide_log_fetch_t *fetch = self->fetch[0];
    self->fetch_count--;
    memmove (self->fetch, self->fetch + 1, self->fetch_count * sizeof *self->fetch);
    fetch->missing = tide_alloc (fetch->count * sizeof *fetch->missing);
    fetch->damaged = tide_alloc (fetch->count * sizeof *fetch->damaged);
    for (; fetch->done < fetch->count; fetch->done++) {
        uint64_t seq = fetch->seqs[fetch->done];
        tide_fake_event_t *event = fake_find (self, seq);
        assert_true (fetch->done == 0 || fetch->seqs[fetch->done - 1] < seq);
        if (!event)
            fetch->missing[fetch->missing_count++] = seq;
        else if (event->is_damaged)
            fetch->damaged[fetch->damaged_count++] = seq;
        else {
            if (fetch->found > 0 && fetch->records.size + event->size + 4 > fetch->size_max)
                break;
            tide_list_append (&fetch->records, (tide_bytes_t){event->data, event->size});
            fetch->found++;
        }
    }
    *completion = (tide_log_completion_t){.status = TIDE_OK, .fetch = fetch};
    return true;
}

/*  What a broker is told at its start. */
static inline void fake_load (tide_fake_log_t *self, tide_broker_t *broker)
{
    for (size_t at = 0; at < self->lost_count; at++)
        tide_broker_load_lost (broker, (tide_bytes_t){self->lost[at].topic, self->lost[at].size},
                               self->lost[at].seq);
    for (size_t at = 0; at < self->count; at++) {
        const tide_fake_event_t *event = &self->events[at];
        tide_bytes_t record = {event->data, event->size};
        tide_broker_load (broker, event->seq, event->segment, event->is_damaged ? NULL : &record);
    }
}

/*  The process was killed: what waits was never done. */
static inline void fake_kill (tide_fake_log_t *self)
{
    tide_log_batch_destroy (&self->batch);
    for (size_t at = 0; at < self->fetch_count; at++)
        tide_log_fetch_destroy (&self->fetch[at]);
    self->fetch_count = 0;
}

static inline void fake_free (tide_fake_log_t *self)
{
    fake_kill (self);
    for (size_t at = 0; at < self->count; at++)
        free (self->events[at].data);
    for (size_t at = 0; at < self->lost_count; at++)
        free (self->lost[at].topic);
    free (self->events);
    free (self->lost);
    free (self->fetch);
}

#endif
