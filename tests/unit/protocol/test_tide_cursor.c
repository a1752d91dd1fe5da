/*  test_tide_cursor.c - a named cursor, against a log of one key.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursor.h"

#include "tide_topic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EPOCH = 7 };

/*  The log, as far as a cursor sees it: what stands at one key, and the head. */
static struct {
    uint64_t epoch, head, stands;
    tide_buffer_t event; /* what stands there, as a list of one */
    unsigned writes;
} broker;

typedef struct {
    tide_named_cursor_t *cursor;
    tide_cursor_action_t action; /* READ or WRITE that awaits its answer; kind is in `asks` */
    bool asks_read, asks_write;
    tide_buffer_t event;
    uint64_t expected;
    tide_cursor_place_t taken;
    unsigned takes, delays, refusals;
    uint64_t durable;
    tide_status_t over;
    char why[200];
} reader_t;

static uint64_t now_ms = 1000;

static int begin_anew (void **state)
{
    (void) state;
    tide_buffer_free (&broker.event);
    memset (&broker, 0, sizeof broker);
    broker.epoch = EPOCH;
    broker.head = 100;
    now_ms = 1000;
    return 0;
}

static int forget (void **state)
{
    (void) state;
    tide_buffer_free (&broker.event);
    return 0;
}

static void reader_of (reader_t *self, const char *owner, const char *topics)
{
    *self = (reader_t){0};
    self->cursor = tide_named_cursor_new (&(tide_cursor_reader_t){
        tide_bytes ("inbox"), tide_bytes ("ann"), tide_bytes (topics), tide_bytes (owner)});
}

static reader_t reader (const char *owner)
{
    reader_t self;
    reader_of (&self, owner, "a");
    return self;
}

static void end (reader_t *self)
{
    tide_named_cursor_destroy (&self->cursor);
    tide_named_cursor_destroy (&self->cursor);
    tide_buffer_free (&self->event);
}

static void take_write (reader_t *self, const tide_cursor_action_t *action)
{
    assert_true (tide_bytes_is (action->event.topic, "$cursor/inbox/ann"));
    assert_true (tide_bytes_is (action->event.key, TIDE_CURSOR_KEY));
    assert_true (tide_bytes_equal (action->event.topic, action->expect.topic));
    assert_true (tide_bytes_equal (action->event.key, action->expect.key));
    self->event.size = 0;
    tide_event_append (&self->event, &action->event);
    self->expected = action->expect.seq;
    self->asks_write = true;
}

/*  Takes what the cursor says, without answering. */
static void listen (reader_t *self)
{
    tide_cursor_action_t action;
    while (tide_cursor_next_action (self->cursor, &action))
        switch (action.kind) {
        case TIDE_CURSOR_READ:
            assert_false (self->asks_read || self->asks_write);
            assert_true (tide_bytes_is (action.topic, "$cursor/inbox/ann"));
            self->asks_read = true;
            break;
        case TIDE_CURSOR_WRITE:
            assert_false (self->asks_read || self->asks_write);
            take_write (self, &action);
            break;
        case TIDE_CURSOR_TAKEN:
            self->taken = action.place;
            self->takes++;
            break;
        case TIDE_CURSOR_DURABLE:
            self->durable = action.seq;
            break;
        case TIDE_CURSOR_REFUSED:
            self->refusals++;
            break;
        case TIDE_CURSOR_DELAYED:
            self->delays++;
            break;
        case TIDE_CURSOR_OVER:
            self->over = action.status;
            snprintf (self->why, sizeof self->why, "%s", action.why);
            break;
        }
}

static void answer_read (reader_t *self)
{
    tide_message_t standing = {.kind = TIDE_MESSAGE_STANDING};
    standing.standing.epoch = broker.epoch;
    standing.standing.seq = broker.head;
    standing.standing.events = tide_list (&broker.event, broker.stands > 0);
    self->asks_read = false;
    tide_cursor_answer (self->cursor, now_ms, &standing);
}

static void answer_fail (reader_t *self, tide_status_t status)
{
    tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL};
    fail.fail.code = (uint8_t) status;
    fail.fail.message = tide_bytes ("no");
    self->asks_read = self->asks_write = false;
    tide_cursor_answer (self->cursor, now_ms, &fail);
    listen (self);
}

static void answer_write (reader_t *self)
{
    if (self->expected != broker.stands) {
        answer_fail (self, TIDE_CONFLICT);
        return;
    }
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK};
    broker.event.size = 0;
    tide_buffer_append_bytes (&broker.event, tide_buffer_bytes (&self->event));
    broker.stands = ack.ack.first = ++broker.head;
    broker.writes++;
    /*  Behind its u32 size, the event begins with its sequence. */
    tide_store_u64 (broker.event.data + 4 + TIDE_EVENT_SEQ_AT, broker.stands);
    self->asks_write = false;
    tide_cursor_answer (self->cursor, now_ms, &ack);
}

static bool answer (reader_t *self)
{
    listen (self);
    if (self->asks_read)
        answer_read (self);
    else if (self->asks_write)
        answer_write (self);
    else
        return false;
    listen (self);
    return true;
}

static void settle (reader_t *self)
{
    while (answer (self)) {
    }
}

static void pass (reader_t *self, uint64_t ms)
{
    now_ms += ms;
    tide_cursor_tick (self->cursor, now_ms);
    settle (self);
}

static void begin (reader_t *self, tide_cursor_place_t otherwise)
{
    tide_cursor_begin (self->cursor, otherwise);
    settle (self);
}

static void begin_at_head (reader_t *self)
{
    begin (self, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
}

static void ack (reader_t *self, uint64_t seq)
{
    assert_int_equal (tide_cursor_ack (self->cursor, now_ms, seq, 1000), TIDE_OK);
}

static tide_cursor_t standing (void)
{
    tide_list_t list = tide_list (&broker.event, 1);
    tide_event_t event;
    tide_cursor_t cursor;
    assert_true (broker.stands > 0);
    assert_true (tide_event_next (&list, &event));
    assert_true (tide_cursor_of (&event, &cursor));
    return cursor;
}

static void assert_taken (const reader_t *self, uint64_t epoch, uint64_t seq)
{
    assert_true (self->takes > 0);
    assert_int_equal (self->taken.kind, TIDE_CURSOR_FROM_SEQ);
    assert_int_equal (self->taken.epoch, epoch);
    assert_int_equal (self->taken.seq, seq);
}

/*  -- beginning ------------------------------------------------------------------------------- */

static void a_new_one_begins_where_it_is_told_and_says_so (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    assert_taken (&one, EPOCH, 100);
    tide_cursor_t cursor = standing ();
    assert_true (tide_bytes_is (cursor.name, "inbox") && tide_bytes_is (cursor.user, "ann"));
    assert_true (tide_bytes_is (cursor.topics, "a") && tide_bytes_is (cursor.owner, "one"));
    assert_int_equal (cursor.seq, 100);
    end (&one);

    begin_anew (NULL);
    one = reader ("one");
    begin (&one, (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, 0, 12});
    assert_taken (&one, EPOCH, 12);
    end (&one);
}

/*  Though it has acknowledged nothing, what came since is its. */
static void whoever_comes_back_goes_on_where_it_began (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    end (&one);
    broker.head = 500;
    reader_t two = reader ("two");
    begin (&two, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SNAPSHOT});
    assert_taken (&two, EPOCH, 100);
    end (&two);
}

static void whoever_comes_back_goes_on_behind_what_was_acknowledged (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    ack (&one, 130);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (one.durable, 130);
    end (&one);
    reader_t two = reader ("two");
    begin_at_head (&two);
    assert_taken (&two, EPOCH, 130);
    assert_true (tide_bytes_is (standing ().owner, "two"));
    end (&two);
}

static void what_began_with_a_snapshot_does_so_again_until_that_is_acknowledged (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin (&one, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SNAPSHOT});
    assert_int_equal (one.taken.kind, TIDE_CURSOR_FROM_SNAPSHOT);
    ack (&one, 90); /* of nothing that it was given */
    pass (&one, TIDE_CURSOR_GATHER_MS);
    end (&one);
    reader_t two = reader ("two");
    begin_at_head (&two);
    assert_int_equal (two.taken.kind, TIDE_CURSOR_FROM_SNAPSHOT);
    tide_cursor_snapshot (two.cursor, 110);
    ack (&two, 109);
    pass (&two, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (two.durable, 0);
    ack (&two, 110);
    pass (&two, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (two.durable, 110);
    end (&two);
    reader_t three = reader ("three");
    begin_at_head (&three);
    assert_taken (&three, EPOCH, 110);
    end (&three);
}

static void other_topics_are_a_conflict (void **state)
{
    (void) state;
    reader_t one = reader ("one"), two;
    begin_at_head (&one);
    reader_of (&two, "two", "a\nb");
    begin_at_head (&two);
    assert_int_equal (two.over, TIDE_CONFLICT);
    assert_non_null (strstr (two.why, "other topics"));
    assert_int_equal (two.takes, 0);
    assert_true (tide_bytes_is (standing ().owner, "one"));
    end (&one);
    end (&two);
}

static void what_stands_there_and_is_no_cursor_is_a_conflict (void **state)
{
    (void) state;
    broker.stands = 50;
    tide_event_append (&broker.event, &(tide_event_t){.seq = 50,
                                                      .topic = tide_bytes ("$cursor/inbox/ann"),
                                                      .key = tide_bytes (TIDE_CURSOR_KEY),
                                                      .payload = tide_bytes ("\1\0null")});
    reader_t one = reader ("one");
    begin_at_head (&one);
    assert_int_equal (one.over, TIDE_CONFLICT);
    end (&one);
}

static void a_broker_that_refuses_ends_what_begins (void **state)
{
    (void) state;
    for (int at = 0; at < 2; at++) {
        reader_t one = reader ("one");
        tide_cursor_begin (one.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
        listen (&one);
        if (at == 1)
            answer (&one);
        answer_fail (&one, TIDE_LOG_FULL);
        assert_int_equal (one.over, TIDE_LOG_FULL);
        assert_string_equal (one.why, "no");
        end (&one);
    }
    reader_t one = reader ("one");
    tide_cursor_begin (one.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
    listen (&one);
    tide_cursor_unanswered (one.cursor, now_ms, TIDE_BROKER_AWAY);
    listen (&one);
    assert_int_equal (one.over, TIDE_BROKER_AWAY);
    end (&one);
}

/*  -- acknowledging --------------------------------------------------------------------------- */

static void acknowledgements_are_gathered_for_a_second (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    unsigned before = broker.writes;
    assert_int_equal (tide_cursor_deadline_ms (one.cursor), 0);
    for (uint64_t seq = 101; seq <= 200; seq++) {
        ack (&one, seq);
        pass (&one, 9);
    }
    assert_int_equal (broker.writes, before);
    assert_int_equal (tide_cursor_owes (one.cursor), 200);
    assert_int_equal (tide_cursor_deadline_ms (one.cursor), 1000 + TIDE_CURSOR_GATHER_MS);
    pass (&one, 100);
    assert_int_equal (broker.writes, before + 1);
    assert_int_equal (one.durable, 200);
    assert_int_equal (standing ().seq, 200);
    assert_true (tide_cursor_is_idle (one.cursor));
    pass (&one, 10000);
    assert_int_equal (broker.writes, before + 1);
    end (&one);
}

static void they_only_go_forward (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    unsigned before = broker.writes;
    ack (&one, 99);
    ack (&one, 100);
    ack (&one, 0);
    assert_true (tide_cursor_is_idle (one.cursor));
    ack (&one, 120);
    ack (&one, 110);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().seq, 120);
    ack (&one, 120);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (broker.writes, before + 1);
    end (&one);
}

static void nothing_beyond_what_was_delivered_is_acknowledged (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    assert_int_equal (tide_cursor_ack (one.cursor, now_ms, 131, 130), TIDE_BAD_REQUEST);
    assert_int_equal (tide_cursor_ack (one.cursor, now_ms, UINT64_MAX, 130), TIDE_BAD_REQUEST);
    assert_true (tide_cursor_is_idle (one.cursor));
    assert_int_equal (tide_cursor_ack (one.cursor, now_ms, 130, 130), TIDE_OK);
    end (&one);
}

static void who_is_in_a_hurry_has_one_write_under_way_at_a_time (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    unsigned before = broker.writes;
    ack (&one, 110);
    tide_cursor_hurry (one.cursor);
    listen (&one);
    assert_true (one.asks_write);
    for (uint64_t seq = 111; seq <= 150; seq++) {
        ack (&one, seq);
        tide_cursor_hurry (one.cursor);
        listen (&one);
    }
    answer (&one);
    assert_int_equal (one.durable, 110);
    settle (&one);
    assert_int_equal (one.durable, 150);
    assert_int_equal (broker.writes, before + 2);
    end (&one);
}

static void what_cannot_be_written_is_tried_again (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    ack (&one, 110);
    tide_cursor_hurry (one.cursor);
    listen (&one);
    answer_fail (&one, TIDE_LOG_FULL);
    assert_int_equal (one.delays, 1);
    assert_int_equal (tide_cursor_owes (one.cursor), 110);
    ack (&one, 111);
    pass (&one, TIDE_CURSOR_GATHER_MS - 1);
    assert_int_equal (one.durable, 0);
    pass (&one, 1);
    assert_int_equal (one.durable, 111);
    end (&one);
}

/*  -- of two ---------------------------------------------------------------------------------- */

static void of_two_the_later_one_wins_and_the_earlier_one_is_told (void **state)
{
    (void) state;
    reader_t one = reader ("one"), two = reader ("two");
    begin_at_head (&one);
    begin_at_head (&two);
    ack (&one, 110);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (one.over, TIDE_CONFLICT);
    assert_true (tide_cursor_is_over (one.cursor));
    assert_int_equal (tide_cursor_ack (one.cursor, now_ms, 111, 200), TIDE_CONFLICT);
    assert_int_equal (standing ().seq, 100);
    ack (&two, 120);
    pass (&two, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().seq, 120);
    end (&one);
    end (&two);
}

static void of_two_that_take_it_at_once_both_may_but_one_has_it (void **state)
{
    (void) state;
    reader_t one = reader ("one"), two = reader ("two");
    tide_cursor_begin (one.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
    tide_cursor_begin (two.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
    answer (&one); /* both have read that nothing stands there */
    answer (&two);
    settle (&one);
    settle (&two);
    assert_int_equal (one.takes, 1);
    assert_int_equal (two.takes, 1);
    assert_true (tide_bytes_is (standing ().owner, "two"));
    end (&one);
    end (&two);
}

static void a_race_that_is_lost_again_and_again_is_given_up (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    tide_cursor_begin (one.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
    unsigned rounds = 0;
    while (one.over == TIDE_OK && rounds++ < 100) {
        listen (&one);
        if (one.asks_read) {
            answer_read (&one);
            listen (&one);
        }
        else
            answer_fail (&one, TIDE_CONFLICT);
    }
    assert_int_equal (one.over, TIDE_CONFLICT);
    assert_true (rounds < 20);
    end (&one);
}

static void what_was_removed_is_not_made_again (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    broker.stands = 0;
    broker.event.size = 0;
    ack (&one, 110);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (one.over, TIDE_NOT_FOUND);
    assert_int_equal (broker.stands, 0);
    end (&one);
}

/*  -- going on elsewhere ---------------------------------------------------------------------- */

static void the_owner_goes_on_elsewhere_at_its_first_acknowledgement (void **state)
{
    (void) state;
    reader_t one = reader ("sid");
    begin_at_head (&one);
    ack (&one, 110);
    reader_t moved = reader ("sid");
    tide_cursor_go_on (moved.cursor, 0);
    listen (&moved);
    assert_false (moved.asks_read || moved.asks_write);
    assert_true (tide_cursor_is_idle (moved.cursor));
    ack (&moved, 120);
    settle (&moved);
    assert_int_equal (moved.durable, 120);
    /*  The late word of before moves nothing back, and is no conflict: it is the same reader's. */
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (one.over, TIDE_OK);
    assert_int_equal (one.durable, 120);
    assert_int_equal (standing ().seq, 120);
    ack (&moved, 130);
    pass (&moved, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().seq, 130);
    end (&one);
    end (&moved);
}

static void whoever_goes_on_takes_nothing_from_another (void **state)
{
    (void) state;
    reader_t one = reader ("sid"), two = reader ("two");
    begin_at_head (&one);
    end (&one);
    begin_at_head (&two);
    reader_t moved = reader ("sid");
    tide_cursor_go_on (moved.cursor, 0);
    ack (&moved, 120);
    settle (&moved);
    assert_int_equal (moved.over, TIDE_CONFLICT);
    assert_int_equal (standing ().seq, 100);
    end (&moved);
    end (&two);
}

static void whoever_goes_on_waits_for_a_broker_that_is_away (void **state)
{
    (void) state;
    reader_t one = reader ("sid");
    begin_at_head (&one);
    end (&one);
    reader_t moved = reader ("sid");
    tide_cursor_go_on (moved.cursor, 0);
    ack (&moved, 120);
    listen (&moved);
    assert_true (moved.asks_read);
    moved.asks_read = false;
    tide_cursor_unanswered (moved.cursor, now_ms, TIDE_BROKER_AWAY);
    listen (&moved);
    assert_int_equal (moved.delays, 1);
    pass (&moved, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (moved.durable, 120);
    end (&moved);
}

/*  -- beginning again ------------------------------------------------------------------------- */

static void who_begins_again_goes_on_behind_what_it_has_acknowledged (void **state)
{
    (void) state;
    for (int is_under_way = 0; is_under_way < 2; is_under_way++) {
        begin_anew (NULL);
        reader_t one = reader ("one");
        begin_at_head (&one);
        ack (&one, 110);
        if (is_under_way)
            tide_cursor_hurry (one.cursor);
        listen (&one);
        begin_at_head (&one);
        assert_int_equal (one.takes, 2);
        assert_taken (&one, EPOCH, 110);
        assert_int_equal (standing ().seq, 110);
        assert_true (tide_cursor_is_idle (one.cursor) || !is_under_way);
        end (&one);
    }
}

/*  What was ours before is not lost because the disk is full. */
static void who_cannot_begin_again_goes_on_as_before (void **state)
{
    (void) state;
    for (int is_written = 0; is_written < 2; is_written++) {
        begin_anew (NULL);
        reader_t one = reader ("one");
        begin_at_head (&one);
        ack (&one, 105);
        tide_cursor_begin (one.cursor, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD});
        listen (&one);
        if (is_written)
            answer (&one);
        answer_fail (&one, TIDE_LOG_FULL);
        assert_int_equal (one.over, TIDE_OK);
        assert_int_equal (one.refusals, 1);
        assert_int_equal (one.takes, 1);
        ack (&one, 110);
        pass (&one, TIDE_CURSOR_GATHER_MS);
        assert_int_equal (one.durable, 110);
        assert_int_equal (standing ().seq, 110);
        end (&one);
    }
}

/*  -- another log ----------------------------------------------------------------------------- */

static void in_another_log_the_position_says_that_it_is_of_the_one_before (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    ack (&one, 110);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    broker.epoch = 8;
    broker.head = 3;
    broker.stands = 0;
    broker.event.size = 0;
    tide_cursor_epoch (one.cursor, 8);
    settle (&one);
    assert_int_equal (standing ().epoch, EPOCH);
    assert_int_equal (standing ().seq, 110);
    /*  What it acknowledges of before is nothing here. */
    assert_int_equal (tide_cursor_ack (one.cursor, now_ms, 2, 3), TIDE_OK);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().epoch, EPOCH);

    reader_t two = reader ("two");
    begin_at_head (&two);
    assert_taken (&two, EPOCH, 110); /* to be bridged */
    end (&two);

    two = reader ("two");
    begin_at_head (&two);
    tide_cursor_snapshot (two.cursor, 5);
    ack (&two, 4);
    ack (&two, 5);
    pass (&two, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().epoch, 8);
    assert_int_equal (standing ().seq, 5);
    end (&two);
    end (&one);
}

static void answers_of_the_log_before_are_void (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin_at_head (&one);
    ack (&one, 110);
    tide_cursor_hurry (one.cursor);
    listen (&one);
    assert_true (one.asks_write);
    tide_cursor_epoch (one.cursor, 8);
    one.asks_write = false;
    assert_int_equal (tide_cursor_owes (one.cursor), 0);
    broker.epoch = 8;
    settle (&one);
    assert_int_equal (one.over, TIDE_OK);
    end (&one);
}

/*  A position that the log never had is bridged, and then does not stand in the way. */
static void a_position_beyond_the_head_holds_nothing_back (void **state)
{
    (void) state;
    reader_t one = reader ("one");
    begin (&one, (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, EPOCH, 100000});
    assert_taken (&one, EPOCH, 100000);
    tide_cursor_snapshot (one.cursor, 105);
    ack (&one, 106);
    pass (&one, TIDE_CURSOR_GATHER_MS);
    assert_int_equal (standing ().seq, 106);
    end (&one);
}

/*  -- names ----------------------------------------------------------------------------------- */

static tide_status_t check (size_t name_size, size_t user_size, char byte)
{
    char name[300], user[300];
    const char *why = NULL;
    memset (name, byte, sizeof name);
    memset (user, byte, sizeof user);
    tide_bytes_t names = {(uint8_t *) name, name_size}, users = {(uint8_t *) user, user_size};
    tide_status_t status = tide_cursor_check (names, users, &why);
    assert_true (status == TIDE_OK || why);
    tide_buffer_t topic = {0};
    if (status == TIDE_OK) {
        tide_cursor_topic (&topic, names, users);
        assert_true (tide_topic_valid (tide_buffer_bytes (&topic)));
        tide_buffer_free (&topic);
    }
    return status;
}

static void names_have_limits (void **state)
{
    (void) state;
    assert_int_equal (check (0, 0, 'x'), TIDE_BAD_REQUEST);
    assert_int_equal (check (1, 0, 'x'), TIDE_OK);
    assert_int_equal (check (TIDE_CURSOR_NAME_SIZE_MAX, 0, '/'), TIDE_OK);
    assert_int_equal (check (TIDE_CURSOR_NAME_SIZE_MAX + 1, 0, 'x'), TIDE_BAD_REQUEST);
    assert_int_equal (check (3, 0, '\n'), TIDE_BAD_REQUEST);
    assert_int_equal (check (3, 0, '\0'), TIDE_BAD_REQUEST);
    assert_int_equal (check (3, 0, (char) 0xff), TIDE_BAD_REQUEST);
    assert_int_equal (check (64, 182, 'x'), TIDE_OK);
    assert_int_equal (check (64, 183, 'x'), TIDE_TOO_LARGE);
    assert_int_equal (check (64, 256, 'x'), TIDE_BAD_REQUEST);
}

static void names_are_one_level_each (void **state)
{
    (void) state;
    tide_buffer_t topic = {0};
    tide_cursor_topic (&topic, tide_bytes ("a/b#%$"), (tide_bytes_t){0});
    assert_true (tide_bytes_is (tide_buffer_bytes (&topic), "$cursor/a%2Fb%23%25$"));
    topic.size = 0;
    tide_cursor_topic (&topic, tide_bytes ("a"), tide_bytes ("b/c"));
    assert_true (tide_bytes_is (tide_buffer_bytes (&topic), "$cursor/a/b%2Fc"));
    tide_buffer_free (&topic);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, begin_anew, forget)

static void what_is_behind_it_is_wanted_of_all_its_topics (void **state)
{
    (void) state;
    tide_buffer_t wants = {0};
    tide_cursor_t cursor = {.topics = tide_bytes ("a\nb/#\n\n##\nc"), .seq = 7};
    assert_int_equal (tide_cursor_append_wants (&wants, &cursor), 3); /* two are none */
    tide_list_t list = tide_list (&wants, 3);
    tide_want_t want;
    static const char *const wanted[] = {"a", "b/#", "c"};
    for (size_t at = 0; at < sizeof wanted / sizeof wanted[0]; at++) {
        assert_true (tide_want_next (&list, &want));
        assert_true (tide_bytes_is (want.topic, wanted[at]));
        assert_int_equal (want.seq, 7);
    }
    tide_buffer_free (&wants);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_new_one_begins_where_it_is_told_and_says_so),
        TEST (whoever_comes_back_goes_on_where_it_began),
        TEST (whoever_comes_back_goes_on_behind_what_was_acknowledged),
        TEST (what_began_with_a_snapshot_does_so_again_until_that_is_acknowledged),
        TEST (other_topics_are_a_conflict),
        TEST (what_stands_there_and_is_no_cursor_is_a_conflict),
        TEST (a_broker_that_refuses_ends_what_begins),
        TEST (acknowledgements_are_gathered_for_a_second),
        TEST (they_only_go_forward),
        TEST (nothing_beyond_what_was_delivered_is_acknowledged),
        TEST (who_is_in_a_hurry_has_one_write_under_way_at_a_time),
        TEST (what_cannot_be_written_is_tried_again),
        TEST (of_two_the_later_one_wins_and_the_earlier_one_is_told),
        TEST (of_two_that_take_it_at_once_both_may_but_one_has_it),
        TEST (a_race_that_is_lost_again_and_again_is_given_up),
        TEST (what_was_removed_is_not_made_again),
        TEST (the_owner_goes_on_elsewhere_at_its_first_acknowledgement),
        TEST (whoever_goes_on_takes_nothing_from_another),
        TEST (whoever_goes_on_waits_for_a_broker_that_is_away),
        TEST (who_begins_again_goes_on_behind_what_it_has_acknowledged),
        TEST (who_cannot_begin_again_goes_on_as_before),
        TEST (in_another_log_the_position_says_that_it_is_of_the_one_before),
        TEST (answers_of_the_log_before_are_void),
        TEST (a_position_beyond_the_head_holds_nothing_back),
        TEST (names_have_limits),
        TEST (names_are_one_level_each),
        TEST (what_is_behind_it_is_wanted_of_all_its_topics),
    };
    return cmocka_run_group_tests_name ("named cursors", tests, NULL, NULL);
}
