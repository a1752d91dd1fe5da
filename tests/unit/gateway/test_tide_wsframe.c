/*  test_tide_wsframe.c - WebSocket frames: sizes, fragments, in place.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_wsframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define FRAGMENT TIDE_WSFRAME_FRAGMENT_MAX

/*  A payload in which no two neighbouring fragments look alike. */
static tide_buffer_t make_payload (size_t size)
{
    tide_buffer_t payload = {0};
    for (size_t at = 0; at < size; at++)
        tide_put_u8 (&payload, (uint8_t) (at * 31 + at / 251));
    return payload;
}

/*  Reads frames as a client does; returns how many there were, and what they carried. */
static unsigned read_frames (tide_bytes_t bytes, uint8_t opcode, tide_buffer_t *payload)
{
    tide_reader_t reader = tide_reader (bytes);
    unsigned frames = 0;
    bool is_final = false;
    while (reader.remaining > 0) {
        assert_false (is_final);
        uint8_t first = tide_take_u8 (&reader);
        assert_int_equal (first & 0x0f, frames == 0 ? opcode : TIDE_WSFRAME_CONTINUATION);
        assert_int_equal (first & 0x70, 0);
        is_final = first & 0x80;
        size_t size = tide_take_u8 (&reader);
        assert_true (size <= 126); /* not masked, and never 64 bits */
        if (size == 126) {
            size = tide_take_u16 (&reader);
            assert_true (size > 125);
        }
        assert_true (size <= FRAGMENT);
        assert_true (is_final || size == FRAGMENT);
        tide_buffer_append_bytes (payload, tide_take_bytes (&reader, size));
        assert_false (reader.failed);
        frames++;
    }
    assert_true (is_final);
    return frames;
}

static void each_size_comes_back_whole_and_the_same_both_ways (void **state)
{
    (void) state;
    static const size_t sizes[] = {0,
                                   1,
                                   124,
                                   125,
                                   126,
                                   127,
                                   128,
                                   FRAGMENT - 1,
                                   FRAGMENT,
                                   FRAGMENT + 1,
                                   65535,
                                   65536,
                                   65537,
                                   FRAGMENT * 2,
                                   FRAGMENT * 2 + 125,
                                   FRAGMENT * 2 + 126,
                                   1000000};
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        tide_buffer_t payload = make_payload (sizes[at]);
        tide_buffer_t appended = {0}, built = {0}, back = {0};
        tide_buffer_append_text (&appended, "before");
        tide_buffer_append_text (&built, "before");

        tide_wsframe_append (&appended, TIDE_WSFRAME_TEXT, tide_buffer_bytes (&payload));
        size_t mark = tide_wsframe_begin (&built);
        tide_buffer_append_bytes (&built, tide_buffer_bytes (&payload));
        tide_wsframe_finish (&built, mark, TIDE_WSFRAME_TEXT);
        assert_int_equal (appended.size, built.size);
        assert_memory_equal (appended.data, built.data, built.size);

        unsigned frames =
            read_frames ((tide_bytes_t){built.data + 6, built.size - 6}, TIDE_WSFRAME_TEXT, &back);
        assert_int_equal (frames, sizes[at] == 0 ? 1 : (sizes[at] + FRAGMENT - 1) / FRAGMENT);
        assert_true (tide_bytes_equal (tide_buffer_bytes (&back), tide_buffer_bytes (&payload)));
        tide_buffer_free (&payload);
        tide_buffer_free (&appended);
        tide_buffer_free (&built);
        tide_buffer_free (&back);
    }
}

static void headers_are_as_short_as_they_can_be (void **state)
{
    (void) state;
    tide_buffer_t payload = make_payload (126), out = {0};
    tide_wsframe_append (&out, TIDE_WSFRAME_BINARY, (tide_bytes_t){payload.data, 125});
    assert_int_equal (out.size, 2 + 125);
    assert_int_equal (out.data[0], 0x82);
    assert_int_equal (out.data[1], 125);
    out.size = 0;
    tide_wsframe_append (&out, TIDE_WSFRAME_BINARY, (tide_bytes_t){payload.data, 126});
    assert_int_equal (out.size, 4 + 126);
    assert_memory_equal (out.data, "\x82\x7e\x00\x7e", 4);
    tide_buffer_free (&payload);
    tide_buffer_free (&out);
}

static void frames_follow_one_another_in_one_buffer (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    size_t mark = tide_wsframe_begin (&out);
    tide_buffer_append_text (&out, "one");
    tide_wsframe_finish (&out, mark, TIDE_WSFRAME_TEXT);
    tide_wsframe_append (&out, TIDE_WSFRAME_PING, tide_bytes (""));
    mark = tide_wsframe_begin (&out);
    tide_wsframe_finish (&out, mark, TIDE_WSFRAME_TEXT);
    assert_int_equal (out.size, 5 + 2 + 2);
    assert_memory_equal (out.data, "\x81\x03one\x89\x00\x81\x00", out.size);
    tide_buffer_free (&out);
}

static void a_close_frame_has_a_code_and_as_much_of_the_reason_as_fits (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_wsframe_close (&out, 0, NULL);
    assert_memory_equal (out.data, "\x88\x00", 2);
    assert_int_equal (out.size, 2);
    out.size = 0;
    tide_wsframe_close (&out, 1009, "too large");
    assert_int_equal (out.size, 2 + 2 + 9);
    assert_memory_equal (out.data, "\x88\x0b\x03\xf1too large", out.size);
    out.size = 0;
    tide_wsframe_close (&out, 1001, NULL);
    assert_memory_equal (out.data, "\x88\x02\x03\xe9", 4);

    char reason[200]; /* 122 bytes, then two-byte characters: cut before one of them */
    memset (reason, 'x', 122);
    for (size_t at = 122; at + 2 < sizeof reason; at += 2)
        memcpy (reason + at, "\xc3\xa9", 3);
    out.size = 0;
    tide_wsframe_close (&out, 1008, reason);
    assert_int_equal (out.size, 2 + 2 + 122);
    assert_int_equal (out.data[1], 124);
    tide_buffer_free (&out);
}

/*  As it is read back where frames are taken apart again. */
static void frames_are_taken_off_as_they_were_appended (void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 125, 126, 16384, 16385, 40000, 70000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    tide_buffer_t all = {0}, back = {0};
    for (size_t at = 0; at < SIZES; at++) {
        tide_buffer_t payload = make_payload (sizes[at]);
        tide_wsframe_append (&all, at % 2 ? TIDE_WSFRAME_BINARY : TIDE_WSFRAME_TEXT,
                             tide_buffer_bytes (&payload));
        tide_buffer_free (&payload);
    }
    tide_bytes_t rest = tide_buffer_bytes (&all);
    tide_wsframe_t frame;
    size_t sum = 0;
    for (size_t at = 0; at < SIZES; at++) {
        tide_buffer_t payload = make_payload (sizes[at]);
        uint8_t opcode = at % 2 ? TIDE_WSFRAME_BINARY : TIDE_WSFRAME_TEXT;
        bool is_final = false;
        back.size = 0;
        for (unsigned fragment = 0; !is_final; fragment++) {
            size_t before = rest.size;
            assert_true (tide_wsframe_next (&rest, &frame));
            assert_int_equal (frame.opcode, fragment == 0 ? opcode : TIDE_WSFRAME_CONTINUATION);
            assert_int_equal (frame.size, before - rest.size);
            assert_int_equal (frame.size, frame.payload.size + (frame.payload.size > 125 ? 4 : 2));
            assert_true (frame.is_final || frame.payload.size == FRAGMENT);
            tide_buffer_append_bytes (&back, frame.payload);
            sum += frame.size;
            is_final = frame.is_final;
        }
        assert_true (tide_bytes_equal (tide_buffer_bytes (&back), tide_buffer_bytes (&payload)));
        tide_buffer_free (&payload);
    }
    assert_int_equal (sum, all.size);
    assert_false (tide_wsframe_next (&rest, &frame));
    rest = (tide_bytes_t){0};
    assert_false (tide_wsframe_next (&rest, &frame));
    tide_buffer_free (&all);
    tide_buffer_free (&back);
}

static void control_frames_are_taken_off_between_messages (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_wsframe_append (&out, TIDE_WSFRAME_PING, tide_bytes ("p"));
    tide_wsframe_close (&out, 1001, "bye");
    tide_bytes_t rest = tide_buffer_bytes (&out);
    tide_wsframe_t frame;
    assert_true (tide_wsframe_next (&rest, &frame));
    assert_int_equal (frame.opcode, TIDE_WSFRAME_PING);
    assert_true (frame.is_final && tide_bytes_is (frame.payload, "p"));
    assert_true (tide_wsframe_next (&rest, &frame));
    assert_int_equal (frame.opcode, TIDE_WSFRAME_CLOSE);
    assert_true (frame.is_final
                 && tide_bytes_is (frame.payload, "\x03\xe9"
                                                  "bye"));
    assert_false (tide_wsframe_next (&rest, &frame));
    tide_buffer_free (&out);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (each_size_comes_back_whole_and_the_same_both_ways),
        cmocka_unit_test (headers_are_as_short_as_they_can_be),
        cmocka_unit_test (frames_follow_one_another_in_one_buffer),
        cmocka_unit_test (frames_are_taken_off_as_they_were_appended),
        cmocka_unit_test (control_frames_are_taken_off_between_messages),
        cmocka_unit_test (a_close_frame_has_a_code_and_as_much_of_the_reason_as_fits),
    };
    return cmocka_run_group_tests_name ("tide_wsframe", tests, NULL, NULL);
}
