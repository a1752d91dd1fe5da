/*  test_polling.c - clients that poll: their requests, and how their sessions end.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

/*  -- the plain way --------------------------------------------------------------------------- */

static void a_client_connects_subscribes_and_gets_events_by_polling (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    assert_int_equal (client->post_status, 200);
    assert_true (client->poll != 0); /* it waits */
    for (int number = 1; number <= 3; number++) {
        tide_loop_publish (loop, "lobby", number);
        char event[32];
        snprintf (event, sizeof event, "42[\"n\",%d", number);
        assert_hears (client, event);
    }
    assert_true (client->poll != 0);
}

static void what_came_between_polls_comes_by_the_next (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    for (int number = 1; number <= 3; number++)
        tide_loop_publish (loop, "lobby", number);
    assert_null (tide_loop_hear (client));
    get (client);
    assert_hears (client, "42[\"n\",1");
    assert_hears (client, "42[\"n\",2");
    assert_hears (client, "42[\"n\",3");
    get (client);
    assert_true (client->poll != 0);
}

static void a_post_takes_many_packets_in_order (void **state)
{
    (void) state;
    tide_loop_client_t *client = connected ();
    tide_loop_say (client, "421[\"tide:history\",{\"topic\":\"a\"}]\x1e"
                           "3\x1e"
                           "422[\"nobody\"]");
    assert_int_equal (client->post_status, 200);
    assert_hears (client, "431[{\"ok\":true");
    assert_hears (client, "432[{\"ok\":false");
}

/*  Attachments of a message over the size of a fragment come whole, and in their place. */
static void large_text_and_binary_come_whole (void **state)
{
    (void) state;
    enum { SIZE = 40000 };
    tide_loop_client_t *client = subscribed ();
    tide_buffer_t body = {0}, bytes = {0};
    for (unsigned at = 0; at < SIZE; at++)
        tide_put_u8 (&bytes, (uint8_t) (at * 13));
    tide_buffer_append_text (&body, "451-2[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"b\","
                                    "\"args\":[\"");
    for (unsigned at = 0; at < SIZE; at++)
        tide_put_u8 (&body, 'x');
    tide_buffer_append_text (&body, "\",{\"_placeholder\":true,\"num\":0}]}]");
    tide_engineio_payload_append (&body, tide_buffer_bytes (&bytes), false);
    tide_loop_post (client, tide_buffer_bytes (&body));
    tide_loop_run (loop);
    assert_int_equal (client->post_status, 200);
    const char *frame = tide_loop_hear (client);
    if (strncmp (frame, "432", 3) == 0)
        frame = tide_loop_hear (client);
    assert_memory_equal (frame, "451-[\"b\",\"xxx", 13);
    assert_true (strlen (frame) > SIZE);
    assert_int_equal (client->binaries, 1);
    assert_true (
        tide_bytes_equal (tide_buffer_bytes (&client->binary), tide_buffer_bytes (&bytes)));
    tide_buffer_free (&body);
    tide_buffer_free (&bytes);
}

/*  -- requests that must not be --------------------------------------------------------------- */

static void a_second_poll_ends_both_and_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    assert_refused (client, HOLDER, "GET", TIDE_ENGINEIO_BAD_REQUEST);
    assert_hears (client, "1");
    assert_int_equal (client->poll_status, 200);
    assert_forgotten (client);
}

static void a_second_post_ends_both_and_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    char query[160];
    query_of (client, query);
    uint64_t first = tide_loop_engineio (loop, HOLDER, "POST", query, NULL);
    assert_int_equal (loop->http_status, 0);
    uint64_t second = tide_loop_engineio (loop, HOLDER, "POST", query, NULL);
    assert_int_equal (loop->http_status, 400);
    assert_int_equal (loop->ticket, first); /* answered last */
    assert_hears (client, "1");
    assert_forgotten (client);
    /*  Their bodies come too late. */
    tide_hub_body (loop->hubs[HOLDER], loop->now_ms, first, tide_bytes ("4"));
    tide_hub_body (loop->hubs[HOLDER], loop->now_ms, second, tide_bytes ("4"));
    tide_loop_run (loop);
}

static void a_binary_post_ends_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    char query[160];
    query_of (client, query);
    tide_http_request_t request = {.method = tide_bytes ("POST"),
                                   .path = tide_bytes ("/socket.io/"),
                                   .query = tide_bytes (query),
                                   .is_binary = true};
    tide_hub_engineio (loop->hubs[HOLDER], loop->now_ms, &request);
    tide_loop_run (loop);
    assert_int_equal (loop->http_status, 400);
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void a_payload_that_is_none_ends_the_session (void **state)
{
    (void) state;
    static const char *const bodies[] = {"",   "abc", "4\x1e", "2",   "2probe",
                                         "b*", "bA",  "4\xff", "\x1e"};
    for (size_t at = 0; at < sizeof bodies / sizeof bodies[0]; at++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        assert_hears (client, "0{");
        tide_loop_post (client, tide_bytes (bodies[at]));
        tide_loop_run (loop);
        assert_int_equal (client->post_status, 400);
        assert_hears (client, "1");
        assert_true (client->is_over);
        assert_forgotten (client);
    }
}

static void a_request_that_is_broken_off_ends_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_hub_abandon (loop->hubs[HOLDER], client->poll);
    client->poll = 0;
    client->is_stalled = true;
    tide_loop_run (loop);
    assert_forgotten (client);

    client = subscribed ();
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, HOLDER, "POST", query, NULL);
    tide_hub_abandon (loop->hubs[HOLDER], post);
    tide_loop_run (loop);
    assert_hears (client, "1");
    assert_forgotten (client);
}

/*  -- the end --------------------------------------------------------------------------------- */

static void a_client_that_closes_has_its_poll_answered_6 (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "1");
    assert_int_equal (client->post_status, 200);
    assert_hears (client, "6");
    assert_null (tide_loop_hear (client));
    assert_forgotten (client);

    client = idle ();
    tide_loop_say (client, "1");
    assert_int_equal (client->post_status, 200);
    assert_forgotten (client);
}

static void what_comes_behind_a_close_in_a_payload_is_not_heard (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "1\x1e"
                           "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"late\"}]");
    assert_int_equal (client->post_status, 200);
    assert_hears (client, "6");
    tide_loop_http (loop, THIRD, "GET", "/api/v1/history", "topic=lobby", "");
    assert_null (strstr (loop->http_body, "late"));
}

static void an_end_by_the_server_reaches_the_next_poll (void **state)
{
    (void) state;
    tide_loop_client_t *client = ended ();
    tide_loop_pass (loop, 29000);
    get (client);
    assert_hears (client, "1");
    assert_null (tide_loop_hear (client));
    assert_int_equal (client->poll_status, 200);
    assert_forgotten (client);
}

static void an_end_that_nobody_asks_for_is_forgotten_in_time (void **state)
{
    (void) state;
    tide_loop_client_t *client = ended ();
    tide_loop_pass (loop, 29750);
    assert_int_equal (tide_hub_deadline_ms (loop->hubs[HOLDER]), loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_forgotten (client);
}

static void an_ended_session_takes_nothing_more (void **state)
{
    (void) state;
    tide_loop_client_t *client = ended ();
    tide_loop_say (client, "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"late\"}]");
    assert_int_equal (client->post_status, 200);
    tide_loop_http (loop, THIRD, "GET", "/api/v1/history", "topic=lobby", "");
    assert_null (strstr (loop->http_body, "late"));
    tide_loop_client_t *probe = tide_loop_probe (client);
    assert_null (probe->connection);
    get (client);
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void an_end_while_a_poll_is_held_is_told_at_once (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "42/elsewhere,[\"x\"]");
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void a_client_that_does_not_answer_a_ping_is_forgotten_in_time (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    uint64_t begun_ms = loop->now_ms;
    tide_loop_pass (loop, 25000);
    assert_hears (client, "2"); /* it polls, and that is not enough */
    loop->now_ms = begun_ms + 44999;
    tide_hub_tick (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_null (tide_loop_hear (client));
    tide_loop_pass (loop, 1);
    assert_hears (client, "1");
    assert_forgotten (client);

    /*  One that does not even poll for the ping; and the request comes before the tick does. */
    client = idle ();
    begun_ms = loop->now_ms;
    tide_loop_pass (loop, 25000);
    loop->now_ms = begun_ms + 45000;
    assert_refused (client, HOLDER, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    assert_forgotten (client);
}

static void a_pong_by_post_keeps_it_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    for (int round = 0; round < 5; round++) {
        tide_loop_pass (loop, 25000);
        assert_hears (client, "2");
        tide_loop_say (client, "3");
    }
    assert_alive (client);
}

static void a_lane_that_stops_tells_all_who_poll_and_takes_nobody_in (void **state)
{
    (void) state;
    tide_loop_client_t *idles = idle (), *waits = subscribed ();
    tide_loop_client_t *probe = tide_loop_probe (subscribed ());
    tide_loop_say (probe, "2probe");
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_hears (waits, "1");
    assert_null (probe->connection);
    assert_refused (waits, HOLDER, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    assert_refused (idles, HOLDER, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    tide_loop_engineio (loop, HOLDER, "GET", "EIO=4&transport=polling", NULL);
    assert_int_equal (loop->http_status, 503);
}

static unsigned count_byes (void)
{
    unsigned count = 0;
    for (unsigned at = 0; at < loop->held_count; at++) {
        tide_message_t message;
        const char *why;
        tide_bytes_t bytes = tide_buffer_bytes (&loop->held[at].bytes);
        count += tide_message_decode (bytes, &message, &why) == TIDE_OK
                 && message.kind == TIDE_MESSAGE_BYE;
    }
    return count;
}

static void a_lane_that_stops_says_so_once_whoever_is_to_be_told (void **state)
{
    (void) state;
    enum { NOBODY, FAREWELL, POLL, BOTH, WEBSOCKET };
    for (int who = NOBODY; who <= WEBSOCKET; who++) {
        loop = tide_loop_new (NULL);
        hold (TIDE_MESSAGE_BYE);
        if (who == FAREWELL || who == BOTH)
            tide_loop_say (idle (), "42/elsewhere,[\"x\"]"); /* told by its next poll */
        if (who == POLL || who == BOTH)
            subscribed ();
        if (who == WEBSOCKET)
            tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
        tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
        tide_loop_run (loop);
        assert_int_equal (count_byes (), 1);
        tide_loop_client_t *late = tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
        assert_null (late->connection);
        assert_int_equal (count_byes (), 1);
        tide_loop_let_all_go (loop);
        tide_loop_destroy (&loop);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_client_connects_subscribes_and_gets_events_by_polling),
        TEST (what_came_between_polls_comes_by_the_next),
        TEST (a_post_takes_many_packets_in_order),
        TEST (large_text_and_binary_come_whole),
        TEST (a_second_poll_ends_both_and_the_session),
        TEST (a_second_post_ends_both_and_the_session),
        TEST (a_binary_post_ends_the_session),
        TEST (a_payload_that_is_none_ends_the_session),
        TEST (a_request_that_is_broken_off_ends_the_session),
        TEST (a_client_that_closes_has_its_poll_answered_6),
        TEST (what_comes_behind_a_close_in_a_payload_is_not_heard),
        TEST (an_end_by_the_server_reaches_the_next_poll),
        TEST (an_end_that_nobody_asks_for_is_forgotten_in_time),
        TEST (an_ended_session_takes_nothing_more),
        TEST (an_end_while_a_poll_is_held_is_told_at_once),
        TEST (a_client_that_does_not_answer_a_ping_is_forgotten_in_time),
        TEST (a_pong_by_post_keeps_it_alive),
        TEST (a_lane_that_stops_tells_all_who_poll_and_takes_nobody_in),
        cmocka_unit_test (a_lane_that_stops_says_so_once_whoever_is_to_be_told),
    };
    return cmocka_run_group_tests_name ("polling", tests, NULL, NULL);
}
