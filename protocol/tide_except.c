/*  tide_except.c - who does not get an event.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_except.h"

#include "tide_topic.h"

#include <string.h>

/*  Takes the first line off the rest. Behind a newline there is always one more, if an empty one.
 */
static tide_bytes_t take_line (tide_bytes_t *rest, bool *has_more)
{
    const uint8_t *end = memchr (rest->data, '\n', rest->size);
    tide_bytes_t line = *rest;
    *has_more = end != NULL;
    if (!end)
        return line;
    line.size = (size_t) (end - line.data);
    *rest = (tide_bytes_t){end + 1, rest->size - line.size - 1};
    return line;
}

bool tide_except_valid (tide_bytes_t except)
{
    bool has_more = except.size > 0;
    while (has_more)
        if (!tide_topic_valid (take_line (&except, &has_more)))
            return false;
    return true;
}

bool tide_event_excludes (const tide_event_t *event, tide_bytes_t topic)
{
    tide_bytes_t rest = event->except;
    bool has_more = rest.size > 0;
    while (has_more)
        if (tide_bytes_equal (take_line (&rest, &has_more), topic))
            return true;
    return false;
}
