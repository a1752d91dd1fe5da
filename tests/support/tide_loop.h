/*  tide_loop.h - a broker and some lanes in one thread, wired together without sockets.
 *
 *  For tests that are about what the cores decide together, not about faults (tests/sim is for
 *  those): everything that is sent arrives at once, and time passes when the test says so.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOOP_H
#define TIDE_LOOP_H

#include "tide_broker.h"
#include "tide_hub.h"
#include "tide_log.h"

#include <jansson.h>

enum { LOOP_HUBS = 3, LOOP_CLIENTS = 160, LOOP_HELD = 256 };

typedef struct tide_loop tide_loop_t;

/*  A client at the other end of a WebSocket, or one that polls. */
typedef struct {
    tide_loop_t *loop;
    unsigned hub;
    tide_connection_t *connection; /* NULL when it is closed, and of one that polls */
    unsigned close_code;

    /*  Polling: a GET is held all the time, unless it is stalled. */
    bool is_polling;
    bool is_over;                      /* it was told "1", or refused: it asks no more */
    char sid[96];                      /* of Engine.IO */
    unsigned gets_at, posts_at;        /* the lanes that its requests reach */
    uint64_t poll, post;               /* requests that await their answer; 0: none */
    unsigned poll_hub, post_hub;       /* … and where */
    unsigned poll_status, post_status; /* of the last answers */

    bool closes_late;    /* its connection is gone only when it is cut */
    bool is_stalled;     /* it takes nothing */
    bool is_writable;    /* WRITABLE was said while it was stalled */
    bool is_paused;      /* nothing more should be read from it */
    char *frames[65536]; /* what it was sent and has not looked at: text frames */
    size_t first, count;
    tide_buffer_t partial; /* of a message whose other fragments are still to come */
    uint8_t opcode;
    size_t binaries;      /* binary frames */
    tide_buffer_t binary; /* the last of them */

    bool is_stream; /* of Server-Sent Events */
    tide_buffer_t text;
} tide_loop_client_t;

struct tide_loop {
    uint64_t now_ms;
    tide_broker_config_t broker_config;
    tide_hub_config_t hub_config;
    tide_log_t *log;
    tide_broker_t *broker;
    tide_hub_t *hubs[LOOP_HUBS];
    bool is_cut[LOOP_HUBS];           /* nothing passes between this lane and the broker */
    bool is_prompt;                   /* a lane acts on each message before the next one comes */
    tide_message_kind_t lost_kind;    /* messages of this kind never reach the broker; 0: none */
    const char *lost_name;            /* … where the first event has this name, unless NULL */
    uint64_t held_kinds[LOOP_HUBS];   /* bits: messages of these kinds wait on their way to the
                                         broker */
    uint64_t lost_answers[LOOP_HUBS]; /* bits: messages of these kinds never come back from it */
    struct {
        unsigned hub;
        char peer[32];
        tide_buffer_t bytes;
    } held[LOOP_HELD];
    unsigned held_count;
    tide_buffer_t told; /* what the broker has told last to a peer that is no lane */
    bool has_worker;    /* that peer is one (tide_loop_worker.h): it lives on */
    tide_buffer_t lent; /* calls that it was lent: u32 size, LEND */
    size_t lent_at;     /* taken up to here */
    char lanes[LOOP_HUBS][32];
    char peers[LOOP_HUBS][32];
    unsigned generation;
    tide_buffer_t prefixes[LOOP_HUBS]; /* subscriptions: u8 volatile, u32 size, bytes */
    tide_loop_client_t *clients[LOOP_CLIENTS];
    unsigned client_count;
    uint64_t ticket; /* the latest HTTP answer */
    unsigned http_status;
    char *http_body;
};

tide_loop_t *tide_loop_new (const tide_broker_config_t *broker_config);
tide_loop_t *tide_loop_new_with (const tide_broker_config_t *broker_config,
                                 const tide_application_t *application);
/*  … whose broker keeps so many events, and no more. */
tide_loop_t *tide_loop_new_keeping (uint64_t events);
void tide_loop_destroy (tide_loop_t **self_p);

/*  Lets everything happen that can happen now. */
void tide_loop_run (tide_loop_t *self);
/*  Lets time pass, in small steps. */
void tide_loop_pass (tide_loop_t *self, uint64_t ms);

/*  Ends a lane as kill -9 does: its clients see their connections close; starts a new one. */
void tide_loop_kill_lane (tide_loop_t *self, unsigned hub);
/*  Ends the broker as kill -9 does and starts one on the same log, or on an empty one. */
void tide_loop_kill_broker (tide_loop_t *self, bool wipe);

tide_loop_client_t *tide_loop_open (tide_loop_t *self, unsigned hub, tide_client_kind_t kind);
/*  A WebSocket that asks to take over from the client, which polls; it says nothing by itself. What
 *  comes behind the upgrade comes to this one. */
tide_loop_client_t *tide_loop_probe (tide_loop_client_t *client);
/*  … which reaches another lane. */
tide_loop_client_t *tide_loop_probe_at (tide_loop_client_t *client, unsigned hub);
/*  The client sends a text frame, or posts that much. */
void tide_loop_say (tide_loop_client_t *client, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
/*  The connection ends; of one that polls, the requests that are held. */
void tide_loop_cut (tide_loop_client_t *client);
/*  The next text frame, or NULL; valid until the loop ends. */
const char *tide_loop_hear (tide_loop_client_t *client);
/*  It takes bytes again. */
void tide_loop_unstall (tide_loop_client_t *client);

/*  A stream of Server-Sent Events; NULL if it was refused, in http_status and http_body. */
tide_loop_client_t *tide_loop_stream (tide_loop_t *self, unsigned hub, const char *query,
                                      const char *last_event_id);

/*  Passes on the oldest message that is held; false if there is none. */
bool tide_loop_let_go (tide_loop_t *self);
/*  … all of them, and holds nothing any more. */
void tide_loop_let_all_go (tide_loop_t *self);

/*  A client that polls, from its first GET. */
tide_loop_client_t *tide_loop_open_polling (tide_loop_t *self, unsigned hub);
/*  It posts, or polls once, without letting anything happen yet. */
void tide_loop_post (tide_loop_client_t *client, tide_bytes_t body);
void tide_loop_get (tide_loop_client_t *client);
/*  A request to Engine.IO by nobody in particular, answered in http_status and http_body, if it is;
 *  the body is NULL while it is still to come. Returns its ticket. */
uint64_t tide_loop_engineio (tide_loop_t *self, unsigned hub, const char *method, const char *query,
                             const char *body);

/*  A peer that is no lane says something to the broker; the answer is in told. */
void tide_loop_ask_broker (tide_loop_t *self, const tide_message_t *message);

/*  An HTTP request, answered in http_status and http_body. */
void tide_loop_http (tide_loop_t *self, unsigned hub, const char *method, const char *path,
                     const char *query, const char *body);
/*  Publishes number n to a topic; returns its sequence. */
uint64_t tide_loop_publish (tide_loop_t *self, const char *topic, int number);

#endif
