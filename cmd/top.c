/*  top.c - `tidemark top`: topics with their rates, clients, workers and lag, live in a terminal.
 *
 *  What is shown is gathered by tide_watch.h, a round a second; here are the terminal, the clock
 *  and the connection.
 *  SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "tide_client.h"
#include "tide_watch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUND_MS = 1000,
    ONCE_MS = 2200 /* between the two rounds of --once: each lane speaks twice */
};

typedef struct {
    tide_client_options_t common;
    bool once;
} options_t;

static const tide_option_t table[] = {TIDE_CLIENT_OPTION_BROKER,
                                      {"once", TIDE_OPTION_SWITCH, 1, .is_flag_only = true,
                                       .offset = offsetof (options_t, once),
                                       .help = "print one picture and end, as without a terminal"},
                                      TIDE_CLIENT_OPTION_TIMEOUT,
                                      {NULL}};

static const tide_program_t program = {
    .program = "tidemark top",
    .arguments = "",
    .about =
        "Shows topics with their rates, gateways with their clients, services with their workers\n"
        "and named cursors with their lag, once a second. q ends it.",
    .table = table,
    .bit = 1,
    .arguments_min = 0,
    .arguments_max = 0,
};

typedef struct {
    tide_client_t *client;
    tide_watch_t *watch;
    const options_t *options;
    uint64_t next_ms; /* when the next round is due */
    bool is_live;     /* the terminal is ours */
    bool is_done, has_failed;
} top_t;

static uint64_t clock_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/*  -- a terminal ------------------------------------------------------------------------------ */

static struct termios terminal_before;
static volatile sig_atomic_t is_interrupted;

static void interrupt (int number)
{
    (void) number;
    is_interrupted = 1;
}

static void put_out (tide_bytes_t bytes)
{
    while (bytes.size > 0) {
        ssize_t size = write (STDOUT_FILENO, bytes.data, bytes.size);
        if (size <= 0)
            return;
        bytes = (tide_bytes_t){bytes.data + size, bytes.size - (size_t) size};
    }
}

/*  Another screen, without a cursor; keys are told at once, and not shown. Ctrl-Z would leave the
 *  terminal like that. */
static void open_terminal (top_t *self)
{
    self->is_live = true;
    struct sigaction action = {.sa_handler = interrupt};
    sigaction (SIGINT, &action, NULL);
    sigaction (SIGTERM, &action, NULL);
    sigaction (SIGHUP, &action, NULL);
    tcgetattr (STDIN_FILENO, &terminal_before);
    struct termios raw = terminal_before;
    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    tcsetattr (STDIN_FILENO, TCSANOW, &raw);
    put_out (tide_bytes ("\x1b[?1049h\x1b[?25l"));
}

static void close_terminal (top_t *self)
{
    if (!self->is_live)
        return;
    self->is_live = false;
    put_out (tide_bytes ("\x1b[?25h\x1b[?1049l"));
    tcsetattr (STDIN_FILENO, TCSANOW, &terminal_before);
}

/*  Over what is there, line by line, so that it does not flicker. */
static void show (top_t *self)
{
    struct winsize size = {0};
    ioctl (STDOUT_FILENO, TIOCGWINSZ, &size);
    tide_buffer_t text = {0}, out = {0};
    bool is_away = tide_watch_is_asking (self->watch) && clock_ms () > self->next_ms + ROUND_MS;
    tide_watch_draw (self->watch, self->options->common.broker, is_away,
                     size.ws_col > 0 ? size.ws_col : 80, size.ws_row > 0 ? size.ws_row : 24, true,
                     &text);
    tide_buffer_append_text (&out, "\x1b[H");
    for (size_t at = 0; at < text.size; at++)
        if (text.data[at] == '\n')
            tide_buffer_append_text (&out, "\x1b[K\n");
        else
            tide_buffer_append (&out, text.data + at, 1);
    tide_buffer_append_text (&out, "\x1b[K\x1b[J");
    put_out (tide_buffer_bytes (&out));
    tide_buffer_free (&text);
    tide_buffer_free (&out);
}

/*  True if it is to end: a terminal that is gone says nothing more, either. */
static bool was_told_to_end (void)
{
    char keys[64];
    ssize_t size = read (STDIN_FILENO, keys, sizeof keys);
    return size <= 0 || memchr (keys, 'q', (size_t) size) || memchr (keys, 'Q', (size_t) size);
}

/*  -- the command ----------------------------------------------------------------------------- */

static uint64_t request (void *argument, tide_message_t *message)
{
    const top_t *self = argument;
    return tide_client_request (self->client, message);
}

static void failing (void *argument)
{
    close_terminal (argument); /* what is said there would be gone with it */
}

static void answered (void *argument, uint64_t token, const tide_message_t *answer)
{
    top_t *self = argument;
    if (tide_watch_answer (self->watch, clock_ms (), token, answer))
        return;
    failing (self);
    tide_client_say_fail (program.program, &answer->fail);
    self->has_failed = self->is_done = true;
}

static void happened (void *argument, const tide_feed_action_t *action)
{
    top_t *self = argument;
    if (action->kind == TIDE_FEED_VOLATILE)
        tide_watch_hear (self->watch, clock_ms (), &action->event);
}

static void welcomed (void *argument)
{
    top_t *self = argument;
    if (!tide_watch_is_asking (self->watch) && tide_watch_rounds (self->watch) == 0)
        self->next_ms = 0;
}

static void step (top_t *self, int other, bool *has_input)
{
    uint64_t now = clock_ms ();
    unsigned wait_ms = self->next_ms > now ? (unsigned) (self->next_ms - now) : ROUND_MS / 4;
    *has_input = tide_client_step (self->client, other, wait_ms);
}

static bool is_round_due (const top_t *self)
{
    return !tide_watch_is_asking (self->watch) && clock_ms () >= self->next_ms
           && tide_client_payload_max (self->client) > 0;
}

static int run_once (top_t *self)
{
    bool has_input;
    while (!self->is_done && !tide_client_has_failed (self->client)
           && tide_watch_rounds (self->watch) < 2) {
        if (is_round_due (self)) {
            self->next_ms = clock_ms () + ONCE_MS;
            tide_watch_begin (self->watch);
        }
        step (self, -1, &has_input);
        if (tide_client_gave_up (self->client,
                                 tide_watch_is_asking (self->watch)
                                     || tide_watch_rounds (self->watch) == 0,
                                 self->options->common.timeout_s))
            return 1;
    }
    if (self->has_failed || tide_client_has_failed (self->client))
        return 1;
    tide_buffer_t out = {0};
    tide_watch_draw (self->watch, self->options->common.broker, false, 0, 0, false, &out);
    put_out (tide_buffer_bytes (&out));
    tide_buffer_free (&out);
    return 0;
}

static int run_live (top_t *self)
{
    open_terminal (self);
    while (!self->is_done && !tide_client_has_failed (self->client) && !is_interrupted) {
        if (clock_ms () >= self->next_ms) {
            tide_watch_forget_silent (self->watch, clock_ms ());
            show (self);
            if (is_round_due (self)) {
                self->next_ms = clock_ms () + ROUND_MS;
                tide_watch_begin (self->watch);
            }
        }
        bool has_input;
        step (self, STDIN_FILENO, &has_input);
        self->is_done = self->is_done || (has_input && was_told_to_end ());
    }
    close_terminal (self);
    return self->has_failed || tide_client_has_failed (self->client);
}

static int run (const void *given, char **arguments)
{
    const options_t *options = given;
    (void) arguments;
    top_t self = {.options = options};
    self.watch = tide_watch_new (request, &self, options->once);
    tide_client_config_t config = {.program = program.program,
                                   .endpoint = options->common.broker,
                                   .argument = &self,
                                   .answered = answered,
                                   .happened = happened,
                                   .welcomed = welcomed,
                                   .failing = failing};
    self.client = tide_client_new (&config);
    tide_client_follow (self.client, tide_bytes ("$stats/#"));
    bool is_terminal = isatty (STDIN_FILENO) && isatty (STDOUT_FILENO);
    int exit_status = options->once || !is_terminal ? run_once (&self) : run_live (&self);
    tide_client_destroy (&self.client);
    tide_watch_destroy (&self.watch);
    return exit_status;
}

int tide_command_top (int argc, char *argv[])
{
    options_t options = {0};
    return tide_client_command (&program, argc, argv, &options, run);
}
