/*  tide_members.c - the groups that a worker is a member of.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_members.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>
#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

#define NAME_SIZE_MAX 63u

struct tide_membership {
    tide_membership_t *prev, *next;
    char *user, *name, *topics;
    tide_group_join_message_t join; /* without its spans */
    void *handle;
    uint64_t tag;      /* of the last join that was said */
    uint64_t again_ms; /* when it is said again; UINT64_MAX: it is not */
    bool is_ended;     /* told, or about to be */
};

typedef enum { GIVEN_QUEUED, GIVEN_TAKEN } state_t;

/*  What an event is found by. */
typedef struct {
    const tide_membership_t *membership;
    uint64_t seq;
} event_key_t;

struct tide_given {
    tide_given_t *prev, *next;
    UT_hash_handle hh; /* an event that is not replaced */
    event_key_t key;
    bool is_known;                 /* it is in that hash */
    tide_membership_t *membership; /* NULL: left meanwhile */
    state_t state;
    bool is_said;     /* what became of it */
    bool is_older;    /* it was given in a conversation before this one */
    bool is_replaced; /* it was given anew to this same worker, or its log is another one */
    uint32_t lease_ms;
    uint64_t began_ms, until_ms; /* the lease */
    tide_given_view_t view;
    char *user, *name;
    uint8_t bytes[]; /* the event */
};

/*  A message that is to be sent. */
typedef struct saying saying_t;
struct saying {
    saying_t *prev, *next;
    uint64_t tag;
    tide_buffer_t bytes;
};

struct tide_members {
    tide_membership_t *memberships;
    tide_given_t *waiting; /* in the order in which they came */
    tide_given_t *taken;
    tide_given_t *by_event; /* the hash */
    uint64_t waiting_count;
    uint64_t due_ms; /* no lease of what waits is to be extended sooner */
    saying_t *sayings;
    tide_buffer_t said; /* the last that was given out */
    bool is_running, is_up;
    uint64_t epoch; /* 0: not known yet */
    uint64_t last_tag;
    tide_members_counters_t counters;
};

tide_members_t *tide_members_new (void)
{
    return tide_alloc (sizeof (tide_members_t));
}

static void forget_event (tide_members_t *self, tide_given_t *given)
{
    if (given->is_known)
        HASH_DEL (self->by_event, given);
    given->is_known = false;
}

/*  No longer waiting, or taken. */
static void unlist (tide_members_t *self, tide_given_t *given)
{
    if (given->state == GIVEN_TAKEN) {
        DL_DELETE (self->taken, given);
        return;
    }
    DL_DELETE (self->waiting, given);
    self->waiting_count--;
}

static void free_given (tide_members_t *self, tide_given_t *given)
{
    unlist (self, given);
    forget_event (self, given);
    free (given->user);
    free (given->name);
    free (given);
}

static void free_membership (tide_members_t *self, tide_membership_t *membership)
{
    DL_DELETE (self->memberships, membership);
    free (membership->user);
    free (membership->name);
    free (membership->topics);
    free (membership);
}

static void free_saying (tide_members_t *self, saying_t *saying)
{
    DL_DELETE (self->sayings, saying);
    tide_buffer_free (&saying->bytes);
    free (saying);
}

void tide_members_destroy (tide_members_t **self_p)
{
    tide_members_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    tide_assert (!self->taken);
    while (self->waiting)
        free_given (self, self->waiting);
    while (self->memberships)
        free_membership (self, self->memberships);
    while (self->sayings)
        free_saying (self, self->sayings);
    tide_buffer_free (&self->said);
    free (self);
}

/*  -- to the broker --------------------------------------------------------------------------- */

static void say (tide_members_t *self, const tide_message_t *message, uint64_t tag)
{
    saying_t *saying = tide_alloc (sizeof *saying);
    saying->tag = tag;
    tide_message_encode (&saying->bytes, message);
    DL_APPEND (self->sayings, saying);
}

bool tide_members_next (tide_members_t *self, tide_message_t *message, uint64_t *tag)
{
    saying_t *saying = self->sayings;
    if (!saying)
        return false;
    tide_buffer_free (&self->said);
    self->said = saying->bytes;
    saying->bytes = (tide_buffer_t){0};
    *tag = saying->tag;
    free_saying (self, saying);
    const char *why;
    tide_status_t status = tide_message_decode (tide_buffer_bytes (&self->said), message, &why);
    tide_assert (status == TIDE_OK); /* we encoded it */
    return true;
}

static void say_join (tide_members_t *self, tide_membership_t *membership)
{
    membership->again_ms = UINT64_MAX;
    if (!self->is_up || membership->is_ended)
        return;
    tide_message_t message = {.kind = TIDE_MESSAGE_GROUP_JOIN, .group_join = membership->join};
    message.group_join.user = tide_bytes (membership->user);
    message.group_join.name = tide_bytes (membership->name);
    message.group_join.topics = tide_bytes (membership->topics);
    if (!self->is_running)
        message.group_join.credit = 0;
    membership->tag = ++self->last_tag;
    say (self, &message, membership->tag);
}

static void say_done (tide_members_t *self, const tide_given_t *given, tide_given_outcome_t outcome,
                      uint32_t delay_ms, tide_bytes_t why)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_GROUP_DONE,
                              .group_done = {.user = tide_bytes (given->user),
                                             .name = tide_bytes (given->name),
                                             .seq = given->view.seq,
                                             .attempt = given->view.attempt,
                                             .outcome = (uint8_t) outcome,
                                             .delay_ms = delay_ms,
                                             .message = why}};
    say (self, &message, 0);
}

/*  -- groups ---------------------------------------------------------------------------------- */

static tide_membership_t *find (const tide_members_t *self, tide_bytes_t user, tide_bytes_t name)
{
    tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        if (tide_bytes_is (user, membership->user) && tide_bytes_is (name, membership->name))
            return membership;
    }
    return NULL;
}

static tide_status_t check (const tide_group_join_message_t *join)
{
    tide_bytes_t name = join->name;
    if (name.size == 0 || name.size > NAME_SIZE_MAX || !tide_topic_valid (name)
        || memchr (name.data, '/', name.size) || tide_topic_is_system (name)
        || join->user.size > TIDE_GROUP_USER_SIZE_MAX)
        return TIDE_BAD_REQUEST;
    if (!tide_pattern_valid (join->topics))
        return TIDE_BAD_TOPIC;
    bool is_large = join->credit > TIDE_CREDIT_MAX || join->lease_ms > TIDE_CALL_LEASE_MS_MAX
                    || join->attempts > TIDE_CALL_ATTEMPTS_MAX
                    || join->delay_ms > TIDE_CALL_DELAY_MS_MAX;
    return is_large ? TIDE_TOO_LARGE : TIDE_OK;
}

static char *text_of (tide_bytes_t bytes)
{
    return tide_copy (bytes.data, bytes.size);
}

tide_status_t tide_members_add (tide_members_t *self, const tide_group_join_message_t *join,
                                void *handle, tide_membership_t **membership_p)
{
    tide_status_t status = check (join);
    if (status == TIDE_OK && find (self, join->user, join->name))
        status = TIDE_CONFLICT;
    if (status != TIDE_OK)
        return status;
    tide_membership_t *membership = tide_alloc (sizeof *membership);
    membership->join = *join;
    membership->user = text_of (join->user);
    membership->name = text_of (join->name);
    membership->topics = text_of (join->topics);
    membership->handle = handle;
    DL_APPEND (self->memberships, membership);
    say_join (self, membership);
    *membership_p = membership;
    return TIDE_OK;
}

/*  Drops what waits of a group; what is taken is nobody's. */
static void part (tide_members_t *self, const tide_membership_t *membership)
{
    tide_given_t *given, *next;
    DL_FOREACH_SAFE (self->waiting, given, next) {
        if (given->membership == membership)
            free_given (self, given);
    }
    DL_FOREACH (self->taken, given) {
        if (given->membership != membership)
            continue;
        forget_event (self, given);
        given->membership = NULL;
    }
}

/*  What waits of the group; NULL: of all. */
static void give_back (tide_members_t *self, const tide_membership_t *membership)
{
    tide_given_t *given, *next;
    DL_FOREACH_SAFE (self->waiting, given, next) {
        if (given->view.kind != TIDE_GIVEN_EVENT || (membership && given->membership != membership))
            continue;
        say_done (self, given, TIDE_GIVEN_NOT_BEGUN, 0, (tide_bytes_t){0});
        free_given (self, given);
    }
}

void tide_members_remove (tide_members_t *self, tide_membership_t **membership_p)
{
    tide_membership_t *membership = *membership_p;
    if (!membership)
        return;
    *membership_p = NULL;
    give_back (self, membership);
    part (self, membership);
    tide_message_t leave = {.kind = TIDE_MESSAGE_GROUP_LEAVE,
                            .group_leave = {.user = tide_bytes (membership->user),
                                            .name = tide_bytes (membership->name)}};
    if (self->is_up && !membership->is_ended)
        say (self, &leave, 0);
    free_membership (self, membership);
}

void tide_members_run (tide_members_t *self, bool is_running)
{
    if (self->is_running == is_running)
        return;
    self->is_running = is_running;
    tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        say_join (self, membership);
    }
    if (!is_running)
        give_back (self, NULL);
}

/*  -- from the broker ------------------------------------------------------------------------- */

/*  What is taken is another's now, or of another log. */
static void replace (tide_members_t *self, tide_given_t *given)
{
    forget_event (self, given);
    given->is_replaced = true;
}

static uint64_t extend_due_ms (const tide_given_t *given)
{
    return given->began_ms + (given->until_ms - given->began_ms) / 2;
}

void tide_members_up (tide_members_t *self, uint64_t epoch)
{
    bool is_other_log = self->epoch != 0 && self->epoch != epoch;
    self->epoch = epoch;
    self->is_up = true;
    tide_given_t *given, *next;
    DL_FOREACH_SAFE (self->waiting, given, next) {
        if (given->view.kind != TIDE_GIVEN_EVENT)
            continue;
        self->counters.forgotten++;
        free_given (self, given);
    }
    DL_FOREACH (self->taken, given) {
        given->is_older = true;
        if (is_other_log)
            replace (self, given);
    }
    tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        say_join (self, membership);
    }
}

static tide_given_t *add_given (tide_members_t *self, tide_membership_t *membership,
                                tide_given_kind_t kind, tide_bytes_t record)
{
    tide_given_t *given = tide_alloc (sizeof *given + record.size);
    if (record.size > 0)
        memcpy (given->bytes, record.data, record.size);
    given->membership = membership;
    given->view.handle = membership->handle;
    given->view.kind = kind;
    given->view.epoch = self->epoch;
    given->user = tide_copy (membership->user, strlen (membership->user));
    given->name = tide_copy (membership->name, strlen (membership->name));
    DL_APPEND (self->waiting, given);
    self->waiting_count++;
    return given;
}

/*  What this same worker has of the event already. */
static tide_given_t *find_current (const tide_members_t *self, const tide_membership_t *membership,
                                   uint64_t seq)
{
    event_key_t key = {membership, seq};
    tide_given_t *given;
    HASH_FIND (hh, self->by_event, &key, sizeof key, given);
    return given;
}

/*  Whether what is there is what the broker speaks of, or later. A broker that began anew does not
 *  know how often an event was given: what is in hand counts there if it has the same attempt. */
static bool is_current (const tide_given_t *given, uint32_t attempt)
{
    if (given->is_older)
        return given->view.attempt == attempt && !given->is_said;
    return given->view.attempt >= attempt;
}

bool tide_members_event (tide_members_t *self, uint64_t now_ms,
                         const tide_group_event_message_t *message)
{
    tide_membership_t *membership = find (self, message->user, message->name);
    tide_list_t list = message->events;
    tide_bytes_t record;
    tide_event_t event;
    if (!membership || message->events.count != 1 || !tide_list_next (&list, &record)
        || !tide_event_decode (record, &event)) {
        self->counters.refused++;
        return false;
    }
    tide_given_t *current = find_current (self, membership, event.seq);
    if (current && is_current (current, message->attempt)) {
        self->counters.refused++;
        return false;
    }
    if (current) {
        self->counters.replaced++;
        if (current->state == GIVEN_QUEUED)
            free_given (self, current);
        else
            replace (self, current);
    }
    tide_given_t *given = add_given (self, membership, TIDE_GIVEN_EVENT, record);
    bool is_sound =
        tide_event_decode ((tide_bytes_t){given->bytes, record.size}, &given->view.event);
    tide_assert (is_sound);
    given->view.seq = event.seq;
    given->view.attempt = message->attempt;
    given->lease_ms = message->lease_ms;
    given->began_ms = now_ms;
    given->until_ms = now_ms + message->lease_ms;
    given->key = (event_key_t){membership, event.seq};
    given->is_known = true;
    HASH_ADD (hh, self->by_event, key, sizeof given->key, given);
    if (self->waiting_count == 1 || extend_due_ms (given) < self->due_ms)
        self->due_ms = extend_due_ms (given);
    self->counters.given++;
    return true;
}

/*  It is no member any more, and is told why, behind what came before. */
static void end (tide_members_t *self, tide_membership_t *membership, tide_status_t code)
{
    if (membership->is_ended)
        return;
    membership->is_ended = true;
    membership->again_ms = UINT64_MAX;
    part (self, membership);
    add_given (self, membership, TIDE_GIVEN_ENDED, (tide_bytes_t){0})->view.code = code;
}

void tide_members_note (tide_members_t *self, const tide_group_note_message_t *note)
{
    tide_membership_t *membership = find (self, note->user, note->name);
    if (!membership || membership->is_ended)
        return;
    if (note->code == TIDE_TRIMMED) {
        tide_given_t *given = add_given (self, membership, TIDE_GIVEN_TRIMMED, (tide_bytes_t){0});
        given->view.code = TIDE_TRIMMED;
        given->view.seq = note->seq;
    }
    else if (note->code == TIDE_NOT_FOUND)
        end (self, membership, TIDE_NOT_FOUND);
}

/*  Whether the broker may say something else in a while. */
static bool is_for_now (tide_status_t status)
{
    return status == TIDE_TOO_MANY || status == TIDE_LOG_FULL || status == TIDE_SHUTTING_DOWN
           || status == TIDE_TIMEOUT || status == TIDE_BROKER_AWAY;
}

void tide_members_joined (tide_members_t *self, uint64_t now_ms, uint64_t tag,
                          const tide_message_t *answer)
{
    tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        if (membership->tag == tag)
            break;
    }
    if (!membership || answer->kind != TIDE_MESSAGE_FAIL)
        return;
    tide_status_t status = (tide_status_t) answer->fail.code;
    if (is_for_now (status))
        membership->again_ms = now_ms + TIDE_MEMBERS_AGAIN_MS;
    else
        end (self, membership, status);
}

/*  -- to the worker's threads ----------------------------------------------------------------- */

const tide_given_view_t *tide_given_view (const tide_given_t *given)
{
    return &given->view;
}

static void begin_lease (tide_members_t *self, tide_given_t *given, uint64_t now_ms,
                         uint32_t lease_ms)
{
    given->began_ms = now_ms;
    given->until_ms = now_ms + (lease_ms > 0 ? lease_ms : given->lease_ms);
    tide_message_t extend = {.kind = TIDE_MESSAGE_GROUP_EXTEND,
                             .group_extend = {.user = tide_bytes (given->user),
                                              .name = tide_bytes (given->name),
                                              .seq = given->view.seq,
                                              .attempt = given->view.attempt,
                                              .lease_ms = lease_ms}};
    say (self, &extend, 0);
}

/*  So much of its lease is gone that its function is to begin with a fresh one. */
static bool is_stale (const tide_given_t *given, uint64_t now_ms)
{
    return now_ms - given->began_ms > (given->until_ms - given->began_ms) / 8;
}

/*  This process stood still: it is another's by now. */
static void drop (tide_members_t *self, tide_given_t *given)
{
    self->counters.forgotten++;
    free_given (self, given);
}

tide_given_t *tide_members_take (tide_members_t *self, uint64_t now_ms)
{
    tide_given_t *given, *next;
    DL_FOREACH_SAFE (self->waiting, given, next) {
        bool is_event = given->view.kind == TIDE_GIVEN_EVENT;
        if (is_event && !self->is_running)
            continue;
        if (is_event && now_ms >= given->until_ms) {
            drop (self, given);
            continue;
        }
        unlist (self, given);
        given->state = GIVEN_TAKEN;
        DL_APPEND (self->taken, given);
        if (is_event && is_stale (given, now_ms))
            begin_lease (self, given, now_ms, 0);
        return given;
    }
    return NULL;
}

bool tide_members_is_ready (const tide_members_t *self)
{
    return self->waiting != NULL;
}

static bool is_over (const tide_given_t *given, uint64_t now_ms)
{
    return given->is_said || given->is_replaced || given->view.kind != TIDE_GIVEN_EVENT
           || now_ms >= given->until_ms;
}

tide_status_t tide_members_end (tide_members_t *self, uint64_t now_ms, tide_given_t *given,
                                tide_given_outcome_t outcome, uint32_t delay_ms,
                                tide_bytes_t message)
{
    tide_assert (given->state == GIVEN_TAKEN);
    if (is_over (given, now_ms))
        return TIDE_CONFLICT;
    given->is_said = true;
    say_done (self, given, outcome, delay_ms, message);
    return TIDE_OK;
}

tide_status_t tide_members_extend (tide_members_t *self, uint64_t now_ms, tide_given_t *given,
                                   uint32_t lease_ms)
{
    if (is_over (given, now_ms))
        return TIDE_CONFLICT;
    if (lease_ms > TIDE_CALL_LEASE_MS_MAX)
        lease_ms = TIDE_CALL_LEASE_MS_MAX;
    begin_lease (self, given, now_ms, lease_ms);
    return TIDE_OK;
}

void tide_members_let (tide_members_t *self, tide_given_t **given_p)
{
    tide_given_t *given = *given_p;
    if (!given)
        return;
    *given_p = NULL;
    tide_assert (given->state == GIVEN_TAKEN);
    free_given (self, given);
}

/*  -- time ------------------------------------------------------------------------------------ */

/*  The leases of what waits. */
static void extend_waiting (tide_members_t *self, uint64_t now_ms)
{
    tide_given_t *given, *next;
    self->due_ms = UINT64_MAX;
    DL_FOREACH_SAFE (self->waiting, given, next) {
        if (given->view.kind != TIDE_GIVEN_EVENT)
            continue;
        if (now_ms >= given->until_ms) {
            drop (self, given);
            continue;
        }
        if (now_ms >= extend_due_ms (given))
            begin_lease (self, given, now_ms, 0);
        if (extend_due_ms (given) < self->due_ms)
            self->due_ms = extend_due_ms (given);
    }
}

void tide_members_tick (tide_members_t *self, uint64_t now_ms)
{
    if (self->waiting && now_ms >= self->due_ms)
        extend_waiting (self, now_ms);
    tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        if (now_ms >= membership->again_ms)
            say_join (self, membership);
    }
}

uint64_t tide_members_deadline_ms (const tide_members_t *self)
{
    uint64_t due_ms = self->waiting ? self->due_ms : UINT64_MAX;
    const tide_membership_t *membership;
    DL_FOREACH (self->memberships, membership) {
        if (membership->again_ms < due_ms)
            due_ms = membership->again_ms;
    }
    return due_ms;
}

tide_members_counters_t tide_members_counters (const tide_members_t *self)
{
    tide_members_counters_t counters = self->counters;
    counters.waiting = self->waiting_count;
    return counters;
}
