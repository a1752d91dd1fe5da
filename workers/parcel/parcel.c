/*  tidemark-parcel - shops post pick-ups, drivers take them, shops hear of deliveries.
 *
 *      parcel/shop/NAME      a shop's parcels by id, and where each is: what is true of a parcel
 *      parcel/driver/NAME    what a driver has in hand, by id
 *      parcel/jobs           parcels that want a driver, by id: read by the group of all workers
 *      $presence/parcel/drivers   who is on duty
 *
 *  Shops and drivers read their own topic by a named cursor, so being away costs them nothing. A
 *  job goes to one worker of the group, and to another if that one dies. The choice of a driver is
 *  one event under an id that says upon which of the parcel's events it was made: of two that are
 *  made at once the log takes the first, and the other worker goes by it. All else follows from it,
 *  under ids too.
 *  SPDX-License-Identifier: MIT
 */
#include "back_end.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tidemark.h>
#include <unistd.h>

#define DUTY "$presence/parcel/drivers"
#define JOBS "parcel/jobs"
#define HANDS "parcel/driver/"
#define WAIT_MS 30000
#define TEXT_MAX 1000 /* what a parcel says of itself, in bytes */

static const char *text_of (const json_t *object, const char *name)
{
    return json_string_value (json_object_get (object, name));
}

/*  What stands in a topic, or {}: the caller's. */
static json_t *standing (tidemark_t *client, const char *topic)
{
    json_t *state = NULL;
    tidemark_status_t status = tidemark_snapshot (client, topic, WAIT_MS, &state, NULL);
    return status == TIDEMARK_OK ? state : NULL;
}

static json_t *data_of (const json_t *state, const char *key)
{
    return json_object_get (json_object_get (state, key), "data");
}

/*  Anybody may write into these topics: what stands there need not be a parcel. */
static int has_state (const json_t *parcel, const char *state)
{
    const char *said = text_of (parcel, "state");
    return said && strcmp (said, state) == 0;
}

/*  A parcel's topic: its shop's, or its driver's. */
static tidemark_status_t topic_of (char topic[TIDEMARK_TOPIC_SIZE], const char *role,
                                   const char *name)
{
    char nsp[32];
    if (!name || *name == '\0')
        return TIDEMARK_BAD_TOPIC;
    snprintf (nsp, sizeof nsp, "/parcel/%s", role);
    return tidemark_topic_of_room (topic, nsp, name);
}

/*  -- what shops and drivers emit ------------------------------------------------------------- */

/*  post {shop, what, to}: a parcel, and a job. */
static int post (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const char *shop, *what, *to, *id = tidemark_call_id (call);
    char topic[TIDEMARK_TOPIC_SIZE];
    if (json_unpack (json_array_get (tidemark_call_args (call), 0), "{ss, ss, ss}", "shop", &shop,
                     "what", &what, "to", &to)
            != 0
        || strlen (what) > TEXT_MAX || strlen (to) > TEXT_MAX
        || topic_of (topic, "shop", shop) != TIDEMARK_OK)
        return (int) tidemark_fail (call, TIDEMARK_BAD_REQUEST,
                                    "post {shop, what, to}: short texts");
    json_t *parcel = json_pack ("{ss, ss, ss, ss, si}", "shop", shop, "what", what, "to", to,
                                "state", "waiting", "round", 0);
    const tidemark_event_options_t options = {.key = id};
    tidemark_emit (call, JOBS, "job", json_incref (parcel), &options);
    tidemark_emit (call, topic, "parcel", parcel, &options);
    return (int) tidemark_ack (call, json_pack ("{ss}", "id", id));
}

/*  on duty {driver}: from now on there are parcels, until the connection ends. */
static int on_duty (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const char *driver = text_of (json_array_get (tidemark_call_args (call), 0), "driver");
    char topic[TIDEMARK_TOPIC_SIZE];
    if (!driver || topic_of (topic, "driver", driver) != TIDEMARK_OK)
        return (int) tidemark_fail (call, TIDEMARK_BAD_REQUEST, "on duty {driver}: a name");
    tidemark_status_t status = tidemark_session_set (call, json_pack ("{ss}", "driver", driver));
    if (status == TIDEMARK_NOT_FOUND)
        return (int) tidemark_fail (call, status, tidemark_error ());
    if (status != TIDEMARK_OK)
        return (int) status; /* it is tried again */
    return (int) tidemark_join (call, "drivers", json_pack ("{ss}", "driver", driver));
}

/*  picked up {id}, delivered {id}: the shop hears of it, of what the driver has in hand. */
static int step (tidemark_call_t *call, void *client)
{
    int is_delivered = strcmp (tidemark_call_event (call), "delivered") == 0;
    const char *id = text_of (json_array_get (tidemark_call_args (call), 0), "id");
    char shop[TIDEMARK_TOPIC_SIZE], hand[TIDEMARK_TOPIC_SIZE];
    json_t *who = NULL, *held = NULL;
    tidemark_status_t status = tidemark_session_get (call, &who);
    if (status == TIDEMARK_OK && topic_of (hand, "driver", text_of (who, "driver")) == TIDEMARK_OK)
        status = (held = standing (client, hand)) ? TIDEMARK_OK : TIDEMARK_BROKER_AWAY;
    json_t *parcel = id ? data_of (held, id) : NULL;
    if (parcel && topic_of (shop, "shop", text_of (parcel, "shop")) == TIDEMARK_OK) {
        const tidemark_event_options_t stays = {.key = id};
        const tidemark_event_options_t goes = {.key = id, .flags = TIDEMARK_REMOVE};
        json_object_set_new (parcel, "state", json_string (is_delivered ? "delivered" : "taken"));
        tidemark_emit (call, shop, "parcel", json_incref (parcel), &stays);
        if (is_delivered)
            tidemark_emit (call, hand, "delivered", NULL, &goes);
        else
            tidemark_emit (call, hand, "pick-up", json_incref (parcel), &stays);
    }
    else if (status == TIDEMARK_OK || status == TIDEMARK_NOT_FOUND)
        status =
            tidemark_fail (call, TIDEMARK_NOT_FOUND, "it is not in your hands, or not any more");
    json_decref (who);
    json_decref (held);
    return (int) status; /* the broker was away: it is tried again */
}

/*  -- jobs ------------------------------------------------------------------------------------ */

static tidemark_status_t publish (tidemark_t *client, const char *topic, const char *event,
                                  const char *key, json_int_t round, json_t *args)
{
    char id[128];
    snprintf (id, sizeof id, "%s %s %" JSON_INTEGER_FORMAT, key, event, round);
    const tidemark_event_options_t options = {
        .key = key, .id = id, .flags = args ? 0 : TIDEMARK_REMOVE};
    return tidemark_publish (client, topic, event, args, &options, WAIT_MS, NULL);
}

/*  An id that is another event's by now was used for the same purpose. */
static int is_done (tidemark_status_t status)
{
    return status == TIDEMARK_OK || status == TIDEMARK_CONFLICT;
}

static const char *driver_of (const json_t *event)
{
    return text_of (json_object_get (json_object_get (event, "data"), "data"), "driver");
}

/*  Whether the driver is on duty whose topic that is. */
static int is_here (const json_t *duty, const char *hand)
{
    const char *sid;
    char topic[TIDEMARK_TOPIC_SIZE];
    json_t *event;
    json_object_foreach ((json_t *) duty, sid, event)
        if (topic_of (topic, "driver", driver_of (event)) == TIDEMARK_OK
            && strcmp (topic, hand) == 0)
            return 1;
    return 0;
}

/*  Whether the parcel's driver is. */
static int has_driver (const json_t *duty, const json_t *parcel)
{
    char hand[TIDEMARK_TOPIC_SIZE];
    return topic_of (hand, "driver", text_of (parcel, "driver")) == TIDEMARK_OK
           && is_here (duty, hand);
}

/*  Whoever is on duty and has the fewest in hand; NULL if nobody is. */
static const char *choose (const json_t *duty, const json_t *hands)
{
    const char *chosen = NULL, *sid;
    size_t fewest = SIZE_MAX;
    json_t *event;
    json_object_foreach ((json_t *) duty, sid, event) {
        char topic[TIDEMARK_TOPIC_SIZE];
        if (topic_of (topic, "driver", driver_of (event)) != TIDEMARK_OK)
            continue;
        size_t count = json_object_size (json_object_get (hands, topic));
        if (count < fewest) {
            fewest = count;
            chosen = driver_of (event);
        }
    }
    return chosen;
}

/*  The choice is made: the driver has it in hand, whoever had it before has not, and no job stands.
 *  What was done before, by a worker that died or by another one, is not done again. */
static int settle (tidemark_t *client, const tidemark_event_t *job, json_t *parcel)
{
    char topic[TIDEMARK_TOPIC_SIZE];
    json_int_t round = json_integer_value (json_object_get (parcel, "round"));
    int is_held = !has_state (parcel, "delivered");
    tidemark_status_t status = TIDEMARK_OK;
    if (is_held && topic_of (topic, "driver", text_of (parcel, "driver")) == TIDEMARK_OK)
        status = publish (client, topic, "pick-up", job->key, round, json_incref (parcel));
    if (is_done (status) && topic_of (topic, "driver", text_of (parcel, "was")) == TIDEMARK_OK)
        status = publish (client, topic, "handed on", job->key, round, NULL);
    if (is_done (status))
        status = publish (client, JOBS, "taken", job->key, (json_int_t) job->seq, NULL);
    return !is_done (status);
}

/*  Gives the parcel, of which that event stands, to that driver. 1: to be looked at again, since
 *  another worker chose at the same time, or the driver has gone meanwhile: whether that was seen
 *  by a review is not known. */
static int give (tidemark_t *client, const tidemark_event_t *job, const char *shop,
                 const json_t *stands, const char *driver)
{
    json_t *parcel = json_object_get (stands, "data");
    const char *was = text_of (parcel, "driver");
    json_int_t round = json_integer_value (json_object_get (stands, "seq"));
    json_object_set_new (parcel, "was", was ? json_string (was) : json_null ());
    json_object_set_new (parcel, "driver", json_string (driver));
    json_object_set_new (parcel, "state", json_string ("coming"));
    json_object_set_new (parcel, "round", json_integer (round));
    if (publish (client, shop, "parcel", job->key, round, json_incref (parcel)) != TIDEMARK_OK
        || settle (client, job, parcel) != 0)
        return 1;
    json_t *duty = standing (client, DUTY);
    int is_given = has_driver (duty, parcel);
    json_decref (duty);
    return !is_given;
}

/*  One job: a parcel wants a driver. What is not 0 is tried again, here or at another worker. */
static int assign (const tidemark_event_t *event, void *client)
{
    char shop[TIDEMARK_TOPIC_SIZE];
    const char *name = text_of (json_array_get (event->args, 0), "shop");
    if (event->kind != TIDEMARK_EVENT || topic_of (shop, "shop", name) != TIDEMARK_OK)
        return 0; /* not a job, or a job's end */
    json_t *parcels = standing (client, shop), *duty = standing (client, DUTY),
           *hands = standing (client, HANDS "#"), *parcel = data_of (parcels, event->key);
    const char *driver = choose (duty, hands);
    int result = !parcels || !duty || !hands;
    if (result == 0 && json_is_object (parcel)) {
        if (has_state (parcel, "delivered") || has_driver (duty, parcel))
            result = settle (client, event, parcel);
        else if (driver)
            result = give (client, event, shop, json_object_get (parcels, event->key), driver);
    }
    json_decref (parcels);
    json_decref (duty);
    json_decref (hands);
    return result;
}

/*  0 where the broker could not be asked, or told. */
static int try_review (tidemark_t *client, const tidemark_event_t *event)
{
    json_t *duty = standing (client, DUTY), *hands = standing (client, HANDS "#"),
           *jobs = standing (client, JOBS), *held, *job;
    const char *topic, *id;
    int is_told = duty && hands && jobs;
    if (is_told) {
        json_object_foreach (hands, topic, held)
            if (!is_here (duty, topic))
                json_object_update_missing (jobs, held);
        json_object_foreach (jobs, id, job)
            if (publish (client, JOBS, "job", id, (json_int_t) event->seq,
                         json_incref (json_object_get (job, "data")))
                == TIDEMARK_TIMEOUT)
                is_told = 0;
    }
    json_decref (duty);
    json_decref (hands);
    json_decref (jobs);
    return is_told;
}

/*  Somebody came on duty, or is gone: what waits for a driver, and what those have in hand who are
 *  not there, are jobs anew. All workers see that; the ids make it one job each. */
static int review (const tidemark_event_t *event, void *client)
{
    if (event->kind == TIDEMARK_EVENT || event->kind == TIDEMARK_JOINED)
        while (!try_review (client, event) && !back_end_is_ending ())
            sleep (1); /* the broker is away: nobody would look again */
    return 0;
}

/*  -- running --------------------------------------------------------------------------------- */

int main (int argc, char *argv[])
{
    tidemark_t *client = back_end_connect ("parcel", argc, argv);
    tidemark_handle (client, "/parcel", "post", post, NULL, 0);
    tidemark_handle (client, "/parcel", "on duty", on_duty, NULL, 0);
    tidemark_handle (client, "/parcel", "picked up", step, client, 0);
    tidemark_handle (client, "/parcel", "delivered", step, client, 0);
    tidemark_service (client, "parcel", &(tidemark_service_options_t){.credit = 16});
    tidemark_subscribe (client, JOBS, assign, client,
                        &(tidemark_subscribe_options_t){.since = "start", .group = "parcel"}, NULL);
    tidemark_subscribe (client, DUTY, review, client,
                        &(tidemark_subscribe_options_t){.since = "snapshot"}, NULL);
    return back_end_run (client, 0, NULL);
}
