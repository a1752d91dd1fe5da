/*  check.c - `tidemark check`: verifies a log and reports what it holds.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_client.h"
#include "tide_log.h"

#include <stdio.h>

static const tide_option_t table[] = {{NULL}};

static const tide_program_t program = {
    .program = "tidemark check",
    .arguments = "DIR",
    .about = "Verifies the log in DIR, without changing it, and reports what it holds.\n"
             "Exit status: 0 it is sound, 1 it is damaged, another version's, or there is none.",
    .table = table,
    .bit = 1,
    .arguments_min = 1,
    .arguments_max = 1,
};

static const char *meaning (tide_status_t status)
{
    switch (status) {
    case TIDE_NOT_FOUND:
        return "there is no log";
    case TIDE_BAD_REQUEST:
        return "another version of Tidemark made this log";
    case TIDE_FORBIDDEN:
        return "the log can't be read by this user";
    default:
        return "the log is damaged";
    }
}

static int run (const void *given, char **arguments)
{
    (void) given;
    tide_buffer_t report = {0};
    tide_status_t status = tide_log_check (arguments[0], &report);
    if (report.size > 0)
        fwrite (report.data, 1, report.size, status == TIDE_OK ? stdout : stderr);
    if (status != TIDE_OK)
        fprintf (stderr, "tidemark check: %s: %s\n", arguments[0], meaning (status));
    tide_buffer_free (&report);
    return status == TIDE_OK ? 0 : 1;
}

int tide_command_check (int argc, char *argv[])
{
    char nothing = 0;
    return tide_client_command (&program, argc, argv, &nothing, run);
}
