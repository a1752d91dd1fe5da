/*  test_tide_peers.c - who has said hello.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t seed[2] = {1, 2};

static void the_one_that_was_silent_for_longest_is_told (void **state)
{
    (void) state;
    tide_peers_t *peers = tide_peers_new (seed, 100);
    assert_null (tide_peers_oldest (peers));
    for (unsigned at = 0; at < 50; at++) {
        char id[8];
        snprintf (id, sizeof id, "p%u", at);
        assert_non_null (tide_peers_add (peers, at, tide_bytes (id)));
    }
    tide_peers_heard (peers, 60, tide_peers_find (peers, tide_bytes ("p0")));
    tide_peers_heard (peers, 61, tide_peers_find (peers, tide_bytes ("p49")));
    tide_peers_heard (peers, 62, tide_peers_find (peers, tide_bytes ("p2")));
    tide_peers_remove (peers, tide_peers_find (peers, tide_bytes ("p3")));
    uint64_t heard = 0;
    unsigned count = 0;
    tide_peer_t *oldest;
    while ((oldest = tide_peers_oldest (peers)) != NULL) {
        assert_true (oldest->heard_ms >= heard);
        heard = oldest->heard_ms;
        tide_peers_remove (peers, oldest);
        count++;
    }
    assert_int_equal (heard, 62);
    assert_int_equal (count, 49);
    tide_peers_destroy (&peers);
}

static void no_more_than_so_many_are_taken (void **state)
{
    (void) state;
    tide_peers_t *peers = tide_peers_new (seed, 2);
    assert_non_null (tide_peers_add (peers, 1, tide_bytes ("a")));
    assert_non_null (tide_peers_add (peers, 1, tide_bytes ("b")));
    assert_null (tide_peers_add (peers, 1, tide_bytes ("c")));
    assert_null (tide_peers_find (peers, tide_bytes ("c")));
    tide_peers_remove (peers, tide_peers_find (peers, tide_bytes ("a")));
    assert_null (tide_peers_find (peers, tide_bytes ("a")));
    assert_non_null (tide_peers_add (peers, 1, tide_bytes ("c")));
    assert_int_equal (tide_peers_count (peers), 2);
    tide_peers_destroy (&peers);
}

static tide_peer_t *peer_of (tide_peers_t *peers, const char *id)
{
    return tide_peers_find (peers, tide_bytes (id));
}

static void the_last_to_say_so_holds_a_lease_and_then_the_one_before (void **state)
{
    (void) state;
    tide_peers_t *peers = tide_peers_new (seed, 100);
    assert_null (tide_peers_holder (peers, 7));
    for (unsigned at = 0; at < 40; at++) {
        char id[8];
        snprintf (id, sizeof id, "p%u", at);
        tide_peers_hold (peers, tide_peers_add (peers, at, tide_bytes (id)), at < 4 ? 7 : 0);
    }
    assert_ptr_equal (tide_peers_holder (peers, 7), peer_of (peers, "p3"));
    tide_peers_remove (peers, peer_of (peers, "p1")); /* from the middle */
    tide_peers_hold (peers, peer_of (peers, "p0"), 7);
    assert_ptr_equal (tide_peers_holder (peers, 7), peer_of (peers, "p0"));
    tide_peers_remove (peers, peer_of (peers, "p0"));
    assert_ptr_equal (tide_peers_holder (peers, 7), peer_of (peers, "p3"));
    tide_peers_hold (peers, peer_of (peers, "p3"), 8);
    assert_ptr_equal (tide_peers_holder (peers, 7), peer_of (peers, "p2"));
    assert_ptr_equal (tide_peers_holder (peers, 8), peer_of (peers, "p3"));
    tide_peers_hold (peers, peer_of (peers, "p2"), 0);
    assert_null (tide_peers_holder (peers, 7));
    assert_null (tide_peers_holder (peers, 0));
    tide_peers_destroy (&peers);
}

/*  Against an array of who said so when. */
static void holders_are_right_whatever_came_and_went (void **state)
{
    (void) state;
    enum { PEERS = 40, LEASES = 12 };
    unsigned held[PEERS] = {0}, said[PEERS] = {0};
    bool is_there[PEERS] = {false};
    uint32_t random = 5;
    tide_peers_t *peers = tide_peers_new (seed, PEERS);
    for (unsigned step = 1; step < 20000; step++) {
        random = random * 1664525 + 1013904223;
        unsigned which = (random >> 8) % PEERS;
        char id[8];
        snprintf (id, sizeof id, "p%u", which);
        if (!is_there[which])
            tide_peers_add (peers, step, tide_bytes (id));
        is_there[which] = (random >> 16) % 4 > 0;
        held[which] = is_there[which] ? (random >> 20) % LEASES : 0;
        said[which] = step;
        if (is_there[which])
            tide_peers_hold (peers, peer_of (peers, id), held[which]);
        else
            tide_peers_remove (peers, peer_of (peers, id));
        unsigned holders = 0;
        for (unsigned lease = 1; lease < LEASES; lease++) {
            unsigned last = PEERS;
            for (unsigned at = 0; at < PEERS; at++)
                if (held[at] == lease && (last == PEERS || said[at] > said[last]))
                    last = at;
            snprintf (id, sizeof id, "p%u", last);
            assert_ptr_equal (tide_peers_holder (peers, lease),
                              last < PEERS ? peer_of (peers, id) : NULL);
            holders += last < PEERS;
        }
        uint32_t at = 0, seen = 0;
        const tide_peer_t *holder;
        while ((holder = tide_peers_next_holder (peers, &at)) != NULL) {
            assert_ptr_equal (tide_peers_holder (peers, holder->lease), holder);
            seen++;
        }
        assert_int_equal (seen, holders);
    }
    tide_peers_destroy (&peers);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_one_that_was_silent_for_longest_is_told),
        cmocka_unit_test (no_more_than_so_many_are_taken),
        cmocka_unit_test (the_last_to_say_so_holds_a_lease_and_then_the_one_before),
        cmocka_unit_test (holders_are_right_whatever_came_and_went),
    };
    return cmocka_run_group_tests_name ("tide_peers", tests, NULL, NULL);
}
