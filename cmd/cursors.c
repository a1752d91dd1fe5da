/*  cursors.c - `tidemark cursors`: lists named cursors and groups with their lag, or removes one.
 *
 *  What stands is read in one snapshot; then each cursor's lag is looked for, one page of history
 *  each: a lag that is more than a page is said to be at least so much, which costs little however
 *  far a reader is behind.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_cursor.h"
#include "tide_dialect_json.h"
#include "tide_question.h"
#include "tide_topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    tide_client_options_t common;
    char *remove;
    bool is_group;
    char *user;
} options_t;

static const tide_option_t table[] = {
    TIDE_CLIENT_OPTION_BROKER,
    {"remove", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, remove),
     .value = "NAME", .help = "remove the cursor of this name; its reader is told"},
    {"group", TIDE_OPTION_SWITCH, 1, .is_flag_only = true, .offset = offsetof (options_t, is_group),
     .help = "… the group; its members are told"},
    {"user", TIDE_OPTION_TEXT, 1, .is_flag_only = true, .offset = offsetof (options_t, user),
     .value = "USER", .help = "… that is this user's", .otherwise = "nobody's"},
    TIDE_CLIENT_OPTION_TIMEOUT,
    {NULL}};

static const tide_program_t program = {
    .program = "tidemark cursors",
    .arguments = "",
    .about =
        "Lists the named cursors, one JSON object a line: what is read by each, up to where it\n"
        "was acknowledged (seq), and how many events are behind that (lag; with \"more\": at "
        "least\n"
        "so many). \"trimmed\": some of them are gone, and the reader will be told. Then the\n"
        "groups, in the same way; those that are acknowledged above seq do not count.",
    .table = table,
    .bit = 1,
    .arguments_min = 0,
    .arguments_max = 0,
};

typedef struct {
    tide_question_t question;
    const options_t *options;
    bool lists_groups; /* the cursors are done */
    enum {
        LISTING,  /* what stands is asked for */
        COUNTING, /* … and the lag of the first of `rest` */
        FINDING,  /* the one that is to be removed is asked for */
        REMOVING
    } step;
    tide_buffer_t topic; /* FINDING, REMOVING: its own */
    char key[TIDE_NAME_SIZE_MAX + 1];
    uint64_t stands;
    uint32_t part;
    tide_buffer_t standing; /* events that stand, of the parts so far */
    uint32_t count;
    tide_list_t rest;    /* of them, those whose lag is not known yet */
    tide_buffer_t lines; /* of the others: a broker that stops makes them void */
} cursors_t;

/*  -- listing --------------------------------------------------------------------------------- */

static void append_member (tide_buffer_t *line, const char *name, tide_bytes_t text)
{
    tide_buffer_printf (line, ",\"%s\":", name);
    tide_json_string (line, text);
}

/*  One a line, as a JSON array. */
static void append_topics (tide_buffer_t *line, tide_bytes_t topics)
{
    const char *comma = "";
    tide_bytes_t topic;
    tide_buffer_append_text (line, ",\"topics\":[");
    for (; tide_pattern_next (&topics, &topic); comma = ",") {
        tide_buffer_append_text (line, comma);
        tide_json_string (line, topic);
    }
    tide_buffer_append_text (line, "]");
}

/*  A group as a cursor; *acked: how many are acknowledged above its position. */
static bool group_of (const tide_event_t *event, tide_cursor_t *cursor, uint32_t *acked)
{
    tide_args_t args;
    tide_grouped_t grouped;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_grouped_decode (args.about, &grouped))
        return false;
    *cursor = (tide_cursor_t){
        .name = grouped.name, .user = grouped.user, .topics = grouped.topics, .seq = grouped.floor};
    *acked = (uint32_t) (grouped.acked.size / 4);
    return true;
}

static bool entry_of (const cursors_t *self, const tide_event_t *event, tide_cursor_t *cursor,
                      uint32_t *acked)
{
    *acked = 0;
    return self->lists_groups ? group_of (event, cursor, acked) : tide_cursor_of (event, cursor);
}

static void append_lag (tide_buffer_t *line, const tide_page_message_t *page, uint32_t acked)
{
    uint32_t count = page->events.count;
    tide_buffer_printf (line, ",\"lag\":%" PRIu32, count > acked ? count - acked : 0);
    if (page->more)
        tide_buffer_append_text (line, ",\"more\":true");
    if (page->lost.count > 0)
        tide_buffer_append_text (line, ",\"trimmed\":true");
}

/*  answer: the page behind its position, or why there is none, or NULL: none was asked for. */
static void append_cursor (const cursors_t *self, tide_buffer_t *line, const tide_event_t *event,
                           const tide_cursor_t *cursor, uint32_t acked,
                           const tide_message_t *answer)
{
    tide_buffer_append_text (line, self->lists_groups ? "{\"group\":" : "{\"cursor\":");
    tide_json_string (line, cursor->name);
    if (cursor->user.size > 0)
        append_member (line, "user", cursor->user);
    append_topics (line, cursor->topics);
    if (!self->lists_groups) {
        tide_buffer_append_text (line, ",\"epoch\":");
        tide_json_epoch (line, cursor->epoch);
    }
    if (cursor->flags & TIDE_CURSOR_BEGINS_WITH_SNAPSHOT)
        tide_buffer_append_text (line, ",\"snapshot\":true");
    else
        tide_buffer_printf (line, ",\"seq\":%" PRIu64, cursor->seq);
    if (answer && answer->kind == TIDE_MESSAGE_PAGE)
        append_lag (line, &answer->page, acked);
    else if (answer)
        append_member (line, "code",
                       tide_bytes (tide_status_name ((tide_status_t) answer->fail.code)));
    if (!self->lists_groups)
        append_member (line, "owner", cursor->owner);
    tide_buffer_printf (line, ",\"time\":%" PRIu64 "}\n", event->time_ms);
}

static void ask_standing (cursors_t *self, tide_bytes_t topic)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = self->part > 0 ? self->question.token : 0;
    message.snapshot.topic = topic;
    message.snapshot.part = self->part;
    tide_question_ask (&self->question, &message);
}

static void print (const tide_buffer_t *lines)
{
    if (lines->size > 0)
        fwrite (lines->data, 1, lines->size, stdout);
}

/*  All of one kind are listed. */
static void go_on (cursors_t *self)
{
    self->question.is_done = self->lists_groups;
    if (self->question.is_done) {
        print (&self->lines);
        return;
    }
    self->lists_groups = true;
    self->step = LISTING;
    self->part = 0;
    ask_standing (self, tide_bytes ("$group/#"));
}

/*  Asks for the lag of the next one that has any. */
static void count_next (cursors_t *self)
{
    self->step = COUNTING;
    tide_event_t event;
    tide_cursor_t cursor;
    uint32_t acked;
    for (tide_list_t rest = self->rest; tide_event_next (&rest, &event); self->rest = rest) {
        if (!entry_of (self, &event, &cursor, &acked))
            continue;
        tide_buffer_t wants = {0};
        tide_message_t message = {.kind = TIDE_MESSAGE_READ};
        uint32_t count = tide_cursor_append_wants (&wants, &cursor);
        bool has_lag = count > 0 && !(cursor.flags & TIDE_CURSOR_BEGINS_WITH_SNAPSHOT);
        if (has_lag) {
            message.read.epoch = cursor.epoch;
            message.read.limit = TIDE_PAGE_EVENTS_MAX;
            message.read.size_max = TIDE_PAGE_SIZE_MAX;
            message.read.wants = tide_list (&wants, count);
            tide_question_ask (&self->question, &message);
        }
        else
            append_cursor (self, &self->lines, &event, &cursor, acked, NULL);
        tide_buffer_free (&wants);
        if (has_lag)
            return;
    }
    go_on (self);
}

static void counted (cursors_t *self, const tide_message_t *answer)
{
    tide_event_t event;
    tide_cursor_t cursor;
    uint32_t acked;
    if (tide_event_next (&self->rest, &event) && entry_of (self, &event, &cursor, &acked))
        append_cursor (self, &self->lines, &event, &cursor, acked, answer);
    count_next (self);
}

static void take_part (cursors_t *self, const tide_standing_message_t *standing)
{
    if (standing->part == 0)
        self->standing.size = self->count = 0;
    tide_buffer_append_bytes (&self->standing, standing->events.bytes);
    self->count += standing->events.count;
    if (standing->more) {
        self->part = standing->part + 1;
        ask_standing (self, tide_bytes (self->lists_groups ? "$group/#" : "$cursor/#"));
        return;
    }
    self->rest = tide_list (&self->standing, self->count);
    count_next (self);
}

/*  -- removing -------------------------------------------------------------------------------- */

static void ask_removal (cursors_t *self)
{
    char id[64];
    tide_buffer_t records = {0}, expects = {0};
    tide_bytes_t topic = tide_buffer_bytes (&self->topic), key = tide_bytes (self->key);
    tide_client_make_id (self->question.client, id);
    tide_event_append (&records, &(tide_event_t){.topic = topic,
                                                 .name = tide_bytes ("removed"),
                                                 .key = key,
                                                 .id = tide_bytes (id)});
    tide_expect_append (&expects, &(tide_expect_t){topic, key, self->stands});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&records, 1);
    message.publish.expects = tide_list (&expects, 1);
    self->step = REMOVING;
    tide_question_ask (&self->question, &message);
    tide_buffer_free (&records);
    tide_buffer_free (&expects);
}

static void found (cursors_t *self, const tide_standing_message_t *standing)
{
    tide_event_t event;
    tide_list_t events = standing->events;
    self->stands = 0;
    while (self->stands == 0 && tide_event_next (&events, &event))
        if (tide_bytes_is (event.key, self->key))
            self->stands = event.seq;
    if (self->stands > 0) {
        ask_removal (self);
        return;
    }
    fprintf (stderr, "%s: not_found: there is no %s \"%s\"%s%s\n", program.program,
             self->options->is_group ? "group" : "cursor", self->options->remove,
             self->options->user ? " of " : "", self->options->user ? self->options->user : "");
    self->question.is_done = self->question.has_failed = true;
}

static void removed (cursors_t *self)
{
    tide_buffer_t line = {0};
    tide_buffer_append_text (&line, self->options->is_group ? "{\"group\":" : "{\"cursor\":");
    tide_json_string (&line, tide_bytes (self->options->remove));
    if (self->options->user)
        append_member (&line, "user", tide_bytes (self->options->user));
    tide_buffer_append_text (&line, ",\"removed\":true}\n");
    print (&line);
    tide_buffer_free (&line);
    self->question.is_done = true;
}

/*  -- the conversation ------------------------------------------------------------------------ */

static void begin (tide_question_t *question)
{
    cursors_t *self = (cursors_t *) question;
    self->part = 0;
    self->lines.size = 0;
    self->lists_groups = false;
    self->step = self->options->remove ? FINDING : LISTING;
    ask_standing (self, self->options->remove ? tide_buffer_bytes (&self->topic)
                                              : tide_bytes ("$cursor/#"));
}

static bool take (tide_question_t *question, const tide_message_t *answer)
{
    cursors_t *self = (cursors_t *) question;
    if (answer->kind == TIDE_MESSAGE_FAIL && self->step != COUNTING)
        return false;
    if (self->step == LISTING)
        take_part (self, &answer->standing);
    else if (self->step == FINDING)
        found (self, &answer->standing);
    else if (self->step == REMOVING)
        removed (self);
    else
        counted (self, answer); /* a refusal shows in its line */
    return true;
}

static bool find_group (cursors_t *self, tide_bytes_t name, tide_bytes_t user)
{
    if (name.size == 0 || name.size > 63 || memchr (name.data, '/', name.size)
        || !tide_topic_valid (name) || user.size > TIDE_GROUP_USER_SIZE_MAX) {
        fprintf (stderr, "%s: a group's name is 1-63 bytes of UTF-8: one level of a topic\n",
                 program.program);
        return false;
    }
    tide_buffer_printf (&self->topic, "$group/%.*s", TIDE_PRINT (name));
    snprintf (self->key, sizeof self->key, "#group%s%.*s", user.size > 0 ? "/" : "",
              TIDE_PRINT (user));
    return true;
}

/*  The topic of the cursor that is to be removed; false if it has none, which has been said. */
static bool find_topic (cursors_t *self)
{
    const options_t *options = self->options;
    const char *why;
    tide_bytes_t name = tide_bytes (options->remove);
    tide_bytes_t user = options->user ? tide_bytes (options->user) : (tide_bytes_t){0};
    snprintf (self->key, sizeof self->key, TIDE_CURSOR_KEY);
    if (options->is_group)
        return find_group (self, name, user);
    if (tide_cursor_check (name, user, &why) == TIDE_OK) {
        tide_cursor_topic (&self->topic, name, user);
        return true;
    }
    fprintf (stderr, "%s: %s\n", program.program, why);
    return false;
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    (void) arguments;
    cursors_t self = {.question = {&program, begin, take}, .options = options};
    if ((options->user || options->is_group) && !options->remove) {
        fprintf (stderr, "%s: --user and --group go with --remove\n", program.program);
        return 2;
    }
    if (options->remove && !find_topic (&self))
        return 2;
    int exit_status = tide_question_run (&self.question, &options->common);
    tide_buffer_free (&self.topic);
    tide_buffer_free (&self.standing);
    tide_buffer_free (&self.lines);
    fflush (stdout);
    return exit_status;
}

int tide_command_cursors (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
