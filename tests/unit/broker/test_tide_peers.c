/*  test_tide_peers.c - who has said hello.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_peers.h"

#include <setjmp.h>
#include <stdarg.h>
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

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_one_that_was_silent_for_longest_is_told),
        cmocka_unit_test (no_more_than_so_many_are_taken),
    };
    return cmocka_run_group_tests_name ("tide_peers", tests, NULL, NULL);
}
