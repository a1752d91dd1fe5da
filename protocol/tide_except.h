/*  tide_except.h - who does not get an event though it is published where they are.
 *
 *  An event names in `except` the topics whose members it passes by: one session, if that is
 *  `@sid`, or a room. One topic a line, parted by single newlines, which no topic can hold.
 *  Subtrees are not meant. Whoever hands the event on to members looks; the broker only checks
 *  the form.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_EXCEPT_H
#define TIDE_EXCEPT_H

#include "tide_message.h"

/*  True if each line is a topic; also if there are none. */
bool tide_except_valid (tide_bytes_t except);

/*  True if the topic is one of the event's `except`, byte for byte. */
bool tide_event_excludes (const tide_event_t *event, tide_bytes_t topic);

#endif
