/*  test_handover_contents.c - what goes along with a session to another lane: the topics that it
 *  joins, the resets that it owes, what it publishes, its namespaces, and its application.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_application.h"

#include <stdlib.h>

/*  -- topics that are being joined, and resets ------------------------------------------------ */

/*  What a client that is no stock client has heard of a topic, and where among it the answer. */
typedef struct {
    const char *nsp; /* "" or "/name," */
    int numbers[1024];
    int count, before_answer;
    int answers, resets;
    json_t *answer;
    json_t *reset;
    char pid[64], offset[64];
} heard_t;

static void take_heard (heard_t *heard, const char *frame)
{
    char type = frame[1];
    frame += 2;
    if (strncmp (frame, heard->nsp, strlen (heard->nsp)) != 0)
        return;
    frame += strlen (heard->nsp);
    json_t *json = json_loads (strpbrk (frame, "[{"), 0, NULL);
    assert_non_null (json);
    const char *name = json_string_value (json_array_get (json, 0));
    const char *last = json_string_value (json_array_get (json, json_array_size (json) - 1));
    if (type == '0')
        snprintf (heard->pid, sizeof heard->pid, "%s",
                  json_string_value (json_object_get (json, "pid")));
    else if (type == '3') {
        assert_int_equal (heard->answers++, 0);
        heard->answer = json_incref (json_array_get (json, 0));
        heard->before_answer = heard->count;
    }
    else if (strcmp (name, "tide:reset") == 0) {
        assert_int_equal (heard->resets++, 0);
        heard->reset = json_incref (json_array_get (json, 1));
    }
    else if (strcmp (name, "n") == 0)
        heard->numbers[heard->count++] = (int) json_integer_value (json_array_get (json, 1));
    if (type == '2' && last)
        snprintf (heard->offset, sizeof heard->offset, "%s", last);
    json_decref (json);
}

static void listen_to (heard_t *heard, tide_loop_client_t *client)
{
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        if (frame[0] == '4')
            take_heard (heard, frame);
        else if (frame[0] == '2')
            tide_loop_say (client, "3");
}

static void forget_heard (heard_t *heard)
{
    json_decref (heard->answer);
    json_decref (heard->reset);
    *heard = (heard_t){.nsp = heard->nsp};
}

enum { PAST = 60, PADDING = 5000 };

/*  The sequence of each number of "past". */
static uint64_t seqs[PAST * 4];

static int last_past;

/*  Each with a key: the last one stands. */
static void publish_past (void)
{
    char body[PADDING + 200];
    int size =
        snprintf (body, sizeof body,
                  "{\"topic\":\"past\",\"key\":\"k\",\"event\":\"n\",\"args\":[%d,\"", ++last_past);
    memset (body + size, 'p', PADDING);
    memcpy (body + size + PADDING, "\"]}", 4);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
    const char *seq = strstr (loop->http_body, "\"seq\":");
    assert_non_null (seq);
    seqs[last_past] = strtoull (seq + 6, NULL, 10);
}

static uint64_t member_of (const json_t *object, const char *name)
{
    return (uint64_t) json_integer_value (json_object_get (object, name));
}

/*  The number that stands in a snapshot; 0: none. */
static int standing_in (const json_t *object)
{
    const json_t *event = json_object_get (json_object_get (object, "state"), "k");
    return (int) json_integer_value (json_array_get (json_object_get (event, "args"), 0));
}

/*  Numbers from … to, once each, in order. */
static void assert_heard (const heard_t *heard, int at, int from, int to)
{
    assert_int_equal (heard->count - at, to - from + 1);
    for (; at < heard->count; at++)
        assert_int_equal (heard->numbers[at], from++);
}

/*  The number behind the one with this sequence. */
static int number_behind (uint64_t seq)
{
    int number = 1;
    while (number <= last_past && seqs[number] <= seq)
        number++;
    return number;
}

typedef enum { LIVE, SINCE, SNAPSHOT, RESET, MODES } join_mode_t;

static void check_join (const heard_t *heard, join_mode_t mode)
{
    assert_int_equal (heard->answers, 1);
    assert_true (json_is_true (json_object_get (heard->answer, "ok")));
    assert_string_equal (json_string_value (json_object_get (heard->answer, "topic")), "past");
    uint64_t seq = member_of (heard->answer, "seq");
    int next = number_behind (seq);
    assert_int_equal (heard->resets, mode == RESET);
    assert_int_equal (json_object_get (heard->answer, "state") != NULL, mode == SNAPSHOT);
    if (mode == SINCE)
        assert_heard (heard, 0, 1, last_past);
    else
        assert_heard (heard, 0, next, last_past);
    if (mode == SINCE)
        assert_int_equal (heard->before_answer, next - 1);
    else
        assert_int_equal (heard->before_answer, 0);
    if (mode == SNAPSHOT)
        assert_int_equal (standing_in (heard->answer), next - 1);
    if (mode == RESET) {
        assert_int_equal (member_of (heard->reset, "seq"), seq);
        assert_int_equal (standing_in (heard->reset), next - 1);
        assert_string_equal (json_string_value (json_object_get (heard->reset, "code")), "trimmed");
    }
}

/*  The client goes to another lane when `steps` of what its joining takes are done; `holds` says
 *  whether what is asked of the broker at the other lane is held up too, `again` whether it is in
 *  the topic already. */
static void join_along (join_mode_t mode, const char *nsp, unsigned steps, bool holds, bool again)
{
    static const char *const since[MODES] = {"", ",\"since\":\"start\"", ",\"since\":\"snapshot\"",
                                             ",\"since\":\"0000000000001111:1\""};
    loop = tide_loop_new_keeping (mode == RESET ? 20 : 100000);
    heard_t heard = {.nsp = nsp};
    last_past = 0;
    for (int number = 0; number < PAST; number++)
        publish_past ();
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    client->gets_at = client->posts_at = THIRD;
    tide_loop_say (client, "40%s", nsp);
    if (again)
        tide_loop_say (client, "42%s[\"tide:subscribe\",{\"topic\":\"past\"}]", nsp);
    listen_to (&heard, client);
    static const tide_message_kind_t kinds[] = {TIDE_MESSAGE_READ, TIDE_MESSAGE_SNAPSHOT,
                                                TIDE_MESSAGE_PUBLISH};
    for (size_t at = 0; at < sizeof kinds / sizeof kinds[0]; at++)
        hold (kinds[at]);
    if (!holds)
        loop->held_kinds[OTHER] = 0;
    tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"past\"%s}]", nsp, since[mode]);
    for (unsigned step = 0; step < steps; step++) {
        tide_loop_let_go (loop);
        publish_past ();
    }
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    publish_past ();
    tide_loop_say (probe, "5");
    publish_past ();
    for (unsigned step = 0; step < 20 && tide_loop_let_go (loop); step++)
        if (step % 2)
            publish_past ();
    tide_loop_let_all_go (loop);
    publish_past ();
    listen_to (&heard, client);
    listen_to (&heard, probe);
    tide_loop_pass (loop, 2000);
    publish_past ();
    listen_to (&heard, probe);
    check_join (&heard, mode);
    assert_non_null (probe->connection);

    /*  And it is joined for good. */
    if (!*nsp) {
        tide_loop_cut (probe);
        publish_past ();
        client = tide_loop_open (loop, THIRD, TIDE_CLIENT_SOCKETIO);
        if (heard.offset[0])
            tide_loop_say (client, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", heard.pid, heard.offset);
        else
            tide_loop_say (client, "40{\"pid\":\"%s\"}", heard.pid);
        char pid[64];
        memcpy (pid, heard.pid, sizeof pid);
        listen_to (&heard, client);
        assert_string_equal (heard.pid, pid);
        publish_past ();
        listen_to (&heard, client);
        check_join (&heard, mode);
    }
    forget_heard (&heard);
    tide_loop_destroy (&loop);
}

static void g1_a_topic_that_is_being_joined_is_joined_once_at_the_other_lane (void **state)
{
    (void) state;
    for (join_mode_t mode = LIVE; mode < MODES; mode++)
        for (unsigned steps = 0; steps < 8; steps++)
            for (int how = 0; how < 8; how++)
                join_along (mode, how & 1 ? "/plain," : "", steps, how & 2, how & 4);
}

/*  A client that lags too far is told by a reset, wherever it is by then. */
static void g5_a_reset_that_is_owed_is_said_at_the_other_lane (void **state)
{
    (void) state;
    for (int how = 0; how < 8; how++) {
        heard_t heard = {.nsp = how & 1 ? "/plain," : ""};
        last_past = 0;
        loop = tide_loop_new_keeping (20);
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        tide_loop_say (client, "40%s", heard.nsp);
        tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"past\"}]", heard.nsp);
        listen_to (&heard, client);
        client->is_stalled = true;
        client->gets_at = THIRD;
        publish_past ();
        listen_to (&heard, client);
        for (int number = 0; number < PAST; number++)
            publish_past ();
        hold (TIDE_MESSAGE_SNAPSHOT);
        hold (TIDE_MESSAGE_PUBLISH);
        if (how & 2)
            tide_loop_get (client);
        tide_loop_run (loop);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how & 4)
            tide_loop_let_go (loop);
        tide_loop_say (probe, "5");
        publish_past ();
        while (tide_loop_let_go (loop)) {
        }
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 2000);
        listen_to (&heard, client);
        listen_to (&heard, probe);
        assert_int_equal (heard.resets, 1);
        int next = number_behind (member_of (heard.reset, "seq"));
        assert_true (next > PAST);
        assert_int_equal (standing_in (heard.reset), next - 1);
        publish_past ();
        listen_to (&heard, probe);
        assert_heard (&heard, 1, next, last_past);
        forget_heard (&heard);
        tide_loop_destroy (&loop);
    }
}

/*  -- publishes, namespaces, volatile events -------------------------------------------------- */

static void a_publish_that_is_under_way_is_answered_once_at_the_other_lane (void **state)
{
    (void) state;
    for (int how = 0; how < 2; how++) {
        tide_loop_client_t *client = idle_at (THIRD, THIRD);
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (client,
                       "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\","
                       "\"data\":1}]\x1e"
                       "428[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\",\"data\":1}]");
        assert_int_equal (loop->held_count, 2);
        tide_loop_client_t *probe = taken_to (client, OTHER);
        if (how == 1)
            tide_loop_pass (loop, 4500);
        tide_loop_say (probe, "429[\"nobody\"]"); /* waits until it is there */
        assert_null (hear (probe));
        tide_loop_let_all_go (loop);
        int events = 0, order = 0;
        const char *frame;
        while ((frame = hear (probe)))
            if (strncmp (frame, "42[\"n\",1", 8) == 0)
                events++;
            else if (frame[1] == '3')
                assert_int_equal (frame[2] - '7', order++);
        assert_int_equal (events, 1);
        assert_int_equal (order, 3);
        assert_null (tide_loop_hear (client));
        tide_loop_cut (probe);
    }
}

/*  Then the client comes again, and what it published is there once. */
static void a_session_that_does_not_come_to_rest_breaks_off (void **state)
{
    (void) state;
    stock_t client;
    start (&client);
    client.wire->gets_at = THIRD;
    stock_publish (&client, 1, 1);
    stock_listen (&client);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (client.wire,
                   "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":2}]");
    tide_loop_client_t *probe = taken_to (client.wire, OTHER);
    tide_loop_pass (loop, 4750);
    assert_non_null (probe->connection);
    assert_int_equal (tide_hub_deadline_ms (loop->hubs[HOLDER]), loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_null (probe->connection);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_publish (&client, 3, 3);
    stock_assert_numbers (&client, 1, 3);
    stock_finish (&client);
}

static void namespaces_go_along_with_and_without_recovery (void **state)
{
    (void) state;
    static const char *const nsps[] = {"", "/tenant-1,", "/plain,", "/tenant-2,"};
    enum { COUNT = 4 };
    heard_t heard[COUNT] = {{0}};
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    client->gets_at = client->posts_at = THIRD;
    for (int at = 0; at < COUNT; at++) {
        heard[at].nsp = nsps[at];
        tide_loop_say (client, "40%s", nsps[at]);
        tide_loop_say (client, "42%s7[\"tide:subscribe\",{\"topic\":\"lobby\"}]", nsps[at]);
    }
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 1);
    tide_loop_publish (loop, "lobby", 2);
    tide_loop_client_t *probe = taken_to (client, OTHER);
    tide_loop_publish (loop, "lobby", 3);
    const char *frame;
    tide_loop_client_t *const clients[] = {client, probe};
    for (int which = 0; which < 2; which++)
        while ((frame = tide_loop_hear (clients[which])))
            for (int at = 0; at < COUNT && frame[0] == '4'; at++)
                if (at > 0 ? strncmp (frame + 2, nsps[at], strlen (nsps[at])) == 0
                           : frame[2] != '/' && !strstr (frame, "-,"))
                    take_heard (&heard[at], frame);
    for (int at = 0; at < COUNT; at++) {
        assert_heard (&heard[at], 0, 1, 3);
        assert_int_equal (heard[at].answers, 1);
        assert_int_equal (heard[at].pid[0] != 0 && strcmp (heard[at].pid, "(null)") != 0, at != 2);
    }
    tide_loop_cut (probe);
    tide_loop_publish (loop, "lobby", 4);
    for (int at = 0; at < COUNT; at++) {
        char pid[64];
        memcpy (pid, heard[at].pid, sizeof pid);
        probe = tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (probe, "40%s{\"pid\":\"%s\",\"offset\":\"%s\"}", nsps[at], pid,
                       heard[at].offset);
        listen_to (&heard[at], probe);
        if (at != 2) {
            assert_string_equal (heard[at].pid, pid);
            assert_heard (&heard[at], 0, 1, 4);
        }
        forget_heard (&heard[at]);
    }
}

static void volatile_events_are_given_at_either_lane (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
    static const char say[] =
        "{\"topic\":\"lobby\",\"event\":\"v\",\"data\":\"x\",\"volatile\":true}";
    tide_loop_client_t *probe = taken_to (client, OTHER);
    tide_loop_pass (loop, 1000);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", say);
    assert_gets (probe, "42[\"v\",\"x\",\"0000000000001111:");
    assert_null (hear (probe));
}

/*  -- an application -------------------------------------------------------------------------- */

/*  What an application is told, of one client. */
static struct {
    int connected, disconnected, done;
    unsigned disconnected_at;
    char reason[32];
} told;

static void let_in (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                    const json_t *auth, uint64_t admission)
{
    (void) argument;
    (void) client;
    (void) auth;
    tide_app_admit (hub, admission);
}

static void take_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                            const json_t *auth)
{
    (void) argument;
    (void) hub;
    (void) client;
    (void) auth;
    told.connected++;
}

static void take_disconnected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                               const char *reason)
{
    (void) argument;
    (void) client;
    told.disconnected++;
    for (unsigned at = 0; at < LOOP_HUBS; at++)
        if (loop->hubs[at] == hub)
            told.disconnected_at = at;
    snprintf (told.reason, sizeof told.reason, "%s", reason);
}

static void take_done (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    assert_int_equal (status, TIDE_OK);
    told.done++;
}

static void an_application_is_told_of_an_end_once_where_the_session_is (void **state)
{
    (void) state;
    static const tide_application_t application = {
        .connect = let_in, .connected = take_connected, .disconnected = take_disconnected};
    for (int how = 0; how < 3; how++) {
        memset (&told, 0, sizeof told);
        loop = tide_loop_new_with (NULL, &application);
        tide_loop_client_t *client = subscribed_at (THIRD, THIRD);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how > 0)
            loop->held_kinds[OTHER] |= 1ull << TIDE_MESSAGE_PUBLISH;
        tide_loop_say (probe, "5");
        assert_int_equal (told.connected, 1);
        assert_int_equal (told.disconnected, 0);
        if (how == 2)
            tide_loop_pass (loop, 12000); /* it cannot write itself in */
        else
            tide_loop_cut (probe);
        assert_int_equal (told.disconnected, 1);
        assert_int_equal (told.disconnected_at, OTHER);
        assert_string_equal (told.reason, "transport close");
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 12000);
        assert_int_equal (told.connected, 1);
        assert_int_equal (told.disconnected, 1);
        tide_loop_destroy (&loop);
        assert_int_equal (told.disconnected, 1);
    }
}

/*  It is in the topic, whichever lane it is at when that is so. */
static void what_an_application_has_asked_for_is_done_before_a_session_goes (void **state)
{
    (void) state;
    static const tide_application_t application = {.connect = let_in, .connected = take_connected};
    memset (&told, 0, sizeof told);
    loop = tide_loop_new_with (NULL, &application);
    heard_t heard = {.nsp = ""};
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    tide_loop_say (client, "40");
    const char *frame = tide_loop_hear (client);
    char sid[40] = "";
    assert_int_equal (sscanf (frame, "40{\"sid\":\"%39[^\"]", sid), 1);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    loop->held_kinds[HOLDER] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_app_join (loop->hubs[HOLDER], sid, tide_bytes ("lobby"), take_done, NULL);
    tide_loop_say (probe, "5");
    assert_int_equal (told.done, 0);
    tide_loop_let_all_go (loop);
    assert_int_equal (told.done, 1);
    tide_loop_publish (loop, "lobby", 1);
    listen_to (&heard, probe);
    assert_heard (&heard, 0, 1, 1);
    tide_loop_destroy (&loop);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g1_a_topic_that_is_being_joined_is_joined_once_at_the_other_lane),
        cmocka_unit_test (g5_a_reset_that_is_owed_is_said_at_the_other_lane),
        TEST (a_publish_that_is_under_way_is_answered_once_at_the_other_lane),
        cmocka_unit_test (a_session_that_does_not_come_to_rest_breaks_off),
        TEST (namespaces_go_along_with_and_without_recovery),
        TEST (volatile_events_are_given_at_either_lane),
        cmocka_unit_test (an_application_is_told_of_an_end_once_where_the_session_is),
        cmocka_unit_test (what_an_application_has_asked_for_is_done_before_a_session_goes),
    };
    return cmocka_run_group_tests_name ("what a hand-over takes along", tests, NULL, NULL);
}
