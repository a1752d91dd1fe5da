/*  tide_presence_internal.h - what the parts of presence tell one another.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PRESENCE_INTERNAL_H
#define TIDE_PRESENCE_INTERNAL_H

#include "tide_presence.h"

#define TIDE_PRESENCE_PREFIX "$presence/"
enum { TIDE_PRESENCE_PREFIX_SIZE = sizeof TIDE_PRESENCE_PREFIX - 1 };

/*  The topic's presence, as a string. */
void tide_presence_name (tide_bytes_t topic, char name[TIDE_TOPIC_SIZE_MAX + 1]);
/*  Asks for what stands in a topic of presence. */
tide_op_t *tide_presence_ask (tide_hub_t *hub, const char *name, tide_op_fn *done,
                              tide_connection_t *connection);
/*  Keeps the lists right, after any change of the member's. */
void tide_presence_count (tide_hub_t *hub, tide_member_t *member);
/*  Enters or removes what is due of the member, unless that is under way. */
void tide_presence_publish_member (tide_hub_t *hub, tide_member_t *member);
/*  All are looked at in a moment. */
void tide_presence_look_soon (tide_hub_t *hub);
/*  Something could not be done, and others are as likely to fail: it is tried again later, and
 *  later still as long as nothing can be done. */
void tide_presence_try_later (tide_hub_t *hub);

#endif
