/*  tide_watch_internal.h - what tide_watch.c gathers and tide_watch_draw.c shows.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WATCH_INTERNAL_H
#define TIDE_WATCH_INTERNAL_H

#include "tide_alloc.h"
#include "tide_picture.h"
#include "tide_watch.h"

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>

/*  The broker's counters that are of interest. */
#define FIGURES(X)                                                                                 \
    X (EVENTS, "events_total")                                                                     \
    X (EVENT_BYTES, "event_bytes_total")                                                           \
    X (BATCHES, "batches_total")                                                                   \
    X (VOLATILES, "volatile_events_total")                                                         \
    X (CALLS, "calls_total")                                                                       \
    X (HEAD, "head")                                                                               \
    X (STANDING, "standing_keys")                                                                  \
    X (WORKERS, "workers")                                                                         \
    X (HISTORY, "history_events{class=\"clients\"}")                                               \
    X (HISTORY_BYTES, "history_bytes{class=\"clients\"}")                                          \
    X (IN_HAND, "open_calls{state=\"lent\"}")                                                      \
    X (WAITING, "open_calls{state=\"waiting\"}")                                                   \
    X (READY, "open_calls{state=\"ready\"}")                                                       \
    X (RESTING, "open_calls{state=\"resting\"}")

enum {
#define X(NAME, text) NAME,
    FIGURES (X)
#undef X
        FIGURE_COUNT
};

typedef struct {
    UT_hash_handle hh;
    uint64_t events, standing;
    uint64_t last;    /* its last event's sequence: what came up to there is in `events` */
    bool is_known;    /* the broker listed it: events and standing are right */
    uint32_t listed;  /* in which listing */
    uint64_t touched; /* in the round that is under way */
    double rate;
    size_t size;
    char name[];
} tide_watch_topic_t;

typedef struct {
    uint64_t at, connections, sessions, behind, deliveries, publishes, calls;
} tide_watch_report_t;

typedef struct {
    UT_hash_handle hh;
    char id[64];
    char gateway[192];
    uint64_t heard_ms;
    tide_watch_report_t now, before;
    bool has_rates;
} tide_watch_lane_t;

typedef struct {
    char *name;
    uint64_t workers, credit, in_hand, waiting;
} tide_watch_service_t;

/*  Whoever reads by a named cursor. */
typedef struct {
    char *name;
    uint64_t epoch;
    tide_buffer_t wants;
    uint32_t want_count;
    tide_cell_t lag;
} tide_watch_cursor_t;

struct tide_watch {
    tide_watch_request_fn *request;
    void *argument;
    bool lists_always;

    /*  A round. */
    uint64_t stats_token, marks_token, topics_token, cursors_token, lag_token;
    bool is_asking; /* its answers have not all come */
    unsigned rounds;

    /*  What is known. */
    uint64_t epoch, marked; /* marks were read up to here */
    uint64_t taken_ms, before_ms;
    uint64_t figures[FIGURE_COUNT], before[FIGURE_COUNT];
    tide_watch_service_t *services;
    size_t service_count;
    tide_watch_cursor_t *cursors; /* whose lag is known up to `counted` */
    tide_watch_cursor_t *listing_cursors;
    size_t cursor_count, listed_cursors, counted;
    tide_watch_topic_t *topics;
    uint32_t listing;
    size_t listed;
    tide_watch_lane_t *lanes;
};

#endif
