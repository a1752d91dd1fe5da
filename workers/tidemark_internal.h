/*  tidemark_internal.h - what the parts of libtidemark's shell share.
 *
 *  One lock guards the core and what stands beside it. Nothing that waits is done under it, and the
 *  post is handed messages only when their spans need it no more.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDEMARK_INTERNAL_H
#define TIDEMARK_INTERNAL_H

#include "tide_members.h"
#include "tide_post.h"
#include "tide_subscriptions.h"
#include "tide_worker.h"
#include "tidemark.h"

#include <pthread.h>
#include <time.h>

typedef struct {
    tidemark_handler_fn *function;
    void *argument;
} tide_handler_t;

typedef struct {
    char *nsp;
    tidemark_handler_fn *function;
    void *argument;
} tide_middleware_t;

#define TIDE_MIDDLEWARES_MAX 64

typedef struct tide_request tide_request_t;

struct tidemark {
    tide_post_t *post;
    uint32_t linger_ms;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    tide_worker_side_t *side;
    tide_subscriptions_t *reading;
    tide_members_t *members;
    tidemark_subscription_t *subscriptions;
    tide_subscription_t *replies; /* NULL until something is requested */
    bool hears_replies;
    char *caller; /* the name under which it calls */
    tide_request_t *requests;
    uint64_t last_request;
    tide_handler_t handlers[TIDE_SERVE_HANDLERS_MAX];
    tide_middleware_t middlewares[TIDE_MIDDLEWARES_MAX];
    size_t middleware_count;
    unsigned runners;
    bool is_stopping;
    bool is_closing; /* … and waits until all that was acknowledged is durable: */
    bool is_flushed;
    bool given_last;      /* of what was told, the last thing was a group's */
    bool has_news;        /* came, and the threads that run were not woken yet */
    bool told_last;       /* the last thing that a thread took was told, and no call */
    uint64_t serving;     /* the serial number of the last SERVE */
    tide_status_t served; /* what came of it, if it was refused */
    char *message;
    uint32_t payload_max;
};

struct tidemark_subscription {
    tidemark_subscription_t *prev, *next;
    tidemark_t *client;
    tide_subscription_t *subscription;
    tidemark_event_fn *function;
    void *argument;
    bool is_named;   /* it reads by a named cursor */
    bool is_running; /* the function is, in this thread: */
    pthread_t thread;
    bool is_ended;                 /* by its own function */
    tide_membership_t *membership; /* it is a group's, and no `subscription` */
    unsigned running_count;        /* … whose functions may run side by side */
};

struct tidemark_call {
    tidemark_t *client;
    tide_hand_t *hand;
    json_t *args;
    char *nsp, *event, *id, *from, *user;
    char *session; /* the topic of its record, or "" */
    json_t *data;  /* of a session that is to come in: what was set of it, or NULL; and the answer
                      that carries it */
    tide_buffer_t carrier;
    bool is_kept, has_returned, is_destroyed;
};

/*  NULL gives no bytes. */
static inline tide_bytes_t tide_text (const char *text)
{
    return text ? tide_bytes (text) : (tide_bytes_t){0};
}

/*  Under the lock, which is let go of meanwhile: waits until *is_so, which whoever sets it says by
 *  `changed`. False if it is not at end_ms. */
bool tide_await (tidemark_t *self, const bool *is_so, uint64_t end_ms);

/*  A text for people: as much of it as the wire takes, and is UTF-8. */
tide_bytes_t tide_message_of (const char *message);

/*  What a function that waits returns: tidemark_error tells the message from now on, or what the
 *  status means where that is NULL. */
tidemark_status_t tide_failed (tide_status_t status, const char *message);

/*  -- tide_publish.c -------------------------------------------------------------------------- */

typedef struct {
    tide_event_t event;
    tide_buffer_t payload;
    char id[64];
} tide_made_event_t;

/*  Makes an event of its parts; args are taken. The caller frees the payload, whatever comes of
 *  it. */
tide_status_t tide_event_make (tidemark_t *self, const char *topic, const char *name, json_t *args,
                               const tidemark_event_options_t *options,
                               tide_made_event_t *made) TIDE_UNUSED_RESULT;

/*  Sends a PUBLISH and waits until it is answered; without the lock. *message, which may be NULL,
 *  is the caller's to free. */
tide_status_t tide_publish_await (tidemark_t *self, const tide_message_t *publish, uint64_t end_ms,
                                  uint64_t *seq, char **message);

/*  -- tide_serve.c: under the lock, which the post's own never waits for ---------------------- */

/*  Says what this worker serves, and whether it takes calls. */
void tide_serve_say (tidemark_t *self);

/*  -- tide_event_json.c: the caller gives back what is returned ------------------------------- */

/*  Appends the payload of the arguments, which are taken; {"$binary":…} becomes an attachment.
 *  BAD_REQUEST; TOO_MANY attachments. */
tide_status_t tide_payload_of_json (json_t *args, tide_buffer_t *payload) TIDE_UNUSED_RESULT;
/*  … beside which is the system's own record. */
tide_status_t tide_payload_with (json_t *args, tide_bytes_t about,
                                 tide_buffer_t *payload) TIDE_UNUSED_RESULT;

/*  The arguments of a payload; NULL if they are not JSON. */
json_t *tide_json_of_args (const tide_args_t *args);

/*  All arguments of a payload, with binary values as {"$binary":…}; NULL if they are not JSON. */
json_t *tide_json_of_payload (tide_bytes_t payload);

/*  The event as it is everywhere: {"topic",…,"seq","event","data"|"args",…}. */
json_t *tide_json_of_event (const tide_event_t *event);

/*  -- tide_request.c -------------------------------------------------------------------------- */

/*  Under the lock, in the post's thread: replies find their requests. */
void tide_request_settle (tidemark_t *self);

/*  -- tide_subscribe.c ------------------------------------------------------------------------ */

/*  What the post tells. */
void tide_subscribe_heard (void *argument, tide_bytes_t frame);
void tide_subscribe_settle (void *argument);

/*  Waits until what was acknowledged to named cursors is durable, and not beyond end_ms. */
void tide_subscribe_flush (tidemark_t *self, uint64_t end_ms);

/*  Under the lock: the next thing to be told, for the calling thread; NULL if there is none. */
tide_told_t *tide_subscribe_take (tidemark_t *self);
/*  Tells it, without the lock. */
void tide_subscribe_tell (tidemark_t *self, tide_told_t *told);

/*  What a function is to be told. */
typedef struct {
    tidemark_event_kind_t kind;
    tide_status_t code;
    uint64_t seq, epoch;
    uint32_t attempt;
    const tide_event_t *event; /* all of it empty where there is none */
    tidemark_t *client;
    tide_given_t *given; /* of a group; NULL: of none */
} tide_telling_t;

/*  What it is told, and what is behind that. */
typedef struct {
    tidemark_event_t event;
    tidemark_t *client;
    tide_given_t *given;
} tide_told_event_t;

/*  Calls the function, without the lock, and returns what it does. */
int tide_event_tell (const tidemark_subscription_t *subscription, const tide_telling_t *telling);

/*  -- tide_member.c --------------------------------------------------------------------------- */

/*  What the post tells: GROUP_EVENT or GROUP_NOTE. */
void tide_member_told (void *argument, uint64_t now_ms, const tide_message_t *message);

/*  Under the lock: sends what members have to say. */
void tide_member_say (tidemark_t *self);
/*  Under the lock: the next thing of a group to be told; NULL if there is none. */
tide_given_t *tide_member_take (tidemark_t *self);
/*  Tells it, without the lock. */
void tide_member_tell (tidemark_t *self, tide_given_t *given);

/*  Under the lock: made becomes a member of options->group. */
tide_status_t tide_member_subscribe (tidemark_t *self, const char *topic,
                                     const tidemark_subscribe_options_t *options,
                                     const tide_begin_t *begin,
                                     tidemark_subscription_t *made) TIDE_UNUSED_RESULT;
/*  Ends one that is a member. */
void tide_member_unsubscribe (tidemark_subscription_t *subscription);

/*  -- tide_session.c -------------------------------------------------------------------------- */

/*  An answer that keeps out who wants to come in. */
bool tide_session_is_refusal (const json_t *args);

/*  -- tide_call.c ----------------------------------------------------------------------------- */

/*  Handles a call in the calling thread, without the lock. */
void tide_call_handle (tidemark_t *self, tide_hand_t *hand);

/*  It was ended, or nobody can end it any more. */
bool tide_call_is_over (tidemark_call_t *call);

/*  Under the lock: says what becomes of a call, until the broker has it. */
void tide_call_say_done (tidemark_t *self, const tide_message_t *done);

#endif
