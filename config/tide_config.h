/*  tide_config.h - how a server was told to run.
 *
 *  One table (tide_config.c) of all options of `tidemark serve`, `tidemark-broker` and
 *  `tidemark-gateway`; read once, before there are threads, and not changed after.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CONFIG_H
#define TIDE_CONFIG_H

#include "tide_options.h"

typedef enum { TIDE_ANONYMOUS_NONE, TIDE_ANONYMOUS_READ, TIDE_ANONYMOUS_ALL } tide_anonymous_t;

/*  Strings are owned by the config. Times are in the unit of their name. */
typedef struct {
    /*  Both */
    char *broker;  /* --broker: bound by the broker, connected to by the gateway */
    int log_level; /* --log-level: a tide_level_t */
    uint64_t payload_max;
    bool insecure;

    /*  Broker */
    char *events;    /* --events, or made from --broker: never NULL in a broker */
    char *volatiles; /* --volatile, likewise */
    char *data;
    bool memory;
    int sync; /* 0 always, 1 os */
    uint64_t retain_events;
    uint64_t retain_bytes;
    uint64_t retain_age_s;
    uint64_t dedupe_ids;
    uint64_t workers_wait_s;

    /*  Gateway */
    char *listen;         /* HOST:PORT as it was given */
    char *listen_host;    /* without brackets; "*" and "" have become "0.0.0.0" */
    uint16_t listen_port; /* 0: any free one */
    uint64_t lanes;
    uint64_t resume_s;
    uint64_t ping_interval_ms;
    uint64_t ping_timeout_ms;
    uint64_t connect_timeout_ms;
    char *socketio_path; /* begins and ends with a slash */
    char **namespaces;   /* NULL-terminated */
    char **no_recovery;  /* NULL-terminated, may be empty */
    char **allow_origin; /* NULL-terminated, may be empty: same origin only */
    int anonymous;       /* a tide_anonymous_t */
} tide_config_t;

typedef enum { TIDE_SERVE = 1, TIDE_BROKER = 2, TIDE_GATEWAY = 4 } tide_server_kind_t;

/*  Reads flags, environment and file into *config and checks them against one another. What comes
 *  back, and *text, as with tide_options_read. To be freed with tide_config_free in every case. */
tide_options_outcome_t tide_config_read (tide_config_t *config, tide_server_kind_t kind, int argc,
                                         char *const argv[], char **text);
void tide_config_free (tide_config_t *config);

/*  The same for a main function: prints the text where it belongs and returns true if the server
 *  shall run; else *exit_status is what main returns. Sets the level of tide_print. */
bool tide_config_main (tide_config_t *config, tide_server_kind_t kind, int argc, char *const argv[],
                       int *exit_status);

/*  Splits HOST:PORT, [IPV6]:PORT or *:PORT. The caller frees *host. False if it is none. */
bool tide_address_parse (const char *address, char **host, uint16_t *port);

/*  True for an address that only this machine can reach. */
bool tide_host_is_loopback (const char *host);

#endif
