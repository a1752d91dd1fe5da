/*  test_application.c - what stands behind Socket.IO: who comes in, what it is told, what it can
 * do. SPDX-License-Identifier: MIT
 */
#include "tide_stock.h"

#include "tide_alloc.h"
#include "tide_application.h"

#include <stdlib.h>

static tide_loop_t *loop;

/*  The application: it writes down what it is told, and does what the test wants. */
static struct {
    tide_buffer_t said; /* a line each */
    enum { ADMIT, REFUSE, LATER } policy;
    const char *refusal_data;
    uint64_t admission, call;
    tide_buffer_t name, binary;
    char sid[64]; /* of the client that came in last */
    bool asks_at_once;
    tide_status_t status; /* of what was done last; -1: not known yet */
    tide_buffer_t answers;
    int answered;    /* how often an ask was concluded */
    char offset[64]; /* that a client got last */
} app;

static void note (const char *what, const char *more)
{
    tide_buffer_printf (&app.said, "%s%s%s\n", what, *more ? " " : "", more);
}

/*  Arguments as a client writes them: one is told from an array of one. */
static void put_args (tide_buffer_t *out, const tide_args_t *args)
{
    tide_buffer_printf (out, args->many ? "%.*s" : "[%.*s]", TIDE_PRINT (args->json));
}

/*  What it was told since the last time, and nothing else. */
static void assert_told (const char *expected)
{
    if (!tide_bytes_is (tide_buffer_bytes (&app.said), expected))
        fail_msg ("expected:\n%sand not:\n%.*s", expected,
                  TIDE_PRINT (tide_buffer_bytes (&app.said)));
    app.said.size = 0;
}

static void done (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) hub;
    assert_ptr_equal (argument, &app);
    app.status = status;
}

/*  Whoever has answered, in the order in which they were asked: "1 [json]" or "-", a line each. */
static void answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer, size_t count)
{
    (void) hub;
    assert_ptr_equal (argument, &app);
    app.answered++;
    app.answers.size = 0;
    for (size_t at = 0; at < count; at++) {
        assert_true (strlen (answer[at].sid) > 0);
        if (answer[at].answered) {
            put_args (&app.answers, &answer[at].args);
            tide_buffer_printf (&app.answers, "+%u\n", answer[at].args.attachments);
        }
        else
            tide_buffer_append_text (&app.answers, "-\n");
    }
}

static void assert_answers (int answered, const char *expected)
{
    assert_int_equal (app.answered, answered);
    if (!tide_bytes_is (tide_buffer_bytes (&app.answers), expected))
        fail_msg ("expected:\n%sand not:\n%.*s", expected,
                  TIDE_PRINT (tide_buffer_bytes (&app.answers)));
}

/*  Asks the members of the topic for an answer, within a second. */
static void ask (const char *topic, const char *except)
{
    tide_app_emit_t emit = {.topic = tide_bytes (topic),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("7")},
                            .except = tide_bytes (except)};
    tide_app_ask (loop->hubs[0], &emit, 1000, answers, &app);
    tide_loop_run (loop);
}

static const char *at_sid (const char *sid)
{
    static char topic[80];
    snprintf (topic, sizeof topic, "@%s", sid);
    return topic;
}

static void on_connect (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                        const json_t *auth, uint64_t admission)
{
    (void) argument;
    char *text = auth ? json_dumps (auth, JSON_COMPACT) : NULL;
    note (client->recovered ? "connect again" : "connect", text && !client->recovered ? text : "");
    free (text);
    assert_true (admission != 0);
    app.admission = admission;
    if (app.policy == ADMIT)
        tide_app_admit (hub, admission);
    else if (app.policy == REFUSE)
        tide_app_refuse (hub, admission, "no", app.refusal_data);
}

static void on_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const json_t *auth)
{
    (void) argument;
    (void) auth;
    note (client->recovered ? "connected again" : "connected", client->nsp);
    snprintf (app.sid, sizeof app.sid, "%s", client->sid);
    if (app.asks_at_once)
        tide_app_ask (hub,
                      &(tide_app_emit_t){.topic = tide_bytes (at_sid (client->sid)),
                                         .name = tide_bytes ("q"),
                                         .args = {.json = tide_bytes ("7")}},
                      1000, answers, &app);
}

static void on_event (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                      tide_bytes_t name, const tide_args_t *args, uint64_t call)
{
    (void) argument;
    (void) hub;
    (void) client;
    tide_buffer_printf (&app.said, "event %.*s ", TIDE_PRINT (name));
    put_args (&app.said, args);
    tide_buffer_append_text (&app.said, call ? " ?\n" : "\n");
    app.binary.size = 0;
    if (args->attachments > 0)
        tide_buffer_append_bytes (&app.binary, args->attachment[0]);
    app.call = call;
}

static void on_disconnected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                             const char *reason)
{
    (void) argument;
    (void) hub;
    (void) client;
    note ("gone:", reason);
}

static const tide_application_t application = {.connect = on_connect,
                                               .connected = on_connected,
                                               .event = on_event,
                                               .disconnected = on_disconnected};

static int set_up (void **state)
{
    (void) state;
    memset (&app, 0, sizeof app);
    loop = tide_loop_new_with (NULL, &application);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    tide_buffer_free (&app.said);
    tide_buffer_free (&app.binary);
    tide_buffer_free (&app.answers);
    return 0;
}

static void assert_hears (tide_loop_client_t *client, const char *begin)
{
    const char *frame = tide_loop_hear (client);
    if (!frame || strncmp (frame, begin, strlen (begin)) != 0)
        fail_msg ("expected %s, not %s", begin, frame ? frame : "silence");
}

static tide_loop_client_t *wire (void)
{
    tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
    assert_hears (client, "0{");
    return client;
}

/*  A client that came in; its sid is the application's to know. */
static tide_loop_client_t *connected (char sid[64])
{
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    app.said.size = 0;
    if (sid)
        memcpy (sid, app.sid, sizeof app.sid);
    return client;
}

/*  What a client of recovery needs to know. */
static void remember (const char *frame, char pid[64])
{
    json_t *object = json_loads (frame + 2, 0, NULL);
    snprintf (pid, 64, "%s", json_string_value (json_object_get (object, "pid")));
    json_decref (object);
}

/*  A client that came in, and remembers. */
static tide_loop_client_t *recoverable (char sid[64], char pid[64])
{
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    remember (tide_loop_hear (client), pid);
    app.said.size = 0;
    memcpy (sid, app.sid, sizeof app.sid);
    return client;
}

static tide_loop_client_t *resumed (const char *pid)
{
    tide_loop_client_t *client = wire ();
    if (app.offset[0])
        tide_loop_say (client, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, app.offset);
    else
        tide_loop_say (client, "40{\"pid\":\"%s\"}", pid);
    return client;
}

static void join (const char *sid, const char *topic)
{
    app.status = (tide_status_t) -1;
    tide_app_join (loop->hubs[0], sid, tide_bytes (topic), done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
}

/*  Publishes number n; except: topics, one a line. */
static void emit (const char *topic, int number, const char *except)
{
    char json[16];
    snprintf (json, sizeof json, "%d", number);
    app.status = (tide_status_t) -1;
    tide_app_emit (loop->hubs[0],
                   &(tide_app_emit_t){.topic = tide_bytes (topic),
                                      .name = tide_bytes ("n"),
                                      .args = {.json = tide_bytes (json)},
                                      .except = tide_bytes (except)},
                   done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
}

/*  All that the client hears is these numbers, in order: "1 2 3 ". */
static void assert_numbers (tide_loop_client_t *client, const char *expected)
{
    tide_buffer_t numbers = {0};
    const char *frame;
    while ((frame = tide_loop_hear (client))) {
        if (strncmp (frame, "40", 2) == 0 || strncmp (frame, "43", 2) == 0)
            continue;
        assert_memory_equal (frame, "42[\"n\",", 7);
        tide_buffer_printf (&numbers, "%d ", atoi (frame + 7));
        sscanf (strchr (frame, ','), ",%*d,\"%63[^\"]", app.offset);
    }
    if (!tide_bytes_is (tide_buffer_bytes (&numbers), expected))
        fail_msg ("expected %s, not %.*s", expected, TIDE_PRINT (tide_buffer_bytes (&numbers)));
    tide_buffer_free (&numbers);
}

/*  -- coming in ------------------------------------------------------------------------------- */

static void a_client_that_is_admitted_is_told_and_then_the_application (void **state)
{
    (void) state;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40{\"token\":\"abc\"}");
    assert_hears (client, "40{\"sid\":\"");
    assert_told ("connect {\"token\":\"abc\"}\nconnected /\n");
    tide_loop_say (client, "40/tenant-1,");
    assert_hears (client, "40/tenant-1,{\"sid\":\"");
    assert_told ("connect\nconnected /tenant-1\n");
    tide_loop_say (client, "40/plain,{}"); /* without recovery */
    assert_hears (client, "40/plain,{\"sid\":\"");
    assert_told ("connect {}\nconnected /plain\n");
}

static void a_client_that_is_refused_hears_why (void **state)
{
    (void) state;
    static const char *const namespaces[] = {"", "/plain,"};
    app.policy = REFUSE;
    for (size_t at = 0; at < 2; at++) {
        tide_loop_client_t *client = wire ();
        char expected[80];
        app.refusal_data = NULL;
        tide_loop_say (client, "40%s", namespaces[at]);
        snprintf (expected, sizeof expected, "44%s{\"message\":\"no\"}", namespaces[at]);
        assert_string_equal (tide_loop_hear (client), expected);
        app.refusal_data = "{\"code\":[7]}";
        tide_loop_say (client, "40%s", namespaces[at]); /* it may try again */
        snprintf (expected, sizeof expected, "44%s{\"message\":\"no\",\"data\":{\"code\":[7]}}",
                  namespaces[at]);
        assert_string_equal (tide_loop_hear (client), expected);
        assert_told ("connect\nconnect\n");
        assert_non_null (client->connection);
        app.policy = ADMIT;
        tide_loop_say (client, "40%s", namespaces[at]);
        snprintf (expected, sizeof expected, "40%s{\"sid\":", namespaces[at]);
        assert_hears (client, expected);
        app.policy = REFUSE;
        tide_loop_cut (client);
        app.said.size = 0;
    }
}

static void an_admission_can_take_its_time (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_loop_pass (loop, 15000);
    assert_null (tide_loop_hear (client));
    assert_told ("connect\n");
    tide_app_admit (loop->hubs[0], app.admission);
    tide_loop_run (loop);
    assert_hears (client, "40{\"sid\":\"");
    assert_told ("connected /\n");
    /*  Once is enough. */
    tide_app_admit (loop->hubs[0], app.admission);
    tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
    tide_loop_run (loop);
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "42[\"hello\"]");
    assert_told ("event hello []\n");
}

static void a_refusal_can_take_its_time (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_app_refuse (loop->hubs[0], app.admission, "banned", NULL);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"banned\"}");
    tide_app_admit (loop->hubs[0], app.admission);
    tide_loop_run (loop);
    assert_null (tide_loop_hear (client));
    assert_told ("connect\n");
}

static void an_answer_for_a_client_that_is_gone_is_dropped (void **state)
{
    (void) state;
    app.policy = LATER;
    for (int refused = 0; refused < 2; refused++) {
        tide_loop_client_t *client = wire ();
        tide_loop_say (client, "40");
        tide_loop_cut (client);
        if (refused)
            tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
        else
            tide_app_admit (loop->hubs[0], app.admission);
        tide_loop_run (loop);
        assert_told ("connect\n"); /* it was never in */
    }
}

static void an_event_before_the_admission_ends_the_connection (void **state)
{
    (void) state;
    app.policy = LATER;
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    tide_loop_say (client, "42[\"early\"]");
    assert_null (client->connection);
    assert_told ("connect\n");
}

static void a_client_that_comes_back_is_asked_about_again (void **state)
{
    (void) state;
    char sid[64], pid[64], same[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    tide_loop_cut (client);
    assert_told ("gone: transport close\n");
    client = resumed (pid);
    remember (tide_loop_hear (client), same);
    assert_string_equal (same, pid);
    assert_string_equal (app.sid, sid);
    assert_told ("connect again\nconnected again /\n");
}

static void a_client_that_comes_back_can_be_refused (void **state)
{
    (void) state;
    for (int later = 0; later < 2; later++) {
        char sid[64], pid[64];
        app.policy = ADMIT;
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_loop_cut (client);
        app.policy = later ? LATER : REFUSE;
        client = resumed (pid);
        if (later)
            tide_app_refuse (loop->hubs[0], app.admission, "no", NULL);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "44{\"message\":\"no\"}");
        assert_told ("gone: transport close\nconnect again\n");
        assert_non_null (client->connection);
    }
}

/*  It cannot be resumed, so it is somebody new; and that one is refused. */
static void a_client_whose_session_is_unknown_can_be_refused (void **state)
{
    (void) state;
    app.policy = REFUSE;
    tide_loop_client_t *client = resumed ("nobody-has-this");
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"no\"}");
    assert_non_null (client->connection);
    app.policy = ADMIT;
    tide_loop_say (client, "40");
    assert_hears (client, "40{\"sid\":\"");
}

/*  -- events and acknowledgements ------------------------------------------------------------- */

static void events_come_with_and_without_a_call (void **state)
{
    (void) state;
    tide_loop_client_t *client = connected (NULL);
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
    tide_loop_client_t *client = connected (NULL);
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
    tide_loop_client_t *client = connected (NULL);
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
        tide_loop_client_t *client = connected (NULL);
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

/*  -- the end --------------------------------------------------------------------------------- */

static void a_disconnection_has_its_reason (void **state)
{
    (void) state;
    tide_loop_client_t *client = connected (NULL);
    tide_loop_cut (client);
    assert_told ("gone: transport close\n");
    client = connected (NULL);
    tide_loop_say (client, "1");
    assert_told ("gone: transport close\n");
    client = connected (NULL);
    tide_loop_say (client, "41");
    assert_told ("gone: client namespace disconnect\n");
    assert_non_null (client->connection);
    tide_loop_cut (client);
    assert_told (""); /* it was gone already */
    client = connected (NULL);
    tide_loop_say (client, "nonsense");
    assert_told ("gone: parse error\n");
    client = connected (NULL);
    tide_loop_say (client, "4nonsense");
    assert_told ("gone: parse error\n");
    client = connected (NULL);
    tide_loop_pass (loop, 45000);
    assert_told ("gone: ping timeout\n");
    client = connected (NULL);
    tide_app_disconnect (loop->hubs[0], app.sid, false);
    tide_loop_run (loop);
    assert_told ("gone: server namespace disconnect\n");
    client = connected (NULL);
    tide_hub_stop (loop->hubs[0], loop->now_ms);
    tide_loop_run (loop);
    assert_told ("gone: server shutting down\n");
}

static void a_disconnection_by_polling_has_its_reason (void **state)
{
    (void) state;
    static const char *const reasons[] = {"transport close", "parse error", "transport error",
                                          "transport error", "ping timeout"};
    for (int how = 0; how < 5; how++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
        tide_loop_say (client, "40");
        app.said.size = 0;
        char query[160], expected[64];
        snprintf (query, sizeof query, "EIO=4&transport=polling&sid=%s", client->sid);
        if (how == 0)
            tide_loop_say (client, "1");
        else if (how == 1)
            tide_loop_say (client, "2");
        else if (how == 2)
            tide_loop_cut (client); /* its poll is broken off */
        else if (how == 3)
            tide_loop_engineio (loop, 0, "GET", query, NULL); /* two polls */
        else
            tide_loop_pass (loop, 45000);
        snprintf (expected, sizeof expected, "gone: %s\n", reasons[how]);
        assert_told (expected);
    }
}

static void each_namespace_of_a_connection_is_told_of_its_end (void **state)
{
    (void) state;
    tide_loop_client_t *client = connected (NULL);
    tide_loop_say (client, "40/tenant-1,");
    app.said.size = 0;
    tide_loop_cut (client);
    assert_told ("gone: transport close\ngone: transport close\n");
}

static void a_session_that_is_taken_over_ends_before_it_begins_again (void **state)
{
    (void) state;
    char sid[64], pid[64];
    recoverable (sid, pid);
    resumed (pid);
    assert_string_equal (app.sid, sid);
    assert_told ("connect again\ngone: transport close\nconnected again /\n");
}

/*  -- kicking --------------------------------------------------------------------------------- */

static void a_client_that_is_kicked_cannot_come_back (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        char sid[64], pid[64], now[64];
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_app_disconnect (loop->hubs[0], sid, closes);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "41");
        assert_int_equal (client->connection == NULL, closes);
        assert_told ("gone: server namespace disconnect\n");
        client = resumed (pid);
        remember (tide_loop_hear (client), now);
        assert_string_not_equal (now, pid);
        assert_string_not_equal (app.sid, sid);
    }
    tide_app_disconnect (loop->hubs[0], "nobody", true);
}

/*  Its connection ends in the same moment. */
static void a_client_that_is_kicked_and_goes_cannot_come_back (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        char sid[64], pid[64], now[64];
        tide_loop_client_t *client = recoverable (sid, pid);
        tide_app_disconnect (loop->hubs[0], sid, closes);
        tide_hub_closed (loop->hubs[0], loop->now_ms, &client->connection);
        tide_loop_run (loop);
        assert_told ("gone: server namespace disconnect\n");
        client = resumed (pid);
        remember (tide_loop_hear (client), now);
        assert_string_not_equal (now, pid);
    }
}

static void a_client_that_is_kicked_while_it_polls_hears_it (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        tide_loop_client_t *client = tide_loop_open_polling (loop, 0);
        tide_loop_say (client, "40");
        tide_loop_hear (client);
        char pid[64], now[64];
        remember (tide_loop_hear (client), pid);
        app.said.size = 0;
        tide_app_disconnect (loop->hubs[0], app.sid, closes);
        tide_loop_run (loop);
        assert_string_equal (tide_loop_hear (client), "41");
        if (closes)
            assert_string_equal (tide_loop_hear (client), "1");
        assert_int_equal (client->is_over, closes);
        assert_told ("gone: server namespace disconnect\n");
        tide_loop_client_t *next = resumed (pid);
        remember (tide_loop_hear (next), now);
        assert_string_not_equal (now, pid);
    }
}

/*  As in the reference: whoever closes the connection ends all that it has. */
static void closing_ends_each_namespace_of_the_connection_for_good (void **state)
{
    (void) state;
    char sid[64], pid[64], other[64], now[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    tide_loop_say (client, "40/tenant-1,");
    remember (strchr (tide_loop_hear (client), ',') - 1, other);
    app.said.size = 0;
    tide_app_disconnect (loop->hubs[0], sid, true);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "41");
    assert_string_equal (tide_loop_hear (client), "41/tenant-1,");
    assert_null (client->connection);
    assert_told ("gone: server namespace disconnect\ngone: server namespace disconnect\n");
    client = wire ();
    tide_loop_say (client, "40/tenant-1,{\"pid\":\"%s\"}", other);
    remember (strchr (tide_loop_hear (client), ',') - 1, now);
    assert_string_not_equal (now, other);
}

/*  -- asking ---------------------------------------------------------------------------------- */

static void one_client_is_asked_and_answers (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    ask (at_sid (sid), "");
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
    assert_int_equal (app.answered, 0);
    tide_loop_say (client, "431[{\"a\":1},2]");
    assert_int_equal (app.answered, 0); /* not from within the packet */
    tide_loop_pass (loop, 250);
    assert_answers (1, "[{\"a\":1},2]+0\n");
    tide_loop_say (client, "431[3]"); /* a second answer is nobody's */
    tide_loop_pass (loop, 2000);
    assert_int_equal (app.answered, 1);
    assert_non_null (client->connection);
}

static void a_room_is_asked_and_whoever_does_not_answer_is_missing (void **state)
{
    (void) state;
    char sids[3][64];
    tide_loop_client_t *clients[3], *outside = connected (NULL);
    for (int at = 0; at < 3; at++) {
        clients[at] = connected (sids[at]);
        join (sids[at], "room");
    }
    ask ("room", "");
    for (int at = 0; at < 3; at++)
        assert_string_equal (tide_loop_hear (clients[at]), "421[\"q\",7]");
    assert_null (tide_loop_hear (outside));
    tide_loop_say (clients[2], "431[\"three\"]");
    tide_loop_say (clients[2], "431[\"again\"]"); /* counts for nobody else */
    tide_loop_say (outside, "431[\"mine\"]");     /* nobody asked it */
    tide_loop_say (clients[0], "431[]");
    tide_loop_pass (loop, 750);
    assert_int_equal (app.answered, 0);
    tide_loop_pass (loop, 250);
    assert_answers (1, "[]+0\n-\n[\"three\"]+0\n");
    tide_loop_say (clients[1], "431[\"late\"]");
    tide_loop_pass (loop, 1000);
    assert_int_equal (app.answered, 1);
    assert_non_null (clients[1]->connection);
    assert_non_null (outside->connection);
}

static void nobody_and_those_who_are_excepted_are_not_asked (void **state)
{
    (void) state;
    char sids[2][64];
    tide_loop_client_t *clients[2];
    ask ("nowhere", "");
    assert_int_equal (app.answered, 0);
    tide_loop_pass (loop, 250); /* the other lane has nobody there either */
    tide_loop_pass (loop, 250);
    assert_answers (1, "");
    for (int at = 0; at < 2; at++) {
        clients[at] = connected (sids[at]);
        join (sids[at], "room");
    }
    ask ("room", at_sid (sids[0]));
    assert_null (tide_loop_hear (clients[0]));
    assert_string_equal (tide_loop_hear (clients[1]), "422[\"q\",7]");
    tide_loop_say (clients[0], "432[\"not me\"]");
    tide_loop_say (clients[1], "432[\"me\"]");
    tide_loop_pass (loop, 500);
    assert_answers (2, "[\"me\"]+0\n");
}

static void a_client_that_goes_while_it_is_asked_is_missing (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_client_t *client = recoverable (sid, pid);
    ask (at_sid (sid), "");
    tide_loop_cut (client);
    tide_loop_pass (loop, 1000);
    assert_answers (1, "-\n");
    /*  A question is never asked again. */
    client = resumed (pid);
    assert_hears (client, "40{");
    assert_null (tide_loop_hear (client));
}

static void a_question_and_its_answer_can_be_binary (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    tide_app_emit_t emit = {.topic = tide_bytes (at_sid (sid)),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("{\"_placeholder\":true,\"num\":0}"),
                                     .attachments = 1,
                                     .attachment = {tide_bytes ("data")}}};
    tide_app_ask (loop->hubs[0], &emit, 1000, answers, &app);
    tide_loop_run (loop);
    assert_string_equal (tide_loop_hear (client), "451-1[\"q\",{\"_placeholder\":true,\"num\":0}]");
    assert_true (tide_bytes_is (tide_buffer_bytes (&client->binary), "data"));
    tide_loop_say (client, "461-1[{\"_placeholder\":true,\"num\":0}]");
    tide_hub_frame (loop->hubs[0], loop->now_ms, client->connection, tide_bytes ("back"), false);
    tide_loop_pass (loop, 250);
    assert_answers (1, "[{\"_placeholder\":true,\"num\":0}]+1\n");
}

static void a_client_that_catches_up_is_asked_after_what_came_before (void **state)
{
    (void) state;
    enum { EVENTS = 2000 }; /* more than the tape holds */
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    join (sid, "room");
    client->is_stalled = true;
    for (int number = 1; number <= EVENTS; number++)
        tide_loop_publish (loop, "room", number);
    ask (at_sid (sid), "");
    tide_loop_unstall (client);
    for (int number = 1; number <= EVENTS; number++) {
        const char *frame = tide_loop_hear (client);
        assert_non_null (frame);
        assert_memory_equal (frame, "42[\"n\",", 7);
        assert_int_equal (atoi (frame + 7), number);
    }
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
    assert_null (tide_loop_hear (client));
    tide_loop_say (client, "431[1]");
    tide_loop_pass (loop, 250);
    assert_answers (1, "[1]+0\n");
}

/*  While a topic is being joined the session stands still, and so does what it is asked. */
static void a_client_that_is_held_by_a_join_is_asked_after_what_came_before (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    join (sid, "room");
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    loop->lost_name = "join";
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"other\"}]");
    tide_loop_publish (loop, "room", 1);
    tide_app_ask (loop->hubs[0],
                  &(tide_app_emit_t){.topic = tide_bytes (at_sid (sid)),
                                     .name = tide_bytes ("q"),
                                     .args = {.json = tide_bytes ("7")}},
                  30000, answers, &app);
    tide_loop_pass (loop, 5000);
    assert_null (tide_loop_hear (client));
    tide_loop_pass (loop, 6000); /* the join is given up */
    assert_hears (client, "431[{\"ok\":false");
    assert_hears (client, "42[\"n\",1");
    assert_string_equal (tide_loop_hear (client), "421[\"q\",7]");
}

/*  Nothing follows the question that would bring it along. */
static void a_client_can_be_asked_the_moment_it_comes_in (void **state)
{
    (void) state;
    app.asks_at_once = loop->is_prompt = true;
    for (int polls = 0; polls < 2; polls++)
        for (unsigned at = 0; at < 3; at++) {
            tide_loop_client_t *client = stock_wire (loop, 0, polls);
            tide_loop_say (client, "40%s", at == 2 ? "/plain," : "");
            const char *frame;
            while ((frame = tide_loop_hear (client)) && !strstr (frame, "[\"q\",7]"))
                ;
            assert_non_null (frame);
        }
}

/*  At whatever moment: the one question must reach it, though nothing else does. */
static void a_client_can_be_asked_while_the_log_changes (void **state)
{
    for (int moment = 0; moment < 60; moment++) {
        char sid[64];
        tear_down (state);
        set_up (state);
        tide_loop_client_t *client = connected (sid);
        loop->is_prompt = true;
        tide_loop_kill_broker (loop, true);
        tide_loop_pass (loop, (uint64_t) moment * 250);
        ask (at_sid (sid), "");
        for (int second = 0; second < 20; second++) {
            tide_loop_pass (loop, 1000);
            tide_loop_say (client, "3");
        }
        const char *frame;
        while ((frame = tide_loop_hear (client)) && !strstr (frame, "[\"q\",7]"))
            ;
        if (!frame)
            fail_msg ("not asked at moment %d", moment);
    }
}

/*  -- except, rooms --------------------------------------------------------------------------- */

static void whoever_is_excepted_does_not_get_it_live_or_from_pages (void **state)
{
    (void) state;
    char sids[2][64];
    tide_loop_client_t *clients[2];
    for (int at = 0; at < 2; at++) {
        clients[at] = connected (sids[at]);
        join (sids[at], "room");
    }
    join (sids[1], "others");
    emit ("room", 1, at_sid (sids[0]));
    emit ("room", 2, "others");
    emit ("room", 3, "");
    assert_numbers (clients[0], "2 3 ");
    assert_numbers (clients[1], "1 3 ");

    for (int at = 0; at < 2; at++)
        clients[at]->is_stalled = true;
    char except[160];
    emit ("room", 4, at_sid (sids[0]));
    emit ("room", 5, "others");
    snprintf (except, sizeof except, "@%s\nothers", sids[0]);
    emit ("room", 6, except);
    emit ("room", 7, "nobody");
    for (int number = 0; number < 2000; number++)
        tide_loop_publish (loop, "elsewhere", number);
    char sid[64];
    connected (sid);
    join (sid, "elsewhere"); /* so that the tape moves on */
    for (int number = 0; number < 2000; number++)
        tide_loop_publish (loop, "elsewhere", number);
    for (int at = 0; at < 2; at++)
        tide_loop_unstall (clients[at]);
    tide_loop_pass (loop, 2000);
    assert_numbers (clients[0], "5 7 ");
    assert_numbers (clients[1], "4 7 ");
}

static void whoever_is_excepted_does_not_get_it_in_a_bring_up (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid), *other = connected (NULL);
    emit ("room", 1, at_sid (sid));
    emit ("room", 2, "");
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"room\",\"since\":\"start\"}]");
    tide_loop_say (other, "421[\"tide:subscribe\",{\"topic\":\"room\",\"since\":\"start\"}]");
    assert_numbers (client, "2 ");
    assert_numbers (other, "1 2 ");
}

static void what_rooms_got_during_a_cut_comes_on_recovery (void **state)
{
    (void) state;
    char sid[64], pid[64], topic[80];
    tide_loop_client_t *client = recoverable (sid, pid);
    snprintf (topic, sizeof topic, "@%s", sid);
    join (sid, "room");
    emit (topic, 1, "");
    emit ("$nsp", 2, "");
    assert_numbers (client, "1 2 ");
    tide_loop_cut (client);
    emit (topic, 3, "");
    emit ("$nsp", 4, "");
    emit ("room", 5, "");
    emit ("$nsp/tenant-1", 99, "");
    emit ("room", 98, topic);
    emit ("$nsp", 6, "room\nother"); /* it is in that room */
    emit ("$nsp", 7, "other");
    client = resumed (pid);
    assert_numbers (client, "3 4 5 7 ");
    assert_string_equal (app.sid, sid);
    emit (topic, 8, "");
    emit ("$nsp", 9, "");
    assert_numbers (client, "8 9 ");
}

static void a_client_joins_and_leaves_at_the_applications_wish (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    join (sid, "room");
    emit ("room", 1, "");
    tide_app_leave (loop->hubs[0], sid, tide_bytes ("room"), done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
    emit ("room", 2, "");
    assert_numbers (client, "1 ");
    tide_app_join (loop->hubs[0], "nobody", tide_bytes ("room"), done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_NOT_FOUND);
    app.status = TIDE_OK;
    tide_app_leave (loop->hubs[0], "nobody", tide_bytes ("room"), done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_NOT_FOUND);
    tide_app_leave (loop->hubs[0], sid, tide_bytes ("room"), NULL, NULL);
    tide_app_join (loop->hubs[0], sid, tide_bytes ("room"), NULL, NULL);
    tide_loop_run (loop);
    emit ("room", 3, "");
    assert_numbers (client, "3 ");
}

static void an_emission_is_told_when_it_is_done_or_why_not (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = connected (sid);
    join (sid, "room");
    tide_app_emit_t volatile_emit = {.topic = tide_bytes ("room"),
                                     .name = tide_bytes ("n"),
                                     .args = {.json = tide_bytes ("1")},
                                     .is_volatile = true};
    app.status = (tide_status_t) -1;
    tide_app_emit (loop->hubs[0], &volatile_emit, done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
    assert_numbers (client, "1 ");
    static const char *const topics[] = {"", "a#b", "room/#", "a\nb"};
    for (size_t at = 0; at < sizeof topics / sizeof topics[0]; at++) {
        tide_app_emit_t bad = volatile_emit;
        bad.topic = tide_bytes (topics[at]);
        app.status = TIDE_OK;
        tide_app_emit (loop->hubs[0], &bad, done, &app);
        tide_loop_run (loop);
        assert_int_equal (app.status, TIDE_BAD_TOPIC);
    }
    tide_app_emit (loop->hubs[0], &volatile_emit, NULL, NULL);
    /*  The broker is away: it waits, and is given up. */
    loop->is_cut[0] = true;
    tide_app_emit_t logged = volatile_emit;
    logged.is_volatile = false;
    app.status = TIDE_OK;
    tide_app_emit (loop->hubs[0], &logged, done, &app);
    tide_loop_pass (loop, 11000);
    assert_int_equal (app.status, TIDE_BROKER_AWAY);
}

/*  -- topics of rooms ------------------------------------------------------------------------- */

static void assert_topic (const char *nsp, const char *room, const char *expected)
{
    tide_buffer_t topic = {0};
    tide_buffer_append_text (&topic, ">"); /* it is appended */
    tide_app_topic (loop->hubs[0], &topic, tide_bytes (nsp), tide_bytes (room));
    if (!tide_bytes_is ((tide_bytes_t){topic.data + 1, topic.size - 1}, expected))
        fail_msg ("%s %s is %.*s", nsp, room, TIDE_PRINT (tide_buffer_bytes (&topic)));
    tide_buffer_free (&topic);
}

static void rooms_have_topics (void **state)
{
    (void) state;
    char sid[64];
    connected (sid);
    assert_topic ("/", "", "$nsp");
    assert_topic ("/chat", "", "$nsp/chat");
    assert_topic ("/a/b", "", "$nsp/a/b");
    assert_topic ("/", "room", "room");
    assert_topic ("/chat", "room", "chat/room");
    assert_topic ("/a/b", "room", "a/b/room");
    assert_topic ("/", sid, at_sid (sid));
    assert_topic ("/chat", sid, at_sid (sid));
    assert_topic ("/", "a b", "a b");
    assert_topic ("/", "caf\xc3\xa9", "caf\xc3\xa9");
    assert_topic ("/", "a/b", "a%2Fb");
    assert_topic ("/", "a#b", "a%23b");
    assert_topic ("/", "50%", "50%25");
    assert_topic ("/", "a%2Fb", "a%252Fb");
    assert_topic ("/", "a\nb\x7f\x01", "a%0Ab%7F%01");
    assert_topic ("/", "$lane/x", "%24lane%2Fx");
    assert_topic ("/", "@somebody", "%40somebody");
    assert_topic ("/", "a$@", "a$@");
    assert_topic ("/chat", "$x", "chat/$x");
    assert_topic ("/chat", "@x", "chat/@x");
}

/*  A namespace whose name looks like the system's does not reach what is the system's. */
static void no_namespace_makes_a_room_the_systems (void **state)
{
    (void) state;
    assert_topic ("/$nsp", "chat", "%24nsp/chat");
    assert_topic ("/$session", "abc", "%24session/abc");
    assert_topic ("/@sid", "x", "%40sid/x");
    assert_topic ("/a$b", "x", "a$b/x");
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_client_that_is_admitted_is_told_and_then_the_application),
        TEST (a_client_that_is_refused_hears_why),
        TEST (an_admission_can_take_its_time),
        TEST (a_refusal_can_take_its_time),
        TEST (an_answer_for_a_client_that_is_gone_is_dropped),
        TEST (an_event_before_the_admission_ends_the_connection),
        TEST (a_client_that_comes_back_is_asked_about_again),
        TEST (a_client_that_comes_back_can_be_refused),
        TEST (a_client_whose_session_is_unknown_can_be_refused),
        TEST (events_come_with_and_without_a_call),
        TEST (a_call_is_answered_once),
        TEST (calls_are_answered_in_any_order_and_namespace),
        TEST (an_acknowledgement_of_a_client_that_is_gone_is_dropped),
        TEST (binary_goes_both_ways),
        TEST (a_disconnection_has_its_reason),
        TEST (a_disconnection_by_polling_has_its_reason),
        TEST (each_namespace_of_a_connection_is_told_of_its_end),
        TEST (a_session_that_is_taken_over_ends_before_it_begins_again),
        TEST (a_client_that_is_kicked_cannot_come_back),
        TEST (a_client_that_is_kicked_and_goes_cannot_come_back),
        TEST (a_client_that_is_kicked_while_it_polls_hears_it),
        TEST (closing_ends_each_namespace_of_the_connection_for_good),
        TEST (one_client_is_asked_and_answers),
        TEST (a_room_is_asked_and_whoever_does_not_answer_is_missing),
        TEST (nobody_and_those_who_are_excepted_are_not_asked),
        TEST (a_client_that_goes_while_it_is_asked_is_missing),
        TEST (a_question_and_its_answer_can_be_binary),
        TEST (a_client_that_catches_up_is_asked_after_what_came_before),
        TEST (a_client_that_is_held_by_a_join_is_asked_after_what_came_before),
        TEST (a_client_can_be_asked_the_moment_it_comes_in),
        TEST (a_client_can_be_asked_while_the_log_changes),
        TEST (whoever_is_excepted_does_not_get_it_live_or_from_pages),
        TEST (whoever_is_excepted_does_not_get_it_in_a_bring_up),
        TEST (what_rooms_got_during_a_cut_comes_on_recovery),
        TEST (a_client_joins_and_leaves_at_the_applications_wish),
        TEST (an_emission_is_told_when_it_is_done_or_why_not),
        TEST (rooms_have_topics),
        TEST (no_namespace_makes_a_room_the_systems),
    };
    return cmocka_run_group_tests_name ("application", tests, NULL, NULL);
}
