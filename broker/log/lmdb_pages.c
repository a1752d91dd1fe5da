/*  lmdb_pages.c - the little that is known here of LMDB's file format.
 *  SPDX-License-Identifier: MIT
 */
#include "lmdb_pages.h"

#include "lmdb_layout.h"
#include "tide_alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*  Offsets in a meta page, native byte order, 64 bit. */
enum {
    PAGE_HEADER = 16,
    META_MAGIC = 16,
    META_VERSION = 20,
    META_PAGE_SIZE = 40,
    META_LAST_PAGE = 136,
    META_TXN = 144,
    META_SIZE = 152
};
#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1u

_Static_assert(sizeof (size_t) == 8, "the offsets are those of a 64-bit machine");

static uint64_t native64 (const uint8_t *at)
{
    uint64_t value;
    memcpy (&value, at, sizeof value);
    return value;
}

static uint32_t native32 (const uint8_t *at)
{
    uint32_t value;
    memcpy (&value, at, sizeof value);
    return value;
}

static bool read_meta (int fd, off_t at, uint8_t *meta)
{
    return pread (fd, meta, META_SIZE, at) == META_SIZE && native32 (meta + META_MAGIC) == MAGIC
           && native32 (meta + META_VERSION) == DATA_VERSION;
}

static uint64_t measure (int fd)
{
    uint8_t one[META_SIZE], other[META_SIZE];
    if (!read_meta (fd, 0, one))
        return 0;
    uint64_t page_size = native32 (one + META_PAGE_SIZE);
    if (page_size < 256 || page_size > 65536 || (page_size & (page_size - 1)) != 0)
        return 0;
    const uint8_t *newer = one;
    if (read_meta (fd, (off_t) page_size, other)
        && native64 (other + META_TXN) > native64 (one + META_TXN))
        newer = other;
    uint64_t last = native64 (newer + META_LAST_PAGE);
    return last < UINT64_MAX / page_size ? (last + 1) * page_size : UINT64_MAX;
}

void tide_pages_measure (const char *directory, uint64_t *file_size, uint64_t *needed)
{
    char path[4096];
    struct stat file;
    *file_size = *needed = 0;
    snprintf (path, sizeof path, "%s/" TIDE_LAYOUT_DATA, directory);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat (fd, &file) == 0) {
        *file_size = (uint64_t) file.st_size;
        *needed = measure (fd);
    }
    close (fd);
}

/*  -- free pages ------------------------------------------------------------------------------ */

struct tide_pages {
    uint8_t *is_free; /* a bit for each page */
    uint64_t count;
    size_t page_size;
    uintptr_t base; /* where page 0 would lie; 0: not known yet */
    uintptr_t last; /* the leaf that was looked at last */
};

tide_pages_t *tide_pages_new (MDB_env *env)
{
    tide_pages_t *self = tide_alloc (sizeof *self);
    MDB_envinfo info = {0};
    MDB_stat stat = {0};
    mdb_env_info (env, &info);
    mdb_env_stat (env, &stat);
    self->count = (uint64_t) info.me_last_pgno + 1;
    self->page_size = stat.ms_psize;
    self->is_free = tide_alloc (self->count / 8 + 1);
    return self;
}

void tide_pages_destroy (tide_pages_t **self_p)
{
    tide_assert (self_p);
    if (*self_p) {
        free ((*self_p)->is_free);
        free (*self_p);
        *self_p = NULL;
    }
}

/*  One entry of the list: how many, then the numbers. */
static bool mark_entry (tide_pages_t *self, const MDB_val *value)
{
    const uint8_t *at = value->mv_data;
    if (value->mv_size < 8 || native64 (at) > value->mv_size / 8 - 1)
        return false;
    uint64_t count = native64 (at);
    for (uint64_t each = 1; each <= count; each++) {
        uint64_t page = native64 (at + 8 * each);
        uint8_t bit = (uint8_t) (1u << page % 8);
        if (page < 2 || page >= self->count || self->is_free[page / 8] & bit)
            return false;
        self->is_free[page / 8] |= bit;
    }
    return true;
}

bool tide_pages_mark_free (tide_pages_t *self, MDB_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open (txn, 0, &cursor); /* 0 is LMDB's own tree of free pages */
    if (rc != 0)
        return false;
    while ((rc = mdb_cursor_get (cursor, &key, &value, MDB_NEXT)) == 0 && mark_entry (self, &value))
        ;
    mdb_cursor_close (cursor);
    return rc == MDB_NOTFOUND;
}

/*  The page at this address, and count - 1 behind it. */
static bool check_pages (tide_pages_t *self, uintptr_t address, uint64_t count)
{
    uint64_t page = native64 ((const uint8_t *) address);
    if (page < 2 || page >= self->count || count > self->count - page)
        return false;
    uintptr_t base = address - (uintptr_t) page * self->page_size;
    if (self->base == 0)
        self->base = base;
    if (self->base != base)
        return false;
    for (uint64_t each = page; each < page + count; each++) {
        if (self->is_free[each / 8] & 1u << each % 8)
            return false;
    }
    return true;
}

bool tide_pages_check (tide_pages_t *self, const void *key, const void *value, size_t value_size)
{
    uintptr_t mask = ~((uintptr_t) self->page_size - 1);
    uintptr_t leaf = (uintptr_t) key & mask, large = (uintptr_t) value & mask;
    bool good = true;
    if (leaf != self->last)
        good = check_pages (self, leaf, 1);
    self->last = leaf;
    if (good && large != leaf)
        good = check_pages (self, large,
                            (PAGE_HEADER + value_size + self->page_size - 1) / self->page_size);
    return good;
}
