/*  tide_session_internal.h - what the parts of a session's life tell one another.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SESSION_INTERNAL_H
#define TIDE_SESSION_INTERNAL_H

#include "tide_session.h"

/*  -- tide_session.c -------------------------------------------------------------------------- */

/*  For a publish whose outcome changes nothing. */
void tide_session_nothing_more (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer);
void tide_session_forget_members (tide_hub_t *hub, tide_session_t *session);
/*  From here on its sid leads to it; whoever had the sid in this lane is kicked. */
void tide_session_register (tide_hub_t *hub, tide_session_t *session);
void tide_session_unregister (tide_hub_t *hub, tide_session_t *session);
/*  It is in those topics that it has by what it is. */
void tide_session_add_rooms (tide_hub_t *hub, tide_session_t *session);
/*  The application is asked, unless it has let it in already. False: it is being asked. */
bool tide_session_is_admitted (tide_hub_t *hub, tide_session_t *session, const char *taken_from,
                               unsigned attempt);
/*  All is in place, the record too: it is open. */
void tide_session_open_now (tide_hub_t *hub, tide_session_t *session);
/*  It can't be resumed: it is a new one, or ends where that can't be either. */
void tide_session_refuse_resume (tide_hub_t *hub, tide_session_t *session);

/*  -- tide_session_resume.c ------------------------------------------------------------------- */

/*  Resumes what the session's topic says, if it is there and whole. */
void tide_session_read_record (tide_hub_t *hub, tide_session_t *session, unsigned attempt);
/*  The conditional append that makes the session ours, enters it where it is present, and tells the
 *  lane that had it. */
void tide_session_take_over (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                             unsigned attempt);

/*  -- tide_session_end.c ---------------------------------------------------------------------- */

/*  What it asked for is forgotten; an append that is under way goes on without it. */
void tide_session_drop_ops (tide_hub_t *hub, tide_session_t *session);

#endif
