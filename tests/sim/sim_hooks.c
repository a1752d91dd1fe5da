/*  sim_hooks.c - who was let in, who left, and what of that was told.
 *
 *  The log is the truth here, too: it has each session's record, each call by which an end is told,
 *  under an id that names the session and its record. An end is told once under its id, before the
 *  record goes. What workers do to a session is sim_order.c's.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_call_end.h"
#include "tide_services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins (tide_bytes_t name, const char *prefix)
{
    size_t size = strlen (prefix);
    return name.size >= size && memcmp (name.data, prefix, size) == 0;
}

bool sim_hooks_is_call (const tide_event_t *event)
{
    return begins (event->topic, TIDE_CALL_TOPIC) && begins (event->name, "tide:");
}

/*  -- what is told ---------------------------------------------------------------------------- */

static sim_told_t *find_told (sim_hooks_t *self, uint64_t epoch, const char *key)
{
    for (size_t at = self->told_count; at > 0; at--)
        if (self->told[at - 1].epoch == epoch && strcmp (self->told[at - 1].key, key) == 0)
            return &self->told[at - 1];
    return NULL;
}

/*  True if the end of the session's connection, or of itself, was told under such a record. */
static bool was_told (const sim_hooks_t *self, const sim_guest_t *guest, bool is_expired,
                      uint64_t least)
{
    for (size_t at = self->told_count; at > 0; at--) {
        const sim_told_t *told = &self->told[at - 1];
        if (told->epoch == guest->epoch && told->is_expired == is_expired && told->number >= least
            && strcmp (told->sid, guest->sid) == 0)
            return true;
    }
    return false;
}

static sim_guest_t *find_guest (sim_hooks_t *self, uint64_t epoch, const char *sid)
{
    for (size_t at = self->guest_count; at > 0; at--)
        if (self->guests[at - 1].epoch == epoch && strcmp (self->guests[at - 1].sid, sid) == 0)
            return &self->guests[at - 1];
    return NULL;
}

static sim_guest_t *require_guest (sim_hooks_t *self, uint64_t epoch, const char *sid)
{
    sim_guest_t *guest = find_guest (self, epoch, sid);
    if (guest)
        return guest;
    self->guests = tide_realloc (self->guests, (self->guest_count + 1) * sizeof *self->guests);
    guest = &self->guests[self->guest_count++];
    *guest = (sim_guest_t){.epoch = epoch};
    snprintf (guest->sid, sizeof guest->sid, "%s", sid);
    return guest;
}

static void call_begins (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                         uint64_t seq)
{
    sim_hooks_t *self = &sim->hooks;
    sim_told_t told = {.epoch = disk->epoch,
                       .seq = seq,
                       .is_expired = tide_bytes_is (event->name, TIDE_HOOK_EXPIRED)};
    snprintf (told.key, sizeof told.key, "%.*s", TIDE_PRINT (event->key));
    snprintf (told.sid, sizeof told.sid, "%.*s", TIDE_PRINT (event->from));
    sim_guest_t *guest = require_guest (self, disk->epoch, told.sid);
    const sim_told_t *before = find_told (self, disk->epoch, told.key);
    if (tide_bytes_is (event->name, TIDE_HOOK_CONNECT))
        guest->is_asked = true;
    else {
        const char *last = strrchr (told.key, '/');
        told.number = last ? strtoull (last + 1, NULL, 10) : 0;
        /*  A session that is being made anew in this log has no record in it yet, or says the one
         *  that it had in another; one that the log had no room for has none. */
        if ((told.number == 0 || told.number > seq) && !disk->older && self->is_strict)
            sim_fail (sim, "G7", "%s is told of no record", told.key);
        sim->stats.hooks_told++;
    }
    if (before && !sim_disk_may_be_lost (sim, disk, before->seq)
        && disk->count - before->seq < sim->config.dedupe_ids)
        sim_fail (sim, "G4", "%s is told at %llu and again at %llu", told.key,
                  (unsigned long long) before->seq, (unsigned long long) seq);
    for (size_t at = 0; at < self->told_count && told.number > 0 && self->is_strict; at++)
        if (self->told[at].epoch == told.epoch && self->told[at].number == told.number
            && self->told[at].is_expired == told.is_expired
            && strcmp (self->told[at].sid, told.sid) == 0)
            sim_fail (sim, "G7", "%s is told twice, as %s", told.key, self->told[at].key);
    if (told.is_expired && guest->seq != told.number)
        sim_fail (sim, "G7", "%s is told, but %llu stands", told.key,
                  (unsigned long long) guest->seq);
    guest->was_ended = guest->was_ended || told.is_expired;
    self->told = tide_realloc (self->told, (self->told_count + 1) * sizeof *self->told);
    self->told[self->told_count++] = told;
}

static void call_ends (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    char key[160];
    snprintf (key, sizeof key, "%.*s", TIDE_PRINT (event->key));
    sim_told_t *told = find_told (&sim->hooks, disk->epoch, key);
    if (!told)
        sim_fail (sim, "G7", "%s ends at %llu, but it was never there", key,
                  (unsigned long long) seq);
    else if (told->is_over)
        sim_fail (sim, "G7", "%s ends again at %llu", key, (unsigned long long) seq);
    else
        told->is_over = true;
}

/*  -- records --------------------------------------------------------------------------------- */

static void stands (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    tide_args_t args;
    char sid[SIM_SID_SIZE];
    snprintf (sid, sizeof sid, "%.*s", TIDE_PRINT (event->from));
    sim_guest_t *guest = require_guest (&sim->hooks, disk->epoch, sid);
    snprintf (guest->topic, sizeof guest->topic, "%.*s", TIDE_PRINT (event->topic));
    guest->seq = seq;
    bool is_closed = tide_args_decode (event->payload, &args) == TIDE_OK
                     && memmem (args.json.data, args.json.size, "\"closed\":true", 13);
    if (!is_closed) {
        guest->open_seq = seq;
        guest->is_served = guest->is_asked;
    }
    if (guest->was_ended)
        sim_fail (sim, "G7", "session %s goes on at %llu, but its end was told", sid,
                  (unsigned long long) seq);
}

static void goes (sim_t *sim, sim_guest_t *guest, bool by_broker, uint64_t seq)
{
    const sim_hooks_t *self = &sim->hooks;
    bool are_told = self->served_epoch == guest->epoch;
    if (are_told && by_broker && !was_told (self, guest, true, guest->seq))
        sim_fail (sim, "G7", "session %s is removed at %llu, and nobody was told", guest->sid,
                  (unsigned long long) seq);
    else if (are_told && !by_broker && guest->is_served)
        sim_fail (sim, "G7", "session %s, which is a worker's, is removed by its lane at %llu",
                  guest->sid, (unsigned long long) seq);
    else if (self->is_strict && are_told && guest->is_asked && guest->opened > 0
             && guest->opened == guest->open_seq && !was_told (self, guest, false, guest->opened))
        sim_fail (sim, "G7", "session %s is removed at %llu, and nobody was told that it had left",
                  guest->sid, (unsigned long long) seq);
    guest->seq = 0;
}

static void read_record (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                         uint64_t seq)
{
    sim_hooks_t *self = &sim->hooks;
    char topic[100];
    if (event->payload.size > 0) {
        if (tide_bytes_is (event->name, "/"))
            stands (sim, disk, event, seq);
        return;
    }
    snprintf (topic, sizeof topic, "%.*s", TIDE_PRINT (event->topic));
    for (size_t at = 0; at < self->guest_count; at++)
        if (self->guests[at].epoch == disk->epoch && self->guests[at].seq > 0
            && strcmp (self->guests[at].topic, topic) == 0)
            goes (sim, &self->guests[at], tide_bytes_is (event->name, "/"), seq);
}

void sim_hooks_opened (sim_t *sim, sim_client_t *client)
{
    sim_hooks_t *self = &sim->hooks;
    sim_guest_t *guest = find_guest (self, sim->disk->epoch, client->sid);
    if (!self->is_on || client->is_json)
        return;
    if (guest && guest->is_asked && !client->ghost && !client->is_ghost)
        guest->opened = guest->open_seq;
    sim_orders_opened (sim, client);
}

/*  -- the log, and the end -------------------------------------------------------------------- */

bool sim_hooks_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event, uint64_t seq)
{
    if (!sim->hooks.is_on)
        return false;
    if (begins (event->topic, TIDE_CALL_TOPIC "door")) {
        if (event->payload.size > 0)
            call_begins (sim, disk, event, seq);
        else
            call_ends (sim, disk, event, seq);
        return true;
    }
    if (sim_order_durable (sim, disk, event, seq))
        return true;
    if (tide_bytes_is (event->topic, TIDE_SERVE_TOPIC)
        && tide_bytes_is (event->key, "1:/" TIDE_HOOK_EXPIRED))
        sim->hooks.served_epoch = disk->epoch;
    if (begins (event->topic, "$session/") && tide_bytes_is (event->key, "#session"))
        read_record (sim, disk, event, seq);
    return begins (event->topic, "$dead/door")
           || (begins (event->topic, "$lane/") && tide_bytes_is (event->name, TIDE_REPLY_NAME));
}

static bool is_here (const sim_t *sim, const char *sid)
{
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++)
        if (!sim->clients[at].is_dead && strcmp (sim->clients[at].sid, sid) == 0)
            return true;
    return false;
}

bool sim_hooks_settled (sim_t *sim, bool say)
{
    const sim_hooks_t *self = &sim->hooks;
    if (!sim_questions_settled (sim, say))
        return false;
    for (size_t at = 0; at < self->told_count; at++) {
        if (self->told[at].epoch != sim->disk->epoch || self->told[at].is_over)
            continue;
        if (say)
            sim_fail (sim, "G7", "at the end, %s was accepted and did not end", self->told[at].key);
        return false;
    }
    for (size_t at = 0; at < self->guest_count && self->is_strict; at++) {
        const sim_guest_t *guest = &self->guests[at];
        if (guest->epoch != sim->disk->epoch || guest->seq == 0 || !guest->is_asked
            || guest->opened == 0 || guest->opened != guest->open_seq
            || self->served_epoch != guest->epoch || is_here (sim, guest->sid)
            || was_told (self, guest, false, guest->opened))
            continue;
        if (say)
            sim_fail (sim, "G7", "at the end, nobody was told that session %s has left",
                      guest->sid);
        return false;
    }
    return true;
}
