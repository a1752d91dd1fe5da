/*  tide_group_window.h - what a group has read and not yet got done with, in order of sequence.
 *
 *        floor                       read_to            head
 *      ────┤ A  L  W  A  A  R  W  W ├────────────────────┤
 *           ▲ everything of the group's topics in between, whatever has become of it
 *
 *  The floor is just below the first one that is not acknowledged. What the log says to be
 *  acknowledged above the floor, and was not read again since the start, is kept beside it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GROUP_WINDOW_H
#define TIDE_GROUP_WINDOW_H

#include "tide_message.h"
#include "tide_who.h"

typedef struct tide_group tide_group_t;
typedef struct tide_member tide_member_t;

typedef enum {
    TIDE_ITEM_WAITING,
    TIDE_ITEM_LENT,
    TIDE_ITEM_RESTING,
    TIDE_ITEM_DEAD,  /* its dead letter is not in the log yet */
    TIDE_ITEM_ACKED, /* acknowledged, or its dead letter is there */
    TIDE_ITEM_STATES
} tide_item_state_t;

/*  An event in the window. */
typedef struct tide_group_item tide_group_item_t;
struct tide_group_item {
    tide_group_t *group;
    uint64_t seq;
    tide_item_state_t state;
    uint32_t attempt;  /* how often it was lent */
    uint32_t unused;   /* … and given back before anybody had begun */
    uint32_t handle;   /* among all groups' items */
    uint32_t lease_ms; /* LENT: as it was told last */
    tide_who_t holder; /* to whom it was lent last, even if it is in nobody's hands by now */
    bool is_said;      /* DEAD: its dead letter is with the log */
    tide_member_t *member;
    tide_bytes_t record; /* owned: the event; empty: to be fetched before it is lent */
    char *message;       /* DEAD: why */
    uint8_t code;
    tide_group_item_t *prev, *next;           /* WAITING: of the group, by sequence */
    tide_group_item_t *hand_prev, *hand_next; /* in the member's hands */
};

/*  Zero-initialise it, set where it begins, free with tide_group_window_free. */
typedef struct {
    uint64_t floor, read_to;
    tide_group_item_t **items; /* a ring, rising */
    uint32_t capacity, start, count;
    uint64_t *before; /* acknowledged as the log says, rising; those up to read_to are void */
    uint32_t before_count;
} tide_group_window_t;

/*  Items must be gone: they are their user's. */
void tide_group_window_free (tide_group_window_t *self);

/*  Takes over what the log says in an event of that sequence: it knows of nothing behind itself.
 *  Nothing may have been read. */
void tide_group_window_load (tide_group_window_t *self, const tide_grouped_t *grouped,
                             uint64_t written_at);
/*  Whether that is what the log says of it. */
bool tide_group_window_knows_acked (const tide_group_window_t *self, uint64_t seq);

/*  Adds the next one, above all that are there. */
void tide_group_window_push (tide_group_window_t *self, tide_group_item_t *item);
tide_group_item_t *tide_group_window_at (const tide_group_window_t *self, uint32_t place);
tide_group_item_t *tide_group_window_find (const tide_group_window_t *self, uint64_t seq);
/*  Everything up to there was read. */
void tide_group_window_read (tide_group_window_t *self, uint64_t upto);
/*  Takes out the first one if it is acknowledged, and the floor with it; NULL: it is not. */
tide_group_item_t *tide_group_window_shift (tide_group_window_t *self);
/*  Takes out the last one if no member ever had it: it is to be read again. NULL: there is none. */
tide_group_item_t *tide_group_window_unread (tide_group_window_t *self);

/*  How many more may be read. */
uint32_t tide_group_window_room (const tide_group_window_t *self);
/*  The floor and the `acked` of a group's record: dead ones whose letters go along are over. */
uint64_t tide_group_window_write (const tide_group_window_t *self, tide_buffer_t *acked);

#endif
