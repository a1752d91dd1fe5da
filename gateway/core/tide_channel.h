/*  tide_channel.h - the topics that a lane follows, and their events on the tape.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_CHANNEL_H
#define TIDE_CHANNEL_H

#include "tide_hub_internal.h"

tide_channel_t *tide_channel_use (tide_hub_t *hub, tide_bytes_t pattern);
void tide_channel_unuse (tide_hub_t *hub, tide_channel_t *channel);
tide_channel_t *tide_channel_find (tide_hub_t *hub, tide_bytes_t pattern);
tide_bytes_t tide_channel_pattern (const tide_channel_t *channel);
/*  Lays an event of the feed on the tape and links it to each channel that it matches. */
void tide_channel_event (tide_hub_t *hub, const tide_feed_action_t *action, bool is_volatile);
/*  The watermark moved: members of touched channels have something to deliver. */
void tide_channel_complete (tide_hub_t *hub);
/*  Forgets items that the tape no longer has; the horizon follows. */
void tide_channel_trim (tide_hub_t *hub, tide_channel_t *channel);
/*  Index of the first item behind seq. */
uint64_t tide_channel_behind (const tide_channel_t *channel, uint64_t seq);
tide_item_t tide_channel_item (const tide_channel_t *channel, uint64_t index);
void tide_channel_joined (tide_hub_t *hub, tide_bytes_t pattern, uint64_t seq);
void tide_channel_lost (tide_hub_t *hub, tide_bytes_t pattern, uint64_t seq);

#endif
