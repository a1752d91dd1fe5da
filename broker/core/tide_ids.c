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
};

static const uint32_t capacity_min = 64;

_Static_assert (crypto_shorthash_siphashx24_KEYBYTES == 2 * sizeof (uint64_t),
                "the broker's seed is the key");

tide_id_t tide_id (const uint64_t hash_seed[2], const tide_event_t *event)
{
    uint8_t key[crypto_shorthash_siphashx24_KEYBYTES];
    uint8_t bytes[4 * (TIDE_NAME_SIZE_MAX + 1)];
    uint64_t hash[2];
    tide_id_t id;
    memcpy (key, hash_seed, sizeof key);
    const tide_bytes_t parts[] = {event->topic, event->user, event->id, event->name, event->key};
    size_t size = 0;
    for (unsigned at = 0; at < 3; at++) {
        bytes[size++] = (uint8_t)parts[at].size;
        if (parts[at].size > 0)
            memcpy (bytes + size, parts[at].data, parts[at].size);
        size += parts[at].size;
    }
    crypto_shorthash_siphashx24 ((uint8_t *)id.who, bytes, size, key);
    const uint8_t *payload = event->payload.size > 0 ? event->payload.data : bytes;
    crypto_shorthash_siphashx24 ((uint8_t *)hash, payload, event->payload.size, key);
    memcpy (bytes, hash, sizeof hash);
    size = sizeof hash;
    for (unsigned at = 3; at < 5; at++) {
        bytes[size++] = (uint8_t)parts[at].size;
        if (parts[at].size > 0)
            memcpy (bytes + size, parts[at].data, parts[at].size);
        size += parts[at].size;
    }
    crypto_shorthash_siphashx24 ((uint8_t *)hash, bytes, size, key);
    id.content = hash[0];
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
    uint32_t tag = (uint32_t)(who[1] >> 32) << self->place_bits;
    return tag | (place + 1);
}

/*  Where the id's slot is, or the empty one where it would be. */
static uint32_t find_slot (const tide_ids_t *self, const uint64_t who[2])
{
    uint32_t place_mask = (1u << self->place_bits) - 1;
    uint32_t tag = (uint32_t)(who[1] >> 32) << self->place_bits;
    uint32_t at = (uint32_t)who[0] & self->mask;
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
    if (self->count == 0)
        return 0;
    uint32_t slot = self->slots[find_slot (self, id->who)];
    if (!slot)
        return 0;
    const entry_t *entry = &self->ring[(slot & ((1u << self->place_bits) - 1)) - 1];
    *content = entry->content;
    return entry->seq;
}

/*  A larger ring, and a table for it: at most three quarters full. */
static void grow (tide_ids_t *self)
{
    uint64_t capacity = self->capacity + (uint64_t)self->capacity / 2;
    if (capacity < capacity_min)
        capacity = capacity_min;
    if (capacity > self->max)
        capacity = self->max;
    entry_t *ring = tide_alloc (capacity * sizeof *ring);
    for (uint32_t at = 0; at < self->count; at++)
        ring[at] = self->ring[(self->start + at) % self->capacity];
    free (self->ring);
    free (self->slots);
    self->ring = ring;
    self->capacity = (uint32_t)capacity;
    self->start = 0;
    uint64_t size = 16;
    while (size * 3 / 4 < capacity)
        size *= 2;
    self->slots = tide_alloc (size * sizeof *self->slots);
    self->mask = (uint32_t)(size - 1);
    self->place_bits = 1;
    while ((1u << self->place_bits) <= self->capacity)
        self->place_bits++;
    for (uint32_t at = 0; at < self->count; at++)
        self->slots[find_slot (self, ring[at].who)] = slot_of (self, ring[at].who, at);
}

/*  What follows in the run moves up into the hole, unless it stands before its own place. */
static void empty_slot (tide_ids_t *self, uint32_t hole)
{
    uint32_t place_mask = (1u << self->place_bits) - 1;
    for (uint32_t at = (hole + 1) & self->mask; self->slots[at]; at = (at + 1) & self->mask) {
        const entry_t *entry = &self->ring[(self->slots[at] & place_mask) - 1];
        uint32_t home = (uint32_t)entry->who[0] & self->mask;
        if (((at - home) & self->mask) < ((at - hole) & self->mask))
            continue;
        self->slots[hole] = self->slots[at];
        hole = at;
    }
    self->slots[hole] = 0;
}

static void drop_oldest (tide_ids_t *self)
{
    uint32_t at = find_slot (self, self->ring[self->start].who);
    /*  Its slot may belong to a later event that came with the same id. */
    if (self->slots[at] == slot_of (self, self->ring[self->start].who, self->start))
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
        grow (self);
    uint32_t place = (uint32_t)(((uint64_t)self->start + self->count) % self->capacity);
    self->ring[place] = (entry_t){{id->who[0], id->who[1]}, id->content, seq};
    self->count++;
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
