/*  test_tide_engineio.c - Engine.IO: who may ask what, packets, payloads, heartbeat, the upgrade.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_engineio.h"
#include "tide_wsframe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const tide_engineio_config_t config = {300, 200, 1000000};

static tide_engineio_t opened_over (tide_engineio_transport_t transport, uint64_t now_ms)
{
    tide_engineio_t session;
    tide_buffer_t out = {0};
    tide_engineio_open (&session, &config, transport, now_ms, tide_bytes ("abc"), &out);
    tide_buffer_free (&out);
    return session;
}

static tide_engineio_t opened (uint64_t now_ms)
{
    return opened_over (TIDE_ENGINEIO_WEBSOCKET, now_ms);
}

/*  -- who may ask what ------------------------------------------------------------------------ */

static void a_handshake_is_let_in_over_both_transports (void **state)
{
    (void) state;
    tide_engineio_request_t request = {.method = tide_bytes ("GET"),
                                       .transport = tide_bytes ("websocket"),
                                       .eio = tide_bytes ("4"),
                                       .is_websocket = true};
    assert_int_equal (tide_engineio_check (&request, NULL), -1);
    request.transport = tide_bytes ("polling");
    request.is_websocket = false;
    assert_int_equal (tide_engineio_check (&request, NULL), -1);
}

/*  Wrong in every way at first; put right one by one, and each time the next is named. */
static void handshakes_are_refused_in_the_order_of_the_reference (void **state)
{
    (void) state;
    static const struct {
        const char *transport, *sid, *method;
        bool is_websocket;
        const char *eio;
        int code;
    } steps[] = {
        {"", "gone", "POST", false, "", TIDE_ENGINEIO_TRANSPORT_UNKNOWN},
        {"abc", "gone", "POST", false, "", TIDE_ENGINEIO_TRANSPORT_UNKNOWN},
        {"Polling", "gone", "POST", false, "", TIDE_ENGINEIO_TRANSPORT_UNKNOWN},
        {"polling", "gone", "POST", true, "", TIDE_ENGINEIO_BAD_REQUEST},
        {"polling", "gone", "POST", false, "", TIDE_ENGINEIO_SESSION_UNKNOWN},
        {"websocket", "gone", "POST", false, "", TIDE_ENGINEIO_SESSION_UNKNOWN},
        {"websocket", "gone", "GET", true, "", TIDE_ENGINEIO_SESSION_UNKNOWN},
        {"websocket", "", "POST", false, "", TIDE_ENGINEIO_BAD_METHOD},
        {"polling", "", "POST", false, "", TIDE_ENGINEIO_BAD_METHOD},
        {"polling", "", "PUT", false, "4", TIDE_ENGINEIO_BAD_METHOD},
        {"polling", "", "get", false, "4", TIDE_ENGINEIO_BAD_METHOD},
        {"websocket", "", "GET", false, "", TIDE_ENGINEIO_BAD_REQUEST},
        {"polling", "", "GET", true, "", TIDE_ENGINEIO_BAD_REQUEST},
        {"websocket", "", "GET", true, "", TIDE_ENGINEIO_UNSUPPORTED_VERSION},
        {"polling", "", "GET", false, "", TIDE_ENGINEIO_UNSUPPORTED_VERSION},
        {"polling", "", "GET", false, "3", TIDE_ENGINEIO_UNSUPPORTED_VERSION},
        {"polling", "", "GET", false, "44", TIDE_ENGINEIO_UNSUPPORTED_VERSION},
        {"polling", "", "GET", false, "4", -1},
        {"websocket", "", "GET", true, "4", -1},
    };
    for (size_t at = 0; at < sizeof steps / sizeof steps[0]; at++) {
        tide_engineio_request_t request = {.method = tide_bytes (steps[at].method),
                                           .transport = tide_bytes (steps[at].transport),
                                           .eio = tide_bytes (steps[at].eio),
                                           .sid = tide_bytes (steps[at].sid),
                                           .is_websocket = steps[at].is_websocket};
        int code = tide_engineio_check (&request, NULL);
        if (code != steps[at].code)
            fail_msg ("step %zu: %d", at, code);
    }
}

/*  With a session that is known, the version is not looked at any more. */
static void a_session_is_asked_by_its_own_transport_only (void **state)
{
    (void) state;
    enum { GOOD = -1, BAD = TIDE_ENGINEIO_BAD_REQUEST, NO = TIDE_ENGINEIO_TRANSPORT_UNKNOWN };
    static const struct {
        const char *transport, *method;
        bool is_websocket;
        int polling, websocket; /* the code, where the session is over that */
    } cases[] = {
        {"polling", "GET", false, GOOD, BAD},
        {"polling", "POST", false, GOOD, BAD},
        {"polling", "PUT", false, BAD, BAD},
        {"polling", "", false, BAD, BAD},
        {"polling", "GET", true, BAD, BAD},
        {"websocket", "GET", false, BAD, BAD},
        {"websocket", "POST", false, BAD, BAD},
        {"websocket", "PUT", false, BAD, BAD},
        {"websocket", "GET", true, GOOD, GOOD},
        {"", "GET", false, NO, NO},
        {"x", "GET", true, NO, NO},
    };
    tide_engineio_t polling = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    tide_engineio_t websocket = opened (1000);
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        tide_engineio_request_t request = {.method = tide_bytes (cases[at].method),
                                           .transport = tide_bytes (cases[at].transport),
                                           .sid = tide_bytes ("abc"),
                                           .is_websocket = cases[at].is_websocket};
        int code = tide_engineio_check (&request, &polling);
        if (code != cases[at].polling)
            fail_msg ("case %zu, polling: %d", at, code);
        code = tide_engineio_check (&request, &websocket);
        if (code != cases[at].websocket)
            fail_msg ("case %zu, websocket: %d", at, code);
    }
}

static void where_no_sid_is_given_no_session_is_looked_at (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    tide_engineio_request_t request = {
        .method = tide_bytes ("GET"), .transport = tide_bytes ("polling"), .eio = tide_bytes ("4")};
    assert_int_equal (tide_engineio_check (&request, &session), -1);
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
        tide_engineio_refusal (&out, code, false);
        assert_true (tide_bytes_is (tide_buffer_bytes (&out), bodies[code]));
    }
    out.size = 0;
    tide_engineio_refusal (&out, TIDE_ENGINEIO_BAD_METHOD, true);
    assert_true (tide_bytes_is (tide_buffer_bytes (&out), "Bad handshake method"));
    static const int beyond[] = {-1, 6, 400};
    for (size_t at = 0; at < sizeof beyond / sizeof beyond[0]; at++) {
        out.size = 0;
        tide_engineio_refusal (&out, beyond[at], false);
        assert_true (tide_bytes_is (tide_buffer_bytes (&out), bodies[3]));
    }
    tide_buffer_free (&out);
}

static void the_open_packet_has_exactly_the_five_members (void **state)
{
    (void) state;
    static const char *const upgrades[] = {
        [TIDE_ENGINEIO_POLLING] = "\"websocket\"", [TIDE_ENGINEIO_WEBSOCKET] = ""};
    for (int transport = TIDE_ENGINEIO_POLLING; transport <= TIDE_ENGINEIO_WEBSOCKET; transport++) {
        tide_engineio_t session;
        tide_buffer_t out = {0}, expected = {0};
        tide_engineio_open (&session, &config, (tide_engineio_transport_t) transport, 1000,
                            tide_bytes ("lv_VI97HAXpY6yYWAAAC"), &out);
        tide_buffer_printf (&expected,
                            "0{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[%s],"
                            "\"pingInterval\":300,\"pingTimeout\":200,\"maxPayload\":1000000}",
                            upgrades[transport]);
        assert_true (tide_bytes_equal (tide_buffer_bytes (&out), tide_buffer_bytes (&expected)));
        assert_int_equal (session.transport, transport);
        tide_buffer_free (&out);
        tide_buffer_free (&expected);
    }
}

/*  -- heartbeat ------------------------------------------------------------------------------- */

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

/*  A little late is our own jitter: the time counts from when the ping was due. */
static void a_punctual_tick_counts_from_when_the_ping_was_due (void **state)
{
    (void) state;
    static const struct {
        uint64_t late_ms, pong_by_ms;
    } cases[] = {{0, 1500}, {1, 1500}, {50, 1500}, {51, 1551}, {200, 1700}, {60000, 61500}};
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        tide_engineio_t session = opened (1000);
        uint64_t now_ms = 1300 + cases[at].late_ms, pong_by_ms = cases[at].pong_by_ms;
        assert_int_equal (tide_engineio_tick (&session, &config, now_ms), TIDE_ENGINEIO_PING);
        assert_int_equal (tide_engineio_deadline_ms (&session), pong_by_ms);
        assert_int_equal (tide_engineio_tick (&session, &config, pong_by_ms - 1),
                          TIDE_ENGINEIO_QUIET);
        assert_int_equal (tide_engineio_tick (&session, &config, pong_by_ms),
                          TIDE_ENGINEIO_TIMEOUT);
    }
}

static void an_unasked_pong_puts_off_the_next_ping (void **state)
{
    (void) state;
    tide_engineio_t session = opened (1000);
    tide_bytes_t body;
    tide_engineio_receive (&session, &config, 1200, tide_bytes ("3"), true, &body);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1500);
    assert_int_equal (tide_engineio_tick (&session, &config, 1300), TIDE_ENGINEIO_QUIET);
    assert_int_equal (tide_engineio_tick (&session, &config, 1500), TIDE_ENGINEIO_PING);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1700);
}

static void before_it_is_open_a_session_asks_for_nothing (void **state)
{
    (void) state;
    tide_engineio_t session = {0};
    assert_true (tide_engineio_deadline_ms (&session) == UINT64_MAX);
    assert_int_equal (tide_engineio_tick (&session, &config, 1u << 30), TIDE_ENGINEIO_QUIET);
}

/*  -- packets --------------------------------------------------------------------------------- */

static void each_kind_of_packet_is_decided (void **state)
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
        {"0", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"0{}", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"1x", true, TIDE_ENGINEIO_CLOSE, NULL},
        {"3probe", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"2", true, TIDE_ENGINEIO_ERROR, NULL}, /* the wrong direction since v4 */
        {"2probe", true, TIDE_ENGINEIO_ERROR, NULL},
        {"5", true, TIDE_ENGINEIO_NOTHING, NULL},
        {"7", true, TIDE_ENGINEIO_ERROR, NULL},
        {"abc", true, TIDE_ENGINEIO_ERROR, NULL},
        {"bAQI=", true, TIDE_ENGINEIO_ERROR, NULL}, /* unless it was decoded before */
        {"\xff", true, TIDE_ENGINEIO_ERROR, NULL},
    };
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++) {
        for (int transport = TIDE_ENGINEIO_POLLING; transport <= TIDE_ENGINEIO_WEBSOCKET;
             transport++) {
            tide_engineio_t session = opened_over ((tide_engineio_transport_t) transport, 1000);
            tide_bytes_t body;
            tide_engineio_result_t result = tide_engineio_receive (
                &session, &config, 1100, tide_bytes (cases[at].frame), cases[at].is_text, &body);
            assert_int_equal (result, cases[at].result);
            if (cases[at].body)
                assert_true (tide_bytes_is (body, cases[at].body));
            /*  Nothing but a pong is a sign of life. */
            bool is_pong = cases[at].is_text && cases[at].frame[0] == '3';
            assert_int_equal (tide_engineio_deadline_ms (&session), is_pong ? 1400 : 1300);
        }
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

/*  -- payloads -------------------------------------------------------------------------------- */

/*  Takes a payload apart; what it is made of comes back with `|` behind each packet. */
static void assert_packets (tide_bytes_t payload, const char *expected)
{
    tide_buffer_t seen = {0};
    tide_bytes_t packet;
    bool has_more = true;
    while (tide_engineio_payload_next (&payload, &has_more, &packet)) {
        tide_buffer_append_bytes (&seen, packet);
        tide_buffer_append_text (&seen, "|");
    }
    assert_true (tide_bytes_is (tide_buffer_bytes (&seen), expected));
    assert_int_equal (payload.size, 0);
    assert_false (tide_engineio_payload_next (&payload, &has_more, &packet));
    tide_buffer_free (&seen);
}

static void a_payload_has_one_packet_more_than_separators (void **state)
{
    (void) state;
    static const char *const cases[][2] = {
        {"", "|"},
        {"4", "4|"},
        {"4hello", "4hello|"},
        {"4a\x1e", "4a||"},
        {"\x1e", "||"},
        {"\x1e\x1e", "|||"},
        {"\x1e"
         "4a",
         "|4a|"},
        {"4a\x1e"
         "4b",
         "4a|4b|"},
        {"4a\x1e"
         "bAQ==\x1e"
         "3\x1e"
         "1",
         "4a|bAQ==|3|1|"},
        {"4a\x1e\x1e"
         "4b",
         "4a||4b|"},
    };
    for (size_t at = 0; at < sizeof cases / sizeof cases[0]; at++)
        assert_packets (tide_bytes (cases[at][0]), cases[at][1]);
    assert_packets ((tide_bytes_t){0}, "|");
}

static void many_packets_of_one_payload_come_one_by_one (void **state)
{
    (void) state;
    tide_buffer_t payload = {0}, packet = {0};
    for (int at = 0; at < 5000; at++) {
        packet.size = 0;
        tide_buffer_printf (&packet, "4%d", at);
        tide_engineio_payload_append (&payload, tide_buffer_bytes (&packet), true);
    }
    tide_bytes_t rest = tide_buffer_bytes (&payload), taken;
    bool has_more = true;
    int count = 0;
    for (; tide_engineio_payload_next (&rest, &has_more, &taken); count++) {
        packet.size = 0;
        tide_buffer_printf (&packet, "4%d", count);
        assert_true (tide_bytes_equal (taken, tide_buffer_bytes (&packet)));
    }
    assert_int_equal (count, 5000);
    tide_buffer_free (&payload);
    tide_buffer_free (&packet);
}

static void a_payload_joins_packets_and_makes_binary_ones_base64 (void **state)
{
    (void) state;
    tide_buffer_t payload = {0};
    tide_engineio_payload_append (&payload, tide_bytes ("2"), true);
    assert_true (tide_bytes_is (tide_buffer_bytes (&payload), "2"));
    tide_engineio_payload_append (&payload, tide_bytes ("\x01\x02\x03"), false);
    tide_engineio_payload_append (&payload, tide_bytes ("4caf\xc3\xa9"), true);
    tide_engineio_payload_append (&payload, tide_bytes (""), false);
    tide_engineio_payload_append (&payload, tide_bytes ("\xff"), false);
    assert_true (tide_bytes_is (tide_buffer_bytes (&payload), "2\x1e"
                                                              "bAQID\x1e"
                                                              "4caf\xc3\xa9\x1e"
                                                              "b\x1e"
                                                              "b/w=="));
    tide_buffer_free (&payload);
}

/*  What is made for a WebSocket and goes out by polling is what polling would have made. */
static void frames_become_the_payload_that_their_messages_would (void **state)
{
    (void) state;
    static const size_t sizes[] = {0, 1, 2, 3, 125, 126, 16383, 16384, 16385, 32768, 40000, 70000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    tide_buffer_t message = {0}, all = {0}, all_expected = {0};
    for (unsigned at = 0; at < SIZES * 2; at++) {
        bool is_text = at % 2 == 0;
        message.size = 0;
        if (is_text)
            tide_buffer_append_text (&message, "4");
        while (message.size < sizes[at / 2])
            tide_put_u8 (&message,
                         (uint8_t) (is_text ? 'a' + message.size % 26 : message.size * 7));
        tide_buffer_t frames = {0}, payload = {0}, expected = {0};
        uint8_t opcode = is_text ? TIDE_WSFRAME_TEXT : TIDE_WSFRAME_BINARY;
        tide_wsframe_append (&frames, opcode, tide_buffer_bytes (&message));
        tide_wsframe_append (&all, opcode, tide_buffer_bytes (&message));
        tide_engineio_payload_append (&expected, tide_buffer_bytes (&message), is_text);
        tide_engineio_payload_append (&all_expected, tide_buffer_bytes (&message), is_text);
        tide_engineio_payload_frames (&payload, tide_buffer_bytes (&frames));
        assert_true (
            tide_bytes_equal (tide_buffer_bytes (&payload), tide_buffer_bytes (&expected)));
        tide_buffer_free (&frames);
        tide_buffer_free (&payload);
        tide_buffer_free (&expected);
    }
    tide_buffer_t payload = {0};
    tide_engineio_payload_frames (&payload, tide_buffer_bytes (&all));
    assert_true (
        tide_bytes_equal (tide_buffer_bytes (&payload), tide_buffer_bytes (&all_expected)));
    /*  Behind what is there already, too; and nothing of nothing. */
    payload.size = 0;
    tide_engineio_payload_append (&payload, tide_bytes ("2"), true);
    tide_engineio_payload_frames (&payload, (tide_bytes_t){0});
    assert_true (tide_bytes_is (tide_buffer_bytes (&payload), "2"));
    tide_engineio_payload_frames (&payload, tide_buffer_bytes (&all));
    assert_int_equal (payload.size, all_expected.size + 2);
    assert_memory_equal (payload.data, "2\x1e", 2);
    tide_buffer_free (&payload);
    tide_buffer_free (&message);
    tide_buffer_free (&all);
    tide_buffer_free (&all_expected);
}

/*  -- polling --------------------------------------------------------------------------------- */

static void one_poll_and_one_post_are_held_at_a_time (void **state)
{
    (void) state;
    tide_engineio_t session = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    assert_int_equal (tide_engineio_take_poll (&session), 0);
    assert_int_equal (tide_engineio_take_post (&session), 0);
    assert_true (tide_engineio_poll (&session, 7));
    assert_true (tide_engineio_post (&session, 8)); /* beside it */
    assert_false (tide_engineio_poll (&session, 9));
    assert_false (tide_engineio_post (&session, 10));
    assert_int_equal (tide_engineio_take_poll (&session), 7);
    assert_int_equal (tide_engineio_take_poll (&session), 0);
    assert_true (tide_engineio_poll (&session, 11));
    assert_int_equal (tide_engineio_take_post (&session), 8);
    assert_true (tide_engineio_post (&session, 12));
    assert_int_equal (tide_engineio_take_poll (&session), 11);
}

static void a_request_that_is_broken_off_ends_a_session_that_polls (void **state)
{
    (void) state;
    tide_engineio_t session = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    assert_false (tide_engineio_abandon (&session, 5)); /* never there */
    tide_engineio_poll (&session, 5);
    tide_engineio_post (&session, 6);
    assert_false (tide_engineio_abandon (&session, 7));
    assert_true (tide_engineio_abandon (&session, 5));
    assert_int_equal (tide_engineio_take_poll (&session), 0);
    assert_true (tide_engineio_abandon (&session, 6));
    assert_int_equal (tide_engineio_take_post (&session), 0);
    assert_false (tide_engineio_abandon (&session, 6)); /* it is over once */

    session = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    tide_engineio_poll (&session, 5);
    tide_engineio_probe (&session);
    tide_engineio_probe_frame (&session, tide_bytes ("5"), true);
    assert_false (tide_engineio_abandon (&session, 5)); /* it does not poll any more */
}

static void polls_are_not_held_once_a_probe_was_answered (void **state)
{
    (void) state;
    tide_engineio_t session = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    assert_false (tide_engineio_wants_noop (&session));
    tide_engineio_probe (&session);
    assert_false (tide_engineio_wants_noop (&session));
    tide_engineio_probe_frame (&session, tide_bytes ("2probe"), true);
    assert_true (tide_engineio_wants_noop (&session));
    tide_engineio_unprobe (&session);
    assert_false (tide_engineio_wants_noop (&session));
    tide_engineio_probe (&session);
    tide_engineio_probe_frame (&session, tide_bytes ("5"), true);
    assert_true (tide_engineio_wants_noop (&session));
}

/*  -- the upgrade ----------------------------------------------------------------------------- */

/*  Where a session that may be upgraded stands. */
typedef enum { PLAIN, OPENED, PROBED, TAKEN } place_t;

static tide_engineio_t session_at (place_t place)
{
    tide_engineio_t session = opened_over (TIDE_ENGINEIO_POLLING, 1000);
    if (place >= OPENED)
        tide_engineio_probe (&session);
    if (place >= PROBED)
        tide_engineio_probe_frame (&session, tide_bytes ("2probe"), true);
    if (place == TAKEN)
        tide_engineio_probe_frame (&session, tide_bytes ("5"), true);
    return session;
}

static place_t place_of (const tide_engineio_t *session)
{
    if (session->transport == TIDE_ENGINEIO_WEBSOCKET) {
        assert_int_equal (session->probing, TIDE_ENGINEIO_UNPROBED);
        return TAKEN;
    }
    return session->probing == TIDE_ENGINEIO_UNPROBED ? PLAIN
           : session->probing == TIDE_ENGINEIO_OPENED ? OPENED
                                                      : PROBED;
}

static void only_a_session_that_polls_can_be_asked_and_by_one_at_a_time (void **state)
{
    (void) state;
    static const struct {
        place_t from;
        bool may;
        place_t to, after_unprobe;
    } table[] = {
        {PLAIN, true, OPENED, PLAIN},
        {OPENED, false, OPENED, PLAIN},
        {PROBED, false, PROBED, PLAIN},
        {TAKEN, false, TAKEN, TAKEN},
    };
    for (size_t at = 0; at < sizeof table / sizeof table[0]; at++) {
        tide_engineio_t session = session_at (table[at].from);
        assert_int_equal (place_of (&session), table[at].from);
        assert_int_equal (tide_engineio_probe (&session), table[at].may);
        assert_int_equal (place_of (&session), table[at].to);
        session = session_at (table[at].from);
        tide_engineio_unprobe (&session);
        assert_int_equal (place_of (&session), table[at].after_unprobe);
    }
    tide_engineio_t session = opened (1000);
    assert_false (tide_engineio_probe (&session)); /* it was over WebSocket from the beginning */
}

#define A TIDE_ENGINEIO_PROBE_ANSWER
#define T TIDE_ENGINEIO_PROBE_TAKES
#define F TIDE_ENGINEIO_PROBE_FAILS

/*  Every message that the WebSocket which asks can send, in every state in which there is one. */
static void each_probe_message_is_decided_in_each_state (void **state)
{
    (void) state;
    static const struct {
        const char *frame;
        bool is_text;
        tide_engineio_probe_result_t opened, probed;
    } table[] = {
        {"2probe", true, A, A}, {"5", true, T, T},       {"5x", true, T, T},
        {"2", true, F, F},      {"2Probe", true, F, F},  {"2probe ", true, F, F},
        {"2prob", true, F, F},  {"3probe", true, F, F},  {"", true, F, F},
        {"0", true, F, F},      {"1", true, F, F},       {"3", true, F, F},
        {"4", true, F, F},      {"4hello", true, F, F},  {"6", true, F, F},
        {"7", true, F, F},      {"bNQ==", true, F, F},   {"5", false, F, F},
        {"", false, F, F},      {"2probe", false, F, F}, {"\xff", false, F, F},
    };
    for (size_t at = 0; at < sizeof table / sizeof table[0]; at++)
        for (place_t from = OPENED; from <= PROBED; from++) {
            tide_engineio_t session = session_at (from);
            tide_engineio_probe_result_t result = tide_engineio_probe_frame (
                &session, tide_bytes (table[at].frame), table[at].is_text);
            if (result != (from == OPENED ? table[at].opened : table[at].probed))
                fail_msg ("%s from %d: %d", table[at].frame, (int) from, (int) result);
            place_t to = place_of (&session);
            assert_int_equal (to, result == A ? PROBED : result == T ? TAKEN : PLAIN);
            /*  A failed probe leaves room for the next one; the heartbeat goes on as it was. */
            assert_int_equal (tide_engineio_probe (&session), to == PLAIN);
            assert_int_equal (tide_engineio_deadline_ms (&session), 1300);
        }
}

static void the_heartbeat_goes_on_over_an_upgrade (void **state)
{
    (void) state;
    tide_engineio_t session = session_at (PROBED);
    tide_bytes_t body;
    assert_int_equal (tide_engineio_tick (&session, &config, 1300), TIDE_ENGINEIO_PING);
    tide_engineio_probe_frame (&session, tide_bytes ("5"), true);
    assert_int_equal (tide_engineio_deadline_ms (&session), 1500);
    assert_int_equal (
        tide_engineio_receive (&session, &config, 1400, tide_bytes ("3"), true, &body),
        TIDE_ENGINEIO_NOTHING);
    assert_int_equal (tide_engineio_tick (&session, &config, 1500), TIDE_ENGINEIO_QUIET);
    assert_int_equal (tide_engineio_tick (&session, &config, 1700), TIDE_ENGINEIO_PING);
    assert_int_equal (tide_engineio_tick (&session, &config, 1900), TIDE_ENGINEIO_TIMEOUT);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_handshake_is_let_in_over_both_transports),
        cmocka_unit_test (handshakes_are_refused_in_the_order_of_the_reference),
        cmocka_unit_test (a_session_is_asked_by_its_own_transport_only),
        cmocka_unit_test (where_no_sid_is_given_no_session_is_looked_at),
        cmocka_unit_test (refusals_have_the_codes_and_messages_of_engine_io),
        cmocka_unit_test (the_open_packet_has_exactly_the_five_members),
        cmocka_unit_test (pings_are_sent_at_the_interval_and_answered_in_time),
        cmocka_unit_test (a_client_without_a_pong_is_given_up_when_time_is_up),
        cmocka_unit_test (a_late_tick_leaves_the_client_its_whole_time),
        cmocka_unit_test (a_punctual_tick_counts_from_when_the_ping_was_due),
        cmocka_unit_test (an_unasked_pong_puts_off_the_next_ping),
        cmocka_unit_test (before_it_is_open_a_session_asks_for_nothing),
        cmocka_unit_test (each_kind_of_packet_is_decided),
        cmocka_unit_test (base64_frames_are_binary_messages),
        cmocka_unit_test (a_payload_has_one_packet_more_than_separators),
        cmocka_unit_test (many_packets_of_one_payload_come_one_by_one),
        cmocka_unit_test (a_payload_joins_packets_and_makes_binary_ones_base64),
        cmocka_unit_test (frames_become_the_payload_that_their_messages_would),
        cmocka_unit_test (one_poll_and_one_post_are_held_at_a_time),
        cmocka_unit_test (a_request_that_is_broken_off_ends_a_session_that_polls),
        cmocka_unit_test (polls_are_not_held_once_a_probe_was_answered),
        cmocka_unit_test (only_a_session_that_polls_can_be_asked_and_by_one_at_a_time),
        cmocka_unit_test (each_probe_message_is_decided_in_each_state),
        cmocka_unit_test (the_heartbeat_goes_on_over_an_upgrade),
    };
    return cmocka_run_group_tests_name ("tide_engineio", tests, NULL, NULL);
}
