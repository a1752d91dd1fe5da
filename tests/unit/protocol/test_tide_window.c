/*  test_tide_window.c - what is missing, and its reading in shares.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void nothing_missing_is_complete_at_once (void **state)
{
    (void) state;
    tide_window_t window = {0};
    tide_buffer_t wants = {0};
    uint32_t count;
    size_t share;
    tide_window_open (&window, 10, 20);
    tide_window_plan (&window);
    assert_true (tide_window_limit (&window) == 20);
    assert_false (tide_window_ask (&window, &wants, &count, &share));
    tide_window_close (&window);
    tide_window_close (&window);
    assert_false (window.is_open);
}

static void each_topic_is_asked_for_from_its_first_missing_event (void **state)
{
    (void) state;
    tide_window_t window = {0};
    tide_buffer_t wants = {0};
    tide_want_t want;
    uint32_t count;
    size_t share;
    tide_window_open (&window, 10, 20);
    tide_window_miss (&window, tide_bytes ("a"), 13);
    tide_window_miss (&window, tide_bytes ("b"), 12);
    tide_window_miss (&window, tide_bytes ("a"), 15);
    tide_window_plan (&window);
    assert_true (window.missing == 3 && tide_window_limit (&window) == 11);
    assert_true (tide_window_ask (&window, &wants, &count, &share));
    tide_list_t list = tide_list (&wants, count);
    assert_true (tide_want_next (&list, &want) && tide_bytes_is (want.topic, "a"));
    assert_true (want.seq == 12);
    assert_true (tide_want_next (&list, &want) && tide_bytes_is (want.topic, "b"));
    assert_true (want.seq == 11 && !tide_want_next (&list, &want));
    tide_buffer_free (&wants);
    tide_window_close (&window);
}

static void what_should_have_come_is_due_once (void **state)
{
    (void) state;
    tide_window_t window = {0};
    tide_bytes_t topic;
    uint64_t seq;
    size_t at = 0;
    tide_window_open (&window, 10, 20);
    tide_window_miss (&window, tide_bytes ("a"), 13);
    tide_window_miss (&window, tide_bytes ("a"), 15);
    tide_window_miss (&window, tide_bytes ("b"), 19);
    tide_window_plan (&window);
    assert_false (tide_window_next_due (&window, 0, &at, &topic, &seq));
    tide_window_page (&window, 0, 14, true);
    assert_true (tide_window_limit (&window) == 14);
    at = 0;
    assert_true (tide_window_next_due (&window, 0, &at, &topic, &seq) && seq == 13);
    assert_false (tide_window_next_due (&window, 0, &at, &topic, &seq));
    tide_window_page (&window, 0, 12, true); /* never back */
    assert_true (tide_window_limit (&window) == 14);
    tide_window_page (&window, 0, 15, false);
    assert_true (tide_window_limit (&window) == 20);
    at = 0;
    assert_true (tide_window_next_due (&window, 0, &at, &topic, &seq) && seq == 15);
    assert_true (tide_window_next_due (&window, 0, &at, &topic, &seq) && seq == 19);
    assert_true (tide_bytes_is (topic, "b"));
    assert_false (tide_window_next_due (&window, 0, &at, &topic, &seq));
    tide_window_close (&window);
}

static void shares_are_read_in_turns_the_last_one_first (void **state)
{
    (void) state;
    tide_window_t window = {0};
    tide_buffer_t wants = {0};
    char name[16];
    uint32_t count;
    size_t share;
    tide_window_open (&window, 10, 1000);
    for (unsigned at = 0; at < 2 * TIDE_WANTS_MAX + 1; at++) {
        snprintf (name, sizeof name, "t/%u", at);
        tide_window_want (&window, tide_bytes (name), 10 + at / TIDE_WANTS_MAX);
    }
    tide_window_plan (&window);
    assert_true (tide_window_ask (&window, &wants, &count, &share));
    assert_true (share == 0 && count == TIDE_WANTS_MAX);
    tide_window_page (&window, 0, 500, true);
    assert_true (tide_window_limit (&window) == 11);
    assert_true (tide_window_ask (&window, &wants, &count, &share) && share == 1);
    tide_window_page (&window, 1, 5000, true); /* beyond the window is its end */
    assert_true (tide_window_ask (&window, &wants, &count, &share) && share == 2 && count == 1);
    tide_window_page (&window, 2, 400, true);
    assert_true (tide_window_ask (&window, &wants, &count, &share) && share == 2);
    tide_window_page (&window, 2, 400, false);
    assert_true (tide_window_ask (&window, &wants, &count, &share) && share == 0);
    assert_true (tide_window_limit (&window) == 500);
    tide_window_page (&window, 0, 0, false);
    assert_false (tide_window_ask (&window, &wants, &count, &share));
    assert_true (tide_window_limit (&window) == 1000);
    tide_buffer_free (&wants);
    tide_window_close (&window);
}

static void a_want_is_read_behind_what_it_lost (void **state)
{
    (void) state;
    tide_window_t window = {0};
    uint64_t since;
    tide_window_open (&window, 10, 20);
    tide_window_want (&window, tide_bytes ("a/#"), 10);
    tide_window_plan (&window);
    tide_window_lost (&window, tide_bytes ("a/#"), 15);
    tide_window_lost (&window, tide_bytes ("a/#"), 12);
    tide_window_lost (&window, tide_bytes ("b"), 12);
    assert_true (tide_window_since (&window, tide_bytes ("a/#"), &since) && since == 15);
    assert_false (tide_window_since (&window, tide_bytes ("b"), &since));
    assert_false (tide_window_since (&window, (tide_bytes_t){0}, &since));
    tide_window_close (&window);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (nothing_missing_is_complete_at_once),
        cmocka_unit_test (each_topic_is_asked_for_from_its_first_missing_event),
        cmocka_unit_test (what_should_have_come_is_due_once),
        cmocka_unit_test (shares_are_read_in_turns_the_last_one_first),
        cmocka_unit_test (a_want_is_read_behind_what_it_lost),
    };
    return cmocka_run_group_tests_name ("tide_window", tests, NULL, NULL);
}
