/*  test_tide_retention.c - how the history that is kept becomes segments of the log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig->segment_events = 10;
    rig->segments_max = 5;
    rig->ghosts_max = 3;
    rig->config.retain_events = 25;
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

static void segments_hold_the_history_and_some_more (void **state)
{
    (void) state;
    tide_broker_config_t config = {.retain_events = 1000000};
    unsigned segments = tide_broker_segments (&config);
    /*  One less is in use at most; one is being filled, one is half outlived. */
    assert_true ((uint64_t) (segments - 3) * TIDE_LOG_SEGMENT_EVENTS >= 2125000);
    assert_true (segments <= 2125000 / TIDE_LOG_SEGMENT_EVENTS + 5);
    config.retain_events = 0;
    assert_int_equal (tide_broker_segments (&config), 4);
    config.retain_events = TIDE_RETAIN_EVENTS_MAX;
    config.retain_bytes = 1ull << 50;
    assert_in_range (tide_broker_segments (&config), 2, TIDE_LOG_SEGMENTS_MAX);
    config.retain_events = UINT64_MAX;
    assert_int_equal (tide_broker_segments (&config), 65535);
}

static void a_segment_is_begun_when_the_one_before_is_full (void **state)
{
    tide_rig_t *rig = *state;
    for (unsigned at = 0; at < 7; at++) {
        for (unsigned event = 0; event < 3; event++)
            rig_event (rig, "t", NULL, NULL, "1");
        rig_publish (rig, "a");
        rig_drain (rig);
        /*  Whole batches: 12, then 9 events. */
        assert_int_equal (rig->log.batch->begin_segment, at == 0 || at == 4);
        rig_settle (rig);
    }
    assert_int_equal (rig->log.segments, 2);
    /*  A restart does not begin one. */
    rig_restart (rig);
    rig_append (rig, "t", NULL, "1");
    assert_int_equal (rig->log.segments, 2);
    rig_append (rig, "t", NULL, "1");
    assert_int_equal (rig->log.segments, 3);
}

static void the_log_never_has_more_segments_than_it_has_room_for (void **state)
{
    tide_rig_t *rig = *state;
    for (unsigned at = 0; at < 500; at++) {
        rig_append (rig, at % 7 ? "t" : "$s", at % 50 ? NULL : "k", "1");
        assert_true (rig->log.segments <= 4);
        if (at % 90 == 0)
            rig_restart (rig);
    }
    /*  Yet all that must be there is. */
    assert_int_equal (rig_lost (rig_read (rig, "$s", 0, 1000)), 0);
    assert_int_equal (rig_read (rig, "$s", 0, 1000)->events.count, 72);
    assert_int_equal (rig_read (rig, "t", rig_lost (rig_read (rig, "t", 0, 0)), 1000)->events.count,
                      25);
}

static void segments_of_which_nothing_is_alive_go_early (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->config.retain_events = 3;
    rig_restart (rig);
    rig_append (rig, "t", "k", "1");
    for (unsigned at = 0; at < 100; at++)
        rig_append (rig, "t", NULL, "1");
    assert_int_equal (rig->log.segments, 2);
    /*  The key, the closed segment and the one that was just begun. */
    assert_int_equal (rig->log.count, 1 + 10 + 1);
}

/*  Large events: the history's limit in bytes is about the disk's, too. */
static void bytes_bound_what_the_log_holds (void **state)
{
    tide_rig_t *rig = *state;
    static char json[60003];
    rig_kill (rig);
    rig->config.retain_bytes = 16u << 20;
    rig->config.retain_events = 1000000;
    rig->segment_events = TIDE_LOG_SEGMENT_EVENTS;
    rig->segments_max = tide_broker_segments (&rig->config);
    rig_restart (rig);
    memset (json, 'x', sizeof json - 1);
    json[0] = json[sizeof json - 2] = '"';
    uint64_t most = 0;
    for (unsigned at = 0; at < 1000; at++) {
        uint64_t size = 0;
        rig_append (rig, "t", NULL, json);
        rig_forget_said (rig);
        for (size_t event = 0; event < rig->log.count; event++)
            size += rig->log.events[event].size;
        most = most < size ? size : most;
    }
    assert_true (most >= rig->config.retain_bytes);
    assert_true (most <= rig->config.retain_bytes / 8 * 11);
}

static void a_commit_that_failed_is_planned_again (void **state)
{
    tide_rig_t *rig = *state;
    for (unsigned at = 0; at < 300; at++) {
        rig->log.status = at % 3 == 2 ? TIDE_OK : TIDE_LOG_FULL;
        rig_publish_one (rig, "a", at % 2 ? "t" : "u", at % 40 == 2 ? "k" : NULL, NULL, "1");
        rig_settle (rig);
    }
    assert_int_equal (rig->log.last, 100);
    assert_true (rig->log.segments <= 4);
    assert_int_equal (rig_lost (rig_read (rig, "#", 0, 100)), 75);
    assert_int_equal (rig_read (rig, "#", 75, 100)->events.count, 25);
}

/*  Old history may go when that makes room. */
static void a_full_disk_begins_a_segment_early_if_that_frees_one (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->config.retain_ms = 60000;
    rig_restart (rig);
    for (unsigned at = 0; at < 21; at++)
        rig_append (rig, "t", NULL, "1");
    assert_int_equal (rig->log.segments, 3);
    rig->now_ms += 100000;
    tide_broker_tick (rig->broker, rig->now_ms);
    rig_hello (rig, "a", "");
    rig->log.status = TIDE_LOG_FULL;
    rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_settle (rig);
    rig->log.status = TIDE_OK;
    rig_append (rig, "t", NULL, "1");
    assert_true (rig->log.segments <= 2);
}

/*  What the log has written down is what nobody else knows, and no more. */
static void g5_losses_are_written_down_and_entries_do_not_pile_up (void **state)
{
    tide_rig_t *rig = *state;
    char topic[32];
    for (unsigned at = 0; at < 1000; at++) {
        snprintf (topic, sizeof topic, at % 2 ? "c/%u" : "$c/%u", at);
        rig_append (rig, topic, NULL, "1");
        if (at % 100 == 99)
            rig_restart (rig);
    }
    assert_true (rig->log.lost_count < 60);
    for (unsigned at = 1; at < 900; at += 2) {
        snprintf (topic, sizeof topic, "c/%u", at);
        assert_true (rig_lost (rig_read (rig, topic, 0, 0)) > at);
    }
    rig_restart (rig);
    for (unsigned at = 1; at < 900; at += 2) {
        snprintf (topic, sizeof topic, "c/%u", at);
        assert_true (rig_lost (rig_read (rig, topic, 0, 0)) > at);
    }
}

/*  A topic that lost nothing behind a reader's position is not told to have lost something,
 *  because others did: as far as topics are remembered. */
static void g5_quiet_topics_are_not_reset_by_busy_ones (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "quiet", NULL, "1");
    for (unsigned at = 0; at < 300; at++)
        rig_append (rig, "busy", NULL, "1");
    assert_int_equal (rig_lost (rig_read (rig, "quiet", 0, 10)), 1);
    assert_int_equal (rig_lost (rig_read (rig, "quiet", 1, 10)), 0);
    rig_restart (rig);
    assert_int_equal (rig_lost (rig_read (rig, "quiet", 1, 10)), 0);
    assert_int_equal (rig_lost (rig_read (rig, "quiet", 0, 10)), 1);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (segments_hold_the_history_and_some_more),
        TEST (a_segment_is_begun_when_the_one_before_is_full),
        TEST (the_log_never_has_more_segments_than_it_has_room_for),
        TEST (segments_of_which_nothing_is_alive_go_early),
        TEST (bytes_bound_what_the_log_holds),
        TEST (a_commit_that_failed_is_planned_again),
        TEST (a_full_disk_begins_a_segment_early_if_that_frees_one),
        TEST (g5_losses_are_written_down_and_entries_do_not_pile_up),
        TEST (g5_quiet_topics_are_not_reset_by_busy_ones),
    };
    return cmocka_run_group_tests_name ("tide_retention", tests, NULL, NULL);
}
