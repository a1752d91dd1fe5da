/*  tide_groups.h - groups: each event of some topics goes to one of their members.
 *
 *  A group is a cursor that several share. What is behind it is read from the log a page at a time,
 *  as far as its members have credit, and lent to one of them:
 *
 *      (read) ──► WAITING ── a member has credit ──► LENT ──┬── acknowledged ─────────► ACKED ──►
 *                   ▲ ▲                               │     │                             ▲ (floor)
 *                   │ └── delay ── RESTING ◄─ nak, or ┤     └─ for good, or too often     │
 *                   │                         expired │          │                        │
 *                   └───── its member is gone ────────┘          ▼                        │
 *                                                               DEAD ─ letter durable ────┘
 *
 *  What a member gives back before it began waits again, and that attempt does not count.
 *
 *  Its record stands in the log ($group/NAME): the floor, up to which all is acknowledged, and what
 *  is above it. It is written at most once in TIDE_GROUP_GATHER_MS, so after a broker's death some
 *  that were acknowledged are lent again. Dead letters are appended together with it, so each is
 *  there once.
 *
 *  While a group has members the record says that it has (*open*), and nothing is lent before that
 *  is durable. When the last one leaves, and at a clean stop, it says how far events were given
 *  out. So after a start whatever may have been handled has an attempt above 1, and nothing else
 *  where the broker had stopped cleanly.
 *
 *  Nothing is held back for a group: what was trimmed before it was read is told.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GROUPS_H
#define TIDE_GROUPS_H

#include "tide_core.h"
#include "tide_sequencer.h"
#include "tide_who.h"

#define TIDE_GROUPS_MAX 1000u
#define TIDE_GROUP_MEMBERS_MAX 1000u
/*  Acknowledgements are gathered for so long: with the commit, within a second. */
#define TIDE_GROUP_GATHER_MS 750
/*  Events in memory, in bytes: of one group, of all; each group may have one however large. */
#define TIDE_GROUP_SIZE_MAX (16u << 20)
#define TIDE_GROUPS_SIZE_MAX (256u << 20)

tide_groups_t *tide_groups_new (tide_core_t *core);
void tide_groups_destroy (tide_groups_t **self_p);
/*  All is loaded. */
void tide_groups_start (tide_groups_t *self, uint64_t now_ms, tide_sequencer_t *sequencer);
/*  Nothing is lent any more; what is acknowledged is written down at once. */
void tide_groups_stop (tide_groups_t *self, uint64_t now_ms);

/*  The log says what stands, with the index's handle: what is about groups is taken from it. */
void tide_groups_stand (tide_groups_t *self, uint64_t now_ms, uint32_t key,
                        const tide_event_t *event);
void tide_groups_forget (tide_groups_t *self, uint32_t key);
/*  The log was full: what the sequencer had of it is void. */
void tide_groups_undo (tide_groups_t *self, uint64_t now_ms);
/*  The head has moved, or a fetch has ended: there may be something to read. */
void tide_groups_go_on (tide_groups_t *self, uint64_t now_ms);
/*  A fetch has come back. False if it is not one of these. */
bool tide_groups_complete (tide_groups_t *self, uint64_t now_ms, tide_log_fetch_t *fetch);

/*  What peers say; join, leave and done are answered. */
void tide_groups_join (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                       const tide_group_join_message_t *join);
void tide_groups_leave (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer,
                        const tide_group_leave_message_t *leave);
void tide_groups_done (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer, tide_who_t who,
                       const tide_group_done_message_t *done);
void tide_groups_extend (tide_groups_t *self, uint64_t now_ms, tide_who_t who,
                         const tide_group_extend_message_t *extend);
/*  The peer is not there any more: what it had goes to others. */
void tide_groups_gone (tide_groups_t *self, uint64_t now_ms, tide_bytes_t peer);
/*  The peers that are members, one by one, in no order: begin with *at NULL; false at the end. */
bool tide_groups_next_peer (const tide_groups_t *self, void **at, tide_bytes_t *peer);

/*  The broker itself stood still: as tide_dispatch_paused. */
void tide_groups_paused (tide_groups_t *self, uint64_t now_ms);
void tide_groups_tick (tide_groups_t *self, uint64_t now_ms);
uint64_t tide_groups_deadline_ms (const tide_groups_t *self);

typedef struct {
    uint64_t groups, members;
    uint64_t waiting, lent, resting, dead, acked; /* events that were read, by state */
    uint64_t bytes;
} tide_groups_counts_t;
tide_groups_counts_t tide_groups_counts (const tide_groups_t *self);

#endif
