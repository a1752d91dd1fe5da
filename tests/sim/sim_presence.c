/*  sim_presence.c - who is present: what stands in $presence/TOPIC is who is there.
 *
 *  The log says who stands; what clients asked for and were answered says who should. What stands
 *  may lag behind as long as leases and lingering last: at the end it may not. Nobody is removed
 *  who does not stand, and nobody is entered who never asked for it.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "$presence/"

/*  -- what clients say ------------------------------------------------------------------------ */

/*  It joins the topic, and says whether it is present there, or nothing. */
void sim_presence_ask (sim_t *sim, sim_client_t *client, unsigned pattern, json_t *object)
{
    sim_topic_t *topic = &client->topics[pattern];
    topic->wish = SIM_WISH_NOTHING;
    if (!sim->presence.is_on || pattern >= SIM_TOPICS || !sim_chance (sim, 70))
        return;
    topic->wish = sim_chance (sim, 80) ? SIM_WISH_PRESENT : SIM_WISH_ABSENT;
    if (topic->wish == SIM_WISH_ABSENT)
        json_object_set_new (object, "present", json_false ());
    else if (!client->is_anonymous && sim_chance (sim, 50))
        json_object_set_new (object, "present", json_true ());
    else
        json_object_set_new (object, "present",
                             json_pack ("{s:I,s:i}", "who", (json_int_t) client->who, "mood",
                                        (int) sim_random (sim, 3)));
    topic->may_be_present = topic->may_be_present || topic->wish == SIM_WISH_PRESENT;
}

void sim_presence_joined (sim_topic_t *topic)
{
    if (topic->wish != SIM_WISH_NOTHING)
        topic->may_be_present = topic->is_present = topic->wish == SIM_WISH_PRESENT;
    topic->wish = SIM_WISH_NOTHING;
}

void sim_presence_anew (sim_topic_t *topic)
{
    if (topic->state != SIM_IN)
        topic->is_present = false;
    /*  What the client asks for itself is not over with that. */
    if (topic->state == SIM_OUT && !topic->is_joining)
        topic->may_be_present = false;
}

/*  Its join has no answer, or none that says what became of it. */
void sim_presence_unsure (sim_topic_t *topic)
{
    if (topic->wish != SIM_WISH_NOTHING)
        topic->is_present = false;
    topic->wish = SIM_WISH_NOTHING;
}

void sim_presence_left (sim_topic_t *topic)
{
    topic->is_present = topic->may_be_present = false;
    topic->wish = SIM_WISH_NOTHING;
}

/*  -- what the log says ----------------------------------------------------------------------- */

static sim_standing_t *require (sim_presence_t *self, uint64_t epoch, unsigned topic,
                                tide_bytes_t sid)
{
    for (size_t at = self->count; at > 0; at--) {
        sim_standing_t *one = &self->standing[at - 1];
        if (one->epoch == epoch && one->topic == topic && tide_bytes_is (sid, one->sid))
            return one;
    }
    self->standing = tide_realloc (self->standing, (self->count + 1) * sizeof *self->standing);
    sim_standing_t *one = &self->standing[self->count++];
    *one = (sim_standing_t){.epoch = epoch, .topic = topic};
    snprintf (one->sid, sizeof one->sid, "%.*s", TIDE_PRINT (sid));
    return one;
}

static unsigned topic_of (const tide_event_t *event)
{
    size_t prefix = strlen (PREFIX);
    if (event->topic.size <= prefix || memcmp (event->topic.data, PREFIX, prefix) != 0)
        return SIM_TOPICS;
    tide_bytes_t name = {event->topic.data + prefix, event->topic.size - prefix};
    unsigned topic = 0;
    while (topic < SIM_TOPICS && !tide_bytes_is (name, sim_patterns[topic]))
        topic++;
    return topic;
}

/*  One that is not told its sid has it from here. */
static void recognise (sim_t *sim, const tide_event_t *event)
{
    tide_args_t args;
    json_t *json = tide_args_decode (event->payload, &args) == TIDE_OK
                       ? json_loadb ((const char *) args.json.data, args.json.size, 0, NULL)
                       : NULL;
    uint64_t who =
        (uint64_t) json_integer_value (json_object_get (json_object_get (json, "data"), "who"));
    for (unsigned at = 0; at < sim->client_count && who > 0; at++)
        if (sim->clients[at].is_anonymous && sim->clients[at].who == who)
            snprintf (sim->clients[at].sid, sizeof sim->clients[at].sid, "%.*s",
                      TIDE_PRINT (event->key));
    json_decref (json);
}

/*  What removes it is said again, so late that the broker need not know that it was said. */
static bool is_forgotten (const sim_t *sim, const sim_disk_t *disk, const sim_standing_t *one,
                          const tide_event_t *event)
{
    const sim_record_t *before = sim_disk_record (disk, one->gone);
    bool is_known = before && disk->count - one->gone < sim->config.dedupe_ids
                    && before->event.time_ms + sim->config.retain_ms > sim->now_ms + 1000;
    return event->id.size > 0 && tide_bytes_is (event->id, one->gone_id) && !is_known;
}

bool sim_presence_durable (sim_t *sim, const sim_disk_t *disk, const tide_event_t *event,
                           uint64_t seq)
{
    unsigned topic = topic_of (event);
    if (topic == SIM_TOPICS)
        return false;
    sim_standing_t *one = require (&sim->presence, disk->epoch, topic, event->key);
    bool enters = event->payload.size > 0;
    if (!enters && one->seq == 0 && !is_forgotten (sim, disk, one, event))
        sim_fail (sim, "G5", "at %llu %s is gone from %s, and was not there",
                  (unsigned long long) seq, one->sid, sim_patterns[topic]);
    sim_note (sim, "%s %s %s at %llu", one->sid, enters ? "stands in" : "is gone from",
              sim_patterns[topic], (unsigned long long) seq);
    sim->stats.present += enters && one->seq == 0;
    sim->stats.absent += !enters;
    one->seq = enters ? seq : 0;
    one->gone = enters ? 0 : seq;
    one->is_late = enters && event->time_ms + sim->config.retain_ms <= sim->now_ms + 1000;
    snprintf (one->gone_id, sizeof one->gone_id, "%.*s", TIDE_PRINT (event->id));
    if (enters)
        recognise (sim, event);
    return true;
}

/*  -- the end --------------------------------------------------------------------------------- */

static bool is_there (const sim_client_t *client)
{
    return !client->is_dead && client->state == SIM_OPEN && client->sid[0] != 0;
}

/*  A connection of the session that may be present in the topic; or why there is none. A session
 *  may have two, of which only it knows which is the later one. A lane that has to say again that
 *  somebody is there, behind a broker that does not know any more that it was said, is told of a
 *  conflict, as if another one had the session: then it stands for as long as the lane lives. */
static const char *why_not (const sim_t *sim, const sim_standing_t *one)
{
    const char *why = one->is_late ? NULL : "is not there, but stands in";
    for (unsigned at = 0; at < SIM_CLIENTS_MAX; at++) {
        const sim_client_t *client = &sim->clients[at];
        const sim_topic_t *topic = &client->topics[one->topic];
        if (!is_there (client) || strcmp (client->sid, one->sid) != 0)
            continue;
        if (topic->state != SIM_OUT && topic->may_be_present && topic->left == 0)
            return NULL;
        why =
            topic->left > 0 ? "was made to leave, but stands in" : "is not present, but stands in";
    }
    return why;
}

static bool stands (const sim_t *sim, unsigned topic, const char *sid)
{
    for (size_t at = sim->presence.count; at > 0; at--) {
        const sim_standing_t *one = &sim->presence.standing[at - 1];
        if (one->epoch == sim->disk->epoch && one->topic == topic && strcmp (one->sid, sid) == 0)
            return one->seq > 0;
    }
    return false;
}

static bool fail (sim_t *sim, bool say, const char *sid, unsigned topic, const char *what)
{
    if (say)
        sim_fail (sim, "G5", "at the end, %s %s %s", sid, what, sim_patterns[topic]);
    return false;
}

bool sim_presence_settled (sim_t *sim, bool say)
{
    const sim_presence_t *self = &sim->presence;
    for (size_t at = 0; at < self->count; at++) {
        const sim_standing_t *one = &self->standing[at];
        if (one->epoch != sim->disk->epoch || one->seq == 0)
            continue;
        const char *why = why_not (sim, one);
        if (why)
            return fail (sim, say, one->sid, one->topic, why);
    }
    for (unsigned at = 0; at < sim->client_count && self->is_on; at++) {
        const sim_client_t *client = &sim->clients[at];
        bool is_sure = is_there (client) && !client->ghost;
        for (unsigned topic = 0; topic < SIM_TOPICS && is_sure; topic++)
            if (client->topics[topic].is_present && client->topics[topic].state == SIM_IN
                && client->topics[topic].left == 0 /* it has left, and heard nothing since */
                && !stands (sim, topic, client->sid))
                return fail (sim, say, client->sid, topic, "is present, but does not stand in");
    }
    return true;
}
