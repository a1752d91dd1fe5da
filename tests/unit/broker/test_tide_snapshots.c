/*  test_tide_snapshots.c - what stands, frozen at one sequence.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig->segment_events = 10;
    rig->segments_max = 4;
    rig->config.retain_events = 20;
    rig_start (rig);
    rig_hello (rig, "a", "");
    *state = rig;
    return 0;
}

static int tear_down (void **state)
{
    rig_free (*state);
    free (*state);
    return 0;
}

static uint64_t ask (tide_rig_t *rig, uint64_t request, const char *topic, uint32_t part)
{
    if (request == 0)
        request = ++rig->request;
    rig_send (rig, "a",
              &(tide_message_t){.kind = TIDE_MESSAGE_SNAPSHOT,
                                .snapshot = {request, tide_bytes (topic), part}});
    rig_drain (rig);
    return request;
}

static const tide_standing_message_t *standing_of (tide_rig_t *rig, uint64_t request)
{
    while (rig_fetch (rig))
        continue;
    const tide_message_t *answer = rig_answer (rig, request);
    assert_true (answer && answer->kind == TIDE_MESSAGE_STANDING);
    return &answer->standing;
}

/*  As "3 5 8 ". */
static const char *snapshot (tide_rig_t *rig, const char *topic)
{
    return rig_seqs (standing_of (rig, ask (rig, 0, topic, 0))->events);
}

static void what_stands_is_given_with_the_sequence_at_which_it_does (void **state)
{
    tide_rig_t *rig = *state;
    assert_string_equal (snapshot (rig, "t"), "");
    rig_append (rig, "t", "k", "1");
    rig_append (rig, "t", "l", "1");
    rig_append (rig, "t", "k", "2");
    rig_append (rig, "t/u", "k", "3");
    rig_append (rig, "$s", "k", "4");
    rig_append (rig, "t", NULL, "5");
    const tide_standing_message_t *standing = standing_of (rig, ask (rig, 0, "t", 0));
    assert_string_equal (rig_seqs (standing->events), "2 3 ");
    assert_int_equal (standing->seq, 6);
    assert_int_equal (standing->part + standing->more, 0);
    assert_string_equal (snapshot (rig, "t/#"), "2 3 4 ");
    assert_string_equal (snapshot (rig, "#"), "2 3 4 ");
    assert_string_equal (snapshot (rig, "$s/#"), "5 ");
    rig_append (rig, "t", "l", NULL);
    assert_string_equal (snapshot (rig, "t"), "3 ");
}

static void standing_events_outlive_their_segments_and_restarts (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    rig_append (rig, "t", "l", "1");
    for (unsigned at = 0; at < 200; at++)
        rig_append (rig, "other", NULL, "1");
    assert_string_equal (snapshot (rig, "t"), "1 2 ");
    assert_int_equal (fake_find (&rig->log, 1)->segment, 0);
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 0);
    rig_restart (rig);
    assert_string_equal (snapshot (rig, "t"), "1 2 ");
    rig_append (rig, "t", "l", "2");
    assert_string_equal (snapshot (rig, "t"), "1 203 ");
    rig_append (rig, "other", NULL, "1");
    /*  What was set aside and does not stand any more is forgotten. */
    assert_null (fake_find (&rig->log, 2));
    assert_non_null (fake_find (&rig->log, 1));
}

static void a_large_snapshot_comes_in_parts_of_one_moment (void **state)
{
    tide_rig_t *rig = *state;
    enum { KEYS = 700 };
    char *json = (char *) tide_alloc (1001);
    memset (json, '1', 1000);
    for (unsigned at = 0; at < KEYS; at++) {
        char key[16];
        snprintf (key, sizeof key, "k%u", at);
        rig_publish_one (rig, "a", "t", key, NULL, json);
    }
    rig_settle (rig);
    uint64_t seq = 0, request = 0;
    for (uint32_t part = 0;; part++) {
        request = ask (rig, request, "t", part);
        const tide_standing_message_t *standing = standing_of (rig, request);
        assert_int_equal (standing->part, part);
        assert_int_equal (standing->seq, KEYS);
        assert_true (standing->events.bytes.size <= TIDE_SNAPSHOT_PART_SIZE_MAX);
        tide_list_t events = standing->events;
        tide_event_t event;
        while (tide_event_next (&events, &event))
            assert_int_equal (event.seq, ++seq);
        if (!standing->more)
            break;
        /*  Asked for once more, it is given once more. */
        request = ask (rig, request, "t", part);
        assert_int_equal (standing_of (rig, request)->part, part);
        /*  A change in between does not show. */
        rig_append (rig, "other", NULL, "1");
    }
    assert_int_equal (seq, KEYS);
    free (json);
}

static void asking_twice_while_it_is_fetched_gives_one_answer (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    uint64_t request = ask (rig, 0, "t", 0);
    ask (rig, request, "t", 0);
    assert_int_equal (rig->log.fetch_count, 1);
    assert_int_equal (standing_of (rig, request)->events.count, 1);
}

static void it_begins_again_where_an_event_has_gone_meanwhile (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    rig_append (rig, "t", "l", "1");
    uint64_t request = ask (rig, 0, "t", 0);
    for (unsigned at = 0; at < 100; at++) {
        rig_publish_one (rig, "a", "t", "k", NULL, "2");
        rig_commit (rig);
    }
    assert_null (fake_find (&rig->log, 1));
    const tide_standing_message_t *standing = standing_of (rig, request);
    assert_string_equal (rig_seqs (standing->events), "2 102 ");
    assert_int_equal (standing->seq, 102);
    assert_int_equal (rig->broker->core.counters.snapshots_again, 1);
}

static void g5_a_standing_event_that_is_damaged_stands_no_more (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    rig_append (rig, "t", "l", "1");
    fake_find (&rig->log, 1)->is_damaged = true;
    assert_string_equal (snapshot (rig, "t"), "2 ");
    assert_int_equal (rig_lost (rig_read (rig, "t", 0, 10)), 1);
}

static void a_part_of_one_that_is_not_known_begins_anew (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    uint64_t request = ask (rig, 77, "t", 5);
    assert_int_equal (standing_of (rig, request)->part, 0);
    rig_append (rig, "t", "l", "1");
    assert_string_equal (rig_seqs (standing_of (rig, ask (rig, 77, "t", 0))->events), "1 2 ");
}

static void snapshots_are_limited_in_number_and_time (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX; at++)
        ask (rig, 0, "t", 0);
    uint64_t waiting = ask (rig, 0, "t", 0);
    assert_null (rig_answer (rig, waiting));
    fake_kill (&rig->log); /* the log is stuck */
    uint64_t last = rig->request;
    for (unsigned at = 0; at < TIDE_CORE_SNAPSHOT_MS / 1000; at++) {
        rig_tick (rig, 1000);
        rig_send (rig, "a", &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        rig_drain (rig);
    }
    assert_int_equal (rig_refused (rig, last - 1), TIDE_TIMEOUT);
    assert_int_equal (tide_snapshots_count (rig->broker->snapshots), 0);
}

static void a_part_asks_the_log_for_so_many_at_once (void **state)
{
    tide_rig_t *rig = *state;
    enum { KEYS = 5000 };
    char key[16];
    for (unsigned at = 0; at < KEYS; at++) {
        snprintf (key, sizeof key, "k%u", at);
        rig_publish_one (rig, "a", "t", key, NULL, "1");
    }
    rig_settle (rig);
    uint64_t request = ask (rig, 0, "t", 0);
    assert_int_equal (rig->log.fetch[0]->count, 4096);
    uint32_t count = 0;
    for (uint32_t part = 1;; part++) {
        const tide_standing_message_t *standing = standing_of (rig, request);
        count += standing->events.count;
        if (!standing->more)
            break;
        ask (rig, request, "t", part);
    }
    assert_int_equal (count, KEYS);
}

/*  What changes faster than it can be read. */
static void one_that_never_ends_is_given_up (void **state)
{
    tide_rig_t *rig = *state;
    tide_log_completion_t completion;
    rig_append (rig, "t", "k", "1");
    uint64_t request = ask (rig, 0, "t", 0);
    rig->now_ms += TIDE_CORE_SNAPSHOT_MS;
    rig_drain (rig);
    fake_remove (&rig->log, 0);
    assert_true (fake_answer (&rig->log, &completion));
    tide_broker_complete (rig->broker, rig->now_ms, &completion);
    rig_drain (rig);
    assert_int_equal (rig_refused (rig, request), TIDE_TIMEOUT);
    assert_int_equal (tide_snapshots_count (rig->broker->snapshots), 0);
}

static void no_more_than_so_many_are_under_way (void **state)
{
    tide_rig_t *rig = *state;
    char *json = (char *) tide_alloc (60001);
    char key[16];
    memset (json, '1', 60000);
    for (unsigned at = 0; at < 6; at++) {
        snprintf (key, sizeof key, "k%u", at);
        rig_append (rig, "t", key, json);
    }
    for (unsigned at = 0; at < TIDE_CORE_SNAPSHOTS_MAX; at++) {
        assert_int_equal (standing_of (rig, ask (rig, 0, "t", 0))->more, 1);
        rig_forget_said (rig);
    }
    assert_int_equal (rig_refused (rig, ask (rig, 0, "t", 0)), TIDE_TOO_MANY);
    free (json);
}

static void a_peer_that_is_gone_ends_its_snapshots (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", "k", "1");
    uint64_t request = ask (rig, 0, "t", 0);
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("a"));
    assert_int_equal (tide_snapshots_count (rig->broker->snapshots), 0);
    rig_settle (rig);
    assert_null (rig_answer (rig, request));
    assert_true (tide_broker_is_idle (rig->broker));
}

static void a_bad_topic_is_refused (void **state)
{
    tide_rig_t *rig = *state;
    assert_int_equal (rig_refused (rig, ask (rig, 0, "a#", 0)), TIDE_BAD_TOPIC);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (what_stands_is_given_with_the_sequence_at_which_it_does),
        TEST (standing_events_outlive_their_segments_and_restarts),
        TEST (a_large_snapshot_comes_in_parts_of_one_moment),
        TEST (asking_twice_while_it_is_fetched_gives_one_answer),
        TEST (it_begins_again_where_an_event_has_gone_meanwhile),
        TEST (g5_a_standing_event_that_is_damaged_stands_no_more),
        TEST (a_part_of_one_that_is_not_known_begins_anew),
        TEST (snapshots_are_limited_in_number_and_time),
        TEST (a_part_asks_the_log_for_so_many_at_once),
        TEST (one_that_never_ends_is_given_up),
        TEST (no_more_than_so_many_are_under_way),
        TEST (a_peer_that_is_gone_ends_its_snapshots),
        TEST (a_bad_topic_is_refused),
    };
    return cmocka_run_group_tests_name ("tide_snapshots", tests, NULL, NULL);
}
