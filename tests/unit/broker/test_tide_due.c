/*  test_tide_due.c - what falls due when, against a list that is searched.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HANDLES = 300, STEPS = 20000 };

static uint64_t first_of (const uint64_t *due)
{
    uint64_t first = UINT64_MAX;
    for (unsigned at = 0; at < HANDLES; at++)
        first = due[at] < first ? due[at] : first;
    return first;
}

static void the_first_one_is_always_known (void **state)
{
    (void) state;
    uint64_t due[HANDLES];
    for (unsigned at = 0; at < HANDLES; at++)
        due[at] = UINT64_MAX;
    tide_due_t self = {0};
    unsigned seed = 7;
    for (unsigned step = 0; step < STEPS; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned handle = (seed >> 8) % HANDLES;
        if ((seed >> 20) % 3 > 0) {
            due[handle] = (seed >> 4) % 1000;
            tide_due_set (&self, handle, due[handle]);
        }
        else {
            due[handle] = UINT64_MAX;
            tide_due_clear (&self, handle);
        }
        uint64_t first_ms = first_of (due);
        assert_true (tide_due_first_ms (&self) == first_ms);
        uint32_t found = HANDLES;
        if (first_ms > 0 && first_ms != UINT64_MAX)
            assert_false (tide_due_first (&self, first_ms - 1, &found));
        if (first_ms != UINT64_MAX) {
            assert_true (tide_due_first (&self, first_ms, &found));
            assert_true (due[found] == first_ms);
        }
    }
    tide_due_free (&self);
}

static void nothing_is_ever_due_where_nothing_was_set (void **state)
{
    (void) state;
    tide_due_t self = {0};
    uint32_t handle;
    tide_due_clear (&self, 5);
    assert_true (tide_due_first_ms (&self) == UINT64_MAX);
    assert_false (tide_due_first (&self, UINT64_MAX - 1, &handle));
    tide_due_free (&self);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_first_one_is_always_known),
        cmocka_unit_test (nothing_is_ever_due_where_nothing_was_set),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
