/*  tide_watch_draw.c - what is known of a running system, as lines and tables.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_watch_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TOPICS_SHOWN = 200 }; /* at most, however high the terminal is */

/*  -- numbers --------------------------------------------------------------------------------- */

static tide_cell_t count_of (uint64_t value)
{
    return (tide_cell_t){TIDE_CELL_COUNT, (double) value};
}

static tide_cell_t rate_of (double value)
{
    return (tide_cell_t){TIDE_CELL_RATE, value};
}

/*  By how much the figure has risen in a second. */
static tide_cell_t rise_of (const tide_watch_t *self, unsigned figure)
{
    double seconds = (double) (self->taken_ms - self->before_ms) / 1000;
    if (self->rounds < 2 || seconds <= 0 || self->figures[figure] < self->before[figure])
        return (tide_cell_t){0};
    return rate_of ((double) (self->figures[figure] - self->before[figure]) / seconds);
}

/*  Appends text in which each % stands for the next of the numbers. */
static void put_line (tide_buffer_t *out, const char *format, const tide_cell_t *numbers)
{
    for (; *format; format++)
        if (*format == '%')
            tide_picture_number (out, *numbers++);
        else
            tide_buffer_append (out, format, 1);
    tide_put_u8 (out, 0);
}

/*  -- the lines above the tables -------------------------------------------------------------- */

enum { LINES = 3 };

typedef struct {
    uint64_t connections, behind, gateways;
} clients_t;

static void put_lines (const tide_watch_t *self, const char *broker, bool is_away,
                       const clients_t *clients, tide_buffer_t lines[LINES])
{
    tide_buffer_printf (&lines[0], "tidemark top   %s%s   epoch %016" PRIx64 "   head %" PRIu64,
                        is_away ? "THE BROKER IS AWAY   " : "", broker, self->epoch,
                        self->figures[HEAD]);
    tide_put_u8 (&lines[0], 0);
    put_line (&lines[1],
              "events     %/s   %B/s   commits %/s   volatile %/s   history % events, %B   keys %",
              (tide_cell_t[]){
                  rise_of (self, EVENTS), rise_of (self, EVENT_BYTES), rise_of (self, BATCHES),
                  rise_of (self, VOLATILES), count_of (self->figures[HISTORY]),
                  count_of (self->figures[HISTORY_BYTES]), count_of (self->figures[STANDING])});
    put_line (&lines[2],
              "clients    % at % gateways, % behind   workers %   calls %/s, % in hand, % waiting",
              (tide_cell_t[]){count_of (clients->connections), count_of (clients->gateways),
                              count_of (clients->behind), count_of (self->figures[WORKERS]),
                              rise_of (self, CALLS), count_of (self->figures[IN_HAND]),
                              count_of (self->figures[WAITING] + self->figures[READY]
                                        + self->figures[RESTING])});
}

/*  -- tables ---------------------------------------------------------------------------------- */

static int by_name (const void *one, const void *other)
{
    return strcmp ((*(tide_watch_lane_t *const *) one)->gateway,
                   (*(tide_watch_lane_t *const *) other)->gateway);
}

static void add_rate (tide_cell_t *cell, const tide_watch_lane_t *lane, uint64_t now,
                      uint64_t before)
{
    if (!lane->has_rates || now < before)
        return;
    cell->kind = TIDE_CELL_RATE;
    cell->value += (double) (now - before) * 1000 / (double) (lane->now.at - lane->before.at);
}

/*  One row for all lanes of a gateway. */
static tide_row_t *make_gateways (const tide_watch_t *self, size_t *count, clients_t *clients)
{
    size_t lanes = HASH_COUNT (self->lanes), at = 0;
    tide_watch_lane_t **list = tide_alloc ((lanes + 1) * sizeof (tide_watch_lane_t *));
    tide_row_t *rows = tide_alloc ((lanes + 1) * sizeof *rows);
    *count = 0;
    for (tide_watch_lane_t *lane = self->lanes; lane; lane = lane->hh.next)
        list[at++] = lane;
    qsort (list, lanes, sizeof list[0], by_name);
    for (at = 0; at < lanes; at++) {
        const tide_watch_lane_t *lane = list[at];
        if (at == 0 || strcmp (list[at - 1]->gateway, lane->gateway) != 0)
            rows[(*count)++] = (tide_row_t){.name = tide_bytes (lane->gateway),
                                            .cells = {count_of (0), count_of (0)}};
        tide_cell_t *cells = rows[*count - 1].cells;
        cells[0].value += (double) lane->now.connections;
        cells[1].value += (double) lane->now.behind;
        add_rate (&cells[2], lane, lane->now.deliveries, lane->before.deliveries);
        add_rate (&cells[3], lane, lane->now.publishes, lane->before.publishes);
        add_rate (&cells[4], lane, lane->now.calls, lane->before.calls);
        clients->connections += lane->now.connections;
        clients->behind += lane->now.behind;
    }
    clients->gateways = *count;
    free (list);
    return rows;
}

static int by_service (const void *one, const void *other)
{
    return strcmp (((const tide_watch_service_t *) one)->name,
                   ((const tide_watch_service_t *) other)->name);
}

static tide_row_t *make_services (const tide_watch_t *self)
{
    tide_row_t *rows = tide_alloc ((self->service_count + 1) * sizeof *rows);
    if (self->service_count > 0)
        qsort (self->services, self->service_count, sizeof *self->services, by_service);
    for (size_t at = 0; at < self->service_count; at++) {
        const tide_watch_service_t *service = &self->services[at];
        rows[at] =
            (tide_row_t){.name = tide_bytes (service->name),
                         .cells = {count_of (service->workers), count_of (service->credit),
                                   count_of (service->in_hand), count_of (service->waiting)}};
    }
    return rows;
}

static tide_row_t *make_cursors (const tide_watch_t *self)
{
    tide_row_t *rows = tide_alloc ((self->cursor_count + 1) * sizeof *rows);
    for (size_t at = 0; at < self->cursor_count; at++)
        rows[at] = (tide_row_t){.name = tide_bytes (self->cursors[at].name),
                                .cells = {self->cursors[at].lag}};
    return rows;
}

static int by_rate (const void *one, const void *other)
{
    const tide_watch_topic_t *left = *(tide_watch_topic_t *const *) one,
                             *right = *(tide_watch_topic_t *const *) other;
    if (left->rate > right->rate || left->rate < right->rate)
        return left->rate > right->rate ? -1 : 1;
    return left->last > right->last ? -1 : left->last < right->last;
}

static tide_row_t *make_topics (const tide_watch_t *self, size_t *count)
{
    size_t all = HASH_COUNT (self->topics), at = 0;
    tide_watch_topic_t **list = tide_alloc ((all + 1) * sizeof (tide_watch_topic_t *));
    for (tide_watch_topic_t *topic = self->topics; topic; topic = topic->hh.next)
        list[at++] = topic;
    qsort (list, all, sizeof list[0], by_rate);
    *count = all < TOPICS_SHOWN ? all : TOPICS_SHOWN;
    tide_row_t *rows = tide_alloc ((*count + 1) * sizeof *rows);
    for (at = 0; at < *count; at++) {
        const tide_watch_topic_t *topic = list[at];
        rows[at] =
            (tide_row_t){.name = {(const uint8_t *) topic->name, topic->size},
                         .cells = {[0] = rate_of (topic->rate), [3] = count_of (topic->last)}};
        if (self->rounds < 2)
            rows[at].cells[0].kind = TIDE_CELL_NONE;
        if (topic->is_known) {
            rows[at].cells[1] = count_of (topic->events);
            rows[at].cells[2] = count_of (topic->standing);
        }
    }
    free (list);
    return rows;
}

/*  -- the picture ----------------------------------------------------------------------------- */

void tide_watch_draw (const tide_watch_t *self, const char *broker, bool is_away, unsigned width,
                      unsigned height, bool has_colors, tide_buffer_t *out)
{
    clients_t clients = {0};
    size_t gateway_count, topic_count;
    tide_row_t *gateways = make_gateways (self, &gateway_count, &clients);
    tide_row_t *services = make_services (self);
    tide_row_t *cursors = make_cursors (self);
    tide_row_t *topics = make_topics (self, &topic_count);
    tide_buffer_t lines[LINES] = {0};
    put_lines (self, broker, is_away, &clients, lines);
    const char *texts[LINES];
    for (unsigned at = 0; at < LINES; at++)
        texts[at] = (const char *) lines[at].data;
    const tide_table_t tables[] = {
        {.title = "GATEWAY",
         .heads = {"CLIENTS", "BEHIND", "OUT/s", "IN/s", "CALLS/s"},
         .rows = gateways,
         .row_count = gateway_count,
         .empty = "no gateway has told of itself"},
        {.title = "SERVICE",
         .heads = {"WORKERS", "CREDIT", "IN HAND", "WAITING"},
         .rows = services,
         .row_count = self->service_count},
        {.title = "CURSOR", .heads = {"LAG"}, .rows = cursors, .row_count = self->cursor_count},
        {.title = "TOPIC",
         .heads = {"EVENTS/s", "EVENTS", "KEYS", "LAST"},
         .rows = topics,
         .row_count = topic_count,
         .empty = "there are no topics yet"},
    };
    tide_picture_draw (&(tide_picture_t){.lines = texts,
                                         .line_count = LINES,
                                         .tables = tables,
                                         .table_count = sizeof tables / sizeof tables[0],
                                         .width = width,
                                         .height = height,
                                         .has_colors = has_colors},
                       out);
    for (unsigned at = 0; at < LINES; at++)
        tide_buffer_free (&lines[at]);
    free (gateways);
    free (services);
    free (cursors);
    free (topics);
}
