/*  tide_lane.h - a whole gateway in one thread: an event loop, listening sockets, a hub, an uplink.
 *
 *  Lanes share nothing but what never changes (configuration, files): no locks, and a client that
 *  comes back may come to any of them. A lane decides nothing: what libwebsockets and ZeroMQ bring
 *  is handed to the hub (tide_hub.h), and what the hub says is done.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LANE_H
#define TIDE_LANE_H

#include "tide_config.h"
#include "tide_files.h"

#define TIDE_LISTENERS_MAX 4

typedef struct tide_lane tide_lane_t;

/*  All pointers are borrowed and outlive the lane. */
typedef struct {
    unsigned index;
    const tide_config_t *config;
    const char *broker; /* the endpoint of the broker's ROUTER */
    void *zmq;          /* a ZeroMQ context */
    const tide_files_t *files;
    const struct tide_application *application; /* NULL: none */
    int listener[TIDE_LISTENERS_MAX]; /* listening sockets, this lane's own; it takes them over */
    unsigned listeners;
} tide_lane_config_t;

/*  Makes a lane; it does nothing yet. NULL, and *why, if it can't be; the caller frees *why. Not in
 *  two threads at once. */
tide_lane_t *tide_lane_new (const tide_lane_config_t *config, char **why);

/*  Starts its thread. False if there is none to be had. */
bool tide_lane_start (tide_lane_t *self);

/*  Asks it to stop: clients are told and get what is ready for them, the broker is told. Returns
 *  at once; from any thread. */
void tide_lane_stop (tide_lane_t *self);

/*  Waits until it has stopped, at most some seconds after tide_lane_stop, and frees it. */
void tide_lane_destroy (tide_lane_t **self_p);

#endif
