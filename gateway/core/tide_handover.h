/*  tide_handover.h - a connection, written for the lane that goes on with it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HANDOVER_H
#define TIDE_HANDOVER_H

#include "tide_hub_internal.h"

/*  True if nothing is under way whose end only this lane would hear of. */
bool tide_handover_is_ready (const tide_connection_t *connection);
/*  Appends what the connection is. */
void tide_handover_write (const tide_hub_t *hub, const tide_connection_t *connection,
                          tide_buffer_t *out);
/*  Makes the connection what the bytes say, which come from `lane`. False if that can't be. */
bool tide_handover_read (tide_hub_t *hub, tide_connection_t *connection, const char *lane,
                         tide_bytes_t bytes);

#endif
