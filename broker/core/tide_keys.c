/*  tide_keys.c - the keys that stand.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_keys.h"

#include "tide_alloc.h"
#include "tide_hash.h"
#include "tide_table.h"

#include <stdlib.h>

typedef struct {
    uint64_t seq; /* 0: free */
    uint8_t *name;
    uint32_t hash, topic;
    uint32_t next, previous; /* of the same topic; next also links the free ones */
    uint8_t size;
} entry_t;

struct tide_keys {
    uint64_t hash_seed[2];
    tide_topics_t *topics;
    entry_t *entries;
    uint32_t used, capacity, free;
    tide_table_t by_name;
};

tide_keys_t *tide_keys_new (const uint64_t hash_seed[2], tide_topics_t *topics)
{
    tide_keys_t *self = tide_alloc (sizeof *self);
    self->hash_seed[0] = hash_seed[0];
    self->hash_seed[1] = hash_seed[1];
    self->topics = topics;
    self->capacity = 64;
    self->entries = tide_alloc (self->capacity * sizeof *self->entries);
    self->used = 1;
    return self;
}

void tide_keys_destroy (tide_keys_t **self_p)
{
    tide_keys_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (uint32_t at = 1; at < self->used; at++)
        free (self->entries[at].name);
    free (self->entries);
    tide_table_free (&self->by_name);
    free (self);
}

static uint32_t hash_of (const tide_keys_t *self, uint32_t topic, tide_bytes_t name)
{
    return tide_hash (self->hash_seed, name) ^ topic * 0x9e3779b1u;
}

uint32_t tide_keys_find (const tide_keys_t *self, uint32_t topic, tide_bytes_t name)
{
    uint32_t at;
    uint32_t hash = hash_of (self, topic, name);
    for (uint32_t key = tide_table_first (&self->by_name, hash, &at); key;
         key = tide_table_next (&self->by_name, hash, &at))
        if (self->entries[key].topic == topic
            && tide_bytes_equal (tide_keys_name (self, key), name))
            return key;
    return 0;
}

uint32_t tide_keys_add (tide_keys_t *self, uint32_t topic, tide_bytes_t name, uint64_t seq)
{
    uint32_t key = self->free;
    if (key)
        self->free = self->entries[key].next;
    else {
        if (self->used == self->capacity) {
            self->capacity += self->capacity / 2;
            self->entries = tide_realloc (self->entries, self->capacity * sizeof *self->entries);
        }
        key = self->used++;
    }
    tide_topic_t *owner = tide_topics_at (self->topics, topic);
    self->entries[key] = (entry_t){.seq = seq,
                                   .name = (uint8_t *) tide_copy (name.data, name.size),
                                   .size = (uint8_t) name.size,
                                   .hash = hash_of (self, topic, name),
                                   .topic = topic,
                                   .next = owner->keys};
    if (owner->keys)
        self->entries[owner->keys].previous = key;
    owner->keys = key;
    owner->key_count++;
    tide_table_insert (&self->by_name, self->entries[key].hash, key);
    return key;
}

void tide_keys_remove (tide_keys_t *self, uint32_t key)
{
    entry_t *entry = &self->entries[key];
    tide_topic_t *owner = tide_topics_at (self->topics, entry->topic);
    tide_table_remove (&self->by_name, entry->hash, key);
    if (entry->previous)
        self->entries[entry->previous].next = entry->next;
    else
        owner->keys = entry->next;
    if (entry->next)
        self->entries[entry->next].previous = entry->previous;
    owner->key_count--;
    free (entry->name);
    *entry = (entry_t){.next = self->free};
    self->free = key;
}

void tide_keys_set (tide_keys_t *self, uint32_t key, uint64_t seq)
{
    self->entries[key].seq = seq;
}

uint64_t tide_keys_seq (const tide_keys_t *self, uint32_t key)
{
    return key < self->used ? self->entries[key].seq : 0;
}

uint32_t tide_keys_topic (const tide_keys_t *self, uint32_t key)
{
    return self->entries[key].topic;
}

tide_bytes_t tide_keys_name (const tide_keys_t *self, uint32_t key)
{
    return (tide_bytes_t){self->entries[key].name, self->entries[key].size};
}

uint32_t tide_keys_next (const tide_keys_t *self, uint32_t key)
{
    return self->entries[key].next;
}

uint64_t tide_keys_count (const tide_keys_t *self)
{
    return self->by_name.count;
}
