/*  tide_group_rig.h - a broker on a bench with a publisher and two members of a group.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_GROUP_RIG_H
#define TIDE_GROUP_RIG_H

#include "tide_dispatch_rig.h"

#include "tide_group_parts.h"

enum { LIVE, START, SINCE };

/*  -- what members say ------------------------------------------------------------------------ */

typedef struct {
    const char *name, *topics;
    uint32_t credit;
    uint8_t start;
    uint64_t since, epoch;
    uint32_t attempts, lease_ms, delay_ms;
    const char *user;
} join_t;

static inline uint64_t ask_to_join (const char *member, join_t join)
{
    rig_send (
        rig, member,
        &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_JOIN,
                          .group_join = {.request = ++rig->request,
                                         .user = tide_bytes (join.user ? join.user : ""),
                                         .name = tide_bytes (join.name ? join.name : "g"),
                                         .topics = tide_bytes (join.topics ? join.topics : "t"),
                                         .start = join.start,
                                         .since = join.since,
                                         .epoch = join.epoch,
                                         .credit = join.credit,
                                         .attempts = join.attempts,
                                         .lease_ms = join.lease_ms,
                                         .delay_ms = join.delay_ms}});
    rig_drain (rig);
    return rig->request;
}

static inline uint64_t join_with (const char *member, join_t join)
{
    uint64_t request = ask_to_join (member, join);
    rig_settle (rig);
    return request;
}

static inline void join (const char *member, uint32_t credit)
{
    assert_acknowledged (join_with (member, (join_t){.credit = credit, .start = START}));
}

static inline uint64_t leave_group (const char *member)
{
    rig_send (
        rig, member,
        &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_LEAVE,
                          .group_leave = {.request = ++rig->request, .name = tide_bytes ("g")}});
    rig_settle (rig);
    return rig->request;
}

/*  Publishes one event and waits for it. */
static inline uint64_t publish (const char *topic, const char *json)
{
    uint64_t request = rig_publish_one (rig, "gateway", topic, NULL, NULL, json);
    rig_settle (rig);
    return rig_acked (rig, request);
}

static inline void publish_many (const char *topic, unsigned count)
{
    for (unsigned at = 0; at < count; at++)
        rig_publish_one (rig, "gateway", topic, NULL, NULL, "1");
    rig_settle (rig);
}

/*  -- what they are told ---------------------------------------------------------------------- */

/*  The events that were given to the member, in order, since the last look. */
typedef struct {
    uint64_t seq[2048];
    uint32_t attempt[2048], lease_ms;
    char topic[256];
    unsigned count;
} given_t;

static inline void take_given (const char *member, given_t *given)
{
    given->count = 0;
    for (size_t at = 0; at < rig->said_count; at++) {
        tide_said_t *said = rig->said[at];
        if (said->kind != TIDE_BROKER_SEND || said->message.kind != TIDE_MESSAGE_GROUP_EVENT
            || strcmp (said->peer, member) != 0)
            continue;
        tide_event_t event;
        tide_list_t list = said->message.group_event.events;
        assert_true (tide_event_next (&list, &event));
        assert_false (tide_event_next (&list, &event));
        assert_true (given->count < 2048);
        given->seq[given->count] = event.seq;
        given->attempt[given->count++] = said->message.group_event.attempt;
        given->lease_ms = said->message.group_event.lease_ms;
        snprintf (given->topic, sizeof given->topic, "%.*s", TIDE_PRINT (event.topic));
        said->peer[0] = 0; /* looked at */
    }
}

static inline uint64_t take_one_given (const char *member, uint32_t attempt)
{
    given_t given;
    take_given (member, &given);
    assert_int_equal (given.count, 1);
    assert_int_equal (given.attempt[0], attempt);
    return given.seq[0];
}

static inline void assert_nothing_given (const char *member)
{
    given_t given;
    take_given (member, &given);
    assert_int_equal (given.count, 0);
}

static inline uint64_t say_done_with (const char *member, const tide_group_done_message_t *done)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_GROUP_DONE, .group_done = *done};
    message.group_done.request = ++rig->request;
    if (message.group_done.name.size == 0)
        message.group_done.name = tide_bytes ("g");
    rig_send (rig, member, &message);
    rig_settle (rig);
    return rig->request;
}

static inline uint64_t say_done (const char *member, uint64_t seq, uint32_t attempt,
                                 uint8_t outcome)
{
    return say_done_with (
        member, &(tide_group_done_message_t){.seq = seq, .attempt = attempt, .outcome = outcome});
}

static inline void handle (const char *member, uint64_t seq, uint32_t attempt)
{
    assert_acknowledged (say_done (member, seq, attempt, HANDLED));
}

/*  How often the member was told so, since the last look; the sequence of the last one. */
static inline unsigned take_notes (const char *member, tide_status_t code, uint64_t *seq)
{
    unsigned count = 0;
    for (size_t at = 0; at < rig->said_count; at++) {
        tide_said_t *said = rig->said[at];
        if (said->kind != TIDE_BROKER_SEND || said->message.kind != TIDE_MESSAGE_GROUP_NOTE
            || strcmp (said->peer, member) != 0 || said->message.group_note.code != code)
            continue;
        count++;
        *seq = said->message.group_note.seq;
        said->peer[0] = 0;
    }
    return count;
}

/*  -- what the log says ----------------------------------------------------------------------- */

/*  A group's record, as it stands in the log. */
typedef struct {
    tide_event_t event;
    tide_grouped_t grouped;
    unsigned found;
} standing_t;

static inline void take_standing (void *argument, const tide_event_t *event)
{
    standing_t *standing = argument;
    standing->found++;
    standing->event = *event;
    assert_true (tide_group_decode (event, &standing->grouped));
}

static inline standing_t record_of (const char *name)
{
    char topic[80];
    standing_t standing = {0};
    snprintf (topic, sizeof topic, "$group/%s", name);
    rig_hello (rig, "a", "");
    rig_snapshot (rig, topic, take_standing, &standing);
    return standing;
}

static inline uint64_t floor_of (const char *name)
{
    standing_t standing = record_of (name);
    assert_int_equal (standing.found, 1);
    return standing.grouped.floor;
}

/*  kill -9, and all say hello again. */
static inline void die (void)
{
    rig_kill (rig);
    rig_start (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    rig_hello (rig, "two", "");
    rig_forget_said (rig);
}

static inline tide_groups_counts_t group_counts (void)
{
    return tide_groups_counts (rig->broker->core.groups);
}

static inline void assert_none_in_hand (void)
{
    tide_groups_counts_t now = group_counts ();
    assert_int_equal (now.waiting + now.lent + now.resting + now.dead + now.acked, 0);
    assert_int_equal (now.bytes, 0);
}

#endif
