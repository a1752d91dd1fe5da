/*  tide_client_engineio.h - clients of Engine.IO, whatever carries them.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CLIENT_ENGINEIO_H
#define TIDE_CLIENT_ENGINEIO_H

#include "tide_hub_internal.h"

void tide_engine_open (tide_hub_t *hub, tide_connection_t *connection,
                       tide_engineio_transport_t transport);
/*  A WebSocket that names a session: it asks to take that over. */
void tide_engine_open_probe (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t sid);
void tide_engine_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                        bool is_text);
/*  The connection ends: nothing of Engine.IO leads to it any more. */
void tide_engine_closed (tide_hub_t *hub, tide_connection_t *connection);
/*  It polls and may be answered: gives a held poll what there is to say. */
void tide_engine_writable (tide_hub_t *hub, tide_connection_t *connection);
/*  It polls and may be read from again. */
void tide_engine_resume (tide_hub_t *hub, tide_connection_t *connection);
/*  Ends those that poll and are to end. */
void tide_engine_sweep (tide_hub_t *hub);
bool tide_engine_abandon (tide_hub_t *hub, uint64_t ticket);
void tide_engine_tick (tide_hub_t *hub);
uint64_t tide_engine_deadline_ms (const tide_hub_t *hub);
/*  A GET or POST that names a session, however it came here. */
void tide_engine_request (tide_hub_t *hub, tide_bytes_t sid, bool is_post, bool is_binary,
                          uint64_t ticket);
bool tide_engine_is_known (tide_hub_t *hub, tide_bytes_t sid);
void tide_engine_moved (tide_hub_t *hub, const tide_connection_t *connection);
void tide_engine_forget_moved (tide_hub_t *hub, uint64_t until_ms);
void tide_engine_stop (tide_hub_t *hub);
/*  A WebSocket of another lane that asks for a session of ours; NULL if it cannot have it. */
tide_connection_t *tide_engine_open_far_probe (tide_hub_t *hub, tide_bytes_t sid);
/*  A WebSocket that asked for a session of another lane has got it. */
void tide_engine_move_in (tide_hub_t *hub, tide_connection_t *connection);
/*  It has no socket of the shell's: what it is told is taken from here by requests. */
static inline bool tide_engine_polls (const tide_connection_t *connection)
{
    return connection->kind == TIDE_CLIENT_SOCKETIO && !connection->handle;
}

#endif
