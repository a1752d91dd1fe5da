/*  lmdb_store.h - the LMDB engine's object, shared by its parts: lmdb.c (opening, closing, what the
 *  caller's thread asks), lmdb_writer.c and lmdb_reader.c (a thread each).
 *
 *  Between the threads travel whole batches, fetches and completions, through three queues under
 *  one mutex; the broker bounds what it puts in. The map of the file moves when it grows: whoever
 *  has a transaction open beside the writer holds map_lock for reading meanwhile.
 *  SPDX-License-Identifier: MIT
 */
#ifndef LMDB_STORE_H
#define LMDB_STORE_H

#include "lmdb_layout.h"
#include "tide_log_engine.h"

#include <pthread.h>

/*  Damaged records that are remembered, so that each counts once. */
#define TIDE_LMDB_DAMAGED_MAX 1024

typedef struct {
    tide_log_t base;
    MDB_env *env;
    tide_layout_t layout;
    bool sync_always;
    uint64_t size_max; /* of the file, whole pages */
    uint64_t page_size;
    int lock_fd;  /* holds the lock that says "in use" */
    int event_fd; /* readable when there is a completion */
    pthread_rwlock_t map_lock;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t writer_wakes, reader_wakes;
    tide_log_queue_t batches, fetches, done;
    tide_log_info_t info;
    uint64_t damaged[TIDE_LMDB_DAMAGED_MAX];
    size_t damaged_count;
    bool stopping;

    /*  The writer's own, as of the last commit. */
    tide_layout_table_t table, next_table;
    uint64_t last;
    uint64_t map_size;
    uint64_t used;      /* of the file: up to the last page that was ever written */
    uint64_t allocated; /* to the file by the system */
    unsigned turns;     /* empty commits that would make freed pages usable */
    bool failed;        /* nothing is written any more */
    tide_buffer_t scratch;

    pthread_t writer, reader;
} tide_lmdb_t;

/*  The threads. Each ends when `stopping` is set and its queue is empty. */
void *tide_lmdb_writer (void *self);
void *tide_lmdb_reader (void *self);

/*  Hands a completion to the caller's thread. */
void tide_lmdb_complete (tide_lmdb_t *self, tide_log_completion_t completion);
/*  Counts a damaged record, once. */
void tide_lmdb_note_damaged (tide_lmdb_t *self, uint64_t seq);
/*  Sets the map's size; no transaction may be open in this thread. */
int tide_lmdb_set_map (tide_lmdb_t *self, uint64_t size);
/*  Publishes what tide_log_info says; `events` of the table are contiguous. */
void tide_lmdb_publish (tide_lmdb_t *self, uint64_t set_aside, bool committed);

#endif
