/*  tide_browser.h - a browser at the end of a stream of Server-Sent Events, as far as it remembers.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_BROWSER_H
#define TIDE_BROWSER_H

#include "tide_fixture.h"

typedef struct {
    tide_loop_client_t *wire;
    size_t at;          /* so much of what it got was looked at */
    char id[64];        /* the last event id: what it comes back with */
    int numbers[4096];  /* the data of each event … */
    char ids[4096][64]; /* … and the id behind it */
    char topics[4096][32];
    int count;
    int resets, snapshots;
    json_t *reset, *snapshot; /* the last of them */
    char reset_topics[64];    /* of all of them, each behind a space */
    int comments, retry_ms;
} browser_t;

/*  A new one, which asks HOLDER. */
browser_t *browse (const char *query);
void browser_leave (browser_t **self_p);

/*  It opens its stream, or opens it again, with the id that it has. */
void browser_open (browser_t *self, unsigned hub, const char *query);
/*  It looks at what it got. */
void browser_listen (browser_t *self);
/*  It has got these numbers, once each, in order, and nothing else. */
void browser_assert_numbers (browser_t *self, int from, int to);

/*  The sequence in an event id. */
uint64_t position_of (const char *id);

/*  A topic gets numbers. */
void publish (const char *topic, int from, int to);
/*  A key of a topic stands at a number. */
void set_key (const char *topic, const char *key, int number);
/*  … as a snapshot or a reset says. */
int standing_in (const json_t *object, const char *key);

#endif
