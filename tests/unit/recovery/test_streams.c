/*  test_streams.c - Server-Sent Events: streams that are read on from a position.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_browser.h"

#include "tide_alloc.h"

/*  -- where a stream begins ------------------------------------------------------------------- */

static void a_live_stream_says_where_it_begins_and_gives_what_comes (void **state)
{
    (void) state;
    static const char *const queries[] = {"topic=lobby", "topic=lobby&since=live"};
    for (size_t at = 0; at < 2; at++) {
        publish ("lobby", 1, 3);
        browser_t *browser = browse (queries[at]);
        assert_int_equal (browser->count, 0);
        assert_true (browser->id[0] != 0);
        publish ("lobby", 4, 40);
        browser_assert_numbers (browser, 4, 40);
        browser_leave (&browser);
    }
}

static void g5_a_live_stream_that_is_cut_before_its_first_event_misses_nothing (void **state)
{
    (void) state;
    publish ("lobby", 1, 3);
    browser_t *browser = browse ("topic=lobby");
    tide_loop_cut (browser->wire);
    publish ("lobby", 4, 6);
    browser_open (browser, OTHER, "topic=lobby");
    publish ("lobby", 7, 8);
    browser_assert_numbers (browser, 4, 8);
    browser_leave (&browser);
}

static void a_stream_from_the_start_gives_the_whole_history (void **state)
{
    (void) state;
    publish ("lobby", 1, 1500); /* more than a page, more than the tape */
    browser_t *browser = browse ("topic=lobby&since=start");
    publish ("lobby", 1501, 1510);
    browser_assert_numbers (browser, 1, 1510);
    browser_leave (&browser);
}

static void a_stream_begins_behind_the_position_that_is_asked_for (void **state)
{
    (void) state;
    publish ("lobby", 1, 10);
    uint64_t seq = tide_loop_publish (loop, "lobby", 11);
    publish ("lobby", 12, 20);
    static const char *const queries[] = {
        "topic=lobby&since=%d", "topic=lobby&since=0000000000001111:%d",
        "since=0000000000001111%%3A%d&topic=lobby", "topic=lobby&since=%d&epoch=0000000000001111"};
    for (size_t at = 0; at < sizeof queries / sizeof queries[0]; at++) {
        char query[100];
        snprintf (query, sizeof query, queries[at], (int) seq);
        browser_t *browser = browse (query);
        browser_assert_numbers (browser, 12, 20);
        browser_leave (&browser);
    }
    /*  A browser that comes back knows better than its address. */
    browser_t *browser = tide_alloc (sizeof *browser);
    snprintf (browser->id, sizeof browser->id, "0000000000001111:%llu", (unsigned long long) seq);
    browser_open (browser, THIRD, "topic=lobby&since=start");
    browser_assert_numbers (browser, 12, 20);
    browser_leave (&browser);
}

static void g1_several_topics_come_in_one_order_and_each_event_once (void **state)
{
    (void) state;
    static const char *const topics[] = {"a/b", "lobby", "a", "a/b/c", "other"};
    for (int number = 1; number <= 50; number++)
        publish (topics[number % 5], number, number);
    browser_t *past = browse ("topic=lobby&topic=a/%23&topic=a/b&topic=other&topic=a&since=start");
    browser_t *live = browse ("topic=lobby&topic=a/%23&topic=a/b&topic=other&topic=a");
    for (int number = 51; number <= 100; number++)
        publish (topics[number % 5], number, number);
    browser_assert_numbers (past, 1, 100);
    browser_assert_numbers (live, 51, 100);
    for (int at = 0; at < past->count; at++)
        assert_string_equal (past->topics[at], topics[past->numbers[at] % 5]);
    for (int at = 1; at < past->count; at++)
        assert_true (position_of (past->ids[at]) > position_of (past->ids[at - 1]));
    browser_leave (&past);
    browser_leave (&live);
}

static void a_topic_that_is_named_twice_is_given_once (void **state)
{
    (void) state;
    set_key ("lobby", "k", 7);
    static const char *const more[] = {"", "&since=start", "&since=snapshot"};
    for (size_t at = 0; at < 3; at++) {
        char query[100];
        snprintf (query, sizeof query, "topic=lobby&topic=lobby%s", more[at]);
        browser_t *browser = browse (query);
        assert_int_equal (browser->snapshots, at == 2);
        browser->count = 0;
        publish ("lobby", 1, 3);
        browser_assert_numbers (browser, 1, 3);
        browser_leave (&browser);
    }
}

static void g5_resuming_at_any_id_gives_exactly_the_rest (void **state)
{
    (void) state;
    browser_t *whole = browse ("topic=lobby&topic=a/%23&since=start");
    for (int number = 1; number <= 40; number++)
        publish (number % 3 ? "lobby" : "a/b", number, number);
    browser_assert_numbers (whole, 1, 40);
    for (int at = 0; at < whole->count; at++) {
        browser_t *browser = tide_alloc (sizeof *browser);
        memcpy (browser->id, whole->ids[at], sizeof browser->id);
        browser_open (browser, (unsigned) at % LOOP_HUBS, "topic=lobby&topic=a/%23&since=start");
        browser_assert_numbers (browser, whole->numbers[at] + 1, 40);
        assert_int_equal (browser->resets, 0);
        browser_leave (&browser);
    }
    browser_leave (&whole);
}

static void what_is_not_the_streams_does_not_hold_its_position_back (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 1);
    publish ("other", 1, 50);
    uint64_t head = tide_loop_publish (loop, "other", 51);
    tide_loop_pass (loop, 15000);
    browser_listen (browser);
    assert_int_equal (position_of (browser->id), head);
    browser_leave (&browser);
}

/*  -- time ------------------------------------------------------------------------------------ */

static void a_stream_gives_a_sign_of_life_with_its_position (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 2);
    browser_listen (browser);
    for (int round = 1; round <= 4; round++) {
        tide_loop_pass (loop, 14750);
        browser_listen (browser);
        assert_int_equal (browser->comments, round - 1);
        assert_true (tide_hub_deadline_ms (loop->hubs[HOLDER]) <= loop->now_ms + 250);
        tide_loop_pass (loop, 250);
        browser_listen (browser);
        assert_int_equal (browser->comments, round);
        uint64_t seq = position_of (browser->id);
        assert_true (seq >= position_of (browser->ids[1]));
        assert_true (seq <= tide_loop_publish (loop, "other", round));
    }
    /*  It does not run ahead. */
    tide_loop_cut (browser->wire);
    publish ("lobby", 3, 4);
    browser_open (browser, OTHER, "topic=lobby");
    browser_assert_numbers (browser, 1, 4);
    browser_leave (&browser);
}

static void a_stream_that_comes_before_the_broker_waits_for_it (void **state)
{
    (void) state;
    static const char *const since[] = {"", "&since=start", "&since=snapshot",
                                        "&since=0000000000001111:1"};
    for (size_t at = 0; at < 4; at++) {
        loop = tide_loop_new (NULL);
        set_key ("lobby", "k", 1);
        publish ("lobby", 2, 2);
        loop->is_cut[HOLDER] = true;
        tide_loop_kill_lane (loop, HOLDER);
        char query[100];
        snprintf (query, sizeof query, "topic=lobby%s", since[at]);
        browser_t *browser = browse (query), *leaves = browse (query);
        tide_loop_pass (loop, 30000);
        browser_listen (browser);
        assert_string_equal (browser->id, "");
        assert_int_equal (browser->comments, 2);
        assert_non_null (browser->wire->connection);
        browser_leave (&leaves);
        loop->is_cut[HOLDER] = false;
        tide_loop_pass (loop, 2000);
        publish ("lobby", 3, 4);
        browser_listen (browser);
        assert_int_equal (browser->snapshots, at == 2);
        assert_true (browser->id[0] != 0);
        browser_assert_numbers (browser, at == 1 ? 1 : at == 3 ? 2 : 3, 4);
        browser_leave (&browser);
        tide_loop_destroy (&loop);
    }
}

static void a_stream_goes_on_when_the_broker_is_back (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 3);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 10000);
    publish ("lobby", 4, 6);
    browser_assert_numbers (browser, 1, 6);
    assert_int_equal (browser->resets, 0);
    browser_leave (&browser);
}

/*  -- those that take nothing ----------------------------------------------------------------- */

static void g6_a_stream_that_takes_nothing_costs_nothing_and_reads_on (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby&topic=other");
    tide_loop_client_t *wire = browser->wire;
    publish ("lobby", 1, 1);
    browser_listen (browser);
    wire->is_stalled = true;
    size_t before = wire->text.size;
    publish ("lobby", 2, 1500); /* far more than the tape holds */
    for (int at = 0; at < 5; at++) {
        tide_loop_pass (loop, 60000);
        publish ("lobby", 1501 + at, 1501 + at);
    }
    /*  What waited for it is at most one sign of life; all else is asked for by its own writes. */
    tide_bytes_t first = tide_hub_write (loop->hubs[HOLDER], loop->now_ms, wire->connection);
    assert_true (first.size < 200 + (64u << 10) + 200);
    tide_buffer_append_bytes (&wire->text, first);
    assert_true (wire->text.size - before < (65u << 10));
    tide_loop_unstall (wire);
    tide_loop_pass (loop, 2000);
    assert_true (browser->comments <= 1);
    browser_assert_numbers (browser, 1, 1505);
    publish ("other", 1506, 1507);
    browser_assert_numbers (browser, 1, 1507);
    browser_leave (&browser);
}

/*  -- what is given --------------------------------------------------------------------------- */

static void what_an_event_holds_is_on_one_line (void **state)
{
    (void) state;
    static const char *const bodies[] = {
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":{\"a\" :\r\n [1,\n2]}}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":\"line\\nline\\r\\n\"}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":{\"$binary\":\"AAEC\"}}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"args\":[]}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"key\":\"k\"}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":\"v\",\"volatile\":true}"};
    browser_t *browser = browse ("topic=lobby");
    for (size_t at = 0; at < sizeof bodies / sizeof bodies[0]; at++) {
        char before[64];
        memcpy (before, browser->id, sizeof before);
        tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", bodies[at]);
        assert_int_equal (loop->http_status, 200);
        browser_listen (browser);
        assert_int_equal (browser->count, at + 1);
        assert_string_equal (browser->topics[at], "lobby");
        /*  A volatile event is at the position that the stream has. */
        assert_int_equal (strcmp (browser->id, before) != 0, at < 5);
    }
    browser_leave (&browser);
}

/*  -- refusals -------------------------------------------------------------------------------- */

static void assert_no_stream (const char *query, const char *id, unsigned status, const char *code)
{
    char text[40];
    assert_null (tide_loop_stream (loop, HOLDER, query, id));
    assert_int_equal (loop->http_status, status);
    snprintf (text, sizeof text, "\"code\":\"%s\"", code);
    if (!strstr (loop->http_body, text))
        fail_msg ("expected %s, not %s", text, loop->http_body);
}

static void what_cannot_be_streamed_is_refused (void **state)
{
    (void) state;
    assert_no_stream ("", "", 400, "bad_topic");
    assert_no_stream ("since=start", "", 400, "bad_topic");
    assert_no_stream ("topic=", "", 400, "bad_topic");
    assert_no_stream ("topic=a&topic=", "", 400, "bad_topic");
    assert_no_stream ("topic=a/%23/b", "", 400, "bad_topic");
    assert_no_stream ("topic=a%00b", "", 400, "bad_topic");
    assert_no_stream ("topic=%ff", "", 400, "bad_topic");
    assert_no_stream ("topic=a%", "", 400, "bad_request");
    assert_no_stream ("topic=a&since=soon", "", 400, "bad_request");
    assert_no_stream ("topic=a&since=-1", "", 400, "bad_request");
    assert_no_stream ("topic=a&since=xyz:1", "", 400, "bad_request");
    assert_no_stream ("topic=a&since=1&epoch=xyz", "", 400, "bad_request");
    assert_no_stream ("topic=a&since=start&epoch=xyz", "", 400, "bad_request");
    assert_no_stream ("topic=a", "soon", 400, "bad_request");
    assert_no_stream ("topic=$session/a", "", 403, "forbidden");
    assert_no_stream ("topic=a&topic=$session/%23", "", 403, "forbidden");
    char query[4096] = "topic=t";
    for (int at = 1; at < 100; at++)
        snprintf (query + strlen (query), 32, "&topic=t%d", at);
    tide_loop_client_t *client = tide_loop_stream (loop, HOLDER, query, "");
    assert_non_null (client); /* as many as may be */
    strcat (query, "&topic=more");
    assert_no_stream (query, "", 429, "too_many");
    memset (query, 'l', 300);
    memcpy (query, "topic=", 6);
    query[300] = 0;
    assert_no_stream (query, "", 400, "bad_topic");
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_null (client->connection);
    assert_no_stream ("topic=a", "", 503, "shutting_down");
}

static void who_may_not_read_may_not_stream (void **state)
{
    (void) state;
    loop->hub_config.may_read = false;
    tide_loop_kill_lane (loop, HOLDER);
    assert_null (tide_loop_stream (loop, HOLDER, "topic=lobby", ""));
    assert_true (loop->http_status == 401 || loop->http_status == 403);
}

/*  -- states in which a lane or a stream can go ----------------------------------------------- */

/*  A sanitizer says whether something is left behind. */
static void a_stream_can_go_in_any_state (void **state)
{
    (void) state;
    enum { WAITING, CHECKING, SNAPSHOT, LIVE, STALLED, PAGE, RESETTING, OTHER_LOG, STATES };
    enum { CLIENT_LEAVES, LANE_DIES, LANE_STOPS, LOG_CHANGES, HOW };
    for (int where = 0; where < STATES; where++)
        for (int how = 0; how < HOW; how++) {
            loop = where == RESETTING ? tide_loop_new_keeping (50) : tide_loop_new (NULL);
            const char *query = "topic=lobby&topic=a/%23";
            char id[32] = "";
            set_key ("lobby", "k", 1);
            publish ("lobby", 1, 300);
            if (where == WAITING) {
                loop->is_cut[HOLDER] = true;
                tide_loop_kill_lane (loop, HOLDER);
            }
            if (where == CHECKING || where == PAGE)
                hold (TIDE_MESSAGE_READ);
            if (where == SNAPSHOT || where == RESETTING || where == OTHER_LOG)
                hold (TIDE_MESSAGE_SNAPSHOT);
            if (where == SNAPSHOT)
                query = "topic=lobby&topic=a/%23&since=snapshot";
            if (where == CHECKING || where == PAGE || where == RESETTING)
                strcpy (id, "0000000000001111:1");
            if (where == OTHER_LOG)
                strcpy (id, "00000000000000aa:1");
            tide_loop_client_t *client = tide_loop_stream (loop, HOLDER, query, id);
            assert_non_null (client);
            if (where == PAGE)
                tide_loop_let_go (loop);
            if (where == STALLED) {
                client->is_stalled = true;
                publish ("lobby", 1, 10);
                tide_loop_pass (loop, 16000);
            }
            if (how == CLIENT_LEAVES)
                tide_loop_cut (client);
            else if (how == LANE_DIES)
                tide_loop_kill_lane (loop, HOLDER);
            else if (how == LANE_STOPS) {
                tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
                tide_loop_run (loop);
                assert_null (client->connection);
            }
            else {
                loop->is_cut[HOLDER] = false;
                tide_loop_kill_broker (loop, true);
                tide_loop_pass (loop, 5000);
            }
            loop->is_cut[HOLDER] = false;
            tide_loop_let_all_go (loop);
            tide_loop_pass (loop, 12000);
            publish ("lobby", 1, 3);
            tide_loop_destroy (&loop);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_live_stream_says_where_it_begins_and_gives_what_comes),
        TEST (g5_a_live_stream_that_is_cut_before_its_first_event_misses_nothing),
        TEST (a_stream_from_the_start_gives_the_whole_history),
        TEST (a_stream_begins_behind_the_position_that_is_asked_for),
        TEST (g1_several_topics_come_in_one_order_and_each_event_once),
        TEST (a_topic_that_is_named_twice_is_given_once),
        TEST (g5_resuming_at_any_id_gives_exactly_the_rest),
        TEST (what_is_not_the_streams_does_not_hold_its_position_back),
        TEST (a_stream_gives_a_sign_of_life_with_its_position),
        cmocka_unit_test (a_stream_that_comes_before_the_broker_waits_for_it),
        TEST (a_stream_goes_on_when_the_broker_is_back),
        TEST (g6_a_stream_that_takes_nothing_costs_nothing_and_reads_on),
        TEST (what_an_event_holds_is_on_one_line),
        TEST (what_cannot_be_streamed_is_refused),
        TEST (who_may_not_read_may_not_stream),
        cmocka_unit_test (a_stream_can_go_in_any_state),
    };
    return cmocka_run_group_tests_name ("streams", tests, NULL, NULL);
}
