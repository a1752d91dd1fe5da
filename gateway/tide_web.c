/*  tide_web.c - a lane's HTTP: what is asked, who answers it, and the answer on its way.
 *
 *  Every connection begins here. Files and refusals are answered at once; the API, health and
 *  metrics by the hub, maybe later; an upgrade to WebSocket leaves for libwebsockets, whose own
 *  HTTP is not used (see tide_lws_quirks.h, Q1). While a request is being answered nothing more is
 *  read from its client, so what one pipelines waits in the kernel.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lane_internal.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_http.h"
#include "tide_origin.h"
#include "tide_request.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/*  Times that a client has: to begin and finish a request's head, for each part of a body, between
 *  two requests, to take any part of an answer. Behind a refusal its bytes are thrown away for a
 *  while, so that it sees the answer and not a reset connection. */
#define HEAD_MS 10000
#define BODY_MS 15000
#define IDLE_MS 60000
#define ANSWER_MS 30000
#define DISCARD_MS 2000

#define PREFLIGHT_HEADERS_MAX 1024
/*  What a stream that stood still keeps of its memory. */
#define STREAM_KEEP_SIZE 65536

/*  What a callback is to do with the connection. */
typedef enum { GO_ON, CLOSE, GONE } outcome_t;

typedef enum {
    WEB_HEAD,      /* between requests, or a request's head is coming */
    WEB_BODY,      /* its body is coming */
    WEB_HELD,      /* the hub has it */
    WEB_ANSWERING, /* the client takes the answer */
    WEB_STREAMING, /* … which has no end: Server-Sent Events */
    WEB_DISCARDING /* answered; what still comes is thrown away before the end */
} web_state_t;

typedef enum {
    KIND_FILE,
    KIND_API,
    KIND_HEALTH,
    KIND_METRICS,
    KIND_SOCKETIO,
    KIND_WS,
    KIND_EVENTS
} web_kind_t;

/*  A connection as long as it speaks HTTP. */
struct tide_web {
    tide_lane_client_t *client;
    web_state_t state;
    ev_io readable, writable;
    tide_buffer_t in; /* what came and was not taken yet: a head at most, and what is behind it */
    size_t head_size; /* of it, the head that is being looked at */

    /*  The request under way. */
    web_kind_t kind;
    uint64_t ticket; /* the hub's, if it has the request: WEB_HELD, or the body is for it; else 0 */
    UT_hash_handle hh;
    bool is_read, is_head_only;
    bool is_http10, is_kept;
    char key[32]; /* of a handshake … */
    bool has_protocol;
    bool is_ready; /* in the lane's list of those that have something to be read */
    bool has_more; /* WEB_STREAMING: there is more to be said than is on its way */
    bool has_rest; /* a body may still come that nobody waits for */
    bool is_origin_allowed, has_credentials;
    tide_buffer_t method, path, query, origin, body;
    uint64_t length;

    tide_buffer_t head, own_content;
    tide_bytes_t content; /* own_content, or a file's */
    size_t sent;
};

static outcome_t process (tide_lane_client_t *client);

/*  -- connections ----------------------------------------------------------------------------- */

static void on_readable (struct ev_loop *loop, ev_io *io, int events);
static void on_writable (struct ev_loop *loop, ev_io *io, int events);

void tide_web_open (tide_lane_client_t *client, int fd)
{
    tide_web_t *web = tide_alloc (sizeof *web);
    web->client = client;
    client->web = web;
    ev_io_init (&web->readable, on_readable, fd, EV_READ);
    ev_io_init (&web->writable, on_writable, fd, EV_WRITE);
    web->readable.data = web->writable.data = client;
    ev_io_start (client->lane->loop, &web->readable);
    tide_lane_client_watch (client, HEAD_MS);
}

/*  Forgets the request; the buffers keep their memory where they are small. */
static void request_reset (tide_web_t *web)
{
    tide_buffer_t *buffers[] = {&web->method, &web->path, &web->query,      &web->origin,
                                &web->body,   &web->head, &web->own_content};
    for (size_t at = 0; at < sizeof buffers / sizeof buffers[0]; at++) {
        if (buffers[at]->capacity > 4096)
            tide_buffer_free (buffers[at]);
        buffers[at]->size = 0;
    }
    web->content = (tide_bytes_t){0};
    web->sent = 0;
    web->length = 0;
    web->has_rest = false;
}

static void forget_ready (tide_lane_client_t *client);

/*  Leaves HTTP, with the socket still open. */
static void web_destroy (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    forget_ready (client);
    if (web->ticket != 0) {
        HASH_DEL (lane->held, web);
        lane->counters.requests_abandoned++;
        tide_hub_abandon (lane->hub, web->ticket);
    }
    if (client->connection) {
        lane->counters.streams--;
        tide_hub_closed (lane->hub, tide_lane_now (lane), &client->connection);
        client->connection = NULL;
    }
    ev_io_stop (lane->loop, &web->readable);
    ev_io_stop (lane->loop, &web->writable);
    tide_lane_client_unwatch (client);
    tide_buffer_t *buffers[] = {&web->in,     &web->method, &web->path, &web->query,
                                &web->origin, &web->body,   &web->head, &web->own_content};
    for (size_t at = 0; at < sizeof buffers / sizeof buffers[0]; at++)
        tide_buffer_free (buffers[at]);
    free (web);
    client->web = NULL;
}

void tide_web_close (tide_lane_client_t *client)
{
    int fd = client->web->readable.fd;
    web_destroy (client);
    close (fd);
    tide_lane_client_destroy (client);
}

bool tide_web_is_busy (const tide_lane_client_t *client)
{
    return client->web->state == WEB_HELD || client->web->state == WEB_ANSWERING;
}

void tide_web_sweep (tide_lane_client_t *client, bool is_due)
{
    /*  While nothing is read from it, nothing would tell. */
    if (is_due
        || ((tide_web_is_busy (client) || client->web->state == WEB_STREAMING)
            && !ev_is_active (&client->web->readable)
            && tide_lane_client_has_left (client->web->readable.fd)))
        tide_web_close (client);
}

/*  -- the answer on its way ------------------------------------------------------------------- */

static outcome_t stream_on (tide_lane_client_t *client);

/*  All is out. */
static outcome_t finish (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    struct ev_loop *loop = client->lane->loop;
    client->lane->counters.answer_bytes += web->sent;
    ev_io_stop (loop, &web->writable);
    if (web->state == WEB_STREAMING)
        return stream_on (client);
    if (web->is_kept) {
        request_reset (web);
        web->state = WEB_HEAD;
        ev_io_start (loop, &web->readable);
        tide_lane_client_watch (client, IDLE_MS);
        return GO_ON;
    }
    /*  Closed with something unread, the client would be told of a reset connection. */
    if (!web->has_rest && web->in.size <= web->head_size)
        return CLOSE;
    shutdown (web->readable.fd, SHUT_WR);
    web->state = WEB_DISCARDING;
    web->in.size = 0;
    ev_io_start (loop, &web->readable);
    tide_lane_client_watch (client, DISCARD_MS);
    return GO_ON;
}

/*  What the hub has lent us is ours from here on. */
static void keep_rest (tide_web_t *web)
{
    size_t content_at = web->sent > web->head.size ? web->sent - web->head.size : 0;
    if (web->content.size == 0 || web->content.data == web->own_content.data)
        return;
    tide_buffer_append (&web->own_content, web->content.data + content_at,
                        web->content.size - content_at);
    web->content = tide_buffer_bytes (&web->own_content);
    web->sent -= content_at;
}

/*  Sends what the client takes. */
static outcome_t pump (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    while (web->sent < web->head.size + web->content.size) {
        size_t head_at = web->sent < web->head.size ? web->sent : web->head.size;
        size_t content_at = web->sent - head_at;
        struct iovec parts[2] = {
            {web->head.data + head_at, web->head.size - head_at},
            {(void *) (uintptr_t) (web->content.data + content_at), web->content.size - content_at},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = web->content.size > 0 ? 2 : 1};
        ssize_t sent = sendmsg (web->readable.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            web->sent += (size_t) sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return CLOSE;
        /*  A stream may stand still as long as its client does: its lag is only a position. */
        if (web->state == WEB_STREAMING)
            keep_rest (web);
        tide_lane_client_watch (client, web->state == WEB_STREAMING ? 0 : ANSWER_MS);
        ev_io_start (client->lane->loop, &web->writable);
        return GO_ON;
    }
    return finish (client);
}

/*  What was said is out: says the rest, or waits for more. */
static outcome_t stream_on (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    web->head.size = web->own_content.size = web->sent = 0;
    if (web->own_content.capacity > STREAM_KEEP_SIZE)
        tide_buffer_free (&web->own_content);
    web->content = (tide_bytes_t){0};
    if (web->has_more) {
        web->has_more = false;
        web->content = tide_hub_write (lane->hub, tide_lane_now (lane), client->connection);
        if (web->content.size > 0)
            return pump (client);
    }
    return client->is_closing ? CLOSE : GO_ON;
}

static bool is_sending (const tide_web_t *web)
{
    return web->sent < web->head.size + web->content.size;
}

void tide_web_writable (tide_lane_client_t *client)
{
    client->web->has_more = true;
    if (!is_sending (client->web) && stream_on (client) == CLOSE)
        tide_web_close (client);
}

void tide_web_end_stream (tide_lane_client_t *client)
{
    client->is_closing = true;
    tide_lane_client_watch (client, TIDE_CLOSE_MS);
    tide_web_writable (client);
}

static const char *reason_of (unsigned http_status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {507, "Insufficient Storage"},
    };
    for (size_t at = 0; at < sizeof reasons / sizeof reasons[0]; at++)
        if (reasons[at].status == http_status)
            return reasons[at].reason;
    return "-";
}

static void count_answer (tide_lane_counters_t *counters, unsigned http_status)
{
    if (http_status >= 500)
        counters->answers_5xx++;
    else if (http_status >= 400)
        counters->answers_4xx++;
    else if (http_status >= 300)
        counters->answers_3xx++;
    else
        counters->answers_2xx++;
}

/*  What every answer's head ends with. */
static void end_head (tide_web_t *web)
{
    tide_buffer_t *head = &web->head;
    if (web->origin.size > 0 && web->is_origin_allowed)
        tide_buffer_printf (head, "Access-Control-Allow-Origin: %.*s\r\n",
                            TIDE_PRINT (web->origin));
    if (web->has_credentials)
        tide_buffer_append_text (head, "Access-Control-Allow-Credentials: true\r\n");
    /*  Also where none was named: a cache would give it to a page that needs to be allowed. */
    tide_buffer_append_text (head, "Vary: Origin\r\n");
    if (!web->is_kept)
        tide_buffer_append_text (head, "Connection: close\r\n");
    else if (web->is_http10)
        tide_buffer_append_text (head, "Connection: keep-alive\r\n");
    tide_buffer_append_text (head, "\r\n");
}

/*  Begins the answer, whose content is in place; `extra` is whole header lines. */
static outcome_t answer (tide_lane_client_t *client, unsigned http_status, const char *type,
                         const char *extra)
{
    tide_web_t *web = client->web;
    tide_buffer_t *head = &web->head;
    count_answer (&client->lane->counters, http_status);
    if (web->has_rest)
        web->is_kept = false;
    tide_buffer_printf (head, "HTTP/1.1 %u %s\r\n%s", http_status, reason_of (http_status), extra);
    if (http_status != 204 && http_status != 304)
        tide_buffer_printf (head, "Content-Length: %zu\r\n", web->content.size);
    if (type)
        tide_buffer_printf (head, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n", type);
    end_head (web);
    if (web->is_head_only)
        web->content.size = 0;
    web->state = WEB_ANSWERING;
    ev_io_stop (client->lane->loop, &web->readable);
    return pump (client);
}

static tide_status_t code_of (unsigned http_status)
{
    switch (http_status) {
    case 403:
        return TIDE_FORBIDDEN;
    case 404:
        return TIDE_NOT_FOUND;
    case 413:
    case 431:
        return TIDE_TOO_LARGE;
    case 503:
        return TIDE_SHUTTING_DOWN;
    default:
        return TIDE_BAD_REQUEST;
    }
}

static outcome_t refuse (tide_lane_client_t *client, unsigned http_status, const char *message,
                         const char *extra)
{
    tide_web_t *web = client->web;
    tide_json_error (&web->own_content, code_of (http_status), message);
    web->content = tide_buffer_bytes (&web->own_content);
    char headers[200];
    snprintf (headers, sizeof headers, "Cache-Control: no-store\r\n%s", extra);
    return answer (client, http_status, "application/json", headers);
}

/*  -- who answers ----------------------------------------------------------------------------- */

static outcome_t serve_file (tide_lane_client_t *client, const tide_file_t *file,
                             const tide_request_t *request)
{
    tide_web_t *web = client->web;
    if (!web->is_read) {
        client->lane->counters.refused_method++;
        return refuse (client, 405, "a file is only to be read", "Allow: GET, HEAD\r\n");
    }
    client->lane->counters.requests_file++;
    char extra[PATH_MAX + 32];
    if (file->location) {
        snprintf (extra, sizeof extra, "Location: %s\r\n", file->location);
        return answer (client, 301, NULL, extra);
    }
    snprintf (extra, sizeof extra, "ETag: %s\r\nCache-Control: no-cache\r\n", file->etag);
    if (tide_request_knows (request->if_none_match, file->etag))
        return answer (client, 304, NULL, extra);
    web->content = tide_buffer_bytes (&file->bytes);
    return answer (client, 200, file->type, extra);
}

/*  Which headers a page may send is for the server that looks at them to say; we look at three, and
 *  let pages send the others as well, as the reference does. */
static outcome_t preflight (tide_lane_client_t *client, const tide_request_t *request)
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
    return answer (client, 204, NULL, headers);
}

static void give_to_hub (tide_lane_client_t *client, uint64_t ticket)
{
    tide_web_t *web = client->web;
    web->ticket = ticket;
    HASH_ADD (hh, client->lane->held, ticket, sizeof web->ticket, web);
}

/*  The whole request is here: the hub has it. */
static outcome_t dispatch (tide_lane_client_t *client)
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
    web->state = WEB_HELD;
    ev_io_stop (lane->loop, &web->readable);
    tide_lane_client_watch (client, 0);
    if (web->ticket != 0)
        tide_hub_body (lane->hub, tide_lane_now (lane), web->ticket, asked.body);
    else
        give_to_hub (client, tide_hub_request (lane->hub, tide_lane_now (lane), &asked));
    return GO_ON;
}

static outcome_t await_body (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    web->state = WEB_BODY;
    web->length = request->length;
    tide_lane_client_watch (client, BODY_MS);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request->has_expect && !web->is_http10
        && send (web->readable.fd, go_on, strlen (go_on), MSG_DONTWAIT | MSG_NOSIGNAL)
               != (ssize_t) strlen (go_on))
        return CLOSE;
    return GO_ON;
}

/*  Refuses a body that says not how long it is, or is too long. GONE: it may come. */
static outcome_t check_body (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    if (tide_bytes_is (request->method, "POST") && !request->has_length) {
        counters->refused_length++;
        web->has_rest = true;
        return refuse (client, 411, "a body needs a Content-Length", "");
    }
    if (request->length <= client->lane->config.config->payload_max)
        return GONE;
    counters->refused_size++;
    char message[96];
    snprintf (message, sizeof message, "the body is above the limit of %llu bytes",
              (unsigned long long) client->lane->config.config->payload_max);
    return refuse (client, 413, message, "");
}

/*  Refuses what the hub need not see; KIND_API, KIND_HEALTH and KIND_METRICS. */
static outcome_t ask_hub (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool is_post = web->kind == KIND_API && tide_bytes_is (request->method, "POST");
    if (!web->is_read && !is_post) {
        counters->refused_method++;
        return web->kind == KIND_API ? refuse (client, 405, "the API is asked by GET and POST",
                                               "Allow: GET, HEAD, POST, OPTIONS\r\n")
                                     : refuse (client, 405, "this is only to be read",
                                               "Allow: GET, HEAD, OPTIONS\r\n");
    }
    outcome_t outcome = check_body (client, request);
    if (outcome != GONE)
        return outcome;
    if (web->kind == KIND_API)
        counters->requests_api++;
    else if (web->kind == KIND_HEALTH)
        counters->requests_health++;
    else
        counters->requests_metrics++;
    return request->length > 0 ? await_body (client, request) : dispatch (client);
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
static outcome_t ask_engineio (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    outcome_t outcome = check_body (client, request);
    if (outcome != GONE)
        return outcome;
    lane->counters.requests_polling++;
    tide_http_request_t asked = engineio_request (request);
    give_to_hub (client, tide_hub_engineio (lane->hub, tide_lane_now (lane), &asked));
    if (request->length > 0)
        return await_body (client, request);
    if (!tide_bytes_is (request->method, "GET"))
        return dispatch (client);
    web->state = WEB_HELD; /* and goes on watching: a client that leaves is missed at once */
    tide_lane_client_watch (client, 0);
    return GO_ON;
}

/*  KIND_EVENTS: an answer that goes on until one of both leaves. */
static outcome_t open_stream (tide_lane_client_t *client, const tide_request_t *request)
{
    static const char headers[] = "Content-Type: text/event-stream\r\n"
                                  "Cache-Control: no-store\r\n"
                                  "X-Accel-Buffering: no\r\n";
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    if (!tide_bytes_is (request->method, "GET")) {
        lane->counters.refused_method++;
        return refuse (client, 405, "a stream is only to be read", "Allow: GET, OPTIONS\r\n");
    }
    /*  A refusal would be final to a browser; where nobody answers it comes again. */
    if (lane->is_stopping) {
        lane->counters.refused_stopping++;
        return CLOSE;
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
        web->state = WEB_HELD;
        return GO_ON;
    }
    lane->counters.streams++;
    web->is_kept = false;
    tide_buffer_printf (&web->head, "HTTP/1.1 200 OK\r\n%s", headers);
    count_answer (&lane->counters, 200);
    end_head (web);
    web->state = WEB_STREAMING; /* and goes on watching, as with a poll */
    return pump (client);
}

static outcome_t refuse_engineio (tide_lane_client_t *client, int code, bool is_websocket)
{
    tide_web_t *web = client->web;
    client->lane->counters.refused_handshake++;
    tide_engineio_refusal (&web->own_content, code, is_websocket);
    web->content = tide_buffer_bytes (&web->own_content);
    web->is_kept = web->is_kept && !is_websocket;
    return answer (client, code == TIDE_ENGINEIO_FORBIDDEN ? 403 : 400,
                   is_websocket ? "text/html" : "application/json", "Cache-Control: no-store\r\n");
}

/*  For libwebsockets, with what the client has sent behind its request. */
static outcome_t leave (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_buffer_t early = {0};
    tide_buffer_append (&early, web->in.data + web->head_size, web->in.size - web->head_size);
    char key[sizeof web->key];
    memcpy (key, web->key, sizeof key);
    bool has_protocol = web->has_protocol;
    int fd = web->readable.fd;
    web_destroy (client);
    tide_socket_adopt (client, fd, key, has_protocol, tide_buffer_bytes (&early));
    tide_buffer_free (&early);
    return GONE;
}

/*  KIND_SOCKETIO and KIND_WS: a WebSocket, or nothing. */
static outcome_t upgrade (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool is_socketio = web->kind == KIND_SOCKETIO;
    tide_http_request_t asked = engineio_request (request);
    int code = is_socketio ? tide_hub_check_handshake (client->lane->hub, &asked) : -1;
    bool is_far = code == TIDE_HANDSHAKE_FAR;
    if (code >= 0)
        return refuse_engineio (client, code, request->is_websocket);
    if (!request->is_websocket) {
        counters->refused_handshake++;
        return refuse (client, 426, "this path is for WebSocket", "Upgrade: websocket\r\n");
    }
    if (client->lane->is_stopping) {
        counters->refused_stopping++;
        return refuse (client, 503, "the server is stopping: connect again", "");
    }
    const char *fault = tide_socket_fault (request, is_socketio);
    if (fault || web->has_rest) {
        counters->refused_handshake++;
        return refuse (client, 400, fault ? fault : "a handshake has no body",
                       "Sec-WebSocket-Version: 13\r\n");
    }
    snprintf (web->key, sizeof web->key, "%.*s", TIDE_PRINT (request->websocket_key));
    web->has_protocol = request->websocket_protocol.size > 0;
    client->kind = is_socketio ? TIDE_CLIENT_SOCKETIO : TIDE_CLIENT_JSON;
    if (is_socketio)
        tide_query_get (request->query, "sid", 0, &client->engine_sid);
    if (!is_far)
        return leave (client);
    /*  Another lane knows whether there is such a session. */
    give_to_hub (client,
                 tide_hub_ask_handshake (client->lane->hub, tide_lane_now (client->lane), &asked));
    web->state = WEB_HELD;
    tide_lane_client_watch (client, 0);
    return GO_ON;
}

static web_kind_t kind_of (const tide_lane_t *lane, tide_bytes_t path)
{
    static const char api[] = "/api/";
    if (path.size >= strlen (api) && memcmp (path.data, api, strlen (api)) == 0)
        return KIND_API;
    if (tide_bytes_is (path, "/healthz") || tide_bytes_is (path, "/readyz"))
        return KIND_HEALTH;
    if (tide_bytes_is (path, "/metrics"))
        return KIND_METRICS;
    if (tide_bytes_is (path, "/ws"))
        return KIND_WS;
    if (tide_bytes_is (path, "/events"))
        return KIND_EVENTS;
    /*  All that lies under it, but for the files there, as in the reference. */
    tide_bytes_t socketio = tide_bytes (lane->config.config->socketio_path);
    bool is_under =
        path.size >= socketio.size && memcmp (path.data, socketio.data, socketio.size) == 0;
    socketio.size--; /* without its slash */
    if (is_under && !tide_files_find (lane->config.files, path))
        return KIND_SOCKETIO;
    return tide_bytes_equal (path, socketio) ? KIND_SOCKETIO : KIND_FILE;
}

/*  A whole head is here. */
static outcome_t route (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_lane_t *lane = client->lane;
    if (!tide_percent_decode (request->path, false, &web->path))
        return refuse (client, 400, "the path has a malformed % escape", "");
    if (request->has_coding) {
        lane->counters.refused_length++;
        web->has_rest = true;
        return refuse (client, 411, "a body needs a Content-Length, not a Transfer-Encoding", "");
    }
    web->kind = kind_of (lane, tide_buffer_bytes (&web->path));
    if (web->kind == KIND_FILE) {
        const tide_file_t *file =
            tide_files_find (lane->config.files, tide_buffer_bytes (&web->path));
        if (file)
            return serve_file (client, file, request);
        lane->counters.refused_path++;
        return refuse (client, 404, "there is nothing at this path", "");
    }
    if (!web->is_origin_allowed) {
        lane->counters.refused_origin++;
        return web->kind == KIND_SOCKETIO
                   ? refuse_engineio (client, TIDE_ENGINEIO_FORBIDDEN, request->is_websocket)
                   : refuse (client, 403, "pages of this origin are not allowed", "");
    }
    if (tide_bytes_is (request->method, "OPTIONS"))
        return preflight (client, request);
    if (web->kind == KIND_EVENTS)
        return open_stream (client, request);
    if (web->kind == KIND_SOCKETIO && !request->is_websocket)
        return ask_engineio (client, request);
    if (web->kind == KIND_SOCKETIO || web->kind == KIND_WS)
        return upgrade (client, request);
    return ask_hub (client, request);
}

/*  -- what is asked --------------------------------------------------------------------------- */

/*  Keeps of the head what is needed when its bytes are gone. */
static void request_begin (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    request_reset (web);
    tide_buffer_append_bytes (&web->method, request->method);
    tide_buffer_append_bytes (&web->query, request->query);
    tide_buffer_append_bytes (&web->origin, request->origin);
    web->is_head_only = tide_bytes_is (request->method, "HEAD");
    web->is_read = web->is_head_only || tide_bytes_is (request->method, "GET");
    web->is_http10 = request->is_http10;
    web->is_kept = request->is_kept;
    web->has_rest = request->length > 0;
    const char *const *allowed = (const char *const *) client->lane->config.config->allow_origin;
    web->is_origin_allowed = tide_origin_is_allowed (request->origin, request->host, allowed);
    web->has_credentials = tide_origin_has_credentials (request->origin, allowed);
}

static void take (tide_buffer_t *buffer, size_t size)
{
    buffer->size -= size;
    memmove (buffer->data, buffer->data + size, buffer->size);
}

static outcome_t process_head (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_request_t request;
    size_t head_size = 0;
    const char *why;
    tide_request_outcome_t outcome =
        tide_request_parse (tide_buffer_bytes (&web->in), &request, &head_size, &why);
    if (outcome == TIDE_REQUEST_PARTIAL)
        return GO_ON;
    if (outcome != TIDE_REQUEST_WHOLE) {
        request_begin (client, &(tide_request_t){0});
        web->is_kept = false;
        web->has_rest = true;
        return refuse (client, outcome == TIDE_REQUEST_TOO_LARGE ? 431 : 400, why, "");
    }
    request_begin (client, &request);
    web->head_size = head_size;
    outcome_t result = route (client, &request);
    if (result != GO_ON)
        return result;
    if (web->state != WEB_DISCARDING)
        take (&web->in, head_size);
    web->head_size = 0;
    return GO_ON;
}

static outcome_t process_body (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    size_t missing = (size_t) web->length - web->body.size;
    size_t there = web->in.size < missing ? web->in.size : missing;
    tide_buffer_append (&web->body, web->in.data, there);
    take (&web->in, there);
    return there == missing ? dispatch (client) : GO_ON;
}

/*  Takes as much of what came as can be taken now. */
static outcome_t process (tide_lane_client_t *client)
{
    for (;;) {
        tide_web_t *web = client->web;
        web_state_t state = web->state;
        size_t size = web->in.size;
        outcome_t outcome = GO_ON;
        if (size > 0 && state == WEB_HEAD)
            outcome = process_head (client);
        else if (size > 0 && state == WEB_BODY)
            outcome = process_body (client);
        if (outcome != GO_ON || (web->state == state && web->in.size == size))
            return outcome;
    }
}

/*  Reads what the state has use for, and no more. False if the connection has ended. */
static bool receive (tide_web_t *web)
{
    static _Thread_local uint8_t waste[65536];
    uint8_t *to = waste;
    size_t room = sizeof waste;
    if (web->state == WEB_HEAD) {
        room = TIDE_REQUEST_HEAD_MAX - web->in.size;
        to = tide_buffer_reserve (&web->in, room);
    }
    else if (web->state == WEB_BODY) {
        size_t missing = (size_t) web->length - web->body.size;
        room = missing < sizeof waste ? missing : sizeof waste;
        to = tide_buffer_reserve (&web->body, room);
    }
    ssize_t got = recv (web->readable.fd, to, room, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (web->state == WEB_HEAD) {
        if (web->in.size == 0) /* a request begins */
            tide_lane_client_watch (web->client, HEAD_MS);
        web->in.size += (size_t) got;
    }
    else if (web->state == WEB_BODY) {
        web->body.size += (size_t) got;
        tide_lane_client_watch (web->client, BODY_MS);
    }
    return true;
}

/*  A client that waits for its answer either leaves, or sends what we do not look at yet. */
static outcome_t look (tide_lane_client_t *client)
{
    uint8_t byte;
    ev_io *readable = &client->web->readable;
    ssize_t got = recv (readable->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        ev_io_stop (client->lane->loop, readable);
    bool is_there =
        got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
    return is_there ? GO_ON : CLOSE;
}

/*  libev calls what is ready in the opposite order in which it became so, and to answer in that
 * order would turn round what a client sends over two connections: a GET, and the POST that closes.
 * So the last one is put first here, and all are served when all are known. */
static void on_readable (struct ev_loop *loop, ev_io *io, int events)
{
    (void) loop;
    (void) events;
    tide_lane_client_t *client = io->data;
    tide_web_t *web = client->web;
    if (web->is_ready)
        return;
    web->is_ready = true;
    DL_PREPEND2 (client->lane->ready, client, ready_prev, ready_next);
}

static void forget_ready (tide_lane_client_t *client)
{
    if (client->web->is_ready)
        DL_DELETE2 (client->lane->ready, client, ready_prev, ready_next);
    client->web->is_ready = false;
}

static void serve (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    outcome_t outcome;
    if (web->state == WEB_HELD || web->state == WEB_STREAMING)
        outcome = look (client);
    else
        outcome = receive (web) ? GO_ON : CLOSE;
    if (outcome == GO_ON && web->state == WEB_BODY && web->body.size == web->length)
        outcome = dispatch (client);
    else if (outcome == GO_ON)
        outcome = process (client);
    if (outcome == CLOSE)
        tide_web_close (client);
}

void tide_web_serve (tide_lane_t *lane)
{
    while (lane->ready) {
        tide_lane_client_t *client = lane->ready;
        forget_ready (client);
        if (ev_is_active (&client->web->readable)) /* nothing has stopped it meanwhile */
            serve (client);
    }
}

static void on_writable (struct ev_loop *loop, ev_io *io, int events)
{
    (void) loop;
    (void) events;
    tide_lane_client_t *client = io->data;
    outcome_t outcome = pump (client);
    if (outcome == GO_ON)
        outcome = process (client);
    if (outcome == CLOSE)
        tide_web_close (client);
}

void tide_web_respond (tide_lane_t *lane, const tide_hub_action_t *action)
{
    tide_web_t *web;
    HASH_FIND (hh, lane->held, &action->ticket, sizeof action->ticket, web);
    if (!web) /* abandoned */
        return;
    HASH_DEL (lane->held, web);
    web->ticket = 0;
    web->has_rest = web->state == WEB_BODY; /* refused by its head */
    tide_lane_client_t *client = web->client;
    if (action->http_status == 101) {
        leave (client);
        return;
    }
    tide_buffer_append_bytes (&web->own_content, action->bytes);
    web->content = tide_buffer_bytes (&web->own_content);
    outcome_t outcome =
        answer (client, action->http_status, action->type ? action->type : "application/json",
                "Cache-Control: no-store\r\n");
    if (outcome == GO_ON)
        outcome = process (client);
    if (outcome == CLOSE)
        tide_web_close (client);
}
