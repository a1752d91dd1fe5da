/*  tide_keys.h - the keys that stand: (topic, key) -> the sequence of the latest event.
 *
 *  A key is a handle: a place in an array, from 1, used again after the key was removed. The keys
 *  of a topic are linked.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_KEYS_H
#define TIDE_KEYS_H

#include "tide_topics.h"

typedef struct tide_keys tide_keys_t;

tide_keys_t *tide_keys_new (const uint64_t hash_seed[2], tide_topics_t *topics);
void tide_keys_destroy (tide_keys_t **self_p);

/*  The key's handle, or 0. */
uint32_t tide_keys_find (const tide_keys_t *self, uint32_t topic, tide_bytes_t name);
/*  Makes a key that does not stand yet. */
uint32_t tide_keys_add (tide_keys_t *self, uint32_t topic, tide_bytes_t name, uint64_t seq);
void tide_keys_remove (tide_keys_t *self, uint32_t key);
/*  What stands at this key now. */
void tide_keys_set (tide_keys_t *self, uint32_t key, uint64_t seq);

/*  0 for a handle that is free. */
uint64_t tide_keys_seq (const tide_keys_t *self, uint32_t key);
uint32_t tide_keys_topic (const tide_keys_t *self, uint32_t key);
tide_bytes_t tide_keys_name (const tide_keys_t *self, uint32_t key);
/*  The next key of the same topic, or 0; the first is the topic's `keys`. */
uint32_t tide_keys_next (const tide_keys_t *self, uint32_t key);
uint64_t tide_keys_count (const tide_keys_t *self);

#endif
