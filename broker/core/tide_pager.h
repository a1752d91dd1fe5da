/*  tide_pager.h - which events are on a page of history: decided from the index alone.
 *
 *  The events of a page are found in one of two ways: by asking each topic that is wanted, and
 *  merging their sequences (a heap); or, where the wanted subtrees have many topics or the page is
 *  a short way, by walking the index in sequence order and asking whether the event's topic is
 *  wanted.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_PAGER_H
#define TIDE_PAGER_H

#include "tide_index.h"
#include "tide_message.h"

typedef struct tide_pager tide_pager_t;

/*  What is asked for, and what it is made of. */
typedef struct {
    tide_list_t wants; /* valid patterns, each with the sequence behind which to read */
    uint64_t since;    /* the lowest of these */
    uint64_t until;
    uint32_t limit;
    size_t size_max;
    uint64_t *seqs; /* room for limit of them: the caller's */
    size_t count;
    size_t size;
    bool more; /* something was left out, so it is complete up to its last event only */
} tide_page_t;

tide_pager_t *tide_pager_new (const tide_index_t *index);
void tide_pager_destroy (tide_pager_t **self_p);

/*  Chooses the page's events: seqs, count, size and more are set. */
void tide_pager_choose (tide_pager_t *self, tide_page_t *page);

#endif
