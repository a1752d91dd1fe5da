/*  tide_server.h - the broker as a running thing: its sockets, its log, its thread.
 *
 *  A thin shell around tide_broker_t, which decides everything. One thread owns the core, a ROUTER
 *  for the conversation with peers and two XPUBs for what is published; the log has threads of its
 *  own behind its descriptor.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SERVER_H
#define TIDE_SERVER_H

#include "tide_config.h"

typedef struct tide_server tide_server_t;

/*  Opens the log, binds the sockets and starts the thread. To be called before the process has
 *  threads, with signals blocked (tide_signals.h): opening may check the log in a child process.
 *  Blocks while the log is read. NULL if it cannot be; then *why says what, and the caller frees
 *  it. The config must live as long as the server. */
tide_server_t *tide_server_start (const tide_config_t *config, char **why);

/*  Ends it cleanly: refuses new publishes, finishes what was taken, closes the log. */
void tide_server_stop (tide_server_t **self_p);

/*  Where to connect to, with the port that was found where any was asked for. Valid as long as the
 *  server. */
const char *tide_server_endpoint (const tide_server_t *self);

/*  The server's ZeroMQ context, and the endpoint at which sockets of it reach the server without a
 *  network or another thread between. They are closed before the server is stopped. */
void *tide_server_context (const tide_server_t *self);
const char *tide_server_inner_endpoint (const tide_server_t *self);

/*  Readable once the server ended by itself, which it does when its log failed: to wait for. */
int tide_server_failed_fd (const tide_server_t *self);

#endif
