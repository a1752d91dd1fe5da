/*  test_hostile.c - applications that do what nobody does by mistake.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_application.h"

/*  -- applications ---------------------------------------------------------------------------- */

static struct {
    int answered;
    size_t count;
} asked;

static void on_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer,
                        size_t count)
{
    (void) argument;
    (void) hub;
    (void) answer;
    asked.answered++;
    asked.count = count;
}

static struct {
    char sid[64];
    int joined, left, refused, emitted;
    bool leaves;
} app;

static void on_connected (void *argument, tide_hub_t *hub, const tide_app_client_t *client,
                          const json_t *auth)
{
    (void) argument;
    (void) hub;
    (void) auth;
    snprintf (app.sid, sizeof app.sid, "%s", client->sid);
}

static void on_left (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    (void) hub;
    app.left += status == TIDE_OK;
    app.refused += status != TIDE_OK;
}

static void on_joined (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    app.joined += status == TIDE_OK;
    app.refused += status != TIDE_OK;
    if (app.leaves)
        tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
    else
        tide_app_disconnect (hub, app.sid, true);
}

static void an_application_leaves_what_it_has_just_joined (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    for (int leaves = 0; leaves < 2; leaves++)
        for (int again = 0; again < 2; again++) {
            memset (&app, 0, sizeof app);
            app.leaves = leaves;
            loop = tide_loop_new_with (NULL, &application);
            tide_loop_client_t *client = tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO);
            tide_loop_say (client, "40");
            tide_hub_t *hub = loop->hubs[HOLDER];
            tide_app_join (hub, app.sid, tide_bytes ("room"), on_joined, NULL);
            if (again) /* while it is joined */
                tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
            tide_loop_run (loop);
            assert_int_equal (app.joined, !again);
            assert_int_equal (client->connection != NULL, leaves);
            if (leaves) {
                assert_int_equal (app.left, 1);
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
    app.emitted++;
}

static void on_given_up (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) argument;
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    app.refused += status != TIDE_OK;
    tide_app_emit (hub, &event, on_emitted, NULL);
    tide_app_ask (hub, &event, 1000, on_answers, NULL);
    tide_app_leave (hub, app.sid, tide_bytes ("room"), on_left, NULL);
}

/*  It is told, and does more; a sanitizer says whether something is left behind. */
static void an_application_goes_on_when_its_lane_is_taken_down (void **state)
{
    (void) state;
    static const tide_application_t application = {.connected = on_connected};
    memset (&app, 0, sizeof app);
    memset (&asked, 0, sizeof asked);
    loop = tide_loop_new_with (NULL, &application);
    tide_loop_say (tide_loop_open (loop, HOLDER, TIDE_CLIENT_SOCKETIO), "40");
    hold (TIDE_MESSAGE_PUBLISH);
    tide_app_join (loop->hubs[HOLDER], app.sid, tide_bytes ("room"), on_given_up, NULL);
    tide_loop_run (loop);
    assert_int_equal (app.refused, 0);
    tide_app_emit_t event = {
        .topic = tide_bytes ("room"), .name = tide_bytes ("n"), .args = {.json = tide_bytes ("7")}};
    tide_app_emit (loop->hubs[HOLDER], &event, on_emitted, NULL);
    tide_app_ask (loop->hubs[HOLDER], &event, 1000, on_answers, NULL);
    tide_loop_run (loop);
    assert_int_equal (app.emitted + asked.answered, 0);
    tide_loop_destroy (&loop);
    assert_int_equal (app.refused, 2); /* it joins no more, and leaves no more */
    assert_int_equal (app.emitted, 2);
    assert_int_equal (asked.answered, 2);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (an_application_leaves_what_it_has_just_joined),
        cmocka_unit_test (an_application_goes_on_when_its_lane_is_taken_down),
    };
    return cmocka_run_group_tests_name ("the hostile", tests, NULL, NULL);
}
