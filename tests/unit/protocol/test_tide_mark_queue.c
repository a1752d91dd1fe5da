/*  test_tide_mark_queue.c - the marks of a feed that wait for their turn.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_mark_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add (tide_mark_queue_t *queue, uint64_t from, uint64_t to)
{
    tide_mark_t mark = {.from = from, .to = to};
    tide_mark_queue_add (queue, &mark);
}

static bool takes (tide_mark_queue_t *queue, uint64_t from, uint64_t to)
{
    tide_queued_mark_t *mark = tide_mark_queue_take (queue);
    bool is_it = mark && mark->from == from && mark->to == to;
    free (mark);
    return is_it;
}

static void contiguous_marks_are_ready_in_order (void **state)
{
    (void) state;
    tide_mark_queue_t queue = {0};
    tide_mark_queue_reset (&queue, 10);
    add (&queue, 10, 10);
    add (&queue, 5, 9);
    assert_null (tide_mark_queue_take (&queue));
    add (&queue, 10, 12);
    add (&queue, 12, 13);
    add (&queue, 11, 13); /* nothing new */
    assert_false (tide_mark_queue_is_short (&queue));
    assert_true (takes (&queue, 10, 12) && takes (&queue, 12, 13));
    assert_null (tide_mark_queue_take (&queue));
    assert_true (queue.to == 13 && queue.size == 0);
}

static void marks_behind_a_gap_wait_until_it_is_closed (void **state)
{
    (void) state;
    tide_mark_queue_t queue = {0};
    tide_mark_queue_reset (&queue, 10);
    add (&queue, 12, 13);
    add (&queue, 13, 14);
    assert_true (tide_mark_queue_is_short (&queue));
    assert_null (tide_mark_queue_take (&queue));
    add (&queue, 10, 11);
    assert_true (tide_mark_queue_is_short (&queue));
    add (&queue, 11, 12);
    assert_false (tide_mark_queue_is_short (&queue));
    assert_true (queue.to == 14);
    assert_true (takes (&queue, 10, 11) && takes (&queue, 11, 12) && takes (&queue, 12, 13)
                 && takes (&queue, 13, 14));
}

static void a_second_gap_forgets_what_came_behind_the_first (void **state)
{
    (void) state;
    tide_mark_queue_t queue = {0};
    tide_mark_queue_reset (&queue, 10);
    add (&queue, 12, 13);
    add (&queue, 15, 16);
    add (&queue, 10, 12);
    assert_true (queue.to == 12 && tide_mark_queue_is_short (&queue));
    add (&queue, 12, 15);
    assert_true (queue.to == 16 && !tide_mark_queue_is_short (&queue));
    tide_mark_queue_reset (&queue, 0);
    assert_int_equal (queue.size, 0);
}

static void a_head_beyond_the_marks_makes_it_short (void **state)
{
    (void) state;
    tide_mark_queue_t queue = {0};
    tide_mark_queue_reset (&queue, 10);
    tide_mark_queue_head (&queue, 9);
    assert_false (tide_mark_queue_is_short (&queue));
    tide_mark_queue_head (&queue, 20);
    assert_true (tide_mark_queue_is_short (&queue));
    add (&queue, 21, 22);
    tide_mark_queue_skip (&queue, 21); /* read without marks */
    assert_false (tide_mark_queue_is_short (&queue));
    assert_true (queue.to == 22 && takes (&queue, 21, 22));
}

static void g6_what_has_no_place_is_read_again (void **state)
{
    (void) state;
    tide_mark_queue_t queue = {0};
    tide_buffer_t large = {0};
    tide_buffer_reserve (&large, 1 << 20);
    memset (large.data, 0, large.size = 1 << 20);
    tide_mark_queue_reset (&queue, 0);
    for (uint64_t at = 0; at < 100; at++) {
        tide_mark_t mark = {at, at + 1, {1, tide_buffer_bytes (&large)}};
        tide_mark_queue_add (&queue, &mark);
    }
    assert_true (queue.size < TIDE_FEED_MARKS_SIZE_MAX + 2 * large.size);
    assert_true (queue.to < 20 && queue.target == 100);
    assert_false (tide_mark_queue_is_short (&queue)); /* not before there is room */
    free (tide_mark_queue_take (&queue));
    assert_true (tide_mark_queue_is_short (&queue));
    tide_mark_queue_reset (&queue, 0);
    tide_buffer_free (&large);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (contiguous_marks_are_ready_in_order),
        cmocka_unit_test (marks_behind_a_gap_wait_until_it_is_closed),
        cmocka_unit_test (a_second_gap_forgets_what_came_behind_the_first),
        cmocka_unit_test (a_head_beyond_the_marks_makes_it_short),
        cmocka_unit_test (g6_what_has_no_place_is_read_again),
    };
    return cmocka_run_group_tests_name ("tide_mark_queue", tests, NULL, NULL);
}
