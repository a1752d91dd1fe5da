/*  tide_client_sse.c - Server-Sent Events: a stream of HTTP that is a reader like any other.
 *
 *  Its id is a position, and so is what it resumes from: its topics are read on from one cursor, in
 *  sequence order across them. Without a position it begins where the lane is complete now, and
 *  says so, so that a reader which is cut before its first event misses nothing either.
 *
 *  Nothing but the stream remembers what was told: while snapshots are still to come, those asked
 *  for or those of resets, neither a position is said nor an event that carries one. Who is cut
 *  then comes back from where it was before them, and is told all of them. Source: HTML
 *  Standard, 9.2 Server-sent events.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_client_sse.h"
#include "tide_channel.h"
#include "tide_deliver.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_reply.h"
#include "tide_session.h"

#include "tide_http.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_ALIVE_MS 15000
/*  How soon a browser comes back. */
#define RETRY_MS 1000

/*  What was asked for, until it can begin. */
struct tide_stream {
    tide_connection_t *connection;
    tide_since_t since;
    bool has_position;               /* since is to be checked against the log */
    tide_buffer_t topics;            /* each behind its u8 size */
    struct tide_stream *prev, *next; /* among those that wait for a broker */
};

/*  -- what is said ---------------------------------------------------------------------------- */

void tide_sse_block (tide_buffer_t *out, const char *event, tide_bytes_t data)
{
    if (event)
        tide_buffer_printf (out, "event: %s\n", event);
    tide_buffer_append_text (out, "data: ");
    /*  Line ends in JSON stand between its tokens only: a space does as well. */
    uint8_t *at = tide_buffer_reserve (out, data.size);
    for (size_t byte = 0; byte < data.size; byte++)
        at[byte] = data.data[byte] == '\n' || data.data[byte] == '\r' ? ' ' : data.data[byte];
    out->size += data.size;
    tide_buffer_append_text (out, "\n\n");
}

void tide_sse_id (tide_hub_t *hub, tide_buffer_t *out, uint64_t position)
{
    tide_buffer_append_text (out, "id: ");
    tide_position_text (out, tide_feed_epoch (hub->feed), position);
    tide_put_u8 (out, '\n');
}

/*  A block without data: nothing is dispatched, but the position is taken. */
static void send_position (tide_hub_t *hub, tide_session_t *session, const char *before)
{
    tide_buffer_t text = {0};
    tide_buffer_append_text (&text, before);
    tide_sse_id (hub, &text, session->cursor);
    tide_put_u8 (&text, '\n');
    tide_hub_send_text (hub, session->connection, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

/*  Says where the session is, once it has been given what there was. */
static void say_position (tide_hub_t *hub, tide_session_t *session, const char *before)
{
    tide_deliver_settle (hub, session);
    send_position (hub, session, before);
}

static bool has_all (const tide_session_t *session)
{
    return !session->joins && session->is_live && session->pending_count == 0 && session->members;
}

void tide_sse_joined (tide_hub_t *hub, tide_session_t *session)
{
    if (session->joins)
        return;
    session->connection->owes_position = true;
    tide_hub_ask_writable (hub, session->connection);
}

void tide_sse_delivered (tide_hub_t *hub, tide_session_t *session)
{
    if (!session->connection->owes_position || !has_all (session))
        return;
    session->connection->owes_position = false;
    say_position (hub, session, "");
}

/*  -- beginning ------------------------------------------------------------------------------- */

static bool next_topic (tide_reader_t *topics, tide_bytes_t *topic)
{
    if (topics->remaining == 0)
        return false;
    *topic = tide_take_bytes (topics, tide_take_u8 (topics));
    return true;
}

static void add_members (tide_hub_t *hub, tide_stream_t *stream, uint64_t seq)
{
    tide_session_t *session = stream->connection->sessions;
    tide_reader_t topics = tide_reader (tide_buffer_bytes (&stream->topics));
    tide_bytes_t topic;
    session->base = session->cursor = seq;
    while (next_topic (&topics, &topic))
        if (!tide_member_find (session, topic))
            tide_member_add (hub, session, tide_channel_use (hub, topic), seq, true);
}

static void read_on_from (tide_hub_t *hub, tide_stream_t *stream, uint64_t seq)
{
    tide_session_t *session = stream->connection->sessions;
    add_members (hub, stream, seq);
    session->is_live = false;
    send_position (hub, session, "");
    tide_deliver_settle (hub, session);
}

static void reset_all (tide_hub_t *hub, tide_stream_t *stream)
{
    tide_session_t *session = stream->connection->sessions;
    add_members (hub, stream, tide_feed_watermark (hub->feed));
    session->is_live = false;
    tide_member_t *member, *next;
    DL_FOREACH_SAFE2 (session->members, member, next, own_next)
        tide_join_reset (hub, member, TIDE_EPOCH_CHANGED);
    tide_deliver_settle (hub, session);
}

static void take_snapshots (tide_hub_t *hub, tide_stream_t *stream)
{
    tide_session_t *session = stream->connection->sessions;
    tide_reader_t topics = tide_reader (tide_buffer_bytes (&stream->topics));
    tide_bytes_t topic;
    while (next_topic (&topics, &topic)) {
        tide_reply_t reply = {.connection = session->connection};
        tide_join_begin (hub, session, topic, stream->since, true, NULL, &reply);
    }
}

static void free_stream (tide_hub_t *hub, tide_stream_t **stream_p)
{
    tide_stream_t *stream = *stream_p;
    if (!stream)
        return;
    *stream_p = NULL;
    if (stream->prev)
        DL_DELETE (hub->streams_waiting, stream);
    tide_buffer_free (&stream->topics);
    free (stream);
}

static void checked (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_connection_t *connection = op->connection;
    if (answer && answer->kind == TIDE_MESSAGE_PAGE)
        read_on_from (hub, connection->stream, connection->stream->since.seq);
    else if (answer && answer->kind == TIDE_MESSAGE_FAIL && answer->fail.code == TIDE_EPOCH_CHANGED)
        reset_all (hub, connection->stream);
    else {
        tide_hub_close (hub, connection, 0); /* it comes again */
        return;
    }
    free_stream (hub, &connection->stream);
}

/*  Is the position one of this log? */
static void check (tide_hub_t *hub, tide_stream_t *stream)
{
    tide_buffer_t wants = {0};
    uint32_t count = 0;
    tide_reader_t topics = tide_reader (tide_buffer_bytes (&stream->topics));
    tide_bytes_t topic;
    for (; next_topic (&topics, &topic); count++)
        tide_want_append (&wants, &(tide_want_t){topic, stream->since.seq});
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = stream->since.epoch;
    message.read.wants = tide_list (&wants, count);
    if (!tide_op_send (hub, &message, checked, stream->connection))
        tide_hub_close (hub, stream->connection, 0);
    tide_buffer_free (&wants);
}

static void begin (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_stream_t *stream = connection->stream;
    tide_session_open (hub, connection, &(tide_opening_t){.nsp = "/", .user = ""});
    if (stream->has_position) {
        check (hub, stream);
        return;
    }
    if (stream->since.kind == TIDE_SINCE_SNAPSHOT)
        take_snapshots (hub, stream);
    else
        read_on_from (hub, stream, tide_feed_watermark (hub->feed));
    free_stream (hub, &connection->stream);
}

void tide_sse_broker_came (tide_hub_t *hub)
{
    while (hub->streams_waiting) {
        tide_stream_t *stream = hub->streams_waiting;
        DL_DELETE (hub->streams_waiting, stream);
        stream->prev = NULL;
        begin (hub, stream->connection);
    }
}

/*  -- what is asked --------------------------------------------------------------------------- */

static tide_status_t take_topics (tide_hub_t *hub, const tide_http_request_t *request,
                                  tide_stream_t *stream, const char **why)
{
    unsigned count = tide_query_count (request->query, "topic");
    tide_buffer_t topic = {0};
    tide_status_t status = count > 0 ? TIDE_OK : TIDE_BAD_TOPIC;
    *why = "name a topic: /events?topic=…";
    if (count > TIDE_STREAM_TOPICS_MAX) {
        status = TIDE_TOO_MANY;
        *why = "a stream has at most 100 topics";
    }
    for (unsigned at = 0; status == TIDE_OK && at < count; at++) {
        tide_query_get (request->query, "topic", at, &topic);
        status = tide_may_read (hub, tide_buffer_bytes (&topic), why);
        tide_put_u8 (&stream->topics, (uint8_t) topic.size);
        tide_buffer_append_bytes (&stream->topics, tide_buffer_bytes (&topic));
    }
    tide_buffer_free (&topic);
    return status;
}

/*  A browser that comes back says where it was; else it is as the address says. */
static tide_status_t take_since (const tide_http_request_t *request, tide_stream_t *stream,
                                 const char **why)
{
    tide_buffer_t text = {0}, epoch = {0};
    tide_since_t *since = &stream->since;
    bool good = true;
    *why = "since is \"live\", \"start\", \"snapshot\", a sequence or epoch:seq";
    *since = (tide_since_t){.kind = TIDE_SINCE_SEQ};
    if (request->last_event_id.size > 0) {
        *why = "Last-Event-ID is epoch:seq";
        good = tide_position_parse (request->last_event_id, &since->epoch, &since->seq);
    }
    else if (!tide_query_get (request->query, "since", 0, &text)
             || tide_bytes_is (tide_buffer_bytes (&text), "live"))
        since->kind = TIDE_SINCE_LIVE;
    else if (tide_bytes_is (tide_buffer_bytes (&text), "snapshot"))
        since->kind = TIDE_SINCE_SNAPSHOT;
    else if (!tide_bytes_is (tide_buffer_bytes (&text), "start"))
        good = tide_position_parse (tide_buffer_bytes (&text), &since->epoch, &since->seq);
    if (good && since->epoch == 0 && tide_query_get (request->query, "epoch", 0, &epoch))
        good = tide_epoch_parse (tide_buffer_bytes (&epoch), &since->epoch);
    stream->has_position = since->kind == TIDE_SINCE_SEQ;
    tide_buffer_free (&text);
    tide_buffer_free (&epoch);
    return good ? TIDE_OK : TIDE_BAD_REQUEST;
}

tide_connection_t *tide_hub_stream (tide_hub_t *self, uint64_t now_ms,
                                    const tide_http_request_t *request, void *handle,
                                    uint64_t *ticket)
{
    self->now_ms = now_ms;
    const char *why = NULL;
    tide_stream_t *stream = tide_alloc (sizeof *stream);
    tide_status_t status = self->is_stopping ? TIDE_SHUTTING_DOWN : TIDE_OK;
    if (status == TIDE_OK && !tide_query_is_valid (request->query)) {
        status = TIDE_BAD_REQUEST;
        why = "the query has a malformed % escape";
    }
    if (status == TIDE_OK && tide_query_count (request->query, "cursor") > 0) {
        status = TIDE_BAD_REQUEST;
        why = "a stream cannot acknowledge, so it has no named cursor";
    }
    if (status == TIDE_OK)
        status = take_topics (self, request, stream, &why);
    if (status == TIDE_OK)
        status = take_since (request, stream, &why);
    if (status != TIDE_OK) {
        free_stream (self, &stream);
        *ticket = ++self->ticket;
        tide_reply_t reply = {.kind = TIDE_REPLY_HTTP, .ticket = *ticket};
        tide_reply_fail (self, &reply, status, why);
        return NULL;
    }
    tide_connection_t *connection =
        tide_hub_open (self, now_ms, TIDE_CLIENT_SSE, (tide_bytes_t){0}, handle);
    stream->connection = connection;
    connection->stream = stream;
    connection->alive_at_ms = now_ms + KEEP_ALIVE_MS;
    DL_APPEND2 (self->streams, connection, stream_prev, stream_next);
    tide_buffer_t text = {0};
    tide_buffer_printf (&text, "retry: %d\n\n", RETRY_MS);
    tide_hub_send_text (self, connection, tide_buffer_bytes (&text));
    tide_buffer_free (&text);
    /*  A refusal would be final to a browser: one that comes before the broker waits for it. */
    if (tide_feed_epoch (self->feed) != 0)
        begin (self, connection);
    else
        DL_APPEND (self->streams_waiting, stream);
    return connection;
}

void tide_sse_closed (tide_hub_t *hub, tide_connection_t *connection)
{
    free_stream (hub, &connection->stream);
    if (connection->alive_at_ms != 0)
        DL_DELETE2 (hub->streams, connection, stream_prev, stream_next);
}

/*  -- time ------------------------------------------------------------------------------------ */

void tide_sse_tick (tide_hub_t *hub)
{
    while (hub->streams && hub->streams->alive_at_ms <= hub->now_ms) {
        tide_connection_t *connection = hub->streams;
        DL_DELETE2 (hub->streams, connection, stream_prev, stream_next);
        connection->alive_at_ms = hub->now_ms + KEEP_ALIVE_MS;
        DL_APPEND2 (hub->streams, connection, stream_prev, stream_next);
        if (connection->outbox.size > 0) /* it takes nothing */
            continue;
        tide_session_t *session = connection->sessions;
        /*  The position that goes with it is not ahead of what was said. */
        if (session && has_all (session))
            say_position (hub, session, ": keep-alive\n");
        else
            tide_hub_send_text (hub, connection, tide_bytes (": keep-alive\n\n"));
    }
}

uint64_t tide_sse_deadline_ms (const tide_hub_t *hub)
{
    return hub->streams ? hub->streams->alive_at_ms : UINT64_MAX;
}
