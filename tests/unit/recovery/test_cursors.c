/*  test_cursors.c - topics that are read by named cursors, in both dialects.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

#include "tide_alloc.h"
#include "tide_cursor.h"
#include "tide_dialect_json.h"

#include <stdlib.h>

/*  -- what stands ----------------------------------------------------------------------------- */

/*  What the log holds of a cursor. */
typedef struct {
    uint64_t stands; /* 0: nothing */
    uint64_t epoch, seq;
    char owner[64];
} standing_t;

static void ask_standing (const char *topic)
{
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO}, ask = {.kind = TIDE_MESSAGE_SNAPSHOT};
    hello.hello.name = tide_bytes ("test");
    tide_loop_ask_broker (loop, &hello);
    ask.snapshot.request = 1;
    ask.snapshot.topic = tide_bytes (topic);
    tide_loop_ask_broker (loop, &ask);
}

static standing_t standing (const char *name)
{
    char topic[128];
    const char *why;
    standing_t found = {0};
    tide_message_t answer;
    tide_event_t event;
    tide_cursor_t cursor;
    snprintf (topic, sizeof topic, "$cursor/%s", name);
    ask_standing (topic);
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&loop->told), &answer, &why),
                      TIDE_OK);
    assert_int_equal (answer.kind, TIDE_MESSAGE_STANDING);
    if (!tide_event_next (&answer.standing.events, &event))
        return found;
    assert_true (tide_cursor_of (&event, &cursor));
    found = (standing_t){.stands = event.seq, .epoch = cursor.epoch, .seq = cursor.seq};
    snprintf (found.owner, sizeof found.owner, "%.*s", TIDE_PRINT (cursor.owner));
    return found;
}

/*  Whoever runs the broker removes it. */
static void remove_cursor (const char *name)
{
    char topic[128];
    tide_buffer_t records = {0};
    snprintf (topic, sizeof topic, "$cursor/%s", name);
    tide_event_append (&records, &(tide_event_t){.topic = tide_bytes (topic),
                                                 .name = tide_bytes ("removed"),
                                                 .key = tide_bytes (TIDE_CURSOR_KEY)});
    ask_standing (topic);
    tide_message_t publish = {.kind = TIDE_MESSAGE_PUBLISH};
    publish.publish.request = 2;
    publish.publish.events = tide_list (&records, 1);
    tide_loop_ask_broker (loop, &publish);
    tide_buffer_free (&records);
    assert_int_equal (standing (name).stands, 0);
}

/*  -- a client of the JSON dialect ------------------------------------------------------------ */

typedef struct {
    tide_loop_client_t *wire;
    int numbers[2000];
    uint64_t seqs[2000]; /* of each event */
    int count;
    uint64_t ok_seq; /* of the last ok */
    uint64_t reset_seq;
    int oks, resets, snapshots;
    char code[32], cursor[64]; /* of the last error or reset */
} plain_t;

static void json_listen (plain_t *self)
{
    const char *frame;
    while ((frame = tide_loop_hear (self->wire))) {
        json_t *said = json_loads (frame, 0, NULL);
        const char *op = json_string_value (json_object_get (said, "op"));
        uint64_t seq = (uint64_t) json_integer_value (json_object_get (said, "seq"));
        const char *code = json_string_value (json_object_get (said, "code"));
        const char *cursor = json_string_value (json_object_get (said, "cursor"));
        assert_non_null (op);
        if (strcmp (op, "event") == 0) {
            self->seqs[self->count] = seq;
            self->numbers[self->count++] =
                (int) json_integer_value (json_object_get (said, "data"));
        }
        else if (strcmp (op, "ok") == 0) {
            self->oks++;
            self->ok_seq = seq;
        }
        else if (strcmp (op, "reset") == 0) {
            self->resets++;
            self->reset_seq = seq;
        }
        self->snapshots += strcmp (op, "snapshot") == 0;
        snprintf (self->code, sizeof self->code, "%s", code ? code : "");
        snprintf (self->cursor, sizeof self->cursor, "%s", cursor ? cursor : "");
        json_decref (said);
    }
}

static plain_t json_at (unsigned hub)
{
    return (plain_t){.wire = tide_loop_open (loop, hub, TIDE_CLIENT_JSON)};
}

static void json_sub (plain_t *self, const char *cursor, const char *more)
{
    int oks = self->oks;
    tide_loop_say (self->wire, "{\"op\":\"sub\",\"id\":1,\"topic\":\"lobby\",\"cursor\":\"%s\"%s}",
                   cursor, more);
    json_listen (self);
    assert_int_equal (self->oks, oks + 1);
}

static plain_t json_reader (unsigned hub, const char *cursor, const char *more)
{
    plain_t self = json_at (hub);
    json_sub (&self, cursor, more);
    return self;
}

static void json_ack (plain_t *self, const char *cursor, uint64_t seq)
{
    tide_loop_say (self->wire, "{\"op\":\"ack\",\"cursor\":\"%s\",\"seq\":%llu}", cursor,
                   (unsigned long long) seq);
    json_listen (self);
}

static void json_refused (plain_t *self, const char *what, const char *code)
{
    tide_loop_say (self->wire, "%s", what);
    self->code[0] = 0;
    json_listen (self);
    assert_string_equal (self->code, code);
}

static void publish_numbers (int from, int to)
{
    for (int number = from; number <= to; number++)
        tide_loop_publish (loop, "lobby", number);
}

static void assert_run (plain_t *self, int from, int to)
{
    json_listen (self);
    assert_int_equal (self->count, to - from + 1);
    for (int at = 0; at < self->count; at++)
        assert_int_equal (self->numbers[at], from + at);
}

/*  -- coming back ----------------------------------------------------------------------------- */

static void who_comes_back_gets_what_was_not_acknowledged (void **state)
{
    (void) state;
    publish_numbers (-5, 0);
    plain_t one = json_reader (THIRD, "inbox", "");
    publish_numbers (1, 10);
    assert_run (&one, 1, 10);
    json_ack (&one, "inbox", one.seqs[5]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[5]);
    tide_loop_cut (one.wire);
    publish_numbers (11, 20);
    plain_t two = json_reader (OTHER, "inbox", "");
    assert_run (&two, 7, 20);
    assert_true (two.ok_seq >= two.seqs[13]);
    publish_numbers (21, 25);
    assert_run (&two, 7, 25);
    assert_int_equal (two.resets, 0);
}

/*  `since` is for a cursor that is new. */
static void a_new_one_begins_where_it_is_told (void **state)
{
    (void) state;
    publish_numbers (1, 5);
    plain_t one = json_reader (THIRD, "from-start", ",\"since\":\"start\"");
    assert_run (&one, 1, 5);
    tide_loop_cut (one.wire);
    plain_t live = json_reader (THIRD, "from-now", ",\"since\":\"live\"");
    tide_loop_cut (live.wire);
    publish_numbers (6, 8);
    live = json_reader (OTHER, "from-now", ",\"since\":\"start\"");
    assert_run (&live, 6, 8);
    one = json_reader (OTHER, "from-start", ",\"since\":\"live\"");
    assert_run (&one, 1, 8);
}

static void what_was_gathered_is_written_when_the_client_goes (void **state)
{
    (void) state;
    enum { CUT, UNSUBSCRIBES, LEAVES_BY_ANOTHER, HOW };
    for (int how = 0; how < HOW; how++) {
        char name[16];
        snprintf (name, sizeof name, "inbox%d", how);
        plain_t one = json_reader (HOLDER, name, "");
        publish_numbers (1, 3);
        assert_run (&one, 1, 3);
        json_ack (&one, name, one.seqs[1]);
        assert_true (standing (name).seq < one.seqs[1]);
        if (how == CUT)
            tide_loop_cut (one.wire);
        else if (how == UNSUBSCRIBES)
            tide_loop_say (one.wire, "{\"op\":\"unsub\",\"topic\":\"lobby\"}");
        else
            json_sub (&one, "another", "");
        assert_int_equal (standing (name).seq, one.seqs[1]);
        tide_loop_pass (loop, 2000);
        assert_int_equal (standing (name).seq, one.seqs[1]);
    }
}

/*  While one write is under way the next one waits; both are written before the lane says BYE. */
static void what_was_gathered_is_written_before_the_lane_stops (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 3);
    assert_run (&one, 1, 3);
    json_ack (&one, "inbox", one.seqs[0]);
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_pass (loop, 1250);
    assert_int_equal (loop->held_count, 1);
    json_ack (&one, "inbox", one.seqs[2]);
    hold (TIDE_MESSAGE_BYE);
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
    tide_loop_run (loop);
    assert_null (one.wire->connection);
    assert_true (tide_hub_owes (loop->hubs[HOLDER]));
    assert_int_equal (loop->held_count, 1); /* the first write, and no BYE */
    assert_true (tide_loop_let_go (loop));
    assert_true (tide_loop_let_go (loop));
    assert_false (tide_hub_owes (loop->hubs[HOLDER]));
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    assert_int_equal (standing ("inbox").seq, one.seqs[2]);
}

static void what_was_not_written_comes_again (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    json_ack (&one, "inbox", one.seqs[4]);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 4000);
    plain_t two = json_reader (HOLDER, "inbox", "");
    assert_run (&two, 3, 6);
}

static void who_subscribes_again_begins_behind_what_it_has_acknowledged (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    json_ack (&one, "inbox", one.seqs[3]); /* gathered */
    one.count = 0;
    json_sub (&one, "inbox", "");
    assert_run (&one, 5, 6);
    publish_numbers (7, 8);
    assert_run (&one, 5, 8);
    json_ack (&one, "inbox", one.seqs[3]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[3]);
}

/*  While it is brought up again, what it was given before can still be acknowledged. */
static void what_was_given_before_it_subscribed_again_can_be_acknowledged (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 6);
    assert_run (&one, 1, 6);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    hold (TIDE_MESSAGE_READ);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    assert_int_equal (loop->held_count, 1);
    uint64_t last = one.seqs[5];
    json_ack (&one, "inbox", last);
    assert_string_equal (one.code, "");
    tide_loop_let_all_go (loop);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, last);
}

/*  Without the name it stays as it is, live: its cursor is its still. */
static void who_subscribes_again_without_it_keeps_it_unless_it_reads_from_elsewhere (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 4);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\"}");
    assert_run (&one, 1, 4);
    json_ack (&one, "inbox", one.seqs[0]);
    assert_string_equal (one.code, "");
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"since\":\"start\"}");
    json_listen (&one);
    assert_int_equal (standing ("inbox").seq, one.seqs[0]);
    json_ack (&one, "inbox", one.seqs[1]);
    assert_string_equal (one.code, "not_found");
}

/*  -- of two ---------------------------------------------------------------------------------- */

static void the_later_reader_has_it_and_the_earlier_one_is_told (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 4);
    assert_run (&one, 1, 4);
    plain_t two = json_reader (OTHER, "inbox", "");
    assert_run (&two, 1, 4);
    json_ack (&one, "inbox", one.seqs[3]);
    tide_loop_pass (loop, 1250);
    json_listen (&one);
    assert_string_equal (one.code, "conflict");
    assert_string_equal (one.cursor, "inbox");
    assert_true (standing ("inbox").seq < one.seqs[0]);
    one.code[0] = 0;
    json_ack (&one, "inbox", one.seqs[3]);
    assert_string_equal (one.code, "conflict");
    /*  It goes on reading; the other acknowledges. */
    publish_numbers (5, 6);
    assert_run (&one, 1, 6);
    json_ack (&two, "inbox", two.seqs[2]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, two.seqs[2]);
    /*  Nor does its end move anything. */
    tide_loop_cut (one.wire);
    assert_int_equal (standing ("inbox").seq, two.seqs[2]);
    /*  And it may have it back. */
    one = json_reader (HOLDER, "inbox", "");
    assert_run (&one, 4, 6);
}

static void what_was_removed_is_told (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 2);
    assert_run (&one, 1, 2);
    remove_cursor ("inbox");
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    json_listen (&one);
    assert_string_equal (one.code, "not_found");
    assert_int_equal (standing ("inbox").stands, 0);
    json_sub (&one, "inbox", "");
    assert_true (standing ("inbox").stands > 0);
}

/*  -- gaps are said --------------------------------------------------------------------------- */

static void set_key (int number)
{
    char body[128];
    snprintf (body, sizeof body,
              "{\"topic\":\"lobby\",\"event\":\"set\",\"key\":\"k\",\"data\":%d}", number);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
}

static void g5_what_was_trimmed_before_it_was_read_is_said (void **state)
{
    (void) state;
    loop = tide_loop_new_keeping (50);
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 3);
    assert_run (&one, 1, 3);
    json_ack (&one, "inbox", one.seqs[0]);
    tide_loop_cut (one.wire);
    set_key (7);
    publish_numbers (4, 1000);
    for (int round = 0; round < 2; round++) {
        /*  Until the snapshot is acknowledged, whoever comes back gets it again. */
        plain_t two = json_reader (OTHER, "inbox", "");
        assert_int_equal (two.resets, 1);
        json_ack (&two, "inbox", two.reset_seq - 1);
        tide_loop_pass (loop, 1250);
        assert_int_equal (standing ("inbox").seq, one.seqs[0]);
        if (round == 1)
            json_ack (&two, "inbox", two.reset_seq);
        tide_loop_cut (two.wire);
    }
    publish_numbers (1001, 1003);
    plain_t three = json_reader (HOLDER, "inbox", "");
    assert_int_equal (three.resets, 0);
    assert_run (&three, 1001, 1003);
    tide_loop_destroy (&loop);
}

static void what_begins_with_a_snapshot_begins_with_it_again (void **state)
{
    (void) state;
    set_key (7);
    plain_t one = json_reader (HOLDER, "inbox", ",\"since\":\"snapshot\"");
    assert_int_equal (one.snapshots, 1);
    publish_numbers (1, 2);
    tide_loop_cut (one.wire);
    one = json_reader (OTHER, "inbox", "");
    assert_int_equal (one.snapshots, 1);
    assert_int_equal (one.count, 0);
    json_ack (&one, "inbox", one.ok_seq);
    tide_loop_cut (one.wire);
    publish_numbers (3, 4);
    one = json_reader (OTHER, "inbox", ",\"since\":\"snapshot\"");
    assert_int_equal (one.snapshots, 0);
    assert_run (&one, 3, 4);
}

static void g8_a_cursor_of_another_log_is_bridged_by_a_snapshot (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    publish_numbers (1, 9);
    assert_run (&one, 1, 9);
    json_ack (&one, "inbox", one.seqs[8]);
    tide_loop_pass (loop, 1250);
    uint64_t before = standing ("inbox").epoch;
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 5000);
    json_listen (&one);
    assert_string_equal (one.code, "epoch_changed");
    assert_int_equal (one.resets, 1);
    assert_int_equal (standing ("inbox").epoch, before);
    /*  What it acknowledges of before counts for nothing. */
    json_ack (&one, "inbox", 1);
    tide_loop_pass (loop, 1250);
    tide_loop_cut (one.wire);
    publish_numbers (1, 2);
    one = json_reader (OTHER, "inbox", "");
    assert_int_equal (one.resets, 1);
    json_ack (&one, "inbox", one.reset_seq);
    tide_loop_cut (one.wire);
    assert_true (standing ("inbox").epoch != before);
    publish_numbers (3, 4);
    one = json_reader (HOLDER, "inbox", "");
    assert_int_equal (one.resets, 0);
    assert_run (&one, 3, 4);
}

/*  -- Socket.IO ------------------------------------------------------------------------------- */

static void stock_ack (stock_t *client, const char *cursor, uint64_t seq)
{
    tide_loop_say (client->wire, "429[\"tide:ack\",{\"cursor\":\"%s\",\"seq\":%llu}]", cursor,
                   (unsigned long long) seq);
    stock_listen (client);
}

/*  Its last acknowledgement was of tide:ack, and good; or had this code. */
static void assert_acked (stock_t *client, const char *code)
{
    assert_memory_equal (client->last_ack, "439", 3);
    if (!strstr (client->last_ack, code ? code : "\"ok\":true"))
        fail_msg ("%s", client->last_ack);
    client->last_ack[0] = 0;
}

/*  The sequences of what was published to the lobby last. */
static uint64_t publish_one (int number)
{
    return tide_loop_publish (loop, "lobby", number);
}

static void start_stock (stock_t *client, unsigned hub, bool polls, const char *cursor)
{
    char more[64];
    *client = (stock_t){.loop = loop, .polls = polls};
    stock_reconnect (client, hub);
    snprintf (more, sizeof more, ",\"cursor\":\"%s\"", cursor);
    stock_subscribe (client, "lobby", more);
}

static void an_acknowledgement_that_was_answered_is_durable (void **state)
{
    (void) state;
    for (int polls = 0; polls < 2; polls++) {
        static stock_t client;
        char name[16];
        snprintf (name, sizeof name, "inbox%d", polls);
        start_stock (&client, HOLDER, polls, name);
        uint64_t seqs[4];
        for (int at = 0; at < 4; at++)
            seqs[at] = publish_one (at);
        stock_assert_numbers (&client, 0, 3);
        stock_ack (&client, name, seqs[2]);
        assert_acked (&client, NULL);
        tide_loop_kill_lane (loop, HOLDER);
        tide_loop_kill_broker (loop, false);
        tide_loop_pass (loop, 4000);
        assert_int_equal (standing (name).seq, seqs[2]);
        start_stock (&client, OTHER, polls, name);
        stock_assert_numbers (&client, 3, 3);
    }
}

static void many_that_wait_for_it_are_written_together (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    enum { EVENTS = 60 };
    uint64_t seqs[EVENTS];
    for (int at = 0; at < EVENTS; at++)
        seqs[at] = publish_one (at);
    stock_listen (&client);
    hold (TIDE_MESSAGE_PUBLISH);
    for (int at = 0; at < EVENTS; at++)
        stock_ack (&client, "inbox", seqs[at]);
    assert_int_equal (loop->held_count, 1);
    int before = client.acks;
    tide_loop_let_go (loop);
    stock_listen (&client);
    assert_int_equal (client.acks, before + 1);
    assert_int_equal (loop->held_count, 1);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    assert_int_equal (client.acks, before + EVENTS);
    assert_int_equal (standing ("inbox").seq, seqs[EVENTS - 1]);
}

/*  Of one that asks for more nothing is read until the broker has answered. */
static void more_than_may_wait_is_not_read (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t seq = 0;
    for (int at = 0; at < 100; at++)
        seq = publish_one (at);
    stock_listen (&client);
    hold (TIDE_MESSAGE_PUBLISH);
    for (int at = 0; at < 100; at++)
        stock_ack (&client, "inbox", seq - 99 + (uint64_t) at);
    assert_true (client.wire->is_paused);
    tide_loop_let_all_go (loop);
    stock_listen (&client);
    assert_false (client.wire->is_paused);
    assert_int_equal (standing ("inbox").seq, seq);
}

static void one_that_has_lost_it_is_told_by_an_event (void **state)
{
    (void) state;
    static stock_t one, two;
    start_stock (&one, HOLDER, false, "inbox");
    uint64_t seq = publish_one (1);
    stock_listen (&one);
    start_stock (&two, OTHER, false, "inbox");
    tide_loop_say (one.wire, "42[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seq);
    tide_loop_pass (loop, 1250);
    assert_hears (one.wire, "42[\"tide:cursor\",{\"code\":\"conflict\"");
    stock_ack (&one, "inbox", seq);
    assert_acked (&one, "conflict");
    stock_ack (&two, "inbox", seq);
    assert_acked (&two, NULL);
}

static void while_the_broker_is_away_whoever_waits_is_told_and_it_is_written_later (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t seq = publish_one (1);
    stock_listen (&client);
    loop->is_cut[HOLDER] = true;
    stock_ack (&client, "inbox", seq);
    client.last_ack[0] = 0;
    stock_pass (&client, 12000);
    assert_acked (&client, "broker_away");
    loop->is_cut[HOLDER] = false;
    stock_pass (&client, 8000);
    assert_int_equal (standing ("inbox").seq, seq);
    stock_ack (&client, "inbox", seq);
    assert_acked (&client, NULL);
}

static void a_resumed_session_reads_on_where_it_was_and_acknowledges_from_there (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    uint64_t first = publish_one (1);
    publish_one (2);
    stock_assert_numbers (&client, 1, 2);
    char owner[64];
    snprintf (owner, sizeof owner, "%s", standing ("inbox").owner);
    assert_string_equal (owner, client.sid);
    tide_loop_kill_lane (loop, HOLDER);
    publish_one (3);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    uint64_t last = publish_one (4);
    stock_assert_numbers (&client, 1, 4);
    assert_true (standing ("inbox").seq < first); /* nothing was acknowledged */
    stock_ack (&client, "inbox", last);
    assert_acked (&client, NULL);
    assert_int_equal (standing ("inbox").seq, last);
    assert_string_equal (standing ("inbox").owner, owner);
    stock_ack (&client, "inbox", last + 100);
    assert_acked (&client, "bad_request");
}

/*  What a record says of its topics stands before what says whose it is, once that was written anew
 *  by a take-over. */
static void a_session_that_is_resumed_again_has_its_cursor_still (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    for (int at = 1; at <= 3; at++) {
        publish_one (2 * at - 1);
        stock_listen (&client);
        tide_loop_cut (client.wire);
        stock_reconnect (&client, at % 2 ? OTHER : HOLDER);
        assert_true (client.is_recovered);
        uint64_t last = publish_one (2 * at);
        stock_assert_numbers (&client, 1, 2 * at);
        stock_ack (&client, "inbox", last);
        assert_acked (&client, NULL);
        assert_int_equal (standing ("inbox").seq, last);
        assert_string_equal (standing ("inbox").owner, client.sid);
    }
}

static void a_resumed_session_takes_nothing_from_who_came_meanwhile (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    publish_one (1);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    plain_t other = json_reader (THIRD, "inbox", "");
    uint64_t seq = publish_one (2);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_ack (&client, "inbox", seq);
    tide_loop_run (loop);
    assert_acked (&client, "conflict");
    json_ack (&other, "inbox", seq);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, seq);
}

/*  A session that left the topic, and comes back, has no cursor any more. */
static void a_resumed_session_that_had_left_it_has_none (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, false, "inbox");
    tide_loop_say (client.wire, "423[\"tide:unsubscribe\",{\"topic\":\"lobby\"}]");
    stock_listen (&client);
    tide_loop_cut (client.wire);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_ack (&client, "inbox", 1);
    assert_acked (&client, "not_found");
}

static void a_session_that_is_handed_over_goes_on_acknowledging (void **state)
{
    (void) state;
    static stock_t client;
    start_stock (&client, HOLDER, true, "inbox");
    uint64_t seqs[3];
    for (int at = 0; at < 3; at++)
        seqs[at] = publish_one (at);
    stock_assert_numbers (&client, 0, 2);
    stock_ack (&client, "inbox", seqs[0]);
    assert_acked (&client, NULL);
    /*  One that is still gathered when it goes. */
    tide_loop_say (client.wire, "42[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seqs[1]);
    client.wire = taken_to (client.wire, OTHER);
    tide_loop_pass (loop, 3000);
    assert_int_equal (standing ("inbox").seq, seqs[1]);
    stock_ack (&client, "inbox", seqs[2]);
    assert_acked (&client, NULL);
    assert_int_equal (standing ("inbox").seq, seqs[2]);
}

/*  … and one that is still being brought up, which goes on there. */
static void a_topic_that_is_brought_up_is_read_by_its_cursor_at_the_other_lane (void **state)
{
    (void) state;
    enum { EVENTS = 30 };
    tide_loop_client_t *client = subscribed ();
    stall (client);
    for (int at = 0; at < EVENTS; at++)
        publish_much ("many", "", 10000);
    tide_loop_say (client, "423[\"tide:subscribe\",{\"topic\":\"many\",\"since\":\"start\","
                           "\"cursor\":\"inbox\"}]");
    tide_loop_client_t *probe = probed_at (client, OTHER);
    tide_loop_say (probe, "5");
    tide_loop_pass (loop, 3000);
    size_t events = count_heard (client, "42[\"n\",\"x");
    uint64_t seq = 0;
    const char *frame;
    while ((frame = tide_loop_hear (probe))) {
        events += strncmp (frame, "42[\"n\",\"x", 9) == 0;
        if (strncmp (frame, "433[{\"ok\":true", 14) == 0)
            seq = strtoull (strstr (frame, "\"seq\":") + 6, NULL, 10);
    }
    assert_int_equal (events, EVENTS);
    assert_true (seq > EVENTS);
    tide_loop_say (probe, "424[\"tide:ack\",{\"cursor\":\"inbox\",\"seq\":%llu}]",
                   (unsigned long long) seq);
    assert_hears (probe, "434[{\"ok\":true");
    assert_int_equal (standing ("inbox").seq, seq);
}

/*  -- what cannot be -------------------------------------------------------------------------- */

static void bad_input_is_refused_by_name (void **state)
{
    (void) state;
    plain_t one = json_reader (HOLDER, "inbox", "");
    uint64_t seq = publish_one (1);
    json_listen (&one);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":7}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":null}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"\"}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"a\\nb\"}", "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"a\\u0000\"}", "bad_request");
    json_refused (&one,
                  "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":"
                  "\"12345678901234567890123456789012345678901234567890123456789012345\"}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"$x\",\"cursor\":\"c\"}", "forbidden");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"\",\"cursor\":\"c\"}", "bad_topic");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"c\",\"since\":true}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"other\",\"cursor\":\"inbox\"}", "conflict");
    json_refused (&one, "{\"op\":\"ack\"}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":1,\"seq\":1}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\"}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":-1}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1.5}", "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1,\"epoch\":1}",
                  "bad_request");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":\"0000000000002222:1\"}",
                  "epoch_changed");
    json_refused (&one, "{\"op\":\"ack\",\"cursor\":\"none\",\"seq\":1}", "not_found");
    char far[80];
    snprintf (far, sizeof far, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":%llu}",
              (unsigned long long) seq + 1000);
    json_refused (&one, far, "bad_request");
    plain_t two = json_at (OTHER);
    json_refused (&two, "{\"op\":\"sub\",\"topic\":\"other\",\"cursor\":\"inbox\"}", "conflict");
    json_refused (&two, "{\"op\":\"ack\",\"cursor\":\"inbox\",\"seq\":1}", "not_found");
    json_ack (&one, "inbox", seq);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, seq);
    tide_loop_stream (loop, HOLDER, "topic=lobby&cursor=inbox", "");
    assert_int_equal (loop->http_status, 400);
}

static void a_session_has_so_many_and_no_more (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    for (int at = 0; at < TIDE_SESSION_CURSORS_MAX; at++)
        tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"t%d\",\"cursor\":\"c%d\"}", at, at);
    json_listen (&one);
    assert_int_equal (one.oks, TIDE_SESSION_CURSORS_MAX);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"more\",\"cursor\":\"more\"}", "too_many");
    tide_loop_say (one.wire, "{\"op\":\"unsub\",\"topic\":\"t0\"}");
    json_listen (&one);
    json_sub (&one, "more", "");
}

/*  What else a subscription says holds here as well. */
static void whoever_reads_by_a_cursor_may_be_present (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"c\",\"present\":7}",
                  "bad_request");
    assert_int_equal (standing ("c").stands, 0);
    json_sub (&one, "c", ",\"present\":{\"name\":\"Ada\"}");
    tide_loop_http (loop, OTHER, "GET", "/api/v1/presence", "topic=lobby", "");
    assert_int_equal (loop->http_status, 200);
    assert_non_null (strstr (loop->http_body, "{\"name\":\"Ada\"}"));
}

static void two_subscriptions_of_a_topic_at_once_are_a_conflict (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    hold (TIDE_MESSAGE_SNAPSHOT);
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"other\"}", "conflict");
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\"}", "conflict");
    tide_loop_let_all_go (loop);
    json_listen (&one);
    assert_int_equal (one.oks, 1);
    publish_numbers (1, 2);
    assert_run (&one, 1, 2);
}

static void a_topic_that_is_left_while_its_cursor_is_taken_is_left (void **state)
{
    (void) state;
    for (int how = 0; how < 4; how++) {
        plain_t one = json_at (HOLDER);
        hold (how & 1 ? TIDE_MESSAGE_PUBLISH : TIDE_MESSAGE_SNAPSHOT);
        tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
        assert_int_equal (loop->held_count, 1);
        if (how & 2)
            tide_loop_cut (one.wire);
        else {
            json_refused (&one, "{\"op\":\"unsub\",\"topic\":\"lobby\"}", "");
            assert_int_equal (one.oks, 1);
        }
        tide_loop_let_all_go (loop);
        memset (loop->held_kinds, 0, sizeof loop->held_kinds);
        publish_numbers (1, 2);
        json_listen (&one);
        assert_int_equal (one.count, 0);
    }
}

static void who_may_not_read_has_no_cursor (void **state)
{
    (void) state;
    loop->hub_config.may_read = false;
    tide_loop_kill_lane (loop, HOLDER);
    plain_t one = json_at (HOLDER);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"a\",\"cursor\":\"c\"}", "unauthorized");
    assert_int_equal (standing ("c").stands, 0);
}

/*  What it was given before is acknowledged as if it had not asked. */
static void who_subscribes_again_in_vain_goes_on_acknowledging (void **state)
{
    (void) state;
    set_key (7);
    plain_t one = json_reader (HOLDER, "inbox", ",\"since\":\"snapshot\"");
    publish_numbers (1, 2);
    json_listen (&one);
    hold (TIDE_MESSAGE_PUBLISH);
    json_refused (&one, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}", "");
    tide_loop_pass (loop, 11000);
    json_listen (&one);
    assert_string_equal (one.code, "timeout");
    tide_loop_let_all_go (loop);
    json_ack (&one, "inbox", one.seqs[1]);
    tide_loop_pass (loop, 1250);
    assert_int_equal (standing ("inbox").seq, one.seqs[1]);
}

static void while_the_broker_is_away_a_subscription_is_refused_in_time (void **state)
{
    (void) state;
    plain_t one = json_at (HOLDER);
    tide_loop_say (one.wire, "{\"op\":\"ping\"}");
    json_listen (&one);
    loop->is_cut[HOLDER] = true;
    tide_loop_say (one.wire, "{\"op\":\"sub\",\"topic\":\"lobby\",\"cursor\":\"inbox\"}");
    tide_loop_pass (loop, 12000);
    json_listen (&one);
    assert_string_equal (one.code, "broker_away");
    loop->is_cut[HOLDER] = false;
    tide_loop_pass (loop, 8000);
    json_sub (&one, "inbox", "");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (who_comes_back_gets_what_was_not_acknowledged),
        TEST (a_new_one_begins_where_it_is_told),
        TEST (what_was_gathered_is_written_when_the_client_goes),
        TEST (what_was_gathered_is_written_before_the_lane_stops),
        TEST (what_was_not_written_comes_again),
        TEST (who_subscribes_again_begins_behind_what_it_has_acknowledged),
        TEST (what_was_given_before_it_subscribed_again_can_be_acknowledged),
        TEST (who_subscribes_again_without_it_keeps_it_unless_it_reads_from_elsewhere),
        TEST (the_later_reader_has_it_and_the_earlier_one_is_told),
        TEST (what_was_removed_is_told),
        cmocka_unit_test (g5_what_was_trimmed_before_it_was_read_is_said),
        TEST (what_begins_with_a_snapshot_begins_with_it_again),
        TEST (g8_a_cursor_of_another_log_is_bridged_by_a_snapshot),
        TEST (an_acknowledgement_that_was_answered_is_durable),
        TEST (many_that_wait_for_it_are_written_together),
        TEST (more_than_may_wait_is_not_read),
        TEST (one_that_has_lost_it_is_told_by_an_event),
        TEST (while_the_broker_is_away_whoever_waits_is_told_and_it_is_written_later),
        TEST (a_resumed_session_reads_on_where_it_was_and_acknowledges_from_there),
        TEST (a_session_that_is_resumed_again_has_its_cursor_still),
        TEST (a_resumed_session_takes_nothing_from_who_came_meanwhile),
        TEST (a_resumed_session_that_had_left_it_has_none),
        TEST (a_session_that_is_handed_over_goes_on_acknowledging),
        TEST (a_topic_that_is_brought_up_is_read_by_its_cursor_at_the_other_lane),
        TEST (bad_input_is_refused_by_name),
        TEST (a_session_has_so_many_and_no_more),
        TEST (whoever_reads_by_a_cursor_may_be_present),
        TEST (two_subscriptions_of_a_topic_at_once_are_a_conflict),
        TEST (a_topic_that_is_left_while_its_cursor_is_taken_is_left),
        TEST (who_may_not_read_has_no_cursor),
        TEST (who_subscribes_again_in_vain_goes_on_acknowledging),
        TEST (while_the_broker_is_away_a_subscription_is_refused_in_time),
    };
    return cmocka_run_group_tests_name ("topics that are read by named cursors", tests, NULL, NULL);
}
