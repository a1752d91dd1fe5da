/*  test_tidemark.c - libtidemark against a real broker: calls, replies, kills.
 *
 *  A caller of the test's own speaks tide_link over a plain DEALER, as a gateway does, and reads
 *  the replies in the topic of its session. Conditions are waited for, never a time.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_link.h"
#include "tide_real_broker.h"
#include "tidemark.h"

#include <pthread.h>
#include <zmq.h>

/*  -- the caller ------------------------------------------------------------------------------ */

static struct {
    void *context, *dealer;
    tide_link_t *link;
    uint64_t awaited;
    bool is_answered;
    tide_status_t status;
    /*  Of the page that was read: what it holds of replies. */
    unsigned replies;
    uint8_t code;
    char json[200], name[64];
    const char *session; /* the topic of the record of who calls; NULL: there is none */
} caller;

static void look_at_page (const tide_page_message_t *page)
{
    tide_list_t list = page->events;
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        tide_args_t args;
        tide_replied_t replied;
        snprintf (caller.name, sizeof caller.name, "%.*s", TIDE_PRINT (event.name));
        if (tide_args_decode (event.payload, &args) != TIDE_OK)
            continue;
        snprintf (caller.json, sizeof caller.json, "%.*s", TIDE_PRINT (args.json));
        if (tide_replied_decode (args.about, &replied))
            caller.code = replied.code;
        caller.replies++;
    }
}

static void act (void)
{
    tide_link_action_t action;
    while (tide_link_next_action (caller.link, &action)) {
        if (action.kind == TIDE_LINK_CONNECT) {
            if (caller.dealer)
                zmq_close (caller.dealer);
            caller.dealer = zmq_socket (caller.context, ZMQ_DEALER);
            int linger = 0;
            zmq_setsockopt (caller.dealer, ZMQ_LINGER, &linger, sizeof linger);
            assert_int_equal (zmq_connect (caller.dealer, endpoint), 0);
        }
        else if (action.kind == TIDE_LINK_SEND)
            zmq_send (caller.dealer, action.bytes.data, action.bytes.size, ZMQ_DONTWAIT);
        else if (action.kind == TIDE_LINK_ANSWER && action.token == caller.awaited) {
            caller.is_answered = true;
            caller.status = action.message->kind == TIDE_MESSAGE_FAIL
                                ? (tide_status_t) action.message->fail.code
                                : TIDE_OK;
            if (action.message->kind == TIDE_MESSAGE_PAGE)
                look_at_page (&action.message->page);
        }
    }
}

static tide_status_t ask (tide_message_t *message)
{
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    caller.is_answered = false;
    caller.awaited = tide_link_request (caller.link, clock_ms (), message);
    while (!caller.is_answered) {
        act ();
        zmq_pollitem_t item = {caller.dealer, 0, ZMQ_POLLIN, 0};
        zmq_poll (&item, 1, 20);
        zmq_msg_t part;
        zmq_msg_init (&part);
        while (zmq_msg_recv (&part, caller.dealer, ZMQ_DONTWAIT) >= 0)
            tide_link_receive (caller.link, clock_ms (),
                               (tide_bytes_t){zmq_msg_data (&part), zmq_msg_size (&part)});
        zmq_msg_close (&part);
        tide_link_tick (caller.link, clock_ms ());
        act ();
        assert_true (clock_ms () < end_ms);
    }
    return caller.status;
}

static tide_status_t call (const char *event, const char *sid, const char *json)
{
    tide_buffer_t payload = {0};
    tide_args_t args = {.many = true, .json = tide_bytes (json)};
    char id[64];
    tide_args_encode (&payload, &args);
    tide_link_make_id (caller.link, id);
    tide_message_t message = {.kind = TIDE_MESSAGE_CALL};
    message.call.nsp = tide_bytes ("/");
    message.call.event = tide_bytes (event);
    message.call.id = tide_bytes (id);
    message.call.from = tide_bytes (sid);
    message.call.wanted = tide_bytes ("7");
    message.call.session = tide_bytes (caller.session ? caller.session : "");
    message.call.payload = tide_buffer_bytes (&payload);
    tide_status_t status = ask (&message);
    tide_buffer_free (&payload);
    return status;
}

/*  Calls until somebody serves it: a worker is still joining. */
static void call_served (const char *event, const char *sid, const char *json)
{
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    while (call (event, sid, json) != TIDE_OK)
        assert_true (clock_ms () < end_ms);
}

/*  Reads the topic until it holds so many events. */
static void await_events (const char *topic, unsigned count)
{
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    do {
        tide_buffer_t wants = {0};
        caller.replies = 0;
        tide_want_append (&wants, &(tide_want_t){tide_bytes (topic), 0});
        tide_message_t message = {.kind = TIDE_MESSAGE_READ};
        message.read.limit = 1000;
        message.read.size_max = 100000;
        message.read.wants = tide_list (&wants, 1);
        assert_int_equal (ask (&message), TIDE_OK);
        tide_buffer_free (&wants);
        assert_true (clock_ms () < end_ms);
    } while (caller.replies < count);
    assert_int_equal (caller.replies, count);
}

/*  -- the worker ------------------------------------------------------------------------------ */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned begun, attempt;
    bool may_go_on;
    tidemark_status_t again; /* what a second answer was told */
    tidemark_call_t *kept;
    char came[200]; /* of the steps of those who came in */
    int told_fd;    /* another process's test hears of a call that began */
} scene_t;

static scene_t scene;
static tidemark_t *client;
static pthread_t runner;

static void note (tidemark_call_t *each)
{
    pthread_mutex_lock (&scene.lock);
    scene.begun++;
    scene.attempt = tidemark_call_attempt (each);
    if (scene.told_fd > 0)
        assert_int_equal (write (scene.told_fd, "b", 1), 1);
    pthread_cond_broadcast (&scene.changed);
    pthread_mutex_unlock (&scene.lock);
}

static unsigned last_attempt (void)
{
    pthread_mutex_lock (&scene.lock);
    unsigned attempt = scene.attempt;
    pthread_mutex_unlock (&scene.lock);
    return attempt;
}

static void await_begun (unsigned count)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock (&scene.lock);
    while (scene.begun < count)
        assert_int_equal (pthread_cond_timedwait (&scene.changed, &scene.lock, &end), 0);
    pthread_mutex_unlock (&scene.lock);
}

/*  What came of all steps since the last time. */
static void await_came (const char *expected)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock (&scene.lock);
    while (strlen (scene.came) < strlen (expected))
        assert_int_equal (pthread_cond_timedwait (&scene.changed, &scene.lock, &end), 0);
    assert_string_equal (scene.came, expected);
    scene.came[0] = '\0';
    pthread_mutex_unlock (&scene.lock);
}

static int echo (tidemark_call_t *each, void *argument)
{
    (void) argument;
    char topic[TIDEMARK_TOPIC_SIZE], except[TIDEMARK_TOPIC_SIZE];
    tidemark_topic_of_room (topic, tidemark_call_namespace (each), "lobby");
    tidemark_topic_of_session (except, tidemark_call_from (each));
    tidemark_event_options_t options = {.except = except};
    tidemark_status_t status =
        tidemark_emit (each, topic, "said", json_pack ("[s]", "hello"), &options);
    if (status == TIDEMARK_OK)
        status = tidemark_ack (each, json_deep_copy (tidemark_call_args (each)));
    scene.again = tidemark_ack (each, NULL);
    note (each);
    return (int) status;
}

static int refuse (tidemark_call_t *each, void *argument)
{
    (void) argument;
    return (int) tidemark_fail (each, TIDEMARK_FORBIDDEN, "not you");
}

static int reject (tidemark_call_t *each, void *argument)
{
    (void) argument;
    return (int) tidemark_reject (each, "never");
}

/*  What it appends has an id that another event may have. */
static int clash (tidemark_call_t *each, void *argument)
{
    (void) argument;
    tidemark_event_options_t options = {.id = "same"};
    tidemark_emit (each, "lobby", "said", json_deep_copy (tidemark_call_args (each)), &options);
    return (int) tidemark_ack (each, NULL);
}

/*  Fails without a word the first time, and says so the second time; then it is done. */
static int third_time (tidemark_call_t *each, void *argument)
{
    (void) argument;
    note (each);
    unsigned attempt = tidemark_call_attempt (each);
    return attempt == 1 ? -1 : attempt == 2 ? (int) tidemark_retry (each, 1) : 0;
}

/*  The first attempt waits until it may go on; later ones are done at once. */
static int hold (tidemark_call_t *each, void *argument)
{
    (void) argument;
    note (each);
    pthread_mutex_lock (&scene.lock);
    while (tidemark_call_attempt (each) == 1 && !scene.may_go_on)
        pthread_cond_wait (&scene.changed, &scene.lock);
    pthread_mutex_unlock (&scene.lock);
    return 0;
}

static int keep (tidemark_call_t *each, void *argument)
{
    (void) argument;
    tidemark_keep (each);
    scene.kept = each;
    note (each);
    return 0;
}

/*  Busy for so long that a worker that is silent meanwhile is dead. */
static int slow (tidemark_call_t *each, void *argument)
{
    (void) argument;
    note (each);
    uint64_t end_ms = clock_ms () + 5000;
    while (clock_ms () < end_ms)
        sched_yield ();
    return 0;
}

/*  -- who comes in ---------------------------------------------------------------------------- */

/*  What a step says, and what comes of it. */
static json_t *step (tidemark_call_t *each, const char *what, json_t *value)
{
    static const char much[60000];
    json_t *data = NULL;
    tidemark_status_t status = TIDEMARK_OK;
    if (strcmp (what, "set") == 0)
        status = tidemark_session_set (each, json_incref (value));
    else if (strcmp (what, "set much") == 0)
        status = tidemark_session_set (each,
                                       tidemark_binary (much, (size_t) json_integer_value (value)));
    else if (strcmp (what, "set deep") == 0) {
        for (json_int_t depth = json_integer_value (value); depth > 0; depth--)
            data = json_pack ("[o*]", data);
        status = tidemark_session_set (each, data);
    }
    else if (strcmp (what, "set nothing") == 0)
        status = tidemark_session_set (each, NULL);
    else if (strcmp (what, "get") == 0) {
        status = tidemark_session_get (each, &data);
        if (status == TIDEMARK_OK)
            return data ? data : json_string ("nothing");
    }
    else if (strcmp (what, "ack") == 0)
        status = tidemark_ack (each, json_incref (value));
    else if (strcmp (what, "refuse") == 0)
        status = tidemark_refuse (each, json_string_value (value), NULL);
    else if (strcmp (what, "fail") == 0)
        status = tidemark_fail (each, TIDEMARK_FORBIDDEN, "not you");
    else if (strcmp (what, "retry first") == 0 && tidemark_call_attempt (each) == 1)
        status = tidemark_retry (each, 1);
    else
        status = TIDEMARK_OK;
    return json_integer (status);
}

/*  Does what the client sent, step by step: {what:value}. */
static int steps (tidemark_call_t *each, json_t *said)
{
    size_t at;
    json_t *one, *value;
    const char *what;
    json_array_foreach (said, at, one)
        json_object_foreach (one, what, value) {
            json_t *came = step (each, what, value);
            char *text = json_dumps (came, JSON_COMPACT | JSON_ENCODE_ANY);
            pthread_mutex_lock (&scene.lock);
            size_t size = strlen (scene.came);
            snprintf (scene.came + size, sizeof scene.came - size, "%s ", text);
            pthread_cond_broadcast (&scene.changed);
            pthread_mutex_unlock (&scene.lock);
            free (text);
            json_decref (came);
        }
    return 0;
}

static int at_the_gate (tidemark_call_t *each, void *argument)
{
    (void) argument;
    if (strcmp (tidemark_call_event (each), TIDEMARK_CONNECT) != 0)
        return 0;
    return steps (each, json_object_get (json_array_get (tidemark_call_args (each), 0), "gate"));
}

static int at_the_door (tidemark_call_t *each, void *argument)
{
    (void) argument;
    steps (each, json_object_get (json_array_get (tidemark_call_args (each), 0), "door"));
    note (each);
    return 0;
}

static void *run (void *argument)
{
    return (void *) (intptr_t) tidemark_run (argument);
}

static tidemark_t *connect_worker (void)
{
    tidemark_options_t options = {.endpoint = endpoint, .name = "test"};
    tidemark_t *made = tidemark_connect (&options);
    static const struct {
        const char *event;
        tidemark_handler_fn *handler;
    } handlers[] = {{"echo", echo},        {"fail", refuse}, {"reject", reject},
                    {"third", third_time}, {"hold", hold},   {"keep", keep},
                    {"slow", slow},        {"clash", clash}, {TIDEMARK_CONNECT, at_the_door}};
    for (size_t at = 0; at < sizeof handlers / sizeof handlers[0]; at++)
        assert_int_equal (tidemark_handle (made, "/", handlers[at].event, handlers[at].handler,
                                           NULL, TIDEMARK_UNORDERED),
                          TIDEMARK_OK);
    assert_int_equal (tidemark_use (made, "/", at_the_gate, NULL), TIDEMARK_OK);
    tidemark_service_options_t service = {.credit = 1, .delay_ms = 10};
    assert_int_equal (tidemark_service (made, "test", &service), TIDEMARK_OK);
    return made;
}

static void stop_worker (void)
{
    void *status;
    tidemark_stop (client);
    pthread_join (runner, &status);
    assert_int_equal ((intptr_t) status, TIDEMARK_OK);
    tidemark_close (&client);
}

static int set_up (void **state)
{
    (void) state;
    begin_broker ();
    memset (&caller, 0, sizeof caller);
    caller.context = zmq_ctx_new ();
    caller.link = tide_link_new (&(tide_link_config_t){.name = "caller", .origin = "caller"});
    tide_link_start (caller.link, clock_ms ());
    memset (&scene, 0, sizeof scene);
    pthread_mutex_init (&scene.lock, NULL);
    pthread_cond_init (&scene.changed, NULL);
    client = connect_worker ();
    pthread_create (&runner, NULL, run, client);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    if (client)
        stop_worker ();
    tide_link_destroy (&caller.link);
    if (caller.dealer)
        zmq_close (caller.dealer);
    zmq_ctx_term (caller.context);
    end_broker ();
    return 0;
}

/*  -- the tests ------------------------------------------------------------------------------- */

static void a_call_is_answered_once (void **state)
{
    (void) state;
    call_served ("echo", "sid", "[\"hello\",2]");
    await_events ("@sid", 1);
    assert_string_equal (caller.name, "$reply");
    assert_string_equal (caller.json, "[\"hello\",2]");
    assert_int_equal (caller.code, TIDE_OK);
    await_begun (1);
    assert_int_equal (scene.again, TIDEMARK_CONFLICT);
    await_events ("lobby", 1);
    assert_string_equal (caller.name, "said");
}

static void a_handler_may_fail_or_reject (void **state)
{
    (void) state;
    call_served ("fail", "one", "[]");
    await_events ("@one", 1);
    assert_int_equal (caller.code, TIDE_FORBIDDEN);
    call_served ("reject", "two", "[]");
    await_events ("@two", 1);
    assert_int_equal (caller.code, TIDE_WORKER_FAILED);
    await_events ("$dead/test", 1);
}

static void what_is_retried_comes_again (void **state)
{
    (void) state;
    call_served ("third", "sid", "[]");
    await_events ("@sid", 1);
    assert_int_equal (caller.code, TIDE_OK);
    assert_int_equal (last_attempt (), 3);
}

static void a_kept_call_is_answered_later (void **state)
{
    (void) state;
    call_served ("keep", "sid", "[]");
    await_begun (1);
    assert_int_equal (tidemark_extend (scene.kept, 0), TIDEMARK_OK);
    assert_int_equal (tidemark_ack (scene.kept, json_pack ("[i]", 5)), TIDEMARK_OK);
    assert_int_equal (tidemark_fail (scene.kept, TIDEMARK_TIMEOUT, "late"), TIDEMARK_CONFLICT);
    tidemark_call_destroy (&scene.kept);
    await_events ("@sid", 1);
    assert_string_equal (caller.json, "5");
}

static void ends_that_are_refused_are_counted (void **state)
{
    (void) state;
    tidemark_counts_t counts;
    call_served ("clash", "one", "[1]");
    await_events ("@one", 1);
    tidemark_counts (client, &counts);
    assert_int_equal (counts.lent, 1);
    assert_int_equal (counts.refused + counts.unknown + counts.returned + counts.waiting, 0);
    assert_int_equal (call ("clash", "two", "[2]"), TIDE_OK);
    for (uint64_t end_ms = clock_ms () + PATIENCE_MS; counts.refused == 0;) {
        tidemark_counts (client, &counts);
        assert_true (clock_ms () < end_ms);
        sched_yield ();
    }
}

/*  What is set of a session that is new is kept, read back, and carried by the answer that lets it
 *  in: as what the gateway is to write with its record. */
static void what_is_set_of_who_comes_in_goes_with_the_answer (void **state)
{
    (void) state;
    static const struct {
        const char *auth, *came, *answer;
        uint8_t code;
    } cases[] = {
        {"{\"door\":[{\"get\":0}]}", "\"nothing\" ", "[]"},
        {"{\"door\":[{\"set\":{\"n\":1}},{\"get\":0}]}", "0 {\"n\":1} ", "{\"#data\":{\"n\":1}}"},
        {"{\"door\":[{\"set\":1},{\"set\":2},{\"get\":0},{\"ack\":[\"x\",\"y\"]}]}", "0 0 2 0 ",
         "{\"#data\":2}"},
        {"{\"door\":[{\"set\":null},{\"get\":0}]}", "0 null ", "{\"#data\":null}"},
        {"{\"door\":[{\"set\":1},{\"set nothing\":0},{\"get\":0}]}", "0 0 \"nothing\" ", "[]"},
        {"{\"gate\":[{\"set\":[\"gate\"]}],\"door\":[{\"get\":0}]}", "0 [\"gate\"] ",
         "{\"#data\":[\"gate\"]}"},
        {"{\"gate\":[{\"set\":1},{\"ack\":[]}],\"door\":[{\"set\":2}]}", "0 0 ", "{\"#data\":1}"},
        /*  Who is kept out has nothing. */
        {"{\"door\":[{\"set\":1},{\"refuse\":\"no\"}]}", "0 0 ", "{\"message\":\"no\"}"},
        {"{\"door\":[{\"set\":1},{\"ack\":{\"message\":\"no\"}}]}", "0 0 ", "{\"message\":\"no\"}"},
        {"{\"door\":[{\"set\":1},{\"ack\":[{\"message\":\"no\"},2]}]}", "0 0 ",
         "[{\"message\":\"no\"},2]"},
        {"{\"door\":[{\"set\":1},{\"fail\":0}]}", "0 0 ", "[]", TIDE_FORBIDDEN},
        /*  The next attempt begins anew. */
        {"{\"door\":[{\"get\":0},{\"set\":1},{\"retry first\":0}]}",
         "\"nothing\" 0 0 \"nothing\" 0 0 ", "{\"#data\":1}"},
        /*  What cannot be kept is refused, and changes nothing. */
        {"{\"door\":[{\"set\":1},{\"set much\":60000},{\"set deep\":1100},{\"get\":0}]}",
         "0 4 3 1 ", "{\"#data\":1}"},
        {"{\"door\":[{\"set\":{\"$binary\":\"AQ==\"}},{\"get\":0}]}", "0 {\"$binary\":\"AQ==\"} ",
         "{\"#data\":{\"_placeholder\":true,\"num\":0}}"},
        {"{\"door\":[{\"set\":{\"$binary\":7}},{\"get\":0}]}", "1 \"nothing\" ", "[]"},
        /*  When it has been let in, its record is asked for. */
        {"{\"door\":[{\"set\":1},{\"ack\":[]},{\"set\":2},{\"get\":0}]}", "0 0 11 11 ",
         "{\"#data\":1}"},
    };
    caller.session = "$session/nowhere";
    for (unsigned at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        char args[300], sid[16], topic[24];
        snprintf (args, sizeof args, "[%s,false]", cases[at].auth);
        snprintf (sid, sizeof sid, "in%u", at);
        snprintf (topic, sizeof topic, "@%s", sid);
        caller.code = 0;
        call_served (TIDEMARK_CONNECT, sid, args);
        await_events (topic, 1);
        assert_string_equal (caller.json, cases[at].answer);
        assert_int_equal (caller.code, cases[at].code);
        await_came (cases[at].came);
    }
}

/*  One that goes on, or has none, has no record that waits to be written. */
static void who_has_a_record_or_never_will_is_asked_of_the_log (void **state)
{
    (void) state;
    static const struct {
        const char *session, *args;
    } cases[] = {
        {"$session/nowhere", "[{\"door\":[{\"set\":1},{\"get\":0}]},true]"},
        {NULL, "[{\"door\":[{\"set\":1},{\"get\":0}]},false]"},
        {"$session/nowhere", "[{\"door\":[{\"set\":1},{\"get\":0}]}]"},
    };
    for (unsigned at = 0; at < 3; at++) {
        char sid[16], topic[24];
        snprintf (sid, sizeof sid, "on%u", at);
        snprintf (topic, sizeof topic, "@%s", sid);
        caller.session = cases[at].session;
        call_served (TIDEMARK_CONNECT, sid, cases[at].args);
        await_events (topic, 1);
        assert_string_equal (caller.json, "[]");
        await_came ("11 11 ");
    }
}

static void calls_survive_the_broker (void **state)
{
    (void) state;
    for (unsigned at = 0; at < 5; at++)
        call_served ("hold", "sid", "[]");
    await_begun (1);
    kill_broker ();
    start_broker ();
    /*  The first one comes again to a second thread, while the first is still in its handler. */
    pthread_t second;
    pthread_create (&second, NULL, run, client);
    await_begun (2);
    pthread_mutex_lock (&scene.lock);
    assert_true (scene.attempt > 1);
    scene.may_go_on = true;
    pthread_cond_broadcast (&scene.changed);
    pthread_mutex_unlock (&scene.lock);
    await_events ("@sid", 5);
    tidemark_stop (client);
    pthread_join (second, NULL);
}

static void a_slow_handler_is_not_dead (void **state)
{
    (void) state;
    call_served ("slow", "sid", "[]");
    await_events ("@sid", 1);
    assert_int_equal (last_attempt (), 1);
}

/*  A worker's process dies with a call in hand. */
static void another_worker_gets_the_calls (void **state)
{
    (void) state;
    stop_worker ();
    int told[2];
    assert_int_equal (pipe (told), 0);
    pid_t dying = fork ();
    if (dying == 0) {
        scene.told_fd = told[1];
        client = connect_worker ();
        tidemark_run (client);
        _exit (0);
    }
    close (told[1]);
    call_served ("hold", "sid", "[]");
    char byte;
    assert_int_equal (read (told[0], &byte, 1), 1);
    close (told[0]);
    kill (dying, SIGKILL);
    waitpid (dying, NULL, 0);
    client = connect_worker ();
    pthread_create (&runner, NULL, run, client);
    await_begun (1);
    await_events ("@sid", 1);
    assert_int_equal (caller.code, TIDE_OK);
    assert_int_equal (last_attempt (), 2);
}

/*  Another service's handler, while that service has workers. */
static void a_refusal_ends_the_run (void **state)
{
    (void) state;
    call_served ("echo", "sid", "[]");
    tidemark_options_t options = {.endpoint = endpoint};
    tidemark_t *other = tidemark_connect (&options);
    assert_int_equal (tidemark_run (other), TIDEMARK_BAD_REQUEST);
    assert_int_equal (tidemark_handle (other, "/", "echo", echo, NULL, 0), TIDEMARK_OK);
    assert_int_equal (tidemark_service (other, "other", NULL), TIDEMARK_OK);
    assert_int_equal (tidemark_run (other), TIDEMARK_CONFLICT);
    assert_true (strlen (tidemark_message (other)) > 0);
    tidemark_close (&other);
    options.endpoint = "nowhere";
    assert_null (tidemark_connect (&options));
}

static void on_done (void *argument, const tidemark_result_t *result)
{
    (void) argument;
    pthread_mutex_lock (&scene.lock);
    scene.begun += result->status == TIDEMARK_OK;
    pthread_cond_broadcast (&scene.changed);
    pthread_mutex_unlock (&scene.lock);
}

static void events_wait_for_the_broker (void **state)
{
    (void) state;
    uint64_t seq = 0, again = 0;
    tidemark_event_options_t options = {.key = "k", .id = "one"};
    assert_int_equal (
        tidemark_publish (client, "shelf", "put", json_integer (1), &options, PATIENCE_MS, &seq),
        TIDEMARK_OK);
    assert_int_equal (
        tidemark_publish (client, "shelf", "put", json_integer (1), &options, PATIENCE_MS, &again),
        TIDEMARK_OK);
    assert_int_equal (seq, again);
    assert_int_equal (tidemark_publish (client, "a#", "put", NULL, NULL, 1, NULL),
                      TIDEMARK_BAD_TOPIC);
    kill_broker ();
    for (int at = 0; at < 100; at++)
        assert_int_equal (
            tidemark_publish_async (client, "kept", "put", json_integer (at), NULL, on_done, NULL),
            TIDEMARK_OK);
    assert_int_equal (tidemark_publish (client, "other", "put", NULL, NULL, 1, NULL),
                      TIDEMARK_TIMEOUT);
    start_broker ();
    await_begun (100);
    await_events ("kept", 100);
    assert_string_equal (caller.json, "99");
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (a_call_is_answered_once),
        TEST (a_handler_may_fail_or_reject),
        TEST (what_is_retried_comes_again),
        TEST (a_kept_call_is_answered_later),
        TEST (what_is_set_of_who_comes_in_goes_with_the_answer),
        TEST (who_has_a_record_or_never_will_is_asked_of_the_log),
        TEST (what_is_set_of_who_comes_in_goes_with_the_answer),
        TEST (who_has_a_record_or_never_will_is_asked_of_the_log),
        TEST (calls_survive_the_broker),
        TEST (a_slow_handler_is_not_dead),
        TEST (another_worker_gets_the_calls),
        TEST (events_wait_for_the_broker),
        TEST (a_refusal_ends_the_run),
        TEST (ends_that_are_refused_are_counted),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
