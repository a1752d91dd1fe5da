/*  tide_message.c - every ZeroMQ message: one walker over the tables of tide_message.h.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_message.h"

#include "tide_alloc.h"
#include "tide_topic.h"

#include <stdio.h>
#include <string.h>

typedef enum { U8, U16, U32, U64, STR, TEXT, BLOB, LIST } field_type_t;

typedef struct layout layout_t;

typedef struct {
    const char *name;
    field_type_t type;
    uint32_t limit;
    const layout_t *record;
    size_t offset;
    const char *doc;
} field_t;

struct layout {
    const char *name;
    const char *doc;
    const field_t *fields;
    size_t count;
};

/*  From the third column of the tables: a number, or a record's name. */
#define LIMIT_U8(limit) limit, NULL
#define LIMIT_U16(limit) limit, NULL
#define LIMIT_U32(limit) limit, NULL
#define LIMIT_U64(limit) limit, NULL
#define LIMIT_STR(limit) limit, NULL
#define LIMIT_TEXT(limit) limit, NULL
#define LIMIT_BLOB(limit) limit, NULL
#define LIMIT_LIST(record) 0, &layout_##record

#define FIELD(S, member, type, limit, doc)                                                         \
    {#member, type, LIMIT_##type (limit), offsetof (S, member), doc},

#define X(record, NAME, text) static const layout_t layout_##record;
TIDE_RECORDS (X)
#undef X

#define X(record, NAME, text)                                                                      \
    static const field_t fields_##record[] = {TIDE_##NAME##_FIELDS (FIELD, tide_##record##_t)};    \
    static const layout_t layout_##record = {#record, text, fields_##record,                       \
                                             sizeof fields_##record / sizeof (field_t)};
TIDE_RECORDS (X)
#undef X

/*  The last entry stands for nothing: it keeps a message without fields from being an empty array.
 */
#define X(member, NAME, number, sender, text)                                                      \
    static const field_t message_##member[] = {                                                    \
        TIDE_##NAME##_FIELDS (FIELD, tide_##member##_message_t){NULL}};
TIDE_MESSAGES (X)
#undef X

typedef struct {
    layout_t layout;
    const char *sender;
} kind_t;

static const kind_t kinds[TIDE_MESSAGE_KINDS] = {
#define X(member, NAME, number, sent_by, text)                                                     \
    [number] = {{#NAME, text, message_##member, sizeof message_##member / sizeof (field_t) - 1},   \
                sent_by},
    TIDE_MESSAGES (X)
#undef X
};

/*  -- encoding -------------------------------------------------------------------------------- */

static void encode_span (tide_buffer_t *out, tide_bytes_t bytes, field_type_t type)
{
    if (type == STR) {
        tide_assert (bytes.size <= UINT8_MAX);
        tide_put_u8 (out, (uint8_t) bytes.size);
    }
    else if (type == TEXT) {
        tide_assert (bytes.size <= UINT16_MAX);
        tide_put_u16 (out, (uint16_t) bytes.size);
    }
    else {
        tide_assert (bytes.size <= UINT32_MAX);
        tide_put_u32 (out, (uint32_t) bytes.size);
    }
    tide_buffer_append_bytes (out, bytes);
}

static void encode (tide_buffer_t *out, const layout_t *layout, const void *object)
{
    for (size_t at = 0; at < layout->count; at++) {
        const field_t *field = &layout->fields[at];
        const void *value = (const char *) object + field->offset;
        switch (field->type) {
        case U8:
            tide_put_u8 (out, *(const uint8_t *) value);
            break;
        case U16:
            tide_put_u16 (out, *(const uint16_t *) value);
            break;
        case U32:
            tide_put_u32 (out, *(const uint32_t *) value);
            break;
        case U64:
            tide_put_u64 (out, *(const uint64_t *) value);
            break;
        case STR:
        case TEXT:
        case BLOB:
            encode_span (out, *(const tide_bytes_t *) value, field->type);
            break;
        case LIST:
            tide_put_u32 (out, ((const tide_list_t *) value)->count);
            encode_span (out, ((const tide_list_t *) value)->bytes, BLOB);
            break;
        }
    }
}

/*  -- decoding -------------------------------------------------------------------------------- */

static tide_status_t decode (tide_reader_t *reader, const layout_t *layout, void *object);

/*  Every record of a list is read once, so that stepping through it later cannot fail. */
static tide_status_t check_list (tide_list_t list, const layout_t *record)
{
    union {
#define X(name, NAME, doc) tide_##name##_t name;
        TIDE_RECORDS (X)
#undef X
    } scratch;
    tide_reader_t reader = tide_reader (list.bytes);
    for (uint32_t at = 0; at < list.count; at++) {
        tide_bytes_t bytes = tide_take_bytes (&reader, tide_take_u32 (&reader));
        if (reader.failed)
            return TIDE_BAD_REQUEST;
        tide_reader_t inner = tide_reader (bytes);
        tide_status_t status = decode (&inner, record, &scratch);
        if (status != TIDE_OK)
            return status;
    }
    return reader.remaining == 0 ? TIDE_OK : TIDE_BAD_REQUEST;
}

/*  Inlined into the one loop that calls it, so that the reader stays in registers: this is the
 *  hottest code that there is. */
static inline __attribute__ ((always_inline)) tide_status_t
decode_field (tide_reader_t *reader, const field_t *field, void *value)
{
    switch (field->type) {
    case U8:
        *(uint8_t *) value = tide_take_u8 (reader);
        return field->limit == 0 || *(uint8_t *) value <= field->limit ? TIDE_OK : TIDE_BAD_REQUEST;
    case U16:
        *(uint16_t *) value = tide_take_u16 (reader);
        return TIDE_OK;
    case U32:
        *(uint32_t *) value = tide_take_u32 (reader);
        return TIDE_OK;
    case U64:
        *(uint64_t *) value = tide_take_u64 (reader);
        return TIDE_OK;
    case STR:
    case TEXT:
    case BLOB: {
        size_t size = field->type == STR    ? tide_take_u8 (reader)
                      : field->type == TEXT ? tide_take_u16 (reader)
                                            : tide_take_u32 (reader);
        if (field->limit > 0 && size > field->limit)
            return TIDE_TOO_LARGE;
        *(tide_bytes_t *) value = tide_take_bytes (reader, size);
        return TIDE_OK;
    }
    case LIST: {
        tide_list_t *list = value;
        list->count = tide_take_u32 (reader);
        size_t size = tide_take_u32 (reader);
        list->bytes = tide_take_bytes (reader, size);
        return reader->failed ? TIDE_BAD_REQUEST : check_list (*list, field->record);
    }
    }
    return TIDE_BAD_REQUEST;
}

/*  Reads all fields; nothing may be left over. */
static tide_status_t decode (tide_reader_t *reader, const layout_t *layout, void *object)
{
    tide_reader_t rest = *reader;
    for (size_t at = 0; at < layout->count; at++) {
        const field_t *field = &layout->fields[at];
        tide_status_t status = decode_field (&rest, field, (char *) object + field->offset);
        if (status != TIDE_OK)
            return status;
        if (rest.failed)
            return TIDE_BAD_REQUEST;
    }
    return rest.remaining == 0 ? TIDE_OK : TIDE_BAD_REQUEST;
}

/*  -- records --------------------------------------------------------------------------------- */

tide_list_t tide_list (const tide_buffer_t *records, uint32_t count)
{
    return (tide_list_t){count, tide_buffer_bytes (records)};
}

bool tide_list_next (tide_list_t *list, tide_bytes_t *record)
{
    if (list->count == 0)
        return false;
    tide_reader_t reader = tide_reader (list->bytes);
    *record = tide_take_bytes (&reader, tide_take_u32 (&reader));
    list->bytes = (tide_bytes_t){reader.data, reader.remaining};
    list->count--;
    return !reader.failed;
}

void tide_list_append (tide_buffer_t *list, tide_bytes_t record)
{
    tide_put_u32 (list, (uint32_t) record.size);
    tide_buffer_append_bytes (list, record);
}

static void append_record (tide_buffer_t *list, const layout_t *layout, const void *record)
{
    size_t start = list->size;
    tide_put_u32 (list, 0);
    encode (list, layout, record);
    tide_store_u32 (list->data + start, (uint32_t) (list->size - start - 4));
}

static bool decode_record (tide_bytes_t bytes, const layout_t *layout, void *record)
{
    tide_reader_t reader = tide_reader (bytes);
    return decode (&reader, layout, record) == TIDE_OK;
}

#define X(name, NAME, doc)                                                                         \
    void tide_##name##_append (tide_buffer_t *list, const tide_##name##_t *record)                 \
    {                                                                                              \
        append_record (list, &layout_##name, record);                                              \
    }                                                                                              \
    bool tide_##name##_decode (tide_bytes_t bytes, tide_##name##_t *record)                        \
    {                                                                                              \
        return decode_record (bytes, &layout_##name, record);                                      \
    }                                                                                              \
    bool tide_##name##_next (tide_list_t *list, tide_##name##_t *record)                           \
    {                                                                                              \
        tide_bytes_t bytes;                                                                        \
        return tide_list_next (list, &bytes) && tide_##name##_decode (bytes, record);              \
    }
TIDE_RECORDS (X)
#undef X

/*  -- messages -------------------------------------------------------------------------------- */

void tide_message_encode (tide_buffer_t *out, const tide_message_t *message)
{
    tide_buffer_append (out, "TM", 2);
    tide_put_u8 (out, TIDE_PROTOCOL_VERSION);
    tide_put_u8 (out, (uint8_t) message->kind);
    encode (out, &kinds[message->kind].layout, &message->hello);
}

tide_status_t tide_message_decode (tide_bytes_t bytes, tide_message_t *message, const char **why)
{
    static _Thread_local char text[96];
    tide_reader_t reader = tide_reader (bytes);
    tide_bytes_t signature = tide_take_bytes (&reader, 2);
    uint8_t version = tide_take_u8 (&reader);
    uint8_t kind = tide_take_u8 (&reader);
    *why = text;
    if (reader.failed || memcmp (signature.data, "TM", 2) != 0) {
        *why = "not a Tidemark message";
        return TIDE_BAD_REQUEST;
    }
    if (version != TIDE_PROTOCOL_VERSION) {
        snprintf (text, sizeof text, "protocol version %u is not spoken here, only version %u",
                  version, TIDE_PROTOCOL_VERSION);
        return TIDE_BAD_REQUEST;
    }
    if (kind >= TIDE_MESSAGE_KINDS || !kinds[kind].layout.name) {
        snprintf (text, sizeof text, "unknown kind of message %u", kind);
        return TIDE_BAD_REQUEST;
    }
    message->kind = kind;
    tide_status_t status = decode (&reader, &kinds[kind].layout, &message->hello);
    if (status != TIDE_OK)
        snprintf (text, sizeof text, "%s %s", status == TIDE_TOO_LARGE ? "oversized" : "malformed",
                  kinds[kind].layout.name);
    return status;
}

const char *tide_message_name (tide_message_kind_t kind)
{
    bool known = (unsigned) kind < TIDE_MESSAGE_KINDS && kinds[kind].layout.name;
    return known ? kinds[kind].layout.name : "?";
}

static void describe_fields (tide_buffer_t *out, const layout_t *layout)
{
    static const char *const types[] = {"u8", "u16", "u32", "u64", "str", "text", "blob", "list"};
    if (layout->count == 0) {
        tide_buffer_append_text (out, "\nNo fields.\n");
        return;
    }
    tide_buffer_append_text (out, "\n| field | type | meaning |\n| --- | --- | --- |\n");
    for (size_t at = 0; at < layout->count; at++) {
        const field_t *field = &layout->fields[at];
        tide_buffer_printf (out, "| `%s` | %s%s%s | %s |\n", field->name, types[field->type],
                            field->record ? " of " : "", field->record ? field->record->name : "",
                            field->doc);
    }
}

void tide_message_describe (tide_buffer_t *out)
{
    tide_buffer_append_text (out, "## Messages\n");
    for (unsigned kind = 0; kind < TIDE_MESSAGE_KINDS; kind++) {
        if (!kinds[kind].layout.name)
            continue;
        tide_buffer_printf (out, "\n### %s (%u, from the %s)\n\n%s.\n", kinds[kind].layout.name,
                            kind, kinds[kind].sender, kinds[kind].layout.doc);
        describe_fields (out, &kinds[kind].layout);
    }
    tide_buffer_append_text (out, "\n## Records\n");
#define X(record, NAME, text)                                                                      \
    tide_buffer_printf (out, "\n### %s\n\n%s.\n", #record, text);                                  \
    describe_fields (out, &layout_##record);
    TIDE_RECORDS (X)
#undef X
}

/*  -- what is published ----------------------------------------------------------------------- */

static uint8_t fanout_class (tide_bytes_t topic, bool is_volatile)
{
    if (tide_topic_is_system (topic))
        return is_volatile ? TIDE_CLASS_SYSTEM_VOLATILE : TIDE_CLASS_SYSTEM;
    return is_volatile ? TIDE_CLASS_VOLATILE : TIDE_CLASS_EVENT;
}

void tide_fanout_prefix (tide_buffer_t *out, tide_bytes_t topic, bool is_volatile)
{
    tide_put_u8 (out, fanout_class (topic, is_volatile));
    tide_buffer_append_bytes (out, topic);
    tide_put_u8 (out, 0);
}

void tide_fanout_mark_prefix (tide_buffer_t *out)
{
    tide_put_u8 (out, TIDE_CLASS_MARK);
    tide_put_u8 (out, 0);
}

bool tide_fanout_split (tide_bytes_t frame, tide_bytes_t *prefix, tide_bytes_t *message)
{
    const uint8_t *end = frame.size > 0 ? memchr (frame.data, 0, frame.size) : NULL;
    if (!end)
        return false;
    size_t size = (size_t) (end - frame.data);
    *prefix = (tide_bytes_t){frame.data, size};
    *message = (tide_bytes_t){end + 1, frame.size - size - 1};
    return true;
}

unsigned tide_fanout_subscription (tide_bytes_t pattern, bool is_volatile, tide_buffer_t *one,
                                   tide_buffer_t *two)
{
    tide_put_u8 (one, fanout_class (pattern, is_volatile));
    if (!tide_pattern_is_subtree (pattern)) {
        tide_buffer_append_bytes (one, pattern);
        tide_put_u8 (one, 0);
        return 1;
    }
    if (pattern.size == 1)
        return 1;
    tide_buffer_append (one, pattern.data, pattern.size - 2);
    tide_put_u8 (one, 0);
    tide_put_u8 (two, fanout_class (pattern, is_volatile));
    tide_buffer_append (two, pattern.data, pattern.size - 1);
    return 2;
}
