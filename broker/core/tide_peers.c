/*  tide_peers.c - who has said hello.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_peers.h"

#include "tide_alloc.h"
#include "tide_hash.h"
#include "tide_table.h"

#include <stdlib.h>

struct tide_peers {
    uint64_t hash_seed[2];
    tide_peer_t *entries; /* handles from 1 */
    uint32_t used, capacity, free, max;
    uint32_t newest, oldest;
    tide_table_t by_id;
    tide_table_t by_lease; /* the holder of each lease */
};

tide_peers_t *tide_peers_new (const uint64_t hash_seed[2], uint32_t max)
{
    tide_peers_t *self = tide_alloc (sizeof *self);
    self->hash_seed[0] = hash_seed[0];
    self->hash_seed[1] = hash_seed[1];
    self->max = max;
    self->capacity = 16;
    self->entries = tide_alloc (self->capacity * sizeof *self->entries);
    self->used = 1;
    return self;
}

void tide_peers_destroy (tide_peers_t **self_p)
{
    tide_peers_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (uint32_t at = 1; at < self->used; at++)
        free (self->entries[at].id);
    free (self->entries);
    tide_table_free (&self->by_id);
    tide_table_free (&self->by_lease);
    free (self);
}

tide_peer_t *tide_peers_find (const tide_peers_t *self, tide_bytes_t id)
{
    uint32_t at;
    uint32_t hash = tide_hash (self->hash_seed, id);
    for (uint32_t handle = tide_table_first (&self->by_id, hash, &at); handle;
         handle = tide_table_next (&self->by_id, hash, &at)) {
        tide_peer_t *peer = &self->entries[handle];
        if (tide_bytes_equal ((tide_bytes_t){peer->id, peer->id_size}, id))
            return peer;
    }
    return NULL;
}

static uint32_t handle_of (const tide_peers_t *self, const tide_peer_t *peer)
{
    return (uint32_t) (peer - self->entries);
}

static void leave_order (tide_peers_t *self, tide_peer_t *peer)
{
    if (peer->newer)
        self->entries[peer->newer].older = peer->older;
    else
        self->newest = peer->older;
    if (peer->older)
        self->entries[peer->older].newer = peer->newer;
    else
        self->oldest = peer->newer;
}

static void join_order (tide_peers_t *self, tide_peer_t *peer)
{
    uint32_t handle = handle_of (self, peer);
    peer->newer = 0;
    peer->older = self->newest;
    if (self->newest)
        self->entries[self->newest].newer = handle;
    else
        self->oldest = handle;
    self->newest = handle;
}

tide_peer_t *tide_peers_add (tide_peers_t *self, uint64_t now_ms, tide_bytes_t id)
{
    if (self->by_id.count >= self->max)
        return NULL;
    uint32_t handle = self->free;
    if (handle)
        self->free = self->entries[handle].newer;
    else {
        if (self->used == self->capacity) {
            self->capacity *= 2;
            self->entries = tide_realloc (self->entries, self->capacity * sizeof *self->entries);
        }
        handle = self->used++;
    }
    tide_peer_t *peer = &self->entries[handle];
    *peer = (tide_peer_t){.id = (uint8_t *) tide_copy (id.data, id.size),
                          .id_size = id.size,
                          .heard_ms = now_ms,
                          .hash = tide_hash (self->hash_seed, id)};
    tide_table_insert (&self->by_id, peer->hash, handle);
    join_order (self, peer);
    return peer;
}

void tide_peers_heard (tide_peers_t *self, uint64_t now_ms, tide_peer_t *peer)
{
    peer->heard_ms = now_ms;
    leave_order (self, peer);
    join_order (self, peer);
}

void tide_peers_remove (tide_peers_t *self, tide_peer_t *peer)
{
    uint32_t handle = handle_of (self, peer);
    tide_peers_hold (self, peer, 0);
    tide_table_remove (&self->by_id, peer->hash, handle);
    leave_order (self, peer);
    free (peer->id);
    *peer = (tide_peer_t){.newer = self->free};
    self->free = handle;
}

tide_peer_t *tide_peers_oldest (const tide_peers_t *self)
{
    return self->oldest ? &self->entries[self->oldest] : NULL;
}

uint32_t tide_peers_count (const tide_peers_t *self)
{
    return self->by_id.count;
}

/*  -- leases ---------------------------------------------------------------------------------- */

/*  A lease's handle is a small number: spread it. */
static uint32_t hash_of (uint32_t lease)
{
    return lease * 0x9e3779b1u;
}

static void release (tide_peers_t *self, tide_peer_t *peer)
{
    if (peer->earlier)
        self->entries[peer->earlier].later = peer->later;
    if (peer->later)
        self->entries[peer->later].earlier = peer->earlier;
    else {
        tide_table_remove (&self->by_lease, hash_of (peer->lease), handle_of (self, peer));
        if (peer->earlier)
            tide_table_insert (&self->by_lease, hash_of (peer->lease), peer->earlier);
    }
    peer->lease = peer->later = peer->earlier = 0;
}

void tide_peers_hold (tide_peers_t *self, tide_peer_t *peer, uint32_t lease)
{
    if (peer->lease)
        release (self, peer);
    if (!lease)
        return;
    uint32_t handle = handle_of (self, peer);
    tide_peer_t *before = tide_peers_holder (self, lease);
    if (before) {
        peer->earlier = handle_of (self, before);
        before->later = handle;
        tide_table_remove (&self->by_lease, hash_of (lease), peer->earlier);
    }
    peer->lease = lease;
    tide_table_insert (&self->by_lease, hash_of (lease), handle);
}

tide_peer_t *tide_peers_holder (const tide_peers_t *self, uint32_t lease)
{
    uint32_t at;
    uint32_t hash = hash_of (lease);
    for (uint32_t handle = tide_table_first (&self->by_lease, hash, &at); handle;
         handle = tide_table_next (&self->by_lease, hash, &at))
        if (self->entries[handle].lease == lease)
            return &self->entries[handle];
    return NULL;
}

tide_peer_t *tide_peers_next_holder (const tide_peers_t *self, uint32_t *at)
{
    const tide_table_t *table = &self->by_lease;
    while (table->slots && *at <= table->mask) {
        uint32_t handle = table->slots[(*at)++].handle;
        if (handle)
            return &self->entries[handle];
    }
    return NULL;
}
