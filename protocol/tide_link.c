/*  tide_link.c - the client's half of the conversation with a broker.
 *
 *  A request lies here, encoded, until its answer comes: by token in a table whose order is that
 *  of asking, and in a list whose order is that of the last sending, so that what is due again is
 *  always in front. What is to be sent refers to it by token: a request that was answered or
 *  cancelled meanwhile is not sent.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_link.h"

#include "tide_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  The table asks for memory where all others do. */
#define uthash_malloc(size) tide_alloc (size)
#include <uthash.h>
#include <utlist.h>

/*  HELLO is repeated after the first of these, each time later up to the second; one that was
 *  refused is repeated after the third. */
enum { HELLO_MS_MIN = 250, HELLO_MS_MAX = 1000, REFUSED_MS = 5000 };

typedef struct pending pending_t;
struct pending {
    UT_hash_handle hh;
    pending_t *prev, *next; /* in the order of the last sending */
    uint64_t token;
    uint64_t sent_ms;
    uint32_t part;   /* of a SNAPSHOT */
    uint32_t copies; /* said since the WELCOME, and not answered */
    tide_message_kind_t kind;
    bool was_sent, is_queued, is_volatile;
    size_t size;
    uint8_t bytes[];
};

/*  Something to be said: a request by its token, or its own bytes. */
typedef struct said said_t;
struct said {
    said_t *prev, *next;
    tide_link_action_kind_t kind;
    uint64_t token;
    tide_message_t message;
    size_t size;
    uint8_t bytes[];
};

typedef enum {
    LINK_IDLE,     /* not started */
    LINK_GREETING, /* HELLO was said, or is due; no WELCOME yet */
    LINK_UP
} link_state_t;

struct tide_link {
    link_state_t state;
    char *name, *lease, *origin;
    char *refusal;

    uint64_t connect_ms; /* GREETING: when the connection is made afresh */
    uint64_t hello_ms;   /* GREETING: when HELLO is due */
    uint64_t greeted_ms; /* when HELLO was said last */
    uint64_t hello_wait_ms;
    uint64_t epoch;    /* of the last WELCOME; 0: none yet */
    uint64_t size_max; /* of a request, as the broker's last WELCOME says */
    uint64_t heard_ms; /* UP: when the broker was heard last */
    uint64_t ping_ms;  /* UP: when PING is due */
    uint64_t relayed;  /* bytes that came since the last HELLO */

    uint64_t last_token, last_id;
    pending_t *by_token;
    pending_t *by_sending;
    said_t *said, *last_said;
    tide_buffer_t scratch;
    tide_link_counters_t counters;
};

/*  -- objects --------------------------------------------------------------------------------- */

tide_link_t *tide_link_new (const tide_link_config_t *config)
{
    tide_link_t *self = tide_alloc (sizeof *self);
    const char *lease = config->lease ? config->lease : "";
    tide_assert (strlen (config->name) <= TIDE_NAME_SIZE_MAX);
    tide_assert (strlen (lease) <= TIDE_NAME_SIZE_MAX);
    tide_assert (strlen (config->origin) <= 40); /* made ids have room for 64 */
    self->name = tide_copy (config->name, strlen (config->name));
    self->lease = tide_copy (lease, strlen (lease));
    self->origin = tide_copy (config->origin, strlen (config->origin));
    return self;
}

static void forget (tide_link_t *self, pending_t *pending)
{
    HASH_DEL (self->by_token, pending);
    if (pending->was_sent)
        DL_DELETE (self->by_sending, pending);
    free (pending);
}

void tide_link_destroy (tide_link_t **self_p)
{
    tide_link_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->by_token)
        forget (self, self->by_token);
    said_t *said, *next;
    DL_FOREACH_SAFE (self->said, said, next) {
        free (said);
    }
    free (self->last_said);
    free (self->name);
    free (self->lease);
    free (self->origin);
    free (self->refusal);
    tide_buffer_free (&self->scratch);
    free (self);
}

/*  -- saying ---------------------------------------------------------------------------------- */

static said_t *say (tide_link_t *self, tide_link_action_kind_t kind, tide_bytes_t bytes)
{
    said_t *said = tide_alloc (sizeof *said + bytes.size);
    said->kind = kind;
    said->size = bytes.size;
    if (bytes.size > 0)
        memcpy (said->bytes, bytes.data, bytes.size);
    DL_APPEND (self->said, said);
    return said;
}

static said_t *say_copy (tide_link_t *self, tide_link_action_kind_t kind, tide_bytes_t bytes)
{
    const char *why;
    said_t *said = say (self, kind, bytes);
    tide_status_t status =
        tide_message_decode ((tide_bytes_t){said->bytes, said->size}, &said->message, &why);
    tide_assert (status == TIDE_OK); /* these bytes have been decoded once */
    return said;
}

/*  What the link says of its own accord: small. */
static void say_message (tide_link_t *self, const tide_message_t *message)
{
    self->scratch.size = 0;
    tide_message_encode (&self->scratch, message);
    say (self, TIDE_LINK_SEND, tide_buffer_bytes (&self->scratch));
}

static void say_hello (tide_link_t *self, uint64_t now_ms)
{
    tide_message_t hello = {.kind = TIDE_MESSAGE_HELLO};
    hello.hello.name = tide_bytes (self->name);
    hello.hello.lease = tide_bytes (self->lease);
    hello.hello.origin = tide_bytes (self->origin);
    say_message (self, &hello);
    self->relayed = 0;
    self->greeted_ms = now_ms;
    self->hello_ms = now_ms + self->hello_wait_ms;
    if (self->hello_wait_ms < HELLO_MS_MAX)
        self->hello_wait_ms *= 2;
}

/*  Refuses a request here, in the broker's place, and forgets it. */
static void refuse (tide_link_t *self, pending_t *pending, tide_status_t status, const char *text)
{
    tide_message_t answer = {.kind = TIDE_MESSAGE_FAIL};
    answer.fail.request = pending->token;
    answer.fail.code = (uint8_t) status;
    answer.fail.message = tide_bytes (text);
    self->scratch.size = 0;
    tide_message_encode (&self->scratch, &answer);
    self->counters.refused++;
    say_copy (self, TIDE_LINK_ANSWER, tide_buffer_bytes (&self->scratch))->token = pending->token;
    forget (self, pending);
}

/*  A volatile event is for now: it neither waits for a broker nor is it sent twice. */
static void refuse_volatile (tide_link_t *self, pending_t *pending)
{
    refuse (self, pending, TIDE_BROKER_AWAY, "the broker is away, and the event is volatile");
}

static void refuse_volatiles (tide_link_t *self)
{
    pending_t *pending, *next;
    HASH_ITER (hh, self->by_token, pending, next) {
        if (pending->is_volatile)
            refuse_volatile (self, pending);
    }
}

/*  Calls, and a group's events, have their numbers from the log: in another one they are another's.
 */
static void refuse_dones (tide_link_t *self)
{
    pending_t *pending, *next;
    HASH_ITER (hh, self->by_token, pending, next) {
        if (pending->kind == TIDE_MESSAGE_DONE || pending->kind == TIDE_MESSAGE_GROUP_DONE)
            refuse (self, pending, TIDE_EPOCH_CHANGED, "what it is about was of another log");
    }
}

/*  Sends it, or sends it again. It moves to the end of those that are due again. */
static void say_request (tide_link_t *self, uint64_t now_ms, pending_t *pending)
{
    if (pending->size > self->size_max) {
        refuse (self, pending, TIDE_TOO_LARGE, "the request is larger than the broker reads");
        return;
    }
    if (pending->is_volatile && pending->was_sent) {
        refuse_volatile (self, pending);
        return;
    }
    if (pending->was_sent) {
        self->counters.repeats++;
        DL_DELETE (self->by_sending, pending);
    }
    DL_APPEND (self->by_sending, pending);
    pending->was_sent = true;
    pending->sent_ms = now_ms;
    if (pending->is_queued)
        return;
    pending->is_queued = true;
    pending->copies++;
    say (self, TIDE_LINK_SEND, (tide_bytes_t){0})->token = pending->token;
}

static void connect_afresh (tide_link_t *self, uint64_t now_ms)
{
    self->state = LINK_GREETING;
    self->connect_ms = now_ms + TIDE_LIVENESS_MS;
    self->hello_wait_ms = HELLO_MS_MIN;
    say (self, TIDE_LINK_CONNECT, (tide_bytes_t){0});
    say_hello (self, now_ms);
}

void tide_link_start (tide_link_t *self, uint64_t now_ms)
{
    tide_assert (self->state == LINK_IDLE);
    connect_afresh (self, now_ms);
}

/*  -- requests -------------------------------------------------------------------------------- */

/*  Where each kind of request has its number; NULL for what is no request. */
static uint64_t *number_of (tide_message_t *message)
{
    switch (message->kind) {
    case TIDE_MESSAGE_PUBLISH:
        return &message->publish.request;
    case TIDE_MESSAGE_READ:
        return &message->read.request;
    case TIDE_MESSAGE_MARKS_READ:
        return &message->marks_read.request;
    case TIDE_MESSAGE_SNAPSHOT:
        return &message->snapshot.request;
    case TIDE_MESSAGE_TOPICS_READ:
        return &message->topics_read.request;
    case TIDE_MESSAGE_STATS_READ:
        return &message->stats_read.request;
    case TIDE_MESSAGE_SERVE:
        return &message->serve.request;
    case TIDE_MESSAGE_CALL:
        return &message->call.request;
    case TIDE_MESSAGE_DONE:
        return &message->done.request;
    case TIDE_MESSAGE_GROUP_JOIN:
        return &message->group_join.request;
    case TIDE_MESSAGE_GROUP_LEAVE:
        return &message->group_leave.request;
    case TIDE_MESSAGE_GROUP_DONE:
        return &message->group_done.request;
    default:
        return NULL;
    }
}

static pending_t *find (const tide_link_t *self, uint64_t token)
{
    pending_t *pending;
    HASH_FIND (hh, self->by_token, &token, sizeof token, pending);
    return pending;
}

/*  The events of one publish are all volatile, or none is. */
static bool is_volatile (const tide_message_t *message)
{
    if (message->kind != TIDE_MESSAGE_PUBLISH)
        return false;
    tide_list_t events = message->publish.events;
    tide_event_t event;
    return tide_event_next (&events, &event) && (event.flags & TIDE_EVENT_VOLATILE) != 0;
}

uint64_t tide_link_request (tide_link_t *self, uint64_t now_ms, tide_message_t *message)
{
    uint64_t *number = number_of (message);
    tide_assert (number);
    bool goes_on = message->kind == TIDE_MESSAGE_SNAPSHOT && message->snapshot.part > 0;
    if (goes_on)
        tide_link_cancel (self, *number);
    if (HASH_COUNT (self->by_token) >= TIDE_LINK_REQUESTS_MAX)
        return 0;
    if (!goes_on)
        *number = ++self->last_token;
    self->scratch.size = 0;
    tide_message_encode (&self->scratch, message);
    pending_t *pending = tide_realloc (NULL, sizeof *pending + self->scratch.size);
    *pending = (pending_t){.token = *number, .kind = message->kind, .size = self->scratch.size};
    pending->is_volatile = is_volatile (message);
    pending->part = message->kind == TIDE_MESSAGE_SNAPSHOT ? message->snapshot.part : 0;
    memcpy (pending->bytes, self->scratch.data, self->scratch.size);
    HASH_ADD (hh, self->by_token, token, sizeof pending->token, pending);
    self->counters.requests++;
    if (self->state == LINK_UP)
        say_request (self, now_ms, pending);
    else if (pending->is_volatile)
        refuse_volatile (self, pending);
    return *number;
}

void tide_link_cancel (tide_link_t *self, uint64_t token)
{
    pending_t *pending = find (self, token);
    if (pending)
        forget (self, pending);
}

bool tide_link_send (tide_link_t *self, const tide_message_t *message)
{
    if (self->state != LINK_UP)
        return false;
    self->scratch.size = 0;
    tide_message_encode (&self->scratch, message);
    if (self->scratch.size > self->size_max) {
        self->counters.refused++;
        return false;
    }
    say (self, TIDE_LINK_SEND, tide_buffer_bytes (&self->scratch));
    return true;
}

void tide_link_make_id (tide_link_t *self, char id[64])
{
    snprintf (id, 64, "%s-%llu", self->origin, (unsigned long long) ++self->last_id);
}

/*  -- receiving ------------------------------------------------------------------------------- */

static void set_refusal (tide_link_t *self, uint64_t now_ms, tide_bytes_t text)
{
    free (self->refusal);
    self->refusal = tide_copy (text.data, text.size);
    self->state = LINK_GREETING;
    refuse_volatiles (self);
    self->hello_wait_ms = HELLO_MS_MIN;
    self->hello_ms = self->connect_ms = now_ms + REFUSED_MS;
}

/*  Both sides say so in these words (tide_message_decode). */
static bool is_of_version (tide_bytes_t text)
{
    static const char words[] = "protocol version";
    return text.size >= sizeof words - 1 && memcmp (text.data, words, sizeof words - 1) == 0;
}

/*  The conversation is over, though the connection is not: the broker does not know us. HELLO is
 *  said at once, but never faster than it is repeated, or two that disagree would spin. */
static void greet_again (tide_link_t *self, uint64_t now_ms)
{
    uint64_t soonest_ms = self->greeted_ms + HELLO_MS_MIN;
    if (self->state != LINK_UP)
        return;
    self->state = LINK_GREETING;
    refuse_volatiles (self);
    self->connect_ms = now_ms + TIDE_LIVENESS_MS;
    self->hello_wait_ms = HELLO_MS_MIN;
    self->hello_ms = soonest_ms > now_ms ? soonest_ms : now_ms;
    if (self->hello_ms == now_ms)
        say_hello (self, now_ms);
}

/*  HELLO may have been said more often than was needed, and one may have waited for a broker that
 *  began in another log: to that one we are no stranger, and nothing else would tell us of it. */
static void welcome (tide_link_t *self, uint64_t now_ms, tide_bytes_t bytes,
                     const tide_welcome_message_t *message)
{
    if (self->state == LINK_UP && self->epoch == message->epoch)
        return;
    if (self->state == LINK_UP)
        refuse_volatiles (self);
    self->state = LINK_UP;
    self->heard_ms = now_ms;
    self->ping_ms = now_ms + TIDE_HEARTBEAT_MS;
    self->counters.welcomes++;
    free (self->refusal);
    self->refusal = NULL;
    self->size_max = TIDE_MESSAGE_SIZE_READ (message->payload_max);
    say_copy (self, TIDE_LINK_UP, bytes);
    if (self->epoch != 0 && self->epoch != message->epoch)
        refuse_dones (self);
    self->epoch = message->epoch;
    pending_t *pending, *next;
    HASH_ITER (hh, self->by_token, pending, next) {
        pending->copies = pending->is_queued;
        say_request (self, now_ms, pending);
    }
}

static bool is_acknowledged (tide_message_kind_t kind)
{
    switch (kind) {
    case TIDE_MESSAGE_PUBLISH:
    case TIDE_MESSAGE_SERVE:
    case TIDE_MESSAGE_CALL:
    case TIDE_MESSAGE_DONE:
    case TIDE_MESSAGE_GROUP_JOIN:
    case TIDE_MESSAGE_GROUP_LEAVE:
    case TIDE_MESSAGE_GROUP_DONE:
        return true;
    default:
        return false;
    }
}

/*  Whether this kind of answer belongs to that kind of request. */
static bool fits (const pending_t *pending, const tide_message_t *answer)
{
    switch (answer->kind) {
    case TIDE_MESSAGE_FAIL:
        return true;
    case TIDE_MESSAGE_ACK:
        return is_acknowledged (pending->kind);
    case TIDE_MESSAGE_PAGE:
        return pending->kind == TIDE_MESSAGE_READ;
    case TIDE_MESSAGE_MARKS:
        return pending->kind == TIDE_MESSAGE_MARKS_READ;
    case TIDE_MESSAGE_STANDING: /* part 0 begins again; other parts may be answers given twice */
        return pending->kind == TIDE_MESSAGE_SNAPSHOT
               && (answer->standing.part == pending->part || answer->standing.part == 0);
    case TIDE_MESSAGE_TOPICS:
        return pending->kind == TIDE_MESSAGE_TOPICS_READ;
    case TIDE_MESSAGE_STATS:
        return pending->kind == TIDE_MESSAGE_STATS_READ;
    default:
        return false;
    }
}

/*  What could not be appended for now may be when it is reached once more: of a publish that was
 *  said twice the last answer counts, or it would be told that nothing was appended, which is. */
static bool is_last_word (pending_t *pending, const tide_message_t *answer)
{
    bool may_pass = answer->kind == TIDE_MESSAGE_FAIL && pending->kind == TIDE_MESSAGE_PUBLISH
                    && (answer->fail.code == TIDE_LOG_FULL || answer->fail.code == TIDE_TOO_MANY);
    pending->copies -= pending->copies > 0;
    return !may_pass || pending->copies == 0;
}

static void answer (tide_link_t *self, const tide_message_t *message, uint64_t token,
                    tide_bytes_t bytes)
{
    pending_t *pending = find (self, token);
    if (!pending || !fits (pending, message)) {
        self->counters.stray++;
        return;
    }
    if (!is_last_word (pending, message))
        return;
    forget (self, pending);
    self->counters.answers++;
    say_copy (self, TIDE_LINK_ANSWER, bytes)->token = token;
}

static void fail (tide_link_t *self, uint64_t now_ms, const tide_message_t *message,
                  tide_bytes_t bytes)
{
    if (message->fail.request != 0)
        answer (self, message, message->fail.request, bytes);
    else if (is_of_version (message->fail.message) || message->fail.code == TIDE_TOO_MANY)
        set_refusal (self, now_ms, message->fail.message);
    else
        greet_again (self, now_ms);
}

void tide_link_receive (tide_link_t *self, uint64_t now_ms, tide_bytes_t bytes)
{
    tide_message_t message;
    const char *why;
    if (self->state == LINK_IDLE)
        return;
    if (tide_message_decode (bytes, &message, &why) != TIDE_OK) {
        self->counters.malformed++;
        if (is_of_version (tide_bytes (why)))
            set_refusal (self, now_ms, tide_bytes (why));
        return;
    }
    self->heard_ms = now_ms;
    switch (message.kind) {
    case TIDE_MESSAGE_WELCOME:
        welcome (self, now_ms, bytes, &message.welcome);
        break;
    case TIDE_MESSAGE_PONG:
        break;
    case TIDE_MESSAGE_FAIL:
        fail (self, now_ms, &message, bytes);
        break;
    case TIDE_MESSAGE_ACK:
        answer (self, &message, message.ack.request, bytes);
        break;
    case TIDE_MESSAGE_PAGE:
        answer (self, &message, message.page.request, bytes);
        break;
    case TIDE_MESSAGE_MARKS:
        answer (self, &message, message.marks.request, bytes);
        break;
    case TIDE_MESSAGE_STANDING:
        answer (self, &message, message.standing.request, bytes);
        break;
    case TIDE_MESSAGE_TOPICS:
        answer (self, &message, message.topics.request, bytes);
        break;
    case TIDE_MESSAGE_STATS:
        answer (self, &message, message.stats.request, bytes);
        break;
    case TIDE_MESSAGE_RELAYED:
        self->relayed += message.relayed.payload.size;
        say_copy (self, TIDE_LINK_RELAYED, bytes)->token = message.relayed.token;
        break;
    case TIDE_MESSAGE_TOLD:
        say_copy (self, TIDE_LINK_RELAYED, bytes)->token = message.told.token;
        break;
    case TIDE_MESSAGE_LEND:
        say_copy (self, TIDE_LINK_LENT, bytes)->token = message.lend.call;
        break;
    case TIDE_MESSAGE_GROUP_EVENT:
    case TIDE_MESSAGE_GROUP_NOTE:
        say_copy (self, TIDE_LINK_LENT, bytes);
        break;
    default:
        self->counters.malformed++;
    }
}

/*  -- time ------------------------------------------------------------------------------------ */

static void tick_greeting (tide_link_t *self, uint64_t now_ms)
{
    if (now_ms >= self->connect_ms) {
        uint64_t wait_ms = self->hello_wait_ms;
        connect_afresh (self, now_ms);
        self->hello_wait_ms = wait_ms;
    }
    else if (now_ms >= self->hello_ms)
        say_hello (self, now_ms);
}

static void tick_up (tide_link_t *self, uint64_t now_ms)
{
    if (now_ms > self->heard_ms + TIDE_LIVENESS_MS) {
        self->counters.aways++;
        say (self, TIDE_LINK_AWAY, (tide_bytes_t){0});
        refuse_volatiles (self);
        connect_afresh (self, now_ms);
        return;
    }
    if (now_ms >= self->ping_ms) {
        tide_message_t ping = {.kind = TIDE_MESSAGE_PING, .ping = {self->relayed}};
        say_message (self, &ping);
        self->ping_ms = now_ms + TIDE_HEARTBEAT_MS;
    }
    while (self->by_sending && now_ms >= self->by_sending->sent_ms + TIDE_RETRY_MS)
        say_request (self, now_ms, self->by_sending);
}

void tide_link_tick (tide_link_t *self, uint64_t now_ms)
{
    switch (self->state) {
    case LINK_IDLE:
        break;
    case LINK_GREETING:
        tick_greeting (self, now_ms);
        break;
    case LINK_UP:
        tick_up (self, now_ms);
        break;
    }
}

static uint64_t sooner (uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

uint64_t tide_link_deadline_ms (const tide_link_t *self)
{
    if (self->state == LINK_IDLE)
        return UINT64_MAX;
    if (self->state == LINK_GREETING)
        return sooner (self->connect_ms, self->hello_ms);
    uint64_t due_ms = sooner (self->ping_ms, self->heard_ms + TIDE_LIVENESS_MS + 1);
    if (self->by_sending)
        due_ms = sooner (due_ms, self->by_sending->sent_ms + TIDE_RETRY_MS);
    return due_ms;
}

/*  -- actions --------------------------------------------------------------------------------- */

/*  The bytes of a request that still awaits its answer; none if it does not. */
static tide_bytes_t request_bytes (tide_link_t *self, uint64_t token)
{
    pending_t *pending = find (self, token);
    if (!pending)
        return (tide_bytes_t){0};
    pending->is_queued = false;
    return (tide_bytes_t){pending->bytes, pending->size};
}

bool tide_link_next_action (tide_link_t *self, tide_link_action_t *action)
{
    while (self->said) {
        free (self->last_said);
        said_t *said = self->last_said = self->said;
        DL_DELETE (self->said, said);
        *action = (tide_link_action_t){.kind = said->kind, .token = said->token};
        if (said->kind == TIDE_LINK_SEND) {
            action->bytes = (tide_bytes_t){said->bytes, said->size};
            if (said->token != 0)
                action->bytes = request_bytes (self, said->token);
            if (action->bytes.size == 0)
                continue;
        }
        if (said->kind == TIDE_LINK_UP || said->kind == TIDE_LINK_ANSWER
            || said->kind == TIDE_LINK_RELAYED || said->kind == TIDE_LINK_LENT)
            action->message = &said->message;
        return true;
    }
    return false;
}

/*  -- state ----------------------------------------------------------------------------------- */

bool tide_link_is_up (const tide_link_t *self)
{
    return self->state == LINK_UP;
}

size_t tide_link_pending (const tide_link_t *self)
{
    return HASH_COUNT (self->by_token);
}

const char *tide_link_refusal (const tide_link_t *self)
{
    return self->refusal;
}

tide_link_counters_t tide_link_counters (const tide_link_t *self)
{
    return self->counters;
}
