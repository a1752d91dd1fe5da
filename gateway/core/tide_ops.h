/*  tide_ops.h - what any dialect may ask for.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_OPS_H
#define TIDE_OPS_H

#include "tide_hub_internal.h"

/*  packet: where the binary values are, or NULL in a JSON dialect. */
void tide_op_publish (tide_hub_t *hub, tide_session_t *session, json_t *object_or_array,
                      const char *id_member, const tide_socketio_packet_t *packet,
                      tide_reply_t *reply);
void tide_op_snapshot (tide_hub_t *hub, tide_bytes_t topic, tide_reply_t *reply);
void tide_op_history (tide_hub_t *hub, tide_bytes_t topic, uint64_t epoch, uint64_t since,
                      uint64_t limit, tide_reply_t *reply);
void tide_op_topics (tide_hub_t *hub, tide_reply_t *reply);
void tide_op_metrics (tide_hub_t *hub, uint64_t ticket);
/*  May a client read this topic or subtree? TIDE_OK, or why not. */
tide_status_t tide_may_read (tide_hub_t *hub, tide_bytes_t pattern, const char **why);

#endif
