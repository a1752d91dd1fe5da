/*  replay.c - runs a fuzz target on files: each seed, and each beginning of it.
 *
 *  What a fuzzer once found stays found, with every compiler and in every test run.
 *  SPDX-License-Identifier: MIT
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/*  Beginnings of large files are run at steps. */
enum { BEGINNINGS_MAX = 2000 };

/*  In memory of exactly that size, so that a sanitizer sees one byte too far. */
static void run (const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc (size > 0 ? size : 1);
    if (!exact)
        abort ();
    memcpy (exact, data, size);
    LLVMFuzzerTestOneInput (exact, size);
    free (exact);
}

static int run_file (const char *path)
{
    FILE *file = fopen (path, "rb");
    if (!file || fseek (file, 0, SEEK_END) != 0) {
        fprintf (stderr, "%s cannot be read\n", path);
        return 1;
    }
    size_t size = (size_t) ftell (file);
    uint8_t *data = malloc (size + 1);
    rewind (file);
    if (!data || fread (data, 1, size, file) != size)
        abort ();
    fclose (file);
    size_t step = size / BEGINNINGS_MAX + 1;
    for (size_t end = 0; end < size; end += step)
        run (data, end);
    run (data, size);
    free (data);
    return 0;
}

static int run_folder (const char *folder)
{
    DIR *entries = opendir (folder);
    int failed = 0, count = 0;
    if (!entries) {
        fprintf (stderr, "%s: no such folder of seeds\n", folder);
        return 1;
    }
    for (struct dirent *entry = readdir (entries); entry; entry = readdir (entries)) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf (path, sizeof path, "%s/%s", folder, entry->d_name);
        failed |= run_file (path);
        count++;
    }
    closedir (entries);
    printf ("%s: %d seeds\n", folder, count);
    return failed || count == 0;
}

int main (int argc, char **argv)
{
    int failed = 0;
    for (int at = 1; at < argc; at++)
        failed |= run_folder (argv[at]);
    return failed;
}
