/*  bench_processes.c - a broker, a gateway and workers as processes, and what they spend.
 *  SPDX-License-Identifier: MIT
 */
#include "bench_processes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 16, ARGUMENTS_MAX = 20, START_MS = 10000, LOOK_MS = 20 };

struct bench_system {
    pid_t broker, gateway, workers[WORKERS_MAX]; /* gateway: 0 if it is in the broker's process */
    unsigned worker_count;
    uint16_t port;
    char folder[512]; /* of the log; empty: none */
};

static void fail (const char *what)
{
    fprintf (stderr, "bench_calls: %s: %s\n", what, strerror (errno));
    exit (1);
}

static uint16_t free_port (void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind (fd, (struct sockaddr *) &address, size) != 0
        || getsockname (fd, (struct sockaddr *) &address, &size) != 0)
        fail ("no free port");
    close (fd);
    return ntohs (address.sin_port);
}

/*  -- starting -------------------------------------------------------------------------------- */

/*  Runs a program of the build folder: its path below that, then its arguments up to a NULL. It
 *  ends when this process does. */
static pid_t run (const char *program, ...)
{
    char path[600], *arguments[ARGUMENTS_MAX] = {path};
    ssize_t size = readlink ("/proc/self/exe", path, sizeof path - 100);
    if (size < 0)
        fail ("/proc/self/exe");
    path[size] = 0;
    for (int up = 0; up < 2; up++)
        *strrchr (path, '/') = 0;
    snprintf (path + strlen (path), 100, "/%s", program);
    va_list list;
    va_start (list, program);
    for (int at = 1; at < ARGUMENTS_MAX - 1; at++)
        if ((arguments[at] = va_arg (list, char *)) == NULL)
            break;
    va_end (list);
    pid_t pid = fork ();
    if (pid < 0) /* which would mean everybody where it is ended */
        fail ("fork");
    if (pid == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        execv (path, arguments);
        fail (path);
    }
    return pid;
}

static void pause_ms (long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};
    nanosleep (&time, NULL);
}

/*  Whether the gateway's page has the text in it. */
static bool page_has (uint16_t port, const char *path, const char *text)
{
    static char page[1 << 17];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons (port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    size_t size = 0;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect (fd, (struct sockaddr *) &address, sizeof address) == 0) {
        int length =
            snprintf (page, sizeof page,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);
        ssize_t count = send (fd, page, (size_t) length, MSG_NOSIGNAL);
        while (count > 0 && size < sizeof page - 1) {
            count = recv (fd, page + size, sizeof page - 1 - size, 0);
            size += count > 0 ? (size_t) count : 0;
        }
    }
    close (fd);
    page[size] = 0;
    return strstr (page, text) != NULL;
}

static void await (uint16_t port, const char *path, const char *text)
{
    for (int waited_ms = 0; !page_has (port, path, text); waited_ms += LOOK_MS) {
        if (waited_ms >= START_MS) {
            fprintf (stderr, "bench_calls: %s does not say %s\n", path, text);
            exit (1);
        }
        pause_ms (LOOK_MS);
    }
}

static void make_folder (bench_system_t *self, const char *data)
{
    if (!data)
        return;
    snprintf (self->folder, sizeof self->folder, "%s/tidemark-bench-XXXXXX", data);
    if (!mkdtemp (self->folder))
        fail (data);
}

static void start_servers (bench_system_t *self, const char *endpoint,
                           const bench_system_options_t *options)
{
    char listen[64], lanes[16];
    const char *log = options->data ? "--data" : "--memory";
    const char *folder = options->data ? self->folder : NULL;
    snprintf (listen, sizeof listen, "127.0.0.1:%u", self->port);
    snprintf (lanes, sizeof lanes, "%u", options->lanes);
    if (options->is_together) {
        self->broker = run ("bin/tidemark", "serve", "--broker", endpoint, "--events",
                            "tcp://127.0.0.1:*", "--volatile", "tcp://127.0.0.1:*", "--listen",
                            listen, "--lanes", lanes, "--log-level", "error", log, folder, NULL);
        return;
    }
    self->broker =
        run ("bin/tidemark-broker", "--broker", endpoint, "--events", "tcp://127.0.0.1:*",
             "--volatile", "tcp://127.0.0.1:*", "--log-level", "error", log, folder, NULL);
    self->gateway = run ("bin/tidemark-gateway", "--broker", endpoint, "--listen", listen,
                         "--lanes", lanes, "--log-level", "error", NULL);
}

bench_system_t *bench_system_start (const bench_system_options_t *options)
{
    bench_system_t *self = calloc (1, sizeof *self);
    char endpoint[64], credit[16], wanted[64];
    self->port = free_port ();
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", free_port ());
    snprintf (credit, sizeof credit, "%u", options->credit);
    snprintf (wanted, sizeof wanted, "\ntidemark_broker_workers %u\n", options->workers);
    make_folder (self, options->data);
    start_servers (self, endpoint, options);
    while (self->worker_count < options->workers && self->worker_count < WORKERS_MAX)
        self->workers[self->worker_count++] = run ("bench/bench_worker", endpoint, credit, NULL);
    await (self->port, "/readyz", " 200 ");
    await (self->port, "/metrics", wanted);
    return self;
}

static void end (pid_t pid, int signal)
{
    if (pid == 0)
        return;
    kill (pid, signal);
    waitpid (pid, NULL, 0);
}

void bench_system_stop (bench_system_t **self_p)
{
    bench_system_t *self = *self_p;
    *self_p = NULL;
    for (unsigned at = 0; at < self->worker_count; at++)
        end (self->workers[at], SIGKILL);
    end (self->gateway, SIGTERM);
    end (self->broker, SIGTERM);
    if (self->folder[0]) {
        pid_t pid = fork ();
        if (pid == 0) {
            execlp ("rm", "rm", "-rf", self->folder, (char *) NULL);
            fail ("rm");
        }
        waitpid (pid, NULL, 0);
    }
    free (self);
}

uint16_t bench_system_port (const bench_system_t *self)
{
    return self->port;
}

/*  -- what they spend ------------------------------------------------------------------------- */

static double spent_s (pid_t pid)
{
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid (pid, &clock) != 0 || clock_gettime (clock, &time) != 0) {
        fprintf (stderr, "bench_calls: a process has ended\n");
        exit (1);
    }
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

bench_spent_t bench_system_spent (const bench_system_t *self)
{
    bench_spent_t spent = {.broker_s = spent_s (self->broker),
                           .gateway_s = self->gateway ? spent_s (self->gateway) : 0,
                           .own_s = spent_s (0)};
    for (unsigned at = 0; at < self->worker_count; at++)
        spent.workers_s += spent_s (self->workers[at]);
    return spent;
}
