/*  test_tide_marks.c - what was published from … to …
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig->segment_events = 100;
    rig->segments_max = 4;
    rig_start (rig);
    rig_hello (rig, "a", "");
    rig_forget_said (rig);
    *state = rig;
    return 0;
}

static int tear_down (void **state)
{
    rig_free (*state);
    free (*state);
    return 0;
}

static tide_mark_t mark_of (const tide_said_t *said)
{
    tide_mark_t mark = {0};
    assert_int_equal (said->message.kind, TIDE_MESSAGE_MARKED);
    assert_true (tide_bytes_is (said->prefix, "m"));
    tide_list_t marks = said->message.marked.marks;
    assert_true (tide_mark_next (&marks, &mark));
    assert_int_equal (said->message.marked.marks.count, 1);
    return mark;
}

/*  The topics of a mark with their offsets, as "t:1,3 u:2 ". */
static const char *topics_of (tide_mark_t mark)
{
    static char text[4096];
    size_t size = 0;
    tide_touched_t touched;
    text[0] = 0;
    while (tide_touched_next (&mark.topics, &touched)) {
        size +=
            (size_t) snprintf (text + size, sizeof text - size, "%.*s", TIDE_PRINT (touched.topic));
        for (size_t at = 0; at < touched.offsets.size; at += 4)
            size += (size_t) snprintf (text + size, sizeof text - size, "%c%u", at ? ',' : ':',
                                       tide_load_u32 (touched.offsets.data + at));
        size += (size_t) snprintf (text + size, sizeof text - size, " ");
    }
    return text;
}

static void g3_events_go_out_then_their_mark_then_the_answers (void **state)
{
    tide_rig_t *rig = *state;
    rig_event (rig, "t", NULL, NULL, "1");
    rig_event (rig, "$s", NULL, NULL, "2");
    rig_event (rig, "t", NULL, NULL, "3");
    rig_publish (rig, "a");
    rig_settle (rig);
    assert_int_equal (rig->said_count, 4);
    assert_true (tide_bytes_is (rig->said[0]->prefix, "et"));
    assert_string_equal (rig_seqs (rig->said[0]->message.events.events), "1 3 ");
    assert_true (tide_bytes_is (rig->said[1]->prefix, "s$s"));
    assert_string_equal (rig_seqs (rig->said[1]->message.events.events), "2 ");
    tide_mark_t mark = mark_of (rig->said[2]);
    assert_int_equal (mark.from, 0);
    assert_int_equal (mark.to, 3);
    assert_string_equal (topics_of (mark), "t:1,3 $s:2 ");
    assert_int_equal (rig->said[3]->message.kind, TIDE_MESSAGE_ACK);
}

static void g5_marks_are_contiguous_and_quiet_is_marked_too (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t to = 0;
    for (unsigned at = 0; at < 20; at++) {
        if (at % 3 == 0)
            rig_tick (rig, TIDE_HEARTBEAT_MS);
        else
            rig_append (rig, at % 2 ? "t" : "u", NULL, "1");
    }
    for (size_t at = 0; at < rig->said_count; at++) {
        if (rig->said[at]->message.kind != TIDE_MESSAGE_MARKED)
            continue;
        tide_mark_t mark = mark_of (rig->said[at]);
        assert_int_equal (mark.from, to);
        assert_int_equal (mark.topics.count, mark.to > mark.from);
        to = mark.to;
    }
    assert_int_equal (to, 13);
}

static void the_heartbeat_comes_each_second_of_quiet (void **state)
{
    tide_rig_t *rig = *state;
    rig_tick (rig, 0);
    assert_int_equal (rig_published (rig), 1);
    assert_int_equal (tide_broker_deadline_ms (rig->broker), rig->now_ms + TIDE_HEARTBEAT_MS);
    rig_tick (rig, TIDE_HEARTBEAT_MS - 1);
    assert_int_equal (rig_published (rig), 1);
    rig_tick (rig, 1);
    assert_int_equal (rig_published (rig), 2);
    rig->now_ms += 500;
    rig_append (rig, "t", NULL, "1"); /* a mark of its own */
    rig_tick (rig, 500);
    assert_int_equal (rig_published (rig), 4);
    rig_tick (rig, 500);
    assert_int_equal (rig_published (rig), 5);
}

static void events_of_a_topic_travel_in_messages_of_limited_size (void **state)
{
    tide_rig_t *rig = *state;
    char *json = (char *) tide_alloc (30001);
    memset (json, '1', 30000);
    for (unsigned at = 0; at < 5; at++)
        rig_event (rig, "t", NULL, NULL, json);
    rig_publish (rig, "a");
    rig_settle (rig);
    uint64_t seq = 0;
    for (unsigned at = 0; at < 3; at++) {
        assert_int_equal (rig->said[at]->message.kind, TIDE_MESSAGE_EVENTS);
        assert_true (rig->said[at]->bytes.size <= TIDE_FANOUT_SIZE_MAX);
        tide_list_t events = rig->said[at]->message.events.events;
        tide_event_t event;
        while (tide_event_next (&events, &event))
            assert_int_equal (event.seq, ++seq);
    }
    assert_int_equal (seq, 5);
    free (json);
}

static void a_larger_event_is_only_listed (void **state)
{
    tide_rig_t *rig = *state;
    char *json = (char *) tide_alloc (66001);
    memset (json, '1', 66000);
    rig_event (rig, "t", NULL, NULL, "1");
    rig_event (rig, "t", NULL, NULL, json);
    rig_event (rig, "t", NULL, NULL, "3");
    rig_publish (rig, "a");
    rig_settle (rig);
    assert_string_equal (rig_seqs (rig->said[0]->message.events.events), "1 3 ");
    assert_string_equal (topics_of (mark_of (rig->said[1])), "t:1,2,3 ");
    assert_string_equal (rig_seqs (rig_read (rig, "t", 0, 10)->events), "1 2 3 ");
    free (json);
}

/*  Just below and above what fits: no message is too large, none is forgotten. */
static void the_largest_event_that_fits_is_published (void **state)
{
    tide_rig_t *rig = *state;
    char *json = (char *) tide_alloc (66001);
    for (size_t size = 65000; size < 65536; size += 7) {
        memset (json, '1', size);
        rig_forget_said (rig);
        rig_publish_one (rig, "a", "t", NULL, NULL, json);
        rig_settle (rig);
        for (size_t at = 0; at < rig->said_count; at++)
            assert_true (rig->said[at]->bytes.size <= TIDE_FANOUT_SIZE_MAX);
        assert_true (rig->said_count == 3 || size > 65100);
    }
    free (json);
}

static void g9_volatile_events_go_out_at_once_and_are_not_logged (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", NULL, "1");
    rig_publish_one (rig, "a", "t", NULL, NULL, "2");
    rig_drain (rig); /* with the log: must not be run ahead of */
    rig_forget_said (rig);
    tide_event_t event = {.topic = tide_bytes ("t"),
                          .name = tide_bytes ("move"),
                          .flags = TIDE_EVENT_VOLATILE,
                          .seq = 77,
                          .payload = rig_payload ("5")};
    rig_add (rig, &event);
    rig_add (rig, &event);
    event.topic = tide_bytes ("$u");
    rig_add (rig, &event);
    uint64_t request = rig_publish (rig, "a");
    rig_drain (rig);
    assert_int_equal (rig->said_count, 3);
    assert_true (rig->said[0]->is_volatile && tide_bytes_is (rig->said[0]->prefix, "vt"));
    assert_true (rig->said[1]->is_volatile && tide_bytes_is (rig->said[1]->prefix, "w$u"));
    const tide_volatiles_message_t *message = &rig->said[0]->message.volatiles;
    assert_int_equal (message->behind, 1);
    assert_string_equal (rig_seqs (message->events), "0 0 ");
    tide_list_t events = message->events;
    assert_true (tide_event_next (&events, &event));
    assert_int_equal (event.time_ms, rig->now_ms);
    assert_int_equal (rig_acked (rig, request), 0);
    assert_int_equal (rig_answer (rig, request)->ack.count, 3);
    rig_settle (rig);
    assert_int_equal (rig->log.last, 2);
}

static const tide_message_t *read_marks (tide_rig_t *rig, uint64_t epoch, uint64_t since)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKS_READ,
                              .marks_read = {++rig->request, epoch, since}};
    rig_send (rig, "a", &message);
    rig_drain (rig);
    return rig_answer (rig, rig->request);
}

static void g5_marks_can_be_read_again (void **state)
{
    tide_rig_t *rig = *state;
    const uint64_t epoch = rig->config.epoch;
    for (unsigned at = 0; at < 10; at++)
        rig_append (rig, at % 3 ? "t" : "u", NULL, "1");
    const tide_message_t *answer = read_marks (rig, epoch, 6);
    assert_int_equal (answer->kind, TIDE_MESSAGE_MARKS);
    assert_int_equal (answer->marks.head, 10);
    tide_list_t marks = answer->marks.marks;
    tide_mark_t mark;
    assert_true (tide_mark_next (&marks, &mark));
    assert_int_equal (mark.from, 6);
    assert_int_equal (mark.to, 10);
    assert_string_equal (topics_of (mark), "u:1,4 t:2,3 ");
    assert_false (tide_mark_next (&marks, &mark));
    assert_int_equal (read_marks (rig, epoch, 10)->marks.marks.count, 0);
    rig_restart (rig);
    answer = read_marks (rig, epoch, 0);
    marks = answer->marks.marks;
    assert_true (tide_mark_next (&marks, &mark));
    assert_int_equal (mark.to, 10);
    assert_int_equal (mark.topics.count, 2);
}

static void g8_marks_of_another_log_or_of_the_future_are_refused (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", NULL, "1");
    assert_int_equal (read_marks (rig, 1, 0)->fail.code, TIDE_EPOCH_CHANGED);
    const tide_message_t *answer = read_marks (rig, rig->config.epoch, 2);
    assert_int_equal (answer->kind, TIDE_MESSAGE_FAIL);
    assert_int_equal (answer->fail.code, TIDE_EPOCH_CHANGED);
    assert_int_equal (answer->fail.seq, 1);
    assert_int_equal (answer->fail.epoch, rig->config.epoch);
}

static void g5_marks_that_are_not_known_any_more_are_refused (void **state)
{
    tide_rig_t *rig = *state;
    for (unsigned at = 0; at < 450; at++)
        rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_settle (rig);
    for (unsigned at = 0; at < 450; at++) {
        rig_publish_one (rig, "a", "t", NULL, NULL, "1");
        rig_settle (rig);
    }
    uint64_t floor = tide_index_marks_floor (rig->broker->core.index);
    assert_true (floor >= 450 && floor < 800);
    assert_int_equal (read_marks (rig, rig->config.epoch, floor - 1)->fail.code, TIDE_TRIMMED);
    assert_int_equal (read_marks (rig, rig->config.epoch, floor)->kind, TIDE_MESSAGE_MARKS);
    rig_restart (rig);
    assert_int_equal (tide_index_marks_floor (rig->broker->core.index), floor);
}

static void an_answer_has_so_many_marks_at_most_and_each_so_many_events (void **state)
{
    tide_rig_t *rig = *state;
    char topic[256];
    memset (topic, 'x', sizeof topic);
    for (unsigned at = 0; at < 9000; at++) {
        snprintf (topic + 200, 32, "%u", at);
        rig_publish_one (rig, "a", topic, NULL, NULL, "1");
    }
    rig_settle (rig);
    const tide_message_t *answer = read_marks (rig, rig->config.epoch, 0);
    tide_list_t marks = answer->marks.marks;
    tide_mark_t mark = {0};
    uint64_t to = 0;
    while (tide_mark_next (&marks, &mark)) {
        assert_int_equal (mark.from, to);
        assert_true (mark.to - mark.from <= TIDE_BATCH_EVENTS_MAX);
        to = mark.to;
    }
    assert_true (to > 0 && to < 9000 && answer->marks.head == 9000);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (g3_events_go_out_then_their_mark_then_the_answers),
        TEST (g5_marks_are_contiguous_and_quiet_is_marked_too),
        TEST (the_heartbeat_comes_each_second_of_quiet),
        TEST (events_of_a_topic_travel_in_messages_of_limited_size),
        TEST (a_larger_event_is_only_listed),
        TEST (the_largest_event_that_fits_is_published),
        TEST (g9_volatile_events_go_out_at_once_and_are_not_logged),
        TEST (g5_marks_can_be_read_again),
        TEST (g8_marks_of_another_log_or_of_the_future_are_refused),
        TEST (g5_marks_that_are_not_known_any_more_are_refused),
        TEST (an_answer_has_so_many_marks_at_most_and_each_so_many_events),
    };
    return cmocka_run_group_tests_name ("tide_marks", tests, NULL, NULL);
}
