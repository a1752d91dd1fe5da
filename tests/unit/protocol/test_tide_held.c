/*  test_tide_held.c - events that wait, and the arenas that hold their bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add (tide_held_t *held, tide_arena_t *arena, uint64_t seq)
{
    tide_held_event_t event = {.seq = seq, .size = sizeof seq};
    event.record =
        tide_arena_copy (arena, (tide_bytes_t){(uint8_t *) &seq, sizeof seq}, &event.chunk);
    tide_held_add (held, &event);
    tide_arena_release (arena, event.chunk);
}

static void take_in_order (tide_held_t *held, tide_arena_t *arena, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        assert_true (tide_held_first (held)->seq == seq);
        tide_held_event_t event = tide_held_take (held);
        assert_memory_equal (event.record, &seq, sizeof seq);
        tide_arena_release (arena, event.chunk);
    }
}

/*  Runs of one topic each, one after another, as a batch brings them. */
static void runs_are_merged_into_one_order (void **state)
{
    (void) state;
    for (unsigned topics = 1; topics < 40; topics++) {
        tide_held_t held = {0};
        tide_arena_t arena = {0};
        for (unsigned topic = 0; topic < topics; topic++)
            for (uint64_t seq = topic + 1; seq <= 1000; seq += topics)
                add (&held, &arena, seq);
        tide_held_sort (&held);
        assert_int_equal (tide_held_count (&held), 1000);
        for (uint64_t seq = 0; seq <= 1001; seq++)
            assert_int_equal (tide_held_has (&held, seq), seq >= 1 && seq <= 1000);
        take_in_order (&held, &arena, 1, 1000);
        assert_null (tide_held_first (&held));
        tide_held_free (&held, &arena);
        tide_arena_free (&arena);
    }
}

static void falling_order_is_turned_and_gaps_are_no_hits (void **state)
{
    (void) state;
    tide_held_t held = {0};
    tide_arena_t arena = {0};
    for (uint64_t seq = 3000; seq > 0; seq -= 3)
        add (&held, &arena, seq);
    tide_held_sort (&held);
    for (uint64_t seq = 0; seq <= 3003; seq++)
        assert_int_equal (tide_held_has (&held, seq), seq % 3 == 0 && seq > 0 && seq <= 3000);
    assert_false (tide_held_has (&held, UINT64_MAX));
    tide_held_free (&held, &arena);
    assert_false (tide_held_has (&held, 3));
    tide_arena_free (&arena);
}

static void adding_while_taking_keeps_the_rest (void **state)
{
    (void) state;
    tide_held_t held = {0};
    tide_arena_t arena = {0};
    for (uint64_t seq = 1; seq <= 5000; seq++) {
        add (&held, &arena, 2 * seq - 1);
        add (&held, &arena, 2 * seq);
        take_in_order (&held, &arena, seq, seq);
    }
    take_in_order (&held, &arena, 5001, 10000);
    tide_held_free (&held, &arena);
    tide_arena_free (&arena);
}

static void what_is_behind_can_be_dropped (void **state)
{
    (void) state;
    tide_held_t held = {0};
    tide_arena_t arena = {0};
    for (uint64_t seq = 1; seq <= 100; seq++)
        add (&held, &arena, seq);
    tide_held_drop_behind (&held, &arena, 40);
    assert_int_equal (tide_held_count (&held), 40);
    take_in_order (&held, &arena, 1, 40);
    add (&held, &arena, 7);
    tide_held_drop_behind (&held, &arena, 0);
    assert_int_equal (tide_held_count (&held), 0);
    tide_held_free (&held, &arena);
    tide_arena_free (&arena);
}

static void a_chunk_that_nobody_needs_is_used_again (void **state)
{
    (void) state;
    tide_held_t held = {0};
    tide_arena_t arena = {0};
    add (&held, &arena, 1);
    size_t size = arena.size;
    take_in_order (&held, &arena, 1, 1);
    for (unsigned at = 0; at < 100000; at++) {
        add (&held, &arena, 1);
        take_in_order (&held, &arena, 1, 1);
    }
    assert_true (arena.size == size);
    tide_held_free (&held, &arena);
    tide_arena_free (&arena);
}

static void large_bytes_have_a_chunk_of_their_own_that_goes_with_them (void **state)
{
    (void) state;
    static uint8_t large[1 << 20];
    tide_arena_t arena = {0};
    tide_chunk_t *small, *big, *after;
    tide_arena_copy (&arena, tide_bytes ("x"), &small);
    size_t size = arena.size;
    const uint8_t *copy = tide_arena_copy (&arena, (tide_bytes_t){large, sizeof large}, &big);
    assert_memory_equal (copy, large, sizeof large);
    assert_true (arena.size >= size + sizeof large);
    tide_arena_copy (&arena, tide_bytes ("y"), &after);
    tide_arena_release (&arena, big);
    assert_true (arena.size == 2 * size);
    tide_arena_release (&arena, small);
    tide_arena_release (&arena, after);
    assert_true (arena.size == size);
    tide_arena_copy (&arena, (tide_bytes_t){large, sizeof large}, &big);
    tide_arena_release (&arena, big);
    assert_true (arena.size == 0);
    tide_arena_free (&arena);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (runs_are_merged_into_one_order),
        cmocka_unit_test (falling_order_is_turned_and_gaps_are_no_hits),
        cmocka_unit_test (adding_while_taking_keeps_the_rest),
        cmocka_unit_test (what_is_behind_can_be_dropped),
        cmocka_unit_test (a_chunk_that_nobody_needs_is_used_again),
        cmocka_unit_test (large_bytes_have_a_chunk_of_their_own_that_goes_with_them),
    };
    return cmocka_run_group_tests_name ("tide_held", tests, NULL, NULL);
}
