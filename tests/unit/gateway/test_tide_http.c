/*  test_tide_http.c - queries: names, repeated parameters, escapes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void assert_value (const char *query, const char *name, unsigned nth, const char *expected)
{
    tide_buffer_t value = {0};
    tide_buffer_append_text (&value, "left over");
    bool found = tide_query_get (tide_bytes (query), name, nth, &value);
    assert_int_equal (found, expected != NULL);
    assert_true (tide_bytes_is (tide_buffer_bytes (&value), expected ? expected : ""));
    tide_buffer_free (&value);
}

static void a_parameter_is_found_by_its_whole_name (void **state)
{
    (void) state;
    const char *query = "EIO=4&transport=websocket&t=abc&topics=no&topic=yes";
    assert_value (query, "EIO", 0, "4");
    assert_value (query, "transport", 0, "websocket");
    assert_value (query, "topic", 0, "yes");
    assert_value (query, "top", 0, NULL);
    assert_value (query, "eio", 0, NULL);
    assert_value (query, "", 0, NULL);
}

static void repeated_parameters_are_counted_and_told_apart (void **state)
{
    (void) state;
    const char *query = "topic=a&since=3&topic=b&topic=&topic";
    assert_int_equal (tide_query_count (tide_bytes (query), "topic"), 4);
    assert_int_equal (tide_query_count (tide_bytes (query), "limit"), 0);
    assert_value (query, "topic", 0, "a");
    assert_value (query, "topic", 1, "b");
    assert_value (query, "topic", 2, "");
    assert_value (query, "topic", 3, "");
    assert_value (query, "topic", 4, NULL);
}

static void odd_queries_have_nothing_in_them (void **state)
{
    (void) state;
    static const char *const queries[] = {"", "&", "&&&", "=", "=x", "&=&", "x"};
    for (size_t at = 0; at < sizeof queries / sizeof queries[0]; at++) {
        assert_value (queries[at], "topic", 0, NULL);
        assert_true (tide_query_is_valid (tide_bytes (queries[at])));
    }
    assert_value ("&&topic=a=b=c&&", "topic", 0, "a=b=c");
}

static void escapes_and_plus_are_decoded_in_names_and_values (void **state)
{
    (void) state;
    assert_value ("topic=room%2Fone", "topic", 0, "room/one");
    assert_value ("topic=room%2fone", "topic", 0, "room/one");
    assert_value ("t%6Fpic=x", "topic", 0, "x");
    assert_value ("topic=a+b%2Bc%20d", "topic", 0, "a b+c d");
    assert_value ("topic=%C3%A9%26%3D", "topic", 0, "\xc3\xa9&=");
    assert_value ("to+pic=x", "to pic", 0, "x");
    assert_value ("topic=\xc3\xa9", "topic", 0, "\xc3\xa9");
}

static void a_nul_comes_through_for_the_name_check_to_refuse (void **state)
{
    (void) state;
    tide_buffer_t value = {0};
    assert_true (tide_query_get (tide_bytes ("topic=a%00b"), "topic", 0, &value));
    assert_int_equal (value.size, 3);
    assert_memory_equal (value.data, "a\0b", 3);
    assert_value ("topic%00=x", "topic", 0, NULL);
    tide_buffer_free (&value);
}

static void malformed_escapes_are_told_from_missing_parameters (void **state)
{
    (void) state;
    static const char *const values[] = {"%",  "%4",  "%4g", "%g4", "%%41",
                                         "a%", "%-1", "% 1", "%+1"};
    for (size_t at = 0; at < sizeof values / sizeof values[0]; at++) {
        tide_buffer_t query = {0};
        tide_buffer_printf (&query, "since=1&topic=%s", values[at]);
        tide_put_u8 (&query, 0);
        const char *text = (const char *) query.data;
        assert_false (tide_query_is_valid (tide_bytes (text)));
        assert_int_equal (tide_query_count (tide_bytes (text), "topic"), 1);
        assert_value (text, "topic", 0, NULL);
        assert_value (text, "since", 0, "1");
        tide_buffer_free (&query);
    }
    assert_false (tide_query_is_valid (tide_bytes ("topic%=x")));
    assert_false (tide_query_is_valid (tide_bytes ("a=%&41=x")));
    assert_true (tide_query_is_valid (tide_bytes ("a=%41&b=%fF")));
}

static void what_is_encoded_decodes_to_itself (void **state)
{
    (void) state;
    uint8_t all[256];
    for (unsigned at = 0; at < 256; at++)
        all[at] = (uint8_t) at;
    tide_buffer_t text = {0}, back = {0};
    tide_percent_encode (&text, (tide_bytes_t){all, sizeof all});
    for (size_t at = 0; at < text.size; at++)
        assert_true (strchr ("%-._~", text.data[at])
                     || (text.data[at] >= '0' && text.data[at] <= 'z'));
    assert_true (tide_percent_decode (tide_buffer_bytes (&text), true, &back));
    assert_int_equal (back.size, sizeof all);
    assert_memory_equal (back.data, all, sizeof all);
    assert_true (tide_percent_decode (tide_bytes ("a+b%2F"), false, &back));
    assert_true (tide_bytes_is (tide_buffer_bytes (&back), "a+b/"));
    assert_true (tide_percent_decode ((tide_bytes_t){0}, false, &back));
    assert_int_equal (back.size, 0);
    text.size = 0;
    tide_percent_encode (&text, tide_bytes ("a b/#"));
    assert_true (tide_bytes_is (tide_buffer_bytes (&text), "a%20b%2F%23"));
    tide_buffer_free (&text);
    tide_buffer_free (&back);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_parameter_is_found_by_its_whole_name),
        cmocka_unit_test (repeated_parameters_are_counted_and_told_apart),
        cmocka_unit_test (odd_queries_have_nothing_in_them),
        cmocka_unit_test (escapes_and_plus_are_decoded_in_names_and_values),
        cmocka_unit_test (a_nul_comes_through_for_the_name_check_to_refuse),
        cmocka_unit_test (malformed_escapes_are_told_from_missing_parameters),
        cmocka_unit_test (what_is_encoded_decodes_to_itself),
    };
    return cmocka_run_group_tests_name ("tide_http", tests, NULL, NULL);
}
