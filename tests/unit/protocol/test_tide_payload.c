/*  test_tide_payload.c - reference-counted bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void bytes_are_copied_and_stay_until_the_last_reference (void **state)
{
    (void) state;
    char text[] = "some bytes";
    tide_payload_t *payload = tide_payload_new (tide_bytes (text));
    memset (text, 'x', sizeof text - 1);
    tide_payload_t *other = tide_payload_ref (payload);
    assert_ptr_equal (other, payload);
    tide_payload_unref (&payload);
    assert_null (payload);
    assert_true (tide_bytes_is (tide_payload_bytes (other), "some bytes"));
    tide_payload_unref (&other);
    assert_null (other);
}

static void giving_nothing_back_is_fine (void **state)
{
    (void) state;
    tide_payload_t *payload = NULL;
    tide_payload_unref (&payload);
    payload = tide_payload_new ((tide_bytes_t){0});
    assert_int_equal (tide_payload_bytes (payload).size, 0);
    tide_payload_unref (&payload);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (bytes_are_copied_and_stay_until_the_last_reference),
        cmocka_unit_test (giving_nothing_back_is_fine),
    };
    return cmocka_run_group_tests_name ("tide_payload", tests, NULL, NULL);
}
