/*  tide_loop_worker.h - a worker on the loop: the peer that is no lane.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOOP_WORKER_H
#define TIDE_LOOP_WORKER_H

#include "tide_args.h"
#include "tide_loop.h"

/*  It serves this event, or these, parted by spaces, and nothing else, from now on. */
void tide_loop_serve (tide_loop_t *self, const char *service, const char *nsp, const char *event,
                      uint8_t flags);
/*  The next call that was lent to it, and the event that is the call; false if there is none. Valid
 *  until the next one is taken. */
bool tide_loop_lent (tide_loop_t *self, tide_lend_message_t *lend, tide_event_t *event);
/*  It has handled the call: the reply's code, and its arguments unless they are NULL. */
void tide_loop_handled (tide_loop_t *self, const tide_lend_message_t *lend, tide_status_t code,
                        const tide_args_t *args);
/*  … and has emitted an event with a number to a topic, which is appended together with its end. */
void tide_loop_handled_and (tide_loop_t *self, const tide_lend_message_t *lend,
                            const tide_args_t *args, const char *topic, int number);

/*  … so many events. */
void tide_loop_handled_with (tide_loop_t *self, const tide_lend_message_t *lend,
                             const tide_args_t *args, const tide_event_t *events, uint32_t count);

#endif
