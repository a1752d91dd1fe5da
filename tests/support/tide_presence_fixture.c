/*  tide_presence_fixture.c - whoever is present in the lobby, and whoever looks.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_presence_fixture.h"

/*  -- clients --------------------------------------------------------------------------------- */

static void remember (member_t *member, const char *frame)
{
    json_t *object = json_loads (strchr (frame, '{'), 0, NULL);
    const json_t *pid = json_object_get (object, "pid");
    pid = pid ? pid : json_object_get (object, "session");
    snprintf (member->pid, sizeof member->pid, "%s", json_string_value (pid));
    snprintf (member->sid, sizeof member->sid, "%s",
              json_string_value (json_object_get (object, "sid")));
    json_decref (object);
}

void connect_at (member_t *member, unsigned hub)
{
    member->wire = asking_at (hub, *member->pid ? member->pid : NULL);
    remember (member, tide_loop_hear (member->wire));
}

/*  present: JSON. */
void enter (member_t *member, const char *topic, const char *present)
{
    tide_loop_say (member->wire, "421[\"tide:subscribe\",{\"topic\":\"%s\",\"present\":%s}]", topic,
                   present);
    assert_gets (member->wire, "431[{\"ok\":true");
}

member_t present_at (unsigned hub)
{
    member_t member = {0};
    connect_at (&member, hub);
    enter (&member, "lobby", "true");
    return member;
}

/*  -- who is there ---------------------------------------------------------------------------- */

json_t *members_of (const char *topic)
{
    char query[300];
    snprintf (query, sizeof query, "topic=%s", topic);
    tide_loop_http (loop, THIRD, "GET", "/api/v1/presence", query, "");
    if (loop->http_status != 200)
        fail_msg ("%u %s", loop->http_status, loop->http_body ? loop->http_body : "");
    json_t *answer = json_loads (loop->http_body, 0, NULL);
    assert_true (json_is_string (json_object_get (answer, "epoch")));
    assert_true (json_is_integer (json_object_get (answer, "seq")));
    json_t *members = json_incref (json_object_get (answer, "members"));
    assert_true (json_is_array (members));
    json_decref (answer);
    return members;
}

/*  What the member says of itself there: the caller decrefs; NULL if it is not there. */
json_t *found (const char *topic, const member_t *member)
{
    json_t *members = members_of (topic), *one, *is = NULL;
    size_t at;
    json_array_foreach (members, at, one)
        if (strcmp (json_string_value (json_object_get (one, "sid")), member->sid) == 0) {
            assert_null (is);
            is = json_incref (one);
        }
    json_decref (members);
    return is;
}

bool is_there (const member_t *member)
{
    json_t *is = found ("lobby", member);
    json_decref (is);
    return is != NULL;
}

uint64_t since_of (const member_t *member)
{
    json_t *is = found ("lobby", member);
    assert_non_null (is);
    uint64_t since = (uint64_t) json_integer_value (json_object_get (is, "since"));
    json_decref (is);
    assert_true (since > 0);
    return since;
}

void assert_data (const char *topic, const member_t *member, const char *data)
{
    json_t *is = found (topic, member);
    assert_non_null (is);
    json_t *wanted = json_loads (data, JSON_DECODE_ANY, NULL);
    json_t *there = json_object_get (is, "data");
    assert_true (json_is_true (wanted) ? !there : json_equal (there, wanted));
    json_decref (wanted);
    json_decref (is);
}

/*  Somebody who hears who comes and goes. */
tide_loop_client_t *watcher (void)
{
    tide_loop_client_t *client = json_client ();
    tide_loop_say (client, "{\"op\":\"sub\",\"id\":1,\"topic\":\"$presence/lobby\"}");
    assert_hears (client, "{\"op\":\"ok\"");
    return client;
}

/*  The next that is heard is this, of the member. */
void assert_saw (tide_loop_client_t *client, int what, const member_t *member)
{
    const char *frame = tide_loop_hear (client);
    assert_non_null (frame);
    json_t *event = json_loads (frame, 0, NULL);
    assert_string_equal (json_string_value (json_object_get (event, "event")), "presence");
    assert_string_equal (json_string_value (json_object_get (event, "topic")), "$presence/lobby");
    assert_string_equal (json_string_value (json_object_get (event, "key")), member->sid);
    assert_string_equal (json_string_value (json_object_get (event, "from")), member->sid);
    assert_int_equal (json_is_true (json_object_get (event, "removed")), what == WENT);
    json_decref (event);
}

void assert_saw_nothing (tide_loop_client_t *client)
{
    const char *frame = tide_loop_hear (client);
    if (frame)
        fail_msg ("%s", frame);
}
