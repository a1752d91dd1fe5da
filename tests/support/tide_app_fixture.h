/*  tide_app_fixture.h - a loop with an application behind it, which writes down what it is told.
 *
 *  All of it is at lane 0: the application, its clients, and what it does.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_APP_FIXTURE_H
#define TIDE_APP_FIXTURE_H

#include "tide_application.h"
#include "tide_fixture.h"

/*  The application: it writes down what it is told, and does what the test wants. */
typedef struct {
    tide_buffer_t said; /* a line each */
    enum { ADMIT, REFUSE, LATER } policy;
    const char *refusal_data;
    uint64_t admission, call;
    tide_buffer_t binary; /* the first attachment of the last event */
    char sid[64];         /* of the client that came in last */
    bool asks_at_once;
    tide_status_t status; /* of what was done last; -1: not known yet */
    tide_buffer_t answers;
    int answered;    /* how often an ask was concluded */
    char offset[64]; /* that a client got last */
} app_t;

extern app_t app;

int app_set_up (void **state);
int app_tear_down (void **state);

/*  A test that has the application and its loop. */
#define APP_TEST(name) cmocka_unit_test_setup_teardown (name, app_set_up, app_tear_down)

/*  What it was told since the last time, and nothing else. */
void assert_told (const char *expected);

/*  What it is told when something is done, and when an ask is concluded: whoever has answered, in
 *  the order in which they were asked, as "[json]+attachments" or "-", a line each. */
void app_done (void *argument, tide_hub_t *hub, tide_status_t status);
void app_answers (void *argument, tide_hub_t *hub, const tide_app_answer_t *answer, size_t count);

/*  The topic of one client; valid until the next call. */
const char *at_sid (const char *sid);
/*  A client joins a topic at the application's wish. */
void join (const char *sid, const char *topic);

/*  A client that has said nothing. */
tide_loop_client_t *wire (void);
/*  One that came in; its sid, unless that is NULL, is the application's to know. */
tide_loop_client_t *came_in (char sid[64]);
/*  … and remembers what it needs to come back. */
tide_loop_client_t *recoverable (char sid[64], char pid[64]);
/*  One that comes back. */
tide_loop_client_t *resumed (const char *pid);

#endif
