/*  tide_op.h - requests of a lane to the broker, and their answers.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_OP_H
#define TIDE_OP_H

#include "tide_hub_internal.h"

/*  The feed's own requests: without a time limit, and where clients' have no place any more. */
tide_op_t *tide_op_new (tide_hub_t *hub, tide_message_t *message, tide_op_fn *done);
/*  Sends message to the broker; `done` gets the answer. NULL if too many await theirs. */
tide_op_t *tide_op_send (tide_hub_t *hub, tide_message_t *message, tide_op_fn *done,
                         tide_connection_t *connection);
/*  From within `done`: sends another message under the same op. False if that can't be. */
bool tide_op_again (tide_hub_t *hub, tide_op_t *op, tide_message_t *message);
void tide_op_cancel (tide_hub_t *hub, tide_op_t *op);
/*  Hands the answer (NULL: time is up) to whoever asked. */
void tide_op_answer (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer);
/*  The connection has gone: what it asked for is forgotten, but not what was accepted. */
void tide_op_drop_all (tide_hub_t *hub, tide_connection_t *connection);
void tide_op_tick (tide_hub_t *hub);

typedef enum {
    TIDE_GATHERED_PART, /* the next part was asked for */
    TIDE_GATHERED_ALL,  /* op->text holds the events, op->tag says how many */
    TIDE_GATHERED_TOO_LARGE,
    TIDE_GATHERED_TOO_MANY /* the next part cannot be asked for */
} tide_gathered_t;
/*  Gathers a part of the snapshot of op->topic. */
tide_gathered_t tide_op_gather (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer);
/*  The same of whatever was answered: true if all is there. If it cannot be had, who asked is told.
 */
bool tide_op_has_gathered (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer);
/*  From within `done`: asks for the part behind this one. */
bool tide_op_next_part (tide_hub_t *hub, tide_op_t *op, const tide_standing_message_t *standing,
                        tide_bytes_t topic);

#endif
