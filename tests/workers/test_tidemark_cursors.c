/*  test_tidemark_cursors.c - libtidemark against a real broker: subscriptions under a name, and
 *  readers that are killed.
 *
 *  Called with "reader" this program is a reader itself, a process that can be killed: it tells
 *  each event that it handles by an event in the topic `done`.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_real_broker.h"
#include "tidemark.h"

#include <pthread.h>

enum { NUMBERS_MAX = 10000, TOLD_MAX = 200 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static tidemark_t *client;

static struct timespec patience (void)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    return end;
}

static uint64_t unix_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/*  -- a reader's process ---------------------------------------------------------------------- */

static int tell (const tidemark_event_t *event, void *argument)
{
    if (event->kind != TIDEMARK_EVENT)
        return event->kind != TIDEMARK_JOINED;
    json_t *number = json_incref (json_array_get (event->args, 0));
    return tidemark_publish (argument, "done", "done", number, NULL, 20000, NULL) != TIDEMARK_OK;
}

static int be_reader (const char *broker_at)
{
    tidemark_options_t options = {.endpoint = broker_at, .name = "reader"};
    tidemark_subscribe_options_t named = {.since = "start", .cursor = "reader"};
    tidemark_t *self = tidemark_connect (&options);
    if (tidemark_subscribe (self, "work/#", tell, self, &named, NULL) != TIDEMARK_OK)
        return 1;
    return tidemark_run (self) != TIDEMARK_OK;
}

static pid_t start_reader (void)
{
    pid_t pid = fork ();
    assert_true (pid >= 0);
    if (pid == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        execl ("/proc/self/exe", "test_tidemark_cursors", "reader", endpoint, (char *) NULL);
        _exit (127);
    }
    return pid;
}

/*  -- what is done, as it is read ------------------------------------------------------------- */

static struct {
    uint64_t last_ms[NUMBERS_MAX]; /* by number: when it was done last */
    unsigned count;                /* all numbers below were */
    unsigned skips, repeats;
    uint64_t killed_ms; /* when the last reader was */
    uint64_t oldest_ms; /* what was done again was that old when it was */
} done;

static int count (const tidemark_event_t *event, void *argument)
{
    (void) argument;
    if (event->kind != TIDEMARK_EVENT)
        return 0;
    unsigned number = (unsigned) json_integer_value (json_array_get (event->args, 0));
    pthread_mutex_lock (&lock);
    assert_true (number < NUMBERS_MAX);
    if (number < done.count) {
        uint64_t last_ms = done.last_ms[number];
        uint64_t age_ms = done.killed_ms > last_ms ? done.killed_ms - last_ms : 0;
        done.repeats++;
        done.oldest_ms = age_ms > done.oldest_ms ? age_ms : done.oldest_ms;
    }
    else {
        done.skips += number > done.count;
        done.count = number + 1;
    }
    done.last_ms[number] = event->time_ms;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    return 0;
}

static void await_done (unsigned wanted)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while (done.count < wanted)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    pthread_mutex_unlock (&lock);
}

/*  -- the program under test ------------------------------------------------------------------ */

static void *run (void *argument)
{
    assert_int_equal (tidemark_run (argument), TIDEMARK_OK);
    return NULL;
}

static tidemark_t *connect_client (void)
{
    tidemark_options_t options = {.endpoint = endpoint, .linger_ms = PATIENCE_MS};
    tidemark_t *made = tidemark_connect (&options);
    assert_non_null (made);
    return made;
}

static int set_up (void **state)
{
    (void) state;
    begin_broker ();
    memset (&done, 0, sizeof done);
    client = connect_client ();
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tidemark_close (&client);
    end_broker ();
    return 0;
}

static uint64_t publish (const char *topic, int number)
{
    uint64_t seq = 0;
    assert_int_equal (
        tidemark_publish (client, topic, "job", json_integer (number), NULL, PATIENCE_MS, &seq),
        TIDEMARK_OK);
    return seq;
}

static void publish_some (unsigned first, unsigned end)
{
    for (unsigned number = first; number < end; number++)
        assert_int_equal (tidemark_publish_async (client, number % 2 ? "work/a" : "work", "job",
                                                  json_integer (number), NULL, NULL, NULL),
                          TIDEMARK_OK);
}

/*  What `tidemark cursors` says. */
static void command (char *text, size_t size, const char *arguments)
{
    char line[400];
    snprintf (line, sizeof line, "%s cursors --broker %s %s", TIDE_COMMAND_PROGRAM, endpoint,
              arguments);
    FILE *said = popen (line, "r");
    assert_non_null (said);
    size_t length = fread (text, 1, size - 1, said);
    text[length] = '\0';
    assert_int_equal (pclose (said), 0);
}

/*  All that there is was acknowledged, and that is durable. */
static void await_no_lag (char *text, size_t size)
{
    uint64_t end_ms = clock_ms () + PATIENCE_MS;
    do {
        assert_true (clock_ms () < end_ms);
        command (text, size, "");
    } while (!strstr (text, "\"lag\":0,"));
}

/*  -- killed ---------------------------------------------------------------------------------- */

/*  An acknowledgement is durable a second and the time of an append later; a machine that does much
 *  else takes its time. */
enum { DURABLE_MS = 1000, SLACK_MS = 2000 };

static void nothing_is_skipped_however_often_reader_and_broker_are_killed (void **state)
{
    (void) state;
    enum { JOBS = 4000, KILLS = 10 };
    char text[1000];
    pthread_t thread;
    assert_int_equal (tidemark_subscribe (client, "done", count, NULL, NULL, NULL), TIDEMARK_OK);
    pthread_create (&thread, NULL, run, client);
    pid_t reader = start_reader ();
    for (unsigned round = 1; round <= KILLS; round++) {
        publish_some (JOBS / KILLS * (round - 1), JOBS / KILLS * round);
        await_done (JOBS / KILLS * round - JOBS / KILLS / 2); /* in the midst of it */
        if (round % 3 == 0) {
            kill_broker ();
            start_broker ();
            continue;
        }
        pthread_mutex_lock (&lock);
        kill (reader, SIGKILL);
        done.killed_ms = unix_ms ();
        pthread_mutex_unlock (&lock);
        waitpid (reader, NULL, 0);
        reader = start_reader ();
    }
    await_done (JOBS);
    /*  What was acknowledged and is durable does not come again. */
    await_no_lag (text, sizeof text);
    pthread_mutex_lock (&lock);
    kill (reader, SIGKILL);
    done.killed_ms = unix_ms ();
    unsigned repeats = done.repeats;
    pthread_mutex_unlock (&lock);
    waitpid (reader, NULL, 0);
    reader = start_reader ();
    publish_some (JOBS, JOBS + 1);
    await_done (JOBS + 1);
    kill (reader, SIGKILL);
    waitpid (reader, NULL, 0);
    tidemark_stop (client);
    pthread_join (thread, NULL);
    print_message ("%u events, %u times again, at most %u ms behind\n", done.count, done.repeats,
                   (unsigned) done.oldest_ms);
    assert_int_equal (done.skips, 0);
    assert_int_equal (done.count, JOBS + 1);
    assert_int_equal (done.repeats, repeats);
    assert_true (done.oldest_ms <= DURABLE_MS + SLACK_MS);
}

/*  -- readers, looked at closely -------------------------------------------------------------- */

typedef struct {
    tidemark_subscription_t *subscription;
    struct {
        tidemark_event_kind_t kind;
        tidemark_status_t code;
        json_int_t number; /* its one argument */
        unsigned attempt;
        uint64_t at_ms;
    } told[TOLD_MAX];
    unsigned count;
    json_int_t fails_at; /* the event with this number is not acknowledged, */
    unsigned fails;      /* … so many times */
    unsigned leaves_at;  /* … events told: it ends itself; 0: never */
} reader_t;

static int hear (const tidemark_event_t *event, void *argument)
{
    reader_t *reader = argument;
    json_int_t number = json_integer_value (json_array_get (event->args, 0));
    pthread_mutex_lock (&lock);
    assert_true (reader->count < TOLD_MAX);
    reader->told[reader->count].kind = event->kind;
    reader->told[reader->count].code = event->code;
    reader->told[reader->count].number = number;
    reader->told[reader->count].attempt = event->attempt;
    reader->told[reader->count++].at_ms = clock_ms ();
    bool fails = event->kind == TIDEMARK_EVENT && number == reader->fails_at && reader->fails > 0;
    reader->fails -= fails;
    bool leaves = reader->count == reader->leaves_at;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    if (leaves)
        tidemark_unsubscribe (&reader->subscription);
    return fails;
}

static void await (const reader_t *reader, unsigned wanted)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while (reader->count < wanted)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    pthread_mutex_unlock (&lock);
}

/*  What it was told from the `from`th on, as "j 1 2 2x2 e:conflict ". */
static const char *told (const reader_t *reader, unsigned from)
{
    static char text[1000];
    size_t size = 0;
    text[0] = '\0';
    pthread_mutex_lock (&lock);
    for (unsigned at = from; at < reader->count && size < sizeof text - 60; at++) {
        if (reader->told[at].kind == TIDEMARK_JOINED)
            size += (size_t) snprintf (text + size, sizeof text - size, "j ");
        else if (reader->told[at].kind == TIDEMARK_ENDED)
            size += (size_t) snprintf (text + size, sizeof text - size, "e:%s ",
                                       tidemark_status_name (reader->told[at].code));
        else if (reader->told[at].attempt == 1)
            size += (size_t) snprintf (text + size, sizeof text - size, "%d ",
                                       (int) reader->told[at].number);
        else
            size += (size_t) snprintf (text + size, sizeof text - size, "%dx%u ",
                                       (int) reader->told[at].number, reader->told[at].attempt);
    }
    pthread_mutex_unlock (&lock);
    return text;
}

static void read_by (tidemark_t *self, reader_t *reader, const char *cursor)
{
    tidemark_subscribe_options_t named = {.since = "start", .cursor = cursor};
    assert_int_equal (tidemark_subscribe (self, "t", hear, reader, &named, &reader->subscription),
                      TIDEMARK_OK);
}

static reader_t one, other;
static pthread_t thread;

static int begin_reading (void **state)
{
    set_up (state);
    memset (&one, 0, sizeof one);
    memset (&other, 0, sizeof other);
    return 0;
}

static void stop (void)
{
    tidemark_stop (client);
    pthread_join (thread, NULL);
}

static void what_is_not_acknowledged_is_told_again_and_nothing_behind_it (void **state)
{
    (void) state;
    for (int number = 1; number <= 4; number++)
        publish ("t", number);
    one.fails_at = 2;
    one.fails = 2;
    read_by (client, &one, "mine");
    pthread_create (&thread, NULL, run, client);
    await (&one, 7);
    assert_string_equal (told (&one, 0), "1 2 2x2 2x3 3 4 j ");
    assert_true (one.told[2].at_ms >= one.told[1].at_ms + 900);
    assert_true (one.told[3].at_ms >= one.told[2].at_ms + 900);
    stop ();
}

/*  Nobody waits for the second in which they are gathered. */
static void what_was_acknowledged_is_kept_by_leaving_and_by_closing (void **state)
{
    (void) state;
    for (int number = 1; number <= 9; number++)
        publish ("t", number);
    one.leaves_at = 3;
    read_by (client, &one, "mine");
    read_by (client, &other, "its own");
    pthread_create (&thread, NULL, run, client);
    await (&one, 3);
    await (&other, 10);
    assert_string_equal (told (&one, 0), "1 2 3 ");
    one.leaves_at = 0;
    one.fails_at = 6;
    one.fails = 1;
    read_by (client, &one, "mine");
    await (&one, 6);
    stop ();
    tidemark_close (&client);
    one.fails = 0;
    client = connect_client ();
    read_by (client, &one, "mine");
    read_by (client, &other, "its own");
    pthread_create (&thread, NULL, run, client);
    await (&one, 11);
    await (&other, 11);
    assert_string_equal (told (&one, 3), "4 5 6 6 7 8 9 j ");
    assert_string_equal (told (&other, 9), "j j ");
    stop ();
}

/*  It learns so when what it acknowledged is written: just now, or after the next event. */
static void await_ended (const reader_t *reader, tidemark_status_t code)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while (reader->count == 0 || reader->told[reader->count - 1].kind != TIDEMARK_ENDED)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    assert_int_equal (reader->told[reader->count - 1].code, code);
    pthread_mutex_unlock (&lock);
}

static void await_number (const reader_t *reader, json_int_t number)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while (reader->count == 0 || reader->told[reader->count - 1].number != number)
        assert_int_equal (pthread_cond_timedwait (&changed, &lock, &end), 0);
    pthread_mutex_unlock (&lock);
}

static void of_two_readers_the_later_one_wins (void **state)
{
    (void) state;
    pthread_t other_thread;
    tidemark_t *later = connect_client ();
    publish ("t", 1);
    read_by (client, &one, "mine");
    pthread_create (&thread, NULL, run, client);
    await (&one, 2);
    assert_string_equal (told (&one, 0), "1 j ");
    read_by (later, &other, "mine");
    pthread_create (&other_thread, NULL, run, later);
    await (&other, 1);
    publish ("t", 2);
    await_ended (&one, TIDEMARK_CONFLICT);
    unsigned count = one.count;
    publish ("t", 3);
    await_number (&other, 3);
    assert_int_equal (one.count, count);
    /*  It may take it back. */
    tidemark_unsubscribe (&one.subscription);
    read_by (client, &one, "mine");
    await (&one, count + 1);
    publish ("t", 4);
    await_ended (&other, TIDEMARK_CONFLICT);
    publish ("t", 5);
    await_number (&one, 5);
    stop ();
    tidemark_stop (later);
    pthread_join (other_thread, NULL);
    tidemark_close (&later);
}

static void it_is_listed_as_any_other_and_removed (void **state)
{
    (void) state;
    char text[1000];
    publish ("t", 1);
    read_by (client, &one, "mine");
    pthread_create (&thread, NULL, run, client);
    await (&one, 2);
    await_no_lag (text, sizeof text);
    assert_non_null (strstr (text, "\"cursor\":\"mine\",\"topics\":[\"t\"]"));
    command (text, sizeof text, "--remove mine");
    publish ("t", 2);
    await_ended (&one, TIDEMARK_NOT_FOUND);
    stop ();
}

static void options_that_are_none (void **state)
{
    (void) state;
    char much[66];
    memset (much, 'n', sizeof much - 1);
    much[sizeof much - 1] = '\0';
    const tidemark_subscribe_options_t none[] = {
        {.cursor = "mine", .group = "ours"},
        {.cursor = ""},
        {.cursor = "a\nb"},
        {.cursor = "\xff"},
        {.cursor = much},
        {.cursor = "mine", .credit = 2},
        {.cursor = "mine", .lease_ms = 5},
        {.cursor = "mine", .attempts = 2},
    };
    for (size_t at = 0; at < sizeof none / sizeof none[0]; at++)
        assert_int_equal (
            tidemark_subscribe (client, "t", hear, &one, &none[at], &one.subscription),
            TIDEMARK_BAD_REQUEST);
    read_by (client, &one, "mine");
    const tidemark_subscribe_options_t again = {.cursor = "mine"};
    assert_int_equal (tidemark_subscribe (client, "u", hear, &other, &again, NULL),
                      TIDEMARK_CONFLICT);
    tidemark_unsubscribe (&one.subscription);
    assert_int_equal (tidemark_subscribe (client, "u", hear, &other, &again, &other.subscription),
                      TIDEMARK_OK);
}

int main (int argc, char *argv[])
{
    if (argc > 2 && strcmp (argv[1], "reader") == 0)
        return be_reader (argv[2]);
#define TEST(name) cmocka_unit_test_setup_teardown (name, begin_reading, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (what_is_not_acknowledged_is_told_again_and_nothing_behind_it),
        TEST (what_was_acknowledged_is_kept_by_leaving_and_by_closing),
        TEST (of_two_readers_the_later_one_wins),
        TEST (it_is_listed_as_any_other_and_removed),
        TEST (options_that_are_none),
        TEST (nothing_is_skipped_however_often_reader_and_broker_are_killed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
