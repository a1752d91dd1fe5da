/*  test_streams.c - Server-Sent Events: streams that are read on from a position.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tide_alloc.h"

static tide_loop_t *loop;

static int set_up (void **state)
{
    (void) state;
    loop = tide_loop_new (NULL);
    return 0;
}

static int tear_down (void **state)
{
    (void) state;
    tide_loop_destroy (&loop);
    return 0;
}

/*  -- a browser, as far as it remembers ------------------------------------------------------- */

typedef struct {
    tide_loop_client_t *wire;
    size_t at;          /* so much of what it got was looked at */
    char id[64];        /* the last event id: what it comes back with */
    int numbers[4096];  /* the data of each event … */
    char ids[4096][64]; /* … and the id behind it */
    char topics[4096][32];
    int count;
    int resets, snapshots;
    json_t *reset, *snapshot; /* the last of them */
    char reset_topics[64];    /* of all of them, each behind a space */
    int comments, retry_ms;
} browser_t;

static void take_data (browser_t *self, const char *event, const char *text)
{
    json_t *json = json_loads (text, 0, NULL);
    assert_non_null (json);
    if (!*event) {
        assert_true (self->count < 4096);
        self->numbers[self->count] = (int) json_integer_value (json_object_get (json, "data"));
        snprintf (self->topics[self->count], sizeof self->topics[0], "%s",
                  json_string_value (json_object_get (json, "topic")));
        snprintf (self->ids[self->count++], sizeof self->ids[0], "%s", self->id);
        json_decref (json);
        return;
    }
    bool is_reset = strcmp (event, "reset") == 0;
    if (!is_reset)
        assert_string_equal (event, "snapshot");
    json_t **last = is_reset ? &self->reset : &self->snapshot;
    json_decref (*last);
    *last = json;
    self->resets += is_reset;
    self->snapshots += !is_reset;
    if (is_reset)
        snprintf (self->reset_topics + strlen (self->reset_topics), 16, " %s",
                  json_string_value (json_object_get (json, "topic")));
}

/*  One block: as the standard says, an id counts without data, too. */
static void take_block (browser_t *self, char *block)
{
    const char *event = "", *data = NULL;
    for (char *line = strtok (block, "\n"); line; line = strtok (NULL, "\n")) {
        if (line[0] == ':')
            self->comments++;
        else if (strncmp (line, "retry: ", 7) == 0)
            self->retry_ms = atoi (line + 7);
        else if (strncmp (line, "id: ", 4) == 0)
            snprintf (self->id, sizeof self->id, "%s", line + 4);
        else if (strncmp (line, "event: ", 7) == 0)
            event = line + 7;
        else if (strncmp (line, "data: ", 6) == 0 && !data)
            data = line + 6;
        else
            fail_msg ("what is this line: %s", line);
    }
    if (data)
        take_data (self, event, data);
}

static void listen_to (browser_t *self)
{
    const tide_buffer_t *text = &self->wire->text;
    while (self->at < text->size) {
        const char *begin = (const char *) text->data + self->at;
        const char *end = memmem (begin, text->size - self->at, "\n\n", 2);
        assert_non_null (end); /* whole blocks only */
        char *block = tide_copy ((const uint8_t *) begin, (size_t) (end - begin));
        self->at += (size_t) (end - begin) + 2;
        take_block (self, block);
        free (block);
    }
}

static void open_at (browser_t *self, unsigned hub, const char *query)
{
    self->wire = tide_loop_stream (loop, hub, query, self->id);
    assert_non_null (self->wire);
    self->at = 0;
    listen_to (self);
}

static browser_t *browse (const char *query)
{
    browser_t *self = tide_alloc (sizeof *self);
    open_at (self, 1, query);
    assert_int_equal (self->retry_ms, 1000);
    return self;
}

static void leave (browser_t **self_p)
{
    browser_t *self = *self_p;
    *self_p = NULL;
    json_decref (self->reset);
    json_decref (self->snapshot);
    if (self->wire->connection)
        tide_loop_cut (self->wire);
    free (self);
}

static void publish (const char *topic, int from, int to)
{
    for (; from <= to; from++)
        tide_loop_publish (loop, topic, from);
}

static void assert_numbers (browser_t *self, int from, int to)
{
    listen_to (self);
    assert_int_equal (self->count, to - from + 1);
    for (int at = 0; at < self->count; at++)
        assert_int_equal (self->numbers[at], from + at);
}

static uint64_t position_of (const char *id)
{
    const char *colon = strchr (id, ':');
    assert_non_null (colon);
    return strtoull (colon + 1, NULL, 10);
}

static void hold (tide_message_kind_t kind)
{
    for (unsigned hub = 1; hub < LOOP_HUBS; hub++)
        loop->held_kinds[hub] |= 1ull << kind;
}

/*  A key of a topic stands at a number. */
static void set_key (const char *topic, const char *key, int number)
{
    char body[200];
    snprintf (body, sizeof body, "{\"topic\":\"%s\",\"key\":\"%s\",\"event\":\"n\",\"data\":%d}",
              topic, key, number);
    tide_loop_http (loop, 0, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
}

static int standing_in (const json_t *object, const char *key)
{
    const json_t *event = json_object_get (json_object_get (object, "state"), key);
    return (int) json_integer_value (json_object_get (event, "data"));
}

/*  -- where a stream begins ------------------------------------------------------------------- */

static void a_live_stream_says_where_it_begins_and_gives_what_comes (void **state)
{
    (void) state;
    static const char *const queries[] = {"topic=lobby", "topic=lobby&since=live"};
    for (size_t at = 0; at < 2; at++) {
        publish ("lobby", 1, 3);
        browser_t *browser = browse (queries[at]);
        assert_int_equal (browser->count, 0);
        assert_true (browser->id[0] != 0);
        publish ("lobby", 4, 40);
        assert_numbers (browser, 4, 40);
        leave (&browser);
    }
}

static void g5_a_live_stream_that_is_cut_before_its_first_event_misses_nothing (void **state)
{
    (void) state;
    publish ("lobby", 1, 3);
    browser_t *browser = browse ("topic=lobby");
    tide_loop_cut (browser->wire);
    publish ("lobby", 4, 6);
    open_at (browser, 2, "topic=lobby");
    publish ("lobby", 7, 8);
    assert_numbers (browser, 4, 8);
    leave (&browser);
}

static void a_stream_from_the_start_gives_the_whole_history (void **state)
{
    (void) state;
    publish ("lobby", 1, 1500); /* more than a page, more than the tape */
    browser_t *browser = browse ("topic=lobby&since=start");
    publish ("lobby", 1501, 1510);
    assert_numbers (browser, 1, 1510);
    leave (&browser);
}

static void a_stream_begins_behind_the_position_that_is_asked_for (void **state)
{
    (void) state;
    publish ("lobby", 1, 10);
    uint64_t seq = tide_loop_publish (loop, "lobby", 11);
    publish ("lobby", 12, 20);
    static const char *const queries[] = {
        "topic=lobby&since=%d", "topic=lobby&since=0000000000001111:%d",
        "since=0000000000001111%%3A%d&topic=lobby", "topic=lobby&since=%d&epoch=0000000000001111"};
    for (size_t at = 0; at < sizeof queries / sizeof queries[0]; at++) {
        char query[100];
        snprintf (query, sizeof query, queries[at], (int) seq);
        browser_t *browser = browse (query);
        assert_numbers (browser, 12, 20);
        leave (&browser);
    }
    /*  A browser that comes back knows better than its address. */
    browser_t *browser = tide_alloc (sizeof *browser);
    snprintf (browser->id, sizeof browser->id, "0000000000001111:%llu", (unsigned long long) seq);
    open_at (browser, 0, "topic=lobby&since=start");
    assert_numbers (browser, 12, 20);
    leave (&browser);
}

static void g1_several_topics_come_in_one_order_and_each_event_once (void **state)
{
    (void) state;
    static const char *const topics[] = {"a/b", "lobby", "a", "a/b/c", "other"};
    for (int number = 1; number <= 50; number++)
        publish (topics[number % 5], number, number);
    browser_t *past = browse ("topic=lobby&topic=a/%23&topic=a/b&topic=other&topic=a&since=start");
    browser_t *live = browse ("topic=lobby&topic=a/%23&topic=a/b&topic=other&topic=a");
    for (int number = 51; number <= 100; number++)
        publish (topics[number % 5], number, number);
    assert_numbers (past, 1, 100);
    assert_numbers (live, 51, 100);
    for (int at = 0; at < past->count; at++)
        assert_string_equal (past->topics[at], topics[past->numbers[at] % 5]);
    for (int at = 1; at < past->count; at++)
        assert_true (position_of (past->ids[at]) > position_of (past->ids[at - 1]));
    leave (&past);
    leave (&live);
}

static void a_topic_that_is_named_twice_is_given_once (void **state)
{
    (void) state;
    set_key ("lobby", "k", 7);
    static const char *const more[] = {"", "&since=start", "&since=snapshot"};
    for (size_t at = 0; at < 3; at++) {
        char query[100];
        snprintf (query, sizeof query, "topic=lobby&topic=lobby%s", more[at]);
        browser_t *browser = browse (query);
        assert_int_equal (browser->snapshots, at == 2);
        browser->count = 0;
        publish ("lobby", 1, 3);
        assert_numbers (browser, 1, 3);
        leave (&browser);
    }
}

static void g5_resuming_at_any_id_gives_exactly_the_rest (void **state)
{
    (void) state;
    browser_t *whole = browse ("topic=lobby&topic=a/%23&since=start");
    for (int number = 1; number <= 40; number++)
        publish (number % 3 ? "lobby" : "a/b", number, number);
    assert_numbers (whole, 1, 40);
    for (int at = 0; at < whole->count; at++) {
        browser_t *browser = tide_alloc (sizeof *browser);
        memcpy (browser->id, whole->ids[at], sizeof browser->id);
        open_at (browser, (unsigned) at % LOOP_HUBS, "topic=lobby&topic=a/%23&since=start");
        assert_numbers (browser, whole->numbers[at] + 1, 40);
        assert_int_equal (browser->resets, 0);
        leave (&browser);
    }
    leave (&whole);
}

static void what_is_not_the_streams_does_not_hold_its_position_back (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 1);
    publish ("other", 1, 50);
    uint64_t head = tide_loop_publish (loop, "other", 51);
    tide_loop_pass (loop, 15000);
    listen_to (browser);
    assert_int_equal (position_of (browser->id), head);
    leave (&browser);
}

/*  -- snapshots ------------------------------------------------------------------------------- */

static void a_snapshot_comes_first_and_then_what_is_behind_it (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    set_key ("desk", "fader", 2);
    set_key ("desk", "meter", 3);
    browser_t *browser = browse ("topic=desk&since=snapshot");
    assert_int_equal (browser->snapshots, 1);
    assert_int_equal (browser->count, 0);
    assert_int_equal (standing_in (browser->snapshot, "fader"), 2);
    assert_int_equal (standing_in (browser->snapshot, "meter"), 3);
    assert_string_equal (json_string_value (json_object_get (browser->snapshot, "topic")), "desk");
    assert_string_equal (json_string_value (json_object_get (browser->snapshot, "epoch")),
                         "0000000000001111");
    assert_int_equal (json_integer_value (json_object_get (browser->snapshot, "seq")),
                      position_of (browser->id));
    set_key ("desk", "fader", 4);
    assert_numbers (browser, 4, 4);
    /*  Who comes back has the snapshot. */
    tide_loop_cut (browser->wire);
    set_key ("desk", "fader", 5);
    open_at (browser, 2, "topic=desk&since=snapshot");
    assert_numbers (browser, 4, 5);
    assert_int_equal (browser->snapshots, 1);
    leave (&browser);
}

/*  A browser is cut while its snapshots come, and comes back with what id it has: each topic's
 *  state, and all that is behind it, is told in the end. */
static void g5_a_stream_that_is_cut_amid_its_snapshots_is_told_all_of_them (void **state)
{
    (void) state;
    for (unsigned steps = 0; steps < 5; steps++) {
        set_key ("desk", "fader", 1);
        set_key ("rack", "meter", 2);
        hold (TIDE_MESSAGE_SNAPSHOT);
        browser_t *browser = browse ("topic=desk&topic=rack&since=snapshot");
        for (unsigned step = 0; step < steps; step++) {
            tide_loop_let_go (loop);
            set_key ("desk", "fader", 10 + (int) step);
        }
        listen_to (browser);
        tide_loop_cut (browser->wire);
        tide_loop_let_all_go (loop);
        set_key ("desk", "fader", 20);
        set_key ("rack", "meter", 21);
        int first = browser->snapshots;
        open_at (browser, 2, "topic=desk&topic=rack&since=snapshot");
        set_key ("rack", "meter", 22);
        listen_to (browser);
        if (first < 2) /* it had no id to come back with */
            assert_int_equal (browser->snapshots, first + 2);
        else
            assert_int_equal (browser->snapshots, 2);
        assert_int_equal (browser->numbers[browser->count - 1], 22);
        leave (&browser);
    }
}

/*  Nor by a sign of life, which falls into the time between two snapshots. */
static void g5_a_sign_of_life_amid_snapshots_has_no_position (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    set_key ("rack", "meter", 2);
    loop->is_cut[1] = true;
    tide_loop_kill_lane (loop, 1);
    browser_t *browser = browse ("topic=desk&topic=rack&since=snapshot");
    tide_loop_pass (loop, 12000);
    hold (TIDE_MESSAGE_SNAPSHOT);
    loop->is_cut[1] = false;
    tide_loop_pass (loop, 1000);
    assert_int_equal (loop->held_count, 2);
    tide_loop_let_go (loop);
    tide_loop_pass (loop, 2250);
    listen_to (browser);
    assert_int_equal (browser->comments, 1);
    assert_int_equal (browser->snapshots, 1);
    assert_string_equal (browser->id, "");
    tide_loop_let_all_go (loop);
    listen_to (browser);
    assert_int_equal (browser->snapshots, 2);
    assert_true (browser->id[0] != 0);
    leave (&browser);
}

/*  It can be told nothing else: it ends, and the browser comes again. */
static void g5_a_stream_ends_if_its_snapshot_cannot_be_had (void **state)
{
    (void) state;
    set_key ("desk", "fader", 1);
    loop->lost_kind = TIDE_MESSAGE_SNAPSHOT;
    browser_t *browser = browse ("topic=desk&since=snapshot");
    tide_loop_pass (loop, 11000);
    assert_null (browser->wire->connection);
    listen_to (browser);
    assert_string_equal (browser->id, "");
    loop->lost_kind = 0;
    open_at (browser, 2, "topic=desk&since=snapshot");
    assert_int_equal (browser->snapshots, 1);
    leave (&browser);
}

/*  -- what is gone ---------------------------------------------------------------------------- */

static const tide_broker_config_t small_history = {.events = "1",
                                                   .volatiles = "2",
                                                   .payload_max = 100000,
                                                   .retain_events = 50,
                                                   .retain_bytes = 1u << 30,
                                                   .retain_ms = 86400000,
                                                   .dedupe_ids = 1000};

static void assert_was_reset (const browser_t *browser, const char *topic, const char *code)
{
    assert_non_null (browser->reset);
    assert_non_null (strstr (browser->reset_topics, topic));
    assert_string_equal (json_string_value (json_object_get (browser->reset, "code")), code);
    assert_non_null (json_string_value (json_object_get (browser->reset, "epoch")));
    assert_true (json_is_object (json_object_get (browser->reset, "state")));
}

/*  Its id is behind the reset: who comes back with it is not told again, and misses nothing. */
static void assert_behind_reset (browser_t *browser, const char *query, const char *topic)
{
    int resets = browser->resets;
    assert_true (position_of (browser->id)
                 >= (uint64_t) json_integer_value (json_object_get (browser->reset, "seq")));
    tide_loop_cut (browser->wire);
    publish (topic, 901, 903);
    browser->count = 0;
    open_at (browser, 2, query);
    publish (topic, 904, 905);
    assert_numbers (browser, 901, 905);
    assert_int_equal (browser->resets, resets);
}

static void g5_a_position_behind_the_history_is_reset_aloud (void **state)
{
    (void) state;
    static const char *const since[] = {"start", "1", "0000000000001111:2"};
    for (size_t at = 0; at < 3; at++) {
        loop = tide_loop_new (&small_history);
        set_key ("lobby", "k", 7);
        publish ("lobby", 1, 200);
        char query[100];
        snprintf (query, sizeof query, "topic=lobby&since=%s", since[at]);
        browser_t *browser = browse (query);
        assert_int_equal (browser->resets, 1);
        assert_was_reset (browser, "lobby", "trimmed");
        assert_int_equal (standing_in (browser->reset, "k"), 7);
        browser->count = 0;
        publish ("lobby", 201, 203);
        assert_numbers (browser, 201, 203);
        assert_behind_reset (browser, "topic=lobby", "lobby");
        leave (&browser);
        tide_loop_destroy (&loop);
    }
}

/*  Right behind the reset, before anything else happens. */
static void an_id_is_behind_the_reset_at_once (void **state)
{
    (void) state;
    loop = tide_loop_new (&small_history);
    publish ("lobby", 1, 200);
    browser_t *browser = browse ("topic=lobby&since=1");
    assert_int_equal (browser->resets, 1);
    assert_behind_reset (browser, "topic=lobby", "lobby");
    leave (&browser);
    tide_loop_destroy (&loop);
}

static void only_the_topic_whose_history_is_gone_is_reset (void **state)
{
    (void) state;
    loop = tide_loop_new (&small_history);
    browser_t *browser = browse ("topic=quiet&topic=lobby");
    publish ("quiet", 1, 1);
    listen_to (browser);
    tide_loop_cut (browser->wire);
    publish ("lobby", 2, 200);
    publish ("quiet", 201, 203);
    browser->count = 0;
    open_at (browser, 2, "topic=quiet&topic=lobby");
    assert_int_equal (browser->resets, 1);
    assert_was_reset (browser, "lobby", "trimmed");
    assert_numbers (browser, 201, 203);
    publish ("lobby", 204, 205);
    assert_numbers (browser, 201, 205);
    leave (&browser);
    tide_loop_destroy (&loop);
}

static void g5_a_stream_that_lags_behind_the_history_is_reset_aloud (void **state)
{
    (void) state;
    tide_broker_config_t config = small_history;
    config.retain_events = 500;
    loop = tide_loop_new (&config);
    browser_t *browser = browse ("topic=lobby");
    browser->wire->is_stalled = true;
    publish ("lobby", 1, 2000);
    tide_loop_unstall (browser->wire);
    tide_loop_pass (loop, 2000);
    listen_to (browser);
    assert_int_equal (browser->resets, 1);
    assert_was_reset (browser, "lobby", "trimmed");
    browser->count = 0;
    publish ("lobby", 2001, 2003);
    assert_numbers (browser, 2001, 2003);
    assert_behind_reset (browser, "topic=lobby", "lobby");
    leave (&browser);
    tide_loop_destroy (&loop);
}

static void g8_a_position_of_another_log_is_reset_by_name (void **state)
{
    (void) state;
    static const char *const ids[] = {"00000000000000aa:3", "0000000000001111:999999"};
    for (size_t at = 0; at < 2; at++) {
        set_key ("lobby", "k", 7);
        browser_t *browser = tide_alloc (sizeof *browser);
        snprintf (browser->id, sizeof browser->id, "%s", ids[at]);
        open_at (browser, 1, "topic=lobby&topic=other");
        assert_int_equal (browser->resets, 2);
        assert_was_reset (browser, " other", "epoch_changed");
        assert_was_reset (browser, " lobby", "epoch_changed");
        assert_int_equal (browser->count, 0);
        publish ("lobby", 1, 3);
        assert_numbers (browser, 1, 3);
        assert_behind_reset (browser, "topic=lobby&topic=other", "other");
        leave (&browser);
    }
}

static void g8_another_log_resets_open_streams (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby&topic=other");
    publish ("lobby", 1, 3);
    assert_numbers (browser, 1, 3);
    tide_loop_kill_broker (loop, true);
    tide_loop_pass (loop, 10000);
    listen_to (browser);
    assert_int_equal (browser->resets, 2);
    assert_was_reset (browser, "other", "epoch_changed");
    browser->count = 0;
    publish ("lobby", 4, 6);
    assert_numbers (browser, 4, 6);
    assert_behind_reset (browser, "topic=lobby&topic=other", "lobby");
    leave (&browser);
}

/*  A browser is cut amid its resets: it has to be told of each topic in the end. */
static void g5_a_stream_that_is_cut_amid_its_resets_is_told_all_of_them (void **state)
{
    (void) state;
    for (int was_open = 0; was_open < 2; was_open++)
        for (unsigned steps = 0; steps < 4; steps++) {
            loop = tide_loop_new (NULL);
            browser_t *browser = tide_alloc (sizeof *browser);
            strcpy (browser->id, was_open ? "" : "00000000000000aa:3");
            if (!was_open)
                hold (TIDE_MESSAGE_SNAPSHOT);
            open_at (browser, 1, "topic=lobby&topic=other");
            if (was_open) {
                publish ("lobby", 1, 3);
                listen_to (browser);
                hold (TIDE_MESSAGE_SNAPSHOT);
                tide_loop_kill_broker (loop, true);
                tide_loop_pass (loop, 4000);
            }
            for (unsigned step = 0; step < steps; step++) {
                tide_loop_let_go (loop);
                publish ("lobby", 10 + (int) step, 10 + (int) step);
            }
            listen_to (browser);
            int resets = browser->resets;
            tide_loop_cut (browser->wire);
            tide_loop_let_all_go (loop);
            open_at (browser, 2, "topic=lobby&topic=other");
            tide_loop_pass (loop, 6000);
            browser->count = 0;
            listen_to (browser);
            publish ("lobby", 20, 22);
            if (resets < 2)
                assert_int_equal (browser->resets, resets + 2);
            else
                assert_int_equal (browser->resets, 2);
            listen_to (browser);
            assert_int_equal (browser->numbers[browser->count - 1], 22);
            assert_int_equal (browser->numbers[browser->count - 3], 20);
            leave (&browser);
            tide_loop_destroy (&loop);
        }
}

/*  -- time ------------------------------------------------------------------------------------ */

static void a_stream_gives_a_sign_of_life_with_its_position (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 2);
    listen_to (browser);
    for (int round = 1; round <= 4; round++) {
        tide_loop_pass (loop, 14750);
        listen_to (browser);
        assert_int_equal (browser->comments, round - 1);
        assert_true (tide_hub_deadline_ms (loop->hubs[1]) <= loop->now_ms + 250);
        tide_loop_pass (loop, 250);
        listen_to (browser);
        assert_int_equal (browser->comments, round);
        uint64_t seq = position_of (browser->id);
        assert_true (seq >= position_of (browser->ids[1]));
        assert_true (seq <= tide_loop_publish (loop, "other", round));
    }
    /*  It does not run ahead. */
    tide_loop_cut (browser->wire);
    publish ("lobby", 3, 4);
    open_at (browser, 2, "topic=lobby");
    assert_numbers (browser, 1, 4);
    leave (&browser);
}

static void a_stream_that_comes_before_the_broker_waits_for_it (void **state)
{
    (void) state;
    static const char *const since[] = {"", "&since=start", "&since=snapshot",
                                        "&since=0000000000001111:1"};
    for (size_t at = 0; at < 4; at++) {
        loop = tide_loop_new (NULL);
        set_key ("lobby", "k", 1);
        publish ("lobby", 2, 2);
        loop->is_cut[1] = true;
        tide_loop_kill_lane (loop, 1);
        char query[100];
        snprintf (query, sizeof query, "topic=lobby%s", since[at]);
        browser_t *browser = browse (query), *leaves = browse (query);
        tide_loop_pass (loop, 30000);
        listen_to (browser);
        assert_string_equal (browser->id, "");
        assert_int_equal (browser->comments, 2);
        assert_non_null (browser->wire->connection);
        leave (&leaves);
        loop->is_cut[1] = false;
        tide_loop_pass (loop, 2000);
        publish ("lobby", 3, 4);
        listen_to (browser);
        assert_int_equal (browser->snapshots, at == 2);
        assert_true (browser->id[0] != 0);
        assert_numbers (browser, at == 1 ? 1 : at == 3 ? 2 : 3, 4);
        leave (&browser);
        tide_loop_destroy (&loop);
    }
}

static void a_stream_goes_on_when_the_broker_is_back (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby");
    publish ("lobby", 1, 3);
    tide_loop_kill_broker (loop, false);
    tide_loop_pass (loop, 10000);
    publish ("lobby", 4, 6);
    assert_numbers (browser, 1, 6);
    assert_int_equal (browser->resets, 0);
    leave (&browser);
}

/*  -- those that take nothing ----------------------------------------------------------------- */

static void g6_a_stream_that_takes_nothing_costs_nothing_and_reads_on (void **state)
{
    (void) state;
    browser_t *browser = browse ("topic=lobby&topic=other");
    tide_loop_client_t *wire = browser->wire;
    publish ("lobby", 1, 1);
    listen_to (browser);
    wire->is_stalled = true;
    size_t before = wire->text.size;
    publish ("lobby", 2, 1500); /* far more than the tape holds */
    for (int at = 0; at < 5; at++) {
        tide_loop_pass (loop, 60000);
        publish ("lobby", 1501 + at, 1501 + at);
    }
    /*  What waited for it is at most one sign of life; all else is asked for by its own writes. */
    tide_bytes_t first = tide_hub_write (loop->hubs[1], loop->now_ms, wire->connection);
    assert_true (first.size < 200 + (64u << 10) + 200);
    tide_buffer_append_bytes (&wire->text, first);
    assert_true (wire->text.size - before < (65u << 10));
    tide_loop_unstall (wire);
    tide_loop_pass (loop, 2000);
    assert_true (browser->comments <= 1);
    assert_numbers (browser, 1, 1505);
    publish ("other", 1506, 1507);
    assert_numbers (browser, 1, 1507);
    leave (&browser);
}

/*  -- what is given --------------------------------------------------------------------------- */

static void what_an_event_holds_is_on_one_line (void **state)
{
    (void) state;
    static const char *const bodies[] = {
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":{\"a\" :\r\n [1,\n2]}}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":\"line\\nline\\r\\n\"}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":{\"$binary\":\"AAEC\"}}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"args\":[]}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"key\":\"k\"}",
        "{\"topic\":\"lobby\",\"event\":\"e\",\"data\":\"v\",\"volatile\":true}"};
    browser_t *browser = browse ("topic=lobby");
    for (size_t at = 0; at < sizeof bodies / sizeof bodies[0]; at++) {
        char before[64];
        memcpy (before, browser->id, sizeof before);
        tide_loop_http (loop, 0, "POST", "/api/v1/publish", "", bodies[at]);
        assert_int_equal (loop->http_status, 200);
        listen_to (browser);
        assert_int_equal (browser->count, at + 1);
        assert_string_equal (browser->topics[at], "lobby");
        /*  A volatile event is at the position that the stream has. */
        assert_int_equal (strcmp (browser->id, before) != 0, at < 5);
    }
    leave (&browser);
}

/*  -- refusals -------------------------------------------------------------------------------- */

static void assert_refused (const char *query, const char *id, unsigned status, const char *code)
{
    char text[40];
    assert_null (tide_loop_stream (loop, 1, query, id));
    assert_int_equal (loop->http_status, status);
    snprintf (text, sizeof text, "\"code\":\"%s\"", code);
    if (!strstr (loop->http_body, text))
        fail_msg ("expected %s, not %s", text, loop->http_body);
}

static void what_cannot_be_streamed_is_refused (void **state)
{
    (void) state;
    assert_refused ("", "", 400, "bad_topic");
    assert_refused ("since=start", "", 400, "bad_topic");
    assert_refused ("topic=", "", 400, "bad_topic");
    assert_refused ("topic=a&topic=", "", 400, "bad_topic");
    assert_refused ("topic=a/%23/b", "", 400, "bad_topic");
    assert_refused ("topic=a%00b", "", 400, "bad_topic");
    assert_refused ("topic=%ff", "", 400, "bad_topic");
    assert_refused ("topic=a%", "", 400, "bad_request");
    assert_refused ("topic=a&since=soon", "", 400, "bad_request");
    assert_refused ("topic=a&since=-1", "", 400, "bad_request");
    assert_refused ("topic=a&since=xyz:1", "", 400, "bad_request");
    assert_refused ("topic=a&since=1&epoch=xyz", "", 400, "bad_request");
    assert_refused ("topic=a&since=start&epoch=xyz", "", 400, "bad_request");
    assert_refused ("topic=a", "soon", 400, "bad_request");
    assert_refused ("topic=$session/a", "", 403, "forbidden");
    assert_refused ("topic=a&topic=$session/%23", "", 403, "forbidden");
    char query[4096] = "topic=t";
    for (int at = 1; at < 100; at++)
        snprintf (query + strlen (query), 32, "&topic=t%d", at);
    tide_loop_client_t *client = tide_loop_stream (loop, 1, query, "");
    assert_non_null (client); /* as many as may be */
    strcat (query, "&topic=more");
    assert_refused (query, "", 429, "too_many");
    memset (query, 'l', 300);
    memcpy (query, "topic=", 6);
    query[300] = 0;
    assert_refused (query, "", 400, "bad_topic");
    tide_hub_stop (loop->hubs[1], loop->now_ms);
    tide_loop_run (loop);
    assert_null (client->connection);
    assert_refused ("topic=a", "", 503, "shutting_down");
}

static void who_may_not_read_may_not_stream (void **state)
{
    (void) state;
    loop->hub_config.may_read = false;
    tide_loop_kill_lane (loop, 1);
    assert_null (tide_loop_stream (loop, 1, "topic=lobby", ""));
    assert_true (loop->http_status == 401 || loop->http_status == 403);
}

/*  -- states in which a lane or a stream can go ----------------------------------------------- */

/*  A sanitizer says whether something is left behind. */
static void a_stream_can_go_in_any_state (void **state)
{
    (void) state;
    enum { WAITING, CHECKING, SNAPSHOT, LIVE, STALLED, PAGE, RESETTING, OTHER_LOG, STATES };
    enum { CLIENT_LEAVES, LANE_DIES, LANE_STOPS, LOG_CHANGES, HOW };
    for (int where = 0; where < STATES; where++)
        for (int how = 0; how < HOW; how++) {
            loop = tide_loop_new (where == RESETTING ? &small_history : NULL);
            const char *query = "topic=lobby&topic=a/%23";
            char id[32] = "";
            set_key ("lobby", "k", 1);
            publish ("lobby", 1, 300);
            if (where == WAITING) {
                loop->is_cut[1] = true;
                tide_loop_kill_lane (loop, 1);
            }
            if (where == CHECKING || where == PAGE)
                hold (TIDE_MESSAGE_READ);
            if (where == SNAPSHOT || where == RESETTING || where == OTHER_LOG)
                hold (TIDE_MESSAGE_SNAPSHOT);
            if (where == SNAPSHOT)
                query = "topic=lobby&topic=a/%23&since=snapshot";
            if (where == CHECKING || where == PAGE || where == RESETTING)
                strcpy (id, "0000000000001111:1");
            if (where == OTHER_LOG)
                strcpy (id, "00000000000000aa:1");
            tide_loop_client_t *client = tide_loop_stream (loop, 1, query, id);
            assert_non_null (client);
            if (where == PAGE)
                tide_loop_let_go (loop);
            if (where == STALLED) {
                client->is_stalled = true;
                publish ("lobby", 1, 10);
                tide_loop_pass (loop, 16000);
            }
            if (how == CLIENT_LEAVES)
                tide_loop_cut (client);
            else if (how == LANE_DIES)
                tide_loop_kill_lane (loop, 1);
            else if (how == LANE_STOPS) {
                tide_hub_stop (loop->hubs[1], loop->now_ms);
                tide_loop_run (loop);
                assert_null (client->connection);
            }
            else {
                loop->is_cut[1] = false;
                tide_loop_kill_broker (loop, true);
                tide_loop_pass (loop, 5000);
            }
            loop->is_cut[1] = false;
            tide_loop_let_all_go (loop);
            tide_loop_pass (loop, 12000);
            publish ("lobby", 1, 3);
            tide_loop_destroy (&loop);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_live_stream_says_where_it_begins_and_gives_what_comes),
        TEST (g5_a_live_stream_that_is_cut_before_its_first_event_misses_nothing),
        TEST (a_stream_from_the_start_gives_the_whole_history),
        TEST (a_stream_begins_behind_the_position_that_is_asked_for),
        TEST (g1_several_topics_come_in_one_order_and_each_event_once),
        TEST (a_topic_that_is_named_twice_is_given_once),
        TEST (g5_resuming_at_any_id_gives_exactly_the_rest),
        TEST (what_is_not_the_streams_does_not_hold_its_position_back),
        TEST (a_snapshot_comes_first_and_then_what_is_behind_it),
        TEST (g5_a_stream_that_is_cut_amid_its_snapshots_is_told_all_of_them),
        TEST (g5_a_sign_of_life_amid_snapshots_has_no_position),
        TEST (g5_a_stream_ends_if_its_snapshot_cannot_be_had),
        cmocka_unit_test (g5_a_position_behind_the_history_is_reset_aloud),
        cmocka_unit_test (an_id_is_behind_the_reset_at_once),
        cmocka_unit_test (only_the_topic_whose_history_is_gone_is_reset),
        cmocka_unit_test (g5_a_stream_that_lags_behind_the_history_is_reset_aloud),
        TEST (g8_a_position_of_another_log_is_reset_by_name),
        TEST (g8_another_log_resets_open_streams),
        cmocka_unit_test (g5_a_stream_that_is_cut_amid_its_resets_is_told_all_of_them),
        TEST (a_stream_gives_a_sign_of_life_with_its_position),
        cmocka_unit_test (a_stream_that_comes_before_the_broker_waits_for_it),
        TEST (a_stream_goes_on_when_the_broker_is_back),
        TEST (g6_a_stream_that_takes_nothing_costs_nothing_and_reads_on),
        TEST (what_an_event_holds_is_on_one_line),
        TEST (what_cannot_be_streamed_is_refused),
        TEST (who_may_not_read_may_not_stream),
        cmocka_unit_test (a_stream_can_go_in_any_state),
    };
    return cmocka_run_group_tests_name ("streams", tests, NULL, NULL);
}
