/*  tide_peers.h - who has said hello, by routing id, in the order in which they were heard.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PEERS_H
#define TIDE_PEERS_H

#include "tide_wire.h"

typedef struct {
    uint8_t *id; /* routing id; NULL: free */
    size_t id_size;
    uint64_t heard_ms;
    uint32_t lease; /* handle in tide_leases, 0: none */
    uint32_t hash;
    uint32_t newer, older; /* in the order of heard_ms; newer also links the free ones */
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

#endif
