/*  test_tide_origin.c - which pages may talk to the server.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool is_allowed (const char *origin, const char *host, const char *listed)
{
    const char *allowed[] = {listed, NULL};
    return tide_origin_is_allowed (tide_bytes (origin), tide_bytes (host), allowed);
}

static void a_program_that_is_no_browser_is_allowed (void **state)
{
    (void) state;
    assert_true (is_allowed ("", "tide.example", NULL));
    assert_true (is_allowed ("", "", NULL));
}

static void the_servers_own_pages_are_allowed (void **state)
{
    (void) state;
    assert_true (is_allowed ("http://127.0.0.1:8080", "127.0.0.1:8080", NULL));
    assert_true (is_allowed ("http://[::1]:8080", "[::1]:8080", NULL));
    assert_true (is_allowed ("http://Tide.Example", "tide.example", NULL));
    assert_true (is_allowed ("http://tide.example", "tide.example:80", NULL));
    assert_true (is_allowed ("https://tide.example", "tide.example:443", NULL));
    assert_true (is_allowed ("https://tide.example", "tide.example", NULL));
}

static void pages_from_elsewhere_are_not (void **state)
{
    (void) state;
    assert_false (is_allowed ("http://127.0.0.1:8081", "127.0.0.1:8080", NULL));
    assert_false (is_allowed ("http://evil.example", "tide.example", NULL));
    assert_false (is_allowed ("http://tide.example.evil", "tide.example", NULL));
    assert_false (is_allowed ("http://eviltide.example", "tide.example", NULL));
    assert_false (is_allowed ("http://tide.example", "tide.example:443", NULL));
    assert_false (is_allowed ("null", "tide.example", NULL));
    assert_false (is_allowed ("null", "null", NULL));
    assert_false (is_allowed ("file://", "", NULL));
    assert_false (is_allowed ("http://", "", NULL));
    assert_false (is_allowed ("tide.example", "tide.example", NULL));
}

static void listed_pages_are_allowed_as_they_are_listed (void **state)
{
    (void) state;
    const char *listed = "https://app.example";
    assert_true (is_allowed ("https://app.example", "tide.example", listed));
    assert_true (is_allowed ("https://APP.example", "tide.example", listed));
    assert_false (is_allowed ("http://app.example", "tide.example", listed));
    assert_false (is_allowed ("https://app.example:444", "tide.example", listed));
    assert_false (is_allowed ("https://app.example.evil", "tide.example", listed));
    assert_true (is_allowed ("http://tide.example", "tide.example", listed));
}

static void a_star_allows_all (void **state)
{
    (void) state;
    assert_true (is_allowed ("http://evil.example", "tide.example", "*"));
    assert_true (is_allowed ("null", "", "*"));
}

static void only_an_origin_that_is_named_has_credentials (void **state)
{
    (void) state;
    const char *allowed[] = {"*", "https://app.example", "null", NULL};
    assert_true (tide_origin_has_credentials (tide_bytes ("https://app.example"), allowed));
    assert_true (tide_origin_has_credentials (tide_bytes ("https://APP.example"), allowed));
    assert_false (tide_origin_has_credentials (tide_bytes ("https://other.example"), allowed));
    assert_false (tide_origin_has_credentials (tide_bytes ("null"), allowed));
    assert_false (tide_origin_has_credentials (tide_bytes ("*"), allowed));
    assert_false (tide_origin_has_credentials (tide_bytes (""), allowed));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_program_that_is_no_browser_is_allowed),
        cmocka_unit_test (the_servers_own_pages_are_allowed),
        cmocka_unit_test (pages_from_elsewhere_are_not),
        cmocka_unit_test (listed_pages_are_allowed_as_they_are_listed),
        cmocka_unit_test (a_star_allows_all),
        cmocka_unit_test (only_an_origin_that_is_named_has_credentials),
    };
    return cmocka_run_group_tests_name ("tide_origin", tests, NULL, NULL);
}
