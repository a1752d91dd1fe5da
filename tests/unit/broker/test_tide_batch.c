/*  test_tide_batch.c - objects that travel between broker and log.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_alloc.h"
#include "tide_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void clearing_a_batch_keeps_its_memory_and_nothing_else (void **state)
{
    (void) state;
    tide_log_batch_t *batch = tide_log_batch_new ();
    tide_buffer_append (&batch->records, "events", 6);
    tide_buffer_append (&batch->lost, "lost", 4);
    batch->number = 7;
    batch->begin_segment = true;
    batch->keep = tide_alloc (8);
    batch->keep_count = 1;
    batch->forget = tide_alloc (8);
    batch->forget_count = 1;
    size_t capacity = batch->records.capacity;
    tide_log_batch_clear (batch);
    assert_int_equal (batch->number, 0);
    assert_false (batch->begin_segment);
    assert_null (batch->keep);
    assert_null (batch->forget);
    assert_int_equal (batch->keep_count + batch->forget_count, 0);
    assert_int_equal (batch->records.size + batch->lost.size, 0);
    assert_int_equal (batch->records.capacity, capacity);
    tide_log_batch_destroy (&batch);
    assert_null (batch);
}

static void destroying_tolerates_nothing (void **state)
{
    (void) state;
    tide_log_batch_t *batch = NULL;
    tide_log_fetch_t *fetch = NULL;
    tide_log_batch_destroy (&batch);
    tide_log_fetch_destroy (&fetch);
    fetch = tide_log_fetch_new ();
    fetch->seqs = tide_alloc (8);
    fetch->missing = tide_alloc (8);
    fetch->damaged = tide_alloc (8);
    tide_buffer_append (&fetch->records, "x", 1);
    tide_log_fetch_destroy (&fetch);
    assert_null (fetch);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (clearing_a_batch_keeps_its_memory_and_nothing_else),
        cmocka_unit_test (destroying_tolerates_nothing),
    };
    return cmocka_run_group_tests_name ("tide_batch", tests, NULL, NULL);
}
