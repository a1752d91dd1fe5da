/*  make_corpus.c - writes the seeds of the fuzz targets that take scripts or messages.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_message.h"

#include "tide_args.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *root;

static void write_seed (const char *target, const char *name, tide_bytes_t bytes)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/%s", root, target);
    mkdir (path, 0777);
    snprintf (path, sizeof path, "%s/%s/%s", root, target, name);
    FILE *file = fopen (path, "wb");
    if (!file || fwrite (bytes.data, 1, bytes.size, file) != bytes.size) {
        perror (path);
        return;
    }
    fclose (file);
}

/*  -- messages: one of each kind that has fields ---------------------------------------------- */

static tide_buffer_t records[16];
static size_t used;

static tide_list_t list_of_event (void)
{
    tide_args_t args = {.json = tide_bytes ("{\"x\":1}"), .attachments = 1};
    args.attachment[0] = tide_bytes ("bin");
    tide_buffer_t payload = {0};
    tide_args_encode (&payload, &args);
    tide_event_t event = {.seq = 5, .time_ms = 6, .linger_ms = 7};
    event.topic = tide_bytes ("a/b");
    event.name = tide_bytes ("msg");
    event.key = tide_bytes ("k");
    event.id = tide_bytes ("o-1");
    event.from = tide_bytes ("sid");
    event.except = tide_bytes ("@sid\nroom");
    event.payload = tide_buffer_bytes (&payload);
    tide_buffer_t *list = &records[used++ % 16];
    list->size = 0;
    tide_event_append (list, &event);
    tide_buffer_free (&payload);
    return tide_list (list, 1);
}

#define LIST_OF(record, ...)                                                                       \
    static tide_list_t list_of_##record (void)                                                     \
    {                                                                                              \
        tide_##record##_t value = {__VA_ARGS__};                                                   \
        tide_buffer_t *list = &records[used++ % 16];                                               \
        list->size = 0;                                                                            \
        tide_##record##_append (list, &value);                                                     \
        return tide_list (list, 1);                                                                \
    }
LIST_OF (expect, tide_bytes ("a/b"), tide_bytes ("k"), 4)
LIST_OF (want, tide_bytes ("a/#"), 3)
LIST_OF (touched, tide_bytes ("a/b"), {(const uint8_t *) "\0\0\0\1\0\0\0\2", 8})
LIST_OF (mark, 4, 6, list_of_touched ())
LIST_OF (topic_info, tide_bytes ("a/b"), 5, 2, 1)
LIST_OF (stat, tide_bytes ("events"), 5)

#define FILL_U8(limit) 1
#define FILL_U16(limit) 2
#define FILL_U32(limit) 100
#define FILL_U64(limit) 7
#define FILL_STR(limit) tide_bytes ("text")
#define FILL_TEXT(limit) tide_bytes ("some text")
#define FILL_BLOB(limit) tide_bytes ("bytes")
#define FILL_LIST(record) list_of_##record ()
#define FILL(S, member, type, limit, doc) message.S.member = FILL_##type (limit);

static void write_messages (void)
{
    tide_message_t message;
    tide_buffer_t out = {0};
#define X(member, NAME, number, sender, doc)                                                       \
    memset (&message, 0, sizeof message);                                                          \
    message.kind = number;                                                                         \
    TIDE_##NAME##_FIELDS (FILL, member);                                                           \
    out.size = 0;                                                                                  \
    tide_message_encode (&out, &message);                                                          \
    if (out.size > 4)                                                                              \
        write_seed ("message", #member, tide_buffer_bytes (&out));
    TIDE_MESSAGES (X)
#undef X
    tide_buffer_free (&out);
}

/*  -- scripts --------------------------------------------------------------------------------- */

#define SCRIPT(target, name, ...)                                                                  \
    do {                                                                                           \
        static const uint8_t script[] = {__VA_ARGS__};                                             \
        write_seed (target, name, (tide_bytes_t){script, sizeof script});                          \
    } while (0)

/*  As fuzz_feed.c reads them. FOLLOW a pattern by number; EVENTS of a topic (number + 8 * count)
 *  at sequences; MARK from, to, count, then topic number + 16 * bytes of offsets, two offsets. */
enum { WELCOME = 2, FOLLOW, EVENTS, MARK, VOLATILE, PAGE, MARKS, FAIL, TAKE, TAKE_ALL };

static void write_feed_scripts (void)
{
    SCRIPT ("feed", "live", WELCOME, 1, 10, FOLLOW, 0, TAKE_ALL, PAGE, 0, 0, 0, 10, 10, 0, 0,
            TAKE_ALL, EVENTS, 16, 11, 12, MARK, 10, 12, 1, 128, 1, 2, TAKE_ALL);
    SCRIPT ("feed", "mend", WELCOME, 1, 10, FOLLOW, 3, TAKE_ALL, PAGE, 0, 0, 0, 10, 10, 0, 0,
            TAKE_ALL, EVENTS, 8, 11, MARK, 10, 14, 2, 128, 1, 3, 129, 2, 4, TAKE_ALL, PAGE, 0, 0, 0,
            12, 14, 1, 9, 12, TAKE_ALL, PAGE, 0, 0, 0, 14, 14, 0, 17, 13, 14, TAKE_ALL);
    SCRIPT ("feed", "gap", WELCOME, 1, 10, FOLLOW, 0, TAKE_ALL, PAGE, 0, 0, 0, 10, 10, 0, 0,
            TAKE_ALL, MARK, 12, 13, 1, 64, 1, 0, TAKE_ALL, MARKS, 0, 13, 10, 12, 1, 64, 1, 0,
            TAKE_ALL, PAGE, 0, 0, 0, 13, 13, 0, 16, 11, 13, TAKE_ALL);
    SCRIPT ("feed", "trimmed", WELCOME, 1, 10, FOLLOW, 0, FOLLOW, 2, TAKE_ALL, PAGE, 0, 0, 0, 10,
            10, 0, 0, TAKE_ALL, MARK, 20, 20, 0, TAKE_ALL, FAIL, 0, 16, TAKE_ALL, PAGE, 0, 2, 15,
            20, 20, 0, 17, 16, 20, TAKE_ALL);
    SCRIPT ("feed", "volatile", WELCOME, 1, 10, FOLLOW, 0, TAKE_ALL, PAGE, 0, 0, 0, 10, 10, 0, 0,
            TAKE, VOLATILE, 8, 0, 10, VOLATILE, 8, 0, 11, EVENTS, 8, 11, MARK, 10, 11, 1, 64, 1, 0,
            TAKE, TAKE, TAKE, TAKE_ALL);
    SCRIPT ("feed", "epochs", WELCOME, 1, 10, FOLLOW, 0, FOLLOW, 1, TAKE_ALL, PAGE, 0, 0, 0, 10, 10,
            0, 0, WELCOME, 1, 12, TAKE_ALL, EVENTS, 16, 11, 12, WELCOME, 2, 3, TAKE_ALL, FAIL, 0,
            15, MARK, 3, 4, 1, 64, 1, 0, TAKE_ALL, FOLLOW, 0, TAKE_ALL);
    SCRIPT ("feed", "largest", WELCOME, 1, 0xf0, FOLLOW, 3, TAKE_ALL, PAGE, 0, 0, 0, 0xff, 0xff, 0,
            0, TAKE_ALL, EVENTS, 24, 0xf1, 0xff, 0xfe, MARK, 0xf0, 0xff, 1, 128, 1, 15, TAKE_ALL);
}

/*  As fuzz_link.c reads them; 0 is a message behind a byte that says nothing and its size. */
static void write_link_scripts (void)
{
    SCRIPT ("link", "welcome", 1, 0, 1, 1, 4, 0, 0, 0, 0, 32, 'T', 'M', 1, 2, 0, 0, 0, 0, 0, 0, 0,
            7, 0, 0, 0, 0, 0, 0, 0, 42, 0, 1, 'e', 0, 1, 'v', 0, 0, 0, 1, 0, 0, 4, 0, 3, 60, 3, 200,
            4, 0);
    SCRIPT ("link", "ack", 0, 0, 0, 30, 'T', 'M', 1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
            42, 0, 1, 'e', 0, 1, 'v', 0, 0, 0, 1, 1, 0, 4, 0, 0, 0, 0, 33, 'T', 'M', 1, 7, 0, 0, 0,
            0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 4, 0);
    SCRIPT ("link", "relay", 5, 7, 0, 0, 0, 30, 'T', 'M', 1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0,
            0, 0, 0, 42, 0, 1, 'e', 0, 1, 'v', 0, 0, 0, 1, 5, 7, 0, 0, 0, 20, 'T', 'M', 1, 24, 0, 0,
            0, 0, 0, 0, 0, 9, 1, 'l', 0, 0, 0, 2, 'h', 'i', 0, 0, 0, 16, 'T', 'M', 1, 25, 0, 0, 0,
            0, 0, 0, 0, 7, 0, 0, 0, 1, 4, 0);
    SCRIPT ("link", "refused", 0, 0, 0, 4, 'T', 'M', 2, 2, 3, 250, 3, 250, 4, 0);
}

/*  As fuzz_engineio.c reads them. */
static void write_engineio_scripts (void)
{
    enum { OPEN, CHECK, BODY, POLL, POST, ABANDON, ANSWER, PROBE, PROBED, UNPROBE, WS, TICK, SAY };
    SCRIPT ("engineio", "polling", OPEN, 0, POLL, ANSWER, 1, POST, BODY, 4, '4', '4', '0', 0x1e,
            ANSWER, 2, POLL, TICK, 1, 44, ANSWER, 1, POST, BODY, 1, '3', ANSWER, 2, TICK, 1, 44);
    SCRIPT ("engineio", "payload", OPEN, 0, POST, BODY, 18, '4', 'a', 0x1e, 'b', 'A', 'Q', 'I', 'D',
            0x1e, '6', 0x1e, '3', 0x1e, 'b', 'A', 'Q', '=', '=', BODY, 0);
    SCRIPT ("engineio", "no-body", OPEN, 0, POST, BODY);
    SCRIPT ("engineio", "upgrade", OPEN, 0, POLL, PROBE, PROBED, 1, 6, '2', 'p', 'r', 'o', 'b', 'e',
            ANSWER, 1, POLL, ANSWER, 1, PROBED, 1, 1, '5', PROBE, WS, 1, 3, '4', '4', '0', WS, 0, 2,
            1, 2, TICK, 1, 44, WS, 1, 1, '3');
    SCRIPT ("engineio", "probes", OPEN, 0, PROBE, PROBED, 1, 1, '4', PROBE, PROBE, PROBED, 0, 1,
            '5', PROBE, UNPROBE, PROBE, PROBED, 1, 6, '2', 'p', 'r', 'o', 'b', 'e', PROBED, 1, 0,
            POLL, POLL);
    SCRIPT ("engineio", "overlap", OPEN, 0, POST, POLL, ABANDON, 2, POST);
    SCRIPT ("engineio", "broken-off", OPEN, 0, POLL, POST, ABANDON, 1);
    SCRIPT ("engineio", "timeout", OPEN, 1, TICK, 1, 43, TICK, 0, 1, TICK, 0, 199, TICK, 0, 1);
    SCRIPT ("engineio", "late", OPEN, 1, TICK, 40, 0, WS, 1, 1, '3', TICK, 1, 94, WS, 1, 1, '1');
    SCRIPT ("engineio", "checks", CHECK, 0, CHECK, 0x84, CHECK, 0x40, OPEN, 0, CHECK, 0, CHECK,
            0x41, CHECK, 0x84, CHECK, 0x04, CHECK, 0x80, CHECK, 0x0c, CHECK, 0x50);
    /*  A text of two fragments, and a binary one. */
    static uint8_t large[5 + 16640 + 2 + 16640 + 3] = {OPEN, 0, SAY, 3, 1, 0x80 | 65};
    large[6 + 16640] = 0;
    large[7 + 16640] = 0x80 | 65;
    memset (large + 6, 'x', 16640);
    write_seed ("engineio", "large", (tide_bytes_t){large, sizeof large});
}

int main (int argc, char **argv)
{
    if (argc != 2) {
        fprintf (stderr, "usage: %s tests/fuzz/corpus\n", argv[0]);
        return 2;
    }
    root = argv[1];
    mkdir (root, 0777);
    write_messages ();
    write_feed_scripts ();
    write_link_scripts ();
    write_engineio_scripts ();
    for (size_t at = 0; at < 16; at++)
        tide_buffer_free (&records[at]);
    return 0;
}
