/*  test_tide_outbox.c - what is to be done, in order.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void send_bye (tide_outbox_t *outbox, const char *peer)
{
    tide_message_t bye = {.kind = TIDE_MESSAGE_BYE}; /* the smallest there is */
    tide_outbox_send (outbox, tide_bytes (peer), &bye);
}

static void actions_come_in_order_with_their_bytes (void **state)
{
    (void) state;
    tide_outbox_t outbox = {0};
    tide_broker_action_t action;
    assert_true (tide_outbox_is_empty (&outbox));
    send_bye (&outbox, "one");
    tide_buffer_append_text (tide_outbox_begin (&outbox), "frame");
    tide_outbox_end (&outbox, true);
    tide_outbox_fetch (&outbox, tide_log_fetch_new ());
    assert_true (tide_outbox_next (&outbox, &action));
    assert_int_equal (action.kind, TIDE_BROKER_SEND);
    assert_true (tide_bytes_is (action.peer, "one"));
    assert_int_equal (action.bytes.size, 4);
    assert_true (tide_outbox_next (&outbox, &action));
    assert_int_equal (action.kind, TIDE_BROKER_PUBLISH);
    assert_true (action.is_volatile && tide_bytes_is (action.bytes, "frame"));
    assert_int_equal (action.peer.size, 0);
    assert_true (tide_outbox_next (&outbox, &action));
    assert_int_equal (action.kind, TIDE_BROKER_FETCH);
    tide_log_fetch_destroy (&action.fetch);
    assert_false (tide_outbox_next (&outbox, &action));
    tide_outbox_free (&outbox);
}

static void one_message_to_several_peers_is_there_once (void **state)
{
    (void) state;
    static const char *const peers[] = {"one", "another", "x"};
    tide_outbox_t outbox = {0};
    tide_broker_action_t action;
    const uint8_t *bytes = NULL;
    send_bye (&outbox, "before");
    send_bye (&outbox, peers[0]);
    tide_outbox_send_again (&outbox, tide_bytes (peers[1]));
    tide_outbox_send_again (&outbox, tide_bytes (peers[2]));
    send_bye (&outbox, "behind");
    assert_true (tide_outbox_next (&outbox, &action) && tide_bytes_is (action.peer, "before"));
    for (size_t at = 0; at < 3; at++) {
        assert_true (tide_outbox_next (&outbox, &action));
        assert_int_equal (action.kind, TIDE_BROKER_SEND);
        assert_true (tide_bytes_is (action.peer, peers[at]));
        assert_int_equal (action.bytes.size, 4);
        assert_true (at == 0 || action.bytes.data == bytes);
        bytes = action.bytes.data;
    }
    assert_true (tide_outbox_next (&outbox, &action) && tide_bytes_is (action.peer, "behind"));
    assert_false (tide_outbox_next (&outbox, &action));
    tide_outbox_free (&outbox);
}

static void memory_is_used_again_once_all_was_taken (void **state)
{
    (void) state;
    tide_outbox_t outbox = {0};
    tide_broker_action_t action;
    for (unsigned at = 0; at < 10000; at++) {
        send_bye (&outbox, "peer");
        send_bye (&outbox, "peer");
        assert_true (tide_outbox_next (&outbox, &action));
        assert_true (tide_outbox_next (&outbox, &action));
    }
    assert_true (outbox.arena.capacity <= 256 && outbox.capacity <= 64);
    tide_outbox_free (&outbox);
}

static void stopping_drops_what_was_waiting (void **state)
{
    (void) state;
    tide_outbox_t outbox = {0};
    tide_broker_action_t action;
    send_bye (&outbox, "peer");
    tide_outbox_fetch (&outbox, tide_log_fetch_new ());
    tide_outbox_stop (&outbox, TIDE_LOG_FULL);
    assert_true (tide_outbox_next (&outbox, &action));
    assert_int_equal (action.kind, TIDE_BROKER_STOP);
    assert_int_equal (action.status, TIDE_LOG_FULL);
    assert_false (tide_outbox_next (&outbox, &action));
    tide_outbox_fetch (&outbox, tide_log_fetch_new ());
    tide_outbox_free (&outbox);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (actions_come_in_order_with_their_bytes),
        cmocka_unit_test (one_message_to_several_peers_is_there_once),
        cmocka_unit_test (memory_is_used_again_once_all_was_taken),
        cmocka_unit_test (stopping_drops_what_was_waiting),
    };
    return cmocka_run_group_tests_name ("tide_outbox", tests, NULL, NULL);
}
