/*  tide_server.c - the broker as a running thing: its sockets, its log, its thread.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_server.h"

#include "tide_alloc.h"
#include "tide_broker.h"
#include "tide_edge.h"
#include "tide_endpoint.h"
#include "tide_limits.h"
#include "tide_log.h"
#include "tide_print.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

/*  What one wake takes from the ROUTER before the core is drained: large enough for a batch to
 *  gather, small enough for heartbeats and completions not to wait. */
#define RECEIVE_BUDGET 2000
#define RECEIVE_BUDGET_SIZE (8u << 20)
/*  And what may wait to be sent meanwhile: small questions have large answers. */
#define SAID_BUDGET_SIZE (4u << 20)
/*  Of subscriptions: a peer that sends nothing else does not keep the rest waiting. */
#define SUBSCRIPTION_BUDGET 10000

/*  A subscription is a class byte, a topic and a NUL, behind ZeroMQ's own byte; a peer that sends
 *  more on a socket that only publishes is cut. */
#define SUBSCRIPTION_SIZE_MAX 1024

#define HANDSHAKE_MS 5000
#define BACKLOG 1024

/*  How long a stopping broker waits for its log, and its sockets for their peers. */
#define STOP_MS 10000
#define LINGER_MS 500

typedef struct {
    uint64_t received, sent, dropped, unreachable, misframed;
    uint64_t published, published_volatile, unpublished;
} counters_t;

struct tide_server {
    const tide_config_t *config;
    void *context;
    tide_edge_t router;
    tide_edge_t events;
    tide_edge_t volatiles;
    char *endpoint;  /* of the ROUTER */
    char *inner;     /* the same for sockets of this context; NULL: it has none */
    char *events_at; /* for WELCOME */
    char *volatiles_at;
    tide_log_t *log;
    int log_fd;
    tide_broker_t *broker;
    uint64_t wall_ms;      /* the wall clock when the server was started */
    uint64_t monotonic_ms; /* and the other clock then */
    int stop_fd;           /* written to by tide_server_stop */
    int failed_fd;         /* written to by the thread */
    bool has_thread;
    pthread_t thread;
    bool is_stopping;
    uint64_t stop_by_ms;
    bool has_failed;
    counters_t counters;
};

/*  -- clocks ----------------------------------------------------------------------------------
 *  One that also goes on while the machine sleeps: time that passed is time that passed, for
 *  leases (which then get a full period anew) as for events' ages. */

static uint64_t clock_ms (clockid_t which)
{
    struct timespec now;
    clock_gettime (which, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

static uint64_t now_ms (const tide_server_t *self)
{
    return self->wall_ms + (clock_ms (CLOCK_BOOTTIME) - self->monotonic_ms);
}

/*  -- start: the log -------------------------------------------------------------------------- */

__attribute__ ((format (printf, 2, 3))) static bool refuse (char **why, const char *format, ...)
{
    char line[600];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (line, sizeof line, format, arguments);
    va_end (arguments);
    *why = tide_copy (line, strlen (line));
    return false;
}

static uint64_t random_u64 (void)
{
    uint64_t number;
    do
        randombytes_buf (&number, sizeof number);
    while (number == 0);
    return number;
}

static tide_broker_config_t broker_config (const tide_server_t *self, uint64_t epoch)
{
    const tide_config_t *config = self->config;
    return (tide_broker_config_t){.epoch = epoch,
                                  .hash_seed = {random_u64 (), random_u64 ()},
                                  .events = self->events_at,
                                  .volatiles = self->volatiles_at,
                                  .payload_max = (uint32_t) config->payload_max,
                                  .retain_events = config->retain_events,
                                  .retain_bytes = config->retain_bytes,
                                  .retain_ms = config->retain_age_s * 1000,
                                  .dedupe_ids = config->dedupe_ids,
                                  .workers_wait_ms = config->workers_wait_s * 1000};
}

/*  The machine's present boot: a log that was open in another one was not closed cleanly. */
static const char *read_boot_id (char id[64])
{
    FILE *file = fopen ("/proc/sys/kernel/random/boot_id", "re");
    if (!file)
        return NULL;
    bool is_read = fgets (id, 64, file) != NULL;
    fclose (file);
    if (!is_read)
        return NULL;
    id[strcspn (id, "\n")] = 0;
    return id;
}

static bool open_log (tide_server_t *self, char **why)
{
    const tide_config_t *config = self->config;
    if (config->memory) {
        self->log = tide_log_open_memory (random_u64 ());
        self->log_fd = tide_log_fd (self->log);
        return true;
    }
    char boot_id[64];
    tide_broker_config_t sizes = broker_config (self, 0);
    tide_log_lmdb_config_t log_config = {.directory = config->data,
                                         .sync_always = config->sync == 0,
                                         .segments = tide_broker_segments (&sizes),
                                         .epoch_seed = random_u64 (),
                                         .boot_id = read_boot_id (boot_id)};
    char *reason = NULL;
    self->log = tide_log_open_lmdb (&log_config, &reason);
    if (!self->log) {
        refuse (why, "cannot open the log in %s: %s", config->data, reason ? reason : "unknown");
        free (reason);
        return false;
    }
    self->log_fd = tide_log_fd (self->log);
    return true;
}

static void load_lost (void *argument, tide_bytes_t topic, uint64_t seq)
{
    tide_broker_load_lost (argument, topic, seq);
}

static void load_event (void *argument, uint64_t seq, uint64_t segment_first,
                        const tide_bytes_t *record)
{
    tide_broker_load (argument, seq, segment_first, record);
}

/*  Makes the core and tells it what the log holds. What can't be read would be a gap that nobody
 *  is told of: then there is no start. */
static bool load (tide_server_t *self, char **why)
{
    tide_log_info_t info = tide_log_info (self->log);
    tide_broker_config_t config = broker_config (self, info.epoch);
    self->broker = tide_broker_new (&config);
    const struct {
        const char *name;
        const uint64_t *value;
    } stats[] = {
        {"tidemark_broker_messages_received_total", &self->counters.received},
        {"tidemark_broker_messages_sent_total", &self->counters.sent},
        {"tidemark_broker_messages_dropped_total", &self->counters.dropped},
        {"tidemark_broker_peers_unreachable_total", &self->counters.unreachable},
        {"tidemark_broker_messages_misframed_total", &self->counters.misframed},
        {"tidemark_broker_frames_published_total", &self->counters.published},
        {"tidemark_broker_frames_published_volatile_total", &self->counters.published_volatile},
        {"tidemark_broker_frames_unpublished_total", &self->counters.unpublished},
    };
    for (size_t at = 0; at < sizeof stats / sizeof *stats; at++)
        tide_broker_add_stat (self->broker, stats[at].name, stats[at].value);
    uint64_t began_ms = clock_ms (CLOCK_MONOTONIC);
    if (tide_log_lost (self->log, load_lost, self->broker) != TIDE_OK
        || tide_log_scan (self->log, load_event, self->broker) != TIDE_OK)
        return refuse (why, "cannot read the log in %s: see \"tidemark check\"",
                       self->config->data);
    info = tide_log_info (self->log);
    tide_broker_start (self->broker, now_ms (self), info.last);
    tide_print (TIDE_LEVEL_INFO, "log_loaded",
                "engine=%s epoch=%016" PRIx64 " first=%" PRIu64 " last=%" PRIu64 " events=%" PRIu64
                " size=%" PRIu64 " ms=%" PRIu64,
                self->config->memory ? "memory" : "lmdb", info.epoch, info.first, info.last,
                info.events, info.size, clock_ms (CLOCK_MONOTONIC) - began_ms);
    if (info.damaged > 0)
        tide_print (TIDE_LEVEL_ERROR, "log_damaged", "records=%" PRIu64 " see=\"tidemark check\"",
                    info.damaged);
    return true;
}

/*  -- start: the sockets ---------------------------------------------------------------------- */

static void set (void *socket, int option, int value)
{
    int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    tide_assert (rc == 0);
}

static void *make_socket (tide_server_t *self, int type, const char *endpoint, int hwm,
                          uint64_t message_size_max)
{
    void *socket = zmq_socket (self->context, type);
    if (!socket)
        return NULL;
    int64_t size_max = (int64_t) message_size_max;
    int rc = zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    tide_assert (rc == 0);
    set (socket, ZMQ_SNDHWM, hwm);
    set (socket, ZMQ_RCVHWM, hwm);
    set (socket, ZMQ_LINGER, LINGER_MS);
    set (socket, ZMQ_BACKLOG, BACKLOG);
    set (socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS);
    set (socket, ZMQ_HEARTBEAT_IVL, TIDE_HEARTBEAT_MS);
    set (socket, ZMQ_HEARTBEAT_TIMEOUT, TIDE_LIVENESS_MS);
    set (socket, ZMQ_HEARTBEAT_TTL, TIDE_LIVENESS_MS);
    set (socket, ZMQ_IPV6, strchr (endpoint, '[') != NULL);
    if (type == ZMQ_ROUTER)
        set (socket, ZMQ_ROUTER_MANDATORY, 1);
    return socket;
}

/*  Where sockets of the same context reach the ROUTER that is bound to TCP: by its port, so that
 *  WELCOME's ports lead there as well (tide_endpoint.h). NULL if it is bound to something else. */
static char *inner (const char *bound)
{
    char made[64];
    if (strncmp (bound, "tcp://", 6) != 0)
        return NULL;
    snprintf (made, sizeof made, "inproc://tidemark%s", strrchr (bound, ':'));
    return tide_copy (made, strlen (made));
}

static bool bind_inner (void *socket, const char *endpoint, char **why)
{
    return zmq_bind (socket, endpoint) == 0
           || refuse (why, "cannot bind %s: %s", endpoint, zmq_strerror (zmq_errno ()));
}

/*  A publishing socket is there, too, where WELCOME leads from the inner endpoint to within. What
 *  is at another address has an endpoint of its own, and may have the ROUTER's very port there. */
static bool bind_fanout_inner (const tide_server_t *self, const tide_edge_t *edge,
                               const char *announced_at, char **why)
{
    char *endpoint = tide_endpoint_told (self->inner ? self->inner : "", tide_bytes (announced_at));
    bool is_bound =
        strncmp (endpoint, "inproc:", 7) != 0 || bind_inner (edge->socket, endpoint, why);
    free (endpoint);
    return is_bound;
}

/*  Binds, and finds out where. *bound is freed by the caller. */
static bool bind_socket (tide_edge_t *edge, tide_server_t *self, int type, const char *endpoint,
                         int hwm, uint64_t message_size_max, char **bound, char **why)
{
    *edge = tide_edge (make_socket (self, type, endpoint, hwm, message_size_max));
    if (!edge->socket || zmq_bind (edge->socket, endpoint) != 0)
        return refuse (why, "cannot bind %s: %s", endpoint, zmq_strerror (zmq_errno ()));
    char last[512];
    size_t size = sizeof last;
    int rc = zmq_getsockopt (edge->socket, ZMQ_LAST_ENDPOINT, last, &size);
    tide_assert (rc == 0);
    free (*bound);
    *bound = tide_copy (last, strlen (last));
    return true;
}

/*  What is bound to every address is connected to on this machine's own. */
static char *connectable (const char *bound)
{
    static const struct {
        const char *any, *own;
    } hosts[] = {{"tcp://0.0.0.0:", "tcp://127.0.0.1:"}, {"tcp://[::]:", "tcp://[::1]:"}};
    for (unsigned at = 0; at < 2; at++) {
        size_t size = strlen (hosts[at].any);
        if (strncmp (bound, hosts[at].any, size) != 0)
            continue;
        char made[600];
        snprintf (made, sizeof made, "%s%s", hosts[at].own, bound + size);
        return tide_copy (made, strlen (made));
    }
    return tide_copy (bound, strlen (bound));
}

/*  What WELCOME says of a publishing socket: only its port where its host is the ROUTER's, for a
 *  peer may know that host by another name; else the endpoint. */
static char *announced (const char *router, const char *bound)
{
    const char *port = strrchr (bound, ':');
    const char *router_port = strrchr (router, ':');
    size_t size = (size_t) (port - bound);
    if (strncmp (bound, "tcp://", 6) == 0 && (size_t) (router_port - router) == size
        && memcmp (bound, router, size) == 0)
        return tide_copy (port + 1, strlen (port + 1));
    return tide_copy (bound, strlen (bound));
}

static bool bind_sockets (tide_server_t *self, char **why)
{
    const tide_config_t *config = self->config;
    self->context = zmq_ctx_new ();
    tide_assert (self->context);
    char *router = NULL, *events = NULL, *volatiles = NULL;
    bool is_bound = bind_socket (&self->router, self, ZMQ_ROUTER, config->broker, TIDE_ROUTER_HWM,
                                 TIDE_MESSAGE_SIZE_READ (config->payload_max), &router, why)
                    && bind_socket (&self->events, self, ZMQ_XPUB, config->events, TIDE_FANOUT_HWM,
                                    SUBSCRIPTION_SIZE_MAX, &events, why)
                    && bind_socket (&self->volatiles, self, ZMQ_XPUB, config->volatiles,
                                    TIDE_VOLATILE_HWM, SUBSCRIPTION_SIZE_MAX, &volatiles, why);
    if (is_bound) {
        self->endpoint = connectable (router);
        self->inner = inner (router);
        self->events_at = announced (router, events);
        self->volatiles_at = announced (router, volatiles);
        is_bound = (!self->inner || bind_inner (self->router.socket, self->inner, why))
                   && bind_fanout_inner (self, &self->events, self->events_at, why)
                   && bind_fanout_inner (self, &self->volatiles, self->volatiles_at, why);
    }
    if (is_bound)
        tide_print (TIDE_LEVEL_INFO, "broker_bound", "router=%s events=%s volatile=%s", router,
                    events, volatiles);
    free (router);
    free (events);
    free (volatiles);
    return is_bound;
}

/*  -- running: what the core wants done ------------------------------------------------------- */

/*  The copy is made in the library: where its peer is another thread of ours, that may be all that
 *  a sanitizer sees of the message on its way (tests/tsan.supp). */
static int send_copy (tide_edge_t *edge, tide_bytes_t bytes, int flags)
{
    edge->is_touched = true;
    if (zmq_send (edge->socket, bytes.data, bytes.size, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    int error = zmq_errno ();
    tide_assert (error != ENOMEM);
    return error;
}

static void send_to_peer (tide_server_t *self, const tide_broker_action_t *action)
{
    int error = send_copy (&self->router, action->peer, ZMQ_SNDMORE);
    if (error == 0)
        error = send_copy (&self->router, action->bytes, 0);
    if (error == 0)
        self->counters.sent++;
    else if (error == EAGAIN)
        /*  Its queue is full: it asks again, as for anything that was lost on the way. */
        self->counters.dropped++;
    else {
        self->counters.unreachable++;
        tide_broker_gone (self->broker, now_ms (self), action->peer);
    }
}

static void publish (tide_server_t *self, const tide_broker_action_t *action)
{
    tide_edge_t *edge = action->is_volatile ? &self->volatiles : &self->events;
    if (send_copy (edge, action->bytes, 0) != 0)
        self->counters.unpublished++;
    else if (action->is_volatile)
        self->counters.published_volatile++;
    else
        self->counters.published++;
}

static void log_failed (tide_server_t *self)
{
    self->has_failed = true;
    tide_print (TIDE_LEVEL_ERROR, "log_failed",
                "data=%s message=\"the log can't go on: the broker stops, nothing more "
                "is acknowledged\"",
                self->config->memory ? "(memory)" : self->config->data);
}

/*  Does what the core says until it says no more, or the log failed. */
static bool drain_actions (tide_server_t *self)
{
    tide_broker_action_t action;
    bool has_acted = false;
    while (!self->has_failed && tide_broker_next_action (self->broker, &action)) {
        has_acted = true;
        switch (action.kind) {
        case TIDE_BROKER_SEND:
            send_to_peer (self, &action);
            break;
        case TIDE_BROKER_PUBLISH:
            publish (self, &action);
            break;
        case TIDE_BROKER_APPEND:
            tide_log_append (self->log, &action.batch);
            break;
        case TIDE_BROKER_FETCH:
            tide_log_fetch (self->log, &action.fetch);
            break;
        case TIDE_BROKER_STOP:
            log_failed (self);
            break;
        }
    }
    return has_acted;
}

static void take_completions (tide_server_t *self)
{
    tide_log_completion_t completion;
    while (tide_log_next (self->log, &completion))
        tide_broker_complete (self->broker, now_ms (self), &completion);
}

/*  A log without a descriptor has its completions there at once. */
static void settle (tide_server_t *self)
{
    while (drain_actions (self))
        if (self->log_fd < 0 && !self->has_failed)
            take_completions (self);
}

/*  -- running: what comes in ------------------------------------------------------------------ */

static tide_bytes_t bytes_of (zmq_msg_t *message)
{
    return (tide_bytes_t){zmq_msg_data (message), zmq_msg_size (message)};
}

/*  Takes one message off the ROUTER: the peer and one frame, whatever the peer made of it. Returns
 *  its size, or -1 if there is none. */
static int64_t receive_one (tide_server_t *self, uint64_t now)
{
    zmq_msg_t peer, body;
    zmq_msg_init (&peer);
    if (zmq_msg_recv (&peer, self->router.socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (&peer);
        return -1;
    }
    zmq_msg_init (&body);
    unsigned frames = 0;
    bool has_more = zmq_msg_more (&peer);
    while (has_more && zmq_msg_recv (&body, self->router.socket, ZMQ_DONTWAIT) >= 0) {
        frames++;
        has_more = zmq_msg_more (&body);
    }
    int64_t size = (int64_t) zmq_msg_size (&body);
    self->counters.received++;
    if (frames == 1)
        tide_broker_receive (self->broker, now, bytes_of (&peer), bytes_of (&body));
    else {
        /*  No message of ours: refused as one that is empty. */
        self->counters.misframed++;
        tide_broker_receive (self->broker, now, bytes_of (&peer), tide_bytes (""));
    }
    zmq_msg_close (&body);
    zmq_msg_close (&peer);
    return size;
}

/*  Takes a burst off the ROUTER. */
static void receive (tide_server_t *self)
{
    uint64_t now = now_ms (self);
    uint64_t size = 0;
    self->router.is_touched = true;
    for (unsigned count = 0; count < RECEIVE_BUDGET && size < RECEIVE_BUDGET_SIZE
                             && tide_broker_said_size (self->broker) < SAID_BUDGET_SIZE;
         count++) {
        int64_t one = receive_one (self, now);
        if (one < 0) {
            self->router.is_touched = false;
            return;
        }
        size += (uint64_t) one;
    }
}

/*  Subscriptions are ZeroMQ's affair: they only have to be taken off. */
static void drain_subscriptions (tide_edge_t *edge)
{
    zmq_msg_t message;
    zmq_msg_init (&message);
    unsigned left = SUBSCRIPTION_BUDGET;
    while (left > 0 && zmq_msg_recv (&message, edge->socket, ZMQ_DONTWAIT) >= 0)
        left--;
    edge->is_touched = left == 0;
    zmq_msg_close (&message);
}

/*  -- running: the loop ----------------------------------------------------------------------- */

static int wait_ms (const tide_server_t *self)
{
    uint64_t now = now_ms (self);
    uint64_t deadline = tide_broker_deadline_ms (self->broker);
    if (deadline <= now)
        return 0;
    return deadline - now < 1000 ? (int) (deadline - now) : 1000;
}

static void begin_stop (tide_server_t *self)
{
    uint64_t count;
    if (read (self->stop_fd, &count, sizeof count) != (ssize_t) sizeof count)
        return;
    self->is_stopping = true;
    self->stop_by_ms = now_ms (self) + STOP_MS;
    tide_broker_stop (self->broker, now_ms (self));
}

static bool is_done (tide_server_t *self)
{
    if (self->has_failed)
        return true;
    if (!self->is_stopping)
        return false;
    if (tide_broker_is_idle (self->broker))
        return true;
    if (now_ms (self) < self->stop_by_ms)
        return false;
    tide_print (TIDE_LEVEL_WARNING, "stop_timeout", "message=\"the log did not finish in %d ms\"",
                STOP_MS);
    return true;
}

enum { STOP, LOG, DOORS, ITEMS = DOORS + 3 };

/*  Until something comes or is due: what has come is in the items, and in what the edges say. */
static void wait (tide_server_t *self, struct pollfd items[ITEMS])
{
    tide_edge_t *edges[] = {&self->router, &self->events, &self->volatiles};
    bool has_input = false;
    items[STOP] = (struct pollfd){.fd = self->stop_fd, .events = POLLIN};
    items[LOG] = (struct pollfd){.fd = self->log_fd, .events = POLLIN};
    for (unsigned each = 0; each < 3; each++) {
        items[DOORS + each] = tide_edge_item (edges[each]);
        has_input |= tide_edge_has_input (edges[each]);
    }
    if (poll (items, ITEMS, has_input ? 0 : wait_ms (self)) < 0) {
        tide_assert (errno == EINTR);
        items[STOP].revents = items[LOG].revents = 0;
        return;
    }
    for (unsigned each = 0; each < 3; each++)
        edges[each]->is_touched |= items[DOORS + each].revents != 0;
}

static void run (tide_server_t *self)
{
    struct pollfd items[ITEMS];
    for (;;) {
        settle (self);
        if (is_done (self))
            return;
        wait (self, items);
        if (items[LOG].revents != 0)
            take_completions (self);
        if (self->router.is_touched)
            receive (self);
        if (self->events.is_touched)
            drain_subscriptions (&self->events);
        if (self->volatiles.is_touched)
            drain_subscriptions (&self->volatiles);
        if (items[STOP].revents != 0)
            begin_stop (self);
        if (tide_broker_deadline_ms (self->broker) <= now_ms (self))
            tide_broker_tick (self->broker, now_ms (self));
    }
}

static void *thread_main (void *argument)
{
    tide_server_t *self = argument;
    run (self);
    if (self->has_failed) {
        uint64_t one = 1;
        ssize_t size = write (self->failed_fd, &one, sizeof one);
        tide_assert (size == (ssize_t) sizeof one);
    }
    return NULL;
}

/*  -- start and stop -------------------------------------------------------------------------- */

static bool start_thread (tide_server_t *self, char **why)
{
    self->stop_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->failed_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->stop_fd < 0 || self->failed_fd < 0)
        return refuse (why, "cannot make an eventfd: %s", strerror (errno));
    int rc = pthread_create (&self->thread, NULL, thread_main, self);
    if (rc != 0)
        return refuse (why, "cannot start a thread: %s", strerror (rc));
    self->has_thread = true;
    pthread_setname_np (self->thread, "broker");
    return true;
}

static void close_socket (tide_server_t *self, void *socket)
{
    if (!socket)
        return;
    if (self->has_failed)
        set (socket, ZMQ_LINGER, 0);
    zmq_close (socket);
}

static void destroy (tide_server_t *self)
{
    tide_broker_destroy (&self->broker);
    if (self->log)
        tide_log_close (&self->log);
    close_socket (self, self->router.socket);
    close_socket (self, self->events.socket);
    close_socket (self, self->volatiles.socket);
    if (self->context)
        zmq_ctx_term (self->context);
    if (self->stop_fd >= 0)
        close (self->stop_fd);
    if (self->failed_fd >= 0)
        close (self->failed_fd);
    free (self->endpoint);
    free (self->inner);
    free (self->events_at);
    free (self->volatiles_at);
    free (self);
}

tide_server_t *tide_server_start (const tide_config_t *config, char **why)
{
    tide_server_t *self = tide_alloc (sizeof *self);
    self->config = config;
    self->log_fd = self->stop_fd = self->failed_fd = -1;
    self->wall_ms = clock_ms (CLOCK_REALTIME);
    self->monotonic_ms = clock_ms (CLOCK_BOOTTIME);
    *why = NULL;
    /*  Random numbers first, then the log, which may fork: ZeroMQ has threads. */
    if (sodium_init () < 0)
        refuse (why, "there are no random numbers to be had");
    else if (open_log (self, why) && bind_sockets (self, why) && load (self, why)
             && start_thread (self, why))
        return self;
    destroy (self);
    return NULL;
}

void tide_server_stop (tide_server_t **self_p)
{
    tide_server_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    uint64_t one = 1;
    ssize_t size = write (self->stop_fd, &one, sizeof one);
    tide_assert (size == (ssize_t) sizeof one);
    pthread_join (self->thread, NULL);
    uint64_t head = tide_broker_head (self->broker);
    bool has_failed = self->has_failed;
    destroy (self);
    if (!has_failed)
        tide_print (TIDE_LEVEL_INFO, "broker_stopped", "last=%" PRIu64, head);
}

const char *tide_server_endpoint (const tide_server_t *self)
{
    return self->endpoint;
}

void *tide_server_context (const tide_server_t *self)
{
    return self->context;
}

const char *tide_server_inner_endpoint (const tide_server_t *self)
{
    return self->inner ? self->inner : self->endpoint;
}

int tide_server_failed_fd (const tide_server_t *self)
{
    return self->failed_fd;
}
