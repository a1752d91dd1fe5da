/*  test_tide_log_conformance.c - what every log engine does, the same suite over each.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_log_fixture.h"

static bool on_lmdb;

typedef struct {
    tide_log_t *log;
    char *directory;
} fixture_t;

static int setup (void **state)
{
    fixture_t *self = tide_alloc (sizeof *self);
    char *why = NULL;
    if (on_lmdb) {
        self->directory = fixture_directory ();
        tide_log_lmdb_config_t config = {.directory = self->directory,
                                         .sync_always = true,
                                         .segments = 6,
                                         .epoch_seed = 77,
                                         .boot_id = "boot"};
        self->log = tide_log_open_lmdb (&config, &why);
        if (!self->log)
            fail_msg ("%s", why);
    }
    else
        self->log = tide_log_open_memory (77);
    *state = self;
    return 0;
}

static int teardown (void **state)
{
    fixture_t *self = *state;
    tide_log_close (&self->log);
    assert_null (self->log);
    if (self->directory)
        fixture_remove (&self->directory);
    free (self);
    return 0;
}

static tide_log_t *log_of (void **state)
{
    return ((fixture_t *) *state)->log;
}

/*  Segments 1-10, 11-20, 21-30. */
static void fill (tide_log_t *log)
{
    for (uint64_t first = 1; first <= 21; first += 10)
        assert_int_equal (fixture_append (log, fixture_segment (first, 10)), TIDE_OK);
}

static tide_log_batch_t *drop_through (uint64_t seq)
{
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->drop_through = seq;
    return batch;
}

static void a_new_log_is_empty (void **state)
{
    tide_log_info_t info = tide_log_info (log_of (state));
    assert_true (info.epoch == 77);
    assert_true (info.first == 0 && info.last == 0 && info.events == 0 && info.segments == 0);
    fixture_check_scan (log_of (state), "");
    fixture_check_lost (log_of (state), "");
    assert_int_equal (fixture_look (log_of (state), 1), 'm');
}

static void what_was_appended_is_fetched_and_scanned (void **state)
{
    tide_log_t *log = log_of (state);
    assert_int_equal (fixture_append (log, fixture_batch (1, 2)), TIDE_OK);
    assert_int_equal (fixture_append (log, fixture_batch (3, 1)), TIDE_OK);
    assert_int_equal (fixture_append (log, fixture_segment (4, 2)), TIDE_OK);
    for (uint64_t seq = 1; seq <= 5; seq++)
        assert_int_equal (fixture_look (log, seq), 'f');
    assert_int_equal (fixture_look (log, 6), 'm');
    fixture_check_scan (log, "1@1 2@1 3@1 4@4 5@4");
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 1 && info.last == 5 && info.events == 5 && info.segments == 2);
    assert_true (info.size > 0);
    assert_true (info.commits == 3);
}

static void the_first_events_begin_a_segment_unasked (void **state)
{
    tide_log_t *log = log_of (state);
    fixture_append (log, fixture_batch (1, 2));
    fixture_check_scan (log, "1@1 2@1");
    assert_int_equal (fixture_append (log, drop_through (2)), TIDE_OK);
    fixture_append (log, fixture_batch (3, 1));
    fixture_check_scan (log, "3@3");
}

static void an_empty_batch_is_completed (void **state)
{
    tide_log_t *log = log_of (state);
    tide_log_batch_t *batch = tide_log_batch_new (), *same = batch;
    batch->number = 4711;
    tide_log_append (log, &batch);
    tide_log_completion_t completion = fixture_wait (log);
    assert_int_equal (completion.status, TIDE_OK);
    assert_ptr_equal (completion.batch, same);
    assert_int_equal (completion.batch->number, 4711);
    tide_log_batch_destroy (&completion.batch);
    assert_false (tide_log_next (log, &completion));
    assert_true (tide_log_info (log).last == 0);
}

static void an_empty_batch_begins_no_segment (void **state)
{
    tide_log_t *log = log_of (state);
    fixture_append (log, fixture_batch (1, 2));
    fixture_append (log, fixture_segment (3, 0));
    fixture_append (log, fixture_batch (3, 1));
    fixture_check_scan (log, "1@1 2@1 3@1");
}

static void whole_segments_are_dropped_and_no_others (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    fixture_append (log, drop_through (9));
    assert_true (tide_log_info (log).first == 1);
    fixture_append (log, drop_through (19));
    assert_true (tide_log_info (log).first == 11);
    assert_int_equal (fixture_look (log, 10), 'm');
    assert_int_equal (fixture_look (log, 11), 'f');
    fixture_append (log, drop_through (20));
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 21 && info.last == 30 && info.events == 10 && info.segments == 1);
}

static void several_segments_are_dropped_at_once (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    tide_log_batch_t *batch = fixture_segment (31, 2);
    batch->drop_through = 25;
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 21 && info.last == 32 && info.events == 12 && info.segments == 2);
}

static void g3_last_never_falls (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    fixture_append (log, drop_through (UINT64_MAX));
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 0 && info.last == 30 && info.events == 0 && info.segments == 0);
    fixture_append (log, fixture_batch (31, 1));
    fixture_check_scan (log, "31@31");
}

static void the_ring_of_segments_turns_for_ever (void **state)
{
    tide_log_t *log = log_of (state);
    for (uint64_t first = 1; first <= 400; first += 10) {
        tide_log_batch_t *batch = fixture_segment (first, 10);
        batch->drop_through = first > 30 ? first - 31 : 0;
        assert_int_equal (fixture_append (log, batch), TIDE_OK);
    }
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 361 && info.last == 400 && info.segments == 4);
    assert_true (fixture_count (log).count == 40);
}

static void what_is_kept_outlives_its_segment (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    tide_log_batch_t *batch = drop_through (20);
    fixture_keep (batch, 4, (uint64_t[]){1, 7, 20, 25});
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    for (uint64_t seq = 1; seq <= 20; seq++)
        assert_int_equal (fixture_look (log, seq), seq == 1 || seq == 7 || seq == 20 ? 'f' : 'm');
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 21 && info.set_aside == 3 && info.events == 13);
    fixture_check_scan (log,
                        "1k 7k 20k 21@21 22@21 23@21 24@21 25@21 26@21 27@21 28@21 29@21 30@21");
}

static void what_is_forgotten_is_gone (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    tide_log_batch_t *batch = drop_through (10);
    fixture_keep (batch, 3, (uint64_t[]){2, 4, 6});
    fixture_append (log, batch);
    batch = drop_through (30);
    fixture_keep (batch, 1, (uint64_t[]){30});
    fixture_forget (batch, 3, (uint64_t[]){4, 5, 12});
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    fixture_check_scan (log, "2k 6k 30k");
    tide_log_info_t info = tide_log_info (log);
    assert_true (info.first == 0 && info.last == 30 && info.set_aside == 3 && info.events == 3);
}

static void lost_entries_are_kept_until_said_anew (void **state)
{
    tide_log_t *log = log_of (state);
    tide_log_batch_t *batch = tide_log_batch_new ();
    fixture_lose (batch, "b", 5);
    fixture_lose (batch, "", 3);
    fixture_lose (batch, "a/long/topic", 4);
    fixture_append (log, batch);
    fixture_check_lost (log, "=3 a/long/topic=4 b=5");
    batch = fixture_batch (1, 1);
    fixture_lose (batch, "b", 9);
    fixture_lose (batch, "a/long/topic", 0);
    fixture_lose (batch, "never/there", 0);
    fixture_append (log, batch);
    fixture_check_lost (log, "=3 b=9");
    batch = tide_log_batch_new ();
    fixture_lose (batch, "", 0);
    fixture_append (log, batch);
    fixture_check_lost (log, "b=9");
}

static void the_longest_topic_can_be_lost (void **state)
{
    tide_log_t *log = log_of (state);
    char topic[256] = {0}, expected[300];
    memset (topic, 'x', 255);
    snprintf (expected, sizeof expected, "%s=7", topic);
    tide_log_batch_t *batch = tide_log_batch_new ();
    fixture_lose (batch, topic, 7);
    fixture_append (log, batch);
    fixture_check_lost (log, expected);
}

static void a_fetch_says_what_is_missing (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    fixture_append (log, drop_through (10));
    tide_log_fetch_t *fetch = fixture_fetch (log, 6, (uint64_t[]){3, 10, 11, 15, 30, 31}, 1 << 20);
    assert_int_equal (fetch->done, 6);
    assert_int_equal (fetch->found, 3);
    assert_int_equal (fetch->missing_count, 3);
    assert_int_equal (fetch->damaged_count, 0);
    assert_true (fetch->missing[0] == 3 && fetch->missing[1] == 10 && fetch->missing[2] == 31);
    tide_list_t list = tide_list (&fetch->records, fetch->found);
    tide_bytes_t record;
    for (const uint64_t *seq = (uint64_t[]){11, 15, 30, 0}; *seq; seq++) {
        assert_true (tide_list_next (&list, &record));
        fixture_check_event (record, *seq);
    }
    tide_log_fetch_destroy (&fetch);
}

static void a_fetch_of_nothing_is_completed (void **state)
{
    tide_log_fetch_t *fetch = fixture_fetch (log_of (state), 0, (uint64_t[]){0}, 100);
    assert_true (fetch->done == 0 && fetch->found == 0);
    tide_log_fetch_destroy (&fetch);
}

static void a_fetch_stops_before_its_size_but_not_before_one_event (void **state)
{
    tide_log_t *log = log_of (state);
    fill (log);
    tide_log_fetch_t *fetch = fixture_fetch (log, 1, (uint64_t[]){12}, 1);
    size_t one = fetch->records.size;
    assert_true (fetch->done == 1 && fetch->found == 1);
    tide_log_fetch_destroy (&fetch);

    const uint64_t rising[] = {12, 13, 14, 15, 40};
    fetch = fixture_fetch (log, 5, rising, 3 * one);
    assert_true (fetch->done == 3 && fetch->found == 3 && fetch->records.size == 3 * one);
    tide_log_fetch_destroy (&fetch);
    fetch = fixture_fetch (log, 5, rising, 3 * one - 1);
    assert_true (fetch->done == 2 && fetch->found == 2);
    tide_log_fetch_destroy (&fetch);
    fetch = fixture_fetch (log, 5, rising, 0);
    assert_true (fetch->done == 1 && fetch->found == 1);
    tide_log_fetch_destroy (&fetch);
}

static void events_of_every_size_are_kept (void **state)
{
    tide_log_t *log = log_of (state);
    static const size_t sizes[] = {0, 1, 1000, 1900, 2000, 2100, 4000, 8192, 70000, 3000000};
    tide_log_batch_t *batch = tide_log_batch_new ();
    batch->first = 1;
    for (size_t each = 0; each < sizeof sizes / sizeof *sizes; each++)
        fixture_event (batch, each + 1, "t", "k", sizes[each]);
    assert_int_equal (fixture_append (log, batch), TIDE_OK);
    for (uint64_t seq = 1; seq <= sizeof sizes / sizeof *sizes; seq++)
        assert_int_equal (fixture_look (log, seq), 'f');
    batch = drop_through (100);
    fixture_keep (batch, 2, (uint64_t[]){9, 10});
    fixture_append (log, batch);
    fixture_check_scan (log, "9k 10k");
}

static void batches_are_completed_in_order (void **state)
{
    tide_log_t *log = log_of (state);
    enum { BATCHES = 300 };
    for (uint64_t each = 0; each < BATCHES; each++) {
        tide_log_batch_t *batch = fixture_batch (1 + 3 * each, 3);
        batch->number = each;
        tide_log_append (log, &batch);
    }
    for (uint64_t each = 0; each < BATCHES; each++) {
        tide_log_completion_t completion = fixture_wait (log);
        assert_int_equal (completion.status, TIDE_OK);
        assert_true (completion.batch->number == each);
        /*  What is completed is there for whoever fetches now. */
        tide_log_batch_destroy (&completion.batch);
        assert_true (tide_log_info (log).last >= 3 * each + 3);
    }
    assert_true (tide_log_info (log).last == 3 * BATCHES);
    assert_true (fixture_count (log).count == 3 * BATCHES);
}

enum { ROUNDS = 200, EACH = 50 };

typedef struct {
    uint64_t acknowledged, fetches, answered;
    uint64_t known[ROUNDS]; /* what was acknowledged when the fetch was asked for */
} beside_t;

static void take_beside (beside_t *self, tide_log_completion_t *completion)
{
    assert_int_equal (completion->status, TIDE_OK);
    if (completion->batch)
        self->acknowledged += completion->batch->count;
    else {
        tide_log_fetch_t *fetch = completion->fetch;
        self->answered++;
        assert_int_equal (fetch->done, fetch->count);
        assert_int_equal (fetch->found + fetch->missing_count, fetch->count);
        if (self->known[fetch->tag] > 0)
            assert_true (fetch->found >= 1);
    }
    tide_log_batch_destroy (&completion->batch);
    tide_log_fetch_destroy (&completion->fetch);
}

/*  Fetches and appends under way at once: a fetch sees an event or says that it is missing, and
 *  whatever was acknowledged before it was asked for is found. */
static void fetches_run_beside_appends (void **state)
{
    tide_log_t *log = log_of (state);
    beside_t self = {0};
    tide_log_completion_t completion;
    uint64_t sent = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        tide_log_batch_t *batch = fixture_batch (sent + 1, EACH);
        batch->begin_segment = round % 20 == 0;
        batch->drop_through = round % 20 == 0 && round >= 80 ? sent - 60 * EACH : 0;
        sent += EACH;
        tide_log_append (log, &batch);
        const uint64_t seqs[] = {self.acknowledged > 0 ? self.acknowledged : 1, sent + 1};
        fixture_fetch_start (log, self.fetches, 2, seqs, 1 << 20);
        self.known[self.fetches++] = self.acknowledged;
        while (tide_log_next (log, &completion))
            take_beside (&self, &completion);
        while (sent - self.acknowledged > 20 * EACH) {
            completion = fixture_wait (log);
            take_beside (&self, &completion);
        }
    }
    while (self.acknowledged < sent || self.answered < self.fetches) {
        completion = fixture_wait (log);
        take_beside (&self, &completion);
    }
    assert_true (tide_log_info (log).last == sent);
}

static void a_batch_that_does_not_go_on_is_refused (void **state)
{
    tide_log_t *log = log_of (state);
    fixture_append (log, fixture_batch (1, 5));
    tide_log_batch_t *batch = fixture_batch (7, 1);
    fixture_lose (batch, "t", 1);
    assert_int_equal (fixture_append (log, batch), TIDE_LOG_FULL);
    assert_true (tide_log_info (log).last == 5);
    fixture_check_lost (log, "");
    assert_int_equal (fixture_append (log, fixture_batch (6, 1)), TIDE_OK);
}

static void closing_frees_what_nobody_took (void **state)
{
    tide_log_t *log = log_of (state);
    tide_log_batch_t *batch = fixture_batch (1, 5);
    tide_log_append (log, &batch);
    fixture_fetch_start (log, 0, 2, (uint64_t[]){1, 2}, 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_new_log_is_empty),
        TEST (what_was_appended_is_fetched_and_scanned),
        TEST (the_first_events_begin_a_segment_unasked),
        TEST (an_empty_batch_is_completed),
        TEST (an_empty_batch_begins_no_segment),
        TEST (whole_segments_are_dropped_and_no_others),
        TEST (several_segments_are_dropped_at_once),
        TEST (g3_last_never_falls),
        TEST (the_ring_of_segments_turns_for_ever),
        TEST (what_is_kept_outlives_its_segment),
        TEST (what_is_forgotten_is_gone),
        TEST (lost_entries_are_kept_until_said_anew),
        TEST (the_longest_topic_can_be_lost),
        TEST (a_fetch_says_what_is_missing),
        TEST (a_fetch_of_nothing_is_completed),
        TEST (a_fetch_stops_before_its_size_but_not_before_one_event),
        TEST (events_of_every_size_are_kept),
        TEST (batches_are_completed_in_order),
        TEST (fetches_run_beside_appends),
        TEST (a_batch_that_does_not_go_on_is_refused),
        TEST (closing_frees_what_nobody_took),
    };
    int failed = cmocka_run_group_tests_name ("memory", tests, NULL, NULL);
    on_lmdb = true;
    return failed + cmocka_run_group_tests_name ("lmdb", tests, NULL, NULL);
}
