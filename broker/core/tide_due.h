/*  tide_due.h - what falls due when: handles in a heap by their time.
 *
 *  A handle is its user's (a place in some array, small and dense) and has one time at most.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DUE_H
#define TIDE_DUE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t due_ms;
    uint32_t handle;
} tide_due_item_t;

/*  Zero-initialise it; free with tide_due_free. */
typedef struct {
    tide_due_item_t *heap;
    uint32_t count, capacity;
    uint32_t *places; /* by handle: its place in the heap, from 1; 0: none */
    uint32_t place_capacity;
} tide_due_t;

void tide_due_free (tide_due_t *self);

/*  The handle falls due then, and no more when it did before. */
void tide_due_set (tide_due_t *self, uint32_t handle, uint64_t due_ms);
/*  It never does; nothing happens if it had no time. */
void tide_due_clear (tide_due_t *self, uint32_t handle);

/*  When the first one falls due; UINT64_MAX: none does. */
static inline uint64_t tide_due_first_ms (const tide_due_t *self)
{
    return self->count > 0 ? self->heap[0].due_ms : UINT64_MAX;
}

/*  The first one, if its time has come: it stays until it is set anew or cleared. */
static inline bool tide_due_first (const tide_due_t *self, uint64_t now_ms, uint32_t *handle)
{
    if (self->count == 0 || self->heap[0].due_ms > now_ms)
        return false;
    *handle = self->heap[0].handle;
    return true;
}

#endif
