/*  tide_ask.h - clients are asked for an acknowledgement.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ASK_H
#define TIDE_ASK_H

#include "tide_hub_internal.h"

/*  How long anybody may be waited for. */
#define TIDE_ASK_TIMEOUT_MAX_MS 600000u

/*  Asks the members of the record's topic, in all lanes. */
void tide_ask_begin (tide_hub_t *hub, tide_bytes_t record, uint32_t timeout_ms,
                     tide_app_answers_fn *done, void *argument);
/*  Tells it that nobody was asked. */
void tide_ask_nobody (tide_hub_t *hub, tide_app_answers_fn *done, void *argument);
/*  Another lane asks; is told how many lanes it asked; has a report for us. */
void tide_ask_receive (tide_hub_t *hub, const char *lane, uint64_t number, tide_bytes_t bytes);
void tide_ask_told (tide_hub_t *hub, uint64_t number, uint32_t lanes);
void tide_ask_report (tide_hub_t *hub, const char *lane, uint64_t number, tide_bytes_t bytes);
/*  A client's acknowledgement; false if nobody has asked it for that. */
bool tide_ask_answer (tide_hub_t *hub, tide_session_t *session,
                      const tide_socketio_packet_t *packet);
/*  True if an answer of the session's is waited for. */
bool tide_ask_awaits (const tide_hub_t *hub, const tide_session_t *session);
/*  The session ends: nobody waits for its answers any more. */
void tide_ask_forget (tide_hub_t *hub, const tide_session_t *session);
/*  Appends the questions that wait for the session, if all before them was appended. */
bool tide_ask_deliver (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out);
/*  Tells whoever asked: everybody has answered, or is not waited for any more. */
void tide_ask_conclude (tide_hub_t *hub, tide_ask_t *ask);
void tide_ask_tick (tide_hub_t *hub);
uint64_t tide_ask_deadline_ms (const tide_hub_t *hub);

#endif
