/*  test_tide_engineio.c - Engine.IO over one WebSocket: handshake, packets, heartbeat.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_engineio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const tide_engineio_config_t config = {300, 200, 1000000};

static tide_engineio_request_t good_request (void)
{
    return (tide_engineio_request_t){.method = tide_bytes ("GET"),
                                     .transport = tide_bytes ("websocket"),
                                     .eio = tide_bytes ("4"),
                                     .is_websocket = true};
}

static void a_websocket_handshake_is_let_in (void **state)
{
    (void) state;
    tide_engineio_request_t request = good_request ();
    assert_int_equal (tide_engineio_check (&request), -1);
}

static void handshakes_are_refused_in_the_order_of_the_reference (void **state)
{
    (void) state;
    tide_engineio_request_t request = {0}; /* wrong in every way; put right one by one */
    request.sid = tide_bytes ("unknown");
    request.method = tide_bytes ("POST");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_TRANSPORT_UNKNOWN);
    request.transport = tide_bytes ("abc");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_TRANSPORT_UNKNOWN);
    request.transport = tide_bytes ("polling");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_TRANSPORT_UNKNOWN);
    request.transport = tide_bytes ("websocket");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_SESSION_UNKNOWN);
    request.sid = (tide_bytes_t){0};
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_BAD_METHOD);
    request.method = tide_bytes ("GET");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_BAD_REQUEST);
    request.is_websocket = true;
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_UNSUPPORTED_VERSION);
    request.eio = tide_bytes ("3");
    assert_int_equal (tide_engineio_check (&request), TIDE_ENGINEIO_UNSUPPORTED_VERSION);
    request.eio = tide_bytes ("4");
    assert_int_equal (tide_engineio_check (&request), -1);
}

static void refusals_have_the_codes_and_messages_of_engine_io (void **state)
{
    (void) state;
    static const char *const bodies[] = {
        "{\"code\":0,\"message\":\"Transport unknown\"}",
        "{\"code\":1,\"message\":\"Session ID unknown\"}",
        "{\"code\":2,\"message\":\"Bad handshake method\"}",
        "{\"code\":3,\"message\":\"Bad request\"}",
        "{\"code\":4,\"message\":\"Forbidden\"}",
        "{\"code\":5,\"message\":\"Unsupported protocol version\"}",
    };
    tide_buffer_t out = {0};
    for (int code = 0; code < 6; code++) {
        out.size = 0;
        tide_engineio_refusal (&out, code);
        assert_true (tide_bytes_is (tide_buffer_bytes (&out), bodies[code]));
    }
    tide_buffer_free (&out);
}

static tide_engineio_t opened (uint64_t now_ms)
{
    tide_engineio_t session;
    tide_buffer_t out = {0};
    tide_engineio_open (&session, &config, now_ms, tide_bytes ("abc"), &out);
    tide_buffer_free (&out);
    return session;
}

static void the_open_packet_has_exactly_the_five_members (void **state)
{
    (void) state;
    tide_engineio_t session;
    tide_buffer_t out = {0};
    tide_engineio_open (&session, &config, 1000, tide_bytes ("lv_VI97HAXpY6yYWAAAC"), &out);
    assert_true (tide_bytes_is (tide_buffer_bytes (&out),
                                "0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],"
                                "\"pingInterval\":300,\"pingTimeout\":200,"
                                "\"maxPayload\":1000000}"));
    tide_buffer_free (&out);
}

static void pings_are_sent_at_the_interval_and_answered_in_time (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    tide_bytes_t body;
    assert_int_equal (tide_engineio_deadline_ms (&session), 1300);
    assert_int_equal (tide_engineio_tick (&session, &config, 1299), TIDE_ENGINEIO_QUIET);
    assert_int_equal (tide_engineio_tick (&session, &config, 1300), TIDE_ENGINEIO_PING);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1500);
    assert_int_equal (tide_engineio_tick (&session, &config, 1300), TIDE_ENGINEIO_QUIET);
    assert_int_equal (
        tide_engineio_receive (&session, &config, 1400, tide_bytes ("3"), true, &body),
        TIDE_ENGINEIO_NOTHING);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1700);
    assert_int_equal (tide_engineio_tick (&session, &config, 1500), TIDE_ENGINEIO_QUIET);
    assert_int_equal (tide_engineio_tick (&session, &config, 1700), TIDE_ENGINEIO_PING);
}

static void a_client_without_a_pong_is_given_up_when_time_is_up (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    tide_bytes_t body;
    assert_int_equal (tide_engineio_tick (&session, &config, 1300), TIDE_ENGINEIO_PING);
    assert_int_equal (
        tide_engineio_receive (&session, &config, 1400, tide_bytes ("4hello"), true, &body),
        TIDE_ENGINEIO_MESSAGE); /* a message is no pong */
    assert_int_equal (tide_engineio_tick (&session, &config, 1499), TIDE_ENGINEIO_QUIET);
    assert_int_equal (tide_engineio_tick (&session, &config, 1500), TIDE_ENGINEIO_TIMEOUT);
}

static void a_late_tick_leaves_the_client_its_whole_time (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    assert_int_equal (tide_engineio_tick (&session, &config, 9000), TIDE_ENGINEIO_PING);
    assert_int_equal (tide_engineio_deadline_ms (&session), 9200);
}

static void an_unasked_pong_puts_off_the_next_ping (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    tide_bytes_t body;
    tide_engineio_receive (&session, &config, 1200, tide_bytes ("3"), true, &body);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1500);
}

static void before_it_is_open_a_session_asks_for_nothing (void **state)
{
    (void) state;
    tide_engineio_t session = {0};
    assert_true (tide_engineio_deadline_ms (&session) == UINT64_MAX);
    assert_int_equal (tide_engineio_tick (&session, &config, 1u << 30), TIDE_ENGINEIO_QUIET);
}

static void each_kind_of_frame_is_decided (void **state)
{
    (void) state;
    static const struct {
        const char *frame;
        bool is_text;
        tide_engineio_result_t result;
        const char *body;
    } cases[] = {
        {"4hello", true, TIDE_ENGINEIO_MESSAGE, "hello"},
        {"4", true, TIDE_ENGINEIO_MESSAGE, ""},
        {"42[\"4\"]", true, TIDE_ENGINEIO_MESSAGE, "2[\"4\"]"},
        {"\x01\x02", false, TIDE_ENGINEIO_MESSAGE, "\x01\x02"},
        {"4hello", false, TIDE_ENGINEIO_MESSAGE, "4hello"}, /* binary has no type digit */
        {"", false, TIDE_ENGINEIO_MESSAGE, ""},
        {"3", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"6", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"1", true, TIDE_ENGINEIO_CLOSE, NULL},
        {"", true, TIDE_ENGINEIO_ERROR, NULL},
        {"0", true, TIDE_ENGINEIO_ERROR, NULL},
        {"2", true, TIDE_ENGINEIO_ERROR, NULL}, /* the wrong direction since v4 */
        {"2probe", true, TIDE_ENGINEIO_ERROR, NULL},
        {"5", true, TIDE_ENGINEIO_ERROR, NULL},
        {"7", true, TIDE_ENGINEIO_ERROR, NULL},
        {"abc", true, TIDE_ENGINEIO_ERROR, NULL},
        {"bAQI=", true, TIDE_ENGINEIO_ERROR, NULL}, /* unless it was decoded before */
        {"\xff", true, TIDE_ENGINEIO_ERROR, NULL},
    };
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        tide_engineio_t session = opened (1000);
        tide_bytes_t body;
        tide_engineio_result_t result = tide_engineio_receive (
            &session, &config, 1100, tide_bytes (cases[at].frame), cases[at].is_text, &body);
        assert_int_equal (result, cases[at].result);
        if (cases[at].body)
            assert_true (tide_bytes_is (body, cases[at].body));
    }
}

static void base64_frames_are_binary_messages (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    assert_true (tide_engineio_base64 (tide_bytes ("bAQID"), &out));
    assert_int_equal (out.size, 3);
    assert_memory_equal (out.data, "\x01\x02\x03", 3);
    assert_true (tide_engineio_base64 (tide_bytes ("bAQ=="), &out));
    assert_int_equal (out.size, 1);
    assert_true (tide_engineio_base64 (tide_bytes ("b"), &out));
    assert_int_equal (out.size, 0);
    static const char *const malformed[] = {"",      "4AQID",  "bA",     "bAQ",   "bAQ=", "bAQI",
                                            "bA*ID", "bAQID=", "bAQ==x", "b-_-_", "b\n"};
    for (size_t at = 0; at < sizeof malformed / sizeof malformed[0]; at++)
        assert_false (tide_engineio_base64 (tide_bytes (malformed[at]), &out));
    tide_buffer_free (&out);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_websocket_handshake_is_let_in),
        cmocka_unit_test (handshakes_are_refused_in_the_order_of_the_reference),
        cmocka_unit_test (refusals_have_the_codes_and_messages_of_engine_io),
        cmocka_unit_test (the_open_packet_has_exactly_the_five_members),
        cmocka_unit_test (pings_are_sent_at_the_interval_and_answered_in_time),
        cmocka_unit_test (a_client_without_a_pong_is_given_up_when_time_is_up),
        cmocka_unit_test (a_late_tick_leaves_the_client_its_whole_time),
        cmocka_unit_test (an_unasked_pong_puts_off_the_next_ping),
        cmocka_unit_test (before_it_is_open_a_session_asks_for_nothing),
        cmocka_unit_test (each_kind_of_frame_is_decided),
        cmocka_unit_test (base64_frames_are_binary_messages),
    };
    return cmocka_run_group_tests_name ("tide_engineio", tests, NULL, NULL);
}
