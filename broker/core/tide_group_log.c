/*  tide_group_log.c - a group in the log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_log.h"

#include "tide_args.h"
#include "tide_services.h"
#include "tide_topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char text[400];

tide_group_id_t tide_group_id (tide_bytes_t user, tide_bytes_t name)
{
    tide_group_id_t id = {.size = name.size + 1 + user.size};
    memcpy (id.bytes, name.data, name.size);
    if (user.size > 0)
        memcpy (id.bytes + name.size + 1, user.data, user.size);
    return id;
}

tide_bytes_t tide_group_topic (tide_bytes_t name, char *topic)
{
    int size = snprintf (topic, TIDE_NAME_SIZE_MAX + 1, TIDE_GROUP_TOPIC "%.*s", TIDE_PRINT (name));
    return (tide_bytes_t){(const uint8_t *) topic, (size_t) size};
}

tide_bytes_t tide_group_key (tide_bytes_t user, char *key)
{
    int size = snprintf (key, TIDE_NAME_SIZE_MAX + 1, TIDE_GROUP_KEY "%s%.*s",
                         user.size > 0 ? "/" : "", TIDE_PRINT (user));
    return (tide_bytes_t){(const uint8_t *) key, (size_t) size};
}

void tide_group_append (const tide_grouped_t *grouped, tide_buffer_t *list)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    tide_buffer_t about = {0}, payload = {0};
    tide_grouped_append (&about, grouped);
    tide_args_encode (&payload, &(tide_args_t){.about = {about.data + 4, about.size - 4},
                                               .json = tide_bytes ("null")});
    tide_event_append (list, &(tide_event_t){.topic = tide_group_topic (grouped->name, topic),
                                             .name = tide_bytes ("grouped"),
                                             .key = tide_group_key (grouped->user, key),
                                             .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

bool tide_group_decode (const tide_event_t *event, tide_grouped_t *grouped)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    tide_args_t args;
    tide_buffer_t sorted = {0};
    const char *why;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_grouped_decode (args.about, grouped) || !tide_service_valid (grouped->name)
        || (grouped->user.size > 0 && !tide_name_valid (grouped->user))
        || !tide_bytes_equal (event->topic, tide_group_topic (grouped->name, topic))
        || !tide_bytes_equal (event->key, tide_group_key (grouped->user, key)))
        return false;
    bool is_sound = tide_group_topics (grouped->topics, &sorted, &why) == TIDE_OK
                    && tide_bytes_equal (grouped->topics, tide_buffer_bytes (&sorted));
    tide_buffer_free (&sorted);
    return is_sound;
}

static int compare_topics (const void *one, const void *other)
{
    return tide_bytes_compare (*(const tide_bytes_t *) one, *(const tide_bytes_t *) other);
}

/*  What a group acknowledges would be its next events. */
static bool feeds_itself (tide_bytes_t topic)
{
    size_t size = strlen (TIDE_GROUP_TOPIC);
    return topic.size >= size && memcmp (topic.data, TIDE_GROUP_TOPIC, size) == 0;
}

static tide_status_t check_topic (tide_bytes_t topic, uint32_t count, const char **why)
{
    *why = "a group's topics are topics and subtrees, one a line";
    if (!tide_pattern_valid (topic))
        return TIDE_BAD_TOPIC;
    *why = "a group cannot have what groups themselves write for its topic";
    if (feeds_itself (topic))
        return TIDE_BAD_TOPIC;
    snprintf (text, sizeof text, "a group's topics are at most %u", TIDE_GROUP_TOPICS_MAX);
    *why = text;
    return count < TIDE_GROUP_TOPICS_MAX ? TIDE_OK : TIDE_TOO_MANY;
}

tide_status_t tide_group_topics (tide_bytes_t lines, tide_buffer_t *sorted, const char **why)
{
    tide_bytes_t topics[TIDE_GROUP_TOPICS_MAX], topic;
    uint32_t count = 0;
    while (tide_pattern_next (&lines, &topic)) {
        tide_status_t status = check_topic (topic, count, why);
        if (status != TIDE_OK)
            return status;
        topics[count++] = topic;
    }
    *why = "a group has topics";
    if (count == 0)
        return TIDE_BAD_REQUEST;
    qsort (topics, count, sizeof topics[0], compare_topics);
    for (uint32_t at = 0; at < count; at++) {
        if (at > 0 && tide_bytes_equal (topics[at], topics[at - 1]))
            continue;
        if (at > 0)
            tide_put_u8 (sorted, '\n');
        tide_buffer_append_bytes (sorted, topics[at]);
    }
    return TIDE_OK;
}
