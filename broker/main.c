/*  main.c - tidemark-broker: the broker by itself.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_print.h"
#include "tide_server.h"
#include "tide_signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int serve (const tide_config_t *config)
{
    int signals = tide_signals_block ();
    char *why = NULL;
    tide_server_t *server = signals < 0 ? NULL : tide_server_start (config, &why);
    if (!server) {
        fprintf (stderr, "tidemark-broker: %s\n", why ? why : "cannot wait for signals");
        free (why);
        return 1;
    }
    tide_print (TIDE_LEVEL_INFO, "broker_up", "broker=%s", tide_server_endpoint (server));
    int number = SIGHUP;
    while (number == SIGHUP) {
        number = tide_signals_wait (signals, tide_server_failed_fd (server));
        if (number == SIGHUP)
            tide_print (TIDE_LEVEL_INFO, "reload", "message=\"nothing to be read again\"");
    }
    if (number != 0)
        tide_print (TIDE_LEVEL_INFO, "stopping", "signal=%d", number);
    tide_server_stop (&server);
    return number == 0 ? 1 : 0;
}

int main (int argc, char *argv[])
{
    tide_config_t config;
    int exit_status;
    if (!tide_config_main (&config, TIDE_BROKER, argc, argv, &exit_status))
        return exit_status;
    exit_status = serve (&config);
    tide_config_free (&config);
    return exit_status;
}
