/*  sim_groups.h - groups: who is a member, and what became of each event of their topics.
 *  SPDX-License-Identifier: MIT
 */
#ifndef SIM_GROUPS_H
#define SIM_GROUPS_H

#include "tide_members.h"

enum { SIM_GROUPS = 2, SIM_MEMBERS = 3, SIM_GRASP = 4, SIM_WORDS = 64 };

/*  What is known of one event in a group. */
typedef struct {
    bool was_handled, was_refused; /* a member has said so */
    bool is_over;                  /* by the log: acknowledged, dead, or gone before it was read */
    bool is_dead;                  /* a letter says so */
    uint32_t attempt;              /* as the broker counts, in this life of its */
    uint32_t given_back;           /* so often a member said that it had not begun */
    uint64_t life;                 /* of the broker that lent it last; 0: it never was */
    uint64_t acked_life;           /* … that has taken a member's word that it was handled */
    char holder[16];               /* the peer that has it; empty: nobody */
    uint64_t lent_ms, until_ms;    /* the lease */
} sim_group_item_t;

typedef struct {
    uint64_t epoch; /* of the log that all this is about */
    sim_group_item_t *items;
    size_t capacity;
    uint64_t stands_at, begin, floor, upto; /* by the log */
    uint64_t *acked;                        /* … above the floor, rising */
    size_t acked_count;
    uint64_t letter_at, letter; /* the last dead letter, and whose: its record comes behind it */
    /*  In this life of the broker's: */
    uint64_t suspect_to; /* up to there attempts may have been made before */
    uint64_t newest;     /* nothing behind it was lent */
    uint64_t told;       /* up to there it was said that events are gone */
} sim_group_t;

/*  What a member has said that is answered. */
typedef struct {
    uint64_t token; /* 0: answered */
    unsigned group;
    uint64_t epoch, seq;
    uint32_t attempt;
    bool is_leave, is_handled;
} sim_word_t;

typedef struct {
    tide_given_t *given; /* NULL: nothing */
    uint64_t due_ms;
} sim_grasp_t;

typedef struct {
    tide_link_t *link; /* NULL: dead, until up_at_ms */
    sim_dealer_t dealer;
    unsigned number;
    uint64_t up_at_ms, epoch;
    tide_members_t *members;
    struct {
        bool is_wanted;
        tide_membership_t *membership;
        uint64_t join_at_ms, tag, token;
    } in[SIM_GROUPS];
    bool is_running;
    uint64_t run_at_ms;
    sim_grasp_t hands[SIM_GRASP];
    sim_word_t words[SIM_WORDS];
    /*  As the broker sees it: */
    char peer[16];
    uint64_t heard_ms, known_ms; /* last; without a break since */
} sim_member_t;

typedef struct {
    bool is_on;
    uint32_t lease_ms[SIM_GROUPS], attempts[SIM_GROUPS], delay_ms[SIM_GROUPS];
    unsigned member_count;
    uint64_t life;
    sim_group_t groups[SIM_GROUPS];
    sim_member_t members[SIM_MEMBERS];
} sim_groups_t;

extern const char *const sim_group_names[SIM_GROUPS], *const sim_group_users[SIM_GROUPS],
                                                          *const sim_group_topics[SIM_GROUPS];

/*  sim_member.c: the workers. */
void sim_groups_start (sim_t *sim);
void sim_groups_free (sim_t *sim);
void sim_groups_mend (sim_t *sim);
void sim_groups_fault (sim_t *sim);
void sim_member_receive (sim_t *sim, sim_member_t *self, tide_bytes_t bytes);
void sim_member_tick (sim_t *sim, sim_member_t *self);
uint64_t sim_member_due_ms (const sim_member_t *self);
bool sim_members_settled (const sim_t *sim);

/*  sim_group.c: what must hold. */
void sim_groups_restarted (sim_t *sim);
/*  A member says, as itself believes to good effect, what became of an event. */
void sim_group_said (sim_t *sim, const sim_member_t *member, unsigned group,
                     const tide_group_done_message_t *done);
/*  It is handed an event. */
void sim_group_told (sim_t *sim, unsigned group, const tide_given_view_t *view);
/*  The broker hears a member; and tells a peer something. */
void sim_group_heard (sim_t *sim, sim_member_t *member, tide_bytes_t bytes);
void sim_group_tells (sim_t *sim, tide_bytes_t peer, const tide_message_t *message);
/*  A record of the system's has become durable; true if it is of groups. */
bool sim_groups_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                         uint64_t seq);
bool sim_groups_settled (sim_t *sim, bool say);

#endif
