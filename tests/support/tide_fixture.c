/*  tide_fixture.c - the loop that a test begins with, and clients of it that poll.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

tide_loop_t *loop;

int set_up (void **state)
{
    (void) state;
    loop = tide_loop_new (NULL);
    return 0;
}

int tear_down (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    return 0;
}

/*  -- what a client hears --------------------------------------------------------------------- */

static void assert_begins (const char *frame, const char *begin)
{
    if (!frame || strncmp (frame, begin, strlen (begin)) != 0)
        fail_msg ("expected %s, not %s", begin, frame ? frame : "silence");
}

void assert_hears (tide_loop_client_t *client, const char *begin)
{
    assert_begins (tide_loop_hear (client), begin);
}

void assert_gets (tide_loop_client_t *client, const char *begin)
{
    assert_begins (hear (client), begin);
}

const char *hear (tide_loop_client_t *client)
{
    const char *frame = tide_loop_hear (client);
    if (frame && strcmp (frame, "2") == 0) {
        tide_loop_say (client, "3");
        frame = tide_loop_hear (client);
    }
    return frame;
}

size_t count_heard (tide_loop_client_t *client, const char *begin)
{
    size_t count = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        count += strncmp (frame, begin, strlen (begin)) == 0;
    return count;
}

void take_text (const char *frame, const char *name, char text[64])
{
    json_t *object = frame ? json_loads (strchr (frame, '{'), 0, NULL) : NULL;
    const char *found = json_string_value (json_object_get (object, name));
    if (!found)
        fail_msg ("no %s in %s", name, frame ? frame : "silence");
    snprintf (text, 64, "%s", found);
    json_decref (object);
}

/*  -- WebSockets ------------------------------------------------------------------------------ */

tide_loop_client_t *opened_at (unsigned hub)
{
    tide_loop_client_t *client = tide_loop_open (loop, hub, TIDE_CLIENT_SOCKETIO);
    assert_hears (client, "0{");
    return client;
}

tide_loop_client_t *asking_at (unsigned hub, const char *pid)
{
    tide_loop_client_t *client = opened_at (hub);
    if (pid)
        tide_loop_say (client, "40{\"pid\":\"%s\"}", pid);
    else
        tide_loop_say (client, "40");
    return client;
}

void assert_is_in (tide_loop_client_t *client, char pid[64])
{
    const char *frame = tide_loop_hear (client);
    assert_begins (frame, "40{");
    take_text (frame, "pid", pid);
}

tide_loop_client_t *entered_at (unsigned hub, char pid[64])
{
    tide_loop_client_t *client = asking_at (hub, NULL);
    assert_is_in (client, pid);
    return client;
}

tide_loop_client_t *json_client (void)
{
    return tide_loop_open (loop, THIRD, TIDE_CLIENT_JSON);
}

/*  -- clients that poll ----------------------------------------------------------------------- */

static tide_loop_client_t *connected_at (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
    assert_hears (client, "0{");
    client->gets_at = gets_at;
    client->posts_at = posts_at;
    tide_loop_say (client, "40");
    assert_hears (client, "40{");
    return client;
}

tide_loop_client_t *connected (void)
{
    return connected_at (HOLDER, HOLDER);
}

tide_loop_client_t *subscribed (void)
{
    return subscribed_at (HOLDER, HOLDER);
}

tide_loop_client_t *subscribed_at (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = connected_at (gets_at, posts_at);
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (client, "431[{\"ok\":true");
    assert_int_equal (client->poll_hub, gets_at);
    return client;
}

void stall (tide_loop_client_t *client)
{
    client->is_stalled = true;
    tide_loop_publish (loop, "lobby", 0);
    assert_hears (client, "42[\"n\",0");
    assert_int_equal (client->poll, 0);
}

tide_loop_client_t *idle (void)
{
    return idle_at (HOLDER, HOLDER);
}

tide_loop_client_t *idle_at (unsigned gets_at, unsigned posts_at)
{
    tide_loop_client_t *client = subscribed_at (gets_at, posts_at);
    stall (client);
    return client;
}

tide_loop_client_t *ended (void)
{
    tide_loop_client_t *client = idle ();
    tide_loop_publish (loop, "lobby", 5);
    tide_loop_say (client, "42/elsewhere,[\"x\"]");
    assert_int_equal (client->post_status, 400);
    return client;
}

void get (tide_loop_client_t *client)
{
    tide_loop_get (client);
    tide_loop_run (loop);
}

void query_of (const tide_loop_client_t *client, char query[160])
{
    snprintf (query, 160, "EIO=4&transport=polling&sid=%s", client->sid);
}

void assert_was_refused (int code)
{
    char body[32];
    snprintf (body, sizeof body, "{\"code\":%d,", code);
    assert_int_equal (loop->http_status, 400);
    assert_memory_equal (loop->http_body, body, strlen (body));
}

void assert_refused (const tide_loop_client_t *client, unsigned hub, const char *method, int code)
{
    char query[160];
    query_of (client, query);
    tide_loop_engineio (loop, hub, method, query, strcmp (method, "GET") == 0 ? NULL : "");
    assert_was_refused (code);
}

void assert_forgotten (const tide_loop_client_t *client)
{
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        assert_refused (client, hub, "GET", TIDE_ENGINEIO_SESSION_UNKNOWN);
        assert_refused (client, hub, "POST", TIDE_ENGINEIO_SESSION_UNKNOWN);
    }
}

void assert_alive (tide_loop_client_t *client)
{
    tide_loop_publish (loop, "lobby", 77);
    if (client->poll == 0 && client->is_stalled)
        get (client);
    assert_hears (client, "42[\"n\",77");
    assert_null (tide_loop_hear (client));
}

/*  -- those that take nothing ----------------------------------------------------------------- */

void publish_much (const char *topic, const char *key, size_t size)
{
    tide_buffer_t body = {0};
    tide_buffer_printf (&body, "{\"topic\":\"%s\",\"event\":\"n\",", topic);
    if (*key)
        tide_buffer_printf (&body, "\"key\":\"%s\",", key);
    tide_buffer_append_text (&body, "\"data\":\"");
    for (size_t at = 0; at < size; at++)
        tide_put_u8 (&body, 'x');
    tide_buffer_append_text (&body, "\"}");
    tide_put_u8 (&body, 0);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", (const char *) body.data);
    assert_int_equal (loop->http_status, 200);
    tide_buffer_free (&body);
}

void ask_for_much (tide_loop_client_t *client, int count)
{
    tide_buffer_t body = {0};
    for (int at = 0; at < count; at++)
        tide_buffer_printf (&body, "%s421[\"tide:history\",{\"topic\":\"big\"}]",
                            at > 0 ? "\x1e" : "");
    tide_loop_post (client, tide_buffer_bytes (&body));
    tide_buffer_free (&body);
    tide_loop_run (loop);
}

/*  One answer with this is more than what is written at once. */
tide_loop_client_t *overwhelmed (void)
{
    publish_much ("big", "", 90000);
    tide_loop_client_t *client = idle ();
    ask_for_much (client, 4);
    assert_int_equal (client->post_status, 200);
    assert_int_equal (client->post, 0);
    return client;
}

/*  -- WebSockets that take a session over ----------------------------------------------------- */

tide_loop_client_t *probed_at (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    assert_non_null (probe->connection);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    return probe;
}

tide_loop_client_t *taken_to (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = probed_at (client, hub);
    tide_loop_say (probe, "5");
    assert_non_null (probe->connection);
    return probe;
}

/*  -- between the lanes ----------------------------------------------------------------------- */

void hold (tide_message_kind_t kind)
{
    loop->held_kinds[HOLDER] |= 1ull << kind;
    loop->held_kinds[OTHER] |= 1ull << kind;
}

void refuse_held (tide_status_t code)
{
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        loop->held_kinds[hub] = 0;
    for (unsigned at = 0; at < loop->held_count; at++) {
        tide_message_t message, fail = {.kind = TIDE_MESSAGE_FAIL};
        tide_buffer_t answer = {0};
        const char *why;
        assert_int_equal (
            tide_message_decode (tide_buffer_bytes (&loop->held[at].bytes), &message, &why),
            TIDE_OK);
        if (message.kind == TIDE_MESSAGE_PUBLISH) {
            fail.fail.request = message.publish.request;
            fail.fail.code = (uint8_t) code;
            fail.fail.message = tide_bytes (tide_status_meaning (code));
            tide_message_encode (&answer, &fail);
            tide_hub_receive (loop->hubs[loop->held[at].hub], loop->now_ms,
                              tide_buffer_bytes (&answer));
        }
        tide_buffer_free (&answer);
        tide_buffer_free (&loop->held[at].bytes);
    }
    loop->held_count = 0;
    tide_loop_run (loop);
}

void start (stock_t *client)
{
    stock_start_at (client, HOLDER, NULL, true);
    loop = client->loop;
}

void start_and_hear (stock_t *client, unsigned gets_at, int last)
{
    start (client);
    client->wire->gets_at = gets_at;
    stock_publish (client, 1, last);
    stock_listen (client);
}
