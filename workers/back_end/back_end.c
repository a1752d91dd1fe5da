/*  back_end.c - what the back ends that ship have in common: an argument, and an end by signal.
 *  SPDX-License-Identifier: MIT
 */
#include "back_end.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *program;
static sigset_t ends;
static atomic_int is_ending;

tidemark_t *back_end_connect (const char *name, int argc, char *argv[])
{
    program = name;
    if (argc > 2 || (argc > 1 && argv[1][0] == '-')) {
        fprintf (stderr, "usage: tidemark-%s [ENDPOINT]   (or TIDEMARK_BROKER=ENDPOINT)\n", name);
        exit (2);
    }
    sigemptyset (&ends);
    sigaddset (&ends, SIGINT);
    sigaddset (&ends, SIGTERM);
    pthread_sigmask (SIG_BLOCK, &ends, NULL);
    tidemark_t *client = tidemark_connect (&(tidemark_options_t){
        .endpoint = argc > 1 ? argv[1] : getenv ("TIDEMARK_BROKER"), .name = name});
    if (!client) {
        fprintf (stderr, "tidemark-%s: that is no endpoint\n", name);
        exit (2);
    }
    return client;
}

static void *run (void *client)
{
    tidemark_status_t status = tidemark_run (client);
    if (status == TIDEMARK_OK)
        return NULL;
    fprintf (stderr, "tidemark-%s: %s: %s\n", program, tidemark_status_name (status),
             tidemark_message (client));
    kill (getpid (), SIGTERM); /* which the other thread waits for */
    return client;
}

int back_end_run (tidemark_t *client, long beat_ms, void (*beat) (tidemark_t *client))
{
    const struct timespec pause = {.tv_nsec = beat_ms * 1000000};
    pthread_t runner;
    pthread_create (&runner, NULL, run, client);
    while ((beat ? sigtimedwait (&ends, NULL, &pause) : sigwaitinfo (&ends, NULL)) < 0)
        if (beat && errno == EAGAIN)
            beat (client);
    is_ending = 1;
    tidemark_stop (client);
    void *failed;
    pthread_join (runner, &failed);
    tidemark_close (&client);
    return failed != NULL;
}

int back_end_is_ending (void)
{
    return is_ending;
}
