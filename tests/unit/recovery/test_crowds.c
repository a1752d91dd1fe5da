/*  test_crowds.c - many clients, and greedy ones: nobody is forgotten, nobody takes it all.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

static size_t hear_all (tide_loop_client_t *client)
{
    size_t count = 0;
    while (tide_loop_hear (client))
        count++;
    return count;
}

/*  Sends without letting anything happen in between, whatever PAUSE says. */
static void flood (tide_loop_client_t *client, const char *text, unsigned times)
{
    for (unsigned at = 0; at < times && client->connection; at++)
        tide_hub_frame (loop->hubs[client->hub], loop->now_ms, client->connection,
                        tide_bytes (text), true);
}

static const char publish[] = "{\"op\":\"pub\",\"topic\":\"x\",\"event\":\"e\",\"data\":1}";

static uint64_t metric (const char *name)
{
    tide_loop_http (loop, 0, "GET", "/metrics", "", "");
    char *line = strstr (loop->http_body, name);
    assert_non_null (line);
    return strtoull (line + strlen (name), NULL, 10);
}

/*  More sessions lag, each behind something else, than there are pages. */
static void g5_everybody_who_waits_for_a_page_gets_one (void **state)
{
    (void) state;
    enum { CLIENTS = 80, EVENTS = 1500 };
    tide_loop_client_t *clients[CLIENTS];
    char topic[32];
    for (int at = 0; at < CLIENTS; at++) {
        clients[at] = json_client ();
        tide_loop_say (clients[at], "{\"op\":\"sub\",\"topic\":\"own%d\"}", at);
        tide_loop_say (clients[at], "{\"op\":\"sub\",\"topic\":\"noise\"}");
        hear_all (clients[at]);
        clients[at]->is_stalled = true;
    }
    for (int at = 0; at < CLIENTS; at++) {
        snprintf (topic, sizeof topic, "own%d", at);
        tide_loop_publish (loop, topic, at);
    }
    for (int at = 0; at < EVENTS; at++)
        tide_loop_publish (loop, "noise", at);
    loop->is_cut[0] = true;
    for (int at = 0; at < CLIENTS; at++)
        tide_loop_unstall (clients[at]);
    loop->is_cut[0] = false;
    tide_loop_pass (loop, 30000);
    for (int at = 0; at < CLIENTS; at++)
        assert_int_equal (hear_all (clients[at]), EVENTS + 1);
}

/*  A topic becomes ready at a moment when no request can be made. */
static void a_join_that_cannot_be_is_told_and_harms_nobody (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client (), *greedy = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\"}");
    hear_all (client);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    flood (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"fresh\"}", 1);
    flood (greedy, publish, 12500);
    tide_loop_run (loop);
    const char *answer = tide_loop_hear (client);
    assert_non_null (answer);
    assert_non_null (strstr (answer, "too_many"));
    loop->lost_kind = 0;
    tide_loop_pass (loop, 12000);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"fresh\"}");
    assert_non_null (strstr (tide_loop_hear (client), "\"op\":\"ok\""));
}

static void lost_topics_are_reset_even_if_no_request_can_be_made (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    loop = tide_loop_new_keeping (50);
    tide_loop_client_t *client = json_client (), *greedy = json_client ();
    char topic[8];
    for (int at = 0; at < 3; at++)
        tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"t%d\"}", at);
    client->is_stalled = true;
    for (int at = 0; at < 3000; at++) {
        snprintf (topic, sizeof topic, "t%d", at % 3);
        tide_loop_publish (loop, topic, at);
    }
    client->is_stalled = false;
    for (int at = 0; at < 4 && client->connection; at++)
        tide_hub_write (loop->hubs[0], loop->now_ms, client->connection);
    flood (greedy, publish, 12500);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    tide_loop_run (loop);
    /*  It is told, or it is closed so that it comes again; nothing is passed over in silence. */
    tide_loop_pass (loop, 2000);
    assert_true (!client->connection || strstr (client->frames[client->count - 1], "reset"));
}

static void g6_a_steady_reader_of_answers_costs_no_more_with_time (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    client->is_stalled = true;
    size_t sent = 0;
    for (size_t round = 1; round < 1000; round++) {
        while (!client->is_paused && sent < round * 3000) {
            flood (client, "{\"op\":\"ping\"}", 100);
            sent += 100;
            tide_loop_run (loop);
        }
        tide_hub_write (loop->hubs[0], loop->now_ms, client->connection);
        tide_loop_run (loop);
    }
    assert_true (sent > 100000);
    assert_true (metric ("tidemark_gateway_outbox_bytes ") < 1u << 20);
}

static void g6_large_answers_are_asked_for_a_few_at_a_time (void **state)
{
    (void) state;
    char body[3000], padding[2000];
    memset (padding, 'y', sizeof padding - 1);
    padding[sizeof padding - 1] = 0;
    for (int at = 0; at < 500; at++) {
        snprintf (body, sizeof body,
                  "{\"topic\":\"s/%d\",\"event\":\"n\",\"key\":\"k%d\",\"data\":\"%s\"}", at % 5,
                  at, padding);
        tide_loop_http (loop, 1, "POST", "/api/v1/publish", "", body);
    }
    tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (client, "40");
    client->is_stalled = true;
    unsigned asked = 0;
    for (; asked < 200 && !client->is_paused; asked++) {
        flood (client, "421[\"tide:snapshot\",{\"topic\":\"s/#\"}]", 1);
        tide_hub_action_t action;
        while (tide_hub_next_action (loop->hubs[0], &action))
            if (action.kind == TIDE_HUB_PAUSE)
                client->is_paused = true;
    }
    assert_true (asked < 16);
}

static void a_topic_that_is_asked_for_again_loses_nothing_that_is_on_its_way (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (client, "40");
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"a\"}]");
    hear_all (client);
    client->is_stalled = true;
    for (int number = 1; number <= 5; number++)
        tide_loop_publish (loop, "a", number);
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"a\",\"meta\":true}]");
    tide_loop_unstall (client);
    tide_loop_publish (loop, "a", 6);
    int numbers = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        if (strncmp (frame, "42[\"n\",", 7) == 0)
            assert_int_equal (atoi (frame + 7), ++numbers);
    assert_int_equal (numbers, 6);
}

static void a_subscription_without_an_acknowledgement_may_fail_quietly (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (client, "40");
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client, "42[\"tide:subscribe\",{\"topic\":\"a\"}]");
    tide_loop_pass (loop, 11000);
    assert_non_null (client->connection);
}

/*  The record is being written in another log while a topic is asked for. */
static void g8_a_topic_can_be_joined_while_the_log_changes (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\"}");
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"a\"}");
    hear_all (client);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    loop->lost_name = "session";
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 5000);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"c\"}");
    loop->lost_kind = 0;
    tide_loop_pass (loop, 8000);
    assert_non_null (client->connection);
    bool is_reset = false, is_joined = false;
    const char *frame;
    while ((frame = tide_loop_hear (client))) {
        is_reset = is_reset || strstr (frame, "\"epoch_changed\"");
        is_joined = is_joined || strstr (frame, "\"id\":2,\"topic\":\"c\"");
    }
    assert_true (is_reset && is_joined);
    tide_loop_publish (loop, "c", 1);
    tide_loop_publish (loop, "a", 2);
    assert_int_equal (hear_all (client), 2);
}

/*  Another log; a reset's record takes its time: what comes meanwhile is not passed over. */
static void g5_events_behind_a_slow_reset_are_not_lost (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\"}");
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"a\"}");
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"b\"}");
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    loop->lost_name = "join";
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 5000);
    hear_all (client);
    for (int number = 1; number <= 5; number++) {
        tide_loop_publish (loop, "a", number);
        tide_loop_publish (loop, "b", 10 + number);
    }
    loop->lost_kind = 0;
    tide_loop_pass (loop, 8000);
    int events = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        events += strstr (frame, "\"op\":\"event\"") != NULL;
    assert_int_equal (events, 10);
}

/*  The feed does not speak for the topic yet: the session waits, and does not ask in a circle. */
static void a_resumed_session_does_not_read_in_a_circle (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open (loop, 1, TIDE_CLIENT_JSON);
    tide_loop_say (client, "{\"op\":\"hello\"}");
    json_t *welcome = json_loads (tide_loop_hear (client), 0, NULL);
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"a\"}");
    tide_loop_cut (client);
    uint64_t before = metric ("tidemark_gateway_pages_read_total ");
    client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\",\"session\":\"%s\"}",
                   json_string_value (json_object_get (welcome, "session")));
    tide_loop_pass (loop, 5000);
    assert_true (metric ("tidemark_gateway_pages_read_total ") - before < 20);
    tide_loop_publish (loop, "a", 1);
    assert_int_equal (hear_all (client), 2);
    json_decref (welcome);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (g5_everybody_who_waits_for_a_page_gets_one),
        TEST (a_join_that_cannot_be_is_told_and_harms_nobody),
        TEST (lost_topics_are_reset_even_if_no_request_can_be_made),
        TEST (g6_a_steady_reader_of_answers_costs_no_more_with_time),
        TEST (g6_large_answers_are_asked_for_a_few_at_a_time),
        TEST (a_topic_that_is_asked_for_again_loses_nothing_that_is_on_its_way),
        TEST (a_subscription_without_an_acknowledgement_may_fail_quietly),
        TEST (g8_a_topic_can_be_joined_while_the_log_changes),
        TEST (g5_events_behind_a_slow_reset_are_not_lost),
        TEST (a_resumed_session_does_not_read_in_a_circle),
    };
    return cmocka_run_group_tests_name ("crowds", tests, NULL, NULL);
}
