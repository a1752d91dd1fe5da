/*  tide_relay.c - hands bytes from one peer to another.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_relay.h"

static tide_bytes_t id_of (const tide_peer_t *peer)
{
    return (tide_bytes_t){peer->id, peer->id_size};
}

static void tell (tide_core_t *core, const tide_peer_t *sender, uint64_t token, uint32_t count)
{
    tide_message_t told = {.kind = TIDE_MESSAGE_TOLD, .told = {.token = token, .count = count}};
    tide_outbox_send (&core->out, id_of (sender), &told);
}

/*  Whether it takes so much more. What it has not told of by its heartbeats counts as on its way: a
 *  peer that reads nothing would fill the broker's memory. */
static bool has_room (tide_core_t *core, tide_peer_t *peer, size_t size)
{
    uint64_t open = peer->relayed > peer->taken ? peer->relayed - peer->taken : 0;
    if (open + size > TIDE_RELAY_OPEN_SIZE_MAX) {
        core->counters.relays_full++;
        return false;
    }
    peer->relayed += size;
    return true;
}

/*  The payload is encoded once, however many get it. */
static uint32_t relay_to_all (tide_core_t *core, const tide_peers_t *peers,
                              const tide_peer_t *sender, const tide_message_t *relayed)
{
    uint32_t count = 0, at = 0;
    tide_peer_t *holder;
    while ((holder = tide_peers_next_holder (peers, &at)) != NULL) {
        /*  Nor to itself under a newer connection. */
        if (holder->lease == sender->lease
            || !has_room (core, holder, relayed->relayed.payload.size))
            continue;
        if (count++ == 0)
            tide_outbox_send (&core->out, id_of (holder), relayed);
        else
            tide_outbox_send_again (&core->out, id_of (holder));
    }
    return count;
}

static uint32_t relay_to_one (tide_core_t *core, const tide_peers_t *peers, tide_bytes_t lease,
                              const tide_message_t *relayed)
{
    uint32_t handle = tide_leases_find (core->leases, lease);
    tide_peer_t *holder = handle ? tide_peers_holder (peers, handle) : NULL;
    if (!holder || !has_room (core, holder, relayed->relayed.payload.size))
        return 0;
    tide_outbox_send (&core->out, id_of (holder), relayed);
    return 1;
}

void tide_relay_receive (tide_core_t *core, const tide_peers_t *peers, const tide_peer_t *sender,
                         const tide_relay_message_t *relay)
{
    if (!sender->lease) {
        core->counters.relays_refused++;
        tell (core, sender, relay->token, 0);
        return;
    }
    tide_message_t relayed = {.kind = TIDE_MESSAGE_RELAYED,
                              .relayed = {.token = relay->token,
                                          .from = tide_leases_name (core->leases, sender->lease),
                                          .payload = relay->payload}};
    bool is_to_all = relay->to.size == 0;
    uint32_t count = is_to_all ? relay_to_all (core, peers, sender, &relayed)
                               : relay_to_one (core, peers, relay->to, &relayed);
    core->counters.relayed += count;
    core->counters.relays_nowhere += count == 0;
    if (is_to_all || count == 0)
        tell (core, sender, relay->token, count);
}
