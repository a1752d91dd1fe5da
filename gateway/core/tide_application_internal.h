/*  tide_application_internal.h - what the hub tells an application.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_APPLICATION_INTERNAL_H
#define TIDE_APPLICATION_INTERNAL_H

#include "tide_hub_internal.h"

/*  False if nobody is to be asked; else the answer comes by tide_session_admitted, or the session
 *  ends, maybe before this returns. */
bool tide_app_asks_admission (tide_hub_t *hub, tide_session_t *session);
void tide_app_forget_admission (tide_hub_t *hub, tide_session_t *session);
/*  Tells the application how something ended, when nobody is in the midst of anything. */
void tide_app_tell (tide_hub_t *hub, tide_app_done_fn *done, void *argument, tide_status_t status);
void tide_app_sweep (tide_hub_t *hub);
void tide_app_connected (tide_hub_t *hub, tide_session_t *session);
void tide_app_disconnected (tide_hub_t *hub, const tide_session_t *session, const char *reason);
/*  Hands an event to the application, whose packet is used up; false if there is none. */
bool tide_app_event (tide_hub_t *hub, tide_session_t *session, tide_socketio_packet_t *packet,
                     tide_reply_t *reply);
void tide_app_forget_calls (tide_hub_t *hub, tide_session_t *session);

#endif
