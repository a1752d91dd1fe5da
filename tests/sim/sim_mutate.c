/*  sim_mutate.c - defects between the cores, byte for byte, to see that the checkers find them.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_cursor.h"

#include <string.h>

static const struct {
    const char *name, *guarantee, *rule;
} mutations[SIM_MUTATIONS] = {
    {"none", "", "nothing is broken"},
#define X(NAME, name, guarantee, rule) {name, guarantee, rule},
#include "mutations"
#undef X
};

const char *sim_mutation_name (sim_mutation_t mutation)
{
    return mutations[mutation].name;
}

const char *sim_mutation_guarantee (sim_mutation_t mutation)
{
    return mutations[mutation].guarantee;
}

const char *sim_mutation_rule (sim_mutation_t mutation)
{
    return mutations[mutation].rule;
}

static bool decode (tide_bytes_t bytes, tide_message_t *message)
{
    const char *why;
    return tide_message_decode (bytes, message, &why) == TIDE_OK;
}

/*  -- named cursors -------------------------------------------------------------------------- */

static void append_moved (tide_buffer_t *events, tide_event_t event, tide_cursor_t cursor,
                          uint64_t seq)
{
    tide_buffer_t about = {0}, payload = {0};
    tide_args_t args;
    tide_assert (tide_args_decode (event.payload, &args) == TIDE_OK);
    cursor.seq = seq;
    tide_cursor_append (&about, &cursor);
    args.about = (tide_bytes_t){about.data + 4, about.size - 4};
    tide_args_encode (&payload, &args);
    event.payload = tide_buffer_bytes (&payload);
    tide_event_append (events, &event);
    tide_buffer_free (&about);
    tide_buffer_free (&payload);
}

/*  The cursors among the events stand elsewhere; false if there is none. */
static bool move_cursors (const sim_t *sim, tide_list_t *list, tide_buffer_t *events)
{
    tide_list_t rest = *list;
    tide_event_t event;
    tide_cursor_t cursor;
    bool is_moved = false;
    while (tide_event_next (&rest, &event)) {
        if (!tide_cursor_of (&event, &cursor) || cursor.seq < 2) {
            tide_event_append (events, &event);
            continue;
        }
        bool is_hasty = sim->mutation == SIM_MUTATION_HASTY_CURSOR;
        append_moved (events, event, cursor, is_hasty ? cursor.seq + 7 : cursor.seq / 2);
        is_moved = true;
    }
    *list = tide_list (events, list->count);
    return is_moved;
}

/*  -- presence -------------------------------------------------------------------------------- */

static bool is_presence (tide_bytes_t topic)
{
    size_t size = strlen ("$presence/");
    return topic.size > size && memcmp (topic.data, "$presence/", size) == 0;
}

/*  Who enters does so elsewhere, or goes. */
static bool change_presence (const sim_t *sim, tide_list_t *list, tide_buffer_t *events)
{
    tide_list_t rest = *list;
    tide_event_t event;
    bool is_changed = false;
    while (tide_event_next (&rest, &event)) {
        bool is_one = is_presence (event.topic);
        is_changed = is_changed || is_one;
        if (is_one && sim->mutation == SIM_MUTATION_UNENTERED)
            event.topic = tide_bytes ("$presence/nowhere");
        else if (is_one) {
            event.payload = event.lease = (tide_bytes_t){0};
            event.linger_ms = 0;
        }
        tide_event_append (events, &event);
    }
    *list = tide_list (events, list->count);
    return is_changed;
}

/*  -- answers --------------------------------------------------------------------------------- */

static bool say_twice (tide_list_t *list, tide_buffer_t *events)
{
    tide_list_t rest = *list;
    tide_event_t event;
    if (list->count != 1 || !tide_event_next (&rest, &event)
        || !tide_bytes_is (event.name, TIDE_REPLY_NAME))
        return false;
    tide_event_append (events, &event);
    tide_event_append (events, &event);
    *list = tide_list (events, 2);
    return true;
}

/*  -- to the broker --------------------------------------------------------------------------- */

static void copy_events (sim_t *sim, tide_list_t list, tide_buffer_t *events)
{
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        char id[80];
        if (sim->mutation == SIM_MUTATION_LOGGED_VOLATILE)
            event.flags &= (uint8_t) ~TIDE_EVENT_VOLATILE;
        else if (event.id.size > 0 && event.id.size < 40) {
            memcpy (id, event.id.data, event.id.size);
            size_t added = 0;
            for (uint64_t rest = ++sim->serial; rest > 0; rest /= 10)
                id[event.id.size + added++] = (char) ('0' + rest % 10);
            event.id = (tide_bytes_t){(uint8_t *) id, event.id.size + added};
        }
        tide_event_append (events, &event);
    }
}

static bool mutate_publish (sim_t *sim, tide_message_t *message, tide_buffer_t *list)
{
    if (sim->mutation == SIM_MUTATION_HASTY_CURSOR)
        return move_cursors (sim, &message->publish.events, list);
    if (sim->mutation == SIM_MUTATION_TWO_ANSWERS)
        return say_twice (&message->publish.events, list);
    if (sim->mutation == SIM_MUTATION_UNENTERED || sim->mutation == SIM_MUTATION_NEVER_THERE)
        return change_presence (sim, &message->publish.events, list);
    if (sim->mutation != SIM_MUTATION_LOGGED_VOLATILE && sim->mutation != SIM_MUTATION_FORGOTTEN_ID)
        return false;
    copy_events (sim, message->publish.events, list);
    message->publish.events = tide_list (list, message->publish.events.count);
    return true;
}

/*  It goes to a name that nobody serves, or has another id each time that it is said. */
static bool mutate_end (sim_t *sim, tide_call_message_t *call, tide_buffer_t *list)
{
    if (sim->mutation == SIM_MUTATION_UNTOLD_END) {
        call->event = tide_bytes ("nothing");
        return true;
    }
    const uint8_t *number = memrchr (call->id.data, '/', call->id.size);
    size_t before = (size_t) (number - call->id.data) + 1;
    if (sim->mutation != SIM_MUTATION_END_TOLD_TWICE)
        return false;
    tide_buffer_append (list, call->id.data, before);
    for (uint64_t zeros = ++sim->serial % 20; zeros > 0; zeros--)
        tide_buffer_append (list, "0", 1);
    tide_buffer_append (list, call->id.data + before, call->id.size - before);
    call->id = tide_buffer_bytes (list);
    return true;
}

static bool mutate_call (sim_t *sim, tide_call_message_t *call, tide_buffer_t *list)
{
    if (tide_bytes_is (call->event, TIDE_HOOK_DISCONNECT))
        return mutate_end (sim, call, list);
    if (sim->mutation == SIM_MUTATION_UNANSWERED_CALL && call->wanted.size > 0) {
        call->wanted = (tide_bytes_t){0};
        return true;
    }
    if (sim->mutation != SIM_MUTATION_TWO_CALLS)
        return false;
    tide_buffer_append_bytes (list, call->id);
    tide_buffer_printf (list, ".%llu", (unsigned long long) ++sim->serial);
    call->id = tide_buffer_bytes (list);
    return true;
}

static bool mutate_offers (sim_t *sim, tide_serve_message_t *serve, tide_buffer_t *list)
{
    bool is_disorder = sim->mutation == SIM_MUTATION_DISORDER;
    tide_list_t offers = serve->offers;
    tide_offer_t offer;
    if (!is_disorder && sim->mutation != SIM_MUTATION_LOGGED_CALL)
        return false;
    while (tide_offer_next (&offers, &offer)) {
        if (!is_disorder)
            offer.flags &= (uint8_t) ~TIDE_HANDLER_VOLATILE;
        else if (offer.flags == 0)
            offer.flags = TIDE_HANDLER_UNORDERED;
        tide_offer_append (list, &offer);
    }
    serve->offers = tide_list (list, serve->offers.count);
    return true;
}

static bool mutate_serve (sim_t *sim, tide_serve_message_t *serve, tide_buffer_t *list)
{
    if (sim->mutation == SIM_MUTATION_ENDLESS_CALL)
        serve->attempts += 3;
    else if (sim->mutation == SIM_MUTATION_ENDLESS_LEASE)
        serve->lease_ms = TIDE_CALL_LEASE_MS_MAX;
    else
        return mutate_offers (sim, serve, list);
    return true;
}

static bool mutate_done (sim_t *sim, tide_done_message_t *done)
{
    uint64_t n = 0;
    while (
        n <= sim->calls.count
        && (sim->calls.calls[n].epoch != sim->disk->epoch || sim->calls.calls[n].seq != done->call))
        n++;
    if (sim->mutation == SIM_MUTATION_LOST_JOINT && done->events.count > 0) {
        done->events = (tide_list_t){0};
        return true;
    }
    if (sim->mutation != SIM_MUTATION_STALE_WORD || n > sim->calls.count
        || sim->calls.calls[n].attempt == done->attempt)
        return false;
    done->attempt = sim->calls.calls[n].attempt;
    return true;
}

static bool mutate_group_done (const sim_t *sim, tide_group_done_message_t *done)
{
    bool is_handled = done->outcome == TIDE_GIVEN_HANDLED;
    bool is_again = done->outcome == TIDE_GIVEN_AGAIN;
    if (sim->mutation == SIM_MUTATION_UNHEARD_DONE && is_handled)
        done->outcome = TIDE_GIVEN_AGAIN;
    else if (sim->mutation == SIM_MUTATION_FALSE_DONE && is_again)
        done->outcome = TIDE_GIVEN_HANDLED;
    else if (sim->mutation == SIM_MUTATION_EAGER_DEATH && is_again)
        done->outcome = TIDE_GIVEN_NEVER;
    else
        return false;
    return true;
}

static bool mutate_to_broker (sim_t *sim, tide_message_t *message, tide_buffer_t *list)
{
    switch (message->kind) {
    case TIDE_MESSAGE_PUBLISH:
        return mutate_publish (sim, message, list);
    case TIDE_MESSAGE_CALL:
        return mutate_call (sim, &message->call, list);
    case TIDE_MESSAGE_SERVE:
        return mutate_serve (sim, &message->serve, list);
    case TIDE_MESSAGE_DONE:
        return mutate_done (sim, &message->done);
    case TIDE_MESSAGE_RELEASE:
        if (sim->mutation != SIM_MUTATION_UNRELEASED || !is_presence (message->release.topic))
            return false;
        message->release.seq = 0;
        return true;
    case TIDE_MESSAGE_GROUP_DONE:
        return mutate_group_done (sim, &message->group_done);
    default:
        return false;
    }
}

bool sim_mutate_to_broker (sim_t *sim, tide_bytes_t bytes, tide_buffer_t *out)
{
    tide_message_t message;
    if (sim->mutation == SIM_MUTATION_NONE || !decode (bytes, &message))
        return false;
    tide_buffer_t list = {0};
    bool is_changed = mutate_to_broker (sim, &message, &list);
    if (is_changed) {
        tide_message_encode (out, &message);
        sim->mutated++;
    }
    tide_buffer_free (&list);
    return is_changed;
}

/*  -- from the broker ------------------------------------------------------------------------- */

/*  Leaves one event out that is not a session's own record. */
static bool thin_out (sim_t *sim, tide_message_t *message, tide_buffer_t *events, bool sessions)
{
    tide_list_t list = message->standing.events;
    tide_event_t event;
    uint32_t count = 0;
    bool is_thin = false;
    while (tide_event_next (&list, &event)) {
        bool is_session = tide_topic_is_system (event.topic);
        bool is_key = !tide_bytes_is (event.key, "#session");
        if (!is_thin && is_session == sessions && is_key && sim_chance (sim, 50)) {
            is_thin = true;
            continue;
        }
        tide_event_append (events, &event);
        count++;
    }
    message->standing.events = tide_list (events, count);
    return is_thin;
}

/*  The order that is lost; NULL: none is. */
static const char *lost_order (const sim_t *sim)
{
    switch (sim->mutation) {
    case SIM_MUTATION_LOST_ORDER:
        return TIDE_ORDER_JOIN;
    case SIM_MUTATION_LOST_LEAVE:
        return TIDE_ORDER_LEAVE;
    case SIM_MUTATION_LOST_GO:
        return TIDE_ORDER_DISCONNECT;
    default:
        return NULL;
    }
}

static bool lose_orders (const sim_t *sim, tide_list_t *all, tide_buffer_t *events)
{
    tide_list_t list = *all;
    tide_event_t event;
    uint32_t count = 0;
    while (tide_event_next (&list, &event)) {
        if (tide_bytes_is (event.name, lost_order (sim)))
            continue;
        tide_event_append (events, &event);
        count++;
    }
    bool is_changed = count < all->count;
    *all = tide_list (events, count);
    return is_changed;
}

static bool mutate_answer (sim_t *sim, tide_message_t *message, tide_buffer_t *events)
{
    switch (sim->mutation) {
    case SIM_MUTATION_LOST_ORDER:
    case SIM_MUTATION_LOST_LEAVE:
    case SIM_MUTATION_LOST_GO:
        return message->kind == TIDE_MESSAGE_PAGE
               && lose_orders (sim, &message->page.events, events);
    case SIM_MUTATION_EMPTY_PAGE:
        if (message->kind != TIDE_MESSAGE_PAGE || message->page.events.count == 0)
            return false;
        message->page.events = (tide_list_t){0};
        return true;
    case SIM_MUTATION_HIDDEN_LOSS:
        if (message->kind != TIDE_MESSAGE_PAGE || message->page.lost.count == 0)
            return false;
        message->page.lost = (tide_list_t){0};
        return true;
    case SIM_MUTATION_LOST_MEMBERSHIP:
    case SIM_MUTATION_THIN_SNAPSHOT:
        return message->kind == TIDE_MESSAGE_STANDING
               && thin_out (sim, message, events, sim->mutation == SIM_MUTATION_LOST_MEMBERSHIP);
    case SIM_MUTATION_OLD_CURSOR:
        return message->kind == TIDE_MESSAGE_STANDING
               && move_cursors (sim, &message->standing.events, events);
    case SIM_MUTATION_FALSE_ACK:
        if (message->kind != TIDE_MESSAGE_FAIL || message->fail.code != TIDE_LOG_FULL)
            return false;
        *message = (tide_message_t){.kind = TIDE_MESSAGE_ACK,
                                    .ack = {.request = message->fail.request,
                                            .epoch = sim->disk->epoch,
                                            .first = sim->disk->count + 1,
                                            .count = 1}};
        return true;
    default:
        return false;
    }
}

bool sim_mutate_from_broker (sim_t *sim, tide_bytes_t bytes, tide_buffer_t *out)
{
    tide_message_t message;
    tide_buffer_t events = {0};
    if (sim->mutation == SIM_MUTATION_NONE || !decode (bytes, &message))
        return false;
    bool is_changed = mutate_answer (sim, &message, &events);
    if (is_changed) {
        tide_message_encode (out, &message);
        sim->mutated++;
    }
    tide_buffer_free (&events);
    return is_changed;
}

void sim_mutate_lend (sim_t *sim, tide_lend_message_t *lend)
{
    if (sim->mutation == SIM_MUTATION_EARLY_LEND && !(lend->call >> 63))
        lend->call = sim->disk->count + 1;
    else if (sim->mutation == SIM_MUTATION_FIRST_AGAIN && lend->attempt > 1)
        lend->attempt = 1;
    else
        return;
    sim->mutated++;
}

bool sim_mutate_group_event (sim_t *sim, tide_group_event_message_t *event)
{
    bool is_lost = false;
    if (sim->mutation == SIM_MUTATION_SHORT_LEASE)
        event->lease_ms *= 4;
    else if (sim->mutation == SIM_MUTATION_ALWAYS_FIRST && event->attempt > 1)
        event->attempt = 1;
    else if (sim->mutation == SIM_MUTATION_PASSED_OVER && event->attempt == 1)
        is_lost = sim_chance (sim, 20);
    else
        return true;
    sim->mutated += sim->mutation != SIM_MUTATION_PASSED_OVER || is_lost;
    return !is_lost;
}

/*  -- what is published ----------------------------------------------------------------------- */

static bool shift_seq (tide_message_t *message, tide_buffer_t *events)
{
    tide_list_t list = message->events.events;
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        event.seq++;
        tide_event_append (events, &event);
    }
    message->events.events = tide_list (events, message->events.events.count);
    return true;
}

static bool silence_mark (tide_message_t *message, tide_buffer_t *marks)
{
    tide_list_t list = message->marked.marks;
    tide_mark_t mark;
    if (!tide_mark_next (&list, &mark) || mark.topics.count == 0)
        return false;
    mark.topics = (tide_list_t){0};
    tide_mark_append (marks, &mark);
    message->marked.marks = tide_list (marks, 1);
    return true;
}

/*  The same message once more, as if it belonged behind whatever there is by now. */
static bool repeat_volatile (sim_t *sim, tide_message_t *message)
{
    message->volatiles.behind = sim->disk->count;
    return true;
}

bool sim_mutate_published (sim_t *sim, tide_bytes_t frame, tide_buffer_t *out)
{
    tide_bytes_t prefix, bytes;
    tide_message_t message;
    tide_buffer_t list = {0};
    bool is_changed = false;
    if (sim->mutation == SIM_MUTATION_NONE || !tide_fanout_split (frame, &prefix, &bytes)
        || !decode (bytes, &message) || !sim_chance (sim, 30))
        return false;
    if (lost_order (sim) && message.kind == TIDE_MESSAGE_EVENTS)
        is_changed = lose_orders (sim, &message.events.events, &list);
    else if (sim->mutation == SIM_MUTATION_SHIFTED_SEQ && message.kind == TIDE_MESSAGE_EVENTS)
        is_changed = shift_seq (&message, &list);
    else if (sim->mutation == SIM_MUTATION_SILENT_MARK && message.kind == TIDE_MESSAGE_MARKED)
        is_changed = silence_mark (&message, &list);
    else if (sim->mutation == SIM_MUTATION_REPEATED_VOLATILE
             && message.kind == TIDE_MESSAGE_VOLATILE)
        is_changed = repeat_volatile (sim, &message);
    if (is_changed) {
        tide_buffer_append (out, frame.data, prefix.size + 1);
        tide_message_encode (out, &message);
        sim->mutated++;
    }
    tide_buffer_free (&list);
    return is_changed;
}

/*  -- from clients ---------------------------------------------------------------------------- */

void sim_mutate_hello (sim_t *sim, uint64_t *epoch, uint64_t *seq)
{
    if (sim->mutation == SIM_MUTATION_ANY_EPOCH)
        *epoch = sim->disk->epoch;
    else if (sim->mutation == SIM_MUTATION_OLD_POSITION && *seq > 0)
        *seq -= sim_random (sim, *seq < 20 ? *seq : 20);
    else
        return;
    sim->mutated++;
}
