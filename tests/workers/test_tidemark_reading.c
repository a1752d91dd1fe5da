/*  test_tidemark_reading.c - libtidemark against a real broker: what a worker reads.
 *
 *  Readers write down what they are told; tests wait until it is what they expect, never a time.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_real_broker.h"
#include "tidemark.h"

#include <inttypes.h>
#include <pthread.h>

enum { TOLD_MAX = 40000 };

/*  A reader, and what it was told. */
typedef struct {
    tidemark_subscription_t *subscription;
    struct {
        tidemark_event_kind_t kind;
        tidemark_status_t code;
        uint64_t seq;
        json_int_t number; /* its one argument */
    } told[TOLD_MAX];
    unsigned count;
    char last[400];         /* the last event, spelt out */
    unsigned running, most; /* functions that ran at once */
    bool is_held;           /* it waits until it is not */
    unsigned ends_at;       /* … events told: it ends itself; 0: never */
} reader_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static reader_t one, other;
static tidemark_t *client, *publisher;
static pthread_t runners[2];

/*  -- readers --------------------------------------------------------------------------------- */

static void spell (reader_t *reader, const tidemark_event_t *event)
{
    char *args = event->args ? json_dumps (event->args, JSON_COMPACT) : NULL;
    snprintf (reader->last, sizeof reader->last, "%s %s %s %s from=%s user=%s id=%s%s%s",
              event->topic, event->event, event->key, args ? args : "none", event->from,
              event->user, event->id[0] ? "some" : "", event->is_removed ? " removed" : "",
              event->is_volatile ? " volatile" : "");
    free (args);
}

static int hear (const tidemark_event_t *event, void *argument)
{
    reader_t *reader = argument;
    pthread_mutex_lock (&lock);
    reader->running++;
    reader->most = reader->running > reader->most ? reader->running : reader->most;
    while (reader->is_held)
        pthread_cond_wait (&changed, &lock);
    assert_true (reader->count < TOLD_MAX);
    reader->told[reader->count].kind = event->kind;
    reader->told[reader->count].code = event->code;
    reader->told[reader->count].seq = event->seq;
    reader->told[reader->count++].number = json_integer_value (json_array_get (event->args, 0));
    if (event->kind == TIDEMARK_EVENT || event->kind == TIDEMARK_STANDING)
        spell (reader, event);
    bool is_last = reader->count == reader->ends_at;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    if (is_last)
        tidemark_unsubscribe (&reader->subscription);
    pthread_mutex_lock (&lock);
    reader->running--;
    pthread_mutex_unlock (&lock);
    return 0;
}

static unsigned await (reader_t *reader, unsigned count)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock (&lock);
    while (reader->count < count)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    count = reader->count;
    pthread_mutex_unlock (&lock);
    return count;
}

/*  The last event that it was told, spelt out. */
static const char *last (reader_t *reader)
{
    static char text[sizeof reader->last];
    pthread_mutex_lock (&lock);
    memcpy (text, reader->last, sizeof text);
    pthread_mutex_unlock (&lock);
    return text;
}

static void hold (reader_t *reader, bool is_held)
{
    pthread_mutex_lock (&lock);
    reader->is_held = is_held;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
}

static void subscribe (reader_t *reader, const char *topic, const char *since)
{
    tidemark_subscribe_options_t options = {.since = since};
    assert_int_equal (
        tidemark_subscribe (client, topic, hear, reader, &options, &reader->subscription),
        TIDEMARK_OK);
}

/*  What it was told, as "j0 1 2 !14@3 ". */
static const char *told (reader_t *reader, unsigned from)
{
    static char text[1000];
    size_t size = 0;
    text[0] = '\0';
    pthread_mutex_lock (&lock);
    for (unsigned at = from; at < reader->count && size < sizeof text - 60; at++) {
        static const char *const marks[] = {"", "", "s", "!", "j", "e"};
        size += (size_t) snprintf (text + size, sizeof text - size, "%s%" PRIu64 " ",
                                   marks[reader->told[at].kind], reader->told[at].seq);
    }
    pthread_mutex_unlock (&lock);
    return text;
}

/*  -- the scene ------------------------------------------------------------------------------- */

static void *run (void *argument)
{
    return (void *) (intptr_t) tidemark_run (argument);
}

/*  Something must be there to be run. */
static void start_runners (void)
{
    for (unsigned at = 0; at < 2; at++)
        assert_int_equal (pthread_create (&runners[at], NULL, run, client), 0);
}

static uint64_t publish (const char *topic, const char *key, int number)
{
    uint64_t seq = 0;
    tidemark_event_options_t options = {.key = key};
    assert_int_equal (tidemark_publish (publisher, topic, "put", json_integer (number), &options,
                                        PATIENCE_MS, &seq),
                      TIDEMARK_OK);
    return seq;
}

static void publish_many (const char *topic, int first, int count)
{
    for (int at = first; at < first + count; at++)
        while (tidemark_publish_async (publisher, topic, "put", json_integer (at), NULL, NULL, NULL)
               != TIDEMARK_OK)
            sched_yield ();
}

static int set_up (void **state)
{
    (void) state;
    begin_broker ();
    memset (&one, 0, sizeof one);
    memset (&other, 0, sizeof other);
    tidemark_options_t options = {.endpoint = endpoint};
    client = tidemark_connect (&options);
    publisher = tidemark_connect (&options);
    assert_true (client && publisher);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tidemark_stop (client);
    for (unsigned at = 0; at < 2; at++) {
        void *status;
        pthread_join (runners[at], &status);
        assert_int_equal ((intptr_t) status, TIDEMARK_OK);
    }
    assert_true (one.most <= 1 && other.most <= 1);
    tidemark_close (&client);
    tidemark_close (&publisher);
    end_broker ();
    return 0;
}

/*  -- the tests ------------------------------------------------------------------------------- */

static void events_come_in_order_with_all_that_they_are (void **state)
{
    (void) state;
    subscribe (&one, "shop/#", NULL);
    start_runners ();
    await (&one, 1);
    uint64_t first = publish ("shop/a", NULL, 1);
    publish ("elsewhere", NULL, 2);
    publish ("shop", "k", 3);
    await (&one, 3);
    assert_string_equal (last (&one), "shop put k [3] from= user= id=some");
    assert_int_equal (one.told[0].kind, TIDEMARK_JOINED);
    assert_true (one.told[1].seq == first && one.told[2].seq == first + 2);
    tidemark_event_options_t removes = {.key = "k", .flags = TIDEMARK_REMOVE};
    assert_int_equal (
        tidemark_publish (publisher, "shop", "put", NULL, &removes, PATIENCE_MS, NULL),
        TIDEMARK_OK);
    await (&one, 4);
    assert_string_equal (last (&one), "shop put k none from= user= id=some removed");
    /*  A volatile one is repeated until the path of such is there: it may be dropped. */
    tidemark_event_options_t is_volatile = {.flags = TIDEMARK_VOLATILE};
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    unsigned count = 4;
    while (count == 4) {
        tidemark_publish (publisher, "shop", "meter", json_pack ("[ii]", 1, 2), &is_volatile,
                          PATIENCE_MS, NULL);
        pthread_mutex_lock (&lock);
        count = one.count;
        pthread_mutex_unlock (&lock);
        assert_true (clock_ms () < end_ms);
    }
    assert_string_equal (last (&one), "shop meter  [1,2] from= user= id= volatile");
}

static void it_begins_where_it_is_told_to (void **state)
{
    (void) state;
    char since[40];
    publish ("t", "k", 1);
    publish ("t", "l", 2);
    publish ("t", "k", 3);
    subscribe (&one, "t", "start");
    start_runners ();
    await (&one, 4);
    assert_string_equal (told (&one, 0), "1 2 3 j3 ");
    subscribe (&other, "t", "snapshot");
    await (&other, 3);
    assert_string_equal (told (&other, 0), "s2 s3 j3 ");
    tidemark_unsubscribe (&other.subscription);
    subscribe (&other, "t", "2");
    await (&other, 5);
    assert_string_equal (told (&other, 3), "3 j3 ");
    tidemark_unsubscribe (&other.subscription);
    snprintf (since, sizeof since, "%016x:3", 7);
    subscribe (&other, "t", since);
    await (&other, 9);
    assert_string_equal (told (&other, 5), "!3 s2 s3 j3 ");
    assert_int_equal (other.told[5].code, TIDEMARK_EPOCH_CHANGED);
    publish ("t", NULL, 4);
    await (&one, 5);
    await (&other, 10);
}

/*  Two readers, two threads; the broker is killed while thousands of events are on their way. */
static void nothing_is_missed_and_nothing_comes_twice_when_the_broker_dies (void **state)
{
    (void) state;
    enum { ROUNDS = 4, EACH = 2000 };
    subscribe (&one, "busy/#", NULL);
    subscribe (&other, "busy/a", "start");
    start_runners ();
    await (&one, 1);
    await (&other, 1);
    for (int round = 0; round < ROUNDS; round++) {
        publish_many ("busy/a", round * EACH, EACH);
        await (&one, 1 + (unsigned) round * EACH + EACH / 10);
        kill_broker ();
        start_broker ();
    }
    await (&one, 1 + ROUNDS * EACH);
    await (&other, 1 + ROUNDS * EACH);
    const reader_t *readers[] = {&one, &other};
    for (unsigned which = 0; which < 2; which++) {
        assert_int_equal (readers[which]->count, 1 + ROUNDS * EACH);
        assert_int_equal (readers[which]->told[0].kind, TIDEMARK_JOINED);
        for (unsigned at = 1; at <= ROUNDS * EACH; at++) {
            assert_int_equal (readers[which]->told[at].number, at - 1);
            assert_true (readers[which]->told[at].seq > readers[which]->told[at - 1].seq);
        }
    }
}

/*  More than is ever held for a reader; the other one goes on meanwhile. */
static void a_slow_reader_gets_all_of_it (void **state)
{
    (void) state;
    enum { COUNT = 20000 };
    subscribe (&one, "busy", NULL);
    subscribe (&other, "busy", NULL);
    hold (&one, true);
    start_runners ();
    await (&other, 1);
    publish_many ("busy", 0, COUNT);
    await (&other, 1 + COUNT);
    assert_int_equal (await (&one, 0), 0);
    hold (&one, false);
    await (&one, 1 + COUNT);
    for (unsigned at = 1; at <= COUNT; at++)
        assert_true (one.told[at].number == at - 1 && other.told[at].number == at - 1);
}

static void another_log_is_said (void **state)
{
    (void) state;
    publish ("t", "k", 1);
    subscribe (&one, "t", "snapshot");
    start_runners ();
    await (&one, 2);
    kill_broker ();
    remove_log ();
    start_broker ();
    publish ("t", "k", 2);
    /*  RESET, then JOINED and it, or it and JOINED: it stood already, or came right behind. */
    await (&one, 5);
    assert_int_equal (one.told[2].kind, TIDEMARK_RESET);
    assert_int_equal (one.told[2].code, TIDEMARK_EPOCH_CHANGED);
    assert_string_equal (last (&one), "t put k [2] from= user= id=some");
}

static void *set_free (void *argument)
{
    hold (argument, false);
    return NULL;
}

static void it_ends_from_inside_and_from_outside (void **state)
{
    (void) state;
    one.ends_at = 3;
    subscribe (&one, "t", "start");
    subscribe (&other, "t", "start");
    publish_many ("t", 0, 10);
    start_runners ();
    await (&one, 3);
    unsigned count = await (&other, 5);
    hold (&other, true);
    publish ("t", NULL, 10);
    struct timespec moment = {.tv_nsec = 1000000};
    for (bool is_running = false; !is_running; nanosleep (&moment, NULL)) {
        pthread_mutex_lock (&lock);
        is_running = other.running > 0;
        pthread_mutex_unlock (&lock);
    }
    /*  Waits for the function, which another thread sets free. */
    pthread_t freer;
    pthread_create (&freer, NULL, set_free, &other);
    tidemark_unsubscribe (&other.subscription);
    assert_null (other.subscription);
    pthread_mutex_lock (&lock);
    unsigned ended = other.count;
    assert_true (ended > count - 1 && other.running == 0);
    pthread_mutex_unlock (&lock);
    pthread_join (freer, NULL);
    /*  A third reader shows that what is published arrives, and they hear nothing of it. */
    static reader_t third;
    memset (&third, 0, sizeof third);
    subscribe (&third, "t", "11");
    publish ("t", NULL, 11);
    await (&third, 2);
    assert_int_equal (await (&other, ended), ended);
    assert_int_equal (await (&one, 3), 3);
    assert_null (one.subscription);
    tidemark_unsubscribe (&third.subscription);
}

static void what_cannot_be_read_is_refused (void **state)
{
    (void) state;
    assert_int_equal (tidemark_run (client), TIDEMARK_BAD_REQUEST);
    tidemark_subscription_t *made = (tidemark_subscription_t *) &one;
    assert_int_equal (tidemark_subscribe (client, "a/#/b", hear, &one, NULL, &made),
                      TIDEMARK_BAD_TOPIC);
    assert_null (made);
    assert_int_equal (tidemark_subscribe (client, NULL, hear, &one, NULL, NULL),
                      TIDEMARK_BAD_TOPIC);
    assert_int_equal (tidemark_subscribe (client, "t", NULL, &one, NULL, NULL),
                      TIDEMARK_BAD_REQUEST);
    static const tidemark_subscribe_options_t none[] = {
        {.since = "yesterday"},
        {.credit = 1},
        {.lease_ms = 1},
        {.attempts = 1},
    };
    for (size_t at = 0; at < sizeof none / sizeof none[0]; at++)
        assert_int_equal (tidemark_subscribe (client, "t", hear, &one, &none[at], NULL),
                          TIDEMARK_BAD_REQUEST);
    tidemark_unsubscribe (&made);
    /*  For what follows every test. */
    subscribe (&one, "t", NULL);
    start_runners ();
    await (&one, 1);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (events_come_in_order_with_all_that_they_are),
        TEST (it_begins_where_it_is_told_to),
        TEST (nothing_is_missed_and_nothing_comes_twice_when_the_broker_dies),
        TEST (a_slow_reader_gets_all_of_it),
        TEST (another_log_is_said),
        TEST (it_ends_from_inside_and_from_outside),
        TEST (what_cannot_be_read_is_refused),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
