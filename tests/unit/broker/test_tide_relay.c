/*  test_tide_relay.c - bytes from one peer to another, by lease.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

enum { TOKEN = 1000000 };

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig_start (rig);
    rig_hello (rig, "a", "lane-a");
    rig_hello (rig, "b", "lane-b");
    rig_hello (rig, "c", "lane-c");
    rig_hello (rig, "tool", "");
    rig_forget_said (rig);
    *state = rig;
    return 0;
}

static int tear_down (void **state)
{
    rig_free (*state);
    free (*state);
    return 0;
}

static void relay (tide_rig_t *rig, const char *peer, uint64_t token, const char *to,
                   tide_bytes_t payload)
{
    rig_forget_said (rig);
    rig_send (
        rig, peer,
        &(tide_message_t){.kind = TIDE_MESSAGE_RELAY, .relay = {token, tide_bytes (to), payload}});
    rig_drain (rig);
}

/*  What this peer was sent since the last relay: the only one, or NULL. */
static const tide_message_t *sent_to (const tide_rig_t *rig, const char *peer)
{
    const tide_message_t *message = NULL;
    for (size_t at = 0; at < rig->said_count; at++) {
        if (rig->said[at]->kind != TIDE_BROKER_SEND || strcmp (rig->said[at]->peer, peer) != 0)
            continue;
        assert_null (message);
        message = &rig->said[at]->message;
    }
    return message;
}

static void check_relayed (const tide_rig_t *rig, const char *peer, uint64_t token,
                           const char *from, tide_bytes_t payload)
{
    const tide_message_t *message = sent_to (rig, peer);
    assert_true (message && message->kind == TIDE_MESSAGE_RELAYED);
    assert_true (message->relayed.token == token);
    assert_true (tide_bytes_is (message->relayed.from, from));
    assert_true (tide_bytes_equal (message->relayed.payload, payload));
}

static void check_told (const tide_rig_t *rig, const char *peer, uint64_t token, uint32_t count)
{
    const tide_message_t *message = sent_to (rig, peer);
    assert_true (message && message->kind == TIDE_MESSAGE_TOLD);
    assert_true (message->told.token == token);
    assert_int_equal (message->told.count, count);
}

static const tide_counters_t *counters (const tide_rig_t *rig)
{
    return &rig->broker->core.counters;
}

static void it_goes_to_the_holder_of_the_lease_and_nobody_else (void **state)
{
    tide_rig_t *rig = *state;
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("hello"));
    assert_int_equal (rig->said_count, 1);
    check_relayed (rig, "b", TOKEN, "lane-a", tide_bytes ("hello"));
    relay (rig, "b", UINT64_MAX, "lane-a", (tide_bytes_t){0});
    assert_int_equal (rig->said_count, 1);
    check_relayed (rig, "a", UINT64_MAX, "lane-b", (tide_bytes_t){0});
    relay (rig, "a", TOKEN, "lane-a", tide_bytes ("self"));
    check_relayed (rig, "a", TOKEN, "lane-a", tide_bytes ("self"));
    assert_int_equal (counters (rig)->relayed, 3);
    assert_int_equal (counters (rig)->relays_nowhere + counters (rig)->relays_refused, 0);
}

static void a_lease_that_nobody_holds_is_told (void **state)
{
    tide_rig_t *rig = *state;
    relay (rig, "a", TOKEN, "lane-d", tide_bytes ("x"));
    assert_int_equal (rig->said_count, 1);
    check_told (rig, "a", TOKEN, 0);
    relay (rig, "a", TOKEN + 1, "lane-", tide_bytes ("x"));
    check_told (rig, "a", TOKEN + 1, 0);
    /*  One that a standing key names, and no peer holds. */
    rig_add (rig, &(tide_event_t){.topic = tide_bytes ("t"),
                                  .name = tide_bytes ("here"),
                                  .key = tide_bytes ("k"),
                                  .lease = tide_bytes ("gone"),
                                  .payload = rig_payload ("1")});
    rig_publish (rig, "a");
    rig_settle (rig);
    relay (rig, "a", TOKEN + 2, "gone", tide_bytes ("x"));
    check_told (rig, "a", TOKEN + 2, 0);
    assert_int_equal (counters (rig)->relays_nowhere, 3);
    assert_int_equal (counters (rig)->relayed, 0);
}

static void without_a_name_it_goes_to_all_others (void **state)
{
    tide_rig_t *rig = *state;
    relay (rig, "a", TOKEN, "", tide_bytes ("who?"));
    assert_int_equal (rig->said_count, 3);
    check_relayed (rig, "b", TOKEN, "lane-a", tide_bytes ("who?"));
    check_relayed (rig, "c", TOKEN, "lane-a", tide_bytes ("who?"));
    check_told (rig, "a", TOKEN, 2);
    assert_int_equal (counters (rig)->relayed, 2);
    rig_send (rig, "b", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("c"));
    relay (rig, "a", TOKEN, "", tide_bytes ("who?"));
    assert_int_equal (rig->said_count, 1);
    check_told (rig, "a", TOKEN, 0);
    assert_int_equal (counters (rig)->relays_nowhere, 1);
}

/*  Its heartbeats say what has come; so much is on its way to it and no more. */
static void what_a_peer_does_not_take_is_not_piled_up (void **state)
{
    tide_rig_t *rig = *state;
    const size_t size = TIDE_RELAY_OPEN_SIZE_MAX / 2;
    tide_bytes_t payload = {tide_alloc (size), size};
    for (int round = 0; round < 2; round++) {
        relay (rig, "a", TOKEN, "lane-b", payload);
        check_relayed (rig, "b", TOKEN, "lane-a", payload);
    }
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 0);
    relay (rig, "a", TOKEN, "", tide_bytes ("x")); /* the others get it */
    check_told (rig, "a", TOKEN, 1);
    assert_int_equal (counters (rig)->relays_full, 2);
    rig_send (rig, "b", &(tide_message_t){.kind = TIDE_MESSAGE_PING, .ping = {size}});
    rig_drain (rig);
    relay (rig, "a", TOKEN, "lane-b", payload);
    check_relayed (rig, "b", TOKEN, "lane-a", payload);
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 0);
    rig_hello (rig, "b", "lane-b"); /* it begins anew */
    relay (rig, "a", TOKEN, "lane-b", payload);
    check_relayed (rig, "b", TOKEN, "lane-a", payload);
    free ((void *) payload.data);
}

/*  However many get it, the arena holds it once. */
static void what_goes_to_all_is_encoded_once (void **state)
{
    enum { SIZE = 100000 };
    tide_rig_t *rig = *state;
    uint8_t *bytes = tide_alloc (SIZE);
    bytes[SIZE - 1] = 7;
    tide_buffer_t out = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_RELAY, .relay = {TOKEN, {0}, {bytes, SIZE}}};
    tide_message_encode (&out, &message);
    tide_broker_receive (rig->broker, rig->now_ms, tide_bytes ("a"), tide_buffer_bytes (&out));
    assert_in_range (tide_broker_said_size (rig->broker), SIZE, SIZE + 1000);
    rig_drain (rig);
    check_relayed (rig, "b", TOKEN, "lane-a", message.relay.payload);
    check_relayed (rig, "c", TOKEN, "lane-a", message.relay.payload);
    tide_buffer_free (&out);
    free (bytes);
}

static void who_holds_no_lease_cannot_relay (void **state)
{
    tide_rig_t *rig = *state;
    relay (rig, "tool", TOKEN, "lane-b", tide_bytes ("x"));
    assert_int_equal (rig->said_count, 1);
    check_told (rig, "tool", TOKEN, 0);
    relay (rig, "tool", TOKEN, "", tide_bytes ("x"));
    assert_int_equal (rig->said_count, 1);
    check_told (rig, "tool", TOKEN, 0);
    assert_int_equal (counters (rig)->relays_refused, 2);
    /*  And who has not said hello is told that, as always. */
    relay (rig, "stranger", TOKEN, "lane-b", tide_bytes ("x"));
    assert_int_equal (sent_to (rig, "stranger")->kind, TIDE_MESSAGE_FAIL);
    assert_int_equal (rig->said_count, 1);
}

/*  A lane that connects anew is another peer, while the old one is not forgotten yet. */
static void the_last_one_to_say_hello_holds_the_lease (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b2", "lane-b");
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    assert_int_equal (rig->said_count, 1);
    check_relayed (rig, "b2", TOKEN, "lane-a", tide_bytes ("x"));
    /*  Each lease is reached once, and none of its own by a stale connection. */
    relay (rig, "b", TOKEN, "", tide_bytes ("x"));
    assert_int_equal (rig->said_count, 3);
    assert_null (sent_to (rig, "b2"));
    check_told (rig, "b", TOKEN, 2);
    relay (rig, "a", TOKEN, "", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 2);
    assert_null (sent_to (rig, "b"));
    /*  A repeated hello counts, and if the holder goes the one before it is there. */
    rig_hello (rig, "b", "lane-b");
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_relayed (rig, "b", TOKEN, "lane-a", tide_bytes ("x"));
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("b"));
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_relayed (rig, "b2", TOKEN, "lane-a", tide_bytes ("x"));
}

static void a_hello_with_another_lease_gives_the_old_one_up (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b", "lane-d");
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 0);
    relay (rig, "a", TOKEN, "lane-d", tide_bytes ("x"));
    check_relayed (rig, "b", TOKEN, "lane-a", tide_bytes ("x"));
    rig_hello (rig, "b", "");
    relay (rig, "a", TOKEN, "lane-d", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 0);
}

static void a_silent_peer_is_not_relayed_to (void **state)
{
    tide_rig_t *rig = *state;
    for (unsigned at = 0; at < 30; at++) {
        rig_tick (rig, 500);
        rig_send (rig, "a", &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        rig_drain (rig);
    }
    relay (rig, "a", TOKEN, "lane-b", tide_bytes ("x"));
    check_told (rig, "a", TOKEN, 0);
}

/*  A whole message of a client's, and what a lane has to say of it. */
static void a_clients_largest_message_can_be_relayed (void **state)
{
    tide_rig_t *rig = *state;
    tide_buffer_t out = {0};
    uint8_t *bytes = tide_alloc (TIDE_RELAY_SIZE_MAX);
    tide_message_t message = {
        .kind = TIDE_MESSAGE_RELAY,
        .relay = {TOKEN, tide_bytes ("lane-b"), {bytes, TIDE_RELAY_SIZE_MAX}}};
    tide_message_encode (&out, &message);
    assert_true (out.size <= TIDE_MESSAGE_SIZE_READ (TIDE_PAYLOAD_SIZE_MAX));
    tide_broker_receive (rig->broker, rig->now_ms, tide_bytes ("a"), tide_buffer_bytes (&out));
    tide_broker_action_t action;
    assert_true (tide_broker_next_action (rig->broker, &action));
    assert_true (tide_bytes_is (action.peer, "b"));
    assert_in_range (action.bytes.size, TIDE_RELAY_SIZE_MAX, TIDE_MESSAGE_SIZE_MAX);
    assert_false (tide_broker_next_action (rig->broker, &action));
    tide_buffer_free (&out);
    free (bytes);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (it_goes_to_the_holder_of_the_lease_and_nobody_else),
        TEST (a_lease_that_nobody_holds_is_told),
        TEST (without_a_name_it_goes_to_all_others),
        TEST (what_a_peer_does_not_take_is_not_piled_up),
        TEST (what_goes_to_all_is_encoded_once),
        TEST (who_holds_no_lease_cannot_relay),
        TEST (the_last_one_to_say_hello_holds_the_lease),
        TEST (a_hello_with_another_lease_gives_the_old_one_up),
        TEST (a_silent_peer_is_not_relayed_to),
        TEST (a_clients_largest_message_can_be_relayed),
    };
    return cmocka_run_group_tests_name ("tide_relay", tests, NULL, NULL);
}
