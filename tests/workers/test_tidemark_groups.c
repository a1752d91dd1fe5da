/*  test_tidemark_groups.c - libtidemark against a real broker: groups, and members that are killed.
 *
 *  Called with "member" this program is a member itself, a process that can be killed: it tells
 *  each event that it handles by an event in the topic `done`.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_real_broker.h"
#include "tidemark.h"

#include <pthread.h>

enum { SEQS_MAX = 60000, KILLED = 3, THREADS_MAX = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static tidemark_t *client, *stranger;

/*  -- a member's process ---------------------------------------------------------------------- */

static int tell (const tidemark_event_t *event, void *argument)
{
    tidemark_t *self = argument;
    if (event->kind != TIDEMARK_EVENT)
        return 0;
    tidemark_status_t status = tidemark_publish (
        self, "done", "done",
        json_pack ("[I, I]", (json_int_t) event->seq, (json_int_t) event->attempt), NULL, 20000,
        NULL);
    return status != TIDEMARK_OK;
}

static int be_member (const char *broker_at)
{
    tidemark_options_t options = {.endpoint = broker_at, .name = "member"};
    tidemark_subscribe_options_t group = {
        .since = "start", .group = "workers", .credit = 20, .attempts = 100, .lease_ms = 60000};
    tidemark_t *self = tidemark_connect (&options);
    if (tidemark_subscribe (self, "work/#", tell, self, &group, NULL) != TIDEMARK_OK)
        return 1;
    return tidemark_run (self) != TIDEMARK_OK;
}

static pid_t members[KILLED];

static void start_member (int at)
{
    members[at] = fork ();
    assert_true (members[at] >= 0);
    if (members[at] == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        execl ("/proc/self/exe", "test_tidemark_groups", "member", endpoint, (char *) NULL);
        _exit (127);
    }
}

static void kill_member (int at)
{
    if (members[at] <= 0)
        return;
    kill (members[at], SIGKILL);
    waitpid (members[at], NULL, 0);
    members[at] = 0;
}

/*  -- what is done, as it is read ------------------------------------------------------------- */

static struct {
    unsigned times[SEQS_MAX], first[SEQS_MAX]; /* by sequence; first: with attempt 1 */
    unsigned different, repeated, lied;        /* lied: more than one was the first */
} done;

static int count (const tidemark_event_t *event, void *argument)
{
    (void) argument;
    if (event->kind != TIDEMARK_EVENT)
        return 0;
    json_int_t seq = json_integer_value (json_array_get (event->args, 0));
    json_int_t attempt = json_integer_value (json_array_get (event->args, 1));
    if (seq <= 0 || seq >= SEQS_MAX)
        return 0; /* then it is missed */
    pthread_mutex_lock (&lock);
    done.different += done.times[seq] == 0;
    done.repeated += done.times[seq] > 0;
    done.first[seq] += attempt == 1;
    done.lied += attempt == 1 && done.first[seq] > 1;
    done.times[seq]++;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    return 0;
}

static unsigned await_done (unsigned wanted, uint64_t patience_ms)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += (time_t) (patience_ms / 1000);
    end.tv_nsec += (long) (patience_ms % 1000) * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock (&lock);
    while (done.different < wanted && pthread_cond_timedwait (&changed, &lock, &end) == 0)
        continue;
    unsigned different = done.different;
    pthread_mutex_unlock (&lock);
    return different;
}

/*  -- the program under test ------------------------------------------------------------------ */

/*  The threads that run, and what they are told by: functions do not wait any more at the end. */
static struct {
    pthread_t thread;
    tidemark_t *client;
} runs[THREADS_MAX];
static int run_count;
static bool is_over;

static void *run (void *argument)
{
    return (void *) (uintptr_t) tidemark_run (argument);
}

static void start_run (tidemark_t *self)
{
    assert_true (run_count < THREADS_MAX);
    runs[run_count].client = self;
    pthread_create (&runs[run_count++].thread, NULL, run, self);
}

/*  How many ended with an error. */
static unsigned end_runs (void)
{
    unsigned failed = 0;
    pthread_mutex_lock (&lock);
    is_over = true;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    for (int at = 0; at < run_count; at++)
        tidemark_stop (runs[at].client);
    for (; run_count > 0; run_count--) {
        void *status;
        pthread_join (runs[run_count - 1].thread, &status);
        failed += (uintptr_t) status != TIDEMARK_OK;
    }
    return failed;
}

static int set_up (void **state)
{
    (void) state;
    begin_broker ();
    memset (&done, 0, sizeof done);
    is_over = false;
    tidemark_options_t options = {.endpoint = endpoint};
    client = tidemark_connect (&options);
    return 0;
}

/*  Also of a test that broke off in the midst: what it told functions to look at is static. */
static int tear_down (void **state)
{
    (void) state;
    end_runs ();
    for (int at = 0; at < KILLED; at++)
        kill_member (at);
    tidemark_close (&stranger);
    tidemark_close (&client);
    end_broker ();
    return 0;
}

static uint64_t publish (const char *topic, json_t *args)
{
    uint64_t seq = 0;
    assert_int_equal (tidemark_publish (client, topic, "job", args, NULL, PATIENCE_MS, &seq),
                      TIDEMARK_OK);
    return seq;
}

/*  -- many members, killed -------------------------------------------------------------------- */

static void each_is_handled_however_often_members_and_brokers_are_killed (void **state)
{
    (void) state;
    enum { JOBS = 6000, KILLS = 20 };
    assert_int_equal (tidemark_subscribe (client, "done", count, NULL, NULL, NULL), TIDEMARK_OK);
    start_run (client);
    for (int at = 0; at < KILLED; at++)
        start_member (at);
    for (int kill_at = 0, job = 0; kill_at < KILLS; kill_at++) {
        for (int some = 0; some < JOBS / KILLS; some++, job++)
            assert_int_equal (tidemark_publish_async (client, job % 2 ? "work/a" : "work/b", "job",
                                                      json_integer (job), NULL, NULL, NULL),
                              TIDEMARK_OK);
        /*  In the midst of it. */
        await_done ((unsigned) (job - JOBS / KILLS / 2), 5000);
        int victim = kill_at % KILLED;
        kill_member (victim);
        start_member (victim);
        if (kill_at % 7 == 6) {
            kill_broker ();
            start_broker ();
        }
    }
    await_done (JOBS, 120000);
    uint64_t last = publish ("work/last", json_integer (JOBS));
    await_done (JOBS + 1, PATIENCE_MS);
    for (int at = 0; at < KILLED; at++)
        kill_member (at);
    assert_int_equal (end_runs (), 0);
    /*  What was acknowledged within a second before the broker died was handled again. */
    print_message ("%u events handled, %u times again\n", done.different, done.repeated);
    assert_int_equal (done.different, JOBS + 1);
    assert_int_equal (done.times[last], 1);
    assert_int_equal (done.lied, 0);
    assert_true (done.repeated < JOBS);
}

/*  -- one member, looked at closely ----------------------------------------------------------- */

enum { TOLD_MAX = 400 };

typedef struct {
    unsigned count, fail_first; /* so many times it says that it could not */
    unsigned running, most;
    bool is_held;
    struct {
        tidemark_event_kind_t kind;
        tidemark_status_t code;
        uint64_t seq;
        unsigned attempt;
    } told[TOLD_MAX];
    tidemark_status_t extended;
    tidemark_subscription_t *subscription;
    bool leaves;
} member_t;

static int hear (const tidemark_event_t *event, void *argument)
{
    member_t *member = argument;
    pthread_mutex_lock (&lock);
    member->running++;
    pthread_cond_broadcast (&changed);
    member->most = member->running > member->most ? member->running : member->most;
    while (member->is_held && !is_over)
        pthread_cond_wait (&changed, &lock);
    if (member->count < TOLD_MAX) {
        member->told[member->count].kind = event->kind;
        member->told[member->count].code = event->code;
        member->told[member->count].seq = event->seq;
        member->told[member->count].attempt = event->attempt;
        member->count++;
    }
    int rc = member->fail_first > 0;
    member->fail_first -= member->fail_first > 0;
    bool leaves = member->leaves;
    pthread_mutex_unlock (&lock);
    tidemark_status_t extended = tidemark_event_extend (event, 0);
    if (leaves)
        tidemark_unsubscribe (&member->subscription);
    pthread_mutex_lock (&lock);
    member->extended = extended;
    member->running--;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
    return rc;
}

/*  Waits until something changes; false if that takes too long. The lock is held. */
static bool await_change (const struct timespec *end)
{
    return pthread_cond_timedwait (&changed, &lock, end) == 0;
}

static struct timespec patience (void)
{
    struct timespec end;
    clock_gettime (CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    return end;
}

static void await_told (const member_t *member, unsigned wanted)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while ((member->count < wanted || (member->running > 0 && !member->is_held))
           && await_change (&end))
        continue;
    unsigned count = member->count;
    pthread_mutex_unlock (&lock); /* what fails takes no lock along */
    assert_int_equal (count, wanted);
}

static void await_running (const member_t *member, unsigned wanted)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while (member->running < wanted && await_change (&end))
        continue;
    unsigned running = member->running;
    pthread_mutex_unlock (&lock);
    assert_int_equal (running, wanted);
}

/*  Waits until it was told something as late as that. */
static void await_seq (const member_t *member, uint64_t seq)
{
    struct timespec end = patience ();
    pthread_mutex_lock (&lock);
    while ((member->count == 0 || member->told[member->count - 1].seq < seq) && await_change (&end))
        continue;
    uint64_t last = member->count > 0 ? member->told[member->count - 1].seq : 0;
    pthread_mutex_unlock (&lock);
    assert_true (last >= seq);
}

static void hold (member_t *member, bool is_held)
{
    pthread_mutex_lock (&lock);
    member->is_held = is_held;
    pthread_cond_broadcast (&changed);
    pthread_mutex_unlock (&lock);
}

static void what_the_function_returns_becomes_of_the_event (void **state)
{
    (void) state;
    static member_t member = {.fail_first = 1}, dead;
    tidemark_subscribe_options_t group = {.since = "start", .group = "one", .attempts = 2};
    uint64_t seq = publish ("jobs", json_integer (1));
    assert_int_equal (
        tidemark_subscribe (client, "jobs", hear, &member, &group, &member.subscription),
        TIDEMARK_OK);
    assert_int_equal (tidemark_subscribe (client, "$dead/one", hear, &dead, NULL, NULL),
                      TIDEMARK_OK);
    start_run (client);
    await_told (&dead, 1); /* JOINED */
    await_told (&member, 2);
    assert_int_equal (member.told[0].seq, seq);
    assert_int_equal (member.told[0].attempt, 1);
    assert_int_equal (member.told[1].seq, seq);
    assert_int_equal (member.told[1].attempt, 2);
    assert_int_equal (member.extended, TIDEMARK_OK);
    pthread_mutex_lock (&lock);
    member.fail_first = 2;
    pthread_mutex_unlock (&lock);
    publish ("jobs", json_integer (2));
    await_told (&dead, 2);
    await_told (&member, 4);
    assert_int_equal (dead.extended, TIDEMARK_BAD_REQUEST); /* it is of no group */
    pthread_mutex_lock (&lock);
    member.leaves = true;
    pthread_mutex_unlock (&lock);
    publish ("jobs", json_integer (3)); /* it leaves in its own function */
    await_told (&member, 5);
    publish ("jobs", json_integer (4));
    publish ("$dead/one", json_integer (5));
    await_told (&dead, 3);
    await_told (&member, 5);
    assert_int_equal (end_runs (), 0);
}

static void threads_handle_side_by_side_up_to_the_credit (void **state)
{
    (void) state;
    static member_t wide = {.is_held = true}, narrow;
    tidemark_subscribe_options_t group = {.since = "start", .group = "wide", .credit = 3};
    assert_int_equal (tidemark_subscribe (client, "jobs", hear, &wide, &group, &wide.subscription),
                      TIDEMARK_OK);
    for (int at = 0; at < 4; at++)
        start_run (client);
    for (int at = 0; at < 8; at++)
        publish ("jobs", json_integer (at));
    await_running (&wide, 3);
    hold (&wide, false);
    await_told (&wide, 8);
    assert_int_equal (wide.most, 3);
    group = (tidemark_subscribe_options_t){.since = "start", .group = "narrow"};
    assert_int_equal (
        tidemark_subscribe (client, "jobs", hear, &narrow, &group, &narrow.subscription),
        TIDEMARK_OK);
    await_told (&narrow, 8);
    assert_int_equal (narrow.most, 1);
    for (unsigned at = 1; at < 8; at++)
        assert_true (narrow.told[at].seq > narrow.told[at - 1].seq);
    tidemark_unsubscribe (&narrow.subscription);
    tidemark_unsubscribe (&wide.subscription);
    assert_null (wide.subscription);
    assert_int_equal (end_runs (), 0);
}

static void a_group_goes_on_where_it_was (void **state)
{
    (void) state;
    static member_t first, second;
    tidemark_subscribe_options_t group = {.group = "g", .credit = 10};
    for (int at = 0; at < 3; at++)
        publish ("jobs", json_integer (at));
    group.since = "start";
    assert_int_equal (
        tidemark_subscribe (client, "jobs", hear, &first, &group, &first.subscription),
        TIDEMARK_OK);
    start_run (client);
    await_told (&first, 3);
    tidemark_unsubscribe (&first.subscription);
    uint64_t seq = publish ("jobs", json_integer (3));
    assert_int_equal (
        tidemark_subscribe (client, "jobs", hear, &second, &group, &second.subscription),
        TIDEMARK_OK);
    await_told (&second, 1);
    assert_int_equal (second.told[0].seq, seq);
    assert_int_equal (second.told[0].attempt, 1);
    /*  The same after the broker was killed, which the member does not even see. */
    kill_broker ();
    start_broker ();
    publish ("jobs", json_integer (4));
    await_seq (&second, seq + 1);
    assert_int_equal (end_runs (), 0);
}

static void groups_that_cannot_be_joined_are_ended (void **state)
{
    (void) state;
    static member_t first, other;
    tidemark_options_t options = {.endpoint = endpoint};
    stranger = tidemark_connect (&options);
    tidemark_subscribe_options_t group = {.group = "g"};
    assert_int_equal (tidemark_subscribe (client, "jobs", hear, &first, &group, NULL), TIDEMARK_OK);
    assert_int_equal (tidemark_subscribe (client, "jobs", hear, &other, &group, NULL),
                      TIDEMARK_CONFLICT);
    start_run (client);
    publish ("jobs", json_integer (1));
    await_told (&first, 1);
    assert_int_equal (
        tidemark_subscribe (stranger, "others", hear, &other, &group, &other.subscription),
        TIDEMARK_OK);
    start_run (stranger);
    await_told (&other, 1);
    assert_int_equal (other.told[0].kind, TIDEMARK_ENDED);
    assert_int_equal (other.told[0].code, TIDEMARK_CONFLICT);
    tidemark_unsubscribe (&other.subscription);
    /*  Who removes the group ends its members. */
    tidemark_event_options_t removal = {.key = "#group", .flags = TIDEMARK_REMOVE};
    assert_int_equal (
        tidemark_publish (stranger, "$group/g", "removed", NULL, &removal, PATIENCE_MS, NULL),
        TIDEMARK_OK);
    await_told (&first, 2);
    assert_int_equal (first.told[1].kind, TIDEMARK_ENDED);
    assert_int_equal (first.told[1].code, TIDEMARK_NOT_FOUND);
    assert_int_equal (end_runs (), 0);
}

/*  What `tidemark cursors` says; its exit status is returned. */
static int run_command (const char *arguments, char *text, size_t size)
{
    char command[400];
    snprintf (command, sizeof command, "%s cursors --broker %s %s 2>&1", TIDE_COMMAND_PROGRAM,
              endpoint, arguments);
    FILE *pipe = popen (command, "r");
    assert_non_null (pipe);
    size_t got = fread (text, 1, size - 1, pipe);
    text[got] = 0;
    return WEXITSTATUS (pclose (pipe));
}

static void they_are_listed_with_their_lag_and_removed (void **state)
{
    (void) state;
    char text[2000];
    static member_t member = {.is_held = true};
    tidemark_subscribe_options_t group = {.since = "start", .group = "drivers"};
    for (int at = 0; at < 5; at++)
        publish ("jobs", json_integer (at));
    assert_int_equal (tidemark_subscribe (client, "jobs", hear, &member, &group, NULL),
                      TIDEMARK_OK);
    start_run (client);
    await_running (&member, 1);
    assert_int_equal (run_command ("", text, sizeof text), 0);
    const char *listed =
        "{\"group\":\"drivers\",\"topics\":[\"jobs\"],\"seq\":0,\"lag\":5,\"time\":";
    assert_memory_equal (text, listed, strlen (listed));
    hold (&member, false);
    await_told (&member, 5);
    for (uint64_t end_ms = clock_ms () + PATIENCE_MS; !strstr (text, "\"lag\":0,");) {
        assert_true (clock_ms () < end_ms);
        assert_int_equal (run_command ("", text, sizeof text), 0);
    }
    assert_int_equal (run_command ("--remove other --group", text, sizeof text), 1);
    assert_non_null (strstr (text, "not_found: there is no group \"other\""));
    assert_int_equal (run_command ("--remove a/b --group", text, sizeof text), 2);
    assert_int_equal (run_command ("--group", text, sizeof text), 2);
    assert_int_equal (run_command ("--remove drivers --group", text, sizeof text), 0);
    assert_string_equal (text, "{\"group\":\"drivers\",\"removed\":true}\n");
    await_told (&member, 6);
    assert_int_equal (member.told[5].kind, TIDEMARK_ENDED);
    assert_int_equal (run_command ("", text, sizeof text), 0);
    assert_string_equal (text, "");
    assert_int_equal (end_runs (), 0);
}

static void options_that_are_none (void **state)
{
    (void) state;
    const struct {
        tidemark_subscribe_options_t options;
        tidemark_status_t status;
    } refused[] = {
        {{.group = ""}, TIDEMARK_BAD_REQUEST},
        {{.group = "a/b"}, TIDEMARK_BAD_REQUEST},
        {{.group = "g", .since = "snapshot"}, TIDEMARK_BAD_REQUEST},
        {{.group = "g", .since = "yesterday"}, TIDEMARK_BAD_REQUEST},
        {{.group = "g", .cursor = "c"}, TIDEMARK_BAD_REQUEST},
        {{.credit = 3}, TIDEMARK_BAD_REQUEST},
        {{.lease_ms = 3}, TIDEMARK_BAD_REQUEST},
        {{.attempts = 3}, TIDEMARK_BAD_REQUEST},
        {{.group = "g", .credit = 10001}, TIDEMARK_TOO_LARGE},
        {{.group = "g", .attempts = 101}, TIDEMARK_TOO_LARGE},
        {{.group = "g", .lease_ms = 3600001}, TIDEMARK_TOO_LARGE},
    };
    tidemark_subscription_t *subscription;
    for (size_t at = 0; at < sizeof refused / sizeof refused[0]; at++) {
        assert_int_equal (
            tidemark_subscribe (client, "jobs", hear, NULL, &refused[at].options, &subscription),
            refused[at].status);
        assert_null (subscription);
    }
    tidemark_subscribe_options_t group = {.group = "g"};
    assert_int_equal (tidemark_subscribe (client, "a#", hear, NULL, &group, NULL),
                      TIDEMARK_BAD_TOPIC);
    assert_int_equal (tidemark_run (client), TIDEMARK_BAD_REQUEST); /* there is nothing to run */
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (int argc, char *argv[])
{
    if (argc > 2 && strcmp (argv[1], "member") == 0)
        return be_member (argv[2]);
    const struct CMUnitTest tests[] = {
        TEST (what_the_function_returns_becomes_of_the_event),
        TEST (threads_handle_side_by_side_up_to_the_credit),
        TEST (a_group_goes_on_where_it_was),
        TEST (groups_that_cannot_be_joined_are_ended),
        TEST (they_are_listed_with_their_lag_and_removed),
        TEST (options_that_are_none),
        TEST (each_is_handled_however_often_members_and_brokers_are_killed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
