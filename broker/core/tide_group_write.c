/*  tide_group_write.c - what a group writes down: its record, and letters of what is dead.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_dead.h"
#include "tide_group_parts.h"
#include "tide_json_text.h"

#include <stdio.h>
#include <string.h>

/*  A record for which there was no room, or whose forerunner is not durable. */
enum { AGAIN_MS = 50 };
/*  Dead letters that go along with one record: how many, and how large together. */
enum { LETTERS_MAX = 200, LETTERS_SIZE_MAX = 1 << 20 };

bool tide_group_wants_open (const tide_groups_t *self, const tide_group_t *group)
{
    return group->members && !self->is_stopping;
}

/*  False if it is a dead letter already: of those that cannot be handled none are written, or a
 *  group of dead letters would never come to an end. */
static bool append_letter (const tide_group_item_t *item, tide_buffer_t *list)
{
    tide_event_t event;
    bool is_sound = tide_event_decode (item->record, &event);
    tide_assert (is_sound);
    size_t prefix = strlen (TIDE_DEAD_TOPIC);
    if (event.topic.size > prefix && memcmp (event.topic.data, TIDE_DEAD_TOPIC, prefix) == 0)
        return false;
    tide_buffer_t more = {0};
    char name[TIDE_SERVICE_SIZE_MAX + 1];
    snprintf (name, sizeof name, "%.*s", TIDE_PRINT (item->group->name));
    tide_buffer_printf (&more, ",\"group\":");
    tide_json_string (&more, item->group->name);
    tide_buffer_printf (&more, ",\"seq\":%llu,\"topic\":", (unsigned long long) item->seq);
    tide_json_string (&more, event.topic);
    tide_dead_append (&(tide_dead_t){.name = name,
                                     .event = &event,
                                     .code = (tide_status_t) item->code,
                                     .message = tide_bytes (item->message),
                                     .attempts = tide_item_attempts (item),
                                     .more = tide_buffer_bytes (&more),
                                     .spare = 16384},
                      list);
    tide_buffer_free (&more);
    return true;
}

/*  The letters of those that are dead, as many as go along; the others go with the next record. */
static uint32_t append_letters (tide_group_t *group, tide_buffer_t *list)
{
    uint32_t count = 0;
    for (uint32_t at = 0; group->dead_count > 0 && at < group->window.count; at++) {
        tide_group_item_t *item = tide_group_window_at (&group->window, at);
        if (item->state != TIDE_ITEM_DEAD)
            continue;
        bool fits = count == 0
                    || (count < LETTERS_MAX && list->size + item->record.size < LETTERS_SIZE_MAX);
        item->is_said = fits;
        group->is_changed = group->is_changed || !fits;
        if (!fits)
            continue;
        count += append_letter (item, list);
    }
    return count;
}

static void append_record (const tide_group_t *group, bool opens, tide_buffer_t *list)
{
    tide_buffer_t acked = {0};
    uint64_t floor = tide_group_window_write (&group->window, &acked);
    tide_group_append (&(tide_grouped_t){.user = group->user,
                                         .name = group->name,
                                         .topics = group->topics,
                                         .floor = floor,
                                         .upto = opens ? UINT64_MAX : group->lent_to,
                                         .acked = tide_buffer_bytes (&acked)},
                       list);
    tide_buffer_free (&acked);
}

/*  What was said is void: it was refused, or something else stands there now. */
void tide_group_unsay (tide_groups_t *self, tide_group_t *group, uint64_t delay_ms)
{
    tide_buffer_free (&group->said);
    for (uint32_t at = 0; group->dead_count > 0 && at < group->window.count; at++)
        tide_group_window_at (&group->window, at)->is_said = false;
    group->is_changed = true;
    tide_due_set (&self->writing, group->handle, self->now_ms + delay_ms);
}

/*  On condition that nobody else has written there. */
static bool append (tide_groups_t *self, const tide_group_t *group, const tide_buffer_t *events,
                    uint32_t count)
{
    char topic[TIDE_NAME_SIZE_MAX + 1], key[TIDE_NAME_SIZE_MAX + 1];
    tide_buffer_t expects = {0};
    tide_expect_append (&expects, &(tide_expect_t){.topic = tide_group_topic (group->name, topic),
                                                   .key = tide_group_key (group->user, key),
                                                   .seq = group->stands_at});
    tide_publish_message_t publish = {.expects = tide_list (&expects, 1),
                                      .events = tide_list (events, count)};
    bool done = tide_sequencer_append (self->sequencer, self->now_ms, (tide_bytes_t){0}, &publish);
    tide_buffer_free (&expects);
    return done;
}

/*  Writes the group's record, and the letters of what is dead; one at a time. */
void tide_group_say (tide_groups_t *self, tide_group_t *group)
{
    if (group->said.size > 0) {
        tide_due_set (&self->writing, group->handle, self->now_ms + AGAIN_MS);
        return;
    }
    tide_buffer_t events = {0}, record = {0};
    bool opens = tide_group_wants_open (self, group);
    group->is_changed = false;
    tide_due_clear (&self->writing, group->handle);
    uint32_t count = append_letters (group, &events) + 1;
    append_record (group, opens, &record);
    tide_buffer_append_bytes (&events, tide_buffer_bytes (&record));
    if (append (self, group, &events, count)) {
        tide_event_t event;
        bool is_sound =
            tide_event_decode ((tide_bytes_t){record.data + 4, record.size - 4}, &event);
        tide_assert (is_sound);
        tide_buffer_append_bytes (&group->said, event.payload);
        group->says_open = opens;
        group->is_open = group->is_open && opens;
        if (group->is_changed)
            tide_due_set (&self->writing, group->handle, self->now_ms + AGAIN_MS);
        self->core->counters.groups_written++;
    }
    else
        tide_group_unsay (self, group, AGAIN_MS);
    tide_buffer_free (&events);
    tide_buffer_free (&record);
}

/*  Something is to be written down: soon, together with what comes meanwhile. */
void tide_group_touch (tide_groups_t *self, tide_group_t *group)
{
    bool was_changed = group->is_changed;
    group->is_changed = true;
    if (self->is_stopping)
        tide_group_say (self, group);
    else if (!was_changed)
        tide_due_set (&self->writing, group->handle, self->now_ms + TIDE_GROUP_GATHER_MS);
}
