/*  test_tide_socketio.c - Socket.IO packets: what is one, what closes the connection, encoding.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dialect_json.h"
#include "tide_socketio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof (list) / sizeof (list)[0])

enum { PAYLOAD_MAX = 1000 };

static int set_up (void **state)
{
    *state = tide_socketio_decoder_new (PAYLOAD_MAX);
    return 0;
}

static int tear_down (void **state)
{
    tide_socketio_decoder_t *decoder = *state;
    tide_socketio_decoder_destroy (&decoder);
    assert_null (decoder);
    tide_socketio_decoder_destroy (&decoder);
    return 0;
}

static tide_socketio_result_t decode (void **state, const char *text,
                                      tide_socketio_packet_t *packet)
{
    const char *why = NULL;
    tide_socketio_result_t result =
        tide_socketio_decode (*state, tide_bytes (text), true, packet, &why);
    if (result == TIDE_SOCKETIO_INVALID)
        assert_true (why && strlen (why) > 0);
    return result;
}

static tide_socketio_result_t decode_binary (void **state, const char *data, size_t size,
                                             tide_socketio_packet_t *packet)
{
    const char *why = NULL;
    return tide_socketio_decode (*state, (tide_bytes_t){(const uint8_t *) data, size}, false,
                                 packet, &why);
}

static void assert_data (const tide_socketio_packet_t *packet, const char *expected)
{
    if (!expected) {
        assert_null (packet->data);
        return;
    }
    assert_non_null (packet->data);
    tide_buffer_t out = {0};
    tide_json_value (&out, packet->data);
    tide_put_u8 (&out, 0);
    assert_string_equal ((const char *) out.data, expected);
    tide_buffer_free (&out);
}

/*  -- decoding -------------------------------------------------------------------------------- */

static void packets_of_each_kind_are_read (void **state)
{
    static const struct {
        const char *text;
        tide_socketio_type_t type;
        const char *nsp;
        bool has_ack;
        uint64_t ack;
        const char *data;
    } cases[] = {
        {"0", TIDE_SOCKETIO_CONNECT, "/", false, 0, NULL},
        {"0{\"token\":\"abc\"}", TIDE_SOCKETIO_CONNECT, "/", false, 0, "{\"token\":\"abc\"}"},
        {"0/admin,", TIDE_SOCKETIO_CONNECT, "/admin", false, 0, NULL},
        {"0/admin", TIDE_SOCKETIO_CONNECT, "/admin", false, 0, NULL},
        {"0/admin,{}", TIDE_SOCKETIO_CONNECT, "/admin", false, 0, "{}"},
        {"0/a/b?c=d,{\"a\":1}", TIDE_SOCKETIO_CONNECT, "/a/b?c=d", false, 0, "{\"a\":1}"},
        {"0/,", TIDE_SOCKETIO_CONNECT, "/", false, 0, NULL},
        {"1", TIDE_SOCKETIO_DISCONNECT, "/", false, 0, NULL},
        {"1/admin,", TIDE_SOCKETIO_DISCONNECT, "/admin", false, 0, NULL},
        {"2[\"foo\"]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[\"foo\"]"},
        {"2[\"\"]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[\"\"]"},
        {"2/admin,[\"bar\"]", TIDE_SOCKETIO_EVENT, "/admin", false, 0, "[\"bar\"]"},
        {"212[\"foo\"]", TIDE_SOCKETIO_EVENT, "/", true, 12, "[\"foo\"]"},
        {"20[\"foo\"]", TIDE_SOCKETIO_EVENT, "/", true, 0, "[\"foo\"]"},
        {"2/admin,7[\"foo\",{\"a\":[]}]", TIDE_SOCKETIO_EVENT, "/admin", true, 7,
         "[\"foo\",{\"a\":[]}]"},
        {"218446744073709551615[\"foo\"]", TIDE_SOCKETIO_EVENT, "/", true, UINT64_MAX, "[\"foo\"]"},
        {"2[1,\"x\"]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[1,\"x\"]"},
        {"2[1.5]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[1.5]"},
        {"2[\"connected\"]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[\"connected\"]"},
        {"2 [ \"a\" , null ]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[\"a\",null]"},
        {"313[]", TIDE_SOCKETIO_ACK, "/", true, 13, "[]"},
        {"3/admin,13[\"connect\",null]", TIDE_SOCKETIO_ACK, "/admin", true, 13,
         "[\"connect\",null]"},
        {"50-[\"foo\"]", TIDE_SOCKETIO_EVENT, "/", false, 0, "[\"foo\"]"},
        {"60-1[]", TIDE_SOCKETIO_ACK, "/", true, 1, "[]"},
    };
    for (size_t at = 0; at < COUNT (cases); at++) {
        tide_socketio_packet_t packet;
        assert_int_equal (decode (state, cases[at].text, &packet), TIDE_SOCKETIO_PACKET);
        assert_int_equal (packet.type, cases[at].type);
        assert_true (tide_bytes_is (packet.nsp, cases[at].nsp));
        assert_int_equal (packet.has_ack, cases[at].has_ack);
        assert_true (packet.ack == cases[at].ack);
        assert_int_equal (packet.attachments, 0);
        assert_data (&packet, cases[at].data);
    }
}

static void packets_that_a_client_may_not_send_are_invalid (void **state)
{
    static const char *const cases[] = {
        /* no packet at all */
        "",
        "7",
        "8[\"a\"]",
        "a",
        "[\"a\"]",
        "-1",
        " 2[\"a\"]",
        "\xff",
        /* CONNECT: nothing or an object */
        "0[]",
        "0\"token\"",
        "0null",
        "0true",
        "0/admin,[]",
        "0{",
        "0{}x",
        "0/admin,{\"a\":}",
        "0/\xff,",
        /* DISCONNECT: nothing */
        "1{}",
        "1[]",
        "1null",
        "1/admin,{}",
        "1/admin,\"bye\"",
        /* CONNECT_ERROR is the server's */
        "4",
        "4{\"message\":\"no\"}",
        "4/admin,{\"message\":\"no\"}",
        /* EVENT: an array that begins with a name */
        "2",
        "2{}",
        "2[]",
        "2\"a\"",
        "2null",
        "2[null]",
        "2[true]",
        "2[{}]",
        "2[[\"a\"]]",
        "2[\"a\"",
        "2[\"a\"]]",
        "2[\"a\",]",
        "2abc",
        "2/admin",
        "2/admin,",
        "2/admin,[]",
        "212",
        "2 ",
        "2[\"connect\"]",
        "2[\"connect_error\"]",
        "2[\"disconnect\"]",
        "2[\"disconnecting\"]",
        "2[\"newListener\"]",
        "2[\"removeListener\",1]",
        "2/admin,1[\"connect\"]",
        "218446744073709551616[\"foo\"]",
        "2999999999999999999999[\"foo\"]",
        "2-1[\"foo\"]",
        /* ACK: an id and an array */
        "3[]",
        "3",
        "31",
        "31{}",
        "31null",
        "31\"a\"",
        "3/admin,[]",
        "31[",
        /* binary ones: a number of attachments that is not above ten */
        "5[\"a\"]",
        "5-[\"a\"]",
        "51[\"a\"]",
        "5",
        "51",
        "511-[\"a\"]",
        "5-1-[\"a\"]",
        "51.5-[\"a\"]",
        "599999999999999999999-[\"a\"]",
        "5a-[\"a\"]",
        "51-[]",
        "51-",
        "51-{}",
        "51-[\"disconnect\"]",
        "6-1[]",
        "61-[]",
        "61-1{}",
        "611-1[]",
        /* placeholders that name no attachment */
        "50-[\"a\",{\"_placeholder\":true,\"num\":0}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":1}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":-1}]",
        "51-[\"a\",{\"_placeholder\":true}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":0.5}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":null}]",
        "51-[\"a\",{\"_placeholder\":true,\"num\":9223372036854775807}]",
        "51-[\"a\",[{\"b\":[{\"_placeholder\":true,\"num\":1}]}]]",
        "51-[{\"_placeholder\":true,\"num\":0}]",
        "61-1[{\"_placeholder\":true,\"num\":1}]",
        /* text that is no JSON to us */
        "2[\"\xff\"]",
        "2[\"\\ud800\"]",
        "2[\"a\",1e400]",
        "2['a']",
        "2[\"a\",NaN]",
        "2[\"a\",undefined]",
    };
    for (size_t at = 0; at < COUNT (cases); at++) {
        tide_socketio_packet_t packet;
        if (decode (state, cases[at], &packet) != TIDE_SOCKETIO_INVALID)
            fail_msg ("taken: %s", cases[at]);
        assert_null (packet.data);
    }
}

static void attachments_complete_a_binary_event_in_order (void **state)
{
    tide_socketio_packet_t packet;
    const char *text = "52-/admin,456[\"up\",{\"_placeholder\":true,\"num\":1},"
                       "{\"b\":[{\"_placeholder\":true,\"num\":0,\"x\":1}]}]";
    assert_int_equal (decode (state, text, &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, "\x01\x02", 2, &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, "\x00\xff\x03", 3, &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (packet.type, TIDE_SOCKETIO_EVENT);
    assert_true (tide_bytes_is (packet.nsp, "/admin"));
    assert_true (packet.has_ack && packet.ack == 456);
    assert_data (&packet, text + strlen ("52-/admin,456"));
    assert_int_equal (packet.attachments, 2);
    assert_int_equal (packet.attachment[0].size, 2);
    assert_memory_equal (packet.attachment[0].data, "\x01\x02", 2);
    assert_int_equal (packet.attachment[1].size, 3);
    assert_memory_equal (packet.attachment[1].data, "\x00\xff\x03", 3);

    /* and the next packet is a packet by itself */
    assert_int_equal (decode (state, "2[\"a\"]", &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (packet.attachments, 0);
}

static void a_binary_ack_is_reported_as_an_ack (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "61-9[{\"_placeholder\":true,\"num\":0}]", &packet),
                      TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, NULL, 0, &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (packet.type, TIDE_SOCKETIO_ACK);
    assert_int_equal (packet.ack, 9);
    assert_int_equal (packet.attachments, 1);
    assert_int_equal (packet.attachment[0].size, 0);
}

static void ten_attachments_are_taken_used_or_not (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "510-[\"a\"]", &packet), TIDE_SOCKETIO_MORE);
    for (unsigned at = 0; at < 9; at++)
        assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, "y", 1, &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (packet.attachments, 10);
    assert_memory_equal (packet.attachment[9].data, "y", 1);
}

static void a_placeholder_may_be_repeated (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state,
                              "51-[\"a\",{\"_placeholder\":true,\"num\":0},"
                              "{\"_placeholder\":true,\"num\":0.0}]",
                              &packet),
                      TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_PACKET);
}

static void in_a_text_packet_a_placeholder_is_data (void **state)
{
    tide_socketio_packet_t packet;
    const char *text = "2[\"a\",{\"_placeholder\":true,\"num\":7}]";
    assert_int_equal (decode (state, text, &packet), TIDE_SOCKETIO_PACKET);
    assert_data (&packet, text + 1);
    /* and so is one that is not `true` in a binary one */
    text = "51-[\"a\",{\"_placeholder\":1,\"num\":7}]";
    assert_int_equal (decode (state, text, &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_PACKET);
    assert_data (&packet, text + 3);
}

static void text_while_attachments_are_pending_is_invalid (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "51-[\"a\"]", &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode (state, "2[\"b\"]", &packet), TIDE_SOCKETIO_INVALID);
}

static void binary_while_none_is_pending_is_invalid (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_INVALID);
    assert_int_equal (decode (state, "2[\"b\"]", &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_INVALID);
    assert_int_equal (decode (state, "50-[\"b\"]", &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_INVALID);
}

static void attachments_together_obey_the_payload_limit (void **state)
{
    static const char zeros[PAYLOAD_MAX + 1];
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "51-[\"a\"]", &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, zeros, PAYLOAD_MAX, &packet), TIDE_SOCKETIO_PACKET);
    assert_int_equal (decode (state, "52-[\"a\"]", &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, zeros, PAYLOAD_MAX - 1, &packet), TIDE_SOCKETIO_MORE);
    assert_int_equal (decode_binary (state, zeros, 2, &packet), TIDE_SOCKETIO_INVALID);
}

static void a_released_decoder_goes_on (void **state)
{
    tide_socketio_packet_t packet;
    tide_socketio_decoder_release (*state);
    assert_int_equal (decode (state, "2[\"a\"]", &packet), TIDE_SOCKETIO_PACKET);
    tide_socketio_decoder_release (*state);
    assert_int_equal (decode (state, "51-[\"a\"]", &packet), TIDE_SOCKETIO_MORE);
    tide_socketio_decoder_release (*state); /* what is pending stays so */
    assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_PACKET);
    tide_socketio_decoder_release (*state);
    assert_int_equal (decode (state, "2[\"b\"]", &packet), TIDE_SOCKETIO_PACKET);
}

static void numbers_are_those_of_javascript (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "2[\"a\",100000000000000000000,5]", &packet),
                      TIDE_SOCKETIO_PACKET);
    assert_data (&packet, "[\"a\",1e+20,5.0]");
    assert_int_equal (decode (state, "2[\"a\",9223372036854775807,0.1]", &packet),
                      TIDE_SOCKETIO_PACKET);
    assert_data (&packet, "[\"a\",9223372036854775807,0.1]");
}

static void strings_are_any_unicode (void **state)
{
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, "2[\"a\",\"\\ud83d\\ude00\\u0000\xe2\x80\xa8\"]", &packet),
                      TIDE_SOCKETIO_PACKET);
    assert_data (&packet, "[\"a\",\"\xf0\x9f\x98\x80\\u0000\xe2\x80\xa8\"]");
}

static void nesting_beyond_the_limit_is_invalid_and_harmless (void **state)
{
    for (size_t depth = 2000; depth <= 100000; depth *= 50) {
        tide_buffer_t text = {0};
        tide_buffer_append_text (&text, "51-[\"a\",");
        for (size_t at = 0; at < depth; at++)
            tide_put_u8 (&text, '[');
        for (size_t at = 0; at <= depth; at++)
            tide_put_u8 (&text, ']');
        tide_put_u8 (&text, 0);
        tide_socketio_packet_t packet;
        assert_int_equal (decode (state, (const char *) text.data, &packet),
                          depth < 2048 ? TIDE_SOCKETIO_MORE : TIDE_SOCKETIO_INVALID);
        if (depth < 2048)
            assert_int_equal (decode_binary (state, "x", 1, &packet), TIDE_SOCKETIO_PACKET);
        tide_buffer_free (&text);
    }
}

/*  -- encoding -------------------------------------------------------------------------------- */

static void assert_out (tide_buffer_t *out, const char *expected)
{
    tide_put_u8 (out, 0);
    assert_string_equal ((const char *) out->data, expected);
    out->size = 0;
}

static void connections_are_answered_as_in_the_protocol (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_socketio_connect (&out, tide_bytes ("/"), "abc", NULL);
    assert_out (&out, "40{\"sid\":\"abc\"}");
    tide_socketio_connect (&out, tide_bytes ("/admin"), "abc", "def");
    assert_out (&out, "40/admin,{\"sid\":\"abc\",\"pid\":\"def\"}");
    tide_socketio_connect_error (&out, tide_bytes ("/random"), "Invalid namespace", NULL);
    assert_out (&out, "44/random,{\"message\":\"Invalid namespace\"}");
    tide_socketio_connect_error (&out, tide_bytes ("/"), "say \"please\"", "{\"code\":1}");
    assert_out (&out, "44{\"message\":\"say \\\"please\\\"\",\"data\":{\"code\":1}}");
    tide_socketio_disconnect (&out, tide_bytes ("/"));
    assert_out (&out, "41");
    tide_socketio_disconnect (&out, tide_bytes ("/admin"));
    assert_out (&out, "41/admin,");
    tide_buffer_free (&out);
}

static void events_are_framed_with_their_arguments_and_what_trails (void **state)
{
    (void) state;
    static const struct {
        bool many;
        const char *json;
        unsigned attachments;
        const char *nsp;
        unsigned trailing;
        const char *expected;
    } cases[] = {
        {false, "{\"a\":1}", 0, "/", 0, "42[\"msg\",{\"a\":1}]"},
        {false, "[1,2]", 0, "/", 0, "42[\"msg\",[1,2]]"},
        {true, "[1,2]", 0, "/", 0, "42[\"msg\",1,2]"},
        {true, "[]", 0, "/", 0, "42[\"msg\"]"},
        {true, "[]", 0, "/chat", 1, "42/chat,[\"msg\",{\"seq\":1}]"},
        {true, " [ ] ", 0, "/", 2, "42[\"msg\",{\"seq\":1},\"e:1\"]"},
        {true, "[1,2]", 0, "/", 2, "42[\"msg\",1,2,{\"seq\":1},\"e:1\"]"},
        {true, " [ 1 , 2 ]\n", 0, "/", 0, "42[\"msg\",1 , 2]"},
        {true, "{}", 0, "/", 0, "42[\"msg\"]"}, /* from a foreign publisher: no array */
        {true, "[", 0, "/", 0, "42[\"msg\"]"},
        {false, "{\"_placeholder\":true,\"num\":0}", 1, "/", 0,
         "451-[\"msg\",{\"_placeholder\":true,\"num\":0}]"},
        {true, "[1,{\"_placeholder\":true,\"num\":0}]", 10, "/chat", 2,
         "4510-/chat,[\"msg\",1,{\"_placeholder\":true,\"num\":0},{\"seq\":1},\"e:1\"]"},
    };
    const tide_bytes_t trailing[] = {tide_bytes ("{\"seq\":1}"), tide_bytes ("\"e:1\"")};
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        tide_args_t args = {.many = cases[at].many, .json = tide_bytes (cases[at].json)};
        args.attachments = cases[at].attachments;
        tide_socketio_event (&out, tide_bytes (cases[at].nsp), tide_bytes ("msg"), &args, trailing,
                             cases[at].trailing);
        assert_out (&out, cases[at].expected);
    }
    tide_buffer_free (&out);
}

static void names_of_events_are_escaped (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_args_t args = {.json = tide_bytes ("null")};
    tide_socketio_event (&out, tide_bytes ("/"), tide_bytes ("a\"\\\n\x01 \xc3\xa9"), &args, NULL,
                         0);
    assert_out (&out, "42[\"a\\\"\\\\\\n\\u0001 \xc3\xa9\",null]");
    tide_buffer_free (&out);
}

static void acknowledgements_carry_the_id (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_socketio_ack (&out, tide_bytes ("/"), 0, tide_bytes (""), 0);
    assert_out (&out, "430[]");
    tide_socketio_ack (&out, tide_bytes ("/admin"), UINT64_MAX, tide_bytes ("{\"ok\":true},2"), 0);
    assert_out (&out, "43/admin,18446744073709551615[{\"ok\":true},2]");
    tide_socketio_ack (&out, tide_bytes ("/"), 13, tide_bytes ("{\"_placeholder\":true,\"num\":0}"),
                       1);
    assert_out (&out, "461-13[{\"_placeholder\":true,\"num\":0}]");
    tide_buffer_free (&out);
}

static void what_is_encoded_is_decoded_as_it_was (void **state)
{
    tide_buffer_t out = {0};
    tide_args_t args = {.many = true, .json = tide_bytes ("[1,{\"a\":\"b\"}]")};
    tide_socketio_event (&out, tide_bytes ("/chat"), tide_bytes ("msg"), &args, NULL, 0);
    tide_put_u8 (&out, 0);
    tide_socketio_packet_t packet;
    assert_int_equal (decode (state, (const char *) out.data + 1, &packet), TIDE_SOCKETIO_PACKET);
    assert_true (tide_bytes_is (packet.nsp, "/chat"));
    assert_data (&packet, "[\"msg\",1,{\"a\":\"b\"}]");
    tide_buffer_free (&out);
}

int main (void)
{
#define WITH_DECODER(test) cmocka_unit_test_setup_teardown (test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_DECODER (packets_of_each_kind_are_read),
        WITH_DECODER (packets_that_a_client_may_not_send_are_invalid),
        WITH_DECODER (attachments_complete_a_binary_event_in_order),
        WITH_DECODER (a_binary_ack_is_reported_as_an_ack),
        WITH_DECODER (ten_attachments_are_taken_used_or_not),
        WITH_DECODER (a_placeholder_may_be_repeated),
        WITH_DECODER (in_a_text_packet_a_placeholder_is_data),
        WITH_DECODER (text_while_attachments_are_pending_is_invalid),
        WITH_DECODER (binary_while_none_is_pending_is_invalid),
        WITH_DECODER (attachments_together_obey_the_payload_limit),
        WITH_DECODER (a_released_decoder_goes_on),
        WITH_DECODER (numbers_are_those_of_javascript),
        WITH_DECODER (strings_are_any_unicode),
        WITH_DECODER (nesting_beyond_the_limit_is_invalid_and_harmless),
        cmocka_unit_test (connections_are_answered_as_in_the_protocol),
        cmocka_unit_test (events_are_framed_with_their_arguments_and_what_trails),
        cmocka_unit_test (names_of_events_are_escaped),
        cmocka_unit_test (acknowledgements_carry_the_id),
        WITH_DECODER (what_is_encoded_is_decoded_as_it_was),
    };
    return cmocka_run_group_tests_name ("tide_socketio", tests, NULL, NULL);
}
