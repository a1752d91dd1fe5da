/*  test_clients.c - what clients may say in each dialect, and what they are told.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  Opens a Socket.IO client in the main namespace. */
static tide_loop_client_t *socketio_client (void)
{
    tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    assert_int_equal (tide_loop_hear (client)[0], '0');
    tide_loop_say (client, "40");
    assert_memory_equal (tide_loop_hear (client), "40{", 3);
    return client;
}

static void assert_says (tide_loop_client_t *client, const char *part)
{
    const char *frame = tide_loop_hear (client);
    if (!frame || !strstr (frame, part)) {
        print_error ("expected %s in %s\n", part, frame ? frame : "silence");
        fail ();
    }
}

static void assert_code (tide_loop_client_t *client, const char *code)
{
    char part[64];
    snprintf (part, sizeof part, "\"code\":\"%s\"", code);
    assert_says (client, part);
}

/*  -- the JSON dialect ------------------------------------------------------------------------ */

static void json_hello_makes_a_session_that_can_be_resumed (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\"}");
    const char *frame = tide_loop_hear (client);
    json_t *welcome = json_loads (frame, 0, NULL);
    assert_true (json_is_false (json_object_get (welcome, "resumed")));
    const char *pid = json_string_value (json_object_get (welcome, "session"));
    const char *sid = json_string_value (json_object_get (welcome, "sid"));
    assert_non_null (pid);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"a\"}");
    assert_says (client, "{\"op\":\"ok\",\"id\":1,\"topic\":\"a\",\"epoch\":\"");
    uint64_t seq = tide_loop_publish (loop, "a", 1);
    assert_says (client, "{\"op\":\"event\",\"topic\":\"a\"");
    tide_loop_cut (client);
    tide_loop_publish (loop, "a", 2);
    client = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\",\"session\":\"%s\",\"since\":%llu}", pid,
                   (unsigned long long) seq);
    frame = tide_loop_hear (client);
    assert_non_null (strstr (frame, "\"resumed\":true"));
    assert_non_null (strstr (frame, sid));
    assert_non_null (strstr (frame, "\"topics\":[\"a\"]"));
    assert_says (client, "\"data\":2");
    json_decref (welcome);
}

static void json_operations_without_a_hello (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"ping\"}");
    assert_says (client, "{\"op\":\"pong\",\"seq\":");
    tide_loop_say (client,
                   "{\"op\":\"pub\",\"id\":\"x\",\"topic\":\"a\",\"event\":\"e\",\"data\":1}");
    assert_says (client, "{\"op\":\"ok\",\"id\":\"x\",\"epoch\":\"");
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"a\",\"since\":\"start\"}");
    assert_says (client, "\"data\":1");
    assert_says (client, "{\"op\":\"ok\",\"id\":2");
    tide_loop_say (client, "{\"op\":\"unsub\",\"id\":3,\"topic\":\"a\"}");
    assert_says (client, "{\"op\":\"ok\",\"id\":3}");
    tide_loop_publish (loop, "a", 2);
    assert_null (tide_loop_hear (client));
}

static void json_a_snapshot_comes_before_its_ok_and_then_updates (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    for (int at = 0; at < 3; at++) {
        tide_loop_say (
            client,
            "{\"op\":\"pub\",\"topic\":\"s\",\"event\":\"set\",\"key\":\"k%d\",\"data\":%d}",
            at % 2, at);
        tide_loop_hear (client);
    }
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"s\",\"since\":\"snapshot\"}");
    const char *frame = tide_loop_hear (client);
    assert_non_null (strstr (frame, "{\"op\":\"snapshot\",\"topic\":\"s\",\"seq\":"));
    assert_non_null (strstr (frame, "\"data\":2"));
    assert_non_null (strstr (frame, "\"data\":1"));
    assert_null (strstr (frame, "\"data\":0"));
    assert_says (client, "{\"op\":\"ok\",\"id\":1");
    tide_loop_say (client,
                   "{\"op\":\"pub\",\"id\":9,\"topic\":\"s\",\"event\":\"set\",\"key\":\"k0\"}");
    assert_says (client, "\"id\":9");
    assert_says (client, "\"removed\":true");
    tide_loop_http (loop, 1, "GET", "/api/v1/snapshot", "topic=s", "");
    assert_non_null (strstr (loop->http_body, "\"k1\""));
    assert_null (strstr (loop->http_body, "\"k0\""));
}

static void json_bad_input_is_named (void **state)
{
    (void) state;
    static const char *const said[][2] = {
        {"no json", "bad_json"},
        {"[1]", "bad_request"},
        {"{}", "bad_request"},
        {"{\"op\":7}", "bad_request"},
        {"{\"op\":\"dance\"}", "bad_request"},
        {"{\"op\":\"sub\"}", "bad_topic"},
        {"{\"op\":\"sub\",\"topic\":5}", "bad_topic"},
        {"{\"op\":\"sub\",\"topic\":\"a#b\"}", "bad_topic"},
        {"{\"op\":\"sub\",\"topic\":\"$session/x\"}", "forbidden"},
        {"{\"op\":\"sub\",\"topic\":\"@x\"}", "forbidden"},
        {"{\"op\":\"sub\",\"topic\":\"a\",\"since\":\"never\"}", "bad_request"},
        {"{\"op\":\"sub\",\"topic\":\"a\",\"since\":-1}", "bad_request"},
        {"{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":7}", "bad_request"},
        {"{\"op\":\"unsub\",\"topic\":\"never\"}", "not_found"},
        {"{\"op\":\"pub\",\"topic\":\"a\"}", "bad_request"},
        {"{\"op\":\"pub\",\"topic\":\"a/#\",\"event\":\"e\",\"data\":1}", "bad_topic"},
        {"{\"op\":\"pub\",\"topic\":\"$x\",\"event\":\"e\",\"data\":1}", "forbidden"},
        {"{\"op\":\"pub\",\"topic\":\"a\",\"event\":\"disconnect\",\"data\":1}", "bad_request"},
        {"{\"op\":\"pub\",\"topic\":\"a\",\"event\":\"tide:reset\",\"data\":1}", "bad_request"},
        {"{\"op\":\"pub\",\"topic\":\"a\",\"event\":\"e\",\"data\":{\"$binary\":\"*\"}}",
         "bad_request"},
        {"{\"op\":\"call\",\"event\":\"e\",\"data\":1}", "no_worker"},
        {"{\"op\":\"ack\",\"cursor\":\"c\",\"seq\":1}", "not_found"},
        {"{\"op\":\"hello\"}", "bad_request"},
    };
    tide_loop_client_t *client = json_client (), *other = json_client ();
    tide_loop_say (client, "{\"op\":\"hello\",\"since\":\"x\"}");
    assert_code (client, "bad_request");
    tide_loop_say (client, "{\"op\":\"hello\",\"session\":5}");
    assert_code (client, "bad_request");
    tide_loop_say (other, "{\"op\":\"sub\",\"topic\":\"a\"}");
    assert_says (other, "ok");
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++) {
        tide_loop_say (client, "%s", said[at][0]);
        assert_code (client, said[at][1]);
        assert_null (tide_loop_hear (client));
    }
    assert_non_null (client->connection);
    tide_loop_publish (loop, "a", 1);
    assert_says (other, "\"data\":1");
}

static void json_binary_frames_are_refused (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_hub_frame (loop->hubs[0], loop->now_ms, client->connection, tide_bytes ("{}"), false);
    tide_loop_run (loop);
    assert_code (client, "bad_request");
}

static void a_message_above_the_limit_closes_with_1009 (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    char *text = tide_alloc (200001);
    memset (text, ' ', 200000);
    tide_loop_say (client, "%s", text);
    assert_null (client->connection);
    assert_int_equal (client->close_code, 1009);
    free (text);
}

static void g8_json_a_position_of_another_log_is_answered_by_a_reset (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client,
                   "{\"op\":\"pub\",\"topic\":\"s\",\"event\":\"e\",\"key\":\"k\",\"data\":1}");
    tide_loop_hear (client);
    tide_loop_say (client,
                   "{\"op\":\"sub\",\"id\":1,\"topic\":\"s\",\"since\":\"00000000000000aa:1\"}");
    const char *frame = tide_loop_hear (client);
    assert_non_null (strstr (frame, "{\"op\":\"reset\",\"topic\":\"s\""));
    assert_non_null (strstr (frame, "\"code\":\"epoch_changed\""));
    assert_says (client, "{\"op\":\"ok\",\"id\":1");
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"s\",\"since\":99999}");
    assert_code (client, "epoch_changed");
    assert_says (client, "{\"op\":\"ok\",\"id\":2");
}

/*  -- Socket.IO ------------------------------------------------------------------------------- */

static void socketio_answers_its_own_events (void **state)
{
    (void) state;
    tide_loop_client_t *client = socketio_client ();
    tide_loop_say (client, "420[\"tide:subscribe\",{\"topic\":\"a\",\"meta\":true}]");
    assert_says (client, "430[{\"ok\":true,\"topic\":\"a\",\"epoch\":\"");
    tide_loop_say (client,
                   "421[\"tide:publish\",{\"topic\":\"a\",\"event\":\"e\",\"data\":{\"x\":1}}]");
    const char *first = tide_loop_hear (client), *second = tide_loop_hear (client);
    const char *event = first[1] == '2' ? first : second;
    const char *ack = first[1] == '2' ? second : first;
    assert_memory_equal (ack, "431[{\"ok\":true", 14);
    assert_non_null (strstr (event, "42[\"e\",{\"x\":1},{\"topic\":\"a\",\"seq\":"));
    assert_non_null (strstr (event, "\"from\":\""));
    tide_loop_say (client, "422[\"tide:history\",{\"topic\":\"a\"}]");
    assert_says (client, "\"events\":[{\"topic\":\"a\"");
    tide_loop_say (client, "423[\"tide:snapshot\",{\"topic\":\"a\"}]");
    assert_says (client, "\"state\":{}");
    tide_loop_say (client, "424[\"tide:unsubscribe\",{\"topic\":\"a\"}]");
    assert_says (client, "434[{\"ok\":true}]");
}

static void socketio_bad_input_is_named (void **state)
{
    (void) state;
    static const char *const said[][2] = {
        {"[\"tide:subscribe\"]", "bad_request"},
        {"[\"tide:subscribe\",{}]", "bad_topic"},
        {"[\"tide:subscribe\",{\"topic\":\"$x\"}]", "forbidden"},
        {"[\"tide:subscribe\",{\"topic\":\"a\",\"meta\":1}]", "bad_request"},
        {"[\"tide:publish\",{\"topic\":\"a\"}]", "bad_request"},
        {"[\"tide:publish\",[{\"topic\":\"a\"}]]", "bad_request"},
        {"[\"tide:history\",{\"topic\":\"a\",\"limit\":5000}]", "bad_request"},
        {"[\"tide:history\",{\"topic\":\"a\",\"since\":\"00000000000000aa:1\"}]", "epoch_changed"},
        {"[\"tide:history\",{\"topic\":\"a\",\"since\":99999}]", "epoch_changed"},
        {"[\"tide:ack\",{\"cursor\":\"c\",\"seq\":1}]", "not_found"},
        {"[\"tide:unsubscribe\",{\"topic\":\"a\"}]", "not_found"},
        {"[\"chat message\",\"hi\"]", "no_worker"},
    };
    tide_loop_client_t *client = socketio_client ();
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++) {
        tide_loop_say (client, "42%zu%s", at, said[at][0]);
        assert_code (client, said[at][1]);
    }
    tide_loop_say (client, "42[\"chat message\",\"hi\"]");
    assert_null (tide_loop_hear (client));
    assert_non_null (client->connection);
}

static void socketio_violations_close_the_connection (void **state)
{
    (void) state;
    static const char *const said[] = {"4",
                                       "49",
                                       "42",
                                       "42{}",
                                       "42[]",
                                       "42[\"connect\"]",
                                       "42/other,[\"e\"]",
                                       "40",
                                       "2",
                                       "x",
                                       "451-[\"e\",{\"_placeholder\":true,\"num\":4}]"};
    tide_loop_client_t *other = socketio_client ();
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++) {
        tide_loop_client_t *client = socketio_client ();
        tide_loop_say (client, "%s", said[at]);
        if (client->connection)
            print_error ("not closed: %s\n", said[at]);
        assert_null (client->connection);
    }
    assert_non_null (other->connection);
}

static void socketio_time_outs (void **state)
{
    (void) state;
    tide_loop_client_t *silent = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    tide_loop_client_t *alive = socketio_client ();
    unsigned pings = 0;
    for (int second = 0; second < 60; second++) {
        tide_loop_pass (loop, 1000);
        const char *frame;
        while ((frame = tide_loop_hear (alive)))
            if (strcmp (frame, "2") == 0) {
                pings++;
                tide_loop_say (alive, "3");
            }
    }
    assert_int_equal (pings, 2);
    assert_non_null (alive->connection);
    assert_null (silent->connection);
    tide_loop_client_t *half_open = socketio_client ();
    tide_loop_pass (loop, 46000);
    assert_null (half_open->connection);
}

static void socketio_binary_goes_both_ways (void **state)
{
    (void) state;
    tide_loop_client_t *client = socketio_client (), *json = json_client ();
    tide_loop_say (client, "420[\"tide:subscribe\",{\"topic\":\"b\"}]");
    tide_loop_say (json, "{\"op\":\"sub\",\"topic\":\"b\"}");
    tide_loop_hear (client);
    tide_loop_hear (json);
    tide_loop_say (client, "451-1[\"tide:publish\",{\"topic\":\"b\",\"event\":\"e\","
                           "\"data\":[{\"_placeholder\":true,\"num\":0}]}]");
    tide_hub_frame (loop->hubs[0], loop->now_ms, client->connection, tide_bytes ("hi!"), false);
    tide_loop_run (loop);
    assert_says (json, "{\"$binary\":\"aGkh\"}");
    const char *first = tide_loop_hear (client), *second = tide_loop_hear (client);
    const char *event = first[1] == '5' ? first : second;
    assert_memory_equal (event, "451-[\"e\",[{\"_placeholder\":true,\"num\":0}]", 40);
    assert_int_equal (client->binaries, 1);
}

static void g9_volatile_events_are_live_only (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"v\"}");
    tide_loop_hear (client);
    tide_loop_http (loop, 0, "POST", "/api/v1/publish", "",
                    "{\"topic\":\"v\",\"event\":\"e\",\"data\":1,\"volatile\":true}");
    assert_int_equal (loop->http_status, 200);
    assert_null (strstr (loop->http_body, "seq"));
    assert_says (client, "\"data\":1");
    tide_loop_http (loop, 0, "GET", "/api/v1/history", "topic=v", "");
    assert_non_null (strstr (loop->http_body, "\"events\":[]"));
}

/*  -- HTTP ------------------------------------------------------------------------------------ */

static void http_requests (void **state)
{
    (void) state;
    tide_loop_http (loop, 0, "GET", "/healthz", "", "");
    assert_int_equal (loop->http_status, 200);
    tide_loop_http (loop, 0, "GET", "/readyz", "", "");
    assert_int_equal (loop->http_status, 200);
    tide_loop_http (loop, 0, "POST", "/api/v1/publish", "",
                    "[{\"topic\":\"a\",\"event\":\"e\",\"data\":1},"
                    "{\"topic\":\"b\",\"event\":\"e\",\"args\":[1,2]}]");
    assert_int_equal (loop->http_status, 200);
    assert_int_equal (loop->http_body[0], '[');
    tide_loop_http (loop, 0, "GET", "/api/v1/history", "topic=%23&limit=1", "");
    assert_non_null (strstr (loop->http_body, "\"more\":true"));
    tide_loop_http (loop, 0, "GET", "/api/v1/topics", "", "");
    assert_non_null (strstr (loop->http_body, "{\"topic\":\"a\",\"last\":"));
    tide_loop_http (loop, 0, "GET", "/metrics", "", "");
    assert_non_null (strstr (loop->http_body, "tidemark_gateway_connections"));
    assert_non_null (strstr (loop->http_body, "tidemark_broker_"));
}

static void http_bad_input_is_named (void **state)
{
    (void) state;
    static const struct {
        const char *method, *path, *query, *body;
        unsigned status;
        const char *code;
    } cases[] = {
        {"POST", "/api/v1/publish", "", "{", 400, "bad_json"},
        {"POST", "/api/v1/publish", "", "7", 400, "bad_request"},
        {"POST", "/api/v1/publish", "", "[]", 400, "bad_request"},
        {"POST", "/api/v1/publish", "", "{\"topic\":\"#\",\"event\":\"e\"}", 400, "bad_topic"},
        {"POST", "/api/v1/publish", "", "{\"topic\":\"$a\",\"event\":\"e\"}", 403, "forbidden"},
        {"GET", "/api/v1/publish", "", "", 405, "bad_request"},
        {"GET", "/api/v1/snapshot", "", "", 400, "bad_topic"},
        {"GET", "/api/v1/snapshot", "topic=%zz", "", 400, "bad_request"},
        {"GET", "/api/v1/history", "topic=a&limit=0", "", 400, "bad_request"},
        {"GET", "/api/v1/history", "topic=a&since=x", "", 400, "bad_request"},
        {"GET", "/api/v1/history", "topic=a&since=00000000000000aa:1", "", 409, "epoch_changed"},
        {"GET", "/api/v1/history", "topic=a&since=99999", "", 409, "epoch_changed"},
        {"GET", "/api/v1/nothing", "", "", 404, "not_found"},
    };
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        tide_loop_http (loop, 0, cases[at].method, cases[at].path, cases[at].query, cases[at].body);
        assert_int_equal (loop->http_status, cases[at].status);
        assert_non_null (strstr (loop->http_body, cases[at].code));
    }
}

static void g4_http_an_id_is_appended_once_and_conflicts_with_other_content (void **state)
{
    (void) state;
    const char *body = "{\"topic\":\"a\",\"event\":\"e\",\"data\":1,\"id\":\"once\"}";
    tide_loop_http (loop, 0, "POST", "/api/v1/publish", "", body);
    char *first = tide_copy (loop->http_body, strlen (loop->http_body));
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 5000);
    tide_loop_http (loop, 1, "POST", "/api/v1/publish", "", body);
    assert_string_equal (loop->http_body, first);
    free (first);
    tide_loop_http (loop, 1, "POST", "/api/v1/publish", "",
                    "{\"topic\":\"a\",\"event\":\"e\",\"data\":2,\"id\":\"once\"}");
    assert_int_equal (loop->http_status, 409);
    assert_non_null (strstr (loop->http_body, "\"conflict\""));
}

static void a_broker_that_is_away_is_said (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    loop->is_cut[0] = true;
    tide_loop_pass (loop, 5000);
    tide_loop_http (loop, 0, "GET", "/readyz", "", "");
    assert_int_equal (loop->http_status, 503);
    assert_non_null (strstr (loop->http_body, "broker_away"));
    tide_loop_say (client, "{\"op\":\"pub\",\"id\":1,\"topic\":\"a\",\"event\":\"e\",\"data\":1}");
    assert_null (tide_loop_hear (client));
    tide_loop_pass (loop, 11000);
    assert_code (client, "broker_away");
    loop->is_cut[0] = false;
    tide_loop_pass (loop, 8000);
    tide_loop_say (client, "{\"op\":\"pub\",\"id\":2,\"topic\":\"a\",\"event\":\"e\",\"data\":1}");
    assert_says (client, "\"id\":2");
}

static void anonymous_clients_may_be_kept_out (void **state)
{
    (void) state;
    tide_hub_config_t config = loop->hub_config;
    loop->hub_config.may_publish = false;
    tide_loop_kill_lane (loop, 0);
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"pub\",\"topic\":\"a\",\"event\":\"e\",\"data\":1}");
    assert_code (client, "unauthorized");
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"a\"}");
    assert_says (client, "\"op\":\"ok\"");
    loop->hub_config.may_read = false;
    tide_loop_kill_lane (loop, 0);
    client = json_client ();
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"a\"}");
    assert_code (client, "unauthorized");
    tide_loop_http (loop, 0, "GET", "/api/v1/topics", "", "");
    assert_int_equal (loop->http_status, 401);
    loop->hub_config = config;
}

static void a_stopping_lane_says_so (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    tide_hub_stop (loop->hubs[0], loop->now_ms);
    tide_loop_run (loop);
    assert_null (client->connection);
    assert_int_equal (client->close_code, 1001);
    tide_loop_http (loop, 0, "GET", "/readyz", "", "");
    assert_int_equal (loop->http_status, 503);
    assert_non_null (strstr (loop->http_body, "shutting_down"));
}

static void too_many_topics_are_refused (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    for (int at = 0; at < 1000; at++) {
        tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"t%d\"}", at);
        assert_says (client, "\"op\":\"ok\"");
    }
    tide_loop_say (client, "{\"op\":\"sub\",\"topic\":\"one more\"}");
    assert_code (client, "too_many");
}

static void g6_a_client_that_takes_no_answers_is_not_read_from (void **state)
{
    (void) state;
    tide_loop_client_t *client = json_client ();
    client->is_stalled = true;
    char *text = tide_alloc (50001);
    memset (text, 'x', 50000);
    for (int at = 0; at < 20; at++) {
        tide_loop_say (client, "{\"op\":\"pub\",\"topic\":\"a\",\"event\":\"e\",\"data\":\"%s\"}",
                       text);
        tide_loop_say (client, "{\"op\":\"sub\",\"id\":\"%s\",\"topic\":\"$\"}", text);
    }
    tide_loop_http (loop, 0, "GET", "/metrics", "", "");
    assert_non_null (strstr (loop->http_body, "tidemark_gateway_paused_total 1"));
    tide_loop_unstall (client);
    assert_non_null (tide_loop_hear (client));
    free (text);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (json_hello_makes_a_session_that_can_be_resumed),
        TEST (json_operations_without_a_hello),
        TEST (json_a_snapshot_comes_before_its_ok_and_then_updates),
        TEST (json_bad_input_is_named),
        TEST (json_binary_frames_are_refused),
        TEST (a_message_above_the_limit_closes_with_1009),
        TEST (g8_json_a_position_of_another_log_is_answered_by_a_reset),
        TEST (socketio_answers_its_own_events),
        TEST (socketio_bad_input_is_named),
        TEST (socketio_violations_close_the_connection),
        TEST (socketio_time_outs),
        TEST (socketio_binary_goes_both_ways),
        TEST (g9_volatile_events_are_live_only),
        TEST (http_requests),
        TEST (http_bad_input_is_named),
        TEST (g4_http_an_id_is_appended_once_and_conflicts_with_other_content),
        TEST (a_broker_that_is_away_is_said),
        TEST (anonymous_clients_may_be_kept_out),
        TEST (a_stopping_lane_says_so),
        TEST (too_many_topics_are_refused),
        TEST (g6_a_client_that_takes_no_answers_is_not_read_from),
    };
    return cmocka_run_group_tests_name ("clients", tests, NULL, NULL);
}
