/*  tide_cursors.c - topics that clients read by named cursors.
 *
 *  A named cursor says where a subscription begins, and is moved by acknowledgements; in between
 *  the topic is read like any other, by the session's own cursor. So a session that is resumed goes
 *  on where it was, whatever is acknowledged; its record says by which cursor it reads a topic, and
 *  the cursor, which names the session as its owner, is asked for at the first acknowledgement.
 *
 *  When a session ends, what was acknowledged is still written: such cursors stay until it is.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_cursors.h"
#include "tide_channel.h"
#include "tide_cursor.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_orders.h"
#include "tide_presence.h"
#include "tide_reply.h"

#include <stdlib.h>
#include <string.h>

/*  Somebody who waits until what was acknowledged is durable. */
typedef struct waiting {
    uint64_t seq;
    tide_reply_t reply;
    struct waiting *prev, *next;
} waiting_t;

struct tide_named {
    uint64_t number;         /* its requests find it by this: it may be gone before the answer */
    uint64_t request;        /* the one whose answer counts */
    tide_session_t *session; /* NULL: it has left */
    char *name, *topic;
    tide_named_cursor_t *cursor;
    bool is_read;  /* the topic is joined, or being joined, by it */
    bool is_asked; /* a subscription waits for it */
    bool meta;
    json_t *present;    /* what the subscription says of the session, or NULL */
    uint64_t given;     /* up to here the client was given the topic before it began again */
    tide_reply_t reply; /* of the subscription */
    waiting_t *waiting;
    uint64_t due_ms; /* 0: it is not among the due */
    UT_hash_handle hh;
    tide_named_t *prev, *next;         /* in its session, or among those that were left */
    tide_named_t *due_prev, *due_next; /* in the hub, by time */
};

static void pump (tide_hub_t *hub, tide_named_t *named);

/*  -- whose they are -------------------------------------------------------------------------- */

static tide_named_t *find_name (tide_session_t *session, tide_bytes_t name)
{
    tide_named_t *named;
    DL_FOREACH (session->named, named)
        if (tide_bytes_is (name, named->name))
            return named;
    return NULL;
}

/*  The one by which the topic is read. */
static tide_named_t *find_topic (tide_session_t *session, tide_bytes_t topic)
{
    tide_named_t *named;
    DL_FOREACH (session->named, named)
        if (named->is_read && tide_bytes_is (topic, named->topic))
            return named;
    return NULL;
}

static tide_named_t *find_asked (tide_session_t *session, tide_bytes_t topic)
{
    tide_named_t *named;
    DL_FOREACH (session->named, named)
        if (named->is_asked && tide_bytes_is (topic, named->topic))
            return named;
    return NULL;
}

static tide_named_t *find_number (tide_hub_t *hub, uint64_t number)
{
    tide_named_t *named;
    HASH_FIND (hh, hub->named, &number, sizeof number, named);
    return named;
}

const char *tide_cursors_name (tide_session_t *session, tide_bytes_t topic)
{
    const tide_named_t *named = find_topic (session, topic);
    return named ? named->name : NULL;
}

bool tide_cursors_are_asked (tide_session_t *session, tide_bytes_t topic)
{
    return find_asked (session, topic) != NULL;
}

bool tide_cursors_are_quiet (const tide_session_t *session)
{
    const tide_named_t *named;
    DL_FOREACH (session->named, named)
        if (named->is_asked || named->waiting)
            return false;
    return true;
}

static tide_named_t *named_new (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                                tide_bytes_t name)
{
    tide_named_t *named = tide_alloc (sizeof *named);
    named->number = ++hub->named_number;
    named->session = session;
    named->name = tide_copy (name.data, name.size);
    named->topic = tide_copy (topic.data, topic.size);
    named->cursor = tide_named_cursor_new (&(tide_cursor_reader_t){
        name, tide_bytes (session->user), topic, tide_bytes (session->sid)});
    HASH_ADD (hh, hub->named, number, sizeof named->number, named);
    DL_APPEND (session->named, named);
    session->named_count++;
    hub->counters.cursors++;
    return named;
}

static void leave_session (tide_hub_t *hub, tide_named_t *named)
{
    if (!named->session)
        return;
    DL_DELETE (named->session->named, named);
    named->session->named_count--;
    named->session = NULL;
    hub->counters.cursors--;
}

static void set_due (tide_hub_t *hub, tide_named_t *named, uint64_t due_ms)
{
    if (due_ms == named->due_ms)
        return;
    if (named->due_ms != 0)
        DL_DELETE2 (hub->named_due, named, due_prev, due_next);
    named->due_ms = due_ms;
    if (due_ms != 0) /* each is as long away as any other: the list is sorted */
        DL_APPEND2 (hub->named_due, named, due_prev, due_next);
}

/*  -- who waits ------------------------------------------------------------------------------- */

/*  It counts as a request that awaits the broker: of one that asks for more nothing is read. */
static void add_waiting (tide_hub_t *hub, tide_named_t *named, uint64_t seq, tide_reply_t *reply)
{
    waiting_t *waiting = tide_alloc (sizeof *waiting);
    waiting->seq = seq;
    waiting->reply = tide_reply_take (reply);
    DL_APPEND (named->waiting, waiting);
    waiting->reply.connection->op_count++;
    tide_hub_pace (hub, waiting->reply.connection);
}

static tide_reply_t take_waiting (tide_hub_t *hub, tide_named_t *named, waiting_t *waiting)
{
    tide_reply_t reply = tide_reply_take (&waiting->reply);
    DL_DELETE (named->waiting, waiting);
    free (waiting);
    reply.connection->op_count--;
    tide_hub_pace (hub, reply.connection);
    return reply;
}

static void answer_acked (tide_hub_t *hub, uint64_t seq, tide_reply_t *reply)
{
    tide_buffer_t members = {0};
    tide_buffer_append_text (&members, "\"epoch\":");
    tide_json_epoch (&members, tide_feed_epoch (hub->feed));
    tide_buffer_printf (&members, ",\"seq\":%llu", (unsigned long long) seq);
    tide_reply_ok (hub, reply, tide_buffer_bytes (&members));
    tide_buffer_free (&members);
}

static void tell_durable (tide_hub_t *hub, tide_named_t *named, uint64_t seq)
{
    waiting_t *waiting, *next;
    DL_FOREACH_SAFE (named->waiting, waiting, next)
        if (waiting->seq <= seq) {
            tide_reply_t reply = take_waiting (hub, named, waiting);
            answer_acked (hub, seq, &reply);
        }
}

static void fail_waiting (tide_hub_t *hub, tide_named_t *named, tide_status_t status,
                          const char *why)
{
    while (named->waiting) {
        tide_reply_t reply = take_waiting (hub, named, named->waiting);
        tide_reply_fail (hub, &reply, status, why);
    }
}

/*  -- leaving --------------------------------------------------------------------------------- */

static void named_free (tide_hub_t *hub, tide_named_t *named)
{
    if (named->session)
        leave_session (hub, named);
    else
        DL_DELETE (hub->named_left, named);
    set_due (hub, named, 0);
    HASH_DEL (hub->named, named);
    while (named->waiting) {
        tide_reply_t reply = take_waiting (hub, named, named->waiting);
        tide_reply_free (&reply);
    }
    tide_reply_free (&named->reply);
    json_decref (named->present);
    tide_named_cursor_destroy (&named->cursor);
    free (named->name);
    free (named->topic);
    free (named);
}

/*  Nobody reads by it any more: it stays until what was acknowledged is written. */
static void release (tide_hub_t *hub, tide_named_t *named)
{
    fail_waiting (hub, named, TIDE_NOT_FOUND, "the topic was left");
    if (named->reply.kind != TIDE_REPLY_NONE)
        tide_reply_fail (hub, &named->reply, TIDE_NOT_FOUND,
                         "the topic was left while it was joined");
    named->is_asked = false;
    if (named->session)
        tide_orders_go_on (hub, named->session);
    tide_cursor_cease (named->cursor);
    if (tide_cursor_owes (named->cursor) == 0) {
        named_free (hub, named);
        return;
    }
    leave_session (hub, named);
    DL_APPEND (hub->named_left, named);
    tide_cursor_hurry (named->cursor);
    pump (hub, named);
}

bool tide_cursors_leave (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic)
{
    bool was_read = false;
    tide_named_t *named, *next;
    DL_FOREACH_SAFE (session->named, named, next)
        if (tide_bytes_is (topic, named->topic)) {
            release (hub, named);
            was_read = true;
        }
    return was_read;
}

void tide_cursors_end (tide_hub_t *hub, tide_session_t *session)
{
    while (session->named) {
        tide_named_t *named = session->named;
        /*  Nobody hears an answer any more. */
        tide_reply_free (&named->reply);
        while (named->waiting) {
            tide_reply_t reply = take_waiting (hub, named, named->waiting);
            tide_reply_free (&reply);
        }
        release (hub, named);
    }
}

void tide_cursors_forget_left (tide_hub_t *hub)
{
    while (hub->named_left)
        named_free (hub, hub->named_left);
}

/*  -- what the cursor wants ------------------------------------------------------------------- */

/*  The subscription can't be; what there was before it stays. */
static void refuse (tide_hub_t *hub, tide_named_t *named, tide_status_t status, const char *why)
{
    tide_reply_fail (hub, &named->reply, status, why);
    named->is_asked = false;
    tide_orders_go_on (hub, named->session);
    if (!named->is_read)
        named_free (hub, named);
}

/*  A write that is not answered in time may still be, and is waited for; a subscription is not. */
static void unanswered (tide_hub_t *hub, tide_named_t *named, bool may_come)
{
    tide_status_t status = hub->is_welcome ? TIDE_TIMEOUT : TIDE_BROKER_AWAY;
    if (!may_come) {
        tide_cursor_unanswered (named->cursor, hub->now_ms, status);
        pump (hub, named);
        return;
    }
    fail_waiting (hub, named, status, NULL);
    tide_cursor_cease (named->cursor);
    if (named->is_asked)
        refuse (hub, named, status, NULL);
}

static void answered (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_named_t *named = find_number (hub, op->number);
    if (!named || named->request != op->tag)
        return;
    if (!answer) {
        unanswered (hub, named, op->survives);
        return;
    }
    tide_cursor_answer (named->cursor, hub->now_ms, answer);
    pump (hub, named);
}

/*  Asks the broker on behalf of the cursor, whatever becomes of the session. */
static void ask (tide_hub_t *hub, tide_named_t *named, tide_message_t *message)
{
    tide_op_t *op = hub->is_over ? NULL : tide_op_send (hub, message, answered, NULL);
    if (!op) {
        tide_cursor_unanswered (named->cursor, hub->now_ms, TIDE_TOO_MANY);
        return;
    }
    op->survives = message->kind == TIDE_MESSAGE_PUBLISH;
    op->number = named->number;
    op->tag = named->request = op->token;
}

static void ask_read (tide_hub_t *hub, tide_named_t *named, const tide_cursor_action_t *action)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.topic = action->topic;
    ask (hub, named, &message);
}

static void ask_write (tide_hub_t *hub, tide_named_t *named, const tide_cursor_action_t *action)
{
    char id[64];
    tide_buffer_t records = {0}, expects = {0};
    tide_event_t event = action->event;
    tide_link_make_id (hub->link, id);
    event.id = tide_bytes (id);
    tide_event_append (&records, &event);
    tide_expect_append (&expects, &action->expect);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH};
    message.publish.events = tide_list (&records, 1);
    message.publish.expects = tide_list (&expects, 1);
    hub->counters.cursor_writes++;
    ask (hub, named, &message);
    tide_buffer_free (&records);
    tide_buffer_free (&expects);
}

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/*  Up to where the client was given anything of the topic. */
static uint64_t delivered (const tide_named_t *named)
{
    tide_session_t *session = named->session;
    tide_bytes_t topic = tide_bytes (named->topic);
    const tide_join_t *join = tide_join_find (session, topic);
    const tide_member_t *member = tide_member_find (session, topic);
    if (member)
        return later (named->given, later (member->joined, session->cursor));
    return later (named->given, join && join->mode == TIDE_JOIN_SINCE ? join->at : 0);
}

/*  It is ours: from here on the topic is joined like any other. */
static void taken (tide_hub_t *hub, tide_named_t *named, const tide_cursor_place_t *place)
{
    if (!named->is_asked) /* too late for whoever asked */
        return;
    tide_session_t *session = named->session;
    tide_bytes_t topic = tide_bytes (named->topic);
    tide_since_t since = {.kind = place->kind == TIDE_CURSOR_FROM_SNAPSHOT ? TIDE_SINCE_SNAPSHOT
                                                                           : TIDE_SINCE_SEQ,
                          .epoch = place->epoch,
                          .seq = place->seq,
                          .by_cursor = true};
    if (tide_join_find (session, topic)) {
        refuse (hub, named, TIDE_CONFLICT, "this topic is being joined already");
        return;
    }
    tide_named_t *before = find_topic (session, topic);
    if (before && before != named)
        release (hub, before);
    tide_reply_t reply = tide_reply_take (&named->reply);
    named->given = delivered (named);
    named->is_asked = false;
    named->is_read = true;
    json_t *present = json_incref (named->present);
    tide_join_begin (hub, session, topic, since, named->meta, present, &reply);
    json_decref (present);
    if (!tide_join_find (session, topic)) /* it could not even begin, which has been said */
        tide_cursors_leave (hub, session, topic);
    tide_orders_go_on (hub, session);
}

/*  {"code":…,"message":…,"cursor":…}: it is not this client's any more. */
static void tell_lost (tide_hub_t *hub, tide_named_t *named, tide_status_t status, const char *why)
{
    tide_session_t *session = named->session;
    tide_buffer_t text = {0}, packet = {0};
    bool is_socketio = session->connection->kind == TIDE_CLIENT_SOCKETIO;
    tide_buffer_printf (&text,
                        "%s\"code\":\"%s\",\"message\":", is_socketio ? "{" : "{\"op\":\"error\",",
                        tide_status_name (status));
    tide_json_string (&text, tide_bytes (why));
    tide_buffer_append_text (&text, ",\"cursor\":");
    tide_json_string (&text, tide_bytes (named->name));
    tide_put_u8 (&text, '}');
    if (is_socketio)
        tide_socketio_event (&packet, tide_bytes (session->nsp), tide_bytes ("tide:cursor"),
                             &(tide_args_t){.json = tide_buffer_bytes (&text)}, NULL, 0);
    tide_hub_send_text (hub, session->connection,
                        tide_buffer_bytes (is_socketio ? &packet : &text));
    tide_buffer_free (&text);
    tide_buffer_free (&packet);
}

/*  It stays, if it is read by, so that each further acknowledgement is answered. */
static void over (tide_hub_t *hub, tide_named_t *named, tide_status_t status, const char *why)
{
    fail_waiting (hub, named, status, why);
    if (named->session && named->is_read) {
        hub->counters.cursor_losses++;
        tell_lost (hub, named, status, why);
    }
    if (named->is_asked)
        refuse (hub, named, status, why);
}

static void act (tide_hub_t *hub, tide_named_t *named, const tide_cursor_action_t *action)
{
    switch (action->kind) {
    case TIDE_CURSOR_READ:
        ask_read (hub, named, action);
        break;
    case TIDE_CURSOR_WRITE:
        ask_write (hub, named, action);
        break;
    case TIDE_CURSOR_TAKEN:
        taken (hub, named, &action->place);
        break;
    case TIDE_CURSOR_DURABLE:
        tell_durable (hub, named, action->seq);
        break;
    case TIDE_CURSOR_REFUSED:
        refuse (hub, named, action->status, action->why);
        break;
    case TIDE_CURSOR_DELAYED:
        fail_waiting (hub, named, action->status, action->why);
        break;
    case TIDE_CURSOR_OVER:
        over (hub, named, action->status, action->why);
        break;
    }
}

/*  What was left behind goes as soon as nothing of it is owed, or cannot be written. */
static bool is_done_with (const tide_named_t *named, bool was_delayed)
{
    return !named->session
           && (was_delayed || tide_cursor_is_over (named->cursor)
               || tide_cursor_owes (named->cursor) == 0);
}

/*  Does what the cursor wants. It may be gone on return. */
static void pump (tide_hub_t *hub, tide_named_t *named)
{
    uint64_t number = named->number;
    bool was_delayed = false;
    tide_cursor_action_t action;
    while (named && tide_cursor_next_action (named->cursor, &action)) {
        was_delayed = action.kind == TIDE_CURSOR_DELAYED;
        act (hub, named, &action);
        named = find_number (hub, number);
    }
    if (!named)
        return;
    if (is_done_with (named, was_delayed))
        named_free (hub, named);
    else
        set_due (hub, named, tide_cursor_deadline_ms (named->cursor));
}

/*  -- what clients ask for -------------------------------------------------------------------- */

static tide_cursor_place_t place_of (tide_since_t since)
{
    switch (since.kind) {
    case TIDE_SINCE_LIVE:
        return (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_HEAD};
    case TIDE_SINCE_SNAPSHOT:
        return (tide_cursor_place_t){.kind = TIDE_CURSOR_FROM_SNAPSHOT};
    case TIDE_SINCE_SEQ:
    case TIDE_SINCE_HERE: /* no client says so */
        break;
    }
    return (tide_cursor_place_t){TIDE_CURSOR_FROM_SEQ, since.epoch, since.seq};
}

static tide_bytes_t string_of (const json_t *string)
{
    if (!json_is_string (string))
        return (tide_bytes_t){0};
    return (tide_bytes_t){(const uint8_t *) json_string_value (string),
                          json_string_length (string)};
}

static tide_status_t check_subscribe (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                                      const json_t *present, tide_bytes_t name, const char **why)
{
    tide_status_t status = tide_cursor_check (name, tide_bytes (session->user), why);
    if (status == TIDE_OK)
        status = tide_may_read (hub, topic, why);
    if (status == TIDE_OK)
        status = tide_presence_check (session, topic, present, why);
    if (status != TIDE_OK)
        return status;
    const tide_named_t *named = find_name (session, name);
    *why = "this topic is being joined already";
    if (tide_join_find (session, topic) || find_asked (session, topic))
        return TIDE_CONFLICT;
    *why = "another topic is read by the cursor of this name in the session";
    if (named && !tide_bytes_is (topic, named->topic))
        return TIDE_CONFLICT;
    *why = "a session can read by 100 cursors";
    return !named && session->named_count >= TIDE_SESSION_CURSORS_MAX ? TIDE_TOO_MANY : TIDE_OK;
}

void tide_cursors_subscribe (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                             tide_since_t since, bool meta, json_t *present, const json_t *name,
                             tide_reply_t *reply)
{
    const char *why = NULL;
    tide_status_t status = check_subscribe (hub, session, topic, present, string_of (name), &why);
    if (status != TIDE_OK) {
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    tide_named_t *named = find_name (session, string_of (name));
    if (named && tide_cursor_is_over (named->cursor)) {
        named_free (hub, named);
        named = NULL;
    }
    if (!named)
        named = named_new (hub, session, topic, string_of (name));
    named->is_asked = true;
    named->meta = meta;
    json_decref (named->present);
    named->present = json_incref (present);
    named->reply = tide_reply_take (reply);
    tide_cursor_begin (named->cursor, place_of (since));
    pump (hub, named);
}

static tide_status_t read_ack (tide_hub_t *hub, tide_session_t *session, const json_t *object,
                               tide_named_t **named, uint64_t *seq, const char **why)
{
    const json_t *named_epoch = json_object_get (object, "epoch");
    uint64_t epoch = 0, other = 0;
    *why = "cursor is not a string";
    if (!json_is_string (json_object_get (object, "cursor")))
        return TIDE_BAD_REQUEST;
    *why = "seq is a sequence or epoch:seq";
    if (!tide_position_json (json_object_get (object, "seq"), &epoch, seq))
        return TIDE_BAD_REQUEST;
    *why = "epoch is 16 hex digits";
    if (named_epoch && !json_is_null (named_epoch)
        && !tide_epoch_parse (string_of (named_epoch), &other))
        return TIDE_BAD_REQUEST;
    if (epoch == 0)
        epoch = other;
    *why = "the session reads by no cursor of this name";
    *named = find_name (session, string_of (json_object_get (object, "cursor")));
    if (!*named)
        return TIDE_NOT_FOUND;
    *why = NULL;
    return epoch != 0 && epoch != tide_feed_epoch (hub->feed) ? TIDE_EPOCH_CHANGED : TIDE_OK;
}

void tide_cursors_ack (tide_hub_t *hub, tide_session_t *session, const json_t *object,
                       tide_reply_t *reply)
{
    tide_named_t *named = NULL;
    uint64_t seq = 0;
    const char *why;
    tide_status_t status = read_ack (hub, session, object, &named, &seq, &why);
    if (status == TIDE_OK) {
        status = tide_cursor_ack (named->cursor, hub->now_ms, seq, delivered (named));
        if (status == TIDE_BAD_REQUEST)
            why = "seq is beyond what was delivered";
    }
    if (status != TIDE_OK) {
        tide_reply_fail (hub, reply, status, why);
        return;
    }
    hub->counters.cursor_acks++;
    bool is_owed = tide_cursor_owes (named->cursor) >= seq && seq > 0;
    if (reply->kind == TIDE_REPLY_ACK && is_owed) {
        add_waiting (hub, named, seq, reply);
        tide_cursor_hurry (named->cursor);
    }
    else if (reply->kind == TIDE_REPLY_ACK)
        answer_acked (hub, seq, reply);
    pump (hub, named);
}

/*  -- sessions that come from elsewhere ------------------------------------------------------- */

void tide_cursors_go_on (tide_hub_t *hub, tide_session_t *session, tide_bytes_t topic,
                         const json_t *name, uint64_t least)
{
    const char *why;
    tide_bytes_t bytes = string_of (name);
    tide_named_t *before = find_topic (session, topic);
    tide_named_t *same = find_name (session, bytes);
    if (before && before == same)
        return;
    if (before)
        named_free (hub, before);
    if (same)
        named_free (hub, same);
    if (!tide_pattern_valid (topic)
        || tide_cursor_check (bytes, tide_bytes (session->user), &why) != TIDE_OK
        || session->named_count >= TIDE_SESSION_CURSORS_MAX)
        return;
    tide_named_t *named = named_new (hub, session, topic, bytes);
    named->is_read = true;
    tide_cursor_go_on (named->cursor, least);
}

void tide_cursors_prune (tide_hub_t *hub, tide_session_t *session)
{
    tide_named_t *named, *next;
    DL_FOREACH_SAFE (session->named, named, next) {
        tide_bytes_t topic = tide_bytes (named->topic);
        if (!tide_member_find (session, topic) && !tide_join_find (session, topic))
            named_free (hub, named);
    }
}

void tide_cursors_given (tide_session_t *session, tide_bytes_t topic, uint64_t seq)
{
    tide_named_t *named = find_topic (session, topic);
    if (named)
        named->given = later (named->given, seq);
}

void tide_cursors_snapshot (tide_session_t *session, tide_bytes_t topic, uint64_t seq)
{
    tide_named_t *named = find_topic (session, topic);
    if (named)
        tide_cursor_snapshot (named->cursor, seq);
}

/*  -- another log ----------------------------------------------------------------------------- */

void tide_cursors_epoch (tide_hub_t *hub, tide_session_t *session)
{
    tide_named_t *named, *next;
    DL_FOREACH_SAFE (session->named, named, next) {
        bool is_read = named->is_read;
        fail_waiting (hub, named, TIDE_EPOCH_CHANGED, NULL);
        if (named->is_asked)
            refuse (hub, named, TIDE_EPOCH_CHANGED, NULL);
        if (!is_read)
            continue;
        named->request = named->given = 0;
        tide_cursor_epoch (named->cursor, tide_feed_epoch (hub->feed));
        pump (hub, named);
    }
}

/*  -- time ------------------------------------------------------------------------------------ */

void tide_cursors_tick (tide_hub_t *hub)
{
    while (hub->named_due && hub->named_due->due_ms <= hub->now_ms) {
        tide_named_t *named = hub->named_due;
        set_due (hub, named, 0);
        tide_cursor_tick (named->cursor, hub->now_ms);
        pump (hub, named);
    }
}

uint64_t tide_cursors_deadline_ms (const tide_hub_t *hub)
{
    return hub->named_due ? hub->named_due->due_ms : 0;
}
