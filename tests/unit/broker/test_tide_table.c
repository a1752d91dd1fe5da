/*  test_tide_table.c - a hash table of handles.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_hash.h"
#include "tide_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool has (const tide_table_t *table, uint32_t hash, uint32_t wanted)
{
    uint32_t at;
    for (uint32_t handle = tide_table_first (table, hash, &at); handle;
         handle = tide_table_next (table, hash, &at))
        if (handle == wanted)
            return true;
    return false;
}

static void an_empty_table_has_nothing (void **state)
{
    (void) state;
    tide_table_t table = {0};
    assert_false (has (&table, 0, 1));
    tide_table_insert (&table, 5, 1);
    tide_table_clear (&table);
    assert_false (has (&table, 5, 1));
    tide_table_clear (&table);
    tide_table_free (&table);
}

static void handles_of_one_hash_are_all_found (void **state)
{
    (void) state;
    tide_table_t table = {0};
    for (uint32_t handle = 1; handle <= 40; handle++)
        tide_table_insert (&table, 0xffffffff, handle);
    for (uint32_t handle = 1; handle <= 40; handle++)
        assert_true (has (&table, 0xffffffff, handle));
    tide_table_remove (&table, 0xffffffff, 20);
    assert_false (has (&table, 0xffffffff, 20));
    assert_true (has (&table, 0xffffffff, 40));
    assert_int_equal (table.count, 39);
    tide_table_free (&table);
}

/*  Hashes are chosen so that runs overlap and wrap round the end. */
static void random_insertions_and_removals_agree_with_an_array (void **state)
{
    (void) state;
    enum { HANDLES = 400 };
    tide_table_t table = {0};
    uint32_t hashes[HANDLES + 1];
    bool there[HANDLES + 1] = {false};
    uint32_t random = 1;
    for (uint32_t handle = 1; handle <= HANDLES; handle++)
        hashes[handle] = handle % 3 ? handle * 7 % 64 : 0u - handle % 5;
    for (unsigned step = 0; step < 50000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t handle = (random >> 8) % HANDLES + 1;
        if (there[handle])
            tide_table_remove (&table, hashes[handle], handle);
        else
            tide_table_insert (&table, hashes[handle], handle);
        there[handle] = !there[handle];
        handle = (random >> 4) % HANDLES + 1;
        assert_int_equal (has (&table, hashes[handle], handle), there[handle]);
    }
    for (uint32_t handle = 1; handle <= HANDLES; handle++)
        assert_int_equal (has (&table, hashes[handle], handle), there[handle]);
    tide_table_free (&table);
}

static void the_hash_depends_on_each_byte_on_the_size_and_on_the_seed (void **state)
{
    (void) state;
    const uint64_t seed[2] = {1, 2}, other[2] = {1, 3};
    uint8_t bytes[64] = {0};
    for (size_t size = 1; size <= sizeof bytes; size++) {
        tide_bytes_t span = {bytes, size};
        uint32_t hash = tide_hash (seed, span);
        assert_int_not_equal (hash, tide_hash (seed, (tide_bytes_t){bytes, size - 1}));
        assert_int_not_equal (hash, tide_hash (other, span));
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= 1;
            assert_int_not_equal (hash, tide_hash (seed, span));
            bytes[at] ^= 1;
        }
        assert_int_equal (hash, tide_hash (seed, span));
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (an_empty_table_has_nothing),
        cmocka_unit_test (handles_of_one_hash_are_all_found),
        cmocka_unit_test (random_insertions_and_removals_agree_with_an_array),
        cmocka_unit_test (the_hash_depends_on_each_byte_on_the_size_and_on_the_seed),
    };
    return cmocka_run_group_tests_name ("tide_table", tests, NULL, NULL);
}
