/*  sim_faults.c - what strikes: cuts, kills, delays, a full disk, another log.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdlib.h>

static sim_lane_t *some_lane (sim_t *sim)
{
    return &sim->lanes[sim_random (sim, sim->lane_count)];
}

/*  The connection under a DEALER breaks and is made again: to the ROUTER that is another peer. */
static void cut_dealer (sim_t *sim, sim_dealer_t *dealer, const char *whose)
{
    if (!dealer->is_open)
        return;
    sim_note (sim, "%s is cut off from the broker", whose);
    sim_dealer_close (dealer);
    sim_dealer_open (sim, dealer);
    if (sim_chance (sim, 40)) {
        uint64_t delay_ms = sim_random (sim, sim_chance (sim, 20) ? 12000 : 2000);
        sim_pipe_hold (sim, &dealer->up, delay_ms);
    }
}

static void cut_subscriptions (sim_t *sim, sim_lane_t *lane)
{
    sim_sub_t *sub = sim_chance (sim, 70) ? &lane->events : &lane->volatiles;
    if (!sub->is_open)
        return;
    sim_note (sim, "lane %s loses its subscriptions", lane->id);
    sim_sub_connect (sim, sub);
}

static void slow_down (sim_t *sim, sim_lane_t *lane)
{
    sim_pipe_t *const pipes[] = {&lane->dealer.up, &lane->dealer.down, &lane->events.up,
                                 &lane->events.down, &lane->volatiles.down};
    sim_pipe_t *pipe = pipes[sim_random (sim, 5)];
    sim_pipe_hold (sim, pipe, sim_random (sim, sim_chance (sim, 10) ? 6000 : 600));
    sim_note (sim, "something of lane %s is slow", lane->id);
}

static void wipe (sim_t *sim)
{
    if (!sim->may_wipe || !sim_chance (sim, 25))
        return;
    sim_broker_kill (sim);
    sim_disk_t *fresh = sim_disk_new (sim);
    fresh->older = sim->disk;
    sim->disk = fresh;
    sim->epoch_since_ms = sim->now_ms;
    sim->stats.wipes++;
    sim_note (sim, "the log is gone: another one, %016llx", (unsigned long long) fresh->epoch);
}

void sim_fault (sim_t *sim)
{
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (sim->calls.is_on && sim_chance (sim, 35)) {
        sim_calls_fault (sim);
        return;
    }
    if (sim->hooks.is_on && sim_chance (sim, 12)) {
        sim_hooks_fault (sim);
        return;
    }
    if (sim->groups.is_on && sim_chance (sim, 15)) {
        sim_groups_fault (sim);
        return;
    }
    if (dice < 15)
        cut_dealer (sim, &some_lane (sim)->dealer, "a lane");
    else if (dice < 20)
        cut_dealer (sim, &sim->publisher.dealer, "the publisher");
    else if (dice < 40)
        cut_subscriptions (sim, some_lane (sim));
    else if (dice < 60)
        slow_down (sim, some_lane (sim));
    else if (dice < 68)
        sim_broker_kill (sim);
    else if (dice < 70)
        sim_broker_stop (sim);
    else if (dice < 78)
        sim_lane_kill (sim, some_lane (sim));
    else if (dice < 84)
        sim->now_ms += sim_random (sim, sim_chance (sim, 10) ? 15000 : 2000);
    else if (dice < 90 && sim->may_fill)
        sim->disk->full_until_ms = sim->now_ms + sim_random (sim, 1500);
    else if (dice < 92 && sim->may_damage)
        sim_disk_damage (sim);
    else if (dice < 96)
        wipe (sim);
    else
        sim_client_haunt (sim, &sim->clients[sim_random (sim, sim->client_count)]);
}
