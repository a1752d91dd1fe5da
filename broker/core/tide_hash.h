/*  tide_hash.h - a quick seeded hash for the tables of names.
 *
 *  Folded multiplication over 16 bytes a step. The seed is the broker's secret, so that strangers
 *  cannot choose names that collide. Not for anything that must be collision-free: event ids have
 *  a hash of their own (tide_ids.h).
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HASH_H
#define TIDE_HASH_H

#include "tide_wire.h"

#include <string.h>

static inline uint64_t tide_hash_fold (uint64_t one, uint64_t other)
{
    unsigned __int128 product = (unsigned __int128) one * other;
    return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static inline uint64_t tide_hash_load (const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    memcpy (&value, at, size);
    return value;
}

static inline uint32_t tide_hash (const uint64_t seed[2], tide_bytes_t bytes)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    uint64_t hash = seed[0] ^ 0x9e3779b97f4a7c15u;
    uint64_t key = seed[1] ^ 0xe7037ed1a0b428dbu;
    while (left >= 16) {
        hash = tide_hash_fold (tide_hash_load (at, 8) ^ key, tide_hash_load (at + 8, 8) ^ hash);
        at += 16;
        left -= 16;
    }
    uint64_t first = 0, second = 0;
    if (left >= 8) {
        first = tide_hash_load (at, 8);
        second = tide_hash_load (at + left - 8, 8);
    }
    else if (left > 0)
        first = tide_hash_load (at, left);
    hash = tide_hash_fold (first ^ key, second ^ hash ^ 0x8ebc6af09c88c6e3u);
    hash = tide_hash_fold (hash ^ bytes.size, key | 1);
    return (uint32_t) (hash ^ hash >> 32);
}

#endif
