/*  tide_handover.c - a connection goes from one lane to another with all that it has.
 *
 *  What a connection is, is little: bytes that it was not told yet, a packet that it has not said
 *  to the end, and, for each session, who that is, one cursor, the calls that it gave up, its
 *  topics and those that it is about to join. The lane that gets it writes itself into the
 *  sessions' records, as with any take-over, and reads on.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_handover.h"
#include "tide_calls.h"
#include "tide_channel.h"
#include "tide_cursors.h"
#include "tide_join.h"
#include "tide_presence.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  -- out ------------------------------------------------------------------------------------- */

static void put_bytes (tide_buffer_t *out, tide_bytes_t bytes)
{
    tide_put_u32 (out, (uint32_t) bytes.size);
    tide_buffer_append_bytes (out, bytes);
}

/*  What it says of itself there, as JSON, if anything does stand or is to. */
static void put_present (tide_buffer_t *out, const tide_present_t *present)
{
    tide_buffer_t text = {0};
    if (present->data)
        tide_json_value (&text, present->data);
    else if (present->seq > 0)
        tide_buffer_append_text (&text, "false");
    put_bytes (out, tide_buffer_bytes (&text));
    tide_put_u64 (out, present->since_ms);
    tide_buffer_free (&text);
}

/*  The named cursor by which the topic is read; empty: by none. */
static void put_cursor (tide_buffer_t *out, tide_session_t *session, tide_bytes_t topic)
{
    const char *name = tide_cursors_name (session, topic);
    put_bytes (out, name ? tide_bytes (name) : (tide_bytes_t){0});
}

static void put_member (tide_buffer_t *out, const tide_member_t *member)
{
    put_bytes (out, tide_channel_pattern (member->channel));
    tide_put_u64 (out, member->joined);
    tide_put_u8 (out, member->meta);
    tide_put_u8 (out, member->was_reset);
    put_present (out, &member->present);
    put_cursor (out, member->session, tide_channel_pattern (member->channel));
}

static void put_join (tide_buffer_t *out, const tide_join_t *join)
{
    put_bytes (out, tide_channel_pattern (join->channel));
    tide_put_u8 (out, (uint8_t) join->mode);
    tide_put_u8 (out, (uint8_t) join->reason);
    tide_put_u64 (out, join->epoch);
    tide_put_u64 (out, join->at);
    tide_put_u8 (out, join->meta);
    tide_put_u8 (out, join->is_reset);
    tide_put_u8 (out, join->had_member);
    tide_put_u8 (out, join->reply.kind == TIDE_REPLY_ACK);
    tide_put_u64 (out, join->reply.ack);
    put_present (out, &join->present);
    put_cursor (out, join->session, tide_channel_pattern (join->channel));
}

static void put_session (tide_buffer_t *out, const tide_session_t *session)
{
    put_bytes (out, tide_bytes (session->nsp));
    put_bytes (out, tide_bytes (session->user));
    put_bytes (out, tide_bytes (session->sid));
    put_bytes (out, tide_bytes (session->pid));
    tide_put_u8 (out, session->recovers);
    tide_put_u8 (out, session->recovered);
    tide_put_u8 (out, session->has_rooms);
    tide_put_u8 (out, session->is_record_stale);
    tide_put_u64 (out, session->cursor);
    tide_put_u64 (out, session->base);
    tide_put_u64 (out, session->record_seq);
    tide_calls_put (out, session);
    tide_put_u32 (out, session->member_count);
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        put_member (out, member);
    uint32_t joins = 0;
    const tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next)
        joins += join->step != TIDE_JOIN_FAILED;
    tide_put_u32 (out, joins);
    DL_FOREACH2 (session->joins, join, own_next)
        if (join->step != TIDE_JOIN_FAILED)
            put_join (out, join);
}

/*  What the client has said of a packet whose attachments are still to come. */
static void put_pending (tide_buffer_t *out, const tide_socketio_decoder_t *decoder)
{
    tide_buffer_t messages = {0};
    tide_bytes_t message;
    bool is_text;
    unsigned count = 0;
    while (decoder && tide_socketio_decoder_pending (decoder, &count, &message, &is_text)) {
        tide_put_u8 (&messages, is_text);
        put_bytes (&messages, message);
    }
    tide_put_u32 (out, count);
    tide_buffer_append_bytes (out, tide_buffer_bytes (&messages));
    tide_buffer_free (&messages);
}

/*  Nothing may be under way whose end only this lane would hear of. */
static bool session_is_quiet (const tide_session_t *session)
{
    const tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next)
        if (join->step == TIDE_JOIN_RECORDING || join->reply.kind == TIDE_REPLY_DONE)
            return false;
    return session->state == TIDE_SESSION_OPEN && !session->is_remaking && !session->calls
           && !session->is_kicked && session->order_pin == 0 && tide_cursors_are_quiet (session);
}

bool tide_handover_is_ready (const tide_connection_t *connection)
{
    if (connection->engineio.post != 0) /* what it says is taken here */
        return false;
    const tide_op_t *op;
    DL_FOREACH2 (connection->ops, op, own_next)
        if (!op->join) /* those that only bring a topic up are asked again there */
            return false;
    const tide_session_t *session;
    DL_FOREACH (connection->sessions, session)
        if (!session_is_quiet (session))
            return false;
    return true;
}

void tide_handover_write (const tide_hub_t *hub, const tide_connection_t *connection,
                          tide_buffer_t *out)
{
    tide_put_u64 (out, tide_feed_epoch (hub->feed));
    tide_put_u8 (out, connection->connect_by_ms != 0);
    put_bytes (out, (tide_bytes_t){connection->outbox.data + connection->outbox_at,
                                   connection->outbox.size - connection->outbox_at});
    put_pending (out, connection->decoder);
    tide_put_u32 (out, connection->session_count);
    const tide_session_t *session;
    DL_FOREACH (connection->sessions, session)
        put_session (out, session);
}

/*  -- in -------------------------------------------------------------------------------------- */

static tide_bytes_t take_bytes (tide_reader_t *reader)
{
    uint32_t size = tide_take_u32 (reader);
    return tide_take_bytes (reader, size);
}

/*  A name into a place of its own; false if it does not fit. */
static bool take_name (tide_reader_t *reader, char *name, size_t size)
{
    tide_bytes_t bytes = take_bytes (reader);
    if (bytes.size >= size || !tide_utf8_valid (bytes))
        return false;
    snprintf (name, size, "%.*s", TIDE_PRINT (bytes));
    return true;
}

/*  False if it is none that the session can have. The caller frees it. */
static bool take_present (const tide_session_t *session, tide_bytes_t topic, tide_reader_t *reader,
                          tide_present_t *present)
{
    tide_bytes_t text = take_bytes (reader);
    const char *why;
    *present = (tide_present_t){.since_ms = tide_take_u64 (reader)};
    if (text.size == 0)
        return !reader->failed;
    json_t *json = text.size <= TIDE_PRESENT_SIZE_MAX ? tide_json_parse (text, &why) : NULL;
    present->is_due = true; /* under this lane's lease */
    if (json_is_false (json))
        present->seq = 1; /* wherever it stands, it is to be removed */
    else if (json && tide_presence_check (session, topic, json, &why) == TIDE_OK)
        present->data = json_incref (json);
    json_decref (json);
    return present->data || present->seq > 0;
}

static void go_on_acknowledging (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                                 tide_bytes_t cursor, uint64_t least)
{
    json_t *name = json_stringn ((const char *) cursor.data, cursor.size); /* NULL: no UTF-8 */
    if (cursor.size > 0)
        tide_cursors_go_on (hub, session, topic, name, least);
    json_decref (name);
}

static bool take_members (tide_hub_t *hub, tide_session_t *session, tide_reader_t *reader)
{
    uint32_t count = tide_take_u32 (reader);
    if (count > TIDE_SESSION_TOPICS_MAX + 2) /* its own, and its namespace's */
        return false;
    for (uint32_t at = 0; at < count && !reader->failed; at++) {
        tide_bytes_t topic = take_bytes (reader);
        uint64_t joined = tide_take_u64 (reader);
        bool meta = tide_take_u8 (reader), was_reset = tide_take_u8 (reader);
        tide_present_t present;
        if (!tide_pattern_valid (topic) || tide_member_find (session, topic)
            || !take_present (session, topic, reader, &present))
            return false;
        tide_member_t *member =
            tide_member_add (hub, session, tide_channel_use (hub, topic), joined, meta);
        member->was_reset = was_reset;
        tide_presence_move (hub, member, &present);
        go_on_acknowledging (hub, session, topic, take_bytes (reader), was_reset ? joined : 0);
    }
    return !reader->failed;
}

static void go_on_joining (tide_hub_t *hub, tide_session_t *session, const tide_join_t *wanted,
                           tide_bytes_t topic)
{
    tide_reply_t reply = {.connection = session->connection};
    if (wanted->reply.kind == TIDE_REPLY_ACK) {
        reply.kind = TIDE_REPLY_ACK;
        reply.nsp = tide_copy (session->nsp, strlen (session->nsp));
        reply.ack = wanted->reply.ack;
    }
    tide_join_go_on (hub, session, topic, wanted, &reply);
    tide_reply_free (&reply);
}

static bool take_joins (tide_hub_t *hub, tide_session_t *session, tide_reader_t *reader)
{
    uint32_t count = tide_take_u32 (reader);
    for (uint32_t at = 0; at < count && !reader->failed; at++) {
        tide_join_t wanted = {0};
        tide_bytes_t topic = take_bytes (reader);
        unsigned mode = tide_take_u8 (reader), reason = tide_take_u8 (reader);
        wanted.epoch = tide_take_u64 (reader);
        wanted.at = tide_take_u64 (reader);
        wanted.meta = tide_take_u8 (reader);
        wanted.is_reset = tide_take_u8 (reader);
        wanted.had_member = tide_take_u8 (reader);
        wanted.reply.kind = tide_take_u8 (reader) ? TIDE_REPLY_ACK : TIDE_REPLY_NONE;
        wanted.reply.ack = tide_take_u64 (reader);
        if (reader->failed || !tide_pattern_valid (topic) || mode > TIDE_JOIN_RESET
            || !take_present (session, topic, reader, &wanted.present))
            return false;
        wanted.mode = mode;
        wanted.reason = (tide_status_t) reason;
        go_on_acknowledging (hub, session, topic, take_bytes (reader), 0);
        go_on_joining (hub, session, &wanted, topic);
        tide_present_free (&wanted.present);
    }
    return !reader->failed;
}

static bool take_session (tide_hub_t *hub, tide_connection_t *connection, const char *lane,
                          tide_reader_t *reader)
{
    tide_session_t *session = tide_alloc (sizeof *session);
    tide_bytes_t nsp = take_bytes (reader), user = take_bytes (reader);
    session->connection = connection;
    session->nsp = tide_copy (nsp.data, nsp.size);
    session->user = tide_copy (user.data, user.size);
    DL_APPEND (connection->sessions, session);
    connection->session_count++;
    bool good = nsp.size <= TIDE_NAME_SIZE_MAX && tide_name_valid (nsp)
                && user.size <= TIDE_NAME_SIZE_MAX && tide_utf8_valid (user)
                && take_name (reader, session->sid, sizeof session->sid)
                && tide_session_sid_valid (session->sid)
                && take_name (reader, session->pid, sizeof session->pid);
    session->recovers = tide_take_u8 (reader);
    session->recovered = tide_take_u8 (reader);
    session->has_rooms = tide_take_u8 (reader);
    session->is_record_stale = tide_take_u8 (reader);
    session->cursor = tide_take_u64 (reader);
    session->base = tide_take_u64 (reader);
    session->record_seq = tide_take_u64 (reader);
    session->is_moved = session->is_admitted = true;
    const tide_session_t *other;
    DL_FOREACH (connection->sessions, other)
        good = good && (other == session || strcmp (other->nsp, session->nsp) != 0);
    if (!good || !tide_calls_take (session, reader) || !take_members (hub, session, reader))
        return false;
    tide_session_move_in (hub, session, lane);
    return take_joins (hub, session, reader);
}

static bool take_pending (tide_socketio_decoder_t *decoder, tide_reader_t *reader)
{
    uint32_t count = tide_take_u32 (reader);
    for (uint32_t at = 0; at < count; at++) {
        tide_socketio_packet_t packet;
        const char *why;
        bool is_text = tide_take_u8 (reader);
        tide_bytes_t message = take_bytes (reader);
        if (reader->failed || !decoder
            || tide_socketio_decode (decoder, message, is_text, &packet, &why)
                   != TIDE_SOCKETIO_MORE)
            return false;
    }
    return !reader->failed;
}

bool tide_handover_read (tide_hub_t *hub, tide_connection_t *connection, const char *lane,
                         tide_bytes_t bytes)
{
    tide_reader_t reader = tide_reader (bytes);
    if (tide_take_u64 (&reader) != tide_feed_epoch (hub->feed))
        return false; /* another log by now: the client comes again, and is told */
    bool awaits_namespace = tide_take_u8 (&reader);
    tide_bytes_t outbox = take_bytes (&reader);
    if (!take_pending (connection->decoder, &reader))
        return false;
    uint32_t count = tide_take_u32 (&reader);
    if (reader.failed || count > TIDE_NAMESPACES_MAX || !tide_wsframe_are_whole (outbox))
        return false;
    tide_buffer_append_bytes (&connection->outbox, outbox);
    if (!awaits_namespace)
        tide_hub_settled (hub, connection);
    for (uint32_t at = 0; at < count; at++)
        if (!take_session (hub, connection, lane, &reader))
            return false;
    return !reader.failed && reader.remaining == 0;
}
