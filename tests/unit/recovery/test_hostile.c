/*  test_hostile.c - clients, lanes and applications that do what nobody does by mistake.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_stock.h"

#include "tide_alloc.h"
#include "tide_application.h"

#include <stdlib.h>

/*  The session is at HOLDER. */
enum { HOLDER = 0, OTHER = 1, THIRD = 2 };

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
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
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

/*  It polls only when the test says so. */
static void stall (tide_loop_client_t *client)
{
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 0);
    assert_hears (client, "42[\"n\",0");
    assert_int_equal (client->poll, 0);
}

static tide_loop_client_t *idle (void)
{
    tide_loop_client_t *client = subscribed ();
    stall (client);
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

static void assert_forgotten (const tide_loop_client_t *client)
{
    char query[160];
    query_of (client, query);
    tide_loop_engineio (loop, HOLDER, "GET", query, NULL);
    assert_int_equal (loop->http_status, 400);
    assert_memory_equal (loop->http_body, "{\"code\":1,", 10);
}

/*  A WebSocket at the lane has been told that it may take the session. */
static tide_loop_client_t *probed (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    return probe;
}

/*  How many of the frames that it has heard begin so; it takes all of them. */
static size_t count_heard (tide_loop_client_t *client, const char *begin)
{
    size_t count = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        count += strncmp (frame, begin, strlen (begin)) == 0;
    return count;
}

/*  Publishes an event with so much data; with a key, unless that is "". */
static void publish_much (const char *topic, const char *key, size_t size)
{
    tide_buffer_t body = {0};
    tide_buffer_printf (&body, "{\"topic\":\"%s\",\"event\":\"n\",", topic);
    if (*key)
        tide_buffer_printf (&body, "\"key\":\"%s\",", key);
    tide_buffer_append_text (&body, "\"data\":\"");
    for (size_t at = 0; at < size; at++)
        tide_put_u8 (&body, 'x');
    tide_buffer_append_text (&body, "\"}");
    tide_put_u8 (&body, 0);
    tide_loop_http (loop, HOLDER, "POST", "/api/v1/publish", "", (const char *) body.data);
    assert_int_equal (loop->http_status, 200);
    tide_buffer_free (&body);
}

static void append_packet (tide_buffer_t *body, const char *packet)
{
    if (body->size > 0)
        tide_put_u8 (body, 0x1e);
    tide_buffer_append_text (body, packet);
}

static void append_history (tide_buffer_t *body, const char *topic)
{
    tide_buffer_t packet = {0};
    tide_buffer_printf (&packet, "421[\"tide:history\",{\"topic\":\"%s\"}]", topic);
    tide_put_u8 (&packet, 0);
    append_packet (body, (const char *) packet.data);
    tide_buffer_free (&packet);
}

/*  Posts it, and takes it back. */
static void post (tide_loop_client_t *client, tide_buffer_t *body)
{
    tide_loop_post (client, tide_buffer_bytes (body));
    tide_buffer_free (body);
    tide_loop_run (loop);
}

/*  It has asked for more than it takes, and polls for none of it. */
static tide_loop_client_t *overwhelmed (void)
{
    publish_much ("big", "", 90000);
    tide_loop_client_t *client = idle ();
    tide_buffer_t body = {0};
    for (int at = 0; at < 4; at++)
        append_history (&body, "big");
    post (client, &body);
    assert_int_equal (client->post_status, 200);
    assert_int_equal (client->post, 0);
    return client;
}

static uint64_t metric (const char *name)
{
    char line[100];
    tide_loop_http (loop, THIRD, "GET", "/metrics", "", "");
    snprintf (line, sizeof line, "\n%s ", name);
    const char *at = strstr (loop->http_body, line);
    assert_non_null (at);
    return strtoull (at + strlen (line), NULL, 10);
}

static void hold (tide_message_kind_t kind)
{
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        loop->held_kinds[hub] |= 1ull << kind;
}

/*  -- POSTs that are held back ---------------------------------------------------------------- */

static void a_close_that_is_held_back_is_taken_behind_the_upgrade (void **state)
{
    (void) state;
    tide_loop_client_t *client = overwhelmed ();
    tide_loop_say (client, "1");
    assert_true (client->post != 0);
    tide_loop_client_t *probe = probed (client, HOLDER);
    probe->is_stalled = true;
    tide_loop_say (probe, "5");
    assert_non_null (probe->connection);
    assert_true (client->post != 0);
    tide_loop_unstall (probe);
    assert_int_equal (client->post_status, 200);
    assert_int_equal (client->post, 0);
    assert_hears (probe, "431[{\"ok\":true");
    assert_null (probe->connection); /* now it has closed, and hears no more */
    assert_forgotten (client);
}

static void a_namespace_can_be_left_by_what_was_held_back (void **state)
{
    (void) state;
    publish_much ("big", "", 95000);
    publish_much ("mid", "", 60000);
    for (int at = 0; at < 30; at++)
        publish_much ("many", "", 10000);
    tide_loop_client_t *client = idle ();
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"many\",\"since\":\"start\"}]");
    tide_buffer_t body = {0};
    append_history (&body, "big");
    append_history (&body, "big");
    append_history (&body, "mid");
    append_history (&body, "big");
    post (client, &body);
    tide_loop_say (client, "41");
    assert_true (client->post != 0);
    for (int polls = 0; client->post != 0; polls++) {
        assert_true (polls < 20);
        get (client);
    }
    assert_int_equal (client->post_status, 200);
    assert_false (client->is_over);
    /*  It can come in again. */
    count_heard (client, "");
    client->is_stalled = false;
    tide_loop_run (loop);
    count_heard (client, "");
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
}

static void no_more_of_a_post_is_taken_than_may_be_under_way (void **state)
{
    (void) state;
    enum { REQUESTS = 60 };
    publish_much ("big", "", 90000);
    tide_loop_client_t *client = idle ();
    hold (TIDE_MESSAGE_READ);
    tide_buffer_t body = {0};
    for (int at = 0; at < REQUESTS; at++)
        append_history (&body, "big");
    post (client, &body);
    assert_in_range (loop->held_count, 1, 9);
    assert_true (client->post != 0);
    tide_loop_let_all_go (loop);
    /*  Answers wait by now, so no more is asked for. */
    assert_true (client->post != 0);
    size_t answers = 0;
    for (int polls = 0; answers < REQUESTS; polls++) {
        assert_true (polls < 2 * REQUESTS);
        get (client);
        assert_true (client->poll == 0);
        answers += count_heard (client, "431[{\"ok\":true");
    }
    assert_int_equal (client->post, 0);
    assert_int_equal (client->post_status, 200);
    tide_loop_publish (loop, "lobby", 1);
    get (client);
    assert_hears (client, "42[\"n\",1");
}

static void many_topics_are_joined_and_left_by_one_post (void **state)
{
    (void) state;
    enum { TOPICS = 9, LEFT = 6 };
    tide_loop_client_t *client = connected ();
    char packet[100], topic[8];
    tide_buffer_t body = {0};
    for (int at = 0; at < TOPICS; at++) {
        snprintf (topic, sizeof topic, "t%d", at);
        tide_loop_publish (loop, topic, at);
        snprintf (packet, sizeof packet, "42%d[\"tide:subscribe\",{\"topic\":\"t%d\"}]", at, at);
        append_packet (&body, packet);
    }
    post (client, &body);
    assert_int_equal (count_heard (client, "43"), TOPICS);
    for (int at = 0; at < TOPICS; at++) {
        snprintf (packet, sizeof packet,
                  "42%d[\"tide:subscribe\",{\"topic\":\"t%d\",\"since\":\"start\"}]", 20 + at, at);
        append_packet (&body, packet);
    }
    for (int at = 0; at < LEFT; at++) {
        snprintf (packet, sizeof packet, "42%d[\"tide:unsubscribe\",{\"topic\":\"t%d\"}]", 40 + at,
                  at);
        append_packet (&body, packet);
    }
    post (client, &body);
    assert_int_equal (client->post, 0);
    assert_int_equal (client->post_status, 200);
    assert_false (client->is_over);
    unsigned answers = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        answers += strncmp (frame, "43", 2) == 0;
    assert_int_equal (answers, TOPICS + LEFT);
    for (int at = 0; at < TOPICS; at++) {
        snprintf (topic, sizeof topic, "t%d", at);
        tide_loop_publish (loop, topic, 100);
        assert_int_equal (count_heard (client, "42[\"n\",100"), at >= LEFT);
    }
}

/*  While its record says that it joins: it is not in the topic when it comes back, either. */
static void a_topic_that_is_left_while_it_is_joined_is_left (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, false);
    loop = client.loop;
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (client.wire, "422[\"tide:subscribe\",{\"topic\":\"room\"}]");
    assert_int_equal (loop->held_count, 1);
    tide_loop_say (client.wire, "423[\"tide:unsubscribe\",{\"topic\":\"room\"}]");
    assert_hears (client.wire, "432[{\"ok\":false");
    tide_loop_let_all_go (loop);
    assert_hears (client.wire, "433[{\"ok\":true");
    tide_loop_publish (loop, "room", 50);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    tide_loop_publish (loop, "room", 51);
    stock_publish (&client, 3, 4);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 4);
    stock_finish (&client);
}

/*  Its head came before the upgrade, and its body behind it. */
static void a_post_that_is_under_way_at_the_upgrade_is_taken (void **state)
{
    (void) state;
    static const char said[] =
        "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":5}]";
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        for (unsigned posts_at = 0; posts_at < LOOP_HUBS; posts_at++) {
            tide_loop_client_t *client = idle ();
            tide_loop_client_t *probe = probed (client, hub);
            char query[160];
            query_of (client, query);
            uint64_t ticket = tide_loop_engineio (loop, posts_at, "POST", query, NULL);
            assert_int_equal (loop->http_status, 0);
            tide_loop_say (probe, "5");
            tide_hub_body (loop->hubs[posts_at], loop->now_ms, ticket, tide_bytes (said));
            tide_loop_run (loop);
            assert_int_equal (loop->ticket, ticket);
            assert_int_equal (loop->http_status, 200);
            assert_non_null (probe->connection);
            unsigned events = 0, answers = 0;
            const char *frame;
            while ((frame = tide_loop_hear (probe))) {
                events += strncmp (frame, "42[\"n\",5", 8) == 0;
                answers += strncmp (frame, "437[{\"ok\":true", 14) == 0;
            }
            assert_int_equal (events, 1);
            assert_int_equal (answers, 1);
            tide_loop_cut (probe);
        }
}

/*  It was waited for, and is not any more; the session goes on. */
static void a_post_that_was_held_back_is_broken_off_behind_the_upgrade (void **state)
{
    (void) state;
    for (int is_held_back = 0; is_held_back < 2; is_held_back++) {
        tide_loop_client_t *client = overwhelmed ();
        char query[160];
        query_of (client, query);
        uint64_t ticket = tide_loop_engineio (loop, HOLDER, "POST", query,
                                              is_held_back ? "423[\"nobody\"]" : NULL);
        tide_loop_client_t *probe = probed (client, HOLDER);
        probe->is_stalled = true;
        tide_loop_say (probe, "5");
        tide_hub_abandon (loop->hubs[HOLDER], ticket);
        tide_loop_unstall (probe);
        assert_non_null (probe->connection);
        assert_int_equal (count_heard (probe, "431[{\"ok\":true"), 4);
        tide_loop_publish (loop, "lobby", 6);
        assert_hears (probe, "42[\"n\",6");
    }
}

/*  A packet of a POST and its attachment are held back: what comes by the WebSocket does not come
 *  between them. */
static void what_was_held_back_goes_before_what_comes_behind_the_upgrade (void **state)
{
    (void) state;
    for (int is_broken_off = 0; is_broken_off < 2; is_broken_off++) {
        tide_loop_client_t *client = overwhelmed ();
        char query[160];
        query_of (client, query);
        uint64_t ticket = tide_loop_engineio (
            loop, HOLDER, "POST", query,
            "451-7[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":{"
            "\"_placeholder\":true,\"num\":0}}]\x1e"
            "bAQIDBA==");
        tide_loop_client_t *probe = probed (client, HOLDER);
        probe->is_stalled = true;
        tide_loop_say (probe, "5");
        tide_loop_say (probe, "428[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\"}]");
        if (is_broken_off)
            tide_hub_abandon (loop->hubs[HOLDER], ticket);
        tide_loop_unstall (probe);
        assert_non_null (probe->connection);
        unsigned answers = 0;
        const char *frame;
        while ((frame = tide_loop_hear (probe))) {
            if (strncmp (frame, "437", 3) == 0)
                assert_int_equal (++answers, 1);
            if (strncmp (frame, "438", 3) == 0)
                assert_int_equal (++answers, is_broken_off ? 1 : 2);
        }
        assert_int_equal (answers, is_broken_off ? 1 : 2);
        tide_loop_cut (probe);
    }
}

/*  -- hand-overs ------------------------------------------------------------------------------ */

/*  The WebSocket says that it takes the session, and is gone when that is there. */
static void take_and_go (tide_loop_client_t *probe)
{
    tide_hub_t *hub = loop->hubs[probe->hub];
    tide_hub_frame (hub, loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_closed (hub, loop->now_ms, &probe->connection);
    tide_loop_run (loop);
}

static void a_session_that_does_not_arrive_leaves_no_record (void **state)
{
    (void) state;
    uint64_t standing = metric ("tidemark_broker_standing_keys");
    for (int round = 0; round < 3; round++) {
        tide_loop_client_t *client = idle ();
        take_and_go (probed (client, OTHER));
        tide_loop_cut (client);
    }
    assert_true (metric ("tidemark_broker_standing_keys") > standing);
    tide_loop_pass (loop, 3 * loop->hub_config.resume_ms);
    assert_int_equal (metric ("tidemark_broker_standing_keys"), standing);
    assert_int_equal (metric ("tidemark_broker_leased_keys"), 0);
}

static void a_session_that_does_not_arrive_is_resumed (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, true);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    loop = client.loop;
    client.wire->is_stalled = true;
    tide_loop_client_t *probe = tide_loop_probe_at (client.wire, OTHER);
    tide_loop_say (probe, "2probe");
    take_and_go (probe);
    stock_publish (&client, 4, 6);
    stock_listen (&client);
    stock_reconnect (&client, THIRD);
    assert_true (client.is_recovered);
    stock_publish (&client, 7, 9);
    stock_assert_numbers (&client, 1, 9);
    stock_finish (&client);
}

/*  What the former holder releases is not the record that the new one has. */
static void a_session_that_has_arrived_stays_whatever_the_holder_forgets (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, true);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    loop = client.loop;
    client.wire->is_stalled = true;
    tide_loop_client_t *probe = probed (client.wire, OTHER);
    tide_loop_say (probe, "5");
    client.wire = probe;
    client.polls = false;
    stock_publish (&client, 4, 6);
    stock_pass (&client, 3 * loop->hub_config.resume_ms);
    stock_publish (&client, 7, 9);
    stock_listen (&client);
    tide_loop_kill_lane (loop, OTHER);
    stock_publish (&client, 10, 12);
    stock_reconnect (&client, THIRD);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 12);
    stock_finish (&client);
}

static void a_topic_that_is_joined_anew_at_the_upgrade_comes_once (void **state)
{
    (void) state;
    enum { BEFORE = 30, AFTER = 10 };
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        char topic[20], packet[100];
        snprintf (topic, sizeof topic, "many%u", hub);
        snprintf (packet, sizeof packet, "[\"tide:subscribe\",{\"topic\":\"%s\"", topic);
        tide_loop_client_t *client = subscribed ();
        tide_loop_say (client, "422%s}]", packet);
        assert_hears (client, "432[{\"ok\":true");
        stall (client);
        for (int at = 0; at < BEFORE; at++)
            publish_much (topic, "", 10000);
        tide_loop_say (client, "423%s,\"since\":\"start\"}]", packet);
        for (int at = 0; at < AFTER; at++)
            publish_much (topic, "", 1000);
        tide_loop_client_t *probe = probed (client, hub);
        tide_loop_say (probe, "5");
        tide_loop_pass (loop, 3000);
        size_t events = count_heard (client, "42[\"n\",\"x"), answers = 0;
        const char *frame;
        while ((frame = tide_loop_hear (probe))) {
            events += strncmp (frame, "42[\"n\",\"x", 9) == 0;
            answers += strncmp (frame, "433[{\"ok\":true", 14) == 0;
        }
        assert_int_equal (events, BEFORE + AFTER);
        assert_int_equal (answers, 1);
        publish_much (topic, "", 10);
        assert_int_equal (count_heard (probe, "42[\"n\",\"x"), 1);
    }
}

/*  It is let in, and closed, like any that comes second. */
static void a_session_that_has_gone_is_known_to_a_second_websocket (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = probed (client, OTHER);
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

/*  -- what another lane says than the one that was asked -------------------------------------- */

/*  The oldest message that is held reaches the broker as if the lane had said it. */
static void impersonate (unsigned hub)
{
    assert_true (loop->held_count > 0);
    tide_buffer_t copy = {0};
    tide_buffer_append_bytes (&copy, tide_buffer_bytes (&loop->held[0].bytes));
    tide_broker_receive (loop->broker, loop->now_ms, tide_bytes (loop->peers[hub]),
                         tide_buffer_bytes (&copy));
    tide_loop_run (loop);
    tide_buffer_free (&copy);
}

static void a_response_of_another_lane_is_none (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    client->gets_at = OTHER;
    tide_loop_publish (loop, "lobby", 1);
    assert_hears (client, "42[\"n\",1");
    assert_int_equal (client->poll_hub, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_publish (loop, "lobby", 2);
    assert_int_equal (loop->held_count, 1);
    impersonate (THIRD);
    assert_true (client->poll != 0);
    assert_null (tide_loop_hear (client));
    tide_loop_let_all_go (loop);
    assert_hears (client, "42[\"n\",2");
    assert_null (tide_loop_hear (client));
}

static void a_session_that_another_lane_hands_over_is_none (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "2probe");
    assert_true (tide_loop_let_go (loop));
    impersonate (THIRD);
    assert_null (tide_loop_hear (probe));
    assert_true (tide_loop_let_go (loop));
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    assert_true (tide_loop_let_go (loop));
    assert_int_equal (loop->held_count, 1);
    impersonate (THIRD);
    assert_non_null (probe->connection);
    tide_loop_publish (loop, "lobby", 1);
    assert_null (tide_loop_hear (probe));
    tide_loop_let_all_go (loop);
    assert_hears (probe, "2");
    assert_hears (probe, "42[\"n\",1");
    assert_null (tide_loop_hear (probe));
}

static void a_probe_that_another_lane_takes_or_ends_is_left_alone (void **state)
{
    (void) state;
    for (int takes = 0; takes < 2; takes++) {
        tide_loop_client_t *client = idle ();
        tide_loop_client_t *probe = probed (client, OTHER);
        hold (TIDE_MESSAGE_RELAY);
        if (takes)
            tide_loop_say (probe, "5");
        else
            tide_loop_cut (probe);
        assert_int_equal (loop->held_count, 1);
        impersonate (THIRD);
        tide_loop_publish (loop, "lobby", 1);
        get (client);
        assert_hears (client, "42[\"n\",1");
        get (client);
        assert_hears (client, "6"); /* it is still probed */
        tide_loop_let_all_go (loop);
    }
}

static struct {
    int answered;
    size_t count;
} asked;

static void on_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer,
                        size_t count)
{
    (void) argument;
    (void) hub;
    (void) answer;
    asked.answered++;
    asked.count = count;
}

static void a_lane_that_reports_for_another_does_so_once (void **state)
{
    (void) state;
    memset (&asked, 0, sizeof asked);
    tide_loop_client_t *clients[LOOP_HUBS];
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        clients[hub] = tide_loop_open (loop, hub, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (clients[hub], "40");
        tide_loop_say (clients[hub], "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
        count_heard (clients[hub], "");
    }
    tide_app_emit_t emit = {.topic = tide_bytes ("lobby"),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("7")}};
    tide_app_ask (loop->hubs[HOLDER], &emit, 10000, on_answers, NULL);
    tide_loop_run (loop);
    hold (TIDE_MESSAGE_RELAY);
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        const char *frame = tide_loop_hear (clients[hub]);
        assert_non_null (frame);
        tide_loop_say (clients[hub], "43%.*s[1]", (int) strcspn (frame + 2, "["), frame + 2);
    }
    tide_loop_pass (loop, 1000);
    assert_int_equal (loop->held_count, 2);
    impersonate (OTHER);
    impersonate (OTHER);
    tide_loop_pass (loop, 1000);
    assert_int_equal (asked.answered, 0); /* one has said it twice */
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 1000);
    assert_int_equal (asked.answered, 1);
    assert_int_equal (asked.count, LOOP_HUBS);
}

/*  -- answers that are too large -------------------------------------------------------------- */

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

/*  -- applications ---------------------------------------------------------------------------- */

static struct {
    char sid[64];
    int joined, left, refused, emitted;
    bool leaves;
} app;

static void on_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const json_t *auth)
{
    (void) argument;
    (void) hub;
    (void) auth;
    snprintf (app.sid, sizeof app.sid, "%s", client->sid);
}

static void on_left (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    app.left += status == TIDE_OK;
    app.refused += status != TIDE_OK;
}

static void on_joined (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    app.joined += status == TIDE_OK;
    app.refused += status != TIDE_OK;
    if (app.leaves)
        tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
    else
        tide_app_disconnect (hub, app.sid, true);
}

static void an_application_leaves_what_it_has_just_joined (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    for (int leaves = 0; leaves < 2; leaves++)
        for (int again = 0; again < 2; again++) {
            memset (&app, 0, sizeof app);
            app.leaves = leaves;
            loop = tide_loop_new_with (NULL, &application);
            tide_loop_client_t *client = tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
            tide_loop_say (client, "40");
            tide_hub_t *hub = loop->hubs[HOLDER];
            tide_app_join (hub, app.sid, tide_bytes ("room"), on_joined, NULL);
            if (again) /* while it is joined */
                tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
            tide_loop_run (loop);
            assert_int_equal (app.joined, !again);
            assert_int_equal (client->connection != NULL, leaves);
            if (leaves) {
                assert_int_equal (app.left, 1);
                count_heard (client, "");
                tide_loop_publish (loop, "room", 1);
                assert_null (tide_loop_hear (client));
            }
            tide_loop_destroy (&loop);
        }
}

static void on_emitted (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    assert_int_equal (status, TIDE_SHUTTING_DOWN);
    app.emitted++;
}

static void on_given_up (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    app.refused += status != TIDE_OK;
    tide_app_emit (hub, &event, on_emitted, NULL);
    tide_app_ask (hub, &event, 1000, on_answers, NULL);
    tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
}

/*  It is told, and does more; a sanitizer says whether something is left behind. */
static void an_application_goes_on_when_its_lane_is_taken_down (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    memset (&app, 0, sizeof app);
    memset (&asked, 0, sizeof asked);
    loop = tide_loop_new_with (NULL, &application);
    tide_loop_say (tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO), "40");
    hold (TIDE_MESSAGE_PUBLISH);
    tide_app_join (loop->hubs[HOLDER], app.sid, tide_bytes ("room"), on_given_up, NULL);
    tide_loop_run (loop);
    assert_int_equal (app.refused, 0);
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    tide_app_emit (loop->hubs[HOLDER], &event, on_emitted, NULL);
    tide_app_ask (loop->hubs[HOLDER], &event, 1000, on_answers, NULL);
    tide_loop_run (loop);
    assert_int_equal (app.emitted + asked.answered, 0);
    tide_loop_destroy (&loop);
    assert_int_equal (app.refused, 2); /* it joins no more, and leaves no more */
    assert_int_equal (app.emitted, 2);
    assert_int_equal (asked.answered, 2);
}

/*  -- streams --------------------------------------------------------------------------------- */

static const char *text_of (tide_loop_client_t *stream)
{
    tide_put_u8 (&stream->text, 0);
    stream->text.size--;
    return (const char *) stream->text.data;
}

static void a_stream_says_no_position_before_its_snapshot_is_there (void **state)
{
    (void) state;
    tide_loop_http (loop, HOLDER, "POST", "/api/v1/publish", "",
                    "{\"topic\":\"k\",\"event\":\"n\",\"key\":\"a\",\"data\":1}");
    tide_loop_http (loop, HOLDER, "POST", "/api/v1/publish", "",
                    "{\"topic\":\"l\",\"event\":\"n\",\"key\":\"b\",\"data\":2}");
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_client_t *stream =
        tide_loop_stream (loop, HOLDER, "topic=k&topic=l&since=snapshot", "");
    assert_non_null (stream);
    assert_int_equal (loop->held_count, 2);
    tide_loop_publish (loop, "k", 3);
    tide_loop_pass (loop, 5000);
    assert_null (strstr (text_of (stream), "id:"));
    assert_true (tide_loop_let_go (loop)); /* one of two */
    assert_null (strstr (text_of (stream), "id:"));
    tide_loop_let_all_go (loop);
    const char *text = text_of (stream);
    const char *first = strstr (text, "\"key\":\"a\""), *second = strstr (text, "\"key\":\"b\"");
    const char *position = strstr (text, "id:");
    assert_non_null (first);
    assert_non_null (second);
    assert_non_null (position);
    assert_true (position > first && position > second);
    tide_loop_publish (loop, "k", 4444);
    assert_non_null (strstr (text_of (stream), "4444"));
}

/*  … nor is it left without what it has asked for. */
static void a_stream_whose_snapshot_does_not_come_ends (void **state)
{
    (void) state;
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_client_t *stream = tide_loop_stream (loop, HOLDER, "topic=k&since=snapshot", "");
    assert_non_null (stream);
    assert_non_null (stream->connection);
    tide_loop_pass (loop, 20000);
    assert_null (stream->connection);
    assert_null (strstr (text_of (stream), "id:"));
}

/*  -- the end --------------------------------------------------------------------------------- */

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

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_close_that_is_held_back_is_taken_behind_the_upgrade),
        TEST (a_namespace_can_be_left_by_what_was_held_back),
        TEST (no_more_of_a_post_is_taken_than_may_be_under_way),
        TEST (many_topics_are_joined_and_left_by_one_post),
        cmocka_unit_test (a_topic_that_is_left_while_it_is_joined_is_left),
        TEST (a_post_that_is_under_way_at_the_upgrade_is_taken),
        TEST (a_post_that_was_held_back_is_broken_off_behind_the_upgrade),
        TEST (what_was_held_back_goes_before_what_comes_behind_the_upgrade),
        TEST (a_session_that_does_not_arrive_leaves_no_record),
        cmocka_unit_test (a_session_that_does_not_arrive_is_resumed),
        cmocka_unit_test (a_session_that_has_arrived_stays_whatever_the_holder_forgets),
        TEST (a_topic_that_is_joined_anew_at_the_upgrade_comes_once),
        TEST (a_session_that_has_gone_is_known_to_a_second_websocket),
        TEST (a_response_of_another_lane_is_none),
        TEST (a_session_that_another_lane_hands_over_is_none),
        TEST (a_probe_that_another_lane_takes_or_ends_is_left_alone),
        TEST (a_lane_that_reports_for_another_does_so_once),
        TEST (an_answer_that_cannot_be_relayed_ends_the_session),
        cmocka_unit_test (an_application_leaves_what_it_has_just_joined),
        cmocka_unit_test (an_application_goes_on_when_its_lane_is_taken_down),
        TEST (a_stream_says_no_position_before_its_snapshot_is_there),
        TEST (a_stream_whose_snapshot_does_not_come_ends),
        cmocka_unit_test (a_lane_that_stops_says_so_once_whoever_is_to_be_told),
    };
    return cmocka_run_group_tests_name ("the hostile", tests, NULL, NULL);
}
