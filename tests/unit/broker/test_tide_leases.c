/*  test_tide_leases.c - who holds what until when.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_leases.h"
#include "tide_limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { T0 = 100000 };

static const uint64_t seed[2] = {1, 2};

static void stand (tide_leases_t *leases, uint64_t now_ms, uint32_t key, uint64_t seq,
                   const char *lease, uint32_t linger_ms)
{
    tide_leases_stand (leases, now_ms,
                       &(tide_leases_held_t){.key = key,
                                             .seq = seq,
                                             .lease = tide_bytes (lease),
                                             .name = tide_bytes ("here"),
                                             .linger_ms = linger_ms});
}

/*  The key that is due, 0 for none. */
static uint32_t due (tide_leases_t *leases, uint64_t now_ms)
{
    tide_leases_held_t held;
    return tide_leases_due (leases, now_ms, &held) ? held.key : 0;
}

static void a_lease_that_is_renewed_holds_its_keys (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    assert_int_equal (tide_leases_deadline_ms (leases), UINT64_MAX);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 500);
    for (uint64_t now_ms = T0; now_ms < T0 + 100000; now_ms += 1000) {
        tide_leases_renew (leases, now_ms, lane);
        assert_int_equal (due (leases, now_ms), 0);
    }
    assert_int_equal (tide_leases_counts (leases).ended, 0);
    tide_leases_destroy (&leases);
    assert_null (leases);
}

/*  One whose end is told is due when its lease is over, and again when it may linger no more; one
 *  of which that was told before only then. */
static void an_end_that_was_told_is_not_told_again (void **state)
{
    (void) state;
    for (int is_told = 0; is_told < 2; is_told++) {
        const uint64_t over_ms = T0 + TIDE_LEASE_MS;
        tide_leases_held_t held = {.key = 1,
                                   .seq = 10,
                                   .lease = tide_bytes ("lane"),
                                   .name = tide_bytes ("/"),
                                   .linger_ms = 500,
                                   .tells_end = true,
                                   .is_told = is_told};
        tide_leases_t *leases = tide_leases_new (seed);
        tide_leases_open (leases, T0, tide_bytes ("lane"));
        tide_leases_stand (leases, T0, &held);
        assert_int_equal (tide_leases_due (leases, over_ms, &held), !is_told);
        if (!is_told) {
            assert_true (held.is_bereft);
            tide_leases_told (leases, over_ms, 1);
        }
        assert_false (tide_leases_due (leases, over_ms + 499, &held));
        assert_true (tide_leases_due (leases, over_ms + 500, &held));
        assert_false (held.is_bereft);
        tide_leases_destroy (&leases);
    }
}

static void silence_ends_a_lease_and_linger_begins_then (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 500);
    stand (leases, T0, 2, 11, "lane", 0);
    const uint64_t over_ms = T0 + TIDE_LEASE_MS;
    assert_int_equal (tide_leases_deadline_ms (leases), over_ms);
    assert_int_equal (due (leases, over_ms - 1), 0);
    assert_int_equal (due (leases, over_ms), 2);
    tide_leases_held_t held;
    assert_true (tide_leases_due (leases, over_ms, &held));
    assert_int_equal (held.seq, 11);
    assert_true (tide_bytes_is (held.lease, "lane") && tide_bytes_is (held.name, "here"));
    tide_leases_remove (leases, 2);
    assert_int_equal (due (leases, over_ms), 0);
    assert_int_equal (tide_leases_deadline_ms (leases), over_ms + 500);
    assert_int_equal (due (leases, over_ms + 500), 1);
    tide_leases_forget (leases, 1);
    tide_leases_forget (leases, 2);
    assert_int_equal (tide_leases_counts (leases).held, 0);
    assert_int_equal (due (leases, over_ms + 100000), 0);
    tide_leases_destroy (&leases);
}

/*  Looking late does not make it last longer. */
static void linger_counts_from_the_end_even_if_that_is_seen_late (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    stand (leases, T0, 1, 10, "lane", 500);
    assert_int_equal (due (leases, T0 + TIDE_LEASE_MS + 600), 1);
    tide_leases_destroy (&leases);
}

static void leaving_ends_a_lease_at_once (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 0);
    tide_leases_end (leases, T0 + 5, lane);
    assert_int_equal (due (leases, T0 + 5), 1);
    assert_int_equal (tide_leases_counts (leases).ended, 1);
    tide_leases_destroy (&leases);
}

static void a_holder_that_speaks_again_in_time_keeps_its_keys (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 3000);
    const uint64_t over_ms = T0 + TIDE_LEASE_MS;
    assert_int_equal (due (leases, over_ms + 2000), 0);
    assert_int_equal (tide_leases_counts (leases).lingering, 1);
    tide_leases_renew (leases, over_ms + 2000, lane);
    assert_int_equal (tide_leases_counts (leases).lingering, 0);
    assert_int_equal (due (leases, over_ms + 5000), 0);
    /*  And a later silence counts anew. */
    assert_int_equal (due (leases, over_ms + 2000 + TIDE_LEASE_MS + 2999), 0);
    assert_int_equal (due (leases, over_ms + 2000 + TIDE_LEASE_MS + 3000), 1);
    tide_leases_destroy (&leases);
}

static void a_released_key_lingers_though_its_lease_goes_on (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 700);
    assert_false (tide_leases_release (leases, T0, 1, 9));
    assert_false (tide_leases_release (leases, T0, 2, 10));
    assert_true (tide_leases_release (leases, T0 + 100, 1, 10));
    assert_true (tide_leases_release (leases, T0 + 300, 1, 10)); /* changes nothing */
    tide_leases_renew (leases, T0 + 500, lane);
    assert_int_equal (due (leases, T0 + 799), 0);
    assert_int_equal (due (leases, T0 + 800), 1);
    tide_leases_destroy (&leases);
}

static void a_released_key_is_not_kept_by_a_lease_that_ends_and_begins_again (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 50000);
    tide_leases_release (leases, T0, 1, 10);
    assert_int_equal (due (leases, T0 + TIDE_LEASE_MS), 0);
    tide_leases_renew (leases, T0 + TIDE_LEASE_MS + 1, lane);
    assert_int_equal (due (leases, T0 + 50000), 1);
    tide_leases_destroy (&leases);
}

static void a_new_event_on_the_key_cancels_all_that (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    tide_leases_open (leases, T0, tide_bytes ("lane"));
    uint32_t other = tide_leases_open (leases, T0, tide_bytes ("other"));
    stand (leases, T0, 1, 10, "lane", 1000);
    stand (leases, T0, 2, 11, "lane", 1000);
    tide_leases_release (leases, T0, 1, 10);
    tide_leases_release (leases, T0, 2, 11);
    stand (leases, T0 + 500, 1, 12, "other", 1000);
    tide_leases_forget (leases, 2); /* it stands without a lease now */
    tide_leases_renew (leases, T0 + 9000, other);
    assert_int_equal (due (leases, T0 + 12000), 0);
    tide_leases_destroy (&leases);
}

static void
an_event_that_is_durable_after_its_lease_was_over_gets_a_period_of_its_own (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    stand (leases, T0, 1, 10, "lane", 0);
    tide_leases_end (leases, T0 + 1, lane);
    stand (leases, T0 + 2, 2, 11, "lane", 100);
    assert_int_equal (due (leases, T0 + 2), 1);
    tide_leases_remove (leases, 1);
    assert_int_equal (due (leases, T0 + 2 + TIDE_LEASE_MS + 99), 0);
    assert_int_equal (due (leases, T0 + 2 + TIDE_LEASE_MS + 100), 2);
    tide_leases_destroy (&leases);
}

static void after_a_start_each_lease_gets_one_full_period (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    stand (leases, 0, 1, 10, "lane", 0);
    stand (leases, 0, 2, 11, "other", 0);
    tide_leases_start (leases, T0);
    uint32_t other = tide_leases_open (leases, T0 + 5000, tide_bytes ("other"));
    assert_int_equal (due (leases, T0 + TIDE_LEASE_MS - 1), 0);
    assert_int_equal (due (leases, T0 + TIDE_LEASE_MS), 1);
    tide_leases_remove (leases, 1);
    assert_int_equal (due (leases, T0 + TIDE_LEASE_MS), 0);
    tide_leases_close (leases, other);
    assert_int_equal (due (leases, T0 + 5000 + TIDE_LEASE_MS), 2);
    tide_leases_destroy (&leases);
}

static void a_removal_that_was_not_appended_is_due_again (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    for (uint32_t key = 1; key <= 3; key++)
        stand (leases, T0, key, key, "lane", 0);
    tide_leases_end (leases, T0, lane);
    for (unsigned at = 0; at < 3; at++)
        tide_leases_remove (leases, due (leases, T0));
    assert_int_equal (due (leases, T0 + 100000), 0);
    tide_leases_forget (leases, 2);
    tide_leases_undo (leases, T0 + 1000);
    assert_int_equal (due (leases, T0 + 999), 0);
    uint32_t first = due (leases, T0 + 1000);
    assert_true (first == 1 || first == 3);
    tide_leases_postpone (leases, first, T0 + 2000);
    assert_int_equal (due (leases, T0 + 1000), 4 - first);
    tide_leases_destroy (&leases);
}

/*  A topic's owner takes others' keys along; if that fails, those are still their holders'. */
static void what_was_not_removed_is_held_again_if_its_lease_is_alive (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t mine = tide_leases_open (leases, T0, tide_bytes ("mine"));
    uint32_t gone = tide_leases_open (leases, T0, tide_bytes ("gone"));
    stand (leases, T0, 1, 1, "mine", 0);
    stand (leases, T0, 2, 2, "gone", 0);
    stand (leases, T0, 3, 3, "mine", 0);
    tide_leases_end (leases, T0, gone);
    tide_leases_release (leases, T0, 3, 3);
    for (uint32_t key = 1; key <= 3; key++)
        tide_leases_remove (leases, key);
    tide_leases_undo (leases, T0 + 1000);
    assert_int_equal (tide_leases_counts (leases).lingering, 2);
    tide_leases_forget (leases, 2);
    tide_leases_forget (leases, 3);
    tide_leases_renew (leases, T0 + 5000, mine);
    assert_int_equal (due (leases, T0 + 14999), 0);
    assert_int_equal (due (leases, T0 + 15000), 1);
    tide_leases_close (leases, mine);
    tide_leases_close (leases, gone);
    tide_leases_destroy (&leases);
}

static void stand_from (tide_leases_t *leases, uint32_t key, const char *from)
{
    tide_leases_stand (leases, T0,
                       &(tide_leases_held_t){.key = key,
                                             .seq = key,
                                             .lease = tide_bytes ("lane"),
                                             .name = tide_bytes ("here"),
                                             .from = tide_bytes (from)});
}

static void what_is_due_says_whose_it_was (void **state)
{
    (void) state;
    char longest[TIDE_NAME_SIZE_MAX + 1];
    memset (longest, 'x', sizeof longest);
    longest[TIDE_NAME_SIZE_MAX] = 0;
    const char *const from[] = {"", "sid-1", longest, "later"};
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    for (uint32_t key = 0; key < 3; key++)
        stand_from (leases, key + 1, from[key]);
    stand_from (leases, 4, "before");
    stand_from (leases, 4, "later"); /* another event on the key */
    stand_from (leases, 5, "gone");
    tide_leases_forget (leases, 5);
    tide_leases_end (leases, T0, lane);
    unsigned count = 0;
    tide_leases_held_t held;
    for (; tide_leases_due (leases, T0, &held); count++) {
        assert_true (tide_bytes_is (held.from, from[held.key - 1]));
        tide_leases_remove (leases, held.key);
    }
    assert_int_equal (count, 4);
    tide_leases_destroy (&leases);
}

static void leases_are_found_by_name (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    assert_int_equal (tide_leases_find (leases, tide_bytes ("lane")), 0);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    assert_int_equal (tide_leases_find (leases, tide_bytes ("lane")), lane);
    assert_int_equal (tide_leases_find (leases, tide_bytes ("lane-1")), 0);
    assert_int_equal (tide_leases_find (leases, tide_bytes ("here")), 0);
    assert_true (tide_bytes_is (tide_leases_name (leases, lane), "lane"));
    stand (leases, T0, 1, 10, "lane", 0);
    tide_leases_close (leases, lane);
    assert_int_equal (tide_leases_find (leases, tide_bytes ("lane")), lane);
    tide_leases_forget (leases, 1);
    assert_int_equal (tide_leases_find (leases, tide_bytes ("lane")), 0);
    tide_leases_destroy (&leases);
}

static void a_lease_that_nobody_names_is_forgotten (void **state)
{
    (void) state;
    tide_leases_t *leases = tide_leases_new (seed);
    for (unsigned at = 0; at < 100; at++) {
        char name[16];
        snprintf (name, sizeof name, "lane-%u", at);
        uint32_t lane = tide_leases_open (leases, T0, tide_bytes (name));
        stand (leases, T0, 1 + at % 5, at, name, 0);
        tide_leases_close (leases, lane);
    }
    assert_int_equal (tide_leases_counts (leases).leases, 5);
    assert_int_equal (tide_leases_counts (leases).held, 5);
    tide_leases_destroy (&leases);
}

/*  Against an array that is looked through. */
static void keys_fall_due_in_order_whatever_happened_before (void **state)
{
    (void) state;
    enum { KEYS = 300 };
    uint64_t due_ms[KEYS + 1] = {0};
    uint32_t random = 9;
    tide_leases_t *leases = tide_leases_new (seed);
    uint32_t lane = tide_leases_open (leases, T0, tide_bytes ("lane"));
    uint64_t now_ms = T0;
    for (unsigned step = 0; step < 30000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t key = 1 + (random >> 8) % KEYS;
        unsigned linger_ms = (random >> 16) % 5000;
        now_ms += (random >> 4) % 10;
        tide_leases_renew (leases, now_ms, lane);
        if (random % 3 == 0)
            tide_leases_forget (leases, key);
        else
            stand (leases, now_ms, key, step, "lane", linger_ms);
        due_ms[key] = UINT64_MAX;
        if (random % 3 == 1) {
            assert_true (tide_leases_release (leases, now_ms, key, step));
            due_ms[key] = now_ms + linger_ms;
        }
        tide_leases_held_t held;
        while (tide_leases_due (leases, now_ms, &held)) {
            for (uint32_t at = 1; at <= KEYS; at++)
                assert_true (due_ms[at] == 0 || due_ms[at] >= due_ms[held.key]);
            tide_leases_forget (leases, held.key);
            due_ms[held.key] = UINT64_MAX;
        }
        for (uint32_t at = 1; step % 100 == 0 && at <= KEYS; at++)
            assert_true (due_ms[at] == 0 || due_ms[at] > now_ms);
    }
    tide_leases_destroy (&leases);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_lease_that_is_renewed_holds_its_keys),
        cmocka_unit_test (silence_ends_a_lease_and_linger_begins_then),
        cmocka_unit_test (an_end_that_was_told_is_not_told_again),
        cmocka_unit_test (linger_counts_from_the_end_even_if_that_is_seen_late),
        cmocka_unit_test (leaving_ends_a_lease_at_once),
        cmocka_unit_test (a_holder_that_speaks_again_in_time_keeps_its_keys),
        cmocka_unit_test (a_released_key_lingers_though_its_lease_goes_on),
        cmocka_unit_test (a_released_key_is_not_kept_by_a_lease_that_ends_and_begins_again),
        cmocka_unit_test (a_new_event_on_the_key_cancels_all_that),
        cmocka_unit_test (
            an_event_that_is_durable_after_its_lease_was_over_gets_a_period_of_its_own),
        cmocka_unit_test (after_a_start_each_lease_gets_one_full_period),
        cmocka_unit_test (a_removal_that_was_not_appended_is_due_again),
        cmocka_unit_test (what_was_not_removed_is_held_again_if_its_lease_is_alive),
        cmocka_unit_test (what_is_due_says_whose_it_was),
        cmocka_unit_test (leases_are_found_by_name),
        cmocka_unit_test (a_lease_that_nobody_names_is_forgotten),
        cmocka_unit_test (keys_fall_due_in_order_whatever_happened_before),
    };
    return cmocka_run_group_tests_name ("tide_leases", tests, NULL, NULL);
}
