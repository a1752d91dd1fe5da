/*  test_tide_members.c - the groups that a worker is a member of, without sockets or threads.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"
#include "tide_members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LEASE_MS = 1000 };

static tide_members_t *members;
static tide_membership_t *group;
static int handle;

static tide_status_t add (const char *name, tide_membership_t **membership)
{
    tide_group_join_message_t join = {
        .name = tide_bytes (name), .topics = tide_bytes ("shop/#"), .credit = 4};
    return tide_members_add (members, &join, &handle, membership);
}

/*  What is to be said, as "JOIN:4 DONE:7.1.0 EXTEND:7.1 LEAVE " (credit; sequence, attempt and
 *  outcome). The tag of the last join is kept. */
static uint64_t last_tag;

static const char *sayings (void)
{
    static char text[1024];
    tide_message_t message;
    uint64_t tag;
    size_t size = 0;
    text[0] = 0;
    while (tide_members_next (members, &message, &tag)) {
        if (message.kind == TIDE_MESSAGE_GROUP_JOIN) {
            assert_true (tag > last_tag);
            last_tag = tag;
            size += (size_t) snprintf (text + size, sizeof text - size, "JOIN:%u ",
                                       message.group_join.credit);
        }
        else if (message.kind == TIDE_MESSAGE_GROUP_LEAVE)
            size += (size_t) snprintf (text + size, sizeof text - size, "LEAVE ");
        else if (message.kind == TIDE_MESSAGE_GROUP_DONE)
            size += (size_t) snprintf (text + size, sizeof text - size, "DONE:%llu.%u.%u ",
                                       (unsigned long long) message.group_done.seq,
                                       message.group_done.attempt, message.group_done.outcome);
        else if (message.kind == TIDE_MESSAGE_GROUP_EXTEND)
            size += (size_t) snprintf (text + size, sizeof text - size, "EXTEND:%llu.%u ",
                                       (unsigned long long) message.group_extend.seq,
                                       message.group_extend.attempt);
        else
            fail ();
    }
    return text;
}

static int set_up (void **state)
{
    (void) state;
    members = tide_members_new ();
    last_tag = 0;
    assert_int_equal (add ("g", &group), TIDE_OK);
    tide_members_run (members, true);
    assert_string_equal (sayings (), ""); /* there is no broker yet */
    tide_members_up (members, 7);
    assert_string_equal (sayings (), "JOIN:4 ");
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tide_members_destroy (&members);
    return 0;
}

static bool give_of (const char *name, uint64_t now_ms, uint64_t seq, uint32_t attempt)
{
    tide_buffer_t list = {0}, payload = {0};
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes ("1")});
    tide_event_append (&list, &(tide_event_t){.seq = seq,
                                              .topic = tide_bytes ("shop/a"),
                                              .name = tide_bytes ("post"),
                                              .payload = tide_buffer_bytes (&payload)});
    tide_group_event_message_t message = {.name = tide_bytes (name),
                                          .attempt = attempt,
                                          .lease_ms = LEASE_MS,
                                          .events = tide_list (&list, 1)};
    bool is_taken = tide_members_event (members, now_ms, &message);
    tide_buffer_free (&list);
    tide_buffer_free (&payload);
    return is_taken;
}

static bool give (uint64_t now_ms, uint64_t seq, uint32_t attempt)
{
    return give_of ("g", now_ms, seq, attempt);
}

static tide_given_t *take (uint64_t now_ms, uint64_t seq)
{
    tide_given_t *given = tide_members_take (members, now_ms);
    assert_non_null (given);
    assert_true (tide_given_view (given)->seq == seq);
    assert_ptr_equal (tide_given_view (given)->handle, &handle);
    return given;
}

static tide_status_t done (uint64_t now_ms, tide_given_t *given)
{
    return tide_members_end (members, now_ms, given, TIDE_GIVEN_HANDLED, 0, (tide_bytes_t){0});
}

static void what_is_given_is_taken_in_order_and_said_once (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    assert_true (tide_members_is_ready (members));
    tide_given_t *first = take (0, 5), *second = take (0, 6);
    const tide_given_view_t *view = tide_given_view (first);
    assert_int_equal (view->kind, TIDE_GIVEN_EVENT);
    assert_int_equal (view->attempt, 1);
    assert_true (view->epoch == 7 && tide_bytes_is (view->event.topic, "shop/a"));
    assert_null (tide_members_take (members, 0));
    assert_int_equal (done (0, second), TIDE_OK);
    assert_int_equal (done (0, second), TIDE_CONFLICT);
    assert_int_equal (tide_members_end (members, 0, first, TIDE_GIVEN_AGAIN, 5, tide_bytes ("no")),
                      TIDE_OK);
    assert_string_equal (sayings (), "DONE:6.1.0 DONE:5.1.1 ");
    tide_members_let (members, &first);
    tide_members_let (members, &second);
    assert_null (first);
}

static void the_lease_of_what_waits_is_extended (void **state)
{
    (void) state;
    give (0, 5, 1);
    assert_true (tide_members_deadline_ms (members) == LEASE_MS / 2);
    tide_members_tick (members, 499);
    assert_string_equal (sayings (), "");
    tide_members_tick (members, 500);
    assert_string_equal (sayings (), "EXTEND:5.1 ");
    tide_given_t *given = take (1400, 5);
    assert_string_equal (sayings (), "EXTEND:5.1 ");
    assert_true (tide_members_deadline_ms (members) == UINT64_MAX); /* it is the function's now */
    assert_int_equal (tide_members_extend (members, 2000, given, 3000), TIDE_OK);
    assert_string_equal (sayings (), "EXTEND:5.1 ");
    assert_int_equal (done (4999, given), TIDE_OK);
    assert_int_equal (tide_members_extend (members, 4999, given, 0), TIDE_CONFLICT);
    tide_members_let (members, &given);
}

static void what_is_over_is_anothers (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    tide_given_t *given = take (0, 5);
    assert_int_equal (done (LEASE_MS, given), TIDE_CONFLICT);
    assert_null (tide_members_take (members, LEASE_MS)); /* the process stood still */
    assert_string_equal (sayings (), "");
    tide_members_let (members, &given);
    assert_int_equal (tide_members_counters (members).forgotten, 1);
}

static void what_is_given_anew_replaces_what_was_given (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    tide_given_t *old = take (0, 5);
    assert_false (give (0, 5, 1)); /* the same again */
    assert_true (give (0, 5, 2));
    assert_true (give (0, 6, 2));
    assert_int_equal (done (0, old), TIDE_CONFLICT);
    tide_members_let (members, &old);
    tide_given_t *first = take (0, 5), *second = take (0, 6);
    assert_int_equal (tide_given_view (first)->attempt, 2);
    assert_int_equal (tide_given_view (second)->attempt, 2);
    assert_null (tide_members_take (members, 0));
    tide_members_let (members, &first);
    tide_members_let (members, &second);
}

static void a_new_conversation_joins_again_and_forgets_what_waits (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    tide_given_t *given = take (0, 5);
    tide_members_up (members, 7);
    assert_string_equal (sayings (), "JOIN:4 ");
    assert_null (tide_members_take (members, 0));
    assert_int_equal (done (0, given), TIDE_OK); /* the broker decides */
    tide_members_let (members, &given);
    give (0, 7, 1);
    given = take (0, 7);
    tide_members_up (members, 8); /* another log: its sequence is another event's */
    assert_int_equal (done (0, given), TIDE_CONFLICT);
    tide_members_let (members, &given);
}

static void a_broker_that_began_anew_counts_anew (void **state)
{
    (void) state;
    give (0, 5, 3);
    give (0, 6, 2);
    tide_given_t *old = take (0, 5), *same = take (0, 6);
    tide_members_up (members, 7);
    assert_true (give (0, 5, 2)); /* or its lease would have to end first */
    assert_int_equal (done (0, old), TIDE_CONFLICT);
    tide_given_t *now = take (0, 5);
    assert_int_equal (tide_given_view (now)->attempt, 2);
    assert_int_equal (done (0, now), TIDE_OK);
    assert_false (give (0, 6, 2)); /* that is in hand */
    assert_int_equal (done (0, same), TIDE_OK);
    assert_true (give (0, 6, 2)); /* what was said was lost */
    tide_members_let (members, &same);
    same = take (0, 6);
    assert_int_equal (done (0, same), TIDE_OK);
    tide_members_let (members, &same);
    tide_members_let (members, &old);
    tide_members_let (members, &now);
}

static void without_threads_no_credit_is_given (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    tide_given_t *given = take (0, 5);
    tide_members_run (members, false);
    assert_string_equal (sayings (), "JOIN:0 DONE:6.1.3 ");
    assert_int_equal (done (0, given), TIDE_OK);
    tide_members_let (members, &given);
    give (0, 7, 1); /* it was on its way */
    assert_null (tide_members_take (members, 0));
    tide_members_run (members, true);
    assert_string_equal (sayings (), "DONE:5.1.0 JOIN:4 ");
    given = take (0, 7);
    tide_members_let (members, &given);
}

static void who_leaves_may_still_acknowledge_what_it_has (void **state)
{
    (void) state;
    give (0, 5, 1);
    give (0, 6, 1);
    tide_given_t *given = take (0, 5);
    tide_members_remove (members, &group);
    assert_null (group);
    assert_int_equal (done (0, given), TIDE_OK);
    assert_string_equal (sayings (), "DONE:6.1.3 LEAVE DONE:5.1.0 ");
    tide_members_let (members, &given);
    assert_null (tide_members_take (members, 0));
    assert_false (give (0, 8, 1));
}

static void answer_last_join (uint64_t now_ms, tide_status_t code)
{
    tide_message_t answer = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = (uint8_t) code}};
    if (code == TIDE_OK)
        answer = (tide_message_t){.kind = TIDE_MESSAGE_ACK};
    tide_members_joined (members, now_ms, last_tag, &answer);
}

static void a_join_that_is_refused_for_now_is_said_again (void **state)
{
    (void) state;
    answer_last_join (0, TIDE_LOG_FULL);
    assert_true (tide_members_deadline_ms (members) == TIDE_MEMBERS_AGAIN_MS);
    tide_members_tick (members, TIDE_MEMBERS_AGAIN_MS - 1);
    assert_string_equal (sayings (), "");
    tide_members_tick (members, TIDE_MEMBERS_AGAIN_MS);
    assert_string_equal (sayings (), "JOIN:4 ");
    answer_last_join (0, TIDE_OK);
    assert_true (tide_members_deadline_ms (members) == UINT64_MAX);
    assert_false (tide_members_is_ready (members));
}

static void one_that_is_refused_for_good_is_the_end (void **state)
{
    (void) state;
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = TIDE_CONFLICT}};
    tide_members_joined (members, 0, last_tag - 1, &fail); /* of a join that was said anew since */
    assert_false (tide_members_is_ready (members));
    answer_last_join (0, TIDE_CONFLICT);
    tide_given_t *given = take (0, 0);
    assert_int_equal (tide_given_view (given)->kind, TIDE_GIVEN_ENDED);
    assert_int_equal (tide_given_view (given)->code, TIDE_CONFLICT);
    assert_int_equal (done (0, given), TIDE_CONFLICT); /* there is nothing to be said of it */
    tide_members_let (members, &given);
    tide_members_up (members, 7);
    assert_string_equal (sayings (), "");
    tide_members_remove (members, &group);
    assert_string_equal (sayings (), "");
}

static void what_the_broker_notes_is_told_in_its_place (void **state)
{
    (void) state;
    tide_group_note_message_t note = {.name = tide_bytes ("g"), .code = TIDE_TRIMMED, .seq = 9};
    give (0, 5, 1);
    tide_members_note (members, &note);
    give (0, 10, 1);
    tide_given_t *given = take (0, 5);
    tide_members_let (members, &given);
    given = take (0, 9);
    assert_int_equal (tide_given_view (given)->kind, TIDE_GIVEN_TRIMMED);
    tide_members_let (members, &given);
    note.code = TIDE_FORBIDDEN; /* of a later protocol, perhaps */
    tide_members_note (members, &note);
    note.code = TIDE_NOT_FOUND; /* the group was removed, and all that waits */
    tide_members_note (members, &note);
    tide_members_note (members, &note);
    given = take (0, 0);
    assert_int_equal (tide_given_view (given)->kind, TIDE_GIVEN_ENDED);
    assert_int_equal (tide_given_view (given)->code, TIDE_NOT_FOUND);
    tide_members_let (members, &given);
    assert_null (tide_members_take (members, 0));
    note.name = tide_bytes ("h");
    tide_members_note (members, &note);
    assert_false (tide_members_is_ready (members));
}

static void what_is_malformed_or_of_no_group_of_ours_is_counted (void **state)
{
    (void) state;
    assert_false (give_of ("h", 0, 5, 1));
    tide_group_event_message_t message = {.name = tide_bytes ("g"), .attempt = 1};
    assert_false (tide_members_event (members, 0, &message));
    assert_int_equal (tide_members_counters (members).refused, 2);
    assert_int_equal (tide_members_counters (members).given, 0);
}

static tide_status_t add_with (tide_group_join_message_t join)
{
    tide_membership_t *membership;
    if (!join.name.data)
        join.name = tide_bytes ("h");
    if (!join.topics.data)
        join.topics = tide_bytes ("t");
    return tide_members_add (members, &join, NULL, &membership);
}

static void groups_that_cannot_be_joined (void **state)
{
    (void) state;
    tide_membership_t *other;
    char name[65];
    memset (name, 'x', sizeof name);
    name[64] = 0;
    assert_int_equal (add ("g", &other), TIDE_CONFLICT);
    assert_int_equal (add_with ((tide_group_join_message_t){.name = tide_bytes ("")}),
                      TIDE_BAD_REQUEST);
    assert_int_equal (add_with ((tide_group_join_message_t){.name = tide_bytes ("a/b")}),
                      TIDE_BAD_REQUEST);
    assert_int_equal (add_with ((tide_group_join_message_t){.name = tide_bytes ("$a")}),
                      TIDE_BAD_REQUEST);
    assert_int_equal (add_with ((tide_group_join_message_t){.name = tide_bytes (name)}),
                      TIDE_BAD_REQUEST);
    assert_int_equal (add_with ((tide_group_join_message_t){.topics = tide_bytes ("a#")}),
                      TIDE_BAD_TOPIC);
    assert_int_equal (add_with ((tide_group_join_message_t){.credit = 10001}), TIDE_TOO_LARGE);
    assert_int_equal (add_with ((tide_group_join_message_t){.lease_ms = 3600001}), TIDE_TOO_LARGE);
    assert_int_equal (add_with ((tide_group_join_message_t){.attempts = 101}), TIDE_TOO_LARGE);
    assert_int_equal (add_with ((tide_group_join_message_t){.delay_ms = 3600001}), TIDE_TOO_LARGE);
    assert_string_equal (sayings (), "");
    assert_int_equal (add_with ((tide_group_join_message_t){.credit = 9}), TIDE_OK);
    assert_string_equal (sayings (), "JOIN:9 ");
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (what_is_given_is_taken_in_order_and_said_once),
        TEST (the_lease_of_what_waits_is_extended),
        TEST (what_is_over_is_anothers),
        TEST (what_is_given_anew_replaces_what_was_given),
        TEST (a_new_conversation_joins_again_and_forgets_what_waits),
        TEST (a_broker_that_began_anew_counts_anew),
        TEST (without_threads_no_credit_is_given),
        TEST (who_leaves_may_still_acknowledge_what_it_has),
        TEST (a_join_that_is_refused_for_now_is_said_again),
        TEST (one_that_is_refused_for_good_is_the_end),
        TEST (what_the_broker_notes_is_told_in_its_place),
        TEST (what_is_malformed_or_of_no_group_of_ours_is_counted),
        TEST (groups_that_cannot_be_joined),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
