/*  fuzz_socketio.c - what a client of /socket.io/ sends: frames of one connection.
 *
 *  Input: frames, each u8 flags (1: text), u16 size, bytes. Each goes through Engine.IO and then
 *  the Socket.IO decoder; what is a packet becomes a payload, and goes out to both dialects again.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_engineio.h"
#include "tide_socketio.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

enum { PAYLOAD_MAX = 10000 };

/*  A payload of ours can be written by each dialect, and what is written is JSON. */
static void write_again (tide_bytes_t payload)
{
    tide_args_t args;
    tide_assert (tide_args_decode (payload, &args) == TIDE_OK);
    tide_buffer_t out = {0};
    tide_event_t event = {.topic = tide_bytes ("t"), .name = tide_bytes ("e"), .payload = payload};
    tide_json_event (&out, &event, "event");
    const char *why;
    json_t *value = tide_json_parse (tide_buffer_bytes (&out), &why);
    tide_assert (json_is_object (value));
    json_decref (value);

    out.size = 0;
    tide_bytes_t offset = tide_bytes ("\"0\"");
    tide_socketio_event (&out, tide_bytes ("/"), event.name, &args, &offset, 1);
    tide_socketio_decoder_t *decoder = tide_socketio_decoder_new (PAYLOAD_MAX);
    tide_socketio_packet_t packet;
    tide_bytes_t message = {out.data + 1, out.size - 1};
    tide_socketio_result_t result = tide_socketio_decode (decoder, message, true, &packet, &why);
    for (unsigned at = 0; at < args.attachments; at++) {
        tide_assert (result == TIDE_SOCKETIO_MORE);
        result = tide_socketio_decode (decoder, args.attachment[at], false, &packet, &why);
    }
    tide_assert (result == TIDE_SOCKETIO_PACKET && packet.type == TIDE_SOCKETIO_EVENT);
    tide_socketio_decoder_destroy (&decoder);
    tide_buffer_free (&out);
}

static void take_packet (const tide_socketio_packet_t *packet)
{
    tide_buffer_t payload = {0};
    tide_event_t event;
    const char *why;
    if (packet->type != TIDE_SOCKETIO_EVENT && packet->type != TIDE_SOCKETIO_ACK)
        return;
    if (tide_json_payload_attached (&payload, packet->data, true, packet->attachment,
                                    packet->attachments, PAYLOAD_MAX, &why)
        == TIDE_OK)
        write_again (tide_buffer_bytes (&payload));
    payload.size = 0;
    if (tide_json_publish_attached (json_array_get (packet->data, 1), "id", packet->attachment,
                                    packet->attachments, PAYLOAD_MAX, &event, &payload, &why)
            == TIDE_OK
        && event.payload.size > 0)
        write_again (event.payload);
    tide_buffer_free (&payload);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    const tide_engineio_config_t config = {300, 200, PAYLOAD_MAX};
    tide_engineio_t session = {0};
    tide_socketio_decoder_t *decoder = tide_socketio_decoder_new (PAYLOAD_MAX);
    tide_buffer_t decoded = {0};
    tide_reader_t reader = tide_reader ((tide_bytes_t){data, size});
    while (reader.remaining > 0) {
        bool is_text = tide_take_u8 (&reader) & 1;
        size_t wanted = tide_take_u16 (&reader);
        tide_bytes_t frame =
            tide_take_bytes (&reader, wanted < reader.remaining ? wanted : reader.remaining);
        if (reader.failed)
            break;
        if (is_text && tide_engineio_base64 (frame, &decoded)) {
            frame = tide_buffer_bytes (&decoded);
            is_text = false;
        }
        tide_bytes_t body;
        if (tide_engineio_receive (&session, &config, 1000, frame, is_text, &body)
            != TIDE_ENGINEIO_MESSAGE)
            continue;
        tide_socketio_packet_t packet;
        const char *why = NULL;
        tide_socketio_result_t result =
            tide_socketio_decode (decoder, body, is_text, &packet, &why);
        tide_assert (result != TIDE_SOCKETIO_INVALID || why);
        if (result == TIDE_SOCKETIO_INVALID)
            break;
        if (result == TIDE_SOCKETIO_PACKET)
            take_packet (&packet);
    }
    tide_socketio_decoder_destroy (&decoder);
    tide_buffer_free (&decoded);
    return 0;
}
