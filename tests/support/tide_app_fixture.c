/*  tide_app_fixture.c - an application that writes down what it is told.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_app_fixture.h"

#include <stdlib.h>

app_t app;

static void note (const char *what, const char *more)
{
    tide_buffer_printf (&app.said, "%s%s%s\n", what, *more ? " " : "", more);
}

/*  Arguments as a client writes them: one is told from an array of one. */
static void put_args (tide_buffer_t *out, const tide_args_t *args)
{
    tide_buffer_printf (out, args->many ? "%.*s" : "[%.*s]", TIDE_PRINT (args->json));
}

void assert_told (const char *expected)
{
    if (!tide_bytes_is (tide_buffer_bytes (&app.said), expected))
        fail_msg ("expected:\n%sand not:\n%.*s", expected,
                  TIDE_PRINT (tide_buffer_bytes (&app.said)));
    app.said.size = 0;
}

void app_done (void *argument, tide_hub_t *hub, tide_status_t status)
{
    (void) hub;
    assert_ptr_equal (argument, &app);
    app.status = status;
}

void app_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer, size_t count)
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

const char *at_sid (const char *sid)
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
                      1000, app_answers, &app);
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

int app_set_up (void **state)
{
    (void) state;
    memset (&app, 0, sizeof app);
    loop = tide_loop_new_with (NULL, &application);
    return 0;
}

int app_tear_down (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    tide_buffer_free (&app.said);
    tide_buffer_free (&app.binary);
    tide_buffer_free (&app.answers);
    return 0;
}

void join (const char *sid, const char *topic)
{
    app.status = (tide_status_t) -1;
    tide_app_join (loop->hubs[0], sid, tide_bytes (topic), app_done, &app);
    tide_loop_run (loop);
    assert_int_equal (app.status, TIDE_OK);
}

tide_loop_client_t *wire (void)
{
    return opened_at (0);
}

tide_loop_client_t *came_in (char sid[64])
{
    tide_loop_client_t *client = wire ();
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    app.said.size = 0;
    if (sid)
        memcpy (sid, app.sid, sizeof app.sid);
    return client;
}

tide_loop_client_t *recoverable (char sid[64], char pid[64])
{
    tide_loop_client_t *client = entered_at (0, pid);
    app.said.size = 0;
    memcpy (sid, app.sid, sizeof app.sid);
    return client;
}

tide_loop_client_t *resumed (const char *pid)
{
    tide_loop_client_t *client = wire ();
    if (app.offset[0])
        tide_loop_say (client, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, app.offset);
    else
        tide_loop_say (client, "40{\"pid\":\"%s\"}", pid);
    return client;
}
