/*  test_neighbour_upgrade.c - clients that poll, and their way to a WebSocket at another lane
 *  than the one that holds their session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

/*  As they may do at its own lane, and as the reference lets them. */
static void a_probe_there_may_take_without_asking_or_ask_twice (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (THIRD, THIRD);
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    tide_loop_say (probe, "5");
    assert_non_null (probe->connection);
    assert_hears (client, "6");
    tide_loop_publish (loop, "lobby", 1);
    assert_gets (probe, "42[\"n\",1");
    assert_null (hear (probe));

    client = idle_at (THIRD, THIRD);
    probe = probed_at (client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 2);
    assert_gets (probe, "42[\"n\",2");

    client = idle_at (THIRD, THIRD);
    probe = tide_loop_probe_at (client, OTHER);
    static const char *const said[] = {"2probe", "5", "421[\"nobody\"]"};
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++) /* not waiting for an answer */
        tide_hub_frame (loop->hubs[OTHER], loop->now_ms, probe->connection, tide_bytes (said[at]),
                        true);
    tide_loop_run (loop);
    assert_hears (probe, "3probe");
    assert_gets (probe, "431[{\"ok\":false");
}

static void a_session_that_was_taken_elsewhere_does_not_poll_any_more (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
    tide_loop_client_t *probe = taken_to (client, OTHER);
    static const char *const methods[] = {"GET", "POST"};
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        for (size_t at = 0; at < 2; at++) {
            int code = hub == OTHER ? TIDE_ENGINEIO_BAD_REQUEST : TIDE_ENGINEIO_SESSION_UNKNOWN;
            assert_refused (client, hub, methods[at], code);
        }
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) { /* let in, and closed */
        tide_loop_client_t *second = tide_loop_probe_at (client, hub);
        tide_loop_say (second, "2probe");
        assert_null (second->connection);
        assert_int_equal (second->close_code, 0);
    }
    tide_loop_publish (loop, "lobby", 3);
    assert_gets (probe, "42[\"n\",3");
}

/*  The client counts from the last ping that it got, wherever that came from. */
static void a_session_that_was_taken_elsewhere_is_pinged_in_time (void **state)
{
    (void) state;
    for (unsigned wait_ms = 0; wait_ms <= 25000; wait_ms += 5000) {
        tide_loop_client_t *client = idle_at (THIRD, THIRD);
        tide_loop_pass (loop, wait_ms);
        tide_loop_client_t *probe = taken_to (client, OTHER);
        uint64_t pinged_ms = loop->now_ms - wait_ms;
        int pings = 0;
        for (unsigned passed = 0; passed < 100000; passed += 250) {
            const char *frame;
            while ((frame = tide_loop_hear (probe)))
                if (strcmp (frame, "2") == 0) {
                    assert_true (loop->now_ms - pinged_ms < 45000);
                    pinged_ms = loop->now_ms;
                    pings++;
                    tide_loop_say (probe, "3");
                }
            tide_loop_pass (loop, 250);
        }
        assert_true (pings >= 4);
        /*  And it is given up in time. */
        tide_loop_pass (loop, 46000);
        assert_null (probe->connection);
        assert_refused (client, OTHER, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    }
}

static void a_client_without_a_namespace_is_taken_elsewhere_too (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    tide_loop_client_t *probe = taken_to (client, OTHER);
    tide_loop_say (probe, "40");
    assert_gets (probe, "40{");

    client = tide_loop_open_polling (loop, HOLDER);
    probe = taken_to (client, OTHER); /* it never says one */
    for (unsigned passed_ms = 0; passed_ms < 44000; passed_ms += 1000) {
        tide_loop_pass (loop, 1000);
        assert_null (hear (probe));
    }
    assert_non_null (probe->connection);
    tide_loop_pass (loop, 1000);
    assert_null (probe->connection);
}

/*  It is let in, and closed, like any that comes second. */
static void a_session_that_has_gone_is_known_to_a_second_websocket (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_loop_say (probe, "5");
    assert_hears (probe, "2"); /* its heartbeat begins anew */
    tide_loop_publish (loop, "lobby", 1);
    assert_hears (probe, "42[\"n\",1");
    char query[160];
    snprintf (query, sizeof query, "EIO=4&transport=websocket&sid=%s", client->sid);
    tide_http_request_t request = {
        .method = tide_bytes ("GET"), .query = tide_bytes (query), .is_websocket = true};
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        int code = tide_hub_check_handshake (loop->hubs[hub], &request);
        if (hub == OTHER) /* the session is there */
            assert_int_equal (code, -1);
        else {
            assert_int_equal (code, TIDE_HANDSHAKE_FAR);
            tide_hub_ask_handshake (loop->hubs[hub], loop->now_ms, &request);
            tide_loop_run (loop);
            assert_int_equal (loop->http_status, 101);
        }
        tide_loop_client_t *second = tide_loop_probe_at (client, hub);
        tide_loop_say (second, "2probe");
        assert_null (second->connection);
        assert_int_equal (second->close_code, 0);
        assert_null (tide_loop_hear (second));
    }
    tide_loop_publish (loop, "lobby", 2);
    assert_hears (probe, "42[\"n\",2");
}

static void a_client_that_closes_right_behind_the_take_over_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_hub_t *hub = loop->hubs[OTHER];
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("1"), true);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

/*  Its poll was held for another lane, and the broker is away: the session is over, and the
 *  WebSocket as well. */
static void an_upgrade_whose_poll_cannot_be_answered_ends_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (OTHER, HOLDER);
    assert_true (client->poll != 0 && client->poll_hub == OTHER);
    loop->is_cut[HOLDER] = true;
    tide_loop_pass (loop, 5000);
    tide_loop_client_t *probe = tide_loop_probe_at (client, HOLDER);
    tide_loop_say (probe, "5");
    tide_loop_pass (loop, 1000);
    assert_null (probe->connection);
    assert_refused (client, HOLDER, "GET", 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_probe_there_may_take_without_asking_or_ask_twice),
        TEST (a_session_that_was_taken_elsewhere_does_not_poll_any_more),
        TEST (a_session_that_was_taken_elsewhere_is_pinged_in_time),
        TEST (a_client_without_a_namespace_is_taken_elsewhere_too),
        TEST (a_session_that_has_gone_is_known_to_a_second_websocket),
        TEST (a_client_that_closes_right_behind_the_take_over_is_gone),
        TEST (an_upgrade_whose_poll_cannot_be_answered_ends_the_session),
    };
    return cmocka_run_group_tests_name ("the upgrade at another lane", tests, NULL, NULL);
}
