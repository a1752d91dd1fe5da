/*  test_tide_index.c - what there is.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
    tide_index_t *index;
    uint64_t last;
    uint64_t time_ms;
} bench_t;

static bench_t bench_new (uint64_t events, uint64_t bytes, uint64_t ms)
{
    bench_t bench = {.time_ms = 1024 * 1000000};
    bench.index = tide_index_new (&(tide_index_config_t){
        .hash_seed = {1, 2}, .retain_events = events, .retain_bytes = bytes, .retain_ms = ms});
    tide_index_set_ghosts_max (bench.index, 100);
    tide_index_settle (bench.index, 0);
    tide_index_begin_segment (bench.index, 1);
    return bench;
}

static tide_index_change_t add (bench_t *bench, const char *name, const char *key, bool removes)
{
    uint32_t topic = tide_index_hold_topic (bench->index, tide_bytes (name));
    tide_index_change_t change =
        tide_index_add (bench->index, &(tide_index_event_t){.seq = ++bench->last,
                                                            .topic = topic,
                                                            .size = 100,
                                                            .time_ms = bench->time_ms,
                                                            .key = tide_bytes (key),
                                                            .removes = removes});
    tide_index_let_topic (bench->index, topic);
    tide_index_trim (bench->index, bench->time_ms, 1000000);
    return change;
}

static uint32_t count_of (const bench_t *bench, const char *name)
{
    uint32_t topic = tide_topics_find (tide_index_topics (bench->index), tide_bytes (name));
    return topic ? tide_topics_at (tide_index_topics (bench->index), topic)->count : 0;
}

static uint64_t lost (const bench_t *bench, const char *pattern, uint64_t since)
{
    return tide_index_lost (bench->index, tide_bytes (pattern), since);
}

static void the_oldest_go_first_by_number (void **state)
{
    (void) state;
    bench_t bench = bench_new (10, 0, 0);
    for (unsigned at = 0; at < 30; at++)
        add (&bench, at % 3 ? "often" : "seldom", "", false);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 10);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->cut, 20);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->trimmed, 20);
    assert_int_equal (count_of (&bench, "often"), 7);
    assert_int_equal (count_of (&bench, "seldom"), 3);
    assert_int_equal (lost (&bench, "often", 0), 20);
    assert_int_equal (lost (&bench, "often", 19), 20);
    assert_int_equal (lost (&bench, "often", 20), 0);
    assert_int_equal (lost (&bench, "seldom", 18), 19);
    assert_int_equal (lost (&bench, "seldom", 19), 0);
    tide_index_destroy (&bench.index);
    assert_null (bench.index);
}

static void and_by_bytes (void **state)
{
    (void) state;
    bench_t bench = bench_new (1000, 550, 0);
    for (unsigned at = 0; at < 30; at++)
        add (&bench, "t", "", false);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 5);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->bytes, 500);
    tide_index_destroy (&bench.index);
}

static void and_by_age_but_the_last_one_stays (void **state)
{
    (void) state;
    bench_t bench = bench_new (1000, 0, 10240);
    for (unsigned at = 0; at < 20; at++) {
        add (&bench, "t", "", false);
        bench.time_ms += 1024;
    }
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 11);
    tide_index_trim (bench.index, bench.time_ms + 5120, 2);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 9);
    tide_index_trim (bench.index, bench.time_ms + 1000000, 1000000);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 1);
    assert_int_equal (count_of (&bench, "t"), 1);
    tide_index_destroy (&bench.index);
}

static void the_system_does_not_push_clients_out (void **state)
{
    (void) state;
    bench_t bench = bench_new (100, 0, 0);
    for (unsigned at = 0; at < 50; at++)
        add (&bench, "room", "", false);
    for (unsigned at = 0; at < 5000; at++)
        add (&bench, at % 2 ? "$session/x" : "$lane/y", "", false);
    assert_int_equal (count_of (&bench, "room"), 50);
    assert_int_equal (tide_index_class (bench.index, TIDE_SYSTEM)->events, 1024);
    assert_int_equal (lost (&bench, "#", 0), 0);
    assert_int_equal (lost (&bench, "$session/#", 0), 5050 - 1024);
    for (unsigned at = 0; at < 500; at++)
        add (&bench, "room", "", false);
    assert_int_equal (tide_index_class (bench.index, TIDE_SYSTEM)->events, 1024);
    assert_int_equal (count_of (&bench, "room"), 100);
    tide_index_destroy (&bench.index);
}

static void the_system_does_not_push_out_what_is_said_in_rooms (void **state)
{
    (void) state;
    bench_t bench = bench_new (100, 0, 0);
    add (&bench, "@sid", "", false);
    add (&bench, "$nsp", "", false);
    add (&bench, "$nsp/chat", "", false);
    for (unsigned at = 0; at < 5000; at++)
        add (&bench, "$session/x", "", false);
    add (&bench, "$nspx", "", false);
    assert_int_equal (tide_index_class (bench.index, TIDE_ROOMS)->events, 3);
    assert_int_equal (lost (&bench, "@sid", 0), 0);
    assert_int_equal (lost (&bench, "$nsp/#", 0), 0);
    /*  Nor does anything seem to be lost of a topic that never was. */
    assert_int_equal (lost (&bench, "@quiet", 0), 0);
    for (unsigned at = 0; at < 200; at++)
        add (&bench, "$nsp", "", false);
    assert_int_equal (tide_index_class (bench.index, TIDE_ROOMS)->events, 100);
    tide_index_destroy (&bench.index);
}

static void the_latest_event_of_a_key_stands (void **state)
{
    (void) state;
    bench_t bench = bench_new (5, 0, 0);
    tide_bytes_t topic = tide_bytes ("t"), key = tide_bytes ("k");
    assert_int_equal (tide_index_standing (bench.index, topic, key), 0);
    tide_index_change_t change = add (&bench, "t", "k", false);
    assert_true (change.key && !change.was_removed && change.is_alive);
    assert_int_equal (tide_index_standing (bench.index, topic, key), 1);
    assert_int_equal (add (&bench, "t", "k", false).key, change.key);
    assert_int_equal (tide_index_standing (bench.index, topic, key), 2);
    for (unsigned at = 0; at < 20; at++)
        add (&bench, "other", "", false);
    /*  Trimmed, but it stands. */
    assert_int_equal (count_of (&bench, "t"), 0);
    assert_int_equal (tide_index_standing (bench.index, topic, key), 2);
    assert_true (tide_index_keeps (bench.index, 2, tide_index_find (bench.index, 2)));
    assert_false (tide_index_keeps (bench.index, 1, tide_index_find (bench.index, 1)));
    change = add (&bench, "t", "k", true);
    assert_true (change.was_removed && change.key);
    assert_int_equal (tide_index_standing (bench.index, topic, key), 0);
    assert_int_equal (add (&bench, "t", "k", true).key, 0);
    tide_index_destroy (&bench.index);
}

static void what_outlives_a_segment_is_set_aside_until_it_is_not_needed (void **state)
{
    (void) state;
    bench_t bench = bench_new (5, 0, 0);
    size_t count;
    add (&bench, "t", "k", false);
    add (&bench, "t", "l", false);
    for (unsigned at = 0; at < 8; at++)
        add (&bench, "t", "", false);
    tide_index_begin_segment (bench.index, 11);
    add (&bench, "t", "", false); /* 7 … 11 are alive */
    const uint64_t keep[] = {1, 2, 7, 8, 9, 10};
    tide_index_drop (bench.index, 10, keep, 6);
    assert_int_equal (tide_index_segment_count (bench.index), 1);
    assert_int_equal (tide_index_aside_count (bench.index), 6);
    assert_int_equal (tide_index_marks_floor (bench.index), 10);
    assert_non_null (tide_index_find (bench.index, 7));
    assert_null (tide_index_find (bench.index, 6));
    uint32_t topic;
    assert_int_equal (tide_index_next_alive (bench.index, 0, 100, &topic), 7);
    assert_int_equal (tide_index_next_alive (bench.index, 10, 100, &topic), 11);
    assert_int_equal (tide_index_next_alive (bench.index, 10, 10, &topic), 0);
    tide_index_forgotten (bench.index, &count);
    assert_int_equal (count, 0);
    add (&bench, "t", "k", false); /* 1 stands no more, 7 is trimmed */
    const uint64_t *forgotten = tide_index_forgotten (bench.index, &count);
    assert_int_equal (count, 2);
    assert_true (forgotten[0] + forgotten[1] == 1 + 7);
    assert_int_equal (tide_index_aside_count (bench.index), 4);
    /*  And the log hears that the topic lost something. */
    tide_index_dirty (bench.index, &count);
    assert_int_equal (count, 1);
    tide_index_forgot (bench.index, 2);
    tide_index_said (bench.index, 1, 0);
    tide_index_forgotten (bench.index, &count);
    assert_int_equal (count, 0);
    tide_index_destroy (&bench.index);
}

static void what_died_while_its_segment_was_being_emptied_is_forgotten (void **state)
{
    (void) state;
    bench_t bench = bench_new (5, 0, 0);
    size_t count;
    for (unsigned at = 0; at < 10; at++)
        add (&bench, "t", "", false);
    tide_index_begin_segment (bench.index, 11);
    for (unsigned at = 0; at < 2; at++)
        add (&bench, "t", "", false);
    const uint64_t keep[] = {6, 7, 8, 9, 10}; /* as it was before 11 and 12 */
    tide_index_drop (bench.index, 10, keep, 5);
    assert_int_equal (tide_index_aside_count (bench.index), 3);
    const uint64_t *forgotten = tide_index_forgotten (bench.index, &count);
    assert_int_equal (count, 2);
    assert_true (forgotten[0] == 6 && forgotten[1] == 7);
    tide_index_destroy (&bench.index);
}

/*  Topics of which nothing is left, beyond the number that is remembered. */
static void g5_a_topic_that_is_forgotten_is_told_as_lost (void **state)
{
    (void) state;
    bench_t bench = bench_new (5, 0, 0);
    char name[16];
    for (unsigned at = 0; at < 300; at++) {
        snprintf (name, sizeof name, "c/%u", at);
        add (&bench, name, "", false);
    }
    assert_int_equal (lost (&bench, "c/0", 0), 1); /* known still: its events are in a segment */
    tide_index_begin_segment (bench.index, 301);
    add (&bench, "t", "", false);
    const uint64_t keep[] = {297, 298, 299, 300};
    tide_index_drop (bench.index, 300, keep, 4);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->ghosts, 100);
    uint64_t folded = tide_index_class (bench.index, TIDE_CLIENTS)->folded;
    assert_int_equal (folded, 196);
    assert_int_equal (lost (&bench, "c/0", 0), folded);
    assert_int_equal (lost (&bench, "c/250", 0), 251);
    assert_int_equal (lost (&bench, "c/250", 251), 0);
    assert_int_equal (lost (&bench, "c/#", 0), 296);
    assert_int_equal (lost (&bench, "never", 0), folded);
    assert_int_equal (lost (&bench, "$never", 0), 0);
    /*  Made anew it may have been one of them, and the log is told (so it is of c/296, whose only
     *  event had been set aside and goes now). */
    size_t count;
    add (&bench, "c/0", "", false);
    assert_int_equal (lost (&bench, "c/0", 0), folded);
    tide_index_dirty (bench.index, &count);
    assert_int_equal (count, 2);
    tide_index_destroy (&bench.index);
}

static void g5_an_event_that_the_log_could_not_give_is_lost (void **state)
{
    (void) state;
    bench_t bench = bench_new (100, 0, 0);
    size_t count;
    for (unsigned at = 0; at < 9; at++)
        add (&bench, at % 3 == 2 ? "u" : "t", at == 4 ? "k" : "", false);
    uint32_t key = tide_index_lose (bench.index, 5);
    assert_int_not_equal (key, 0);
    assert_int_equal (tide_index_standing (bench.index, tide_bytes ("t"), tide_bytes ("k")), 0);
    assert_int_equal (count_of (&bench, "t"), 5);
    assert_int_equal (lost (&bench, "t", 4), 5);
    assert_int_equal (lost (&bench, "u", 0), 0);
    assert_int_equal (tide_index_class (bench.index, TIDE_CLIENTS)->events, 8);
    tide_index_dirty (bench.index, &count);
    assert_int_equal (count, 1);
    assert_int_equal (tide_index_lose (bench.index, 5), 0);
    assert_int_equal (tide_index_lose (bench.index, 500), 0);
    uint32_t topic;
    assert_int_equal (tide_index_next_alive (bench.index, 4, 100, &topic), 6);
    tide_index_destroy (&bench.index);
}

static void g5_a_damaged_event_is_lost_for_all_topics (void **state)
{
    (void) state;
    tide_index_t *index =
        tide_index_new (&(tide_index_config_t){.hash_seed = {1, 2}, .retain_events = 100});
    tide_index_load_lost (index, tide_bytes ("t"), 3);
    tide_index_load_lost (index, tide_bytes (TIDE_INDEX_LOST_CLIENTS), 2);
    tide_index_load_lost (index, tide_bytes (TIDE_INDEX_LOST_SYSTEM), 4);
    tide_index_load_lost (index, tide_bytes ("not/a/#"), 9);
    tide_index_begin_segment (index, 10);
    uint32_t topic = tide_index_hold_topic (index, tide_bytes ("t"));
    tide_index_event_t event = {.seq = 10, .topic = topic, .size = 1};
    tide_index_add (index, &event);
    tide_index_add_damaged (index, 11, false);
    event.seq = 12;
    tide_index_add (index, &event);
    tide_index_let_topic (index, topic);
    tide_index_settle (index, 12);
    assert_int_equal (tide_index_lost (index, tide_bytes ("t"), 10), 11);
    assert_int_equal (tide_index_lost (index, tide_bytes ("$x"), 10), 11);
    assert_int_equal (tide_index_lost (index, tide_bytes ("#"), 11), 0);
    assert_int_equal (tide_index_marks_floor (index), 11);
    assert_int_equal (tide_index_common (index, 0), 11);
    assert_int_equal (tide_index_common (index, 1), 2);
    assert_int_equal (tide_index_common (index, 2), 4);
    assert_int_equal (tide_topics_at (tide_index_topics (index), topic)->count, 2);
    tide_index_destroy (&index);
}

static void g5_a_log_that_ends_before_its_last_sequence_has_lost_something (void **state)
{
    (void) state;
    tide_index_t *index =
        tide_index_new (&(tide_index_config_t){.hash_seed = {1, 2}, .retain_events = 100});
    tide_index_begin_segment (index, 10);
    uint32_t topic = tide_index_hold_topic (index, tide_bytes ("t"));
    tide_index_add (index, &(tide_index_event_t){.seq = 10, .topic = topic, .size = 1});
    tide_index_let_topic (index, topic);
    tide_index_settle (index, 15);
    assert_int_equal (tide_index_lost (index, tide_bytes ("t"), 0), 15);
    assert_int_equal (tide_index_marks_floor (index), 15);
    tide_index_destroy (&index);
    /*  Nor is it right that nothing is left at all: the last segment is never emptied. */
    index = tide_index_new (&(tide_index_config_t){.hash_seed = {1, 2}, .retain_events = 100});
    tide_index_settle (index, 15);
    assert_int_equal (tide_index_lost (index, tide_bytes ("t"), 0), 15);
    assert_int_equal (tide_index_marks_floor (index), 15);
    tide_index_destroy (&index);
}

static void g5_what_is_missing_between_segments_is_lost_for_all_topics (void **state)
{
    (void) state;
    bench_t bench = bench_new (100, 0, 0);
    add (&bench, "t", "", false);
    tide_index_begin_segment (bench.index, 8);
    bench.last = 7;
    add (&bench, "t", "", false);
    assert_int_equal (lost (&bench, "t", 1), 7);
    assert_int_equal (lost (&bench, "$u", 7), 0);
    assert_int_equal (tide_index_marks_floor (bench.index), 7);
    assert_int_equal (count_of (&bench, "t"), 2);
    assert_null (tide_index_find (bench.index, 5));
    tide_index_destroy (&bench.index);
    /*  One that had been set aside spoils no marks. */
    bench.index =
        tide_index_new (&(tide_index_config_t){.hash_seed = {1, 2}, .retain_events = 100});
    tide_index_add_damaged (bench.index, 3, true);
    tide_index_begin_segment (bench.index, 2);
    assert_int_equal (tide_index_marks_floor (bench.index), 1);
    assert_int_equal (lost (&bench, "t", 1), 3);
    tide_index_destroy (&bench.index);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_oldest_go_first_by_number),
        cmocka_unit_test (and_by_bytes),
        cmocka_unit_test (and_by_age_but_the_last_one_stays),
        cmocka_unit_test (the_system_does_not_push_clients_out),
        cmocka_unit_test (the_system_does_not_push_out_what_is_said_in_rooms),
        cmocka_unit_test (the_latest_event_of_a_key_stands),
        cmocka_unit_test (what_outlives_a_segment_is_set_aside_until_it_is_not_needed),
        cmocka_unit_test (what_died_while_its_segment_was_being_emptied_is_forgotten),
        cmocka_unit_test (g5_a_topic_that_is_forgotten_is_told_as_lost),
        cmocka_unit_test (g5_an_event_that_the_log_could_not_give_is_lost),
        cmocka_unit_test (g5_a_damaged_event_is_lost_for_all_topics),
        cmocka_unit_test (g5_what_is_missing_between_segments_is_lost_for_all_topics),
        cmocka_unit_test (g5_a_log_that_ends_before_its_last_sequence_has_lost_something),
    };
    return cmocka_run_group_tests_name ("tide_index", tests, NULL, NULL);
}
