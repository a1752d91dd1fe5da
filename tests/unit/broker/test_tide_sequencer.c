/*  test_tide_sequencer.c - checks publishes, gives sequences, forms batches; says nothing too soon.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig_start (rig);
    rig_hello (rig, "a", "");
    rig_hello (rig, "b", "");
    *state = rig;
    return 0;
}

static int tear_down (void **state)
{
    rig_free (*state);
    free (*state);
    return 0;
}

static void g3_nothing_is_said_before_the_log_has_it (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t request = rig_publish_one (rig, "a", "t", "k", "id", "1");
    rig_drain (rig);
    assert_non_null (rig->log.batch);
    assert_null (rig_answer (rig, request));
    assert_int_equal (rig_published (rig), 0);
    assert_int_equal (tide_broker_head (rig->broker), 0);
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 0);
    rig_commit (rig);
    assert_int_equal (rig_acked (rig, request), 1);
    assert_int_equal (rig_published (rig), 2);
    assert_int_equal (tide_broker_head (rig->broker), 1);
}

static void g3_sequences_rise_and_times_never_fall (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t time_ms = 0;
    rig_append (rig, "t", NULL, "1");
    rig->now_ms += 5;
    rig_append (rig, "t", NULL, "2");
    rig->now_ms -= 3; /* which the shell never does */
    rig_append (rig, "t", NULL, "3");
    tide_list_t events = rig_read (rig, "t", 0, 10)->events;
    tide_event_t event;
    for (uint64_t seq = 1; tide_event_next (&events, &event); seq++) {
        assert_int_equal (event.seq, seq);
        assert_true (event.time_ms >= time_ms);
        time_ms = event.time_ms;
    }
    assert_int_equal (time_ms, 1700000000005);
}

static void what_arrives_while_a_batch_is_with_the_log_gathers_for_the_next (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_drain (rig);
    uint64_t second = rig_publish_one (rig, "a", "t", NULL, NULL, "2");
    rig_drain (rig);
    uint64_t third = rig_publish_one (rig, "b", "t", NULL, NULL, "3");
    rig_drain (rig);
    assert_int_equal (rig->appends, 1);
    rig_commit (rig);
    assert_int_equal (rig->appends, 2);
    assert_int_equal (rig_acked (rig, first), 1);
    assert_null (rig_answer (rig, second));
    assert_int_equal (rig->log.batch->count, 2);
    rig_commit (rig);
    assert_int_equal (rig_acked (rig, second), 2);
    assert_int_equal (rig_acked (rig, third), 3);
}

static void g4_a_publish_that_comes_again_is_answered_with_its_first_sequence (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", NULL, "0");
    uint64_t first = rig_publish_one (rig, "a", "t", NULL, "id", "1");
    rig_settle (rig);
    uint64_t again = rig_publish_one (rig, "b", "t", NULL, "id", "1");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, first), 2);
    assert_int_equal (rig_acked (rig, again), 2);
    assert_int_equal (rig_answer (rig, again)->ack.repeated, 1);
    assert_int_equal (rig_answer (rig, first)->ack.repeated, 0);
    assert_int_equal (rig->log.last, 2);
}

static void g4_g3_a_repetition_waits_for_the_first_one (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = rig_publish_one (rig, "a", "t", NULL, "id", "1");
    uint64_t gathering = rig_publish_one (rig, "b", "t", NULL, "id", "1");
    rig_drain (rig);
    uint64_t flying = rig_publish_one (rig, "b", "t", NULL, "id", "1");
    rig_drain (rig);
    assert_null (rig_answer (rig, gathering));
    assert_null (rig_answer (rig, flying));
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, first), 1);
    assert_int_equal (rig_acked (rig, gathering), 1);
    assert_int_equal (rig_acked (rig, flying), 1);
    assert_int_equal (rig->log.last, 1);
}

static void g4_ids_are_known_after_a_restart (void **state)
{
    tide_rig_t *rig = *state;
    rig_publish_one (rig, "a", "t", NULL, "one", "1");
    rig_settle (rig);
    rig_publish_one (rig, "a", "t", NULL, "two", "2");
    rig_drain (rig);
    /*  Killed between the commit and its being heard of: the publisher asks again. */
    tide_log_completion_t completion;
    assert_true (fake_commit (&rig->log, &completion));
    tide_log_batch_destroy (&completion.batch);
    rig_restart (rig);
    uint64_t one = rig_publish_one (rig, "a", "t", NULL, "one", "1");
    uint64_t two = rig_publish_one (rig, "a", "t", NULL, "two", "2");
    uint64_t other = rig_publish_one (rig, "a", "t", NULL, "two", "3");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, one), 1);
    assert_int_equal (rig_acked (rig, two), 2);
    assert_int_equal (rig_refused (rig, other), TIDE_CONFLICT);
    assert_int_equal (rig->log.last, 2);
}

static void g4_other_content_is_a_conflict (void **state)
{
    tide_rig_t *rig = *state;
    rig_publish_one (rig, "a", "t", "k", "id", "1");
    rig_settle (rig);
    uint64_t payload = rig_publish_one (rig, "a", "t", "k", "id", "2");
    uint64_t key = rig_publish_one (rig, "a", "t", "l", "id", "1");
    uint64_t topic = rig_publish_one (rig, "a", "u", "k", "id", "1");
    rig_settle (rig);
    assert_int_equal (rig_refused (rig, payload), TIDE_CONFLICT);
    assert_int_equal (rig_answer (rig, payload)->fail.seq, 1);
    assert_int_equal (rig_refused (rig, key), TIDE_CONFLICT);
    assert_int_equal (rig_acked (rig, topic), 2);
}

static uint64_t publish_except (tide_rig_t *rig, const char *id, const char *except)
{
    rig_add (rig, &(tide_event_t){.topic = tide_bytes ("t"),
                                  .name = tide_bytes ("msg"),
                                  .id = tide_bytes (id),
                                  .except = tide_bytes (except),
                                  .payload = rig_payload ("1")});
    return rig_publish (rig, "a");
}

static void g4_whom_an_event_excepts_is_content (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = publish_except (rig, "id", "@one\n@two");
    uint64_t again = publish_except (rig, "id", "@one\n@two");
    uint64_t other = publish_except (rig, "id", "@one\n@six");
    uint64_t nobody = publish_except (rig, "id", "");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, first), 1);
    assert_int_equal (rig_answer (rig, again)->ack.repeated, 1);
    assert_int_equal (rig_refused (rig, other), TIDE_CONFLICT);
    assert_int_equal (rig_refused (rig, nobody), TIDE_CONFLICT);
    /*  It is in the log, as it was published. */
    rig_restart (rig);
    tide_list_t events = rig_read (rig, "t", 0, 10)->events;
    tide_event_t event;
    assert_true (tide_event_next (&events, &event));
    assert_true (tide_bytes_is (event.except, "@one\n@two"));
    again = publish_except (rig, "id", "@one\n@two");
    rig_settle (rig);
    assert_int_equal (rig_answer (rig, again)->ack.repeated, 1);
}

static void g4_users_do_not_share_ids (void **state)
{
    tide_rig_t *rig = *state;
    tide_event_t event = {.topic = tide_bytes ("t"),
                          .name = tide_bytes ("msg"),
                          .id = tide_bytes ("id"),
                          .payload = rig_payload ("1")};
    uint64_t requests[3];
    const char *const users[] = {"", "ann", "bob"};
    for (unsigned at = 0; at < 3; at++) {
        event.user = tide_bytes (users[at]);
        rig_add (rig, &event);
        requests[at] = rig_publish (rig, "a");
    }
    rig_settle (rig);
    for (unsigned at = 0; at < 3; at++)
        assert_int_equal (rig_acked (rig, requests[at]), at + 1);
}

static uint64_t publish_three (tide_rig_t *rig, const char *first, const char *second,
                               const char *third)
{
    rig_event (rig, "t", NULL, first, "1");
    rig_event (rig, "u", NULL, second, "2");
    rig_event (rig, "t", NULL, third, "3");
    return rig_publish (rig, "a");
}

static void g4_a_joint_publish_is_repeated_as_a_whole_or_not_at_all (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = publish_three (rig, "a", "b", "c");
    uint64_t again = publish_three (rig, "a", "b", "c");
    uint64_t in_part = publish_three (rig, "a", "b", "new");
    rig_event (rig, "t", NULL, "c", "3");
    rig_event (rig, "t", NULL, "a", "1");
    uint64_t turned = rig_publish (rig, "a");
    rig_event (rig, "u", NULL, "b", "2");
    rig_event (rig, "t", NULL, "c", "3");
    uint64_t behind = rig_publish (rig, "a");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, first), 1);
    assert_int_equal (rig_acked (rig, again), 1);
    assert_int_equal (rig_answer (rig, again)->ack.count, 3);
    assert_int_equal (rig_refused (rig, in_part), TIDE_CONFLICT);
    assert_int_equal (rig_refused (rig, turned), TIDE_CONFLICT);
    assert_int_equal (rig_acked (rig, behind), 2);
    assert_int_equal (rig->log.last, 3);
}

static void g4_all_events_of_a_publish_have_ids_of_their_own_or_none_has (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t request = publish_three (rig, "a", "b", "a");
    uint64_t some = publish_three (rig, NULL, "b", NULL);
    uint64_t none = publish_three (rig, NULL, NULL, NULL);
    rig_settle (rig);
    assert_int_equal (rig_refused (rig, request), TIDE_BAD_REQUEST);
    assert_int_equal (rig_refused (rig, some), TIDE_BAD_REQUEST);
    assert_int_equal (rig_acked (rig, none), 1);
}

static void a_joint_publish_gets_contiguous_sequences_in_one_batch (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t request = publish_three (rig, NULL, NULL, NULL);
    rig_drain (rig);
    assert_int_equal (rig->log.batch->count, 3);
    rig_settle (rig);
    assert_int_equal (rig_answer (rig, request)->ack.count, 3);
    assert_string_equal (rig_seqs (rig_read (rig, "t", 0, 10)->events), "1 3 ");
    assert_string_equal (rig_seqs (rig_read (rig, "u", 0, 10)->events), "2 ");
}

static void a_condition_must_hold (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    rig_expect (rig, "t", "k", 0);
    uint64_t none = rig_publish_one (rig, "a", "t", "k", NULL, "2");
    rig_expect (rig, "t", "k", 1);
    rig_expect (rig, "t", "other", 7);
    uint64_t one_of_two = rig_publish_one (rig, "a", "t", "k", NULL, "2");
    rig_drain (rig);
    /*  Both rest upon what is durable: nothing to wait for. */
    assert_int_equal (rig_refused (rig, none), TIDE_CONFLICT);
    assert_int_equal (rig_answer (rig, none)->fail.seq, 1);
    assert_int_equal (rig_answer (rig, one_of_two)->fail.seq, 0);
    rig_expect (rig, "t", "k", 1);
    rig_expect (rig, "t", "other", 0);
    uint64_t both = rig_publish_one (rig, "a", "t", "k", NULL, "2");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, both), 2);
}

static void g3_of_two_that_race_one_wins_and_the_other_hears_it_when_that_is_durable (void **state)
{
    tide_rig_t *rig = *state;
    rig_expect (rig, "lock", "k", 0);
    uint64_t winner = rig_publish_one (rig, "a", "lock", "k", NULL, "1");
    rig_drain (rig);
    rig_expect (rig, "lock", "k", 0);
    uint64_t loser = rig_publish_one (rig, "b", "lock", "k", NULL, "2");
    rig_expect (rig, "lock", "k", 1);
    uint64_t next = rig_publish_one (rig, "b", "lock", "k", NULL, "3");
    rig_drain (rig);
    assert_null (rig_answer (rig, loser));
    rig_commit (rig);
    assert_int_equal (rig_acked (rig, winner), 1);
    assert_int_equal (rig_refused (rig, loser), TIDE_CONFLICT);
    assert_int_equal (rig_answer (rig, loser)->fail.seq, 1);
    assert_null (rig_answer (rig, next));
    rig_commit (rig);
    assert_int_equal (rig_acked (rig, next), 2);
}

static void a_removal_counts_as_soon_as_it_is_given_its_place (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    rig_publish_one (rig, "a", "t", "k", NULL, NULL);
    rig_expect (rig, "t", "k", 1);
    uint64_t too_late = rig_publish_one (rig, "a", "t", "k", NULL, "2");
    rig_expect (rig, "t", "k", 0);
    uint64_t right = rig_publish_one (rig, "a", "t", "k", NULL, "3");
    rig_drain (rig);
    assert_null (rig_answer (rig, too_late));
    rig_settle (rig);
    assert_int_equal (rig_refused (rig, too_late), TIDE_CONFLICT);
    assert_int_equal (rig_answer (rig, too_late)->fail.seq, 0);
    assert_int_equal (rig_acked (rig, right), 3);
}

static void g4_a_repetition_is_answered_whatever_stands_now (void **state)
{
    tide_rig_t *rig = *state;
    rig_expect (rig, "t", "k", 0);
    rig_publish_one (rig, "a", "t", "k", "id", "1");
    rig_expect (rig, "t", "k", 0);
    uint64_t again = rig_publish_one (rig, "a", "t", "k", "id", "1");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, again), 1);
}

static void g3_when_the_log_is_full_everything_behind_the_head_is_undone (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    uint64_t requests[5];
    requests[0] = rig_publish_one (rig, "a", "t", "k", "id", "2");
    rig_drain (rig);
    requests[1] = rig_publish_one (rig, "a", "t", "k", "id", "2"); /* again */
    requests[2] = rig_publish_one (rig, "a", "t", "k", "id", "3"); /* other content */
    rig_expect (rig, "t", "k", 1);
    requests[3] = rig_publish_one (rig, "b", "t", "k", NULL, "4"); /* came too late */
    rig_expect (rig, "t", "k", 2);
    requests[4] = rig_publish_one (rig, "b", "t", "k", NULL, "5");
    rig->log.status = TIDE_LOG_FULL;
    rig_commit (rig);
    for (unsigned at = 0; at < 5; at++)
        assert_int_equal (rig_refused (rig, requests[at]), TIDE_LOG_FULL);
    assert_null (rig->log.batch);
    assert_int_equal (tide_broker_head (rig->broker), 1);
    assert_string_equal (rig_seqs (rig_read (rig, "t", 0, 10)->events), "1 ");
    /*  Later there is room again, and it is as if nothing had happened. */
    rig->log.status = TIDE_OK;
    rig_expect (rig, "t", "k", 1);
    uint64_t request = rig_publish_one (rig, "a", "t", "k", "id", "3");
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, request), 2);
}

static void publishes_beyond_a_batch_wait_in_order (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = 0, last = 0;
    for (unsigned at = 0; at < 3 * TIDE_BATCH_EVENTS_MAX; at++) {
        last = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
        first = first ? first : last;
    }
    rig_drain (rig);
    assert_int_equal (rig->log.batch->count, TIDE_BATCH_EVENTS_MAX);
    rig_settle (rig);
    assert_int_equal (rig->appends, 3);
    for (uint64_t request = first; request <= last; request += 1000)
        assert_int_equal (rig_acked (rig, request), request - first + 1);
}

static void bytes_limit_a_batch_too (void **state)
{
    tide_rig_t *rig = *state;
    char *json = (char *) tide_alloc (60001);
    memset (json, '1', 60000);
    for (unsigned at = 0; at < 200; at++)
        rig_publish_one (rig, "a", "t", NULL, NULL, json);
    rig_drain (rig);
    assert_true (rig->log.batch->records.size <= TIDE_BATCH_SIZE_MAX);
    assert_true (rig->log.batch->count < 200);
    rig_settle (rig);
    assert_int_equal (rig->log.last, 200);
    free (json);
}

static void too_many_that_wait_are_refused_and_the_queue_is_undone_with_the_rest (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t first = 0, last = 0;
    rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_drain (rig);
    for (unsigned at = 0; at < TIDE_BATCH_EVENTS_MAX + TIDE_CORE_QUEUE_MAX; at++) {
        last = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
        first = first ? first : last;
    }
    uint64_t refused = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_drain (rig);
    assert_int_equal (rig_refused (rig, refused), TIDE_TOO_MANY);
    rig_forget_said (rig);
    rig->log.status = TIDE_LOG_FULL;
    rig_commit (rig);
    assert_int_equal (rig_refused (rig, last), TIDE_LOG_FULL);
    assert_int_equal (rig_refused (rig, first), TIDE_LOG_FULL);
    assert_int_equal (rig->said_count, TIDE_BATCH_EVENTS_MAX + TIDE_CORE_QUEUE_MAX + 1);
}

static void g3_a_log_that_failed_stops_the_broker (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t request = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig->log.status = TIDE_BAD_REQUEST;
    rig_commit (rig);
    assert_null (rig_answer (rig, request));
    assert_int_equal (rig->said[rig->said_count - 1]->kind, TIDE_BROKER_STOP);
    assert_int_equal (rig->said[rig->said_count - 1]->status, TIDE_BAD_REQUEST);
    size_t said = rig->said_count;
    rig_publish_one (rig, "a", "t", NULL, NULL, "2");
    rig_hello (rig, "c", "");
    rig_tick (rig, 10000);
    assert_int_equal (rig->said_count, said);
    assert_true (tide_broker_is_idle (rig->broker));
    assert_int_equal (tide_broker_deadline_ms (rig->broker), UINT64_MAX);
}

static void bad_publishes_are_refused_with_what_was_wrong (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t empty = rig_publish (rig, "a");
    uint64_t topic = rig_publish_one (rig, "a", "a/#", NULL, NULL, "1");
    uint64_t removal = rig_publish_one (rig, "a", "t", NULL, NULL, NULL);
    rig_expect (rig, "t", "", 0);
    uint64_t condition = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    for (unsigned at = 0; at <= TIDE_PUBLISH_EVENTS_MAX; at++)
        rig_event (rig, "t", NULL, NULL, "1");
    uint64_t many = rig_publish (rig, "a");
    uint64_t except = publish_except (rig, "", "@sid\nt/#");
    rig_drain (rig);
    assert_int_equal (rig_refused (rig, except), TIDE_BAD_TOPIC);
    assert_int_equal (rig_refused (rig, empty), TIDE_BAD_REQUEST);
    assert_int_equal (rig_refused (rig, topic), TIDE_BAD_TOPIC);
    assert_int_equal (rig_refused (rig, removal), TIDE_BAD_REQUEST);
    assert_int_equal (rig_refused (rig, condition), TIDE_BAD_REQUEST);
    assert_int_equal (rig_refused (rig, many), TIDE_TOO_MANY);
    assert_null (rig->log.batch);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (g3_nothing_is_said_before_the_log_has_it),
        TEST (g3_sequences_rise_and_times_never_fall),
        TEST (what_arrives_while_a_batch_is_with_the_log_gathers_for_the_next),
        TEST (g4_a_publish_that_comes_again_is_answered_with_its_first_sequence),
        TEST (g4_g3_a_repetition_waits_for_the_first_one),
        TEST (g4_ids_are_known_after_a_restart),
        TEST (g4_other_content_is_a_conflict),
        TEST (g4_whom_an_event_excepts_is_content),
        TEST (g4_users_do_not_share_ids),
        TEST (g4_a_joint_publish_is_repeated_as_a_whole_or_not_at_all),
        TEST (g4_all_events_of_a_publish_have_ids_of_their_own_or_none_has),
        TEST (a_joint_publish_gets_contiguous_sequences_in_one_batch),
        TEST (a_condition_must_hold),
        TEST (g3_of_two_that_race_one_wins_and_the_other_hears_it_when_that_is_durable),
        TEST (a_removal_counts_as_soon_as_it_is_given_its_place),
        TEST (g4_a_repetition_is_answered_whatever_stands_now),
        TEST (g3_when_the_log_is_full_everything_behind_the_head_is_undone),
        TEST (publishes_beyond_a_batch_wait_in_order),
        TEST (bytes_limit_a_batch_too),
        TEST (too_many_that_wait_are_refused_and_the_queue_is_undone_with_the_rest),
        TEST (g3_a_log_that_failed_stops_the_broker),
        TEST (bad_publishes_are_refused_with_what_was_wrong),
    };
    return cmocka_run_group_tests_name ("tide_sequencer", tests, NULL, NULL);
}
