/*  tide_args.h - the payload of an event: its arguments, as every dialect understands them.
 *
 *  A payload is JSON text and up to ten binary attachments. Where the JSON stands for a binary
 *  value it holds {"_placeholder":true,"num":n}, n being the attachment's place, as in the
 *  Socket.IO protocol (v5, "Packet encoding"). The JSON is either the event's one argument or an
 *  array of all its arguments. An empty payload removes a key.
 *
 *  What the system itself has to say of a call or of its reply lies beside the arguments, as a
 *  record of tide_message.h (`about`), so that clients' arguments stay as they were.
 *
 *  Layout: u8 form (1 one argument, 2 an array of arguments; 16 more: `about` follows as u32 size
 *  and bytes), u8 number of attachments; without attachments the rest is the JSON text; else u32
 *  size and JSON text, then u32 size and bytes for each attachment.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_ARGS_H
#define TIDE_ARGS_H

#include "tide_limits.h"
#include "tide_status.h"
#include "tide_wire.h"

typedef struct {
    bool many;            /* json is an array of all arguments, not the only one */
    tide_bytes_t about;   /* the system's record; empty in what clients publish */
    tide_bytes_t json;    /* UTF-8 text; checked to be JSON where it came in, not here */
    unsigned attachments; /* how many */
    tide_bytes_t attachment[TIDE_ATTACHMENTS_MAX];
} tide_args_t;

/*  Appends the payload's bytes to out. At most TIDE_ATTACHMENTS_MAX attachments. */
void tide_args_encode (tide_buffer_t *out, const tide_args_t *args);

/*  Finds the parts of a payload; they are borrowed from it.
 *  TIDE_BAD_REQUEST if the payload is not of the layout above. */
tide_status_t tide_args_decode (tide_bytes_t payload, tide_args_t *args);

#endif
