/*  fuzz_link.c - a broker that says anything, at any time.
 *
 *  The input is a script: a byte that says what happens, then what belongs to it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_link.h"

#include "tide_alloc.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void request (tide_link_t *link, uint64_t now_ms, uint8_t which)
{
    static const tide_message_kind_t kinds[] = {TIDE_MESSAGE_PUBLISH,     TIDE_MESSAGE_READ,
                                                TIDE_MESSAGE_MARKS_READ,  TIDE_MESSAGE_SNAPSHOT,
                                                TIDE_MESSAGE_TOPICS_READ, TIDE_MESSAGE_STATS_READ};
    tide_message_t message = {.kind = kinds[which % 6]};
    if (message.kind == TIDE_MESSAGE_SNAPSHOT) {
        message.snapshot.request = 1 + which % 8;
        message.snapshot.part = which >> 6;
    }
    tide_link_request (link, now_ms, &message);
}

static void take_actions (tide_link_t *link)
{
    tide_link_action_t action;
    tide_message_t message;
    const char *why;
    while (tide_link_next_action (link, &action)) {
        if (action.kind == TIDE_LINK_SEND)
            tide_assert (tide_message_decode (action.bytes, &message, &why) == TIDE_OK);
        else if (action.kind == TIDE_LINK_LENT)
            tide_assert (action.message->kind == TIDE_MESSAGE_LEND
                         || action.message->kind == TIDE_MESSAGE_GROUP_EVENT
                         || action.message->kind == TIDE_MESSAGE_GROUP_NOTE);
        else if (action.kind == TIDE_LINK_RELAYED)
            tide_assert (action.message->kind == TIDE_MESSAGE_RELAYED
                         || action.message->kind == TIDE_MESSAGE_TOLD);
    }
}

static void relay (tide_link_t *link, uint8_t which)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_RELAY, .relay = {.token = which}};
    tide_assert (tide_link_send (link, &message) == tide_link_is_up (link));
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    tide_link_config_t config = {.name = "fuzz", .origin = "fuzz"};
    tide_link_t *link = tide_link_new (&config);
    tide_reader_t reader = tide_reader ((tide_bytes_t){data, size});
    uint64_t now_ms = 1000;
    tide_link_start (link, now_ms);
    while (reader.remaining > 0 && !reader.failed) {
        uint8_t what = tide_take_u8 (&reader);
        uint8_t which = tide_take_u8 (&reader);
        if (what % 6 == 0)
            tide_link_receive (link, now_ms, tide_take_bytes (&reader, tide_take_u16 (&reader)));
        else if (what % 6 == 1)
            request (link, now_ms, which);
        else if (what % 6 == 2)
            tide_link_cancel (link, which);
        else if (what % 6 == 3)
            tide_link_tick (link, now_ms += which * 20u);
        else if (what % 6 == 4)
            take_actions (link);
        else
            relay (link, which);
        tide_assert (tide_link_deadline_ms (link) < UINT64_MAX);
    }
    take_actions (link);
    tide_link_destroy (&link);
    return 0;
}
