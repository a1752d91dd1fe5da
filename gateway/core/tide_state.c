/*  tide_state.c - a snapshot as it is gathered and told.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_state.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

typedef struct {
    UT_hash_handle hh;
    size_t topic_size;
    size_t name_size;
    size_t text_size;
    char *text;  /* the event's JSON */
    char name[]; /* topic, NUL, key */
} entry_t;

struct tide_state {
    bool is_subtree;
    entry_t *entries;
    entry_t *next; /* of the next part */
    size_t size;
};

tide_state_t *tide_state_new (bool is_subtree)
{
    tide_state_t *self = tide_alloc (sizeof *self);
    self->is_subtree = is_subtree;
    return self;
}

static void remove_entry (tide_state_t *self, entry_t *entry)
{
    HASH_DEL (self->entries, entry);
    self->size -= entry->text_size;
    free (entry->text);
    free (entry);
}

void tide_state_clear (tide_state_t *self)
{
    entry_t *entry, *next;
    HASH_ITER (hh, self->entries, entry, next)
        remove_entry (self, entry);
    self->next = NULL;
}

void tide_state_destroy (tide_state_t **self_p)
{
    tide_state_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    tide_state_clear (self);
    free (self);
}

void tide_state_put (tide_state_t *self, const tide_event_t *event)
{
    if (event->key.size == 0)
        return;
    char name[2 * TIDE_NAME_SIZE_MAX + 1];
    size_t size = event->topic.size + 1 + event->key.size;
    memcpy (name, event->topic.data, event->topic.size);
    name[event->topic.size] = 0;
    memcpy (name + event->topic.size + 1, event->key.data, event->key.size);
    entry_t *entry;
    HASH_FIND (hh, self->entries, name, size, entry);
    if (entry)
        remove_entry (self, entry);
    if (event->payload.size == 0)
        return;
    tide_buffer_t text = {0};
    tide_json_event (&text, event, NULL);
    entry = tide_alloc (sizeof *entry + size);
    entry->topic_size = event->topic.size;
    entry->name_size = size;
    entry->text_size = text.size;
    entry->text = tide_realloc (text.data, text.size);
    memcpy (entry->name, name, size);
    HASH_ADD (hh, self->entries, name, size, entry);
    self->size += text.size;
}

size_t tide_state_size (const tide_state_t *self)
{
    return self->size;
}

static int by_name (const entry_t *one, const entry_t *other)
{
    return tide_bytes_compare ((tide_bytes_t){(const uint8_t *) one->name, one->name_size},
                               (tide_bytes_t){(const uint8_t *) other->name, other->name_size});
}

void tide_state_rewind (tide_state_t *self)
{
    HASH_SORT (self->entries, by_name);
    self->next = self->entries;
}

static tide_bytes_t entry_topic (const entry_t *entry)
{
    return (tide_bytes_t){(const uint8_t *) entry->name, entry->topic_size};
}

bool tide_state_part (tide_state_t *self, size_t size_max, tide_buffer_t *out)
{
    size_t start = out->size;
    const entry_t *before = NULL;
    tide_buffer_append (out, "{", 1);
    for (; self->next && (!before || out->size - start < size_max);
         self->next = self->next->hh.next) {
        const entry_t *entry = self->next;
        bool same = before && tide_bytes_equal (entry_topic (before), entry_topic (entry));
        if (before)
            tide_buffer_append_text (out, self->is_subtree && !same ? "}," : ",");
        if (self->is_subtree && !same) {
            tide_json_string (out, entry_topic (entry));
            tide_buffer_append (out, ":{", 2);
        }
        tide_json_string (out, (tide_bytes_t){(const uint8_t *) entry->name + entry->topic_size + 1,
                                              entry->name_size - entry->topic_size - 1});
        tide_buffer_append (out, ":", 1);
        tide_buffer_append (out, entry->text, entry->text_size);
        before = entry;
    }
    tide_buffer_append_text (out, self->is_subtree && before ? "}}" : "}");
    return self->next != NULL;
}
