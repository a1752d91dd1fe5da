/*  test_tide_worker.c - what a worker has in hand, without sockets or threads.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { LEASE_MS = 1000 };

static tide_worker_side_t *worker;

static size_t handle (const char *nsp, const char *event)
{
    size_t index = 99;
    assert_int_equal (tide_worker_handle (worker, tide_bytes (nsp), tide_bytes (event), 0, &index),
                      TIDE_OK);
    return index;
}

static int set_up (void **state)
{
    (void) state;
    worker = tide_worker_side_new ();
    tide_serve_message_t service = {.service = tide_bytes ("chat"), .credit = 4};
    assert_int_equal (tide_worker_serve (worker, &service), TIDE_OK);
    tide_worker_up (worker, 7, 1000);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tide_worker_side_destroy (&worker);
    return 0;
}

static bool lend_of (uint64_t now_ms, uint64_t number, uint32_t attempt, const char *nsp,
                     const char *event)
{
    tide_buffer_t about = {0}, payload = {0}, list = {0};
    tide_called_append (&about, &(tide_called_t){tide_bytes (nsp), tide_bytes ("7")});
    tide_args_t args = {.many = true,
                        .about = {about.data + 4, about.size - 4},
                        .json = tide_bytes ("[\"hello\"]")};
    tide_args_encode (&payload, &args);
    tide_event_append (&list, &(tide_event_t){.topic = tide_bytes ("$call/chat"),
                                              .name = tide_bytes (event),
                                              .key = tide_bytes ("id-1"),
                                              .from = tide_bytes ("sid"),
                                              .payload = tide_buffer_bytes (&payload)});
    tide_lend_message_t message = {
        .call = number, .attempt = attempt, .lease_ms = LEASE_MS, .events = tide_list (&list, 1)};
    bool is_taken = tide_worker_lent (worker, now_ms, &message);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
    tide_buffer_free (&list);
    return is_taken;
}

static bool lend (uint64_t now_ms, uint64_t number, uint32_t attempt)
{
    return lend_of (now_ms, number, attempt, "/", "say");
}

static tide_hand_t *take (uint64_t now_ms)
{
    return tide_worker_take (worker, now_ms);
}

static tide_status_t end (uint64_t now_ms, tide_hand_t *hand, tide_outcome_t outcome,
                          tide_message_t *done)
{
    return tide_worker_end (worker, now_ms, hand, &(tide_worker_end_t){.outcome = outcome}, done);
}

static void offers_name_every_handler (void **state)
{
    (void) state;
    assert_false (tide_worker_can_serve (worker));
    handle ("/", "say");
    handle ("*", "*");
    size_t index;
    assert_int_equal (tide_worker_handle (worker, tide_bytes ("/"), tide_bytes ("say"), 0, &index),
                      TIDE_CONFLICT);
    assert_int_equal (
        tide_worker_handle (worker, tide_bytes ("chat"), tide_bytes ("say"), 0, &index),
        TIDE_BAD_REQUEST);
    tide_message_t serve;
    tide_worker_offer (worker, true, &serve);
    assert_int_equal (serve.serve.credit, 4);
    assert_int_equal (serve.serve.offers.count, 2);
    tide_worker_offer (worker, false, &serve);
    assert_int_equal (serve.serve.credit, 0);
}

static void services_have_limits (void **state)
{
    (void) state;
    tide_serve_message_t service = {.service = tide_bytes ("a/b")};
    assert_int_equal (tide_worker_serve (worker, &service), TIDE_BAD_REQUEST);
    service = (tide_serve_message_t){.service = tide_bytes ("a"), .credit = TIDE_CREDIT_MAX + 1};
    assert_int_equal (tide_worker_serve (worker, &service), TIDE_TOO_LARGE);
}

static void the_nearest_handler_gets_the_call (void **state)
{
    (void) state;
    const char *const names[][2] = {{"*", "*"}, {"*", "say"}, {"/", "*"}, {"/", "say"}};
    const char *const calls[][2] = {{"/b", "x"}, {"/b", "say"}, {"/", "x"}, {"/", "say"}};
    for (size_t at = 0; at < 4; at++)
        assert_int_equal (handle (names[at][0], names[at][1]), at);
    for (size_t at = 0; at < 4; at++) {
        assert_true (lend_of (0, at + 1, 1, calls[at][0], calls[at][1]));
        tide_hand_t *hand = take (0);
        assert_int_equal (tide_hand_view (hand)->handler, at);
        tide_worker_let (worker, &hand);
    }
}

static void calls_are_taken_in_order_and_ended_once (void **state)
{
    (void) state;
    handle ("/", "say");
    assert_true (lend (0, 5, 1));
    assert_true (lend (0, 6, 1));
    tide_hand_t *first = take (0), *second = take (0);
    assert_int_equal (tide_hand_view (first)->number, 5);
    assert_int_equal (tide_hand_view (second)->number, 6);
    assert_null (take (0));
    tide_message_t done;
    assert_int_equal (end (1, first, TIDE_OUTCOME_HANDLED, &done), TIDE_OK);
    assert_int_equal (done.done.call, 5);
    assert_int_equal (done.done.attempt, 1);
    assert_int_equal (end (1, first, TIDE_OUTCOME_AGAIN, &done), TIDE_CONFLICT);
    assert_int_equal (end (LEASE_MS, second, TIDE_OUTCOME_HANDLED, &done), TIDE_CONFLICT);
    tide_worker_let (worker, &first);
    tide_worker_let (worker, &second);
}

static void an_extended_lease_is_not_over (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_hand_t *hand = take (0);
    tide_message_t message;
    assert_int_equal (tide_worker_extend (worker, 900, hand, 5000, &message), TIDE_OK);
    assert_int_equal (message.extend.lease_ms, 5000);
    assert_int_equal (end (5000, hand, TIDE_OUTCOME_HANDLED, &message), TIDE_OK);
    assert_int_equal (tide_worker_extend (worker, 5000, hand, 0, &message), TIDE_CONFLICT);
    tide_worker_let (worker, &hand);
}

static void what_waits_is_extended (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_message_t extend;
    assert_int_equal (tide_worker_deadline_ms (worker), LEASE_MS / 2);
    assert_false (tide_worker_next_extend (worker, 499, &extend));
    for (uint64_t now_ms = 500; now_ms <= 3000; now_ms += 500) {
        assert_true (tide_worker_next_extend (worker, now_ms, &extend));
        assert_int_equal (extend.extend.call, 5);
        assert_false (tide_worker_next_extend (worker, now_ms, &extend));
    }
    /*  After a standstill it is another's. */
    lend (4000, 6, 1);
    assert_false (tide_worker_next_extend (worker, 4000 + LEASE_MS, &extend));
    assert_int_equal (tide_worker_deadline_ms (worker), UINT64_MAX);
    assert_null (take (4000 + LEASE_MS));
}

/*  The broker hears of it only if the handler is still at it when half of the lease is over. */
static void whoever_takes_what_waited_has_the_whole_lease (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    lend (0, 6, 1);
    tide_message_t extend;
    tide_hand_t *slow = take (300), *quick = take (300);
    assert_int_equal (tide_worker_deadline_ms (worker), LEASE_MS / 2);
    assert_int_equal (end (400, quick, TIDE_OUTCOME_HANDLED, &extend), TIDE_OK);
    assert_false (tide_worker_next_extend (worker, 499, &extend));
    assert_true (tide_worker_next_extend (worker, 500, &extend));
    assert_int_equal (extend.extend.call, 5);
    assert_int_equal (extend.extend.lease_ms, 300 + LEASE_MS - 500);
    assert_false (tide_worker_next_extend (worker, 500, &extend));
    assert_false (tide_hand_is_over (slow, 300 + LEASE_MS - 1));
    assert_false (tide_worker_next_extend (worker, 300 + LEASE_MS - 1, &extend)); /* once */
    assert_true (tide_hand_is_over (slow, 300 + LEASE_MS));
    assert_int_equal (tide_worker_deadline_ms (worker), UINT64_MAX);
    tide_worker_let (worker, &slow);
    tide_worker_let (worker, &quick);
}

static void what_is_owed_goes_with_its_call (void **state)
{
    (void) state;
    handle ("/", "say");
    tide_message_t extend;
    lend (0, 5, 1);
    tide_hand_t *old = take (1), *extended, *other;
    lend (1, 5, 2); /* to this worker again */
    tide_hand_t *current = take (2);
    assert_true (tide_hand_is_over (old, 2));
    lend (2, 6, 1);
    extended = take (3);
    assert_int_equal (tide_worker_extend (worker, 4, extended, 5000, &extend), TIDE_OK);
    assert_true (tide_worker_next_extend (worker, 600, &extend));
    assert_int_equal (extend.extend.attempt, 2);
    assert_false (tide_worker_next_extend (worker, 600, &extend));
    lend (600, 7, 1);
    other = take (601);
    tide_worker_up (worker, 8, 1000); /* another log */
    assert_false (tide_worker_next_extend (worker, 600 + LEASE_MS / 2, &extend));
    tide_worker_let (worker, &old);
    tide_worker_let (worker, &current);
    tide_worker_let (worker, &extended);
    tide_worker_let (worker, &other);
}

static void a_new_attempt_replaces_the_old_one (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_hand_t *old = take (0);
    assert_false (lend (1, 5, 1));
    assert_true (lend (1, 5, 2));
    tide_hand_t *fresh = take (1);
    assert_int_equal (tide_hand_view (fresh)->attempt, 2);
    tide_message_t done;
    assert_int_equal (end (2, old, TIDE_OUTCOME_HANDLED, &done), TIDE_CONFLICT);
    assert_int_equal (end (2, fresh, TIDE_OUTCOME_HANDLED, &done), TIDE_OK);
    assert_int_equal (done.done.attempt, 2);
    tide_worker_let (worker, &old);
    tide_worker_let (worker, &fresh);
}

static void a_new_conversation_forgets_what_waits (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_hand_t *hand = take (0);
    lend (0, 6, 1);
    tide_worker_up (worker, 7, 1000);
    assert_null (take (0));
    tide_message_t done;
    assert_int_equal (end (1, hand, TIDE_OUTCOME_HANDLED, &done), TIDE_OK);
    tide_worker_let (worker, &hand);
}

/*  There its number is another call's. */
static void g8_what_is_of_another_log_cannot_be_ended (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_hand_t *hand = take (0);
    tide_worker_up (worker, 8, 1000);
    lend (0, 5, 1);
    tide_hand_t *other = take (0);
    tide_message_t done;
    assert_int_equal (end (1, hand, TIDE_OUTCOME_HANDLED, &done), TIDE_CONFLICT);
    assert_int_equal (end (1, other, TIDE_OUTCOME_HANDLED, &done), TIDE_OK);
    tide_worker_let (worker, &hand);
    tide_worker_let (worker, &other);
}

static void what_waits_is_given_back (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 3);
    tide_message_t done;
    assert_true (tide_worker_give_back (worker, &done));
    assert_int_equal (done.done.outcome, TIDE_OUTCOME_NOT_BEGUN);
    assert_int_equal (done.done.attempt, 3);
    assert_false (tide_worker_give_back (worker, &done));
}

static tide_status_t emit (tide_hand_t *hand, const char *topic, const char *name, size_t size)
{
    static uint8_t payload[2000];
    tide_event_t event = {
        .topic = tide_bytes (topic), .name = tide_bytes (name), .payload = {payload, size}};
    return tide_worker_emit (worker, 0, hand, &event);
}

static void events_go_with_the_end (void **state)
{
    (void) state;
    handle ("/", "say");
    lend (0, 5, 1);
    tide_hand_t *hand = take (0);
    assert_int_equal (emit (hand, "a#", "e", 10), TIDE_BAD_TOPIC);
    assert_int_equal (emit (hand, "a", "", 10), TIDE_BAD_REQUEST);
    assert_int_equal (emit (hand, "a", "e", 1001), TIDE_TOO_LARGE);
    unsigned count = 0;
    while (emit (hand, "a", "e", 10) == TIDE_OK)
        count++;
    assert_int_equal (count, TIDE_PUBLISH_EVENTS_MAX - 3);
    assert_int_equal (emit (hand, "a", "e", 10), TIDE_TOO_MANY);
    tide_message_t done;
    assert_int_equal (end (1, hand, TIDE_OUTCOME_HANDLED, &done), TIDE_OK);
    assert_int_equal (done.done.events.count, count);
    assert_int_equal (emit (hand, "a", "e", 10), TIDE_CONFLICT);
    tide_worker_let (worker, &hand);
}

static void a_refused_reply_is_not_tried_in_vain (void **state)
{
    (void) state;
    tide_worker_said_t said = {5, 1, TIDE_OUTCOME_HANDLED};
    tide_message_t next;
    tide_bytes_t why = tide_bytes ("because");
    assert_false (tide_worker_refused (worker, &said, TIDE_CONFLICT, why, &next));
    assert_false (tide_worker_refused (worker, &said, TIDE_NOT_FOUND, why, &next));
    assert_true (tide_worker_refused (worker, &said, TIDE_TOO_LARGE, why, &next));
    assert_int_equal (next.done.outcome, TIDE_OUTCOME_NEVER);
    assert_true (tide_worker_refused (worker, &said, TIDE_LOG_FULL, why, &next));
    assert_int_equal (next.done.outcome, TIDE_OUTCOME_AGAIN);
    uint64_t refused = tide_worker_counters (worker).refused;
    assert_true (refused > 0);
    said.outcome = TIDE_OUTCOME_NEVER;
    assert_false (tide_worker_refused (worker, &said, TIDE_TOO_LARGE, why, &next));
    assert_int_equal (tide_worker_counters (worker).refused, refused + 1);
}

static void what_is_malformed_or_unknown_is_counted (void **state)
{
    (void) state;
    handle ("/", "say");
    assert_false (lend_of (0, 5, 1, "/", "other"));
    tide_lend_message_t empty = {.call = 6, .attempt = 1};
    assert_false (tide_worker_lent (worker, 0, &empty));
    assert_int_equal (tide_worker_counters (worker).unknown, 2);
    assert_int_equal (tide_worker_counters (worker).refused, 0);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (offers_name_every_handler),
        TEST (services_have_limits),
        TEST (the_nearest_handler_gets_the_call),
        TEST (calls_are_taken_in_order_and_ended_once),
        TEST (an_extended_lease_is_not_over),
        TEST (what_waits_is_extended),
        TEST (whoever_takes_what_waited_has_the_whole_lease),
        TEST (what_is_owed_goes_with_its_call),
        TEST (a_new_attempt_replaces_the_old_one),
        TEST (a_new_conversation_forgets_what_waits),
        TEST (g8_what_is_of_another_log_cannot_be_ended),
        TEST (what_waits_is_given_back),
        TEST (events_go_with_the_end),
        TEST (a_refused_reply_is_not_tried_in_vain),
        TEST (what_is_malformed_or_unknown_is_counted),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
