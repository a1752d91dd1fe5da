/*  tide_session.h - what a session is and how it comes and goes.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SESSION_H
#define TIDE_SESSION_H

#include "tide_hub_internal.h"

/*  What a client says to get a session. */
typedef struct {
    const char *nsp;
    const char *user;
    bool recovers;    /* it is to have a record */
    tide_bytes_t pid; /* of the session that it was; empty: none */
    bool has_position;
    uint64_t epoch, seq; /* the position; epoch 0: not said */
    json_t *auth;        /* for the application; borrowed, may be NULL */
} tide_opening_t;

/*  Opens a session on a connection: a new one, or pid's. Ends in tide_client_opened, or
 *  tide_client_refused, or the application refuses it. The session may be gone on return. */
void tide_session_open (tide_hub_t *hub, tide_connection_t *connection,
                        const tide_opening_t *opening);
/*  From now on it is in its own topic, where replies come; a client of Socket.IO is from its start.
 */
void tide_session_join_own (tide_hub_t *hub, tide_session_t *session);
/*  True for what can be a session's public id: it has a topic of its own. */
bool tide_session_sid_valid (const char *sid);
/*  The application lets it in. */
void tide_session_admitted (tide_hub_t *hub, tide_session_t *session);
/*  It is to be ended, when nobody is in the midst of it. */
void tide_session_kick (tide_hub_t *hub, tide_session_t *session);
/*  A session that another lane has handed over, all of it in place: takes its record, and opens. */
void tide_session_move_in (tide_hub_t *hub, tide_session_t *session, const char *lane);
/*  Ends those that are to be ended. */
void tide_session_sweep (tide_hub_t *hub);
/*  True if the session does not get the event: it is a member of a topic in its `except`. */
bool tide_session_is_excluded (tide_session_t *session, const tide_event_t *event);
/*  Ends it: for good where the client left, or to be resumed. */
void tide_session_end (tide_hub_t *hub, tide_session_t **session_p, bool for_good);
/*  Another gateway or connection has taken the session over. */
void tide_session_taken (tide_hub_t *hub, tide_session_t *session);
/*  The log is another one: everything is brought up anew. */
void tide_session_epoch (tide_hub_t *hub, tide_session_t *session);
/*  Resets that were owed after a change of the log have been said: it may be resumed again. */
void tide_session_whole (tide_hub_t *hub, tide_session_t *session);
void tide_session_lane_event (tide_hub_t *hub, const tide_event_t *event);
/*  The cursor may not pass this: the lowest pin of its joins. */
uint64_t tide_session_limit (const tide_session_t *session);
/*  Where a client begins again that is told this: not behind an order that is not done. */
uint64_t tide_session_position (const tide_session_t *session);

#endif
