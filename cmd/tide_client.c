/*  tide_client.c - a command's connection to the broker: a small blocking loop.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_client.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_endpoint.h"
#include "tide_topic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <zmq.h>

/*  Messages taken from one socket before what follows from them is done. */
#define RECEIVE_BUDGET 500
/*  A broker that did not answer for this long at the start is said to be away. */
#define AWAY_MS 2000
#define LEAVE_MS 200

/*  A request that the feed made: its answer goes back under the feed's tag. */
typedef struct {
    uint64_t token, tag;
} asked_t;

struct tide_client {
    tide_client_config_t config;
    tide_link_t *link;
    tide_feed_t *feed; /* NULL until something is followed */
    void *context;
    void *dealer;
    void *events;
    void *volatiles;
    char **patterns; /* subscribed to, for fresh SUB sockets */
    size_t pattern_count;
    asked_t *asked;
    size_t asked_count;
    uint64_t began_ms;
    uint64_t answered_ms; /* when the broker last answered, or nothing was awaited */
    uint32_t payload_max;
    bool has_said_away;
    bool has_failed;
};

static uint64_t clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

tide_client_t *tide_client_new (const tide_client_config_t *config)
{
    tide_client_t *self = tide_alloc (sizeof *self);
    self->config = *config;
    uint64_t random[2];
    ssize_t size = getrandom (random, sizeof random, 0);
    tide_assert (size == (ssize_t) sizeof random);
    char origin[40];
    snprintf (origin, sizeof origin, "%016" PRIx64 "%08x", random[0], (unsigned) random[1]);
    tide_link_config_t link_config = {.name = config->program, .origin = origin};
    self->link = tide_link_new (&link_config);
    self->context = zmq_ctx_new ();
    tide_assert (self->context);
    self->began_ms = self->answered_ms = clock_ms ();
    tide_link_start (self->link, self->began_ms);
    return self;
}

/*  -- sockets --------------------------------------------------------------------------------- */

static void set (void *socket, int option, int value)
{
    int rc = zmq_setsockopt (socket, option, &value, sizeof value);
    tide_assert (rc == 0);
}

static void close_socket (void **socket)
{
    if (*socket)
        zmq_close (*socket);
    *socket = NULL;
}

static void fail (tide_client_t *self, const char *what, const char *why)
{
    if (self->has_failed)
        return;
    self->has_failed = true;
    if (self->config.failing)
        self->config.failing (self->config.argument);
    fprintf (stderr, "%s: %s: %s\n", self->config.program, what, why);
}

/*  A fresh socket connected to the endpoint; NULL (and failed) if it is no endpoint. */
static void *connect_to (tide_client_t *self, int type, const char *endpoint, int hwm)
{
    void *socket = zmq_socket (self->context, type);
    tide_assert (socket);
    int64_t size_max = TIDE_MESSAGE_SIZE_MAX;
    int rc = zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &size_max, sizeof size_max);
    tide_assert (rc == 0);
    set (socket, ZMQ_SNDHWM, hwm);
    set (socket, ZMQ_RCVHWM, hwm);
    set (socket, ZMQ_LINGER, 0);
    set (socket, ZMQ_RECONNECT_IVL, 100);
    set (socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    set (socket, ZMQ_HEARTBEAT_IVL, TIDE_HEARTBEAT_MS);
    set (socket, ZMQ_HEARTBEAT_TIMEOUT, TIDE_LIVENESS_MS);
    set (socket, ZMQ_IPV6, strchr (endpoint, '[') != NULL);
    if (zmq_connect (socket, endpoint) == 0)
        return socket;
    fail (self, endpoint, zmq_strerror (zmq_errno ()));
    zmq_close (socket);
    return NULL;
}

static void subscribe_one (void *socket, const tide_buffer_t *prefix, bool on)
{
    if (prefix->size > 0 && socket)
        zmq_setsockopt (socket, on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, prefix->data, prefix->size);
}

static void subscribe (tide_client_t *self, tide_bytes_t pattern, bool on)
{
    for (unsigned is_volatile = 0; is_volatile < 2; is_volatile++) {
        tide_buffer_t one = {0}, two = {0};
        tide_fanout_subscription (pattern, is_volatile, &one, &two);
        subscribe_one (is_volatile ? self->volatiles : self->events, &one, on);
        subscribe_one (is_volatile ? self->volatiles : self->events, &two, on);
        tide_buffer_free (&one);
        tide_buffer_free (&two);
    }
}

/*  Fresh SUB sockets, subscribed to all that is followed. */
static void open_subs (tide_client_t *self, const tide_welcome_message_t *welcome)
{
    close_socket (&self->events);
    close_socket (&self->volatiles);
    char *events = tide_endpoint_told (self->config.endpoint, welcome->events);
    char *volatiles = tide_endpoint_told (self->config.endpoint, welcome->volatiles);
    self->events = connect_to (self, ZMQ_SUB, events, TIDE_FANOUT_HWM);
    self->volatiles = connect_to (self, ZMQ_SUB, volatiles, TIDE_VOLATILE_HWM);
    free (events);
    free (volatiles);
    tide_buffer_t mark = {0};
    tide_fanout_mark_prefix (&mark);
    subscribe_one (self->events, &mark, true);
    tide_buffer_free (&mark);
    for (size_t at = 0; at < self->pattern_count; at++)
        subscribe (self, tide_bytes (self->patterns[at]), true);
}

/*  -- what the link wants --------------------------------------------------------------------- */

static void send_bytes (tide_client_t *self, tide_bytes_t bytes)
{
    /*  What cannot be sent is asked again by the link, when nobody answers. */
    if (self->dealer)
        zmq_send (self->dealer, bytes.data, bytes.size, ZMQ_DONTWAIT);
}

static void say_away (tide_client_t *self)
{
    if (!self->has_said_away)
        fprintf (stderr, "%s: broker_away: %s does not answer; it is tried again\n",
                 self->config.program, self->config.endpoint);
    self->has_said_away = true;
}

static void come_up (tide_client_t *self, const tide_welcome_message_t *welcome)
{
    if (self->has_said_away)
        fprintf (stderr, "%s: %s answers\n", self->config.program, self->config.endpoint);
    self->has_said_away = false;
    self->answered_ms = clock_ms ();
    self->payload_max = welcome->payload_max;
    if (self->feed) {
        /*  What the feed had asked it asks anew. */
        while (self->asked_count > 0)
            tide_link_cancel (self->link, self->asked[--self->asked_count].token);
        open_subs (self, welcome);
        tide_feed_welcome (self->feed, welcome->epoch, welcome->head);
    }
    if (self->config.welcomed)
        self->config.welcomed (self->config.argument);
}

static void take_answer (tide_client_t *self, uint64_t token, const tide_message_t *answer)
{
    self->answered_ms = clock_ms ();
    for (size_t at = 0; at < self->asked_count; at++) {
        if (self->asked[at].token != token)
            continue;
        uint64_t tag = self->asked[at].tag;
        self->asked[at] = self->asked[--self->asked_count];
        tide_feed_answer (self->feed, tag, answer);
        return;
    }
    if (self->config.answered)
        self->config.answered (self->config.argument, token, answer);
}

static bool drain_link (tide_client_t *self)
{
    tide_link_action_t action;
    bool has_acted = false;
    while (!self->has_failed && tide_link_next_action (self->link, &action)) {
        has_acted = true;
        switch (action.kind) {
        case TIDE_LINK_CONNECT:
            close_socket (&self->dealer);
            self->dealer = connect_to (self, ZMQ_DEALER, self->config.endpoint, TIDE_ROUTER_HWM);
            break;
        case TIDE_LINK_SEND:
            send_bytes (self, action.bytes);
            break;
        case TIDE_LINK_UP:
            come_up (self, &action.message->welcome);
            break;
        case TIDE_LINK_AWAY:
            say_away (self);
            break;
        case TIDE_LINK_ANSWER:
            take_answer (self, action.token, action.message);
            break;
        case TIDE_LINK_LENT:    /* is for workers */
        case TIDE_LINK_RELAYED: /* … who hold a lease */
            break;
        }
    }
    if (tide_link_refusal (self->link))
        fail (self, "the broker refuses", tide_link_refusal (self->link));
    return has_acted;
}

/*  -- what the feed wants --------------------------------------------------------------------- */

static void remember_pattern (tide_client_t *self, tide_bytes_t pattern)
{
    self->patterns =
        tide_realloc (self->patterns, (self->pattern_count + 1) * sizeof *self->patterns);
    self->patterns[self->pattern_count++] = tide_copy (pattern.data, pattern.size);
}

static void forget_pattern (tide_client_t *self, tide_bytes_t pattern)
{
    for (size_t at = 0; at < self->pattern_count; at++) {
        if (!tide_bytes_is (pattern, self->patterns[at]))
            continue;
        free (self->patterns[at]);
        self->patterns[at] = self->patterns[--self->pattern_count];
        return;
    }
}

static void ask_for_feed (tide_client_t *self, const tide_feed_action_t *action)
{
    tide_message_t message = *action->message;
    uint64_t token = tide_link_request (self->link, clock_ms (), &message);
    /*  The feed has a few requests at most, a command no more than half of the limit. */
    tide_assert (token != 0);
    self->asked = tide_realloc (self->asked, (self->asked_count + 1) * sizeof *self->asked);
    self->asked[self->asked_count++] = (asked_t){token, action->tag};
}

static bool drain_feed (tide_client_t *self)
{
    tide_feed_action_t action;
    bool has_acted = false;
    while (self->feed && !self->has_failed && tide_feed_next_action (self->feed, &action)) {
        has_acted = true;
        switch (action.kind) {
        case TIDE_FEED_SUBSCRIBE:
            remember_pattern (self, action.pattern);
            subscribe (self, action.pattern, true);
            break;
        case TIDE_FEED_UNSUBSCRIBE:
            subscribe (self, action.pattern, false);
            forget_pattern (self, action.pattern);
            break;
        case TIDE_FEED_REQUEST:
            ask_for_feed (self, &action);
            break;
        default:
            if (self->config.happened)
                self->config.happened (self->config.argument, &action);
        }
    }
    return has_acted;
}

static void settle (tide_client_t *self)
{
    while (drain_link (self) || drain_feed (self))
        continue;
    fflush (stdout);
}

/*  -- the loop -------------------------------------------------------------------------------- */

static void receive (tide_client_t *self, void *socket, bool is_dealer)
{
    zmq_msg_t message;
    zmq_msg_init (&message);
    for (unsigned count = 0; count < RECEIVE_BUDGET; count++) {
        if (zmq_msg_recv (&message, socket, ZMQ_DONTWAIT) < 0)
            break;
        tide_bytes_t bytes = {zmq_msg_data (&message), zmq_msg_size (&message)};
        if (is_dealer)
            tide_link_receive (self->link, clock_ms (), bytes);
        else if (self->feed)
            tide_feed_receive (self->feed, bytes);
    }
    zmq_msg_close (&message);
}

static long wait_ms (const tide_client_t *self, unsigned timeout_ms)
{
    uint64_t now = clock_ms ();
    uint64_t deadline = tide_link_deadline_ms (self->link);
    if (deadline <= now)
        return 0;
    return deadline - now < timeout_ms ? (long) (deadline - now) : (long) timeout_ms;
}

bool tide_client_step (tide_client_t *self, int other, unsigned timeout_ms)
{
    settle (self);
    zmq_pollitem_t items[4];
    int count = 0;
    void *const sockets[] = {self->dealer, self->events, self->volatiles};
    for (unsigned at = 0; at < 3; at++)
        if (sockets[at])
            items[count++] = (zmq_pollitem_t){sockets[at], 0, ZMQ_POLLIN, 0};
    int other_at = count;
    if (other >= 0)
        items[count++] = (zmq_pollitem_t){NULL, other, ZMQ_POLLIN, 0};
    if (self->has_failed)
        return false;
    if (zmq_poll (items, count, wait_ms (self, timeout_ms)) < 0) {
        tide_assert (zmq_errno () == EINTR);
        return false;
    }
    for (int at = 0; at < other_at; at++)
        if (items[at].revents != 0)
            receive (self, items[at].socket, items[at].socket == self->dealer);
    uint64_t now = clock_ms ();
    if (tide_link_deadline_ms (self->link) <= now)
        tide_link_tick (self->link, now);
    settle (self);
    if (self->payload_max == 0 && now - self->began_ms > AWAY_MS)
        say_away (self);
    return other >= 0 && items[other_at].revents != 0;
}

bool tide_client_gave_up (tide_client_t *self, bool is_waiting, uint64_t timeout_s)
{
    uint64_t now = clock_ms ();
    if (!is_waiting)
        self->answered_ms = now;
    if (now - self->answered_ms < timeout_s * 1000)
        return false;
    tide_status_t status = tide_link_is_up (self->link) ? TIDE_TIMEOUT : TIDE_BROKER_AWAY;
    fprintf (stderr, "%s: %s: %s did not answer for %" PRIu64 " s\n", self->config.program,
             tide_status_name (status), self->config.endpoint, timeout_s);
    return true;
}

int tide_client_run (tide_client_t *self, const bool *is_done, uint64_t timeout_s)
{
    while (!*is_done && !self->has_failed) {
        tide_client_step (self, -1, 250);
        if (!*is_done && !self->has_failed && timeout_s > 0
            && tide_client_gave_up (self, true, timeout_s))
            return 1;
    }
    return self->has_failed ? 1 : 0;
}

bool tide_client_has_failed (const tide_client_t *self)
{
    return self->has_failed;
}

void tide_client_destroy (tide_client_t **self_p)
{
    tide_client_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    if (tide_link_is_up (self->link)) {
        tide_message_t bye = {.kind = TIDE_MESSAGE_BYE};
        tide_link_send (self->link, &bye);
        tide_link_action_t action;
        while (tide_link_next_action (self->link, &action))
            if (action.kind == TIDE_LINK_SEND)
                send_bytes (self, action.bytes);
        if (self->dealer)
            set (self->dealer, ZMQ_LINGER, LEAVE_MS);
    }
    close_socket (&self->dealer);
    close_socket (&self->events);
    close_socket (&self->volatiles);
    zmq_ctx_term (self->context);
    tide_link_destroy (&self->link);
    if (self->feed)
        tide_feed_destroy (&self->feed);
    for (size_t at = 0; at < self->pattern_count; at++)
        free (self->patterns[at]);
    free (self->patterns);
    free (self->asked);
    free (self);
}

/*  -- requests -------------------------------------------------------------------------------- */

uint64_t tide_client_request (tide_client_t *self, tide_message_t *message)
{
    return tide_link_request (self->link, clock_ms (), message);
}

void tide_client_cancel (tide_client_t *self, uint64_t token)
{
    tide_link_cancel (self->link, token);
}

void tide_client_make_id (tide_client_t *self, char id[64])
{
    tide_link_make_id (self->link, id);
}

void tide_client_follow (tide_client_t *self, tide_bytes_t pattern)
{
    tide_assert (self->payload_max == 0);
    if (!self->feed)
        self->feed = tide_feed_new ();
    tide_feed_add (self->feed, pattern);
}

uint32_t tide_client_payload_max (const tide_client_t *self)
{
    return self->payload_max;
}

/*  -- what the commands' lines have in common ------------------------------------------------- */

void tide_client_say_fail (const char *program, const tide_fail_message_t *fail)
{
    fprintf (stderr, "%s: %s: %.*s\n", program, tide_status_name ((tide_status_t) fail->code),
             TIDE_PRINT (fail->message));
}

void tide_client_say_reset (tide_bytes_t topic, uint64_t seq, uint64_t epoch, tide_status_t code)
{
    tide_buffer_t line = {0};
    tide_buffer_append_text (&line, "{\"reset\":{");
    if (topic.size > 0) {
        tide_buffer_append_text (&line, "\"topic\":");
        tide_json_string (&line, topic);
        tide_buffer_append_text (&line, ",");
    }
    tide_buffer_printf (&line, "\"seq\":%" PRIu64 ",\"epoch\":", seq);
    tide_json_epoch (&line, epoch);
    tide_buffer_printf (&line, ",\"code\":\"%s\"}}\n", tide_status_name (code));
    fwrite (line.data, 1, line.size, stderr);
    tide_buffer_free (&line);
}

void tide_client_print_event (const tide_event_t *event)
{
    tide_buffer_t line = {0};
    tide_json_event (&line, event, NULL);
    tide_buffer_append_text (&line, "\n");
    fwrite (line.data, 1, line.size, stdout);
    tide_buffer_free (&line);
}

bool tide_client_parse_since (const char *since, bool *is_live, uint64_t *epoch, uint64_t *seq)
{
    *epoch = 0;
    *seq = 0;
    *is_live = strcmp (since, "live") == 0;
    if (*is_live || strcmp (since, "start") == 0)
        return true;
    return tide_position_parse (tide_bytes (since), epoch, seq);
}

int tide_client_command (const tide_program_t *program, int argc, char *const argv[], void *options,
                         tide_client_run_fn *run)
{
    char *text, **arguments;
    tide_options_outcome_t outcome =
        tide_options_read (program, argc, argv, options, &arguments, &text);
    if (text)
        fputs (text, outcome == TIDE_OPTIONS_TOLD ? stdout : stderr);
    free (text);
    int exit_status = outcome == TIDE_OPTIONS_BAD ? 2 : 0;
    if (outcome == TIDE_OPTIONS_READY)
        exit_status = run (options, arguments);
    tide_options_free (program->table, options);
    free (arguments);
    return exit_status;
}

bool tide_client_check_topic (const char *program, const char *topic)
{
    if (tide_pattern_valid (tide_bytes (topic)))
        return true;
    fprintf (stderr, "%s: bad_topic: \"%s\": %s\n", program, topic,
             tide_status_meaning (TIDE_BAD_TOPIC));
    return false;
}
