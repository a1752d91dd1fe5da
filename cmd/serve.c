/*  serve.c - `tidemark serve`: broker and gateway in one process.
 *
 *  The gateway connects to the broker as it would to one elsewhere, but from ZeroMQ's context of
 *  the broker: what the two say to each other goes from thread to thread.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_gateway.h"
#include "tide_print.h"
#include "tide_server.h"
#include "tide_signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/*  Until a signal says to stop, or the broker ended by itself. Returns the exit status. */
static int wait_for_end (int signals, const tide_server_t *server)
{
    for (;;) {
        int number = tide_signals_wait (signals, tide_server_failed_fd (server));
        if (number == 0)
            return 1;
        if (number != SIGHUP) {
            tide_print (TIDE_LEVEL_INFO, "stopping", "signal=%d", number);
            return 0;
        }
        tide_print (TIDE_LEVEL_INFO, "reload", "message=\"nothing to be read again\"");
    }
}

static int say_why (char *why)
{
    fprintf (stderr, "tidemark serve: %s\n", why ? why : "cannot wait for signals");
    free (why);
    return 1;
}

static int serve (const tide_config_t *config)
{
    /*  Signals before threads; then the broker, whose log wants to be opened before there are any.
     */
    int signals = tide_signals_block ();
    char *why = NULL;
    tide_server_t *server = signals < 0 ? NULL : tide_server_start (config, &why);
    if (!server)
        return say_why (why);
    tide_gateway_t *gateway = tide_gateway_start (config, tide_server_context (server),
                                                  tide_server_inner_endpoint (server), NULL, &why);
    if (!gateway) {
        tide_server_stop (&server);
        return say_why (why);
    }
    fprintf (stderr, "Tidemark is up: %s/\n", tide_gateway_url (gateway));
    int exit_status = wait_for_end (signals, server);
    tide_gateway_stop (&gateway);
    tide_server_stop (&server);
    return exit_status;
}

int tide_command_serve (int argc, char *argv[])
{
    tide_config_t config;
    int exit_status;
    if (!tide_config_main (&config, TIDE_SERVE, argc, argv, &exit_status))
        return exit_status;
    exit_status = serve (&config);
    tide_config_free (&config);
    return exit_status;
}
