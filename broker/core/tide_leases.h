/*  tide_leases.h - who holds what until when; the only place that expires.
 *
 *  A keyed event may name a lease. The lease is renewed by whatever its holder sends, without a
 *  write, and is over when the holder leaves or was silent for TIDE_LEASE_MS. Each key that names
 *  it falls due linger_ms later; the broker then appends the removal. A new event on the key ends
 *  all that; a holder that speaks again before a key fell due keeps it.
 *
 *              stand                 over, or released            due
 *      (none) ───────► HELD ─────────────────────────► LINGERING ───────► REMOVING ──► (none)
 *                        ◄──────────────────────────────  ◄───────────────
 *                          renewed, not if released          not appended
 *
 *  Keys are the index's handles. After a start each lease gets one full period. A tick looks at
 *  what is due and at nothing else.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LEASES_H
#define TIDE_LEASES_H

#include "tide_wire.h"

typedef struct tide_leases tide_leases_t;

tide_leases_t *tide_leases_new (const uint64_t hash_seed[2]);
void tide_leases_destroy (tide_leases_t **self_p);

typedef struct {
    uint32_t key; /* the index's handle */
    uint64_t seq; /* that stands there */
    tide_bytes_t lease;
    tide_bytes_t name; /* the event's: its removal has the same … */
    tide_bytes_t from; /* … and the same origin */
    uint32_t linger_ms;
    bool owns_topic;
    bool tells_end; /* whoever watches is told when its lease is over, before linger_ms begins */
    bool is_told;   /* … which was done already */
    bool is_bereft; /* told by tide_leases_due: that is so now, and the key is not due yet */
} tide_leases_held_t;

/*  An event stands that names a lease; what was known of the key is void. */
void tide_leases_stand (tide_leases_t *self, uint64_t now_ms, const tide_leases_held_t *held);
/*  The key was removed, or stands without a lease. */
void tide_leases_forget (tide_leases_t *self, uint32_t key);

/*  A holder says which lease is its own: renews it. Returns its handle, to be closed. */
uint32_t tide_leases_open (tide_leases_t *self, uint64_t now_ms, tide_bytes_t lease);
void tide_leases_close (tide_leases_t *self, uint32_t lease);
/*  The lease's handle, if a peer holds it or a key names it; otherwise 0. */
uint32_t tide_leases_find (const tide_leases_t *self, tide_bytes_t lease);
/*  The name of a lease that is open; valid until it is closed. */
tide_bytes_t tide_leases_name (const tide_leases_t *self, uint32_t lease);
void tide_leases_renew (tide_leases_t *self, uint64_t now_ms, uint32_t lease);
/*  The lease is over at once. */
void tide_leases_end (tide_leases_t *self, uint64_t now_ms, uint32_t lease);
/*  The key's holder is gone, though its lease is not: linger_ms begins now. False if something
 *  else stands there, or nothing with a lease. */
bool tide_leases_release (tide_leases_t *self, uint64_t now_ms, uint32_t key, uint64_t seq);

/*  All is loaded: each lease gets one full period. */
void tide_leases_start (tide_leases_t *self, uint64_t now_ms);

/*  Ends leases that were silent, then tells the key that is due first; false if none is. It stays
 *  due until it was postponed or is being removed. Spans are valid until the next call. */
bool tide_leases_due (tide_leases_t *self, uint64_t now_ms, tide_leases_held_t *held);
/*  Whoever watches was told of a key that is bereft: linger_ms begins. */
void tide_leases_told (tide_leases_t *self, uint64_t now_ms, uint32_t key);
void tide_leases_postpone (tide_leases_t *self, uint32_t key, uint64_t due_ms);
/*  The key's removal is with the log: forgotten when that is durable, due again if it was not. */
void tide_leases_remove (tide_leases_t *self, uint32_t key);
void tide_leases_undo (tide_leases_t *self, uint64_t due_ms);

/*  When something may be due; UINT64_MAX: never. */
uint64_t tide_leases_deadline_ms (const tide_leases_t *self);

typedef struct {
    uint64_t leases, held, lingering, ended; /* ended: leases, since start */
} tide_leases_counts_t;
tide_leases_counts_t tide_leases_counts (const tide_leases_t *self);

#endif
