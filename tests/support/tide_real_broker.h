/*  tide_real_broker.h - a broker's process, for tests that kill it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_REAL_BROKER_H
#define TIDE_REAL_BROKER_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 30000 };

static inline uint64_t clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static char directory[64], endpoint[64];
static pid_t broker;

static inline bool can_bind (unsigned port)
{
    int fd = socket (AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons ((uint16_t) port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    bool is_free = bind (fd, (struct sockaddr *) &address, sizeof address) == 0;
    close (fd);
    return is_free;
}

static inline void choose_endpoint (void)
{
    unsigned port = 20000 + (unsigned) getpid () % 10000;
    while (!can_bind (port) || !can_bind (port + 1) || !can_bind (port + 2))
        port += 3;
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", port);
}

static inline void start_broker (void)
{
    broker = fork ();
    assert_true (broker >= 0);
    if (broker == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL); /* a test that breaks off leaves nothing behind */
        execl (TIDE_BROKER_PROGRAM, TIDE_BROKER_PROGRAM, "--data", directory, "--broker", endpoint,
               (char *) NULL);
        _exit (127);
    }
}

static inline void kill_broker (void)
{
    kill (broker, SIGKILL);
    waitpid (broker, NULL, 0);
}

/*  Its log goes. */
static inline void remove_log (void)
{
    char command[100];
    snprintf (command, sizeof command, "rm -rf %s", directory);
    assert_int_equal (system (command), 0);
}

static inline void begin_broker (void)
{
    snprintf (directory, sizeof directory, "/tmp/tidemark-test-XXXXXX");
    assert_non_null (mkdtemp (directory));
    choose_endpoint ();
    start_broker ();
}

static inline void end_broker (void)
{
    kill_broker ();
    remove_log ();
}

#endif
