/*  tide_lws_quirks.h - what libwebsockets does otherwise than one would expect, and what we do.
 *
 *  Every work-around is here and nowhere else, with what was seen and in which versions. Debian 12
 *  has 4.1.6, Debian 13 has 4.3.5; both are built and tested against.
 *
 *  Q1 Its HTTP/1.1 server is not used. 4.1.6 does not read while a request is held, so a client
 *  that leaves or pipelines makes the loop spin; 4.3.5 reads then, and hangs up on a pipelined
 *     request, or takes it for a part of the body before it. A malformed escape is answered by a
 *     page of HTML, a head above the limit or a NUL in a query by nothing; a header whose name
 *     begins a known one (`X:`) is never ended. `Upgrade: h2c` is accepted, HTTP/2 and all, and
 *     another unknown one is, up to 4.3.6, looked at again through a stale pointer (NN-2025-0102).
 *     So requests are read by us (tide_request.h), and only a handshake that we have checked comes
 *     here, as a request that we have written ourselves: of what a client sends, the library sees
 *     nothing but WebSocket frames.
 *  Q2 A connection that is adopted with bytes is served before the call returns: see
 *     tide_lws_adopt.
 *  Q3 LWS_SERVER_OPTION_ALLOW_LISTEN_SHARE does nothing in 4.1.6 as Debian builds it: each lane
 *     accepts from a listening socket of its own, and gives what it accepted to the library.
 *  Q4 The libev plugin takes SIGINT for each loop that it makes, and libev ends the process at the
 *     second: each lane makes its loop itself.
 *  Q5 A write is cut at tx_packet_size, else at rx_buffer_size, and the rest is copied to the heap.
 *  Q6 Its timers are looked at only after it had some event: none of ours are its, and where it is
 *     to close something, it is woken.
 *  Q7 permessage-deflate costs 143 KB a connection and doubles the CPU time: never negotiated.
 *  Q8 The library pings idle WebSockets by a timer for each, in one sorted list that is searched
 *     from its beginning: switched off. Engine.IO has its own heartbeat; TCP's keep-alive finds
 *     what has silently gone.
 *  Q9 LWS_WRITE_HTTP on a WebSocket writes bytes as they are, so that frames can be made once for
 *     all clients. That is how the code behaves, not a promise: tests watch it.
 *  Q10 A client's frame without a mask is taken, though RFC 6455 (5.1) says to close; there is no
 *     callback that would tell.
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
#if !defined(LWS_WITH_LIBEV) || !defined(LWS_ROLE_WS)
#error "libwebsockets is needed with libev and WebSocket"
#endif

/*  A context of one loop, without a listening socket, and its one vhost. protocols and user outlive
 *  it. NULL, and *why, if it can't be; the caller frees *why. Not in two threads at once. */
struct lws_context *tide_lws_new (struct ev_loop *loop, const struct lws_protocols *protocols,
                                  void *user, struct lws_vhost **vhost, char **why);

/*  Hands a socket over, whose client asked for a WebSocket with this key and, where there is one,
 *  this subprotocol; early is what it has sent behind its request. The callbacks of the new
 *  connection, to LWS_CALLBACK_ESTABLISHED, come before this returns (Q2), or it is closed again:
 *  then NULL. */
struct lws *tide_lws_adopt (struct lws_vhost *vhost, int fd, const char *key,
                            const char *subprotocol, tide_bytes_t early);

/*  Closes a connection at once, from outside of the library's callbacks: they return -1 instead. */
void tide_lws_close (struct lws *wsi);

#endif
