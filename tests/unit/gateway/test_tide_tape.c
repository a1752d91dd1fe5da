/*  test_tide_tape.c - the tape keeps the latest events, and never bytes of another.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t lay (tide_tape_t *tape, uint64_t seq, size_t size)
{
    uint8_t bytes[4096];
    memset (bytes, (int) (seq & 0xff), size);
    return tide_tape_append (tape, (tide_bytes_t){bytes, size}, seq, false, seq);
}

static void assert_filled (tide_bytes_t bytes, int value, size_t size)
{
    assert_int_equal (bytes.size, size);
    for (size_t at = 0; at < size; at++)
        assert_int_equal (bytes.data[at], value & 0xff);
}

static void the_oldest_give_way (void **state)
{
    (void) state;
    tide_tape_t *tape = tide_tape_new (1000);
    for (uint64_t seq = 1; seq <= 100; seq++) {
        assert_int_equal (lay (tape, seq, 90), seq);
        assert_true (tide_tape_has (tape, seq));
        for (uint64_t number = tide_tape_first (tape); number <= seq; number++)
            assert_filled (tide_tape_entry (tape, number).record, (int) number, 90);
    }
    assert_int_equal (tide_tape_first (tape), 100 - 10);
    assert_false (tide_tape_has (tape, 89));
    assert_false (tide_tape_has (tape, 101));
    tide_tape_destroy (&tape);
    assert_null (tape);
    tide_tape_destroy (&tape);
}

static void forms_are_kept_while_there_is_room (void **state)
{
    (void) state;
    tide_tape_t *tape = tide_tape_new (10000);
    uint64_t number = lay (tape, 7, 100);
    assert_int_equal (tide_tape_form (tape, number, 3).size, 0);
    uint8_t form[200];
    memset (form, 'f', sizeof form);
    tide_tape_keep (tape, number, 3, (tide_bytes_t){form, sizeof form});
    assert_filled (tide_tape_form (tape, number, 3), 'f', 200);
    assert_int_equal (tide_tape_form (tape, number, 4).size, 0);
    for (uint64_t seq = 8; tide_tape_has (tape, number); seq++) {
        assert_filled (tide_tape_form (tape, number, 3), 'f', 200);
        lay (tape, seq, 300);
    }
    tide_tape_destroy (&tape);
}

static void keeping_a_form_never_loses_its_own_entry (void **state)
{
    (void) state;
    tide_tape_t *tape = tide_tape_new (400);
    uint64_t first = lay (tape, 1, 100);
    for (uint64_t seq = 2; seq <= 4; seq++)
        lay (tape, seq, 100);
    uint8_t form[100] = {0};
    assert_true (tide_tape_has (tape, first));
    tide_tape_keep (tape, first, 0, (tide_bytes_t){form, sizeof form});
    assert_true (tide_tape_has (tape, first));
    assert_filled (tide_tape_entry (tape, first).record, 1, 100);
    tide_tape_destroy (&tape);
}

static void an_event_too_large_is_numbered_but_not_there (void **state)
{
    (void) state;
    tide_tape_t *tape = tide_tape_new (1000);
    lay (tape, 1, 50);
    uint64_t large = lay (tape, 2, 600);
    assert_int_equal (large, 2);
    assert_false (tide_tape_has (tape, 1));
    assert_false (tide_tape_has (tape, large));
    uint64_t next = lay (tape, 3, 50);
    assert_int_equal (next, 3);
    assert_filled (tide_tape_entry (tape, next).record, 3, 50);
    tide_tape_destroy (&tape);
}

static void whatever_is_there_is_right (void **state)
{
    (void) state;
    srand (1);
    tide_tape_t *tape = tide_tape_new (5000);
    static size_t sizes[20001];
    for (uint64_t seq = 1; seq <= 20000; seq++) {
        sizes[seq] = 1 + (size_t) rand () % 300;
        uint64_t number = lay (tape, seq, sizes[seq]);
        uint64_t some =
            tide_tape_first (tape) + (uint64_t) rand () % (number - tide_tape_first (tape) + 1);
        unsigned form = (unsigned) rand () % 6;
        tide_bytes_t kept = tide_tape_form (tape, some, form);
        if (kept.size > 0)
            assert_filled (kept, (int) (some * 7 + form), sizes[some] + form);
        else {
            uint8_t bytes[400];
            memset (bytes, (int) ((some * 7 + form) & 0xff), sizes[some] + form);
            tide_tape_keep (tape, some, form, (tide_bytes_t){bytes, sizes[some] + form});
        }
        for (uint64_t at = tide_tape_first (tape); at <= number; at++)
            assert_filled (tide_tape_entry (tape, at).record, (int) at, sizes[at]);
    }
    tide_tape_destroy (&tape);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_oldest_give_way),
        cmocka_unit_test (forms_are_kept_while_there_is_room),
        cmocka_unit_test (keeping_a_form_never_loses_its_own_entry),
        cmocka_unit_test (an_event_too_large_is_numbered_but_not_there),
        cmocka_unit_test (whatever_is_there_is_right),
    };
    return cmocka_run_group_tests_name ("tape", tests, NULL, NULL);
}
