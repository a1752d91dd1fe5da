/*  tide_room.c - the topics of rooms, of namespaces and of sessions.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_room.h"

/*  The namespace's name without its leading slash, so far as a topic can have it. */
static tide_bytes_t inner_name (tide_bytes_t nsp)
{
    return nsp.size > 0 && nsp.data[0] == '/' ? (tide_bytes_t){nsp.data + 1, nsp.size - 1} : nsp;
}

void tide_namespace_topic (tide_buffer_t *out, tide_bytes_t nsp)
{
    tide_bytes_t name = inner_name (nsp);
    tide_buffer_append_text (out, "$nsp");
    if (name.size == 0)
        return;
    tide_put_u8 (out, '/');
    tide_buffer_append_bytes (out, name);
}

/*  Begins topics that are the system's. */
static bool is_marked (uint8_t byte)
{
    return byte == '$' || byte == '@';
}

/*  What a level of a topic can hold, but for the percent sign itself. */
static bool is_plain (uint8_t byte, bool is_first)
{
    return byte >= ' ' && byte != 0x7f && byte != '/' && byte != '#' && byte != '%'
           && !(is_first && is_marked (byte));
}

static void append_encoded (tide_buffer_t *out, uint8_t byte)
{
    tide_buffer_printf (out, "%%%02X", byte);
}

static void append_level (tide_buffer_t *out, tide_bytes_t name, bool is_first_level)
{
    for (size_t at = 0; at < name.size; at++) {
        if (is_plain (name.data[at], at == 0 && is_first_level))
            tide_put_u8 (out, name.data[at]);
        else
            append_encoded (out, name.data[at]);
    }
}

void tide_level_append (tide_buffer_t *out, tide_bytes_t name)
{
    append_level (out, name, false);
}

void tide_room_topic (tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t room)
{
    if (room.size == 0) {
        tide_namespace_topic (out, nsp);
        return;
    }
    tide_bytes_t name = inner_name (nsp);
    if (name.size > 0 && is_marked (name.data[0])) {
        append_encoded (out, name.data[0]);
        tide_buffer_append (out, name.data + 1, name.size - 1);
    }
    else
        tide_buffer_append_bytes (out, name);
    if (name.size > 0)
        tide_put_u8 (out, '/');
    append_level (out, room, name.size == 0);
}

void tide_session_topic (tide_buffer_t *out, tide_bytes_t sid)
{
    tide_put_u8 (out, '@');
    tide_buffer_append_bytes (out, sid);
}
