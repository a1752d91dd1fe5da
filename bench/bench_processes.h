/*  bench_processes.h - a broker, a gateway and workers as processes, and what they spend.
 *  SPDX-License-Identifier: MIT
 */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdint.h>

typedef struct bench_system bench_system_t;

/*  Starts them, and waits until calls can be handled. The log is in a folder below data, and is
 *  removed at the end; NULL: in memory. Whatever goes wrong ends the program, and they with it. */
bench_system_t *bench_system_start (const char *data, unsigned lanes, unsigned workers,
                                    unsigned credit);
void bench_system_stop (bench_system_t **self_p);

/*  The gateway's. */
uint16_t bench_system_port (const bench_system_t *self);

/*  Seconds of CPU until now; own_s are those of this process. */
typedef struct {
    double broker_s, gateway_s, workers_s, own_s;
} bench_spent_t;
bench_spent_t bench_system_spent (const bench_system_t *self);

#endif
