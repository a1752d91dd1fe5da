/*  tide_log_fixture.h - batches, fetches and folders for the tests of logs.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOG_FIXTURE_H
#define TIDE_LOG_FIXTURE_H

#include "tide_alloc.h"
#include "tide_log.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/*  -- folders --------------------------------------------------------------------------------- */

/*  A fresh name for a log's folder, which is not there yet; the caller frees it. */
static inline char *fixture_directory (void)
{
    const char *base = getenv ("TMPDIR");
    char path[512];
    snprintf (path, sizeof path, "%s/tide-log-XXXXXX", base ? base : "/tmp");
    assert_non_null (mkdtemp (path));
    assert_int_equal (rmdir (path), 0);
    return tide_copy (path, strlen (path));
}

static inline void fixture_path (char *path, size_t size, const char *directory, const char *name)
{
    snprintf (path, size, "%s/%s", directory, name);
}

/*  Removes a log's folder and frees its name. */
static inline void fixture_remove (char **directory_p)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "tidemark.lock"};
    char path[600];
    for (size_t each = 0; each < sizeof files / sizeof *files; each++) {
        fixture_path (path, sizeof path, *directory_p, files[each]);
        unlink (path);
    }
    rmdir (*directory_p);
    free (*directory_p);
    *directory_p = NULL;
}

/*  -- batches --------------------------------------------------------------------------------- */

/*  The payload of an event says its sequence, so that it is recognised on a disk, too. */
static inline void fixture_payload (char *payload, size_t size, uint64_t seq)
{
    char mark[32];
    int length = snprintf (mark, sizeof mark, "<<event %llu>>", (unsigned long long) seq);
    memset (payload, '.', size);
    memcpy (payload, mark, (size_t) length < size ? (size_t) length : size);
}

static inline void fixture_event (tide_log_batch_t *batch, uint64_t seq, const char *topic,
                                  const char *key, size_t payload_size)
{
    char *payload = tide_alloc (payload_size);
    fixture_payload (payload, payload_size, seq);
    tide_event_t event = {.seq = seq,
                          .time_ms = 1700000000000,
                          .topic = tide_bytes (topic),
                          .name = tide_bytes ("test"),
                          .key = tide_bytes (key),
                          .payload = {(uint8_t *) payload, payload_size}};
    tide_event_append (&batch->records, &event);
    batch->count++;
    free (payload);
}

static inline tide_log_batch_t *fixture_batch_of (uint64_t first, uint32_t count,
                                                  size_t payload_size)
{
    tide_log_batch_t *batch = tide_log_batch_new ();
    char topic[32];
    batch->number = first;
    batch->first = first;
    for (uint64_t seq = first; seq < first + count; seq++) {
        snprintf (topic, sizeof topic, "topic/%u", (unsigned) (seq % 100));
        fixture_event (batch, seq, topic, "", payload_size);
    }
    return batch;
}

static inline tide_log_batch_t *fixture_batch (uint64_t first, uint32_t count)
{
    return fixture_batch_of (first, count, 40);
}

/*  A batch that begins a segment. */
static inline tide_log_batch_t *fixture_segment (uint64_t first, uint32_t count)
{
    tide_log_batch_t *batch = fixture_batch (first, count);
    batch->begin_segment = true;
    return batch;
}

static inline uint64_t *fixture_seqs (size_t count, const uint64_t *seqs)
{
    uint64_t *copy = tide_alloc (count * sizeof *copy);
    memcpy (copy, seqs, count * sizeof *copy);
    return copy;
}

static inline void fixture_keep (tide_log_batch_t *batch, size_t count, const uint64_t *seqs)
{
    batch->keep = fixture_seqs (count, seqs);
    batch->keep_count = count;
}

static inline void fixture_forget (tide_log_batch_t *batch, size_t count, const uint64_t *seqs)
{
    batch->forget = fixture_seqs (count, seqs);
    batch->forget_count = count;
}

static inline void fixture_lose (tide_log_batch_t *batch, const char *topic, uint64_t seq)
{
    tide_want_t want = {.topic = tide_bytes (topic), .seq = seq};
    tide_want_append (&batch->lost, &want);
    batch->lost_count++;
}

/*  -- completions ----------------------------------------------------------------------------- */

/*  The next completion, waited for; a minute without one is a failure. */
static inline tide_log_completion_t fixture_wait (tide_log_t *log)
{
    tide_log_completion_t completion = {0};
    while (!tide_log_next (log, &completion)) {
        struct pollfd fd = {.fd = tide_log_fd (log), .events = POLLIN};
        assert_true (fd.fd >= 0);
        assert_int_equal (poll (&fd, 1, 60000), 1);
    }
    return completion;
}

/*  Appends, waits, destroys; returns the status. */
static inline tide_status_t fixture_append (tide_log_t *log, tide_log_batch_t *batch)
{
    tide_log_append (log, &batch);
    assert_null (batch);
    tide_log_completion_t completion = fixture_wait (log);
    assert_non_null (completion.batch);
    assert_null (completion.fetch);
    tide_log_batch_destroy (&completion.batch);
    return completion.status;
}

static inline tide_log_fetch_t *fixture_fetch_start (tide_log_t *log, uint64_t tag, size_t count,
                                                     const uint64_t *seqs, size_t size_max)
{
    tide_log_fetch_t *fetch = tide_log_fetch_new (), *given = fetch;
    fetch->tag = tag;
    fetch->seqs = fixture_seqs (count, seqs);
    fetch->count = count;
    fetch->size_max = size_max;
    tide_log_fetch (log, &given);
    assert_null (given);
    return fetch;
}

/*  Fetches and waits; the caller destroys the answer. */
static inline tide_log_fetch_t *fixture_fetch (tide_log_t *log, size_t count, const uint64_t *seqs,
                                               size_t size_max)
{
    tide_log_fetch_t *fetch = fixture_fetch_start (log, 0, count, seqs, size_max);
    tide_log_completion_t completion = fixture_wait (log);
    assert_ptr_equal (completion.fetch, fetch);
    assert_null (completion.batch);
    assert_int_equal (completion.status, TIDE_OK);
    return fetch;
}

/*  The record is the event with this sequence, whole. */
static inline void fixture_check_event (tide_bytes_t record, uint64_t seq)
{
    tide_event_t event;
    assert_true (tide_event_decode (record, &event));
    assert_true (event.seq == seq);
    char *payload = tide_alloc (event.payload.size);
    fixture_payload (payload, event.payload.size, seq);
    assert_memory_equal (payload, event.payload.data, event.payload.size);
    free (payload);
}

/*  'f' found, 'm' missing, 'd' damaged. */
static inline char fixture_look (tide_log_t *log, uint64_t seq)
{
    tide_log_fetch_t *fetch = fixture_fetch (log, 1, &seq, 1 << 20);
    assert_int_equal (fetch->done, 1);
    assert_int_equal (fetch->found + fetch->missing_count + fetch->damaged_count, 1);
    char found = fetch->found ? 'f' : fetch->missing_count ? 'm' : 'd';
    if (found == 'f') {
        tide_list_t list = tide_list (&fetch->records, 1);
        tide_bytes_t record;
        assert_true (tide_list_next (&list, &record));
        fixture_check_event (record, seq);
    }
    tide_log_fetch_destroy (&fetch);
    return found;
}

/*  -- scans ----------------------------------------------------------------------------------- */

/*  What a scan told, as text: "7k 10@10 11@10 12!10": 7 is kept, 10 and 11 lie in the segment of
 *  10, 12 is damaged. */
static inline void fixture_told (void *argument, uint64_t seq, uint64_t segment_first,
                                 const tide_bytes_t *record)
{
    tide_buffer_t *text = argument;
    if (text->size > 0)
        tide_buffer_append_text (text, " ");
    tide_buffer_printf (text, "%llu", (unsigned long long) seq);
    if (segment_first == 0)
        tide_buffer_append_text (text, record ? "k" : "!k");
    else
        tide_buffer_printf (text, "%s%llu", record ? "@" : "!", (unsigned long long) segment_first);
    if (record)
        fixture_check_event (*record, seq);
}

static inline void fixture_check_scan (tide_log_t *log, const char *expected)
{
    tide_buffer_t text = {0};
    tide_log_scan (log, fixture_told, &text);
    tide_put_u8 (&text, 0);
    assert_string_equal ((const char *) text.data, expected);
    tide_buffer_free (&text);
}

static inline void fixture_lost_told (void *argument, tide_bytes_t topic, uint64_t seq)
{
    tide_buffer_t *text = argument;
    if (text->size > 0)
        tide_buffer_append_text (text, " ");
    tide_buffer_printf (text, "%.*s=%llu", TIDE_PRINT (topic), (unsigned long long) seq);
}

static inline void fixture_check_lost (tide_log_t *log, const char *expected)
{
    tide_buffer_t text = {0};
    tide_log_lost (log, fixture_lost_told, &text);
    tide_put_u8 (&text, 0);
    assert_string_equal ((const char *) text.data, expected);
    tide_buffer_free (&text);
}

typedef struct {
    uint64_t count, damaged, previous;
    bool is_rising;
} fixture_count_t;

static inline void fixture_counted (void *argument, uint64_t seq, uint64_t segment_first,
                                    const tide_bytes_t *record)
{
    fixture_count_t *self = argument;
    (void) segment_first;
    self->is_rising = (self->count == 0 || self->is_rising) && seq > self->previous;
    self->previous = seq;
    self->count++;
    self->damaged += record == NULL;
}

static inline fixture_count_t fixture_count (tide_log_t *log)
{
    fixture_count_t count = {.is_rising = true};
    tide_log_scan (log, fixture_counted, &count);
    return count;
}

#endif
