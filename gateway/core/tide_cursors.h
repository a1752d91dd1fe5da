/*  tide_cursors.h - topics that clients read by named cursors.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CURSORS_H
#define TIDE_CURSORS_H

#include "tide_join.h"

/*  Takes the cursor over, then joins the topic from where it stands; `since` is where a new one
 *  begins. `name` is what the client gave. */
void tide_cursors_subscribe (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                             tide_since_t since, bool meta, json_t *present, const json_t *name,
                             tide_reply_t *reply);
/*  {cursor, seq, epoch?}: all up to seq has been dealt with. An acknowledgement that is wanted
 *  comes when that is durable. */
void tide_cursors_ack (tide_hub_t *hub, tide_session_t *session, const json_t *object,
                       tide_reply_t *reply);

/*  The name of the cursor by which the session reads the topic; NULL: by none. */
const char *tide_cursors_name (tide_session_t *session, tide_bytes_t topic);
/*  A subscription of the topic waits for its cursor. */
bool tide_cursors_are_asked (tide_session_t *session, tide_bytes_t topic);
/*  Nothing of it is under way whose end only this lane would hear of. */
bool tide_cursors_are_quiet (const tide_session_t *session);

/*  The topic is not read by its cursor any more: what was acknowledged is written at once. True if
 *  there was one. */
bool tide_cursors_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic);
/*  The session is about to go. */
void tide_cursors_end (tide_hub_t *hub, tide_session_t *session);
/*  A session that comes from elsewhere goes on with the cursor that its record names, if it is a
 *  name; what was acknowledged before `least` does not count. */
void tide_cursors_go_on (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                         const json_t *name, uint64_t least);
/*  Forgets those whose topics the session is neither in nor about to join. */
void tide_cursors_prune (tide_hub_t *hub, tide_session_t *session);
/*  The client was given the topic up to seq, and now is to be given a snapshot of it instead. */
void tide_cursors_given (tide_session_t *session, tide_bytes_t topic, uint64_t seq);
/*  The client is given a snapshot at seq. */
void tide_cursors_snapshot (tide_session_t *session, tide_bytes_t topic, uint64_t seq);
/*  The log is another one. */
void tide_cursors_epoch (tide_hub_t *hub, tide_session_t *session);
/*  Those that sessions have left behind are given up. */
void tide_cursors_forget_left (tide_hub_t *hub);

void tide_cursors_tick (tide_hub_t *hub);
uint64_t tide_cursors_deadline_ms (const tide_hub_t *hub);

#endif
