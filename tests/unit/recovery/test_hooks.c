/*  test_hooks.c - workers say who may come in, are told who left, and move sessions about.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  It comes into the main namespace, where a worker lets it in. */
static tide_loop_client_t *admitted (char sid[64], char pid[64])
{
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    admit ();
    const char *frame = tide_loop_hear (client);
    assert_memory_equal (frame, "40{", 3);
    take_text (frame, "sid", sid);
    take_text (frame, "pid", pid);
    return client;
}

/*  -- namespaces ------------------------------------------------------------------------------ */

static void a_namespace_is_there_as_soon_as_a_worker_serves_something_in_it (void **state)
{
    (void) state;
    tide_loop_client_t *client = opened_at (HOLDER);
    tide_loop_say (client, "40/shop,");
    assert_string_equal (tide_loop_hear (client), "44/shop,{\"message\":\"Invalid namespace\"}");
    tide_loop_serve (loop, "shop", "/shop", "buy", 0);
    tide_loop_say (client, "40/shop,");
    assert_hears (client, "40/shop,{");
    assert_nothing_lent ();
    tide_loop_say (client, "40/other,");
    assert_string_equal (tide_loop_hear (client), "44/other,{\"message\":\"Invalid namespace\"}");
    tide_loop_serve (loop, "all", "*", "buy", 0); /* which makes no namespace */
    tide_loop_say (client, "40/other,");
    assert_string_equal (tide_loop_hear (client), "44/other,{\"message\":\"Invalid namespace\"}");
}

static void what_serves_all_events_does_not_get_what_clients_cannot_emit (void **state)
{
    (void) state;
    tide_loop_serve (loop, "all", "/", "*", 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_hears (client, "40{");
    tide_loop_say (client, "421[\"tide:connect\",{}]");
    assert_hears (client, "431[{\"ok\":false,\"code\":\"bad_request\"");
    tide_loop_say (client, "41");
    assert_nothing_lent ();
}

/*  -- coming in ------------------------------------------------------------------------------- */

static void a_client_comes_in_when_a_worker_lets_it_in (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = opened_at (HOLDER);
    tide_loop_say (client, "40{\"token\":\"t\",\"pid\":7,\"offset\":8}");
    assert_lent (TIDE_HOOK_CONNECT, "[{\"token\":\"t\"},false]");
    assert_null (tide_loop_hear (client));
    admit ();
    assert_hears (client, "40{\"sid\":\"");
    assert_null (tide_loop_hear (client));
}

static void volatile_ones_are_asked_too (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, TIDE_HANDLER_VOLATILE);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    admit ();
    assert_hears (client, "40{\"sid\":\"");
}

static void a_client_that_is_refused_learns_why (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    reply ("{\"message\":\"not you\",\"data\":{\"why\":[1]}}");
    assert_string_equal (tide_loop_hear (client),
                         "44{\"message\":\"not you\",\"data\":{\"why\":[1]}}");
    tide_loop_say (client, "40");
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    tide_loop_handled (loop, &lend, TIDE_FORBIDDEN, NULL);
    const char *frame = tide_loop_hear (client);
    assert_memory_equal (frame, "44{\"message\":\"", 14);
    assert_non_null (strstr (frame, "\"data\":{\"code\":\"forbidden\"}"));
    tide_loop_say (client, "40");
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    reply ("{\"other\":1}"); /* which refuses nobody */
    assert_hears (client, "40{");
}

static void a_client_that_gives_up_is_forgotten (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT, 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    tide_loop_cut (client);
    admit ();
    tide_loop_pass (loop, 1000);
    assert_nothing_lent (); /* it was never in */
}

static void without_a_worker_the_client_tries_again (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_serve (loop, "door", "/", "other", 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    tide_loop_pass (loop, 15000);
    assert_null (client->connection);
}

static void another_log_refuses_who_was_asked_in_the_one_before (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 3000);
    assert_null (client->connection);
}

static void who_comes_back_is_asked_for_again (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    tide_loop_cut (client);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    admit ();
    client = asking_at (OTHER, pid);
    assert_lent (TIDE_HOOK_CONNECT, "[{},true]");
    assert_true (tide_bytes_is (event.from, sid));
    reply ("{\"message\":\"no more\"}");
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"no more\"}");
    tide_loop_say (client, "40{\"pid\":\"%s\"}", pid);
    assert_lent (TIDE_HOOK_CONNECT, "[{},true]");
    admit ();
    const char *frame = tide_loop_hear (client);
    assert_non_null (strstr (frame, sid));
}

/*  -- going ----------------------------------------------------------------------------------- */

static void g7_who_leaves_is_told_of_and_later_gone (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/",
                     TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    tide_loop_say (client, "41");
    assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
    assert_true (tide_bytes_is (event.from, sid));
    assert_int_equal (called.session.size, 73); /* it can still be read */
    admit ();
    tide_loop_say (client, "40{\"pid\":\"%s\"}", pid);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]"); /* nobody resumes it, though */
    admit ();
    assert_hears (client, "40{");
    tide_loop_pass (loop, 29000);
    assert_nothing_lent ();
    tide_loop_pass (loop, 2000);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_true (tide_bytes_is (event.from, sid));
    admit ();
    tide_loop_pass (loop, 5000);
    assert_nothing_lent ();
}

static void g7_who_was_cut_off_is_gone_when_it_cannot_come_back (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/",
                     TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    tide_loop_cut (client);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    admit ();
    tide_loop_pass (loop, loop->hub_config.resume_ms - 2000);
    assert_nothing_lent ();
    tide_loop_pass (loop, 4000);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_true (tide_bytes_is (event.from, sid));
}

static void g7_a_gateway_that_dies_has_its_clients_told_of (void **state)
{
    (void) state;
    char sid[64], pid[64], other_sid[64], other_pid[64];
    tide_loop_serve (loop, "door", "/",
                     TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    admitted (sid, pid);
    admitted (other_sid, other_pid);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_client_t *back = asking_at (OTHER, other_pid);
    assert_lent (TIDE_HOOK_CONNECT, "[{},true]");
    admit ();
    assert_hears (back, "40{");
    tide_loop_pass (loop, 12000);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    assert_true (tide_bytes_is (event.from, sid)); /* the other one is back */
    admit ();
    assert_nothing_lent ();
    tide_loop_kill_broker (loop, false); /* which remembers that it was told */
    tide_loop_serve (loop, "door", "/",
                     TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    tide_loop_pass (loop, 12000);
    assert_nothing_lent ();
}

static void g7_who_died_with_its_gateway_is_gone_in_the_end (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT " " TIDE_HOOK_EXPIRED, 0);
    admitted (sid, pid);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_pass (loop, 8000 + loop->hub_config.resume_ms);
    assert_nothing_lent ();
    tide_loop_pass (loop, 4000);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_true (tide_bytes_is (event.from, sid));
}

/*  Its lane dies before it has released it, or dies with the broker, which has forgotten that. */
static void g7_who_left_is_told_of_once_whatever_dies_then (void **state)
{
    (void) state;
    static const char hooks[] = TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED;
    char sid[64], pid[64];
    for (int both = 0; both < 2; both++) {
        tide_loop_serve (loop, "door", "/", hooks, 0);
        tide_loop_client_t *client = admitted (sid, pid);
        if (!both)
            loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_RELEASE;
        tide_loop_say (client, "41");
        assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
        admit ();
        tide_loop_kill_lane (loop, HOLDER);
        if (both)
            tide_loop_kill_broker (loop, false);
        loop->held_kinds[HOLDER] = 0;
        tide_loop_serve (loop, "door", "/", hooks, 0);
        tide_loop_pass (loop, 37000);
        assert_nothing_lent ();
        tide_loop_pass (loop, 6000);
        assert_lent (TIDE_HOOK_EXPIRED, "[]");
        assert_true (tide_bytes_is (event.from, sid));
        admit ();
        tide_loop_pass (loop, 30000);
        assert_nothing_lent ();
    }
}

/*  Its calls wait for a worker, as many as there may be. */
static void who_has_called_as_often_as_it_may_is_told_of (void **state)
{
    (void) state;
    enum { CALLS = 1000 };
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/", "buy " TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    for (unsigned at = 0; at < CALLS; at++)
        tide_loop_say (client, "42[\"buy\"]");
    tide_loop_say (client, "421[\"buy\"]");
    assert_hears (client, "431[{\"ok\":false,\"code\":\"too_many\"");
    tide_loop_say (client, "41");
    for (unsigned at = 0; at < CALLS; at++) {
        assert_lent ("buy", "[]");
        admit ();
    }
    assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
    admit ();
}

/*  The lane, which lives on, has released the record: the broker does not speak of it. */
static void g7_whom_a_broker_that_stops_was_told_of_the_next_one_is (void **state)
{
    (void) state;
    static const char hooks[] = TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/", hooks, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    tide_broker_stop (loop->broker, loop->now_ms);
    tide_loop_cut (client);
    tide_loop_pass (loop, 2500); /* it is said again, and refused again */
    tide_loop_kill_broker (loop, false);
    tide_loop_serve (loop, "door", "/", hooks, 0);
    tide_loop_pass (loop, 3000);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    assert_true (tide_bytes_is (event.from, sid));
    admit ();
    tide_loop_pass (loop, 5000);
    assert_nothing_lent ();
    tide_loop_pass (loop, loop->hub_config.resume_ms);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
}

/*  A worker has it in hand, and its gateway does not know that yet. */
static void who_has_called_just_before_it_left_is_told_of (void **state)
{
    (void) state;
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_hears (client, "40{");
    tide_loop_serve (loop, "chat", "/", "enter " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    loop->lost_answers[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_ACK;
    tide_loop_say (client, "42[\"enter\"]");
    assert_lent ("enter", "[]");
    admit ();
    tide_loop_say (client, "41");
    assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
    admit ();
    loop->lost_answers[HOLDER] = 0;
    tide_loop_cut (client);
}

static void who_has_left_while_nothing_could_be_written_is_gone_in_the_end (void **state)
{
    (void) state;
    char sid[64], pid[64];
    tide_loop_serve (loop, "door", "/",
                     TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED, 0);
    tide_loop_client_t *client = admitted (sid, pid);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client, "41");
    assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
    admit ();
    tide_loop_pass (loop, loop->hub_config.resume_ms - 1000);
    assert_nothing_lent ();
    tide_loop_pass (loop, 60000);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_true (tide_bytes_is (event.from, sid));
    loop->lost_kind = 0;
}

static void of_whom_nobody_wants_to_know_nothing_is_kept (void **state)
{
    (void) state;
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_hears (client, "40{");
    tide_loop_say (client, "41");
    tide_loop_run (loop);
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_EXPIRED, 0);
    tide_loop_pass (loop, 60000);
    assert_nothing_lent (); /* its record went with it */
}

/*  -- orders ---------------------------------------------------------------------------------- */

static tide_event_t order_of (const char *topic, const char *name, const char *json,
                              tide_buffer_t *payload)
{
    bool is_list = json[0] == '[';
    tide_args_encode (payload, &(tide_args_t){.many = is_list, .json = tide_bytes (json)});
    return (tide_event_t){.topic = tide_bytes (topic),
                          .name = tide_bytes (name),
                          .payload = tide_buffer_bytes (payload)};
}

/*  The call that was lent is handled, with an order to its session, and an event behind it unless
 *  the topic is NULL. */
static void give_order (const char *name, const char *json, const char *topic)
{
    char own[80];
    tide_buffer_t one = {0}, other = {0};
    snprintf (own, sizeof own, "@%.*s", TIDE_PRINT (event.from));
    tide_event_t events[] = {order_of (own, name, json, &one),
                             order_of (topic ? topic : "x", "n", "1", &other)};
    tide_loop_handled_with (loop, &lend, NULL, events, topic ? 2 : 1);
    tide_buffer_free (&one);
    tide_buffer_free (&other);
}

static tide_loop_client_t *caller (bool polls)
{
    tide_loop_serve (loop, "chat", "/", "enter", 0);
    tide_loop_client_t *client = polls ? connected () : opened_at (HOLDER);
    if (!polls) {
        tide_loop_say (client, "40");
        assert_hears (client, "40{");
    }
    return client;
}

static void g1_a_session_that_is_let_into_a_room_gets_all_behind_that (void **state)
{
    (void) state;
    for (int polls = 0; polls < 2; polls++) {
        tide_loop_client_t *client = caller (polls);
        tide_loop_publish (loop, "room", 0); /* before it was there */
        tide_loop_say (client, "421[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
        assert_hears (client, "431[]");
        assert_hears (client, "42[\"n\",1");
        tide_loop_publish (loop, "room", 2);
        assert_hears (client, "42[\"n\",2");
        tide_loop_say (client, "422[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (TIDE_ORDER_JOIN, "\"room\"", "room"); /* where it is already */
        assert_hears (client, "432[]");
        assert_hears (client, "42[\"n\",1");
        tide_loop_say (client, "423[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (TIDE_ORDER_LEAVE, "\"room\"", "room");
        assert_hears (client, "433[]");
        tide_loop_publish (loop, "room", 3);
        assert_null (tide_loop_hear (client));
    }
}

static void g1_who_is_let_in_is_let_into_a_room_with_that (void **state)
{
    (void) state;
    static const uint8_t flags[] = {0, TIDE_HANDLER_VOLATILE};
    for (size_t at = 0; at < sizeof flags; at++) {
        char pid[64];
        tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, flags[at]);
        tide_loop_client_t *client = asking_at (HOLDER, NULL);
        assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
        give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
        take_text (tide_loop_hear (client), "pid", pid);
        assert_hears (client, "42[\"n\",1");
        tide_loop_publish (loop, "room", 2);
        assert_hears (client, "42[\"n\",2");
        tide_loop_cut (client);
        client = asking_at (OTHER, pid);
        assert_lent (TIDE_HOOK_CONNECT, "[{},true]");
        give_order (TIDE_ORDER_JOIN, "\"other\"", "other");
        assert_hears (client, "40{");
        assert_hears (client, "42[\"n\",1"); /* it did not say how far it was */
        assert_hears (client, "42[\"n\",2");
        assert_hears (client, "42[\"n\",1");
        tide_loop_publish (loop, "other", 3);
        assert_hears (client, "42[\"n\",3");
        assert_null (tide_loop_hear (client));
    }
}

static void g1_so_is_who_cannot_be_resumed (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/plain", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = opened_at (HOLDER);
    tide_loop_say (client, "40/plain,");
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
    assert_hears (client, "40/plain,{\"sid\":\"");
    assert_hears (client, "42/plain,[\"n\",1");
}

static void g8_who_was_let_in_while_the_log_was_another_comes_again (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH; /* the record waits */
    admit ();
    assert_null (tide_loop_hear (client));
    tide_loop_kill_broker (loop, true);
    loop->held_kinds[HOLDER] = 0;
    tide_loop_pass (loop, 6000);
    assert_null (tide_loop_hear (client));
    assert_null (client->connection);
}

static void an_order_to_join_leaves_a_subscription_with_meta_as_it_is (void **state)
{
    (void) state;
    tide_loop_client_t *client = caller (false);
    tide_loop_say (client, "42[\"tide:subscribe\",{\"topic\":\"room\",\"meta\":true}]");
    tide_loop_hear (client);
    tide_loop_say (client, "421[\"enter\"]");
    assert_lent ("enter", "[]");
    give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
    assert_hears (client, "431[]");
    assert_hears (client, "42[\"n\",1,{\"topic\":\"room\"");
}

/*  It has called, and can come back. */
static tide_loop_client_t *caller_with (char pid[64])
{
    tide_loop_serve (loop, "chat", "/", "enter", 0);
    tide_loop_client_t *client = entered_at (HOLDER, pid);
    tide_loop_say (client, "42[\"enter\"]");
    assert_lent ("enter", "[]");
    return client;
}

static void g1_an_order_finds_the_session_that_was_away (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_client_t *client = caller_with (pid);
    tide_loop_cut (client);
    give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
    tide_loop_publish (loop, "room", 2);
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    assert_hears (client, "42[\"n\",1");
    assert_hears (client, "42[\"n\",2");
    tide_loop_publish (loop, "room", 3);
    assert_hears (client, "42[\"n\",3");
    assert_null (tide_loop_hear (client));
}

static void g5_an_order_is_not_passed_before_it_was_carried_out (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_client_t *client = caller_with (pid);
    loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH; /* the record waits */
    char own[80];
    snprintf (own, sizeof own, "@%.*s", TIDE_PRINT (event.from));
    give_order (TIDE_ORDER_JOIN, "\"room\"", own);
    tide_loop_publish (loop, "room", 2);
    assert_null (tide_loop_hear (client)); /* else it would come back from behind the order */
    tide_loop_kill_lane (loop, HOLDER);
    loop->held_kinds[HOLDER] = 0;
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    assert_hears (client, "42[\"n\",1");
    assert_hears (client, "42[\"n\",2");
    assert_null (tide_loop_hear (client));
}

/*  It is carried out as soon as the record can be written. */
static tide_loop_client_t *caller_whose_order_waits (char pid[64], const char *topic)
{
    tide_loop_client_t *client = caller_with (pid);
    loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH;
    give_order (TIDE_ORDER_JOIN, "\"room\"", topic);
    return client;
}

static void g5_what_is_brought_up_meanwhile_does_not_name_a_place_behind_the_order (void **state)
{
    (void) state;
    char pid[64], offset[64];
    tide_loop_publish (loop, "old", 7);
    tide_loop_client_t *client = caller_whose_order_waits (pid, "room");
    tide_loop_say (client, "42[\"tide:subscribe\",{\"topic\":\"old\",\"since\":0}]");
    const char *frame = tide_loop_hear (client);
    assert_memory_equal (frame, "42[\"n\",7,\"", 10);
    snprintf (offset, sizeof offset, "%.*s", (int) strcspn (frame + 10, "\""), frame + 10);
    tide_loop_kill_lane (loop, HOLDER);
    loop->held_kinds[HOLDER] = 0;
    client = opened_at (OTHER);
    tide_loop_say (client, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", pid, offset);
    assert_hears (client, "40{");
    assert_hears (client, "42[\"n\",1");
    tide_loop_publish (loop, "room", 2);
    assert_hears (client, "42[\"n\",2");
}

static void g5_nor_does_what_is_volatile (void **state)
{
    (void) state;
    char pid[64], own[80];
    tide_loop_client_t *client = caller_whose_order_waits (pid, NULL);
    tide_buffer_t payload = {0}, list = {0};
    snprintf (own, sizeof own, "@%.*s", TIDE_PRINT (event.from));
    tide_event_t hint = order_of (own, "hint", "1", &payload);
    hint.flags = TIDE_EVENT_VOLATILE;
    tide_event_append (&list, &hint);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.request = 9;
    message.publish.events = tide_list (&list, 1);
    tide_loop_ask_broker (loop, &message);
    tide_buffer_free (&payload);
    tide_buffer_free (&list);
    assert_null (tide_loop_hear (client));
    tide_loop_let_all_go (loop);
    tide_loop_publish (loop, "room", 1);
    assert_int_equal (count_heard (client, "42[\"n\",1"), 1);
}

static void an_order_to_join_waits_for_the_clients_own_join (void **state)
{
    (void) state;
    char pid[64];
    for (int fails = 0; fails < 2; fails++) {
        tide_loop_client_t *client = caller_with (pid);
        loop->held_kinds[HOLDER] = (uint64_t) 1
                                   << (fails ? TIDE_MESSAGE_SNAPSHOT : TIDE_MESSAGE_PUBLISH);
        tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"room\",\"since\":\"%s\"}]",
                       fails ? "snapshot" : "live");
        give_order (TIDE_ORDER_JOIN, "[\"room\",{\"seat\":1}]", NULL);
        if (fails) /* it has left before it was in, and a worker lets it in */
            tide_loop_say (client, "42[\"tide:unsubscribe\",{\"topic\":\"room\"}]");
        tide_loop_let_all_go (loop);
        assert_hears (client, fails ? "431[{\"ok\":false" : "431[{\"ok\":true");
        tide_loop_publish (loop, "room", 3);
        assert_hears (client, "42[\"n\",3");
        tide_loop_http (loop, THIRD, "GET", "/api/v1/presence", "topic=room", "");
        assert_non_null (strstr (loop->http_body, "\"seat\":1"));
        tide_loop_say (client, "41");
    }
}

static void an_order_to_join_waits_for_a_subscription_by_a_cursor (void **state)
{
    (void) state;
    for (int fails = 0; fails < 2; fails++) {
        tide_loop_client_t *client = caller (false);
        tide_loop_say (client, "42[\"enter\"]");
        assert_lent ("enter", "[]");
        loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_SNAPSHOT;
        tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"room\",\"cursor\":\"c\"}]");
        give_order (TIDE_ORDER_JOIN, "\"room\"", NULL);
        if (fails)
            tide_loop_say (client, "42[\"tide:unsubscribe\",{\"topic\":\"room\"}]");
        tide_loop_let_all_go (loop);
        assert_hears (client, fails ? "431[{\"ok\":false" : "431[{\"ok\":true");
        tide_loop_publish (loop, "room", 3);
        assert_hears (client, "42[\"n\",3");
        tide_loop_say (client, "41");
    }
}

static void an_order_to_leave_is_not_for_who_joined_behind_it (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "chat", "/", "enter", 0);
    tide_loop_client_t *client = entered_at (HOLDER, pid);
    static const char *const orders[] = {TIDE_ORDER_JOIN, TIDE_ORDER_LEAVE};
    for (size_t at = 0; at < 2; at++) {
        tide_loop_say (client, "421[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (orders[at], "\"room\"", NULL);
        assert_hears (client, "431[]");
    }
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"room\"}]");
    assert_hears (client, "432[{\"ok\":true");
    tide_loop_cut (client); /* it was given no position, and comes to all orders again */
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    tide_loop_publish (loop, "room", 2);
    assert_int_equal (count_heard (client, "42[\"n\",2"), 1);
}

static void another_log_knows_nothing_of_an_order_that_waits (void **state)
{
    (void) state;
    tide_loop_client_t *client = caller (false);
    tide_loop_say (client, "42[\"enter\"]");
    assert_lent ("enter", "[]");
    loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"room\"}]");
    give_order (TIDE_ORDER_JOIN, "\"room\"", NULL);
    loop->held_kinds[HOLDER] = 0;
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 3000);
    assert_hears (client, "431[{\"ok\":false,\"code\":\"epoch_changed\"");
    tide_loop_publish (loop, "room", 1);
    assert_null (hear (client));
    tide_loop_say (client, "422[\"tide:subscribe\",{\"topic\":\"room\"}]");
    assert_hears (client, "432[{\"ok\":true");
    for (int number = 2; number < 20; number++) {
        tide_loop_publish (loop, "room", number);
        assert_hears (client, "42[\"n\",");
    }
}

static void of_a_session_that_ends_no_order_waits (void **state)
{
    (void) state;
    for (int how = 0; how < 2; how++) {
        tide_loop_client_t *client = caller (false);
        tide_loop_say (client, "42[\"enter\"]");
        assert_lent ("enter", "[]");
        loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH;
        tide_loop_say (client, "42[\"tide:subscribe\",{\"topic\":\"room\"}]");
        give_order (TIDE_ORDER_JOIN, "\"room\"", NULL);
        if (how == 0)
            tide_loop_say (client, "41");
        tide_loop_cut (client);
        tide_loop_let_all_go (loop);
        tide_loop_publish (loop, "room", 1);
    }
}

static void g5_an_order_that_the_broker_does_not_answer_is_carried_out_on_resume (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_client_t *client = caller_whose_order_waits (pid, "room");
    tide_loop_pass (loop, 12000);
    assert_null (client->connection);
    loop->held_kinds[HOLDER] = 0;
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    assert_hears (client, "42[\"n\",1");
    assert_null (tide_loop_hear (client));
}

static void g5_an_order_that_a_broker_that_stops_refuses_is_carried_out_on_resume (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_client_t *client = caller_whose_order_waits (pid, "room");
    tide_broker_stop (loop->broker, loop->now_ms);
    tide_loop_let_all_go (loop);
    assert_null (client->connection);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 3000);
    client = asking_at (OTHER, pid);
    assert_hears (client, "40{");
    assert_hears (client, "42[\"n\",1");
    assert_null (tide_loop_hear (client));
}

static void a_worker_ends_a_session_of_the_json_dialect (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        tide_loop_serve (loop, "chat", "/", "enter", 0);
        tide_loop_client_t *client = json_client ();
        tide_loop_say (client, "{\"op\":\"call\",\"event\":\"enter\"}");
        assert_lent ("enter", "[]");
        give_order (TIDE_ORDER_DISCONNECT, closes ? "true" : "false", NULL);
        assert_hears (client, "{\"op\":\"ok\"");
        assert_null (tide_loop_hear (client));
        assert_null (client->connection);
        assert_int_equal (client->close_code, 1000);
    }
}

static void a_worker_ends_a_session (void **state)
{
    (void) state;
    for (int closes = 0; closes < 2; closes++) {
        tide_loop_client_t *client = caller (false);
        tide_loop_say (client, "42[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (TIDE_ORDER_DISCONNECT, closes ? "true" : "false", NULL);
        assert_string_equal (tide_loop_hear (client), "41");
        assert_true (closes == !client->connection);
    }
}

static void orders_that_are_none_are_passed_over (void **state)
{
    (void) state;
    tide_loop_client_t *client = caller (false);
    static const char *const bad[][2] = {
        {TIDE_ORDER_JOIN, "7"},    {TIDE_ORDER_JOIN, "\"$session/x\""},
        {TIDE_ORDER_JOIN, "\"\""}, {TIDE_ORDER_LEAVE, "\"nowhere\""},
        {TIDE_ORDER_LEAVE, "{}"},  {TIDE_ORDER_JOIN, "\"@else\""},
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        tide_loop_say (client, "42[\"enter\"]");
        assert_lent ("enter", "[]");
        give_order (bad[at][0], bad[at][1], NULL);
    }
    tide_loop_say (client, "421[\"enter\"]");
    assert_lent ("enter", "[]");
    give_order (TIDE_ORDER_JOIN, "\"room\"", "room");
    assert_hears (client, "431[]");
    assert_hears (client, "42[\"n\",1");
}

/*  -- questions ------------------------------------------------------------------------------- */

/*  Somebody else asks the session of the call that was lent. */
static void ask (const char *json, const char *answer)
{
    char own[80];
    tide_buffer_t about = {0}, payload = {0}, list = {0};
    snprintf (own, sizeof own, "@%.*s", TIDE_PRINT (event.from));
    tide_called_append (&about, &(tide_called_t){.nsp = tide_bytes ("/"),
                                                 .wanted = tide_bytes ("7"),
                                                 .answer = tide_bytes (answer)});
    tide_args_encode (&payload, &(tide_args_t){.many = true,
                                               .about = {about.data + 4, about.size - 4},
                                               .json = tide_bytes (json)});
    tide_event_append (&list, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                              .topic = tide_bytes (own),
                                              .name = tide_bytes (TIDE_ORDER_ASK),
                                              .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.request = 9;
    message.publish.events = tide_list (&list, 1);
    tide_loop_ask_broker (loop, &message);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
    tide_buffer_free (&list);
}

static void a_worker_asks_a_client_for_an_acknowledgement (void **state)
{
    (void) state;
    tide_loop_client_t *client = caller (false), *asker = json_client ();
    tide_loop_say (asker, "{\"op\":\"sub\",\"id\":1,\"topic\":\"answers\"}");
    assert_hears (asker, "{\"op\":\"ok\"");
    tide_loop_say (client, "42[\"enter\"]");
    assert_lent ("enter", "[]");
    ask ("[1000,\"how are you\",1,[2]]", "answers");
    const char *frame = tide_loop_hear (client);
    assert_memory_equal (frame, "42", 2);
    char number[24];
    snprintf (number, sizeof number, "%.*s", (int) strcspn (frame + 2, "["), frame + 2);
    assert_string_equal (strchr (frame, '['), "[\"how are you\",1,[2]]");
    assert_null (tide_loop_hear (asker));
    tide_loop_say (client, "43%s[\"well\"]", number);
    tide_loop_pass (loop, 10);
    assert_non_null (strstr (tide_loop_hear (asker), "\"event\":\"$reply\""));
    ask ("[1000,\"how are you\"]", "answers"); /* which is not answered in time */
    assert_hears (client, "42");
    tide_loop_pass (loop, 700);
    assert_null (tide_loop_hear (asker));
    tide_loop_pass (loop, 1200);
    assert_non_null (tide_loop_hear (asker));
    ask ("[1000,\"all\"]", "answers");
    frame = tide_loop_hear (client);
    snprintf (number, sizeof number, "%.*s", (int) strcspn (frame + 2, "["), frame + 2);
    size_t limit = loop->hub_config.payload_max;
    char *much = tide_alloc (limit);
    memset (much, 'x', limit - strlen (number) - 6);
    tide_loop_say (client, "43%s[\"%s\"]", number, much); /* as large as it may be */
    free (much);
    tide_loop_pass (loop, 10);
    assert_non_null (tide_loop_hear (asker));
    static const char *const bad[] = {"[]",     "[0,\"x\"]",        "[700000,\"x\"]",     "[10]",
                                      "[10,7]", "[10,\"connect\"]", "[10,\"tide:reset\"]"};
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        ask (bad[at], "answers");
        assert_non_null (tide_loop_hear (asker));
        assert_null (tide_loop_hear (client));
    }
    ask ("[10,\"x\"]", ""); /* nobody would hear the answer */
    ask ("7", "answers");
    assert_null (tide_loop_hear (client));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_namespace_is_there_as_soon_as_a_worker_serves_something_in_it),
        TEST (what_serves_all_events_does_not_get_what_clients_cannot_emit),
        TEST (a_client_comes_in_when_a_worker_lets_it_in),
        TEST (volatile_ones_are_asked_too),
        TEST (a_client_that_is_refused_learns_why),
        TEST (a_client_that_gives_up_is_forgotten),
        TEST (without_a_worker_the_client_tries_again),
        TEST (another_log_refuses_who_was_asked_in_the_one_before),
        TEST (who_comes_back_is_asked_for_again),
        TEST (g7_who_leaves_is_told_of_and_later_gone),
        TEST (g7_who_was_cut_off_is_gone_when_it_cannot_come_back),
        TEST (g7_a_gateway_that_dies_has_its_clients_told_of),
        TEST (g7_who_died_with_its_gateway_is_gone_in_the_end),
        TEST (g7_who_left_is_told_of_once_whatever_dies_then),
        TEST (who_has_called_as_often_as_it_may_is_told_of),
        TEST (g7_whom_a_broker_that_stops_was_told_of_the_next_one_is),
        TEST (who_has_called_just_before_it_left_is_told_of),
        TEST (who_has_left_while_nothing_could_be_written_is_gone_in_the_end),
        TEST (of_whom_nobody_wants_to_know_nothing_is_kept),
        TEST (g1_a_session_that_is_let_into_a_room_gets_all_behind_that),
        TEST (g1_who_is_let_in_is_let_into_a_room_with_that),
        TEST (g1_so_is_who_cannot_be_resumed),
        TEST (g8_who_was_let_in_while_the_log_was_another_comes_again),
        TEST (an_order_to_join_leaves_a_subscription_with_meta_as_it_is),
        TEST (g1_an_order_finds_the_session_that_was_away),
        TEST (g5_an_order_is_not_passed_before_it_was_carried_out),
        TEST (g5_what_is_brought_up_meanwhile_does_not_name_a_place_behind_the_order),
        TEST (g5_nor_does_what_is_volatile),
        TEST (an_order_to_join_waits_for_the_clients_own_join),
        TEST (an_order_to_join_waits_for_a_subscription_by_a_cursor),
        TEST (an_order_to_leave_is_not_for_who_joined_behind_it),
        TEST (another_log_knows_nothing_of_an_order_that_waits),
        TEST (of_a_session_that_ends_no_order_waits),
        TEST (g5_an_order_that_the_broker_does_not_answer_is_carried_out_on_resume),
        TEST (g5_an_order_that_a_broker_that_stops_refuses_is_carried_out_on_resume),
        TEST (a_worker_ends_a_session),
        TEST (a_worker_ends_a_session_of_the_json_dialect),
        TEST (orders_that_are_none_are_passed_over),
        TEST (a_worker_asks_a_client_for_an_acknowledgement),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
