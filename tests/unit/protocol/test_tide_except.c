/*  test_tide_except.c - who does not get an event.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_except.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*  In memory of exactly that size, so that a sanitizer sees one byte too far. */
static bool excludes (const char *except, const char *topic)
{
    size_t size = strlen (except);
    uint8_t *exact = malloc (size > 0 ? size : 1);
    memcpy (exact, except, size);
    tide_event_t event = {.except = {exact, size}};
    bool answer = tide_event_excludes (&event, tide_bytes (topic));
    assert_true (!answer || tide_except_valid (event.except));
    free (exact);
    return answer;
}

static void each_line_is_excepted (void **state)
{
    (void) state;
    assert_true (excludes ("@sid", "@sid"));
    static const char three[] = "@sid\nlobby\nchat/room";
    assert_true (excludes (three, "@sid") && excludes (three, "lobby"));
    assert_true (excludes (three, "chat/room"));
    assert_false (excludes (three, "chat") || excludes (three, "other"));
}

static void nobody_is_excepted_unless_told (void **state)
{
    (void) state;
    assert_false (excludes ("", "a") || excludes ("", ""));
    assert_false (excludes ("a", ""));
    tide_event_t event = {.topic = tide_bytes ("a")};
    assert_false (tide_event_excludes (&event, tide_bytes ("a")));
    assert_false (tide_event_excludes (&event, (tide_bytes_t){0}));
}

static void a_line_is_the_whole_topic_and_nothing_else (void **state)
{
    (void) state;
    /*  Beginnings, ends and middles, in every line; one that is longer; and across lines. */
    static const char lines[] = "lobby\n@abc\nroom/1";
    static const char *const others[] = {"lob",     "obby", "bb",          "lobby2", "@ab",
                                         "abc",     "bc",   "@abcd",       "room",   "room/",
                                         "room/11", "1",    "lobby\n@abc", "\n",     "by\n@a"};
    for (size_t at = 0; at < sizeof others / sizeof *others; at++)
        assert_false (excludes (lines, others[at]));
    /*  The whole topic behind one that only begins like it. */
    assert_true (excludes ("a/b\na", "a") && excludes ("ab\nb", "b")
                 && excludes ("aa\na\naaa", "a"));
    /*  Not a subtree, not without regard to case. */
    assert_false (excludes ("a", "a/b") || excludes ("a/b", "a") || excludes ("A", "a"));
}

static void a_topic_with_a_nul_is_compared_to_its_end (void **state)
{
    (void) state;
    tide_event_t event = {.except = {(const uint8_t *) "a\0b", 3}};
    assert_false (tide_event_excludes (&event, tide_bytes ("a")));
    assert_false (tide_except_valid (event.except));
}

static void each_line_must_be_a_topic (void **state)
{
    (void) state;
    static const char *const good[] = {"", "a", "a\nb", "@sid\n$nsp/chat", "a\na"};
    static const char *const bad[] = {"\n",  "a\n",    "\na",    "a\n\nb",  "a/#",    "a\n#",
                                      "a\r", "a\r\nb", "a\tb\n", "a\n\xff", "\xc3\nb"};
    for (size_t at = 0; at < sizeof good / sizeof *good; at++)
        assert_true (tide_except_valid (tide_bytes (good[at])));
    for (size_t at = 0; at < sizeof bad / sizeof *bad; at++)
        assert_false (tide_except_valid (tide_bytes (bad[at])));
    char longest[TIDE_TOPIC_SIZE_MAX + 4];
    memset (longest, 'a', sizeof longest);
    longest[1] = '\n';
    assert_true (tide_except_valid ((tide_bytes_t){(uint8_t *) longest, TIDE_TOPIC_SIZE_MAX + 2}));
    assert_false (tide_except_valid ((tide_bytes_t){(uint8_t *) longest, TIDE_TOPIC_SIZE_MAX + 3}));
    assert_true (tide_except_valid ((tide_bytes_t){0}));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (each_line_is_excepted),
        cmocka_unit_test (nobody_is_excepted_unless_told),
        cmocka_unit_test (a_line_is_the_whole_topic_and_nothing_else),
        cmocka_unit_test (a_topic_with_a_nul_is_compared_to_its_end),
        cmocka_unit_test (each_line_must_be_a_topic),
    };
    return cmocka_run_group_tests_name ("tide_except", tests, NULL, NULL);
}
