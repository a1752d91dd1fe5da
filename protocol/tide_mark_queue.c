/*  tide_mark_queue.c - the marks of a feed that wait for their turn.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_mark_queue.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static void drop_all (tide_mark_queue_t *self, tide_queued_mark_t **marks)
{
    tide_queued_mark_t *mark, *next;
    DL_FOREACH_SAFE (*marks, mark, next) {
        self->size -= mark->size;
        free (mark);
    }
    *marks = NULL;
}

void tide_mark_queue_reset (tide_mark_queue_t *self, uint64_t to)
{
    drop_all (self, &self->ready);
    drop_all (self, &self->later);
    self->to = self->target = to;
}

static tide_queued_mark_t *copy (tide_mark_queue_t *self, const tide_mark_t *mark)
{
    size_t size = sizeof (tide_queued_mark_t) + mark->topics.bytes.size;
    tide_queued_mark_t *made = tide_realloc (NULL, size);
    *made = (tide_queued_mark_t){.from = mark->from, .to = mark->to, .topics = mark->topics};
    made->size = size;
    made->topics.bytes.data = (uint8_t *) (made + 1);
    if (mark->topics.bytes.size > 0)
        memcpy (made + 1, mark->topics.bytes.data, mark->topics.bytes.size);
    self->size += size;
    return made;
}

/*  Where the gap is closed, what came behind it is ready. */
static void splice (tide_mark_queue_t *self)
{
    while (self->later && self->later->from <= self->to) {
        tide_queued_mark_t *mark = self->later;
        DL_DELETE (self->later, mark);
        if (mark->to > self->to) {
            self->to = mark->to;
            DL_APPEND (self->ready, mark);
        }
        else {
            self->size -= mark->size;
            free (mark);
        }
    }
}

void tide_mark_queue_add (tide_mark_queue_t *self, const tide_mark_t *mark)
{
    tide_mark_queue_head (self, mark->to);
    if (mark->to <= self->to)
        return;
    bool has_room = self->size < TIDE_FEED_MARKS_SIZE_MAX;
    if (mark->from <= self->to) {
        if (!has_room)
            return;
        tide_queued_mark_t *made = copy (self, mark);
        DL_APPEND (self->ready, made);
        self->to = mark->to;
        splice (self);
        return;
    }
    /*  A second gap: the marks read again will close it together with the first. */
    uint64_t end = self->later ? self->later->prev->to : 0;
    if (!has_room || (self->later && (mark->from > end || mark->to <= end)))
        drop_all (self, &self->later);
    if (has_room) {
        tide_queued_mark_t *made = copy (self, mark);
        DL_APPEND (self->later, made);
    }
}

void tide_mark_queue_skip (tide_mark_queue_t *self, uint64_t to)
{
    if (to <= self->to)
        return;
    self->to = to;
    tide_mark_queue_head (self, to);
    splice (self);
}

void tide_mark_queue_head (tide_mark_queue_t *self, uint64_t head)
{
    if (head > self->target)
        self->target = head;
}

bool tide_mark_queue_is_short (const tide_mark_queue_t *self)
{
    return self->to < self->target && (!self->later || self->later->from > self->to)
           && self->size < TIDE_FEED_MARKS_SIZE_MAX;
}

tide_queued_mark_t *tide_mark_queue_take (tide_mark_queue_t *self)
{
    tide_queued_mark_t *mark = self->ready;
    if (mark) {
        DL_DELETE (self->ready, mark);
        self->size -= mark->size;
    }
    return mark;
}
