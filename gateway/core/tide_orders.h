/*  tide_orders.h - what workers do to a session.
 *
 *  An order is an event in the session's own topic: to join a topic, to leave one, to go; or, which
 *  is volatile, to ask the client for an acknowledgement. The
 *  session finds it as it finds everything, by reading on, and carries it out there: while an order
 *  is open its cursor goes no further, so the topic is joined at just that sequence, what the
 *  worker emitted behind the order is got, and who comes back before it was done comes to it again.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ORDERS_H
#define TIDE_ORDERS_H

#include "tide_hub_internal.h"

bool tide_orders_is_one (const tide_event_t *event);
/*  The session has come to it. It is carried out when nobody is in the midst of delivering. */
void tide_orders_take (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event);
void tide_orders_sweep (tide_hub_t *hub);
/*  Something has ended that an order of the session may have waited for. */
void tide_orders_go_on (tide_hub_t *hub, tide_session_t *session);
void tide_orders_forget (tide_hub_t *hub, tide_session_t *session);

#endif
