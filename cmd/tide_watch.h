/*  tide_watch.h - what `tidemark top` knows of a running system: asks the broker round by round,
 *  and listens to what gateways tell of themselves. Pure.
 *
 *  A round: the broker's counters, and the marks since the round before, which name each topic that
 *  was touched, and how often. All topics are read now and then, for what stands and is kept of
 *  them, and so are named cursors and how much is behind them.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WATCH_H
#define TIDE_WATCH_H

#include "tide_message.h"

/*  Asks the broker, and returns the token under which the answer comes. */
typedef uint64_t (tide_watch_request_fn) (void *argument, tide_message_t *message);

typedef struct tide_watch tide_watch_t;

/*  lists_always: each round reads all topics and cursors. */
tide_watch_t *tide_watch_new (tide_watch_request_fn *request, void *argument, bool lists_always);
void tide_watch_destroy (tide_watch_t **self_p);

/*  Begins a round; not while one is under way. */
void tide_watch_begin (tide_watch_t *self);
/*  True until all answers have come. */
bool tide_watch_is_asking (const tide_watch_t *self);
/*  How many are over. After two there are rates. */
unsigned tide_watch_rounds (const tide_watch_t *self);

/*  An answer. False if it is a refusal with which there is no going on. */
bool tide_watch_answer (tide_watch_t *self, uint64_t now_ms, uint64_t token,
                        const tide_message_t *answer);
/*  A volatile event: a gateway's lane tells of itself in $stats/LANE. */
void tide_watch_hear (tide_watch_t *self, uint64_t now_ms, const tide_event_t *event);
/*  Lanes that have said nothing for a while are not there any more. */
void tide_watch_forget_silent (tide_watch_t *self, uint64_t now_ms);

/*  Appends the picture (tide_picture_draw) of what is known; the first line names the broker. */
void tide_watch_draw (const tide_watch_t *self, const char *broker, bool is_away, unsigned width,
                      unsigned height, bool has_colors, tide_buffer_t *out);

#endif
