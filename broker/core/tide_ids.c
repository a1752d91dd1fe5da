/*  tide_ids.c - which event ids are known.
 *
 *  Entries lie in a ring in sequence order, so that the oldest goes first. The table holds places
 *  in the ring; the bits of a slot that a place does not need hold a part of the hash, so that a
 *  search seldom looks into the ring in vain.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_ids.h"

#include "tide_alloc.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t who[2];
    uint64_t content;
    uint64_t seq;
} entry_t;

struct tide_ids {
    uint64_t max;
    entry_t *ring;
    uint32_t start, count, capacity;
    uint32_t *slots; /* 0: empty, else the place + 1, below the tag */
    uint32_t mask;
    unsigned place_bits;
    bool is_loading; /* there is no table yet */
};

enum { CAPACITY_FIRST = 4 << 20 };

/*  A payload that is hashed in one go with the names; of what is larger its hash is. */
enum { SMALL_PAYLOAD = 512, HASH_SIZE = crypto_shorthash_siphashx24_BYTES };

/*  How far ahead the table is asked for when it is filled. */
enum { AHEAD = 16 };

_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == 2 * sizeof (uint64_t),
               "the broker's seed is the key");

/*  Texts to be hashed together, each behind its size. */
typedef struct {
    uint8_t bytes[3 * (TIDE_NAME_SIZE_MAX + 1) + SMALL_PAYLOAD];
    size_t size;
} texts_t;

_Static_assert(SMALL_PAYLOAD >= HASH_SIZE && TIDE_NAME_SIZE_MAX >= HASH_SIZE,
               "a hash fits in where the text would have been");

static void put_text (texts_t *self, tide_bytes_t text)
{
    self->bytes[self->size++] = (uint8_t) text.size;
    if (text.size > 0)
        memcpy (self->bytes + self->size, text.data, text.size);
    self->size += text.size;
}

tide_id_t tide_id (const uint64_t hash_seed[2], const tide_event_t *event)
{
    uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
    texts_t texts;
    tide_id_t id;
    memcpy (key, hash_seed, sizeof key);
    texts.size = 0;
    put_text (&texts, event->topic);
    put_text (&texts, event->user);
    put_text (&texts, event->id);
    crypto_shorthash_siphashx24 ((uint8_t *) id.who, texts.bytes, texts.size, key);
    texts.size = 0;
    put_text (&texts, event->name);
    put_text (&texts, event->key);
    uint8_t except[HASH_SIZE];
    if (event->except.size > 0)
        crypto_shorthash_siphashx24 (except, event->except.data, event->except.size, key);
    put_text (&texts, (tide_bytes_t){except, event->except.size > 0 ? HASH_SIZE : 0});
    tide_bytes_t payload = event->payload;
    if (payload.size <= SMALL_PAYLOAD) {
        if (payload.size > 0)
            memcpy (texts.bytes + texts.size, payload.data, payload.size);
        texts.size += payload.size;
    }
    else {
        crypto_shorthash_siphashx24 (texts.bytes + texts.size, payload.data, payload.size, key);
        texts.size += HASH_SIZE;
    }
    crypto_shorthash_siphash24 ((uint8_t *) &id.content, texts.bytes, texts.size, key);
    return id;
}

bool tide_id_equal (const tide_id_t *one, const tide_id_t *other)
{
    return one->who[0] == other->who[0] && one->who[1] == other->who[1];
}

tide_ids_t *tide_ids_new (uint64_t max)
{
    tide_ids_t *self = tide_alloc (sizeof *self);
    self->max = max < 1u << 30 ? max : 1u << 30;
    self->is_loading = true;
    return self;
}

void tide_ids_destroy (tide_ids_t **self_p)
{
    tide_ids_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free (self->ring);
    free (self->slots);
    free (self);
}

static uint32_t slot_of (const tide_ids_t *self, const uint64_t who[2], uint32_t place)
{
    uint32_t tag = (uint32_t) (who[1] >> 32) << self->place_bits;
    return tag | (place + 1);
}

/*  Where the id's slot is, or the empty one where it would be. */
static uint32_t find_slot (const tide_ids_t *self, const uint64_t who[2])
{
    uint32_t place_mask = (1u << self->place_bits) - 1;
    uint32_t tag = (uint32_t) (who[1] >> 32) << self->place_bits;
    uint32_t at = (uint32_t) who[0] & self->mask;
    for (; self->slots[at]; at = (at + 1) & self->mask) {
        if ((self->slots[at] & ~place_mask) != tag)
            continue;
        const entry_t *entry = &self->ring[(self->slots[at] & place_mask) - 1];
        if (entry->who[0] == who[0] && entry->who[1] == who[1])
            break;
    }
    return at;
}

uint64_t tide_ids_find (const tide_ids_t *self, const tide_id_t *id, uint64_t *content)
{
    tide_assert (!self->is_loading);
    if (self->count == 0)
        return 0;
    uint32_t slot = self->slots[find_slot (self, id->who)];
    if (!slot)
        return 0;
    const entry_t *entry = &self->ring[(slot & ((1u << self->place_bits) - 1)) - 1];
    *content = entry->content;
    return entry->seq;
}

/*  Makes the table anew, at most three quarters full with one more in it. Each place in it is far
 *  from the one before, so they are asked for ahead. */
static void make_table (tide_ids_t *self)
{
    uint32_t size = 64;
    while (size - size / 4 <= self->count + 1)
        size *= 2;
    free (self->slots);
    self->slots = tide_alloc (size * sizeof *self->slots);
    self->mask = size - 1;
    self->place_bits = 1;
    while ((1u << self->place_bits) <= self->capacity)
        self->place_bits++;
    for (uint32_t at = 0; at < self->count; at++) {
        uint64_t place = ((uint64_t) self->start + at) % self->capacity;
        uint64_t ahead = (place + AHEAD) % self->capacity;
        __builtin_prefetch (&self->slots[(uint32_t) self->ring[ahead].who[0] & self->mask], 1);
        const uint64_t *who = self->ring[place].who;
        self->slots[find_slot (self, who)] = slot_of (self, who, (uint32_t) place);
    }
}

void tide_ids_settle (tide_ids_t *self)
{
    self->is_loading = false;
    if (self->capacity > 0)
        make_table (self);
}

/*  The ring is made as large as it may become, if that is not out of all proportion: its pages
 *  cost nothing until they are used, and then it never moves. */
static void grow_ring (tide_ids_t *self)
{
    uint64_t capacity = self->capacity > 0 ? (uint64_t) self->capacity * 2 : CAPACITY_FIRST;
    if (capacity > self->max)
        capacity = self->max;
    entry_t *ring = tide_alloc (capacity * sizeof *ring);
    for (uint32_t at = 0; at < self->count; at++)
        ring[at] = self->ring[((uint64_t) self->start + at) % self->capacity];
    free (self->ring);
    self->ring = ring;
    self->capacity = (uint32_t) capacity;
    self->start = 0;
    if (!self->is_loading)
        make_table (self);
}

/*  What follows in the run moves up into the hole, unless it stands before its own place. */
static void empty_slot (tide_ids_t *self, uint32_t hole)
{
    uint32_t place_mask = (1u << self->place_bits) - 1;
    for (uint32_t at = (hole + 1) & self->mask; self->slots[at]; at = (at + 1) & self->mask) {
        const entry_t *entry = &self->ring[(self->slots[at] & place_mask) - 1];
        uint32_t home = (uint32_t) entry->who[0] & self->mask;
        if (((at - home) & self->mask) < ((at - hole) & self->mask))
            continue;
        self->slots[hole] = self->slots[at];
        hole = at;
    }
    self->slots[hole] = 0;
}

static void drop_oldest (tide_ids_t *self)
{
    const uint64_t *who = self->ring[self->start].who;
    uint32_t at = self->is_loading ? 0 : find_slot (self, who);
    /*  Its slot may belong to a later event that came with the same id. */
    if (!self->is_loading && self->slots[at] == slot_of (self, who, self->start))
        empty_slot (self, at);
    self->start = self->start + 1 == self->capacity ? 0 : self->start + 1;
    self->count--;
}

void tide_ids_add (tide_ids_t *self, const tide_id_t *id, uint64_t seq)
{
    if (self->max == 0)
        return;
    if (self->count == self->max)
        drop_oldest (self);
    if (self->count == self->capacity)
        grow_ring (self);
    uint32_t place = (uint32_t) (((uint64_t) self->start + self->count) % self->capacity);
    self->ring[place] = (entry_t){{id->who[0], id->who[1]}, id->content, seq};
    self->count++;
    if (self->is_loading)
        return;
    if (self->count >= self->mask - self->mask / 4)
        make_table (self);
    self->slots[find_slot (self, id->who)] = slot_of (self, id->who, place);
}

void tide_ids_trim (tide_ids_t *self, uint64_t through)
{
    while (self->count > 0 && self->ring[self->start].seq <= through)
        drop_oldest (self);
}

uint64_t tide_ids_count (const tide_ids_t *self)
{
    return self->count;
}
