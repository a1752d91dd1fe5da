/*  test_application_rooms.c - what an application does with rooms: it joins and leaves them for
 *  its clients, and emits to them.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_app_fixture.h"

#include "tide_op.h"

#include <stdlib.h>

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
                   app_done, &app);
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

/*  -- except ---------------------------------------------------------------------------------- */

static void whoever_is_excepted_does_not_get_it_live_or_from_pages (void **state)
{
    (void) state;
    char sids[2][64];
    tide_loop_client_t *clients[2];
    for (int at = 0; at < 2; at++) {
        clients[at] = came_in (sids[at]);
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
    came_in (sid);
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
    tide_loop_client_t *client = came_in (sid), *other = came_in (NULL);
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

/*  -- joining, leaving, emitting -------------------------------------------------------------- */

static void a_client_joins_and_leaves_at_the_applications_wish (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    join (sid, "room");
    emit ("room", 1, "");
    tide_app_leave (loop->hubs[0], sid, tide_bytes ("room"), app_done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
    emit ("room", 2, "");
    assert_numbers (client, "1 ");
    tide_app_join (loop->hubs[0], "nobody", tide_bytes ("room"), app_done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_NOT_FOUND);
    app.status = TIDE_OK;
    tide_app_leave (loop->hubs[0], "nobody", tide_bytes ("room"), app_done, &app);
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
    tide_loop_client_t *client = came_in (sid);
    join (sid, "room");
    tide_app_emit_t volatile_emit = {.topic = tide_bytes ("room"),
                                     .name = tide_bytes ("n"),
                                     .args = {.json = tide_bytes ("1")},
                                     .is_volatile = true};
    app.status = (tide_status_t) -1;
    tide_app_emit (loop->hubs[0], &volatile_emit, app_done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
    assert_numbers (client, "1 ");
    static const char *const topics[] = {"", "a#b", "room/#", "a\nb"};
    for (size_t at = 0; at < sizeof topics / sizeof topics[0]; at++) {
        tide_app_emit_t bad = volatile_emit;
        bad.topic = tide_bytes (topics[at]);
        app.status = TIDE_OK;
        tide_app_emit (loop->hubs[0], &bad, app_done, &app);
        tide_loop_run (loop);
        assert_int_equal (app.status, TIDE_BAD_TOPIC);
    }
    static const char *const names[] = {"", "connect", "newListener", "tide:reset", "a\nb"};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++) {
        tide_app_emit_t bad = volatile_emit;
        bad.name = tide_bytes (names[at]);
        app.status = TIDE_OK;
        tide_app_emit (loop->hubs[0], &bad, app_done, &app);
        app.answered = 0;
        tide_app_ask (loop->hubs[0], &bad, 1000, app_answers, &app);
        tide_loop_pass (loop, 100);
        assert_int_equal (app.status, TIDE_BAD_REQUEST);
        assert_int_equal (app.answered, 1);
        assert_int_equal (app.answers.size, 0); /* nobody was asked */
    }
    tide_app_emit (loop->hubs[0], &volatile_emit, NULL, NULL);
    /*  The broker is away: it waits, and is given up. */
    loop->is_cut[0] = true;
    tide_app_emit_t logged = volatile_emit;
    logged.is_volatile = false;
    app.status = TIDE_OK;
    tide_app_emit (loop->hubs[0], &logged, app_done, &app);
    tide_loop_pass (loop, 11000);
    assert_int_equal (app.status, TIDE_BROKER_AWAY);
}

static void published (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) hub;
    (void) op;
    assert_int_equal (answer->kind, TIDE_MESSAGE_ACK);
}

/*  A peer may log what it likes. A client that was told it would take its connection for broken,
 *  come again, and be told again. */
static void names_that_a_client_takes_for_trouble_do_not_reach_it (void **state)
{
    (void) state;
    char sid[64];
    tide_loop_client_t *client = came_in (sid);
    join (sid, "room");
    static const char *const names[] = {"connect", "disconnect", "tide:reset", "n"};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++) {
        tide_buffer_t payload = {0}, records = {0};
        tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes ("5")});
        tide_event_append (&records, &(tide_event_t){.topic = tide_bytes ("room"),
                                                     .name = tide_bytes (names[at]),
                                                     .payload = tide_buffer_bytes (&payload)});
        tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
        message.publish.events = tide_list (&records, 1);
        assert_non_null (tide_op_send (loop->hubs[0], &message, published, NULL));
        tide_buffer_free (&payload);
        tide_buffer_free (&records);
    }
    tide_loop_run (loop);
    assert_numbers (client, "5 ");
    assert_null (tide_loop_hear (client));
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
    came_in (sid);
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

/*  -- what is asked for amid something else --------------------------------------------------- */

/*  What another application has wished for, and how it went. */
static struct {
    char sid[64];
    int joined, left, refused, emitted;
    bool leaves;
} wishes;

static void on_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const json_t *auth)
{
    (void) argument;
    (void) hub;
    (void) auth;
    snprintf (wishes.sid, sizeof wishes.sid, "%s", client->sid);
}

static void on_left (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    wishes.left += status == TIDE_OK;
    wishes.refused += status != TIDE_OK;
}

static void on_joined (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    wishes.joined += status == TIDE_OK;
    wishes.refused += status != TIDE_OK;
    if (wishes.leaves)
        tide_app_leave (hub, wishes.sid, tide_bytes ("room"), on_left, NULL);
    else
        tide_app_disconnect (hub, wishes.sid, true);
}

static void an_application_leaves_what_it_has_just_joined (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    for (int leaves = 0; leaves < 2; leaves++)
        for (int again = 0; again < 2; again++) {
            memset (&wishes, 0, sizeof wishes);
            wishes.leaves = leaves;
            loop = tide_loop_new_with (NULL, &application);
            tide_loop_client_t *client = tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO);
            tide_loop_say (client, "40");
            tide_hub_t *hub = loop->hubs[0];
            tide_app_join (hub, wishes.sid, tide_bytes ("room"), on_joined, NULL);
            if (again) /* while it is joined */
                tide_app_leave (hub, wishes.sid, tide_bytes ("room"), on_left, NULL);
            tide_loop_run (loop);
            assert_int_equal (wishes.joined, !again);
            assert_int_equal (client->connection != NULL, leaves);
            if (leaves) {
                assert_int_equal (wishes.left, 1);
                count_heard (client, "");
                tide_loop_publish (loop, "room", 1);
                assert_null (tide_loop_hear (client));
            }
            tide_loop_destroy (&loop);
        }
}

static void on_emitted (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    assert_int_equal (status, TIDE_SHUTTING_DOWN);
    wishes.emitted++;
}

static void on_given_up (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    wishes.refused += status != TIDE_OK;
    tide_app_emit (hub, &event, on_emitted, NULL);
    tide_app_ask (hub, &event, 1000, app_answers, &app);
    tide_app_leave (hub, wishes.sid, tide_bytes ("room"), on_left, NULL);
}

/*  It is told, and does more; a sanitizer says whether something is left behind. */
static void an_application_goes_on_when_its_lane_is_taken_down (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    memset (&wishes, 0, sizeof wishes);
    memset (&app, 0, sizeof app);
    loop = tide_loop_new_with (NULL, &application);
    tide_loop_say (tide_loop_open (loop, 0, TIDE_CLIENT_SOCKETIO), "40");
    loop->held_kinds[0] |= 1ull << TIDE_MESSAGE_PUBLISH;
    tide_app_join (loop->hubs[0], wishes.sid, tide_bytes ("room"), on_given_up, NULL);
    tide_loop_run (loop);
    assert_int_equal (wishes.refused, 0);
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    tide_app_emit (loop->hubs[0], &event, on_emitted, NULL);
    tide_app_ask (loop->hubs[0], &event, 1000, app_answers, &app);
    tide_loop_run (loop);
    assert_int_equal (wishes.emitted + app.answered, 0);
    tide_loop_destroy (&loop);
    assert_int_equal (wishes.refused, 1); /* what it asks for then is not even told */
    assert_int_equal (wishes.emitted, 1);
    assert_int_equal (app.answered, 1);
    tide_buffer_free (&app.answers);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        APP_TEST (whoever_is_excepted_does_not_get_it_live_or_from_pages),
        APP_TEST (whoever_is_excepted_does_not_get_it_in_a_bring_up),
        APP_TEST (what_rooms_got_during_a_cut_comes_on_recovery),
        APP_TEST (a_client_joins_and_leaves_at_the_applications_wish),
        APP_TEST (an_emission_is_told_when_it_is_done_or_why_not),
        APP_TEST (names_that_a_client_takes_for_trouble_do_not_reach_it),
        APP_TEST (rooms_have_topics),
        APP_TEST (no_namespace_makes_a_room_the_systems),
        cmocka_unit_test (an_application_leaves_what_it_has_just_joined),
        cmocka_unit_test (an_application_goes_on_when_its_lane_is_taken_down),
    };
    return cmocka_run_group_tests_name ("rooms of an application", tests, NULL, NULL);
}
