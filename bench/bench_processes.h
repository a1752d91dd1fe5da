/*  bench_processes.h - a broker, a gateway and workers as processes, and what they spend.
 *  SPDX-License-Identifier: MIT
 */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bench_system bench_system_t;

typedef struct {
    const char *data; /* the log is in a folder below, and is removed at the end; NULL: in memory */
    bool is_together; /* broker and gateway are one process: tidemark serve */
    unsigned lanes, workers, credit;
} bench_system_options_t;

/*  Starts them, and waits until calls can be handled. Whatever goes wrong ends the program, and
 *  they with it. */
bench_system_t *bench_system_start (const bench_system_options_t *options);
void bench_system_stop (bench_system_t **self_p);

/*  The gateway's. */
uint16_t bench_system_port (const bench_system_t *self);

/*  Seconds of CPU until now; own_s are those of this process. Together, the gateway's are in the
 *  broker's. */
typedef struct {
    double broker_s, gateway_s, workers_s, own_s;
} bench_spent_t;
bench_spent_t bench_system_spent (const bench_system_t *self);

#endif
