/*  tide_outbox.h - what is to be done, in order, until the shell takes it.
 *
 *  Bytes lie in one arena that is used again once everything has been taken, so that answering
 *  costs no allocation.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_OUTBOX_H
#define TIDE_OUTBOX_H

#include "tide_broker.h"

typedef struct {
    tide_broker_action_kind_t kind;
    bool is_volatile;
    tide_status_t status;
    size_t peer_at, peer_size;
    size_t at, size;
    tide_log_fetch_t *fetch;
} tide_outbox_item_t;

/*  Zero-initialise it; free with tide_outbox_free. */
typedef struct {
    tide_buffer_t arena;
    size_t begun; /* where the frame begins that is being written */
    tide_outbox_item_t *items;
    size_t taken, count, capacity;
} tide_outbox_t;

void tide_outbox_free (tide_outbox_t *self);

/*  A message to a peer. */
void tide_outbox_send (tide_outbox_t *self, tide_bytes_t peer, const tide_message_t *message);

/*  The message that was put in last, by tide_outbox_send, to one more peer: its bytes are there. */
void tide_outbox_send_again (tide_outbox_t *self, tide_bytes_t peer);

/*  A frame to be published: begin, write it to the buffer that is returned, end. */
tide_buffer_t *tide_outbox_begin (tide_outbox_t *self);
void tide_outbox_end (tide_outbox_t *self, bool is_volatile);

/*  Takes the fetch. */
void tide_outbox_fetch (tide_outbox_t *self, tide_log_fetch_t *fetch);

/*  Drops what is waiting and says STOP. */
void tide_outbox_stop (tide_outbox_t *self, tide_status_t status);

bool tide_outbox_is_empty (const tide_outbox_t *self);

/*  Takes the next one; its spans are valid until anything is put in, or the next is taken. */
bool tide_outbox_next (tide_outbox_t *self, tide_broker_action_t *action);

#endif
