/*  tide_endpoint.h - where a broker publishes, for whoever has reached it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ENDPOINT_H
#define TIDE_ENDPOINT_H

#include "tide_wire.h"

/*  The endpoint that a WELCOME means: an endpoint as it is told, or a port on the host at which the
 *  broker was reached. A host that stands for all addresses is one that cannot be connected to; the
 *  broker's is meant then too. The caller frees it. */
char *tide_endpoint_told (const char *broker, tide_bytes_t told);

#endif
