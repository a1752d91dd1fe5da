/*  test_tide_ids.c - which event ids are known.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint64_t seed[2] = {5, 6};

static tide_event_t sample (void)
{
    return (tide_event_t){.topic = tide_bytes ("topic"),
                          .name = tide_bytes ("name"),
                          .key = tide_bytes ("key"),
                          .id = tide_bytes ("id"),
                          .user = tide_bytes ("user"),
                          .except = tide_bytes ("@sid"),
                          .payload = tide_bytes ("payload")};
}

static void g4_an_id_is_that_of_a_user_on_a_topic (void **state)
{
    (void) state;
    tide_event_t event = sample ();
    tide_id_t id = tide_id (seed, &event);
    tide_event_t other = sample ();
    other.from = tide_bytes ("somebody");
    other.lease = tide_bytes ("lease");
    other.seq = 9;
    tide_id_t same = tide_id (seed, &other);
    assert_true (tide_id_equal (&id, &same));
    assert_int_equal (id.content, same.content);
    tide_bytes_t *parts[] = {&other.topic, &other.id, &other.user};
    for (size_t at = 0; at < 3; at++) {
        tide_bytes_t before = *parts[at];
        *parts[at] = tide_bytes ("else");
        same = tide_id (seed, &other);
        assert_false (tide_id_equal (&id, &same));
        *parts[at] = before;
    }
}

static void g4_the_content_is_name_key_except_and_payload (void **state)
{
    (void) state;
    tide_event_t event = sample (), other = sample ();
    tide_id_t id = tide_id (seed, &event);
    tide_bytes_t *parts[] = {&other.name, &other.key, &other.except, &other.payload};
    for (size_t at = 0; at < 4; at++) {
        tide_bytes_t before = *parts[at];
        *parts[at] = tide_bytes ("else");
        tide_id_t changed = tide_id (seed, &other);
        assert_true (tide_id_equal (&id, &changed));
        assert_int_not_equal (id.content, changed.content);
        *parts[at] = (tide_bytes_t){0};
        changed = tide_id (seed, &other);
        assert_int_not_equal (id.content, changed.content);
        *parts[at] = before;
    }
    /*  Where one text ends and the next begins counts too. */
    event.name = tide_bytes ("ab");
    event.key = tide_bytes ("c");
    other.name = tide_bytes ("a");
    other.key = tide_bytes ("bc");
    assert_int_not_equal (tide_id (seed, &event).content, tide_id (seed, &other).content);
}

static void g4_each_byte_of_a_large_payload_counts (void **state)
{
    (void) state;
    static uint8_t bytes[2000];
    tide_event_t event = sample ();
    for (size_t size = 500; size < sizeof bytes; size += 250) {
        event.payload = (tide_bytes_t){bytes, size};
        uint64_t content = tide_id (seed, &event).content;
        bytes[size - 1] = 1;
        assert_int_not_equal (tide_id (seed, &event).content, content);
        bytes[size - 1] = 0;
    }
}

static tide_id_t numbered (unsigned number)
{
    char text[32];
    tide_event_t event = sample ();
    snprintf (text, sizeof text, "id-%u", number);
    event.id = tide_bytes (text);
    return tide_id (seed, &event);
}

static void g4_the_latest_ids_are_known_and_older_ones_are_not (void **state)
{
    (void) state;
    enum { MAX = 1000, ALL = 5000 };
    tide_ids_t *ids = tide_ids_new (MAX);
    tide_ids_settle (ids);
    uint64_t content = 0;
    for (unsigned at = 1; at <= ALL; at++) {
        tide_id_t id = numbered (at);
        assert_int_equal (tide_ids_find (ids, &id, &content), 0);
        tide_ids_add (ids, &id, at);
        if (at % 97 != 0)
            continue;
        for (unsigned known = 1; known <= at; known++) {
            id = numbered (known);
            uint64_t seq = tide_ids_find (ids, &id, &content);
            assert_int_equal (seq, known + MAX > at ? known : 0);
            assert_true (seq == 0 || content == id.content);
        }
    }
    assert_int_equal (tide_ids_count (ids), MAX);
    tide_ids_destroy (&ids);
}

static void g4_ids_go_with_the_history (void **state)
{
    (void) state;
    tide_ids_t *ids = tide_ids_new (1000);
    uint64_t content = 0;
    for (unsigned at = 1; at <= 100; at++) {
        tide_id_t id = numbered (at);
        tide_ids_add (ids, &id, at * 10);
    }
    tide_ids_trim (ids, 305);
    tide_ids_settle (ids);
    tide_ids_trim (ids, 505);
    assert_int_equal (tide_ids_count (ids), 50);
    tide_id_t id = numbered (50);
    assert_int_equal (tide_ids_find (ids, &id, &content), 0);
    id = numbered (51);
    assert_int_equal (tide_ids_find (ids, &id, &content), 510);
    tide_ids_trim (ids, 5000);
    assert_int_equal (tide_ids_count (ids), 0);
    assert_int_equal (tide_ids_find (ids, &id, &content), 0);
    tide_ids_destroy (&ids);
}

/*  An id that was forgotten and used again, both being in the log that is loaded. */
static void g4_an_id_that_comes_twice_is_the_later_one (void **state)
{
    (void) state;
    tide_ids_t *ids = tide_ids_new (3);
    uint64_t content = 0;
    tide_id_t id = numbered (1), other = numbered (2);
    tide_ids_add (ids, &id, 1);
    tide_ids_add (ids, &id, 2);
    tide_ids_settle (ids);
    assert_int_equal (tide_ids_find (ids, &id, &content), 2);
    tide_ids_add (ids, &other, 3);
    tide_ids_trim (ids, 1);
    assert_int_equal (tide_ids_find (ids, &id, &content), 2);
    tide_ids_trim (ids, 2);
    assert_int_equal (tide_ids_find (ids, &id, &content), 0);
    assert_int_equal (tide_ids_find (ids, &other, &content), 3);
    tide_ids_destroy (&ids);
}

static void no_ids_are_kept_where_none_may_be (void **state)
{
    (void) state;
    tide_ids_t *ids = tide_ids_new (0);
    uint64_t content = 0;
    tide_id_t id = numbered (1);
    tide_ids_settle (ids);
    tide_ids_add (ids, &id, 1);
    tide_ids_trim (ids, 1);
    assert_int_equal (tide_ids_find (ids, &id, &content), 0);
    tide_ids_destroy (&ids);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g4_an_id_is_that_of_a_user_on_a_topic),
        cmocka_unit_test (g4_the_content_is_name_key_except_and_payload),
        cmocka_unit_test (g4_each_byte_of_a_large_payload_counts),
        cmocka_unit_test (g4_the_latest_ids_are_known_and_older_ones_are_not),
        cmocka_unit_test (g4_ids_go_with_the_history),
        cmocka_unit_test (g4_an_id_that_comes_twice_is_the_later_one),
        cmocka_unit_test (no_ids_are_kept_where_none_may_be),
    };
    return cmocka_run_group_tests_name ("tide_ids", tests, NULL, NULL);
}
