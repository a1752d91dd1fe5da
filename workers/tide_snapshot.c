/*  tide_snapshot.c - what stands, for a thread that waits for it.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include "tide_topic.h"

#include <stdlib.h>
#include <string.h>

/*  A thread that waits, on whose stack this lies; parts are asked for until it is answered. */
typedef struct {
    tidemark_t *client;
    const char *topic;
    uint64_t serial; /* of the part that is under way */
    bool is_given_up, is_answered;
    tide_status_t status;
    char *message; /* of the broker; NULL: none */
    uint64_t seq;
    tide_buffer_t records;
    uint32_t count;
} snapshot_t;

static void ask_part (snapshot_t *self, uint64_t request, uint32_t part);

/*  Under the lock. */
static void fail (snapshot_t *self, const tide_fail_message_t *answer)
{
    self->status = (tide_status_t) answer->code;
    self->message = tide_copy (answer->message.data, answer->message.size);
    self->is_answered = true;
}

/*  Under the lock. */
static void take_part (snapshot_t *self, const tide_standing_message_t *standing)
{
    tide_list_t list = standing->events;
    tide_bytes_t record;
    if (standing->part == 0) {
        self->count = 0;
        self->records.size = 0;
    }
    while (tide_list_next (&list, &record)) {
        tide_list_append (&self->records, record);
        self->count++;
    }
    self->seq = standing->seq;
    bool is_large = self->records.size > TIDE_STANDING_SIZE_MAX;
    if (is_large)
        self->status = TIDE_TOO_LARGE;
    if (is_large || self->is_given_up || !standing->more)
        self->is_answered = true;
    else
        ask_part (self, standing->request, standing->part + 1);
}

static void on_part (void *argument, uint64_t serial, const tide_message_t *answer)
{
    (void) serial;
    snapshot_t *self = argument;
    tidemark_t *client = self->client;
    pthread_mutex_lock (&client->lock);
    if (answer->kind == TIDE_MESSAGE_STANDING)
        take_part (self, &answer->standing);
    else if (answer->kind == TIDE_MESSAGE_FAIL)
        fail (self, &answer->fail);
    if (self->is_answered)
        pthread_cond_broadcast (&client->changed);
    pthread_mutex_unlock (&client->lock);
}

static void ask_part (snapshot_t *self, uint64_t request, uint32_t part)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = request;
    message.snapshot.topic = tide_bytes (self->topic);
    message.snapshot.part = part;
    self->serial = tide_post_send (self->client->post, &message, on_part, self);
}

/*  {key:event}, of a subtree {topic:{key:event}}. */
static json_t *state_of (const snapshot_t *self)
{
    bool is_subtree = tide_pattern_is_subtree (tide_bytes (self->topic));
    json_t *state = json_object ();
    tide_list_t list = tide_list (&self->records, self->count);
    tide_event_t event;
    while (tide_event_next (&list, &event)) {
        char *topic = tide_copy (event.topic.data, event.topic.size);
        char *key = tide_copy (event.key.data, event.key.size);
        json_t *keys = is_subtree ? json_object_get (state, topic) : state;
        if (!keys) {
            keys = json_object ();
            json_object_set_new (state, topic, keys);
        }
        json_object_set_new (keys, key, tide_json_of_event (&event));
        free (topic);
        free (key);
    }
    return state;
}

tidemark_status_t tidemark_snapshot (tidemark_t *self, const char *topic, uint32_t timeout_ms,
                                     json_t **state, uint64_t *seq)
{
    *state = NULL;
    if (!tide_pattern_valid (tide_text (topic)))
        return tide_failed (TIDE_BAD_TOPIC, NULL);
    uint64_t end_ms = tide_post_clock_ms () + timeout_ms;
    snapshot_t snapshot = {.client = self, .topic = topic};
    pthread_mutex_lock (&self->lock);
    ask_part (&snapshot, 0, 0);
    if (!tide_await (self, &snapshot.is_answered, end_ms)) {
        snapshot.is_given_up = true;
        snapshot.status = TIDE_TIMEOUT;
        tide_post_cancel (self->post, snapshot.serial);
        tide_await (self, &snapshot.is_answered, UINT64_MAX);
    }
    pthread_mutex_unlock (&self->lock);
    if (snapshot.status == TIDE_OK)
        *state = state_of (&snapshot);
    if (seq)
        *seq = snapshot.seq;
    tidemark_status_t status = tide_failed (snapshot.status, snapshot.message);
    free (snapshot.message);
    tide_buffer_free (&snapshot.records);
    return status;
}
