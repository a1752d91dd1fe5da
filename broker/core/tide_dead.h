/*  tide_dead.h - dead letters: what nobody could handle, behind an object that says why.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DEAD_H
#define TIDE_DEAD_H

#include "tide_message.h"

#define TIDE_DEAD_TOPIC "$dead/"

typedef struct {
    const char *name;          /* in $dead: the service, or the group */
    const tide_event_t *event; /* what nobody could handle */
    tide_status_t code;
    tide_bytes_t message;
    uint32_t attempts;
    tide_bytes_t more; /* further members of the object, each behind a comma; or empty */
    uint32_t spare;    /* so many bytes of a payload are kept for the object */
} tide_dead_t;

/*  Appends the event. Arguments that leave no room for the object are left out. */
void tide_dead_append (const tide_dead_t *self, tide_buffer_t *list);

#endif
