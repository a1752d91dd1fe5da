/*  tide_deliver.c - what lies between a session's cursor and the watermark, written out.
 *
 *  A session is live (it reads the tape) while everything behind its cursor is on the tape, and
 *  catching up (it reads pages from the broker, shared by all who want the same) while it is not.
 *  Both end in the same place: events in sequence order, each once, in the member's wire form, no
 *  further than the session's limit. Nothing here grows with how far a client lags: it keeps its
 *  cursor, and a page that it does not take is forgotten and read again.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_deliver.h"
#include "tide_calls.h"
#include "tide_channel.h"
#include "tide_join.h"
#include "tide_op.h"
#include "tide_orders.h"
#include "tide_reply.h"
#include "tide_session.h"

#include <stdlib.h>
#include <string.h>

static uint64_t later (uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

uint64_t tide_session_limit (const tide_session_t *session)
{
    uint64_t limit = UINT64_MAX;
    const tide_join_t *join;
    DL_FOREACH2 (session->joins, join, own_next)
        if ((join->pin != 0 || join->step == TIDE_JOIN_RECORDING) && join->pin < limit)
            limit = join->pin;
    if (session->order_pin != 0 && session->order_pin < limit)
        limit = session->order_pin;
    return limit;
}

uint64_t tide_session_position (const tide_session_t *session)
{
    return session->order_pin != 0 && session->order_pin <= session->cursor ? session->order_pin - 1
                                                                            : session->cursor;
}

bool tide_session_is_excluded (tide_session_t *session, const tide_event_t *event)
{
    if (event->except.size == 0)
        return false;
    /*  Of a logged event it is known from where on the session was there. */
    const tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if ((event->seq == 0 || member->joined < event->seq)
            && tide_event_excludes (event, tide_channel_pattern (member->channel)))
            return true;
    return false;
}

/*  -- from the tape --------------------------------------------------------------------------- */

static void add_pending (tide_session_t *session, tide_member_t *member)
{
    if (member->is_pending)
        return;
    member->is_pending = true;
    if (session->pending_count == session->pending_capacity) {
        session->pending_capacity =
            session->pending_capacity > 0 ? session->pending_capacity * 2 : 2;
        session->pending =
            tide_realloc (session->pending, session->pending_capacity * sizeof *session->pending);
    }
    session->pending[session->pending_count++] = member;
}

void tide_deliver_forget_pending (tide_session_t *session, tide_member_t *member)
{
    if (!member->is_pending)
        return;
    member->is_pending = false;
    for (unsigned at = 0; at < session->pending_count; at++)
        if (session->pending[at] == member) {
            session->pending[at] = session->pending[--session->pending_count];
            return;
        }
}

static void clear_pending (tide_session_t *session)
{
    for (unsigned at = 0; at < session->pending_count; at++)
        session->pending[at]->is_pending = false;
    session->pending_count = 0;
}

void tide_deliver_touch (tide_hub_t *hub, tide_member_t *member)
{
    tide_session_t *session = member->session;
    if (!session->is_live || member->is_suspended)
        return;
    add_pending (session, member);
    tide_hub_ask_writable (hub, session->connection);
}

/*  The pending member whose next item comes first; NULL if one has fallen off the tape. */
static tide_member_t *first_pending (tide_hub_t *hub, tide_session_t *session, tide_item_t *item)
{
    tide_member_t *first = NULL;
    for (unsigned at = 0; at < session->pending_count; at++) {
        tide_member_t *member = session->pending[at];
        if (member->next < member->channel->begin)
            return NULL;
        tide_item_t next = tide_channel_item (member->channel, member->next);
        if (!tide_tape_has (hub->tape, next.number))
            return NULL;
        if (!first || next.number < item->number) {
            first = member;
            *item = next;
        }
    }
    return first;
}

/*  The entry's frames in the member's form, made now if nobody needed them before. */
static tide_bytes_t wire_form (tide_hub_t *hub, uint64_t number, const tide_member_t *member)
{
    bool is_kept = member->form != TIDE_FORM_NONE;
    tide_bytes_t bytes =
        is_kept ? tide_tape_form (hub->tape, number, member->form) : (tide_bytes_t){0};
    if (bytes.size > 0)
        return bytes;
    tide_tape_entry_t entry = tide_tape_entry (hub->tape, number);
    tide_form_t form = tide_form_of (member->session, member->meta);
    tide_event_t event;
    hub->frames.size = 0;
    if (tide_event_decode (entry.record, &event))
        tide_form_encode (hub, &form, &event, entry.seq, &hub->frames);
    bytes = tide_buffer_bytes (&hub->frames);
    if (is_kept)
        tide_tape_keep (hub->tape, number, member->form, bytes);
    return bytes;
}

/*  A reply may come when its call was answered already: to such a session only, for whose sake each
 *  event is looked at. */
static bool may_be_too_late (const tide_session_t *session)
{
    return session->given_up || session->connection->ops;
}

/*  True if this entry is behind what the session, as this member, was given. */
static bool is_behind (tide_hub_t *hub, tide_session_t *session, const tide_member_t *member,
                       tide_item_t item)
{
    if (item.number <= session->last_number)
        return false;
    tide_tape_entry_t entry = tide_tape_entry (hub->tape, item.number);
    tide_event_t event;
    if ((entry.flags & TIDE_TAPE_EXCEPT) && tide_event_decode (entry.record, &event)
        && tide_session_is_excluded (session, &event))
        return false;
    if (!(entry.flags & TIDE_TAPE_VOLATILE))
        return item.seq > session->cursor && item.seq > member->joined;
    bool late = entry.time_ms + TIDE_VOLATILE_KEEP_MS < hub->now_ms;
    hub->counters.volatile_dropped += late;
    /*  A session that is past its place, by pages ahead of the feed, does without: its position
     *  never falls. */
    return !late && item.seq >= later (session->cursor, member->joined)
           && item.number > member->begun
           /*  Nor was it there for what waited in the feed since before it came back. */
           && tide_load_u64 (entry.record.data + TIDE_EVENT_TIME_AT) > session->taken_ms;
}

/*  True if this entry is still to be given to the session, as this member. */
static bool is_due (tide_hub_t *hub, tide_session_t *session, const tide_member_t *member,
                    tide_item_t item)
{
    tide_event_t event;
    if (!is_behind (hub, session, member, item))
        return false;
    return !may_be_too_late (session)
           || !tide_event_decode (tide_tape_entry (hub->tape, item.number).record, &event)
           || !tide_calls_was_answered (session, &event);
}

/*  An order is nothing to be written: the session does as it says, and waits for it. */
static bool obey (tide_hub_t *hub, tide_session_t *session, uint64_t number)
{
    tide_tape_entry_t entry = tide_tape_entry (hub->tape, number);
    tide_event_t event;
    if ((entry.flags & TIDE_TAPE_ORDER) == 0 || !tide_event_decode (entry.record, &event))
        return false;
    tide_orders_take (hub, session, &event);
    return true;
}

static bool deliver_tape (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out,
                          size_t size_max)
{
    uint64_t limit = tide_session_limit (session);
    while (session->pending_count > 0) {
        if (out->size >= size_max)
            return true;
        tide_item_t item = {0};
        tide_member_t *member = first_pending (hub, session, &item);
        if (!member) {
            session->is_live = false;
            tide_deliver_settle (hub, session);
            return true;
        }
        /*  Not even what is volatile, and says that the client is where the order was. */
        if (item.seq > limit || session->order_pin != 0)
            return false;
        if (is_due (hub, session, member, item)) {
            if (!obey (hub, session, item.number)) {
                tide_buffer_append_bytes (out, wire_form (hub, item.number, member));
                hub->counters.deliveries++;
            }
            session->last_number = item.number;
            session->cursor = later (session->cursor, item.seq);
        }
        if (++member->next == member->channel->end)
            tide_deliver_forget_pending (session, member);
    }
    return false;
}

static void settle (tide_hub_t *hub, tide_session_t *session);

/*  -- from pages ------------------------------------------------------------------------------ */

static void page_free (tide_hub_t *hub, tide_page_t *page)
{
    if (page->op)
        tide_op_cancel (hub, page->op);
    HASH_DEL (hub->pages, page);
    tide_payload_unref (&page->events);
    tide_payload_unref (&page->lost);
    free (page->key);
    free (page);
    tide_deliver_pump (hub);
}

static void take_page (tide_session_t *session, tide_page_t *page)
{
    session->page = page;
    DL_APPEND2 (page->readers, session, page_prev, page_next);
}

void tide_deliver_forget_page (tide_hub_t *hub, tide_session_t *session)
{
    if (session->wants_page)
        DL_DELETE2 (hub->page_queue, session, queue_prev, queue_next);
    session->wants_page = false;
    tide_page_t *page = session->page;
    if (page) {
        DL_DELETE2 (page->readers, session, page_prev, page_next);
        if (!page->readers)
            page_free (hub, page);
    }
    session->page = NULL;
    session->page_rest = (tide_list_t){0};
}

static void start_page (tide_session_t *session)
{
    const tide_page_t *page = session->page;
    session->page_rest = (tide_list_t){page->count, tide_payload_bytes (page->events)};
}

/*  What a page says is lost is brought up anew by a snapshot. */
static void reset_lost (tide_hub_t *hub, tide_session_t *session)
{
    const tide_page_t *page = session->page;
    tide_list_t lost = {page->lost_count, tide_payload_bytes (page->lost)};
    tide_want_t want;
    while (tide_want_next (&lost, &want)) {
        tide_member_t *member = tide_member_find (session, want.topic);
        if (member && !member->is_suspended && want.seq > later (session->cursor, member->joined))
            tide_join_reset (hub, member, TIDE_TRIMMED);
    }
}

static void begin_page (tide_hub_t *hub, tide_session_t *session)
{
    start_page (session);
    reset_lost (hub, session);
    tide_hub_ask_writable (hub, session->connection);
}

static void page_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_page_t *page = op->page;
    page->op = NULL;
    bool good = answer && answer->kind == TIDE_MESSAGE_PAGE
                && answer->page.epoch == tide_feed_epoch (hub->feed);
    tide_session_t *session, *next;
    if (!good) {
        hub->is_stalled = true;
        DL_FOREACH_SAFE2 (page->readers, session, next, page_next)
            tide_deliver_forget_page (hub, session);
        return;
    }
    page->is_there = true;
    page->upto = answer->page.upto;
    page->since_ms = hub->now_ms;
    page->events = tide_payload_new (answer->page.events.bytes);
    page->count = answer->page.events.count;
    page->lost = tide_payload_new (answer->page.lost.bytes);
    page->lost_count = answer->page.lost.count;
    hub->counters.pages++;
    /*  A reset takes its session off the page: the list may change while it is walked. */
    DL_FOREACH_SAFE2 (page->readers, session, next, page_next)
        begin_page (hub, session);
}

/*  Appends what the session wants to read on from; the key under which a page is shared. */
static uint32_t append_wants (tide_session_t *session, tide_buffer_t *wants)
{
    uint32_t count = 0;
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        if (member->is_suspended)
            continue;
        tide_want_t want = {tide_channel_pattern (member->channel),
                            later (session->cursor, member->joined)};
        tide_want_append (wants, &want);
        count++;
    }
    return count;
}

static tide_page_t *page_new (tide_hub_t *hub, tide_buffer_t *key, uint32_t count, uint64_t until)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_READ};
    message.read.epoch = tide_feed_epoch (hub->feed);
    message.read.until = until;
    message.read.limit = TIDE_PAGE_EVENTS_MAX;
    message.read.size_max = TIDE_CATCH_UP_PAGE_SIZE;
    message.read.wants = (tide_list_t){count, {key->data, key->size - 8}};
    tide_op_t *op = tide_op_send (hub, &message, page_came, NULL);
    if (!op)
        return NULL;
    tide_page_t *page = tide_alloc (sizeof *page);
    page->key_size = key->size;
    page->key = (uint8_t *) tide_copy (key->data, key->size);
    HASH_ADD_KEYPTR (hh, hub->pages, page->key, page->key_size, page);
    op->page = page;
    page->op = op;
    return page;
}

/*  Asks for the next page, or joins those who asked for the same; or waits for a place. */
static void want_page (tide_hub_t *hub, tide_session_t *session)
{
    tide_buffer_t key = {0};
    uint32_t count = append_wants (session, &key);
    uint64_t limit = tide_session_limit (session);
    if (count > 0 && limit > session->cursor) {
        uint64_t until = limit == UINT64_MAX ? 0 : limit;
        tide_put_u64 (&key, until);
        tide_page_t *page;
        HASH_FIND (hh, hub->pages, key.data, key.size, page);
        if (!page && HASH_COUNT (hub->pages) < TIDE_PAGES_MAX)
            page = page_new (hub, &key, count, until);
        if (page) {
            take_page (session, page);
            if (page->is_there)
                begin_page (hub, session);
        }
        else {
            session->wants_page = true;
            DL_APPEND2 (hub->page_queue, session, queue_prev, queue_next);
            hub->counters.page_waits++;
        }
    }
    tide_buffer_free (&key);
}

/*  The member as which the session gets an event; NULL if none does. */
static tide_member_t *member_for (tide_session_t *session, const tide_event_t *event)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next)
        if (!member->is_suspended && event->seq > member->joined
            && tide_pattern_matches (tide_channel_pattern (member->channel), event->topic))
            return member;
    return NULL;
}

static bool deliver_page (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out,
                          size_t size_max)
{
    uint64_t limit = tide_session_limit (session);
    for (;;) {
        tide_list_t rest = session->page_rest;
        tide_event_t event;
        if (out->size >= size_max)
            return true;
        if (!tide_event_next (&rest, &event))
            break;
        if (event.seq > limit)
            return false;
        session->page_rest = rest;
        if (event.seq <= session->cursor)
            continue;
        tide_member_t *member = member_for (session, &event);
        if (member && tide_orders_is_one (&event)) {
            tide_orders_take (hub, session, &event);
            limit = tide_session_limit (session);
        }
        else if (member && !tide_session_is_excluded (session, &event)
                 && !(may_be_too_late (session) && tide_calls_was_answered (session, &event))) {
            tide_form_t form = tide_form_of (session, member->meta);
            tide_form_encode (hub, &form, &event, event.seq, out);
            hub->counters.deliveries++;
        }
        session->cursor = event.seq;
    }
    uint64_t upto = session->page->upto;
    bool is_news = session->page->count > 0 || upto > session->cursor;
    session->cursor = later (session->cursor, upto < limit ? upto : limit);
    tide_deliver_forget_page (hub, session);
    settle (hub, session);
    if (session->is_live)
        return session->pending_count > 0;
    /*  Nothing new, and still not live: the feed has to speak for a topic first, which is told; or
     *  else the next tick looks again. */
    hub->is_stalled = hub->is_stalled || !is_news;
    return is_news;
}

/*  -- between the two ------------------------------------------------------------------------- */

static bool can_be_live (tide_hub_t *hub, tide_session_t *session)
{
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        if (member->is_suspended)
            continue;
        tide_channel_trim (hub, member->channel);
        if (!member->channel->is_joined
            || later (session->cursor, member->joined) < member->channel->horizon)
            return false;
    }
    return true;
}

static void become_live (tide_session_t *session)
{
    clear_pending (session);
    tide_member_t *member;
    DL_FOREACH2 (session->members, member, own_next) {
        if (member->is_suspended)
            continue;
        member->next =
            tide_channel_behind (member->channel, later (session->cursor, member->joined));
        if (member->next < member->channel->end)
            add_pending (session, member);
    }
    session->is_live = true;
}

static void settle (tide_hub_t *hub, tide_session_t *session)
{
    if (session->is_live && session->pending_count == 0) {
        uint64_t limit = tide_session_limit (session), reached = tide_feed_watermark (hub->feed);
        session->cursor = later (session->cursor, reached < limit ? reached : limit);
    }
    /*  A page was asked for on behalf of the members there were: what has changed since makes it
     *  incomplete. */
    tide_deliver_forget_page (hub, session);
    if (can_be_live (hub, session))
        become_live (session);
    else {
        hub->counters.catch_ups += session->is_live;
        session->is_live = false;
        clear_pending (session);
    }
}

void tide_deliver_settle (tide_hub_t *hub, tide_session_t *session)
{
    if (session->state < TIDE_SESSION_OPEN)
        return;
    settle (hub, session);
    if (!session->is_live || session->pending_count > 0 || session->ask_count > 0)
        tide_hub_ask_writable (hub, session->connection);
}

bool tide_deliver (tide_hub_t *hub, tide_session_t *session, tide_buffer_t *out, size_t size_max)
{
    /*  A stream gets no position that is ahead of a snapshot which is still to come. */
    if (session->connection->kind == TIDE_CLIENT_SSE && session->joins)
        return false;
    if (session->is_live)
        return deliver_tape (hub, session, out, size_max);
    if (!session->page && !session->wants_page)
        want_page (hub, session);
    if (session->page && session->page->is_there)
        return deliver_page (hub, session, out, size_max);
    return false;
}

void tide_deliver_pump (tide_hub_t *hub)
{
    while (hub->page_queue && HASH_COUNT (hub->pages) < TIDE_PAGES_MAX) {
        tide_session_t *session = hub->page_queue;
        DL_DELETE2 (hub->page_queue, session, queue_prev, queue_next);
        session->wants_page = false;
        tide_hub_ask_writable (hub, session->connection);
    }
}

/*  Pages that are not taken make room for others. */
static void drop_old_pages (tide_hub_t *hub)
{
    tide_page_t *page, *next_page;
    HASH_ITER (hh, hub->pages, page, next_page) {
        if (!page->is_there || page->since_ms + TIDE_PAGE_KEEP_MS >= hub->now_ms)
            continue;
        tide_session_t *session, *next;
        DL_FOREACH_SAFE2 (page->readers, session, next, page_next) {
            tide_hub_ask_writable (hub, session->connection);
            tide_deliver_forget_page (hub, session);
        }
    }
}

void tide_deliver_tick (tide_hub_t *hub)
{
    drop_old_pages (hub);
    tide_deliver_pump (hub);
    if (!hub->is_stalled)
        return;
    hub->is_stalled = false;
    tide_session_t *session, *next;
    HASH_ITER (hh, hub->sessions, session, next)
        if (!session->is_live && !session->page && !session->wants_page)
            tide_hub_ask_writable (hub, session->connection);
}
