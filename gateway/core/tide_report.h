/*  tide_report.h - what a lane tells of itself, for whoever looks (`tidemark top`).
 *
 *  A volatile event a second in $stats/LANE: never logged, and on its way only where somebody has
 *  subscribed to it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_REPORT_H
#define TIDE_REPORT_H

#include "tide_hub_internal.h"

void tide_report_tick (tide_hub_t *hub);

#endif
