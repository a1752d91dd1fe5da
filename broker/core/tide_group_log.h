/*  tide_group_log.h - a group in the log: its record, its names, its topics.
 *
 *  What is known of a group stands in $group/NAME: how far its events are acknowledged.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GROUP_LOG_H
#define TIDE_GROUP_LOG_H

#include "tide_message.h"

#define TIDE_GROUP_TOPIC "$group/"
#define TIDE_GROUP_KEY "#group"

/*  What the group is found by: its name, NUL, its user. */
typedef struct {
    uint8_t bytes[TIDE_NAME_SIZE_MAX + 1 + TIDE_GROUP_USER_SIZE_MAX];
    size_t size;
} tide_group_id_t;
tide_group_id_t tide_group_id (tide_bytes_t user, tide_bytes_t name);

/*  Writes the topic and the key at which it stands; each has room for TIDE_NAME_SIZE_MAX + 1. */
tide_bytes_t tide_group_topic (tide_bytes_t name, char *text);
tide_bytes_t tide_group_key (tide_bytes_t user, char *text);

/*  The event that says what is known of it. */
void tide_group_append (const tide_grouped_t *grouped, tide_buffer_t *list);
/*  Reads one from the log: borrowed from the event. False if it is not what a broker has written.
 */
bool tide_group_decode (const tide_event_t *event, tide_grouped_t *grouped);

/*  Topics and subtrees, one a line, brought into order, each once: BAD_TOPIC, TOO_MANY; *why as in
 *  tide_check_publish. */
tide_status_t tide_group_topics (tide_bytes_t lines, tide_buffer_t *sorted, const char **why);

#endif
