/*  test_tide_aside.c - events that outlived their segment.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_aside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_is_taken_out_is_to_be_forgotten_by_the_log (void **state)
{
    (void) state;
    tide_aside_t aside = {0};
    for (uint64_t seq = 10; seq <= 5000; seq += 10)
        tide_aside_add (&aside, seq, &(tide_index_entry_t){.topic = (uint32_t) seq});
    assert_non_null (tide_aside_find (&aside, 10));
    assert_null (tide_aside_find (&aside, 15));
    assert_null (tide_aside_find (&aside, 5));
    for (uint64_t seq = 10; seq <= 4000; seq += 10)
        tide_aside_remove (&aside, seq);
    /*  Holes do not stay for ever. */
    assert_true (aside.count < 300);
    assert_null (tide_aside_find (&aside, 4000));
    assert_int_equal (tide_aside_find (&aside, 4010)->topic, 4010);
    assert_int_equal (aside.count - aside.holes, 100);
    assert_int_equal (aside.forgotten_count, 400);
    tide_aside_forget (&aside, 7);
    tide_aside_forgot (&aside, 400);
    assert_int_equal (aside.forgotten_count, 1);
    assert_int_equal (aside.forgotten[0], 7);
    tide_aside_free (&aside);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_taken_out_is_to_be_forgotten_by_the_log),
    };
    return cmocka_run_group_tests_name ("tide_aside", tests, NULL, NULL);
}
