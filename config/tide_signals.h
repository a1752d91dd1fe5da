/*  tide_signals.h - signals as something to wait for, in the main thread and nowhere else.
 *
 *  A server blocks its signals before it has threads (threads inherit that), and its main thread
 *  then waits for one, or for a part of the server that ended by itself.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SIGNALS_H
#define TIDE_SIGNALS_H

/*  Blocks SIGTERM, SIGINT and SIGHUP and ignores SIGPIPE, for this thread and those it starts.
 *  Returns the descriptor for tide_signals_wait; -1 with errno if there is none to be had. */
int tide_signals_block (void);

/*  Waits for a signal, or until `other` (-1: nothing) becomes readable. Returns the signal's
 *  number, or 0 for the other. */
int tide_signals_wait (int signals, int other);

#endif
