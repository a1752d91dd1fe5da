/*  tide_topic.h - topics and subtrees: what is one, what matches what.
 *
 *  A topic is 1-255 bytes of UTF-8, levels separated by `/`, without control characters and `#`.
 *  `$…` is the system's, `@…` belongs to one session. A pattern is a topic, a subtree `prefix/#`
 *  (every topic under `prefix/`, and `prefix` itself), or `#`: everything but `$…` and `@…`.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_TOPIC_H
#define TIDE_TOPIC_H

#include "tide_wire.h"

/*  True if the bytes are well-formed UTF-8 (RFC 3629: shortest form, no surrogates). */
bool tide_utf8_valid (tide_bytes_t bytes);

/*  The longest beginning of UTF-8 text that has no more bytes than that and is whole. */
tide_bytes_t tide_utf8_cut (tide_bytes_t text, size_t size_max);

/*  True for a name of an event, a key or an id: 1-255 bytes of UTF-8 without control characters. */
bool tide_name_valid (tide_bytes_t name);

bool tide_topic_valid (tide_bytes_t topic);

/*  True for a topic, a subtree or `#`. */
bool tide_pattern_valid (tide_bytes_t pattern);

/*  True if the pattern is a subtree or `#`, and so may match more than one topic. */
bool tide_pattern_is_subtree (tide_bytes_t pattern);

/*  True if the valid pattern covers the valid topic. */
bool tide_pattern_matches (tide_bytes_t pattern, tide_bytes_t topic);

/*  True for `$…` and `@…`, which clients may not publish to. */
bool tide_topic_is_system (tide_bytes_t topic);

/*  Takes the next off topics and subtrees that are named one a line; false if there is none. */
bool tide_pattern_next (tide_bytes_t *lines, tide_bytes_t *topic);

#endif
