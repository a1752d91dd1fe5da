/*  tide_check.h - whether a publish is well-formed, whatever else stands.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CHECK_H
#define TIDE_CHECK_H

#include "tide_message.h"

/*  Looks at a payload alone: that it has the form that events have, that its arguments are JSON,
 *  and that each placeholder has its attachment. *why as below. */
tide_status_t tide_check_payload (tide_bytes_t payload, const char **why);

/*  Looks at all names, sizes and rules of a decoded publish. TIDE_OK: then *is_volatile says
 *  whether its events are (all or none). Otherwise *why says what was wrong: a constant or a
 *  buffer of the calling thread's. */
tide_status_t tide_check_publish (const tide_publish_message_t *publish, uint32_t payload_max,
                                  bool *is_volatile, const char **why);

#endif
