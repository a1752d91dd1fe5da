/*  test_tide_reading.c - cursors against the log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
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

/*  A READ that is put together: wants, then send. */
static uint64_t send_read (tide_rig_t *rig, tide_read_message_t read, const tide_want_t *wants,
                           uint32_t count)
{
    tide_buffer_t list = {0};
    for (uint32_t at = 0; at < count; at++)
        tide_want_append (&list, &wants[at]);
    read.request = ++rig->request;
    read.wants = tide_list (&list, count);
    rig_send (rig, "a", &(tide_message_t){.kind = TIDE_MESSAGE_READ, .read = read});
    rig_drain (rig);
    tide_buffer_free (&list);
    return rig->request;
}

static const tide_page_message_t *page_of (tide_rig_t *rig, uint64_t request)
{
    while (rig_fetch (rig))
        continue;
    const tide_message_t *answer = rig_answer (rig, request);
    assert_true (answer && answer->kind == TIDE_MESSAGE_PAGE);
    return &answer->page;
}

static void append_to (tide_rig_t *rig, const char *const *topics, size_t count)
{
    for (size_t at = 0; at < count; at++)
        rig_append (rig, topics[at], NULL, "1");
}

static const char *const mixed[] = {"t", "r", "r/a", "$s", "t", "r/b", "r!", "r/a", "u", "t"};

static void g1_a_topic_is_read_in_order_from_a_position (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_page_message_t *page = rig_read (rig, "t", 0, 10);
    assert_string_equal (rig_seqs (page->events), "1 5 10 ");
    assert_int_equal (page->upto, 10);
    assert_int_equal (page->head, 10);
    assert_int_equal (page->more, 0);
    assert_int_equal (page->epoch, rig->config.epoch);
    assert_string_equal (rig_seqs (rig_read (rig, "t", 5, 10)->events), "10 ");
    assert_string_equal (rig_seqs (rig_read (rig, "t", 10, 10)->events), "");
    assert_string_equal (rig_seqs (rig_read (rig, "nowhere", 0, 10)->events), "");
}

static void g1_subtrees_are_read_in_one_order (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    assert_string_equal (rig_seqs (rig_read (rig, "r/#", 0, 10)->events), "2 3 6 8 ");
    assert_string_equal (rig_seqs (rig_read (rig, "#", 0, 20)->events), "1 2 3 5 6 7 8 9 10 ");
    assert_string_equal (rig_seqs (rig_read (rig, "$s/#", 0, 20)->events), "4 ");
}

static void g1_each_want_has_its_own_position_and_an_event_comes_once (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t wants[] = {{tide_bytes ("t"), 5},
                                 {tide_bytes ("r/#"), 2},
                                 {tide_bytes ("r/a"), 0},
                                 {tide_bytes ("r/a"), 9}};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 100}, wants, 4);
    assert_string_equal (rig_seqs (page_of (rig, request)->events), "3 6 8 10 ");
}

static void a_page_ends_at_its_limit_and_says_where (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_page_message_t *page = rig_read (rig, "#", 0, 4);
    assert_string_equal (rig_seqs (page->events), "1 2 3 5 ");
    assert_int_equal (page->upto, 5);
    assert_int_equal (page->more, 1);
    page = rig_read (rig, "#", 5, 4);
    assert_string_equal (rig_seqs (page->events), "6 7 8 9 ");
    page = rig_read (rig, "#", 9, 4);
    assert_string_equal (rig_seqs (page->events), "10 ");
    assert_int_equal (page->more, 0);
    /*  Exactly full is complete. */
    assert_int_equal (rig_read (rig, "t", 0, 3)->more, 0);
}

static void a_page_ends_at_its_size_but_has_one_event (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t want = {tide_bytes ("#"), 0};
    uint64_t request =
        send_read (rig, (tide_read_message_t){.limit = 100, .size_max = 1}, &want, 1);
    const tide_page_message_t *page = page_of (rig, request);
    assert_string_equal (rig_seqs (page->events), "1 ");
    assert_true (page->more && page->upto == 1);
    request = send_read (rig, (tide_read_message_t){.limit = 100, .size_max = 200}, &want, 1);
    page = page_of (rig, request);
    assert_true (page->more && page->events.count > 1 && page->events.bytes.size <= 200);
}

static void a_page_ends_where_it_was_told_to (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t want = {tide_bytes ("#"), 2};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 100, .until = 7}, &want, 1);
    const tide_page_message_t *page = page_of (rig, request);
    assert_string_equal (rig_seqs (page->events), "3 5 6 7 ");
    assert_int_equal (page->upto, 7);
    assert_int_equal (page->more, 0);
    request = send_read (rig, (tide_read_message_t){.limit = 100, .until = 1}, &want, 1);
    page = page_of (rig, request);
    assert_int_equal (page->events.count + page->more, 0);
    assert_int_equal (page->upto, 2);
    request = send_read (rig, (tide_read_message_t){.limit = 100, .until = 500}, &want, 1);
    assert_int_equal (page_of (rig, request)->upto, 10);
}

static void with_limit_0_there_are_positions_and_no_fetch (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t want = {tide_bytes ("t"), 3};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 0}, &want, 1);
    assert_int_equal (rig->log.fetch_count, 0);
    const tide_page_message_t *page = page_of (rig, request);
    assert_int_equal (page->events.count, 0);
    assert_int_equal (page->head, 10);
    assert_int_equal (page->upto, 3);
    assert_int_equal (page->more, 1);
}

static void g8_a_position_of_another_log_or_of_the_future_is_refused (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    tide_want_t want = {tide_bytes ("t"), 3};
    uint64_t request =
        send_read (rig, (tide_read_message_t){.limit = 10, .epoch = 0xdead}, &want, 1);
    assert_int_equal (rig_refused (rig, request), TIDE_EPOCH_CHANGED);
    assert_int_equal (rig_answer (rig, request)->fail.seq, 10);
    want.seq = 11;
    request = send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    assert_int_equal (rig_refused (rig, request), TIDE_EPOCH_CHANGED);
    want.seq = 10;
    request = send_read (rig, (tide_read_message_t){.limit = 10, .epoch = 0xfeed}, &want, 1);
    assert_int_equal (rig_refused (rig, request), TIDE_OK);
    /*  Given, but not durable: the future as well. */
    rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_drain (rig);
    want.seq = 11;
    request = send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    assert_int_equal (rig_refused (rig, request), TIDE_EPOCH_CHANGED);
}

static void bad_reads_are_refused (void **state)
{
    tide_rig_t *rig = *state;
    const tide_want_t bad = {tide_bytes ("a#"), 0};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 10}, &bad, 1);
    assert_int_equal (rig_refused (rig, request), TIDE_BAD_TOPIC);
    static tide_want_t many[TIDE_WANTS_MAX + 1];
    for (unsigned at = 0; at <= TIDE_WANTS_MAX; at++)
        many[at] = (tide_want_t){tide_bytes ("t"), 0};
    request = send_read (rig, (tide_read_message_t){.limit = 10}, many, TIDE_WANTS_MAX + 1);
    assert_int_equal (rig_refused (rig, request), TIDE_TOO_MANY);
    request = send_read (rig, (tide_read_message_t){.limit = 10}, many, TIDE_WANTS_MAX);
    assert_int_equal (rig_refused (rig, request), TIDE_OK);
    request = send_read (rig, (tide_read_message_t){.limit = 10}, NULL, 0);
    assert_int_equal (page_of (rig, request)->upto, 0);
}

static void g5_what_was_trimmed_is_told_for_each_topic (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->config.retain_events = 5;
    rig_restart (rig);
    append_to (rig, mixed, 10); /* alive: 6 … 10, and 4 of the system's */
    const tide_want_t wants[] = {{tide_bytes ("t"), 0},
                                 {tide_bytes ("t"), 5},
                                 {tide_bytes ("r/#"), 2},
                                 {tide_bytes ("u"), 0},
                                 {tide_bytes ("$s"), 0}};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 10}, wants, 5);
    const tide_page_message_t *page = page_of (rig, request);
    assert_string_equal (rig_seqs (page->events), "4 6 8 9 10 ");
    tide_list_t lost = page->lost;
    tide_want_t want;
    assert_true (tide_want_next (&lost, &want));
    assert_true (tide_bytes_is (want.topic, "t") && want.seq == 5);
    assert_true (tide_want_next (&lost, &want));
    assert_true (tide_bytes_is (want.topic, "r/#") && want.seq == 3);
    assert_false (tide_want_next (&lost, &want));
}

static void g5_an_event_that_is_damaged_is_told_as_lost (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    fake_find (&rig->log, 5)->is_damaged = true;
    const tide_page_message_t *page = rig_read (rig, "t", 1, 10);
    assert_string_equal (rig_seqs (page->events), "10 ");
    assert_int_equal (rig_lost (page), 5);
    assert_int_equal (page->upto, 10);
    assert_int_equal (rig->broker->core.counters.lost_events, 1);
    assert_int_equal (rig_lost (rig_read (rig, "u", 1, 10)), 0);
    assert_int_equal (rig_lost (rig_read (rig, "t", 5, 10)), 0);
    /*  After a restart nobody knows any more of which topic it was. */
    rig_append (rig, "t", NULL, "1");
    rig_restart (rig);
    assert_int_equal (rig_lost (rig_read (rig, "u", 1, 10)), 5);
    assert_int_equal (rig_lost (rig_read (rig, "u", 5, 10)), 0);
    assert_string_equal (rig_seqs (rig_read (rig, "t", 5, 10)->events), "10 11 ");
}

static void g5_damage_is_remembered_when_its_segment_is_gone (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    fake_find (&rig->log, 5)->is_damaged = true;
    rig->segment_events = 10;
    rig->segments_max = 4;
    rig->config.retain_events = 20;
    rig_restart (rig);
    for (unsigned at = 0; at < 100; at++)
        rig_append (rig, "t", NULL, "1");
    assert_null (fake_find (&rig->log, 5));
    rig_restart (rig);
    assert_int_equal (rig_lost (rig_read (rig, "$nowhere", 0, 10)), 5);
    assert_int_equal (rig_lost (rig_read (rig, "$nowhere", 5, 10)), 0);
}

static void g5_an_event_that_the_log_does_not_have_is_told_as_lost (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    fake_remove (&rig->log, 4); /* 5 */
    const tide_page_message_t *page = rig_read (rig, "t", 0, 10);
    assert_string_equal (rig_seqs (page->events), "1 10 ");
    assert_int_equal (rig_lost (page), 5);
    rig_append (rig, "t", NULL, "1");
    rig_restart (rig);
    page = rig_read (rig, "t", 0, 10);
    assert_int_equal (rig_lost (page), 5);
}

static void g5_what_was_trimmed_while_it_was_being_fetched_is_told (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->segment_events = 4;
    rig->segments_max = 4;
    rig->config.retain_events = 8;
    rig_restart (rig);
    for (unsigned at = 0; at < 8; at++)
        rig_append (rig, "t", NULL, "1");
    const tide_want_t want = {tide_bytes ("t"), 0};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    for (unsigned at = 0; at < 20; at++) {
        rig_publish_one (rig, "a", "t", NULL, NULL, "1");
        rig_commit (rig);
    }
    const tide_page_message_t *page = page_of (rig, request);
    assert_int_equal (rig->broker->core.counters.read_again, 1);
    assert_int_equal (rig->broker->core.counters.lost_events, 0);
    assert_int_equal (rig_lost (page), 20);
    assert_string_equal (rig_seqs (page->events), "21 22 23 24 25 26 27 28 ");
}

static void many_topics_are_read_in_order_too (void **state)
{
    tide_rig_t *rig = *state;
    enum { MANY = 5000 };
    char topic[16];
    for (unsigned at = 0; at < MANY; at++) {
        snprintf (topic, sizeof topic, "%s/%u", at % 5 ? "m" : "n", at);
        rig_publish_one (rig, "a", topic, NULL, NULL, "1");
    }
    rig_settle (rig);
    const tide_want_t wants[] = {{tide_bytes ("#"), 500}, {tide_bytes ("n/#"), 100}};
    uint64_t since = 100, count = 0;
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 1000}, wants, 2);
    for (;;) {
        const tide_page_message_t *page = page_of (rig, request);
        tide_list_t events = page->events;
        tide_event_t event;
        while (tide_event_next (&events, &event)) {
            assert_true (event.seq > since);
            assert_true (event.seq > 500 || event.seq % 5 == 1);
            since = event.seq;
            count++;
        }
        since = page->upto;
        if (!page->more)
            break;
        const tide_want_t behind[] = {{tide_bytes ("#"), since > 500 ? since : 500},
                                      {tide_bytes ("n/#"), since}};
        request = send_read (rig, (tide_read_message_t){.limit = 1000}, behind, 2);
    }
    assert_int_equal (count, 4500 + (500 - 100) / 5);
}

static void g3_fetches_are_limited_and_more_reads_wait_or_are_refused (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t want = {tide_bytes ("t"), 0};
    uint64_t first = rig->request + 1;
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX + TIDE_CORE_REQUESTS_MAX; at++)
        send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    assert_int_equal (rig->log.fetch_count, TIDE_CORE_FETCHES_MAX);
    uint64_t refused = send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    assert_int_equal (rig_refused (rig, refused), TIDE_TOO_MANY);
    /*  What needs no fetch need not wait. */
    uint64_t positions = send_read (rig, (tide_read_message_t){.limit = 0}, &want, 1);
    assert_int_equal (rig_refused (rig, positions), TIDE_OK);
    rig_settle (rig);
    size_t answers = 0;
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_message_t *message = &rig->said[at]->message;
        answers += message->kind == TIDE_MESSAGE_PAGE && message->page.request >= first
                   && message->page.request < refused;
    }
    assert_int_equal (answers, TIDE_CORE_FETCHES_MAX + TIDE_CORE_REQUESTS_MAX);
    assert_true (tide_broker_is_idle (rig->broker));
}

static void a_peer_that_is_gone_is_not_answered (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    const tide_want_t want = {tide_bytes ("t"), 0};
    uint64_t request = send_read (rig, (tide_read_message_t){.limit = 10}, &want, 1);
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("a"));
    rig_settle (rig);
    assert_null (rig_answer (rig, request));
    assert_true (tide_broker_is_idle (rig->broker));
}

static const tide_topics_message_t *read_topics (tide_rig_t *rig, const char *after, uint32_t limit)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_TOPICS_READ,
                              .topics_read = {++rig->request, tide_bytes (after), limit}};
    rig_send (rig, "a", &message);
    rig_drain (rig);
    const tide_message_t *answer = rig_answer (rig, rig->request);
    assert_int_equal (answer->kind, TIDE_MESSAGE_TOPICS);
    return &answer->topics;
}

static void topics_are_listed_in_order_without_the_systems (void **state)
{
    tide_rig_t *rig = *state;
    append_to (rig, mixed, 10);
    rig_append (rig, "u", "k", "1");
    rig_append (rig, "u", "l", "1");
    const char *const names[] = {"r", "r!", "r/a", "r/b", "t", "u"};
    const tide_topics_message_t *page = read_topics (rig, "", 100);
    assert_int_equal (page->topics.count, 6);
    assert_int_equal (page->more, 0);
    assert_int_equal (page->head, 12);
    tide_list_t topics = page->topics;
    tide_topic_info_t info = {0};
    for (unsigned at = 0; at < 6; at++) {
        assert_true (tide_topic_info_next (&topics, &info));
        assert_true (tide_bytes_is (info.topic, names[at]));
    }
    assert_int_equal (info.last, 12);
    assert_int_equal (info.events, 3);
    assert_int_equal (info.standing, 2);
    page = read_topics (rig, "r!", 2);
    topics = page->topics;
    assert_true (tide_topic_info_next (&topics, &info));
    assert_true (tide_bytes_is (info.topic, "r/a"));
    assert_int_equal (page->more, 1);
    assert_int_equal (read_topics (rig, "t", 1)->more, 0);
    assert_int_equal (read_topics (rig, "", 0)->topics.count, 0);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (g1_a_topic_is_read_in_order_from_a_position),
        TEST (g1_subtrees_are_read_in_one_order),
        TEST (g1_each_want_has_its_own_position_and_an_event_comes_once),
        TEST (a_page_ends_at_its_limit_and_says_where),
        TEST (a_page_ends_at_its_size_but_has_one_event),
        TEST (a_page_ends_where_it_was_told_to),
        TEST (with_limit_0_there_are_positions_and_no_fetch),
        TEST (g8_a_position_of_another_log_or_of_the_future_is_refused),
        TEST (bad_reads_are_refused),
        TEST (g5_what_was_trimmed_is_told_for_each_topic),
        TEST (g5_an_event_that_is_damaged_is_told_as_lost),
        TEST (g5_damage_is_remembered_when_its_segment_is_gone),
        TEST (g5_an_event_that_the_log_does_not_have_is_told_as_lost),
        TEST (g5_what_was_trimmed_while_it_was_being_fetched_is_told),
        TEST (many_topics_are_read_in_order_too),
        TEST (g3_fetches_are_limited_and_more_reads_wait_or_are_refused),
        TEST (a_peer_that_is_gone_is_not_answered),
        TEST (topics_are_listed_in_order_without_the_systems),
    };
    return cmocka_run_group_tests_name ("tide_reading", tests, NULL, NULL);
}
