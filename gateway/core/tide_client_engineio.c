/*  tide_client_engineio.c - clients of Engine.IO, whatever carries them.
 *
 *  A connection is one Engine.IO session for as long as that lives. While it polls there is no
 *  handle of the shell: what it is to be told waits for the next GET, which is answered by what a
 *  WebSocket would be written, in another wrapping. A WebSocket that asks to take over is a
 *  connection of its own (a probe) until it does; then the shell's handle goes to the session.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_client_engineio.h"
#include "tide_ask.h"
#include "tide_client.h"
#include "tide_neighbours.h"

#include "tide_application.h"
#include "tide_http.h"

#include <stdlib.h>
#include <string.h>

#define POLL_TYPE "text/plain; charset=UTF-8"
/*  Not text/plain, which some browsers would offer to save; the reference's choice. */
#define POST_TYPE "text/html"

/*  -- heartbeat ------------------------------------------------------------------------------- */

static void forget_timer (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->timer == TIDE_TIMER_PING)
        DL_DELETE2 (hub->pings, connection, timer_prev, timer_next);
    else if (connection->timer == TIDE_TIMER_PONG)
        DL_DELETE2 (hub->pongs, connection, timer_prev, timer_next);
    connection->timer = TIDE_TIMER_NONE;
}

/*  Ping intervals and time-outs are the same for all, so the lists stay sorted by appending. */
static void set_timer (tide_hub_t *hub, tide_connection_t *connection)
{
    forget_timer (hub, connection);
    if (connection->engineio.ping_at_ms != 0) {
        connection->timer = TIDE_TIMER_PING;
        DL_APPEND2 (hub->pings, connection, timer_prev, timer_next);
    }
    else {
        connection->timer = TIDE_TIMER_PONG;
        DL_APPEND2 (hub->pongs, connection, timer_prev, timer_next);
    }
}

/*  Its pong may lie unread, because we do not read. One that polls can post it, unless we hold back
 *  the answer to its last POST. */
static bool holds_pong_back (const tide_connection_t *connection)
{
    return connection->is_paused
           && (!tide_engine_polls (connection) || connection->engineio.post != 0);
}

static void tick_heartbeats (tide_hub_t *hub)
{
    while (hub->pongs && hub->pongs->engineio.pong_by_ms <= hub->now_ms) {
        tide_connection_t *connection = hub->pongs;
        if (holds_pong_back (connection)) { /* it is given the time anew */
            connection->engineio.pong_by_ms = hub->now_ms + hub->config.engineio.ping_timeout_ms;
            set_timer (hub, connection);
            continue;
        }
        hub->counters.ping_timeouts++;
        forget_timer (hub, connection);
        connection->reason = "ping timeout";
        tide_hub_drop (hub, connection, "1");
    }
    while (hub->pings && hub->pings->engineio.ping_at_ms <= hub->now_ms) {
        tide_connection_t *connection = hub->pings;
        if (connection->is_closing) {
            forget_timer (hub, connection);
            continue;
        }
        if (tide_engineio_tick (&connection->engineio, &hub->config.engineio, hub->now_ms)
            == TIDE_ENGINEIO_PING)
            tide_hub_send_text (hub, connection, tide_bytes ("2"));
        set_timer (hub, connection);
    }
}

/*  -- sessions -------------------------------------------------------------------------------- */

static tide_connection_t *find (tide_hub_t *hub, tide_bytes_t sid)
{
    tide_connection_t *connection;
    HASH_FIND (engine_hh, hub->engines, sid.data, sid.size, connection);
    return connection;
}

/*  The sid begins with the lane's id, so that a request which reaches another lane can be brought
 *  to this one. */
static char *make_sid (tide_hub_t *hub)
{
    char secret[48];
    tide_hub_random (hub, "eio", secret, sizeof secret);
    tide_buffer_t sid = {0};
    tide_buffer_printf (&sid, "%s.%s", hub->config.lane, secret);
    char *text = tide_copy (sid.data, sid.size);
    tide_buffer_free (&sid);
    return text;
}

static bool serves_messages (const tide_hub_t *hub)
{
    return hub->config.application && hub->config.application->message;
}

/*  What stands on Engine.IO. */
static void begin (tide_hub_t *hub, tide_connection_t *connection)
{
    if (serves_messages (hub))
        return;
    connection->decoder = tide_socketio_decoder_new (hub->config.payload_max);
    connection->connect_by_ms = hub->now_ms + hub->config.connect_timeout_ms;
    DL_APPEND2 (hub->connecting, connection, connect_prev, connect_next);
}

void tide_engine_open (tide_hub_t *hub, tide_connection_t *connection,
                       tide_engineio_transport_t transport)
{
    connection->engine_sid = make_sid (hub);
    HASH_ADD_KEYPTR (engine_hh, hub->engines, connection->engine_sid,
                     strlen (connection->engine_sid), connection);
    begin (hub, connection);
    tide_buffer_t packet = {0};
    tide_engineio_open (&connection->engineio, &hub->config.engineio, transport, hub->now_ms,
                        tide_bytes (connection->engine_sid), &packet);
    tide_hub_send_text (hub, connection, tide_buffer_bytes (&packet));
    tide_buffer_free (&packet);
    set_timer (hub, connection);
}

void tide_engine_move_in (tide_hub_t *hub, tide_connection_t *connection)
{
    connection->is_probe = false;
    connection->engine_sid = connection->far_sid;
    connection->far_sid = NULL;
    HASH_ADD_KEYPTR (engine_hh, hub->engines, connection->engine_sid,
                     strlen (connection->engine_sid), connection);
    begin (hub, connection);
    /*  When it was pinged last is not known here, and it counts from that. */
    connection->engineio =
        (tide_engineio_t){.transport = TIDE_ENGINEIO_WEBSOCKET,
                          .pong_by_ms = hub->now_ms + hub->config.engineio.ping_timeout_ms};
    tide_hub_send_text (hub, connection, tide_bytes ("2"));
    set_timer (hub, connection);
}

static void forget_sid (tide_hub_t *hub, tide_connection_t *connection)
{
    if (!connection->engine_sid)
        return;
    HASH_DELETE (engine_hh, hub->engines, connection);
    free (connection->engine_sid);
    connection->engine_sid = NULL;
}

/*  -- packets --------------------------------------------------------------------------------- */

static void receive (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t packet,
                     bool is_text)
{
    tide_bytes_t body;
    uint64_t ping_at_ms = connection->engineio.ping_at_ms;
    tide_buffer_t binary = {0};
    if (is_text && tide_engineio_base64 (packet, &binary)) {
        packet = tide_buffer_bytes (&binary);
        is_text = false;
    }
    switch (tide_engineio_receive (&connection->engineio, &hub->config.engineio, hub->now_ms,
                                   packet, is_text, &body)) {
    case TIDE_ENGINEIO_MESSAGE:
        if (serves_messages (hub))
            hub->config.application->message (hub->config.application->argument, hub, connection,
                                              body, is_text);
        else
            tide_client_socketio_frame (hub, connection, body, is_text);
        break;
    case TIDE_ENGINEIO_NOTHING:
        if (connection->engineio.ping_at_ms != ping_at_ms)
            set_timer (hub, connection);
        break;
    case TIDE_ENGINEIO_CLOSE:
        tide_hub_drop (hub, connection, "6");
        break;
    case TIDE_ENGINEIO_ERROR:
        hub->counters.parse_errors++;
        connection->reason = "parse error";
        tide_hub_drop (hub, connection, "1");
        break;
    }
    tide_buffer_free (&binary);
}

/*  -- the upgrade ----------------------------------------------------------------------------- */

static bool can_be_probed (tide_connection_t *target)
{
    return !target->is_closing && tide_engineio_probe (&target->engineio);
}

static void begin_probe (tide_hub_t *hub, tide_connection_t *probe, tide_connection_t *target)
{
    target->probe = probe;
    probe->target = target;
    probe->probe_by_ms = hub->now_ms + TIDE_ENGINEIO_UPGRADE_MS;
    DL_APPEND2 (hub->probes, probe, probe_prev, probe_next);
}

void tide_engine_open_probe (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t sid)
{
    connection->is_probe = true;
    char lane[TIDE_LANE_SIZE_MAX + 1];
    tide_connection_t *target = find (hub, sid);
    if (target && can_be_probed (target))
        begin_probe (hub, connection, target);
    else if (!target && tide_neighbour_of (hub, sid, lane))
        tide_neighbour_open_probe (hub, connection, lane, sid);
    else
        tide_hub_close (hub, connection, 0);
}

tide_connection_t *tide_engine_open_far_probe (tide_hub_t *hub, tide_bytes_t sid)
{
    tide_connection_t *target = find (hub, sid);
    const tide_session_t *session;
    if (!target)
        return NULL;
    /*  What the application has in hand could not be answered there, and what it has asked the
     *  client could not be told here. */
    DL_FOREACH (target->sessions, session)
        if (session->calls || tide_ask_awaits (hub, session))
            return NULL;
    if (!can_be_probed (target))
        return NULL;
    tide_connection_t *probe = tide_alloc (sizeof *probe);
    probe->kind = TIDE_CLIENT_SOCKETIO;
    probe->is_probe = true;
    DL_APPEND (hub->connections, probe);
    hub->counters.connections++;
    begin_probe (hub, probe, target);
    return probe;
}

/*  The two know nothing of each other any more. */
static void forget_probe (tide_hub_t *hub, tide_connection_t *probe)
{
    if (!probe->target)
        return;
    DL_DELETE2 (hub->probes, probe, probe_prev, probe_next);
    probe->target->probe = NULL;
    probe->target = NULL;
}

static void end_probe (tide_hub_t *hub, tide_connection_t *probe)
{
    if (probe->far_lane) {
        tide_neighbour_end_probe (hub, probe);
        return;
    }
    if (probe->target)
        tide_engineio_unprobe (&probe->target->engineio);
    forget_probe (hub, probe);
    tide_hub_close (hub, probe, 0);
}

static void answer_poll (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t payload);
static void answer_post (tide_hub_t *hub, tide_connection_t *connection, unsigned status);

/*  The session is the WebSocket's from here on. */
static void upgrade (tide_hub_t *hub, tide_connection_t *probe)
{
    tide_connection_t *target = probe->target;
    forget_probe (hub, probe);
    answer_poll (hub, target, tide_bytes ("6"));
    if (target->is_closing) { /* its poll could not be answered: the session is over */
        tide_hub_close (hub, probe, 0);
        return;
    }
    if (probe->guest) {
        tide_neighbour_leave (hub, target, probe);
        tide_hub_close (hub, probe, 0);
        return;
    }
    /*  What the probe was to be told comes first; it was told that much less than the whole. */
    tide_buffer_t outbox = {0};
    tide_buffer_append (&outbox, probe->outbox.data + probe->outbox_at,
                        probe->outbox.size - probe->outbox_at);
    tide_buffer_append (&outbox, target->outbox.data + target->outbox_at,
                        target->outbox.size - target->outbox_at);
    tide_buffer_free (&probe->outbox);
    tide_buffer_free (&target->outbox);
    target->outbox = outbox;
    target->outbox_at = probe->outbox_at = 0;
    target->handle = probe->handle;
    probe->target = target;
    probe->has_taken = true;
    target->probe = probe;
    hub->counters.upgrades++;
    tide_hub_action_t *action = tide_hub_queue (hub, TIDE_HUB_UPGRADED, (tide_bytes_t){0});
    action->connection = probe;
    action->handle = probe->handle;
    if (target->is_paused)
        tide_hub_queue_for (hub, TIDE_HUB_PAUSE, target, 0);
    tide_hub_ask_writable (hub, target);
}

static void probe_frame (tide_hub_t *hub, tide_connection_t *probe, tide_bytes_t bytes,
                         bool is_text)
{
    if (!probe->target)
        return;
    if (probe->target->is_closing) {
        end_probe (hub, probe);
        return;
    }
    switch (tide_engineio_probe_frame (&probe->target->engineio, bytes, is_text)) {
    case TIDE_ENGINEIO_PROBE_ANSWER:
        if (probe->guest)
            tide_neighbour_probed (hub, probe);
        else
            tide_hub_send_text (hub, probe, tide_bytes ("3probe"));
        tide_hub_ask_writable (hub, probe->target);
        break;
    case TIDE_ENGINEIO_PROBE_TAKES:
        upgrade (hub, probe);
        break;
    case TIDE_ENGINEIO_PROBE_FAILS:
        end_probe (hub, probe);
        break;
    }
}

void tide_engine_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                        bool is_text)
{
    if (connection->far_lane)
        tide_neighbour_probe_frame (hub, connection, bytes, is_text);
    else if (connection->is_probe)
        probe_frame (hub, connection, bytes, is_text);
    else
        receive (hub, connection, bytes, is_text);
}

/*  -- polling: requests ----------------------------------------------------------------------- */

static void hold (tide_hub_t *hub, tide_connection_t *connection, uint64_t ticket)
{
    tide_held_t *held = tide_alloc (sizeof *held);
    held->ticket = ticket;
    held->connection = connection;
    HASH_ADD (hh, hub->held, ticket, sizeof held->ticket, held);
}

static tide_held_t *find_held (tide_hub_t *hub, uint64_t ticket)
{
    tide_held_t *held;
    HASH_FIND (hh, hub->held, &ticket, sizeof ticket, held);
    return held;
}

static void let_go (tide_hub_t *hub, uint64_t ticket)
{
    tide_held_t *held = find_held (hub, ticket);
    if (!held)
        return;
    HASH_DEL (hub->held, held);
    tide_buffer_free (&held->body);
    free (held);
}

static void answer_poll (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t payload)
{
    uint64_t ticket = tide_engineio_take_poll (&connection->engineio);
    if (ticket == 0)
        return;
    let_go (hub, ticket);
    if (!tide_hub_respond (hub, ticket, 200, POLL_TYPE, payload)) {
        connection->reason = "transport error"; /* what it was told is lost: it comes again */
        tide_hub_drop (hub, connection, "1");
    }
}

static void answer_post (tide_hub_t *hub, tide_connection_t *connection, unsigned status)
{
    uint64_t ticket = tide_engineio_take_post (&connection->engineio);
    if (ticket == 0)
        return;
    let_go (hub, ticket);
    tide_hub_respond (hub, ticket, status, POST_TYPE, tide_bytes (status == 200 ? "ok" : ""));
}

static void refuse (tide_hub_t *hub, uint64_t ticket, int code)
{
    tide_buffer_t body = {0};
    tide_engineio_refusal (&body, code, false);
    hub->counters.refused_requests++;
    tide_hub_respond (hub, ticket, 400, "application/json", tide_buffer_bytes (&body));
    tide_buffer_free (&body);
}

/*  Two requests where there may be one: the session is over. */
static void overlap (tide_hub_t *hub, tide_connection_t *connection, uint64_t ticket)
{
    refuse (hub, ticket, TIDE_ENGINEIO_BAD_REQUEST);
    hub->counters.parse_errors++;
    connection->reason = "transport error";
    tide_hub_drop (hub, connection, "1");
}

static void finish (tide_hub_t *hub, tide_connection_t *connection);

static void take_get (tide_hub_t *hub, tide_connection_t *connection, uint64_t ticket)
{
    if (!tide_engineio_poll (&connection->engineio, ticket)) {
        overlap (hub, connection, ticket);
        return;
    }
    hold (hub, connection, ticket);
    if (connection->farewell_by_ms != 0)
        finish (hub, connection);
    else
        tide_hub_ask_writable (hub, connection);
}

static void take_post (tide_hub_t *hub, tide_connection_t *connection, bool is_binary,
                       uint64_t ticket)
{
    if (is_binary || !tide_engineio_post (&connection->engineio, ticket))
        overlap (hub, connection, ticket);
    else
        hold (hub, connection, ticket);
}

/*  What a request of Engine.IO says; `text` holds it. */
static tide_engineio_request_t parse (const tide_http_request_t *request, tide_buffer_t text[3])
{
    tide_query_get (request->query, "transport", 0, &text[0]);
    tide_query_get (request->query, "EIO", 0, &text[1]);
    tide_query_get (request->query, "sid", 0, &text[2]);
    return (tide_engineio_request_t){.method = request->method,
                                     .transport = tide_buffer_bytes (&text[0]),
                                     .eio = tide_buffer_bytes (&text[1]),
                                     .sid = tide_buffer_bytes (&text[2]),
                                     .is_websocket = request->is_websocket};
}

static void free_texts (tide_buffer_t text[3])
{
    for (unsigned at = 0; at < 3; at++)
        tide_buffer_free (&text[at]);
}

/*  What is known of a session that another lane holds: it polls, or it would not be asked for. */
static const tide_engineio_t far_away = {.transport = TIDE_ENGINEIO_POLLING};

int tide_hub_check_handshake (tide_hub_t *self, const tide_http_request_t *request)
{
    tide_buffer_t text[3] = {{0}};
    tide_engineio_request_t asked = parse (request, text);
    char lane[TIDE_LANE_SIZE_MAX + 1];
    const tide_connection_t *connection = find (self, asked.sid);
    bool is_far =
        !connection
        && (tide_neighbour_of (self, asked.sid, lane) || tide_engine_is_known (self, asked.sid));
    const tide_engineio_t *session = connection ? &connection->engineio : is_far ? &far_away : NULL;
    int code = tide_engineio_check (&asked, session);
    free_texts (text);
    return code < 0 && session == &far_away ? TIDE_HANDSHAKE_FAR : code;
}

uint64_t tide_hub_ask_handshake (tide_hub_t *self, uint64_t now_ms,
                                 const tide_http_request_t *request)
{
    self->now_ms = now_ms;
    uint64_t ticket = ++self->ticket;
    char lane[TIDE_LANE_SIZE_MAX + 1];
    tide_buffer_t sid = {0};
    tide_query_get (request->query, "sid", 0, &sid);
    if (tide_neighbour_of (self, tide_buffer_bytes (&sid), lane))
        tide_neighbour_request (self, lane, tide_buffer_bytes (&sid), TIDE_NEIGHBOUR_HANDSHAKE,
                                false, ticket);
    else
        tide_hub_respond (self, ticket, 101, "text/plain", (tide_bytes_t){0});
    tide_buffer_free (&sid);
    return ticket;
}

/*  A session that has gone to another lane is known for a while: a WebSocket that names it is let
 *  in and closed, like any that comes second. */
bool tide_engine_is_known (tide_hub_t *hub, tide_bytes_t sid)
{
    const tide_moved_t *moved;
    if (find (hub, sid))
        return true;
    DL_FOREACH (hub->gone, moved)
        if (tide_bytes_is (sid, moved->sid))
            return true;
    return false;
}

void tide_engine_moved (tide_hub_t *hub, const tide_connection_t *connection)
{
    tide_moved_t *moved = tide_alloc (sizeof *moved);
    moved->sid = tide_copy (connection->engine_sid, strlen (connection->engine_sid));
    moved->until_ms = hub->now_ms + TIDE_ENGINEIO_UPGRADE_MS;
    DL_APPEND (hub->gone, moved);
}

void tide_engine_forget_moved (tide_hub_t *hub, uint64_t until_ms)
{
    while (hub->gone && hub->gone->until_ms <= until_ms) {
        tide_moved_t *moved = hub->gone;
        DL_DELETE (hub->gone, moved);
        free (moved->sid);
        free (moved);
    }
}

/*  The session is known, or was a moment ago. */
void tide_engine_request (tide_hub_t *hub, tide_bytes_t sid, bool is_post, bool is_binary,
                          uint64_t ticket)
{
    /*  A client whose time is over is not found, however late we are. */
    tick_heartbeats (hub);
    tide_engine_sweep (hub);
    tide_connection_t *connection = find (hub, sid);
    if (!connection)
        refuse (hub, ticket, TIDE_ENGINEIO_SESSION_UNKNOWN);
    else if (connection->engineio.transport != TIDE_ENGINEIO_POLLING)
        refuse (hub, ticket, TIDE_ENGINEIO_BAD_REQUEST);
    else if (is_post)
        take_post (hub, connection, is_binary, ticket);
    else
        take_get (hub, connection, ticket);
}

uint64_t tide_hub_engineio (tide_hub_t *self, uint64_t now_ms, const tide_http_request_t *request)
{
    self->now_ms = now_ms;
    uint64_t ticket = ++self->ticket;
    tide_buffer_t text[3] = {{0}};
    tide_engineio_request_t asked = parse (request, text);
    char lane[TIDE_LANE_SIZE_MAX + 1];
    tick_heartbeats (self);
    tide_engine_sweep (self);
    const tide_connection_t *connection = find (self, asked.sid);
    bool is_far = !connection && tide_neighbour_of (self, asked.sid, lane);
    bool is_post = !tide_bytes_is (request->method, "GET");
    int code = tide_engineio_check (&asked, connection ? &connection->engineio
                                            : is_far   ? &far_away
                                                       : NULL);
    if (code >= 0)
        refuse (self, ticket, code);
    else if (self->is_stopping)
        tide_hub_respond_error (self, ticket, 503, TIDE_SHUTTING_DOWN, NULL);
    else if (is_far)
        tide_neighbour_request (self, lane, asked.sid,
                                is_post ? TIDE_NEIGHBOUR_POST : TIDE_NEIGHBOUR_GET,
                                request->is_binary, ticket);
    else if (connection)
        tide_engine_request (self, asked.sid, is_post, request->is_binary, ticket);
    else
        take_get (self, tide_hub_open (self, now_ms, TIDE_CLIENT_SOCKETIO, (tide_bytes_t){0}, NULL),
                  ticket);
    free_texts (text);
    return ticket;
}

/*  Takes the packets of a payload, up to one that ends the session, or until so much is under way
 *  that the client has to wait: what is left is kept. It is answered when all of it was taken. */
static void take_body (tide_hub_t *hub, tide_held_t *held, tide_bytes_t body)
{
    tide_connection_t *connection = held->connection;
    uint64_t errors = hub->counters.parse_errors;
    tide_bytes_t packet;
    bool has_more = true;
    connection->has_body_left = false;
    while (!connection->is_closing && !tide_hub_is_busy (connection)
           && tide_engineio_payload_next (&body, &has_more, &packet))
        receive (hub, connection, packet, true);
    tide_buffer_t rest = {0};
    connection->has_body_left = has_more && !connection->is_closing;
    if (connection->has_body_left)
        tide_buffer_append_bytes (&rest, body);
    tide_buffer_free (&held->body);
    held->body = rest;
    if (!connection->has_body_left)
        answer_post (hub, connection, hub->counters.parse_errors == errors ? 200 : 400);
}

void tide_hub_body (tide_hub_t *self, uint64_t now_ms, uint64_t ticket, tide_bytes_t body)
{
    self->now_ms = now_ms;
    if (tide_neighbour_body (self, ticket, body))
        return;
    tide_held_t *held = find_held (self, ticket);
    if (!held || held->connection->engineio.post != ticket) /* refused meanwhile; or a GET's */
        return;
    tide_connection_t *connection = held->connection;
    if (!tide_utf8_valid (body)) {
        self->counters.parse_errors++;
        connection->reason = "parse error";
        tide_hub_drop (self, connection, "1");
        answer_post (self, connection, 400);
        return;
    }
    take_body (self, held, body);
}

void tide_engine_resume (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_held_t *held = find_held (hub, connection->engineio.post);
    if (!held || !connection->has_body_left)
        return;
    tide_buffer_t body = held->body;
    held->body = (tide_buffer_t){0};
    take_body (hub, held, tide_buffer_bytes (&body));
    tide_buffer_free (&body);
}

bool tide_engine_abandon (tide_hub_t *hub, uint64_t ticket)
{
    tide_held_t *held = find_held (hub, ticket);
    if (!held)
        return false;
    tide_connection_t *connection = held->connection;
    let_go (hub, ticket);
    if (connection->engineio.post == ticket)
        connection->has_body_left = false; /* it went with the request */
    tide_hub_drain_inbox (hub, connection);
    if (tide_engineio_abandon (&connection->engineio, ticket)) {
        connection->reason = "transport error";
        tide_hub_drop (hub, connection, "1");
    }
    return true;
}

/*  -- polling: answers ------------------------------------------------------------------------ */

void tide_engine_writable (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->engineio.poll == 0 || connection->is_closing)
        return;
    tide_bytes_t frames = tide_hub_write (hub, hub->now_ms, connection);
    tide_buffer_t payload = {0};
    tide_engineio_payload_frames (&payload, frames);
    if (payload.size > 0)
        answer_poll (hub, connection, tide_buffer_bytes (&payload));
    else if (tide_engineio_wants_noop (&connection->engineio))
        answer_poll (hub, connection, tide_bytes ("6"));
    tide_buffer_free (&payload);
}

/*  -- polling: the end ------------------------------------------------------------------------ */

/*  Tells the client by the poll that is held, if there is one, and forgets it. */
static void finish (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_buffer_t payload = {0};
    tide_engineio_payload_frames (&payload,
                                  (tide_bytes_t){connection->outbox.data + connection->outbox_at,
                                                 connection->outbox.size - connection->outbox_at});
    /*  One that ends at once would have been told what there is a moment before, and no more. */
    if (payload.size == 0 || !connection->farewell)
        tide_engineio_payload_append (
            &payload, tide_bytes (connection->farewell ? connection->farewell : "1"), true);
    answer_poll (hub, connection, tide_buffer_bytes (&payload));
    tide_buffer_free (&payload);
    tide_hub_closed (hub, hub->now_ms, &connection);
}

void tide_engine_sweep (tide_hub_t *hub)
{
    while (hub->ending) {
        tide_connection_t *connection = hub->ending;
        DL_DELETE2 (hub->ending, connection, ending_prev, ending_next);
        bool at_once = connection->ending == TIDE_ENDING_AT_ONCE || hub->is_stopping
                       || connection->leaving_by_ms != 0; /* it polls no more */
        connection->ending = TIDE_ENDING_NONE;
        if (connection->is_probe) {
            tide_hub_closed (hub, hub->now_ms, &connection);
            continue;
        }
        forget_timer (hub, connection);
        tide_hub_leave (hub, connection);
        if (connection->has_body_left)
            answer_post (hub, connection, 200);
        if (connection->probe && !connection->probe->has_taken)
            end_probe (hub, connection->probe);
        if (at_once || connection->engineio.poll != 0) {
            finish (hub, connection);
            continue;
        }
        connection->farewell_by_ms = hub->now_ms + TIDE_ENGINEIO_FAREWELL_MS;
        DL_APPEND2 (hub->farewells, connection, farewell_prev, farewell_next);
    }
}

void tide_engine_closed (tide_hub_t *hub, tide_connection_t *connection)
{
    forget_timer (hub, connection);
    forget_sid (hub, connection);
    tide_neighbour_forget_probe (hub, connection, true);
    tide_neighbour_stay (hub, connection);
    tide_neighbour_probe_ended (hub, connection);
    free (connection->far_sid);
    if (connection->ending != TIDE_ENDING_NONE)
        DL_DELETE2 (hub->ending, connection, ending_prev, ending_next);
    if (connection->farewell_by_ms != 0)
        DL_DELETE2 (hub->farewells, connection, farewell_prev, farewell_next);
    if (connection->is_probe) {
        if (connection->has_taken)
            connection->target->probe = NULL;
        else if (connection->target) {
            tide_engineio_unprobe (&connection->target->engineio);
            forget_probe (hub, connection);
        }
        return;
    }
    if (connection->probe && connection->probe->has_taken) {
        connection->probe->has_taken = false;
        connection->probe->target = NULL;
    }
    else if (connection->probe)
        end_probe (hub, connection->probe);
    answer_poll (hub, connection, tide_bytes ("1"));
    answer_post (hub, connection, 400);
}

/*  -- time ------------------------------------------------------------------------------------ */

void tide_engine_tick (tide_hub_t *hub)
{
    tick_heartbeats (hub);
    tide_engine_forget_moved (hub, hub->now_ms);
    while (hub->probes && hub->probes->probe_by_ms <= hub->now_ms)
        end_probe (hub, hub->probes);
    while (hub->farewells && hub->farewells->farewell_by_ms <= hub->now_ms)
        finish (hub, hub->farewells);
}

static void sooner (uint64_t *deadline, uint64_t other)
{
    if (other != 0 && other < *deadline)
        *deadline = other;
}

uint64_t tide_engine_deadline_ms (const tide_hub_t *hub)
{
    uint64_t deadline = UINT64_MAX;
    if (hub->pings)
        sooner (&deadline, hub->pings->engineio.ping_at_ms);
    if (hub->pongs)
        sooner (&deadline, hub->pongs->engineio.pong_by_ms);
    if (hub->probes)
        sooner (&deadline, hub->probes->probe_by_ms);
    if (hub->farewells)
        sooner (&deadline, hub->farewells->farewell_by_ms);
    return deadline;
}

void tide_engine_stop (tide_hub_t *hub)
{
    while (hub->farewells)
        finish (hub, hub->farewells);
}
