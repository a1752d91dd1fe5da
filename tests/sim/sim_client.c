/*  sim_client.c - what clients do: publish, join, ask, come and go. What they hear is in
 *  sim_hear.c.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASKS_MAX = 12, FLOOD_MAX = 2000 };

/*  Topics first, then subtrees. */
const char *const sim_patterns[SIM_PATTERNS] = {"a",    "a/x",   "a/y", "b",   "b/c/d",
                                                "busy", "quiet", "a/#", "b/#", "#"};

void sim_client_init (sim_t *sim, sim_client_t *client, unsigned number)
{
    *client = (sim_client_t){.number = number};
    client->is_json = sim_chance (sim, 45);
    client->is_anonymous = client->is_json && sim_chance (sim, 15);
    client->connect_at_ms = sim->now_ms + sim_random (sim, 500);
    sim_reader_init (sim, client);
}

void sim_topic_forget_parts (sim_topic_t *topic)
{
    json_decref (topic->state_parts);
    topic->state_parts = NULL;
}

void sim_client_free (sim_client_t *client)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++)
        sim_topic_forget_parts (&client->topics[at]);
    tide_buffer_free (&client->stream);
    tide_buffer_free (&client->message);
    free (client->asks);
    *client = (sim_client_t){.number = client->number};
}

/*  -- publishing ------------------------------------------------------------------------------ */

static uint64_t find_published (sim_t *sim, bool acked)
{
    for (unsigned tries = 0; tries < 10 && sim->publish_count > 1; tries++) {
        uint64_t n = 1 + sim_random (sim, sim->publish_count - 1);
        const sim_publish_t *publish = &sim->publishes[n];
        if (publish->has_id && !publish->is_volatile && !publish->expects
            && (!acked || (publish->acked_seq > 0 && publish->acked_epoch == sim->disk->epoch)))
            return n;
    }
    return 0;
}

/*  One that was published before, with the same id; or 0. */
uint64_t sim_publish_again (sim_t *sim)
{
    return sim->has_faults && sim_chance (sim, 8) ? find_published (sim, false) : 0;
}

uint64_t sim_publish_make (sim_t *sim, bool may_be_volatile)
{
    if (sim->publish_count == sim->publish_capacity) {
        sim->publish_capacity = 2 * sim->publish_capacity + 256;
        sim->publishes =
            tide_realloc (sim->publishes, sim->publish_capacity * sizeof *sim->publishes);
    }
    uint64_t n = sim->publish_count++;
    sim_publish_t *publish = &sim->publishes[n];
    *publish = (sim_publish_t){.key = -1, .at_ms = sim->now_ms};
    publish->topic = sim_chance (sim, 30) ? 5 : (unsigned) sim_random (sim, SIM_TOPICS - 1);
    if (sim_chance (sim, 2))
        publish->topic = 6;
    if (sim_chance (sim, 40))
        publish->key = (int) sim_random (sim, SIM_KEYS);
    publish->removes = publish->key >= 0 && sim_chance (sim, 20);
    publish->is_volatile = may_be_volatile && sim->has_faults && sim_chance (sim, 10);
    publish->has_id = !publish->is_volatile && sim_chance (sim, 60);
    publish->is_text = sim_chance (sim, 15);
    if (!publish->is_text)
        publish->pad = (size_t) sim_random (sim, sim_chance (sim, 10) ? 900 : 60);
    if (sim->big_events && !publish->is_text && sim_random (sim, 150) == 0)
        publish->pad = (size_t) sim_random (sim, 120000);
    uint64_t other = may_be_volatile && publish->has_id && sim->has_faults && sim_chance (sim, 3)
                         ? find_published (sim, true)
                         : 0;
    if (other > 0 && sim->publishes[other].same_id_as == 0) {
        publish->same_id_as = other;
        publish->topic = sim->publishes[other].topic;
    }
    return n;
}

json_t *sim_publish_json (sim_t *sim, uint64_t n, const char *id_member)
{
    const sim_publish_t *publish = &sim->publishes[n];
    json_t *object = json_object ();
    json_object_set_new (object, "topic", json_string (sim_patterns[publish->topic]));
    json_object_set_new (object, "event", json_sprintf ("e%llu", (unsigned long long) n));
    if (publish->key >= 0)
        json_object_set_new (object, "key", json_sprintf ("k%d", publish->key));
    if (publish->is_volatile)
        json_object_set_new (object, "volatile", json_true ());
    uint64_t id = publish->same_id_as > 0 ? publish->same_id_as : n;
    if (publish->has_id)
        json_object_set_new (object, id_member, json_sprintf ("id%llu", (unsigned long long) id));
    if (publish->removes)
        return object;
    if (publish->is_text) {
        json_object_set_new (object, "data", json_sprintf ("n%llu", (unsigned long long) n));
        return object;
    }
    char *pad = tide_alloc (publish->pad + 1);
    memset (pad, 'x', publish->pad);
    json_object_set_new (object, "data", json_pack ("{s:I,s:s}", "n", (json_int_t) n, "pad", pad));
    free (pad);
    return object;
}

/*  -- coming and going ------------------------------------------------------------------------ */

static bool overlaps (unsigned one, unsigned other)
{
    for (unsigned at = 0; at < SIM_TOPICS; at++)
        if (tide_pattern_matches (tide_bytes (sim_patterns[one]), tide_bytes (sim_patterns[at]))
            && tide_pattern_matches (tide_bytes (sim_patterns[other]),
                                     tide_bytes (sim_patterns[at])))
            return true;
    return false;
}

static sim_lane_t *choose_lane (sim_t *sim)
{
    for (unsigned tries = 0; tries < 10; tries++) {
        sim_lane_t *lane = &sim->lanes[sim_random (sim, sim->lane_count)];
        if (lane->hub && (tide_hub_is_ready (lane->hub) || sim_chance (sim, 5)))
            return lane;
    }
    return NULL;
}

void sim_client_connect (sim_t *sim, sim_client_t *client)
{
    sim_lane_t *lane = choose_lane (sim);
    if (!lane) {
        client->connect_at_ms = sim->now_ms + 100 + sim_random (sim, 400);
        return;
    }
    sim_note (sim, "client %u (%s%s) connects to %s, position %016llx:%llu %s", client->number,
              client->is_json ? "json" : "socketio", client->is_ghost ? ", a ghost" : "", lane->id,
              (unsigned long long) client->epoch, (unsigned long long) client->position,
              client->offset);
    client->state = SIM_OPENING;
    client->socket = sim_socket_open (sim, client, lane);
    if (!client->is_json)
        return;
    if (client->is_anonymous)
        sim_heard_open (sim, client, NULL, NULL, false, 0, 0, NULL);
    else
        sim_say_hello (sim, client);
}

void sim_client_remember (sim_t *sim, sim_client_t *client, const sim_ask_t *ask)
{
    size_t places = sizeof client->unacked / sizeof client->unacked[0];
    if (ask->kind == SIM_ASK_PUBLISH && sim->publishes[ask->n].has_id
        && client->unacked_count < places)
        client->unacked[client->unacked_count++] = ask->n;
}

/*  The connection has gone, the session may still be had. */
void sim_client_drop (sim_t *sim, sim_client_t *client)
{
    for (size_t at = 0; at < client->ask_count; at++)
        sim_client_remember (sim, client, &client->asks[at]);
    client->ask_count = 0;
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        sim_topic_forget_parts (topic);
        if (topic->is_joining)
            topic->state = SIM_MAYBE;
        sim_presence_unsure (topic);
        topic->is_joining = topic->is_left = false;
    }
    sim_reader_dropped (client);
    sim_orders_dropped (client);
    client->stream.size = client->message.size = 0;
    client->opcode = 0;
    if (client->state == SIM_OPEN)
        client->away_since_ms = sim->now_ms;
    client->state = SIM_AWAY;
    client->connect_at_ms = sim->now_ms + sim_random (sim, sim_chance (sim, 20) ? 3000 : 200);
    if (sim->has_faults && sim_random (sim, 60) == 0)
        client->connect_at_ms += sim_random (sim, 2 * sim->resume_ms);
    sim_socket_t *socket = client->socket;
    client->socket = NULL;
    if (socket)
        sim_socket_client_closed (sim, socket);
    if (client->is_ghost) {
        client->original->ghost = NULL;
        client->is_dead = true;
    }
}

void sim_client_closed (sim_t *sim, sim_client_t *client)
{
    sim_note (sim, "client %u: the connection is closed", client->number);
    sim_client_drop (sim, client);
}

void sim_client_cut (sim_t *sim, sim_client_t *client)
{
    sim_socket_t *socket = client->socket;
    sim->stats.cuts++;
    if (sim_chance (sim, 40)) {
        sim_note (sim, "client %u closes", client->number);
        sim_pipe_put (sim, &socket->up, SIM_PACKET_CLOSE, (tide_bytes_t){0});
    }
    else {
        /*  The lane does not know: it finds out by silence. */
        sim_note (sim, "client %u is cut off", client->number);
        sim_pipe_clear (&socket->up);
        socket->is_broken = true;
        socket->close_at_ms = sim->now_ms + 15000;
    }
    sim_pipe_clear (&socket->down);
    sim_client_drop (sim, client);
}

/*  A second connection that resumes the same session, at the same time or while the first lives. */
void sim_client_haunt (sim_t *sim, sim_client_t *client)
{
    if (client->state != SIM_OPEN || client->ghost || client->is_ghost || client->pid[0] == 0
        || client->ask_count > 0 || client->reader.is_on)
        return;
    unsigned at = sim->client_count;
    while (at < SIM_CLIENTS_MAX && sim->clients[at].is_ghost && !sim->clients[at].is_dead)
        at++;
    if (at == SIM_CLIENTS_MAX)
        return;
    sim_client_t *ghost = &sim->clients[at];
    sim_client_free (ghost);
    *ghost = *client;
    ghost->number = at;
    ghost->is_ghost = true;
    ghost->original = client;
    ghost->socket = NULL;
    ghost->asks = NULL;
    ghost->ask_count = ghost->ask_capacity = 0;
    ghost->stream = ghost->message = (tide_buffer_t){0};
    ghost->opcode = 0;
    ghost->unacked_count = 0;
    ghost->state = SIM_AWAY;
    ghost->connect_at_ms = sim->now_ms;
    for (unsigned each = 0; each < SIM_PATTERNS; each++)
        ghost->topics[each].state_parts = NULL;
    sim_orders_dropped (ghost);
    for (uint64_t n = 1; n < sim->publish_count; n++)
        sim->publishes[n].seen_by &= ~(1u << at);
    client->ghost = ghost;
    sim->stats.ghosts++;
    sim_note (sim, "client %u is the ghost of %u", at, client->number);
    if (sim_chance (sim, 50)) {
        sim_client_cut (sim, client);
        client->connect_at_ms = sim->now_ms;
    }
}

/*  Goes for good, and comes back with what it still has. */
static void leave (sim_t *sim, sim_client_t *client)
{
    if (client->is_json)
        return;
    sim_note (sim, "client %u leaves", client->number);
    sim_pipe_put (sim, &client->socket->up, SIM_PACKET_BYTES, tide_bytes ("41"));
    sim_pipe_put (sim, &client->socket->up, SIM_PACKET_CLOSE, (tide_bytes_t){0});
    sim_pipe_clear (&client->socket->down);
    for (unsigned at = 0; at < SIM_PATTERNS; at++)
        if (client->topics[at].state == SIM_IN)
            client->topics[at].state = SIM_MAYBE;
    sim_client_drop (sim, client);
}

void sim_client_tick (sim_t *sim, sim_client_t *client)
{
    if (client->reader.is_on)
        sim_reader_tick (sim, client);
    if (client->is_dead || client->state != SIM_AWAY || client->connect_at_ms > sim->now_ms)
        return;
    sim_client_connect (sim, client);
}

/*  -- asking ---------------------------------------------------------------------------------- */

static sim_ask_t *ask (sim_t *sim, sim_client_t *client, const char *operation, json_t *object)
{
    if (client->ask_count == client->ask_capacity) {
        client->ask_capacity += 16;
        client->asks = tide_realloc (client->asks, client->ask_capacity * sizeof *client->asks);
    }
    sim_ask_t *made = &client->asks[client->ask_count++];
    *made = (sim_ask_t){.id = ++client->last_id, .at_ms = sim->now_ms};
    sim_say (sim, client, operation, object, made->id);
    return made;
}

static void ask_publish (sim_t *sim, sim_client_t *client)
{
    uint64_t n = client->unacked_count > 0 ? client->unacked[--client->unacked_count]
                                           : sim_publish_again (sim);
    if (n == 0)
        n = sim_publish_make (sim, true);
    sim_note (sim, "client %u publishes e%llu to %s%s", client->number, (unsigned long long) n,
              sim_patterns[sim->publishes[n].topic],
              sim->publishes[n].is_volatile ? ", volatile" : "");
    json_t *object = sim_publish_json (sim, n, client->is_json ? "event_id" : "id");
    sim_ask_t *made = ask (sim, client, client->is_json ? "pub" : "publish", object);
    made->kind = SIM_ASK_PUBLISH;
    made->n = n;
}

/*  A position that is to be read from: the client's own, an older one, or one of no use. */
static void choose_since (sim_t *sim, sim_client_t *client, sim_topic_t *topic)
{
    topic->epoch = client->epoch > 0 ? client->epoch : sim->disk->epoch;
    const sim_disk_t *disk = sim_disk_find (sim, topic->epoch);
    unsigned dice = (unsigned) sim_random (sim, 100);
    topic->since = dice < 40 ? client->position : sim_random (sim, disk->count + 1);
    if (dice > 95)
        topic->since = disk->count + 1000000; /* which is never reached */
    else if (dice > 92)
        topic->epoch ^= 0x100;
    topic->must_reset = dice > 92;
}

static void ask_join (sim_t *sim, sim_client_t *client, unsigned pattern, sim_mode_t mode)
{
    sim_topic_t *topic = &client->topics[pattern];
    bool was_in = topic->state != SIM_OUT;
    sim_presence_anew (topic);
    char position[64];
    json_t *object = json_pack ("{s:s}", "topic", sim_patterns[pattern]);
    if (topic->state == SIM_OUT)
        topic->meta = sim_chance (sim, 70);
    topic->state = was_in ? SIM_MAYBE : SIM_OUT;
    topic->is_joining = true;
    topic->mode = mode;
    topic->must_reset = topic->was_reset = topic->snapshot_came = false;
    topic->since = topic->at = topic->epoch = 0;
    if (!client->is_json && topic->meta)
        json_object_set_new (object, "meta", json_true ());
    sim_presence_ask (sim, client, pattern, object);
    if (mode == SIM_SNAPSHOT)
        json_object_set_new (object, "since", json_string ("snapshot"));
    else if (mode == SIM_SINCE && sim_chance (sim, 20))
        json_object_set_new (object, "since", json_string ("start"));
    else if (mode == SIM_SINCE) {
        choose_since (sim, client, topic);
        sim_position_text (position, topic->epoch, topic->since);
        json_object_set_new (object, "since", json_string (position));
        topic->at = topic->since;
    }
    sim_note (sim, "client %u joins %s, mode %d, since %llu%s", client->number,
              sim_patterns[pattern], mode, (unsigned long long) topic->since,
              topic->must_reset ? " (foreign)" : "");
    sim_ask_t *made = ask (sim, client, client->is_json ? "sub" : "subscribe", object);
    made->kind = SIM_ASK_JOIN;
    made->pattern = pattern;
}

static void ask_leave (sim_t *sim, sim_client_t *client, unsigned pattern)
{
    sim_topic_t *topic = &client->topics[pattern];
    sim_note (sim, "client %u leaves %s", client->number, sim_patterns[pattern]);
    topic->state = SIM_MAYBE;
    topic->is_left = true;
    sim_ask_t *made = ask (sim, client, client->is_json ? "unsub" : "unsubscribe",
                           json_pack ("{s:s}", "topic", sim_patterns[pattern]));
    made->kind = SIM_ASK_LEAVE;
    made->pattern = pattern;
}

/*  History that is brought up can only be told from live events where nothing else brings the same
 *  topics: no such join beside another that overlaps. */
static bool may_join (const sim_client_t *client, unsigned pattern, sim_mode_t mode)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        const sim_topic_t *topic = &client->topics[at];
        if (!overlaps (at, pattern))
            continue;
        if (topic->is_joining && (mode == SIM_SINCE || topic->mode == SIM_SINCE))
            return false;
        if (mode == SIM_SINCE && topic->state != SIM_OUT)
            return false;
    }
    return !client->topics[pattern].is_joining && !client->topics[pattern].is_left;
}

static void change_topics (sim_t *sim, sim_client_t *client)
{
    unsigned pattern = (unsigned) sim_random (sim, SIM_PATTERNS);
    sim_topic_t *topic = &client->topics[pattern];
    if (pattern == SIM_PATTERNS - 1 && sim_chance (sim, 70))
        return;
    if (topic->is_joining || topic->is_left || sim_orders_await (client, topic)
        || topic->left > client->position)
        return;
    if (topic->state == SIM_MAYBE || (topic->state == SIM_IN && sim_chance (sim, 25)))
        ask_leave (sim, client, pattern);
    else if (topic->state == SIM_OUT || sim_chance (sim, 15)) {
        sim_mode_t mode = (sim_mode_t) sim_random (sim, 3);
        if (may_join (client, pattern, mode))
            ask_join (sim, client, pattern, mode);
    }
}

static void ask_state (sim_t *sim, sim_client_t *client)
{
    unsigned pattern = (unsigned) sim_random (sim, SIM_PATTERNS);
    json_t *object = json_pack ("{s:s}", "topic", sim_patterns[pattern]);
    if (client->is_json) {
        json_decref (object);
        sim_say (sim, client, "ping", json_object (), 0);
        return;
    }
    if (sim_chance (sim, 50)) {
        sim_ask_t *made = ask (sim, client, "snapshot", object);
        made->kind = SIM_ASK_SNAPSHOT;
        made->pattern = pattern;
        return;
    }
    char position[64];
    uint64_t since = sim_random (sim, sim->disk->count + 1), limit = 1 + sim_random (sim, 300);
    sim_position_text (position, sim->disk->epoch, since);
    json_object_set_new (object, "since", json_string (position));
    json_object_set_new (object, "limit", json_integer ((json_int_t) limit));
    sim_ask_t *made = ask (sim, client, "history", object);
    made->kind = SIM_ASK_HISTORY;
    made->pattern = pattern;
    made->since = since;
    made->limit = limit;
}

/*  One that does not read, but asks for much. */
static void flood (sim_t *sim, sim_client_t *client)
{
    char position[64];
    sim_position_text (position, sim->disk->epoch, 0);
    for (unsigned times = 0; times < 16 && client->ask_count < FLOOD_MAX; times++) {
        sim_ask_t *made =
            ask (sim, client, "history",
                 json_pack ("{s:s,s:s,s:i}", "topic", "#", "since", position, "limit", 150));
        made->kind = SIM_ASK_HISTORY;
        made->pattern = SIM_PATTERNS - 1;
        made->limit = 150;
    }
}

void sim_client_act (sim_t *sim, sim_client_t *client)
{
    unsigned dice = (unsigned) sim_random (sim, 1000);
    if (client->is_dead || client->state != SIM_OPEN)
        return;
    if (client->reader.is_on) {
        sim_reader_act (sim, client);
        return;
    }
    if (client->is_ghost) {
        if (dice < 60)
            sim_client_cut (sim, client);
        return;
    }
    bool is_deaf = client->deaf_until_ms > sim->now_ms;
    if (is_deaf && sim->may_flood && !client->is_json) {
        flood (sim, client);
        return;
    }
    bool may_ask = client->ask_count < ASKS_MAX;
    if (dice < 25)
        sim_client_cut (sim, client);
    else if (dice < 28)
        leave (sim, client);
    else if (dice < 45)
        client->deaf_until_ms = sim->now_ms + sim_random (sim, sim->may_flood ? 60000 : 6000);
    else if (dice < 65)
        sim_client_haunt (sim, client);
    else if (dice < 130 && may_ask)
        ask_state (sim, client);
    else if (dice < 600 && may_ask)
        ask_publish (sim, client);
    else if (may_ask && !client->ghost)
        change_topics (sim, client);
}
