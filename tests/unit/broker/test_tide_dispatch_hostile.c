/*  test_tide_dispatch_hostile.c - calls: peers that do what nobody should, and a broker that stands
 *  still, starts again, or has no room.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dispatch_rig.h"

#include "tide_json_text.h"
#include "tide_topic.h"

/*  -- the largest sizes ----------------------------------------------------------------------- */

static void with_the_largest_payloads (void)
{
    rig_free (rig);
    rig_new (rig);
    rig->config.payload_max = TIDE_PAYLOAD_SIZE_MAX;
    rig_start (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    rig_hello (rig, "two", "");
}

/*  "[1   …]" of so many bytes in all; the caller frees its data. */
static tide_bytes_t payload_of_size (size_t size)
{
    uint8_t *bytes = tide_alloc (size);
    memset (bytes, ' ', size);
    memcpy (bytes, "\2\0[1", 4);
    bytes[size - 1] = ']';
    return (tide_bytes_t){bytes, size};
}

static void what_has_no_room_around_it_is_refused_whatever_the_limit (void **state)
{
    (void) state;
    lent_t lent;
    with_the_largest_payloads ();
    chat ("one", 1);
    tide_bytes_t payload = payload_of_size (TIDE_PAYLOAD_SIZE_MAX);
    assert_refused (call_with ("/", "say", "s1", "7", payload), TIDE_TOO_LARGE, "limit");
    say ("s1", "1");
    take_one ("one", &lent);
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                                .done = {.request = ++rig->request,
                                         .call = lent.lend[0].call,
                                         .attempt = 1,
                                         .payload = payload}});
    rig_settle (rig);
    assert_refused (rig->request, TIDE_TOO_LARGE, "limit");
    free ((void *) payload.data);
}

/*  -- what peers log by hand ------------------------------------------------------------------ */

static void log_a_call (const char *from)
{
    tide_buffer_t about = {0}, payload = {0};
    tide_called_append (&about,
                        &(tide_called_t){.nsp = tide_bytes ("/"), .wanted = tide_bytes ("7")});
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes ("1"),
                                               .about = {about.data + 4, about.size - 4}});
    rig_add (rig, &(tide_event_t){.topic = tide_bytes ("$call/chat"),
                                  .name = tide_bytes ("say"),
                                  .key = tide_bytes ("k"),
                                  .from = tide_bytes (from),
                                  .payload = tide_buffer_bytes (&payload)});
    rig_publish (rig, "gateway");
    rig_settle (rig);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

static void a_call_whose_session_can_have_no_topic_is_none (void **state)
{
    (void) state;
    char from[256];
    memset (from, 'x', 255);
    from[255] = 0;
    const char *const sessions[] = {from, "a/#"};
    for (int at = 0; at < 2; at++) {
        log_a_call (sessions[at]);
        pass (11000, NULL);
        assert_int_equal (counts ().calls, 0);
    }
    assert_no_reply ("@a/#");
    assert_int_equal (rig->broker->core.counters.calls_unknown, 2);
    log_a_call ("s1"); /* one that a gateway might have logged is one */
    assert_int_equal (counts ().calls, 1);
}

/*  The record of a session whose lane is nowhere to be seen. */
static void log_a_session (const char *nsp, const char *from)
{
    rig_add (rig, &(tide_event_t){.flags = TIDE_EVENT_OWNS_TOPIC,
                                  .topic = tide_bytes ("$session/x"),
                                  .name = tide_bytes (nsp),
                                  .key = tide_bytes ("#session"),
                                  .from = tide_bytes (from),
                                  .lease = tide_bytes ("away"),
                                  .linger_ms = 1000,
                                  .payload = rig_payload ("1")});
    rig_publish (rig, "gateway");
    rig_settle (rig);
}

static void of_a_session_whose_names_make_no_call_nobody_is_told (void **state)
{
    (void) state;
    char from[256];
    lent_t lent;
    memset (from, 'x', 255);
    from[255] = 0;
    const char *const bad[][2] = {{"/", from}, {"/", "a/#"}, {"/#", "s1"}, {"/a#b", "s1"}};
    serve ("one",
           (offer_t){"door", 9, .nsp = "*", .events = {TIDE_HOOK_DISCONNECT, TIDE_HOOK_EXPIRED}});
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        log_a_session (bad[at][0], bad[at][1]);
        pass (13000, NULL);
        assert_nothing_lent ("one");
        assert_int_equal (counts ().calls, 0);
        assert_int_equal (rig->broker->core.counters.hooks_dropped, 2 * (at + 1));
    }
    log_a_session ("/", "s1");
    pass (13000, NULL);
    take_lent ("one", &lent);
    assert_true (lent.count > 0);
}

/*  -- what workers say ------------------------------------------------------------------------ */

static uint64_t done_and_says (const lent_t *lent, uint8_t outcome, const char *text, size_t size)
{
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                                .done = {.request = ++rig->request,
                                         .call = lent->lend[0].call,
                                         .attempt = lent->lend[0].attempt,
                                         .outcome = outcome,
                                         .code = TIDE_FORBIDDEN,
                                         .message = {(const uint8_t *) text, size}}});
    rig_settle (rig);
    return rig->request;
}

static void a_message_is_utf8_and_cut_between_characters (void **state)
{
    (void) state;
    lent_t lent;
    char text[1200];
    published_t found;
    tide_replied_t replied;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    lent_t kept = lent;
    assert_refused (done_and_says (&kept, HANDLED, "\xff", 1), TIDE_BAD_REQUEST, "UTF-8");
    memset (text, 'a', sizeof text);
    memcpy (text + 1023, "\xc3\xa9", 2);
    assert_acknowledged (done_and_says (&kept, HANDLED, text, sizeof text));
    find_published ("@s1", &found);
    assert_true (tide_replied_decode (found.args[0].about, &replied));
    assert_int_equal (replied.message.size, 1023);
    say ("s2", "1");
    take_one ("one", &lent);
    memset (text, 'a', sizeof text);
    memcpy (text + 510, "\xc3\xa9", 2);
    assert_acknowledged (done_and_says (&lent, NEVER, text, 600));
    find_published ("$dead/chat", &found);
    assert_int_equal (found.count, 1);
    assert_true (tide_json_valid (found.args[0].json));
}

static void a_reply_is_json (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    assert_refused (done ("one", &lend, HANDLED, "{junk"), TIDE_BAD_JSON, "JSON");
    rig_send (rig, "one",
              &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                                .done = {.request = ++rig->request,
                                         .call = lend.call,
                                         .attempt = 1,
                                         .payload = {(const uint8_t *) "\2\0001", 3}}});
    rig_settle (rig);
    assert_refused (rig->request, TIDE_BAD_REQUEST, "array");
    /*  An attempt that was never made is none. */
    lend.attempt = 0;
    assert_refused (done ("one", &lend, HANDLED, "1"), TIDE_CONFLICT, "lent anew");
}

static void one_session_can_have_so_many_calls_open_and_no_more (void **state)
{
    (void) state;
    chat ("one", 1);
    for (unsigned at = 0; at < TIDE_DISPATCH_SESSION_CALLS_MAX; at++)
        say ("s1", "1");
    assert_refused (say ("s1", "1"), TIDE_TOO_MANY, "1000 calls of the session");
    assert_acknowledged (say ("s2", "1")); /* nobody else notices */
}

/*  -- who serves what ------------------------------------------------------------------------- */

static void g7_a_call_on_its_way_whose_event_another_service_takes_is_handled (void **state)
{
    (void) state;
    lent_t one, two;
    serve ("one", (offer_t){"all", 1, .events = {"*"}});
    rig_send (rig, "gateway",
              &(tide_message_t){.kind = TIDE_MESSAGE_CALL,
                                .call = {.request = ++rig->request,
                                         .nsp = tide_bytes ("/"),
                                         .event = tide_bytes ("say"),
                                         .id = tide_bytes ("x"),
                                         .payload = rig_payload ("1")}});
    uint64_t call = rig->request;
    serve ("two", (offer_t){"chat", 1, .events = {"say"}});
    assert_acknowledged (call);
    take_lent ("one", &one);
    take_lent ("two", &two);
    assert_int_equal (one.count + two.count, 1);
}

/*  What the log does not know of a handler is said again; what it forgot hides nobody. */
static void a_handler_that_was_not_logged_is_logged_the_next_time (void **state)
{
    (void) state;
    lent_t lent;
    rig->log.status = TIDE_LOG_FULL;
    assert_refused (serve ("one", (offer_t){"all", 1, .events = {"*"}}), TIDE_LOG_FULL, "full");
    rig->log.status = TIDE_OK;
    assert_acknowledged (serve ("one", (offer_t){"all", 1, .events = {"*"}}));
    call_in ("/", "say", "s1", "7", "1");
    take_one ("one", &lent);
    rig_restart (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    rig_forget_said (rig);
    serve ("one", (offer_t){"all", 9, .events = {"*"}});
    take_one ("one", &lent);
    call_in ("/", "say", "s2", "7", "2");
    take_one ("one", &lent);
}

static void ready_calls_are_lent_in_their_order_after_a_start (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 0);
    say ("s1", "1");
    say ("s2", "2");
    say ("s3", "3");
    rig_restart (rig);
    rig_hello (rig, "one", "");
    rig_forget_said (rig);
    chat ("one", 10);
    take_lent ("one", &lent);
    assert_int_equal (lent.count, 3);
    for (unsigned at = 1; at < 3; at++)
        assert_true (lent.lend[at - 1].call < lent.lend[at].call);
}

/*  -- a broker that stood still --------------------------------------------------------------- */

static void who_was_not_heard_meanwhile_is_not_dead (void **state)
{
    (void) state;
    lent_t lent;
    chat ("one", 1);
    say ("s1", "1");
    take_one ("one", &lent);
    pass (750, NULL);
    rig_tick (rig, 2900); /* what came meanwhile is read behind the tick */
    assert_int_equal (rig->broker->core.counters.workers_dead, 0);
    pass (10000, NULL);
    assert_int_equal (rig->broker->core.counters.workers_dead, 0);
    assert_nothing_lent ("two");
    pass (3000, "one");
    assert_int_equal (rig->broker->core.counters.workers_dead, 1);
}

static void leases_and_waits_have_their_whole_time_anew (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 1, .attempts = 1, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    tide_lend_message_t lend = lent.lend[0];
    serve ("two", (offer_t){"other", 1, .events = {"more"}});
    rig_send (rig, "two", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    assert_acknowledged (call_in ("/", "more", "s1", "7", "1"));
    rig_tick (rig, 40000);
    rig_settle (rig);
    assert_int_equal (counts ().calls, 2);
    assert_acknowledged (done ("one", &lend, HANDLED, "1"));
}

static void a_lease_that_was_extended_has_the_time_that_it_was_told (void **state)
{
    (void) state;
    lent_t lent;
    serve ("one", (offer_t){"chat", 1, .lease_ms = 4000, .delay_ms = 500, .events = {"say"}});
    say ("s1", "1");
    take_one ("one", &lent);
    rig_send (
        rig, "one",
        &(tide_message_t){.kind = TIDE_MESSAGE_EXTEND,
                          .extend = {.call = lent.lend[0].call, .attempt = 1, .lease_ms = 60000}});
    rig_tick (rig, 50000);
    pass (59000, NULL);
    assert_int_equal (counts ().lent, 1);
    assert_nothing_lent ("one");
    pass (1500, NULL);
    take_one ("one", &lent);
    assert_int_equal (lent.lend[0].attempt, 2);
    rig_tick (rig, 50000); /* it is the attempt's, not the call's */
    pass (5000, NULL);
    take_one ("one", &lent);
    assert_int_equal (lent.lend[0].attempt, 3);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (what_has_no_room_around_it_is_refused_whatever_the_limit),
        TEST (a_call_whose_session_can_have_no_topic_is_none),
        TEST (of_a_session_whose_names_make_no_call_nobody_is_told),
        TEST (a_message_is_utf8_and_cut_between_characters),
        TEST (a_reply_is_json),
        TEST (one_session_can_have_so_many_calls_open_and_no_more),
        TEST (g7_a_call_on_its_way_whose_event_another_service_takes_is_handled),
        TEST (a_handler_that_was_not_logged_is_logged_the_next_time),
        TEST (ready_calls_are_lent_in_their_order_after_a_start),
        TEST (who_was_not_heard_meanwhile_is_not_dead),
        TEST (leases_and_waits_have_their_whole_time_anew),
        TEST (a_lease_that_was_extended_has_the_time_that_it_was_told),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
