/*  tide_patterns.h - the patterns that a feed follows, and what they say of a topic.
 *
 *  Private to the feed. A topic is looked up once for itself and once for each of its levels at
 *  which a subtree of that length is followed, so the cost does not grow with the patterns.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PATTERNS_H
#define TIDE_PATTERNS_H

#include "tide_wire.h"

/*  Patterns that may cover one topic: itself, one subtree a level, and `#`. */
#define TIDE_PATTERNS_MATCHES_MAX 258

/*  The floor of what is not joined: no sequence is above it. */
#define TIDE_FLOOR_NONE UINT64_MAX

/*  Where a pattern is on its way to being joined. */
typedef enum { TIDE_PATTERN_WAITING, TIDE_PATTERN_ASKED, TIDE_PATTERN_JOINED } tide_pattern_state_t;

typedef struct tide_pattern tide_pattern_t;
struct tide_pattern {
    tide_pattern_t *prev, *next; /* of the list that belongs to its state, for utlist */
    tide_pattern_t *chain;
    uint64_t hash;
    uint64_t floor; /* events above this are handed on; TIDE_FLOOR_NONE until it has joined */
    tide_pattern_state_t state;
    tide_bytes_t text; /* the pattern */
    tide_bytes_t key;  /* what is looked up: a topic, or a subtree without its `/#` */
    bool is_subtree;
};

typedef struct {
    tide_pattern_t **buckets;
    size_t capacity, count;
    uint64_t seed;
    uint32_t subtrees[256]; /* subtrees with a key of this length */
} tide_patterns_t;

/*  Zero-initialise it, then set a seed: it is what makes colliding names hard to choose. */

/*  Frees the table; all patterns must have been removed. */
void tide_patterns_free (tide_patterns_t *self);

/*  Adds a valid pattern that is not there yet, waiting; owned by self. */
tide_pattern_t *tide_patterns_add (tide_patterns_t *self, tide_bytes_t text);

/*  The pattern with this text, or NULL. */
tide_pattern_t *tide_patterns_find (const tide_patterns_t *self, tide_bytes_t text);

/*  Takes it out and frees it. */
void tide_patterns_remove (tide_patterns_t *self, tide_pattern_t **pattern_p);

/*  Writes the patterns that cover the topic, of any state, and returns how many. The topic may be
 *  any bytes up to TIDE_TOPIC_SIZE_MAX. */
size_t tide_patterns_match (const tide_patterns_t *self, tide_bytes_t topic,
                            tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX]);

/*  The lowest floor of the patterns that cover the topic: its events above it are handed on.
 *  *followed, unless NULL, says whether any pattern covers it at all. */
uint64_t tide_patterns_floor (const tide_patterns_t *self, tide_bytes_t topic, bool *followed);

#endif
