/*  test_handover.c - a session that goes over to another lane: nothing is lost on the way, and
 *  nothing comes twice.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"

#include <stdlib.h>

/*  -- what is published meanwhile ------------------------------------------------------------- */

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

    hold (TIDE_MESSAGE_RELAY);
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
    poll_if_idle (client);
    stock_listen (client);
    assert_true (client->count < 2000);
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

/*  -- what is said meanwhile ------------------------------------------------------------------ */

static void frames_right_behind_the_take_over_are_not_lost (void **state)
{
    (void) state;
    static const char *const said[] = {
        "5", "421[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":1}]", "3",
        "451-2[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"args\":[2,"
        "{\"_placeholder\":true,\"num\":0}]}]"};
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
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
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    hold (TIDE_MESSAGE_RELAY);
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

/*  Its head came before the upgrade, and its body behind it. */
static void a_post_that_is_under_way_at_the_upgrade_is_taken (void **state)
{
    (void) state;
    static const char said[] =
        "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":5}]";
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        for (unsigned posts_at = 0; posts_at < LOOP_HUBS; posts_at++) {
            tide_loop_client_t *client = idle ();
            tide_loop_client_t *probe = probed_at (client, hub);
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

/*  -- attachments, and what is large ---------------------------------------------------------- */

/*  An event and what belongs to it, some of which was said by POST. */
static void attachments_may_come_over_the_other_lane (void **state)
{
    (void) state;
    for (unsigned by_post = 0; by_post < 3; by_post++) {
        tide_loop_client_t *client = idle_at (THIRD, THIRD);
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
        tide_loop_client_t *client = idle_at (THIRD, THIRD);
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

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g1_a_take_over_by_another_lane_loses_and_repeats_nothing),
        cmocka_unit_test (g6_a_client_that_lags_catches_up_at_the_other_lane),
        cmocka_unit_test (a_client_goes_from_lane_to_lane_and_recovers_each_time),
        TEST (frames_right_behind_the_take_over_are_not_lost),
        TEST (frames_right_behind_are_not_lost_without_recovery_or_a_namespace),
        TEST (too_much_right_behind_the_take_over_ends_it),
        TEST (a_post_that_is_under_way_at_the_upgrade_is_taken),
        TEST (attachments_may_come_over_the_other_lane),
        TEST (binary_events_and_answers_that_wait_go_along),
        cmocka_unit_test (g5_a_session_that_is_too_large_to_go_is_resumed),
    };
    return cmocka_run_group_tests_name ("hand-over", tests, NULL, NULL);
}
