/*  test_tide_log_lmdb.c - what the LMDB engine promises beyond the conformance suite: what outlives
 *  a kill and a full disk, what a failing disk ends, and how quickly it starts.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_log_lmdb_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/*  -- the disk, as the engine sees it: this function stands before the C library's ------------- */

static pthread_mutex_t disk_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t disk_changed = PTHREAD_COND_INITIALIZER;
static unsigned disk_syncs;
static bool disk_fails, disk_holds;

int fdatasync (int fd)
{
    pthread_mutex_lock (&disk_mutex);
    disk_syncs++;
    bool fails = disk_fails;
    pthread_cond_broadcast (&disk_changed);
    while (disk_holds)
        pthread_cond_wait (&disk_changed, &disk_mutex);
    pthread_mutex_unlock (&disk_mutex);
    if (fails) {
        errno = EIO;
        return -1;
    }
    return (int) syscall (SYS_fdatasync, fd);
}

static void disk_set (bool fails, bool holds)
{
    pthread_mutex_lock (&disk_mutex);
    disk_fails = fails;
    disk_holds = holds;
    disk_syncs = 0;
    pthread_cond_broadcast (&disk_changed);
    pthread_mutex_unlock (&disk_mutex);
}

static void disk_wait_for_sync (void)
{
    pthread_mutex_lock (&disk_mutex);
    while (disk_syncs == 0)
        pthread_cond_wait (&disk_changed, &disk_mutex);
    pthread_mutex_unlock (&disk_mutex);
}

/*  The system makes no file of this process larger than that; 0: any size. */
static void limit_files (rlim_t size)
{
    struct rlimit limit;
    assert_int_equal (getrlimit (RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size > 0 ? size : limit.rlim_max;
    assert_int_equal (setrlimit (RLIMIT_FSIZE, &limit), 0);
    signal (SIGXFSZ, size > 0 ? SIG_IGN : SIG_DFL);
}

/*  -- fixture --------------------------------------------------------------------------------- */

static int setup (void **state)
{
    *state = fixture_directory ();
    return 0;
}

static int teardown (void **state)
{
    disk_set (false, false);
    limit_files (0);
    fixture_remove ((char **) state);
    return 0;
}

/*  -- reopening ------------------------------------------------------------------------------- */

static void g2_everything_outlives_a_clean_stop (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 3, 4);
    tide_log_batch_t *batch = fixture_segment (13, 2);
    batch->drop_through = 8;
    fixture_keep (batch, 2, (uint64_t[]){3, 8});
    fixture_lose (batch, "", 7);
    fixture_lose (batch, "some/topic", 6);
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    tide_log_info_t before = tide_log_info (log);
    tide_log_close (&log);

    tide_log_lmdb_config_t config = config_of (*state);
    config.epoch_seed = 99;
    config.boot_id = "another";
    log = open_with (&config);
    tide_log_info_t after = tide_log_info (log);
    assert_true (after.epoch == 77 && after.first == 9 && after.last == 14);
    assert_true (after.events == before.events && after.set_aside == 2 && after.segments == 2);
    fixture_check_scan (log, "3k 8k 9@9 10@9 11@9 12@9 13@13 14@13");
    fixture_check_lost (log, "=7 some/topic=6");
    assert_int_equal (fixture_append (log, fixture_batch (15, 1)), TIDE_OK);
    fixture_check_scan (log, "3k 8k 9@9 10@9 11@9 12@9 13@13 14@13 15@13");
    tide_log_close (&log);
}

static void g3_last_is_right_after_all_events_are_gone (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 2, 10);
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->drop_through = 20;
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    tide_log_close (&log);
    log = open_at (*state);
    assert_true (tide_log_info (log).last == 20 && tide_log_info (log).first == 0);
    assert_int_equal (fixture_append (log, fixture_batch (21, 1)), TIDE_OK);
    tide_log_close (&log);
}

static void the_number_of_segments_may_change (void **state)
{
    tide_log_lmdb_config_t config = config_of (*state);
    config.segments = 2;
    tide_log_t *log = open_with (&config);
    fill (log, 1, 2, 3);
    /*  More than were asked for: refused, nothing else happens. */
    assert_int_equal (fixture_append (log, fixture_segment (7, 3)), TIDE_LOG_FULL);
    assert_int_equal (fixture_append (log, fixture_batch (7, 1)), TIDE_OK);
    tide_log_close (&log);

    config.segments = 5;
    log = open_with (&config);
    fill (log, 8, 3, 1);
    fixture_check_scan (log, "1@1 2@1 3@1 4@4 5@4 6@4 7@4 8@8 9@9 10@10");
    tide_log_close (&log);

    config.segments = 3;
    log = open_with (&config);
    fixture_check_scan (log, "1@1 2@1 3@1 4@4 5@4 6@4 7@4 8@8 9@9 10@10");
    tide_log_batch_t *batch = fixture_segment (11, 1);
    batch->drop_through = 7;
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    fixture_check_scan (log, "8@8 9@9 10@10 11@11");
    tide_log_close (&log);

    config.segments = 5000;
    char *why = NULL;
    assert_null (tide_log_open_lmdb (&config, &why));
    assert_non_null (strstr (why, "5000 segments"));
    free (why);
}

/*  -- epochs ---------------------------------------------------------------------------------- */

static uint64_t epoch_after (const char *directory, bool unclean, const char *boot_id)
{
    char *copy = copy_of (directory);
    tide_log_lmdb_config_t config = config_of (copy);
    config.epoch_seed = 99;
    if (!unclean) {
        config.boot_id = "first";
        tide_log_t *log = open_with (&config);
        tide_log_close (&log);
    }
    config.boot_id = boot_id;
    tide_log_t *log = open_with (&config);
    uint64_t epoch = tide_log_info (log).epoch;
    assert_true (tide_log_info (log).last == 5);
    assert_int_equal (fixture_append (log, fixture_batch (6, 1)), TIDE_OK);
    tide_log_close (&log);
    fixture_remove (&copy);
    return epoch;
}

static void g8_an_unclean_stop_of_the_machine_begins_an_epoch_unless_synced (void **state)
{
    tide_log_lmdb_config_t config = config_of (*state);
    config.boot_id = "first";
    config.sync_always = false;
    tide_log_t *log = open_with (&config);
    fixture_append (log, fixture_batch (1, 5));
    assert_true (tide_log_info (log).syncs == 0);
    assert_true (epoch_after (*state, true, "first") == 77);
    assert_true (epoch_after (*state, true, "second") == 99);
    assert_true (epoch_after (*state, true, NULL) == 99);
    assert_true (epoch_after (*state, false, "second") == 77);
    tide_log_close (&log);

    config.sync_always = true;
    log = open_with (&config);
    assert_true (epoch_after (*state, true, "second") == 77);
    tide_log_close (&log);
}

/*  -- kill -9 --------------------------------------------------------------------------------- */

enum { KILLS = 20, BATCH = 50, SEGMENT = 500, KEPT_SEGMENTS = 3, WINDOW = 4 };

static tide_log_batch_t *next_of_stream (uint64_t first)
{
    tide_log_batch_t *batch = fixture_batch (first, BATCH);
    if ((first - 1) % SEGMENT != 0)
        return batch;
    batch->begin_segment = true;
    if (first <= KEPT_SEGMENTS * SEGMENT)
        return batch;
    batch->drop_through = first - 1 - (KEPT_SEGMENTS - 1) * SEGMENT;
    uint64_t keep[SEGMENT / 100];
    for (uint64_t each = 0; each < SEGMENT / 100; each++)
        keep[each] = batch->drop_through - SEGMENT + 100 * (each + 1);
    fixture_keep (batch, SEGMENT / 100, keep);
    return batch;
}

/*  Appends until it is killed; each acknowledgement goes down the pipe. */
static _Noreturn void run_writer (const char *directory, int acknowledgements)
{
    tide_log_lmdb_config_t config = config_of (directory);
    char *why;
    tide_log_t *log = tide_log_open_lmdb (&config, &why);
    if (!log)
        _exit (1);
    uint64_t next = tide_log_info (log).last + 1;
    for (unsigned open = 0;; open--) {
        for (; open < WINDOW; open++, next += BATCH) {
            tide_log_batch_t *batch = next_of_stream (next);
            tide_log_append (log, &batch);
        }
        tide_log_completion_t completion = fixture_wait (log);
        uint64_t last = completion.batch->first + BATCH - 1;
        if (completion.status != TIDE_OK
            || write (acknowledgements, &last, sizeof last) != sizeof last)
            _exit (1);
        tide_log_batch_destroy (&completion.batch);
    }
}

typedef struct {
    uint64_t kept, previous, in_segments;
    bool good;
} stream_t;

static void stream_told (void *argument, uint64_t seq, uint64_t segment_first,
                         const tide_bytes_t *record)
{
    stream_t *self = argument;
    self->good = self->good && record;
    if (segment_first == 0) {
        self->kept++;
        self->good = self->good && seq == 100 * self->kept;
        return;
    }
    self->good = self->good && segment_first == (seq - 1) / SEGMENT * SEGMENT + 1
                 && (self->in_segments == 0 || seq == self->previous + 1);
    self->in_segments++;
    self->previous = seq;
}

static void check_stream (const char *directory, uint64_t acknowledged)
{
    tide_log_t *log = open_at (directory);
    tide_log_info_t info = tide_log_info (log);
    stream_t stream = {.good = true};
    assert_true (info.epoch == 77);
    assert_true (info.last >= acknowledged);
    assert_int_equal (info.last % BATCH, 0);
    tide_log_scan (log, stream_told, &stream);
    assert_true (stream.good && stream.previous == info.last);
    assert_true (info.first == 0 || stream.in_segments == info.last - info.first + 1);
    assert_true (info.first == 0 || stream.kept == (info.first - 1) / 100);
    tide_log_close (&log);
}

static void g2_what_was_acknowledged_outlives_kill_9_in_mid_commit (void **state)
{
    uint64_t acknowledged = 0;
    for (unsigned round = 0; round < KILLS; round++) {
        int ends[2];
        assert_int_equal (pipe (ends), 0);
        pid_t child = fork ();
        assert_true (child >= 0);
        if (child == 0) {
            close (ends[0]);
            run_writer (*state, ends[1]);
        }
        close (ends[1]);
        for (unsigned each = 0; each < 5 + 7 * round % 60; each++)
            assert_int_equal (read (ends[0], &acknowledged, sizeof acknowledged),
                              sizeof acknowledged);
        kill (child, SIGKILL);
        assert_int_equal (waitpid (child, NULL, 0), child);
        while (read (ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        close (ends[0]);
        check_reported (*state, TIDE_OK, "closed     not cleanly");
        check_stream (*state, acknowledged);
    }
    print_message ("%u kills, %llu events\n", KILLS, (unsigned long long) acknowledged);
}

/*  -- no room --------------------------------------------------------------------------------- */

static uint64_t append_until_full (tide_log_t *log, uint64_t next, unsigned most)
{
    for (unsigned each = 0; each < most; each++, next += 20) {
        tide_log_batch_t *batch = fixture_batch_of (next, 20, 2000);
        batch->begin_segment = each % 10 == 0;
        tide_status_t status = fixture_append (log, batch);
        if (status == TIDE_LOG_FULL)
            return next;
        assert_int_equal (status, TIDE_OK);
    }
    fail_msg ("never full");
    return next;
}

static void a_full_log_serves_readers_and_goes_on_when_trimmed (void **state)
{
    tide_log_lmdb_config_t config = config_of (*state);
    config.size_max = 4 << 20;
    config.segments = 20;
    tide_log_t *log = open_with (&config);
    uint64_t next = 1;
    for (unsigned round = 0; round < 12; round++) {
        next = append_until_full (log, next, 1000);
        tide_log_info_t info = tide_log_info (log);
        assert_true (info.last == next - 1);
        assert_true (info.size <= config.size_max);
        assert_true (info.events > 500);
        assert_int_equal (fixture_look (log, info.first), 'f');
        assert_int_equal (fixture_look (log, info.last), 'f');
        assert_int_equal (fixture_append (log, fixture_batch_of (next, 20, 2000)), TIDE_LOG_FULL);
        tide_log_batch_t *batch = tide_log_batch_new ();
        batch->drop_through = info.last - 600;
        assert_int_equal (fixture_append (log, batch), TIDE_OK);
        assert_true (tide_log_info (log).first > info.first);
        assert_int_equal (fixture_append (log, fixture_segment (next, 1)), TIDE_OK);
        next++;
    }
    tide_log_close (&log);
    check_reported (*state, TIDE_OK, "closed     cleanly");
}

static void a_limit_lower_than_the_file_leaves_it_usable (void **state)
{
    tide_log_t *log = open_at (*state);
    for (uint64_t first = 1; first <= 3001; first += 1000) {
        tide_log_batch_t *batch = fixture_batch_of (first, 1000, 1000);
        batch->begin_segment = true;
        assert_int_equal (fixture_append (log, batch), TIDE_OK);
    }
    tide_log_close (&log);
    tide_log_lmdb_config_t config = config_of (*state);
    config.size_max = 1 << 20;
    log = open_with (&config);
    assert_int_equal (fixture_append (log, fixture_batch_of (4001, 500, 1000)), TIDE_LOG_FULL);
    assert_int_equal (fixture_look (log, 4000), 'f');
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->drop_through = 2000;
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    assert_int_equal (fixture_append (log, fixture_batch_of (4001, 500, 1000)), TIDE_OK);
    tide_log_close (&log);
}

/*  Batches that wait behind one that found no room were numbered behind it. */
static void batches_behind_one_that_found_no_room_are_refused_too (void **state)
{
    tide_log_lmdb_config_t config = config_of (*state);
    config.size_max = 4 << 20;
    tide_log_t *log = open_with (&config);
    uint64_t firsts[] = {1, 21, 221, 0};
    tide_log_batch_t *batches[] = {fixture_batch (1, 20), fixture_batch_of (21, 200, 100000),
                                   fixture_batch (221, 1)};
    disk_set (false, true);
    for (size_t each = 0; each < 3; each++)
        tide_log_append (log, &batches[each]);
    disk_set (false, false);
    for (size_t each = 0; each < 3; each++) {
        tide_log_completion_t completion = fixture_wait (log);
        assert_true (completion.batch->first == firsts[each]);
        assert_int_equal (completion.status, each == 0 ? TIDE_OK : TIDE_LOG_FULL);
        tide_log_batch_destroy (&completion.batch);
    }
    assert_int_equal (fixture_append (log, fixture_batch (21, 1)), TIDE_OK);
    tide_log_close (&log);
}

/*  The system refuses to make the file longer, as a full disk does. */
static void a_full_disk_is_survived (void **state)
{
    tide_log_t *log = open_at (*state);
    limit_files (8 << 20);
    uint64_t next = append_until_full (log, 1, 400);
    assert_int_equal (fixture_append (log, fixture_batch_of (next, 20, 2000)), TIDE_LOG_FULL);
    assert_int_equal (fixture_look (log, 1), 'f');
    assert_int_equal (fixture_look (log, next - 1), 'f');
    assert_int_equal (fixture_look (log, next), 'm');
    limit_files (0);
    assert_int_equal (fixture_append (log, fixture_batch_of (next, 20, 2000)), TIDE_OK);
    assert_true (fixture_count (log).count == next + 19);
    char *copy = copy_of (*state);
    check_reported (copy, TIDE_OK, "result     sound");
    fixture_remove (&copy);
    tide_log_close (&log);
}

/*  What says that something is to be forgotten frees little: it must not write where nothing is. */
static void forgetting_on_a_full_disk_ends_nothing (void **state)
{
    tide_log_t *log = open_at (*state);
    limit_files (8 << 20);
    uint64_t next = append_until_full (log, 1, 400);
    for (unsigned each = 0; each < 300; each++) {
        tide_log_batch_t *batch = fixture_batch_of (next, 20, 2000);
        fixture_forget (batch, 1, (uint64_t[]){1});
        tide_status_t status = fixture_append (log, batch);
        next += status == TIDE_OK ? 20 : 0;
        assert_true (status == TIDE_OK || status == TIDE_LOG_FULL);
    }
    limit_files (0);
    assert_int_equal (fixture_append (log, fixture_batch_of (next, 20, 2000)), TIDE_OK);
    assert_true (fixture_count (log).count == next + 19);
    tide_log_close (&log);
}

static void the_map_grows_without_a_restart (void **state)
{
    tide_log_t *log = open_at (*state);
    uint64_t next = 1;
    for (unsigned each = 0; each < 48; each++, next += 20) {
        assert_int_equal (fixture_append (log, fixture_batch_of (next, 20, 100000)), TIDE_OK);
        assert_int_equal (fixture_look (log, next / 2 + 1), 'f');
    }
    assert_true (tide_log_info (log).size > 90 << 20);
    assert_true (fixture_count (log).count == next - 1);
    tide_log_close (&log);
    log = open_at (*state);
    assert_true (fixture_count (log).count == next - 1);
    tide_log_close (&log);
}

/*  -- the disk fails -------------------------------------------------------------------------- */

static void batches_that_wait_share_one_commit (void **state)
{
    tide_log_t *log = open_at (*state);
    disk_set (false, true);
    for (uint64_t first = 1; first <= 11; first++) {
        tide_log_batch_t *batch = fixture_batch (first, 1);
        tide_log_append (log, &batch);
        if (first == 1)
            disk_wait_for_sync ();
    }
    disk_set (false, false);
    for (uint64_t first = 1; first <= 11; first++) {
        tide_log_completion_t completion = fixture_wait (log);
        assert_int_equal (completion.status, TIDE_OK);
        assert_true (completion.batch->first == first);
        tide_log_batch_destroy (&completion.batch);
    }
    assert_true (tide_log_info (log).commits == 2);
    assert_true (tide_log_info (log).syncs == 2);
    tide_log_close (&log);
}

static void g3_a_batch_is_not_seen_before_it_is_synced (void **state)
{
    tide_log_t *log = open_at (*state);
    tide_log_batch_t *batch = fixture_batch (1, 1);
    disk_set (false, true);
    tide_log_append (log, &batch);
    disk_wait_for_sync ();
    assert_int_equal (fixture_look (log, 1), 'm');
    assert_true (tide_log_info (log).last == 0);
    disk_set (false, false);
    tide_log_completion_t completion = fixture_wait (log);
    assert_int_equal (completion.status, TIDE_OK);
    tide_log_batch_destroy (&completion.batch);
    assert_int_equal (fixture_look (log, 1), 'f');
    tide_log_close (&log);
}

static void g2_a_sync_that_failed_is_never_tried_again (void **state)
{
    tide_log_t *log = open_at (*state);
    fixture_append (log, fixture_batch (1, 3));
    disk_set (true, false);
    assert_int_equal (fixture_append (log, fixture_batch (4, 1)), TIDE_SHUTTING_DOWN);
    assert_int_equal (disk_syncs, 1);
    disk_set (false, false);
    assert_int_equal (fixture_append (log, fixture_batch (4, 1)), TIDE_SHUTTING_DOWN);
    assert_int_equal (fixture_append (log, tide_log_batch_new ()), TIDE_SHUTTING_DOWN);
    assert_int_equal (disk_syncs, 0);
    assert_int_equal (fixture_look (log, 3), 'f');
    tide_log_close (&log);
    assert_int_equal (disk_syncs, 0);
    check_reported (*state, TIDE_OK, "closed     not cleanly");
    log = open_at (*state);
    assert_true (tide_log_info (log).last == 3);
    tide_log_close (&log);
}

/*  -- one broker ------------------------------------------------------------------------------ */

static void a_second_broker_is_refused (void **state)
{
    tide_log_t *log = open_at (*state);
    check_refused (*state, "in use by another broker");
    pid_t child = fork ();
    assert_true (child >= 0);
    if (child == 0) {
        tide_log_lmdb_config_t config = config_of (*state);
        char *why = NULL;
        tide_log_t *other = tide_log_open_lmdb (&config, &why);
        _exit (!other && strstr (why, "in use by another broker") ? 0 : 1);
    }
    int status;
    assert_int_equal (waitpid (child, &status, 0), child);
    assert_true (WIFEXITED (status) && WEXITSTATUS (status) == 0);
    /*  The first has not lost its lock by that. */
    check_refused (*state, "in use by another broker");
    assert_int_equal (fixture_append (log, fixture_batch (1, 1)), TIDE_OK);
    tide_log_close (&log);
    log = open_at (*state);
    tide_log_close (&log);
}

/*  -- a million ------------------------------------------------------------------------------- */

static double now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static double time_start (const char *directory, const char *what, uint64_t count)
{
    double start = now_ms ();
    tide_log_t *log = open_at (directory);
    double opened = now_ms ();
    fixture_count_t counted = fixture_count (log);
    double scanned = now_ms ();
    assert_true (counted.count == count && counted.is_rising && counted.damaged == 0);
    print_message ("%s: %.0f ms to open, %.0f ms to scan\n", what, opened - start,
                   scanned - opened);
    tide_log_close (&log);
    return scanned - start;
}

static void a_million_events_are_scanned (void **state)
{
    enum { MILLION = 1000000, AT_ONCE = 4000, IN_SEGMENT = 64000 };
    tide_log_lmdb_config_t config = config_of (*state);
    config.segments = 20;
    tide_log_t *log = open_with (&config);
    double start = now_ms ();
    for (uint64_t first = 1; first <= MILLION; first += AT_ONCE) {
        tide_log_batch_t *batch = fixture_batch_of (first, AT_ONCE, 128);
        batch->begin_segment = (first - 1) % IN_SEGMENT == 0;
        assert_int_equal (fixture_append (log, batch), TIDE_OK);
    }
    print_message ("%d events, batches of %d, made in %.0f ms\n", MILLION, AT_ONCE,
                   now_ms () - start);
    char *unclean = copy_of (*state);
    tide_log_close (&log);
    time_start (*state, "after a clean stop", MILLION);
    time_start (unclean, "after an unclean stop", MILLION);
    fixture_remove (&unclean);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (g2_everything_outlives_a_clean_stop),
        TEST (g3_last_is_right_after_all_events_are_gone),
        TEST (the_number_of_segments_may_change),
        TEST (g8_an_unclean_stop_of_the_machine_begins_an_epoch_unless_synced),
        TEST (g2_what_was_acknowledged_outlives_kill_9_in_mid_commit),
        TEST (a_full_log_serves_readers_and_goes_on_when_trimmed),
        TEST (a_limit_lower_than_the_file_leaves_it_usable),
        TEST (batches_behind_one_that_found_no_room_are_refused_too),
        TEST (a_full_disk_is_survived),
        TEST (forgetting_on_a_full_disk_ends_nothing),
        TEST (the_map_grows_without_a_restart),
        TEST (batches_that_wait_share_one_commit),
        TEST (g3_a_batch_is_not_seen_before_it_is_synced),
        TEST (g2_a_sync_that_failed_is_never_tried_again),
        TEST (a_second_broker_is_refused),
        TEST (a_million_events_are_scanned),
    };
    return cmocka_run_group_tests_name ("tide_log_lmdb", tests, NULL, NULL);
}
