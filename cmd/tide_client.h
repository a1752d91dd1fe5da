/*  tide_client.h - a command's connection to the broker: a small blocking loop.
 *
 *  Brings tide_link and tide_feed together with ZeroMQ sockets, as the gateway's lane does, for a
 *  program that has nothing else to do. Everything that comes is told by the functions that the
 *  command gave, from within tide_client_step.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CLIENT_H
#define TIDE_CLIENT_H

#include "tide_feed.h"
#include "tide_link.h"
#include "tide_options.h"

typedef struct tide_client tide_client_t;

typedef struct {
    const char *program;  /* as "tidemark sub"; begins what is said on standard error */
    const char *endpoint; /* of the broker's ROUTER */
    void *argument;       /* given to the functions below; each may be NULL */
    /*  The answer to one of the command's own requests, valid for the call. It may request more,
     *  but then must not look at the answer again. */
    void (*answered) (void *argument, uint64_t token, const tide_message_t *answer);
    /*  EVENT, VOLATILE, JOINED, LOST, COMPLETE or EPOCH of what is followed. It must not add or
     *  remove topics. */
    void (*happened) (void *argument, const tide_feed_action_t *action);
    /*  The broker is there, for the first time or again. */
    void (*welcomed) (void *argument);
    /*  It can't go on; why is said next, on standard error. */
    void (*failing) (void *argument);
} tide_client_config_t;

tide_client_t *tide_client_new (const tide_client_config_t *config);
/*  Takes its leave of the broker, if it is there. */
void tide_client_destroy (tide_client_t **self_p);

/*  Waits for something to happen, at most timeout_ms, and deals with all of it. True if `other`
 *  (-1: nothing) is readable. */
bool tide_client_step (tide_client_t *self, int other, unsigned timeout_ms);

/*  Steps until *is_done, or until the client failed, or until the broker did not answer anything
 *  for timeout_s seconds (0: waits for ever). Returns the exit status, 0 or 1; what was wrong has
 *  been said. */
int tide_client_run (tide_client_t *self, const bool *is_done, uint64_t timeout_s);

/*  True if nothing was answered for timeout_s seconds while something was awaited; says so. For
 *  commands with a loop of their own, to be asked after every step. */
bool tide_client_gave_up (tide_client_t *self, bool is_waiting, uint64_t timeout_s);

/*  True if it can't go on (the broker refused it); what was wrong has been said. */
bool tide_client_has_failed (const tide_client_t *self);

/*  Asks the broker (tide_link_request); 0 if too many wait already. */
uint64_t tide_client_request (tide_client_t *self, tide_message_t *message);
void tide_client_cancel (tide_client_t *self, uint64_t token);
void tide_client_make_id (tide_client_t *self, char id[64]);

/*  Follows a topic or subtree (tide_feed_add). */
void tide_client_follow (tide_client_t *self, tide_bytes_t pattern);

/*  The largest payload that the broker takes; 0 before it was there. */
uint32_t tide_client_payload_max (const tide_client_t *self);

/*  -- what the commands' lines have in common ------------------------------------------------- */

/*  "PROGRAM: CODE: MESSAGE" on standard error, of an answer that is FAIL. */
void tide_client_say_fail (const char *program, const tide_fail_message_t *fail);

/*  {"reset":{"topic"?,"seq","epoch","code"}} on standard error: events are gone for good. */
void tide_client_say_reset (tide_bytes_t topic, uint64_t seq, uint64_t epoch, tide_status_t code);

/*  One event as a line of JSON on standard output. */
void tide_client_print_event (const tide_event_t *event);

/*  What --since says: "start", "live" (then *is_live), a sequence, "epoch:seq". */
bool tide_client_parse_since (const char *since, bool *is_live, uint64_t *epoch, uint64_t *seq);

/*  The options of all commands that talk to a broker; a command's own struct begins with it. */
typedef struct {
    char *broker;
    uint64_t timeout_s;
} tide_client_options_t;

#define TIDE_CLIENT_OPTION_BROKER                                                                  \
    {                                                                                              \
        "broker", TIDE_OPTION_TEXT, 1, .offset = offsetof (tide_client_options_t, broker),         \
                                       .standard = "tcp://127.0.0.1:7400", .value = "ENDPOINT",    \
                                       .help = "the broker"                                        \
    }
#define TIDE_CLIENT_OPTION_TIMEOUT                                                                 \
    {                                                                                              \
        "timeout", TIDE_OPTION_NUMBER, 1,                                                          \
            .is_flag_only = true, .offset = offsetof (tide_client_options_t, timeout_s),           \
            .standard = "10", .min = 1, .max = 86400, .value = "SECONDS",                          \
            .help = "how long to wait for a broker that is away"                                   \
    }

/*  A whole command: reads its options, which are all zero before, and runs it with them and with
 *  its arguments, unless there is something else to be told. The exit status. */
typedef int (tide_client_run_fn) (const void *options, char **arguments);
int tide_client_command (const tide_program_t *program, int argc, char *const argv[], void *options,
                         tide_client_run_fn *run);

/*  True if it is a topic or, where it may be one, a subtree; else says that it is none. */
bool tide_client_check_topic (const char *program, const char *topic);

#endif
