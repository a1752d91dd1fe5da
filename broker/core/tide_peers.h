/*  tide_peers.h - who has said hello, by routing id, in the order in which they were heard, and by
 *  the lease that they hold.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PEERS_H
#define TIDE_PEERS_H

#include "tide_who.h"
#include "tide_wire.h"

typedef struct {
    uint8_t *id; /* routing id; NULL: free */
    size_t id_size;
    tide_who_t who;
    uint64_t heard_ms;
    uint64_t relayed, taken; /* bytes relayed to it since its HELLO; those that it says have come */
    uint32_t lease;          /* handle in tide_leases, 0: none; set by tide_peers_hold */
    uint32_t hash;
    uint32_t newer, older;   /* in the order of heard_ms; newer also links the free ones */
    uint32_t later, earlier; /* of those with the same lease, by when they said so */
} tide_peer_t;

typedef struct tide_peers tide_peers_t;

tide_peers_t *tide_peers_new (const uint64_t hash_seed[2], uint32_t max);
void tide_peers_destroy (tide_peers_t **self_p);

/*  The peer's entry, valid until one is added, or NULL. */
tide_peer_t *tide_peers_find (const tide_peers_t *self, tide_bytes_t id);
/*  Adds one that is not there; NULL if there are too many. */
tide_peer_t *tide_peers_add (tide_peers_t *self, uint64_t now_ms, tide_bytes_t id);
/*  It was heard of now. */
void tide_peers_heard (tide_peers_t *self, uint64_t now_ms, tide_peer_t *peer);
void tide_peers_remove (tide_peers_t *self, tide_peer_t *peer);
/*  The one that was silent for longest, or NULL. */
tide_peer_t *tide_peers_oldest (const tide_peers_t *self);
uint32_t tide_peers_count (const tide_peers_t *self);

/*  It says that it holds this lease (0: none), and no other. Of several that say so of one lease,
 *  the last one is its holder; if that one goes, the one before it is again. */
void tide_peers_hold (tide_peers_t *self, tide_peer_t *peer, uint32_t lease);
/*  The lease's holder, valid as tide_peers_find's; NULL if there is none. */
tide_peer_t *tide_peers_holder (const tide_peers_t *self, uint32_t lease);
/*  The holders of all leases, one by one, in no order: begin with *at 0; NULL at the end. */
tide_peer_t *tide_peers_next_holder (const tide_peers_t *self, uint32_t *at);

#endif
