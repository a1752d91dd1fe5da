/*  tide_call_end.h - the events that end a call: its removal, its reply, its dead letter, and what
 *  its worker appends with it.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CALL_END_H
#define TIDE_CALL_END_H

#include "tide_message.h"

#define TIDE_CALL_TOPIC "$call/"

/*  What lies around the arguments of a call, of a reply and of a dead letter, at most. */
#define TIDE_CALL_ABOUT_SIZE_MAX (TIDE_REFERENCE_SIZE_MAX + 4096u)
/*  Of what went wrong so much is told. */
#define TIDE_CALL_MESSAGE_SIZE_MAX 1024u
/*  Beside the worker's. */
#define TIDE_CALL_END_EVENTS_MAX 3

typedef struct {
    const tide_event_t *event; /* the call */
    uint64_t number;
    uint32_t attempts;
    const char *service;
    bool is_volatile;
    tide_status_t code; /* OK: the payload is the reply's arguments, or empty */
    tide_bytes_t message;
    tide_bytes_t payload;
    bool is_dead; /* nobody handled it */
    tide_list_t events;
} tide_call_end_t;

/*  Appends the events, and returns how many they are. A caller that wanted an answer gets it. A
 *  call that is dead is in $dead/SERVICE, behind an object that says why; but not one that only
 *  waited in vain, whose caller is told. */
uint32_t tide_call_end_append (const tide_call_end_t *self, tide_buffer_t *list);

#endif
