/*  tide_json_rig.h - what tests of the JSON dialect begin with.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_JSON_RIG_H
#define TIDE_JSON_RIG_H

#include "tide_dialect_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof (list) / sizeof (list)[0])

enum { PAYLOAD_MAX = 1000 };

/*  The buffer's text is what is expected; empties it. */
static inline void assert_out (tide_buffer_t *out, const char *expected)
{
    tide_put_u8 (out, 0);
    assert_string_equal ((const char *) out->data, expected);
    out->size = 0;
}

/*  Text that is JSON; the caller decrefs. */
static inline json_t *parse (const char *text)
{
    const char *why = NULL;
    json_t *value = tide_json_parse (tide_bytes (text), &why);
    if (!value)
        fail_msg ("%s: %s", text, why);
    return value;
}

#endif
