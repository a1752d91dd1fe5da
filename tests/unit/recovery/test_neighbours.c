/*  test_neighbours.c - requests that reach a lane that does not hold their session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

/*  -- requests -------------------------------------------------------------------------------- */

static void requests_at_other_lanes_are_answered_by_the_holder (void **state)
{
    (void) state;
    for (unsigned gets_at = 0; gets_at < LOOP_HUBS; gets_at++)
        for (unsigned posts_at = 0; posts_at < LOOP_HUBS; posts_at++) {
            tide_loop_client_t *client = subscribed_at (gets_at, posts_at);
            assert_int_equal (client->post_status, 200);
            assert_true (client->poll != 0); /* it waits */
            tide_loop_say (client,
                           "422[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":1}]"
                           "\x1e"
                           "423[\"nobody\"]");
            assert_int_equal (client->post_status, 200);
            int events = 0, answers = 0;
            const char *frame;
            while ((frame = tide_loop_hear (client))) {
                events += strncmp (frame, "42[\"n\",1", 8) == 0;
                answers += frame[1] == '3';
            }
            assert_int_equal (events, 1);
            assert_int_equal (answers, 2);
            assert_alive (client);
            tide_loop_cut (client);
        }
}

static void g1_requests_that_alternate_between_lanes_lose_and_repeat_nothing (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    for (int number = 1; number <= 60; number++) {
        client.wire->gets_at = (unsigned) number % LOOP_HUBS;
        client.wire->posts_at = (unsigned) (number / 2) % LOOP_HUBS;
        if (number % 4 == 0) { /* one comes by its own hand */
            tide_loop_say (client.wire,
                           "42[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":%d}]",
                           number);
            assert_int_equal (client.wire->post_status, 200);
        }
        else
            stock_publish (&client, number, number);
        stock_listen (&client);
    }
    stock_assert_numbers (&client, 1, 60);
    stock_finish (&client);
}

/*  Each lane keeps its own time: nothing but pings is said for minutes. */
static void a_client_at_another_lane_is_kept_alive_by_its_pongs (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    client.wire->gets_at = OTHER;
    client.wire->posts_at = THIRD;
    stock_pass (&client, 300000);
    stock_publish (&client, 1, 3);
    stock_assert_numbers (&client, 1, 3);
    assert_int_equal (client.wire->poll_hub, OTHER);
    stock_finish (&client);
}

static void one_that_does_not_answer_a_ping_there_is_forgotten_in_time (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    client->gets_at = OTHER;
    assert_hears (client, "0{");
    tide_loop_pass (loop, 25000);
    assert_hears (client, "2");
    assert_int_equal (client->poll_hub, OTHER);
    tide_loop_pass (loop, 20000);
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void a_payload_that_is_none_ends_the_session_from_there_too (void **state)
{
    (void) state;
    static const char *const bodies[] = {"",       "abc", "4\x1e", "2",
                                         "2probe", "bA",  "4\xff", "42/elsewhere,[\"x\"]"};
    for (size_t at = 0; at < sizeof bodies / sizeof bodies[0]; at++) {
        tide_loop_client_t *client = subscribed_at (OTHER, THIRD);
        tide_loop_post (client, tide_bytes (bodies[at]));
        tide_loop_run (loop);
        assert_int_equal (client->post_status, 400);
        assert_hears (client, "1");
        assert_forgotten (client);
    }
}

static void a_binary_post_there_ends_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    tide_http_request_t request = {
        .method = tide_bytes ("POST"), .query = tide_bytes (query), .is_binary = true};
    tide_hub_engineio (loop->hubs[THIRD], loop->now_ms, &request);
    tide_loop_run (loop);
    assert_was_refused (TIDE_ENGINEIO_BAD_REQUEST);
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void a_second_poll_at_whichever_lane_ends_both_and_the_session (void **state)
{
    (void) state;
    for (unsigned first = 0; first < LOOP_HUBS; first++)
        for (unsigned second = 0; second < LOOP_HUBS; second++) {
            tide_loop_client_t *client = subscribed_at (first, OTHER);
            assert_refused (client, second, "GET", TIDE_ENGINEIO_BAD_REQUEST);
            assert_hears (client, "1");
            assert_int_equal (client->poll_status, 200);
            assert_forgotten (client);
        }
}

static void a_second_post_at_whichever_lane_ends_both_and_the_session (void **state)
{
    (void) state;
    for (unsigned first_at = 0; first_at < LOOP_HUBS; first_at++)
        for (unsigned second_at = 0; second_at < LOOP_HUBS; second_at++) {
            tide_loop_client_t *client = subscribed_at (OTHER, OTHER);
            char query[160];
            query_of (client, query);
            uint64_t first = tide_loop_engineio (loop, first_at, "POST", query, NULL);
            assert_int_equal (loop->http_status, 0);
            uint64_t second = tide_loop_engineio (loop, second_at, "POST", query, NULL);
            assert_int_equal (loop->http_status, 400);
            assert_hears (client, "1");
            assert_forgotten (client);
            /*  Their bodies come too late. */
            tide_hub_body (loop->hubs[first_at], loop->now_ms, first, tide_bytes ("4"));
            tide_hub_body (loop->hubs[second_at], loop->now_ms, second, tide_bytes ("4"));
            tide_loop_run (loop);
        }
}

static void a_request_that_is_broken_off_there_ends_the_session (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (OTHER, OTHER);
    tide_hub_abandon (loop->hubs[OTHER], client->poll);
    client->poll = 0;
    client->is_stalled = true;
    tide_loop_run (loop);
    assert_forgotten (client);

    client = subscribed_at (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, THIRD, "POST", query, NULL);
    tide_hub_abandon (loop->hubs[THIRD], post);
    tide_loop_run (loop);
    assert_hears (client, "1");
    assert_forgotten (client);
}

static void a_client_that_closes_there_has_its_poll_answered_6 (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (OTHER, THIRD);
    tide_loop_say (client, "1");
    assert_int_equal (client->post_status, 200);
    assert_hears (client, "6");
    assert_null (tide_loop_hear (client));
    assert_forgotten (client);
}

static void a_session_that_its_lane_does_not_know_is_unknown_everywhere (void **state)
{
    (void) state;
    tide_loop_client_t client = {0};
    snprintf (client.sid, sizeof client.sid, "%s.never", loop->lanes[HOLDER]);
    assert_forgotten (&client);
}

static void a_lane_that_there_is_not_holds_no_sessions (void **state)
{
    (void) state;
    static const char *const sids[] = {"nowhere.secret", "no.where.secret", "a", "..", ".a", "a.",
                                       "%24.a"};
    for (size_t at = 0; at < sizeof sids / sizeof sids[0]; at++) {
        tide_loop_client_t client = {0};
        snprintf (client.sid, sizeof client.sid, "%s", sids[at]);
        assert_forgotten (&client);
    }
    char query[600] = "EIO=4&transport=polling&sid=";
    memset (query + strlen (query), 'l', 500);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_was_refused (TIDE_ENGINEIO_SESSION_UNKNOWN);
    memcpy (query + 200, ".secret", 8);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_was_refused (TIDE_ENGINEIO_SESSION_UNKNOWN);
}

static void what_is_no_request_for_a_session_is_refused_where_it_comes (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    char query[160];
    hold (TIDE_MESSAGE_RELAY);
    snprintf (query, sizeof query, "EIO=4&transport=smoke&sid=%s", client->sid);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_was_refused (TIDE_ENGINEIO_TRANSPORT_UNKNOWN);
    snprintf (query, sizeof query, "EIO=4&transport=websocket&sid=%s", client->sid);
    tide_http_request_t request = {
        .method = tide_bytes ("GET"), .query = tide_bytes (query), .is_websocket = true};
    assert_int_equal (tide_hub_check_handshake (loop->hubs[OTHER], &request), TIDE_HANDSHAKE_FAR);
    assert_int_equal (loop->held_count, 0);
    assert_alive (client);
}

static void an_answer_that_cannot_be_relayed_ends_the_session (void **state)
{
    (void) state;
    enum { KEYS = 120 };
    for (int at = 0; at < KEYS; at++) {
        char key[8];
        snprintf (key, sizeof key, "k%d", at);
        publish_much ("snap", key, 90000);
    }
    tide_loop_client_t *client = idle ();
    tide_loop_say (client, "422[\"tide:snapshot\",{\"topic\":\"snap\"}]");
    client->gets_at = OTHER;
    get (client);
    assert_int_equal (client->poll, 0);
    assert_int_equal (client->poll_status, 400);
    assert_true (client->is_over);
    assert_forgotten (client);
    /*  Where the session is, it is told. */
    client = idle ();
    tide_loop_say (client, "422[\"tide:snapshot\",{\"topic\":\"snap\"}]");
    get (client);
    assert_int_equal (client->poll_status, 200);
    assert_hears (client, "432[{\"ok\":true");
}

/*  -- lanes and brokers that die -------------------------------------------------------------- */

/*  The lanes that wait for it ask; the broker finds out that it is gone, and tells whoever asks. */
static void requests_that_a_dead_lane_owes_are_answered_soon (void **state)
{
    (void) state;
    tide_loop_client_t *first = subscribed_at (OTHER, OTHER),
                       *second = subscribed_at (OTHER, OTHER);
    tide_loop_client_t *third = subscribed_at (THIRD, OTHER);
    char query[160];
    query_of (first, query);
    tide_loop_engineio (loop, OTHER, "POST", query, NULL);
    tide_loop_kill_lane (loop, HOLDER);
    assert_true (first->poll != 0);
    tide_loop_pass (loop, 2000);
    tide_loop_client_t *const clients[] = {first, second, third};
    for (size_t at = 0; at < 3; at++) {
        assert_int_equal (clients[at]->poll, 0);
        assert_int_equal (clients[at]->poll_status, 400);
        assert_true (clients[at]->is_over);
    }
    assert_was_refused (TIDE_ENGINEIO_SESSION_UNKNOWN); /* the POST */
    assert_forgotten (first);
}

/*  A lane that is there but says nothing: its answer was lost. */
static void a_request_whose_answer_is_lost_is_answered_in_the_end (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 1);
    assert_hears (client, "42[\"n\",1");
    client->gets_at = OTHER;
    loop->lost_kind = TIDE_MESSAGE_RELAY;
    get (client);
    tide_loop_pass (loop, 54750);
    assert_true (client->poll != 0);
    assert_true (tide_hub_deadline_ms (loop->hubs[OTHER]) <= loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_int_equal (client->poll, 0);
    assert_int_equal (client->poll_status, 400);
}

static void assert_broker_is_away (void)
{
    assert_int_equal (loop->http_status, 503);
    assert_non_null (strstr (loop->http_body, "\"broker_away\""));
}

static void without_a_broker_no_other_lane_can_be_asked (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle_at (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, OTHER, "POST", query, NULL);
    assert_int_equal (loop->http_status, 0);
    /*  The head had come; then the broker went, and then the body came. */
    loop->is_cut[OTHER] = true;
    tide_loop_pass (loop, 2 * TIDE_LIVENESS_MS);
    assert_int_equal (loop->ticket, post);
    assert_broker_is_away ();
    tide_hub_body (loop->hubs[OTHER], loop->now_ms, post, tide_bytes ("3"));
    tide_loop_run (loop);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_broker_is_away ();
    tide_loop_engineio (loop, OTHER, "POST", query, "3");
    assert_broker_is_away ();
    /*  Where the session is, it goes on; and there too when the broker is back. */
    client->gets_at = HOLDER;
    assert_alive (client);
    loop->is_cut[OTHER] = false;
    tide_loop_pass (loop, 2 * TIDE_LIVENESS_MS);
    client->gets_at = OTHER;
    assert_alive (client);
}

/*  The answer to a poll at another lane goes down with the broker, which is missed for a while, or
 *  is back before that. */
static void g5_what_a_broker_was_to_pass_on_comes_on_resume_at_once (void **state)
{
    (void) state;
    for (int is_missed = 0; is_missed < 2; is_missed++) {
        stock_t client;
        start (&client);
        client.wire->gets_at = client.wire->posts_at = OTHER;
        stock_publish (&client, 1, 5);
        stock_listen (&client);
        assert_int_equal (client.wire->poll_hub, OTHER);
        client.loop->lost_kind = TIDE_MESSAGE_RELAY;
        stock_publish (&client, 6, 9); /* the holder believes that this is taken */
        client.loop->lost_kind = 0;
        assert_true (client.wire->poll != 0);
        if (is_missed)
            client.loop->is_cut[OTHER] = true;
        else
            tide_loop_kill_broker (client.loop, false);
        tide_loop_pass (client.loop, 2 * TIDE_LIVENESS_MS);
        assert_int_equal (client.wire->poll_status, 503);
        assert_true (client.wire->is_over);
        client.loop->is_cut[OTHER] = false;
        tide_loop_pass (client.loop, 2 * TIDE_LIVENESS_MS);
        stock_reconnect (&client, OTHER);
        assert_true (client.is_recovered);
        stock_publish (&client, 10, 12);
        stock_assert_numbers (&client, 1, 12);
        stock_finish (&client);
    }
}

static void g5_what_a_dead_lane_was_to_pass_on_comes_on_resume (void **state)
{
    (void) state;
    for (unsigned back_at = 0; back_at < LOOP_HUBS; back_at++) {
        stock_t client;
        start (&client);
        client.wire->gets_at = client.wire->posts_at = OTHER;
        stock_publish (&client, 1, 5);
        stock_listen (&client);
        assert_int_equal (client.wire->poll_hub, OTHER);
        client.wire->is_stalled = true;
        tide_loop_kill_lane (client.loop, OTHER);
        stock_publish (&client, 6, 9); /* the holder believes that this is taken */
        stock_reconnect (&client, back_at);
        assert_true (client.is_recovered);
        stock_publish (&client, 10, 12);
        stock_assert_numbers (&client, 1, 12);
        stock_finish (&client);
    }
}

static void g5_a_client_whose_holder_dies_resumes_at_the_other_lane (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    client.wire->gets_at = client.wire->posts_at = OTHER;
    stock_publish (&client, 1, 5);
    stock_listen (&client);
    tide_loop_kill_lane (client.loop, HOLDER);
    stock_publish (&client, 6, 9);
    tide_loop_pass (client.loop, 2000);
    assert_true (client.wire->is_over);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_publish (&client, 10, 12);
    stock_assert_numbers (&client, 1, 12);
    stock_finish (&client);
}

static void a_holder_that_stops_tells_those_who_poll_elsewhere (void **state)
{
    (void) state;
    tide_loop_client_t *quiet = idle_at (OTHER, OTHER), *client = subscribed_at (OTHER, OTHER);
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_hears (client, "1");
    assert_forgotten (quiet);
}

static void a_lane_that_stops_asks_no_other_lane (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle_at (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    tide_hub_stop (loop->hubs[OTHER], loop->now_ms);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_int_equal (loop->http_status, 503);
    client->gets_at = THIRD;
    assert_alive (client);
}

/*  -- states in which a lane can be taken down ------------------------------------------------ */

/*  A sanitizer says whether something is left behind. */
static void a_lane_can_be_taken_down_whatever_it_asked_or_was_asked (void **state)
{
    (void) state;
    for (unsigned victim = 0; victim <= LOOP_HUBS; victim++)
        for (int how = 0; how < 4; how++) {
            loop = tide_loop_new (NULL);
            tide_loop_client_t *client = subscribed_at (OTHER, THIRD);
            char query[160];
            query_of (client, query);
            if (how == 1)
                tide_loop_engineio (loop, THIRD, "POST", query, NULL);
            if (how == 2) { /* what is asked has not arrived */
                hold (TIDE_MESSAGE_RELAY);
                tide_loop_say (client, "422[\"nobody\"]");
            }
            if (how == 3) { /* … nor has what is answered */
                hold (TIDE_MESSAGE_RELAY);
                tide_loop_publish (loop, "lobby", 1);
            }
            if (victim < LOOP_HUBS) {
                tide_loop_kill_lane (loop, victim);
                tide_loop_let_all_go (loop);
                tide_loop_pass (loop, 60000);
            }
            tide_loop_destroy (&loop);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (requests_at_other_lanes_are_answered_by_the_holder),
        cmocka_unit_test (g1_requests_that_alternate_between_lanes_lose_and_repeat_nothing),
        cmocka_unit_test (a_client_at_another_lane_is_kept_alive_by_its_pongs),
        TEST (one_that_does_not_answer_a_ping_there_is_forgotten_in_time),
        TEST (a_payload_that_is_none_ends_the_session_from_there_too),
        TEST (a_binary_post_there_ends_the_session),
        TEST (a_second_poll_at_whichever_lane_ends_both_and_the_session),
        TEST (a_second_post_at_whichever_lane_ends_both_and_the_session),
        TEST (a_request_that_is_broken_off_there_ends_the_session),
        TEST (a_client_that_closes_there_has_its_poll_answered_6),
        TEST (a_session_that_its_lane_does_not_know_is_unknown_everywhere),
        TEST (a_lane_that_there_is_not_holds_no_sessions),
        TEST (what_is_no_request_for_a_session_is_refused_where_it_comes),
        TEST (an_answer_that_cannot_be_relayed_ends_the_session),
        TEST (requests_that_a_dead_lane_owes_are_answered_soon),
        TEST (a_request_whose_answer_is_lost_is_answered_in_the_end),
        TEST (without_a_broker_no_other_lane_can_be_asked),
        cmocka_unit_test (g5_what_a_broker_was_to_pass_on_comes_on_resume_at_once),
        cmocka_unit_test (g5_what_a_dead_lane_was_to_pass_on_comes_on_resume),
        cmocka_unit_test (g5_a_client_whose_holder_dies_resumes_at_the_other_lane),
        TEST (a_holder_that_stops_tells_those_who_poll_elsewhere),
        TEST (a_lane_that_stops_asks_no_other_lane),
        cmocka_unit_test (a_lane_can_be_taken_down_whatever_it_asked_or_was_asked),
    };
    return cmocka_run_group_tests_name ("requests at other lanes", tests, NULL, NULL);
}
