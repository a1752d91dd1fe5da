/*  tide_picture.c - what `tidemark top` shows, as text.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_picture.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_WIDTH = 11, NAME_WIDTH_MIN = 12, WIDTH_UNLIMITED = 120 };

#define BOLD "\x1b[1m"
#define PLAIN "\x1b[0m"

/*  -- numbers --------------------------------------------------------------------------------- */

void tide_picture_number (tide_buffer_t *out, tide_cell_t cell)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    double value = cell.value;
    unsigned unit = 0;
    if (cell.kind == TIDE_CELL_NONE) {
        tide_buffer_append_text (out, "-");
        return;
    }
    /*  Four digits as they are, three with a unit. */
    while (value >= (unit == 0 ? 9999.5 : 999.5) && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    bool has_decimal =
        unit > 0 ? value < 99.95 : cell.kind == TIDE_CELL_RATE && value > 0 && value < 99.95;
    tide_buffer_printf (out, has_decimal ? "%.1f%s" : "%.0f%s", value, units[unit]);
    if (cell.kind == TIDE_CELL_LEAST)
        tide_buffer_append_text (out, "+");
}

/*  -- lines ----------------------------------------------------------------------------------- */

/*  The size of the character that begins the text, and whether it may be shown: no control
 *  characters, of either kind, and no half ones. */
static size_t character (tide_bytes_t text, bool *is_shown)
{
    uint8_t first = text.data[0];
    size_t size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size > text.size || !tide_utf8_valid ((tide_bytes_t){text.data, size})) {
        *is_shown = false;
        return 1;
    }
    bool is_c1 = size == 2 && first == 0xc2 && text.data[1] < 0xa0;
    *is_shown = size > 1 ? !is_c1 : first >= 0x20 && first != 0x7f;
    return size;
}

/*  Appends the text in so many columns: cut, or filled up. A width of 0 takes it as it is. */
static void put (tide_buffer_t *out, tide_bytes_t text, unsigned width)
{
    unsigned column = 0;
    while (text.size > 0 && (width == 0 || column < width)) {
        bool is_shown;
        size_t size = character (text, &is_shown);
        if (is_shown)
            tide_buffer_append (out, text.data, size);
        else
            tide_buffer_append (out, "?", 1);
        text = (tide_bytes_t){text.data + size, text.size - size};
        column++;
    }
    if (text.size > 0 && out->size > 0) {
        /*  What was cut shows; the last character may have several bytes. */
        while (out->size > 0 && (out->data[out->size - 1] & 0xc0) == 0x80)
            out->size--;
        out->size--;
        tide_buffer_append_text (out, "~");
    }
    for (; column < width; column++)
        tide_buffer_append (out, " ", 1);
}

/*  A line is being made of `self->line`; it is let go of when the height is used up. */
typedef struct {
    const tide_picture_t *picture;
    tide_buffer_t *out;
    tide_buffer_t line;
    unsigned width, left;
    bool is_first;
} drawing_t;

static void trim (tide_buffer_t *line)
{
    while (line->size > 0 && line->data[line->size - 1] == ' ')
        line->size--;
}

static void end_line (drawing_t *self, bool is_title)
{
    bool is_bold = is_title && self->picture->has_colors;
    trim (&self->line);
    if (self->left > 0) {
        if (!self->is_first)
            tide_buffer_append_text (self->out, "\n");
        self->is_first = false;
        tide_buffer_append_text (self->out, is_bold ? BOLD : "");
        tide_buffer_append_bytes (self->out, tide_buffer_bytes (&self->line));
        tide_buffer_append_text (self->out, is_bold ? PLAIN : "");
        self->left--;
    }
    self->line.size = 0;
}

static void say (drawing_t *self, const char *text, bool is_title)
{
    put (&self->line, tide_bytes (text), self->width);
    end_line (self, is_title);
}

/*  -- tables ---------------------------------------------------------------------------------- */

static unsigned count_heads (const tide_table_t *table)
{
    unsigned count = 0;
    while (count < TIDE_PICTURE_CELLS && table->heads[count])
        count++;
    return count;
}

/*  Columns for which there is no place are left out, from the right. */
static unsigned count_shown (const drawing_t *self, const tide_table_t *table)
{
    unsigned count = count_heads (table);
    while (count > 0 && self->width < NAME_WIDTH_MIN + count * CELL_WIDTH)
        count--;
    return count;
}

static void put_cell (drawing_t *self, tide_bytes_t text)
{
    for (size_t column = text.size; column < CELL_WIDTH; column++)
        tide_buffer_append (&self->line, " ", 1);
    tide_buffer_append_bytes (&self->line, text);
}

static void draw_heads (drawing_t *self, const tide_table_t *table, unsigned count)
{
    put (&self->line, tide_bytes (table->title), self->width - count * CELL_WIDTH);
    for (unsigned at = 0; at < count; at++)
        put_cell (self, tide_bytes (table->heads[at]));
    end_line (self, true);
}

static void draw_row (drawing_t *self, const tide_row_t *row, unsigned count)
{
    put (&self->line, row->name, self->width - count * CELL_WIDTH);
    for (unsigned at = 0; at < count; at++) {
        tide_buffer_t number = {0};
        tide_picture_number (&number, row->cells[at]);
        put_cell (self, tide_buffer_bytes (&number));
        tide_buffer_free (&number);
    }
    end_line (self, false);
}

/*  So many rows, with a blank line and its heads before. */
static void draw_table (drawing_t *self, const tide_table_t *table, size_t rows)
{
    unsigned count = count_shown (self, table);
    say (self, "", false);
    draw_heads (self, table, count);
    for (size_t at = 0; at < rows; at++)
        draw_row (self, &table->rows[at], count);
    if (table->row_count == 0)
        say (self, table->empty, false);
    else if (rows < table->row_count) {
        char more[40];
        snprintf (more, sizeof more, "  and %zu more", table->row_count - rows);
        say (self, more, false);
    }
}

static bool is_left_out (const tide_table_t *table)
{
    return table->row_count == 0 && !table->empty;
}

/*  The rows of this table: of the lines that are left each that is still to come has its share, and
 *  what the ones before did not need is the others'. */
static size_t count_rows (const drawing_t *self, const tide_table_t *table, unsigned tables)
{
    size_t share = self->left / tables, around = 2; /* blank, heads */
    if (share <= around)
        return 0;
    size_t room = share - around;
    if (table->row_count <= room)
        return table->row_count;
    return room - 1; /* "and … more" */
}

void tide_picture_draw (const tide_picture_t *picture, tide_buffer_t *out)
{
    drawing_t self = {.picture = picture,
                      .out = out,
                      .width = picture->width > 0 ? picture->width : WIDTH_UNLIMITED,
                      .left = picture->height > 0 ? picture->height : UINT32_MAX,
                      .is_first = true};
    for (size_t at = 0; at < picture->line_count; at++)
        say (&self, picture->lines[at], at == 0);
    unsigned tables = 0;
    for (size_t at = 0; at < picture->table_count; at++)
        tables += !is_left_out (&picture->tables[at]);
    for (size_t at = 0; at < picture->table_count; at++) {
        const tide_table_t *table = &picture->tables[at];
        if (is_left_out (table))
            continue;
        draw_table (&self, table, count_rows (&self, table, tables));
        tables--;
    }
    if (picture->height == 0)
        tide_buffer_append_text (out, "\n");
    tide_buffer_free (&self.line);
}
