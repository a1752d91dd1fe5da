/*  tide_wsframe.c - WebSocket frames as a server sends them.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_wsframe.h"

#include "tide_alloc.h"

#include <string.h>

enum { FIN = 0x80, CONTROL = 0x08, SIZE_16 = 126, SMALL_MAX = 125 };

/*  The longest header of a fragment: flags, 126 and 16 bits. A frame never needs 64 bits. */
enum { HEADER_MAX = 4 };
_Static_assert(TIDE_WSFRAME_FRAGMENT_MAX > SMALL_MAX && TIDE_WSFRAME_FRAGMENT_MAX <= UINT16_MAX,
               "a whole fragment has a header of HEADER_MAX bytes");

static size_t header_size (size_t payload_size)
{
    return payload_size <= SMALL_MAX ? 2 : HEADER_MAX;
}

static void store_header (uint8_t *at, uint8_t flags, size_t payload_size)
{
    at[0] = flags;
    if (payload_size <= SMALL_MAX) {
        at[1] = (uint8_t) payload_size;
        return;
    }
    at[1] = SIZE_16;
    at[2] = (uint8_t) (payload_size >> 8);
    at[3] = (uint8_t) payload_size;
}

static void check_opcode (uint8_t opcode, size_t payload_size)
{
    tide_assert (opcode <= TIDE_WSFRAME_PONG);
    tide_assert (!(opcode & CONTROL) || payload_size <= TIDE_WSFRAME_CONTROL_MAX);
}

static void append_frame (tide_buffer_t *out, uint8_t flags, const uint8_t *data, size_t size)
{
    size_t header = header_size (size);
    uint8_t *at = tide_buffer_reserve (out, header + size);
    store_header (at, flags, size);
    if (size > 0)
        memcpy (at + header, data, size);
    out->size += header + size;
}

void tide_wsframe_append (tide_buffer_t *out, uint8_t opcode, tide_bytes_t payload)
{
    check_opcode (opcode, payload.size);
    const uint8_t *data = payload.data;
    size_t remaining = payload.size;
    uint8_t flags = opcode;
    while (remaining > TIDE_WSFRAME_FRAGMENT_MAX) {
        append_frame (out, flags, data, TIDE_WSFRAME_FRAGMENT_MAX);
        data += TIDE_WSFRAME_FRAGMENT_MAX;
        remaining -= TIDE_WSFRAME_FRAGMENT_MAX;
        flags = TIDE_WSFRAME_CONTINUATION;
    }
    append_frame (out, flags | FIN, data, remaining);
}

size_t tide_wsframe_begin (tide_buffer_t *out)
{
    size_t mark = out->size;
    tide_buffer_reserve (out, HEADER_MAX);
    out->size += HEADER_MAX;
    return mark;
}

/*  The payload lies behind one header's room. From the last fragment to the first, each is moved
 *  to where its own header lets it begin; the first whole one is there already. */
void tide_wsframe_finish (tide_buffer_t *out, size_t mark, uint8_t opcode)
{
    tide_assert (mark <= out->size && out->size - mark >= HEADER_MAX);
    size_t size = out->size - mark - HEADER_MAX;
    check_opcode (opcode, size);
    size_t whole = size > 0 ? (size - 1) / TIDE_WSFRAME_FRAGMENT_MAX : 0;
    size_t last_size = size - whole * TIDE_WSFRAME_FRAGMENT_MAX;
    size_t stride = TIDE_WSFRAME_FRAGMENT_MAX + HEADER_MAX;
    tide_buffer_reserve (out, whole * HEADER_MAX);
    uint8_t *frames = out->data + mark;
    const uint8_t *payload = frames + HEADER_MAX;

    for (size_t at = whole + 1; at-- > 0;) {
        bool is_last = at == whole;
        size_t part = is_last ? last_size : TIDE_WSFRAME_FRAGMENT_MAX;
        uint8_t *frame = frames + at * stride;
        memmove (frame + header_size (part), payload + at * TIDE_WSFRAME_FRAGMENT_MAX, part);
        uint8_t flags = at == 0 ? opcode : TIDE_WSFRAME_CONTINUATION;
        store_header (frame, is_last ? flags | FIN : flags, part);
    }
    out->size = mark + whole * stride + header_size (last_size) + last_size;
}

/*  False if it is none of ours. */
static bool take_frame (tide_bytes_t *frames, tide_wsframe_t *frame)
{
    tide_reader_t reader = tide_reader (*frames);
    uint8_t flags = tide_take_u8 (&reader);
    size_t size = tide_take_u8 (&reader);
    if (size == SIZE_16)
        size = tide_take_u16 (&reader);
    frame->opcode = flags & 0x0f;
    frame->is_final = (flags & FIN) != 0;
    frame->payload = tide_take_bytes (&reader, size);
    frame->size = frames->size - reader.remaining;
    *frames = (tide_bytes_t){reader.data, reader.remaining};
    return !reader.failed && size <= TIDE_WSFRAME_FRAGMENT_MAX
           && frame->opcode <= TIDE_WSFRAME_PONG;
}

bool tide_wsframe_next (tide_bytes_t *frames, tide_wsframe_t *frame)
{
    if (frames->size == 0)
        return false;
    bool is_ours = take_frame (frames, frame);
    tide_assert (is_ours);
    return true;
}

bool tide_wsframe_are_whole (tide_bytes_t frames)
{
    tide_wsframe_t frame;
    while (frames.size > 0)
        if (!take_frame (&frames, &frame))
            return false;
    return true;
}

void tide_wsframe_close (tide_buffer_t *out, uint16_t code, const char *reason)
{
    uint8_t payload[TIDE_WSFRAME_CONTROL_MAX];
    size_t size = 0;
    if (code > 0) {
        payload[0] = (uint8_t) (code >> 8);
        payload[1] = (uint8_t) code;
        size = reason ? strlen (reason) : 0;
        size_t room = sizeof payload - 2;
        if (size > room) {
            size = room;
            while (size > 0 && ((uint8_t) reason[size] & 0xc0) == 0x80)
                size--; /* not within a character */
        }
        if (size > 0)
            memcpy (payload + 2, reason, size);
        size += 2;
    }
    tide_wsframe_append (out, TIDE_WSFRAME_CLOSE, (tide_bytes_t){payload, size});
}
