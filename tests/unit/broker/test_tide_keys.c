/*  test_tide_keys.c - the keys that stand.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint64_t seed[2] = {3, 4};

static void a_key_belongs_to_its_topic (void **state)
{
    (void) state;
    tide_topics_t *topics = tide_topics_new (seed);
    uint32_t one = tide_topics_add (topics, tide_bytes ("one"));
    uint32_t two = tide_topics_add (topics, tide_bytes ("two"));
    tide_keys_t *keys = tide_keys_new (seed, topics);
    uint32_t key = tide_keys_add (keys, one, tide_bytes ("k"), 7);
    assert_int_equal (tide_keys_find (keys, one, tide_bytes ("k")), key);
    assert_int_equal (tide_keys_find (keys, two, tide_bytes ("k")), 0);
    assert_int_equal (tide_keys_seq (keys, key), 7);
    assert_int_equal (tide_keys_topic (keys, key), one);
    assert_true (tide_bytes_is (tide_keys_name (keys, key), "k"));
    tide_keys_set (keys, key, 9);
    assert_int_equal (tide_keys_seq (keys, key), 9);
    assert_int_equal (tide_keys_seq (keys, 0), 0);
    assert_int_equal (tide_keys_seq (keys, 1000), 0);
    tide_keys_remove (keys, key);
    assert_int_equal (tide_keys_seq (keys, key), 0);
    assert_int_equal (tide_keys_find (keys, one, tide_bytes ("k")), 0);
    tide_keys_destroy (&keys);
    tide_topics_destroy (&topics);
}

static void the_keys_of_a_topic_are_linked (void **state)
{
    (void) state;
    tide_topics_t *topics = tide_topics_new (seed);
    uint32_t topic = tide_topics_add (topics, tide_bytes ("t"));
    tide_keys_t *keys = tide_keys_new (seed, topics);
    uint32_t handles[200];
    for (unsigned at = 0; at < 200; at++) {
        char name[8];
        snprintf (name, sizeof name, "k%u", at);
        handles[at] = tide_keys_add (keys, topic, tide_bytes (name), at + 1);
    }
    for (unsigned at = 0; at < 200; at += 3)
        tide_keys_remove (keys, handles[at]);
    unsigned count = 0;
    for (uint32_t key = tide_topics_at (topics, topic)->keys; key;
         key = tide_keys_next (keys, key)) {
        assert_int_not_equal ((tide_keys_seq (keys, key) - 1) % 3, 0);
        count++;
    }
    assert_int_equal (count, 200 - 67);
    assert_int_equal (tide_topics_at (topics, topic)->key_count, count);
    assert_int_equal (tide_keys_count (keys), count);
    tide_keys_destroy (&keys);
    tide_topics_destroy (&topics);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_key_belongs_to_its_topic),
        cmocka_unit_test (the_keys_of_a_topic_are_linked),
    };
    return cmocka_run_group_tests_name ("tide_keys", tests, NULL, NULL);
}
