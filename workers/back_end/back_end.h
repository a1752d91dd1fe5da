/*  back_end.h - what the back ends that ship have in common: an argument, and an end by signal.
 *  SPDX-License-Identifier: MIT
 */
#ifndef BACK_END_H
#define BACK_END_H

#include <tidemark.h>

/*  The client of a program that is called tidemark-NAME and takes the broker's endpoint as its one
 *  argument, or TIDEMARK_BROKER. Where that is wrong the program ends with status 2. From here on
 *  SIGINT and SIGTERM wait for back_end_run. */
tidemark_t *back_end_connect (const char *name, int argc, char *argv[]);

/*  Runs handlers and subscriptions until one of these signals comes, then closes. `beat`, unless it
 *  is NULL, is called in between, in this thread, every beat_ms (less than a second). Returns
 *  main's status: 1, with a line on standard error, if the broker refuses to let it serve. */
int back_end_run (tidemark_t *client, long beat_ms, void (*beat) (tidemark_t *client));

/*  True when such a signal has come: whoever waits for the broker in a loop gives up. */
int back_end_is_ending (void);

#endif
