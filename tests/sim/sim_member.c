/*  sim_member.c - workers that are members of groups: the core that libtidemark has, and threads
 *  that handle, refuse, dawdle and forget. They are killed, cut off and slow as others are.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_group_names[SIM_GROUPS] = {"gang", "crew"};
const char *const sim_group_users[SIM_GROUPS] = {"", "boss"};
const char *const sim_group_topics[SIM_GROUPS] = {"a/#", "busy"};

static void drain (sim_t *sim, sim_member_t *self);

/*  -- what it says ---------------------------------------------------------------------------- */

static unsigned group_of (tide_bytes_t name)
{
    return tide_bytes_is (name, sim_group_names[0]) ? 0 : 1;
}

static void keep_word (sim_t *sim, sim_member_t *self, sim_word_t word)
{
    size_t at = 0;
    while (at < SIM_WORDS && self->words[at].token > 0)
        at++;
    self->words[at < SIM_WORDS ? at : sim_random (sim, SIM_WORDS)] = word;
}

static void say (sim_t *sim, sim_member_t *self)
{
    tide_message_t message;
    uint64_t tag;
    while (tide_members_next (self->members, &message, &tag)) {
        if (message.kind == TIDE_MESSAGE_GROUP_EXTEND) {
            tide_link_send (self->link, &message);
            continue;
        }
        uint64_t token = tide_link_request (self->link, sim->now_ms, &message);
        if (message.kind == TIDE_MESSAGE_GROUP_JOIN) {
            unsigned group = group_of (message.group_join.name);
            self->in[group].tag = tag;
            self->in[group].token = token;
        }
        else if (message.kind == TIDE_MESSAGE_GROUP_DONE) {
            const tide_group_done_message_t *done = &message.group_done;
            unsigned group = group_of (done->name);
            sim_group_said (sim, self, group, done);
            keep_word (sim, self,
                       (sim_word_t){.token = token,
                                    .group = group,
                                    .epoch = self->epoch,
                                    .seq = done->seq,
                                    .attempt = done->attempt,
                                    .is_handled = done->outcome == TIDE_GIVEN_HANDLED});
        }
        else if (message.kind == TIDE_MESSAGE_GROUP_LEAVE)
            keep_word (sim, self,
                       (sim_word_t){.token = token,
                                    .group = group_of (message.group_leave.name),
                                    .epoch = self->epoch,
                                    .is_leave = true});
    }
}

static void join (sim_t *sim, sim_member_t *self, unsigned group)
{
    const sim_groups_t *groups = &sim->groups;
    bool is_from_start = group == 0;
    tide_group_join_message_t message = {.user = tide_bytes (sim_group_users[group]),
                                         .name = tide_bytes (sim_group_names[group]),
                                         .topics = tide_bytes (sim_group_topics[group]),
                                         .start = is_from_start,
                                         .credit = 1 + (uint32_t) sim_random (sim, 2 * SIM_GRASP),
                                         .lease_ms = groups->lease_ms[group],
                                         .attempts = groups->attempts[group],
                                         .delay_ms = groups->delay_ms[group]};
    self->in[group].join_at_ms = UINT64_MAX;
    tide_status_t status =
        tide_members_add (self->members, &message, &self->in[group], &self->in[group].membership);
    if (status != TIDE_OK)
        sim_fail (sim, "live", "member %u cannot join %s: %s", self->number, sim_group_names[group],
                  tide_status_name (status));
    sim_note (sim, "member %u joins %s, takes %u", self->number, sim_group_names[group],
              message.credit);
}

static void part (sim_t *sim, sim_member_t *self, unsigned group, uint64_t again_ms)
{
    tide_members_remove (self->members, &self->in[group].membership);
    self->in[group].join_at_ms = sim->now_ms + again_ms;
}

static void start (sim_t *sim, sim_member_t *self)
{
    char origin[32];
    snprintf (origin, sizeof origin, "m%llu", (unsigned long long) ++sim->serial);
    self->link =
        tide_link_new (&(tide_link_config_t){.name = "member", .lease = NULL, .origin = origin});
    self->members = tide_members_new ();
    self->is_running = true;
    self->run_at_ms = UINT64_MAX;
    self->epoch = 0;
    memset (self->words, 0, sizeof self->words); /* its requests are counted anew */
    tide_members_run (self->members, true);
    sim_note (sim, "member %u starts", self->number);
    for (unsigned group = 0; group < SIM_GROUPS; group++)
        if (self->in[group].is_wanted)
            join (sim, self, group);
        else
            self->in[group].join_at_ms = UINT64_MAX;
    tide_link_start (self->link, sim->now_ms);
    drain (sim, self);
}

void sim_groups_start (sim_t *sim)
{
    sim_groups_t *self = &sim->groups;
    if (!self->is_on)
        return;
    self->member_count = 1 + (unsigned) sim_random (sim, SIM_MEMBERS);
    for (unsigned at = 0; at < SIM_GROUPS; at++) {
        self->lease_ms[at] = 300 + (uint32_t) sim_random (sim, 2500);
        self->attempts[at] = 1 + (uint32_t) sim_random (sim, 5);
        self->delay_ms[at] = 1 + (uint32_t) sim_random (sim, 700);
    }
    for (unsigned at = 0; at < self->member_count; at++) {
        sim_member_t *member = &self->members[at];
        member->number = at;
        member->in[0].is_wanted = at != 1;
        member->in[1].is_wanted = at > 0 || self->member_count == 1;
        start (sim, member);
    }
}

/*  It is gone, and all that it knew. What it has said may be on its way: the broker hears that
 *  before it hears that it has gone. */
static void die (sim_member_t *self)
{
    for (size_t at = 0; at < SIM_GRASP; at++)
        tide_members_let (self->members, &self->hands[at].given);
    tide_members_destroy (&self->members);
    tide_link_destroy (&self->link);
    for (unsigned group = 0; group < SIM_GROUPS; group++)
        self->in[group].membership = NULL;
}

void sim_groups_free (sim_t *sim)
{
    for (unsigned at = 0; at < SIM_MEMBERS; at++) {
        sim_member_t *member = &sim->groups.members[at];
        if (member->link)
            die (member);
        sim_dealer_close (&member->dealer);
    }
    for (unsigned at = 0; at < SIM_GROUPS; at++) {
        free (sim->groups.groups[at].items);
        free (sim->groups.groups[at].acked);
    }
}

void sim_groups_mend (sim_t *sim)
{
    for (unsigned at = 0; at < sim->groups.member_count; at++) {
        sim_member_t *member = &sim->groups.members[at];
        member->up_at_ms = sim->now_ms;
        if (member->run_at_ms != UINT64_MAX)
            member->run_at_ms = sim->now_ms;
    }
}

/*  -- what it does ---------------------------------------------------------------------------- */

static void end (sim_t *sim, sim_member_t *self, sim_grasp_t *hand, tide_given_outcome_t outcome)
{
    uint32_t delay_ms = sim_chance (sim, 50) ? 1 + (uint32_t) sim_random (sim, 800) : 0;
    tide_status_t status =
        tide_members_end (self->members, sim->now_ms, hand->given, outcome,
                          outcome == TIDE_GIVEN_AGAIN ? delay_ms : 0, tide_bytes ("as it is"));
    (void) status; /* CONFLICT: it is another's by now */
    tide_members_let (self->members, &hand->given);
}

/*  It has worked on it for a while. */
static void work (sim_t *sim, sim_member_t *self, sim_grasp_t *hand)
{
    const tide_given_view_t *view = tide_given_view (hand->given);
    unsigned group = view->handle == &self->in[0] ? 0 : 1;
    uint32_t lease_ms = sim->groups.lease_ms[group];
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (sim->has_faults && dice >= 95) { /* past its time, or never */
        hand->due_ms = sim->now_ms + lease_ms + sim_random (sim, 2000);
        if (dice >= 98)
            tide_members_let (self->members, &hand->given);
    }
    else if (dice >= 88) {
        tide_status_t status = tide_members_extend (self->members, sim->now_ms, hand->given, 0);
        (void) status;
        hand->due_ms = sim->now_ms + sim_random (sim, lease_ms);
    }
    else if (dice < 66)
        end (sim, self, hand, TIDE_GIVEN_HANDLED);
    else if (dice < 78)
        end (sim, self, hand, TIDE_GIVEN_AGAIN);
    else
        end (sim, self, hand, dice < 83 ? TIDE_GIVEN_NEVER : TIDE_GIVEN_NOT_BEGUN);
}

static bool take (sim_t *sim, sim_member_t *self, sim_grasp_t *hand)
{
    tide_given_t *given = tide_members_take (self->members, sim->now_ms);
    if (!given)
        return false;
    const tide_given_view_t *view = tide_given_view (given);
    unsigned group = view->handle == &self->in[0] ? 0 : 1;
    if (view->kind == TIDE_GIVEN_EVENT) {
        sim_group_told (sim, group, view);
        hand->given = given;
        hand->due_ms =
            sim->now_ms
            + sim_random (sim, sim_chance (sim, 85) ? 30 : sim->groups.lease_ms[group] / 2);
        return true;
    }
    bool is_over = view->kind == TIDE_GIVEN_ENDED;
    tide_members_let (self->members, &given);
    if (is_over && self->in[group].membership) {
        sim_note (sim, "member %u is none of %s any more", self->number, sim_group_names[group]);
        part (sim, self, group, sim_random (sim, 500));
    }
    return true;
}

static void go_on (sim_t *sim, sim_member_t *self)
{
    for (size_t at = 0; at < SIM_GRASP && !sim->failed; at++)
        while (!self->hands[at].given && take (sim, self, &self->hands[at]))
            continue;
    say (sim, self);
}

/*  -- what it hears --------------------------------------------------------------------------- */

static void answered (sim_t *sim, sim_member_t *self, const tide_link_action_t *action)
{
    for (unsigned group = 0; group < SIM_GROUPS; group++)
        if (self->in[group].token == action->token)
            tide_members_joined (self->members, sim->now_ms, self->in[group].tag, action->message);
    for (size_t at = 0; at < SIM_WORDS; at++)
        if (self->words[at].token == action->token)
            self->words[at].token = 0;
}

static void drain (sim_t *sim, sim_member_t *self)
{
    tide_link_action_t action;
    go_on (sim, self);
    while (!sim->failed && self->link && tide_link_next_action (self->link, &action)) {
        switch (action.kind) {
        case TIDE_LINK_CONNECT:
            sim_dealer_close (&self->dealer);
            sim_dealer_open (sim, &self->dealer);
            break;
        case TIDE_LINK_SEND:
            sim_dealer_send (sim, &self->dealer, action.bytes);
            break;
        case TIDE_LINK_UP:
            self->epoch = action.message->welcome.epoch;
            tide_members_up (self->members, self->epoch);
            break;
        case TIDE_LINK_ANSWER:
            answered (sim, self, &action);
            break;
        case TIDE_LINK_LENT:
            if (action.message->kind == TIDE_MESSAGE_GROUP_EVENT)
                tide_members_event (self->members, sim->now_ms, &action.message->group_event);
            else if (action.message->kind == TIDE_MESSAGE_GROUP_NOTE)
                tide_members_note (self->members, &action.message->group_note);
            break;
        default:
            break;
        }
        go_on (sim, self);
    }
}

void sim_member_receive (sim_t *sim, sim_member_t *self, tide_bytes_t bytes)
{
    if (!self->link)
        return;
    tide_link_receive (self->link, sim->now_ms, bytes);
    drain (sim, self);
}

/*  -- time ------------------------------------------------------------------------------------ */

static uint64_t sooner (uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

uint64_t sim_member_due_ms (const sim_member_t *self)
{
    if (!self->link)
        return self->up_at_ms;
    uint64_t due_ms =
        sooner (tide_link_deadline_ms (self->link), tide_members_deadline_ms (self->members));
    due_ms = sooner (due_ms, self->run_at_ms);
    for (unsigned group = 0; group < SIM_GROUPS; group++)
        due_ms = sooner (due_ms, self->in[group].join_at_ms);
    for (size_t at = 0; at < SIM_GRASP; at++)
        if (self->hands[at].given)
            due_ms = sooner (due_ms, self->hands[at].due_ms);
    return due_ms;
}

void sim_member_tick (sim_t *sim, sim_member_t *self)
{
    if (!self->link) {
        start (sim, self);
        return;
    }
    for (size_t at = 0; at < SIM_GRASP; at++)
        if (self->hands[at].given && self->hands[at].due_ms <= sim->now_ms)
            work (sim, self, &self->hands[at]);
    for (unsigned group = 0; group < SIM_GROUPS; group++)
        if (self->in[group].join_at_ms <= sim->now_ms)
            join (sim, self, group);
    if (self->run_at_ms <= sim->now_ms) {
        self->run_at_ms = UINT64_MAX;
        self->is_running = true;
        tide_members_run (self->members, true);
    }
    tide_members_tick (self->members, sim->now_ms);
    tide_link_tick (self->link, sim->now_ms);
    drain (sim, self);
}

/*  -- what strikes it ------------------------------------------------------------------------- */

static void stop_threads (sim_t *sim, sim_member_t *self)
{
    sim_note (sim, "member %u takes nothing for a while", self->number);
    self->is_running = false;
    self->run_at_ms = sim->now_ms + sim_random (sim, 3000);
    tide_members_run (self->members, false);
    drain (sim, self);
}

static void leave_one (sim_t *sim, sim_member_t *self)
{
    unsigned group = (unsigned) sim_random (sim, SIM_GROUPS);
    if (!self->in[group].membership)
        return;
    sim_note (sim, "member %u leaves %s", self->number, sim_group_names[group]);
    part (sim, self, group, sim_random (sim, 2000));
    drain (sim, self);
}

static void strike (sim_t *sim, sim_member_t *self, unsigned dice)
{
    if (dice < 35) {
        sim_note (sim, "member %u %s", self->number, dice < 28 ? "is killed" : "goes");
        if (dice < 28)
            sim_dealer_close (&self->dealer);
        else {
            tide_link_send (self->link, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
            drain (sim, self); /* the word is on its way */
        }
        die (self);
        self->up_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 9000 : 800);
    }
    else if (dice < 60) {
        sim_note (sim, "member %u is cut off", self->number);
        sim_dealer_close (&self->dealer);
        sim_dealer_open (sim, &self->dealer);
        if (sim_chance (sim, 40))
            sim_pipe_hold (sim, &self->dealer.up, sim_random (sim, 6000));
    }
    else {
        sim_note (sim, "member %u is slow", self->number);
        sim_pipe_hold (sim, sim_chance (sim, 50) ? &self->dealer.up : &self->dealer.down,
                       sim_random (sim, 6000));
    }
}

void sim_groups_fault (sim_t *sim)
{
    sim_member_t *member = &sim->groups.members[sim_random (sim, sim->groups.member_count)];
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (!member->link)
        return;
    sim->stats.worker_faults++;
    if (dice < 80)
        strike (sim, member, dice);
    else if (dice < 92)
        leave_one (sim, member);
    else if (member->is_running)
        stop_threads (sim, member);
}

bool sim_members_settled (const sim_t *sim)
{
    for (unsigned at = 0; at < sim->groups.member_count; at++) {
        const sim_member_t *member = &sim->groups.members[at];
        bool is_idle = member->link && tide_link_pending (member->link) == 0;
        for (size_t each = 0; each < SIM_GRASP; each++)
            is_idle = is_idle && !member->hands[each].given;
        if (!is_idle)
            return false;
    }
    return true;
}
