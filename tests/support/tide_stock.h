/*  tide_stock.h - a stock socket.io-client on the loop, as far as recovery goes.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_STOCK_H
#define TIDE_STOCK_H

#include "tide_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/*  A client, and what it remembers. */
typedef struct {
    tide_loop_t *loop;
    bool polls; /* it opens its connections by polling, and stays there */
    tide_loop_client_t *wire;
    char sid[64], pid[64], offset[64];
    bool is_connected, is_recovered;
    int numbers[4096]; /* the data of each event that it got */
    int count;
    int acks, resets;
    char last_ack[4096];
} stock_t;

/*  As the client does: a trailing string is the offset, whatever it is. */
static inline void stock_take_event (stock_t *self, const char *json)
{
    json_t *event = json_loads (json, 0, NULL);
    assert_non_null (event);
    const char *name = json_string_value (json_array_get (event, 0));
    json_t *last = json_array_get (event, json_array_size (event) - 1);
    if (json_is_string (last) && self->pid[0])
        snprintf (self->offset, sizeof self->offset, "%s", json_string_value (last));
    if (strcmp (name, "tide:reset") == 0)
        self->resets++;
    else
        self->numbers[self->count++] = (int) json_integer_value (json_array_get (event, 1));
    json_decref (event);
}

static inline void stock_take_connect (stock_t *self, const char *json)
{
    json_t *object = json_loads (json, 0, NULL);
    const char *pid = json_string_value (json_object_get (object, "pid"));
    self->is_connected = true;
    self->is_recovered = pid && self->pid[0] && strcmp (pid, self->pid) == 0;
    snprintf (self->sid, sizeof self->sid, "%s",
              json_string_value (json_object_get (object, "sid")));
    snprintf (self->pid, sizeof self->pid, "%s", pid ? pid : "");
    json_decref (object);
}

static inline void stock_listen (stock_t *self)
{
    const char *frame;
    while ((frame = tide_loop_hear (self->wire))) {
        if (frame[0] == '2')
            tide_loop_say (self->wire, "3");
        if (frame[0] != '4')
            continue;
        if (frame[1] == '0')
            stock_take_connect (self, frame + 2);
        else if (frame[1] == '2')
            stock_take_event (self, frame + 2);
        else if (frame[1] == '3') {
            self->acks++;
            snprintf (self->last_ack, sizeof self->last_ack, "%s", frame);
        }
    }
}

/*  Time passes; the client answers pings. */
static inline void stock_pass (stock_t *self, uint64_t ms)
{
    for (; ms > 0; ms -= 1000) {
        tide_loop_pass (self->loop, 1000);
        stock_listen (self);
    }
}

static inline tide_loop_client_t *stock_wire (tide_loop_t *loop, unsigned hub, bool polls)
{
    return polls ? tide_loop_open_polling (loop, hub)
                 : tide_loop_open (loop, hub, TIDE_CLIENT_SOCKETIO);
}

/*  A fresh connection to a lane, with what the client remembers. */
static inline void stock_reconnect (stock_t *self, unsigned hub)
{
    self->is_connected = self->is_recovered = false;
    self->wire = stock_wire (self->loop, hub, self->polls);
    if (self->pid[0] && self->offset[0])
        tide_loop_say (self->wire, "40{\"pid\":\"%s\",\"offset\":\"%s\"}", self->pid, self->offset);
    else if (self->pid[0])
        tide_loop_say (self->wire, "40{\"pid\":\"%s\"}", self->pid);
    else
        tide_loop_say (self->wire, "40");
    stock_listen (self);
}

static inline void stock_subscribe (stock_t *self, const char *topic, const char *more)
{
    tide_loop_say (self->wire, "421[\"tide:subscribe\",{\"topic\":\"%s\"%s}]", topic, more);
    stock_listen (self);
    assert_non_null (strstr (self->last_ack, "\"ok\":true"));
}

static inline void stock_assert_numbers (stock_t *self, int from, int to)
{
    stock_listen (self);
    assert_int_equal (self->count, to - from + 1);
    for (int at = 0; at < self->count; at++)
        assert_int_equal (self->numbers[at], from + at);
}

/*  It connects to a lane, and subscribes to "lobby". */
static inline void stock_start_at (stock_t *self, unsigned hub, const tide_broker_config_t *config,
                                   bool polls)
{
    *self = (stock_t){.loop = tide_loop_new (config), .polls = polls};
    stock_reconnect (self, hub);
    assert_true (self->is_connected);
    assert_false (self->is_recovered);
    stock_subscribe (self, "lobby", "");
}

static inline void stock_start (stock_t *self, const tide_broker_config_t *config, bool polls)
{
    stock_start_at (self, 0, config, polls);
}

/*  The lobby gets numbers. */
static inline void stock_publish (stock_t *self, int from, int to)
{
    for (int number = from; number <= to; number++)
        tide_loop_publish (self->loop, "lobby", number);
}

static inline void stock_finish (stock_t *self)
{
    tide_loop_destroy (&self->loop);
}

#endif
