/*  test_tide_room.c - the topics of rooms, namespaces and sessions.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_room.h"

#include "tide_topic.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check_room (const char *nsp, const char *room, const char *expected)
{
    tide_buffer_t topic = {0};
    tide_room_topic (&topic, tide_bytes (nsp), tide_bytes (room));
    assert_true (tide_bytes_is (tide_buffer_bytes (&topic), expected));
    assert_true (tide_topic_valid (tide_buffer_bytes (&topic)));
    tide_buffer_free (&topic);
}

static void rooms_are_below_their_namespace (void **state)
{
    (void) state;
    check_room ("/", "lobby", "lobby");
    check_room ("/chat", "lobby", "chat/lobby");
    check_room ("/", "", "$nsp");
    check_room ("/chat", "", "$nsp/chat");
}

static void what_a_level_cannot_hold_is_encoded (void **state)
{
    (void) state;
    check_room ("/", "a/b#c%d", "a%2Fb%23c%25d");
    check_room ("/", "line\nend\x7f", "line%0Aend%7F");
    check_room ("/", "$nsp", "%24nsp");
    check_room ("/", "@sid", "%40sid");
    check_room ("/chat", "@sid", "chat/@sid");
    check_room ("/$chat", "lobby", "%24chat/lobby");
    check_room ("/", "größe", "größe");
}

static void a_session_has_a_topic_of_its_own (void **state)
{
    (void) state;
    tide_buffer_t topic = {0};
    tide_session_topic (&topic, tide_bytes ("abc"));
    assert_true (tide_bytes_is (tide_buffer_bytes (&topic), "@abc"));
    tide_buffer_free (&topic);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (rooms_are_below_their_namespace),
        cmocka_unit_test (what_a_level_cannot_hold_is_encoded),
        cmocka_unit_test (a_session_has_a_topic_of_its_own),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
