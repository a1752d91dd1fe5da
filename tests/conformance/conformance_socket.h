/*  conformance_socket.h - the application behind Socket.IO that conformance runs talk to.
 *  SPDX-License-Identifier: MIT
 */
#ifndef CONFORMANCE_SOCKET_H
#define CONFORMANCE_SOCKET_H

#include "tide_application.h"

/*  In each namespace: emits `auth` with what the client sent to come in ({} if nothing), refuses it
 *  where that says so; `message` comes back as `message-back`, `message-with-ack` as its own
 *  acknowledgement; `join`, `leave`, `to`, `ask` and `kick` let a client have done to itself and to
 *  rooms what an application does. */
extern const tide_application_t conformance_socket;

#endif
