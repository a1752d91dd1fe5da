/*  tide_cursor_fixture.h - what stands for a named cursor, and clients that read by one.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CURSOR_FIXTURE_H
#define TIDE_CURSOR_FIXTURE_H

#include "tide_fixture.h"

/*  What the log holds of a cursor. */
typedef struct {
    uint64_t stands; /* 0: nothing */
    uint64_t epoch, seq;
    char owner[64];
} standing_t;

standing_t standing (const char *name);
/*  Whoever runs the broker removes it. */
void remove_cursor (const char *name);

/*  -- a client of the JSON dialect ------------------------------------------------------------ */

/*  What it has heard of the lobby. */
typedef struct {
    tide_loop_client_t *wire;
    int numbers[2000];
    uint64_t seqs[2000]; /* of each event */
    int count;
    uint64_t ok_seq; /* of the last ok */
    uint64_t reset_seq;
    int oks, resets, snapshots;
    char code[32], cursor[64]; /* of the last error or reset */
} plain_t;

plain_t json_at (unsigned hub);
/*  Takes what there is to be heard. */
void json_listen (plain_t *self);
/*  It reads by the cursor; more: further members, each behind a comma. */
void json_sub (plain_t *self, const char *cursor, const char *more);
plain_t json_reader (unsigned hub, const char *cursor, const char *more);
void json_ack (plain_t *self, const char *cursor, uint64_t seq);
/*  What it says is answered by this code. */
void json_refused (plain_t *self, const char *what, const char *code);

/*  -- a client of Socket.IO ------------------------------------------------------------------- */

/*  It comes in, and reads the lobby by the cursor. */
void start_stock (stock_t *client, unsigned hub, bool polls, const char *cursor);
void stock_ack (stock_t *client, const char *cursor, uint64_t seq);
/*  Its last acknowledgement was of tide:ack, and good; or had this code. */
void assert_acked (stock_t *client, const char *code);

/*  -- what is read ---------------------------------------------------------------------------- */

/*  Publishes to the lobby; the sequence. */
uint64_t publish_one (int number);
void publish_numbers (int from, int to);
/*  It has heard these, in order, and nothing else. */
void assert_run (plain_t *self, int from, int to);

#endif
