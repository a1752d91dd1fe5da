/*  tide_reply.h - answers and wire forms.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_REPLY_H
#define TIDE_REPLY_H

#include "tide_hub_internal.h"

/*  Gives an op's reply to somebody else. */
tide_reply_t tide_reply_take (tide_reply_t *reply);
void tide_reply_free (tide_reply_t *reply);
/*  members: the answer's members as JSON text, without braces; may be empty. */
void tide_reply_ok (tide_hub_t *hub, tide_reply_t *reply, tide_bytes_t members);
void tide_reply_fail (tide_hub_t *hub, tide_reply_t *reply, tide_status_t status,
                      const char *message);
/*  From a FAIL, or NULL: the time is up. */
void tide_reply_fail_answer (tide_hub_t *hub, tide_reply_t *reply, const tide_message_t *answer);
/*  How a session gets the events of a topic. */
tide_form_t tide_form_of (const tide_session_t *session, bool meta);
/*  Appends the frames of an event in a form; the position is the offset that goes with it. */
void tide_form_encode (tide_hub_t *hub, const tide_form_t *form, const tide_event_t *event,
                       uint64_t position, tide_buffer_t *frames);
/*  Says a reset aloud: state is the snapshot that replaces what the client had. */
void tide_reset_send (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, uint64_t seq,
                      tide_state_t *state, tide_status_t reason);
/*  JSON dialect: the snapshot of a topic that is being joined, in parts. */
void tide_snapshot_send (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic, uint64_t seq,
                         tide_state_t *state);

#endif
