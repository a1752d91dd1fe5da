/*  test_tide_protocol_page.c - docs/protocol.md says what the code says.
 *
 *  The tables between the page's two markers follow from tide_message.h. With TIDE_UPDATE_DOCS set
 *  they are written anew instead of compared.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char path[] = TIDE_SOURCE_DIR "/docs/protocol.md";
static const char begin_marker[] = "<!-- generated: begin -->\n";
static const char end_marker[] = "<!-- generated: end -->\n";

static void read_page (tide_buffer_t *page)
{
    FILE *file = fopen (path, "rb");
    assert_non_null (file);
    size_t size;
    do {
        size = fread (tide_buffer_reserve (page, 4096), 1, 4096, file);
        page->size += size;
    } while (size > 0);
    fclose (file);
    tide_put_u8 (page, 0);
}

static void write_page (const char *before, size_t size, const tide_buffer_t *tables,
                        const char *after)
{
    FILE *file = fopen (path, "wb");
    assert_non_null (file);
    fwrite (before, 1, size, file);
    fwrite (tables->data, 1, tables->size, file);
    fputs (after, file);
    fclose (file);
}

static void the_page_has_every_message_and_record_as_the_code_has_them (void **state)
{
    (void) state;
    tide_buffer_t page = {0}, tables = {0};
    read_page (&page);
    tide_message_describe (&tables);
    const char *text = (const char *) page.data;
    const char *begin = strstr (text, begin_marker), *end = strstr (text, end_marker);
    assert_non_null (begin);
    assert_non_null (end);
    begin += strlen (begin_marker);
    assert_true (begin <= end);
    if (getenv ("TIDE_UPDATE_DOCS"))
        write_page (text, (size_t) (begin - text), &tables, end);
    else if (tables.size != (size_t) (end - begin) || memcmp (tables.data, begin, tables.size) != 0)
        fail_msg ("%s", "docs/protocol.md differs from tide_message.h: run this test once with "
                        "TIDE_UPDATE_DOCS=1");
    tide_buffer_free (&page);
    tide_buffer_free (&tables);
}

/*  The prose names each message at least once, before the tables do. */
static void the_prose_speaks_of_every_message (void **state)
{
    (void) state;
    tide_buffer_t page = {0};
    read_page (&page);
    char *text = (char *) page.data, *begin = strstr (text, begin_marker);
    assert_non_null (begin);
    *begin = 0;
    for (int kind = 0; kind < TIDE_MESSAGE_KINDS; kind++) {
        const char *name = tide_message_name ((tide_message_kind_t) kind);
        if (strcmp (name, "?") != 0 && !strstr (text, name))
            fail_msg ("docs/protocol.md says nothing of %s", name);
    }
    tide_buffer_free (&page);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_page_has_every_message_and_record_as_the_code_has_them),
        cmocka_unit_test (the_prose_speaks_of_every_message),
    };
    return cmocka_run_group_tests_name ("tide_protocol_page", tests, NULL, NULL);
}
