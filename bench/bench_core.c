/*  bench_core.c - what the pure cores cost: no socket, no disk, no thread.
 *
 *    1. publishes through sequencer, index and marks, then feed, then tape;
 *    2. a topic with many readers in one lane: CPU for each delivery.
 *
 *  CPU time of the process, so a busy machine changes it little. Figures are printed, not judged.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_broker.h"
#include "tide_feed.h"
#include "tide_hub.h"
#include "tide_log.h"
#include "tide_tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENTS = 500000, BURST = 500, TOPICS = 100, READERS = 1000, FAN_OUT_EVENTS = 4000 };

static const uint64_t now_ms = 1700000000000;

static double cpu_s (void)
{
    struct timespec time;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

typedef struct {
    tide_broker_t *broker;
    tide_log_t *log;
    tide_feed_t *feed; /* part 1 */
    tide_tape_t *tape;
    tide_hub_t *hub; /* part 2 */
    double broker_s, log_s, feed_s, deliver_s;
    uint64_t handed_on, deliveries, bytes;
} bench_t;

static void encode_publish (tide_buffer_t *out, uint64_t number, unsigned topics)
{
    tide_buffer_t records = {0}, payload = {0};
    char json[160], topic[32], id[32];
    int size = snprintf (json, sizeof json, "{\"n\":%llu,\"text\":\"", (unsigned long long) number);
    memset (json + size, 'x', (size_t) (126 - size));
    memcpy (json + 126, "\"}", 3);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (json)});
    snprintf (topic, sizeof topic, "room/%llu", (unsigned long long) (number % topics));
    snprintf (id, sizeof id, "bench-%llu", (unsigned long long) number);
    tide_event_append (&records, &(tide_event_t){.topic = tide_bytes (topic),
                                                 .name = tide_bytes ("msg"),
                                                 .id = tide_bytes (id),
                                                 .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.request = number;
    message.publish.events = tide_list (&records, 1);
    tide_message_encode (out, &message);
    tide_buffer_free (&records);
    tide_buffer_free (&payload);
}

static void hello (tide_broker_t *broker)
{
    tide_buffer_t frame = {0};
    tide_message_encode (&frame, &(tide_message_t){.kind = TIDE_MESSAGE_HELLO});
    tide_broker_receive (broker, now_ms, tide_bytes ("bench"), tide_buffer_bytes (&frame));
    tide_buffer_free (&frame);
}

static void start (bench_t *self)
{
    self->log = tide_log_open_memory (1);
    tide_broker_config_t config = {.epoch = 1,
                                   .events = "1",
                                   .volatiles = "2",
                                   .payload_max = 1000000,
                                   .retain_events = 100000,
                                   .retain_bytes = 1u << 30,
                                   .retain_ms = 86400000,
                                   .dedupe_ids = 100000};
    self->broker = tide_broker_new (&config);
    tide_broker_start (self->broker, now_ms, 0);
    hello (self->broker);
}

/*  -- 1: publish, feed, tape ------------------------------------------------------------------ */

static void drain_feed (bench_t *self)
{
    tide_feed_action_t action;
    for (;;) {
        double before = cpu_s ();
        bool more = false;
        for (int at = 0; at < BURST && (more = tide_feed_next_action (self->feed, &action)); at++)
            if (action.kind == TIDE_FEED_EVENT) {
                tide_tape_append (self->tape, action.record, action.event.seq, false, now_ms);
                self->handed_on++;
            }
        self->feed_s += cpu_s () - before;
        if (!more)
            return;
    }
}

/*  Actions of the broker; what is published is collected, to be fed afterwards. */
static void drain_broker (bench_t *self, tide_buffer_t *frames)
{
    tide_broker_action_t action;
    tide_log_completion_t completion;
    while (tide_broker_next_action (self->broker, &action)) {
        if (action.kind == TIDE_BROKER_PUBLISH) {
            tide_put_u32 (frames, (uint32_t) action.bytes.size);
            tide_buffer_append_bytes (frames, action.bytes);
        }
        else if (action.kind == TIDE_BROKER_APPEND) {
            double before = cpu_s ();
            tide_log_append (self->log, &action.batch);
            self->log_s += cpu_s () - before;
        }
        else if (action.kind == TIDE_BROKER_FETCH)
            tide_log_fetch (self->log, &action.fetch);
        while (tide_log_next (self->log, &completion))
            tide_broker_complete (self->broker, now_ms, &completion);
    }
}

static void answer_join (bench_t *self)
{
    tide_feed_action_t action;
    while (tide_feed_next_action (self->feed, &action)) {
        if (action.kind != TIDE_FEED_REQUEST)
            continue;
        tide_message_t page = {.kind = TIDE_MESSAGE_PAGE};
        page.page.epoch = 1;
        tide_feed_answer (self->feed, action.tag, &page);
    }
}

static void bench_publish (void)
{
    bench_t self = {0};
    start (&self);
    self.feed = tide_feed_new ();
    self.tape = tide_tape_new (16 << 20);
    tide_feed_welcome (self.feed, 1, 0);
    tide_feed_add (self.feed, tide_bytes ("room/#"));
    answer_join (&self);
    tide_buffer_t publishes = {0}, frames = {0}, sizes = {0};
    for (uint64_t number = 1; number <= EVENTS; number++) {
        size_t before = publishes.size;
        encode_publish (&publishes, number, TOPICS);
        tide_put_u32 (&sizes, (uint32_t) (publishes.size - before));
    }
    size_t at = 0;
    for (unsigned number = 0; number < EVENTS; number += BURST) {
        frames.size = 0;
        double before = cpu_s ();
        for (unsigned in_burst = 0; in_burst < BURST; in_burst++) {
            uint32_t size = tide_load_u32 (sizes.data + 4 * (number + in_burst));
            tide_broker_receive (self.broker, now_ms, tide_bytes ("bench"),
                                 (tide_bytes_t){publishes.data + at, size});
            at += size;
        }
        drain_broker (&self, &frames);
        double between = cpu_s ();
        self.broker_s += between - before;
        tide_reader_t reader = tide_reader (tide_buffer_bytes (&frames));
        while (reader.remaining > 0)
            tide_feed_receive (self.feed, tide_take_bytes (&reader, tide_take_u32 (&reader)));
        self.feed_s += cpu_s () - between;
        drain_feed (&self);
    }
    double scale = 1e9 / (double) EVENTS;
    printf ("publish: %u events of 128 bytes, %u topics, %u a batch, %llu handed on\n", EVENTS,
            TOPICS, BURST, (unsigned long long) self.handed_on);
    double core_s = self.broker_s - self.log_s;
    printf ("  sequencer, ids, index, marks  %6.0f ns/event\n", core_s * scale);
    printf ("  feed and tape                 %6.0f ns/event\n", self.feed_s * scale);
    printf ("  cores together                %6.0f ns/event\n", (core_s + self.feed_s) * scale);
    printf ("  (memory log beside them       %6.0f ns/event)\n", self.log_s * scale);
    tide_buffer_free (&publishes);
    tide_buffer_free (&frames);
    tide_buffer_free (&sizes);
    tide_feed_destroy (&self.feed);
    tide_tape_destroy (&self.tape);
    tide_broker_destroy (&self.broker);
    tide_log_close (&self.log);
}

/*  -- 2: many readers -------------------------------------------------------------------------- */

static void pump (bench_t *self)
{
    tide_hub_action_t action;
    tide_buffer_t frames = {0};
    for (bool busy = true; busy;) {
        busy = false;
        frames.size = 0;
        tide_broker_action_t from_broker;
        tide_log_completion_t completion;
        while (tide_broker_next_action (self->broker, &from_broker)) {
            busy = true;
            if (from_broker.kind == TIDE_BROKER_SEND && tide_bytes_is (from_broker.peer, "hub"))
                tide_hub_receive (self->hub, now_ms, from_broker.bytes);
            else if (from_broker.kind == TIDE_BROKER_PUBLISH)
                tide_hub_published (self->hub, now_ms, from_broker.bytes);
            else if (from_broker.kind == TIDE_BROKER_APPEND)
                tide_log_append (self->log, &from_broker.batch);
            else if (from_broker.kind == TIDE_BROKER_FETCH)
                tide_log_fetch (self->log, &from_broker.fetch);
            while (tide_log_next (self->log, &completion))
                tide_broker_complete (self->broker, now_ms, &completion);
        }
        double before = cpu_s ();
        while (tide_hub_next_action (self->hub, &action)) {
            busy = true;
            if (action.kind == TIDE_HUB_SEND)
                tide_broker_receive (self->broker, now_ms, tide_bytes ("hub"), action.bytes);
            else if (action.kind == TIDE_HUB_WRITABLE)
                self->bytes += tide_hub_write (self->hub, now_ms, action.connection).size;
        }
        self->deliver_s += cpu_s () - before;
    }
    tide_buffer_free (&frames);
}

static void bench_fan_out (unsigned burst)
{
    bench_t self = {0};
    start (&self);
    static const char *const none[] = {NULL};
    self.hub = tide_hub_new (&(tide_hub_config_t){.lane = "bench",
                                                  .payload_max = 1000000,
                                                  .resume_ms = 1000,
                                                  .namespaces = none,
                                                  .no_recovery = none,
                                                  .may_read = true,
                                                  .may_publish = true},
                             now_ms);
    pump (&self);
    for (unsigned reader = 0; reader < READERS; reader++) {
        tide_connection_t *connection =
            tide_hub_open (self.hub, now_ms, TIDE_CLIENT_JSON, (tide_bytes_t){0}, NULL);
        tide_hub_frame (self.hub, now_ms, connection,
                        tide_bytes ("{\"op\":\"sub\",\"topic\":\"room/0\"}"), true);
        pump (&self);
    }
    self.deliver_s = 0;
    self.bytes = 0;
    tide_buffer_t frame = {0};
    for (unsigned number = 1; number <= FAN_OUT_EVENTS; number++) {
        frame.size = 0;
        encode_publish (&frame, number, 1);
        tide_broker_receive (self.broker, now_ms, tide_bytes ("bench"), tide_buffer_bytes (&frame));
        if (number % burst == 0)
            pump (&self);
    }
    printf ("fan-out: %u readers, %u events, %2u at a time: %5.1f ns/delivery, %llu MB written\n",
            READERS, FAN_OUT_EVENTS, burst,
            self.deliver_s * 1e9 / ((double) FAN_OUT_EVENTS * (double) READERS),
            (unsigned long long) (self.bytes >> 20));
    tide_buffer_free (&frame);
    tide_hub_destroy (&self.hub);
    tide_broker_destroy (&self.broker);
    tide_log_close (&self.log);
}

/*  bench_core [publish]: all, or the first part alone. */
int main (int argc, char *argv[])
{
    bench_publish ();
    if (argc > 1 && strcmp (argv[1], "publish") == 0)
        return 0;
    bench_fan_out (1);
    bench_fan_out (10);
    bench_fan_out (50);
    return 0;
}
