/*  test_tide_topics.c - topics by name and in order, and their sequences.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_topic.h"
#include "tide_topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t seed[2] = {3, 4};

static void a_topic_is_found_by_its_name_until_it_is_removed (void **state)
{
    (void) state;
    tide_topics_t *topics = tide_topics_new (seed);
    assert_int_equal (tide_topics_find (topics, tide_bytes ("a")), 0);
    uint32_t handle = tide_topics_add (topics, tide_bytes ("a"));
    assert_int_equal (tide_topics_find (topics, tide_bytes ("a")), handle);
    assert_true (tide_bytes_is (tide_topics_name (topics, handle), "a"));
    assert_int_equal (tide_topics_count (topics), 1);
    tide_topics_remove (topics, handle);
    assert_int_equal (tide_topics_find (topics, tide_bytes ("a")), 0);
    assert_int_equal (tide_topics_at (topics, handle)->size, 0);
    assert_int_equal (tide_topics_add (topics, tide_bytes ("b")), handle);
    tide_topics_destroy (&topics);
    assert_null (topics);
}

static void topics_of_clients_are_walked_in_the_order_of_their_bytes (void **state)
{
    (void) state;
    const char *const names[] = {"b", "a/b", "a!", "a", "$x", "a/", "ä", "@s", "a/b/c", "B"};
    const char *const sorted[] = {"B", "a", "a!", "a/", "a/b", "a/b/c", "b", "ä"};
    tide_topics_t *topics = tide_topics_new (seed);
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++)
        tide_topics_add (topics, tide_bytes (names[at]));
    uint32_t handle = tide_topics_behind (topics, tide_bytes (""));
    for (size_t at = 0; at < sizeof sorted / sizeof sorted[0]; at++) {
        assert_true (tide_bytes_is (tide_topics_name (topics, handle), sorted[at]));
        assert_int_equal (tide_topics_behind (topics, tide_bytes (sorted[at])),
                          tide_topics_next (topics, handle));
        handle = tide_topics_next (topics, handle);
    }
    assert_int_equal (handle, 0);
    tide_topics_destroy (&topics);
}

/*  Each pattern against each topic, as tide_pattern_matches has it. */
static void a_walk_finds_what_the_pattern_matches (void **state)
{
    (void) state;
    static const char *const parts[] = {"a", "b", "a!", "a-b", "", "ab"};
    static const char *const patterns[] = {"#",    "a/#",  "a/b/#", "a!/#", "$a/#", "@a/#",
                                           "a//#", "ab/#", "a",     "a/b",  "$a/b", "nowhere/#"};
    enum { PARTS = sizeof parts / sizeof parts[0] };
    tide_topics_t *topics = tide_topics_new (seed);
    uint32_t random = 5;
    for (unsigned step = 0; step < 3000; step++) {
        random = random * 1664525 + 1013904223;
        char name[64];
        unsigned roll = random >> 8;
        snprintf (name, sizeof name, "%s%s%s%s",
                  roll % 5 == 0   ? "$"
                  : roll % 5 == 1 ? "@"
                                  : "",
                  parts[roll / 5 % PARTS], roll / 64 % 2 ? "/" : "", parts[roll / 128 % PARTS]);
        if (!tide_topic_valid (tide_bytes (name)))
            continue;
        uint32_t handle = tide_topics_find (topics, tide_bytes (name));
        if (handle && roll / 4096 % 2)
            tide_topics_remove (topics, handle);
        else if (!handle)
            tide_topics_add (topics, tide_bytes (name));
        tide_bytes_t pattern =
            tide_bytes (patterns[roll / 8192 % (sizeof patterns / sizeof patterns[0])]);
        unsigned expected = 0, found = 0;
        for (uint32_t at = 1; at < tide_topics_limit (topics); at++)
            expected += tide_topics_at (topics, at)->size > 0
                        && tide_pattern_matches (pattern, tide_topics_name (topics, at));
        tide_topics_walk_t walk = tide_topics_walk (topics, pattern);
        while ((handle = tide_topics_walk_next (&walk)) != 0) {
            assert_true (tide_pattern_matches (pattern, tide_topics_name (topics, handle)));
            found++;
        }
        assert_int_equal (found, expected);
    }
    tide_topics_destroy (&topics);
}

static void a_stamp_is_one_that_no_topic_has (void **state)
{
    (void) state;
    tide_topics_t *topics = tide_topics_new (seed);
    uint32_t handle = tide_topics_add (topics, tide_bytes ("a"));
    uint32_t stamp = tide_topics_stamp (topics);
    assert_int_not_equal (tide_topics_at (topics, handle)->stamp, stamp);
    assert_int_not_equal (tide_topics_stamp (topics), stamp);
    tide_topics_destroy (&topics);
}

static void sequences_rise_and_go_from_the_front_and_from_the_middle (void **state)
{
    (void) state;
    tide_topic_t topic = {0};
    uint64_t next = 0, oldest = 10;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned at = 0; at < 20; at++)
            tide_topic_push (&topic, next += 10);
        for (unsigned at = 0; at < (round < 40 ? 15u : 38u) && topic.count > 0; at++) {
            assert_int_equal (tide_topic_seq (&topic, 0), oldest);
            tide_topic_pop (&topic);
            oldest += 10;
        }
        for (uint32_t at = 0; at < topic.count; at++) {
            assert_int_equal (tide_topic_seq (&topic, at), oldest + at * 10);
            assert_int_equal (tide_topic_above (&topic, oldest + at * 10), at + 1);
            assert_int_equal (tide_topic_above (&topic, oldest + at * 10 - 1), at);
        }
    }
    while (topic.count > 3)
        tide_topic_pop (&topic);
    tide_topic_cut (&topic, next - 10);
    assert_int_equal (topic.count, 2);
    assert_int_equal (tide_topic_seq (&topic, 0), next - 20);
    assert_int_equal (tide_topic_seq (&topic, 1), next);
    free (topic.seqs);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_topic_is_found_by_its_name_until_it_is_removed),
        cmocka_unit_test (topics_of_clients_are_walked_in_the_order_of_their_bytes),
        cmocka_unit_test (a_walk_finds_what_the_pattern_matches),
        cmocka_unit_test (a_stamp_is_one_that_no_topic_has),
        cmocka_unit_test (sequences_rise_and_go_from_the_front_and_from_the_middle),
    };
    return cmocka_run_group_tests_name ("tide_topics", tests, NULL, NULL);
}
