/*  tide_neighbours.c - what reaches this lane and belongs to another, and the other way round.
 *
 *  A sid of Engine.IO begins with the id of the lane that holds its session, so any balancer will
 *  do: a request of long-polling that comes here is told to the holder by the broker's RELAY, and
 *  so is its answer. A WebSocket that asks to take such a session over is let in here; when it
 *  takes, the session itself comes here (tide_handover.c). What gets lost on the way is a request
 *  without an answer: the client comes again, and resumes.
 *
 *      here                                   the holder
 *       │ REQUEST (BODY, ABANDON)                │  a GET or POST, held there as its own
 *       ├───────────────────────────────────────►│
 *       │                               RESPONSE │
 *       │◄───────────────────────────────────────┤
 *       │ PROBE, then TAKE, or UNPROBE           │  a WebSocket said "2probe", then "5"
 *       ├───────────────────────────────────────►│
 *       │                PROBED … HANDOVER, ENDED│
 *       │◄───────────────────────────────────────┤
 *
 *  The token of a RELAY is the number of the request here; on the way back its first bit is set.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_neighbours.h"
#include "tide_ask.h"
#include "tide_client_engineio.h"
#include "tide_handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACK (1ull << 63)
/*  Questions have numbers of their own. */
#define QUESTION (1ull << 62)
/*  A session that is taken elsewhere has this long to come to rest. */
#define LEAVING_MS 5000
/*  An answer that does not come within this, on top of what a poll may be held, was lost. */
#define ANSWER_MS 10000
/*  How often it is asked whether a lane that owes answers is still there. */
#define ASK_MS 1000

/*  A request that came here and is with its holder. */
struct tide_forward {
    uint64_t ticket;
    char lane[TIDE_LANE_SIZE_MAX + 1];
    uint64_t due_ms;
    bool is_handshake;
    bool is_asked; /* whether its lane is there, in this round */
    UT_hash_handle hh;
    struct tide_forward *prev, *next; /* by time */
};

/*  A request, or a WebSocket, that came to another lane and belongs to us. */
struct tide_guest {
    char key[TIDE_LANE_SIZE_MAX + 24]; /* lane and token */
    char lane[TIDE_LANE_SIZE_MAX + 1];
    uint64_t token;
    uint64_t ticket;          /* ours, of a request */
    uint64_t due_ms;          /* when the other lane has given it up */
    tide_connection_t *probe; /* ours, of a WebSocket */
    UT_hash_handle by_key, by_ticket;
    struct tide_guest *prev, *next; /* those with a ticket, by time */
};

/*  -- sending --------------------------------------------------------------------------------- */

static bool send_to (tide_hub_t *hub, const char *lane, uint64_t token, tide_bytes_t payload)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_RELAY};
    message.relay.token = token;
    message.relay.to = tide_bytes (lane);
    message.relay.payload = payload;
    hub->counters.relayed++;
    return tide_link_send (hub->link, &message);
}

static bool send_kind (tide_hub_t *hub, const char *lane, uint64_t token, uint8_t kind,
                       tide_bytes_t rest)
{
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, kind);
    tide_buffer_append_bytes (&payload, rest);
    bool is_sent = send_to (hub, lane, token, tide_buffer_bytes (&payload));
    tide_buffer_free (&payload);
    return is_sent;
}

bool tide_neighbour_send (tide_hub_t *hub, const char *lane, uint64_t number,
                          tide_neighbour_kind_t kind, tide_bytes_t rest)
{
    uint64_t token = number | QUESTION | (kind == TIDE_NEIGHBOUR_ANSWERS ? BACK : 0);
    return send_kind (hub, lane, token, (uint8_t) kind, rest);
}

/*  -- whose it is ----------------------------------------------------------------------------- */

bool tide_neighbour_of (const tide_hub_t *hub, tide_bytes_t sid, char lane[TIDE_LANE_SIZE_MAX + 1])
{
    const uint8_t *dot = sid.size > 0 ? memrchr (sid.data, '.', sid.size) : NULL;
    size_t size = dot ? (size_t) (dot - sid.data) : 0;
    if (size == 0 || size > TIDE_LANE_SIZE_MAX || sid.size > TIDE_NAME_SIZE_MAX
        || !tide_name_valid (sid))
        return false;
    snprintf (lane, TIDE_LANE_SIZE_MAX + 1, "%.*s", (int) size, (const char *) sid.data);
    return strcmp (lane, hub->config.lane) != 0;
}

/*  -- here: requests -------------------------------------------------------------------------- */

static void forget_forward (tide_hub_t *hub, tide_forward_t *forward)
{
    HASH_DEL (hub->forwards, forward);
    DL_DELETE (hub->forwards_due, forward);
    hub->counters.forwards--;
    free (forward);
}

static tide_forward_t *find_forward (tide_hub_t *hub, uint64_t ticket)
{
    tide_forward_t *forward;
    HASH_FIND (hh, hub->forwards, &ticket, sizeof ticket, forward);
    return forward;
}

/*  Nobody holds the session any more: the client makes a new one, and resumes in it. */
static void unknown (tide_hub_t *hub, tide_forward_t *forward)
{
    uint64_t ticket = forward->ticket;
    bool is_handshake = forward->is_handshake;
    tide_buffer_t body = {0};
    forget_forward (hub, forward);
    tide_engineio_refusal (&body, TIDE_ENGINEIO_SESSION_UNKNOWN, is_handshake);
    tide_hub_respond (hub, ticket, 400, is_handshake ? "text/html" : "application/json",
                      tide_buffer_bytes (&body));
    tide_buffer_free (&body);
}

/*  Longer than any request is held. */
static uint64_t answer_time (const tide_hub_t *hub)
{
    return (uint64_t) hub->config.engineio.ping_interval_ms + hub->config.engineio.ping_timeout_ms
           + ANSWER_MS;
}

void tide_neighbour_request (tide_hub_t *hub, const char *lane, tide_bytes_t sid,
                             tide_neighbour_request_t what, bool is_binary, uint64_t ticket)
{
    tide_forward_t *forward = tide_alloc (sizeof *forward);
    forward->ticket = ticket;
    forward->is_handshake = what == TIDE_NEIGHBOUR_HANDSHAKE;
    snprintf (forward->lane, sizeof forward->lane, "%s", lane);
    forward->due_ms = hub->now_ms + answer_time (hub);
    HASH_ADD (hh, hub->forwards, ticket, sizeof forward->ticket, forward);
    DL_APPEND (hub->forwards_due, forward);
    hub->counters.forwards++;
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, TIDE_NEIGHBOUR_REQUEST);
    tide_put_u8 (&payload, (uint8_t) what);
    tide_put_u8 (&payload, is_binary);
    tide_buffer_append_bytes (&payload, sid);
    if (!send_to (hub, lane, ticket, tide_buffer_bytes (&payload))) {
        forget_forward (hub, forward);
        tide_hub_respond_error (hub, ticket, 503, TIDE_BROKER_AWAY, NULL);
    }
    tide_buffer_free (&payload);
}

bool tide_neighbour_body (tide_hub_t *hub, uint64_t ticket, tide_bytes_t body)
{
    tide_forward_t *forward = find_forward (hub, ticket);
    if (!forward)
        return false;
    if (!send_kind (hub, forward->lane, ticket, TIDE_NEIGHBOUR_BODY, body)) {
        forget_forward (hub, forward);
        tide_hub_respond_error (hub, ticket, 503, TIDE_BROKER_AWAY, NULL);
    }
    return true;
}

bool tide_neighbour_abandon (tide_hub_t *hub, uint64_t ticket)
{
    tide_forward_t *forward = find_forward (hub, ticket);
    if (!forward)
        return false;
    send_kind (hub, forward->lane, ticket, TIDE_NEIGHBOUR_ABANDON, (tide_bytes_t){0});
    forget_forward (hub, forward);
    return true;
}

/*  What another lane than the one that was asked says is nothing to us. */
static void take_response (tide_hub_t *hub, const char *lane, uint64_t ticket,
                           tide_reader_t *reader)
{
    tide_forward_t *forward = find_forward (hub, ticket);
    unsigned status = tide_take_u16 (reader);
    tide_bytes_t name = tide_take_bytes (reader, tide_take_u8 (reader));
    static const char *const types[] = {"text/plain; charset=UTF-8", "text/html", "text/plain"};
    const char *type = "application/json";
    for (size_t at = 0; at < sizeof types / sizeof types[0]; at++)
        if (tide_bytes_is (name, types[at]))
            type = types[at];
    bool is_status = forward && forward->is_handshake && status == 101;
    if (!forward || reader->failed || strcmp (forward->lane, lane) != 0
        || (!is_status && (status < 200 || status > 599)))
        return;
    forget_forward (hub, forward);
    tide_hub_respond (hub, ticket, status, type, (tide_bytes_t){reader->data, reader->remaining});
}

/*  -- here: a WebSocket that asks for a session of another lane -------------------------------- */

void tide_neighbour_open_probe (tide_hub_t *hub, tide_connection_t *connection, const char *lane,
                                tide_bytes_t sid)
{
    connection->far_lane = tide_copy (lane, strlen (lane));
    connection->far_sid = tide_copy (sid.data, sid.size);
    connection->far_number = ++hub->ticket;
    HASH_ADD (far_hh, hub->far_probes, far_number, sizeof connection->far_number, connection);
    connection->probe_by_ms = hub->now_ms + TIDE_ENGINEIO_UPGRADE_MS;
    DL_APPEND2 (hub->probes, connection, probe_prev, probe_next);
}

void tide_neighbour_forget_probe (tide_hub_t *hub, tide_connection_t *connection, bool is_told)
{
    if (!connection->far_lane)
        return;
    if (is_told)
        send_kind (hub, connection->far_lane, connection->far_number, TIDE_NEIGHBOUR_UNPROBE,
                   (tide_bytes_t){0});
    HASH_DELETE (far_hh, hub->far_probes, connection);
    DL_DELETE2 (hub->probes, connection, probe_prev, probe_next);
    free (connection->far_lane);
    connection->far_lane = NULL;
}

static void end_far_probe (tide_hub_t *hub, tide_connection_t *connection, bool is_told)
{
    tide_neighbour_forget_probe (hub, connection, is_told);
    connection->is_taking = false;
    tide_hub_close (hub, connection, 0);
}

void tide_neighbour_end_probe (tide_hub_t *hub, tide_connection_t *connection)
{
    end_far_probe (hub, connection, true);
}

void tide_neighbour_probe_frame (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes,
                                 bool is_text)
{
    const char *lane = connection->far_lane;
    uint64_t number = connection->far_number;
    bool is_probe = is_text && tide_bytes_is (bytes, "2probe");
    bool takes = is_text && bytes.size > 0 && bytes.data[0] == '5';
    bool is_sent = false;
    if (is_probe && connection->is_far_due) /* the answer is on its way */
        return;
    if (is_probe || (takes && !connection->is_far_asked))
        is_sent =
            send_kind (hub, lane, number, TIDE_NEIGHBOUR_PROBE, tide_bytes (connection->far_sid));
    connection->is_far_asked = connection->is_far_asked || is_probe;
    connection->is_far_due = is_probe;
    if (takes) { /* the holder says whether it may: without asking first, too */
        connection->is_taking = true; /* what comes now is for the session */
        is_sent = send_kind (hub, lane, number, TIDE_NEIGHBOUR_TAKE, (tide_bytes_t){0});
    }
    if (!is_sent)
        end_far_probe (hub, connection, true);
}

/*  The session is here. */
static void take_handover (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes)
{
    char lane[TIDE_LANE_SIZE_MAX + 1];
    snprintf (lane, sizeof lane, "%s", connection->far_lane);
    tide_neighbour_forget_probe (hub, connection, false);
    tide_engine_move_in (hub, connection);
    hub->counters.upgrades++;
    if (!tide_handover_read (hub, connection, lane, bytes)) {
        tide_hub_close (hub, connection, 0);
        return;
    }
    connection->is_taking = false;
    tide_hub_ask_writable (hub, connection);
    tide_hub_drain_inbox (hub, connection);
}

/*  The WebSocket that it came for has gone meanwhile. The lane that had it has forgotten it: it
 *  ends here, and whoever is to be told is. */
static void end_handover (tide_hub_t *hub, const char *lane, tide_bytes_t bytes)
{
    tide_connection_t *connection = tide_alloc (sizeof *connection);
    connection->kind = TIDE_CLIENT_SOCKETIO;
    connection->decoder = tide_socketio_decoder_new (hub->config.payload_max);
    DL_APPEND (hub->connections, connection);
    hub->counters.connections++;
    tide_handover_read (hub, connection, lane, bytes);
    tide_hub_drop (hub, connection, "1");
}

/*  lane NULL: the broker says that nobody is there. */
static void take_probe_answer (tide_hub_t *hub, const char *lane, uint64_t number, uint8_t kind,
                               tide_bytes_t rest)
{
    tide_connection_t *connection;
    HASH_FIND (far_hh, hub->far_probes, &number, sizeof number, connection);
    if (connection && connection->is_closing) {
        tide_neighbour_forget_probe (hub, connection, kind == TIDE_NEIGHBOUR_PROBED);
        connection = NULL;
    }
    if (!connection && lane && kind == TIDE_NEIGHBOUR_HANDOVER && number <= hub->ticket) {
        end_handover (hub, lane, rest);
        return;
    }
    if (!connection || (lane && strcmp (lane, connection->far_lane) != 0))
        return;
    if (kind == TIDE_NEIGHBOUR_PROBED) {
        connection->is_far_due = false;
        if (connection->is_far_asked) /* or it takes without */
            tide_hub_send_text (hub, connection, tide_bytes ("3probe"));
    }
    else if (kind == TIDE_NEIGHBOUR_HANDOVER)
        take_handover (hub, connection, rest);
    else
        end_far_probe (hub, connection, false);
}

/*  -- the holder ------------------------------------------------------------------------------ */

static void make_key (char *key, size_t size, const char *lane, uint64_t token)
{
    snprintf (key, size, "%s/%llu", lane, (unsigned long long) token);
}

static tide_guest_t *find_guest (tide_hub_t *hub, const char *lane, uint64_t token)
{
    tide_guest_t *guest;
    char key[TIDE_LANE_SIZE_MAX + 24];
    make_key (key, sizeof key, lane, token);
    HASH_FIND (by_key, hub->guests, key, strlen (key), guest);
    return guest;
}

static void forget_guest (tide_hub_t *hub, tide_guest_t *guest)
{
    HASH_DELETE (by_key, hub->guests, guest);
    if (guest->ticket != 0) {
        HASH_DELETE (by_ticket, hub->guest_tickets, guest);
        DL_DELETE (hub->guests_due, guest);
    }
    free (guest);
}

static tide_guest_t *add_guest (tide_hub_t *hub, const char *lane, uint64_t token)
{
    tide_guest_t *guest = tide_alloc (sizeof *guest);
    snprintf (guest->lane, sizeof guest->lane, "%s", lane);
    guest->token = token;
    make_key (guest->key, sizeof guest->key, lane, token);
    HASH_ADD_KEYPTR (by_key, hub->guests, guest->key, strlen (guest->key), guest);
    return guest;
}

static bool send_response (tide_hub_t *hub, const tide_guest_t *guest, unsigned status,
                           const char *type, tide_bytes_t body)
{
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, TIDE_NEIGHBOUR_RESPONSE);
    tide_put_u16 (&payload, (uint16_t) status);
    tide_put_u8 (&payload, (uint8_t) strlen (type));
    tide_buffer_append_text (&payload, type);
    tide_buffer_append_bytes (&payload, body);
    bool is_sent = send_to (hub, guest->lane, guest->token | BACK, tide_buffer_bytes (&payload));
    tide_buffer_free (&payload);
    return is_sent;
}

bool tide_neighbour_respond (tide_hub_t *hub, uint64_t ticket, unsigned status, const char *type,
                             tide_bytes_t body, bool *is_sent)
{
    tide_guest_t *guest;
    HASH_FIND (by_ticket, hub->guest_tickets, &ticket, sizeof ticket, guest);
    if (!guest)
        return false;
    *is_sent = send_response (hub, guest, status, type, body);
    if (!*is_sent) /* too large, or the broker is away: the other lane need not wait for it */
        send_response (hub, guest, 400, "text/html", tide_bytes ("Session ID unknown"));
    forget_guest (hub, guest);
    return true;
}

static void receive_request (tide_hub_t *hub, const char *lane, uint64_t token,
                             tide_reader_t *reader)
{
    unsigned what = tide_take_u8 (reader);
    bool is_binary = tide_take_u8 (reader);
    tide_bytes_t sid = {reader->data, reader->remaining};
    if (reader->failed || what > TIDE_NEIGHBOUR_HANDSHAKE || find_guest (hub, lane, token))
        return;
    tide_guest_t *guest = add_guest (hub, lane, token);
    guest->ticket = ++hub->ticket;
    guest->due_ms = hub->now_ms + answer_time (hub);
    HASH_ADD (by_ticket, hub->guest_tickets, ticket, sizeof guest->ticket, guest);
    DL_APPEND (hub->guests_due, guest);
    if (what != TIDE_NEIGHBOUR_HANDSHAKE)
        tide_engine_request (hub, sid, what == TIDE_NEIGHBOUR_POST, is_binary, guest->ticket);
    else if (tide_engine_is_known (hub, sid))
        tide_hub_respond (hub, guest->ticket, 101, "text/plain", (tide_bytes_t){0});
    else
        tide_hub_respond (hub, guest->ticket, 400, "text/html", tide_bytes ("Session ID unknown"));
}

static void receive_abandon (tide_hub_t *hub, const char *lane, uint64_t token)
{
    tide_guest_t *guest = find_guest (hub, lane, token);
    if (!guest || guest->ticket == 0)
        return;
    uint64_t ticket = guest->ticket;
    forget_guest (hub, guest);
    tide_engine_abandon (hub, ticket);
}

/*  The WebSocket there is a probe here, without a handle. */
static void receive_probe (tide_hub_t *hub, const char *lane, uint64_t token, tide_bytes_t sid)
{
    tide_guest_t *guest = find_guest (hub, lane, token);
    tide_connection_t *probe = guest ? guest->probe : tide_engine_open_far_probe (hub, sid);
    if (!probe) {
        send_kind (hub, lane, token | BACK, TIDE_NEIGHBOUR_ENDED, (tide_bytes_t){0});
        return;
    }
    if (!guest) { /* else it asks once more */
        guest = add_guest (hub, lane, token);
        guest->probe = probe;
        probe->guest = guest;
    }
    tide_engine_frame (hub, probe, tide_bytes ("2probe"), true);
}

void tide_neighbour_probed (tide_hub_t *hub, tide_connection_t *probe)
{
    send_kind (hub, probe->guest->lane, probe->guest->token | BACK, TIDE_NEIGHBOUR_PROBED,
               (tide_bytes_t){0});
}

void tide_neighbour_probe_ended (tide_hub_t *hub, tide_connection_t *probe)
{
    tide_guest_t *guest = probe->guest;
    if (!guest)
        return;
    probe->guest = NULL;
    send_kind (hub, guest->lane, guest->token | BACK, TIDE_NEIGHBOUR_ENDED, (tide_bytes_t){0});
    forget_guest (hub, guest);
}

static void receive_probe_frame (tide_hub_t *hub, const char *lane, uint64_t token, bool takes)
{
    tide_guest_t *guest = find_guest (hub, lane, token);
    tide_connection_t *connection;
    if (guest && guest->probe)
        tide_engine_frame (hub, guest->probe, tide_bytes (takes ? "5" : ""), true);
    else if (guest && !takes) { /* what was to take the session is gone, and so is the session */
        DL_SEARCH_SCALAR2 (hub->leaving, connection, guest, guest, leaving_next);
        if (connection) {
            tide_neighbour_stay (hub, connection);
            tide_hub_drop (hub, connection, "1");
        }
    }
}

/*  -- the holder: leaving --------------------------------------------------------------------- */

void tide_neighbour_leave (tide_hub_t *hub, tide_connection_t *connection, tide_connection_t *probe)
{
    connection->guest = probe->guest;
    probe->guest = NULL;
    connection->guest->probe = NULL;
    connection->leaving_by_ms = hub->now_ms + LEAVING_MS;
    DL_APPEND2 (hub->leaving, connection, leaving_prev, leaving_next);
}

void tide_neighbour_stay (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->leaving_by_ms == 0)
        return;
    connection->leaving_by_ms = 0;
    DL_DELETE2 (hub->leaving, connection, leaving_prev, leaving_next);
    tide_neighbour_probe_ended (hub, connection);
}

/*  The session has come to rest: it goes. What cannot be sent is lost to the other lane as if the
 *  connection had broken: the client comes again. Whoever has it writes itself into its record; as
 *  that may be nobody, the record is released in a while. */
static void hand_over (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_guest_t *guest = connection->guest;
    tide_buffer_t payload = {0};
    tide_put_u8 (&payload, TIDE_NEIGHBOUR_HANDOVER);
    tide_handover_write (hub, connection, &payload);
    bool is_sent = send_to (hub, guest->lane, guest->token | BACK, tide_buffer_bytes (&payload));
    if (is_sent) {
        connection->guest = NULL;
        forget_guest (hub, guest);
        tide_engine_moved (hub, connection);
    }
    tide_session_t *session;
    DL_FOREACH (connection->sessions, session)
        session->is_moved = is_sent;
    tide_buffer_free (&payload);
    tide_hub_closed (hub, hub->now_ms, &connection);
}

void tide_neighbour_sweep (tide_hub_t *hub)
{
    tide_connection_t *connection, *next;
    DL_FOREACH_SAFE2 (hub->leaving, connection, next, leaving_next)
        if (!connection->is_closing && tide_handover_is_ready (connection))
            hand_over (hub, connection);
}

/*  -- both ------------------------------------------------------------------------------------ */

/*  Nobody holds that lane: its requests have no session, its WebSockets no future. */
static void nobody_there (tide_hub_t *hub, uint64_t token)
{
    tide_forward_t *forward = find_forward (hub, token), *next;
    if (forward) {
        char lane[TIDE_LANE_SIZE_MAX + 1];
        snprintf (lane, sizeof lane, "%s", forward->lane);
        DL_FOREACH_SAFE (hub->forwards_due, forward, next)
            if (strcmp (forward->lane, lane) == 0)
                unknown (hub, forward);
        return;
    }
    take_probe_answer (hub, NULL, token, TIDE_NEIGHBOUR_ENDED, (tide_bytes_t){0});
}

static void receive_for_us (tide_hub_t *hub, const char *lane, uint64_t token, uint8_t kind,
                            tide_reader_t *reader)
{
    tide_bytes_t rest = {reader->data, reader->remaining};
    tide_guest_t *guest;
    switch (kind) {
    case TIDE_NEIGHBOUR_REQUEST:
        receive_request (hub, lane, token, reader);
        break;
    case TIDE_NEIGHBOUR_BODY:
        guest = find_guest (hub, lane, token);
        if (guest && guest->ticket != 0)
            tide_hub_body (hub, hub->now_ms, guest->ticket, rest);
        break;
    case TIDE_NEIGHBOUR_ABANDON:
        receive_abandon (hub, lane, token);
        break;
    case TIDE_NEIGHBOUR_PROBE:
        receive_probe (hub, lane, token, rest);
        break;
    case TIDE_NEIGHBOUR_TAKE:
    case TIDE_NEIGHBOUR_UNPROBE:
        receive_probe_frame (hub, lane, token, kind == TIDE_NEIGHBOUR_TAKE);
        break;
    default: /* of a later version */
        break;
    }
}

void tide_neighbour_receive (tide_hub_t *hub, const tide_message_t *message)
{
    if (message->kind == TIDE_MESSAGE_TOLD) {
        if (message->told.token & QUESTION)
            tide_ask_told (hub, message->told.token & ~QUESTION, message->told.count);
        else if (message->told.count == 0 && !(message->told.token & BACK))
            nobody_there (hub, message->told.token);
        return;
    }
    char lane[TIDE_LANE_SIZE_MAX + 1];
    uint64_t token = message->relayed.token;
    tide_reader_t reader = tide_reader (message->relayed.payload);
    uint8_t kind = tide_take_u8 (&reader);
    if (reader.failed || message->relayed.from.size > TIDE_LANE_SIZE_MAX)
        return;
    snprintf (lane, sizeof lane, "%.*s", TIDE_PRINT (message->relayed.from));
    tide_bytes_t rest = {reader.data, reader.remaining};
    uint64_t number = token & ~(BACK | QUESTION);
    if (kind == TIDE_NEIGHBOUR_ASK)
        tide_ask_receive (hub, lane, number, rest);
    else if (kind == TIDE_NEIGHBOUR_ANSWERS)
        tide_ask_report (hub, lane, number, rest);
    else if (!(token & BACK))
        receive_for_us (hub, lane, token, kind, &reader);
    else if (kind == TIDE_NEIGHBOUR_RESPONSE)
        take_response (hub, lane, number, &reader);
    else
        take_probe_answer (hub, lane, number, kind, rest);
}

/*  Each lane that owes us answers is asked for once. */
static void ask_lanes (tide_hub_t *hub)
{
    tide_forward_t *forward, *before;
    DL_FOREACH (hub->forwards_due, forward)
        forward->is_asked = false;
    DL_FOREACH (hub->forwards_due, forward) {
        if (forward->is_asked)
            continue;
        send_kind (hub, forward->lane, forward->ticket, TIDE_NEIGHBOUR_ARE_YOU_THERE,
                   (tide_bytes_t){0});
        for (before = forward; before; before = before->next)
            if (strcmp (before->lane, forward->lane) == 0)
                before->is_asked = true;
    }
    hub->ask_lanes_ms = hub->now_ms + ASK_MS;
}

/*  Answers that were on their way went with it, and nobody would notice until the client does: it
 *  comes again now, and resumes. Asking the holder again is no remedy, since it believes that what
 *  it answered has been taken. */
void tide_neighbour_broker_left (tide_hub_t *hub)
{
    while (hub->forwards_due) {
        uint64_t ticket = hub->forwards_due->ticket;
        forget_forward (hub, hub->forwards_due);
        tide_hub_respond_error (hub, ticket, 503, TIDE_BROKER_AWAY, NULL);
    }
}

void tide_neighbour_tick (tide_hub_t *hub)
{
    if (hub->forwards_due && hub->now_ms >= hub->ask_lanes_ms)
        ask_lanes (hub);
    while (hub->forwards_due && hub->forwards_due->due_ms <= hub->now_ms) {
        hub->counters.timeouts++;
        unknown (hub, hub->forwards_due);
    }
    /*  Nobody waits there any more, or the lane is gone: as if the client had broken it off. */
    while (hub->guests_due && hub->guests_due->due_ms <= hub->now_ms) {
        uint64_t ticket = hub->guests_due->ticket;
        forget_guest (hub, hub->guests_due);
        tide_engine_abandon (hub, ticket);
    }
    while (hub->leaving && hub->leaving->leaving_by_ms <= hub->now_ms) {
        tide_connection_t *connection = hub->leaving;
        tide_neighbour_stay (hub, connection);
        tide_hub_drop (hub, connection, "1");
    }
}

uint64_t tide_neighbour_deadline_ms (const tide_hub_t *hub)
{
    uint64_t deadline = hub->forwards_due ? hub->forwards_due->due_ms : UINT64_MAX;
    if (hub->forwards_due && hub->ask_lanes_ms < deadline)
        deadline = hub->ask_lanes_ms;
    if (hub->guests_due && hub->guests_due->due_ms < deadline)
        deadline = hub->guests_due->due_ms;
    if (hub->leaving && hub->leaving->leaving_by_ms < deadline)
        deadline = hub->leaving->leaving_by_ms;
    return deadline;
}

void tide_neighbour_free (tide_hub_t *hub)
{
    while (hub->forwards_due)
        forget_forward (hub, hub->forwards_due);
    tide_guest_t *guest, *next;
    HASH_ITER (by_key, hub->guests, guest, next)
        forget_guest (hub, guest);
}
