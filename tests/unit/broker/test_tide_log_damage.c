/*  test_tide_log_damage.c - damaged, truncated and foreign files: what is refused, what is named
 *  and never served, and what tide_log_check reports.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_log_lmdb_fixture.h"

#include <lmdb.h>

static int setup (void **state)
{
    *state = fixture_directory ();
    return 0;
}

static int teardown (void **state)
{
    fixture_remove ((char **) state);
    return 0;
}

/*  Overwrites, wherever the payload of this event lies in the file, `size` bytes of it, or of the
 *  beginning of its page. */
static void damage (const char *directory, uint64_t seq, bool page, size_t size)
{
    char mark[32];
    tide_buffer_t data = read_data (directory);
    unsigned places = 0;
    size_t length =
        (size_t) snprintf (mark, sizeof mark, "<<event %llu>>", (unsigned long long) seq);
    for (size_t at = 0; at + length <= data.size; at++) {
        if (memcmp (data.data + at, mark, length) != 0)
            continue;
        memset (data.data + (page ? at / PAGE * PAGE : at), 0xee, size);
        places++;
    }
    assert_true (places > 0);
    write_data (directory, data.data, data.size);
    tide_buffer_free (&data);
}

/*  -- damage ---------------------------------------------------------------------------------- */

static void check_one_is_damaged (const char *directory)
{
    tide_log_t *log = open_at (directory);
    fixture_count_t count = fixture_count (log);
    assert_true (count.count == 40 && count.damaged == 1);
    tide_log_fetch_t *fetch = fixture_fetch (log, 4, (uint64_t[]){6, 7, 8, 41}, 1 << 20);
    assert_true (fetch->done == 4 && fetch->found == 2);
    assert_true (fetch->damaged_count == 1 && fetch->damaged[0] == 7);
    assert_true (fetch->missing_count == 1 && fetch->missing[0] == 41);
    tide_log_fetch_destroy (&fetch);
    assert_true (tide_log_info (log).damaged == 1);
    /*  Set aside, it stays recognisable. */
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->drop_through = 40;
    fixture_keep (batch, 3, (uint64_t[]){6, 7, 8});
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    fixture_check_scan (log, "6k 7!k 8k");
    tide_log_close (&log);
}

static void a_damaged_record_is_named_and_never_served (void **state)
{
    tide_log_t *log = open_at (*state);
    fixture_append (log, fixture_batch (1, 40));
    char *unclean = copy_of (*state);
    tide_log_close (&log);
    damage (*state, 7, false, 1);
    damage (unclean, 7, false, 1);
    check_reported (*state, TIDE_CONFLICT, "damaged    1 records, never served: 7\n");
    check_one_is_damaged (*state);
    check_one_is_damaged (unclean);
    fixture_remove (&unclean);
}

static void a_damaged_page_is_refused_after_an_unclean_stop (void **state)
{
    tide_log_t *log = open_at (*state);
    fixture_append (log, fixture_batch (1, 400));
    char *unclean = copy_of (*state);
    tide_log_close (&log);
    damage (unclean, 200, true, 16);
    check_refused (unclean, "is broken");
    check_reported (unclean, TIDE_CONFLICT, "broken");
    fixture_remove (&unclean);
}

/*  Nothing is walked after a clean stop: the scan meets it, and says so. */
static void events_on_a_damaged_page_are_told_as_damaged (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 3, 400);
    tide_log_close (&log);
    damage (*state, 600, true, 16);
    log = open_at (*state);
    fixture_count_t count = fixture_count (log);
    assert_true (count.count == 1200 && count.is_rising);
    assert_true (count.damaged > 0 && count.damaged <= 400);
    assert_int_equal (fixture_look (log, 600), 'd');
    assert_int_equal (fixture_look (log, 400), 'f');
    assert_int_equal (fixture_look (log, 801), 'f');
    assert_true (tide_log_info (log).damaged == count.damaged);
    tide_log_close (&log);
}

static void told_first (void *argument, uint64_t seq, uint64_t segment_first,
                        const tide_bytes_t *record)
{
    uint64_t *first = argument;
    if (*first == 0) {
        assert_true (segment_first == 0 && record == NULL);
        *first = seq;
    }
}

/*  Which of those set aside were on the page is not known: everything up to the segments may be. */
static void damage_among_those_set_aside_is_told_up_to_the_segments (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 3, 400);
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->drop_through = 800;
    fixture_keep (batch, 3, (uint64_t[]){10, 20, 30});
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    tide_log_close (&log);
    damage (*state, 20, true, 16);
    log = open_at (*state);
    uint64_t first = 0;
    assert_int_equal (tide_log_scan (log, told_first, &first), TIDE_OK);
    assert_true (first == 800);
    assert_true (fixture_count (log).count == 401);
    tide_log_close (&log);
}

static void a_truncated_file_is_refused_by_name (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 4, 1000);
    size_t used = (size_t) tide_log_info (log).size;
    char *copy = copy_of (*state);
    tide_log_close (&log);
    tide_buffer_t clean = read_data (*state), unclean = read_data (copy);
    write_data (copy, unclean.data, used / 2);
    check_refused (copy, "cut short");
    check_reported (copy, TIDE_CONFLICT, "cut short");
    write_data (copy, clean.data, used / 2);
    check_refused (copy, "cut short");
    /*  Wherever it is cut, nobody dies of it. */
    for (size_t size = 100; size < used; size += 100 + size / 4) {
        write_data (copy, unclean.data, size);
        check_refused (copy, "is broken");
    }
    tide_buffer_free (&clean);
    tide_buffer_free (&unclean);
    fixture_remove (&copy);
}

static void a_file_of_garbage_is_refused (void **state)
{
    uint8_t garbage[20000];
    for (size_t each = 0; each < sizeof garbage; each++)
        garbage[each] = (uint8_t) (each * each >> 3);
    write_data (*state, garbage, sizeof garbage);
    check_refused (*state, "is broken");
    check_reported (*state, TIDE_CONFLICT, "broken");
    memset (garbage, 0, sizeof garbage);
    write_data (*state, garbage, sizeof garbage);
    check_refused (*state, "is broken");
    write_data (*state, "x", 1);
    check_refused (*state, "is broken");
}

static void another_programs_file_is_refused (void **state)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {1, "k"}, value = {1, "v"};
    assert_int_equal (mkdir (*state, 0700), 0);
    assert_int_equal (mdb_env_create (&env), 0);
    assert_int_equal (mdb_env_open (env, *state, 0, 0600), 0);
    assert_int_equal (mdb_txn_begin (env, NULL, 0, &txn), 0);
    assert_int_equal (mdb_dbi_open (txn, NULL, 0, &dbi), 0);
    assert_int_equal (mdb_put (txn, dbi, &key, &value, 0), 0);
    assert_int_equal (mdb_txn_commit (txn), 0);
    mdb_env_close (env);
    check_refused (*state, "not a log of Tidemark's");
    check_reported (*state, TIDE_CONFLICT, "not a log of Tidemark's");
}

static void set_format (const char *directory, uint64_t format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint8_t bytes[8];
    MDB_val key = {6, "format"}, value = {sizeof bytes, bytes};
    tide_store_u64 (bytes, format);
    assert_int_equal (mdb_env_create (&env), 0);
    assert_int_equal (mdb_env_set_maxdbs (env, 1), 0);
    assert_int_equal (mdb_env_open (env, directory, 0, 0600), 0);
    assert_int_equal (mdb_txn_begin (env, NULL, 0, &txn), 0);
    assert_int_equal (mdb_dbi_open (txn, "meta", 0, &dbi), 0);
    assert_int_equal (mdb_put (txn, dbi, &key, &value, 0), 0);
    assert_int_equal (mdb_txn_commit (txn), 0);
    mdb_env_close (env);
}

/*  Before any event of it is looked at: none would decode, and all would be told as lost. */
static void a_log_of_another_format_is_refused_by_name_and_left_as_it_is (void **state)
{
    static const char why[] = "its format is 1, and only format 2 is known here";
    tide_log_t *log = open_at (*state);
    fill (log, 1, 1, 10);
    char *unclean = copy_of (*state);
    tide_log_close (&log);
    set_format (*state, 1);
    set_format (unclean, 1);
    check_refused (*state, "the log of another version of Tidemark");
    check_refused (*state, why);
    check_refused (unclean, why);
    check_reported (*state, TIDE_BAD_REQUEST, why);
    check_reported (unclean, TIDE_BAD_REQUEST, why);
    set_format (*state, 2);
    log = open_at (*state);
    assert_int_equal (fixture_count (log).count, 10);
    tide_log_close (&log);
    fixture_remove (&unclean);
}

static void a_log_that_was_only_begun_is_made_anew (void **state)
{
    write_data (*state, "", 0);
    check_reported (*state, TIDE_NOT_FOUND, "there is no log");
    tide_log_t *log = open_at (*state);
    assert_int_equal (fixture_append (log, fixture_batch (1, 1)), TIDE_OK);
    tide_log_close (&log);
}

static void a_folder_that_can_not_be_made_is_refused_by_name (void **state)
{
    char path[600];
    fixture_path (path, sizeof path, *state, "deeper");
    check_refused (path, "can't be made");
    int fd = open (*state, O_CREAT | O_WRONLY, 0600);
    assert_true (fd >= 0);
    close (fd);
    check_refused (*state, "not a directory");
    unlink (*state);
}

/*  -- tide_log_check -------------------------------------------------------------------------- */

static void a_check_reports_what_the_log_holds (void **state)
{
    check_reported (*state, TIDE_NOT_FOUND, "there is no log");
    tide_log_t *log = open_at (*state);
    check_reported (*state, TIDE_OK, "none kept, the last was 0");
    tide_log_batch_t *batch = fixture_batch (1, 10);
    fixture_event (batch, 11, "keyed", "one", 5);
    fixture_event (batch, 12, "keyed", "two", 5);
    fixture_event (batch, 13, "keyed", "three", 5);
    fixture_event (batch, 14, "keyed", "one", 0);
    fixture_append (log, batch);
    batch = fixture_segment (15, 1);
    batch->drop_through = 14;
    fixture_keep (batch, 4, (uint64_t[]){3, 12, 13, 14});
    fixture_lose (batch, "topic/1", 1);
    fixture_append (log, batch);
    check_reported (*state, TIDE_OK, "a broker is using it");
    tide_log_close (&log);
    static const char *const lines[] = {
        "epoch      000000000000004d\n",
        "sequences  15 to 15\n",
        "events     5, of these 4 set aside\n",
        "topics     3\n",
        "standing   2 keys\n",
        "trimmed    1 topics have lost events\n",
        "segments   1 of 6\n",
        "closed     cleanly\n",
        "damaged    none\n",
        "result     sound\n",
    };
    for (size_t each = 0; each < sizeof lines / sizeof *lines; each++)
        check_reported (*state, TIDE_OK, lines[each]);
}

static void a_check_changes_nothing (void **state)
{
    tide_log_t *log = open_at (*state);
    fill (log, 1, 3, 100);
    tide_log_close (&log);
    tide_buffer_t before = read_data (*state);
    check_reported (*state, TIDE_OK, "result     sound");
    tide_buffer_t after = read_data (*state);
    assert_int_equal (before.size, after.size);
    assert_memory_equal (before.data, after.data, after.size);
    tide_buffer_free (&before);
    tide_buffer_free (&after);
}

static void a_check_runs_beside_a_broker (void **state)
{
    tide_log_t *log = open_at (*state);
    uint64_t next = 1;
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned each = 0; each < 20; each++, next += 100) {
            tide_log_batch_t *batch = fixture_batch_of (next, 100, 500);
            batch->begin_segment = each % 10 == 0;
            batch->drop_through = batch->begin_segment && next > 3000 ? next - 3000 : 0;
            tide_log_append (log, &batch);
        }
        check_reported (*state, TIDE_OK, "a broker is using it");
        for (unsigned each = 0; each < 20; each++) {
            tide_log_completion_t completion = fixture_wait (log);
            assert_int_equal (completion.status, TIDE_OK);
            tide_log_batch_destroy (&completion.batch);
        }
    }
    tide_log_close (&log);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_damaged_record_is_named_and_never_served),
        TEST (a_damaged_page_is_refused_after_an_unclean_stop),
        TEST (events_on_a_damaged_page_are_told_as_damaged),
        TEST (damage_among_those_set_aside_is_told_up_to_the_segments),
        TEST (a_truncated_file_is_refused_by_name),
        TEST (a_file_of_garbage_is_refused),
        TEST (another_programs_file_is_refused),
        TEST (a_log_of_another_format_is_refused_by_name_and_left_as_it_is),
        TEST (a_log_that_was_only_begun_is_made_anew),
        TEST (a_folder_that_can_not_be_made_is_refused_by_name),
        TEST (a_check_reports_what_the_log_holds),
        TEST (a_check_changes_nothing),
        TEST (a_check_runs_beside_a_broker),
    };
    return cmocka_run_group_tests_name ("tide_log_damage", tests, NULL, NULL);
}
