/*  tide_socket.c - a lane's WebSockets: handshake, whole messages in, gathered writes out, closing.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lane_internal.h"

#include "tide_alloc.h"
#include "tide_topic.h"
#include "tide_wsframe.h"

#include <string.h>

#define SUBPROTOCOL "tidemark.v1.json"

enum { CLOSE_NOT_UTF8 = 1007, CLOSE_TOO_LARGE = 1009 };

/*  -- handshake ------------------------------------------------------------------------------- */

static bool is_key (tide_bytes_t key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (size_t at = 0; at < 22; at++)
        if (key.data[at] == 0 || !strchr (digits, key.data[at]))
            return false;
    return true;
}

const char *tide_socket_fault (const tide_request_t *request, bool is_socketio)
{
    if (!tide_bytes_is (request->method, "GET") || request->is_http10)
        return "a WebSocket begins with GET and HTTP/1.1";
    if (!tide_bytes_is (request->websocket_version, "13"))
        return "Sec-WebSocket-Version must be 13";
    if (!is_key (request->websocket_key))
        return "Sec-WebSocket-Key must be 16 bytes in base64";
    if (request->websocket_protocol.size == 0)
        return NULL;
    if (is_socketio)
        return "Socket.IO has no subprotocol";
    return tide_request_lists (request->websocket_protocol, SUBPROTOCOL)
               ? NULL
               : "the only subprotocol is " SUBPROTOCOL;
}

void tide_socket_adopt (tide_lane_client_t *client, int fd, const char *key, bool has_protocol,
                        tide_bytes_t early)
{
    tide_lane_t *lane = client->lane;
    lane->adopting = client;
    struct lws *wsi =
        tide_lws_adopt (lane->vhost, fd, key, has_protocol ? SUBPROTOCOL : NULL, early);
    if (lane->adopting != client) /* it has come, and gone again */
        return;
    lane->adopting = NULL;
    if (client->connection)
        return;
    lane->counters.refused_handshake++;
    if (wsi)
        tide_lws_close (wsi);
    else
        tide_lane_client_destroy (client);
}

int tide_socket_established (tide_lane_client_t *client)
{
    tide_lane_t *lane = client->lane;
    lane->counters.websockets++;
    client->connection = tide_hub_open (lane->hub, tide_lane_now (lane), client->kind,
                                        tide_buffer_bytes (&client->engine_sid), client);
    tide_buffer_free (&client->engine_sid);
    return 0;
}

/*  -- messages in ----------------------------------------------------------------------------- */

static void message (tide_lane_client_t *client, tide_bytes_t bytes)
{
    tide_lane_t *lane = client->lane;
    lane->counters.messages++;
    lane->counters.message_bytes += bytes.size;
    if (client->is_text && !tide_utf8_valid (bytes)) {
        lane->counters.messages_not_utf8++;
        tide_socket_close (client, CLOSE_NOT_UTF8);
        return;
    }
    tide_hub_frame (lane->hub, tide_lane_now (lane), client->connection, bytes, client->is_text);
}

int tide_socket_receive (tide_lane_client_t *client, tide_bytes_t bytes)
{
    if (!client->connection || client->is_closing || client->is_peer_closing)
        return 0;
    if (lws_is_first_fragment (client->wsi)) {
        client->message.size = 0;
        client->is_text = !lws_frame_is_binary (client->wsi);
    }
    /*  What is announced counts already: nothing is gathered that is refused at its end. */
    size_t limit = client->lane->config.config->payload_max;
    size_t size = client->message.size + bytes.size;
    size_t remaining = lws_remaining_packet_payload (client->wsi);
    if (size > limit || remaining > limit - size) {
        client->lane->counters.messages_too_large++;
        tide_buffer_free (&client->message);
        tide_socket_close (client, CLOSE_TOO_LARGE);
        return 0;
    }
    bool is_whole = remaining == 0 && lws_is_final_fragment (client->wsi);
    if (is_whole && client->message.size == 0) {
        message (client, bytes);
        return 0;
    }
    tide_buffer_append_bytes (&client->message, bytes);
    if (is_whole) {
        message (client, tide_buffer_bytes (&client->message));
        tide_buffer_free (&client->message);
    }
    return 0;
}

void tide_socket_pause (tide_lane_client_t *client, bool is_paused)
{
    if (!client->connection || client->is_closing || client->is_paused == is_paused)
        return;
    client->is_paused = is_paused;
    lws_rx_flow_control (client->wsi, is_paused ? 0 : 1);
    if (is_paused)
        tide_lane_client_watch (client, 0);
    else
        tide_lane_client_unwatch (client);
}

/*  -- writes out ------------------------------------------------------------------------------ */

/*  Whole frames, as they are (Q9). */
static int write_frames (tide_lane_client_t *client, tide_bytes_t frames)
{
    tide_lane_counters_t *counters = &client->lane->counters;
    int written = lws_write (client->wsi, (unsigned char *) (uintptr_t) frames.data, frames.size,
                             LWS_WRITE_HTTP);
    if (written < 0 || (size_t) written < frames.size)
        return -1;
    counters->writes++;
    counters->write_bytes += frames.size;
    if (lws_partial_buffered (client->wsi))
        counters->partial_writes++;
    return 0;
}

/*  Nothing is left to be said but goodbye. The client answers with its own close frame, or has no
 *  more time. */
static int say_goodbye (tide_lane_client_t *client)
{
    tide_buffer_t frame = {0};
    tide_wsframe_close (&frame, client->close_code, "");
    client->is_close_sent = true;
    int outcome = write_frames (client, tide_buffer_bytes (&frame));
    tide_buffer_free (&frame);
    if (client->is_paused)
        lws_rx_flow_control (client->wsi, 1);
    client->is_paused = false;
    return outcome;
}

int tide_socket_writable (tide_lane_client_t *client)
{
    if (!client->connection || client->is_peer_closing || client->is_close_sent)
        return 0;
    /*  While something of the last write is left, libwebsockets holds it: one write at most. */
    if (lws_partial_buffered (client->wsi)) {
        lws_callback_on_writable (client->wsi);
        return 0;
    }
    tide_lane_t *lane = client->lane;
    tide_bytes_t frames = tide_hub_write (lane->hub, tide_lane_now (lane), client->connection);
    if (frames.size == 0)
        return client->is_closing ? say_goodbye (client) : 0;
    if (client->is_closing)
        lws_callback_on_writable (client->wsi);
    return write_frames (client, frames);
}

/*  -- closing --------------------------------------------------------------------------------- */

void tide_socket_close (tide_lane_client_t *client, uint16_t code)
{
    if (!client->connection || client->is_closing || client->is_peer_closing)
        return;
    client->is_closing = true;
    client->close_code = code;
    tide_lane_client_watch (client, TIDE_CLOSE_MS);
    lws_callback_on_writable (client->wsi);
}

int tide_socket_peer_closes (tide_lane_client_t *client)
{
    /*  Its answer to our close frame: all is said. Else libwebsockets answers. */
    if (client->is_close_sent)
        return -1;
    client->is_peer_closing = true;
    tide_lane_client_watch (client, TIDE_CLOSE_MS);
    return 0;
}

void tide_socket_gone (tide_lane_client_t *client)
{
    tide_socket_forget_writable (client);
    tide_buffer_free (&client->message);
    tide_buffer_free (&client->engine_sid);
    if (!client->connection)
        return;
    tide_lane_t *lane = client->lane;
    lane->counters.websockets--;
    tide_hub_closed (lane->hub, tide_lane_now (lane), &client->connection);
    client->connection = NULL;
}
