/*  tide_overlay.h - what one batch will have changed, once it is durable.
 *
 *  Conditions and ids are judged against the index as these changes would leave it; if the batch
 *  is not appended, they are dropped and nothing has happened.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_OVERLAY_H
#define TIDE_OVERLAY_H

#include "tide_ids.h"
#include "tide_table.h"

typedef struct {
    uint64_t seq; /* of the latest event on the key */
    bool removed; /* it removes the key */
    uint32_t hash;
    uint32_t topic_at, key_at; /* where the names lie in `names` */
} tide_overlay_key_t;

typedef struct {
    tide_id_t id;
    uint64_t seq;
    unsigned class;
} tide_overlay_id_t;

/*  Zero-initialise it, but for the seed; free with tide_overlay_free. */
typedef struct {
    uint64_t hash_seed[2];
    tide_overlay_key_t *keys; /* handles from 1 */
    uint32_t key_count, key_capacity;
    tide_overlay_id_t *ids; /* in sequence order; handles from 1 */
    uint32_t id_count, id_capacity;
    tide_buffer_t names; /* each behind its length byte */
    tide_table_t by_key, by_id;
} tide_overlay_t;

void tide_overlay_free (tide_overlay_t *self);
void tide_overlay_clear (tide_overlay_t *self);

void tide_overlay_add_key (tide_overlay_t *self, tide_bytes_t topic, tide_bytes_t key, uint64_t seq,
                           bool removed);
void tide_overlay_add_id (tide_overlay_t *self, const tide_id_t *id, uint64_t seq, unsigned class);

/*  What will have happened to the key (with an empty one: to any key of the topic), or NULL. */
const tide_overlay_key_t *tide_overlay_key (const tide_overlay_t *self, tide_bytes_t topic,
                                            tide_bytes_t key);
const tide_overlay_id_t *tide_overlay_id (const tide_overlay_t *self, const tide_id_t *id);

#endif
