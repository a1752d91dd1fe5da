/*  test_session_data.c - what a worker sets of a session that it lets in is there with the session:
 *  in one append, or not at all.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_worker_fixture.h"

#include "tide_alloc.h"

#include <stdlib.h>

static const char hooks[] = TIDE_HOOK_CONNECT " " TIDE_HOOK_DISCONNECT " " TIDE_HOOK_EXPIRED;

/*  It wants to come in, as who it was before unless pid is NULL, and a worker is asked. */
static tide_loop_client_t *at_the_door (unsigned hub, const char *pid)
{
    tide_loop_client_t *client = asking_at (hub, pid);
    assert_lent (TIDE_HOOK_CONNECT, pid ? "[{},true]" : "[{},false]");
    return client;
}

/*  What stands of the session that was asked for last. */
static struct {
    unsigned count;
    uint64_t record, data; /* where; 0: it does not */
    tide_args_t args;      /* of the data; valid until the next look */
} stands;

static void look (void)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = 8;
    message.snapshot.topic = called.session;
    tide_loop_ask_broker (loop, &message);
    const char *why;
    assert_int_equal (tide_message_decode (tide_buffer_bytes (&loop->told), &message, &why),
                      TIDE_OK);
    assert_int_equal (message.kind, TIDE_MESSAGE_STANDING);
    assert_int_equal (message.standing.more, 0);
    memset (&stands, 0, sizeof stands);
    tide_list_t list = message.standing.events;
    tide_event_t each;
    while (tide_event_next (&list, &each)) {
        stands.count++;
        if (tide_bytes_is (each.key, TIDE_SESSION_KEY))
            stands.record = each.seq;
        else if (tide_bytes_is (each.key, TIDE_SESSION_DATA_KEY)) {
            stands.data = each.seq;
            assert_int_equal (tide_args_decode (each.payload, &stands.args), TIDE_OK);
            assert_false (stands.args.many);
            assert_int_equal (stands.args.about.size, 0);
        }
    }
}

static void assert_data (const char *json)
{
    look ();
    assert_true (stands.record > 0 && stands.data > 0);
    if (!tide_bytes_is (stands.args.json, json))
        fail_msg ("%s and not %.*s", json, TIDE_PRINT (stands.args.json));
}

static void assert_nothing_stands (void)
{
    look ();
    assert_int_equal (stands.count, 0);
}

static void it_is_appended_with_the_record (void **state)
{
    (void) state;
    static const uint8_t flags[] = {0, TIDE_HANDLER_VOLATILE};
    static const char *const answers[][2] = {
        {"{\"#data\":{\"name\":\"\\u00e9\\n\",\"n\":[1,2.5,null]},\"more\":1}",
         "{\"data\":{\"name\":\"é\\n\",\"n\":[1,2.5,null]}}"},
        {"{\"#data\":null}", "{\"data\":null}"},
        {"{\"#data\":false,\"message\":7,\"data\":8}", "{\"data\":false}"},
        {"[{\"#data\":\"text\"},{\"#data\":2}]", "{\"data\":\"text\"}"},
    };
    for (size_t at = 0; at < 8; at++) {
        char pid[64];
        tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, flags[at % 2]);
        tide_loop_client_t *client = at_the_door (HOLDER, NULL);
        assert_nothing_stands ();
        bool is_list = answers[at / 2][0][0] == '[';
        tide_loop_handled (
            loop, &lend, TIDE_OK,
            &(tide_args_t){.many = is_list, .json = tide_bytes (answers[at / 2][0])});
        assert_is_in (client, pid);
        assert_data (answers[at / 2][1]);
        assert_int_equal (stands.data, stands.record + 1); /* in one append */
    }
}

static void binary_values_are_its_own (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    tide_loop_handled (
        loop, &lend, TIDE_OK,
        &(tide_args_t){.json = tide_bytes ("{\"#data\":[{\"_placeholder\":true,\"num\":1}]}"),
                       .attachments = 2,
                       .attachment = {tide_bytes ("one"), tide_bytes ("two")}});
    assert_is_in (client, pid);
    assert_data ("{\"data\":[{\"_placeholder\":true,\"num\":1}]}");
    assert_int_equal (stands.args.attachments, 2);
    assert_true (tide_bytes_is (stands.args.attachment[1], "two"));
}

static void who_sets_nothing_leaves_nothing (void **state)
{
    (void) state;
    static const char *const answers[] = {"{}", "7", "\"#data\"", "[[\"#data\"]]",
                                          "{\"data\":{\"#data\":1}}"};
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    for (size_t at = 0; at < sizeof answers / sizeof answers[0]; at++) {
        char pid[64];
        tide_loop_client_t *client = at_the_door (HOLDER, NULL);
        reply (answers[at]);
        assert_is_in (client, pid);
        look ();
        assert_int_equal (stands.count, 1);
        assert_true (stands.record > 0);
    }
}

static void who_is_kept_out_leaves_nothing (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    reply ("{\"message\":\"not you\",\"#data\":1}");
    assert_string_equal (tide_loop_hear (client), "44{\"message\":\"not you\"}");
    assert_nothing_stands ();
    tide_loop_say (client, "40"); /* and nothing of it comes to who asks again */
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    reply ("{}");
    char pid[64];
    assert_is_in (client, pid);
    look ();
    assert_int_equal (stands.count, 1);
}

/*  Answers with data of so many characters. */
static void reply_text (size_t size)
{
    char *text = tide_alloc (size + 32);
    int begin = sprintf (text, "{\"#data\":\"");
    memset (text + begin, 'x', size);
    memcpy (text + (size_t) begin + size, "\"}", 3);
    reply (text);
    free (text);
}

static void what_is_too_large_keeps_it_out (void **state)
{
    (void) state;
    enum { AROUND = 2 + sizeof "{\"data\":\"\"}" - 1 }; /* the form, no attachments */
    static const size_t limit =
        TIDE_SESSION_DATA_SIZE_MAX + TIDE_SESSION_DATA_OVERHEAD_MAX - AROUND;
    const size_t sizes[] = {limit, limit + 1};
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    for (size_t at = 0; at < 2; at++) {
        char pid[64];
        tide_loop_client_t *client = at_the_door (HOLDER, NULL);
        reply_text (sizes[at]);
        if (at == 0) {
            assert_is_in (client, pid);
            look ();
            assert_int_equal (stands.args.json.size, sizes[at] + strlen ("{\"data\":\"\"}"));
            continue;
        }
        const char *frame = tide_loop_hear (client);
        assert_memory_equal (frame, "44{\"message\":\"what is kept of a session is 64 KiB", 49);
        assert_non_null (strstr (frame, "\"data\":{\"code\":\"too_large\"}"));
        assert_nothing_stands ();
    }
}

/*  64 KiB of JSON as libtidemark counts them: a number may be longer here. */
static void what_the_library_takes_is_let_in (void **state)
{
    (void) state;
    char pid[64];
    json_t *numbers = json_array ();
    for (unsigned at = 0; at < (TIDE_SESSION_DATA_SIZE_MAX - 1) / sizeof "1e22"; at++)
        json_array_append_new (numbers, json_real (1e22));
    char *text = json_dumps (numbers, JSON_COMPACT);
    assert_in_range (strlen (text), TIDE_SESSION_DATA_SIZE_MAX - 8, TIDE_SESSION_DATA_SIZE_MAX);
    tide_buffer_t answer = {0};
    tide_buffer_printf (&answer, "{\"#data\":%s}", text);
    tide_put_u8 (&answer, 0);
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    reply ((const char *) answer.data);
    assert_is_in (client, pid);
    look ();
    assert_int_equal (stands.count, 2);
    tide_buffer_free (&answer);
    free (text);
    json_decref (numbers);
}

/*  It is JSON, and holds a number that nothing here can have: what it says is not known. */
static void who_is_answered_what_cannot_be_read_is_kept_out (void **state)
{
    (void) state;
    static const char *const answers[] = {
        "{\"#data\":18446744073709551615}",
        "{\"#data\":1e400}",
        "{\"message\":\"not you\",\"data\":18446744073709551615}",
        "[{\"message\":\"not you\"},1e400]",
    };
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    for (size_t at = 0; at < sizeof answers / sizeof answers[0]; at++) {
        tide_loop_client_t *client = at_the_door (HOLDER, NULL);
        bool is_list = answers[at][0] == '[';
        tide_loop_handled (loop, &lend, TIDE_OK,
                           &(tide_args_t){.many = is_list, .json = tide_bytes (answers[at])});
        const char *frame = tide_loop_hear (client);
        if (!frame || strncmp (frame, "44{", 3) != 0)
            fail_msg ("%s: it heard %s", answers[at], frame ? frame : "nothing");
        assert_non_null (strstr (frame, "\"data\":{\"code\":\"bad_json\"}"));
        assert_nothing_stands ();
    }
}

static void it_goes_on_and_ends_with_its_session (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "door", "/", hooks, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    reply ("{\"#data\":1}");
    assert_is_in (client, pid);
    tide_loop_cut (client);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    assert_data ("{\"data\":1}");
    reply ("[]");
    client = at_the_door (OTHER, pid);
    assert_data ("{\"data\":1}");
    reply ("{\"#data\":2}"); /* it has a record: there the worker sets it */
    assert_is_in (client, pid);
    assert_data ("{\"data\":1}");
    tide_loop_cut (client);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    reply ("[]");
    client = at_the_door (OTHER, pid);
    reply_text (TIDE_SESSION_DATA_SIZE_MAX + TIDE_SESSION_DATA_OVERHEAD_MAX); /* ignored, too */
    assert_is_in (client, pid);
    assert_data ("{\"data\":1}");
    tide_loop_say (client, "41");
    assert_lent (TIDE_HOOK_DISCONNECT, "\"client namespace disconnect\"");
    assert_data ("{\"data\":1}");
    reply ("[]");
    tide_loop_pass (loop, 32000);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_nothing_stands ();
}

static void it_is_told_of_once_more_when_its_lane_dies (void **state)
{
    (void) state;
    char pid[64];
    tide_loop_serve (loop, "door", "/", hooks, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    reply ("{\"#data\":1}");
    assert_is_in (client, pid);
    tide_loop_kill_lane (loop, HOLDER);
    tide_loop_pass (loop, 12000);
    assert_lent (TIDE_HOOK_DISCONNECT, "\"transport close\"");
    assert_data ("{\"data\":1}");
    reply ("[]");
    tide_loop_pass (loop, loop->hub_config.resume_ms);
    assert_lent (TIDE_HOOK_EXPIRED, "[]");
    assert_nothing_stands ();
}

/*  While the record is on its way: its client is cut, its lane dies, the log is another one, it is
 *  refused, or it comes. */
static void g3_there_is_no_session_without_it (void **state)
{
    (void) state;
    enum { COMES, IS_CUT, DIES, IS_FULL, HOW };
    tide_loop_serve (loop, "door", "/", hooks, 0);
    for (int how = 0; how < HOW; how++) {
        char pid[64];
        tide_loop_client_t *client = at_the_door (HOLDER, NULL);
        loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH;
        reply ("{\"#data\":1}");
        assert_null (tide_loop_hear (client));
        assert_nothing_stands ();
        if (how == IS_CUT)
            tide_loop_cut (client);
        if (how == DIES)
            tide_loop_kill_lane (loop, HOLDER);
        if (how == IS_FULL) {
            refuse_held (TIDE_LOG_FULL);
            assert_null (client->connection); /* it comes again, and not without its data */
            assert_nothing_stands ();
            continue;
        }
        tide_loop_let_all_go (loop);
        if (how == COMES)
            assert_is_in (client, pid);
        if (how == DIES) {
            look ();
            assert_true ((stands.record > 0) == (stands.data > 0));
            continue;
        }
        assert_data ("{\"data\":1}");
    }
}

/*  Without anything set, a full log serves its readers as before. */
static void a_full_log_lets_in_who_has_none (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = at_the_door (HOLDER, NULL);
    loop->held_kinds[HOLDER] = (uint64_t) 1 << TIDE_MESSAGE_PUBLISH;
    reply ("{}");
    refuse_held (TIDE_LOG_FULL);
    assert_hears (client, "40{\"sid\":");
}

/*  What a client that cannot be resumed has is nowhere. */
static void without_a_record_there_is_none (void **state)
{
    (void) state;
    tide_loop_serve (loop, "door", "/plain", TIDE_HOOK_CONNECT, 0);
    tide_loop_client_t *client = opened_at (HOLDER);
    tide_loop_say (client, "40/plain,");
    assert_lent (TIDE_HOOK_CONNECT, "[{},false]");
    assert_int_equal (called.session.size, 0);
    reply ("{\"#data\":1}");
    assert_hears (client, "40/plain,{\"sid\":");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (it_is_appended_with_the_record),
        TEST (binary_values_are_its_own),
        TEST (who_sets_nothing_leaves_nothing),
        TEST (who_is_kept_out_leaves_nothing),
        TEST (what_is_too_large_keeps_it_out),
        TEST (what_the_library_takes_is_let_in),
        TEST (who_is_answered_what_cannot_be_read_is_kept_out),
        TEST (it_goes_on_and_ends_with_its_session),
        TEST (it_is_told_of_once_more_when_its_lane_dies),
        TEST (g3_there_is_no_session_without_it),
        TEST (a_full_log_lets_in_who_has_none),
        TEST (without_a_record_there_is_none),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
