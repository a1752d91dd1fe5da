/*  tide_worker_fixture.c - what the worker on the test's loop is lent, and what it says of it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker_fixture.h"

tide_lend_message_t lend;
tide_event_t event;
tide_args_t args;
tide_called_t called;

void assert_lent (const char *name, const char *json)
{
    if (!tide_loop_lent (loop, &lend, &event))
        fail_msg ("%s was not lent", name);
    if (!tide_bytes_is (event.name, name))
        fail_msg ("%s and not %.*s", name, TIDE_PRINT (event.name));
    assert_int_equal (tide_args_decode (event.payload, &args), TIDE_OK);
    if (!tide_bytes_is (args.json, json))
        fail_msg ("%s and not %.*s", json, TIDE_PRINT (args.json));
    assert_true (tide_called_decode (args.about, &called));
}

void assert_nothing_lent (void)
{
    if (tide_loop_lent (loop, &lend, &event))
        fail_msg ("%.*s was lent", TIDE_PRINT (event.name));
}

void reply (const char *json)
{
    tide_loop_handled (loop, &lend, TIDE_OK, &(tide_args_t){.json = tide_bytes (json)});
}

void admit (void)
{
    tide_loop_handled (loop, &lend, TIDE_OK, NULL);
}
