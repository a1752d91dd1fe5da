/*  test_probes.c - WebSockets that ask whether they may take a session over, at the lane that
 *  holds it or at another: what holds meanwhile, and who may not.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  -- while it asks --------------------------------------------------------------------------- */

/*  It has taken the session, and gets what is published; another lane says a ping first. */
static void assert_took (tide_loop_client_t *probe, int number)
{
    char event[32];
    tide_loop_publish (loop, "lobby", number);
    snprintf (event, sizeof event, "42[\"n\",%d", number);
    if (probe->hub == HOLDER)
        assert_hears (probe, event);
    else
        assert_gets (probe, event);
}

static void poll_while_probed (tide_loop_client_t *client, unsigned hub)
{
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    assert_non_null (probe->connection);
    assert_null (tide_loop_hear (probe));
    assert_true (client->poll != 0);
    tide_loop_say (probe, "2probe");
    assert_hears (probe, "3probe");
    assert_hears (client, "6");
    assert_int_equal (client->poll, 0);
    for (unsigned again = 0; again < LOOP_HUBS; again++) {
        if (hub != HOLDER)
            client->gets_at = again;
        get (client);
        assert_hears (client, "6");
    }
    /*  What there is to say still goes by polling. */
    tide_loop_publish (loop, "lobby", 1);
    get (client);
    assert_hears (client, "42[\"n\",1");
    tide_loop_say (probe, "5");
    assert_took (probe, 2);
    assert_null (tide_loop_hear (client));
}

static void polls_are_answered_6_while_probed (void **state)
{
    (void) state;
    poll_while_probed (subscribed (), HOLDER);
}

static void polls_anywhere_are_answered_6_while_probed (void **state)
{
    (void) state;
    poll_while_probed (subscribed_at (THIRD, THIRD), OTHER);
}

static void a_second_probe_is_closed_and_the_first_goes_on (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe (client);
    tide_loop_client_t *second = tide_loop_probe (client);
    assert_null (second->connection);
    tide_loop_say (probe, "2probe");
    second = tide_loop_probe (client);
    assert_null (second->connection);
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    tide_loop_publish (loop, "lobby", 3);
    assert_hears (probe, "42[\"n\",3");
}

static void a_second_probe_is_refused_at_whichever_lane_and_the_first_goes_on (void **state)
{
    (void) state;
    for (unsigned first_at = 0; first_at < LOOP_HUBS; first_at++)
        for (unsigned second_at = 0; second_at < LOOP_HUBS; second_at++) {
            tide_loop_client_t *client = idle_at (THIRD, OTHER);
            tide_loop_client_t *probe = probed_at (client, first_at);
            tide_loop_client_t *second = tide_loop_probe_at (client, second_at);
            tide_loop_say (second, "2probe");
            assert_null (second->connection);
            assert_int_equal (second->close_code, 0);
            tide_loop_say (probe, "5");
            tide_loop_publish (loop, "lobby", 3);
            assert_gets (probe, "42[\"n\",3");
            tide_loop_cut (probe);
        }
}

/*  -- probes that fail ------------------------------------------------------------------------ */

static void polls_on (tide_loop_client_t *client)
{
    client->is_stalled = false;
    tide_loop_run (loop);
    assert_alive (client);
    assert_true (client->poll != 0); /* held again, not answered "6" */
}

static void say_something_wrong (tide_loop_client_t *client, unsigned hub)
{
    static const char *const said[] = {"", "2", "4hello", "40", "1", "3", "3probe", "6", "2probe5"};
    for (size_t at = 0; at < sizeof said / sizeof said[0]; at++)
        for (int probed = 0; probed < 2; probed++) {
            tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
            assert_non_null (probe->connection);
            if (probed) {
                tide_loop_say (probe, "2probe");
                assert_hears (client, "6");
            }
            tide_loop_say (probe, "%s", said[at]);
            assert_null (probe->connection);
            assert_int_equal (probe->close_code, 0);
            polls_on (client);
        }
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    tide_hub_frame (loop->hubs[hub], loop->now_ms, probe->connection, tide_bytes ("5"), false);
    tide_loop_run (loop);
    assert_null (probe->connection);
    assert_alive (client);
}

static void a_probe_that_says_something_wrong_leaves_polling_alive (void **state)
{
    (void) state;
    say_something_wrong (subscribed (), HOLDER);
}

static void a_probe_there_that_says_something_wrong_leaves_polling_alive (void **state)
{
    (void) state;
    say_something_wrong (subscribed_at (THIRD, OTHER), OTHER);
}

static void say_too_much (tide_loop_client_t *client, tide_loop_client_t *probe)
{
    char *text = tide_alloc (200001);
    memset (text, '5', 200000);
    tide_loop_say (probe, "%s", text);
    free (text);
    assert_null (probe->connection);
    assert_int_equal (probe->close_code, 1009);
    assert_alive (client);
}

static void a_probe_that_says_too_much_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    say_too_much (client, tide_loop_probe (client));
    probed_at (client, HOLDER); /* there is room for another */
}

static void a_probe_there_that_says_too_much_leaves_polling_alive (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed_at (THIRD, OTHER);
    tide_loop_client_t *probe = probed_at (client, OTHER);
    assert_hears (client, "6");
    say_too_much (client, probe);
    probed_at (client, THIRD); /* there is room for another */
}

static void close_each_probe (tide_loop_client_t *client, unsigned hub)
{
    for (int probed = 0; probed < 2; probed++) {
        tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
        if (probed) {
            tide_loop_say (probe, "2probe");
            assert_hears (client, "6");
        }
        tide_loop_cut (probe);
        polls_on (client);
    }
}

static void a_probe_that_closes_leaves_polling_alive (void **state)
{
    (void) state;
    close_each_probe (subscribed (), HOLDER);
}

static void a_probe_there_that_closes_leaves_polling_alive (void **state)
{
    (void) state;
    close_each_probe (subscribed_at (THIRD, OTHER), OTHER);
}

static void let_ten_seconds_pass (tide_loop_client_t *client, unsigned hub, bool probed)
{
    tide_loop_client_t *probe = tide_loop_probe_at (client, hub);
    if (probed)
        tide_loop_say (probe, "2probe");
    tide_loop_pass (loop, 9750);
    assert_non_null (probe->connection);
    assert_int_equal (tide_hub_deadline_ms (loop->hubs[hub]), loop->now_ms + 250);
    tide_loop_pass (loop, 250);
    assert_null (probe->connection);
    assert_alive (client);
    get (client);
    assert_true (client->poll != 0); /* held, not answered "6" */
    tide_loop_client_t *next = taken_to (client, hub);
    assert_took (next, 4);
    tide_loop_pass (loop, 11000); /* it has nothing to fear any more */
    assert_non_null (next->connection);
    tide_loop_cut (next);
}

static void a_probe_has_ten_seconds (void **state)
{
    (void) state;
    for (int probed = 0; probed < 2; probed++)
        let_ten_seconds_pass (idle (), HOLDER, probed);
}

static void a_probe_there_has_ten_seconds (void **state)
{
    (void) state;
    for (int probed = 0; probed < 2; probed++)
        let_ten_seconds_pass (idle_at (THIRD, OTHER), OTHER, probed);
}

static void a_probe_for_a_session_that_is_not_there_is_closed (void **state)
{
    (void) state;
    static const char *const sids[] = {"nowhere.secret", ".", "nowhere"};
    for (size_t at = 0; at < sizeof sids / sizeof sids[0]; at++) {
        tide_loop_client_t client = {.loop = loop};
        snprintf (client.sid, sizeof client.sid, "%s", sids[at]);
        tide_loop_client_t *probe = tide_loop_probe_at (&client, OTHER);
        tide_loop_say (probe, "2probe");
        assert_null (probe->connection);
    }
    tide_loop_client_t client = {.loop = loop};
    snprintf (client.sid, sizeof client.sid, "%s.never", loop->lanes[HOLDER]);
    tide_loop_client_t *probe = tide_loop_probe_at (&client, OTHER);
    tide_loop_say (probe, "2probe");
    assert_null (probe->connection);
    /*  Without a broker nobody can be asked. */
    tide_loop_client_t *polls = idle ();
    loop->is_cut[OTHER] = true;
    tide_loop_pass (loop, 2 * TIDE_LIVENESS_MS);
    probe = tide_loop_probe_at (polls, OTHER);
    tide_loop_say (probe, "2probe");
    assert_null (probe->connection);
    assert_alive (polls);
}

/*  -- sessions that end meanwhile ------------------------------------------------------------- */

static void a_session_that_ends_while_probed_takes_the_probe_with_it (void **state)
{
    (void) state;
    for (int how = 0; how < 5; how++) {
        tide_loop_client_t *client = subscribed ();
        tide_loop_client_t *probe = tide_loop_probe (client);
        if (how % 2)
            tide_loop_say (probe, "2probe");
        if (how == 0) /* the client closes */
            tide_loop_say (client, "1");
        else if (how == 1) /* the server ends it, in grace */
            tide_loop_say (client, "42/elsewhere,[\"x\"]");
        else if (how == 2) /* it breaks the protocol */
            tide_loop_say (client, "nonsense");
        else if (how == 3) /* its request is broken off */
            tide_hub_abandon (loop->hubs[HOLDER], (get (client), client->poll));
        else
            tide_loop_cut (client);
        if (how == 3) { /* it was answered at once: so it is alive */
            assert_non_null (probe->connection);
            tide_loop_say (client, "1");
        }
        tide_loop_run (loop);
        assert_null (probe->connection);
    }
}

static void a_session_that_ends_while_probed_there_takes_the_probe_with_it (void **state)
{
    (void) state;
    for (int how = 0; how < 8; how++) {
        tide_loop_client_t *client = subscribed_at (THIRD, OTHER);
        tide_loop_client_t *probe = probed_at (client, OTHER);
        if (how & 1) { /* it has taken, and the session is about to go */
            hold (TIDE_MESSAGE_PUBLISH);
            tide_loop_say (client, "427[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\"}]");
            tide_loop_say (probe, "5");
            assert_non_null (probe->connection);
        }
        char query[160];
        query_of (client, query);
        if (how / 2 == 0) /* the client closes */
            tide_loop_engineio (loop, OTHER, "POST", query, "1");
        else if (how / 2 == 1) /* the server ends it */
            tide_loop_engineio (loop, OTHER, "POST", query, "42/elsewhere,[\"x\"]");
        else if (how / 2 == 2) /* it breaks the protocol */
            tide_loop_engineio (loop, OTHER, "POST", query, "nonsense");
        else
            tide_loop_kill_lane (loop, HOLDER);
        if (how & 1 && how / 2 < 3) { /* it polls no more: what is said so is not heard */
            assert_was_refused (TIDE_ENGINEIO_BAD_REQUEST);
            tide_loop_let_all_go (loop);
            assert_gets (probe, "437[{\"ok\":true");
            tide_loop_cut (probe);
            continue;
        }
        tide_loop_let_all_go (loop);
        if (how / 2 == 3)
            tide_loop_pass (loop, 10000);
        assert_null (probe->connection);
        if (how / 2 == 1) { /* it is told by its next poll */
            assert_hears (client, "6");
            get (client);
            assert_hears (client, "1");
        }
        assert_forgotten (client);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (polls_are_answered_6_while_probed),
        TEST (polls_anywhere_are_answered_6_while_probed),
        TEST (a_second_probe_is_closed_and_the_first_goes_on),
        TEST (a_second_probe_is_refused_at_whichever_lane_and_the_first_goes_on),
        TEST (a_probe_that_says_something_wrong_leaves_polling_alive),
        TEST (a_probe_there_that_says_something_wrong_leaves_polling_alive),
        TEST (a_probe_that_says_too_much_leaves_polling_alive),
        TEST (a_probe_there_that_says_too_much_leaves_polling_alive),
        TEST (a_probe_that_closes_leaves_polling_alive),
        TEST (a_probe_there_that_closes_leaves_polling_alive),
        TEST (a_probe_has_ten_seconds),
        TEST (a_probe_there_has_ten_seconds),
        TEST (a_probe_for_a_session_that_is_not_there_is_closed),
        TEST (a_session_that_ends_while_probed_takes_the_probe_with_it),
        TEST (a_session_that_ends_while_probed_there_takes_the_probe_with_it),
    };
    return cmocka_run_group_tests_name ("probes", tests, NULL, NULL);
}
