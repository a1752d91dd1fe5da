/*  tide_sequencer.h - checks publishes, gives sequences, forms batches; says nothing too soon.
 *
 *  One batch is with the log (flying) while the next one gathers; what does not fit into that one
 *  waits in a bounded queue. A publish is judged when it is put into a batch, against everything
 *  before it, durable or not. Its answer waits for whatever it rests upon: an ACK for its own
 *  batch, a repetition or a conflict for the batch of the event that it names. So when the log is
 *  full, everything behind the durable head can be undone, and nobody has seen any of it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SEQUENCER_H
#define TIDE_SEQUENCER_H

#include "tide_core.h"

typedef struct tide_sequencer tide_sequencer_t;

/*  core->head must be set. last_time_ms: of the last event in the log. */
tide_sequencer_t *tide_sequencer_new (tide_core_t *core, uint64_t last_time_ms);
void tide_sequencer_destroy (tide_sequencer_t **self_p);

/*  A publish, decoded from bytes. */
void tide_sequencer_receive (tide_sequencer_t *self, uint64_t now_ms, tide_bytes_t peer,
                             tide_bytes_t bytes, const tide_publish_message_t *publish);

/*  What a part of the broker appends, which has checked it; answered to the peer, unless that is
 *  empty, as a publish is. False if there is no room: then nobody is answered. */
bool tide_sequencer_append (tide_sequencer_t *self, uint64_t now_ms, tide_bytes_t peer,
                            const tide_publish_message_t *publish);

/*  The broker's own: removes keys that stand, all in one batch, by events with this name and
 *  origin. False if there is no room now. */
bool tide_sequencer_remove (tide_sequencer_t *self, uint64_t now_ms, const uint32_t *keys,
                            size_t count, tide_bytes_t name, tide_bytes_t from);
/*  True if events on the key (with an empty one: on any key of the topic) are not durable yet. */
bool tide_sequencer_touches (const tide_sequencer_t *self, tide_bytes_t topic, tide_bytes_t key);

/*  True if a batch could be handed over now. */
bool tide_sequencer_is_ready (const tide_sequencer_t *self);
/*  The batch, for the caller to complete and to hand to the log. Its events' topics are held in
 *  the index until it has come back. */
tide_log_batch_t *tide_sequencer_hand_over (tide_sequencer_t *self);
/*  The flying batch's topics, one for each event. */
const uint32_t *tide_sequencer_topics (const tide_sequencer_t *self);

/*  The flying batch is durable, in the index, published, and core->head is its last sequence:
 *  sends its answers. Takes the batch. */
void tide_sequencer_durable (tide_sequencer_t *self, tide_log_batch_t **batch_p);
/*  Then: takes from the queue what there is room for. */
void tide_sequencer_go_on (tide_sequencer_t *self, uint64_t now_ms);
/*  The log is full: everything that waits is refused. Takes the batch. */
void tide_sequencer_undo (tide_sequencer_t *self, tide_log_batch_t **batch_p);

/*  New publishes are refused from now on. */
void tide_sequencer_stop (tide_sequencer_t *self);
/*  True if nothing flies, gathers or waits. */
bool tide_sequencer_is_idle (const tide_sequencer_t *self);

typedef struct {
    uint64_t gathered, queued, queued_bytes;
} tide_sequencer_counts_t;
tide_sequencer_counts_t tide_sequencer_counts (const tide_sequencer_t *self);

#endif
