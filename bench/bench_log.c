/*  bench_log.c - the broker with its durable log, through its sockets.
 *
 *    1. durable publishes through ROUTER, --sync always, until well behind the retention limit;
 *    2. reading on over many events; a snapshot of many keys; start-up on what was written.
 *
 *    bench_log [--events N] [--retain N] [--data DIR]
 *
 *  Figures are printed, not judged. The broker runs in this process; CPU is that of the process
 *  and so counts the generator too.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_config.h"
#include "tide_message.h"
#include "tide_server.h"
#include "tide_signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

enum { IN_FLIGHT = 1000, KEYS = 10000, READ_EVENTS = 100000 };

static double now_s (clockid_t clock)
{
    struct timespec time;
    clock_gettime (clock, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

typedef struct {
    void *context;
    void *dealer;
    zmq_msg_t frame; /* the latest message */
    uint64_t requests;
    uint64_t head;
} peer_t;

static void send_message (peer_t *self, const tide_message_t *message)
{
    static tide_buffer_t frame;
    frame.size = 0;
    tide_message_encode (&frame, message);
    tide_assert (zmq_send (self->dealer, frame.data, frame.size, 0) >= 0);
}

/*  The next message; spans in it are valid until the one after. */
static tide_message_t receive_message (peer_t *self)
{
    tide_message_t message;
    const char *why;
    zmq_msg_close (&self->frame);
    zmq_msg_init (&self->frame);
    tide_assert (zmq_msg_recv (&self->frame, self->dealer, 0) >= 0);
    tide_status_t status = tide_message_decode (
        (tide_bytes_t){zmq_msg_data (&self->frame), zmq_msg_size (&self->frame)}, &message, &why);
    if (status != TIDE_OK || message.kind == TIDE_MESSAGE_FAIL) {
        tide_bytes_t text = status == TIDE_OK ? message.fail.message : tide_bytes (why);
        fprintf (stderr, "bench_log: the broker refused: %.*s\n", TIDE_PRINT (text));
        exit (1);
    }
    return message;
}

static void connect_peer (peer_t *self, const char *endpoint)
{
    *self = (peer_t){.context = zmq_ctx_new ()};
    self->dealer = zmq_socket (self->context, ZMQ_DEALER);
    int none = 0, linger = 0;
    zmq_setsockopt (self->dealer, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt (self->dealer, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt (self->dealer, ZMQ_LINGER, &linger, sizeof linger);
    tide_assert (zmq_connect (self->dealer, endpoint) == 0);
    zmq_msg_init (&self->frame);
    send_message (self, &(tide_message_t){.kind = TIDE_MESSAGE_HELLO});
    self->head = receive_message (self).welcome.head;
}

static void disconnect_peer (peer_t *self)
{
    zmq_msg_close (&self->frame);
    zmq_close (self->dealer);
    zmq_ctx_term (self->context);
}

static void send_publish (peer_t *self, uint64_t number, bool keyed)
{
    static tide_buffer_t records, payload;
    char json[160], topic[32], key[32], id[32];
    records.size = payload.size = 0;
    int size = snprintf (json, sizeof json, "{\"n\":%llu,\"text\":\"", (unsigned long long) number);
    size_t length = keyed ? 98 : 126;
    memset (json + size, 'x', length - (size_t) size);
    memcpy (json + length, "\"}", 3);
    tide_args_encode (&payload, &(tide_args_t){.json = tide_bytes (json)});
    snprintf (topic, sizeof topic, keyed ? "state" : "room/%llu",
              (unsigned long long) (number % 100));
    snprintf (key, sizeof key, "key-%llu", (unsigned long long) number);
    snprintf (id, sizeof id, "bench-%llu", (unsigned long long) self->requests);
    tide_event_append (&records,
                       &(tide_event_t){.topic = tide_bytes (topic),
                                       .name = tide_bytes ("msg"),
                                       .key = keyed ? tide_bytes (key) : (tide_bytes_t){0},
                                       .id = tide_bytes (id),
                                       .payload = tide_buffer_bytes (&payload)});
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.request = ++self->requests;
    message.publish.events = tide_list (&records, 1);
    send_message (self, &message);
}

/*  Publishes with IN_FLIGHT unanswered; returns the seconds that it took. */
static double publish (peer_t *self, uint64_t events, bool keyed)
{
    double start = now_s (CLOCK_MONOTONIC);
    uint64_t sent = 0, answered = 0;
    while (answered < events) {
        while (sent < events && sent - answered < IN_FLIGHT)
            send_publish (self, sent++, keyed);
        tide_message_t message = receive_message (self);
        if (message.kind != TIDE_MESSAGE_ACK)
            continue;
        self->head = message.ack.first;
        answered++;
    }
    return now_s (CLOCK_MONOTONIC) - start;
}

static void bench_publish (peer_t *self, uint64_t events, uint64_t retain)
{
    uint64_t fill = retain + retain / 10;
    double filling = publish (self, fill, false);
    double cpu = now_s (CLOCK_PROCESS_CPUTIME_ID);
    double steady = publish (self, events - fill, false);
    cpu = now_s (CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf ("durable publishes, 128 bytes, %d in flight, --sync always, --retain-events %llu\n",
            IN_FLIGHT, (unsigned long long) retain);
    printf ("  while filling          %8.0f events/s\n", (double) fill / filling);
    printf ("  with retention reached %8.0f events/s, CPU %.2f us/event (generator included)\n",
            (double) (events - fill) / steady, cpu * 1e6 / (double) (events - fill));
}

static void bench_read (peer_t *self)
{
    uint64_t at = self->head - READ_EVENTS, pages = 0, events = 0;
    double start = now_s (CLOCK_MONOTONIC), cpu = now_s (CLOCK_PROCESS_CPUTIME_ID);
    while (at < self->head) {
        tide_buffer_t wants = {0};
        tide_want_append (&wants, &(tide_want_t){tide_bytes ("room/#"), at});
        tide_message_t message = {.kind = TIDE_MESSAGE_READ};
        message.read.request = ++self->requests;
        message.read.until = self->head;
        message.read.limit = TIDE_PAGE_EVENTS_MAX;
        message.read.size_max = TIDE_PAGE_SIZE_MAX;
        message.read.wants = tide_list (&wants, 1);
        send_message (self, &message);
        tide_buffer_free (&wants);
        tide_message_t answer = receive_message (self);
        events += answer.page.events.count;
        at = answer.page.upto;
        pages++;
    }
    start = now_s (CLOCK_MONOTONIC) - start;
    cpu = now_s (CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf ("reading on over %llu events of a subtree of 100 topics, in %llu pages, one at a time\n"
            "  %8.0f events/s, CPU %.2f us/event\n",
            (unsigned long long) events, (unsigned long long) pages, (double) events / start,
            cpu * 1e6 / (double) events);
}

static void bench_snapshot (peer_t *self)
{
    publish (self, KEYS, true);
    double start = now_s (CLOCK_MONOTONIC), cpu = now_s (CLOCK_PROCESS_CPUTIME_ID);
    uint64_t request = ++self->requests, keys = 0;
    bool more = true;
    for (uint32_t part = 0; more; part++) {
        tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
        message.snapshot.request = request;
        message.snapshot.topic = tide_bytes ("state");
        message.snapshot.part = part;
        send_message (self, &message);
        tide_message_t answer = receive_message (self);
        keys += answer.standing.events.count;
        more = answer.standing.more;
    }
    printf ("snapshot of %llu keys of 100 bytes\n  CPU %.1f ms, %.1f ms in all\n",
            (unsigned long long) keys, (now_s (CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3,
            (now_s (CLOCK_MONOTONIC) - start) * 1e3);
}

static void bench_start (const tide_config_t *config)
{
    char *why = NULL;
    double start = now_s (CLOCK_MONOTONIC);
    tide_server_t *server = tide_server_start (config, &why);
    if (!server) {
        fprintf (stderr, "bench_log: %s\n", why);
        exit (1);
    }
    printf ("start-up on what is kept: %.3f s\n", now_s (CLOCK_MONOTONIC) - start);
    tide_server_stop (&server);
}

int main (int argc, char *argv[])
{
    const char *events = "3000000", *retain = "1000000", *data = NULL;
    for (int at = 1; at + 1 < argc; at += 2) {
        if (strcmp (argv[at], "--events") == 0)
            events = argv[at + 1];
        else if (strcmp (argv[at], "--retain") == 0)
            retain = argv[at + 1];
        else if (strcmp (argv[at], "--data") == 0)
            data = argv[at + 1];
    }
    char folder[] = "/tmp/tidemark-bench-XXXXXX";
    if (!data && !mkdtemp (folder)) {
        perror ("bench_log");
        return 1;
    }
    data = data ? data : folder;
    char *options[] = {argv[0],
                       (char *) "--broker",
                       (char *) "tcp://127.0.0.1:*",
                       (char *) "--data",
                       (char *) data,
                       (char *) "--retain-events",
                       (char *) retain,
                       (char *) "--log-level",
                       (char *) "warning",
                       NULL};
    tide_config_t config;
    int exit_status;
    if (!tide_config_main (&config, TIDE_BROKER, 9, options, &exit_status))
        return exit_status;
    tide_signals_block ();
    char *why = NULL;
    tide_server_t *server = tide_server_start (&config, &why);
    if (!server) {
        fprintf (stderr, "bench_log: %s\n", why);
        return 1;
    }
    peer_t peer;
    connect_peer (&peer, tide_server_endpoint (server));
    bench_publish (&peer, strtoull (events, NULL, 10), strtoull (retain, NULL, 10));
    bench_read (&peer);
    bench_snapshot (&peer);
    disconnect_peer (&peer);
    tide_server_stop (&server);
    bench_start (&config);
    tide_config_free (&config);
    char command[300];
    snprintf (command, sizeof command, "rm -rf '%s'", folder);
    return data == folder ? system (command) : 0;
}
