/*  sim_world.c - the clock, the dice, and what happens next.
 *
 *  Each step one thing is done: something that is on its way arrives, a process works, a client
 *  acts, or a fault strikes; which, the dice say. Time passes when there is nothing to do. At the
 *  end faults stop, everything is mended, and everybody must get what is still owed to them.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { START_MS = 1000000, SETTLE_MS = 120000, CHOICES_MAX = 1024 };

/*  SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t sim_random (sim_t *sim, uint64_t below)
{
    uint64_t z = sim->random += UINT64_C (0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C (0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C (0x94d049bb133111eb);
    z ^= z >> 31;
    return below > 0 ? z % below : 0;
}

bool sim_chance (sim_t *sim, unsigned percent)
{
    return sim_random (sim, 100) < percent;
}

/*  -- making a world -------------------------------------------------------------------------- */

static void choose_config (sim_t *sim)
{
    sim->config.events = "1";
    sim->config.volatiles = "2";
    sim->config.payload_max = 1000000;
    sim->config.retain_events = sim_chance (sim, 40) ? 30 + sim_random (sim, 300) : 100000;
    sim->config.retain_bytes = sim_chance (sim, 10) ? 60000 : UINT64_C (1) << 30;
    sim->config.retain_ms = sim_chance (sim, 10) ? 8000 : 7 * 86400000ull;
    sim->config.dedupe_ids = sim_chance (sim, 30) ? 20 + sim_random (sim, 200) : 100000;
    sim->resume_ms = sim_chance (sim, 25) ? 3000 : 60000;
    sim->segment_events = sim_chance (sim, 70) ? 8 + (uint32_t) sim_random (sim, 60) : 0;
    sim->lane_count = 1 + (unsigned) sim_random (sim, SIM_LANES_MAX);
    sim->client_count = 1 + (unsigned) sim_random (sim, 9);
    sim->delay_ms = 1 + (unsigned) sim_random (sim, sim_chance (sim, 20) ? 60 : 8);
    sim->drop_percent = sim_chance (sim, 30) ? 0 : (unsigned) sim_random (sim, 60);
    sim->may_wipe = sim_chance (sim, 35);
    sim->may_damage = sim_chance (sim, 10);
    sim->may_fill = sim_chance (sim, 30);
    sim->big_events = sim_chance (sim, 30);
    sim->config.workers_wait_ms = 1000 + sim_random (sim, 4000);
    sim->calls.is_on = sim_chance (sim, 50);
    sim->calls.is_forgetful = sim_chance (sim, 40);
    if (sim->calls.is_on && !sim->calls.is_forgetful) {
        sim->config.retain_events = sim->config.dedupe_ids = 100000;
        sim->config.retain_bytes = UINT64_C (1) << 30;
        sim->config.retain_ms = 7 * 86400000ull;
    }
    sim->may_flood = !sim->big_events && sim_chance (sim, 15);
    sim->presence.is_on = sim->seed % 7 < 3;
    sim->groups.is_on = sim->seed % 5 < 2;
    sim->hooks.is_on = sim->seed % 3 == 0;
    sim->hooks.is_strict = sim->hooks.is_on && sim->seed % 2 == 0;
    if (sim->hooks.is_strict) {
        sim->config.retain_events = sim->config.dedupe_ids = 100000;
        sim->config.retain_bytes = UINT64_C (1) << 30;
        sim->config.retain_ms = 7 * 86400000ull;
        sim->may_damage = sim->may_fill = false;
    }
}

sim_t *sim_new (uint64_t seed, uint64_t steps, sim_mutation_t mutation, bool is_verbose)
{
    sim_t *self = tide_alloc (sizeof *self);
    if (sodium_init () < 0)
        tide_assert_failed ("sodium_init", __FILE__, __LINE__);
    self->seed = self->random = seed;
    sim_random (self, 1);
    self->steps = steps;
    self->mutation = mutation;
    self->is_verbose = is_verbose;
    self->has_faults = true;
    self->now_ms = START_MS;
    self->publish_count = 1;
    self->publishes = tide_alloc (sizeof *self->publishes);
    self->publish_capacity = 1;
    choose_config (self);
    sim_note (self, "%u lanes, %u clients, keeps %llu events, %llu bytes, %llu ms, %llu ids",
              self->lane_count, self->client_count, (unsigned long long) self->config.retain_events,
              (unsigned long long) self->config.retain_bytes,
              (unsigned long long) self->config.retain_ms,
              (unsigned long long) self->config.dedupe_ids);
    self->disk = sim_disk_new (self);
    sim_broker_start (self);
    for (unsigned at = 0; at < self->lane_count; at++) {
        self->lanes[at].number = at;
        sim_lane_start (self, &self->lanes[at]);
    }
    sim_publisher_start (self);
    sim_calls_start (self);
    sim_hooks_start (self);
    sim_groups_start (self);
    for (unsigned at = 0; at < self->client_count; at++)
        sim_client_init (self, &self->clients[at], at);
    return self;
}

static void free_lanes (sim_t *self)
{
    for (unsigned at = 0; at < self->lane_count; at++) {
        sim_lane_t *lane = &self->lanes[at];
        tide_hub_destroy (&lane->hub);
        sim_dealer_close (&lane->dealer);
        sim_sub_free (&lane->events);
        sim_sub_free (&lane->volatiles);
        free (lane->http);
    }
}

void sim_destroy (sim_t **self_p)
{
    sim_t *self = *self_p;
    *self_p = NULL;
    free_lanes (self);
    sim_socket_t *socket, *next;
    DL_FOREACH_SAFE (self->sockets, socket, next) {
        sim_pipe_clear (&socket->up);
        sim_pipe_clear (&socket->down);
        free (socket);
    }
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++)
        sim_client_free (&self->clients[at]);
    tide_link_destroy (&self->publisher.link);
    sim_dealer_close (&self->publisher.dealer);
    if (self->broker.core)
        tide_broker_destroy (&self->broker.core);
    sim_calls_free (self);
    sim_hooks_free (self);
    sim_groups_free (self);
    sim_disk_destroy (&self->disk);
    free (self->presence.standing);
    free (self->publishes);
    free (self);
}

/*  -- what can happen ------------------------------------------------------------------------- */

typedef enum {
    DEALER_UP,
    DEALER_DOWN,
    SUB_UP,
    SUB_DOWN,
    SOCKET_UP,
    SOCKET_DOWN,
    SOCKET_WRITE,
    SOCKET_CLOSED,
    DISK,
    BROKER_TICK,
    BROKER_UP,
    LANE_TICK,
    LANE_UP,
    PUBLISHER_TICK,
    CALLER_TICK,
    WORKER_TICK,
    DOOR_TICK,
    MEMBER_TICK,
    CLIENT_TICK
} kind_t;

typedef struct {
    kind_t kind;
    void *what;
    sim_lane_t *lane;
    sim_pipe_t *pipe;
} choice_t;

typedef struct {
    choice_t at[CHOICES_MAX];
    size_t count;
    uint64_t next_ms; /* when something becomes possible that is not yet */
} choices_t;

static void offer (const sim_t *sim, choices_t *choices, uint64_t due_ms, choice_t choice)
{
    if (due_ms <= sim->now_ms && choices->count < CHOICES_MAX)
        choices->at[choices->count++] = choice;
    else if (due_ms > sim->now_ms && due_ms < choices->next_ms)
        choices->next_ms = due_ms;
}

static void offer_pipe (const sim_t *sim, choices_t *choices, kind_t kind, sim_pipe_t *pipe,
                        void *what, sim_lane_t *lane)
{
    if (pipe->first)
        offer (sim, choices, sim_pipe_due (pipe), (choice_t){kind, what, lane, pipe});
}

static void offer_dealer (sim_t *sim, choices_t *choices, sim_dealer_t *dealer, sim_lane_t *lane)
{
    if (sim->broker.core)
        offer_pipe (sim, choices, DEALER_UP, &dealer->up, dealer, lane);
    offer_pipe (sim, choices, DEALER_DOWN, &dealer->down, dealer, lane);
}

static void offer_sub (sim_t *sim, choices_t *choices, sim_sub_t *sub, sim_lane_t *lane)
{
    if (sim->broker.core)
        offer_pipe (sim, choices, SUB_UP, &sub->up, sub, lane);
    offer_pipe (sim, choices, SUB_DOWN, &sub->down, sub, lane);
}

static void offer_socket (sim_t *sim, choices_t *choices, sim_socket_t *socket)
{
    sim_lane_t *lane = socket->lane;
    if (lane && !socket->is_paused && socket->close_at_ms == 0)
        offer_pipe (sim, choices, SOCKET_UP, &socket->up, socket, lane);
    if (lane && socket->close_at_ms > 0)
        offer (sim, choices, socket->close_at_ms, (choice_t){SOCKET_CLOSED, socket, lane, NULL});
    if (lane && socket->is_writable_asked && socket->down.bytes < SIM_SOCKET_SIZE
        && (socket->close_at_ms == 0 || socket->is_broken))
        offer (sim, choices, 0, (choice_t){SOCKET_WRITE, socket, lane, NULL});
    if (!socket->client || socket->is_broken)
        return;
    uint64_t deaf = socket->client->deaf_until_ms;
    if (socket->down.first && deaf > sim->now_ms)
        offer (sim, choices, deaf, (choice_t){SOCKET_DOWN, socket, lane, &socket->down});
    else
        offer_pipe (sim, choices, SOCKET_DOWN, &socket->down, socket, lane);
}

static void offer_lane (sim_t *sim, choices_t *choices, sim_lane_t *lane)
{
    if (!lane->hub) {
        offer (sim, choices, lane->up_at_ms, (choice_t){LANE_UP, lane, lane, NULL});
        return;
    }
    offer_dealer (sim, choices, &lane->dealer, lane);
    offer_sub (sim, choices, &lane->events, lane);
    offer_sub (sim, choices, &lane->volatiles, lane);
    offer (sim, choices, tide_hub_deadline_ms (lane->hub), (choice_t){LANE_TICK, lane, lane, NULL});
}

static void offer_calls (sim_t *sim, choices_t *choices)
{
    sim_calls_t *calls = &sim->calls;
    for (unsigned at = 0; calls->is_on && at < SIM_CALLERS; at++) {
        sim_caller_t *caller = &calls->callers[at];
        offer_dealer (sim, choices, &caller->dealer, NULL);
        offer (sim, choices, tide_link_deadline_ms (caller->link),
               (choice_t){CALLER_TICK, caller, NULL, NULL});
    }
    for (unsigned at = 0; at < calls->worker_count; at++) {
        sim_worker_t *worker = &calls->workers[at];
        offer_dealer (sim, choices, &worker->dealer, NULL);
        offer (sim, choices, sim_worker_due_ms (worker),
               (choice_t){WORKER_TICK, worker, NULL, NULL});
    }
    for (unsigned at = 0; at < sim->groups.member_count; at++) {
        sim_member_t *member = &sim->groups.members[at];
        offer_dealer (sim, choices, &member->dealer, NULL);
        offer (sim, choices, sim_member_due_ms (member),
               (choice_t){MEMBER_TICK, member, NULL, NULL});
    }
    if (!sim->hooks.is_on)
        return;
    offer_dealer (sim, choices, &sim->hooks.dealer, NULL);
    offer (sim, choices, sim_door_due_ms (&sim->hooks), (choice_t){DOOR_TICK, NULL, NULL, NULL});
}

static void find_choices (sim_t *sim, choices_t *choices)
{
    uint64_t due;
    choices->count = 0;
    choices->next_ms = UINT64_MAX;
    for (unsigned at = 0; at < sim->lane_count; at++)
        offer_lane (sim, choices, &sim->lanes[at]);
    offer_dealer (sim, choices, &sim->publisher.dealer, NULL);
    offer (sim, choices, tide_link_deadline_ms (sim->publisher.link),
           (choice_t){PUBLISHER_TICK, NULL, NULL, NULL});
    if (sim->broker.core)
        offer (sim, choices, tide_broker_deadline_ms (sim->broker.core),
               (choice_t){BROKER_TICK, NULL, NULL, NULL});
    else
        offer (sim, choices, sim->broker.up_at_ms, (choice_t){BROKER_UP, NULL, NULL, NULL});
    offer_calls (sim, choices);
    sim_disk_ready (sim, &due);
    if (due != UINT64_MAX)
        offer (sim, choices, due, (choice_t){DISK, NULL, NULL, NULL});
    sim_socket_t *socket;
    DL_FOREACH (sim->sockets, socket)
        offer_socket (sim, choices, socket);
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++) {
        sim_client_t *client = &sim->clients[at];
        bool exists = at < sim->client_count || (client->is_ghost && !client->is_dead);
        if (exists && client->state == SIM_AWAY)
            offer (sim, choices, client->connect_at_ms,
                   (choice_t){CLIENT_TICK, client, NULL, NULL});
        else if (exists && sim_reader_is_due (client))
            offer (sim, choices, client->reader.try_at_ms,
                   (choice_t){CLIENT_TICK, client, NULL, NULL});
    }
}

/*  -- and happens ----------------------------------------------------------------------------- */

static void dealer_up (sim_t *sim, const choice_t *choice, const sim_packet_t *packet)
{
    const sim_dealer_t *dealer = choice->what;
    for (unsigned at = 0; at < sim->groups.member_count; at++)
        if (dealer == &sim->groups.members[at].dealer)
            sim_group_heard (sim, &sim->groups.members[at],
                             (tide_bytes_t){packet->data, packet->size});
    tide_broker_receive (sim->broker.core, sim->now_ms, tide_bytes (dealer->id),
                         (tide_bytes_t){packet->data, packet->size});
    sim_broker_stir (sim);
}

static void dealer_down (sim_t *sim, const choice_t *choice, const sim_packet_t *packet)
{
    tide_bytes_t bytes = {packet->data, packet->size};
    if (choice->lane) {
        tide_hub_receive (choice->lane->hub, sim->now_ms, bytes);
        sim_lane_drain (sim, choice->lane);
        return;
    }
    for (unsigned at = 0; at < SIM_CALLERS; at++)
        if (choice->what == &sim->calls.callers[at].dealer) {
            sim_caller_receive (sim, &sim->calls.callers[at], bytes);
            return;
        }
    for (unsigned at = 0; at < SIM_WORKERS; at++)
        if (choice->what == &sim->calls.workers[at].dealer) {
            sim_worker_receive (sim, &sim->calls.workers[at], bytes);
            return;
        }
    for (unsigned at = 0; at < SIM_MEMBERS; at++)
        if (choice->what == &sim->groups.members[at].dealer) {
            sim_member_receive (sim, &sim->groups.members[at], bytes);
            return;
        }
    if (choice->what == &sim->hooks.dealer) {
        sim_door_receive (sim, bytes);
        return;
    }
    tide_link_receive (sim->publisher.link, sim->now_ms, bytes);
    sim_publisher_drain (sim);
}

static void socket_up (sim_t *sim, const choice_t *choice, const sim_packet_t *packet)
{
    sim_socket_t *socket = choice->what;
    if (packet->kind == SIM_PACKET_CLOSE) {
        sim_socket_lane_closed (sim, socket);
        return;
    }
    tide_hub_frame (choice->lane->hub, sim->now_ms, socket->connection,
                    (tide_bytes_t){packet->data, packet->size}, true);
    sim_lane_drain (sim, choice->lane);
}

static void trace (const sim_t *sim, const choice_t *choice, tide_bytes_t bytes)
{
    static const char *const ways[] = {"->broker", "<-broker", "->xpub",
                                       "<-xpub",   "->lane",   "<-lane"};
    char where[80];
    const sim_socket_t *socket = choice->what;
    bool is_client = choice->kind == SOCKET_UP || choice->kind == SOCKET_DOWN;
    if (!sim->is_verbose)
        return;
    snprintf (where, sizeof where, "%s %s client %d", ways[choice->kind],
              choice->lane ? choice->lane->id : "-",
              is_client && socket->client ? (int) socket->client->number : -1);
    sim_trace (sim, where, bytes, choice->kind == SUB_DOWN);
}

static void arrive (sim_t *sim, const choice_t *choice)
{
    sim_packet_t *packet = sim_pipe_take (choice->pipe);
    sim_socket_t *socket = choice->what;
    trace (sim, choice, (tide_bytes_t){packet->data, packet->size});
    switch (choice->kind) {
    case DEALER_UP:
        dealer_up (sim, choice, packet);
        break;
    case DEALER_DOWN:
        dealer_down (sim, choice, packet);
        break;
    case SUB_UP:
        sim_sub_control (choice->what, packet);
        break;
    case SUB_DOWN:
        tide_hub_published (choice->lane->hub, sim->now_ms,
                            (tide_bytes_t){packet->data, packet->size});
        sim_lane_drain (sim, choice->lane);
        break;
    case SOCKET_UP:
        socket_up (sim, choice, packet);
        break;
    default:
        if (packet->kind == SIM_PACKET_CLOSE)
            sim_client_closed (sim, socket->client);
        else
            sim_client_receive (sim, socket->client, (tide_bytes_t){packet->data, packet->size});
        break;
    }
    free (packet);
}

static void happen (sim_t *sim, const choice_t *choice)
{
    switch (choice->kind) {
    case SOCKET_WRITE:
        sim_lane_write (sim, choice->what);
        break;
    case SOCKET_CLOSED:
        sim_socket_lane_closed (sim, choice->what);
        break;
    case DISK:
        sim_disk_work (sim);
        break;
    case BROKER_TICK:
        tide_broker_tick (sim->broker.core, sim->now_ms);
        sim_broker_stir (sim);
        break;
    case BROKER_UP:
        sim_broker_start (sim);
        break;
    case LANE_TICK:
        tide_hub_tick (choice->lane->hub, sim->now_ms);
        sim_lane_drain (sim, choice->lane);
        break;
    case LANE_UP:
        sim_lane_start (sim, choice->what);
        break;
    case PUBLISHER_TICK:
        tide_link_tick (sim->publisher.link, sim->now_ms);
        sim_publisher_drain (sim);
        break;
    case CALLER_TICK: {
        sim_caller_t *caller = choice->what;
        tide_link_tick (caller->link, sim->now_ms);
        sim_caller_drain (sim, caller);
        break;
    }
    case WORKER_TICK:
        sim_worker_tick (sim, choice->what);
        break;
    case DOOR_TICK:
        sim_door_tick (sim);
        break;
    case MEMBER_TICK:
        sim_member_tick (sim, choice->what);
        break;
    case CLIENT_TICK:
        sim_client_tick (sim, choice->what);
        break;
    default:
        arrive (sim, choice);
        break;
    }
}

/*  Something that is due happens, or time passes until something is. */
static void proceed (sim_t *sim)
{
    choices_t choices;
    find_choices (sim, &choices);
    if (choices.count > 0) {
        happen (sim, &choices.at[sim_random (sim, choices.count)]);
        return;
    }
    if (sim->broker.is_dirty)
        return;
    tide_assert (choices.next_ms != UINT64_MAX);
    sim->now_ms = choices.next_ms;
}

static void act (sim_t *sim)
{
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (sim->calls.is_on && sim_chance (sim, 35)) {
        sim_calls_act (sim);
        return;
    }
    if (sim->hooks.is_on && sim_chance (sim, 8)) {
        sim_door_act (sim);
        return;
    }
    if (dice < 65)
        sim_client_act (sim, &sim->clients[sim_random (sim, SIM_CLIENTS_MAX) % sim->client_count]);
    else if (dice < 70)
        sim_client_act (sim, &sim->clients[sim_random (sim, SIM_CLIENTS_MAX)]);
    else if (dice < 85)
        sim_publisher_act (sim);
    else {
        sim_lane_t *lane = &sim->lanes[sim_random (sim, sim->lane_count)];
        if (lane->hub)
            sim_lane_request (sim, lane);
    }
}

static void step (sim_t *sim)
{
    unsigned dice = (unsigned) sim_random (sim, 1000);
    sim->step++;
    if (sim->has_faults && dice < 6)
        sim_fault (sim);
    else if (sim->has_faults && dice < 120)
        act (sim);
    else
        proceed (sim);
    if (sim_chance (sim, 25))
        sim->now_ms++;
    if (sim->broker.core && sim->broker.is_dirty && sim_chance (sim, 70))
        sim_broker_drain (sim);
    if (sim->step % 16 == 0)
        sim_check_bounds (sim);
}

/*  -- a run ----------------------------------------------------------------------------------- */

/*  Faults stop, and whatever is broken is mended. */
static void mend (sim_t *sim)
{
    sim_note (sim, "faults stop");
    sim->has_faults = false;
    sim->disk->full_until_ms = 0;
    sim_calls_mend (sim);
    sim_hooks_mend (sim);
    sim_groups_mend (sim);
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++) {
        sim_client_t *client = &sim->clients[at];
        client->deaf_until_ms = 0;
        if (client->state == SIM_AWAY && client->connect_at_ms > sim->now_ms + 1000)
            client->connect_at_ms = sim->now_ms + 1000;
        if (client->is_ghost && !client->is_dead && client->state == SIM_AWAY)
            sim_client_drop (sim, client);
    }
}

/*  One more event of each topic, so that nothing can be missing behind the last one seen. */
static void publish_last (sim_t *sim)
{
    for (unsigned at = 0; at < 3 * SIM_TOPICS; at++)
        sim_publisher_act (sim);
}

static void settle (sim_t *sim)
{
    uint64_t until_ms = sim->now_ms + SETTLE_MS, published_ms = sim->now_ms + 20000;
    uint64_t quiet_ms = 0;
    uint64_t ask_ms = published_ms + 4000;
    bool was_published = false;
    while (!sim->failed && sim->now_ms < until_ms) {
        step (sim);
        if (!was_published && sim->now_ms >= published_ms) {
            publish_last (sim);
            was_published = true;
        }
        /*  When all is said: what is volatile may be lost beside what is not. */
        if (sim->now_ms >= ask_ms) {
            sim_questions_last (sim);
            ask_ms = sim->now_ms + 4000;
        }
        if (!was_published || sim->now_ms < published_ms + 6000 || sim->step % 64 != 0)
            continue;
        if (!sim_check_settled (sim, false))
            quiet_ms = 0;
        else if (quiet_ms == 0)
            quiet_ms = sim->now_ms;
        else if (sim->now_ms > quiet_ms + 3000)
            return;
    }
    if (!sim->failed)
        sim_check_settled (sim, true);
}

bool sim_run (sim_t *sim)
{
    while (!sim->failed && sim->step < sim->steps)
        step (sim);
    if (!sim->failed) {
        mend (sim);
        settle (sim);
    }
    return !sim->failed;
}

void sim_report (const sim_t *sim)
{
    if (sim->failed) {
        printf ("seed %llu failed at step %llu: %s: %s\n", (unsigned long long) sim->seed,
                (unsigned long long) sim->step, sim->guarantee, sim->failure);
        uint64_t at = sim->action_count > SIM_ACTIONS_MAX ? sim->action_count - SIM_ACTIONS_MAX : 0;
        for (; at < sim->action_count; at++)
            printf ("    %s\n", sim->actions[at % SIM_ACTIONS_MAX]);
    }
}
