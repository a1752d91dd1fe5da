/*  test_worker.c - a worker for scenarios: tide-test-worker ENDPOINT FILE THREADS.
 *
 *  Every effect of "count" is a line in FILE: the call's id, the attempt, its number. A worker that
 *  is killed leaves the lines that it has written.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file;

static json_t *copy_of_args (const tidemark_call_t *call)
{
    return json_deep_copy (tidemark_call_args (call));
}

static int on_count (tidemark_call_t *call, void *argument)
{
    (void) argument;
    char line[200];
    const json_t *number = json_array_get (tidemark_call_args (call), 0);
    int size = snprintf (line, sizeof line, "%s %u %lld\n", tidemark_call_id (call),
                         tidemark_call_attempt (call), (long long) json_integer_value (number));
    if (write (file, line, (size_t) size) != size)
        return 1;
    tidemark_ack (call, copy_of_args (call));
    return 0;
}

static int on_echo (tidemark_call_t *call, void *argument)
{
    (void) argument;
    tidemark_ack (call, copy_of_args (call));
    return 0;
}

static int on_refuse (tidemark_call_t *call, void *argument)
{
    (void) argument;
    tidemark_fail (call, TIDEMARK_FORBIDDEN, "not for you");
    return 0;
}

/*  Not the first time; then it says which attempt it was. */
static int on_later (tidemark_call_t *call, void *argument)
{
    (void) argument;
    if (tidemark_call_attempt (call) == 1)
        tidemark_retry (call, 100);
    else
        tidemark_ack (call, json_integer (tidemark_call_attempt (call)));
    return 0;
}

/*  As a fault in a handler ends a process. */
static int on_crash (tidemark_call_t *call, void *argument)
{
    (void) argument;
    if (tidemark_call_attempt (call) == 1)
        kill (getpid (), SIGKILL);
    tidemark_ack (call, json_integer (tidemark_call_attempt (call)));
    return 0;
}

static int on_reject (tidemark_call_t *call, void *argument)
{
    (void) argument;
    tidemark_reject (call, "it cannot be");
    return 0;
}

/*  Tells everybody in the lobby, together with the answer. */
static int on_say (tidemark_call_t *call, void *argument)
{
    (void) argument;
    tidemark_emit (call, "lobby", "said", copy_of_args (call), NULL);
    tidemark_ack (call, NULL);
    return 0;
}

/*  -- /door, where one says one's name -------------------------------------------------------- */

static void tell (tidemark_call_t *call, const char *event, json_t *more)
{
    tidemark_emit (call, "door/told", event,
                   json_pack ("{ss, so*}", "sid", tidemark_call_from (call), "about", more), NULL);
}

static int on_connect (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const json_t *args = tidemark_call_args (call);
    const char *name = json_string_value (json_object_get (json_array_get (args, 0), "name"));
    if (!name)
        return (int) tidemark_refuse (call, "say your name", json_pack ("{ss}", "wants", "name"));
    if (strcmp (name, "nobody") == 0)
        return (int) tidemark_fail (call, TIDEMARK_FORBIDDEN, "not you");
    json_t *data;
    tidemark_session_get (call, &data);
    tell (call, "came",
          json_pack ("[s, b, o*]", name, json_is_true (json_array_get (args, 1)), data));
    return 0;
}

static int on_disconnect (tidemark_call_t *call, void *argument)
{
    (void) argument;
    json_t *data;
    tidemark_session_get (call, &data);
    tell (call, "left",
          json_pack ("[O, o]", json_array_get (tidemark_call_args (call), 0),
                     data ? data : json_null ()));
    return 0;
}

static int on_expired (tidemark_call_t *call, void *argument)
{
    (void) argument;
    tell (call, "gone", NULL);
    return 0;
}

static const char *first_of (const tidemark_call_t *call)
{
    return json_string_value (json_array_get (tidemark_call_args (call), 0));
}

static int on_enter (tidemark_call_t *call, void *argument)
{
    (void) argument;
    char topic[TIDEMARK_TOPIC_SIZE];
    tidemark_topic_of_room (topic, tidemark_call_namespace (call), first_of (call));
    json_t *present = json_array_get (tidemark_call_args (call), 1);
    tidemark_status_t status = tidemark_join (call, first_of (call), json_incref (present));
    if (status != TIDEMARK_OK)
        return (int) tidemark_fail (call, status, NULL);
    tidemark_emit (call, topic, "entered", json_string (tidemark_call_from (call)), NULL);
    return 0;
}

static int on_leave (tidemark_call_t *call, void *argument)
{
    (void) argument;
    return (int) tidemark_leave (call, first_of (call));
}

static int on_go (tidemark_call_t *call, void *argument)
{
    (void) argument;
    return (int) tidemark_disconnect (call, 0);
}

static int on_room (tidemark_call_t *call, void *argument)
{
    (void) argument;
    char topic[TIDEMARK_TOPIC_SIZE];
    tidemark_topic_of_room (topic, tidemark_call_namespace (call), first_of (call));
    return (int) tidemark_emit (call, topic, "said", copy_of_args (call), NULL);
}

static int on_remember (tidemark_call_t *call, void *argument)
{
    (void) argument;
    json_t *data = json_array_get (tidemark_call_args (call), 0);
    tidemark_status_t status = tidemark_session_set (call, json_incref (data));
    return (int) (status == TIDEMARK_OK ? tidemark_ack (call, NULL)
                                        : tidemark_fail (call, status, tidemark_error ()));
}

static int on_recall (tidemark_call_t *call, void *argument)
{
    (void) argument;
    json_t *data;
    tidemark_status_t status = tidemark_session_get (call, &data);
    return (int) (status == TIDEMARK_OK
                      ? tidemark_ack (call, json_pack ("[o]", data ? data : json_null ()))
                      : tidemark_fail (call, status, tidemark_error ()));
}

/*  Asks the caller, in the meantime, within so many milliseconds. */
static int on_ask (tidemark_call_t *call, void *argument)
{
    json_t *answer;
    json_int_t timeout_ms = json_integer_value (json_array_get (tidemark_call_args (call), 0));
    tidemark_status_t status =
        tidemark_ask (argument, tidemark_call_from (call), "how are you",
                      json_pack ("[s, o]", "friend", tidemark_binary ("\1\2\377", 3)),
                      (uint32_t) timeout_ms, &answer);
    return (int) (status == TIDEMARK_OK ? tidemark_ack (call, json_pack ("[o]", answer))
                                        : tidemark_fail (call, status, tidemark_error ()));
}

/*  Who comes in and says what is to be kept of it has that kept. */
static int introduce (tidemark_call_t *call, void *argument)
{
    (void) argument;
    json_t *data = json_object_get (json_array_get (tidemark_call_args (call), 0), "keep");
    if (!data || strcmp (tidemark_call_event (call), TIDEMARK_CONNECT) != 0
        || json_is_true (json_array_get (tidemark_call_args (call), 1)))
        return 0;
    tidemark_status_t status = tidemark_session_set (call, json_incref (data));
    return status == TIDEMARK_OK ? 0 : (int) tidemark_fail (call, status, tidemark_error ());
}

/*  Nobody comes into the cellar; and what concerns "tired" is done at the second attempt. */
static int guard (tidemark_call_t *call, void *argument)
{
    (void) argument;
    const char *room = first_of (call);
    if (room && strcmp (room, "cellar") == 0)
        return (int) tidemark_fail (call, TIDEMARK_FORBIDDEN, "not there");
    return room && strcmp (room, "tired") == 0 && tidemark_call_attempt (call) == 1;
}

static void *run (void *argument)
{
    tidemark_t *client = argument;
    tidemark_status_t status = tidemark_run (client);
    if (status != TIDEMARK_OK)
        fprintf (stderr, "tide-test-worker: %s: %s\n", tidemark_status_name (status),
                 tidemark_message (client));
    return NULL;
}

int main (int argc, char **argv)
{
    static const struct {
        const char *nsp, *event;
        tidemark_handler_fn *handler;
    } handlers[] = {{"/", "count", on_count},
                    {"/", "echo", on_echo},
                    {"/", "refuse", on_refuse},
                    {"/", "later", on_later},
                    {"/", "crash", on_crash},
                    {"/", "reject", on_reject},
                    {"/", "say", on_say},
                    {"/", "remember", on_remember},
                    {"/", "recall", on_recall},
                    {"/door", TIDEMARK_CONNECT, on_connect},
                    {"/door", TIDEMARK_DISCONNECT, on_disconnect},
                    {"/door", TIDEMARK_SESSION_EXPIRED, on_expired},
                    {"/door", "enter", on_enter},
                    {"/door", "leave", on_leave},
                    {"/door", "go", on_go},
                    {"/door", "remember", on_remember},
                    {"/door", "recall", on_recall},
                    {"/door", "ask me", on_ask},
                    {"/door", "say to", on_room}};
    if (argc != 4) {
        fprintf (stderr, "tide-test-worker ENDPOINT FILE THREADS\n");
        return 2;
    }
    file = open (argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    int threads = atoi (argv[3]);
    tidemark_t *client = tidemark_connect (&(tidemark_options_t){.endpoint = argv[1]});
    if (file < 0 || threads < 1 || threads > 64 || !client)
        return 2;
    for (size_t at = 0; at < sizeof handlers / sizeof handlers[0]; at++)
        tidemark_handle (client, handlers[at].nsp, handlers[at].event, handlers[at].handler, client,
                         0);
    tidemark_use (client, "/door", introduce, NULL);
    tidemark_use (client, "/door", guard, NULL);
    tidemark_service_options_t options = {.credit = (uint32_t) threads * 8, .attempts = 50};
    tidemark_service (client, "test", &options);
    pthread_t *all = calloc ((size_t) threads, sizeof *all);
    for (int at = 0; at < threads; at++)
        pthread_create (&all[at], NULL, run, client);
    for (int at = 0; at < threads; at++)
        pthread_join (all[at], NULL);
    free (all);
    tidemark_close (&client);
    return 0;
}
