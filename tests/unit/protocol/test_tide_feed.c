/*  test_tide_feed.c - the feed, case by case. (test_tide_feed_model.c is the same by chance.)
 *  SPDX-License-Identifier: MIT
 */
#include "tide_feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EPOCH = 7 };

/*  -- what the broker says -------------------------------------------------------------------- */

typedef struct {
    const char *topic;
    uint64_t seq;
} place_t;

static void append_event (tide_buffer_t *list, const char *topic, uint64_t seq, uint8_t flags)
{
    tide_event_t event = {.seq = seq, .flags = flags, .topic = tide_bytes (topic)};
    event.name = tide_bytes ("n");
    event.payload = tide_bytes (topic);
    tide_event_append (list, &event);
}

static void send_frame (tide_feed_t *feed, const char *topic, const tide_message_t *message)
{
    tide_buffer_t frame = {0};
    tide_fanout_prefix (&frame, tide_bytes (topic), message->kind == TIDE_MESSAGE_VOLATILE);
    tide_message_encode (&frame, message);
    tide_feed_receive (feed, tide_buffer_bytes (&frame));
    tide_buffer_free (&frame);
}

/*  Events of one topic, first to last. */
static void send_events_of (tide_feed_t *feed, uint64_t epoch, const char *topic, uint64_t first,
                            uint64_t last)
{
    tide_buffer_t events = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_EVENTS};
    for (uint64_t seq = first; seq <= last; seq++)
        append_event (&events, topic, seq, 0);
    message.events.epoch = epoch;
    message.events.events = tide_list (&events, (uint32_t) (last - first + 1));
    send_frame (feed, topic, &message);
    tide_buffer_free (&events);
}

static void send_events (tide_feed_t *feed, const char *topic, uint64_t first, uint64_t last)
{
    send_events_of (feed, EPOCH, topic, first, last);
}

/*  A list of one mark; each place is an entry of its own. */
static void append_mark (tide_buffer_t *marks, uint64_t from, uint64_t to, const place_t *places,
                         size_t count)
{
    tide_buffer_t touched = {0};
    for (size_t at = 0; at < count; at++) {
        uint8_t offset[4];
        tide_store_u32 (offset, (uint32_t) (places[at].seq - from));
        tide_touched_t entry = {tide_bytes (places[at].topic), {offset, sizeof offset}};
        tide_touched_append (&touched, &entry);
    }
    tide_mark_t mark = {from, to, tide_list (&touched, (uint32_t) count)};
    tide_mark_append (marks, &mark);
    tide_buffer_free (&touched);
}

static void send_mark_of (tide_feed_t *feed, uint64_t epoch, uint64_t from, uint64_t to,
                          const place_t *places, size_t count)
{
    tide_buffer_t marks = {0}, frame = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKED};
    append_mark (&marks, from, to, places, count);
    message.marked.epoch = epoch;
    message.marked.marks = tide_list (&marks, 1);
    tide_fanout_mark_prefix (&frame);
    tide_message_encode (&frame, &message);
    tide_feed_receive (feed, tide_buffer_bytes (&frame));
    tide_buffer_free (&marks);
    tide_buffer_free (&frame);
}

#define PLACES(...)                                                                                \
    (const place_t[]){__VA_ARGS__}, sizeof ((const place_t[]){__VA_ARGS__}) / sizeof (place_t)

#define send_mark(feed, from, to, ...) send_mark_of (feed, EPOCH, from, to, PLACES (__VA_ARGS__))
#define send_heartbeat(feed, at) send_mark_of (feed, EPOCH, at, at, NULL, 0)

static void send_volatile (tide_feed_t *feed, const char *topic, uint64_t behind)
{
    tide_buffer_t events = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_VOLATILE};
    append_event (&events, topic, 0, TIDE_EVENT_VOLATILE);
    message.volatiles.epoch = EPOCH;
    message.volatiles.behind = behind;
    message.volatiles.events = tide_list (&events, 1);
    send_frame (feed, topic, &message);
    tide_buffer_free (&events);
}

static void answer_page_of (tide_feed_t *feed, uint64_t tag, uint64_t upto, bool more,
                            const tide_want_t *lost, const place_t *places, size_t count)
{
    tide_buffer_t events = {0}, entries = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_PAGE};
    for (size_t at = 0; at < count; at++)
        append_event (&events, places[at].topic, places[at].seq, 0);
    if (lost)
        tide_want_append (&entries, lost);
    message.page.epoch = EPOCH;
    message.page.upto = message.page.head = upto;
    message.page.more = more;
    message.page.lost = tide_list (&entries, lost != NULL);
    message.page.events = tide_list (&events, (uint32_t) count);
    tide_feed_answer (feed, tag, &message);
    tide_buffer_free (&events);
    tide_buffer_free (&entries);
}

#define answer_page(feed, tag, upto, ...)                                                          \
    answer_page_of (feed, tag, upto, false, NULL, PLACES (__VA_ARGS__))

static void answer_head (tide_feed_t *feed, uint64_t tag, uint64_t head)
{
    answer_page_of (feed, tag, head, false, NULL, NULL, 0);
}

static void answer_fail (tide_feed_t *feed, uint64_t tag, tide_status_t code)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_FAIL};
    message.fail.code = (uint8_t) code;
    tide_feed_answer (feed, tag, &message);
}

/*  -- what the feed says ---------------------------------------------------------------------- */

static void print_request (tide_buffer_t *said, const tide_feed_action_t *action)
{
    const tide_message_t *message = action->message;
    tide_want_t want;
    if (message->kind == TIDE_MESSAGE_MARKS_READ) {
        tide_buffer_printf (said, "#%u:marks>%u ", (unsigned) action->tag,
                            (unsigned) message->marks_read.since);
        return;
    }
    tide_buffer_printf (said, "#%u:%s", (unsigned) action->tag,
                        message->read.limit > 0 ? "read" : "head");
    tide_list_t wants = message->read.wants;
    assert_true (wants.count <= TIDE_WANTS_MAX);
    if (wants.count > 5)
        tide_buffer_printf (said, "(%u)", wants.count);
    while (wants.count <= 5 && tide_want_next (&wants, &want))
        tide_buffer_printf (said, "(%.*s>%u)", TIDE_PRINT (want.topic), (unsigned) want.seq);
    if (message->read.until > 0)
        tide_buffer_printf (said, "..%u", (unsigned) message->read.until);
    tide_buffer_append_text (said, " ");
}

/*  Everything the feed wants done, as a word each. */
static const char *actions (tide_feed_t *feed)
{
    static char text[8192];
    tide_buffer_t said = {0};
    tide_feed_action_t action;
    while (tide_feed_next_action (feed, &action)) {
        unsigned seq = (unsigned) action.seq;
        switch (action.kind) {
        case TIDE_FEED_SUBSCRIBE:
            tide_buffer_printf (&said, "+%.*s ", TIDE_PRINT (action.pattern));
            break;
        case TIDE_FEED_UNSUBSCRIBE:
            tide_buffer_printf (&said, "-%.*s ", TIDE_PRINT (action.pattern));
            break;
        case TIDE_FEED_REQUEST:
            print_request (&said, &action);
            break;
        case TIDE_FEED_JOINED:
            tide_buffer_printf (&said, "joined(%.*s@%u) ", TIDE_PRINT (action.pattern), seq);
            break;
        case TIDE_FEED_EVENT:
            assert_true (tide_bytes_equal (action.event.topic, action.event.payload));
            tide_buffer_printf (&said, "%.*s:%u ", TIDE_PRINT (action.event.topic), seq);
            break;
        case TIDE_FEED_VOLATILE:
            tide_buffer_printf (&said, "~%.*s:%u ", TIDE_PRINT (action.event.topic), seq);
            break;
        case TIDE_FEED_LOST:
            tide_buffer_printf (&said, "lost(%.*s@%u) ", TIDE_PRINT (action.pattern), seq);
            break;
        case TIDE_FEED_COMPLETE:
            tide_buffer_printf (&said, "C%u ", seq);
            assert_true (tide_feed_watermark (feed) == action.seq);
            break;
        case TIDE_FEED_EPOCH:
            tide_buffer_printf (&said, "epoch%u@%u ", (unsigned) action.epoch, seq);
            break;
        }
    }
    assert_true (said.size < sizeof text);
    if (said.size > 0)
        memcpy (text, said.data, said.size);
    text[said.size] = 0;
    tide_buffer_free (&said);
    return text;
}

#define expect(feed, text) assert_string_equal (actions (feed), text)

/*  A feed with C at 10 that has joined one pattern there. */
static tide_feed_t *feed_of (const char *pattern)
{
    tide_feed_t *feed = tide_feed_new ();
    tide_feed_welcome (feed, EPOCH, 10);
    tide_feed_add (feed, tide_bytes (pattern));
    actions (feed);
    answer_head (feed, 1, 10);
    actions (feed);
    return feed;
}

/*  -- joining --------------------------------------------------------------------------------- */

static void joining_subscribes_then_asks_where_the_log_stands (void **state)
{
    (void) state;
    tide_feed_t *feed = tide_feed_new ();
    assert_true (tide_feed_watermark (feed) == 0 && tide_feed_epoch (feed) == 0);
    tide_feed_add (feed, tide_bytes ("a"));
    expect (feed, "+a ");
    tide_feed_welcome (feed, EPOCH, 10);
    assert_true (tide_feed_watermark (feed) == 10 && tide_feed_epoch (feed) == EPOCH);
    expect (feed, "C10 #1:head(a>10) ");
    tide_feed_add (feed, tide_bytes ("b/#"));
    tide_feed_add (feed, tide_bytes ("c"));
    expect (feed, "+b/# +c ");
    answer_head (feed, 1, 12);
    expect (feed, "joined(a@12) #2:head(b/#>10)(c>10) ");
    answer_head (feed, 2, 9); /* an old answer: C had passed it */
    expect (feed, "joined(b/#@10) joined(c@10) ");
    tide_feed_destroy (&feed);
    assert_null (feed);
}

static void g1_events_at_or_below_the_join_are_not_handed_on (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_feed_add (feed, tide_bytes ("b"));
    actions (feed);
    answer_head (feed, 2, 12);
    expect (feed, "joined(b@12) ");
    send_events (feed, "b", 11, 13);
    send_mark (feed, 10, 14, {"b", 11}, {"b", 12}, {"b", 13}, {"a", 14});
    expect (feed, "b:13 C13 #3:read(a>13)..14 ");
    answer_page (feed, 3, 14, {"a", 14});
    expect (feed, "a:14 C14 ");
    tide_feed_destroy (&feed);
}

/*  What the open window was looked through for does not include the new pattern: it may join no
 *  earlier than where the window ends. */
static void g5_a_pattern_that_joins_during_a_mend_joins_behind_it (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_mark (feed, 10, 14, {"a", 11}, {"b", 13});
    expect (feed, "#2:read(a>10)..14 ");
    tide_feed_add (feed, tide_bytes ("b"));
    expect (feed, "+b #3:head(b>10) ");
    answer_head (feed, 3, 12);
    expect (feed, "joined(b@14) ");
    answer_page (feed, 2, 14, {"a", 11});
    expect (feed, "a:11 C14 ");
    send_mark (feed, 14, 15, {"b", 15});
    expect (feed, "#4:read(b>14)..15 ");
    tide_feed_destroy (&feed);
}

static void many_patterns_join_with_few_requests (void **state)
{
    (void) state;
    tide_feed_t *feed = tide_feed_new ();
    char name[32];
    tide_feed_welcome (feed, EPOCH, 10);
    for (unsigned at = 0; at < 1500; at++) {
        snprintf (name, sizeof name, "t/%u", at);
        tide_feed_add (feed, tide_bytes (name));
    }
    tide_feed_action_t action;
    unsigned wants = 0;
    while (tide_feed_next_action (feed, &action))
        wants += action.kind == TIDE_FEED_REQUEST ? action.message->read.wants.count : 0;
    assert_int_equal (wants, 1024);
    answer_head (feed, 1, 10);
    while (tide_feed_next_action (feed, &action))
        wants += action.kind == TIDE_FEED_REQUEST ? action.message->read.wants.count : 0;
    assert_int_equal (wants, 1500);
    tide_feed_destroy (&feed);
}

static void overlapping_patterns_give_each_event_once (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a/#");
    tide_feed_add (feed, tide_bytes ("a/b"));
    tide_feed_add (feed, tide_bytes ("#"));
    actions (feed);
    answer_head (feed, 2, 10);
    actions (feed);
    send_events (feed, "a/b", 11, 11);
    send_events (feed, "$a", 12, 12);
    send_mark (feed, 10, 12, {"a/b", 11}, {"$a", 12});
    expect (feed, "a/b:11 C12 ");
    tide_feed_remove (feed, tide_bytes ("#"));
    tide_feed_remove (feed, tide_bytes ("a/#"));
    expect (feed, "-# -a/# ");
    send_events (feed, "a/b", 13, 13);
    send_mark (feed, 12, 14, {"a/b", 13}, {"a", 14});
    expect (feed, "a/b:13 C14 ");
    tide_feed_destroy (&feed);
}

/*  -- the stream ------------------------------------------------------------------------------ */

static void g1_topics_interleave_in_sequence_order (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("#");
    send_events (feed, "b", 12, 13);
    send_events (feed, "a", 11, 11);
    send_events (feed, "a", 14, 14);
    assert_true (tide_feed_counters (feed).held == 4);
    expect (feed, "");
    send_mark (feed, 10, 14, {"b", 12}, {"b", 13}, {"a", 11}, {"a", 14});
    expect (feed, "a:11 b:12 b:13 a:14 C14 ");
    assert_true (tide_feed_counters (feed).held == 0 && tide_feed_counters (feed).events == 4);
    tide_feed_destroy (&feed);
}

static void g1_what_arrives_twice_is_handed_on_once (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_events (feed, "a", 11, 12);
    send_events (feed, "a", 11, 12);
    send_mark (feed, 10, 12, {"a", 11}, {"a", 12});
    expect (feed, "a:11 a:12 C12 ");
    send_events (feed, "a", 9, 12);
    send_mark (feed, 10, 12, {"a", 11}, {"a", 12});
    expect (feed, "");
    assert_true (tide_feed_counters (feed).repeats == 6);
    tide_feed_destroy (&feed);
}

static void g5_what_a_mark_lists_and_did_not_come_is_read (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("#");
    send_events (feed, "a", 11, 11);
    send_events (feed, "b", 14, 14);
    send_mark (feed, 10, 14, {"a", 11}, {"b", 12}, {"a", 13}, {"b", 14}, {"$no", 12});
    expect (feed, "a:11 C11 #2:read(b>11)(a>12)..14 ");
    send_events (feed, "a", 15, 15);
    send_mark (feed, 14, 15, {"a", 15});
    expect (feed, "");
    answer_page_of (feed, 2, 12, true, NULL, PLACES ({"b", 12}));
    expect (feed, "b:12 C12 #3:read(b>12)(a>12)..14 ");
    answer_page (feed, 3, 14, {"a", 13}, {"b", 14});
    expect (feed, "a:13 b:14 C14 a:15 C15 ");
    assert_true (tide_feed_counters (feed).gaps == 1 && tide_feed_counters (feed).mended == 2);
    tide_feed_destroy (&feed);
}

static void marks_that_queue_behind_a_mend_are_mended_together (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_mark (feed, 10, 11, {"a", 11});
    expect (feed, "#2:read(a>10)..11 ");
    send_mark (feed, 11, 12, {"a", 12});
    send_mark (feed, 12, 13, {"a", 13});
    expect (feed, "");
    answer_page (feed, 2, 11, {"a", 11});
    expect (feed, "a:11 C11 #3:read(a>11)..13 ");
    answer_page (feed, 3, 13, {"a", 12}, {"a", 13});
    expect (feed, "a:12 a:13 C13 ");
    tide_feed_destroy (&feed);
}

static void g5_more_missing_topics_than_one_read_may_name (void **state)
{
    (void) state;
    enum { COUNT = 2500 };
    static place_t places[COUNT];
    static char names[COUNT][16];
    tide_feed_t *feed = feed_of ("t/#");
    for (unsigned at = 0; at < COUNT; at++) {
        snprintf (names[at], sizeof names[at], "t/%u", at);
        places[at] = (place_t){names[at], 11 + at};
    }
    send_mark_of (feed, EPOCH, 10, 10 + COUNT, places, COUNT);
    expect (feed, "#2:read(1024)..2510 ");
    answer_page_of (feed, 2, 2510, false, NULL, places, 1024);
    tide_feed_action_t action;
    unsigned events = 0;
    while (tide_feed_next_action (feed, &action))
        events += action.kind == TIDE_FEED_EVENT;
    assert_int_equal (events, 1024);
    assert_true (tide_feed_watermark (feed) == 10 + 1024);
    answer_page_of (feed, 3, 2510, false, NULL, places + 1024, 1024);
    while (tide_feed_next_action (feed, &action))
        events += action.kind == TIDE_FEED_EVENT;
    answer_page_of (feed, 4, 2510, false, NULL, places + 2048, COUNT - 2048);
    while (tide_feed_next_action (feed, &action))
        events += action.kind == TIDE_FEED_EVENT;
    assert_int_equal (events, COUNT);
    assert_true (tide_feed_watermark (feed) == 10 + COUNT);
    tide_feed_destroy (&feed);
}

static void g5_marks_alone_are_enough (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    for (unsigned at = 11; at < 20; at++) {
        char expected[64];
        send_mark (feed, at - 1, at, {"a", at});
        snprintf (expected, sizeof expected, "#%u:read(a>%u)..%u ", at - 9, at - 1, at);
        expect (feed, expected);
        answer_page (feed, at - 9, at, {"a", at});
        snprintf (expected, sizeof expected, "a:%u C%u ", at, at);
        expect (feed, expected);
    }
    tide_feed_destroy (&feed);
}

/*  -- marks that are missing ------------------------------------------------------------------ */

static void answer_marks (tide_feed_t *feed, uint64_t tag, uint64_t head,
                          const tide_buffer_t *marks, uint32_t count)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKS};
    message.marks.epoch = EPOCH;
    message.marks.head = head;
    message.marks.marks = tide_list (marks, count);
    tide_feed_answer (feed, tag, &message);
}

static void g5_a_missing_mark_is_seen_and_read (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_buffer_t marks = {0};
    send_mark (feed, 12, 13, {"a", 13});
    expect (feed, "#2:marks>10 ");
    send_events (feed, "a", 14, 14);
    send_mark (feed, 13, 14, {"a", 14});
    expect (feed, "");
    append_mark (&marks, 10, 11, PLACES ({"a", 11}));
    answer_marks (feed, 2, 14, &marks, 1); /* a page: the next is asked for */
    expect (feed, "#3:read(a>10)..11 #4:marks>11 ");
    answer_page (feed, 3, 11, {"a", 11});
    expect (feed, "a:11 C11 ");
    marks.size = 0;
    append_mark (&marks, 11, 12, PLACES ({"b", 12}));
    answer_marks (feed, 4, 14, &marks, 1);
    expect (feed, "C12 #5:read(a>12)..14 ");
    answer_page (feed, 5, 14, {"a", 13}, {"a", 14});
    expect (feed, "a:13 a:14 C14 ");
    assert_true (tide_feed_counters (feed).marks_read == 2);
    tide_buffer_free (&marks);
    tide_feed_destroy (&feed);
}

static void g5_where_marks_are_gone_all_is_read (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_feed_add (feed, tide_bytes ("b/#"));
    actions (feed);
    answer_head (feed, 2, 12);
    expect (feed, "joined(b/#@12) ");
    send_heartbeat (feed, 20);
    expect (feed, "#3:marks>10 ");
    answer_fail (feed, 3, TIDE_TRIMMED);
    expect (feed, "#4:read(a>10)(b/#>12)..20 ");
    answer_page (feed, 4, 20, {"a", 11}, {"b/c", 13}, {"a", 20});
    expect (feed, "a:11 b/c:13 a:20 C20 ");
    send_events (feed, "a", 21, 21);
    send_mark (feed, 20, 21, {"a", 21});
    expect (feed, "a:21 C21 ");
    tide_feed_destroy (&feed);
}

static void g5_marks_that_do_not_go_on_where_asked_are_as_good_as_gone (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_buffer_t marks = {0};
    send_heartbeat (feed, 20);
    expect (feed, "#2:marks>10 ");
    append_mark (&marks, 15, 20, NULL, 0);
    answer_marks (feed, 2, 20, &marks, 1);
    expect (feed, "#3:read(a>10)..20 ");
    answer_head (feed, 3, 20);
    expect (feed, "C20 ");
    tide_buffer_free (&marks);
    tide_feed_destroy (&feed);
}

/*  -- what is lost ---------------------------------------------------------------------------- */

static void g5_what_is_gone_is_said_and_the_rest_goes_on (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a/#");
    tide_feed_add (feed, tide_bytes ("a/b"));
    tide_feed_add (feed, tide_bytes ("c"));
    actions (feed);
    answer_head (feed, 2, 10);
    actions (feed);
    send_events (feed, "c", 12, 12);
    send_mark (feed, 10, 14, {"a/b", 11}, {"c", 12}, {"a/b", 13}, {"a/x", 14});
    expect (feed, "#3:read(a/b>10)(a/x>13)..14 ");
    tide_want_t lost = {tide_bytes ("a/b"), 13};
    answer_page_of (feed, 3, 14, false, &lost, PLACES ({"a/x", 14}));
    expect (feed, "lost(a/b@13) lost(a/#@13) c:12 a/x:14 C14 ");
    send_events (feed, "a/b", 15, 15);
    send_mark (feed, 14, 15, {"a/b", 15});
    expect (feed, "a/b:15 C15 ");
    tide_feed_destroy (&feed);
}

static void g5_what_was_listed_and_does_not_come_by_reading_is_lost_too (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_mark (feed, 10, 12, {"a", 11}, {"a", 12});
    expect (feed, "#2:read(a>10)..12 ");
    answer_page (feed, 2, 12, {"a", 12});
    expect (feed, "lost(a@11) a:12 C12 ");
    tide_feed_destroy (&feed);
}

static void a_lost_entry_at_or_below_the_position_says_nothing (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_mark (feed, 10, 12, {"a", 12});
    expect (feed, "C11 #2:read(a>11)..12 ");
    tide_want_t lost = {tide_bytes ("a"), 11};
    answer_page_of (feed, 2, 12, false, &lost, PLACES ({"a", 12}));
    expect (feed, "a:12 C12 ");
    tide_feed_destroy (&feed);
}

/*  -- welcomes and failures ------------------------------------------------------------------- */

static void g5_the_same_log_is_read_on_and_requests_are_asked_again (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_feed_welcome (feed, EPOCH, 10);
    expect (feed, "");
    send_mark (feed, 10, 12, {"a", 12});
    tide_feed_add (feed, tide_bytes ("b"));
    expect (feed, "+b C11 #2:read(a>11)..12 #3:head(b>11) ");
    tide_feed_welcome (feed, EPOCH, 15);
    expect (feed, "#4:read(a>11)..12 #5:marks>12 #6:head(b>11) ");
    answer_page (feed, 2, 12, {"a", 12}); /* asked before: nobody's answer */
    answer_head (feed, 3, 12);
    answer_head (feed, 0, 12);
    expect (feed, "");
    answer_page (feed, 4, 12, {"a", 12});
    expect (feed, "a:12 C12 ");
    tide_feed_welcome (feed, EPOCH, 11); /* was under way while marks overtook it */
    expect (feed, "#7:marks>12 #8:head(b>12) ");
    tide_feed_destroy (&feed);
}

static void g8_another_log_voids_everything (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_events (feed, "a", 11, 11);
    send_mark (feed, 10, 12, {"a", 11}, {"a", 12});
    send_volatile (feed, "a", 12);
    expect (feed, "a:11 C11 #2:read(a>11)..12 ");
    tide_feed_welcome (feed, EPOCH + 1, 3);
    expect (feed, "epoch8@3 #3:head(a>3) ");
    assert_true (tide_feed_epoch (feed) == EPOCH + 1 && tide_feed_watermark (feed) == 3);
    send_mark (feed, 12, 13, {"a", 13}); /* of the old log */
    send_events (feed, "a", 13, 13);
    answer_page (feed, 2, 12, {"a", 12});
    expect (feed, "");
    answer_head (feed, 3, 3); /* an answer of the old log: asked again at the next mark */
    expect (feed, "");
    send_mark_of (feed, EPOCH + 1, 3, 3, NULL, 0);
    expect (feed, "#4:head(a>3) ");
    tide_feed_destroy (&feed);
}

static void a_failed_request_is_asked_again_at_the_next_mark (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_mark (feed, 10, 11, {"a", 11});
    expect (feed, "#2:read(a>10)..11 ");
    answer_fail (feed, 2, TIDE_SHUTTING_DOWN);
    expect (feed, "");
    send_heartbeat (feed, 11);
    expect (feed, "#3:read(a>10)..11 ");
    answer_page_of (feed, 3, 10, true, NULL, NULL, 0); /* a page that does not get on */
    expect (feed, "");
    send_heartbeat (feed, 11);
    expect (feed, "#4:read(a>10)..11 ");
    answer_page (feed, 4, 11, {"a", 11});
    expect (feed, "a:11 C11 ");
    tide_feed_destroy (&feed);
}

/*  -- leaving --------------------------------------------------------------------------------- */

static void a_pattern_removed_while_it_is_asked_for_stays_away (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_feed_add (feed, tide_bytes ("b"));
    expect (feed, "+b #2:head(b>10) ");
    tide_feed_remove (feed, tide_bytes ("b"));
    answer_head (feed, 2, 10);
    expect (feed, "-b ");
    send_mark (feed, 10, 11, {"a", 11});
    expect (feed, "#3:read(a>10)..11 ");
    tide_feed_remove (feed, tide_bytes ("a"));
    tide_feed_remove (feed, tide_bytes ("a"));
    answer_page (feed, 3, 11, {"a", 11});
    expect (feed, "-a C11 ");
    tide_feed_destroy (&feed);
}

static void what_was_not_taken_yet_is_not_said_of_a_removed_pattern (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_feed_action_t action;
    send_events (feed, "a", 11, 12);
    send_mark (feed, 10, 12, {"a", 11}, {"a", 12});
    assert_true (tide_feed_next_action (feed, &action) && action.seq == 11);
    tide_feed_remove (feed, tide_bytes ("a"));
    tide_feed_add (feed, tide_bytes ("a"));
    expect (feed, "-a +a C12 #2:head(a>12) ");
    answer_head (feed, 2, 12);
    tide_feed_remove (feed, tide_bytes ("a"));
    expect (feed, "-a ");
    tide_feed_destroy (&feed);
}

/*  -- volatile events ------------------------------------------------------------------------- */

static void g9_volatile_events_come_at_their_place_or_not_at_all (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    send_volatile (feed, "a", 10);
    send_volatile (feed, "b", 10);
    expect (feed, "~a:10 ");
    send_volatile (feed, "a", 11);
    send_volatile (feed, "a", 12);
    expect (feed, "");
    send_events (feed, "a", 11, 13);
    send_mark (feed, 10, 13, {"a", 11}, {"a", 12}, {"a", 13});
    expect (feed, "a:11 C11 ~a:11 a:12 C12 ~a:12 a:13 C13 ");
    send_volatile (feed, "a", 12);
    expect (feed, "");
    assert_true (tide_feed_counters (feed).volatiles == 3);
    assert_true (tide_feed_counters (feed).volatiles_late == 1);
    tide_feed_destroy (&feed);
}

static void g9_volatile_events_that_wait_are_bounded (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    for (unsigned at = 0; at < TIDE_FEED_VOLATILES_MAX + 10; at++)
        send_volatile (feed, "a", 11);
    assert_true (tide_feed_counters (feed).volatiles_late == 10);
    send_mark (feed, 10, 11, {"b", 11});
    tide_feed_action_t action;
    unsigned count = 0;
    while (tide_feed_next_action (feed, &action))
        count += action.kind == TIDE_FEED_VOLATILE;
    assert_int_equal (count, TIDE_FEED_VOLATILES_MAX);
    tide_feed_destroy (&feed);
}

/*  -- limits and rubbish ---------------------------------------------------------------------- */

static void g6_what_is_held_is_bounded_and_read_later (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("a");
    tide_buffer_t payload = {0};
    tide_buffer_reserve (&payload, 60000);
    memset (payload.data, 'x', payload.size = 60000);
    unsigned sent = 0;
    while (tide_feed_counters (feed).overflows == 0) {
        tide_buffer_t events = {0};
        tide_event_t event = {.seq = 11 + sent++, .topic = tide_bytes ("a")};
        event.name = tide_bytes ("n");
        event.payload = tide_buffer_bytes (&payload);
        tide_event_append (&events, &event);
        tide_message_t message = {.kind = TIDE_MESSAGE_EVENTS};
        message.events.epoch = EPOCH;
        message.events.events = tide_list (&events, 1);
        send_frame (feed, "a", &message);
        tide_buffer_free (&events);
        assert_true (sent < 2000);
    }
    assert_true (sent > 1000 && tide_feed_counters (feed).held == 1);
    send_mark (feed, 10, 11, {"a", 11});
    expect (feed, "#2:read(a>10)..11 ");
    tide_buffer_free (&payload);
    tide_feed_destroy (&feed);
}

static void rubbish_is_counted_and_ignored (void **state)
{
    (void) state;
    tide_feed_t *feed = feed_of ("#");
    tide_feed_receive (feed, tide_bytes ("no prefix"));
    tide_feed_receive (feed, (tide_bytes_t){(const uint8_t *) "ea\0TMxx", 7});
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO};
    send_frame (feed, "a", &hello);
    send_mark_of (feed, EPOCH, 12, 11, NULL, 0);
    assert_true (tide_feed_counters (feed).malformed == 4);
    send_mark (feed, 10, 11, {"a", 5}, {"a", 12}, {"a", 10}); /* places outside of its range */
    expect (feed, "C11 ");
    send_events_of (feed, EPOCH + 1, "a", 12, 12);
    assert_true (tide_feed_counters (feed).held == 0);
    tide_feed_destroy (&feed);
}

static void nothing_is_taken_before_the_first_welcome (void **state)
{
    (void) state;
    tide_feed_t *feed = tide_feed_new ();
    tide_feed_add (feed, tide_bytes ("a"));
    send_events (feed, "a", 1, 1);
    send_mark (feed, 0, 1, {"a", 1});
    expect (feed, "+a ");
    tide_feed_destroy (&feed);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (joining_subscribes_then_asks_where_the_log_stands),
        cmocka_unit_test (g1_events_at_or_below_the_join_are_not_handed_on),
        cmocka_unit_test (g5_a_pattern_that_joins_during_a_mend_joins_behind_it),
        cmocka_unit_test (many_patterns_join_with_few_requests),
        cmocka_unit_test (overlapping_patterns_give_each_event_once),
        cmocka_unit_test (g1_topics_interleave_in_sequence_order),
        cmocka_unit_test (g1_what_arrives_twice_is_handed_on_once),
        cmocka_unit_test (g5_what_a_mark_lists_and_did_not_come_is_read),
        cmocka_unit_test (marks_that_queue_behind_a_mend_are_mended_together),
        cmocka_unit_test (g5_more_missing_topics_than_one_read_may_name),
        cmocka_unit_test (g5_marks_alone_are_enough),
        cmocka_unit_test (g5_a_missing_mark_is_seen_and_read),
        cmocka_unit_test (g5_where_marks_are_gone_all_is_read),
        cmocka_unit_test (g5_marks_that_do_not_go_on_where_asked_are_as_good_as_gone),
        cmocka_unit_test (g5_what_is_gone_is_said_and_the_rest_goes_on),
        cmocka_unit_test (g5_what_was_listed_and_does_not_come_by_reading_is_lost_too),
        cmocka_unit_test (a_lost_entry_at_or_below_the_position_says_nothing),
        cmocka_unit_test (g5_the_same_log_is_read_on_and_requests_are_asked_again),
        cmocka_unit_test (g8_another_log_voids_everything),
        cmocka_unit_test (a_failed_request_is_asked_again_at_the_next_mark),
        cmocka_unit_test (a_pattern_removed_while_it_is_asked_for_stays_away),
        cmocka_unit_test (what_was_not_taken_yet_is_not_said_of_a_removed_pattern),
        cmocka_unit_test (g9_volatile_events_come_at_their_place_or_not_at_all),
        cmocka_unit_test (g9_volatile_events_that_wait_are_bounded),
        cmocka_unit_test (g6_what_is_held_is_bounded_and_read_later),
        cmocka_unit_test (rubbish_is_counted_and_ignored),
        cmocka_unit_test (nothing_is_taken_before_the_first_welcome),
    };
    return cmocka_run_group_tests_name ("tide_feed", tests, NULL, NULL);
}
