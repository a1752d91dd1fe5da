/*  tide_leases.c - who holds what until when.
 *
 *  Two kinds of time: leases are few, and looked at one by one, but no sooner than the earliest of
 *  them can be over; keys may be many, and those that linger lie in a heap by the time at which
 *  they are due.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_leases.h"

#include "tide_alloc.h"
#include "tide_due.h"
#include "tide_hash.h"
#include "tide_limits.h"
#include "tide_table.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *text; /* NULL: free */
    uint32_t hash, refs;
    uint32_t next_free;
    uint8_t size;
    /*  Of leases only: */
    bool is_over;
    uint64_t renewed_ms;
    uint64_t over_ms;
    uint32_t first; /* of the records that name it */
} name_t;

/*  Texts that many share, by handle. */
typedef struct {
    name_t *entries;
    uint32_t used, capacity, free;
    tide_table_t by_text;
} names_t;

typedef enum { FREE, HELD, LINGERING, REMOVING } state_t;

typedef struct {
    uint64_t seq;
    uint8_t *from; /* behind its size; NULL: nobody. Seldom that of another key: not shared */
    uint32_t key, lease, name;
    uint32_t linger_ms;
    uint32_t next, previous; /* of the same lease; next also links the free ones */
    uint8_t state;
    bool owns_topic, is_released;
    bool tells_end, is_told;
} record_t;

struct tide_leases {
    uint64_t hash_seed[2];
    names_t leases, names;
    record_t *records;
    uint32_t used, capacity, free;
    uint32_t *by_key; /* the record of a key, 0 for none */
    uint32_t key_capacity;
    tide_due_t due;    /* records that linger */
    uint64_t check_ms; /* no lease can be over before */
    uint64_t held, ended;
};

/*  -- names ----------------------------------------------------------------------------------- */

static void names_init (names_t *self)
{
    self->capacity = 16;
    self->entries = tide_alloc (self->capacity * sizeof *self->entries);
    self->used = 1;
}

static void names_free (names_t *self)
{
    for (uint32_t at = 1; at < self->used; at++)
        free (self->entries[at].text);
    free (self->entries);
    tide_table_free (&self->by_text);
}

static tide_bytes_t names_text (const names_t *self, uint32_t handle)
{
    return (tide_bytes_t){self->entries[handle].text, self->entries[handle].size};
}

/*  The text's handle, or 0. */
static uint32_t names_find (const names_t *self, uint32_t hash, tide_bytes_t text)
{
    uint32_t at;
    for (uint32_t handle = tide_table_first (&self->by_text, hash, &at); handle;
         handle = tide_table_next (&self->by_text, hash, &at))
        if (tide_bytes_equal (names_text (self, handle), text))
            return handle;
    return 0;
}

/*  The text's handle, with one more reference. *is_new: it had none. */
static uint32_t names_take (names_t *self, const uint64_t seed[2], tide_bytes_t text, bool *is_new)
{
    uint32_t hash = tide_hash (seed, text);
    uint32_t handle = names_find (self, hash, text);
    *is_new = handle == 0;
    if (handle) {
        self->entries[handle].refs++;
        return handle;
    }
    handle = self->free;
    if (handle)
        self->free = self->entries[handle].next_free;
    else {
        if (self->used == self->capacity) {
            self->capacity *= 2;
            self->entries = tide_realloc (self->entries, self->capacity * sizeof *self->entries);
        }
        handle = self->used++;
    }
    self->entries[handle] = (name_t){.text = (uint8_t *) tide_copy (text.data, text.size),
                                     .size = (uint8_t) text.size,
                                     .hash = hash,
                                     .refs = 1};
    tide_table_insert (&self->by_text, hash, handle);
    return handle;
}

static void names_let (names_t *self, uint32_t handle)
{
    name_t *entry = &self->entries[handle];
    if (--entry->refs > 0)
        return;
    tide_table_remove (&self->by_text, entry->hash, handle);
    free (entry->text);
    *entry = (name_t){.next_free = self->free};
    self->free = handle;
}

/*  The record goes into another state; LINGERING means being due at some time. */
static void become (tide_leases_t *self, uint32_t at, state_t state, uint64_t due_ms)
{
    self->records[at].state = (uint8_t) state;
    if (state == LINGERING)
        tide_due_set (&self->due, at, due_ms);
    else
        tide_due_clear (&self->due, at);
}

/*  -- leases ---------------------------------------------------------------------------------- */

tide_leases_t *tide_leases_new (const uint64_t hash_seed[2])
{
    tide_leases_t *self = tide_alloc (sizeof *self);
    self->hash_seed[0] = hash_seed[0];
    self->hash_seed[1] = hash_seed[1];
    names_init (&self->leases);
    names_init (&self->names);
    self->capacity = 64;
    self->records = tide_alloc (self->capacity * sizeof *self->records);
    self->used = 1;
    self->check_ms = UINT64_MAX;
    return self;
}

void tide_leases_destroy (tide_leases_t **self_p)
{
    tide_leases_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    names_free (&self->leases);
    names_free (&self->names);
    for (uint32_t at = 1; at < self->used; at++)
        free (self->records[at].from);
    free (self->records);
    free (self->by_key);
    tide_due_free (&self->due);
    free (self);
}

static void check_by (tide_leases_t *self, uint64_t ms)
{
    if (self->check_ms > ms)
        self->check_ms = ms;
}

static uint32_t take_lease (tide_leases_t *self, uint64_t now_ms, tide_bytes_t lease)
{
    bool is_new;
    uint32_t handle = names_take (&self->leases, self->hash_seed, lease, &is_new);
    if (is_new) {
        self->leases.entries[handle].renewed_ms = now_ms;
        check_by (self, now_ms + TIDE_LEASE_MS);
    }
    return handle;
}

uint32_t tide_leases_open (tide_leases_t *self, uint64_t now_ms, tide_bytes_t lease)
{
    uint32_t handle = take_lease (self, now_ms, lease);
    tide_leases_renew (self, now_ms, handle);
    return handle;
}

void tide_leases_close (tide_leases_t *self, uint32_t lease)
{
    names_let (&self->leases, lease);
}

uint32_t tide_leases_find (const tide_leases_t *self, tide_bytes_t lease)
{
    return names_find (&self->leases, tide_hash (self->hash_seed, lease), lease);
}

tide_bytes_t tide_leases_name (const tide_leases_t *self, uint32_t lease)
{
    return names_text (&self->leases, lease);
}

void tide_leases_renew (tide_leases_t *self, uint64_t now_ms, uint32_t handle)
{
    name_t *lease = &self->leases.entries[handle];
    lease->renewed_ms = now_ms;
    if (!lease->is_over)
        return;
    lease->is_over = false;
    check_by (self, now_ms + TIDE_LEASE_MS);
    for (uint32_t at = lease->first; at; at = self->records[at].next)
        if (self->records[at].state == LINGERING && !self->records[at].is_released)
            become (self, at, HELD, 0);
}

/*  Its holder is gone, and that was not told yet. */
static bool is_bereft (const record_t *record)
{
    return record->tells_end && !record->is_told && !record->is_released;
}

static void end_lease (tide_leases_t *self, uint64_t over_ms, name_t *lease)
{
    if (lease->is_over)
        return;
    lease->is_over = true;
    lease->over_ms = over_ms;
    self->ended++;
    for (uint32_t at = lease->first; at; at = self->records[at].next)
        if (self->records[at].state == HELD)
            become (self, at, LINGERING,
                    over_ms + (is_bereft (&self->records[at]) ? 0 : self->records[at].linger_ms));
}

void tide_leases_end (tide_leases_t *self, uint64_t now_ms, uint32_t lease)
{
    end_lease (self, now_ms, &self->leases.entries[lease]);
}

void tide_leases_start (tide_leases_t *self, uint64_t now_ms)
{
    for (uint32_t at = 1; at < self->leases.used; at++)
        self->leases.entries[at].renewed_ms = now_ms;
    if (self->leases.by_text.count > 0)
        check_by (self, now_ms + TIDE_LEASE_MS);
}

/*  Ends what was silent for too long, and finds out when to look again. */
static void check_leases (tide_leases_t *self, uint64_t now_ms)
{
    self->check_ms = UINT64_MAX;
    for (uint32_t at = 1; at < self->leases.used; at++) {
        name_t *lease = &self->leases.entries[at];
        if (!lease->text || lease->is_over)
            continue;
        uint64_t over_ms = lease->renewed_ms + TIDE_LEASE_MS;
        if (over_ms <= now_ms)
            end_lease (self, over_ms, lease);
        else
            check_by (self, over_ms);
    }
}

/*  -- keys ------------------------------------------------------------------------------------ */

static uint32_t record_of (const tide_leases_t *self, uint32_t key)
{
    return key < self->key_capacity ? self->by_key[key] : 0;
}

static uint32_t new_record (tide_leases_t *self, uint32_t key)
{
    if (key >= self->key_capacity) {
        uint32_t capacity = self->key_capacity > 0 ? self->key_capacity : 64;
        while (capacity <= key)
            capacity *= 2;
        self->by_key = tide_realloc (self->by_key, capacity * sizeof *self->by_key);
        for (uint32_t at = self->key_capacity; at < capacity; at++)
            self->by_key[at] = 0;
        self->key_capacity = capacity;
    }
    uint32_t at = self->free;
    if (at)
        self->free = self->records[at].next;
    else {
        if (self->used == self->capacity) {
            self->capacity *= 2;
            self->records = tide_realloc (self->records, self->capacity * sizeof *self->records);
        }
        at = self->used++;
    }
    self->by_key[key] = at;
    self->held++;
    return at;
}

static uint8_t *copy_from (tide_bytes_t from)
{
    tide_assert (from.size <= TIDE_NAME_SIZE_MAX);
    if (from.size == 0)
        return NULL;
    uint8_t *copy = tide_alloc (1 + from.size);
    copy[0] = (uint8_t) from.size;
    memcpy (copy + 1, from.data, from.size);
    return copy;
}

static tide_bytes_t from_of (const record_t *record)
{
    return record->from ? (tide_bytes_t){record->from + 1, record->from[0]} : (tide_bytes_t){0};
}

void tide_leases_stand (tide_leases_t *self, uint64_t now_ms, const tide_leases_held_t *held)
{
    bool is_new;
    /*  Taken before the old ones are let go, which may be the same. */
    uint32_t lease_at = take_lease (self, now_ms, held->lease);
    uint32_t name_at = names_take (&self->names, self->hash_seed, held->name, &is_new);
    uint8_t *from = copy_from (held->from);
    tide_leases_forget (self, held->key);
    uint32_t at = new_record (self, held->key);
    name_t *lease = &self->leases.entries[lease_at];
    self->records[at] = (record_t){.seq = held->seq,
                                   .from = from,
                                   .key = held->key,
                                   .lease = lease_at,
                                   .name = name_at,
                                   .linger_ms = held->linger_ms,
                                   .owns_topic = held->owns_topic,
                                   .tells_end = held->tells_end,
                                   .is_told = held->is_told,
                                   .next = lease->first,
                                   .state = HELD};
    if (lease->first)
        self->records[lease->first].previous = at;
    lease->first = at;
    /*  Published in time, but durable after its lease was over: it gets a period of its own. */
    if (lease->is_over)
        become (self, at, LINGERING, now_ms + TIDE_LEASE_MS + held->linger_ms);
}

void tide_leases_forget (tide_leases_t *self, uint32_t key)
{
    uint32_t at = record_of (self, key);
    if (!at)
        return;
    record_t *record = &self->records[at];
    tide_due_clear (&self->due, at);
    if (record->previous)
        self->records[record->previous].next = record->next;
    else
        self->leases.entries[record->lease].first = record->next;
    if (record->next)
        self->records[record->next].previous = record->previous;
    names_let (&self->leases, record->lease);
    names_let (&self->names, record->name);
    free (record->from);
    *record = (record_t){.next = self->free, .state = FREE};
    self->free = at;
    self->by_key[key] = 0;
    self->held--;
}

bool tide_leases_release (tide_leases_t *self, uint64_t now_ms, uint32_t key, uint64_t seq)
{
    uint32_t at = record_of (self, key);
    if (!at || self->records[at].seq != seq)
        return false;
    record_t *record = &self->records[at];
    if (record->is_released || record->state == REMOVING)
        return true;
    bool was_bereft = record->state == LINGERING && is_bereft (record);
    record->is_released = true;
    if (record->state == HELD || was_bereft)
        become (self, at, LINGERING, now_ms + record->linger_ms);
    return true;
}

bool tide_leases_due (tide_leases_t *self, uint64_t now_ms, tide_leases_held_t *held)
{
    if (self->check_ms <= now_ms)
        check_leases (self, now_ms);
    uint32_t at;
    if (!tide_due_first (&self->due, now_ms, &at))
        return false;
    const record_t *record = &self->records[at];
    *held = (tide_leases_held_t){.key = record->key,
                                 .seq = record->seq,
                                 .lease = names_text (&self->leases, record->lease),
                                 .name = names_text (&self->names, record->name),
                                 .from = from_of (record),
                                 .linger_ms = record->linger_ms,
                                 .owns_topic = record->owns_topic,
                                 .tells_end = record->tells_end,
                                 .is_bereft = is_bereft (record)};
    return true;
}

void tide_leases_told (tide_leases_t *self, uint64_t now_ms, uint32_t key)
{
    uint32_t at = record_of (self, key);
    if (!at)
        return;
    self->records[at].is_told = true;
    become (self, at, LINGERING, now_ms + self->records[at].linger_ms);
}

void tide_leases_postpone (tide_leases_t *self, uint32_t key, uint64_t due_ms)
{
    uint32_t at = record_of (self, key);
    if (at)
        become (self, at, LINGERING, due_ms);
}

void tide_leases_remove (tide_leases_t *self, uint32_t key)
{
    uint32_t at = record_of (self, key);
    if (at)
        become (self, at, REMOVING, 0);
}

void tide_leases_undo (tide_leases_t *self, uint64_t due_ms)
{
    for (uint32_t at = 1; at < self->used; at++) {
        const record_t *record = &self->records[at];
        if (record->state != REMOVING)
            continue;
        /*  It went with the topic's owner: its own holder may be alive. */
        bool is_held = !record->is_released && !self->leases.entries[record->lease].is_over;
        become (self, at, is_held ? HELD : LINGERING, due_ms);
    }
}

uint64_t tide_leases_deadline_ms (const tide_leases_t *self)
{
    uint64_t due_ms = tide_due_first_ms (&self->due);
    return due_ms < self->check_ms ? due_ms : self->check_ms;
}

tide_leases_counts_t tide_leases_counts (const tide_leases_t *self)
{
    return (tide_leases_counts_t){.leases = self->leases.by_text.count,
                                  .held = self->held,
                                  .lingering = self->due.count,
                                  .ended = self->ended};
}
