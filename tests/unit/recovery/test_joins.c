/*  test_joins.c - topics that are joined and left while something else goes on.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_fixture.h"

static void append_packet (tide_buffer_t *body, const char *packet)
{
    if (body->size > 0)
        tide_put_u8 (body, 0x1e);
    tide_buffer_append_text (body, packet);
}

/*  Posts it, and takes it back. */
static void post (tide_loop_client_t *client, tide_buffer_t *body)
{
    tide_loop_post (client, tide_buffer_bytes (body));
    tide_buffer_free (body);
    tide_loop_run (loop);
}

static void many_topics_are_joined_and_left_by_one_post (void **state)
{
    (void) state;
    enum { TOPICS = 9, LEFT = 6 };
    tide_loop_client_t *client = connected ();
    char packet[100], topic[8];
    tide_buffer_t body = {0};
    for (int at = 0; at < TOPICS; at++) {
        snprintf (topic, sizeof topic, "t%d", at);
        tide_loop_publish (loop, topic, at);
        snprintf (packet, sizeof packet, "42%d[\"tide:subscribe\",{\"topic\":\"t%d\"}]", at, at);
        append_packet (&body, packet);
    }
    post (client, &body);
    assert_int_equal (count_heard (client, "43"), TOPICS);
    for (int at = 0; at < TOPICS; at++) {
        snprintf (packet, sizeof packet,
                  "42%d[\"tide:subscribe\",{\"topic\":\"t%d\",\"since\":\"start\"}]", 20 + at, at);
        append_packet (&body, packet);
    }
    for (int at = 0; at < LEFT; at++) {
        snprintf (packet, sizeof packet, "42%d[\"tide:unsubscribe\",{\"topic\":\"t%d\"}]", 40 + at,
                  at);
        append_packet (&body, packet);
    }
    post (client, &body);
    assert_int_equal (client->post, 0);
    assert_int_equal (client->post_status, 200);
    assert_false (client->is_over);
    unsigned answers = 0;
    const char *frame;
    while ((frame = tide_loop_hear (client)))
        answers += strncmp (frame, "43", 2) == 0;
    assert_int_equal (answers, TOPICS + LEFT);
    for (int at = 0; at < TOPICS; at++) {
        snprintf (topic, sizeof topic, "t%d", at);
        tide_loop_publish (loop, topic, 100);
        assert_int_equal (count_heard (client, "42[\"n\",100"), at >= LEFT);
    }
}

/*  While its record says that it joins: it is not in the topic when it comes back, either. */
static void a_topic_that_is_left_while_it_is_joined_is_left (void **state)
{
    (void) state;
    stock_t client;
    stock_start_at (&client, HOLDER, NULL, false);
    loop = client.loop;
    hold (TIDE_MESSAGE_PUBLISH);
    tide_loop_say (client.wire, "422[\"tide:subscribe\",{\"topic\":\"room\"}]");
    assert_int_equal (loop->held_count, 1);
    tide_loop_say (client.wire, "423[\"tide:unsubscribe\",{\"topic\":\"room\"}]");
    assert_hears (client.wire, "432[{\"ok\":false");
    tide_loop_let_all_go (loop);
    assert_hears (client.wire, "433[{\"ok\":true");
    tide_loop_publish (loop, "room", 50);
    stock_publish (&client, 1, 2);
    stock_listen (&client);
    tide_loop_cut (client.wire);
    tide_loop_publish (loop, "room", 51);
    stock_publish (&client, 3, 4);
    stock_reconnect (&client, OTHER);
    assert_true (client.is_recovered);
    stock_assert_numbers (&client, 1, 4);
    stock_finish (&client);
}

static void a_topic_that_is_joined_anew_at_the_upgrade_comes_once (void **state)
{
    (void) state;
    enum { BEFORE = 30, AFTER = 10 };
    for (unsigned hub = 0; hub < LOOP_HUBS; hub++) {
        char topic[20], packet[100];
        snprintf (topic, sizeof topic, "many%u", hub);
        snprintf (packet, sizeof packet, "[\"tide:subscribe\",{\"topic\":\"%s\"", topic);
        tide_loop_client_t *client = subscribed ();
        tide_loop_say (client, "422%s}]", packet);
        assert_hears (client, "432[{\"ok\":true");
        stall (client);
        for (int at = 0; at < BEFORE; at++)
            publish_much (topic, "", 10000);
        tide_loop_say (client, "423%s,\"since\":\"start\"}]", packet);
        for (int at = 0; at < AFTER; at++)
            publish_much (topic, "", 1000);
        tide_loop_client_t *probe = probed_at (client, hub);
        tide_loop_say (probe, "5");
        tide_loop_pass (loop, 3000);
        size_t events = count_heard (client, "42[\"n\",\"x"), answers = 0;
        const char *frame;
        while ((frame = tide_loop_hear (probe))) {
            events += strncmp (frame, "42[\"n\",\"x", 9) == 0;
            answers += strncmp (frame, "433[{\"ok\":true", 14) == 0;
        }
        assert_int_equal (events, BEFORE + AFTER);
        assert_int_equal (answers, 1);
        publish_much (topic, "", 10);
        assert_int_equal (count_heard (probe, "42[\"n\",\"x"), 1);
    }
}

/*  Its record may say that it is in anything: still only what can be a topic is recorded. */
static void what_cannot_have_been_joined_cannot_be_left (void **state)
{
    (void) state;
    tide_loop_client_t *client = asking_at (HOLDER, NULL);
    const char *frame = tide_loop_hear (client), *sid = strstr (frame, "\"sid\":\"");
    char own[80];
    snprintf (own, sizeof own, "@%.*s", (int) strcspn (sid + 7, "\""), sid + 7);
    loop->lost_kind = TIDE_MESSAGE_PUBLISH;
    tide_loop_say (client, "421[\"tide:subscribe\",{\"topic\":\"lobby\"}]");
    tide_loop_pass (loop, 12000);
    loop->lost_kind = 0;
    assert_hears (client, "431[{\"ok\":false");
    char topic[301];
    memset (topic, 'x', 300);
    topic[300] = 0;
    const char *const topics[] = {topic, own, "$nsp", "a#b"};
    for (int at = 0; at < 4; at++) {
        tide_loop_say (client, "422[\"tide:unsubscribe\",{\"topic\":\"%s\"}]", topics[at]);
        assert_hears (client, "432[{\"ok\":false");
    }
    tide_loop_publish (loop, "lobby", 1);
    assert_null (tide_loop_hear (client));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (many_topics_are_joined_and_left_by_one_post),
        cmocka_unit_test (a_topic_that_is_left_while_it_is_joined_is_left),
        TEST (a_topic_that_is_joined_anew_at_the_upgrade_comes_once),
        TEST (what_cannot_have_been_joined_cannot_be_left),
    };
    return cmocka_run_group_tests_name ("topics that are joined and left", tests, NULL, NULL);
}
