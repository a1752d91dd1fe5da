/*  tide_picture.h - what `tidemark top` shows, as text: pure, so that it can be looked at without a
 *  terminal.
 *
 *  A few lines about the whole, then tables. The tables share the height: each gets what it needs
 *  up to its share, what is left goes to the last one.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PICTURE_H
#define TIDE_PICTURE_H

#include "tide_wire.h"

enum { TIDE_PICTURE_CELLS = 5 };

/*  A number, and how it is written. */
typedef struct {
    enum {
        TIDE_CELL_NONE,  /* not known: "-" */
        TIDE_CELL_COUNT, /* 1234, 12.3k, 4.5M */
        TIDE_CELL_RATE,  /* … with a decimal where it is small */
        TIDE_CELL_LEAST  /* a count, or more: "1000+" */
    } kind;
    double value;
} tide_cell_t;

typedef struct {
    tide_bytes_t
        name; /* whatever it is: what a terminal might take for a command is not shown so */
    tide_cell_t cells[TIDE_PICTURE_CELLS];
} tide_row_t;

typedef struct {
    const char *title;
    const char *heads[TIDE_PICTURE_CELLS]; /* of the columns; NULL ends them */
    const tide_row_t *rows;
    size_t row_count;
    const char *empty; /* said where there are none; NULL: then the table is left out */
} tide_table_t;

typedef struct {
    const char *const *lines; /* above the tables */
    size_t line_count;
    const tide_table_t *tables;
    size_t table_count;
    unsigned width, height; /* 0: as much as there is */
    bool has_colors;        /* titles are emphasised by escape codes */
} tide_picture_t;

/*  Appends the picture, a newline behind each line but, where there is a height, the last. */
void tide_picture_draw (const tide_picture_t *picture, tide_buffer_t *out);
/*  Appends a cell's number. */
void tide_picture_number (tide_buffer_t *out, tide_cell_t cell);

#endif
