/*  tide_reading.h - cursors against the log: pages of history.
 *
 *  What a page holds is decided from the index; the log gives the bytes. An event that has gone in
 *  between is told as lost if it should have been there, and the page is made again. Everything is
 *  answered from what is durable and published.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_READING_H
#define TIDE_READING_H

#include "tide_core.h"

typedef struct tide_reading tide_reading_t;

tide_reading_t *tide_reading_new (tide_core_t *core);
void tide_reading_destroy (tide_reading_t **self_p);

/*  A READ, decoded from bytes. There must be room for a fetch (TIDE_CORE_FETCHES_MAX). */
void tide_reading_receive (tide_reading_t *self, tide_bytes_t peer, tide_bytes_t bytes,
                           const tide_read_message_t *read);

/*  A fetch has come back. False if it is not one of these. */
bool tide_reading_complete (tide_reading_t *self, tide_log_fetch_t *fetch);

/*  The peer is gone: nothing is answered any more. */
void tide_reading_forget (tide_reading_t *self, tide_bytes_t peer);

/*  Answers a TOPICS_READ. */
void tide_reading_topics (tide_core_t *core, tide_bytes_t peer,
                          const tide_topics_read_message_t *read);

#endif
