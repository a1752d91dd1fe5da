/*  sim_trace.c - for --verbose: what goes over the network, one line a message.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>

/*  What clients say and hear: heads of frames are no text. */
static void print_text (tide_bytes_t bytes)
{
    putchar (' ');
    for (size_t at = 0; at < bytes.size && at < 400; at++)
        putchar (bytes.data[at] >= ' ' && bytes.data[at] < 127 ? bytes.data[at] : '.');
}

static void print_events (tide_list_t list)
{
    tide_event_t event;
    printf (" [");
    while (tide_event_next (&list, &event))
        printf (" %llu:%.*s/%.*s%s%.*s", (unsigned long long) event.seq, TIDE_PRINT (event.topic),
                TIDE_PRINT (event.name), event.key.size > 0 ? "/" : "", TIDE_PRINT (event.key));
    printf (" ]");
}

static void print_wants (tide_list_t list)
{
    tide_want_t want;
    printf (" (");
    while (tide_want_next (&list, &want))
        printf (" %.*s>%llu", TIDE_PRINT (want.topic), (unsigned long long) want.seq);
    printf (" )");
}

static void print_marks (tide_list_t list)
{
    tide_mark_t mark;
    while (tide_mark_next (&list, &mark)) {
        tide_touched_t touched;
        printf (" %llu-%llu", (unsigned long long) mark.from, (unsigned long long) mark.to);
        while (tide_touched_next (&mark.topics, &touched)) {
            printf (" %.*s:", TIDE_PRINT (touched.topic));
            for (size_t at = 0; at + 4 <= touched.offsets.size; at += 4)
                printf (
                    "%llu,",
                    (unsigned long long) (mark.from + tide_load_u32 (touched.offsets.data + at)));
        }
    }
}

static void print_message (const tide_message_t *m)
{
    printf (" %s", tide_message_name (m->kind));
    switch (m->kind) {
    case TIDE_MESSAGE_WELCOME:
        printf (" head %llu", (unsigned long long) m->welcome.head);
        break;
    case TIDE_MESSAGE_PUBLISH:
        printf (" #%llu", (unsigned long long) m->publish.request);
        print_events (m->publish.events);
        break;
    case TIDE_MESSAGE_ACK:
        printf (" #%llu %llu+%u%s", (unsigned long long) m->ack.request,
                (unsigned long long) m->ack.first, m->ack.count,
                m->ack.repeated ? " repeated" : "");
        break;
    case TIDE_MESSAGE_FAIL:
        printf (" #%llu %s seq %llu: %.*s", (unsigned long long) m->fail.request,
                tide_status_name ((tide_status_t) m->fail.code), (unsigned long long) m->fail.seq,
                TIDE_PRINT (m->fail.message));
        break;
    case TIDE_MESSAGE_READ:
        printf (" #%llu until %llu limit %u", (unsigned long long) m->read.request,
                (unsigned long long) m->read.until, m->read.limit);
        print_wants (m->read.wants);
        break;
    case TIDE_MESSAGE_PAGE:
        printf (" #%llu upto %llu head %llu%s", (unsigned long long) m->page.request,
                (unsigned long long) m->page.upto, (unsigned long long) m->page.head,
                m->page.more ? " more" : "");
        print_wants (m->page.lost);
        print_events (m->page.events);
        break;
    case TIDE_MESSAGE_MARKS_READ:
        printf (" #%llu since %llu", (unsigned long long) m->marks_read.request,
                (unsigned long long) m->marks_read.since);
        break;
    case TIDE_MESSAGE_MARKS:
        printf (" #%llu head %llu", (unsigned long long) m->marks.request,
                (unsigned long long) m->marks.head);
        print_marks (m->marks.marks);
        break;
    case TIDE_MESSAGE_SNAPSHOT:
        printf (" #%llu %.*s part %u", (unsigned long long) m->snapshot.request,
                TIDE_PRINT (m->snapshot.topic), m->snapshot.part);
        break;
    case TIDE_MESSAGE_STANDING:
        printf (" #%llu at %llu part %u%s", (unsigned long long) m->standing.request,
                (unsigned long long) m->standing.seq, m->standing.part,
                m->standing.more ? " more" : "");
        print_events (m->standing.events);
        break;
    case TIDE_MESSAGE_EVENTS:
        print_events (m->events.events);
        break;
    case TIDE_MESSAGE_VOLATILE:
        printf (" behind %llu", (unsigned long long) m->volatiles.behind);
        print_events (m->volatiles.events);
        break;
    case TIDE_MESSAGE_MARKED:
        print_marks (m->marked.marks);
        break;
    case TIDE_MESSAGE_CALL:
        printf (" #%llu %.*s %.*s of %.*s", (unsigned long long) m->call.request,
                TIDE_PRINT (m->call.event), TIDE_PRINT (m->call.id), TIDE_PRINT (m->call.from));
        break;
    case TIDE_MESSAGE_LEND:
        printf (" %llx attempt %u", (unsigned long long) m->lend.call, m->lend.attempt);
        print_events (m->lend.events);
        break;
    case TIDE_MESSAGE_DONE:
        printf (" #%llu %llx attempt %u outcome %u code %u", (unsigned long long) m->done.request,
                (unsigned long long) m->done.call, m->done.attempt, m->done.outcome, m->done.code);
        print_events (m->done.events);
        break;
    case TIDE_MESSAGE_RELEASE:
        printf (" %.*s/%.*s at %llu", TIDE_PRINT (m->release.topic), TIDE_PRINT (m->release.key),
                (unsigned long long) m->release.seq);
        break;
    case TIDE_MESSAGE_GROUP_JOIN:
        printf (" #%llu %.*s credit %u", (unsigned long long) m->group_join.request,
                TIDE_PRINT (m->group_join.name), m->group_join.credit);
        break;
    case TIDE_MESSAGE_GROUP_LEAVE:
        printf (" #%llu %.*s", (unsigned long long) m->group_leave.request,
                TIDE_PRINT (m->group_leave.name));
        break;
    case TIDE_MESSAGE_GROUP_EVENT:
        printf (" %.*s attempt %u", TIDE_PRINT (m->group_event.name), m->group_event.attempt);
        print_events (m->group_event.events);
        break;
    case TIDE_MESSAGE_GROUP_DONE:
        printf (" #%llu %.*s %llu attempt %u outcome %u",
                (unsigned long long) m->group_done.request, TIDE_PRINT (m->group_done.name),
                (unsigned long long) m->group_done.seq, m->group_done.attempt,
                m->group_done.outcome);
        break;
    case TIDE_MESSAGE_GROUP_EXTEND:
        printf (" %.*s %llu attempt %u", TIDE_PRINT (m->group_extend.name),
                (unsigned long long) m->group_extend.seq, m->group_extend.attempt);
        break;
    case TIDE_MESSAGE_GROUP_NOTE:
        printf (" %.*s %s %llu", TIDE_PRINT (m->group_note.name),
                tide_status_name ((tide_status_t) m->group_note.code),
                (unsigned long long) m->group_note.seq);
        break;
    default:
        break;
    }
}

void sim_trace (const sim_t *sim, const char *where, tide_bytes_t bytes, bool is_published)
{
    tide_bytes_t prefix, body = bytes;
    tide_message_t message;
    const char *why;
    if (!sim->is_verbose || (is_published && !tide_fanout_split (bytes, &prefix, &body)))
        return;
    printf ("    %llu %llu %s", (unsigned long long) sim->step, (unsigned long long) sim->now_ms,
            where);
    if (tide_message_decode (body, &message, &why) == TIDE_OK)
        print_message (&message);
    else
        print_text (bytes);
    printf ("\n");
}
