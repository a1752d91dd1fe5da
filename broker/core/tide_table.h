/*  tide_table.h - a hash table of handles: open addressing, eight bytes a slot.
 *
 *  What a handle stands for (a place in somebody's array, from 1) and when two are equal is the
 *  user's; the table keeps handles by hash. Several handles may have one hash:
 *
 *      for (handle = tide_table_first (&table, hash, &at); handle;
 *           handle = tide_table_next (&table, hash, &at))
 *          if (same (handle, wanted))
 *              return handle;
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_TABLE_H
#define TIDE_TABLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t hash;
    uint32_t handle; /* 0: nothing here */
} tide_slot_t;

/*  Zero-initialise it; free with tide_table_free. */
typedef struct {
    tide_slot_t *slots;
    uint32_t mask;
    uint32_t count;
} tide_table_t;

void tide_table_insert (tide_table_t *self, uint32_t hash, uint32_t handle);
/*  Removes it; it must be there. Nothing is left behind that would slow later searches. */
void tide_table_remove (tide_table_t *self, uint32_t hash, uint32_t handle);
/*  Empties it, keeping its memory. */
void tide_table_clear (tide_table_t *self);
void tide_table_free (tide_table_t *self);

static inline uint32_t tide_table_next (const tide_table_t *self, uint32_t hash, uint32_t *at)
{
    if (self->count == 0)
        return 0;
    for (;;) {
        *at = (*at + 1) & self->mask;
        const tide_slot_t *slot = &self->slots[*at];
        if (slot->handle == 0 || slot->hash == hash)
            return slot->handle;
    }
}

static inline uint32_t tide_table_first (const tide_table_t *self, uint32_t hash, uint32_t *at)
{
    *at = hash - 1;
    return tide_table_next (self, hash, at);
}

#endif
