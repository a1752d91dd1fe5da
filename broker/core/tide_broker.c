/*  tide_broker.c - everything a broker decides: brings its parts together.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker.h"

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_broker_parts.h"
#include "tide_marks.h"
#include "tide_relay.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  Events that one round takes out of the history because of their age, at most: a broker that was
 *  busy a week ago does not stand still now. */
enum { AGED_MAX = 65536 };

/*  A lease's key that is due while events on it are with the log: look again then. */
enum { POSTPONED_MS = 10 };

tide_broker_t *tide_broker_new (const tide_broker_config_t *config)
{
    tide_broker_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    self->config.events = tide_copy (config->events, strlen (config->events));
    self->config.volatiles = tide_copy (config->volatiles, strlen (config->volatiles));
    tide_core_init (&self->core, config);
    self->core.dispatch = tide_dispatch_new (&self->core, config->workers_wait_ms);
    self->core.groups = tide_groups_new (&self->core);
    self->reading = tide_reading_new (&self->core);
    self->snapshots = tide_snapshots_new (&self->core);
    self->peers = tide_peers_new (config->hash_seed, TIDE_CORE_PEERS_MAX);
    self->requests.count_max = TIDE_CORE_REQUESTS_MAX;
    self->requests.size_max = TIDE_CORE_REQUESTS_SIZE_MAX;
    self->retention.segment_bytes = tide_retention_segment_bytes (config);
    tide_broker_shrink (self, TIDE_LOG_SEGMENT_EVENTS, tide_broker_segments (config),
                        TIDE_CORE_GHOSTS_MAX);
    return self;
}

void tide_broker_destroy (tide_broker_t **self_p)
{
    tide_broker_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    tide_dispatch_destroy (&self->core.dispatch);
    tide_groups_destroy (&self->core.groups);
    tide_sequencer_destroy (&self->sequencer);
    tide_reading_destroy (&self->reading);
    tide_snapshots_destroy (&self->snapshots);
    tide_peers_destroy (&self->peers);
    tide_retention_free (&self->retention);
    tide_queue_free (&self->requests);
    tide_core_free (&self->core);
    for (size_t at = 0; at < self->stat_count; at++)
        free (self->stats[at].name);
    free (self->stats);
    free ((void *) self->config.events);
    free ((void *) self->config.volatiles);
    free (self);
}

unsigned tide_broker_segments (const tide_broker_config_t *config)
{
    return tide_retention_segments (config, TIDE_LOG_SEGMENT_EVENTS);
}

void tide_broker_shrink (tide_broker_t *self, uint32_t segment_events, uint32_t segments_max,
                         uint32_t ghosts_max)
{
    self->retention.segment_events = segment_events;
    self->retention.segments_max = segments_max;
    tide_index_set_ghosts_max (self->core.index, ghosts_max);
}

uint64_t tide_broker_head (const tide_broker_t *self)
{
    return self->core.head;
}

size_t tide_broker_said_size (const tide_broker_t *self)
{
    return tide_outbox_is_empty (&self->core.out) ? 0 : self->core.out.arena.size;
}

/*  -- what is durable ------------------------------------------------------------------------- */

/*  A session of a namespace has that for its record's name: workers are told of its end. */
static bool is_guest (const tide_event_t *event)
{
    return (event->flags & TIDE_EVENT_OWNS_TOPIC) != 0 && event->name.size > 0
           && event->name.data[0] == '/' && event->from.size > 0;
}

/*  Into the index and the leases. The topic is held. */
static tide_index_change_t apply (tide_broker_t *self, uint64_t now_ms, uint32_t topic,
                                  const tide_event_t *event, tide_bytes_t record, bool set_aside)
{
    tide_index_change_t change =
        tide_index_add (self->core.index, &(tide_index_event_t){.seq = event->seq,
                                                                .topic = topic,
                                                                .size = (uint32_t) record.size,
                                                                .time_ms = event->time_ms,
                                                                .key = event->key,
                                                                .removes = event->payload.size == 0,
                                                                .set_aside = set_aside});
    if (change.key == 0)
        return change;
    if (change.was_removed || event->lease.size == 0)
        tide_leases_forget (self->core.leases, change.key);
    else
        tide_leases_stand (
            self->core.leases, now_ms,
            &(tide_leases_held_t){.key = change.key,
                                  .seq = event->seq,
                                  .lease = event->lease,
                                  .name = event->name,
                                  .from = event->from,
                                  .linger_ms = event->linger_ms,
                                  .owns_topic = (event->flags & TIDE_EVENT_OWNS_TOPIC) != 0,
                                  .tells_end = is_guest (event),
                                  .is_told = (event->flags & TIDE_EVENT_IS_TOLD) != 0});
    if (change.was_removed) {
        tide_dispatch_forget (self->core.dispatch, change.key);
        tide_groups_forget (self->core.groups, change.key);
    }
    else {
        tide_dispatch_stand (self->core.dispatch, now_ms, change.key, event, record);
        tide_groups_stand (self->core.groups, now_ms, change.key, event);
    }
    return change;
}

static void trim (tide_broker_t *self, uint64_t now_ms, uint64_t aged_max)
{
    tide_core_t *core = &self->core;
    tide_index_trim (core->index, now_ms, aged_max);
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        tide_ids_trim (core->ids[class], tide_index_class (core->index, class)->cut);
}

/*  -- loading --------------------------------------------------------------------------------- */

void tide_broker_load_lost (tide_broker_t *self, tide_bytes_t topic, uint64_t seq)
{
    tide_index_load_lost (self->core.index, topic, seq);
}

/*  Brings the index to where the next one is seq; false if seq was there already. */
static bool make_place (tide_broker_t *self, uint64_t seq, uint64_t segment_first)
{
    tide_index_t *index = self->core.index;
    if (segment_first != self->segment) {
        self->segment = segment_first;
        tide_index_begin_segment (index, segment_first);
    }
    const tide_index_segment_t *segment =
        tide_index_segment (index, tide_index_segment_count (index) - 1);
    while (segment->first + segment->count < seq)
        tide_index_add_damaged (index, segment->first + segment->count, false);
    return segment->first + segment->count == seq;
}

void tide_broker_load (tide_broker_t *self, uint64_t seq, uint64_t segment_first,
                       const tide_bytes_t *record)
{
    tide_core_t *core = &self->core;
    bool set_aside = segment_first == 0;
    if (!set_aside && !make_place (self, seq, segment_first))
        return;
    tide_event_t event;
    if (!record || !tide_event_decode (*record, &event) || event.seq != seq
        || !tide_topic_valid (event.topic)) {
        tide_index_add_damaged (core->index, seq, set_aside);
        return;
    }
    uint32_t topic = tide_index_hold_topic (core->index, event.topic);
    tide_index_change_t change = apply (self, 0, topic, &event, *record, set_aside);
    if (change.is_alive && event.id.size > 0) {
        tide_id_t id = tide_id (core->hash_seed, &event);
        tide_ids_add (core->ids[tide_topics_class (event.topic)], &id, seq);
    }
    tide_index_let_topic (core->index, topic);
    trim (self, 0, 0);
    if (self->last_time_ms < event.time_ms)
        self->last_time_ms = event.time_ms;
}

void tide_broker_start (tide_broker_t *self, uint64_t now_ms, uint64_t last)
{
    self->core.head = last;
    /*  Before topics are folded: that is not written down yet. */
    tide_retention_start (&self->retention, &self->core);
    tide_index_settle (self->core.index, last);
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        tide_ids_settle (self->core.ids[class]);
    tide_leases_start (self->core.leases, now_ms);
    self->sequencer = tide_sequencer_new (&self->core, self->last_time_ms);
    tide_dispatch_start (self->core.dispatch, now_ms, self->sequencer);
    tide_groups_start (self->core.groups, now_ms, self->sequencer);
    self->next_mark_ms = self->next_round_ms = self->ticked_ms = now_ms;
    self->next_look_ms = self->looked_ms = now_ms;
}

/*  -- leases that are over -------------------------------------------------------------------- */

/*  The keys that go together: the one that is due, last, and before it all others of its topic if
 *  it owns that; no more than fit into a batch, so it may take several. */
static uint32_t *list_removed (const tide_broker_t *self, const tide_leases_held_t *held,
                               size_t *count)
{
    const tide_keys_t *keys = tide_index_keys (self->core.index);
    uint32_t topic = tide_keys_topic (keys, held->key);
    const tide_topic_t *entry = tide_topics_at (tide_index_topics (self->core.index), topic);
    size_t all = held->owns_topic ? entry->key_count : 1;
    uint32_t *list = tide_alloc (all * sizeof *list);
    *count = 0;
    for (uint32_t key = entry->keys; held->owns_topic && key; key = tide_keys_next (keys, key))
        if (key != held->key)
            list[(*count)++] = key;
    if (*count < TIDE_BATCH_EVENTS_MAX)
        list[(*count)++] = held->key;
    else
        *count = TIDE_BATCH_EVENTS_MAX;
    return list;
}

/*  Calls what is to be told of a session that cannot speak for itself: that its connection is gone
 *  with its gateway, or that it is over. Under one id, so that it is told once. False if there is
 *  no room now. */
static bool call_hook (tide_broker_t *self, uint64_t now_ms, const tide_leases_held_t *held)
{
    const char *event = held->is_bereft ? TIDE_HOOK_DISCONNECT : TIDE_HOOK_EXPIRED;
    const tide_topics_t *topics = tide_index_topics (self->core.index);
    tide_buffer_t id = {0}, payload = {0};
    tide_buffer_printf (&id, "%s/%.*s/%llu", event, TIDE_PRINT (held->from),
                        (unsigned long long) held->seq);
    tide_args_encode (
        &payload,
        &(tide_args_t){.many = !held->is_bereft,
                       .json = tide_bytes (held->is_bereft ? "\"transport close\"" : "[]")});
    tide_call_message_t call = {
        .nsp = held->name,
        .event = tide_bytes (event),
        .id = tide_buffer_bytes (&id),
        .from = held->from,
        .session = tide_topics_name (
            topics, tide_keys_topic (tide_index_keys (self->core.index), held->key)),
        .payload = tide_buffer_bytes (&payload)};
    bool is_done = tide_dispatch_hook (self->core.dispatch, now_ms, &call);
    tide_buffer_free (&id);
    tide_buffer_free (&payload);
    return is_done;
}

/*  False if there is no room for the removals now. */
static bool expire_key (tide_broker_t *self, uint64_t now_ms, const tide_leases_held_t *held)
{
    tide_core_t *core = &self->core;
    const tide_keys_t *keys = tide_index_keys (core->index);
    tide_assert (tide_keys_seq (keys, held->key) == held->seq);
    uint32_t topic = tide_keys_topic (keys, held->key);
    tide_bytes_t touched = {0};
    if (!held->owns_topic)
        touched = tide_keys_name (keys, held->key);
    if (tide_sequencer_touches (
            self->sequencer, tide_topics_name (tide_index_topics (core->index), topic), touched)) {
        tide_leases_postpone (core->leases, held->key, now_ms + POSTPONED_MS);
        return true;
    }
    if (held->tells_end && !call_hook (self, now_ms, held))
        return false;
    if (held->is_bereft) {
        tide_leases_told (core->leases, now_ms, held->key);
        return true;
    }
    size_t count;
    uint32_t *list = list_removed (self, held, &count);
    bool done =
        tide_sequencer_remove (self->sequencer, now_ms, list, count, held->name, held->from);
    for (size_t at = 0; done && at < count; at++)
        tide_leases_remove (core->leases, list[at]);
    core->counters.removals += done ? count : 0;
    free (list);
    return done;
}

/*  Ticks come at least once in a heartbeat. If none came for longer than a peer's silence is borne,
 *  it was not the peers that stood still but this process, or its machine: what they said meanwhile
 *  has still to be read, so each lease gets one full period as after a start. */
static bool notice_pause (tide_broker_t *self, uint64_t now_ms)
{
    bool was_paused = now_ms - self->ticked_ms > TIDE_LIVENESS_MS;
    if (was_paused) {
        self->core.counters.pauses++;
        tide_leases_start (self->core.leases, now_ms);
    }
    self->ticked_ms = now_ms;
    return was_paused;
}

static void expire (tide_broker_t *self, uint64_t now_ms)
{
    tide_leases_held_t held;
    self->is_expiry_blocked = false;
    notice_pause (self, now_ms);
    while (!self->is_stopping && !self->is_expiry_blocked
           && tide_leases_due (self->core.leases, now_ms, &held))
        self->is_expiry_blocked = !expire_key (self, now_ms, &held);
}

/*  -- with the log ---------------------------------------------------------------------------- */

static void complete_durable (tide_broker_t *self, uint64_t now_ms, tide_log_batch_t **batch_p)
{
    tide_core_t *core = &self->core;
    const tide_log_batch_t *batch = *batch_p;
    const uint32_t *topics = tide_sequencer_topics (self->sequencer);
    tide_retention_done (&self->retention, core, batch);
    tide_list_t list = tide_list (&batch->records, batch->count);
    tide_bytes_t record;
    for (uint32_t at = 0; tide_list_next (&list, &record); at++) {
        tide_event_t event;
        bool is_sound = tide_event_decode (record, &event);
        tide_assert (is_sound);
        apply (self, now_ms, topics[at], &event, record, false);
        core->counters.event_bytes += record.size;
    }
    core->counters.batches++;
    core->counters.events += batch->count;
    tide_marks_release (core, batch, topics);
    core->head = batch->first + batch->count - 1;
    self->next_mark_ms = now_ms + TIDE_HEARTBEAT_MS;
    tide_sequencer_durable (self->sequencer, batch_p);
    /*  Before publishes that wait: they may always be as many as fit. */
    if (self->is_expiry_blocked)
        expire (self, now_ms);
    tide_sequencer_go_on (self->sequencer, now_ms);
    trim (self, now_ms, AGED_MAX);
    tide_groups_go_on (core->groups, now_ms);
}

static void complete_append (tide_broker_t *self, uint64_t now_ms,
                             tide_log_completion_t *completion)
{
    if (completion->status == TIDE_OK)
        complete_durable (self, now_ms, &completion->batch);
    else if (completion->status == TIDE_LOG_FULL) {
        self->core.counters.log_full++;
        tide_retention_full (&self->retention);
        tide_sequencer_undo (self->sequencer, &completion->batch);
        tide_leases_undo (self->core.leases, now_ms + TIDE_HEARTBEAT_MS);
        tide_groups_undo (self->core.groups, now_ms);
    }
    else {
        self->has_failed = true;
        tide_outbox_stop (&self->core.out, completion->status);
        tide_log_batch_destroy (&completion->batch);
        return;
    }
    if (self->is_expiry_blocked)
        expire (self, now_ms);
}

static void take_requests (tide_broker_t *self, uint64_t now_ms);

void tide_broker_complete (tide_broker_t *self, uint64_t now_ms, tide_log_completion_t *completion)
{
    if (self->has_failed) {
        tide_log_batch_destroy (&completion->batch);
        tide_log_fetch_destroy (&completion->fetch);
        return;
    }
    if (completion->batch)
        complete_append (self, now_ms, completion);
    if (completion->fetch && !self->has_failed && completion->status != TIDE_OK) {
        /*  Nothing can be read any more: what it holds is no answer. */
        self->has_failed = true;
        tide_outbox_stop (&self->core.out, completion->status);
    }
    if (completion->fetch && !self->has_failed) {
        self->core.fetching--;
        if (!tide_reading_complete (self->reading, completion->fetch)
            && !tide_groups_complete (self->core.groups, now_ms, completion->fetch))
            tide_snapshots_complete (self->snapshots, now_ms, completion->fetch);
        tide_groups_go_on (self->core.groups, now_ms);
        take_requests (self, now_ms);
    }
    tide_log_fetch_destroy (&completion->fetch);
}

bool tide_broker_next_action (tide_broker_t *self, tide_broker_action_t *action)
{
    /*  First of all: the log works while the rest is being sent. */
    if (!self->has_failed && self->sequencer && tide_sequencer_is_ready (self->sequencer)) {
        tide_log_batch_t *batch = tide_sequencer_hand_over (self->sequencer);
        tide_retention_plan (&self->retention, &self->core, batch);
        *action = (tide_broker_action_t){.kind = TIDE_BROKER_APPEND, .batch = batch};
        return true;
    }
    return tide_outbox_next (&self->core.out, action);
}

/*  -- requests -------------------------------------------------------------------------------- */

static void serve (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer, tide_bytes_t bytes,
                   const tide_message_t *message)
{
    if (message->kind == TIDE_MESSAGE_READ)
        tide_reading_receive (self->reading, peer, bytes, &message->read);
    else
        tide_snapshots_receive (self->snapshots, now_ms, peer, &message->snapshot);
}

/*  What may need a fetch waits while there are too many with the log. */
static void receive_request (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer,
                             tide_bytes_t bytes, const tide_message_t *message)
{
    bool needs_fetch = message->kind == TIDE_MESSAGE_SNAPSHOT || message->read.limit > 0;
    bool has_room = self->core.fetching < TIDE_CORE_FETCHES_MAX && self->requests.count == 0;
    if (has_room || !needs_fetch)
        serve (self, now_ms, peer, bytes, message);
    else if (!tide_queue_push (&self->requests, peer, bytes)) {
        uint64_t request =
            message->kind == TIDE_MESSAGE_READ ? message->read.request : message->snapshot.request;
        tide_core_fail (&self->core, peer, request, TIDE_TOO_MANY, 0,
                        "%zu requests are waiting already: ask again later", self->requests.count);
    }
}

static void take_requests (tide_broker_t *self, uint64_t now_ms)
{
    const tide_queue_item_t *item;
    while (self->core.fetching < TIDE_CORE_FETCHES_MAX
           && (item = tide_queue_front (&self->requests)) != NULL) {
        tide_message_t message;
        const char *why;
        tide_status_t status = tide_message_decode (item->bytes, &message, &why);
        tide_assert (status == TIDE_OK);
        serve (self, now_ms, item->peer, item->bytes, &message);
        tide_queue_pop (&self->requests);
    }
}

static void receive_release (tide_broker_t *self, uint64_t now_ms,
                             const tide_release_message_t *release)
{
    tide_core_t *core = &self->core;
    uint32_t topic = tide_topics_find (tide_index_topics (core->index), release->topic);
    uint32_t key = topic ? tide_keys_find (tide_index_keys (core->index), topic, release->key) : 0;
    if (key && tide_leases_release (core->leases, now_ms, key, release->seq))
        core->counters.releases++;
}

/*  -- peers ----------------------------------------------------------------------------------- */

static void forget_peer (tide_broker_t *self, uint64_t now_ms, tide_peer_t *peer)
{
    tide_bytes_t id = {peer->id, peer->id_size};
    tide_dispatch_gone (self->core.dispatch, now_ms, id);
    tide_groups_gone (self->core.groups, now_ms, id);
    tide_snapshots_forget (self->snapshots, id);
    tide_reading_forget (self->reading, id);
    if (peer->lease)
        tide_leases_close (self->core.leases, peer->lease);
    tide_peers_remove (self->peers, peer);
}

void tide_broker_gone (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer)
{
    tide_peer_t *entry = tide_peers_find (self->peers, peer);
    if (entry)
        forget_peer (self, now_ms, entry);
}

static void receive_hello (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer,
                           tide_peer_t *entry, const tide_hello_message_t *hello)
{
    tide_core_t *core = &self->core;
    core->counters.hellos++;
    if (hello->lease.size > 0 && !tide_name_valid (hello->lease)) {
        tide_core_fail (core, peer, 0, TIDE_BAD_REQUEST, 0,
                        "the lease's name is not UTF-8 without control characters");
        return;
    }
    if (!entry)
        entry = tide_peers_add (self->peers, now_ms, peer);
    if (!entry) {
        tide_core_fail (core, peer, 0, TIDE_TOO_MANY, 0, "%u peers are connected already",
                        TIDE_CORE_PEERS_MAX);
        return;
    }
    entry->who = tide_who (core->hash_seed, peer, hello->origin);
    entry->relayed = entry->taken = 0;
    uint32_t before = entry->lease;
    uint32_t lease =
        hello->lease.size > 0 ? tide_leases_open (core->leases, now_ms, hello->lease) : 0;
    tide_peers_hold (self->peers, entry, lease);
    if (before)
        tide_leases_close (core->leases, before);
    tide_message_t welcome = {.kind = TIDE_MESSAGE_WELCOME,
                              .welcome = {.epoch = core->epoch,
                                          .head = core->head,
                                          .events = tide_bytes (self->config.events),
                                          .volatiles = tide_bytes (self->config.volatiles),
                                          .payload_max = core->payload_max}};
    tide_outbox_send (&core->out, peer, &welcome);
}

static void receive_bye (tide_broker_t *self, uint64_t now_ms, tide_peer_t *entry)
{
    if (entry->lease)
        tide_leases_end (self->core.leases, now_ms, entry->lease);
    forget_peer (self, now_ms, entry);
}

/*  Which request it was, if so much can be read: a peer that is answered can go on. */
static uint64_t request_of (tide_bytes_t bytes)
{
    enum { KIND_AT = 3, REQUEST_AT = 4, REQUEST_END = 12 };
    static const tide_message_kind_t requests[] = {
        TIDE_MESSAGE_PUBLISH,    TIDE_MESSAGE_READ,        TIDE_MESSAGE_MARKS_READ,
        TIDE_MESSAGE_SNAPSHOT,   TIDE_MESSAGE_TOPICS_READ, TIDE_MESSAGE_STATS_READ,
        TIDE_MESSAGE_SERVE,      TIDE_MESSAGE_CALL,        TIDE_MESSAGE_DONE,
        TIDE_MESSAGE_GROUP_JOIN, TIDE_MESSAGE_GROUP_LEAVE, TIDE_MESSAGE_GROUP_DONE};
    if (bytes.size < REQUEST_END || memcmp (bytes.data, "TM", 2) != 0
        || bytes.data[2] != TIDE_PROTOCOL_VERSION)
        return 0;
    for (size_t at = 0; at < sizeof requests / sizeof requests[0]; at++)
        if (bytes.data[KIND_AT] == requests[at])
            return tide_load_u64 (bytes.data + REQUEST_AT);
    return 0;
}

static void send_pong (tide_broker_t *self, tide_bytes_t peer)
{
    tide_message_t pong = {.kind = TIDE_MESSAGE_PONG,
                           .pong = {.epoch = self->core.epoch, .head = self->core.head}};
    tide_outbox_send (&self->core.out, peer, &pong);
}

/*  A broker that stops takes nothing new. */
static bool refuse_new (tide_broker_t *self, tide_bytes_t peer, uint64_t request)
{
    if (self->is_stopping)
        tide_core_fail (&self->core, peer, request, TIDE_SHUTTING_DOWN, 0,
                        "the broker is stopping");
    return self->is_stopping;
}

static void handle (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer, tide_bytes_t bytes,
                    tide_peer_t *entry, const tide_message_t *message)
{
    tide_core_t *core = &self->core;
    switch (message->kind) {
    case TIDE_MESSAGE_PING:
        entry->taken = message->ping.relayed;
        send_pong (self, peer);
        return;
    case TIDE_MESSAGE_BYE:
        receive_bye (self, now_ms, entry);
        return;
    case TIDE_MESSAGE_PUBLISH:
        tide_sequencer_receive (self->sequencer, now_ms, peer, bytes, &message->publish);
        return;
    case TIDE_MESSAGE_READ:
    case TIDE_MESSAGE_SNAPSHOT:
        receive_request (self, now_ms, peer, bytes, message);
        return;
    case TIDE_MESSAGE_MARKS_READ:
        tide_marks_read (core, peer, &message->marks_read);
        return;
    case TIDE_MESSAGE_TOPICS_READ:
        tide_reading_topics (core, peer, &message->topics_read);
        return;
    case TIDE_MESSAGE_RELEASE:
        receive_release (self, now_ms, &message->release);
        return;
    case TIDE_MESSAGE_RELAY:
        tide_relay_receive (core, self->peers, entry, &message->relay);
        return;
    case TIDE_MESSAGE_SERVE:
        if (!refuse_new (self, peer, message->serve.request))
            tide_dispatch_serve (core->dispatch, now_ms, peer, entry->who, &message->serve);
        return;
    case TIDE_MESSAGE_CALL:
        if (!refuse_new (self, peer, message->call.request))
            tide_dispatch_call (core->dispatch, now_ms, peer, &message->call);
        return;
    case TIDE_MESSAGE_DONE:
        tide_dispatch_done (core->dispatch, now_ms, peer, entry->who, &message->done);
        return;
    case TIDE_MESSAGE_EXTEND:
        tide_dispatch_extend (core->dispatch, now_ms, entry->who, &message->extend);
        return;
    case TIDE_MESSAGE_GROUP_JOIN:
        if (!refuse_new (self, peer, message->group_join.request))
            tide_groups_join (core->groups, now_ms, peer, entry->who, &message->group_join);
        return;
    case TIDE_MESSAGE_GROUP_LEAVE:
        tide_groups_leave (core->groups, now_ms, peer, &message->group_leave);
        return;
    case TIDE_MESSAGE_GROUP_DONE:
        tide_groups_done (core->groups, now_ms, peer, entry->who, &message->group_done);
        return;
    case TIDE_MESSAGE_GROUP_EXTEND:
        tide_groups_extend (core->groups, now_ms, entry->who, &message->group_extend);
        return;
    case TIDE_MESSAGE_STATS_READ:
        tide_broker_send_stats (self, peer, message->stats_read.request);
        return;
    default:
        core->counters.malformed++;
        tide_core_fail (core, peer, 0, TIDE_BAD_REQUEST, 0, "%s is the broker's to send",
                        tide_message_name (message->kind));
    }
}

void tide_broker_receive (tide_broker_t *self, uint64_t now_ms, tide_bytes_t peer,
                          tide_bytes_t bytes)
{
    tide_core_t *core = &self->core;
    if (self->has_failed)
        return;
    tide_message_t message;
    const char *why;
    tide_status_t status = tide_message_decode (bytes, &message, &why);
    tide_peer_t *entry = tide_peers_find (self->peers, peer);
    core->counters.messages++;
    if (entry) {
        tide_peers_heard (self->peers, now_ms, entry);
        if (entry->lease)
            tide_leases_renew (core->leases, now_ms, entry->lease);
    }
    if (status != TIDE_OK) {
        core->counters.malformed++;
        tide_core_fail (core, peer, entry ? request_of (bytes) : 0, status, 0, "%s", why);
    }
    else if (message.kind == TIDE_MESSAGE_HELLO)
        receive_hello (self, now_ms, peer, entry, &message.hello);
    else if (!entry) {
        core->counters.strangers++;
        tide_core_fail (core, peer, 0, TIDE_UNAUTHORIZED, 0, "a conversation begins with HELLO");
    }
    else
        handle (self, now_ms, peer, bytes, entry, &message);
}

/*  -- time ------------------------------------------------------------------------------------ */

static void forget_silent (tide_broker_t *self, uint64_t now_ms)
{
    tide_peer_t *oldest;
    while ((oldest = tide_peers_oldest (self->peers)) != NULL
           && now_ms - oldest->heard_ms > TIDE_CORE_PEER_SILENT_MS) {
        self->core.counters.peers_forgotten++;
        forget_peer (self, now_ms, oldest);
    }
}

/*  One that is silent is forgotten as a peer: if it is alive after all, it is told to say hello. */
static void forget_dead_worker (tide_broker_t *self, uint64_t now_ms, tide_bytes_t id)
{
    tide_peer_t *peer = tide_peers_find (self->peers, id);
    tide_assert (peer); /* whoever goes as a peer goes as a worker, and as a member */
    if (now_ms - peer->heard_ms < TIDE_WORKER_SILENT_MS)
        return;
    self->core.counters.workers_dead++;
    forget_peer (self, now_ms, peer);
}

static void forget_dead_workers (tide_broker_t *self, uint64_t now_ms)
{
    void *at = NULL;
    tide_bytes_t id, next;
    bool has_more = tide_dispatch_next_worker (self->core.dispatch, &at, &next);
    while (has_more) {
        id = next;
        has_more = tide_dispatch_next_worker (self->core.dispatch, &at, &next);
        forget_dead_worker (self, now_ms, id);
    }
    at = NULL;
    has_more = tide_groups_next_peer (self->core.groups, &at, &next);
    while (has_more) {
        id = next;
        has_more = tide_groups_next_peer (self->core.groups, &at, &next);
        forget_dead_worker (self, now_ms, id);
    }
}

static bool has_workers (const tide_broker_t *self)
{
    void *at = NULL, *other = NULL;
    tide_bytes_t id;
    return tide_dispatch_next_worker (self->core.dispatch, &at, &id)
           || tide_groups_next_peer (self->core.groups, &other, &id);
}

/*  Workers are given less time than other peers, and so the broker has less time to have stood
 *  still in: then what they said has still to be read. */
static void look_at_workers (tide_broker_t *self, uint64_t now_ms)
{
    bool was_paused = now_ms - self->looked_ms > TIDE_WORKER_LOOK_MS + TIDE_HEARTBEAT_MS;
    self->looked_ms = now_ms;
    if (was_paused) {
        tide_dispatch_paused (self->core.dispatch, now_ms);
        tide_groups_paused (self->core.groups, now_ms);
        self->next_look_ms = now_ms + TIDE_WORKER_SILENT_MS;
    }
    if (now_ms < self->next_look_ms)
        return;
    self->next_look_ms = now_ms + TIDE_WORKER_LOOK_MS;
    forget_dead_workers (self, now_ms);
}

void tide_broker_tick (tide_broker_t *self, uint64_t now_ms)
{
    if (self->has_failed)
        return;
    bool was_paused = notice_pause (self, now_ms);
    look_at_workers (self, now_ms);
    tide_dispatch_tick (self->core.dispatch, now_ms);
    tide_groups_tick (self->core.groups, now_ms);
    if (now_ms >= self->next_round_ms) {
        self->next_round_ms = now_ms + TIDE_HEARTBEAT_MS;
        trim (self, now_ms, AGED_MAX);
        tide_snapshots_tick (self->snapshots, now_ms);
        if (!was_paused)
            forget_silent (self, now_ms);
    }
    if (now_ms >= self->next_mark_ms) {
        self->next_mark_ms = now_ms + TIDE_HEARTBEAT_MS;
        tide_marks_heartbeat (&self->core);
    }
    if (!self->is_expiry_blocked)
        expire (self, now_ms);
}

uint64_t tide_broker_deadline_ms (const tide_broker_t *self)
{
    if (self->has_failed)
        return UINT64_MAX;
    uint64_t deadline_ms =
        self->next_mark_ms < self->next_round_ms ? self->next_mark_ms : self->next_round_ms;
    if (self->is_expiry_blocked || self->is_stopping)
        return deadline_ms;
    const uint64_t others[] = {tide_leases_deadline_ms (self->core.leases),
                               tide_dispatch_deadline_ms (self->core.dispatch),
                               tide_groups_deadline_ms (self->core.groups),
                               has_workers (self) ? self->next_look_ms : UINT64_MAX};
    for (size_t other = 0; other < sizeof others / sizeof others[0]; other++)
        deadline_ms = others[other] < deadline_ms ? others[other] : deadline_ms;
    return deadline_ms;
}

void tide_broker_stop (tide_broker_t *self, uint64_t now_ms)
{
    self->is_stopping = true;
    tide_dispatch_stop (self->core.dispatch);
    tide_groups_stop (self->core.groups, now_ms);
    tide_sequencer_stop (self->sequencer);
}

bool tide_broker_is_idle (const tide_broker_t *self)
{
    return tide_outbox_is_empty (&self->core.out)
           && (self->has_failed
               || (tide_sequencer_is_idle (self->sequencer) && self->core.fetching == 0));
}
