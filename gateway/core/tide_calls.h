/*  tide_calls.h - what clients emit for workers, and the replies.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CALLS_H
#define TIDE_CALLS_H

#include "tide_hub_internal.h"

/*  Appends a Socket.IO event's name, and its arguments as a payload; the packet is used up. Where
 *  that is not OK, *why. */
tide_status_t tide_calls_decode (tide_hub_t *hub, tide_socketio_packet_t *packet,
                                 tide_buffer_t *name, tide_buffer_t *payload, const char **why);
/*  A Socket.IO event, whose packet is used up. If the reply wants an acknowledgement, the worker's
 *  comes by the session's own topic, wherever the session is by then; that there is no worker is
 *  said at once. */
void tide_calls_packet (tide_hub_t *hub, tide_session_t *session, tide_socketio_packet_t *packet,
                        tide_reply_t *reply);
/*  The same from {"op":"call","event","data"|"args"}. */
void tide_calls_object (tide_hub_t *hub, tide_session_t *session, json_t *object,
                        tide_reply_t *reply);

/*  True for an event that is a worker's reply; it goes to the client in a form of its own. */
bool tide_calls_is_reply (const tide_event_t *event);
/*  True for a reply whose call was answered already, by an error when time was up. One that is not
 *  is the answer: what is still to come of the call is told to nobody. */
bool tide_calls_was_answered (const tide_session_t *session, const tide_event_t *event);
void tide_calls_forget (tide_session_t *session);
/*  Such calls go along to another lane: appended, and taken there. False if they are none. */
void tide_calls_put (tide_buffer_t *out, const tide_session_t *session);
bool tide_calls_take (tide_session_t *session, tide_reader_t *reader);
/*  The session has emitted something of which it is not known yet what became of it. */
bool tide_calls_are_open (const tide_session_t *session);
/*  Appends its frames; nothing if it is of a call that was emitted in another dialect. */
void tide_calls_encode (tide_hub_t *hub, const tide_form_t *form, const tide_event_t *event,
                        tide_buffer_t *frames);

#endif
