/*  tide_presence_fixture.h - whoever is present in the lobby, and whoever looks.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PRESENCE_FIXTURE_H
#define TIDE_PRESENCE_FIXTURE_H

#include "tide_fixture.h"

/*  A client of Socket.IO, or of the JSON dialect, that can be resumed. */
typedef struct {
    tide_loop_client_t *wire;
    char sid[64], pid[64];
} member_t;

/*  It comes in at the lane, or comes back as who it is. */
void connect_at (member_t *member, unsigned hub);
/*  present: JSON. */
void enter (member_t *member, const char *topic, const char *present);
/*  One that has come in, and into the lobby. */
member_t present_at (unsigned hub);

/*  Who is there, as HTTP tells it: an array, which the caller decrefs. */
json_t *members_of (const char *topic);
/*  The member in it: the caller decrefs; NULL if it is not there. */
json_t *found (const char *topic, const member_t *member);
/*  In the lobby; and since when. */
bool is_there (const member_t *member);
uint64_t since_of (const member_t *member);
/*  What it says of itself there; true: nothing. */
void assert_data (const char *topic, const member_t *member, const char *data);

/*  Somebody who hears who comes into the lobby, and goes. */
tide_loop_client_t *watcher (void);
enum { CAME, WENT };
/*  The next that it hears of is this, of the member; or nothing. */
void assert_saw (tide_loop_client_t *client, int what, const member_t *member);
void assert_saw_nothing (tide_loop_client_t *client);

#endif
