/*  tide_tape.c - recent events of a lane, in wire form.
 *
 *      offsets, ever rising:   tail                                   head
 *      arena (offset % size):  [record 7][form][record 8][record 9][form]
 *
 *  What lies between head - size and head is there. Nothing is ever split at the arena's end: the
 *  rest is left empty.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_tape.h"

#include "tide_alloc.h"

#include <stdlib.h>
#include <string.h>

/*  Forms of one event that are found without looking through a list. A lane with more of them
 *  makes the others each time. */
enum { FORMS = 4 };
enum { ENTRIES = 1u << 16 };

typedef struct {
    uint64_t offset;
    uint32_t size;
    uint32_t form;
} piece_t;

typedef struct {
    uint64_t seq;
    uint64_t time_ms;
    piece_t record;
    piece_t forms[FORMS];
    uint8_t form_count;
    uint8_t flags;
} entry_t;

struct tide_tape {
    uint8_t *arena;
    size_t size;
    uint64_t head;    /* offset behind the last byte */
    entry_t *entries; /* ring, by number */
    uint64_t first;   /* oldest number that may be there */
    uint64_t next;    /* number of the next entry */
};

tide_tape_t *tide_tape_new (size_t size)
{
    tide_tape_t *self = tide_alloc (sizeof *self);
    self->arena = tide_alloc (size);
    self->size = size;
    self->head = size; /* so that offset 0 is never there */
    self->entries = tide_alloc (ENTRIES * sizeof (entry_t));
    self->first = self->next = 1;
    return self;
}

void tide_tape_destroy (tide_tape_t **self_p)
{
    tide_tape_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    free (self->entries);
    free (self->arena);
    free (self);
}

static entry_t *entry_at (const tide_tape_t *self, uint64_t number)
{
    return &self->entries[number % ENTRIES];
}

static bool piece_is_there (const tide_tape_t *self, const piece_t *piece)
{
    return piece->size > 0 && piece->offset + self->size >= self->head;
}

static tide_bytes_t piece_bytes (const tide_tape_t *self, const piece_t *piece)
{
    return (tide_bytes_t){self->arena + piece->offset % self->size, piece->size};
}

/*  Entries whose record was overwritten are gone. */
static void drop_overwritten (tide_tape_t *self)
{
    while (self->first < self->next
           && !piece_is_there (self, &entry_at (self, self->first)->record))
        self->first++;
}

/*  Where the next size bytes would begin. */
static uint64_t place (const tide_tape_t *self, size_t size)
{
    size_t rest = self->size - self->head % self->size;
    return rest >= size ? self->head : self->head + rest;
}

static piece_t lay (tide_tape_t *self, tide_bytes_t bytes, unsigned form)
{
    piece_t piece = {place (self, bytes.size), (uint32_t) bytes.size, form};
    memcpy (self->arena + piece.offset % self->size, bytes.data, bytes.size);
    self->head = piece.offset + bytes.size;
    drop_overwritten (self);
    return piece;
}

uint64_t tide_tape_append (tide_tape_t *self, tide_bytes_t record, uint64_t seq, unsigned flags,
                           uint64_t now_ms)
{
    if (self->next - self->first == ENTRIES)
        self->first++;
    uint64_t number = self->next;
    entry_t *entry = entry_at (self, number);
    *entry = (entry_t){.seq = seq, .time_ms = now_ms, .flags = (uint8_t) flags};
    if (record.size <= self->size / 4) {
        entry->record = lay (self, record, 0);
        self->next++;
    }
    else {
        /*  Not there: and so nothing before it can be the start of an unbroken run. */
        self->next++;
        self->first = self->next;
    }
    return number;
}

uint64_t tide_tape_first (const tide_tape_t *self)
{
    return self->first;
}

bool tide_tape_has (const tide_tape_t *self, uint64_t number)
{
    return number >= self->first && number < self->next;
}

tide_tape_entry_t tide_tape_entry (const tide_tape_t *self, uint64_t number)
{
    tide_assert (tide_tape_has (self, number));
    const entry_t *entry = entry_at (self, number);
    return (tide_tape_entry_t){entry->seq, entry->time_ms, entry->flags,
                               piece_bytes (self, &entry->record)};
}

tide_bytes_t tide_tape_form (const tide_tape_t *self, uint64_t number, unsigned form)
{
    tide_assert (tide_tape_has (self, number));
    const entry_t *entry = entry_at (self, number);
    for (unsigned at = 0; at < entry->form_count; at++)
        if (entry->forms[at].form == form && piece_is_there (self, &entry->forms[at]))
            return piece_bytes (self, &entry->forms[at]);
    return (tide_bytes_t){0};
}

void tide_tape_keep (tide_tape_t *self, uint64_t number, unsigned form, tide_bytes_t bytes)
{
    tide_assert (tide_tape_has (self, number));
    entry_t *entry = entry_at (self, number);
    if (entry->form_count == FORMS || bytes.size == 0 || bytes.size > self->size / 4)
        return;
    uint64_t head = place (self, bytes.size) + bytes.size;
    if (entry->record.offset + self->size < head)
        return;
    entry->forms[entry->form_count++] = lay (self, bytes, form);
}
