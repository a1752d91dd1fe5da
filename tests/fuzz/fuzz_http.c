/*  fuzz_http.c - queries of HTTP requests.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_http.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    tide_bytes_t query = {data, size};
    tide_buffer_t value = {0}, text = {0}, back = {0};
    bool is_valid = tide_query_is_valid (query);
    unsigned count = tide_query_count (query, "topic");
    for (unsigned nth = 0; nth <= count; nth++) {
        bool is_there = tide_query_get (query, "topic", nth, &value);
        tide_assert (!is_there || nth < count);
        tide_assert (!is_valid || is_there == (nth < count));
        tide_assert (value.size <= size);
        tide_percent_encode (&text, tide_buffer_bytes (&value));
        tide_assert (tide_percent_decode (tide_buffer_bytes (&text), false, &back));
        tide_assert (tide_bytes_equal (tide_buffer_bytes (&value), tide_buffer_bytes (&back)));
        text.size = 0;
    }
    tide_percent_decode (query, false, &value);
    tide_buffer_free (&value);
    tide_buffer_free (&text);
    tide_buffer_free (&back);
    return 0;
}
