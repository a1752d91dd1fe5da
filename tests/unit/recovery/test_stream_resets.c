/*  test_stream_resets.c - Server-Sent Events: streams whose position is gone are told so, topic
 *  by topic.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_browser.h"

#include "tide_alloc.h"

static void assert_was_reset (const browser_t *browser, const char *topic, const char *code)
{
    assert_non_null (browser->reset);
    assert_non_null (strstr (browser->reset_topics, topic));
    assert_string_equal (json_string_value (json_object_get (browser->reset, "code")), code);
    assert_non_null (json_string_value (json_object_get (browser->reset, "epoch")));
    assert_true (json_is_object (json_object_get (browser->reset, "state")));
}

/*  Its id is behind the reset: who comes back with it is not told again, and misses nothing. */
static void assert_behind_reset (browser_t *browser, const char *query, const char *topic)
{
    int resets = browser->resets;
    assert_true (position_of (browser->id)
                 >= (uint64_t) json_integer_value (json_object_get (browser->reset, "seq")));
    tide_loop_cut (browser->wire);
    publish (topic, 901, 903);
    browser->count = 0;
    browser_open (browser, OTHER, query);
    publish (topic, 904, 905);
    browser_assert_numbers (browser, 901, 905);
    assert_int_equal (browser->resets, resets);
}

static void g5_a_position_behind_the_history_is_reset_aloud (void **state)
{
    (void) state;
    static const char *const since[] = {"start", "1", "0000000000001111:2"};
    for (size_t at = 0; at < 3; at++) {
        loop = tide_loop_new_keeping (50);
        set_key ("lobby", "k", 7);
        publish ("lobby", 1, 200);
        char query[100];
        snprintf (query, sizeof query, "topic=lobby&since=%s", since[at]);
        browser_t *browser = browse (query);
        assert_int_equal (browser->resets, 1);
        assert_was_reset (browser, "lobby", "trimmed");
        assert_int_equal (standing_in (browser->reset, "k"), 7);
        browser->count = 0;
        publish ("lobby", 201, 203);
        browser_assert_numbers (browser, 201, 203);
        assert_behind_reset (browser, "topic=lobby", "lobby");
        browser_leave (&browser);
        tide_loop_destroy (&loop);
    }
}

/*  Right behind the reset, before anything else happens. */
static void an_id_is_behind_the_reset_at_once (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (50);
    publish ("lobby", 1, 200);
    browser_t *browser = browse ("topic=lobby&since=1");
    assert_int_equal (browser->resets, 1);
    assert_behind_reset (browser, "topic=lobby", "lobby");
    browser_leave (&browser);
    tide_loop_destroy (&loop);
}

static void only_the_topic_whose_history_is_gone_is_reset (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (50);
    browser_t *browser = browse ("topic=quiet&topic=lobby");
    publish ("quiet", 1, 1);
    browser_listen (browser);
    tide_loop_cut (browser->wire);
    publish ("lobby", 2, 200);
    publish ("quiet", 201, 203);
    browser->count = 0;
    browser_open (browser, OTHER, "topic=quiet&topic=lobby");
    assert_int_equal (browser->resets, 1);
    assert_was_reset (browser, "lobby", "trimmed");
    browser_assert_numbers (browser, 201, 203);
    publish ("lobby", 204, 205);
    browser_assert_numbers (browser, 201, 205);
    browser_leave (&browser);
    tide_loop_destroy (&loop);
}

static void g5_a_stream_that_lags_behind_the_history_is_reset_aloud (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (500);
    browser_t *browser = browse ("topic=lobby");
    browser->wire->is_stalled = true;
    publish ("lobby", 1, 2000);
    tide_loop_unstall (browser->wire);
    tide_loop_pass (loop, 2000);
    browser_listen (browser);
    assert_int_equal (browser->resets, 1);
    assert_was_reset (browser, "lobby", "trimmed");
    browser->count = 0;
    publish ("lobby", 2001, 2003);
    browser_assert_numbers (browser, 2001, 2003);
    assert_behind_reset (browser, "topic=lobby", "lobby");
    browser_leave (&browser);
    tide_loop_destroy (&loop);
}

static void g8_a_position_of_another_log_is_reset_by_name (void **state)
{
    (void) state;
    static const char *const ids[] = {"00000000000000aa:3", "0000000000001111:999999"};
    for (size_t at = 0; at < 2; at++) {
        set_key ("lobby", "k", 7);
        browser_t *browser = tide_alloc (sizeof *browser);
        snprintf (browser->id, sizeof browser->id, "%s", ids[at]);
        browser_open (browser, HOLDER, "topic=lobby&topic=other");
        assert_int_equal (browser->resets, 2);
        assert_was_reset (browser, " other", "epoch_changed");
        assert_was_reset (browser, " lobby", "epoch_changed");
        assert_int_equal (browser->count, 0);
        publish ("lobby", 1, 3);
        browser_assert_numbers (browser, 1, 3);
        assert_behind_reset (browser, "topic=lobby&topic=other", "other");
        browser_leave (&browser);
    }
}

static void g8_another_log_resets_open_streams (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby&topic=other");
    publish ("lobby", 1, 3);
    browser_assert_numbers (browser, 1, 3);
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 10000);
    browser_listen (browser);
    assert_int_equal (browser->resets, 2);
    assert_was_reset (browser, "other", "epoch_changed");
    browser->count = 0;
    publish ("lobby", 4, 6);
    browser_assert_numbers (browser, 4, 6);
    assert_behind_reset (browser, "topic=lobby&topic=other", "lobby");
    browser_leave (&browser);
}

/*  A browser is cut amid its resets: it has to be told of each topic in the end. */
static void g5_a_stream_that_is_cut_amid_its_resets_is_told_all_of_them (void **state)
{
    (void) state;
    for (int was_open = 0; was_open < 2; was_open++)
        for (unsigned steps = 0; steps < 4; steps++) {
            loop = tide_loop_new (NULL);
            browser_t *browser = tide_alloc (sizeof *browser);
            strcpy (browser->id, was_open ? "" : "00000000000000aa:3");
            if (!was_open)
                hold (TIDE_MESSAGE_SNAPSHOT);
            browser_open (browser, HOLDER, "topic=lobby&topic=other");
            if (was_open) {
                publish ("lobby", 1, 3);
                browser_listen (browser);
                hold (TIDE_MESSAGE_SNAPSHOT);
                tide_loop_kill_broker (loop, true);
                tide_loop_pass (loop, 4000);
            }
            for (unsigned step = 0; step < steps; step++) {
                tide_loop_let_go (loop);
                publish ("lobby", 10 + (int) step, 10 + (int) step);
            }
            browser_listen (browser);
            int resets = browser->resets;
            tide_loop_cut (browser->wire);
            tide_loop_let_all_go (loop);
            browser_open (browser, OTHER, "topic=lobby&topic=other");
            tide_loop_pass (loop, 6000);
            browser->count = 0;
            browser_listen (browser);
            publish ("lobby", 20, 22);
            if (resets < 2)
                assert_int_equal (browser->resets, resets + 2);
            else
                assert_int_equal (browser->resets, 2);
            browser_listen (browser);
            assert_int_equal (browser->numbers[browser->count - 1], 22);
            assert_int_equal (browser->numbers[browser->count - 3], 20);
            browser_leave (&browser);
            tide_loop_destroy (&loop);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g5_a_position_behind_the_history_is_reset_aloud),
        cmocka_unit_test (an_id_is_behind_the_reset_at_once),
        cmocka_unit_test (only_the_topic_whose_history_is_gone_is_reset),
        cmocka_unit_test (g5_a_stream_that_lags_behind_the_history_is_reset_aloud),
        TEST (g8_a_position_of_another_log_is_reset_by_name),
        TEST (g8_another_log_resets_open_streams),
        cmocka_unit_test (g5_a_stream_that_is_cut_amid_its_resets_is_told_all_of_them),
    };
    return cmocka_run_group_tests_name ("resets of streams", tests, NULL, NULL);
}
