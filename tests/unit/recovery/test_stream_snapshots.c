/*  test_stream_snapshots.c - Server-Sent Events: streams that begin with what stands.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_browser.h"

/*  -- whole snapshots ------------------------------------------------------------------------- */

static void a_snapshot_comes_first_and_then_what_is_behind_it (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    set_key ("desk", "fader", 2);
    set_key ("desk", "meter", 3);
    browser_t *browser = browse ("topic=desk&since=snapshot");
    assert_int_equal (browser->snapshots, 1);
    assert_int_equal (browser->count, 0);
    assert_int_equal (standing_in (browser->snapshot, "fader"), 2);
    assert_int_equal (standing_in (browser->snapshot, "meter"), 3);
    assert_string_equal (json_string_value (json_object_get (browser->snapshot, "topic")), "desk");
    assert_string_equal (json_string_value (json_object_get (browser->snapshot, "epoch")),
                         "0000000000001111");
    assert_int_equal (json_integer_value (json_object_get (browser->snapshot, "seq")),
                      position_of (browser->id));
    set_key ("desk", "fader", 4);
    browser_assert_numbers (browser, 4, 4);
    /*  Who comes back has the snapshot. */
    tide_loop_cut (browser->wire);
    set_key ("desk", "fader", 5);
    browser_open (browser, OTHER, "topic=desk&since=snapshot");
    browser_assert_numbers (browser, 4, 5);
    assert_int_equal (browser->snapshots, 1);
    browser_leave (&browser);
}

/*  All that it got, as it came. */
static const char *text_of (tide_loop_client_t *stream)
{
    tide_put_u8 (&stream->text, 0);
    stream->text.size--;
    return (const char *) stream->text.data;
}

static void a_stream_says_no_position_before_its_snapshot_is_there (void **state)
{
    (void) state;
    set_key ("k", "a", 1);
    set_key ("l", "b", 2);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_client_t *stream =
        tide_loop_stream (loop, HOLDER, "topic=k&topic=l&since=snapshot", "");
    assert_non_null (stream);
    assert_int_equal (loop->held_count, 2);
    tide_loop_publish (loop, "k", 3);
    tide_loop_pass (loop, 5000);
    assert_null (strstr (text_of (stream), "id:"));
    assert_true (tide_loop_let_go (loop)); /* one of two */
    assert_null (strstr (text_of (stream), "id:"));
    tide_loop_let_all_go (loop);
    const char *text = text_of (stream);
    const char *first = strstr (text, "\"key\":\"a\""), *second = strstr (text, "\"key\":\"b\"");
    const char *position = strstr (text, "id:");
    assert_non_null (first);
    assert_non_null (second);
    assert_non_null (position);
    assert_true (position > first && position > second);
    tide_loop_publish (loop, "k", 4444);
    assert_non_null (strstr (text_of (stream), "4444"));
}

/*  -- snapshots that are broken off, or do not come ------------------------------------------- */

/*  A browser is cut while its snapshots come, and comes back with what id it has: each topic's
 *  state, and all that is behind it, is told in the end. */
static void g5_a_stream_that_is_cut_amid_its_snapshots_is_told_all_of_them (void **state)
{
    (void) state;
    for (unsigned steps = 0; steps < 5; steps++) {
        set_key ("desk", "fader", 1);
        set_key ("rack", "meter", 2);
        hold (TIDE_MESSAGE_SNAPSHOT);
        browser_t *browser = browse ("topic=desk&topic=rack&since=snapshot");
        for (unsigned step = 0; step < steps; step++) {
            tide_loop_let_go (loop);
            set_key ("desk", "fader", 10 + (int) step);
        }
        browser_listen (browser);
        tide_loop_cut (browser->wire);
        tide_loop_let_all_go (loop);
        set_key ("desk", "fader", 20);
        set_key ("rack", "meter", 21);
        int first = browser->snapshots;
        browser_open (browser, OTHER, "topic=desk&topic=rack&since=snapshot");
        set_key ("rack", "meter", 22);
        browser_listen (browser);
        if (first < 2) /* it had no id to come back with */
            assert_int_equal (browser->snapshots, first + 2);
        else
            assert_int_equal (browser->snapshots, 2);
        assert_int_equal (browser->numbers[browser->count - 1], 22);
        browser_leave (&browser);
    }
}

/*  Nor by a sign of life, which falls into the time between two snapshots. */
static void g5_a_sign_of_life_amid_snapshots_has_no_position (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    set_key ("rack", "meter", 2);
    loop->is_cut[HOLDER] = true;
    tide_loop_kill_lane (loop, HOLDER);
    browser_t *browser = browse ("topic=desk&topic=rack&since=snapshot");
    tide_loop_pass (loop, 12000);
    hold (TIDE_MESSAGE_SNAPSHOT);
    loop->is_cut[HOLDER] = false;
    tide_loop_pass (loop, 1000);
    assert_int_equal (loop->held_count, 2);
    tide_loop_let_go (loop);
    tide_loop_pass (loop, 2250);
    browser_listen (browser);
    assert_int_equal (browser->comments, 1);
    assert_int_equal (browser->snapshots, 1);
    assert_string_equal (browser->id, "");
    tide_loop_let_all_go (loop);
    browser_listen (browser);
    assert_int_equal (browser->snapshots, 2);
    assert_true (browser->id[0] != 0);
    browser_leave (&browser);
}

/*  It can be told nothing else: it ends, and the browser comes again. */
static void g5_a_stream_ends_if_its_snapshot_cannot_be_had (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    loop->lost_kind = TIDE_MESSAGE_SNAPSHOT;
    browser_t *browser = browse ("topic=desk&since=snapshot");
    tide_loop_pass (loop, 11000);
    assert_null (browser->wire->connection);
    browser_listen (browser);
    assert_string_equal (browser->id, "");
    loop->lost_kind = 0;
    browser_open (browser, OTHER, "topic=desk&since=snapshot");
    assert_int_equal (browser->snapshots, 1);
    browser_leave (&browser);
}

/*  … nor is it left without what it has asked for. */
static void a_stream_whose_snapshot_does_not_come_ends (void **state)
{
    (void) state;
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_client_t *stream = tide_loop_stream (loop, HOLDER, "topic=k&since=snapshot", "");
    assert_non_null (stream);
    assert_non_null (stream->connection);
    tide_loop_pass (loop, 20000);
    assert_null (stream->connection);
    assert_null (strstr (text_of (stream), "id:"));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_snapshot_comes_first_and_then_what_is_behind_it),
        TEST (a_stream_says_no_position_before_its_snapshot_is_there),
        TEST (g5_a_stream_that_is_cut_amid_its_snapshots_is_told_all_of_them),
        TEST (g5_a_sign_of_life_amid_snapshots_has_no_position),
        TEST (g5_a_stream_ends_if_its_snapshot_cannot_be_had),
        TEST (a_stream_whose_snapshot_does_not_come_ends),
    };
    return cmocka_run_group_tests_name ("snapshots of streams", tests, NULL, NULL);
}
