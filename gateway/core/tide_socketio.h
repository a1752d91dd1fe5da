/*  tide_socketio.h - Socket.IO v5 packets: decode, with attachments, and encode.
 *
 *  Pure. A decoder gathers one packet from the Engine.IO messages of one connection; any violation
 *  closes the whole connection, as in the reference.
 *  Source: socketio/socket.io, docs/socket.io-protocol/v5-current.md.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SOCKETIO_H
#define TIDE_SOCKETIO_H

#include "tide_args.h"

#include <jansson.h>

typedef enum {
    TIDE_SOCKETIO_CONNECT = 0,
    TIDE_SOCKETIO_DISCONNECT = 1,
    TIDE_SOCKETIO_EVENT = 2,
    TIDE_SOCKETIO_ACK = 3,
    TIDE_SOCKETIO_CONNECT_ERROR = 4,
    TIDE_SOCKETIO_BINARY_EVENT = 5,
    TIDE_SOCKETIO_BINARY_ACK = 6
} tide_socketio_type_t;

typedef struct {
    tide_socketio_type_t type; /* BINARY_EVENT and BINARY_ACK are reported as EVENT and ACK */
    tide_bytes_t nsp;          /* "/" where the packet names none */
    bool has_ack;
    uint64_t ack;
    json_t *data; /* borrowed from the decoder; NULL where there is none. Placeholders
                     stand in it for attachments, checked to be in range */
    unsigned attachments;
    tide_bytes_t attachment[TIDE_ATTACHMENTS_MAX];
} tide_socketio_packet_t;

typedef struct tide_socketio_decoder tide_socketio_decoder_t;

typedef enum {
    TIDE_SOCKETIO_PACKET, /* *packet is whole, valid until the next call and no longer than
                             the message that was given */
    TIDE_SOCKETIO_MORE,   /* attachments are still to come */
    TIDE_SOCKETIO_INVALID /* close the connection with "parse error"; *why says what was wrong */
} tide_socketio_result_t;

tide_socketio_decoder_t *tide_socketio_decoder_new (uint32_t payload_max);
void tide_socketio_decoder_destroy (tide_socketio_decoder_t **self_p);

/*  Frees the packet that was returned last, which is no longer valid: a connection that says
 *  nothing more then holds nothing. */
void tide_socketio_decoder_release (tide_socketio_decoder_t *self);

/*  One Engine.IO message from a client. All validity rules of the protocol for packets that a
 *  client sends: CONNECT payload absent or an object, DISCONNECT none, EVENT a non-empty array
 *  whose first element is a string that is no reserved name, or a number, ACK an array with an id,
 *  at most 10 attachments, text while attachments are pending, binary while none is; a
 *  CONNECT_ERROR from a client is invalid. All attachments together obey payload_max. Numbers are
 *  JavaScript's: a whole one beyond 64 bits becomes a real one. */
tide_socketio_result_t tide_socketio_decode (tide_socketio_decoder_t *self, tide_bytes_t message,
                                             bool is_text, tide_socketio_packet_t *packet,
                                             const char **why);

/*  The messages of the packet whose attachments are still to come, in order: the one at *at, which
 *  goes on by one; false if there is none. Another decoder that is given them is as far as this. */
bool tide_socketio_decoder_pending (const tide_socketio_decoder_t *self, unsigned *at,
                                    tide_bytes_t *message, bool *is_text);

/*  True for a name that Socket.IO keeps for itself: a client that got an event of that name would
 *  close its connection. */
bool tide_socketio_is_reserved (tide_bytes_t name);
/*  Why no event for clients can have this name: it is reserved, or the gateway's own; NULL: it can.
 */
const char *tide_socketio_name_fault (tide_bytes_t name);

/*  The arguments' JSON texts with commas between, without the brackets of an array; maybe empty. */
tide_bytes_t tide_socketio_arguments (const tide_args_t *args);

/*  Encoding: each appends one Engine.IO message, its "4" included. For an event with attachments
 *  the text names their number, and the attachments follow as messages of their own (the caller
 *  sends them as binary frames). */

/*  "40/nsp,{…}": sid, and pid unless it is NULL. */
void tide_socketio_connect (tide_buffer_t *out, tide_bytes_t nsp, const char *sid, const char *pid);
/*  "44/nsp,{"message":…}" and, unless it is NULL, "data" (JSON text). */
void tide_socketio_connect_error (tide_buffer_t *out, tide_bytes_t nsp, const char *message,
                                  const char *data);
void tide_socketio_disconnect (tide_buffer_t *out, tide_bytes_t nsp);
/*  "42/nsp,["name",args…,trailing…]": the arguments of args, then each of the `trailing_count` JSON
 *  texts (meta object, offset string), already JSON. "45N-…" where there are attachments. */
void tide_socketio_event (tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t name,
                          const tide_args_t *args, const tide_bytes_t *trailing,
                          unsigned trailing_count);
/*  "42/nsp,ID["name",args…]": an event that asks the client for an acknowledgement. */
void tide_socketio_ask (tide_buffer_t *out, tide_bytes_t nsp, uint64_t ack, tide_bytes_t name,
                        const tide_args_t *args);
/*  "43/nsp,ID[json]": json is the arguments' JSON text without brackets; "46N-…" with attachments.
 */
void tide_socketio_ack (tide_buffer_t *out, tide_bytes_t nsp, uint64_t ack, tide_bytes_t json,
                        unsigned attachments);

#endif
