/*  lmdb.c - the LMDB engine: opening and closing, and what the broker's thread asks.
 *
 *  How it lies on disk: lmdb_layout.h. Who writes and who reads: lmdb_writer.c, lmdb_reader.c.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_check.h"
#include "lmdb_pages.h"
#include "lmdb_store.h"

#include "tide_alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/*  The map at start; it grows. A limit below the least is raised to it. */
#define MAP_START ((uint64_t) 64 << 20)
#define SIZE_LEAST ((uint64_t) 1 << 20)
/*  Of the address space, where there is no limit but the disk. */
#define SIZE_MOST ((uint64_t) 1 << 42)
/*  Of one read transaction of a scan. */
#define SCAN_PART_BYTES (2u << 20)

/*  -- what the parts share -------------------------------------------------------------------- */

void tide_lmdb_complete (tide_lmdb_t *self, tide_log_completion_t completion)
{
    pthread_mutex_lock (&self->mutex);
    bool was_empty = self->done.count == 0;
    tide_log_queue_push (&self->done, completion);
    pthread_mutex_unlock (&self->mutex);
    /*  Here as below: whoever is woken finds the lock free, and need not sleep again. */
    if (was_empty)
        eventfd_write (self->event_fd, 1);
}

void tide_lmdb_note_damaged (tide_lmdb_t *self, uint64_t seq)
{
    pthread_mutex_lock (&self->mutex);
    size_t at = 0;
    while (at < self->damaged_count && self->damaged[at] != seq)
        at++;
    if (at == self->damaged_count) {
        self->info.damaged++;
        if (at < TIDE_LMDB_DAMAGED_MAX)
            self->damaged[self->damaged_count++] = seq;
    }
    pthread_mutex_unlock (&self->mutex);
}

int tide_lmdb_set_map (tide_lmdb_t *self, uint64_t size)
{
    pthread_rwlock_wrlock (&self->map_lock);
    int rc = mdb_env_set_mapsize (self->env, size);
    pthread_rwlock_unlock (&self->map_lock);
    if (rc == 0)
        self->map_size = size;
    return rc;
}

void tide_lmdb_publish (tide_lmdb_t *self, uint64_t set_aside, bool committed)
{
    const tide_layout_table_t *table = &self->table;
    MDB_envinfo info = {0};
    mdb_env_info (self->env, &info);
    self->used = ((uint64_t) info.me_last_pgno + 1) * self->page_size;
    pthread_mutex_lock (&self->mutex);
    self->info.first = table->count > 0 ? table->at[0].first : 0;
    self->info.last = self->last;
    self->info.set_aside = set_aside;
    self->info.events = set_aside + (table->count > 0 ? self->last + 1 - self->info.first : 0);
    self->info.segments = table->count;
    self->info.size = self->used;
    self->info.commits += committed;
    self->info.syncs += committed && self->sync_always;
    pthread_mutex_unlock (&self->mutex);
}

/*  -- opening --------------------------------------------------------------------------------- */

static bool refuse (char **why, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static bool refuse (char **why, const char *format, ...)
{
    char text[4608];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    *why = tide_copy (text, strlen (text));
    return false;
}

/*  What was made in a folder is there after a power cut only when the folder is synced. */
static bool sync_folder (const char *path, char **why)
{
    int fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync (fd) == 0;
    if (!good)
        refuse (why, "%s can't be synced: %s", path, strerror (errno));
    if (fd >= 0)
        close (fd);
    return good;
}

static bool make_directory (const char *directory, char **why)
{
    struct stat is;
    if (mkdir (directory, 0700) != 0) {
        if (errno != EEXIST)
            return refuse (why, "%s can't be made: %s", directory, strerror (errno));
        if (stat (directory, &is) != 0 || !S_ISDIR (is.st_mode))
            return refuse (why, "%s is not a directory", directory);
        return true;
    }
    char parent[4096];
    snprintf (parent, sizeof parent, "%s/..", directory);
    return sync_folder (parent, why);
}

/*  One broker at a time. The lock goes with the process, however it ends. */
static bool take_lock (tide_lmdb_t *self, const char *directory, char **why)
{
    char path[4096];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf (path, sizeof path, "%s/" TIDE_LAYOUT_LOCK, directory);
    self->lock_fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (self->lock_fd < 0)
        return refuse (why, "%s can't be opened: %s", path, strerror (errno));
    if (fcntl (self->lock_fd, F_OFD_SETLK, &lock) == 0)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return refuse (why, "%s is in use by another broker", directory);
    return refuse (why, "%s can't be locked: %s", path, strerror (errno));
}

/*  Has the file read by a child before this process maps it. */
static bool check_file (const char *directory, char **why)
{
    char path[4096];
    struct stat file;
    tide_lmdb_check_t result;
    snprintf (path, sizeof path, "%s/" TIDE_LAYOUT_DATA, directory);
    if (stat (path, &file) != 0)
        return errno == ENOENT || refuse (why, "%s: %s", path, strerror (errno));
    if (file.st_size == 0)
        return true;
    tide_lmdb_check (directory, TIDE_LMDB_CHECK_AT_OPENING, &result);
    if (result.foreign)
        return refuse (why, "%s is the log of another version of Tidemark: %s", path, result.why);
    if (!result.sound)
        return refuse (why, "%s is broken: %s", path, result.why);
    /*  Pages that were never written, at the end: LMDB would write them before reading them, but
     *  a file as long as it says can't be mistaken for one that was cut. */
    if (result.file_size < result.file_needed && truncate (path, (off_t) result.file_needed) != 0)
        return refuse (why, "%s can't be made longer: %s", path, strerror (errno));
    return true;
}

static bool open_environment (tide_lmdb_t *self, const tide_log_lmdb_config_t *config, char **why)
{
    uint64_t needed;
    tide_pages_measure (config->directory, &self->allocated, &needed);
    self->page_size = (uint64_t) sysconf (_SC_PAGESIZE);
    self->size_max = config->size_max == 0           ? SIZE_MOST
                     : config->size_max < SIZE_LEAST ? SIZE_LEAST
                                                     : config->size_max;
    self->size_max -= self->size_max % self->page_size;
    self->map_size = needed + MAP_START - needed % self->page_size;
    /*  A limit that is lower than the file is already leaves room for opening and trimming it. */
    uint64_t least = needed + SIZE_LEAST - needed % self->page_size;
    if (self->map_size > self->size_max)
        self->map_size = self->size_max > least ? self->size_max : least;
    int dead, rc = tide_layout_create (&self->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize (self->env, self->map_size);
    if (rc == 0)
        rc = mdb_env_open (self->env, config->directory, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_reader_check (self->env, &dead);
    if (rc != 0)
        return refuse (why, "%s/" TIDE_LAYOUT_DATA " can't be opened: %s", config->directory,
                       mdb_strerror (rc));
    MDB_stat stat;
    mdb_env_stat (self->env, &stat);
    self->page_size = stat.ms_psize;
    return true;
}

/*  A new log gets its epoch from the seed. So does one that was not closed, was not synced, and
 *  whose machine was started anew since: what it had acknowledged may be gone, and sequences may
 *  be given again. */
static int choose_epoch (tide_lmdb_t *self, MDB_txn *txn, const tide_log_lmdb_config_t *config)
{
    const tide_layout_t *layout = &self->layout;
    uint64_t clean = 0, synced = 0;
    char boot[64] = "";
    int rc = tide_layout_get_number (layout, txn, "epoch", &self->info.epoch);
    if (rc == 0)
        rc = tide_layout_get_number (layout, txn, "clean", &clean);
    if (rc == 0)
        rc = tide_layout_get_number (layout, txn, "sync", &synced);
    if (rc == 0)
        rc = tide_layout_get_text (layout, txn, "boot", boot, sizeof boot);
    if (rc != 0)
        return rc;
    bool same_boot = config->boot_id && *config->boot_id && strcmp (boot, config->boot_id) == 0;
    if (clean == 0 && synced == 0 && !same_boot) {
        self->info.epoch = config->epoch_seed;
        rc = tide_layout_put_number (layout, txn, "epoch", config->epoch_seed);
    }
    return rc;
}

static int make_meta (tide_lmdb_t *self, MDB_txn *txn, const tide_log_lmdb_config_t *config)
{
    const tide_layout_t *layout = &self->layout;
    self->info.epoch = config->epoch_seed;
    int rc = tide_layout_put_number (layout, txn, "format", TIDE_LAYOUT_FORMAT);
    if (rc == 0)
        rc = tide_layout_put_number (layout, txn, "epoch", config->epoch_seed);
    if (rc == 0)
        rc = tide_layout_put_number (layout, txn, "last", 0);
    if (rc == 0)
        rc = tide_layout_put_table (layout, txn, &self->table);
    return rc;
}

/*  Opens the trees, says that the log is in use, and reads what the writer must know. */
static int begin_use (tide_lmdb_t *self, MDB_txn *txn, const tide_log_lmdb_config_t *config,
                      uint64_t *set_aside)
{
    tide_layout_t *layout = &self->layout;
    uint64_t format;
    MDB_stat kept;
    char boot[64];
    int rc = tide_layout_open (layout, txn, true, config->segments);
    if (rc != 0)
        return rc;
    tide_layout_table_init (&self->table, layout);
    tide_layout_table_init (&self->next_table, layout);
    rc = tide_layout_get_number (layout, txn, "format", &format);
    rc = rc == MDB_NOTFOUND ? make_meta (self, txn, config) : choose_epoch (self, txn, config);
    snprintf (boot, sizeof boot, "%s", config->boot_id ? config->boot_id : "");
    if (rc == 0)
        rc = tide_layout_put_number (layout, txn, "clean", 0);
    if (rc == 0)
        rc = tide_layout_put_number (layout, txn, "sync", config->sync_always);
    if (rc == 0)
        rc = tide_layout_put_text (layout, txn, "boot", boot);
    if (rc == 0)
        rc = tide_layout_get_table (layout, txn, &self->table);
    if (rc == 0)
        rc = tide_layout_last (layout, txn, &self->table, &self->last);
    if (rc == 0)
        rc = mdb_stat (txn, layout->kept, &kept);
    *set_aside = rc == 0 ? kept.ms_entries : 0;
    return rc;
}

static bool open_trees (tide_lmdb_t *self, const tide_log_lmdb_config_t *config, char **why)
{
    uint64_t set_aside = 0;
    MDB_txn *txn;
    int rc = mdb_txn_begin (self->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = begin_use (self, txn, config, &set_aside);
        if (rc == 0)
            rc = mdb_txn_commit (txn);
        else
            mdb_txn_abort (txn);
    }
    if (rc == 0 && !config->sync_always)
        rc = mdb_env_set_flags (self->env, MDB_NOSYNC, 1);
    if (rc != 0)
        return refuse (why, "%s/" TIDE_LAYOUT_DATA " can't be used: %s", config->directory,
                       mdb_strerror (rc));
    tide_lmdb_publish (self, set_aside, false);
    return true;
}

static void stop_thread (tide_lmdb_t *self, pthread_t thread)
{
    pthread_mutex_lock (&self->mutex);
    self->stopping = true;
    pthread_cond_signal (&self->writer_wakes);
    pthread_cond_signal (&self->reader_wakes);
    pthread_mutex_unlock (&self->mutex);
    pthread_join (thread, NULL);
}

/*  Signals are the main thread's. */
static bool start_threads (tide_lmdb_t *self, char **why)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = pthread_create (&self->writer, NULL, tide_lmdb_writer, self);
    if (rc == 0) {
        rc = pthread_create (&self->reader, NULL, tide_lmdb_reader, self);
        if (rc != 0)
            stop_thread (self, self->writer);
    }
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return rc == 0 || refuse (why, "a thread can't be started: %s", strerror (rc));
}

static void lmdb_free (tide_lmdb_t *self)
{
    if (self->env)
        mdb_env_close (self->env);
    if (self->event_fd >= 0)
        close (self->event_fd);
    if (self->lock_fd >= 0)
        close (self->lock_fd);
    tide_layout_table_free (&self->table);
    tide_layout_table_free (&self->next_table);
    tide_log_queue_free (&self->batches);
    tide_log_queue_free (&self->fetches);
    tide_log_queue_free (&self->done);
    tide_buffer_free (&self->scratch);
    pthread_rwlock_destroy (&self->map_lock);
    pthread_mutex_destroy (&self->mutex);
    pthread_cond_destroy (&self->writer_wakes);
    pthread_cond_destroy (&self->reader_wakes);
    free (self);
}

/*  -- what the broker's thread asks ----------------------------------------------------------- */

/*  The log is closed cleanly when the flag is on the disk behind everything else. */
static void mark_clean (tide_lmdb_t *self)
{
    MDB_txn *txn;
    if (mdb_env_sync (self->env, 1) != 0 || mdb_env_set_flags (self->env, MDB_NOSYNC, 0) != 0
        || mdb_txn_begin (self->env, NULL, 0, &txn) != 0)
        return;
    if (tide_layout_put_number (&self->layout, txn, "clean", 1) == 0)
        (void) mdb_txn_commit (txn);
    else
        mdb_txn_abort (txn);
}

static void lmdb_close (tide_log_t *base)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    stop_thread (self, self->writer);
    stop_thread (self, self->reader);
    if (!self->failed)
        mark_clean (self);
    lmdb_free (self);
}

static void lmdb_append (tide_log_t *base, tide_log_batch_t *batch)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    pthread_mutex_lock (&self->mutex);
    tide_log_queue_push (&self->batches, (tide_log_completion_t){.batch = batch});
    pthread_mutex_unlock (&self->mutex);
    pthread_cond_signal (&self->writer_wakes);
}

static void lmdb_fetch (tide_log_t *base, tide_log_fetch_t *fetch)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    pthread_mutex_lock (&self->mutex);
    tide_log_queue_push (&self->fetches, (tide_log_completion_t){.fetch = fetch});
    pthread_mutex_unlock (&self->mutex);
    pthread_cond_signal (&self->reader_wakes);
}

static int lmdb_fd (tide_log_t *base)
{
    return ((tide_lmdb_t *) base)->event_fd;
}

static bool lmdb_next (tide_log_t *base, tide_log_completion_t *completion)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    eventfd_t count;
    pthread_mutex_lock (&self->mutex);
    bool there = tide_log_queue_pop (&self->done, completion);
    if (!there)
        (void) eventfd_read (self->event_fd, &count);
    pthread_mutex_unlock (&self->mutex);
    return there;
}

static tide_log_info_t lmdb_info (tide_log_t *base)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    pthread_mutex_lock (&self->mutex);
    tide_log_info_t info = self->info;
    pthread_mutex_unlock (&self->mutex);
    return info;
}

typedef struct {
    tide_lmdb_t *log;
    tide_log_scan_fn *event;
    void *argument;
    uint64_t set_aside; /* that have still to come */
    bool has_passed;    /* all that are set aside */
} scan_t;

/*  A damaged page may look like the end of its tree: what was set aside is counted. Which ones are
 *  missing is not known, so everything up to `seq` may be. */
static void pass_set_aside (scan_t *scan, uint64_t seq)
{
    scan->has_passed = true;
    if (scan->set_aside == 0)
        return;
    tide_lmdb_note_damaged (scan->log, seq);
    scan->event (scan->argument, seq, 0, NULL);
}

static int scan_record (void *argument, const tide_layout_stored_t *stored)
{
    scan_t *scan = argument;
    if (stored->segment_first == 0)
        scan->set_aside -= scan->set_aside > 0;
    else if (!scan->has_passed)
        pass_set_aside (scan, stored->segment_first - 1);
    if (stored->damaged)
        tide_lmdb_note_damaged (scan->log, stored->seq);
    scan->event (scan->argument, stored->seq, stored->segment_first,
                 stored->damaged ? NULL : &stored->record);
    return 0;
}

/*  A page that can't be read: every event from here to the next segment is damaged. That is told,
 *  never passed over. False if there is nothing behind it. */
static bool scan_damage (scan_t *scan, const tide_layout_table_t *table, uint64_t last,
                         uint64_t *from)
{
    tide_layout_stored_t stored = {.seq = *from, .damaged = true};
    unsigned index = tide_layout_table_find (table, *from);
    if (index == table->count) { /* among those set aside: which ones is not known */
        uint64_t end = table->count > 0 ? table->at[0].first : last + 1;
        stored.seq = end > *from ? end - 1 : *from;
        scan_record (scan, &stored);
        scan->set_aside = 0;
        *from = end;
        return table->count > 0;
    }
    uint64_t end = index + 1 < table->count ? table->at[index + 1].first : last + 1;
    stored.segment_first = table->at[index].first;
    for (; stored.seq < end; stored.seq++)
        scan_record (scan, &stored);
    *from = end;
    return index + 1 < table->count;
}

/*  One read transaction's part; MDB_NOTFOUND at the end. `last` was there before it began. Damage
 *  is told; any other code says that nothing can be read. */
static int scan_part (scan_t *scan, MDB_txn *txn, tide_layout_table_t *table, uint64_t last,
                      uint64_t *from)
{
    const tide_layout_t *layout = &scan->log->layout;
    int rc = tide_layout_get_table (layout, txn, table);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    rc = tide_layout_walk (layout, txn, table, from, SCAN_PART_BYTES, scan_record, scan);
    bool ended = rc == MDB_NOTFOUND && (table->count == 0 || *from > last);
    if (rc != 0 && !ended)
        rc = scan_damage (scan, table, last, from) ? 0 : MDB_NOTFOUND;
    return rc;
}

/*  In parts, so that no snapshot is held for long. */
static tide_status_t lmdb_scan (tide_log_t *base, tide_log_scan_fn *event, void *argument)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    scan_t scan = {self, event, argument, lmdb_info (base).set_aside, false};
    tide_layout_table_t table;
    MDB_txn *txn;
    uint64_t from = 1, last = lmdb_info (base).last;
    tide_layout_table_init (&table, &self->layout);
    pthread_rwlock_rdlock (&self->map_lock);
    int rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &txn);
    while (rc == 0) {
        rc = scan_part (&scan, txn, &table, last, &from);
        mdb_txn_reset (txn);
        last = lmdb_info (base).last;
        pthread_rwlock_unlock (&self->map_lock);
        pthread_rwlock_rdlock (&self->map_lock);
        if (rc == 0)
            rc = mdb_txn_renew (txn);
        if (rc != 0)
            mdb_txn_abort (txn);
    }
    pthread_rwlock_unlock (&self->map_lock);
    tide_layout_table_free (&table);
    if (rc == MDB_NOTFOUND && !scan.has_passed)
        pass_set_aside (&scan, last);
    return rc == MDB_NOTFOUND ? TIDE_OK : TIDE_CONFLICT;
}

static tide_status_t lmdb_lost (tide_log_t *base, tide_log_lost_fn *entry, void *argument)
{
    tide_lmdb_t *self = (tide_lmdb_t *) base;
    MDB_txn *txn;
    pthread_rwlock_rdlock (&self->map_lock);
    int rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = tide_layout_each_lost (&self->layout, txn, entry, argument);
        mdb_txn_abort (txn);
    }
    pthread_rwlock_unlock (&self->map_lock);
    return rc == 0 ? TIDE_OK : TIDE_CONFLICT;
}

static const tide_log_engine_t engine = {lmdb_close,  lmdb_scan,  lmdb_lost, lmdb_info,
                                         lmdb_append, lmdb_fetch, lmdb_fd,   lmdb_next};

static tide_lmdb_t *lmdb_new (void)
{
    tide_lmdb_t *self = tide_alloc (sizeof *self);
    pthread_rwlockattr_t attributes;
    self->base.engine = &engine;
    self->lock_fd = self->event_fd = -1;
    /*  The reader takes it again and again: the writer must not starve. */
    pthread_rwlockattr_init (&attributes);
    pthread_rwlockattr_setkind_np (&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init (&self->map_lock, &attributes);
    pthread_rwlockattr_destroy (&attributes);
    pthread_mutex_init (&self->mutex, NULL);
    pthread_cond_init (&self->writer_wakes, NULL);
    pthread_cond_init (&self->reader_wakes, NULL);
    return self;
}

tide_log_t *tide_log_open_lmdb (const tide_log_lmdb_config_t *config, char **why)
{
    tide_lmdb_t *self = lmdb_new ();
    *why = NULL;
    self->sync_always = config->sync_always;
    self->event_fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool good = self->event_fd >= 0 || refuse (why, "eventfd: %s", strerror (errno));
    if (good && (config->segments < 2 || config->segments > TIDE_LAYOUT_SLOTS_MAX))
        good = refuse (why, "%u segments are asked for, 2 to %d are possible", config->segments,
                       TIDE_LAYOUT_SLOTS_MAX);
    good = good && make_directory (config->directory, why)
           && take_lock (self, config->directory, why) && check_file (config->directory, why)
           && open_environment (self, config, why) && open_trees (self, config, why)
           && sync_folder (config->directory, why) && start_threads (self, why);
    if (!good) {
        lmdb_free (self);
        return NULL;
    }
    return &self->base;
}
