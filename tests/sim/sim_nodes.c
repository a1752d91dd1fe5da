/*  sim_nodes.c - the shells: what tide_server, tide_lane and tide_uplink do around the cores, with
 *  the world's network and disk in the place of sockets and files.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_broker_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/*  -- broker ---------------------------------------------------------------------------------- */

sim_dealer_t *sim_dealer_at (sim_t *sim, unsigned at)
{
    if (at == 0)
        return &sim->publisher.dealer;
    at -= 1;
    if (at < SIM_CALLERS)
        return &sim->calls.callers[at].dealer;
    at -= SIM_CALLERS;
    if (at < SIM_WORKERS)
        return &sim->calls.workers[at].dealer;
    at -= SIM_WORKERS;
    if (at < SIM_MEMBERS)
        return &sim->groups.members[at].dealer;
    return at == SIM_MEMBERS ? &sim->hooks.dealer : NULL;
}

static sim_dealer_t *find_dealer (sim_t *sim, tide_bytes_t id)
{
    sim_dealer_t *dealer;
    for (unsigned at = 0; at < sim->lane_count; at++)
        if (sim->lanes[at].dealer.is_open && tide_bytes_is (id, sim->lanes[at].dealer.id))
            return &sim->lanes[at].dealer;
    for (unsigned at = 0; (dealer = sim_dealer_at (sim, at)) != NULL; at++)
        if (dealer->is_open && tide_bytes_is (id, dealer->id))
            return dealer;
    return NULL;
}

static void connect_peer (sim_t *sim, sim_dealer_t *dealer)
{
    if (!dealer->is_open)
        return;
    sim_packet_t *kept = dealer->up.first;
    dealer->up = (sim_pipe_t){0};
    sim_dealer_close (dealer);
    sim_dealer_open (sim, dealer);
    /*  What a DEALER was given while it had no connection goes out when it has one; what had been
     *  sent is lost. Which is which nobody knows. */
    bool keeps = sim_chance (sim, 50);
    while (kept) {
        sim_packet_t *next = kept->next;
        if (keeps)
            sim_pipe_put (sim, &dealer->up, kept->kind, (tide_bytes_t){kept->data, kept->size});
        free (kept);
        kept = next;
    }
}

void sim_broker_start (sim_t *sim)
{
    sim->config.epoch = sim->disk->epoch;
    sim->config.hash_seed[0] = sim_random (sim, UINT64_MAX);
    sim->config.hash_seed[1] = sim_random (sim, UINT64_MAX);
    sim->broker.core = tide_broker_new (&sim->config);
    if (sim->segment_events > 0)
        tide_broker_shrink (sim->broker.core, sim->segment_events,
                            tide_retention_segments (&sim->config, sim->segment_events), 2);
    sim_disk_load (sim, sim->broker.core);
    sim_broker_stir (sim);
    for (unsigned at = 0; at < sim->lane_count; at++) {
        sim_lane_t *lane = &sim->lanes[at];
        connect_peer (sim, &lane->dealer);
        if (lane->events.is_open)
            sim_sub_connect (sim, &lane->events);
        if (lane->volatiles.is_open)
            sim_sub_connect (sim, &lane->volatiles);
    }
    sim_dealer_t *dealer;
    for (unsigned at = 0; (dealer = sim_dealer_at (sim, at)) != NULL; at++)
        connect_peer (sim, dealer);
    sim_calls_restarted (sim);
    sim_groups_restarted (sim);
    sim_note (sim, "broker up, epoch %016llx, head %zu", (unsigned long long) sim->disk->epoch,
              sim->disk->count);
}

static void broker_ends (sim_t *sim)
{
    tide_broker_destroy (&sim->broker.core);
    sim_disk_crash (sim);
    sim->broker.stop_by_ms = 0;
    sim->broker.up_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 8000 : 400);
}

void sim_broker_kill (sim_t *sim)
{
    if (!sim->broker.core)
        return;
    sim_note (sim, "broker killed");
    sim->stats.kills++;
    broker_ends (sim);
    for (unsigned at = 0; at < sim->lane_count; at++) {
        sim_pipe_clear (&sim->lanes[at].dealer.down);
        sim_pipe_clear (&sim->lanes[at].events.down);
        sim_pipe_clear (&sim->lanes[at].volatiles.down);
    }
    sim_dealer_t *dealer;
    for (unsigned at = 0; (dealer = sim_dealer_at (sim, at)) != NULL; at++)
        sim_pipe_clear (&dealer->down);
}

void sim_broker_stop (sim_t *sim)
{
    enum { STOP_MS = 5000 };
    if (!sim->broker.core || sim->broker.stop_by_ms > 0)
        return;
    sim_note (sim, "broker stops");
    sim->stats.stops++;
    sim->broker.stop_by_ms = sim->now_ms + STOP_MS;
    tide_broker_stop (sim->broker.core, sim->now_ms);
    sim_broker_stir (sim);
}

static void send_to_peer (sim_t *sim, const tide_broker_action_t *action)
{
    tide_message_t message;
    const char *why;
    if (tide_message_decode (action->bytes, &message, &why) != TIDE_OK) {
        sim_fail (sim, "wire", "the broker sends what is no message: %s", why);
        return;
    }
    if (message.kind == TIDE_MESSAGE_LEND)
        sim_mutate_lend (sim, &message.lend);
    if (message.kind == TIDE_MESSAGE_GROUP_EVENT
        && !sim_mutate_group_event (sim, &message.group_event))
        return;
    sim_check_frame (sim, &message);
    sim_group_tells (sim, action->peer, &message);
    sim_dealer_t *dealer = find_dealer (sim, action->peer);
    if (!dealer) {
        if (sim_chance (sim, 70))
            tide_broker_gone (sim->broker.core, sim->now_ms, action->peer);
        return;
    }
    tide_buffer_t changed = {0};
    if (!sim_mutate_from_broker (sim, action->bytes, &changed))
        sim_pipe_put (sim, &dealer->down, SIM_PACKET_BYTES, action->bytes);
    else if (changed.size > 0)
        sim_pipe_put (sim, &dealer->down, SIM_PACKET_BYTES, tide_buffer_bytes (&changed));
    tide_buffer_free (&changed);
}

static void publish (sim_t *sim, const tide_broker_action_t *action)
{
    tide_bytes_t prefix, bytes;
    tide_message_t message;
    const char *why;
    if (!tide_fanout_split (action->bytes, &prefix, &bytes)
        || tide_message_decode (bytes, &message, &why) != TIDE_OK) {
        sim_fail (sim, "wire", "the broker publishes what is no message");
        return;
    }
    sim_check_frame (sim, &message);
    for (unsigned at = 0; at < sim->lane_count; at++)
        sim_sub_publish (sim,
                         action->is_volatile ? &sim->lanes[at].volatiles : &sim->lanes[at].events,
                         action->bytes);
}

void sim_broker_stir (sim_t *sim)
{
    if (!sim->broker.is_dirty)
        sim->broker.dirty_ms = sim->now_ms;
    sim->broker.is_dirty = true;
}

void sim_broker_drain (sim_t *sim)
{
    tide_broker_action_t action;
    sim->broker.is_dirty = false;
    while (!sim->failed && sim->broker.core
           && tide_broker_next_action (sim->broker.core, &action)) {
        switch (action.kind) {
        case TIDE_BROKER_SEND:
            send_to_peer (sim, &action);
            break;
        case TIDE_BROKER_PUBLISH:
            publish (sim, &action);
            break;
        case TIDE_BROKER_APPEND:
            sim_disk_append (sim, action.batch);
            break;
        case TIDE_BROKER_FETCH:
            sim_disk_fetch (sim, action.fetch);
            break;
        case TIDE_BROKER_STOP:
            sim_fail (sim, "live", "the broker stopped by itself: %s",
                      tide_status_name (action.status));
            break;
        }
    }
    if (sim->broker.core && sim->broker.stop_by_ms > 0
        && (tide_broker_is_idle (sim->broker.core) || sim->now_ms >= sim->broker.stop_by_ms)) {
        sim_note (sim, "broker has stopped");
        broker_ends (sim); /* what it has said arrives */
    }
}

/*  -- lanes ----------------------------------------------------------------------------------- */

void sim_lane_start (sim_t *sim, sim_lane_t *lane)
{
    static const char *const namespaces[] = {"/", NULL};
    static const char *const none[] = {NULL};
    snprintf (lane->id, sizeof lane->id, "L%u-%llu", lane->number,
              (unsigned long long) ++sim->serial);
    tide_hub_config_t config = {.lane = lane->id,
                                .engineio = {2500, 2000, 1000000},
                                .connect_timeout_ms = 4500,
                                .payload_max = 1000000,
                                .resume_ms = sim->resume_ms,
                                .namespaces = namespaces,
                                .no_recovery = none,
                                .may_read = true,
                                .may_publish = true,
                                .tape_size = sim_chance (sim, 50) ? 6 << 10 : 256 << 10,
                                .write_size_max = sim_chance (sim, 50) ? 600 : 16 << 10};
    for (size_t at = 0; at < sizeof config.secret; at++)
        config.secret[at] = (uint8_t) sim_random (sim, 256);
    lane->hub = tide_hub_new (&config, sim->now_ms);
    sim_note (sim, "lane %s starts", lane->id);
    sim_lane_drain (sim, lane);
}

void sim_lane_kill (sim_t *sim, sim_lane_t *lane)
{
    if (!lane->hub)
        return;
    sim_note (sim, "lane %s killed", lane->id);
    sim->stats.lane_kills++;
    sim_socket_t *socket, *next;
    DL_FOREACH_SAFE (sim->sockets, socket, next) {
        if (socket->lane != lane)
            continue;
        socket->lane = NULL;
        socket->connection = NULL;
        if (!socket->is_broken)
            sim_pipe_put (sim, &socket->down, SIM_PACKET_CLOSE, (tide_bytes_t){0});
        sim_socket_release (sim, socket);
    }
    tide_hub_destroy (&lane->hub);
    sim_dealer_close (&lane->dealer);
    sim_sub_free (&lane->events);
    sim_sub_free (&lane->volatiles);
    lane->http_count = 0;
    lane->up_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 10000 : 500);
}

/*  A fresh socket: marks, and all that was subscribed to and not taken back. */
static void follow (sim_t *sim, sim_sub_t *sub)
{
    tide_buffer_t prefix = {0};
    tide_fanout_mark_prefix (&prefix);
    bool has_mark = false;
    for (size_t at = 0; at < sub->wanted_count && !has_mark; at++)
        has_mark = sub->wanted_size[at] == prefix.size
                   && memcmp (sub->wanted[at], prefix.data, prefix.size) == 0;
    if (!has_mark)
        sim_sub_want (sim, sub, tide_buffer_bytes (&prefix));
    tide_buffer_free (&prefix);
    sim_sub_connect (sim, sub);
}

static void close_socket (sim_t *sim, sim_socket_t *socket)
{
    if (!socket->is_broken)
        sim_pipe_put (sim, &socket->down, SIM_PACKET_CLOSE, (tide_bytes_t){0});
    socket->close_at_ms = sim->now_ms + 1 + sim_random (sim, 20);
}

static void respond (sim_t *sim, sim_lane_t *lane, const tide_hub_action_t *action);

static void handle (sim_t *sim, sim_lane_t *lane, const tide_hub_action_t *action)
{
    sim_socket_t *socket = action->handle;
    switch (action->kind) {
    case TIDE_HUB_CONNECT:
        sim_dealer_close (&lane->dealer);
        sim_dealer_open (sim, &lane->dealer);
        break;
    case TIDE_HUB_SEND: {
        tide_buffer_t changed = {0};
        if (!lane->dealer.is_open)
            break;
        if (!sim_mutate_to_broker (sim, action->bytes, &changed))
            sim_pipe_put (sim, &lane->dealer.up, SIM_PACKET_BYTES, action->bytes);
        else
            sim_pipe_put (sim, &lane->dealer.up, SIM_PACKET_BYTES, tide_buffer_bytes (&changed));
        tide_buffer_free (&changed);
        break;
    }
    case TIDE_HUB_FOLLOW:
        follow (sim, &lane->events);
        follow (sim, &lane->volatiles);
        break;
    case TIDE_HUB_SUBSCRIBE:
        sim_sub_want (sim, action->is_volatile ? &lane->volatiles : &lane->events, action->bytes);
        break;
    case TIDE_HUB_UNSUBSCRIBE:
        sim_sub_unwant (sim, action->is_volatile ? &lane->volatiles : &lane->events, action->bytes);
        break;
    case TIDE_HUB_WRITABLE:
        socket->is_writable_asked = true;
        break;
    case TIDE_HUB_CLOSE:
        close_socket (sim, socket);
        break;
    case TIDE_HUB_PAUSE:
        if (sim->mutation == SIM_MUTATION_DEAF_TO_PAUSE)
            sim->mutated++;
        else
            socket->is_paused = true;
        sim->stats.pauses++;
        break;
    case TIDE_HUB_RESUME:
        socket->is_paused = false;
        break;
    case TIDE_HUB_UPGRADED:
        socket->connection = action->connection;
        break;
    case TIDE_HUB_RESPOND:
        respond (sim, lane, action);
        break;
    }
}

void sim_lane_drain (sim_t *sim, sim_lane_t *lane)
{
    tide_hub_action_t action;
    while (!sim->failed && lane->hub && tide_hub_next_action (lane->hub, &action))
        handle (sim, lane, &action);
}

/*  The client's end can take bytes: as the shell's writable callback. */
void sim_lane_write (sim_t *sim, sim_socket_t *socket)
{
    socket->is_writable_asked = false;
    tide_bytes_t bytes = tide_hub_write (socket->lane->hub, sim->now_ms, socket->connection);
    if (bytes.size > 0)
        sim_pipe_put (sim, &socket->down, SIM_PACKET_BYTES, bytes);
    sim_lane_drain (sim, socket->lane);
}

/*  -- HTTP ------------------------------------------------------------------------------------ */

static void request (sim_t *sim, sim_lane_t *lane, const char *method, const char *path,
                     const char *query, tide_bytes_t body, sim_http_t wanted)
{
    tide_http_request_t http = {.method = tide_bytes (method),
                                .path = tide_bytes (path),
                                .query = tide_bytes (query),
                                .body = body};
    wanted.ticket = tide_hub_request (lane->hub, sim->now_ms, &http);
    lane->http = tide_realloc (lane->http, (lane->http_count + 1) * sizeof *lane->http);
    lane->http[lane->http_count++] = wanted;
    sim_lane_drain (sim, lane);
}

static void request_publish (sim_t *sim, sim_lane_t *lane)
{
    uint64_t count = sim_chance (sim, 25) ? 2 + sim_random (sim, 5) : 1;
    uint64_t n = count == 1 ? sim_publish_again (sim) : 0;
    if (n == 0) {
        n = sim->publish_count;
        for (uint64_t at = 0; at < count; at++)
            sim_publish_make (sim, count == 1);
    }
    json_t *json;
    if (count == 1)
        json = sim_publish_json (sim, n, "id");
    else {
        json = json_array ();
        for (uint64_t at = 0; at < count; at++)
            json_array_append_new (json, sim_publish_json (sim, n + at, "id"));
    }
    char *text = json_dumps (json, JSON_COMPACT);
    sim_note (sim, "HTTP at %s publishes e%llu (%llu)", lane->id, (unsigned long long) n,
              (unsigned long long) count);
    request (sim, lane, "POST", "/api/v1/publish", "", tide_bytes (text),
             (sim_http_t){.kind = SIM_HTTP_PUBLISH, .n = n, .count = count});
    free (text);
    json_decref (json);
}

/*  Names of topics need no escaping but for the subtree's sign. */
static void topic_query (char *query, size_t size, unsigned pattern)
{
    const char *name = sim_patterns[pattern], *sign = strchr (name, '#');
    snprintf (query, size, "topic=%.*s%s", (int) (sign ? sign - name : (long) strlen (name)), name,
              sign ? "%23" : "");
}

void sim_lane_request (sim_t *sim, sim_lane_t *lane)
{
    char query[200];
    sim_http_t wanted = {.pattern = (unsigned) sim_random (sim, SIM_PATTERNS)};
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (lane->http_count > 20)
        return;
    if (dice < 70)
        request_publish (sim, lane);
    else if (dice < 82) {
        wanted.kind = SIM_HTTP_SNAPSHOT;
        topic_query (query, sizeof query, wanted.pattern);
        request (sim, lane, "GET", "/api/v1/snapshot", query, (tide_bytes_t){0}, wanted);
    }
    else if (dice < 97) {
        wanted.kind = SIM_HTTP_HISTORY;
        wanted.since = sim_random (sim, sim->disk->count + 1);
        wanted.limit = 1 + sim_random (sim, 50);
        topic_query (query, sizeof query, wanted.pattern);
        size_t used = strlen (query);
        snprintf (query + used, sizeof query - used, "&since=%016llx:%llu&limit=%llu",
                  (unsigned long long) sim->disk->epoch, (unsigned long long) wanted.since,
                  (unsigned long long) wanted.limit);
        request (sim, lane, "GET", "/api/v1/history", query, (tide_bytes_t){0}, wanted);
    }
    else {
        wanted.kind = SIM_HTTP_OTHER;
        request (sim, lane, "GET", sim_chance (sim, 50) ? "/metrics" : "/api/v1/topics", "",
                 (tide_bytes_t){0}, wanted);
    }
}

static uint64_t epoch_of (const json_t *answer)
{
    const char *text = json_string_value (json_object_get (answer, "epoch"));
    return text ? strtoull (text, NULL, 16) : 0;
}

static uint64_t seq_of (const json_t *answer)
{
    return (uint64_t) json_integer_value (json_object_get (answer, "seq"));
}

static void responded (sim_t *sim, const sim_http_t *http, json_t *answer)
{
    if (http->kind == SIM_HTTP_PUBLISH)
        for (uint64_t at = 0; at < http->count; at++) {
            const json_t *one = json_is_array (answer) ? json_array_get (answer, at) : answer;
            sim_check_ack (sim, http->n + at, epoch_of (one), seq_of (one));
        }
    else if (http->kind == SIM_HTTP_SNAPSHOT)
        sim_check_state (sim, epoch_of (answer), http->pattern, seq_of (answer),
                         json_object_get (answer, "state"), "an answer to HTTP");
    else if (http->kind == SIM_HTTP_HISTORY)
        sim_check_history (sim, http->pattern, http->since, http->limit, answer);
}

static void respond (sim_t *sim, sim_lane_t *lane, const tide_hub_action_t *action)
{
    size_t at = 0;
    while (at < lane->http_count && lane->http[at].ticket != action->ticket)
        at++;
    if (at == lane->http_count) {
        sim_fail (sim, "live", "an HTTP request is answered that nobody made, or twice");
        return;
    }
    sim_http_t http = lane->http[at];
    lane->http[at] = lane->http[--lane->http_count];
    json_t *answer = action->http_status == 200 ? json_loadb ((const char *) action->bytes.data,
                                                              action->bytes.size, 0, NULL)
                                                : NULL;
    if (action->http_status == 200 && !answer && http.kind != SIM_HTTP_OTHER)
        sim_fail (sim, "wire", "an HTTP answer is no JSON");
    if (answer)
        responded (sim, &http, answer);
    json_decref (answer);
}

/*  -- the publisher --------------------------------------------------------------------------- */

void sim_publisher_start (sim_t *sim)
{
    sim->publisher.link = tide_link_new (
        &(tide_link_config_t){.name = "publisher", .lease = NULL, .origin = "publisher"});
    tide_link_start (sim->publisher.link, sim->now_ms);
    sim_publisher_drain (sim);
}

static void answered (sim_t *sim, const tide_link_action_t *action)
{
    sim_publisher_t *self = &sim->publisher;
    const tide_message_t *message = action->message;
    for (size_t at = 0; at < sizeof self->pending / sizeof self->pending[0]; at++) {
        if (self->pending[at].count == 0 || self->pending[at].token != action->token)
            continue;
        if (message->kind == TIDE_MESSAGE_ACK)
            for (uint64_t each = 0; each < self->pending[at].count; each++)
                sim_check_ack (sim, self->pending[at].n + each, message->ack.epoch,
                               message->ack.first > 0 ? message->ack.first + each : 0);
        else
            sim->stats.fails++;
        if (message->kind == TIDE_MESSAGE_FAIL && message->fail.code == TIDE_CONFLICT)
            sim->stats.conflicts++;
        self->pending[at].count = 0;
        return;
    }
}

void sim_publisher_drain (sim_t *sim)
{
    tide_link_action_t action;
    sim_publisher_t *self = &sim->publisher;
    while (!sim->failed && tide_link_next_action (self->link, &action)) {
        if (action.kind == TIDE_LINK_CONNECT) {
            sim_dealer_close (&self->dealer);
            sim_dealer_open (sim, &self->dealer);
        }
        else if (action.kind == TIDE_LINK_SEND && self->dealer.is_open) {
            tide_buffer_t changed = {0};
            bool is_changed = sim_mutate_to_broker (sim, action.bytes, &changed);
            sim_pipe_put (sim, &self->dealer.up, SIM_PACKET_BYTES,
                          is_changed ? tide_buffer_bytes (&changed) : action.bytes);
            tide_buffer_free (&changed);
        }
        else if (action.kind == TIDE_LINK_ANSWER)
            answered (sim, &action);
    }
}

static void encode_payload (const sim_publish_t *publish, uint64_t n, tide_buffer_t *payload)
{
    char *text = NULL;
    json_t *pad = json_stringn ("", 0);
    if (publish->pad > 0) {
        char *filling = tide_alloc (publish->pad + 1);
        memset (filling, 'x', publish->pad);
        json_string_set (pad, filling);
        free (filling);
    }
    json_t *data = publish->is_text ? json_sprintf ("n%llu", (unsigned long long) n)
                                    : json_pack ("{s:I,s:O}", "n", (json_int_t) n, "pad", pad);
    json_decref (pad);
    text = json_dumps (data, JSON_COMPACT | JSON_ENCODE_ANY);
    tide_args_encode (payload, &(tide_args_t){.json = tide_bytes (text)});
    free (text);
    json_decref (data);
}

static void append_event (sim_t *sim, uint64_t n, tide_buffer_t *events)
{
    const sim_publish_t *publish = &sim->publishes[n];
    char name[32], id[32], key[16] = "";
    tide_buffer_t payload = {0};
    snprintf (name, sizeof name, "e%llu", (unsigned long long) n);
    uint64_t named = publish->same_id_as > 0 ? publish->same_id_as : n;
    snprintf (id, sizeof id, "id%llu", (unsigned long long) named);
    if (publish->key >= 0)
        snprintf (key, sizeof key, "k%d", publish->key);
    if (!publish->removes)
        encode_payload (publish, n, &payload);
    tide_event_append (
        events, &(tide_event_t){.flags = publish->is_volatile ? TIDE_EVENT_VOLATILE : 0,
                                .topic = tide_bytes (sim_patterns[publish->topic]),
                                .name = tide_bytes (name),
                                .key = tide_bytes (key),
                                .id = publish->is_volatile ? (tide_bytes_t){0} : tide_bytes (id),
                                .payload = tide_buffer_bytes (&payload)});
    tide_buffer_free (&payload);
}

/*  A condition on a key: what stands there by now, or something else. */
static void choose_condition (sim_t *sim, sim_publish_t *publish)
{
    publish->expects = true;
    publish->expect_topic = (unsigned) sim_random (sim, SIM_TOPICS);
    publish->expect_key = (int) sim_random (sim, SIM_KEYS);
    char key[16];
    snprintf (key, sizeof key, "k%d", publish->expect_key);
    for (size_t seq = sim->disk->count; seq > 0 && sim_chance (sim, 95); seq--) {
        const tide_event_t *event = &sim->disk->records[seq - 1].event;
        if (!tide_bytes_is (event->topic, sim_patterns[publish->expect_topic])
            || !tide_bytes_is (event->key, key))
            continue;
        publish->expect_seq = event->payload.size > 0 ? seq : 0;
        break;
    }
}

void sim_publisher_act (sim_t *sim)
{
    sim_publisher_t *self = &sim->publisher;
    size_t at = 0, places = sizeof self->pending / sizeof self->pending[0];
    while (at < places && self->pending[at].count > 0)
        at++;
    if (at == places)
        return;
    uint64_t count = sim_chance (sim, 30) ? 1 + sim_random (sim, 20) : 1;
    uint64_t n = count == 1 ? sim_publish_again (sim) : 0;
    tide_buffer_t events = {0}, expects = {0};
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    if (n == 0) {
        n = sim->publish_count;
        for (uint64_t each = 0; each < count; each++) {
            sim_publish_make (sim, count == 1);
            sim->publishes[n + each].has_id = !sim->publishes[n + each].is_volatile;
        }
        if (sim_chance (sim, 20) && !sim->publishes[n].is_volatile)
            choose_condition (sim, &sim->publishes[n]);
    }
    for (uint64_t each = 0; each < count; each++)
        append_event (sim, n + each, &events);
    const sim_publish_t *publish = &sim->publishes[n];
    message.publish.events = tide_list (&events, (uint32_t) count);
    if (publish->expects) {
        char key[16];
        snprintf (key, sizeof key, "k%d", publish->expect_key);
        tide_expect_append (&expects,
                            &(tide_expect_t){tide_bytes (sim_patterns[publish->expect_topic]),
                                             tide_bytes (key), publish->expect_seq});
        message.publish.expects = tide_list (&expects, 1);
    }
    sim_note (sim, "publisher: e%llu (%llu)%s", (unsigned long long) n, (unsigned long long) count,
              publish->expects ? ", on a condition" : "");
    self->pending[at].token = tide_link_request (self->link, sim->now_ms, &message);
    self->pending[at].n = n;
    self->pending[at].count = count;
    tide_buffer_free (&events);
    tide_buffer_free (&expects);
    sim_publisher_drain (sim);
}

/*  -- clients' connections -------------------------------------------------------------------- */

sim_socket_t *sim_socket_open (sim_t *sim, sim_client_t *client, sim_lane_t *lane)
{
    sim_socket_t *socket = tide_alloc (sizeof *socket);
    socket->client = client;
    socket->lane = lane;
    socket->opened_ms = sim->now_ms;
    DL_APPEND (sim->sockets, socket);
    socket->connection = tide_hub_open (lane->hub, sim->now_ms,
                                        client->is_json ? TIDE_CLIENT_JSON : TIDE_CLIENT_SOCKETIO,
                                        (tide_bytes_t){0}, socket);
    sim_lane_drain (sim, lane);
    return socket;
}

/*  Both ends have gone: so does it. */
void sim_socket_release (sim_t *sim, sim_socket_t *socket)
{
    if (socket->client || socket->lane)
        return;
    DL_DELETE (sim->sockets, socket);
    sim_pipe_clear (&socket->up);
    sim_pipe_clear (&socket->down);
    free (socket);
}

void sim_socket_lane_closed (sim_t *sim, sim_socket_t *socket)
{
    sim_lane_t *lane = socket->lane;
    tide_hub_closed (lane->hub, sim->now_ms, &socket->connection);
    socket->lane = NULL;
    socket->is_writable_asked = false;
    sim_lane_drain (sim, lane);
    sim_socket_release (sim, socket);
}

void sim_socket_client_closed (sim_t *sim, sim_socket_t *socket)
{
    socket->client = NULL;
    sim_socket_release (sim, socket);
}
