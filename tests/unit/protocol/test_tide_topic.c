/*  test_tide_topic.c - topics, subtrees, names.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool topic (const char *text)
{
    return tide_topic_valid (tide_bytes (text));
}

static bool pattern (const char *text)
{
    return tide_pattern_valid (tide_bytes (text));
}

static bool matches (const char *one, const char *other)
{
    return tide_pattern_matches (tide_bytes (one), tide_bytes (other));
}

static void a_topic_is_utf8_without_controls_and_hash (void **state)
{
    (void) state;
    assert_true (topic ("a") && topic ("a/b") && topic ("$nsp/chat") && topic ("@sid"));
    assert_true (topic ("/") && topic ("a//b") && topic ("h\xc3\xa9llo \xf0\x9f\x8c\x8a"));
    assert_false (topic ("") || topic ("#") || topic ("a/#") || topic ("a#b"));
    assert_false (topic ("a\n") || topic ("\x7f") || topic ("a\x1f"));
    assert_false (tide_topic_valid ((tide_bytes_t){(const uint8_t *) "a\0b", 3}));
    assert_false (topic ("\xff") || topic ("\xc3"));
}

static void a_topic_has_at_most_255_bytes (void **state)
{
    (void) state;
    char text[257];
    memset (text, 'a', sizeof text);
    assert_true (tide_topic_valid ((tide_bytes_t){(uint8_t *) text, 255}));
    assert_false (tide_topic_valid ((tide_bytes_t){(uint8_t *) text, 256}));
    memcpy (text + 253, "/#", 2);
    assert_true (tide_pattern_valid ((tide_bytes_t){(uint8_t *) text, 255}));
    memcpy (text + 253, "a/#", 3);
    assert_false (tide_pattern_valid ((tide_bytes_t){(uint8_t *) text, 256}));
}

static void utf8_is_the_shortest_form_without_surrogates (void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xe2\x82", false},
        {"\xe2\x28\xa1", false},
        {"\xf0\x9f\x8c", false},
        {"a\xc3", false},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++)
        assert_int_equal (tide_utf8_valid (tide_bytes (cases[at].text)), cases[at].is_valid);
}

static void a_pattern_is_a_topic_a_subtree_or_all (void **state)
{
    (void) state;
    assert_true (pattern ("a") && pattern ("a/#") && pattern ("#") && pattern ("$nsp/#"));
    assert_false (pattern ("a#") || pattern ("#/a") || pattern ("a/#/b") || pattern ("/#"));
    assert_false (pattern ("") || pattern ("##") || pattern ("a/##"));
    assert_true (tide_pattern_is_subtree (tide_bytes ("a/#")));
    assert_true (tide_pattern_is_subtree (tide_bytes ("#")));
    assert_false (tide_pattern_is_subtree (tide_bytes ("a")));
    assert_false (tide_pattern_is_subtree (tide_bytes ("")));
}

static void a_subtree_covers_itself_and_all_below (void **state)
{
    (void) state;
    assert_true (matches ("a", "a") && matches ("a/#", "a") && matches ("a/#", "a/b"));
    assert_true (matches ("a/#", "a/b/c") && matches ("a/b/#", "a/b/c"));
    assert_false (matches ("a", "a/b") || matches ("a/#", "ab") || matches ("a/b/#", "a"));
    assert_false (matches ("a/#", "b") || matches ("a/b/#", "a/bc"));
}

static void all_never_reaches_the_systems_and_sessions_topics (void **state)
{
    (void) state;
    assert_true (matches ("#", "a") && matches ("#", "a/b"));
    assert_false (matches ("#", "$nsp") || matches ("#", "@sid") || matches ("#", "$call/x"));
    assert_true (matches ("$nsp/#", "$nsp/chat") && matches ("@sid", "@sid"));
    assert_true (tide_topic_is_system (tide_bytes ("$a")));
    assert_true (tide_topic_is_system (tide_bytes ("@a")));
    assert_false (tide_topic_is_system (tide_bytes ("a$")));
    assert_false (tide_topic_is_system (tide_bytes ("")));
}

static void patterns_come_one_a_line (void **state)
{
    (void) state;
    tide_bytes_t lines = tide_bytes ("a\nb/#\n\nc"), pattern;
    static const char *const wanted[] = {"a", "b/#", "", "c"};
    for (size_t at = 0; at < sizeof wanted / sizeof wanted[0]; at++) {
        assert_true (tide_pattern_next (&lines, &pattern));
        assert_true (tide_bytes_is (pattern, wanted[at]));
    }
    assert_false (tide_pattern_next (&lines, &pattern));
    lines = tide_bytes ("a\n");
    assert_true (tide_pattern_next (&lines, &pattern));
    assert_false (tide_pattern_next (&lines, &pattern));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_topic_is_utf8_without_controls_and_hash),
        cmocka_unit_test (a_topic_has_at_most_255_bytes),
        cmocka_unit_test (utf8_is_the_shortest_form_without_surrogates),
        cmocka_unit_test (a_pattern_is_a_topic_a_subtree_or_all),
        cmocka_unit_test (a_subtree_covers_itself_and_all_below),
        cmocka_unit_test (all_never_reaches_the_systems_and_sessions_topics),
        cmocka_unit_test (patterns_come_one_a_line),
    };
    return cmocka_run_group_tests_name ("tide_topic", tests, NULL, NULL);
}
