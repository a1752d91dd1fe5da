/*  tidemark-chat - the back end of Socket.IO's chat example: any number of them share the load.
 *
 *  They have no state of their own. Who a session is, is its data; who is in a room is the room's
 *  presence, which all of them read on, and so know the same people at the same sequence. Each of
 *  them says who came and who left, under an id made of that sequence: it is appended once, though
 *  all but one of them die.
 *  SPDX-License-Identifier: MIT
 */
#include "back_end.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tidemark.h>
#include <time.h>

#define PRESENCE "$presence/"

/*  -- who is there ---------------------------------------------------------------------------- */

static json_t *rooms; /* by room, by sid: the name. Of the subscription's function alone. */

static void say (tidemark_t *client, const char *topic, const char *event, json_t *args,
                 uint64_t seq, const char *except)
{
    char id[64];
    snprintf (id, sizeof id, "%s %" PRIu64, event, seq);
    const tidemark_event_options_t options = {.id = id, .except = except};
    tidemark_publish_async (client, topic, event, args, &options, NULL, NULL);
}

/*  Somebody came, or left. What comes of a session that was there before, as when it is resumed at
 *  another gateway, is nothing new. */
static int present (const tidemark_event_t *event, void *client)
{
    if (event->kind == TIDEMARK_RESET)
        json_object_clear (rooms);
    if (event->kind != TIDEMARK_EVENT && event->kind != TIDEMARK_STANDING)
        return 0;
    if (strncmp (event->topic, PRESENCE, strlen (PRESENCE)) != 0)
        return 0; /* the subtree's own topic */
    const char *room = event->topic + strlen (PRESENCE), *sid = event->key;
    const char *data[] = {"data", "username"};
    const json_t *said = json_array_get (event->args, 0);
    for (size_t at = 0; at < 2; at++)
        said = json_object_get (said, data[at]);
    if (strcmp (room, "chat") != 0 && strncmp (room, "chat:", 5) != 0)
        return 0;

    json_t *people = json_object_get (rooms, room);
    if (!people)
        json_object_set_new (rooms, room, people = json_object ());
    json_t *known = json_incref (json_object_get (people, sid));
    const char *username = json_string_value (known ? known : said);
    char topic[TIDEMARK_TOPIC_SIZE];
    if (event->is_removed && known) {
        json_object_del (people, sid);
        say (client, room, "user left",
             json_pack ("{ss, sI}", "username", username, "numUsers",
                        (json_int_t) json_object_size (people)),
             event->seq, NULL);
    }
    else if (!event->is_removed && !known && username
             && tidemark_topic_of_session (topic, sid) == TIDEMARK_OK) {
        json_object_set_new (people, sid, json_string (username));
        json_int_t count = (json_int_t) json_object_size (people);
        if (event->kind == TIDEMARK_STANDING && event->time_ms / 1000 + 60 < (uint64_t) time (NULL))
            return 0; /* it has been said, for certain */
        say (client, topic, "login", json_pack ("{sI}", "numUsers", count), event->seq, NULL);
        say (client, room, "user joined",
             json_pack ("{ss, sI}", "username", username, "numUsers", count), event->seq, topic);
    }
    json_decref (known);
    if (json_object_size (people) == 0)
        json_object_del (rooms, room);
    return 0;
}

/*  -- what they emit -------------------------------------------------------------------------- */

/*  No session, no user, as over plain WebSocket without one; all else is tried again. */
static int failed (tidemark_call_t *call, tidemark_status_t status)
{
    return status == TIDEMARK_NOT_FOUND ? (int) tidemark_fail (call, status, tidemark_error ())
                                        : (int) status;
}

/*  A session's data is that of all who serve it: it need not be ours. */
static const char *text_of (const json_t *data, const char *name)
{
    return json_string_value (json_object_get (data, name));
}

static int is_in (const json_t *data)
{
    return text_of (data, "username") && text_of (data, "room");
}

/*  add user (username[, room]): the first one counts. Who was called by another name before, or by
 *  this call when it was tried before, is let in as that. */
static int add_user (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const json_t *args = tidemark_call_args (call);
    const char *username = json_string_value (json_array_get (args, 0));
    const char *name = json_string_value (json_array_get (args, 1));
    char room[64] = "chat", topic[TIDEMARK_TOPIC_SIZE];
    if (!username || *username == '\0' || strlen (username) > 200
        || (name && snprintf (room, sizeof room, "chat:%s", name) >= (int) sizeof room)
        || tidemark_topic_of_room (topic, "/", room) != TIDEMARK_OK)
        return (int) tidemark_fail (call, TIDEMARK_BAD_REQUEST, "say who you are: a short text");
    json_t *data = NULL;
    tidemark_status_t status = tidemark_session_get (call, &data);
    if (status == TIDEMARK_OK && !is_in (data)) {
        json_t *ours = json_pack ("{ss, ss}", "username", username, "room", room);
        json_object_update_missing (ours, data);
        json_decref (data);
        data = ours;
        status = tidemark_session_set (call, json_incref (data));
    }
    if (status == TIDEMARK_OK)
        status = tidemark_join (call, text_of (data, "room"),
                                json_pack ("{sO}", "username", json_object_get (data, "username")));
    json_decref (data);
    return status == TIDEMARK_OK ? 0 : failed (call, status);
}

/*  Tells everybody in the sender's room but the sender. */
static int broadcast (tidemark_call_t *call, void *client)
{
    const char *event = tidemark_call_event (call);
    char room[TIDEMARK_TOPIC_SIZE], self[TIDEMARK_TOPIC_SIZE];
    json_t *data = NULL;
    tidemark_status_t status = tidemark_session_get (call, &data);
    if (status != TIDEMARK_OK)
        return failed (call, status);
    json_t *said = is_in (data) ? json_pack ("{ss}", "username", text_of (data, "username")) : NULL;
    tidemark_topic_of_room (room, "/", text_of (data, "room"));
    tidemark_topic_of_session (self, tidemark_call_from (call));
    json_decref (data);
    if (!said)
        return (int) tidemark_fail (call, TIDEMARK_FORBIDDEN, "say who you are first: add user");
    if (strcmp (event, "new message") != 0) {
        const tidemark_event_options_t now = {.except = self, .flags = TIDEMARK_VOLATILE};
        tidemark_publish_async (client, room, event, said, &now, NULL, NULL);
        return 0;
    }
    json_t *message = json_array_get (tidemark_call_args (call), 0);
    json_object_set (said, "message", message ? message : json_null ());
    status = tidemark_emit (call, room, event, said, &(tidemark_event_options_t){.except = self});
    return status == TIDEMARK_OK ? 0 : (int) tidemark_fail (call, status, "it cannot be said");
}

/*  -- running --------------------------------------------------------------------------------- */

int main (int argc, char *argv[])
{
    tidemark_t *client = back_end_connect ("chat", argc, argv);
    rooms = json_object ();
    tidemark_handle (client, "/", "add user", add_user, NULL, 0);
    tidemark_handle (client, "/", "new message", broadcast, client, 0);
    tidemark_handle (client, "/", "typing", broadcast, client, TIDEMARK_VOLATILE);
    tidemark_handle (client, "/", "stop typing", broadcast, client, TIDEMARK_VOLATILE);
    tidemark_service (client, "chat", &(tidemark_service_options_t){.credit = 16});
    tidemark_subscribe (client, PRESENCE "#", present, client,
                        &(tidemark_subscribe_options_t){.since = "snapshot"}, NULL);
    int status = back_end_run (client, 0, NULL);
    json_decref (rooms);
    return status;
}
