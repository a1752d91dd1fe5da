/*  tide_status.h - what came of it: one vocabulary of outcomes for every layer.
 *
 *  The names (tide_status_name) are the contract's error codes and appear on every wire; the
 *  numbers travel in ZeroMQ messages and are never given anew.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_STATUS_H
#define TIDE_STATUS_H

/*  X (NAME, number, code on the wire, what it means and what to do) */
#define TIDE_STATUSES(X)                                                                           \
    X (OK, 0, "ok", "it was done")                                                                 \
    X (BAD_REQUEST, 1, "bad_request", "the request is malformed: mend it before sending it again") \
    X (BAD_TOPIC, 2, "bad_topic",                                                                  \
       "a topic is 1-255 bytes of UTF-8 without control characters or #")                          \
    X (BAD_JSON, 3, "bad_json", "the text is not JSON")                                            \
    X (TOO_LARGE, 4, "too_large", "a size is above its limit")                                     \
    X (TOO_MANY, 5, "too_many", "a number of things is above its limit")                           \
    X (RATE_LIMITED, 6, "rate_limited", "sent too fast: wait and send again")                      \
    X (UNAUTHORIZED, 7, "unauthorized", "who is asking is not known")                              \
    X (FORBIDDEN, 8, "forbidden", "who is asking may not do this")                                 \
    X (TOKEN_EXPIRED, 9, "token_expired", "the token's time is over: get a new one")               \
    X (CONFLICT, 10, "conflict", "something else stands there: read, then decide")                 \
    X (NOT_FOUND, 11, "not_found", "there is no such thing")                                       \
    X (NO_WORKER, 12, "no_worker", "no worker serves this event")                                  \
    X (WORKER_FAILED, 13, "worker_failed", "the worker failed")                                    \
    X (TIMEOUT, 14, "timeout", "no answer came in time: it may have been done")                    \
    X (EPOCH_CHANGED, 15, "epoch_changed", "the position belongs to another log: take a snapshot") \
    X (TRIMMED, 16, "trimmed", "that history is gone: take a snapshot")                            \
    X (BROKER_AWAY, 17, "broker_away", "the broker cannot be reached: it is tried again")          \
    X (LOG_FULL, 18, "log_full", "the log's disk is full: readers are served, publishers wait")    \
    X (SHUTTING_DOWN, 19, "shutting_down", "the server is stopping: connect again")

typedef enum {
#define X(name, number, code, meaning) TIDE_##name = number,
    TIDE_STATUSES (X)
#undef X
        TIDE_STATUS_COUNT
} tide_status_t;

/*  Returns the contract's code, as "bad_topic"; "bad_request" for a number that is none. */
const char *tide_status_name (tide_status_t status);

/*  Returns one sentence on the cause and the remedy. */
const char *tide_status_meaning (tide_status_t status);

#endif
