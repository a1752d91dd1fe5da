/*  test_tide_broker_model.c - the broker against a simple model of it, over random steps.
 *
 *  The model keeps every event that was ever accepted in an array and answers each question by
 *  looking through all of them. Steps publish, commit, fill the disk, kill, read; a failure prints
 *  its seed. TIDE_SEED and TIDE_SEEDS choose the first seed and how many.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_broker_rig.h"

#include "tide_topic.h"

enum { TOPICS = 640, FIXED_TOPICS = 12, KEYS = 6, WAITING_MAX = 512, STEPS = 2000 };

typedef struct {
    uint64_t seq;
    int topic, key; /* key -1: none */
    bool removes, has_lease, owns;
    int id; /* -1: none */
    unsigned content;
} record_t;

typedef enum { ACKED, REPEATED, CONFLICT } verdict_t;

typedef struct {
    uint64_t request, seq, behind;
    uint32_t count;
    verdict_t verdict;
} waiting_t;

typedef struct {
    tide_rig_t rig;
    uint64_t random;
    record_t *records; /* all that were accepted; record[n] has sequence n + 1 */
    size_t count, capacity;
    size_t durable;  /* of them */
    size_t in_batch; /* of them that were seen in a batch */
    waiting_t waiting[WAITING_MAX];
    size_t waiting_count;
    uint64_t marked; /* the last mark's `to` */
    int next_id, churn;
    char topics[TOPICS][24];
} model_t;

static uint64_t roll (model_t *model, uint64_t sides)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % sides;
}

static unsigned class_of (const model_t *model, int topic)
{
    return tide_topics_class (tide_bytes (model->topics[topic]));
}

/*  -- the model's answers --------------------------------------------------------------------- */

/*  The latest event on the key among the first `count`: its sequence, 0 if none stands. */
static uint64_t model_standing (const model_t *model, size_t count, int topic, int key)
{
    for (size_t at = count; at-- > 0;)
        if (model->records[at].topic == topic && model->records[at].key == key)
            return model->records[at].removes ? 0 : model->records[at].seq;
    return 0;
}

/*  The first sequence of the newest `retained` durable events of a class: history that must be
 *  there. 0 if all of it must. */
static uint64_t model_floor (const model_t *model, unsigned class)
{
    tide_index_config_t config = {.retain_events = model->rig.config.retain_events};
    uint64_t left = tide_index_events_max (&config, class);
    for (size_t at = model->durable; at-- > 0;)
        if (class_of (model, model->records[at].topic) == class && --left == 0)
            return model->records[at].seq;
    return 0;
}

static const record_t *model_id (const model_t *model, int id)
{
    for (size_t at = model->count; at-- > 0;)
        if (model->records[at].id == id)
            return &model->records[at];
    return NULL;
}

static int topic_of_name (const model_t *model, tide_bytes_t name)
{
    size_t prefix = name.data[0] == 'c' ? 2 : name.size > 5 && name.data[3] == 'c' ? 5 : 0;
    if (prefix > 0)
        return atoi ((const char *) name.data + prefix);
    for (int topic = 0; topic < TOPICS; topic++)
        if (tide_bytes_is (name, model->topics[topic]))
            return topic;
    fail ();
    return -1;
}

static int number_of (tide_bytes_t text)
{
    return text.size > 0 ? atoi ((const char *) text.data + 1) : -1;
}

/*  The same event, as it was published and as it came back. */
static void check_event (const model_t *model, const tide_event_t *event)
{
    assert_in_range (event->seq, 1, model->durable);
    const record_t *record = &model->records[event->seq - 1];
    assert_true (tide_bytes_is (event->topic, model->topics[record->topic]));
    char key[16] = "", json[32];
    if (record->key >= 0)
        snprintf (key, sizeof key, "k%d", record->key);
    assert_true (tide_bytes_is (event->key, key));
    tide_args_t args;
    if (event->payload.size == 0) {
        assert_true (record->removes);
        return;
    }
    assert_int_equal (tide_args_decode (event->payload, &args), TIDE_OK);
    snprintf (json, sizeof json, "%u", record->content);
    assert_true (tide_bytes_is (args.json, json));
}

/*  -- publishing ------------------------------------------------------------------------------ */

static void push_record (model_t *model, record_t record)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity > 0 ? model->capacity * 2 : 4096;
        model->records = tide_realloc (model->records, model->capacity * sizeof record);
    }
    record.seq = model->count + 1;
    model->records[model->count++] = record;
}

static void add_to_publish (model_t *model, const record_t *record)
{
    char key[16] = "", id[16] = "", json[32];
    if (record->key >= 0)
        snprintf (key, sizeof key, "k%d", record->key);
    if (record->id >= 0)
        snprintf (id, sizeof id, "i%d", record->id);
    snprintf (json, sizeof json, "%u", record->content);
    rig_add (&model->rig, &(tide_event_t){.topic = tide_bytes (model->topics[record->topic]),
                                          .name = tide_bytes ("msg"),
                                          .key = tide_bytes (key),
                                          .id = tide_bytes (id),
                                          .from = tide_bytes (model->topics[record->topic]),
                                          .lease = tide_bytes (record->has_lease ? "lane" : ""),
                                          .linger_ms = record->content % 5000,
                                          .flags = record->owns ? TIDE_EVENT_OWNS_TOPIC : 0,
                                          .payload = rig_payload (record->removes ? NULL : json)});
}

static int choose_topic (model_t *model)
{
    if (roll (model, 3) > 0)
        return (int) roll (model, FIXED_TOPICS);
    /*  Topics that come and go, and now and then come again. */
    if (roll (model, 6) == 0)
        return FIXED_TOPICS + (int) roll (model, (uint64_t) model->churn + 1);
    model->churn = (model->churn + 1) % (TOPICS - FIXED_TOPICS);
    return FIXED_TOPICS + model->churn;
}

static void wait_for (model_t *model, waiting_t waiting)
{
    assert_true (model->waiting_count < WAITING_MAX);
    model->waiting[model->waiting_count++] = waiting;
}

static record_t make_record (model_t *model, bool has_id)
{
    record_t record = {.topic = choose_topic (model), .key = -1, .id = -1};
    record.content = (unsigned) roll (model, 100000);
    if (roll (model, record.topic < FIXED_TOPICS ? 2 : 8) == 0) {
        record.key = (int) roll (model, KEYS);
        record.removes = roll (model, 5) == 0;
        record.has_lease = !record.removes && roll (model, 4) == 0;
        record.owns = record.has_lease && roll (model, 3) == 0;
    }
    if (has_id)
        record.id = model->next_id++;
    return record;
}

/*  Conditions on random keys, mostly right ones. */
static void add_expects (model_t *model, waiting_t *waiting)
{
    for (uint64_t left = roll (model, 4) == 0 ? 1 + roll (model, 3) : 0; left > 0; left--) {
        int topic = choose_topic (model);
        int key = (int) roll (model, KEYS);
        uint64_t stands = model_standing (model, model->count, topic, key);
        bool is_wrong = roll (model, 5) == 0;
        char name[16];
        snprintf (name, sizeof name, "k%d", key);
        rig_expect (&model->rig, model->topics[topic], name, stands + is_wrong);
        if (!is_wrong || waiting->verdict == CONFLICT)
            continue;
        waiting->verdict = CONFLICT;
        waiting->seq = stands;
        /*  Behind the last event that touched the key, if that is not durable. */
        for (size_t at = model->durable; at < model->count; at++)
            if (model->records[at].topic == topic && model->records[at].key == key)
                waiting->behind = model->records[at].seq;
    }
}

static void step_publish (model_t *model)
{
    waiting_t waiting = {.verdict = ACKED};
    record_t records[4];
    waiting.count = 1 + (uint32_t) roll (model, 4);
    bool has_ids = roll (model, 5) < 2;
    add_expects (model, &waiting);
    for (uint32_t at = 0; at < waiting.count; at++) {
        records[at] = make_record (model, has_ids);
        add_to_publish (model, &records[at]);
    }
    waiting.request = rig_publish (&model->rig, "a");
    if (waiting.verdict == ACKED) {
        waiting.seq = model->count + 1;
        waiting.behind = model->count + waiting.count;
        for (uint32_t at = 0; at < waiting.count; at++)
            push_record (model, records[at]);
    }
    wait_for (model, waiting);
}

/*  One of the latest events with an id again, with the same or other content. */
static void step_repeat (model_t *model)
{
    if (model->next_id == 0)
        return;
    int id = model->next_id - 1 - (int) roll (model, 10);
    const record_t *known = id >= 0 ? model_id (model, id) : NULL;
    if (!known || known->seq < model_floor (model, class_of (model, known->topic)))
        return;
    record_t again = *known;
    waiting_t waiting = {.verdict = REPEATED, .count = 1};
    waiting.seq = waiting.behind = known->seq;
    if (!again.removes && roll (model, 4) == 0) {
        again.content++;
        waiting.verdict = CONFLICT;
    }
    add_to_publish (model, &again);
    if (roll (model, 5) == 0) {
        /*  With one that is new: neither a repetition nor new. */
        record_t other = make_record (model, true);
        add_to_publish (model, &other);
        waiting.verdict = CONFLICT;
        waiting.count = 2;
    }
    waiting.request = rig_publish (&model->rig, "a");
    wait_for (model, waiting);
}

/*  -- what the broker did --------------------------------------------------------------------- */

/*  A batch was handed over: what is in it beyond what was published are removals by the broker. */
static void see_batch (model_t *model)
{
    const tide_log_batch_t *batch = model->rig.log.batch;
    if (!batch || batch->first + batch->count - 1 <= model->in_batch)
        return;
    tide_list_t list = tide_list (&batch->records, batch->count);
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        if (event.seq <= model->count) {
            assert_true (
                tide_bytes_is (event.topic, model->topics[model->records[event.seq - 1].topic]));
            continue;
        }
        int topic = topic_of_name (model, event.topic);
        int key = number_of (event.key);
        uint64_t stands = model_standing (model, model->count, topic, key);
        assert_true (stands > 0 && event.payload.size == 0 && event.id.size == 0);
        assert_true (tide_bytes_is (event.name, "msg"));
        assert_true (tide_bytes_equal (event.from, event.topic));
        push_record (model, (record_t){.topic = topic, .key = key, .removes = true, .id = -1});
    }
    model->in_batch = batch->first + batch->count - 1;
    assert_int_equal (model->in_batch, model->count);
}

/*  Every answer that is due is there, is right, and none that is not. */
static void check_answers (model_t *model, bool is_full)
{
    size_t left = 0;
    for (size_t at = 0; at < model->waiting_count; at++) {
        waiting_t *waiting = &model->waiting[at];
        const tide_message_t *answer = rig_answer (&model->rig, waiting->request);
        bool is_due = waiting->behind <= model->durable;
        if (!is_due && !is_full) {
            assert_null (answer);
            model->waiting[left++] = *waiting;
            continue;
        }
        assert_non_null (answer);
        if (!is_due)
            assert_int_equal (answer->fail.code, TIDE_LOG_FULL);
        else if (waiting->verdict == CONFLICT) {
            assert_int_equal (answer->kind, TIDE_MESSAGE_FAIL);
            assert_int_equal (answer->fail.code, TIDE_CONFLICT);
            assert_int_equal (answer->fail.seq, waiting->seq);
        }
        else {
            assert_int_equal (answer->kind, TIDE_MESSAGE_ACK);
            assert_int_equal (answer->ack.first, waiting->seq);
            assert_int_equal (answer->ack.count, waiting->count);
            assert_int_equal (answer->ack.repeated, waiting->verdict == REPEATED);
        }
    }
    model->waiting_count = left;
}

static void check_mark (model_t *model, tide_list_t marks)
{
    tide_mark_t mark;
    tide_touched_t touched;
    while (tide_mark_next (&marks, &mark)) {
        assert_int_equal (mark.from, model->marked);
        assert_true (mark.to >= mark.from && mark.to <= model->durable);
        uint64_t listed = 0;
        while (tide_touched_next (&mark.topics, &touched)) {
            int topic = topic_of_name (model, touched.topic);
            for (size_t at = 0; at < touched.offsets.size; at += 4, listed++) {
                uint64_t seq = mark.from + tide_load_u32 (touched.offsets.data + at);
                assert_in_range (seq, mark.from + 1, mark.to);
                assert_int_equal (model->records[seq - 1].topic, topic);
            }
        }
        assert_int_equal (listed, mark.to - mark.from);
        model->marked = mark.to;
    }
}

/*  All that was published is durable; each mark goes on where the one before ended. */
static void check_published (model_t *model)
{
    for (size_t at = 0; at < model->rig.said_count; at++) {
        const tide_said_t *said = model->rig.said[at];
        if (said->kind != TIDE_BROKER_PUBLISH)
            continue;
        if (said->message.kind == TIDE_MESSAGE_MARKED)
            check_mark (model, said->message.marked.marks);
        tide_list_t events = said->message.events.events;
        tide_event_t event;
        while (said->message.kind == TIDE_MESSAGE_EVENTS && tide_event_next (&events, &event)) {
            check_event (model, &event);
            assert_true (event.seq > model->marked);
        }
    }
}

static void check_said (model_t *model, bool is_full)
{
    check_answers (model, is_full);
    check_published (model);
    rig_forget_said (&model->rig);
}

static void step_drain (model_t *model)
{
    rig_drain (&model->rig);
    see_batch (model);
    check_said (model, false);
}

static void step_commit (model_t *model)
{
    step_drain (model);
    if (!model->rig.log.batch)
        return;
    model->durable = model->in_batch;
    rig_commit (&model->rig);
    see_batch (model);
    check_said (model, false);
    assert_int_equal (tide_broker_head (model->rig.broker), model->durable);
}

static void step_settle (model_t *model)
{
    step_drain (model);
    while (model->rig.log.batch)
        step_commit (model);
}

static void step_full (model_t *model)
{
    step_drain (model);
    if (!model->rig.log.batch)
        return;
    model->rig.log.status = TIDE_LOG_FULL;
    rig_commit (&model->rig);
    model->rig.log.status = TIDE_OK;
    model->count = model->in_batch = model->durable;
    check_said (model, true);
    step_drain (model);
}

static void step_kill (model_t *model)
{
    tide_log_completion_t completion;
    step_drain (model);
    /*  Sometimes between the commit and the broker's hearing of it. */
    if (roll (model, 2) == 0 && fake_commit (&model->rig.log, &completion)) {
        tide_log_batch_destroy (&completion.batch);
        model->durable = model->in_batch;
    }
    model->count = model->in_batch = model->durable;
    model->waiting_count = 0;
    rig_forget_said (&model->rig);
    rig_restart (&model->rig);
    model->marked = model->durable;
    assert_int_equal (tide_broker_head (model->rig.broker), model->durable);
    rig_forget_said (&model->rig);
}

static void step_time (model_t *model)
{
    step_settle (model);
    if (roll (model, 3) == 0)
        rig_hello (&model->rig, "l", "lane");
    if (roll (model, 6) == 0)
        rig_send (&model->rig, "l", &(tide_message_t){.kind = TIDE_MESSAGE_BYE});
    rig_tick (&model->rig, roll (model, 6000));
    rig_hello (&model->rig, "a", "");
    step_settle (model);
}

/*  -- reading --------------------------------------------------------------------------------- */

static const char *const patterns[] = {"#",    "r/#", "r/a", "t0", "t1",     "$s/#",
                                       "$s/1", "@p",  "c/#", "t2", "$s/x/#", "nowhere"};

/*  A subtree, a topic, or one of those that come and go. */
static const char *choose_pattern (model_t *model)
{
    if (roll (model, 3) == 0)
        return model->topics[FIXED_TOPICS + roll (model, (uint64_t) model->churn + 1)];
    return patterns[roll (model, sizeof patterns / sizeof patterns[0])];
}

typedef struct {
    const char *pattern;
    uint64_t since, lost;
} wanted_t;

static bool is_wanted (const model_t *model, const wanted_t *wanted, const record_t *record)
{
    return record->seq > wanted->since
           && tide_pattern_matches (tide_bytes (wanted->pattern),
                                    tide_bytes (model->topics[record->topic]));
}

/*  The page gives what it must, nothing else, in order. */
static void check_page (const model_t *model, const tide_page_message_t *page, wanted_t *wanted,
                        size_t count)
{
    tide_list_t lost = page->lost;
    tide_want_t want;
    for (size_t at = 0; at < count; at++)
        wanted[at].lost = 0;
    while (tide_want_next (&lost, &want))
        for (size_t at = 0; at < count; at++)
            if (tide_bytes_is (want.topic, wanted[at].pattern) && want.seq > wanted[at].since)
                wanted[at].lost = want.seq;
    for (size_t at = 0; at < count; at++) {
        unsigned class = tide_topics_class (tide_bytes (wanted[at].pattern));
        uint64_t floor = model_floor (model, class);
        assert_true (wanted[at].lost == 0 || wanted[at].lost < floor);
    }
    tide_list_t events = page->events;
    tide_event_t event = {0};
    bool more = tide_event_next (&events, &event);
    for (size_t each = 0; each < model->durable; each++) {
        const record_t *record = &model->records[each];
        bool may = false, must = false;
        for (size_t at = 0; at < count; at++) {
            bool is = is_wanted (model, &wanted[at], record);
            may = may || is;
            must = must || (is && record->seq > wanted[at].lost && record->seq <= page->upto);
        }
        bool is_there = more && event.seq == record->seq;
        assert_true (!must || is_there);
        assert_true (!is_there || may);
        if (is_there) {
            check_event (model, &event);
            more = tide_event_next (&events, &event);
        }
    }
    assert_false (more);
}

static void step_read (model_t *model)
{
    wanted_t wanted[4];
    tide_buffer_t wants = {0};
    uint32_t count = 1 + (uint32_t) roll (model, 4);
    uint64_t lowest = UINT64_MAX;
    for (uint32_t at = 0; at < count; at++) {
        wanted[at].pattern = choose_pattern (model);
        wanted[at].since = roll (model, model->durable + 1);
        lowest = lowest < wanted[at].since ? lowest : wanted[at].since;
        for (uint32_t before = 0; before < at; before++)
            if (wanted[before].pattern == wanted[at].pattern)
                wanted[at].since = wanted[before].since;
        tide_want_append (&wants,
                          &(tide_want_t){tide_bytes (wanted[at].pattern), wanted[at].since});
    }
    uint32_t limit = (uint32_t) roll (model, 4) == 0 ? (uint32_t) roll (model, 5) : 1000;
    tide_message_t message = {.kind = TIDE_MESSAGE_READ,
                              .read = {.request = ++model->rig.request,
                                       .limit = limit,
                                       .size_max = roll (model, 5) == 0 ? 300 : 0,
                                       .wants = tide_list (&wants, count)}};
    uint64_t request = model->rig.request;
    rig_send (&model->rig, "a", &message);
    tide_buffer_free (&wants);
    /*  Much may happen before the log answers. */
    rig_drain (&model->rig);
    see_batch (model);
    if (rig_answer (&model->rig, request) == NULL)
        for (uint64_t left = roll (model, 3) == 0 ? roll (model, 30) : 0; left > 0; left--) {
            step_publish (model);
            step_commit (model);
        }
    while (rig_fetch (&model->rig))
        continue;
    see_batch (model);
    const tide_message_t *answer = rig_answer (&model->rig, request);
    assert_true (answer && answer->kind == TIDE_MESSAGE_PAGE);
    const tide_page_message_t *page = &answer->page;
    assert_true (page->head <= model->durable);
    assert_true (page->more || page->upto == page->head);
    assert_true (!page->more || page->upto < page->head);
    assert_true (page->upto >= lowest);
    assert_true (page->events.count <= limit);
    assert_true (limit == 0 || !page->more || page->events.count > 0);
    check_page (model, page, wanted, count);
    check_said (model, false);
}

typedef struct {
    model_t *model;
    const char *pattern;
    size_t count;
} standing_t;

static void check_standing (void *argument, const tide_event_t *event)
{
    standing_t *standing = argument;
    model_t *model = standing->model;
    check_event (model, event);
    const record_t *record = &model->records[event->seq - 1];
    assert_int_equal (model_standing (model, model->durable, record->topic, record->key),
                      record->seq);
    assert_true (tide_pattern_matches (tide_bytes (standing->pattern), event->topic));
    standing->count++;
}

static size_t count_standing (const model_t *model, const char *pattern)
{
    static bool seen[TOPICS][KEYS];
    size_t count = 0;
    memset (seen, 0, sizeof seen);
    for (size_t at = model->durable; at-- > 0;) {
        const record_t *record = &model->records[at];
        if (record->key < 0 || seen[record->topic][record->key])
            continue;
        seen[record->topic][record->key] = true;
        count += !record->removes
                 && tide_pattern_matches (tide_bytes (pattern),
                                          tide_bytes (model->topics[record->topic]));
    }
    return count;
}

static void step_snapshot (model_t *model)
{
    standing_t standing = {.model = model};
    standing.pattern = choose_pattern (model);
    uint64_t at = rig_snapshot (&model->rig, standing.pattern, check_standing, &standing);
    see_batch (model);
    assert_int_equal (at, model->durable);
    assert_int_equal (standing.count, count_standing (model, standing.pattern));
    check_said (model, false);
}

static void step_marks (model_t *model)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_MARKS_READ,
                              .marks_read = {.request = ++model->rig.request,
                                             .epoch = model->rig.config.epoch,
                                             .since = roll (model, model->durable + 1)}};
    uint64_t live = model->marked;
    step_drain (model);
    live = model->marked;
    rig_send (&model->rig, "a", &message);
    rig_drain (&model->rig);
    const tide_message_t *answer = rig_answer (&model->rig, message.marks_read.request);
    assert_non_null (answer);
    if (answer->kind == TIDE_MESSAGE_FAIL)
        assert_int_equal (answer->fail.code, TIDE_TRIMMED);
    else {
        model->marked = message.marks_read.since;
        check_mark (model, answer->marks.marks);
        assert_int_equal (model->marked, model->durable);
    }
    model->marked = live;
    check_said (model, false);
}

/*  -- runs ------------------------------------------------------------------------------------ */

static void name_topics (model_t *model)
{
    static const char *const names[FIXED_TOPICS] = {"t0",    "t1",   "t2",   "r",  "r/a", "r/b",
                                                    "r/a/x", "$s/0", "$s/1", "@p", "r!",  "$s/x/y"};
    for (int topic = 0; topic < TOPICS; topic++)
        if (topic < FIXED_TOPICS)
            snprintf (model->topics[topic], sizeof model->topics[topic], "%s", names[topic]);
        else
            snprintf (model->topics[topic], sizeof model->topics[topic],
                      topic % 2 ? "c/%d" : "$s/c/%d", topic);
}

static void step (model_t *model)
{
    uint64_t kind = roll (model, 1000);
    if (kind < 450)
        step_publish (model);
    else if (kind < 530)
        step_repeat (model);
    else if (kind < 560)
        step_drain (model);
    else if (kind < 800)
        step_commit (model);
    else if (kind < 870)
        step_read (model);
    else if (kind < 900)
        step_snapshot (model);
    else if (kind < 930)
        step_marks (model);
    else if (kind < 950)
        step_full (model);
    else if (kind < 965)
        step_kill (model);
    else if (kind < 977)
        step_time (model);
    else
        step_settle (model);
    if (model->waiting_count > WAITING_MAX - 8)
        step_settle (model);
}

static void run_seed (uint64_t seed)
{
    model_t *model = tide_alloc (sizeof *model);
    model->random = seed * 0x9e3779b97f4a7c15u + 1;
    name_topics (model);
    rig_new (&model->rig);
    model->rig.config.retain_events = 20 + roll (model, 300);
    model->rig.config.retain_ms = 0;
    model->rig.config.retain_bytes = 0;
    model->rig.config.hash_seed[0] = seed;
    model->rig.segment_events = 8 + (uint32_t) roll (model, 60);
    model->rig.segments_max = 4 + (uint32_t) roll (model, 6);
    model->rig.ghosts_max = (uint32_t) roll (model, 8);
    rig_start (&model->rig);
    rig_hello (&model->rig, "a", "");
    for (int at = 0; at < STEPS; at++)
        step (model);
    step_settle (model);
    step_snapshot (model);
    assert_int_equal (model->rig.log.segments < model->rig.segments_max, 1);
    rig_free (&model->rig);
    free (model->records);
    free (model);
}

static void g1_g2_g3_g4_g5_broker_agrees_with_its_model (void **state)
{
    (void) state;
    const char *first = getenv ("TIDE_SEED"), *seeds = getenv ("TIDE_SEEDS");
    uint64_t from = first ? strtoull (first, NULL, 10) : 1;
    uint64_t count = seeds ? strtoull (seeds, NULL, 10) : 100;
    for (uint64_t seed = from; seed < from + count; seed++) {
        /*  Seen only if the run fails. */
        print_message ("seed %llu\n", (unsigned long long) seed);
        run_seed (seed);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (g1_g2_g3_g4_g5_broker_agrees_with_its_model),
    };
    return cmocka_run_group_tests_name ("tide_broker_model", tests, NULL, NULL);
}
