/*  tide_fixture.h - what a test on the loop begins with: the loop, and clients of it.
 *
 *  The session of one that polls is always at HOLDER. What it asks may reach OTHER, and whoever
 *  publishes does so at THIRD: a test that holds messages back between the first two still hears of
 *  what is published.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_FIXTURE_H
#define TIDE_FIXTURE_H

#include "tide_stock.h"

enum { THIRD = 0, HOLDER = 1, OTHER = 2 };

/*  The loop of the test that runs. */
extern tide_loop_t *loop;

int set_up (void **state);
int tear_down (void **state);

/*  A test that has a loop; one without this makes its own, and destroys it. */
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

/*  -- what a client hears --------------------------------------------------------------------- */

/*  The next frame begins so. */
void assert_hears (tide_loop_client_t *client, const char *begin);
/*  … where a ping, which a lane may say on arrival, is answered and passed over. */
void assert_gets (tide_loop_client_t *client, const char *begin);
/*  The next frame but for a ping; as tide_loop_hear. */
const char *hear (tide_loop_client_t *client);
/*  How many of the frames that it has heard begin so; it takes all of them. */
size_t count_heard (tide_loop_client_t *client, const char *begin);

/*  The text that a frame's object has under the name. */
void take_text (const char *frame, const char *name, char text[64]);

/*  -- WebSockets ------------------------------------------------------------------------------ */

/*  A client of Socket.IO that is in no namespace yet. */
tide_loop_client_t *opened_at (unsigned hub);
/*  … that asks for the main one, as who it was before unless pid is NULL. */
tide_loop_client_t *asking_at (unsigned hub, const char *pid);
/*  The next frame lets it into the main one; what it needs to come back. */
void assert_is_in (tide_loop_client_t *client, char pid[64]);
/*  One that is in it, and what it needs to come back. */
tide_loop_client_t *entered_at (unsigned hub, char pid[64]);

/*  A client of the JSON dialect, at the lane where whoever publishes does so. */
tide_loop_client_t *json_client (void);

/*  -- clients that poll ----------------------------------------------------------------------- */

/*  In the main namespace. */
tide_loop_client_t *connected (void);
/*  … and in the lobby. */
tide_loop_client_t *subscribed (void);
/*  … whose requests reach these lanes once it has come in. */
tide_loop_client_t *subscribed_at (unsigned gets_at, unsigned posts_at);
/*  From now on it polls when the test says so; nothing is held. It is in the lobby. */
void stall (tide_loop_client_t *client);
tide_loop_client_t *idle (void);
tide_loop_client_t *idle_at (unsigned gets_at, unsigned posts_at);
/*  An idle one that the server has ended: it speaks to a namespace that it is not in. */
tide_loop_client_t *ended (void);

/*  It polls once. */
void get (tide_loop_client_t *client);
/*  The query of its requests. */
void query_of (const tide_loop_client_t *client, char query[160]);

/*  The last answer to a request was a refusal with this code of Engine.IO. */
void assert_was_refused (int code);
/*  Somebody asks a lane for the client's session, and is refused. */
void assert_refused (const tide_loop_client_t *client, unsigned hub, const char *method, int code);
/*  No lane knows its session. */
void assert_forgotten (const tide_loop_client_t *client);
/*  It still polls, and gets what is published. */
void assert_alive (tide_loop_client_t *client);

/*  -- those that take nothing ----------------------------------------------------------------- */

/*  Publishes an event with so much data; with a key, unless that is "". */
void publish_much (const char *topic, const char *key, size_t size);
/*  It asks for the history of "big", so many times, in one body. */
void ask_for_much (tide_loop_client_t *client, int count);
/*  An idle one that has asked for more than it takes; its next POST is held back. */
tide_loop_client_t *overwhelmed (void);

/*  -- WebSockets that take a session over ----------------------------------------------------- */

/*  A WebSocket at the lane has been told that it may. */
tide_loop_client_t *probed_at (tide_loop_client_t *client, unsigned hub);
/*  … and the session has come. */
tide_loop_client_t *taken_to (tide_loop_client_t *client, unsigned hub);

/*  -- between the lanes ----------------------------------------------------------------------- */

/*  Messages of the kind wait on their way from HOLDER and OTHER to the broker. */
void hold (tide_message_kind_t kind);
/*  Publishes that wait there are refused by the broker; what else does is lost. */
void refuse_held (tide_status_t code);

/*  A stock client that polls at HOLDER and is in the lobby, on a loop of its own, which is the
 *  test's from then on and ends with stock_finish. */
void start (stock_t *client);
/*  … that has heard the numbers up to the last, and polls at this lane by now. */
void start_and_hear (stock_t *client, unsigned gets_at, int last);

#endif
