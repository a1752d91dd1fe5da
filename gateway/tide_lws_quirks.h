/*  tide_lws_quirks.h - what libwebsockets does otherwise than one would expect, and what we do.
 *
 *  Every work-around is here and nowhere else, with what was seen and in which versions. Debian 12
 *  has 4.1.6, Debian 13 has 4.3.5; both are built and tested against.
 *
 *  Q1 An HTTP request that is held (its answer comes later) is left to itself. 4.1.6 does not
 *     read in that state, so a client that leaves or pipelines makes the loop spin; 4.3.5 reads
 *     and, given a pipelined request, hangs up. So while we hold or answer a request the library
 *     sees nothing of its socket (tide_lws_hold): we look ourselves whether the client has left
 *     (tide_lws_has_left), and send the answer ourselves (tide_lws_send).
 *  Q2 `Upgrade:` to anything but WebSocket. To h2c: accepted, HTTP/2 and all. To something
 *     unknown: up to 4.3.6 answered by 403, then asked about with a pointer that may be stale
 *     (NN-2025-0102). tide_lws_is_websocket tells the three apart without touching that pointer.
 *  Q3 LWS_SERVER_OPTION_ALLOW_LISTEN_SHARE does nothing in 4.1.6 as Debian builds it: each lane
 *     accepts from a listening socket of its own, and gives what it accepted to the library.
 *  Q4 The libev plugin takes SIGINT for each loop that it makes, and libev ends the process at the
 *     second: each lane makes its loop itself.
 *  Q5 A write is cut at tx_packet_size, else at rx_buffer_size, and the rest is copied to the heap.
 *  Q6 The library's timers are looked at only after it had some event: tide_lws_tickle gives it
 *     one, so that a client that says nothing is let go in time on a quiet server too.
 *  Q7 permessage-deflate costs 143 KB a connection and doubles the CPU time: never negotiated.
 *  Q8 The library pings idle WebSockets by a timer for each, in one sorted list that is searched
 *     from its beginning: switched off. Engine.IO has its own heartbeat; TCP's keep-alive finds
 *     what has silently gone.
 *  Q9 LWS_WRITE_HTTP on a WebSocket writes bytes as they are, so that frames can be made once for
 *     all clients. That is how the code behaves, not a promise: tests watch it.
 *  Q10 4.3.5 hands over as a request's body whatever it has read, a pipelined request behind the
 * body included, and then does not say that the body is complete: the size is counted by us.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LWS_QUIRKS_H
#define TIDE_LWS_QUIRKS_H

#include "tide_wire.h"

#include <ev.h>
#include <libwebsockets.h>

#if LWS_LIBRARY_VERSION_NUMBER < 4001006
#error "libwebsockets 4.1.6 or later is needed"
#endif
#if !defined(LWS_WITH_LIBEV) || !defined(LWS_WITH_CUSTOM_HEADERS)                                  \
    || !defined(LWS_WITH_HTTP_UNCOMMON_HEADERS)
#error "libwebsockets is needed with libev and with uncommon and custom headers"
#endif

/*  A context of one loop, without a listening socket, and its one vhost. protocols and user outlive
 *  it. NULL, and *why, if it can't be; the caller frees *why. Not in two threads at once. */
struct lws_context *tide_lws_new (struct ev_loop *loop, const struct lws_protocols *protocols,
                                  void *user, struct lws_vhost **vhost, char **why);

/*  Q1: the library leaves the socket alone until tide_lws_complete, or the end. */
void tide_lws_hold (struct lws *wsi);

/*  Q1: True if the client has left, or has at least said that it will send nothing more; whatever
 *  lies unread before that. */
bool tide_lws_has_left (struct lws *wsi);

/*  Q1: sends what the socket takes of head and body, beginning at *at of both together. TIDE_DONE
 *  at the end, TIDE_BLOCKED until the socket can take more, TIDE_BROKEN if it never will. */
typedef enum { TIDE_DONE, TIDE_BLOCKED, TIDE_BROKEN } tide_lws_sent_t;
tide_lws_sent_t tide_lws_send (struct lws *wsi, tide_bytes_t head, tide_bytes_t body, size_t *at);

/*  Q1: the request was answered; the library may have the next one. False: close it. */
bool tide_lws_complete (struct lws *wsi);

/*  Q1: lets the library read again what we are going to throw away, before it is closed. */
void tide_lws_discard (struct lws *wsi);

/*  Closes a connection from outside of the library's callbacks: they return -1 instead. */
void tide_lws_close (struct lws *wsi);

/*  Q2: may only be asked in LWS_CALLBACK_HTTP_CONFIRM_UPGRADE. */
typedef enum {
    TIDE_UPGRADE_WEBSOCKET,
    TIDE_UPGRADE_OTHER, /* not answered yet: answer, then close */
    TIDE_UPGRADE_STALE  /* answered by the library: close, touch nothing */
} tide_lws_upgrade_t;
tide_lws_upgrade_t tide_lws_upgrade (struct lws *wsi);

/*  Q6: about once a second while there are connections. */
void tide_lws_tickle (struct lws_context *context);

#endif
