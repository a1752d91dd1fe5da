/*  tide_reading_rig.h - a worker's subscriptions beside a broker on its bench: what each of them
 *  says reaches the other at once, unless a test loses it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_READING_RIG_H
#define TIDE_READING_RIG_H

#include "tide_broker_rig.h"
#include "tide_subscriptions.h"

enum { READING_ASKED = 1024, READING_PATTERNS = 64 };

typedef struct {
    tide_rig_t broker;
    tide_subscriptions_t *subscriptions;
    char *followed[READING_PATTERNS];
    struct {
        uint64_t request, tag;
        tide_buffer_t bytes;
    } asked[READING_ASKED]; /* await their answer, and are asked again as the link does */
    size_t asked_count;
    uint64_t requests;
    bool is_deaf; /* nothing that is published arrives */
    bool is_cut;  /* no answers either */
    /*  True: this frame does not arrive. NULL: all do. */
    bool (*loses) (void *argument);
    void *argument;
    tide_message_kind_t refused; /* requests of this kind are refused, TOO_MANY; 0: none */
    unsigned refusals;
    size_t looked; /* of what the broker said */
    bool is_late;  /* answers wait until it is not: frames overtake them */
    tide_buffer_t late[READING_ASKED];
    size_t late_count;
} reading_t;

static inline void reading_hello (reading_t *self)
{
    rig_hello (&self->broker, "w", "");
}

static inline void reading_new (reading_t *self)
{
    *self = (reading_t){.requests = 1u << 20};
    rig_new (&self->broker);
    self->subscriptions = tide_subscriptions_new ();
}

static inline void reading_start (reading_t *self)
{
    rig_start (&self->broker);
    rig_hello (&self->broker, "a", "");
    reading_hello (self);
}

static inline void reading_free (reading_t *self)
{
    tide_subscriptions_destroy (&self->subscriptions);
    for (size_t at = 0; at < READING_PATTERNS; at++)
        free (self->followed[at]);
    for (size_t at = 0; at < self->asked_count; at++)
        tide_buffer_free (&self->asked[at].bytes);
    for (size_t at = 0; at < self->late_count; at++)
        tide_buffer_free (&self->late[at]);
    rig_free (&self->broker);
}

static inline bool reading_begins_with (tide_bytes_t frame, const tide_buffer_t *prefix)
{
    return prefix->size > 0 && frame.size >= prefix->size
           && memcmp (frame.data, prefix->data, prefix->size) == 0;
}

/*  As ZeroMQ filters. */
static inline bool reading_hears (const reading_t *self, tide_bytes_t frame, bool is_volatile)
{
    tide_buffer_t mark = {0};
    tide_fanout_mark_prefix (&mark);
    bool hears = reading_begins_with (frame, &mark);
    tide_buffer_free (&mark);
    for (size_t at = 0; at < READING_PATTERNS && !hears; at++) {
        if (!self->followed[at])
            continue;
        tide_buffer_t one = {0}, two = {0};
        tide_fanout_subscription (tide_bytes (self->followed[at]), is_volatile, &one, &two);
        hears = reading_begins_with (frame, &one) || reading_begins_with (frame, &two);
        tide_buffer_free (&one);
        tide_buffer_free (&two);
    }
    return hears;
}

static inline void reading_follow (reading_t *self, tide_bytes_t pattern, bool on)
{
    for (size_t at = 0; at < READING_PATTERNS; at++) {
        if (on && !self->followed[at]) {
            self->followed[at] = tide_copy (pattern.data, pattern.size);
            return;
        }
        if (!on && self->followed[at] && tide_bytes_is (pattern, self->followed[at])) {
            free (self->followed[at]);
            self->followed[at] = NULL;
            return;
        }
    }
    assert_true (false); /* one that is followed twice, or not at all */
}

static inline void reading_say (reading_t *self, size_t at)
{
    tide_broker_receive (self->broker.broker, self->broker.now_ms, tide_bytes ("w"),
                         tide_buffer_bytes (&self->asked[at].bytes));
}

static inline void reading_request (reading_t *self, const tide_subscriptions_action_t *action)
{
    tide_message_t message = *action->message;
    if (message.kind == self->refused && self->refusals > 0) {
        self->refusals--;
        tide_message_t fail = {.kind = TIDE_MESSAGE_FAIL};
        fail.fail.code = TIDE_TOO_MANY;
        tide_subscriptions_answer (self->subscriptions, self->broker.now_ms, action->tag, &fail);
        return;
    }
    bool goes_on = message.kind == TIDE_MESSAGE_SNAPSHOT && message.snapshot.part > 0;
    if (!goes_on)
        message.ack.request = ++self->requests; /* the first field of each of them */
    assert_true (self->asked_count < READING_ASKED);
    size_t at = self->asked_count++;
    self->asked[at].request = message.ack.request;
    self->asked[at].tag = action->tag;
    tide_message_encode (&self->asked[at].bytes, &message);
    reading_say (self, at);
}

static inline bool reading_act (reading_t *self)
{
    tide_subscriptions_action_t action;
    bool has_acted = false;
    while (tide_subscriptions_next_action (self->subscriptions, &action)) {
        has_acted = true;
        if (action.kind == TIDE_SUBSCRIPTIONS_REQUEST)
            reading_request (self, &action);
        else
            reading_follow (self, action.pattern, action.kind == TIDE_SUBSCRIPTIONS_FOLLOW);
    }
    return has_acted;
}

static inline void reading_answer (reading_t *self, const tide_message_t *answer)
{
    if (answer->kind == TIDE_MESSAGE_WELCOME) {
        tide_subscriptions_up (self->subscriptions, answer->welcome.epoch, answer->welcome.head);
        for (size_t at = 0; at < self->asked_count; at++)
            reading_say (self, at);
        return;
    }
    for (size_t at = self->asked_count; at-- > 0;) {
        if (self->asked[at].request != answer->ack.request)
            continue;
        uint64_t tag = self->asked[at].tag;
        tide_buffer_free (&self->asked[at].bytes);
        self->asked[at] = self->asked[--self->asked_count];
        self->asked[self->asked_count].bytes = (tide_buffer_t){0};
        tide_subscriptions_answer (self->subscriptions, self->broker.now_ms, tag, answer);
        return;
    }
}

static inline void reading_hear_answers (reading_t *self)
{
    for (size_t at = 0; at < self->late_count; at++) {
        tide_message_t message;
        const char *why;
        assert_int_equal (tide_message_decode (tide_buffer_bytes (&self->late[at]), &message, &why),
                          TIDE_OK);
        reading_answer (self, &message);
        tide_buffer_free (&self->late[at]);
    }
    self->late_count = 0;
}

/*  What the broker said reaches the subscriptions, what is published first. */
static inline bool reading_hear (reading_t *self)
{
    size_t count = self->broker.said_count;
    for (; self->looked < count; self->looked++) {
        const tide_said_t *said = self->broker.said[self->looked];
        if (said->kind == TIDE_BROKER_PUBLISH) {
            if (!self->is_deaf && !self->is_cut
                && reading_hears (self, said->bytes, said->is_volatile)
                && !(self->loses && self->loses (self->argument)))
                tide_subscriptions_receive (self->subscriptions, said->bytes);
        }
        else if (said->kind == TIDE_BROKER_SEND && strcmp (said->peer, "w") == 0 && !self->is_cut) {
            assert_true (self->late_count < READING_ASKED);
            tide_buffer_append_bytes (&self->late[self->late_count++], said->bytes);
        }
    }
    rig_forget_said (&self->broker);
    self->looked = 0;
    if (!self->is_late)
        reading_hear_answers (self);
    return count > 0;
}

/*  Until nothing is left to be done. */
static inline void reading_settle (reading_t *self)
{
    bool goes_on = true;
    while (goes_on) {
        rig_settle (&self->broker);
        bool has_heard = reading_hear (self);
        goes_on = reading_act (self) || has_heard;
    }
}

/*  Time passes, and a mark comes with each second. */
static inline void reading_pass (reading_t *self, uint64_t ms)
{
    for (; ms > 0; ms -= ms < 500 ? ms : 500) {
        rig_tick (&self->broker, ms < 500 ? ms : 500);
        rig_send (&self->broker, "w", &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        rig_send (&self->broker, "a", &(tide_message_t){.kind = TIDE_MESSAGE_PING});
        tide_subscriptions_tick (self->subscriptions, self->broker.now_ms);
        reading_settle (self);
    }
}

/*  kill -9, and a new start; with another epoch the log is another one, and empty. */
static inline void reading_restart (reading_t *self, uint64_t epoch)
{
    for (size_t at = 0; at < self->late_count; at++)
        tide_buffer_free (&self->late[at]);
    self->late_count = 0;
    rig_kill (&self->broker);
    if (epoch != self->broker.config.epoch) {
        fake_free (&self->broker.log);
        self->broker.log = (tide_fake_log_t){0};
        self->broker.config.epoch = epoch;
    }
    reading_start (self);
    reading_settle (self);
}

static inline void reading_publish (reading_t *self, const char *topic, const char *key,
                                    const char *json)
{
    rig_publish_one (&self->broker, "a", topic, key, NULL, json);
    reading_settle (self);
}

static inline tide_subscription_t *reading_add (reading_t *self, const char *pattern,
                                                const char *since)
{
    tide_begin_t begin;
    assert_true (tide_begin_parse (since, &begin));
    tide_subscription_t *made =
        tide_subscriptions_add (self->subscriptions, tide_bytes (pattern), &begin, false, self);
    reading_settle (self);
    return made;
}

#endif
