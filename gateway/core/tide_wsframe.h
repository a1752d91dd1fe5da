/*  tide_wsframe.h - WebSocket frames as a server sends them (RFC 6455, section 5.2).
 *
 *  Frames are made once, laid on the tape, and written to many clients as they are. A long message
 *  goes out in fragments, so that a ping or a close finds a place between them. Nothing is masked:
 *  only clients mask.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WSFRAME_H
#define TIDE_WSFRAME_H

#include "tide_wire.h"

/*  A message above this is split into fragments of this size, the last one shorter. */
#define TIDE_WSFRAME_FRAGMENT_MAX 16384u

/*  What a control frame can carry. */
#define TIDE_WSFRAME_CONTROL_MAX 125u

enum {
    TIDE_WSFRAME_CONTINUATION = 0x0,
    TIDE_WSFRAME_TEXT = 0x1,
    TIDE_WSFRAME_BINARY = 0x2,
    TIDE_WSFRAME_CLOSE = 0x8,
    TIDE_WSFRAME_PING = 0x9,
    TIDE_WSFRAME_PONG = 0xa
};

/*  Appends one message as a frame, or as fragments. The payload must not lie in `out`. A control
 *  frame (opcode 8 and above) has at most TIDE_WSFRAME_CONTROL_MAX bytes. */
void tide_wsframe_append (tide_buffer_t *out, uint8_t opcode, tide_bytes_t payload);

/*  The same in place, where the size is known only afterwards: begin leaves room for a header and
 *  returns a mark, the caller appends the payload to `out`, finish writes the headers. */
size_t tide_wsframe_begin (tide_buffer_t *out);
void tide_wsframe_finish (tide_buffer_t *out, size_t mark, uint8_t opcode);

/*  A frame as it was appended. */
typedef struct {
    uint8_t opcode; /* TIDE_WSFRAME_CONTINUATION for all but the first fragment of a message */
    bool is_final;
    tide_bytes_t payload;
    size_t size; /* header included */
} tide_wsframe_t;

/*  Takes the next frame off frames that tide_wsframe_append made; false at their end. */
bool tide_wsframe_next (tide_bytes_t *frames, tide_wsframe_t *frame);

/*  True if the bytes, wherever they come from, are whole frames as tide_wsframe_append makes them.
 */
bool tide_wsframe_are_whole (tide_bytes_t frames);

/*  Appends a close frame: the code, unless it is 0, and as much of the reason as fits. */
void tide_wsframe_close (tide_buffer_t *out, uint16_t code, const char *reason);

#endif
