/*  tide_event_json.c - events and arguments as JSON, as they are everywhere else: binary values are
 *  {"$binary":"<base64>"}.
 *  SPDX-License-Identifier: MIT
 */
#include "tidemark_internal.h"

#include <stdlib.h>

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
