/*  test_tide_groups_log.c - groups and the log: what is durable, gone, or others wrote.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_rig.h"

/*  -- what is durable ------------------------------------------------------------------------- */

static void acknowledgements_are_gathered_and_durable_within_a_second (void **state)
{
    (void) state;
    given_t given;
    join ("one", 100);
    publish_many ("t", 50);
    take_given ("one", &given);
    size_t appends = rig->appends;
    for (unsigned at = 0; at < 50; at++)
        handle ("one", given.seq[at], 1);
    assert_int_equal (rig->appends, appends);
    pass (1000, NULL);
    assert_int_equal (rig->appends, appends + 1);
    assert_int_equal (floor_of ("g"), given.seq[49]);
    pass (3000, NULL); /* nothing has changed */
    assert_int_equal (rig->appends, appends + 1);
}

static void after_a_death_what_was_not_acknowledged_is_given_again (void **state)
{
    (void) state;
    given_t given;
    join ("one", 100);
    publish_many ("t", 10);
    take_given ("one", &given);
    handle ("one", given.seq[0], 1);
    handle ("one", given.seq[3], 1);
    handle ("one", given.seq[5], 1);
    pass (1000, NULL);
    handle ("one", given.seq[9], 1); /* not written down any more */
    uint64_t first = given.seq[0];
    die ();
    publish ("t", "1");
    join ("two", 100);
    take_given ("two", &given);
    assert_int_equal (given.count, 7 + 1);
    assert_int_equal (given.seq[0], first + 1);
    assert_int_equal (given.attempt[0], 2); /* it may have been handled */
    assert_int_equal (given.seq[6], first + 9);
    assert_int_equal (given.attempt[6], 2);
    assert_int_equal (given.attempt[7], 1); /* that was published since */
    for (unsigned at = 0; at < given.count; at++)
        handle ("two", given.seq[at], given.attempt[at]);
    pass (1000, NULL);
    assert_none_in_hand ();
    assert_true (floor_of ("g") > first + 9);
}

static void a_word_of_before_the_death_counts_if_nobody_else_has_it (void **state)
{
    (void) state;
    join ("one", 100);
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    die ();
    join ("one", 0);
    publish ("t", "1");
    rig_forget_said (rig);
    handle ("one", seq, 1);
    join ("one", 10);
    assert_int_equal (take_one_given ("one", 1), seq + 2); /* behind the record */
}

static void after_a_clean_stop_nothing_is_in_doubt (void **state)
{
    (void) state;
    given_t given;
    join ("one", 2);
    publish_many ("t", 10);
    take_given ("one", &given);
    handle ("one", given.seq[0], 1);
    uint64_t first = given.seq[0];
    tide_broker_stop (rig->broker, rig->now_ms);
    rig_settle (rig);
    assert_true (tide_broker_is_idle (rig->broker));
    die ();
    join ("two", 100);
    take_given ("two", &given);
    assert_int_equal (given.count, 9);
    assert_int_equal (given.seq[0], first + 1);
    assert_int_equal (given.attempt[0], 2); /* it was in somebody's hands */
    assert_int_equal (given.attempt[1], 2); /* this one was lent for the one that was done */
    assert_int_equal (given.attempt[2], 1);
    assert_int_equal (given.attempt[8], 1);
}

static void what_is_acknowledged_while_the_broker_stops_is_written_down (void **state)
{
    (void) state;
    given_t given;
    join ("one", 10);
    publish_many ("t", 3);
    take_given ("one", &given);
    tide_broker_stop (rig->broker, rig->now_ms);
    for (unsigned at = 0; at < 3; at++)
        handle ("one", given.seq[at], 1);
    assert_true (tide_broker_is_idle (rig->broker));
    die ();
    join ("one", 10);
    assert_nothing_given ("one");
}

static void a_join_is_answered_when_the_group_is_durable (void **state)
{
    (void) state;
    publish ("t", "1");
    uint64_t request = ask_to_join ("one", (join_t){.credit = 10, .start = START});
    assert_null (rig_answer (rig, request));
    assert_true (rig_commit (rig));
    assert_int_equal (rig_answer (rig, request)->kind, TIDE_MESSAGE_ACK);
    assert_int_equal (rig_answer (rig, request)->ack.first, 0);
    rig_settle (rig);
    take_one_given ("one", 1);
}

static void
g2_a_group_that_was_joined_live_misses_nothing_that_came_while_the_broker_was_dead (void **state)
{
    (void) state;
    publish ("t", "1");
    join_with ("one", (join_t){.credit = 10});
    die ();
    uint64_t seq = publish ("t", "1");
    join_with ("one", (join_t){.credit = 10});
    assert_int_equal (take_one_given ("one", 1), seq);
}

static void when_nobody_is_there_nothing_is_kept_in_memory (void **state)
{
    (void) state;
    given_t given;
    join ("one", 3);
    publish_many ("t", 30);
    take_given ("one", &given);
    handle ("one", given.seq[1], 1);
    uint64_t third = given.seq[2];
    leave_group ("one");
    assert_int_equal (group_counts ().bytes, 0);
    join ("two", 3);
    take_given ("two", &given);
    assert_int_equal (given.count, 3);
    assert_int_equal (given.attempt[0], 2);
    assert_int_equal (given.seq[1], third);
    assert_int_equal (given.attempt[1], 2);
    assert_int_equal (given.attempt[2], 2); /* given for the one that was done */
    handle ("two", given.seq[0], 2);
    take_one_given ("two", 1);
}

static void the_log_is_full_and_a_group_is_not_made (void **state)
{
    (void) state;
    rig->log.status = TIDE_LOG_FULL;
    assert_refused (join_with ("one", (join_t){.credit = 10}), TIDE_LOG_FULL, "nobody has joined");
    assert_int_equal (group_counts ().groups, 0);
    assert_int_equal (group_counts ().members, 0);
    rig->log.status = TIDE_OK;
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    assert_int_equal (take_one_given ("one", 1), seq);
    rig->log.status = TIDE_LOG_FULL;
    handle ("one", seq, 1);
    pass (1000, NULL);
    rig->log.status = TIDE_OK;
    pass (2000, NULL);
    assert_true (floor_of ("g") >= seq);
}

static void a_pause_of_the_broker_costs_nobody_an_attempt (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 10, .lease_ms = 1000});
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    rig_tick (rig, 60000);
    rig_settle (rig);
    assert_nothing_given ("one");
    handle ("one", seq, 1);
}

static void a_pause_of_the_broker_shortens_no_lease (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 10, .lease_ms = 1000});
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    rig_send (rig, "one",
              &(tide_message_t){
                  .kind = TIDE_MESSAGE_GROUP_EXTEND,
                  .group_extend = {
                      .name = tide_bytes ("g"), .seq = seq, .attempt = 1, .lease_ms = 60000}});
    rig_tick (rig, 10000);
    pass (20000, NULL);
    assert_nothing_given ("one");
    handle ("one", seq, 1);
}

/*  -- what is gone ---------------------------------------------------------------------------- */

static void trim_to (uint64_t events)
{
    rig->config.retain_events = events;
    die ();
}

static void what_was_trimmed_before_it_was_read_is_said (void **state)
{
    (void) state;
    given_t given;
    uint64_t seq = 0;
    join ("one", 1);
    publish_many ("t", 1);
    take_one_given ("one", 1);
    leave_group ("one");
    publish_many ("t", 100);
    trim_to (10);
    publish ("t", "1");
    join ("two", 1000);
    assert_int_equal (take_notes ("two", TIDE_TRIMMED, &seq), 1);
    take_given ("two", &given);
    assert_int_equal (given.count, 10);
    assert_true (given.seq[0] > seq);
    assert_int_equal (rig->broker->core.counters.groups_trimmed, 1);
    publish ("t", "1");
    assert_int_equal (take_notes ("two", TIDE_TRIMMED, &seq), 0);
}

static void what_is_in_hand_is_given_again_though_it_is_trimmed (void **state)
{
    (void) state;
    given_t given;
    rig->config.retain_events = 10;
    die ();
    join ("one", 5);
    publish_many ("t", 5);
    take_given ("one", &given);
    uint64_t first = given.seq[0];
    publish_many ("t", 100);
    join ("two", 100);
    take_given ("two", &given);
    leave_group ("one");
    take_given ("two", &given);
    assert_true (given.count >= 5);
    assert_int_equal (given.seq[0], first);
    assert_int_equal (given.attempt[0], 2);
}

static void what_was_to_be_given_again_and_is_gone_is_said (void **state)
{
    (void) state;
    given_t given;
    uint64_t told = 0;
    rig->config.retain_events = 10;
    rig->segment_events = 8;
    rig->segments_max = 4;
    die ();
    join ("one", 2);
    publish_many ("t", 2);
    take_given ("one", &given);
    uint64_t second = given.seq[1];
    leave_group ("one");
    for (int at = 0; at < 40; at++)
        publish ("t", "1");
    join ("two", 1000);
    assert_true (take_notes ("two", TIDE_TRIMMED, &told) >= 1);
    assert_true (told > second);
    take_given ("two", &given);
    assert_int_equal (given.count, 10);
    assert_true (given.seq[0] > told);
    for (unsigned at = 0; at < given.count; at++)
        handle ("two", given.seq[at], given.attempt[at]);
    pass (1000, NULL);
    assert_none_in_hand ();
    assert_true (floor_of ("g") >= given.seq[9]);
}

/*  -- removed, or written by others ----------------------------------------------------------- */

static void a_group_that_is_removed_has_no_members_any_more (void **state)
{
    (void) state;
    uint64_t seq;
    join ("one", 10);
    publish ("t", "1");
    take_one_given ("one", 1);
    rig_publish_one (rig, "gateway", "$group/g", "#group", NULL, NULL);
    rig_settle (rig);
    assert_int_equal (take_notes ("one", TIDE_NOT_FOUND, &seq), 1);
    assert_int_equal (group_counts ().groups, 0);
    assert_int_equal (group_counts ().members, 0);
    assert_none_in_hand ();
    assert_refused (say_done ("one", 1, 1, HANDLED), TIDE_NOT_FOUND, "no such group");
    pass (2000, NULL);
    assert_int_equal (record_of ("g").found, 0); /* and it does not come back by itself */
    join_with ("one", (join_t){.credit = 10, .topics = "other"});
    publish ("other", "1");
    take_one_given ("one", 1);
}

static void a_group_removed_while_its_record_is_with_the_log_is_gone (void **state)
{
    (void) state;
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    handle ("one", seq, 1);
    rig_publish_one (rig, "gateway", "$group/g", "#group", NULL, NULL);
    rig_drain (rig);                      /* the removal is with the log */
    rig_tick (rig, TIDE_GROUP_GATHER_MS); /* and the record behind it */
    rig_settle (rig);
    assert_int_equal (group_counts ().groups, 0);
    assert_int_equal (record_of ("g").found, 0);
}

static void write_record (tide_grouped_t grouped)
{
    tide_buffer_t list = {0};
    grouped.name = tide_bytes ("g");
    grouped.topics = tide_bytes ("t");
    tide_group_append (&grouped, &list);
    tide_event_t event;
    assert_true (tide_event_decode ((tide_bytes_t){list.data + 4, list.size - 4}, &event));
    rig_add (rig, &event);
    rig_publish (rig, "gateway");
    rig_settle (rig);
    tide_buffer_free (&list);
}

static void a_group_without_members_can_be_set_elsewhere (void **state)
{
    (void) state;
    given_t given;
    join ("one", 10);
    publish_many ("t", 10);
    take_given ("one", &given);
    uint64_t first = given.seq[0];
    for (unsigned at = 0; at < 10; at++)
        handle ("one", given.seq[at], 1);
    leave_group ("one");
    write_record ((tide_grouped_t){.floor = first + 6});
    join ("one", 10);
    take_given ("one", &given);
    assert_int_equal (given.count, 3);
    assert_int_equal (given.seq[0], first + 7);
}

static void one_with_members_cannot (void **state)
{
    (void) state;
    join ("one", 10);
    publish ("t", "1");
    uint64_t seq = take_one_given ("one", 1);
    write_record ((tide_grouped_t){.floor = seq + 1000, .upto = 0});
    pass (1000, NULL);
    assert_true (floor_of ("g") < seq);
    handle ("one", seq, 1);
    pass (1000, NULL);
    assert_true (floor_of ("g") >= seq);
}

static void what_is_no_record_is_no_group (void **state)
{
    (void) state;
    publish_many ("t", 1);
    rig_publish_one (rig, "gateway", "$group/x", "#group", NULL, "{}");
    rig_publish_one (rig, "gateway", "$group/g/y", "#group", NULL, "1");
    rig_settle (rig);
    assert_int_equal (rig->broker->core.counters.groups_unknown, 2);
    assert_int_equal (group_counts ().groups, 0);
    /*  A record of sequences that are not there yet. */
    write_record ((tide_grouped_t){.floor = UINT64_MAX, .upto = 5});
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    assert_int_equal (take_one_given ("one", 1), seq);
    /*  Junk in the place of a group that is known: it is there no more. */
    rig_publish_one (rig, "gateway", "$group/g", "#group", NULL, "{}");
    rig_settle (rig);
    assert_int_equal (group_counts ().groups, 0);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (acknowledgements_are_gathered_and_durable_within_a_second),
        TEST (after_a_death_what_was_not_acknowledged_is_given_again),
        TEST (a_word_of_before_the_death_counts_if_nobody_else_has_it),
        TEST (after_a_clean_stop_nothing_is_in_doubt),
        TEST (what_is_acknowledged_while_the_broker_stops_is_written_down),
        TEST (a_join_is_answered_when_the_group_is_durable),
        TEST (g2_a_group_that_was_joined_live_misses_nothing_that_came_while_the_broker_was_dead),
        TEST (when_nobody_is_there_nothing_is_kept_in_memory),
        TEST (the_log_is_full_and_a_group_is_not_made),
        TEST (a_pause_of_the_broker_costs_nobody_an_attempt),
        TEST (a_pause_of_the_broker_shortens_no_lease),
        TEST (what_was_trimmed_before_it_was_read_is_said),
        TEST (what_is_in_hand_is_given_again_though_it_is_trimmed),
        TEST (what_was_to_be_given_again_and_is_gone_is_said),
        TEST (a_group_that_is_removed_has_no_members_any_more),
        TEST (a_group_removed_while_its_record_is_with_the_log_is_gone),
        TEST (a_group_without_members_can_be_set_elsewhere),
        TEST (one_with_members_cannot),
        TEST (what_is_no_record_is_no_group),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
