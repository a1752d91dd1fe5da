/*  tide_args.c - the payload of an event.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_args.h"

#include "tide_alloc.h"

enum { FORM_ONE = 1, FORM_MANY = 2, FORM_ABOUT = 16 };

void tide_args_encode (tide_buffer_t *out, const tide_args_t *args)
{
    tide_assert (args->attachments <= TIDE_ATTACHMENTS_MAX);
    int form = args->many ? FORM_MANY : FORM_ONE;
    tide_put_u8 (out, (uint8_t) (args->about.size > 0 ? form | FORM_ABOUT : form));
    tide_put_u8 (out, (uint8_t) args->attachments);
    if (args->about.size > 0) {
        tide_put_u32 (out, (uint32_t) args->about.size);
        tide_buffer_append_bytes (out, args->about);
    }
    if (args->attachments > 0)
        tide_put_u32 (out, (uint32_t) args->json.size);
    tide_buffer_append_bytes (out, args->json);
    for (unsigned at = 0; at < args->attachments; at++) {
        tide_put_u32 (out, (uint32_t) args->attachment[at].size);
        tide_buffer_append_bytes (out, args->attachment[at]);
    }
}

tide_status_t tide_args_decode (tide_bytes_t payload, tide_args_t *args)
{
    tide_reader_t reader = tide_reader (payload);
    int form = tide_take_u8 (&reader);
    bool has_about = (form & FORM_ABOUT) != 0;
    form &= ~FORM_ABOUT;
    args->many = form == FORM_MANY;
    args->attachments = tide_take_u8 (&reader);
    args->about = (tide_bytes_t){0};
    if (has_about)
        args->about = tide_take_bytes (&reader, tide_take_u32 (&reader));
    if (reader.failed || (form != FORM_ONE && form != FORM_MANY)
        || args->attachments > TIDE_ATTACHMENTS_MAX)
        return TIDE_BAD_REQUEST;
    size_t size = args->attachments > 0 ? tide_take_u32 (&reader) : reader.remaining;
    args->json = tide_take_bytes (&reader, size);
    for (unsigned at = 0; at < args->attachments; at++) {
        size = tide_take_u32 (&reader);
        args->attachment[at] = tide_take_bytes (&reader, size);
    }
    bool whole = !reader.failed && reader.remaining == 0 && args->json.size > 0
                 && has_about == (args->about.size > 0);
    return whole ? TIDE_OK : TIDE_BAD_REQUEST;
}
