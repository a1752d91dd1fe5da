/*  test_neighbours.c - clients whose requests and WebSockets reach a lane that does not hold their
 *  session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_stock.h"

#include "tide_alloc.h"
#include "tide_application.h"
#include "tide_dialect_json.h"

#include <stdlib.h>

/*  The session is at HOLDER; whoever publishes does it at THIRD. */
enum { HOLDER = 1, OTHER = 2, THIRD = 0 };

static tide_loop_t *loop;

static int set_up (void **state)
{
    (void) state;
    loop = tide_loop_new (NULL);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    return 0;
}

static void assert_hears (tide_loop_client_t *client, const char *begin)
{
    const char *frame = tide_loop_hear (client);
    if (!frame || strncmp (frame, begin, strlen (begin)) != 0)
        fail_msg ("expected %s, not %s", begin, frame ? frame : "silence");
}

/*  A client that polls, in the main namespace; its requests reach these lanes from then on. */
static tide_loop_client_t *connected (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    client->gets_at = gets_at;
    client->posts_at = posts_at;
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    return client;
}

static tide_loop_client_t *subscribed (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = connected (gets_at, posts_at);
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (client, "431[{\"ok\":true");
    assert_int_equal (client->poll_hub, gets_at);
    return client;
}

/*  One that says when it polls; nothing is held. */
static tide_loop_client_t *idle (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = subscribed (gets_at, posts_at);
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 0);
    assert_hears (client, "42[\"n\",0");
    assert_int_equal (client->poll, 0);
    return client;
}

static void get (tide_loop_client_t *client)
{
    tide_loop_get (client);
    tide_loop_run (loop);
}

static void query_of (const tide_loop_client_t *client, char query[160])
{
    snprintf (query, 160, "EIO=4&transport=polling&sid=%s", client->sid);
}

/*  The last answer was a refusal. */
static void assert_was_refused (int code)
{
    char body[32];
    snprintf (body, sizeof body, "{\"code\":%d,", code);
    assert_int_equal (loop->http_status, 400);
    assert_memory_equal (loop->http_body, body, strlen (body));
}

/*  Somebody asks a lane for the client's session, and is refused. */
static void assert_refused (const tide_loop_client_t *client, unsigned hub, const char *method,
                            int code)
{
    char query[160];
    query_of (client, query);
    tide_loop_engineio (loop, hub, method, query, strcmp (method, "GET") == 0 ? NULL : "");
    assert_was_refused (code);
}

static void assert_forgotten (const tide_loop_client_t *client)
{
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        assert_refused (client, hub, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
        assert_refused (client, hub, "POST", TIDE_ENGINEIO_SESSION_UNKNOWN);
    }
}

/*  It still polls, and gets what is published. */
static void assert_alive (tide_loop_client_t *client)
{
    tide_loop_publish (loop, "lobby", 77);
    if (client->poll == 0 && client->is_stalled)
        get (client);
    assert_hears (client, "42[\"n\",77");
    assert_null (tide_loop_hear (client));
}

/*  Messages of the kind are held back at lanes that somebody's requests reach. */
static void hold (tide_loop_t *at, tide_message_kind_t kind)
{
    at->held_kinds[HOLDER] |= 1ull << kind;
    at->held_kinds[OTHER] |= 1ull << kind;
}

/*  A stock client that polls, and is in the lobby. */
static void start (stock_t *client)
{
    *client = (stock_t){.loop = tide_loop_new (NULL), .polls = true};
    stock_reconnect (client, HOLDER);
    stock_subscribe (client, "lobby", "");
}

/*  -- requests -------------------------------------------------------------------------------- */

static void requests_at_other_lanes_are_answered_by_the_holder (void **state)
{
    (void) state;
    for (unsigned gets_at = 0; gets_at < LOOP_HUBS; gets_at++)
        for (unsigned posts_at = 0; posts_at < LOOP_HUBS; posts_at++) {
            tide_loop_client_t *client = subscribed (gets_at, posts_at);
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
        tide_loop_client_t *client = subscribed (OTHER, THIRD);
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
    tide_loop_client_t *client = subscribed (OTHER, OTHER);
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
            tide_loop_client_t *client = subscribed (first, OTHER);
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
            tide_loop_client_t *client = subscribed (OTHER, OTHER);
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
    tide_loop_client_t *client = subscribed (OTHER, OTHER);
    tide_hub_abandon (loop->hubs[OTHER], client->poll);
    client->poll = 0;
    client->is_stalled = true;
    tide_loop_run (loop);
    assert_forgotten (client);

    client = subscribed (OTHER, OTHER);
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
    tide_loop_client_t *client = subscribed (OTHER, THIRD);
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
    tide_loop_client_t *client = subscribed (HOLDER, HOLDER);
    char query[160];
    hold (loop, TIDE_MESSAGE_RELAY);
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

/*  -- lanes and brokers that die -------------------------------------------------------------- */

/*  The lanes that wait for it ask; the broker finds out that it is gone, and tells whoever asks. */
static void requests_that_a_dead_lane_owes_are_answered_soon (void **state)
{
    (void) state;
    tide_loop_client_t *first = subscribed (OTHER, OTHER), *second = subscribed (OTHER, OTHER);
    tide_loop_client_t *third = subscribed (THIRD, OTHER);
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
    tide_loop_client_t *client = subscribed (HOLDER, HOLDER);
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
    tide_loop_client_t *client = idle (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, OTHER, "POST", query, NULL);
    assert_int_equal (loop->http_status, 0);
    loop->is_cut[OTHER] = true;
    tide_loop_pass (loop, 2 * TIDE_LIVENESS_MS);
    /*  The head had come; then the broker went, and then the body came. */
    tide_hub_body (loop->hubs[OTHER], loop->now_ms, post, tide_bytes ("3"));
    tide_loop_run (loop);
    assert_int_equal (loop->ticket, post);
    assert_broker_is_away ();
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
    tide_loop_client_t *quiet = idle (OTHER, OTHER), *client = subscribed (OTHER, OTHER);
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_hears (client, "1");
    assert_forgotten (quiet);
}

static void a_lane_that_stops_asks_no_other_lane (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle (OTHER, OTHER);
    char query[160];
    query_of (client, query);
    tide_hub_stop (loop->hubs[OTHER], loop->now_ms);
    tide_loop_engineio (loop, OTHER, "GET", query, NULL);
    assert_int_equal (loop->http_status, 503);
    client->gets_at = THIRD;
    assert_alive (client);
}

/*  -- a WebSocket at another lane ------------------------------------------------------------- */

static tide_loop_client_t *probed_at (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    assert_non_null (probe->connection);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    return probe;
}

/*  As `probed_at`, and the session has come. */
static tide_loop_client_t *taken_to (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = probed_at (client, hub);
    tide_loop_say (probe, "5");
    assert_non_null (probe->connection);
    return probe;
}

/*  What a lane says on arrival is a ping, among others. */
static const char *hear (tide_loop_client_t *client)
{
    const char *frame = tide_loop_hear (client);
    if (frame && strcmp (frame, "2") == 0) {
        tide_loop_say (client, "3");
        frame = tide_loop_hear (client);
    }
    return frame;
}

static void assert_gets (tide_loop_client_t *client, const char *begin)
{
    const char *frame = hear (client);
    if (!frame || strncmp (frame, begin, strlen (begin)) != 0)
        fail_msg ("expected %s, not %s", begin, frame ? frame : "silence");
}

static void polls_anywhere_are_answered_6_while_probed (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed (THIRD, THIRD);
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    assert_non_null (probe->connection);
    assert_null (tide_loop_hear (probe));
    assert_true (client->poll != 0);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    assert_hears (client, "6");
    for (unsigned again = 0; again < LOOP_HUBS; again++) {
        client->gets_at = again;
        get (client);
        assert_hears (client, "6");
    }
    /*  What there is to say still goes by polling. */
    tide_loop_publish (loop, "lobby", 1);
    get (client);
    assert_hears (client, "42[\"n\",1");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 2);
    assert_gets (probe, "42[\"n\",2");
    assert_null (tide_loop_hear (client));
}

/*  As they may do at its own lane, and as the reference lets them. */
static void a_probe_there_may_take_without_asking_or_ask_twice (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed (THIRD, THIRD);
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    tide_loop_say (probe, "5");
    assert_non_null (probe->connection);
    assert_hears (client, "6");
    tide_loop_publish (loop, "lobby", 1);
    assert_gets (probe, "42[\"n\",1");
    assert_null (hear (probe));

    client = idle (THIRD, THIRD);
    probe = probed_at (client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 2);
    assert_gets (probe, "42[\"n\",2");

    client = idle (THIRD, THIRD);
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
    tide_loop_client_t *client = idle (THIRD, THIRD);
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
        tide_loop_client_t *client = idle (THIRD, THIRD);
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

/*  -- … and nothing is lost on the way ------------------------------------------------------------
 */

/*  What was done is passed on message by message, and something is published before each. */
static void publish_meanwhile (stock_t *client, int *last)
{
    do {
        ++*last;
        stock_publish (client, *last, *last);
    } while (tide_loop_let_go (client->loop));
}

enum {
    ASKS_FIRST = 1,   /* says "2probe" */
    POLLS_BEFORE = 2, /* and while it is probed */
    LAGS = 4,         /* much of what it missed is still to come, in small portions */
    HOW = 8
};

static void poll_if_idle (stock_t *client)
{
    if (client->wire->poll == 0)
        tide_loop_get (client->wire);
    tide_loop_run (client->loop);
}

/*  Its session has a backlog that takes many polls. */
static void lag (stock_t *client, int *last)
{
    client->loop->hub_config.write_size_max = 300;
    tide_loop_kill_lane (client->loop, HOLDER);
    tide_loop_kill_lane (client->loop, OTHER);
    stock_publish (client, *last + 1, *last + 40);
    *last += 40;
    client->wire = tide_loop_open_polling (client->loop, HOLDER);
    client->wire->is_stalled = true;
    tide_loop_say (client->wire, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", client->pid,
                   client->offset);
}

static void upgrade_step_by_step (unsigned gets_at, unsigned how, unsigned polls)
{
    stock_t client;
    int last = 3;
    start (&client);
    stock_publish (&client, 1, last);
    stock_listen (&client);
    if (how & LAGS)
        lag (&client, &last);
    client.wire->is_stalled = true;
    client.wire->gets_at = gets_at;
    for (; polls > 0; polls--)
        poll_if_idle (&client);

    loop = client.loop;
    hold (loop, TIDE_MESSAGE_RELAY);
    tide_loop_client_t *probe = tide_loop_probe_at (client.wire, OTHER);
    publish_meanwhile (&client, &last);
    if (how & POLLS_BEFORE)
        poll_if_idle (&client);
    publish_meanwhile (&client, &last);
    if (how & ASKS_FIRST) {
        tide_loop_say (probe, "2probe");
        publish_meanwhile (&client, &last);
        assert_hears (probe, "3probe");
        if (how & POLLS_BEFORE)
            poll_if_idle (&client);
        publish_meanwhile (&client, &last);
    }
    tide_loop_say (probe, "5");
    publish_meanwhile (&client, &last);
    assert_int_equal (client.wire->poll, 0);
    stock_listen (&client);
    client.wire = probe;
    publish_meanwhile (&client, &last);
    stock_assert_numbers (&client, 1, last);

    /*  The lane that had it does not touch it any more. */
    tide_loop_let_all_go (loop);
    stock_pass (&client, 130000);
    stock_publish (&client, last + 1, last + 3);
    last += 3;
    stock_listen (&client);
    char sid[64];
    memcpy (sid, client.sid, sizeof sid);
    tide_loop_cut (client.wire);
    stock_publish (&client, last + 1, last + 3);
    last += 3;
    stock_reconnect (&client, gets_at);
    assert_true (client.is_recovered);
    assert_string_equal (client.sid, sid);
    stock_publish (&client, last + 1, last + 3);
    last += 3;
    stock_assert_numbers (&client, 1, last);
    stock_finish (&client);
}

static void g1_a_take_over_by_another_lane_loses_and_repeats_nothing (void **state)
{
    (void) state;
    for (unsigned gets_at = 0; gets_at < LOOP_HUBS; gets_at++)
        for (unsigned how = 0; how < HOW; how++)
            for (unsigned polls = 0; polls < (how & LAGS ? 6 : 2); polls++)
                upgrade_step_by_step (gets_at, how, polls);
}

/*  It reads pages of history at the one lane, and then at the other. */
static void g6_a_client_that_lags_catches_up_at_the_other_lane (void **state)
{
    (void) state;
    stock_t *client = tide_alloc (sizeof *client);
    start (client);
    client->wire->is_stalled = true;
    stock_publish (client, 1, 2000); /* far more than the tape holds */
    for (int polls = 0; polls < 2; polls++) {
        poll_if_idle (client);
        stock_listen (client);
    }
    assert_true (client->count < 2000);
    loop = client->loop;
    client->wire = taken_to (client->wire, OTHER);
    stock_listen (client);
    tide_loop_pass (loop, 2000);
    stock_assert_numbers (client, 1, 2000);
    stock_publish (client, 2001, 2010);
    stock_assert_numbers (client, 1, 2010);
    stock_finish (client);
    free (client);
}

static void a_client_goes_from_lane_to_lane_and_recovers_each_time (void **state)
{
    (void) state;
    stock_t client;
    int last = 0;
    start (&client);
    loop = client.loop;
    for (unsigned round = 0; round < 9; round++) {
        client.wire->gets_at = round % LOOP_HUBS;
        stock_publish (&client, last + 1, last + 2);
        tide_loop_client_t *probe = taken_to (client.wire, (round + 1 + round / 3) % LOOP_HUBS);
        stock_listen (&client);
        client.wire = probe;
        stock_publish (&client, last + 3, last + 4);
        stock_listen (&client);
        tide_loop_cut (client.wire);
        stock_publish (&client, last + 5, last + 6);
        stock_reconnect (&client, round % LOOP_HUBS);
        assert_true (client.is_recovered);
        last += 6;
    }
    stock_assert_numbers (&client, 1, last);
    stock_finish (&client);
}

static void frames_right_behind_the_take_over_are_not_lost (void **state)
{
    (void) state;
    static const char *const said[] = {
        "5", "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":1}]", "3",
        "451-2[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"args\":[2,"
        "{\"_placeholder\":true,\"num\":0}]}]"};
    tide_loop_client_t *client = idle (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_hub_t *hub = loop->hubs[OTHER];
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++)
        tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes (said[at]), true);
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("bytes"), false);
    tide_loop_run (loop);
    int events = 0, answers = 0;
    const char *frame;
    while ((frame = hear (probe))) {
        events += strncmp (frame, "42[\"n\",1", 8) == 0;
        events += strncmp (frame, "451-[\"n\",2", 10) == 0;
        answers += strncmp (frame, "43", 2) == 0;
    }
    assert_int_equal (events, 2);
    assert_int_equal (answers, 2);
    assert_int_equal (probe->binaries, 1);
    assert_false (probe->is_paused);
}

/*  Those that wait for no record are taken at once, too. */
static void frames_right_behind_are_not_lost_without_recovery_or_a_namespace (void **state)
{
    (void) state;
    static const char *const says[] = {"42/plain,7[\"nobody\"]", "40"};
    static const char *const hears[] = {"43/plain,7[{\"ok\":false", "40{"};
    for (int how = 0; how < 2; how++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        assert_hears (client, "0{");
        if (how == 0) {
            tide_loop_say (client, "40/plain,");
            assert_hears (client, "40/plain,{");
        }
        tide_loop_client_t *probe = probed_at (client, OTHER);
        tide_hub_t *hub = loop->hubs[OTHER];
        tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("5"), true);
        tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes (says[how]), true);
        tide_loop_run (loop);
        assert_gets (probe, hears[how]);
        assert_false (probe->is_paused);
    }
}

static void too_much_right_behind_the_take_over_ends_it (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    hold (loop, TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "5");
    char *text = tide_alloc (90001);
    memset (text, '4', 90000);
    for (int at = 0; at < 15 && probe->connection; at++) {
        tide_loop_say (probe, "%s", text);
        assert_true (probe->is_paused); /* it was told not to */
    }
    free (text);
    assert_null (probe->connection);
    assert_int_equal (probe->close_code, 1008);
    tide_loop_let_all_go (loop);
    assert_forgotten (client);
}

/*  An event and what belongs to it, some of which was said by POST. */
static void attachments_may_come_over_the_other_lane (void **state)
{
    (void) state;
    for (unsigned by_post = 0; by_post < 3; by_post++) {
        tide_loop_client_t *client = idle (THIRD, THIRD);
        tide_loop_say (client,
                       "452-1[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"b\",\"args\":["
                       "{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]}]");
        for (unsigned at = 0; at < by_post; at++)
            tide_loop_say (client, at == 0 ? "bAAEC" : "bAwQ=");
        assert_int_equal (client->post_status, 200);
        tide_loop_client_t *probe = taken_to (client, OTHER);
        for (unsigned at = by_post; at < 2; at++)
            tide_hub_frame (loop->hubs[OTHER], loop->now_ms, probe->connection,
                            at == 0 ? (tide_bytes_t){(const uint8_t *) "\0\1\2", 3}
                                    : (tide_bytes_t){(const uint8_t *) "\3\4", 2},
                            false);
        tide_loop_run (loop);
        int events = 0, answers = 0;
        const char *frame;
        while ((frame = hear (probe))) {
            events += strncmp (frame, "452-[\"b\",", 9) == 0;
            answers += strncmp (frame, "431[{\"ok\":true", 14) == 0;
        }
        assert_int_equal (events, 1);
        assert_int_equal (answers, 1);
        assert_int_equal (probe->binaries, 2);
        assert_int_equal (probe->binary.size, 2);
        assert_memory_equal (probe->binary.data, "\3\4", 2);
        tide_loop_cut (probe);
    }
}

static void publish_binary (unsigned size)
{
    tide_buffer_t body = {0}, bytes = {0};
    for (unsigned at = 0; at < size; at++)
        tide_put_u8 (&bytes, (uint8_t) (at * 13));
    tide_buffer_append_text (&body,
                             "{\"topic\":\"lobby\",\"event\":\"b\",\"data\":{\"$binary\":\"");
    tide_base64_encode (&body, tide_buffer_bytes (&bytes));
    tide_buffer_append (&body, "\"}}", 4);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", (const char *) body.data);
    assert_int_equal (loop->http_status, 200);
    tide_buffer_free (&body);
    tide_buffer_free (&bytes);
}

static void binary_events_and_answers_that_wait_go_along (void **state)
{
    (void) state;
    static const unsigned sizes[] = {1, 1000, 70000};
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        unsigned size = sizes[at];
        tide_loop_client_t *client = idle (THIRD, THIRD);
        publish_binary (size);
        tide_loop_say (client, "425[\"tide:history\",{\"topic\":\"lobby\",\"limit\":1}]");
        tide_loop_say (client, "426[\"nobody\"]");
        tide_loop_client_t *probe = taken_to (client, OTHER);
        assert_gets (probe, "435[{\"ok\":true");
        assert_gets (probe, "436[{\"ok\":false");
        assert_gets (probe, "451-[\"b\",");
        assert_null (hear (probe));
        assert_int_equal (probe->binaries, 1);
        assert_int_equal (probe->binary.size, size);
        assert_int_equal (probe->binary.data[size - 1], (uint8_t) ((size - 1) * 13));
        tide_loop_cut (probe);
    }
}

/*  Too much waits for it to travel in one message. */
static void g5_a_session_that_is_too_large_to_go_is_resumed (void **state)
{
    (void) state;
    enum { SIZE = 90000, EVENTS = 110 };
    stock_t client;
    start (&client);
    loop = client.loop;
    char *body = tide_alloc (SIZE + 100);
    for (int at = 0; at < EVENTS; at++) {
        int size = snprintf (body, 100,
                             "{\"topic\":\"big\",\"key\":\"k%d\",\"event\":\"e\",\"data\":\"", at);
        memset (body + size, 'y', SIZE);
        memcpy (body + size + SIZE, "\"}", 3);
        tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
        assert_int_equal (loop->http_status, 200);
    }
    free (body);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_client_t *wire = client.wire;
    wire->is_stalled = true;
    stock_publish (&client, 3, 3);
    tide_loop_say (wire, "429[\"tide:snapshot\",{\"topic\":\"big\"}]");
    assert_int_equal (wire->poll, 0);
    tide_loop_client_t *probe = probed_at (wire, OTHER);
    tide_loop_say (probe, "5");
    assert_null (probe->connection);
    stock_listen (&client);
    stock_publish (&client, 4, 4);
    tide_loop_pass (loop, 30000);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 4);
    stock_finish (&client);
}

/*  -- … nor what is being joined, published, or waits ---------------------------------------------
 */

/*  What a client that is no stock client has heard of a topic, and where among it the answer. */
typedef struct {
    const char *nsp; /* "" or "/name," */
    int numbers[1024];
    int count, before_answer;
    int answers, resets;
    json_t *answer;
    json_t *reset;
    char pid[64], offset[64];
} heard_t;

static void take_heard (heard_t *heard, const char *frame)
{
    char type = frame[1];
    frame += 2;
    if (strncmp (frame, heard->nsp, strlen (heard->nsp)) != 0)
        return;
    frame += strlen (heard->nsp);
    json_t *json = json_loads (strpbrk (frame, "[{"), 0, NULL);
    assert_non_null (json);
    const char *name = json_string_value (json_array_get (json, 0));
    const char *last = json_string_value (json_array_get (json, json_array_size (json) - 1));
    if (type == '0')
        snprintf (heard->pid, sizeof heard->pid, "%s",
                  json_string_value (json_object_get (json, "pid")));
    else if (type == '3') {
        assert_int_equal (heard->answers++, 0);
        heard->answer = json_incref (json_array_get (json, 0));
        heard->before_answer = heard->count;
    }
    else if (strcmp (name, "tide:reset") == 0) {
        assert_int_equal (heard->resets++, 0);
        heard->reset = json_incref (json_array_get (json, 1));
    }
    else if (strcmp (name, "n") == 0)
        heard->numbers[heard->count++] = (int) json_integer_value (json_array_get (json, 1));
    if (type == '2' && last)
        snprintf (heard->offset, sizeof heard->offset, "%s", last);
    json_decref (json);
}

static void listen_to (heard_t *heard, tide_loop_client_t *client)
{
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        if (frame[0] == '4')
            take_heard (heard, frame);
        else if (frame[0] == '2')
            tide_loop_say (client, "3");
}

static void forget_heard (heard_t *heard)
{
    json_decref (heard->answer);
    json_decref (heard->reset);
    *heard = (heard_t){.nsp = heard->nsp};
}

enum { PAST = 60, PADDING = 5000 };

/*  The sequence of each number of "past". */
static uint64_t seqs[PAST * 4];
static int last_past;

/*  Each with a key: the last one stands. */
static void publish_past (void)
{
    char body[PADDING + 200];
    int size =
        snprintf (body, sizeof body,
                  "{\"topic\":\"past\",\"key\":\"k\",\"event\":\"n\",\"args\":[%d,\"", ++last_past);
    memset (body + size, 'p', PADDING);
    memcpy (body + size + PADDING, "\"]}", 4);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
    const char *seq = strstr (loop->http_body, "\"seq\":");
    assert_non_null (seq);
    seqs[last_past] = strtoull (seq + 6, NULL, 10);
}

static uint64_t member_of (const json_t *object, const char *name)
{
    return (uint64_t) json_integer_value (json_object_get (object, name));
}

/*  The number that stands in a snapshot; 0: none. */
static int standing_in (const json_t *object)
{
    const json_t *event = json_object_get (json_object_get (object, "state"), "k");
    return (int) json_integer_value (json_array_get (json_object_get (event, "args"), 0));
}

/*  Numbers from … to, once each, in order. */
static void assert_heard (const heard_t *heard, int at, int from, int to)
{
    assert_int_equal (heard->count - at, to - from + 1);
    for (; at < heard->count; at++)
        assert_int_equal (heard->numbers[at], from++);
}

/*  The number behind the one with this sequence. */
static int number_behind (uint64_t seq)
{
    int number = 1;
    while (number <= last_past && seqs[number] <= seq)
        number++;
    return number;
}

typedef enum { LIVE, SINCE, SNAPSHOT, RESET, MODES } join_mode_t;

static void check_join (const heard_t *heard, join_mode_t mode)
{
    assert_int_equal (heard->answers, 1);
    assert_true (json_is_true (json_object_get (heard->answer, "ok")));
    assert_string_equal (json_string_value (json_object_get (heard->answer, "topic")), "past");
    uint64_t seq = member_of (heard->answer, "seq");
    int next = number_behind (seq);
    assert_int_equal (heard->resets, mode == RESET);
    assert_int_equal (json_object_get (heard->answer, "state") != NULL, mode == SNAPSHOT);
    if (mode == SINCE)
        assert_heard (heard, 0, 1, last_past);
    else
        assert_heard (heard, 0, next, last_past);
    if (mode == SINCE)
        assert_int_equal (heard->before_answer, next - 1);
    else
        assert_int_equal (heard->before_answer, 0);
    if (mode == SNAPSHOT)
        assert_int_equal (standing_in (heard->answer), next - 1);
    if (mode == RESET) {
        assert_int_equal (member_of (heard->reset, "seq"), seq);
        assert_int_equal (standing_in (heard->reset), next - 1);
        assert_string_equal (json_string_value (json_object_get (heard->reset, "code")), "trimmed");
    }
}

/*  The client goes to another lane when `steps` of what its joining takes are done; `holds` says
 *  whether what is asked of the broker at the other lane is held up too, `again` whether it is in
 *  the topic already. */
static void join_along (join_mode_t mode, const char *nsp, unsigned steps, bool holds, bool again)
{
    static const char *const since[MODES] = {"", ",\"since\":\"start\"", ",\"since\":\"snapshot\"",
                                             ",\"since\":\"0000000000001111:1\""};
    tide_broker_config_t config = {.events = "1",
                                   .volatiles = "2",
                                   .payload_max = 100000,
                                   .retain_events = mode == RESET ? 20 : 100000,
                                   .retain_bytes = 1u << 30,
                                   .retain_ms = 86400000,
                                   .dedupe_ids = 1000};
    loop = tide_loop_new (&config);
    heard_t heard = {.nsp = nsp};
    last_past = 0;
    for (int number = 0; number < PAST; number++)
        publish_past ();
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    client->gets_at = client->posts_at = THIRD;
    tide_loop_say (client, "40%s", nsp);
    if (again)
        tide_loop_say (client, "42%s[\"tide:subscribe\",{\"topic\":\"past\"}]", nsp);
    listen_to (&heard, client);
    static const tide_message_kind_t kinds[] = {TIDE_MESSAGE_READ, TIDE_MESSAGE_SNAPSHOT,
                                                TIDE_MESSAGE_PUBLISH};
    for (size_t at = 0; at < sizeof kinds / sizeof kinds[0]; at++)
        hold (loop, kinds[at]);
    if (!holds)
        loop->held_kinds[OTHER] = 0;
    tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"past\"%s}]", nsp, since[mode]);
    for (unsigned step = 0; step < steps; step++) {
        tide_loop_let_go (loop);
        publish_past ();
    }
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    publish_past ();
    tide_loop_say (probe, "5");
    publish_past ();
    for (unsigned step = 0; step < 20 && tide_loop_let_go (loop); step++)
        if (step % 2)
            publish_past ();
    tide_loop_let_all_go (loop);
    publish_past ();
    listen_to (&heard, client);
    listen_to (&heard, probe);
    tide_loop_pass (loop, 2000);
    publish_past ();
    listen_to (&heard, probe);
    check_join (&heard, mode);
    assert_non_null (probe->connection);

    /*  And it is joined for good. */
    if (!*nsp) {
        tide_loop_cut (probe);
        publish_past ();
        client = tide_loop_open (loop, THIRD, TIDE_CLIENT_SOCKETIO);
        if (heard.offset[0])
            tide_loop_say (client, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", heard.pid, heard.offset);
        else
            tide_loop_say (client, "40{\"pid\":\"%s\"}", heard.pid);
        char pid[64];
        memcpy (pid, heard.pid, sizeof pid);
        listen_to (&heard, client);
        assert_string_equal (heard.pid, pid);
        publish_past ();
        listen_to (&heard, client);
        check_join (&heard, mode);
    }
    forget_heard (&heard);
    tide_loop_destroy (&loop);
}

static void g1_a_topic_that_is_being_joined_is_joined_once_at_the_other_lane (void **state)
{
    (void) state;
    for (join_mode_t mode = LIVE; mode < MODES; mode++)
        for (unsigned steps = 0; steps < 8; steps++)
            for (int how = 0; how < 8; how++)
                join_along (mode, how & 1 ? "/plain," : "", steps, how & 2, how & 4);
}

/*  A client that lags too far is told by a reset, wherever it is by then. */
static void g5_a_reset_that_is_owed_is_said_at_the_other_lane (void **state)
{
    (void) state;
    for (int how = 0; how < 8; how++) {
        tide_broker_config_t config = {.events = "1",
                                       .volatiles = "2",
                                       .payload_max = 100000,
                                       .retain_events = 20,
                                       .retain_bytes = 1u << 30,
                                       .retain_ms = 86400000,
                                       .dedupe_ids = 1000};
        heard_t heard = {.nsp = how & 1 ? "/plain," : ""};
        last_past = 0;
        loop = tide_loop_new (&config);
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        tide_loop_say (client, "40%s", heard.nsp);
        tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"past\"}]", heard.nsp);
        listen_to (&heard, client);
        client->is_stalled = true;
        client->gets_at = THIRD;
        publish_past ();
        listen_to (&heard, client);
        for (int number = 0; number < PAST; number++)
            publish_past ();
        hold (loop, TIDE_MESSAGE_SNAPSHOT);
        hold (loop, TIDE_MESSAGE_PUBLISH);
        if (how & 2)
            tide_loop_get (client);
        tide_loop_run (loop);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how & 4)
            tide_loop_let_go (loop);
        tide_loop_say (probe, "5");
        publish_past ();
        while (tide_loop_let_go (loop)) {
        }
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 2000);
        listen_to (&heard, client);
        listen_to (&heard, probe);
        assert_int_equal (heard.resets, 1);
        int next = number_behind (member_of (heard.reset, "seq"));
        assert_true (next > PAST);
        assert_int_equal (standing_in (heard.reset), next - 1);
        publish_past ();
        listen_to (&heard, probe);
        assert_heard (&heard, 1, next, last_past);
        forget_heard (&heard);
        tide_loop_destroy (&loop);
    }
}

static void a_publish_that_is_under_way_is_answered_once_at_the_other_lane (void **state)
{
    (void) state;
    for (int how = 0; how < 2; how++) {
        tide_loop_client_t *client = idle (THIRD, THIRD);
        hold (loop, TIDE_MESSAGE_PUBLISH);
        tide_loop_say (client,
                       "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\","
                       "\"data\":1}]\x1e"
                       "428[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\",\"data\":1}]");
        assert_int_equal (loop->held_count, 2);
        tide_loop_client_t *probe = taken_to (client, OTHER);
        if (how == 1)
            tide_loop_pass (loop, 4500);
        tide_loop_say (probe, "429[\"nobody\"]"); /* waits until it is there */
        assert_null (hear (probe));
        tide_loop_let_all_go (loop);
        int events = 0, order = 0;
        const char *frame;
        while ((frame = hear (probe)))
            if (strncmp (frame, "42[\"n\",1", 8) == 0)
                events++;
            else if (frame[1] == '3')
                assert_int_equal (frame[2] - '7', order++);
        assert_int_equal (events, 1);
        assert_int_equal (order, 3);
        assert_null (tide_loop_hear (client));
        tide_loop_cut (probe);
    }
}

/*  Then the client comes again, and what it published is there once. */
static void a_session_that_does_not_come_to_rest_breaks_off (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    loop = client.loop;
    client.wire->gets_at = THIRD;
    stock_publish (&client, 1, 1);
    stock_listen (&client);
    hold (loop, TIDE_MESSAGE_PUBLISH);
    tide_loop_say (client.wire,
                   "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":2}]");
    tide_loop_client_t *probe = taken_to (client.wire, OTHER);
    tide_loop_pass (loop, 4750);
    assert_non_null (probe->connection);
    assert_int_equal (tide_hub_deadline_ms (loop->hubs[HOLDER]), loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_null (probe->connection);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_publish (&client, 3, 3);
    stock_assert_numbers (&client, 1, 3);
    stock_finish (&client);
}

static void namespaces_go_along_with_and_without_recovery (void **state)
{
    (void) state;
    static const char *const nsps[] = {"", "/tenant-1,", "/plain,", "/tenant-2,"};
    enum { COUNT = 4 };
    heard_t heard[COUNT] = {{0}};
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    client->gets_at = client->posts_at = THIRD;
    for (int at = 0; at < COUNT; at++) {
        heard[at].nsp = nsps[at];
        tide_loop_say (client, "40%s", nsps[at]);
        tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"lobby\"}]", nsps[at]);
    }
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 1);
    tide_loop_publish (loop, "lobby", 2);
    tide_loop_client_t *probe = taken_to (client, OTHER);
    tide_loop_publish (loop, "lobby", 3);
    const char *frame;
    tide_loop_client_t *const clients[] = {client, probe};
    for (int which = 0; which < 2; which++)
        while ((frame = tide_loop_hear (clients[which])))
            for (int at = 0; at < COUNT && frame[0] == '4'; at++)
                if (at > 0 ? strncmp (frame + 2, nsps[at], strlen (nsps[at])) == 0
                           : frame[2] != '/' && !strstr (frame, "-,"))
                    take_heard (&heard[at], frame);
    for (int at = 0; at < COUNT; at++) {
        assert_heard (&heard[at], 0, 1, 3);
        assert_int_equal (heard[at].answers, 1);
        assert_int_equal (heard[at].pid[0] != 0 && strcmp (heard[at].pid, "(null)") != 0, at != 2);
    }
    tide_loop_cut (probe);
    tide_loop_publish (loop, "lobby", 4);
    for (int at = 0; at < COUNT; at++) {
        char pid[64];
        memcpy (pid, heard[at].pid, sizeof pid);
        probe = tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (probe, "40%s{\"pid\":\"%s\",\"offset\":\"%s\"}", nsps[at], pid,
                       heard[at].offset);
        listen_to (&heard[at], probe);
        if (at != 2) {
            assert_string_equal (heard[at].pid, pid);
            assert_heard (&heard[at], 0, 1, 4);
        }
        forget_heard (&heard[at]);
    }
}

static void volatile_events_are_given_at_either_lane (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle (THIRD, THIRD);
    static const char say[] =
        "{\"topic\":\"lobby\",\"event\":\"v\",\"data\":\"x\",\"volatile\":true}";
    tide_loop_client_t *probe = taken_to (client, OTHER);
    tide_loop_pass (loop, 1000);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", say);
    assert_gets (probe, "42[\"v\",\"x\",\"0000000000001111:");
    assert_null (hear (probe));
}

/*  What an application is told, of one client. */
static struct {
    int connected, disconnected, done;
    unsigned disconnected_at;
    char reason[32];
} told;

static void let_in (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                    const json_t *auth, uint64_t admission)
{
    (void) argument;
    (void) client;
    (void) auth;
    tide_app_admit (hub, admission);
}

static void take_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                            const json_t *auth)
{
    (void) argument;
    (void) hub;
    (void) client;
    (void) auth;
    told.connected++;
}

static void take_disconnected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                               const char *reason)
{
    (void) argument;
    (void) client;
    told.disconnected++;
    for (unsigned at = 0; at < LOOP_HUBS; at++)
        if (loop->hubs[at] == hub)
            told.disconnected_at = at;
    snprintf (told.reason, sizeof told.reason, "%s", reason);
}

static void take_done (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    assert_int_equal (status, TIDE_OK);
    told.done++;
}

static void an_application_is_told_of_an_end_once_where_the_session_is (void **state)
{
    (void) state;
    static const tide_application_t application = {
        .connect = let_in, .connected = take_connected, .disconnected = take_disconnected};
    for (int how = 0; how < 3; how++) {
        memset (&told, 0, sizeof told);
        loop = tide_loop_new_with (NULL, &application);
        tide_loop_client_t *client = subscribed (THIRD, THIRD);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how > 0)
            loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
        tide_loop_say (probe, "5");
        assert_int_equal (told.connected, 1);
        assert_int_equal (told.disconnected, 0);
        if (how == 2)
            tide_loop_pass (loop, 12000); /* it cannot write itself in */
        else
            tide_loop_cut (probe);
        assert_int_equal (told.disconnected, 1);
        assert_int_equal (told.disconnected_at, OTHER);
        assert_string_equal (told.reason, "transport close");
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 12000);
        assert_int_equal (told.connected, 1);
        assert_int_equal (told.disconnected, 1);
        tide_loop_destroy (&loop);
        assert_int_equal (told.disconnected, 1);
    }
}

/*  It is in the topic, whichever lane it is at when that is so. */
static void what_an_application_has_asked_for_is_done_before_a_session_goes (void **state)
{
    (void) state;
    static const tide_application_t application = {.connect = let_in, .connected = take_connected};
    memset (&told, 0, sizeof told);
    loop = tide_loop_new_with (NULL, &application);
    heard_t heard = {.nsp = ""};
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    tide_loop_say (client, "40");
    const char *frame = tide_loop_hear (client);
    char sid[40] = "";
    assert_int_equal (sscanf (frame, "40{\"sid\":\"%39[^\"]", sid), 1);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    loop->held_kinds[HOLDER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_app_join (loop->hubs[HOLDER], sid, tide_bytes ("lobby"), take_done, NULL);
    tide_loop_say (probe, "5");
    assert_int_equal (told.done, 0);
    tide_loop_let_all_go (loop);
    assert_int_equal (told.done, 1);
    tide_loop_publish (loop, "lobby", 1);
    listen_to (&heard, probe);
    assert_heard (&heard, 0, 1, 1);
    tide_loop_destroy (&loop);
}

/*  -- probes that fail ------------------------------------------------------------------------ */

static void a_probe_there_that_says_something_wrong_leaves_polling_alive (void **state)
{
    (void) state;
    static const char *const said[] = {"", "2", "4hello", "40", "1", "3", "3probe", "6", "2probe5"};
    tide_loop_client_t *client = subscribed (THIRD, OTHER);
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++)
        for (int probed = 0; probed < 2; probed++) {
            tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
            assert_non_null (probe->connection);
            if (probed) {
                tide_loop_say (probe, "2probe");
                assert_hears (client, "6");
            }
            tide_loop_say (probe, "%s", said[at]);
            assert_null (probe->connection);
            assert_int_equal (probe->close_code, 0);
            client->is_stalled = false;
            tide_loop_run (loop);
            assert_alive (client);
            assert_true (client->poll != 0); /* held again, not answered "6" */
        }
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    tide_hub_frame (loop->hubs[OTHER], loop->now_ms, probe->connection, tide_bytes ("5"), false);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_alive (client);
}

static void a_probe_there_that_says_too_much_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed (THIRD, OTHER);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    assert_hears (client, "6");
    char *text = tide_alloc (200001);
    memset (text, '5', 200000);
    tide_loop_say (probe, "%s", text);
    free (text);
    assert_null (probe->connection);
    assert_int_equal (probe->close_code, 1009);
    assert_alive (client);
    probed_at (client, THIRD); /* there is room for another */
}

static void a_probe_there_that_closes_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed (THIRD, OTHER);
    for (int probed = 0; probed < 2; probed++) {
        tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
        if (probed) {
            tide_loop_say (probe, "2probe");
            assert_hears (client, "6");
        }
        tide_loop_cut (probe);
        client->is_stalled = false;
        tide_loop_run (loop);
        assert_alive (client);
        assert_true (client->poll != 0);
    }
}

static void a_probe_there_has_ten_seconds (void **state)
{
    (void) state;
    for (int probed = 0; probed < 2; probed++) {
        tide_loop_client_t *client = idle (THIRD, OTHER);
        tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
        if (probed)
            tide_loop_say (probe, "2probe");
        tide_loop_pass (loop, 9750);
        assert_non_null (probe->connection);
        assert_int_equal (tide_hub_deadline_ms (loop->hubs[OTHER]), loop->now_ms + 250);
        tide_loop_pass (loop, 250);
        assert_null (probe->connection);
        assert_alive (client);
        get (client);
        assert_true (client->poll != 0);
        probe = taken_to (client, OTHER);
        tide_loop_publish (loop, "lobby", 4);
        assert_gets (probe, "42[\"n\",4");
        tide_loop_pass (loop, 11000); /* it has nothing to fear any more */
        assert_non_null (probe->connection);
        tide_loop_cut (probe);
    }
}

static void a_second_probe_is_refused_at_whichever_lane_and_the_first_goes_on (void **state)
{
    (void) state;
    for (unsigned first_at = 0; first_at < LOOP_HUBS; first_at++)
        for (unsigned second_at = 0; second_at < LOOP_HUBS; second_at++) {
            tide_loop_client_t *client = idle (THIRD, OTHER);
            tide_loop_client_t *probe = probed_at (client, first_at);
            tide_loop_client_t *second = tide_loop_probe_at (client, second_at);
            tide_loop_say (second, "2probe");
            assert_null (second->connection);
            assert_int_equal (second->close_code, 0);
            tide_loop_say (probe, "5");
            tide_loop_publish (loop, "lobby", 3);
            assert_gets (probe, "42[\"n\",3");
            tide_loop_cut (probe);
        }
}

static void a_probe_for_a_session_that_is_not_there_is_closed (void **state)
{
    (void) state;
    static const char *const sids[] = {"nowhere.secret", ".", "nowhere"};
    for (size_t at = 0; at < sizeof sids / sizeof sids[0]; at++) {
        tide_loop_client_t client = {.loop = loop};
        snprintf (client.sid, sizeof client.sid, "%s", sids[at]);
        tide_loop_client_t *probe = tide_loop_probe_at (&client, OTHER);
        tide_loop_say (probe, "2probe");
        assert_null (probe->connection);
    }
    tide_loop_client_t client = {.loop = loop};
    snprintf (client.sid, sizeof client.sid, "%s.never", loop->lanes[HOLDER]);
    tide_loop_client_t *probe = tide_loop_probe_at (&client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_null (probe->connection);
    /*  Without a broker nobody can be asked. */
    tide_loop_client_t *polls = idle (HOLDER, HOLDER);
    loop->is_cut[OTHER] = true;
    tide_loop_pass (loop, 2 * TIDE_LIVENESS_MS);
    probe = tide_loop_probe_at (polls, OTHER);
    tide_loop_say (probe, "2probe");
    assert_null (probe->connection);
    assert_alive (polls);
}

static void a_session_that_ends_while_probed_there_takes_the_probe_with_it (void **state)
{
    (void) state;
    for (int how = 0; how < 8; how++) {
        tide_loop_client_t *client = subscribed (THIRD, OTHER);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how & 1) { /* it has taken, and the session is about to go */
            hold (loop, TIDE_MESSAGE_PUBLISH);
            tide_loop_say (client, "427[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\"}]");
            tide_loop_say (probe, "5");
            assert_non_null (probe->connection);
        }
        char query[160];
        query_of (client, query);
        if (how / 2 == 0) /* the client closes */
            tide_loop_engineio (loop, OTHER, "POST", query, "1");
        else if (how / 2 == 1) /* the server ends it */
            tide_loop_engineio (loop, OTHER, "POST", query, "42/elsewhere,[\"x\"]");
        else if (how / 2 == 2) /* it breaks the protocol */
            tide_loop_engineio (loop, OTHER, "POST", query, "nonsense");
        else
            tide_loop_kill_lane (loop, HOLDER);
        if (how & 1 && how / 2 < 3) { /* it polls no more: what is said so is not heard */
            assert_was_refused (TIDE_ENGINEIO_BAD_REQUEST);
            tide_loop_let_all_go (loop);
            assert_gets (probe, "437[{\"ok\":true");
            tide_loop_cut (probe);
            continue;
        }
        tide_loop_let_all_go (loop);
        if (how / 2 == 3)
            tide_loop_pass (loop, 10000);
        assert_null (probe->connection);
        if (how / 2 == 1) { /* it is told by its next poll */
            assert_hears (client, "6");
            get (client);
            assert_hears (client, "1");
        }
        assert_forgotten (client);
    }
}

static void a_client_that_closes_right_behind_the_take_over_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_hub_t *hub = loop->hubs[OTHER];
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("1"), true);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

/*  -- what is cut on the way ------------------------------------------------------------------ */

/*  What dies, and whether it is noticed before what was said arrives. */
typedef enum { HOLDER_DIES, OTHER_DIES, SOCKET_CLOSES, IS_LOST, DEATHS } death_t;

/*  Says the conversation up to a step (each message counts), and then something goes. */
static void die_at_step (unsigned step, death_t death)
{
    stock_t client;
    start (&client);
    loop = client.loop;
    client.wire->gets_at = THIRD;
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_client_t *wire = client.wire, *probe = tide_loop_probe_at (wire, OTHER);
    hold (loop, TIDE_MESSAGE_RELAY);
    hold (loop, TIDE_MESSAGE_PUBLISH);
    unsigned done = 0;
    if (done++ < step)
        tide_loop_say (probe, "2probe");
    while (done < step && tide_loop_let_go (loop))
        done++;
    if (done++ < step)
        tide_loop_say (probe, "5");
    while (done < step && tide_loop_let_go (loop))
        done++;
    stock_publish (&client, 4, 5);
    if (death == HOLDER_DIES)
        tide_loop_kill_lane (loop, HOLDER);
    else if (death == OTHER_DIES)
        tide_loop_kill_lane (loop, OTHER);
    else if (death == SOCKET_CLOSES)
        tide_loop_cut (probe);
    else if (loop->held_count > 0) { /* the oldest message */
        tide_buffer_free (&loop->held[0].bytes);
        loop->held_count--;
        memmove (loop->held, loop->held + 1, loop->held_count * sizeof loop->held[0]);
    }
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 12000);
    /*  It hears what it is told, wherever that is, and comes again. */
    stock_listen (&client);
    client.wire = probe;
    stock_publish (&client, 6, 7);
    stock_listen (&client);
    tide_loop_cut (wire);
    tide_loop_cut (probe);
    stock_reconnect (&client, step % LOOP_HUBS);
    assert_true (client.is_recovered);
    stock_publish (&client, 8, 9);
    stock_assert_numbers (&client, 1, 9);
    /*  Nothing holds on to it: it ends in time. */
    tide_loop_cut (client.wire);
    tide_loop_pass (loop, 75000);
    stock_reconnect (&client, THIRD);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void g5_whatever_dies_at_any_step_the_client_resumes_with_nothing_lost (void **state)
{
    (void) state;
    for (unsigned step = 0; step < 12; step++)
        for (death_t death = 0; death < DEATHS; death++)
            die_at_step (step, death);
}

/*  A session that was sent to a lane that has died meanwhile is nobody's: its time runs. */
static void a_session_that_nobody_got_expires (void **state)
{
    (void) state;
    for (int comes_back = 0; comes_back < 2; comes_back++) {
        stock_t client;
        start (&client);
        loop = client.loop;
        client.wire->is_stalled = true;
        tide_loop_client_t *probe = probed_at (client.wire, OTHER);
        hold (loop, TIDE_MESSAGE_RELAY);
        tide_loop_say (probe, "5");
        tide_loop_let_go (loop);
        tide_loop_kill_lane (loop, OTHER);
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, comes_back ? 50000 : 75000);
        stock_reconnect (&client, THIRD);
        assert_int_equal (client.is_recovered, comes_back);
        stock_finish (&client);
    }
}

static void a_session_that_cannot_be_resumed_at_all_can_go_to_another_lane (void **state)
{
    (void) state;
    loop->hub_config.resume_ms = 0;
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_kill_lane (loop, OTHER);
    tide_loop_client_t *client = idle (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (probe, "5");
    tide_loop_pass (loop, 2000);
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 10000);
    assert_non_null (probe->connection);
    tide_loop_publish (loop, "lobby", 1);
    assert_gets (probe, "42[\"n\",1");
}

/*  While a session is on its way, its client has come to a third lane by itself: that one has it,
 *  and keeps it. */
static void rule_c_who_resumes_on_the_way_keeps_the_session (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    loop = client.loop;
    client.wire->gets_at = THIRD;
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_client_t *probe = probed_at (client.wire, OTHER);
    loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (probe, "5");
    assert_int_equal (loop->held_count, 1); /* it has it, and is about to write so */
    stock_listen (&client);
    stock_publish (&client, 4, 5);
    stock_reconnect (&client, THIRD);
    assert_true (client.is_recovered);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 5000);
    assert_null (probe->connection);
    stock_publish (&client, 6, 8);
    stock_assert_numbers (&client, 1, 8);
    assert_false (client.wire->is_over);
    stock_finish (&client);
}

/*  … and so if it was about to go. */
static void rule_c_a_session_that_is_resumed_elsewhere_does_not_go (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    loop = client.loop;
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_client_t *probe = probed_at (client.wire, OTHER);
    loop->held_kinds[HOLDER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client.wire, "427[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\"}]");
    tide_loop_say (probe, "5");
    stock_listen (&client);
    stock_reconnect (&client, THIRD);
    assert_true (client.is_recovered);
    assert_null (probe->connection); /* at once */
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 5000);
    stock_publish (&client, 4, 6);
    stock_assert_numbers (&client, 1, 6);
    stock_finish (&client);
}

static void g8_a_session_of_another_log_is_not_taken (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    loop = client.loop;
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_client_t *probe = probed_at (client.wire, OTHER);
    loop->is_cut[OTHER] = true; /* it learns later that there is another log */
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 1000);
    loop->is_cut[OTHER] = false;
    tide_loop_say (probe, "5");
    tide_loop_pass (loop, 12000);
    stock_listen (&client);
    client.wire = probe;
    stock_listen (&client);
    assert_true (client.resets <= 1);
    if (!probe->connection) {
        stock_reconnect (&client, OTHER);
        if (!client.is_recovered)
            stock_subscribe (&client, "lobby", "");
    }
    client.count = 0;
    stock_publish (&client, 7, 9);
    stock_assert_numbers (&client, 7, 9);
    stock_finish (&client);
}

/*  It says what it owes first: its record says that it does, and can't be taken until then. */
static void g8_a_session_that_owes_resets_goes_when_they_are_said (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    loop = client.loop;
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    client.wire->gets_at = THIRD;
    hold (loop, TIDE_MESSAGE_SNAPSHOT);
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 5000);
    stock_listen (&client);
    assert_int_equal (client.resets, 0);
    tide_loop_client_t *probe = taken_to (client.wire, OTHER);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 1000);
    stock_listen (&client);
    client.wire = probe;
    stock_listen (&client);
    assert_non_null (probe->connection);
    assert_int_equal (client.resets, 1);
    client.count = 0;
    stock_publish (&client, 7, 9);
    stock_assert_numbers (&client, 7, 9);
    stock_finish (&client);
}

/*  -- what no lane of ours would say ---------------------------------------------------------- */

/*  Bytes of another lane for this one, as the broker would hand them on. */
static void relay_to (unsigned hub, const char *from, uint64_t token, tide_bytes_t payload)
{
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes, &(tide_message_t){.kind = TIDE_MESSAGE_RELAYED,
                                                   .relayed = {token, tide_bytes (from), payload}});
    tide_hub_receive (loop->hubs[hub], loop->now_ms, tide_buffer_bytes (&bytes));
    tide_loop_run (loop);
    tide_buffer_free (&bytes);
}

/*  A session with a bit of everything, on its way to OTHER: what it was sent as. */
static tide_loop_client_t *on_its_way (tide_buffer_t *bytes, tide_message_t *relay)
{
    loop = tide_loop_new (NULL);
    tide_loop_publish (loop, "past", 1);
    tide_loop_client_t *client = idle (THIRD, THIRD);
    tide_loop_say (client, "40/plain,");
    tide_loop_say (client, "42/plain,7[\"tide:subscribe\",{\"topic\":\"hall\",\"meta\":true}]");
    tide_loop_publish (loop, "hall", 1);
    hold (loop, TIDE_MESSAGE_READ);
    hold (loop, TIDE_MESSAGE_SNAPSHOT);
    tide_loop_say (client, "428[\"tide:subscribe\",{\"topic\":\"past\",\"since\":\"start\"}]");
    tide_loop_say (client, "429[\"tide:subscribe\",{\"topic\":\"a/#\",\"since\":\"snapshot\"}]");
    tide_loop_say (client, "451-[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"b\",\"data\":"
                           "{\"_placeholder\":true,\"num\":0}}]");
    tide_loop_client_t *probe = probed_at (client, OTHER);
    hold (loop, TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "5");
    const char *why;
    for (;;) {
        tide_buffer_t *last = &loop->held[loop->held_count - 1].bytes;
        assert_int_equal (tide_message_decode (tide_buffer_bytes (last), relay, &why), TIDE_OK);
        assert_int_equal (relay->kind, TIDE_MESSAGE_RELAY);
        if (relay->relay.token >> 63) { /* on its way back */
            *bytes = *last;
            *last = (tide_buffer_t){0};
            loop->held_count--;
            break;
        }
        tide_broker_receive (loop->broker, loop->now_ms, tide_bytes (loop->peers[OTHER]),
                             tide_buffer_bytes (last));
        tide_buffer_free (last);
        loop->held_count--;
        tide_loop_run (loop);
    }
    tide_loop_let_all_go (loop);
    return probe;
}

static void live_on (tide_loop_client_t *probe)
{
    tide_loop_publish (loop, "lobby", 1);
    tide_loop_publish (loop, "past", 2);
    if (probe->connection) /* the attachment that is still to come */
        tide_hub_frame (loop->hubs[OTHER], loop->now_ms, probe->connection, tide_bytes ("b"),
                        false);
    tide_loop_run (loop);
    tide_loop_say (probe, "42[\"tide:subscribe\",{\"topic\":\"more\"}]");
    tide_loop_pass (loop, 11000);
}

/*  What was taken on its way arrives as it was, or changed. */
static void arrive (const tide_message_t *relay, tide_bytes_t payload)
{
    relay_to (OTHER, loop->lanes[HOLDER], relay->relay.token, payload);
}

static void a_session_that_arrives_whole_goes_on (void **state)
{
    (void) state;
    tide_buffer_t bytes = {0};
    tide_message_t relay;
    tide_loop_client_t *probe = on_its_way (&bytes, &relay);
    arrive (&relay, relay.relay.payload);
    live_on (probe);
    assert_non_null (probe->connection);
    tide_loop_destroy (&loop);
    tide_buffer_free (&bytes);
}

static void g8_a_session_that_arrives_from_another_log_is_refused (void **state)
{
    (void) state;
    tide_buffer_t bytes = {0}, changed = {0};
    tide_message_t relay;
    tide_loop_client_t *probe = on_its_way (&bytes, &relay);
    tide_buffer_append_bytes (&changed, relay.relay.payload);
    changed.data[8] ^= 1; /* behind the kind, the epoch */
    arrive (&relay, tide_buffer_bytes (&changed));
    assert_null (probe->connection);
    tide_loop_destroy (&loop);
    tide_buffer_free (&changed);
    tide_buffer_free (&bytes);
}

static void a_session_that_arrives_cut_off_is_refused (void **state)
{
    (void) state;
    size_t size = SIZE_MAX;
    for (size_t cut = 1; cut < size; cut++) {
        tide_buffer_t bytes = {0};
        tide_message_t relay;
        tide_loop_client_t *probe = on_its_way (&bytes, &relay);
        size = relay.relay.payload.size;
        arrive (&relay, (tide_bytes_t){relay.relay.payload.data, cut});
        assert_null (probe->connection);
        tide_loop_destroy (&loop);
        tide_buffer_free (&bytes);
    }
}

static uint64_t seed = 1;

static uint32_t roll (uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (seed >> 33) % below;
}

/*  A sanitizer says whether it does harm. */
static void a_session_that_arrives_changed_does_no_harm (void **state)
{
    (void) state;
    enum { ROUNDS = 600 };
    extern int printf (const char *, ...);
    for (int round = 0; round < ROUNDS; round++) {
        tide_buffer_t bytes = {0}, changed = {0};
        tide_message_t relay;
        tide_loop_client_t *probe = on_its_way (&bytes, &relay);
        tide_buffer_append_bytes (&changed, relay.relay.payload);
        for (uint32_t flips = 1 + roll (4); flips > 0; flips--) {
            uint8_t *byte = changed.data + 1 + roll ((uint32_t) changed.size - 1);
            uint32_t value = roll (2) ? *byte ^ (1u << roll (8)) : roll (256);
            *byte = (uint8_t) value;
        }
        if (roll (8) == 0)
            tide_put_u8 (&changed, (uint8_t) roll (256));
        arrive (&relay, tide_buffer_bytes (&changed));
        live_on (probe);
        tide_loop_destroy (&loop);
        tide_buffer_free (&changed);
        tide_buffer_free (&bytes);
    }
}

/*  Tokens that are in use, and others; every kind there is, and some that there is not. */
static void relay_at_random (unsigned hub, const char *sid)
{
    static const char *const froms[] = {"",
                                        "a",
                                        "lane0.0",
                                        "#",
                                        "lane2.2",
                                        "\xff",
                                        "llllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
                                        "lllllllllllllllllllllllllllll"};
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, (uint8_t) roll (13));
    if (roll (2)) {
        for (uint32_t more = roll (3); more > 0; more--)
            tide_put_u8 (&payload, (uint8_t) roll (2));
        tide_buffer_append_text (&payload, sid);
    }
    else
        for (uint32_t more = roll (40); more > 0; more--)
            tide_put_u8 (&payload, (uint8_t) roll (roll (2) ? 4 : 256));
    if (roll (20) == 0)
        payload.size = 0;
    uint32_t from = roll (10);
    uint64_t token = roll (12) | (roll (2) ? 1ull << 63 : 0);
    relay_to (hub, from < 7 ? froms[from] : loop->lanes[roll (LOOP_HUBS)], token,
              tide_buffer_bytes (&payload));
    tide_buffer_free (&payload);
}

static void what_no_lane_would_say_does_no_harm (void **state)
{
    (void) state;
    for (int round = 0; round < 60; round++) {
        loop = tide_loop_new (NULL);
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        client->gets_at = client->posts_at = roll (LOOP_HUBS);
        tide_loop_say (client, "40");
        tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
        if (roll (2))
            tide_loop_say (probe, "2probe");
        if (roll (2)) {
            hold (loop, TIDE_MESSAGE_RELAY);
            tide_loop_say (probe, "5");
        }
        for (int message = 0; message < 40; message++)
            relay_at_random (roll (LOOP_HUBS), client->sid);
        /*  Others are served. */
        tide_loop_let_all_go (loop);
        assert_alive (subscribed (HOLDER, HOLDER));
        tide_loop_destroy (&loop);
    }
}

/*  -- states in which a lane can be taken down ------------------------------------------------ */

/*  A sanitizer says whether something is left behind. */
static void a_lane_can_be_taken_down_whatever_it_asked_or_was_asked (void **state)
{
    (void) state;
    for (unsigned victim = 0; victim <= LOOP_HUBS; victim++)
        for (int how = 0; how < 4; how++) {
            loop = tide_loop_new (NULL);
            tide_loop_client_t *client = subscribed (OTHER, THIRD);
            char query[160];
            query_of (client, query);
            if (how == 1)
                tide_loop_engineio (loop, THIRD, "POST", query, NULL);
            if (how == 2) { /* what is asked has not arrived */
                hold (loop, TIDE_MESSAGE_RELAY);
                tide_loop_say (client, "422[\"nobody\"]");
            }
            if (how == 3) { /* … nor has what is answered */
                hold (loop, TIDE_MESSAGE_RELAY);
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

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest requests[] = {
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
        TEST (requests_that_a_dead_lane_owes_are_answered_soon),
        TEST (a_request_whose_answer_is_lost_is_answered_in_the_end),
        TEST (without_a_broker_no_other_lane_can_be_asked),
        cmocka_unit_test (g5_what_a_dead_lane_was_to_pass_on_comes_on_resume),
        cmocka_unit_test (g5_a_client_whose_holder_dies_resumes_at_the_other_lane),
        TEST (a_holder_that_stops_tells_those_who_poll_elsewhere),
        TEST (a_lane_that_stops_asks_no_other_lane),
        cmocka_unit_test (a_lane_can_be_taken_down_whatever_it_asked_or_was_asked),
    };
    const struct CMUnitTest upgrades[] = {
        TEST (polls_anywhere_are_answered_6_while_probed),
        TEST (a_probe_there_may_take_without_asking_or_ask_twice),
        TEST (a_session_that_was_taken_elsewhere_does_not_poll_any_more),
        TEST (a_session_that_was_taken_elsewhere_is_pinged_in_time),
        TEST (a_client_without_a_namespace_is_taken_elsewhere_too),
        cmocka_unit_test (g1_a_take_over_by_another_lane_loses_and_repeats_nothing),
        cmocka_unit_test (g6_a_client_that_lags_catches_up_at_the_other_lane),
        cmocka_unit_test (a_client_goes_from_lane_to_lane_and_recovers_each_time),
        TEST (frames_right_behind_the_take_over_are_not_lost),
        TEST (frames_right_behind_are_not_lost_without_recovery_or_a_namespace),
        TEST (too_much_right_behind_the_take_over_ends_it),
        TEST (attachments_may_come_over_the_other_lane),
        TEST (binary_events_and_answers_that_wait_go_along),
        cmocka_unit_test (g5_a_session_that_is_too_large_to_go_is_resumed),
        cmocka_unit_test (g1_a_topic_that_is_being_joined_is_joined_once_at_the_other_lane),
        cmocka_unit_test (g5_a_reset_that_is_owed_is_said_at_the_other_lane),
        TEST (a_publish_that_is_under_way_is_answered_once_at_the_other_lane),
        cmocka_unit_test (a_session_that_does_not_come_to_rest_breaks_off),
        TEST (namespaces_go_along_with_and_without_recovery),
        TEST (volatile_events_are_given_at_either_lane),
        cmocka_unit_test (an_application_is_told_of_an_end_once_where_the_session_is),
        cmocka_unit_test (what_an_application_has_asked_for_is_done_before_a_session_goes),
        TEST (a_probe_there_that_says_something_wrong_leaves_polling_alive),
        TEST (a_probe_there_that_says_too_much_leaves_polling_alive),
        TEST (a_probe_there_that_closes_leaves_polling_alive),
        TEST (a_probe_there_has_ten_seconds),
        TEST (a_second_probe_is_refused_at_whichever_lane_and_the_first_goes_on),
        TEST (a_probe_for_a_session_that_is_not_there_is_closed),
        TEST (a_session_that_ends_while_probed_there_takes_the_probe_with_it),
        TEST (a_client_that_closes_right_behind_the_take_over_is_gone),
        cmocka_unit_test (g5_whatever_dies_at_any_step_the_client_resumes_with_nothing_lost),
        cmocka_unit_test (a_session_that_nobody_got_expires),
        TEST (a_session_that_cannot_be_resumed_at_all_can_go_to_another_lane),
        cmocka_unit_test (rule_c_who_resumes_on_the_way_keeps_the_session),
        cmocka_unit_test (rule_c_a_session_that_is_resumed_elsewhere_does_not_go),
        cmocka_unit_test (g8_a_session_of_another_log_is_not_taken),
        cmocka_unit_test (a_session_that_arrives_whole_goes_on),
        cmocka_unit_test (g8_a_session_that_owes_resets_goes_when_they_are_said),
        cmocka_unit_test (g8_a_session_that_arrives_from_another_log_is_refused),
        cmocka_unit_test (a_session_that_arrives_cut_off_is_refused),
        cmocka_unit_test (a_session_that_arrives_changed_does_no_harm),
        cmocka_unit_test (what_no_lane_would_say_does_no_harm),
    };
    int failed = cmocka_run_group_tests_name ("requests at other lanes", requests, NULL, NULL);
    return failed + cmocka_run_group_tests_name ("WebSockets at other lanes", upgrades, NULL, NULL);
}
