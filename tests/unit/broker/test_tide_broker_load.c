/*  test_tide_broker_load.c - how long it takes to know a million events again.
 *
 *  Prints what it measures. The limits are those of a build without sanitizers, far above what is
 *  usual, so that a busy machine does not fail it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

#include <time.h>

enum { EVENTS = 1000000, SEGMENT = 65536 };

static double cpu_seconds (void)
{
    struct timespec now;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/*  A hundred topics with a hundred keys each, and an id for each event. */
static size_t *make_records (tide_buffer_t *records)
{
    static uint8_t payload[128] = {1, 0};
    size_t *ends = tide_alloc ((EVENTS + 1) * sizeof *ends);
    char topic[32], key[32], id[64];
    memset (payload + 2, '1', sizeof payload - 2);
    for (unsigned at = 0; at < EVENTS; at++) {
        snprintf (topic, sizeof topic, "room/%u", at % 100);
        snprintf (key, sizeof key, "k%u", at / 100 % 100);
        snprintf (id, sizeof id, "lane-1-%u", at);
        tide_event_t event = {.seq = at + 1,
                              .time_ms = 1700000000000 + at,
                              .topic = tide_bytes (topic),
                              .name = tide_bytes ("msg"),
                              .key = tide_bytes (key),
                              .id = tide_bytes (id),
                              .user = tide_bytes ("somebody"),
                              .payload = {payload, sizeof payload}};
        tide_event_append (records, &event);
        ends[at + 1] = records->size;
    }
    return ends;
}

static void a_million_events_are_indexed_in_little_time (void **state)
{
    (void) state;
    tide_rig_t rig;
    tide_buffer_t records = {0};
    size_t *ends = make_records (&records);
    rig_new (&rig);
    rig.config.dedupe_ids = EVENTS;
    double begin = cpu_seconds ();
    rig.broker = tide_broker_new (&rig.config);
    for (unsigned at = 0; at < EVENTS; at++) {
        tide_bytes_t record = {records.data + ends[at] + 4, ends[at + 1] - ends[at] - 4};
        tide_broker_load (rig.broker, at + 1, at / SEGMENT * SEGMENT + 1, &record);
    }
    tide_broker_start (rig.broker, rig.now_ms, EVENTS);
    double seconds = cpu_seconds () - begin;
    print_message ("a million events: %.3f s of processor time\n", seconds);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true (seconds < 1.5);
#endif
    assert_int_equal (tide_broker_head (rig.broker), EVENTS);
    assert_int_equal (tide_index_class (rig.broker->core.index, TIDE_CLIENTS)->events, EVENTS);
    assert_int_equal (tide_keys_count (tide_index_keys (rig.broker->core.index)), 10000);
    assert_int_equal (tide_ids_count (rig.broker->core.ids[TIDE_CLIENTS]), EVENTS);
    rig_free (&rig);
    tide_buffer_free (&records);
    free (ends);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (a_million_events_are_indexed_in_little_time),
    };
    return cmocka_run_group_tests_name ("tide_broker_load", tests, NULL, NULL);
}
