/*  tide_hub_internal.h - the state that the files of the hub share; private to this folder.
 *
 *      connection ─┬─ session ─┬─ member ── channel ── items on the tape
 *                  │           └─ join (a topic that is being brought up)
 *                  └─ op (a request to the broker that awaits its answer)
 *
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_HUB_INTERNAL_H
#define TIDE_HUB_INTERNAL_H

#include "tide_alloc.h"
#include "tide_application.h"
#include "tide_dialect_json.h"
#include "tide_except.h"
#include "tide_feed.h"
#include "tide_hub.h"
#include "tide_link.h"
#include "tide_payload.h"
#include "tide_socketio.h"
#include "tide_state.h"
#include "tide_tape.h"
#include "tide_topic.h"
#include "tide_wsframe.h"

#include <uthash.h>
#include <utlist.h>

/*  Requests of a client that were not answered for this long fail, so that nobody waits for ever.
 */
#define TIDE_OP_TIMEOUT_MS 10000
/*  Answers that a client may leave lying before nothing more is read from it. */
#define TIDE_OUTBOX_PAUSE_SIZE (256u << 10)
/*  Frames of a client that wait for its session to be opened. */
#define TIDE_INBOX_SIZE_MAX (1u << 20)
/*  The largest snapshot that is gathered for one client. */
#define TIDE_SNAPSHOT_SIZE_MAX (64u << 20)
/*  Pages of history that lagging sessions hold or wait for at once, in one lane. */
#define TIDE_PAGES_MAX 64
#define TIDE_CATCH_UP_PAGE_SIZE (64u << 10)
/*  How long a page is kept for clients that do not take it. */
#define TIDE_PAGE_KEEP_MS 1000
/*  A volatile event is not worth sending after this. */
#define TIDE_VOLATILE_KEEP_MS 1000
/*  Sessions of one connection (Socket.IO namespaces). */
#define TIDE_NAMESPACES_MAX 64
#define TIDE_FORMS_MAX 4096
/*  Requests of one connection that await the broker; beyond it nothing more is read from it. One
 *  whose answer may be large counts for several. */
#define TIDE_CONNECTION_OPS_MAX 64
#define TIDE_LARGE_ANSWER_OPS 8
/*  Bytes of requests that await the broker, of all clients of a lane. */
#define TIDE_OPS_SIZE_MAX (64u << 20)
/*  Snapshots that a lane gathers at once; the others wait, or are refused where nothing waits. */
#define TIDE_GATHERING_MAX 16
/*  Sessions without a connection that are told to a broker that comes back. */
#define TIDE_RELEASED_MAX 100000
/*  The form of those that came when all places were taken: it is never kept on the tape. */
#define TIDE_FORM_NONE UINT32_MAX
/*  A lane's id. */
#define TIDE_LANE_SIZE_MAX 64
/*  Topics of one stream of Server-Sent Events. */
#define TIDE_STREAM_TOPICS_MAX 100

/*  How long a member whose connection ended stays, so that one that comes back at once was never
 *  gone. */
#define TIDE_PRESENCE_LINGER_MS 5000

#define TIDE_REMAKING_KEY "#remaking"

typedef struct tide_session tide_session_t;
typedef struct tide_channel tide_channel_t;
typedef struct tide_member tide_member_t;
typedef struct tide_join tide_join_t;
typedef struct tide_page tide_page_t;
typedef struct tide_op tide_op_t;
typedef struct tide_given_up tide_given_up_t;
typedef struct tide_stream tide_stream_t;
typedef struct tide_forward tide_forward_t;
typedef struct tide_guest tide_guest_t;
typedef struct tide_named tide_named_t;

/*  -- what clients see ------------------------------------------------------------------------ */

/*  A way to write an event: tape entries keep their bytes for each. */
typedef struct {
    tide_client_kind_t kind;
    const char *nsp;
    bool meta;   /* a second argument with topic, seq, key, time, from */
    bool offset; /* a last argument with the position, for recovery */
} tide_form_t;

/*  To whom an answer goes, and how. Copies share the json. */
typedef struct {
    enum {
        TIDE_REPLY_NONE,
        TIDE_REPLY_ACK,
        TIDE_REPLY_JSON,
        TIDE_REPLY_HTTP,
        TIDE_REPLY_DONE
    } kind;
    tide_connection_t *connection;
    char *nsp;              /* ACK */
    uint64_t ack;           /* ACK: its id */
    json_t *id;             /* JSON: the client's id, or NULL */
    uint64_t ticket;        /* HTTP */
    tide_app_done_fn *done; /* DONE: always told, by `hub` */
    void *argument;
    tide_hub_t *hub;
} tide_reply_t;

/*  An event that the application has in hand, and whose acknowledgement is wanted. */
typedef struct tide_call {
    uint64_t number;
    tide_session_t *session;
    tide_reply_t reply;
    UT_hash_handle hh;
    struct tide_call *prev, *next; /* in the session */
} tide_call_t;

/*  An acknowledgement that is wanted of clients: which, and what they answered. */
typedef struct {
    char sid[40];
    bool has_answered;
    bool is_far;  /* another lane has asked it */
    bool is_gone; /* it left before it answered */
    tide_buffer_t payload;
    UT_hash_handle hh;
} tide_asked_t;

typedef struct tide_ask {
    uint64_t number;   /* the id that clients see */
    uint64_t until_ms; /* clients may answer; and when whoever asked is told at the latest */
    uint64_t due_ms;
    tide_buffer_t record;
    tide_asked_t *asked; /* by sid */
    size_t missing;      /* of those that this lane asked */
    bool is_spread;      /* other lanes were asked as well … */
    bool is_told;        /* … and it is known how many */
    uint32_t lanes, reports;
    tide_buffer_t reporters; /* lanes that have reported, each behind its u8 size */
    size_t size;             /* of what was answered */
    char *lane;              /* which has asked us; NULL: an application here */
    uint64_t asker_number;
    tide_app_answers_fn *done;
    void *argument;
    UT_hash_handle hh;
} tide_ask_t;

/*  -- requests to the broker ------------------------------------------------------------------ */

typedef void (tide_op_fn) (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer);

/*  answer is NULL when time is up: the op says so to whoever waits. After `done` returns the op is
 *  gone, unless it was asked again (tide_op_again). */
struct tide_op {
    uint64_t token;
    tide_op_fn *done;
    uint64_t due_ms; /* 0: waits for ever */
    tide_connection_t *connection;
    tide_session_t *session;
    tide_join_t *join;
    tide_page_t *page;
    uint64_t tag;
    uint64_t number; /* the op's own use */
    uint64_t epoch;  /* the same: the log that it was asked in */
    tide_reply_t reply;
    tide_buffer_t text; /* what is gathered over several answers */
    char *topic;
    size_t size;       /* of the request, as it counts against TIDE_OPS_SIZE_MAX */
    unsigned weight;   /* how much it counts for against TIDE_CONNECTION_OPS_MAX */
    json_t *present;   /* what it makes a member say of itself, or NULL */
    bool survives;     /* goes on when the connection has gone: what was accepted is done */
    bool has_presence; /* text says whose, and where: tide_presence_expect */
    bool asked_again;
    UT_hash_handle hh;
    tide_op_t *prev, *next;         /* in the hub, by due time */
    tide_op_t *own_prev, *own_next; /* in the connection */
};

/*  -- topics of the lane ---------------------------------------------------------------------- */

typedef struct {
    uint64_t number; /* on the tape */
    uint64_t seq;
} tide_item_t;

/*  A session's presence in a topic, see tide_presence.h. */
typedef struct {
    json_t *data;      /* an object, true: only that it is there, NULL: it does not say so */
    uint64_t seq;      /* where that stands, or what it was before; 0: nowhere */
    uint64_t since_ms; /* when it came, by the broker's clock; 0: when that was written */
    bool is_due;       /* that is to be written, or removed */
    bool is_under_way; /* … by a publish of its own, which awaits its answer */
    bool is_seen;      /* by the round that is being made */
    bool is_nowhere;   /* the log is another one, and nothing was sent to it yet */
} tide_present_t;

/*  A topic or subtree that somebody in this lane has joined or is joining. */
struct tide_channel {
    UT_hash_handle hh;
    size_t size;
    char *pattern;
    bool is_joined;     /* the feed's watermark speaks for it */
    bool is_touched;    /* something was laid on since members were told */
    uint64_t horizon;   /* all of it behind this, and up to the watermark, is in items */
    tide_item_t *items; /* ring of capacity (a power of two); those at index begin … end - 1 */
    uint64_t begin, end, capacity;
    tide_member_t *members;
    tide_join_t *waiting; /* for is_joined */
    unsigned users;       /* members and joins */
    unsigned present;     /* members that are present, or were and have not been removed yet */
    uint64_t round;       /* in which these were looked at last */
    tide_channel_t *present_prev, *present_next; /* in the hub's */
    tide_channel_t *touched_next;
};

/*  A session's part in a channel. */
struct tide_member {
    tide_session_t *session;
    tide_channel_t *channel;
    uint64_t joined; /* nothing at or below this is delivered to it */
    uint64_t next;   /* index in channel->items of what comes next, while the session is live */
    uint64_t begun;  /* the tape's last number then: volatile events before it are not its */
    unsigned form;
    bool meta;
    bool is_pending;   /* in session->pending */
    bool is_suspended; /* waits for a reset: nothing is delivered */
    bool was_reset;    /* the record says that it was joined by a reset */
    tide_present_t present;
    bool is_present;                    /* counted in channel->present */
    tide_member_t *prev, *next_member;  /* in the channel */
    tide_member_t *own_prev, *own_next; /* in the session */
};

/*  A topic that is being brought up: nothing, pages of history, or a snapshot; then recorded. */
struct tide_join {
    tide_session_t *session;
    tide_channel_t *channel;
    enum {
        TIDE_JOIN_LIVE,
        TIDE_JOIN_SINCE,
        TIDE_JOIN_SNAPSHOT,
        TIDE_JOIN_RESET,
        TIDE_JOIN_HERE /* at the session's cursor, which is held there by an order */
    } mode;
    enum {
        TIDE_JOIN_CHANNEL,   /* until the feed speaks for the channel, and the session is open */
        TIDE_JOIN_QUEUED,    /* until the lane gathers fewer snapshots */
        TIDE_JOIN_READING,   /* the snapshot or pages */
        TIDE_JOIN_SENDING,   /* until the client has taken the last page */
        TIDE_JOIN_RECORDING, /* until the session's record says so */
        TIDE_JOIN_FAILED     /* told; to be swept when nobody is in the midst of it */
    } step;
    bool is_reset;        /* of a topic that is joined already */
    bool had_member;      /* it was joined before, and the record still says so */
    bool is_gathering;    /* counts against TIDE_GATHERING_MAX */
    tide_status_t reason; /* of a reset */
    bool meta;
    tide_present_t present; /* what the member will be; of a reset: unused, it is a member */
    uint64_t epoch;         /* the log that `at` belongs to at first; 0: the present one */
    uint64_t at;            /* brought up to here */
    uint64_t pin;           /* the session's cursor may not pass this; 0: free, unless RECORDING */
    tide_reply_t reply;
    tide_state_t *state; /* the snapshot, folded up to `at` */
    tide_op_t *op;
    tide_join_t *prev, *next;         /* in the channel's waiting, the hub's queued or failed */
    tide_join_t *own_prev, *own_next; /* in the session */
};

/*  A page of history that lagging sessions read, shared by all who want the same. */
struct tide_page {
    UT_hash_handle hh;
    size_t key_size;
    uint8_t *key; /* encoded wants and until */
    tide_session_t *readers;
    tide_op_t *op; /* until it is there */
    bool is_there;
    uint64_t upto;
    uint64_t since_ms; /* when it came */
    tide_payload_t *events;
    uint32_t count;
    tide_payload_t *lost;
    uint32_t lost_count;
};

/*  -- sessions and connections ---------------------------------------------------------------- */

typedef enum {
    TIDE_SESSION_ADMITTING, /* the application is asked whether it may come in */
    TIDE_SESSION_READING,   /* a pid was given: its record is being read */
    TIDE_SESSION_CHECKING,  /* … its history */
    TIDE_SESSION_TAKING,    /* … it is being taken over */
    TIDE_SESSION_TAKEN,     /* … it is ours, and is read again */
    TIDE_SESSION_MAKING,    /* a new record is being written */
    TIDE_SESSION_OPEN,
    TIDE_SESSION_REMAKING /* open, but its record is written again, in another log */
} tide_session_state_t;

struct tide_session {
    tide_connection_t *connection;
    tide_session_state_t state;
    char *nsp;  /* "/" for the JSON dialect */
    char *user; /* "" anonymous */
    char sid[40];
    char pid[48];
    char topic[80];     /* $session/… of the pid */
    json_t *auth;       /* what it sent to come in, until it is in */
    uint64_t admission; /* number under which the application is asked; 0: it is not */
    bool is_admitted;   /* as this sid */
    tide_buffer_t data; /* what is set of it by who let it in: a payload, until its record has it */
    UT_hash_handle admission_hh;
    char *taken_from;      /* while it is asked: the lane to take the record from, or NULL */
    unsigned take_attempt; /* … and how often that was tried */
    const char *reason;    /* why it ends, if not for its connection's reason */
    bool is_kicked;        /* the application wants it gone */
    tide_session_t *kicked_prev, *kicked_next;
    bool is_served;     /* workers know it, or may: they are told of its end */
    bool is_closed;     /* it has ended for good, which its record is to say */
    uint64_t gone_at;   /* where the log last said that it is not present somewhere; 0: nowhere */
    uint64_t order_pin; /* the order that it carries out: its cursor goes no further; 0: none */
    struct tide_order *order_waiting; /* … that waits for a join to end; NULL: it does not */
    bool is_moved;                    /* it goes to, or comes from, another lane: nobody is told */
    bool has_rooms;                   /* it is in its own topic and in its namespace's */
    tide_call_t *calls;               /* that the application has in hand */
    tide_given_up_t *given_up;        /* calls whose client was told that no answer came in time */
    unsigned given_up_count;
    uint64_t *asks; /* questions that wait until all before them is out */
    unsigned ask_count;
    bool recovers;      /* has a record, or will */
    bool owns_record;   /* the record is ours to release */
    bool is_registered; /* in the hub, by sid */
    bool recovered;
    bool is_record_stale;    /* it may hold topics that are not joined: to be left again */
    bool is_remaking;        /* its record says that resets are owed: it can't be resumed */
    bool has_position;       /* the client named a position when it came back */
    uint64_t position_epoch; /* the log that it belongs to; 0: not said */
    uint64_t record_seq;     /* sequence of its standing record */
    uint64_t taken_ms;       /* when it was taken over, by the broker's clock; 0: it was not */
    uint64_t let_in;         /* where a worker let it in, with orders behind that; 0: none did */
    uint64_t let_in_epoch;   /* in which log */
    uint64_t base;           /* where it began: nothing before concerns it */
    uint64_t cursor;         /* everything of its topics up to here was delivered */
    uint64_t last_number;    /* last tape entry delivered */
    bool is_live;            /* reads from the tape; else from pages */
    bool wants_page;         /* in the queue for one */
    tide_page_t *page;
    tide_list_t page_rest; /* what of it is not delivered yet */
    tide_member_t *members;
    unsigned member_count;
    tide_member_t **pending; /* members with something on the tape */
    unsigned pending_count, pending_capacity;
    tide_join_t *joins;
    unsigned join_count;
    tide_named_t *named; /* topics that it reads by named cursors (tide_cursors.c) */
    unsigned named_count;
    UT_hash_handle hh;                       /* in the hub, by sid */
    tide_session_t *prev, *next;             /* in the connection */
    tide_session_t *queue_prev, *queue_next; /* in the hub's queue for pages */
    tide_session_t *page_prev, *page_next;   /* among the readers of its page */
};

/*  A session of Engine.IO that has gone to another lane. */
typedef struct tide_moved {
    char *sid;
    uint64_t until_ms;
    struct tide_moved *prev, *next;
} tide_moved_t;

/*  A request of HTTP that was not answered yet, and whose end concerns a connection. */
typedef struct {
    uint64_t ticket;
    tide_connection_t *connection;
    tide_buffer_t body; /* of a POST: what of it is still to be taken */
    UT_hash_handle hh;
} tide_held_t;

struct tide_connection {
    tide_client_kind_t kind;
    void *handle; /* the shell's; NULL: it polls */

    /*  Engine.IO */
    tide_engineio_t engineio;
    char *engine_sid;         /* NULL: it has none, or is forgotten */
    UT_hash_handle engine_hh; /* in the hub, by engine_sid */
    tide_connection_t *probe; /* the WebSocket that asks to take it over */
    enum {
        TIDE_ENDING_NONE,
        TIDE_ENDING_ORDERLY, /* the client is told by its next poll */
        TIDE_ENDING_AT_ONCE
    } ending;             /* while it polls: what the hub is about to do */
    const char *farewell; /* the packet that the held poll gets */
    tide_connection_t *ending_prev, *ending_next;
    uint64_t farewell_by_ms;
    tide_connection_t *farewell_prev, *farewell_next; /* in the hub's farewells, by time */

    /*  Server-Sent Events */
    tide_stream_t *stream; /* what was asked for, until it has begun */
    bool owes_position;    /* … as soon as it has been given all before it */
    uint64_t alive_at_ms;  /* when the next sign of life is due */
    tide_connection_t *stream_prev, *stream_next; /* in the hub's streams, by time */

    /*  A WebSocket that asks to take over a session that polls. */
    bool is_probe;
    bool has_taken;            /* … and has: the shell is about to be told */
    tide_connection_t *target; /* NULL: it cannot */
    uint64_t probe_by_ms;
    tide_connection_t *probe_prev, *probe_next; /* in the hub's probes, by time */

    /*  A WebSocket that asks for a session of another lane. */
    char *far_lane; /* NULL: it does not, or no more */
    char *far_sid;
    uint64_t far_number;
    bool is_far_asked, is_far_due; /* once; and not answered yet */
    bool is_taking;                /* the session is on its way here: what the client says waits */
    UT_hash_handle far_hh;

    /*  What another lane has to do with it: the WebSocket there that is this probe, or that takes
     *  the session. */
    tide_guest_t *guest;
    uint64_t leaving_by_ms; /* it is taken there: when it is to have come to rest */
    tide_connection_t *leaving_prev, *leaving_next; /* in the hub's leaving, by time */

    tide_socketio_decoder_t *decoder;
    tide_session_t *sessions;
    unsigned session_count;
    bool is_closing;
    const char *reason; /* why, in Socket.IO's words; NULL: "transport close" */
    bool is_paused;
    bool has_body_left; /* of its POST not all was taken yet */
    bool is_resuming;   /* in the hub's list of those of whom what waits is to be taken */
    tide_connection_t *resuming_prev, *resuming_next;
    bool is_writable_asked;
    bool wants_welcome;   /* JSON: a hello awaits its answer */
    tide_buffer_t outbox; /* whole frames; outbox_at of them is written */
    size_t outbox_at;
    tide_buffer_t inbox; /* frames that wait for the session: u8 is_text, u32 size, bytes */
    tide_op_t *ops;
    unsigned op_count;
    tide_connection_t *prev, *next;             /* all */
    tide_connection_t *asked_prev, *asked_next; /* those that WRITABLE was not said for yet */
    tide_connection_t *timer_prev, *timer_next; /* in one of the hub's timer lists */
    enum { TIDE_TIMER_NONE, TIDE_TIMER_PING, TIDE_TIMER_PONG } timer;
    uint64_t connect_by_ms;                         /* 0: a namespace was joined */
    tide_connection_t *connect_prev, *connect_next; /* in the hub's connecting, by time */
};

/*  A leased key whose holder has gone, a session's or its presence in a topic; told to the broker
 *  again if that was away. */
typedef struct tide_released {
    char *topic, *key;
    uint64_t seq;
    uint64_t until_ms;
    uint64_t keep_ms; /* how long it is told */
    struct tide_released *prev, *next;
} tide_released_t;

/*  An encoded CALL by which workers are told of an end, and that the broker has not taken yet. */
typedef struct tide_untold {
    tide_buffer_t message;
    struct tide_untold *prev, *next;
} tide_untold_t;

typedef struct tide_queued {
    tide_hub_action_t action;
    uint8_t *bytes;
    struct tide_queued *prev, *next;
} tide_queued_t;

typedef struct tide_stat_entry {
    char *name;
    const uint64_t *value;
    struct tide_stat_entry *next;
} tide_stat_entry_t;

typedef struct {
    uint64_t connections, sessions, opened, recovered, refused_resumes, take_overs;
    uint64_t deliveries, writes, write_bytes, pages, catch_ups, resets, joins;
    uint64_t publishes, publish_failures, requests, parse_errors, ping_timeouts, connect_timeouts;
    uint64_t calls, call_failures, call_replies;
    uint64_t cursors, cursor_acks, cursor_writes, cursor_losses;
    uint64_t ignored_events, volatile_dropped, paused, timeouts, tape_events, forms_made,
        page_waits;
    uint64_t presence_entered, presence_mended;
    uint64_t releases_dropped, upgrades, refused_requests, stray_answers, relayed, forwards;
} tide_hub_counters_t;

struct tide_hub {
    tide_hub_config_t config;
    uint64_t now_ms;
    uint64_t serial; /* for sids and pids */
    uint64_t ticket;
    char lane_topic[80]; /* $lane/ID: where take-overs are told */
    bool is_stopping;
    bool has_said_bye;
    bool is_over; /* being destroyed: nothing more is asked for */
    bool is_welcome;
    tide_link_t *link;
    tide_feed_t *feed;
    tide_tape_t *tape;
    uint64_t tape_number; /* of the last entry */
    tide_channel_t *channels;
    tide_channel_t *touched;
    tide_channel_t *present;    /* channels with members that are present: looked at last, last */
    uint64_t report_ms;         /* when it tells of itself again */
    uint64_t presence_round_ms; /* when they are to be looked at; 0: no need */
    unsigned presence_failures; /* in a row: the longer it takes until it is tried again */
    uint64_t presence_round;
    bool is_presence_asked; /* one of them is being looked at */
    unsigned subtrees;      /* channels that are */
    struct tide_form_entry *forms;
    tide_session_t *sessions; /* by sid */
    tide_session_t *page_queue;
    tide_page_t *pages;
    tide_connection_t *connections;
    tide_connection_t *asked;
    tide_connection_t *pings, *pongs; /* by time */
    tide_connection_t *connecting;    /* Socket.IO clients without a namespace, by time */
    tide_connection_t *engines;       /* by Engine.IO's sid */
    tide_connection_t *probes, *ending, *farewells, *resuming;
    tide_moved_t *gone;             /* by time */
    struct tide_told *told;         /* to be told to the application */
    tide_connection_t *streams;     /* by time */
    tide_stream_t *streams_waiting; /* for a broker */
    tide_held_t *held;              /* by ticket */
    tide_session_t *admissions;     /* by number */
    tide_session_t *kicked;         /* to be ended */
    struct tide_order *orders;      /* to be carried out */
    tide_forward_t *forwards;       /* by ticket */
    tide_forward_t *forwards_due;
    uint64_t ask_lanes_ms;         /* when lanes that owe answers are asked for */
    tide_connection_t *far_probes; /* by number */
    tide_guest_t *guests;          /* by lane and token */
    tide_guest_t *guests_due;      /* those with a ticket, by time */
    tide_guest_t *guest_tickets;   /* by ticket */
    tide_connection_t *leaving;    /* by time */
    tide_call_t *calls;            /* by number */
    tide_ask_t *asks;              /* by number */
    uint64_t
        ask_number; /* begins anywhere: no answer given to another lane is taken for one of ours */
    unsigned far_asks;  /* of other lanes */
    tide_op_t *ops;     /* by token */
    tide_op_t *ops_due; /* by time */
    size_t ops_size;
    tide_join_t *joins_queued, *joins_failed;
    unsigned gathering;
    tide_named_t *named;      /* named cursors, by number */
    tide_named_t *named_due;  /* by time */
    tide_named_t *named_left; /* whose session has gone, and that are still to be written */
    uint64_t named_number;
    tide_released_t *moved; /* to be released, by time */
    tide_released_t *released;
    unsigned released_count;
    tide_released_t *absent; /* released presence, by time */
    unsigned absent_count;
    tide_untold_t *untold;
    unsigned untold_count;
    uint64_t untold_ms; /* when they are told again; 0: there are none */
    tide_queued_t *queue;
    tide_queued_t *handed_out; /* the action whose bytes are valid until the next call */
    tide_buffer_t write;       /* one gathered write */
    tide_buffer_t scratch, scratch2, frames;
    bool is_stalled; /* a page was refused: it is asked for again at the next tick */
    tide_stat_entry_t *stats;
    tide_hub_counters_t counters;
};

/*  -- tide_hub.c: actions, connections --------------------------------------------------------- */

tide_hub_action_t *tide_hub_queue (tide_hub_t *hub, tide_hub_action_kind_t kind,
                                   tide_bytes_t bytes);
/*  For the connection's handle. */
void tide_hub_queue_for (tide_hub_t *hub, tide_hub_action_kind_t kind,
                         tide_connection_t *connection, uint16_t code);
void tide_hub_ask_writable (tide_hub_t *hub, tide_connection_t *connection);
void tide_hub_close (tide_hub_t *hub, tide_connection_t *connection, uint16_t code);
/*  Ends it without grace; a poll that is held is answered by the packet. */
void tide_hub_drop (tide_hub_t *hub, tide_connection_t *connection, const char *farewell);
/*  Ends what the connection has: its sessions, and what it asked for. */
void tide_hub_leave (tide_hub_t *hub, tide_connection_t *connection);
/*  So much is under way with it that it has to wait. */
bool tide_hub_is_busy (const tide_connection_t *connection);
void tide_hub_resume_sweep (tide_hub_t *hub);
void tide_hub_forget_resuming (tide_hub_t *hub, tide_connection_t *connection);
/*  Answers a request of HTTP. False if the answer could not be sent to the lane that has it. */
bool tide_hub_respond (tide_hub_t *hub, uint64_t ticket, unsigned status, const char *type,
                       tide_bytes_t body);
void tide_hub_respond_error (tide_hub_t *hub, uint64_t ticket, unsigned status, tide_status_t code,
                             const char *message);
/*  The client has joined a namespace, or never will: the connect time-out is over. */
void tide_hub_settled (tide_hub_t *hub, tide_connection_t *connection);
void tide_hub_send_text (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t text);
void tide_hub_send_binary (tide_hub_t *hub, tide_connection_t *connection, tide_bytes_t bytes);
void tide_hub_random (tide_hub_t *hub, const char *what, char *text, size_t size);
/*  A number for a form, under which the tape keeps bytes; TIDE_FORM_NONE: they are not kept. */
unsigned tide_hub_form (tide_hub_t *hub, const tide_form_t *form);
/*  Nothing more is read from the client while too much of it is under way; or it is again. */
void tide_hub_pace (tide_hub_t *hub, tide_connection_t *connection);
/*  Frames that waited for the session are handled soon. */
void tide_hub_drain_inbox (tide_hub_t *hub, tide_connection_t *connection);

/*  -- tide_hub_broker.c ----------------------------------------------------------------------- */

void tide_hub_feed_said (tide_hub_t *hub, const tide_feed_action_t *action);
/*  True if there is something for the shell to do, which is written to `action`. */
bool tide_hub_link_said (tide_hub_t *hub, const tide_link_action_t *from,
                         tide_hub_action_t *action);

#endif
