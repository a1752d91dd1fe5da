/*  tide_lws_quirks.c - what libwebsockets does otherwise than one would expect, and what we do.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lws_quirks.h"

#include "tide_alloc.h"

#include <stdio.h>
#include <string.h>

/*  Our own handshakes (Q1) are short, and what is read of a WebSocket at once is bounded by its
 *  protocol's rx_buffer_size. */
#define HEADER_SIZE_MAX 1024
#define SERVICE_BUFFER_SIZE 8192

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
    info.user = user;
    info.pt_serv_buf_size = SERVICE_BUFFER_SIZE;
    info.max_http_header_data = HEADER_SIZE_MAX;
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

struct lws *tide_lws_adopt (struct lws_vhost *vhost, int fd, const char *key,
                            const char *subprotocol, tide_bytes_t early)
{
    tide_buffer_t request = {0};
    tide_buffer_printf (&request,
                        "GET / HTTP/1.1\r\nHost: tidemark\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: %s\r\n",
                        key);
    if (subprotocol)
        tide_buffer_printf (&request, "Sec-WebSocket-Protocol: %s\r\n", subprotocol);
    tide_buffer_append_text (&request, "\r\n");
    tide_buffer_append_bytes (&request, early);
    struct lws *wsi =
        lws_adopt_socket_vhost_readbuf (vhost, fd, (const char *) request.data, request.size);
    /*  What came early lies in the library's buffer, and no edge of the socket will tell of it. */
    if (wsi && early.size > 0)
        lws_cancel_service (lws_get_context (wsi));
    tide_buffer_free (&request);
    return wsi;
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
