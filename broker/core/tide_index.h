/*  tide_index.h - what there is: topics, their sequences, the keys that stand, what was lost.
 *
 *  The log keeps events by sequence and knows nothing else; this is everything else, in memory,
 *  about what is durable and nothing besides. It is rebuilt from the log at start.
 *
 *  An event is *alive* while it belongs to the history (trimmed per class of topics: oldest first,
 *  by count, bytes and age), and *stands* while it is the latest of its key. An event that is
 *  either is *kept*: the log must have it. The index mirrors the log's segments, one array each,
 *  and what was set aside when older segments were emptied:
 *
 *      set aside: … 12 . . 40 .   segments: [65537 … 131075] [131076 … ]
 *
 *  So it can say which sequences must outlive a segment, and serve marks as far back as the
 *  segments reach. About 20 bytes an event, and 8-12 for its place in its topic.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_INDEX_H
#define TIDE_INDEX_H

#include "tide_aside.h"
#include "tide_keys.h"
#include "tide_topics.h"

typedef struct {
    uint64_t hash_seed[2];
    uint64_t retain_events; /* of clients' topics; the system's have 1/8 beside it */
    uint64_t retain_bytes;
    uint64_t retain_ms;
} tide_index_config_t;

/*  The events of one of the log's segments, from `first` on without a gap. */
typedef struct {
    uint64_t first;
    uint32_t count, capacity;
    uint32_t alive;
    uint64_t bytes; /* of all its events, alive or not */
    tide_index_entry_t *entries;
} tide_index_segment_t;

typedef struct {
    uint64_t events, bytes; /* in the history */
    uint64_t cut;           /* all events of the class up to here are out of the history */
    uint64_t trimmed;       /* how many there were, since start */
    uint64_t folded;        /* lost_to of all topics that are not known any more */
    uint64_t lost_max;      /* the highest lost_to of any topic of the class */
    uint32_t ghosts;
} tide_index_class_t;

typedef struct tide_index tide_index_t;

tide_index_t *tide_index_new (const tide_index_config_t *config);
void tide_index_destroy (tide_index_t **self_p);

tide_topics_t *tide_index_topics (const tide_index_t *self);
const tide_index_class_t *tide_index_class (const tide_index_t *self, unsigned class);
/*  Topics of a class of which only lost_to is left; more are folded. */
void tide_index_set_ghosts_max (tide_index_t *self, uint32_t ghosts_max);
/*  How many events of a class are kept at most. */
uint64_t tide_index_events_max (const tide_index_config_t *config, unsigned class);

/*  -- loading ---------------------------------------------------------------------------------
 *  Lost entries first, then events in sequence order, set-aside ones first, then settled. */

/*  An entry as the log has it; see tide_index_lost_name for the three that are no topic's. */
void tide_index_load_lost (tide_index_t *self, tide_bytes_t topic, uint64_t seq);
/*  An event that was damaged, or is missing in a segment: everybody has lost something there. */
void tide_index_add_damaged (tide_index_t *self, uint64_t seq, bool set_aside);
/*  Everything is loaded, up to `last`. */
void tide_index_settle (tide_index_t *self, uint64_t last);

/*  The names under which the log keeps what is no topic's: all topics alike, the clients' forgotten
 *  ones, the system's forgotten ones. No topic can have them. */
#define TIDE_INDEX_LOST_ALL "#"
#define TIDE_INDEX_LOST_CLIENTS ""
#define TIDE_INDEX_LOST_SYSTEM "$#"
#define TIDE_INDEX_LOST_ROOMS "@#"

/*  -- events ---------------------------------------------------------------------------------- */

/*  The topic's handle, made if there is none, and held until it is let go. */
uint32_t tide_index_hold_topic (tide_index_t *self, tide_bytes_t name);
void tide_index_let_topic (tide_index_t *self, uint32_t topic);

typedef struct {
    uint64_t seq;
    uint32_t topic;
    uint32_t size;
    uint64_t time_ms;
    tide_bytes_t key; /* empty: none */
    bool removes;
    bool set_aside; /* only while loading */
} tide_index_event_t;

typedef struct {
    bool is_alive;
    uint32_t key;     /* the key that the event set or removed; 0: none */
    bool was_removed; /* the handle is free from now on */
} tide_index_change_t;

/*  The events that follow begin a segment. */
void tide_index_begin_segment (tide_index_t *self, uint64_t first);
/*  The next durable event. */
tide_index_change_t tide_index_add (tide_index_t *self, const tide_index_event_t *event);

/*  Trims the history to what is to be kept; by age at most `aged_max` events. */
void tide_index_trim (tide_index_t *self, uint64_t now_ms, uint64_t aged_max);

/*  The log could not give an event: it is out of the history, told as lost, and does not stand.
 *  Returns the key's handle, free from now on, if it stood; else 0. */
uint32_t tide_index_lose (tide_index_t *self, uint64_t seq);

/*  The entry of a sequence, or NULL; valid until anything changes. */
const tide_index_entry_t *tide_index_find (const tide_index_t *self, uint64_t seq);
/*  True if the log must have it. */
bool tide_index_keeps (const tide_index_t *self, uint64_t seq, const tide_index_entry_t *entry);
/*  Behind which sequence marks can be read. */
uint64_t tide_index_marks_floor (const tide_index_t *self);
/*  The highest sequence at or below which events of the valid pattern were lost, if that is above
 *  since; else 0. */
uint64_t tide_index_lost (const tide_index_t *self, tide_bytes_t pattern, uint64_t since);
/*  Finds events in sequence order, without asking each topic: the next alive one above seq and up
 *  to `until`; 0 if there is none. *topic: its topic. */
uint64_t tide_index_next_alive (const tide_index_t *self, uint64_t seq, uint64_t until,
                                uint32_t *topic);

/*  -- keys ------------------------------------------------------------------------------------ */

/*  The sequence that stands at (topic, key), 0 for none. */
uint64_t tide_index_standing (const tide_index_t *self, tide_bytes_t topic, tide_bytes_t key);
/*  The keys that stand. */
const tide_keys_t *tide_index_keys (const tide_index_t *self);

/*  -- with the log ---------------------------------------------------------------------------- */

uint32_t tide_index_segment_count (const tide_index_t *self);
const tide_index_segment_t *tide_index_segment (const tide_index_t *self, uint32_t at);
uint64_t tide_index_aside_count (const tide_index_t *self);

/*  The log has emptied the segments up to `through` and set `keep` aside. */
void tide_index_drop (tide_index_t *self, uint64_t through, const uint64_t *keep, size_t count);

/*  Sequences set aside that are not needed any more; the log was told of the first `count`. */
const uint64_t *tide_index_forgotten (const tide_index_t *self, size_t *count);
void tide_index_forgot (tide_index_t *self, size_t count);

/*  What is to be written down of losses before anything is dropped: topics whose lost_to was
 *  raised other than by trimming; and names that are to be removed, each behind its length byte.
 *  `said`: the first of them are written down now. */
const uint32_t *tide_index_dirty (const tide_index_t *self, size_t *count);
tide_bytes_t tide_index_erased (const tide_index_t *self);
void tide_index_said (tide_index_t *self, size_t dirty_count, size_t erased_size);
/*  The three values that are no topic's, in the order of their names above. */
enum { TIDE_INDEX_COMMON = 4 };
uint64_t tide_index_common (const tide_index_t *self, unsigned at);

#endif
