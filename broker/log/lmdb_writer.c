/*  lmdb_writer.c - the thread that appends: all batches that wait, one transaction, one sync.
 *
 *  What can go wrong is of two kinds. No room (the map, the disk, a quota): the transaction is
 *  given up, which leaves the log as it was; the map grows if it may, and the batch is tried again,
 *  or says TIDE_LOG_FULL. Anything else, a sync that failed above all, ends the writing for good:
 *  what the system then still has in memory and what is on the disk is not known, and a second
 *  sync that succeeds would say nothing.
 *
 *  Trimming needs a few pages before it gives any back, so appending leaves a reserve.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_store.h"

#include "tide_alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { GROUP_MAX = 256 };
/*  Bytes of events that one commit takes, beside the first batch's. */
#define GROUP_SIZE_MAX (16u << 20)
/*  What is left of the disk for others, and of the file for trimming. */
#define DISK_MARGIN (16u << 20)
#define RESERVE_MAX (4u << 20)
#define MAP_STEP ((uint64_t) 64 << 20)
/*  How far the file's room is made ahead: an eighth of it, within these. */
#define STEP_MIN ((uint64_t) 1 << 20)
#define STEP_MAX ((uint64_t) 64 << 20)

typedef struct {
    tide_log_completion_t at[GROUP_MAX];
    size_t count;
} group_t;

static bool is_full (int rc)
{
    return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == MDB_DBS_FULL || rc == ENOSPC
           || rc == EDQUOT || rc == EFBIG;
}

/*  -- one batch ------------------------------------------------------------------------------- */

static uint64_t segment_last (const tide_layout_table_t *table, unsigned index, uint64_t last)
{
    return index + 1 < table->count ? table->at[index + 1].first - 1 : last;
}

/*  How many segments, from the oldest on, end at or below seq. */
static unsigned count_droppable (const tide_layout_table_t *table, uint64_t last, uint64_t seq)
{
    unsigned count = 0;
    while (count < table->count && segment_last (table, count, last) <= seq)
        count++;
    return count;
}

/*  Records move as they are, seal and all: one that is damaged stays recognisable. They are copied
 *  first, because a put may move the page that they lie on. */
static int set_aside (tide_lmdb_t *self, MDB_txn *txn, const tide_log_batch_t *batch,
                      unsigned dropped)
{
    const tide_layout_t *layout = &self->layout;
    for (size_t each = 0; each < batch->keep_count; each++) {
        uint8_t bytes[sizeof (uint64_t)];
        MDB_val key = tide_layout_key (bytes, batch->keep[each]), value;
        unsigned index = tide_layout_table_find (&self->next_table, batch->keep[each]);
        if (index >= dropped)
            continue;
        int rc = mdb_get (txn, layout->slots[self->next_table.at[index].slot], &key, &value);
        if (rc == MDB_NOTFOUND)
            continue;
        if (rc != 0)
            return rc;
        self->scratch.size = 0;
        tide_buffer_append (&self->scratch, value.mv_data, value.mv_size);
        value.mv_data = self->scratch.data;
        rc = mdb_put (txn, layout->kept, &key, &value, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int drop (tide_lmdb_t *self, MDB_txn *txn, const tide_log_batch_t *batch, uint64_t last)
{
    tide_layout_table_t *table = &self->next_table;
    unsigned dropped = count_droppable (table, last, batch->drop_through);
    if (dropped == 0)
        return 0;
    int rc = set_aside (self, txn, batch, dropped);
    for (unsigned each = 0; rc == 0 && each < dropped; each++)
        rc = mdb_drop (txn, self->layout.slots[table->at[each].slot], 0);
    if (rc != 0)
        return rc;
    table->count -= dropped;
    memmove (table->at, table->at + dropped, table->count * sizeof *table->at);
    if (table->count == 0)
        rc = tide_layout_put_number (&self->layout, txn, "last", last);
    return rc != 0 ? rc : tide_layout_put_table (&self->layout, txn, table);
}

static int forget (tide_lmdb_t *self, MDB_txn *txn, const tide_log_batch_t *batch)
{
    for (size_t each = 0; each < batch->forget_count; each++) {
        uint8_t bytes[sizeof (uint64_t)];
        MDB_val key = tide_layout_key (bytes, batch->forget[each]);
        int rc = mdb_del (txn, self->layout.kept, &key, NULL);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return rc;
    }
    return 0;
}

static bool is_in_use (const tide_layout_table_t *table, unsigned slot)
{
    for (unsigned each = 0; each < table->count; each++) {
        if (table->at[each].slot == slot)
            return true;
    }
    return false;
}

/*  Takes the next tree of the ring that is empty. */
static int begin_segment (tide_lmdb_t *self, MDB_txn *txn, uint64_t first)
{
    tide_layout_table_t *table = &self->next_table;
    unsigned slots = self->layout.slot_count;
    unsigned slot = table->count > 0 ? (table->at[table->count - 1].slot + 1) % slots : 0;
    if (table->count == slots)
        return MDB_DBS_FULL;
    while (is_in_use (table, slot))
        slot = (slot + 1) % slots;
    table->at[table->count++] = (tide_layout_segment_t){first, slot};
    return tide_layout_put_table (&self->layout, txn, table);
}

static int append (tide_lmdb_t *self, MDB_txn *txn, const tide_log_batch_t *batch)
{
    tide_layout_table_t *table = &self->next_table;
    tide_list_t list = tide_list (&batch->records, batch->count);
    tide_bytes_t event;
    MDB_cursor *cursor;
    int rc = 0;
    if (batch->begin_segment || table->count == 0)
        rc = begin_segment (self, txn, batch->first);
    if (rc == 0)
        rc = mdb_cursor_open (txn, self->layout.slots[table->at[table->count - 1].slot], &cursor);
    if (rc != 0)
        return rc;
    for (uint32_t each = 0; rc == 0 && each < batch->count; each++) {
        bool there = tide_list_next (&list, &event);
        tide_assert (there);
        rc = tide_layout_append (cursor, batch->first + each, event);
    }
    mdb_cursor_close (cursor);
    return rc;
}

/*  Does in txn what the batch says; *last is raised. */
static int apply (tide_lmdb_t *self, MDB_txn *txn, const tide_log_batch_t *batch, uint64_t *last)
{
    tide_list_t lost = tide_list (&batch->lost, batch->lost_count);
    tide_want_t want;
    int rc = 0;
    if (batch->drop_through > 0)
        rc = drop (self, txn, batch, *last);
    if (rc == 0)
        rc = forget (self, txn, batch);
    while (rc == 0 && tide_want_next (&lost, &want))
        rc = tide_layout_put_lost (&self->layout, txn, want.topic, want.seq);
    if (rc == 0 && batch->count > 0) {
        rc = append (self, txn, batch);
        *last = batch->first + batch->count - 1;
    }
    return rc;
}

/*  -- room ------------------------------------------------------------------------------------ */

/*  How much the file may grow by these batches, rather too much than too little. */
static uint64_t estimate (const group_t *group, size_t from, size_t count)
{
    uint64_t size = 64 << 10;
    for (size_t each = from; each < from + count; each++) {
        const tide_log_batch_t *batch = group->at[each].batch;
        size += 2 * (uint64_t) batch->records.size + 32 * (uint64_t) batch->count;
        size += 2 * (uint64_t) batch->lost.size + 4096 * (uint64_t) batch->keep_count;
    }
    return size;
}

static bool frees (const tide_lmdb_t *self, const group_t *group, size_t from, size_t count)
{
    for (size_t each = from; each < from + count; each++) {
        const tide_log_batch_t *batch = group->at[each].batch;
        if (batch->count == 0 || batch->forget_count > 0
            || count_droppable (&self->table, self->last, batch->drop_through) > 0)
            return true;
    }
    return false;
}

/*  Pages of the file that hold nothing now. */
static uint64_t count_free_pages (const tide_lmdb_t *self, MDB_txn *txn)
{
    uint64_t used = 2;
    for (MDB_dbi dbi = 0; dbi < 2 + 3 + self->layout.slot_count; dbi++) {
        MDB_stat stat;
        if (mdb_stat (txn, dbi, &stat) == 0)
            used += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    uint64_t all = self->used / self->page_size;
    return all > used ? all - used : 0;
}

/*  Has the system give the file its room before anything is written there: a disk that fills up in
 *  the middle of a commit is reported by LMDB as a failure like any other. Where the system can't
 *  (some network file systems), the margin must do. False if there is no room, with `margin` left
 *  to others. */
static bool allocate (tide_lmdb_t *self, uint64_t size, uint64_t margin)
{
    struct statvfs disk;
    uint64_t step = self->used / 8;
    step = step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
    if (margin == 0)
        step = 0;
    uint64_t target = size + step < self->size_max ? size + step : self->size_max;
    if (size > self->size_max)
        return false;
    if (size <= self->allocated)
        return true;
    if (fstatvfs (self->lock_fd, &disk) == 0) {
        uint64_t left = (uint64_t) disk.f_bavail * disk.f_frsize;
        if (left < target - self->allocated + margin)
            target = size;
        if (left < target - self->allocated + margin)
            return false;
    }
    mdb_filehandle_t fd;
    if (mdb_env_get_fd (self->env, &fd) != 0)
        return false;
    if (fallocate (fd, 0, (off_t) self->allocated, (off_t) (target - self->allocated)) != 0
        && errno != EOPNOTSUPP && errno != ENOSYS)
        return false;
    self->allocated = target;
    return true;
}

/*  Looked at before anything is written. */
static int check_room (tide_lmdb_t *self, MDB_txn *txn, const group_t *group, size_t from,
                       size_t count)
{
    uint64_t needed = estimate (group, from, count);
    uint64_t end = self->used + needed < self->size_max ? self->used + needed : self->size_max;
    uint64_t reserve = self->size_max / 16 < RESERVE_MAX ? self->size_max / 16 : RESERVE_MAX;
    if (allocate (self, self->used + needed + reserve, DISK_MARGIN))
        return 0;
    /*  What frees something may use the reserve and the margin, but not what is not there: a write
     *  that the disk refuses would be the end. The map keeps it within the limit by itself. */
    if (!frees (self, group, from, count))
        needed += reserve;
    else if (allocate (self, end, 0))
        return 0;
    uint64_t limit = self->allocated < self->size_max ? self->allocated : self->size_max;
    uint64_t room = limit > self->used ? limit - self->used : 0;
    room += count_free_pages (self, txn) * self->page_size;
    return room < needed ? ENOSPC : 0;
}

/*  What a transaction frees can be used by the next but one: two empty ones bring it near. */
static bool turn (tide_lmdb_t *self)
{
    MDB_txn *txn;
    if (self->turns == 0)
        return false;
    self->turns--;
    int rc = mdb_txn_begin (self->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = tide_layout_put_number (&self->layout, txn, "turn", self->turns);
        if (rc == 0)
            rc = mdb_txn_commit (txn);
        else
            mdb_txn_abort (txn);
    }
    self->failed |= rc != 0 && !is_full (rc);
    return rc == 0;
}

static bool grow_map (tide_lmdb_t *self, uint64_t size)
{
    int dead;
    uint64_t target = 2 * self->map_size > size ? 2 * self->map_size : size;
    target = (target + MAP_STEP - 1) / MAP_STEP * MAP_STEP;
    if (target > self->size_max)
        target = self->size_max;
    if (target <= self->map_size)
        return false;
    mdb_reader_check (self->env, &dead); /* a reader that died would keep pages from reuse */
    self->failed |= tide_lmdb_set_map (self, target) != 0;
    return !self->failed;
}

/*  -- one commit ------------------------------------------------------------------------------ */

static int transact (tide_lmdb_t *self, const group_t *group, size_t from, size_t count)
{
    uint64_t last = self->last;
    MDB_stat kept;
    MDB_txn *txn;
    int rc = mdb_txn_begin (self->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    tide_layout_table_copy (&self->next_table, &self->table);
    rc = check_room (self, txn, group, from, count);
    for (size_t each = from; rc == 0 && each < from + count; each++)
        rc = apply (self, txn, group->at[each].batch, &last);
    if (rc == 0)
        rc = mdb_stat (txn, self->layout.kept, &kept);
    if (rc != 0) {
        mdb_txn_abort (txn);
        return rc;
    }
    rc = mdb_txn_commit (txn);
    if (rc == 0) {
        tide_layout_table_copy (&self->table, &self->next_table);
        self->last = last;
        self->turns = 2;
        tide_lmdb_publish (self, kept.ms_entries, true);
    }
    return rc;
}

static tide_status_t commit (tide_lmdb_t *self, const group_t *group, size_t from, size_t count)
{
    uint64_t needed = self->used + estimate (group, from, count);
    if (needed > self->map_size)
        grow_map (self, needed + MAP_STEP);
    while (!self->failed) {
        int rc = transact (self, group, from, count);
        if (rc == 0)
            return TIDE_OK;
        if (!is_full (rc))
            break;
        if (rc != MDB_MAP_FULL || !(grow_map (self, needed) || turn (self)))
            return self->failed ? TIDE_SHUTTING_DOWN : TIDE_LOG_FULL;
    }
    self->failed = true;
    return TIDE_SHUTTING_DOWN;
}

/*  A batch that does not go on from what was committed was made before an earlier one found no
 *  room: it is refused as that one was. Going back would give sequences twice: our own bug. */
static bool goes_on (const tide_lmdb_t *self, const group_t *group, size_t index, uint64_t *last)
{
    const tide_log_batch_t *batch = group->at[index].batch;
    if (batch->count == 0)
        return true;
    tide_assert (batch->first > self->last);
    if (batch->first != *last + 1)
        return false;
    *last += batch->count;
    return true;
}

static void commit_one (tide_lmdb_t *self, group_t *group, size_t index)
{
    uint64_t last = self->last;
    tide_status_t status = TIDE_SHUTTING_DOWN;
    if (!self->failed)
        status =
            goes_on (self, group, index, &last) ? commit (self, group, index, 1) : TIDE_LOG_FULL;
    group->at[index].status = status;
}

static void commit_group (tide_lmdb_t *self, group_t *group)
{
    uint64_t last = self->last;
    bool together = !self->failed;
    for (size_t each = 0; together && each < group->count; each++)
        together = goes_on (self, group, each, &last);
    tide_status_t status =
        together && group->count > 1 ? commit (self, group, 0, group->count) : TIDE_LOG_FULL;
    for (size_t each = 0; each < group->count; each++) {
        if (status == TIDE_LOG_FULL)
            commit_one (self, group, each);
        else
            group->at[each].status = status;
    }
}

static bool next_group (tide_lmdb_t *self, group_t *group)
{
    size_t size = 0;
    group->count = 0;
    pthread_mutex_lock (&self->mutex);
    while (self->batches.count == 0 && !self->stopping)
        pthread_cond_wait (&self->writer_wakes, &self->mutex);
    while (group->count < GROUP_MAX && size < GROUP_SIZE_MAX
           && tide_log_queue_pop (&self->batches, &group->at[group->count])) {
        size += group->at[group->count].batch->records.size;
        group->count++;
    }
    pthread_mutex_unlock (&self->mutex);
    return group->count > 0;
}

void *tide_lmdb_writer (void *argument)
{
    tide_lmdb_t *self = argument;
    group_t *group = tide_alloc (sizeof *group);
    while (next_group (self, group)) {
        commit_group (self, group);
        for (size_t each = 0; each < group->count; each++)
            tide_lmdb_complete (self, group->at[each]);
    }
    free (group);
    return NULL;
}
