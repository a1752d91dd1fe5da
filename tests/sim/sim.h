/*  sim.h - the whole system in one process, under one seed.
 *
 *  A world has a broker over a disk, lanes, clients, a publisher and a network, half of the worlds
 *  callers and workers too, a third a worker at the door, two in five members of groups, all of
 *  them driven by one virtual clock and one random number generator: the same seed is the same run,
 *  step for step. Cores are the real ones; everything around them (sockets, disk, processes) is
 *  here, with its faults. The disk keeps every event that ever became durable, so it is the truth
 *  against which the checkers hold what clients see.
 *
 *      clients ~ sockets ~ lanes ~ dealers, subscriptions ~ broker ~ disk
 *
 *  SPDX-License-Identifier: MIT
 */
#ifndef SIM_H
#define SIM_H

#include "tide_alloc.h"
#include "tide_args.h"
#include "tide_broker.h"
#include "tide_hub.h"
#include "tide_link.h"
#include "tide_message.h"
#include "tide_topic.h"

#include <jansson.h>

enum {
    SIM_LANES_MAX = 3,
    SIM_CLIENTS_MAX = 24, /* ghosts included */
    SIM_ACTIONS_MAX = 48, /* remembered for the report of a failure */
    SIM_ACTION_SIZE = 200,
    SIM_CURSORS = 2,
    SIM_PATTERNS = 10,
    SIM_TOPICS = 7,
    SIM_KEYS = 4,
    SIM_SOCKET_SIZE = 32 << 10, /* bytes under way to one client */
    SIM_OUTBOX_SIZE_MAX = 4 << 20,
    SIM_INBOX_SIZE_MAX = (1 << 20) + (128 << 10)
};

typedef struct sim sim_t;
typedef struct sim_disk sim_disk_t;
typedef struct sim_dealer sim_dealer_t;
typedef struct sim_sub sim_sub_t;
typedef struct sim_socket sim_socket_t;
typedef struct sim_client sim_client_t;
typedef struct sim_lane sim_lane_t;

/*  Names by number: topics, and patterns of which the topics come first. */
extern const char *const sim_patterns[SIM_PATTERNS];

/*  -- the network ----------------------------------------------------------------------------- */

typedef struct sim_packet {
    struct sim_packet *next;
    uint64_t due_ms;
    uint8_t kind; /* the user's */
    size_t size;
    uint8_t data[];
} sim_packet_t;

/*  Ordered; what is put in comes out after a delay, or never if the pipe is cut. */
typedef struct {
    sim_packet_t *first, *last;
    size_t count, bytes;
    uint64_t held_until_ms;
} sim_pipe_t;

void sim_pipe_put (sim_t *sim, sim_pipe_t *pipe, uint8_t kind, tide_bytes_t bytes);
bool sim_pipe_ready (const sim_t *sim, const sim_pipe_t *pipe);
uint64_t sim_pipe_due (const sim_pipe_t *pipe);
sim_packet_t *sim_pipe_take (sim_pipe_t *pipe);
void sim_pipe_clear (sim_pipe_t *pipe);
void sim_pipe_hold (sim_t *sim, sim_pipe_t *pipe, uint64_t delay_ms);

/*  A DEALER and its connection to the broker's ROUTER. */
struct sim_dealer {
    bool is_open;
    char id[16];
    sim_pipe_t up, down;
};

/*  A SUB socket and its connection to one of the broker's XPUBs. */
struct sim_sub {
    bool is_open;
    char **wanted; /* prefixes as the shell set them; a set with counts, by repetition */
    size_t *wanted_size;
    size_t wanted_count;
    char **effective; /* as the publisher knows them */
    size_t *effective_size;
    size_t effective_count;
    unsigned dropping; /* messages that the high-water mark still takes */
    sim_pipe_t up, down;
};

enum { SIM_PACKET_BYTES, SIM_PACKET_CLOSE, SIM_PACKET_SUBSCRIBE, SIM_PACKET_UNSUBSCRIBE };

/*  A client's WebSocket to a lane. Each side may believe in it without the other. */
struct sim_socket {
    sim_client_t *client; /* NULL: it has given it up */
    sim_lane_t *lane;     /* NULL: it has gone there */
    tide_connection_t *connection;
    bool is_writable_asked, is_paused, is_broken;
    uint64_t opened_ms, close_at_ms; /* when the lane's shell says closed; 0: not yet */
    sim_pipe_t up, down;
    sim_socket_t *prev, *next; /* all of them */
};

void sim_dealer_open (sim_t *sim, sim_dealer_t *dealer);
void sim_dealer_close (sim_dealer_t *dealer);
void sim_sub_want (sim_t *sim, sim_sub_t *sub, tide_bytes_t prefix);
void sim_sub_unwant (sim_t *sim, sim_sub_t *sub, tide_bytes_t prefix);
/*  A fresh connection: the subscriptions travel again, what was under way is lost. */
void sim_sub_connect (sim_t *sim, sim_sub_t *sub);
void sim_sub_free (sim_sub_t *sub);
void sim_sub_publish (sim_t *sim, sim_sub_t *sub, tide_bytes_t frame);
void sim_sub_control (sim_sub_t *sub, const sim_packet_t *packet);

/*  -- the disk -------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t size;
    uint64_t n; /* the publish it belongs to; 0: not of the simulation's own */
    uint64_t segment;
    enum { SIM_RECORD_THERE, SIM_RECORD_ASIDE, SIM_RECORD_GONE } place;
    bool is_damaged, is_system;
    uint64_t ordinal; /* among the events of its class */
    uint64_t bytes;   /* of its class, up to here and with it */
    tide_event_t event;
} sim_record_t;

typedef struct sim_fetching {
    struct sim_fetching *next;
    uint64_t due_ms;
    tide_log_fetch_t *fetch;
} sim_fetching_t;

typedef struct {
    char topic[TIDE_TOPIC_SIZE_MAX + 1];
    size_t size;
    uint64_t seq;
} sim_lost_t;

/*  Every durable event of one log, for ever; `place` says what the log itself still has. */
struct sim_disk {
    uint64_t epoch;
    sim_record_t *records; /* sequence 1 first */
    size_t count, capacity;
    sim_lost_t *lost;
    size_t lost_count;
    uint64_t segment;
    uint64_t class_count[2], class_bytes[2];
    bool has_damage;
    uint64_t full_until_ms;
    tide_log_batch_t *batch;
    uint64_t batch_due_ms;
    tide_log_batch_t *early; /* mutation: completed, not yet durable */
    sim_fetching_t *fetches;
    uint64_t said[SIM_CURSORS]; /* the highest that anybody has acknowledged, durably or not */
    sim_disk_t *older;
};

sim_disk_t *sim_disk_new (sim_t *sim);
void sim_disk_destroy (sim_disk_t **self_p);
void sim_disk_append (sim_t *sim, tide_log_batch_t *batch);
void sim_disk_fetch (sim_t *sim, tide_log_fetch_t *fetch);
bool sim_disk_ready (const sim_t *sim, uint64_t *due_ms);
/*  Completes something that is due. */
void sim_disk_work (sim_t *sim);
/*  The process has gone: what was under way happened whole, or not at all. */
void sim_disk_crash (sim_t *sim);
void sim_disk_load (sim_t *sim, tide_broker_t *broker);
void sim_disk_damage (sim_t *sim);
const sim_record_t *sim_disk_record (const sim_disk_t *self, uint64_t seq);
sim_disk_t *sim_disk_find (const sim_t *sim, uint64_t epoch);
/*  True if the history may have lost the event by now, by what the configuration allows. */
bool sim_disk_may_be_lost (const sim_t *sim, const sim_disk_t *self, uint64_t seq);

/*  -- what was published ---------------------------------------------------------------------- */

/*  One event that somebody published, maybe several times under the same id. Its number is in its
 *  name ("e17") and in its data. */
typedef struct {
    unsigned topic;
    int key; /* -1: none */
    bool is_volatile, removes, has_id, is_text;
    uint64_t same_id_as; /* another publish whose id it took: must be refused; 0: none */
    size_t pad;
    uint64_t at_ms;
    uint64_t epoch, seq; /* where it became durable last */
    uint64_t acked_epoch, acked_seq;
    bool expects;
    unsigned expect_topic;
    int expect_key;
    uint64_t expect_seq;
    uint32_t seen_by; /* volatile: clients that got it */
    unsigned times;   /* volatile: how often the broker published it */
} sim_publish_t;

/*  -- processes ------------------------------------------------------------------------------- */

typedef struct {
    tide_broker_t *core; /* NULL: down */
    uint64_t up_at_ms;
    bool is_dirty;       /* has actions to be taken */
    uint64_t dirty_ms;   /* since then */
    uint64_t stop_by_ms; /* it stops; 0: it does not */
} sim_broker_t;

typedef struct {
    uint64_t ticket;
    enum { SIM_HTTP_PUBLISH, SIM_HTTP_SNAPSHOT, SIM_HTTP_HISTORY, SIM_HTTP_OTHER } kind;
    uint64_t n, count;
    unsigned pattern;
    uint64_t since, epoch, limit;
} sim_http_t;

struct sim_lane {
    tide_hub_t *hub; /* NULL: down */
    unsigned number;
    uint64_t up_at_ms;
    char id[24];
    sim_dealer_t dealer;
    sim_sub_t events, volatiles;
    sim_http_t *http;
    size_t http_count;
};

typedef struct {
    tide_link_t *link;
    sim_dealer_t dealer;
    struct {
        uint64_t token, n, count;
    } pending[16];
} sim_publisher_t;

/*  The dealers but for those of lanes, one by one; NULL: there are no more. */
sim_dealer_t *sim_dealer_at (sim_t *sim, unsigned at);

void sim_broker_start (sim_t *sim);
void sim_broker_kill (sim_t *sim);
/*  It is asked to stop, and goes when all is written down, or it takes too long. */
void sim_broker_stop (sim_t *sim);
/*  It was given something: there may be actions. */
void sim_broker_stir (sim_t *sim);
void sim_broker_drain (sim_t *sim);
void sim_lane_start (sim_t *sim, sim_lane_t *lane);
void sim_lane_kill (sim_t *sim, sim_lane_t *lane);
void sim_lane_drain (sim_t *sim, sim_lane_t *lane);
void sim_lane_write (sim_t *sim, sim_socket_t *socket);
void sim_lane_request (sim_t *sim, sim_lane_t *lane);
void sim_publisher_start (sim_t *sim);
void sim_publisher_drain (sim_t *sim);
void sim_publisher_act (sim_t *sim);
sim_socket_t *sim_socket_open (sim_t *sim, sim_client_t *client, sim_lane_t *lane);
/*  The lane's end has gone; and the client's. */
void sim_socket_lane_closed (sim_t *sim, sim_socket_t *socket);
void sim_socket_client_closed (sim_t *sim, sim_socket_t *socket);
void sim_socket_release (sim_t *sim, sim_socket_t *socket);

#include "sim_calls.h"
#include "sim_groups.h"
#include "sim_hooks.h"

/*  -- clients --------------------------------------------------------------------------------- */

typedef enum { SIM_LIVE, SIM_SINCE, SIM_SNAPSHOT } sim_mode_t;

/*  What a client knows of one topic or subtree. */
typedef struct sim_topic {
    enum { SIM_OUT, SIM_IN, SIM_MAYBE } state; /* must, must not, may get events */
    uint64_t joined;
    bool meta;
    bool owes_reset; /* events were lost: a reset must come */
    bool is_left;    /* an unsubscription is under way */
    bool may_be_in;  /* a join failed, and may have been done all the same */
    bool is_joining;
    sim_mode_t mode;
    bool was_reset;        /* the reset that goes with a join has come */
    bool must_reset;       /* and must come, because the position is foreign */
    uint64_t since, epoch; /* of the join */
    uint64_t at;           /* brought up to here */
    uint64_t ordered;      /* a worker has let it in there: it may not have come to that yet */
    uint64_t ordered_epoch;
    uint64_t left; /* a worker has made it leave there: nothing behind that; 0: none has */
    bool is_present, may_be_present; /* it must stand there, it may */
    enum { SIM_WISH_NOTHING, SIM_WISH_PRESENT, SIM_WISH_ABSENT } wish; /* of the join */
    json_t *state_parts; /* a snapshot or reset that comes in parts */
    bool snapshot_came;
    uint64_t snapshot_seq;
} sim_topic_t;

typedef struct {
    uint64_t id;
    enum { SIM_ASK_JOIN, SIM_ASK_LEAVE, SIM_ASK_PUBLISH, SIM_ASK_SNAPSHOT, SIM_ASK_HISTORY } kind;
    unsigned pattern;
    uint64_t n, since, epoch, limit;
    uint64_t at_ms;
} sim_ask_t;

/*  A client that reads by a named cursor, and does nothing else; it speaks JSON. */
typedef struct {
    bool is_on;
    unsigned cursor;
    bool is_in, was_in; /* the topic is joined; it was, when the connection went */
    bool has_begun;     /* everything up to `last`, from where it began, was got */
    bool owes_reset, is_lost;
    uint64_t last;
    uint64_t low, low_epoch; /* what was durably acknowledged when it subscribed */
    uint64_t asked_id;       /* of the subscription; 0: none is under way */
    uint64_t try_at_ms;
} sim_reader_t;

/*  Who stands in a topic's presence, or did. */
typedef struct {
    uint64_t epoch, seq; /* 0: removed */
    unsigned topic;
    char sid[SIM_SID_SIZE];
    uint64_t gone; /* where it was removed last, under this id */
    char gone_id[64];
    bool is_late; /* it stands, but history was kept for less than it took to be durable */
} sim_standing_t;

typedef struct {
    bool is_on; /* clients say that they are present */
    sim_standing_t *standing;
    size_t count;
} sim_presence_t;

/*  What is known of a named cursor. */
typedef struct {
    uint64_t log_epoch, seq; /* where it stands in that log */
    bool is_bridged;         /* it says a position of another one */
} sim_cursor_t;

struct sim_client {
    unsigned number;
    bool is_json, is_anonymous, is_ghost, is_dead;
    sim_socket_t *socket;
    enum { SIM_AWAY, SIM_OPENING, SIM_OPEN } state;
    uint64_t connect_at_ms;
    uint64_t deaf_until_ms; /* does not read */
    char pid[64], sid[64];
    char offset[64];   /* Socket.IO: whatever it was; empty: none */
    uint64_t epoch;    /* of what follows; 0: not known */
    uint64_t position; /* everything up to here was seen, or is not to be seen */
    bool has_position;
    uint64_t sent_epoch, sent_seq; /* the position it came back with */
    bool sent_pid, sent_foreign;
    uint64_t away_since_ms;
    uint64_t who;     /* the session, in its presence: not all are told their sid */
    uint64_t born;    /* the log in which its session began; 0: not known */
    uint64_t gone_at; /* a worker has sent the session away there: nothing behind that; 0 */
    sim_topic_t topics[SIM_PATTERNS];
    sim_ask_t *asks;
    size_t ask_count, ask_capacity;
    uint64_t last_id;
    tide_buffer_t stream;  /* received bytes that are no whole frame yet */
    tide_buffer_t message; /* fragments so far */
    uint8_t opcode;
    uint64_t unacked[8]; /* publishes with an id that had no answer: published again */
    unsigned unacked_count;
    sim_reader_t reader;
    sim_client_t *original; /* a ghost's */
    sim_client_t *ghost;
};

void sim_client_init (sim_t *sim, sim_client_t *client, unsigned number);
void sim_client_free (sim_client_t *client);
void sim_client_connect (sim_t *sim, sim_client_t *client);
void sim_client_act (sim_t *sim, sim_client_t *client);
void sim_client_tick (sim_t *sim, sim_client_t *client);
/*  Bytes from the lane; the connection has gone. */
void sim_client_receive (sim_t *sim, sim_client_t *client, tide_bytes_t bytes);
void sim_client_closed (sim_t *sim, sim_client_t *client);
void sim_client_haunt (sim_t *sim, sim_client_t *client);
/*  Forgets the connection, keeps the session. */
void sim_client_drop (sim_t *sim, sim_client_t *client);

/*  sim_dialect.c: what is said in each dialect. */
void sim_say_hello (sim_t *sim, sim_client_t *client);
void sim_say (sim_t *sim, sim_client_t *client, const char *operation, json_t *object, uint64_t id);
void sim_heard_message (sim_t *sim, sim_client_t *client, tide_bytes_t bytes, bool is_text);
void sim_position_text (char text[64], uint64_t epoch, uint64_t seq);

/*  What a request leaves behind when it was not answered; parts of a snapshot that came. */
void sim_client_remember (sim_t *sim, sim_client_t *client, const sim_ask_t *ask);
void sim_topic_forget_parts (sim_topic_t *topic);
/*  Ends the connection, with or without a word. */
void sim_client_cut (sim_t *sim, sim_client_t *client);

/*  sim_reader.c: clients that read by named cursors. */
void sim_reader_init (sim_t *sim, sim_client_t *client);
void sim_reader_act (sim_t *sim, sim_client_t *client);
/*  It is to subscribe, at try_at_ms. */
bool sim_reader_is_due (const sim_client_t *client);
void sim_reader_tick (sim_t *sim, sim_client_t *client);
void sim_reader_dropped (sim_client_t *client);
void sim_reader_opened (sim_t *sim, sim_client_t *client, const char *sid, const char *pid,
                        bool is_resumed, uint64_t epoch);
void sim_reader_event (sim_t *sim, sim_client_t *client, uint64_t n, uint64_t seq);
void sim_reader_reset (sim_t *sim, sim_client_t *client, const json_t *object, uint64_t epoch,
                       uint64_t seq);
void sim_reader_answer (sim_t *sim, sim_client_t *client, uint64_t id, bool ok,
                        const json_t *answer, uint64_t epoch, uint64_t seq);
void sim_reader_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event);
bool sim_reader_is_settled (const sim_t *sim, const sim_client_t *client, char why[200]);

/*  sim_presence.c: who is present. */
void sim_presence_ask (sim_t *sim, sim_client_t *client, unsigned pattern, json_t *object);
void sim_presence_joined (sim_topic_t *topic);
/*  It may be in anew: what it was before says nothing. */
void sim_presence_anew (sim_topic_t *topic);
void sim_presence_unsure (sim_topic_t *topic);
void sim_presence_left (sim_topic_t *topic);
/*  A record of the system's has become durable; true if it is of presence. */
bool sim_presence_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                           uint64_t seq);
bool sim_presence_settled (sim_t *sim, bool say);

/*  sim_hear.c: what was heard, in any dialect. */
void sim_heard_open (sim_t *sim, sim_client_t *client, const char *sid, const char *pid,
                     bool resumed, uint64_t epoch, uint64_t seq, const json_t *topics);
void sim_heard_event (sim_t *sim, sim_client_t *client, const char *name, const json_t *data,
                      const json_t *meta, const char *offset);
void sim_heard_answer (sim_t *sim, sim_client_t *client, uint64_t id, bool ok, json_t *answer);
void sim_heard_snapshot (sim_t *sim, sim_client_t *client, const json_t *object, bool is_reset);
json_t *sim_publish_json (sim_t *sim, uint64_t n, const char *id_member);
uint64_t sim_publish_make (sim_t *sim, bool may_be_volatile);
uint64_t sim_publish_again (sim_t *sim);

/*  -- checkers -------------------------------------------------------------------------------- */

/*  A guarantee is broken, or something else that must not be: the run ends here. */
void sim_fail (sim_t *sim, const char *guarantee, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/*  Remembers what was done. */
void sim_note (sim_t *sim, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

/*  Prints what arrives, with --verbose. */
void sim_trace (const sim_t *sim, const char *where, tide_bytes_t bytes, bool is_published);

bool sim_check_data (sim_t *sim, uint64_t n, const json_t *data);
uint64_t sim_number_of (const char *name);
void sim_check_durable (sim_t *sim, sim_disk_t *disk, sim_record_t *record, uint64_t seq);
void sim_check_frame (sim_t *sim, const tide_message_t *message);
void sim_check_ack (sim_t *sim, uint64_t n, uint64_t epoch, uint64_t seq);
void sim_check_bounds (sim_t *sim);
void sim_check_state (sim_t *sim, uint64_t epoch, unsigned pattern, uint64_t seq,
                      const json_t *state, const char *what);
void sim_check_history (sim_t *sim, unsigned pattern, uint64_t since, uint64_t limit,
                        const json_t *answer);
/*  The client's position goes to seq: nothing that it must get lies in between. */
void sim_check_advance (sim_t *sim, sim_client_t *client, uint64_t seq);
/*  The first durable event of the pattern in (since, until], or 0. */
uint64_t sim_check_next (const sim_disk_t *disk, unsigned pattern, uint64_t since, uint64_t until);
void sim_check_end (sim_t *sim);
/*  True if everybody has everything. */
bool sim_check_settled (sim_t *sim, bool say);

/*  -- mutations: the world's own defects, for testing the checkers ----------------------------- */

typedef enum {
    SIM_MUTATION_NONE,
#define X(NAME, name, guarantee, rule) SIM_MUTATION_##NAME,
#include "mutations"
#undef X
    SIM_MUTATIONS
} sim_mutation_t;

const char *sim_mutation_name (sim_mutation_t mutation);
const char *sim_mutation_guarantee (sim_mutation_t mutation);
const char *sim_mutation_rule (sim_mutation_t mutation);
/*  Bytes on their way: true if they were replaced (then `out` is what arrives; empty: nothing). */
bool sim_mutate_to_broker (sim_t *sim, tide_bytes_t bytes, tide_buffer_t *out);
bool sim_mutate_from_broker (sim_t *sim, tide_bytes_t bytes, tide_buffer_t *out);
/*  What the checkers see of what is lent. */
void sim_mutate_lend (sim_t *sim, tide_lend_message_t *lend);
/*  The same of groups; false: it is as if it had not been. */
bool sim_mutate_group_event (sim_t *sim, tide_group_event_message_t *event);
bool sim_mutate_published (sim_t *sim, tide_bytes_t frame, tide_buffer_t *out);
void sim_mutate_hello (sim_t *sim, uint64_t *epoch, uint64_t *seq);

/*  -- the world ------------------------------------------------------------------------------- */

typedef struct {
    uint64_t events, live, brought_up, volatiles, resets, joins, leaves, snapshots, histories;
    uint64_t acks, fails, repeats, conflicts, resumes, refused, opened, kills, stops, lane_kills,
        wipes;
    uint64_t cuts, drops, commits, fulls, ghosts, damaged, segments_dropped, pauses;
    uint64_t cursor_events, cursor_acks, cursor_writes, cursor_losses;
    uint64_t calls, call_acks, call_ends, call_deads, lent, lent_again, handled, worker_faults;
    uint64_t hooks, hooks_told, orders, order_leaves, order_gos, gone, questions, answers, present,
        absent;
    uint64_t group_lent, group_again, group_handled, group_deads, group_writes;
} sim_stats_t;

struct sim {
    uint64_t seed, random;
    uint64_t step, steps;
    uint64_t now_ms;
    sim_mutation_t mutation;
    bool is_verbose, has_faults, is_over;
    bool failed;
    char guarantee[8];
    char failure[2048];
    char actions[SIM_ACTIONS_MAX][SIM_ACTION_SIZE];
    uint64_t action_count;

    tide_broker_config_t config;
    uint32_t resume_ms;
    uint32_t segment_events; /* of the log; 0: as in life */
    unsigned lane_count, client_count, delay_ms, drop_percent;
    bool may_wipe, may_damage, may_fill, may_flood, big_events;
    uint64_t serial; /* for names that are used once */

    sim_disk_t *disk; /* the present log; older ones behind it */
    uint64_t epoch_since_ms;
    sim_broker_t broker;
    sim_lane_t lanes[SIM_LANES_MAX];
    sim_publisher_t publisher;
    sim_calls_t calls;
    sim_hooks_t hooks;
    sim_groups_t groups;
    sim_presence_t presence;
    sim_cursor_t cursors[SIM_CURSORS];
    sim_client_t clients[SIM_CLIENTS_MAX];
    sim_socket_t *sockets;
    sim_publish_t *publishes; /* by number; 0 is none */
    uint64_t publish_count, publish_capacity;
    uint64_t mutated; /* how often the mutation did something */
    sim_stats_t stats;
};

uint64_t sim_random (sim_t *sim, uint64_t below);
bool sim_chance (sim_t *sim, unsigned percent);

/*  Does something to the world that must not harm. */
void sim_fault (sim_t *sim);

sim_t *sim_new (uint64_t seed, uint64_t steps, sim_mutation_t mutation, bool is_verbose);
void sim_destroy (sim_t **self_p);
/*  Runs to the end; false if something failed. */
bool sim_run (sim_t *sim);
void sim_report (const sim_t *sim);

#endif
