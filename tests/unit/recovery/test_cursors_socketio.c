/*  test_cursors_socketio.c - named cursors for clients of Socket.IO, which can be resumed.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursor_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  -- Socket.IO ------------------------------------------------------------------------------- */

static void an_acknowledgement_that_was_answered_is_durable (void **state)
{
    (void) state;
    for (int polls = 0; polls < 2; polls++) {
        static stock_t client;
        char name[16];
        snprintf (name, sizeof name, "inbox%d", polls);
        start_stock (&client, HOLDER, polls, name);
        uint64_t seqs[4];
        for (int at = 0; at < 4; at++)
            seqs[at] = publish_one (at);
        stock_assert_numbers (&client, 0, 3);
        stock_ack (&client, name, seqs[2]);
        assert_acked (&client, NULL);
        tide_loop_kill_lane (loop, HOLDER);
        tide_loop_kill_broker (loop, false);
        tide_loop_pass (loop, 4000);
        assert_int_equal (standing (name).seq, seqs[2]);
        start_stock (&client, OTHER, polls, name);
        stock_assert_numbers (&client, 3, 3);
    }
}

static void many_that_wait_for_it_are_written_together (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    enum { EVENTS = 60 };
    uint64_t seqs[EVENTS];
    for (int at = 0; at < EVENTS; at++)
        seqs[at] = publish_one (at);
    stock_listen (&client);
    hold (TIDE_MESSAGE_PUBLISH);
    for (int at = 0; at < EVENTS; at++)
        stock_ack (&client, "inbox", seqs[at]);
    assert_int_equal (loop->held_count, 1);
    int before = client.acks;
    tide_loop_let_go (loop);
    stock_listen (&client);
    assert_int_equal (client.acks, before + 1);
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    assert_int_equal (client.acks, before + EVENTS);
    assert_int_equal (standing ("inbox").seq, seqs[EVENTS - 1]);
}

/*  Of one that asks for more nothing is read until the broker has answered. */
static void more_than_may_wait_is_not_read (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t seq = 0;
    for (int at = 0; at < 100; at++)
        seq = publish_one (at);
    stock_listen (&client);
    hold (TIDE_MESSAGE_PUBLISH);
    for (int at = 0; at < 100; at++)
        stock_ack (&client, "inbox", seq - 99 + (uint64_t) at);
    assert_true (client.wire->is_paused);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    assert_false (client.wire->is_paused);
    assert_int_equal (standing ("inbox").seq, seq);
}

static void one_that_has_lost_it_is_told_by_an_event (void **state)
{
    (void) state;
    static stock_t one, two;
    start_stock (&one, HOLDER, false, "inbox");
    uint64_t seq = publish_one (1);
    stock_listen (&one);
    start_stock (&two, OTHER, false, "inbox");
    tide_loop_say (one.wire, "42[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seq);
    tide_loop_pass (loop, 1250);
    assert_hears (one.wire, "42[\"tide:cursor\",{\"code\":\"conflict\"");
    stock_ack (&one, "inbox", seq);
    assert_acked (&one, "conflict");
    stock_ack (&two, "inbox", seq);
    assert_acked (&two, NULL);
}

static void while_the_broker_is_away_whoever_waits_is_told_and_it_is_written_later (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t seq = publish_one (1);
    stock_listen (&client);
    loop->is_cut[HOLDER] = true;
    stock_ack (&client, "inbox", seq);
    client.last_ack[0] = 0;
    stock_pass (&client, 12000);
    assert_acked (&client, "broker_away");
    loop->is_cut[HOLDER] = false;
    stock_pass (&client, 8000);
    assert_int_equal (standing ("inbox").seq, seq);
    stock_ack (&client, "inbox", seq);
    assert_acked (&client, NULL);
}

static void a_resumed_session_reads_on_where_it_was_and_acknowledges_from_there (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t first = publish_one (1);
    publish_one (2);
    stock_assert_numbers (&client, 1, 2);
    char owner[64];
    snprintf (owner, sizeof owner, "%s", standing ("inbox").owner);
    assert_string_equal (owner, client.sid);
    tide_loop_kill_lane (loop, HOLDER);
    publish_one (3);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    uint64_t last = publish_one (4);
    stock_assert_numbers (&client, 1, 4);
    assert_true (standing ("inbox").seq < first); /* nothing was acknowledged */
    stock_ack (&client, "inbox", last);
    assert_acked (&client, NULL);
    assert_int_equal (standing ("inbox").seq, last);
    assert_string_equal (standing ("inbox").owner, owner);
    stock_ack (&client, "inbox", last + 100);
    assert_acked (&client, "bad_request");
}

/*  What a record says of its topics stands before what says whose it is, once that was written anew
 *  by a take-over. */
static void a_session_that_is_resumed_again_has_its_cursor_still (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    for (int at = 1; at <= 3; at++) {
        publish_one (2 * at - 1);
        stock_listen (&client);
        tide_loop_cut (client.wire);
        stock_reconnect (&client, at % 2 ? OTHER : HOLDER);
        assert_true (client.is_recovered);
        uint64_t last = publish_one (2 * at);
        stock_assert_numbers (&client, 1, 2 * at);
        stock_ack (&client, "inbox", last);
        assert_acked (&client, NULL);
        assert_int_equal (standing ("inbox").seq, last);
        assert_string_equal (standing ("inbox").owner, client.sid);
    }
}

static void a_resumed_session_takes_nothing_from_who_came_meanwhile (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    publish_one (1);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    plain_t other = json_reader (THIRD, "inbox", "");
    uint64_t seq = publish_one (2);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_ack (&client, "inbox", seq);
    tide_loop_run (loop);
    assert_acked (&client, "conflict");
    json_ack (&other, "inbox", seq);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, seq);
}

/*  A session that left the topic, and comes back, has no cursor any more. */
static void a_resumed_session_that_had_left_it_has_none (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    tide_loop_say (client.wire, "423[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_ack (&client, "inbox", 1);
    assert_acked (&client, "not_found");
}

static void a_session_that_is_handed_over_goes_on_acknowledging (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, true, "inbox");
    uint64_t seqs[3];
    for (int at = 0; at < 3; at++)
        seqs[at] = publish_one (at);
    stock_assert_numbers (&client, 0, 2);
    stock_ack (&client, "inbox", seqs[0]);
    assert_acked (&client, NULL);
    /*  One that is still gathered when it goes. */
    tide_loop_say (client.wire, "42[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seqs[1]);
    client.wire = taken_to (client.wire, OTHER);
    tide_loop_pass (loop, 3000);
    assert_int_equal (standing ("inbox").seq, seqs[1]);
    stock_ack (&client, "inbox", seqs[2]);
    assert_acked (&client, NULL);
    assert_int_equal (standing ("inbox").seq, seqs[2]);
}

/*  … and one that is still being brought up, which goes on there. */
static void a_topic_that_is_brought_up_is_read_by_its_cursor_at_the_other_lane (void **state)
{
    (void) state;
    enum { EVENTS = 30 };
    tide_loop_client_t *client = subscribed ();
    stall (client);
    for (int at = 0; at < EVENTS; at++)
        publish_much ("many", "", 10000);
    tide_loop_say (client, "423[\"tide:subscribe\",{\"topic\":\"many\",\"since\":\"start\","
                           "\"cursor\":\"inbox\"}]");
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_loop_say (probe, "5");
    tide_loop_pass (loop, 3000);
    size_t events = count_heard (client, "42[\"n\",\"x");
    uint64_t seq = 0;
    const char *frame;
    while ((frame = tide_loop_hear (probe))) {
        events += strncmp (frame, "42[\"n\",\"x", 9) == 0;
        if (strncmp (frame, "433[{\"ok\":true", 14) == 0)
            seq = strtoull (strstr (frame, "\"seq\":") + 6, NULL, 10);
    }
    assert_int_equal (events, EVENTS);
    assert_true (seq > EVENTS);
    tide_loop_say (probe, "424[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seq);
    assert_hears (probe, "434[{\"ok\":true");
    assert_int_equal (standing ("inbox").seq, seq);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (an_acknowledgement_that_was_answered_is_durable),
        TEST (many_that_wait_for_it_are_written_together),
        TEST (more_than_may_wait_is_not_read),
        TEST (one_that_has_lost_it_is_told_by_an_event),
        TEST (while_the_broker_is_away_whoever_waits_is_told_and_it_is_written_later),
        TEST (a_resumed_session_reads_on_where_it_was_and_acknowledges_from_there),
        TEST (a_session_that_is_resumed_again_has_its_cursor_still),
        TEST (a_resumed_session_takes_nothing_from_who_came_meanwhile),
        TEST (a_resumed_session_that_had_left_it_has_none),
        TEST (a_session_that_is_handed_over_goes_on_acknowledging),
        TEST (a_topic_that_is_brought_up_is_read_by_its_cursor_at_the_other_lane),
    };
    return cmocka_run_group_tests_name ("named cursors of Socket.IO", tests, NULL, NULL);
}
