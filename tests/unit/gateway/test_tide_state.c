/*  test_tide_state.c - a snapshot is gathered, folded forward and told in parts.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"
#include "tide_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put (tide_state_t *state, const char *topic, const char *key, const char *json)
{
    tide_buffer_t payload = {0};
    if (json)
        tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (json)});
    tide_state_put (state, &(tide_event_t){.seq = 1,
                                           .topic = tide_bytes (topic),
                                           .name = tide_bytes ("set"),
                                           .key = tide_bytes (key),
                                           .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
}

static json_t *part (tide_state_t *state, size_t size_max, bool *more)
{
    tide_buffer_t text = {0};
    *more = tide_state_part (state, size_max, &text);
    json_t *json = json_loadb ((char *) text.data, text.size, 0, NULL);
    assert_non_null (json);
    tide_buffer_free (&text);
    return json;
}

static void later_events_fold_over_earlier_ones (void **unused)
{
    (void) unused;
    tide_state_t *state = tide_state_new (false);
    put (state, "t", "a", "1");
    put (state, "t", "b", "2");
    put (state, "t", "a", "3");
    put (state, "t", "b", NULL);
    put (state, "t", "", "4");
    tide_state_rewind (state);
    bool more;
    json_t *json = part (state, SIZE_MAX, &more);
    assert_false (more);
    assert_int_equal (json_object_size (json), 1);
    json_t *event = json_object_get (json, "a");
    assert_int_equal (json_integer_value (json_object_get (event, "data")), 3);
    json_decref (json);
    tide_state_clear (state);
    assert_int_equal (tide_state_size (state), 0);
    tide_state_destroy (&state);
}

static void a_subtree_is_grouped_by_topic_in_every_part (void **unused)
{
    (void) unused;
    tide_state_t *state = tide_state_new (true);
    char topic[32], key[32];
    for (int at = 0; at < 500; at++) {
        snprintf (topic, sizeof topic, "t/%d", at % 5);
        snprintf (key, sizeof key, "k%d", at);
        put (state, topic, key, "{\"x\":[1,2]}");
    }
    tide_state_rewind (state);
    size_t keys = 0, parts = 0;
    for (bool more = true; more; parts++) {
        json_t *json = part (state, 3000, &more), *inner;
        const char *name;
        json_object_foreach (json, name, inner)
            keys += json_object_size (inner);
        json_decref (json);
    }
    assert_int_equal (keys, 500);
    assert_true (parts > 5);
    tide_state_destroy (&state);
}

static void nothing_stands_in_an_empty_topic (void **unused)
{
    (void) unused;
    for (int is_subtree = 0; is_subtree < 2; is_subtree++) {
        tide_state_t *state = tide_state_new (is_subtree);
        tide_state_rewind (state);
        bool more;
        json_t *json = part (state, 10, &more);
        assert_int_equal (json_object_size (json), 0);
        assert_false (more);
        json_decref (json);
        tide_state_destroy (&state);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (later_events_fold_over_earlier_ones),
        cmocka_unit_test (a_subtree_is_grouped_by_topic_in_every_part),
        cmocka_unit_test (nothing_stands_in_an_empty_topic),
    };
    return cmocka_run_group_tests_name ("state", tests, NULL, NULL);
}
