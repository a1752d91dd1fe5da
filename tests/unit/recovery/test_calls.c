/*  test_calls.c - what clients emit for workers, and the replies, in every dialect.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker_fixture.h"

#include <stdlib.h>

static tide_loop_client_t *websocket (void)
{
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_hears (client, "40{");
    return client;
}

/*  -- Socket.IO ------------------------------------------------------------------------------- */

static void a_call_is_acknowledged_by_its_worker (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    for (int polls = 0; polls < 2; polls++) {
        tide_loop_client_t *client = polls ? connected () : websocket ();
        tide_loop_say (client, "4217[\"say\",\"hello\",{\"a\":1}]");
        assert_lent ("say", "[\"hello\",{\"a\":1}]");
        assert_true (tide_bytes_is (called.nsp, "/") && tide_bytes_is (called.wanted, "17"));
        assert_true (event.from.size > 0);
        assert_null (tide_loop_hear (client));
        reply ("{\"b\":2}");
        assert_string_equal (tide_loop_hear (client), "4317[{\"b\":2}]");
        assert_null (tide_loop_hear (client));
        tide_loop_say (client, "42[\"say\"]"); /* which wants no answer */
        assert_lent ("say", "[]");
        reply ("3");
        assert_null (tide_loop_hear (client));
    }
}

static void several_arguments_and_none_come_back (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    tide_loop_say (client, "420[\"say\"]");
    assert_lent ("say", "[]");
    tide_loop_handled (loop, &lend, TIDE_OK,
                       &(tide_args_t){.many = true, .json = tide_bytes ("[1,\"two\"]")});
    assert_string_equal (tide_loop_hear (client), "430[1,\"two\"]");
    tide_loop_say (client, "421[\"say\"]");
    assert_lent ("say", "[]");
    tide_loop_handled (loop, &lend, TIDE_OK, NULL);
    assert_string_equal (tide_loop_hear (client), "431[]");
}

static void binary_goes_there_and_back (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    tide_loop_say (client, "451-5[\"say\",{\"_placeholder\":true,\"num\":0}]");
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, client->connection, tide_bytes ("\1\2\3"),
                    false);
    tide_loop_run (loop);
    assert_lent ("say", "{\"_placeholder\":true,\"num\":0}");
    assert_int_equal (args.attachments, 1);
    assert_true (tide_bytes_is (args.attachment[0], "\1\2\3"));
    tide_args_t back = {.json = tide_bytes ("{\"_placeholder\":true,\"num\":0}"), .attachments = 1};
    back.attachment[0] = tide_bytes ("\4\5");
    tide_loop_handled (loop, &lend, TIDE_OK, &back);
    assert_string_equal (tide_loop_hear (client), "461-5[{\"_placeholder\":true,\"num\":0}]");
    assert_true (tide_bytes_is (tide_buffer_bytes (&client->binary), "\4\5"));
}

static void namespaces_have_handlers_of_their_own (void **state)
{
    (void) state;
    tide_loop_serve (loop, "tenants", "/tenant-1", "*", 0);
    tide_loop_client_t *client = websocket ();
    tide_loop_say (client, "40/tenant-1,");
    assert_hears (client, "40/tenant-1,{");
    tide_loop_say (client, "421[\"say\"]");
    assert_hears (client, "431[{\"ok\":false,\"code\":\"no_worker\"");
    tide_loop_say (client, "42/tenant-1,1[\"say\"]");
    assert_lent ("say", "[]");
    assert_true (tide_bytes_is (called.nsp, "/tenant-1"));
    assert_true (tide_bytes_is (event.topic, "$call/tenants/tenant-1"));
    reply ("1");
    assert_string_equal (tide_loop_hear (client), "43/tenant-1,1[1]");
}

static void what_goes_wrong_is_told_by_name (void **state)
{
    (void) state;
    tide_loop_client_t *client = websocket ();
    tide_loop_say (client, "421[\"say\"]"); /* nobody ever did */
    assert_hears (client,
                  "431[{\"ok\":false,\"code\":\"no_worker\",\"message\":\"no worker has ever");
    tide_loop_say (client, "42[\"say\"]");
    assert_null (tide_loop_hear (client));
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_say (client, "422[\"say\"]");
    assert_lent ("say", "[]");
    tide_loop_handled (loop, &lend, TIDE_FORBIDDEN, NULL);
    assert_hears (client, "432[{\"ok\":false,\"code\":\"forbidden\",\"message\":\"");
    tide_loop_ask_broker (loop, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    loop->has_worker = false;
    tide_loop_say (client, "423[\"say\"]"); /* it was there */
    assert_null (tide_loop_hear (client));
    tide_loop_pass (loop, 10500);
    assert_hears (client, "433[{\"ok\":false,\"code\":\"no_worker\",\"message\":\"no worker came");
    char name[300];
    memset (name, 'x', 299);
    name[299] = 0;
    tide_loop_say (client, "424[\"%s\"]", name);
    assert_hears (client, "434[{\"ok\":false,\"code\":\"bad_request\"");
    tide_loop_say (client, "425[\"a\\nb\"]");
    assert_hears (client, "435[{\"ok\":false,\"code\":\"bad_request\"");
    tide_loop_say (client, "42[7]"); /* a number is a name, too */
    assert_null (tide_loop_hear (client));
    assert_non_null (client->connection);
}

/*  -- JSON over WebSocket --------------------------------------------------------------------- */

static void a_call_of_the_json_dialect_is_answered_by_its_worker (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client,
                   "{\"op\":\"call\",\"id\":[1,\"x\"],\"event\":\"say\",\"data\":{\"a\":1}}");
    assert_lent ("say", "{\"a\":1}");
    reply ("\"yes\"");
    assert_string_equal (tide_loop_hear (client),
                         "{\"op\":\"ok\",\"id\":[1,\"x\"],\"data\":\"yes\"}");
    tide_loop_say (client, "{\"op\":\"call\",\"event\":\"say\",\"args\":[1,2]}");
    assert_lent ("say", "[1,2]");
    tide_loop_handled (loop, &lend, TIDE_OK,
                       &(tide_args_t){.many = true, .json = tide_bytes ("[1,2]")});
    assert_string_equal (tide_loop_hear (client), "{\"op\":\"ok\",\"args\":[1,2]}");
    tide_loop_say (client, "{\"op\":\"call\",\"id\":3,\"event\":\"say\"}");
    assert_lent ("say", "[]");
    tide_loop_handled (loop, &lend, TIDE_FORBIDDEN, NULL);
    assert_hears (client, "{\"op\":\"error\",\"id\":3,\"code\":\"forbidden\",\"message\":\"");
    static const char *const bad[] = {
        "{\"op\":\"call\",\"id\":4}",
        "{\"op\":\"call\",\"id\":4,\"event\":5}",
        "{\"op\":\"call\",\"id\":4,\"event\":\"\"}",
        "{\"op\":\"call\",\"id\":4,\"event\":\"tide:publish\"}",
        "{\"op\":\"call\",\"id\":4,\"event\":\"say\",\"data\":1,\"args\":[]}",
        "{\"op\":\"call\",\"id\":4,\"event\":\"say\",\"args\":1}",
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        tide_loop_say (client, "%s", bad[at]);
        assert_hears (client, "{\"op\":\"error\",\"id\":4,\"code\":\"bad_request\"");
    }
    assert_nothing_lent ();
}

/*  -- one answer ------------------------------------------------------------------------------ */

/*  It is done all the same; but its caller has been told that nothing came in time. */
static void a_call_that_was_given_up_is_not_answered_again (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    tide_loop_client_t *json = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON);
    loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_CALL;
    tide_loop_say (client, "4217[\"say\",1]");
    tide_loop_say (json, "{\"op\":\"call\",\"id\":17,\"event\":\"say\",\"data\":2}");
    tide_loop_pass (loop, 10000);
    assert_gets (client, "4317[{\"ok\":false,\"code\":\"timeout\"");
    assert_gets (json, "{\"op\":\"error\",\"id\":17,\"code\":\"timeout\"");
    tide_loop_let_all_go (loop);
    for (int each = 0; each < 2; each++) {
        assert_true (tide_loop_lent (loop, &lend, &event));
        reply ("3");
    }
    tide_loop_say (client, "4218[\"say\",4]");
    assert_lent ("say", "4");
    reply ("5");
    assert_gets (client, "4318[5]");
    /*  The same name, but another call. */
    tide_loop_say (json, "{\"op\":\"call\",\"id\":17,\"event\":\"say\",\"data\":6}");
    assert_lent ("say", "6");
    reply ("7");
    assert_gets (json, "{\"op\":\"ok\",\"id\":17,\"data\":7}");
}

static void nor_is_it_at_the_lane_that_the_session_goes_to (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = subscribed ();
    loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_CALL;
    tide_loop_say (client, "4217[\"say\",1]");
    tide_loop_say (client, "4218[\"say\",2]");
    tide_loop_pass (loop, 10000);
    assert_gets (client, "4317[{\"ok\":false,\"code\":\"timeout\"");
    assert_gets (client, "4318[{\"ok\":false,\"code\":\"timeout\"");
    tide_loop_let_all_go (loop);
    tide_loop_client_t *taken = taken_to (client, OTHER);
    for (int each = 0; each < 2; each++) {
        assert_true (tide_loop_lent (loop, &lend, &event));
        reply ("3");
    }
    tide_loop_say (taken, "4219[\"say\",4]");
    assert_lent ("say", "4");
    reply ("5");
    assert_gets (taken, "4319[5]");
}

/*  The broker's word that it is durable was lost, and then the broker. */
static void a_call_that_was_answered_is_not_given_up (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    loop->lost_answers[HOLDER] = 1ull << TIDE_MESSAGE_ACK;
    tide_loop_say (client, "4217[\"say\",1]");
    assert_lent ("say", "1");
    reply ("2");
    assert_gets (client, "4317[2]");
    loop->is_cut[HOLDER] = true;
    for (int seconds = 0; seconds < 12; seconds++) {
        tide_loop_pass (loop, 1000);
        const char *frame = tide_loop_hear (client);
        assert_true (!frame || frame[0] == '2');
        if (frame)
            tide_loop_say (client, "3");
    }
}

/*  -- many ------------------------------------------------------------------------------------ */

/*  As many as may be published, for their answers are as small. */
static void calls_of_a_client_need_not_wait_for_each_other (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_CALL;
    enum { AT_ONCE = 64 };
    for (unsigned at = 0; at <= AT_ONCE; at++) {
        assert_false (client->is_paused);
        tide_loop_say (client, "42%u[\"say\",%u]", at, at);
    }
    assert_true (client->is_paused);
    assert_int_equal (loop->held_count, AT_ONCE + 1);
    tide_loop_let_all_go (loop);
    assert_false (client->is_paused);
}

/*  -- wherever the session is ----------------------------------------------------------------- */

static void g7_the_reply_finds_the_session_after_a_reconnect_at_another_lane (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = entered_at (HOLDER, pid);
    tide_loop_say (client, "4217[\"say\",1]");
    assert_lent ("say", "1");
    tide_loop_cut (client);
    reply ("2");
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    assert_string_equal (tide_loop_hear (client), "4317[2]");
}

static void g7_the_reply_finds_a_session_of_the_json_dialect (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\"}");
    take_text (tide_loop_hear (client), "session", pid);
    tide_loop_say (client, "{\"op\":\"call\",\"id\":7,\"event\":\"say\",\"data\":1}");
    assert_lent ("say", "1");
    tide_loop_cut (client);
    reply ("2");
    client = tide_loop_open (loop, OTHER, TIDE_CLIENT_JSON);
    tide_loop_say (client, "{\"op\":\"hello\",\"session\":\"%s\"}", pid);
    assert_hears (client, "{\"op\":\"welcome\"");
    assert_string_equal (tide_loop_hear (client), "{\"op\":\"ok\",\"id\":7,\"data\":2}");
}

static void g7_the_reply_finds_the_session_where_it_was_taken_to (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (client, "4217[\"say\",1]");
    assert_lent ("say", "1");
    tide_loop_client_t *taken = taken_to (client, OTHER);
    reply ("2");
    assert_gets (taken, "4317[2]");
}

static void g7_the_call_outlives_the_broker (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = websocket ();
    tide_loop_say (client, "4217[\"say\",1]");
    assert_lent ("say", "1");
    uint64_t call = lend.call;
    tide_loop_kill_broker (loop, false);
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_pass (loop, 5000);
    assert_lent ("say", "1");
    assert_true (lend.call == call && lend.attempt == 2);
    reply ("2");
    assert_gets (client, "4317[2]");
}

static void the_reply_comes_in_order_with_what_its_worker_emits (void **state)
{
    (void) state;
    tide_loop_serve (loop, "chat", "/", "say", 0);
    tide_loop_client_t *client = subscribed (), *other = subscribed ();
    tide_loop_say (client, "4217[\"say\",1]");
    assert_lent ("say", "1");
    tide_loop_handled_and (loop, &lend, &(tide_args_t){.json = tide_bytes ("2")}, "lobby", 3);
    assert_string_equal (tide_loop_hear (client), "4317[2]");
    assert_hears (client, "42[\"n\",3");
    assert_hears (other, "42[\"n\",3");
    assert_null (tide_loop_hear (other));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_call_is_acknowledged_by_its_worker),
        TEST (several_arguments_and_none_come_back),
        TEST (binary_goes_there_and_back),
        TEST (namespaces_have_handlers_of_their_own),
        TEST (what_goes_wrong_is_told_by_name),
        TEST (a_call_of_the_json_dialect_is_answered_by_its_worker),
        TEST (g7_the_reply_finds_the_session_after_a_reconnect_at_another_lane),
        TEST (g7_the_reply_finds_a_session_of_the_json_dialect),
        TEST (g7_the_reply_finds_the_session_where_it_was_taken_to),
        TEST (g7_the_call_outlives_the_broker),
        TEST (the_reply_comes_in_order_with_what_its_worker_emits),
        TEST (a_call_that_was_given_up_is_not_answered_again),
        TEST (nor_is_it_at_the_lane_that_the_session_goes_to),
        TEST (calls_of_a_client_need_not_wait_for_each_other),
        TEST (a_call_that_was_answered_is_not_given_up),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
