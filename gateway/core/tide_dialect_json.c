/*  tide_dialect_json.c - events and their arguments as JSON.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_dialect_json.h"

#include "tide_alloc.h"
#include "tide_socketio.h"
#include "tide_topic.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE64 sodium_base64_VARIANT_ORIGINAL

/*  What the last call of this thread had to say; *why points here or to a constant. */
static _Thread_local char said[256];

/*  Returns the text before `format`'s arguments, kept until the thread says something else. */
static const char *say (const char *format, ...) __attribute__ ((format (printf, 1, 2)));
static const char *say (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    vsnprintf (said, sizeof said, format, arguments);
    va_end (arguments);
    return said;
}

/*  -- JSON text ------------------------------------------------------------------------------- */

json_t *tide_json_parse (tide_bytes_t text, const char **why)
{
    if (text.size == 0) {
        *why = "the text is empty";
        return NULL;
    }
    json_error_t error;
    json_t *value =
        json_loadb ((const char *) text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (value)
        return value;
    /* jansson quotes what it stumbled over, which may be a secret, or no UTF-8 */
    char *quote = strstr (error.text, " near ");
    if (quote)
        *quote = '\0';
    *why = say ("%s at line %d, column %d", error.text, error.line, error.column);
    return NULL;
}

static void append_number (tide_buffer_t *out, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char) ('0' + number % 10);
        number /= 10;
    } while (number > 0);
    tide_buffer_append (out, digits + at, sizeof digits - at);
}

static void append_integer (tide_buffer_t *out, json_int_t integer)
{
    uint64_t magnitude = (uint64_t) integer;
    if (integer < 0) {
        tide_put_u8 (out, '-');
        magnitude = 0 - magnitude;
    }
    append_number (out, magnitude);
}

/*  The fewest of 15 to 17 digits that read back as the same double: 0.1 stays 0.1. What is no digit
 *  between digits is the locale's point. A whole number keeps its ".0", and so stays a real one. */
static void append_real (tide_buffer_t *out, double real)
{
    char text[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf (text, sizeof text, "%.*g", precision, real);
        if (strtod (text, NULL) == real)
            break;
    }
    char *behind = text + strspn (text, "-0123456789");
    bool is_whole = *behind == '\0';
    if (!is_whole && *behind != 'e')
        *behind = '.';
    /*  As JavaScript writes it: an exponent has no zeros in front. */
    char *exponent = strchr (text, 'e');
    if (exponent) {
        size_t zeros = strspn (exponent + 2, "0");
        memmove (exponent + 2, exponent + 2 + zeros, strlen (exponent + 2 + zeros) + 1);
    }
    tide_buffer_append_text (out, text);
    if (is_whole)
        tide_buffer_append_text (out, ".0");
}

/*  Writes an object in another form and returns true, or leaves it to the caller. */
typedef bool (substitute_fn) (void *context, tide_buffer_t *out, const json_t *object);

static tide_bytes_t string_bytes (const json_t *string)
{
    return (tide_bytes_t){(const uint8_t *) json_string_value (string),
                          json_string_length (string)};
}

static void append_value (tide_buffer_t *out, const json_t *value, substitute_fn *substitute,
                          void *context);

static void append_object (tide_buffer_t *out, const json_t *value, substitute_fn *substitute,
                           void *context)
{
    json_t *object = (json_t *) value; /* jansson's iterators take no const */
    tide_put_u8 (out, '{');
    bool is_first = true;
    for (void *at = json_object_iter (object); at; at = json_object_iter_next (object, at)) {
        if (!is_first)
            tide_put_u8 (out, ',');
        is_first = false;
        tide_json_string (out, tide_bytes (json_object_iter_key (at)));
        tide_put_u8 (out, ':');
        append_value (out, json_object_iter_value (at), substitute, context);
    }
    tide_put_u8 (out, '}');
}

static void append_value (tide_buffer_t *out, const json_t *value, substitute_fn *substitute,
                          void *context)
{
    switch (json_typeof (value)) {
    case JSON_OBJECT:
        if (!substitute || !substitute (context, out, value))
            append_object (out, value, substitute, context);
        return;
    case JSON_ARRAY:
        tide_put_u8 (out, '[');
        for (size_t at = 0; at < json_array_size (value); at++) {
            if (at > 0)
                tide_put_u8 (out, ',');
            append_value (out, json_array_get (value, at), substitute, context);
        }
        tide_put_u8 (out, ']');
        return;
    case JSON_STRING:
        tide_json_string (out, string_bytes (value));
        return;
    case JSON_INTEGER:
        append_integer (out, json_integer_value (value));
        return;
    case JSON_REAL:
        append_real (out, json_real_value (value));
        return;
    case JSON_TRUE:
        tide_buffer_append_text (out, "true");
        return;
    case JSON_FALSE:
        tide_buffer_append_text (out, "false");
        return;
    case JSON_NULL:
        tide_buffer_append_text (out, "null");
        return;
    }
}

void tide_json_value (tide_buffer_t *out, const json_t *value)
{
    append_value (out, value, NULL, NULL);
}

void tide_base64_encode (tide_buffer_t *out, tide_bytes_t bytes)
{
    size_t room = sodium_base64_ENCODED_LEN (bytes.size, BASE64);
    char *at = (char *) tide_buffer_reserve (out, room);
    sodium_bin2base64 (at, room, bytes.data, bytes.size, BASE64);
    out->size += room - 1; /* without its NUL */
}

bool tide_base64_decode (tide_buffer_t *out, tide_bytes_t text)
{
    for (size_t at = 0; at < text.size; at++)
        if (text.data[at] >= 0x80) /* libsodium 1.0.18 takes these for an A */
            return false;
    size_t room = text.size / 4 * 3 + 3, size = 0;
    uint8_t *at = tide_buffer_reserve (out, room);
    if (sodium_base642bin (at, room, (const char *) text.data, text.size, NULL, &size, NULL, BASE64)
        != 0)
        return false;
    out->size += size;
    return true;
}

/*  -- payloads: binary values become attachments ---------------------------------------------- */

/*  Where a payload's binary values come from, and how large it may be. */
typedef struct {
    substitute_fn *substitute;
    const tide_bytes_t *attachment; /* what placeholders name */
    unsigned attachments;
    uint32_t payload_max;
} source_t;

typedef struct {
    const source_t *source;
    tide_buffer_t decoded; /* what base64 was decoded to, end to end */
    tide_bytes_t kept[TIDE_ATTACHMENTS_MAX];
    unsigned count;
    bool has_placeholder;
    tide_status_t status;
    const char *why;
} gather_t;

static void gather_fail (gather_t *self, tide_status_t status, const char *why)
{
    if (self->status != TIDE_OK)
        return;
    self->status = status;
    self->why = why;
}

static void append_placeholder (gather_t *self, tide_buffer_t *out, tide_bytes_t attachment)
{
    if (self->count == TIDE_ATTACHMENTS_MAX) {
        gather_fail (self, TIDE_TOO_MANY, "an event has at most 10 binary values");
        return;
    }
    tide_buffer_append_text (out, "{\"_placeholder\":true,\"num\":");
    append_number (out, self->count);
    tide_put_u8 (out, '}');
    self->kept[self->count++] = attachment;
}

static bool is_placeholder (const json_t *object)
{
    return json_is_true (json_object_get (object, "_placeholder"));
}

/*  The number of the placeholder's attachment; false if it names none of `count`. */
static bool placeholder_number (const json_t *placeholder, unsigned count, unsigned *number)
{
    const json_t *num = json_object_get (placeholder, "num");
    if (!json_is_number (num))
        return false;
    for (*number = 0; *number < count; ++*number)
        if (json_number_value (num) == *number)
            return true;
    return false;
}

static bool gather_attached (void *context, tide_buffer_t *out, const json_t *object)
{
    gather_t *self = context;
    if (!is_placeholder (object))
        return false;
    unsigned number;
    if (placeholder_number (object, self->source->attachments, &number))
        append_placeholder (self, out, self->source->attachment[number]);
    else
        gather_fail (self, TIDE_BAD_REQUEST, "a placeholder names no attachment");
    return true;
}

/*  {"$binary":"<base64>"} and nothing beside it. */
static bool gather_base64 (void *context, tide_buffer_t *out, const json_t *object)
{
    gather_t *self = context;
    if (is_placeholder (object))
        self->has_placeholder = true;
    const json_t *text = json_object_get (object, "$binary");
    if (!json_is_string (text) || json_object_size (object) != 1)
        return false;
    size_t before = self->decoded.size;
    if (!tide_base64_decode (&self->decoded, string_bytes (text))) {
        gather_fail (self, TIDE_BAD_REQUEST, "$binary is not base64");
        return true;
    }
    size_t size = self->decoded.size - before;
    append_placeholder (self, out, (tide_bytes_t){NULL, size}); /* found when all are there */
    return true;
}

/*  The buffer does not move any more: the attachments' places are known. */
static void gather_place (gather_t *self)
{
    const uint8_t *at = self->decoded.data;
    for (unsigned number = 0; number < self->count; number++) {
        if (self->kept[number].size == 0)
            continue;
        self->kept[number].data = at;
        at += self->kept[number].size;
    }
}

static source_t base64_source (uint32_t payload_max)
{
    return (source_t){gather_base64, NULL, 0, payload_max};
}

static source_t attached_source (const tide_bytes_t *attachment, unsigned attachments,
                                 uint32_t payload_max)
{
    return (source_t){attachments > 0 ? gather_attached : NULL, attachment, attachments,
                      payload_max};
}

static bool is_deeper (const json_t *value, unsigned levels)
{
    if (!json_is_array (value) && !json_is_object (value))
        return false;
    if (levels == 0)
        return true;
    for (size_t at = 0; at < json_array_size (value); at++)
        if (is_deeper (json_array_get (value, at), levels - 1))
            return true;
    json_t *object = (json_t *) value; /* jansson's iterators take no const */
    for (void *at = json_object_iter (object); at; at = json_object_iter_next (object, at))
        if (is_deeper (json_object_iter_value (at), levels - 1))
            return true;
    return false;
}

static tide_status_t make_payload (tide_buffer_t *out, const json_t *value, bool many,
                                   const source_t *source, const char **why)
{
    if (many && !json_is_array (value)) {
        *why = "args is not an array";
        return TIDE_BAD_REQUEST;
    }
    if (many && json_array_size (value) == 1) {
        value = json_array_get (value, 0);
        many = false;
    }
    if (is_deeper (value, TIDE_JSON_DEPTH_MAX)) {
        *why = say ("nested deeper than %d", TIDE_JSON_DEPTH_MAX);
        return TIDE_TOO_LARGE;
    }
    gather_t gather = {.source = source};
    tide_buffer_t text = {0};
    append_value (&text, value, source->substitute, &gather);
    if (source->substitute == gather_base64) {
        gather_place (&gather);
        if (gather.has_placeholder && gather.count > 0)
            gather_fail (&gather, TIDE_BAD_REQUEST, "a _placeholder beside $binary");
    }

    size_t before = out->size;
    if (gather.status == TIDE_OK) {
        tide_args_t args = {.many = many, .json = tide_buffer_bytes (&text)};
        args.attachments = gather.count;
        memcpy (args.attachment, gather.kept, sizeof gather.kept);
        tide_args_encode (out, &args);
        if (out->size - before > source->payload_max) {
            out->size = before;
            gather_fail (&gather, TIDE_TOO_LARGE,
                         say ("the payload is above %" PRIu32 " bytes", source->payload_max));
        }
    }
    tide_buffer_free (&text);
    tide_buffer_free (&gather.decoded);
    if (gather.status != TIDE_OK)
        *why = gather.why;
    return gather.status;
}

tide_status_t tide_json_payload (tide_buffer_t *out, json_t *value, bool many, uint32_t payload_max,
                                 const char **why)
{
    source_t source = base64_source (payload_max);
    return make_payload (out, value, many, &source, why);
}

tide_status_t tide_json_payload_attached (tide_buffer_t *out, json_t *value, bool many,
                                          const tide_bytes_t *attachment, unsigned attachments,
                                          uint32_t payload_max, const char **why)
{
    source_t source = attached_source (attachment, attachments, payload_max);
    return make_payload (out, value, many, &source, why);
}

/*  -- payloads as JSON again ------------------------------------------------------------------ */

typedef struct {
    const tide_args_t *args;
    bool used[TIDE_ATTACHMENTS_MAX];
    bool failed;
} restore_t;

/*  An attachment is written once: a payload that names it a thousand times is malformed, or the
 *  text would be a thousand times as large as the payload. */
static bool restore_binary (void *context, tide_buffer_t *out, const json_t *object)
{
    restore_t *self = context;
    unsigned number;
    if (!is_placeholder (object))
        return false;
    if (!placeholder_number (object, self->args->attachments, &number) || self->used[number]) {
        self->failed = true;
        return true;
    }
    self->used[number] = true;
    tide_buffer_append_text (out, "{\"$binary\":\"");
    tide_base64_encode (out, self->args->attachment[number]);
    tide_buffer_append_text (out, "\"}");
    return true;
}

/*  Appends the arguments' JSON text; false, and nothing appended, if it can't be had. */
static bool append_arguments (tide_buffer_t *out, const tide_args_t *args)
{
    if (args->attachments == 0) {
        if (!args->many) {
            tide_buffer_append_bytes (out, args->json);
            return true;
        }
        tide_put_u8 (out, '[');
        tide_buffer_append_bytes (out, tide_socketio_arguments (args));
        tide_put_u8 (out, ']');
        return true;
    }
    const char *why;
    json_t *value = tide_json_parse (args->json, &why);
    if (!value)
        return false;
    size_t before = out->size;
    restore_t restore = {.args = args};
    append_value (out, value, restore_binary, &restore);
    bool is_right = !restore.failed && (!args->many || json_is_array (value));
    json_decref (value);
    if (!is_right)
        out->size = before;
    return is_right;
}

void tide_json_data (tide_buffer_t *out, tide_bytes_t payload)
{
    if (payload.size == 0) {
        tide_buffer_append_text (out, "\"data\":null,\"removed\":true");
        return;
    }
    size_t before = out->size;
    tide_args_t args;
    if (tide_args_decode (payload, &args) == TIDE_OK) {
        tide_buffer_append_text (out, args.many ? "\"args\":" : "\"data\":");
        if (append_arguments (out, &args))
            return;
        out->size = before;
    }
    tide_buffer_append_text (out, "\"data\":null");
}

void tide_json_event (tide_buffer_t *out, const tide_event_t *event, const char *op)
{
    tide_buffer_reserve (out, event->topic.size + event->name.size + event->key.size
                                  + event->from.size + event->payload.size + 128);
    if (op) {
        tide_buffer_append_text (out, "{\"op\":");
        tide_json_string (out, tide_bytes (op));
        tide_buffer_append_text (out, ",\"topic\":");
    }
    else
        tide_buffer_append_text (out, "{\"topic\":");
    tide_json_string (out, event->topic);
    tide_buffer_append_text (out, ",\"seq\":");
    append_number (out, event->seq);
    tide_buffer_append_text (out, ",\"event\":");
    tide_json_string (out, event->name);
    tide_put_u8 (out, ',');
    tide_json_data (out, event->payload);
    if (event->key.size > 0) {
        tide_buffer_append_text (out, ",\"key\":");
        tide_json_string (out, event->key);
    }
    tide_buffer_append_text (out, ",\"time\":");
    append_number (out, event->time_ms);
    if (event->from.size > 0) {
        tide_buffer_append_text (out, ",\"from\":");
        tide_json_string (out, event->from);
    }
    tide_put_u8 (out, '}');
}

/*  -- positions ------------------------------------------------------------------------------- */

enum { EPOCH_DIGITS = 16 };

static void append_epoch (tide_buffer_t *out, uint64_t epoch)
{
    static const char digits[] = "0123456789abcdef";
    char text[EPOCH_DIGITS];
    for (size_t at = EPOCH_DIGITS; at-- > 0; epoch >>= 4)
        text[at] = digits[epoch & 15];
    tide_buffer_append (out, text, sizeof text);
}

void tide_json_epoch (tide_buffer_t *out, uint64_t epoch)
{
    tide_put_u8 (out, '"');
    append_epoch (out, epoch);
    tide_put_u8 (out, '"');
}

bool tide_position_json (const json_t *value, uint64_t *epoch, uint64_t *seq)
{
    *epoch = *seq = 0;
    if (json_is_string (value))
        return tide_position_parse (string_bytes (value), epoch, seq);
    if (json_is_integer (value) && json_integer_value (value) >= 0) {
        *seq = (uint64_t) json_integer_value (value);
        return true;
    }
    /* 42.0 is 42: up to where doubles hold every whole number */
    double real = json_is_real (value) ? json_real_value (value) : -1;
    if (!(real >= 0 && real <= 9007199254740992.0))
        return false;
    *seq = (uint64_t) real;
    return (double) *seq == real;
}

void tide_position_text (tide_buffer_t *out, uint64_t epoch, uint64_t seq)
{
    append_epoch (out, epoch);
    tide_put_u8 (out, ':');
    append_number (out, seq);
}

/*  -- publishing ------------------------------------------------------------------------------ */

/*  A member that says nothing: it is not there, or null. */
static bool is_absent (const json_t *value)
{
    return !value || json_is_null (value);
}

/*  Reads a member that is a name; empty where it is absent. */
static tide_status_t take_name (const json_t *object, const char *member, tide_bytes_t *name,
                                const char **why)
{
    const json_t *value = json_object_get (object, member);
    *name = (tide_bytes_t){0};
    if (is_absent (value))
        return TIDE_OK;
    if (!json_is_string (value)) {
        *why = say ("%s is not a string", member);
        return TIDE_BAD_REQUEST;
    }
    *name = string_bytes (value);
    if (tide_name_valid (*name))
        return TIDE_OK;
    *why = say ("%s is not 1-255 bytes without control characters", member);
    return TIDE_BAD_REQUEST;
}

static tide_status_t take_event_name (const json_t *object, tide_bytes_t *name, const char **why)
{
    tide_status_t status = take_name (object, "event", name, why);
    if (status != TIDE_OK)
        return status;
    const char *fault = tide_socketio_name_fault (*name);
    if (!fault)
        return TIDE_OK;
    *why = fault;
    return TIDE_BAD_REQUEST;
}

static tide_status_t take_names (const json_t *object, const char *id_member, tide_event_t *event,
                                 const char **why)
{
    const json_t *topic = json_object_get (object, "topic");
    event->topic = json_is_string (topic) ? string_bytes (topic) : (tide_bytes_t){0};
    if (!json_is_string (topic) || !tide_topic_valid (event->topic)) {
        *why = is_absent (topic) ? "topic is missing" : tide_status_meaning (TIDE_BAD_TOPIC);
        return is_absent (topic) ? TIDE_BAD_REQUEST : TIDE_BAD_TOPIC;
    }
    tide_status_t status = take_event_name (object, &event->name, why);
    if (status == TIDE_OK)
        status = take_name (object, "key", &event->key, why);
    if (status == TIDE_OK)
        status = take_name (object, id_member, &event->id, why);
    return status;
}

/*  Where neither data nor args is there, a key is removed, and without one there are no arguments.
 */
static tide_status_t take_payload (const json_t *object, const source_t *source,
                                   tide_event_t *event, tide_buffer_t *payload, const char **why)
{
    const json_t *data = json_object_get (object, "data");
    const json_t *args = json_object_get (object, "args");
    size_t before = payload->size;
    tide_status_t status = TIDE_OK;
    if (data && args) {
        *why = "data and args at once";
        status = TIDE_BAD_REQUEST;
    }
    else if (data || args)
        status = make_payload (payload, data ? data : args, args != NULL, source, why);
    else if (event->key.size == 0) {
        tide_args_t none = {.many = true, .json = tide_bytes ("[]")};
        tide_args_encode (payload, &none);
    }
    if (status == TIDE_OK && payload->size > before)
        event->payload = (tide_bytes_t){payload->data + before, payload->size - before};
    return status;
}

static tide_status_t read_publish (const json_t *object, const char *id_member,
                                   const source_t *source, tide_event_t *event,
                                   tide_buffer_t *payload, const char **why)
{
    *event = (tide_event_t){0};
    if (!json_is_object (object)) {
        *why = "what to publish is not an object";
        return TIDE_BAD_REQUEST;
    }
    tide_status_t status = take_names (object, id_member, event, why);
    if (status != TIDE_OK)
        return status;
    const json_t *is_volatile = json_object_get (object, "volatile");
    if (!is_absent (is_volatile) && !json_is_boolean (is_volatile)) {
        *why = "volatile is neither true nor false";
        return TIDE_BAD_REQUEST;
    }
    if (json_is_true (is_volatile))
        event->flags = TIDE_EVENT_VOLATILE;
    return take_payload (object, source, event, payload, why);
}

tide_status_t tide_json_publish (json_t *object, const char *id_member, uint32_t payload_max,
                                 tide_event_t *event, tide_buffer_t *payload, const char **why)
{
    source_t source = base64_source (payload_max);
    return read_publish (object, id_member, &source, event, payload, why);
}

tide_status_t tide_json_publish_attached (json_t *object, const char *id_member,
                                          const tide_bytes_t *attachment, unsigned attachments,
                                          uint32_t payload_max, tide_event_t *event,
                                          tide_buffer_t *payload, const char **why)
{
    source_t source = attached_source (attachment, attachments, payload_max);
    return read_publish (object, id_member, &source, event, payload, why);
}

void tide_json_error (tide_buffer_t *out, tide_status_t status, const char *message)
{
    tide_buffer_append_text (out, "{\"error\":{\"code\":");
    tide_json_string (out, tide_bytes (tide_status_name (status)));
    tide_buffer_append_text (out, ",\"message\":");
    tide_json_string (out, tide_bytes (message ? message : tide_status_meaning (status)));
    tide_buffer_append_text (out, "}}");
}
