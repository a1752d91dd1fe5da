/*  tide_subscriptions_internal.h - what subscriptions are (tide_subscriptions.c), and how what they
 *  have read waits to be told (tide_told.c).
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_SUBSCRIPTIONS_INTERNAL_H
#define TIDE_SUBSCRIPTIONS_INTERNAL_H

#include "tide_bookmarks.h"
#include "tide_patterns.h"
#include "tide_subscriptions.h"

#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

/*  A pattern of the feed, for all subscriptions that read it. */
typedef struct {
    UT_hash_handle hh;
    tide_subscription_t *readers; /* by reader_next */
    tide_pattern_t *pattern;
    bool is_joined;
    uint64_t joined; /* the feed speaks for it behind this */
} tide_followed_t;

typedef enum { WAITING, TAKING, READING, GATHERING, LIVE, ENDED } tide_subscription_state_t;

struct tide_subscription {
    tide_subscription_t *prev, *next;               /* of all */
    tide_subscription_t *reader_prev, *reader_next; /* of those of one pattern */
    tide_subscription_t *ready_prev, *ready_next;
    tide_subscription_t *asking_prev, *asking_next;
    tide_followed_t *followed;
    void *handle;
    tide_bookmark_t *bookmark; /* it reads by a named cursor; NULL: by none */
    bool is_ours;              /* … which was taken */
    uint64_t again_ms;         /* its first is told again then; 0: that waits for nothing */
    bool is_direct, is_ready, is_asking, is_taken, is_removed;
    bool was_joined; /* JOINED was told since it began, or since the last reset */
    tide_subscription_state_t state;
    tide_begin_t begin;
    tide_status_t reset; /* OK: none is due */
    uint64_t cursor;     /* all up to here was queued */
    uint64_t target;     /* what the feed has for it is behind this */
    uint64_t tag;        /* of the request that is under way; 0: none */
    uint64_t part_of;    /* GATHERING: the number under which the next part is asked for */
    uint32_t part;
    uint64_t retry_ms; /* 0: not refused */
    tide_told_t *queue;
    tide_told_t *gathered; /* what stands, until it is whole */
    size_t count, size, gathered_size;
};

struct tide_subscriptions {
    tide_feed_t *feed; /* NULL until something is read */
    bool is_up;
    bool is_head_due;  /* where the log stands is to be asked for, so that the feed begins there */
    uint64_t head_tag; /* … and is being asked */
    uint64_t head_retry_ms;
    uint64_t last_tag;
    tide_patterns_t patterns;
    tide_bookmarks_t *bookmarks;
    tide_followed_t *followed;
    tide_subscription_t *all, *ready, *asking;
    size_t subscription_count;
    size_t events_max, standing_size_max;
    tide_message_t request;
    tide_buffer_t wants;
    tide_subscriptions_counters_t counters;
};

/*  Asks the broker for what is next, or does not: when something changed of which that depends. */
void tide_subscription_set_asking (tide_subscriptions_t *self, tide_subscription_t *subscription);

/*  -- what waits to be told ------------------------------------------------------------------- */

/*  record: of an event, or empty. It is the caller's until it is put. */
tide_told_t *tide_told_new (tide_subscription_t *subscription, tide_told_kind_t kind, uint64_t seq,
                            uint64_t epoch, tide_bytes_t record);
/*  Queues it behind what waits. */
void tide_told_put (tide_subscriptions_t *self, tide_told_t *told);
/*  Queues what is no event. */
void tide_told_say (tide_subscriptions_t *self, tide_subscription_t *subscription,
                    tide_told_kind_t kind, tide_status_t code, uint64_t seq);
/*  What waits is void; or what was gathered of what stands. */
void tide_told_drop (tide_subscriptions_t *self, tide_subscription_t *subscription);
void tide_told_drop_gathered (tide_subscription_t *subscription);
/*  Live events are let go of; pages are asked for again. */
bool tide_told_is_full (const tide_subscriptions_t *self, const tide_subscription_t *subscription);
bool tide_told_has_room (const tide_subscriptions_t *self, const tide_subscription_t *subscription);
/*  It is among those that have something for their reader, or is not. */
void tide_told_set_ready (tide_subscriptions_t *self, tide_subscription_t *subscription);

#endif
