/*  tide_web_answer.c - an answer's head, and the answer on its way.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_web_internal.h"

#include "tide_dialect_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/*  What a stream that stood still keeps of its memory. */
#define STREAM_KEEP_SIZE 65536

static tide_web_outcome_t stream_on (tide_lane_client_t *client);

/*  All is out. */
static tide_web_outcome_t finish (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    struct ev_loop *loop = client->lane->loop;
    client->lane->counters.answer_bytes += web->sent;
    ev_io_stop (loop, &web->writable);
    if (web->state == TIDE_WEB_STREAMING)
        return stream_on (client);
    if (web->is_kept) {
        tide_web_reset (web);
        web->state = TIDE_WEB_HEAD;
        ev_io_start (loop, &web->readable);
        tide_lane_client_watch (client, TIDE_WEB_IDLE_MS);
        return TIDE_WEB_GO_ON;
    }
    /*  Closed with something unread, the client would be told of a reset connection. */
    if (!web->has_rest && web->in.size <= web->head_size)
        return TIDE_WEB_CLOSE;
    shutdown (web->readable.fd, SHUT_WR);
    web->state = TIDE_WEB_DISCARDING;
    web->in.size = 0;
    ev_io_start (loop, &web->readable);
    tide_lane_client_watch (client, TIDE_WEB_DISCARD_MS);
    return TIDE_WEB_GO_ON;
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
tide_web_outcome_t tide_web_pump (tide_lane_client_t *client)
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
            return TIDE_WEB_CLOSE;
        /*  A stream may stand still as long as its client does: its lag is only a position. */
        if (web->state == TIDE_WEB_STREAMING)
            keep_rest (web);
        if (!client->is_closing) /* else its time runs already */
            tide_lane_client_watch (client,
                                    web->state == TIDE_WEB_STREAMING ? 0 : TIDE_WEB_ANSWER_MS);
        ev_io_start (client->lane->loop, &web->writable);
        return TIDE_WEB_GO_ON;
    }
    return finish (client);
}

/*  What was said is out: says the rest, or waits for more. */
static tide_web_outcome_t stream_on (tide_lane_client_t *client)
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
            return tide_web_pump (client);
    }
    return client->is_closing ? TIDE_WEB_CLOSE : TIDE_WEB_GO_ON;
}

static bool is_sending (const tide_web_t *web)
{
    return web->sent < web->head.size + web->content.size;
}

void tide_web_writable (tide_lane_client_t *client)
{
    client->web->has_more = true;
    if (!is_sending (client->web) && stream_on (client) == TIDE_WEB_CLOSE)
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

void tide_web_count (tide_lane_counters_t *counters, unsigned http_status)
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
void tide_web_end_head (tide_web_t *web)
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
tide_web_outcome_t tide_web_answer (tide_lane_client_t *client, unsigned http_status,
                                    const char *type, const char *extra)
{
    tide_web_t *web = client->web;
    tide_buffer_t *head = &web->head;
    tide_web_count (&client->lane->counters, http_status);
    if (web->has_rest)
        web->is_kept = false;
    tide_buffer_printf (head, "HTTP/1.1 %u %s\r\n%s", http_status, reason_of (http_status), extra);
    if (http_status != 204 && http_status != 304)
        tide_buffer_printf (head, "Content-Length: %zu\r\n", web->content.size);
    if (type)
        tide_buffer_printf (head, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n", type);
    tide_web_end_head (web);
    if (web->is_head_only)
        web->content.size = 0;
    web->state = TIDE_WEB_ANSWERING;
    ev_io_stop (client->lane->loop, &web->readable);
    return tide_web_pump (client);
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

tide_web_outcome_t tide_web_refuse (tide_lane_client_t *client, unsigned http_status,
                                    const char *message, const char *extra)
{
    tide_web_t *web = client->web;
    tide_json_error (&web->own_content, code_of (http_status), message);
    web->content = tide_buffer_bytes (&web->own_content);
    char headers[200];
    snprintf (headers, sizeof headers, "Cache-Control: no-store\r\n%s", extra);
    return tide_web_answer (client, http_status, "application/json", headers);
}
