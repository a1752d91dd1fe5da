/*  tide_dialect_json.h - events and their arguments as JSON: /ws, HTTP, SSE and the command line.
 *
 *  Pure; jansson reads the JSON. A binary value inside is {"$binary":"<base64>"} here and an
 *  attachment behind {"_placeholder":true,"num":n} in a payload (tide_args.h). Bytes that are JSON
 *  already are framed as they are where there is nothing to be changed in them.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_DIALECT_JSON_H
#define TIDE_DIALECT_JSON_H

#include "tide_args.h"
#include "tide_json_text.h"
#include "tide_message.h"
#include "tide_position.h"

#include <jansson.h>

/*  Arrays and objects within one another in a payload: whatever it is wrapped into, a reader whose
 *  parser has a limit like jansson's can still read it. */
#define TIDE_JSON_DEPTH_MAX 1000

/*  Parses JSON text: any value; of a key that is given twice the last counts, as in JavaScript; a
 *  \u0000 may stand in a value but not in an object's key; nesting is bounded by jansson (2048).
 *  A number beyond 64 bits, or beyond a double, is an error. NULL and *why (text of the calling
 *  thread's, with line and column) if it is no JSON. The caller decrefs. */
json_t *tide_json_parse (tide_bytes_t text, const char **why);

/*  Appends the value as compact JSON text. Real numbers are as short as they can be and still read
 *  back as the same double. */
void tide_json_value (tide_buffer_t *out, const json_t *value);

/*  Appends the bytes as base64 (RFC 4648, section 4, padded); and appends the bytes that such text
 *  stands for, or false and nothing if it is malformed. */
void tide_base64_encode (tide_buffer_t *out, tide_bytes_t bytes);
bool tide_base64_decode (tide_buffer_t *out, tide_bytes_t text);

/*  Builds a payload from an event's `data`, or from `args` where many is true (an array), whose
 *  binary values are {"$binary":…}; and the same from a Socket.IO packet's arguments, where they
 *  are placeholders for the attachments given (only those in use are kept, renumbered; one that is
 *  used twice is kept twice). An array of one argument becomes that argument.
 *  TIDE_BAD_REQUEST (base64 malformed; a placeholder out of range, or in a JSON dialect beside
 *  real binary), TIDE_TOO_MANY (attachments), TIDE_TOO_LARGE (above payload_max, or
 *  nested too deep); then `out` is as it was. Without any attachment a placeholder is data like
 *  any other. */
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

/*  Appends "%016x" of an epoch in quotes. */
void tide_json_epoch (tide_buffer_t *out, uint64_t epoch);

/*  A position as it appears wherever `since` is taken: a number, "epoch:seq" or, from a query,
 *  digits. *epoch is 0 where none is named. False if it is neither. */
bool tide_position_json (const json_t *value, uint64_t *epoch, uint64_t *seq);
/*  Appends "epoch:seq", without quotes. */
void tide_position_text (tide_buffer_t *out, uint64_t epoch, uint64_t seq);

/*  An event that somebody wants to publish, from {topic,event,data|args,key?,id?|event_id?,
 *  volatile?}. The spans of `event` point into the json and into `payload`. `id_member` names the
 *  member that holds the id ("id" for HTTP and Socket.IO, "event_id" for /ws). Checks every type
 *  and name; an event with a key and neither data nor args removes the key, one without a key has
 *  no arguments then. Names that Socket.IO keeps for itself, and `tide:…`, are refused: clients
 *  would take them for the gateway's own. Whether the topic may be published to is not asked.
 *  `payload` is appended to; it must not change while `event` is in use. */
tide_status_t tide_json_publish (json_t *object, const char *id_member, uint32_t payload_max,
                                 tide_event_t *event, tide_buffer_t *payload, const char **why);

/*  The same from a Socket.IO packet, whose binary values are attachments. */
tide_status_t tide_json_publish_attached (json_t *object, const char *id_member,
                                          const tide_bytes_t *attachment, unsigned attachments,
                                          uint32_t payload_max, tide_event_t *event,
                                          tide_buffer_t *payload, const char **why);

/*  Appends {"error":{"code":…,"message":…}}; the message is the status's meaning if it is NULL. */
void tide_json_error (tide_buffer_t *out, tide_status_t status, const char *message);

#endif
