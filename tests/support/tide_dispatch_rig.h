/*  tide_dispatch_rig.h - a broker on a bench with a gateway and two workers.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DISPATCH_RIG_H
#define TIDE_DISPATCH_RIG_H

#include "tide_broker_rig.h"

#include "tide_dispatch.h"

static tide_rig_t *rig;

static inline int set_up (void **state)
{
    (void) state;
    rig = tide_alloc (sizeof *rig);
    rig_new (rig);
    rig_start (rig);
    rig_hello (rig, "gateway", "lane");
    rig_hello (rig, "one", "");
    rig_hello (rig, "two", "");
    rig_forget_said (rig);
    return 0;
}

static inline int tear_down (void **state)
{
    (void) state;
    rig_free (rig);
    free (rig);
    return 0;
}

/*  -- what peers say -------------------------------------------------------------------------- */

typedef struct {
    const char *service;
    uint32_t credit, attempts, lease_ms, delay_ms;
    uint8_t flags;
    const char *nsp;
    const char *events[4];
} offer_t;

static inline uint64_t serve (const char *worker, offer_t offer)
{
    tide_buffer_t offers = {0};
    uint32_t count = 0;
    for (; count < 4 && offer.events[count]; count++)
        tide_offer_append (&offers, &(tide_offer_t){.nsp = tide_bytes (offer.nsp ? offer.nsp : "/"),
                                                    .event = tide_bytes (offer.events[count]),
                                                    .flags = offer.flags});
    rig_send (rig, worker,
              &(tide_message_t){.kind = TIDE_MESSAGE_SERVE,
                                .serve = {.request = ++rig->request,
                                          .service = tide_bytes (offer.service),
                                          .credit = offer.credit,
                                          .attempts = offer.attempts,
                                          .lease_ms = offer.lease_ms,
                                          .delay_ms = offer.delay_ms,
                                          .offers = tide_list (&offers, count)}});
    tide_buffer_free (&offers);
    rig_settle (rig);
    return rig->request;
}

/*  A worker of the service chat. */
static inline uint64_t chat (const char *worker, uint32_t credit)
{
    return serve (worker, (offer_t){"chat", credit, .events = {"say"}});
}

/*  The session emits the event; `wanted` is what it calls the answer. */
static inline uint64_t call_with (const char *nsp, const char *event, const char *from,
                                  const char *wanted, tide_bytes_t payload)
{
    char id[32];
    snprintf (id, sizeof id, "call-%llu", (unsigned long long) ++rig->request);
    rig_send (rig, "gateway",
              &(tide_message_t){.kind = TIDE_MESSAGE_CALL,
                                .call = {.request = rig->request,
                                         .nsp = tide_bytes (nsp),
                                         .event = tide_bytes (event),
                                         .id = tide_bytes (id),
                                         .from = tide_bytes (from),
                                         .wanted = tide_bytes (wanted),
                                         .payload = payload}});
    rig_settle (rig);
    return rig->request;
}

static inline uint64_t call_in (const char *nsp, const char *event, const char *from,
                                const char *wanted, const char *json)
{
    return call_with (nsp, event, from, wanted, rig_payload (json));
}

static inline uint64_t say (const char *from, const char *json)
{
    return call_in ("/", "say", from, "7", json);
}

enum { HANDLED, AGAIN, NEVER, NOT_BEGUN };

static inline uint64_t done_with (const char *worker, const tide_lend_message_t *lend,
                                  uint8_t outcome, const char *json, tide_buffer_t *events,
                                  uint32_t count)
{
    tide_bytes_t payload = {0};
    if (json)
        payload = rig_payload (json);
    rig_send (rig, worker,
              &(tide_message_t){.kind = TIDE_MESSAGE_DONE,
                                .done = {.request = ++rig->request,
                                         .call = lend->call,
                                         .attempt = lend->attempt,
                                         .outcome = outcome,
                                         .payload = payload,
                                         .events = tide_list (events, count)}});
    rig_drain (rig);
    return rig->request;
}

static inline uint64_t done (const char *worker, const tide_lend_message_t *lend, uint8_t outcome,
                             const char *json)
{
    tide_buffer_t none = {0};
    uint64_t request = done_with (worker, lend, outcome, json, &none, 0);
    rig_settle (rig);
    return request;
}

/*  Everybody but those named lives on for so long. */
static inline void pass (uint64_t ms, const char *silent)
{
    static const char *const peers[] = {"gateway", "one", "two"};
    for (uint64_t end_ms = rig->now_ms + ms; rig->now_ms < end_ms;) {
        for (size_t at = 0; at < 3; at++)
            if (!silent || strcmp (silent, peers[at]) != 0)
                rig_send (rig, peers[at], &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        rig_tick (rig, 250);
        rig_settle (rig);
    }
}

/*  -- what the broker says -------------------------------------------------------------------- */

/*  The calls that were lent to the worker, in order, since the last look. */
typedef struct {
    tide_lend_message_t lend[64];
    tide_event_t event[64];
    unsigned count;
} lent_t;

static inline void take_lent (const char *worker, lent_t *lent)
{
    lent->count = 0;
    for (size_t at = 0; at < rig->said_count; at++) {
        tide_said_t *said = rig->said[at];
        if (said->kind != TIDE_BROKER_SEND || said->message.kind != TIDE_MESSAGE_LEND
            || strcmp (said->peer, worker) != 0)
            continue;
        lent->lend[lent->count] = said->message.lend;
        tide_list_t list = said->message.lend.events;
        assert_true (tide_event_next (&list, &lent->event[lent->count]));
        lent->count++;
        said->peer[0] = 0; /* looked at */
    }
}

static inline void take_one (const char *worker, lent_t *lent)
{
    take_lent (worker, lent);
    assert_int_equal (lent->count, 1);
}

static inline void assert_nothing_lent (const char *worker)
{
    lent_t lent;
    take_lent (worker, &lent);
    assert_int_equal (lent.count, 0);
}

static inline const tide_message_t *answer_to (uint64_t request)
{
    const tide_message_t *answer = NULL;
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_message_t *message = &rig->said[at]->message;
        if (rig->said[at]->kind != TIDE_BROKER_SEND
            || !((message->kind == TIDE_MESSAGE_ACK && message->ack.request == request)
                 || (message->kind == TIDE_MESSAGE_FAIL && message->fail.request == request)))
            continue;
        assert_null (answer);
        answer = message;
    }
    assert_non_null (answer);
    return answer;
}

static inline void assert_refused (uint64_t request, tide_status_t code, const char *why)
{
    const tide_message_t *answer = answer_to (request);
    assert_int_equal (answer->kind, TIDE_MESSAGE_FAIL);
    assert_int_equal (answer->fail.code, code);
    char text[1024];
    snprintf (text, sizeof text, "%.*s", TIDE_PRINT (answer->fail.message));
    if (!strstr (text, why))
        fail_msg ("\"%s\" does not say \"%s\"", text, why);
}

static inline void assert_acknowledged (uint64_t request)
{
    assert_int_equal (answer_to (request)->kind, TIDE_MESSAGE_ACK);
}

/*  The events that were published of the topic, in order. */
typedef struct {
    tide_event_t event[64];
    tide_args_t args[64];
    unsigned count;
} published_t;

static inline void find_published (const char *topic, published_t *found)
{
    found->count = 0;
    for (size_t at = 0; at < rig->said_count; at++) {
        const tide_said_t *said = rig->said[at];
        if (said->kind != TIDE_BROKER_PUBLISH
            || (said->message.kind != TIDE_MESSAGE_EVENTS
                && said->message.kind != TIDE_MESSAGE_VOLATILE))
            continue;
        tide_list_t list = said->message.kind == TIDE_MESSAGE_EVENTS
                               ? said->message.events.events
                               : said->message.volatiles.events;
        tide_event_t event;
        while (tide_event_next (&list, &event)) {
            if (!tide_bytes_is (event.topic, topic))
                continue;
            found->event[found->count] = event;
            if (event.payload.size > 0)
                assert_int_equal (tide_args_decode (event.payload, &found->args[found->count]),
                                  TIDE_OK);
            found->count++;
        }
    }
}

/*  The one reply that the session got. */
static inline void assert_reply (const char *sid, uint64_t call, tide_status_t code,
                                 const char *json)
{
    char topic[80];
    snprintf (topic, sizeof topic, "@%s", sid);
    published_t found;
    find_published (topic, &found);
    assert_int_equal (found.count, 1);
    assert_true (tide_bytes_is (found.event[0].name, "$reply"));
    tide_replied_t replied;
    assert_true (tide_replied_decode (found.args[0].about, &replied));
    assert_true (replied.call == call);
    assert_int_equal (replied.code, code);
    assert_true (tide_bytes_is (replied.wanted, "7"));
    if (json)
        assert_true (tide_bytes_is (found.args[0].json, json));
}

static inline void assert_no_reply (const char *topic)
{
    published_t found;
    find_published (topic, &found);
    assert_int_equal (found.count, 0);
}

static inline void assert_dead (const char *code, uint32_t attempts, const char *json)
{
    published_t found;
    find_published ("$dead/chat", &found);
    assert_int_equal (found.count, 1);
    char text[1024], begin[64], count[32];
    snprintf (text, sizeof text, "%.*s", TIDE_PRINT (found.args[0].json));
    snprintf (begin, sizeof begin, "[{\"code\":\"%s\",\"message\":\"", code);
    assert_memory_equal (text, begin, strlen (begin));
    snprintf (count, sizeof count, "\"attempts\":%u,", attempts);
    assert_non_null (strstr (text, count));
    assert_non_null (strstr (text, json));
    assert_true (found.args[0].many);
}

static inline tide_dispatch_counts_t counts (void)
{
    return tide_dispatch_counts (rig->broker->core.dispatch);
}

static inline void assert_all_over (void)
{
    tide_dispatch_counts_t now = counts ();
    assert_int_equal (now.calls, 0);
    assert_int_equal (now.bytes, 0);
    assert_int_equal (now.waiting + now.ready + now.lent + now.resting + now.ending, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

#endif
