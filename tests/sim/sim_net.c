/*  sim_net.c - pipes, and what stands for ZeroMQ's sockets.
 *
 *  A DEALER that is cut keeps what it was given while it has no connection, and is somebody new to
 *  the ROUTER when it has one again. A SUB tells its prefixes to the publisher, so a subscription
 *  works only when it has arrived there; the publisher drops what is above the high-water mark.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  -- pipes ----------------------------------------------------------------------------------- */

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

static uint64_t delay (sim_t *sim)
{
    if (sim->has_faults && sim_random (sim, 400) == 0)
        return sim_random (sim, 20 * sim->delay_ms + 1);
    return sim_random (sim, sim->delay_ms + 1);
}

void sim_pipe_put (sim_t *sim, sim_pipe_t *pipe, uint8_t kind, tide_bytes_t bytes)
{
    sim_packet_t *packet = tide_alloc (sizeof *packet + bytes.size);
    packet->kind = kind;
    packet->size = bytes.size;
    packet->due_ms = later (sim->now_ms + delay (sim), pipe->held_until_ms);
    if (pipe->last)
        packet->due_ms = later (packet->due_ms, pipe->last->due_ms);
    if (bytes.size > 0)
        memcpy (packet->data, bytes.data, bytes.size);
    if (pipe->last)
        pipe->last->next = packet;
    else
        pipe->first = packet;
    pipe->last = packet;
    pipe->count++;
    pipe->bytes += bytes.size;
}

bool sim_pipe_ready (const sim_t *sim, const sim_pipe_t *pipe)
{
    return pipe->first && sim_pipe_due (pipe) <= sim->now_ms;
}

uint64_t sim_pipe_due (const sim_pipe_t *pipe)
{
    return pipe->first ? later (pipe->first->due_ms, pipe->held_until_ms) : UINT64_MAX;
}

/*  The caller frees the packet. */
sim_packet_t *sim_pipe_take (sim_pipe_t *pipe)
{
    sim_packet_t *packet = pipe->first;
    pipe->first = packet->next;
    if (!pipe->first)
        pipe->last = NULL;
    pipe->count--;
    pipe->bytes -= packet->size;
    return packet;
}

void sim_pipe_clear (sim_pipe_t *pipe)
{
    while (pipe->first)
        free (sim_pipe_take (pipe));
    pipe->held_until_ms = 0;
}

void sim_pipe_hold (sim_t *sim, sim_pipe_t *pipe, uint64_t delay_ms)
{
    pipe->held_until_ms = sim->now_ms + delay_ms;
}

/*  -- DEALER ---------------------------------------------------------------------------------- */

void sim_dealer_open (sim_t *sim, sim_dealer_t *dealer)
{
    dealer->is_open = true;
    snprintf (dealer->id, sizeof dealer->id, "peer%llu", (unsigned long long) ++sim->serial);
}

void sim_dealer_close (sim_dealer_t *dealer)
{
    sim_pipe_clear (&dealer->up);
    sim_pipe_clear (&dealer->down);
    dealer->is_open = false;
}

/*  -- SUB ------------------------------------------------------------------------------------- */

static void add_prefix (char ***list, size_t **sizes, size_t *count, tide_bytes_t prefix)
{
    *list = tide_realloc (*list, (*count + 1) * sizeof **list);
    *sizes = tide_realloc (*sizes, (*count + 1) * sizeof **sizes);
    (*list)[*count] = tide_copy (prefix.data, prefix.size);
    (*sizes)[*count] = prefix.size;
    ++*count;
}

static void drop_prefix (char **list, size_t *sizes, size_t *count, tide_bytes_t prefix)
{
    for (size_t at = 0; at < *count; at++) {
        if (sizes[at] != prefix.size || memcmp (list[at], prefix.data, prefix.size) != 0)
            continue;
        free (list[at]);
        --*count;
        list[at] = list[*count];
        sizes[at] = sizes[*count];
        return;
    }
}

static void drop_all (char **list, size_t *count)
{
    while (*count > 0)
        free (list[--*count]);
}

void sim_sub_want (sim_t *sim, sim_sub_t *sub, tide_bytes_t prefix)
{
    add_prefix (&sub->wanted, &sub->wanted_size, &sub->wanted_count, prefix);
    if (sub->is_open)
        sim_pipe_put (sim, &sub->up, SIM_PACKET_SUBSCRIBE, prefix);
}

void sim_sub_unwant (sim_t *sim, sim_sub_t *sub, tide_bytes_t prefix)
{
    drop_prefix (sub->wanted, sub->wanted_size, &sub->wanted_count, prefix);
    if (sub->is_open)
        sim_pipe_put (sim, &sub->up, SIM_PACKET_UNSUBSCRIBE, prefix);
}

void sim_sub_connect (sim_t *sim, sim_sub_t *sub)
{
    sim_pipe_clear (&sub->up);
    sim_pipe_clear (&sub->down);
    drop_all (sub->effective, &sub->effective_count);
    sub->is_open = true;
    if (sim->has_faults && sim_chance (sim, 20))
        sim_pipe_hold (sim, &sub->up, sim_random (sim, 200));
    for (size_t at = 0; at < sub->wanted_count; at++)
        sim_pipe_put (sim, &sub->up, SIM_PACKET_SUBSCRIBE,
                      (tide_bytes_t){(uint8_t *) sub->wanted[at], sub->wanted_size[at]});
}

void sim_sub_free (sim_sub_t *sub)
{
    sim_pipe_clear (&sub->up);
    sim_pipe_clear (&sub->down);
    drop_all (sub->wanted, &sub->wanted_count);
    drop_all (sub->effective, &sub->effective_count);
    free (sub->wanted);
    free (sub->wanted_size);
    free (sub->effective);
    free (sub->effective_size);
    *sub = (sim_sub_t){0};
}

void sim_sub_control (sim_sub_t *sub, const sim_packet_t *packet)
{
    tide_bytes_t prefix = {packet->data, packet->size};
    if (packet->kind == SIM_PACKET_SUBSCRIBE)
        add_prefix (&sub->effective, &sub->effective_size, &sub->effective_count, prefix);
    else
        drop_prefix (sub->effective, sub->effective_size, &sub->effective_count, prefix);
}

static bool is_dropped (sim_t *sim, sim_sub_t *sub)
{
    if (!sim->has_faults)
        return false;
    if (sub->dropping == 0 && sim_random (sim, 1000) < sim->drop_percent)
        sub->dropping = 1 + (unsigned) sim_random (sim, 12);
    if (sub->dropping == 0)
        return false;
    sub->dropping--;
    sim->stats.drops++;
    return true;
}

void sim_sub_publish (sim_t *sim, sim_sub_t *sub, tide_bytes_t frame)
{
    bool matches = false;
    for (size_t at = 0; at < sub->effective_count && !matches; at++)
        matches = frame.size >= sub->effective_size[at]
                  && memcmp (frame.data, sub->effective[at], sub->effective_size[at]) == 0;
    if (!sub->is_open || !matches || is_dropped (sim, sub))
        return;
    tide_buffer_t changed = {0};
    bool is_changed = sim_mutate_published (sim, frame, &changed);
    if (!is_changed || sim->mutation == SIM_MUTATION_REPEATED_VOLATILE)
        sim_pipe_put (sim, &sub->down, SIM_PACKET_BYTES, frame);
    if (is_changed)
        sim_pipe_put (sim, &sub->down, SIM_PACKET_BYTES, tide_buffer_bytes (&changed));
    tide_buffer_free (&changed);
}
