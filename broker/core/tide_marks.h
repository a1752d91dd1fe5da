/*  tide_marks.h - what was published from … to …, contiguous.
 *
 *  Behind the events of every durable batch goes one mark that lists each topic it touched, with
 *  its sequences: so whoever follows a topic knows what there was, whether it arrived or not. Each
 *  mark begins where the one before ended; marks can be made again from the index.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_MARKS_H
#define TIDE_MARKS_H

#include "tide_core.h"

/*  Publishes the batch's events and the mark behind them. They are in the index already; topics
 *  are theirs, one each. */
void tide_marks_release (tide_core_t *core, const tide_log_batch_t *batch, const uint32_t *topics);

/*  Publishes the empty mark at the head: the heartbeat. */
void tide_marks_heartbeat (tide_core_t *core);

/*  Publishes volatile events at once, behind the durable head. They are checked already. */
void tide_marks_volatile (tide_core_t *core, uint64_t time_ms, const tide_list_t *events);

/*  Answers a read of marks. */
void tide_marks_read (tide_core_t *core, tide_bytes_t peer, const tide_marks_read_message_t *read);

#endif
