/*  test_polling_upgrade.c - clients that poll, and their way to WebSocket at the lane that they
 *  poll.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

/*  -- the way over ---------------------------------------------------------------------------- */

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
    assert_refused (client, HOLDER, "GET", TIDE_ENGINEIO_BAD_REQUEST);
    assert_refused (client, HOLDER, "POST", TIDE_ENGINEIO_BAD_REQUEST);
    /*  A second WebSocket is let in, and closed. */
    char query[160];
    snprintf (query, sizeof query, "EIO=4&transport=websocket&sid=%s", client->sid);
    tide_http_request_t request = {
        .method = tide_bytes ("GET"), .query = tide_bytes (query), .is_websocket = true};
    assert_int_equal (tide_hub_check_handshake (loop->hubs[HOLDER], &request), -1);
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
        tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes (said[at]),
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
        tide_hub_t *hub = loop->hubs[HOLDER];
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

static void a_client_closes_right_behind_an_upgrade (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes ("1"), true);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

static void a_socket_that_closes_before_the_shell_was_told_takes_the_session_with_it (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_say (probe, "2probe");
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    tide_hub_closed (loop->hubs[HOLDER], loop->now_ms, &probe->connection);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_forgotten (client);
}

/*  -- recovery -------------------------------------------------------------------------------- */

/*  Somewhere in a replay that takes many polls the client goes over to WebSocket. where: after how
 *  many polls; how: which of the polls in between it makes. */
static void upgrade_in_a_replay (unsigned where, unsigned how)
{
    enum { ASKS_FIRST = 1, POLLS_BEFORE = 2, POLLS_PROBED = 4 };
    stock_t client;
    int last = 40;
    stock_start (&client, NULL, true);
    client.loop->hub_config.write_size_max = 300;
    tide_loop_kill_lane (client.loop, HOLDER);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_publish (&client, 3, last);

    tide_loop_client_t *wire = client.wire = tide_loop_open_polling (client.loop, HOLDER);
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

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_poll_that_is_held_is_answered_6_at_the_upgrade),
        TEST (an_upgraded_session_does_not_poll_any_more),
        TEST (frames_right_behind_an_upgrade_are_not_lost),
        TEST (an_answer_to_a_probe_is_written_once_whenever_the_shell_writes),
        TEST (a_client_closes_right_behind_an_upgrade),
        TEST (a_socket_that_closes_before_the_shell_was_told_takes_the_session_with_it),
        cmocka_unit_test (an_upgrade_at_any_step_of_a_replay_loses_and_repeats_nothing),
        cmocka_unit_test (an_upgraded_client_recovers_over_polling),
    };
    return cmocka_run_group_tests_name ("the upgrade", tests, NULL, NULL);
}
