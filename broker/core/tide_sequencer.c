/*  tide_sequencer.c - checks publishes, gives sequences, forms batches.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_sequencer.h"

#include "tide_alloc.h"
#include "tide_check.h"
#include "tide_marks.h"
#include "tide_overlay.h"
#include "tide_queue.h"

#include <stdlib.h>
#include <string.h>

/*  What a batch's buffer may keep between two uses. */
enum { RECORDS_KEPT = 2 * TIDE_BATCH_SIZE_MAX };

typedef enum { FRESH, REPEATED, OTHER_CONTENT, KNOWN_IN_PART, KNOWN_APART, UNEXPECTED } verdict_t;

/*  An answer that waits until its batch is durable. */
typedef struct {
    size_t peer_at, peer_size; /* in the group's `peers` */
    uint64_t request;
    uint64_t seq;
    uint32_t count;
    verdict_t verdict;
} answer_t;

/*  A batch and everything that hangs on it. */
typedef struct {
    tide_log_batch_t *batch; /* NULL while the log has it */
    uint64_t first;
    uint32_t count;
    uint32_t *topics;
    uint32_t topic_capacity;
    tide_buffer_t peers;
    answer_t *answers;
    size_t answer_count, answer_capacity;
    tide_overlay_t overlay;
} group_t;

struct tide_sequencer {
    tide_core_t *core;
    group_t groups[2];
    group_t *gathering, *flying; /* flying: the other one, also while nothing flies */
    bool is_flying, is_stopping;
    uint64_t last_time_ms;
    uint64_t batch_number;
    tide_queue_t queue; /* publishes that wait for a place */
};

/*  -- groups ---------------------------------------------------------------------------------- */

static void clear_group (group_t *group)
{
    tide_log_batch_clear (group->batch);
    if (group->batch->records.capacity > RECORDS_KEPT)
        tide_buffer_free (&group->batch->records);
    group->count = 0;
    group->peers.size = 0;
    group->answer_count = 0;
    tide_overlay_clear (&group->overlay);
}

tide_sequencer_t *tide_sequencer_new (tide_core_t *core, uint64_t last_time_ms)
{
    tide_sequencer_t *self = tide_alloc (sizeof *self);
    self->core = core;
    self->last_time_ms = last_time_ms;
    self->queue.count_max = TIDE_CORE_QUEUE_MAX;
    self->queue.size_max = TIDE_CORE_QUEUE_SIZE_MAX;
    for (unsigned at = 0; at < 2; at++) {
        self->groups[at].batch = tide_log_batch_new ();
        self->groups[at].overlay.hash_seed[0] = core->hash_seed[0];
        self->groups[at].overlay.hash_seed[1] = core->hash_seed[1];
    }
    self->gathering = &self->groups[0];
    self->flying = &self->groups[1];
    self->gathering->first = core->head + 1;
    return self;
}

void tide_sequencer_destroy (tide_sequencer_t **self_p)
{
    tide_sequencer_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    tide_queue_free (&self->queue);
    for (unsigned at = 0; at < 2; at++) {
        group_t *group = &self->groups[at];
        tide_log_batch_destroy (&group->batch);
        tide_overlay_free (&group->overlay);
        tide_buffer_free (&group->peers);
        free (group->topics);
        free (group->answers);
    }
    free (self);
}

/*  -- answers --------------------------------------------------------------------------------- */

static void send_answer (tide_sequencer_t *self, tide_bytes_t peer, const answer_t *answer)
{
    static const char *const why[] = {
        [OTHER_CONTENT] = "this id was used for other content, appended at %llu",
        [KNOWN_IN_PART] = "some of these ids are known, the first at %llu, and others are not",
        [KNOWN_APART] = "these ids were not appended together, the first is at %llu",
        [UNEXPECTED] = "what stands at a key is not what was expected, but %llu",
    };
    tide_core_t *core = self->core;
    if (peer.size == 0) /* our own */
        return;
    if (answer->verdict > REPEATED) {
        core->counters.conflicts++;
        tide_core_fail (core, peer, answer->request, TIDE_CONFLICT, answer->seq,
                        why[answer->verdict], (unsigned long long) answer->seq);
        return;
    }
    if (answer->verdict == REPEATED)
        core->counters.repeats++;
    else
        core->counters.publishes++;
    tide_message_t ack = {.kind = TIDE_MESSAGE_ACK,
                          .ack = {.request = answer->request,
                                  .epoch = core->epoch,
                                  .first = answer->seq,
                                  .count = answer->count,
                                  .repeated = answer->verdict == REPEATED}};
    tide_outbox_send (&core->out, peer, &ack);
}

/*  The answer rests upon `seq`: it is sent when that is durable. */
static void answer_behind (tide_sequencer_t *self, uint64_t seq, tide_bytes_t peer, answer_t answer)
{
    if (seq <= self->core->head) {
        send_answer (self, peer, &answer);
        return;
    }
    bool flies = self->is_flying && seq < self->flying->first + self->flying->count;
    group_t *group = flies ? self->flying : self->gathering;
    answer.peer_at = group->peers.size;
    answer.peer_size = peer.size;
    tide_buffer_append_bytes (&group->peers, peer);
    if (group->answer_count == group->answer_capacity) {
        group->answer_capacity = group->answer_capacity > 0 ? group->answer_capacity * 2 : 64;
        group->answers =
            tide_realloc (group->answers, group->answer_capacity * sizeof *group->answers);
    }
    group->answers[group->answer_count++] = answer;
}

static tide_bytes_t answer_peer (const group_t *group, const answer_t *answer)
{
    return (tide_bytes_t){group->peers.data + answer->peer_at, answer->peer_size};
}

/*  -- judging --------------------------------------------------------------------------------- */

static uint64_t find_id (const tide_sequencer_t *self, const tide_id_t *id, unsigned class,
                         uint64_t *content)
{
    const tide_overlay_id_t *known = tide_overlay_id (&self->gathering->overlay, id);
    if (!known && self->is_flying)
        known = tide_overlay_id (&self->flying->overlay, id);
    if (!known)
        return tide_ids_find (self->core->ids[class], id, content);
    *content = known->id.content;
    return known->seq;
}

/*  Whether the events are known by their ids. *seq: what the answer names; *behind: the latest
 *  sequence that it rests upon. ids[at].who is set for each event that has an id. */
static verdict_t judge_ids (const tide_sequencer_t *self, const tide_publish_message_t *publish,
                            tide_id_t *ids, uint64_t *seq, uint64_t *behind)
{
    tide_list_t events = publish->events;
    tide_event_t event;
    uint32_t known = 0;
    bool same = true, together = true;
    for (uint32_t at = 0; tide_event_next (&events, &event); at++) {
        if (event.id.size == 0)
            continue;
        uint64_t content = 0;
        ids[at] = tide_id (self->core->hash_seed, &event);
        uint64_t found = find_id (self, &ids[at], tide_topics_class (event.topic), &content);
        if (found == 0)
            continue;
        if (known++ == 0)
            *seq = found;
        *behind = *behind < found ? found : *behind;
        same = same && content == ids[at].content;
        together = together && found == *seq + at;
    }
    if (known == 0)
        return FRESH;
    if (!same)
        return OTHER_CONTENT;
    if (known < publish->events.count)
        return KNOWN_IN_PART;
    return together ? REPEATED : KNOWN_APART;
}

static verdict_t judge_expects (const tide_sequencer_t *self, const tide_publish_message_t *publish,
                                uint64_t *seq, uint64_t *behind)
{
    tide_list_t expects = publish->expects;
    tide_expect_t expect;
    while (tide_expect_next (&expects, &expect)) {
        const tide_overlay_key_t *change =
            tide_overlay_key (&self->gathering->overlay, expect.topic, expect.key);
        if (!change && self->is_flying)
            change = tide_overlay_key (&self->flying->overlay, expect.topic, expect.key);
        if (change)
            *seq = change->removed ? 0 : change->seq;
        else
            *seq = tide_index_standing (self->core->index, expect.topic, expect.key);
        *behind = change ? change->seq : 0;
        if (*seq != expect.seq)
            return UNEXPECTED;
    }
    return FRESH;
}

/*  One id can't be that of two events. */
static bool has_twice (const tide_publish_message_t *publish, const tide_id_t *ids)
{
    for (uint32_t at = 1; at < publish->events.count; at++)
        for (uint32_t before = 0; before < at; before++)
            if ((ids[at].who[0] | ids[at].who[1]) != 0 && tide_id_equal (&ids[at], &ids[before]))
                return true;
    return false;
}

static uint64_t rising_time (tide_sequencer_t *self, uint64_t now_ms)
{
    if (self->last_time_ms < now_ms)
        self->last_time_ms = now_ms;
    return self->last_time_ms;
}

/*  The next event of the gathering batch: its record is copied, and gets its place and time. */
static void gather (tide_sequencer_t *self, uint64_t time_ms, tide_bytes_t record,
                    const tide_id_t *id)
{
    group_t *group = self->gathering;
    uint64_t seq = group->first + group->count++;
    tide_list_append (&group->batch->records, record);
    uint8_t *at = group->batch->records.data + group->batch->records.size - record.size;
    tide_store_u64 (at + TIDE_EVENT_SEQ_AT, seq);
    tide_store_u64 (at + TIDE_EVENT_TIME_AT, time_ms);
    tide_event_t event;
    bool is_sound = tide_event_decode (record, &event);
    tide_assert (is_sound);
    if (event.key.size > 0)
        tide_overlay_add_key (&group->overlay, event.topic, event.key, seq,
                              event.payload.size == 0);
    if (event.id.size > 0)
        tide_overlay_add_id (&group->overlay, id, seq, tide_topics_class (event.topic));
}

/*  Gives the publish its place, or its answer. There must be room. */
static void judge (tide_sequencer_t *self, uint64_t now_ms, tide_bytes_t peer,
                   const tide_publish_message_t *publish)
{
    tide_id_t ids[TIDE_PUBLISH_EVENTS_MAX]; /* only as many are cleared as there are events */
    memset (ids, 0, publish->events.count * sizeof ids[0]);
    uint64_t behind = 0;
    answer_t answer = {.request = publish->request, .count = publish->events.count};
    answer.verdict = judge_ids (self, publish, ids, &answer.seq, &behind);
    if (answer.verdict == FRESH && has_twice (publish, ids)) {
        tide_core_fail (self->core, peer, publish->request, TIDE_BAD_REQUEST, 0,
                        "two events of one publish have the same id");
        return;
    }
    if (answer.verdict == FRESH)
        answer.verdict = judge_expects (self, publish, &answer.seq, &behind);
    if (answer.verdict != FRESH) {
        answer_behind (self, behind, peer, answer);
        return;
    }
    answer.seq = self->gathering->first + self->gathering->count;
    uint64_t time_ms = rising_time (self, now_ms);
    tide_list_t events = publish->events;
    tide_bytes_t record;
    for (uint32_t at = 0; tide_list_next (&events, &record); at++)
        gather (self, time_ms, record, &ids[at]);
    answer_behind (self, answer.seq + answer.count - 1, peer, answer);
}

static bool has_room (const tide_sequencer_t *self, size_t count, size_t size)
{
    const group_t *group = self->gathering;
    if (group->count == 0)
        return count <= TIDE_BATCH_EVENTS_MAX;
    size_t used = group->batch->records.size;
    return count <= TIDE_BATCH_EVENTS_MAX - group->count && used < TIDE_BATCH_SIZE_MAX
           && size <= TIDE_BATCH_SIZE_MAX - used;
}

/*  -- the queue ------------------------------------------------------------------------------- */

static void decode_queued (const tide_queue_item_t *item, tide_message_t *message)
{
    const char *why;
    tide_status_t status = tide_message_decode (item->bytes, message, &why);
    tide_assert (status == TIDE_OK);
}

static void take_queued (tide_sequencer_t *self, uint64_t now_ms)
{
    const tide_queue_item_t *item;
    while ((item = tide_queue_front (&self->queue)) != NULL) {
        tide_message_t message;
        decode_queued (item, &message);
        if (!has_room (self, message.publish.events.count, message.publish.events.bytes.size))
            return;
        judge (self, now_ms, item->peer, &message.publish);
        tide_queue_pop (&self->queue);
    }
}

/*  Nothing new is taken; but what was is not refused when it is said again. */
static void receive_last (tide_sequencer_t *self, tide_bytes_t peer,
                          const tide_publish_message_t *publish)
{
    tide_id_t ids[TIDE_PUBLISH_EVENTS_MAX];
    memset (ids, 0, publish->events.count * sizeof ids[0]);
    uint64_t behind = 0;
    answer_t answer = {.request = publish->request, .count = publish->events.count};
    answer.verdict = judge_ids (self, publish, ids, &answer.seq, &behind);
    if (answer.verdict == REPEATED)
        answer_behind (self, behind, peer, answer);
    else
        tide_core_fail (self->core, peer, publish->request, TIDE_SHUTTING_DOWN, 0,
                        "the broker is stopping");
}

void tide_sequencer_receive (tide_sequencer_t *self, uint64_t now_ms, tide_bytes_t peer,
                             tide_bytes_t bytes, const tide_publish_message_t *publish)
{
    const char *why;
    bool is_volatile;
    tide_status_t status =
        tide_check_publish (publish, self->core->payload_max, &is_volatile, &why);
    if (status != TIDE_OK) {
        tide_core_fail (self->core, peer, publish->request, status, 0, "%s", why);
        return;
    }
    if (self->is_stopping) {
        receive_last (self, peer, publish);
        return;
    }
    if (is_volatile) {
        tide_marks_volatile (self->core, rising_time (self, now_ms), &publish->events);
        tide_message_t ack = {.kind = TIDE_MESSAGE_ACK,
                              .ack = {.request = publish->request,
                                      .epoch = self->core->epoch,
                                      .count = publish->events.count}};
        tide_outbox_send (&self->core->out, peer, &ack);
        return;
    }
    if (self->queue.count == 0
        && has_room (self, publish->events.count, publish->events.bytes.size))
        judge (self, now_ms, peer, publish);
    else if (!tide_queue_push (&self->queue, peer, bytes))
        tide_core_fail (self->core, peer, publish->request, TIDE_TOO_MANY, 0,
                        "%zu publishes of %zu bytes are waiting already: send again later",
                        self->queue.count, self->queue.size);
}

bool tide_sequencer_append (tide_sequencer_t *self, uint64_t now_ms, tide_bytes_t peer,
                            const tide_publish_message_t *publish)
{
    if (self->queue.count == 0
        && has_room (self, publish->events.count, publish->events.bytes.size)) {
        judge (self, now_ms, peer, publish);
        return true;
    }
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes,
                         &(tide_message_t){.kind = TIDE_MESSAGE_PUBLISH, .publish = *publish});
    bool is_taken = tide_queue_push (&self->queue, peer, tide_buffer_bytes (&bytes));
    tide_buffer_free (&bytes);
    return is_taken;
}

/*  -- the broker's own ------------------------------------------------------------------------ */

bool tide_sequencer_remove (tide_sequencer_t *self, uint64_t now_ms, const uint32_t *keys,
                            size_t count, tide_bytes_t name, tide_bytes_t from)
{
    /*  A removal excepts nobody: as many as a batch may have fit into an empty one. */
    enum { REMOVAL_SIZE_MAX = TIDE_EVENT_OVERHEAD_MAX - TIDE_EXCEPT_SIZE_MAX };
    if (!has_room (self, count, count * REMOVAL_SIZE_MAX))
        return false;
    const tide_keys_t *all = tide_index_keys (self->core->index);
    uint64_t time_ms = rising_time (self, now_ms);
    tide_buffer_t list = {0};
    for (size_t at = 0; at < count; at++) {
        uint32_t topic = tide_keys_topic (all, keys[at]);
        tide_event_t event = {.topic =
                                  tide_topics_name (tide_index_topics (self->core->index), topic),
                              .name = name,
                              .key = tide_keys_name (all, keys[at]),
                              .from = from};
        list.size = 0;
        tide_event_append (&list, &event);
        gather (self, time_ms, (tide_bytes_t){list.data + 4, list.size - 4}, NULL);
    }
    tide_buffer_free (&list);
    return true;
}

bool tide_sequencer_touches (const tide_sequencer_t *self, tide_bytes_t topic, tide_bytes_t key)
{
    return tide_overlay_key (&self->gathering->overlay, topic, key)
           || (self->is_flying && tide_overlay_key (&self->flying->overlay, topic, key));
}

/*  -- with the log ---------------------------------------------------------------------------- */

bool tide_sequencer_is_ready (const tide_sequencer_t *self)
{
    return !self->is_flying && self->gathering->count > 0;
}

static void hold_topics (tide_sequencer_t *self, group_t *group)
{
    if (group->topic_capacity < group->count) {
        group->topic_capacity = TIDE_BATCH_EVENTS_MAX;
        group->topics = tide_realloc (group->topics, group->topic_capacity * sizeof *group->topics);
    }
    tide_list_t list = tide_list (&group->batch->records, group->count);
    tide_bytes_t record;
    enum { TOPIC_AT = TIDE_EVENT_FLAGS_AT + 1 };
    for (uint32_t at = 0; tide_list_next (&list, &record); at++) {
        tide_bytes_t topic = {record.data + TOPIC_AT + 1, record.data[TOPIC_AT]};
        group->topics[at] = tide_index_hold_topic (self->core->index, topic);
    }
}

tide_log_batch_t *tide_sequencer_hand_over (tide_sequencer_t *self)
{
    tide_assert (tide_sequencer_is_ready (self));
    group_t *group = self->gathering;
    tide_log_batch_t *batch = group->batch;
    hold_topics (self, group);
    batch->number = ++self->batch_number;
    batch->first = group->first;
    batch->count = group->count;
    group->batch = NULL;
    self->gathering = self->flying;
    self->flying = group;
    self->is_flying = true;
    self->gathering->first = group->first + group->count;
    return batch;
}

const uint32_t *tide_sequencer_topics (const tide_sequencer_t *self)
{
    return self->flying->topics;
}

/*  The flying batch is back. */
static void land (tide_sequencer_t *self, tide_log_batch_t **batch_p)
{
    tide_assert (self->is_flying && *batch_p);
    self->flying->batch = *batch_p;
    *batch_p = NULL;
    self->is_flying = false;
    for (uint32_t at = 0; at < self->flying->count; at++)
        tide_index_let_topic (self->core->index, self->flying->topics[at]);
}

void tide_sequencer_durable (tide_sequencer_t *self, tide_log_batch_t **batch_p)
{
    group_t *group = self->flying;
    land (self, batch_p);
    for (size_t at = 0; at < group->answer_count; at++)
        send_answer (self, answer_peer (group, &group->answers[at]), &group->answers[at]);
    for (uint32_t at = 0; at < group->overlay.id_count; at++) {
        const tide_overlay_id_t *known = &group->overlay.ids[at];
        tide_ids_add (self->core->ids[known->class], &known->id, known->seq);
    }
    clear_group (group);
}

void tide_sequencer_go_on (tide_sequencer_t *self, uint64_t now_ms)
{
    take_queued (self, now_ms);
}

static void refuse (tide_sequencer_t *self, tide_bytes_t peer, uint64_t request)
{
    if (peer.size == 0)
        return;
    tide_core_fail (self->core, peer, request, TIDE_LOG_FULL, 0,
                    "the log's disk is full: nothing was appended");
}

static void refuse_answers (tide_sequencer_t *self, group_t *group)
{
    for (size_t at = 0; at < group->answer_count; at++)
        refuse (self, answer_peer (group, &group->answers[at]), group->answers[at].request);
    clear_group (group);
}

void tide_sequencer_undo (tide_sequencer_t *self, tide_log_batch_t **batch_p)
{
    land (self, batch_p);
    refuse_answers (self, self->flying);
    refuse_answers (self, self->gathering);
    const tide_queue_item_t *item;
    while ((item = tide_queue_front (&self->queue)) != NULL) {
        tide_message_t message;
        decode_queued (item, &message);
        refuse (self, item->peer, message.publish.request);
        tide_queue_pop (&self->queue);
    }
    self->gathering->first = self->core->head + 1;
}

void tide_sequencer_stop (tide_sequencer_t *self)
{
    self->is_stopping = true;
}

bool tide_sequencer_is_idle (const tide_sequencer_t *self)
{
    return !self->is_flying && self->gathering->count == 0 && self->queue.count == 0;
}

tide_sequencer_counts_t tide_sequencer_counts (const tide_sequencer_t *self)
{
    return (tide_sequencer_counts_t){.gathered = self->gathering->count,
                                     .queued = self->queue.count,
                                     .queued_bytes = self->queue.size};
}
