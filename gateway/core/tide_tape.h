/*  tide_tape.h - recent events of a lane, in sequence order, in wire form.
 *
 *  A cache of the log: one arena of fixed size, in which each event lies once as the broker sent
 *  it, and once more for each wire form (dialect, namespace, meta, recovery) that somebody needed.
 *  The oldest give way. Whoever wants what is not on it any more reads it from the broker.
 *
 *  Entries are numbered from 1, rising; a number outlives its entry, which is how a reader finds
 *  out that it is too late.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_TAPE_H
#define TIDE_TAPE_H

#include "tide_wire.h"

typedef struct tide_tape tide_tape_t;

/*  A tape whose events and forms take size bytes at most. */
tide_tape_t *tide_tape_new (size_t size);
void tide_tape_destroy (tide_tape_t **self_p);

/*  What an entry is. */
enum {
    TIDE_TAPE_VOLATILE = 1,
    TIDE_TAPE_EXCEPT = 2, /* not everybody gets it: the record says who does not */
    TIDE_TAPE_ORDER = 4   /* nobody gets it: a session does as it says */
};

/*  Lays an encoded event on the tape; returns its number. An event too large for the arena gets a
 *  number too, but is not there: it is read from the broker like one that gave way. */
uint64_t tide_tape_append (tide_tape_t *self, tide_bytes_t record, uint64_t seq, unsigned flags,
                           uint64_t now_ms);

/*  The oldest number that may still be there; numbers below are gone. */
uint64_t tide_tape_first (const tide_tape_t *self);

/*  True if the entry with this number is there. */
bool tide_tape_has (const tide_tape_t *self, uint64_t number);

typedef struct {
    uint64_t seq;        /* of a volatile event: the sequence behind which it belongs */
    uint64_t time_ms;    /* when it was laid on */
    unsigned flags;      /* TIDE_TAPE_… */
    tide_bytes_t record; /* valid until the next append or keep */
} tide_tape_entry_t;

/*  The entry with this number, which must be there. */
tide_tape_entry_t tide_tape_entry (const tide_tape_t *self, uint64_t number);

/*  The entry's bytes in a wire form (a small number of the caller's), if they were kept; valid
 *  until the next append or keep. Empty if not: make them, and keep them. */
tide_bytes_t tide_tape_form (const tide_tape_t *self, uint64_t number, unsigned form);

/*  Keeps the bytes of a form, if there is room for them without losing the entry itself. */
void tide_tape_keep (tide_tape_t *self, uint64_t number, unsigned form, tide_bytes_t bytes);

#endif
