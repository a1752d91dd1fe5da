/*  test_handover_failures.c - a session that goes over to another lane, and what dies, is lost or
 *  is refused on the way.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include <stdlib.h>

/*  -- what is cut on the way ------------------------------------------------------------------ */

/*  What dies, and whether it is noticed before what was said arrives. */
typedef enum { HOLDER_DIES, OTHER_DIES, SOCKET_CLOSES, IS_LOST, DEATHS } death_t;

/*  Says the conversation up to a step (each message counts), and then something goes. */
static void die_at_step (unsigned step, death_t death)
{
    stock_t client;
    start_and_hear (&client, THIRD, 3);
    tide_loop_client_t *wire = client.wire, *probe = tide_loop_probe_at (wire, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    hold (TIDE_MESSAGE_PUBLISH);
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
        client.wire->is_stalled = true;
        tide_loop_client_t *probe = probed_at (client.wire, OTHER);
        hold (TIDE_MESSAGE_RELAY);
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
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
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

/*  -- sessions that do not arrive ------------------------------------------------------------- */

static uint64_t metric (const char *name)
{
    char line[100];
    tide_loop_http (loop, THIRD, "GET", "/metrics", "", "");
    snprintf (line, sizeof line, "\n%s ", name);
    const char *at = strstr (loop->http_body, line);
    assert_non_null (at);
    return strtoull (at + strlen (line), NULL, 10);
}

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
        take_and_go (probed_at (client, OTHER));
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
    start_and_hear (&client, HOLDER, 3);
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
    start_and_hear (&client, HOLDER, 3);
    client.wire->is_stalled = true;
    tide_loop_client_t *probe = probed_at (client.wire, OTHER);
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

/*  -- sessions that are resumed meanwhile, and other logs ------------------------------------- */

/*  While a session is on its way, its client has come to a third lane by itself: that one has it,
 *  and keeps it. */
static void rule_c_who_resumes_on_the_way_keeps_the_session (void **state)
{
    (void) state;
    stock_t client;
    start_and_hear (&client, THIRD, 3);
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
    start_and_hear (&client, HOLDER, 3);
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
    start_and_hear (&client, HOLDER, 3);
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
    start_and_hear (&client, HOLDER, 3);
    client.wire->gets_at = THIRD;
    hold (TIDE_MESSAGE_SNAPSHOT);
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

/*  The taker is being closed, and the session comes all the same. */
static void a_session_comes_to_a_connection_that_closes_slowly (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    tide_loop_client_t *probe = probed_at (client, OTHER);
    probe->closes_late = true;
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "5");
    char *large = calloc (1, 100002);
    memset (large, '4', 100001);
    tide_loop_say (probe, "%s", large);
    free (large);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 46000); /* beyond the connect timeout */
    tide_loop_cut (probe);
    assert_forgotten (client);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g5_whatever_dies_at_any_step_the_client_resumes_with_nothing_lost),
        cmocka_unit_test (a_session_that_nobody_got_expires),
        TEST (a_session_that_cannot_be_resumed_at_all_can_go_to_another_lane),
        TEST (a_session_that_does_not_arrive_leaves_no_record),
        TEST (a_session_comes_to_a_connection_that_closes_slowly),
        cmocka_unit_test (a_session_that_does_not_arrive_is_resumed),
        cmocka_unit_test (a_session_that_has_arrived_stays_whatever_the_holder_forgets),
        cmocka_unit_test (rule_c_who_resumes_on_the_way_keeps_the_session),
        cmocka_unit_test (rule_c_a_session_that_is_resumed_elsewhere_does_not_go),
        cmocka_unit_test (g8_a_session_of_another_log_is_not_taken),
        cmocka_unit_test (g8_a_session_that_owes_resets_goes_when_they_are_said),
    };
    return cmocka_run_group_tests_name ("hand-overs that fail", tests, NULL, NULL);
}
