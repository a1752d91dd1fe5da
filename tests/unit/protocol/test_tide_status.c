/*  test_tide_status.c - names and numbers of outcomes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_are_the_contracts_codes (void **state)
{
    (void) state;
    static const char *const codes[] = {
        "ok",           "bad_request",   "bad_topic", "bad_json",      "too_large", "too_many",
        "rate_limited", "unauthorized",  "forbidden", "token_expired", "conflict",  "not_found",
        "no_worker",    "worker_failed", "timeout",   "epoch_changed", "trimmed",   "broker_away",
        "log_full",     "shutting_down"};
    assert_int_equal (sizeof codes / sizeof *codes, TIDE_STATUS_COUNT);
    for (int status = 0; status < TIDE_STATUS_COUNT; status++)
        assert_string_equal (tide_status_name ((tide_status_t) status), codes[status]);
}

static void each_outcome_has_a_name_of_its_own_and_a_meaning (void **state)
{
    (void) state;
    for (int one = 0; one < TIDE_STATUS_COUNT; one++) {
        assert_true (strlen (tide_status_meaning ((tide_status_t) one)) > 5);
        for (int other = 0; other < one; other++)
            assert_string_not_equal (tide_status_name ((tide_status_t) one),
                                     tide_status_name ((tide_status_t) other));
    }
}

static void an_unknown_number_is_a_bad_request (void **state)
{
    (void) state;
    assert_string_equal (tide_status_name (TIDE_STATUS_COUNT), "bad_request");
    assert_string_equal (tide_status_name ((tide_status_t) 255), "bad_request");
    assert_string_equal (tide_status_meaning ((tide_status_t) 255),
                         tide_status_meaning (TIDE_BAD_REQUEST));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (names_are_the_contracts_codes),
        cmocka_unit_test (each_outcome_has_a_name_of_its_own_and_a_meaning),
        cmocka_unit_test (an_unknown_number_is_a_bad_request),
    };
    return cmocka_run_group_tests_name ("tide_status", tests, NULL, NULL);
}
