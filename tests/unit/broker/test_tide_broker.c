/*  test_tide_broker.c - the broker as a whole: peers, leases, time, counters, stopping, loading.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

static int set_up (void **state)
{
    tide_rig_t *rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig_start (rig);
    rig_hello (rig, "a", "");
    rig_forget_said (rig);
    *state = rig;
    return 0;
}

static int tear_down (void **state)
{
    rig_free (*state);
    free (*state);
    return 0;
}

static const tide_message_t *last_said (const tide_rig_t *rig)
{
    assert_true (rig->said_count > 0);
    return &rig->said[rig->said_count - 1]->message;
}

static void ping (tide_rig_t *rig, const char *peer)
{
    rig_send (rig, peer, &(tide_message_t){.kind = TIDE_MESSAGE_PING});
    rig_drain (rig);
}

static void bye (tide_rig_t *rig, const char *peer)
{
    rig_send (rig, peer, &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_tick (rig, 0);
    rig_settle (rig);
}

static void release (tide_rig_t *rig, const char *topic, const char *key, uint64_t seq)
{
    rig_send (rig, "a",
              &(tide_message_t){.kind = TIDE_MESSAGE_RELEASE,
                                .release = {tide_bytes (topic), tide_bytes (key), seq}});
    rig_tick (rig, 0);
    rig_settle (rig);
}

/*  Time passes, while these peers go on speaking. */
static void pass (tide_rig_t *rig, uint64_t ms, const char *peer, const char *other)
{
    for (; ms > 0; ms -= ms < 500 ? ms : 500) {
        rig_tick (rig, ms < 500 ? ms : 500);
        ping (rig, peer);
        if (other)
            ping (rig, other);
        rig_settle (rig);
    }
}

static uint64_t append_leased (tide_rig_t *rig, const char *topic, const char *key,
                               const char *lease, uint32_t linger_ms, bool owns)
{
    rig_add (rig, &(tide_event_t){.topic = tide_bytes (topic),
                                  .name = tide_bytes ("here"),
                                  .key = tide_bytes (key),
                                  .user = tide_bytes ("ann"),
                                  .from = tide_bytes ("sid"),
                                  .lease = tide_bytes (lease),
                                  .linger_ms = linger_ms,
                                  .flags = owns ? TIDE_EVENT_OWNS_TOPIC : 0,
                                  .payload = rig_payload ("1")});
    uint64_t request = rig_publish (rig, "a");
    rig_settle (rig);
    return rig_acked (rig, request);
}

static uint64_t standing (const tide_rig_t *rig, const char *topic, const char *key)
{
    return tide_index_standing (rig->broker->core.index, tide_bytes (topic), tide_bytes (key));
}

/*  -- peers ----------------------------------------------------------------------------------- */

static void hello_is_answered_by_where_the_log_stands (void **state)
{
    tide_rig_t *rig = *state;
    rig_append (rig, "t", NULL, "1");
    rig_hello (rig, "b", "lane");
    const tide_message_t *welcome = last_said (rig);
    assert_int_equal (welcome->kind, TIDE_MESSAGE_WELCOME);
    assert_int_equal (welcome->welcome.epoch, rig->config.epoch);
    assert_int_equal (welcome->welcome.head, 1);
    assert_true (tide_bytes_is (welcome->welcome.events, rig->config.events));
    assert_true (tide_bytes_is (welcome->welcome.volatiles, rig->config.volatiles));
    assert_int_equal (welcome->welcome.payload_max, rig->config.payload_max);
    ping (rig, "b");
    assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_PONG);
    assert_int_equal (last_said (rig)->pong.head, 1);
}

static void who_has_not_said_hello_is_told_so (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t request = rig_publish_one (rig, "stranger", "t", NULL, NULL, "1");
    rig_settle (rig);
    assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_FAIL);
    assert_int_equal (last_said (rig)->fail.request, 0);
    assert_null (rig_answer (rig, request));
    assert_int_equal (rig->log.last, 0);
}

static void receive (tide_rig_t *rig, const char *peer, const void *bytes, size_t size)
{
    tide_broker_receive (rig->broker, rig->now_ms, tide_bytes (peer), (tide_bytes_t){bytes, size});
    rig_drain (rig);
}

static void what_cannot_be_read_is_answered (void **state)
{
    tide_rig_t *rig = *state;
    receive (rig, "a", "nonsense", 8);
    assert_int_equal (last_said (rig)->fail.code, TIDE_BAD_REQUEST);
    assert_int_equal (last_said (rig)->fail.request, 0);
    receive (rig, "a", NULL, 0);
    assert_int_equal (last_said (rig)->fail.code, TIDE_BAD_REQUEST);
    /*  Another version is named, to strangers too. */
    receive (rig, "b", "TM\x09\x01\x01x\0", 7);
    assert_int_equal (last_said (rig)->fail.request, 0);
    assert_non_null (memmem (last_said (rig)->fail.message.data, last_said (rig)->fail.message.size,
                             "version 9", 9));
    /*  A request that can be named is; what is not one is not. */
    receive (rig, "a", "TM\x01\x06\0\0\0\0\0\0\0\x7b", 12);
    assert_int_equal (last_said (rig)->fail.request, 0x7b);
    receive (rig, "a", "TM\x01\x11\0\0\0\0\0\0\0\x7b", 12);
    assert_int_equal (last_said (rig)->fail.request, 0);
    rig_send (rig, "a", &(tide_message_t){.kind = TIDE_MESSAGE_PONG});
    rig_drain (rig);
    assert_int_equal (last_said (rig)->fail.code, TIDE_BAD_REQUEST);
    rig_hello (rig, "a", "bad\nlease");
    assert_int_equal (last_said (rig)->fail.code, TIDE_BAD_REQUEST);
    assert_int_equal (rig->broker->core.counters.malformed, 6);
}

static void every_prefix_of_a_message_is_answered_and_harmless (void **state)
{
    tide_rig_t *rig = *state;
    tide_buffer_t bytes = {0};
    rig_event (rig, "t", "k", "id", "1");
    rig_expect (rig, "t", "k", 0);
    tide_message_t message = {.kind = TIDE_MESSAGE_PUBLISH,
                              .publish = {.request = 9,
                                          .expects = tide_list (&rig->expects, 1),
                                          .events = tide_list (&rig->events, 1)}};
    tide_message_encode (&bytes, &message);
    for (size_t size = 0; size < bytes.size; size++) {
        /*  On the heap, so that reading past the end would show. */
        void *copy = tide_copy (bytes.data, size);
        receive (rig, "a", copy, size);
        free (copy);
        assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_FAIL);
    }
    assert_null (rig->log.batch);
    tide_buffer_free (&bytes);
}

static void silent_peers_are_forgotten (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b", "lane");
    rig_hello (rig, "c", "");
    pass (rig, TIDE_CORE_PEER_SILENT_MS + 2 * TIDE_HEARTBEAT_MS, "a", "c");
    assert_int_equal (tide_peers_count (rig->broker->peers), 2);
    assert_int_equal (rig->broker->core.counters.peers_forgotten, 1);
    ping (rig, "b");
    assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_FAIL);
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("c"));
    tide_broker_gone (rig->broker, rig->now_ms, tide_bytes ("nobody"));
    assert_int_equal (tide_peers_count (rig->broker->peers), 1);
}

static void no_more_than_so_many_peers_are_taken (void **state)
{
    tide_rig_t *rig = *state;
    char peer[16];
    for (unsigned at = 1; at < TIDE_CORE_PEERS_MAX; at++) {
        snprintf (peer, sizeof peer, "p%u", at);
        rig_hello (rig, peer, "");
    }
    rig_hello (rig, "late", "lane");
    assert_int_equal (last_said (rig)->fail.code, TIDE_TOO_MANY);
    bye (rig, "p1");
    rig_hello (rig, "late", "lane");
    assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_WELCOME);
}

/*  -- leases ---------------------------------------------------------------------------------- */

static void a_leased_key_stands_while_its_holder_speaks (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 0, false);
    pass (rig, 60000, "a", "l");
    assert_int_equal (standing (rig, "t", "k"), 1);
    pass (rig, TIDE_LEASE_MS - 1000, "a", NULL);
    assert_int_equal (standing (rig, "t", "k"), 1);
    pass (rig, 1000, "a", NULL);
    assert_int_equal (standing (rig, "t", "k"), 0);
    /*  The removal is an event as any other, of the same name and origin, no user's. */
    const tide_page_message_t *page = rig_read (rig, "t", 1, 10);
    tide_list_t events = page->events;
    tide_event_t event;
    assert_true (tide_event_next (&events, &event));
    assert_true (tide_bytes_is (event.name, "here") && tide_bytes_is (event.key, "k"));
    assert_true (tide_bytes_is (event.from, "sid"));
    assert_int_equal (event.payload.size + event.user.size + event.id.size + event.lease.size, 0);
    assert_int_equal (event.time_ms, rig->now_ms);
    assert_int_equal (rig->broker->core.counters.removals, 1);
}

static void leaving_removes_after_the_linger (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "now", "lane", 0, false);
    append_leased (rig, "t", "later", "lane", 5000, false);
    bye (rig, "l");
    assert_int_equal (standing (rig, "t", "now"), 0);
    assert_int_equal (standing (rig, "t", "later"), 2);
    assert_int_equal (tide_broker_deadline_ms (rig->broker) <= rig->now_ms + 5000, 1);
    pass (rig, 5000, "a", NULL);
    assert_int_equal (standing (rig, "t", "later"), 0);
}

static void a_key_that_owns_its_topic_takes_all_others_along (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "$session/x", "session", "lane", 1000, true);
    append_leased (rig, "$session/x", "topic/a", "lane", 500000, false);
    rig_append (rig, "$session/x", "topic/b", "1");
    rig_append (rig, "$session/y", "topic/b", "1");
    uint64_t head = tide_broker_head (rig->broker);
    size_t appends = rig->appends;
    release (rig, "$session/x", "session", 1);
    assert_int_equal (tide_broker_head (rig->broker), head);
    pass (rig, 1000, "a", "l");
    assert_int_equal (tide_broker_head (rig->broker), head + 3);
    assert_int_equal (rig->appends, appends + 1);
    assert_int_equal (standing (rig, "$session/x", "topic/b"), 0);
    assert_int_equal (standing (rig, "$session/y", "topic/b"), 4);
    /*  Who watches can tell whose they were, by each of them. */
    tide_list_t events = rig_read (rig, "$session/x", head, 10)->events;
    tide_event_t event;
    for (unsigned at = 0; at < 3; at++) {
        assert_true (tide_event_next (&events, &event) && event.payload.size == 0);
        assert_true (tide_bytes_is (event.name, "here") && tide_bytes_is (event.from, "sid"));
    }
    /*  And that was all: nothing is due later. */
    bye (rig, "l");
    pass (rig, 600000, "a", NULL);
    assert_int_equal (tide_broker_head (rig->broker), head + 3);
}

static void a_topic_with_more_keys_than_a_batch_goes_in_several (void **state)
{
    tide_rig_t *rig = *state;
    enum { KEYS = 2 * TIDE_BATCH_EVENTS_MAX + 5 };
    char key[16];
    rig_hello (rig, "l", "lane");
    append_leased (rig, "big", "owner", "lane", 0, true);
    for (unsigned at = 0; at < KEYS; at++) {
        snprintf (key, sizeof key, "k%u", at);
        rig_publish_one (rig, "a", "big", key, NULL, "1");
    }
    rig_settle (rig);
    bye (rig, "l");
    pass (rig, 1000, "a", NULL);
    assert_int_equal (tide_keys_count (tide_index_keys (rig->broker->core.index)), 0);
    assert_int_equal (rig->log.last, 2 * (KEYS + 1));
}

static void removals_say_whose_key_it_was_after_a_restart_too (void **state)
{
    tide_rig_t *rig = *state;
    append_leased (rig, "t", "k", "lane", 0, false);
    rig_restart (rig);
    pass (rig, TIDE_LEASE_MS, "a", NULL);
    tide_list_t events = rig_read (rig, "t", 1, 10)->events;
    tide_event_t event;
    assert_true (tide_event_next (&events, &event) && event.payload.size == 0);
    assert_true (tide_bytes_is (event.from, "sid"));
}

static void release_counts_only_for_what_stands (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 1000, false);
    append_leased (rig, "t", "k", "lane", 1000, false);
    release (rig, "t", "k", 1);
    release (rig, "t", "other", 2);
    release (rig, "nowhere", "k", 2);
    assert_int_equal (rig->broker->core.counters.releases, 0);
    pass (rig, 5000, "a", "l");
    assert_int_equal (standing (rig, "t", "k"), 2);
    release (rig, "t", "k", 2);
    pass (rig, 999, "a", "l");
    assert_int_equal (standing (rig, "t", "k"), 2);
    pass (rig, 1, "a", "l");
    assert_int_equal (standing (rig, "t", "k"), 0);
}

static void another_holder_keeps_a_released_key (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 1000, false);
    release (rig, "t", "k", 1);
    rig_hello (rig, "m", "other");
    append_leased (rig, "t", "k", "other", 1000, false);
    pass (rig, 5000, "a", "m");
    assert_int_equal (standing (rig, "t", "k"), 2);
}

/*  The take-over is with the log when the old holder's time is over. */
static void a_removal_never_overtakes_a_new_holder (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    rig_hello (rig, "m", "other");
    append_leased (rig, "t", "k", "lane", 1000, true);
    release (rig, "t", "k", 1);
    rig_expect (rig, "t", "k", 1);
    rig_add (rig, &(tide_event_t){.topic = tide_bytes ("t"),
                                  .name = tide_bytes ("here"),
                                  .key = tide_bytes ("k"),
                                  .lease = tide_bytes ("other"),
                                  .payload = rig_payload ("2")});
    uint64_t request = rig_publish (rig, "a");
    rig_drain (rig);
    rig_tick (rig, 1000);
    rig_tick (rig, 1000);
    assert_int_equal (rig->log.batch->count, 1);
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, request), 2);
    pass (rig, 5000, "a", "m");
    assert_int_equal (standing (rig, "t", "k"), 2);
}

static void a_removal_that_found_the_disk_full_is_tried_again (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 0, false);
    rig->log.status = TIDE_LOG_FULL;
    bye (rig, "l");
    assert_int_equal (standing (rig, "t", "k"), 1);
    pass (rig, 3000, "a", NULL);
    assert_int_equal (standing (rig, "t", "k"), 1);
    rig->log.status = TIDE_OK;
    pass (rig, 1500, "a", NULL);
    assert_int_equal (standing (rig, "t", "k"), 0);
    assert_int_equal (rig->log.last, 2);
}

static void many_keys_that_fall_due_at_once_go_batch_by_batch (void **state)
{
    tide_rig_t *rig = *state;
    enum { KEYS = 10000 };
    char topic[32];
    rig_hello (rig, "l", "lane");
    for (unsigned at = 0; at < KEYS; at++) {
        snprintf (topic, sizeof topic, "$session/%u", at);
        rig_add (rig, &(tide_event_t){.topic = tide_bytes (topic),
                                      .name = tide_bytes ("session"),
                                      .key = tide_bytes ("k"),
                                      .lease = tide_bytes ("lane"),
                                      .payload = rig_payload ("1")});
        rig_publish (rig, "a");
    }
    rig_settle (rig);
    rig_send (rig, "l", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_drain (rig);
    rig_tick (rig, 1);
    /*  While it waits for the log it does not ask to be woken for that. */
    assert_true (tide_broker_deadline_ms (rig->broker) > rig->now_ms);
    rig_settle (rig);
    assert_int_equal (rig->log.last, 2 * KEYS);
    assert_int_equal (tide_keys_count (tide_index_keys (rig->broker->core.index)), 0);
}

static void after_a_restart_each_lease_gets_one_full_period (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 0, false);
    append_leased (rig, "t", "l", "other", 0, false);
    rig->now_ms += 500000;
    rig_restart (rig);
    rig_hello (rig, "l2", "lane");
    pass (rig, TIDE_LEASE_MS - 1, "a", "l2");
    assert_int_equal (standing (rig, "t", "k"), 1);
    assert_int_equal (standing (rig, "t", "l"), 2);
    pass (rig, 1, "a", "l2");
    assert_int_equal (standing (rig, "t", "k"), 1);
    assert_int_equal (standing (rig, "t", "l"), 0);
}

/*  -- the rest -------------------------------------------------------------------------------- */

static void history_is_trimmed_by_age_though_nothing_comes (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->config.retain_ms = 60000;
    rig_restart (rig);
    for (unsigned at = 0; at < 5; at++)
        rig_append (rig, "t", NULL, "1");
    pass (rig, 30000, "a", NULL);
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 5);
    pass (rig, 40000, "a", NULL);
    /*  The newest one stays, so that a reader who is late finds it. */
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 1);
    assert_int_equal (rig_lost (rig_read (rig, "t", 0, 10)), 4);
}

static uint64_t stat (tide_rig_t *rig, const char *name)
{
    rig_send (rig, "a",
              &(tide_message_t){.kind = TIDE_MESSAGE_STATS_READ, .stats_read = {++rig->request}});
    rig_drain (rig);
    const tide_message_t *answer = rig_answer (rig, rig->request);
    assert_int_equal (answer->kind, TIDE_MESSAGE_STATS);
    tide_list_t stats = answer->stats.stats;
    tide_stat_t entry;
    while (tide_stat_next (&stats, &entry))
        if (tide_bytes_is (entry.name, name))
            return entry.value;
    fail_msg ("there is no %s", name);
    return 0;
}

static void counters_count (void **state)
{
    tide_rig_t *rig = *state;
    uint64_t own = 41;
    tide_broker_add_stat (rig->broker, "tidemark_broker_dropped_total", &own);
    own++;
    rig_append (rig, "t", "k", "1");
    rig_append (rig, "$s", "k", "1");
    rig_publish_one (rig, "a", "t", NULL, "id", "1");
    rig_publish_one (rig, "a", "t", NULL, "id", "1");
    rig_publish_one (rig, "a", "t", NULL, "id", "2");
    rig_settle (rig);
    rig_read (rig, "t", 0, 10);
    assert_int_equal (stat (rig, "tidemark_broker_dropped_total"), 42);
    assert_int_equal (stat (rig, "tidemark_broker_publishes_total"), 3);
    assert_int_equal (stat (rig, "tidemark_broker_events_total"), 3);
    assert_int_equal (stat (rig, "tidemark_broker_repeats_total"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_conflicts_total"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_refused_total{code=\"conflict\"}"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_batches_total"), 3);
    assert_int_equal (stat (rig, "tidemark_broker_head"), 3);
    assert_int_equal (stat (rig, "tidemark_broker_floor"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_topics"), 2);
    assert_int_equal (stat (rig, "tidemark_broker_standing_keys"), 2);
    assert_int_equal (stat (rig, "tidemark_broker_ids{class=\"clients\"}"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_history_events{class=\"system\"}"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_pages_total"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_page_events_total"), 2);
    assert_int_equal (stat (rig, "tidemark_broker_peers"), 1);
    assert_int_equal (stat (rig, "tidemark_broker_relayed_total"), 0);
}

static void a_clean_stop_finishes_what_was_taken (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "l", "lane");
    append_leased (rig, "t", "k", "lane", 0, false);
    uint64_t taken = rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    tide_broker_stop (rig->broker, rig->now_ms);
    uint64_t refused = rig_publish_one (rig, "a", "t", NULL, NULL, "2");
    assert_false (tide_broker_is_idle (rig->broker));
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, taken), 2);
    assert_int_equal (rig_refused (rig, refused), TIDE_SHUTTING_DOWN);
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 2);
    /*  Holders that leave together with the broker keep what they hold. */
    bye (rig, "l");
    assert_int_equal (standing (rig, "t", "k"), 1);
    assert_true (tide_broker_is_idle (rig->broker));
}

static void g4_a_broker_that_stops_knows_what_it_has_taken (void **state)
{
    tide_rig_t *rig = *state;
    rig_publish_one (rig, "a", "t", NULL, "durable", "1");
    rig_settle (rig);
    rig_publish_one (rig, "a", "t", NULL, "under way", "2");
    tide_broker_stop (rig->broker, rig->now_ms);
    uint64_t durable = rig_publish_one (rig, "a", "t", NULL, "durable", "1");
    uint64_t under_way = rig_publish_one (rig, "a", "t", NULL, "under way", "2");
    uint64_t other = rig_publish_one (rig, "a", "t", NULL, "durable", "3");
    rig_drain (rig);
    assert_int_equal (rig_acked (rig, durable), 1);
    assert_null (rig_answer (rig, under_way));
    assert_int_equal (rig_refused (rig, other), TIDE_SHUTTING_DOWN);
    rig_settle (rig);
    assert_int_equal (rig_acked (rig, under_way), 2);
    assert_int_equal (rig_read (rig, "t", 0, 10)->events.count, 2);
}

static void an_empty_log_is_served (void **state)
{
    tide_rig_t *rig = *state;
    const tide_page_message_t *page = rig_read (rig, "#", 0, 10);
    assert_int_equal (page->upto + page->head + page->more + page->events.count, 0);
    assert_int_equal (stat (rig, "tidemark_broker_floor"), 1);
    rig_tick (rig, 1000);
    assert_true (tide_broker_is_idle (rig->broker));
}

static void load_strange_records (tide_rig_t *rig, const uint64_t *seqs, size_t count)
{
    tide_buffer_t list = {0};
    rig->broker = tide_broker_new (&rig->config);
    for (size_t at = 0; at < count; at++) {
        tide_event_t event = {.seq = seqs[at],
                              .time_ms = rig->now_ms + 5000,
                              .topic = tide_bytes ("t"),
                              .name = tide_bytes ("msg"),
                              .payload = rig_payload ("1")};
        list.size = 0;
        tide_event_append (&list, &event);
        tide_bytes_t record = {list.data + 4, list.size - 4};
        tide_broker_load (rig->broker, seqs[at], 10, &record);
    }
    tide_buffer_free (&list);
}

/*  Stopped by a signal, or its machine was: what holders said meanwhile has still to be read. */
static void a_broker_that_stood_still_ends_no_lease (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b", "LB");
    append_leased (rig, "x", "kb", "LB", 0, false);
    pass (rig, 1000, "a", "b");
    rig_tick (rig, 15000);
    rig_settle (rig);
    assert_true (standing (rig, "x", "kb") > 0);
    ping (rig, "b");
    assert_int_equal (last_said (rig)->kind, TIDE_MESSAGE_PONG);
    /*  But one that stays silent then is over. */
    pass (rig, TIDE_LEASE_MS + 1000, "a", NULL);
    assert_int_equal (standing (rig, "x", "kb"), 0);
    assert_int_equal (rig->broker->core.counters.pauses, 1);
}

static void a_message_within_a_burst_ends_no_lease (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b", "LB");
    rig_hello (rig, "c", "LC");
    append_leased (rig, "x", "kb", "LB", 0, false);
    rig->now_ms += 15000;
    rig_send (rig, "a",
              &(tide_message_t){.kind = TIDE_MESSAGE_RELEASE,
                                .release = {tide_bytes ("x"), tide_bytes ("none"), 1}});
    rig_send (rig, "c", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    ping (rig, "b");
    rig_settle (rig);
    assert_true (standing (rig, "x", "kb") > 0);
}

/*  A fetch that the log could not serve is no answer. */
static tide_broker_action_t fail_fetch (tide_rig_t *rig, const tide_message_t *message)
{
    rig_append (rig, "t", "k", "1");
    rig_send (rig, "a", message);
    rig_drain (rig);
    assert_int_equal (rig->log.fetch_count, 1);
    tide_log_completion_t completion = {.status = TIDE_SHUTTING_DOWN, .fetch = rig->log.fetch[0]};
    rig->log.fetch_count = 0;
    rig_forget_said (rig);
    tide_broker_complete (rig->broker, rig->now_ms, &completion);
    tide_broker_action_t action;
    assert_true (tide_broker_next_action (rig->broker, &action));
    tide_broker_action_t none;
    assert_false (tide_broker_next_action (rig->broker, &none));
    assert_true (tide_broker_is_idle (rig->broker));
    return action;
}

static void g1_a_read_that_the_log_cannot_serve_stops_the_broker (void **state)
{
    tide_buffer_t wants = {0};
    tide_want_append (&wants, &(tide_want_t){tide_bytes ("t"), 0});
    tide_message_t read = {.kind = TIDE_MESSAGE_READ,
                           .read = {.request = 99, .limit = 10, .wants = tide_list (&wants, 1)}};
    assert_int_equal (fail_fetch (*state, &read).kind, TIDE_BROKER_STOP);
    tide_buffer_free (&wants);
}

static void g6_a_snapshot_that_the_log_cannot_serve_stops_the_broker (void **state)
{
    tide_message_t snapshot = {.kind = TIDE_MESSAGE_SNAPSHOT,
                               .snapshot = {99, tide_bytes ("t"), 0}};
    assert_int_equal (fail_fetch (*state, &snapshot).kind, TIDE_BROKER_STOP);
}

/*  However many publishes wait: they may always be as many as fit. */
static void removals_are_not_starved_by_publishes (void **state)
{
    tide_rig_t *rig = *state;
    rig_hello (rig, "b", "LB");
    append_leased (rig, "x", "kb", "LB", 0, false);
    for (unsigned publish = 0; publish < 100; publish++) {
        for (unsigned at = 0; at < TIDE_PUBLISH_EVENTS_MAX; at++)
            rig_event (rig, "t", NULL, NULL, "1");
        rig_publish (rig, "a");
    }
    rig_send (rig, "b", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_tick (rig, 0);
    assert_true (rig->broker->is_expiry_blocked);
    for (unsigned batch = 0; batch < 3; batch++)
        rig_commit (rig);
    assert_true (tide_sequencer_counts (rig->broker->sequencer).queued > 0);
    assert_int_equal (standing (rig, "x", "kb"), 0);
}

static void g5_a_log_that_told_nothing_is_told_as_lost (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    rig->broker = tide_broker_new (&rig->config);
    tide_broker_start (rig->broker, rig->now_ms, 5);
    rig_hello (rig, "a", "");
    assert_int_equal (rig_lost (rig_read (rig, "t", 2, 10)), 5);
}

static void g5_a_log_with_holes_is_loaded_and_the_holes_are_told (void **state)
{
    tide_rig_t *rig = *state;
    rig_kill (rig);
    const uint64_t seqs[] = {10, 11, 15, 15, 12, 16};
    load_strange_records (rig, seqs, 6);
    tide_bytes_t nonsense = tide_bytes ("nonsense");
    tide_broker_load (rig->broker, 17, 10, &nonsense);
    tide_broker_load (rig->broker, 18, 10, NULL);
    tide_broker_start (rig->broker, rig->now_ms, 18);
    rig_hello (rig, "a", "");
    assert_int_equal (rig_lost (rig_read (rig, "anything", 0, 0)), 18);
    assert_int_equal (rig->broker->core.index != NULL, 1);
    assert_int_equal (tide_index_marks_floor (rig->broker->core.index), 18);
    /*  Time does not fall behind what is in the log. */
    rig_publish_one (rig, "a", "t", NULL, NULL, "1");
    rig_drain (rig);
    assert_int_equal (rig->log.batch->first, 19);
    assert_int_equal (tide_load_u64 (rig->log.batch->records.data + 4 + TIDE_EVENT_TIME_AT),
                      rig->now_ms + 5000);
}

int main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST (hello_is_answered_by_where_the_log_stands),
        TEST (who_has_not_said_hello_is_told_so),
        TEST (what_cannot_be_read_is_answered),
        TEST (every_prefix_of_a_message_is_answered_and_harmless),
        TEST (silent_peers_are_forgotten),
        TEST (no_more_than_so_many_peers_are_taken),
        TEST (a_leased_key_stands_while_its_holder_speaks),
        TEST (leaving_removes_after_the_linger),
        TEST (a_key_that_owns_its_topic_takes_all_others_along),
        TEST (a_topic_with_more_keys_than_a_batch_goes_in_several),
        TEST (removals_say_whose_key_it_was_after_a_restart_too),
        TEST (release_counts_only_for_what_stands),
        TEST (another_holder_keeps_a_released_key),
        TEST (a_removal_never_overtakes_a_new_holder),
        TEST (a_removal_that_found_the_disk_full_is_tried_again),
        TEST (many_keys_that_fall_due_at_once_go_batch_by_batch),
        TEST (after_a_restart_each_lease_gets_one_full_period),
        TEST (history_is_trimmed_by_age_though_nothing_comes),
        TEST (counters_count),
        TEST (a_clean_stop_finishes_what_was_taken),
        TEST (g4_a_broker_that_stops_knows_what_it_has_taken),
        TEST (an_empty_log_is_served),
        TEST (g5_a_log_with_holes_is_loaded_and_the_holes_are_told),
        TEST (a_broker_that_stood_still_ends_no_lease),
        TEST (a_message_within_a_burst_ends_no_lease),
        TEST (g1_a_read_that_the_log_cannot_serve_stops_the_broker),
        TEST (g6_a_snapshot_that_the_log_cannot_serve_stops_the_broker),
        TEST (removals_are_not_starved_by_publishes),
        TEST (g5_a_log_that_told_nothing_is_told_as_lost),
    };
    return cmocka_run_group_tests_name ("tide_broker", tests, NULL, NULL);
}
