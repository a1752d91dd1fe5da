/*  bench_calls.c - calls, the whole way: client, gateway, broker, worker and back.
 *
 *    1. how long one client waits that calls one by one: of a durable log, of a volatile call, in
 *       memory; beside it what a sync of this disk takes;
 *       A durable call is two commits, as it comes and as it ends, and a commit of LMDB two syncs:
 *       its pages, then the page that says which of them count.
 *    2. how many durable calls a second many clients have answered, and what each process spends
 *       on one.
 *
 *    bench_calls [--long] [--data DIR] [--clients N] [--depth N] [--seconds S] [--lanes N]
 *                [--only trip|load] [--memory]        the load without a disk
 *
 *  Broker, gateway and workers are processes of their own, from the folder that this program was
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
    bool has_trips, has_load, is_memory;
} options_t;

static uint32_t took_us[ROOM];

static int compare (const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *) one, b = *(const uint32_t *) other;
    return (a > b) - (a < b);
}

/*  At the part of the way, in ms. */
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
 *  between the calls, so that both find the disk in the same mood. */
static struct {
    int file;
    uint32_t took_us[SYNCS_MAX];
    uint64_t count;
} disk;

static void open_disk (const char *folder)
{
    static char pages[DISK_PAGES * PAGE_SIZE];
    char path[600];
    snprintf (path, sizeof path, "%s/bench-sync", folder);
    disk.file = open (path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (disk.file < 0 || write (disk.file, pages, sizeof pages) < 0 || fsync (disk.file) != 0) {
        perror (path);
        exit (1);
    }
    unlink (path);
}

static void sync_once (void)
{
    char page[PAGE_SIZE] = {1};
    double began_s = bench_now_s ();
    if (pwrite (disk.file, page, sizeof page, (off_t) (disk.count % DISK_PAGES) * PAGE_SIZE) < 0
        || fdatasync (disk.file) != 0) {
        perror ("bench_calls");
        exit (1);
    }
    if (disk.count < SYNCS_MAX)
        disk.took_us[disk.count++] = (uint32_t) ((bench_now_s () - began_s) * 1e6);
}

static void measure_trip (uint16_t port, const char *what, const char *event, uint64_t samples,
                          void (*rest) (void))
{
    bench_clients_t *client = bench_clients_new (port, 1);
    bench_load_t load = {.event = event, .depth = 1, .pause_us = PAUSE_US, .calls = WARM_UP};
    bench_clients_run (client, &load);
    load.calls = load.room = samples;
    load.took_us = took_us;
    load.rest = rest;
    print_times (what, took_us, bench_clients_run (client, &load));
    bench_clients_destroy (&client);
}

static void measure_trips (const options_t *options)
{
    printf ("one client, one call at a time, 100 bytes, to its answer\n");
    bench_system_t *system = bench_system_start (options->data, options->lanes, WORKERS, CREDIT);
    open_disk (options->data);
    measure_trip (bench_system_port (system), "durable, --sync always", "echo", options->samples,
                  sync_once);
    double sync_ms = print_times ("4 KiB synced, between the calls", disk.took_us, disk.count);
    printf ("  twice a sync and 1 ms are %.3f ms\n", 2 * sync_ms + 1);
    close (disk.file);
    measure_trip (bench_system_port (system), "volatile, the same broker", "fleeting echo",
                  options->samples, NULL);
    bench_system_stop (&system);
    system = bench_system_start (NULL, options->lanes, WORKERS, CREDIT);
    measure_trip (bench_system_port (system), "in memory", "echo", options->samples, NULL);
    bench_system_stop (&system);
}

static void print_cpu (const char *who, double spent_s, uint64_t calls)
{
    printf ("  %-12s %6.2f us of CPU a call: a core of its own carries %8.0f calls/s\n", who,
            spent_s * 1e6 / (double) calls, (double) calls / spent_s);
}

static void measure_load (const options_t *options)
{
    const char *data = options->is_memory ? NULL : options->data;
    bench_system_t *system = bench_system_start (data, options->lanes, WORKERS, CREDIT);
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
            options->depth, WORKERS, data ? "durable, --sync always" : "in memory");
    printf ("  %.0f calls/s\n", (double) calls / took_s);
    print_times ("to its answer", took_us, calls);
    print_cpu ("broker", after.broker_s - before.broker_s, calls);
    print_cpu ("gateway", after.gateway_s - before.gateway_s, calls);
    print_cpu ("workers", after.workers_s - before.workers_s, calls);
    print_cpu ("generator", after.own_s - before.own_s, calls);
    double all_s = after.broker_s - before.broker_s + after.gateway_s - before.gateway_s
                   + after.workers_s - before.workers_s;
    print_cpu ("all but it", all_s, calls);
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
    return options;
}

int main (int argc, char *argv[])
{
    options_t options = read_options (argc, argv);
    if (options.has_trips)
        measure_trips (&options);
    if (options.has_load)
        measure_load (&options);
    return 0;
}
