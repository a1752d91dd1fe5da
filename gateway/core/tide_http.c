/*  tide_http.c - what an HTTP request says in its query.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_http.h"

#include <string.h>

static int hex_digit (uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/*  Takes one character of the text; -1 if it is a malformed escape. */
static int take_decoded (tide_reader_t *text, bool is_query)
{
    uint8_t byte = tide_take_u8 (text);
    if (byte == '+' && is_query)
        return ' ';
    if (byte != '%')
        return byte;
    tide_bytes_t digits = tide_take_bytes (text, 2);
    if (text->failed)
        return -1;
    int high = hex_digit (digits.data[0]), low = hex_digit (digits.data[1]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool tide_percent_decode (tide_bytes_t text, bool is_query, tide_buffer_t *out)
{
    out->size = 0;
    if (text.size == 0)
        return true;
    uint8_t *at = tide_buffer_reserve (out, text.size);
    size_t size = 0;
    tide_reader_t reader = tide_reader (text);
    while (reader.remaining > 0) {
        int byte = take_decoded (&reader, is_query);
        if (byte < 0)
            return false;
        at[size++] = (uint8_t) byte;
    }
    out->size = size;
    return true;
}

static bool is_unreserved (uint8_t byte)
{
    uint8_t lower = byte | 0x20;
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '-'
           || byte == '.' || byte == '_' || byte == '~';
}

void tide_percent_encode (tide_buffer_t *out, tide_bytes_t bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t at = 0; at < bytes.size; at++) {
        uint8_t byte = bytes.data[at];
        if (is_unreserved (byte)) {
            tide_put_u8 (out, byte);
            continue;
        }
        const char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
        tide_buffer_append (out, escape, sizeof escape);
    }
}

bool tide_query_is_valid (tide_bytes_t query)
{
    tide_reader_t reader = tide_reader (query);
    while (reader.remaining > 0)
        if (take_decoded (&reader, true) < 0)
            return false;
    return true;
}

/*  The span's part before the first `byte`, which is left out of both; *rest is what follows. */
static tide_bytes_t split (tide_bytes_t bytes, uint8_t byte, tide_bytes_t *rest)
{
    const uint8_t *found = bytes.size > 0 ? memchr (bytes.data, byte, bytes.size) : NULL;
    if (!found) {
        *rest = (tide_bytes_t){0};
        return bytes;
    }
    size_t size = (size_t) (found - bytes.data);
    *rest = (tide_bytes_t){found + 1, bytes.size - size - 1};
    return (tide_bytes_t){bytes.data, size};
}

/*  True if the text is the name once it is decoded. */
static bool is_name (tide_bytes_t text, const char *name)
{
    tide_reader_t reader = tide_reader (text);
    size_t size = strlen (name), at = 0;
    while (reader.remaining > 0) {
        int byte = take_decoded (&reader, true);
        if (byte < 0 || at == size || byte != (uint8_t) name[at])
            return false;
        at++;
    }
    return at == size;
}

/*  Takes pairs off the query up to one of that name; false if none is left. */
static bool next_pair (tide_bytes_t *query, const char *name, tide_bytes_t *value)
{
    while (query->size > 0) {
        tide_bytes_t pair = split (*query, '&', query);
        if (pair.size > 0 && is_name (split (pair, '=', value), name))
            return true;
    }
    return false;
}

unsigned tide_query_count (tide_bytes_t query, const char *name)
{
    unsigned count = 0;
    tide_bytes_t value;
    while (next_pair (&query, name, &value))
        count++;
    return count;
}

bool tide_query_get (tide_bytes_t query, const char *name, unsigned nth, tide_buffer_t *value)
{
    value->size = 0;
    tide_bytes_t text;
    for (unsigned at = 0; next_pair (&query, name, &text); at++)
        if (at == nth)
            return tide_percent_decode (text, true, value);
    return false;
}
