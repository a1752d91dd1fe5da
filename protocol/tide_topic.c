/*  tide_topic.c - topics and subtrees.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_topic.h"

#include "tide_limits.h"

#include <string.h>

/*  Length of the sequence that begins at data, 0 if it is malformed (RFC 3629, section 4). */
static size_t utf8_sequence (const uint8_t *data, size_t remaining)
{
    uint8_t first = data[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size > remaining)
        return 0;
    uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (data[1] < low || data[1] > high)
        return 0;
    for (size_t at = 2; at < size; at++)
        if ((data[at] & 0xc0) != 0x80)
            return 0;
    return size;
}

tide_bytes_t tide_utf8_cut (tide_bytes_t text, size_t size_max)
{
    if (text.size <= size_max)
        return text;
    while (size_max > 0 && (text.data[size_max] & 0xc0) == 0x80) /* in the midst of a character */
        size_max--;
    return (tide_bytes_t){text.data, size_max};
}

bool tide_utf8_valid (tide_bytes_t bytes)
{
    for (size_t at = 0; at < bytes.size;) {
        size_t size = utf8_sequence (bytes.data + at, bytes.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool tide_name_valid (tide_bytes_t name)
{
    if (name.size == 0 || name.size > TIDE_NAME_SIZE_MAX)
        return false;
    for (size_t at = 0; at < name.size; at++)
        if (name.data[at] < 0x20 || name.data[at] == 0x7f)
            return false;
    return tide_utf8_valid (name);
}

bool tide_topic_valid (tide_bytes_t topic)
{
    return tide_name_valid (topic) && !memchr (topic.data, '#', topic.size);
}

/*  The part of a subtree before its `/#`. */
static tide_bytes_t subtree_prefix (tide_bytes_t pattern)
{
    return (tide_bytes_t){pattern.data, pattern.size - 2};
}

bool tide_pattern_is_subtree (tide_bytes_t pattern)
{
    return pattern.size > 0 && pattern.data[pattern.size - 1] == '#';
}

bool tide_pattern_valid (tide_bytes_t pattern)
{
    if (!tide_pattern_is_subtree (pattern))
        return tide_topic_valid (pattern);
    if (pattern.size == 1)
        return true;
    return pattern.size > 2 && pattern.size <= TIDE_TOPIC_SIZE_MAX
           && pattern.data[pattern.size - 2] == '/' && tide_topic_valid (subtree_prefix (pattern));
}

bool tide_pattern_matches (tide_bytes_t pattern, tide_bytes_t topic)
{
    if (!tide_pattern_is_subtree (pattern))
        return tide_bytes_equal (pattern, topic);
    if (pattern.size == 1)
        return !tide_topic_is_system (topic);
    tide_bytes_t prefix = subtree_prefix (pattern);
    return topic.size >= prefix.size && memcmp (topic.data, prefix.data, prefix.size) == 0
           && (topic.size == prefix.size || topic.data[prefix.size] == '/');
}

bool tide_topic_is_system (tide_bytes_t topic)
{
    return topic.size > 0 && (topic.data[0] == '$' || topic.data[0] == '@');
}

bool tide_pattern_next (tide_bytes_t *lines, tide_bytes_t *topic)
{
    if (lines->size == 0)
        return false;
    const uint8_t *end = memchr (lines->data, '\n', lines->size);
    topic->data = lines->data;
    topic->size = end ? (size_t) (end - lines->data) : lines->size;
    size_t used = topic->size + (end != NULL);
    lines->data += used;
    lines->size -= used;
    return true;
}
