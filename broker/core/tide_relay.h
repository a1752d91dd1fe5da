/*  tide_relay.h - hands bytes from one peer to another, found by its lease.
 *
 *  One way, at most once, and not looked into: what is not taken is gone, and whoever waits for
 *  something in return keeps the time. Only who holds a lease takes part, so that it can be named.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_RELAY_H
#define TIDE_RELAY_H

#include "tide_core.h"
#include "tide_peers.h"

/*  A RELAY from this peer. It gets TOLD if it named no lease, or one that nobody holds
 *  or whose holder does not take what is relayed to it. */
void tide_relay_receive (tide_core_t *core, const tide_peers_t *peers, const tide_peer_t *sender,
                         const tide_relay_message_t *relay);

#endif
