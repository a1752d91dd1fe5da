/*  test_recovery_rules.c - connection state recovery: each known defect of others, as a test.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_stock.h"

#include "tide_alloc.h"

#include <sodium.h>
#include <stdlib.h>

/*  The transport of the group of tests that runs. */
static bool polls;

/*  -- the plain way --------------------------------------------------------------------------- */

static void g1_live_events_come_once_in_order (void **state)
{
    (void) state;
    stock_t *client = tide_alloc (sizeof *client);
    stock_start (client, NULL, polls);
    stock_publish (client, 1, 500);
    stock_assert_numbers (client, 1, 500);
    stock_finish (client);
    free (client);
}

static void g5_what_was_missed_comes_on_resume_with_the_same_ids (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 5);
    stock_listen (&client);
    char sid[64];
    memcpy (sid, client.sid, sizeof sid);
    tide_loop_cut (client.wire);
    stock_publish (&client, 6, 300);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    assert_string_equal (client.sid, sid);
    stock_publish (&client, 301, 310);
    stock_assert_numbers (&client, 1, 310);
    stock_finish (&client);
}

static void rule_a_a_pid_without_an_offset_is_enough (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_cut (client.wire);
    stock_publish (&client, 1, 20);
    assert_string_equal (client.offset, "");
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 20);
    stock_finish (&client);
}

static const tide_broker_config_t small_history = {.events = "1",
                                                   .volatiles = "2",
                                                   .payload_max = 100000,
                                                   .retain_events = 50,
                                                   .retain_bytes = 1u << 30,
                                                   .retain_ms = 86400000,
                                                   .dedupe_ids = 1000};

static void rule_b_a_trimmed_position_is_good_if_nothing_was_missed (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, &small_history, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    for (int number = 0; number < 500; number++)
        tide_loop_publish (client.loop, "other", number);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_publish (&client, 4, 5);
    stock_assert_numbers (&client, 1, 5);
    stock_finish (&client);
}

static void g5_missed_and_trimmed_opens_a_new_session (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, &small_history, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_publish (&client, 4, 200);
    stock_reconnect (&client, 0);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_assert_numbers (&client, 1, 3);
    stock_finish (&client);
}

/*  -- take-over ------------------------------------------------------------------------------- */

static bool is_kicked (const tide_loop_client_t *client)
{
    return client->is_polling ? client->is_over : !client->connection;
}

static void take_over (unsigned hub)
{
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 5);
    stock_listen (&client);
    tide_loop_client_t *old = client.wire;
    old->is_stalled = true; /* half open: it takes nothing, and nobody knows yet */
    stock_publish (&client, 6, 10);
    stock_reconnect (&client, hub);
    assert_true (client.is_recovered);
    tide_loop_unstall (old);
    assert_true (is_kicked (old));
    stock_publish (&client, 11, 15);
    stock_assert_numbers (&client, 1, 15);
    stock_pass (&client, 120000); /* beyond any resume time of the old one */
    tide_loop_cut (client.wire);
    stock_publish (&client, 16, 20);
    stock_reconnect (&client, 2);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 20);
    stock_finish (&client);
}

static void rule_c_a_half_open_predecessor_is_kicked_in_the_same_lane (void **state)
{
    (void) state;
    take_over (0);
}

static void rule_c_a_half_open_predecessor_is_kicked_in_another_lane (void **state)
{
    (void) state;
    take_over (1);
}

/*  The lane that is cut off from the broker learns of the take-over only later: its late writing
 *  must not touch the session. */
static void rule_c_the_old_lanes_late_end_does_no_harm (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 5);
    stock_listen (&client);
    tide_loop_client_t *old = client.wire;
    client.loop->is_cut[0] = true;
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    tide_loop_cut (old);
    client.loop->is_cut[0] = false;
    stock_pass (&client, 100000);
    stock_publish (&client, 6, 9);
    tide_loop_cut (client.wire);
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 9);
    stock_finish (&client);
}

/*  -- deaths ---------------------------------------------------------------------------------- */

static void rule_d_a_session_survives_its_lane (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 5);
    stock_listen (&client);
    tide_loop_kill_lane (client.loop, 0);
    stock_publish (&client, 6, 10);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 10);
    stock_finish (&client);
}

static void rule_d_a_session_survives_the_broker (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 5);
    tide_loop_kill_broker (client.loop, false);
    tide_loop_pass (client.loop, 10000);
    stock_publish (&client, 6, 10);
    stock_assert_numbers (&client, 1, 10); /* still connected, nothing missed */
    tide_loop_cut (client.wire);
    tide_loop_kill_broker (client.loop, false);
    tide_loop_pass (client.loop, 10000);
    stock_publish (&client, 11, 12);
    stock_reconnect (&client, 2);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 12);
    stock_finish (&client);
}

static void rule_e_a_reconnect_can_be_as_fast_as_it_likes (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    for (int round = 0; round < 10; round++) {
        stock_publish (&client, 2 * round + 1, 2 * round + 2);
        stock_listen (&client);
        stock_reconnect (&client, (unsigned) round % LOOP_HUBS);
        assert_true (client.is_recovered);
    }
    stock_assert_numbers (&client, 1, 20);
    stock_finish (&client);
}

static void rule_g_a_second_reconnect_replays_nothing_again (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_cut (client.wire);
    stock_publish (&client, 1, 30);
    stock_reconnect (&client, 0);
    stock_assert_numbers (&client, 1, 30);
    tide_loop_cut (client.wire);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_publish (&client, 31, 31);
    stock_assert_numbers (&client, 1, 31);
    stock_finish (&client);
}

/*  A resume whose steps are interrupted: what is published in between belongs to it. */
static void rule_h_what_is_published_during_a_resume_is_not_skipped (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    client.loop->is_cut[1] = true;
    client.wire = stock_wire (client.loop, 1, polls);
    tide_loop_say (client.wire, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", client.pid, client.offset);
    for (int number = 3; number <= 12; number++) {
        stock_publish (&client, number, number);
        client.loop->is_cut[1] = number % 2 == 0;
        tide_loop_pass (client.loop, 1000);
    }
    client.loop->is_cut[1] = false;
    tide_loop_pass (client.loop, 12000);
    stock_listen (&client);
    assert_true (client.is_recovered);
    stock_publish (&client, 13, 14);
    stock_assert_numbers (&client, 1, 14);
    stock_finish (&client);
}

/*  -- whose session it is ---------------------------------------------------------------------- */

enum { SESSION_TOPIC_SIZE = 128 };

static void session_topic (const stock_t *client, char topic[SESSION_TOPIC_SIZE])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256 (hash, (const uint8_t *) client->pid, strlen (client->pid));
    strcpy (topic, "$session/");
    sodium_bin2hex (topic + strlen (topic), SESSION_TOPIC_SIZE - strlen (topic), hash, sizeof hash);
}

/*  Puts another user into the session's record, as a worker with tokens would have. */
static void rewrite_user (stock_t *client)
{
    tide_buffer_t payload = {0}, records = {0};
    tide_loop_ask_broker (client->loop, &(tide_message_t){.kind = TIDE_MESSAGE_HELLO});
    tide_buffer_t text = {0};
    tide_buffer_printf (&text,
                        "{\"sid\":\"%s\",\"user\":\"ada\",\"nsp\":\"/\",\"lane\":\"x\",\"base\":1}",
                        client->sid);
    tide_put_u8 (&payload, 1);
    tide_put_u8 (&payload, 0);
    tide_buffer_append_bytes (&payload, tide_buffer_bytes (&text));
    char topic[SESSION_TOPIC_SIZE];
    session_topic (client, topic);
    tide_event_append (&records, &(tide_event_t){.topic = tide_bytes (topic),
                                                 .name = tide_bytes ("session"),
                                                 .key = tide_bytes ("#session"),
                                                 .payload = tide_buffer_bytes (&payload)});
    tide_message_t publish = {.kind = TIDE_MESSAGE_PUBLISH};
    publish.publish.request = 1;
    publish.publish.events = tide_list (&records, 1);
    tide_loop_ask_broker (client->loop, &publish);
    tide_buffer_free (&payload);
    tide_buffer_free (&records);
    tide_buffer_free (&text);
}

static void rule_i_a_pid_whose_stored_user_differs_is_refused (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    rewrite_user (&client);
    stock_publish (&client, 3, 4);
    stock_reconnect (&client, 0);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_assert_numbers (&client, 1, 2);
    stock_finish (&client);
}

static void rule_l_a_stale_offset_with_a_new_pid_skips_nothing_and_repeats_nothing (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    char stale[64];
    memcpy (stale, client.offset, sizeof stale);
    tide_loop_cut (client.wire);
    client.pid[0] = 0; /* a new session; the client's offset is never cleared */
    stock_publish (&client, 100, 104);
    client.count = 0;
    stock_reconnect (&client, 0);
    stock_subscribe (&client, "lobby", "");
    assert_string_equal (client.offset, stale);
    tide_loop_cut (client.wire);
    stock_publish (&client, 1, 2);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 2);
    stock_finish (&client);
}

/*  -- volatile events ------------------------------------------------------------------------- */

static uint64_t offset_of (const stock_t *client)
{
    const char *colon = strchr (client->offset, ':');
    assert_non_null (colon);
    return strtoull (colon + 1, NULL, 10);
}

/*  A number, and a string that a client would take for its offset. */
static void publish_volatile (stock_t *client, const char *topic, int number)
{
    char body[160];
    snprintf (body, sizeof body,
              "{\"topic\":\"%s\",\"event\":\"v\",\"args\":[%d,\"words\"],\"volatile\":true}", topic,
              number);
    tide_loop_http (client->loop, 0, "POST", "/api/v1/publish", "", body);
    assert_int_equal (client->loop->http_status, 200);
}

static void rule_f_a_volatile_event_that_ends_in_a_string_carries_the_position (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    publish_volatile (&client, "lobby", 1); /* before any other */
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_publish (&client, 2, 3);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 3);
    tide_loop_pass (client.loop, 250); /* it was not there for what is as old as its resume */
    uint64_t before = offset_of (&client);
    publish_volatile (&client, "lobby", 4);
    stock_listen (&client);
    assert_true (offset_of (&client) >= before);
    before = offset_of (&client);
    publish_volatile (&client, "lobby", 5);
    uint64_t seq = tide_loop_publish (client.loop, "lobby", 6);
    assert_true (before < seq);
    publish_volatile (&client, "lobby", 7);
    stock_assert_numbers (&client, 1, 7);
    assert_int_equal (offset_of (&client), seq);
    tide_loop_cut (client.wire);
    stock_publish (&client, 8, 9);
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 9); /* and what was volatile comes no more */
    stock_finish (&client);
}

/*  Nor does it carry one that is ahead of what the client has: it is cut right behind it. */
static void rule_f_a_volatile_event_does_not_run_ahead_of_the_client (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_subscribe (&client, "aside", "");
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    client.wire->is_stalled = true;
    stock_publish (&client, 3, 3);
    tide_loop_publish (client.loop, "other", 1);
    publish_volatile (&client, "aside", 4);
    uint64_t behind = tide_loop_publish (client.loop, "lobby", 5);
    tide_loop_unstall (client.wire);
    stock_assert_numbers (&client, 1, 5);
    assert_int_equal (offset_of (&client), behind);
    publish_volatile (&client, "aside", 6);
    stock_listen (&client);
    assert_int_equal (offset_of (&client), behind);
    stock_finish (&client);
}

/*  -- the end of a session -------------------------------------------------------------------- */

/*  Removals of sessions, as a worker that reads $session/# sees them; `from` is that of the last.
 */
static unsigned removals_of (const stock_t *client, const char *session, char from[64])
{
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &(tide_want_t){tide_bytes ("$session/#"), 0});
    tide_message_t read = {.kind = TIDE_MESSAGE_READ}, page;
    const char *why;
    read.read.request = 1;
    read.read.limit = 1000;
    read.read.wants = tide_list (&wants, 1);
    tide_loop_ask_broker (client->loop, &(tide_message_t){.kind = TIDE_MESSAGE_HELLO});
    tide_loop_ask_broker (client->loop, &read);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&client->loop->told), &page, &why),
                      TIDE_OK);
    assert_int_equal (page.kind, TIDE_MESSAGE_PAGE);
    unsigned count = 0;
    tide_event_t event;
    while (tide_event_next (&page.page.events, &event)) {
        if (!tide_bytes_is (event.topic, session) || !tide_bytes_is (event.key, "#session")
            || event.payload.size > 0)
            continue;
        count++;
        snprintf (from, 64, "%.*s", TIDE_PRINT (event.from));
    }
    tide_buffer_free (&wants);
    return count;
}

static void rule_j_an_expired_session_is_said_to_be_over (void **state)
{
    (void) state;
    for (int lane_dies = 0; lane_dies < 2; lane_dies++) {
        stock_t client;
        stock_start (&client, NULL, polls);
        char topic[SESSION_TOPIC_SIZE], from[64] = "", sid[64], pid[64];
        session_topic (&client, topic);
        memcpy (sid, client.sid, sizeof sid);
        memcpy (pid, client.pid, sizeof pid);
        if (lane_dies)
            tide_loop_kill_lane (client.loop, 0);
        else
            tide_loop_cut (client.wire);
        tide_loop_pass (client.loop, 55000);
        assert_int_equal (removals_of (&client, topic, from), 0);
        tide_loop_pass (client.loop, 20000);
        assert_int_equal (removals_of (&client, topic, from), 1);
        assert_string_equal (from, sid);
        stock_reconnect (&client, 1);
        assert_true (client.is_connected);
        assert_false (client.is_recovered);
        assert_string_not_equal (client.sid, sid);
        assert_string_not_equal (client.pid, pid);
        assert_int_equal (removals_of (&client, topic, from), 1);
        stock_finish (&client);
    }
}

static void rule_j_a_session_that_is_resumed_is_not_over (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    char topic[SESSION_TOPIC_SIZE], from[64];
    session_topic (&client, topic);
    for (unsigned round = 0; round < 4; round++) {
        tide_loop_cut (client.wire);
        tide_loop_pass (client.loop, 50000);
        stock_reconnect (&client, round % LOOP_HUBS);
        assert_true (client.is_recovered);
    }
    stock_pass (&client, 120000);
    assert_int_equal (removals_of (&client, topic, from), 0);
    stock_finish (&client);
}

/*  -- what clients publish -------------------------------------------------------------------- */

static void say_publish (stock_t *client, int number, const char *id)
{
    tide_loop_say (client->wire,
                   "427[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"n\",\"data\":%d,"
                   "\"id\":\"%s\"}]",
                   number, id);
}

static uint64_t answered_seq (const stock_t *client)
{
    const char *seq = strstr (client->last_ack, "\"seq\":");
    assert_non_null (strstr (client->last_ack, "\"ok\":true"));
    assert_non_null (seq);
    return strtoull (seq + 6, NULL, 10);
}

/*  Where the first attempt gets lost: it never left, its answer did not come, or not to the client.
 */
typedef enum { NEVER_LEFT, UNANSWERED, UNHEARD, BROKER_DIED, LOSSES } loss_t;

static void rule_k_a_publish_that_is_repeated_after_a_reconnect_is_appended_once (void **state)
{
    (void) state;
    for (loss_t loss = 0; loss < LOSSES; loss++) {
        stock_t client;
        stock_start (&client, NULL, polls);
        stock_publish (&client, 1, 1);
        stock_listen (&client);
        client.wire->is_stalled = true;
        if (loss == NEVER_LEFT)
            client.loop->lost_kind = TIDE_MESSAGE_PUBLISH;
        say_publish (&client, 2, "once");
        if (loss == UNANSWERED || loss == NEVER_LEFT)
            tide_loop_kill_lane (client.loop, 0);
        else
            tide_loop_cut (client.wire);
        client.loop->lost_kind = 0;
        if (loss == BROKER_DIED) {
            tide_loop_kill_broker (client.loop, false);
            tide_loop_pass (client.loop, 10000);
        }
        stock_reconnect (&client, 1);
        assert_true (client.is_recovered);
        say_publish (&client, 2, "once");
        stock_listen (&client);
        uint64_t seq = answered_seq (&client);
        say_publish (&client, 2, "once");
        stock_listen (&client);
        assert_int_equal (answered_seq (&client), seq);
        stock_publish (&client, 3, 3);
        stock_assert_numbers (&client, 1, 3);
        say_publish (&client, 4, "once"); /* another one, under its name */
        stock_listen (&client);
        assert_non_null (strstr (client.last_ack, "\"conflict\""));
        stock_assert_numbers (&client, 1, 3);
        stock_finish (&client);
    }
}

static void g8_an_offset_of_another_log_is_refused (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    snprintf (client.offset, sizeof client.offset, "00000000000000aa:3");
    stock_reconnect (&client, 0);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void g8_an_offset_beyond_the_head_is_refused (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    char *colon = strchr (client.offset, ':');
    strcpy (colon, ":999999");
    stock_reconnect (&client, 0);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void an_offset_that_is_no_position_opens_a_new_session (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_cut (client.wire);
    strcpy (client.offset, "some words");
    stock_reconnect (&client, 0);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void a_session_expires_after_its_resume_time (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_cut (client.wire);
    tide_loop_pass (client.loop, 30000);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    tide_loop_cut (client.wire);
    tide_loop_pass (client.loop, 62000);
    stock_reconnect (&client, 0);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void a_session_of_a_dead_lane_expires (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_kill_lane (client.loop, 0);
    tide_loop_pass (client.loop, 50000);
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    tide_loop_kill_lane (client.loop, 1);
    tide_loop_pass (client.loop, 75000);
    stock_reconnect (&client, 1);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void leaving_for_good_cannot_be_resumed (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    tide_loop_say (client.wire, "41");
    tide_loop_cut (client.wire);
    stock_reconnect (&client, 0);
    assert_false (client.is_recovered);
    stock_finish (&client);
}

static void a_namespace_without_recovery_has_no_pid (void **state)
{
    (void) state;
    tide_loop_t *loop = tide_loop_new (NULL);
    tide_loop_client_t *client = stock_wire (loop, 0, polls);
    tide_loop_hear (client);
    tide_loop_say (client, "40/plain,");
    const char *frame = tide_loop_hear (client);
    assert_non_null (strstr (frame, "40/plain,{\"sid\":"));
    assert_null (strstr (frame, "pid"));
    tide_loop_say (client, "42/plain,0[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    assert_non_null (strstr (tide_loop_hear (client), "\"ok\":true"));
    tide_loop_publish (loop, "lobby", 7);
    assert_string_equal (tide_loop_hear (client), "42/plain,[\"n\",7]");
    tide_loop_say (client, "40/nowhere,");
    assert_string_equal (tide_loop_hear (client), "44/nowhere,{\"message\":\"Invalid namespace\"}");
    tide_loop_say (client, "40/tenant-5,");
    assert_non_null (strstr (tide_loop_hear (client), "\"pid\":"));
    tide_loop_destroy (&loop);
}

/*  -- slow, late, and another log -------------------------------------------------------------- */

static void g6_a_slow_client_catches_up_from_the_log (void **state)
{
    (void) state;
    stock_t *client = tide_alloc (sizeof *client);
    stock_start (client, NULL, polls);
    client->wire->is_stalled = true;
    stock_publish (client, 1, 3000); /* far more than the tape holds */
    tide_loop_unstall (client->wire);
    tide_loop_pass (client->loop, 2000);
    stock_assert_numbers (client, 1, 3000);
    stock_publish (client, 3001, 3010);
    stock_assert_numbers (client, 1, 3010);
    stock_finish (client);
    free (client);
}

static void g5_a_slow_client_behind_the_history_gets_a_reset (void **state)
{
    (void) state;
    stock_t client;
    tide_broker_config_t config = small_history;
    config.retain_events = 1000;
    stock_start (&client, &config, polls);
    client.wire->is_stalled = true;
    stock_publish (&client, 1, 3000);
    tide_loop_unstall (client.wire);
    tide_loop_pass (client.loop, 2000);
    stock_listen (&client);
    assert_int_equal (client.resets, 1);
    client.count = 0;
    stock_publish (&client, 5001, 5003);
    stock_assert_numbers (&client, 5001, 5003);
    stock_finish (&client);
}

static void g8_another_log_resets_live_clients (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_kill_broker (client.loop, true);
    tide_loop_pass (client.loop, 10000);
    stock_listen (&client);
    assert_int_equal (client.resets, 1);
    client.count = 0;
    stock_publish (&client, 7, 9);
    stock_assert_numbers (&client, 7, 9);
    tide_loop_cut (client.wire);
    stock_publish (&client, 10, 11);
    stock_reconnect (&client, 1);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 7, 11);
    stock_finish (&client);
}

/*  It was ours, but not open: what the record said is not known as a whole. */
static void g8_a_session_that_is_being_taken_is_not_recovered_in_another_log (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 3);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    client.loop->held_kinds[1] = 1ull << TIDE_MESSAGE_PUBLISH;
    stock_reconnect (&client, 1);
    client.loop->held_kinds[1] = 1ull << TIDE_MESSAGE_SNAPSHOT;
    assert_true (
        tide_loop_let_go (client.loop)); /* it takes the session, and is to read it again */
    tide_loop_run (client.loop);
    assert_int_equal (client.loop->held_count, 1);
    tide_loop_kill_broker (client.loop, true);
    tide_loop_pass (client.loop, 5000);
    tide_loop_let_all_go (client.loop);
    tide_loop_pass (client.loop, 1000);
    stock_listen (&client);
    assert_true (client.is_connected);
    assert_false (client.is_recovered);
    stock_subscribe (&client, "lobby", "");
    client.count = 0;
    stock_publish (&client, 7, 9);
    stock_assert_numbers (&client, 7, 9);
    stock_finish (&client);
}

static void bring_up_does_not_move_the_position (void **state)
{
    (void) state;
    stock_t client;
    stock_start (&client, NULL, polls);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    char before[64];
    memcpy (before, client.offset, sizeof before);
    for (int number = 50; number < 55; number++)
        tide_loop_publish (client.loop, "late", number);
    client.count = 0;
    stock_subscribe (&client, "late", ",\"since\":\"start\"");
    stock_assert_numbers (&client, 50, 54);
    uint64_t offset = strtoull (strchr (client.offset, ':') + 1, NULL, 10);
    tide_loop_cut (client.wire);
    tide_loop_publish (client.loop, "late", 55);
    stock_publish (&client, 56, 56);
    stock_reconnect (&client, 0);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 50, 56);
    assert_true (offset > 0);
    stock_finish (&client);
}

/*  Each rule holds whatever carries the client. */
static int over_websocket (void **state)
{
    (void) state;
    polls = false;
    return 0;
}

static int over_polling (void **state)
{
    (void) state;
    polls = true;
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g1_live_events_come_once_in_order),
        cmocka_unit_test (g5_what_was_missed_comes_on_resume_with_the_same_ids),
        cmocka_unit_test (rule_a_a_pid_without_an_offset_is_enough),
        cmocka_unit_test (rule_b_a_trimmed_position_is_good_if_nothing_was_missed),
        cmocka_unit_test (g5_missed_and_trimmed_opens_a_new_session),
        cmocka_unit_test (rule_c_a_half_open_predecessor_is_kicked_in_the_same_lane),
        cmocka_unit_test (rule_c_a_half_open_predecessor_is_kicked_in_another_lane),
        cmocka_unit_test (rule_c_the_old_lanes_late_end_does_no_harm),
        cmocka_unit_test (rule_d_a_session_survives_its_lane),
        cmocka_unit_test (rule_d_a_session_survives_the_broker),
        cmocka_unit_test (rule_e_a_reconnect_can_be_as_fast_as_it_likes),
        cmocka_unit_test (rule_g_a_second_reconnect_replays_nothing_again),
        cmocka_unit_test (rule_h_what_is_published_during_a_resume_is_not_skipped),
        cmocka_unit_test (rule_i_a_pid_whose_stored_user_differs_is_refused),
        cmocka_unit_test (rule_l_a_stale_offset_with_a_new_pid_skips_nothing_and_repeats_nothing),
        cmocka_unit_test (rule_f_a_volatile_event_that_ends_in_a_string_carries_the_position),
        cmocka_unit_test (rule_f_a_volatile_event_does_not_run_ahead_of_the_client),
        cmocka_unit_test (rule_j_an_expired_session_is_said_to_be_over),
        cmocka_unit_test (rule_j_a_session_that_is_resumed_is_not_over),
        cmocka_unit_test (rule_k_a_publish_that_is_repeated_after_a_reconnect_is_appended_once),
        cmocka_unit_test (g8_an_offset_of_another_log_is_refused),
        cmocka_unit_test (g8_an_offset_beyond_the_head_is_refused),
        cmocka_unit_test (an_offset_that_is_no_position_opens_a_new_session),
        cmocka_unit_test (a_session_expires_after_its_resume_time),
        cmocka_unit_test (a_session_of_a_dead_lane_expires),
        cmocka_unit_test (leaving_for_good_cannot_be_resumed),
        cmocka_unit_test (a_namespace_without_recovery_has_no_pid),
        cmocka_unit_test (g6_a_slow_client_catches_up_from_the_log),
        cmocka_unit_test (g5_a_slow_client_behind_the_history_gets_a_reset),
        cmocka_unit_test (g8_another_log_resets_live_clients),
        cmocka_unit_test (g8_a_session_that_is_being_taken_is_not_recovered_in_another_log),
        cmocka_unit_test (bring_up_does_not_move_the_position),
    };
    int failed =
        cmocka_run_group_tests_name ("recovery rules over WebSocket", tests, over_websocket, NULL);
    return failed
           + cmocka_run_group_tests_name ("recovery rules over polling", tests, over_polling, NULL);
}
