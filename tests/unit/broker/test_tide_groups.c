/*  test_tide_groups.c - groups: each event to one member, against a whole broker.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_rig.h"

/*  -- to one member --------------------------------------------------------------------------- */

static void each_event_goes_to_one_member (void **state)
{
    (void) state;
    given_t one, two;
    join ("one", 10);
    join ("two", 10);
    publish_many ("t", 10);
    take_given ("one", &one);
    take_given ("two", &two);
    assert_int_equal (one.count, 5);
    assert_int_equal (two.count, 5);
    bool seen[64] = {false};
    for (unsigned at = 0; at < 5; at++) {
        assert_false (seen[one.seq[at]] || seen[two.seq[at]] || one.seq[at] == two.seq[at]);
        seen[one.seq[at]] = seen[two.seq[at]] = true;
        assert_int_equal (one.attempt[at], 1);
    }
    assert_int_equal (one.lease_ms, 30000);
}

static void events_are_given_as_far_as_there_is_credit (void **state)
{
    (void) state;
    given_t given;
    publish_many ("t", 20);
    join ("one", 3);
    take_given ("one", &given);
    assert_int_equal (given.count, 3);
    assert_int_equal (given.seq[0], 1);
    handle ("one", given.seq[1], 1);
    assert_int_equal (take_one_given ("one", 1), 4);
    join ("one", 5); /* said anew: more credit */
    take_given ("one", &given);
    assert_int_equal (given.count, 2);
    join ("one", 0);
    handle ("one", 1, 1);
    assert_nothing_given ("one");
}

static void a_whole_history_is_read_page_by_page (void **state)
{
    (void) state;
    static given_t given;
    publish_many ("t", 2500);
    publish_many ("other", 100);
    publish_many ("t", 500);
    join ("one", 1000);
    uint64_t last = 0;
    unsigned total = 0;
    for (take_given ("one", &given); given.count > 0; take_given ("one", &given)) {
        for (unsigned at = 0; at < given.count; at++) {
            assert_true (given.seq[at] > last);
            last = given.seq[at];
            total++;
            say_done ("one", given.seq[at], 1, HANDLED);
        }
    }
    assert_int_equal (total, 3000);
    assert_none_in_hand ();
}

static void a_group_has_topics_and_subtrees (void **state)
{
    (void) state;
    given_t given;
    assert_acknowledged (
        join_with ("one", (join_t){.credit = 100, .topics = "z\na/#\na/b\nz", .start = START}));
    publish ("a", "1");
    publish ("a/b", "1");
    publish ("b", "1");
    publish ("z", "1");
    take_given ("one", &given);
    assert_int_equal (given.count, 3);
    assert_string_equal (given.topic, "z");
    /*  The same topics, said in another way. */
    assert_acknowledged (join_with ("two", (join_t){.credit = 1, .topics = "a/b\na/#\nz\n"}));
}

static void a_new_group_begins_where_it_is_told (void **state)
{
    (void) state;
    given_t given;
    publish_many ("t", 4);
    join_with ("one", (join_t){.name = "live", .credit = 10});
    assert_nothing_given ("one");
    join_with ("one", (join_t){.name = "start", .credit = 10, .start = START});
    take_given ("one", &given);
    assert_int_equal (given.count, 4);
    join_with ("one", (join_t){.name = "since", .credit = 10, .start = SINCE, .since = 2});
    take_given ("one", &given);
    assert_int_equal (given.count, 2);
    assert_int_equal (given.seq[0], 3);
    /*  Where it is known already, it goes on from where it was. */
    join_with ("two", (join_t){.name = "live", .credit = 10, .start = START});
    assert_nothing_given ("two");
    publish ("t", "1");
    take_given ("one", &given);
    assert_int_equal (given.count, 3); /* one of each */
}

static void g9_volatile_events_go_to_no_group (void **state)
{
    (void) state;
    join ("one", 10);
    rig_add (rig, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                  .topic = tide_bytes ("t"),
                                  .name = tide_bytes ("msg"),
                                  .payload = rig_payload ("1")});
    rig_publish (rig, "gateway");
    rig_settle (rig);
    assert_nothing_given ("one");
}

static void g3_an_event_is_given_when_it_is_durable (void **state)
{
    (void) state;
    join ("one", 10);
    rig_publish_one (rig, "gateway", "t", NULL, NULL, "1");
    rig_drain (rig);
    assert_nothing_given ("one");
    rig_settle (rig);
    take_one_given ("one", 1);
}

static void a_removal_is_an_event_as_well (void **state)
{
    (void) state;
    join ("one", 10);
    rig_publish_one (rig, "gateway", "t", "k", NULL, "1");
    rig_publish_one (rig, "gateway", "t", "k", NULL, NULL);
    rig_settle (rig);
    given_t given;
    take_given ("one", &given);
    assert_int_equal (given.count, 2);
}

/*  -- again to another ------------------------------------------------------------------------ */

static void what_a_dead_member_had_goes_to_another (void **state)
{
    (void) state;
    given_t one, two;
    join ("one", 2);
    publish_many ("t", 4);
    join ("two", 10);
    take_given ("one", &one);
    take_given ("two", &two);
    assert_int_equal (one.count, 2);
    assert_int_equal (two.count, 2);
    pass (2000, "one");
    assert_nothing_given ("two");
    pass (1000, "one");
    take_given ("two", &two);
    assert_int_equal (two.count, 2);
    assert_int_equal (two.seq[0], one.seq[0]);
    assert_int_equal (two.attempt[0], 2);
    assert_int_equal (group_counts ().members, 1);
    /*  Late: it is another's now. */
    rig_hello (rig, "one", "");
    assert_refused (say_done ("one", one.seq[0], 1, HANDLED), TIDE_CONFLICT, "lent anew");
    handle ("two", one.seq[0], 2);
    assert_refused (say_done ("one", one.seq[0], 1, HANDLED), TIDE_NOT_FOUND, "over");
}

static void a_member_that_leaves_gives_back_what_it_has (void **state)
{
    (void) state;
    given_t one, two;
    join ("one", 10);
    publish_many ("t", 3);
    take_given ("one", &one);
    join ("two", 10);
    assert_acknowledged (leave_group ("one"));
    take_given ("two", &two);
    assert_int_equal (two.count, 3);
    assert_int_equal (two.seq[0], one.seq[0]); /* in order */
    assert_int_equal (two.seq[2], one.seq[2]);
    assert_acknowledged (leave_group ("one")); /* it is not there: as it was to be */
}

static void a_member_that_leaves_before_it_has_joined_is_told (void **state)
{
    (void) state;
    uint64_t asked = ask_to_join ("one", (join_t){.credit = 1});
    assert_null (rig_answer (rig, asked)); /* the record is not durable */
    assert_acknowledged (leave_group ("one"));
    assert_refused (asked, TIDE_CONFLICT, "left");
}

static void what_is_not_answered_in_time_goes_to_another (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 1, .lease_ms = 1000, .delay_ms = 1});
    publish ("t", "1");
    uint64_t seq = take_one_given ("one", 1);
    join_with ("one", (join_t){.credit = 0, .lease_ms = 1000, .delay_ms = 1});
    join_with ("two", (join_t){.credit = 1, .lease_ms = 1000, .delay_ms = 1});
    pass (750, NULL);
    rig_send (rig, "one",
              &(tide_message_t){
                  .kind = TIDE_MESSAGE_GROUP_EXTEND,
                  .group_extend = {
                      .name = tide_bytes ("g"), .seq = seq, .attempt = 1, .lease_ms = 2000}});
    pass (1750, NULL);
    assert_nothing_given ("two");
    pass (1000, NULL);
    assert_int_equal (take_one_given ("two", 2), seq);
}

static void what_fails_is_tried_again_later_and_later (void **state)
{
    (void) state;
    join ("one", 10);
    publish ("t", "1");
    uint64_t seq = take_one_given ("one", 1);
    assert_acknowledged (say_done ("one", seq, 1, AGAIN));
    pass (750, NULL);
    assert_nothing_given ("one");
    pass (500, NULL);
    take_one_given ("one", 2);
    assert_acknowledged (say_done ("one", seq, 2, AGAIN));
    pass (1750, NULL);
    assert_nothing_given ("one");
    pass (500, NULL);
    take_one_given ("one", 3);
    say_done_with ("one", &(tide_group_done_message_t){
                              .seq = seq, .attempt = 3, .outcome = AGAIN, .delay_ms = 300});
    pass (500, NULL);
    take_one_given ("one", 4);
    handle ("one", seq, 4);
    assert_none_in_hand ();
}

static void what_comes_back_goes_before_what_is_new (void **state)
{
    (void) state;
    given_t given;
    join ("one", 2);
    publish_many ("t", 6);
    take_given ("one", &given);
    uint64_t first = given.seq[0];
    say_done_with ("one", &(tide_group_done_message_t){
                              .seq = first, .attempt = 1, .outcome = AGAIN, .delay_ms = 1});
    take_given ("one", &given); /* the third */
    assert_int_equal (given.count, 1);
    pass (250, NULL);
    handle ("one", given.seq[0], 1);
    assert_int_equal (take_one_given ("one", 2), first);
}

/*  -- too often ------------------------------------------------------------------------------- */

static void assert_letter (const char *code, uint32_t attempts, const char *json)
{
    published_t found;
    char text[1024], part[64];
    find_published ("$dead/g", &found);
    assert_int_equal (found.count, 1);
    snprintf (text, sizeof text, "%.*s", TIDE_PRINT (found.args[0].json));
    snprintf (part, sizeof part, "[{\"code\":\"%s\",", code);
    assert_memory_equal (text, part, strlen (part));
    snprintf (part, sizeof part, "\"attempts\":%u,\"group\":\"g\",\"seq\":", attempts);
    assert_non_null (strstr (text, part));
    assert_non_null (strstr (text, json));
}

static void after_the_last_attempt_it_is_a_dead_letter_and_acknowledged (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 10, .attempts = 2, .delay_ms = 1});
    uint64_t seq = publish ("t", "{\"a\":1}");
    take_one_given ("one", 1);
    say_done ("one", seq, 1, AGAIN);
    pass (250, NULL);
    take_one_given ("one", 2);
    rig_forget_said (rig);
    say_done_with ("one",
                   &(tide_group_done_message_t){.seq = seq,
                                                .attempt = 2,
                                                .outcome = AGAIN,
                                                .message = tide_bytes ("no such \"parcel\"")});
    assert_refused (say_done ("one", seq, 2, HANDLED), TIDE_CONFLICT, "dead");
    pass (1000, NULL);
    assert_letter ("worker_failed", 2, "no such \\\"parcel\\\" (attempt 2 of 2)");
    assert_letter ("worker_failed", 2, ",\"topic\":\"t\"},{\"a\":1}]");
    assert_none_in_hand ();
    assert_true (floor_of ("g") >= seq);
    die ();
    join_with ("one", (join_t){.credit = 10, .attempts = 2, .delay_ms = 1});
    assert_nothing_given ("one");
}

static void a_member_may_say_never_again (void **state)
{
    (void) state;
    join ("one", 10);
    uint64_t seq = publish ("t", "7");
    take_one_given ("one", 1);
    assert_acknowledged (say_done ("one", seq, 1, NEVER));
    pass (1000, NULL);
    assert_letter ("worker_failed", 1, ",7]");
}

static void what_nobody_began_costs_no_attempt (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 1, .attempts = 1, .start = START});
    uint64_t seq = publish ("t", "1");
    for (uint32_t attempt = 1; attempt <= TIDE_CALL_ATTEMPTS_MAX; attempt++) {
        assert_int_equal (take_one_given ("one", attempt), seq);
        assert_acknowledged (say_done ("one", seq, attempt, NOT_BEGUN));
    }
    /*  Not for ever, though. */
    take_one_given ("one", TIDE_CALL_ATTEMPTS_MAX + 1);
    rig_forget_said (rig);
    say_done ("one", seq, TIDE_CALL_ATTEMPTS_MAX + 1, NOT_BEGUN);
    pass (1000, NULL);
    assert_letter ("worker_failed", 1, "members only give it back");
}

static void what_is_given_back_twice_is_given_back_once (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 1, .attempts = 2, .delay_ms = 1});
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    join_with ("one", (join_t){.credit = 0, .attempts = 2, .delay_ms = 1});
    for (int times = 0; times < 3; times++)
        assert_acknowledged (say_done ("one", seq, 1, NOT_BEGUN));
    join_with ("one", (join_t){.credit = 1, .attempts = 2, .delay_ms = 1});
    for (uint32_t attempt = 2; attempt <= 3; attempt++) {
        take_one_given ("one", attempt);
        rig_forget_said (rig);
        assert_acknowledged (say_done ("one", seq, attempt, AGAIN));
        pass (1000, NULL);
    }
    assert_letter ("worker_failed", 2, "(attempt 2 of 2)");
    assert_none_in_hand ();
}

static void an_event_that_kills_its_only_member_is_dead_in_the_end (void **state)
{
    (void) state;
    uint64_t seq = publish ("t", "1");
    for (uint32_t attempt = 1; attempt <= 5; attempt++) {
        rig_hello (rig, "one", "");
        join ("one", 1);
        assert_int_equal (take_one_given ("one", attempt), seq);
        tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("one"));
        rig_settle (rig);
    }
    pass (1000, NULL);
    assert_letter ("worker_failed", 5, "the member died (attempt 5 of 5)");
    join ("two", 1);
    assert_nothing_given ("two");
}

static void letters_and_the_record_stand_or_fall_together (void **state)
{
    (void) state;
    join ("one", 100);
    uint64_t seq = publish ("t", "1");
    say_done ("one", seq, 1, NEVER);
    rig->log.status = TIDE_LOG_FULL;
    pass (1000, NULL);
    published_t found;
    find_published ("$dead/g", &found);
    assert_int_equal (found.count, 0);
    assert_int_equal (group_counts ().dead, 1);
    rig->log.status = TIDE_OK;
    pass (2000, NULL);
    assert_letter ("worker_failed", 1, ",1]");
    assert_none_in_hand ();
}

/*  -- the window ------------------------------------------------------------------------------ */

static void one_that_is_stuck_holds_the_floor_but_not_the_others (void **state)
{
    (void) state;
    static given_t given;
    join ("one", 10);
    publish_many ("t", 200);
    take_given ("one", &given);
    uint64_t stuck = given.seq[0];
    unsigned total = 0;
    while (total < 199) {
        for (unsigned at = 0; at < given.count; at++)
            if (given.seq[at] != stuck) {
                handle ("one", given.seq[at], 1);
                total++;
            }
        take_given ("one", &given);
        assert_true (given.count > 0 || total == 199);
    }
    pass (1000, NULL);
    standing_t standing = record_of ("g");
    assert_int_equal (standing.grouped.floor, stuck - 1);
    assert_int_equal (standing.grouped.acked.size, 199 * 4);
    die ();
    join ("one", 1000);
    assert_int_equal (take_one_given ("one", 2), stuck);
    handle ("one", stuck, 2);
    pass (1000, NULL);
    assert_none_in_hand ();
    assert_true (floor_of ("g") >= stuck + 199);
}

static void a_window_that_is_full_stops_reading_until_the_stuck_one_is_done (void **state)
{
    (void) state;
    static given_t given;
    join ("one", 500);
    publish_many ("t", 12000);
    take_given ("one", &given);
    uint64_t stuck = given.seq[0];
    unsigned total = 1;
    while (given.count > 0) {
        given_t *now = malloc (sizeof *now);
        *now = given;
        for (unsigned at = 0; at < now->count; at++)
            if (now->seq[at] != stuck) {
                say_done ("one", now->seq[at], 1, HANDLED);
                total++;
            }
        free (now);
        rig_send (rig, "one",
                  &(tide_message_t){
                      .kind = TIDE_MESSAGE_GROUP_EXTEND,
                      .group_extend = {.name = tide_bytes ("g"), .seq = stuck, .attempt = 1}});
        take_given ("one", &given);
        rig_forget_said (rig);
    }
    assert_int_equal (total, TIDE_GROUP_WINDOW_MAX);
    handle ("one", stuck, 1);
    take_given ("one", &given);
    assert_int_equal (given.count, 500);
}

static void groups_and_users_are_apart (void **state)
{
    (void) state;
    given_t given;
    assert_acknowledged (join_with ("one", (join_t){.credit = 10}));
    assert_acknowledged (join_with ("one", (join_t){.credit = 10, .user = "ann"}));
    assert_acknowledged (join_with ("one", (join_t){.credit = 10, .name = "h"}));
    publish ("t", "1");
    take_given ("one", &given);
    assert_int_equal (given.count, 3);
    assert_int_equal (group_counts ().groups, 3);
    assert_int_equal (group_counts ().members, 3);
    die ();
    assert_int_equal (group_counts ().groups, 3);
    pass (3000, "one");
    assert_int_equal (group_counts ().members, 0);
}

static void what_is_told_as_numbers (void **state)
{
    (void) state;
    join ("one", 2);
    publish_many ("t", 4);
    tide_groups_counts_t now = group_counts ();
    assert_int_equal (now.groups, 1);
    assert_int_equal (now.members, 1);
    assert_int_equal (now.lent, 2);
    assert_int_equal (now.waiting, 2);
    assert_true (now.bytes > 0);
    rig_send (rig, "gateway",
              &(tide_message_t){.kind = TIDE_MESSAGE_STATS_READ,
                                .stats_read = {.request = ++rig->request}});
    rig_drain (rig);
    tide_list_t list = rig_answer (rig, rig->request)->stats.stats;
    tide_stat_t stat;
    unsigned found = 0;
    while (tide_stat_next (&list, &stat))
        found +=
            (tide_bytes_is (stat.name, "tidemark_broker_group_read{state=\"lent\"}")
             && stat.value == 2)
            || (tide_bytes_is (stat.name, "tidemark_broker_group_events_total") && stat.value == 2);
    assert_int_equal (found, 2);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (each_event_goes_to_one_member),
        TEST (events_are_given_as_far_as_there_is_credit),
        TEST (a_whole_history_is_read_page_by_page),
        TEST (a_group_has_topics_and_subtrees),
        TEST (a_new_group_begins_where_it_is_told),
        TEST (g9_volatile_events_go_to_no_group),
        TEST (g3_an_event_is_given_when_it_is_durable),
        TEST (a_removal_is_an_event_as_well),
        TEST (what_a_dead_member_had_goes_to_another),
        TEST (what_is_given_back_twice_is_given_back_once),
        TEST (a_member_that_leaves_gives_back_what_it_has),
        TEST (a_member_that_leaves_before_it_has_joined_is_told),
        TEST (what_is_not_answered_in_time_goes_to_another),
        TEST (what_fails_is_tried_again_later_and_later),
        TEST (what_comes_back_goes_before_what_is_new),
        TEST (after_the_last_attempt_it_is_a_dead_letter_and_acknowledged),
        TEST (a_member_may_say_never_again),
        TEST (what_nobody_began_costs_no_attempt),
        TEST (an_event_that_kills_its_only_member_is_dead_in_the_end),
        TEST (letters_and_the_record_stand_or_fall_together),
        TEST (one_that_is_stuck_holds_the_floor_but_not_the_others),
        TEST (a_window_that_is_full_stops_reading_until_the_stuck_one_is_done),
        TEST (groups_and_users_are_apart),
        TEST (what_is_told_as_numbers),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
