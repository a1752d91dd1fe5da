/*  tide_presence.h - who is in a topic: members that say so, as keyed events in $presence/TOPIC.
 *
 *  A member of TOPIC that is present stands there under its session's public id, as long as the
 *  session has a connection. The event is leased by the lane, so that a lane that dies takes its
 *  members along; of a session that can be resumed it lingers for TIDE_PRESENCE_LINGER_MS, so that
 *  one that comes back at once was never gone. That a member is present, and what it says of
 *  itself, is in the session's record, and written together with it; so whoever resumes the session
 *  enters it again.
 *
 *      joined, resumed, the log is another one, found missing: entered
 *      left, ended for good: removed          connection ended: released, the broker removes it
 *
 *  After each start of the conversation with the broker the lane looks whether its members stand:
 *  its lease may have been over meanwhile.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PRESENCE_H
#define TIDE_PRESENCE_H

#include "tide_hub_internal.h"

/*  True for a topic or subtree under $presence/. */
bool tide_topic_is_presence (tide_bytes_t pattern);
/*  True for what clients may join: all that is not the system's, and presence. */
bool tide_topic_is_readable (tide_bytes_t pattern);

/*  -- what clients and workers want ----------------------------------------------------------- */

/*  Can `present`, as a client gave it, be the session's presence in the topic? Of one that is NULL
 *  nothing was said. TIDE_OK, or why not. */
tide_status_t tide_presence_check (const tide_session_t *session, tide_bytes_t topic,
                                   const json_t *present, const char **why);
/*  Makes a member of the topic present, or changes what it says of itself: true, or an object,
 *  borrowed. NOT_FOUND if it is no member. The reply is as that of a join. */
void tide_presence_enter (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                          json_t *present, tide_reply_t *reply);
/*  It stays a member, but is not present any more. */
void tide_presence_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                          tide_reply_t *reply);
/*  Answers who is present: {epoch,seq,members:[{sid,user?,data?,since}]}. */
void tide_presence_list (tide_hub_t *hub, tide_bytes_t topic, tide_reply_t *reply);

/*  -- what a member, or one to be, says of itself --------------------------------------------- */

/*  Something stands, or may, or is to. */
bool tide_present_is_any (const tide_present_t *self);
/*  What the join is to write may stand already, or what was before it does. */
bool tide_presence_may_stand (const tide_join_t *join);
/*  present, borrowed: NULL leaves it as it is; false ends it. */
void tide_present_wish (tide_present_t *self, json_t *present);
void tide_present_free (tide_present_t *self);
/*  The member, which has none yet, is what the join was. */
void tide_presence_move (tide_hub_t *hub, tide_member_t *member, tide_present_t *from);
/*  The member goes. */
void tide_presence_forget (tide_hub_t *hub, tide_member_t *member);

/*  -- in the session's record ----------------------------------------------------------------- */

/*  Appends the members of the record's JSON that say it; nothing for NULL, or who is not present.
 */
void tide_presence_record (const tide_present_t *present, tide_buffer_t *text);
/*  Takes them from a record of that time. */
void tide_presence_take (tide_hub_t *hub, tide_member_t *member, const json_t *json,
                         uint64_t time_ms);

/*  -- in the log ------------------------------------------------------------------------------ */

/*  Appends the event that enters or removes what is due; false if nothing is. NULL: nothing. */
bool tide_presence_append (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                           const tide_present_t *present, tide_buffer_t *records);
/*  The event has this place among the op's records. */
void tide_presence_expect (tide_op_t *op, const tide_session_t *session, tide_bytes_t pattern,
                           const tide_present_t *present, uint32_t place);
/*  A wish of a member's, with `present` as it stands: what is under way to the log counts as if it
 *  stood, so that what was said last is what remains. */
void tide_presence_change (const tide_session_t *session, tide_bytes_t topic,
                           tide_present_t *present, json_t *wanted);
/*  True if what removes the session's presence there is under way, and was said last: it need not
 *  be removed once more. That it stands at seq is noted for it: if it fails, tide_presence_late
 *  releases that. */
bool tide_presence_awaits_removal (const tide_session_t *session, tide_bytes_t pattern,
                                   uint64_t seq);
/*  The op was acknowledged: `present` stands as the op has written it. */
void tide_presence_stands (tide_present_t *present, const tide_op_t *op,
                           const tide_message_t *answer);
void tide_presence_member_stands (tide_hub_t *hub, tide_member_t *member, const tide_op_t *op,
                                  const tide_message_t *answer);
/*  If the op was acknowledged and has removed somebody: what was looked up before says nothing of
 *  that session. Of those above this is part. */
void tide_presence_gone (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer);
/*  The same when nobody waits for it any more: what was entered and is nobody's is released, and
 *  so is what was not removed. */
void tide_presence_late (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer);
/*  A member that has no record has left: what stands is released, for nobody can come back. */
void tide_presence_left (tide_hub_t *hub, const tide_session_t *session, tide_bytes_t pattern,
                         const tide_present_t *present);

/*  The op, which ought to have removed what it was told of, may not have: what stood is released.
 */
void tide_presence_not_left (tide_hub_t *hub, const tide_op_t *op);

/*  -- sessions that come and go --------------------------------------------------------------- */

/*  A session is taken over: appends the events that enter its members, which get these places among
 *  the records of the op; the number of them. Then the op, acknowledged, has written them. */
uint32_t tide_presence_append_all (tide_hub_t *hub, tide_session_t *session,
                                   tide_buffer_t *records);
void tide_presence_expect_all (tide_op_t *op, const tide_session_t *session, uint32_t place);
void tide_presence_stand_all (tide_hub_t *hub, tide_session_t *session, const tide_op_t *op,
                              const tide_message_t *answer);
/*  What was entered so is kept over a second reading of the record (a JSON object by topic), and
 *  brought in line with it: members that joined meanwhile are entered, and what was left removed.
 *  Takes `kept`. */
json_t *tide_presence_keep (const tide_session_t *session);
void tide_presence_match (tide_hub_t *hub, tide_session_t *session, json_t *kept);
/*  A session without a record has come from another lane. */
void tide_presence_move_in (tide_hub_t *hub, tide_session_t *session);
/*  The log is another one: nothing stands there. */
void tide_presence_epoch (tide_hub_t *hub, tide_session_t *session);
/*  The session ends. First of its joins, then, unless its record is removed with all that is in it,
 *  of its members: what stands is removed or released, as the session is. */
void tide_presence_end_joins (tide_hub_t *hub, tide_session_t *session, bool for_good);
/*  With its record: appends what removes its members, whether they stand or only may by then, and
 *  the number of that. Then the op is to do so, which tide_presence_not_left says it has not. */
uint32_t tide_presence_append_removals (tide_hub_t *hub, const tide_session_t *session,
                                        tide_buffer_t *records);
void tide_presence_expect_removals (tide_op_t *op, const tide_session_t *session);
void tide_presence_end (tide_hub_t *hub, tide_session_t *session);

/*  -- the lane -------------------------------------------------------------------------------- */

/*  The conversation with the broker has begun anew. */
void tide_presence_broker_came (tide_hub_t *hub);
void tide_presence_tick (tide_hub_t *hub);

#endif
