/*  tide_engineio.c - one Engine.IO v4 session over one WebSocket.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_engineio.h"

#include "tide_dialect_json.h"

#include <inttypes.h>

/*  Packet types, as the first character of a text frame. A binary frame is a message by itself. */
enum { PACKET_CLOSE = '1', PACKET_PONG = '3', PACKET_MESSAGE = '4', PACKET_NOOP = '6' };

int tide_engineio_check (const tide_engineio_request_t *request)
{
    if (!tide_bytes_is (request->transport, "websocket"))
        return TIDE_ENGINEIO_TRANSPORT_UNKNOWN;
    if (request->sid.size > 0)
        return TIDE_ENGINEIO_SESSION_UNKNOWN; /* nothing to upgrade from without polling */
    if (!tide_bytes_is (request->method, "GET"))
        return TIDE_ENGINEIO_BAD_METHOD;
    if (!request->is_websocket)
        return TIDE_ENGINEIO_BAD_REQUEST;
    if (!tide_bytes_is (request->eio, "4"))
        return TIDE_ENGINEIO_UNSUPPORTED_VERSION;
    return -1;
}

void tide_engineio_refusal (tide_buffer_t *out, int code)
{
    static const char *const messages[] = {
        [TIDE_ENGINEIO_TRANSPORT_UNKNOWN] = "Transport unknown",
        [TIDE_ENGINEIO_SESSION_UNKNOWN] = "Session ID unknown",
        [TIDE_ENGINEIO_BAD_METHOD] = "Bad handshake method",
        [TIDE_ENGINEIO_BAD_REQUEST] = "Bad request",
        [TIDE_ENGINEIO_FORBIDDEN] = "Forbidden",
        [TIDE_ENGINEIO_UNSUPPORTED_VERSION] = "Unsupported protocol version",
    };
    int count = (int) (sizeof messages / sizeof messages[0]);
    if (code < 0 || code >= count)
        code = TIDE_ENGINEIO_BAD_REQUEST;
    tide_buffer_printf (out, "{\"code\":%d,\"message\":\"%s\"}", code, messages[code]);
}

void tide_engineio_open (tide_engineio_t *self, const tide_engineio_config_t *config,
                         uint64_t now_ms, tide_bytes_t sid, tide_buffer_t *out)
{
    tide_buffer_append_text (out, "0{\"sid\":");
    tide_json_string (out, sid);
    tide_buffer_printf (out,
                        ",\"upgrades\":[],\"pingInterval\":%" PRIu32 ",\"pingTimeout\":%" PRIu32
                        ",\"maxPayload\":%" PRIu32 "}",
                        config->ping_interval_ms, config->ping_timeout_ms, config->payload_max);
    self->ping_at_ms = now_ms + config->ping_interval_ms;
    self->pong_by_ms = 0;
}

bool tide_engineio_base64 (tide_bytes_t frame, tide_buffer_t *out)
{
    if (frame.size == 0 || frame.data[0] != 'b')
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
    case PACKET_NOOP:
        return TIDE_ENGINEIO_NOTHING;
    case PACKET_CLOSE:
        return TIDE_ENGINEIO_CLOSE;
    default: /* open, ping and upgrade too: a client of a WebSocket session sends none of them */
        return TIDE_ENGINEIO_ERROR;
    }
}

/*  The timeout counts from when the ping is handed out, not from when it was due: after a stall of
 *  ours the client still has its whole time. */
tide_engineio_due_t tide_engineio_tick (tide_engineio_t *self, const tide_engineio_config_t *config,
                                        uint64_t now_ms)
{
    if (self->pong_by_ms > 0)
        return now_ms >= self->pong_by_ms ? TIDE_ENGINEIO_TIMEOUT : TIDE_ENGINEIO_QUIET;
    if (self->ping_at_ms == 0 || now_ms < self->ping_at_ms)
        return TIDE_ENGINEIO_QUIET;
    self->ping_at_ms = 0;
    self->pong_by_ms = now_ms + config->ping_timeout_ms;
    return TIDE_ENGINEIO_PING;
}

uint64_t tide_engineio_deadline_ms (const tide_engineio_t *self)
{
    if (self->pong_by_ms > 0)
        return self->pong_by_ms;
    return self->ping_at_ms > 0 ? self->ping_at_ms : UINT64_MAX;
}
