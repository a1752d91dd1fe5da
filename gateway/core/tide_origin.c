/*  tide_origin.c - may a page of this origin talk to us?
 *  SPDX-License-Identifier: MIT
 */
#include "tide_origin.h"

#include <string.h>
#include <strings.h>

static bool equals (tide_bytes_t one, tide_bytes_t other)
{
    return one.size == other.size
           && strncasecmp ((const char *) one.data, (const char *) other.data, one.size) == 0;
}

static bool takes (tide_bytes_t *text, const char *prefix)
{
    tide_bytes_t begin = tide_bytes (prefix);
    if (text->size < begin.size || !equals ((tide_bytes_t){text->data, begin.size}, begin))
        return false;
    text->data += begin.size;
    text->size -= begin.size;
    return true;
}

/*  Without the port that the scheme has anyway: an origin never names it, a Host header may. */
static tide_bytes_t without_port (tide_bytes_t host, const char *port)
{
    size_t size = strlen (port);
    if (host.size > size && memcmp (host.data + host.size - size, port, size) == 0)
        host.size -= size;
    return host;
}

bool tide_origin_is_allowed (tide_bytes_t origin, tide_bytes_t host, const char *const *allowed)
{
    if (origin.size == 0)
        return true;
    for (; *allowed; allowed++)
        if (strcmp (*allowed, "*") == 0 || equals (origin, tide_bytes (*allowed)))
            return true;
    if (host.size == 0)
        return false;
    tide_bytes_t rest = origin;
    const char *port = takes (&rest, "http://") ? ":80" : takes (&rest, "https://") ? ":443" : NULL;
    return port && equals (without_port (rest, port), without_port (host, port));
}

bool tide_origin_has_credentials (tide_bytes_t origin, const char *const *allowed)
{
    if (equals (origin, tide_bytes ("null")))
        return false;
    for (; *allowed; allowed++)
        if (strcmp (*allowed, "*") != 0 && equals (origin, tide_bytes (*allowed)))
            return true;
    return false;
}
