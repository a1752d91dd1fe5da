/*  tide_topics.c - the topics that the index knows.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_topics.h"

#include "tide_alloc.h"
#include "tide_hash.h"
#include "tide_table.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  One topic in four reaches the next level: enough for 16 million. */
enum { LEVELS = 12 };

struct tide_topics {
    uint64_t hash_seed[2];
    uint64_t random; /* of the skip list's levels only */
    tide_topic_t *entries;
    uint32_t used, capacity, free, stamp;
    uint32_t heads[TIDE_CLASSES][LEVELS];
    tide_table_t by_name;
};

tide_topics_t *tide_topics_new (const uint64_t hash_seed[2])
{
    tide_topics_t *self = tide_alloc (sizeof *self);
    self->hash_seed[0] = hash_seed[0];
    self->hash_seed[1] = hash_seed[1];
    self->random = hash_seed[0] | 1;
    self->capacity = 64;
    self->entries = tide_alloc (self->capacity * sizeof *self->entries);
    self->used = 1;
    return self;
}

void tide_topics_destroy (tide_topics_t **self_p)
{
    tide_topics_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (uint32_t at = 1; at < self->used; at++) {
        free (self->entries[at].name);
        free (self->entries[at].forward);
        free (self->entries[at].seqs);
    }
    free (self->entries);
    tide_table_free (&self->by_name);
    free (self);
}

tide_topic_t *tide_topics_at (const tide_topics_t *self, uint32_t handle)
{
    return &self->entries[handle];
}

tide_bytes_t tide_topics_name (const tide_topics_t *self, uint32_t handle)
{
    const tide_topic_t *topic = &self->entries[handle];
    return (tide_bytes_t){topic->name, topic->size};
}

uint32_t tide_topics_count (const tide_topics_t *self)
{
    return self->by_name.count;
}

uint32_t tide_topics_limit (const tide_topics_t *self)
{
    return self->used;
}

unsigned tide_topics_class (tide_bytes_t name)
{
    static const char rooms[] = "$nsp";
    size_t size = sizeof rooms - 1;
    if (!tide_topic_is_system (name))
        return TIDE_CLIENTS;
    bool is_namespace = name.size >= size && memcmp (name.data, rooms, size) == 0
                        && (name.size == size || name.data[size] == '/');
    return name.data[0] == '@' || is_namespace ? TIDE_ROOMS : TIDE_SYSTEM;
}

uint32_t tide_topics_find (const tide_topics_t *self, tide_bytes_t name)
{
    uint32_t at;
    uint32_t hash = tide_hash (self->hash_seed, name);
    for (uint32_t handle = tide_table_first (&self->by_name, hash, &at); handle;
         handle = tide_table_next (&self->by_name, hash, &at))
        if (tide_bytes_equal (tide_topics_name (self, handle), name))
            return handle;
    return 0;
}

uint32_t tide_topics_stamp (tide_topics_t *self)
{
    if (++self->stamp == 0) {
        for (uint32_t at = 1; at < self->used; at++)
            self->entries[at].stamp = 0;
        self->stamp = 1;
    }
    return self->stamp;
}

/*  -- the order ------------------------------------------------------------------------------- */

static const uint32_t *forward_of (const tide_topics_t *self, unsigned class, uint32_t handle)
{
    return handle ? self->entries[handle].forward : self->heads[class];
}

/*  The last topic below name (or at it, if `through`); before[level]: the same on each level. */
static uint32_t find_before (const tide_topics_t *self, unsigned class, tide_bytes_t name,
                             bool through, uint32_t before[LEVELS])
{
    uint32_t at = 0;
    for (unsigned level = LEVELS; level-- > 0;) {
        for (;;) {
            uint32_t next = forward_of (self, class, at)[level];
            if (!next || tide_bytes_compare (tide_topics_name (self, next), name) >= (int) through)
                break;
            at = next;
        }
        if (before)
            before[level] = at;
    }
    return at;
}

static uint32_t *forward_place (tide_topics_t *self, unsigned class, uint32_t handle)
{
    return handle ? self->entries[handle].forward : self->heads[class];
}

static unsigned choose_levels (tide_topics_t *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    unsigned levels = 1;
    for (uint64_t bits = self->random >> 8; levels < LEVELS && (bits & 3) == 0; bits >>= 2)
        levels++;
    return levels;
}

static void link_in_order (tide_topics_t *self, uint32_t handle)
{
    tide_topic_t *topic = &self->entries[handle];
    uint32_t before[LEVELS];
    find_before (self, topic->class, tide_topics_name (self, handle), false, before);
    for (unsigned level = 0; level < topic->levels; level++) {
        uint32_t *place = forward_place (self, topic->class, before[level]);
        topic->forward[level] = place[level];
        place[level] = handle;
    }
}

static void unlink_from_order (tide_topics_t *self, uint32_t handle)
{
    const tide_topic_t *topic = &self->entries[handle];
    uint32_t before[LEVELS];
    find_before (self, topic->class, tide_topics_name (self, handle), false, before);
    for (unsigned level = 0; level < topic->levels; level++)
        forward_place (self, topic->class, before[level])[level] = topic->forward[level];
}

uint32_t tide_topics_add (tide_topics_t *self, tide_bytes_t name)
{
    uint32_t handle = self->free;
    if (handle)
        self->free = self->entries[handle].ghost_next;
    else {
        if (self->used == self->capacity) {
            self->capacity += self->capacity / 2;
            self->entries = tide_realloc (self->entries, self->capacity * sizeof *self->entries);
        }
        handle = self->used++;
    }
    tide_topic_t *topic = &self->entries[handle];
    *topic =
        (tide_topic_t){.size = (uint8_t) name.size, .class = (uint8_t) tide_topics_class (name)};
    topic->name = (uint8_t *) tide_copy (name.data, name.size);
    topic->hash = tide_hash (self->hash_seed, name);
    topic->levels = (uint8_t) choose_levels (self);
    topic->forward = tide_alloc (topic->levels * sizeof (uint32_t));
    tide_table_insert (&self->by_name, topic->hash, handle);
    link_in_order (self, handle);
    return handle;
}

void tide_topics_remove (tide_topics_t *self, uint32_t handle)
{
    tide_topic_t *topic = &self->entries[handle];
    unlink_from_order (self, handle);
    tide_table_remove (&self->by_name, topic->hash, handle);
    free (topic->name);
    free (topic->forward);
    free (topic->seqs);
    *topic = (tide_topic_t){.ghost_next = self->free};
    self->free = handle;
}

uint32_t tide_topics_behind (const tide_topics_t *self, tide_bytes_t name)
{
    return forward_of (self, TIDE_CLIENTS, find_before (self, TIDE_CLIENTS, name, true, NULL))[0];
}

uint32_t tide_topics_next (const tide_topics_t *self, uint32_t handle)
{
    return self->entries[handle].forward[0];
}

/*  In the order of bytes other topics may lie between `a` and `a/b` (as `a!`): so the topic itself
 *  and what begins with `a/` are looked for one by one. */
tide_topics_walk_t tide_topics_walk (const tide_topics_t *self, tide_bytes_t pattern)
{
    tide_topics_walk_t walk = {.topics = self};
    if (!tide_pattern_is_subtree (pattern)) {
        walk.first = tide_topics_find (self, pattern);
        return walk;
    }
    if (pattern.size == 1) {
        walk.next = self->heads[TIDE_CLIENTS][0];
        return walk;
    }
    unsigned class = tide_topics_class (pattern);
    walk.first = tide_topics_find (self, (tide_bytes_t){pattern.data, pattern.size - 2});
    walk.prefix = (tide_bytes_t){pattern.data, pattern.size - 1};
    walk.next = forward_of (self, class, find_before (self, class, walk.prefix, false, NULL))[0];
    return walk;
}

uint32_t tide_topics_walk_next (tide_topics_walk_t *walk)
{
    uint32_t handle = walk->first;
    if (handle) {
        walk->first = 0;
        return handle;
    }
    handle = walk->next;
    if (!handle)
        return 0;
    tide_bytes_t name = tide_topics_name (walk->topics, handle);
    bool inside = walk->prefix.size == 0
                  || (name.size >= walk->prefix.size
                      && memcmp (name.data, walk->prefix.data, walk->prefix.size) == 0);
    walk->next = inside ? tide_topics_next (walk->topics, handle) : 0;
    return inside ? handle : 0;
}

/*  -- a topic's sequences --------------------------------------------------------------------- */

static void resize (tide_topic_t *self, uint32_t capacity)
{
    uint64_t *seqs = tide_alloc (capacity * sizeof *seqs);
    for (uint32_t place = 0; place < self->count; place++)
        seqs[place] = tide_topic_seq (self, place);
    free (self->seqs);
    self->seqs = seqs;
    self->capacity = capacity;
    self->start = 0;
}

void tide_topic_push (tide_topic_t *self, uint64_t seq)
{
    if (self->count == self->capacity)
        resize (self, self->capacity + self->capacity / 2 + 4);
    uint32_t at = self->start + self->count++;
    self->seqs[at >= self->capacity ? at - self->capacity : at] = seq;
}

void tide_topic_pop (tide_topic_t *self)
{
    tide_assert (self->count > 0);
    self->count--;
    self->start = self->start + 1 == self->capacity ? 0 : self->start + 1;
    if (self->capacity > 16 && self->count < self->capacity / 4)
        resize (self, self->capacity / 2);
}

uint32_t tide_topic_above (const tide_topic_t *self, uint64_t seq)
{
    uint32_t low = 0, high = self->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tide_topic_seq (self, middle) > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void tide_topic_cut (tide_topic_t *self, uint64_t seq)
{
    uint32_t place = tide_topic_above (self, seq);
    tide_assert (place > 0 && tide_topic_seq (self, place - 1) == seq);
    resize (self, self->capacity);
    memmove (self->seqs + place - 1, self->seqs + place,
             (self->count - place) * sizeof *self->seqs);
    self->count--;
}
