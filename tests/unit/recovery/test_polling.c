/*  test_polling.c - clients that poll, and their way to WebSocket.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_stock.h"

#include "tide_alloc.h"

#include <stdlib.h>

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

/*  A client that polls, in the main namespace. */
static tide_loop_client_t *connected (void)
{
    tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
    assert_hears (client, "0{");
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    return client;
}

static tide_loop_client_t *subscribed (void)
{
    tide_loop_client_t *client = connected ();
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (client, "431[{\"ok\":true");
    return client;
}

/*  One that says when it polls; nothing is held. */
static tide_loop_client_t *idle (void)
{
    tide_loop_client_t *client = subscribed ();
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

/*  Somebody asks for the client's session, and is refused. */
static void assert_refused (const tide_loop_client_t *client, const char *method, int code)
{
    char query[160], body[32];
    query_of (client, query);
    snprintf (body, sizeof body, "{\"code\":%d,", code);
    tide_loop_engineio (loop, client->hub, method, query, "");
    assert_int_equal (loop->http_status, 400);
    assert_memory_equal (loop->http_body, body, strlen (body));
}

static void assert_forgotten (const tide_loop_client_t *client)
{
    assert_refused (client, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    assert_refused (client, "POST", TIDE_ENGINEIO_SESSION_UNKNOWN);
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
    assert_hears (client, "432[{\"ok\":false");
    assert_hears (client, "431[{\"ok\":true");
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
    assert_refused (client, "GET", TIDE_ENGINEIO_BAD_REQUEST);
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
    uint64_t first = tide_loop_engineio (loop, 0, "POST", query, NULL);
    assert_int_equal (loop->http_status, 0);
    uint64_t second = tide_loop_engineio (loop, 0, "POST", query, NULL);
    assert_int_equal (loop->http_status, 400);
    assert_int_equal (loop->ticket, first); /* answered last */
    assert_hears (client, "1");
    assert_forgotten (client);
    /*  Their bodies come too late. */
    tide_hub_body (loop->hubs[0], loop->now_ms, first, tide_bytes ("4"));
    tide_hub_body (loop->hubs[0], loop->now_ms, second, tide_bytes ("4"));
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
    tide_hub_engineio (loop->hubs[0], loop->now_ms, &request);
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
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
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
    tide_hub_abandon (loop->hubs[0], client->poll);
    client->poll = 0;
    client->is_stalled = true;
    tide_loop_run (loop);
    assert_forgotten (client);

    client = subscribed ();
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, 0, "POST", query, NULL);
    tide_hub_abandon (loop->hubs[0], post);
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
    tide_loop_http (loop, 0, "GET", "/api/v1/history", "topic=lobby", "");
    assert_null (strstr (loop->http_body, "late"));
}

/*  Ended by the server while it does not poll: it speaks to a namespace that it is not in. */
static tide_loop_client_t *ended (void)
{
    tide_loop_client_t *client = idle ();
    tide_loop_publish (loop, "lobby", 5);
    tide_loop_say (client, "42/elsewhere,[\"x\"]");
    assert_int_equal (client->post_status, 400);
    return client;
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
    assert_int_equal (tide_hub_deadline_ms (loop->hubs[0]), loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_forgotten (client);
}

static void an_ended_session_takes_nothing_more (void **state)
{
    (void) state;
    tide_loop_client_t *client = ended ();
    tide_loop_say (client, "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"late\"}]");
    assert_int_equal (client->post_status, 200);
    tide_loop_http (loop, 0, "GET", "/api/v1/history", "topic=lobby", "");
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
    tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
    assert_hears (client, "0{");
    uint64_t begun_ms = loop->now_ms;
    tide_loop_pass (loop, 25000);
    assert_hears (client, "2"); /* it polls, and that is not enough */
    loop->now_ms = begun_ms + 44999;
    tide_hub_tick (loop->hubs[0], loop->now_ms);
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
    tide_hub_stop (loop->hubs[0], loop->now_ms);
    tide_loop_run (loop);
    assert_hears (waits, "1");
    assert_null (probe->connection);
    assert_refused (waits, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    assert_refused (idles, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
    tide_loop_engineio (loop, 0, "GET", "EIO=4&transport=polling", NULL);
    assert_int_equal (loop->http_status, 503);
}

/*  -- those that take nothing ----------------------------------------------------------------- */

/*  Asks for a lot, `count` times, in one body. */
static void ask_for_much (tide_loop_client_t *client, int count)
{
    tide_buffer_t body = {0};
    for (int at = 0; at < count; at++)
        tide_buffer_printf (&body, "%s42%d[\"tide:history\",{\"topic\":\"big\",\"limit\":1000}]",
                            at > 0 ? "\x1e" : "", at);
    tide_loop_post (client, tide_buffer_bytes (&body));
    tide_buffer_free (&body);
    tide_loop_run (loop);
}

/*  One answer with this is more than what is written at once. */
static void publish_much (void)
{
    enum { SIZE = 90000 };
    char *body = tide_alloc (SIZE + 100);
    strcpy (body, "{\"topic\":\"big\",\"event\":\"e\",\"data\":\"");
    memset (body + strlen (body), 'y', SIZE);
    strcat (body, "\"}");
    tide_loop_http (loop, 0, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
    free (body);
}

static void a_client_that_takes_nothing_has_its_post_held_back (void **state)
{
    (void) state;
    publish_much ();
    tide_loop_client_t *client = idle ();
    ask_for_much (client, 9); /* as many answers as may be under way, and one more */
    assert_int_equal (client->post, 0);
    assert_int_equal (client->post_status, 200);
    ask_for_much (client, 1);
    assert_true (client->post != 0);
    /*  Nothing more can be asked: a third POST would be one too many. It polls, and goes on. */
    int polls = 0;
    for (; client->post != 0; polls++) {
        assert_true (polls < 20);
        get (client);
    }
    assert_true (polls > 1); /* it was told in parts */
    assert_int_equal (client->post_status, 200);
    size_t answers = 0;
    for (;;) {
        const char *frame;
        while ((frame = tide_loop_hear (client))) {
            assert_int_equal (frame[strlen (frame) - 1], ']'); /* whole */
            answers += frame[0] == '4' && frame[1] == '3';
        }
        if (client->poll != 0)
            break;
        get (client);
    }
    assert_int_equal (answers, 10);
    tide_loop_publish (loop, "lobby", 1);
    assert_hears (client, "42[\"n\",1");
}

static void a_post_that_is_held_back_is_answered_when_the_client_is_upgraded (void **state)
{
    (void) state;
    publish_much ();
    tide_loop_client_t *client = idle ();
    ask_for_much (client, 9);
    ask_for_much (client, 1);
    assert_true (client->post != 0);
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "2probe");
    probe->is_stalled = true;
    tide_loop_say (probe, "5");
    assert_true (client->post != 0);
    assert_true (probe->is_paused);
    tide_loop_unstall (probe);
    assert_false (probe->is_paused);
    assert_int_equal (client->post, 0);
    assert_int_equal (client->post_status, 200);
    const char *frame;
    size_t answers = 0;
    while ((frame = tide_loop_hear (probe)))
        answers += frame[0] == '4' && frame[1] == '3';
    assert_int_equal (answers, 10);
}

/*  It was answered long ago, and asks nothing: what waits for it does not keep it. */
static void a_client_that_is_gone_is_forgotten_whatever_waits_for_it (void **state)
{
    (void) state;
    publish_much ();
    tide_loop_client_t *client = idle ();
    ask_for_much (client, 8);
    assert_int_equal (client->post, 0);
    tide_loop_pass (loop, 46000);
    assert_forgotten (client);
}

/*  -- the upgrade ----------------------------------------------------------------------------- */

static void polls_are_answered_6_while_probed (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    assert_non_null (probe->connection);
    assert_true (client->poll != 0);
    assert_null (tide_loop_hear (probe));
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    assert_hears (client, "6");
    assert_int_equal (client->poll, 0);
    for (int again = 0; again < 3; again++) {
        get (client);
        assert_hears (client, "6");
    }
    /*  What there is to say still goes by polling. */
    tide_loop_publish (loop, "lobby", 1);
    get (client);
    assert_hears (client, "42[\"n\",1");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 2);
    assert_hears (probe, "42[\"n\",2");
    assert_null (tide_loop_hear (client));
}

static void a_poll_that_is_held_is_answered_6_at_the_upgrade (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "5"); /* without asking first, as the reference lets it */
    assert_hears (client, "6");
    assert_int_equal (client->poll, 0);
    tide_loop_publish (loop, "lobby", 2);
    assert_hears (probe, "42[\"n\",2");
}

static void an_upgraded_session_does_not_poll_any_more (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "2probe");
    tide_loop_say (probe, "5");
    assert_hears (probe, "3probe");
    assert_refused (client, "GET", TIDE_ENGINEIO_BAD_REQUEST);
    assert_refused (client, "POST", TIDE_ENGINEIO_BAD_REQUEST);
    /*  A second WebSocket is let in, and closed. */
    char query[160];
    snprintf (query, sizeof query, "EIO=4&transport=websocket&sid=%s", client->sid);
    tide_http_request_t request = {
        .method = tide_bytes ("GET"), .query = tide_bytes (query), .is_websocket = true};
    assert_int_equal (tide_hub_check_handshake (loop->hubs[0], &request), -1);
    tide_loop_client_t *second = tide_loop_probe (client);
    assert_null (second->connection);
    assert_int_equal (second->close_code, 0);
    tide_loop_publish (loop, "lobby", 3);
    assert_hears (probe, "42[\"n\",3");
    /*  Its heartbeat goes on where it was. */
    tide_loop_pass (loop, 25000);
    assert_hears (probe, "2");
    tide_loop_say (probe, "3");
    tide_loop_pass (loop, 25000);
    assert_hears (probe, "2");
    tide_loop_pass (loop, 20000);
    assert_null (probe->connection);
    assert_forgotten (client);
}

static void a_second_probe_is_closed_and_the_first_goes_on (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_client_t *second = tide_loop_probe (client);
    assert_null (second->connection);
    tide_loop_say (probe, "2probe");
    second = tide_loop_probe (client);
    assert_null (second->connection);
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 3);
    assert_hears (probe, "42[\"n\",3");
}

static void a_probe_that_says_something_wrong_leaves_polling_alive (void **state)
{
    (void) state;
    static const char *const said[] = {"", "2", "4hello", "40", "1", "3", "3probe", "6", "2probe5"};
    tide_loop_client_t *client = subscribed ();
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++)
        for (int probed = 0; probed < 2; probed++) {
            tide_loop_client_t *probe = tide_loop_probe (client);
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
            assert_true (client->poll != 0); /* held again */
        }
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("5"), false);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_alive (client);
}

static void a_probe_that_says_too_much_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    char *text = tide_alloc (200001);
    memset (text, '5', 200000);
    tide_loop_say (probe, "%s", text);
    free (text);
    assert_null (probe->connection);
    assert_int_equal (probe->close_code, 1009);
    assert_alive (client);
    probe = tide_loop_probe (client); /* there is room for another */
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
}

static void a_probe_that_closes_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    for (int probed = 0; probed < 2; probed++) {
        tide_loop_client_t *probe = tide_loop_probe (client);
        if (probed)
            tide_loop_say (probe, "2probe");
        tide_loop_cut (probe);
        if (probed)
            assert_hears (client, "6");
        client->is_stalled = false;
        tide_loop_run (loop);
        assert_alive (client);
        assert_true (client->poll != 0);
    }
}

static void a_probe_has_ten_seconds (void **state)
{
    (void) state;
    for (int probed = 0; probed < 2; probed++) {
        tide_loop_client_t *client = idle ();
        tide_loop_client_t *probe = tide_loop_probe (client);
        if (probed)
            tide_loop_say (probe, "2probe");
        tide_loop_pass (loop, 9750);
        assert_non_null (probe->connection);
        assert_int_equal (tide_hub_deadline_ms (loop->hubs[0]), loop->now_ms + 250);
        tide_loop_pass (loop, 250);
        assert_null (probe->connection);
        assert_alive (client);
        get (client);
        assert_true (client->poll != 0); /* held, not answered "6" */
        tide_loop_client_t *next = tide_loop_probe (client);
        tide_loop_say (next, "2probe");
        assert_hears (next, "3probe");
        tide_loop_say (next, "5");
        tide_loop_publish (loop, "lobby", 4);
        assert_hears (next, "42[\"n\",4");
        tide_loop_pass (loop, 11000); /* it has nothing to fear any more */
        assert_non_null (next->connection);
    }
}

static void a_session_that_ends_while_probed_takes_the_probe_with_it (void **state)
{
    (void) state;
    for (int how = 0; how < 5; how++) {
        tide_loop_client_t *client = subscribed ();
        tide_loop_client_t *probe = tide_loop_probe (client);
        if (how % 2)
            tide_loop_say (probe, "2probe");
        if (how == 0) /* the client closes */
            tide_loop_say (client, "1");
        else if (how == 1) /* the server ends it, in grace */
            tide_loop_say (client, "42/elsewhere,[\"x\"]");
        else if (how == 2) /* it breaks the protocol */
            tide_loop_say (client, "nonsense");
        else if (how == 3) /* its request is broken off */
            tide_hub_abandon (loop->hubs[0], (get (client), client->poll));
        else
            tide_loop_cut (client);
        if (how == 3) { /* it was answered at once: so it is alive */
            assert_non_null (probe->connection);
            tide_loop_say (client, "1");
        }
        tide_loop_run (loop);
        assert_null (probe->connection);
    }
}

/*  What the shell reads in one go: the upgrade, and what is said behind it. */
static void frames_right_behind_an_upgrade_are_not_lost (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    static const char *const said[] = {
        "5", "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":1}]",
        "422[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":2}]"};
    for (size_t at = 0; at < 3; at++)
        tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes (said[at]),
                        true);
    tide_loop_run (loop);
    int events = 0, answers = 0;
    const char *frame;
    while ((frame = tide_loop_hear (probe))) {
        events += strncmp (frame, "42[\"n\",", 7) == 0;
        answers += strncmp (frame, "43", 2) == 0;
    }
    assert_int_equal (events, 2);
    assert_int_equal (answers, 2);
}

/*  The whole conversation at once, and the socket can be written to before the shell is told. */
static void an_answer_to_a_probe_is_written_once_whenever_the_shell_writes (void **state)
{
    (void) state;
    for (int early = 0; early < 2; early++) {
        tide_loop_client_t *client = idle ();
        tide_loop_client_t *probe = tide_loop_probe (client);
        tide_hub_t *hub = loop->hubs[0];
        tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("2probe"), true);
        tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("5"), true);
        if (early)
            assert_true (tide_bytes_is (tide_hub_write (hub, loop->now_ms, probe->connection), ""));
        tide_loop_publish (loop, "lobby", 1);
        assert_hears (probe, "3probe");
        assert_hears (probe, "42[\"n\",1");
        assert_null (tide_loop_hear (probe));
    }
}

static void a_socket_that_closes_before_the_shell_was_told_takes_the_session_with_it (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "2probe");
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_closed (loop->hubs[0], loop->now_ms, &probe->connection);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

static void a_client_closes_right_behind_an_upgrade (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("1"), true);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

/*  Somewhere in a replay that takes many polls the client goes over to WebSocket. where: after how
 *  many polls; how: which of the polls in between it makes. */
static void upgrade_in_a_replay (unsigned where, unsigned how)
{
    enum { ASKS_FIRST = 1, POLLS_BEFORE = 2, POLLS_PROBED = 4 };
    stock_t client;
    int last = 40;
    stock_start (&client, NULL, true);
    client.loop->hub_config.write_size_max = 300;
    tide_loop_kill_lane (client.loop, 1);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_publish (&client, 3, last);

    tide_loop_client_t *wire = client.wire = tide_loop_open_polling (client.loop, 1);
    wire->is_stalled = true;
    tide_loop_say (wire, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", client.pid, client.offset);
    for (unsigned polls = 0; polls < where; polls++) {
        if (wire->poll == 0)
            tide_loop_get (wire);
        tide_loop_run (client.loop);
    }
    tide_loop_client_t *probe = tide_loop_probe (wire);
    last++;
    stock_publish (&client, last, last);
    if ((how & POLLS_BEFORE) && wire->poll == 0)
        tide_loop_get (wire);
    tide_loop_run (client.loop);
    if (how & ASKS_FIRST) {
        tide_loop_say (probe, "2probe");
        assert_hears (probe, "3probe");
        last++;
        stock_publish (&client, last, last);
        if (how & POLLS_PROBED)
            tide_loop_get (wire);
        tide_loop_run (client.loop);
        assert_int_equal (wire->poll, 0);
    }
    tide_loop_say (probe, "5");
    assert_int_equal (wire->poll, 0);
    stock_listen (&client);
    client.wire = probe;
    stock_listen (&client);
    last++;
    stock_publish (&client, last, last);
    stock_assert_numbers (&client, 1, last);
    assert_true (client.is_recovered);
    stock_finish (&client);
}

static void an_upgrade_at_any_step_of_a_replay_loses_and_repeats_nothing (void **state)
{
    (void) state;
    for (unsigned where = 0; where < 10; where++)
        for (unsigned how = 0; how < 8; how++)
            upgrade_in_a_replay (where, how);
}

static void an_upgraded_client_recovers_over_polling (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, true);
    int last = 0;
    for (int round = 0; round < 4; round++) {
        tide_loop_client_t *probe = tide_loop_probe (client.wire);
        tide_loop_say (probe, "2probe");
        tide_loop_say (probe, "5");
        stock_listen (&client);
        client.wire = probe;
        stock_publish (&client, last + 1, last + 3);
        stock_listen (&client);
        tide_loop_cut (client.wire);
        stock_publish (&client, last + 4, last + 6);
        stock_reconnect (&client, (unsigned) round % LOOP_HUBS);
        assert_true (client.is_recovered);
        last += 6;
    }
    stock_assert_numbers (&client, 1, last);
    stock_finish (&client);
}

/*  -- states in which a lane can be taken down ------------------------------------------------ */

static void opened_only (void)
{
    tide_loop_open_polling (loop, 0);
}

static void with_a_poll_held (void)
{
    subscribed ();
}

static void with_nothing_held (void)
{
    tide_loop_publish (loop, "lobby", (idle (), 5));
}

static void with_a_post_coming (void)
{
    char query[160];
    query_of (subscribed (), query);
    tide_loop_engineio (loop, 0, "POST", query, NULL);
}

static void with_a_post_held_back (void)
{
    publish_much ();
    ask_for_much (idle (), 9);
}

static void with_requests_under_way (void)
{
    tide_loop_client_t *client = subscribed ();
    loop->is_cut[0] = true;
    tide_loop_say (client, "421[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\",\"data\":1}]");
}

static void with_a_session_coming (void)
{
    loop->is_cut[0] = true;
    tide_loop_say (tide_loop_open_polling (loop, 0), "40");
}

static void opened_by_a_probe (void)
{
    tide_loop_probe (subscribed ());
}

static void probed (void)
{
    tide_loop_say (tide_loop_probe (subscribed ()), "2probe");
}

static void taken_over_untold (void)
{
    tide_loop_client_t *probe = tide_loop_probe (subscribed ());
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("2probe"), true);
    tide_hub_frame (loop->hubs[0], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    probe->connection = NULL;
}

static void taken_over (void)
{
    tide_loop_client_t *probe = tide_loop_probe (subscribed ());
    tide_loop_say (probe, "2probe");
    tide_loop_say (probe, "5");
}

static void taking_leave (void)
{
    ended ();
}

static void about_to_end (void)
{
    tide_loop_client_t *client = subscribed ();
    tide_loop_post (client, tide_bytes ("42/elsewhere,[\"x\"]"));
}

static void about_to_end_while_probed (void)
{
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (tide_loop_probe (client), "2probe");
    tide_loop_post (client, tide_bytes ("1"));
}

static void refused_and_untold (void)
{
    char query[160];
    query_of (subscribed (), query);
    tide_http_request_t request = {.method = tide_bytes ("GET"), .query = tide_bytes (query)};
    tide_hub_engineio (loop->hubs[0], loop->now_ms, &request);
}

static void stopping (void)
{
    subscribed ();
    tide_loop_say (tide_loop_probe (subscribed ()), "2probe");
    tide_hub_stop (loop->hubs[0], loop->now_ms);
}

/*  A sanitizer says whether something is left behind. */
static void a_lane_can_be_taken_down_in_any_state (void **state)
{
    (void) state;
    static void (*const bring[]) (void) = {opened_only,
                                           with_a_poll_held,
                                           with_nothing_held,
                                           with_a_post_coming,
                                           with_a_post_held_back,
                                           with_requests_under_way,
                                           with_a_session_coming,
                                           opened_by_a_probe,
                                           probed,
                                           taken_over_untold,
                                           taken_over,
                                           taking_leave,
                                           about_to_end,
                                           about_to_end_while_probed,
                                           refused_and_untold,
                                           stopping};
    for (size_t at = 0; at < sizeof bring / sizeof bring[0]; at++)
        for (int closes_first = 0; closes_first < 2; closes_first++) {
            loop = tide_loop_new (NULL);
            bring[at]();
            if (!closes_first) /* the lane goes, and then its clients see that */
                tide_loop_kill_lane (loop, 0);
            tide_loop_destroy (&loop);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

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
        TEST (a_client_that_takes_nothing_has_its_post_held_back),
        TEST (a_post_that_is_held_back_is_answered_when_the_client_is_upgraded),
        TEST (a_client_that_is_gone_is_forgotten_whatever_waits_for_it),
        TEST (polls_are_answered_6_while_probed),
        TEST (a_poll_that_is_held_is_answered_6_at_the_upgrade),
        TEST (an_upgraded_session_does_not_poll_any_more),
        TEST (a_second_probe_is_closed_and_the_first_goes_on),
        TEST (a_probe_that_says_something_wrong_leaves_polling_alive),
        TEST (a_probe_that_says_too_much_leaves_polling_alive),
        TEST (a_probe_that_closes_leaves_polling_alive),
        TEST (a_probe_has_ten_seconds),
        TEST (a_session_that_ends_while_probed_takes_the_probe_with_it),
        TEST (frames_right_behind_an_upgrade_are_not_lost),
        TEST (an_answer_to_a_probe_is_written_once_whenever_the_shell_writes),
        TEST (a_socket_that_closes_before_the_shell_was_told_takes_the_session_with_it),
        TEST (a_client_closes_right_behind_an_upgrade),
        cmocka_unit_test (an_upgrade_at_any_step_of_a_replay_loses_and_repeats_nothing),
        cmocka_unit_test (an_upgraded_client_recovers_over_polling),
        cmocka_unit_test (a_lane_can_be_taken_down_in_any_state),
    };
    return cmocka_run_group_tests_name ("polling", tests, NULL, NULL);
}
