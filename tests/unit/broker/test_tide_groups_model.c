/*  test_tide_groups_model.c - a group against a simple model of it, over random steps.
 *
 *  Steps publish, join, leave, answer in every way, kill members, let time pass, fill the disk,
 *  kill the broker and stop it cleanly, with the log answering whenever it likes. The model knows
 *  of each event who has it, how often it was given and whether it was acknowledged; in the end all
 *  is handled. A failure prints its seed. TIDE_SEED and TIDE_SEEDS choose the first and how many.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_group_rig.h"

enum { MEMBERS = 3, EVENTS_MAX = 4096, STEPS = 600, ATTEMPTS = 4, LEASE_MS = 4000 };

static const char *const names[MEMBERS] = {"one", "two", "three"};

/*  An event by its sequence. */
typedef struct {
    bool is_ours;      /* of the group's topics, and durable */
    uint32_t attempt;  /* the last one that was given */
    int holder;        /* who has it, as far as it knows; -1: nobody */
    bool is_acked;     /* an acknowledgement was taken, by this broker or one before it */
    bool is_acked_now; /* … by this broker */
    bool was_durable;  /* the record said so when this broker started */
    unsigned letters;  /* dead letters */
    uint64_t given_ms;
} known_t;

typedef struct {
    uint64_t random;
    known_t known[EVENTS_MAX];
    bool is_member[MEMBERS];
    uint32_t credit[MEMBERS], in_hand[MEMBERS];
    uint64_t lent_to;  /* the highest that was ever given */
    uint64_t clean_to; /* nothing behind it was given before this broker */
    uint64_t last;
    unsigned age; /* steps since the broker began */
} model_t;

static model_t *model;

static uint64_t roll (uint64_t sides)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random >> 11) % sides;
}

static int member_of (const char *peer)
{
    for (int at = 0; at < MEMBERS; at++)
        if (strcmp (peer, names[at]) == 0)
            return at;
    return -1;
}

/*  -- what the broker says -------------------------------------------------------------------- */

static void see_given (int member, const tide_group_event_message_t *message)
{
    tide_list_t list = message->events;
    tide_event_t event;
    assert_true (tide_event_next (&list, &event));
    assert_true (event.seq < EVENTS_MAX);
    known_t *known = &model->known[event.seq];
    assert_true (known->is_ours); /* durable, and of its topics */
    assert_true (model->is_member[member]);
    assert_false (known->is_acked_now);
    assert_false (known->was_durable);
    if (known->attempt > 0)
        assert_true (message->attempt > 1);
    else if (event.seq > model->clean_to)
        assert_int_equal (message->attempt, 1);
    if (known->holder >= 0)
        model->in_hand[known->holder]--; /* its lease was over */
    known->holder = member;
    known->given_ms = rig->now_ms;
    known->attempt = message->attempt;
    model->in_hand[member]++;
    assert_true (model->in_hand[member] <= model->credit[member]);
    if (model->lent_to < event.seq)
        model->lent_to = event.seq;
}

static void see_published (const tide_said_t *said)
{
    tide_list_t list = said->message.events.events;
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        assert_true (event.seq < EVENTS_MAX);
        if (event.seq > model->last)
            model->last = event.seq;
        if (event.topic.data[0] == 't')
            model->known[event.seq].is_ours = true;
        if (!tide_bytes_is (event.topic, "$dead/g"))
            continue;
        char text[512], *at;
        tide_args_t args;
        assert_int_equal (tide_args_decode (event.payload, &args), TIDE_OK);
        snprintf (text, sizeof text, "%.*s", TIDE_PRINT (args.json));
        at = strstr (text, "\"seq\":");
        assert_non_null (at);
        known_t *known = &model->known[strtoull (at + 6, NULL, 10)];
        assert_true (known->is_ours);
        assert_int_equal (known->letters, 0);
        known->letters++;
    }
}

static void look (void)
{
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_said_t *said = rig->said[at];
        if (said->kind == TIDE_BROKER_PUBLISH && said->message.kind == TIDE_MESSAGE_EVENTS)
            see_published (said);
    }
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_said_t *said = rig->said[at];
        if (said->kind == TIDE_BROKER_SEND && said->message.kind == TIDE_MESSAGE_GROUP_EVENT)
            see_given (member_of (said->peer), &said->message.group_event);
    }
    rig_forget_said (rig);
}

/*  -- steps ----------------------------------------------------------------------------------- */

static void let_all (int member)
{
    for (size_t seq = 0; seq < EVENTS_MAX; seq++)
        if (model->known[seq].holder == member)
            model->known[seq].holder = -1;
    model->in_hand[member] = 0;
}

static void publish_some (void)
{
    static const char *const topics[] = {"t", "t/a", "other", "t/a/b"};
    if (model->last > EVENTS_MAX - 1500)
        return;
    for (uint64_t count = 1 + roll (8); count > 0; count--)
        rig_publish_one (rig, "gateway", topics[roll (4)], NULL, NULL, "1");
    rig_drain (rig);
}

static void join_one (int member, uint32_t credit)
{
    look ();
    model->is_member[member] = true;
    model->credit[member] = credit;
    uint32_t in_hand = model->in_hand[member];
    if (in_hand > credit) /* it keeps what it has */
        model->credit[member] = in_hand;
    ask_to_join (names[member], (join_t){.topics = "t/#",
                                         .credit = credit,
                                         .start = START,
                                         .attempts = ATTEMPTS,
                                         .lease_ms = LEASE_MS,
                                         .delay_ms = 50});
    look ();
}

static void lose_member (int member)
{
    look ();
    model->is_member[member] = false;
    let_all (member);
}

static void member_goes (void)
{
    int member = (int) roll (MEMBERS);
    lose_member (member);
    if (roll (2))
        rig_send (rig, names[member],
                  &(tide_message_t){
                      .kind = TIDE_MESSAGE_GROUP_LEAVE,
                      .group_leave = {.request = ++rig->request, .name = tide_bytes ("g")}});
    else {
        tide_broker_gone (rig->broker, rig->now_ms, tide_bytes (names[member]));
        rig_hello (rig, names[member], "");
    }
    rig_drain (rig);
}

static const tide_message_t *say_word (int member, uint64_t seq, uint32_t attempt, uint8_t outcome)
{
    uint64_t request = ++rig->request;
    rig_send (rig, names[member],
              &(tide_message_t){.kind = TIDE_MESSAGE_GROUP_DONE,
                                .group_done = {.request = request,
                                               .name = tide_bytes ("g"),
                                               .seq = seq,
                                               .attempt = attempt,
                                               .outcome = outcome,
                                               .delay_ms = (uint32_t) roll (2) * 20}});
    rig_drain (rig);
    const tide_message_t *said = rig_answer (rig, request);
    assert_non_null (said);
    return said;
}

/*  The member says something of what it has, perhaps twice, and perhaps another one does before it;
 *  acknowledgements are told from the answer. */
static void answer (uint64_t seq, uint8_t outcome)
{
    known_t *known = &model->known[seq];
    int member = known->holder, other = (int) roll (MEMBERS);
    uint32_t attempt = known->attempt;
    if (other != member && roll (4) == 0) {
        const tide_message_t *said = say_word (other, seq, attempt, roll (2) ? AGAIN : NOT_BEGUN);
        assert_int_equal (said->kind, TIDE_MESSAGE_FAIL);
        look ();
    }
    known->holder = -1;
    model->in_hand[member]--;
    const tide_message_t *said = say_word (member, seq, attempt, outcome);
    if (said->kind == TIDE_MESSAGE_ACK && (outcome == HANDLED || outcome == NEVER))
        known->is_acked = known->is_acked_now = true;
    look ();
    if (roll (4) == 0) { /* its answer was lost: it changes nothing */
        say_word (member, seq, attempt, outcome);
        look ();
    }
}

static void answer_some (uint64_t handled_of_ten)
{
    for (size_t seq = 0; seq <= model->last; seq++)
        if (model->known[seq].holder >= 0 && roll (2)) {
            uint64_t sort = roll (10);
            uint8_t others[] = {[8] = NOT_BEGUN, [9] = NEVER};
            answer (seq, sort < handled_of_ten ? HANDLED : sort < 8 ? AGAIN : others[sort]);
        }
}

static void let_time_pass (uint64_t ms)
{
    look ();
    static const char *const all[] = {"gateway", "one", "two", "three"};
    for (size_t at = 0; at < 4; at++)
        rig_send (rig, all[at], &(tide_message_t){.kind = TIDE_MESSAGE_PING});
    for (size_t seq = 0; seq <= model->last; seq++) {
        known_t *known = &model->known[seq];
        if (known->holder < 0 || rig->now_ms + ms < known->given_ms + LEASE_MS)
            continue;
        model->in_hand[known->holder]--;
        known->holder = -1;
    }
    rig_tick (rig, ms);
    look ();
}

/*  What the record in the log says of each event. */
static void read_record (void)
{
    for (size_t at = rig->log.count; at-- > 0;) {
        tide_event_t event;
        tide_grouped_t grouped;
        assert_true (tide_event_decode (
            (tide_bytes_t){rig->log.events[at].data, rig->log.events[at].size}, &event));
        if (!tide_bytes_is (event.topic, "$group/g"))
            continue;
        assert_true (tide_group_decode (&event, &grouped));
        model->clean_to = grouped.upto < rig->log.last ? grouped.upto : rig->log.last;
        for (uint64_t seq = 1; seq < EVENTS_MAX; seq++)
            model->known[seq].was_durable = model->known[seq].is_ours && seq <= grouped.floor;
        for (size_t offset = 0; offset < grouped.acked.size; offset += 4)
            model->known[grouped.floor + tide_load_u32 (grouped.acked.data + offset)].was_durable =
                true;
        return;
    }
}

static void check_record (bool was_clean)
{
    for (uint64_t seq = 1; seq <= model->last; seq++) {
        const known_t *known = &model->known[seq];
        if (!known->is_ours)
            continue;
        if (known->was_durable) /* nothing is said to be over that is not */
            assert_true (known->is_acked || known->letters > 0);
        if (was_clean)
            assert_int_equal (known->was_durable,
                              known->is_acked_now || known->letters > 0 || known->was_durable);
    }
}

static void begin_anew (bool was_clean)
{
    rig_kill (rig);
    /*  Batches that were not committed were not published. */
    look ();
    read_record ();
    check_record (was_clean);
    for (size_t seq = 0; seq < EVENTS_MAX; seq++)
        model->known[seq].is_acked_now = false;
    rig_start (rig);
    model->age = 0;
    rig_hello (rig, "gateway", "lane");
    for (int member = 0; member < MEMBERS; member++) {
        rig_hello (rig, names[member], "");
        lose_member (member);
    }
}

static void stop_cleanly (void)
{
    if (rig->log.status != TIDE_OK)
        return;
    tide_broker_stop (rig->broker, rig->now_ms);
    rig_settle (rig);
    look ();
    assert_true (tide_broker_is_idle (rig->broker));
    begin_anew (true);
}

static void step (void)
{
    model->age++;
    switch (roll (24)) {
    case 0:
    case 1:
    case 2:
    case 3:
        publish_some ();
        return;
    case 4:
    case 5:
        join_one ((int) roll (MEMBERS), (uint32_t) roll (12));
        return;
    case 6:
        if (roll (3) == 0)
            member_goes ();
        return;
    case 7:
    case 8:
    case 9:
        answer_some (7);
        return;
    case 10:
        answer_some (2);
        return;
    case 11:
        if (roll (model->age < 30 ? 2 : 12) == 0) { /* young ones die often */
            look ();
            begin_anew (false);
        }
        return;
    case 12:
        if (roll (12) == 0)
            stop_cleanly ();
        return;
    case 13:
        rig->log.status = roll (6) == 0 ? TIDE_LOG_FULL : TIDE_OK;
        return;
    case 14:
    case 15:
    case 16:
    case 17:
        rig_commit (rig);
        break;
    case 18:
    case 19:
    case 20:
    case 21:
        rig_fetch (rig);
        break;
    default:
        let_time_pass (roll (600));
        return;
    }
    look ();
}

/*  All that is left is handled by one that never fails. */
static void finish (void)
{
    rig->log.status = TIDE_OK;
    rig_settle (rig);
    look ();
    for (int round = 0; round < 400; round++) {
        join_one (0, 50);
        join_one (1, 50);
        rig_settle (rig);
        look ();
        for (size_t seq = 0; seq <= model->last; seq++)
            if (model->known[seq].holder >= 0)
                answer (seq, HANDLED);
        let_time_pass (600);
        rig_settle (rig);
        look ();
    }
    for (uint64_t seq = 1; seq <= model->last; seq++)
        if (model->known[seq].is_ours
            && !(model->known[seq].is_acked || model->known[seq].letters > 0))
            fail_msg ("%llu was never handled", (unsigned long long) seq);
    read_record ();
    for (uint64_t seq = 1; seq <= model->last; seq++)
        if (model->known[seq].is_ours)
            assert_true (model->known[seq].was_durable);
}

static void run (uint64_t seed)
{
    rig = tide_alloc (sizeof *rig);
    model = tide_alloc (sizeof *model);
    model->random = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t seq = 0; seq < EVENTS_MAX; seq++)
        model->known[seq].holder = -1;
    rig_new (rig);
    rig_start (rig);
    rig_hello (rig, "gateway", "lane");
    for (int member = 0; member < MEMBERS; member++)
        rig_hello (rig, names[member], "");
    rig_forget_said (rig);
    for (int count = 0; count < STEPS; count++)
        step ();
    finish ();
    rig_free (rig);
    free (rig);
    free (model);
}

static void each_event_is_handled_by_one_and_again_by_another_only_where_it_was_not (void **state)
{
    (void) state;
    const char *first = getenv ("TIDE_SEED"), *count = getenv ("TIDE_SEEDS");
    uint64_t begin = first ? strtoull (first, NULL, 10) : 1;
    uint64_t seeds = count ? strtoull (count, NULL, 10) : 60;
    for (uint64_t seed = begin; seed < begin + seeds; seed++) {
        print_message ("seed %llu\n", (unsigned long long) seed);
        run (seed);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (each_event_is_handled_by_one_and_again_by_another_only_where_it_was_not),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
