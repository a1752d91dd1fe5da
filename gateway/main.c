/*  main.c - tidemark-gateway: a gateway by itself, to a broker elsewhere.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_config.h"
#include "tide_gateway.h"
#include "tide_print.h"
#include "tide_signals.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int serve (const tide_config_t *config)
{
    int signals = tide_signals_block ();
    char *why = NULL;
    tide_gateway_t *gateway = NULL;
    if (signals >= 0)
        gateway = tide_gateway_start (config, NULL, config->broker, NULL, &why);
    if (!gateway) {
        fprintf (stderr, "tidemark-gateway: %s\n", why ? why : "cannot wait for signals");
        free (why);
        return 1;
    }
    tide_print (TIDE_LEVEL_INFO, "gateway_up", "url=%s broker=%s", tide_gateway_url (gateway),
                config->broker);
    int number;
    while ((number = tide_signals_wait (signals, -1)) == SIGHUP)
        tide_print (TIDE_LEVEL_INFO, "reload", "message=\"nothing to be read again\"");
    tide_print (TIDE_LEVEL_INFO, "stopping", "signal=%d", number);
    tide_gateway_stop (&gateway);
    return 0;
}

int main (int argc, char *argv[])
{
    tide_config_t config;
    int exit_status;
    if (!tide_config_main (&config, TIDE_GATEWAY, argc, argv, &exit_status))
        return exit_status;
    exit_status = serve (&config);
    tide_config_free (&config);
    return exit_status;
}
