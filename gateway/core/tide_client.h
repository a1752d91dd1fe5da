/*  tide_client.h - the dialects.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CLIENT_H
#define TIDE_CLIENT_H

#include "tide_hub_internal.h"

void tide_client_socketio_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                                 bool is_text);
void tide_client_json_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                             bool is_text);
void tide_client_json_opened (tide_hub_t *hub, tide_session_t *session);
/*  The session is there; recovered or new. */
void tide_client_opened (tide_hub_t *hub, tide_session_t *session);
/*  It can't be had now: the connection is closed so that the client comes again. */
void tide_client_refused (tide_hub_t *hub, tide_session_t *session);

#endif
