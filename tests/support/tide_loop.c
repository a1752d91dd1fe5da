/*  tide_loop.c - a broker and some lanes in one thread.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_loop.h"

#include "tide_alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load_event (void *argument, uint64_t seq, uint64_t segment, const tide_bytes_t *record)
{
    tide_broker_load (argument, seq, segment, record);
}

static void load_lost (void *argument, tide_bytes_t topic, uint64_t seq)
{
    tide_broker_load_lost (argument, topic, seq);
}

static void start_broker (tide_loop_t *self)
{
    self->broker_config.epoch = tide_log_info (self->log).epoch;
    self->broker = tide_broker_new (&self->broker_config);
    tide_log_lost (self->log, load_lost, self->broker);
    tide_log_scan (self->log, load_event, self->broker);
    tide_broker_start (self->broker, self->now_ms, tide_log_info (self->log).last);
}

static void start_lane (tide_loop_t *self, unsigned hub)
{
    snprintf (self->lanes[hub], sizeof self->lanes[hub], "lane%u.%u", hub, self->generation++);
    self->hub_config.lane = self->lanes[hub];
    self->hub_config.secret[0]++;
    self->prefixes[hub].size = 0;
    self->hubs[hub] = tide_hub_new (&self->hub_config, self->now_ms);
}

static const tide_broker_config_t usual_broker = {.events = "7401",
                                                  .volatiles = "7402",
                                                  .payload_max = 100000,
                                                  .retain_events = 100000,
                                                  .retain_bytes = 1u << 30,
                                                  .retain_ms = 86400000,
                                                  .dedupe_ids = 100000,
                                                  .workers_wait_ms = 10000};

tide_loop_t *tide_loop_new (const tide_broker_config_t *broker_config)
{
    return tide_loop_new_with (broker_config, NULL);
}

tide_loop_t *tide_loop_new_keeping (uint64_t events)
{
    tide_broker_config_t config = usual_broker;
    config.retain_events = events;
    return tide_loop_new (&config);
}

tide_loop_t *tide_loop_new_with (const tide_broker_config_t *broker_config,
                                 const tide_application_t *application)
{
    static const char *const namespaces[] = {"/", "/tenant-*", "/plain", NULL};
    static const char *const no_recovery[] = {"/plain", NULL};
    tide_loop_t *self = tide_alloc (sizeof *self);
    self->now_ms = 1700000000000;
    self->broker_config = broker_config ? *broker_config : usual_broker;
    self->hub_config = (tide_hub_config_t){.engineio = {25000, 20000, 100000},
                                           .connect_timeout_ms = 45000,
                                           .payload_max = 100000,
                                           .resume_ms = 60000,
                                           .namespaces = namespaces,
                                           .no_recovery = no_recovery,
                                           .may_read = true,
                                           .may_publish = true,
                                           .application = application,
                                           .tape_size = 1 << 16};
    self->log = tide_log_open_memory (0x1111);
    start_broker (self);
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
        start_lane (self, hub);
    tide_loop_run (self);
    return self;
}

void tide_loop_destroy (tide_loop_t **self_p)
{
    tide_loop_t *self = *self_p;
    *self_p = NULL;
    for (unsigned at = 0; at < self->client_count; at++) {
        tide_loop_client_t *client = self->clients[at];
        if (client->connection)
            tide_hub_closed (self->hubs[client->hub], self->now_ms, &client->connection);
        for (size_t frame = 0; frame < client->count; frame++)
            free (client->frames[frame]);
        tide_buffer_free (&client->partial);
        tide_buffer_free (&client->binary);
        tide_buffer_free (&client->text);
        free (client);
    }
    for (unsigned at = 0; at < self->held_count; at++)
        tide_buffer_free (&self->held[at].bytes);
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        tide_hub_destroy (&self->hubs[hub]);
        tide_buffer_free (&self->prefixes[hub]);
    }
    tide_broker_destroy (&self->broker);
    tide_log_close (&self->log);
    tide_buffer_free (&self->told);
    tide_buffer_free (&self->lent);
    free (self->http_body);
    free (self);
}

/*  -- between broker and lanes ---------------------------------------------------------------- */

static bool is_subscribed (const tide_buffer_t *prefixes, tide_bytes_t frame, bool is_volatile)
{
    tide_reader_t reader = tide_reader (tide_buffer_bytes (prefixes));
    while (reader.remaining > 0) {
        bool same = (tide_take_u8 (&reader) != 0) == is_volatile;
        uint32_t size = tide_take_u32 (&reader);
        tide_bytes_t prefix = tide_take_bytes (&reader, size);
        if (same && prefix.size <= frame.size && memcmp (prefix.data, frame.data, prefix.size) == 0)
            return true;
    }
    return frame.size > 0 && frame.data[0] == TIDE_CLASS_MARK;
}

static void subscribe (tide_buffer_t *prefixes, const tide_hub_action_t *action)
{
    tide_put_u8 (prefixes, action->is_volatile);
    tide_put_u32 (prefixes, (uint32_t) action->bytes.size);
    tide_buffer_append_bytes (prefixes, action->bytes);
}

static void unsubscribe (tide_buffer_t *prefixes, const tide_hub_action_t *action)
{
    tide_reader_t reader = tide_reader (tide_buffer_bytes (prefixes));
    while (reader.remaining > 0) {
        size_t at = prefixes->size - reader.remaining;
        bool is_volatile = tide_take_u8 (&reader) != 0;
        tide_bytes_t prefix = tide_take_bytes (&reader, tide_take_u32 (&reader));
        if (is_volatile != action->is_volatile || !tide_bytes_equal (prefix, action->bytes))
            continue;
        memmove (prefixes->data + at, reader.data, reader.remaining);
        prefixes->size = at + reader.remaining;
        return;
    }
}

static void complete (tide_loop_t *self)
{
    tide_log_completion_t completion;
    while (tide_log_next (self->log, &completion))
        tide_broker_complete (self->broker, self->now_ms, &completion);
}

static void do_hub (tide_loop_t *self, unsigned hub, const tide_hub_action_t *action);

static bool drain_hub (tide_loop_t *self, unsigned hub)
{
    bool busy = false;
    tide_hub_action_t action;
    while (tide_hub_next_action (self->hubs[hub], &action)) {
        do_hub (self, hub, &action);
        busy = true;
    }
    return busy;
}

/*  A copy: what the lane answers at once may change what the broker said. */
static void receive (tide_loop_t *self, unsigned hub, tide_bytes_t message)
{
    tide_buffer_t copy = {0};
    tide_buffer_append_bytes (&copy, message);
    tide_hub_receive (self->hubs[hub], self->now_ms, tide_buffer_bytes (&copy));
    if (self->is_prompt)
        drain_hub (self, hub);
    tide_buffer_free (&copy);
}

static bool is_lost_answer (const tide_loop_t *self, unsigned hub, tide_bytes_t bytes)
{
    return bytes.size > 3 && (self->lost_answers[hub] >> bytes.data[3] & 1) != 0;
}

/*  As with ZeroMQ, the broker is told that a peer is gone when it has something for it. */
static void send_to_peer (tide_loop_t *self, const tide_broker_action_t *action)
{
    bool is_gone = action->peer.size > 4 && memcmp (action->peer.data, "peer", 4) == 0;
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        if (!tide_bytes_is (action->peer, self->peers[hub]))
            continue;
        if (!self->is_cut[hub] && !is_lost_answer (self, hub, action->bytes))
            receive (self, hub, action->bytes);
        return; /* the action may be gone */
    }
    if (is_gone)
        tide_broker_gone (self->broker, self->now_ms, action->peer);
    else if (tide_bytes_is (action->peer, "test")) {
        if (action->bytes.size > 3 && action->bytes.data[3] == TIDE_MESSAGE_LEND) {
            tide_put_u32 (&self->lent, (uint32_t) action->bytes.size);
            tide_buffer_append_bytes (&self->lent, action->bytes);
            return;
        }
        self->told.size = 0;
        tide_buffer_append_bytes (&self->told, action->bytes);
    }
}

static void do_broker (tide_loop_t *self, const tide_broker_action_t *action)
{
    tide_log_batch_t *batch = action->batch;
    tide_log_fetch_t *fetch = action->fetch;
    switch (action->kind) {
    case TIDE_BROKER_SEND:
        send_to_peer (self, action);
        break;
    case TIDE_BROKER_PUBLISH:
        for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
            if (!self->is_cut[hub]
                && is_subscribed (&self->prefixes[hub], action->bytes, action->is_volatile))
                tide_hub_published (self->hubs[hub], self->now_ms, action->bytes);
        break;
    case TIDE_BROKER_APPEND:
        tide_log_append (self->log, &batch);
        complete (self);
        break;
    case TIDE_BROKER_FETCH:
        tide_log_fetch (self->log, &fetch);
        complete (self);
        break;
    case TIDE_BROKER_STOP:
        tide_assert (false);
    }
}

/*  -- between lanes and clients --------------------------------------------------------------- */

static tide_loop_client_t *client_of (tide_loop_t *self, const tide_connection_t *connection)
{
    for (unsigned at = 0; at < self->client_count; at++)
        if (self->clients[at]->connection == connection)
            return self->clients[at];
    tide_assert (false);
    return NULL;
}

static void take_text (tide_loop_client_t *client, tide_bytes_t text)
{
    tide_assert (client->count < sizeof client->frames / sizeof client->frames[0]);
    client->frames[client->count++] = tide_copy (text.data, text.size);
}

static void take_binary (tide_loop_client_t *client, tide_bytes_t bytes)
{
    client->binaries++;
    client->binary.size = 0;
    tide_buffer_append_bytes (&client->binary, bytes);
}

/*  Takes the frames apart; fragments are put together. */
static void take_frames (tide_loop_client_t *client, tide_bytes_t bytes)
{
    if (client->is_stream) {
        tide_buffer_append_bytes (&client->text, bytes);
        return;
    }
    tide_buffer_t *text = &client->partial;
    tide_reader_t reader = tide_reader (bytes);
    while (reader.remaining > 0) {
        uint8_t first = tide_take_u8 (&reader);
        uint64_t size = tide_take_u8 (&reader);
        size = size == 126 ? tide_take_u16 (&reader) : size == 127 ? tide_take_u64 (&reader) : size;
        tide_bytes_t payload = tide_take_bytes (&reader, (size_t) size);
        tide_assert (!reader.failed);
        if ((first & 0x0f) != 0)
            client->opcode = first & 0x0f;
        tide_buffer_append_bytes (text, payload);
        if (!(first & 0x80))
            continue;
        if (client->opcode == 1)
            take_text (client, tide_buffer_bytes (text));
        else
            take_binary (client, tide_buffer_bytes (text));
        text->size = 0;
    }
}

static void write_to (tide_loop_t *self, tide_loop_client_t *client)
{
    client->is_writable = client->is_stalled;
    if (!client->is_stalled)
        take_frames (client,
                     tide_hub_write (self->hubs[client->hub], self->now_ms, client->connection));
}

/*  Takes the answer to a poll apart. As a client that is about to be upgraded does, it asks no more
 *  once it was told "6". */
static void take_payload (tide_loop_client_t *client, tide_bytes_t payload)
{
    tide_buffer_t binary = {0};
    tide_bytes_t packet;
    bool has_more = true;
    while (tide_engineio_payload_next (&payload, &has_more, &packet)) {
        if (tide_engineio_base64 (packet, &binary)) {
            take_binary (client, tide_buffer_bytes (&binary));
            continue;
        }
        take_text (client, packet);
        client->is_over = client->is_over || tide_bytes_is (packet, "1");
        client->is_stalled = client->is_stalled || tide_bytes_is (packet, "6");
    }
    tide_buffer_free (&binary);
}

/*  True if somebody who polls waits for the answer. */
static bool answer_polling (tide_loop_t *self, unsigned hub, const tide_hub_action_t *action)
{
    for (unsigned at = 0; at < self->client_count; at++) {
        tide_loop_client_t *client = self->clients[at];
        if (!client->is_polling)
            continue;
        if (client->poll == action->ticket && client->poll_hub == hub) {
            client->poll = 0;
            client->poll_status = action->http_status;
            if (action->http_status == 200)
                take_payload (client, action->bytes);
            else
                client->is_over = true;
            return true;
        }
        if (client->post == action->ticket && client->post_hub == hub) {
            client->post = 0;
            client->post_status = action->http_status;
            return true;
        }
    }
    return false;
}

static bool poll_again (tide_loop_t *self)
{
    bool busy = false;
    for (unsigned at = 0; at < self->client_count; at++) {
        tide_loop_client_t *client = self->clients[at];
        if (!client->is_polling || client->is_over || client->is_stalled || client->poll != 0)
            continue;
        tide_loop_get (client);
        busy = true;
    }
    return busy;
}

static bool is_lost (const tide_loop_t *self, tide_bytes_t bytes)
{
    tide_message_t message;
    tide_event_t event;
    const char *why;
    if (self->lost_kind == 0 || tide_message_decode (bytes, &message, &why) != TIDE_OK
        || message.kind != self->lost_kind)
        return false;
    if (!self->lost_name || message.kind != TIDE_MESSAGE_PUBLISH)
        return true;
    tide_list_t events = message.publish.events;
    return tide_event_next (&events, &event) && tide_bytes_is (event.name, self->lost_name);
}

static bool is_held (const tide_loop_t *self, unsigned hub, tide_bytes_t bytes)
{
    tide_message_t message;
    const char *why;
    uint64_t kinds = self->held_kinds[hub];
    return kinds != 0 && tide_message_decode (bytes, &message, &why) == TIDE_OK
           && (kinds & (1ull << message.kind)) != 0;
}

static void hold (tide_loop_t *self, unsigned hub, tide_bytes_t bytes)
{
    tide_assert (self->held_count < LOOP_HELD);
    unsigned at = self->held_count++;
    self->held[at].hub = hub;
    memcpy (self->held[at].peer, self->peers[hub], sizeof self->held[at].peer);
    self->held[at].bytes = (tide_buffer_t){0};
    tide_buffer_append_bytes (&self->held[at].bytes, bytes);
}

static void to_broker (tide_loop_t *self, unsigned hub, tide_bytes_t bytes)
{
    if (self->is_cut[hub] || is_lost (self, bytes))
        return;
    if (is_held (self, hub, bytes))
        hold (self, hub, bytes);
    else
        tide_broker_receive (self->broker, self->now_ms, tide_bytes (self->peers[hub]), bytes);
}

static void do_hub (tide_loop_t *self, unsigned hub, const tide_hub_action_t *action)
{
    tide_loop_client_t *client;
    switch (action->kind) {
    case TIDE_HUB_CONNECT:
        snprintf (self->peers[hub], sizeof self->peers[hub], "peer%u.%u", hub, self->generation++);
        break;
    case TIDE_HUB_SEND:
        to_broker (self, hub, action->bytes);
        break;
    case TIDE_HUB_SUBSCRIBE:
        subscribe (&self->prefixes[hub], action);
        break;
    case TIDE_HUB_UNSUBSCRIBE:
        unsubscribe (&self->prefixes[hub], action);
        break;
    case TIDE_HUB_WRITABLE:
        write_to (self, client_of (self, action->connection));
        break;
    case TIDE_HUB_CLOSE:
        client = client_of (self, action->connection);
        client->close_code = action->close_code;
        if (!client->is_stalled)
            take_frames (client,
                         tide_hub_write (self->hubs[hub], self->now_ms, client->connection));
        if (!client->closes_late)
            tide_hub_closed (self->hubs[hub], self->now_ms, &client->connection);
        break;
    case TIDE_HUB_RESPOND:
        if (answer_polling (self, hub, action))
            break;
        self->ticket = action->ticket;
        self->http_status = action->http_status;
        free (self->http_body);
        self->http_body = tide_copy (action->bytes.data, action->bytes.size);
        break;
    case TIDE_HUB_PAUSE:
    case TIDE_HUB_RESUME:
        client_of (self, action->connection)->is_paused = action->kind == TIDE_HUB_PAUSE;
        break;
    case TIDE_HUB_UPGRADED:
        ((tide_loop_client_t *) action->handle)->connection = action->connection;
        break;
    case TIDE_HUB_FOLLOW:
        break;
    }
}

void tide_loop_run (tide_loop_t *self)
{
    for (bool busy = true; busy;) {
        busy = false;
        tide_broker_action_t from_broker;
        while (tide_broker_next_action (self->broker, &from_broker)) {
            do_broker (self, &from_broker);
            busy = true;
        }
        for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
            busy = drain_hub (self, hub) || busy;
        busy = poll_again (self) || busy;
    }
}

void tide_loop_pass (tide_loop_t *self, uint64_t ms)
{
    enum { STEP_MS = 250 };
    for (uint64_t passed = 0; passed < ms; passed += STEP_MS) {
        self->now_ms += STEP_MS;
        if (self->has_worker)
            tide_loop_ask_broker (self, &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        tide_broker_tick (self->broker, self->now_ms);
        for (unsigned hub = 0; hub < LOOP_HUBS; hub++)
            tide_hub_tick (self->hubs[hub], self->now_ms);
        tide_loop_run (self);
    }
}

void tide_loop_kill_lane (tide_loop_t *self, unsigned hub)
{
    for (unsigned at = 0; at < self->client_count; at++) {
        tide_loop_client_t *client = self->clients[at];
        if (client->hub == hub)
            client->connection = NULL;
        if (client->poll_hub == hub)
            client->poll = 0;
        if (client->post_hub == hub)
            client->post = 0;
    }
    tide_hub_destroy (&self->hubs[hub]);
    start_lane (self, hub);
    tide_loop_run (self);
}

void tide_loop_kill_broker (tide_loop_t *self, bool wipe)
{
    tide_broker_destroy (&self->broker);
    if (wipe) {
        tide_log_close (&self->log);
        self->log = tide_log_open_memory (0x2222 + self->generation++);
    }
    start_broker (self);
    tide_loop_run (self);
}

/*  -- clients --------------------------------------------------------------------------------- */

static tide_loop_client_t *client_new (tide_loop_t *self, unsigned hub)
{
    tide_assert (self->client_count < LOOP_CLIENTS);
    tide_loop_client_t *client = tide_alloc (sizeof *client);
    client->loop = self;
    client->hub = client->gets_at = client->posts_at = hub;
    self->clients[self->client_count++] = client;
    return client;
}

static tide_loop_client_t *open_websocket (tide_loop_t *self, unsigned hub, tide_client_kind_t kind,
                                           const char *sid)
{
    tide_loop_client_t *client = client_new (self, hub);
    client->connection =
        tide_hub_open (self->hubs[hub], self->now_ms, kind, tide_bytes (sid), client);
    tide_loop_run (self);
    return client;
}

tide_loop_client_t *tide_loop_open (tide_loop_t *self, unsigned hub, tide_client_kind_t kind)
{
    return open_websocket (self, hub, kind, "");
}

tide_loop_client_t *tide_loop_probe (tide_loop_client_t *client)
{
    return tide_loop_probe_at (client, client->hub);
}

tide_loop_client_t *tide_loop_probe_at (tide_loop_client_t *client, unsigned hub)
{
    return open_websocket (client->loop, hub, TIDE_CLIENT_SOCKETIO, client->sid);
}

tide_loop_client_t *tide_loop_stream (tide_loop_t *self, unsigned hub, const char *query,
                                      const char *last_event_id)
{
    tide_loop_client_t *client = client_new (self, hub);
    tide_http_request_t request = {.method = tide_bytes ("GET"),
                                   .path = tide_bytes ("/events"),
                                   .query = tide_bytes (query),
                                   .last_event_id = tide_bytes (last_event_id)};
    client->is_stream = true;
    self->http_status = 0;
    client->connection =
        tide_hub_stream (self->hubs[hub], self->now_ms, &request, client, &self->ticket);
    bool is_refused = !client->connection;
    tide_loop_run (self);
    return is_refused ? NULL : client;
}

/*  -- polling --------------------------------------------------------------------------------- */

static uint64_t ask_engineio (tide_loop_t *self, unsigned hub, const char *method,
                              const char *query)
{
    tide_http_request_t request = {.method = tide_bytes (method),
                                   .path = tide_bytes ("/socket.io/"),
                                   .query = tide_bytes (query)};
    return tide_hub_engineio (self->hubs[hub], self->now_ms, &request);
}

static uint64_t ask_session (const tide_loop_client_t *client, unsigned hub, const char *method)
{
    char query[160];
    snprintf (query, sizeof query, "EIO=4&transport=polling&sid=%s", client->sid);
    return ask_engineio (client->loop, hub, method, query);
}

tide_loop_client_t *tide_loop_open_polling (tide_loop_t *self, unsigned hub)
{
    tide_loop_client_t *client = client_new (self, hub);
    client->is_polling = client->is_stalled = true;
    client->poll_hub = hub;
    client->poll = ask_engineio (self, hub, "GET", "EIO=4&transport=polling");
    tide_loop_run (self);
    tide_assert (client->count > 0);
    json_t *opened = json_loads (client->frames[0] + 1, 0, NULL);
    snprintf (client->sid, sizeof client->sid, "%s",
              json_string_value (json_object_get (opened, "sid")));
    json_decref (opened);
    client->is_stalled = false;
    tide_loop_run (self);
    return client;
}

void tide_loop_get (tide_loop_client_t *client)
{
    tide_assert (client->poll == 0);
    client->poll_hub = client->gets_at;
    client->poll = ask_session (client, client->poll_hub, "GET");
}

void tide_loop_post (tide_loop_client_t *client, tide_bytes_t body)
{
    tide_assert (client->post == 0);
    client->post_hub = client->posts_at;
    client->post = ask_session (client, client->post_hub, "POST");
    tide_hub_body (client->loop->hubs[client->post_hub], client->loop->now_ms, client->post, body);
}

uint64_t tide_loop_engineio (tide_loop_t *self, unsigned hub, const char *method, const char *query,
                             const char *body)
{
    self->http_status = 0;
    uint64_t ticket = ask_engineio (self, hub, method, query);
    if (body)
        tide_hub_body (self->hubs[hub], self->now_ms, ticket, tide_bytes (body));
    tide_loop_run (self);
    return ticket;
}

/*  -- what waits on its way -------------------------------------------------------------------- */

bool tide_loop_let_go (tide_loop_t *self)
{
    if (self->held_count == 0)
        return false;
    tide_buffer_t bytes = self->held[0].bytes;
    unsigned hub = self->held[0].hub;
    /*  What a lane said on a connection that it has given up is not heard. */
    bool is_heard = strcmp (self->held[0].peer, self->peers[hub]) == 0 && !self->is_cut[hub];
    self->held_count--;
    memmove (self->held, self->held + 1, self->held_count * sizeof self->held[0]);
    if (is_heard)
        tide_broker_receive (self->broker, self->now_ms, tide_bytes (self->peers[hub]),
                             tide_buffer_bytes (&bytes));
    tide_buffer_free (&bytes);
    tide_loop_run (self);
    return true;
}

void tide_loop_let_all_go (tide_loop_t *self)
{
    memset (self->held_kinds, 0, sizeof self->held_kinds);
    while (tide_loop_let_go (self)) {
    }
}

/*  -- what clients do ------------------------------------------------------------------------- */

void tide_loop_say (tide_loop_client_t *client, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start (arguments, format);
    int size = vasprintf (&text, format, arguments);
    va_end (arguments);
    tide_assert (size >= 0);
    tide_bytes_t bytes = {(uint8_t *) text, strlen (text)};
    if (client->connection)
        tide_hub_frame (client->loop->hubs[client->hub], client->loop->now_ms, client->connection,
                        bytes, true);
    else if (client->is_polling && !client->is_over)
        tide_loop_post (client, bytes);
    free (text);
    tide_loop_run (client->loop);
}

void tide_loop_cut (tide_loop_client_t *client)
{
    tide_hub_t **hubs = client->loop->hubs;
    if (client->connection)
        tide_hub_closed (hubs[client->hub], client->loop->now_ms, &client->connection);
    client->is_over = true;
    if (client->post != 0)
        tide_hub_abandon (hubs[client->post_hub], client->post);
    if (client->poll != 0)
        tide_hub_abandon (hubs[client->poll_hub], client->poll);
    client->poll = client->post = 0;
    tide_loop_run (client->loop);
}

const char *tide_loop_hear (tide_loop_client_t *client)
{
    return client->first < client->count ? client->frames[client->first++] : NULL;
}

void tide_loop_unstall (tide_loop_client_t *client)
{
    client->is_stalled = false;
    if (client->is_writable && client->connection)
        write_to (client->loop, client);
    tide_loop_run (client->loop);
}

void tide_loop_ask_broker (tide_loop_t *self, const tide_message_t *message)
{
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes, message);
    tide_broker_receive (self->broker, self->now_ms, tide_bytes ("test"),
                         tide_buffer_bytes (&bytes));
    tide_buffer_free (&bytes);
    tide_loop_run (self);
}

void tide_loop_http (tide_loop_t *self, unsigned hub, const char *method, const char *path,
                     const char *query, const char *body)
{
    self->http_status = 0;
    tide_http_request_t request = {tide_bytes (method), tide_bytes (path), tide_bytes (query),
                                   tide_bytes (body)};
    tide_hub_request (self->hubs[hub], self->now_ms, &request);
    tide_loop_run (self);
}

uint64_t tide_loop_publish (tide_loop_t *self, const char *topic, int number)
{
    char body[400];
    snprintf (body, sizeof body, "{\"topic\":\"%s\",\"event\":\"n\",\"data\":%d}", topic, number);
    tide_loop_http (self, 0, "POST", "/api/v1/publish", "", body);
    tide_assert (self->http_status == 200);
    json_t *answer = json_loads (self->http_body, 0, NULL);
    uint64_t seq = (uint64_t) json_integer_value (json_object_get (answer, "seq"));
    json_decref (answer);
    return seq;
}
