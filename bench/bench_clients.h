/*  bench_clients.h - many Socket.IO clients over WebSocket in one thread, as cheap as can be: what
 *  is measured is the server.
 *
 *  Each has so many calls under way; an answer is followed by the next call. Anything unexpected
 *  ends the program.
 *  SPDX-License-Identifier: MIT
 */
#ifndef BENCH_CLIENTS_H
#define BENCH_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_DEPTH_MAX = 64 };

typedef struct bench_clients bench_clients_t;

/*  Connects them all, to a gateway of this machine. */
bench_clients_t *bench_clients_new (uint16_t port, unsigned count);
void bench_clients_destroy (bench_clients_t **self_p);

typedef struct {
    const char *event;
    unsigned depth;      /* calls of a client under way at once, at most BENCH_DEPTH_MAX */
    unsigned pause_us;   /* between answer and next call; only for one client, one by one */
    void (*rest) (void); /* … what is done in it, unless NULL */
    uint64_t calls;      /* so many; 0: as many as go into… */
    double seconds;
    uint32_t *took_us; /* of each call the time that it took, if there is room for so many */
    uint64_t room;
} bench_load_t;

/*  Calls, and waits for the last answer. The number of calls that were answered. */
uint64_t bench_clients_run (bench_clients_t *self, const bench_load_t *load);

double bench_now_s (void);

#endif
