/*  test_polling_teardown.c - states of clients that poll in which their lane can be taken down.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

static void opened_only (void)
{
    tide_loop_open_polling (loop, HOLDER);
}

static void with_a_poll_held (void)
{
    subscribed ();
}

static void with_nothing_held (void)
{
    tide_loop_publish (loop, "lobby", (idle (), 5));
}

static void with_a_post_coming (void)
{
    char query[160];
    query_of (subscribed (), query);
    tide_loop_engineio (loop, HOLDER, "POST", query, NULL);
}

static void with_a_post_held_back (void)
{
    publish_much ("big", "", 90000);
    ask_for_much (idle (), 9);
}

static void with_requests_under_way (void)
{
    tide_loop_client_t *client = subscribed ();
    loop->is_cut[HOLDER] = true;
    tide_loop_say (client, "421[\"tide:publish\",{\"topic\":\"a\",\"event\":\"n\",\"data\":1}]");
}

static void with_a_session_coming (void)
{
    loop->is_cut[HOLDER] = true;
    tide_loop_say (tide_loop_open_polling (loop, HOLDER), "40");
}

static void opened_by_a_probe (void)
{
    tide_loop_probe (subscribed ());
}

static void probed (void)
{
    tide_loop_say (tide_loop_probe (subscribed ()), "2probe");
}

static void taken_over_untold (void)
{
    tide_loop_client_t *probe = tide_loop_probe (subscribed ());
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes ("2probe"),
                    true);
    tide_hub_frame (loop->hubs[HOLDER], loop->now_ms, probe->connection, tide_bytes ("5"), true);
    probe->connection = NULL;
}

static void taken_over (void)
{
    tide_loop_client_t *probe = tide_loop_probe (subscribed ());
    tide_loop_say (probe, "2probe");
    tide_loop_say (probe, "5");
}

static void taking_leave (void)
{
    ended ();
}

static void about_to_end (void)
{
    tide_loop_client_t *client = subscribed ();
    tide_loop_post (client, tide_bytes ("42/elsewhere,[\"x\"]"));
}

static void about_to_end_while_probed (void)
{
    tide_loop_client_t *client = subscribed ();
    tide_loop_say (tide_loop_probe (client), "2probe");
    tide_loop_post (client, tide_bytes ("1"));
}

static void refused_and_untold (void)
{
    char query[160];
    query_of (subscribed (), query);
    tide_http_request_t request = {.method = tide_bytes ("GET"), .query = tide_bytes (query)};
    tide_hub_engineio (loop->hubs[HOLDER], loop->now_ms, &request);
}

static void stopping (void)
{
    subscribed ();
    tide_loop_say (tide_loop_probe (subscribed ()), "2probe");
    tide_hub_stop (loop->hubs[HOLDER], loop->now_ms);
}

/*  A sanitizer says whether something is left behind. */
static void a_lane_can_be_taken_down_in_any_state (void **state)
{
    (void) state;
    static void (*const bring[]) (void) = {opened_only,
                                           with_a_poll_held,
                                           with_nothing_held,
                                           with_a_post_coming,
                                           with_a_post_held_back,
                                           with_requests_under_way,
                                           with_a_session_coming,
                                           opened_by_a_probe,
                                           probed,
                                           taken_over_untold,
                                           taken_over,
                                           taking_leave,
                                           about_to_end,
                                           about_to_end_while_probed,
                                           refused_and_untold,
                                           stopping};
    for (size_t at = 0; at < sizeof bring / sizeof bring[0]; at++)
        for (int closes_first = 0; closes_first < 2; closes_first++) {
            loop = tide_loop_new (NULL);
            bring[at]();
            if (!closes_first) /* the lane goes, and then its clients see that */
                tide_loop_kill_lane (loop, HOLDER);
            tide_loop_destroy (&loop);
        }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_lane_can_be_taken_down_in_any_state),
    };
    return cmocka_run_group_tests_name ("a lane that is taken down", tests, NULL, NULL);
}
