/*  test_tide_groups_hostile.c - members that say what they should not.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_rig.h"

static void assert_join_refused (join_t join, tide_status_t code, const char *why)
{
    assert_refused (join_with ("one", join), code, why);
    assert_int_equal (group_counts ().groups, 0);
    assert_int_equal (group_counts ().members, 0);
}

static void names_and_topics_that_are_none (void **state)
{
    (void) state;
    char many[65 * 8], *at = many;
    for (int topic = 0; topic < 65; topic++)
        at += sprintf (at, "%st%d", topic ? "\n" : "", topic);
    assert_join_refused ((join_t){.name = "a/b"}, TIDE_BAD_REQUEST, "one level of a topic");
    assert_join_refused ((join_t){.name = "$a"}, TIDE_BAD_REQUEST, "one level of a topic");
    assert_join_refused ((join_t){.name = "\xff"}, TIDE_BAD_REQUEST, "one level of a topic");
    assert_join_refused ((join_t){.user = "a\nb"}, TIDE_BAD_REQUEST, "user");
    assert_join_refused ((join_t){.topics = ""}, TIDE_BAD_REQUEST, "has topics");
    assert_join_refused ((join_t){.topics = "\n"}, TIDE_BAD_TOPIC, "one a line");
    assert_join_refused ((join_t){.topics = "a\n\nb"}, TIDE_BAD_TOPIC, "one a line");
    assert_join_refused ((join_t){.topics = "a/#/b"}, TIDE_BAD_TOPIC, "one a line");
    assert_join_refused ((join_t){.topics = "a\xff"}, TIDE_BAD_TOPIC, "one a line");
    assert_join_refused ((join_t){.topics = many}, TIDE_TOO_MANY, "at most 64");
    many[at - many - 4] = 0; /* one less */
    assert_acknowledged (join_with ("one", (join_t){.topics = many}));
}

static void what_a_group_writes_itself_is_not_for_groups (void **state)
{
    (void) state;
    assert_join_refused ((join_t){.topics = "$group/#"}, TIDE_BAD_TOPIC, "write");
    assert_join_refused ((join_t){.topics = "t\n$group/g"}, TIDE_BAD_TOPIC, "write");
    assert_acknowledged (join_with ("one", (join_t){.topics = "$dead/#\n#"}));
}

static void numbers_beyond_their_limits (void **state)
{
    (void) state;
    assert_join_refused ((join_t){.credit = 10001}, TIDE_BAD_REQUEST, "credit");
    assert_join_refused ((join_t){.lease_ms = 99}, TIDE_BAD_REQUEST, "lease_ms is from 100");
    assert_join_refused ((join_t){.lease_ms = 3600001}, TIDE_BAD_REQUEST, "lease_ms");
    assert_join_refused ((join_t){.attempts = 101}, TIDE_BAD_REQUEST, "attempts");
    assert_join_refused ((join_t){.delay_ms = 3600001}, TIDE_BAD_REQUEST, "delay_ms");
}

static void positions_of_another_log (void **state)
{
    (void) state;
    assert_join_refused ((join_t){.start = SINCE, .since = 100}, TIDE_EPOCH_CHANGED, "ends at 0");
    assert_join_refused ((join_t){.start = SINCE, .epoch = 5}, TIDE_EPOCH_CHANGED, "ends at 0");
    assert_acknowledged (join_with ("one", (join_t){.start = SINCE, .epoch = 0xfeed}));
}

static void a_start_that_is_none_cannot_be_read (void **state)
{
    (void) state;
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes, &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_JOIN,
                                                   .group_join = {.request = ++rig->request,
                                                                  .name = tide_bytes ("g"),
                                                                  .topics = tide_bytes ("t")}});
    enum { START_AT = 4 + 8 + 1 + 2 + 3 };
    bytes.data[START_AT] = 3;
    tide_broker_receive (rig->broker, rig->now_ms, tide_bytes ("one"), tide_buffer_bytes (&bytes));
    rig_settle (rig);
    assert_refused (rig->request, TIDE_BAD_REQUEST, "malformed GROUP_JOIN");
    tide_buffer_free (&bytes);
}

static void contradictory_members (void **state)
{
    (void) state;
    assert_acknowledged (join_with ("one", (join_t){.credit = 1, .lease_ms = 500}));
    assert_refused (join_with ("two", (join_t){.credit = 1, .topics = "u", .lease_ms = 500}),
                    TIDE_CONFLICT, "other topics");
    assert_refused (join_with ("two", (join_t){.credit = 1}), TIDE_CONFLICT,
                    "has lease_ms 500 for other members that are here, not 30000");
    assert_refused (join_with ("two", (join_t){.lease_ms = 500, .attempts = 2}), TIDE_CONFLICT,
                    "attempts");
    assert_refused (join_with ("two", (join_t){.lease_ms = 500, .delay_ms = 2}), TIDE_CONFLICT,
                    "delay_ms");
    /*  Alone it may say something else; its topics it may not. */
    assert_acknowledged (join_with ("one", (join_t){.credit = 1, .attempts = 2}));
    leave_group ("one");
    assert_acknowledged (join_with ("two", (join_t){.credit = 1, .delay_ms = 2}));
    assert_refused (join_with ("two", (join_t){.topics = "u"}), TIDE_CONFLICT, "remove it first");
}

static void more_groups_and_members_than_there_may_be (void **state)
{
    (void) state;
    char name[32];
    for (unsigned at = 0; at < TIDE_GROUPS_MAX; at++) {
        snprintf (name, sizeof name, "g%u", at);
        ask_to_join ("one", (join_t){.name = name});
    }
    rig_settle (rig);
    assert_int_equal (group_counts ().groups, TIDE_GROUPS_MAX);
    assert_refused (join_with ("one", (join_t){.name = "more"}), TIDE_TOO_MANY, "1000 groups");
    for (unsigned at = 0; at < TIDE_GROUP_MEMBERS_MAX; at++) {
        snprintf (name, sizeof name, "m%u", at);
        rig_hello (rig, name, "");
        ask_to_join (name, (join_t){.name = "g7"});
    }
    assert_int_equal (group_counts ().members, TIDE_GROUPS_MAX + TIDE_GROUP_MEMBERS_MAX - 1);
    assert_refused (rig->request, TIDE_TOO_MANY, "1000 members");
    /*  A record beyond the limit is none. */
    tide_buffer_t list = {0};
    tide_event_t event;
    tide_group_append (&(tide_grouped_t){.name = tide_bytes ("more"), .topics = tide_bytes ("t")},
                       &list);
    assert_true (tide_event_decode ((tide_bytes_t){list.data + 4, list.size - 4}, &event));
    rig_add (rig, &event);
    rig_publish (rig, "gateway");
    rig_settle (rig);
    assert_int_equal (group_counts ().groups, TIDE_GROUPS_MAX);
    tide_buffer_free (&list);
}

static void words_about_what_nobody_has (void **state)
{
    (void) state;
    assert_refused (say_done ("one", 1, 1, HANDLED), TIDE_NOT_FOUND, "no such group");
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    assert_refused (say_done ("one", 0, 0, HANDLED), TIDE_NOT_FOUND, "over");
    assert_refused (say_done ("one", UINT64_MAX, 1, HANDLED), TIDE_NOT_FOUND, "over");
    assert_refused (say_done ("one", seq, 0, HANDLED), TIDE_CONFLICT, "lent anew");
    assert_refused (say_done ("one", seq, 2, HANDLED), TIDE_CONFLICT, "lent anew");
    assert_refused (say_done_with ("one", &(tide_group_done_message_t){.name = tide_bytes ("g"),
                                                                       .user = tide_bytes ("other"),
                                                                       .seq = seq,
                                                                       .attempt = 1}),
                    TIDE_NOT_FOUND, "no such group");
    rig_send (rig, "two",
              &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_EXTEND,
                                .group_extend = {.name = tide_bytes ("none"), .seq = seq}});
    rig_send (
        rig, "two",
        &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_EXTEND,
                          .group_extend = {.name = tide_bytes ("g"), .seq = seq, .attempt = 7}});
    handle ("one", seq, 1);
    assert_refused (say_done ("one", seq, 1, HANDLED), TIDE_NOT_FOUND, "over");
}

static void words_about_what_nobody_has_any_more (void **state)
{
    (void) state;
    join_with ("one", (join_t){.credit = 10, .attempts = 1, .start = START});
    publish_many ("t", 3);
    rig_forget_said (rig);
    leave_group ("one"); /* the only attempt: they are dead */
    pass (1000, NULL);
    assert_int_equal (group_counts ().dead, 0);
    join ("one", 10);
    publish_many ("t", 3);
    given_t given;
    take_given ("one", &given);
    assert_int_equal (given.count, 3);
    leave_group ("one");
    assert_int_equal (group_counts ().bytes, 0);
    assert_acknowledged (say_done ("one", given.seq[0], 1, NEVER));
    assert_acknowledged (say_done ("one", given.seq[1], 1, AGAIN));
    assert_acknowledged (say_done ("one", given.seq[2], 1, HANDLED));
    pass (1000, NULL);
    assert_int_equal (group_counts ().waiting, 2);
    join ("two", 10);
    take_given ("two", &given);
    assert_int_equal (given.count, 2);
    assert_int_equal (given.attempt[0], 2);
}

static void a_message_that_is_not_text (void **state)
{
    (void) state;
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    assert_refused (
        say_done_with ("one", &(tide_group_done_message_t){.seq = seq,
                                                           .attempt = 1,
                                                           .outcome = NEVER,
                                                           .message = tide_bytes ("\xff")}),
        TIDE_BAD_REQUEST, "UTF-8");
    char long_text[5000];
    memset (long_text, 'x', sizeof long_text);
    assert_acknowledged (say_done_with (
        "one",
        &(tide_group_done_message_t){
            .seq = seq, .attempt = 1, .outcome = NEVER, .message = {(uint8_t *) long_text, 5000}}));
    pass (1000, NULL);
    assert_none_in_hand ();
}

static void a_wait_longer_than_any (void **state)
{
    (void) state;
    join ("one", 10);
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    assert_acknowledged (say_done_with (
        "one", &(tide_group_done_message_t){
                   .seq = seq, .attempt = 1, .outcome = AGAIN, .delay_ms = UINT32_MAX}));
    join ("one", 0);
    assert_int_equal (group_counts ().resting, 1);
    rig->now_ms += TIDE_CALL_DELAY_MS_MAX;
    pass (2000, NULL);
    assert_int_equal (group_counts ().resting, 0);
    assert_int_equal (group_counts ().waiting, 1);
}

static void joining_again_before_the_answer (void **state)
{
    (void) state;
    uint64_t first = ask_to_join ("one", (join_t){.credit = 1});
    uint64_t second = ask_to_join ("one", (join_t){.credit = 2});
    rig_settle (rig);
    assert_refused (first, TIDE_CONFLICT, "anew");
    assert_acknowledged (second);
    assert_int_equal (group_counts ().members, 1);
}

static void leaving_before_the_answer (void **state)
{
    (void) state;
    ask_to_join ("one", (join_t){.credit = 1});
    assert_acknowledged (leave_group ("one"));
    assert_int_equal (group_counts ().members, 0);
    pass (1000, NULL);
    assert_int_equal (record_of ("g").grouped.upto, 0); /* it has no members */
}

static void a_broker_that_stops_takes_no_members (void **state)
{
    (void) state;
    tide_broker_stop (rig->broker, rig->now_ms);
    assert_refused (join_with ("one", (join_t){.credit = 1}), TIDE_SHUTTING_DOWN, "stopping");
}

static void what_was_given_back_is_not_given_back_again (void **state)
{
    (void) state;
    join ("one", 1);
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    join ("one", 0);
    for (int at = 0; at < 3; at++)
        assert_acknowledged (say_done ("one", seq, 1, NOT_BEGUN));
    assert_acknowledged (say_done ("one", seq, 1, AGAIN)); /* it waits already */
    assert_int_equal (group_counts ().waiting, 1);
    join ("one", 1);
    assert_int_equal (take_one_given ("one", 2), seq);
    leave_group ("one");
    join ("two", 1);
    assert_int_equal (take_one_given ("two", 3), seq);
}

static void what_another_member_has_in_hand (void **state)
{
    (void) state;
    join ("one", 1);
    uint64_t seq = publish ("t", "1");
    join ("two", 1);
    take_one_given ("one", 1);
    for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++) {
        assert_refused (say_done ("two", seq, 1, outcome), TIDE_CONFLICT, "another member");
        assert_refused (say_done ("gateway", seq, 1, outcome), TIDE_CONFLICT, "another member");
    }
    assert_nothing_given ("two");
    assert_int_equal (group_counts ().lent, 1);
    assert_acknowledged (say_done ("one", seq, 1, AGAIN));
    for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++)
        assert_refused (say_done ("two", seq, 1, outcome), TIDE_CONFLICT, "another member");
    assert_int_equal (group_counts ().resting, 1);
    handle ("one", seq, 1); /* it has thought better of it */
}

static void extend (const char *member, uint64_t seq, uint32_t attempt)
{
    rig_send (rig, member,
              &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_EXTEND,
                                .group_extend = {.name = tide_bytes ("g"),
                                                 .seq = seq,
                                                 .attempt = attempt,
                                                 .lease_ms = 60000}});
}

static void only_its_holder_extends_a_lease (void **state)
{
    (void) state;
    join_t options = {.credit = 1, .start = START, .lease_ms = 4000, .delay_ms = 500};
    assert_acknowledged (join_with ("one", options));
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    extend ("two", seq, 1);
    extend ("one", seq, 2);
    extend ("one", seq + 1, 1);
    assert_int_equal (rig->broker->core.counters.stale, 3);
    pass (3750, NULL);
    assert_int_equal (group_counts ().lent, 1);
    pass (500, NULL);
    assert_int_equal (group_counts ().resting, 1);
    extend ("one", seq, 1);
    assert_int_equal (rig->broker->core.counters.stale, 4);
}

static void a_member_behind_another_connection_is_the_same (void **state)
{
    (void) state;
    for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++) {
        rig_hello_as (rig, "one", "", "w1");
        rig_hello_as (rig, "one again", "", "w1");
        rig_hello_as (rig, "other", "", "w2");
        join ("one", 1);
        uint64_t seq = publish ("t", "1");
        take_one_given ("one", 1);
        assert_refused (say_done ("other", seq, 1, outcome), TIDE_CONFLICT, "another member");
        assert_acknowledged (say_done ("one again", seq, 1, outcome));
        assert_int_equal (group_counts ().lent, outcome == NOT_BEGUN);
        tear_down (NULL);
        set_up (NULL);
    }
}

/*  After a start attempts are counted anew, so a number may be another's. */
static void an_attempt_from_before_a_start_is_not_anothers_of_now (void **state)
{
    (void) state;
    join_t options = {.credit = 1, .start = START, .delay_ms = 500};
    rig_hello_as (rig, "one", "", "w1");
    assert_acknowledged (join_with ("one", options));
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    assert_acknowledged (say_done ("one", seq, 1, AGAIN));
    pass (1000, NULL);
    take_one_given ("one", 2);
    rig_restart (rig);
    rig_hello_as (rig, "two", "", "w2");
    rig_hello_as (rig, "one again", "", "w1");
    rig_forget_said (rig);
    assert_acknowledged (join_with ("two", options));
    assert_int_equal (take_one_given ("two", 2), seq);
    assert_refused (say_done ("one again", seq, 2, HANDLED), TIDE_CONFLICT, "another member");
    assert_int_equal (group_counts ().lent, 1);
    handle ("two", seq, 2);
}

static void what_is_no_group_stands_in_its_place (void **state)
{
    (void) state;
    rig_publish_one (rig, "gateway", "$group/g", "#group", NULL, "{}");
    rig_settle (rig);
    assert_refused (join_with ("one", (join_t){.credit = 1}), TIDE_CONFLICT, "is no group");
    assert_int_equal (group_counts ().groups, 0);
    rig_publish_one (rig, "gateway", "$group/g", "#group", NULL, NULL);
    rig_settle (rig);
    join ("one", 1);
}

static void what_is_no_group_comes_into_its_place (void **state)
{
    (void) state;
    static const char *const keys[] = {"#group", "#group/ann"};
    static const char *const users[] = {"", "ann"};
    for (int at = 0; at < 2; at++) {
        rig_publish_one (rig, "gateway", "$group/g", keys[at], NULL, "{}");
        rig_drain (rig); /* it is with the log */
        uint64_t request = ask_to_join ("one", (join_t){.credit = 1, .user = users[at]});
        assert_int_equal (group_counts ().groups, 1);
        rig_settle (rig);
        assert_refused (request, TIDE_NOT_FOUND, "removed");
        assert_int_equal (group_counts ().groups, 0);
    }
}

static void the_memory_of_what_is_put_off_is_bounded (void **state)
{
    (void) state;
    enum { SIZE = 60000, COUNT = 900, ROUNDS = 3 };
    static given_t given;
    char *json = malloc (SIZE + 1);
    memset (json, '7', SIZE);
    json[SIZE] = 0;
    for (int at = 0; at < COUNT; at++)
        publish ("t", json);
    free (json);
    join_t all = {.credit = 1000, .start = START};
    size_t max = TIDE_GROUP_SIZE_MAX + 2 * TIDE_PAGE_SIZE_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        join_with ("one", all);
        take_given ("one", &given);
        assert_true (given.count > 0);
        for (unsigned at = 0; at < given.count; at++)
            say_done_with ("one", &(tide_group_done_message_t){.seq = given.seq[at],
                                                               .attempt = given.attempt[at],
                                                               .outcome = AGAIN,
                                                               .delay_ms = 1000});
        assert_true (group_counts ().bytes <= max);
        leave_group ("one");
    }
    pass (1000, NULL);
    unsigned total = 0;
    join_with ("two", all);
    take_given ("two", &given);
    while (given.count > 0) {
        assert_true (group_counts ().bytes <= max);
        total += given.count;
        for (unsigned at = 0; at < given.count; at++)
            handle ("two", given.seq[at], given.attempt[at]);
        take_given ("two", &given);
    }
    assert_int_equal (total, COUNT);
    assert_none_in_hand ();
}

static void a_letter_that_nobody_can_handle_is_not_written_again (void **state)
{
    (void) state;
    given_t given;
    join_with ("one", (join_t){.credit = 10, .topics = "$dead/#\nt"});
    uint64_t seq = publish ("t", "1");
    take_one_given ("one", 1);
    say_done ("one", seq, 1, NEVER);
    pass (1000, NULL);
    uint64_t letter = take_one_given ("one", 1);
    say_done ("one", letter, 1, NEVER);
    pass (1000, NULL);
    take_given ("one", &given);
    assert_int_equal (given.count, 0);
    assert_none_in_hand ();
    assert_true (floor_of ("g") >= letter);
}

static void members_that_do_not_say_hello (void **state)
{
    (void) state;
    join_with ("stranger", (join_t){.credit = 1});
    assert_int_equal (group_counts ().groups, 0);
    assert_int_equal (rig->broker->core.counters.strangers, 1);
}

static void what_is_the_brokers_to_say (void **state)
{
    (void) state;
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_NOTE,
                                .group_note = {.name = tide_bytes ("g")}});
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_EVENT,
                                .group_event = {.name = tide_bytes ("g")}});
    rig_drain (rig);
    assert_int_equal (rig->broker->core.counters.malformed, 2);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (names_and_topics_that_are_none),
        TEST (what_a_group_writes_itself_is_not_for_groups),
        TEST (numbers_beyond_their_limits),
        TEST (positions_of_another_log),
        TEST (a_start_that_is_none_cannot_be_read),
        TEST (contradictory_members),
        TEST (more_groups_and_members_than_there_may_be),
        TEST (words_about_what_nobody_has),
        TEST (words_about_what_nobody_has_any_more),
        TEST (a_message_that_is_not_text),
        TEST (a_wait_longer_than_any),
        TEST (joining_again_before_the_answer),
        TEST (leaving_before_the_answer),
        TEST (a_broker_that_stops_takes_no_members),
        TEST (what_was_given_back_is_not_given_back_again),
        TEST (what_another_member_has_in_hand),
        TEST (only_its_holder_extends_a_lease),
        TEST (a_member_behind_another_connection_is_the_same),
        TEST (an_attempt_from_before_a_start_is_not_anothers_of_now),
        TEST (what_is_no_group_stands_in_its_place),
        TEST (what_is_no_group_comes_into_its_place),
        TEST (the_memory_of_what_is_put_off_is_bounded),
        TEST (a_letter_that_nobody_can_handle_is_not_written_again),
        TEST (members_that_do_not_say_hello),
        TEST (what_is_the_brokers_to_say),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
