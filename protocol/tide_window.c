/*  tide_window.c - what is missing between the watermark and a later sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_window.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

/*  The table asks for memory where all others do. */
#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>

struct tide_window_want {
    UT_hash_handle hh;
    uint64_t since;
    uint64_t *missing; /* rising */
    size_t count, capacity, checked;
    size_t size;
    uint8_t name[];
};

void tide_window_open (tide_window_t *self, uint64_t from, uint64_t to)
{
    tide_assert (!self->is_open);
    *self = (tide_window_t){.is_open = true, .from = from, .to = to};
}

static tide_window_want_t *find (const tide_window_t *self, tide_bytes_t name)
{
    tide_window_want_t *want = NULL;
    if (name.size > 0)
        HASH_FIND (hh, self->by_name, name.data, name.size, want);
    return want;
}

static tide_window_want_t *add (tide_window_t *self, tide_bytes_t name, uint64_t since)
{
    tide_window_want_t *want = tide_alloc (sizeof *want + name.size);
    want->since = since;
    want->size = name.size;
    memcpy (want->name, name.data, name.size);
    HASH_ADD_KEYPTR (hh, self->by_name, want->name, want->size, want);
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->wants = tide_realloc (self->wants, self->capacity * sizeof (tide_window_want_t *));
    }
    self->wants[self->count++] = want;
    return want;
}

void tide_window_miss (tide_window_t *self, tide_bytes_t topic, uint64_t seq)
{
    tide_window_want_t *want = find (self, topic);
    if (!want)
        want = add (self, topic, seq - 1);
    if (want->count == want->capacity) {
        want->capacity = want->capacity > 0 ? want->capacity * 2 : 4;
        want->missing = tide_realloc (want->missing, want->capacity * sizeof *want->missing);
    }
    want->missing[want->count++] = seq;
    self->missing++;
}

void tide_window_want (tide_window_t *self, tide_bytes_t pattern, uint64_t since)
{
    add (self, pattern, since);
}

static size_t share_end (const tide_window_t *self, size_t share)
{
    size_t end = (share + 1) * TIDE_WANTS_MAX;
    return end < self->count ? end : self->count;
}

void tide_window_plan (tide_window_t *self)
{
    self->shares = (self->count + TIDE_WANTS_MAX - 1) / TIDE_WANTS_MAX;
    self->upto = tide_alloc (self->shares * sizeof *self->upto);
    for (size_t share = 0; share < self->shares; share++) {
        self->upto[share] = self->to;
        for (size_t at = share * TIDE_WANTS_MAX; at < share_end (self, share); at++)
            if (self->wants[at]->since < self->upto[share])
                self->upto[share] = self->wants[at]->since;
    }
}

/*  The share that is behind the others; shares if there is none. */
static size_t last_share (const tide_window_t *self)
{
    size_t last = self->shares;
    for (size_t share = 0; share < self->shares; share++)
        if (last == self->shares || self->upto[share] < self->upto[last])
            last = share;
    return last;
}

uint64_t tide_window_limit (const tide_window_t *self)
{
    size_t share = last_share (self);
    return share < self->shares ? self->upto[share] : self->to;
}

bool tide_window_ask (const tide_window_t *self, tide_buffer_t *wants, uint32_t *count,
                      size_t *share)
{
    *share = last_share (self);
    *count = 0;
    if (*share == self->shares || self->upto[*share] >= self->to)
        return false;
    for (size_t at = *share * TIDE_WANTS_MAX; at < share_end (self, *share); at++) {
        const tide_window_want_t *from = self->wants[at];
        tide_want_t want = {{from->name, from->size}, from->since};
        if (want.seq < self->upto[*share])
            want.seq = self->upto[*share];
        tide_want_append (wants, &want);
        (*count)++;
    }
    return true;
}

bool tide_window_since (const tide_window_t *self, tide_bytes_t name, uint64_t *since)
{
    const tide_window_want_t *want = find (self, name);
    if (want)
        *since = want->since;
    return want != NULL;
}

void tide_window_lost (tide_window_t *self, tide_bytes_t name, uint64_t seq)
{
    tide_window_want_t *want = find (self, name);
    if (want && seq > want->since)
        want->since = seq;
}

void tide_window_page (tide_window_t *self, size_t share, uint64_t upto, bool more)
{
    if (!more || upto > self->to)
        upto = self->to;
    if (upto > self->upto[share])
        self->upto[share] = upto;
}

bool tide_window_next_due (tide_window_t *self, size_t share, size_t *at, tide_bytes_t *topic,
                           uint64_t *seq)
{
    size_t first = share * TIDE_WANTS_MAX;
    for (; first + *at < share_end (self, share); (*at)++) {
        tide_window_want_t *want = self->wants[first + *at];
        if (want->checked == want->count || want->missing[want->checked] > self->upto[share])
            continue;
        *topic = (tide_bytes_t){want->name, want->size};
        *seq = want->missing[want->checked++];
        return true;
    }
    return false;
}

void tide_window_close (tide_window_t *self)
{
    HASH_CLEAR (hh, self->by_name);
    for (size_t at = 0; at < self->count; at++) {
        free (self->wants[at]->missing);
        free (self->wants[at]);
    }
    free (self->wants);
    free (self->upto);
    *self = (tide_window_t){0};
}
