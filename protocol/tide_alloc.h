/*  tide_alloc.h - memory and assertions.
 *
 *  Memory that runs out ends the process, in this one place: limits (tide_limits.h) keep that out
 *  of a peer's reach, so no caller has a path for it. Assertions check our own state only, are on
 *  in every build, and never see a byte from outside.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ALLOC_H
#define TIDE_ALLOC_H

#include <stddef.h>

/*  Returns size zeroed bytes; never NULL. The caller frees with free (). */
void *tide_alloc (size_t size);

/*  Grows or shrinks as realloc does; never NULL for a size above 0. New bytes are not zeroed. */
void *tide_realloc (void *memory, size_t size);

/*  Returns a NUL-terminated copy of size bytes; never NULL. The caller frees it. */
char *tide_copy (const void *data, size_t size);

_Noreturn void tide_assert_failed (const char *condition, const char *file, int line);

#define tide_assert(condition)                                                                     \
    ((condition) ? (void) 0 : tide_assert_failed (#condition, __FILE__, __LINE__))

#define TIDE_UNUSED_RESULT __attribute__ ((warn_unused_result))

#endif
