/*  tide_broker_rig.h - a broker on a bench: a fake log beneath it, a hand on its clock, and all
 *  that it says written down.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BROKER_RIG_H
#define TIDE_BROKER_RIG_H

#include "tide_args.h"
#include "tide_broker.h"
#include "tide_broker_parts.h"
#include "tide_fake_log.h"

#include <stdio.h>

/*  Something that the broker said. */
typedef struct {
    tide_broker_action_kind_t kind;
    bool is_volatile;
    tide_status_t status;
    char peer[32];
    tide_bytes_t bytes; /* owned */
    tide_bytes_t prefix;
    tide_message_t message; /* decoded */
} tide_said_t;

typedef struct {
    tide_broker_config_t config;
    tide_broker_t *broker;
    tide_fake_log_t log;
    uint64_t now_ms;
    uint64_t request;
    uint32_t segment_events, segments_max, ghosts_max; /* 0: as in life */
    tide_said_t **said;
    size_t said_count, said_capacity;
    size_t appends; /* batches that the broker asked for */
    /*  A publish that is being put together: */
    tide_buffer_t events, expects;
    uint32_t event_count, expect_count;
} tide_rig_t;

/*  -- the broker ------------------------------------------------------------------------------ */

static inline void rig_start (tide_rig_t *rig)
{
    rig->broker = tide_broker_new (&rig->config);
    if (rig->segment_events > 0)
        tide_broker_shrink (rig->broker, rig->segment_events, rig->segments_max, rig->ghosts_max);
    fake_load (&rig->log, rig->broker);
    tide_broker_start (rig->broker, rig->now_ms, rig->log.last);
}

static inline void rig_new (tide_rig_t *rig)
{
    *rig = (tide_rig_t){.now_ms = 1700000000000};
    rig->config = (tide_broker_config_t){.epoch = 0xfeed,
                                         .hash_seed = {17, 42},
                                         .events = "tcp://127.0.0.1:7401",
                                         .volatiles = "tcp://127.0.0.1:7402",
                                         .payload_max = 1000000,
                                         .retain_events = 1000000,
                                         .retain_bytes = 1u << 30,
                                         .retain_ms = 7 * 86400000ull,
                                         .dedupe_ids = 100000,
                                         .workers_wait_ms = 10000};
}

static inline void rig_forget_said (tide_rig_t *rig)
{
    for (size_t at = 0; at < rig->said_count; at++) {
        free ((void *) rig->said[at]->bytes.data);
        free (rig->said[at]);
    }
    rig->said_count = 0;
}

/*  kill -9: what was not committed is gone. */
static inline void rig_kill (tide_rig_t *rig)
{
    tide_broker_destroy (&rig->broker);
    fake_kill (&rig->log);
}

static inline void rig_free (tide_rig_t *rig)
{
    rig_kill (rig);
    fake_free (&rig->log);
    rig_forget_said (rig);
    free (rig->said);
    tide_buffer_free (&rig->events);
    tide_buffer_free (&rig->expects);
}

static inline void rig_write_down (tide_rig_t *rig, const tide_broker_action_t *action)
{
    tide_said_t *said = tide_alloc (sizeof *said);
    said->kind = action->kind;
    said->is_volatile = action->is_volatile;
    said->status = action->status;
    if (action->peer.size > 0)
        snprintf (said->peer, sizeof said->peer, "%.*s", TIDE_PRINT (action->peer));
    said->bytes = tide_core_copy (action->bytes);
    tide_bytes_t message = said->bytes;
    const char *why;
    if (action->kind == TIDE_BROKER_PUBLISH)
        assert_true (tide_fanout_split (said->bytes, &said->prefix, &message));
    if (action->kind != TIDE_BROKER_STOP)
        assert_int_equal (tide_message_decode (message, &said->message, &why), TIDE_OK);
    if (rig->said_count == rig->said_capacity) {
        rig->said_capacity = 2 * rig->said_capacity + 16;
        rig->said = tide_realloc (rig->said, rig->said_capacity * sizeof *rig->said);
    }
    rig->said[rig->said_count++] = said;
}

/*  Takes all actions; batches and fetches wait with the log. */
static inline void rig_drain (tide_rig_t *rig)
{
    tide_broker_action_t action;
    while (tide_broker_next_action (rig->broker, &action)) {
        if (action.kind == TIDE_BROKER_APPEND) {
            assert_null (rig->log.batch);
            rig->log.batch = action.batch;
            rig->appends++;
        }
        else if (action.kind == TIDE_BROKER_FETCH) {
            rig->log.fetch =
                tide_realloc (rig->log.fetch, (rig->log.fetch_count + 1) * sizeof *rig->log.fetch);
            rig->log.fetch[rig->log.fetch_count++] = action.fetch;
        }
        else
            rig_write_down (rig, &action);
    }
}

/*  The batch that waits with the log is done. */
static inline bool rig_commit (tide_rig_t *rig)
{
    tide_log_completion_t completion;
    rig_drain (rig);
    if (!fake_commit (&rig->log, &completion))
        return false;
    tide_broker_complete (rig->broker, rig->now_ms, &completion);
    rig_drain (rig);
    return true;
}

/*  The fetch that waits for longest is done. */
static inline bool rig_fetch (tide_rig_t *rig)
{
    tide_log_completion_t completion;
    rig_drain (rig);
    if (!fake_answer (&rig->log, &completion))
        return false;
    tide_broker_complete (rig->broker, rig->now_ms, &completion);
    rig_drain (rig);
    return true;
}

/*  Until nothing is left to do. */
static inline void rig_settle (tide_rig_t *rig)
{
    while (rig_commit (rig) || rig_fetch (rig))
        continue;
}

static inline void rig_tick (tide_rig_t *rig, uint64_t ms)
{
    rig->now_ms += ms;
    tide_broker_tick (rig->broker, rig->now_ms);
    rig_drain (rig);
}

/*  -- what peers say -------------------------------------------------------------------------- */

static inline void rig_send (tide_rig_t *rig, const char *peer, const tide_message_t *message)
{
    tide_buffer_t bytes = {0};
    tide_message_encode (&bytes, message);
    tide_broker_receive (rig->broker, rig->now_ms, tide_bytes (peer), tide_buffer_bytes (&bytes));
    tide_buffer_free (&bytes);
}

static inline void rig_hello_as (tide_rig_t *rig, const char *peer, const char *lease,
                                 const char *origin)
{
    rig_send (
        rig, peer,
        &(tide_message_t){.kind = TIDE_MESSAGE_HELLO,
                          .hello = {tide_bytes (peer), tide_bytes (lease), tide_bytes (origin)}});
    rig_drain (rig);
}

static inline void rig_hello (tide_rig_t *rig, const char *peer, const char *lease)
{
    rig_hello_as (rig, peer, lease, "");
}

static inline void rig_restart (tide_rig_t *rig)
{
    rig_kill (rig);
    rig_start (rig);
    rig_hello (rig, "a", "");
}

/*  The payload of one JSON text; NULL: none. Valid until the next call. */
static inline tide_bytes_t rig_payload (const char *json)
{
    static tide_buffer_t buffer;
    if (!json)
        return (tide_bytes_t){0};
    static uint8_t bytes[70000];
    tide_args_t args = {.json = tide_bytes (json)};
    buffer.size = 0;
    tide_args_encode (&buffer, &args);
    assert_true (buffer.size <= sizeof bytes);
    memcpy (bytes, buffer.data, buffer.size);
    tide_bytes_t payload = {bytes, buffer.size};
    tide_buffer_free (&buffer);
    return payload;
}

static inline void rig_add (tide_rig_t *rig, const tide_event_t *event)
{
    tide_event_append (&rig->events, event);
    rig->event_count++;
}

/*  key and id may be NULL; json NULL removes the key. */
static inline void rig_event (tide_rig_t *rig, const char *topic, const char *key, const char *id,
                              const char *json)
{
    rig_add (rig, &(tide_event_t){.topic = tide_bytes (topic),
                                  .name = tide_bytes ("msg"),
                                  .key = tide_bytes (key ? key : ""),
                                  .id = tide_bytes (id ? id : ""),
                                  .payload = rig_payload (json)});
}

static inline void rig_expect (tide_rig_t *rig, const char *topic, const char *key, uint64_t seq)
{
    tide_expect_append (&rig->expects, &(tide_expect_t){tide_bytes (topic), tide_bytes (key), seq});
    rig->expect_count++;
}

/*  Publishes what was put together; returns the request. */
static inline uint64_t rig_publish (tide_rig_t *rig, const char *peer)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH,
                              .publish = {.request = ++rig->request,
                                          .expects = tide_list (&rig->expects, rig->expect_count),
                                          .events = tide_list (&rig->events, rig->event_count)}};
    rig_send (rig, peer, &message);
    rig->events.size = rig->expects.size = 0;
    rig->event_count = rig->expect_count = 0;
    return rig->request;
}

static inline uint64_t rig_publish_one (tide_rig_t *rig, const char *peer, const char *topic,
                                        const char *key, const char *id, const char *json)
{
    rig_event (rig, topic, key, id, json);
    return rig_publish (rig, peer);
}

/*  -- what the broker said -------------------------------------------------------------------- */

/*  The answer to a request, or NULL; the last one if there are several. */
static inline const tide_message_t *rig_answer (const tide_rig_t *rig, uint64_t request)
{
    for (size_t at = rig->said_count; at-- > 0;) {
        const tide_said_t *said = rig->said[at];
        if (said->kind != TIDE_BROKER_SEND || said->message.kind == TIDE_MESSAGE_WELCOME
            || said->message.kind == TIDE_MESSAGE_PONG)
            continue;
        if (said->message.ack.request == request) /* the first field of each of them */
            return &said->message;
    }
    return NULL;
}

/*  The first sequence that an acknowledged publish got; fails the test if it was not. */
static inline uint64_t rig_acked (const tide_rig_t *rig, uint64_t request)
{
    const tide_message_t *answer = rig_answer (rig, request);
    assert_non_null (answer);
    assert_int_equal (answer->kind, TIDE_MESSAGE_ACK);
    return answer->ack.first;
}

/*  The code with which a request was refused; TIDE_OK if it was not. */
static inline tide_status_t rig_refused (const tide_rig_t *rig, uint64_t request)
{
    const tide_message_t *answer = rig_answer (rig, request);
    assert_non_null (answer);
    return answer->kind == TIDE_MESSAGE_FAIL ? (tide_status_t) answer->fail.code : TIDE_OK;
}

/*  Publishes one event and waits for it. */
static inline uint64_t rig_append (tide_rig_t *rig, const char *topic, const char *key,
                                   const char *json)
{
    uint64_t request = rig_publish_one (rig, "a", topic, key, NULL, json);
    rig_settle (rig);
    return rig_acked (rig, request);
}

/*  READ of one topic or subtree; the answer is there at once. */
static inline const tide_page_message_t *rig_read (tide_rig_t *rig, const char *topic,
                                                   uint64_t since, uint32_t limit)
{
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &(tide_want_t){tide_bytes (topic), since});
    tide_message_t message = {
        .kind = TIDE_MESSAGE_READ,
        .read = {.request = ++rig->request, .limit = limit, .wants = tide_list (&wants, 1)}};
    rig_send (rig, "a", &message);
    tide_buffer_free (&wants);
    while (rig_fetch (rig))
        continue;
    const tide_message_t *answer = rig_answer (rig, rig->request);
    assert_true (answer && answer->kind == TIDE_MESSAGE_PAGE);
    return &answer->page;
}

/*  The sequences in a list of events, as "3 5 8 ". */
static inline const char *rig_seqs (tide_list_t events)
{
    static char text[8192];
    tide_event_t event;
    size_t size = 0;
    text[0] = 0;
    while (tide_event_next (&events, &event) && size < sizeof text - 24)
        size += (size_t) snprintf (text + size, sizeof text - size, "%llu ",
                                   (unsigned long long) event.seq);
    return text;
}

/*  What was lost of the only want of a page; 0: nothing. */
static inline uint64_t rig_lost (const tide_page_message_t *page)
{
    tide_list_t lost = page->lost;
    tide_want_t want;
    return tide_want_next (&lost, &want) ? want.seq : 0;
}

/*  How many frames were published. */
static inline size_t rig_published (const tide_rig_t *rig)
{
    size_t count = 0;
    for (size_t at = 0; at < rig->said_count; at++)
        count += rig->said[at]->kind == TIDE_BROKER_PUBLISH;
    return count;
}

/*  All of a snapshot, part by part; the events of the parts are handed to `each`. Returns N. */
typedef void (rig_standing_fn) (void *argument, const tide_event_t *event);
static inline uint64_t rig_snapshot (tide_rig_t *rig, const char *topic, rig_standing_fn *each,
                                     void *argument)
{
    uint64_t request = ++rig->request;
    for (uint32_t part = 0;; part++) {
        tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT,
                                  .snapshot = {request, tide_bytes (topic), part}};
        rig_send (rig, "a", &message);
        while (rig_fetch (rig))
            continue;
        const tide_message_t *answer = rig_answer (rig, request);
        assert_true (answer && answer->kind == TIDE_MESSAGE_STANDING);
        assert_int_equal (answer->standing.part, part);
        tide_list_t events = answer->standing.events;
        tide_event_t event;
        while (tide_event_next (&events, &event))
            each (argument, &event);
        if (!answer->standing.more)
            return answer->standing.seq;
    }
}

#endif
