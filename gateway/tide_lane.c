/*  tide_lane.c - a whole gateway in one thread: the loop, the hub's actions, connections as such.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_lane_internal.h"

#include "tide_alloc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*  Clients that may be written to in one window of a millisecond before the rest gathers. Below it
 *  the lane is idle enough to write at once: gathering would only cost time. */
#define GATHER_ABOVE 64
#define WINDOW_S 0.001

#define ACCEPTS_MAX 128
#define REACCEPT_S 0.2
/*  How long clients have to take what is ready for them when we stop. */
#define STOP_MS 4000

/*  What one gathered write may have, and so what libwebsockets may send at once (Q5). */
#define WRITE_SIZE_MAX 65536
#define TX_PACKET_SIZE (WRITE_SIZE_MAX + 1024)
#define RX_BUFFER_SIZE 2048

static int on_lws (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t size);

/*  The first is for HTTP, and for a WebSocket that names no subprotocol. */
static const struct lws_protocols protocols[] = {
    {.name = "tidemark",
     .callback = on_lws,
     .rx_buffer_size = RX_BUFFER_SIZE,
     .tx_packet_size = TX_PACKET_SIZE},
    {.name = "tidemark.v1.json",
     .callback = on_lws,
     .rx_buffer_size = RX_BUFFER_SIZE,
     .tx_packet_size = TX_PACKET_SIZE},
    {0},
};

/*  -- time ------------------------------------------------------------------------------------ */

static uint64_t clock_ms (clockid_t clock)
{
    struct timespec time;
    clock_gettime (clock, &time);
    return (uint64_t) time.tv_sec * 1000 + (uint64_t) time.tv_nsec / 1000000;
}

uint64_t tide_lane_now (const tide_lane_t *self)
{
    return self->wall_ms + clock_ms (CLOCK_MONOTONIC) - self->started_ms;
}

/*  -- connections ----------------------------------------------------------------------------- */

void tide_lane_client_watch (tide_lane_client_t *client, uint64_t time_ms)
{
    client->due_ms = time_ms > 0 ? tide_lane_now (client->lane) + time_ms : 0;
    if (!client->is_watched)
        DL_APPEND2 (client->lane->watched, client, watched_prev, watched_next);
    client->is_watched = true;
}

void tide_lane_client_unwatch (tide_lane_client_t *client)
{
    if (client->is_watched)
        DL_DELETE2 (client->lane->watched, client, watched_prev, watched_next);
    client->is_watched = false;
}

bool tide_lane_client_has_left (int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt (fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0
           || info.tcpi_state != TCP_ESTABLISHED;
}

void tide_lane_client_destroy (tide_lane_client_t *client)
{
    tide_lane_t *self = client->lane;
    tide_socket_gone (client);
    tide_lane_client_unwatch (client);
    if (self->adopting == client)
        self->adopting = NULL;
    self->counters.connections--;
    free (client);
}

static void client_new (tide_lane_t *self, int fd)
{
    tide_lane_client_t *client = tide_alloc (sizeof *client);
    client->lane = self;
    self->counters.accepted++;
    self->counters.connections++;
    tide_web_open (client, fd);
    if (!ev_is_active (&self->sweep))
        ev_timer_again (self->loop, &self->sweep);
}

static void on_accept (struct ev_loop *loop, ev_io *io, int events)
{
    (void) events;
    tide_lane_t *self = io->data;
    for (unsigned taken = 0; taken < ACCEPTS_MAX; taken++) {
        int fd = accept4 (io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            client_new (self, fd);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /*  Descriptors or memory ran out: the socket stays readable, so look away for a while. */
        self->counters.accept_errors++;
        ev_io_stop (loop, io);
        if (!ev_is_active (&self->reaccept)) {
            ev_timer_set (&self->reaccept, REACCEPT_S, 0);
            ev_timer_start (loop, &self->reaccept);
        }
        return;
    }
}

static void on_reaccept (struct ev_loop *loop, ev_timer *timer, int events)
{
    (void) events;
    tide_lane_t *self = timer->data;
    for (unsigned at = 0; at < self->config.listeners && !self->is_stopping; at++)
        ev_io_start (loop, &self->listener[at]);
}

/*  Each reason is one call; nothing is decided here. */
static int on_lws (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t size)
{
    (void) user;
    switch (reason) {
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED: {
        tide_lane_t *self = lws_context_user (lws_get_context (wsi));
        if (!self->adopting)
            return -1;
        self->adopting->wsi = wsi;
        lws_set_opaque_user_data (wsi, self->adopting);
        return 0;
    }
    case LWS_CALLBACK_HTTP: /* only handshakes that are in order come here (Q1) */
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_CONNECTED:
    case LWS_CALLBACK_RAW_RX:
        return -1;
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        break;
    default:
        return 0;
    }
    tide_lane_client_t *client = lws_get_opaque_user_data (wsi);
    if (!client) /* the library's own */
        return 0;
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return tide_socket_established (client);
    case LWS_CALLBACK_RECEIVE:
        return tide_socket_receive (client, (tide_bytes_t){in, size});
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return tide_socket_writable (client);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return tide_socket_peer_closes (client);
    case LWS_CALLBACK_CLOSED:
        tide_socket_gone (client);
        return 0;
    default:
        lws_set_opaque_user_data (wsi, NULL);
        tide_lane_client_destroy (client);
        return 0;
    }
}

static void on_sweep (struct ev_loop *loop, ev_timer *timer, int events)
{
    (void) events;
    tide_lane_t *self = timer->data;
    if (self->counters.connections == 0) {
        ev_timer_stop (loop, timer);
        return;
    }
    uint64_t now = tide_lane_now (self);
    tide_lane_client_t *client, *next;
    DL_FOREACH_SAFE2 (self->watched, client, next, watched_next) {
        bool is_due = client->due_ms > 0 && now >= client->due_ms;
        if (client->web)
            tide_web_sweep (client, is_due);
        else if (is_due
                 || (client->is_paused
                     && tide_lane_client_has_left (lws_get_socket_fd (client->wsi))))
            tide_lws_close (client->wsi);
    }
}

/*  -- the hub's actions ----------------------------------------------------------------------- */

static void ask_writable (tide_lane_t *self, tide_lane_client_t *client)
{
    if (client->is_writable_asked)
        return;
    client->is_writable_asked = true;
    DL_APPEND2 (self->writables, client, writable_prev, writable_next);
    self->writable_count++;
}

void tide_socket_forget_writable (tide_lane_client_t *client)
{
    if (!client->is_writable_asked)
        return;
    client->is_writable_asked = false;
    DL_DELETE2 (client->lane->writables, client, writable_prev, writable_next);
    client->lane->writable_count--;
}

/*  Does what the hub wants. True if something was sent to the broker. */
static bool act (tide_lane_t *self)
{
    bool is_sent = false;
    tide_hub_action_t action;
    while (tide_hub_next_action (self->hub, &action)) {
        switch (action.kind) {
        case TIDE_HUB_CONNECT:
            tide_uplink_connect (self->uplink);
            is_sent = true;
            break;
        case TIDE_HUB_SEND:
            tide_uplink_send (self->uplink, action.bytes);
            is_sent = true;
            break;
        case TIDE_HUB_FOLLOW:
            tide_uplink_follow (self->uplink, action.events, action.volatiles);
            is_sent = true;
            break;
        case TIDE_HUB_SUBSCRIBE:
            tide_uplink_subscribe (self->uplink, action.bytes, action.is_volatile);
            break;
        case TIDE_HUB_UNSUBSCRIBE:
            tide_uplink_unsubscribe (self->uplink, action.bytes, action.is_volatile);
            break;
        case TIDE_HUB_WRITABLE:
            ask_writable (self, action.handle);
            break;
        case TIDE_HUB_CLOSE:
            if (((tide_lane_client_t *) action.handle)->web)
                tide_web_end_stream (action.handle);
            else
                tide_socket_close (action.handle, action.close_code);
            break;
        case TIDE_HUB_PAUSE:
        case TIDE_HUB_RESUME:
            tide_socket_pause (action.handle, action.kind == TIDE_HUB_PAUSE);
            break;
        case TIDE_HUB_UPGRADED:
            ((tide_lane_client_t *) action.handle)->connection = action.connection;
            break;
        case TIDE_HUB_RESPOND:
            tide_web_respond (self, &action);
            break;
        }
    }
    return is_sent;
}

/*  Asks libwebsockets to let us write to all who have something to say: at once while few do, and
 *  a millisecond after the last time while many do, so that what comes meanwhile goes with it. True
 *  if a stream was written to, which is done here and now: the hub may want something again. */
static bool flush (tide_lane_t *self)
{
    bool is_written = false;
    if (!self->writables)
        return false;
    struct timespec time;
    clock_gettime (CLOCK_MONOTONIC, &time);
    double now = (double) time.tv_sec + (double) time.tv_nsec / 1e9;
    if (now - self->window_at >= WINDOW_S) {
        self->window_at = now;
        self->window_count = 0;
    }
    if (self->window_count > 0 && self->window_count + self->writable_count > GATHER_ABOVE) {
        if (!ev_is_active (&self->gather)) {
            ev_timer_set (&self->gather, WINDOW_S - (now - self->window_at), 0);
            ev_timer_start (self->loop, &self->gather);
            self->counters.gathered++;
        }
        return false;
    }
    ev_timer_stop (self->loop, &self->gather);
    self->window_count += self->writable_count;
    self->counters.flushes++;
    while (self->writables) {
        tide_lane_client_t *client = self->writables;
        tide_socket_forget_writable (client);
        if (client->web) {
            tide_web_writable (client);
            is_written = true;
        }
        else
            lws_callback_on_writable (client->wsi);
    }
    return is_written;
}

/*  -- the loop -------------------------------------------------------------------------------- */

static void set_tick (tide_lane_t *self, uint64_t now)
{
    uint64_t deadline = tide_hub_deadline_ms (self->hub);
    if (self->is_stopping && self->stop_by_ms < deadline)
        deadline = self->stop_by_ms;
    if (deadline == self->tick_ms && ev_is_active (&self->tick))
        return;
    self->tick_ms = deadline;
    ev_timer_stop (self->loop, &self->tick);
    if (deadline == UINT64_MAX)
        return;
    ev_now_update (self->loop);
    ev_timer_set (&self->tick, deadline > now ? (double) (deadline - now) / 1000 : 0, 0);
    ev_timer_start (self->loop, &self->tick);
}

/*  True if nobody is owed anything any more. */
static bool is_over (const tide_lane_t *self)
{
    const tide_lane_client_t *client;
    DL_FOREACH2 (self->watched, client, watched_next)
        if (client->web && tide_web_is_busy (client))
            return false;
    return self->counters.websockets == 0 && self->counters.streams == 0
           && !tide_hub_owes (self->hub);
}

/*  Runs after everything that a round of the loop brought, and before it sleeps. */
static void on_prepare (struct ev_loop *loop, ev_prepare *prepare, int events)
{
    (void) events;
    tide_lane_t *self = prepare->data;
    tide_web_serve (self);
    bool is_busy = tide_uplink_service (self->uplink);
    uint64_t now = tide_lane_now (self);
    if (now >= tide_hub_deadline_ms (self->hub))
        tide_hub_tick (self->hub, now);
    if (act (self))
        is_busy = true;
    if (flush (self))
        is_busy = true;
    set_tick (self, now);
    if (is_busy)
        ev_idle_start (loop, &self->again);
    else
        ev_idle_stop (loop, &self->again);
    if (self->is_stopping && !is_busy && (is_over (self) || now >= self->stop_by_ms))
        ev_break (loop, EVBREAK_ALL);
}

/*  Timers and the idle watcher only see to it that on_prepare runs. */
static void on_timer (struct ev_loop *loop, ev_timer *timer, int events)
{
    (void) loop;
    (void) timer;
    (void) events;
}

static void on_idle (struct ev_loop *loop, ev_idle *idle, int events)
{
    (void) loop;
    (void) idle;
    (void) events;
}

static void on_stop (struct ev_loop *loop, ev_async *async, int events)
{
    (void) events;
    tide_lane_t *self = async->data;
    if (self->is_stopping)
        return;
    self->is_stopping = true;
    self->stop_by_ms = tide_lane_now (self) + STOP_MS;
    for (unsigned at = 0; at < self->config.listeners; at++)
        ev_io_stop (loop, &self->listener[at]);
    tide_hub_stop (self->hub, tide_lane_now (self));
}

static void on_uplink (void *argument, tide_bytes_t bytes, bool is_published)
{
    tide_lane_t *self = argument;
    if (is_published)
        tide_hub_published (self->hub, tide_lane_now (self), bytes);
    else
        tide_hub_receive (self->hub, tide_lane_now (self), bytes);
}

static void *run (void *argument)
{
    tide_lane_t *self = argument;
    ev_run (self->loop, 0);
    return NULL;
}

/*  -- its life -------------------------------------------------------------------------------- */

static void add_stats (tide_lane_t *self)
{
    const tide_uplink_counters_t *uplink = tide_uplink_counters (self->uplink);
    const struct {
        const char *name;
        const uint64_t *value;
    } stats[] = {
#define LANE(name, member) {"tidemark_lane_" name, &self->counters.member}
#define REFUSED(reason) LANE ("refused_total{reason=\"" #reason "\"}", refused_##reason)
#define REQUESTS(kind) LANE ("requests_total{kind=\"" #kind "\"}", requests_##kind)
#define ANSWERS(class) LANE ("answers_total{class=\"" #class "\"}", answers_##class)
#define UPLINK(member)                                                                             \
    {                                                                                              \
        "tidemark_uplink_" #member "_total", &uplink->member                                       \
    }
        LANE ("index", index),
        LANE ("connections", connections),
        LANE ("websockets", websockets),
        LANE ("streams", streams),
        LANE ("accepted_total", accepted),
        LANE ("accept_errors_total", accept_errors),
        REFUSED (origin),
        REFUSED (handshake),
        REFUSED (path),
        REFUSED (method),
        REFUSED (length),
        REFUSED (size),
        REFUSED (stopping),
        REQUESTS (file),
        REQUESTS (api),
        REQUESTS (health),
        REQUESTS (metrics),
        REQUESTS (polling),
        REQUESTS (events),
        LANE ("requests_abandoned_total", requests_abandoned),
        ANSWERS (2xx),
        ANSWERS (3xx),
        ANSWERS (4xx),
        ANSWERS (5xx),
        LANE ("answer_bytes_total", answer_bytes),
        LANE ("messages_total", messages),
        LANE ("message_bytes_total", message_bytes),
        LANE ("messages_refused_total{reason=\"size\"}", messages_too_large),
        LANE ("messages_refused_total{reason=\"utf8\"}", messages_not_utf8),
        LANE ("writes_total", writes),
        LANE ("write_bytes_total", write_bytes),
        LANE ("partial_writes_total", partial_writes),
        LANE ("flushes_total", flushes),
        LANE ("flushes_gathered_total", gathered),
        UPLINK (sent),
        UPLINK (sent_bytes),
        UPLINK (dropped),
        UPLINK (received),
        UPLINK (received_bytes),
        UPLINK (published),
        UPLINK (published_bytes),
        UPLINK (errors),
#undef UPLINK
#undef ANSWERS
#undef REQUESTS
#undef REFUSED
#undef LANE
    };
    self->counters.index = self->config.index;
    /*  The last one added is listed first. */
    for (size_t at = sizeof stats / sizeof stats[0]; at-- > 0;)
        tide_hub_add_stat (self->hub, stats[at].name, stats[at].value);
}

/*  As people know it: the machine, and the port that it listens at. */
static void name_gateway (const tide_lane_t *self, char *name, size_t size)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in.sin_port = htons (self->config.config->listen_port)};
    socklen_t length = sizeof address;
    if (self->config.listeners > 0)
        getsockname (self->config.listener[0], &address.any, &length);
    char host[128] = "";
    gethostname (host, sizeof host - 1); /* what is cut is still a name */
    uint16_t port = address.any.sa_family == AF_INET6 ? address.in6.sin6_port : address.in.sin_port;
    snprintf (name, size, "%s:%u", host, (unsigned) ntohs (port));
}

static void make_hub (tide_lane_t *self)
{
    const tide_config_t *config = self->config.config;
    char name[160];
    name_gateway (self, name, sizeof name);
    uint8_t id[8];
    char lane[2 * sizeof id + 1];
    randombytes_buf (id, sizeof id);
    sodium_bin2hex (lane, sizeof lane, id, sizeof id);
    tide_hub_config_t hub = {
        .lane = lane,
        .gateway = name,
        .engineio = {.ping_interval_ms = (uint32_t) config->ping_interval_ms,
                     .ping_timeout_ms = (uint32_t) config->ping_timeout_ms,
                     .payload_max = (uint32_t) config->payload_max},
        .connect_timeout_ms = (uint32_t) config->connect_timeout_ms,
        .payload_max = (uint32_t) config->payload_max,
        .resume_ms = (uint32_t) (config->resume_s * 1000),
        .namespaces = (const char *const *) config->namespaces,
        .no_recovery = (const char *const *) config->no_recovery,
        .may_read = config->anonymous != TIDE_ANONYMOUS_NONE,
        .may_publish = config->anonymous == TIDE_ANONYMOUS_ALL,
        .application = self->config.application,
        .write_size_max = WRITE_SIZE_MAX,
    };
    randombytes_buf (hub.secret, sizeof hub.secret);
    self->hub = tide_hub_new (&hub, tide_lane_now (self));
    sodium_memzero (hub.secret, sizeof hub.secret);
}

static void make_watchers (tide_lane_t *self)
{
    for (unsigned at = 0; at < self->config.listeners; at++) {
        ev_io_init (&self->listener[at], on_accept, self->config.listener[at], EV_READ);
        self->listener[at].data = self;
        ev_io_start (self->loop, &self->listener[at]);
    }
    ev_prepare_init (&self->prepare, on_prepare);
    self->prepare.data = self;
    ev_prepare_start (self->loop, &self->prepare);
    ev_async_init (&self->stop, on_stop);
    self->stop.data = self;
    ev_async_start (self->loop, &self->stop);
    ev_idle_init (&self->again, on_idle);
    ev_timer_init (&self->tick, on_timer, 0, 0);
    ev_timer_init (&self->gather, on_timer, 0, 0);
    ev_timer_init (&self->sweep, on_sweep, 0, TIDE_SWEEP_MS / 1000.0);
    self->sweep.data = self;
    ev_timer_init (&self->reaccept, on_reaccept, 0, 0);
    self->reaccept.data = self;
}

tide_lane_t *tide_lane_new (const tide_lane_config_t *config, char **why)
{
    tide_lane_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    self->wall_ms = clock_ms (CLOCK_REALTIME);
    self->started_ms = clock_ms (CLOCK_MONOTONIC);
    self->loop = ev_loop_new (EVBACKEND_EPOLL | EVFLAG_NOENV | EVFLAG_NOSIGMASK);
    if (!self->loop) {
        const char *text = "there is no epoll descriptor to be had";
        *why = tide_copy (text, strlen (text));
        tide_lane_destroy (&self);
        return NULL;
    }
    make_watchers (self);
    self->context = tide_lws_new (self->loop, protocols, self, &self->vhost, why);
    if (!self->context) {
        tide_lane_destroy (&self);
        return NULL;
    }
    make_hub (self);
    self->uplink = tide_uplink_new (self->loop, config->zmq, config->broker, on_uplink, self);
    add_stats (self);
    return self;
}

bool tide_lane_start (tide_lane_t *self)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    self->has_thread = pthread_create (&self->thread, NULL, run, self) == 0;
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (self->has_thread) {
        char name[16];
        snprintf (name, sizeof name, "lane %u", self->config.index);
        pthread_setname_np (self->thread, name);
    }
    return self->has_thread;
}

void tide_lane_stop (tide_lane_t *self)
{
    ev_async_send (self->loop, &self->stop);
}

void tide_lane_destroy (tide_lane_t **self_p)
{
    tide_lane_t *self = *self_p;
    if (!self)
        return;
    if (self->has_thread) {
        tide_lane_stop (self);
        pthread_join (self->thread, NULL);
    }
    /*  Closes what is left: the hub hears of it. */
    tide_lane_client_t *client, *next;
    DL_FOREACH_SAFE2 (self->watched, client, next, watched_next)
        if (client->web)
            tide_web_close (client);
    lws_context_destroy (self->context);
    tide_uplink_destroy (&self->uplink);
    tide_hub_destroy (&self->hub);
    if (self->loop)
        ev_loop_destroy (self->loop);
    for (unsigned at = 0; at < self->config.listeners; at++)
        close (self->config.listener[at]);
    free (self);
    *self_p = NULL;
}
