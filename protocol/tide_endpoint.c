/*  tide_endpoint.c - where a broker publishes, for whoever has reached it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_endpoint.h"

#include "tide_alloc.h"

#include <string.h>

char *tide_endpoint_told (const char *broker, tide_bytes_t told)
{
    tide_bytes_t port = told;
    if (told.size > 0 && memchr (told.data, ':', told.size)) {
        tide_bytes_t any[] = {tide_bytes ("tcp://*:"), tide_bytes ("tcp://0.0.0.0:"),
                              tide_bytes ("tcp://[::]:")};
        port.size = 0;
        for (size_t at = 0; at < sizeof any / sizeof any[0]; at++)
            if (told.size > any[at].size && memcmp (told.data, any[at].data, any[at].size) == 0)
                port = (tide_bytes_t){told.data + any[at].size, told.size - any[at].size};
    }
    if (port.size == 0)
        return tide_copy (told.data, told.size);
    const char *last = strrchr (broker, ':');
    tide_buffer_t endpoint = {0};
    tide_buffer_append (&endpoint, broker, last ? (size_t) (last - broker) : strlen (broker));
    tide_buffer_append_text (&endpoint, ":");
    tide_buffer_append_bytes (&endpoint, port);
    char *text = tide_copy (endpoint.data, endpoint.size);
    tide_buffer_free (&endpoint);
    return text;
}
