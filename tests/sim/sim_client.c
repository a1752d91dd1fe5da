/*  sim_client.c - clients: what they do, what they hear, and what must be true of it.
 *
 *  A client keeps the position up to which it has everything (checked with each event, G5), and for
 *  each pattern whether it must, may or must not get its events. May is the short time in which
 *  only the other side knows: a request is under way, or was when the connection went.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASKS_MAX = 12, FLOOD_MAX = 2000 };

/*  Topics first, then subtrees. */
const char *const sim_patterns[SIM_PATTERNS]
    = {"a", "a/x", "a/y", "b", "b/c/d", "busy", "quiet", "a/#", "b/#", "#"};

void sim_client_init (sim_t *sim, sim_client_t *client, unsigned number)
{
    *client = (sim_client_t){.number = number};
    client->is_json = sim_chance (sim, 45);
    client->is_anonymous = client->is_json && sim_chance (sim, 15);
    client->connect_at_ms = sim->now_ms + sim_random (sim, 500);
}

static void forget_parts (sim_topic_t *topic)
{
    json_decref (topic->state_parts);
    topic->state_parts = NULL;
}

void sim_client_free (sim_client_t *client)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++)
        forget_parts (&client->topics[at]);
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
        sim->publishes
            = tide_realloc (sim->publishes, sim->publish_capacity * sizeof *sim->publishes);
    }
    uint64_t n = sim->publish_count++;
    sim_publish_t *publish = &sim->publishes[n];
    *publish = (sim_publish_t){.key = -1, .at_ms = sim->now_ms};
    publish->topic = sim_chance (sim, 30) ? 5 : (unsigned)sim_random (sim, SIM_TOPICS - 1);
    if (sim_chance (sim, 2))
        publish->topic = 6;
    if (sim_chance (sim, 40))
        publish->key = (int)sim_random (sim, SIM_KEYS);
    publish->removes = publish->key >= 0 && sim_chance (sim, 20);
    publish->is_volatile = may_be_volatile && sim->has_faults && sim_chance (sim, 10);
    publish->has_id = !publish->is_volatile && sim_chance (sim, 60);
    publish->is_text = sim_chance (sim, 15);
    if (!publish->is_text)
        publish->pad = (size_t)sim_random (sim, sim_chance (sim, 10) ? 900 : 60);
    if (sim->big_events && !publish->is_text && sim_random (sim, 150) == 0)
        publish->pad = (size_t)sim_random (sim, 120000);
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
    json_object_set_new (object, "event", json_sprintf ("e%llu", (unsigned long long)n));
    if (publish->key >= 0)
        json_object_set_new (object, "key", json_sprintf ("k%d", publish->key));
    if (publish->is_volatile)
        json_object_set_new (object, "volatile", json_true ());
    uint64_t id = publish->same_id_as > 0 ? publish->same_id_as : n;
    if (publish->has_id)
        json_object_set_new (object, id_member, json_sprintf ("id%llu", (unsigned long long)id));
    if (publish->removes)
        return object;
    if (publish->is_text) {
        json_object_set_new (object, "data", json_sprintf ("n%llu", (unsigned long long)n));
        return object;
    }
    char *pad = tide_alloc (publish->pad + 1);
    memset (pad, 'x', publish->pad);
    json_object_set_new (object, "data",
                         json_pack ("{s:I,s:s}", "n", (json_int_t)n, "pad", pad));
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
              (unsigned long long)client->epoch, (unsigned long long)client->position,
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

static void remember_unacked (sim_t *sim, sim_client_t *client, const sim_ask_t *ask)
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
        remember_unacked (sim, client, &client->asks[at]);
    client->ask_count = 0;
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        forget_parts (topic);
        if (topic->is_joining)
            topic->state = SIM_MAYBE;
        topic->is_joining = topic->is_left = false;
    }
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

static void cut (sim_t *sim, sim_client_t *client)
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
        || client->ask_count > 0)
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
    for (uint64_t n = 1; n < sim->publish_count; n++)
        sim->publishes[n].seen_by &= ~(1u << at);
    client->ghost = ghost;
    sim->stats.ghosts++;
    sim_note (sim, "client %u is the ghost of %u", at, client->number);
    if (sim_chance (sim, 50)) {
        cut (sim, client);
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
    if (client->is_dead || client->state != SIM_AWAY || client->connect_at_ms > sim->now_ms)
        return;
    sim_client_connect (sim, client);
}

/*  -- asking ---------------------------------------------------------------------------------- */

static sim_ask_t *ask (sim_t *sim, sim_client_t *client, const char *operation, json_t *object)
{
    if (client->ask_count == client->ask_capacity) {
        client->ask_capacity += 16;
        client->asks
            = tide_realloc (client->asks, client->ask_capacity * sizeof *client->asks);
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
    sim_note (sim, "client %u publishes e%llu to %s%s", client->number, (unsigned long long)n,
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
    unsigned dice = (unsigned)sim_random (sim, 100);
    topic->since = dice < 40 ? client->position : sim_random (sim, disk->count + 1);
    if (dice > 95)
        topic->since = disk->count + 500;
    else if (dice > 92)
        topic->epoch ^= 0x100;
    topic->must_reset = dice > 92;
}

static void ask_join (sim_t *sim, sim_client_t *client, unsigned pattern, sim_mode_t mode)
{
    sim_topic_t *topic = &client->topics[pattern];
    bool was_in = topic->state != SIM_OUT;
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
              sim_patterns[pattern], mode, (unsigned long long)topic->since,
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
    unsigned pattern = (unsigned)sim_random (sim, SIM_PATTERNS);
    sim_topic_t *topic = &client->topics[pattern];
    if (pattern == SIM_PATTERNS - 1 && sim_chance (sim, 70))
        return;
    if (topic->is_joining || topic->is_left)
        return;
    if (topic->state == SIM_MAYBE || (topic->state == SIM_IN && sim_chance (sim, 25)))
        ask_leave (sim, client, pattern);
    else if (topic->state == SIM_OUT || sim_chance (sim, 15)) {
        sim_mode_t mode = (sim_mode_t)sim_random (sim, 3);
        if (may_join (client, pattern, mode))
            ask_join (sim, client, pattern, mode);
    }
}

static void ask_state (sim_t *sim, sim_client_t *client)
{
    unsigned pattern = (unsigned)sim_random (sim, SIM_PATTERNS);
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
    json_object_set_new (object, "limit", json_integer ((json_int_t)limit));
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
        sim_ask_t *made = ask (sim, client, "history",
                               json_pack ("{s:s,s:s,s:i}", "topic", "#", "since", position, "limit",
                                          150));
        made->kind = SIM_ASK_HISTORY;
        made->pattern = SIM_PATTERNS - 1;
        made->limit = 150;
    }
}

void sim_client_act (sim_t *sim, sim_client_t *client)
{
    unsigned dice = (unsigned)sim_random (sim, 1000);
    if (client->is_dead || client->state != SIM_OPEN)
        return;
    if (client->is_ghost) {
        if (dice < 60)
            cut (sim, client);
        return;
    }
    bool is_deaf = client->deaf_until_ms > sim->now_ms;
    if (is_deaf && sim->may_flood && !client->is_json) {
        flood (sim, client);
        return;
    }
    bool may_ask = client->ask_count < ASKS_MAX;
    if (dice < 25)
        cut (sim, client);
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

/*  -- hearing --------------------------------------------------------------------------------- */

/*  The session belongs to another log by now: what was expected must be brought up by resets. */
static void change_epoch (sim_t *sim, sim_client_t *client, uint64_t epoch)
{
    if (client->epoch == epoch)
        return;
    const sim_disk_t *disk = sim_disk_find (sim, epoch), *old = sim_disk_find (sim, client->epoch);
    for (const sim_disk_t *at = old; at; at = at->older)
        if (at == disk)
            disk = NULL;
    if (!disk) {
        sim_fail (sim, "G8", "client %u hears of log %016llx, after %016llx", client->number,
                  (unsigned long long)epoch, (unsigned long long)client->epoch);
        return;
    }
    if (client->epoch != 0)
        for (unsigned at = 0; at < SIM_PATTERNS; at++)
            client->topics[at].owes_reset = client->topics[at].state == SIM_IN;
    if (client->epoch != 0)
        client->position = 0;
    client->epoch = epoch;
}

static bool has_topic (const json_t *topics, const char *name)
{
    size_t at;
    const json_t *one;
    json_array_foreach (topics, at, one)
        if (strcmp (json_string_value (one), name) == 0)
            return true;
    return false;
}

static void resumed (sim_t *sim, sim_client_t *client, const char *pid, uint64_t epoch,
                     const json_t *topics)
{
    const sim_disk_t *disk = sim_disk_find (sim, client->sent_epoch);
    bool same_log = epoch != 0 ? epoch == client->sent_epoch
                               : client->sent_epoch == sim->disk->epoch
                                     || sim->epoch_since_ms > client->socket->opened_ms;
    sim->stats.resumes++;
    sim_note (sim, "client %u resumes", client->number);
    if (!client->sent_pid || strcmp (pid, client->pid) != 0)
        sim_fail (sim, "G5", "client %u resumes what is not its session", client->number);
    else if (client->sent_epoch != 0 && (!same_log || !disk || client->sent_seq > disk->count))
        sim_fail (sim, "G8", "client %u resumes from %016llx:%llu, a position of no present log",
                  client->number, (unsigned long long)client->sent_epoch,
                  (unsigned long long)client->sent_seq);
    for (unsigned at = 0; at < SIM_PATTERNS && topics; at++) {
        sim_topic_t *topic = &client->topics[at];
        bool is_listed = has_topic (topics, sim_patterns[at]);
        if (topic->state == SIM_IN && !is_listed)
            sim_fail (sim, "G5", "client %u resumes without %s", client->number,
                      sim_patterns[at]);
        else if (topic->state == SIM_OUT && is_listed)
            topic->state = SIM_MAYBE;
        else if (topic->state == SIM_MAYBE && !is_listed)
            topic->state = SIM_OUT;
    }
}

static void begun (sim_t *sim, sim_client_t *client, const char *sid, const char *pid,
                   uint64_t epoch, uint64_t seq)
{
    sim->stats.opened++;
    sim->stats.refused += client->sent_pid && !client->sent_foreign;
    sim_note (sim, "client %u has a new session%s", client->number,
              client->sent_pid ? ", not the old one" : "");
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        client->topics[at].state = SIM_OUT;
        client->topics[at].owes_reset = false;
    }
    snprintf (client->pid, sizeof client->pid, "%s", pid ? pid : "");
    snprintf (client->sid, sizeof client->sid, "%s", sid ? sid : "");
    client->epoch = epoch;
    client->position = seq;
}

/*  epoch and seq are 0 where the dialect does not say them. */
void sim_heard_open (sim_t *sim, sim_client_t *client, const char *sid, const char *pid,
                     bool is_resumed, uint64_t epoch, uint64_t seq, const json_t *topics)
{
    if (client->state != SIM_OPENING) {
        sim_fail (sim, "wire", "client %u: opened twice", client->number);
        return;
    }
    client->state = SIM_OPEN;
    if (!is_resumed && client->is_ghost) {
        cut (sim, client);
        return;
    }
    if (!is_resumed)
        begun (sim, client, sid, pid, epoch, seq);
    else if (!sid || strcmp (sid, client->sid) != 0)
        sim_fail (sim, "G5", "client %u resumes under another sid", client->number);
    else
        resumed (sim, client, pid, epoch, topics);
}

static sim_topic_t *find_bring_up (sim_client_t *client, tide_bytes_t topic, unsigned *pattern)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *one = &client->topics[at];
        if (one->is_joining && one->mode == SIM_SINCE && !one->was_reset
            && tide_pattern_matches (tide_bytes (sim_patterns[at]), topic)) {
            *pattern = at;
            return one;
        }
    }
    return NULL;
}

/*  True if some pattern lets the event through; seq 0: a volatile one. */
static bool is_wanted (const sim_client_t *client, tide_bytes_t topic, uint64_t seq)
{
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        const sim_topic_t *one = &client->topics[at];
        if (!tide_pattern_matches (tide_bytes (sim_patterns[at]), topic))
            continue;
        if (one->state == SIM_MAYBE || (one->state == SIM_IN && (seq == 0 || seq > one->joined))
            || (seq == 0 && one->is_joining))
            return true;
    }
    return false;
}

static void heard_volatile (sim_t *sim, sim_client_t *client, uint64_t n)
{
    sim_publish_t *publish = &sim->publishes[n];
    sim->stats.volatiles++;
    /*  A link that reconnects says again what was not answered, volatile or not. */
    if (publish->times <= 1 && (publish->seen_by & (1u << client->number)))
        sim_fail (sim, "G9", "client %u gets volatile e%llu again", client->number,
                  (unsigned long long)n);
    else if (client->socket->opened_ms > publish->at_ms + 20000)
        sim_fail (sim, "G9", "client %u gets volatile e%llu, older than its connection",
                  client->number, (unsigned long long)n);
    else if (!is_wanted (client, tide_bytes (sim_patterns[publish->topic]), 0))
        sim_fail (sim, "G1", "client %u gets volatile e%llu of %s, which it has not joined",
                  client->number, (unsigned long long)n, sim_patterns[publish->topic]);
    publish->seen_by |= 1u << client->number;
}

/*  Where the event is that a join brings up: in the log that the join named, or else in the one in
 *  which it is answered, which the client may not have heard of yet. 0: it is not there. */
static uint64_t find_brought_up (sim_t *sim, const sim_client_t *client, sim_topic_t *topic,
                                 uint64_t n, uint64_t seq)
{
    uint64_t epochs[] = {topic->epoch > 0 ? topic->epoch : client->epoch,
                         topic->epoch > 0 ? 0 : sim->disk->epoch};
    for (unsigned each = 0; each < 2; each++) {
        const sim_disk_t *disk = sim_disk_find (sim, epochs[each]);
        uint64_t at = seq > 0 ? seq : topic->at + 1;
        while (disk && seq == 0 && at <= disk->count && disk->records[at - 1].n != n)
            at++;
        const sim_record_t *record = disk ? sim_disk_record (disk, at) : NULL;
        if (!record || record->n != n)
            continue;
        topic->epoch = disk->epoch;
        return at;
    }
    return 0;
}

static void heard_bring_up (sim_t *sim, sim_client_t *client, sim_topic_t *topic,
                            unsigned pattern, uint64_t n, uint64_t told)
{
    uint64_t seq = find_brought_up (sim, client, topic, n, told);
    const sim_disk_t *disk = sim_disk_find (sim, topic->epoch);
    uint64_t next = seq > 0 ? sim_check_next (disk, pattern, topic->at, seq) : 0;
    sim->stats.brought_up++;
    if (seq == 0)
        sim_fail (sim, "G3", "client %u is brought up with e%llu, which is not durable there",
                  client->number, (unsigned long long)n);
    else if (seq <= topic->at)
        sim_fail (sim, "G1", "client %u is brought up with e%llu (%llu) of %s behind %llu",
                  client->number, (unsigned long long)n, (unsigned long long)seq,
                  sim_patterns[pattern], (unsigned long long)topic->at);
    else if (next != seq)
        sim_fail (sim, "G5", "client %u is brought up with e%llu (%llu) of %s before %llu",
                  client->number, (unsigned long long)n, (unsigned long long)seq,
                  sim_patterns[pattern], (unsigned long long)next);
    topic->at = seq;
}

static void heard_live (sim_t *sim, sim_client_t *client, uint64_t n, uint64_t seq,
                        uint64_t offset)
{
    const sim_publish_t *publish = &sim->publishes[n];
    sim->stats.live++;
    if (seq <= client->position)
        sim_fail (sim, "G1", "client %u, at %llu, gets e%llu (%llu) of %s", client->number,
                  (unsigned long long)client->position, (unsigned long long)n,
                  (unsigned long long)seq, sim_patterns[publish->topic]);
    else if (!is_wanted (client, tide_bytes (sim_patterns[publish->topic]), seq))
        sim_fail (sim, "G1", "client %u gets e%llu (%llu) of %s, which it has not joined there",
                  client->number, (unsigned long long)n, (unsigned long long)seq,
                  sim_patterns[publish->topic]);
    else if (offset != 0 && offset != seq)
        sim_fail (sim, "G5", "client %u gets e%llu (%llu) with the offset %llu", client->number,
                  (unsigned long long)n, (unsigned long long)seq, (unsigned long long)offset);
    else {
        sim_check_advance (sim, client, seq - 1);
        client->position = seq;
    }
}

/*  Where the event is, by what the client knows; 0: it is not durable. */
static uint64_t find_event (sim_t *sim, sim_client_t *client, uint64_t n, uint64_t seq,
                            uint64_t offset)
{
    const sim_publish_t *publish = &sim->publishes[n];
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    bool expects = false;
    for (unsigned at = 0; at < SIM_PATTERNS; at++)
        expects = expects || (client->topics[at].state == SIM_IN && !client->topics[at].owes_reset);
    if (!disk || (client->is_json && !expects && publish->epoch != client->epoch)) {
        /*  The first that this client hears of the present log. */
        change_epoch (sim, client, publish->epoch != 0 ? publish->epoch : sim->disk->epoch);
        disk = sim_disk_find (sim, client->epoch);
    }
    const sim_record_t *there = disk ? sim_disk_record (disk, offset) : NULL;
    if (seq == 0 && there && there->n == n)
        seq = offset;
    /*  Under a small window of ids it may be there more than once. */
    for (uint64_t at = client->position + 1; disk && seq == 0 && at <= disk->count; at++)
        if (disk->records[at - 1].n == n)
            seq = at;
    if (seq == 0 && publish->epoch == client->epoch)
        seq = publish->seq;
    if (!disk || seq == 0 || seq > disk->count || disk->records[seq - 1].n != n)
        return 0;
    return seq;
}

void sim_heard_event (sim_t *sim, sim_client_t *client, const char *name, const json_t *data,
                      const json_t *meta, const char *offset)
{
    uint64_t n = sim_number_of (name), at = 0;
    const json_t *topic = json_object_get (meta, "topic");
    sim->stats.events++;
    if (n == 0 || n >= sim->publish_count || !sim_check_data (sim, n, data)
        || (meta && strcmp (json_string_value (topic), sim_patterns[sim->publishes[n].topic]))) {
        sim_fail (sim, "G3", "client %u gets %s, which nobody published", client->number, name);
        return;
    }
    if (client->state != SIM_OPEN) {
        sim_fail (sim, "G1", "client %u gets %s before it is connected", client->number, name);
        return;
    }
    if (offset) {
        char *colon;
        uint64_t epoch = strtoull (offset, &colon, 16);
        at = *colon == ':' ? strtoull (colon + 1, NULL, 10) : 0;
        change_epoch (sim, client, epoch);
    }
    const sim_publish_t *publish = &sim->publishes[n];
    if (offset && at < client->position)
        sim_fail (sim, "G1", "client %u, at %llu, gets e%llu with the offset %s", client->number,
                  (unsigned long long)client->position, (unsigned long long)n, offset);
    if (publish->is_volatile) {
        heard_volatile (sim, client, n);
        sim_check_advance (sim, client, at);
        return;
    }
    unsigned pattern = 0;
    sim_topic_t *joining
        = find_bring_up (client, tide_bytes (sim_patterns[publish->topic]), &pattern);
    uint64_t seq = (uint64_t)json_integer_value (json_object_get (meta, "seq"));
    if (joining) {
        heard_bring_up (sim, client, joining, pattern, n, seq);
        sim_check_advance (sim, client, at);
        return;
    }
    seq = find_event (sim, client, n, seq, at);
    if (seq == 0)
        sim_fail (sim, "G3", "client %u gets e%llu, which is not durable there", client->number,
                  (unsigned long long)n);
    else
        heard_live (sim, client, n, seq, at);
}

/*  -- snapshots and answers ------------------------------------------------------------------- */

static uint64_t epoch_of (const json_t *object)
{
    const char *text = json_string_value (json_object_get (object, "epoch"));
    return text ? strtoull (text, NULL, 16) : 0;
}

static uint64_t seq_of (const json_t *object)
{
    return (uint64_t)json_integer_value (json_object_get (object, "seq"));
}

static int find_pattern (const json_t *object)
{
    const char *name = json_string_value (json_object_get (object, "topic"));
    for (int at = 0; at < SIM_PATTERNS; at++)
        if (name && strcmp (sim_patterns[at], name) == 0)
            return at;
    return -1;
}

static void gather_parts (sim_topic_t *topic, const json_t *state, bool is_subtree)
{
    const char *name;
    json_t *one;
    if (!topic->state_parts)
        topic->state_parts = json_object ();
    json_object_foreach ((json_t *)state, name, one)
    {
        json_t *known = is_subtree ? json_object_get (topic->state_parts, name) : NULL;
        if (known)
            json_object_update (known, one);
        else
            json_object_set (topic->state_parts, name, one);
    }
}

static void was_reset (sim_t *sim, sim_client_t *client, unsigned pattern, const json_t *object)
{
    sim_topic_t *topic = &client->topics[pattern];
    const char *code = json_string_value (json_object_get (object, "code"));
    bool by_epoch = code && strcmp (code, "epoch_changed") == 0;
    sim->stats.resets++;
    sim_note (sim, "client %u: %s is reset at %llu, %s", client->number, sim_patterns[pattern],
              (unsigned long long)seq_of (object), code ? code : "without a code");
    if (!by_epoch && (!code || strcmp (code, "trimmed") != 0))
        sim_fail (sim, "G5", "client %u: a reset for no reason", client->number);
    if (topic->is_joining && topic->mode == SIM_SINCE)
        topic->was_reset = true;
    else if (topic->state == SIM_OUT)
        sim_fail (sim, "G5", "client %u: a reset of %s, which it has not joined", client->number,
                  sim_patterns[pattern]);
    else {
        topic->joined = seq_of (object);
        topic->owes_reset = false;
        if (!topic->is_left && !topic->is_joining)
            topic->state = SIM_IN;
    }
    if (seq_of (object) < client->position)
        sim_fail (sim, "G5", "client %u, at %llu, is reset at %llu", client->number,
                  (unsigned long long)client->position, (unsigned long long)seq_of (object));
}

void sim_heard_snapshot (sim_t *sim, sim_client_t *client, const json_t *object, bool is_reset)
{
    int pattern = find_pattern (object);
    if (pattern < 0) {
        sim_fail (sim, "wire", "client %u: a snapshot of nothing", client->number);
        return;
    }
    sim_topic_t *topic = &client->topics[pattern];
    gather_parts (topic, json_object_get (object, "state"),
                  tide_pattern_is_subtree (tide_bytes (sim_patterns[pattern])));
    if (json_is_true (json_object_get (object, "more")))
        return;
    change_epoch (sim, client, epoch_of (object));
    sim_check_state (sim, epoch_of (object), (unsigned)pattern, seq_of (object),
                     topic->state_parts, is_reset ? "a reset" : "a snapshot");
    forget_parts (topic);
    topic->snapshot_came = true;
    topic->snapshot_seq = seq_of (object);
    if (is_reset)
        was_reset (sim, client, (unsigned)pattern, object);
}

static void joined (sim_t *sim, sim_client_t *client, unsigned pattern, json_t *answer)
{
    sim_topic_t *topic = &client->topics[pattern];
    uint64_t seq = seq_of (answer), missed = 0;
    change_epoch (sim, client, epoch_of (answer));
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    sim->stats.joins++;
    sim_note (sim, "client %u has joined %s at %llu", client->number, sim_patterns[pattern],
              (unsigned long long)seq);
    if (sim->failed)
        return;
    bool has_state = client->is_json || topic->was_reset
                         ? topic->snapshot_came && topic->snapshot_seq == seq
                         : json_is_object (json_object_get (answer, "state"));
    if (topic->mode == SIM_SINCE && !topic->was_reset)
        missed = sim_check_next (disk, pattern, topic->at, seq);
    if (seq > disk->count || seq < client->position)
        sim_fail (sim, "G5", "client %u, at %llu, joins %s at %llu", client->number,
                  (unsigned long long)client->position, sim_patterns[pattern],
                  (unsigned long long)seq);
    else if (missed > 0)
        sim_fail (sim, "G5", "client %u joins %s at %llu without %llu", client->number,
                  sim_patterns[pattern], (unsigned long long)seq, (unsigned long long)missed);
    else if (topic->must_reset && !topic->was_reset)
        sim_fail (sim, "G8", "client %u joins %s from a foreign position", client->number,
                  sim_patterns[pattern]);
    else if ((topic->mode == SIM_SNAPSHOT || topic->was_reset) && !has_state)
        sim_fail (sim, "G5", "client %u joins %s without its snapshot", client->number,
                  sim_patterns[pattern]);
    else if (topic->mode == SIM_SNAPSHOT && !client->is_json)
        sim_check_state (sim, client->epoch, pattern, seq, json_object_get (answer, "state"),
                         "an answer to subscribe");
    topic->is_joining = topic->owes_reset = false;
    topic->state = SIM_IN;
    topic->joined = seq;
}

static void failed (sim_t *sim, sim_client_t *client, const sim_ask_t *ask, const json_t *answer)
{
    const char *code = json_string_value (json_object_get (answer, "code"));
    const sim_publish_t *publish = &sim->publishes[ask->n];
    sim_topic_t *topic = &client->topics[ask->pattern];
    sim->stats.fails++;
    sim_note (sim, "client %u: request %llu of kind %d fails, %s", client->number,
              (unsigned long long)ask->id, ask->kind, code);
    bool is_conflict = code && strcmp (code, "conflict") == 0;
    sim->stats.conflicts += is_conflict;
    if (!code || strcmp (code, "bad_request") == 0 || strcmp (code, "bad_topic") == 0)
        sim_fail (sim, "live", "client %u: request of kind %d fails with %s: %s", client->number,
                  ask->kind, code, json_string_value (json_object_get (answer, "message")));
    if (ask->kind == SIM_ASK_JOIN) {
        topic->is_joining = false;
        topic->state = SIM_MAYBE;
        forget_parts (topic);
    }
    else if (ask->kind == SIM_ASK_LEAVE) {
        topic->is_left = false;
        topic->state = code && strcmp (code, "not_found") == 0 ? SIM_OUT : SIM_MAYBE;
    }
    else if (ask->kind == SIM_ASK_PUBLISH && !is_conflict && publish->same_id_as == 0)
        remember_unacked (sim, client, ask);
}

void sim_heard_answer (sim_t *sim, sim_client_t *client, uint64_t id, bool ok, json_t *answer)
{
    size_t at = 0;
    while (at < client->ask_count && client->asks[at].id != id)
        at++;
    if (at == client->ask_count) {
        char *text = json_dumps (answer, JSON_COMPACT);
        sim_fail (sim, "live", "client %u: an answer that nobody asked for: %.300s",
                  client->number, text);
        free (text);
        return;
    }
    sim_ask_t asked = client->asks[at];
    memmove (&client->asks[at], &client->asks[at + 1],
             (--client->ask_count - at) * sizeof *client->asks);
    if (!ok)
        failed (sim, client, &asked, answer);
    else if (asked.kind == SIM_ASK_JOIN)
        joined (sim, client, asked.pattern, answer);
    else if (asked.kind == SIM_ASK_LEAVE) {
        client->topics[asked.pattern].state = SIM_OUT;
        client->topics[asked.pattern].is_left = false;
        client->topics[asked.pattern].owes_reset = false;
        sim->stats.leaves++;
    }
    else if (asked.kind == SIM_ASK_PUBLISH)
        sim_check_ack (sim, asked.n, epoch_of (answer), seq_of (answer));
    else if (asked.kind == SIM_ASK_SNAPSHOT)
        sim_check_state (sim, epoch_of (answer), asked.pattern, seq_of (answer),
                         json_object_get (answer, "state"), "an answer to tide:snapshot");
    else
        sim_check_history (sim, asked.pattern, asked.since, asked.limit, answer);
}
