/*  tide_web.c - a lane's HTTP: what is asked, who answers it, and the answer on its way.
 *
 *  Files and refusals are answered here; the API, health and metrics by the hub, maybe later. Such
 *  a request is held: libwebsockets does not see its socket until the answer is out (see
 *  tide_lws_quirks.h, Q1).
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lane_internal.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_http.h"
#include "tide_origin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

typedef enum {
    WEB_BODY,      /* its body is coming */
    WEB_HELD,      /* the hub has it */
    WEB_ANSWERING, /* the client takes the answer */
    WEB_DISCARDING /* answered; what still comes is thrown away before the end */
} web_state_t;

typedef enum { KIND_NONE, KIND_API, KIND_HEALTH, KIND_METRICS, KIND_SOCKETIO, KIND_WS } web_kind_t;

struct tide_web_request {
    tide_client_t *client;
    web_state_t state;
    web_kind_t kind;
    uint64_t ticket; /* WEB_HELD: the hub's */
    UT_hash_handle hh;

    const char *method;
    tide_buffer_t path, query, origin, body;
    uint64_t body_size;
    bool is_http10;
    bool is_origin_allowed;
    bool is_kept;   /* the connection lives on behind the answer */
    bool is_unread; /* a body may come that nobody waits for */

    tide_buffer_t head, own_content;
    tide_bytes_t content; /* own_content, or a file's */
    size_t sent;
    ev_io writable;
};

/*  -- what is asked --------------------------------------------------------------------------- */

void tide_web_header (struct lws *wsi, enum lws_token_indexes token, tide_buffer_t *out)
{
    int size = lws_hdr_total_length (wsi, token);
    if (size <= 0)
        return;
    char *at = (char *) tide_buffer_reserve (out, (size_t) size + 1);
    int copied = lws_hdr_copy (wsi, at, size + 1, token);
    if (copied > 0)
        out->size += (size_t) copied;
}

void tide_web_path (struct lws *wsi, tide_buffer_t *out, const char **method)
{
    static const struct {
        enum lws_token_indexes token;
        const char *name;
    } methods[] = {
        {WSI_TOKEN_GET_URI, "GET"},         {WSI_TOKEN_POST_URI, "POST"},
        {WSI_TOKEN_OPTIONS_URI, "OPTIONS"}, {WSI_TOKEN_HEAD_URI, "HEAD"},
        {WSI_TOKEN_PUT_URI, "PUT"},         {WSI_TOKEN_PATCH_URI, "PATCH"},
        {WSI_TOKEN_DELETE_URI, "DELETE"},
    };
    *method = "";
    for (size_t at = 0; at < sizeof methods / sizeof methods[0]; at++) {
        if (lws_hdr_total_length (wsi, methods[at].token) > 0) {
            *method = methods[at].name;
            tide_web_header (wsi, methods[at].token, out);
            return;
        }
    }
}

/*  libwebsockets has split and decoded it: this puts it together again, encoded. */
void tide_web_query (struct lws *wsi, tide_buffer_t *out)
{
    int whole = lws_hdr_total_length (wsi, WSI_TOKEN_HTTP_URI_ARGS);
    if (whole <= 0)
        return;
    size_t room = (size_t) whole + 1;
    char *part = tide_alloc (room);
    for (int at = 0;; at++) {
        int size = lws_hdr_copy_fragment (wsi, part, (int) room, WSI_TOKEN_HTTP_URI_ARGS, at);
        if (size < 0)
            break;
        tide_bytes_t name = {(const uint8_t *) part, (size_t) size}, value = {0};
        const char *equals = memchr (part, '=', (size_t) size);
        if (equals) {
            name.size = (size_t) (equals - part);
            value = (tide_bytes_t){name.data + name.size + 1, (size_t) size - name.size - 1};
        }
        if (at > 0)
            tide_buffer_append_text (out, "&");
        tide_percent_encode (out, name);
        if (equals)
            tide_buffer_append_text (out, "=");
        tide_percent_encode (out, value);
    }
    free (part);
}

bool tide_web_is_socketio (const tide_lane_t *lane, tide_bytes_t path)
{
    tide_bytes_t whole = tide_bytes (lane->config.config->socketio_path);
    tide_bytes_t bare = {whole.data, whole.size > 1 ? whole.size - 1 : whole.size};
    return tide_bytes_equal (path, whole) || tide_bytes_equal (path, bare);
}

static bool origin_is_allowed (const tide_client_t *client, tide_bytes_t origin)
{
    tide_buffer_t host = {0};
    tide_web_header (client->wsi, WSI_TOKEN_HOST, &host);
    const char *const *allowed = (const char *const *) client->lane->config.config->allow_origin;
    bool is_allowed = tide_origin_is_allowed (origin, tide_buffer_bytes (&host), allowed);
    tide_buffer_free (&host);
    return is_allowed;
}

bool tide_web_origin_is_allowed (const tide_client_t *client)
{
    tide_buffer_t origin = {0};
    tide_web_header (client->wsi, WSI_TOKEN_ORIGIN, &origin);
    bool is_allowed = origin_is_allowed (client, tide_buffer_bytes (&origin));
    tide_buffer_free (&origin);
    return is_allowed;
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
    return tide_web_is_socketio (lane, path) ? KIND_SOCKETIO : KIND_NONE;
}

/*  True if the header's comma-separated list names the token. */
static bool lists (tide_bytes_t list, const char *token)
{
    size_t size = strlen (token);
    for (size_t at = 0; at + size <= list.size; at++) {
        bool begins = at == 0 || strchr (", \t", list.data[at - 1]);
        bool ends = at + size == list.size || strchr (", \t", list.data[at + size]);
        if (begins && ends && strncasecmp ((const char *) list.data + at, token, size) == 0)
            return true;
    }
    return false;
}

static bool is_kept_alive (struct lws *wsi, bool is_http10)
{
    tide_buffer_t connection = {0};
    tide_web_header (wsi, WSI_TOKEN_CONNECTION, &connection);
    bool is_kept = is_http10 ? lists (tide_buffer_bytes (&connection), "keep-alive")
                             : !lists (tide_buffer_bytes (&connection), "close");
    tide_buffer_free (&connection);
    return is_kept;
}

/*  The announced size of the body. False if it is no number: then nobody knows where it ends. */
static bool read_size (struct lws *wsi, uint64_t *size)
{
    tide_buffer_t text = {0};
    tide_web_header (wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, &text);
    while (text.size > 0 && strchr (" \t", text.data[text.size - 1]))
        text.size--;
    bool is_number = text.size < 19;
    *size = 0;
    for (size_t at = 0; is_number && at < text.size; at++) {
        is_number = text.data[at] >= '0' && text.data[at] <= '9';
        *size = *size * 10 + (uint64_t) (text.data[at] - '0');
    }
    tide_buffer_free (&text);
    return is_number;
}

static tide_web_request_t *request_new (tide_client_t *client)
{
    struct lws *wsi = client->wsi;
    tide_web_request_t *request = tide_alloc (sizeof *request);
    request->client = client;
    client->request = request;
    tide_web_path (wsi, &request->path, &request->method);
    tide_web_query (wsi, &request->query);
    tide_web_header (wsi, WSI_TOKEN_ORIGIN, &request->origin);
    request->is_origin_allowed = origin_is_allowed (client, tide_buffer_bytes (&request->origin));
    tide_buffer_t version = {0};
    tide_web_header (wsi, WSI_TOKEN_HTTP, &version);
    request->is_http10 = !tide_bytes_is (tide_buffer_bytes (&version), "HTTP/1.1");
    tide_buffer_free (&version);
    request->is_kept = is_kept_alive (wsi, request->is_http10);
    request->kind = kind_of (client->lane, tide_buffer_bytes (&request->path));
    return request;
}

static void request_destroy (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    client->request = NULL;
    if (request->state == WEB_HELD)
        HASH_DEL (client->lane->requests, request);
    ev_io_stop (client->lane->loop, &request->writable);
    tide_client_unwatch (client);
    tide_buffer_free (&request->path);
    tide_buffer_free (&request->query);
    tide_buffer_free (&request->origin);
    tide_buffer_free (&request->body);
    tide_buffer_free (&request->head);
    tide_buffer_free (&request->own_content);
    free (request);
}

void tide_web_gone (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    if (!request)
        return;
    if (request->state == WEB_HELD) {
        client->lane->counters.requests_abandoned++;
        tide_hub_abandon (client->lane->hub, request->ticket);
    }
    request_destroy (client);
}

/*  -- the answer on its way ------------------------------------------------------------------- */

/*  All is out. 0, or -1: close. */
static int finish (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    client->lane->counters.answer_bytes += request->sent;
    if (request->is_kept) {
        request_destroy (client);
        return tide_lws_complete (client->wsi) ? 0 : -1;
    }
    if (!request->is_unread)
        return -1;
    /*  Closed at once, with something unread, the client would be told of a reset connection and
     *  might not see the answer. */
    ev_io_stop (client->lane->loop, &request->writable);
    shutdown (lws_get_socket_fd (client->wsi), SHUT_WR);
    request->state = WEB_DISCARDING;
    tide_lws_discard (client->wsi);
    tide_client_watch (client, TIDE_DISCARD_MS);
    return 0;
}

/*  Sends what the client takes. 0, or -1: close. */
static int pump (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    switch (tide_lws_send (client->wsi, tide_buffer_bytes (&request->head), request->content,
                           &request->sent)) {
    case TIDE_DONE:
        return finish (client);
    case TIDE_BLOCKED:
        tide_client_watch (client, TIDE_ANSWER_MS);
        ev_io_start (client->lane->loop, &request->writable);
        return 0;
    case TIDE_BROKEN:
        break;
    }
    return -1;
}

static void on_writable (struct ev_loop *loop, ev_io *io, int events)
{
    (void) loop;
    (void) events;
    tide_client_t *client = io->data;
    if (pump (client) != 0)
        tide_lws_close (client->wsi);
}

static const char *reason_of (unsigned http_status)
{
    switch (http_status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 301:
        return "Moved Permanently";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 507:
        return "Insufficient Storage";
    default:
        return "-";
    }
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

/*  Begins the answer, whose content is in place; `extra` is whole header lines. 0, or -1: close. */
static int answer (tide_client_t *client, unsigned http_status, const char *type, const char *extra)
{
    tide_web_request_t *request = client->request;
    tide_buffer_t *head = &request->head;
    count_answer (&client->lane->counters, http_status);
    tide_buffer_printf (head, "HTTP/1.1 %u %s\r\n%s", http_status, reason_of (http_status), extra);
    if (http_status != 204 && http_status != 304)
        tide_buffer_printf (head, "Content-Length: %zu\r\n", request->content.size);
    if (type)
        tide_buffer_printf (head, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n", type);
    if (request->origin.size > 0) {
        if (request->is_origin_allowed)
            tide_buffer_printf (head, "Access-Control-Allow-Origin: %.*s\r\n",
                                TIDE_PRINT (request->origin));
        tide_buffer_append_text (head, "Vary: Origin\r\n");
    }
    if (!request->is_kept)
        tide_buffer_append_text (head, "Connection: close\r\n");
    else if (request->is_http10)
        tide_buffer_append_text (head, "Connection: keep-alive\r\n");
    tide_buffer_append_text (head, "\r\n");
    if (strcmp (request->method, "HEAD") == 0)
        request->content.size = 0;

    request->state = WEB_ANSWERING;
    ev_io_init (&request->writable, on_writable, lws_get_socket_fd (client->wsi), EV_WRITE);
    request->writable.data = client;
    tide_lws_hold (client->wsi);
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
        return TIDE_TOO_LARGE;
    case 503:
        return TIDE_SHUTTING_DOWN;
    default:
        return TIDE_BAD_REQUEST;
    }
}

/*  Refuses a request. Where its body can't be waited for, the connection ends with it. */
static int refuse (tide_client_t *client, unsigned http_status, const char *message,
                   const char *extra)
{
    tide_web_request_t *request = client->request;
    if (request->is_unread)
        request->is_kept = false;
    tide_json_error (&request->own_content, code_of (http_status), message);
    request->content = tide_buffer_bytes (&request->own_content);
    tide_buffer_t headers = {0};
    tide_buffer_printf (&headers, "Cache-Control: no-store\r\n%s", extra);
    tide_put_u8 (&headers, 0);
    int outcome = answer (client, http_status, "application/json", (const char *) headers.data);
    tide_buffer_free (&headers);
    return outcome;
}

void tide_web_refuse (tide_client_t *client, unsigned http_status, const char *type,
                      const char *message)
{
    tide_buffer_t head = {0}, body = {0};
    count_answer (&client->lane->counters, http_status);
    if (type)
        tide_buffer_append_text (&body, message);
    else
        tide_json_error (&body, code_of (http_status), message);
    tide_buffer_printf (&head,
                        "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\nConnection: close\r\n%s\r\n",
                        http_status, reason_of (http_status), type ? type : "application/json",
                        body.size, http_status == 400 ? "Sec-WebSocket-Version: 13\r\n" : "");
    size_t at = 0;
    /*  A fresh connection takes as little as this. */
    (void) tide_lws_send (client->wsi, tide_buffer_bytes (&head), tide_buffer_bytes (&body), &at);
    client->lane->counters.answer_bytes += at;
    tide_buffer_free (&head);
    tide_buffer_free (&body);
}

/*  -- who answers ----------------------------------------------------------------------------- */

static bool is_read (const tide_web_request_t *request)
{
    return strcmp (request->method, "GET") == 0 || strcmp (request->method, "HEAD") == 0;
}

static int serve_file (tide_client_t *client, const tide_file_t *file)
{
    tide_web_request_t *request = client->request;
    if (!is_read (request)) {
        client->lane->counters.refused_method++;
        return refuse (client, 405, "a file is only to be read", "Allow: GET, HEAD\r\n");
    }
    if (request->is_unread)
        request->is_kept = false;
    client->lane->counters.requests_file++;
    tide_buffer_t extra = {0};
    unsigned http_status = 200;
    if (file->location) {
        http_status = 301;
        tide_buffer_printf (&extra, "Location: %s\r\n", file->location);
    }
    else {
        tide_buffer_t known = {0};
        tide_web_header (client->wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH, &known);
        if (lists (tide_buffer_bytes (&known), file->etag))
            http_status = 304;
        tide_buffer_free (&known);
        tide_buffer_printf (&extra, "ETag: %s\r\nCache-Control: no-cache\r\n", file->etag);
    }
    tide_put_u8 (&extra, 0);
    if (http_status == 200)
        request->content = (tide_bytes_t){file->bytes.data, file->bytes.size};
    int outcome = answer (client, http_status, http_status == 200 ? file->type : NULL,
                          (const char *) extra.data);
    tide_buffer_free (&extra);
    return outcome;
}

static int preflight (tide_client_t *client)
{
    if (client->request->is_unread)
        client->request->is_kept = false;
    return answer (client, 204, NULL,
                   "Allow: GET, HEAD, POST, OPTIONS\r\n"
                   "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"
                   "Access-Control-Allow-Headers: Authorization, Content-Type, Last-Event-ID\r\n"
                   "Access-Control-Max-Age: 600\r\n");
}

/*  A Socket.IO request that is no upgrade: whatever it asks for, it is not served. */
static int refuse_engineio (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    int code = tide_socket_engineio_check (client->wsi, request->method, false);
    if (request->is_unread)
        request->is_kept = false;
    tide_engineio_refusal (&request->own_content, code < 0 ? TIDE_ENGINEIO_BAD_REQUEST : code);
    request->content = tide_buffer_bytes (&request->own_content);
    client->lane->counters.refused_handshake++;
    return answer (client, code == TIDE_ENGINEIO_FORBIDDEN ? 403 : 400, "application/json",
                   "Cache-Control: no-store\r\n");
}

/*  The whole request is here: the hub has it. */
static int dispatch (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    tide_lane_t *lane = client->lane;
    tide_http_request_t asked = {
        .method = tide_bytes (is_read (request) ? "GET" : request->method),
        .path = tide_buffer_bytes (&request->path),
        .query = tide_buffer_bytes (&request->query),
        .body = tide_buffer_bytes (&request->body),
    };
    tide_lws_hold (client->wsi);
    tide_client_watch (client, 0);
    request->ticket = tide_hub_request (lane->hub, tide_lane_now (lane), &asked);
    request->state = WEB_HELD;
    HASH_ADD (hh, lane->requests, ticket, sizeof request->ticket, request);
    return 0;
}

/*  Refuses what the hub need not see; KIND_API, KIND_HEALTH and KIND_METRICS. */
static int ask_hub (tide_client_t *client, uint64_t body_size)
{
    tide_web_request_t *request = client->request;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool is_post = request->kind == KIND_API && strcmp (request->method, "POST") == 0;
    if (!is_read (request) && !is_post) {
        counters->refused_method++;
        return request->kind == KIND_API ? refuse (client, 405, "the API is asked by GET and POST",
                                                   "Allow: GET, HEAD, POST, OPTIONS\r\n")
                                         : refuse (client, 405, "this is only to be read",
                                                   "Allow: GET, HEAD, OPTIONS\r\n");
    }
    if (is_post && lws_hdr_total_length (client->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) <= 0) {
        counters->refused_length++;
        return refuse (client, 411, "a body needs a Content-Length", "");
    }
    if (body_size > client->lane->config.config->payload_max) {
        counters->refused_size++;
        char message[96];
        snprintf (message, sizeof message, "the body is above the limit of %llu bytes",
                  (unsigned long long) client->lane->config.config->payload_max);
        return refuse (client, 413, message, "");
    }
    if (request->kind == KIND_API)
        counters->requests_api++;
    else if (request->kind == KIND_HEALTH)
        counters->requests_health++;
    else
        counters->requests_metrics++;
    if (body_size == 0)
        return dispatch (client);
    request->state = WEB_BODY;
    request->body_size = body_size;
    if (!request->is_http10 && lws_hdr_total_length (client->wsi, WSI_TOKEN_HTTP_EXPECT) > 0) {
        size_t at = 0;
        (void) tide_lws_send (client->wsi, tide_bytes ("HTTP/1.1 100 Continue\r\n\r\n"),
                              (tide_bytes_t){0}, &at);
    }
    return 0;
}

static int route (tide_client_t *client, uint64_t body_size)
{
    tide_web_request_t *request = client->request;
    tide_lane_counters_t *counters = &client->lane->counters;
    if (request->kind == KIND_NONE) {
        const tide_file_t *file =
            tide_files_find (client->lane->config.files, tide_buffer_bytes (&request->path));
        if (file)
            return serve_file (client, file);
        counters->refused_path++;
        return refuse (client, 404, "there is nothing at this path", "");
    }
    if (!request->is_origin_allowed) {
        counters->refused_origin++;
        return refuse (client, 403, "pages of this origin are not allowed", "");
    }
    if (strcmp (request->method, "OPTIONS") == 0)
        return preflight (client);
    if (request->kind == KIND_SOCKETIO)
        return refuse_engineio (client);
    if (request->kind == KIND_WS) {
        counters->refused_handshake++;
        return refuse (client, 426, "this path is for WebSocket",
                       "Upgrade: websocket\r\nConnection: Upgrade\r\n");
    }
    return ask_hub (client, body_size);
}

int tide_web_request (tide_client_t *client)
{
    tide_web_gone (client);
    tide_web_request_t *request = request_new (client);
    struct lws *wsi = client->wsi;
    tide_lane_counters_t *counters = &client->lane->counters;
    bool may_have_body = strcmp (request->method, "POST") == 0
                         || strcmp (request->method, "PUT") == 0
                         || strcmp (request->method, "PATCH") == 0;
    bool has_size = lws_hdr_total_length (wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
    uint64_t body_size;
    bool is_size = read_size (wsi, &body_size);
    request->is_unread = body_size > 0 || (may_have_body && !has_size);
    if (!is_size) {
        counters->refused_length++;
        request->is_kept = false;
        return refuse (client, 400, "Content-Length is not a number", "");
    }
    if (lws_hdr_total_length (wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0) {
        counters->refused_length++;
        request->is_kept = false;
        return refuse (client, 411, "a body needs a Content-Length, not a Transfer-Encoding", "");
    }
    return route (client, body_size);
}

int tide_web_body (tide_client_t *client, tide_bytes_t bytes)
{
    tide_web_request_t *request = client->request;
    if (!request || request->state != WEB_BODY)
        return 0;
    size_t missing = (size_t) request->body_size - request->body.size;
    if (bytes.size <= missing) {
        tide_buffer_append_bytes (&request->body, bytes);
        return 0;
    }
    /*  A pipelined request was taken for a part of the body (Q10): it will not be seen again, so
     * the connection ends with this answer, and the client asks again on another one. */
    tide_buffer_append (&request->body, bytes.data, missing);
    request->is_kept = false;
    request->is_unread = false;
    return dispatch (client);
}

int tide_web_body_complete (tide_client_t *client)
{
    tide_web_request_t *request = client->request;
    if (!request)
        return 0;
    if (request->state == WEB_DISCARDING)
        return -1;
    return request->state == WEB_BODY ? dispatch (client) : 0;
}

void tide_web_respond (tide_lane_t *lane, const tide_hub_action_t *action)
{
    tide_web_request_t *request;
    HASH_FIND (hh, lane->requests, &action->ticket, sizeof action->ticket, request);
    if (!request) /* abandoned */
        return;
    HASH_DEL (lane->requests, request);
    tide_client_t *client = request->client;
    tide_client_unwatch (client);
    request->state = WEB_ANSWERING;
    tide_buffer_append_bytes (&request->own_content, action->bytes);
    request->content = tide_buffer_bytes (&request->own_content);
    if (answer (client, action->http_status, action->type ? action->type : "application/json",
                "Cache-Control: no-store\r\n")
        != 0)
        tide_lws_close (client->wsi);
}

void tide_web_sweep (tide_client_t *client, bool is_due)
{
    bool is_ours = client->request->state != WEB_DISCARDING;
    if (is_due || (is_ours && tide_lws_has_left (client->wsi)))
        tide_lws_close (client->wsi);
}
