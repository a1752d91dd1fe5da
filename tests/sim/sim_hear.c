/*  sim_hear.c - what clients hear, in any dialect, and what must be true of it.
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
                  (unsigned long long) epoch, (unsigned long long) client->epoch);
        return;
    }
    for (unsigned at = 0; at < SIM_PATTERNS && client->epoch != 0; at++) {
        sim_topic_t *topic = &client->topics[at];
        bool is_of_it = topic->ordered_epoch == epoch;
        if (sim_orders_await (client, topic) && topic->state == SIM_IN)
            topic->state = SIM_MAYBE; /* it need not have come to the order before */
        if (topic->left > 0 && topic->state == SIM_IN)
            topic->state = SIM_MAYBE;
        topic->ordered = is_of_it ? topic->ordered : 0;
        topic->left = 0;
        topic->owes_reset = topic->state == SIM_IN;
    }
    client->gone_at = 0;
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
                  client->number, (unsigned long long) client->sent_epoch,
                  (unsigned long long) client->sent_seq);
    for (unsigned at = 0; at < SIM_PATTERNS && topics; at++) {
        sim_topic_t *topic = &client->topics[at];
        bool is_listed = has_topic (topics, sim_patterns[at]);
        if (topic->state == SIM_IN && !is_listed)
            sim_fail (sim, "G5", "client %u resumes without %s", client->number, sim_patterns[at]);
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
        client->topics[at].owes_reset = client->topics[at].may_be_in = false;
        client->topics[at].ordered = client->topics[at].left = 0;
        sim_presence_left (&client->topics[at]);
    }
    client->gone_at = 0;
    client->who = ++sim->serial;
    client->born = client->socket->opened_ms >= sim->epoch_since_ms ? sim->disk->epoch : 0;
    /*  A session of its own: what the old one had of volatile events it may get once more, from a
     *  lane that lags. */
    for (size_t n = 0; n < sim->publish_count; n++)
        sim->publishes[n].seen_by &= ~(1u << client->number);
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
    if (client->reader.is_on) {
        sim_reader_opened (sim, client, sid, pid, is_resumed, epoch);
        return;
    }
    if (!is_resumed && client->is_ghost) {
        sim_client_cut (sim, client);
        return;
    }
    if (!is_resumed)
        begun (sim, client, sid, pid, epoch, seq);
    else if (!sid || strcmp (sid, client->sid) != 0)
        sim_fail (sim, "G5", "client %u resumes under another sid", client->number);
    else
        resumed (sim, client, pid, epoch, topics);
    sim_hooks_opened (sim, client);
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
        if (seq > 0 && sim_orders_hide (one, seq))
            continue;
        if (one->state == SIM_MAYBE || (one->state == SIM_IN && (seq == 0 || seq > one->joined))
            || (seq == 0 && one->is_joining))
            return true;
    }
    return false;
}

/*  A worker may let the client into a topic that a join is bringing up under another pattern. What
 *  comes by that carries its own place, which is ahead of the client's. Bring-up carries the
 *  session's: where that is the event's own, the session has given it already. */
static bool comes_by_order (const sim_t *sim, const sim_client_t *client,
                            const sim_topic_t *joining, uint64_t n, uint64_t offset)
{
    tide_bytes_t name = tide_bytes (sim_patterns[sim->publishes[n].topic]);
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    const sim_record_t *record = disk ? sim_disk_record (disk, offset) : NULL;
    if (offset <= client->position || !record || record->n != n)
        return false;
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        const sim_topic_t *one = &client->topics[at];
        if (one != joining && one->state != SIM_OUT && one->ordered > 0 && offset > one->joined
            && !sim_orders_hide (one, offset)
            && tide_pattern_matches (tide_bytes (sim_patterns[at]), name))
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
                  (unsigned long long) n);
    else if (client->socket->opened_ms > publish->at_ms + 20000)
        sim_fail (sim, "G9", "client %u gets volatile e%llu, older than its connection",
                  client->number, (unsigned long long) n);
    else if (!is_wanted (client, tide_bytes (sim_patterns[publish->topic]), 0))
        sim_fail (sim, "G1", "client %u gets volatile e%llu of %s, which it has not joined",
                  client->number, (unsigned long long) n, sim_patterns[publish->topic]);
    publish->seen_by |= 1u << client->number;
}

/*  Where the log has an event that a join brings up: told, or the next one behind what came. */
static uint64_t find_in_log (const sim_disk_t *disk, const sim_topic_t *topic, uint64_t n,
                             uint64_t told)
{
    uint64_t at = told > 0 ? told : topic->at + 1;
    while (told == 0 && at <= disk->count && disk->records[at - 1].n != n)
        at++;
    const sim_record_t *record = sim_disk_record (disk, at);
    return record && record->n == n ? at : 0;
}

/*  Where the event is that a join brings up: in the log that the join named, or else in one since
 *  the last of which the client has heard: the lane may not have heard of the present one. One that
 *  was published anew after a log was lost is in several: then it is where it comes next. 0: it is
 *  not there. */
static uint64_t find_brought_up (const sim_t *sim, const sim_client_t *client, sim_topic_t *topic,
                                 unsigned pattern, uint64_t n, uint64_t told)
{
    const uint64_t named = topic->epoch, first = named > 0 ? named : client->epoch;
    uint64_t found = 0;
    bool is_next = false;
    const sim_disk_t *disk = sim->disk;
    while (disk) {
        uint64_t at = named == 0 || disk->epoch == named ? find_in_log (disk, topic, n, told) : 0;
        bool comes_next = at > 0 && sim_check_next (disk, pattern, topic->at, at) == at;
        if (at > 0 && comes_next >= is_next) {
            found = at;
            is_next = comes_next;
            topic->epoch = disk->epoch;
        }
        disk = disk->epoch == first ? NULL : disk->older;
    }
    return found;
}

static void heard_bring_up (sim_t *sim, sim_client_t *client, sim_topic_t *topic, unsigned pattern,
                            uint64_t n, uint64_t told)
{
    uint64_t seq = find_brought_up (sim, client, topic, pattern, n, told);
    const sim_disk_t *disk = sim_disk_find (sim, topic->epoch);
    uint64_t next = seq > 0 ? sim_check_next (disk, pattern, topic->at, seq) : 0;
    sim->stats.brought_up++;
    if (seq == 0)
        sim_fail (sim, "G3", "client %u is brought up with e%llu, which is not durable there",
                  client->number, (unsigned long long) n);
    else if (seq <= topic->at)
        sim_fail (sim, "G1", "client %u is brought up with e%llu (%llu) of %s behind %llu",
                  client->number, (unsigned long long) n, (unsigned long long) seq,
                  sim_patterns[pattern], (unsigned long long) topic->at);
    else if (next != seq)
        sim_fail (sim, "G5", "client %u is brought up with e%llu (%llu) of %s before %llu",
                  client->number, (unsigned long long) n, (unsigned long long) seq,
                  sim_patterns[pattern], (unsigned long long) next);
    topic->at = seq;
}

static void heard_live (sim_t *sim, sim_client_t *client, uint64_t n, uint64_t seq, uint64_t offset)
{
    const sim_publish_t *publish = &sim->publishes[n];
    sim->stats.live++;
    if (seq <= client->position)
        sim_fail (sim, "G1", "client %u, at %llu, gets e%llu (%llu) of %s", client->number,
                  (unsigned long long) client->position, (unsigned long long) n,
                  (unsigned long long) seq, sim_patterns[publish->topic]);
    else if (!is_wanted (client, tide_bytes (sim_patterns[publish->topic]), seq))
        sim_fail (sim, "G1", "client %u gets e%llu (%llu) of %s, which it has not joined there",
                  client->number, (unsigned long long) n, (unsigned long long) seq,
                  sim_patterns[publish->topic]);
    else if (offset != 0 && offset != seq)
        sim_fail (sim, "G5", "client %u gets e%llu (%llu) with the offset %llu", client->number,
                  (unsigned long long) n, (unsigned long long) seq, (unsigned long long) offset);
    else {
        sim_check_advance (sim, client, seq - 1);
        sim_orders_passed (sim, client, seq);
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
    const sim_record_t *known = disk ? sim_disk_record (disk, seq) : NULL;
    bool is_known = known && known->n == n;
    if (!disk || (client->is_json && !expects && !is_known && publish->epoch != client->epoch)) {
        /*  The first that this client hears of the present log. */
        change_epoch (sim, client, publish->epoch != 0 ? publish->epoch : sim->disk->epoch);
        disk = sim_disk_find (sim, client->epoch);
    }
    const sim_record_t *there = disk ? sim_disk_record (disk, offset) : NULL;
    if (seq == 0 && there && there->n == n)
        seq = offset;
    /*  Under a small window of ids it may be there more than once. */
    for (uint64_t at = client->position + 1; disk && seq == 0 && at <= disk->count; at++)
        if (disk->records[at - 1].n == n
            && is_wanted (client, tide_bytes (sim_patterns[publish->topic]), at))
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
    if (client->reader.is_on) {
        if (!sim->publishes[n].is_volatile)
            sim_reader_event (sim, client, n,
                              (uint64_t) json_integer_value (json_object_get (meta, "seq")));
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
                  (unsigned long long) client->position, (unsigned long long) n, offset);
    if (publish->is_volatile) {
        heard_volatile (sim, client, n);
        sim_check_advance (sim, client, at);
        return;
    }
    unsigned pattern = 0;
    sim_topic_t *joining =
        find_bring_up (client, tide_bytes (sim_patterns[publish->topic]), &pattern);
    uint64_t seq = (uint64_t) json_integer_value (json_object_get (meta, "seq"));
    if (joining && !comes_by_order (sim, client, joining, n, at)) {
        heard_bring_up (sim, client, joining, pattern, n, seq);
        sim_check_advance (sim, client, at);
        return;
    }
    seq = find_event (sim, client, n, seq, at);
    if (seq == 0)
        sim_fail (sim, "G3", "client %u gets e%llu, which is not durable there", client->number,
                  (unsigned long long) n);
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
    return (uint64_t) json_integer_value (json_object_get (object, "seq"));
}

static int find_pattern (const json_t *object)
{
    const char *name = json_string_value (json_object_get (object, "topic"));
    for (int at = 0; at < SIM_PATTERNS; at++)
        if (name && strcmp (sim_patterns[at], name) == 0)
            return at;
    return -1;
}

static bool is_room (const json_t *object)
{
    const char *name = json_string_value (json_object_get (object, "topic"));
    return name && (name[0] == '@' || strcmp (name, "$nsp") == 0);
}

static void gather_parts (sim_topic_t *topic, const json_t *state, bool is_subtree)
{
    const char *name;
    json_t *one;
    if (!topic->state_parts)
        topic->state_parts = json_object ();
    json_object_foreach ((json_t *) state, name, one) {
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
              (unsigned long long) seq_of (object), code ? code : "without a code");
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
        sim_presence_anew (topic);
        if (!topic->is_left && !topic->is_joining)
            topic->state = SIM_IN;
        sim_orders_joined (sim, client, pattern);
    }
    if (seq_of (object) < client->position)
        sim_fail (sim, "G5", "client %u, at %llu, is reset at %llu", client->number,
                  (unsigned long long) client->position, (unsigned long long) seq_of (object));
}

void sim_heard_snapshot (sim_t *sim, sim_client_t *client, const json_t *object, bool is_reset)
{
    int pattern = find_pattern (object);
    if (client->reader.is_on && !is_room (object)) {
        sim_reader_reset (sim, client, object, epoch_of (object), seq_of (object));
        return;
    }
    /*  Of its namespace, or of itself, a client can be told that something may be lost: where a
     *  record was damaged nobody knows whose it was, and an order may be trimmed before it is
     *  read. */
    if (is_reset && pattern < 0 && is_room (object)) {
        if (json_string_value (json_object_get (object, "topic"))[0] == '@')
            sim_orders_trimmed (client, seq_of (object));
        return;
    }
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
    sim_check_state (sim, epoch_of (object), (unsigned) pattern, seq_of (object),
                     topic->state_parts, is_reset ? "a reset" : "a snapshot");
    sim_topic_forget_parts (topic);
    topic->snapshot_came = true;
    topic->snapshot_seq = seq_of (object);
    if (is_reset)
        was_reset (sim, client, (unsigned) pattern, object);
}

static void joined (sim_t *sim, sim_client_t *client, unsigned pattern, json_t *answer)
{
    sim_topic_t *topic = &client->topics[pattern];
    uint64_t seq = seq_of (answer), missed = 0;
    change_epoch (sim, client, epoch_of (answer));
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    sim->stats.joins++;
    sim_note (sim, "client %u has joined %s at %llu", client->number, sim_patterns[pattern],
              (unsigned long long) seq);
    if (sim->failed)
        return;
    bool has_state = client->is_json || topic->was_reset
                         ? topic->snapshot_came && topic->snapshot_seq == seq
                         : json_is_object (json_object_get (answer, "state"));
    if (topic->mode == SIM_SINCE && !topic->was_reset)
        missed = sim_check_next (disk, pattern, topic->at, seq);
    if (seq > disk->count || seq < client->position)
        sim_fail (sim, "G5", "client %u, at %llu, joins %s at %llu", client->number,
                  (unsigned long long) client->position, sim_patterns[pattern],
                  (unsigned long long) seq);
    else if (missed > 0)
        sim_fail (sim, "G5", "client %u joins %s at %llu without %llu", client->number,
                  sim_patterns[pattern], (unsigned long long) seq, (unsigned long long) missed);
    else if (topic->must_reset && !topic->was_reset)
        sim_fail (sim, "G8", "client %u joins %s from a foreign position", client->number,
                  sim_patterns[pattern]);
    else if ((topic->mode == SIM_SNAPSHOT || topic->was_reset) && !has_state)
        sim_fail (sim, "G5", "client %u joins %s without its snapshot", client->number,
                  sim_patterns[pattern]);
    else if (topic->mode == SIM_SNAPSHOT && !client->is_json)
        sim_check_state (sim, client->epoch, pattern, seq, json_object_get (answer, "state"),
                         "an answer to subscribe");
    sim_presence_joined (topic);
    topic->is_joining = topic->owes_reset = topic->may_be_in = false;
    topic->state = SIM_IN;
    topic->joined = seq;
    sim_orders_joined (sim, client, pattern);
}

static void failed (sim_t *sim, sim_client_t *client, const sim_ask_t *ask, const json_t *answer)
{
    const char *code = json_string_value (json_object_get (answer, "code"));
    const sim_publish_t *publish = &sim->publishes[ask->n];
    sim_topic_t *topic = &client->topics[ask->pattern];
    sim->stats.fails++;
    sim_note (sim, "client %u: request %llu of kind %d fails, %s", client->number,
              (unsigned long long) ask->id, ask->kind, code);
    bool is_conflict = code && strcmp (code, "conflict") == 0;
    sim->stats.conflicts += is_conflict;
    if (!code || strcmp (code, "bad_request") == 0 || strcmp (code, "bad_topic") == 0)
        sim_fail (sim, "live", "client %u: request of kind %d fails with %s: %s", client->number,
                  ask->kind, code, json_string_value (json_object_get (answer, "message")));
    if (ask->kind == SIM_ASK_JOIN) {
        sim_presence_unsure (topic);
        topic->is_joining = false;
        topic->may_be_in = true;
        topic->state = SIM_MAYBE;
        sim_topic_forget_parts (topic);
    }
    else if (ask->kind == SIM_ASK_LEAVE) {
        topic->is_left = false;
        /*  Not found where it is now: a join that is still under way is found after a resume. */
        bool is_out = code && strcmp (code, "not_found") == 0 && !topic->may_be_in;
        bool may_come_in = sim_orders_await (client, topic);
        topic->state = is_out && !may_come_in ? SIM_OUT : SIM_MAYBE;
    }
    else if (ask->kind == SIM_ASK_PUBLISH && !is_conflict && publish->same_id_as == 0)
        sim_client_remember (sim, client, ask);
}

void sim_heard_answer (sim_t *sim, sim_client_t *client, uint64_t id, bool ok, json_t *answer)
{
    size_t at = 0;
    if (client->reader.is_on) {
        sim_reader_answer (sim, client, id, ok, answer, epoch_of (answer), seq_of (answer));
        return;
    }
    while (at < client->ask_count && client->asks[at].id != id)
        at++;
    if (at == client->ask_count) {
        char *text = json_dumps (answer, JSON_COMPACT);
        sim_fail (sim, "live", "client %u: an answer that nobody asked for: %.300s", client->number,
                  text);
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
        bool may_come_in = sim_orders_await (client, &client->topics[asked.pattern]);
        client->topics[asked.pattern].state = may_come_in ? SIM_MAYBE : SIM_OUT;
        client->topics[asked.pattern].is_left = client->topics[asked.pattern].may_be_in = false;
        client->topics[asked.pattern].owes_reset = false;
        sim_presence_left (&client->topics[asked.pattern]);
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
