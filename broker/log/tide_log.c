/*  tide_log.c - the small interface: hands each call to the engine; what all engines share.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_log_engine.h"

#include "tide_alloc.h"

#include <stdlib.h>

void tide_log_close (tide_log_t **self_p)
{
    tide_assert (self_p);
    if (*self_p)
        (*self_p)->engine->close (*self_p);
    *self_p = NULL;
}

tide_status_t tide_log_scan (tide_log_t *self, tide_log_scan_fn *event, void *argument)
{
    return self->engine->scan (self, event, argument);
}

tide_status_t tide_log_lost (tide_log_t *self, tide_log_lost_fn *entry, void *argument)
{
    return self->engine->lost (self, entry, argument);
}

tide_log_info_t tide_log_info (tide_log_t *self)
{
    return self->engine->info (self);
}

void tide_log_append (tide_log_t *self, tide_log_batch_t **batch_p)
{
    tide_log_batch_t *batch = *batch_p;
    *batch_p = NULL;
    tide_assert (batch);
    self->engine->append (self, batch);
}

void tide_log_fetch (tide_log_t *self, tide_log_fetch_t **fetch_p)
{
    tide_log_fetch_t *fetch = *fetch_p;
    *fetch_p = NULL;
    tide_assert (fetch);
    self->engine->fetch (self, fetch);
}

int tide_log_fd (tide_log_t *self)
{
    return self->engine->fd (self);
}

bool tide_log_next (tide_log_t *self, tide_log_completion_t *completion)
{
    return self->engine->next (self, completion);
}

/*  -- queue ----------------------------------------------------------------------------------- */

void tide_log_queue_push (tide_log_queue_t *self, tide_log_completion_t item)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity > 0 ? 2 * self->capacity : 16;
        tide_log_completion_t *at = tide_alloc (capacity * sizeof *at);
        for (size_t each = 0; each < self->count; each++)
            at[each] = self->at[(self->head + each) % self->capacity];
        free (self->at);
        self->at = at;
        self->head = 0;
        self->capacity = capacity;
    }
    self->at[(self->head + self->count) % self->capacity] = item;
    self->count++;
}

bool tide_log_queue_pop (tide_log_queue_t *self, tide_log_completion_t *item)
{
    if (self->count == 0)
        return false;
    *item = self->at[self->head];
    self->head = (self->head + 1) % self->capacity;
    self->count--;
    return true;
}

void tide_log_queue_free (tide_log_queue_t *self)
{
    tide_log_completion_t item;
    while (tide_log_queue_pop (self, &item)) {
        if (item.batch)
            tide_log_batch_destroy (&item.batch);
        if (item.fetch)
            tide_log_fetch_destroy (&item.fetch);
    }
    free (self->at);
    *self = (tide_log_queue_t){0};
}

/*  -- fetch ----------------------------------------------------------------------------------- */

void tide_log_fetch_begin (tide_log_fetch_t *fetch)
{
    fetch->done = 0;
    fetch->records.size = 0;
    fetch->found = 0;
    fetch->missing_count = 0;
    fetch->damaged_count = 0;
}

bool tide_log_fetch_found (tide_log_fetch_t *fetch, tide_bytes_t record)
{
    size_t used = fetch->records.size;
    if (fetch->found > 0
        && (used > fetch->size_max || record.size + sizeof (uint32_t) > fetch->size_max - used))
        return false;
    tide_list_append (&fetch->records, record);
    fetch->found++;
    fetch->done++;
    return true;
}

/*  There are never more of them than sequences were asked for, so room is made once. */
static void note (const tide_log_fetch_t *fetch, uint64_t **seqs, size_t *count)
{
    if (*count == 0)
        *seqs = tide_realloc (*seqs, fetch->count * sizeof **seqs);
    (*seqs)[(*count)++] = fetch->seqs[fetch->done];
}

void tide_log_fetch_missing (tide_log_fetch_t *fetch)
{
    note (fetch, &fetch->missing, &fetch->missing_count);
    fetch->done++;
}

void tide_log_fetch_damaged (tide_log_fetch_t *fetch)
{
    note (fetch, &fetch->damaged, &fetch->damaged_count);
    fetch->done++;
}
