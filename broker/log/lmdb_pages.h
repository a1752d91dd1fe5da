/*  lmdb_pages.h - the little that is known here of LMDB's file format (data version 1).
 *
 *  A page begins with its own number. Two meta pages come first, each with the size of a page, the
 *  last page in use and the number of the transaction that wrote it; the newer one counts. What
 *  LMDB's own functions can't tell is found out with that: whether the file is as long as it
 *  should be, and whether a page that is in use is also listed as free, which would be overwritten.
 *  SPDX-License-Identifier: MIT
 */
#ifndef LMDB_PAGES_H
#define LMDB_PAGES_H

#include "tide_wire.h"

#include <lmdb.h>

/*  The size of data.mdb in directory, and the size that it says it needs; 0 where not known. A
 *  sound file may be shorter: pages at its end that were given and freed in one transaction are
 *  never written. */
void tide_pages_measure (const char *directory, uint64_t *file_size, uint64_t *needed);

/*  Which pages are free in one snapshot. */
typedef struct tide_pages tide_pages_t;

tide_pages_t *tide_pages_new (MDB_env *env);
void tide_pages_destroy (tide_pages_t **self_p);
/*  Marks the free ones; false if the list is wrong. */
bool tide_pages_mark_free (tide_pages_t *self, MDB_txn *txn);
/*  Looks at the leaf on which a key lies and at the pages of a value too large for it; false if one
 *  of them is free, or bears another's number. */
bool tide_pages_check (tide_pages_t *self, const void *key, const void *value, size_t value_size);

#endif
