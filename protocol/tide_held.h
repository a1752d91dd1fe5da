/*  tide_held.h - events that wait in a feed, by sequence.
 *
 *  Private to the feed. The bytes of a whole frame or page lie in one chunk of an arena, and what
 *  waits refers to them; a chunk is used again when nobody does. So an event costs no allocation,
 *  and while nothing is missing the same chunk serves for ever.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HELD_H
#define TIDE_HELD_H

#include "tide_wire.h"

typedef struct tide_chunk tide_chunk_t;

/*  Zero-initialise it; free with tide_arena_free. */
typedef struct {
    tide_chunk_t *current; /* the one that is being filled */
    size_t size;           /* bytes of all chunks that are in use */
} tide_arena_t;

/*  Copies the bytes; *chunk is where they lie, with one reference for the caller. */
const uint8_t *tide_arena_copy (tide_arena_t *self, tide_bytes_t bytes, tide_chunk_t **chunk);

/*  Gives a reference back. */
void tide_arena_release (tide_arena_t *self, tide_chunk_t *chunk);

/*  Frees what is left; no references may be out. */
void tide_arena_free (tide_arena_t *self);

typedef struct {
    uint64_t seq;
    const uint8_t *record;
    tide_chunk_t *chunk;
    uint32_t size;
    uint32_t version; /* of the followed patterns when it was found to be handed on; 0: unknown */
} tide_held_event_t;

/*  Zero-initialise it; free with tide_held_free. */
typedef struct {
    tide_held_event_t *events; /* those from first to end */
    size_t first, end, capacity;
    tide_held_event_t *scratch;
    size_t scratch_capacity;
} tide_held_t;

/*  Appends an event; its chunk gets a reference more. */
void tide_held_add (tide_held_t *self, const tide_held_event_t *event);

size_t tide_held_count (const tide_held_t *self);

/*  The first one, as long as nothing is added; NULL if there is none. */
const tide_held_event_t *tide_held_first (const tide_held_t *self);

/*  Takes the first one off. Its reference is the caller's now. */
tide_held_event_t tide_held_take (tide_held_t *self);

/*  Puts them in the order of their sequences. */
void tide_held_sort (tide_held_t *self);

/*  True if it is there. They must be in order. */
bool tide_held_has (const tide_held_t *self, uint64_t seq);

/*  Drops all whose sequence is above seq. */
void tide_held_drop_behind (tide_held_t *self, tide_arena_t *arena, uint64_t seq);

void tide_held_free (tide_held_t *self, tide_arena_t *arena);

#endif
