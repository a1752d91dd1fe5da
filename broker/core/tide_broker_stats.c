/*  tide_broker_stats.c - the broker's counters, as they appear on /metrics.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker.h"

#include "tide_alloc.h"
#include "tide_broker_parts.h"
#include "tide_services.h"

#include <stdio.h>
#include <string.h>

/*  Records that are being listed. */
typedef struct {
    tide_buffer_t list;
    uint32_t count;
} stats_t;

static void add (stats_t *stats, const char *name, uint64_t value)
{
    tide_stat_append (&stats->list, &(tide_stat_t){tide_bytes (name), value});
    stats->count++;
}

static void add_counters (stats_t *stats, const tide_counters_t *counters)
{
#define X(name, doc) add (stats, "tidemark_broker_" #name "_total", counters->name);
    TIDE_COUNTERS (X)
#undef X
    for (unsigned code = 1; code < TIDE_STATUS_COUNT; code++) {
        char name[96];
        snprintf (name, sizeof name, "tidemark_broker_refused_total{code=\"%s\"}",
                  tide_status_name ((tide_status_t) code));
        add (stats, name, counters->refused[code]);
    }
}

static void add_classes (stats_t *stats, const tide_core_t *core)
{
    static const char *const labels[TIDE_CLASSES] = {"clients", "system", "rooms"};
    for (unsigned at = 0; at < TIDE_CLASSES; at++) {
        const tide_index_class_t *class = tide_index_class (core->index, at);
        const struct {
            const char *name;
            uint64_t value;
        } values[] = {
            {"history_events", class->events},
            {"history_bytes", class->bytes},
            {"trimmed_to", class->cut},
            {"trimmed_total", class->trimmed},
            {"ids", tide_ids_count (core->ids[at])},
        };
        for (size_t value = 0; value < sizeof values / sizeof values[0]; value++) {
            char name[96];
            snprintf (name, sizeof name, "tidemark_broker_%s{class=\"%s\"}", values[value].name,
                      labels[at]);
            add (stats, name, values[value].value);
        }
    }
}

static void add_calls (stats_t *stats, tide_dispatch_counts_t counts)
{
    add (stats, "tidemark_broker_services", counts.services);
    add (stats, "tidemark_broker_handlers", counts.handlers);
    add (stats, "tidemark_broker_workers", counts.workers);
    add (stats, "tidemark_broker_open_calls{state=\"waiting\"}", counts.waiting);
    add (stats, "tidemark_broker_open_calls{state=\"ready\"}", counts.ready);
    add (stats, "tidemark_broker_open_calls{state=\"lent\"}", counts.lent);
    add (stats, "tidemark_broker_open_calls{state=\"resting\"}", counts.resting);
    add (stats, "tidemark_broker_open_calls{state=\"ending\"}", counts.ending);
    add (stats, "tidemark_broker_open_call_bytes", counts.bytes);
}

/*  Of so many services at most, so that an answer stays one. */
enum { SERVICES_TOLD_MAX = 200 };

/*  A label's value, as Prometheus wants it; a service's name holds no newline. */
static void escape (const char *text, char escaped[2 * TIDE_SERVICE_SIZE_MAX + 1])
{
    size_t size = 0;
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            escaped[size++] = '\\';
        escaped[size++] = *text;
    }
    escaped[size] = 0;
}

static void add_service (stats_t *stats, const tide_service_counts_t *counts)
{
    const struct {
        const char *name, *state;
        uint64_t value;
    } values[] = {{"workers", "", counts->workers},
                  {"credit", "", counts->credit},
                  {"calls", ",state=\"in_hand\"", counts->in_hand},
                  {"calls", ",state=\"waiting\"", counts->waiting}};
    char service[2 * TIDE_SERVICE_SIZE_MAX + 1];
    escape (counts->name, service);
    for (size_t at = 0; at < sizeof values / sizeof values[0]; at++) {
        char name[TIDE_NAME_SIZE_MAX + 1];
        snprintf (name, sizeof name, "tidemark_broker_service_%s{service=\"%s\"%s}",
                  values[at].name, service, values[at].state);
        add (stats, name, values[at].value);
    }
}

static void add_services (stats_t *stats, tide_dispatch_t *dispatch)
{
    void *at = NULL;
    tide_service_counts_t counts;
    for (unsigned told = 0;
         told < SERVICES_TOLD_MAX && tide_dispatch_next_service (dispatch, &at, &counts); told++)
        add_service (stats, &counts);
}

static void add_groups (stats_t *stats, tide_groups_counts_t counts)
{
    add (stats, "tidemark_broker_groups", counts.groups);
    add (stats, "tidemark_broker_group_members", counts.members);
    add (stats, "tidemark_broker_group_read{state=\"waiting\"}", counts.waiting);
    add (stats, "tidemark_broker_group_read{state=\"lent\"}", counts.lent);
    add (stats, "tidemark_broker_group_read{state=\"resting\"}", counts.resting);
    add (stats, "tidemark_broker_group_read{state=\"dead\"}", counts.dead);
    add (stats, "tidemark_broker_group_read{state=\"acknowledged\"}", counts.acked);
    add (stats, "tidemark_broker_group_read_bytes", counts.bytes);
}

/*  The oldest sequence of the history; the next one if there is none. */
static uint64_t floor_of (const tide_core_t *core)
{
    uint32_t topic;
    uint64_t seq = tide_index_next_alive (core->index, 0, UINT64_MAX, &topic);
    return seq > 0 ? seq : core->head + 1;
}

static void add_gauges (stats_t *stats, const tide_broker_t *self)
{
    const tide_core_t *core = &self->core;
    tide_sequencer_counts_t sequencer = tide_sequencer_counts (self->sequencer);
    tide_leases_counts_t leases = tide_leases_counts (core->leases);
    add (stats, "tidemark_broker_head", core->head);
    add (stats, "tidemark_broker_floor", floor_of (core));
    add (stats, "tidemark_broker_marks_floor", tide_index_marks_floor (core->index));
    add (stats, "tidemark_broker_topics", tide_topics_count (tide_index_topics (core->index)));
    add (stats, "tidemark_broker_standing_keys", tide_keys_count (tide_index_keys (core->index)));
    add (stats, "tidemark_broker_segments", tide_index_segment_count (core->index));
    add (stats, "tidemark_broker_set_aside", tide_index_aside_count (core->index));
    add (stats, "tidemark_broker_gathered_events", sequencer.gathered);
    add (stats, "tidemark_broker_queued_publishes", sequencer.queued);
    add (stats, "tidemark_broker_queued_bytes", sequencer.queued_bytes);
    add (stats, "tidemark_broker_fetching", core->fetching);
    add (stats, "tidemark_broker_queued_reads", self->requests.count);
    add (stats, "tidemark_broker_snapshots", tide_snapshots_count (self->snapshots));
    add (stats, "tidemark_broker_peers", tide_peers_count (self->peers));
    add (stats, "tidemark_broker_leases", leases.leases);
    add (stats, "tidemark_broker_leased_keys", leases.held);
    add (stats, "tidemark_broker_lingering_keys", leases.lingering);
    add (stats, "tidemark_broker_leases_ended_total", leases.ended);
    add_calls (stats, tide_dispatch_counts (core->dispatch));
    add_services (stats, core->dispatch);
    add_groups (stats, tide_groups_counts (core->groups));
}

void tide_broker_send_stats (tide_broker_t *self, tide_bytes_t peer, uint64_t request)
{
    stats_t stats = {0};
    add_counters (&stats, &self->core.counters);
    add_classes (&stats, &self->core);
    add_gauges (&stats, self);
    for (size_t at = 0; at < self->stat_count; at++)
        add (&stats, self->stats[at].name, *self->stats[at].value);
    tide_message_t answer = {
        .kind = TIDE_MESSAGE_STATS,
        .stats = {.request = request, .stats = tide_list (&stats.list, stats.count)}};
    tide_outbox_send (&self->core.out, peer, &answer);
    tide_buffer_free (&stats.list);
}

void tide_broker_add_stat (tide_broker_t *self, const char *name, const uint64_t *value)
{
    tide_assert (strlen (name) <= TIDE_NAME_SIZE_MAX);
    self->stats = tide_realloc (self->stats, (self->stat_count + 1) * sizeof *self->stats);
    self->stats[self->stat_count++] = (tide_broker_stat_t){tide_copy (name, strlen (name)), value};
}
