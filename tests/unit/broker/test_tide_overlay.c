/*  test_tide_overlay.c - what one batch will have changed.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void the_latest_change_of_a_key_counts (void **state)
{
    (void) state;
    tide_overlay_t overlay = {.hash_seed = {1, 2}};
    tide_bytes_t topic = tide_bytes ("t"), key = tide_bytes ("k");
    assert_null (tide_overlay_key (&overlay, topic, key));
    tide_overlay_add_key (&overlay, topic, key, 5, false);
    tide_overlay_add_key (&overlay, topic, key, 6, true);
    assert_int_equal (tide_overlay_key (&overlay, topic, key)->seq, 6);
    assert_true (tide_overlay_key (&overlay, topic, key)->removed);
    assert_null (tide_overlay_key (&overlay, topic, tide_bytes ("other")));
    assert_null (tide_overlay_key (&overlay, tide_bytes ("tk"), tide_bytes ("")));
    /*  With an empty key: any of the topic. */
    assert_non_null (tide_overlay_key (&overlay, topic, tide_bytes ("")));
    tide_overlay_clear (&overlay);
    assert_null (tide_overlay_key (&overlay, topic, key));
    assert_null (tide_overlay_key (&overlay, topic, tide_bytes ("")));
    tide_overlay_free (&overlay);
}

static void many_keys_and_ids_are_found (void **state)
{
    (void) state;
    tide_overlay_t overlay = {.hash_seed = {1, 2}};
    for (unsigned at = 1; at <= 4096; at++) {
        char topic[16], key[16];
        snprintf (topic, sizeof topic, "t%u", at % 7);
        snprintf (key, sizeof key, "k%u", at);
        tide_overlay_add_key (&overlay, tide_bytes (topic), tide_bytes (key), at, at % 2);
        tide_id_t id = {{at % 64, at}, at};
        tide_overlay_add_id (&overlay, &id, at, 0);
    }
    for (unsigned at = 1; at <= 4096; at++) {
        char topic[16], key[16];
        snprintf (topic, sizeof topic, "t%u", at % 7);
        snprintf (key, sizeof key, "k%u", at);
        const tide_overlay_key_t *change =
            tide_overlay_key (&overlay, tide_bytes (topic), tide_bytes (key));
        assert_true (change && change->seq == at && change->removed == at % 2);
        tide_id_t id = {{at % 64, at}, 0};
        assert_int_equal (tide_overlay_id (&overlay, &id)->seq, at);
    }
    tide_id_t id = {{1, 2}, 0};
    assert_null (tide_overlay_id (&overlay, &id));
    tide_overlay_free (&overlay);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_latest_change_of_a_key_counts),
        cmocka_unit_test (many_keys_and_ids_are_found),
    };
    return cmocka_run_group_tests_name ("tide_overlay", tests, NULL, NULL);
}
