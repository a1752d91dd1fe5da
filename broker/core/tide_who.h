/*  tide_who.h - who speaks, whichever connection it is behind.
 *
 *  What was lent to a worker may be ended by that worker only, and it may be behind another
 *  connection by then. So it is known by what it calls itself in HELLO (its origin), and one that
 *  has no name by its routing id: as a keyed hash, which costs the same for all.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WHO_H
#define TIDE_WHO_H

#include "tide_ids.h"

/*  All 0: it is not known who. */
typedef struct {
    uint64_t hash[2];
} tide_who_t;

static inline tide_who_t tide_who (const uint64_t hash_seed[2], tide_bytes_t peer,
                                   tide_bytes_t origin)
{
    bool is_named = origin.size > 0;
    tide_event_t said = {.topic = tide_bytes (is_named ? "origin" : "peer"),
                         .id = is_named ? origin : peer};
    tide_id_t id = tide_id (hash_seed, &said);
    return (tide_who_t){{id.who[0], id.who[1]}};
}

/*  Whether who speaks may speak of what the holder has: it is the holder, or nobody knows who is.
 */
static inline bool tide_who_is (tide_who_t speaker, tide_who_t holder)
{
    bool is_known = (holder.hash[0] | holder.hash[1]) != 0;
    return !is_known || (speaker.hash[0] == holder.hash[0] && speaker.hash[1] == holder.hash[1]);
}

#endif
