/*  tide_origin.h - may a page of this origin talk to us?
 *
 *  A browser says in `Origin` whose page is asking. Programs that are no browsers say nothing, and
 *  may: this guards people's browsers, not the server.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ORIGIN_H
#define TIDE_ORIGIN_H

#include "tide_wire.h"

/*  True if there is no origin, if it is the server's own (its host and port are those of the
 *  `Host` header), or if it is listed. `allowed` is NULL-terminated; `*` allows every one. */
bool tide_origin_is_allowed (tide_bytes_t origin, tide_bytes_t host, const char *const *allowed);

/*  True if it is listed by its name: its pages may send what the browser keeps for our host, as the
 *  cookies of a proxy before us. `*` is nobody's name, and `null` is anybody's. */
bool tide_origin_has_credentials (tide_bytes_t origin, const char *const *allowed);

#endif
