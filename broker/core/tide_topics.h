/*  tide_topics.h - the topics that the index knows: by name, in order, each with its sequences.
 *
 *  Found by a hash, and kept in the order of their bytes (a skip list for each class) for subtrees
 *  and pages of topics. A topic is a handle: a place in an array, from 1; the entry's address is
 *  valid until the next topic is made.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_TOPICS_H
#define TIDE_TOPICS_H

#include "tide_wire.h"

/*  The classes of topics, each with a budget of its own: clients'; the system's (`$…`); and what
 *  applications say to all of a namespace or to one session (`$nsp…`, `@…`), which a million ended
 *  sessions' records must not push out. */
enum { TIDE_CLIENTS, TIDE_SYSTEM, TIDE_ROOMS, TIDE_CLASSES };

typedef struct {
    uint8_t *name;
    uint32_t *forward; /* the next topic on each level of the skip list */
    uint64_t *seqs;    /* its events in the history: a ring, rising */
    uint32_t capacity, start, count;
    uint32_t refs;      /* entries of the index, and others, that hold this handle */
    uint32_t keys;      /* the first of its standing keys, a handle of the index */
    uint32_t key_count; /* keys that stand */
    uint64_t last;      /* its latest sequence, trimmed or not */
    uint64_t lost_to;   /* events up to here may be gone */
    uint64_t lost_said; /* the same as the log has it written down; 0: not at all */
    uint64_t scratch;   /* for whoever walks the topics now, valid with `stamp` */
    uint32_t stamp;
    uint32_t hash;
    uint32_t ghost_next, ghost_prev; /* see tide_index.c; also the list of free entries */
    uint8_t size, levels, class;
    bool is_ghost, is_dirty;
} tide_topic_t;

typedef struct tide_topics tide_topics_t;

tide_topics_t *tide_topics_new (const uint64_t hash_seed[2]);
void tide_topics_destroy (tide_topics_t **self_p);

/*  The topic's handle, or 0. */
uint32_t tide_topics_find (const tide_topics_t *self, tide_bytes_t name);
/*  Makes a topic that is not there yet. */
uint32_t tide_topics_add (tide_topics_t *self, tide_bytes_t name);
void tide_topics_remove (tide_topics_t *self, uint32_t handle);
tide_topic_t *tide_topics_at (const tide_topics_t *self, uint32_t handle);
tide_bytes_t tide_topics_name (const tide_topics_t *self, uint32_t handle);
uint32_t tide_topics_count (const tide_topics_t *self);
/*  All handles are below this one; some may be free (then their `size` is 0). */
uint32_t tide_topics_limit (const tide_topics_t *self);
/*  The clients' topic that sorts first behind name, or 0; and the one behind a topic. */
uint32_t tide_topics_behind (const tide_topics_t *self, tide_bytes_t name);
uint32_t tide_topics_next (const tide_topics_t *self, uint32_t handle);
/*  A number that no topic's `stamp` has. */
uint32_t tide_topics_stamp (tide_topics_t *self);

/*  The class of a topic or a subtree by its name. */
unsigned tide_topics_class (tide_bytes_t name);

/*  Walks the topics that a valid pattern covers, in no particular order. No topic may come or go
 *  meanwhile. */
typedef struct {
    const tide_topics_t *topics;
    tide_bytes_t prefix; /* with its slash; empty: all of a class */
    uint32_t first;      /* the topic before its subtree */
    uint32_t next;
} tide_topics_walk_t;
tide_topics_walk_t tide_topics_walk (const tide_topics_t *self, tide_bytes_t pattern);
uint32_t tide_topics_walk_next (tide_topics_walk_t *walk);

/*  A topic's sequences. */
void tide_topic_push (tide_topic_t *self, uint64_t seq);
void tide_topic_pop (tide_topic_t *self);
/*  Takes one out of the middle; it must be there. */
void tide_topic_cut (tide_topic_t *self, uint64_t seq);
/*  The place of the first one above seq: 0 … count. */
uint32_t tide_topic_above (const tide_topic_t *self, uint64_t seq);

static inline uint64_t tide_topic_seq (const tide_topic_t *self, uint32_t place)
{
    uint32_t at = self->start + place;
    return self->seqs[at >= self->capacity ? at - self->capacity : at];
}

#endif
