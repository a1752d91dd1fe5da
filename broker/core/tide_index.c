/*  tide_index.c - what there is.
 *
 *  A topic whose events are all gone and where nothing stands is a *ghost*: only its lost_to is
 *  worth keeping. Of those a bounded number is kept; the oldest are folded into one value for all
 *  topics that are not known any more. A topic that is made anew begins with that value, since it
 *  may have been one of them, and the log is told so together with its first event.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_index.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    tide_index_class_t told;
    uint64_t events_max, bytes_max;
    uint64_t cursor;                  /* nothing of this class is alive up to here */
    uint32_t first_ghost, last_ghost; /* in the order in which they became one */
} class_t;

struct tide_index {
    tide_index_config_t config;
    tide_topics_t *topics;
    tide_keys_t *keys;
    class_t classes[TIDE_CLASSES];
    tide_index_segment_t *segments;
    uint32_t segment_count, segment_capacity;
    tide_aside_t aside;
    uint64_t marks_floor;
    uint64_t lost_all; /* of damaged events it is not known of which topic they were */
    uint32_t *dirty;
    size_t dirty_count, dirty_capacity;
    tide_buffer_t erased;
    uint32_t ghosts_max;
    bool is_loading;
};

uint64_t tide_index_events_max (const tide_index_config_t *config, unsigned class)
{
    uint64_t clients = config->retain_events > 0 ? config->retain_events : 1;
    if (class != TIDE_SYSTEM)
        return clients;
    return clients / 8 > 1024 ? clients / 8 : 1024;
}

static uint64_t bytes_max (const tide_index_config_t *config, unsigned class)
{
    enum { SYSTEM_BYTES_MIN = 1 << 20 };
    if (config->retain_bytes == 0)
        return UINT64_MAX;
    if (class != TIDE_SYSTEM)
        return config->retain_bytes;
    uint64_t bytes = config->retain_bytes / 8;
    return bytes > SYSTEM_BYTES_MIN ? bytes : SYSTEM_BYTES_MIN;
}

tide_index_t *tide_index_new (const tide_index_config_t *config)
{
    tide_index_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    self->topics = tide_topics_new (config->hash_seed);
    self->keys = tide_keys_new (config->hash_seed, self->topics);
    self->is_loading = true;
    for (unsigned class = 0; class < TIDE_CLASSES; class ++) {
        self->classes[class].events_max = tide_index_events_max (config, class);
        self->classes[class].bytes_max = bytes_max (config, class);
    }
    return self;
}

void tide_index_destroy (tide_index_t **self_p)
{
    tide_index_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (uint32_t at = 0; at < self->segment_count; at++)
        free (self->segments[at].entries);
    free (self->segments);
    tide_aside_free (&self->aside);
    tide_buffer_free (&self->erased);
    free (self->dirty);
    tide_keys_destroy (&self->keys);
    tide_topics_destroy (&self->topics);
    free (self);
}

void tide_index_set_ghosts_max (tide_index_t *self, uint32_t ghosts_max)
{
    self->ghosts_max = ghosts_max;
}

tide_topics_t *tide_index_topics (const tide_index_t *self)
{
    return self->topics;
}

const tide_keys_t *tide_index_keys (const tide_index_t *self)
{
    return self->keys;
}

const tide_index_class_t *tide_index_class (const tide_index_t *self, unsigned class)
{
    return &self->classes[class].told;
}

/*  -- what was lost --------------------------------------------------------------------------- */

static void raise_to (uint64_t *value, uint64_t seq)
{
    if (*value < seq)
        *value = seq;
}

static void raise_lost (tide_index_t *self, tide_topic_t *topic, uint64_t seq)
{
    raise_to (&topic->lost_to, seq);
    raise_to (&self->classes[topic->class].told.lost_max, seq);
}

static void mark_dirty (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    if (topic->is_dirty)
        return;
    topic->is_dirty = true;
    topic->refs++;
    if (self->dirty_count == self->dirty_capacity) {
        self->dirty_capacity = self->dirty_capacity > 0 ? self->dirty_capacity * 2 : 64;
        self->dirty = tide_realloc (self->dirty, self->dirty_capacity * sizeof *self->dirty);
    }
    self->dirty[self->dirty_count++] = handle;
}

uint64_t tide_index_lost (const tide_index_t *self, tide_bytes_t pattern, uint64_t since)
{
    const tide_index_class_t *class = &self->classes[tide_topics_class (pattern)].told;
    uint64_t lost = self->lost_all;
    if (class->lost_max > since) {
        bool is_subtree = tide_pattern_is_subtree (pattern);
        tide_topics_walk_t walk = tide_topics_walk (self->topics, pattern);
        uint32_t handle = tide_topics_walk_next (&walk);
        if (is_subtree || !handle)
            raise_to (&lost, class->folded);
        for (; handle; handle = tide_topics_walk_next (&walk))
            raise_to (&lost, tide_topics_at (self->topics, handle)->lost_to);
    }
    return lost > since ? lost : 0;
}

/*  -- topics that come and go ----------------------------------------------------------------- */

static void leave_ghosts (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    class_t *class = &self->classes[topic->class];
    if (topic->ghost_prev)
        tide_topics_at (self->topics, topic->ghost_prev)->ghost_next = topic->ghost_next;
    else
        class->first_ghost = topic->ghost_next;
    if (topic->ghost_next)
        tide_topics_at (self->topics, topic->ghost_next)->ghost_prev = topic->ghost_prev;
    else
        class->last_ghost = topic->ghost_prev;
    topic->ghost_prev = topic->ghost_next = 0;
    topic->is_ghost = false;
    class->told.ghosts--;
}

static void join_ghosts (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    class_t *class = &self->classes[topic->class];
    topic->is_ghost = true;
    topic->ghost_prev = class->last_ghost;
    if (class->last_ghost)
        tide_topics_at (self->topics, class->last_ghost)->ghost_next = handle;
    else
        class->first_ghost = handle;
    class->last_ghost = handle;
    class->told.ghosts++;
}

/*  The topic is not known any more: what was lost of it is in `folded` now. */
static void fold (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    raise_to (&self->classes[topic->class].told.folded, topic->lost_to);
    if (topic->lost_said > 0) {
        tide_put_u8 (&self->erased, topic->size);
        tide_buffer_append_bytes (&self->erased, tide_topics_name (self->topics, handle));
    }
    tide_topics_remove (self->topics, handle);
}

/*  To be called when anything of a topic has gone: decides what is left of it. */
static void settle_topic (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    if (self->is_loading || topic->refs > 0 || topic->count > 0 || topic->key_count > 0
        || topic->is_ghost)
        return;
    class_t *class = &self->classes[topic->class];
    if (topic->lost_to <= class->told.folded) {
        fold (self, handle);
        return;
    }
    join_ghosts (self, handle);
    if (class->told.ghosts > self->ghosts_max) {
        uint32_t oldest = class->first_ghost;
        leave_ghosts (self, oldest);
        fold (self, oldest);
    }
}

uint32_t tide_index_hold_topic (tide_index_t *self, tide_bytes_t name)
{
    uint32_t handle = tide_topics_find (self->topics, name);
    if (handle) {
        tide_topic_t *topic = tide_topics_at (self->topics, handle);
        topic->refs++;
        if (topic->is_ghost)
            leave_ghosts (self, handle);
        return handle;
    }
    handle = tide_topics_add (self->topics, name);
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    topic->refs = 1;
    /*  What the log still has of a topic was never folded, or its entry would say more. */
    uint64_t folded = self->classes[topic->class].told.folded;
    if (!self->is_loading && folded > 0) {
        raise_lost (self, topic, folded);
        mark_dirty (self, handle);
    }
    return handle;
}

void tide_index_let_topic (tide_index_t *self, uint32_t handle)
{
    tide_topic_t *topic = tide_topics_at (self->topics, handle);
    tide_assert (topic->refs > 0);
    topic->refs--;
    settle_topic (self, handle);
}

/*  -- finding --------------------------------------------------------------------------------- */

/*  The segment that holds seq or, if none does, the first one above it; else segment_count. */
static uint32_t segment_of (const tide_index_t *self, uint64_t seq)
{
    uint32_t low = 0, high = self->segment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->segments[middle].first + self->segments[middle].count > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool is_aside (const tide_index_t *self, uint64_t seq)
{
    return self->segment_count == 0 || seq < self->segments[0].first;
}

static tide_index_entry_t *find (const tide_index_t *self, uint64_t seq)
{
    if (is_aside (self, seq))
        return tide_aside_find (&self->aside, seq);
    uint32_t at = segment_of (self, seq);
    if (at == self->segment_count || seq < self->segments[at].first)
        return NULL;
    return &self->segments[at].entries[seq - self->segments[at].first];
}

const tide_index_entry_t *tide_index_find (const tide_index_t *self, uint64_t seq)
{
    return find (self, seq);
}

static bool stands (const tide_index_t *self, uint64_t seq, const tide_index_entry_t *entry)
{
    return entry->key && tide_keys_seq (self->keys, entry->key) == seq;
}

bool tide_index_keeps (const tide_index_t *self, uint64_t seq, const tide_index_entry_t *entry)
{
    return entry->is_alive || stands (self, seq, entry);
}

uint64_t tide_index_marks_floor (const tide_index_t *self)
{
    return self->marks_floor;
}

/*  The next alive event above seq, of one class or (class == TIDE_CLASSES) of any. *passed: where
 *  nothing was found up to. */
static tide_index_entry_t *next_alive (const tide_index_t *self, unsigned class, uint64_t seq,
                                       uint64_t until, uint64_t *found, uint64_t *passed)
{
    *passed = seq;
    for (size_t at = tide_aside_above (&self->aside, seq); at < self->aside.count; at++) {
        tide_aside_item_t *item = &self->aside.items[at];
        if (item->seq > until)
            return NULL;
        *found = item->seq;
        if (item->entry.topic && item->entry.is_alive
            && (class == TIDE_CLASSES
                || tide_topics_at (self->topics, item->entry.topic)->class == class))
            return &item->entry;
        *passed = item->seq;
    }
    for (uint32_t at = segment_of (self, seq + 1); at < self->segment_count; at++) {
        tide_index_segment_t *segment = &self->segments[at];
        uint32_t place = seq < segment->first ? 0 : (uint32_t) (seq + 1 - segment->first);
        if (segment->alive == 0)
            place = segment->count;
        for (; place < segment->count && segment->first + place <= until; place++) {
            tide_index_entry_t *entry = &segment->entries[place];
            *found = segment->first + place;
            if (entry->is_alive
                && (class == TIDE_CLASSES
                    || tide_topics_at (self->topics, entry->topic)->class == class))
                return entry;
            *passed = *found;
        }
        if (place == 0)
            return NULL;
        *passed = segment->first + place - 1;
    }
    return NULL;
}

uint64_t tide_index_next_alive (const tide_index_t *self, uint64_t seq, uint64_t until,
                                uint32_t *topic)
{
    uint64_t found = 0, passed;
    const tide_index_entry_t *entry = next_alive (self, TIDE_CLASSES, seq, until, &found, &passed);
    if (!entry)
        return 0;
    *topic = entry->topic;
    return found;
}

uint64_t tide_index_standing (const tide_index_t *self, tide_bytes_t topic, tide_bytes_t key)
{
    uint32_t handle = tide_topics_find (self->topics, topic);
    return handle ? tide_keys_seq (self->keys, tide_keys_find (self->keys, handle, key)) : 0;
}

/*  -- events that come ------------------------------------------------------------------------ */

/*  Events up to seq are missing in the log: of which topics they were, nobody knows. */
static void miss (tide_index_t *self, uint64_t seq)
{
    raise_to (&self->lost_all, seq);
    raise_to (&self->marks_floor, seq);
}

void tide_index_begin_segment (tide_index_t *self, uint64_t first)
{
    if (self->segment_count == self->segment_capacity) {
        self->segment_capacity = self->segment_capacity > 0 ? self->segment_capacity * 2 : 16;
        self->segments =
            tide_realloc (self->segments, self->segment_capacity * sizeof *self->segments);
    }
    if (self->segment_count == 0)
        raise_to (&self->marks_floor, first - 1);
    else {
        tide_index_segment_t *closed = &self->segments[self->segment_count - 1];
        if (closed->first + closed->count != first)
            miss (self, first - 1);
        closed->capacity = closed->count > 0 ? closed->count : 1;
        closed->entries =
            tide_realloc (closed->entries, closed->capacity * sizeof *closed->entries);
    }
    self->segments[self->segment_count++] = (tide_index_segment_t){.first = first};
}

static tide_index_entry_t *push_entry (tide_index_t *self, const tide_index_entry_t *entry)
{
    tide_index_segment_t *segment = &self->segments[self->segment_count - 1];
    if (segment->count == segment->capacity) {
        segment->capacity = segment->capacity > 0 ? segment->capacity * 2 : 256;
        segment->entries =
            tide_realloc (segment->entries, segment->capacity * sizeof *segment->entries);
    }
    segment->entries[segment->count] = *entry;
    return &segment->entries[segment->count++];
}

/*  Together with the event itself, the log must hear that its topic lost something. */
static void say_before_forgetting (tide_index_t *self, uint32_t topic, uint64_t seq)
{
    if (tide_topics_at (self->topics, topic)->lost_said < seq)
        mark_dirty (self, topic);
}

/*  Nothing is left that needs it: if it was set aside, the log may forget it. */
static void check_aside (tide_index_t *self, uint64_t seq)
{
    if (!is_aside (self, seq))
        return;
    const tide_index_entry_t *entry = tide_aside_find (&self->aside, seq);
    if (!entry || tide_index_keeps (self, seq, entry))
        return;
    uint32_t topic = entry->topic;
    say_before_forgetting (self, topic, seq);
    tide_aside_remove (&self->aside, seq);
    tide_index_let_topic (self, topic);
}

/*  What the event does to its key. */
static tide_index_change_t change_key (tide_index_t *self, const tide_index_event_t *event)
{
    tide_index_change_t change = {0};
    if (event->key.size == 0)
        return change;
    uint32_t key = tide_keys_find (self->keys, event->topic, event->key);
    uint64_t before = tide_keys_seq (self->keys, key);
    if (event->removes && key) {
        tide_keys_remove (self->keys, key);
        change.was_removed = true;
    }
    else if (!event->removes && key)
        tide_keys_set (self->keys, key, event->seq);
    else if (!event->removes)
        key = tide_keys_add (self->keys, event->topic, event->key, event->seq);
    change.key = key;
    if (before > 0)
        check_aside (self, before);
    return change;
}

tide_index_change_t tide_index_add (tide_index_t *self, const tide_index_event_t *event)
{
    tide_index_change_t change = change_key (self, event);
    tide_topic_t *topic = tide_topics_at (self->topics, event->topic);
    change.is_alive = event->seq > topic->lost_to;
    tide_index_entry_t entry = {.topic = event->topic,
                                .key = change.was_removed ? 0 : change.key,
                                .size = event->size & 0x7fffffffu,
                                .is_alive = change.is_alive,
                                .time = (uint32_t) (event->time_ms >> 10)};
    topic->refs++;
    topic->last = event->seq;
    if (change.is_alive) {
        class_t *class = &self->classes[topic->class];
        class->told.events++;
        class->told.bytes += entry.size;
        tide_topic_push (topic, event->seq);
    }
    if (event->set_aside) {
        tide_aside_add (&self->aside, event->seq, &entry);
        check_aside (self, event->seq);
        return change;
    }
    tide_index_segment_t *segment = &self->segments[self->segment_count - 1];
    tide_assert (event->seq == segment->first + segment->count);
    segment->alive += entry.is_alive;
    segment->bytes += entry.size;
    push_entry (self, &entry);
    return change;
}

/*  -- events that go -------------------------------------------------------------------------- */

/*  Takes an event out of the history. */
static void kill (tide_index_t *self, uint64_t seq, tide_index_entry_t *entry)
{
    tide_topic_t *topic = tide_topics_at (self->topics, entry->topic);
    class_t *class = &self->classes[topic->class];
    uint32_t handle = entry->topic;
    topic->refs++;
    class->told.events--;
    class->told.bytes -= entry->size;
    entry->is_alive = 0;
    if (tide_topic_seq (topic, 0) == seq)
        tide_topic_pop (topic);
    else
        tide_topic_cut (topic, seq);
    raise_lost (self, topic, seq);
    if (is_aside (self, seq))
        check_aside (self, seq);
    else
        self->segments[segment_of (self, seq)].alive--;
    tide_index_let_topic (self, handle);
}

static tide_index_entry_t *oldest_alive (tide_index_t *self, unsigned class, uint64_t *seq)
{
    class_t *state = &self->classes[class];
    return next_alive (self, class, state->cursor, UINT64_MAX, seq, &state->cursor);
}

static void trim_class (tide_index_t *self, unsigned at, uint64_t aged, uint64_t aged_max)
{
    class_t *class = &self->classes[at];
    tide_index_class_t *told = &class->told;
    while (told->events > 1) {
        uint64_t seq = 0;
        bool over = told->events > class->events_max || told->bytes > class->bytes_max;
        if (!over && (aged == 0 || aged_max == 0))
            return;
        tide_index_entry_t *entry = oldest_alive (self, at, &seq);
        tide_assert (entry);
        if (!over && (uint64_t) entry->time + 1 > aged >> 10)
            return;
        if (!over)
            aged_max--;
        kill (self, seq, entry);
        told->cut = seq;
        told->trimmed++;
    }
}

void tide_index_trim (tide_index_t *self, uint64_t now_ms, uint64_t aged_max)
{
    uint64_t age = self->config.retain_ms;
    uint64_t aged = age > 0 && now_ms > age ? now_ms - age : 0;
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        trim_class (self, class, aged, aged_max);
}

uint32_t tide_index_lose (tide_index_t *self, uint64_t seq)
{
    tide_index_entry_t *entry = find (self, seq);
    if (!entry || entry->topic == 0 || !tide_index_keeps (self, seq, entry))
        return 0;
    uint32_t key = stands (self, seq, entry) ? entry->key : 0;
    raise_lost (self, tide_topics_at (self->topics, entry->topic), seq);
    mark_dirty (self, entry->topic); /* which also holds the topic */
    if (key)
        tide_keys_remove (self->keys, key);
    if (entry->is_alive)
        kill (self, seq, entry);
    else
        check_aside (self, seq);
    return key;
}

/*  -- loading --------------------------------------------------------------------------------- */

/*  What stands for the topics of a class that are not known any more; NULL if the name does not. */
static tide_index_class_t *common_class (tide_index_t *self, tide_bytes_t name)
{
    static const char *const names[TIDE_CLASSES] = {[TIDE_CLIENTS] = TIDE_INDEX_LOST_CLIENTS,
                                                    [TIDE_SYSTEM] = TIDE_INDEX_LOST_SYSTEM,
                                                    [TIDE_ROOMS] = TIDE_INDEX_LOST_ROOMS};
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        if (tide_bytes_is (name, names[class]))
            return &self->classes[class].told;
    return NULL;
}

void tide_index_load_lost (tide_index_t *self, tide_bytes_t name, uint64_t seq)
{
    tide_index_class_t *common = common_class (self, name);
    if (tide_bytes_is (name, TIDE_INDEX_LOST_ALL))
        raise_to (&self->lost_all, seq);
    else if (common) {
        raise_to (&common->folded, seq);
        raise_to (&common->lost_max, seq);
    }
    else if (tide_topic_valid (name)) {
        uint32_t handle = tide_index_hold_topic (self, name);
        tide_topic_t *topic = tide_topics_at (self->topics, handle);
        raise_lost (self, topic, seq);
        topic->lost_said = seq;
        tide_index_let_topic (self, handle);
    }
}

void tide_index_add_damaged (tide_index_t *self, uint64_t seq, bool set_aside)
{
    if (set_aside)
        raise_to (&self->lost_all, seq);
    else {
        miss (self, seq);
        push_entry (self, &(tide_index_entry_t){0});
    }
}

void tide_index_settle (tide_index_t *self, uint64_t last)
{
    self->is_loading = false;
    const tide_index_segment_t *newest =
        self->segment_count > 0 ? &self->segments[self->segment_count - 1] : NULL;
    /*  Events were given these sequences, and the log did not tell of them. */
    if (last > 0 && (!newest || last >= newest->first + newest->count))
        miss (self, last);
    for (uint32_t handle = 1; handle < tide_topics_limit (self->topics); handle++)
        if (tide_topics_at (self->topics, handle)->size > 0)
            settle_topic (self, handle);
}

/*  -- with the log ---------------------------------------------------------------------------- */

uint32_t tide_index_segment_count (const tide_index_t *self)
{
    return self->segment_count;
}

const tide_index_segment_t *tide_index_segment (const tide_index_t *self, uint32_t at)
{
    return &self->segments[at];
}

uint64_t tide_index_aside_count (const tide_index_t *self)
{
    return self->aside.count - self->aside.holes;
}

static void drop_segment (tide_index_t *self, tide_index_segment_t *segment, const uint64_t *keep,
                          size_t count)
{
    for (uint32_t place = 0; place < segment->count; place++) {
        const tide_index_entry_t *entry = &segment->entries[place];
        uint64_t seq = segment->first + place;
        while (count > 0 && *keep < seq) {
            keep++;
            count--;
        }
        bool was_kept = count > 0 && *keep == seq;
        if (entry->topic && tide_index_keeps (self, seq, entry)) {
            tide_assert (was_kept);
            tide_aside_add (&self->aside, seq, entry);
            continue;
        }
        if (was_kept) {
            say_before_forgetting (self, entry->topic, seq);
            tide_aside_forget (&self->aside, seq);
        }
        if (entry->topic)
            tide_index_let_topic (self, entry->topic);
    }
    free (segment->entries);
}

void tide_index_drop (tide_index_t *self, uint64_t through, const uint64_t *keep, size_t count)
{
    uint32_t dropped = 0;
    while (dropped < self->segment_count) {
        tide_index_segment_t *segment = &self->segments[dropped];
        if (segment->first + segment->count - 1 > through)
            break;
        drop_segment (self, segment, keep, count);
        dropped++;
    }
    self->segment_count -= dropped;
    memmove (self->segments, self->segments + dropped,
             self->segment_count * sizeof *self->segments);
    raise_to (&self->marks_floor, through);
}

const uint64_t *tide_index_forgotten (const tide_index_t *self, size_t *count)
{
    *count = self->aside.forgotten_count;
    return self->aside.forgotten;
}

void tide_index_forgot (tide_index_t *self, size_t count)
{
    if (count > 0)
        tide_aside_forgot (&self->aside, count);
}

const uint32_t *tide_index_dirty (const tide_index_t *self, size_t *count)
{
    *count = self->dirty_count;
    return self->dirty;
}

tide_bytes_t tide_index_erased (const tide_index_t *self)
{
    return tide_buffer_bytes (&self->erased);
}

void tide_index_said (tide_index_t *self, size_t dirty_count, size_t erased_size)
{
    for (size_t at = 0; at < dirty_count; at++) {
        tide_topics_at (self->topics, self->dirty[at])->is_dirty = false;
        tide_index_let_topic (self, self->dirty[at]);
    }
    self->dirty_count -= dirty_count;
    if (self->dirty_count > 0)
        memmove (self->dirty, self->dirty + dirty_count, self->dirty_count * sizeof *self->dirty);
    self->erased.size -= erased_size;
    if (self->erased.size > 0)
        memmove (self->erased.data, self->erased.data + erased_size, self->erased.size);
}

uint64_t tide_index_common (const tide_index_t *self, unsigned at)
{
    return at == 0 ? self->lost_all : self->classes[at - 1].told.folded;
}
