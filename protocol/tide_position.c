/*  tide_position.c - a place in a log, as text: "epoch:seq".
 *  SPDX-License-Identifier: MIT
 */
#include "tide_position.h"

#include <string.h>

enum { EPOCH_DIGITS = 16 };

bool tide_epoch_parse (tide_bytes_t text, uint64_t *epoch)
{
    *epoch = 0;
    if (text.size != EPOCH_DIGITS)
        return false;
    uint64_t value = 0;
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at], lower = byte | 0x20;
        bool is_digit = byte >= '0' && byte <= '9';
        if (!is_digit && (lower < 'a' || lower > 'f'))
            return false;
        value = value << 4 | (uint64_t) (is_digit ? byte - '0' : lower - 'a' + 10);
    }
    *epoch = value;
    return value > 0;
}

static bool parse_digits (tide_bytes_t text, uint64_t *number)
{
    *number = 0;
    for (size_t at = 0; at < text.size; at++) {
        unsigned digit = (unsigned) text.data[at] - '0';
        if (digit > 9 || *number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return text.size > 0;
}

bool tide_position_parse (tide_bytes_t text, uint64_t *epoch, uint64_t *seq)
{
    *epoch = *seq = 0;
    const uint8_t *colon = text.size > 0 ? memchr (text.data, ':', text.size) : NULL;
    if (!colon)
        return parse_digits (text, seq);
    size_t size = (size_t) (colon - text.data);
    return tide_epoch_parse ((tide_bytes_t){text.data, size}, epoch)
           && parse_digits ((tide_bytes_t){colon + 1, text.size - size - 1}, seq);
}
