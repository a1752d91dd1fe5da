/*  tide_gateway.c - a gateway: its lanes, what they share, and the address that they serve.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_gateway.h"

#include "tide_alloc.h"
#include "tide_files.h"
#include "tide_lane.h"
#include "tide_print.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#define LANES_MAX 64
#define BACKLOG 4096
/*  A slow client's lag belongs into its cursor: the kernel keeps this (and doubles it) at most. */
#define SEND_BUFFER_SIZE (128 * 1024)
/*  Seconds until a silent peer is asked, between the questions, and how many. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_STEP_S 10
#define KEEPALIVE_STEPS 6

/*  Each lane has tables as long as the limit of descriptors: too low a limit turns clients away,
 *  too high a one costs memory for nothing. */
#define DESCRIPTORS_MIN 65536
#define DESCRIPTORS_MAX 262144

struct tide_gateway {
    char *url;
    void *zmq;
    bool is_guest; /* in another's context */
    tide_files_t *files;
    char *broker;
    tide_lane_t *lane[LANES_MAX];
    unsigned lanes;
};

static char *say (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

static char *say (const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    return tide_copy (text, strlen (text));
}

static void set_descriptors (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t before = limit.rlim_cur;
    if (limit.rlim_cur < DESCRIPTORS_MIN)
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MIN ? limit.rlim_max : DESCRIPTORS_MIN;
    if (limit.rlim_cur > DESCRIPTORS_MAX)
        limit.rlim_cur = DESCRIPTORS_MAX;
    if (limit.rlim_cur != before)
        setrlimit (RLIMIT_NOFILE, &limit);
}

/*  -- listening ------------------------------------------------------------------------------- */

/*  What accepted sockets inherit, and what the listening one needs. */
static int bind_to (const struct addrinfo *address, uint16_t port, bool is_shared, bool listens)
{
    int fd = socket (address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd < 0)
        return -1;
    const struct {
        int level, option, value;
        bool is_wanted;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, true},
        {SOL_SOCKET, SO_REUSEPORT, 1, is_shared},
        {IPPROTO_IPV6, IPV6_V6ONLY, 0, address->ai_family == AF_INET6},
        {IPPROTO_TCP, TCP_NODELAY, 1, true},
        {SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_SIZE, true},
        {SOL_SOCKET, SO_KEEPALIVE, 1, true},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S, true},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_STEP_S, true},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_STEPS, true},
    };
    for (size_t at = 0; at < sizeof options / sizeof options[0]; at++)
        if (options[at].is_wanted)
            setsockopt (fd, options[at].level, options[at].option, &options[at].value,
                        sizeof options[at].value);
    struct sockaddr_storage bound;
    memcpy (&bound, address->ai_addr, address->ai_addrlen);
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *) &bound)->sin6_port = htons (port);
    else
        ((struct sockaddr_in *) &bound)->sin_port = htons (port);
    if (bind (fd, (struct sockaddr *) &bound, address->ai_addrlen) == 0
        && (!listens || listen (fd, BACKLOG) == 0))
        return fd;
    int reason = errno;
    close (fd);
    errno = reason;
    return -1;
}

static uint16_t port_of (int fd)
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    getsockname (fd, (struct sockaddr *) &bound, &size);
    return ntohs (bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &bound)->sin6_port
                                              : ((struct sockaddr_in *) &bound)->sin_port);
}

/*  One address for all lanes: each gets a listening socket of its own, and the kernel spreads the
 *  connections. Sharing lets a second gateway in too, so the port is first tried alone. */
static bool listen_at (tide_lane_config_t *lane, unsigned lanes, const struct addrinfo *address,
                       uint16_t *port)
{
    unsigned slot = lane[0].listeners;
    if (lanes > 1) {
        int probe = bind_to (address, *port, false, false);
        if (probe < 0)
            return false;
        *port = port_of (probe);
        close (probe);
    }
    for (unsigned at = 0; at < lanes; at++) {
        int fd = bind_to (address, *port, lanes > 1, true);
        if (fd < 0) {
            int reason = errno;
            while (at-- > 0)
                close (lane[at].listener[--lane[at].listeners]);
            errno = reason;
            return false;
        }
        *port = port_of (fd);
        lane[at].listener[slot] = fd;
        lane[at].listeners++;
    }
    return true;
}

/*  All addresses that the host's name has, as 127.0.0.1 and ::1 for localhost. One must work. */
static bool listen_all (tide_lane_config_t *lane, unsigned lanes, const char *host, uint16_t *port,
                        char **why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo (host, NULL, &hints, &found);
    if (rc != 0) {
        *why = say ("--listen: %s is no address of this machine: %s", host, gai_strerror (rc));
        return false;
    }
    int reason = 0;
    for (struct addrinfo *at = found; at && lane[0].listeners < TIDE_LISTENERS_MAX;
         at = at->ai_next) {
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        if (listen_at (lane, lanes, at, port))
            continue;
        reason = errno;
        if (reason == EADDRINUSE)
            break;
    }
    freeaddrinfo (found);
    if (lane[0].listeners > 0 && reason != EADDRINUSE)
        return true;
    *why = say ("--listen: cannot listen at %s port %u: %s", host, (unsigned) *port,
                strerror (reason));
    return false;
}

static char *url_of (const char *host, uint16_t port)
{
    bool is_any = strcmp (host, "0.0.0.0") == 0 || strcmp (host, "::") == 0;
    const char *reached = is_any ? "127.0.0.1" : host;
    return strchr (reached, ':') ? say ("http://[%s]:%u", reached, (unsigned) port)
                                 : say ("http://%s:%u", reached, (unsigned) port);
}

/*  -- its life -------------------------------------------------------------------------------- */

static bool start_lanes (tide_gateway_t *self, const tide_config_t *config,
                         const struct tide_application *application, tide_lane_config_t *lane,
                         char **why)
{
    for (unsigned at = 0; at < self->lanes; at++) {
        lane[at].index = at;
        lane[at].config = config;
        lane[at].broker = self->broker;
        lane[at].application = application;
        lane[at].zmq = self->zmq;
        lane[at].files = self->files;
        self->lane[at] = tide_lane_new (&lane[at], why);
        lane[at].listeners = 0; /* they are the lane's now, or closed */
        if (!self->lane[at])
            return false;
    }
    for (unsigned at = 0; at < self->lanes; at++) {
        if (!tide_lane_start (self->lane[at])) {
            *why = say ("there is no thread to be had: %s", strerror (errno));
            return false;
        }
    }
    return true;
}

tide_gateway_t *tide_gateway_start (const tide_config_t *config, void *context,
                                    const char *broker_endpoint,
                                    const struct tide_application *application, char **why)
{
    *why = NULL;
    if (sodium_init () < 0) {
        *why = say ("libsodium does not start");
        return NULL;
    }
    signal (SIGPIPE, SIG_IGN);
    set_descriptors ();

    tide_gateway_t *self = tide_alloc (sizeof *self);
    self->lanes = config->lanes < 1           ? 1
                  : config->lanes > LANES_MAX ? LANES_MAX
                                              : (unsigned) config->lanes;
    self->broker = tide_copy (broker_endpoint, strlen (broker_endpoint));
    self->is_guest = context != NULL;
    self->zmq = context ? context : zmq_ctx_new ();
    tide_lane_config_t lane[LANES_MAX] = {0};
    uint16_t port = config->listen_port;
    bool is_started = false;
    if (!self->zmq)
        *why = say ("ZeroMQ does not start: %s", zmq_strerror (errno));
    else if (listen_all (lane, self->lanes, config->listen_host, &port, why)) {
        char *share;
        self->files = tide_files_new (config->socketio_path, &share);
        if (!share)
            tide_print (TIDE_LEVEL_WARNING, "no_files",
                        "reason=\"no share folder: neither the page nor the client is served\"");
        free (share);
        self->url = url_of (config->listen_host, port);
        is_started = start_lanes (self, config, application, lane, why);
    }
    for (unsigned at = 0; at < self->lanes; at++)
        while (lane[at].listeners > 0)
            close (lane[at].listener[--lane[at].listeners]);
    if (!is_started)
        tide_gateway_stop (&self);
    return self;
}

void tide_gateway_stop (tide_gateway_t **self_p)
{
    tide_gateway_t *self = *self_p;
    if (!self)
        return;
    for (unsigned at = 0; at < self->lanes; at++)
        if (self->lane[at])
            tide_lane_stop (self->lane[at]);
    for (unsigned at = 0; at < self->lanes; at++)
        tide_lane_destroy (&self->lane[at]);
    tide_files_destroy (&self->files);
    if (self->zmq && !self->is_guest)
        zmq_ctx_term (self->zmq);
    free (self->broker);
    free (self->url);
    free (self);
    *self_p = NULL;
}

const char *tide_gateway_url (const tide_gateway_t *self)
{
    return self->url;
}
