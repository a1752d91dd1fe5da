/*  tide_group_parts.h - what is inside tide_groups: for tide_group*.c and tests only.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GROUP_PARTS_H
#define TIDE_GROUP_PARTS_H

#include "tide_due.h"
#include "tide_group_log.h"
#include "tide_group_window.h"
#include "tide_groups.h"
#include "tide_pager.h"
#include "tide_services.h"

/*  Of what went wrong so much is told. */
#define TIDE_GROUP_MESSAGE_SIZE_MAX 1024

/*  A peer that is a member of groups. */
typedef struct {
    tide_member_t *members;
    UT_hash_handle hh;
    size_t size;
    uint8_t id[];
} tide_group_peer_t;

struct tide_member {
    tide_group_t *group;
    tide_group_peer_t *peer;
    tide_who_t who;
    uint32_t credit, in_hand;
    uint64_t given;   /* rises with each event that it gets */
    bool is_asking;   /* its join is answered when the group's record is durable */
    uint64_t request; /* that join */
    tide_group_item_t *items;
    tide_member_t *prev, *next;           /* of the group */
    tide_member_t *peer_prev, *peer_next; /* of the peer */
};

/*  A fetch with the log. */
typedef struct tide_group_job tide_group_job_t;
struct tide_group_job {
    tide_group_t *group; /* NULL: nobody waits for it any more */
    uint64_t tag;
    uint64_t upto; /* all is read up to there when it has come; 0: what it had read before */
    tide_group_job_t *prev, *next;
};

struct tide_group {
    tide_group_id_t id;
    tide_bytes_t name, user, topics; /* owned */
    uint32_t lease_ms, attempts, delay_ms;
    uint32_t handle; /* in used_handles, and for writing */
    tide_group_window_t window;
    tide_group_item_t *waiting; /* by sequence */
    uint32_t waiting_count, dead_count;
    tide_member_t *members;
    uint32_t member_count;
    uint64_t size; /* bytes of its events in memory */
    /*  In the log: */
    uint32_t key;        /* the index's handle; 0: not there */
    uint64_t stands_at;  /* its record's sequence; 0: none */
    bool is_open;        /* the record says that it has members */
    bool is_changed;     /* it says too little */
    tide_buffer_t said;  /* the payload of the record that is with the log; empty: none is */
    bool says_open;      /* … and what that says */
    uint64_t lent_to;    /* nothing behind it was given to a member */
    uint64_t suspect_to; /* the same when it was loaded: up to there attempts were made before */
    uint64_t told;       /* up to where it was said that events are gone */
    tide_group_job_t *job;
    tide_group_t *prev, *next;
    UT_hash_handle hh, key_hh;
};

struct tide_groups {
    tide_core_t *core;
    tide_sequencer_t *sequencer; /* NULL: not started */
    uint64_t now_ms;
    bool is_stopping;
    tide_group_t *groups, *by_key; /* hashes */
    tide_group_t *list;            /* those that read first come first */
    tide_group_t *used_handles[TIDE_GROUPS_MAX];
    tide_group_peer_t *peers;
    tide_pager_t *pages;
    tide_group_job_t *jobs;
    uint32_t fetching;
    tide_group_item_t **items; /* by handle */
    uint32_t used, capacity;
    uint32_t *free;
    uint32_t free_count;
    tide_due_t due;     /* items: leases, rests */
    tide_due_t writing; /* groups: when their record is to be written */
    uint64_t counts[TIDE_ITEM_STATES];
    uint64_t size, member_count, given;
};

/*  Those that count. */
static inline uint32_t tide_item_attempts (const tide_group_item_t *self)
{
    return self->attempt - self->unused;
}

static inline tide_bytes_t tide_member_peer (const tide_member_t *self)
{
    return (tide_bytes_t){self->peer->id, self->peer->size};
}

/*  -- tide_group_items.c ---------------------------------------------------------------------- */

/*  A new one, above all that are in the window. */
tide_group_item_t *tide_item_new (tide_groups_t *self, tide_group_t *group, uint64_t seq,
                                  tide_item_state_t state);
/*  It is out of the window already. */
void tide_item_free (tide_groups_t *self, tide_group_item_t *item);
void tide_item_keep_record (tide_groups_t *self, tide_group_item_t *item, tide_bytes_t record);
void tide_item_drop_record (tide_groups_t *self, tide_group_item_t *item);
void tide_item_become (tide_groups_t *self, tide_group_item_t *item, tide_item_state_t state);
/*  Out of its group's list, or its member's hands, and without a time. */
void tide_item_let_go (tide_groups_t *self, tide_group_item_t *item);
/*  Among those that wait, in order of sequence: what comes back is near the front. */
void tide_item_wait (tide_groups_t *self, tide_group_item_t *item);
/*  The floor moves up to what is not acknowledged. */
void tide_group_settle (tide_groups_t *self, tide_group_t *group);

/*  -- tide_group_write.c ---------------------------------------------------------------------- */

bool tide_group_wants_open (const tide_groups_t *self, const tide_group_t *group);
/*  Writes the group's record, and the letters of what is dead; one at a time. */
void tide_group_say (tide_groups_t *self, tide_group_t *group);
/*  What was said is void: it was refused, or something else stands there now. */
void tide_group_unsay (tide_groups_t *self, tide_group_t *group, uint64_t delay_ms);
/*  Something is to be written down: soon, together with what comes meanwhile. */
void tide_group_touch (tide_groups_t *self, tide_group_t *group);

/*  -- tide_group_lend.c ----------------------------------------------------------------------- */

bool tide_group_can_lend (const tide_groups_t *self, const tide_group_t *group);
/*  Lends what waits while somebody takes it. */
void tide_group_lend (tide_groups_t *self, tide_group_t *group);
void tide_item_acknowledge (tide_groups_t *self, tide_group_item_t *item);
/*  It was not handled: again, a while later, unless it was tried too often. */
void tide_item_retry (tide_groups_t *self, tide_group_item_t *item, uint64_t delay_ms,
                      tide_status_t code, const char *why);
/*  Nobody has begun to handle it: to another one at once, and this attempt does not count, unless
 *  that goes on and on. */
void tide_item_take_back (tide_groups_t *self, tide_group_item_t *item);
/*  Each attempt waits twice as long as the one before it. */
uint64_t tide_item_delay_ms (const tide_group_item_t *item);
/*  It is never tried again. */
void tide_item_bury (tide_groups_t *self, tide_group_item_t *item, tide_status_t code,
                     const char *message);

/*  -- tide_group_read.c ----------------------------------------------------------------------- */

/*  Lends and reads as far as members can take it. */
void tide_group_go_on (tide_groups_t *self, tide_group_t *group);
/*  Whatever is on its way is not for the group any more. */
void tide_group_cancel_fetch (tide_group_t *group);
/*  To all its members. */
void tide_group_tell (tide_groups_t *self, const tide_group_t *group, tide_status_t code,
                      uint64_t seq, const char *text);

/*  -- tide_group_join.c ----------------------------------------------------------------------- */

/*  Whether a peer may become a member, or stay one. group: NULL if it is new; member: NULL if the
 *  peer is none. OK: then topics are as tide_group_topics brings them. */
tide_status_t tide_group_check_join (const tide_groups_t *self, const tide_group_t *group,
                                     const tide_member_t *member,
                                     const tide_group_join_message_t *join, tide_buffer_t *topics,
                                     const char **why);
void tide_group_take_options (tide_group_t *self, const tide_group_join_message_t *join);

#endif
