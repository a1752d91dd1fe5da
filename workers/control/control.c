/*  tidemark-control - a control room: faders and switches that every panel shares, and meters.
 *
 *  Positions are what stands in control/desk, so that a panel, a late one, and this program after a
 *  restart all read the same. Meters are volatile: thirty frames a second, each worth nothing when
 *  the next is there. Of several workers that are alive one sends them: who hears another of a
 *  lower name is silent for a second.
 *  SPDX-License-Identifier: MIT
 */
#include "back_end.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidemark.h>
#include <time.h>
#include <unistd.h>

#define DESK "control/desk"
#define METERS "control/meters"
#define FRAME_MS 33
#define SILENT_FRAMES 30

/*  The last one is the sum of the others. */
static const char *const devices[] = {"Lectern", "Choir", "Organ", "Strings",
                                      "Brass",   "Hall",  "Stream"};
#define DEVICES (sizeof devices / sizeof devices[0])

static atomic_int fader[DEVICES], is_on[DEVICES]; /* -1: it does not stand */
static atomic_int silent;                         /* frames for which another one sends */
static char self[48];

static size_t find (const char *name, size_t size)
{
    size_t at = 0;
    while (at < DEVICES && (strlen (devices[at]) != size || memcmp (devices[at], name, size) != 0))
        at++;
    return at;
}

/*  -- positions ------------------------------------------------------------------------------- */

static void put_up (tidemark_t *client, const char *event, const char *key, json_t *value)
{
    char id[80];
    snprintf (id, sizeof id, "put up %s", key); /* by several at once: appended once */
    const tidemark_event_options_t options = {.key = key, .id = id};
    tidemark_publish_async (client, DESK, event, value, &options, NULL, NULL);
}

/*  All that stands is known: what does not is put there. */
static void complete (tidemark_t *client)
{
    json_t *names = json_array ();
    for (size_t at = 0; at < DEVICES; at++) {
        char key[64];
        json_array_append_new (names, json_string (devices[at]));
        snprintf (key, sizeof key, "%s/fader", devices[at]);
        if (fader[at] < 0)
            put_up (client, "set", key, json_pack ("{si}", "value", 70));
        snprintf (key, sizeof key, "%s/switch", devices[at]);
        if (is_on[at] < 0)
            put_up (client, "set", key, json_pack ("{sb}", "value", 1));
    }
    put_up (client, "devices", "devices", json_pack ("[o]", names));
}

/*  Anybody may write into the topic: what stands there need not be a position. */
static int position_of (const json_t *value)
{
    double position = json_number_value (value);
    return position >= 0 && position <= 100 ? (int) position : 0;
}

static int moved (const tidemark_event_t *event, void *client)
{
    if (event->kind == TIDEMARK_RESET)
        for (size_t at = 0; at < DEVICES; at++)
            fader[at] = is_on[at] = -1;
    if (event->kind == TIDEMARK_JOINED)
        complete (client);
    const char *slash = event->key ? strchr (event->key, '/') : NULL;
    size_t at = slash ? find (event->key, (size_t) (slash - event->key)) : DEVICES;
    if (at == DEVICES)
        return 0;
    const json_t *value = json_object_get (json_array_get (event->args, 0), "value");
    if (strcmp (slash, "/fader") == 0)
        fader[at] = event->is_removed ? -1 : position_of (value);
    else if (strcmp (slash, "/switch") == 0)
        is_on[at] = event->is_removed ? -1 : json_is_true (value);
    return 0;
}

/*  set {device, control, value}: what is wrong is refused, so what comes from here is always right.
 */
static int set (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const json_t *wanted = json_array_get (tidemark_call_args (call), 0);
    const char *device = json_string_value (json_object_get (wanted, "device"));
    const char *control = json_string_value (json_object_get (wanted, "control"));
    json_t *value = json_object_get (wanted, "value");
    if (!device || find (device, strlen (device)) == DEVICES)
        return (int) tidemark_fail (call, TIDEMARK_NOT_FOUND, "there is no such device");
    int is_fader = control && strcmp (control, "fader") == 0;
    int is_switch = control && strcmp (control, "switch") == 0;
    double position = json_number_value (value);
    if (!(is_fader && json_is_number (value) && position >= 0 && position <= 100)
        && !(is_switch && json_is_boolean (value)))
        return (int) tidemark_fail (call, TIDEMARK_BAD_REQUEST,
                                    "a fader takes a number from 0 to 100, a switch true or false");
    char key[64];
    snprintf (key, sizeof key, "%s/%s", device, control);
    const tidemark_event_options_t options = {.key = key};
    json_t *stands = json_pack ("{sO, ss}", "value", value, "by", tidemark_call_from (call));
    return (int) tidemark_emit (call, DESK, "set", stands, &options);
}

/*  -- meters ---------------------------------------------------------------------------------- */

static int heard (const tidemark_event_t *event, void *argument)
{
    (void) argument;
    const json_t *frame = json_array_get (event->args, 0);
    const char *by = json_string_value (json_object_get (frame, "by"));
    if (event->kind == TIDEMARK_EVENT && by && strcmp (by, self) < 0)
        silent = SILENT_FRAMES;
    return 0;
}

/*  What one would measure behind each fader: something that swings, and now and then a beat. */
static void send_frame (tidemark_t *client)
{
    static double level[DEVICES];
    json_t *levels = json_object ();
    double sum = 0;
    for (size_t at = 0; at < DEVICES; at++) {
        double swing = 0.45 + 0.55 * rand () / RAND_MAX;
        double source = at + 1 < DEVICES ? swing : 1.35 * sum / (double) ((DEVICES - 1) * 100);
        double target = is_on[at] > 0 ? source * (fader[at] > 0 ? fader[at] : 0) : 0;
        level[at] += (target - level[at]) * (target > level[at] ? 0.55 : 0.12);
        sum += level[at];
        json_object_set_new (levels, devices[at], json_integer ((json_int_t) (level[at] + 0.5)));
    }
    json_t *frame = json_pack ("{ss, so}", "by", self, "levels", levels);
    const tidemark_event_options_t options = {.flags = TIDEMARK_VOLATILE};
    tidemark_publish_async (client, METERS, "meters", frame, &options, NULL, NULL);
}

/*  -- running --------------------------------------------------------------------------------- */

static void beat (tidemark_t *client)
{
    if (silent == 0 || --silent == 0)
        send_frame (client);
}

int main (int argc, char *argv[])
{
    tidemark_t *client = back_end_connect ("control", argc, argv);
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    srand ((unsigned) (now.tv_nsec ^ getpid ()));
    snprintf (self, sizeof self, "%08x-%d", (unsigned) rand (), (int) getpid ());
    for (size_t at = 0; at < DEVICES; at++)
        fader[at] = is_on[at] = -1;

    tidemark_handle (client, "/control", "set", set, NULL, 0);
    tidemark_service (client, "control", &(tidemark_service_options_t){.credit = 16});
    const tidemark_subscribe_options_t from_snapshot = {.since = "snapshot"};
    tidemark_subscribe (client, DESK, moved, client, &from_snapshot, NULL);
    tidemark_subscribe (client, METERS, heard, NULL, NULL, NULL);
    return back_end_run (client, FRAME_MS, beat);
}
