/*  fuzz_request.c - heads of HTTP requests.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_request.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void assert_within (tide_bytes_t whole, tide_bytes_t part)
{
    tide_assert (part.size == 0
                 || (part.data >= whole.data && part.size <= whole.size
                     && (size_t) (part.data - whole.data) <= whole.size - part.size));
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    tide_bytes_t whole = {data, size};
    tide_request_t request;
    size_t head_size = 0;
    const char *why;
    tide_request_outcome_t outcome = tide_request_parse (whole, &request, &head_size, &why);
    tide_assert ((outcome == TIDE_REQUEST_MALFORMED || outcome == TIDE_REQUEST_TOO_LARGE)
                 == (why != NULL));
    if (outcome != TIDE_REQUEST_WHOLE)
        return 0;
    tide_assert (head_size > 0 && head_size <= size && head_size <= TIDE_REQUEST_HEAD_MAX);
    const tide_bytes_t parts[] = {request.method,
                                  request.path,
                                  request.query,
                                  request.host,
                                  request.origin,
                                  request.if_none_match,
                                  request.websocket_key,
                                  request.websocket_version,
                                  request.websocket_protocol};
    for (size_t at = 0; at < sizeof parts / sizeof parts[0]; at++) {
        assert_within (whole, parts[at]);
        for (size_t byte = 0; byte < parts[at].size; byte++)
            tide_assert (parts[at].data[byte] != '\r' && parts[at].data[byte] != '\n'
                         && parts[at].data[byte] != 0);
    }
    tide_assert (request.method.size > 0 && request.path.size > 0);
    /*  What follows a head has no part in how it is read. */
    tide_request_t again;
    size_t again_size = 0;
    tide_assert (tide_request_parse ((tide_bytes_t){data, head_size}, &again, &again_size, &why)
                 == TIDE_REQUEST_WHOLE);
    tide_assert (again_size == head_size && again.length == request.length);
    tide_request_lists (request.websocket_protocol, "tidemark.v1.json");
    tide_request_knows (request.if_none_match, "\"a1\"");
    return 0;
}
