/*  main.c - `tidemark`: finds the subcommand.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_options.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run) (int argc, char *argv[]);
    const char *usage;
    const char *about;
} commands[] = {
    {"serve", tide_command_serve, "serve", "broker and gateway in one process"},
    {"pub", tide_command_pub, "pub TOPIC EVENT [DATA]", "publish; DATA is JSON, - reads lines"},
    {"sub", tide_command_sub, "sub TOPIC...", "print events as they come"},
    {"snapshot", tide_command_snapshot, "snapshot TOPIC", "print the standing keyed events"},
    {"history", tide_command_history, "history TOPIC", "print logged events"},
    {"cursors", tide_command_cursors, "cursors",
     "list named cursors and groups, and their lag; remove one"},
    {"top", tide_command_top, "top", "a live view of topics, rates, clients and lag"},
    {"check", tide_command_check, "check DIR", "verify a log; report what it holds"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static void help (FILE *out)
{
    fprintf (out, "tidemark %s: a real-time event broker in which nobody misses an event\n\n",
             tide_version ());
    for (size_t at = 0; at < COMMANDS; at++)
        fprintf (out, "  tidemark %-24s %s\n", commands[at].usage, commands[at].about);
    fprintf (out, "  tidemark %-24s %s\n\n", "help [COMMAND]", "say this, or more of a command");
    fprintf (out, "Exit status: 0 done, 1 failed, 2 asked wrongly.\n");
}

static int run (int argc, char *argv[])
{
    for (size_t at = 0; at < COMMANDS; at++)
        if (strcmp (argv[0], commands[at].name) == 0)
            return commands[at].run (argc, argv);
    static const char *const later[] = {"token", "bench"};
    for (size_t at = 0; at < sizeof later / sizeof *later; at++) {
        if (strcmp (argv[0], later[at]) == 0) {
            fprintf (stderr, "tidemark: %s is not available in this version\n", later[at]);
            return 2;
        }
    }
    fprintf (stderr, "tidemark: unknown command \"%s\"; see tidemark help\n", argv[0]);
    return 2;
}

int main (int argc, char *argv[])
{
    if (argc < 2) {
        fprintf (stderr, "tidemark: a command is missing; see tidemark help\n");
        return 2;
    }
    if (strcmp (argv[1], "--version") == 0) {
        printf ("tidemark %s\n", tide_version ());
        return 0;
    }
    bool is_help = strcmp (argv[1], "help") == 0;
    if (strcmp (argv[1], "--help") == 0 || (is_help && argc == 2)) {
        help (stdout);
        return 0;
    }
    if (is_help) {
        static char flag[] = "--help";
        char *asked[] = {argv[2], flag, NULL};
        return run (2, asked);
    }
    return run (argc - 1, argv + 1);
}
