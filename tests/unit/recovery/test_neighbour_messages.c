/*  test_neighbour_messages.c - what a lane believes another: what comes from the wrong one, or
 *  was never said by any.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"
#include "tide_application.h"

/*  -- what another lane says than the one that was asked -------------------------------------- */

/*  The oldest message that is held reaches the broker as if the lane had said it. */
static void impersonate (unsigned hub)
{
    assert_true (loop->held_count > 0);
    tide_buffer_t copy = {0};
    tide_buffer_append_bytes (&copy, tide_buffer_bytes (&loop->held[0].bytes));
    tide_broker_receive (loop->broker, loop->now_ms, tide_bytes (loop->peers[hub]),
                         tide_buffer_bytes (&copy));
    tide_loop_run (loop);
    tide_buffer_free (&copy);
}

static void a_response_of_another_lane_is_none (void **state)
{
    (void) state;
    tide_loop_client_t *client = subscribed ();
    client->gets_at = OTHER;
    tide_loop_publish (loop, "lobby", 1);
    assert_hears (client, "42[\"n\",1");
    assert_int_equal (client->poll_hub, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_publish (loop, "lobby", 2);
    assert_int_equal (loop->held_count, 1);
    impersonate (THIRD);
    assert_true (client->poll != 0);
    assert_null (tide_loop_hear (client));
    tide_loop_let_all_go (loop);
    assert_hears (client, "42[\"n\",2");
    assert_null (tide_loop_hear (client));
}

static void a_session_that_another_lane_hands_over_is_none (void **state)
{
    (void) state;
    tide_loop_client_t *client = idle ();
    tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "2probe");
    assert_true (tide_loop_let_go (loop));
    impersonate (THIRD);
    assert_null (tide_loop_hear (probe));
    assert_true (tide_loop_let_go (loop));
    assert_hears (probe, "3probe");
    tide_loop_say (probe, "5");
    assert_true (tide_loop_let_go (loop));
    assert_int_equal (loop->held_count, 1);
    impersonate (THIRD);
    assert_non_null (probe->connection);
    tide_loop_publish (loop, "lobby", 1);
    assert_null (tide_loop_hear (probe));
    tide_loop_let_all_go (loop);
    assert_hears (probe, "2");
    assert_hears (probe, "42[\"n\",1");
    assert_null (tide_loop_hear (probe));
}

static void a_probe_that_another_lane_takes_or_ends_is_left_alone (void **state)
{
    (void) state;
    for (int takes = 0; takes < 2; takes++) {
        tide_loop_client_t *client = idle ();
        tide_loop_client_t *probe = probed_at (client, OTHER);
        hold (TIDE_MESSAGE_RELAY);
        if (takes)
            tide_loop_say (probe, "5");
        else
            tide_loop_cut (probe);
        assert_int_equal (loop->held_count, 1);
        impersonate (THIRD);
        tide_loop_publish (loop, "lobby", 1);
        get (client);
        assert_hears (client, "42[\"n\",1");
        get (client);
        assert_hears (client, "6"); /* it is still probed */
        tide_loop_let_all_go (loop);
    }
}

static struct {
    int answered;
    size_t count;
} asked;

static void on_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer,
                        size_t count)
{
    (void) argument;
    (void) hub;
    (void) answer;
    asked.answered++;
    asked.count = count;
}

static void a_lane_that_reports_for_another_does_so_once (void **state)
{
    (void) state;
    memset (&asked, 0, sizeof asked);
    tide_loop_client_t *clients[LOOP_HUBS];
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        clients[hub] = tide_loop_open (loop, hub, TIDE_CLIENT_SOCKETIO);
        tide_loop_say (clients[hub], "40");
        tide_loop_say (clients[hub], "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
        count_heard (clients[hub], "");
    }
    tide_app_emit_t emit = {.topic = tide_bytes ("lobby"),
                            .name = tide_bytes ("q"),
                            .args = {.json = tide_bytes ("7")}};
    tide_app_ask (loop->hubs[HOLDER], &emit, 10000, on_answers, NULL);
    tide_loop_run (loop);
    hold (TIDE_MESSAGE_RELAY);
    loop->held_kinds[THIRD] |= 1ull << TIDE_MESSAGE_RELAY;
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        const char *frame = tide_loop_hear (clients[hub]);
        assert_non_null (frame);
        tide_loop_say (clients[hub], "43%.*s[1]", (int) strcspn (frame + 2, "["), frame + 2);
    }
    tide_loop_pass (loop, 1000);
    assert_int_equal (loop->held_count, 2);
    unsigned first = loop->held[0].hub;
    impersonate (first);
    impersonate (first);
    tide_loop_pass (loop, 1000);
    assert_int_equal (asked.answered, 0); /* one has said it twice */
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 1000);
    assert_int_equal (asked.answered, 1);
    assert_int_equal (asked.count, LOOP_HUBS);
}

/*  -- what no lane of ours would say ---------------------------------------------------------- */

/*  Bytes of another lane for this one, as the broker would hand them on. */
static void relay_to (unsigned hub, const char *from, uint64_t token, tide_bytes_t payload)
{
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes, &(tide_message_t){.kind = TIDE_MESSAGE_RELAYED,
                                                   .relayed = {token, tide_bytes (from), payload}});
    tide_hub_receive (loop->hubs[hub], loop->now_ms, tide_buffer_bytes (&bytes));
    tide_loop_run (loop);
    tide_buffer_free (&bytes);
}

/*  A session with a bit of everything, on its way to OTHER: what it was sent as. */
static tide_loop_client_t *on_its_way (tide_buffer_t *bytes, tide_message_t *relay)
{
    loop = tide_loop_new (NULL);
    tide_loop_publish (loop, "past", 1);
    tide_loop_client_t *client = idle_at (THIRD, THIRD);
    tide_loop_say (client, "40/plain,");
    tide_loop_say (client, "42/plain,7[\"tide:subscribe\",{\"topic\":\"hall\",\"meta\":true}]");
    tide_loop_publish (loop, "hall", 1);
    hold (TIDE_MESSAGE_READ);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_say (client, "428[\"tide:subscribe\",{\"topic\":\"past\",\"since\":\"start\"}]");
    tide_loop_say (client, "429[\"tide:subscribe\",{\"topic\":\"a/#\",\"since\":\"snapshot\"}]");
    tide_loop_say (client, "451-[\"tide:publish\",{\"topic\":\"lobby\",\"event\":\"b\",\"data\":"
                           "{\"_placeholder\":true,\"num\":0}}]");
    tide_loop_client_t *probe = probed_at (client, OTHER);
    hold (TIDE_MESSAGE_RELAY);
    tide_loop_say (probe, "5");
    const char *why;
    for (;;) {
        tide_buffer_t *last = &loop->held[loop->held_count - 1].bytes;
        assert_int_equal (tide_message_decode (tide_buffer_bytes (last), relay, &why), TIDE_OK);
        assert_int_equal (relay->kind, TIDE_MESSAGE_RELAY);
        if (relay->relay.token >> 63) { /* on its way back */
            *bytes = *last;
            *last = (tide_buffer_t){0};
            loop->held_count--;
            break;
        }
        tide_broker_receive (loop->broker, loop->now_ms, tide_bytes (loop->peers[OTHER]),
                             tide_buffer_bytes (last));
        tide_buffer_free (last);
        loop->held_count--;
        tide_loop_run (loop);
    }
    tide_loop_let_all_go (loop);
    return probe;
}

static void live_on (tide_loop_client_t *probe)
{
    tide_loop_publish (loop, "lobby", 1);
    tide_loop_publish (loop, "past", 2);
    if (probe->connection) /* the attachment that is still to come */
        tide_hub_frame (loop->hubs[OTHER], loop->now_ms, probe->connection, tide_bytes ("b"),
                        false);
    tide_loop_run (loop);
    tide_loop_say (probe, "42[\"tide:subscribe\",{\"topic\":\"more\"}]");
    tide_loop_pass (loop, 11000);
}

/*  What was taken on its way arrives as it was, or changed. */
static void arrive (const tide_message_t *relay, tide_bytes_t payload)
{
    relay_to (OTHER, loop->lanes[HOLDER], relay->relay.token, payload);
}

static void a_session_that_arrives_whole_goes_on (void **state)
{
    (void) state;
    tide_buffer_t bytes = {0};
    tide_message_t relay;
    tide_loop_client_t *probe = on_its_way (&bytes, &relay);
    arrive (&relay, relay.relay.payload);
    live_on (probe);
    assert_non_null (probe->connection);
    tide_loop_destroy (&loop);
    tide_buffer_free (&bytes);
}

static void g8_a_session_that_arrives_from_another_log_is_refused (void **state)
{
    (void) state;
    tide_buffer_t bytes = {0}, changed = {0};
    tide_message_t relay;
    tide_loop_client_t *probe = on_its_way (&bytes, &relay);
    tide_buffer_append_bytes (&changed, relay.relay.payload);
    changed.data[8] ^= 1; /* behind the kind, the epoch */
    arrive (&relay, tide_buffer_bytes (&changed));
    assert_null (probe->connection);
    tide_loop_destroy (&loop);
    tide_buffer_free (&changed);
    tide_buffer_free (&bytes);
}

static void a_session_that_arrives_cut_off_is_refused (void **state)
{
    (void) state;
    size_t size = SIZE_MAX;
    for (size_t cut = 1; cut < size; cut++) {
        tide_buffer_t bytes = {0};
        tide_message_t relay;
        tide_loop_client_t *probe = on_its_way (&bytes, &relay);
        size = relay.relay.payload.size;
        arrive (&relay, (tide_bytes_t){relay.relay.payload.data, cut});
        assert_null (probe->connection);
        tide_loop_destroy (&loop);
        tide_buffer_free (&bytes);
    }
}

/*  What is random comes the same in each run. */
static uint64_t seed = 1;

static uint32_t roll (uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (seed >> 33) % below;
}

/*  A sanitizer says whether it does harm. */
static void a_session_that_arrives_changed_does_no_harm (void **state)
{
    (void) state;
    enum { ROUNDS = 600 };
    for (int round = 0; round < ROUNDS; round++) {
        tide_buffer_t bytes = {0}, changed = {0};
        tide_message_t relay;
        tide_loop_client_t *probe = on_its_way (&bytes, &relay);
        tide_buffer_append_bytes (&changed, relay.relay.payload);
        for (uint32_t flips = 1 + roll (4); flips > 0; flips--) {
            uint8_t *byte = changed.data + 1 + roll ((uint32_t) changed.size - 1);
            uint32_t value = roll (2) ? *byte ^ (1u << roll (8)) : roll (256);
            *byte = (uint8_t) value;
        }
        if (roll (8) == 0)
            tide_put_u8 (&changed, (uint8_t) roll (256));
        arrive (&relay, tide_buffer_bytes (&changed));
        live_on (probe);
        tide_loop_destroy (&loop);
        tide_buffer_free (&changed);
        tide_buffer_free (&bytes);
    }
}

/*  Tokens that are in use, and others; every kind there is, and some that there is not. */
static void relay_at_random (unsigned hub, const char *sid)
{
    static const char *const froms[] = {"",
                                        "a",
                                        "lane0.0",
                                        "#",
                                        "lane2.2",
                                        "\xff",
                                        "llllllllllllllllllllllllllllllllllllllllllllllllllllllllll"
                                        "lllllllllllllllllllllllllllll"};
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, (uint8_t) roll (13));
    if (roll (2)) {
        for (uint32_t more = roll (3); more > 0; more--)
            tide_put_u8 (&payload, (uint8_t) roll (2));
        tide_buffer_append_text (&payload, sid);
    }
    else
        for (uint32_t more = roll (40); more > 0; more--)
            tide_put_u8 (&payload, (uint8_t) roll (roll (2) ? 4 : 256));
    if (roll (20) == 0)
        payload.size = 0;
    uint32_t from = roll (10);
    uint64_t token = roll (12) | (roll (2) ? 1ull << 63 : 0);
    relay_to (hub, from < 7 ? froms[from] : loop->lanes[roll (LOOP_HUBS)], token,
              tide_buffer_bytes (&payload));
    tide_buffer_free (&payload);
}

static void what_no_lane_would_say_does_no_harm (void **state)
{
    (void) state;
    for (int round = 0; round < 60; round++) {
        loop = tide_loop_new (NULL);
        tide_loop_client_t *client = tide_loop_open_polling (loop, HOLDER);
        client->gets_at = client->posts_at = roll (LOOP_HUBS);
        tide_loop_say (client, "40");
        tide_loop_client_t *probe = tide_loop_probe_at (client, OTHER);
        if (roll (2))
            tide_loop_say (probe, "2probe");
        if (roll (2)) {
            hold (TIDE_MESSAGE_RELAY);
            tide_loop_say (probe, "5");
        }
        for (int message = 0; message < 40; message++)
            relay_at_random (roll (LOOP_HUBS), client->sid);
        /*  Others are served. */
        tide_loop_let_all_go (loop);
        assert_alive (subscribed ());
        tide_loop_destroy (&loop);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_response_of_another_lane_is_none),
        TEST (a_session_that_another_lane_hands_over_is_none),
        TEST (a_probe_that_another_lane_takes_or_ends_is_left_alone),
        TEST (a_lane_that_reports_for_another_does_so_once),
        cmocka_unit_test (a_session_that_arrives_whole_goes_on),
        cmocka_unit_test (g8_a_session_that_arrives_from_another_log_is_refused),
        cmocka_unit_test (a_session_that_arrives_cut_off_is_refused),
        cmocka_unit_test (a_session_that_arrives_changed_does_no_harm),
        cmocka_unit_test (what_no_lane_would_say_does_no_harm),
    };
    return cmocka_run_group_tests_name ("messages between lanes", tests, NULL, NULL);
}
