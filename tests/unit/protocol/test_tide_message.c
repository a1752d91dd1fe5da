/*  test_tide_message.c - every kind of message, filled from the same tables that define it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_message.h"

#include "tide_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*  -- filling --------------------------------------------------------------------------------- */

/*  Lists of records, for as long as a test runs. */
static tide_buffer_t lists[64];
static size_t list_count;
static unsigned counter;

static void free_lists (void)
{
    while (list_count > 0)
        tide_buffer_free (&lists[--list_count]);
}

static uint64_t number (void)
{
    return UINT64_C (0x0123456789abcdef) * ++counter;
}

static tide_bytes_t text (void)
{
    static const char *const texts[] = {"topic/a", "", "name", "k", "h\xc3\xa9", "0123456789"};
    return tide_bytes (texts[++counter % 6]);
}

#define FILL_U8(S, member, limit) S->member = (uint8_t) (limit ? limit : number ());
#define FILL_U16(S, member, limit) S->member = (uint16_t) number ();
#define FILL_U32(S, member, limit) S->member = (uint32_t) number ();
#define FILL_U64(S, member, limit) S->member = number ();
#define FILL_STR(S, member, limit) S->member = text ();
#define FILL_TEXT(S, member, limit) S->member = text ();
#define FILL_BLOB(S, member, limit) S->member = text ();
#define FILL_LIST(S, member, record)                                                               \
    {                                                                                              \
        tide_##record##_t one, other;                                                              \
        fill_##record (&one);                                                                      \
        fill_##record (&other);                                                                    \
        tide_buffer_t *list = &lists[list_count++];                                                \
        tide_##record##_append (list, &one);                                                       \
        tide_##record##_append (list, &other);                                                     \
        S->member = tide_list (list, 2);                                                           \
    }
#define FILL(S, member, type, limit, doc) FILL_##type (S, member, limit)

#define X(record, NAME, doc)                                                                       \
    static void fill_##record (tide_##record##_t *value)                                           \
    {                                                                                              \
        TIDE_##NAME##_FIELDS (FILL, value)                                                         \
    }
TIDE_RECORDS (X)
#undef X

#define X(member, NAME, number, sender, doc)                                                       \
    static void fill_##member##_message (tide_##member##_message_t *value)                         \
    {                                                                                              \
        (void) value;                                                                              \
        TIDE_##NAME##_FIELDS (FILL, value)                                                         \
    }
TIDE_MESSAGES (X)
#undef X

/*  -- comparing ------------------------------------------------------------------------------- */

#define SAME_U8(one, other, member) assert_int_equal ((one)->member, (other)->member);
#define SAME_U16(one, other, member) assert_int_equal ((one)->member, (other)->member);
#define SAME_U32(one, other, member) assert_int_equal ((one)->member, (other)->member);
#define SAME_U64(one, other, member) assert_true ((one)->member == (other)->member);
#define SAME_STR(one, other, member)                                                               \
    assert_true (tide_bytes_equal ((one)->member, (other)->member));
#define SAME_TEXT SAME_STR
#define SAME_BLOB SAME_STR
#define SAME_LIST(one, other, member)                                                              \
    assert_int_equal ((one)->member.count, (other)->member.count);                                 \
    assert_true (tide_bytes_equal ((one)->member.bytes, (other)->member.bytes));
#define SAME(S, member, type, limit, doc) SAME_##type (one, other, member)

#define X(member, NAME, number, sender, doc)                                                       \
    static void same_##member (const tide_##member##_message_t *one,                               \
                               const tide_##member##_message_t *other)                             \
    {                                                                                              \
        (void) one;                                                                                \
        (void) other;                                                                              \
        TIDE_##NAME##_FIELDS (SAME, )                                                              \
    }
TIDE_MESSAGES (X)
#undef X

static void compare (const tide_message_t *one, const tide_message_t *other)
{
    assert_int_equal (one->kind, other->kind);
    switch (one->kind) {
#define X(member, NAME, number, sender, doc)                                                       \
    case number:                                                                                   \
        same_##member (&one->member, &other->member);                                              \
        break;
        TIDE_MESSAGES (X)
#undef X
    case TIDE_MESSAGE_KINDS:
        fail ();
    }
}

static void fill (tide_message_t *message, tide_message_kind_t kind)
{
    *message = (tide_message_t){.kind = kind};
    switch (kind) {
#define X(member, NAME, number, sender, doc)                                                       \
    case number:                                                                                   \
        fill_##member##_message (&message->member);                                                \
        break;
        TIDE_MESSAGES (X)
#undef X
    case TIDE_MESSAGE_KINDS:
        fail ();
    }
}

/*  In memory of exactly that size, so that a sanitizer sees one byte too far. */
static tide_status_t decode_exact (tide_bytes_t bytes, tide_message_t *message)
{
    const char *why = NULL;
    uint8_t *exact = malloc (bytes.size > 0 ? bytes.size : 1);
    memcpy (exact, bytes.data, bytes.size);
    tide_status_t status = tide_message_decode ((tide_bytes_t){exact, bytes.size}, message, &why);
    assert_true (status == TIDE_OK || strlen (why) > 0);
    free (exact);
    return status;
}

/*  -- tests ----------------------------------------------------------------------------------- */

static const tide_message_kind_t all_kinds[] = {
#define X(member, NAME, number, sender, doc) TIDE_MESSAGE_##NAME,
    TIDE_MESSAGES (X)
#undef X
};
enum { KINDS = sizeof all_kinds / sizeof *all_kinds };

static void every_kind_comes_back_as_it_was_sent (void **state)
{
    (void) state;
    for (size_t at = 0; at < KINDS; at++) {
        tide_message_t sent, got;
        tide_buffer_t out = {0}, again = {0};
        const char *why;
        fill (&sent, all_kinds[at]);
        tide_message_encode (&out, &sent);
        assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &got, &why), TIDE_OK);
        compare (&sent, &got);
        tide_message_encode (&again, &got);
        assert_true (tide_bytes_equal (tide_buffer_bytes (&out), tide_buffer_bytes (&again)));
        tide_buffer_free (&out);
        tide_buffer_free (&again);
        free_lists ();
    }
}

static void every_record_comes_back_and_no_prefix_of_it_does (void **state)
{
    (void) state;
#define X(record, NAME, doc)                                                                       \
    {                                                                                              \
        tide_##record##_t sent, got;                                                               \
        tide_buffer_t one = {0}, other = {0};                                                      \
        fill_##record (&sent);                                                                     \
        tide_##record##_append (&one, &sent);                                                      \
        assert_true (tide_##record##_decode ((tide_bytes_t){one.data + 4, one.size - 4}, &got));   \
        tide_##record##_append (&other, &got);                                                     \
        assert_true (tide_bytes_equal (tide_buffer_bytes (&one), tide_buffer_bytes (&other)));     \
        for (size_t size = 0; size < one.size - 4; size++)                                         \
            assert_false (tide_##record##_decode ((tide_bytes_t){one.data + 4, size}, &got));      \
        tide_buffer_free (&one);                                                                   \
        tide_buffer_free (&other);                                                                 \
        free_lists ();                                                                             \
    }
    TIDE_RECORDS (X)
#undef X
}

static void every_prefix_and_every_trailing_byte_is_refused (void **state)
{
    (void) state;
    for (size_t at = 0; at < KINDS; at++) {
        tide_message_t message;
        tide_buffer_t out = {0};
        fill (&message, all_kinds[at]);
        tide_message_encode (&out, &message);
        for (size_t size = 0; size < out.size; size++)
            assert_int_not_equal (decode_exact ((tide_bytes_t){out.data, size}, &message), TIDE_OK);
        tide_put_u8 (&out, 0);
        assert_int_not_equal (decode_exact (tide_buffer_bytes (&out), &message), TIDE_OK);
        tide_buffer_free (&out);
        free_lists ();
    }
}

/*  Whatever one byte is changed to: an answer, and if it is a message, a message that encodes. */
static void any_changed_byte_is_survived (void **state)
{
    (void) state;
    static const uint8_t values[] = {0, 1, 0x7f, 0xff};
    for (size_t at = 0; at < KINDS; at++) {
        tide_message_t message;
        tide_buffer_t out = {0}, again = {0};
        const char *why;
        fill (&message, all_kinds[at]);
        tide_message_encode (&out, &message);
        for (size_t place = 0; place < out.size; place++) {
            uint8_t kept = out.data[place];
            for (size_t value = 0; value < sizeof values; value++) {
                out.data[place] = values[value];
                if (tide_message_decode (tide_buffer_bytes (&out), &message, &why) != TIDE_OK)
                    continue;
                again.size = 0;
                tide_message_encode (&again, &message);
                assert_int_equal (again.size, out.size);
                assert_memory_equal (again.data, out.data, out.size);
            }
            out.data[place] = kept;
        }
        tide_buffer_free (&out);
        tide_buffer_free (&again);
        free_lists ();
    }
}

static void another_version_is_named (void **state)
{
    (void) state;
    static const uint8_t bytes[] = {'T', 'M', 2, TIDE_MESSAGE_PING};
    tide_message_t message;
    const char *why;
    assert_int_equal (tide_message_decode ((tide_bytes_t){bytes, 4}, &message, &why),
                      TIDE_BAD_REQUEST);
    assert_string_equal (why, "protocol version 2 is not spoken here, only version 1");
}

static void an_unknown_kind_is_named (void **state)
{
    (void) state;
    tide_message_t message;
    const char *why;
    for (unsigned kind = 0; kind < 256; kind++) {
        const uint8_t bytes[] = {'T', 'M', TIDE_PROTOCOL_VERSION, (uint8_t) kind};
        bool is_known = strcmp (tide_message_name ((tide_message_kind_t) kind), "?") != 0;
        tide_status_t status = tide_message_decode ((tide_bytes_t){bytes, 4}, &message, &why);
        char expected[64];
        snprintf (expected, sizeof expected, "unknown kind of message %u", kind);
        if (!is_known) {
            assert_int_equal (status, TIDE_BAD_REQUEST);
            assert_string_equal (why, expected);
        }
    }
    assert_string_equal (tide_message_name (TIDE_MESSAGE_MARKS_READ), "MARKS_READ");
    assert_string_equal (tide_message_name (TIDE_MESSAGE_KINDS), "?");
}

static void what_is_no_message_is_refused (void **state)
{
    (void) state;
    tide_message_t message;
    const char *why;
    assert_int_equal (tide_message_decode ((tide_bytes_t){0}, &message, &why), TIDE_BAD_REQUEST);
    assert_string_equal (why, "not a Tidemark message");
    assert_int_equal (tide_message_decode (tide_bytes ("MT\1\3"), &message, &why),
                      TIDE_BAD_REQUEST);
    assert_string_equal (why, "not a Tidemark message");
}

static void a_size_above_its_limit_is_too_large (void **state)
{
    (void) state;
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    tide_event_t event = {.topic = tide_bytes ("t"), .name = tide_bytes ("n")};
    tide_buffer_t events = {0}, out = {0};
    const char *why;
    tide_event_append (&events, &event);
    message.publish.events = tide_list (&events, 1);
    tide_message_encode (&out, &message);
    tide_store_u32 (out.data + out.size - 4, TIDE_PAYLOAD_SIZE_MAX + 1);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why),
                      TIDE_TOO_LARGE);
    assert_string_equal (why, "oversized PUBLISH");
    tide_store_u32 (out.data + out.size - 4, TIDE_PAYLOAD_SIZE_MAX);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why),
                      TIDE_BAD_REQUEST);
    assert_string_equal (why, "malformed PUBLISH");
    tide_buffer_free (&events);
    tide_buffer_free (&out);
}

static void what_an_event_excepts_has_a_limit (void **state)
{
    (void) state;
    static uint8_t bytes[TIDE_EXCEPT_SIZE_MAX + 1];
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    tide_event_t event = {.topic = tide_bytes ("t"), .name = tide_bytes ("n")}, got;
    tide_buffer_t events = {0}, out = {0};
    const char *why;
    event.except = (tide_bytes_t){bytes, TIDE_EXCEPT_SIZE_MAX};
    event.payload = (tide_bytes_t){bytes, 1};
    tide_event_append (&events, &event);
    assert_true (events.size <= TIDE_EVENT_OVERHEAD_MAX + 1);
    message.publish.events = tide_list (&events, 1);
    tide_message_encode (&out, &message);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why), TIDE_OK);
    assert_true (tide_event_next (&message.publish.events, &got));
    assert_int_equal (got.except.size, TIDE_EXCEPT_SIZE_MAX);
    events.size = out.size = 0;
    event.except.size++;
    tide_event_append (&events, &event);
    message.publish = (tide_publish_message_t){.events = tide_list (&events, 1)};
    tide_message_encode (&out, &message);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why),
                      TIDE_TOO_LARGE);
    tide_buffer_free (&events);
    tide_buffer_free (&out);
}

static void a_relay_carries_more_than_a_payload_and_no_more_than_fits (void **state)
{
    (void) state;
    tide_message_t message = {.kind = TIDE_MESSAGE_RELAY, .relay = {.to = tide_bytes ("lane")}};
    tide_buffer_t out = {0};
    const char *why;
    tide_message_encode (&out, &message);
    tide_store_u32 (out.data + out.size - 4, TIDE_RELAY_SIZE_MAX + 1);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why),
                      TIDE_TOO_LARGE);
    assert_string_equal (why, "oversized RELAY");
    tide_buffer_free (&out);
}

static void a_flag_above_its_largest_value_is_refused (void **state)
{
    (void) state;
    tide_message_t message = {.kind = TIDE_MESSAGE_ACK};
    tide_buffer_t out = {0};
    const char *why;
    tide_message_encode (&out, &message);
    out.data[out.size - 1] = 2;
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&out), &message, &why),
                      TIDE_BAD_REQUEST);
    tide_buffer_free (&out);
}

static void lists_are_stepped_through_record_by_record (void **state)
{
    (void) state;
    tide_buffer_t list = {0}, copy = {0};
    tide_want_t want = {tide_bytes ("a"), 1}, got;
    tide_want_append (&list, &want);
    want = (tide_want_t){tide_bytes ("b/#"), 2};
    tide_want_append (&list, &want);
    tide_list_t rest = tide_list (&list, 2), raw = rest;
    assert_true (tide_want_next (&rest, &got) && tide_bytes_is (got.topic, "a") && got.seq == 1);
    assert_true (tide_want_next (&rest, &got) && tide_bytes_is (got.topic, "b/#"));
    assert_false (tide_want_next (&rest, &got));
    tide_bytes_t record;
    while (tide_list_next (&raw, &record))
        tide_list_append (&copy, record);
    assert_true (tide_bytes_equal (tide_buffer_bytes (&list), tide_buffer_bytes (&copy)));
    assert_false (tide_want_decode ((tide_bytes_t){record.data, record.size - 1}, &got));
    tide_buffer_free (&list);
    tide_buffer_free (&copy);
}

static void an_events_sequence_time_and_flags_stand_at_fixed_places (void **state)
{
    (void) state;
    tide_event_t event = {.seq = 7, .time_ms = 8, .flags = 2, .topic = tide_bytes ("t")}, got;
    tide_buffer_t list = {0};
    tide_event_append (&list, &event);
    tide_store_u64 (list.data + 4 + TIDE_EVENT_SEQ_AT, 70);
    tide_store_u64 (list.data + 4 + TIDE_EVENT_TIME_AT, 80);
    list.data[4 + TIDE_EVENT_FLAGS_AT] = 1;
    assert_true (tide_event_decode ((tide_bytes_t){list.data + 4, list.size - 4}, &got));
    assert_true (got.seq == 70 && got.time_ms == 80 && got.flags == 1);
    assert_true (tide_bytes_is (got.topic, "t"));
    tide_buffer_free (&list);
}

/*  -- what is published ----------------------------------------------------------------------- */

static bool begins_with (const tide_buffer_t *frame, const tide_buffer_t *prefix)
{
    return prefix->size > 0 && prefix->size <= frame->size
           && memcmp (frame->data, prefix->data, prefix->size) == 0;
}

static void subscriptions_reach_exactly_what_the_pattern_covers (void **state)
{
    (void) state;
    static const struct {
        const char *pattern, *topic;
        bool is_reached;
    } cases[] = {
        {"a", "a", true},       {"a", "a/b", false},    {"a", "ab", false}, {"a/#", "a", true},
        {"a/#", "a/b/c", true}, {"a/#", "ab", false},   {"#", "a", true},   {"#", "$a", false},
        {"#", "@a", false},     {"$a/#", "$a/b", true}, {"$a", "$a", true}, {"@s", "@s", true},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases * 2; at++) {
        tide_buffer_t frame = {0}, one = {0}, two = {0};
        bool is_volatile = at % 2;
        tide_fanout_prefix (&frame, tide_bytes (cases[at / 2].topic), is_volatile);
        tide_buffer_append_text (&frame, "message");
        unsigned count =
            tide_fanout_subscription (tide_bytes (cases[at / 2].pattern), is_volatile, &one, &two);
        assert_int_equal (count, two.size > 0 ? 2 : 1);
        bool is_reached = begins_with (&frame, &one) || begins_with (&frame, &two);
        assert_int_equal (is_reached, cases[at / 2].is_reached);
        tide_bytes_t prefix, message;
        assert_true (tide_fanout_split (tide_buffer_bytes (&frame), &prefix, &message));
        assert_true (tide_bytes_is (message, "message"));
        assert_int_equal (prefix.size, 1 + strlen (cases[at / 2].topic));
        tide_buffer_free (&frame);
        tide_buffer_free (&one);
        tide_buffer_free (&two);
    }
}

static void no_subscription_reaches_the_marks_but_their_own (void **state)
{
    (void) state;
    tide_buffer_t mark = {0}, one = {0}, two = {0};
    tide_bytes_t prefix, message;
    tide_fanout_mark_prefix (&mark);
    tide_fanout_subscription (tide_bytes ("#"), false, &one, &two);
    assert_false (begins_with (&mark, &one));
    assert_true (tide_fanout_split (tide_buffer_bytes (&mark), &prefix, &message));
    assert_true (tide_bytes_is (prefix, "m") && message.size == 0);
    assert_false (tide_fanout_split (tide_bytes ("no end"), &prefix, &message));
    assert_false (tide_fanout_split ((tide_bytes_t){0}, &prefix, &message));
    tide_buffer_free (&mark);
    tide_buffer_free (&one);
    tide_buffer_free (&two);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_kind_comes_back_as_it_was_sent),
        cmocka_unit_test (every_record_comes_back_and_no_prefix_of_it_does),
        cmocka_unit_test (every_prefix_and_every_trailing_byte_is_refused),
        cmocka_unit_test (any_changed_byte_is_survived),
        cmocka_unit_test (another_version_is_named),
        cmocka_unit_test (an_unknown_kind_is_named),
        cmocka_unit_test (what_is_no_message_is_refused),
        cmocka_unit_test (a_size_above_its_limit_is_too_large),
        cmocka_unit_test (what_an_event_excepts_has_a_limit),
        cmocka_unit_test (a_relay_carries_more_than_a_payload_and_no_more_than_fits),
        cmocka_unit_test (a_flag_above_its_largest_value_is_refused),
        cmocka_unit_test (lists_are_stepped_through_record_by_record),
        cmocka_unit_test (an_events_sequence_time_and_flags_stand_at_fixed_places),
        cmocka_unit_test (subscriptions_reach_exactly_what_the_pattern_covers),
        cmocka_unit_test (no_subscription_reaches_the_marks_but_their_own),
    };
    return cmocka_run_group_tests_name ("tide_message", tests, NULL, NULL);
}
