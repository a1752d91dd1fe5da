/*  tide_record.h - what the log says of a session.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_RECORD_H
#define TIDE_RECORD_H

#include "tide_hub_internal.h"

/*  Append to `records` the event that is the record (base 0: where this very event stands), that
 *  is what workers keep of the session, that joins or (joined 0) leaves a topic, and that says
 *  whether resets are owed. present: what the record says of its presence there; NULL: nothing. */
void tide_record_session (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records);
void tide_record_data (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records);
void tide_record_topic (tide_hub_t *hub, tide_session_t *session, tide_bytes_t pattern,
                        uint64_t joined, bool meta, bool was_reset, const tide_present_t *present,
                        tide_buffer_t *records);
void tide_record_remaking (tide_hub_t *hub, tide_session_t *session, bool is_remaking,
                           tide_buffer_t *records);
/*  Publishes them, on condition that `expected` is where the record stands. NULL: too many
 *  requests. */
tide_op_t *tide_record_publish (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records,
                                uint32_t count, uint64_t expected, tide_op_fn *done);
/*  Takes one standing event of the record into the session, and which lane has it. False if it is
 *  not ours to resume. */
bool tide_record_take (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event,
                       char lane[128]);
/*  The holder is gone: from now on the resume time runs; later: unless another lane takes it. */
void tide_record_release (tide_hub_t *hub, const char *topic, uint64_t seq);
void tide_record_release_later (tide_hub_t *hub, const char *topic, uint64_t seq);
/*  The same of a member's presence under its key. */
void tide_presence_release (tide_hub_t *hub, const char *topic, const char *key, uint64_t seq);
void tide_presence_release_later (tide_hub_t *hub, const char *topic, const char *key,
                                  uint64_t seq);
/*  What was released is told again to a broker that begins anew, for as long as it may matter. */
void tide_released_resend (tide_hub_t *hub);
void tide_released_tick (tide_hub_t *hub);
void tide_released_forget (tide_hub_t *hub);

#endif
