/*  test_presence_lanes.c - who is in a topic, whatever becomes of lanes, the broker and its log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_presence_fixture.h"

#include "tide_alloc.h"
#include "tide_application.h"
#include "tide_loop_worker.h"

#include <stdlib.h>

/*  -- lanes ----------------------------------------------------------------------------------- */

static void a_lane_that_dies_takes_its_members_along (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t dies = present_at (HOLDER), stays = present_at (OTHER), comes = present_at (HOLDER);
    member_t alone = {.wire = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON)};
    tide_loop_say (alone.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":true}");
    assert_int_equal (count_heard (watch, "{"), 4);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_pass (loop, 2000);
    connect_at (&comes, OTHER);
    assert_saw (watch, CAME, &comes);
    tide_loop_pass (loop, 7000);
    assert_saw_nothing (watch);
    tide_loop_pass (loop, 7000);
    assert_int_equal (count_heard (watch, "{"), 2);
    assert_true (!is_there (&dies) && is_there (&stays) && is_there (&comes));
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 2);
    json_decref (members);
}

static void a_session_that_another_lane_takes_is_there (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    tide_loop_client_t *before = member.wire;
    connect_at (&member, OTHER); /* while it is connected */
    assert_null (before->connection);
    assert_saw (watch, CAME, &member);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_pass (loop, 30000);
    assert_saw_nothing (watch);
    assert_true (is_there (&member));
    tide_loop_kill_lane (loop, OTHER);
    tide_loop_pass (loop, 16000);
    assert_saw (watch, WENT, &member);
}

/*  What it joins and leaves in the one lane while it comes to the other. */
static void what_changes_while_another_lane_takes_it_is_right (void **state)
{
    (void) state;
    for (int before = 0; before < 2; before++) {
        member_t member = {0};
        connect_at (&member, HOLDER);
        enter (&member, "stays", "true");
        enter (&member, "leaves", "true");
        enter (&member, "changes", "{\"a\":1}");
        tide_loop_client_t *old = member.wire;
        loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
        member.wire = tide_loop_open (loop, OTHER, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (member.wire, "40{\"pid\":\"%s\"}", member.pid);
        assert_int_equal (loop->held_count, 1);
        if (before) {
            tide_loop_say (old, "421[\"tide:subscribe\",{\"topic\":\"comes\",\"present\":true}]");
            tide_loop_say (old, "422[\"tide:unsubscribe\",{\"topic\":\"leaves\"}]");
            tide_loop_say (old, "423[\"tide:subscribe\",{\"topic\":\"changes\","
                                "\"present\":{\"a\":2}}]");
        }
        tide_loop_let_all_go (loop);
        tide_loop_kill_lane (loop, HOLDER);
        tide_loop_pass (loop, 30000);
        assert_data ("stays", &member, "true");
        assert_data ("changes", &member, before ? "{\"a\":2}" : "{\"a\":1}");
        json_t *leaves = found ("leaves", &member), *comes = found ("comes", &member);
        assert_int_equal (leaves == NULL, before);
        assert_int_equal (comes != NULL, before);
        json_decref (leaves);
        json_decref (comes);
    }
}

/*  The lane that takes it enters it, reads that it is not present any more, and removes it; then it
 *  leaves, or goes, before that is in the log. */
static void who_is_removed_by_the_lane_that_takes_it_goes_once (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    for (int for_good = 0; for_good < 2; for_good++) {
        member_t member = present_at (HOLDER);
        assert_saw (watch, CAME, &member);
        tide_loop_client_t *old = member.wire;
        loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
        member.wire = tide_loop_open (loop, OTHER, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (member.wire, "40{\"pid\":\"%s\"}", member.pid);
        assert_int_equal (loop->held_count, 1);
        enter (&(member_t){.wire = old}, "lobby", "false");
        assert_saw (watch, WENT, &member);
        assert_true (tide_loop_let_go (loop));
        assert_saw (watch, CAME, &member);
        assert_int_equal (loop->held_count, 1); /* what removes it again */
        tide_loop_say (member.wire, "%s",
                       for_good ? "41" : "422[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
        assert_int_equal (loop->held_count, 2);
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 30000);
        assert_saw (watch, WENT, &member);
        assert_saw_nothing (watch);
    }
}

/*  It joins anew while the lane that took it over writes what it has read of it: whether it is
 *  removed, or said otherwise. */
static void who_joins_anew_while_it_is_taken_over_is_as_was_said (void **state)
{
    (void) state;
    for (int at = 0; at < 4; at++) {
        bool is_there_still = at & 1, is_brought_up_first = at & 2;
        member_t member = present_at (HOLDER);
        tide_loop_client_t *old = member.wire, *watch = watcher ();
        loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
        member.wire = tide_loop_open (loop, OTHER, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (member.wire, "40{\"pid\":\"%s\"}", member.pid);
        enter (&(member_t){.wire = old}, "lobby", is_there_still ? "{\"a\":2}" : "false");
        assert_saw (watch, is_there_still ? CAME : WENT, &member);
        assert_true (tide_loop_let_go (loop));
        assert_saw (watch, CAME, &member);
        assert_int_equal (loop->held_count, 1);
        if (is_brought_up_first)
            hold (TIDE_MESSAGE_SNAPSHOT);
        tide_loop_say (member.wire,
                       "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"snapshot\"}]");
        assert_int_equal (loop->held_count, 2);
        tide_loop_let_all_go (loop);
        assert_int_equal (count_heard (member.wire, "432[{\"ok\":true"), 1);
        assert_saw (watch, is_there_still ? CAME : WENT, &member);
        while (is_there_still && tide_loop_hear (watch))
            continue; /* it may be said again */
        assert_saw_nothing (watch);
        loop->is_cut[OTHER] = true;
        for (int part = 0; part < 4; part++) {
            tide_loop_pass (loop, 5000);
            tide_loop_say (member.wire, "3");
        }
        loop->is_cut[OTHER] = false;
        tide_loop_pass (loop, 8000);
        assert_int_equal (is_there (&member), is_there_still);
        tide_loop_say (member.wire, "41");
        tide_loop_pass (loop, 1000);
        assert_false (is_there (&member));
        int gone = 0, came = 0;
        for (const char *frame; (frame = tide_loop_hear (watch));) {
            gone += strstr (frame, "\"removed\":true") != NULL;
            came += strstr (frame, "\"removed\":true") == NULL;
        }
        assert_int_equal (gone, is_there_still ? 2 : 0); /* with its lease, and now */
        assert_int_equal (came, is_there_still);
    }
}

/*  Longer than any lease and what lingers; it answers pings. */
static void pass_and_answer (tide_loop_client_t *client)
{
    for (int at = 0; at < 3; at++) {
        tide_loop_say (client, "3");
        tide_loop_pass (loop, 8000);
    }
}

static void a_session_that_is_handed_over_is_there (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    tide_loop_client_t *client = subscribed ();
    member_t member = {.wire = client};
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":{\"a\":1}}]");
    assert_hears (client, "432[{\"ok\":true");
    json_t *members = members_of ("lobby");
    snprintf (member.sid, sizeof member.sid, "%s",
              json_string_value (json_object_get (json_array_get (members, 0), "sid")));
    json_decref (members);
    assert_saw (watch, CAME, &member);
    member.wire = taken_to (client, OTHER);
    assert_saw (watch, CAME, &member);
    tide_loop_pass (loop, 8000); /* what the lane before would have released */
    tide_loop_kill_lane (loop, HOLDER);
    pass_and_answer (member.wire);
    assert_saw_nothing (watch);
    assert_data ("lobby", &member, "{\"a\":1}");
}

static tide_hub_config_t without_recovery (void)
{
    static const char *const all[] = {"/*", "/", NULL};
    tide_hub_config_t config = loop->hub_config;
    config.no_recovery = all;
    return config;
}

static void a_session_without_a_record_that_is_handed_over_is_there (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    loop->hub_config = without_recovery ();
    for (unsigned hub = HOLDER; hub <= OTHER; hub++)
        tide_loop_kill_lane (loop, hub);
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
    assert_hears (client, "432[{\"ok\":true");
    assert_int_equal (count_heard (watch, "{"), 1);
    loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_client_t *taken = taken_to (client, OTHER);
    tide_loop_pass (loop, 2000); /* nor is it gone on the way */
    assert_saw_nothing (watch);
    tide_loop_let_all_go (loop);
    assert_int_equal (count_heard (watch, "{"), 1);
    tide_loop_pass (loop, 8000);
    tide_loop_kill_lane (loop, HOLDER);
    pass_and_answer (taken);
    assert_saw_nothing (watch);
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 1);
    json_decref (members);
    tide_loop_cut (taken);
    tide_loop_pass (loop, 100);
    members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 0);
    json_decref (members);
}

static void what_is_handed_to_a_lane_that_dies_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
    assert_hears (client, "432[{\"ok\":true");
    assert_int_equal (count_heard (watch, "{"), 1);
    loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    taken_to (client, OTHER);
    assert_int_equal (loop->held_count, 1); /* the record is still the other's */
    tide_loop_kill_lane (loop, OTHER);
    loop->held_kinds[OTHER] = 0;
    tide_loop_pass (loop, 8000);
    assert_saw_nothing (watch);
    tide_loop_pass (loop, 4000);
    assert_int_equal (count_heard (watch, "{"), 1);
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 0);
    json_decref (members);
}

/*  The broker has taken them for gone; but the lane, and its clients, were there all the time. */
static void a_lane_whose_lease_was_over_enters_its_members_again (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t one = present_at (HOLDER), two = present_at (OTHER), quiet = {0};
    connect_at (&quiet, HOLDER);
    enter (&quiet, "elsewhere", "{\"b\":2}");
    assert_saw (watch, CAME, &one);
    assert_saw (watch, CAME, &two);
    loop->is_cut[HOLDER] = true;
    for (int at = 0; at < 4; at++) {
        tide_loop_pass (loop, 5000);
        tide_loop_say (one.wire, "3");
        tide_loop_say (quiet.wire, "3");
    }
    assert_saw (watch, WENT, &one);
    loop->is_cut[HOLDER] = false;
    tide_loop_pass (loop, 8000);
    assert_non_null (one.wire->connection);
    assert_saw (watch, CAME, &one);
    assert_saw_nothing (watch);
    assert_true (is_there (&one) && is_there (&two));
    assert_data ("elsewhere", &quiet, "{\"b\":2}");
    /*  And they can still be released. */
    tide_loop_cut (one.wire);
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &one);
}

/*  What waits is a SNAPSHOT's first part: as of 1 this stands, under the holder's lease. */
static void answer_with (tide_bytes_t key, tide_bytes_t payload)
{
    tide_message_t message, part = {.kind = TIDE_MESSAGE_STANDING};
    tide_buffer_t records = {0}, answer = {0};
    const char *why;
    assert_int_equal (
        tide_message_decode (tide_buffer_bytes (&loop->held[0].bytes), &message, &why), TIDE_OK);
    tide_event_append (&records, &(tide_event_t){.seq = 1,
                                                 .topic = tide_bytes ("$presence/lobby"),
                                                 .name = tide_bytes ("presence"),
                                                 .key = key,
                                                 .lease = tide_bytes (loop->lanes[HOLDER]),
                                                 .payload = payload});
    part.standing.request = message.snapshot.request;
    part.standing.epoch = 1;
    part.standing.seq = 1;
    part.standing.events = tide_list (&records, 1);
    tide_message_encode (&answer, &part);
    tide_hub_receive (loop->hubs[loop->held[0].hub], loop->now_ms, tide_buffer_bytes (&answer));
    tide_buffer_free (&answer);
    tide_buffer_free (&records);
    while (loop->held_count > 0)
        tide_buffer_free (&loop->held[--loop->held_count].bytes);
}

/*  Larger than any lane takes. */
static void answer_with_more_than_can_be (void)
{
    uint8_t *large = tide_alloc (TIDE_PAYLOAD_SIZE_MAX);
    answer_with (tide_bytes ("x"), (tide_bytes_t){large, TIDE_PAYLOAD_SIZE_MAX});
    free (large);
}

/*  As long as nothing can be appended it is not tried all the time. */
static void what_cannot_be_entered_again_is_tried_more_and_more_seldom (void **state)
{
    (void) state;
    member_t member = present_at (HOLDER);
    loop->is_cut[HOLDER] = true;
    for (int at = 0; at < 4; at++) {
        tide_loop_pass (loop, 5000);
        tide_loop_say (member.wire, "3");
    }
    assert_false (is_there (&member));
    loop->is_cut[HOLDER] = false;
    unsigned refused = 0;
    for (int at = 0; at < 60; at++) {
        loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_PUBLISH;
        tide_loop_pass (loop, 1000);
        tide_loop_say (member.wire, "3");
        refused += loop->held_count;
        refuse_held (TIDE_LOG_FULL);
    }
    assert_in_range (refused, 4, 8);
    tide_loop_pass (loop, 20000);
    tide_loop_say (member.wire, "3");
    tide_loop_pass (loop, 20000);
    assert_true (is_there (&member));
}

/*  An answer that no lane can hold: the other topics are looked at all the same, and it is not
 *  asked for again and again. */
static void a_topic_that_is_too_large_to_look_at_is_passed_over (void **state)
{
    (void) state;
    member_t member = present_at (HOLDER);
    enter (&member, "lobby2", "true");
    loop->is_cut[HOLDER] = true;
    for (int at = 0; at < 4; at++) {
        tide_loop_pass (loop, 5000);
        tide_loop_say (member.wire, "3");
    }
    loop->is_cut[HOLDER] = false;
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_pass (loop, 5000);
    assert_int_equal (loop->held_count, 1);
    answer_with_more_than_can_be ();
    tide_loop_let_all_go (loop);
    tide_loop_run (loop);
    hold (TIDE_MESSAGE_SNAPSHOT);
    for (int at = 0; at < 4; at++) {
        tide_loop_say (member.wire, "3");
        tide_loop_pass (loop, 5000);
    }
    assert_int_equal (loop->held_count, 0);
    json_t *one = found ("lobby", &member), *two = found ("lobby2", &member);
    assert_true (one || two);
    json_decref (one);
    json_decref (two);
}

/*  What the lane looked up is of before it was removed: it is not removed once more. */
static void who_is_gone_is_not_there_by_an_old_look (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    tide_loop_kill_broker (loop, false);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_pass (loop, 3000);
    assert_true (loop->held_count > 0); /* the same, said again */
    tide_loop_say (member.wire, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":false}]");
    assert_hears (member.wire, "432[{\"ok\":true");
    assert_saw (watch, WENT, &member);
    answer_with (tide_bytes (member.sid), tide_bytes ("x"));
    tide_loop_let_all_go (loop);
    tide_loop_run (loop);
    tide_loop_say (member.wire, "423[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (member.wire, "433[{\"ok\":true");
    tide_loop_pass (loop, 3000);
    assert_saw_nothing (watch);
}

/*  -- the broker ------------------------------------------------------------------------------ */

static void it_outlives_the_broker (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t stays = present_at (HOLDER), goes = present_at (OTHER), comes = present_at (OTHER);
    assert_int_equal (count_heard (watch, "{"), 3);
    tide_loop_cut (goes.wire);
    tide_loop_cut (comes.wire);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 3000);
    connect_at (&comes, HOLDER);
    assert_saw (watch, CAME, &comes);
    tide_loop_pass (loop, 20000); /* and was told once more that one has gone */
    assert_saw (watch, WENT, &goes);
    assert_saw_nothing (watch);
    assert_true (is_there (&stays) && is_there (&comes) && !is_there (&goes));
}

static void who_goes_while_the_broker_is_away_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t stays = present_at (HOLDER), goes = present_at (HOLDER);
    assert_int_equal (count_heard (watch, "{"), 2);
    loop->is_cut[HOLDER] = true;
    tide_loop_pass (loop, 4000);
    tide_loop_cut (goes.wire);
    loop->is_cut[HOLDER] = false;
    tide_loop_pass (loop, 12000);
    assert_saw (watch, WENT, &goes);
    assert_true (is_there (&stays));
}

/*  Who joins again to say that it is present is told where it was: in this log, or not at all. */
static void g8_where_one_was_is_no_place_in_another_log (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"lobby\"}");
    assert_gets (client, "{\"op\":\"ok\",\"id\":1");
    tide_loop_publish (loop, "lobby", 1);
    assert_gets (client, "{\"op\":\"event\"");
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"lobby\",\"present\":true}");
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 9000);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 9000);
    const char *frame = NULL;
    while ((frame = tide_loop_hear (client)) && !strstr (frame, "\"id\":2"))
        continue;
    assert_non_null (frame);
    assert_non_null (strstr (frame, "\"code\":\"epoch_changed\""));
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 1);
    json_decref (members);
}

static void in_another_log_all_are_there_again (void **state)
{
    (void) state;
    member_t one = {0}, two = {0};
    member_t alone = {.wire = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON)};
    connect_at (&one, HOLDER);
    enter (&one, "lobby", "{\"a\":1}");
    enter (&one, "elsewhere", "true");
    connect_at (&two, OTHER);
    enter (&two, "lobby", "true");
    tide_loop_say (alone.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":{\"c\":3}}");
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 9000);
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 3);
    json_decref (members);
    assert_data ("lobby", &one, "{\"a\":1}");
    assert_data ("elsewhere", &one, "true");
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) { /* by themselves, not because one looked */
        tide_loop_http (loop, hub, "GET", "/metrics", "", "");
        assert_non_null (strstr (loop->http_body, "tidemark_gateway_presence_mended_total 0\n"));
    }
    tide_loop_cut (one.wire);
    tide_loop_pass (loop, 3000);
    connect_at (&one, OTHER); /* its record says so there, too */
    tide_loop_pass (loop, 30000);
    assert_data ("lobby", &one, "{\"a\":1}");
    tide_loop_say (one.wire, "3");
    tide_loop_cut (one.wire);
    tide_loop_pass (loop, 6000);
    assert_false (is_there (&one));
}

/*  The record is there, and what it was a member of is not brought up yet. */
static void who_goes_before_it_is_in_another_log_was_never_there (void **state)
{
    (void) state;
    member_t member = present_at (HOLDER);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 3000);
    assert_true (loop->held_count > 0);
    tide_loop_client_t *watch = watcher ();
    tide_loop_say (member.wire, "41");
    tide_loop_pass (loop, 1000);
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 9000);
    assert_saw_nothing (watch);
    member_t comes = present_at (OTHER);
    assert_saw (watch, CAME, &comes);
    assert_false (is_there (&member));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_lane_that_dies_takes_its_members_along),
        TEST (a_session_that_another_lane_takes_is_there),
        TEST (what_changes_while_another_lane_takes_it_is_right),
        TEST (who_is_removed_by_the_lane_that_takes_it_goes_once),
        TEST (who_joins_anew_while_it_is_taken_over_is_as_was_said),
        TEST (a_session_that_is_handed_over_is_there),
        TEST (a_session_without_a_record_that_is_handed_over_is_there),
        TEST (what_is_handed_to_a_lane_that_dies_is_gone),
        TEST (a_lane_whose_lease_was_over_enters_its_members_again),
        TEST (what_cannot_be_entered_again_is_tried_more_and_more_seldom),
        TEST (a_topic_that_is_too_large_to_look_at_is_passed_over),
        TEST (who_is_gone_is_not_there_by_an_old_look),
        TEST (it_outlives_the_broker),
        TEST (who_goes_while_the_broker_is_away_is_gone),
        TEST (g8_where_one_was_is_no_place_in_another_log),
        TEST (in_another_log_all_are_there_again),
        TEST (who_goes_before_it_is_in_another_log_was_never_there),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
