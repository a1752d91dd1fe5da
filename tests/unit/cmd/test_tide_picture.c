/*  test_tide_picture.c - what `tidemark top` shows, without a terminal.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char drawn[65536];

static const char *draw (const tide_picture_t *picture)
{
    tide_buffer_t out = {0};
    tide_picture_draw (picture, &out);
    snprintf (drawn, sizeof drawn, "%.*s", (int) out.size, (const char *) out.data);
    tide_buffer_free (&out);
    return drawn;
}

static void assert_number (const char *text, int kind, double value)
{
    tide_buffer_t out = {0};
    tide_cell_t cell = {.value = value};
    cell.kind = kind;
    tide_picture_number (&out, cell);
    tide_put_u8 (&out, 0);
    assert_string_equal ((const char *) out.data, text);
    tide_buffer_free (&out);
}

static void numbers_are_short (void **state)
{
    (void) state;
    assert_number ("-", TIDE_CELL_NONE, 7);
    assert_number ("0", TIDE_CELL_COUNT, 0);
    assert_number ("9999", TIDE_CELL_COUNT, 9999);
    assert_number ("10.0k", TIDE_CELL_COUNT, 10000);
    assert_number ("12.3k", TIDE_CELL_COUNT, 12345);
    assert_number ("100k", TIDE_CELL_COUNT, 99990);
    assert_number ("999k", TIDE_CELL_COUNT, 999000);
    assert_number ("1.0M", TIDE_CELL_COUNT, 999900);
    assert_number ("1.5M", TIDE_CELL_COUNT, 1.5e6);
    assert_number ("18.4E", TIDE_CELL_COUNT, 18446744073709551615.0);
    assert_number ("0", TIDE_CELL_RATE, 0);
    assert_number ("0.5", TIDE_CELL_RATE, 0.5);
    assert_number ("99.9", TIDE_CELL_RATE, 99.9);
    assert_number ("100", TIDE_CELL_RATE, 99.97);
    assert_number ("1234", TIDE_CELL_RATE, 1234.4);
    assert_number ("1000+", TIDE_CELL_LEAST, 1000);
}

static const char *const lines[] = {"the whole", "of it"};

static tide_row_t row (const char *name, double value)
{
    return (tide_row_t){.name = tide_bytes (name),
                        .cells = {{TIDE_CELL_COUNT, value}, {TIDE_CELL_NONE, 0}}};
}

/*  A picture of one table. */
static tide_picture_t picture_of (const tide_table_t *table)
{
    return (tide_picture_t){.lines = lines, .line_count = 2, .tables = table, .table_count = 1};
}

static void a_table_stands_below_the_lines (void **state)
{
    (void) state;
    const tide_row_t rows[] = {row ("lobby", 7), row ("ein längerer Name", 12345)};
    const tide_table_t table = {
        .title = "TOPIC", .heads = {"EVENTS", "KEYS"}, .rows = rows, .row_count = 2};
    tide_picture_t picture = picture_of (&table);
    picture.width = 44;
    assert_string_equal (draw (&picture), "the whole\n"
                                          "of it\n"
                                          "\n"
                                          "TOPIC                      EVENTS       KEYS\n"
                                          "lobby                           7          -\n"
                                          "ein längerer Name           12.3k          -\n");
    picture.has_colors = true;
    assert_non_null (strstr (draw (&picture), "\x1b[1mTOPIC"));
    assert_null (strstr (drawn, "\x1b[1mlobby"));
}

static void what_is_too_wide_is_cut (void **state)
{
    (void) state;
    const tide_row_t rows[] = {row ("0123456789abcdef", 7), row ("äöüäöüäöüäöüä", 8),
                               row ("äöüäöüäöüäöü", 9)};
    const tide_table_t table = {
        .title = "TOPIC", .heads = {"EVENTS", "KEYS"}, .rows = rows, .row_count = 3};
    tide_picture_t picture = picture_of (&table);
    picture.width = 23; /* the other column has no place */
    assert_string_equal (draw (&picture), "the whole\nof it\n\n"
                                          "TOPIC            EVENTS\n"
                                          "0123456789a~          7\n"
                                          "äöüäöüäöüäö~          8\n"
                                          "äöüäöüäöüäöü          9\n");
    for (unsigned width = 1; width < 60; width++) {
        picture.width = width;
        draw (&picture);
        unsigned column = 0;
        for (const char *at = drawn; *at; at++) {
            column = *at == '\n' ? 0 : column + ((*at & 0xc0) != 0x80);
            assert_true (column <= width);
        }
    }
}

static void what_a_terminal_would_obey_is_not_shown (void **state)
{
    (void) state;
    const tide_row_t rows[] = {row ("a\x1b[2Jb", 1),
                               row ("c\xc2\x9b"
                                    "2Jd",
                                    2),
                               row ("e\xff\xc3", 3), row ("f\x7f\tg", 4)};
    const tide_table_t table = {.title = "TOPIC", .rows = rows, .row_count = 4};
    tide_picture_t picture = picture_of (&table);
    draw (&picture);
    assert_non_null (strstr (drawn, "\na?[2Jb\nc?2Jd\ne??\nf??g\n"));
    assert_null (strchr (drawn, 0x1b));
}

static size_t count_lines (const char *text)
{
    size_t count = 1;
    for (; *text; text++)
        count += *text == '\n';
    return count;
}

static void no_height_is_exceeded (void **state)
{
    (void) state;
    tide_row_t many[100];
    for (size_t at = 0; at < 100; at++)
        many[at] = row ("x", (double) at);
    const tide_table_t tables[] = {
        {.title = "ONE", .heads = {"N"}, .rows = many, .row_count = 100},
        {.title = "NONE", .row_count = 0},
        {.title = "EMPTY", .row_count = 0, .empty = "there is nothing"},
        {.title = "TWO", .heads = {"N"}, .rows = many, .row_count = 3},
        {.title = "THREE", .heads = {"N"}, .rows = many, .row_count = 100},
    };
    tide_picture_t picture = {
        .lines = lines, .line_count = 2, .tables = tables, .table_count = 5, .width = 40};
    for (unsigned height = 1; height < 60; height++) {
        picture.height = height;
        assert_true (count_lines (draw (&picture)) <= height);
        assert_null (strstr (drawn, "NONE"));
    }
    picture.height = 30; /* each has its share, and the last one what the others left */
    draw (&picture);
    assert_int_equal (count_lines (drawn), 30);
    assert_non_null (strstr (drawn, "ONE"));
    assert_non_null (strstr (drawn, "there is nothing"));
    assert_non_null (strstr (drawn, "  and 96 more\n"));
    assert_non_null (strstr (strstr (drawn, "THREE"), "  and "));
    picture.height = 0;
    draw (&picture);
    assert_null (strstr (drawn, " more"));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (numbers_are_short),
        cmocka_unit_test (a_table_stands_below_the_lines),
        cmocka_unit_test (what_is_too_wide_is_cut),
        cmocka_unit_test (what_a_terminal_would_obey_is_not_shown),
        cmocka_unit_test (no_height_is_exceeded),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
