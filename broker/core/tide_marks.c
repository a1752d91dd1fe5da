/*  tide_marks.c - what was published from … to …
 *  SPDX-License-Identifier: MIT
 */
#include "tide_marks.h"

#include "tide_alloc.h"

#include <stdlib.h>

/*  The sequences of a range by topic: chains through `next`, in the order in which the topics were
 *  touched first. Places are offsets from the range's first sequence, plus 1; 0 ends a chain. */
typedef struct {
    uint32_t topic, first, last;
} chain_t;

typedef struct {
    chain_t *chains;
    uint32_t *next;
    uint32_t count;
} grouping_t;

static grouping_t group_begin (uint32_t size)
{
    return (grouping_t){.chains = tide_alloc (size * sizeof (chain_t)),
                        .next = tide_alloc (size * sizeof (uint32_t))};
}

static void group_free (grouping_t *self)
{
    free (self->chains);
    free (self->next);
}

/*  The topic's scratch is its chain while its stamp is this grouping's. */
static void group_add (grouping_t *self, tide_topics_t *topics, uint32_t stamp, uint32_t handle,
                       uint32_t place)
{
    tide_topic_t *topic = tide_topics_at (topics, handle);
    self->next[place - 1] = 0;
    if (topic->stamp == stamp) {
        chain_t *chain = &self->chains[topic->scratch];
        self->next[chain->last - 1] = place;
        chain->last = place;
        return;
    }
    topic->stamp = stamp;
    topic->scratch = self->count;
    self->chains[self->count++] = (chain_t){handle, place, place};
}

/*  Appends the mark's record; the chains' places are its offsets, because `from` is one below the
 *  first sequence. */
static void append_mark (const tide_core_t *core, tide_buffer_t *list, const grouping_t *grouping,
                         uint64_t from, uint64_t to)
{
    tide_buffer_t touched = {0};
    tide_buffer_t offsets = {0};
    for (uint32_t at = 0; at < grouping->count; at++) {
        const chain_t *chain = &grouping->chains[at];
        offsets.size = 0;
        for (uint32_t place = chain->first; place; place = grouping->next[place - 1])
            tide_put_u32 (&offsets, place);
        tide_touched_t record = {
            .topic = tide_topics_name (tide_index_topics (core->index), chain->topic),
            .offsets = tide_buffer_bytes (&offsets)};
        tide_touched_append (&touched, &record);
    }
    tide_mark_t mark = {.from = from, .to = to, .topics = tide_list (&touched, grouping->count)};
    tide_mark_append (list, &mark);
    tide_buffer_free (&touched);
    tide_buffer_free (&offsets);
}

static void publish_mark (tide_core_t *core, const grouping_t *grouping, uint64_t from, uint64_t to)
{
    tide_buffer_t list = {0};
    append_mark (core, &list, grouping, from, to);
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKED,
                              .marked = {.epoch = core->epoch, .marks = tide_list (&list, 1)}};
    tide_buffer_t *frame = tide_outbox_begin (&core->out);
    tide_fanout_mark_prefix (frame);
    tide_message_encode (frame, &message);
    tide_outbox_end (&core->out, false);
    tide_buffer_free (&list);
    core->counters.marks++;
}

static void publish_events (tide_core_t *core, tide_bytes_t topic, const tide_buffer_t *list,
                            uint32_t count)
{
    if (count == 0)
        return;
    tide_message_t message = {.kind = TIDE_MESSAGE_EVENTS,
                              .events = {.epoch = core->epoch, .events = tide_list (list, count)}};
    tide_buffer_t *frame = tide_outbox_begin (&core->out);
    tide_fanout_prefix (frame, topic, false);
    tide_message_encode (frame, &message);
    tide_outbox_end (&core->out, false);
    core->counters.fanout_messages++;
}

/*  What a message has beside its events: prefix, header and the list's. */
enum { FRAME_OVERHEAD = TIDE_TOPIC_SIZE_MAX + 2 + 4 + 8 + 8 };

static void publish_chain (tide_core_t *core, const grouping_t *grouping, const chain_t *chain,
                           const tide_bytes_t *records, tide_buffer_t *list)
{
    tide_bytes_t topic = tide_topics_name (tide_index_topics (core->index), chain->topic);
    const size_t room = TIDE_FANOUT_SIZE_MAX - FRAME_OVERHEAD;
    uint32_t count = 0;
    list->size = 0;
    for (uint32_t place = chain->first; place; place = grouping->next[place - 1]) {
        tide_bytes_t record = records[place - 1];
        if (record.size > room - 4) {
            core->counters.fanout_large++;
            continue;
        }
        if (record.size + 4 > room - list->size) {
            publish_events (core, topic, list, count);
            list->size = 0;
            count = 0;
        }
        tide_list_append (list, record);
        count++;
    }
    publish_events (core, topic, list, count);
}

void tide_marks_release (tide_core_t *core, const tide_log_batch_t *batch, const uint32_t *topics)
{
    tide_topics_t *all = tide_index_topics (core->index);
    uint32_t stamp = tide_topics_stamp (all);
    grouping_t grouping = group_begin (batch->count);
    tide_bytes_t *records = tide_alloc (batch->count * sizeof *records);
    tide_list_t list = tide_list (&batch->records, batch->count);
    for (uint32_t at = 0; tide_list_next (&list, &records[at]);) {
        group_add (&grouping, all, stamp, topics[at], at + 1);
        if (++at == batch->count)
            break;
    }
    tide_buffer_t scratch = {0};
    for (uint32_t at = 0; at < grouping.count; at++)
        publish_chain (core, &grouping, &grouping.chains[at], records, &scratch);
    publish_mark (core, &grouping, batch->first - 1, batch->first + batch->count - 1);
    tide_buffer_free (&scratch);
    free (records);
    group_free (&grouping);
}

void tide_marks_heartbeat (tide_core_t *core)
{
    publish_mark (core, &(grouping_t){0}, core->head, core->head);
}

/*  Events of one topic that stand next to each other travel together. */
void tide_marks_volatile (tide_core_t *core, uint64_t time_ms, const tide_list_t *events)
{
    tide_list_t list = *events;
    tide_buffer_t gathered = {0};
    tide_event_t event = {0};
    tide_bytes_t record;
    bool more = tide_list_next (&list, &record);
    while (more) {
        bool is_sound = tide_event_decode (record, &event);
        tide_assert (is_sound);
        tide_bytes_t topic = event.topic;
        uint32_t count = 0;
        gathered.size = 0;
        while (more && tide_bytes_equal (event.topic, topic)
               && (count == 0 || gathered.size + record.size < TIDE_FANOUT_SIZE_MAX)) {
            tide_list_append (&gathered, record);
            uint8_t *at = gathered.data + gathered.size - record.size;
            tide_store_u64 (at + TIDE_EVENT_SEQ_AT, 0);
            tide_store_u64 (at + TIDE_EVENT_TIME_AT, time_ms);
            count++;
            core->counters.volatile_events++;
            more = tide_list_next (&list, &record);
            if (more)
                is_sound = tide_event_decode (record, &event);
        }
        tide_message_t message = {.kind = TIDE_MESSAGE_VOLATILE,
                                  .volatiles = {.epoch = core->epoch,
                                                .behind = core->head,
                                                .events = tide_list (&gathered, count)}};
        tide_buffer_t *frame = tide_outbox_begin (&core->out);
        tide_fanout_prefix (frame, topic, true);
        tide_message_encode (frame, &message);
        tide_outbox_end (&core->out, true);
    }
    tide_buffer_free (&gathered);
}

/*  -- marks again ----------------------------------------------------------------------------- */

static void append_mark_again (const tide_core_t *core, tide_buffer_t *list, uint64_t from,
                               uint64_t to)
{
    tide_topics_t *all = tide_index_topics (core->index);
    uint32_t stamp = tide_topics_stamp (all);
    grouping_t grouping = group_begin ((uint32_t) (to - from));
    for (uint64_t seq = from + 1; seq <= to; seq++) {
        const tide_index_entry_t *entry = tide_index_find (core->index, seq);
        tide_assert (entry && entry->topic);
        group_add (&grouping, all, stamp, entry->topic, (uint32_t) (seq - from));
    }
    append_mark (core, list, &grouping, from, to);
    group_free (&grouping);
}

void tide_marks_read (tide_core_t *core, tide_bytes_t peer, const tide_marks_read_message_t *read)
{
    uint64_t floor = tide_index_marks_floor (core->index);
    core->counters.marks_reads++;
    if (read->epoch != core->epoch || read->since > core->head) {
        tide_core_fail (core, peer, read->request, TIDE_EPOCH_CHANGED, core->head,
                        "the position is not in this log, which ends at %llu",
                        (unsigned long long) core->head);
        return;
    }
    if (read->since < floor) {
        tide_core_fail (core, peer, read->request, TIDE_TRIMMED, floor,
                        "marks are known behind %llu only", (unsigned long long) floor);
        return;
    }
    tide_buffer_t list = {0};
    uint64_t from = read->since;
    uint32_t count = 0;
    while (from < core->head && count < TIDE_CORE_MARKS_MAX && list.size < TIDE_PAGE_SIZE_MAX) {
        uint64_t to =
            core->head - from > TIDE_BATCH_EVENTS_MAX ? from + TIDE_BATCH_EVENTS_MAX : core->head;
        append_mark_again (core, &list, from, to);
        from = to;
        count++;
    }
    tide_message_t answer = {.kind = TIDE_MESSAGE_MARKS,
                             .marks = {.request = read->request,
                                       .epoch = core->epoch,
                                       .head = core->head,
                                       .marks = tide_list (&list, count)}};
    tide_outbox_send (&core->out, peer, &answer);
    tide_buffer_free (&list);
}
