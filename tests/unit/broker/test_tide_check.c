/*  test_tide_check.c - whether a publish is well-formed.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_check.h"

#include "tide_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t payload[] = {1, 0, '7'};

static tide_event_t sample (void)
{
    return (tide_event_t){.topic = tide_bytes ("topic"),
                          .name = tide_bytes ("name"),
                          .payload = {payload, sizeof payload}};
}

static tide_status_t check_lists (const tide_buffer_t *events, uint32_t event_count,
                                  const tide_buffer_t *expects, uint32_t expect_count)
{
    bool is_volatile;
    const char *why = NULL;
    tide_publish_message_t publish = {.events = tide_list (events, event_count),
                                      .expects = tide_list (expects, expect_count)};
    tide_status_t status = tide_check_publish (&publish, 100, &is_volatile, &why);
    assert_true (status == TIDE_OK || (why && *why));
    return status;
}

static tide_status_t check (const tide_event_t *event)
{
    tide_buffer_t events = {0}, expects = {0};
    tide_event_append (&events, event);
    tide_status_t status = check_lists (&events, 1, &expects, 0);
    tide_buffer_free (&events);
    return status;
}

static void a_plain_event_passes (void **state)
{
    (void) state;
    tide_event_t event = sample ();
    assert_int_equal (check (&event), TIDE_OK);
    event.key = tide_bytes ("key");
    event.id = tide_bytes ("id");
    event.user = tide_bytes ("user");
    event.from = tide_bytes ("sid");
    event.lease = tide_bytes ("lane");
    assert_int_equal (check (&event), TIDE_OK);
}

static void each_name_must_be_one (void **state)
{
    (void) state;
    tide_event_t event = sample ();
    event.key = tide_bytes ("key");
    tide_bytes_t *names[] = {&event.name, &event.key,  &event.id,
                             &event.user, &event.from, &event.lease};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++) {
        tide_bytes_t before = *names[at];
        *names[at] = tide_bytes ("a\nb");
        assert_int_equal (check (&event), TIDE_BAD_REQUEST);
        *names[at] = tide_bytes ("\xff");
        assert_int_equal (check (&event), TIDE_BAD_REQUEST);
        *names[at] = (tide_bytes_t){(const uint8_t *) "a\0b", 3};
        assert_int_equal (check (&event), TIDE_BAD_REQUEST);
        *names[at] = before;
    }
    event.name = tide_bytes ("");
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
}

static void a_topic_must_be_one (void **state)
{
    (void) state;
    const char *const bad[] = {"", "a/#", "#", "a\tb", "\xc3"};
    tide_event_t event = sample ();
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        event.topic = tide_bytes (bad[at]);
        assert_int_equal (check (&event), TIDE_BAD_TOPIC);
    }
}

static void whom_an_event_excepts_are_topics (void **state)
{
    (void) state;
    static const char *const bad[] = {"\n", "@sid\n", "\n@sid", "a/#", "a\n#", "a\tb", "a\n\xc3"};
    tide_event_t event = sample ();
    event.except = tide_bytes ("@sid\nroom/1\n$nsp");
    assert_int_equal (check (&event), TIDE_OK);
    event.flags = TIDE_EVENT_VOLATILE;
    assert_int_equal (check (&event), TIDE_OK);
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        event.except = tide_bytes (bad[at]);
        assert_int_equal (check (&event), TIDE_BAD_TOPIC);
    }
}

static void payloads_have_a_form_and_a_limit (void **state)
{
    (void) state;
    uint8_t bytes[102] = {1, 0};
    memset (bytes + 2, '1', 100);
    tide_event_t event = sample ();
    event.payload = (tide_bytes_t){bytes, 100};
    assert_int_equal (check (&event), TIDE_OK);
    event.payload.size = 101;
    assert_int_equal (check (&event), TIDE_TOO_LARGE);
    event.payload.size = 2;
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
    event.payload = tide_bytes ("{}");
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
}

static tide_status_t check_args (bool many, const char *json, unsigned attachments)
{
    tide_buffer_t bytes = {0};
    tide_args_t args = {.many = many, .json = tide_bytes (json), .attachments = attachments};
    for (unsigned at = 0; at < attachments; at++)
        args.attachment[at] = tide_bytes ("x");
    tide_args_encode (&bytes, &args);
    tide_event_t event = sample ();
    event.payload = tide_buffer_bytes (&bytes);
    tide_status_t status = check (&event);
    tide_buffer_free (&bytes);
    return status;
}

/*  Every reader frames it as such: one that is none would break each client's connection. */
static void arguments_are_json (void **state)
{
    (void) state;
    assert_int_equal (check_args (false, "{\"a\":[1]}", 0), TIDE_OK);
    assert_int_equal (check_args (true, "[1,2]", 0), TIDE_OK);
    assert_int_equal (check_args (true, "[]", 0), TIDE_OK);
    assert_int_equal (check_args (false, "garbage", 0), TIDE_BAD_JSON);
    assert_int_equal (check_args (false, "1,{\"topic\":\"t\"}", 0), TIDE_BAD_JSON);
    assert_int_equal (check_args (false, "\"\xff\"", 0), TIDE_BAD_JSON);
    assert_int_equal (check_args (true, "[1", 0), TIDE_BAD_JSON);
    assert_int_equal (check_args (true, "1", 0), TIDE_BAD_REQUEST);
    assert_int_equal (check_args (true, " [1]", 0), TIDE_BAD_REQUEST);
    assert_int_equal (check_args (true, "[1] ", 0), TIDE_BAD_REQUEST);
}

static void each_placeholder_has_its_attachment (void **state)
{
    (void) state;
    static const char good[] = "[{\"b\":{\"_placeholder\":true,\"num\":1}}]";
    assert_int_equal (check_args (true, good, 2), TIDE_OK);
    assert_int_equal (check_args (true, good, 1), TIDE_BAD_REQUEST);
    static const char *const bad[] = {
        "{\"_placeholder\":true}",
        "{\"_placeholder\":true,\"num\":-1}",
        "{\"_placeholder\":true,\"num\":\"0\"}",
        "{\"_placeholder\":true,\"num\":0.0}",
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        assert_int_equal (check_args (false, bad[at], 1), TIDE_BAD_REQUEST);
    /*  Without attachments it is data like any other. */
    assert_int_equal (check_args (false, bad[0], 0), TIDE_OK);
}

static void removals_and_leases_need_a_key (void **state)
{
    (void) state;
    tide_event_t event = sample ();
    event.payload = (tide_bytes_t){0};
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
    event.key = tide_bytes ("key");
    assert_int_equal (check (&event), TIDE_OK);
    event = sample ();
    event.lease = tide_bytes ("lane");
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
}

static void volatile_events_are_among_themselves (void **state)
{
    (void) state;
    tide_buffer_t events = {0}, expects = {0};
    tide_event_t event = sample ();
    event.flags = TIDE_EVENT_VOLATILE;
    tide_event_append (&events, &event);
    tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, 2, &expects, 0), TIDE_OK);
    tide_expect_append (&expects, &(tide_expect_t){tide_bytes ("t"), tide_bytes ("k"), 0});
    assert_int_equal (check_lists (&events, 2, &expects, 1), TIDE_BAD_REQUEST);
    event.flags = 0;
    tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, 3, &expects, 0), TIDE_BAD_REQUEST);
    event.flags = TIDE_EVENT_VOLATILE;
    event.key = tide_bytes ("key");
    assert_int_equal (check (&event), TIDE_OK);
    event.lease = tide_bytes ("lane");
    assert_int_equal (check (&event), TIDE_BAD_REQUEST);
    tide_buffer_free (&events);
    tide_buffer_free (&expects);
}

/*  A repetition is known by all of its ids, or it could not be told from a publish of its own. */
static void g4_all_events_of_a_publish_have_ids_or_none (void **state)
{
    (void) state;
    tide_buffer_t events = {0}, expects = {0};
    tide_event_t event = sample ();
    tide_event_append (&events, &event);
    event.id = tide_bytes ("1");
    tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, 2, &expects, 0), TIDE_BAD_REQUEST);
    events.size = 0;
    tide_event_append (&events, &event);
    event.id = tide_bytes ("2");
    tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, 2, &expects, 0), TIDE_OK);
    tide_buffer_free (&events);
}

static void numbers_of_events_and_conditions_are_limited (void **state)
{
    (void) state;
    tide_buffer_t events = {0}, expects = {0};
    tide_event_t event = sample ();
    assert_int_equal (check_lists (&events, 0, &expects, 0), TIDE_BAD_REQUEST);
    for (unsigned at = 0; at < TIDE_PUBLISH_EVENTS_MAX; at++)
        tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, TIDE_PUBLISH_EVENTS_MAX, &expects, 0), TIDE_OK);
    for (unsigned at = 0; at <= TIDE_EXPECTS_MAX; at++)
        tide_expect_append (&expects, &(tide_expect_t){tide_bytes ("t"), tide_bytes ("k"), 0});
    assert_int_equal (
        check_lists (&events, TIDE_PUBLISH_EVENTS_MAX, &expects, TIDE_EXPECTS_MAX + 1),
        TIDE_TOO_MANY);
    tide_event_append (&events, &event);
    assert_int_equal (check_lists (&events, TIDE_PUBLISH_EVENTS_MAX + 1, &expects, 0),
                      TIDE_TOO_MANY);
    tide_buffer_free (&events);
    tide_buffer_free (&expects);
}

static void together_events_fit_into_a_batch (void **state)
{
    (void) state;
    static uint8_t bytes[1000000] = {1, 0};
    tide_buffer_t events = {0};
    tide_event_t event = sample ();
    memset (bytes + 2, '1', sizeof bytes - 2);
    event.payload = (tide_bytes_t){bytes, sizeof bytes};
    for (unsigned at = 0; at < 9; at++)
        tide_event_append (&events, &event);
    bool is_volatile;
    const char *why;
    tide_publish_message_t publish = {.events = tide_list (&events, 9)};
    assert_int_equal (tide_check_publish (&publish, sizeof bytes, &is_volatile, &why),
                      TIDE_TOO_LARGE);
    /*  But one event may be as large as it may. */
    assert_int_equal (tide_check_publish (&publish, 9u << 20, &is_volatile, &why), TIDE_OK);
    tide_buffer_free (&events);
}

static void conditions_name_a_topic_and_a_key (void **state)
{
    (void) state;
    tide_buffer_t events = {0}, expects = {0};
    tide_event_t event = sample ();
    tide_event_append (&events, &event);
    tide_expect_append (&expects, &(tide_expect_t){tide_bytes ("a/#"), tide_bytes ("k"), 0});
    assert_int_equal (check_lists (&events, 1, &expects, 1), TIDE_BAD_TOPIC);
    expects.size = 0;
    tide_expect_append (&expects, &(tide_expect_t){tide_bytes ("a"), tide_bytes (""), 0});
    assert_int_equal (check_lists (&events, 1, &expects, 1), TIDE_BAD_REQUEST);
    tide_buffer_free (&events);
    tide_buffer_free (&expects);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_plain_event_passes),
        cmocka_unit_test (each_name_must_be_one),
        cmocka_unit_test (a_topic_must_be_one),
        cmocka_unit_test (whom_an_event_excepts_are_topics),
        cmocka_unit_test (payloads_have_a_form_and_a_limit),
        cmocka_unit_test (arguments_are_json),
        cmocka_unit_test (each_placeholder_has_its_attachment),
        cmocka_unit_test (removals_and_leases_need_a_key),
        cmocka_unit_test (volatile_events_are_among_themselves),
        cmocka_unit_test (g4_all_events_of_a_publish_have_ids_or_none),
        cmocka_unit_test (numbers_of_events_and_conditions_are_limited),
        cmocka_unit_test (together_events_fit_into_a_batch),
        cmocka_unit_test (conditions_name_a_topic_and_a_key),
    };
    return cmocka_run_group_tests_name ("tide_check", tests, NULL, NULL);
}
