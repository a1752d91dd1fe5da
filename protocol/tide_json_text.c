/*  tide_json_text.c - text as JSON has it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_json_text.h"

#include <string.h>

static void append_escape (tide_buffer_t *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char escape[6] = {'\\', 0, '0', '0', digits[byte >> 4], digits[byte & 15]};
    const char *found = byte > 0 ? strchr ("\"\"\\\\\bb\ff\nn\rr\tt", byte) : NULL;
    escape[1] = found ? found[1] : 'u';
    tide_buffer_append (out, escape, found ? 2 : sizeof escape);
}

void tide_json_string (tide_buffer_t *out, tide_bytes_t text)
{
    tide_buffer_reserve (out, text.size + 2);
    tide_put_u8 (out, '"');
    size_t begin = 0;
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        tide_buffer_append (out, text.data + begin, at - begin);
        append_escape (out, byte);
        begin = at + 1;
    }
    if (begin < text.size)
        tide_buffer_append (out, text.data + begin, text.size - begin);
    tide_put_u8 (out, '"');
}
