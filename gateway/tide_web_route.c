/*  tide_web_route.c - who answers a request: a file, the hub, or libwebsockets.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_web_internal.h"

#include "tide_http.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define PREFLIGHT_HEADERS_MAX 1024

static tide_web_outcome_t serve_file (tide_lane_client_t *client, const tide_file_t *file,
                                      const tide_request_t *request)
{
    tide_web_t *web = client->web;
    if (!web->is_read) {
        client->lane->counters.refused_method++;
        return tide_web_refuse (client, 405, "a file is only to be read", "Allow: GET, HEAD\r\n");
    }
    client->lane->counters.requests_file++;
    char extra[PATH_MAX + 32];
    if (file->location) {
        snprintf (extra, sizeof extra, "Location: %s\r\n", file->location);
        return tide_web_answer (client, 301, NULL, extra);
    }
    snprintf (extra, sizeof extra, "ETag: %s\r\nCache-Control: no-cache\r\n", file->etag);
    if (tide_request_knows (request->if_none_match, file->etag))
        return tide_web_answer (client, 304, NULL, extra);
    web->content = tide_buffer_bytes (&file->bytes);
    return tide_web_answer (client, 200, file->type, extra);
}

/*  Which headers a page may send is for the server that looks at them to say; we look at three, and
 *  let pages send the others as well, as the reference does. */
static tide_web_outcome_t preflight (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_bytes_t asked = request->preflight_headers;
    if (asked.size == 0 || asked.size > PREFLIGHT_HEADERS_MAX)
        asked = tide_bytes ("Authorization, Content-Type, Last-Event-ID");
    char headers[PREFLIGHT_HEADERS_MAX + 256];
    snprintf (headers, sizeof headers,
              "Allow: GET, HEAD, POST, OPTIONS\r\n"
              "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
              "Access-Control-Allow-Headers: %.*s\r\n"
              "Access-Control-Max-Age: 600\r\n",
              TIDE_PRINT (asked));
    return tide_web_answer (client, 204, NULL, headers);
}

static void give_to_hub (tide_lane_client_t *client, uint64_t ticket)
{
    tide_web_t *web = client->web;
    web->ticket = ticket;
    HASH_ADD (hh, client->lane->held, ticket, sizeof web->ticket, web);
}

/*  The whole request is here: the hub has it. */
tide_web_outcome_t tide_web_dispatch (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    tide_http_request_t asked = {
        .method = web->is_read ? tide_bytes ("GET") : tide_buffer_bytes (&web->method),
        .path = tide_buffer_bytes (&web->path),
        .query = tide_buffer_bytes (&web->query),
        .body = tide_buffer_bytes (&web->body),
    };
    web->has_rest = false;
    web->state = TIDE_WEB_HELD;
    ev_io_stop (lane->loop, &web->readable);
    tide_lane_client_watch (client, 0);
    if (web->ticket != 0)
        tide_hub_body (lane->hub, tide_lane_now (lane), web->ticket, asked.body);
    else
        give_to_hub (client, tide_hub_request (lane->hub, tide_lane_now (lane), &asked));
    return TIDE_WEB_GO_ON;
}

static tide_web_outcome_t await_body (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    web->state = TIDE_WEB_BODY;
    web->length = request->length;
    tide_lane_client_watch (client, TIDE_WEB_BODY_MS);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->has_expect && !web->is_http10
        && send (web->readable.fd, go_on, strlen (go_on), MSG_DONTWAIT | MSG_NOSIGNAL)
               != (ssize_t) strlen (go_on))
        return TIDE_WEB_CLOSE;
    return TIDE_WEB_GO_ON;
}

/*  Refuses a body that says not how long it is, or is too long. TIDE_WEB_GONE: it may come. */
static tide_web_outcome_t check_body (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    if (tide_bytes_is (request->method, "POST") && !request->has_length) {
        counters->refused_length++;
        web->has_rest = true;
        return tide_web_refuse (client, 411, "a body needs a Content-Length", "");
    }
    if (request->length <= client->lane->config.config->payload_max)
        return TIDE_WEB_GONE;
    counters->refused_size++;
    char message[96];
    snprintf (message, sizeof message, "the body is above the limit of %llu bytes",
              (unsigned long long) client->lane->config.config->payload_max);
    return tide_web_refuse (client, 413, message, "");
}

/*  Refuses what the hub need not see; TIDE_WEB_KIND_API, TIDE_WEB_KIND_HEALTH and
 *  TIDE_WEB_KIND_METRICS. */
static tide_web_outcome_t ask_hub (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool is_post = web->kind == TIDE_WEB_KIND_API && tide_bytes_is (request->method, "POST");
    if (!web->is_read && !is_post) {
        counters->refused_method++;
        return web->kind == TIDE_WEB_KIND_API
                   ? tide_web_refuse (client, 405, "the API is asked by GET and POST",
                                      "Allow: GET, HEAD, POST, OPTIONS\r\n")
                   : tide_web_refuse (client, 405, "this is only to be read",
                                      "Allow: GET, HEAD, OPTIONS\r\n");
    }
    tide_web_outcome_t outcome = check_body (client, request);
    if (outcome != TIDE_WEB_GONE)
        return outcome;
    if (web->kind == TIDE_WEB_KIND_API)
        counters->requests_api++;
    else if (web->kind == TIDE_WEB_KIND_HEALTH)
        counters->requests_health++;
    else
        counters->requests_metrics++;
    return request->length > 0 ? await_body (client, request) : tide_web_dispatch (client);
}

static tide_http_request_t engineio_request (const tide_request_t *request)
{
    return (tide_http_request_t){
        .method = request->method,
        .query = request->query,
        .is_binary = tide_bytes_is (request->content_type, "application/octet-stream"),
        .is_websocket = request->is_websocket};
}

/*  Long-polling. The hub hears of a request when its head is there: of two at once one is wrong,
 *  whenever their bodies come. */
static tide_web_outcome_t ask_engineio (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    tide_web_outcome_t outcome = check_body (client, request);
    if (outcome != TIDE_WEB_GONE)
        return outcome;
    lane->counters.requests_polling++;
    tide_http_request_t asked = engineio_request (request);
    give_to_hub (client, tide_hub_engineio (lane->hub, tide_lane_now (lane), &asked));
    if (request->length > 0)
        return await_body (client, request);
    if (!tide_bytes_is (request->method, "GET"))
        return tide_web_dispatch (client);
    web->state = TIDE_WEB_HELD; /* and goes on watching: a client that leaves is missed at once */
    tide_lane_client_watch (client, 0);
    return TIDE_WEB_GO_ON;
}

/*  TIDE_WEB_KIND_EVENTS: an answer that goes on until one of both leaves. */
static tide_web_outcome_t open_stream (tide_lane_client_t *client, const tide_request_t *request)
{
    static const char headers[] = "Content-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\n"
                                  "X-Accel-Buffering: no\r\n";
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    if (!tide_bytes_is (request->method, "GET")) {
        lane->counters.refused_method++;
        return tide_web_refuse (client, 405, "a stream is only to be read",
                                "Allow: GET, OPTIONS\r\n");
    }
    /*  A refusal would be final to a browser; where nobody answers it comes again. */
    if (lane->is_stopping) {
        lane->counters.refused_stopping++;
        return TIDE_WEB_CLOSE;
    }
    lane->counters.requests_events++;
    tide_http_request_t asked = {.method = request->method,
                                 .query = request->query,
                                 .last_event_id = request->last_event_id};
    uint64_t ticket = 0;
    client->connection = tide_hub_stream (lane->hub, tide_lane_now (lane), &asked, client, &ticket);
    tide_lane_client_watch (client, 0);
    if (!client->connection) {
        give_to_hub (client, ticket);
        web->state = TIDE_WEB_HELD;
        return TIDE_WEB_GO_ON;
    }
    lane->counters.streams++;
    web->is_kept = false;
    tide_buffer_printf (&web->head, "HTTP/1.1 200 OK\r\n%s", headers);
    tide_web_count (&lane->counters, 200);
    tide_web_end_head (web);
    web->state = TIDE_WEB_STREAMING; /* and goes on watching, as with a poll */
    return tide_web_pump (client);
}

static tide_web_outcome_t refuse_engineio (tide_lane_client_t *client, int code, bool is_websocket)
{
    tide_web_t *web = client->web;
    client->lane->counters.refused_handshake++;
    tide_engineio_refusal (&web->own_content, code, is_websocket);
    web->content = tide_buffer_bytes (&web->own_content);
    web->is_kept = web->is_kept && !is_websocket;
    return tide_web_answer (client, code == TIDE_ENGINEIO_FORBIDDEN ? 403 : 400,
                            is_websocket ? "text/html" : "application/json",
                            "Cache-Control: no-store\r\n");
}

/*  For libwebsockets, with what the client has sent behind its request. */
tide_web_outcome_t tide_web_leave (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_buffer_t early = {0};
    tide_buffer_append (&early, web->in.data + web->head_size, web->in.size - web->head_size);
    char key[sizeof web->key];
    memcpy (key, web->key, sizeof key);
    bool has_protocol = web->has_protocol;
    int fd = web->readable.fd;
    tide_web_destroy (client);
    tide_socket_adopt (client, fd, key, has_protocol, tide_buffer_bytes (&early));
    tide_buffer_free (&early);
    return TIDE_WEB_GONE;
}

/*  TIDE_WEB_KIND_SOCKETIO and TIDE_WEB_KIND_WS: a WebSocket, or nothing. */
static tide_web_outcome_t upgrade (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool is_socketio = web->kind == TIDE_WEB_KIND_SOCKETIO;
    tide_http_request_t asked = engineio_request (request);
    int code = is_socketio ? tide_hub_check_handshake (client->lane->hub, &asked) : -1;
    bool is_far = code == TIDE_HANDSHAKE_FAR;
    if (code >= 0)
        return refuse_engineio (client, code, request->is_websocket);
    if (!request->is_websocket) {
        counters->refused_handshake++;
        return tide_web_refuse (client, 426, "this path is for WebSocket",
                                "Upgrade: websocket\r\n");
    }
    if (client->lane->is_stopping) {
        counters->refused_stopping++;
        return tide_web_refuse (client, 503, "the server is stopping: connect again", "");
    }
    const char *fault = tide_socket_fault (request, is_socketio);
    if (fault || web->has_rest) {
        counters->refused_handshake++;
        return tide_web_refuse (client, 400, fault ? fault : "a handshake has no body",
                                "Sec-WebSocket-Version: 13\r\n");
    }
    snprintf (web->key, sizeof web->key, "%.*s", TIDE_PRINT (request->websocket_key));
    web->has_protocol = request->websocket_protocol.size > 0;
    client->kind = is_socketio ? TIDE_CLIENT_SOCKETIO : TIDE_CLIENT_JSON;
    if (is_socketio)
        tide_query_get (request->query, "sid", 0, &client->engine_sid);
    if (!is_far)
        return tide_web_leave (client);
    /*  Another lane knows whether there is such a session. */
    give_to_hub (client,
                 tide_hub_ask_handshake (client->lane->hub, tide_lane_now (client->lane), &asked));
    web->state = TIDE_WEB_HELD;
    tide_lane_client_watch (client, 0);
    return TIDE_WEB_GO_ON;
}

static tide_web_kind_t kind_of (const tide_lane_t *lane, tide_bytes_t path)
{
    static const char api[] = "/api/";
    if (path.size >= strlen (api) && memcmp (path.data, api, strlen (api)) == 0)
        return TIDE_WEB_KIND_API;
    if (tide_bytes_is (path, "/healthz") || tide_bytes_is (path, "/readyz"))
        return TIDE_WEB_KIND_HEALTH;
    if (tide_bytes_is (path, "/metrics"))
        return TIDE_WEB_KIND_METRICS;
    if (tide_bytes_is (path, "/ws"))
        return TIDE_WEB_KIND_WS;
    if (tide_bytes_is (path, "/events"))
        return TIDE_WEB_KIND_EVENTS;
    /*  All that lies under it, but for the files there, as in the reference. */
    tide_bytes_t socketio = tide_bytes (lane->config.config->socketio_path);
    bool is_under =
        path.size >= socketio.size && memcmp (path.data, socketio.data, socketio.size) == 0;
    socketio.size--; /* without its slash */
    if (is_under && !tide_files_find (lane->config.files, path))
        return TIDE_WEB_KIND_SOCKETIO;
    return tide_bytes_equal (path, socketio) ? TIDE_WEB_KIND_SOCKETIO : TIDE_WEB_KIND_FILE;
}

/*  A whole head is here. */
tide_web_outcome_t tide_web_route (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    if (!tide_percent_decode (request->path, false, &web->path))
        return tide_web_refuse (client, 400, "the path has a malformed % escape", "");
    if (request->has_coding) {
        lane->counters.refused_length++;
        web->has_rest = true;
        return tide_web_refuse (client, 411,
                                "a body needs a Content-Length, not a Transfer-Encoding", "");
    }
    web->kind = kind_of (lane, tide_buffer_bytes (&web->path));
    if (web->kind == TIDE_WEB_KIND_FILE) {
        const tide_file_t *file =
            tide_files_find (lane->config.files, tide_buffer_bytes (&web->path));
        if (file)
            return serve_file (client, file, request);
        lane->counters.refused_path++;
        return tide_web_refuse (client, 404, "there is nothing at this path", "");
    }
    if (!web->is_origin_allowed) {
        lane->counters.refused_origin++;
        return web->kind == TIDE_WEB_KIND_SOCKETIO
                   ? refuse_engineio (client, TIDE_ENGINEIO_FORBIDDEN, request->is_websocket)
                   : tide_web_refuse (client, 403, "pages of this origin are not allowed", "");
    }
    if (tide_bytes_is (request->method, "OPTIONS"))
        return preflight (client, request);
    if (web->kind == TIDE_WEB_KIND_EVENTS)
        return open_stream (client, request);
    if (web->kind == TIDE_WEB_KIND_SOCKETIO && !request->is_websocket)
        return ask_engineio (client, request);
    if (web->kind == TIDE_WEB_KIND_SOCKETIO || web->kind == TIDE_WEB_KIND_WS)
        return upgrade (client, request);
    return ask_hub (client, request);
}
