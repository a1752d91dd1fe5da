/*  test_presence.c - who is in a topic, whatever becomes of clients.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_presence_fixture.h"

#include "tide_alloc.h"
#include "tide_application.h"
#include "tide_loop_worker.h"

#include <stdlib.h>

/*  -- coming and going ------------------------------------------------------------------------ */

static void joins_and_leaves_are_published (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t one = present_at (HOLDER), two = present_at (OTHER), silent = {0};
    assert_saw (watch, CAME, &one);
    assert_saw (watch, CAME, &two);
    connect_at (&silent, HOLDER);
    tide_loop_say (silent.wire, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (silent.wire, "431[{\"ok\":true");
    assert_saw_nothing (watch);
    assert_true (is_there (&one) && is_there (&two) && !is_there (&silent));
    tide_loop_say (one.wire, "422[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (one.wire, "432[{\"ok\":true");
    assert_saw (watch, WENT, &one);
    assert_true (!is_there (&one) && is_there (&two));
    tide_loop_say (two.wire, "41");
    assert_saw (watch, WENT, &two);
    tide_loop_pass (loop, 30000);
    assert_saw_nothing (watch);
}

static void it_is_written_together_with_the_session (void **state)
{
    (void) state;
    member_t member = {0};
    connect_at (&member, HOLDER);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire, "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    assert_hears (member.wire, "431[{\"ok\":true");
    assert_true (is_there (&member));
    tide_loop_cut (member.wire);
    hold (TIDE_MESSAGE_PUBLISH);
    member.wire = tide_loop_open (loop, OTHER, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (member.wire, "40{\"pid\":\"%s\"}", member.pid);
    assert_int_equal (loop->held_count, 1);
    assert_true (tide_loop_let_go (loop));
    assert_int_equal (loop->held_count, 0); /* and no other came of it */
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 20000);
    assert_true (is_there (&member));
}

static void what_one_says_of_itself_can_change (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = {0};
    connect_at (&member, HOLDER);
    enter (&member, "lobby", "{\"name\":\"Ada\"}");
    assert_saw (watch, CAME, &member);
    assert_data ("lobby", &member, "{\"name\":\"Ada\"}");
    enter (&member, "lobby", "{\"name\":\"Ada\"}"); /* which is nothing new */
    assert_saw_nothing (watch);
    enter (&member, "lobby", "{\"name\":\"Eve\"}");
    assert_saw (watch, CAME, &member);
    assert_data ("lobby", &member, "{\"name\":\"Eve\"}");
    tide_loop_say (member.wire,
                   "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"start\"}]");
    assert_hears (member.wire, "432[{\"ok\":true"); /* and nothing was said of presence */
    assert_saw_nothing (watch);
    tide_loop_say (member.wire, "423[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"start\","
                                "\"present\":true}]");
    assert_hears (member.wire, "433[{\"ok\":true");
    assert_saw (watch, CAME, &member);
    assert_data ("lobby", &member, "true");
    enter (&member, "lobby", "false");
    assert_saw (watch, WENT, &member);
    assert_false (is_there (&member));
    tide_loop_publish (loop, "lobby", 7);
    assert_hears (member.wire, "42[\"n\",7"); /* still a member */
    enter (&member, "lobby", "{}");
    assert_saw (watch, CAME, &member);
    tide_loop_say (member.wire,
                   "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"snapshot\","
                   "\"present\":false}]");
    assert_hears (member.wire, "434[{\"ok\":true");
    assert_saw (watch, WENT, &member);
    tide_loop_cut (member.wire);
    connect_at (&member, OTHER);
    assert_saw_nothing (watch);
}

/*  What was said last counts, though what was said before is not in the log yet. */
static void what_is_said_while_it_changes_counts (void **state)
{
    (void) state;
    static const char *const says[] = {"true", "{\"a\":1}", "false"};
    for (int way = 0; way < 27; way++) {
        const char *first = says[way % 3], *then = says[way / 3 % 3], *last = says[way / 9];
        member_t member = {0};
        connect_at (&member, HOLDER);
        enter (&member, "lobby", first);
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (member.wire, "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":%s}]",
                       then);
        tide_loop_say (member.wire, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":%s}]",
                       last);
        tide_loop_say (member.wire, "423[\"tide:subscribe\",{\"topic\":\"lobby\",\"meta\":true}]");
        tide_loop_let_all_go (loop);
        assert_int_equal (count_heard (member.wire, "43"), 3);
        for (int again = 0; again < 2; again++) {
            if (strcmp (last, "false") == 0)
                assert_false (is_there (&member));
            else
                assert_data ("lobby", &member, last);
            tide_loop_cut (member.wire);
            connect_at (&member, OTHER); /* its record says the same */
            tide_loop_pass (loop, 8000);
        }
        tide_loop_cut (member.wire);
        tide_loop_pass (loop, 8000);
        assert_false (is_there (&member));
    }
}

/*  It is told where it is, not where it was when it asked. */
static void g1_who_becomes_present_reads_on_meanwhile (void **state)
{
    (void) state;
    member_t member = present_at (HOLDER);
    loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (member.wire,
                   "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":{\"a\":1}}]");
    uint64_t heard = tide_loop_publish (loop, "lobby", 7);
    assert_gets (member.wire, "42[\"n\",7");
    tide_loop_let_all_go (loop);
    const char *answer = strstr (hear (member.wire), "\"seq\":");
    assert_non_null (answer);
    assert_true (strtoull (answer + strlen ("\"seq\":"), NULL, 10) >= heard);
}

/*  In a log without events all begins at 0, and waits there. */
static void g5_who_enters_in_an_empty_log_gets_all (void **state)
{
    (void) state;
    tide_loop_client_t *client = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON);
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"b\"}");
    assert_gets (client, "{\"op\":\"ok\",\"id\":1,\"topic\":\"b\",\"epoch\"");
    loop->held_kinds[HOLDER] = 1ull << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":2,\"topic\":\"a\",\"present\":true}");
    assert_int_equal (tide_loop_publish (loop, "a", 1), 1);
    tide_loop_publish (loop, "b", 2);
    tide_loop_let_all_go (loop);
    assert_gets (client, "{\"op\":\"ok\",\"id\":2,\"topic\":\"a\"");
    assert_gets (client, "{\"op\":\"event\",\"topic\":\"a\",\"seq\":1");
    assert_gets (client, "{\"op\":\"event\",\"topic\":\"b\",\"seq\":2");
}

/*  -- connections that end -------------------------------------------------------------------- */

static void a_short_cut_does_not_flicker (void **state)
{
    (void) state;
    member_t member = present_at (HOLDER);
    uint64_t since = since_of (&member);
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        tide_loop_client_t *watch = watcher ();
        tide_loop_cut (member.wire);
        tide_loop_pass (loop, 4000);
        assert_saw_nothing (watch);
        connect_at (&member, hub);
        assert_saw (watch, CAME, &member); /* again: under the lease of that lane */
        tide_loop_pass (loop, 30000);
        assert_saw_nothing (watch);
        assert_true (since_of (&member) == since);
        /*  Nor by a change that is none of presence. */
        tide_loop_say (member.wire, "427[\"tide:subscribe\",{\"topic\":\"lobby\",\"meta\":%s}]",
                       hub % 2 ? "true" : "false");
        assert_gets (member.wire, "437[{\"ok\":true");
        assert_saw_nothing (watch);
    }
}

static void who_does_not_come_back_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = {0};
    connect_at (&member, HOLDER);
    enter (&member, "lobby", "{\"a\":[1]}");
    assert_saw (watch, CAME, &member);
    tide_loop_cut (member.wire);
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &member);
    connect_at (&member, OTHER); /* much later, but it can be resumed */
    assert_saw (watch, CAME, &member);
    assert_data ("lobby", &member, "{\"a\":[1]}");
    tide_loop_cut (member.wire);
    tide_loop_pass (loop, 3000);
    connect_at (&member, OTHER); /* the lane where it was: what that released is void */
    tide_loop_pass (loop, 30000);
    assert_saw (watch, CAME, &member);
    assert_saw_nothing (watch);
}

static void whose_session_cannot_be_resumed_is_gone_at_once (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = {.wire = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON)};
    tide_loop_say (member.wire, "{\"op\":\"sub\",\"id\":1,\"topic\":\"lobby\",\"present\":{}}");
    assert_hears (member.wire, "{\"op\":\"ok\"");
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 1);
    snprintf (member.sid, sizeof member.sid, "%s",
              json_string_value (json_object_get (json_array_get (members, 0), "sid")));
    json_decref (members);
    assert_saw (watch, CAME, &member);
    tide_loop_say (member.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":false}");
    tide_loop_run (loop);
    assert_saw (watch, WENT, &member);
    tide_loop_say (member.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":true}");
    assert_saw (watch, CAME, &member);
    tide_loop_say (member.wire, "{\"op\":\"unsub\",\"topic\":\"lobby\"}");
    tide_loop_pass (loop, 10);
    assert_saw (watch, WENT, &member);
    tide_loop_say (member.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":true}");
    assert_saw (watch, CAME, &member);
    tide_loop_cut (member.wire);
    tide_loop_pass (loop, 10);
    assert_saw (watch, WENT, &member);
}

/*  What was on its way to the log when the connection ended is nobody's by the time it is there. */
static void who_goes_while_it_comes_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    for (int resumable = 0; resumable < 2; resumable++) {
        member_t member = {0};
        if (resumable)
            connect_at (&member, HOLDER);
        else
            member.wire = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON);
        hold (TIDE_MESSAGE_PUBLISH);
        if (resumable)
            tide_loop_say (member.wire,
                           "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
        else
            tide_loop_say (member.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"present\":true}");
        assert_int_equal (loop->held_count, 1);
        tide_loop_cut (member.wire);
        tide_loop_let_all_go (loop);
        tide_loop_pass (loop, 6000);
        assert_int_equal (count_heard (watch, "{"), 2);
        json_t *members = members_of ("lobby");
        assert_int_equal (json_array_size (members), 0);
        json_decref (members);
    }
}

static void who_leaves_while_it_comes_is_gone (void **state)
{
    (void) state;
    member_t member = {0};
    connect_at (&member, HOLDER);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire, "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
    tide_loop_say (member.wire, "422[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    assert_hears (member.wire, "431[{\"ok\":false");
    tide_loop_let_all_go (loop);
    assert_hears (member.wire, "432[{\"ok\":true");
    assert_false (is_there (&member));
    for (int at = 0; at < 2; at++) {
        /*  For good, while it comes, and while it changes. */
        if (at == 1) {
            member = (member_t){0};
            connect_at (&member, HOLDER);
            enter (&member, "lobby", "true");
        }
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (member.wire, "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":{}}]");
        tide_loop_say (member.wire, "41");
        tide_loop_let_all_go (loop);
        assert_false (is_there (&member));
    }
}

/*  Presence outlives what is joined anew: it goes with the session, not with the membership. */
static void who_goes_while_it_is_brought_up_anew_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    for (int for_good = 0; for_good < 2; for_good++) {
        member_t member = present_at (HOLDER);
        assert_saw (watch, CAME, &member);
        hold (TIDE_MESSAGE_SNAPSHOT);
        tide_loop_say (member.wire,
                       "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"snapshot\"}]");
        assert_int_equal (loop->held_count, 1);
        if (for_good)
            tide_loop_say (member.wire, "41");
        else
            tide_loop_cut (member.wire);
        tide_loop_pass (loop, for_good ? 10 : 6000);
        assert_saw (watch, WENT, &member);
        tide_loop_let_all_go (loop);
    }
}

/*  It says that it is not present any more, and is gone before that is in the log: it goes once, or
 *  is released where nothing can be appended. */
static void who_goes_while_it_is_removed_goes_once (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    static const char *const says[] = {"\"since\":\"snapshot\"", "\"since\":\"live\""};
    for (int how = 0; how < 8; how++) {
        bool for_good = how & 2, is_refused = how & 4;
        member_t member = present_at (HOLDER);
        assert_saw (watch, CAME, &member);
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (member.wire,
                       "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":false,%s}]",
                       says[how & 1]);
        assert_int_equal (loop->held_count, 1);
        tide_loop_say (member.wire, "%s",
                       for_good ? "41" : "423[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
        assert_true (loop->held_count > 1);
        if (is_refused)
            refuse_held (TIDE_LOG_FULL);
        else
            tide_loop_let_all_go (loop);
        tide_loop_pass (loop, is_refused ? 6000 : 10);
        assert_saw (watch, WENT, &member);
        tide_loop_pass (loop, 6000);
        assert_saw_nothing (watch);
        tide_loop_cut (member.wire);
        tide_loop_pass (loop, 6000);
        assert_saw_nothing (watch);
    }
}

/*  Where it stands was not known yet when it was to be removed. */
static void who_leaves_while_it_is_removed_in_vain_is_released (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    for (int for_good = 0; for_good < 2; for_good++) {
        member_t member = {0};
        connect_at (&member, HOLDER);
        enter (&member, "lobby", "false");
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (member.wire,
                       "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
        tide_loop_say (member.wire,
                       "423[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":false}]");
        assert_int_equal (loop->held_count, 2);
        assert_true (tide_loop_let_go (loop));
        assert_saw (watch, CAME, &member);
        tide_loop_say (member.wire, "%s",
                       for_good ? "41" : "424[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
        refuse_held (TIDE_LOG_FULL);
        tide_loop_pass (loop, 6000);
        assert_saw (watch, WENT, &member);
        assert_saw_nothing (watch);
        tide_loop_cut (member.wire);
        tide_loop_pass (loop, 6000);
        assert_saw_nothing (watch);
    }
}

static void what_cannot_be_left_in_time_is_released (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire, "422[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    tide_loop_pass (loop, 11000);
    assert_hears (member.wire, "432[{\"ok\":false,\"code\":\"timeout\"");
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &member);
    tide_loop_let_all_go (loop);
}

static void who_goes_while_it_comes_back_is_gone (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    tide_loop_cut (member.wire);
    hold (TIDE_MESSAGE_PUBLISH);
    member.wire = tide_loop_open (loop, OTHER, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (member.wire, "40{\"pid\":\"%s\"}", member.pid);
    assert_int_equal (loop->held_count, 1);
    tide_loop_cut (member.wire);
    tide_loop_let_all_go (loop);
    assert_saw (watch, CAME, &member);
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &member);
}

/*  The client was told that its time was up; what the log says then is what it was told before. */
static void what_was_answered_too_late_is_put_right (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = {0}, other = {0};
    connect_at (&member, HOLDER);
    connect_at (&other, HOLDER);
    enter (&member, "lobby", "{\"a\":1}");
    assert_saw (watch, CAME, &member);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire,
                   "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":{\"a\":2}}]");
    tide_loop_say (other.wire, "422[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":true}]");
    tide_loop_pass (loop, 11000);
    assert_hears (member.wire, "432[{\"ok\":false,\"code\":\"timeout\"");
    assert_hears (other.wire, "432[{\"ok\":false,\"code\":\"timeout\"");
    tide_loop_let_all_go (loop);
    assert_saw (watch, CAME, &member);
    assert_saw (watch, CAME, &other);
    tide_loop_pass (loop, 7000);
    assert_data ("lobby", &member, "{\"a\":1}");
    assert_false (is_there (&other));
    tide_loop_say (member.wire, "3");
    assert_int_equal (count_heard (watch, "{"), 2);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire, "423[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":false}]");
    tide_loop_pass (loop, 11000);
    assert_hears (member.wire, "433[{\"ok\":false,\"code\":\"timeout\"");
    tide_loop_let_all_go (loop);
    assert_saw (watch, WENT, &member);
    tide_loop_say (member.wire, "3");
    tide_loop_pass (loop, 3000);
    assert_data ("lobby", &member, "{\"a\":1}");
    tide_loop_cut (member.wire);
    tide_loop_pass (loop, 7000);
    assert_false (is_there (&member));
}

/*  -- workers --------------------------------------------------------------------------------- */

/*  The session that calls is let in by a worker, with these arguments. */
static void let_in (member_t *member, const char *args)
{
    tide_lend_message_t lend;
    tide_event_t call;
    tide_buffer_t payload = {0};
    char own[80];
    tide_loop_say (member->wire, "426[\"enter\"]");
    assert_true (tide_loop_lent (loop, &lend, &call));
    snprintf (own, sizeof own, "@%s", member->sid);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (args), .many = true});
    tide_loop_handled_with (loop, &lend, NULL,
                            &(tide_event_t){.topic = tide_bytes (own),
                                            .name = tide_bytes (TIDE_ORDER_JOIN),
                                            .payload = tide_buffer_bytes (&payload)},
                            1);
    tide_buffer_free (&payload);
    assert_gets (member->wire, "436[]");
}

static void a_worker_makes_a_session_present (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    tide_loop_serve (loop, "chat", "/", "enter", 0);
    member_t member = {0};
    connect_at (&member, HOLDER);
    let_in (&member, "[\"lobby\",{\"name\":\"Ada\"}]");
    assert_saw (watch, CAME, &member);
    assert_data ("lobby", &member, "{\"name\":\"Ada\"}");
    let_in (&member, "[\"lobby\",{\"name\":\"Eve\"}]");
    assert_saw (watch, CAME, &member);
    let_in (&member, "[\"lobby\"]"); /* as it was */
    let_in (&member, "[\"lobby\",7]");
    assert_saw_nothing (watch);
    let_in (&member, "[\"lobby\",false]");
    assert_saw (watch, WENT, &member);
    let_in (&member, "[\"elsewhere\",7]"); /* which nobody can be, but it joins */
    tide_loop_publish (loop, "elsewhere", 7);
    assert_hears (member.wire, "42[\"n\",7");
    let_in (&member, "[\"lobby\",true]");
    assert_saw (watch, CAME, &member);
    /*  Whom workers serve is closed at its end, not removed. */
    tide_loop_say (member.wire, "41");
    assert_saw (watch, WENT, &member);
}

/*  Where nothing can be appended, what has ended goes by its lease. */
static void what_cannot_be_removed_is_released (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    enum { ENDS, IS_CLOSED, ENDS_WHILE_IT_IS_BROUGHT_UP, HOW };
    tide_loop_serve (loop, "chat", "/", "enter", 0);
    for (int how = 0; how < HOW; how++) {
        member_t member = present_at (HOLDER);
        assert_saw (watch, CAME, &member);
        if (how == IS_CLOSED)
            let_in (&member, "[\"lobby\"]");
        if (how == ENDS_WHILE_IT_IS_BROUGHT_UP) {
            hold (TIDE_MESSAGE_SNAPSHOT);
            tide_loop_say (member.wire,
                           "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"snapshot\"}]");
        }
        hold (TIDE_MESSAGE_PUBLISH);
        tide_loop_say (member.wire, "41");
        assert_true (loop->held_count > 0);
        refuse_held (TIDE_LOG_FULL);
        assert_saw_nothing (watch);
        tide_loop_pass (loop, 6000);
        assert_saw (watch, WENT, &member);
    }
}

/*  Where a topic cannot be brought up anew the session is out of it, and so is its presence, even
 *  if that cannot be appended either. */
static void what_cannot_be_brought_up_anew_is_released (void **state)
{
    (void) state;
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (member.wire,
                   "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"start\"}]");
    assert_int_equal (loop->held_count, 1);
    tide_loop_pass (loop, 11000); /* then its time is up, and it is to go from the record */
    assert_hears (member.wire, "434[{\"ok\":false,\"code\":\"timeout\"");
    assert_true (loop->held_count > 1);
    refuse_held (TIDE_LOG_FULL);
    assert_null (member.wire->connection);
    assert_saw_nothing (watch);
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &member);
    assert_false (is_there (&member));
}

static void who_is_brought_up_anew_while_no_request_can_be_made_is_released (void **state)
{
    (void) state;
    static const char publish[] = "{\"op\":\"pub\",\"topic\":\"x\",\"event\":\"e\",\"data\":1}";
    tide_loop_client_t *watch = watcher ();
    member_t member = present_at (HOLDER);
    assert_saw (watch, CAME, &member);
    tide_loop_client_t *greedy = tide_loop_open (loop, HOLDER, TIDE_CLIENT_JSON);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    for (unsigned at = 0; at < TIDE_LINK_REQUESTS_MAX && greedy->connection; at++)
        tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, greedy->connection, tide_bytes (publish),
                        true);
    tide_loop_say (member.wire,
                   "424[\"tide:subscribe\",{\"topic\":\"lobby\",\"since\":\"snapshot\"}]");
    assert_null (member.wire->connection);
    loop->lost_kind = 0;
    tide_loop_pass (loop, 6000);
    assert_saw (watch, WENT, &member);
}

/*  -- those who look -------------------------------------------------------------------------- */

static void who_looks_is_answered_in_every_dialect (void **state)
{
    (void) state;
    member_t member = {0};
    connect_at (&member, HOLDER);
    enter (&member, "lobby", "{\"name\":\"Ada\"}");
    char begin[200];
    tide_loop_say (member.wire, "425[\"tide:presence\",{\"topic\":\"lobby\"}]");
    assert_hears (member.wire, "435[{\"ok\":true,\"epoch\":\"");
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"presence\",\"id\":9,\"topic\":\"lobby\"}");
    const char *frame = tide_loop_hear (client);
    snprintf (begin, sizeof begin,
              "\"members\":[{\"sid\":\"%s\",\"data\":{\"name\":\"Ada\"},\"since\":", member.sid);
    assert_non_null (strstr (frame, "{\"op\":\"ok\",\"id\":9,"));
    assert_non_null (strstr (frame, begin));
    json_t *nobody = members_of ("nowhere");
    assert_int_equal (json_array_size (nobody), 0);
    json_decref (nobody);
    tide_loop_http (loop, THIRD, "GET", "/api/v1/snapshot", "topic=%24presence/lobby", "");
    assert_int_equal (loop->http_status, 200);
    assert_non_null (
        strstr (loop->http_body, "\"event\":\"presence\",\"data\":{\"data\":{\"name\""));
    tide_loop_client_t *stream =
        tide_loop_stream (loop, OTHER, "topic=%24presence/%23&since=snapshot", "");
    assert_non_null (stream);
    tide_put_u8 (&stream->text, 0);
    assert_non_null (strstr ((const char *) stream->text.data, member.sid));
}

static void a_client_of_socketio_hears_who_it_is (void **state)
{
    (void) state;
    member_t watch = {0}, member = {0};
    connect_at (&watch, OTHER);
    tide_loop_say (watch.wire, "421[\"tide:subscribe\",{\"topic\":\"$presence/#\"}]");
    assert_hears (watch.wire, "431[{\"ok\":true");
    connect_at (&member, HOLDER);
    enter (&member, "a/b", "{\"n\":1}");
    char begin[200];
    const char *frame = tide_loop_hear (watch.wire);
    assert_memory_equal (frame, "42[\"presence\",{\"data\":{\"n\":1}},{", 32);
    snprintf (begin, sizeof begin, "\"key\":\"%s\"", member.sid);
    assert_non_null (strstr (frame, begin));
    assert_non_null (strstr (frame, "\"topic\":\"$presence/a/b\""));
    tide_loop_say (member.wire, "41");
    frame = tide_loop_hear (watch.wire);
    assert_memory_equal (frame, "42[\"presence\",null,{", 20);
    assert_non_null (strstr (frame, begin));
    assert_non_null (strstr (frame, "\"removed\":true"));
    char offset[64];
    snprintf (offset, sizeof offset, "%s", strrchr (frame, ',') + 2);
    offset[strcspn (offset, "\"")] = 0;
    /*  It is in its record: when it comes back it has missed nothing. */
    tide_loop_cut (watch.wire);
    member_t other = {0};
    connect_at (&other, HOLDER);
    enter (&other, "c", "true");
    watch.wire = tide_loop_open (loop, THIRD, TIDE_CLIENT_SOCKETIO);
    tide_loop_say (watch.wire, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", watch.pid, offset);
    assert_hears (watch.wire, "0{");
    assert_hears (watch.wire, "40{");
    assert_hears (watch.wire, "42[\"presence\",{},{");
    tide_loop_say (watch.wire, "422[\"tide:unsubscribe\",{\"topic\":\"$presence/#\"}]");
    assert_hears (watch.wire, "432[{\"ok\":true");
    enter (&other, "d", "true");
    assert_null (tide_loop_hear (watch.wire));
}

static void a_watcher_is_reset_as_with_any_topic (void **state)
{
    (void) state;
    member_t watch = {0}, member = present_at (HOLDER);
    connect_at (&watch, OTHER);
    tide_loop_say (watch.wire, "421[\"tide:subscribe\",{\"topic\":\"$presence/lobby\"}]");
    assert_hears (watch.wire, "431[{\"ok\":true");
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 9000);
    const char *frame = hear (watch.wire);
    while (frame && strstr (frame, "tide:reset") == NULL)
        frame = hear (watch.wire);
    assert_non_null (frame);
    assert_non_null (strstr (frame, "$presence/lobby"));
    bool is_told = strstr (frame, member.sid) != NULL;
    while ((frame = hear (watch.wire)))
        is_told = is_told || strstr (frame, member.sid) != NULL;
    assert_true (is_told);
}

/*  -- bad input ------------------------------------------------------------------------------- */

static void what_cannot_be_is_told_by_name (void **state)
{
    (void) state;
    member_t member = {0};
    connect_at (&member, HOLDER);
    char deep[200], large[5000], longest[300];
    memset (deep, '[', 40);
    memset (deep + 40, ']', 40);
    deep[80] = 0;
    memset (large, 'x', 4090);
    large[4090] = 0;
    memset (longest, 't', 246);
    longest[246] = 0;
    const struct {
        const char *topic, *before, *present, *after, *code;
    } bad[] = {
        {"lobby", "", "1", "", "bad_request"},
        {"lobby", "", "null", "", "bad_request"},
        {"lobby", "", "[]", "", "bad_request"},
        {"lobby", "", "\"yes\"", "", "bad_request"},
        {"lobby", "{\"a\":", deep, "}", "too_large"},
        {"lobby", "{\"a\":\"", large, "\"}", "too_large"},
        {"lobby/#", "", "true", "", "bad_topic"},
        {"#", "", "true", "", "bad_topic"},
        {"$presence/lobby", "", "true", "", "bad_topic"},
        {longest, "", "true", "", "bad_topic"},
        {"$nsp", "", "true", "", "forbidden"},
        {"$presence", "", "false", "", "forbidden"},
        {"$presence/", "", "false", "", "forbidden"},
        {"$presencex/y", "", "false", "", "forbidden"},
        {"@x", "", "false", "", "forbidden"},
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        char begin[100];
        tide_loop_say (member.wire, "421[\"tide:subscribe\",{\"topic\":\"%s\",\"present\":%s%s%s}]",
                       bad[at].topic, bad[at].before, bad[at].present, bad[at].after);
        snprintf (begin, sizeof begin, "431[{\"ok\":false,\"code\":\"%s\"", bad[at].code);
        assert_hears (member.wire, begin);
    }
    json_t *members = members_of ("lobby");
    assert_int_equal (json_array_size (members), 0);
    json_decref (members);
    large[4096 - 8] = 0; /* with {"a":""} around it exactly as large as it may be */
    tide_loop_say (member.wire,
                   "421[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":{\"a\":\"%s\"}}]",
                   large);
    assert_hears (member.wire, "431[{\"ok\":true");
    longest[245] = 0;
    enter (&member, longest, "true");
    json_decref (found (longest, &member));
    for (int at = 0; at < 98; at++) {
        char topic[20];
        snprintf (topic, sizeof topic, "t%d", at);
        enter (&member, topic, "true");
    }
    tide_loop_say (member.wire, "421[\"tide:subscribe\",{\"topic\":\"more\",\"present\":true}]");
    assert_hears (member.wire, "431[{\"ok\":false,\"code\":\"too_many\"");
    enter (&member, "t7", "{\"changed\":1}"); /* not one more */
    tide_loop_cut (member.wire);
    connect_at (&member, OTHER); /* all of them, in one append */
    tide_loop_pass (loop, 30000);
    json_t *t97 = found ("t97", &member);
    assert_non_null (t97);
    json_decref (t97);
    tide_loop_say (member.wire, "3");
    tide_loop_say (member.wire, "41");
    t97 = found ("t97", &member);
    assert_null (t97);
}

static void nobody_publishes_there (void **state)
{
    (void) state;
    member_t member = {0};
    connect_at (&member, HOLDER);
    tide_loop_say (member.wire,
                   "421[\"tide:publish\",{\"topic\":\"$presence/lobby\",\"event\":\"x\","
                   "\"key\":\"k\",\"data\":1}]");
    assert_hears (member.wire, "431[{\"ok\":false,\"code\":\"forbidden\"");
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "",
                    "{\"topic\":\"$presence/lobby\",\"event\":\"x\",\"key\":\"k\"}");
    assert_int_equal (loop->http_status, 403);
    const struct {
        const char *query;
        unsigned status;
        const char *code;
    } bad[] = {{"", 400, "bad_topic"},
               {"topic=", 400, "bad_topic"},
               {"topic=a/%23", 400, "bad_topic"},
               {"topic=%24presence/a", 400, "bad_topic"},
               {"topic=%24session/x", 403, "forbidden"},
               {"topic=%ff", 400, "bad_topic"}};
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        tide_loop_http (loop, THIRD, "GET", "/api/v1/presence", bad[at].query, "");
        assert_int_equal (loop->http_status, bad[at].status);
        assert_non_null (strstr (loop->http_body, bad[at].code));
    }
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"presence\",\"id\":1}");
    assert_hears (client, "{\"op\":\"error\",\"id\":1,\"code\":\"bad_topic\"");
    tide_loop_say (member.wire, "422[\"tide:presence\",{\"topic\":7}]");
    assert_hears (member.wire, "432[{\"ok\":false,\"code\":\"bad_topic\"");
    tide_loop_say (member.wire, "423[\"tide:presence\"]");
    assert_hears (member.wire, "433[{\"ok\":false,\"code\":\"bad_request\"");
    tide_loop_say (member.wire, "451-4[\"tide:subscribe\",{\"topic\":\"lobby\",\"present\":"
                                "{\"a\":{\"_placeholder\":true,\"num\":0}}}]");
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, member.wire->connection, tide_bytes ("\1"),
                    false);
    tide_loop_run (loop);
    assert_hears (member.wire, "434[{\"ok\":false,\"code\":\"bad_request\"");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (joins_and_leaves_are_published),
        TEST (it_is_written_together_with_the_session),
        TEST (what_one_says_of_itself_can_change),
        TEST (what_is_said_while_it_changes_counts),
        TEST (g1_who_becomes_present_reads_on_meanwhile),
        TEST (g5_who_enters_in_an_empty_log_gets_all),
        TEST (a_short_cut_does_not_flicker),
        TEST (who_does_not_come_back_is_gone),
        TEST (whose_session_cannot_be_resumed_is_gone_at_once),
        TEST (who_goes_while_it_comes_is_gone),
        TEST (who_leaves_while_it_comes_is_gone),
        TEST (who_goes_while_it_is_brought_up_anew_is_gone),
        TEST (who_goes_while_it_is_removed_goes_once),
        TEST (who_leaves_while_it_is_removed_in_vain_is_released),
        TEST (what_cannot_be_left_in_time_is_released),
        TEST (who_goes_while_it_comes_back_is_gone),
        TEST (a_worker_makes_a_session_present),
        TEST (what_was_answered_too_late_is_put_right),
        TEST (what_cannot_be_removed_is_released),
        TEST (what_cannot_be_brought_up_anew_is_released),
        TEST (who_is_brought_up_anew_while_no_request_can_be_made_is_released),
        TEST (who_looks_is_answered_in_every_dialect),
        TEST (a_client_of_socketio_hears_who_it_is),
        TEST (a_watcher_is_reset_as_with_any_topic),
        TEST (what_cannot_be_is_told_by_name),
        TEST (nobody_publishes_there),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
