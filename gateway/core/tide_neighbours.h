/*  tide_neighbours.h - what belongs to other lanes, and what they say to one another.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_NEIGHBOURS_H
#define TIDE_NEIGHBOURS_H

#include "tide_hub_internal.h"

/*  What lanes say to one another, as the first byte of what is relayed. */
typedef enum {
    TIDE_NEIGHBOUR_REQUEST = 1, /* u8 tide_neighbour_request_t, u8 is_binary, sid */
    TIDE_NEIGHBOUR_BODY,        /* bytes */
    TIDE_NEIGHBOUR_ABANDON,
    TIDE_NEIGHBOUR_PROBE, /* sid */
    TIDE_NEIGHBOUR_TAKE,
    TIDE_NEIGHBOUR_UNPROBE,
    TIDE_NEIGHBOUR_RESPONSE, /* u16 status, u8 size, type, body */
    TIDE_NEIGHBOUR_PROBED,
    TIDE_NEIGHBOUR_ENDED,        /* the session, or the attempt to take it over, is no more */
    TIDE_NEIGHBOUR_HANDOVER,     /* tide_handover_write */
    TIDE_NEIGHBOUR_ASK,          /* u32 timeout_ms, the event's record (tide_ask.c) */
    TIDE_NEIGHBOUR_ANSWERS,      /* u32 count, then sid, u8 answered, payload of each */
    TIDE_NEIGHBOUR_ARE_YOU_THERE /* not answered: the broker tells if nobody is */
} tide_neighbour_kind_t;

/*  What a REQUEST is; HANDSHAKE only asks whether the session is there. */
typedef enum {
    TIDE_NEIGHBOUR_GET,
    TIDE_NEIGHBOUR_POST,
    TIDE_NEIGHBOUR_HANDSHAKE
} tide_neighbour_request_t;

/*  Tells the lane, or all others where that is empty. The number of a question (ASK, ANSWERS) is
 *  the asker's. False if the broker is away. */
bool tide_neighbour_send (tide_hub_t *hub, const char *lane, uint64_t number,
                          tide_neighbour_kind_t kind, tide_bytes_t rest);
/*  True if the sid's session is another lane's, which is written to `lane`. */
bool tide_neighbour_of (const tide_hub_t *hub, tide_bytes_t sid, char lane[TIDE_LANE_SIZE_MAX + 1]);
void tide_neighbour_request (tide_hub_t *hub, const char *lane, tide_bytes_t sid,
                             tide_neighbour_request_t what, bool is_binary, uint64_t ticket);
/*  These are false if the request is no other lane's. */
bool tide_neighbour_body (tide_hub_t *hub, uint64_t ticket, tide_bytes_t body);
bool tide_neighbour_abandon (tide_hub_t *hub, uint64_t ticket);
bool tide_neighbour_respond (tide_hub_t *hub, uint64_t ticket, unsigned status, const char *type,
                             tide_bytes_t body, bool *is_sent);
void tide_neighbour_open_probe (tide_hub_t *hub, tide_connection_t *connection, const char *lane,
                                tide_bytes_t sid);
void tide_neighbour_probe_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                                 bool is_text);
/*  The holder is told; it is closed. */
void tide_neighbour_end_probe (tide_hub_t *hub, tide_connection_t *connection);
/*  It is gone: the holder is told. */
void tide_neighbour_forget_probe (tide_hub_t *hub, tide_connection_t *connection, bool is_told);
/*  As the holder: the probe was answered; is no more. */
void tide_neighbour_probed (tide_hub_t *hub, tide_connection_t *probe);
void tide_neighbour_probe_ended (tide_hub_t *hub, tide_connection_t *probe);
/*  The session goes to the probe's lane as soon as it has come to rest; or does not after all. */
void tide_neighbour_leave (tide_hub_t *hub, tide_connection_t *connection,
                           tide_connection_t *probe);
void tide_neighbour_stay (tide_hub_t *hub, tide_connection_t *connection);
void tide_neighbour_receive (tide_hub_t *hub, const tide_message_t *message);
/*  The broker has gone, or another one has come. */
void tide_neighbour_broker_left (tide_hub_t *hub);
void tide_neighbour_sweep (tide_hub_t *hub);
void tide_neighbour_tick (tide_hub_t *hub);
uint64_t tide_neighbour_deadline_ms (const tide_hub_t *hub);
void tide_neighbour_free (tide_hub_t *hub);

#endif
