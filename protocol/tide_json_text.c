/*  tide_json_text.c - text as JSON has it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_json_text.h"

#include "tide_topic.h"

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

/*  -- whether it is JSON ---------------------------------------------------------------------- */

typedef struct {
    const uint8_t *at, *end;
    unsigned depth;
    uint8_t is_object[TIDE_JSON_TEXT_DEPTH_MAX]; /* of what is open, from the outside */
} scan_t;

static bool is_digit (uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex (uint8_t byte)
{
    return is_digit (byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

/*  The byte that comes; NUL at the end, which is no JSON. */
static uint8_t peek (const scan_t *self)
{
    return self->at < self->end ? *self->at : 0;
}

static bool take (scan_t *self, uint8_t byte)
{
    bool is_there = peek (self) == byte;
    self->at += is_there;
    return is_there;
}

/*  Behind white space. */
static uint8_t next (scan_t *self)
{
    while (self->at < self->end
           && (*self->at == ' ' || *self->at == '\n' || *self->at == '\r' || *self->at == '\t'))
        self->at++;
    return peek (self);
}

static bool take_escape (scan_t *self)
{
    uint8_t byte = peek (self);
    if (byte == 0 || !strchr ("\"\\/bfnrtu", byte))
        return false;
    self->at++;
    for (int digit = 0; byte == 'u' && digit < 4; digit++, self->at++)
        if (!is_hex (peek (self)))
            return false;
    return true;
}

static bool take_string (scan_t *self)
{
    if (!take (self, '"'))
        return false;
    for (;;) {
        uint8_t byte = peek (self);
        if (byte < 0x20)
            return false;
        self->at++;
        if (byte == '"')
            return true;
        if (byte == '\\' && !take_escape (self))
            return false;
    }
}

static bool take_digits (scan_t *self)
{
    const uint8_t *begin = self->at;
    while (is_digit (peek (self)))
        self->at++;
    return self->at > begin;
}

static bool take_number (scan_t *self)
{
    take (self, '-');
    if (!take (self, '0') && !take_digits (self))
        return false;
    if (take (self, '.') && !take_digits (self))
        return false;
    if (!take (self, 'e') && !take (self, 'E'))
        return true;
    if (!take (self, '+'))
        take (self, '-');
    return take_digits (self);
}

static bool take_word (scan_t *self, const char *word)
{
    while (*word)
        if (!take (self, (uint8_t) *word++))
            return false;
    return true;
}

static bool take_scalar (scan_t *self)
{
    switch (peek (self)) {
    case '"':
        return take_string (self);
    case 't':
        return take_word (self, "true");
    case 'f':
        return take_word (self, "false");
    case 'n':
        return take_word (self, "null");
    default:
        return take_number (self);
    }
}

/*  The name of an object's member, and its colon. */
static bool take_name (scan_t *self)
{
    next (self);
    if (!take_string (self))
        return false;
    next (self);
    return take (self, ':');
}

/*  What begins a value. *is_whole: it has no inside to be looked at. */
static bool begin_value (scan_t *self, bool *is_whole)
{
    uint8_t byte = next (self);
    *is_whole = true;
    if (byte != '{' && byte != '[')
        return take_scalar (self);
    self->at++;
    if (next (self) == (byte == '{' ? '}' : ']')) {
        self->at++;
        return true;
    }
    if (self->depth == TIDE_JSON_TEXT_DEPTH_MAX)
        return false;
    *is_whole = false;
    self->is_object[self->depth++] = byte == '{';
    return byte == '[' || take_name (self);
}

/*  Behind a value: closes what ends there. *is_over: it was the outermost. */
static bool end_value (scan_t *self, bool *is_over)
{
    while (self->depth > 0) {
        bool is_object = self->is_object[self->depth - 1];
        next (self);
        if (take (self, ','))
            return !is_object || take_name (self);
        if (!take (self, is_object ? '}' : ']'))
            return false;
        self->depth--;
    }
    *is_over = true;
    return true;
}

bool tide_json_valid (tide_bytes_t text)
{
    scan_t scan = {.at = text.data, .end = text.data + text.size};
    bool is_whole, is_over = false;
    if (text.size == 0 || !tide_utf8_valid (text))
        return false;
    while (!is_over)
        if (!begin_value (&scan, &is_whole) || (is_whole && !end_value (&scan, &is_over)))
            return false;
    next (&scan);
    return scan.at == scan.end;
}
