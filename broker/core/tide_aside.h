/*  tide_aside.h - events that outlived their segment: what the log has set aside.
 *
 *  In sequence order, found by bisection. What is taken out is remembered until the log was told
 *  that it may forget it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ASIDE_H
#define TIDE_ASIDE_H

#include "tide_wire.h"

/*  What the index knows of one event. */
typedef struct {
    uint32_t topic;     /* 0: of which topic it was is not known, it was damaged */
    uint32_t key;       /* the key's handle, of use only while the event stands */
    uint32_t size : 31; /* bytes of its record */
    uint32_t is_alive : 1;
    uint32_t time; /* in units of 1,024 ms */
} tide_index_entry_t;

typedef struct {
    uint64_t seq;
    tide_index_entry_t entry; /* topic 0: taken out */
} tide_aside_item_t;

/*  Zero-initialise it; free with tide_aside_free. */
typedef struct {
    tide_aside_item_t *items;
    size_t count, capacity;
    size_t holes; /* items that were taken out */
    uint64_t *forgotten;
    size_t forgotten_count, forgotten_capacity;
} tide_aside_t;

void tide_aside_free (tide_aside_t *self);

/*  Behind all others. The entry is valid until anything is added or taken out. */
tide_index_entry_t *tide_aside_add (tide_aside_t *self, uint64_t seq,
                                    const tide_index_entry_t *entry);
tide_index_entry_t *tide_aside_find (const tide_aside_t *self, uint64_t seq);
/*  The place of the first item above seq: 0 … count. */
size_t tide_aside_above (const tide_aside_t *self, uint64_t seq);
/*  Takes it out, to be forgotten by the log. It must be there. */
void tide_aside_remove (tide_aside_t *self, uint64_t seq);

/*  To be forgotten by the log, though it never was among the items. */
void tide_aside_forget (tide_aside_t *self, uint64_t seq);
/*  The log has forgotten the first count. */
void tide_aside_forgot (tide_aside_t *self, size_t count);

#endif
