/*  test_tide_watch.c - what `tidemark top` knows of a system, without a broker.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"
#include "tide_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 16 };
#define EPOCH 0xabcu

static tide_watch_t *watch;
static uint64_t now_ms;
static tide_message_kind_t asked[ROOM]; /* by token, from 1 */
static uint64_t asked_since;            /* by the last MARKS_READ */
static unsigned asked_count;
static char drawn[65536];

static uint64_t request (void *argument, tide_message_t *message)
{
    (void) argument;
    assert_true (asked_count + 1 < ROOM);
    asked[++asked_count] = message->kind;
    if (message->kind == TIDE_MESSAGE_MARKS_READ)
        asked_since = message->marks_read.since;
    return asked_count;
}

static int begin (void **state)
{
    (void) state;
    watch = tide_watch_new (request, NULL, true);
    now_ms = 1000;
    return 0;
}

static int end (void **state)
{
    (void) state;
    tide_watch_destroy (&watch);
    assert_null (watch);
    return 0;
}

static void begin_round (void)
{
    asked_count = 0;
    now_ms += 1000;
    tide_watch_begin (watch);
    assert_true (tide_watch_is_asking (watch));
}

static bool answer_as (tide_message_kind_t kind, const tide_message_t *answer)
{
    for (unsigned token = 1; token <= asked_count; token++)
        if (asked[token] == kind) {
            asked[token] = 0;
            return tide_watch_answer (watch, now_ms, token, answer);
        }
    fail_msg ("it did not ask for %d", (int) kind);
    return false;
}

static void answer_stats (const char *name, uint64_t value, uint64_t head)
{
    tide_buffer_t list = {0};
    tide_stat_append (&list, &(tide_stat_t){tide_bytes ("tidemark_broker_head"), head});
    tide_stat_append (&list, &(tide_stat_t){tide_bytes (name), value});
    tide_message_t message = {.kind = TIDE_MESSAGE_STATS, .stats.stats = tide_list (&list, 2)};
    assert_true (answer_as (TIDE_MESSAGE_STATS_READ, &message));
    tide_buffer_free (&list);
}

static void answer_topics (const char *name, uint64_t events, uint64_t last)
{
    tide_buffer_t list = {0};
    const tide_topic_info_t info = {tide_bytes (name), last, events, 1};
    tide_topic_info_append (&list, &info);
    tide_message_t message = {
        .kind = TIDE_MESSAGE_TOPICS,
        .topics = {.epoch = EPOCH, .head = last, .topics = tide_list (&list, 1)}};
    assert_true (answer_as (TIDE_MESSAGE_TOPICS_READ, &message));
    tide_buffer_free (&list);
}

/*  One mark in which each sequence is of the topic. */
static void answer_marks (const char *name, uint64_t from, uint64_t to)
{
    tide_buffer_t offsets = {0}, topics = {0}, marks = {0};
    for (uint64_t seq = from + 1; seq <= to; seq++)
        tide_put_u32 (&offsets, (uint32_t) (seq - from));
    const tide_touched_t touched = {tide_bytes (name), tide_buffer_bytes (&offsets)};
    tide_touched_append (&topics, &touched);
    const tide_mark_t mark = {from, to, tide_list (&topics, 1)};
    tide_mark_append (&marks, &mark);
    tide_message_t message = {
        .kind = TIDE_MESSAGE_MARKS,
        .marks = {.epoch = EPOCH, .head = to, .marks = tide_list (&marks, 1)}};
    assert_true (answer_as (TIDE_MESSAGE_MARKS_READ, &message));
    tide_buffer_free (&offsets);
    tide_buffer_free (&topics);
    tide_buffer_free (&marks);
}

static void answer_no_cursors (void)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_STANDING};
    assert_true (answer_as (TIDE_MESSAGE_SNAPSHOT, &message));
}

/*  Rounds of a log whose sequences are all of one topic. */
static void first_round (const char *topic, uint64_t head)
{
    begin_round ();
    answer_stats ("tidemark_broker_workers", 0, head);
    answer_topics (topic, head, head);
    answer_no_cursors ();
    assert_false (tide_watch_is_asking (watch));
}

static const char *draw (void)
{
    tide_buffer_t out = {0};
    tide_watch_draw (watch, "tcp://there", false, 0, 0, false, &out);
    snprintf (drawn, sizeof drawn, "%.*s", (int) out.size, (const char *) out.data);
    tide_buffer_free (&out);
    return drawn;
}

/*  The cells of a row that begins with the name, a space between them. */
static void assert_row (const char *name, const char *cells)
{
    draw ();
    char line[256], *at = strstr (drawn, name), *out = line;
    assert_non_null (at);
    for (at += strlen (name); *at && *at != '\n'; at++)
        if (*at != ' ' || (out > line && out[-1] != ' '))
            *out++ = *at;
    *out = '\0';
    assert_string_equal (line, cells);
}

static void the_first_round_knows_no_rates (void **state)
{
    (void) state;
    first_round ("lamps", 10);
    assert_int_equal (tide_watch_rounds (watch), 1);
    assert_row ("lamps", "- 10 1 10");
    assert_non_null (strstr (drawn, "tcp://there   epoch 0000000000000abc   head 10\n"));
}

static void an_event_that_is_listed_and_marked_counts_once (void **state)
{
    (void) state;
    first_round ("lamps", 10);
    begin_round ();
    assert_int_equal (asked_since, 10);
    answer_stats ("tidemark_broker_workers", 0, 14);
    answer_marks ("lamps", 10, 14);
    answer_topics ("lamps", 14, 14);
    answer_no_cursors ();
    assert_row ("lamps", "4.0 14 1 14");
    /*  … also where the listing is there before the marks. */
    begin_round ();
    answer_stats ("tidemark_broker_workers", 0, 16);
    answer_topics ("lamps", 16, 16);
    answer_no_cursors ();
    answer_marks ("lamps", 14, 17); /* one came behind the listing */
    assert_row ("lamps", "3.0 17 1 17");
}

static void what_is_the_systems_is_one_row (void **state)
{
    (void) state;
    first_round ("lamps", 10);
    begin_round ();
    answer_stats ("tidemark_broker_workers", 0, 12);
    answer_topics ("lamps", 10, 10);
    answer_no_cursors ();
    answer_marks ("$call/bench", 10, 12);
    assert_row ("$call/#", "2.0 - - 12");
}

static void services_come_from_their_counters (void **state)
{
    (void) state;
    begin_round ();
    answer_stats ("tidemark_broker_service_workers{service=\"a \\\"b\\\"\"}", 3, 10);
    assert_row ("a \"b\"", "3 0 0 0");
}

static void another_log_begins_anew (void **state)
{
    (void) state;
    first_round ("lamps", 10);
    begin_round ();
    answer_stats ("tidemark_broker_workers", 0, 2);
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL,
                           .fail = {.code = TIDE_EPOCH_CHANGED, .epoch = 0xdef, .seq = 2}};
    assert_true (answer_as (TIDE_MESSAGE_MARKS_READ, &fail));
    assert_null (strstr (draw (), "lamps"));
    assert_non_null (strstr (drawn, "epoch 0000000000000def"));
    answer_topics ("other", 2, 2);
    answer_no_cursors ();
    assert_int_equal (tide_watch_rounds (watch), 1);
    assert_row ("other", "- 2 1 2");
}

static void what_the_broker_refuses_ends_it_and_its_end_does_not (void **state)
{
    (void) state;
    begin_round ();
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = TIDE_SHUTTING_DOWN}};
    assert_true (answer_as (TIDE_MESSAGE_STATS_READ, &fail));
    fail.fail.code = TIDE_TOO_MANY;
    assert_true (answer_as (TIDE_MESSAGE_SNAPSHOT, &fail)); /* nothing can be told of cursors */
    fail.fail.code = TIDE_FORBIDDEN;
    assert_false (answer_as (TIDE_MESSAGE_TOPICS_READ, &fail));
}

/*  -- gateways -------------------------------------------------------------------------------- */

static void hear (const char *lane, const char *report)
{
    char topic[300];
    tide_buffer_t payload = {0};
    snprintf (topic, sizeof topic, "$stats/%s", lane);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (report)});
    tide_watch_hear (
        watch, now_ms,
        &(tide_event_t){.topic = tide_bytes (topic), .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
}

static void lanes_of_a_gateway_are_one_row_and_silent_ones_none (void **state)
{
    (void) state;
    hear ("1", "{\"gateway\":\"edge\",\"at\":1000,\"connections\":2,\"deliveries\":10}");
    hear ("2", "{\"gateway\":\"edge\",\"at\":1000,\"connections\":3,\"behind\":1}");
    assert_row ("edge", "5 1 - - -");
    now_ms += 2000;
    hear ("1", "{\"gateway\":\"edge\",\"at\":3000,\"connections\":2,\"deliveries\":30}");
    assert_row ("edge", "5 1 10.0 0 0");
    now_ms += 4000;
    tide_watch_forget_silent (watch, now_ms);
    assert_row ("edge", "2 0 10.0 0 0");
}

static void what_is_no_report_is_none (void **state)
{
    (void) state;
    static const char *const odd[] = {"", "{", "[]", "null", "{}", "{\"gateway\":7}"};
    char long_id[200];
    memset (long_id, 'x', sizeof long_id);
    long_id[sizeof long_id - 1] = '\0';
    for (size_t at = 0; at < sizeof odd / sizeof odd[0]; at++)
        hear ("1", odd[at]);
    hear (long_id, "{\"gateway\":\"edge\"}");
    tide_watch_hear (watch, now_ms, &(tide_event_t){.topic = tide_bytes ("$stats/1")});
    assert_non_null (strstr (draw (), "no gateway has told of itself"));
    hear ("1", "{\"gateway\":\"edge\",\"connections\":-1,\"behind\":\"many\",\"at\":1e300}");
    assert_row ("edge", "0 0 - - -");
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST (the_first_round_knows_no_rates),
        TEST (an_event_that_is_listed_and_marked_counts_once),
        TEST (what_is_the_systems_is_one_row),
        TEST (services_come_from_their_counters),
        TEST (another_log_begins_anew),
        TEST (what_the_broker_refuses_ends_it_and_its_end_does_not),
        TEST (lanes_of_a_gateway_are_one_row_and_silent_ones_none),
        TEST (what_is_no_report_is_none),
    };
    return cmocka_run_group_tests_name ("tide_watch", tests, NULL, NULL);
}
