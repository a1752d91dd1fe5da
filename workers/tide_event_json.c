/*  tide_event_json.c - events and arguments as JSON, as they are everywhere else: binary values are
 *  {"$binary":"<base64>"}.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include <stdlib.h>
#include <string.h>

/*  RFC 4648, section 4. The caller gives it back. */
static json_t *binary_of (tide_bytes_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    tide_buffer_t text = {0};
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t group = (uint32_t) bytes.data[at] << 16;
        group |= left > 1 ? (uint32_t) bytes.data[at + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[at + 2] : 0;
        tide_put_u8 (&text, (uint8_t) digits[group >> 18]);
        tide_put_u8 (&text, (uint8_t) digits[group >> 12 & 63]);
        tide_put_u8 (&text, left > 1 ? (uint8_t) digits[group >> 6 & 63] : '=');
        tide_put_u8 (&text, left > 2 ? (uint8_t) digits[group & 63] : '=');
    }
    json_t *made =
        json_pack ("{s:s%}", "$binary", text.data ? (const char *) text.data : "", text.size);
    tide_buffer_free (&text);
    return made;
}

/*  The binary value that the object stands for; NULL if it is none. */
static json_t *attached (const json_t *value, const tide_args_t *args)
{
    if (!json_is_object (value) || !json_is_true (json_object_get (value, "_placeholder")))
        return NULL;
    json_int_t number = json_integer_value (json_object_get (value, "num"));
    bool is_there = number >= 0 && number < (json_int_t) args->attachments;
    return is_there ? binary_of (args->attachment[number]) : NULL;
}

/*  Puts binary values in the place of what stands for them, at any depth below. */
static void attach (json_t *value, const tide_args_t *args)
{
    size_t at;
    const char *key;
    void *next;
    json_t *each, *binary;
    json_array_foreach (value, at, each)
        if ((binary = attached (each, args)) != NULL)
            json_array_set_new (value, at, binary);
        else
            attach (each, args);
    json_object_foreach_safe (value, next, key, each) if ((binary = attached (each, args)) != NULL)
        json_object_set_new (value, key, binary);
    else attach (each, args);
}

json_t *tide_json_of_args (const tide_args_t *args)
{
    json_t *value = json_loadb ((const char *) args->json.data, args->json.size,
                                JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (!value || args->many)
        return value;
    return json_pack ("[o]", value);
}

json_t *tide_json_of_payload (tide_bytes_t payload)
{
    tide_args_t args;
    if (tide_args_decode (payload, &args) != TIDE_OK)
        return NULL;
    json_t *made = tide_json_of_args (&args);
    if (made && args.attachments > 0)
        attach (made, &args);
    return made;
}

static void set_text (json_t *object, const char *name, tide_bytes_t text)
{
    if (text.size > 0)
        json_object_set_new (object, name, json_stringn ((const char *) text.data, text.size));
}

json_t *tide_json_of_event (const tide_event_t *event)
{
    json_t *object = json_object ();
    json_t *args = tide_json_of_payload (event->payload);
    set_text (object, "topic", event->topic);
    json_object_set_new (object, "seq", json_integer ((json_int_t) event->seq));
    set_text (object, "event", event->name);
    if (json_array_size (args) == 1)
        json_object_set (object, "data", json_array_get (args, 0));
    else if (args)
        json_object_set (object, "args", args);
    else
        json_object_set_new (object, "data", json_null ());
    json_decref (args);
    set_text (object, "key", event->key);
    json_object_set_new (object, "time", json_integer ((json_int_t) event->time_ms));
    set_text (object, "from", event->from);
    return object;
}

/*  -- and back -------------------------------------------------------------------------------- */

/*  What is taken out of the arguments, behind u32 sizes. */
typedef struct {
    tide_buffer_t bytes;
    size_t at[TIDE_ATTACHMENTS_MAX + 1]; /* where each begins, and the last ends */
    unsigned count;
    tide_status_t status;
} detached_t;

static int digit_of (char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
}

/*  RFC 4648, section 4, with its padding. */
static bool append_binary (tide_buffer_t *bytes, const char *text, size_t size)
{
    if (size % 4 != 0)
        return false;
    for (size_t at = 0; at < size; at += 4) {
        bool is_last = at + 4 == size;
        unsigned pads = is_last ? (unsigned) ((text[at + 3] == '=') + (text[at + 2] == '=')) : 0;
        uint32_t group = 0;
        for (unsigned place = 0; place < 4; place++) {
            int digit = place < 4 - pads ? digit_of (text[at + place]) : 0;
            if (digit < 0)
                return false;
            group = group << 6 | (uint32_t) digit;
        }
        for (unsigned byte = 0; byte < 3 - pads; byte++)
            tide_put_u8 (bytes, (uint8_t) (group >> (16 - 8 * byte)));
    }
    return true;
}

/*  What stands for the binary value from now on; NULL if it is none. */
static json_t *detached (const json_t *value, detached_t *out)
{
    const json_t *text = json_object_get (value, "$binary");
    if (!text || json_object_size (value) != 1)
        return NULL;
    if (out->count == TIDE_ATTACHMENTS_MAX)
        out->status = TIDE_TOO_MANY;
    else if (!json_is_string (text)
             || !append_binary (&out->bytes, json_string_value (text), json_string_length (text)))
        out->status = TIDE_BAD_REQUEST;
    if (out->status != TIDE_OK)
        return NULL;
    out->at[++out->count] = out->bytes.size;
    return json_pack ("{sb, si}", "_placeholder", 1, "num", (int) out->count - 1);
}

static void detach (json_t *value, detached_t *out)
{
    size_t at;
    const char *key;
    void *next;
    json_t *each, *place;
    json_array_foreach (value, at, each)
        if ((place = detached (each, out)) != NULL)
            json_array_set_new (value, at, place);
        else
            detach (each, out);
    json_object_foreach_safe (value, next, key, each) if ((place = detached (each, out)) != NULL)
        json_object_set_new (value, key, place);
    else detach (each, out);
}

/*  Whether there is such a key at any depth. */
static bool has_key (const json_t *value, const char *wanted)
{
    size_t at;
    const char *key;
    json_t *each;
    json_array_foreach (value, at, each)
        if (has_key (each, wanted))
            return true;
    json_object_foreach ((json_t *) value, key, each)
        if (strcmp (key, wanted) == 0 || has_key (each, wanted))
            return true;
    return false;
}

tide_status_t tide_payload_with (json_t *args, tide_bytes_t about, tide_buffer_t *payload)
{
    detached_t out = {0};
    json_t *all = json_is_array (args) ? args : args ? json_pack ("[o]", args) : json_array ();
    if (has_key (all, "_placeholder")) /* would be read as damage */
        out.status = TIDE_BAD_REQUEST;
    else if (has_key (all, "$binary")) {
        json_t *copy = json_deep_copy (all); /* others may hold what was given */
        json_decref (all);
        all = copy;
        detach (all, &out);
    }
    tide_args_t encoded = {
        .many = json_array_size (all) != 1, .about = about, .attachments = out.count};
    for (unsigned at = 0; at < out.count; at++)
        encoded.attachment[at] =
            (tide_bytes_t){out.bytes.data + out.at[at], out.at[at + 1] - out.at[at]};
    const json_t *said = encoded.many ? all : json_array_get (all, 0);
    char *text = out.status == TIDE_OK ? json_dumps (said, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref (all);
    if (out.status == TIDE_OK && !text)
        out.status = TIDE_BAD_REQUEST;
    if (text) {
        encoded.json = tide_bytes (text);
        tide_args_encode (payload, &encoded);
    }
    free (text);
    tide_buffer_free (&out.bytes);
    return out.status;
}

tide_status_t tide_payload_of_json (json_t *args, tide_buffer_t *payload)
{
    return tide_payload_with (args, (tide_bytes_t){0}, payload);
}

json_t *tidemark_binary (const void *bytes, size_t size)
{
    return binary_of ((tide_bytes_t){bytes, size});
}
