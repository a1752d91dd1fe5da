/*  sim_call.c - what must hold of calls (G7): each that is accepted ends once, in one way.
 *
 *  The log is the truth. An end is a run of records in it: the call's removal, then its reply, its
 *  dead letter and what its worker appended with it; whatever else follows closes the run.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_broker_parts.h"
#include "tide_call_end.h"
#include "tide_dead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*  When faults have stopped it takes so long until workers serve, and those that waited are told.
 */
enum { WORKERS_MS = 9000 };

static bool begins (tide_bytes_t name, const char *prefix)
{
    size_t size = strlen (prefix);
    return name.size >= size && memcmp (name.data, prefix, size) == 0;
}

static uint64_t number_in (tide_bytes_t text, const char *member)
{
    char copy[200], *found;
    snprintf (copy, sizeof copy, "%.*s", TIDE_PRINT (text));
    found = strstr (copy, member);
    return found ? strtoull (found + strlen (member), NULL, 10) : 0;
}

static sim_call_t *find (sim_t *sim, uint64_t n)
{
    return n > 0 && n <= sim->calls.count ? &sim->calls.calls[n] : NULL;
}

uint64_t sim_call_number (const tide_event_t *event)
{
    tide_args_t args;
    if (event->key.size > 1 && event->key.data[0] == 'c')
        return number_in (event->key, "c");
    return tide_args_decode (event->payload, &args) == TIDE_OK ? number_in (args.json, "\"n\":")
                                                               : 0;
}

/*  -- ends ------------------------------------------------------------------------------------ */

static void fail_end (sim_t *sim, const char *what)
{
    sim_fail (sim, "G7", "c%llu, which ends behind %llu, %s",
              (unsigned long long) sim->calls.ending.n,
              (unsigned long long) sim->calls.ending.next - 1, what);
}

/*  If the log does not say which word of a worker's it was, there must be one that fits. */
static bool is_handled_without_trace (const sim_calls_t *self, uint64_t n)
{
    for (uint64_t at = 1; at <= self->done_count; at++)
        if (self->dones[at].n == n && self->dones[at].joints == 0)
            return true;
    return false;
}

static void finish_end (sim_t *sim)
{
    sim_calls_t *self = &sim->calls;
    sim_ending_t *end = &self->ending;
    const sim_call_t *call = find (sim, end->n);
    if (!call)
        return;
    const sim_done_t *done = end->done > 0 ? &self->dones[end->done] : NULL;
    bool is_no_worker = end->code == TIDE_NO_WORKER && end->replies > 0;
    if (end->replies != (call->is_wanted ? 1u : 0u))
        fail_end (sim, "has an answer that is not wanted, or none that is");
    else if (done && done->n != end->n)
        fail_end (sim, "is answered with another one's reply");
    else if (done && done->attempt != end->attempt)
        fail_end (sim, "is ended by an attempt that is not its last");
    else if (end->joints != (done ? done->joints : 0))
        fail_end (sim, "has not what its worker appended with it");
    else if (end->replies > 0 && done && done->code != end->code)
        fail_end (sim, "is answered with another code than its worker's");
    else if (end->deads > 0 && (done || end->code == TIDE_OK || is_no_worker))
        fail_end (sim, "has a dead letter, though it was handled or nobody was there");
    else if (end->deads == 0 && !done && !is_no_worker
             && (call->is_wanted || !is_handled_without_trace (self, end->n)))
        fail_end (sim, "ends in no way");
    else if (is_no_worker && self->mended_ms > 0 && end->at_ms > self->mended_ms + WORKERS_MS)
        fail_end (sim, "had no worker, though all are there");
    *end = (sim_ending_t){0};
}

static void end_begins (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    uint64_t n = sim_call_number (event);
    sim_call_t *call = find (sim, n);
    if (!call || call->epoch != disk->epoch || call->seq == 0)
        sim_fail (sim, "G7", "c%llu ends at %llu, but it was never there", (unsigned long long) n,
                  (unsigned long long) seq);
    else if (call->end > 0)
        sim_fail (sim, "G7", "c%llu ends at %llu and at %llu", (unsigned long long) n,
                  (unsigned long long) call->end, (unsigned long long) seq);
    else {
        call->end = seq;
        sim->stats.call_ends++;
        sim->calls.ending = (sim_ending_t){.n = n,
                                           .epoch = disk->epoch,
                                           .next = seq + 1,
                                           .at_ms = sim->now_ms,
                                           .attempt = call->attempt};
    }
}

static void read_reply (sim_t *sim, const sim_call_t *call, const tide_args_t *args)
{
    sim_ending_t *end = &sim->calls.ending;
    tide_replied_t replied;
    char wanted[32];
    snprintf (wanted, sizeof wanted, "w%llu", (unsigned long long) end->n);
    if (!tide_replied_decode (args->about, &replied) || replied.call != call->seq
        || !tide_bytes_is (replied.wanted, wanted))
        fail_end (sim, "has an answer that is another one's");
    end->replies++;
    end->code = replied.code;
    end->done = number_in (replied.code == TIDE_OK ? args->json : replied.message, "\"done\":");
}

static void read_dead (sim_t *sim, const sim_call_t *call, const tide_args_t *args)
{
    sim_ending_t *end = &sim->calls.ending;
    uint64_t attempts = number_in (args->json, "\"attempts\":");
    const char *code = "\"code\":\"no_worker\"";
    char text[200];
    snprintf (text, sizeof text, "%.*s", TIDE_PRINT (args->json));
    bool was_tried =
        attempts >= sim->calls.services[sim_call_events[call->event].service_number].attempts;
    if (number_in (args->json, "\"call\":") != call->seq)
        fail_end (sim, "has the dead letter of another one");
    else if (!strstr (text, code) && !call->was_refused && !was_tried)
        fail_end (sim, "is dead before it was tried as often as it may be");
    if (end->replies == 0)
        end->code = TIDE_WORKER_FAILED;
    end->deads++;
    sim->stats.call_deads++;
}

/*  True if the record belongs to the end that is being read. */
static bool read_end (sim_t *sim, const tide_event_t *event)
{
    sim_ending_t *end = &sim->calls.ending;
    const sim_call_t *call = find (sim, end->n);
    tide_args_t args;
    bool is_reply = tide_bytes_is (event->name, TIDE_REPLY_NAME);
    bool is_dead = begins (event->topic, TIDE_DEAD_TOPIC);
    bool is_joint = tide_bytes_is (event->topic, "$joint");
    if (!is_reply && !is_dead && !is_joint)
        return false;
    if (!call || tide_args_decode (event->payload, &args) != TIDE_OK) {
        sim_fail (sim, "G7", "at %llu an answer, a dead letter or a worker's event is without end",
                  (unsigned long long) event->seq);
        return false;
    }
    end->next++;
    if (is_reply)
        read_reply (sim, call, &args);
    else if (is_dead)
        read_dead (sim, call, &args);
    else {
        uint64_t done = number_in (args.json, "\"done\":");
        if (end->done > 0 && end->done != done)
            fail_end (sim, "has what another word of a worker's appended");
        end->done = done;
        end->joints++;
    }
    return true;
}

static void call_begins (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                         uint64_t seq)
{
    uint64_t n = sim_call_number (event);
    sim_call_t *call = find (sim, n);
    if (!call) {
        sim_fail (sim, "G7", "nobody called what is at %llu", (unsigned long long) seq);
        return;
    }
    if (sim_call_events[call->event].flags & TIDE_HANDLER_VOLATILE)
        sim_fail (sim, "G9", "volatile c%llu is logged at %llu", (unsigned long long) n,
                  (unsigned long long) seq);
    else if (call->epoch == disk->epoch && call->seq > 0 && !sim->calls.is_forgetful)
        sim_fail (sim, "G4", "c%llu is called at %llu and again at %llu", (unsigned long long) n,
                  (unsigned long long) call->seq, (unsigned long long) seq);
    call->epoch = disk->epoch;
    call->seq = seq;
    call->end = 0;
    call->attempt = 0;
    call->was_lent = false;
}

void sim_call_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    sim_calls_t *self = &sim->calls;
    if (self->ending.n > 0 && (self->ending.epoch != disk->epoch || self->ending.next != seq))
        finish_end (sim);
    if (read_end (sim, event))
        return;
    finish_end (sim);
    if (sim->failed || !begins (event->topic, TIDE_CALL_TOPIC))
        return;
    if (event->payload.size == 0)
        end_begins (sim, disk, event, seq);
    else
        call_begins (sim, disk, event, seq);
}

/*  -- lending --------------------------------------------------------------------------------- */

void sim_calls_restarted (sim_t *sim)
{
    for (uint64_t n = 1; n <= sim->calls.count; n++)
        sim->calls.calls[n].attempt = 1;
}

/*  Of one session's calls to one service each waits for the end of those before it. */
static void check_order (sim_t *sim, const sim_call_t *call)
{
    const sim_call_event_t *event = &sim_call_events[call->event];
    if (event->flags & TIDE_HANDLER_UNORDERED)
        return;
    for (uint64_t n = 1; n <= sim->calls.count; n++) {
        const sim_call_t *other = &sim->calls.calls[n];
        const sim_call_event_t *of = &sim_call_events[other->event];
        if (other->session == call->session && of->service_number == event->service_number
            && of->flags == 0 && other->epoch == call->epoch && other->seq > 0
            && other->seq < call->seq && other->end == 0)
            sim_fail (sim, "G7", "the call at %llu is lent before c%llu at %llu, which is open",
                      (unsigned long long) call->seq, (unsigned long long) n,
                      (unsigned long long) other->seq);
    }
}

static void check_logged (sim_t *sim, sim_call_t *call, uint64_t n, const tide_lend_message_t *lend)
{
    uint32_t most = sim->calls.services[sim_call_events[call->event].service_number].attempts;
    if (most < 2) /* a start counts as one, but one is always made */
        most = 2;
    if (call->epoch != sim->disk->epoch || call->seq != lend->call)
        sim_fail (sim, "G7", "c%llu is lent as %llu before it is durable", (unsigned long long) n,
                  (unsigned long long) lend->call);
    else if (call->end > 0)
        sim_fail (sim, "G7", "c%llu is lent, but it ended at %llu", (unsigned long long) n,
                  (unsigned long long) call->end);
    else if (lend->attempt != call->attempt + 1)
        sim_fail (sim, "G7", "c%llu is lent as attempt %u behind attempt %u",
                  (unsigned long long) n, lend->attempt, call->attempt);
    else if (call->was_lent && lend->attempt < 2)
        sim_fail (sim, "G7", "c%llu is lent again as if it was the first time",
                  (unsigned long long) n);
    else if (lend->attempt > most + call->given_back)
        sim_fail (sim, "G7", "c%llu is lent %u times, but %u at most, and given back %u times",
                  (unsigned long long) n, lend->attempt, most, call->given_back);
    else
        check_order (sim, call);
    sim->stats.lent_again += call->was_lent;
    call->attempt = lend->attempt;
    call->was_lent = true;
}

void sim_call_lent (sim_t *sim, const tide_message_t *message)
{
    tide_list_t list = message->lend.events;
    tide_event_t event;
    if (!tide_event_next (&list, &event))
        return;
    if (sim_hooks_is_call (&event))
        return;
    uint64_t n = sim_call_number (&event);
    sim_call_t *call = find (sim, n);
    bool is_volatile = message->lend.call >> 63;
    if (!call)
        sim_fail (sim, "G7", "a call is lent that nobody made");
    else if (is_volatile != ((sim_call_events[call->event].flags & TIDE_HANDLER_VOLATILE) != 0))
        sim_fail (sim, "G9", "c%llu is lent as what it is not", (unsigned long long) n);
    else if (!is_volatile)
        check_logged (sim, call, n, &message->lend);
    else if (message->lend.attempt > 1 + call->given_back)
        sim_fail (sim, "G9", "volatile c%llu is lent again", (unsigned long long) n);
    sim->stats.lent++;
}

/*  -- answers, and the end -------------------------------------------------------------------- */

void sim_call_answered (sim_t *sim, sim_call_t *call, const tide_message_t *message)
{
    const sim_call_event_t *event = &sim_call_events[call->event];
    unsigned long long n = (unsigned long long) (call - sim->calls.calls);
    if (message->kind == TIDE_MESSAGE_FAIL && message->fail.code == TIDE_CONFLICT)
        sim_fail (sim, "G4", "c%llu is refused: %.*s", n, TIDE_PRINT (message->fail.message));
    if (message->kind != TIDE_MESSAGE_ACK)
        return;
    if (event->service_number == SIM_SERVICES)
        sim_fail (sim, "G7", "c%llu is accepted, but nobody ever served it", n);
    else if (!(event->flags & TIDE_HANDLER_VOLATILE)
             && (call->epoch == 0
                 || (call->epoch == message->ack.epoch && call->seq != message->ack.first
                     && !sim->calls.is_forgetful)))
        sim_fail (sim, "G7", "c%llu is acknowledged at %llu, but it is not there", n,
                  (unsigned long long) message->ack.first);
    call->is_acked = true;
    sim->stats.call_acks++;
}

void sim_call_told (sim_t *sim, const tide_event_t *event)
{
    tide_args_t args;
    tide_replied_t replied;
    if (!tide_bytes_is (event->name, TIDE_REPLY_NAME))
        return;
    if (tide_args_decode (event->payload, &args) != TIDE_OK
        || !tide_replied_decode (args.about, &replied)) {
        sim_fail (sim, "G7", "a volatile answer is malformed");
        return;
    }
    uint64_t n = number_in (replied.wanted, "w");
    const sim_call_t *call = find (sim, n);
    uint64_t done = number_in (replied.code == TIDE_OK ? args.json : replied.message, "\"done\":");
    if (!call || !call->is_wanted || !(sim_call_events[call->event].flags & TIDE_HANDLER_VOLATILE))
        sim_fail (sim, "G7", "volatile c%llu is answered, but is none", (unsigned long long) n);
    else if (done > 0 && sim->calls.dones[done].n != n)
        sim_fail (sim, "G7", "volatile c%llu is answered with another one's reply",
                  (unsigned long long) n);
}

void sim_calls_look (sim_t *sim)
{
    if (!sim->broker.core)
        return;
    tide_dispatch_counts_t counts = tide_dispatch_counts (sim->broker.core->core.dispatch);
    if (counts.calls
        != counts.waiting + counts.ready + counts.lent + counts.resting + counts.ending)
        sim_fail (sim, "G7", "calls are open that are in no state");
    else if (counts.lent > 0 && counts.workers == 0)
        sim_fail (sim, "G7", "%llu calls are lent, but there is no worker",
                  (unsigned long long) counts.lent);
    else if (counts.calls > 0 && counts.bytes == 0)
        sim_fail (sim, "G7", "calls are open that have no bytes");
}

static const char *what_is_left (sim_t *sim, uint64_t *n)
{
    sim_calls_t *self = &sim->calls;
    for (*n = 1; *n <= self->count; (*n)++) {
        const sim_call_t *call = &self->calls[*n];
        if (call->token > 0)
            return "has no answer";
        if (call->epoch == sim->disk->epoch && call->seq > 0 && call->end == 0)
            return "was accepted and did not end";
    }
    *n = 0;
    if (!sim->broker.core)
        return "the broker is down";
    tide_dispatch_counts_t counts = tide_dispatch_counts (sim->broker.core->core.dispatch);
    if (counts.calls + counts.waiting + counts.ready + counts.lent + counts.resting + counts.ending
        > 0)
        return "calls are open";
    return counts.bytes > 0 ? "bytes of calls are kept" : NULL;
}

bool sim_calls_settled (sim_t *sim, bool say)
{
    uint64_t n;
    if (!sim->calls.is_on)
        return true;
    const char *why = what_is_left (sim, &n);
    if (!why) {
        finish_end (sim);
        return true;
    }
    if (say)
        sim_fail (sim, "G7", "at the end, c%llu: %s", (unsigned long long) n, why);
    return false;
}
