/*  tide_hooks.h - workers are asked who may come in, and told who has lost the connection.
 *
 *  Each is a call that the gateway makes on the client's behalf, under a name that no client can
 *  emit: `tide:connect` with what the client sent and whether its session goes on, answered to the
 *  lane; `tide:disconnect` with Socket.IO's reason. (`tide:session_expired` is the broker's to
 *  call.) A namespace is there if it is configured, or if a worker has ever served something in it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HOOKS_H
#define TIDE_HOOKS_H

#include "tide_hub_internal.h"

/*  True if the namespace is among these: a pattern ends in `*`, which stands for any rest but none,
 *  or names one namespace. The list ends with NULL. */
bool tide_namespace_listed (const char *const *patterns, tide_bytes_t nsp);

/*  Asks whether the session may come in. The answer ends in tide_session_admitted, or the session
 *  is refused. */
void tide_hooks_ask (tide_hub_t *hub, tide_session_t *session);
/*  An event in the lane's own topic: true if it is such an answer. */
bool tide_hooks_replied (tide_hub_t *hub, const tide_event_t *event);
/*  Who was asked in another log never answers. */
void tide_hooks_epoch (tide_hub_t *hub);
/*  Is told, though not before the broker takes it: one that stops does not. */
void tide_hooks_disconnected (tide_hub_t *hub, const tide_session_t *session, const char *reason);
/*  The conversation with the broker has begun anew. */
void tide_hooks_broker_came (tide_hub_t *hub);
void tide_hooks_tick (tide_hub_t *hub);
/*  The hub goes. */
void tide_hooks_forget (tide_hub_t *hub);

#endif
