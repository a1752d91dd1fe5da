/*  bench_worker.c - a worker for bench_calls, which hands back what it got:
 *  bench_worker ENDPOINT CREDIT.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark.h"

#include <stdio.h>
#include <stdlib.h>

static int on_echo (tidemark_call_t *call, void *argument)
{
    (void) argument;
    return (int) tidemark_ack (call, json_deep_copy (tidemark_call_args (call)));
}

int main (int argc, char *argv[])
{
    if (argc != 3) {
        fprintf (stderr, "bench_worker ENDPOINT CREDIT\n");
        return 2;
    }
    tidemark_t *client = tidemark_connect (&(tidemark_options_t){.endpoint = argv[1]});
    if (!client)
        return 2;
    tidemark_handle (client, "/", "echo", on_echo, NULL, 0);
    tidemark_handle (client, "/", "fleeting echo", on_echo, NULL, TIDEMARK_VOLATILE);
    tidemark_service (client, "bench",
                      &(tidemark_service_options_t){.credit = (uint32_t) atoi (argv[2])});
    tidemark_status_t status = tidemark_run (client);
    fprintf (stderr, "bench_worker: %s: %s\n", tidemark_status_name (status),
             tidemark_message (client));
    tidemark_close (&client);
    return 1;
}
