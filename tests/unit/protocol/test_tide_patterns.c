/*  test_tide_patterns.c - the patterns that a feed follows.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_patterns.h"

#include "tide_topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const texts[] = {"a",      "a/b",  "a/b/c", "a/#", "a/b/#",         "#",
                                    "$sys/#", "$sys", "@x",    "b/#", "a/b/c/d/e/f/#", "ab",
                                    "a//#"};
static const char *const topics[] = {
    "a",    "a/b", "a/b/c", "a/b/c/d/e/f", "a/b/c/d/e/f/g", "b",  "b/x",  "$sys", "$sys/x", "@x",
    "@x/y", "abc", "",      "/",           "a//",           "a/", "a//x", "a#",   "a/#",    "#"};
enum { TEXTS = sizeof texts / sizeof *texts, TOPICS = sizeof topics / sizeof *topics };

/*  The table must agree with tide_pattern_matches, pattern by pattern, whichever are in it. */
static void what_covers_a_topic_is_what_matches_it (void **state)
{
    (void) state;
    for (unsigned set = 0; set < 1u << TEXTS; set += 3) {
        tide_patterns_t patterns = {.seed = set};
        tide_pattern_t *added[TEXTS] = {NULL}, *matches[TIDE_PATTERNS_MATCHES_MAX];
        for (unsigned at = 0; at < TEXTS; at++) {
            if (set >> at & 1) {
                added[at] = tide_patterns_add (&patterns, tide_bytes (texts[at]));
                added[at]->floor = at;
            }
        }
        for (unsigned topic = 0; topic < TOPICS; topic++) {
            tide_bytes_t text = tide_bytes (topics[topic]);
            size_t expected = 0, count = tide_patterns_match (&patterns, text, matches);
            uint64_t floor = TIDE_FLOOR_NONE;
            if (!tide_topic_valid (text))
                continue;
            for (unsigned at = 0; at < TEXTS; at++) {
                if (!added[at] || !tide_pattern_matches (added[at]->text, text))
                    continue;
                expected++;
                floor = at < floor ? at : floor;
            }
            bool is_followed;
            assert_int_equal (count, expected);
            assert_true (tide_patterns_floor (&patterns, text, &is_followed) == floor);
            assert_int_equal (is_followed, expected > 0);
        }
        for (unsigned at = 0; at < TEXTS; at++)
            if (added[at])
                tide_patterns_remove (&patterns, &added[at]);
        tide_patterns_free (&patterns);
    }
}

static void many_patterns_are_found_and_removed (void **state)
{
    (void) state;
    enum { COUNT = 20000 };
    tide_patterns_t patterns = {.seed = 1};
    char text[32];
    for (unsigned at = 0; at < COUNT; at++) {
        snprintf (text, sizeof text, "room/%u%s", at, at % 2 ? "/#" : "");
        tide_patterns_add (&patterns, tide_bytes (text));
    }
    for (unsigned at = 0; at < COUNT; at++) {
        snprintf (text, sizeof text, "room/%u%s", at, at % 2 ? "/#" : "");
        tide_pattern_t *found = tide_patterns_find (&patterns, tide_bytes (text));
        assert_non_null (found);
        assert_true (tide_bytes_is (found->text, text));
        tide_patterns_remove (&patterns, &found);
        assert_null (found);
        assert_null (tide_patterns_find (&patterns, tide_bytes (text)));
    }
    assert_int_equal (patterns.count, 0);
    tide_patterns_free (&patterns);
}

static void a_topic_and_a_subtree_of_the_same_name_are_two (void **state)
{
    (void) state;
    tide_patterns_t patterns = {0};
    assert_null (tide_patterns_find (&patterns, tide_bytes ("a")));
    tide_pattern_t *topic = tide_patterns_add (&patterns, tide_bytes ("a"));
    assert_null (tide_patterns_find (&patterns, tide_bytes ("a/#")));
    tide_pattern_t *subtree = tide_patterns_add (&patterns, tide_bytes ("a/#"));
    assert_ptr_equal (tide_patterns_find (&patterns, tide_bytes ("a")), topic);
    assert_ptr_equal (tide_patterns_find (&patterns, tide_bytes ("a/#")), subtree);
    tide_patterns_remove (&patterns, &topic);
    assert_ptr_equal (tide_patterns_find (&patterns, tide_bytes ("a/#")), subtree);
    tide_patterns_remove (&patterns, &subtree);
    tide_patterns_free (&patterns);
}

/*  Whatever the topic: one pattern for itself, one a level, and `#`. */
static void the_deepest_topic_has_room_for_its_matches (void **state)
{
    (void) state;
    tide_patterns_t patterns = {0};
    tide_pattern_t *matches[TIDE_PATTERNS_MATCHES_MAX];
    char text[256] = "";
    tide_patterns_add (&patterns, tide_bytes ("#"));
    for (unsigned level = 0; level < 127; level++) {
        strcat (text, level > 0 ? "/x" : "x");
        tide_patterns_add (&patterns, tide_bytes (text));
        strcat (text, "/#");
        tide_patterns_add (&patterns, tide_bytes (text));
        text[strlen (text) - 2] = 0;
    }
    assert_int_equal (tide_patterns_match (&patterns, tide_bytes (text), matches), 129);
    while (patterns.count > 0)
        for (size_t at = 0; at < patterns.capacity; at++)
            while (patterns.buckets[at]) {
                tide_pattern_t *pattern = patterns.buckets[at];
                tide_patterns_remove (&patterns, &pattern);
            }
    tide_patterns_free (&patterns);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_covers_a_topic_is_what_matches_it),
        cmocka_unit_test (many_patterns_are_found_and_removed),
        cmocka_unit_test (a_topic_and_a_subtree_of_the_same_name_are_two),
        cmocka_unit_test (the_deepest_topic_has_room_for_its_matches),
    };
    return cmocka_run_group_tests_name ("tide_patterns", tests, NULL, NULL);
}
