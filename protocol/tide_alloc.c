/*  tide_alloc.c - memory and assertions.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory (size_t size)
{
    fprintf (stderr, "level=fatal event=out_of_memory size=%zu\n", size);
    abort ();
}

void *tide_alloc (size_t size)
{
    void *memory = calloc (1, size > 0 ? size : 1);
    if (!memory)
        out_of_memory (size);
    return memory;
}

void *tide_realloc (void *memory, size_t size)
{
    void *moved = realloc (memory, size > 0 ? size : 1);
    if (!moved)
        out_of_memory (size);
    return moved;
}

char *tide_copy (const void *data, size_t size)
{
    char *copy = tide_alloc (size + 1);
    if (size > 0)
        memcpy (copy, data, size);
    return copy;
}

void tide_assert_failed (const char *condition, const char *file, int line)
{
    fprintf (stderr, "level=fatal event=assertion_failed condition=\"%s\" at=%s:%d\n", condition,
             file, line);
    abort ();
}
