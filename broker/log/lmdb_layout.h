/*  lmdb_layout.h - how a log lies in an LMDB environment.
 *
 *      meta       format, epoch, last, clean, sync, boot, segments; turn says nothing, writing
 *                 it makes a transaction
 *      seg-000 …  a ring of trees, each empty or one segment: sequence -> record
 *      kept       events set aside from segments that were emptied: sequence -> record
 *      lost       't' and a topic -> the highest sequence that was lost
 *
 *  A sequence is eight bytes, big-endian; a record is the CRC-32 of the event's bytes (begun with
 *  the sequence, so that a record in another's place is seen too) and the bytes. `segments` says
 *  which trees are in use, in rising order: u64 first sequence, u32 number of the tree. Sequences
 *  are contiguous from the first segment's first to the last; `last` in meta is only read where
 *  no segment holds events. A segment is emptied by mdb_drop, which visits its leaves only if some
 *  records are so large that they lie on pages of their own (about half a page): otherwise trimming
 *  costs as little as appending.
 *
 *  The trees are opened once, before there are threads, and never closed: no handle is ever in a
 *  race with a reader. More trees may be asked for at any later start.
 *  SPDX-License-Identifier: MIT
 */
#ifndef LMDB_LAYOUT_H
#define LMDB_LAYOUT_H

#include "tide_limits.h"
#include "tide_wire.h"

#include <lmdb.h>

/*  Of the trees and of the events in them: a log of another format is refused. 2: events say whom
 *  they except. */
#define TIDE_LAYOUT_FORMAT 2
#define TIDE_LAYOUT_SLOTS_MAX TIDE_LOG_SEGMENTS_MAX
#define TIDE_LAYOUT_DATA "data.mdb"
#define TIDE_LAYOUT_LOCK "tidemark.lock"

typedef struct {
    MDB_dbi meta, kept, lost;
    MDB_dbi slots[TIDE_LAYOUT_SLOTS_MAX];
    unsigned slot_count;
} tide_layout_t;

/*  The segments in use, rising. */
typedef struct {
    uint64_t first;
    unsigned slot;
} tide_layout_segment_t;

typedef struct {
    tide_layout_segment_t *at; /* as many as there are slots */
    unsigned count;
} tide_layout_table_t;

/*  An event as it was found. */
typedef struct {
    uint64_t seq;
    uint64_t segment_first; /* 0: set aside */
    tide_bytes_t record;    /* borrowed from the transaction */
    bool damaged;           /* record is then not to be used */
    const void *page;       /* lies somewhere on the tree's leaf; and what LMDB keeps there */
    const void *value;
    size_t value_size;
} tide_layout_stored_t;

/*  All functions return LMDB's codes, 0 for success. */

/*  An environment that is set up but not opened. */
int tide_layout_create (MDB_env **env);

/*  Opens every tree that there is, and with `create` all that are missing, up to slots. Without,
 *  MDB_NOTFOUND if this is no log. */
int tide_layout_open (tide_layout_t *self, MDB_txn *txn, bool create, unsigned slots);

int tide_layout_get_number (const tide_layout_t *self, MDB_txn *txn, const char *name,
                            uint64_t *value);
int tide_layout_put_number (const tide_layout_t *self, MDB_txn *txn, const char *name,
                            uint64_t value);
/*  A text of less than size bytes; longer ones are cut. */
int tide_layout_get_text (const tide_layout_t *self, MDB_txn *txn, const char *name, char *text,
                          size_t size);
int tide_layout_put_text (const tide_layout_t *self, MDB_txn *txn, const char *name,
                          const char *text);

void tide_layout_table_init (tide_layout_table_t *table, const tide_layout_t *self);
void tide_layout_table_copy (tide_layout_table_t *to, const tide_layout_table_t *from);
void tide_layout_table_free (tide_layout_table_t *table);
int tide_layout_get_table (const tide_layout_t *self, MDB_txn *txn, tide_layout_table_t *table);
int tide_layout_put_table (const tide_layout_t *self, MDB_txn *txn,
                           const tide_layout_table_t *table);
/*  Index of the segment that may hold seq; count of the table if there is none. */
unsigned tide_layout_table_find (const tide_layout_table_t *table, uint64_t seq);
/*  The last sequence that was given. */
int tide_layout_last (const tide_layout_t *self, MDB_txn *txn, const tide_layout_table_t *table,
                      uint64_t *last);

/*  The key of a sequence, stored in eight bytes of the caller's. */
MDB_val tide_layout_key (uint8_t *at, uint64_t seq);
/*  Appends an event to a segment's tree, behind all that it holds. */
int tide_layout_append (MDB_cursor *cursor, uint64_t seq, tide_bytes_t event);
/*  Reads what a cursor stands on. MDB_CORRUPTED if the key is none. */
int tide_layout_read (const MDB_val *key, const MDB_val *value, tide_layout_stored_t *stored);

/*  Calls fn for the events from *from on, in sequence order, until about size_max bytes were seen
 *  (*from is then where to go on) or fn does not return 0. MDB_NOTFOUND: there are no more.
 *  MDB_CORRUPTED: the one at *from is not where it should be. */
typedef int (tide_layout_walk_fn) (void *argument, const tide_layout_stored_t *stored);
int tide_layout_walk (const tide_layout_t *self, MDB_txn *txn, const tide_layout_table_t *table,
                      uint64_t *from, size_t size_max, tide_layout_walk_fn *fn, void *argument);

/*  Calls fn for each lost entry. */
typedef void (tide_layout_lost_fn) (void *argument, tide_bytes_t topic, uint64_t seq);
int tide_layout_each_lost (const tide_layout_t *self, MDB_txn *txn, tide_layout_lost_fn *fn,
                           void *argument);
/*  seq 0 removes. */
int tide_layout_put_lost (const tide_layout_t *self, MDB_txn *txn, tide_bytes_t topic,
                          uint64_t seq);

#endif
