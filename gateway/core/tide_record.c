/*  tide_record.c - what the log says of a session: written, published, taken, released.
 *
 *  The record is keyed events of the session's topic: who it is under "#session", a key for each
 *  topic joined, and "#remaking" while resets are owed. Each change is a conditional append, so
 *  that whoever has lost the session changes nothing.
 *
 *  SPDX-License-Identifier: MIT
 */
#include "tide_record.h"
#include "tide_channel.h"
#include "tide_cursors.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_presence.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  Margin after which a released session is surely removed. */
enum { RELEASE_MARGIN_MS = 60000 };
/*  What was handed to another lane is surely that lane's by then, or nobody's. */
enum { MOVE_MS = 5000 };
/*  How long one that has ended is kept for workers that are told of its end. */
enum { FAREWELL_MS = 30000 };

/*  -- the record ------------------------------------------------------------------------------ */

/*  Appends the event that is the session's record. base 0: where this very event stands. Its name
 *  is the session's namespace, so that the broker can say where a session is over
 *  (docs/protocol.md, "Calls"). Of one that has left for good workers were told before. */
void tide_record_session (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records)
{
    tide_buffer_t text = {0}, payload = {0};
    tide_buffer_append_text (&text, "{\"sid\":");
    tide_json_string (&text, tide_bytes (session->sid));
    tide_buffer_append_text (&text, ",\"user\":");
    tide_json_string (&text, tide_bytes (session->user));
    tide_buffer_append_text (&text, ",\"nsp\":");
    tide_json_string (&text, tide_bytes (session->nsp));
    tide_buffer_append_text (&text, ",\"lane\":");
    tide_json_string (&text, tide_bytes (hub->config.lane));
    tide_buffer_printf (&text, ",\"rooms\":%s,\"base\":%llu%s}",
                        session->has_rooms ? "true" : "false", (unsigned long long) session->base,
                        session->is_closed ? ",\"closed\":true" : "");
    tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
    char id[64];
    tide_link_make_id (hub->link, id);
    bool has_namespace = session->connection->kind == TIDE_CLIENT_SOCKETIO;
    tide_event_append (
        records, &(tide_event_t){
                     .flags = TIDE_EVENT_OWNS_TOPIC | (session->is_closed ? TIDE_EVENT_IS_TOLD : 0),
                     .topic = tide_bytes (session->topic),
                     .name = tide_bytes (has_namespace ? session->nsp : "session"),
                     .key = tide_bytes (TIDE_SESSION_KEY),
                     .id = tide_bytes (id),
                     .from = tide_bytes (session->sid),
                     .lease = tide_bytes (hub->config.lane),
                     .linger_ms = session->is_closed ? FAREWELL_MS : hub->config.resume_ms,
                     .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
}

void tide_record_data (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records)
{
    char id[64];
    tide_link_make_id (hub->link, id);
    tide_event_append (records, &(tide_event_t){.topic = tide_bytes (session->topic),
                                                .name = tide_bytes ("data"),
                                                .key = tide_bytes (TIDE_SESSION_DATA_KEY),
                                                .id = tide_bytes (id),
                                                .payload = tide_buffer_bytes (&session->data)});
}

void tide_record_topic (tide_hub_t *hub, tide_session_t *session, tide_bytes_t pattern,
                        uint64_t joined, bool meta, bool was_reset, const tide_present_t *present,
                        tide_buffer_t *records)
{
    tide_buffer_t text = {0}, payload = {0};
    if (joined > 0) {
        tide_buffer_printf (&text, "{\"joined\":%llu,\"meta\":%s%s", (unsigned long long) joined,
                            meta ? "true" : "false", was_reset ? ",\"reset\":true" : "");
        tide_presence_record (present, &text);
        const char *cursor = tide_cursors_name (session, pattern);
        if (cursor) {
            tide_buffer_append_text (&text, ",\"cursor\":");
            tide_json_string (&text, tide_bytes (cursor));
        }
        tide_put_u8 (&text, '}');
        tide_args_encode (&payload, &(tide_args_t){.json = tide_buffer_bytes (&text)});
    }
    char id[64];
    tide_link_make_id (hub->link, id);
    tide_event_append (records, &(tide_event_t){.topic = tide_bytes (session->topic),
                                                .name = tide_bytes (joined > 0 ? "join" : "leave"),
                                                .key = pattern,
                                                .id = tide_bytes (id),
                                                .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&text);
    tide_buffer_free (&payload);
}

/*  Appends the event that says, or takes back, that the session's topics await their resets. */
void tide_record_remaking (tide_hub_t *hub, tide_session_t *session, bool is_remaking,
                           tide_buffer_t *records)
{
    tide_buffer_t payload = {0};
    if (is_remaking)
        tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes ("true")});
    char id[64];
    tide_link_make_id (hub->link, id);
    tide_event_append (records,
                       &(tide_event_t){.topic = tide_bytes (session->topic),
                                       .name = tide_bytes (is_remaking ? "remaking" : "remade"),
                                       .key = tide_bytes (TIDE_REMAKING_KEY),
                                       .id = tide_bytes (id),
                                       .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
}

tide_op_t *tide_record_publish (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *records,
                                uint32_t count, uint64_t expected, tide_op_fn *done)
{
    tide_buffer_t expects = {0};
    if (session->recovers)
        tide_expect_append (&expects, &(tide_expect_t){tide_bytes (session->topic),
                                                       tide_bytes (TIDE_SESSION_KEY), expected});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.expects = tide_list (&expects, session->recovers);
    message.publish.events = tide_list (records, count);
    tide_op_t *op = tide_op_send (hub, &message, done, session->connection);
    tide_buffer_free (&expects);
    if (op) {
        /*  What was sent may be appended even if the connection ends meanwhile: then the record
         *  has to be released when the answer comes. */
        op->survives = true;
        op->session = session;
        op->topic = tide_copy (session->topic, strlen (session->topic));
    }
    return op;
}

tide_op_t *tide_session_publish_topic (tide_hub_t *hub, tide_session_t *session,
                                       tide_bytes_t pattern, uint64_t joined, bool meta,
                                       bool was_reset, const tide_present_t *present,
                                       tide_op_fn *done)
{
    tide_buffer_t records = {0};
    uint32_t count = 0;
    if (session->recovers) {
        tide_record_topic (hub, session, pattern, joined, meta, was_reset, present, &records);
        count++;
    }
    bool is_entered = tide_presence_append (hub, session, pattern, present, &records);
    tide_op_t *op =
        tide_record_publish (hub, session, &records, count + is_entered, session->record_seq, done);
    tide_buffer_free (&records);
    if (op && is_entered)
        tide_presence_expect (op, session, pattern, present, count);
    return op;
}

bool tide_record_take (tide_hub_t *hub, tide_session_t *session, const tide_event_t *event,
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

/*  -- release --------------------------------------------------------------------------------- */

static void send_release (tide_hub_t *hub, const tide_released_t *released)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_RELEASE};
    message.release.topic = tide_bytes (released->topic);
    message.release.key = tide_bytes (released->key);
    message.release.seq = released->seq;
    tide_link_send (hub->link, &message);
}

static void released_free (tide_released_t *released)
{
    free (released->topic);
    free (released->key);
    free (released);
}

static void forget_first (tide_released_t **list, unsigned *count)
{
    tide_released_t *released = *list;
    DL_DELETE (*list, released);
    (*count)--;
    released_free (released);
}

static tide_released_t *released_new (const char *topic, const char *key, uint64_t seq,
                                      uint64_t keep_ms)
{
    tide_released_t *released = tide_alloc (sizeof *released);
    released->topic = tide_copy (topic, strlen (topic));
    released->key = tide_copy (key, strlen (key));
    released->seq = seq;
    released->keep_ms = keep_ms;
    return released;
}

static bool is_session (const tide_released_t *released)
{
    return strcmp (released->key, TIDE_SESSION_KEY) == 0;
}

/*  Sessions and presence each have a list, in which all are told for the same time. */
static void add_released (tide_hub_t *hub, tide_released_t *released)
{
    tide_released_t **list = is_session (released) ? &hub->released : &hub->absent;
    unsigned *count = is_session (released) ? &hub->released_count : &hub->absent_count;
    released->until_ms = hub->now_ms + released->keep_ms;
    DL_APPEND (*list, released);
    send_release (hub, released);
    if (++*count > TIDE_RELEASED_MAX) {
        hub->counters.releases_dropped++;
        forget_first (list, count);
    }
}

static void add_moved (tide_hub_t *hub, tide_released_t *released)
{
    released->until_ms = hub->now_ms + MOVE_MS;
    DL_APPEND (hub->moved, released);
}

static tide_released_t *session_new (const tide_hub_t *hub, const char *topic, uint64_t seq)
{
    return released_new (topic, TIDE_SESSION_KEY, seq, hub->config.resume_ms + RELEASE_MARGIN_MS);
}

/*  The record's holder is gone: from now on its resume time runs. A broker that restarts gives
 *  every lease a full period again, so it is told again whenever the conversation begins anew. */
void tide_record_release (tide_hub_t *hub, const char *topic, uint64_t seq)
{
    add_released (hub, session_new (hub, topic, seq));
}

/*  The lane that gets the session writes it anew, and then this means nothing. If no lane does, it
 *  is as with any other that has lost its connection. */
void tide_record_release_later (tide_hub_t *hub, const char *topic, uint64_t seq)
{
    add_moved (hub, session_new (hub, topic, seq));
}

static tide_released_t *absent_new (const char *topic, const char *key, uint64_t seq)
{
    return released_new (topic, key, seq, TIDE_PRESENCE_LINGER_MS + RELEASE_MARGIN_MS);
}

void tide_presence_release (tide_hub_t *hub, const char *topic, const char *key, uint64_t seq)
{
    add_released (hub, absent_new (topic, key, seq));
}

void tide_presence_release_later (tide_hub_t *hub, const char *topic, const char *key, uint64_t seq)
{
    add_moved (hub, absent_new (topic, key, seq));
}

void tide_released_resend (tide_hub_t *hub)
{
    const tide_released_t *released;
    DL_FOREACH (hub->released, released)
        send_release (hub, released);
    DL_FOREACH (hub->absent, released)
        send_release (hub, released);
}

void tide_released_tick (tide_hub_t *hub)
{
    while (hub->moved && hub->moved->until_ms <= hub->now_ms) {
        tide_released_t *released = hub->moved;
        DL_DELETE (hub->moved, released);
        add_released (hub, released);
    }
    while (hub->released && hub->released->until_ms <= hub->now_ms)
        forget_first (&hub->released, &hub->released_count);
    while (hub->absent && hub->absent->until_ms <= hub->now_ms)
        forget_first (&hub->absent, &hub->absent_count);
}

void tide_released_forget (tide_hub_t *hub)
{
    tide_released_t **const lists[] = {&hub->moved, &hub->released, &hub->absent};
    tide_released_t *released, *next;
    for (size_t at = 0; at < sizeof lists / sizeof lists[0]; at++)
        DL_FOREACH_SAFE (*lists[at], released, next)
            released_free (released);
}
