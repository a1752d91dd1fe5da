/*  test_application_questions.c - what an application asks its clients, and who answers.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_app_fixture.h"

static void assert_answers (int answered, const char *expected)
{
    assert_int_equal (app.answered, answered);
    if (!tide_bytes_is (tide_buffer_bytes (&app.answers), expected))
        fail_msg ("expected:\n%sand not:\n%.*s", expected,
                  TIDE_PRINT (tide_buffer_bytes (&app.answers)));
}

/*  Asks the members of the topic for an answer, within a second. */
static void ask (const char *topic, const char *except)
{
    tide_app_emit_t emit = {.topic = tide_bytes (topic),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("7")},
                            .except = tide_bytes (except)};
    tide_app_ask (loop->hubs[0], &emit, 1000, app_answers, &app);
    tide_loop_run (loop);
}

static void one_client_is_asked_and_answers (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    ask (at_sid (sid), "");
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
    assert_int_equal (app.answered, 0);
    tide_loop_say (client, "431[{\"a\":1},2]");
    assert_int_equal (app.answered, 0); /* not from within the packet */
    tide_loop_pass (loop, 250);
    assert_answers (1, "[{\"a\":1},2]+0\n");
    tide_loop_say (client, "431[3]"); /* a second answer is nobody's */
    tide_loop_pass (loop, 2000);
    assert_int_equal (app.answered, 1);
    assert_non_null (client->connection);
}

static void a_room_is_asked_and_whoever_does_not_answer_is_missing (void **state)
{
    (void) state;
    char sids[3][64];
    tide_loop_client_t *clients[3], *outside = came_in (NULL);
    for (int at = 0; at < 3; at++) {
        clients[at] = came_in (sids[at]);
        join (sids[at], "room");
    }
    ask ("room", "");
    for (int at = 0; at < 3; at++)
        assert_string_equal (tide_loop_hear (clients[at]), "421[\"q\",7]");
    assert_null (tide_loop_hear (outside));
    tide_loop_say (clients[2], "431[\"three\"]");
    tide_loop_say (clients[2], "431[\"again\"]"); /* counts for nobody else */
    tide_loop_say (outside, "431[\"mine\"]");     /* nobody asked it */
    tide_loop_say (clients[0], "431[]");
    tide_loop_pass (loop, 750);
    assert_int_equal (app.answered, 0);
    tide_loop_pass (loop, 250);
    assert_answers (1, "[]+0\n-\n[\"three\"]+0\n");
    tide_loop_say (clients[1], "431[\"late\"]");
    tide_loop_pass (loop, 1000);
    assert_int_equal (app.answered, 1);
    assert_non_null (clients[1]->connection);
    assert_non_null (outside->connection);
}

static void nobody_and_those_who_are_excepted_are_not_asked (void **state)
{
    (void) state;
    char sids[2][64];
    tide_loop_client_t *clients[2];
    ask ("nowhere", "");
    assert_int_equal (app.answered, 0);
    tide_loop_pass (loop, 250); /* the other lane has nobody there either */
    tide_loop_pass (loop, 250);
    assert_answers (1, "");
    for (int at = 0; at < 2; at++) {
        clients[at] = came_in (sids[at]);
        join (sids[at], "room");
    }
    ask ("room", at_sid (sids[0]));
    assert_null (tide_loop_hear (clients[0]));
    assert_string_equal (tide_loop_hear (clients[1]), "422[\"q\",7]");
    tide_loop_say (clients[0], "432[\"not me\"]");
    tide_loop_say (clients[1], "432[\"me\"]");
    tide_loop_pass (loop, 500);
    assert_answers (2, "[\"me\"]+0\n");
}

static void a_client_that_goes_while_it_is_asked_is_missing (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    ask (at_sid (sid), "");
    tide_loop_cut (client);
    tide_loop_pass (loop, 1000);
    assert_answers (1, "-\n");
    /*  A question is never asked again. */
    client = resumed (pid);
    assert_hears (client, "40{");
    assert_null (tide_loop_hear (client));
}

static void a_question_and_its_answer_can_be_binary (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    tide_app_emit_t emit = {.topic = tide_bytes (at_sid (sid)),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("{\"_placeholder\":true,\"num\":0}"),
                                     .attachments = 1,
                                     .attachment = {tide_bytes ("data")}}};
    tide_app_ask (loop->hubs[0], &emit, 1000, app_answers, &app);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "451-1[\"q\",{\"_placeholder\":true,\"num\":0}]");
    assert_true (tide_bytes_is (tide_buffer_bytes (&client->binary), "data"));
    tide_loop_say (client, "461-1[{\"_placeholder\":true,\"num\":0}]");
    tide_hub_frame (loop->hubs[0], loop->now_ms, client->connection, tide_bytes ("back"), false);
    tide_loop_pass (loop, 250);
    assert_answers (1, "[{\"_placeholder\":true,\"num\":0}]+1\n");
}

static void a_client_that_catches_up_is_asked_after_what_came_before (void **state)
{
    (void) state;
    enum { EVENTS = 2000 }; /* more than the tape holds */
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    join (sid, "room");
    client->is_stalled = true;
    for (int number = 1; number <= EVENTS; number++)
        tide_loop_publish (loop, "room", number);
    ask (at_sid (sid), "");
    tide_loop_unstall (client);
    for (int number = 1; number <= EVENTS; number++) {
        const char *frame = tide_loop_hear (client);
        assert_non_null (frame);
        assert_memory_equal (frame, "42[\"n\",", 7);
        assert_int_equal (atoi (frame + 7), number);
    }
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "431[1]");
    tide_loop_pass (loop, 250);
    assert_answers (1, "[1]+0\n");
}

/*  While a topic is being joined the session stands still, and so does what it is asked. */
static void a_client_that_is_held_by_a_join_is_asked_after_what_came_before (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    join (sid, "room");
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    loop->lost_name = "join";
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"other\"}]");
    tide_loop_publish (loop, "room", 1);
    tide_app_ask (loop->hubs[0],
                  &(tide_app_emit_t){.topic = tide_bytes (at_sid (sid)),
                                     .name = tide_bytes ("q"),
                                     .args = {.json = tide_bytes ("7")}},
                  30000, app_answers, &app);
    tide_loop_pass (loop, 5000);
    assert_null (tide_loop_hear (client));
    tide_loop_pass (loop, 6000); /* the join is given up */
    assert_hears (client, "431[{\"ok\":false");
    assert_hears (client, "42[\"n\",1");
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
}

/*  Nothing follows the question that would bring it along. */
static void a_client_can_be_asked_the_moment_it_comes_in (void **state)
{
    (void) state;
    app.asks_at_once = loop->is_prompt = true;
    for (int polls = 0; polls < 2; polls++)
        for (unsigned at = 0; at < 3; at++) {
            tide_loop_client_t *client = stock_wire (loop, 0, polls);
            tide_loop_say (client, "40%s", at == 2 ? "/plain," : "");
            const char *frame;
            while ((frame = tide_loop_hear (client)) && !strstr (frame, "[\"q\",7]"))
                ;
            assert_non_null (frame);
        }
}

/*  At whatever moment: the one question must reach it, though nothing else does. */
static void a_client_can_be_asked_while_the_log_changes (void **state)
{
    for (int moment = 0; moment < 60; moment++) {
        char sid[64];
        app_tear_down (state);
        app_set_up (state);
        tide_loop_client_t *client = came_in (sid);
        loop->is_prompt = true;
        tide_loop_kill_broker (loop, true);
        tide_loop_pass (loop, (uint64_t) moment * 250);
        ask (at_sid (sid), "");
        for (int second = 0; second < 20; second++) {
            tide_loop_pass (loop, 1000);
            tide_loop_say (client, "3");
        }
        const char *frame;
        while ((frame = tide_loop_hear (client)) && !strstr (frame, "[\"q\",7]"))
            ;
        if (!frame)
            fail_msg ("not asked at moment %d", moment);
    }
}

/*  What it answers there could not be told here, so it stays until it has answered. */
static void a_client_that_is_asked_does_not_go_to_another_lane (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
    assert_hears (client, "0{");
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    tide_app_emit_t emit = {.topic = tide_bytes (at_sid (app.sid)),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("1")}};
    tide_app_ask (loop->hubs[0], &emit, 10000, app_answers, &app);
    tide_loop_run (loop);
    unsigned long long ack = strtoull (tide_loop_hear (client) + 2, NULL, 10);
    tide_loop_client_t *probe = tide_loop_probe_at (client, 1);
    tide_loop_say (probe, "2probe");
    assert_null (tide_loop_hear (probe));
    assert_null (probe->connection);
    tide_loop_say (client, "43%llu[7]", ack);
    tide_loop_pass (loop, 100);
    assert_true (tide_bytes_is (tide_buffer_bytes (&app.answers), "[7]+0\n"));
    probed_at (client, 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        APP_TEST (one_client_is_asked_and_answers),
        APP_TEST (a_room_is_asked_and_whoever_does_not_answer_is_missing),
        APP_TEST (nobody_and_those_who_are_excepted_are_not_asked),
        APP_TEST (a_client_that_goes_while_it_is_asked_is_missing),
        APP_TEST (a_question_and_its_answer_can_be_binary),
        APP_TEST (a_client_that_catches_up_is_asked_after_what_came_before),
        APP_TEST (a_client_that_is_held_by_a_join_is_asked_after_what_came_before),
        APP_TEST (a_client_can_be_asked_the_moment_it_comes_in),
        APP_TEST (a_client_can_be_asked_while_the_log_changes),
        APP_TEST (a_client_that_is_asked_does_not_go_to_another_lane),
    };
    return cmocka_run_group_tests_name ("questions of an application", tests, NULL, NULL);
}
