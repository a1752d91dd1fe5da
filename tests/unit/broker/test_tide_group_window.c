/*  test_tide_group_window.c - what a group has read and not yet got done with.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_group_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static tide_group_window_t window;

static int set_up (void **state)
{
    (void) state;
    window = (tide_group_window_t){0};
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    for (uint32_t at = 0; at < window.count; at++)
        free (tide_group_window_at (&window, at));
    tide_group_window_free (&window);
    return 0;
}

static tide_group_item_t *push (uint64_t seq)
{
    tide_group_item_t *item = tide_alloc (sizeof *item);
    item->seq = seq;
    tide_group_window_push (&window, item);
    return item;
}

static void settle (void)
{
    tide_group_item_t *item;
    while ((item = tide_group_window_shift (&window)) != NULL)
        free (item);
}

static void ack (uint64_t seq)
{
    tide_group_window_find (&window, seq)->state = TIDE_ITEM_ACKED;
    settle ();
}

/*  What would be written: the floor, then each that is acknowledged above it. */
static void assert_written (uint64_t floor, unsigned count, const uint64_t *seqs)
{
    tide_buffer_t acked = {0};
    assert_int_equal (tide_group_window_write (&window, &acked), floor);
    assert_int_equal (acked.size, count * 4);
    for (unsigned at = 0; at < count; at++)
        assert_int_equal (floor + tide_load_u32 (acked.data + at * 4), seqs[at]);
    tide_buffer_free (&acked);
}

static void load (uint64_t floor, unsigned count, const uint32_t *offsets, uint64_t written_at)
{
    tide_buffer_t acked = {0};
    for (unsigned at = 0; at < count; at++)
        tide_put_u32 (&acked, offsets[at]);
    tide_group_window_load (&window,
                            &(tide_grouped_t){.floor = floor, .acked = tide_buffer_bytes (&acked)},
                            written_at);
    tide_buffer_free (&acked);
}

static void the_floor_is_below_the_first_that_is_not_acknowledged (void **state)
{
    (void) state;
    tide_group_window_read (&window, 4);
    assert_int_equal (window.floor, 4);
    push (7);
    push (9);
    push (12);
    tide_group_window_read (&window, 20);
    settle ();
    assert_int_equal (window.floor, 6);
    ack (9);
    assert_int_equal (window.floor, 6);
    assert_written (6, 1, (uint64_t[]){9});
    ack (7);
    assert_int_equal (window.floor, 11);
    assert_int_equal (window.count, 1);
    ack (12);
    assert_int_equal (window.floor, 20); /* all that was read */
    assert_written (20, 0, NULL);
}

static void dead_ones_are_written_when_their_letters_go_along (void **state)
{
    (void) state;
    push (1)->state = TIDE_ITEM_DEAD;
    push (2);
    push (3)->state = TIDE_ITEM_DEAD;
    assert_written (0, 0, NULL);
    tide_group_window_find (&window, 1)->is_said = true;
    tide_group_window_find (&window, 3)->is_said = true;
    assert_written (1, 1, (uint64_t[]){3});
    assert_null (tide_group_window_shift (&window)); /* not durable yet */
}

static void only_what_nobody_had_is_read_again (void **state)
{
    (void) state;
    push (1);
    push (2)->attempt = 1;
    push (5);
    push (6);
    tide_group_window_read (&window, 9);
    tide_group_item_t *item = tide_group_window_unread (&window);
    assert_int_equal (item->seq, 6);
    free (item);
    item = tide_group_window_unread (&window);
    assert_int_equal (item->seq, 5);
    free (item);
    assert_null (tide_group_window_unread (&window));
    assert_int_equal (window.read_to, 4);
    push (5);
}

static void what_the_log_says_is_known_until_it_is_read (void **state)
{
    (void) state;
    load (10, 3, (uint32_t[]){2, 5, 8}, 100);
    assert_int_equal (window.floor, 10);
    assert_true (tide_group_window_knows_acked (&window, 12));
    assert_false (tide_group_window_knows_acked (&window, 13));
    assert_written (10, 3, (uint64_t[]){12, 15, 18});
    assert_int_equal (tide_group_window_room (&window), TIDE_GROUP_WINDOW_MAX - 3);
    push (11);
    push (12)->state = TIDE_ITEM_ACKED;
    assert_written (10, 3, (uint64_t[]){12, 15, 18});
    assert_int_equal (tide_group_window_room (&window), TIDE_GROUP_WINDOW_MAX - 4);
    ack (11);
    assert_int_equal (window.floor, 12);
    assert_written (12, 2, (uint64_t[]){15, 18});
}

static void what_no_broker_has_written_is_passed_over (void **state)
{
    (void) state;
    load (10, 5, (uint32_t[]){0, 4, 3, 4, 90}, 100); /* falling, twice, beyond itself */
    assert_written (10, 1, (uint64_t[]){14});
    tide_group_window_free (&window);
    load (UINT64_MAX, 2, (uint32_t[]){1, 2}, 100);
    assert_int_equal (window.floor, 99);
    assert_written (99, 0, NULL);
}

static void a_ring_that_turns_and_grows (void **state)
{
    (void) state;
    uint64_t seq = 0, first = 1;
    for (int round = 0; round < 1000; round++) {
        for (int at = 0; at < 3; at++)
            push (++seq);
        ack (first++);
        if (round % 3 == 0)
            ack (first++);
    }
    assert_int_equal (window.count, seq - first + 1);
    for (uint64_t at = first; at <= seq; at++)
        assert_int_equal (tide_group_window_find (&window, at)->seq, at);
    assert_null (tide_group_window_find (&window, first - 1));
    assert_null (tide_group_window_find (&window, seq + 1));
    assert_int_equal (window.floor, first - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (the_floor_is_below_the_first_that_is_not_acknowledged),
        TEST (dead_ones_are_written_when_their_letters_go_along),
        TEST (only_what_nobody_had_is_read_again),
        TEST (what_the_log_says_is_known_until_it_is_read),
        TEST (what_no_broker_has_written_is_passed_over),
        TEST (a_ring_that_turns_and_grows),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
