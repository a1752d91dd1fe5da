/*  tide_hub.c - the lane's core: what comes in, what is to be done, and who waits for what.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_application_internal.h"
#include "tide_ask.h"
#include "tide_channel.h"
#include "tide_client.h"
#include "tide_client_engineio.h"
#include "tide_client_sse.h"
#include "tide_cursors.h"
#include "tide_deliver.h"
#include "tide_hooks.h"
#include "tide_join.h"
#include "tide_neighbours.h"
#include "tide_op.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_record.h"
#include "tide_report.h"
#include "tide_session.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAPE_SIZE = 16 << 20, WRITE_SIZE_MAX = 64 << 10 };

static char **copy_names (const char *const *names)
{
    size_t count = 0;
    while (names && names[count])
        count++;
    char **copy = tide_alloc ((count + 1) * sizeof *copy);
    for (size_t at = 0; at < count; at++)
        copy[at] = tide_copy (names[at], strlen (names[at]));
    return copy;
}

static void free_names (const char *const *names)
{
    for (size_t at = 0; names[at]; at++)
        free ((void *) names[at]);
    free ((void *) names);
}

tide_hub_t *tide_hub_new (const tide_hub_config_t *config, uint64_t now_ms)
{
    tide_hub_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    self->config.lane = tide_copy (config->lane, strlen (config->lane));
    if (config->gateway)
        self->config.gateway = tide_copy (config->gateway, strlen (config->gateway));
    self->config.namespaces = (const char *const *) copy_names (config->namespaces);
    self->config.no_recovery = (const char *const *) copy_names (config->no_recovery);
    if (self->config.tape_size == 0)
        self->config.tape_size = TAPE_SIZE;
    if (self->config.write_size_max == 0)
        self->config.write_size_max = WRITE_SIZE_MAX;
    self->now_ms = now_ms;
    memcpy (&self->ask_number, self->config.secret + 16, 5); /* exact in JavaScript, for long */
    snprintf (self->lane_topic, sizeof self->lane_topic, "$lane/%.64s", config->lane);
    self->link = tide_link_new (&(tide_link_config_t){
        .name = self->config.lane, .lease = self->config.lane, .origin = self->config.lane});
    self->feed = tide_feed_new ();
    self->tape = tide_tape_new (self->config.tape_size);
    tide_link_start (self->link, now_ms);
    tide_feed_add (self->feed, tide_bytes (self->lane_topic));
    return self;
}

static void free_queued (tide_queued_t **queued_p)
{
    if (*queued_p) {
        free ((*queued_p)->bytes);
        free (*queued_p);
        *queued_p = NULL;
    }
}

static void free_forms (tide_hub_t *self);

static void free_rest (tide_hub_t *self)
{
    tide_queued_t *queued, *queued_next;
    DL_FOREACH_SAFE (self->queue, queued, queued_next)
        free_queued (&queued);
    free_queued (&self->handed_out);
    tide_released_forget (self);
    tide_hooks_forget (self);
    while (self->stats) {
        tide_stat_entry_t *stat = self->stats;
        self->stats = stat->next;
        free (stat->name);
        free (stat);
    }
    free_forms (self);
}

/*  Whoever waits for one of them is told. */
static void forget_requests (tide_hub_t *self)
{
    tide_op_t *op, *op_next;
    HASH_ITER (hh, self->ops, op, op_next)
        tide_op_cancel (self, op);
    tide_ask_t *ask, *ask_next;
    HASH_ITER (hh, self->asks, ask, ask_next)
        tide_ask_conclude (self, ask);
}

void tide_hub_destroy (tide_hub_t **self_p)
{
    tide_hub_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    while (self->connections) {
        tide_connection_t *connection = self->connections;
        tide_hub_closed (self, self->now_ms, &connection);
    }
    self->is_over = true;
    tide_cursors_forget_left (self);
    forget_requests (self);
    tide_app_sweep (self);
    tide_neighbour_free (self);
    tide_engine_forget_moved (self, UINT64_MAX);
    free_rest (self);
    tide_link_destroy (&self->link);
    tide_feed_destroy (&self->feed);
    tide_tape_destroy (&self->tape);
    tide_buffer_free (&self->write);
    tide_buffer_free (&self->scratch);
    tide_buffer_free (&self->scratch2);
    tide_buffer_free (&self->frames);
    free_names (self->config.namespaces);
    free_names (self->config.no_recovery);
    free ((void *) self->config.lane);
    free ((void *) self->config.gateway);
    free (self);
}

/*  A name that nobody can guess and that is never made twice: a keyed hash (BLAKE2b) over a serial
 *  number, as URL-safe base64. */
void tide_hub_random (tide_hub_t *hub, const char *what, char *text, size_t size)
{
    uint8_t hash[24];
    char input[160];
    hub->serial++;
    int length = snprintf (input, sizeof input, "%s/%s/%llu", what, hub->config.lane,
                           (unsigned long long) hub->serial);
    tide_assert (length > 0 && (size_t) length < sizeof input);
    crypto_generichash (hash, sizeof hash, (const uint8_t *) input, strlen (input),
                        hub->config.secret, sizeof hub->config.secret);
    char base64[sodium_base64_ENCODED_LEN (sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
    sodium_bin2base64 (base64, sizeof base64, hash, sizeof hash,
                       sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf (text, size, "%s", base64);
}

typedef struct tide_form_entry {
    UT_hash_handle hh;
    unsigned number;
    char name[]; /* kind, meta, offset, namespace */
} form_entry_t;

unsigned tide_hub_form (tide_hub_t *hub, const tide_form_t *form)
{
    char name[TIDE_NAME_SIZE_MAX + 8];
    snprintf (name, sizeof name, "%d%d%d%s", form->kind, form->meta, form->offset, form->nsp);
    size_t size = strlen (name);
    form_entry_t *entry;
    HASH_FIND (hh, hub->forms, name, size, entry);
    if (entry)
        return entry->number;
    /*  Patterns of namespaces let clients choose the names: those beyond the limit do without. */
    if (HASH_COUNT (hub->forms) >= TIDE_FORMS_MAX)
        return TIDE_FORM_NONE;
    entry = tide_alloc (sizeof *entry + size + 1);
    entry->number = HASH_COUNT (hub->forms);
    memcpy (entry->name, name, size);
    HASH_ADD (hh, hub->forms, name, size, entry);
    return entry->number;
}

static void free_forms (tide_hub_t *self)
{
    form_entry_t *entry, *next;
    HASH_ITER (hh, self->forms, entry, next) {
        HASH_DEL (self->forms, entry);
        free (entry);
    }
}

/*  -- actions --------------------------------------------------------------------------------- */

tide_hub_action_t *tide_hub_queue (tide_hub_t *hub, tide_hub_action_kind_t kind, tide_bytes_t bytes)
{
    tide_queued_t *queued = tide_alloc (sizeof *queued);
    queued->action.kind = kind;
    if (bytes.size > 0) {
        queued->bytes = (uint8_t *) tide_copy (bytes.data, bytes.size);
        queued->action.bytes = (tide_bytes_t){queued->bytes, bytes.size};
    }
    DL_APPEND (hub->queue, queued);
    return &queued->action;
}

void tide_hub_queue_for (tide_hub_t *hub, tide_hub_action_kind_t kind,
                         tide_connection_t *connection, uint16_t code)
{
    tide_hub_action_t *action = tide_hub_queue (hub, kind, (tide_bytes_t){0});
    action->connection = connection;
    action->handle = connection->handle;
    action->close_code = code;
}

bool tide_hub_respond (tide_hub_t *hub, uint64_t ticket, unsigned status, const char *type,
                       tide_bytes_t body)
{
    bool is_sent;
    if (tide_neighbour_respond (hub, ticket, status, type, body, &is_sent))
        return is_sent;
    tide_hub_action_t *action = tide_hub_queue (hub, TIDE_HUB_RESPOND, body);
    action->ticket = ticket;
    action->http_status = status;
    action->type = type;
    return true;
}

void tide_hub_respond_error (tide_hub_t *hub, uint64_t ticket, unsigned status, tide_status_t code,
                             const char *message)
{
    tide_buffer_t text = {0};
    tide_json_error (&text, code, message);
    tide_hub_respond (hub, ticket, status, "application/json", tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

void tide_hub_ask_writable (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->is_writable_asked)
        return;
    connection->is_writable_asked = true;
    DL_APPEND2 (hub->asked, connection, asked_prev, asked_next);
}

void tide_hub_settled (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->connect_by_ms != 0)
        DL_DELETE2 (hub->connecting, connection, connect_prev, connect_next);
    connection->connect_by_ms = 0;
}

void tide_hub_close (tide_hub_t *hub, tide_connection_t *connection, uint16_t code)
{
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    tide_hub_settled (hub, connection);
    if (tide_engine_polls (connection)) {
        connection->ending = TIDE_ENDING_ORDERLY;
        DL_APPEND2 (hub->ending, connection, ending_prev, ending_next);
    }
    else
        tide_hub_queue_for (hub, TIDE_HUB_CLOSE, connection, code);
}

void tide_hub_drop (tide_hub_t *hub, tide_connection_t *connection, const char *farewell)
{
    tide_hub_close (hub, connection, 0);
    if (connection->ending != TIDE_ENDING_NONE) {
        connection->ending = TIDE_ENDING_AT_ONCE;
        connection->farewell = farewell;
    }
}

/*  True while what the client says cannot be taken yet: the JSON dialect's one session is not
 *  decided, a session comes from another lane, or the rest of a POST from before the upgrade goes
 *  first. */
static bool must_wait (const tide_connection_t *connection)
{
    const tide_session_t *session;
    if (connection->is_taking || connection->has_body_left)
        return true;
    DL_FOREACH (connection->sessions, session)
        if (session->state < TIDE_SESSION_OPEN
            && (connection->kind == TIDE_CLIENT_JSON || session->is_moved))
            return true;
    return false;
}

bool tide_hub_is_busy (const tide_connection_t *connection)
{
    return connection->outbox.size - connection->outbox_at > TIDE_OUTBOX_PAUSE_SIZE
           || connection->op_count > TIDE_CONNECTION_OPS_MAX;
}

/*  What it said and was not taken yet is taken when nobody is in the midst of anything. */
static void resume_later (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->is_resuming)
        return;
    connection->is_resuming = true;
    DL_APPEND2 (hub->resuming, connection, resuming_prev, resuming_next);
}

void tide_hub_pace (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->kind == TIDE_CLIENT_SSE || connection->is_closing) /* it says nothing */
        return;
    size_t waiting = connection->outbox.size - connection->outbox_at;
    bool is_low = waiting <= TIDE_OUTBOX_PAUSE_SIZE / 2
                  && connection->op_count <= TIDE_CONNECTION_OPS_MAX / 2;
    bool pause = tide_hub_is_busy (connection) || connection->inbox.size > 0;
    bool resume = is_low && connection->inbox.size == 0;
    if (is_low
        && (connection->has_body_left || (connection->inbox.size > 0 && !must_wait (connection))))
        resume_later (hub, connection);
    if (connection->is_paused ? !resume : !pause)
        return;
    connection->is_paused = !connection->is_paused;
    hub->counters.paused += connection->is_paused;
    if (tide_engine_polls (connection))
        return;
    tide_hub_queue_for (hub, connection->is_paused ? TIDE_HUB_PAUSE : TIDE_HUB_RESUME, connection,
                        0);
}

static void send_frame (tide_hub_t *hub, tide_connection_t *connection, uint8_t opcode,
                        tide_bytes_t bytes)
{
    if (connection->is_closing)
        return;
    if (connection->kind == TIDE_CLIENT_SSE)
        tide_buffer_append_bytes (&connection->outbox, bytes);
    else
        tide_wsframe_append (&connection->outbox, opcode, bytes);
    tide_hub_ask_writable (hub, connection);
    tide_hub_pace (hub, connection);
}

void tide_hub_send_text (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t text)
{
    send_frame (hub, connection, 1, text);
}

void tide_hub_send_binary (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes)
{
    send_frame (hub, connection, 2, bytes);
}

/*  -- clients --------------------------------------------------------------------------------- */

tide_connection_t *tide_hub_open (tide_hub_t *self, uint64_t now_ms, tide_client_kind_t kind,
                                  tide_bytes_t sid, void *handle)
{
    self->now_ms = now_ms;
    tide_connection_t *connection = tide_alloc (sizeof *connection);
    connection->kind = kind;
    connection->handle = handle;
    DL_APPEND (self->connections, connection);
    self->counters.connections++;
    if (kind == TIDE_CLIENT_SOCKETIO && sid.size > 0)
        tide_engine_open_probe (self, connection, sid);
    else if (kind == TIDE_CLIENT_SOCKETIO)
        tide_engine_open (self, connection,
                          handle ? TIDE_ENGINEIO_WEBSOCKET : TIDE_ENGINEIO_POLLING);
    if (self->is_stopping)
        tide_hub_close (self, connection, 1001);
    return connection;
}

static void take_frame (tide_hub_t *self, tide_connection_t *connection, tide_bytes_t bytes,
                        bool is_text)
{
    if (connection->kind == TIDE_CLIENT_SOCKETIO)
        tide_engine_frame (self, connection, bytes, is_text);
    else
        tide_client_json_frame (self, connection, bytes, is_text);
}

static void keep_frame (tide_hub_t *self, tide_connection_t *connection, tide_bytes_t bytes,
                        bool is_text)
{
    if (connection->inbox.size > 0 && connection->inbox.size + bytes.size > TIDE_INBOX_SIZE_MAX) {
        tide_hub_close (self, connection, 1008);
        return;
    }
    tide_put_u8 (&connection->inbox, is_text);
    tide_put_u32 (&connection->inbox, (uint32_t) bytes.size);
    tide_buffer_append_bytes (&connection->inbox, bytes);
    tide_hub_pace (self, connection);
}

void tide_hub_frame (tide_hub_t *self, uint64_t now_ms, tide_connection_t *connection,
                     tide_bytes_t bytes, bool is_text)
{
    self->now_ms = now_ms;
    if (connection->has_taken)
        connection = connection->target;
    if (connection->is_closing)
        return;
    if (bytes.size > self->config.payload_max)
        tide_hub_close (self, connection, 1009);
    else if (must_wait (connection) || connection->inbox.size > 0)
        keep_frame (self, connection, bytes, is_text);
    else
        take_frame (self, connection, bytes, is_text);
}

void tide_hub_drain_inbox (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->inbox.size > 0)
        resume_later (hub, connection);
}

static void take_inbox (tide_hub_t *hub, tide_connection_t *connection);

void tide_hub_resume_sweep (tide_hub_t *hub)
{
    while (hub->resuming) {
        tide_connection_t *connection = hub->resuming;
        tide_hub_forget_resuming (hub, connection);
        if (connection->is_closing)
            continue;
        tide_engine_resume (hub, connection);
        take_inbox (hub, connection);
    }
}

void tide_hub_forget_resuming (tide_hub_t *hub, tide_connection_t *connection)
{
    if (connection->is_resuming)
        DL_DELETE2 (hub->resuming, connection, resuming_prev, resuming_next);
    connection->is_resuming = false;
}

static void take_inbox (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_buffer_t inbox = connection->inbox;
    connection->inbox = (tide_buffer_t){0};
    tide_reader_t reader = tide_reader (tide_buffer_bytes (&inbox));
    while (reader.remaining > 0 && !connection->is_closing && !must_wait (connection)
           && !tide_hub_is_busy (connection)) {
        bool is_text = tide_take_u8 (&reader) != 0;
        uint32_t size = tide_take_u32 (&reader);
        take_frame (hub, connection, tide_take_bytes (&reader, size), is_text);
    }
    if (!connection->is_closing)
        tide_buffer_append (&connection->inbox, reader.data, reader.remaining);
    tide_buffer_free (&inbox);
    tide_hub_pace (hub, connection);
}

/*  The last message: whatever was released or removed went before. Once: whoever comes after that
 *  is turned away, and nothing is known of it. */
static void say_bye (tide_hub_t *self)
{
    if (self->has_said_bye)
        return;
    self->has_said_bye = true;
    tide_link_send (self->link, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
}

bool tide_hub_owes (const tide_hub_t *self)
{
    return self->named_left && tide_link_is_up (self->link);
}

/*  Nobody is there any more, and what they acknowledged is written. */
static void say_bye_if_over (tide_hub_t *self)
{
    if (self->is_stopping && !self->connections && !tide_hub_owes (self))
        say_bye (self);
}

void tide_hub_leave (tide_hub_t *hub, tide_connection_t *connection)
{
    while (connection->sessions) {
        tide_session_t *session = connection->sessions;
        tide_session_end (hub, &session, false);
    }
    tide_op_drop_all (hub, connection);
}

void tide_hub_closed (tide_hub_t *self, uint64_t now_ms, tide_connection_t **connection_p)
{
    tide_connection_t *connection = *connection_p, *taken = NULL;
    *connection_p = NULL;
    self->now_ms = now_ms;
    if (connection->has_taken)
        taken = connection->target;
    connection->is_closing = true;
    tide_hub_leave (self, connection);
    tide_hub_forget_resuming (self, connection);
    tide_engine_closed (self, connection);
    tide_sse_closed (self, connection);
    tide_hub_settled (self, connection);
    if (connection->is_writable_asked)
        DL_DELETE2 (self->asked, connection, asked_prev, asked_next);
    tide_queued_t *queued, *next;
    DL_FOREACH_SAFE (self->queue, queued, next)
        if (queued->action.connection == connection) {
            DL_DELETE (self->queue, queued);
            free_queued (&queued);
        }
    DL_DELETE (self->connections, connection);
    self->counters.connections--;
    tide_socketio_decoder_destroy (&connection->decoder);
    tide_buffer_free (&connection->outbox);
    tide_buffer_free (&connection->inbox);
    free (connection);
    if (taken)
        tide_hub_closed (self, now_ms, &taken);
}

/*  Bytes of a stream may be written in any parts. */
static void take_stream (tide_hub_t *self, tide_connection_t *connection)
{
    tide_buffer_t *outbox = &connection->outbox;
    size_t rest = outbox->size - connection->outbox_at;
    size_t size = rest < self->config.write_size_max ? rest : self->config.write_size_max;
    tide_buffer_append (&self->write, outbox->data + connection->outbox_at, size);
    connection->outbox_at += size;
    if (connection->outbox_at == outbox->size) {
        tide_buffer_free (outbox);
        connection->outbox_at = 0;
    }
}

/*  Moves whole frames from the outbox, so that the library's own control frames fit between. */
static void take_outbox (tide_hub_t *self, tide_connection_t *connection)
{
    tide_buffer_t *outbox = &connection->outbox;
    if (connection->kind == TIDE_CLIENT_SSE) {
        take_stream (self, connection);
        return;
    }
    bool is_whole = true; /* a poll is answered by whole messages */
    while (connection->outbox_at < outbox->size
           && (self->write.size < self->config.write_size_max || !is_whole)) {
        tide_bytes_t rest = {outbox->data + connection->outbox_at,
                             outbox->size - connection->outbox_at};
        tide_wsframe_t frame;
        tide_wsframe_next (&rest, &frame);
        is_whole = frame.is_final || !tide_engine_polls (connection);
        tide_buffer_append (&self->write, outbox->data + connection->outbox_at, frame.size);
        connection->outbox_at += frame.size;
    }
    if (connection->outbox_at == outbox->size) {
        outbox->size = connection->outbox_at = 0;
        if (outbox->capacity > 4096)
            tide_buffer_free (outbox);
    }
    else if (connection->outbox_at > outbox->size / 2) {
        outbox->size -= connection->outbox_at;
        memmove (outbox->data, outbox->data + connection->outbox_at, outbox->size);
        connection->outbox_at = 0;
    }
}

tide_bytes_t tide_hub_write (tide_hub_t *self, uint64_t now_ms, tide_connection_t *connection)
{
    self->now_ms = now_ms;
    self->write.size = 0;
    take_outbox (self, connection);
    bool more = connection->outbox.size > 0;
    tide_session_t *session;
    DL_FOREACH (connection->sessions, session) {
        if (more || connection->is_closing)
            break;
        if (session->state < TIDE_SESSION_OPEN)
            continue;
        more = tide_deliver (self, session, &self->write, self->config.write_size_max);
        if (!more)
            tide_ask_deliver (self, session, &self->write);
        if (!more)
            tide_sse_delivered (self, session);
        tide_join_drained (self, session);
    }
    if (more || connection->outbox.size > 0)
        tide_hub_ask_writable (self, connection);
    /*  Another namespace is the first the next time. */
    if (more && connection->session_count > 1) {
        tide_session_t *first = connection->sessions;
        DL_DELETE (connection->sessions, first);
        DL_APPEND (connection->sessions, first);
    }
    tide_hub_pace (self, connection);
    self->counters.writes += self->write.size > 0;
    self->counters.write_bytes += self->write.size;
    return tide_buffer_bytes (&self->write);
}

/*  -- what is to be done ---------------------------------------------------------------------- */

/*  The WebSocket that took over is its session's from now on. */
static tide_connection_t *replace_probe (tide_hub_t *self, tide_connection_t *probe)
{
    tide_connection_t *target = probe->target;
    target->probe = NULL;
    probe->target = NULL;
    probe->has_taken = false;
    tide_hub_closed (self, self->now_ms, &probe);
    return target;
}

static void take_queued (tide_hub_t *self, tide_hub_action_t *action)
{
    self->handed_out = self->queue;
    DL_DELETE (self->queue, self->handed_out);
    *action = self->handed_out->action;
    if (action->kind == TIDE_HUB_UPGRADED)
        action->connection = replace_probe (self, action->connection);
}

/*  False if it was one that polls: it has been given what there was, and what that led to is to be
 *  looked at. */
static bool take_asked (tide_hub_t *self, tide_hub_action_t *action)
{
    tide_connection_t *connection = self->asked;
    DL_DELETE2 (self->asked, connection, asked_prev, asked_next);
    connection->is_writable_asked = false;
    *action = (tide_hub_action_t){
        .kind = TIDE_HUB_WRITABLE, .connection = connection, .handle = connection->handle};
    if (!tide_engine_polls (connection))
        return true;
    tide_engine_writable (self, connection);
    return false;
}

/*  What is swept at once has led to more of it. */
static bool has_to_sweep (const tide_hub_t *self)
{
    return self->told || self->orders || self->kicked || self->ending || self->resuming
           || self->joins_failed;
}

bool tide_hub_next_action (tide_hub_t *self, tide_hub_action_t *action)
{
    free_queued (&self->handed_out);
    for (;;) {
        tide_join_sweep (self);
        tide_orders_sweep (self);
        tide_session_sweep (self);
        tide_hub_resume_sweep (self);
        tide_neighbour_sweep (self);
        tide_engine_sweep (self);
        tide_app_sweep (self);
        say_bye_if_over (self);
        tide_link_action_t from_link;
        tide_feed_action_t from_feed;
        if (tide_link_next_action (self->link, &from_link)) {
            if (tide_hub_link_said (self, &from_link, action))
                return true;
        }
        else if (tide_feed_next_action (self->feed, &from_feed))
            tide_hub_feed_said (self, &from_feed);
        else if (self->queue) {
            take_queued (self, action);
            return true;
        }
        else if (self->asked) {
            if (take_asked (self, action))
                return true;
        }
        else if (!has_to_sweep (self))
            return false;
    }
}

/*  -- time ------------------------------------------------------------------------------------ */

static void tick_connecting (tide_hub_t *self)
{
    while (self->connecting && self->connecting->connect_by_ms <= self->now_ms) {
        self->counters.connect_timeouts++;
        tide_connection_t *connection = self->connecting;
        tide_hub_settled (self, connection); /* even if it is being closed already */
        tide_hub_close (self, connection, 0);
    }
}

void tide_hub_tick (tide_hub_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    tide_link_tick (self->link, now_ms);
    tide_engine_tick (self);
    tide_neighbour_tick (self);
    tide_sse_tick (self);
    tick_connecting (self);
    tide_op_tick (self);
    tide_ask_tick (self);
    tide_deliver_tick (self);
    tide_cursors_tick (self);
    tide_hooks_tick (self);
    tide_released_tick (self);
    tide_presence_tick (self);
    tide_report_tick (self);
}

static uint64_t sooner (uint64_t one, uint64_t other)
{
    return other != 0 && other < one ? other : one;
}

uint64_t tide_hub_deadline_ms (const tide_hub_t *self)
{
    uint64_t deadline = sooner (self->now_ms + 1000, tide_link_deadline_ms (self->link));
    deadline = sooner (deadline, tide_engine_deadline_ms (self));
    deadline = sooner (deadline, tide_neighbour_deadline_ms (self));
    deadline = sooner (deadline, tide_ask_deadline_ms (self));
    deadline = sooner (deadline, tide_sse_deadline_ms (self));
    deadline = sooner (deadline, tide_cursors_deadline_ms (self));
    if (self->ops_due)
        deadline = sooner (deadline, self->ops_due->due_ms);
    if (self->connecting)
        deadline = sooner (deadline, self->connecting->connect_by_ms);
    return deadline;
}

void tide_hub_stop (tide_hub_t *self, uint64_t now_ms)
{
    self->now_ms = now_ms;
    self->is_stopping = true;
    tide_engine_stop (self);
    tide_connection_t *connection;
    DL_FOREACH (self->connections, connection) {
        connection->reason = "server shutting down";
        tide_hub_close (self, connection, connection->kind == TIDE_CLIENT_JSON ? 1001 : 0);
    }
}

bool tide_hub_is_ready (const tide_hub_t *self)
{
    return !self->is_stopping && tide_link_is_up (self->link);
}

void tide_hub_add_stat (tide_hub_t *self, const char *name, const uint64_t *value)
{
    tide_stat_entry_t *stat = tide_alloc (sizeof *stat);
    stat->name = tide_copy (name, strlen (name));
    stat->value = value;
    stat->next = self->stats;
    self->stats = stat;
}
