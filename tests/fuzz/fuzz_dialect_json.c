/*  fuzz_dialect_json.c - JSON from clients, and payloads from foreign publishers.
 *
 *  Input: u8 what it is (0 JSON, 1 a payload, 2 a position, 3 a string), then the bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_topic.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

enum { PAYLOAD_MAX = 10000 };

/*  What is written is read back as the same value, and written as the same text. */
static void round_trip (const json_t *value)
{
    tide_buffer_t one = {0}, other = {0};
    const char *why;
    tide_json_value (&one, value);
    json_t *back = tide_json_parse (tide_buffer_bytes (&one), &why);
    tide_assert (back && json_equal ((json_t *) value, back));
    tide_json_value (&other, back);
    tide_assert (tide_bytes_equal (tide_buffer_bytes (&one), tide_buffer_bytes (&other)));
    json_decref (back);
    tide_buffer_free (&one);
    tide_buffer_free (&other);
}

static void take_json (tide_bytes_t text)
{
    const char *why = NULL;
    json_t *value = tide_json_parse (text, &why);
    tide_assert (value || (why && tide_utf8_valid (tide_bytes (why))));
    if (!value)
        return;
    round_trip (value);

    tide_buffer_t payload = {0}, out = {0};
    tide_event_t event;
    if (tide_json_payload (&payload, value, false, PAYLOAD_MAX, &why) == TIDE_OK) {
        tide_put_u8 (&out, '{');
        tide_json_data (&out, tide_buffer_bytes (&payload));
        tide_put_u8 (&out, '}');
        json_t *back = tide_json_parse (tide_buffer_bytes (&out), &why);
        tide_assert (json_equal (json_object_get (back, "data"), value));
        json_decref (back);
    }
    payload.size = out.size = 0;
    if (tide_json_publish (value, "id", PAYLOAD_MAX, &event, &payload, &why) == TIDE_OK) {
        tide_assert (tide_topic_valid (event.topic) && tide_name_valid (event.name));
        tide_json_event (&out, &event, NULL);
        json_t *back = tide_json_parse (tide_buffer_bytes (&out), &why);
        tide_assert (json_is_object (back));
        json_decref (back);
    }
    uint64_t epoch, seq;
    tide_position_json (value, &epoch, &seq);
    json_decref (value);
    tide_buffer_free (&payload);
    tide_buffer_free (&out);
}

static void take_position (tide_bytes_t text)
{
    uint64_t epoch, seq, epoch_again, seq_again;
    tide_epoch_parse (text, &epoch);
    if (!tide_position_parse (text, &epoch, &seq) || epoch == 0)
        return;
    tide_buffer_t out = {0};
    tide_position_text (&out, epoch, seq);
    tide_assert (tide_position_parse (tide_buffer_bytes (&out), &epoch_again, &seq_again));
    tide_assert (epoch == epoch_again && seq == seq_again);
    tide_buffer_free (&out);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    tide_bytes_t bytes = {data + 1, size - 1};
    tide_buffer_t out = {0};
    switch (data[0] & 3) {
    case 0:
        take_json (bytes);
        break;
    case 1:
        tide_json_data (&out, bytes);
        break;
    case 2:
        take_position (bytes);
        break;
    default:
        tide_json_string (&out, bytes);
        if (tide_utf8_valid (bytes)) {
            const char *why;
            json_t *back = tide_json_parse (tide_buffer_bytes (&out), &why);
            tide_assert (json_string_length (back) == bytes.size);
            json_decref (back);
        }
    }
    tide_buffer_free (&out);
    return 0;
}
