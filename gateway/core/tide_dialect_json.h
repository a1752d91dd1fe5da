/*  tide_dialect_json.h - events and their arguments as JSON: /ws, HTTP, SSE and the command line.
 *
 *  Pure; jansson does the JSON. A binary value inside is {"$binary":"<base64>"} here and an
 *  attachment behind {"_placeholder":true,"num":n} in a payload (tide_args.h). Bytes that are JSON
 *  already are framed as they are where there is nothing to be changed in them.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DIALECT_JSON_H
#define TIDE_DIALECT_JSON_H

#include "tide_args.h"
#include "tide_message.h"

#include <jansson.h>

/*  Parses JSON text: any value, no duplicate keys, no NUL in strings, nesting bounded by jansson.
 *  NULL and *why (thread-local text with line and column) if it is none. The caller decrefs. */
json_t *tide_json_parse (tide_bytes_t text, const char **why);

/*  Appends the text as a JSON string, quotes included. It must be UTF-8. */
void tide_json_string (tide_buffer_t *out, tide_bytes_t text);

/*  Appends the value as compact JSON text. */
void tide_json_value (tide_buffer_t *out, const json_t *value);

/*  Builds a payload from an event's `data`, or from `args` where many is true (an array), whose
 *  binary values are {"$binary":…}; and the same from a Socket.IO packet's arguments, where they
 *  are placeholders for the attachments given (only those in use are kept, renumbered).
 *  TIDE_BAD_REQUEST (base64 malformed; a placeholder out of range, or in a JSON dialect beside
 *  real binary), TIDE_TOO_MANY (attachments), TIDE_TOO_LARGE (above payload_max). */
tide_status_t tide_json_payload (tide_buffer_t *out, json_t *value, bool many, uint32_t payload_max,
                                 const char **why);
tide_status_t tide_json_payload_attached (tide_buffer_t *out, json_t *value, bool many,
                                          const tide_bytes_t *attachment, unsigned attachments,
                                          uint32_t payload_max, const char **why);

/*  Appends the payload's members: "data":… or "args":[…], binary values as {"$binary":…}; an
 *  empty payload (a removed key) is "data":null,"removed":true. A payload that is malformed (from
 *  a foreign publisher) is "data":null. */
void tide_json_data (tide_buffer_t *out, tide_bytes_t payload);

/*  Appends an event as the contract's object: {"topic",…,"seq","event","data"|"args","key"?,"time",
 *  "from"?}. `op` is NULL, or the first member's value, as in {"op":"event",…}. */
void tide_json_event (tide_buffer_t *out, const tide_event_t *event, const char *op);

/*  Appends "%016x" of an epoch in quotes; and reads one: 16 hex digits. */
void tide_json_epoch (tide_buffer_t *out, uint64_t epoch);
bool tide_epoch_parse (tide_bytes_t text, uint64_t *epoch);

/*  A position as it appears wherever `since` is taken: a number, "epoch:seq" or, from a query,
 *  digits. *epoch is 0 where none is named. False if it is neither. */
bool tide_position_parse (tide_bytes_t text, uint64_t *epoch, uint64_t *seq);
bool tide_position_json (const json_t *value, uint64_t *epoch, uint64_t *seq);
/*  Appends "epoch:seq", without quotes. */
void tide_position_text (tide_buffer_t *out, uint64_t epoch, uint64_t seq);

/*  An event that somebody wants to publish, from {topic,event,data|args,key?,id?|event_id?,
 *  volatile?}. The spans of `event` point into the json and into `payload`. `id_member` names the
 *  member that holds the id ("id" for HTTP and Socket.IO, "event_id" for /ws). Checks every type
 *  and name; an event with a key and neither data nor args removes the key. */
tide_status_t tide_json_publish (json_t *object, const char *id_member, uint32_t payload_max,
                                 tide_event_t *event, tide_buffer_t *payload, const char **why);

/*  Appends {"error":{"code":…,"message":…}}. */
void tide_json_error (tide_buffer_t *out, tide_status_t status, const char *message);

#endif
