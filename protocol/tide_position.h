/*  tide_position.h - a place in a log, as text: "epoch:seq".
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_POSITION_H
#define TIDE_POSITION_H

#include "tide_wire.h"

/*  Reads an epoch: 16 hex digits, not all 0. */
bool tide_epoch_parse (tide_bytes_t text, uint64_t *epoch);

/*  A position as it appears wherever `since` is taken: "epoch:seq", or digits alone. *epoch is 0
 *  where none is named. False if it is neither. */
bool tide_position_parse (tide_bytes_t text, uint64_t *epoch, uint64_t *seq);

#endif
