/*  tide_worker_fixture.h - what the worker on the test's loop is lent, and what it says of it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WORKER_FIXTURE_H
#define TIDE_WORKER_FIXTURE_H

#include "tide_fixture.h"
#include "tide_loop_worker.h"

/*  The call that it was lent last: valid until the next one. */
extern tide_lend_message_t lend;
extern tide_event_t event;
extern tide_args_t args;
extern tide_called_t called;

/*  The next one is this, with these arguments. */
void assert_lent (const char *name, const char *json);
void assert_nothing_lent (void);

/*  It answers, with these arguments or none. */
void reply (const char *json);
void admit (void);

#endif
