/*  bench_calls.c - calls, the whole way: client, gateway, broker, worker and back.
 *
 *    1. how long one client waits that calls one by one: of a durable log, of a volatile call, in
 *       memory; beside it what a sync of this disk takes. A durable call is two commits, as it
 *       comes and as it ends, and a commit of LMDB two syncs: its pages, then the page that says
 *       which of them count;
 *    2. how many durable calls a second many clients have answered, and what each process spends
 *       on one.
 *
 *    bench_calls [--long] [--data DIR] [--clients N] [--depth N] [--seconds S] [--lanes N]
 *                [--only trip|load]
 *                [--memory]     the load without a disk
 *                [--serve]      broker and gateway in one process only
 *
 *  Broker, gateway and workers are processes of their own (and for the trips, then, broker and
 *  gateway one process), from the folder that this program was
 *  built into; the clients are this process. Figures are printed, not judged.
 *  SPDX-License-Identifier: MIT
 */
#include "bench_clients.h"
#include "bench_processes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 2, CREDIT = 200, WARM_UP = 200, PAUSE_US = 2000, ROOM = 4000000 };
enum { PAGE_SIZE = 4096, DISK_PAGES = 256, SYNCS_MAX = 20000 };

typedef struct {
    const char *data; /* where logs are made */
    unsigned clients, depth, lanes;
    double seconds;
    uint64_t samples;
    bool has_trips, has_load, is_memory, is_together;
} options_t;

static uint32_t took_us[ROOM];

static int compare (const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *) one, b = *(const uint32_t *) other;
    return (a > b) - (a < b);
}

/*  At the part of the way, in ms. There is at least one. */
static double part_ms (const uint32_t *sorted, uint64_t count, double part)
{
    return sorted[(uint64_t) (part * (double) (count - 1))] / 1e3;
}

static double print_times (const char *what, uint32_t *times_us, uint64_t count)
{
    if (count > ROOM)
        count = ROOM;
    qsort (times_us, count, sizeof *times_us, compare);
    printf ("  %-38s median %8.3f  p90 %8.3f  p99 %8.3f ms, %llu samples\n", what,
            part_ms (times_us, count, 0.5), part_ms (times_us, count, 0.9),
            part_ms (times_us, count, 0.99), (unsigned long long) count);
    fflush (stdout);
    return part_ms (times_us, count, 0.5);
}

/*  What it takes to have 4 KiB on the disk on which the log is, and nothing else to be done: tried
 *  between the calls, so that both find the disk in the same mood. A file that grows, as a log's
 *  does, and takes turns with one that is only written over, which is the least a sync can be. */
typedef struct {
    int file;
    bool is_growing;
    uint32_t took_us[SYNCS_MAX];
    uint64_t count;
} disk_t;

static disk_t growing = {.is_growing = true}, standing;

static void disk_must (bool is_done)
{
    if (is_done)
        return;
    perror ("bench_calls: the disk");
    exit (1);
}

static void disk_open (disk_t *self, const char *folder)
{
    static char pages[DISK_PAGES * PAGE_SIZE];
    char path[600];
    snprintf (path, sizeof path, "%s/bench-sync", folder);
    self->count = 0;
    self->file = open (path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    disk_must (self->file >= 0 && unlink (path) == 0);
    if (!self->is_growing)
        disk_must (write (self->file, pages, sizeof pages) > 0);
    disk_must (fsync (self->file) == 0);
}

static void disk_sync (disk_t *self)
{
    char page[PAGE_SIZE] = {1};
    uint64_t place = self->is_growing ? self->count : self->count % DISK_PAGES;
    double began_s = bench_now_s ();
    disk_must (pwrite (self->file, page, sizeof page, (off_t) place * PAGE_SIZE) > 0);
    disk_must (self->is_growing ? fsync (self->file) == 0 : fdatasync (self->file) == 0);
    if (self->count < SYNCS_MAX)
        self->took_us[self->count++] = (uint32_t) ((bench_now_s () - began_s) * 1e6);
}

static void sync_once (void)
{
    disk_sync (growing.count > standing.count ? &standing : &growing);
}

static double sum_s (const bench_spent_t *spent)
{
    return spent->broker_s + spent->gateway_s + spent->workers_s;
}

static void measure_trip (const bench_system_t *system, const char *what, const char *event,
                          uint64_t samples, void (*rest) (void))
{
    bench_clients_t *client = bench_clients_new (bench_system_port (system), 1);
    bench_load_t load = {.event = event, .depth = 1, .pause_us = PAUSE_US, .calls = WARM_UP};
    bench_clients_run (client, &load);
    load.calls = load.room = samples;
    load.took_us = took_us;
    load.rest = rest;
    bench_spent_t before = bench_system_spent (system);
    uint64_t calls = bench_clients_run (client, &load);
    bench_spent_t after = bench_system_spent (system);
    print_times (what, took_us, calls);
    printf ("  %-38s %.0f us a call in broker, gateway and workers\n", "",
            (sum_s (&after) - sum_s (&before)) * 1e6 / (double) calls);
    bench_clients_destroy (&client);
}

static bench_system_t *start (const options_t *options, bool is_durable, bool is_together)
{
    bench_system_options_t system = {.data = is_durable ? options->data : NULL,
                                     .is_together = is_together,
                                     .lanes = options->lanes,
                                     .workers = WORKERS,
                                     .credit = CREDIT};
    return bench_system_start (&system);
}

static void measure_disk (const options_t *options, const bench_system_t *system)
{
    disk_open (&growing, options->data);
    disk_open (&standing, options->data);
    measure_trip (system, "durable, --sync always", "echo", options->samples, sync_once);
    double sync_ms = print_times ("fsync of a file 4 KiB longer", growing.took_us, growing.count);
    print_times ("fdatasync of 4 KiB written over", standing.took_us, standing.count);
    printf ("  twice an fsync and 1 ms are            %.3f ms\n", 2 * sync_ms + 1);
    close (growing.file);
    close (standing.file);
}

static void measure_trips (const options_t *options, bool is_together)
{
    printf ("one client, one call at a time, 100 bytes, to its answer; broker and gateway %s\n",
            is_together ? "in one process" : "are two processes");
    bench_system_t *system = start (options, true, is_together);
    measure_disk (options, system);
    measure_trip (system, "volatile, the same broker", "fleeting echo", options->samples, NULL);
    bench_system_stop (&system);
    system = start (options, false, is_together);
    measure_trip (system, "in memory", "echo", options->samples, NULL);
    bench_system_stop (&system);
}

static void print_cpu (const char *who, double spent_s, uint64_t calls)
{
    printf ("  %-12s %6.2f us of CPU a call: a core of its own carries %8.0f calls/s\n", who,
            spent_s * 1e6 / (double) calls, (double) calls / spent_s);
}

static void measure_load (const options_t *options)
{
    bench_system_t *system = start (options, !options->is_memory, options->is_together);
    bench_clients_t *clients = bench_clients_new (bench_system_port (system), options->clients);
    bench_load_t load = {.event = "echo", .depth = options->depth, .seconds = 2};
    bench_clients_run (clients, &load);
    load.seconds = options->seconds;
    load.took_us = took_us;
    load.room = ROOM;
    bench_spent_t before = bench_system_spent (system);
    double began_s = bench_now_s ();
    uint64_t calls = bench_clients_run (clients, &load);
    double took_s = bench_now_s () - began_s;
    bench_spent_t after = bench_system_spent (system);
    printf ("%u clients, %u calls of each under way, 100 bytes, %d workers, %s\n", options->clients,
            options->depth, WORKERS, options->is_memory ? "in memory" : "durable, --sync always");
    printf ("  %.0f calls/s\n", (double) calls / took_s);
    print_times ("to its answer", took_us, calls);
    print_cpu (options->is_together ? "serve" : "broker", after.broker_s - before.broker_s, calls);
    if (!options->is_together)
        print_cpu ("gateway", after.gateway_s - before.gateway_s, calls);
    print_cpu ("workers", after.workers_s - before.workers_s, calls);
    print_cpu ("generator", after.own_s - before.own_s, calls);
    print_cpu ("all but it", sum_s (&after) - sum_s (&before), calls);
    bench_clients_destroy (&clients);
    bench_system_stop (&system);
}

static options_t read_options (int argc, char *argv[])
{
    options_t options = {.data = ".",
                         .clients = 1000,
                         .depth = 4,
                         .lanes = 1,
                         .seconds = 10,
                         .samples = 1000,
                         .has_trips = true,
                         .has_load = true};
    for (int at = 1; at < argc; at++) {
        const char *value = at + 1 < argc ? argv[at + 1] : "";
        if (strcmp (argv[at], "--long") == 0) {
            options.seconds = 60;
            options.samples = 10000;
            continue;
        }
        if (strcmp (argv[at], "--memory") == 0) {
            options.is_memory = true;
            continue;
        }
        if (strcmp (argv[at], "--serve") == 0) {
            options.is_together = true;
            continue;
        }
        at++;
        if (strcmp (argv[at - 1], "--data") == 0)
            options.data = value;
        else if (strcmp (argv[at - 1], "--clients") == 0)
            options.clients = (unsigned) atoi (value);
        else if (strcmp (argv[at - 1], "--depth") == 0)
            options.depth = (unsigned) atoi (value);
        else if (strcmp (argv[at - 1], "--lanes") == 0)
            options.lanes = (unsigned) atoi (value);
        else if (strcmp (argv[at - 1], "--seconds") == 0)
            options.seconds = atof (value);
        else if (strcmp (argv[at - 1], "--only") == 0) {
            options.has_trips = strcmp (value, "trip") == 0;
            options.has_load = strcmp (value, "load") == 0;
        }
        else {
            fprintf (stderr, "bench_calls: what is %s?\n", argv[at - 1]);
            exit (2);
        }
    }
    /*  What is measured of nothing, or of more than there is room for, is wrong and looks right. */
    if (options.clients == 0 || options.lanes == 0 || !(options.seconds > 0) || options.depth == 0
        || options.depth > BENCH_DEPTH_MAX) {
        fprintf (stderr, "bench_calls: clients, lanes and seconds are above 0, depth is 1-%d\n",
                 BENCH_DEPTH_MAX);
        exit (2);
    }
    return options;
}

int main (int argc, char *argv[])
{
    options_t options = read_options (argc, argv);
    if (options.has_trips && !options.is_together)
        measure_trips (&options, false);
    if (options.has_trips)
        measure_trips (&options, true);
    if (options.has_load)
        measure_load (&options);
    return 0;
}
