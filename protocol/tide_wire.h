/*  tide_wire.h - bounded access to a span of bytes.
 *
 *  The one place where lengths from outside meet memory: every check is `length <= remaining`,
 *  never a sum. All numbers are big-endian. A reader or a writer that failed once stays failed
 *  and does nothing more, so a caller may check once at the end.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_WIRE_H
#define TIDE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  A span of bytes that somebody else owns. Text in it is UTF-8 and not NUL-terminated. */
typedef struct {
    const uint8_t *data;
    size_t size;
} tide_bytes_t;

/*  The span of a NUL-terminated string, without the NUL. */
tide_bytes_t tide_bytes (const char *text);

/*  True if both spans hold the same bytes. */
bool tide_bytes_equal (tide_bytes_t one, tide_bytes_t other);

/*  <0, 0, >0 as memcmp orders, a prefix before what it begins. */
int tide_bytes_compare (tide_bytes_t one, tide_bytes_t other);

/*  True if the span equals the NUL-terminated text. */
bool tide_bytes_is (tide_bytes_t bytes, const char *text);

/*  For printf: printf ("%.*s", TIDE_PRINT (bytes)). */
#define TIDE_PRINT(bytes) (int) (bytes).size, (const char *) (bytes).data

/*  A buffer that grows. Zero-initialise it; free with tide_buffer_free. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
} tide_buffer_t;

/*  Makes room for `more` bytes behind size and returns where they begin; size is unchanged. */
uint8_t *tide_buffer_reserve (tide_buffer_t *self, size_t more);
void tide_buffer_append (tide_buffer_t *self, const void *data, size_t size);
void tide_buffer_append_bytes (tide_buffer_t *self, tide_bytes_t bytes);
void tide_buffer_append_text (tide_buffer_t *self, const char *text);
void tide_buffer_printf (tide_buffer_t *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
/*  The bytes so far; valid until the buffer changes. */
tide_bytes_t tide_buffer_bytes (const tide_buffer_t *self);
void tide_buffer_free (tide_buffer_t *self);

/*  Numbers for the wire, written at the buffer's end. */
void tide_put_u8 (tide_buffer_t *self, uint8_t value);
void tide_put_u16 (tide_buffer_t *self, uint16_t value);
void tide_put_u32 (tide_buffer_t *self, uint32_t value);
void tide_put_u64 (tide_buffer_t *self, uint64_t value);

/*  Numbers in place: the caller knows that there is room. */
void tide_store_u32 (uint8_t *at, uint32_t value);
void tide_store_u64 (uint8_t *at, uint64_t value);
uint32_t tide_load_u32 (const uint8_t *at);
uint64_t tide_load_u64 (const uint8_t *at);

/*  Reads from the front of a span. */
typedef struct {
    const uint8_t *data;
    size_t remaining;
    bool failed;
} tide_reader_t;

tide_reader_t tide_reader (tide_bytes_t bytes);
uint8_t tide_take_u8 (tide_reader_t *self);
uint16_t tide_take_u16 (tide_reader_t *self);
uint32_t tide_take_u32 (tide_reader_t *self);
uint64_t tide_take_u64 (tide_reader_t *self);
/*  The next size bytes, borrowed from the span; empty and failed if fewer remain. */
tide_bytes_t tide_take_bytes (tide_reader_t *self, size_t size);

#endif
