/*  tide_conformance.c - what public protocol suites are pointed at.
 *
 *      tide-conformance engine [--port N]
 *          Engine.IO alone, at /engine.io/: every message comes straight back
 *      tide-conformance socket [--port N] [--recovery] [OPTION…]
 *          a gateway and a broker in memory, at /socket.io/: conformance_socket.h
 *
 *  Both take any origin, ping every 300 ms and wait 200 ms for the pong, as the suites expect; any
 *  other option of `tidemark serve` may follow. Prints "listening at URL" when it is ready.
 *  SPDX-License-Identifier: MIT
 */
#include "conformance_socket.h"

#include "tide_gateway.h"
#include "tide_server.h"
#include "tide_signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 64

static void echo (void *argument, tide_hub_t *hub, tide_connection_t *connection,
                  tide_bytes_t message, bool is_text)
{
    (void) argument;
    tide_app_send (hub, connection, message, is_text);
}

static const tide_application_t engine = {.message = echo};

static int usage (void)
{
    fputs ("usage: tide-conformance engine|socket [--port N] [--recovery] [OPTION…]\n"
           "OPTION is any of `tidemark serve --help`, as --ping-interval MS\n",
           stderr);
    return 2;
}

/*  Until a signal says to stop. */
static int serve (const tide_config_t *config, const tide_application_t *application)
{
    int signals = tide_signals_block ();
    char *why = NULL;
    tide_server_t *server = signals < 0 ? NULL : tide_server_start (config, &why);
    tide_gateway_t *gateway =
        server ? tide_gateway_start (config, tide_server_context (server),
                                     tide_server_inner_endpoint (server), application, &why)
               : NULL;
    int exit_status = gateway ? 0 : 1;
    if (gateway) {
        printf ("listening at %s\n", tide_gateway_url (gateway));
        fflush (stdout);
        tide_signals_wait (signals, tide_server_failed_fd (server));
    }
    else
        fprintf (stderr, "tide-conformance: %s\n", why ? why : "cannot wait for signals");
    free (why);
    tide_gateway_stop (&gateway);
    tide_server_stop (&server);
    return exit_status;
}

int main (int argc, char *argv[])
{
    const char *what = argc > 1 ? argv[1] : "";
    bool is_engine = strcmp (what, "engine") == 0, recovers = false;
    if (!is_engine && strcmp (what, "socket") != 0)
        return usage ();
    char listen[32] = "localhost:3000",
         *all[ARGUMENTS_MAX] = {argv[0],
                                "--memory",
                                "--broker",
                                "tcp://127.0.0.1:*",
                                "--events",
                                "tcp://127.0.0.1:*",
                                "--volatile",
                                "tcp://127.0.0.1:*",
                                "--listen",
                                listen,
                                "--allow-origin",
                                "*",
                                "--ping-interval",
                                "300",
                                "--ping-timeout",
                                "200",
                                "--connect-timeout",
                                "1000",
                                "--socketio-path",
                                is_engine ? "/engine.io/" : "/socket.io/",
                                "--namespace",
                                "/",
                                "--namespace",
                                "/custom",
                                "--namespace",
                                "/tenant-*"};
    int count = 0;
    while (all[count])
        count++;
    for (int at = 2; at < argc; at++) {
        if (strcmp (argv[at], "--port") == 0 && at + 1 < argc)
            snprintf (listen, sizeof listen, "localhost:%s", argv[++at]);
        else if (strcmp (argv[at], "--recovery") == 0)
            recovers = true;
        else if (count < ARGUMENTS_MAX - 5)
            all[count++] = argv[at];
        else
            return usage ();
    }
    if (!recovers) {
        all[count++] = "--no-recovery";
        all[count++] = "/*";
        all[count++] = "--no-recovery";
        all[count++] = "/";
    }
    tide_config_t config;
    int exit_status;
    if (!tide_config_main (&config, TIDE_SERVE, count, all, &exit_status))
        return exit_status;
    exit_status = serve (&config, is_engine ? &engine : &conformance_socket);
    tide_config_free (&config);
    return exit_status;
}
