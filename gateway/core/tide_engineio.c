/*  tide_engineio.c - one Engine.IO v4 session, over either transport.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_engineio.h"

#include "tide_dialect_json.h"

#include "tide_wsframe.h"

#include <inttypes.h>
#include <string.h>

/*  Packet types, as the first character of a text frame. A binary frame is a message by itself; in
 *  text it is base64. */
enum {
    PACKET_OPEN = '0',
    PACKET_CLOSE = '1',
    PACKET_PONG = '3',
    PACKET_MESSAGE = '4',
    PACKET_UPGRADE = '5',
    PACKET_NOOP = '6',
    PACKET_BASE64 = 'b'
};

/*  Between the packets of a payload. */
enum { SEPARATOR = 0x1e };

/*  A tick that comes later than this was held up by us: the client gets its whole time anew. */
enum { LATE_MS = 50 };

static const char *message_of (int code)
{
    static const char *const messages[] = {
        [TIDE_ENGINEIO_TRANSPORT_UNKNOWN] = "Transport unknown",
        [TIDE_ENGINEIO_SESSION_UNKNOWN] = "Session ID unknown",
        [TIDE_ENGINEIO_BAD_METHOD] = "Bad handshake method",
        [TIDE_ENGINEIO_BAD_REQUEST] = "Bad request",
        [TIDE_ENGINEIO_FORBIDDEN] = "Forbidden",
        [TIDE_ENGINEIO_UNSUPPORTED_VERSION] = "Unsupported protocol version",
    };
    return messages[code];
}

int tide_engineio_check (const tide_engineio_request_t *request, const tide_engineio_t *session)
{
    bool is_get = tide_bytes_is (request->method, "GET");
    bool is_polling = tide_bytes_is (request->transport, "polling");
    if (!is_polling && !tide_bytes_is (request->transport, "websocket"))
        return TIDE_ENGINEIO_TRANSPORT_UNKNOWN;
    if (is_polling && request->is_websocket)
        return TIDE_ENGINEIO_BAD_REQUEST;
    if (request->sid.size > 0) {
        if (!session)
            return TIDE_ENGINEIO_SESSION_UNKNOWN;
        if (request->is_websocket)
            return -1;
        bool is_served = is_get || tide_bytes_is (request->method, "POST");
        return is_polling && session->transport == TIDE_ENGINEIO_POLLING && is_served
                   ? -1
                   : TIDE_ENGINEIO_BAD_REQUEST;
    }
    if (!is_get)
        return TIDE_ENGINEIO_BAD_METHOD;
    if (!is_polling && !request->is_websocket)
        return TIDE_ENGINEIO_BAD_REQUEST;
    if (!tide_bytes_is (request->eio, "4"))
        return TIDE_ENGINEIO_UNSUPPORTED_VERSION;
    return -1;
}

void tide_engineio_refusal (tide_buffer_t *out, int code, bool is_websocket)
{
    if (code < TIDE_ENGINEIO_TRANSPORT_UNKNOWN || code > TIDE_ENGINEIO_UNSUPPORTED_VERSION)
        code = TIDE_ENGINEIO_BAD_REQUEST;
    if (is_websocket)
        tide_buffer_append_text (out, message_of (code));
    else
        tide_buffer_printf (out, "{\"code\":%d,\"message\":\"%s\"}", code, message_of (code));
}

void tide_engineio_open (tide_engineio_t *self, const tide_engineio_config_t *config,
                         tide_engineio_transport_t transport, uint64_t now_ms, tide_bytes_t sid,
                         tide_buffer_t *out)
{
    *self =
        (tide_engineio_t){.transport = transport, .ping_at_ms = now_ms + config->ping_interval_ms};
    tide_buffer_append_text (out, "0{\"sid\":");
    tide_json_string (out, sid);
    tide_buffer_printf (out,
                        ",\"upgrades\":[%s],\"pingInterval\":%" PRIu32 ",\"pingTimeout\":%" PRIu32
                        ",\"maxPayload\":%" PRIu32 "}",
                        transport == TIDE_ENGINEIO_POLLING ? "\"websocket\"" : "",
                        config->ping_interval_ms, config->ping_timeout_ms, config->payload_max);
}

/*  -- packets --------------------------------------------------------------------------------- */

bool tide_engineio_base64 (tide_bytes_t frame, tide_buffer_t *out)
{
    if (frame.size == 0 || frame.data[0] != PACKET_BASE64)
        return false;
    out->size = 0;
    return tide_base64_decode (out, (tide_bytes_t){frame.data + 1, frame.size - 1});
}

tide_engineio_result_t tide_engineio_receive (tide_engineio_t *self,
                                              const tide_engineio_config_t *config, uint64_t now_ms,
                                              tide_bytes_t frame, bool is_text, tide_bytes_t *body)
{
    *body = frame;
    if (!is_text)
        return TIDE_ENGINEIO_MESSAGE;
    if (frame.size == 0)
        return TIDE_ENGINEIO_ERROR;
    *body = (tide_bytes_t){frame.data + 1, frame.size - 1};
    switch (frame.data[0]) {
    case PACKET_MESSAGE:
        return TIDE_ENGINEIO_MESSAGE;
    case PACKET_PONG: /* asked for or not, it is a sign of life; the reference counts it too */
        self->ping_at_ms = now_ms + config->ping_interval_ms;
        self->pong_by_ms = 0;
        return TIDE_ENGINEIO_NOTHING;
    case PACKET_OPEN: /* they mean nothing here, and the reference lets them pass */
    case PACKET_UPGRADE:
    case PACKET_NOOP:
        return TIDE_ENGINEIO_NOTHING;
    case PACKET_CLOSE:
        return TIDE_ENGINEIO_CLOSE;
    default: /* a ping too: since version 4 the server pings */
        return TIDE_ENGINEIO_ERROR;
    }
}

bool tide_engineio_payload_next (tide_bytes_t *rest, bool *has_more, tide_bytes_t *packet)
{
    if (!*has_more)
        return false;
    const uint8_t *end = rest->size > 0 ? memchr (rest->data, SEPARATOR, rest->size) : NULL;
    *has_more = end != NULL;
    if (!end) {
        *packet = *rest;
        *rest = (tide_bytes_t){0};
        return true;
    }
    *packet = (tide_bytes_t){rest->data, (size_t) (end - rest->data)};
    *rest = (tide_bytes_t){end + 1, rest->size - packet->size - 1};
    return true;
}

void tide_engineio_payload_append (tide_buffer_t *payload, tide_bytes_t packet, bool is_text)
{
    if (payload->size > 0)
        tide_put_u8 (payload, SEPARATOR);
    if (is_text) {
        tide_buffer_append_bytes (payload, packet);
        return;
    }
    tide_put_u8 (payload, PACKET_BASE64);
    tide_base64_encode (payload, packet);
}

void tide_engineio_payload_frames (tide_buffer_t *payload, tide_bytes_t frames)
{
    tide_wsframe_t frame;
    tide_buffer_t binary = {0};
    bool is_text = true;
    while (tide_wsframe_next (&frames, &frame)) {
        bool is_first = frame.opcode != TIDE_WSFRAME_CONTINUATION;
        if (is_first)
            is_text = frame.opcode == TIDE_WSFRAME_TEXT;
        /*  Text goes on where its first fragment ended; base64 is made of the whole. */
        if (is_text && is_first)
            tide_engineio_payload_append (payload, frame.payload, true);
        else if (is_text)
            tide_buffer_append_bytes (payload, frame.payload);
        else if (is_first && frame.is_final)
            tide_engineio_payload_append (payload, frame.payload, false);
        else {
            tide_buffer_append_bytes (&binary, frame.payload);
            if (frame.is_final) {
                tide_engineio_payload_append (payload, tide_buffer_bytes (&binary), false);
                binary.size = 0;
            }
        }
    }
    tide_buffer_free (&binary);
}

/*  -- polling --------------------------------------------------------------------------------- */

bool tide_engineio_poll (tide_engineio_t *self, uint64_t request)
{
    if (self->poll != 0)
        return false;
    self->poll = request;
    return true;
}

bool tide_engineio_post (tide_engineio_t *self, uint64_t request)
{
    if (self->post != 0)
        return false;
    self->post = request;
    return true;
}

bool tide_engineio_abandon (tide_engineio_t *self, uint64_t request)
{
    if (self->poll == request)
        self->poll = 0;
    else if (self->post == request)
        self->post = 0;
    else
        return false;
    return self->transport == TIDE_ENGINEIO_POLLING;
}

static uint64_t take (uint64_t *request)
{
    uint64_t taken = *request;
    *request = 0;
    return taken;
}

uint64_t tide_engineio_take_poll (tide_engineio_t *self)
{
    return take (&self->poll);
}

uint64_t tide_engineio_take_post (tide_engineio_t *self)
{
    return take (&self->post);
}

bool tide_engineio_wants_noop (const tide_engineio_t *self)
{
    return self->probing == TIDE_ENGINEIO_PROBED || self->transport == TIDE_ENGINEIO_WEBSOCKET;
}

/*  -- the upgrade ----------------------------------------------------------------------------- */

bool tide_engineio_probe (tide_engineio_t *self)
{
    if (self->transport != TIDE_ENGINEIO_POLLING || self->probing != TIDE_ENGINEIO_UNPROBED)
        return false;
    self->probing = TIDE_ENGINEIO_OPENED;
    return true;
}

tide_engineio_probe_result_t tide_engineio_probe_frame (tide_engineio_t *self, tide_bytes_t frame,
                                                        bool is_text)
{
    if (is_text && tide_bytes_is (frame, "2probe")) {
        self->probing = TIDE_ENGINEIO_PROBED;
        return TIDE_ENGINEIO_PROBE_ANSWER;
    }
    bool takes = is_text && frame.size > 0 && frame.data[0] == PACKET_UPGRADE;
    self->probing = TIDE_ENGINEIO_UNPROBED;
    if (!takes)
        return TIDE_ENGINEIO_PROBE_FAILS;
    self->transport = TIDE_ENGINEIO_WEBSOCKET;
    return TIDE_ENGINEIO_PROBE_TAKES;
}

void tide_engineio_unprobe (tide_engineio_t *self)
{
    self->probing = TIDE_ENGINEIO_UNPROBED;
}

/*  -- time ------------------------------------------------------------------------------------ */

/*  The time that a client has for its pong counts from when the ping was due, whether it has
 *  polled for it or not. */
tide_engineio_due_t tide_engineio_tick (tide_engineio_t *self, const tide_engineio_config_t *config,
                                        uint64_t now_ms)
{
    if (self->pong_by_ms > 0)
        return now_ms >= self->pong_by_ms ? TIDE_ENGINEIO_TIMEOUT : TIDE_ENGINEIO_QUIET;
    if (self->ping_at_ms == 0 || now_ms < self->ping_at_ms)
        return TIDE_ENGINEIO_QUIET;
    uint64_t due_ms = now_ms - self->ping_at_ms > LATE_MS ? now_ms : self->ping_at_ms;
    self->pong_by_ms = due_ms + config->ping_timeout_ms;
    self->ping_at_ms = 0;
    return TIDE_ENGINEIO_PING;
}

uint64_t tide_engineio_deadline_ms (const tide_engineio_t *self)
{
    if (self->pong_by_ms > 0)
        return self->pong_by_ms;
    return self->ping_at_ms > 0 ? self->ping_at_ms : UINT64_MAX;
}
