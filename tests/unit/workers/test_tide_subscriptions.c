/*  test_tide_subscriptions.c - what a worker reads, case by case.
 *  (test_tide_subscriptions_model.c is the same by chance.)
 *  SPDX-License-Identifier: MIT
 */
#include "tide_reading_rig.h"

enum { EVENTS_MAX = 8 };

static int set_up (void **state)
{
    reading_t *reading = tide_alloc (sizeof *reading);
    reading_new (reading);
    tide_subscriptions_shrink (reading->subscriptions, EVENTS_MAX, 1u << 20);
    reading_start (reading);
    reading_settle (reading);
    *state = reading;
    return 0;
}

/*  A broker that keeps little. */
static int set_up_short (void **state)
{
    reading_t *reading = tide_alloc (sizeof *reading);
    reading_new (reading);
    tide_subscriptions_shrink (reading->subscriptions, EVENTS_MAX, 1u << 20);
    reading->broker.segment_events = 10;
    reading->broker.segments_max = 5;
    reading->broker.config.retain_events = 20;
    reading_start (reading);
    reading_settle (reading);
    *state = reading;
    return 0;
}

static int tear_down (void **state)
{
    reading_free (*state);
    free (*state);
    return 0;
}

static void append_told (tide_buffer_t *text, const tide_told_t *told)
{
    bool is_volatile = (told->event.flags & TIDE_EVENT_VOLATILE) != 0;
    unsigned long long seq = told->seq;
    if (told->kind == TIDE_TOLD_EVENT && is_volatile)
        tide_buffer_printf (text, "v%llu ", seq);
    else if (told->kind == TIDE_TOLD_EVENT)
        tide_buffer_printf (text, "%s%llu ", told->event.payload.size == 0 ? "-" : "", seq);
    else if (told->kind == TIDE_TOLD_STANDING)
        tide_buffer_printf (text, "s%llu ", seq);
    else if (told->kind == TIDE_TOLD_JOINED)
        tide_buffer_printf (text, "j%llu ", seq);
    else
        tide_buffer_printf (text, "%s%s@%llu ", told->kind == TIDE_TOLD_RESET ? "!" : "ended:",
                            tide_status_name (told->code), seq);
}

/*  Takes the next thing told, as text; "" if there is none. */
static const char *next (reading_t *reading)
{
    static char text[100];
    tide_buffer_t told_text = {0};
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    if (told)
        append_told (&told_text, told);
    tide_subscriptions_let (reading->subscriptions, &told);
    snprintf (text, sizeof text, "%.*s", TIDE_PRINT (tide_buffer_bytes (&told_text)));
    tide_buffer_free (&told_text);
    reading_settle (reading);
    return text;
}

/*  Takes all that is told. */
static const char *all (reading_t *reading)
{
    static char text[4000];
    size_t size = 0;
    const char *one;
    text[0] = '\0';
    while (*(one = next (reading)) != '\0') {
        size += (size_t) snprintf (text + size, sizeof text - size, "%s", one);
        assert_true (size < sizeof text);
    }
    return text;
}

static tide_subscriptions_counters_t counters (const reading_t *reading)
{
    return tide_subscriptions_counters (reading->subscriptions);
}

static void publish_volatile (reading_t *reading, const char *topic)
{
    rig_add (&reading->broker, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                               .topic = tide_bytes (topic),
                                               .name = tide_bytes ("msg"),
                                               .payload = rig_payload ("1")});
    rig_publish (&reading->broker, "a");
    reading_settle (reading);
}

static void publish_many (reading_t *reading, const char *topic, unsigned count)
{
    while (count-- > 0)
        reading_publish (reading, topic, NULL, "1");
}

/*  -- where it begins ------------------------------------------------------------------------- */

static void live_is_what_comes_from_now_on (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 2);
    reading_add (reading, "t", NULL);
    assert_string_equal (all (reading), "j2 ");
    reading_publish (reading, "t", NULL, "1");
    reading_publish (reading, "other", NULL, "1");
    reading_publish (reading, "t/u", NULL, "1");
    reading_publish (reading, "t", "k", "1");
    reading_publish (reading, "t", "k", NULL);
    assert_string_equal (all (reading), "3 6 -7 ");
    assert_int_equal (counters (reading).waiting, 0);
    assert_int_equal (counters (reading).waiting_size, 0);
}

static void history_comes_first_then_what_is_new (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 20);
    reading_add (reading, "t", "start");
    assert_string_equal (next (reading), "1 ");
    reading_publish (reading, "t", NULL, "1");
    assert_string_equal (all (reading), "2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 j21 ");
    reading_publish (reading, "t", NULL, "1");
    assert_string_equal (all (reading), "22 ");
    reading_add (reading, "t", "19");
    assert_string_equal (all (reading), "20 21 22 j22 ");
    reading_add (reading, "t", "000000000000feed:21");
    assert_string_equal (all (reading), "22 j22 ");
}

static void what_stands_comes_first_then_what_is_new (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "a/b", "k", "1");
    reading_publish (reading, "a/b", "k", "2");
    reading_publish (reading, "a", "k", "3");
    reading_publish (reading, "a", "gone", "4");
    reading_publish (reading, "a", "gone", NULL);
    reading_publish (reading, "a", NULL, "5");
    reading_add (reading, "a/#", "snapshot");
    assert_string_equal (all (reading), "s2 s3 j6 ");
    reading_publish (reading, "a/b", "k", NULL);
    assert_string_equal (all (reading), "-7 ");
    reading_add (reading, "nothing", "snapshot");
    assert_string_equal (all (reading), "j7 ");
}

static void a_position_of_another_log_is_reset (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "t", "k", "1");
    reading_add (reading, "t", "000000000000beef:1");
    assert_string_equal (all (reading), "!epoch_changed@1 s1 j1 ");
    reading_add (reading, "t", "000000000000feed:99");
    assert_string_equal (all (reading), "!epoch_changed@1 s1 j1 ");
    reading_publish (reading, "t", "k", "1");
    assert_string_equal (all (reading), "2 2 ");
}

static void what_is_no_position_is_refused (void **state)
{
    (void) state;
    tide_begin_t begin;
    static const char *const none[] = {"", "now", "-1", "1:1", "000000000000feed:", ":1", "Start"};
    for (size_t at = 0; at < sizeof none / sizeof none[0]; at++)
        assert_false (tide_begin_parse (none[at], &begin));
    assert_true (tide_begin_parse ("000000000000feed:7", &begin));
    assert_true (begin.epoch == 0xfeed && begin.seq == 7 && begin.kind == TIDE_BEGIN_BEHIND);
}

static void it_may_begin_before_the_broker_is_there (void **state)
{
    reading_t *reading = *state;
    tide_subscriptions_destroy (&reading->subscriptions);
    reading->subscriptions = tide_subscriptions_new ();
    publish_many (reading, "t", 3);
    reading_add (reading, "t", "start");
    assert_string_equal (all (reading), "");
    reading_hello (reading);
    reading_settle (reading);
    assert_string_equal (all (reading), "1 2 3 j3 ");
}

/*  The marks of all that happened before are none of its business. */
static void a_late_one_reads_no_marks_of_before (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 50);
    reading_add (reading, "t", "live");
    reading->refused = TIDE_MESSAGE_MARKS_READ;
    reading->refusals = 1;
    publish_many (reading, "t", 1);
    assert_string_equal (all (reading), "j50 51 ");
    assert_int_equal (reading->refusals, 1);
}

static void what_is_refused_for_now_is_asked_again (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "t", "k", "1");
    reading->refused = TIDE_MESSAGE_READ;
    reading->refusals = 1;
    reading_add (reading, "t", "snapshot"); /* where the log stands */
    assert_string_equal (all (reading), "");
    assert_true (tide_subscriptions_deadline_ms (reading->subscriptions) < UINT64_MAX);
    reading->refused = TIDE_MESSAGE_SNAPSHOT;
    reading->refusals = 2;
    reading_pass (reading, 2000);
    assert_string_equal (all (reading), "s1 j1 ");
    reading->refused = TIDE_MESSAGE_READ;
    reading->refusals = 1;
    reading_add (reading, "t", "start");
    assert_string_equal (all (reading), "");
    reading_pass (reading, 1000);
    assert_string_equal (all (reading), "1 j1 ");
    assert_true (tide_subscriptions_deadline_ms (reading->subscriptions) == UINT64_MAX);
}

/*  -- who is slow ----------------------------------------------------------------------------- */

static void a_slow_reader_costs_no_more_and_misses_nothing (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    reading_add (reading, "t", "live");
    for (unsigned at = 0; at < 500; at++) {
        reading_publish (reading, at % 3 == 0 ? "other" : "t", NULL, "1");
        assert_true (counters (reading).waiting <= 2 * (EVENTS_MAX + EVENTS_MAX / 4));
    }
    assert_int_equal (counters (reading).lags, 2);
    uint64_t last[2] = {0};
    tide_subscription_t *first = NULL;
    unsigned count = 0;
    tide_told_t *told;
    while ((told = tide_subscriptions_take (reading->subscriptions)) != NULL) {
        first = first ? first : told->subscription;
        uint64_t *its = &last[told->subscription != first];
        assert_true (told->kind == TIDE_TOLD_JOINED || told->seq > *its);
        *its = told->seq;
        count += told->kind == TIDE_TOLD_EVENT;
        tide_subscriptions_let (reading->subscriptions, &told);
        reading_settle (reading);
        assert_true (counters (reading).waiting <= 2 * (EVENTS_MAX + EVENTS_MAX / 4));
    }
    assert_int_equal (count, 2 * 333);
    assert_true (last[0] == 500 && last[1] == 500);
    reading_publish (reading, "t", NULL, "1");
    assert_string_equal (all (reading), "501 501 ");
}

/*  One is told; the others go on. */
static void each_is_told_one_thing_at_a_time (void **state)
{
    reading_t *reading = *state;
    tide_subscription_t *slow = reading_add (reading, "a", "live");
    reading_add (reading, "b", "live");
    assert_string_equal (all (reading), "j0 j0 ");
    reading_publish (reading, "a", NULL, "1");
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    assert_ptr_equal (told->subscription, slow);
    reading_publish (reading, "a", NULL, "1");
    reading_publish (reading, "b", NULL, "1");
    assert_string_equal (all (reading), "3 ");
    assert_false (tide_subscriptions_is_ready (reading->subscriptions));
    tide_subscriptions_let (reading->subscriptions, &told);
    assert_true (tide_subscriptions_is_ready (reading->subscriptions));
    assert_string_equal (all (reading), "2 ");
}

static void a_large_event_is_read_alone (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    static char json[70000];
    memset (json, '1', 66000);
    for (unsigned at = 0; at < 100; at++)
        reading_publish (reading, "t", NULL, json);
    assert_true (counters (reading).waiting_size < TIDE_TOLD_SIZE_MAX);
    assert_string_equal (next (reading), "j0 ");
    for (unsigned at = 0; at < 100; at++)
        assert_string_not_equal (next (reading), "");
    assert_string_equal (next (reading), "");
}

static void volatile_ones_come_only_to_who_is_there (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    publish_volatile (reading, "t");
    reading_publish (reading, "t", NULL, "1");
    publish_volatile (reading, "t");
    assert_string_equal (all (reading), "j0 v0 1 v1 ");
    publish_many (reading, "t", EVENTS_MAX);
    publish_volatile (reading, "t");
    assert_string_equal (all (reading), "2 3 4 5 6 7 8 9 ");
    assert_int_equal (counters (reading).volatiles, 1);
}

/*  -- what is lost ---------------------------------------------------------------------------- */

static void what_does_not_arrive_is_read (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    reading->is_deaf = true;
    publish_many (reading, "t", 5);
    reading->is_deaf = false;
    publish_many (reading, "t", 2);
    assert_string_equal (all (reading), "j0 1 2 3 4 5 6 7 ");
}

static void a_broker_that_comes_again_is_read_on_from (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    publish_many (reading, "t", 2);
    reading->is_cut = true;
    publish_many (reading, "t", 3);
    reading->is_cut = false;
    reading_restart (reading, 0xfeed);
    publish_many (reading, "t", 2);
    assert_string_equal (all (reading), "j0 1 2 3 4 5 6 7 ");
}

static void trimmed_history_is_said_and_what_stands_follows (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "t", "k", "1");
    publish_many (reading, "t", 60);
    reading_add (reading, "t", "start");
    assert_string_equal (all (reading), "!trimmed@61 s1 j61 ");
    reading_publish (reading, "t", NULL, "1");
    assert_string_equal (all (reading), "62 ");
}

static void a_reader_that_trimming_overtakes_is_reset (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    reading_publish (reading, "t", "k", "1");
    publish_many (reading, "t", 100);
    /*  What was queued is told; the rest is gone. */
    assert_string_equal (all (reading), "j0 1 2 3 4 5 6 7 !trimmed@101 s1 j101 ");
    assert_int_equal (counters (reading).resets, 1);
    reading_publish (reading, "t", "k", NULL);
    assert_string_equal (all (reading), "-102 ");
}

/*  Lost on the way, and trimmed before it could be read. */
static void a_gap_that_cannot_be_mended_is_said (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "live");
    reading_publish (reading, "t", "k", "1");
    assert_string_equal (all (reading), "j0 1 ");
    reading->is_deaf = true;
    publish_many (reading, "t", 5);
    publish_many (reading, "other", 80);
    reading->is_deaf = false;
    reading_publish (reading, "t", "l", "2");
    assert_string_equal (all (reading), "!trimmed@87 s1 s87 j87 ");
    reading_publish (reading, "t", NULL, "2");
    assert_string_equal (all (reading), "88 ");
}

static void another_log_is_said_and_what_stands_in_it_follows (void **state)
{
    reading_t *reading = *state;
    reading_add (reading, "t", "start");
    reading_add (reading, "live", "live");
    publish_many (reading, "t", 3);
    assert_string_equal (all (reading), "j0 j0 1 2 3 ");
    reading_restart (reading, 0xbeef);
    assert_string_equal (all (reading), "!epoch_changed@0 !epoch_changed@0 j0 j0 ");
    reading_publish (reading, "t", "k", "1");
    reading_publish (reading, "live", "k", "1");
    assert_string_equal (all (reading), "1 2 ");
}

/*  Old events that wait to be told come first; what was gathered of the old log is dropped. */
static void another_log_in_the_midst_of_it (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 30);
    reading_add (reading, "t", "start");
    assert_string_equal (next (reading), "1 ");
    reading_restart (reading, 0xbeef);
    reading_publish (reading, "t", "k", "1");
    assert_string_equal (all (reading), "2 3 4 5 6 !epoch_changed@1 s1 j1 ");
}

static void more_than_can_be_held_ends_it (void **state)
{
    reading_t *reading = *state;
    char key[16];
    tide_subscriptions_shrink (reading->subscriptions, EVENTS_MAX, 10000);
    for (unsigned at = 0; at < 100; at++) {
        snprintf (key, sizeof key, "k%u", at);
        reading_publish (reading, "t", key, "1");
    }
    tide_subscription_t *ended = reading_add (reading, "t", "snapshot");
    assert_string_equal (all (reading), "ended:too_large@100 ");
    reading_publish (reading, "t", NULL, "1");
    reading_restart (reading, 0xbeef);
    assert_string_equal (all (reading), "");
    tide_subscriptions_remove (reading->subscriptions, &ended);
}

/*  -- ends ------------------------------------------------------------------------------------ */

static void what_is_removed_is_told_nothing_more (void **state)
{
    reading_t *reading = *state;
    tide_subscription_t *one = reading_add (reading, "t", "live");
    tide_subscription_t *other = reading_add (reading, "t", "live");
    assert_string_equal (all (reading), "j0 j0 ");
    publish_many (reading, "t", 2);
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    assert_ptr_equal (told->subscription, one);
    tide_subscriptions_remove (reading->subscriptions, &one);
    assert_null (one);
    assert_int_equal (told->event.seq, 1); /* is still there */
    tide_subscriptions_let (reading->subscriptions, &told);
    assert_string_equal (all (reading), "1 2 ");
    tide_subscriptions_remove (reading->subscriptions, &other);
    reading_settle (reading);
    publish_many (reading, "t", 1);
    assert_string_equal (all (reading), "");
    assert_int_equal (counters (reading).waiting, 0);
    /*  And again, as if nothing had been. */
    reading_add (reading, "t", "2");
    assert_string_equal (all (reading), "3 j3 ");
}

/*  While a page, a part, or the feed's word is under way. */
static void what_is_removed_while_it_asks_asks_no_more (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 50);
    static const char *const since[] = {"live", "start", "snapshot"};
    for (size_t at = 0; at < 3; at++) {
        tide_begin_t begin;
        assert_true (tide_begin_parse (since[at], &begin));
        tide_subscription_t *made = tide_subscriptions_add (
            reading->subscriptions, tide_bytes ("t"), &begin, false, reading);
        tide_subscriptions_action_t action;
        while (tide_subscriptions_next_action (reading->subscriptions, &action))
            if (action.kind == TIDE_SUBSCRIPTIONS_REQUEST)
                reading_request (reading, &action);
            else
                reading_follow (reading, action.pattern, action.kind == TIDE_SUBSCRIPTIONS_FOLLOW);
        tide_subscriptions_remove (reading->subscriptions, &made);
        reading_settle (reading);
        assert_string_equal (all (reading), "");
    }
    for (size_t at = 0; at < READING_PATTERNS; at++)
        assert_null (reading->followed[at]);
}

static void there_are_no_more_than_so_many (void **state)
{
    reading_t *reading = *state;
    for (unsigned at = 0; at < TIDE_SUBSCRIPTIONS_MAX; at++)
        assert_non_null (reading_add (reading, "t", "live"));
    assert_null (reading_add (reading, "t", "live"));
}

static void a_direct_one_is_taken_by_name (void **state)
{
    reading_t *reading = *state;
    tide_begin_t begin = {.kind = TIDE_BEGIN_LIVE};
    tide_subscription_t *direct =
        tide_subscriptions_add (reading->subscriptions, tide_bytes ("@me"), &begin, true, reading);
    reading_settle (reading);
    reading_publish (reading, "@me", NULL, "1");
    assert_string_equal (all (reading), "");
    tide_told_t *told = tide_subscription_take (reading->subscriptions, direct);
    assert_int_equal (told->kind, TIDE_TOLD_JOINED);
    tide_subscriptions_let (reading->subscriptions, &told);
    told = tide_subscription_take (reading->subscriptions, direct);
    assert_true (told->kind == TIDE_TOLD_EVENT && told->seq == 1);
    tide_subscriptions_let (reading->subscriptions, &told);
    assert_null (tide_subscription_take (reading->subscriptions, direct));
}

static void what_is_malformed_is_ignored (void **state)
{
    reading_t *reading = *state;
    tide_subscriptions_receive (reading->subscriptions, tide_bytes ("before there is a feed"));
    reading_add (reading, "t", "start");
    tide_subscriptions_receive (reading->subscriptions, tide_bytes ("nonsense"));
    tide_subscriptions_receive (reading->subscriptions, (tide_bytes_t){0});
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK};
    for (uint64_t tag = 0; tag < 20; tag++)
        tide_subscriptions_answer (reading->subscriptions, 1, tag, &ack);
    reading_publish (reading, "t", NULL, "1");
    assert_string_equal (all (reading), "j0 1 ");
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
#define SHORT(name) cmocka_unit_test_setup_teardown (name, set_up_short, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (live_is_what_comes_from_now_on),
        TEST (history_comes_first_then_what_is_new),
        TEST (what_stands_comes_first_then_what_is_new),
        TEST (a_position_of_another_log_is_reset),
        TEST (what_is_no_position_is_refused),
        TEST (it_may_begin_before_the_broker_is_there),
        TEST (a_late_one_reads_no_marks_of_before),
        TEST (what_is_refused_for_now_is_asked_again),
        TEST (a_slow_reader_costs_no_more_and_misses_nothing),
        TEST (each_is_told_one_thing_at_a_time),
        TEST (a_large_event_is_read_alone),
        TEST (volatile_ones_come_only_to_who_is_there),
        TEST (what_does_not_arrive_is_read),
        TEST (a_broker_that_comes_again_is_read_on_from),
        SHORT (trimmed_history_is_said_and_what_stands_follows),
        SHORT (a_reader_that_trimming_overtakes_is_reset),
        SHORT (a_gap_that_cannot_be_mended_is_said),
        TEST (another_log_is_said_and_what_stands_in_it_follows),
        TEST (another_log_in_the_midst_of_it),
        TEST (more_than_can_be_held_ends_it),
        TEST (what_is_removed_is_told_nothing_more),
        TEST (what_is_removed_while_it_asks_asks_no_more),
        TEST (there_are_no_more_than_so_many),
        TEST (a_direct_one_is_taken_by_name),
        TEST (what_is_malformed_is_ignored),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
