/*  tide_ask.c - clients are asked for an acknowledgement: one, or all that are in a topic.
 *
 *  Whoever asks cannot know in which lanes a topic's members are, so the question goes to all: the
 *  broker relays it, and says to how many. Each lane asks its own members and reports once, when
 *  they have answered or the time is up. So it is known of everybody who was asked whether they
 *  answered. A question is never logged and never replayed; to a client it goes out behind all
 *  that was before it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_ask.h"
#include "tide_channel.h"
#include "tide_client_engineio.h"
#include "tide_neighbours.h"
#include "tide_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  What may wait for a client that has still older things to take. */
#define ASKS_PER_SESSION_MAX 64
/*  Other lanes' reports come this much later than their time is up. */
#define REPORT_MS 1000
/*  Of answers to one question; what is more counts as none, so that a report is never too large. */
#define ANSWERS_SIZE_MAX (4u << 20)
/*  How often at once other lanes may ask. */
#define FAR_ASKS_MAX 4096

/*  -- who is asked ---------------------------------------------------------------------------- */

static tide_asked_t *find_asked (tide_ask_t *ask, const char *sid)
{
    tide_asked_t *asked;
    HASH_FIND_STR (ask->asked, sid, asked);
    return asked;
}

static bool is_awaited (const tide_asked_t *asked)
{
    return asked && !asked->has_answered && !asked->is_far && !asked->is_gone;
}

static tide_asked_t *add_asked (tide_ask_t *ask, const char *sid)
{
    tide_asked_t *asked = tide_alloc (sizeof *asked);
    snprintf (asked->sid, sizeof asked->sid, "%s", sid);
    HASH_ADD_STR (ask->asked, sid, asked);
    return asked;
}

static tide_ask_t *find_ask (tide_hub_t *hub, uint64_t number)
{
    tide_ask_t *ask;
    HASH_FIND (hh, hub->asks, &number, sizeof number, ask);
    return ask;
}

static void ask_free (tide_hub_t *hub, tide_ask_t *ask)
{
    tide_asked_t *asked, *next;
    HASH_DEL (hub->asks, ask);
    HASH_ITER (hh, ask->asked, asked, next) {
        HASH_DEL (ask->asked, asked);
        tide_buffer_free (&asked->payload);
        free (asked);
    }
    tide_buffer_free (&ask->record);
    tide_buffer_free (&ask->reporters);
    hub->far_asks -= ask->lane != NULL;
    free (ask->lane);
    free (ask);
}

/*  -- reports --------------------------------------------------------------------------------- */

/*  To the lane that asked: u32 count, then for each its sid, u8 answered, and what. */
static void report (tide_hub_t *hub, tide_ask_t *ask)
{
    tide_buffer_t out = {0};
    const tide_asked_t *asked;
    tide_put_u32 (&out, HASH_COUNT (ask->asked));
    for (asked = ask->asked; asked; asked = asked->hh.next) {
        tide_put_u8 (&out, (uint8_t) strlen (asked->sid));
        tide_buffer_append_text (&out, asked->sid);
        tide_put_u8 (&out, asked->has_answered);
        tide_put_u32 (&out, (uint32_t) asked->payload.size);
        tide_buffer_append_bytes (&out, tide_buffer_bytes (&asked->payload));
    }
    tide_neighbour_send (hub, ask->lane, ask->asker_number, TIDE_NEIGHBOUR_ANSWERS,
                         tide_buffer_bytes (&out));
    tide_buffer_free (&out);
}

static void tell (tide_hub_t *hub, tide_ask_t *ask)
{
    tide_app_answer_t *answers = tide_alloc ((HASH_COUNT (ask->asked) + 1) * sizeof *answers);
    size_t count = 0;
    const tide_asked_t *asked;
    for (asked = ask->asked; asked; asked = asked->hh.next, count++) {
        answers[count].sid = asked->sid;
        answers[count].answered =
            asked->has_answered
            && tide_args_decode (tide_buffer_bytes (&asked->payload), &answers[count].args)
                   == TIDE_OK;
    }
    ask->done (ask->argument, hub, answers, count);
    free (answers);
}

void tide_ask_conclude (tide_hub_t *hub, tide_ask_t *ask)
{
    if (ask->lane)
        report (hub, ask);
    else
        tell (hub, ask);
    ask_free (hub, ask);
}

/*  If nobody is waited for any more, the next tick tells: not from within a packet, or the call
 *  that asked, since whoever is told may do anything. */
static void settle (tide_hub_t *hub, tide_ask_t *ask)
{
    bool lanes_are_in = !ask->is_spread || (ask->is_told && ask->reports >= ask->lanes);
    if (lanes_are_in)
        ask->due_ms = ask->missing == 0 ? hub->now_ms : ask->until_ms;
}

/*  -- asking ---------------------------------------------------------------------------------- */

static void ask_session (tide_hub_t *hub, tide_ask_t *ask, tide_session_t *session)
{
    if (session->state < TIDE_SESSION_OPEN || session->connection->kind != TIDE_CLIENT_SOCKETIO
        || find_asked (ask, session->sid))
        return;
    add_asked (ask, session->sid);
    ask->missing++;
    if (session->ask_count == ASKS_PER_SESSION_MAX)
        return; /* it takes nothing: it will be missing */
    session->asks = tide_realloc (session->asks, (session->ask_count + 1) * sizeof *session->asks);
    session->asks[session->ask_count++] = ask->number;
    tide_hub_ask_writable (hub, session->connection);
}

static void ask_members (tide_hub_t *hub, tide_ask_t *ask, const tide_event_t *event)
{
    tide_channel_t *channel = tide_channel_find (hub, event->topic);
    tide_member_t *member;
    if (channel)
        DL_FOREACH2 (channel->members, member, next_member)
            if (!tide_session_is_excluded (member->session, event))
                ask_session (hub, ask, member->session);
}

static tide_ask_t *ask_new (tide_hub_t *hub, tide_bytes_t record, uint64_t due_ms)
{
    tide_ask_t *ask = tide_alloc (sizeof *ask);
    ask->number = ++hub->ask_number;
    ask->due_ms = ask->until_ms = due_ms;
    tide_buffer_append_bytes (&ask->record, record);
    HASH_ADD (hh, hub->asks, number, sizeof ask->number, ask);
    return ask;
}

/*  All other lanes, unless the only one that can be meant is here. */
static void spread (tide_hub_t *hub, tide_ask_t *ask, const tide_event_t *event,
                    uint32_t timeout_ms)
{
    tide_bytes_t topic = event->topic;
    tide_session_t *session = NULL;
    if (topic.size > 1 && topic.data[0] == '@')
        HASH_FIND (hh, hub->sessions, topic.data + 1, topic.size - 1, session);
    if (session)
        return;
    tide_buffer_t out = {0};
    tide_put_u32 (&out, timeout_ms);
    tide_buffer_append_bytes (&out, tide_buffer_bytes (&ask->record));
    ask->is_spread =
        tide_neighbour_send (hub, "", ask->number, TIDE_NEIGHBOUR_ASK, tide_buffer_bytes (&out));
    if (ask->is_spread)
        ask->due_ms += REPORT_MS;
    tide_buffer_free (&out);
}

void tide_ask_begin (tide_hub_t *hub, tide_bytes_t record, uint32_t timeout_ms,
                     tide_app_answers_fn *done, void *argument)
{
    tide_event_t event;
    bool is_sound = tide_event_decode (record, &event);
    tide_assert (is_sound); /* we have made it */
    tide_ask_t *ask = ask_new (hub, record, hub->now_ms + timeout_ms);
    ask->done = done;
    ask->argument = argument;
    ask_members (hub, ask, &event);
    spread (hub, ask, &event, timeout_ms);
    settle (hub, ask);
}

void tide_ask_nobody (tide_hub_t *hub, tide_app_answers_fn *done, void *argument)
{
    tide_ask_t *ask = ask_new (hub, (tide_bytes_t){0}, hub->now_ms);
    ask->done = done;
    ask->argument = argument;
}

void tide_ask_receive (tide_hub_t *hub, const char *lane, uint64_t number, tide_bytes_t bytes)
{
    tide_reader_t reader = tide_reader (bytes);
    uint32_t timeout_ms = tide_take_u32 (&reader);
    tide_bytes_t record = {reader.data, reader.remaining};
    tide_event_t event;
    if (reader.failed || hub->far_asks >= FAR_ASKS_MAX || !tide_event_decode (record, &event))
        return;
    if (timeout_ms > TIDE_ASK_TIMEOUT_MAX_MS)
        timeout_ms = TIDE_ASK_TIMEOUT_MAX_MS;
    hub->far_asks++;
    tide_ask_t *ask = ask_new (hub, record, hub->now_ms + timeout_ms);
    ask->lane = tide_copy (lane, strlen (lane));
    ask->asker_number = number;
    ask_members (hub, ask, &event);
    settle (hub, ask);
}

/*  -- delivering, and what comes back --------------------------------------------------------- */

static void append_ask (tide_session_t *session, const tide_ask_t *ask, tide_buffer_t *out)
{
    tide_event_t event;
    tide_args_t args;
    if (!tide_event_decode (tide_buffer_bytes (&ask->record), &event)
        || tide_args_decode (event.payload, &args) != TIDE_OK)
        return;
    tide_buffer_t packet = {0};
    tide_socketio_ask (&packet, tide_bytes (session->nsp), ask->number, event.name, &args);
    tide_wsframe_append (out, TIDE_WSFRAME_TEXT, tide_buffer_bytes (&packet));
    for (unsigned part = 0; part < args.attachments; part++)
        tide_wsframe_append (out, TIDE_WSFRAME_BINARY, args.attachment[part]);
    tide_buffer_free (&packet);
}

bool tide_ask_deliver (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out)
{
    if (session->ask_count == 0 || !session->is_live || session->pending_count > 0)
        return false;
    for (unsigned at = 0; at < session->ask_count; at++) {
        const tide_ask_t *ask = find_ask (hub, session->asks[at]);
        if (ask)
            append_ask (session, ask, out);
    }
    session->ask_count = 0;
    return true;
}

bool tide_ask_answer (tide_hub_t *hub, tide_session_t *session,
                      const tide_socketio_packet_t *packet)
{
    tide_ask_t *ask = find_ask (hub, packet->ack);
    tide_asked_t *asked = ask ? find_asked (ask, session->sid) : NULL;
    const char *why;
    if (!is_awaited (asked))
        return false;
    if (tide_json_payload_attached (&asked->payload, packet->data, true, packet->attachment,
                                    packet->attachments, hub->config.payload_max, &why)
        != TIDE_OK)
        return false;
    asked->has_answered = ask->size + asked->payload.size <= ANSWERS_SIZE_MAX;
    asked->is_gone = !asked->has_answered; /* nothing better will come */
    if (asked->is_gone)
        tide_buffer_free (&asked->payload);
    ask->size += asked->payload.size;
    ask->missing--;
    settle (hub, ask);
    return true;
}

bool tide_ask_awaits (const tide_hub_t *hub, const tide_session_t *session)
{
    tide_ask_t *ask;
    for (ask = hub->asks; ask; ask = ask->hh.next)
        if (is_awaited (find_asked (ask, session->sid)))
            return true;
    return false;
}

void tide_ask_forget (tide_hub_t *hub, const tide_session_t *session)
{
    tide_ask_t *ask;
    for (ask = hub->asks; ask; ask = ask->hh.next) {
        tide_asked_t *asked = find_asked (ask, session->sid);
        if (!is_awaited (asked))
            continue;
        asked->is_gone = true;
        ask->missing--;
        settle (hub, ask);
    }
}

void tide_ask_told (tide_hub_t *hub, uint64_t number, uint32_t lanes)
{
    tide_ask_t *ask = find_ask (hub, number);
    if (!ask || ask->lane || ask->is_told)
        return;
    ask->is_told = true;
    ask->lanes = lanes;
    settle (hub, ask);
}

/*  Each lane reports once. */
static bool is_new_reporter (tide_ask_t *ask, const char *lane)
{
    tide_reader_t reader = tide_reader (tide_buffer_bytes (&ask->reporters));
    while (reader.remaining > 0)
        if (tide_bytes_is (tide_take_bytes (&reader, tide_take_u8 (&reader)), lane))
            return false;
    tide_put_u8 (&ask->reporters, (uint8_t) strlen (lane));
    tide_buffer_append_text (&ask->reporters, lane);
    return true;
}

void tide_ask_report (tide_hub_t *hub, const char *lane, uint64_t number, tide_bytes_t bytes)
{
    tide_ask_t *ask = find_ask (hub, number);
    if (!ask || ask->lane || !is_new_reporter (ask, lane))
        return;
    tide_reader_t reader = tide_reader (bytes);
    uint32_t count = tide_take_u32 (&reader);
    for (uint32_t at = 0; at < count && !reader.failed; at++) {
        tide_bytes_t name = tide_take_bytes (&reader, tide_take_u8 (&reader));
        bool has_answered = tide_take_u8 (&reader);
        tide_bytes_t payload = tide_take_bytes (&reader, tide_take_u32 (&reader));
        char sid[sizeof ((tide_asked_t *) NULL)->sid];
        snprintf (sid, sizeof sid, "%.*s", TIDE_PRINT (name));
        if (reader.failed || find_asked (ask, sid))
            continue;
        tide_asked_t *asked = add_asked (ask, sid);
        asked->is_far = true;
        asked->has_answered = has_answered;
        tide_buffer_append_bytes (&asked->payload, payload);
    }
    ask->reports++;
    settle (hub, ask);
}

/*  -- time ------------------------------------------------------------------------------------ */

void tide_ask_tick (tide_hub_t *hub)
{
    tide_ask_t *ask, *next;
    HASH_ITER (hh, hub->asks, ask, next)
        if (ask->due_ms <= hub->now_ms)
            tide_ask_conclude (hub, ask);
}

uint64_t tide_ask_deadline_ms (const tide_hub_t *hub)
{
    uint64_t deadline = UINT64_MAX;
    const tide_ask_t *ask;
    for (ask = hub->asks; ask; ask = ask->hh.next)
        if (ask->due_ms < deadline)
            deadline = ask->due_ms;
    return deadline;
}
