/*  lmdb_reader.c - the thread that serves fetches beside the writer.
 *
 *  A snapshot that is held makes the file grow (what is freed meanwhile can't be used again), so a
 *  fetch is served in parts, each in a short read transaction of its own. That is sound: events
 *  never change, and one that is trimmed between two parts is missing or set aside.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_store.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  Of one part: about a millisecond. */
enum { PART_EVENTS = 2048, PART_BYTES = 1 << 20 };

typedef struct {
    tide_lmdb_t *log;
    MDB_txn *txn; /* reset between parts */
    tide_layout_table_t table;
    MDB_cursor *cursor; /* on the tree where the last event was found */
    MDB_dbi dbi;
    uint64_t at;   /* the sequence it stands on; 0: none */
    uint64_t last; /* was there before the transaction began */
} reader_t;

static int open_cursor (reader_t *self, MDB_dbi dbi)
{
    if (self->cursor && self->dbi == dbi)
        return 0;
    if (self->cursor)
        mdb_cursor_close (self->cursor);
    self->cursor = NULL;
    self->dbi = dbi;
    self->at = 0;
    return mdb_cursor_open (self->txn, dbi, &self->cursor);
}

/*  Looks in one tree; a sequential run costs one step per event. */
static int look (reader_t *self, MDB_dbi dbi, uint64_t seq, tide_layout_stored_t *stored)
{
    uint8_t bytes[sizeof seq];
    MDB_val key = tide_layout_key (bytes, seq), value;
    int rc = open_cursor (self, dbi);
    if (rc != 0)
        return rc;
    rc = MDB_NOTFOUND;
    if (self->at > 0 && self->at + 1 == seq) {
        rc = mdb_cursor_get (self->cursor, &key, &value, MDB_NEXT);
        if (rc == 0)
            rc = tide_layout_read (&key, &value, stored);
        if (rc == 0 && stored->seq != seq)
            rc = MDB_NOTFOUND;
    }
    if (rc == MDB_NOTFOUND) {
        key = tide_layout_key (bytes, seq);
        rc = mdb_cursor_get (self->cursor, &key, &value, MDB_SET_KEY);
        if (rc == 0)
            rc = tide_layout_read (&key, &value, stored);
    }
    self->at = rc == 0 ? seq : 0;
    return rc;
}

static int find (reader_t *self, uint64_t seq, tide_layout_stored_t *stored)
{
    const tide_layout_t *layout = &self->log->layout;
    unsigned index = tide_layout_table_find (&self->table, seq);
    if (index == self->table.count)
        return look (self, layout->kept, seq, stored);
    int rc = look (self, layout->slots[self->table.at[index].slot], seq, stored);
    /*  A segment has no gaps: what should be there lies on a page that is damaged. */
    bool expected = index + 1 < self->table.count || seq <= self->last;
    return rc == MDB_NOTFOUND && expected ? MDB_CORRUPTED : rc;
}

/*  One sequence of the fetch; false when the answer is complete. What can't be read is damaged: it
 *  is named and never served. */
static bool answer (reader_t *self, tide_log_fetch_t *fetch)
{
    uint64_t seq = fetch->seqs[fetch->done];
    tide_layout_stored_t stored = {0};
    int rc = find (self, seq, &stored);
    if (rc == MDB_NOTFOUND)
        tide_log_fetch_missing (fetch);
    else if (rc != 0 || stored.damaged) {
        tide_lmdb_note_damaged (self->log, seq);
        tide_log_fetch_damaged (fetch);
    }
    else
        return tide_log_fetch_found (fetch, stored.record);
    return true;
}

static tide_status_t serve_part (reader_t *self, tide_log_fetch_t *fetch, bool *more)
{
    size_t events = fetch->done, bytes = fetch->records.size;
    self->last = tide_log_info (&self->log->base).last;
    int rc = mdb_txn_renew (self->txn);
    if (rc == 0)
        rc = tide_layout_get_table (&self->log->layout, self->txn, &self->table);
    while (rc == 0 && *more && fetch->done < fetch->count && fetch->done - events < PART_EVENTS
           && fetch->records.size - bytes < PART_BYTES)
        *more = answer (self, fetch);
    if (self->cursor)
        mdb_cursor_close (self->cursor);
    self->cursor = NULL;
    mdb_txn_reset (self->txn);
    return rc == 0 ? TIDE_OK : TIDE_SHUTTING_DOWN;
}

static tide_status_t serve (reader_t *self, tide_log_fetch_t *fetch)
{
    tide_status_t status = TIDE_OK;
    bool more = true;
    tide_log_fetch_begin (fetch);
    while (status == TIDE_OK && more && fetch->done < fetch->count) {
        pthread_rwlock_rdlock (&self->log->map_lock);
        status = serve_part (self, fetch, &more);
        pthread_rwlock_unlock (&self->log->map_lock);
    }
    return status;
}

static bool next_fetch (tide_lmdb_t *log, tide_log_completion_t *item)
{
    pthread_mutex_lock (&log->mutex);
    while (log->fetches.count == 0 && !log->stopping)
        pthread_cond_wait (&log->reader_wakes, &log->mutex);
    bool there = tide_log_queue_pop (&log->fetches, item);
    pthread_mutex_unlock (&log->mutex);
    return there;
}

void *tide_lmdb_reader (void *argument)
{
    tide_lmdb_t *log = argument;
    reader_t self = {.log = log};
    tide_log_completion_t item;
    tide_layout_table_init (&self.table, &log->layout);
    pthread_rwlock_rdlock (&log->map_lock);
    int rc = mdb_txn_begin (log->env, NULL, MDB_RDONLY, &self.txn);
    if (rc == 0)
        mdb_txn_reset (self.txn);
    pthread_rwlock_unlock (&log->map_lock);
    while (next_fetch (log, &item)) {
        item.status = rc == 0 ? serve (&self, item.fetch) : TIDE_SHUTTING_DOWN;
        tide_lmdb_complete (log, item);
    }
    if (rc == 0)
        mdb_txn_abort (self.txn);
    tide_layout_table_free (&self.table);
    return NULL;
}
