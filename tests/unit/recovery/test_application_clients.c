/*  test_application_clients.c - who comes in at an application, who does not, and how the
 *  application is told of their end.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_app_fixture.h"

/*  -- coming in ------------------------------------------------------------------------------- */

static void a_client_that_is_admitted_is_told_and_then_the_application (void **state)
{
    (void) state;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40{\"token\":\"abc\"}");
    assert_hears (client, "40{\"sid\":\"");
    assert_told ("connect {\"token\":\"abc\"}\nconnected /\n");
    tide_loop_say (client, "40/tenant-1,");
    assert_hears (client, "40/tenant-1,{\"sid\":\"");
    assert_told ("connect\nconnected /tenant-1\n");
    tide_loop_say (client, "40/plain,{}"); /* without recovery */
    assert_hears (client, "40/plain,{\"sid\":\"");
    assert_told ("connect {}\nconnected /plain\n");
}

static void a_client_that_is_refused_hears_why (void **state)
{
    (void) state;
    static const char *const namespaces[] = {"", "/plain,"};
    app.policy = REFUSE;
    for (size_t at = 0; at < 2; at++) {
        tide_loop_client_t *client = wire ();
        char expected[80];
        app.refusal_data = NULL;
        tide_loop_say (client, "40%s", namespaces[at]);
        snprintf (expected, sizeof expected, "44%s{\"message\":\"no\"}", namespaces[at]);
        assert_string_equal (tide_loop_hear (client), expected);
        app.refusal_data = "{\"code\":[7]}";
        tide_loop_say (client, "40%s", namespaces[at]); /* it may try again */
        snprintf (expected, sizeof expected, "44%s{\"message\":\"no\",\"data\":{\"code\":[7]}}",
                  namespaces[at]);
        assert_string_equal (tide_loop_hear (client), expected);
        assert_told ("connect\nconnect\n");
        assert_non_null (client->connection);
        app.policy = ADMIT;
        tide_loop_say (client, "40%s", namespaces[at]);
        snprintf (expected, sizeof expected, "40%s{\"sid\":", namespaces[at]);
        assert_hears (client, expected);
        app.policy = REFUSE;
        tide_loop_cut (client);
        app.said.size = 0;
    }
}

static void an_admission_can_take_its_time (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_loop_pass (loop, 15000);
    assert_null (tide_loop_hear (client));
    assert_told ("connect\n");
    tide_app_admit (loop->hubs[0], app.admission);
    tide_loop_run (loop);
    assert_hears (client, "40{\"sid\":\"");
    assert_told ("connected /\n");
    /*  Once is enough. */
    tide_app_admit (loop->hubs[0], app.admission);
    tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
    tide_loop_run (loop);
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "42[\"hello\"]");
    assert_told ("event hello []\n");
}

static void a_refusal_can_take_its_time (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_app_refuse (loop->hubs[0], app.admission, "banned", NULL);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"banned\"}");
    tide_app_admit (loop->hubs[0], app.admission);
    tide_loop_run (loop);
    assert_null (tide_loop_hear (client));
    assert_told ("connect\n");
}

static void an_answer_for_a_client_that_is_gone_is_dropped (void **state)
{
    (void) state;
    app.policy = LATER;
    for (int refused = 0; refused < 2; refused++) {
        tide_loop_client_t *client = wire ();
        tide_loop_say (client, "40");
        tide_loop_cut (client);
        if (refused)
            tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
        else
            tide_app_admit (loop->hubs[0], app.admission);
        tide_loop_run (loop);
        assert_told ("connect\n"); /* it was never in */
    }
}

static void an_event_before_the_admission_ends_the_connection (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_loop_say (client, "42[\"early\"]");
    assert_null (client->connection);
    assert_told ("connect\n");
}

static void a_client_that_comes_back_is_asked_about_again (void **state)
{
    (void) state;
    char sid[64], pid[64], same[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    tide_loop_cut (client);
    assert_told ("gone: transport close\n");
    client = resumed (pid);
    take_text (tide_loop_hear (client), "pid", same);
    assert_string_equal (same, pid);
    assert_string_equal (app.sid, sid);
    assert_told ("connect again\nconnected again /\n");
}

static void a_client_that_comes_back_can_be_refused (void **state)
{
    (void) state;
    for (int later = 0; later < 2; later++) {
        char sid[64], pid[64];
        app.policy = ADMIT;
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_loop_cut (client);
        app.policy = later ? LATER : REFUSE;
        client = resumed (pid);
        if (later)
            tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "44{\"message\":\"no\"}");
        assert_told ("gone: transport close\nconnect again\n");
        assert_non_null (client->connection);
    }
}

/*  It cannot be resumed, so it is somebody new; and that one is refused. */
static void a_client_whose_session_is_unknown_can_be_refused (void **state)
{
    (void) state;
    app.policy = REFUSE;
    tide_loop_client_t *client = resumed ("nobody-has-this");
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"no\"}");
    assert_non_null (client->connection);
    app.policy = ADMIT;
    tide_loop_say (client, "40");
    assert_hears (client, "40{\"sid\":\"");
}

/*  -- the end --------------------------------------------------------------------------------- */

static void a_disconnection_has_its_reason (void **state)
{
    (void) state;
    tide_loop_client_t *client = came_in (NULL);
    tide_loop_cut (client);
    assert_told ("gone: transport close\n");
    client = came_in (NULL);
    tide_loop_say (client, "1");
    assert_told ("gone: transport close\n");
    client = came_in (NULL);
    tide_loop_say (client, "41");
    assert_told ("gone: client namespace disconnect\n");
    assert_non_null (client->connection);
    tide_loop_cut (client);
    assert_told (""); /* it was gone already */
    client = came_in (NULL);
    tide_loop_say (client, "nonsense");
    assert_told ("gone: parse error\n");
    client = came_in (NULL);
    tide_loop_say (client, "4nonsense");
    assert_told ("gone: parse error\n");
    client = came_in (NULL);
    tide_loop_pass (loop, 45000);
    assert_told ("gone: ping timeout\n");
    client = came_in (NULL);
    tide_app_disconnect (loop->hubs[0], app.sid, false);
    tide_loop_run (loop);
    assert_told ("gone: server namespace disconnect\n");
    client = came_in (NULL);
    tide_hub_stop (loop->hubs[0], loop->now_ms);
    tide_loop_run (loop);
    assert_told ("gone: server shutting down\n");
}

static void a_disconnection_by_polling_has_its_reason (void **state)
{
    (void) state;
    static const char *const reasons[] = {"transport close", "parse error", "transport error",
                                          "transport error", "ping timeout"};
    for (int how = 0; how < 5; how++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
        tide_loop_say (client, "40");
        app.said.size = 0;
        char query[160], expected[64];
        snprintf (query, sizeof query, "EIO=4&transport=polling&sid=%s", client->sid);
        if (how == 0)
            tide_loop_say (client, "1");
        else if (how == 1)
            tide_loop_say (client, "2");
        else if (how == 2)
            tide_loop_cut (client); /* its poll is broken off */
        else if (how == 3)
            tide_loop_engineio (loop, 0, "GET", query, NULL); /* two polls */
        else
            tide_loop_pass (loop, 45000);
        snprintf (expected, sizeof expected, "gone: %s\n", reasons[how]);
        assert_told (expected);
    }
}

static void each_namespace_of_a_connection_is_told_of_its_end (void **state)
{
    (void) state;
    tide_loop_client_t *client = came_in (NULL);
    tide_loop_say (client, "40/tenant-1,");
    app.said.size = 0;
    tide_loop_cut (client);
    assert_told ("gone: transport close\ngone: transport close\n");
}

static void a_session_that_is_taken_over_ends_before_it_begins_again (void **state)
{
    (void) state;
    char sid[64], pid[64];
    recoverable (sid, pid);
    resumed (pid);
    assert_string_equal (app.sid, sid);
    assert_told ("connect again\ngone: transport close\nconnected again /\n");
}

/*  -- kicking --------------------------------------------------------------------------------- */

static void a_client_that_is_kicked_cannot_come_back (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        char sid[64], pid[64], now[64];
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_app_disconnect (loop->hubs[0], sid, closes);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "41");
        assert_int_equal (client->connection == NULL, closes);
        assert_told ("gone: server namespace disconnect\n");
        client = resumed (pid);
        take_text (tide_loop_hear (client), "pid", now);
        assert_string_not_equal (now, pid);
        assert_string_not_equal (app.sid, sid);
    }
    tide_app_disconnect (loop->hubs[0], "nobody", true);
}

/*  Its connection ends in the same moment. */
static void a_client_that_is_kicked_and_goes_cannot_come_back (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        char sid[64], pid[64], now[64];
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_app_disconnect (loop->hubs[0], sid, closes);
        tide_hub_closed (loop->hubs[0], loop->now_ms, &client->connection);
        tide_loop_run (loop);
        assert_told ("gone: server namespace disconnect\n");
        client = resumed (pid);
        take_text (tide_loop_hear (client), "pid", now);
        assert_string_not_equal (now, pid);
    }
}

static void a_client_that_is_kicked_while_it_polls_hears_it (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
        tide_loop_say (client, "40");
        tide_loop_hear (client);
        char pid[64], now[64];
        take_text (tide_loop_hear (client), "pid", pid);
        app.said.size = 0;
        tide_app_disconnect (loop->hubs[0], app.sid, closes);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "41");
        if (closes)
            assert_string_equal (tide_loop_hear (client), "1");
        assert_int_equal (client->is_over, closes);
        assert_told ("gone: server namespace disconnect\n");
        tide_loop_client_t *next = resumed (pid);
        take_text (tide_loop_hear (next), "pid", now);
        assert_string_not_equal (now, pid);
    }
}

/*  As in the reference: whoever closes the connection ends all that it has. */
static void closing_ends_each_namespace_of_the_connection_for_good (void **state)
{
    (void) state;
    char sid[64], pid[64], other[64], now[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    tide_loop_say (client, "40/tenant-1,");
    take_text (tide_loop_hear (client), "pid", other);
    app.said.size = 0;
    tide_app_disconnect (loop->hubs[0], sid, true);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "41");
    assert_string_equal (tide_loop_hear (client), "41/tenant-1,");
    assert_null (client->connection);
    assert_told ("gone: server namespace disconnect\ngone: server namespace disconnect\n");
    client = wire ();
    tide_loop_say (client, "40/tenant-1,{\"pid\":\"%s\"}", other);
    take_text (tide_loop_hear (client), "pid", now);
    assert_string_not_equal (now, other);
}

/*  A half-open one takes its time to close: it is over for the application all the same. */
static void g1_rule_c_a_session_is_taken_over_from_a_connection_that_closes_slowly (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_client_t *old = recoverable (sid, pid);
    old->closes_late = true;
    tide_loop_client_t *new = resumed (pid);
    assert_hears (new, "40{");
    assert_told ("connect again\ngone: transport close\nconnected again /\n");
    tide_app_emit_t emit = {.topic = tide_bytes (at_sid (sid)),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("1")}};
    tide_app_ask (loop->hubs[0], &emit, 10000, app_answers, &app);
    tide_loop_run (loop);
    const char *frame = tide_loop_hear (new);
    assert_non_null (frame);
    unsigned long long ack = strtoull (frame + 2, NULL, 10);
    tide_loop_cut (old);
    tide_loop_say (new, "43%llu[7]", ack);
    tide_loop_pass (loop, 12000);
    assert_true (tide_bytes_is (tide_buffer_bytes (&app.answers), "[7]+0\n"));
    assert_told ("");
}

/*  Where it does not end the session it is not why that ends later. */
static void a_post_that_is_broken_off_behind_the_upgrade_is_no_reason (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
    tide_loop_say (client, "40");
    char query[160];
    query_of (client, query);
    uint64_t post = tide_loop_engineio (loop, 0, "POST", query, NULL);
    tide_loop_client_t *probe = probed_at (client, 0);
    tide_loop_say (probe, "5");
    app.said.size = 0;
    tide_hub_abandon (loop->hubs[0], post);
    tide_loop_run (loop);
    assert_non_null (probe->connection);
    tide_loop_cut (probe);
    assert_told ("gone: transport close\n");
}

/*  A WebSocket at another lane takes the session and goes, before that has come to rest, or while
 *  it is on its way. */
static void a_session_whose_taker_is_gone_has_ended (void **state)
{
    (void) state;
    for (int is_on_its_way = 0; is_on_its_way < 2; is_on_its_way++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
        tide_loop_say (client, "40");
        tide_loop_client_t *probe = probed_at (client, 1);
        loop->held_kinds[0] = 1ull << (is_on_its_way ? TIDE_MESSAGE_RELAY : TIDE_MESSAGE_PUBLISH);
        if (!is_on_its_way)
            tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
        app.said.size = 0;
        tide_loop_say (probe, "5");
        tide_loop_cut (probe);
        tide_loop_let_all_go (loop);
        loop->held_kinds[0] = 0;
        tide_loop_pass (loop, 200000);
        assert_told ("gone: transport close\n");
        tide_loop_cut (client);
        app.said.size = 0;
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        APP_TEST (a_client_that_is_admitted_is_told_and_then_the_application),
        APP_TEST (a_client_that_is_refused_hears_why),
        APP_TEST (an_admission_can_take_its_time),
        APP_TEST (a_refusal_can_take_its_time),
        APP_TEST (an_answer_for_a_client_that_is_gone_is_dropped),
        APP_TEST (an_event_before_the_admission_ends_the_connection),
        APP_TEST (a_client_that_comes_back_is_asked_about_again),
        APP_TEST (a_client_that_comes_back_can_be_refused),
        APP_TEST (a_client_whose_session_is_unknown_can_be_refused),
        APP_TEST (a_disconnection_has_its_reason),
        APP_TEST (a_disconnection_by_polling_has_its_reason),
        APP_TEST (each_namespace_of_a_connection_is_told_of_its_end),
        APP_TEST (a_session_that_is_taken_over_ends_before_it_begins_again),
        APP_TEST (a_client_that_is_kicked_cannot_come_back),
        APP_TEST (a_client_that_is_kicked_and_goes_cannot_come_back),
        APP_TEST (a_client_that_is_kicked_while_it_polls_hears_it),
        APP_TEST (closing_ends_each_namespace_of_the_connection_for_good),
        APP_TEST (g1_rule_c_a_session_is_taken_over_from_a_connection_that_closes_slowly),
        APP_TEST (a_session_whose_taker_is_gone_has_ended),
        APP_TEST (a_post_that_is_broken_off_behind_the_upgrade_is_no_reason),
    };
    return cmocka_run_group_tests_name ("clients of an application", tests, NULL, NULL);
}
