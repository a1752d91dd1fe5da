/*  fuzz_http.c - queries of HTTP requests.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_http.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/*  Each value of the name that is said to be there is, and is the same once it was written again.
 */
static void read_values (tide_bytes_t query, const char *name)
{
    tide_buffer_t value = {0}, text = {0}, back = {0};
    bool is_valid = tide_query_is_valid (query);
    unsigned count = tide_query_count (query, name);
    for (unsigned nth = 0; nth <= count; nth++) {
        bool is_there = tide_query_get (query, name, nth, &value);
        tide_assert (!is_there || nth < count);
        tide_assert (!is_valid || is_there == (nth < count));
        tide_assert (is_there || value.size == 0);
        tide_assert (value.size <= query.size);
        tide_percent_encode (&text, tide_buffer_bytes (&value));
        tide_assert (tide_percent_decode (tide_buffer_bytes (&text), false, &back));
        tide_assert (tide_bytes_equal (tide_buffer_bytes (&value), tide_buffer_bytes (&back)));
        text.size = 0;
    }
    tide_buffer_free (&value);
    tide_buffer_free (&text);
    tide_buffer_free (&back);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static const char *const names[] = {"topic", "transport", "EIO", "sid", ""};
    tide_bytes_t query = {data, size};
    for (size_t at = 0; at < sizeof names / sizeof names[0]; at++)
        read_values (query, names[at]);
    tide_buffer_t value = {0};
    bool is_good = tide_percent_decode (query, false, &value);
    tide_assert (is_good ? value.size <= size : value.size == 0);
    tide_buffer_free (&value);
    return 0;
}
