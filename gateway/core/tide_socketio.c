/*  tide_socketio.c - Socket.IO v5 packets: decode, with attachments, and encode.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_socketio.h"

#include "tide_alloc.h"
#include "tide_dialect_json.h"
#include "tide_topic.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*  While attachments are pending only the packet's text is kept, not what was parsed from it: that
 *  may be fifty times as large, and a client may leave us waiting. */
struct tide_socketio_decoder {
    uint32_t payload_max;
    json_t *data;         /* of the packet returned last */
    tide_buffer_t text;   /* of a packet with attachments */
    tide_buffer_t binary; /* its attachments so far, end to end */
    size_t ends[TIDE_ATTACHMENTS_MAX];
    unsigned expected, received;
};

tide_socketio_decoder_t *tide_socketio_decoder_new (uint32_t payload_max)
{
    tide_socketio_decoder_t *self = tide_alloc (sizeof *self);
    self->payload_max = payload_max;
    return self;
}

void tide_socketio_decoder_destroy (tide_socketio_decoder_t **self_p)
{
    if (!*self_p)
        return;
    tide_socketio_decoder_release (*self_p);
    tide_buffer_free (&(*self_p)->text);
    tide_buffer_free (&(*self_p)->binary);
    free (*self_p);
    *self_p = NULL;
}

static bool is_pending (const tide_socketio_decoder_t *self)
{
    return self->received < self->expected;
}

void tide_socketio_decoder_release (tide_socketio_decoder_t *self)
{
    json_decref (self->data);
    self->data = NULL;
    if (is_pending (self))
        return;
    tide_buffer_free (&self->text);
    tide_buffer_free (&self->binary);
    self->expected = self->received = 0;
}

static tide_socketio_result_t invalid (const char **why, const char *what)
{
    *why = what;
    return TIDE_SOCKETIO_INVALID;
}

static bool is_digit (uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/*  Takes digits off the front; false if there are none or their number is above max. */
static bool take_number (tide_bytes_t *text, uint64_t max, uint64_t *number)
{
    size_t at = 0;
    *number = 0;
    for (; at < text->size && is_digit (text->data[at]); at++) {
        uint64_t digit = (uint64_t) (text->data[at] - '0');
        if (*number > (max - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    *text = (tide_bytes_t){text->data + at, text->size - at};
    return at > 0;
}

bool tide_socketio_is_reserved (tide_bytes_t name)
{
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t at = 0; at < sizeof reserved / sizeof reserved[0]; at++)
        if (tide_bytes_is (name, reserved[at]))
            return true;
    return false;
}

const char *tide_socketio_name_fault (tide_bytes_t name)
{
    static const char own[] = "tide:";
    if (name.size == 0)
        return "event is missing";
    if (tide_socketio_is_reserved (name))
        return "event is a name that Socket.IO keeps for itself";
    if (name.size >= sizeof own - 1 && memcmp (name.data, own, sizeof own - 1) == 0)
        return "event begins with tide:, which is the gateway's own";
    return NULL;
}

static bool is_event_name (const json_t *name)
{
    if (!json_is_string (name))
        return json_is_number (name);
    tide_bytes_t text = {(const uint8_t *) json_string_value (name), json_string_length (name)};
    return !tide_socketio_is_reserved (text);
}

/*  What is wrong with the packet's data; NULL if nothing is. */
static const char *check_data (const tide_socketio_packet_t *packet)
{
    switch (packet->type) {
    case TIDE_SOCKETIO_CONNECT:
        return packet->data && !json_is_object (packet->data) ? "CONNECT takes an object" : NULL;
    case TIDE_SOCKETIO_DISCONNECT:
        return packet->data ? "DISCONNECT takes no data" : NULL;
    case TIDE_SOCKETIO_ACK:
        if (!packet->has_ack)
            return "an ACK without an id";
        return json_is_array (packet->data) ? NULL : "ACK takes an array";
    default:
        if (!json_is_array (packet->data) || json_array_size (packet->data) == 0)
            return "EVENT takes an array that is not empty";
        return is_event_name (json_array_get (packet->data, 0))
                   ? NULL
                   : "an event's name is a number, or a string that is not reserved";
    }
}

/*  Every object that says it is a placeholder must name one of the attachments. */
static bool placeholders_are_in_range (const json_t *value, unsigned attachments)
{
    if (json_is_array (value)) {
        for (size_t at = 0; at < json_array_size (value); at++)
            if (!placeholders_are_in_range (json_array_get (value, at), attachments))
                return false;
        return true;
    }
    if (!json_is_object (value))
        return true;
    if (json_is_true (json_object_get (value, "_placeholder"))) {
        double number = json_number_value (json_object_get (value, "num"));
        for (unsigned at = 0; at < attachments; at++)
            if (number == at)
                return json_is_number (json_object_get (value, "num"));
        return false;
    }
    json_t *object = (json_t *) value; /* jansson's iterators take no const */
    for (void *at = json_object_iter (object); at; at = json_object_iter_next (object, at))
        if (!placeholders_are_in_range (json_object_iter_value (at), attachments))
            return false;
    return true;
}

/*  A whole number beyond 64 bits is no error to JSON.parse, and so none in a stock client: read
 *  all numbers as doubles then, as it does. */
static json_t *parse_script (tide_bytes_t text, const char **why)
{
    json_t *value = tide_json_parse (text, why);
    if (value)
        return value;
    json_error_t error;
    value = json_loadb ((const char *) text.data, text.size,
                        JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    return value;
}

/*  Takes <type>[<attachments>-][<nsp>,][<ack>] off the front. NULL, or what is wrong. */
static const char *take_head (tide_bytes_t *text, tide_socketio_packet_t *packet, bool *is_binary,
                              unsigned *attachments)
{
    if (text->size == 0 || text->data[0] < '0' || text->data[0] > '6')
        return "no packet of a known type";
    unsigned type = (unsigned) (text->data[0] - '0');
    *text = (tide_bytes_t){text->data + 1, text->size - 1};
    if (type == TIDE_SOCKETIO_CONNECT_ERROR)
        return "CONNECT_ERROR is the server's";

    uint64_t number = 0;
    *is_binary = type == TIDE_SOCKETIO_BINARY_EVENT || type == TIDE_SOCKETIO_BINARY_ACK;
    if (*is_binary) {
        if (!take_number (text, TIDE_ATTACHMENTS_MAX, &number))
            return "no number of attachments, or more than 10";
        if (text->size == 0 || text->data[0] != '-')
            return "no - behind the number of attachments";
        *text = (tide_bytes_t){text->data + 1, text->size - 1};
        type = type == TIDE_SOCKETIO_BINARY_EVENT ? TIDE_SOCKETIO_EVENT : TIDE_SOCKETIO_ACK;
    }
    *attachments = (unsigned) number;
    packet->type = (tide_socketio_type_t) type;

    packet->nsp = tide_bytes ("/");
    if (text->size > 0 && text->data[0] == '/') {
        const uint8_t *comma = memchr (text->data, ',', text->size);
        size_t size = comma ? (size_t) (comma - text->data) : text->size;
        size_t behind = comma ? size + 1 : size;
        packet->nsp = (tide_bytes_t){text->data, size};
        *text = (tide_bytes_t){text->data + behind, text->size - behind};
        if (!tide_utf8_valid (packet->nsp))
            return "the namespace is not UTF-8";
    }
    packet->has_ack = text->size > 0 && is_digit (text->data[0]);
    if (packet->has_ack && !take_number (text, UINT64_MAX, &packet->ack))
        return "the id is beyond 64 bits";
    return NULL;
}

/*  Reads a packet's text. Its data is then the caller's. */
static tide_socketio_result_t parse (tide_bytes_t text, tide_socketio_packet_t *packet,
                                     unsigned *attachments, const char **why)
{
    *packet = (tide_socketio_packet_t){0};
    bool is_binary;
    const char *wrong = take_head (&text, packet, &is_binary, attachments);
    if (wrong)
        return invalid (why, wrong);
    if (text.size > 0) {
        packet->data = parse_script (text, why);
        if (!packet->data)
            return TIDE_SOCKETIO_INVALID;
    }
    wrong = check_data (packet);
    if (!wrong && is_binary && !placeholders_are_in_range (packet->data, *attachments))
        wrong = "a placeholder names no attachment";
    if (!wrong)
        return TIDE_SOCKETIO_PACKET;
    json_decref (packet->data);
    packet->data = NULL;
    return invalid (why, wrong);
}

static tide_socketio_result_t take_text (tide_socketio_decoder_t *self, tide_bytes_t text,
                                         tide_socketio_packet_t *packet, const char **why)
{
    if (is_pending (self))
        return invalid (why, "text while attachments are pending");
    unsigned attachments;
    tide_socketio_result_t result = parse (text, packet, &attachments, why);
    if (result != TIDE_SOCKETIO_PACKET)
        return result;
    if (attachments == 0) {
        self->data = packet->data;
        return TIDE_SOCKETIO_PACKET;
    }
    json_decref (packet->data);
    packet->data = NULL;
    tide_buffer_append_bytes (&self->text, text);
    self->expected = attachments;
    return TIDE_SOCKETIO_MORE;
}

static tide_socketio_result_t take_attachment (tide_socketio_decoder_t *self, tide_bytes_t bytes,
                                               tide_socketio_packet_t *packet, const char **why)
{
    if (!is_pending (self))
        return invalid (why, "binary while no attachment is pending");
    if (bytes.size > self->payload_max - self->binary.size)
        return invalid (why, "attachments above --max-payload");
    tide_buffer_append_bytes (&self->binary, bytes);
    self->ends[self->received++] = self->binary.size;
    if (is_pending (self))
        return TIDE_SOCKETIO_MORE;

    unsigned attachments;
    tide_socketio_result_t result =
        parse (tide_buffer_bytes (&self->text), packet, &attachments, why);
    if (result != TIDE_SOCKETIO_PACKET)
        return result;
    self->data = packet->data;
    packet->attachments = self->expected;
    size_t begin = 0;
    for (unsigned at = 0; at < self->expected; at++) {
        size_t size = self->ends[at] - begin;
        if (size > 0)
            packet->attachment[at] = (tide_bytes_t){self->binary.data + begin, size};
        begin = self->ends[at];
    }
    return TIDE_SOCKETIO_PACKET;
}

tide_socketio_result_t tide_socketio_decode (tide_socketio_decoder_t *self, tide_bytes_t message,
                                             bool is_text, tide_socketio_packet_t *packet,
                                             const char **why)
{
    tide_socketio_decoder_release (self);
    *packet = (tide_socketio_packet_t){0};
    return is_text ? take_text (self, message, packet, why)
                   : take_attachment (self, message, packet, why);
}

bool tide_socketio_decoder_pending (const tide_socketio_decoder_t *self, unsigned *at,
                                    tide_bytes_t *message, bool *is_text)
{
    if (!is_pending (self) || *at > self->received)
        return false;
    unsigned attachment = *at;
    *is_text = attachment == 0;
    ++*at;
    if (*is_text) {
        *message = tide_buffer_bytes (&self->text);
        return true;
    }
    size_t begin = attachment > 1 ? self->ends[attachment - 2] : 0;
    size_t size = self->ends[attachment - 1] - begin;
    *message = size > 0 ? (tide_bytes_t){self->binary.data + begin, size} : (tide_bytes_t){0};
    return true;
}

/*  -- encoding -------------------------------------------------------------------------------- */

/*  Appends "4", the type, "N-" for a binary one, and the namespace unless it is the main one. */
static void begin_packet (tide_buffer_t *out, tide_socketio_type_t type, unsigned attachments,
                          tide_bytes_t nsp)
{
    uint8_t head[2] = {'4', (uint8_t) ('0' + type)};
    tide_buffer_append (out, head, sizeof head);
    if (attachments > 0)
        tide_buffer_printf (out, "%u-", attachments);
    if (nsp.size > 1 || (nsp.size == 1 && nsp.data[0] != '/')) {
        tide_buffer_append_bytes (out, nsp);
        tide_put_u8 (out, ',');
    }
}

void tide_socketio_connect (tide_buffer_t *out, tide_bytes_t nsp, const char *sid, const char *pid)
{
    begin_packet (out, TIDE_SOCKETIO_CONNECT, 0, nsp);
    tide_buffer_append_text (out, "{\"sid\":");
    tide_json_string (out, tide_bytes (sid));
    if (pid) {
        tide_buffer_append_text (out, ",\"pid\":");
        tide_json_string (out, tide_bytes (pid));
    }
    tide_put_u8 (out, '}');
}

void tide_socketio_connect_error (tide_buffer_t *out, tide_bytes_t nsp, const char *message,
                                  const char *data)
{
    begin_packet (out, TIDE_SOCKETIO_CONNECT_ERROR, 0, nsp);
    tide_buffer_append_text (out, "{\"message\":");
    tide_json_string (out, tide_bytes (message));
    if (data) {
        tide_buffer_append_text (out, ",\"data\":");
        tide_buffer_append_text (out, data);
    }
    tide_put_u8 (out, '}');
}

void tide_socketio_disconnect (tide_buffer_t *out, tide_bytes_t nsp)
{
    begin_packet (out, TIDE_SOCKETIO_DISCONNECT, 0, nsp);
}

static bool is_space (uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static tide_bytes_t trim (tide_bytes_t text)
{
    while (text.size > 0 && is_space (text.data[text.size - 1]))
        text.size--;
    while (text.size > 0 && is_space (text.data[0]))
        text = (tide_bytes_t){text.data + 1, text.size - 1};
    return text;
}

tide_bytes_t tide_socketio_arguments (const tide_args_t *args)
{
    tide_bytes_t text = trim (args->json);
    if (!args->many)
        return text;
    bool is_array = text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']';
    return is_array ? trim ((tide_bytes_t){text.data + 1, text.size - 2}) : (tide_bytes_t){0};
}

static void append_argument (tide_buffer_t *out, tide_bytes_t text)
{
    if (text.size == 0)
        return;
    tide_put_u8 (out, ',');
    tide_buffer_append_bytes (out, text);
}

void tide_socketio_event (tide_buffer_t *out, tide_bytes_t nsp, tide_bytes_t name,
                          const tide_args_t *args, const tide_bytes_t *trailing,
                          unsigned trailing_count)
{
    tide_buffer_reserve (out, nsp.size + name.size + args->json.size + 64);
    begin_packet (out, args->attachments > 0 ? TIDE_SOCKETIO_BINARY_EVENT : TIDE_SOCKETIO_EVENT,
                  args->attachments, nsp);
    tide_put_u8 (out, '[');
    tide_json_string (out, name);
    append_argument (out, tide_socketio_arguments (args));
    for (unsigned at = 0; at < trailing_count; at++)
        append_argument (out, trailing[at]);
    tide_put_u8 (out, ']');
}

void tide_socketio_ask (tide_buffer_t *out, tide_bytes_t nsp, uint64_t ack, tide_bytes_t name,
                        const tide_args_t *args)
{
    begin_packet (out, args->attachments > 0 ? TIDE_SOCKETIO_BINARY_EVENT : TIDE_SOCKETIO_EVENT,
                  args->attachments, nsp);
    tide_buffer_printf (out, "%" PRIu64 "[", ack);
    tide_json_string (out, name);
    append_argument (out, tide_socketio_arguments (args));
    tide_put_u8 (out, ']');
}

void tide_socketio_ack (tide_buffer_t *out, tide_bytes_t nsp, uint64_t ack, tide_bytes_t json,
                        unsigned attachments)
{
    begin_packet (out, attachments > 0 ? TIDE_SOCKETIO_BINARY_ACK : TIDE_SOCKETIO_ACK, attachments,
                  nsp);
    tide_buffer_printf (out, "%" PRIu64 "[", ack);
    tide_buffer_append_bytes (out, json);
    tide_put_u8 (out, ']');
}
