/*  tide_log_lmdb_fixture.h - logs on disk for the tests of the LMDB engine.
 *
 *  An unclean stop is either a real one (a child that is killed) or the file's copy, made while the
 *  log is open.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_LOG_LMDB_FIXTURE_H
#define TIDE_LOG_LMDB_FIXTURE_H

#include "tide_log_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { SEGMENTS = 6, PAGE = 4096 };

static inline tide_log_lmdb_config_t config_of (const char *directory)
{
    return (tide_log_lmdb_config_t){.directory = directory,
                                    .sync_always = true,
                                    .segments = SEGMENTS,
                                    .epoch_seed = 77,
                                    .boot_id = "boot"};
}

static inline tide_log_t *open_with (const tide_log_lmdb_config_t *config)
{
    char *why = NULL;
    tide_log_t *log = tide_log_open_lmdb (config, &why);
    if (!log)
        fail_msg ("%s", why);
    assert_null (why);
    return log;
}

static inline tide_log_t *open_at (const char *directory)
{
    tide_log_lmdb_config_t config = config_of (directory);
    return open_with (&config);
}

/*  The log is refused, and the reason names the folder and says this. */
static inline void check_refused (const char *directory, const char *text)
{
    tide_log_lmdb_config_t config = config_of (directory);
    char *why = NULL;
    tide_log_t *log = tide_log_open_lmdb (&config, &why);
    assert_null (log);
    assert_non_null (why);
    assert_non_null (strstr (why, directory));
    if (!strstr (why, text))
        fail_msg ("\"%s\" does not say \"%s\"", why, text);
    free (why);
}

/*  What tide_log_check reports; the report says this. */
static inline void check_reported (const char *directory, tide_status_t expected, const char *text)
{
    tide_buffer_t report = {0};
    tide_status_t status = tide_log_check (directory, &report);
    tide_put_u8 (&report, 0);
    assert_non_null (strstr ((char *) report.data, directory));
    if (status != expected || !strstr ((char *) report.data, text))
        fail_msg ("\"%s\" does not say \"%s\"", (char *) report.data, text);
    tide_buffer_free (&report);
}

static inline tide_buffer_t read_data (const char *directory)
{
    char path[600];
    struct stat file;
    tide_buffer_t data = {0};
    fixture_path (path, sizeof path, directory, "data.mdb");
    int fd = open (path, O_RDONLY);
    assert_true (fd >= 0);
    assert_int_equal (fstat (fd, &file), 0);
    tide_buffer_reserve (&data, (size_t) file.st_size);
    assert_int_equal (read (fd, data.data, (size_t) file.st_size), file.st_size);
    data.size = (size_t) file.st_size;
    close (fd);
    return data;
}

static inline void write_data (const char *directory, const void *data, size_t size)
{
    char path[600];
    mkdir (directory, 0700);
    fixture_path (path, sizeof path, directory, "data.mdb");
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true (fd >= 0);
    assert_int_equal (write (fd, data, size), (ssize_t) size);
    close (fd);
}

/*  The log as it would be found if the process died now. */
static inline char *copy_of (const char *directory)
{
    char *copy = fixture_directory ();
    tide_buffer_t data = read_data (directory);
    write_data (copy, data.data, data.size);
    tide_buffer_free (&data);
    return copy;
}

static inline void fill (tide_log_t *log, uint64_t first, unsigned segments, uint32_t events)
{
    for (unsigned each = 0; each < segments; each++, first += events)
        assert_int_equal (fixture_append (log, fixture_segment (first, events)), TIDE_OK);
}

#endif
