/*  test_tide_dialect_json_publish.c - what somebody wants to publish, as JSON.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_json_rig.h"

static void a_publish_is_read_with_all_its_members (void **state)
{
    (void) state;
    json_t *object = parse ("{\"op\":\"pub\",\"id\":\"i\",\"topic\":\"room/1\",\"event\":\"msg\","
                            "\"data\":[1,2],\"key\":\"k\",\"event_id\":\"e\",\"volatile\":true}");
    tide_event_t event;
    tide_buffer_t payload = {0};
    tide_buffer_append_text (&payload, "before");
    const char *why;
    assert_int_equal (tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why),
                      TIDE_OK);
    assert_true (tide_bytes_is (event.topic, "room/1"));
    assert_true (tide_bytes_is (event.name, "msg"));
    assert_true (tide_bytes_is (event.key, "k"));
    assert_true (tide_bytes_is (event.id, "i"));
    assert_int_equal (event.flags, TIDE_EVENT_VOLATILE);
    assert_true (event.seq == 0 && event.user.size == 0 && event.from.size == 0);
    tide_args_t args;
    assert_int_equal (tide_args_decode (event.payload, &args), TIDE_OK);
    assert_true (!args.many && tide_bytes_is (args.json, "[1,2]"));
    assert_int_equal (tide_json_publish (object, "event_id", PAYLOAD_MAX, &event, &payload, &why),
                      TIDE_OK);
    assert_true (tide_bytes_is (event.id, "e"));
    json_decref (object);
    tide_buffer_free (&payload);
}

static void what_is_left_out_or_null_is_not_there (void **state)
{
    (void) state;
    static const char *const cases[] = {
        "{\"topic\":\"t\",\"event\":\"e\",\"data\":null}",
        ("{\"topic\":\"t\",\"event\":\"e\",\"data\":null,\"key\":null,\"id\":null,"
         "\"volatile\":null,\"unknown\":1}"),
        "{\"topic\":\"t\",\"event\":\"e\",\"args\":[null],\"volatile\":false}"};
    for (size_t at = 0; at < COUNT (cases); at++) {
        json_t *object = parse (cases[at]);
        tide_event_t event;
        tide_buffer_t payload = {0};
        const char *why;
        assert_int_equal (tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why),
                          TIDE_OK);
        assert_int_equal (event.key.size + event.id.size + event.flags, 0);
        tide_buffer_t out = {0};
        tide_json_data (&out, event.payload);
        assert_out (&out, "\"data\":null");
        tide_buffer_free (&out);
        json_decref (object);
        tide_buffer_free (&payload);
    }
}

static void without_data_a_key_is_removed_and_without_a_key_there_are_no_arguments (void **state)
{
    (void) state;
    tide_event_t event;
    tide_buffer_t payload = {0}, out = {0};
    const char *why;
    json_t *object = parse ("{\"topic\":\"t\",\"event\":\"e\",\"key\":\"k\"}");
    assert_int_equal (tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why),
                      TIDE_OK);
    assert_int_equal (event.payload.size, 0);
    json_decref (object);
    object = parse ("{\"topic\":\"t\",\"event\":\"e\"}");
    assert_int_equal (tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why),
                      TIDE_OK);
    tide_json_data (&out, event.payload);
    assert_out (&out, "\"args\":[]");
    json_decref (object);
    tide_buffer_free (&payload);
    tide_buffer_free (&out);
}

static void what_may_not_be_published_is_refused_by_name (void **state)
{
    (void) state;
    static const struct {
        const char *text;
        tide_status_t status;
        const char *word; /* in what is said */
    } cases[] = {
        {"[]", TIDE_BAD_REQUEST, "object"},
        {"null", TIDE_BAD_REQUEST, "object"},
        {"\"topic\"", TIDE_BAD_REQUEST, "object"},
        {"{\"event\":\"e\",\"data\":1}", TIDE_BAD_REQUEST, "topic"},
        {"{\"topic\":1,\"event\":\"e\",\"data\":1}", TIDE_BAD_TOPIC, "topic"},
        {"{\"topic\":\"\",\"event\":\"e\",\"data\":1}", TIDE_BAD_TOPIC, "topic"},
        {"{\"topic\":\"a/#\",\"event\":\"e\",\"data\":1}", TIDE_BAD_TOPIC, "topic"},
        {"{\"topic\":\"a\\u0000b\",\"event\":\"e\",\"data\":1}", TIDE_BAD_TOPIC, "topic"},
        {"{\"topic\":\"a\\n\",\"event\":\"e\",\"data\":1}", TIDE_BAD_TOPIC, "topic"},
        {"{\"topic\":\"t\",\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":1,\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":\"\",\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":\"a\\u0000\",\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":\"connect\",\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":\"disconnecting\",\"data\":1}", TIDE_BAD_REQUEST, "event"},
        {"{\"topic\":\"t\",\"event\":\"tide:reset\",\"data\":1}", TIDE_BAD_REQUEST, "tide:"},
        {"{\"topic\":\"t\",\"event\":\"tide:\",\"data\":1}", TIDE_BAD_REQUEST, "tide:"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"key\":1}", TIDE_BAD_REQUEST, "key"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"key\":\"\"}", TIDE_BAD_REQUEST, "key"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"key\":\"\\u0000\"}", TIDE_BAD_REQUEST,
         "key"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"id\":7}", TIDE_BAD_REQUEST, "id"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"id\":\"\\u0001\"}", TIDE_BAD_REQUEST, "id"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"volatile\":1}", TIDE_BAD_REQUEST,
         "volatile"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":1,\"args\":[]}", TIDE_BAD_REQUEST, "args"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"args\":1}", TIDE_BAD_REQUEST, "args"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"args\":null}", TIDE_BAD_REQUEST, "args"},
        {"{\"topic\":\"t\",\"event\":\"e\",\"data\":{\"$binary\":\"*\"}}", TIDE_BAD_REQUEST,
         "base64"},
    };
    tide_buffer_t payload = {0};
    for (size_t at = 0; at < COUNT (cases); at++) {
        json_t *object = parse (cases[at].text);
        tide_event_t event;
        const char *why = NULL;
        tide_status_t status =
            tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why);
        if (status != cases[at].status || !why || !strstr (why, cases[at].word))
            fail_msg ("%s: %s, %s", cases[at].text, tide_status_name (status), why);
        assert_int_equal (payload.size, 0);
        json_decref (object);
    }
    tide_buffer_free (&payload);
}

static void names_may_have_255_bytes (void **state)
{
    (void) state;
    static const char *const members[] = {"topic", "event", "key", "id"};
    char name[257];
    for (size_t at = 0; at < COUNT (members); at++)
        for (size_t size = 255; size <= 256; size++) {
            json_t *object = parse ("{\"topic\":\"t\",\"event\":\"e\",\"data\":1}");
            memset (name, 'x', size);
            json_object_set_new (object, members[at], json_stringn (name, size));
            tide_event_t event;
            tide_buffer_t payload = {0};
            const char *why;
            tide_status_t status =
                tide_json_publish (object, "id", PAYLOAD_MAX, &event, &payload, &why);
            tide_status_t refusal = at == 0 ? TIDE_BAD_TOPIC : TIDE_BAD_REQUEST;
            assert_int_equal (status, size == 255 ? TIDE_OK : refusal);
            json_decref (object);
            tide_buffer_free (&payload);
        }
}

static void a_publish_from_socket_io_has_its_attachments (void **state)
{
    (void) state;
    const tide_bytes_t attachment[] = {tide_bytes ("zero"), tide_bytes ("one")};
    json_t *object = parse ("{\"topic\":\"t\",\"event\":\"e\",\"id\":\"i\","
                            "\"data\":{\"_placeholder\":true,\"num\":1}}");
    tide_event_t event;
    tide_buffer_t payload = {0}, out = {0};
    const char *why;
    assert_int_equal (tide_json_publish_attached (object, "id", attachment, 2, PAYLOAD_MAX, &event,
                                                  &payload, &why),
                      TIDE_OK);
    tide_json_data (&out, event.payload);
    assert_out (&out, "\"data\":{\"$binary\":\"b25l\"}");
    payload.size = 0;
    assert_int_equal (tide_json_publish_attached (object, "id", attachment, 1, PAYLOAD_MAX, &event,
                                                  &payload, &why),
                      TIDE_BAD_REQUEST);
    assert_int_equal (
        tide_json_publish_attached (object, "id", attachment, 2, 10, &event, &payload, &why),
        TIDE_TOO_LARGE);
    assert_int_equal (payload.size, 0);
    json_decref (object);
    tide_buffer_free (&payload);
    tide_buffer_free (&out);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_publish_is_read_with_all_its_members),
        cmocka_unit_test (what_is_left_out_or_null_is_not_there),
        cmocka_unit_test (without_data_a_key_is_removed_and_without_a_key_there_are_no_arguments),
        cmocka_unit_test (what_may_not_be_published_is_refused_by_name),
        cmocka_unit_test (names_may_have_255_bytes),
        cmocka_unit_test (a_publish_from_socket_io_has_its_attachments),
    };
    return cmocka_run_group_tests_name ("tide_dialect_json publish", tests, NULL, NULL);
}
