/*  test_tide_link.c - the client's half of the conversation with a broker.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const tide_link_config_t config = {.name = "lane", .lease = "lease-1", .origin = "o1"};

static void receive (tide_link_t *link, uint64_t now_ms, const tide_message_t *message)
{
    tide_buffer_t out = {0};
    tide_message_encode (&out, message);
    tide_link_receive (link, now_ms, tide_buffer_bytes (&out));
    tide_buffer_free (&out); /* what the link says of it must not need these bytes */
}

static void welcome (tide_link_t *link, uint64_t now_ms)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_WELCOME};
    message.welcome.epoch = 7;
    message.welcome.head = 42;
    message.welcome.events = tide_bytes ("7401");
    receive (link, now_ms, &message);
}

static void fail_conversation (tide_link_t *link, uint64_t now_ms, const char *text)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_FAIL};
    message.fail.code = TIDE_BAD_REQUEST;
    message.fail.message = tide_bytes (text);
    receive (link, now_ms, &message);
}

static void ack (tide_link_t *link, uint64_t now_ms, uint64_t token)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_ACK};
    message.ack.request = token;
    message.ack.first = 9;
    message.ack.count = 1;
    receive (link, now_ms, &message);
}

static uint64_t publish (tide_link_t *link, uint64_t now_ms)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    uint64_t token = tide_link_request (link, now_ms, &message);
    assert_true (message.publish.request == token);
    return token;
}

static uint64_t snapshot (tide_link_t *link, uint64_t token, uint32_t part)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = token;
    message.snapshot.topic = tide_bytes ("t");
    message.snapshot.part = part;
    return tide_link_request (link, 0, &message);
}

static void standing (tide_link_t *link, uint64_t token, uint32_t part, bool more)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_STANDING};
    message.standing.request = token;
    message.standing.part = part;
    message.standing.more = more;
    receive (link, 0, &message);
}

/*  What the link wants done, as a word each: C connect, U up, Y away, N answer, and for what it
 *  sends the kind's first letter (P for PUBLISH, i for PING), with requests' numbers. */
static const char *actions (tide_link_t *link)
{
    static tide_buffer_t said;
    tide_link_action_t action;
    tide_message_t sent;
    const char *why;
    said.size = 0;
    while (tide_link_next_action (link, &action)) {
        if (action.kind == TIDE_LINK_CONNECT)
            tide_buffer_append_text (&said, "C ");
        else if (action.kind == TIDE_LINK_AWAY)
            tide_buffer_append_text (&said, "Y ");
        else if (action.kind == TIDE_LINK_UP)
            tide_buffer_printf (&said, "U%u ", (unsigned) action.message->welcome.head);
        else if (action.kind == TIDE_LINK_ANSWER)
            tide_buffer_printf (&said, "N%u:%s ", (unsigned) action.token,
                                tide_message_name (action.message->kind));
        else {
            assert_int_equal (tide_message_decode (action.bytes, &sent, &why), TIDE_OK);
            tide_buffer_append_text (&said, tide_message_name (sent.kind));
            if (action.token != 0)
                tide_buffer_printf (&said, "%u", (unsigned) action.token);
            if (sent.kind == TIDE_MESSAGE_HELLO) {
                assert_true (tide_bytes_is (sent.hello.name, "lane"));
                assert_true (tide_bytes_is (sent.hello.lease, "lease-1"));
                assert_true (tide_bytes_is (sent.hello.origin, config.origin));
            }
            tide_buffer_append_text (&said, " ");
        }
    }
    tide_put_u8 (&said, 0);
    static char text[4096];
    assert_true (said.size <= sizeof text);
    memcpy (text, said.data, said.size);
    tide_buffer_free (&said);
    return text;
}

static tide_link_t *link_that_is_up (void)
{
    tide_link_t *link = tide_link_new (&config);
    tide_link_start (link, 0);
    welcome (link, 0);
    assert_string_equal (actions (link), "C HELLO U42 ");
    assert_true (tide_link_is_up (link));
    return link;
}

static void hello_is_repeated_later_and_later_until_the_welcome (void **state)
{
    (void) state;
    tide_link_t *link = tide_link_new (&config);
    assert_true (tide_link_deadline_ms (link) == UINT64_MAX);
    tide_link_start (link, 1000);
    assert_string_equal (actions (link), "C HELLO ");
    static const uint64_t due[] = {1250, 1750, 2750, 3750};
    for (size_t at = 0; at < 4; at++) {
        assert_true (tide_link_deadline_ms (link) == due[at]);
        tide_link_tick (link, due[at] - 1);
        assert_string_equal (actions (link), "");
        tide_link_tick (link, due[at]);
        assert_string_equal (actions (link), "HELLO ");
    }
    /*  A connection that brings nothing is not waited for: it may lead nowhere any more. */
    tide_link_tick (link, 1000 + TIDE_LIVENESS_MS);
    assert_string_equal (actions (link), "C HELLO ");
    welcome (link, 4100);
    assert_string_equal (actions (link), "U42 ");
    welcome (link, 4101);
    assert_string_equal (actions (link), "");
    assert_true (tide_link_counters (link).welcomes == 1);
    tide_link_destroy (&link);
    assert_null (link);
}

static void requests_wait_for_the_welcome_and_go_out_in_order (void **state)
{
    (void) state;
    tide_link_t *link = tide_link_new (&config);
    tide_link_start (link, 0);
    assert_true (publish (link, 0) == 1 && publish (link, 0) == 2 && publish (link, 0) == 3);
    tide_link_cancel (link, 2);
    assert_string_equal (actions (link), "C HELLO ");
    welcome (link, 10);
    assert_string_equal (actions (link), "U42 PUBLISH1 PUBLISH3 ");
    assert_int_equal (tide_link_pending (link), 2);
    ack (link, 20, 3);
    ack (link, 20, 3);
    assert_string_equal (actions (link), "N3:ACK ");
    assert_true (tide_link_counters (link).stray == 1);
    tide_link_destroy (&link);
}

static void an_answer_of_the_wrong_kind_is_stray (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_message_t read = {.kind = TIDE_MESSAGE_READ};
    uint64_t token = tide_link_request (link, 0, &read);
    assert_string_equal (actions (link), "READ1 ");
    ack (link, 1, token);
    assert_string_equal (actions (link), "");
    tide_message_t page = {.kind = TIDE_MESSAGE_PAGE};
    page.page.request = token;
    receive (link, 2, &page);
    assert_string_equal (actions (link), "N1:PAGE ");
    tide_message_t refused = {.kind = TIDE_MESSAGE_FAIL};
    refused.fail.request = publish (link, 2);
    receive (link, 3, &refused);
    assert_string_equal (actions (link), "N2:FAIL ");
    assert_true (tide_link_counters (link).stray == 1 && tide_link_pending (link) == 0);
    tide_link_destroy (&link);
}

static void silence_is_noticed_and_everything_is_asked_again (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    publish (link, 0);
    publish (link, 0);
    assert_string_equal (actions (link), "PUBLISH1 PUBLISH2 ");
    tide_link_tick (link, TIDE_HEARTBEAT_MS);
    assert_string_equal (actions (link), "PING ");
    tide_message_t pong = {.kind = TIDE_MESSAGE_PONG};
    receive (link, 1100, &pong);
    tide_link_tick (link, 1100 + TIDE_LIVENESS_MS);
    assert_string_equal (actions (link), "PING ");
    tide_link_tick (link, 1100 + TIDE_LIVENESS_MS + 1);
    assert_string_equal (actions (link), "Y C HELLO ");
    assert_false (tide_link_is_up (link));
    publish (link, 4200);
    assert_string_equal (actions (link), "");
    assert_int_equal (tide_link_pending (link), 3);
    welcome (link, 4300);
    assert_string_equal (actions (link), "U42 PUBLISH1 PUBLISH2 PUBLISH3 ");
    assert_true (tide_link_counters (link).aways == 1);
    assert_true (tide_link_counters (link).repeats == 2);
    tide_link_destroy (&link);
}

static void a_broker_that_does_not_know_us_is_greeted_again_but_not_too_fast (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    publish (link, 1000);
    actions (link);
    fail_conversation (link, 1001, "say hello first");
    fail_conversation (link, 1002, "say hello first");
    assert_string_equal (actions (link), "HELLO ");
    assert_false (tide_link_is_up (link));
    welcome (link, 1010);
    assert_string_equal (actions (link), "U42 PUBLISH1 ");
    fail_conversation (link, 1011, "say hello first");
    assert_string_equal (actions (link), "");
    assert_true (tide_link_deadline_ms (link) == 1251);
    tide_link_tick (link, 1251);
    assert_string_equal (actions (link), "HELLO ");
    tide_link_destroy (&link);
}

static void a_refused_version_is_kept_and_tried_slowly (void **state)
{
    (void) state;
    static const char text[] = "protocol version 1 is not spoken here, only version 2";
    tide_link_t *link = tide_link_new (&config);
    tide_link_start (link, 0);
    assert_null (tide_link_refusal (link));
    fail_conversation (link, 10, text);
    assert_string_equal (tide_link_refusal (link), text);
    actions (link);
    tide_link_tick (link, 5009);
    assert_string_equal (actions (link), "");
    tide_link_tick (link, 5010);
    assert_string_equal (actions (link), "C HELLO ");
    /*  A broker whose messages we can't read: the same, in our words. */
    tide_link_receive (link, 5020, (tide_bytes_t){(const uint8_t *) "TM\2\2", 4});
    assert_string_equal (tide_link_refusal (link),
                         "protocol version 2 is not spoken here, only version 1");
    assert_true (tide_link_deadline_ms (link) == 10020);
    welcome (link, 5030);
    assert_null (tide_link_refusal (link));
    assert_string_equal (actions (link), "U42 ");
    tide_link_destroy (&link);
}

static void g4_what_is_not_answered_is_sent_again_and_again (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    publish (link, 100);
    publish (link, 200);
    actions (link);
    tide_message_t pong = {.kind = TIDE_MESSAGE_PONG};
    for (uint64_t now_ms = 1000; now_ms <= 5000; now_ms += 1000) {
        receive (link, now_ms, &pong);
        tide_link_tick (link, now_ms);
    }
    assert_string_equal (actions (link), "PING PING PING PING PING ");
    assert_true (tide_link_deadline_ms (link) == 100 + TIDE_RETRY_MS);
    tide_link_tick (link, 5100);
    assert_string_equal (actions (link), "PUBLISH1 ");
    ack (link, 5150, 2);
    tide_link_tick (link, 5200);
    assert_string_equal (actions (link), "N2:ACK ");
    for (uint64_t now_ms = 6000; now_ms <= 10000; now_ms += 1000) {
        receive (link, now_ms, &pong);
        tide_link_tick (link, now_ms);
    }
    actions (link);
    tide_link_tick (link, 10099);
    assert_string_equal (actions (link), "");
    tide_link_tick (link, 10100);
    assert_string_equal (actions (link), "PUBLISH1 ");
    tide_link_destroy (&link);
}

static void refuse (tide_link_t *link, uint64_t now_ms, uint64_t token, tide_status_t code)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_FAIL};
    message.fail.request = token;
    message.fail.code = (uint8_t) code;
    receive (link, now_ms, &message);
}

/*  One copy finds the disk full, the other one finds room: that was appended. */
static void g4_of_what_was_sent_twice_the_last_answer_counts (void **state)
{
    (void) state;
    static const tide_status_t passing[] = {TIDE_LOG_FULL, TIDE_TOO_MANY};
    tide_message_t pong = {.kind = TIDE_MESSAGE_PONG};
    for (unsigned at = 0; at < sizeof passing / sizeof passing[0]; at++)
        for (int is_appended = 0; is_appended < 2; is_appended++) {
            tide_link_t *link = link_that_is_up ();
            uint64_t token = publish (link, 100), other = publish (link, 200);
            actions (link);
            receive (link, 5000, &pong);
            tide_link_tick (link, 100 + TIDE_RETRY_MS);
            actions (link);
            refuse (link, 5200, token, passing[at]);
            assert_string_equal (actions (link), "");
            assert_int_equal (tide_link_pending (link), 2);
            if (is_appended)
                ack (link, 5300, token);
            else
                refuse (link, 5300, token, passing[at]);
            assert_string_equal (actions (link), is_appended ? "N1:ACK " : "N1:FAIL ");
            refuse (link, 5400, other, passing[at]); /* which was sent but once */
            assert_string_equal (actions (link), "N2:FAIL ");
            tide_link_destroy (&link);
        }
    /*  What would be refused again is told at once. */
    tide_link_t *link = link_that_is_up ();
    uint64_t token = publish (link, 100);
    actions (link);
    receive (link, 5000, &pong);
    tide_link_tick (link, 100 + TIDE_RETRY_MS);
    assert_string_equal (actions (link), "PING PUBLISH1 ");
    refuse (link, 5200, token, TIDE_CONFLICT);
    assert_string_equal (actions (link), "N1:FAIL ");
    /*  And of what was sent to a broker that knew nothing of us no answer comes. */
    token = publish (link, 5200);
    actions (link);
    fail_conversation (link, 5300, "who are you?");
    tide_link_tick (link, 5700);
    welcome (link, 5800);
    actions (link);
    refuse (link, 5900, token, TIDE_LOG_FULL);
    assert_string_equal (actions (link), "N2:FAIL ");
    tide_link_destroy (&link);
}

static uint64_t publish_volatile (tide_link_t *link, uint64_t now_ms)
{
    tide_buffer_t events = {0};
    tide_event_append (&events, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                                .topic = tide_bytes ("t"),
                                                .name = tide_bytes ("m"),
                                                .payload = tide_bytes ("x")});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&events, 1);
    uint64_t token = tide_link_request (link, now_ms, &message);
    tide_buffer_free (&events);
    return token;
}

static void expect_refusal (tide_link_t *link, uint64_t token, tide_status_t status)
{
    tide_link_action_t action;
    assert_true (tide_link_next_action (link, &action));
    assert_int_equal (action.kind, TIDE_LINK_ANSWER);
    assert_true (action.token == token);
    assert_int_equal (action.message->kind, TIDE_MESSAGE_FAIL);
    assert_int_equal (action.message->fail.code, status);
}

static void g9_a_volatile_publish_neither_waits_nor_is_repeated (void **state)
{
    (void) state;
    tide_link_t *link = tide_link_new (&config);
    tide_link_start (link, 0);
    actions (link);
    expect_refusal (link, publish_volatile (link, 0), TIDE_BROKER_AWAY);
    welcome (link, 10);
    assert_string_equal (actions (link), "U42 ");
    /*  Not answered in time. */
    uint64_t token = publish_volatile (link, 10);
    assert_string_equal (actions (link), "PUBLISH2 ");
    tide_message_t pong = {.kind = TIDE_MESSAGE_PONG};
    receive (link, 10 + TIDE_RETRY_MS - 1, &pong);
    tide_link_tick (link, 10 + TIDE_RETRY_MS - 1);
    assert_string_equal (actions (link), "PING ");
    tide_link_tick (link, 10 + TIDE_RETRY_MS);
    expect_refusal (link, token, TIDE_BROKER_AWAY);
    assert_string_equal (actions (link), "");
    /*  The broker goes away behind it. */
    token = publish_volatile (link, 6000);
    assert_string_equal (actions (link), "PUBLISH3 ");
    fail_conversation (link, 6001, "say hello first");
    expect_refusal (link, token, TIDE_BROKER_AWAY);
    assert_string_equal (actions (link), "HELLO ");
    welcome (link, 6010);
    assert_string_equal (actions (link), "U42 ");
    assert_true (tide_link_pending (link) == 0);
    tide_link_destroy (&link);
}

/*  A broker cuts a peer that sends it more than it reads: repeated, that would go on for ever. */
static void what_the_broker_would_not_read_is_refused_here (void **state)
{
    (void) state;
    tide_link_t *link = tide_link_new (&config);
    tide_buffer_t events = {0};
    size_t size = TIDE_MESSAGE_SIZE_READ (0u);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    memset (tide_buffer_reserve (&events, size), 0, size);
    events.size = size - 100;
    message.publish.events = tide_list (&events, 1);
    tide_link_start (link, 0);
    actions (link);
    uint64_t good = tide_link_request (link, 0, &message);
    events.size = size;
    message.publish.events = tide_list (&events, 1);
    uint64_t large = tide_link_request (link, 0, &message);
    assert_true (good == 1 && large == 2);
    welcome (link, 10);
    tide_link_action_t action;
    assert_true (tide_link_next_action (link, &action) && action.kind == TIDE_LINK_UP);
    assert_true (tide_link_next_action (link, &action) && action.kind == TIDE_LINK_SEND);
    assert_true (action.token == good);
    expect_refusal (link, large, TIDE_TOO_LARGE);
    tide_buffer_free (&events);
    tide_link_destroy (&link);
}

static void a_broker_with_too_many_peers_says_so (void **state)
{
    (void) state;
    tide_link_t *link = tide_link_new (&config);
    tide_link_start (link, 0);
    tide_message_t message = {.kind = TIDE_MESSAGE_FAIL};
    message.fail.code = TIDE_TOO_MANY;
    message.fail.message = tide_bytes ("16384 peers are connected already");
    receive (link, 10, &message);
    assert_string_equal (tide_link_refusal (link), "16384 peers are connected already");
    assert_true (tide_link_deadline_ms (link) == 5010);
    tide_link_destroy (&link);
}

static void what_was_cancelled_or_answered_before_it_went_out_does_not_go_out (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    publish (link, 0);
    publish (link, 0);
    publish (link, 0);
    tide_link_cancel (link, 1);
    ack (link, 0, 2);
    assert_string_equal (actions (link), "PUBLISH3 N2:ACK ");
    tide_link_cancel (link, 99);
    ack (link, 0, 1);
    assert_string_equal (actions (link), "");
    tide_link_destroy (&link);
}

static void a_snapshot_goes_on_under_its_first_number (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    uint64_t token = snapshot (link, 0, 0);
    assert_true (token == 1);
    standing (link, token, 0, true);
    assert_string_equal (actions (link), "N1:STANDING ");
    assert_true (snapshot (link, token, 1) == token);
    assert_true (publish (link, 0) == 2);
    assert_string_equal (actions (link), "SNAPSHOT1 PUBLISH2 ");
    standing (link, token, 2, true); /* no part that was asked for */
    assert_string_equal (actions (link), "");
    standing (link, token, 0, true); /* begins again */
    assert_string_equal (actions (link), "N1:STANDING ");
    assert_true (snapshot (link, token, 1) == token);
    standing (link, token, 1, false);
    assert_string_equal (actions (link), "N1:STANDING ");
    assert_int_equal (tide_link_pending (link), 1);
    tide_link_destroy (&link);
}

static void requests_are_bounded (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    for (unsigned at = 0; at < TIDE_LINK_REQUESTS_MAX; at++)
        assert_int_not_equal (publish (link, 0), 0);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    assert_true (tide_link_request (link, 0, &message) == 0);
    ack (link, 0, 5);
    assert_int_not_equal (publish (link, 0), 0);
    tide_link_destroy (&link);
}

static void what_has_no_answer_is_dropped_while_the_broker_is_away (void **state)
{
    (void) state;
    tide_message_t bye = {.kind = TIDE_MESSAGE_BYE};
    tide_message_t relay = {.kind = TIDE_MESSAGE_RELAY, .relay = {.to = tide_bytes ("lane-2")}};
    tide_link_t *link = tide_link_new (&config);
    assert_false (tide_link_send (link, &bye));
    tide_link_start (link, 0);
    assert_false (tide_link_send (link, &bye));
    assert_false (tide_link_send (link, &relay));
    assert_string_equal (actions (link), "C HELLO ");
    welcome (link, 0);
    assert_true (tide_link_send (link, &relay));
    assert_true (tide_link_send (link, &bye));
    assert_string_equal (actions (link), "U42 RELAY BYE ");
    /*  Once: it awaits nothing, and a new conversation does not repeat it. */
    assert_true (tide_link_send (link, &relay));
    actions (link);
    assert_int_equal (tide_link_pending (link), 0);
    fail_conversation (link, 1000, "say hello first");
    welcome (link, 1010);
    assert_string_equal (actions (link), "HELLO U42 ");
    tide_link_destroy (&link);
}

/*  A broker cuts a peer that sends it more than it reads. */
static void a_relay_that_the_broker_would_not_read_is_dropped_here (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    size_t size = TIDE_MESSAGE_SIZE_READ (0u);
    tide_buffer_t payload = {0};
    memset (tide_buffer_reserve (&payload, size), 0, size);
    payload.size = size - TIDE_RELAY_OVERHEAD_MAX;
    tide_message_t relay = {.kind = TIDE_MESSAGE_RELAY,
                            .relay = {1, tide_bytes ("lane-2"), tide_buffer_bytes (&payload)}};
    assert_true (tide_link_send (link, &relay));
    assert_string_equal (actions (link), "RELAY ");
    relay.relay.payload.size = size;
    assert_false (tide_link_send (link, &relay));
    assert_string_equal (actions (link), "");
    assert_true (tide_link_counters (link).refused == 1);
    tide_buffer_free (&payload);
    tide_link_destroy (&link);
}

static void what_other_peers_say_is_handed_on_and_answers_nothing (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    /*  Their tokens are not the link's, even where they are the same numbers. */
    assert_true (publish (link, 0) == 1);
    actions (link);
    tide_message_t relayed = {.kind = TIDE_MESSAGE_RELAYED,
                              .relayed = {1, tide_bytes ("lane-2"), tide_bytes ("bytes")}};
    tide_message_t told = {.kind = TIDE_MESSAGE_TOLD, .told = {UINT64_MAX, 3}};
    receive (link, 1, &relayed);
    receive (link, 1, &told);
    tide_link_action_t action;
    assert_true (tide_link_next_action (link, &action));
    assert_int_equal (action.kind, TIDE_LINK_RELAYED);
    assert_int_equal (action.message->kind, TIDE_MESSAGE_RELAYED);
    assert_true (action.token == 1 && action.message->relayed.token == 1);
    assert_true (tide_bytes_is (action.message->relayed.from, "lane-2"));
    assert_true (tide_bytes_is (action.message->relayed.payload, "bytes"));
    assert_true (tide_link_next_action (link, &action));
    assert_int_equal (action.kind, TIDE_LINK_RELAYED);
    assert_int_equal (action.message->kind, TIDE_MESSAGE_TOLD);
    assert_true (action.token == UINT64_MAX && action.message->told.token == UINT64_MAX);
    assert_int_equal (action.message->told.count, 3);
    assert_false (tide_link_next_action (link, &action));
    assert_int_equal (tide_link_pending (link), 1);
    tide_link_counters_t counters = tide_link_counters (link);
    assert_true (counters.stray + counters.malformed + counters.answers == 0);
    tide_link_destroy (&link);
}

static void what_is_malformed_is_counted_and_ignored (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_link_receive (link, 0, tide_bytes ("rubbish"));
    tide_link_receive (link, 0, (tide_bytes_t){0});
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO}; /* nothing that a broker says */
    receive (link, 0, &hello);
    assert_string_equal (actions (link), "");
    assert_true (tide_link_counters (link).malformed == 3);
    assert_true (tide_link_is_up (link));
    tide_link_destroy (&link);
}

static void made_ids_differ_and_carry_the_origin (void **state)
{
    (void) state;
    char one[64], other[64];
    tide_link_t *link = tide_link_new (&config);
    tide_link_make_id (link, one);
    tide_link_make_id (link, other);
    assert_string_equal (one, "o1-1");
    assert_string_equal (other, "o1-2");
    tide_link_destroy (&link);
}

static void workers_are_lent_calls_and_what_they_say_is_said_until_it_is_answered (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_link_action_t action;
    tide_message_t lend = {.kind = TIDE_MESSAGE_LEND, .lend = {.call = 77, .attempt = 2}};
    receive (link, 0, &lend);
    assert_true (tide_link_next_action (link, &action));
    assert_int_equal (action.kind, TIDE_LINK_LENT);
    assert_true (action.token == 77);
    assert_int_equal (action.message->lend.attempt, 2);
    assert_string_equal (actions (link), "");
    tide_message_t said[] = {{.kind = TIDE_MESSAGE_SERVE},
                             {.kind = TIDE_MESSAGE_CALL},
                             {.kind = TIDE_MESSAGE_DONE, .done = {.call = 77, .attempt = 2}}};
    uint64_t token[3];
    for (int at = 0; at < 3; at++)
        token[at] = tide_link_request (link, 0, &said[at]);
    assert_string_equal (actions (link), "SERVE1 CALL2 DONE3 ");
    for (int at = 0; at < 3; at++)
        assert_true (token[at] == (uint64_t) at + 1);
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK, .ack = {.request = token[1]}};
    receive (link, 0, &ack);
    assert_string_equal (actions (link), "N2:ACK ");
    /*  The broker does not know it any more: it says hello, and both again. */
    tide_message_t unknown = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = TIDE_UNAUTHORIZED}};
    receive (link, 1000, &unknown);
    assert_string_equal (actions (link), "HELLO ");
    welcome (link, 1001);
    assert_string_equal (actions (link), "U42 SERVE1 DONE3 ");
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL,
                           .fail = {.request = token[2], .code = TIDE_NOT_FOUND}};
    receive (link, 1002, &fail);
    assert_string_equal (actions (link), "N3:FAIL ");
    tide_link_destroy (&link);
}

static void members_of_groups_are_told_as_workers_are (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_link_action_t action;
    tide_message_t said[] = {
        {.kind = TIDE_MESSAGE_GROUP_EVENT, .group_event = {.name = tide_bytes ("g"), .attempt = 2}},
        {.kind = TIDE_MESSAGE_GROUP_NOTE, .group_note = {.name = tide_bytes ("g"), .seq = 7}}};
    for (int at = 0; at < 2; at++) {
        receive (link, 0, &said[at]);
        assert_true (tide_link_next_action (link, &action));
        assert_int_equal (action.kind, TIDE_LINK_LENT);
        assert_int_equal (action.message->kind, said[at].kind);
    }
    tide_message_t asked[] = {{.kind = TIDE_MESSAGE_GROUP_JOIN},
                              {.kind = TIDE_MESSAGE_GROUP_LEAVE},
                              {.kind = TIDE_MESSAGE_GROUP_DONE}};
    for (uint64_t at = 0; at < 3; at++)
        assert_true (tide_link_request (link, 0, &asked[at]) == at + 1);
    assert_string_equal (actions (link), "GROUP_JOIN1 GROUP_LEAVE2 GROUP_DONE3 ");
    for (uint64_t at = 1; at < 3; at++) {
        tide_message_t ack = {.kind = TIDE_MESSAGE_ACK, .ack = {.request = at}};
        receive (link, 0, &ack);
    }
    assert_string_equal (actions (link), "N1:ACK N2:ACK ");
    /*  In another log its sequence is another event's. */
    tide_message_t unknown = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = TIDE_UNAUTHORIZED}};
    receive (link, 1000, &unknown);
    tide_message_t other = {.kind = TIDE_MESSAGE_WELCOME, .welcome = {.epoch = 8, .head = 42}};
    receive (link, 1001, &other);
    assert_string_equal (actions (link), "HELLO U42 N3:FAIL ");
    tide_message_t extend = {.kind = TIDE_MESSAGE_GROUP_EXTEND};
    assert_true (tide_link_send (link, &extend));
    tide_link_destroy (&link);
}

static void what_came_of_a_call_is_not_told_to_another_log (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_message_t done = {.kind = TIDE_MESSAGE_DONE, .done = {.call = 77, .attempt = 1}};
    tide_message_t call = {.kind = TIDE_MESSAGE_CALL};
    tide_link_request (link, 0, &done);
    tide_link_request (link, 0, &call);
    assert_string_equal (actions (link), "DONE1 CALL2 ");
    tide_message_t unknown = {.kind = TIDE_MESSAGE_FAIL, .fail = {.code = TIDE_UNAUTHORIZED}};
    receive (link, 1000, &unknown);
    assert_string_equal (actions (link), "HELLO ");
    tide_message_t other = {.kind = TIDE_MESSAGE_WELCOME, .welcome = {.epoch = 8, .head = 42}};
    receive (link, 1001, &other);
    assert_string_equal (actions (link), "U42 N1:FAIL CALL2 ");
    assert_int_equal (tide_link_pending (link), 1);
    tide_link_destroy (&link);
}

/*  A HELLO that was said once too often reached it before anything else did. */
static void g8_a_broker_of_another_log_that_knows_us_is_told_from_the_one_before (void **state)
{
    (void) state;
    tide_link_t *link = link_that_is_up ();
    tide_message_t done = {.kind = TIDE_MESSAGE_DONE, .done = {.call = 77, .attempt = 1}};
    tide_message_t call = {.kind = TIDE_MESSAGE_CALL};
    tide_link_request (link, 0, &done);
    tide_link_request (link, 0, &call);
    assert_string_equal (actions (link), "DONE1 CALL2 ");
    welcome (link, 1); /* the one before, once more: nothing is new */
    assert_string_equal (actions (link), "");
    tide_message_t other = {.kind = TIDE_MESSAGE_WELCOME, .welcome = {.epoch = 8, .head = 3}};
    receive (link, 2, &other);
    assert_string_equal (actions (link), "U3 N1:FAIL CALL2 ");
    assert_true (tide_link_is_up (link));
    tide_link_destroy (&link);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (members_of_groups_are_told_as_workers_are),
        cmocka_unit_test (what_came_of_a_call_is_not_told_to_another_log),
        cmocka_unit_test (g8_a_broker_of_another_log_that_knows_us_is_told_from_the_one_before),
        cmocka_unit_test (hello_is_repeated_later_and_later_until_the_welcome),
        cmocka_unit_test (requests_wait_for_the_welcome_and_go_out_in_order),
        cmocka_unit_test (an_answer_of_the_wrong_kind_is_stray),
        cmocka_unit_test (silence_is_noticed_and_everything_is_asked_again),
        cmocka_unit_test (a_broker_that_does_not_know_us_is_greeted_again_but_not_too_fast),
        cmocka_unit_test (a_refused_version_is_kept_and_tried_slowly),
        cmocka_unit_test (g4_what_is_not_answered_is_sent_again_and_again),
        cmocka_unit_test (g4_of_what_was_sent_twice_the_last_answer_counts),
        cmocka_unit_test (g9_a_volatile_publish_neither_waits_nor_is_repeated),
        cmocka_unit_test (what_the_broker_would_not_read_is_refused_here),
        cmocka_unit_test (a_broker_with_too_many_peers_says_so),
        cmocka_unit_test (what_was_cancelled_or_answered_before_it_went_out_does_not_go_out),
        cmocka_unit_test (a_snapshot_goes_on_under_its_first_number),
        cmocka_unit_test (requests_are_bounded),
        cmocka_unit_test (what_has_no_answer_is_dropped_while_the_broker_is_away),
        cmocka_unit_test (a_relay_that_the_broker_would_not_read_is_dropped_here),
        cmocka_unit_test (what_other_peers_say_is_handed_on_and_answers_nothing),
        cmocka_unit_test (what_is_malformed_is_counted_and_ignored),
        cmocka_unit_test (made_ids_differ_and_carry_the_origin),
        cmocka_unit_test (workers_are_lent_calls_and_what_they_say_is_said_until_it_is_answered),
    };
    return cmocka_run_group_tests_name ("tide_link", tests, NULL, NULL);
}
