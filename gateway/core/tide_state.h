/*  tide_state.h - what stands in a topic or a subtree: a snapshot as it is gathered and told.
 *
 *  Standing events are put in, later events of the same topic folded over them, so that a snapshot
 *  at N becomes one at any later sequence by reading on. Each event is kept as its JSON text.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_STATE_H
#define TIDE_STATE_H

#include "tide_message.h"

typedef struct tide_state tide_state_t;

/*  For a subtree the JSON is {topic:{key:event}}, else {key:event}. */
tide_state_t *tide_state_new (bool is_subtree);
void tide_state_destroy (tide_state_t **self_p);

/*  Puts an event with a key in the place of the one before it; a removal takes that out. Events
 *  without a key are no state and change nothing. */
void tide_state_put (tide_state_t *self, const tide_event_t *event);

/*  Forgets everything: the snapshot begins anew. */
void tide_state_clear (tide_state_t *self);

/*  Bytes of JSON text kept. */
size_t tide_state_size (const tide_state_t *self);

/*  Sorts by topic and key and goes to the beginning. */
void tide_state_rewind (tide_state_t *self);
/*  Appends the next part, a JSON object of about size_max bytes. False if it is the last one. */
bool tide_state_part (tide_state_t *self, size_t size_max, tide_buffer_t *out);

#endif
