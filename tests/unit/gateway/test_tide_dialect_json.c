/*  test_tide_dialect_json.c - JSON text, payloads, events and positions.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_json_rig.h"

/*  -- JSON text ------------------------------------------------------------------------------- */

static void values_keep_their_meaning_when_they_are_written_again (void **state)
{
    (void) state;
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"null", "null"},
        {" true ", "true"},
        {"false", "false"},
        {"\"\"", "\"\""},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"{\"b\": [1, {\"a\": null}], \"a\": \"x\"}", "{\"b\":[1,{\"a\":null}],\"a\":\"x\"}"},
        {"{\"a\":1,\"b\":2,\"a\":3}",
         "{\"a\":3,\"b\":2}"}, /* the last counts, in the first's place */
        {"{\"\":0}", "{\"\":0}"},
        {"0", "0"},
        {"-1", "-1"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"1.0", "1.0"},
        {"-0.0", "-0.0"},
        {"0.1", "0.1"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"5e-324", "4.94065645841247e-324"},
        {"123456.789", "123456.789"},
        {"\"\\u00e9\\/\\u2028\"", "\"\xc3\xa9/\xe2\x80\xa8\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"a\\u0000b\"", "\"a\\u0000b\""},
        {"\"\\b\\f\\n\\r\\t\\\"\\\\\\u001f\\u007f\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\\u001f\x7f\""},
    };
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        json_t *value = parse (cases[at].text);
        tide_json_value (&out, value);
        json_decref (value);
        assert_out (&out, cases[at].written);
    }
    tide_buffer_free (&out);
}

static void reals_come_back_as_the_same_double (void **state)
{
    (void) state;
    uint64_t seed = 1;
    tide_buffer_t out = {0};
    for (unsigned round = 0; round < 20000; round++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = seed ^ seed >> 29;
        double number;
        memcpy (&number, &bits, sizeof number);
        json_t *value = json_real (number);
        if (!value)
            continue; /* not a number, or infinite */
        tide_json_value (&out, value);
        const char *why;
        json_t *back = tide_json_parse (tide_buffer_bytes (&out), &why);
        assert_true (json_is_real (back) && json_real_value (back) == number);
        json_decref (back);
        json_decref (value);
        out.size = 0;
    }
    tide_buffer_free (&out);
}

static void text_that_is_no_json_is_refused_with_its_place (void **state)
{
    (void) state;
    static const char *const cases[] = {"",
                                        " ",
                                        "{",
                                        "[1,]",
                                        "{\"a\":1,}",
                                        "{a:1}",
                                        "'a'",
                                        "nul",
                                        "NaN",
                                        "Infinity",
                                        "01",
                                        "1.",
                                        ".5",
                                        "+1",
                                        "0x10",
                                        "[1] [2]",
                                        "\"\xff\"",
                                        "\"\xc0\x80\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\"",
                                        "\"\\ud800x\"",
                                        "\"\\ud800\\u0041\"",
                                        "\"\n\"",
                                        "\"\\x\"",
                                        "\"abc",
                                        "\xef\xbb\xbf{}",
                                        "{\"a\\u0000\":1}",
                                        "18446744073709551616",
                                        "-9223372036854775809",
                                        "1e400",
                                        "-1e400",
                                        "[1,1e400]",
                                        "\xff"};
    for (size_t at = 0; at < COUNT (cases); at++) {
        const char *why = NULL;
        if (tide_json_parse (tide_bytes (cases[at]), &why))
            fail_msg ("taken: %s", cases[at]);
        assert_non_null (why);
        if (strlen (cases[at]) > 0)
            assert_non_null (strstr (why, " at line "));
    }
    const char *why = NULL;
    assert_null (tide_json_parse ((tide_bytes_t){0}, &why));
    assert_null (tide_json_parse ((tide_bytes_t){(const uint8_t *) "[1]\0", 4}, &why));
    assert_null (tide_json_parse (tide_bytes ("{\n\"token\": secret}"), &why));
    assert_null (strstr (why, "secret"));
    assert_non_null (strstr (why, "line 2"));
    assert_null (tide_json_parse (tide_bytes ("18446744073709551616"), &why));
    assert_non_null (strstr (why, "too big integer"));
}

static void nesting_beyond_the_limit_is_refused (void **state)
{
    (void) state;
    static const size_t depths[] = {2047, 2048, 1000000}; /* and one for the number within */
    for (size_t at = 0; at < COUNT (depths); at++) {
        tide_buffer_t text = {0};
        for (size_t level = 0; level < depths[at]; level++)
            tide_buffer_append_text (&text, level % 2 ? "{\"a\":" : "[");
        tide_buffer_append_text (&text, "1");
        for (size_t level = depths[at]; level-- > 0;)
            tide_put_u8 (&text, level % 2 ? '}' : ']');
        const char *why = NULL;
        json_t *value = tide_json_parse (tide_buffer_bytes (&text), &why);
        assert_int_equal (value != NULL, depths[at] < 2048);
        if (value) {
            tide_buffer_t out = {0};
            tide_json_value (&out, value);
            assert_true (tide_bytes_equal (tide_buffer_bytes (&out), tide_buffer_bytes (&text)));
            tide_buffer_free (&out);
        }
        else
            assert_non_null (strstr (why, "depth"));
        json_decref (value);
        tide_buffer_free (&text);
    }
}

static void strings_are_quoted_and_escaped (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_json_string (&out, (tide_bytes_t){0});
    assert_out (&out, "\"\"");
    tide_json_string (&out, tide_bytes ("\"a\"\\b/\xc3\xa9\xe2\x80\xa8\x7f"));
    assert_out (&out, "\"\\\"a\\\"\\\\b/\xc3\xa9\xe2\x80\xa8\x7f\"");
    for (uint8_t byte = 0; byte < 0x20; byte++) {
        tide_json_string (&out, (tide_bytes_t){&byte, 1});
        const char *why;
        json_t *back = tide_json_parse (tide_buffer_bytes (&out), &why);
        assert_int_equal (json_string_length (back), 1);
        assert_int_equal ((uint8_t) json_string_value (back)[0], byte);
        json_decref (back);
        out.size = 0;
    }
    tide_buffer_free (&out);
}

/*  -- payloads -------------------------------------------------------------------------------- */

static tide_status_t make (const char *text, bool many, tide_buffer_t *out)
{
    const char *why = NULL;
    json_t *value = parse (text);
    tide_status_t status = tide_json_payload (out, value, many, PAYLOAD_MAX, &why);
    json_decref (value);
    assert_int_equal (why != NULL, status != TIDE_OK);
    return status;
}

static void assert_payload (tide_buffer_t *payload, bool many, const char *json,
                            unsigned attachments, tide_args_t *args)
{
    assert_int_equal (tide_args_decode (tide_buffer_bytes (payload), args), TIDE_OK);
    assert_int_equal (args->many, many);
    assert_int_equal (args->attachments, attachments);
    if (!tide_bytes_is (args->json, json))
        fail_msg ("%.*s", TIDE_PRINT (args->json));
}

static void data_and_args_become_payloads (void **state)
{
    (void) state;
    tide_args_t args;
    tide_buffer_t out = {0};
    assert_int_equal (make ("{ \"a\" : 1 }", false, &out), TIDE_OK);
    assert_payload (&out, false, "{\"a\":1}", 0, &args);
    out.size = 0;
    assert_int_equal (make ("[1,2]", false, &out), TIDE_OK);
    assert_payload (&out, false, "[1,2]", 0, &args);
    out.size = 0;
    assert_int_equal (make ("[1,2]", true, &out), TIDE_OK);
    assert_payload (&out, true, "[1,2]", 0, &args);
    out.size = 0;
    assert_int_equal (make ("[]", true, &out), TIDE_OK);
    assert_payload (&out, true, "[]", 0, &args);
    out.size = 0;
    assert_int_equal (make ("[{\"a\":1}]", true, &out), TIDE_OK); /* one argument is `data` */
    assert_payload (&out, false, "{\"a\":1}", 0, &args);
    out.size = 0;
    assert_int_equal (make ("{}", true, &out), TIDE_BAD_REQUEST);
    assert_int_equal (make ("null", true, &out), TIDE_BAD_REQUEST);
    assert_int_equal (out.size, 0);
    tide_buffer_free (&out);
}

static void binary_values_become_attachments_wherever_they_are (void **state)
{
    (void) state;
    tide_args_t args;
    tide_buffer_t out = {0};
    assert_int_equal (make ("{\"$binary\":\"AQID\"}", false, &out), TIDE_OK);
    assert_payload (&out, false, "{\"_placeholder\":true,\"num\":0}", 1, &args);
    assert_memory_equal (args.attachment[0].data, "\x01\x02\x03", 3);
    out.size = 0;
    assert_int_equal (make ("[{\"a\":[{\"$binary\":\"\"},{\"$binary\":\"/+8=\"}]},"
                            "{\"b\":{\"c\":{\"$binary\":\"AA==\"}}}]",
                            true, &out),
                      TIDE_OK);
    assert_payload (
        &out, true,
        "[{\"a\":[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]},"
        "{\"b\":{\"c\":{\"_placeholder\":true,\"num\":2}}}]",
        3, &args);
    assert_int_equal (args.attachment[0].size, 0);
    assert_int_equal (args.attachment[1].size, 2);
    assert_memory_equal (args.attachment[1].data, "\xff\xef", 2);
    assert_int_equal (args.attachment[2].size, 1);
    assert_memory_equal (args.attachment[2].data, "\0", 1);
    tide_buffer_free (&out);
}

static void only_a_lone_string_member_is_a_binary_value (void **state)
{
    (void) state;
    static const char *const cases[] = {"{\"$binary\":\"AQID\",\"a\":1}", "{\"$binary\":5}",
                                        "{\"$binary\":{\"a\":\"AQID\"}}", "{\"$Binary\":\"AQID\"}",
                                        "\"$binary\""};
    tide_args_t args;
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        assert_int_equal (make (cases[at], false, &out), TIDE_OK);
        assert_payload (&out, false, cases[at], 0, &args);
        out.size = 0;
    }
    tide_buffer_free (&out);
}

static void malformed_base64_is_refused (void **state)
{
    (void) state;
    static const char *const cases[] = {
        "A",     "AQ",      "AQI",  "AQ=",      "AQI==", "AQID=",      "AQID====",        "AR==",
        "A QID", "AQID\\n", "-_-_", "AQ==AQ==", "====",  "AQI\\u0000", "\xc3\xa9\xc3\xa9"};
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        tide_buffer_t text = {0};
        tide_buffer_printf (&text, "{\"a\":{\"$binary\":\"%s\"}}", cases[at]);
        tide_put_u8 (&text, 0);
        if (make ((const char *) text.data, false, &out) != TIDE_BAD_REQUEST)
            fail_msg ("taken: %s", cases[at]);
        assert_int_equal (out.size, 0);
        tide_buffer_free (&text);
    }
    tide_buffer_free (&out);
}

static void spoofed_placeholders_are_data_unless_there_is_real_binary (void **state)
{
    (void) state;
    tide_args_t args;
    tide_buffer_t out = {0};
    const char *text = "{\"_placeholder\":true,\"num\":0}";
    assert_int_equal (make (text, false, &out), TIDE_OK);
    assert_payload (&out, false, text, 0, &args);
    tide_buffer_t json = {0};
    tide_json_data (&json, tide_buffer_bytes (&out));
    assert_out (&json, "\"data\":{\"_placeholder\":true,\"num\":0}");
    out.size = 0;
    assert_int_equal (
        make ("[{\"_placeholder\":true,\"num\":0},{\"$binary\":\"AQID\"}]", false, &out),
        TIDE_BAD_REQUEST);
    assert_int_equal (
        make ("[{\"$binary\":\"AQID\"},[{\"x\":{\"_placeholder\":true}}]]", false, &out),
        TIDE_BAD_REQUEST);
    assert_int_equal (make ("[{\"$binary\":\"AQID\"},{\"_placeholder\":1}]", false, &out), TIDE_OK);
    tide_buffer_free (&out);
    tide_buffer_free (&json);
}

static void eleven_binary_values_are_too_many (void **state)
{
    (void) state;
    for (unsigned count = 10; count <= 11; count++) {
        tide_buffer_t text = {0}, out = {0};
        tide_put_u8 (&text, '[');
        for (unsigned at = 0; at < count; at++)
            tide_buffer_printf (&text, "%s{\"$binary\":\"AQID\"}", at > 0 ? "," : "");
        tide_buffer_append (&text, "]", 2);
        assert_int_equal (make ((const char *) text.data, true, &out),
                          count == 10 ? TIDE_OK : TIDE_TOO_MANY);
        assert_int_equal (out.size > 0, count == 10);
        tide_buffer_free (&text);
        tide_buffer_free (&out);
    }
}

static void a_payload_above_the_limit_is_too_large (void **state)
{
    (void) state;
    char text[PAYLOAD_MAX + 16];
    tide_buffer_t out = {0};
    tide_buffer_append_text (&out, "before");
    for (size_t size = PAYLOAD_MAX; size <= PAYLOAD_MAX + 1; size++) {
        memset (text, 'x', sizeof text); /* two bytes of the payload's own, then the string */
        text[0] = text[size - 3] = '"';
        text[size - 2] = '\0';
        bool fits = size == PAYLOAD_MAX;
        assert_int_equal (make (text, false, &out), fits ? TIDE_OK : TIDE_TOO_LARGE);
        assert_int_equal (out.size, fits ? 6 + size : 6);
        out.size = 6;
    }
    tide_buffer_free (&out);
}

static void a_payload_nested_too_deep_is_too_large (void **state)
{
    (void) state;
    for (size_t depth = TIDE_JSON_DEPTH_MAX; depth <= TIDE_JSON_DEPTH_MAX + 1; depth++) {
        tide_buffer_t text = {0}, out = {0};
        for (size_t level = 0; level < depth; level++)
            tide_buffer_append_text (&text, level % 2 ? "{\"a\":" : "[");
        tide_buffer_append_text (&text, "1");
        for (size_t level = depth; level-- > 0;)
            tide_put_u8 (&text, level % 2 ? '}' : ']');
        const char *why;
        json_t *value = tide_json_parse (tide_buffer_bytes (&text), &why);
        assert_int_equal (tide_json_payload (&out, value, false, 1000000, &why),
                          depth <= TIDE_JSON_DEPTH_MAX ? TIDE_OK : TIDE_TOO_LARGE);
        json_decref (value);
        tide_buffer_free (&text);
        tide_buffer_free (&out);
    }
}

static tide_status_t make_attached (const char *text, bool many, unsigned attachments,
                                    tide_buffer_t *out)
{
    const tide_bytes_t attachment[] = {tide_bytes ("zero"), tide_bytes ("one"), tide_bytes ("two")};
    const char *why = NULL;
    json_t *value = parse (text);
    tide_status_t status =
        tide_json_payload_attached (out, value, many, attachment, attachments, PAYLOAD_MAX, &why);
    json_decref (value);
    assert_int_equal (why != NULL, status != TIDE_OK);
    return status;
}

static void attachments_in_use_are_kept_and_renumbered (void **state)
{
    (void) state;
    tide_args_t args;
    tide_buffer_t out = {0};
    assert_int_equal (make_attached ("[{\"_placeholder\":true,\"num\":2},{\"a\":{\"_placeholder\":"
                                     "true,\"num\":0,\"x\":1}}]",
                                     true, 3, &out),
                      TIDE_OK);
    assert_payload (&out, true,
                    "[{\"_placeholder\":true,\"num\":0},{\"a\":{\"_placeholder\":true,\"num\":1}}]",
                    2, &args);
    assert_true (tide_bytes_is (args.attachment[0], "two"));
    assert_true (tide_bytes_is (args.attachment[1], "zero"));
    out.size = 0;
    assert_int_equal (make_attached ("{\"a\":1}", false, 3, &out), TIDE_OK);
    assert_payload (&out, false, "{\"a\":1}", 0, &args);
    tide_buffer_free (&out);
}

static void an_attachment_used_twice_is_kept_twice_within_the_limits (void **state)
{
    (void) state;
    tide_args_t args;
    tide_buffer_t text = {0}, out = {0};
    tide_put_u8 (&text, '[');
    for (unsigned at = 0; at < 10; at++)
        tide_buffer_printf (&text, "%s{\"_placeholder\":true,\"num\":1}", at > 0 ? "," : "");
    tide_buffer_append (&text, "]", 2);
    assert_int_equal (make_attached ((const char *) text.data, true, 3, &out), TIDE_OK);
    assert_int_equal (tide_args_decode (tide_buffer_bytes (&out), &args), TIDE_OK);
    assert_int_equal (args.attachments, 10);
    assert_true (tide_bytes_is (args.attachment[9], "one"));
    out.size = 0;
    text.size -= 2;
    const char *more = ",{\"_placeholder\":true,\"num\":1}]";
    tide_buffer_append (&text, more, strlen (more) + 1);
    assert_int_equal (make_attached ((const char *) text.data, true, 3, &out), TIDE_TOO_MANY);
    assert_int_equal (out.size, 0);
    tide_buffer_free (&text);
    tide_buffer_free (&out);
}

static void placeholders_must_name_an_attachment (void **state)
{
    (void) state;
    static const char *const cases[] = {
        "{\"_placeholder\":true,\"num\":3}", "{\"_placeholder\":true,\"num\":-1}",
        "{\"_placeholder\":true}", "{\"_placeholder\":true,\"num\":\"0\"}",
        "[[{\"_placeholder\":true,\"num\":0.5}]]"};
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++)
        assert_int_equal (make_attached (cases[at], false, 3, &out), TIDE_BAD_REQUEST);
    tide_args_t args; /* without attachments they are data, and so is $binary */
    const char *text = "[{\"_placeholder\":true,\"num\":3},{\"$binary\":\"*\"}]";
    assert_int_equal (make_attached (text, false, 0, &out), TIDE_OK);
    assert_payload (&out, false, text, 0, &args);
    tide_buffer_free (&out);
}

/*  -- payloads and events as JSON -------------------------------------------------------------- */

static tide_buffer_t encoded (bool many, const char *json, unsigned attachments)
{
    tide_args_t args = {.many = many, .json = tide_bytes (json), .attachments = attachments};
    for (unsigned at = 0; at < attachments; at++)
        args.attachment[at] = (tide_bytes_t){(const uint8_t *) "\x00\x01\x02\x03", at + 1};
    tide_buffer_t payload = {0};
    tide_args_encode (&payload, &args);
    return payload;
}

static void payloads_are_written_as_data_or_args (void **state)
{
    (void) state;
    static const struct {
        bool many;
        const char *json;
        unsigned attachments;
        const char *expected;
    } cases[] = {
        {false, "{\"a\":1.50}", 0, "\"data\":{\"a\":1.50}"}, /* as it is, not parsed */
        {true, "[1,2]", 0, "\"args\":[1,2]"},
        {true, "[]", 0, "\"args\":[]"},
        {false, "[{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]", 2,
         "\"data\":[{\"$binary\":\"AAE=\"},{\"$binary\":\"AA==\"}]"},
        {true, "[5,{\"_placeholder\":true,\"num\":2}]", 3, "\"args\":[5,{\"$binary\":\"AAEC\"}]"},
        {false, "{\"unused\":1}", 1, "\"data\":{\"unused\":1}"},
        /* malformed, from a foreign publisher */
        {true, "{}", 1, "\"data\":null"},
        {false, "{\"_placeholder\":true,\"num\":1}", 1, "\"data\":null"},
        {false, "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":0}]", 1,
         "\"data\":null"},
        {false, "{", 1, "\"data\":null"},
    };
    tide_buffer_t out = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        tide_buffer_t payload = encoded (cases[at].many, cases[at].json, cases[at].attachments);
        tide_json_data (&out, tide_buffer_bytes (&payload));
        tide_buffer_free (&payload);
        assert_out (&out, cases[at].expected);
    }
    tide_json_data (&out, (tide_bytes_t){0});
    assert_out (&out, "\"data\":null,\"removed\":true");
    static const char *const malformed[] = {"\x01", "\x03\x00{}", "\x01\x0b{}", "\x01\x01{}"};
    for (size_t at = 0; at < COUNT (malformed); at++) {
        size_t size = at == 0 ? 1 : 4;
        tide_json_data (&out, (tide_bytes_t){(const uint8_t *) malformed[at], size});
        assert_out (&out, "\"data\":null");
    }
    tide_buffer_free (&out);
}

static void an_event_is_the_object_of_the_contract (void **state)
{
    (void) state;
    tide_buffer_t payload = encoded (false, "{\"a\":1}", 0), out = {0};
    tide_event_t event = {.seq = 42,
                          .time_ms = 1700000000000,
                          .topic = tide_bytes ("lobby"),
                          .name = tide_bytes ("msg"),
                          .payload = tide_buffer_bytes (&payload)};
    tide_json_event (&out, &event, NULL);
    assert_out (&out, "{\"topic\":\"lobby\",\"seq\":42,\"event\":\"msg\",\"data\":{\"a\":1},"
                      "\"time\":1700000000000}");
    event.key = tide_bytes ("k\"");
    event.from = tide_bytes ("sid");
    event.seq = UINT64_MAX;
    event.payload = (tide_bytes_t){0};
    tide_json_event (&out, &event, "event");
    assert_out (&out, "{\"op\":\"event\",\"topic\":\"lobby\",\"seq\":18446744073709551615,"
                      "\"event\":\"msg\",\"data\":null,\"removed\":true,\"key\":\"k\\\"\","
                      "\"time\":1700000000000,\"from\":\"sid\"}");
    tide_buffer_free (&payload);
    tide_buffer_free (&out);
}

static void errors_have_code_and_message (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    tide_json_error (&out, TIDE_BAD_TOPIC, "no \"#\"");
    assert_out (&out, "{\"error\":{\"code\":\"bad_topic\",\"message\":\"no \\\"#\\\"\"}}");
    tide_json_error (&out, TIDE_NOT_FOUND, NULL);
    assert_out (&out,
                "{\"error\":{\"code\":\"not_found\",\"message\":\"there is no such thing\"}}");
    tide_buffer_free (&out);
}

/*  -- positions ------------------------------------------------------------------------------- */

static void epochs_are_sixteen_hex_digits (void **state)
{
    (void) state;
    tide_buffer_t out = {0};
    uint64_t epoch;
    tide_json_epoch (&out, 0x0123456789abcdefu);
    assert_out (&out, "\"0123456789abcdef\"");
    tide_json_epoch (&out, 1);
    assert_out (&out, "\"0000000000000001\"");
    assert_true (tide_epoch_parse (tide_bytes ("0123456789abcdef"), &epoch));
    assert_true (epoch == 0x0123456789abcdefu);
    assert_true (tide_epoch_parse (tide_bytes ("FFFFFFFFFFFFFFFF"), &epoch));
    assert_true (epoch == UINT64_MAX);
    static const char *const malformed[] = {"",
                                            "1",
                                            "0123456789abcde",
                                            "0123456789abcdef0",
                                            "0123456789abcdeg",
                                            "0x23456789abcdef",
                                            " 123456789abcdef",
                                            "0000000000000000"};
    for (size_t at = 0; at < COUNT (malformed); at++)
        assert_false (tide_epoch_parse (tide_bytes (malformed[at]), &epoch));
    tide_buffer_free (&out);
}

static void positions_are_digits_or_epoch_and_digits (void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool is_right;
        uint64_t epoch, seq;
    } cases[] = {
        {"0", true, 0, 0},
        {"42", true, 0, 42},
        {"18446744073709551615", true, 0, UINT64_MAX},
        {"00000000000000ff:42", true, 255, 42},
        {"00000000000000ff:0", true, 255, 0},
        {"18446744073709551616", false, 0, 0},
        {"99999999999999999999999", false, 0, 0},
        {"", false, 0, 0},
        {":", false, 0, 0},
        {":1", false, 0, 0},
        {"1:1", false, 0, 0},
        {"00000000000000ff:", false, 0, 0},
        {"00000000000000ff:x", false, 0, 0},
        {"00000000000000ff:1:1", false, 0, 0},
        {"0000000000000000:1", false, 0, 0},
        {"-1", false, 0, 0},
        {"+1", false, 0, 0},
        {" 1", false, 0, 0},
        {"1.0", false, 0, 0},
        {"live", false, 0, 0},
    };
    for (size_t at = 0; at < COUNT (cases); at++) {
        uint64_t epoch, seq;
        bool is_right = tide_position_parse (tide_bytes (cases[at].text), &epoch, &seq);
        assert_int_equal (is_right, cases[at].is_right);
        if (is_right)
            assert_true (epoch == cases[at].epoch && seq == cases[at].seq);
        json_t *value = json_string (cases[at].text);
        assert_int_equal (tide_position_json (value, &epoch, &seq), cases[at].is_right);
        json_decref (value);
    }
    tide_buffer_t out = {0};
    tide_position_text (&out, 255, 42);
    assert_out (&out, "00000000000000ff:42");
    tide_buffer_free (&out);
}

static void positions_in_json_may_be_whole_numbers (void **state)
{
    (void) state;
    static const struct {
        const char *text;
        bool is_right;
        uint64_t seq;
    } cases[] = {
        {"0", true, 0},     {"42", true, 42},    {"9223372036854775807", true, INT64_MAX},
        {"42.0", true, 42}, {"-1", false, 0},    {"42.5", false, 0},
        {"-0.5", false, 0}, {"1e300", false, 0}, {"null", false, 0},
        {"true", false, 0}, {"[1]", false, 0},   {"{}", false, 0},
    };
    uint64_t epoch, seq;
    for (size_t at = 0; at < COUNT (cases); at++) {
        json_t *value = parse (cases[at].text);
        assert_int_equal (tide_position_json (value, &epoch, &seq), cases[at].is_right);
        if (cases[at].is_right)
            assert_true (epoch == 0 && seq == cases[at].seq);
        json_decref (value);
    }
    assert_false (tide_position_json (NULL, &epoch, &seq));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (values_keep_their_meaning_when_they_are_written_again),
        cmocka_unit_test (reals_come_back_as_the_same_double),
        cmocka_unit_test (text_that_is_no_json_is_refused_with_its_place),
        cmocka_unit_test (nesting_beyond_the_limit_is_refused),
        cmocka_unit_test (strings_are_quoted_and_escaped),
        cmocka_unit_test (data_and_args_become_payloads),
        cmocka_unit_test (binary_values_become_attachments_wherever_they_are),
        cmocka_unit_test (only_a_lone_string_member_is_a_binary_value),
        cmocka_unit_test (malformed_base64_is_refused),
        cmocka_unit_test (spoofed_placeholders_are_data_unless_there_is_real_binary),
        cmocka_unit_test (eleven_binary_values_are_too_many),
        cmocka_unit_test (a_payload_above_the_limit_is_too_large),
        cmocka_unit_test (a_payload_nested_too_deep_is_too_large),
        cmocka_unit_test (attachments_in_use_are_kept_and_renumbered),
        cmocka_unit_test (an_attachment_used_twice_is_kept_twice_within_the_limits),
        cmocka_unit_test (placeholders_must_name_an_attachment),
        cmocka_unit_test (payloads_are_written_as_data_or_args),
        cmocka_unit_test (an_event_is_the_object_of_the_contract),
        cmocka_unit_test (errors_have_code_and_message),
        cmocka_unit_test (epochs_are_sixteen_hex_digits),
        cmocka_unit_test (positions_are_digits_or_epoch_and_digits),
        cmocka_unit_test (positions_in_json_may_be_whole_numbers),
    };
    return cmocka_run_group_tests_name ("tide_dialect_json", tests, NULL, NULL);
}
