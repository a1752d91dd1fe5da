/*  tide_web.c - a lane's HTTP: connections, and what is asked as it comes in.
 *
 *  Every connection begins here. Files and refusals are answered at once; the API, health and
 *  metrics by the hub, maybe later; an upgrade to WebSocket leaves for libwebsockets, whose own
 *  HTTP is not used (see tide_lws_quirks.h, Q1). While a request is being answered nothing more is
 *  read from its client, so what one pipelines waits in the kernel.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_web_internal.h"

#include "tide_alloc.h"
#include "tide_origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    tide_lane_client_watch (client, TIDE_WEB_HEAD_MS);
}

/*  Forgets the request; the buffers keep their memory where they are small. */
void tide_web_reset (tide_web_t *web)
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
void tide_web_destroy (tide_lane_client_t *client)
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
    tide_web_destroy (client);
    close (fd);
    tide_lane_client_destroy (client);
}

bool tide_web_is_busy (const tide_lane_client_t *client)
{
    return client->web->state == TIDE_WEB_HELD || client->web->state == TIDE_WEB_ANSWERING;
}

void tide_web_sweep (tide_lane_client_t *client, bool is_due)
{
    /*  While nothing is read from it, nothing would tell. */
    if (is_due
        || ((tide_web_is_busy (client) || client->web->state == TIDE_WEB_STREAMING)
            && !ev_is_active (&client->web->readable)
            && tide_lane_client_has_left (client->web->readable.fd)))
        tide_web_close (client);
}

/*  -- what is asked --------------------------------------------------------------------------- */

/*  Keeps of the head what is needed when its bytes are gone. */
static void request_begin (tide_lane_client_t *client, const tide_request_t *request)
{
    tide_web_t *web = client->web;
    tide_web_reset (web);
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

static tide_web_outcome_t process_head (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    tide_request_t request;
    size_t head_size = 0;
    const char *why;
    tide_request_outcome_t outcome =
        tide_request_parse (tide_buffer_bytes (&web->in), &request, &head_size, &why);
    if (outcome == TIDE_REQUEST_PARTIAL)
        return TIDE_WEB_GO_ON;
    if (outcome != TIDE_REQUEST_WHOLE) {
        request_begin (client, &(tide_request_t){0});
        web->is_kept = false;
        web->has_rest = true;
        return tide_web_refuse (client, outcome == TIDE_REQUEST_TOO_LARGE ? 431 : 400, why, "");
    }
    request_begin (client, &request);
    web->head_size = head_size;
    tide_web_outcome_t result = tide_web_route (client, &request);
    if (result != TIDE_WEB_GO_ON)
        return result;
    if (web->state != TIDE_WEB_DISCARDING)
        take (&web->in, head_size);
    web->head_size = 0;
    return TIDE_WEB_GO_ON;
}

static tide_web_outcome_t process_body (tide_lane_client_t *client)
{
    tide_web_t *web = client->web;
    size_t missing = (size_t) web->length - web->body.size;
    size_t there = web->in.size < missing ? web->in.size : missing;
    tide_buffer_append (&web->body, web->in.data, there);
    take (&web->in, there);
    return there == missing ? tide_web_dispatch (client) : TIDE_WEB_GO_ON;
}

/*  Takes as much of what came as can be taken now. */
static tide_web_outcome_t process (tide_lane_client_t *client)
{
    for (;;) {
        tide_web_t *web = client->web;
        tide_web_state_t state = web->state;
        size_t size = web->in.size;
        tide_web_outcome_t outcome = TIDE_WEB_GO_ON;
        if (size > 0 && state == TIDE_WEB_HEAD)
            outcome = process_head (client);
        else if (size > 0 && state == TIDE_WEB_BODY)
            outcome = process_body (client);
        if (outcome != TIDE_WEB_GO_ON || (web->state == state && web->in.size == size))
            return outcome;
    }
}

/*  Reads what the state has use for, and no more. False if the connection has ended. */
static bool receive (tide_web_t *web)
{
    static _Thread_local uint8_t waste[65536];
    uint8_t *to = waste;
    size_t room = sizeof waste;
    if (web->state == TIDE_WEB_HEAD) {
        room = TIDE_REQUEST_HEAD_MAX - web->in.size;
        to = tide_buffer_reserve (&web->in, room);
    }
    else if (web->state == TIDE_WEB_BODY) {
        size_t missing = (size_t) web->length - web->body.size;
        room = missing < sizeof waste ? missing : sizeof waste;
        to = tide_buffer_reserve (&web->body, room);
    }
    ssize_t got = recv (web->readable.fd, to, room, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (web->state == TIDE_WEB_HEAD) {
        if (web->in.size == 0) /* a request begins */
            tide_lane_client_watch (web->client, TIDE_WEB_HEAD_MS);
        web->in.size += (size_t) got;
    }
    else if (web->state == TIDE_WEB_BODY) {
        web->body.size += (size_t) got;
        tide_lane_client_watch (web->client, TIDE_WEB_BODY_MS);
    }
    return true;
}

/*  A client that waits for its answer either leaves, or sends what we do not look at yet. */
static tide_web_outcome_t look (tide_lane_client_t *client)
{
    uint8_t byte;
    ev_io *readable = &client->web->readable;
    ssize_t got = recv (readable->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        ev_io_stop (client->lane->loop, readable);
    bool is_there =
        got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
    return is_there ? TIDE_WEB_GO_ON : TIDE_WEB_CLOSE;
}

/*  libev calls what is ready in the opposite order in which it became so, and to answer in that
 *  order would turn round what a client sends over two connections: a GET, and the POST that
 *  closes. So the last one is put first here, and all are served when all are known. */
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
    tide_web_outcome_t outcome;
    if (web->state == TIDE_WEB_HELD || web->state == TIDE_WEB_STREAMING)
        outcome = look (client);
    else
        outcome = receive (web) ? TIDE_WEB_GO_ON : TIDE_WEB_CLOSE;
    if (outcome == TIDE_WEB_GO_ON && web->state == TIDE_WEB_BODY && web->body.size == web->length)
        outcome = tide_web_dispatch (client);
    else if (outcome == TIDE_WEB_GO_ON)
        outcome = process (client);
    if (outcome == TIDE_WEB_CLOSE)
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
    tide_web_outcome_t outcome = tide_web_pump (client);
    if (outcome == TIDE_WEB_GO_ON)
        outcome = process (client);
    if (outcome == TIDE_WEB_CLOSE)
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
    web->has_rest = web->state == TIDE_WEB_BODY; /* refused by its head */
    tide_lane_client_t *client = web->client;
    if (action->http_status == 101) {
        tide_web_leave (client);
        return;
    }
    tide_buffer_append_bytes (&web->own_content, action->bytes);
    web->content = tide_buffer_bytes (&web->own_content);
    tide_web_outcome_t outcome = tide_web_answer (client, action->http_status,
                                                  action->type ? action->type : "application/json",
                                                  "Cache-Control: no-store\r\n");
    if (outcome == TIDE_WEB_GO_ON)
        outcome = process (client);
    if (outcome == TIDE_WEB_CLOSE)
        tide_web_close (client);
}
