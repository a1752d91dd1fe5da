/*  tide_socket.c - a lane's WebSockets: upgrade, whole messages in, gathered writes out, closing.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lane_internal.h"

#include "tide_alloc.h"
#include "tide_http.h"
#include "tide_topic.h"
#include "tide_wsframe.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SUBPROTOCOL "tidemark.v1.json"

enum { CLOSE_NOT_UTF8 = 1007, CLOSE_TOO_LARGE = 1009 };

/*  -- upgrade --------------------------------------------------------------------------------- */

/*  True if the list, as in Sec-WebSocket-Protocol, names the one we speak. */
static bool names_subprotocol (const char *list)
{
    while (*list) {
        list += strspn (list, ", \t");
        size_t size = strcspn (list, ", \t");
        if (size == strlen (SUBPROTOCOL) && memcmp (list, SUBPROTOCOL, size) == 0)
            return true;
        list += size;
    }
    return false;
}

static bool header_is (struct lws *wsi, enum lws_token_indexes token, const char *text)
{
    tide_buffer_t value = {0};
    tide_web_header (wsi, token, &value);
    bool is_equal = tide_bytes_is (tide_buffer_bytes (&value), text);
    tide_buffer_free (&value);
    return is_equal;
}

/*  The query's value for a name into a buffer of its own; empty where it says nothing. */
static tide_bytes_t parameter (tide_bytes_t query, const char *name, tide_buffer_t *value)
{
    tide_query_get (query, name, 0, value);
    return tide_buffer_bytes (value);
}

/*  -1, or Engine.IO's code for what is wrong with this handshake. */
int tide_socket_engineio_check (struct lws *wsi, const char *method, bool is_websocket)
{
    tide_buffer_t query = {0}, transport = {0}, eio = {0}, sid = {0};
    tide_web_query (wsi, &query);
    tide_bytes_t whole = tide_buffer_bytes (&query);
    tide_engineio_request_t request = {
        .method = tide_bytes (method),
        .transport = parameter (whole, "transport", &transport),
        .eio = parameter (whole, "EIO", &eio),
        .sid = parameter (whole, "sid", &sid),
        .is_websocket = is_websocket,
    };
    int code = tide_engineio_check (&request);
    tide_buffer_free (&query);
    tide_buffer_free (&transport);
    tide_buffer_free (&eio);
    tide_buffer_free (&sid);
    return code;
}

static void refuse_engineio (tide_client_t *client, int code)
{
    tide_buffer_t body = {0};
    tide_engineio_refusal (&body, code);
    tide_put_u8 (&body, 0);
    tide_web_refuse (client, code == TIDE_ENGINEIO_FORBIDDEN ? 403 : 400, "application/json",
                     (const char *) body.data);
    tide_buffer_free (&body);
}

/*  What the handshake asks of libwebsockets, which would hang up without a word. */
static const char *handshake_fault (struct lws *wsi, const char *method)
{
    if (strcmp (method, "GET") != 0)
        return "a WebSocket begins with GET";
    if (!header_is (wsi, WSI_TOKEN_VERSION, "13"))
        return "Sec-WebSocket-Version must be 13";
    if (lws_hdr_total_length (wsi, WSI_TOKEN_KEY) != 24)
        return "Sec-WebSocket-Key must be 16 bytes in base64";
    if (lws_hdr_total_length (wsi, WSI_TOKEN_HOST) <= 0)
        return "there is no Host header";
    return NULL;
}

static const char *subprotocol_fault (tide_client_t *client)
{
    int size = lws_hdr_total_length (client->wsi, WSI_TOKEN_PROTOCOL);
    if (size <= 0)
        return NULL;
    if (client->kind == TIDE_CLIENT_SOCKETIO)
        return "Socket.IO has no subprotocol";
    tide_buffer_t list = {0};
    tide_web_header (client->wsi, WSI_TOKEN_PROTOCOL, &list);
    tide_put_u8 (&list, 0);
    /*  libwebsockets looks at 127 bytes of the list. */
    bool is_named = size < 127 && names_subprotocol ((const char *) list.data);
    tide_buffer_free (&list);
    return is_named ? NULL : "the only subprotocol is " SUBPROTOCOL;
}

/*  0: it may become a WebSocket; -1: refused, answered, to be closed. */
static int confirm (tide_client_t *client, const char *method, tide_bytes_t path)
{
    struct lws *wsi = client->wsi;
    tide_lane_t *lane = client->lane;
    bool is_socketio = tide_web_is_socketio (lane, path);
    if (!is_socketio && !tide_bytes_is (path, "/ws")) {
        lane->counters.refused_path++;
        tide_web_refuse (client, 404, NULL, "there is no WebSocket at this path");
        return -1;
    }
    if (lane->is_stopping) {
        lane->counters.refused_stopping++;
        tide_web_refuse (client, 503, NULL, "the server is stopping: connect again");
        return -1;
    }
    if (!tide_web_origin_is_allowed (client)) {
        lane->counters.refused_origin++;
        if (is_socketio)
            refuse_engineio (client, TIDE_ENGINEIO_FORBIDDEN);
        else
            tide_web_refuse (client, 403, NULL, "pages of this origin are not allowed");
        return -1;
    }
    client->kind = is_socketio ? TIDE_CLIENT_SOCKETIO : TIDE_CLIENT_JSON;
    int code = is_socketio ? tide_socket_engineio_check (wsi, method, true) : -1;
    const char *fault = handshake_fault (wsi, method);
    if (!fault)
        fault = subprotocol_fault (client);
    if (code >= 0)
        refuse_engineio (client, code);
    else if (fault)
        tide_web_refuse (client, 400, NULL, fault);
    else
        return 0;
    lane->counters.refused_handshake++;
    return -1;
}

int tide_socket_confirm (tide_client_t *client)
{
    switch (tide_lws_upgrade (client->wsi)) {
    case TIDE_UPGRADE_STALE:
        client->lane->counters.refused_handshake++;
        return -1;
    case TIDE_UPGRADE_OTHER:
        client->lane->counters.refused_handshake++;
        tide_web_refuse (client, 400, NULL, "the only upgrade is websocket");
        return -1;
    case TIDE_UPGRADE_WEBSOCKET:
        break;
    }
    tide_buffer_t path = {0};
    const char *method;
    tide_web_path (client->wsi, &path, &method);
    int outcome = confirm (client, method, tide_buffer_bytes (&path));
    tide_buffer_free (&path);
    return outcome;
}

int tide_socket_established (tide_client_t *client)
{
    tide_lane_t *lane = client->lane;
    lane->counters.websockets++;
    client->connection = tide_hub_open (lane->hub, tide_lane_now (lane), client->kind, client);
    return 0;
}

/*  -- messages in ----------------------------------------------------------------------------- */

static void message (tide_client_t *client, tide_bytes_t bytes)
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

int tide_socket_receive (tide_client_t *client, tide_bytes_t bytes)
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

void tide_socket_pause (tide_client_t *client, bool is_paused)
{
    if (!client->connection || client->is_closing || client->is_paused == is_paused)
        return;
    client->is_paused = is_paused;
    lws_rx_flow_control (client->wsi, is_paused ? 0 : 1);
    if (is_paused)
        tide_client_watch (client, 0);
    else
        tide_client_unwatch (client);
}

/*  -- writes out ------------------------------------------------------------------------------ */

/*  Whole frames, as they are (Q9). */
static int write_frames (tide_client_t *client, tide_bytes_t frames)
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
static int say_goodbye (tide_client_t *client)
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

int tide_socket_writable (tide_client_t *client)
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

void tide_socket_close (tide_client_t *client, uint16_t code)
{
    if (!client->connection || client->is_closing || client->is_peer_closing)
        return;
    client->is_closing = true;
    client->close_code = code;
    tide_client_watch (client, TIDE_CLOSE_MS);
    lws_callback_on_writable (client->wsi);
}

int tide_socket_peer_closes (tide_client_t *client)
{
    /*  Its answer to our close frame: all is said. Else libwebsockets answers. */
    if (client->is_close_sent)
        return -1;
    client->is_peer_closing = true;
    tide_client_watch (client, TIDE_CLOSE_MS);
    return 0;
}

void tide_socket_gone (tide_client_t *client)
{
    tide_socket_forget_writable (client);
    tide_buffer_free (&client->message);
    if (!client->connection)
        return;
    tide_lane_t *lane = client->lane;
    lane->counters.websockets--;
    tide_hub_closed (lane->hub, tide_lane_now (lane), &client->connection);
    client->connection = NULL;
}
