/*  fuzz_feed.c - a broker that says anything to a feed.
 *
 *  The input is a script: a byte that says what happens, then what belongs to it. Frames and
 *  answers come as raw bytes, and in short forms that are well-formed, so that a fuzzer gets
 *  behind the decoder. Whatever the broker says, the stream must rise and never pass C.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_feed.h"

#include "tide_alloc.h"

#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static const char *const patterns[] = {"a", "a/b", "a/#", "#", "$s/#", "@x", "a/b/#", "c"};
static const char *const topics[] = {"a", "a/b", "a/b/c", "c", "$s/x", "@x", "d", "#"};
enum { COUNT = 8 };

typedef struct {
    tide_feed_t *feed;
    tide_reader_t reader;
    bool follows[COUNT];
    uint64_t last_tag, watermark, last_event;
    bool is_up;
} script_t;

/*  -- the short forms ------------------------------------------------------------------------- */

/*  A small sequence, or now and then one of the largest. */
static uint64_t take_seq (script_t *self)
{
    uint8_t value = tide_take_u8 (&self->reader);
    return value < 0xf0 ? value : UINT64_MAX - (0xff - value);
}

static uint32_t take_events (script_t *self, tide_buffer_t *events)
{
    uint8_t shape = tide_take_u8 (&self->reader);
    uint32_t count = shape >> 3 & 7;
    for (uint32_t at = 0; at < count; at++) {
        tide_event_t event = {.seq = take_seq (self), .name = tide_bytes ("n")};
        event.topic = tide_bytes (topics[(shape + (shape >= 0xc0 ? at : 0)) % COUNT]);
        tide_event_append (events, &event);
    }
    return count;
}

static uint32_t take_marks (script_t *self, tide_buffer_t *marks)
{
    tide_buffer_t touched = {0};
    tide_mark_t mark = {.from = take_seq (self), .to = take_seq (self)};
    uint32_t count = tide_take_u8 (&self->reader) % 5;
    for (uint32_t at = 0; at < count; at++) {
        uint8_t shape = tide_take_u8 (&self->reader), offsets[8];
        tide_store_u32 (offsets, tide_take_u8 (&self->reader));
        tide_store_u32 (offsets + 4, tide_take_u8 (&self->reader));
        tide_touched_t entry = {tide_bytes (topics[shape % COUNT]), {offsets, shape >> 4}};
        if (entry.offsets.size > sizeof offsets)
            entry.offsets.size = sizeof offsets;
        tide_touched_append (&touched, &entry);
    }
    mark.topics = tide_list (&touched, count);
    tide_mark_append (marks, &mark);
    tide_buffer_free (&touched);
    return 1;
}

static void send_frame (script_t *self, tide_message_t *message)
{
    tide_buffer_t frame = {0};
    tide_fanout_mark_prefix (&frame);
    tide_message_encode (&frame, message);
    tide_feed_receive (self->feed, tide_buffer_bytes (&frame));
    tide_buffer_free (&frame);
}

static void send_published (script_t *self, tide_message_kind_t kind)
{
    tide_message_t message = {.kind = kind};
    tide_buffer_t list = {0};
    if (kind == TIDE_MESSAGE_EVENTS) {
        message.events.events = (tide_list_t){.count = take_events (self, &list)};
        message.events.events.bytes = tide_buffer_bytes (&list);
        message.events.epoch = tide_feed_epoch (self->feed);
    }
    else if (kind == TIDE_MESSAGE_MARKED) {
        message.marked.marks = (tide_list_t){.count = take_marks (self, &list)};
        message.marked.marks.bytes = tide_buffer_bytes (&list);
        message.marked.epoch = tide_feed_epoch (self->feed);
    }
    else {
        message.volatiles.events = (tide_list_t){.count = take_events (self, &list)};
        message.volatiles.events.bytes = tide_buffer_bytes (&list);
        message.volatiles.epoch = tide_feed_epoch (self->feed);
        message.volatiles.behind = take_seq (self);
    }
    send_frame (self, &message);
    tide_buffer_free (&list);
}

/*  The tag of one of the last few requests. */
static uint64_t take_tag (script_t *self)
{
    return self->last_tag - tide_take_u8 (&self->reader) % 4;
}

static void answer (script_t *self, tide_message_kind_t kind)
{
    tide_message_t message = {.kind = kind};
    tide_buffer_t list = {0}, lost = {0};
    uint64_t tag = take_tag (self);
    if (kind == TIDE_MESSAGE_PAGE) {
        tide_want_t entry = {tide_bytes (patterns[tide_take_u8 (&self->reader) % COUNT]),
                             take_seq (self)};
        tide_want_append (&lost, &entry);
        message.page.epoch = tide_feed_epoch (self->feed);
        message.page.upto = take_seq (self);
        message.page.head = take_seq (self);
        message.page.more = tide_take_u8 (&self->reader) & 1;
        message.page.lost = tide_list (&lost, 1);
        message.page.events = (tide_list_t){.count = take_events (self, &list)};
        message.page.events.bytes = tide_buffer_bytes (&list);
    }
    else if (kind == TIDE_MESSAGE_MARKS) {
        message.marks.epoch = tide_feed_epoch (self->feed);
        message.marks.head = take_seq (self);
        message.marks.marks = (tide_list_t){.count = take_marks (self, &list)};
        message.marks.marks.bytes = tide_buffer_bytes (&list);
    }
    else
        message.fail.code = tide_take_u8 (&self->reader) % TIDE_STATUS_COUNT;
    tide_feed_answer (self->feed, tag, &message);
    tide_buffer_free (&list);
    tide_buffer_free (&lost);
}

/*  -- raw bytes ------------------------------------------------------------------------------- */

static void send_raw (script_t *self)
{
    tide_feed_receive (self->feed, tide_take_bytes (&self->reader, tide_take_u16 (&self->reader)));
}

static void answer_raw (script_t *self)
{
    tide_message_t message;
    const char *why;
    uint64_t tag = take_tag (self);
    tide_bytes_t bytes = tide_take_bytes (&self->reader, tide_take_u16 (&self->reader));
    if (tide_message_decode (bytes, &message, &why) == TIDE_OK)
        tide_feed_answer (self->feed, tag, &message);
}

/*  -- the reader ------------------------------------------------------------------------------ */

static void follow (script_t *self)
{
    uint8_t number = tide_take_u8 (&self->reader) % COUNT;
    if (self->follows[number])
        tide_feed_remove (self->feed, tide_bytes (patterns[number]));
    else
        tide_feed_add (self->feed, tide_bytes (patterns[number]));
    self->follows[number] = !self->follows[number];
}

static void welcome (script_t *self)
{
    uint8_t epoch = tide_take_u8 (&self->reader) % 3;
    uint64_t head = take_seq (self);
    if (!self->is_up)
        self->watermark = self->last_event = head;
    tide_feed_welcome (self->feed, epoch, head);
    self->is_up = true;
}

static void take_actions (script_t *self, unsigned most)
{
    tide_feed_action_t action;
    while (most-- > 0 && tide_feed_next_action (self->feed, &action)) {
        if (action.kind == TIDE_FEED_REQUEST) {
            tide_buffer_t bytes = {0};
            tide_message_t again;
            const char *why;
            tide_message_encode (&bytes, action.message);
            tide_assert (tide_message_decode (tide_buffer_bytes (&bytes), &again, &why) == TIDE_OK);
            tide_assert (action.tag > self->last_tag);
            self->last_tag = action.tag;
            tide_buffer_free (&bytes);
        }
        else if (action.kind == TIDE_FEED_EPOCH)
            self->watermark = self->last_event = action.seq;
        else if (action.kind == TIDE_FEED_EVENT) {
            tide_assert (action.seq > self->last_event && action.seq > self->watermark);
            tide_assert (action.event.seq == action.seq);
            self->last_event = action.seq;
        }
        else if (action.kind == TIDE_FEED_COMPLETE) {
            tide_assert (action.seq >= self->watermark && action.seq >= self->last_event);
            self->watermark = action.seq;
        }
    }
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    script_t script = {.feed = tide_feed_new (), .reader = {data, size, false}};
    while (script.reader.remaining > 0 && !script.reader.failed) {
        switch (tide_take_u8 (&script.reader) % 12) {
        case 0:
            send_raw (&script);
            break;
        case 1:
            answer_raw (&script);
            break;
        case 2:
            welcome (&script);
            break;
        case 3:
            follow (&script);
            break;
        case 4:
            send_published (&script, TIDE_MESSAGE_EVENTS);
            break;
        case 5:
            send_published (&script, TIDE_MESSAGE_MARKED);
            break;
        case 6:
            send_published (&script, TIDE_MESSAGE_VOLATILE);
            break;
        case 7:
            answer (&script, TIDE_MESSAGE_PAGE);
            break;
        case 8:
            answer (&script, TIDE_MESSAGE_MARKS);
            break;
        case 9:
            answer (&script, TIDE_MESSAGE_FAIL);
            break;
        case 10:
            take_actions (&script, 1);
            break;
        case 11:
            take_actions (&script, 1000);
            break;
        }
    }
    take_actions (&script, 100000);
    tide_feed_destroy (&script.feed);
    return 0;
}
