/*  test_tide_args.c - the payload of an event.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static tide_args_t sample (bool many, unsigned attachments)
{
    tide_args_t args = {.many = many, .json = tide_bytes ("[1,\"two\"]")};
    static const char *const texts[] = {"", "x", "binary \xff", "more"};
    args.attachments = attachments;
    for (unsigned at = 0; at < attachments; at++)
        args.attachment[at] = tide_bytes (texts[at % 4]);
    return args;
}

static void what_is_encoded_decodes_to_the_same (void **state)
{
    (void) state;
    for (unsigned attachments = 0; attachments <= TIDE_ATTACHMENTS_MAX; attachments++) {
        tide_args_t args = sample (attachments % 2, attachments), got;
        tide_buffer_t out = {0};
        tide_args_encode (&out, &args);
        assert_int_equal (tide_args_decode (tide_buffer_bytes (&out), &got), TIDE_OK);
        assert_int_equal (got.many, args.many);
        assert_int_equal (got.attachments, attachments);
        assert_true (tide_bytes_equal (got.json, args.json));
        for (unsigned at = 0; at < attachments; at++)
            assert_true (tide_bytes_equal (got.attachment[at], args.attachment[at]));
        tide_buffer_free (&out);
    }
}

static void what_the_system_says_lies_beside_the_arguments (void **state)
{
    (void) state;
    for (unsigned attachments = 0; attachments < 3; attachments++) {
        tide_args_t args = sample (true, attachments), got;
        args.about = tide_bytes ("about");
        tide_buffer_t out = {0};
        tide_args_encode (&out, &args);
        assert_int_equal (tide_args_decode (tide_buffer_bytes (&out), &got), TIDE_OK);
        assert_true (tide_bytes_is (got.about, "about"));
        assert_true (tide_bytes_equal (got.json, args.json));
        assert_int_equal (got.attachments, attachments);
        for (size_t size = 0; size < 11; size++)
            assert_int_equal (tide_args_decode ((tide_bytes_t){out.data, size}, &got),
                              TIDE_BAD_REQUEST);
        tide_buffer_free (&out);
    }
    static const uint8_t nothing[] = {17, 0, 0, 0, 0, 0, '1'};
    tide_args_t got;
    assert_int_equal (tide_args_decode ((tide_bytes_t){nothing, sizeof nothing}, &got),
                      TIDE_BAD_REQUEST);
}

static void every_truncation_and_every_trailing_byte_fails_with_attachments (void **state)
{
    (void) state;
    tide_args_t args = sample (true, 4), got;
    tide_buffer_t out = {0};
    tide_args_encode (&out, &args);
    for (size_t size = 0; size < out.size; size++) {
        uint8_t *exact = malloc (size > 0 ? size : 1);
        memcpy (exact, out.data, size);
        assert_int_equal (tide_args_decode ((tide_bytes_t){exact, size}, &got), TIDE_BAD_REQUEST);
        free (exact);
    }
    tide_put_u8 (&out, 0);
    assert_int_equal (tide_args_decode (tide_buffer_bytes (&out), &got), TIDE_BAD_REQUEST);
    tide_buffer_free (&out);
}

static void what_is_not_of_the_layout_is_refused (void **state)
{
    (void) state;
    static const uint8_t form[] = {3, 0, '1'}, none[] = {0, 0, '1'}, many[] = {1, 11, '1'};
    static const uint8_t empty[] = {1, 0}, zero[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    tide_args_t got;
    assert_int_equal (tide_args_decode ((tide_bytes_t){form, 3}, &got), TIDE_BAD_REQUEST);
    assert_int_equal (tide_args_decode ((tide_bytes_t){none, 3}, &got), TIDE_BAD_REQUEST);
    assert_int_equal (tide_args_decode ((tide_bytes_t){many, 3}, &got), TIDE_BAD_REQUEST);
    assert_int_equal (tide_args_decode ((tide_bytes_t){empty, 2}, &got), TIDE_BAD_REQUEST);
    assert_int_equal (tide_args_decode ((tide_bytes_t){zero, 10}, &got), TIDE_BAD_REQUEST);
    assert_int_equal (tide_args_decode ((tide_bytes_t){0}, &got), TIDE_BAD_REQUEST);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_encoded_decodes_to_the_same),
        cmocka_unit_test (what_the_system_says_lies_beside_the_arguments),
        cmocka_unit_test (every_truncation_and_every_trailing_byte_fails_with_attachments),
        cmocka_unit_test (what_is_not_of_the_layout_is_refused),
    };
    return cmocka_run_group_tests_name ("tide_args", tests, NULL, NULL);
}
