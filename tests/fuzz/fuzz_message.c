/*  fuzz_message.c - any bytes as a message: refused, or encoded again to the same bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_message.h"

#include "tide_alloc.h"
#include "tide_args.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/*  Steps through a list as its readers do: what was decoded once must go on decoding. */
static void walk_events (tide_list_t events)
{
    tide_event_t event;
    tide_args_t args;
    uint32_t count = 0;
    for (tide_list_t rest = events; tide_event_next (&rest, &event); count++)
        if (event.payload.size > 0 && tide_args_decode (event.payload, &args) == TIDE_OK)
            tide_assert (args.json.size > 0);
    tide_assert (count == events.count);
}

static void walk_marks (tide_list_t marks)
{
    tide_mark_t mark;
    tide_touched_t touched;
    uint32_t count = 0;
    for (tide_list_t rest = marks; tide_mark_next (&rest, &mark); count++) {
        uint32_t topics = 0;
        for (tide_list_t list = mark.topics; tide_touched_next (&list, &touched);)
            topics++;
        tide_assert (topics == mark.topics.count);
    }
    tide_assert (count == marks.count);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    tide_bytes_t bytes = {data, size}, prefix;
    tide_message_t message;
    const char *why = NULL;
    if (tide_fanout_split (bytes, &prefix, &bytes) && prefix.size == 1 && prefix.data[0] == 'm')
        tide_assert (bytes.size == size - 2);
    else
        bytes = (tide_bytes_t){data, size};
    if (tide_message_decode (bytes, &message, &why) != TIDE_OK) {
        tide_assert (why && strlen (why) > 0);
        return 0;
    }
    tide_buffer_t again = {0};
    tide_message_encode (&again, &message);
    tide_assert (tide_bytes_equal (tide_buffer_bytes (&again), bytes));
    tide_buffer_free (&again);
    if (message.kind == TIDE_MESSAGE_PUBLISH)
        walk_events (message.publish.events);
    else if (message.kind == TIDE_MESSAGE_EVENTS)
        walk_events (message.events.events);
    else if (message.kind == TIDE_MESSAGE_MARKED)
        walk_marks (message.marked.marks);
    else if (message.kind == TIDE_MESSAGE_MARKS)
        walk_marks (message.marks.marks);
    return 0;
}
