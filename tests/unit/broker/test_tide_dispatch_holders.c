/*  test_tide_dispatch_holders.c - a call's end is told by who holds it, and nobody else, in
 *  whatever order peers come, go and speak.
 *
 *  The last part is random: workers that say anything of any call, die, come back behind another
 *  connection, and a broker that starts again; each call has one end, and each word is answered as
 *  it deserves. A failure prints its seed. TIDE_SEED and TIDE_SEEDS choose the first and how many.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch_rig.h"

static uint64_t stale (void)
{
    return rig->broker->core.counters.stale;
}

static tide_lend_message_t lent_to (const char *worker)
{
    lent_t lent;
    take_one (worker, &lent);
    return lent.lend[0];
}

static void assert_nobody_else_is_heard (const tide_lend_message_t *lend)
{
    tide_buffer_t none = {0};
    uint64_t before = stale ();
    static const char *const others[] = {"two", "three", "gateway"};
    for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++)
        for (size_t at = 0; at < 3; at++) {
            uint64_t request = done_with (others[at], lend, outcome, "1", &none, 0);
            rig_settle (rig);
            assert_refused (request, TIDE_CONFLICT, "another worker");
        }
    assert_int_equal (stale () - before, 12);
}

static void what_another_worker_has_is_not_ended (void **state)
{
    (void) state;
    static const uint8_t flags[] = {0, TIDE_HANDLER_VOLATILE};
    for (size_t at = 0; at < 2; at++) {
        offer_t offer = {"chat", 1, .flags = flags[at], .events = {"say"}};
        rig_hello (rig, "three", "");
        serve ("one", offer);
        say ("s1", "1");
        tide_lend_message_t lend = lent_to ("one");
        serve ("two", offer);
        assert_nobody_else_is_heard (&lend);
        assert_int_equal (counts ().lent, 1);
        assert_nothing_lent ("two");
        assert_no_reply ("@s1");
        assert_no_reply ("$dead/chat");
        assert_acknowledged (done ("one", &lend, HANDLED, "2"));
        assert_reply ("s1", lend.call, TIDE_OK, "2");
        assert_all_over ();
        tear_down (NULL);
        set_up (NULL);
    }
}

static void nor_what_another_worker_had_last (void **state)
{
    (void) state;
    rig_hello (rig, "three", "");
    serve ("one", (offer_t){"chat", 1, .delay_ms = 2000, .events = {"say"}});
    say ("s1", "1");
    tide_lend_message_t lend = lent_to ("one");
    assert_acknowledged (done ("one", &lend, AGAIN, NULL));
    assert_nobody_else_is_heard (&lend);
    assert_int_equal (counts ().resting, 1);
    pass (1500, NULL);
    assert_int_equal (counts ().resting, 1);
    pass (750, NULL);
    lend = lent_to ("one");
    assert_int_equal (lend.attempt, 2);
    rig_send (rig, "one", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_drain (rig);
    assert_int_equal (counts ().ready, 1);
    rig_hello (rig, "three", "");
    assert_nobody_else_is_heard (&lend);
    assert_int_equal (counts ().ready, 1);
    chat ("two", 1);
    lend = lent_to ("two");
    assert_int_equal (lend.attempt, 3);
    assert_acknowledged (done ("two", &lend, HANDLED, "2"));
    assert_reply ("s1", lend.call, TIDE_OK, "2");
}

static void nor_by_its_worker_at_another_attempt (void **state)
{
    (void) state;
    static const uint32_t attempts[] = {0, 2, UINT32_MAX};
    chat ("one", 1);
    say ("s1", "1");
    tide_lend_message_t lend = lent_to ("one");
    for (size_t at = 0; at < 3; at++)
        for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++) {
            tide_lend_message_t other = {.call = lend.call, .attempt = attempts[at]};
            assert_refused (done ("one", &other, outcome, NULL), TIDE_CONFLICT, "anew");
        }
    tide_lend_message_t none = {.call = lend.call + 1, .attempt = 1};
    assert_refused (done ("one", &none, HANDLED, NULL), TIDE_NOT_FOUND, "over");
    assert_int_equal (counts ().lent, 1);
    assert_acknowledged (done ("one", &lend, HANDLED, NULL));
}

static void extend (const char *worker, uint64_t call, uint32_t attempt)
{
    rig_send (rig, worker,
              &(tide_message_t){.kind = TIDE_MESSAGE_EXTEND,
                                .extend = {.call = call, .attempt = attempt, .lease_ms = 3600000}});
}

static void only_its_holder_extends_a_lease (void **state)
{
    (void) state;
    serve ("one", (offer_t){"chat", 1, .lease_ms = 4000, .delay_ms = 500, .events = {"say"}});
    say ("s1", "1");
    tide_lend_message_t lend = lent_to ("one");
    pass (2000, NULL);
    extend ("two", lend.call, 1);
    extend ("gateway", lend.call, 1);
    extend ("one", lend.call, 2);
    extend ("one", lend.call + 1, 1);
    assert_int_equal (stale (), 4);
    pass (1750, NULL);
    assert_int_equal (counts ().lent, 1);
    pass (500, NULL);
    assert_int_equal (counts ().resting, 1);
    extend ("one", lend.call, 1); /* too late */
    assert_int_equal (stale (), 5);
    pass (500, NULL);
    lend = lent_to ("one");
    extend ("one", lend.call, 2);
    assert_int_equal (stale (), 5);
    pass (60000, NULL);
    assert_int_equal (counts ().lent, 1);
}

/*  -- behind another connection --------------------------------------------------------------- */

static void its_worker_is_the_same_behind_another_connection (void **state)
{
    (void) state;
    /*  How the broker takes the connection before it: as one that lives, that is dead, that left.
     */
    enum { LIVES, IS_DEAD, LEFT, HOW };
    for (int how = 0; how < HOW; how++)
        for (uint8_t outcome = HANDLED; outcome <= NOT_BEGUN; outcome++) {
            rig_hello_as (rig, "one", "", "w1");
            rig_hello_as (rig, "two", "", "w2");
            serve ("one", (offer_t){"chat", 1, .delay_ms = 500, .events = {"say"}});
            say ("s1", "1");
            tide_lend_message_t lend = lent_to ("one");
            if (how == IS_DEAD)
                pass (3500, "one");
            if (how == LEFT)
                rig_send (rig, "one", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
            rig_hello_as (rig, "one again", "", "w1");
            rig_hello_as (rig, "one's name", "", "one");
            rig_hello (rig, "w1", "");
            assert_refused (done ("two", &lend, outcome, NULL), TIDE_CONFLICT, "another worker");
            assert_refused (done ("w1", &lend, outcome, NULL), TIDE_CONFLICT, "another worker");
            assert_refused (done ("one's name", &lend, outcome, NULL), TIDE_CONFLICT,
                            "another worker");
            assert_acknowledged (done ("one again", &lend, outcome, "1"));
            assert_int_equal (counts ().calls, outcome == AGAIN || outcome == NOT_BEGUN);
            tear_down (NULL);
            set_up (NULL);
        }
}

static void it_extends_what_it_has_too (void **state)
{
    (void) state;
    rig_hello_as (rig, "one", "", "w1");
    serve ("one", (offer_t){"chat", 1, .lease_ms = 4000, .events = {"say"}});
    say ("s1", "1");
    tide_lend_message_t lend = lent_to ("one");
    rig_hello_as (rig, "one again", "", "w1");
    extend ("one again", lend.call, 1);
    pass (10000, NULL);
    assert_int_equal (counts ().lent, 1);
    assert_int_equal (stale (), 0);
}

/*  After a start attempts are counted anew, so a number may be another's. */
static void an_attempt_from_before_a_start_is_not_anothers_of_now (void **state)
{
    (void) state;
    rig_hello_as (rig, "one", "", "w1");
    serve ("one", (offer_t){"chat", 1, .delay_ms = 500, .events = {"say"}});
    say ("s1", "1");
    tide_lend_message_t lend = lent_to ("one");
    assert_acknowledged (done ("one", &lend, AGAIN, NULL));
    pass (750, NULL);
    lend = lent_to ("one");
    assert_int_equal (lend.attempt, 2);
    rig_restart (rig);
    rig_hello_as (rig, "two", "", "w2");
    rig_hello_as (rig, "one again", "", "w1");
    rig_forget_said (rig);
    chat ("two", 1);
    tide_lend_message_t other = lent_to ("two");
    assert_int_equal (other.attempt, 2);
    assert_true (other.call == lend.call);
    assert_refused (done ("one again", &other, HANDLED, "1"), TIDE_CONFLICT, "another worker");
    assert_no_reply ("@s1");
    assert_acknowledged (done ("two", &other, HANDLED, "2"));
    assert_reply ("s1", other.call, TIDE_OK, "2");
}

/*  -- any order ------------------------------------------------------------------------------- */

enum { PEERS = 6, CALLS = 4000, STEPS = 400 };

static const struct {
    const char *peer, *origin;
    unsigned who;
} peers[PEERS] = {{"p0", "w0", 0}, {"p1", "w0", 0}, {"p2", "w1", 1},
                  {"p3", "w1", 1}, {"p4", "", 2},   {"p5", "", 3}};

enum { ANYBODY = 9 };

typedef struct {
    uint64_t number;
    uint32_t attempt;
    unsigned holder;
    unsigned replies;
} model_call_t;

static struct {
    uint64_t random;
    model_call_t calls[CALLS];
    unsigned count, heard, refused;
    bool is_there[PEERS];
} model;

static uint64_t draw (uint64_t below)
{
    model.random ^= model.random << 13;
    model.random ^= model.random >> 7;
    model.random ^= model.random << 17;
    return model.random % below;
}

static model_call_t *find_call (uint64_t number)
{
    unsigned at = 0;
    while (at < model.count && model.calls[at].number != number)
        at++;
    assert_true (at < CALLS);
    if (at == model.count)
        model.calls[model.count++] = (model_call_t){.number = number, .holder = ANYBODY};
    return &model.calls[at];
}

static void look_at_replies (tide_list_t list)
{
    tide_event_t event;
    tide_args_t args;
    tide_replied_t replied;
    while (tide_event_next (&list, &event))
        if (tide_bytes_is (event.name, "$reply")
            && tide_args_decode (event.payload, &args) == TIDE_OK
            && tide_replied_decode (args.about, &replied))
            assert_int_equal (++find_call (replied.call)->replies, 1);
}

/*  Takes in what the broker has said. */
static void look (void)
{
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_said_t *said = rig->said[at];
        const tide_message_t *message = &said->message;
        if (said->kind == TIDE_BROKER_PUBLISH && message->kind == TIDE_MESSAGE_EVENTS)
            look_at_replies (message->events.events);
        for (unsigned peer = 0; peer < PEERS; peer++) {
            if (said->kind != TIDE_BROKER_SEND || strcmp (said->peer, peers[peer].peer) != 0)
                continue;
            if (message->kind == TIDE_MESSAGE_LEND) {
                model_call_t *call = find_call (message->lend.call);
                assert_int_equal (call->replies, 0);
                assert_true (message->lend.attempt > call->attempt);
                call->attempt = message->lend.attempt;
                call->holder = peers[peer].who;
            }
            else if (message->kind == TIDE_MESSAGE_FAIL && message->fail.request == 0)
                model.is_there[peer] = false;
        }
    }
    rig_forget_said (rig);
}

static void serve_again (unsigned peer)
{
    rig_hello_as (rig, peers[peer].peer, "", peers[peer].origin);
    model.is_there[peer] = true;
    serve (peers[peer].peer,
           (offer_t){"chat", (uint32_t) draw (4), .lease_ms = 4000,
                     .attempts = TIDE_CALL_ATTEMPTS_MAX, .delay_ms = 300, .events = {"say"}});
}

static void leave (unsigned peer)
{
    rig_send (rig, peers[peer].peer, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_settle (rig);
    model.is_there[peer] = false;
}

static const tide_message_t *find_answer (uint64_t request)
{
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_message_t *message = &rig->said[at]->message;
        if (rig->said[at]->kind == TIDE_BROKER_SEND
            && ((message->kind == TIDE_MESSAGE_ACK && message->ack.request == request)
                || (message->kind == TIDE_MESSAGE_FAIL && message->fail.request == request)))
            return message;
    }
    return NULL;
}

/*  Somebody says something of a call: it counts if it is its own, and then only. */
static void say_something (void)
{
    if (model.count == 0)
        return;
    unsigned latest = model.count < 12 ? model.count : 12;
    model_call_t call = model.calls[model.count - 1 - draw (latest)];
    unsigned peer = (unsigned) draw (PEERS);
    for (unsigned tries = 0; tries < 3 && !model.is_there[peer]; tries++)
        peer = (unsigned) draw (PEERS);
    uint8_t outcome = draw (2) ? AGAIN : draw (2) ? HANDLED : draw (3) ? NOT_BEGUN : NEVER;
    tide_lend_message_t lend = {.call = call.number,
                                .attempt = call.attempt + (draw (4) ? 0 : (uint32_t) draw (3) - 1)};
    if (draw (6) == 0)
        extend (peers[peer].peer, call.number, lend.attempt);
    bool is_its = lend.attempt == call.attempt && lend.attempt > 0 && call.replies == 0
                  && (call.holder == ANYBODY || call.holder == peers[peer].who);
    uint64_t request = done (peers[peer].peer, &lend, outcome, "1");
    const tide_message_t *answer = find_answer (request);
    if (!answer) /* the broker does not know who speaks */
        return;
    model.heard += is_its;
    model.refused += !is_its;
    if (is_its)
        assert_int_equal (answer->kind, TIDE_MESSAGE_ACK);
    else {
        assert_int_equal (answer->kind, TIDE_MESSAGE_FAIL);
        assert_int_equal (answer->fail.code, call.replies > 0 ? TIDE_NOT_FOUND : TIDE_CONFLICT);
    }
    look ();
    bool is_over = find_call (call.number)->replies > 0;
    assert_int_equal (is_over,
                      call.replies > 0 || (is_its && (outcome == HANDLED || outcome == NEVER)));
}

static void let_time_pass (void)
{
    unsigned silent = (unsigned) draw (PEERS);
    for (uint64_t steps = 1 + draw (15); steps > 0; steps--) {
        rig_send (rig, "gateway", &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        for (unsigned peer = 0; peer < PEERS; peer++)
            if (peer != silent && model.is_there[peer])
                rig_send (rig, peers[peer].peer, &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        rig_tick (rig, 250);
        rig_settle (rig);
    }
}

static void start_again (void)
{
    rig_restart (rig);
    rig_hello (rig, "gateway", "lane");
    rig_forget_said (rig);
    memset (model.is_there, 0, sizeof model.is_there);
    for (unsigned at = 0; at < model.count; at++) {
        model.calls[at].attempt = 1;
        model.calls[at].holder = ANYBODY;
    }
    serve_again ((unsigned) draw (PEERS));
}

static void take_a_step (void)
{
    char session[8];
    uint64_t dice = draw (100);
    if (dice < 15) {
        snprintf (session, sizeof session, "s%u", (unsigned) draw (5));
        say (session, "1");
    }
    else if (dice < 25)
        serve_again ((unsigned) draw (PEERS));
    else if (dice < 29)
        leave ((unsigned) draw (PEERS));
    else if (dice < 45)
        let_time_pass ();
    else if (dice < 46)
        start_again ();
    else
        say_something ();
    look ();
}

static void run (uint64_t seed)
{
    memset (&model, 0, sizeof model);
    model.random = seed * 0x9e3779b97f4a7c15u + 1;
    serve_again (0); /* somebody has served it, so calls wait */
    for (unsigned step = 0; step < STEPS; step++)
        take_a_step ();
    /*  One that does its work ends what is left. */
    rig_hello (rig, "one", "");
    for (unsigned peer = 0; peer < PEERS; peer++)
        leave (peer);
    look ();
    serve ("one", (offer_t){"chat", 1, .attempts = TIDE_CALL_ATTEMPTS_MAX, .events = {"say"}});
    while (counts ().calls > 0) {
        lent_t lent;
        take_lent ("one", &lent);
        for (unsigned at = 0; at < lent.count; at++)
            assert_acknowledged (done ("one", &lent.lend[at], HANDLED, "1"));
        pass (lent.count > 0 ? 0 : 250, NULL);
    }
    look ();
    for (unsigned at = 0; at < model.count; at++)
        assert_int_equal (model.calls[at].replies, 1);
    assert_true (model.heard > 10 && model.refused > 10);
}

static void g7_in_any_order_each_call_has_one_end_by_who_holds_it (void **state)
{
    (void) state;
    const char *first = getenv ("TIDE_SEED"), *count = getenv ("TIDE_SEEDS");
    uint64_t begin = first ? strtoull (first, NULL, 10) : 1;
    uint64_t seeds = count ? strtoull (count, NULL, 10) : 60;
    for (uint64_t seed = begin; seed < begin + seeds; seed++) {
        print_message ("seed %llu\n", (unsigned long long) seed);
        run (seed);
        tear_down (NULL);
        set_up (NULL);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (what_another_worker_has_is_not_ended),
        TEST (nor_what_another_worker_had_last),
        TEST (nor_by_its_worker_at_another_attempt),
        TEST (only_its_holder_extends_a_lease),
        TEST (its_worker_is_the_same_behind_another_connection),
        TEST (it_extends_what_it_has_too),
        TEST (an_attempt_from_before_a_start_is_not_anothers_of_now),
        TEST (g7_in_any_order_each_call_has_one_end_by_who_holds_it),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
