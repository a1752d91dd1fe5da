/*  sim_check.c - what must hold, by the numbers of the guarantees.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_hub_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_fail (sim_t *sim, const char *guarantee, const char *format, ...)
{
    va_list arguments;
    if (sim->failed)
        return;
    sim->failed = true;
    snprintf (sim->guarantee, sizeof sim->guarantee, "%s", guarantee);
    va_start (arguments, format);
    vsnprintf (sim->failure, sizeof sim->failure, format, arguments);
    va_end (arguments);
}

void sim_note (sim_t *sim, const char *format, ...)
{
    char *action = sim->actions[sim->action_count++ % SIM_ACTIONS_MAX];
    va_list arguments;
    int used = snprintf (action, SIM_ACTION_SIZE, "%llu %llu: ", (unsigned long long) sim->step,
                         (unsigned long long) sim->now_ms);
    va_start (arguments, format);
    vsnprintf (action + used, (size_t) (SIM_ACTION_SIZE - used), format, arguments);
    va_end (arguments);
    if (sim->is_verbose)
        printf ("%s\n", action);
}

uint64_t sim_number_of (const char *name)
{
    return name && name[0] == 'e' ? strtoull (name + 1, NULL, 10) : 0;
}

static uint64_t number_of_event (const tide_event_t *event)
{
    char name[32];
    if (event->name.size >= sizeof name)
        return 0;
    snprintf (name, sizeof name, "%.*s", TIDE_PRINT (event->name));
    return sim_number_of (name);
}

bool sim_check_data (sim_t *sim, uint64_t n, const json_t *data)
{
    const sim_publish_t *publish = &sim->publishes[n];
    char text[32];
    snprintf (text, sizeof text, "n%llu", (unsigned long long) n);
    if (publish->removes)
        return json_is_null (data);
    if (publish->is_text)
        return json_is_string (data) && strcmp (json_string_value (data), text) == 0;
    return (uint64_t) json_integer_value (json_object_get (data, "n")) == n
           && json_string_length (json_object_get (data, "pad")) == publish->pad;
}

/*  -- what is durable ------------------------------------------------------------------------- */

/*  What stands at (topic, key) at the end of the first `count` records. */
static uint64_t standing_at (const sim_disk_t *disk, uint64_t count, const char *topic, int key)
{
    char name[16];
    snprintf (name, sizeof name, "k%d", key);
    for (uint64_t seq = count; seq > 0; seq--) {
        const tide_event_t *event = &disk->records[seq - 1].event;
        if (tide_bytes_is (event->topic, topic) && tide_bytes_is (event->key, name))
            return event->payload.size > 0 ? seq : 0;
    }
    return 0;
}

/*  True if the first use of an id at seq must still be known, now that the log ends at `count`. */
static bool is_known_id (const sim_t *sim, const sim_disk_t *disk, uint64_t seq)
{
    return disk->count - seq < sim->config.dedupe_ids && !sim_disk_may_be_lost (sim, disk, seq);
}

static void check_repeat (sim_t *sim, sim_disk_t *disk, uint64_t n, uint64_t seq)
{
    const sim_publish_t *publish = &sim->publishes[n];
    const sim_publish_t *other = &sim->publishes[publish->same_id_as];
    if (publish->epoch == disk->epoch && publish->seq > 0 && is_known_id (sim, disk, publish->seq))
        sim_fail (sim, "G4", "e%llu is appended at %llu and again at %llu", (unsigned long long) n,
                  (unsigned long long) publish->seq, (unsigned long long) seq);
    else if (publish->same_id_as > 0 && other->epoch == disk->epoch && other->seq > 0
             && is_known_id (sim, disk, other->seq))
        sim_fail (sim, "G4", "e%llu is appended under the id of e%llu", (unsigned long long) n,
                  (unsigned long long) publish->same_id_as);
    else if (publish->expects && publish->epoch != disk->epoch && !disk->has_damage
             && standing_at (disk, seq - 1, sim_patterns[publish->expect_topic],
                             publish->expect_key)
                    != publish->expect_seq)
        sim_fail (sim, "G4", "e%llu is appended, but its condition does not hold",
                  (unsigned long long) n);
}

/*  A record has become durable. */
void sim_check_durable (sim_t *sim, sim_disk_t *disk, sim_record_t *record, uint64_t seq)
{
    const tide_event_t *event = &record->event;
    if (event->flags & TIDE_EVENT_VOLATILE) {
        sim_fail (sim, "G9", "a volatile event is logged at %llu", (unsigned long long) seq);
        return;
    }
    if (record->is_system) {
        sim_reader_durable (sim, disk, event);
        if (!sim_presence_durable (sim, disk, event, seq)
            && !sim_groups_durable (sim, disk, event, seq)
            && !sim_hooks_durable (sim, disk, event, seq) && sim->calls.is_on)
            sim_call_durable (sim, disk, event, seq);
        return;
    }
    uint64_t n = number_of_event (event);
    if (n == 0 || n >= sim->publish_count) {
        sim_fail (sim, "G2", "nobody published what is at %llu", (unsigned long long) seq);
        return;
    }
    sim_publish_t *publish = &sim->publishes[n];
    if (publish->is_volatile)
        sim_fail (sim, "G9", "volatile e%llu is logged at %llu", (unsigned long long) n,
                  (unsigned long long) seq);
    else if (!tide_bytes_is (event->topic, sim_patterns[publish->topic])
             || (event->key.size > 0) != (publish->key >= 0)
             || (event->payload.size == 0) != publish->removes)
        sim_fail (sim, "G2", "e%llu is not what was published", (unsigned long long) n);
    else
        check_repeat (sim, disk, n, seq);
    record->n = n;
    publish->epoch = disk->epoch;
    publish->seq = seq;
}

static void check_event (sim_t *sim, uint64_t epoch, tide_bytes_t bytes, const char *where)
{
    sim_disk_t *disk = sim_disk_find (sim, epoch);
    uint64_t seq = tide_load_u64 (bytes.data + TIDE_EVENT_SEQ_AT);
    const sim_record_t *record = disk ? sim_disk_record (disk, seq) : NULL;
    if (!record)
        sim_fail (sim, "G3", "%s holds %llu, which is not durable", where,
                  (unsigned long long) seq);
    else if (!tide_bytes_equal (bytes, (tide_bytes_t){record->data, record->size}))
        sim_fail (sim, "G3", "%s holds another event at %llu than the log", where,
                  (unsigned long long) seq);
}

static void check_events (sim_t *sim, uint64_t epoch, tide_list_t events, const char *where)
{
    tide_bytes_t bytes;
    while (tide_list_next (&events, &bytes) && !sim->failed)
        check_event (sim, epoch, bytes, where);
}

static void check_head (sim_t *sim, uint64_t seq, const char *where)
{
    if (seq > sim->disk->count)
        sim_fail (sim, "G3", "%s says %llu, but the log ends at %zu", where,
                  (unsigned long long) seq, sim->disk->count);
}

/*  Nothing leaves the broker that is not durable. */
void sim_check_frame (sim_t *sim, const tide_message_t *message)
{
    tide_list_t list;
    tide_mark_t mark;
    tide_event_t event;
    switch (message->kind) {
    case TIDE_MESSAGE_EVENTS:
        check_events (sim, message->events.epoch, message->events.events, "EVENTS");
        break;
    case TIDE_MESSAGE_PAGE:
        check_events (sim, message->page.epoch, message->page.events, "PAGE");
        check_head (sim, message->page.head, "PAGE");
        break;
    case TIDE_MESSAGE_STANDING:
        check_events (sim, message->standing.epoch, message->standing.events, "STANDING");
        check_head (sim, message->standing.seq, "STANDING");
        break;
    case TIDE_MESSAGE_MARKED:
    case TIDE_MESSAGE_MARKS:
        list = message->kind == TIDE_MESSAGE_MARKED ? message->marked.marks : message->marks.marks;
        while (tide_mark_next (&list, &mark))
            check_head (sim, mark.to, "a mark");
        break;
    case TIDE_MESSAGE_ACK:
        if (message->ack.first > 0)
            check_head (sim, message->ack.first + message->ack.count - 1, "ACK");
        break;
    case TIDE_MESSAGE_WELCOME:
        check_head (sim, message->welcome.head, "WELCOME");
        break;
    case TIDE_MESSAGE_GROUP_EVENT:
        check_events (sim, sim->disk->epoch, message->group_event.events, "GROUP_EVENT");
        break;
    case TIDE_MESSAGE_LEND:
        sim_call_lent (sim, message);
        break;
    case TIDE_MESSAGE_VOLATILE:
        list = message->volatiles.events;
        while (tide_event_next (&list, &event)) {
            uint64_t n = number_of_event (&event);
            if (!sim_question_told (sim, &event))
                sim_call_told (sim, &event);
            if (!(event.flags & TIDE_EVENT_VOLATILE))
                sim_fail (sim, "G9", "VOLATILE holds an event that is not");
            if (n < sim->publish_count)
                sim->publishes[n].times++;
        }
        break;
    default:
        break;
    }
}

void sim_check_ack (sim_t *sim, uint64_t n, uint64_t epoch, uint64_t seq)
{
    sim_publish_t *publish = &sim->publishes[n];
    sim_disk_t *disk = sim_disk_find (sim, epoch);
    const sim_record_t *record = disk ? sim_disk_record (disk, seq) : NULL;
    sim->stats.acks++;
    if (publish->is_volatile) {
        if (seq != 0)
            sim_fail (sim, "G9", "volatile e%llu is acknowledged at %llu", (unsigned long long) n,
                      (unsigned long long) seq);
        return;
    }
    if (!record)
        sim_fail (sim, "G2", "e%llu is acknowledged at %016llx:%llu and not durable",
                  (unsigned long long) n, (unsigned long long) epoch, (unsigned long long) seq);
    else if (record->n != n)
        sim_fail (sim, record->n > 0 && record->n == publish->same_id_as ? "G4" : "G2",
                  "e%llu is acknowledged at %llu, where e%llu is", (unsigned long long) n,
                  (unsigned long long) seq, (unsigned long long) record->n);
    else if (publish->acked_epoch == epoch && publish->acked_seq != seq
             && is_known_id (sim, disk, publish->acked_seq < seq ? publish->acked_seq : seq))
        sim_fail (sim, "G4", "e%llu is acknowledged at %llu and at %llu", (unsigned long long) n,
                  (unsigned long long) publish->acked_seq, (unsigned long long) seq);
    sim->stats.repeats += publish->acked_epoch == epoch;
    publish->acked_epoch = epoch;
    publish->acked_seq = seq;
}

/*  -- what is read ---------------------------------------------------------------------------- */

uint64_t sim_check_next (const sim_disk_t *disk, unsigned pattern, uint64_t since, uint64_t until)
{
    tide_bytes_t wanted = tide_bytes (sim_patterns[pattern]);
    for (uint64_t seq = since + 1; seq <= until && seq <= disk->count; seq++) {
        const sim_record_t *record = &disk->records[seq - 1];
        if (!record->is_system && tide_pattern_matches (wanted, record->event.topic))
            return seq;
    }
    return 0;
}

void sim_check_advance (sim_t *sim, sim_client_t *client, uint64_t seq)
{
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    if (!disk || seq <= client->position)
        return;
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        sim_topic_t *topic = &client->topics[at];
        if (topic->state != SIM_IN || topic->owes_reset)
            continue;
        uint64_t since = topic->joined > client->position ? topic->joined : client->position;
        uint64_t until = sim_orders_hide (topic, seq) ? topic->left : seq;
        uint64_t missed = sim_check_next (disk, at, since, until);
        if (missed == 0)
            continue;
        if (sim_disk_may_be_lost (sim, disk, missed))
            topic->owes_reset = true;
        else {
            sim_fail (sim, "G5",
                      "client %u is at %llu and never got e%llu (%llu) of %s, joined at %llu",
                      client->number, (unsigned long long) seq,
                      (unsigned long long) disk->records[missed - 1].n, (unsigned long long) missed,
                      sim_patterns[at], (unsigned long long) topic->joined);
            return;
        }
    }
    sim_orders_passed (sim, client, seq);
    client->position = seq;
}

static int topic_number (const char *name)
{
    for (int at = 0; at < SIM_TOPICS; at++)
        if (strcmp (sim_patterns[at], name) == 0)
            return at;
    return -1;
}

/*  Takes what the answer says of one topic off the expectations. */
static void check_topic_state (sim_t *sim, const sim_disk_t *disk, int topic, const json_t *state,
                               uint64_t expected[SIM_TOPICS][SIM_KEYS],
                               bool damaged[SIM_TOPICS][SIM_KEYS], uint64_t at, const char *what)
{
    const char *key;
    const json_t *event;
    json_object_foreach ((json_t *) state, key, event) {
        int number = key[0] == 'k' ? atoi (key + 1) : SIM_KEYS;
        if (topic < 0 || number >= SIM_KEYS) {
            sim_fail (sim, "G5", "%s has a key %s that nobody made", what, key);
            return;
        }
        uint64_t seq = (uint64_t) json_integer_value (json_object_get (event, "seq"));
        uint64_t n = sim_number_of (json_string_value (json_object_get (event, "event")));
        const sim_record_t *record = sim_disk_record (disk, seq);
        if (damaged[topic][number])
            continue;
        if (seq != expected[topic][number] || !record || record->n != n
            || !sim_check_data (sim, n, json_object_get (event, "data"))) {
            sim_fail (sim, "G5", "%s at %llu has %s/%s from %llu; %llu stands", what,
                      (unsigned long long) at, sim_patterns[topic], key, (unsigned long long) seq,
                      (unsigned long long) expected[topic][number]);
            return;
        }
        expected[topic][number] = 0;
    }
}

void sim_check_state (sim_t *sim, uint64_t epoch, unsigned pattern, uint64_t seq,
                      const json_t *state, const char *what)
{
    uint64_t expected[SIM_TOPICS][SIM_KEYS] = {0};
    bool damaged[SIM_TOPICS][SIM_KEYS] = {0};
    const sim_disk_t *disk = sim_disk_find (sim, epoch);
    tide_bytes_t wanted = tide_bytes (sim_patterns[pattern]);
    sim->stats.snapshots++;
    if (!disk || seq > disk->count || !json_is_object (state)) {
        sim_fail (sim, "G3", "%s is a snapshot at %016llx:%llu", what, (unsigned long long) epoch,
                  (unsigned long long) seq);
        return;
    }
    for (uint64_t each = 1; each <= seq; each++) {
        const sim_record_t *record = &disk->records[each - 1];
        const sim_publish_t *publish = &sim->publishes[record->n];
        if (record->n == 0 || publish->key < 0
            || !tide_pattern_matches (wanted, record->event.topic))
            continue;
        expected[publish->topic][publish->key] = publish->removes ? 0 : each;
        damaged[publish->topic][publish->key] |= record->is_damaged;
    }
    if (tide_pattern_is_subtree (wanted)) {
        const char *name;
        const json_t *one;
        json_object_foreach ((json_t *) state, name, one)
            check_topic_state (sim, disk, topic_number (name), one, expected, damaged, seq, what);
    }
    else
        check_topic_state (sim, disk, (int) pattern, state, expected, damaged, seq, what);
    for (unsigned topic = 0; topic < SIM_TOPICS; topic++)
        for (unsigned key = 0; key < SIM_KEYS; key++)
            if (expected[topic][key] > 0 && !damaged[topic][key])
                sim_fail (sim, "G5", "%s of %s at %llu lacks %s/k%u from %llu", what,
                          sim_patterns[pattern], (unsigned long long) seq, sim_patterns[topic], key,
                          (unsigned long long) expected[topic][key]);
}

void sim_check_history (sim_t *sim, unsigned pattern, uint64_t since, uint64_t limit,
                        const json_t *answer)
{
    const char *epoch = json_string_value (json_object_get (answer, "epoch"));
    const sim_disk_t *disk = epoch ? sim_disk_find (sim, strtoull (epoch, NULL, 16)) : NULL;
    const json_t *events = json_object_get (answer, "events"), *event;
    bool is_trimmed = json_is_true (json_object_get (answer, "trimmed"));
    uint64_t at = since;
    size_t index;
    sim->stats.histories++;
    if (!disk || json_array_size (events) > limit) {
        sim_fail (sim, "G8", "a history of an unknown log, or longer than asked for");
        return;
    }
    json_array_foreach (events, index, event) {
        uint64_t seq = (uint64_t) json_integer_value (json_object_get (event, "seq"));
        uint64_t n = sim_number_of (json_string_value (json_object_get (event, "event")));
        const sim_record_t *record = sim_disk_record (disk, seq);
        if (!record || record->n != n
            || !sim_check_data (sim, n, json_object_get (event, "data"))) {
            sim_fail (sim, "G3", "a history has e%llu at %llu", (unsigned long long) n,
                      (unsigned long long) seq);
            return;
        }
        uint64_t next = sim_check_next (disk, pattern, at, seq);
        while (next < seq && is_trimmed && sim_disk_may_be_lost (sim, disk, next))
            next = sim_check_next (disk, pattern, next, seq);
        if (next != seq) {
            sim_fail (sim, "G5", "a history of %s lacks %llu (before %llu, since %llu)",
                      sim_patterns[pattern], (unsigned long long) next, (unsigned long long) seq,
                      (unsigned long long) since);
            return;
        }
        at = seq;
    }
}

/*  -- bounds ---------------------------------------------------------------------------------- */

static void check_lane (sim_t *sim, const sim_lane_t *lane)
{
    const tide_connection_t *connection;
    const tide_hub_t *hub = lane->hub;
    if (HASH_COUNT (hub->pages) > TIDE_PAGES_MAX)
        sim_fail (sim, "G6", "lane %s holds %u pages", lane->id, HASH_COUNT (hub->pages));
    if (HASH_COUNT (hub->ops) > 4096)
        sim_fail (sim, "G6", "lane %s has %u operations under way", lane->id,
                  HASH_COUNT (hub->ops));
    DL_FOREACH (hub->connections, connection) {
        size_t outbox = connection->outbox.size - connection->outbox_at;
        if (outbox > SIM_OUTBOX_SIZE_MAX)
            sim_fail (sim, "G6", "a connection of lane %s has %zu bytes in its outbox", lane->id,
                      outbox);
        if (connection->inbox.size > SIM_INBOX_SIZE_MAX)
            sim_fail (sim, "G6", "a connection of lane %s has %zu bytes in its inbox", lane->id,
                      connection->inbox.size);
    }
}

void sim_check_bounds (sim_t *sim)
{
    if (sim->calls.is_on)
        sim_calls_look (sim);
    for (unsigned at = 0; at < sim->lane_count; at++)
        if (sim->lanes[at].hub)
            check_lane (sim, &sim->lanes[at]);
}

/*  -- the end --------------------------------------------------------------------------------- */

static bool is_settled (const sim_t *sim, const sim_client_t *client, char why[200])
{
    const sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    if (client->reader.is_on)
        return sim_reader_is_settled (sim, client, why);
    if (client->state != SIM_OPEN) {
        snprintf (why, 200, "is not connected (state %d)", client->state);
        return false;
    }
    if (client->gone_at > 0 && disk == sim->disk) {
        snprintf (why, 200, "is there, but was sent away at %llu",
                  (unsigned long long) client->gone_at);
        return false;
    }
    if (client->ask_count > 0) {
        snprintf (why, 200, "waits for %zu answers, the first to request %llu of kind %d",
                  client->ask_count, (unsigned long long) client->asks[0].id, client->asks[0].kind);
        return false;
    }
    for (unsigned at = 0; at < SIM_PATTERNS; at++) {
        const sim_topic_t *topic = &client->topics[at];
        if (topic->state != SIM_IN)
            continue;
        if (sim_orders_await (client, topic) && topic->ordered_epoch != sim->disk->epoch)
            continue; /* the order may have gone with its log */
        if (topic->left > client->position && disk != sim->disk)
            continue; /* and that one not: who has left is not reset, and hears of no other log */
        uint64_t since = topic->joined > client->position ? topic->joined : client->position;
        uint64_t until = topic->left > 0 ? topic->left : SIZE_MAX;
        uint64_t next = disk ? sim_check_next (disk, at, since, until) : 0;
        if (disk == sim->disk && next == 0 && !topic->owes_reset)
            continue;
        snprintf (why, 200, "has not got %llu of %s, joined at %llu, position %016llx:%llu%s",
                  (unsigned long long) next, sim_patterns[at], (unsigned long long) topic->joined,
                  (unsigned long long) client->epoch, (unsigned long long) client->position,
                  topic->owes_reset ? ", no reset came" : "");
        return false;
    }
    return true;
}

bool sim_check_settled (sim_t *sim, bool say)
{
    char why[200];
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++) {
        const sim_client_t *client = &sim->clients[at];
        if (at >= sim->client_count || client->is_ghost || is_settled (sim, client, why))
            continue;
        if (say)
            sim_fail (sim, "G5", "at the end, client %u %s", client->number, why);
        return false;
    }
    return sim_calls_settled (sim, say) && sim_hooks_settled (sim, say)
           && sim_groups_settled (sim, say) && sim_presence_settled (sim, say);
}
