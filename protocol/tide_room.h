/*  tide_room.h - the topics of rooms, of namespaces and of sessions.
 *
 *  What Socket.IO calls a room is a topic: NAMESPACE/ROOM without the leading slash (room `lobby`
 *  of `/` is `lobby`, of `/chat` is `chat/lobby`), percent-encoded where a topic's level cannot
 *  hold the room. Everybody in a namespace is in `$nsp/NAMESPACE`, or `$nsp`; one session is
 *  `@sid`. Each is appended, and may be too long for a topic.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ROOM_H
#define TIDE_ROOM_H

#include "tide_wire.h"

/*  The topic of all that are in the namespace. */
void tide_namespace_topic (tide_buffer_t *out, tide_bytes_t nsp);

/*  The topic of a room of the namespace; of an empty room, that of the namespace. */
void tide_room_topic (tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t room);

/*  A name as one level of a topic, not its first: percent-encoded where a level cannot hold it. */
void tide_level_append (tide_buffer_t *out, tide_bytes_t name);

/*  The topic of one session. */
void tide_session_topic (tide_buffer_t *out, tide_bytes_t sid);

#endif
