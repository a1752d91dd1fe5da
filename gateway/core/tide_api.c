/*  tide_api.c - the HTTP API: what a request means.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_client_engineio.h"
#include "tide_neighbours.h"
#include "tide_op.h"
#include "tide_ops.h"
#include "tide_presence.h"
#include "tide_reply.h"

#include "tide_http.h"

#include <stdlib.h>
#include <string.h>

/*  -- the API --------------------------------------------------------------------------------- */

static void api_publish (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply)
{
    const char *why;
    json_t *json = tide_json_parse (request->body, &why);
    if (!json)
        tide_reply_fail (hub, reply, TIDE_BAD_JSON, why);
    else if (!json_is_object (json) && !json_is_array (json))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "the body is an object or an array of them");
    else
        tide_op_publish (hub, NULL, json, "id", NULL, reply);
    json_decref (json);
}

static void api_snapshot (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply)
{
    tide_buffer_t topic = {0};
    tide_query_get (request->query, "topic", 0, &topic);
    tide_op_snapshot (hub, tide_buffer_bytes (&topic), reply);
    tide_buffer_free (&topic);
}

/*  A number in a query: false if there is one that is none. */
static bool query_number (tide_bytes_t query, const char *name, uint64_t *value)
{
    tide_buffer_t text = {0};
    uint64_t epoch = 0;
    bool good = true;
    if (tide_query_get (query, name, 0, &text))
        good = tide_position_parse (tide_buffer_bytes (&text), &epoch, value) && epoch == 0;
    tide_buffer_free (&text);
    return good;
}

/*  The position to read on from: `since` as a number, epoch:seq or "start", and maybe `epoch`. */
static bool query_since (tide_bytes_t query, uint64_t *epoch, uint64_t *seq)
{
    tide_buffer_t text = {0};
    bool good = true;
    if (tide_query_get (query, "since", 0, &text)
        && !tide_bytes_is (tide_buffer_bytes (&text), "start"))
        good = tide_position_parse (tide_buffer_bytes (&text), epoch, seq);
    if (good && *epoch == 0 && tide_query_get (query, "epoch", 0, &text))
        good = tide_epoch_parse (tide_buffer_bytes (&text), epoch);
    tide_buffer_free (&text);
    return good;
}

static void api_history (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply)
{
    uint64_t epoch = 0, since = 0, limit = 100;
    tide_buffer_t topic = {0};
    tide_query_get (request->query, "topic", 0, &topic);
    if (!query_since (request->query, &epoch, &since))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "since is a sequence or epoch:seq");
    else if (!query_number (request->query, "limit", &limit))
        tide_reply_fail (hub, reply, TIDE_BAD_REQUEST, "limit is a number from 1 to 1000");
    else
        tide_op_history (hub, tide_buffer_bytes (&topic), epoch, since, limit, reply);
    tide_buffer_free (&topic);
}

static void api_topics (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply)
{
    (void) request;
    tide_op_topics (hub, reply);
}

static void api_presence (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply)
{
    tide_buffer_t topic = {0};
    tide_query_get (request->query, "topic", 0, &topic);
    tide_presence_list (hub, tide_buffer_bytes (&topic), reply);
    tide_buffer_free (&topic);
}

/*  -- metrics --------------------------------------------------------------------------------- */

static void append_metric (tide_buffer_t *out, const char *name, uint64_t value)
{
    tide_buffer_printf (out, "%s %llu\n", name, (unsigned long long) value);
}

/*  What clients have not taken of their answers. */
static uint64_t outbox_bytes (const tide_hub_t *hub)
{
    uint64_t bytes = 0;
    const tide_connection_t *connection;
    DL_FOREACH (hub->connections, connection)
        bytes += connection->outbox.size;
    return bytes;
}

static void append_hub_metrics (tide_hub_t *hub, tide_buffer_t *out)
{
    const tide_hub_counters_t *c = &hub->counters;
    const struct {
        const char *name;
        uint64_t value;
    } metrics[] = {
        {"tidemark_gateway_connections", c->connections},
        {"tidemark_gateway_sessions", c->sessions},
        {"tidemark_gateway_sessions_opened_total", c->opened},
        {"tidemark_gateway_sessions_recovered_total", c->recovered},
        {"tidemark_gateway_resumes_refused_total", c->refused_resumes},
        {"tidemark_gateway_take_overs_total", c->take_overs},
        {"tidemark_gateway_deliveries_total", c->deliveries},
        {"tidemark_gateway_writes_total", c->writes},
        {"tidemark_gateway_write_bytes_total", c->write_bytes},
        {"tidemark_gateway_pages", HASH_COUNT (hub->pages)},
        {"tidemark_gateway_pages_read_total", c->pages},
        {"tidemark_gateway_page_waits_total", c->page_waits},
        {"tidemark_gateway_catch_ups_total", c->catch_ups},
        {"tidemark_gateway_resets_total", c->resets},
        {"tidemark_gateway_joins_total", c->joins},
        {"tidemark_gateway_topics", HASH_COUNT (hub->channels)},
        {"tidemark_gateway_publishes_total", c->publishes},
        {"tidemark_gateway_publish_failures_total", c->publish_failures},
        {"tidemark_gateway_errors_told_total", c->requests},
        {"tidemark_gateway_protocol_errors_total", c->parse_errors},
        {"tidemark_gateway_upgrades_total", c->upgrades},
        {"tidemark_gateway_relayed_total", c->relayed},
        {"tidemark_gateway_polls_forwarded", c->forwards},
        {"tidemark_gateway_polls_held", HASH_COUNT (hub->held)},
        {"tidemark_gateway_polls_refused_total", c->refused_requests},
        {"tidemark_gateway_ping_timeouts_total", c->ping_timeouts},
        {"tidemark_gateway_connect_timeouts_total", c->connect_timeouts},
        {"tidemark_gateway_request_timeouts_total", c->timeouts},
        {"tidemark_gateway_calls_total", c->calls},
        {"tidemark_gateway_call_failures_total", c->call_failures},
        {"tidemark_gateway_call_replies_total", c->call_replies},
        {"tidemark_gateway_cursors", c->cursors},
        {"tidemark_gateway_cursor_acks_total", c->cursor_acks},
        {"tidemark_gateway_cursor_writes_total", c->cursor_writes},
        {"tidemark_gateway_cursors_lost_total", c->cursor_losses},
        {"tidemark_gateway_ignored_events_total", c->ignored_events},
        {"tidemark_gateway_volatile_dropped_total", c->volatile_dropped},
        {"tidemark_gateway_paused_total", c->paused},
        {"tidemark_gateway_tape_events_total", c->tape_events},
        {"tidemark_gateway_wire_forms_made_total", c->forms_made},
        {"tidemark_gateway_outbox_bytes", outbox_bytes (hub)},
        {"tidemark_gateway_released_sessions", hub->released_count},
        {"tidemark_gateway_released_presence", hub->absent_count},
        {"tidemark_gateway_presence_entered_total", c->presence_entered},
        {"tidemark_gateway_presence_mended_total", c->presence_mended},
        {"tidemark_gateway_releases_dropped_total", c->releases_dropped},
        {"tidemark_gateway_snapshots_gathering", hub->gathering},
        {"tidemark_gateway_request_bytes_pending", hub->ops_size},
    };
    for (size_t at = 0; at < sizeof metrics / sizeof metrics[0]; at++)
        append_metric (out, metrics[at].name, metrics[at].value);
}

static void append_reader_metrics (tide_hub_t *hub, tide_buffer_t *out)
{
    tide_feed_counters_t feed = tide_feed_counters (hub->feed);
    tide_link_counters_t link = tide_link_counters (hub->link);
    const struct {
        const char *name;
        uint64_t value;
    } metrics[] = {
        {"tidemark_feed_watermark", tide_feed_watermark (hub->feed)},
        {"tidemark_feed_events_total", feed.events},
        {"tidemark_feed_repeats_total", feed.repeats},
        {"tidemark_feed_mended_total", feed.mended},
        {"tidemark_feed_gaps_total", feed.gaps},
        {"tidemark_feed_marks_read_total", feed.marks_read},
        {"tidemark_feed_malformed_total", feed.malformed},
        {"tidemark_feed_volatiles_total", feed.volatiles},
        {"tidemark_feed_volatiles_late_total", feed.volatiles_late},
        {"tidemark_feed_held", feed.held},
        {"tidemark_feed_overflows_total", feed.overflows},
        {"tidemark_link_up", tide_link_is_up (hub->link)},
        {"tidemark_link_pending", tide_link_pending (hub->link)},
        {"tidemark_link_requests_total", link.requests},
        {"tidemark_link_answers_total", link.answers},
        {"tidemark_link_repeats_total", link.repeats},
        {"tidemark_link_welcomes_total", link.welcomes},
        {"tidemark_link_aways_total", link.aways},
        {"tidemark_link_malformed_total", link.malformed},
        {"tidemark_link_stray_total", link.stray},
    };
    for (size_t at = 0; at < sizeof metrics / sizeof metrics[0]; at++)
        append_metric (out, metrics[at].name, metrics[at].value);
    for (const tide_stat_entry_t *stat = hub->stats; stat; stat = stat->next)
        append_metric (out, stat->name, *stat->value);
}

/*  Ours, then the broker's, if it answers. */
static void metrics_came (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    tide_buffer_t text = {0};
    append_hub_metrics (hub, &text);
    append_reader_metrics (hub, &text);
    if (answer && answer->kind == TIDE_MESSAGE_STATS) {
        tide_list_t stats = answer->stats.stats;
        tide_stat_t stat;
        while (tide_stat_next (&stats, &stat))
            tide_buffer_printf (&text, "%.*s %llu\n", TIDE_PRINT (stat.name),
                                (unsigned long long) stat.value);
    }
    tide_hub_respond (hub, op->reply.ticket, 200, "text/plain; version=0.0.4; charset=utf-8",
                      tide_buffer_bytes (&text));
    tide_buffer_free (&text);
}

void tide_op_metrics (tide_hub_t *hub, uint64_t ticket)
{
    tide_op_t *op = NULL;
    if (tide_link_is_up (hub->link))
        op = tide_op_send (hub, &(tide_message_t){.kind = TIDE_MESSAGE_STATS_READ}, metrics_came,
                           NULL);
    if (op)
        op->reply.ticket = ticket;
    else
        metrics_came (hub, &(tide_op_t){.reply.ticket = ticket}, NULL);
}

/*  -- requests -------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    const char *method;
    void (*handle) (tide_hub_t *hub, const tide_http_request_t *request, tide_reply_t *reply);
} routes[] = {
    {"/api/v1/publish", "POST", api_publish},  {"/api/v1/snapshot", "GET", api_snapshot},
    {"/api/v1/history", "GET", api_history},   {"/api/v1/topics", "GET", api_topics},
    {"/api/v1/presence", "GET", api_presence},
};

static void route (tide_hub_t *hub, const tide_http_request_t *request, uint64_t ticket)
{
    for (size_t at = 0; at < sizeof routes / sizeof routes[0]; at++) {
        if (!tide_bytes_is (request->path, routes[at].path))
            continue;
        tide_reply_t reply = {.kind = TIDE_REPLY_HTTP, .ticket = ticket};
        if (!tide_bytes_is (request->method, routes[at].method))
            tide_hub_respond_error (hub, ticket, 405, TIDE_BAD_REQUEST,
                                    "this method is not served here");
        else if (!tide_query_is_valid (request->query))
            tide_reply_fail (hub, &reply, TIDE_BAD_REQUEST, "the query has a malformed % escape");
        else
            routes[at].handle (hub, request, &reply);
        tide_reply_free (&reply);
        return;
    }
    tide_hub_respond_error (hub, ticket, 404, TIDE_NOT_FOUND, "there is nothing at this path");
}

uint64_t tide_hub_request (tide_hub_t *self, uint64_t now_ms, const tide_http_request_t *request)
{
    self->now_ms = now_ms;
    uint64_t ticket = ++self->ticket;
    if (tide_bytes_is (request->path, "/healthz"))
        tide_hub_respond (self, ticket, 200, "text/plain; charset=utf-8", tide_bytes ("ok\n"));
    else if (tide_bytes_is (request->path, "/readyz")) {
        if (tide_hub_is_ready (self))
            tide_hub_respond (self, ticket, 200, "text/plain; charset=utf-8",
                              tide_bytes ("ready\n"));
        else
            tide_hub_respond_error (
                self, ticket, 503, self->is_stopping ? TIDE_SHUTTING_DOWN : TIDE_BROKER_AWAY, NULL);
    }
    else if (tide_bytes_is (request->path, "/metrics"))
        tide_op_metrics (self, ticket);
    else
        route (self, request, ticket);
    return ticket;
}

void tide_hub_abandon (tide_hub_t *self, uint64_t ticket)
{
    if (tide_engine_abandon (self, ticket) || tide_neighbour_abandon (self, ticket))
        return;
    tide_op_t *op, *next;
    HASH_ITER (hh, self->ops, op, next)
        if (op->reply.ticket == ticket)
            op->reply.kind = TIDE_REPLY_NONE;
    tide_queued_t *queued;
    DL_FOREACH (self->queue, queued)
        if (queued->action.kind == TIDE_HUB_RESPOND && queued->action.ticket == ticket)
            queued->action.ticket = 0;
}
