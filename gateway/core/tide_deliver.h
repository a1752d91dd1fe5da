/*  tide_deliver.h - what a session is given, from the tape or from pages.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DELIVER_H
#define TIDE_DELIVER_H

#include "tide_hub_internal.h"

/*  Appends what the session may be given now to `out`, up to about size_max bytes. True if there
 *  is more. */
bool tide_deliver (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out, size_t size_max);
/*  Decides between tape and pages after something changed. */
void tide_deliver_settle (tide_hub_t *hub, tide_session_t *session);
void tide_deliver_touch (tide_hub_t *hub, tide_member_t *member);
void tide_deliver_forget_page (tide_hub_t *hub, tide_session_t *session);
void tide_deliver_forget_pending (tide_session_t *session, tide_member_t *member);
void tide_deliver_tick (tide_hub_t *hub);
void tide_deliver_pump (tide_hub_t *hub);

#endif
