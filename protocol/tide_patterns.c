/*  tide_patterns.c - the patterns that a feed follows.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_patterns.h"

#include "tide_alloc.h"
#include "tide_limits.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 64 };

static uint64_t mix (uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C (0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

/*  Eight bytes at a time; the topic and the subtree of the same name differ. */
static uint64_t hash_of (const tide_patterns_t *self, tide_bytes_t key, bool is_subtree)
{
    uint64_t hash = self->seed ^ (key.size << 1 | is_subtree);
    uint64_t word;
    size_t at = 0;
    for (; key.size - at >= sizeof word; at += sizeof word) {
        memcpy (&word, key.data + at, sizeof word);
        hash = mix (hash, word);
    }
    word = 0;
    if (at < key.size)
        memcpy (&word, key.data + at, key.size - at);
    return mix (mix (hash, word), 0);
}

static tide_pattern_t *find (const tide_patterns_t *self, tide_bytes_t key, bool is_subtree)
{
    if (self->count == 0)
        return NULL;
    uint64_t hash = hash_of (self, key, is_subtree);
    tide_pattern_t *pattern = self->buckets[hash & (self->capacity - 1)];
    while (pattern
           && (pattern->hash != hash || pattern->is_subtree != is_subtree
               || !tide_bytes_equal (pattern->key, key)))
        pattern = pattern->chain;
    return pattern;
}

void tide_patterns_free (tide_patterns_t *self)
{
    tide_assert (self->count == 0);
    free (self->buckets);
    self->buckets = NULL;
    self->capacity = 0;
}

static void grow (tide_patterns_t *self)
{
    size_t capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_MIN;
    tide_pattern_t **buckets = tide_alloc (capacity * sizeof *buckets);
    for (size_t at = 0; at < self->capacity; at++) {
        while (self->buckets[at]) {
            tide_pattern_t *pattern = self->buckets[at];
            tide_pattern_t **bucket = &buckets[pattern->hash & (capacity - 1)];
            self->buckets[at] = pattern->chain;
            pattern->chain = *bucket;
            *bucket = pattern;
        }
    }
    free (self->buckets);
    self->buckets = buckets;
    self->capacity = capacity;
}

/*  What is looked up for a pattern: `a/b/#` is kept as `a/b`, `#` as the empty key. */
static tide_bytes_t key_of (tide_bytes_t text)
{
    if (!tide_pattern_is_subtree (text))
        return text;
    return (tide_bytes_t){text.data, text.size > 1 ? text.size - 2 : 0};
}

tide_pattern_t *tide_patterns_add (tide_patterns_t *self, tide_bytes_t text)
{
    tide_assert (tide_pattern_valid (text));
    if (self->count == self->capacity)
        grow (self);
    tide_pattern_t *pattern = tide_alloc (sizeof *pattern + text.size);
    uint8_t *copy = (uint8_t *) (pattern + 1);
    memcpy (copy, text.data, text.size);
    pattern->text = (tide_bytes_t){copy, text.size};
    pattern->key = key_of (pattern->text);
    pattern->is_subtree = tide_pattern_is_subtree (text);
    pattern->floor = TIDE_FLOOR_NONE;
    pattern->hash = hash_of (self, pattern->key, pattern->is_subtree);
    tide_pattern_t **bucket = &self->buckets[pattern->hash & (self->capacity - 1)];
    pattern->chain = *bucket;
    *bucket = pattern;
    self->count++;
    self->subtrees[pattern->key.size] += pattern->is_subtree;
    return pattern;
}

tide_pattern_t *tide_patterns_find (const tide_patterns_t *self, tide_bytes_t text)
{
    return find (self, key_of (text), tide_pattern_is_subtree (text));
}

void tide_patterns_remove (tide_patterns_t *self, tide_pattern_t **pattern_p)
{
    tide_pattern_t *pattern = *pattern_p;
    tide_pattern_t **link = &self->buckets[pattern->hash & (self->capacity - 1)];
    while (*link != pattern)
        link = &(*link)->chain;
    *link = pattern->chain;
    self->count--;
    self->subtrees[pattern->key.size] -= pattern->is_subtree;
    free (pattern);
    *pattern_p = NULL;
}

size_t tide_patterns_match (const tide_patterns_t *self, tide_bytes_t topic,
                            tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX])
{
    size_t count = 0;
    tide_assert (topic.size <= TIDE_TOPIC_SIZE_MAX);
    tide_pattern_t *pattern = find (self, topic, false);
    if (pattern)
        matches[count++] = pattern;
    for (size_t size = 1; size <= topic.size; size++) {
        if (self->subtrees[size] == 0 || (size < topic.size && topic.data[size] != '/'))
            continue;
        pattern = find (self, (tide_bytes_t){topic.data, size}, true);
        if (pattern)
            matches[count++] = pattern;
    }
    if (self->subtrees[0] > 0 && !tide_topic_is_system (topic)) {
        pattern = find (self, (tide_bytes_t){0}, true);
        if (pattern)
            matches[count++] = pattern;
    }
    return count;
}

uint64_t tide_patterns_floor (const tide_patterns_t *self, tide_bytes_t topic, bool *followed)
{
    tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX];
    size_t count = tide_patterns_match (self, topic, matches);
    uint64_t floor = TIDE_FLOOR_NONE;
    for (size_t at = 0; at < count; at++)
        if (matches[at]->floor < floor)
            floor = matches[at]->floor;
    if (followed)
        *followed = count > 0;
    return floor;
}
