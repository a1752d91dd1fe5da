/*  tide_config.c - how a server was told to run.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_config.h"

#include "tide_alloc.h"
#include "tide_limits.h"
#include "tide_print.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOTH (TIDE_SERVE | TIDE_BROKER | TIDE_GATEWAY)
#define BROKER (TIDE_SERVE | TIDE_BROKER)
#define GATEWAY (TIDE_SERVE | TIDE_GATEWAY)
#define AT(member) .offset = offsetof (tide_config_t, member)

#define HOUR_MS (3600u * 1000u)
#define YEARS_100_S (100ull * 365 * 24 * 3600)

static const tide_option_t options[] = {
    {"listen", TIDE_OPTION_TEXT, GATEWAY, AT (listen), .standard = "127.0.0.1:8080",
     .value = "HOST:PORT", .help = "the gateway's address; port 0: any free one"},
    {"broker", TIDE_OPTION_TEXT, BOTH, AT (broker), .standard = "tcp://127.0.0.1:7400",
     .value = "ENDPOINT", .help = "the broker's ROUTER"},
    {"events", TIDE_OPTION_TEXT, BROKER, AT (events), .value = "ENDPOINT",
     .help = "where the broker publishes events", .otherwise = "the port after --broker's"},
    {"volatile", TIDE_OPTION_TEXT, BROKER, AT (volatiles), .value = "ENDPOINT",
     .help = "where it publishes volatile events", .otherwise = "the port after --events'"},
    {"data", TIDE_OPTION_TEXT, BROKER, AT (data), .standard = "tidemark-data", .value = "DIR",
     .help = "the embedded log"},
    {"memory", TIDE_OPTION_SWITCH, BROKER, AT (memory),
     .help = "keep the log in memory only: it ends with the process"},
    {"sync", TIDE_OPTION_CHOICE, BROKER, AT (sync), .standard = "always", .value = "always|os",
     .help = "what durable means: on the disk, or with the system"},
    {"retain-events", TIDE_OPTION_NUMBER, BROKER, AT (retain_events), .standard = "1000000",
     .min = 1, .max = TIDE_RETAIN_EVENTS_MAX, .value = "N", .help = "history kept, in events"},
    {"retain-bytes", TIDE_OPTION_NUMBER, BROKER, AT (retain_bytes), .standard = "1073741824",
     .min = 1, .max = 1ull << 50, .value = "N", .help = "history kept, in bytes"},
    {"retain-age", TIDE_OPTION_NUMBER, BROKER, AT (retain_age_s), .standard = "604800", .min = 1,
     .max = YEARS_100_S, .value = "SECONDS",
     .help = "history kept, by age; standing keyed events are kept whatever it is"},
    {"dedupe-ids", TIDE_OPTION_NUMBER, BROKER, AT (dedupe_ids), .standard = "1000000",
     .max = 1000000000, .value = "N", .help = "among how many events an id is appended only once"},
    {"workers-wait", TIDE_OPTION_NUMBER, BROKER, AT (workers_wait_s), .standard = "10",
     .max = UINT32_MAX / 1000, .value = "SECONDS", .help = "how long a call waits for a worker"},
    {"resume", TIDE_OPTION_NUMBER, GATEWAY, AT (resume_s), .standard = "3600",
     .max = UINT32_MAX / 1000, .value = "SECONDS",
     .help = "how long a session outlives its connection"},
    {"max-payload", TIDE_OPTION_NUMBER, BOTH, AT (payload_max), .standard = "1000000", .min = 1,
     .max = TIDE_PAYLOAD_SIZE_MAX, .value = "BYTES", .help = "per message"},
    {"ping-interval", TIDE_OPTION_NUMBER, GATEWAY, AT (ping_interval_ms), .standard = "25000",
     .min = 100, .max = HOUR_MS, .value = "MS", .help = "how often a client is asked for life"},
    {"ping-timeout", TIDE_OPTION_NUMBER, GATEWAY, AT (ping_timeout_ms), .standard = "20000",
     .min = 100, .max = HOUR_MS, .value = "MS", .help = "how long its answer may take"},
    {"connect-timeout", TIDE_OPTION_NUMBER, GATEWAY, AT (connect_timeout_ms), .standard = "45000",
     .min = 100, .max = HOUR_MS, .value = "MS",
     .help = "how long a Socket.IO client may be without a namespace"},
    {"socketio-path", TIDE_OPTION_TEXT, GATEWAY, AT (socketio_path), .standard = "/socket.io/",
     .value = "PATH", .help = "where Socket.IO is served"},
    {"namespace", TIDE_OPTION_LIST, GATEWAY, AT (namespaces), .standard = "/",
     .value = "NAME|PATTERN", .help = "a Socket.IO namespace that is served; * for any rest"},
    {"no-recovery", TIDE_OPTION_LIST, GATEWAY, AT (no_recovery), .value = "NAMESPACE",
     .help = "a namespace without connection state recovery", .otherwise = "none"},
    {"allow-origin", TIDE_OPTION_LIST, GATEWAY, AT (allow_origin), .value = "ORIGIN",
     .help = "from where browsers may come; * for anywhere", .otherwise = "same origin"},
    {"anonymous", TIDE_OPTION_CHOICE, GATEWAY, AT (anonymous), .value = "none|read|all",
     .help = "what a client without a token may do",
     .otherwise = "all on a loopback address, none elsewhere"},
    {"insecure", TIDE_OPTION_SWITCH, BROKER, AT (insecure),
     .help = "let the broker's sockets be reached from other machines, unencrypted"},
    {"lanes", TIDE_OPTION_NUMBER, GATEWAY, AT (lanes), .standard = "1", .min = 1, .max = 64,
     .value = "N", .help = "threads that serve clients"},
    {"log-level", TIDE_OPTION_CHOICE, BOTH, AT (log_level), .standard = "info",
     .value = "error|warning|info|debug", .help = "what is told on standard error"},
    {"token-key", TIDE_OPTION_LATER, BOTH, .value = "FILE"},
    {"tls-cert", TIDE_OPTION_LATER, BOTH, .value = "FILE"},
    {"tls-key", TIDE_OPTION_LATER, BOTH, .value = "FILE"},
    {"curve-key", TIDE_OPTION_LATER, BOTH, .value = "FILE"},
    {"curve-clients", TIDE_OPTION_LATER, BOTH, .value = "DIR"},
    {"workers-wait", TIDE_OPTION_LATER, BOTH, .value = "SECONDS"},
    {NULL}};

/*  -- addresses ------------------------------------------------------------------------------- */

static bool parse_port (const char *text, uint16_t *port)
{
    size_t digits = strspn (text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != 0 || strtoul (text, NULL, 10) > 65535)
        return false;
    *port = (uint16_t) strtoul (text, NULL, 10);
    return true;
}

bool tide_address_parse (const char *address, char **host, uint16_t *port)
{
    const char *colon = strrchr (address, ':');
    if (!colon || !parse_port (colon + 1, port))
        return false;
    size_t size = (size_t) (colon - address);
    if (size == 0 || (size == 1 && address[0] == '*')) {
        *host = tide_copy ("0.0.0.0", 7);
        return true;
    }
    bool is_bracketed = address[0] == '[';
    if (is_bracketed) {
        if (size < 3 || address[size - 1] != ']')
            return false;
        address++;
        size -= 2;
    }
    for (size_t at = 0; at < size; at++) {
        unsigned char byte = (unsigned char) address[at];
        if (byte == '[' || byte == ']' || byte == '/' || isspace (byte) || iscntrl (byte)
            || (byte == ':' && !is_bracketed))
            return false;
    }
    *host = tide_copy (address, size);
    return true;
}

bool tide_host_is_loopback (const char *host)
{
    if (strcmp (host, "localhost") == 0 || strcmp (host, "::1") == 0 || strcmp (host, "lo") == 0)
        return true;
    unsigned a, b, c, d;
    char rest;
    return sscanf (host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 && a == 127 && b < 256
           && c < 256 && d < 256;
}

/*  tcp://HOST:PORT with * for any port, or ipc://PATH. For tcp *host (to be freed) and *port
 *  (-1 for *) are set, else *host is NULL. */
static bool endpoint_parse (const char *endpoint, char **host, int *port)
{
    *host = NULL;
    if (strncmp (endpoint, "ipc://", 6) == 0)
        return endpoint[6] != 0 && strlen (endpoint) < 100;
    if (strncmp (endpoint, "tcp://", 6) != 0 || strlen (endpoint) > 250)
        return false;
    char plain[256];
    snprintf (plain, sizeof plain, "%s", endpoint + 6);
    size_t size = strlen (plain);
    bool is_any = size > 2 && strcmp (plain + size - 2, ":*") == 0;
    if (is_any)
        plain[size - 1] = '0';
    uint16_t number;
    if (!tide_address_parse (plain, host, &number))
        return false;
    *port = is_any ? -1 : number;
    return true;
}

/*  -- checks ---------------------------------------------------------------------------------- */

static const char *const program_names[] = {
    [TIDE_SERVE] = "tidemark serve",
    [TIDE_BROKER] = "tidemark-broker",
    [TIDE_GATEWAY] = "tidemark-gateway",
};

__attribute__ ((format (printf, 3, 4))) static bool refuse (char **text, tide_server_kind_t kind,
                                                            const char *format, ...)
{
    char line[600];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (line, sizeof line, format, arguments);
    va_end (arguments);
    size_t size = strlen (line) + strlen (program_names[kind]) + 4;
    *text = tide_alloc (size);
    snprintf (*text, size, "%s: %s\n", program_names[kind], line);
    return false;
}

/*  The endpoint beside `of`: the next port, or the path with a suffix. NULL: there is no such port.
 */
static char *beside (const char *of, const char *suffix)
{
    char *host;
    int port = 0;
    if (!endpoint_parse (of, &host, &port) || port > 65534) {
        free (host);
        return NULL;
    }
    size_t size = strlen (of) + 32;
    char *made = tide_alloc (size);
    if (!host)
        snprintf (made, size, "%s%s", of, suffix);
    else if (port <= 0)
        snprintf (made, size, "%s", of);
    else
        snprintf (made, size, "%.*s:%d", (int) (strrchr (of, ':') - of), of, port + 1);
    free (host);
    return made;
}

static bool check_endpoint (const tide_config_t *config, tide_server_kind_t kind, const char *name,
                            const char *endpoint, char **text)
{
    char *host;
    int port = 0;
    bool is_right = endpoint_parse (endpoint, &host, &port);
    bool is_open = is_right && host && !tide_host_is_loopback (host);
    bool is_fixed = is_right && (!host || port > 0);
    free (host);
    if (!is_right)
        return refuse (text, kind, "--%s is tcp://HOST:PORT or ipc://PATH, not \"%s\"", name,
                       endpoint);
    if (kind == TIDE_GATEWAY) {
        if (!is_fixed)
            return refuse (text, kind, "--%s needs the broker's port, not \"%s\"", name, endpoint);
        return true;
    }
    if (is_open && !config->insecure)
        return refuse (text, kind,
                       "--%s %s can be reached from other machines without encryption: choose a "
                       "loopback address, or say --insecure",
                       name, endpoint);
    return true;
}

static bool check_broker (tide_config_t *config, tide_server_kind_t kind, char **text)
{
    if (!check_endpoint (config, kind, "broker", config->broker, text))
        return false;
    if (kind == TIDE_GATEWAY)
        return true;
    if (!config->events)
        config->events = beside (config->broker, "-events");
    if (!config->events)
        return refuse (text, kind, "there is no port after --broker's for events: give --events");
    if (!check_endpoint (config, kind, "events", config->events, text))
        return false;
    if (!config->volatiles)
        config->volatiles = beside (config->events, "-volatile");
    if (!config->volatiles)
        return refuse (text, kind,
                       "there is no port after --events' for volatile events: give --volatile");
    return check_endpoint (config, kind, "volatile", config->volatiles, text);
}

/*  A namespace as Socket.IO names it; the leading slash may be left out. */
static void add_slash (char **name)
{
    if ((*name)[0] == '/' || (*name)[0] == '*')
        return;
    size_t size = strlen (*name) + 2;
    char *made = tide_alloc (size);
    snprintf (made, size, "/%s", *name);
    free (*name);
    *name = made;
}

static bool check_path (tide_config_t *config, tide_server_kind_t kind, char **text)
{
    char *path = config->socketio_path;
    if (path[0] != '/' || strpbrk (path, "?# \t%") || strcmp (path, "/") == 0
        || strstr (path, "//"))
        return refuse (text, kind, "--socketio-path is a path as /socket.io/, not \"%s\"", path);
    size_t size = strlen (path);
    if (path[size - 1] != '/') {
        config->socketio_path = tide_alloc (size + 2);
        snprintf (config->socketio_path, size + 2, "%s/", path);
        free (path);
    }
    return true;
}

static bool check_gateway (tide_config_t *config, tide_server_kind_t kind, char **text)
{
    if (!tide_address_parse (config->listen, &config->listen_host, &config->listen_port))
        return refuse (text, kind, "--listen is HOST:PORT, not \"%s\"", config->listen);
    if (config->anonymous < 0)
        config->anonymous =
            tide_host_is_loopback (config->listen_host) ? TIDE_ANONYMOUS_ALL : TIDE_ANONYMOUS_NONE;
    for (char **name = config->namespaces; *name; name++)
        add_slash (name);
    for (char **name = config->no_recovery; *name; name++)
        add_slash (name);
    return check_path (config, kind, text);
}

/*  -- all of it ------------------------------------------------------------------------------- */

tide_options_outcome_t tide_config_read (tide_config_t *config, tide_server_kind_t kind, int argc,
                                         char *const argv[], char **text)
{
    static const char *const abouts[] = {
        [TIDE_SERVE] = "Broker and gateway in one process.",
        [TIDE_BROKER] = "The broker: takes events, makes them durable, publishes them.",
        [TIDE_GATEWAY] = "The gateway: serves browsers from a broker.",
    };
    tide_program_t program = {.program = program_names[kind],
                              .arguments = "[OPTION…]",
                              .about = abouts[kind],
                              .table = options,
                              .bit = kind,
                              .has_file = true};
    memset (config, 0, sizeof *config);
    char **arguments;
    tide_options_outcome_t outcome =
        tide_options_read (&program, argc, argv, config, &arguments, text);
    free (arguments);
    if (outcome != TIDE_OPTIONS_READY)
        return outcome;
    if (!check_broker (config, kind, text)
        || (kind != TIDE_BROKER && !check_gateway (config, kind, text)))
        return TIDE_OPTIONS_BAD;
    return outcome;
}

void tide_config_free (tide_config_t *config)
{
    tide_options_free (options, config);
    free (config->listen_host);
    config->listen_host = NULL;
}

bool tide_config_main (tide_config_t *config, tide_server_kind_t kind, int argc, char *const argv[],
                       int *exit_status)
{
    char *text;
    tide_options_outcome_t outcome = tide_config_read (config, kind, argc, argv, &text);
    if (text)
        fputs (text, outcome == TIDE_OPTIONS_TOLD ? stdout : stderr);
    free (text);
    if (outcome != TIDE_OPTIONS_READY) {
        tide_config_free (config);
        *exit_status = outcome == TIDE_OPTIONS_BAD ? 2 : 0;
        return false;
    }
    tide_print_level ((tide_level_t) config->log_level);
    return true;
}
