/*  tide_session.c - how a session is made and opens.
 *
 *  A session is the topic $session/SHA-256(pid) in the log: who it is under the key "#session", and
 *  a key for each topic joined. It is written when it is made and when its topics change, never at
 *  disconnect, so any gateway can resume it after anything died (tide_session_resume.c).
 *  SPDX-License-Identifier: MIT
 */
#include "tide_application_internal.h"
#include "tide_channel.h"
#include "tide_client.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_room.h"
#include "tide_session_internal.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tide_session_nothing_more (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    (void) hub;
    (void) op;
    (void) answer;
}

void tide_session_forget_members (tide_hub_t *hub, tide_session_t *session)
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

void tide_session_register (tide_hub_t *hub, tide_session_t *session)
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

void tide_session_unregister (tide_hub_t *hub, tide_session_t *session)
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
void tide_session_add_rooms (tide_hub_t *hub, tide_session_t *session)
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

void tide_session_open_now (tide_hub_t *hub, tide_session_t *session)
{
    tide_session_register (hub, session);
    tide_session_add_rooms (hub, session);
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

bool tide_session_is_admitted (tide_hub_t *hub, tide_session_t *session, const char *taken_from,
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
    tide_session_open_now (hub, session);
}

static void write_record (tide_hub_t *hub, tide_session_t *session);

void tide_session_admitted (tide_hub_t *hub, tide_session_t *session)
{
    session->is_admitted = true;
    if (!session->recovers)
        open_without_record (hub, session);
    else if (session->taken_from)
        tide_session_take_over (hub, session, session->taken_from, session->take_attempt);
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
        tide_session_open_now (hub, session);
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
    tide_session_forget_members (hub, session);
    tide_buffer_free (&session->data);
    session->recovered = session->is_admitted = false;
    session->has_rooms = session->connection->kind == TIDE_CLIENT_SOCKETIO;
    session->let_in = session->base = session->record_seq = session->cursor = 0;
    tide_hub_random (hub, "sid", session->sid, sizeof session->sid);
    tide_hub_random (hub, "pid", session->pid, sizeof session->pid);
    set_topic (session, tide_bytes (session->pid));
    if (tide_session_is_admitted (hub, session, NULL, 0))
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

void tide_session_refuse_resume (tide_hub_t *hub, tide_session_t *session)
{
    hub->counters.refused_resumes++;
    if (session->is_moved) {
        /*  To its client it is open: it learns of another one by connecting again. */
        tide_client_refused (hub, session);
        return;
    }
    make_session (hub, session);
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
        if (tide_session_is_admitted (hub, session, NULL, 0))
            open_without_record (hub, session);
    }
    else if (pid.size > 0 && pid.size < sizeof session->pid && hub->config.may_read) {
        snprintf (session->pid, sizeof session->pid, "%.*s", TIDE_PRINT (pid));
        set_topic (session, pid);
        tide_session_read_record (hub, session, 0);
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
        tide_session_open_now (hub, session);
        return;
    }
    set_topic (session, tide_bytes (session->pid));
    session->has_position = true;
    session->position_epoch = tide_feed_epoch (hub->feed);
    tide_session_take_over (hub, session, lane, 0);
}
