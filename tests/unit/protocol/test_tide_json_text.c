/*  test_tide_json_text.c - text as JSON has it, and whether it is JSON.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_json_text.h"

#include "tide_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*  In memory of exactly that size, so that a sanitizer sees one byte too far. */
static bool is_valid (const char *text, size_t size)
{
    uint8_t *exact = malloc (size > 0 ? size : 1);
    memcpy (exact, text, size);
    bool valid = tide_json_valid ((tide_bytes_t){exact, size});
    free (exact);
    return valid;
}

static void what_is_json_is_taken (void **state)
{
    (void) state;
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-12.50e+7",
        "1E5",
        "\"\"",
        "\"\xc3\xa9\"",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        "{\"a\":{}}",
        "[[],{},[{}]]",
        "\"\\u00e9\\n\\/\"",
        "{\"a\":1,\"b\":[true,null]}",
        "\t{\r\n\"a\" :\"\\\"\"}",
    };
    for (size_t at = 0; at < sizeof good / sizeof good[0]; at++)
        if (!is_valid (good[at], strlen (good[at])))
            fail_msg ("%s is JSON", good[at]);
}

static void what_is_none_is_not (void **state)
{
    (void) state;
    static const char *const bad[] = {
        "",         " ",        "nul",        "nulll",       "True",      "01",    "1.",
        ".5",       "-",        "1e",         "1e+",         "+1",        "0x10",  "NaN",
        "\"",       "\"\\\"",   "\"\\x\"",    "\"\\u12g4\"", "\"\n\"",    "[",     "]",
        "[1",       "[1,",      "[1,]",       "[,1]",        "[1 2]",     "{",     "{\"a\"",
        "{\"a\":",  "{\"a\":1", "{\"a\":1,}", "{a:1}",       "{\"a\" 1}", "{1:2}", "[}",
        "{]",       "[1}",      "{\"a\":1]",  "1 2",         "1,2",       "{}{}",  "garbage",
        "\"\xff\"", "\xc3",     "[\"a\":1]",  "{,}",
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        if (is_valid (bad[at], strlen (bad[at])))
            fail_msg ("%s is no JSON", bad[at]);
    assert_false (is_valid ("1\0", 2));
    assert_false (is_valid ("\"\0\"", 3));
}

static void no_beginning_of_an_object_is_json (void **state)
{
    (void) state;
    static const char text[] = "{\"a\":[1.5e3,\"\\u00e9\",{\"b\":null}],\"c\":true}";
    assert_true (is_valid (text, sizeof text - 1));
    for (size_t size = 0; size < sizeof text - 1; size++)
        assert_false (is_valid (text, size));
}

static void it_is_no_deeper_than_it_may_be (void **state)
{
    (void) state;
    char text[2 * TIDE_JSON_TEXT_DEPTH_MAX + 5];
    for (size_t depth = TIDE_JSON_TEXT_DEPTH_MAX; depth <= TIDE_JSON_TEXT_DEPTH_MAX + 1; depth++) {
        memset (text, '[', depth);
        text[depth] = '1';
        memset (text + depth + 1, ']', depth);
        assert_int_equal (is_valid (text, 2 * depth + 1), depth == TIDE_JSON_TEXT_DEPTH_MAX);
    }
}

static void a_string_is_json_whatever_it_holds (void **state)
{
    (void) state;
    tide_buffer_t text = {0};
    char all[128];
    for (int byte = 0; byte < 128; byte++)
        all[byte] = (char) byte;
    tide_json_string (&text, (tide_bytes_t){(const uint8_t *) all, sizeof all});
    assert_true (tide_json_valid (tide_buffer_bytes (&text)));
    assert_non_null (memmem (text.data, text.size, "\\u0000", 6));
    assert_non_null (memmem (text.data, text.size, "\\\"", 2));
    tide_buffer_free (&text);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_json_is_taken),
        cmocka_unit_test (what_is_none_is_not),
        cmocka_unit_test (no_beginning_of_an_object_is_json),
        cmocka_unit_test (it_is_no_deeper_than_it_may_be),
        cmocka_unit_test (a_string_is_json_whatever_it_holds),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
