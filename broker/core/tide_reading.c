/*  tide_reading.c - cursors against the log.
 *
 *  The events of a page are found in one of two ways: by asking each topic that is wanted, and
 *  merging their sequences (a heap); or, where the wanted subtrees have many topics, by walking
 *  the index in sequence order and asking whether the event's topic is wanted.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_reading.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  Above this many topics the index is walked instead. */
enum { MERGED_TOPICS_MAX = 4096 };

/*  A page whose events are with the log. */
typedef struct {
    uint64_t tag; /* 0: free */
    tide_bytes_t peer, bytes;
    uint64_t head, upto;
    bool more;
    tide_buffer_t lost;
    uint32_t lost_count;
} job_t;

/*  A topic in the merge: its next sequence, and that one's place in the topic. */
typedef struct {
    uint64_t seq;
    uint32_t topic, place;
} merged_t;

struct tide_reading {
    tide_core_t *core;
    job_t jobs[TIDE_CORE_FETCHES_MAX];
    merged_t merged[MERGED_TOPICS_MAX];
    uint32_t merged_count;
};

/*  What a page is made of. */
typedef struct {
    const tide_read_message_t *read;
    uint64_t until;
    uint32_t limit;
    size_t size_max;
    uint64_t *seqs;
    size_t count;
    size_t size;
    bool more; /* something was left out, so it is complete up to its last event only */
} page_t;

tide_reading_t *tide_reading_new (tide_core_t *core)
{
    tide_reading_t *self = tide_alloc (sizeof *self);
    self->core = core;
    return self;
}

static void free_job (job_t *job)
{
    free ((void *) job->peer.data);
    free ((void *) job->bytes.data);
    tide_buffer_free (&job->lost);
    *job = (job_t){0};
}

void tide_reading_destroy (tide_reading_t **self_p)
{
    tide_reading_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX; at++)
        free_job (&self->jobs[at]);
    free (self);
}

/*  -- what is on a page ----------------------------------------------------------------------- */

/*  Takes the event onto the page; false if the page was full. */
static bool take_event (tide_reading_t *self, page_t *page, uint64_t seq)
{
    const tide_index_entry_t *entry = tide_index_find (self->core->index, seq);
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
static bool find_topics (tide_reading_t *self, const tide_read_message_t *read)
{
    tide_topics_t *topics = tide_index_topics (self->core->index);
    uint32_t stamp = tide_topics_stamp (topics);
    tide_list_t wants = read->wants;
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

static void merge_topics (tide_reading_t *self, page_t *page)
{
    tide_topics_t *topics = tide_index_topics (self->core->index);
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
static uint64_t wanted_from (const tide_read_message_t *read, tide_bytes_t topic)
{
    uint64_t since = UINT64_MAX;
    tide_list_t wants = read->wants;
    tide_want_t want;
    while (tide_want_next (&wants, &want))
        if (want.seq < since && tide_pattern_matches (want.topic, topic))
            since = want.seq;
    return since;
}

static void walk_index (tide_reading_t *self, page_t *page, uint64_t since)
{
    tide_topics_t *topics = tide_index_topics (self->core->index);
    uint32_t stamp = tide_topics_stamp (topics);
    uint32_t handle = 0;
    for (uint64_t seq = tide_index_next_alive (self->core->index, since, page->until, &handle);
         seq > 0; seq = tide_index_next_alive (self->core->index, seq, page->until, &handle)) {
        tide_topic_t *topic = tide_topics_at (topics, handle);
        if (topic->stamp != stamp) {
            topic->stamp = stamp;
            topic->scratch = wanted_from (page->read, tide_topics_name (topics, handle));
        }
        if (seq > topic->scratch && !take_event (self, page, seq))
            return;
    }
}

/*  -- answers --------------------------------------------------------------------------------- */

static void send_page (tide_reading_t *self, const job_t *job, uint64_t request,
                       const tide_buffer_t *records, uint32_t count)
{
    tide_message_t answer = {.kind = TIDE_MESSAGE_PAGE,
                             .page = {.request = request,
                                      .epoch = self->core->epoch,
                                      .upto = job->upto,
                                      .head = job->head,
                                      .more = job->more,
                                      .lost = tide_list (&job->lost, job->lost_count),
                                      .events = tide_list (records, count)}};
    self->core->counters.pages++;
    self->core->counters.page_events += count;
    tide_outbox_send (&self->core->out, job->peer, &answer);
}

/*  Refuses what cannot be read. *since: the lowest position. */
static bool check_read (tide_reading_t *self, tide_bytes_t peer, const tide_read_message_t *read,
                        uint64_t *since)
{
    tide_core_t *core = self->core;
    if (read->wants.count > TIDE_WANTS_MAX) {
        tide_core_fail (core, peer, read->request, TIDE_TOO_MANY, 0,
                        "%u topics in one read are above the limit of %u", read->wants.count,
                        TIDE_WANTS_MAX);
        return false;
    }
    bool elsewhere = read->epoch != 0 && read->epoch != core->epoch;
    tide_list_t wants = read->wants;
    tide_want_t want;
    *since = UINT64_MAX;
    while (tide_want_next (&wants, &want)) {
        if (!tide_pattern_valid (want.topic)) {
            tide_core_fail (core, peer, read->request, TIDE_BAD_TOPIC, 0,
                            "what is to be read is neither a topic nor a subtree");
            return false;
        }
        elsewhere = elsewhere || want.seq > core->head;
        *since = want.seq < *since ? want.seq : *since;
    }
    if (elsewhere)
        tide_core_fail (core, peer, read->request, TIDE_EPOCH_CHANGED, core->head,
                        "a position is not in this log, which ends at %llu",
                        (unsigned long long) core->head);
    return !elsewhere;
}

static void tell_lost (tide_reading_t *self, job_t *job, const tide_read_message_t *read)
{
    tide_list_t wants = read->wants;
    tide_want_t want;
    while (tide_want_next (&wants, &want)) {
        uint64_t lost = tide_index_lost (self->core->index, want.topic, want.seq);
        if (lost == 0)
            continue;
        tide_want_append (&job->lost, &(tide_want_t){want.topic, lost});
        job->lost_count++;
    }
}

/*  Chooses the page's events: page->seqs is the caller's to free. */
static page_t make_page (tide_reading_t *self, job_t *job, const tide_read_message_t *read,
                         uint64_t since)
{
    page_t page = {.read = read, .until = read->until, .size_max = read->size_max};
    job->head = self->core->head;
    if (page.until == 0 || page.until > job->head)
        page.until = job->head;
    if (page.size_max == 0 || page.size_max > TIDE_PAGE_SIZE_MAX)
        page.size_max = TIDE_PAGE_SIZE_MAX;
    page.limit = read->limit < TIDE_PAGE_EVENTS_MAX ? read->limit : TIDE_PAGE_EVENTS_MAX;
    tell_lost (self, job, read);
    job->upto = page.until;
    if (read->wants.count > 0 && job->upto < since)
        job->upto = since;
    if (read->wants.count == 0)
        return page;
    page.seqs = tide_alloc ((page.limit + 1u) * sizeof *page.seqs);
    if (since < page.until && find_topics (self, read))
        merge_topics (self, &page);
    else if (since < page.until)
        walk_index (self, &page, since);
    return page;
}

static job_t *free_place (tide_reading_t *self)
{
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX; at++)
        if (self->jobs[at].tag == 0)
            return &self->jobs[at];
    return NULL;
}

/*  Makes the page, and answers it at once or fetches its events. Takes peer and bytes. */
static void start (tide_reading_t *self, tide_bytes_t peer, tide_bytes_t bytes,
                   const tide_read_message_t *read, uint64_t since)
{
    job_t job = {.peer = peer, .bytes = bytes};
    page_t page = make_page (self, &job, read, since);
    /*  With a limit of 0 the page is about positions: complete up to where reading begins. */
    if (page.more && page.count == 0) {
        job.more = true;
        job.upto = since;
    }
    if (page.count == 0) {
        tide_buffer_t nothing = {0};
        send_page (self, &job, read->request, &nothing, 0);
        free_job (&job);
        free (page.seqs);
        return;
    }
    if (page.more) {
        job.more = true;
        job.upto = page.seqs[page.count - 1];
    }
    tide_log_fetch_t *fetch = tide_log_fetch_new ();
    fetch->seqs = page.seqs;
    fetch->count = page.count;
    fetch->size_max = page.size_max;
    job.tag = tide_core_fetch (self->core, fetch);
    job_t *place = free_place (self);
    tide_assert (place);
    *place = job;
}

void tide_reading_receive (tide_reading_t *self, tide_bytes_t peer, tide_bytes_t bytes,
                           const tide_read_message_t *read)
{
    uint64_t since;
    self->core->counters.reads++;
    if (!check_read (self, peer, read, &since))
        return;
    tide_message_t copy;
    const char *why;
    tide_bytes_t owned = tide_core_copy (bytes);
    tide_status_t status = tide_message_decode (owned, &copy, &why);
    tide_assert (status == TIDE_OK);
    start (self, tide_core_copy (peer), owned, &copy.read, since);
}

bool tide_reading_complete (tide_reading_t *self, tide_log_fetch_t *fetch)
{
    job_t *place = NULL;
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX; at++)
        if (self->jobs[at].tag == fetch->tag)
            place = &self->jobs[at];
    if (!place)
        return false;
    job_t job = *place;
    *place = (job_t){0};
    tide_message_t message;
    const char *why;
    tide_status_t status = tide_message_decode (job.bytes, &message, &why);
    tide_assert (status == TIDE_OK);
    if (job.peer.size == 0) /* gone meanwhile */
        free_job (&job);
    else if (fetch->missing_count > 0 || fetch->damaged_count > 0) {
        uint64_t since = 0;
        self->core->counters.read_again++;
        tide_core_lose (self->core, fetch->missing, fetch->missing_count);
        tide_core_lose (self->core, fetch->damaged, fetch->damaged_count);
        if (check_read (self, job.peer, &message.read, &since)) {
            start (self, job.peer, job.bytes, &message.read, since);
            job.peer = job.bytes = (tide_bytes_t){0};
        }
        free_job (&job);
    }
    else {
        if (fetch->done < fetch->count) {
            job.more = true;
            job.upto = fetch->seqs[fetch->done - 1];
        }
        send_page (self, &job, message.read.request, &fetch->records, fetch->found);
        free_job (&job);
    }
    return true;
}

void tide_reading_forget (tide_reading_t *self, tide_bytes_t peer)
{
    for (unsigned at = 0; at < TIDE_CORE_FETCHES_MAX; at++)
        if (self->jobs[at].tag && tide_bytes_equal (self->jobs[at].peer, peer))
            self->jobs[at].peer.size = 0;
}

/*  -- topics ---------------------------------------------------------------------------------- */

void tide_reading_topics (tide_core_t *core, tide_bytes_t peer,
                          const tide_topics_read_message_t *read)
{
    tide_topics_t *topics = tide_index_topics (core->index);
    uint32_t limit = read->limit < TIDE_CORE_TOPICS_MAX ? read->limit : TIDE_CORE_TOPICS_MAX;
    tide_buffer_t list = {0};
    uint32_t count = 0;
    bool more = false;
    for (uint32_t handle = tide_topics_behind (topics, read->after); handle && !more;
         handle = tide_topics_next (topics, handle)) {
        const tide_topic_t *topic = tide_topics_at (topics, handle);
        if (topic->count == 0 && topic->key_count == 0)
            continue;
        more = count == limit;
        if (more)
            break;
        tide_topic_info_t info = {.topic = tide_topics_name (topics, handle),
                                  .last = topic->last,
                                  .events = topic->count,
                                  .standing = topic->key_count};
        tide_topic_info_append (&list, &info);
        count++;
    }
    tide_message_t answer = {.kind = TIDE_MESSAGE_TOPICS,
                             .topics = {.request = read->request,
                                        .epoch = core->epoch,
                                        .head = core->head,
                                        .more = more,
                                        .topics = tide_list (&list, count)}};
    core->counters.topics_reads++;
    tide_outbox_send (&core->out, peer, &answer);
    tide_buffer_free (&list);
}
