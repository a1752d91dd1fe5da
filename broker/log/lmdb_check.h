/*  lmdb_check.h - verifying a log in a child process.
 *
 *  LMDB reads its file through a map: a file that is cut short or whose pages point astray kills
 *  whoever reads it. So a child reads first, and its death is the finding.
 *  SPDX-License-Identifier: MIT
 */
#ifndef LMDB_CHECK_H
#define LMDB_CHECK_H

#include "tide_wire.h"

#define TIDE_LMDB_CHECK_NAMED_MAX 256

typedef enum {
    TIDE_LMDB_CHECK_AT_OPENING, /* the caller holds the log's lock; walks only after an unclean stop
                                 */
    TIDE_LMDB_CHECK_ALONE,      /* walks; nobody has the log open */
    TIDE_LMDB_CHECK_BESIDE /* walks in short transactions beside a broker, pages are not counted */
} tide_lmdb_check_mode_t;

typedef struct {
    bool finished; /* the child came to an end */
    bool found;    /* there is a log; otherwise it was never finished being made */
    bool sound;    /* file and pages; records may be damaged all the same */
    bool clean;    /* it was closed, not killed */
    bool foreign;  /* of another format: not sound here, and yet not damaged */
    uint64_t epoch, first, last, events, set_aside, segments, slots, lost, size;
    uint64_t topics, standing;                 /* if walked */
    uint64_t damaged;                          /* records whose seal or form is wrong */
    uint64_t named[TIDE_LMDB_CHECK_NAMED_MAX]; /* the first of them, by sequence */
    uint64_t file_size, file_needed;           /* needed by its own account; 0: unknown */
    char why[256];                             /* what is broken */
    char place[96];                            /* what is being read */
} tide_lmdb_check_t;

/*  Checks the file data.mdb in directory, which is there. Waits for the child. */
void tide_lmdb_check (const char *directory, tide_lmdb_check_mode_t mode,
                      tide_lmdb_check_t *result);

#endif
