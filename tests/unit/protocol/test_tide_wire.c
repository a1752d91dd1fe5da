/*  test_tide_wire.c - bounded reading and growing buffers.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_wire.h"

#include "tide_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*  A number of each width, then bytes behind their size. */
static void write_all (tide_buffer_t *out)
{
    tide_put_u8 (out, 0x01);
    tide_put_u16 (out, 0x0203);
    tide_put_u32 (out, 0x04050607);
    tide_put_u64 (out, UINT64_C (0x08090a0b0c0d0e0f));
    tide_put_u8 (out, 5);
    tide_buffer_append_text (out, "hello");
}

static bool read_all (tide_bytes_t bytes)
{
    tide_reader_t reader = tide_reader (bytes);
    bool is_good = tide_take_u8 (&reader) == 0x01;
    is_good = tide_take_u16 (&reader) == 0x0203 && is_good;
    is_good = tide_take_u32 (&reader) == 0x04050607 && is_good;
    is_good = tide_take_u64 (&reader) == UINT64_C (0x08090a0b0c0d0e0f) && is_good;
    tide_bytes_t text = tide_take_bytes (&reader, tide_take_u8 (&reader));
    is_good = is_good && tide_bytes_is (text, "hello");
    return is_good && !reader.failed && reader.remaining == 0;
}

static void numbers_are_big_endian (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    write_all (&out);
    for (uint8_t at = 0; at < 15; at++)
        assert_int_equal (out.data[at], at + 1);
    assert_true (read_all (tide_buffer_bytes (&out)));
    tide_buffer_free (&out);
}

/*  Each prefix lies in memory of exactly its size, so that a sanitizer sees one byte too far. */
static void every_truncation_fails_and_reads_nothing_beyond (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    write_all (&out);
    for (size_t size = 0; size < out.size; size++) {
        uint8_t *exact = malloc (size > 0 ? size : 1);
        memcpy (exact, out.data, size);
        assert_false (read_all ((tide_bytes_t){exact, size}));
        free (exact);
    }
    tide_buffer_free (&out);
}

static void one_byte_at_a_time_gives_the_same (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    write_all (&out);
    tide_reader_t reader = tide_reader (tide_buffer_bytes (&out));
    for (size_t at = 0; at < out.size; at++)
        assert_int_equal (tide_take_u8 (&reader), out.data[at]);
    assert_false (reader.failed);
    assert_int_equal (tide_take_u8 (&reader), 0);
    assert_true (reader.failed);
    tide_buffer_free (&out);
}

static void a_reader_that_failed_stays_failed (void **state)
{
    (void) state;
    static const uint8_t data[] = {1, 2, 3};
    tide_reader_t reader = tide_reader ((tide_bytes_t){data, sizeof data});
    assert_int_equal (tide_take_u32 (&reader), 0);
    assert_true (reader.failed);
    assert_int_equal (tide_take_u8 (&reader), 0);
    assert_int_equal (tide_take_u64 (&reader), 0);
    assert_int_equal (tide_take_bytes (&reader, 0).size, 0);
}

static void a_size_near_the_end_of_all_numbers_does_not_wrap (void **state)
{
    (void) state;
    static const uint8_t data[] = {1, 2, 3};
    tide_reader_t reader = tide_reader ((tide_bytes_t){data, sizeof data});
    tide_take_u8 (&reader);
    assert_null (tide_take_bytes (&reader, SIZE_MAX).data);
    assert_true (reader.failed);
}

static void an_empty_span_without_memory_is_fine (void **state)
{
    (void) state;
    tide_bytes_t empty = {0};
    tide_reader_t reader = tide_reader (empty);
    assert_int_equal (tide_take_bytes (&reader, 0).size, 0);
    assert_false (reader.failed);
    assert_true (tide_bytes_equal (empty, tide_bytes ("")));
    assert_int_equal (tide_bytes_compare (empty, tide_bytes ("")), 0);
    tide_buffer_t out = {0};
    tide_buffer_append_bytes (&out, empty);
    assert_int_equal (out.size, 0);
    tide_buffer_free (&out);
}

static void spans_compare_by_bytes_a_prefix_first (void **state)
{
    (void) state;
    assert_true (tide_bytes_compare (tide_bytes ("a"), tide_bytes ("b")) < 0);
    assert_true (tide_bytes_compare (tide_bytes ("ab"), tide_bytes ("a")) > 0);
    assert_true (tide_bytes_compare (tide_bytes ("a"), tide_bytes ("ab")) < 0);
    assert_true (tide_bytes_compare (tide_bytes ("\xff"), tide_bytes ("a")) > 0);
    assert_int_equal (tide_bytes_compare (tide_bytes ("ab"), tide_bytes ("ab")), 0);
    assert_true (tide_bytes_is (tide_bytes ("ab"), "ab"));
    assert_false (tide_bytes_is (tide_bytes ("ab"), "abc"));
}

static void a_buffer_grows_and_keeps_its_bytes (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    for (unsigned at = 0; at < 10000; at++)
        tide_put_u32 (&out, at);
    for (unsigned at = 0; at < 10000; at++)
        assert_int_equal (tide_load_u32 (out.data + 4 * at), at);
    tide_store_u64 (out.data, UINT64_MAX - 1);
    assert_true (tide_load_u64 (out.data) == UINT64_MAX - 1);
    out.size = 0;
    tide_buffer_printf (&out, "%s-%d", "text", 7);
    assert_true (tide_bytes_is (tide_buffer_bytes (&out), "text-7"));
    tide_buffer_free (&out);
    assert_null (out.data);
}

static void memory_comes_zeroed_and_copies_end_with_nul (void **state)
{
    (void) state;
    uint8_t *memory = tide_alloc (100);
    for (size_t at = 0; at < 100; at++)
        assert_int_equal (memory[at], 0);
    memory = tide_realloc (memory, 0);
    assert_non_null (memory);
    free (memory);
    char *copy = tide_copy ("abcdef", 3);
    assert_string_equal (copy, "abc");
    free (copy);
    copy = tide_copy (NULL, 0);
    assert_string_equal (copy, "");
    free (copy);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (numbers_are_big_endian),
        cmocka_unit_test (every_truncation_fails_and_reads_nothing_beyond),
        cmocka_unit_test (one_byte_at_a_time_gives_the_same),
        cmocka_unit_test (a_reader_that_failed_stays_failed),
        cmocka_unit_test (a_size_near_the_end_of_all_numbers_does_not_wrap),
        cmocka_unit_test (an_empty_span_without_memory_is_fine),
        cmocka_unit_test (spans_compare_by_bytes_a_prefix_first),
        cmocka_unit_test (a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test (memory_comes_zeroed_and_copies_end_with_nul),
    };
    return cmocka_run_group_tests_name ("tide_wire", tests, NULL, NULL);
}
