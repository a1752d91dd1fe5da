/*  test_tide_endpoint.c - where a broker publishes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_is_told_is_found_from_where_the_broker_is (void **state)
{
    (void) state;
    static const struct {
        const char *broker, *told, *endpoint;
    } cases[] = {
        {"tcp://host:7400", "7401", "tcp://host:7401"},
        {"tcp://host:7400", "tcp://other:7401", "tcp://other:7401"},
        {"tcp://host:7400", "tcp://*:7401", "tcp://host:7401"},
        {"tcp://host:7400", "tcp://0.0.0.0:7401", "tcp://host:7401"},
        {"tcp://[::1]:7400", "tcp://[::]:7401", "tcp://[::1]:7401"},
        {"tcp://host:7400", "ipc:///tmp/events", "ipc:///tmp/events"},
        {"tcp://host:7400", "", ""},
        {"none", "7401", "none:7401"},
    };
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        char *endpoint = tide_endpoint_told (cases[at].broker, tide_bytes (cases[at].told));
        assert_string_equal (endpoint, cases[at].endpoint);
        free (endpoint);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_told_is_found_from_where_the_broker_is)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
