/*  tide_print.c - one line on standard error for whoever runs a server.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_print.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_SIZE 1000

static tide_level_t level_now = TIDE_LEVEL_INFO;

void tide_print_level (tide_level_t level)
{
    level_now = level;
}

/*  What snprintf returned, as the number of bytes that really are in the room given. */
static size_t written (int result, size_t room)
{
    if (result < 0)
        return 0;
    return (size_t) result < room ? (size_t) result : room - 1;
}

void tide_print (tide_level_t level, const char *event, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > level_now)
        return;
    char line[LINE_SIZE + 1];
    size_t size = written (
        snprintf (line, LINE_SIZE, "level=%s event=%s%s", names[level], event, format ? " " : ""),
        LINE_SIZE);
    if (format) {
        va_list arguments;
        va_start (arguments, format);
        size += written (vsnprintf (line + size, LINE_SIZE - size, format, arguments),
                         LINE_SIZE - size);
        va_end (arguments);
    }
    line[size++] = '\n';
    /*  Nobody can be told that standard error is gone. */
    if (write (STDERR_FILENO, line, size) < 0)
        return;
}
