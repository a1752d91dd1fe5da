/*  test_tide_request.c - heads of HTTP requests: what is read of them, and what is refused.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static tide_request_t request;
static size_t size;
static const char *why;

static tide_request_outcome_t parse (const char *text)
{
    size = 0;
    return tide_request_parse (tide_bytes (text), &request, &size, &why);
}

#define assert_span(bytes, text) assert_true (tide_bytes_is (bytes, text))

static void a_request_is_read (void **state)
{
    (void) state;
    const char *text = "GET /api/v1/history?topic=a%2Fb&limit=5 HTTP/1.1\r\n"
                       "Host: tide.example\r\nOrigin:http://tide.example \r\nX: \r\n\r\n";
    assert_int_equal (parse (text), TIDE_REQUEST_WHOLE);
    assert_int_equal (size, strlen (text));
    assert_span (request.method, "GET");
    assert_span (request.path, "/api/v1/history");
    assert_span (request.query, "topic=a%2Fb&limit=5");
    assert_span (request.host, "tide.example");
    assert_span (request.origin, "http://tide.example");
    assert_true (request.is_kept);
    assert_false (request.is_http10 || request.has_length || request.has_coding
                  || request.has_upgrade || request.is_websocket || request.has_expect);
}

static void what_follows_the_head_is_left (void **state)
{
    (void) state;
    assert_int_equal (parse ("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: "
                             "100-Continue\r\n\r\nhiGET"),
                      TIDE_REQUEST_WHOLE);
    assert_int_equal (size, strlen ("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                                    "Expect: 100-Continue\r\n\r\n"));
    assert_true (request.has_length && request.has_expect);
    assert_int_equal (request.length, 2);
    assert_int_equal (request.query.size, 0);
}

static void every_beginning_of_a_request_waits_for_the_rest (void **state)
{
    (void) state;
    const char *text = "\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (size_t at = 0; at < strlen (text); at++)
        assert_int_equal (
            tide_request_parse ((tide_bytes_t){(const uint8_t *) text, at}, &request, &size, &why),
            TIDE_REQUEST_PARTIAL);
    assert_int_equal (parse (text), TIDE_REQUEST_WHOLE);
    assert_int_equal (size, strlen (text));
}

static bool is_kept (const char *version, const char *headers)
{
    char text[200] = "GET / ";
    strcat (strcat (strcat (strcat (text, version), "\r\nHost: a\r\n"), headers), "\r\n");
    assert_int_equal (parse (text), TIDE_REQUEST_WHOLE);
    return request.is_kept;
}

static void the_version_and_the_connection_headers_say_how_it_goes_on (void **state)
{
    (void) state;
    assert_true (is_kept ("HTTP/1.1", ""));
    assert_true (is_kept ("HTTP/1.1", "Connection: keep-alive, Upgrade\r\n"));
    assert_false (is_kept ("HTTP/1.1", "Connection: Close\r\n"));
    assert_false (is_kept ("HTTP/1.1", "Connection: keep-alive\r\nConnection: TE, close\r\n"));
    assert_false (is_kept ("HTTP/1.0", ""));
    assert_true (is_kept ("HTTP/1.0", "Connection: Keep-Alive\r\n"));
    assert_int_equal (parse ("GET / HTTP/1.0\r\n\r\n"), TIDE_REQUEST_WHOLE);
    assert_true (request.is_http10);
}

static void a_handshake_names_websocket_in_both_headers (void **state)
{
    (void) state;
    assert_int_equal (parse ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
                             "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: k\r\nSec-WebSocket-Protocol: a, b\r\n\r\n"),
                      TIDE_REQUEST_WHOLE);
    assert_true (request.has_upgrade && request.is_websocket);
    assert_span (request.websocket_key, "k");
    assert_span (request.websocket_version, "13");
    assert_true (tide_request_lists (request.websocket_protocol, "B"));
    assert_false (tide_request_lists (request.websocket_protocol, "a,"));
    assert_false (tide_request_lists (request.websocket_protocol, ""));

    parse ("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n");
    assert_false (request.has_upgrade || request.is_websocket);
    parse ("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_true (request.has_upgrade);
    assert_false (request.is_websocket);
}

static void knows (const char *if_none_match, bool expected)
{
    assert_int_equal (tide_request_knows (tide_bytes (if_none_match), "\"a1\""), expected);
}

static void an_entity_tag_is_known_also_as_a_weak_one (void **state)
{
    (void) state;
    knows ("\"a1\"", true);
    knows ("W/\"a1\"", true);
    knows ("\"b2\" , W/\"c3\",W/\"a1\" ", true);
    knows ("\"a1\", \"b2\"", true);
    knows ("*", true);
    knows ("", false);
    knows (",", false);
    knows ("W/", false);
    knows ("a1", false);
    knows ("\"A1\"", false);
    knows ("w/\"a1\"", false);
    knows ("\"b2\", \"c3\"", false);
}

static void a_target_may_name_the_server (void **state)
{
    (void) state;
    assert_int_equal (parse ("GET http://tide.example/a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
                      TIDE_REQUEST_WHOLE);
    assert_span (request.path, "/a");
    assert_span (request.query, "b");
    assert_int_equal (parse ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), TIDE_REQUEST_WHOLE);
    assert_span (request.path, "*");
}

static void what_could_be_taken_in_two_ways_is_refused (void **state)
{
    (void) state;
    static const char *const heads[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / / HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02",
    };
    for (size_t at = 0; at < sizeof heads / sizeof heads[0]; at++) {
        if (parse (heads[at]) != TIDE_REQUEST_MALFORMED)
            fail_msg ("taken: %s", heads[at]);
        assert_non_null (why);
    }
    const char nul[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    assert_int_equal (tide_request_parse ((tide_bytes_t){(const uint8_t *) nul, sizeof nul - 1},
                                          &request, &size, &why),
                      TIDE_REQUEST_MALFORMED);
}

static void a_transfer_coding_is_seen (void **state)
{
    (void) state;
    assert_int_equal (parse ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
                      TIDE_REQUEST_WHOLE);
    assert_true (request.has_coding);
}

static void a_head_has_limits (void **state)
{
    (void) state;
    tide_buffer_t text = {0};
    tide_buffer_append_text (&text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (text.size < TIDE_REQUEST_HEAD_MAX - 1)
        tide_buffer_append_text (&text, "x");
    assert_int_equal (tide_request_parse (tide_buffer_bytes (&text), &request, &size, &why),
                      TIDE_REQUEST_PARTIAL);
    tide_buffer_append_text (&text, "x");
    assert_int_equal (tide_request_parse (tide_buffer_bytes (&text), &request, &size, &why),
                      TIDE_REQUEST_TOO_LARGE);
    tide_buffer_append_text (&text, "\r\n\r\n");
    assert_int_equal (tide_request_parse (tide_buffer_bytes (&text), &request, &size, &why),
                      TIDE_REQUEST_TOO_LARGE);

    text.size = 0;
    tide_buffer_append_text (&text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (unsigned at = 1; at < TIDE_REQUEST_HEADERS_MAX; at++)
        tide_buffer_append_text (&text, "X: y\r\n");
    size_t before = text.size;
    tide_buffer_append_text (&text, "\r\n");
    assert_int_equal (tide_request_parse (tide_buffer_bytes (&text), &request, &size, &why),
                      TIDE_REQUEST_WHOLE);
    text.size = before;
    tide_buffer_append_text (&text, "X: y\r\n\r\n");
    assert_int_equal (tide_request_parse (tide_buffer_bytes (&text), &request, &size, &why),
                      TIDE_REQUEST_TOO_LARGE);
    tide_buffer_free (&text);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_request_is_read),
        cmocka_unit_test (what_follows_the_head_is_left),
        cmocka_unit_test (every_beginning_of_a_request_waits_for_the_rest),
        cmocka_unit_test (the_version_and_the_connection_headers_say_how_it_goes_on),
        cmocka_unit_test (a_handshake_names_websocket_in_both_headers),
        cmocka_unit_test (an_entity_tag_is_known_also_as_a_weak_one),
        cmocka_unit_test (a_target_may_name_the_server),
        cmocka_unit_test (what_could_be_taken_in_two_ways_is_refused),
        cmocka_unit_test (a_transfer_coding_is_seen),
        cmocka_unit_test (a_head_has_limits),
    };
    return cmocka_run_group_tests_name ("tide_request", tests, NULL, NULL);
}
