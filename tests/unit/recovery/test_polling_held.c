/*  test_polling_held.c - clients that poll and take nothing: their POSTs are held back, up to an
 *  upgrade and behind it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

/*  -- until the client polls ------------------------------------------------------------------ */

static void a_client_that_takes_nothing_has_its_post_held_back (void **state)
{
    (void) state;
    publish_much ("big", "", 90000);
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

static void no_more_of_a_post_is_taken_than_may_be_under_way (void **state)
{
    (void) state;
    enum { REQUESTS = 60 };
    publish_much ("big", "", 90000);
    tide_loop_client_t *client = idle ();
    hold (TIDE_MESSAGE_READ);
    ask_for_much (client, REQUESTS);
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

static void a_namespace_can_be_left_by_what_was_held_back (void **state)
{
    (void) state;
    publish_much ("big", "", 95000);
    publish_much ("mid", "", 60000);
    for (int at = 0; at < 30; at++)
        publish_much ("many", "", 10000);
    tide_loop_client_t *client = idle ();
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"many\",\"since\":\"start\"}]");
    static const char asks[] = "421[\"tide:history\",{\"topic\":\"big\"}]\x1e"
                               "421[\"tide:history\",{\"topic\":\"big\"}]\x1e"
                               "421[\"tide:history\",{\"topic\":\"mid\"}]\x1e"
                               "421[\"tide:history\",{\"topic\":\"big\"}]";
    tide_loop_say (client, "%s", asks);
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

/*  It was answered long ago, and asks nothing: what waits for it does not keep it. */
static void a_client_that_is_gone_is_forgotten_whatever_waits_for_it (void **state)
{
    (void) state;
    publish_much ("big", "", 90000);
    tide_loop_client_t *client = idle ();
    ask_for_much (client, 8);
    assert_int_equal (client->post, 0);
    tide_loop_pass (loop, 46000);
    assert_forgotten (client);
}

/*  -- until it is upgraded -------------------------------------------------------------------- */

static void a_post_that_is_held_back_is_answered_when_the_client_is_upgraded (void **state)
{
    (void) state;
    publish_much ("big", "", 90000);
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

static void a_close_that_is_held_back_is_taken_behind_the_upgrade (void **state)
{
    (void) state;
    tide_loop_client_t *client = overwhelmed ();
    tide_loop_say (client, "1");
    assert_true (client->post != 0);
    tide_loop_client_t *probe = probed_at (client, HOLDER);
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
        tide_loop_client_t *probe = probed_at (client, HOLDER);
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
        tide_loop_client_t *probe = probed_at (client, HOLDER);
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

/*  A lane that says that there is nothing to be done has nothing to be done: its shell would sleep.
 */
static void a_poll_that_lags_is_read_for_at_once (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    for (int at = 0; at < 3000; at++)
        tide_loop_publish (loop, "lobby", at);
    tide_loop_pass (loop, 5000);
    if (client->poll == 0)
        tide_loop_get (client);
    unsigned counts[3] = {0};
    for (unsigned round = 0; round < 3; round++) {
        tide_hub_action_t action;
        while (tide_hub_next_action (loop->hubs[HOLDER], &action)) {
            counts[round]++;
            if (action.kind == TIDE_HUB_SEND)
                tide_broker_receive (loop->broker, loop->now_ms, tide_bytes (loop->peers[HOLDER]),
                                     action.bytes);
            else if (action.kind == TIDE_HUB_RESPOND) {
                client->poll = 0; /* the first thing that was there */
                tide_loop_get (client);
            }
        }
    }
    client->is_polling = false;
    assert_true (counts[0] > 0);
    assert_int_equal (counts[1], 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_client_that_takes_nothing_has_its_post_held_back),
        TEST (no_more_of_a_post_is_taken_than_may_be_under_way),
        TEST (a_namespace_can_be_left_by_what_was_held_back),
        TEST (a_client_that_is_gone_is_forgotten_whatever_waits_for_it),
        TEST (a_post_that_is_held_back_is_answered_when_the_client_is_upgraded),
        TEST (a_close_that_is_held_back_is_taken_behind_the_upgrade),
        TEST (a_post_that_was_held_back_is_broken_off_behind_the_upgrade),
        TEST (what_was_held_back_goes_before_what_comes_behind_the_upgrade),
        TEST (a_poll_that_lags_is_read_for_at_once),
    };
    return cmocka_run_group_tests_name ("POSTs that are held back", tests, NULL, NULL);
}
