/*  test_cursors.c - topics that are read by named cursors.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursor_fixture.h"

#include "tide_alloc.h"
#include "tide_cursor.h"
#include "tide_dialect_json.h"

#include <stdlib.h>

/*  -- coming back ----------------------------------------------------------------------------- */

static void who_comes_back_gets_what_was_not_acknowledged (void **state)
{
    (void) state;
    publish_numbers (-5, 0);
    plain_t one = json_reader (THIRD, "inbox", "");
    publish_numbers (1, 10);
    assert_run (&one, 1, 10);
    json_ack (&one, "inbox", one.seqs[5]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[5]);
    tide_loop_cut (one.wire);
    publish_numbers (11, 20);
    plain_t two = json_reader (OTHER, "inbox", "");
    assert_run (&two, 7, 20);
    assert_true (two.ok_seq >= two.seqs[13]);
    publish_numbers (21, 25);
    assert_run (&two, 7, 25);
    assert_int_equal (two.resets, 0);
}

/*  `since` is for a cursor that is new. */
static void a_new_one_begins_where_it_is_told (void **state)
{
    (void) state;
    publish_numbers (1, 5);
    plain_t one = json_reader (THIRD, "from-start", ",\"since\":\"start\"");
    assert_run (&one, 1, 5);
    tide_loop_cut (one.wire);
    plain_t live = json_reader (THIRD, "from-now", ",\"since\":\"live\"");
    tide_loop_cut (live.wire);
    publish_numbers (6, 8);
    live = json_reader (OTHER, "from-now", ",\"since\":\"start\"");
    assert_run (&live, 6, 8);
    one = json_reader (OTHER, "from-start", ",\"since\":\"live\"");
    assert_run (&one, 1, 8);
}

static void what_was_gathered_is_written_when_the_client_goes (void **state)
{
    (void) state;
    enum { CUT, UNSUBSCRIBES, LEAVES_BY_ANOTHER, HOW };
    for (int how = 0; how < HOW; how++) {
        char name[16];
        snprintf (name, sizeof name, "inbox%d", how);
        plain_t one = json_reader (HOLDER, name, "");
        publish_numbers (1, 3);
        assert_run (&one, 1, 3);
        json_ack (&one, name, one.seqs[1]);
        assert_true (standing (name).seq < one.seqs[1]);
        if (how == CUT)
            tide_loop_cut (one.wire);
        else if (how == UNSUBSCRIBES)
            tide_loop_say (one.wire, "{\"op\":\"unsub\",\"topic\":\"lobby\"}");
        else
            json_sub (&one, "another", "");
        assert_int_equal (standing (name).seq, one.seqs[1]);
        tide_loop_pass (loop, 2000);
        assert_int_equal (standing (name).seq, one.seqs[1]);
    }
}

/*  While one write is under way the next one waits; both are written before the lane says BYE. */
static void what_was_gathered_is_written_before_the_lane_stops (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 3);
    assert_run (&one, 1, 3);
    json_ack (&one, "inbox", one.seqs[0]);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_pass (loop, 1250);
    assert_int_equal (loop->held_count, 1);
    json_ack (&one, "inbox", one.seqs[2]);
    hold (TIDE_MESSAGE_BYE);
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_null (one.wire->connection);
    assert_true (tide_hub_owes (loop->hubs[HOLDER]));
    assert_int_equal (loop->held_count, 1); /* the first write, and no BYE */
    assert_true (tide_loop_let_go (loop));
    assert_true (tide_loop_let_go (loop));
    assert_false (tide_hub_owes (loop->hubs[HOLDER]));
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    assert_int_equal (standing ("inbox").seq, one.seqs[2]);
}

static void what_was_not_written_comes_again (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    json_ack (&one, "inbox", one.seqs[4]);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 4000);
    plain_t two = json_reader (HOLDER, "inbox", "");
    assert_run (&two, 3, 6);
}

static void who_subscribes_again_begins_behind_what_it_has_acknowledged (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    json_ack (&one, "inbox", one.seqs[3]); /* gathered */
    one.count = 0;
    json_sub (&one, "inbox", "");
    assert_run (&one, 5, 6);
    publish_numbers (7, 8);
    assert_run (&one, 5, 8);
    json_ack (&one, "inbox", one.seqs[3]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[3]);
}

/*  While it is brought up again, what it was given before can still be acknowledged. */
static void what_was_given_before_it_subscribed_again_can_be_acknowledged (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    hold (TIDE_MESSAGE_READ);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    assert_int_equal (loop->held_count, 1);
    uint64_t last = one.seqs[5];
    json_ack (&one, "inbox", last);
    assert_string_equal (one.code, "");
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, last);
}

/*  Without the name it stays as it is, live: its cursor is its still. */
static void who_subscribes_again_without_it_keeps_it_unless_it_reads_from_elsewhere (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 4);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\"}");
    assert_run (&one, 1, 4);
    json_ack (&one, "inbox", one.seqs[0]);
    assert_string_equal (one.code, "");
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"since\":\"start\"}");
    json_listen (&one);
    assert_int_equal (standing ("inbox").seq, one.seqs[0]);
    json_ack (&one, "inbox", one.seqs[1]);
    assert_string_equal (one.code, "not_found");
}

/*  -- of two ---------------------------------------------------------------------------------- */

static void the_later_reader_has_it_and_the_earlier_one_is_told (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 4);
    assert_run (&one, 1, 4);
    plain_t two = json_reader (OTHER, "inbox", "");
    assert_run (&two, 1, 4);
    json_ack (&one, "inbox", one.seqs[3]);
    tide_loop_pass (loop, 1250);
    json_listen (&one);
    assert_string_equal (one.code, "conflict");
    assert_string_equal (one.cursor, "inbox");
    assert_true (standing ("inbox").seq < one.seqs[0]);
    one.code[0] = 0;
    json_ack (&one, "inbox", one.seqs[3]);
    assert_string_equal (one.code, "conflict");
    /*  It goes on reading; the other acknowledges. */
    publish_numbers (5, 6);
    assert_run (&one, 1, 6);
    json_ack (&two, "inbox", two.seqs[2]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, two.seqs[2]);
    /*  Nor does its end move anything. */
    tide_loop_cut (one.wire);
    assert_int_equal (standing ("inbox").seq, two.seqs[2]);
    /*  And it may have it back. */
    one = json_reader (HOLDER, "inbox", "");
    assert_run (&one, 4, 6);
}

static void what_was_removed_is_told (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 2);
    assert_run (&one, 1, 2);
    remove_cursor ("inbox");
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    json_listen (&one);
    assert_string_equal (one.code, "not_found");
    assert_int_equal (standing ("inbox").stands, 0);
    json_sub (&one, "inbox", "");
    assert_true (standing ("inbox").stands > 0);
}

/*  -- gaps are said --------------------------------------------------------------------------- */

static void set_key (int number)
{
    char body[128];
    snprintf (body, sizeof body,
              "{\"topic\":\"lobby\",\"event\":\"set\",\"key\":\"k\",\"data\":%d}", number);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
}

static void g5_what_was_trimmed_before_it_was_read_is_said (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (50);
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 3);
    assert_run (&one, 1, 3);
    json_ack (&one, "inbox", one.seqs[0]);
    tide_loop_cut (one.wire);
    set_key (7);
    publish_numbers (4, 1000);
    for (int round = 0; round < 2; round++) {
        /*  Until the snapshot is acknowledged, whoever comes back gets it again. */
        plain_t two = json_reader (OTHER, "inbox", "");
        assert_int_equal (two.resets, 1);
        json_ack (&two, "inbox", two.reset_seq - 1);
        tide_loop_pass (loop, 1250);
        assert_int_equal (standing ("inbox").seq, one.seqs[0]);
        if (round == 1)
            json_ack (&two, "inbox", two.reset_seq);
        tide_loop_cut (two.wire);
    }
    publish_numbers (1001, 1003);
    plain_t three = json_reader (HOLDER, "inbox", "");
    assert_int_equal (three.resets, 0);
    assert_run (&three, 1001, 1003);
    tide_loop_destroy (&loop);
}

/*  A part of it was given, and the next is not there any more: that part can be acknowledged. */
static void what_was_given_before_a_reset_can_be_acknowledged (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (2000);
    plain_t one = json_reader (HOLDER, "inbox", "");
    tide_loop_cut (one.wire);
    publish_numbers (1, 1500);
    plain_t two = json_at (OTHER);
    two.wire->is_stalled = true;
    tide_loop_say (two.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    publish_numbers (1501, 5000);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_unstall (two.wire);
    tide_loop_run (loop);
    json_listen (&two);
    assert_true (loop->held_count == 1 && two.count > 0 && two.count < 1500);
    uint64_t last = two.seqs[two.count - 1];
    json_refused (&two, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1000000}", "bad_request");
    two.code[0] = 0;
    json_ack (&two, "inbox", last);
    assert_string_equal (two.code, "");
    tide_loop_let_all_go (loop);
    json_listen (&two);
    assert_int_equal (two.resets, 1);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, last);
    json_ack (&two, "inbox", two.reset_seq);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, two.reset_seq);
    tide_loop_destroy (&loop);
}

static void what_begins_with_a_snapshot_begins_with_it_again (void **state)
{
    (void) state;
    set_key (7);
    plain_t one = json_reader (HOLDER, "inbox", ",\"since\":\"snapshot\"");
    assert_int_equal (one.snapshots, 1);
    publish_numbers (1, 2);
    tide_loop_cut (one.wire);
    one = json_reader (OTHER, "inbox", "");
    assert_int_equal (one.snapshots, 1);
    assert_int_equal (one.count, 0);
    json_ack (&one, "inbox", one.ok_seq);
    tide_loop_cut (one.wire);
    publish_numbers (3, 4);
    one = json_reader (OTHER, "inbox", ",\"since\":\"snapshot\"");
    assert_int_equal (one.snapshots, 0);
    assert_run (&one, 3, 4);
}

static void g8_a_cursor_of_another_log_is_bridged_by_a_snapshot (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 9);
    assert_run (&one, 1, 9);
    json_ack (&one, "inbox", one.seqs[8]);
    tide_loop_pass (loop, 1250);
    uint64_t before = standing ("inbox").epoch;
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 5000);
    json_listen (&one);
    assert_string_equal (one.code, "epoch_changed");
    assert_int_equal (one.resets, 1);
    assert_int_equal (standing ("inbox").epoch, before);
    /*  What it acknowledges of before counts for nothing. */
    json_ack (&one, "inbox", 1);
    tide_loop_pass (loop, 1250);
    tide_loop_cut (one.wire);
    publish_numbers (1, 2);
    one = json_reader (OTHER, "inbox", "");
    assert_int_equal (one.resets, 1);
    json_ack (&one, "inbox", one.reset_seq);
    tide_loop_cut (one.wire);
    assert_true (standing ("inbox").epoch != before);
    publish_numbers (3, 4);
    one = json_reader (HOLDER, "inbox", "");
    assert_int_equal (one.resets, 0);
    assert_run (&one, 3, 4);
}

/*  -- what cannot be -------------------------------------------------------------------------- */

static void bad_input_is_refused_by_name (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    uint64_t seq = publish_one (1);
    json_listen (&one);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":7}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":null}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"\"}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"a\\nb\"}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"a\\u0000\"}", "bad_request");
    json_refused (&one,
                  "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":"
                  "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"$x\",\"cursor\":\"c\"}", "forbidden");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"\",\"cursor\":\"c\"}", "bad_topic");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"c\",\"since\":true}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"other\",\"cursor\":\"inbox\"}", "conflict");
    json_refused (&one, "{\"op\":\"ack\"}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":1,\"seq\":1}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\"}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":-1}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1.5}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1,\"epoch\":1}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":\"0000000000002222:1\"}",
                  "epoch_changed");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"none\",\"seq\":1}", "not_found");
    char far[80];
    snprintf (far, sizeof far, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":%llu}",
              (unsigned long long) seq + 1000);
    json_refused (&one, far, "bad_request");
    plain_t two = json_at (OTHER);
    json_refused (&two, "{\"op\":\"sub\",\"topic\":\"other\",\"cursor\":\"inbox\"}", "conflict");
    json_refused (&two, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1}", "not_found");
    json_ack (&one, "inbox", seq);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, seq);
    tide_loop_stream (loop, HOLDER, "topic=lobby&cursor=inbox", "");
    assert_int_equal (loop->http_status, 400);
}

static void a_session_has_so_many_and_no_more (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    for (int at = 0; at < TIDE_SESSION_CURSORS_MAX; at++)
        tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"t%d\",\"cursor\":\"c%d\"}", at, at);
    json_listen (&one);
    assert_int_equal (one.oks, TIDE_SESSION_CURSORS_MAX);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"more\",\"cursor\":\"more\"}", "too_many");
    tide_loop_say (one.wire, "{\"op\":\"unsub\",\"topic\":\"t0\"}");
    json_listen (&one);
    json_sub (&one, "more", "");
}

/*  What else a subscription says holds here as well. */
static void whoever_reads_by_a_cursor_may_be_present (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"c\",\"present\":7}",
                  "bad_request");
    assert_int_equal (standing ("c").stands, 0);
    json_sub (&one, "c", ",\"present\":{\"name\":\"Ada\"}");
    tide_loop_http (loop, OTHER, "GET", "/api/v1/presence", "topic=lobby", "");
    assert_int_equal (loop->http_status, 200);
    assert_non_null (strstr (loop->http_body, "{\"name\":\"Ada\"}"));
}

static void two_subscriptions_of_a_topic_at_once_are_a_conflict (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"other\"}", "conflict");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\"}", "conflict");
    tide_loop_let_all_go (loop);
    json_listen (&one);
    assert_int_equal (one.oks, 1);
    publish_numbers (1, 2);
    assert_run (&one, 1, 2);
}

static void a_topic_that_is_left_while_its_cursor_is_taken_is_left (void **state)
{
    (void) state;
    for (int how = 0; how < 4; how++) {
        plain_t one = json_at (HOLDER);
        hold (how & 1 ? TIDE_MESSAGE_PUBLISH : TIDE_MESSAGE_SNAPSHOT);
        tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
        assert_int_equal (loop->held_count, 1);
        if (how & 2)
            tide_loop_cut (one.wire);
        else {
            json_refused (&one, "{\"op\":\"unsub\",\"topic\":\"lobby\"}", "");
            assert_int_equal (one.oks, 1);
        }
        tide_loop_let_all_go (loop);
        memset (loop->held_kinds, 0, sizeof loop->held_kinds);
        publish_numbers (1, 2);
        json_listen (&one);
        assert_int_equal (one.count, 0);
    }
}

static void who_may_not_read_has_no_cursor (void **state)
{
    (void) state;
    loop->hub_config.may_read = false;
    tide_loop_kill_lane (loop, HOLDER);
    plain_t one = json_at (HOLDER);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"c\"}", "unauthorized");
    assert_int_equal (standing ("c").stands, 0);
}

/*  What it was given before is acknowledged as if it had not asked. */
static void who_subscribes_again_in_vain_goes_on_acknowledging (void **state)
{
    (void) state;
    set_key (7);
    plain_t one = json_reader (HOLDER, "inbox", ",\"since\":\"snapshot\"");
    publish_numbers (1, 2);
    json_listen (&one);
    hold (TIDE_MESSAGE_PUBLISH);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}", "");
    tide_loop_pass (loop, 11000);
    json_listen (&one);
    assert_string_equal (one.code, "timeout");
    tide_loop_let_all_go (loop);
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[1]);
}

static void while_the_broker_is_away_a_subscription_is_refused_in_time (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    tide_loop_say (one.wire, "{\"op\":\"ping\"}");
    json_listen (&one);
    loop->is_cut[HOLDER] = true;
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    tide_loop_pass (loop, 12000);
    json_listen (&one);
    assert_string_equal (one.code, "broker_away");
    loop->is_cut[HOLDER] = false;
    tide_loop_pass (loop, 8000);
    json_sub (&one, "inbox", "");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (who_comes_back_gets_what_was_not_acknowledged),
        TEST (a_new_one_begins_where_it_is_told),
        TEST (what_was_gathered_is_written_when_the_client_goes),
        TEST (what_was_gathered_is_written_before_the_lane_stops),
        TEST (what_was_not_written_comes_again),
        TEST (who_subscribes_again_begins_behind_what_it_has_acknowledged),
        TEST (what_was_given_before_it_subscribed_again_can_be_acknowledged),
        TEST (who_subscribes_again_without_it_keeps_it_unless_it_reads_from_elsewhere),
        TEST (the_later_reader_has_it_and_the_earlier_one_is_told),
        TEST (what_was_removed_is_told),
        cmocka_unit_test (g5_what_was_trimmed_before_it_was_read_is_said),
        cmocka_unit_test (what_was_given_before_a_reset_can_be_acknowledged),
        TEST (what_begins_with_a_snapshot_begins_with_it_again),
        TEST (g8_a_cursor_of_another_log_is_bridged_by_a_snapshot),
        TEST (bad_input_is_refused_by_name),
        TEST (a_session_has_so_many_and_no_more),
        TEST (whoever_reads_by_a_cursor_may_be_present),
        TEST (two_subscriptions_of_a_topic_at_once_are_a_conflict),
        TEST (a_topic_that_is_left_while_its_cursor_is_taken_is_left),
        TEST (who_may_not_read_has_no_cursor),
        TEST (who_subscribes_again_in_vain_goes_on_acknowledging),
        TEST (while_the_broker_is_away_a_subscription_is_refused_in_time),
    };
    return cmocka_run_group_tests_name ("topics that are read by named cursors", tests, NULL, NULL);
}
