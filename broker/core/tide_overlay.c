/*  tide_overlay.c - what one batch will have changed.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_overlay.h"

#include "tide_alloc.h"
#include "tide_hash.h"

#include <stdlib.h>

void tide_overlay_free (tide_overlay_t *self)
{
    free (self->keys);
    free (self->ids);
    tide_buffer_free (&self->names);
    tide_table_free (&self->by_key);
    tide_table_free (&self->by_id);
}

void tide_overlay_clear (tide_overlay_t *self)
{
    self->key_count = self->id_count = 0;
    self->names.size = 0;
    tide_table_clear (&self->by_key);
    tide_table_clear (&self->by_id);
}

static tide_bytes_t name_at (const tide_overlay_t *self, uint32_t at)
{
    return (tide_bytes_t){self->names.data + at + 1, self->names.data[at]};
}

static uint32_t put_name (tide_overlay_t *self, tide_bytes_t name)
{
    uint32_t at = (uint32_t) self->names.size;
    tide_put_u8 (&self->names, (uint8_t) name.size);
    tide_buffer_append_bytes (&self->names, name);
    return at;
}

/*  An empty key stands for the topic as a whole: no event has one. */
static uint32_t hash_of (const tide_overlay_t *self, tide_bytes_t topic, tide_bytes_t key)
{
    uint32_t hash = tide_hash (self->hash_seed, topic);
    return key.size > 0 ? hash * 0x9e3779b1u ^ tide_hash (self->hash_seed, key) : hash;
}

static tide_overlay_key_t *find_key (const tide_overlay_t *self, uint32_t hash, tide_bytes_t topic,
                                     tide_bytes_t key)
{
    uint32_t at;
    for (uint32_t handle = tide_table_first (&self->by_key, hash, &at); handle;
         handle = tide_table_next (&self->by_key, hash, &at)) {
        tide_overlay_key_t *entry = &self->keys[handle - 1];
        if (tide_bytes_equal (name_at (self, entry->key_at), key)
            && tide_bytes_equal (name_at (self, entry->topic_at), topic))
            return entry;
    }
    return NULL;
}

static void set_key (tide_overlay_t *self, tide_bytes_t topic, tide_bytes_t key, uint64_t seq,
                     bool removed)
{
    uint32_t hash = hash_of (self, topic, key);
    tide_overlay_key_t *entry = find_key (self, hash, topic, key);
    if (!entry) {
        if (self->key_count == self->key_capacity) {
            self->key_capacity = self->key_capacity > 0 ? self->key_capacity * 2 : 64;
            self->keys = tide_realloc (self->keys, self->key_capacity * sizeof *self->keys);
        }
        entry = &self->keys[self->key_count++];
        *entry = (tide_overlay_key_t){.hash = hash};
        entry->topic_at = put_name (self, topic);
        entry->key_at = put_name (self, key);
        tide_table_insert (&self->by_key, hash, self->key_count);
    }
    entry->seq = seq;
    entry->removed = removed;
}

void tide_overlay_add_key (tide_overlay_t *self, tide_bytes_t topic, tide_bytes_t key, uint64_t seq,
                           bool removed)
{
    set_key (self, topic, key, seq, removed);
    set_key (self, topic, (tide_bytes_t){0}, seq, removed);
}

const tide_overlay_key_t *tide_overlay_key (const tide_overlay_t *self, tide_bytes_t topic,
                                            tide_bytes_t key)
{
    if (self->key_count == 0)
        return NULL;
    return find_key (self, hash_of (self, topic, key), topic, key);
}

void tide_overlay_add_id (tide_overlay_t *self, const tide_id_t *id, uint64_t seq, unsigned class)
{
    if (self->id_count == self->id_capacity) {
        self->id_capacity = self->id_capacity > 0 ? self->id_capacity * 2 : 64;
        self->ids = tide_realloc (self->ids, self->id_capacity * sizeof *self->ids);
    }
    self->ids[self->id_count++] = (tide_overlay_id_t){*id, seq, class};
    tide_table_insert (&self->by_id, (uint32_t) id->who[0], self->id_count);
}

const tide_overlay_id_t *tide_overlay_id (const tide_overlay_t *self, const tide_id_t *id)
{
    uint32_t at;
    uint32_t hash = (uint32_t) id->who[0];
    for (uint32_t handle = tide_table_first (&self->by_id, hash, &at); handle;
         handle = tide_table_next (&self->by_id, hash, &at))
        if (tide_id_equal (&self->ids[handle - 1].id, id))
            return &self->ids[handle - 1];
    return NULL;
}
