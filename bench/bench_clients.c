/*  bench_clients.c - many Socket.IO clients over WebSocket in one thread.
 *  SPDX-License-Identifier: MIT
 */
#include "bench_clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_SIZE = 8192, OUTPUT_SIZE = 16384, TEXT_SIZE = 100, WAIT_MS = 30000 };

typedef struct {
    int fd;
    unsigned under_way;
    uint32_t number;                 /* of the last call */
    double began_s[BENCH_DEPTH_MAX]; /* of a call, by its number */
    size_t kept;                     /* of a frame that has not come as a whole */
    uint8_t input[INPUT_SIZE];
} client_t;

struct bench_clients {
    client_t *clients;
    unsigned count;
    int epoll;
    /*  Of the run. */
    const bench_load_t *load;
    char tail[256]; /* of each call: its event and arguments */
    double end_s;
    uint64_t begun, answered;
};

double bench_now_s (void)
{
    struct timespec time;
    clock_gettime (CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void die (const char *format, ...) __attribute__ ((format (printf, 1, 2), noreturn));
static void die (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    fputs ("bench_calls: ", stderr);
    vfprintf (stderr, format, arguments);
    fputc ('\n', stderr);
    va_end (arguments);
    exit (1);
}

/*  -- connecting ------------------------------------------------------------------------------ */

static void send_all (const client_t *client, const void *bytes, size_t size)
{
    if (send (client->fd, bytes, size, MSG_NOSIGNAL) != (ssize_t) size)
        die ("a client's socket is full or closed");
}

/*  A client's frame is masked; by zeros, that is by nothing. */
static size_t put_frame (uint8_t *out, const char *text, size_t size)
{
    size_t head = size < 126 ? 2 : 4;
    out[0] = 0x81;
    out[1] = (uint8_t) (0x80 | (size < 126 ? size : 126));
    if (size >= 126) {
        out[2] = (uint8_t) (size >> 8);
        out[3] = (uint8_t) size;
    }
    memset (out + head, 0, 4);
    memcpy (out + head + 4, text, size);
    return head + 4 + size;
}

static void send_text (const client_t *client, const char *text)
{
    uint8_t frame[64];
    send_all (client, frame, put_frame (frame, text, strlen (text)));
}

/*  Reads until the end of something is there. */
static void await (const client_t *client, const char *end)
{
    char text[4096];
    size_t size = 0;
    while (size < sizeof text - 1) {
        ssize_t count = recv (client->fd, text + size, 1, 0);
        if (count <= 0)
            die ("the gateway closed a connection that was being made");
        text[++size - 1 + 1] = 0;
        if (size >= strlen (end) && strcmp (text + size - strlen (end), end) == 0)
            return;
    }
    die ("the gateway does not say what it should: %.80s", text);
}

static void connect_client (client_t *client, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons (port),
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    int one = 1;
    client->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect (client->fd, (struct sockaddr *) &address, sizeof address) != 0)
        die ("cannot connect: %s", strerror (errno));
    setsockopt (client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    static const char request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                                  "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    send_all (client, request, sizeof request - 1);
    await (client, "\r\n\r\n");
    await (client, "}"); /* 0{"sid":…} */
    send_text (client, "40");
    await (client, "}"); /* 40{"sid":…} */
}

bench_clients_t *bench_clients_new (uint16_t port, unsigned count)
{
    bench_clients_t *self = calloc (1, sizeof *self);
    self->count = count;
    self->clients = calloc (count, sizeof *self->clients);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    for (unsigned at = 0; at < count; at++) {
        connect_client (&self->clients[at], port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &self->clients[at]};
        epoll_ctl (self->epoll, EPOLL_CTL_ADD, self->clients[at].fd, &event);
    }
    return self;
}

void bench_clients_destroy (bench_clients_t **self_p)
{
    bench_clients_t *self = *self_p;
    *self_p = NULL;
    for (unsigned at = 0; at < self->count; at++)
        close (self->clients[at].fd);
    close (self->epoll);
    free (self->clients);
    free (self);
}

/*  -- calling --------------------------------------------------------------------------------- */

static bool is_over (const bench_clients_t *self, double now_s)
{
    return self->load->calls > 0 ? self->begun >= self->load->calls : now_s >= self->end_s;
}

/*  Appends a call's frame to what the client is to send. */
static size_t put_call (bench_clients_t *self, client_t *client, double now_s, uint8_t *out)
{
    char text[sizeof self->tail + 16];
    client->began_s[++client->number % BENCH_DEPTH_MAX] = now_s;
    client->under_way++;
    self->begun++;
    int size = snprintf (text, sizeof text, "42%u%s", client->number, self->tail);
    return put_frame (out, text, (size_t) size);
}

static void make_calls (bench_clients_t *self, client_t *client, double now_s)
{
    uint8_t out[OUTPUT_SIZE];
    size_t size = 0;
    while (client->under_way < self->load->depth && !is_over (self, now_s)
           && size + sizeof self->tail + 32 <= sizeof out)
        size += put_call (self, client, now_s, out + size);
    if (size > 0)
        send_all (client, out, size);
}

static void take_text (bench_clients_t *self, client_t *client, double now_s, const char *text,
                       size_t size)
{
    if (size > 0 && text[0] == '2') { /* are you there? */
        send_text (client, "3");
        return;
    }
    char *arguments;
    unsigned long number = size > 2 ? strtoul (text + 2, &arguments, 10) : 0;
    if (number == 0 || memcmp (text, "43", 2) != 0 || memcmp (arguments, "[{\"text\"", 8) != 0)
        die ("not the answer of a call: %.*s", (int) size, text);
    if (self->answered < self->load->room)
        self->load->took_us[self->answered] =
            (uint32_t) ((now_s - client->began_s[number % BENCH_DEPTH_MAX]) * 1e6);
    self->answered++;
    client->under_way--;
}

/*  The frame's text; NULL if it has not come as a whole. *used is the frame's size. */
static const char *next_text (const uint8_t *bytes, size_t size, size_t *text_size, size_t *used)
{
    size_t head = 2;
    if (size < 4)
        return NULL;
    *text_size = bytes[1] & 0x7f;
    if (*text_size == 126) {
        *text_size = (size_t) bytes[2] << 8 | bytes[3];
        head = 4;
    }
    *used = head + *text_size;
    if (bytes[0] != 0x81 || *used > INPUT_SIZE - 1)
        die ("not a frame that answers a call");
    return *used <= size ? (const char *) bytes + head : NULL;
}

static void take_input (bench_clients_t *self, client_t *client)
{
    ssize_t count =
        recv (client->fd, client->input + client->kept, INPUT_SIZE - client->kept, MSG_DONTWAIT);
    if (count <= 0)
        die ("the gateway closed a connection");
    double now_s = bench_now_s ();
    size_t size = client->kept + (size_t) count, at = 0, text_size, used;
    const char *text;
    while ((text = next_text (client->input + at, size - at, &text_size, &used)) != NULL) {
        take_text (self, client, now_s, text, text_size);
        at += used;
    }
    client->kept = size - at;
    memmove (client->input, client->input + at, client->kept);
    /*  Not while a call is under way, which would be found to have taken the pause as well. */
    if (self->load->pause_us > 0 && client->under_way == 0) {
        usleep (self->load->pause_us);
        if (self->load->rest)
            self->load->rest ();
        now_s = bench_now_s ();
    }
    make_calls (self, client, now_s);
}

uint64_t bench_clients_run (bench_clients_t *self, const bench_load_t *load)
{
    struct epoll_event events[256];
    char filling[TEXT_SIZE + 1];
    memset (filling, 'x', TEXT_SIZE);
    filling[TEXT_SIZE] = 0;
    snprintf (self->tail, sizeof self->tail, "[\"%s\",{\"text\":\"%s\"}]", load->event, filling);
    self->load = load;
    self->begun = self->answered = 0;
    double now_s = bench_now_s ();
    self->end_s = now_s + load->seconds;
    for (unsigned at = 0; at < self->count; at++)
        make_calls (self, &self->clients[at], now_s);
    while (self->answered < self->begun) {
        int count = epoll_wait (self->epoll, events, 256, WAIT_MS);
        if (count == 0)
            die ("calls are not answered");
        for (int at = 0; at < count; at++)
            take_input (self, events[at].data.ptr);
    }
    return self->answered;
}
