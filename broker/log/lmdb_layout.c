/*  lmdb_layout.c - how a log lies in an LMDB environment.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_layout.h"

#include "tide_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { SEAL_SIZE = 4, SEGMENT_SIZE = 12, LOST_PREFIX = 't', LOST_KEY_MAX = 256 };

int tide_layout_create (MDB_env **env)
{
    int rc = mdb_env_create (env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs (*env, TIDE_LAYOUT_SLOTS_MAX + 3);
    return rc;
}

int tide_layout_open (tide_layout_t *self, MDB_txn *txn, bool create, unsigned slots)
{
    unsigned flags = create ? MDB_CREATE : 0;
    char name[16];
    self->slot_count = 0;
    int rc = mdb_dbi_open (txn, "meta", flags, &self->meta);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "kept", flags, &self->kept);
    if (rc == 0)
        rc = mdb_dbi_open (txn, "lost", flags, &self->lost);
    while (rc == 0 && self->slot_count < TIDE_LAYOUT_SLOTS_MAX) {
        snprintf (name, sizeof name, "seg-%03u", self->slot_count);
        rc = mdb_dbi_open (txn, name, self->slot_count < slots ? flags : 0,
                           &self->slots[self->slot_count]);
        if (rc == MDB_NOTFOUND)
            return 0;
        if (rc == 0)
            self->slot_count++;
    }
    return rc;
}

/*  -- meta ------------------------------------------------------------------------------------ */

static int get_meta (const tide_layout_t *self, MDB_txn *txn, const char *name, MDB_val *value)
{
    MDB_val key = {strlen (name), (void *) name};
    return mdb_get (txn, self->meta, &key, value);
}

static int put_meta (const tide_layout_t *self, MDB_txn *txn, const char *name, void *data,
                     size_t size)
{
    MDB_val key = {strlen (name), (void *) name}, value = {size, data};
    return mdb_put (txn, self->meta, &key, &value, 0);
}

int tide_layout_get_number (const tide_layout_t *self, MDB_txn *txn, const char *name,
                            uint64_t *number)
{
    MDB_val value;
    int rc = get_meta (self, txn, name, &value);
    if (rc == 0 && value.mv_size != sizeof *number)
        rc = MDB_CORRUPTED;
    if (rc == 0)
        *number = tide_load_u64 (value.mv_data);
    return rc;
}

int tide_layout_put_number (const tide_layout_t *self, MDB_txn *txn, const char *name,
                            uint64_t number)
{
    uint8_t bytes[sizeof number];
    tide_store_u64 (bytes, number);
    return put_meta (self, txn, name, bytes, sizeof bytes);
}

int tide_layout_get_text (const tide_layout_t *self, MDB_txn *txn, const char *name, char *text,
                          size_t size)
{
    MDB_val value;
    int rc = get_meta (self, txn, name, &value);
    if (rc == 0)
        snprintf (text, size, "%.*s", (int) value.mv_size, (const char *) value.mv_data);
    return rc;
}

int tide_layout_put_text (const tide_layout_t *self, MDB_txn *txn, const char *name,
                          const char *text)
{
    return put_meta (self, txn, name, (void *) text, strlen (text));
}

/*  -- table of segments ----------------------------------------------------------------------- */

void tide_layout_table_init (tide_layout_table_t *table, const tide_layout_t *self)
{
    table->at = tide_alloc (self->slot_count * sizeof *table->at);
    table->count = 0;
}

void tide_layout_table_copy (tide_layout_table_t *to, const tide_layout_table_t *from)
{
    if (from->count > 0)
        memcpy (to->at, from->at, from->count * sizeof *to->at);
    to->count = from->count;
}

void tide_layout_table_free (tide_layout_table_t *table)
{
    free (table->at);
    *table = (tide_layout_table_t){0};
}

int tide_layout_get_table (const tide_layout_t *self, MDB_txn *txn, tide_layout_table_t *table)
{
    MDB_val value;
    int rc = get_meta (self, txn, "segments", &value);
    if (rc != 0)
        return rc;
    size_t count = value.mv_size / SEGMENT_SIZE;
    if (value.mv_size % SEGMENT_SIZE != 0 || count > self->slot_count)
        return MDB_CORRUPTED;
    const uint8_t *at = value.mv_data;
    for (size_t each = 0; each < count; each++, at += SEGMENT_SIZE) {
        tide_layout_segment_t *segment = &table->at[each];
        *segment = (tide_layout_segment_t){tide_load_u64 (at), tide_load_u32 (at + 8)};
        if (segment->slot >= self->slot_count || segment->first == 0
            || (each > 0 && segment->first <= table->at[each - 1].first))
            return MDB_CORRUPTED;
    }
    table->count = (unsigned) count;
    return 0;
}

int tide_layout_put_table (const tide_layout_t *self, MDB_txn *txn,
                           const tide_layout_table_t *table)
{
    size_t size = table->count * (size_t) SEGMENT_SIZE;
    uint8_t *bytes = tide_alloc (size);
    for (unsigned each = 0; each < table->count; each++) {
        tide_store_u64 (bytes + each * (size_t) SEGMENT_SIZE, table->at[each].first);
        tide_store_u32 (bytes + each * (size_t) SEGMENT_SIZE + 8, table->at[each].slot);
    }
    int rc = put_meta (self, txn, "segments", bytes, size);
    free (bytes);
    return rc;
}

unsigned tide_layout_table_find (const tide_layout_table_t *table, uint64_t seq)
{
    for (unsigned each = table->count; each > 0; each--) {
        if (table->at[each - 1].first <= seq)
            return each - 1;
    }
    return table->count;
}

int tide_layout_last (const tide_layout_t *self, MDB_txn *txn, const tide_layout_table_t *table,
                      uint64_t *last)
{
    if (table->count == 0)
        return tide_layout_get_number (self, txn, "last", last);
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open (txn, self->slots[table->at[table->count - 1].slot], &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get (cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size == sizeof *last)
        *last = tide_load_u64 (key.mv_data);
    else if (rc == 0 || rc == MDB_NOTFOUND)
        rc = MDB_CORRUPTED;
    mdb_cursor_close (cursor);
    return rc;
}

/*  -- records --------------------------------------------------------------------------------- */

/*  Beginning with the sequence costs nothing and gives each place its own seal: the CRC is a
 *  bijection of what it begins with. */
static uint32_t seal (uint64_t seq, const uint8_t *data, size_t size)
{
    return (uint32_t) crc32_z ((uint32_t) seq, data, size);
}

MDB_val tide_layout_key (uint8_t *at, uint64_t seq)
{
    tide_store_u64 (at, seq);
    return (MDB_val){sizeof seq, at};
}

int tide_layout_append (MDB_cursor *cursor, uint64_t seq, tide_bytes_t event)
{
    uint8_t bytes[sizeof seq];
    MDB_val key = tide_layout_key (bytes, seq), value = {SEAL_SIZE + event.size, NULL};
    int rc = mdb_cursor_put (cursor, &key, &value, MDB_APPEND | MDB_RESERVE);
    if (rc == 0) {
        uint8_t *at = value.mv_data;
        tide_store_u32 (at, seal (seq, event.data, event.size));
        if (event.size > 0)
            memcpy (at + SEAL_SIZE, event.data, event.size);
    }
    return rc;
}

int tide_layout_read (const MDB_val *key, const MDB_val *value, tide_layout_stored_t *stored)
{
    if (key->mv_size != sizeof stored->seq)
        return MDB_CORRUPTED;
    stored->seq = tide_load_u64 (key->mv_data);
    stored->page = key->mv_data;
    stored->value = value->mv_data;
    stored->value_size = value->mv_size;
    stored->damaged = true;
    if (value->mv_size < SEAL_SIZE)
        return 0;
    const uint8_t *at = value->mv_data;
    stored->record = (tide_bytes_t){at + SEAL_SIZE, value->mv_size - SEAL_SIZE};
    stored->damaged =
        tide_load_u32 (at) != seal (stored->seq, stored->record.data, stored->record.size);
    return 0;
}

typedef struct {
    MDB_txn *txn;
    uint64_t from;
    size_t left;
    bool contiguous; /* in a segment each sequence follows the one before */
    tide_layout_walk_fn *fn;
    void *argument;
} walk_t;

static int walk_record (walk_t *walk, const MDB_val *key, const MDB_val *value,
                        tide_layout_stored_t *stored)
{
    int rc = tide_layout_read (key, value, stored);
    if (rc == 0 && (stored->seq < walk->from || (walk->contiguous && stored->seq > walk->from)))
        rc = MDB_CORRUPTED;
    if (rc == 0)
        rc = walk->fn (walk->argument, stored);
    if (rc != 0)
        return rc;
    size_t size = value->mv_size + 64;
    walk->left = walk->left > size ? walk->left - size : 0;
    walk->from = stored->seq + 1;
    return 0;
}

static int walk_tree (walk_t *walk, MDB_dbi dbi, uint64_t segment_first)
{
    uint8_t bytes[sizeof walk->from];
    tide_layout_stored_t stored = {.segment_first = segment_first};
    MDB_val key = tide_layout_key (bytes, walk->from), value;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open (walk->txn, dbi, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get (cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && walk->left > 0) {
        rc = walk_record (walk, &key, &value, &stored);
        if (rc == 0)
            rc = mdb_cursor_get (cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close (cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/*  All segments but the newest must reach to where the next begins. */
static int walk_segments (const tide_layout_t *self, const tide_layout_table_t *table, walk_t *walk)
{
    unsigned each = tide_layout_table_find (table, walk->from);
    int rc = 0;
    if (each == table->count)
        each = 0;
    walk->contiguous = true;
    for (; rc == 0 && walk->left > 0 && each < table->count; each++) {
        uint64_t first = table->at[each].first;
        walk->from = walk->from > first ? walk->from : first;
        rc = walk_tree (walk, self->slots[table->at[each].slot], first);
        if (rc == 0 && walk->left > 0 && each + 1 < table->count
            && walk->from != table->at[each + 1].first)
            rc = MDB_CORRUPTED;
    }
    return rc;
}

/*  Whatever is set aside is older than every segment: segments are emptied oldest first. */
int tide_layout_walk (const tide_layout_t *self, MDB_txn *txn, const tide_layout_table_t *table,
                      uint64_t *from, size_t size_max, tide_layout_walk_fn *fn, void *argument)
{
    walk_t walk = {txn, *from, size_max, false, fn, argument};
    int rc = 0;
    if (table->count == 0 || *from < table->at[0].first)
        rc = walk_tree (&walk, self->kept, 0);
    if (rc == 0 && walk.left > 0)
        rc = walk_segments (self, table, &walk);
    *from = walk.from;
    return rc == 0 && walk.left > 0 ? MDB_NOTFOUND : rc;
}

/*  -- what was lost --------------------------------------------------------------------------- */

int tide_layout_each_lost (const tide_layout_t *self, MDB_txn *txn, tide_layout_lost_fn *fn,
                           void *argument)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open (txn, self->lost, &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get (cursor, &key, &value, MDB_NEXT)) == 0) {
        if (key.mv_size < 1 || key.mv_size > LOST_KEY_MAX || value.mv_size != sizeof (uint64_t)) {
            rc = MDB_CORRUPTED;
            break;
        }
        tide_bytes_t topic = {(const uint8_t *) key.mv_data + 1, key.mv_size - 1};
        fn (argument, topic, tide_load_u64 (value.mv_data));
    }
    mdb_cursor_close (cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/*  A key of LMDB's is never empty, the topic may be: hence a byte in front of each. */
int tide_layout_put_lost (const tide_layout_t *self, MDB_txn *txn, tide_bytes_t topic, uint64_t seq)
{
    uint8_t name[LOST_KEY_MAX] = {LOST_PREFIX}, number[sizeof seq];
    tide_assert (topic.size < sizeof name);
    if (topic.size > 0)
        memcpy (name + 1, topic.data, topic.size);
    MDB_val key = {1 + topic.size, name}, value = tide_layout_key (number, seq);
    if (seq > 0)
        return mdb_put (txn, self->lost, &key, &value, 0);
    int rc = mdb_del (txn, self->lost, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}
