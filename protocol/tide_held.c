/*  tide_held.c - events that wait in a feed, by sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_held.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 256 << 10, EVENTS_MIN = 256 };

struct tide_chunk {
    size_t references;
    size_t used, capacity;
    uint8_t data[];
};

/*  -- bytes ----------------------------------------------------------------------------------- */

static void drop_chunk (tide_arena_t *self, tide_chunk_t *chunk)
{
    self->size -= chunk->capacity;
    free (chunk);
}

static tide_chunk_t *new_chunk (tide_arena_t *self, size_t size)
{
    size_t capacity = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    tide_chunk_t *chunk = tide_realloc (NULL, sizeof *chunk + capacity);
    chunk->references = 0;
    chunk->used = 0;
    chunk->capacity = capacity;
    self->size += capacity;
    return chunk;
}

const uint8_t *tide_arena_copy (tide_arena_t *self, tide_bytes_t bytes, tide_chunk_t **chunk)
{
    tide_chunk_t *current = self->current;
    if (!current || current->capacity - current->used < bytes.size) {
        if (current && current->references == 0)
            drop_chunk (self, current);
        current = self->current = new_chunk (self, bytes.size);
    }
    uint8_t *at = current->data + current->used;
    if (bytes.size > 0)
        memcpy (at, bytes.data, bytes.size);
    current->used += bytes.size;
    current->references++;
    *chunk = current;
    return at;
}

void tide_arena_release (tide_arena_t *self, tide_chunk_t *chunk)
{
    tide_assert (chunk->references > 0);
    if (--chunk->references > 0)
        return;
    if (chunk == self->current && chunk->capacity == CHUNK_SIZE) {
        chunk->used = 0;
        return;
    }
    if (chunk == self->current)
        self->current = NULL;
    drop_chunk (self, chunk);
}

void tide_arena_free (tide_arena_t *self)
{
    if (self->current)
        drop_chunk (self, self->current);
    self->current = NULL;
    tide_assert (self->size == 0);
}

/*  -- events ---------------------------------------------------------------------------------- */

void tide_held_add (tide_held_t *self, const tide_held_event_t *event)
{
    if (self->end == self->capacity) {
        size_t count = tide_held_count (self);
        if (self->first > self->capacity / 2)
            memmove (self->events, self->events + self->first, count * sizeof *self->events);
        else {
            self->capacity = self->capacity > 0 ? self->capacity * 2 : EVENTS_MIN;
            self->events = tide_realloc (self->events, self->capacity * sizeof *self->events);
            memmove (self->events, self->events + self->first, count * sizeof *self->events);
        }
        self->first = 0;
        self->end = count;
    }
    self->events[self->end++] = *event;
    event->chunk->references++;
}

size_t tide_held_count (const tide_held_t *self)
{
    return self->end - self->first;
}

const tide_held_event_t *tide_held_first (const tide_held_t *self)
{
    return self->first < self->end ? &self->events[self->first] : NULL;
}

tide_held_event_t tide_held_take (tide_held_t *self)
{
    tide_assert (self->first < self->end);
    tide_held_event_t event = self->events[self->first++];
    if (self->first == self->end)
        self->first = self->end = 0;
    return event;
}

/*  Where the run of rising sequences that begins at `at` ends. */
static size_t run_end (const tide_held_event_t *events, size_t at, size_t count)
{
    do
        at++;
    while (at < count && events[at - 1].seq <= events[at].seq);
    return at;
}

static void merge (tide_held_event_t *to, const tide_held_event_t *events, size_t at, size_t middle,
                   size_t end)
{
    size_t one = at, other = middle;
    while (one < middle && other < end)
        to[at++] = events[other].seq < events[one].seq ? events[other++] : events[one++];
    memcpy (to + at, events + one, (middle - one) * sizeof *to);
    memcpy (to + at + (middle - one), events + other, (end - other) * sizeof *to);
}

/*  Merges the runs that are there already. A batch comes as one run a topic, and most of the time
 *  there is one run only. */
void tide_held_sort (tide_held_t *self)
{
    size_t count = tide_held_count (self);
    size_t runs = count > 0 && run_end (self->events + self->first, 0, count) < count ? 2 : 1;
    if (runs > 1 && self->scratch_capacity < self->capacity) {
        self->scratch_capacity = self->capacity;
        self->scratch = tide_realloc (self->scratch, self->capacity * sizeof *self->scratch);
    }
    while (runs > 1) {
        const tide_held_event_t *events = self->events + self->first;
        runs = 0;
        for (size_t at = 0, end; at < count; at = end) {
            size_t middle = run_end (events, at, count);
            end = middle < count ? run_end (events, middle, count) : count;
            merge (self->scratch, events, at, middle, end);
            runs++;
        }
        tide_held_event_t *sorted = self->scratch;
        size_t capacity = self->scratch_capacity;
        self->scratch = self->events;
        self->scratch_capacity = self->capacity;
        self->events = sorted;
        self->capacity = capacity;
        self->first = 0;
        self->end = count;
    }
}

/*  Sequences differ, so an event is no further from the first than its sequence is; where all
 *  sequences are ours it is exactly there. (Should one be there twice, others may not be found:
 *  they are then read once more than needed.) */
bool tide_held_has (const tide_held_t *self, uint64_t seq)
{
    size_t low = self->first, high = self->end;
    if (low == high || seq < self->events[low].seq || seq > self->events[high - 1].seq)
        return false;
    uint64_t distance = seq - self->events[low].seq;
    if (distance < high - low) {
        high = low + (size_t) distance + 1;
        if (self->events[high - 1].seq == seq)
            return true;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->events[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < self->end && self->events[low].seq == seq;
}

void tide_held_drop_behind (tide_held_t *self, tide_arena_t *arena, uint64_t seq)
{
    size_t kept = self->first;
    for (size_t at = self->first; at < self->end; at++) {
        if (self->events[at].seq > seq)
            tide_arena_release (arena, self->events[at].chunk);
        else
            self->events[kept++] = self->events[at];
    }
    self->end = kept;
    if (self->first == self->end)
        self->first = self->end = 0;
}

void tide_held_free (tide_held_t *self, tide_arena_t *arena)
{
    for (size_t at = self->first; at < self->end; at++)
        tide_arena_release (arena, self->events[at].chunk);
    free (self->events);
    free (self->scratch);
    *self = (tide_held_t){0};
}
