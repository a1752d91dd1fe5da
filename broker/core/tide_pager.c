/*  tide_pager.c - which events are on a page of history.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_pager.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdlib.h>

/*  Above this many topics the index is walked instead. */
enum { MERGED_TOPICS_MAX = 4096 };
/*  … and where so few sequences are looked at, rather than all topics of a subtree. */
enum { SHORT_WAY = 1024 };

/*  A topic in the merge: its next sequence, and that one's place in the topic. */
typedef struct {
    uint64_t seq;
    uint32_t topic, place;
} merged_t;

struct tide_pager {
    const tide_index_t *index;
    merged_t merged[MERGED_TOPICS_MAX];
    uint32_t merged_count;
};

tide_pager_t *tide_pager_new (const tide_index_t *index)
{
    tide_pager_t *self = tide_alloc (sizeof *self);
    self->index = index;
    return self;
}

void tide_pager_destroy (tide_pager_t **self_p)
{
    free (*self_p);
    *self_p = NULL;
}

/*  Takes the event onto the page; false if the page was full. */
static bool take_event (const tide_pager_t *self, tide_page_t *page, uint64_t seq)
{
    const tide_index_entry_t *entry = tide_index_find (self->index, seq);
    tide_assert (entry);
    size_t size = entry->size + 4;
    bool fits =
        page->count == 0 || (page->size < page->size_max && size <= page->size_max - page->size);
    if (page->count == page->limit || !fits) {
        page->more = true;
        return false;
    }
    page->seqs[page->count++] = seq;
    page->size += size;
    return true;
}

static void sift_up (merged_t *heap, uint32_t place)
{
    merged_t item = heap[place];
    while (place > 0 && item.seq < heap[(place - 1) / 2].seq) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = item;
}

static void sift_down (merged_t *heap, uint32_t count, uint32_t place)
{
    merged_t item = heap[place];
    for (;;) {
        uint32_t child = place * 2 + 1;
        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1].seq < heap[child].seq)
            child++;
        if (heap[child].seq >= item.seq)
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = item;
}

/*  Finds each wanted topic once, with the lowest position of the wants that cover it, in its
 *  scratch. False if there are too many. */
static bool find_topics (tide_pager_t *self, const tide_page_t *page)
{
    tide_topics_t *topics = tide_index_topics (self->index);
    uint32_t stamp = tide_topics_stamp (topics);
    tide_list_t wants = page->wants;
    tide_want_t want;
    self->merged_count = 0;
    while (tide_want_next (&wants, &want)) {
        tide_topics_walk_t walk = tide_topics_walk (topics, want.topic);
        uint32_t handle;
        while ((handle = tide_topics_walk_next (&walk)) != 0) {
            tide_topic_t *topic = tide_topics_at (topics, handle);
            if (topic->stamp == stamp) {
                topic->scratch = topic->scratch < want.seq ? topic->scratch : want.seq;
                continue;
            }
            if (topic->count == 0 || topic->last <= want.seq)
                continue;
            if (self->merged_count == MERGED_TOPICS_MAX)
                return false;
            topic->stamp = stamp;
            topic->scratch = want.seq;
            self->merged[self->merged_count++].topic = handle;
        }
    }
    return true;
}

static void merge_topics (tide_pager_t *self, tide_page_t *page)
{
    tide_topics_t *topics = tide_index_topics (self->index);
    merged_t *heap = self->merged;
    uint32_t count = 0;
    for (uint32_t at = 0; at < self->merged_count; at++) {
        uint32_t handle = heap[at].topic;
        const tide_topic_t *topic = tide_topics_at (topics, handle);
        uint32_t place = tide_topic_above (topic, topic->scratch);
        if (place == topic->count)
            continue;
        heap[count] = (merged_t){tide_topic_seq (topic, place), handle, place};
        sift_up (heap, count++);
    }
    while (count > 0 && heap[0].seq <= page->until) {
        if (!take_event (self, page, heap[0].seq))
            return;
        const tide_topic_t *topic = tide_topics_at (topics, heap[0].topic);
        if (++heap[0].place < topic->count)
            heap[0].seq = tide_topic_seq (topic, heap[0].place);
        else
            heap[0] = heap[--count];
        if (count > 0)
            sift_down (heap, count, 0);
    }
}

/*  The lowest position of the wants that cover the topic; UINT64_MAX if none does. */
static uint64_t wanted_from (const tide_page_t *page, tide_bytes_t topic)
{
    uint64_t since = UINT64_MAX;
    tide_list_t wants = page->wants;
    tide_want_t want;
    while (tide_want_next (&wants, &want))
        if (want.seq < since && tide_pattern_matches (want.topic, topic))
            since = want.seq;
    return since;
}

static void walk_index (const tide_pager_t *self, tide_page_t *page)
{
    tide_topics_t *topics = tide_index_topics (self->index);
    uint32_t stamp = tide_topics_stamp (topics);
    uint32_t handle = 0;
    for (uint64_t seq = tide_index_next_alive (self->index, page->since, page->until, &handle);
         seq > 0; seq = tide_index_next_alive (self->index, seq, page->until, &handle)) {
        tide_topic_t *topic = tide_topics_at (topics, handle);
        if (topic->stamp != stamp) {
            topic->stamp = stamp;
            topic->scratch = wanted_from (page, tide_topics_name (topics, handle));
        }
        if (seq > topic->scratch && !take_event (self, page, seq))
            return;
    }
}

static bool has_subtree (const tide_page_t *page)
{
    tide_list_t wants = page->wants;
    tide_want_t want;
    while (tide_want_next (&wants, &want))
        if (tide_pattern_is_subtree (want.topic))
            return true;
    return false;
}

void tide_pager_choose (tide_pager_t *self, tide_page_t *page)
{
    page->count = page->size = 0;
    page->more = false;
    if (page->since >= page->until)
        return;
    bool is_short = page->until - page->since <= SHORT_WAY && has_subtree (page);
    if (!is_short && find_topics (self, page))
        merge_topics (self, page);
    else
        walk_index (self, page);
}
