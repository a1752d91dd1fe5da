/*  tide_lws_quirks.c - what libwebsockets does otherwise than one would expect, and what we do.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lws_quirks.h"

#include "tide_alloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

/*  Seconds that a client has for each step of a request, and between two of them. */
#define TIMEOUT_S 10
#define KEEPALIVE_S 60
#define HEADER_SIZE_MAX 16384
/*  What is read of a socket at once. */
#define SERVICE_BUFFER_SIZE 65536

/*  The library's complaint while a context is made; at all other times it is silent, since most of
 *  what it says is said of single clients. */
static _Thread_local char complaint[256];

static void keep_complaint (int level, const char *line)
{
    (void) level;
    /*  "[2024/01/31 12:00:00:0000] E: text": the text. The first one names the cause. */
    const char *text = strstr (line, ": ");
    if (complaint[0] == '\0')
        snprintf (complaint, sizeof complaint, "%s", text ? text + 2 : line);
}

struct lws_context *tide_lws_new (struct ev_loop *loop, const struct lws_protocols *protocols,
                                  void *user, struct lws_vhost **vhost, char **why)
{
    static const lws_retry_bo_t no_pings = {0}; /* Q8 */
    void *loops[1] = {loop};                    /* Q4 */
    struct lws_context_creation_info info = {0};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER; /* Q3 */
    info.options = LWS_SERVER_OPTION_LIBEV;
    info.foreign_loops = loops;
    info.protocols = protocols;
    info.extensions = NULL; /* Q7 */
    info.alpn = "http/1.1"; /* Q2 */
    info.user = user;
    info.pt_serv_buf_size = SERVICE_BUFFER_SIZE;
    info.max_http_header_data = HEADER_SIZE_MAX;
    info.timeout_secs = TIMEOUT_S;
    info.keepalive_timeout = KEEPALIVE_S;
    info.retry_and_idle_policy = &no_pings;

    complaint[0] = '\0';
    lws_set_log_level (LLL_ERR, keep_complaint);
    struct lws_context *context = lws_create_context (&info);
    lws_set_log_level (0, NULL);
    *vhost = context ? lws_get_vhost_by_name (context, "default") : NULL;
    if (*vhost)
        return context;
    lws_context_destroy (context);
    complaint[strcspn (complaint, "\r\n")] = '\0';
    tide_buffer_t text = {0};
    tide_buffer_printf (&text,
                        "libwebsockets does not start: %s (its libev plugin is a package of its "
                        "own, libwebsockets-evlib-ev)",
                        complaint[0] != '\0' ? complaint : "no reason given");
    *why = tide_copy (text.data, text.size);
    tide_buffer_free (&text);
    return NULL;
}

void tide_lws_hold (struct lws *wsi)
{
    lws_set_timeout (wsi, NO_PENDING_TIMEOUT, 0);
    lws_rx_flow_control (wsi, 0);
}

bool tide_lws_has_left (struct lws *wsi)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt (lws_get_socket_fd (wsi), IPPROTO_TCP, TCP_INFO, &info, &size) != 0
           || info.tcpi_state != TCP_ESTABLISHED;
}

tide_lws_sent_t tide_lws_send (struct lws *wsi, tide_bytes_t head, tide_bytes_t body, size_t *at)
{
    while (*at < head.size + body.size) {
        size_t head_at = *at < head.size ? *at : head.size;
        size_t body_at = *at - head_at;
        struct iovec parts[2] = {
            {(void *) (uintptr_t) (head.data + head_at), head.size - head_at},
            {(void *) (uintptr_t) (body.data + body_at), body.size - body_at},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = body.size > 0 ? 2 : 1};
        ssize_t sent = sendmsg (lws_get_socket_fd (wsi), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? TIDE_BLOCKED : TIDE_BROKEN;
        *at += (size_t) sent;
    }
    return TIDE_DONE;
}

bool tide_lws_complete (struct lws *wsi)
{
    /*  In this order: the request is over for the library before it reads the next one. */
    if (lws_http_transaction_completed (wsi))
        return false;
    lws_rx_flow_control (wsi, 1 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
    return true;
}

void tide_lws_discard (struct lws *wsi)
{
    lws_rx_flow_control (wsi, 1 | LWS_RXFLOW_REASON_FLAG_PROCESS_NOW);
}

void tide_lws_close (struct lws *wsi)
{
    /*  At once, the library would first give what it holds five seconds to be taken. */
    bool is_held = lws_partial_buffered (wsi);
    struct lws_context *context = lws_get_context (wsi);
    lws_set_timeout (wsi, PENDING_TIMEOUT_USER_OK, is_held ? LWS_TO_KILL_ASYNC : LWS_TO_KILL_SYNC);
    if (is_held)
        lws_cancel_service (context);
}

tide_lws_upgrade_t tide_lws_upgrade (struct lws *wsi)
{
    /*  The header table was reset, or is no longer this connection's, if the library has answered:
     *  then there is no length. */
    int size = lws_hdr_total_length (wsi, WSI_TOKEN_UPGRADE);
    char name[16];
    if (size <= 0)
        return TIDE_UPGRADE_STALE;
    if (size >= (int) sizeof name || lws_hdr_copy (wsi, name, sizeof name, WSI_TOKEN_UPGRADE) < 0)
        return TIDE_UPGRADE_STALE;
    if (strcasecmp (name, "websocket") == 0)
        return TIDE_UPGRADE_WEBSOCKET;
    return strcasecmp (name, "h2c") == 0 ? TIDE_UPGRADE_OTHER : TIDE_UPGRADE_STALE;
}

void tide_lws_tickle (struct lws_context *context)
{
    lws_cancel_service (context);
}
