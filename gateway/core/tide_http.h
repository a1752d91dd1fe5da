/*  tide_http.h - what an HTTP request says in its query.
 *
 *  Pure. A query is name=value pairs between `&`; in both, %XX is a byte and `+` a space. A name
 *  may be given several times (topic=a&topic=b).
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HTTP_H
#define TIDE_HTTP_H

#include "tide_wire.h"

/*  Replaces what is in `out` by the text with its %XX decoded and, where is_query, each `+` made a
 *  space. False if an escape is malformed; then `out` is empty. */
bool tide_percent_decode (tide_bytes_t text, bool is_query, tide_buffer_t *out);

/*  Appends the bytes, all but letters, digits and `-._~` as %XX. */
void tide_percent_encode (tide_buffer_t *out, tide_bytes_t bytes);

/*  True if no escape in the query is malformed: every `%` has two hexadecimal digits. */
bool tide_query_is_valid (tide_bytes_t query);

/*  How often the query names the parameter. */
unsigned tide_query_count (tide_bytes_t query, const char *name);

/*  Replaces what is in `value` by the nth (from 0) value of the parameter, decoded; empty where
 *  there is no `=`. False, and `value` empty, if there are not that many, or if this one has a
 *  malformed escape: tell them apart by tide_query_is_valid. The bytes may be anything: not UTF-8,
 *  or with a NUL in them. */
bool tide_query_get (tide_bytes_t query, const char *name, unsigned nth, tide_buffer_t *value);

#endif
