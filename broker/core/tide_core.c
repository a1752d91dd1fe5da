/*  tide_core.c - what the parts of the broker's core share.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_core.h"

#include "tide_alloc.h"
#include "tide_dispatch.h"
#include "tide_groups.h"

#include <stdarg.h>
#include <stdio.h>

void tide_core_init (tide_core_t *self, const tide_broker_config_t *config)
{
    *self = (tide_core_t){.epoch = config->epoch,
                          .hash_seed = {config->hash_seed[0], config->hash_seed[1]},
                          .payload_max = config->payload_max};
    self->index = tide_index_new (
        &(tide_index_config_t){.hash_seed = {config->hash_seed[0], config->hash_seed[1]},
                               .retain_events = config->retain_events,
                               .retain_bytes = config->retain_bytes,
                               .retain_ms = config->retain_ms});
    self->leases = tide_leases_new (config->hash_seed);
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        self->ids[class] = tide_ids_new (config->dedupe_ids);
}

void tide_core_free (tide_core_t *self)
{
    tide_index_destroy (&self->index);
    tide_leases_destroy (&self->leases);
    for (unsigned class = 0; class < TIDE_CLASSES; class ++)
        tide_ids_destroy (&self->ids[class]);
    tide_outbox_free (&self->out);
}

void tide_core_fail (tide_core_t *self, tide_bytes_t peer, uint64_t request, tide_status_t status,
                     uint64_t seq, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    self->counters.refused[status]++;
    tide_message_t answer = {.kind = TIDE_MESSAGE_FAIL,
                             .fail = {.request = request,
                                      .code = (uint8_t) status,
                                      .seq = seq,
                                      .epoch = self->epoch,
                                      .message = tide_bytes (text)}};
    tide_outbox_send (&self->out, peer, &answer);
}

void tide_core_lose (tide_core_t *self, const uint64_t *seqs, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        const tide_index_entry_t *entry = tide_index_find (self->index, seqs[at]);
        if (!entry || !tide_index_keeps (self->index, seqs[at], entry))
            continue;
        self->counters.lost_events++;
        uint32_t key = tide_index_lose (self->index, seqs[at]);
        if (!key)
            continue;
        tide_leases_forget (self->leases, key);
        tide_dispatch_forget (self->dispatch, key);
        tide_groups_forget (self->groups, key);
    }
}

uint64_t tide_core_fetch (tide_core_t *self, tide_log_fetch_t *fetch)
{
    fetch->tag = ++self->tag;
    self->fetching++;
    self->counters.fetches++;
    tide_outbox_fetch (&self->out, fetch);
    return fetch->tag;
}

tide_bytes_t tide_core_copy (tide_bytes_t bytes)
{
    return (tide_bytes_t){(const uint8_t *) tide_copy (bytes.data, bytes.size), bytes.size};
}
