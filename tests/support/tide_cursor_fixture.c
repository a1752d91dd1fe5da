/*  tide_cursor_fixture.c - what stands for a named cursor, and clients that read by one.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursor_fixture.h"

#include "tide_cursor.h"

/*  -- what stands ----------------------------------------------------------------------------- */

static void ask_standing (const char *topic)
{
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO}, ask = {.kind = TIDE_MESSAGE_SNAPSHOT};
    hello.hello.name = tide_bytes ("test");
    tide_loop_ask_broker (loop, &hello);
    ask.snapshot.request = 1;
    ask.snapshot.topic = tide_bytes (topic);
    tide_loop_ask_broker (loop, &ask);
}

standing_t standing (const char *name)
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

void remove_cursor (const char *name)
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

void json_listen (plain_t *self)
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

plain_t json_at (unsigned hub)
{
    return (plain_t){.wire = tide_loop_open (loop, hub, TIDE_CLIENT_JSON)};
}

void json_sub (plain_t *self, const char *cursor, const char *more)
{
    int oks = self->oks;
    tide_loop_say (self->wire, "{\"op\":\"sub\",\"id\":1,\"topic\":\"lobby\",\"cursor\":\"%s\"%s}",
                   cursor, more);
    json_listen (self);
    assert_int_equal (self->oks, oks + 1);
}

plain_t json_reader (unsigned hub, const char *cursor, const char *more)
{
    plain_t self = json_at (hub);
    json_sub (&self, cursor, more);
    return self;
}

void json_ack (plain_t *self, const char *cursor, uint64_t seq)
{
    tide_loop_say (self->wire, "{\"op\":\"ack\",\"cursor\":\"%s\",\"seq\":%llu}", cursor,
                   (unsigned long long) seq);
    json_listen (self);
}

void json_refused (plain_t *self, const char *what, const char *code)
{
    tide_loop_say (self->wire, "%s", what);
    self->code[0] = 0;
    json_listen (self);
    assert_string_equal (self->code, code);
}

void publish_numbers (int from, int to)
{
    for (int number = from; number <= to; number++)
        tide_loop_publish (loop, "lobby", number);
}

void assert_run (plain_t *self, int from, int to)
{
    json_listen (self);
    assert_int_equal (self->count, to - from + 1);
    for (int at = 0; at < self->count; at++)
        assert_int_equal (self->numbers[at], from + at);
}

/*  -- a client of Socket.IO ------------------------------------------------------------------- */

void stock_ack (stock_t *client, const char *cursor, uint64_t seq)
{
    tide_loop_say (client->wire, "429[\"tide:ack\",{\"cursor\":\"%s\",\"seq\":%llu}]", cursor,
                   (unsigned long long) seq);
    stock_listen (client);
}

void assert_acked (stock_t *client, const char *code)
{
    assert_memory_equal (client->last_ack, "439", 3);
    if (!strstr (client->last_ack, code ? code : "\"ok\":true"))
        fail_msg ("%s", client->last_ack);
    client->last_ack[0] = 0;
}

uint64_t publish_one (int number)
{
    return tide_loop_publish (loop, "lobby", number);
}

void start_stock (stock_t *client, unsigned hub, bool polls, const char *cursor)
{
    char more[64];
    *client = (stock_t){.loop = loop, .polls = polls};
    stock_reconnect (client, hub);
    snprintf (more, sizeof more, ",\"cursor\":\"%s\"", cursor);
    stock_subscribe (client, "lobby", more);
}
