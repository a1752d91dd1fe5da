/*  tide_status.c - names and meanings of outcomes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_status.h"

static const struct {
    const char *name;
    const char *meaning;
} statuses[TIDE_STATUS_COUNT] = {
#define X(name, number, code, meaning) [number] = {code, meaning},
    TIDE_STATUSES (X)
#undef X
};

static unsigned known (tide_status_t status)
{
    return (unsigned) status < TIDE_STATUS_COUNT ? (unsigned) status : TIDE_BAD_REQUEST;
}

const char *tide_status_name (tide_status_t status)
{
    return statuses[known (status)].name;
}

const char *tide_status_meaning (tide_status_t status)
{
    return statuses[known (status)].meaning;
}
