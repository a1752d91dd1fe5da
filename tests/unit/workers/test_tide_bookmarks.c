/*  test_tide_bookmarks.c - subscriptions under a name: they go on from what was acknowledged.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_bookmarks.h"
#include "tide_reading_rig.h"

enum { EVENTS_MAX = 8 };

static int begin (void **state, bool is_short)
{
    reading_t *reading = tide_alloc (sizeof *reading);
    reading_new (reading);
    tide_subscriptions_shrink (reading->subscriptions, EVENTS_MAX, 1u << 20);
    if (is_short) { /* the broker keeps little */
        reading->broker.segment_events = 10;
        reading->broker.segments_max = 5;
        reading->broker.config.retain_events = 20;
    }
    reading_start (reading);
    reading_settle (reading);
    *state = reading;
    return 0;
}

static int set_up (void **state)
{
    return begin (state, false);
}

static int set_up_short (void **state)
{
    return begin (state, true);
}

static int tear_down (void **state)
{
    reading_free (*state);
    free (*state);
    return 0;
}

/*  -- readers --------------------------------------------------------------------------------- */

static tide_status_t add_named (reading_t *reading, const char *pattern, const char *since,
                                const char *name, tide_subscription_t **made)
{
    static unsigned owners;
    char owner[20];
    tide_begin_t from;
    assert_true (tide_begin_parse (since, &from));
    snprintf (owner, sizeof owner, "owner-%u", ++owners);
    tide_status_t status =
        tide_subscriptions_add_named (reading->subscriptions, tide_bytes (pattern), &from,
                                      tide_bytes (name), tide_bytes (owner), reading, made);
    reading_settle (reading);
    return status;
}

static tide_subscription_t *add (reading_t *reading, const char *since)
{
    tide_subscription_t *made;
    assert_int_equal (add_named (reading, "t", since, "mine", &made), TIDE_OK);
    return made;
}

static void leave (reading_t *reading, tide_subscription_t *subscription)
{
    tide_subscriptions_remove (reading->subscriptions, &subscription);
    reading_settle (reading);
}

/*  The process ends, and another one begins; what it has asked may still reach the broker. */
static void die (reading_t *reading)
{
    tide_subscriptions_destroy (&reading->subscriptions);
    while (reading->asked_count > 0)
        tide_buffer_free (&reading->asked[--reading->asked_count].bytes);
    for (size_t at = 0; at < READING_PATTERNS; at++) {
        free (reading->followed[at]);
        reading->followed[at] = NULL;
    }
    reading->subscriptions = tide_subscriptions_new ();
    tide_subscriptions_shrink (reading->subscriptions, EVENTS_MAX, 1u << 20);
    reading_hello (reading);
    reading_settle (reading);
}

/*  What is told next, as text, is acknowledged or not; "" if there is nothing. */
static const char *next (reading_t *reading, bool is_acknowledged)
{
    static char text[100];
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    if (!told)
        return "";
    static const char *const marks[] = {"", "", "s", "!", "j", "ended:"};
    bool has_code = told->kind == TIDE_TOLD_RESET || told->kind == TIDE_TOLD_ENDED;
    char again[16] = "";
    if (told->attempt > 1)
        snprintf (again, sizeof again, "x%u", told->attempt);
    snprintf (text, sizeof text, "%s%s%llu%s ", marks[told->kind],
              has_code ? tide_status_name (told->code) : "",
              has_code ? 0 : (unsigned long long) told->seq, again);
    tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told,
                                is_acknowledged);
    reading_settle (reading);
    return text;
}

/*  All that is told is acknowledged. */
static const char *all (reading_t *reading)
{
    static char text[4000];
    size_t size = 0;
    const char *one;
    text[0] = '\0';
    while (*(one = next (reading, true)) != '\0') {
        size += (size_t) snprintf (text + size, sizeof text - size, "%s", one);
        assert_true (size < sizeof text);
    }
    return text;
}

static void publish_many (reading_t *reading, const char *topic, unsigned count)
{
    while (count-- > 0)
        reading_publish (reading, topic, NULL, "1");
}

/*  Somebody else writes the cursor. */
static void write_cursor (reading_t *reading, const char *owner, const char *topics, uint64_t seq)
{
    tide_buffer_t list = {0}, payload = {0};
    tide_bytes_t record;
    tide_cursor_append (&list, &(tide_cursor_t){.name = tide_bytes ("mine"),
                                                .topics = tide_bytes (topics),
                                                .owner = tide_bytes (owner),
                                                .epoch = reading->broker.config.epoch,
                                                .seq = seq});
    tide_list_t records = tide_list (&list, 1);
    assert_true (tide_list_next (&records, &record));
    tide_args_encode (&payload, &(tide_args_t){.about = record, .json = tide_bytes ("null")});
    rig_add (&reading->broker, &(tide_event_t){.topic = tide_bytes ("$cursor/mine"),
                                               .name = tide_bytes ("cursor"),
                                               .key = tide_bytes (TIDE_CURSOR_KEY),
                                               .payload = tide_buffer_bytes (&payload)});
    rig_publish (&reading->broker, "a");
    reading_settle (reading);
    tide_buffer_free (&list);
    tide_buffer_free (&payload);
}

/*  -- where it begins, and goes on ------------------------------------------------------------ */

static void a_new_one_begins_where_it_is_told_to (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 3);
    tide_subscription_t *reader = add (reading, "start");
    assert_string_equal (all (reading), "1 2 3 j4 "); /* the cursor is at 4 */
    publish_many (reading, "t", 1);
    assert_string_equal (all (reading), "5 "); /* … and now at 5: JOINED was acknowledged */
    leave (reading, reader);
    assert_int_equal (add_named (reading, "t", NULL, "other", &reader), TIDE_OK);
    publish_many (reading, "t", 1);
    const char *told = all (reading);
    assert_true (told[0] == 'j');
    leave (reading, reader);
    reading_publish (reading, "t", "k", "1");
    assert_int_equal (add_named (reading, "t", "snapshot", "third", &reader), TIDE_OK);
    told = all (reading);
    assert_true (told[0] == 's');
}

/*  `since` counts no more. */
static void it_goes_on_behind_what_was_acknowledged (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    assert_string_equal (next (reading, true), "1 ");
    assert_string_equal (next (reading, true), "2 ");
    reading_pass (reading, 1000);
    assert_string_equal (next (reading, true), "3 ");
    die (reading); /* 3 was acknowledged just now */
    add (reading, "start");
    assert_string_equal (next (reading, true), "3 ");
    assert_string_equal (next (reading, true), "4 ");
    reading_pass (reading, 1000);
    die (reading);
    add (reading, NULL);
    assert_string_equal (next (reading, true), "5 ");
}

/*  Whoever comes back at once finds it, though it is not a second ago. */
static void what_was_acknowledged_is_written_when_it_is_left (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    tide_subscription_t *reader = add (reading, "start");
    next (reading, true);
    next (reading, true);
    assert_true (tide_subscriptions_owe (reading->subscriptions));
    /*  Both at once, and the answers come late. */
    reading->is_late = true;
    tide_subscriptions_remove (reading->subscriptions, &reader);
    reader = add (reading, "start");
    assert_string_equal (all (reading), "");
    reading->is_late = false;
    reading_settle (reading);
    assert_false (tide_subscriptions_owe (reading->subscriptions));
    assert_string_equal (next (reading, true), "3 ");
    tide_subscriptions_hurry (reading->subscriptions);
    reading_settle (reading);
    assert_false (tide_subscriptions_owe (reading->subscriptions));
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "4 ");
}

/*  The one thing that they ask, of this kind. */
static uint64_t asked (tide_bookmarks_t *bookmarks, tide_message_kind_t kind)
{
    tide_bookmark_action_t action;
    assert_true (tide_bookmarks_next_action (bookmarks, &action));
    assert_int_equal (action.kind, TIDE_BOOKMARK_ASK);
    assert_int_equal (action.message->kind, kind);
    uint64_t tag = action.tag;
    assert_false (tide_bookmarks_next_action (bookmarks, &action));
    return tag;
}

static void ack_written (tide_bookmarks_t *bookmarks, uint64_t tag, uint64_t seq)
{
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK};
    ack.ack.first = seq;
    tide_bookmarks_answer (bookmarks, 1, tag, &ack);
}

/*  One write is under way, and another one is to follow: nothing is asked before that is there. */
static void who_comes_back_waits_for_what_was_left (void **state)
{
    tide_bookmarks_t *bookmarks = tide_bookmarks_new ();
    tide_bookmark_action_t action;
    tide_bytes_t name = tide_bytes ("mine"), topics = tide_bytes ("t");
    tide_message_t standing = {.kind = TIDE_MESSAGE_STANDING};
    standing.standing.epoch = 7;
    tide_bookmark_t *one =
        tide_bookmarks_add (bookmarks, name, tide_bytes ("one"), topics, bookmarks);
    tide_bookmark_begin (bookmarks, one, 7, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SEQ});
    tide_bookmarks_answer (bookmarks, 1, asked (bookmarks, TIDE_MESSAGE_SNAPSHOT), &standing);
    ack_written (bookmarks, asked (bookmarks, TIDE_MESSAGE_PUBLISH), 1);
    assert_true (tide_bookmarks_next_action (bookmarks, &action));
    assert_int_equal (action.kind, TIDE_BOOKMARK_TAKEN);
    tide_bookmark_ack (bookmarks, one, 1, 7, 5);
    tide_bookmarks_hurry (bookmarks);
    uint64_t tag = asked (bookmarks, TIDE_MESSAGE_PUBLISH);
    tide_bookmark_ack (bookmarks, one, 1, 7, 6);
    tide_bookmark_leave (bookmarks, &one);
    assert_false (tide_bookmarks_have (bookmarks, name));
    tide_bookmark_t *two = tide_bookmarks_add (bookmarks, name, tide_bytes ("two"), topics, state);
    tide_bookmark_begin (bookmarks, two, 7, (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SEQ});
    assert_false (tide_bookmarks_next_action (bookmarks, &action));
    ack_written (bookmarks, tag, 8);
    tag = asked (bookmarks, TIDE_MESSAGE_PUBLISH);
    assert_true (tide_bookmarks_owe (bookmarks));
    ack_written (bookmarks, tag, 9);
    asked (bookmarks, TIDE_MESSAGE_SNAPSHOT);
    assert_false (tide_bookmarks_owe (bookmarks));
    tide_bookmarks_destroy (&bookmarks);
}

static void what_is_acknowledged_behind_the_end_counts (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 3);
    tide_subscription_t *reader = add (reading, "start");
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    leave (reading, reader);
    reader = NULL;
    assert_true (
        tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told, true));
    reading_settle (reading);
    reader = add (reading, "start");
    assert_string_equal (next (reading, true), "2 ");
    /*  … and if it is not, it is not told again. */
    told = tide_subscriptions_take (reading->subscriptions);
    leave (reading, reader);
    tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told, false);
    reading_settle (reading);
    reading_pass (reading, 3000);
    assert_string_equal (all (reading), "");
    add (reading, "start");
    assert_string_equal (next (reading, true), "3 ");
}

/*  Such as a browser was before. */
static void it_goes_on_with_what_another_left (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    write_cursor (reading, "a session", "t", 4);
    add (reading, "start");
    assert_string_equal (next (reading, true), "5 ");
}

/*  -- what is not acknowledged ---------------------------------------------------------------- */

static void it_is_told_again_and_nothing_behind_it_meanwhile (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 20);
    add (reading, "start");
    assert_string_equal (next (reading, true), "1 ");
    for (unsigned at = 1; at < 4; at++) {
        char wanted[20] = "2 ";
        if (at > 1)
            snprintf (wanted, sizeof wanted, "2x%u ", at);
        assert_string_equal (next (reading, false), wanted);
        assert_string_equal (next (reading, true), "");
        publish_many (reading, "t", 10);
        reading_pass (reading, 500);
        assert_string_equal (next (reading, true), "");
        assert_true (tide_subscriptions_deadline_ms (reading->subscriptions)
                     <= reading->broker.now_ms + 500);
        reading_pass (reading, 500);
    }
    assert_int_equal (tide_subscriptions_counters (reading->subscriptions).repeated, 3);
    assert_string_equal (next (reading, true), "2x4 ");
    assert_string_equal (next (reading, true), "3 ");
    die (reading);
    add (reading, NULL);
    assert_string_equal (next (reading, true), "2 ");
}

/*  What comes live is queued behind it. */
static void it_waits_whatever_comes (void **state)
{
    reading_t *reading = *state;
    add (reading, NULL);
    all (reading);
    publish_many (reading, "t", 1);
    assert_string_not_equal (next (reading, false), "");
    publish_many (reading, "t", 2);
    assert_false (tide_subscriptions_is_ready (reading->subscriptions));
    assert_string_equal (next (reading, true), "");
    reading_pass (reading, 1000);
    assert_true (tide_subscriptions_is_ready (reading->subscriptions));
    assert_non_null (strstr (next (reading, true), "x2"));
    assert_string_not_equal (next (reading, true), "");
}

static void so_is_that_it_was_brought_up (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "t", "k", "1");
    add (reading, "snapshot");
    assert_string_equal (next (reading, false), "s1 "); /* it counts only as a whole */
    const char *told = next (reading, false);
    assert_true (told[0] == 'j');
    reading_pass (reading, 1000);
    told = next (reading, false);
    assert_non_null (strstr (told, "x2"));
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "s1 ");
    told = next (reading, true);
    assert_true (told[0] == 'j');
    reading_pass (reading, 1000);
    die (reading);
    publish_many (reading, "t", 1);
    add (reading, "start");
    told = all (reading);
    assert_null (strchr (told, 's'));
}

static void a_volatile_one_is_told_once (void **state)
{
    reading_t *reading = *state;
    add (reading, NULL);
    all (reading);
    rig_add (&reading->broker, &(tide_event_t){.flags = TIDE_EVENT_VOLATILE,
                                               .topic = tide_bytes ("t"),
                                               .name = tide_bytes ("msg"),
                                               .payload = rig_payload ("1")});
    rig_publish (&reading->broker, "a");
    reading_settle (reading);
    assert_string_not_equal (next (reading, false), "");
    reading_pass (reading, 2000);
    assert_string_equal (all (reading), "");
}

/*  -- losing it ------------------------------------------------------------------------------- */

static void a_later_owner_takes_it_over (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    assert_string_equal (next (reading, true), "1 ");
    write_cursor (reading, "somebody else", "t", 1);
    assert_string_equal (next (reading, false), "2 ");
    reading_pass (reading, 1000);
    assert_string_equal (all (reading), "ended:conflict0 ");
    reading_pass (reading, 3000);
    publish_many (reading, "t", 1);
    assert_string_equal (all (reading), "");
    /*  It may come again, and is the later one then. */
    add (reading, "start");
    assert_string_equal (next (reading, true), "2 ");
}

/*  What it does just then is not told again, whatever comes of it. */
static void it_is_lost_while_its_reader_is_busy (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    next (reading, true);
    write_cursor (reading, "somebody else", "t", 1);
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    reading_pass (reading, 1000);
    assert_null (tide_subscriptions_take (reading->subscriptions));
    tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told, false);
    reading_settle (reading);
    assert_string_equal (all (reading), "ended:conflict0 ");
}

static void one_of_other_topics_cannot_be_had (void **state)
{
    reading_t *reading = *state;
    tide_subscription_t *made;
    add (reading, "start");
    assert_int_equal (add_named (reading, "t", NULL, "mine", &made), TIDE_CONFLICT);
    assert_null (made);
    die (reading);
    assert_int_equal (add_named (reading, "t/#", NULL, "mine", &made), TIDE_OK);
    assert_string_equal (all (reading), "ended:conflict0 ");
}

static void a_removed_one_is_not_made_again (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    next (reading, true);
    reading_publish (reading, "$cursor/mine", TIDE_CURSOR_KEY, NULL);
    reading_pass (reading, 1000);
    assert_string_equal (all (reading), "ended:not_found0 ");
}

static void a_name_that_is_none_is_refused (void **state)
{
    reading_t *reading = *state;
    char much[70];
    memset (much, 'n', sizeof much);
    much[65] = '\0';
    const char *const none[] = {"", "a\nb", "\xff", much};
    tide_subscription_t *made;
    for (size_t at = 0; at < sizeof none / sizeof none[0]; at++)
        assert_int_equal (add_named (reading, "t", NULL, none[at], &made), TIDE_BAD_REQUEST);
    much[64] = '\0';
    assert_int_equal (add_named (reading, "t", NULL, much, &made), TIDE_OK);
}

/*  -- gaps, and other logs -------------------------------------------------------------------- */

static void what_was_trimmed_is_said_until_it_is_acknowledged (void **state)
{
    reading_t *reading = *state;
    reading_publish (reading, "t", "k", "1");
    tide_subscription_t *reader = add (reading, "start");
    assert_string_equal (next (reading, true), "1 ");
    leave (reading, reader);
    publish_many (reading, "t", 100);
    add (reading, "start");
    assert_string_equal (next (reading, true), "!trimmed0 ");
    assert_string_equal (next (reading, true), "s1 ");
    reading_pass (reading, 2000);
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "!trimmed0 ");
    assert_string_equal (next (reading, true), "s1 ");
    assert_string_not_equal (next (reading, true), ""); /* JOINED */
    reading_pass (reading, 1000);
    die (reading);
    reading_publish (reading, "t", NULL, "1");
    uint64_t last = reading->broker.log.last;
    char wanted[40];
    snprintf (wanted, sizeof wanted, "%llu ", (unsigned long long) last);
    add (reading, "start");
    assert_string_equal (next (reading, true), wanted);
}

static void another_log_is_said_until_it_is_acknowledged (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    next (reading, true);
    next (reading, true);
    reading_restart (reading, 0xbeef);
    reading_publish (reading, "t", "k", "1");
    while (*next (reading, true) != '!') /* what had come of the old one, and counts no more */
        continue;
    reading_pass (reading, 2000);
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "!epoch_changed0 ");
    all (reading);
    reading_pass (reading, 1000);
    die (reading);
    publish_many (reading, "t", 1);
    add (reading, "start");
    assert_null (strchr (all (reading), '!'));
}

/*  Its reader could not cope with an event, of which nothing is to be told any more. */
static void what_is_of_another_log_is_not_told_again (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 1);
    add (reading, "start");
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    reading_restart (reading, 0xbeef);
    assert_false (
        tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told, false));
    reading_settle (reading);
    const char *next_one = next (reading, true);
    assert_true (next_one[0] == 'j'); /* of the old log as well: it was queued */
    assert_string_equal (next (reading, true), "!epoch_changed0 ");
}

/*  Nothing of the old log was told, so there is nothing to take back. */
static void another_log_while_it_is_taken (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 3);
    tide_subscription_t *nameless = reading_add (reading, "t", NULL);
    all (reading);
    reading->is_late = true;
    add (reading, "start"); /* the topic is followed already: it asks at once */
    leave (reading, nameless);
    reading->is_late = false;
    reading_restart (reading, 0xbeef);
    publish_many (reading, "t", 2);
    const char *told = all (reading);
    assert_null (strchr (told, '!'));
    assert_non_null (strstr (told, "2 3 "));
    reading_pass (reading, 3000);
    publish_many (reading, "t", 1);
    assert_string_not_equal (all (reading), "");
}

/*  -- brokers --------------------------------------------------------------------------------- */

static void what_is_refused_for_now_is_tried_again (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    reading->refused = TIDE_MESSAGE_SNAPSHOT;
    reading->refusals = 2;
    add (reading, "start");
    assert_string_equal (all (reading), "");
    reading_pass (reading, 2000);
    assert_int_equal (reading->refusals, 0);
    assert_string_equal (next (reading, true), "1 ");
    reading->refused = TIDE_MESSAGE_PUBLISH;
    reading->refusals = 2;
    assert_string_equal (next (reading, true), "2 ");
    reading_pass (reading, 4000);
    assert_int_equal (reading->refusals, 0);
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "3 ");
}

static void a_broker_that_comes_again_hears_of_it (void **state)
{
    reading_t *reading = *state;
    publish_many (reading, "t", 6);
    add (reading, "start");
    next (reading, true);
    next (reading, true);
    reading->is_cut = true; /* it is written, and the answer lost */
    reading_pass (reading, 1500);
    reading->is_cut = false;
    reading_restart (reading, reading->broker.config.epoch);
    assert_string_equal (next (reading, true), "3 ");
    reading_pass (reading, 1500);
    assert_false (tide_subscriptions_owe (reading->subscriptions));
    die (reading);
    add (reading, "start");
    assert_string_equal (next (reading, true), "4 ");
}

/*  -- by chance ------------------------------------------------------------------------------- */

static unsigned roll (uint64_t *random, unsigned count)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (unsigned) (*random >> 33) % count;
}

enum { CHANCES = 100, STEPS = 400, LOG_MAX = 4000 };

typedef struct {
    reading_t *reading;
    uint64_t random;
    uint64_t acknowledged; /* all of the topic up to here was, by whoever read then */
    uint64_t mine;         /* … by this process */
    uint64_t due;          /* … and is not told again, since that was a while ago */
    bool is_ours[LOG_MAX]; /* by sequence: it is of the topic */
    unsigned deaths, repeats;
    tide_subscription_t *reader;
} chance_t;

static void tell_by_chance (chance_t *chance)
{
    reading_t *reading = chance->reading;
    tide_told_t *told = tide_subscriptions_take (reading->subscriptions);
    if (!told)
        return;
    bool is_acknowledged = roll (&chance->random, 4) > 0;
    assert_true (told->kind != TIDE_TOLD_ENDED && told->kind != TIDE_TOLD_RESET);
    if (told->kind == TIDE_TOLD_EVENT) {
        assert_true (told->seq > chance->due);
        for (uint64_t seq = chance->acknowledged + 1; seq < told->seq; seq++)
            assert_false (chance->is_ours[seq]);
        chance->repeats += told->seq <= chance->acknowledged;
    }
    else {
        for (uint64_t seq = chance->acknowledged + 1; seq <= told->seq; seq++)
            assert_false (chance->is_ours[seq]);
    }
    if (is_acknowledged && told->seq > chance->acknowledged)
        chance->acknowledged = told->seq;
    if (is_acknowledged && told->seq > chance->mine)
        chance->mine = told->seq;
    tide_subscriptions_handled (reading->subscriptions, reading->broker.now_ms, &told,
                                is_acknowledged);
}

static void publish_by_chance (chance_t *chance)
{
    reading_t *reading = chance->reading;
    bool is_ours = roll (&chance->random, 3) > 0;
    rig_publish_one (&reading->broker, "a", is_ours ? "t" : "other", NULL, NULL, "1");
    rig_settle (&reading->broker);
    assert_true (reading->broker.log.last < LOG_MAX);
    chance->is_ours[reading->broker.log.last] = is_ours;
}

/*  All answers come, and what was acknowledged before is durable. */
static void rest (chance_t *chance)
{
    reading_t *reading = chance->reading;
    reading->is_late = reading->is_cut = false;
    reading_hello (reading);
    reading_settle (reading);
    reading_pass (reading, 5000);
    if (chance->mine > chance->due)
        chance->due = chance->mine;
}

static void step (chance_t *chance)
{
    reading_t *reading = chance->reading;
    unsigned what = roll (&chance->random, 100);
    if (what < 40)
        publish_by_chance (chance);
    else if (what < 80)
        tell_by_chance (chance);
    else if (what < 84) {
        die (reading);
        chance->deaths++;
        chance->mine = 0;
        chance->reader = add (reading, "start");
    }
    else if (what < 88) {
        tide_subscriptions_remove (reading->subscriptions, &chance->reader);
        chance->reader = add (reading, "start");
    }
    else if (what < 90)
        reading_restart (reading, reading->broker.config.epoch);
    else if (what < 92)
        reading->is_cut = !reading->is_cut;
    else if (what < 95)
        reading_pass (reading, 500);
    else if (what < 97)
        rest (chance);
    if (roll (&chance->random, 4) == 0)
        reading->is_late = !reading->is_late;
    if (roll (&chance->random, 3) > 0)
        reading_settle (reading);
}

static bool is_all_acknowledged (const chance_t *chance)
{
    uint64_t last = chance->reading->broker.log.last;
    while (last > chance->acknowledged && !chance->is_ours[last])
        last--;
    return last <= chance->acknowledged;
}

static void nothing_is_skipped_whoever_dies (void **state)
{
    reading_t *reading = *state;
    unsigned deaths = 0, repeats = 0, rounds = 0;
    for (uint64_t seed = 1; seed <= CHANCES; seed++) {
        chance_t *chance = tide_alloc (sizeof *chance);
        chance->reading = reading;
        chance->random = seed * UINT64_C (0x9e3779b97f4a7c15);
        chance->reader = add (reading, "start");
        for (unsigned at = 0; at < STEPS; at++)
            step (chance);
        rest (chance);
        while (!is_all_acknowledged (chance)) {
            reading_pass (reading, 1000);
            tell_by_chance (chance);
            assert_true (++rounds < 100000);
        }
        deaths += chance->deaths;
        repeats += chance->repeats;
        free (chance);
        tear_down (state);
        set_up (state);
        reading = *state;
    }
    assert_true (deaths > 500 && repeats > 100);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
#define SHORT(name) cmocka_unit_test_setup_teardown (name, set_up_short, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (a_new_one_begins_where_it_is_told_to),
        TEST (it_goes_on_behind_what_was_acknowledged),
        TEST (what_was_acknowledged_is_written_when_it_is_left),
        cmocka_unit_test (who_comes_back_waits_for_what_was_left),
        TEST (what_is_acknowledged_behind_the_end_counts),
        TEST (it_goes_on_with_what_another_left),
        TEST (it_is_told_again_and_nothing_behind_it_meanwhile),
        TEST (it_waits_whatever_comes),
        TEST (so_is_that_it_was_brought_up),
        TEST (a_volatile_one_is_told_once),
        TEST (a_later_owner_takes_it_over),
        TEST (it_is_lost_while_its_reader_is_busy),
        TEST (one_of_other_topics_cannot_be_had),
        TEST (a_removed_one_is_not_made_again),
        TEST (a_name_that_is_none_is_refused),
        SHORT (what_was_trimmed_is_said_until_it_is_acknowledged),
        TEST (another_log_is_said_until_it_is_acknowledged),
        TEST (what_is_of_another_log_is_not_told_again),
        TEST (another_log_while_it_is_taken),
        TEST (what_is_refused_for_now_is_tried_again),
        TEST (a_broker_that_comes_again_hears_of_it),
        TEST (nothing_is_skipped_whoever_dies),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
