/*  lmdb_check.c - verifying a log in a child process: pages, order, seals.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_check.h"

#include "lmdb_layout.h"
#include "lmdb_pages.h"
#include "tide_alloc.h"
#include "tide_log.h"
#include "tide_message.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*  Of one read transaction beside a broker: about a millisecond. */
#define PART_BYTES (1u << 20)

/*  -- topics and keys: a set of hashes, for counting ------------------------------------------- */

typedef struct {
    uint64_t *at; /* 0: free. The lowest bit says whether it counts */
    size_t count, capacity;
} set_t;

static uint64_t hash (uint64_t start, tide_bytes_t bytes)
{
    for (size_t each = 0; each < bytes.size; each++)
        start = (start ^ bytes.data[each]) * 0x100000001b3u;
    return (start ^ 0xff) * 0x100000001b3u;
}

static uint64_t *set_place (set_t *self, uint64_t value)
{
    size_t at = (size_t) (value >> 17) & (self->capacity - 1);
    while (self->at[at] && self->at[at] >> 1 != value >> 1)
        at = (at + 1) & (self->capacity - 1);
    return &self->at[at];
}

static void set_put (set_t *self, uint64_t value, bool counts)
{
    if (2 * self->count >= self->capacity) {
        set_t larger = {.capacity = self->capacity > 0 ? 2 * self->capacity : 1024};
        larger.at = tide_alloc (larger.capacity * sizeof *larger.at);
        for (size_t each = 0; each < self->capacity; each++) {
            if (self->at[each])
                *set_place (&larger, self->at[each]) = self->at[each];
        }
        larger.count = self->count;
        free (self->at);
        *self = larger;
    }
    value |= 2; /* never 0 */
    uint64_t *place = set_place (self, value);
    self->count += *place == 0;
    *place = (value & ~(uint64_t) 1) | counts;
}

static uint64_t set_count (const set_t *self)
{
    uint64_t count = 0;
    for (size_t each = 0; each < self->capacity; each++)
        count += self->at[each] & 1;
    return count;
}

/*  -- walking, in the child -------------------------------------------------------------------- */

typedef struct {
    tide_lmdb_check_t *result;
    const char *directory;
    tide_lmdb_check_mode_t mode;
    MDB_env *env;
    MDB_txn *txn;
    tide_layout_t layout;
    tide_layout_table_t table;
    tide_pages_t *pages; /* NULL beside a broker */
    set_t topics, keys;
    uint64_t previous; /* that was read */
} check_t;

static int broken (check_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/*  Says what is broken, and returns LMDB's code for it. */
static int broken (check_t *self, const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (self->result->why, sizeof self->result->why, format, arguments);
    va_end (arguments);
    return MDB_CORRUPTED;
}

static void count_record (check_t *self, const tide_layout_stored_t *stored)
{
    tide_lmdb_check_t *result = self->result;
    tide_event_t event;
    result->events++;
    result->set_aside += stored->segment_first == 0;
    if (self->mode == TIDE_LMDB_CHECK_AT_OPENING) /* the broker's scan tells of them */
        return;
    if (stored->damaged || !tide_event_decode (stored->record, &event)
        || event.seq != stored->seq) {
        if (result->damaged < TIDE_LMDB_CHECK_NAMED_MAX)
            result->named[result->damaged] = stored->seq;
        result->damaged++;
        return;
    }
    uint64_t topic = hash (0xcbf29ce484222325u, event.topic);
    set_put (&self->topics, topic, true);
    if (event.key.size > 0)
        set_put (&self->keys, hash (topic, event.key), event.payload.size > 0);
}

static int check_record (void *argument, const tide_layout_stored_t *stored)
{
    check_t *self = argument;
    tide_lmdb_check_t *result = self->result;
    if (stored->segment_first > 0 && result->first == 0)
        result->first = stored->seq;
    self->previous = stored->seq;
    if (self->pages
        && !tide_pages_check (self->pages, stored->page, stored->value, stored->value_size))
        return broken (self, "the page of sequence %" PRIu64 " is not what it should be",
                       stored->seq);
    count_record (self, stored);
    if (stored->seq % 1024 == 0)
        snprintf (result->place, sizeof result->place, "sequence %" PRIu64, stored->seq);
    return 0;
}

static void count_lost (void *argument, tide_bytes_t topic, uint64_t seq)
{
    (void) topic;
    (void) seq;
    ((check_t *) argument)->result->lost++;
}

static void set_at (check_t *self, const char *place)
{
    snprintf (self->result->place, sizeof self->result->place, "%s", place);
}

static int begin (check_t *self)
{
    int rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &self->txn);
    if (rc == MDB_MAP_RESIZED) { /* by the broker beside which this runs */
        rc = mdb_env_set_mapsize (self->env, 0);
        if (rc == 0)
            rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &self->txn);
    }
    return rc;
}

static int read_table (check_t *self)
{
    int rc = tide_layout_get_table (&self->layout, self->txn, &self->table);
    if (rc != 0)
        return broken (self, "the table of segments can't be read: %s", mdb_strerror (rc));
    self->result->segments = self->table.count;
    return 0;
}

/*  Beside a broker in parts, each in a transaction of its own; else all at once. */
static int walk_records (check_t *self)
{
    size_t part = self->mode == TIDE_LMDB_CHECK_BESIDE ? PART_BYTES : SIZE_MAX;
    uint64_t from = 1;
    int rc = 0;
    for (;;) {
        rc = read_table (self);
        if (rc == 0)
            rc = tide_layout_walk (&self->layout, self->txn, &self->table, &from, part,
                                   check_record, self);
        if (rc == MDB_NOTFOUND)
            return 0;
        if (rc != 0 && self->result->why[0] == 0)
            return broken (self, "what should follow sequence %" PRIu64 " is not there",
                           self->previous);
        if (rc != 0)
            return rc;
        /*  The trees' handles stay open only if the transaction that opened them commits. */
        (void) mdb_txn_commit (self->txn);
        self->txn = NULL;
        rc = begin (self);
        if (rc != 0)
            return rc;
    }
}

/*  A page that was passed over is missed here: each tree knows how many entries it has. */
static int check_entries (check_t *self)
{
    uint64_t entries = 0;
    MDB_stat stat;
    int rc = mdb_stat (self->txn, self->layout.kept, &stat);
    entries += rc == 0 ? stat.ms_entries : 0;
    for (unsigned each = 0; rc == 0 && each < self->table.count; each++) {
        rc = mdb_stat (self->txn, self->layout.slots[self->table.at[each].slot], &stat);
        entries += rc == 0 ? stat.ms_entries : 0;
    }
    if (rc == 0 && entries != self->result->events)
        rc = broken (self, "it should hold %" PRIu64 " events, but %" PRIu64 " were found", entries,
                     self->result->events);
    return rc;
}

static int check_last (check_t *self)
{
    tide_lmdb_check_t *result = self->result;
    uint64_t last = 0;
    int rc = tide_layout_last (&self->layout, self->txn, &self->table, &last);
    if (rc != 0)
        return broken (self, "the last sequence can't be read: %s", mdb_strerror (rc));
    result->last = last;
    return self->mode == TIDE_LMDB_CHECK_BESIDE ? 0 : check_entries (self);
}

static int walk (check_t *self)
{
    set_at (self, "the list of free pages");
    if (self->mode != TIDE_LMDB_CHECK_BESIDE) {
        self->pages = tide_pages_new (self->env);
        if (!tide_pages_mark_free (self->pages, self->txn))
            return broken (self, "the list of free pages is wrong");
    }
    set_at (self, "what was lost");
    int rc = tide_layout_each_lost (&self->layout, self->txn, count_lost, self);
    if (rc != 0)
        return broken (self, "what was lost can't be read: %s", mdb_strerror (rc));
    set_at (self, "the first events");
    rc = walk_records (self);
    if (rc == 0)
        rc = check_last (self);
    self->result->topics = set_count (&self->topics);
    self->result->standing = set_count (&self->keys);
    return rc;
}

static tide_lmdb_check_t *shared; /* by the child and whoever waits for it */

static void end_by_assert (MDB_env *env, const char *text)
{
    (void) env;
    snprintf (shared->why, sizeof shared->why, "%.90s: %.150s", shared->place, text);
    _exit (2);
}

static int open_log (check_t *self)
{
    MDB_stat stat;
    unsigned flags = MDB_RDONLY | MDB_NOTLS;
    if (self->mode == TIDE_LMDB_CHECK_AT_OPENING)
        flags |= MDB_NOLOCK;
    set_at (self, "its first pages");
    int rc = tide_layout_create (&self->env);
    if (rc == 0)
        rc = mdb_env_set_assert (self->env, end_by_assert);
    if (rc == 0)
        rc = mdb_env_open (self->env, self->directory, flags, 0600);
    if (rc == 0)
        rc = begin (self);
    if (rc != 0)
        return rc;
    MDB_dbi main;
    rc = mdb_dbi_open (self->txn, NULL, 0, &main);
    if (rc == 0)
        rc = mdb_stat (self->txn, main, &stat);
    self->result->found = rc == 0 && stat.ms_entries > 0;
    return rc;
}

static int read_meta (check_t *self)
{
    tide_lmdb_check_t *result = self->result;
    uint64_t format = 0, clean = 0;
    set_at (self, "its list of trees");
    int rc = tide_layout_open (&self->layout, self->txn, false, 0);
    if (rc == 0)
        rc = tide_layout_get_number (&self->layout, self->txn, "format", &format);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
        return broken (self, "it is not a log of Tidemark's");
    if (rc == 0 && format != TIDE_LAYOUT_FORMAT) {
        result->foreign = true;
        return broken (self, "its format is %" PRIu64 ", and only format %d is known here", format,
                       TIDE_LAYOUT_FORMAT);
    }
    if (rc == 0)
        rc = tide_layout_get_number (&self->layout, self->txn, "epoch", &result->epoch);
    if (rc == 0)
        rc = tide_layout_get_number (&self->layout, self->txn, "clean", &clean);
    result->clean = clean == 1;
    result->slots = self->layout.slot_count;
    tide_layout_table_init (&self->table, &self->layout);
    return rc;
}

static void check (check_t *self)
{
    tide_lmdb_check_t *result = self->result;
    MDB_envinfo info;
    MDB_stat stat;
    int rc = open_log (self);
    if (rc == 0 && result->found) {
        rc = read_meta (self);
        bool is_short = result->file_size < result->file_needed;
        if (rc == 0 && (self->mode != TIDE_LMDB_CHECK_AT_OPENING || !result->clean || is_short))
            rc = walk (self);
    }
    if (rc == 0 && mdb_env_info (self->env, &info) == 0 && mdb_env_stat (self->env, &stat) == 0)
        result->size = ((uint64_t) info.me_last_pgno + 1) * stat.ms_psize;
    if (rc != 0 && result->why[0] == 0)
        (void) broken (self, "%s: %s", result->place, mdb_strerror (rc));
    result->sound = rc == 0;
    result->finished = true;
}

/*  -- the child ------------------------------------------------------------------------------- */

static void end_by_signal (int number)
{
    (void) number;
    _exit (2);
}

static _Noreturn void run_child (const char *directory, tide_lmdb_check_mode_t mode)
{
    static const int deadly[] = {SIGBUS, SIGSEGV, SIGABRT, SIGFPE, SIGILL};
    for (size_t each = 0; each < sizeof deadly / sizeof *deadly; each++)
        signal (deadly[each], end_by_signal);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    check_t *self = tide_alloc (sizeof *self);
    self->result = shared;
    self->directory = directory;
    self->mode = mode;
    check (self);
    /*  Leaves its place in LMDB's table of readers. The rest goes with the process. */
    if (self->txn)
        mdb_txn_abort (self->txn);
    if (self->env)
        mdb_env_close (self->env);
    _exit (0);
}

void tide_lmdb_check (const char *directory, tide_lmdb_check_mode_t mode, tide_lmdb_check_t *result)
{
    shared = mmap (NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        shared = NULL;
        *result = (tide_lmdb_check_t){0};
        snprintf (result->why, sizeof result->why, "it can't be checked: %s", strerror (errno));
        return;
    }
    tide_pages_measure (directory, &shared->file_size, &shared->file_needed);
    pid_t child = fork ();
    if (child == 0)
        run_child (directory, mode);
    if (child < 0)
        snprintf (shared->why, sizeof shared->why, "it can't be checked: %s", strerror (errno));
    while (child > 0 && waitpid (child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && !shared->finished) {
        if (shared->file_size < shared->file_needed)
            snprintf (shared->why, sizeof shared->why,
                      "it is cut short: %" PRIu64 " bytes of %" PRIu64, shared->file_size,
                      shared->file_needed);
        else if (shared->why[0] == 0)
            snprintf (shared->why, sizeof shared->why, "%s can't be read", shared->place);
    }
    *result = *shared;
    munmap (shared, sizeof *shared);
    shared = NULL;
}

/*  -- tidemark check -------------------------------------------------------------------------- */

static void report_damaged (tide_buffer_t *report, const tide_lmdb_check_t *result)
{
    if (result->damaged == 0) {
        tide_buffer_append_text (report, "damaged    none\n");
        return;
    }
    tide_buffer_printf (report, "damaged    %" PRIu64 " records, never served:", result->damaged);
    for (uint64_t each = 0; each < result->damaged && each < TIDE_LMDB_CHECK_NAMED_MAX; each++)
        tide_buffer_printf (report, " %" PRIu64, result->named[each]);
    tide_buffer_append_text (report,
                             result->damaged > TIDE_LMDB_CHECK_NAMED_MAX ? " and more\n" : "\n");
}

static void report_log (tide_buffer_t *report, const tide_lmdb_check_t *result, bool in_use)
{
    tide_buffer_printf (report, "format     %d\n", TIDE_LAYOUT_FORMAT);
    tide_buffer_printf (report, "epoch      %016" PRIx64 "\n", result->epoch);
    if (result->first > 0)
        tide_buffer_printf (report, "sequences  %" PRIu64 " to %" PRIu64 "\n", result->first,
                            result->last);
    else
        tide_buffer_printf (report, "sequences  none kept, the last was %" PRIu64 "\n",
                            result->last);
    tide_buffer_printf (report, "events     %" PRIu64 ", of these %" PRIu64 " set aside\n",
                        result->events, result->set_aside);
    tide_buffer_printf (report, "topics     %" PRIu64 "\n", result->topics);
    tide_buffer_printf (report, "standing   %" PRIu64 " keys\n", result->standing);
    tide_buffer_printf (report, "trimmed    %" PRIu64 " topics have lost events\n", result->lost);
    tide_buffer_printf (report, "segments   %" PRIu64 " of %" PRIu64 "\n", result->segments,
                        result->slots);
    tide_buffer_printf (report, "size       %" PRIu64 " bytes\n", result->size);
    tide_buffer_printf (report, "closed     %s\n",
                        in_use          ? "no, a broker is using it"
                        : result->clean ? "cleanly"
                                        : "not cleanly");
    report_damaged (report, result);
}

/*  True if a broker holds the log's lock. It is only asked about, never taken. */
static bool is_in_use (const char *directory)
{
    char path[4096];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf (path, sizeof path, "%s/" TIDE_LAYOUT_LOCK, directory);
    int fd = open (path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool in_use = fcntl (fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close (fd);
    return in_use;
}

tide_status_t tide_log_check (const char *directory, tide_buffer_t *report)
{
    tide_lmdb_check_t result = {0};
    struct stat file;
    char path[4096];
    snprintf (path, sizeof path, "%s/" TIDE_LAYOUT_DATA, directory);
    tide_buffer_printf (report, "log        %s\n", directory);
    if (stat (path, &file) != 0 || file.st_size == 0) {
        tide_buffer_printf (report, "result     there is no log\n");
        return TIDE_NOT_FOUND;
    }
    if (access (path, R_OK) != 0 || (access (directory, W_OK) != 0 && errno == EACCES)) {
        tide_buffer_printf (report, "result     it can't be read: %s\n", strerror (errno));
        return TIDE_FORBIDDEN;
    }
    bool in_use = is_in_use (directory);
    tide_lmdb_check (directory, in_use ? TIDE_LMDB_CHECK_BESIDE : TIDE_LMDB_CHECK_ALONE, &result);
    if (result.sound && !result.found) {
        tide_buffer_printf (report, "result     there is no log, one was only begun\n");
        return TIDE_NOT_FOUND;
    }
    if (result.foreign) {
        tide_buffer_printf (report, "result     another version's log: %s\n", result.why);
        return TIDE_BAD_REQUEST;
    }
    if (result.sound)
        report_log (report, &result, in_use);
    else
        tide_buffer_printf (report, "broken     %s: %s\n", path, result.why);
    bool good = result.sound && result.damaged == 0;
    tide_buffer_printf (report, "result     %s\n", good ? "sound" : "damaged");
    return good ? TIDE_OK : TIDE_CONFLICT;
}
