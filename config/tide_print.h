/*  tide_print.h - one line on standard error for whoever runs a server.
 *
 *  Lines are key=value, begin with their level and the event's name, and tell of changes of state:
 *  never of a single message or client, and never a payload or a secret. What happens often has a
 *  counter instead.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PRINT_H
#define TIDE_PRINT_H

typedef enum {
    TIDE_LEVEL_ERROR,   /* something is lost or stops: somebody must look */
    TIDE_LEVEL_WARNING, /* it goes on, but not as it was told to */
    TIDE_LEVEL_INFO,    /* a change of state that an operator expects to read */
    TIDE_LEVEL_DEBUG    /* for whoever works on the program */
} tide_level_t;

/*  Lines above this level are left out. To be set once, before there are threads; INFO unless. */
void tide_print_level (tide_level_t level);

/*  Prints "level=… event=EVENT …", the rest as format says; NULL: nothing more. One write, so lines
 *  of several threads do not mix. At most 1000 bytes; a longer line is cut. */
void tide_print (tide_level_t level, const char *event, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

#endif
