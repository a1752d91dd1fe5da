/*  tide_reading.c - cursors against the log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_reading.h"

#include "tide_alloc.h"
#include "tide_pager.h"
#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  A page whose events are with the log. */
typedef struct {
    uint64_t tag; /* 0: free */
    tide_bytes_t peer, bytes;
    uint64_t head, upto;
    bool more;
    tide_buffer_t lost;
    uint32_t lost_count;
} job_t;

struct tide_reading {
    tide_core_t *core;
    job_t jobs[TIDE_CORE_FETCHES_MAX];
    tide_pager_t *pages;
};

tide_reading_t *tide_reading_new (tide_core_t *core)
{
    tide_reading_t *self = tide_alloc (sizeof *self);
    self->core = core;
    self->pages = tide_pager_new (core->index);
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
    tide_pager_destroy (&self->pages);
    free (self);
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
static tide_page_t make_page (tide_reading_t *self, job_t *job, const tide_read_message_t *read,
                              uint64_t since)
{
    tide_page_t page = {
        .wants = read->wants, .since = since, .until = read->until, .size_max = read->size_max};
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
    tide_pager_choose (self->pages, &page);
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
    tide_page_t page = make_page (self, &job, read, since);
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
