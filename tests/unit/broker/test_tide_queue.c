/*  test_tide_queue.c - messages that wait for their turn.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void messages_come_out_in_the_order_in_which_they_went_in (void **state)
{
    (void) state;
    tide_queue_t queue = {.count_max = 1000, .size_max = 100000};
    unsigned in = 0, out = 0;
    char text[16];
    assert_null (tide_queue_front (&queue));
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned at = 0; at < 7; at++) {
            snprintf (text, sizeof text, "%u", in++);
            assert_true (tide_queue_push (&queue, tide_bytes ("peer"), tide_bytes (text)));
        }
        for (unsigned at = 0; at < 5; at++) {
            snprintf (text, sizeof text, "%u", out++);
            assert_true (tide_bytes_is (tide_queue_front (&queue)->bytes, text));
            assert_true (tide_bytes_is (tide_queue_front (&queue)->peer, "peer"));
            tide_queue_pop (&queue);
        }
    }
    assert_int_equal (queue.count, 200);
    tide_queue_free (&queue);
}

static void limits_of_number_and_size_hold (void **state)
{
    (void) state;
    tide_queue_t queue = {.count_max = 3, .size_max = 10};
    tide_bytes_t peer = tide_bytes ("p");
    /*  One is taken however large it is. */
    assert_true (tide_queue_push (&queue, peer, tide_bytes ("twelve bytes")));
    assert_false (tide_queue_push (&queue, peer, tide_bytes ("x")));
    tide_queue_pop (&queue);
    assert_true (tide_queue_push (&queue, peer, tide_bytes ("12345")));
    assert_false (tide_queue_push (&queue, peer, tide_bytes ("123456")));
    assert_true (tide_queue_push (&queue, peer, tide_bytes ("1234")));
    assert_true (tide_queue_push (&queue, peer, tide_bytes ("1")));
    assert_false (tide_queue_push (&queue, peer, tide_bytes ("")));
    assert_int_equal (queue.size, 10);
    tide_queue_free (&queue);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (messages_come_out_in_the_order_in_which_they_went_in),
        cmocka_unit_test (limits_of_number_and_size_hold),
    };
    return cmocka_run_group_tests_name ("tide_queue", tests, NULL, NULL);
}
