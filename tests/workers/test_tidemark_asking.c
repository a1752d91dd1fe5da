/*  test_tidemark_asking.c - libtidemark against a real broker: snapshots, and a worker's own calls.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_real_broker.h"
#include "tidemark.h"

#include <pthread.h>

static tidemark_t *client, *server;
static pthread_t runner;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned begun;
static bool is_held;

/*  -- the worker that serves ------------------------------------------------------------------ */

static int echo (tidemark_call_t *call, void *argument)
{
    (void) argument;
    pthread_mutex_lock (&lock);
    begun++;
    pthread_cond_broadcast (&changed);
    while (is_held)
        pthread_cond_wait (&changed, &lock);
    pthread_mutex_unlock (&lock);
    return (int) tidemark_ack (call, json_deep_copy (tidemark_call_args (call)));
}

static int refuse (tidemark_call_t *call, void *argument)
{
    return (int) tidemark_fail (call, TIDEMARK_FORBIDDEN, argument);
}

static int reject (tidemark_call_t *call, void *argument)
{
    return (int) tidemark_reject (call, argument);
}

static int turn_away (tidemark_call_t *call, void *argument)
{
    return (int) tidemark_refuse (call, argument, json_integer (7));
}

/*  A handler that asks the other service, from which this one's threads are free. */
static int forward (tidemark_call_t *call, void *argument)
{
    json_t *reply;
    tidemark_status_t status = tidemark_request (
        argument, "/", "echo", json_deep_copy (tidemark_call_args (call)), PATIENCE_MS, &reply);
    if (status != TIDEMARK_OK)
        return (int) tidemark_fail (call, status, tidemark_error ());
    return (int) tidemark_ack (call, reply);
}

static void *run (void *argument)
{
    return (void *) (intptr_t) tidemark_run (argument);
}

static void await_begun (unsigned count)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock (&lock);
    while (begun < count)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    pthread_mutex_unlock (&lock);
}

static void hold (bool holds)
{
    pthread_mutex_lock (&lock);
    is_held = holds;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
}

static tidemark_status_t request (const char *event, json_t *args, json_t **reply)
{
    return tidemark_request (client, "/", event, args, PATIENCE_MS, reply);
}

static int set_up (void **state)
{
    (void) state;
    begin_broker ();
    begun = 0;
    is_held = false;
    tidemark_options_t options = {.endpoint = endpoint};
    client = tidemark_connect (&options);
    server = tidemark_connect (&options);
    tidemark_service_options_t service = {.credit = 4, .attempts = 2, .delay_ms = 10};
    assert_int_equal (tidemark_handle (server, "/", "echo", echo, NULL, 0), TIDEMARK_OK);
    assert_int_equal (tidemark_handle (server, "/", "light", echo, NULL, TIDEMARK_VOLATILE),
                      TIDEMARK_OK);
    assert_int_equal (tidemark_handle (server, "/", "fail", refuse, "not you", 0), TIDEMARK_OK);
    assert_int_equal (tidemark_handle (server, "/", "mute", refuse, NULL, 0), TIDEMARK_OK);
    assert_int_equal (tidemark_handle (server, "/", "reject", reject, "never", 0), TIDEMARK_OK);
    assert_int_equal (tidemark_handle (server, "/", TIDEMARK_CONNECT, turn_away, "not\xff you", 0),
                      TIDEMARK_OK);
    assert_int_equal (tidemark_service (server, "test", &service), TIDEMARK_OK);
    assert_int_equal (pthread_create (&runner, NULL, run, server), 0);
    /*  Until it is there. */
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    while (request ("echo", NULL, NULL) != TIDEMARK_OK)
        assert_true (clock_ms () < end_ms);
    pthread_mutex_lock (&lock);
    begun = 0;
    pthread_mutex_unlock (&lock);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tidemark_stop (server);
    pthread_join (runner, NULL);
    tidemark_close (&client);
    tidemark_close (&server);
    end_broker ();
    return 0;
}

static void assert_json (json_t *value, const char *expected)
{
    char *text = value ? json_dumps (value, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    assert_non_null (text);
    assert_string_equal (text, expected);
    free (text);
    json_decref (value);
}

/*  -- requests -------------------------------------------------------------------------------- */

static void a_worker_asks_another (void **state)
{
    (void) state;
    json_t *reply;
    assert_int_equal (request ("echo", json_pack ("[is]", 1, "two"), &reply), TIDEMARK_OK);
    assert_json (reply, "[1,\"two\"]");
    assert_string_equal (tidemark_error (), "");
    assert_int_equal (request ("echo", NULL, &reply), TIDEMARK_OK);
    assert_json (reply, "[]");
    assert_int_equal (request ("echo", json_pack ("{si}", "a", 1), NULL), TIDEMARK_OK);
}

static void what_goes_wrong_is_told (void **state)
{
    (void) state;
    json_t *reply;
    assert_int_equal (request ("fail", NULL, &reply), TIDEMARK_FORBIDDEN);
    assert_null (reply);
    assert_string_equal (tidemark_error (), "not you");
    assert_int_equal (request ("mute", NULL, NULL), TIDEMARK_FORBIDDEN);
    assert_string_equal (tidemark_error (), tidemark_status_meaning (TIDEMARK_FORBIDDEN));
    assert_int_equal (request ("reject", NULL, NULL), TIDEMARK_WORKER_FAILED);
    assert_int_equal (request ("nobody", NULL, NULL), TIDEMARK_NO_WORKER);
    assert_true (strlen (tidemark_error ()) > 0);
    assert_int_equal (tidemark_request (client, "chat", "echo", NULL, 1, NULL),
                      TIDEMARK_BAD_REQUEST);
    assert_int_equal (tidemark_request (client, NULL, "echo", NULL, 1, NULL), TIDEMARK_BAD_REQUEST);
    assert_int_equal (request ("", json_pack ("[i]", 1), NULL), TIDEMARK_BAD_REQUEST);
    assert_int_equal (request (NULL, json_pack ("[i]", 1), NULL), TIDEMARK_BAD_REQUEST);
    assert_int_equal (request ("echo", json_pack ("{sb}", "_placeholder", 1), NULL),
                      TIDEMARK_BAD_REQUEST);
    char *large = calloc (1, 1100000);
    memset (large, 'x', 1099999);
    assert_int_equal (request ("echo", json_string (large), &reply), TIDEMARK_TOO_LARGE);
    free (large);
    assert_int_equal (request ("echo", json_integer (7), &reply), TIDEMARK_OK);
    assert_json (reply, "[7]");
}

/*  It keeps the client out even so: what is no message would let it in. */
static void who_refuses_says_what_of_it_is_text (void **state)
{
    (void) state;
    json_t *reply;
    assert_int_equal (request (TIDEMARK_CONNECT, NULL, &reply), TIDEMARK_OK);
    assert_json (reply, "[{\"data\":7,\"message\":\"not\"}]");
}

static void a_reply_that_comes_late_is_nobodys (void **state)
{
    (void) state;
    json_t *reply;
    hold (true);
    assert_int_equal (tidemark_request (client, "/", "echo", json_integer (1), 200, &reply),
                      TIDEMARK_TIMEOUT);
    assert_null (reply);
    await_begun (1);
    hold (false);
    assert_int_equal (request ("echo", json_integer (2), &reply), TIDEMARK_OK);
    assert_json (reply, "[2]");
}

static void *ask_one (void *argument)
{
    json_t *reply = NULL;
    tidemark_status_t status = request ("echo", json_integer ((intptr_t) argument), &reply);
    bool is_right = status == TIDEMARK_OK
                    && json_integer_value (json_array_get (reply, 0)) == (intptr_t) argument;
    json_decref (reply);
    return (void *) (intptr_t) is_right;
}

/*  The broker is killed while threads wait for their replies. */
static void replies_survive_the_broker (void **state)
{
    (void) state;
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    hold (true);
    for (intptr_t at = 0; at < THREADS; at++)
        assert_int_equal (pthread_create (&threads[at], NULL, ask_one, (void *) at), 0);
    await_begun (1);
    kill_broker ();
    start_broker ();
    hold (false);
    for (unsigned at = 0; at < THREADS; at++) {
        void *is_right;
        pthread_join (threads[at], &is_right);
        assert_true ((intptr_t) is_right);
    }
}

static void a_log_that_is_another_one_ends_what_waits (void **state)
{
    (void) state;
    pthread_t thread;
    hold (true);
    pthread_create (&thread, NULL, ask_one, (void *) 1);
    await_begun (1);
    kill_broker ();
    remove_log ();
    start_broker ();
    void *is_right;
    pthread_join (thread, &is_right);
    assert_false ((intptr_t) is_right);
    hold (false);
    /*  And goes on in the new one. */
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    while (request ("echo", NULL, NULL) != TIDEMARK_OK)
        assert_true (clock_ms () < end_ms);
}

static void a_handler_asks_another_service (void **state)
{
    (void) state;
    tidemark_options_t options = {.endpoint = endpoint};
    tidemark_t *other = tidemark_connect (&options);
    pthread_t thread;
    assert_int_equal (tidemark_handle (other, "/", "forward", forward, other, 0), TIDEMARK_OK);
    assert_int_equal (tidemark_service (other, "other", NULL), TIDEMARK_OK);
    pthread_create (&thread, NULL, run, other);
    json_t *reply;
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    while (request ("forward", json_integer (5), &reply) != TIDEMARK_OK)
        assert_true (clock_ms () < end_ms);
    assert_json (reply, "[5]");
    tidemark_stop (other);
    pthread_join (thread, NULL);
    tidemark_close (&other);
}

/*  The path of what is volatile may not be there at first: such a reply may be dropped. */
static void a_volatile_call_is_answered (void **state)
{
    (void) state;
    json_t *reply;
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    while (tidemark_request (client, "/", "light", json_integer (3), 500, &reply) != TIDEMARK_OK)
        assert_true (clock_ms () < end_ms);
    assert_json (reply, "[3]");
}

/*  -- snapshots ------------------------------------------------------------------------------- */

static uint64_t publish (const char *topic, const char *key, json_t *args)
{
    uint64_t seq = 0;
    tidemark_event_options_t options = {.key = key};
    assert_int_equal (tidemark_publish (client, topic, "set", args, &options, PATIENCE_MS, &seq),
                      TIDEMARK_OK);
    return seq;
}

/*  Without what differs from run to run. */
static json_t *plain (json_t *event)
{
    assert_true (json_integer_value (json_object_get (event, "time")) > 0);
    assert_true (json_integer_value (json_object_get (event, "seq")) > 0);
    json_object_del (event, "time");
    json_object_del (event, "seq");
    return event;
}

static void what_stands_is_there_at_once (void **state)
{
    (void) state;
    json_t *found;
    uint64_t seq = 0, last;
    publish ("room/a", "k", json_integer (1));
    publish ("room/a", "k", json_pack ("[ii]", 1, 2));
    publish ("room", "l", json_pack ("{si}", "x", 3));
    last = publish ("elsewhere", "m", json_integer (4));
    assert_int_equal (tidemark_snapshot (client, "room/a", PATIENCE_MS, &found, &seq), TIDEMARK_OK);
    assert_true (seq == last);
    assert_int_equal (json_object_size (found), 1);
    assert_json (json_incref (plain (json_object_get (found, "k"))),
                 "{\"args\":[1,2],\"event\":\"set\",\"key\":\"k\",\"topic\":\"room/a\"}");
    json_decref (found);
    assert_int_equal (tidemark_snapshot (client, "room/#", PATIENCE_MS, &found, NULL), TIDEMARK_OK);
    assert_int_equal (json_object_size (found), 2);
    json_t *event = json_object_get (json_object_get (found, "room"), "l");
    assert_json (json_incref (plain (event)),
                 "{\"data\":{\"x\":3},\"event\":\"set\",\"key\":\"l\",\"topic\":\"room\"}");
    json_decref (found);
    assert_int_equal (tidemark_snapshot (client, "nothing", PATIENCE_MS, &found, &seq),
                      TIDEMARK_OK);
    assert_json (found, "{}");
    assert_int_equal (tidemark_snapshot (client, "a#", PATIENCE_MS, &found, &seq),
                      TIDEMARK_BAD_TOPIC);
    assert_null (found);
}

/*  More than one part. */
static void a_large_one_is_whole (void **state)
{
    (void) state;
    enum { KEYS = 3000 };
    char key[16], text[301];
    json_t *found;
    memset (text, 'x', 300);
    text[300] = '\0';
    for (unsigned at = 0; at < KEYS; at++) {
        snprintf (key, sizeof key, "k%u", at);
        tidemark_event_options_t options = {.key = key};
        assert_int_equal (tidemark_publish_async (client, "large", "set", json_string (text),
                                                  &options, NULL, NULL),
                          TIDEMARK_OK);
    }
    publish ("large", "last", NULL);
    assert_int_equal (tidemark_snapshot (client, "large", PATIENCE_MS, &found, NULL), TIDEMARK_OK);
    assert_int_equal (json_object_size (found), KEYS + 1);
    json_decref (found);
}

static void a_broker_that_is_away_is_waited_for (void **state)
{
    (void) state;
    json_t *found;
    publish ("t", "k", NULL);
    kill_broker ();
    assert_int_equal (tidemark_snapshot (client, "t", 50, &found, NULL), TIDEMARK_TIMEOUT);
    assert_null (found);
    assert_true (strlen (tidemark_error ()) > 0);
    start_broker ();
    assert_int_equal (tidemark_snapshot (client, "t", PATIENCE_MS, &found, NULL), TIDEMARK_OK);
    assert_int_equal (json_object_size (found), 1);
    json_decref (found);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (a_worker_asks_another),
        TEST (what_goes_wrong_is_told),
        TEST (who_refuses_says_what_of_it_is_text),
        TEST (a_reply_that_comes_late_is_nobodys),
        TEST (replies_survive_the_broker),
        TEST (a_log_that_is_another_one_ends_what_waits),
        TEST (a_handler_asks_another_service),
        TEST (a_volatile_call_is_answered),
        TEST (what_stands_is_there_at_once),
        TEST (a_large_one_is_whole),
        TEST (a_broker_that_is_away_is_waited_for),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
