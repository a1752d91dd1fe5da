/*  test_tide_subscriptions_model.c - subscriptions beside a broker by chance: frames are lost,
 *  brokers killed, logs replaced, history trimmed, readers slow, subscriptions begun and ended.
 *
 *  Checked of each subscription: what it is told is in order and comes once; between two positions
 *  at which it was whole nothing is missing, or a reset was said; and what it has folded together
 *  is, when all has come to rest, what stands.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_reading_rig.h"
#include "tide_topic.h"

enum { SEEDS = 150, STEPS = 400, READERS = 6, KEYS = 4, LOG_MAX = 4000 };

static const char *const topics[] = {"a", "a/b", "a/b/c", "ab", "$s/x"};
static const char *const patterns[] = {"a", "a/#", "a/b/#", "ab", "#", "$s/#", "a/b/c"};
enum { TOPICS = sizeof topics / sizeof topics[0], PATTERNS = sizeof patterns / sizeof patterns[0] };

/*  A reader that folds what it is told. */
typedef struct {
    tide_subscription_t *subscription;
    const char *pattern;
    bool is_whole;  /* it was told where it stands */
    bool has_state; /* … by what stood there, so that its state can be compared */
    uint64_t last;  /* the last sequence that it was told, or at which it joined */
    uint64_t floor; /* it was promised what comes behind this; UINT64_MAX: not known yet */
    uint64_t state[TOPICS][KEYS];
} reader_t;

/*  All that was ever appended to the present log. */
typedef struct {
    uint8_t topic, key; /* KEYS: none */
    bool is_removal;
} logged_t;

typedef struct {
    reading_t reading;
    uint64_t random;
    unsigned loss; /* percent */
    reader_t readers[READERS];
    logged_t logged[LOG_MAX];
    uint64_t epochs;
    unsigned resets, events;
} model_t;

static unsigned roll (model_t *model, unsigned count)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (unsigned) (model->random >> 33) % count;
}

static bool loses (void *argument)
{
    model_t *model = argument;
    return roll (model, 100) < model->loss;
}

static bool matches (const char *pattern, unsigned topic)
{
    return tide_pattern_matches (tide_bytes (pattern), tide_bytes (topics[topic]));
}

/*  -- what happens ---------------------------------------------------------------------------- */

static void publish (model_t *model)
{
    tide_rig_t *rig = &model->reading.broker;
    unsigned count = 1 + roll (model, 4);
    logged_t made[4];
    char key[8];
    if (rig->log.last + 10 > LOG_MAX)
        return;
    for (unsigned at = 0; at < count; at++) {
        made[at] = (logged_t){(uint8_t) roll (model, TOPICS), (uint8_t) roll (model, KEYS + 2),
                              roll (model, 3) == 0};
        if (made[at].key >= KEYS)
            made[at] = (logged_t){made[at].topic, KEYS, false};
        snprintf (key, sizeof key, "k%u", made[at].key);
        rig_event (rig, topics[made[at].topic], made[at].key < KEYS ? key : NULL, NULL,
                   made[at].is_removal ? NULL : "1");
    }
    rig_publish (rig, "a");
    rig_settle (rig);
    for (unsigned at = 0; at < count; at++)
        model->logged[rig->log.last - count + 1 + at] = made[at];
}

static void begin_reader (model_t *model, reader_t *reader)
{
    char since[40];
    uint64_t last = model->reading.broker.log.last;
    uint64_t seq = roll (model, (unsigned) last + 1);
    *reader = (reader_t){.pattern = patterns[roll (model, PATTERNS)], .floor = UINT64_MAX};
    const char *const kinds[] = {"live", "start", "snapshot", since};
    unsigned kind = roll (model, 4);
    snprintf (since, sizeof since, "%016llx:%llu",
              (unsigned long long) model->reading.broker.config.epoch, (unsigned long long) seq);
    if (kind == 1 || kind == 3) {
        reader->floor = reader->last = kind == 3 ? seq : 0;
        reader->is_whole = true;
        reader->has_state = kind == 1;
    }
    tide_begin_t begin;
    assert_true (tide_begin_parse (kinds[kind], &begin));
    reader->has_state = reader->has_state || kind == 2;
    reader->subscription = tide_subscriptions_add (
        model->reading.subscriptions, tide_bytes (reader->pattern), &begin, false, reader);
    assert_non_null (reader->subscription);
}

static void end_reader (model_t *model, reader_t *reader)
{
    tide_subscriptions_remove (model->reading.subscriptions, &reader->subscription);
}

/*  -- what is told ---------------------------------------------------------------------------- */

static unsigned topic_at (tide_bytes_t topic)
{
    unsigned at = 0;
    while (!tide_bytes_is (topic, topics[at]))
        at++;
    assert_true (at < TOPICS);
    return at;
}

/*  Nothing of its topics lies between the two, both not counted. */
static void nothing_between (const model_t *model, const reader_t *reader, uint64_t low,
                             uint64_t high)
{
    for (uint64_t seq = low + 1; seq < high; seq++)
        assert_false (matches (reader->pattern, model->logged[seq].topic));
}

static void fold (reader_t *reader, const tide_told_t *told)
{
    unsigned topic = topic_at (told->event.topic);
    assert_true (matches (reader->pattern, topic));
    assert_true (told->event.seq == told->seq);
    if (told->event.key.size > 0)
        reader->state[topic][told->event.key.data[1] - '0'] =
            told->event.payload.size > 0 ? told->seq : 0;
}

static void hear (model_t *model, const tide_told_t *told)
{
    reader_t *reader = told->handle;
    bool is_now = told->epoch == model->reading.broker.config.epoch;
    switch (told->kind) {
    case TIDE_TOLD_EVENT:
        assert_true (reader->is_whole);
        assert_true (told->seq > reader->last);
        if (is_now)
            nothing_between (model, reader, reader->last, told->seq);
        reader->last = told->seq;
        fold (reader, told);
        model->events++;
        break;
    case TIDE_TOLD_STANDING:
        assert_true (!reader->is_whole);
        fold (reader, told);
        break;
    case TIDE_TOLD_RESET:
        memset (reader->state, 0, sizeof reader->state);
        reader->is_whole = false;
        reader->has_state = true;
        reader->last = 0;
        model->resets++;
        break;
    case TIDE_TOLD_JOINED:
        assert_true (told->seq >= reader->last);
        if (is_now && reader->is_whole)
            nothing_between (model, reader, reader->last, told->seq + 1);
        reader->is_whole = true;
        reader->last = told->seq;
        break;
    case TIDE_TOLD_ENDED:
        assert_true (false);
    }
}

static bool take_one (model_t *model)
{
    tide_told_t *told = tide_subscriptions_take (model->reading.subscriptions);
    if (!told)
        return false;
    hear (model, told);
    tide_subscriptions_let (model->reading.subscriptions, &told);
    return true;
}

/*  -- at rest --------------------------------------------------------------------------------- */

static void check_rest (model_t *model)
{
    reading_t *reading = &model->reading;
    model->loss = 0;
    reading->is_cut = reading->is_deaf = reading->is_late = false;
    reading_hello (reading);
    reading_settle (reading);
    reading_pass (reading, 4000);
    while (take_one (model))
        reading_settle (reading);
    uint64_t head = reading->broker.log.last;
    for (unsigned at = 0; at < READERS; at++) {
        const reader_t *reader = &model->readers[at];
        if (!reader->subscription)
            continue;
        assert_true (reader->is_whole);
        nothing_between (model, reader, reader->last, head + 1);
        for (unsigned topic = 0; topic < TOPICS && reader->has_state; topic++)
            for (unsigned key = 0; key < KEYS; key++) {
                char name[8];
                snprintf (name, sizeof name, "k%u", key);
                uint64_t standing =
                    tide_index_standing (reading->broker.broker->core.index,
                                         tide_bytes (topics[topic]), tide_bytes (name));
                assert_true (reader->state[topic][key]
                             == (matches (reader->pattern, topic) ? standing : 0));
            }
    }
    tide_subscriptions_counters_t counters = tide_subscriptions_counters (reading->subscriptions);
    assert_true (counters.waiting == 0 && counters.waiting_size == 0);
}

static void step (model_t *model)
{
    reading_t *reading = &model->reading;
    reader_t *reader = &model->readers[roll (model, READERS)];
    unsigned chance = roll (model, 100);
    if (chance < 50)
        publish (model);
    else if (chance < 56 && !reader->subscription)
        begin_reader (model, reader);
    else if (chance < 57 && reader->subscription)
        end_reader (model, reader);
    else if (chance < 58)
        reading->is_cut = !reading->is_cut;
    else if (chance < 59)
        reading_restart (reading, reading->broker.config.epoch);
    else if (chance < 60 && roll (model, 4) == 0) {
        memset (model->logged, 0, sizeof model->logged);
        reading_restart (reading, ++model->epochs);
    }
    else if (chance < 64)
        reading_pass (reading, 1000);
    else
        take_one (model);
    if (roll (model, 4) == 0)
        reading->is_late = !reading->is_late;
    /*  What is asked may wait while more happens. */
    if (roll (model, 3) > 0)
        reading_settle (reading);
    size_t readers_max = READERS * (8 + 2 + TOPICS * KEYS + 8);
    assert_true (tide_subscriptions_counters (reading->subscriptions).waiting <= readers_max);
}

static void run (uint64_t seed, unsigned *resets, unsigned *events)
{
    model_t *model = tide_alloc (sizeof *model);
    model->random = (seed + 1) * UINT64_C (0x9e3779b97f4a7c15);
    model->loss = roll (model, 4) * 20;
    model->epochs = 1000;
    reading_new (&model->reading);
    model->reading.loses = loses;
    model->reading.argument = model;
    tide_subscriptions_shrink (model->reading.subscriptions, 8, 1u << 20);
    model->reading.broker.segment_events = 8 + roll (model, 60);
    model->reading.broker.segments_max = 8;
    model->reading.broker.config.retain_events = 20 + roll (model, 400);
    reading_start (&model->reading);
    for (unsigned at = 0; at < STEPS; at++)
        step (model);
    check_rest (model);
    *resets += model->resets;
    *events += model->events;
    reading_free (&model->reading);
    free (model);
}

static void nothing_is_missed_and_nothing_told_twice (void **state)
{
    (void) state;
    const char *only = getenv ("TIDE_SEED");
    unsigned resets = 0, events = 0;
    for (uint64_t seed = only ? strtoull (only, NULL, 10) : 0; seed < SEEDS || only; seed++) {
        if (only || getenv ("TIDE_VERBOSE"))
            print_message ("seed %llu\n", (unsigned long long) seed);
        run (seed, &resets, &events);
        if (only)
            return;
    }
    /*  It was about something. */
    assert_true (resets > 50 && events > 5000);
}

int main (void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test (nothing_is_missed_and_nothing_told_twice)};
    return cmocka_run_group_tests (tests, NULL, NULL);
}
