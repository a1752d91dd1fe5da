/*  tide_client_sse.h - streams of Server-Sent Events.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CLIENT_SSE_H
#define TIDE_CLIENT_SSE_H

#include "tide_hub_internal.h"

/*  Appends a block: its event's name, unless that is NULL, and its data. */
void tide_sse_block (tide_buffer_t *out, const char *event, tide_bytes_t data);
/*  Appends the line that says a position. */
void tide_sse_id (tide_hub_t *hub, tide_buffer_t *out, uint64_t position);
/*  A topic was joined, or its reset said. */
void tide_sse_joined (tide_hub_t *hub, tide_session_t *session);
/*  The session was given what there was: says its position if that is owed. */
void tide_sse_delivered (tide_hub_t *hub, tide_session_t *session);
void tide_sse_broker_came (tide_hub_t *hub);
void tide_sse_closed (tide_hub_t *hub, tide_connection_t *connection);
void tide_sse_tick (tide_hub_t *hub);
uint64_t tide_sse_deadline_ms (const tide_hub_t *hub);

#endif
