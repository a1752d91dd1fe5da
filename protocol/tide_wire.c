/*  tide_wire.c - bounded access to a span of bytes.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_wire.h"

#include "tide_alloc.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tide_bytes_t tide_bytes (const char *text)
{
    return (tide_bytes_t){(const uint8_t *) text, strlen (text)};
}

bool tide_bytes_equal (tide_bytes_t one, tide_bytes_t other)
{
    return one.size == other.size
           && (one.size == 0 || memcmp (one.data, other.data, one.size) == 0);
}

int tide_bytes_compare (tide_bytes_t one, tide_bytes_t other)
{
    size_t common = one.size < other.size ? one.size : other.size;
    int order = common > 0 ? memcmp (one.data, other.data, common) : 0;
    if (order != 0)
        return order;
    return one.size < other.size ? -1 : one.size > other.size;
}

bool tide_bytes_is (tide_bytes_t bytes, const char *text)
{
    return tide_bytes_equal (bytes, tide_bytes (text));
}

uint8_t *tide_buffer_reserve (tide_buffer_t *self, size_t more)
{
    if (self->capacity - self->size < more) {
        size_t capacity = self->capacity > 0 ? self->capacity : 256;
        while (capacity - self->size < more)
            capacity *= 2;
        self->data = tide_realloc (self->data, capacity);
        self->capacity = capacity;
    }
    return self->data + self->size;
}

void tide_buffer_append (tide_buffer_t *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy (tide_buffer_reserve (self, size), data, size);
    self->size += size;
}

void tide_buffer_append_bytes (tide_buffer_t *self, tide_bytes_t bytes)
{
    tide_buffer_append (self, bytes.data, bytes.size);
}

void tide_buffer_append_text (tide_buffer_t *self, const char *text)
{
    tide_buffer_append (self, text, strlen (text));
}

void tide_buffer_printf (tide_buffer_t *self, const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    int size = vsnprintf (NULL, 0, format, arguments);
    va_end (arguments);
    tide_assert (size >= 0);
    char *at = (char *) tide_buffer_reserve (self, (size_t) size + 1);
    va_start (arguments, format);
    vsnprintf (at, (size_t) size + 1, format, arguments);
    va_end (arguments);
    self->size += (size_t) size;
}

tide_bytes_t tide_buffer_bytes (const tide_buffer_t *self)
{
    return (tide_bytes_t){self->data, self->size};
}

void tide_buffer_free (tide_buffer_t *self)
{
    free (self->data);
    *self = (tide_buffer_t){0};
}

void tide_put_u8 (tide_buffer_t *self, uint8_t value)
{
    *tide_buffer_reserve (self, 1) = value;
    self->size += 1;
}

void tide_put_u16 (tide_buffer_t *self, uint16_t value)
{
    value = htobe16 (value);
    tide_buffer_append (self, &value, sizeof value);
}

void tide_put_u32 (tide_buffer_t *self, uint32_t value)
{
    value = htobe32 (value);
    tide_buffer_append (self, &value, sizeof value);
}

void tide_put_u64 (tide_buffer_t *self, uint64_t value)
{
    value = htobe64 (value);
    tide_buffer_append (self, &value, sizeof value);
}

void tide_store_u32 (uint8_t *at, uint32_t value)
{
    value = htobe32 (value);
    memcpy (at, &value, sizeof value);
}

void tide_store_u64 (uint8_t *at, uint64_t value)
{
    value = htobe64 (value);
    memcpy (at, &value, sizeof value);
}

uint32_t tide_load_u32 (const uint8_t *at)
{
    uint32_t value;
    memcpy (&value, at, sizeof value);
    return be32toh (value);
}

uint64_t tide_load_u64 (const uint8_t *at)
{
    uint64_t value;
    memcpy (&value, at, sizeof value);
    return be64toh (value);
}

tide_reader_t tide_reader (tide_bytes_t bytes)
{
    return (tide_reader_t){bytes.data, bytes.size, false};
}

tide_bytes_t tide_take_bytes (tide_reader_t *self, size_t size)
{
    if (self->failed || size > self->remaining) {
        self->failed = true;
        return (tide_bytes_t){0};
    }
    tide_bytes_t bytes = {self->data, size};
    if (size > 0) {
        self->data += size;
        self->remaining -= size;
    }
    return bytes;
}

uint8_t tide_take_u8 (tide_reader_t *self)
{
    tide_bytes_t bytes = tide_take_bytes (self, 1);
    return bytes.data ? bytes.data[0] : 0;
}

uint16_t tide_take_u16 (tide_reader_t *self)
{
    tide_bytes_t bytes = tide_take_bytes (self, 2);
    return bytes.data ? (uint16_t) ((unsigned) bytes.data[0] << 8 | bytes.data[1]) : 0;
}

uint32_t tide_take_u32 (tide_reader_t *self)
{
    tide_bytes_t bytes = tide_take_bytes (self, 4);
    return bytes.data ? tide_load_u32 (bytes.data) : 0;
}

uint64_t tide_take_u64 (tide_reader_t *self)
{
    tide_bytes_t bytes = tide_take_bytes (self, 8);
    return bytes.data ? tide_load_u64 (bytes.data) : 0;
}
