/*  tide_ids.h - which event ids are known: a publish that comes again is answered, not appended.
 *
 *  (user, topic, id) is kept as a keyed hash of 128 bits, which nobody can make collide without
 *  the broker's secret; the content (name, key, payload) as one of 64. About 40 bytes an id.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_IDS_H
#define TIDE_IDS_H

#include "tide_message.h"

typedef struct {
    uint64_t who[2];  /* user, topic and id */
    uint64_t content; /* name, key and payload */
} tide_id_t;

/*  The event's id; it must have one. */
tide_id_t tide_id (const uint64_t hash_seed[2], const tide_event_t *event);
/*  True if both have the same user, topic and id. */
bool tide_id_equal (const tide_id_t *one, const tide_id_t *other);

typedef struct tide_ids tide_ids_t;

/*  Keeps the latest `max` ids. Nothing can be found before it is settled: while a log is loaded
 *  ids only queue up, and their table is made once. */
tide_ids_t *tide_ids_new (uint64_t max);
void tide_ids_settle (tide_ids_t *self);
void tide_ids_destroy (tide_ids_t **self_p);

/*  The sequence at which it was appended, 0 if it is not known. *content: the content's hash. */
uint64_t tide_ids_find (const tide_ids_t *self, const tide_id_t *id, uint64_t *content);
/*  Sequences must rise. */
void tide_ids_add (tide_ids_t *self, const tide_id_t *id, uint64_t seq);
/*  Drops the ids of events up to `through`. */
void tide_ids_trim (tide_ids_t *self, uint64_t through);
uint64_t tide_ids_count (const tide_ids_t *self);

#endif
