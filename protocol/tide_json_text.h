/*  tide_json_text.h - text as JSON has it, for those who frame JSON and never read it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_JSON_TEXT_H
#define TIDE_JSON_TEXT_H

#include "tide_wire.h"

/*  Appends the text as a JSON string (RFC 8259, section 7), quotes included. It must be UTF-8. */
void tide_json_string (tide_buffer_t *out, tide_bytes_t text);

/*  How deep objects and arrays may lie in one another: a little deeper than any dialect takes. */
#define TIDE_JSON_TEXT_DEPTH_MAX 1024

/*  True if it is one JSON value in UTF-8 (RFC 8259), and no deeper than that: whoever frames it
 *  will have JSON. Nothing is built and nothing allocated. */
bool tide_json_valid (tide_bytes_t text);

#endif
