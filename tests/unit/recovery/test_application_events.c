/*  test_application_events.c - what clients say to an application, and its acknowledgements.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_app_fixture.h"

static void events_come_with_and_without_a_call (void **state)
{
    (void) state;
    tide_loop_client_t *client = came_in (NULL);
    tide_loop_say (client, "42[\"a\",1,{\"x\":[]}]");
    assert_told ("event a [1,{\"x\":[]}]\n");
    tide_loop_say (client, "42[\"b\"]");
    assert_told ("event b []\n");
    tide_loop_say (client, "42[\"b\",[1,2]]");
    assert_told ("event b [[1,2]]\n");
    tide_loop_say (client, "42[5,\"x\"]"); /* a number is a name, too */
    assert_told ("event 5 [\"x\"]\n");
    tide_loop_say (client, "420[\"c\",null]");
    assert_told ("event c [null] ?\n");
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"t\"}]"); /* the gateway's own */
    assert_told ("");
    assert_hears (client, "431[{\"ok\":true");
}

static void a_call_is_answered_once (void **state)
{
    (void) state;
    tide_loop_client_t *client = came_in (NULL);
    tide_loop_say (client, "4217[\"c\",1]");
    uint64_t call = app.call;
    assert_true (call != 0);
    tide_args_t one = {.json = tide_bytes ("{\"ok\":1}")};
    tide_args_t many = {.json = tide_bytes ("[1,\"two\"]"), .many = true};
    tide_app_acknowledge (loop->hubs[0], call, &one);
    tide_app_acknowledge (loop->hubs[0], call, &many);
    tide_app_fail (loop->hubs[0], call, TIDE_FORBIDDEN, "no");
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "4317[{\"ok\":1}]");
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "4217[\"c\"]"); /* the client's ids are its own */
    assert_true (app.call != call);
    tide_app_acknowledge (loop->hubs[0], app.call, &many);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "4317[1,\"two\"]");
    tide_loop_say (client, "4218[\"c\"]");
    tide_app_fail (loop->hubs[0], app.call, TIDE_FORBIDDEN, "no");
    tide_app_acknowledge (loop->hubs[0], app.call, &many);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client),
                         "4318[{\"ok\":false,\"code\":\"forbidden\",\"message\":\"no\"}]");
    assert_null (tide_loop_hear (client));
    tide_app_acknowledge (loop->hubs[0], 0, &one); /* no call at all */
    tide_app_acknowledge (loop->hubs[0], 987654, &one);
}

static void calls_are_answered_in_any_order_and_namespace (void **state)
{
    (void) state;
    tide_loop_client_t *client = came_in (NULL);
    tide_loop_say (client, "40/tenant-1,");
    assert_hears (client, "40/tenant-1,{");
    tide_loop_say (client, "421[\"a\"]");
    uint64_t first = app.call;
    tide_loop_say (client, "42/tenant-1,1[\"b\"]");
    tide_args_t args = {.json = tide_bytes ("2")};
    tide_app_acknowledge (loop->hubs[0], app.call, &args);
    args.json = tide_bytes ("1");
    tide_app_acknowledge (loop->hubs[0], first, &args);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "43/tenant-1,1[2]");
    assert_string_equal (tide_loop_hear (client), "431[1]");
}

static void an_acknowledgement_of_a_client_that_is_gone_is_dropped (void **state)
{
    (void) state;
    for (int how = 0; how < 2; how++) {
        tide_loop_client_t *client = came_in (NULL);
        tide_loop_say (client, "421[\"a\"]");
        if (how == 0)
            tide_loop_cut (client);
        else
            tide_loop_say (client, "41");
        tide_app_acknowledge (loop->hubs[0], app.call, &(tide_args_t){.json = tide_bytes ("1")});
        tide_app_fail (loop->hubs[0], app.call, TIDE_FORBIDDEN, NULL);
        tide_loop_run (loop);
        assert_null (tide_loop_hear (client));
    }
}

static void binary_goes_both_ways (void **state)
{
    (void) state;
    static const uint8_t bytes[] = {0, 1, 2, 255};
    for (int polls = 0; polls < 2; polls++) {
        tide_loop_client_t *client = stock_wire (loop, 0, polls);
        tide_loop_say (client, "40");
        if (polls)
            tide_loop_say (client, "451-3[\"up\",{\"_placeholder\":true,\"num\":0}]\x1e"
                                   "bAAEC/w==");
        else {
            tide_loop_say (client, "451-3[\"up\",{\"_placeholder\":true,\"num\":0}]");
            tide_hub_frame (loop->hubs[0], loop->now_ms, client->connection,
                            (tide_bytes_t){bytes, sizeof bytes}, false);
            tide_loop_run (loop);
        }
        assert_told ("connect\nconnected /\n"
                     "event up [{\"_placeholder\":true,\"num\":0}] ?\n");
        assert_int_equal (app.binary.size, sizeof bytes);
        assert_memory_equal (app.binary.data, bytes, sizeof bytes);
        tide_args_t args = {.json = tide_bytes ("[{\"_placeholder\":true,\"num\":0},"
                                                "{\"_placeholder\":true,\"num\":1}]"),
                            .many = true,
                            .attachments = 2,
                            .attachment = {{bytes, sizeof bytes}, tide_bytes ("more")}};
        tide_app_acknowledge (loop->hubs[0], app.call, &args);
        tide_loop_run (loop);
        const char *frame;
        do
            frame = tide_loop_hear (client);
        while (frame && frame[1] != '6');
        assert_string_equal (frame, "462-3[{\"_placeholder\":true,\"num\":0},"
                                    "{\"_placeholder\":true,\"num\":1}]");
        assert_int_equal (client->binaries, 2);
        assert_true (tide_bytes_is (tide_buffer_bytes (&client->binary), "more"));
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        APP_TEST (events_come_with_and_without_a_call),
        APP_TEST (a_call_is_answered_once),
        APP_TEST (calls_are_answered_in_any_order_and_namespace),
        APP_TEST (an_acknowledgement_of_a_client_that_is_gone_is_dropped),
        APP_TEST (binary_goes_both_ways),
    };
    return cmocka_run_group_tests_name ("events and acknowledgements", tests, NULL, NULL);
}
