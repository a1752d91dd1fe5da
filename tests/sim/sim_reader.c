/*  sim_reader.c - clients that read a topic by a named cursor, which two of them share, and what
 *  must be true of it.
 *
 *  The world knows of each cursor what anybody has said to be acknowledged, and what the log says.
 *  Of these two follows where a reader may begin: behind all that is durably acknowledged, and not
 *  behind more than was said. From there on it gets each event, or a reset.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include "tide_cursor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned patterns[SIM_CURSORS] = {5, 7}; /* a busy topic, and a subtree */
static const char *const names[SIM_CURSORS] = {"c0", "c/1"};
static const char *const topics[SIM_CURSORS] = {"$cursor/c0", "$cursor/c%2F1"};

static unsigned pattern_of (const sim_client_t *client)
{
    return patterns[client->reader.cursor];
}

static sim_cursor_t *cursor_of (sim_t *sim, const sim_client_t *client)
{
    return &sim->cursors[client->reader.cursor];
}

void sim_reader_init (sim_t *sim, sim_client_t *client)
{
    if (client->number == 0 || !sim_chance (sim, 25))
        return;
    client->is_json = true;
    client->is_anonymous = sim_chance (sim, 50);
    client->reader.is_on = true;
    client->reader.cursor = (unsigned) sim_random (sim, SIM_CURSORS);
}

/*  -- what the log says ----------------------------------------------------------------------- */

/*  Where the cursor stood in this log before anything was said. */
static void look_at (sim_cursor_t *cursor, uint64_t epoch)
{
    if (cursor->log_epoch == epoch)
        return;
    cursor->log_epoch = epoch;
    cursor->seq = 0;
    cursor->is_bridged = false;
}

void sim_reader_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event)
{
    tide_cursor_t record;
    for (unsigned at = 0; at < SIM_CURSORS; at++) {
        sim_cursor_t *cursor = &sim->cursors[at];
        if (!tide_bytes_is (event->topic, topics[at]) || event->payload.size == 0)
            continue;
        if (!tide_cursor_of (event, &record)) {
            sim_fail (sim, "G5", "what is written of cursor %s is none", names[at]);
            return;
        }
        look_at (cursor, disk->epoch);
        sim->stats.cursor_writes++;
        cursor->is_bridged = record.epoch != disk->epoch;
        if (cursor->is_bridged)
            continue;
        uint64_t said = disk->said[at];
        if (record.seq > said && record.seq > cursor->seq)
            sim_fail (sim, "G5", "cursor %s stands at %llu, and %llu was acknowledged", names[at],
                      (unsigned long long) record.seq, (unsigned long long) said);
        else if (record.seq < cursor->seq && !disk->has_damage)
            sim_fail (sim, "G5", "cursor %s goes back from %llu to %llu", names[at],
                      (unsigned long long) cursor->seq, (unsigned long long) record.seq);
        cursor->seq = record.seq;
    }
}

/*  -- what is said ---------------------------------------------------------------------------- */

static void subscribe (sim_t *sim, sim_client_t *client)
{
    sim_reader_t *reader = &client->reader;
    sim_cursor_t *cursor = cursor_of (sim, client);
    look_at (cursor, sim->disk->epoch);
    reader->asked_id = ++client->last_id;
    reader->has_begun = reader->is_in && reader->has_begun; /* it goes on until it is taken again */
    reader->low_epoch = cursor->is_bridged || sim->disk->has_damage ? 0 : sim->disk->epoch;
    reader->low = cursor->seq;
    sim_note (sim, "client %u reads %s by %s, which stands at %llu", client->number,
              sim_patterns[pattern_of (client)], names[reader->cursor],
              (unsigned long long) cursor->seq);
    sim_say (sim, client, "sub",
             json_pack ("{s:s,s:s,s:s}", "topic", sim_patterns[pattern_of (client)], "cursor",
                        names[reader->cursor], "since", "start"),
             reader->asked_id);
}

static void acknowledge (sim_t *sim, sim_client_t *client)
{
    sim_reader_t *reader = &client->reader;
    if (!reader->has_begun || reader->last == 0 || reader->is_lost)
        return;
    uint64_t seq = sim_chance (sim, 70) ? reader->last : 1 + sim_random (sim, reader->last);
    char position[64];
    sim_position_text (position, client->epoch, seq);
    sim_disk_t *disk = sim_disk_find (sim, client->epoch);
    if (disk && seq > disk->said[reader->cursor])
        disk->said[reader->cursor] = seq;
    sim->stats.cursor_acks++;
    sim_note (sim, "client %u acknowledges %llu", client->number, (unsigned long long) seq);
    sim_say (sim, client, "ack",
             json_pack ("{s:s,s:s}", "cursor", names[reader->cursor], "seq", position), 0);
}

void sim_reader_act (sim_t *sim, sim_client_t *client)
{
    sim_reader_t *reader = &client->reader;
    unsigned dice = (unsigned) sim_random (sim, 100);
    if (dice < 4)
        sim_client_cut (sim, client);
    else if (dice < 6)
        client->deaf_until_ms = sim->now_ms + sim_random (sim, 6000);
    else if (dice < 60)
        acknowledge (sim, client);
    else if (dice < (reader->is_lost ? 80 : 63) && reader->is_in && reader->asked_id == 0)
        subscribe (sim, client);
}

bool sim_reader_is_due (const sim_client_t *client)
{
    const sim_reader_t *reader = &client->reader;
    return reader->is_on && client->state == SIM_OPEN && !reader->is_in && reader->asked_id == 0;
}

void sim_reader_tick (sim_t *sim, sim_client_t *client)
{
    sim_reader_t *reader = &client->reader;
    if (!sim_reader_is_due (client) || reader->try_at_ms > sim->now_ms)
        return;
    reader->try_at_ms = sim->now_ms + 500;
    subscribe (sim, client);
}

/*  -- what is heard --------------------------------------------------------------------------- */

/*  Who was cut before the answer has not joined, though its session may say so: it begins anew. */
void sim_reader_dropped (sim_client_t *client)
{
    sim_reader_t *reader = &client->reader;
    reader->was_in = reader->is_in && reader->asked_id == 0;
    if (reader->is_on && !reader->was_in)
        client->pid[0] = 0;
    reader->is_in = reader->is_lost = false;
    reader->asked_id = reader->try_at_ms = 0;
}

/*  A session that is resumed reads on where it was, if the join had been answered. */
void sim_reader_opened (sim_t *sim, sim_client_t *client, const char *sid, const char *pid,
                        bool is_resumed, uint64_t epoch)
{
    sim_reader_t *reader = &client->reader;
    reader->is_in = is_resumed && reader->was_in;
    sim->stats.resumes += is_resumed;
    if (reader->is_in)
        return;
    reader->has_begun = reader->owes_reset = false;
    reader->last = client->position = 0;
    client->epoch = epoch;
    if (is_resumed)
        return;
    snprintf (client->pid, sizeof client->pid, "%s", pid ? pid : "");
    snprintf (client->sid, sizeof client->sid, "%s", sid ? sid : "");
}

static void set_last (sim_client_t *client, uint64_t seq)
{
    client->reader.last = client->position = seq;
}

/*  Nothing that it must get lies behind `since` and before seq; what may be lost is owed a reset.
 */
static void check_gap (sim_t *sim, sim_client_t *client, const sim_disk_t *disk, uint64_t since,
                       uint64_t seq, const char *what)
{
    sim_reader_t *reader = &client->reader;
    uint64_t missed = seq > 0 ? sim_check_next (disk, pattern_of (client), since, seq - 1) : 0;
    if (missed == 0 || reader->owes_reset)
        return;
    if (reader->has_begun && sim_disk_may_be_lost (sim, disk, missed))
        reader->owes_reset = true;
    else
        sim_fail (sim, "G5", "client %u, by cursor %s, %s %llu without %llu, behind %llu",
                  client->number, names[reader->cursor], what, (unsigned long long) seq,
                  (unsigned long long) missed, (unsigned long long) since);
}

/*  The first event that a subscription brings, or that there is none up to seq. */
static void begin_at (sim_t *sim, sim_client_t *client, const sim_disk_t *disk, uint64_t seq,
                      const char *what)
{
    sim_reader_t *reader = &client->reader;
    reader->has_begun = false;
    check_gap (sim, client, disk, disk->said[reader->cursor], seq, what);
    reader->has_begun = true;
}

/*  It goes on behind what it has. While the cursor is taken again, it may instead begin behind what
 *  another reader has acknowledged meanwhile. */
static void go_on_at (sim_t *sim, sim_client_t *client, const sim_disk_t *disk, uint64_t seq,
                      bool is_asked, const char *what)
{
    uint64_t since = client->reader.last, said = disk->said[client->reader.cursor];
    check_gap (sim, client, disk, is_asked && said > since ? said : since, seq, what);
}

/*  The log that the event is of: the one that it knows, or a later one that it has not heard of. */
static const sim_disk_t *disk_of (sim_t *sim, const sim_client_t *client, uint64_t n, uint64_t seq)
{
    const uint64_t epochs[] = {client->epoch, sim->disk->epoch};
    for (unsigned at = 0; at < 2; at++) {
        const sim_disk_t *disk = epochs[at] ? sim_disk_find (sim, epochs[at]) : NULL;
        const sim_record_t *record = disk ? sim_disk_record (disk, seq) : NULL;
        if (record && record->n == n)
            return disk;
    }
    for (const sim_disk_t *disk = sim->disk; disk; disk = disk->older)
        if (sim_disk_record (disk, seq) && sim_disk_record (disk, seq)->n == n)
            return disk;
    return NULL;
}

void sim_reader_event (sim_t *sim, sim_client_t *client, uint64_t n, uint64_t seq)
{
    sim_reader_t *reader = &client->reader;
    const sim_disk_t *disk = disk_of (sim, client, n, seq);
    sim->stats.cursor_events++;
    if (!disk) {
        sim_fail (sim, "G3", "client %u gets e%llu at %llu, where it is not", client->number,
                  (unsigned long long) n, (unsigned long long) seq);
        return;
    }
    bool is_first = !reader->has_begun || (reader->asked_id != 0 && seq <= reader->last);
    if (reader->has_begun && disk->epoch != client->epoch && !is_first) {
        sim_fail (sim, "G8", "client %u goes on in another log without a reset", client->number);
        return;
    }
    client->epoch = disk->epoch;
    if (is_first && reader->low_epoch == disk->epoch && seq <= reader->low)
        sim_fail (sim, "G5", "client %u gets %llu again, and cursor %s stood at %llu",
                  client->number, (unsigned long long) seq, names[reader->cursor],
                  (unsigned long long) reader->low);
    else if (is_first)
        begin_at (sim, client, disk, seq, "begins at");
    else if (seq <= reader->last)
        sim_fail (sim, "G1", "client %u, at %llu, gets %llu", client->number,
                  (unsigned long long) reader->last, (unsigned long long) seq);
    else
        go_on_at (sim, client, disk, seq, reader->asked_id != 0, "gets");
    set_last (client, seq);
}

void sim_reader_reset (sim_t *sim, sim_client_t *client, const json_t *object, uint64_t epoch,
                       uint64_t seq)
{
    sim_reader_t *reader = &client->reader;
    if (json_is_true (json_object_get (object, "more")))
        return;
    sim->stats.resets++;
    sim_note (sim, "client %u is reset at %llu", client->number, (unsigned long long) seq);
    reader->owes_reset = false;
    reader->has_begun = true;
    client->epoch = epoch;
    set_last (client, seq);
}

static void answered (sim_t *sim, sim_client_t *client, bool ok, const json_t *answer,
                      uint64_t epoch, uint64_t seq)
{
    sim_reader_t *reader = &client->reader;
    const char *code = json_string_value (json_object_get (answer, "code"));
    const sim_disk_t *disk = sim_disk_find (sim, epoch);
    reader->asked_id = 0;
    if (!ok) {
        sim_note (sim, "client %u: reading by %s fails, %s", client->number, names[reader->cursor],
                  code);
        if (!code || strcmp (code, "bad_request") == 0)
            sim_fail (sim, "live", "client %u: reading by a cursor fails with %s", client->number,
                      code);
        /*  Whether it is still in the topic it cannot know: it begins anew. */
        bool may_be_in = reader->is_in;
        reader->is_in = reader->has_begun = false;
        if (may_be_in)
            sim_client_cut (sim, client);
        return;
    }
    if (!disk) {
        sim_fail (sim, "G8", "client %u reads in an unknown log", client->number);
        return;
    }
    if (reader->has_begun && client->epoch == epoch)
        go_on_at (sim, client, disk, seq + 1, true, "joins at");
    else
        begin_at (sim, client, disk, seq + 1, "joins at");
    reader->is_in = true;
    reader->is_lost = false;
    client->epoch = epoch;
    if (seq > reader->last)
        set_last (client, seq);
    sim_note (sim, "client %u has joined at %llu", client->number, (unsigned long long) seq);
}

void sim_reader_answer (sim_t *sim, sim_client_t *client, uint64_t id, bool ok,
                        const json_t *answer, uint64_t epoch, uint64_t seq)
{
    sim_reader_t *reader = &client->reader;
    const char *code = json_string_value (json_object_get (answer, "code"));
    if (id != 0 && id == reader->asked_id)
        answered (sim, client, ok, answer, epoch, seq);
    else if (ok || id != 0 || !code)
        sim_fail (sim, "live", "client %u: an answer that it did not ask for", client->number);
    else if (strcmp (code, "conflict") == 0 || strcmp (code, "not_found") == 0) {
        sim->stats.cursor_losses++;
        reader->is_lost = true;
    }
    else if (strcmp (code, "epoch_changed") != 0)
        sim_fail (sim, "live", "client %u: an acknowledgement fails with %s: %s", client->number,
                  code, json_string_value (json_object_get (answer, "message")));
}

/*  -- the end --------------------------------------------------------------------------------- */

bool sim_reader_is_settled (const sim_t *sim, const sim_client_t *client, char why[200])
{
    const sim_reader_t *reader = &client->reader;
    uint64_t next =
        sim_check_next (sim->disk, patterns[reader->cursor], reader->last, sim->disk->count);
    bool is_settled = client->state == SIM_OPEN && reader->is_in && reader->asked_id == 0
                      && client->epoch == sim->disk->epoch && next == 0 && !reader->owes_reset;
    snprintf (why, 200, "by cursor %s: state %d, in %d, position %llx:%llu, has not got %llu%s",
              names[reader->cursor], client->state, reader->is_in,
              (unsigned long long) client->epoch, (unsigned long long) reader->last,
              (unsigned long long) next, reader->owes_reset ? ", no reset came" : "");
    return is_settled;
}
