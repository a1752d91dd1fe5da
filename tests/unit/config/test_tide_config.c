/*  test_tide_config.c - options from flags, environment, file and default.
 *  SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/*  cmocka.h needs the four above. */
#include <cmocka.h>

#include "tide_config.h"
#include "tide_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tide_config_t config;
static char *text;

/*  Reads the arguments, which end with NULL. */
static tide_options_outcome_t read_as (tide_server_kind_t kind, ...)
{
    char *argv[24] = {(char *) (uintptr_t) "program"};
    int argc = 1;
    va_list list;
    va_start (list, kind);
    for (char *argument = va_arg (list, char *); argument; argument = va_arg (list, char *))
        argv[argc++] = argument;
    va_end (list);
    return tide_config_read (&config, kind, argc, argv, &text);
}

static int teardown (void **state)
{
    (void) state;
    tide_config_free (&config);
    free (text);
    text = NULL;
    for (char **entry = environ; *entry;) {
        if (strncmp (*entry, "TIDEMARK_", 9) != 0) {
            entry++;
            continue;
        }
        char *name = strndup (*entry, strcspn (*entry, "="));
        unsetenv (name);
        free (name);
        entry = environ;
    }
    return 0;
}

static void assert_refused (tide_options_outcome_t outcome, const char *saying)
{
    assert_int_equal (outcome, TIDE_OPTIONS_BAD);
    assert_non_null (text);
    if (!strstr (text, saying))
        fail_msg ("\"%s\" does not say \"%s\"", text, saying);
    assert_ptr_equal (strchr (text, '\n'), text + strlen (text) - 1);
    tide_config_free (&config);
    free (text);
    text = NULL;
}

static char *file_of (const char *content)
{
    static char path[] = "/tmp/test_tide_config.XXXXXX";
    strcpy (path + strlen (path) - 6, "XXXXXX");
    int fd = mkstemp (path);
    assert_true (fd >= 0);
    assert_int_equal (write (fd, content, strlen (content)), (ssize_t) strlen (content));
    close (fd);
    return path;
}

static void defaults_are_the_contract_s (void **state)
{
    (void) state;
    assert_int_equal (read_as (TIDE_SERVE, NULL), TIDE_OPTIONS_READY);
    assert_null (text);
    assert_string_equal (config.listen, "127.0.0.1:8080");
    assert_string_equal (config.listen_host, "127.0.0.1");
    assert_int_equal (config.listen_port, 8080);
    assert_string_equal (config.broker, "tcp://127.0.0.1:7400");
    assert_string_equal (config.events, "tcp://127.0.0.1:7401");
    assert_string_equal (config.volatiles, "tcp://127.0.0.1:7402");
    assert_string_equal (config.data, "tidemark-data");
    assert_false (config.memory);
    assert_int_equal (config.sync, 0);
    assert_int_equal (config.retain_events, 1000000);
    assert_int_equal (config.retain_bytes, 1u << 30);
    assert_int_equal (config.retain_age_s, 7 * 24 * 3600);
    assert_int_equal (config.dedupe_ids, 1000000);
    assert_int_equal (config.workers_wait_s, 10);
    assert_int_equal (config.resume_s, 3600);
    assert_int_equal (config.payload_max, 1000000);
    assert_int_equal (config.ping_interval_ms, 25000);
    assert_int_equal (config.ping_timeout_ms, 20000);
    assert_int_equal (config.connect_timeout_ms, 45000);
    assert_string_equal (config.socketio_path, "/socket.io/");
    assert_string_equal (config.namespaces[0], "/");
    assert_null (config.namespaces[1]);
    assert_null (config.no_recovery[0]);
    assert_null (config.allow_origin[0]);
    assert_int_equal (config.anonymous, TIDE_ANONYMOUS_ALL);
    assert_int_equal (config.lanes, 1);
    assert_int_equal (config.log_level, TIDE_LEVEL_INFO);
    assert_false (config.insecure);
}

static void a_flag_takes_its_value_from_behind_an_equals_sign_too (void **state)
{
    (void) state;
    assert_int_equal (
        read_as (TIDE_SERVE, "--data=d=1", "--retain-age", "60", "--memory", "--sync=os", NULL),
        TIDE_OPTIONS_READY);
    assert_string_equal (config.data, "d=1");
    assert_int_equal (config.retain_age_s, 60);
    assert_true (config.memory);
    assert_int_equal (config.sync, 1);
}

static void flag_wins_over_environment_over_file_over_default (void **state)
{
    (void) state;
    char *path = file_of ("# a file\nretain-age = 1\nresume = 1\nlanes = 1\ndata = filed\n");
    setenv ("TIDEMARK_RETAIN_AGE", "2", 1);
    setenv ("TIDEMARK_RESUME", "2", 1);
    setenv ("TIDEMARK_LANES", "", 1);
    assert_int_equal (read_as (TIDE_SERVE, "--retain-age=3", "--config", path, NULL),
                      TIDE_OPTIONS_READY);
    assert_int_equal (config.retain_age_s, 3);
    assert_int_equal (config.resume_s, 2);
    assert_int_equal (config.lanes, 1);
    assert_string_equal (config.data, "filed");
    unlink (path);
}

static void a_list_of_a_stronger_source_replaces_the_weaker_one_whole (void **state)
{
    (void) state;
    char *path = file_of ("namespace = /a\nnamespace = /b\nno-recovery = chat\nmemory = yes\n");
    setenv ("TIDEMARK_CONFIG", path, 1);
    setenv ("TIDEMARK_ALLOW_ORIGIN", "https://a.example,https://b.example", 1);
    assert_int_equal (read_as (TIDE_SERVE, "--namespace", "chat", "--namespace=/room-*", NULL),
                      TIDE_OPTIONS_READY);
    assert_string_equal (config.namespaces[0], "/chat");
    assert_string_equal (config.namespaces[1], "/room-*");
    assert_null (config.namespaces[2]);
    assert_string_equal (config.no_recovery[0], "/chat");
    assert_string_equal (config.allow_origin[1], "https://b.example");
    assert_null (config.allow_origin[2]);
    assert_true (config.memory);
    unlink (path);
}

static void one_file_serves_several_programs (void **state)
{
    (void) state;
    char *path = file_of ("listen = 0.0.0.0:80\ndata = d\nbroker = tcp://127.0.0.1:9000\n");
    assert_int_equal (read_as (TIDE_BROKER, "--config", path, NULL), TIDE_OPTIONS_READY);
    assert_string_equal (config.data, "d");
    assert_string_equal (config.events, "tcp://127.0.0.1:9001");
    unlink (path);
}

static void what_is_wrong_is_named_in_one_line (void **state)
{
    (void) state;
    assert_refused (read_as (TIDE_SERVE, "--retain-ages", "1", NULL), "--retain-ages");
    assert_refused (read_as (TIDE_SERVE, "-x", NULL), "-x");
    assert_refused (read_as (TIDE_SERVE, "--x\ny", NULL), "--x?y");
    assert_refused (read_as (TIDE_SERVE, "extra", NULL), "\"extra\"");
    assert_refused (read_as (TIDE_SERVE, "--retain-age", NULL), "--retain-age needs a value");
    assert_refused (read_as (TIDE_SERVE, "--retain-age", "-1", NULL), "not \"-1\"");
    assert_refused (read_as (TIDE_SERVE, "--retain-age", "1h", NULL), "--retain-age is a number");
    assert_refused (read_as (TIDE_SERVE, "--retain-age", "99999999999999999999999", NULL),
                    "--retain-age is a number from 1 to");
    assert_refused (read_as (TIDE_SERVE, "--max-payload", "99999999999", NULL), "67108864");
    assert_refused (read_as (TIDE_SERVE, "--sync", "never", NULL), "always|os");
    assert_refused (read_as (TIDE_SERVE, "--memory=perhaps", NULL), "--memory is true or false");
    assert_refused (read_as (TIDE_SERVE, "--data=", NULL), "--data needs a value");
    assert_refused (read_as (TIDE_SERVE, "--listen", "8080", NULL), "--listen is HOST:PORT");
    assert_refused (read_as (TIDE_SERVE, "--listen", "::1:8080", NULL), "--listen is HOST:PORT");
    assert_refused (read_as (TIDE_SERVE, "--listen", "h:65536", NULL), "--listen is HOST:PORT");
    assert_refused (read_as (TIDE_SERVE, "--broker", "http://h:1", NULL), "--broker is tcp://");
    assert_refused (read_as (TIDE_SERVE, "--broker", "tcp://127.0.0.1:65535", NULL), "--events");
    assert_refused (read_as (TIDE_SERVE, "--socketio-path", "io", NULL), "--socketio-path");
    assert_refused (read_as (TIDE_BROKER, "--listen", "h:1", NULL), "--listen is not an option");
    setenv ("TIDEMARK_LANES", "many", 1);
    assert_refused (read_as (TIDE_SERVE, NULL), "TIDEMARK_LANES");
}

static void a_file_that_is_wrong_is_named_in_one_line (void **state)
{
    (void) state;
    assert_refused (read_as (TIDE_SERVE, "--config", "/nowhere/at.all", NULL), "/nowhere/at.all");
    assert_refused (read_as (TIDE_SERVE, "--config", "/", NULL), "directory");
    assert_refused (read_as (TIDE_SERVE, "--config", NULL), "--config needs a value");
    char *path = file_of ("lanes = 1\nlane = 2\n");
    assert_refused (read_as (TIDE_SERVE, "--config", path, NULL), "unknown option \"lane\"");
    unlink (path);
    path = file_of ("lanes = many\n");
    assert_refused (read_as (TIDE_SERVE, "--config", path, NULL), "lanes is a number");
    unlink (path);
    path = file_of ("lanes = 1\ndata = \"open\n");
    assert_refused (read_as (TIDE_SERVE, "--config", path, NULL), "line 2: missing \"");
    unlink (path);
    path = file_of ("lanes = 1\n    data = 1\n");
    assert_refused (read_as (TIDE_SERVE, "--config", path, NULL), "\"lanes\"");
    unlink (path);
}

static void what_comes_later_is_refused_by_name (void **state)
{
    (void) state;
    static const char *const names[] = {"token-key", "tls-cert", "tls-key", "curve-key",
                                        "curve-clients"};
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
        char flag[64], saying[128];
        snprintf (flag, sizeof flag, "--%s", names[at]);
        snprintf (saying, sizeof saying, "%s is not available in this version", flag);
        assert_refused (read_as (TIDE_SERVE, flag, "x", NULL), saying);
        assert_refused (read_as (TIDE_GATEWAY, flag, NULL), saying);
    }
    setenv ("TIDEMARK_TLS_CERT", "x", 1);
    assert_refused (read_as (TIDE_SERVE, NULL), "--tls-cert is not available in this version");
}

static void a_broker_for_other_machines_needs_insecure (void **state)
{
    (void) state;
    assert_refused (read_as (TIDE_BROKER, "--broker", "tcp://0.0.0.0:7400", NULL), "--insecure");
    assert_refused (read_as (TIDE_SERVE, "--broker", "tcp://*:7400", NULL), "--insecure");
    assert_refused (read_as (TIDE_BROKER, "--broker", "tcp://eth0:*", NULL), "--insecure");
    assert_refused (read_as (TIDE_BROKER, "--events", "tcp://[::]:1", NULL), "--events");
    assert_refused (read_as (TIDE_BROKER, "--volatile", "tcp://10.0.0.1:1", NULL), "--volatile");
    assert_int_equal (read_as (TIDE_BROKER, "--broker", "tcp://*:7400", "--insecure", NULL),
                      TIDE_OPTIONS_READY);
    assert_string_equal (config.events, "tcp://*:7401");
    tide_config_free (&config);
    /*  A gateway only connects. */
    assert_int_equal (read_as (TIDE_GATEWAY, "--broker", "tcp://broker.example:7400", NULL),
                      TIDE_OPTIONS_READY);
    tide_config_free (&config);
    assert_refused (read_as (TIDE_GATEWAY, "--broker", "tcp://127.0.0.1:*", NULL), "port");
}

static void endpoints_beside_the_broker_s_follow_from_it (void **state)
{
    (void) state;
    assert_int_equal (read_as (TIDE_BROKER, "--broker", "tcp://127.0.0.1:*", NULL),
                      TIDE_OPTIONS_READY);
    assert_string_equal (config.events, "tcp://127.0.0.1:*");
    assert_string_equal (config.volatiles, "tcp://127.0.0.1:*");
    tide_config_free (&config);
    assert_int_equal (read_as (TIDE_BROKER, "--broker", "ipc:///run/t", NULL), TIDE_OPTIONS_READY);
    assert_string_equal (config.events, "ipc:///run/t-events");
    assert_string_equal (config.volatiles, "ipc:///run/t-events-volatile");
    tide_config_free (&config);
    assert_int_equal (
        read_as (TIDE_BROKER, "--broker", "tcp://[::1]:7400", "--events", "tcp://[::1]:9", NULL),
        TIDE_OPTIONS_READY);
    assert_string_equal (config.volatiles, "tcp://[::1]:10");
}

static void anonymous_is_all_on_loopback_and_none_elsewhere_unless_told (void **state)
{
    (void) state;
    static const struct {
        char listen[24];
        int anonymous;
    } cases[] = {{"localhost:1", TIDE_ANONYMOUS_ALL},    {"[::1]:1", TIDE_ANONYMOUS_ALL},
                 {"127.8.9.1:1", TIDE_ANONYMOUS_ALL},    {"0.0.0.0:1", TIDE_ANONYMOUS_NONE},
                 {"*:1", TIDE_ANONYMOUS_NONE},           {":1", TIDE_ANONYMOUS_NONE},
                 {"[::]:1", TIDE_ANONYMOUS_NONE},        {"example.org:1", TIDE_ANONYMOUS_NONE},
                 {"127.evil.org:1", TIDE_ANONYMOUS_NONE}};
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        assert_int_equal (read_as (TIDE_GATEWAY, "--listen", cases[at].listen, NULL),
                          TIDE_OPTIONS_READY);
        assert_int_equal (config.anonymous, cases[at].anonymous);
        tide_config_free (&config);
    }
    assert_int_equal (read_as (TIDE_GATEWAY, "--listen", "*:1", "--anonymous", "read", NULL),
                      TIDE_OPTIONS_READY);
    assert_string_equal (config.listen_host, "0.0.0.0");
    assert_int_equal (config.anonymous, TIDE_ANONYMOUS_READ);
}

static void help_and_version_come_before_any_complaint (void **state)
{
    (void) state;
    assert_int_equal (read_as (TIDE_BROKER, "--nonsense", "--help", NULL), TIDE_OPTIONS_TOLD);
    assert_non_null (strstr (text, "--retain-age SECONDS"));
    assert_non_null (strstr (text, "--config FILE"));
    assert_null (strstr (text, "--listen"));
    assert_null (strstr (text, "tls-cert"));
    tide_config_free (&config);
    free (text);
    assert_int_equal (read_as (TIDE_BROKER, "--version", NULL), TIDE_OPTIONS_TOLD);
    char version[64];
    snprintf (version, sizeof version, "tidemark %s\n", tide_version ());
    assert_string_equal (text, version);
    tide_config_free (&config);
    free (text);
    text = NULL;
    /*  A value that only looks like it. */
    assert_int_equal (read_as (TIDE_BROKER, "--data", "--help", NULL), TIDE_OPTIONS_READY);
    assert_string_equal (config.data, "--help");
}

static void a_path_of_socketio_ends_with_a_slash (void **state)
{
    (void) state;
    assert_int_equal (read_as (TIDE_GATEWAY, "--socketio-path", "/io", NULL), TIDE_OPTIONS_READY);
    assert_string_equal (config.socketio_path, "/io/");
}

int main (void)
{
    teardown (NULL);
#define TEST(name) cmocka_unit_test_teardown (name, teardown)
    const struct CMUnitTest tests[] = {
        TEST (defaults_are_the_contract_s),
        TEST (a_flag_takes_its_value_from_behind_an_equals_sign_too),
        TEST (flag_wins_over_environment_over_file_over_default),
        TEST (a_list_of_a_stronger_source_replaces_the_weaker_one_whole),
        TEST (one_file_serves_several_programs),
        TEST (what_is_wrong_is_named_in_one_line),
        TEST (a_file_that_is_wrong_is_named_in_one_line),
        TEST (what_comes_later_is_refused_by_name),
        TEST (a_broker_for_other_machines_needs_insecure),
        TEST (endpoints_beside_the_broker_s_follow_from_it),
        TEST (anonymous_is_all_on_loopback_and_none_elsewhere_unless_told),
        TEST (help_and_version_come_before_any_complaint),
        TEST (a_path_of_socketio_ends_with_a_slash),
    };
    return cmocka_run_group_tests_name ("tide_config", tests, NULL, NULL);
}
