/*  tide_session.c - how a session comes, is taken over, and goes.
 *
 *  A session is the topic $session/SHA-256(pid) in the log: who it is under the key "#session", and
 *  a key for each topic joined. It is written when it is made and when its topics change, never at
 *  disconnect, so any gateway can resume it after anything died. Taking over is a conditional
 *  append on "#session": of two that resume one pid one wins, and the old connection's late end
 *  cannot touch the new one.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_session.h"
#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_calls.h"
#include "tide_channel.h"
#include "tide_client.h"
#include "tide_client_engineio.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_reply.h"
#include "tide_room.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  How often a lost race for the record is run again. */
enum { TAKE_ATTEMPTS = 4 };

static void make_session (tide_hub_t *hub, tide_session_t *session);
static void take_over (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                       unsigned attempt);
static void read_record (tide_hub_t *hub, tide_session_t *session, unsigned attempt);
static void read_again (tide_hub_t *hub, tide_session_t *session);

static void forget_members (tide_hub_t *hub, tide_session_t *session)
{
    while (session->members) {
        tide_member_t *member = session->members;
        tide_member_remove (hub, &member);
    }
}

static void set_topic (tide_session_t *session, tide_bytes_t pid)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1];
    crypto_hash_sha256 (hash, pid.data, pid.size);
    sodium_bin2hex (hex, sizeof hex, hash, sizeof hash);
    snprintf (session->topic, sizeof session->topic, "$session/%s", hex);
}

/*  From here on its sid leads to it; whoever had the sid in this lane is kicked. */
static void register_session (tide_hub_t *hub, tide_session_t *session)
{
    tide_session_t *before;
    HASH_FIND (hh, hub->sessions, session->sid, strlen (session->sid), before);
    if (before == session)
        return;
    if (before)
        tide_session_taken (hub, before);
    HASH_ADD_KEYPTR (hh, hub->sessions, session->sid, strlen (session->sid), session);
    session->is_registered = true;
}

static void unregister_session (tide_hub_t *hub, tide_session_t *session)
{
    if (session->is_registered)
        HASH_DEL (hub->sessions, session);
    session->is_registered = false;
}

/*  -- opening --------------------------------------------------------------------------------- */

bool tide_session_sid_valid (const char *sid)
{
    char topic[TIDE_TOPIC_SIZE_MAX + 1];
    int size = snprintf (topic, sizeof topic, "@%s", sid);
    return size > 1 && (size_t) size < sizeof topic && tide_topic_valid (tide_bytes (topic));
}

static void add_room (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic)
{
    if (!tide_member_find (session, topic))
        tide_member_add (hub, session, tide_channel_use (hub, topic), session->base, false);
}

/*  A client of Socket.IO is in its namespace's topic and in its own from where it began: not by a
 *  wish of its own, so no permission is asked. So is one of the JSON dialect in its own, if it can
 *  be resumed: replies may come then. */
static void add_rooms (tide_hub_t *hub, tide_session_t *session)
{
    tide_buffer_t topic = {0};
    tide_namespace_topic (&topic, tide_bytes (session->nsp));
    if (session->has_rooms && tide_topic_valid (tide_buffer_bytes (&topic)))
        add_room (hub, session, tide_buffer_bytes (&topic));
    topic.size = 0;
    tide_buffer_printf (&topic, "@%s", session->sid);
    if (session->has_rooms || (session->connection->kind == TIDE_CLIENT_JSON && session->recovers))
        add_room (hub, session, tide_buffer_bytes (&topic));
    tide_buffer_free (&topic);
}

void tide_session_join_own (tide_hub_t *hub, tide_session_t *session)
{
    char topic[TIDE_TOPIC_SIZE_MAX + 1];
    snprintf (topic, sizeof topic, "@%s", session->sid);
    if (tide_member_find (session, tide_bytes (topic)))
        return;
    tide_member_add (hub, session, tide_channel_use (hub, tide_bytes (topic)), session->cursor,
                     false);
    tide_deliver_settle (hub, session);
}

static void open_now (tide_hub_t *hub, tide_session_t *session)
{
    register_session (hub, session);
    add_rooms (hub, session);
    tide_cursors_prune (hub, session);
    session->state = TIDE_SESSION_OPEN;
    hub->counters.sessions++;
    bool is_moved = session->is_moved;
    session->is_served = session->is_served || is_moved; /* that lane may have known */
    session->is_moved = false;
    if (!is_moved) {
        hub->counters.opened++;
        hub->counters.recovered += session->recovered;
        tide_client_opened (hub, session);
    }
    tide_deliver_settle (hub, session);
    tide_join_session_ready (hub, session);
    if (!is_moved)
        tide_app_connected (hub, session);
    tide_hub_drain_inbox (hub, session->connection);
}

/*  The application is asked, unless it has let it in already. False: it is being asked. */
static bool is_admitted (tide_hub_t *hub, tide_session_t *session, const char *taken_from,
                         unsigned attempt)
{
    if (session->is_admitted)
        return true;
    free (session->taken_from);
    session->taken_from = taken_from ? tide_copy (taken_from, strlen (taken_from)) : NULL;
    session->take_attempt = attempt;
    session->state = TIDE_SESSION_ADMITTING;
    return !tide_app_asks_admission (hub, session);
}

/*  A session that is new begins where a worker has let it in, so that it comes to what the worker
 *  did with that; or else here. */
static void begin_at (tide_hub_t *hub, tide_session_t *session, uint64_t here)
{
    bool is_let_in = session->let_in > 0 && session->let_in_epoch == tide_feed_epoch (hub->feed);
    session->base = session->cursor = is_let_in ? session->let_in : here;
}

static void open_without_record (tide_hub_t *hub, tide_session_t *session)
{
    begin_at (hub, session, tide_feed_watermark (hub->feed));
    open_now (hub, session);
}

static void write_record (tide_hub_t *hub, tide_session_t *session);

void tide_session_admitted (tide_hub_t *hub, tide_session_t *session)
{
    session->is_admitted = true;
    if (!session->recovers)
        open_without_record (hub, session);
    else if (session->taken_from)
        take_over (hub, session, session->taken_from, session->take_attempt);
    else
        write_record (hub, session);
}

static void made (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (!op->session) {
        if (good)
            tide_record_release (hub, op->topic, answer->ack.first);
        return;
    }
    tide_session_t *session = op->session;
    if (good && session->let_in > 0 && session->let_in_epoch != answer->ack.epoch) {
        /*  The log is another one: what the record says of where it begins is void. */
        tide_record_release (hub, op->topic, answer->ack.first);
        tide_client_refused (hub, session);
    }
    else if (good) {
        session->record_seq = answer->ack.first;
        session->owns_record = true;
        tide_buffer_free (&session->data);
        begin_at (hub, session, session->record_seq);
        open_now (hub, session);
    }
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_LOG_FULL
             && session->data.size == 0) {
        /*  The disk is full: readers are served all the same, only not resumed. But nobody is in
         *  without what a worker has set. */
        session->recovers = false;
        open_without_record (hub, session);
    }
    else
        tide_client_refused (hub, session);
}

static void make_session (tide_hub_t *hub, tide_session_t *session)
{
    forget_members (hub, session);
    tide_buffer_free (&session->data);
    session->recovered = session->is_admitted = false;
    session->has_rooms = session->connection->kind == TIDE_CLIENT_SOCKETIO;
    session->let_in = session->base = session->record_seq = session->cursor = 0;
    tide_hub_random (hub, "sid", session->sid, sizeof session->sid);
    tide_hub_random (hub, "pid", session->pid, sizeof session->pid);
    set_topic (session, tide_bytes (session->pid));
    if (is_admitted (hub, session, NULL, 0))
        write_record (hub, session);
}

static void write_record (tide_hub_t *hub, tide_session_t *session)
{
    session->state = TIDE_SESSION_MAKING;
    session->base = session->let_in;
    tide_buffer_t records = {0};
    bool has_data = session->data.size > 0;
    tide_record_session (hub, session, &records);
    if (has_data)
        tide_record_data (hub, session, &records);
    if (!tide_record_publish (hub, session, &records, 1 + has_data, 0, made))
        tide_client_refused (hub, session);
    tide_buffer_free (&records);
}

static void refuse_resume (tide_hub_t *hub, tide_session_t *session)
{
    hub->counters.refused_resumes++;
    if (session->is_moved) {
        /*  To its client it is open: it learns of another one by connecting again. */
        tide_client_refused (hub, session);
        return;
    }
    make_session (hub, session);
}

/*  -- resuming -------------------------------------------------------------------------------- */

static void taken (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (!op->session) {
        if (good)
            tide_record_release (hub, op->topic, answer->ack.first);
        tide_presence_late (hub, op, answer);
        return;
    }
    tide_session_t *session = op->session;
    if (good) {
        session->record_seq = answer->ack.first;
        session->owns_record = true;
        session->state = TIDE_SESSION_TAKEN;
        tide_presence_stand_all (hub, session, op, answer);
        register_session (hub, session);
        hub->counters.take_overs++;
        read_again (hub, session);
    }
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT
             && op->number < TAKE_ATTEMPTS && !session->is_moved)
        read_record (hub, session, (unsigned) op->number + 1);
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_CONFLICT)
        refuse_resume (hub, session);
    else
        tide_client_refused (hub, session);
}

/*  The conditional append that makes the session ours, enters it where it is present, and tells the
 *  lane that had it. */
static void take_over (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                       unsigned attempt)
{
    session->state = TIDE_SESSION_TAKING;
    tide_buffer_t records = {0}, text = {0}, payload = {0};
    uint32_t count = 1;
    tide_record_session (hub, session, &records);
    char topic[TIDE_TOPIC_SIZE_MAX + 1], id[64];
    snprintf (topic, sizeof topic, "$lane/%.64s", old_lane);
    if (strcmp (old_lane, hub->config.lane) != 0 && tide_topic_valid (tide_bytes (topic))) {
        tide_link_make_id (hub->link, id);
        tide_json_string (&text, tide_bytes (session->sid));
        tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
        tide_event_append (&records, &(tide_event_t){.topic = tide_bytes (topic),
                                                     .name = tide_bytes ("taken"),
                                                     .id = tide_bytes (id),
                                                     .payload = tide_buffer_bytes (&payload)});
        count++;
    }
    uint32_t present = tide_presence_append_all (hub, session, &records);
    tide_op_t *op =
        tide_record_publish (hub, session, &records, count + present, session->record_seq, taken);
    if (op) {
        op->number = attempt;
        tide_presence_expect_all (op, session, count);
    }
    else
        tide_client_refused (hub, session);
    tide_buffer_free (&records);
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
}

/*  Nothing behind the position may be lost, and the position must be of this log. */
static void checked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    bool complete = answer && answer->kind == TIDE_MESSAGE_PAGE;
    bool is_other_log =
        answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_EPOCH_CHANGED;
    if (!complete && !is_other_log) {
        tide_client_refused (hub, session);
        return;
    }
    tide_list_t lost = complete ? answer->page.lost : (tide_list_t){0};
    tide_want_t want;
    while (tide_want_next (&lost, &want))
        if (!tide_bytes_is (want.topic, session->topic))
            complete = false;
    if (!complete) {
        refuse_resume (hub, session);
        return;
    }
    session->recovered = true;
    if (is_admitted (hub, session, op->topic, (unsigned) op->number))
        take_over (hub, session, op->topic, (unsigned) op->number);
}

static void check_history (tide_hub_t *hub, tide_session_t *session, const char *old_lane,
                           unsigned attempt)
{
    session->state = TIDE_SESSION_CHECKING;
    tide_buffer_t wants = {0};
    uint32_t count = 1;
    tide_want_append (&wants, &(tide_want_t){tide_bytes (session->topic), session->cursor});
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        uint64_t since = member->joined > session->cursor ? member->joined : session->cursor;
        tide_want_append (&wants, &(tide_want_t){tide_channel_pattern (member->channel), since});
        count++;
    }
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = tide_feed_epoch (hub->feed);
    message.read.wants = tide_list (&wants, count);
    tide_op_t *op = tide_op_send (hub, &message, checked, session->connection);
    if (op) {
        op->session = session;
        op->number = attempt;
        op->topic = tide_copy (old_lane, strlen (old_lane));
    }
    else
        tide_client_refused (hub, session);
    tide_buffer_free (&wants);
}

/*  Takes one standing event of the record. False if it is not ours to resume. */
static bool take_record (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event,
                         char lane[128])
{
    tide_args_t args;
    const char *why;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? tide_json_parse (args.json, &why)
                       : NULL;
    bool good = json_is_object (json);
    if (good && tide_bytes_is (event->key, TIDE_SESSION_KEY)) {
        const char *sid = json_string_value (json_object_get (json, "sid"));
        const char *user = json_string_value (json_object_get (json, "user"));
        const char *nsp = json_string_value (json_object_get (json, "nsp"));
        const char *holder = json_string_value (json_object_get (json, "lane"));
        uint64_t base = (uint64_t) json_integer_value (json_object_get (json, "base"));
        bool is_closed = json_is_true (json_object_get (json, "closed"));
        good = !is_closed && sid && user && nsp && holder && strcmp (user, session->user) == 0
               && strcmp (nsp, session->nsp) == 0 && strlen (sid) < sizeof session->sid
               && tide_session_sid_valid (sid);
        if (good) {
            snprintf (session->sid, sizeof session->sid, "%s", sid);
            snprintf (lane, 128, "%s", holder);
            session->record_seq = event->seq;
            session->taken_ms = event->time_ms;
            session->base = base > 0 ? base : event->seq;
            session->has_rooms = json_is_true (json_object_get (json, "rooms"));
        }
    }
    else if (good && tide_bytes_is (event->key, TIDE_SESSION_DATA_KEY))
        session->is_served = true; /* it is a worker's, and goes as the record does */
    else if (good && tide_pattern_valid (event->key)) {
        uint64_t joined = (uint64_t) json_integer_value (json_object_get (json, "joined"));
        bool meta = json_is_true (json_object_get (json, "meta"));
        tide_channel_t *channel = tide_channel_use (hub, event->key);
        tide_member_t *member = tide_member_add (hub, session, channel, joined, meta);
        member->was_reset = json_is_true (json_object_get (json, "reset"));
        tide_presence_take (hub, member, json, event->time_ms);
        tide_cursors_go_on (hub, session, event->key, json_object_get (json, "cursor"),
                            member->was_reset ? joined : 0);
    }
    json_decref (json);
    return good;
}

/*  Gathers the parts of the record. True if it is whole. */
static bool gather_record (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_gathered_t gathered = tide_op_gather (hub, op, answer);
    if (gathered != TIDE_GATHERED_ALL && gathered != TIDE_GATHERED_PART)
        tide_client_refused (hub, op->session);
    return gathered == TIDE_GATHERED_ALL;
}

static bool take_records (tide_hub_t *hub, tide_session_t *session, tide_op_t *op, char lane[128])
{
    bool good = op->tag > 0;
    tide_event_t event;
    session->record_seq = 0;
    /*  Whose it is comes first, wherever it stands: its topics' cursors and presence go by that. */
    for (int is_topics = 0; is_topics < 2; is_topics++) {
        tide_list_t events = tide_list (&op->text, (uint32_t) op->tag);
        while (good && tide_event_next (&events, &event))
            if (tide_bytes_is (event.key, TIDE_SESSION_KEY) != is_topics)
                good = take_record (hub, session, &event, lane);
    }
    good = good && session->record_seq > 0;
    if (good)
        add_rooms (hub, session);
    return good;
}

static void record_read (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_client_refused (hub, session);
        return;
    }
    if (!gather_record (hub, op, answer))
        return;
    /*  Whether the position is of this log is known only now: this lane may have begun a moment
     *  ago, without a broker. */
    char lane[128] = "";
    bool same_log =
        session->position_epoch == 0 || session->position_epoch == answer->standing.epoch;
    if (!same_log || !take_records (hub, session, op, lane)) {
        refuse_resume (hub, session);
        return;
    }
    if (!session->has_position || session->cursor < session->base)
        session->cursor = session->base;
    check_history (hub, session, lane, (unsigned) op->number);
}

/*  A reset that was recorded may not have reached the client: if its position is not behind it, it
 *  is said again. */
static void repeat_resets (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member, *next;
    DL_FOREACH_SAFE2 (session->members, member, next, own_next)
        if (member->was_reset && session->cursor <= member->joined)
            tide_join_reset (hub, member, TIDE_TRIMMED);
}

/*  A topic that the one before us joined or left while we took over is in the record, though not
 *  in what we read of it: from the take-over on nobody but us can change it. */
static void record_read_again (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_session_t *session = op->session;
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_client_refused (hub, session);
        return;
    }
    if (!gather_record (hub, op, answer))
        return;
    uint64_t record_seq = session->record_seq;
    char lane[128] = "";
    json_t *entered = tide_presence_keep (session);
    forget_members (hub, session);
    if (take_records (hub, session, op, lane) && session->record_seq == record_seq) {
        if (session->is_moved) /* its resets are said, or are among its joins */
            tide_join_members_made (hub, session);
        else {
            session->recovered = true;
            repeat_resets (hub, session);
        }
        tide_presence_match (hub, session, entered);
        open_now (hub, session);
        return;
    }
    json_decref (entered);
    /*  Taken from us by now. */
    session->owns_record = false;
    tide_client_refused (hub, session);
}

static void read_again (tide_hub_t *hub, tide_session_t *session)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = tide_bytes (session->topic);
    tide_op_t *op = tide_op_send (hub, &message, record_read_again, session->connection);
    if (op) {
        op->session = session;
        op->topic = tide_copy (session->topic, strlen (session->topic));
    }
    else
        tide_client_refused (hub, session);
}

static void read_record (tide_hub_t *hub, tide_session_t *session, unsigned attempt)
{
    forget_members (hub, session);
    session->state = TIDE_SESSION_READING;
    session->record_seq = 0;
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = tide_bytes (session->topic);
    tide_op_t *op = tide_op_send (hub, &message, record_read, session->connection);
    if (op) {
        op->session = session;
        op->topic = tide_copy (session->topic, strlen (session->topic));
        op->number = attempt;
    }
    else
        tide_client_refused (hub, session);
}

void tide_session_open (tide_hub_t *hub, tide_connection_t *connection,
                        const tide_opening_t *opening)
{
    tide_bytes_t pid = opening->pid;
    tide_session_t *session = tide_alloc (sizeof *session);
    session->connection = connection;
    session->nsp = tide_copy (opening->nsp, strlen (opening->nsp));
    session->user = tide_copy (opening->user, strlen (opening->user));
    session->auth = json_incref (opening->auth);
    session->recovers = opening->recovers;
    session->has_position = opening->has_position;
    session->position_epoch = opening->has_position ? opening->epoch : 0;
    session->cursor = opening->seq;
    DL_APPEND (connection->sessions, session);
    connection->session_count++;
    if (!session->recovers) {
        session->has_rooms = connection->kind == TIDE_CLIENT_SOCKETIO;
        tide_hub_random (hub, "sid", session->sid, sizeof session->sid);
        if (is_admitted (hub, session, NULL, 0))
            open_without_record (hub, session);
    }
    else if (pid.size > 0 && pid.size < sizeof session->pid && hub->config.may_read) {
        snprintf (session->pid, sizeof session->pid, "%.*s", TIDE_PRINT (pid));
        set_topic (session, pid);
        read_record (hub, session, 0);
    }
    else {
        hub->counters.refused_resumes += pid.size > 0;
        make_session (hub, session);
    }
}

void tide_session_move_in (tide_hub_t *hub, tide_session_t *session, const char *lane)
{
    if (!session->recovers) {
        tide_presence_move_in (hub, session);
        open_now (hub, session);
        return;
    }
    set_topic (session, tide_bytes (session->pid));
    session->has_position = true;
    session->position_epoch = tide_feed_epoch (hub->feed);
    take_over (hub, session, lane, 0);
}

/*  -- ending ---------------------------------------------------------------------------------- */

static void nothing_more (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) hub;
    (void) op;
    (void) answer;
}

/*  It could not be ended so: its time has to run out. Of one that was taken over nothing is ours.
 */
static void not_ended (tide_hub_t *hub, const tide_op_t *op, const tide_message_t *answer)
{
    bool is_fail = answer && answer->kind == TIDE_MESSAGE_FAIL;
    if (answer && (!is_fail || answer->fail.code == TIDE_CONFLICT))
        return;
    tide_presence_not_left (hub, op);
    tide_record_release (hub, op->topic, op->number);
}

static void removed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    not_ended (hub, op, answer);
}

/*  Workers are told that it has ended, and what it had is theirs to read for as long as that may
 *  take: so it is closed, which nobody resumes, and the broker removes it a while later. */
static void closed (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (answer && answer->kind == TIDE_MESSAGE_ACK)
        tide_record_release (hub, op->topic, answer->ack.first);
    else
        not_ended (hub, op, answer);
}

/*  What ends the record, on condition that it is still ours, and presence with it. False if too
 *  many requests wait: then its time has to run out. */
static bool publish_end (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records,
                         uint32_t count, tide_op_fn *done)
{
    count += tide_presence_append_removals (hub, session, records);
    tide_op_t *op = tide_record_publish (hub, session, records, count, session->record_seq, done);
    if (!op)
        return false;
    op->number = session->record_seq;
    tide_presence_expect_removals (op, session);
    return true;
}

/*  Removes the record: its topics first, then itself. */
static bool remove_record (tide_hub_t *hub, tide_session_t *session)
{
    enum { TOPICS_MAX = TIDE_PUBLISH_EVENTS_MAX - 2 * TIDE_SESSION_PRESENT_MAX - 1 };
    tide_buffer_t records = {0};
    uint32_t count = 0;
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        tide_bytes_t pattern = tide_channel_pattern (member->channel);
        if (!tide_topic_is_readable (pattern))
            continue; /* not in the record */
        tide_record_topic (hub, session, pattern, 0, false, false, NULL, &records);
        if (++count == TIDE_PUBLISH_EVENTS_MAX) {
            tide_record_publish (hub, session, &records, count, session->record_seq, nothing_more);
            records.size = count = 0;
        }
    }
    if (count > TOPICS_MAX) {
        tide_record_publish (hub, session, &records, count, session->record_seq, nothing_more);
        records.size = count = 0;
    }
    tide_record_topic (hub, session, tide_bytes (TIDE_SESSION_KEY), 0, false, false, NULL,
                       &records);
    bool is_sent = publish_end (hub, session, &records, count + 1, removed);
    tide_buffer_free (&records);
    return is_sent;
}

static bool close_record (tide_hub_t *hub, tide_session_t *session)
{
    tide_buffer_t records = {0};
    session->is_closed = true;
    tide_record_session (hub, session, &records);
    bool is_sent = publish_end (hub, session, &records, 1, closed);
    tide_buffer_free (&records);
    return is_sent;
}

/*  What it asked for is forgotten; an append that is under way goes on without it. */
static void drop_session_ops (tide_hub_t *hub, tide_session_t *session)
{
    tide_op_t *op, *next;
    DL_FOREACH_SAFE2 (session->connection->ops, op, next, own_next) {
        if (op->session != session)
            continue;
        if (op->survives) {
            op->session = NULL;
            op->join = NULL;
            tide_reply_free (&op->reply);
        }
        else
            tide_op_cancel (hub, op);
    }
}

void tide_session_end (tide_hub_t *hub, tide_session_t **session_p, bool for_good)
{
    tide_session_t *session = *session_p;
    *session_p = NULL;
    session->is_served = session->is_served || tide_calls_are_open (session);
    /*  One that is on its way is told of by the lane that it has reached. */
    if ((session->state >= TIDE_SESSION_OPEN) != session->is_moved) {
        const char *reason = session->reason ? session->reason : session->connection->reason;
        tide_app_disconnected (hub, session, reason ? reason : "transport close");
    }
    if (session->is_kicked)
        DL_DELETE2 (hub->kicked, session, kicked_prev, kicked_next);
    tide_app_forget_admission (hub, session);
    tide_app_forget_calls (hub, session);
    tide_ask_forget (hub, session);
    tide_calls_forget (session);
    tide_orders_forget (hub, session);
    for_good = for_good || session->is_kicked;
    tide_presence_end_joins (hub, session, for_good);
    while (session->joins) {
        tide_join_t *join = session->joins;
        tide_join_abandon (hub, &join);
    }
    drop_session_ops (hub, session);
    tide_cursors_end (hub, session);
    tide_deliver_forget_page (hub, session);
    tide_deliver_pump (hub);
    unregister_session (hub, session);
    hub->counters.sessions -= session->state >= TIDE_SESSION_OPEN;
    bool is_removed =
        session->owns_record && for_good
        && (session->is_served ? close_record (hub, session) : remove_record (hub, session));
    if (!is_removed)
        tide_presence_end (hub, session);
    if (session->owns_record && !is_removed && session->is_moved)
        tide_record_release_later (hub, session->topic, session->record_seq);
    else if (session->owns_record && !is_removed)
        tide_record_release (hub, session->topic, session->record_seq);
    drop_session_ops (hub, session);
    forget_members (hub, session);
    DL_DELETE (session->connection->sessions, session);
    session->connection->session_count--;
    json_decref (session->auth);
    tide_buffer_free (&session->data);
    free (session->taken_from);
    free (session->asks);
    free (session->pending);
    free (session->nsp);
    free (session->user);
    free (session);
}

void tide_session_kick (tide_hub_t *hub, tide_session_t *session)
{
    if (session->is_kicked)
        return;
    session->is_kicked = true;
    DL_APPEND2 (hub->kicked, session, kicked_prev, kicked_next);
}

void tide_session_sweep (tide_hub_t *hub)
{
    while (hub->kicked) {
        tide_session_t *session = hub->kicked;
        tide_session_end (hub, &session, true);
    }
}

bool tide_session_is_excluded (tide_session_t *session, const tide_event_t *event)
{
    if (event->except.size == 0)
        return false;
    /*  Of a logged event it is known from where on the session was there. */
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if ((event->seq == 0 || member->joined < event->seq)
            && tide_event_excludes (event, tide_channel_pattern (member->channel)))
            return true;
    return false;
}

void tide_session_taken (tide_hub_t *hub, tide_session_t *session)
{
    tide_connection_t *connection = session->connection;
    unregister_session (hub, session);
    session->owns_record = false;     /* it is somebody else's now: nothing is released */
    tide_session_kick (hub, session); /* ends before it begins again, however long closing takes */
    tide_hub_close (hub, connection, connection->kind == TIDE_CLIENT_JSON ? 4001 : 0);
}

void tide_session_lane_event (tide_hub_t *hub, const tide_event_t *event)
{
    tide_args_t args;
    const char *why;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? tide_json_parse (args.json, &why)
                       : NULL;
    const char *sid = json_string_value (json);
    tide_session_t *session = NULL;
    if (sid)
        HASH_FIND (hh, hub->sessions, sid, strlen (sid), session);
    /*  It may have come back to this lane since: then the record that we hold is a later one. */
    if (session && session->owns_record && session->record_seq < event->seq)
        tide_session_taken (hub, session);
    json_decref (json);
}

/*  -- another log ----------------------------------------------------------------------------- */

static void reset_all (tide_hub_t *hub, tide_session_t *session)
{
    session->state = TIDE_SESSION_OPEN;
    tide_join_session_ready (hub, session);
    tide_member_t *member, *next;
    DL_FOREACH_SAFE2 (session->members, member, next, own_next) {
        if (!tide_topic_is_readable (tide_channel_pattern (member->channel))) {
            member->joined = session->base; /* there is nothing that it could have missed */
            member->is_suspended = false;
        }
        else
            tide_join_reset (hub, member, TIDE_EPOCH_CHANGED);
    }
    tide_session_whole (hub, session);
    tide_deliver_settle (hub, session);
}

void tide_session_whole (tide_hub_t *hub, tide_session_t *session)
{
    if (!session->is_remaking || session->state != TIDE_SESSION_OPEN)
        return;
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (member->is_suspended)
            return;
    session->is_remaking = false;
    tide_buffer_t records = {0};
    tide_record_remaking (hub, session, false, &records);
    tide_record_publish (hub, session, &records, 1, session->record_seq, nothing_more);
    tide_buffer_free (&records);
}

static void remade (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    bool good = answer && answer->kind == TIDE_MESSAGE_ACK;
    if (!op->session) {
        if (good)
            tide_record_release (hub, op->topic, answer->ack.first);
        return;
    }
    if (!good) {
        tide_hub_close (hub, op->session->connection, 1011);
        return;
    }
    op->session->record_seq = op->session->base = answer->ack.first;
    op->session->owns_record = true;
    /*  What is joined from here on is joined behind the base, which a resume does not go below. */
    if (op->session->cursor < op->session->base)
        op->session->cursor = op->session->base;
    reset_all (hub, op->session);
}

/*  Topics that the client joined itself. */
static bool has_own_topics (const tide_session_t *session)
{
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (tide_topic_is_readable (tide_channel_pattern (member->channel)))
            return true;
    return false;
}

/*  It was taken over in a log that is not there any more, and not opened: its topics may never have
 *  been read as a whole, and its position is none of this log. */
static void lose_taken (tide_hub_t *hub, tide_session_t *session)
{
    unregister_session (hub, session);
    session->owns_record = false;
    drop_session_ops (hub, session);
    refuse_resume (hub, session);
}

void tide_session_epoch (tide_hub_t *hub, tide_session_t *session)
{
    tide_deliver_forget_page (hub, session);
    tide_orders_forget (hub, session); /* what the other log said */
    if (session->state == TIDE_SESSION_TAKEN) {
        lose_taken (hub, session);
        return;
    }
    while (session->joins) {
        tide_join_t *join = session->joins;
        tide_reply_fail (hub, &join->reply, TIDE_EPOCH_CHANGED, NULL);
        tide_join_abandon (hub, &join);
    }
    tide_cursors_epoch (hub, session);
    /*  Until its reset is said, nothing of another log is delivered as if it went on. */
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        member->is_suspended = true;
        tide_deliver_forget_pending (session, member);
    }
    tide_presence_epoch (hub, session);
    session->owns_record = false;
    session->base = session->record_seq = session->last_number = 0;
    session->cursor = tide_feed_watermark (hub->feed);
    session->is_live = false;
    if (!session->recovers) {
        reset_all (hub, session);
        return;
    }
    session->state = TIDE_SESSION_REMAKING;
    session->is_remaking = has_own_topics (session);
    tide_buffer_t records = {0};
    tide_record_session (hub, session, &records);
    if (session->is_remaking)
        tide_record_remaking (hub, session, true, &records);
    if (!tide_record_publish (hub, session, &records, session->is_remaking ? 2 : 1, 0, remade))
        tide_hub_close (hub, session->connection, 1011);
    tide_buffer_free (&records);
}
