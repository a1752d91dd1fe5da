/*  tide_gateway.h - a gateway: its lanes, what they share, and the address that they serve.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GATEWAY_H
#define TIDE_GATEWAY_H

#include "tide_config.h"

typedef struct tide_gateway tide_gateway_t;

/*  What stands behind Socket.IO in each lane (tide_application.h). */
struct tide_application;

/*  Listens and starts the lanes. The broker need not be there yet. config and its strings outlive
 *  the gateway, and so does the application, which is called in the lanes' threads; NULL: none.
 *  context is the ZeroMQ context of a broker in this process, which the gateway then lives in;
 *  NULL: it has one of its own. NULL, and *why, one line that the caller frees, if it can't be.
 *  Ignores SIGPIPE, and brings the limit of open descriptors to where lanes can use it. */
tide_gateway_t *tide_gateway_start (const tide_config_t *config, void *context,
                                    const char *broker_endpoint,
                                    const struct tide_application *application, char **why);

/*  Stops cleanly: clients get what is ready for them, at most for some seconds. Blocks until then.
 *  NULL is tolerated. */
void tide_gateway_stop (tide_gateway_t **self_p);

/*  Where it can be reached from here, as "http://127.0.0.1:8080": with the real port. */
const char *tide_gateway_url (const tide_gateway_t *self);

#endif
