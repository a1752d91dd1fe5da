/*  test_tide_dispatch.c - calls and workers, against a whole broker.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch_rig.h"

/*  -- a call and its reply -------------------------------------------------------------------- */

static void a_call_goes_to_the_worker_and_its_reply_to_the_session (void **state)
{
    (void) state;
    lent_t lent;
    assert_acknowledged (chat ("one", 10));
    assert_acknowledged (say ("s1", "\"hello\""));
    take_one ("one", &lent);
    assert_int_equal (lent.lend[0].attempt, 1);
    assert_true (lent.lend[0].call == lent.event[0].seq);
    assert_true (tide_bytes_is (lent.event[0].topic, "$call/chat"));
    assert_true (tide_bytes_is (lent.event[0].name, "say"));
    assert_true (tide_bytes_is (lent.event[0].from, "s1"));
    tide_args_t args;
    tide_called_t called;
    assert_int_equal (tide_args_decode (lent.event[0].payload, &args), TIDE_OK);
    assert_true (tide_bytes_is (args.json, "\"hello\""));
    assert_true (tide_called_decode (args.about, &called));
    assert_true (tide_bytes_is (called.nsp, "/") && tide_bytes_is (called.wanted, "7"));
    rig_forget_said (rig);
    uint64_t request = done ("one", &lent.lend[0], HANDLED, "\"bye\"");
    assert_acknowledged (request);
    assert_reply ("s1", lent.lend[0].call, TIDE_OK, "\"bye\"");
    assert_all_over ();
}

static void g3_a_call_is_lent_and_its_reply_leaves_when_they_are_durable (void **state)
{
    (void) state;
    lent_t lent;
    tide_buffer_t none = {0};
    chat ("one", 10);
    rig_send (rig, "gateway",
              &(tide_message_t){.kind = TIDE_MESSAGE_CALL,
                                .call = {.request = ++rig->request,
                                         .nsp = tide_bytes ("/"),
                                         .event = tide_bytes ("say"),
                                         .id = tide_bytes ("id"),
                                         .from = tide_bytes ("s1"),
                                         .wanted = tide_bytes ("7"),
                                         .payload = rig_payload ("1")}});
    rig_drain (rig);
    assert_nothing_lent ("one");
    rig_settle (rig);
    take_one ("one", &lent);
    rig_forget_said (rig);
    tide_lend_message_t lend = lent.lend[0];
    uint64_t request = done_with ("one", &lend, HANDLED, "2", &none, 0);
    rig_drain (rig);
    assert_no_reply ("@s1");
    assert_int_equal (rig->said_count, 0);
    rig_settle (rig);
    assert_acknowledged (request);
    assert_reply ("s1", lend.call, TIDE_OK, "2");
}

static void what_a_worker_emits_with_the_end_is_appended_with_it (void **state)
{
    (void) state;
    lent_t lent;
    tide_buffer_t events = {0};
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    rig_forget_said (rig);
    size_t appends = rig->appends;
    for (int at = 0; at < 2; at++)
        tide_event_append (&events, &(tide_event_t){.topic = tide_bytes ("lobby"),
                                                    .name = tide_bytes ("new"),
                                                    .payload = rig_payload ("3")});
    uint64_t request = done_with ("one", &lend, HANDLED, "2", &events, 2);
    rig_settle (rig);
    assert_acknowledged (request);
    assert_int_equal (rig->appends, appends + 1);
    published_t found;
    find_published ("lobby", &found);
    assert_int_equal (found.count, 2);
    assert_reply ("s1", lend.call, TIDE_OK, "2");
    assert_true (found.event[0].seq > lend.call);
    tide_buffer_free (&events);
}

static void a_call_that_wants_no_answer_gets_none (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    call_in ("/", "say", "s1", "", "1");
    take_one ("one", &lent);
    rig_forget_said (rig);
    assert_acknowledged (done ("one", &lent.lend[0], HANDLED, "2"));
    assert_no_reply ("@s1");
    assert_all_over ();
}

static void a_call_under_the_same_id_is_one_call (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 10);
    for (int at = 0; at < 2; at++)
        rig_send (rig, "gateway",
                  &(tide_message_t){.kind = TIDE_MESSAGE_CALL,
                                    .call = {.request = ++rig->request,
                                             .nsp = tide_bytes ("/"),
                                             .event = tide_bytes ("say"),
                                             .id = tide_bytes ("same"),
                                             .payload = rig_payload ("1")}});
    rig_settle (rig);
    take_one ("one", &lent);
    assert_acknowledged (rig->request);
    assert_acknowledged (rig->request - 1);
    assert_int_equal (answer_to (rig->request)->ack.repeated, 1);
}

/*  -- who gets it ----------------------------------------------------------------------------- */

static void the_one_with_the_fewest_in_hand_gets_the_next (void **state)
{
    (void) state;
    lent_t one, two;
    chat ("one", 2);
    chat ("two", 5);
    for (int at = 0; at < 9; at++)
        call_in ("/", "say", "", "", "1");
    take_lent ("one", &one);
    take_lent ("two", &two);
    assert_int_equal (one.count, 2);
    assert_int_equal (two.count, 5);
    assert_int_equal (counts ().ready, 2);
    done ("one", &one.lend[0], HANDLED, NULL);
    take_lent ("one", &one);
    assert_int_equal (one.count, 1);
    chat ("two", 6);
    take_lent ("two", &two);
    assert_int_equal (two.count, 1);
    assert_int_equal (counts ().ready, 0);
}

static void calls_of_one_session_are_handled_in_order (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 10);
    for (int at = 0; at < 3; at++)
        say ("s1", "1");
    say ("s2", "2");
    take_lent ("one", &lent);
    assert_int_equal (lent.count, 2); /* the first of each */
    assert_true (tide_bytes_is (lent.event[1].from, "s2"));
    tide_lend_message_t first = lent.lend[0];
    done ("one", &first, AGAIN, NULL); /* … also while the first one rests */
    assert_nothing_lent ("one");
    pass (1000, NULL);
    take_one ("one", &lent);
    assert_true (lent.lend[0].call == first.call && lent.lend[0].attempt == 2);
    tide_buffer_t none = {0};
    done_with ("one", &lent.lend[0], HANDLED, NULL, &none, 0);
    rig_drain (rig);
    assert_nothing_lent ("one"); /* its end is not durable yet */
    rig_settle (rig);
    take_one ("one", &lent);
    assert_int_equal (lent.lend[0].attempt, 1);
    assert_true (lent.lend[0].call > first.call);
}

static void a_worker_may_say_that_order_does_not_matter (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 10, .flags = TIDE_HANDLER_UNORDERED, .events = {"say"}});
    for (int at = 0; at < 3; at++)
        say ("s1", "1");
    take_lent ("one", &lent);
    assert_int_equal (lent.count, 3);
}

static void a_handler_of_just_this_comes_before_one_of_all (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"all", 10, .nsp = "*", .events = {"*"}});
    serve ("two", (offer_t){"admin", 10, .nsp = "/admin", .events = {"say"}});
    call_in ("/admin", "say", "", "", "1");
    call_in ("/admin", "other", "", "", "1");
    call_in ("/", "say", "", "", "1");
    take_one ("two", &lent);
    assert_true (tide_bytes_is (lent.event[0].topic, "$call/admin/admin"));
    take_lent ("one", &lent);
    assert_int_equal (lent.count, 2);
    assert_true (tide_bytes_is (lent.event[0].topic, "$call/all/admin"));
    assert_true (tide_bytes_is (lent.event[1].topic, "$call/all"));
}

/*  -- attempts -------------------------------------------------------------------------------- */

static void what_is_not_handled_is_lent_again_each_time_later (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 10);
    say ("s1", "\"x\"");
    uint64_t call = 0;
    for (uint32_t attempt = 1; attempt <= 5; attempt++) {
        take_one ("one", &lent);
        assert_int_equal (lent.lend[0].attempt, attempt);
        call = lent.lend[0].call;
        rig_forget_said (rig);
        tide_lend_message_t lend = {.call = call, .attempt = attempt};
        assert_acknowledged (done ("one", &lend, AGAIN, NULL));
        if (attempt == 5)
            break;
        pass ((1000u << (attempt - 1)) - 250, NULL);
        assert_nothing_lent ("one");
        pass (250, NULL);
    }
    assert_nothing_lent ("one");
    assert_reply ("s1", call, TIDE_WORKER_FAILED, NULL);
    assert_dead ("worker_failed", 5, ",\"x\"]");
    assert_all_over ();
}

static void what_is_given_back_goes_on_at_once_and_costs_no_attempt (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 1, .attempts = 1, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    serve ("two", (offer_t){"chat", 1, .attempts = 1, .events = {"say"}});
    serve ("one", (offer_t){"chat", 0, .attempts = 1, .events = {"say"}}); /* it stops */
    assert_acknowledged (done ("one", &lent.lend[0], NOT_BEGUN, NULL));
    assert_refused (done ("one", &lent.lend[0], NOT_BEGUN, NULL), TIDE_CONFLICT, "anew");
    take_one ("two", &lent);
    assert_int_equal (lent.lend[0].attempt, 2); /* numbers are never used again */
    rig_forget_said (rig);
    assert_acknowledged (
        done ("two", &(tide_lend_message_t){.call = lent.lend[0].call, .attempt = 2}, AGAIN, NULL));
    assert_dead ("worker_failed", 1, ",1]");
    assert_all_over ();
}

/*  A worker whose connection broke says it again when it is back. */
static void what_is_given_back_twice_is_given_back_once (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 1, .attempts = 2, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    serve ("one", (offer_t){"chat", 0, .attempts = 2, .events = {"say"}});
    tide_lend_message_t lend = {.call = lent.lend[0].call, .attempt = 1};
    for (int times = 0; times < 3; times++) {
        rig_forget_said (rig);
        assert_acknowledged (done ("one", &lend, NOT_BEGUN, NULL));
    }
    serve ("two", (offer_t){"chat", 1, .attempts = 2, .events = {"say"}});
    for (lend.attempt = 2; lend.attempt <= 3; lend.attempt++) {
        take_one ("two", &lent);
        assert_int_equal (lent.lend[0].attempt, lend.attempt);
        rig_forget_said (rig);
        assert_acknowledged (done ("two", &lend, AGAIN, NULL));
        if (lend.attempt == 3)
            break;
        pass (500, NULL);
        assert_acknowledged (done ("two", &lend, AGAIN, NULL)); /* for that it rests no longer */
        pass (500, NULL);
    }
    assert_dead ("worker_failed", 2, ",1]");
    assert_all_over ();
}

static void what_is_only_ever_given_back_is_dead_at_last (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 1, .attempts = 1, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = {.call = lent.lend[0].call};
    for (lend.attempt = 1; counts ().calls > 0; lend.attempt++) {
        assert_true (lend.attempt <= TIDE_CALL_ATTEMPTS_MAX + 1);
        rig_forget_said (rig);
        assert_acknowledged (done ("one", &lend, NOT_BEGUN, NULL));
    }
    assert_int_equal (lend.attempt, TIDE_CALL_ATTEMPTS_MAX + 2);
    assert_dead ("worker_failed", 1, ",1]");
}

static void what_is_never_to_be_handled_is_dead_at_once (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 10);
    say ("s1", "\"x\"");
    take_one ("one", &lent);
    uint64_t call = lent.lend[0].call;
    done ("one", &lent.lend[0], NEVER, NULL);
    assert_reply ("s1", call, TIDE_WORKER_FAILED, NULL);
    assert_dead ("worker_failed", 1, ",\"x\"]");
    assert_all_over ();
}

static void a_lease_that_is_over_is_lent_again_and_its_word_is_stale (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 10, .lease_ms = 4000, .delay_ms = 500, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t first = lent.lend[0];
    pass (3000, NULL);
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_EXTEND,
                                .extend = {.call = first.call, .attempt = first.attempt}});
    pass (3750, NULL);
    assert_nothing_lent ("one");
    pass (1000, NULL);
    take_one ("one", &lent);
    assert_int_equal (lent.lend[0].attempt, 2);
    assert_refused (done ("one", &first, HANDLED, NULL), TIDE_CONFLICT, "lent anew");
    tide_lend_message_t second = lent.lend[0];
    assert_acknowledged (done ("one", &second, HANDLED, NULL));
    assert_refused (done ("one", &second, HANDLED, NULL), TIDE_NOT_FOUND, "over");
    assert_all_over ();
}

static void a_word_that_comes_before_it_is_lent_anew_counts (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 10, .lease_ms = 1000, .delay_ms = 5000, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    pass (1250, NULL);
    assert_int_equal (counts ().resting, 1);
    assert_acknowledged (done ("one", &lend, HANDLED, NULL));
    assert_all_over ();
}

static void g7_what_a_dead_worker_had_goes_to_another_within_three_seconds (void **state)
{
    (void) state;
    lent_t one, two;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &one);
    chat ("two", 1);
    tide_lend_message_t lend = one.lend[0];
    pass (2250, "one");
    assert_nothing_lent ("two");
    pass (750, "one");
    take_one ("two", &two);
    assert_int_equal (two.lend[0].attempt, 2);
    assert_true (two.lend[0].call == lend.call);
    /*  It was only slow: it is told to say hello. */
    rig_forget_said (rig);
    done_with ("one", &lend, HANDLED, NULL, &(tide_buffer_t){0}, 0);
    rig_drain (rig);
    assert_int_equal (rig->said[0]->message.kind, TIDE_MESSAGE_FAIL);
    assert_true (rig->said[0]->message.fail.request == 0);
}

static void what_a_worker_that_leaves_had_goes_to_another_at_once (void **state)
{
    (void) state;
    lent_t one, two;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &one);
    chat ("two", 1);
    rig_send (rig, "one", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_drain (rig);
    take_one ("two", &two);
    assert_int_equal (two.lend[0].attempt, 2);
    assert_int_equal (counts ().workers, 1);
}

static void g7_a_broker_that_starts_again_lends_again_what_was_lent (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    say ("s1", "1");
    say ("s1", "2");
    take_one ("one", &lent);
    uint64_t call = lent.lend[0].call;
    rig_restart (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    assert_int_equal (counts ().calls, 2);
    assert_int_equal (counts ().handlers, 1); /* it is known who ever served what */
    rig_forget_said (rig);
    chat ("one", 1);
    take_one ("one", &lent);
    assert_true (lent.lend[0].call == call);
    assert_int_equal (lent.lend[0].attempt, 2);
    done ("one", &lent.lend[0], HANDLED, "3");
    assert_reply ("s1", call, TIDE_OK, "3");
    take_one ("one", &lent);
    assert_true (lent.lend[0].call > call);
}

static void what_was_handled_before_a_start_is_taken_before_it_is_lent_anew (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    rig_restart (rig);
    rig_hello (rig, "one", "");
    rig_forget_said (rig);
    assert_acknowledged (done ("one", &lend, HANDLED, "3"));
    assert_reply ("s1", lend.call, TIDE_OK, "3");
    chat ("one", 1);
    assert_nothing_lent ("one");
    assert_all_over ();
}

/*  -- no worker ------------------------------------------------------------------------------- */

static void what_nobody_ever_served_is_refused_at_once_and_not_logged (void **state)
{
    (void) state;
    size_t appends = rig->appends;
    assert_refused (say ("s1", "1"), TIDE_NO_WORKER, "say in /");
    assert_int_equal (rig->appends, appends);
}

static void a_call_waits_for_a_worker_but_not_for_ever (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    rig_send (rig, "one", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_hello (rig, "one", "");
    assert_acknowledged (say ("s1", "1"));
    assert_acknowledged (say ("s1", "2"));
    assert_acknowledged (call_in ("/", "say", "s2", "", "3"));
    pass (9750, NULL);
    assert_int_equal (counts ().calls, 3);
    rig_forget_said (rig);
    pass (500, NULL);
    assert_all_over ();
    published_t found;
    find_published ("@s1", &found);
    assert_int_equal (found.count, 2);
    tide_replied_t replied;
    assert_true (tide_replied_decode (found.args[1].about, &replied));
    assert_int_equal (replied.code, TIDE_NO_WORKER);
    assert_dead ("no_worker", 0, ",3]"); /* whose caller is not told */
    /*  One that comes in time gets it. */
    say ("s1", "4");
    pass (5000, NULL);
    chat ("two", 1);
    take_one ("two", &lent);
    assert_int_equal (lent.lend[0].attempt, 1);
    pass (20000, NULL);
    assert_int_equal (counts ().lent, 1);
}

static void a_busy_worker_is_waited_for (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    say ("s1", "1");
    say ("s2", "2");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    pass (25000, NULL);
    assert_int_equal (counts ().ready, 1);
    done ("one", &lend, HANDLED, NULL);
    take_one ("one", &lent);
}

/*  -- volatile calls -------------------------------------------------------------------------- */

static void g9_a_volatile_call_is_never_logged_and_lent_once (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 10, .flags = TIDE_HANDLER_VOLATILE, .events = {"say"}});
    size_t appends = rig->appends;
    assert_acknowledged (say ("s1", "1"));
    take_one ("one", &lent);
    assert_true (lent.lend[0].call > 1ull << 63);
    rig_forget_said (rig);
    uint64_t call = lent.lend[0].call;
    assert_acknowledged (
        done ("one", &(tide_lend_message_t){.call = call, .attempt = 1}, HANDLED, "2"));
    assert_reply ("s1", call, TIDE_OK, "2");
    rig_forget_said (rig);
    say ("s1", "3");
    take_one ("one", &lent);
    call = lent.lend[0].call;
    pass (3000, "one");
    assert_reply ("s1", call, TIDE_WORKER_FAILED, NULL);
    assert_refused (say ("s1", "4"), TIDE_NO_WORKER, "say");
    assert_int_equal (rig->appends, appends);
    assert_all_over ();
}

/*  The gateway did not hear that it was taken: it may be in hand, and it may be over. */
static void g9_a_volatile_call_that_is_said_again_is_one_call (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 10, .flags = TIDE_HANDLER_VOLATILE, .events = {"say"}});
    for (int at = 0; at < 3; at++) {
        rig_send (rig, "gateway",
                  &(tide_message_t){.kind = TIDE_MESSAGE_CALL,
                                    .call = {.request = ++rig->request,
                                             .nsp = tide_bytes ("/"),
                                             .event = tide_bytes ("say"),
                                             .id = tide_bytes ("same"),
                                             .from = tide_bytes ("s1"),
                                             .payload = rig_payload ("1")}});
        rig_settle (rig);
        assert_acknowledged (rig->request);
        if (at == 0)
            take_one ("one", &lent);
        if (at == 1)
            done ("one", &lent.lend[0], HANDLED, "2");
    }
    assert_nothing_lent ("one");
    assert_all_over ();
    assert_acknowledged (say ("s1", "1")); /* under another id */
    take_one ("one", &lent);
}

static void g9_a_word_from_before_a_start_is_about_no_volatile_call_of_now (void **state)
{
    (void) state;
    lent_t lent;
    offer_t offer = {"chat", 10, .flags = TIDE_HANDLER_VOLATILE, .events = {"say"}};
    serve ("one", offer);
    say ("s1", "1");
    take_one ("one", &lent);
    uint64_t before = lent.lend[0].call;
    pass (10, "one");
    rig_restart (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    rig_forget_said (rig);
    serve ("one", offer);
    say ("s1", "2");
    take_one ("one", &lent);
    assert_true (lent.lend[0].call > before);
    assert_refused (
        done ("one", &(tide_lend_message_t){.call = before, .attempt = 1}, HANDLED, "1"),
        TIDE_NOT_FOUND, "over");
    assert_acknowledged (done ("one", &lent.lend[0], HANDLED, "2"));
}

/*  -- what is refused ------------------------------------------------------------------------- */

static void a_worker_that_asks_for_what_cannot_be_is_told (void **state)
{
    (void) state;
    static const struct {
        offer_t offer;
        tide_status_t code;
        const char *why;
    } bad[] = {
        {{"", 1, .events = {"e"}}, TIDE_BAD_REQUEST, "service"},
        {{"a/b", 1, .events = {"e"}}, TIDE_BAD_REQUEST, "service"},
        {{"$a", 1, .events = {"e"}}, TIDE_BAD_REQUEST, "service"},
        {{"chat", 1}, TIDE_BAD_REQUEST, "1 to 250"},
        {{"chat", 10001, .events = {"e"}}, TIDE_BAD_REQUEST, "credit"},
        {{"chat", 1, .attempts = 101, .events = {"e"}}, TIDE_BAD_REQUEST, "attempts"},
        {{"chat", 1, .lease_ms = 1, .events = {"e"}}, TIDE_BAD_REQUEST, "lease_ms"},
        {{"chat", 1, .delay_ms = 9999999, .events = {"e"}}, TIDE_BAD_REQUEST, "delay_ms"},
        {{"chat", 1, .nsp = "admin", .events = {"e"}}, TIDE_BAD_REQUEST, "namespace"},
        {{"chat", 1, .events = {"tide:publish"}}, TIDE_BAD_REQUEST, "tide:"},
        {{"chat", 1, .events = {"a\nb"}}, TIDE_BAD_REQUEST, "event"},
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        assert_refused (serve ("one", bad[at].offer), bad[at].code, bad[at].why);
    assert_int_equal (counts ().workers, 0);
    assert_int_equal (counts ().handlers, 0);
}

static void workers_of_a_service_agree (void **state)
{
    (void) state;
    chat ("one", 1);
    assert_refused (serve ("two", (offer_t){"chat", 1, .attempts = 3, .events = {"say"}}),
                    TIDE_CONFLICT, "attempts 5");
    assert_refused (serve ("two", (offer_t){"chat", 1, .lease_ms = 1000, .events = {"say"}}),
                    TIDE_CONFLICT, "lease_ms 30000");
    assert_refused (serve ("two", (offer_t){"chat", 1, .flags = 2, .events = {"say"}}),
                    TIDE_CONFLICT, "flags");
    assert_refused (serve ("two", (offer_t){"other", 1, .events = {"say"}}), TIDE_CONFLICT,
                    "served by chat");
    assert_acknowledged (serve ("two", (offer_t){"chat", 1, .events = {"say", "more"}}));
    assert_int_equal (counts ().workers, 2);
    /*  Whoever is alone may change its mind; a service that has gone may be another's. */
    rig_send (rig, "two", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    assert_acknowledged (serve ("one", (offer_t){"chat", 1, .attempts = 3, .events = {"say"}}));
    rig_send (rig, "one", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_hello (rig, "two", "");
    assert_acknowledged (serve ("two", (offer_t){"other", 1, .events = {"say"}}));
    lent_t lent;
    say ("s1", "1");
    take_one ("two", &lent);
    assert_true (tide_bytes_is (lent.event[0].topic, "$call/other"));
}

static uint64_t serve_many (uint32_t count)
{
    tide_buffer_t offers = {0};
    for (uint32_t at = 0; at < count; at++) {
        char name[16];
        snprintf (name, sizeof name, "e%u", at);
        tide_offer_append (&offers,
                           &(tide_offer_t){.nsp = tide_bytes ("/"), .event = tide_bytes (name)});
    }
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_SERVE,
                                .serve = {.request = ++rig->request,
                                          .service = tide_bytes ("chat"),
                                          .credit = 1,
                                          .offers = tide_list (&offers, count)}});
    tide_buffer_free (&offers);
    rig_settle (rig);
    return rig->request;
}

static void a_worker_with_too_many_events_is_told (void **state)
{
    (void) state;
    assert_acknowledged (serve_many (250));
    assert_refused (serve_many (251), TIDE_TOO_MANY, "1 to 250 events, not 251");
    assert_refused (serve_many (100000), TIDE_TOO_MANY, "not 100000");
    assert_int_equal (counts ().handlers, 250);
}

static void a_call_that_is_malformed_is_told (void **state)
{
    (void) state;
    chat ("one", 10);
    static const struct {
        tide_call_message_t call;
        tide_status_t code;
        const char *why;
    } bad[] = {
        {{.nsp = {(const uint8_t *) "x", 1}}, TIDE_BAD_REQUEST, "namespace"},
        {{.nsp = {(const uint8_t *) "/", 1}}, TIDE_BAD_REQUEST, "id"},
        {{.nsp = {(const uint8_t *) "/", 1},
          .id = {(const uint8_t *) "i", 1},
          .wanted = {(const uint8_t *) "7", 1}},
         TIDE_BAD_REQUEST,
         "names the session"},
        {{.nsp = {(const uint8_t *) "/", 1},
          .id = {(const uint8_t *) "i", 1},
          .from = {(const uint8_t *) "a#b", 3}},
         TIDE_BAD_REQUEST,
         "level"},
        {{.nsp = {(const uint8_t *) "/", 1},
          .id = {(const uint8_t *) "i", 1},
          .payload = {(const uint8_t *) "junk", 4}},
         TIDE_BAD_REQUEST,
         "arguments"},
        {{.nsp = {(const uint8_t *) "/", 1},
          .id = {(const uint8_t *) "a\nb", 3},
          .payload = {(const uint8_t *) "\1\0001", 3}},
         TIDE_BAD_REQUEST,
         "key"},
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        tide_message_t message = {.kind = TIDE_MESSAGE_CALL, .call = bad[at].call};
        message.call.request = ++rig->request;
        message.call.event = tide_bytes ("say");
        rig_send (rig, "gateway", &message);
        rig_settle (rig);
        assert_refused (rig->request, bad[at].code, bad[at].why);
    }
    assert_all_over ();
}

static void a_call_of_the_largest_size_is_taken_and_one_byte_more_is_not (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 10);
    size_t size = rig->config.payload_max;
    uint8_t *bytes = tide_alloc (size + 1);
    memset (bytes, '1', size + 1);
    bytes[0] = 1; /* one argument, no attachment */
    bytes[1] = 0;
    assert_acknowledged (call_with ("/", "say", "s1", "7", (tide_bytes_t){bytes, size}));
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    assert_acknowledged (done ("one", &lend, NEVER, NULL));
    assert_refused (call_with ("/", "say", "s1", "7", (tide_bytes_t){bytes, size + 1}),
                    TIDE_TOO_LARGE, "1000001");
    free (bytes);
}

static void what_a_worker_says_amiss_leaves_the_call_in_its_hands (void **state)
{
    (void) state;
    lent_t lent;
    tide_buffer_t events = {0};
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    tide_event_append (&events, &(tide_event_t){.topic = tide_bytes ("a#b"),
                                                .name = tide_bytes ("n"),
                                                .payload = rig_payload ("3")});
    assert_refused (done_with ("one", &lend, HANDLED, NULL, &events, 1), TIDE_BAD_TOPIC, "topic");
    events.size = 0;
    tide_event_append (&events, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                                .topic = tide_bytes ("a"),
                                                .name = tide_bytes ("n"),
                                                .payload = rig_payload ("3")});
    assert_refused (done_with ("one", &lend, HANDLED, NULL, &events, 1), TIDE_BAD_REQUEST,
                    "volatile");
    tide_buffer_free (&events);
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                                .done = {.request = ++rig->request,
                                         .call = lend.call,
                                         .attempt = 1,
                                         .payload = tide_bytes ("junk")}});
    rig_drain (rig);
    assert_refused (rig->request, TIDE_BAD_REQUEST, "form");
    assert_int_equal (counts ().lent, 1);
    assert_acknowledged (done ("one", &lend, HANDLED, "1"));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_call_goes_to_the_worker_and_its_reply_to_the_session),
        TEST (g3_a_call_is_lent_and_its_reply_leaves_when_they_are_durable),
        TEST (what_a_worker_emits_with_the_end_is_appended_with_it),
        TEST (a_call_that_wants_no_answer_gets_none),
        TEST (a_call_under_the_same_id_is_one_call),
        TEST (the_one_with_the_fewest_in_hand_gets_the_next),
        TEST (calls_of_one_session_are_handled_in_order),
        TEST (a_worker_may_say_that_order_does_not_matter),
        TEST (a_handler_of_just_this_comes_before_one_of_all),
        TEST (what_is_not_handled_is_lent_again_each_time_later),
        TEST (what_is_given_back_goes_on_at_once_and_costs_no_attempt),
        TEST (what_is_given_back_twice_is_given_back_once),
        TEST (what_is_only_ever_given_back_is_dead_at_last),
        TEST (what_is_never_to_be_handled_is_dead_at_once),
        TEST (a_lease_that_is_over_is_lent_again_and_its_word_is_stale),
        TEST (a_word_that_comes_before_it_is_lent_anew_counts),
        TEST (g7_what_a_dead_worker_had_goes_to_another_within_three_seconds),
        TEST (what_a_worker_that_leaves_had_goes_to_another_at_once),
        TEST (g7_a_broker_that_starts_again_lends_again_what_was_lent),
        TEST (what_was_handled_before_a_start_is_taken_before_it_is_lent_anew),
        TEST (what_nobody_ever_served_is_refused_at_once_and_not_logged),
        TEST (a_call_waits_for_a_worker_but_not_for_ever),
        TEST (a_busy_worker_is_waited_for),
        TEST (g9_a_volatile_call_is_never_logged_and_lent_once),
        TEST (g9_a_volatile_call_that_is_said_again_is_one_call),
        TEST (g9_a_word_from_before_a_start_is_about_no_volatile_call_of_now),
        TEST (a_worker_that_asks_for_what_cannot_be_is_told),
        TEST (workers_of_a_service_agree),
        TEST (a_worker_with_too_many_events_is_told),
        TEST (a_call_that_is_malformed_is_told),
        TEST (a_call_of_the_largest_size_is_taken_and_one_byte_more_is_not),
        TEST (what_a_worker_says_amiss_leaves_the_call_in_its_hands),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
