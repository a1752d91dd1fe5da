/*  tide_files.c - the few files that a gateway serves: its page and the stock client.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_files.h"

#include "tide_alloc.h"

#include <dirent.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define FILES_MAX 1000
#define FILE_SIZE_MAX (16u << 20)

struct tide_files {
    tide_file_t *file; /* sorted by url */
    size_t count, capacity;
};

static const char *type_of (const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".map", "application/json"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".webp", "image/webp"},
        {".woff2", "font/woff2"},
        {".wasm", "application/wasm"},
        {".md", "text/plain; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *ending = strrchr (name, '.');
    for (size_t at = 0; ending && at < sizeof types / sizeof types[0]; at++)
        if (strcmp (ending, types[at].ending) == 0)
            return types[at].type;
    return "application/octet-stream";
}

static tide_file_t *add (tide_files_t *self, const char *url, size_t url_size)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 32;
        self->file = tide_realloc (self->file, self->capacity * sizeof *self->file);
    }
    tide_file_t *file = &self->file[self->count++];
    *file = (tide_file_t){.url = tide_copy (url, url_size)};
    return file;
}

static bool read_whole (const char *path, tide_buffer_t *bytes)
{
    FILE *stream = fopen (path, "rbe");
    if (!stream)
        return false;
    char chunk[16384];
    size_t got;
    while ((got = fread (chunk, 1, sizeof chunk, stream)) > 0 && bytes->size <= FILE_SIZE_MAX)
        tide_buffer_append (bytes, chunk, got);
    bool is_read = !ferror (stream) && bytes->size <= FILE_SIZE_MAX;
    fclose (stream);
    return is_read;
}

static void add_file (tide_files_t *self, const char *path, const char *url)
{
    tide_buffer_t bytes = {0};
    if (!read_whole (path, &bytes)) {
        tide_buffer_free (&bytes);
        return;
    }
    /*  A folder's index is served as the folder; without its slash, relative links would miss. */
    size_t size = strlen (url);
    const char *index = "/index.html";
    if (size >= strlen (index) && strcmp (url + size - strlen (index), index) == 0) {
        size -= strlen (index) - 1;
        if (size > 1) {
            tide_file_t *moved = add (self, url, size - 1);
            moved->location = tide_copy (url, size);
        }
    }
    uint8_t hash[16];
    crypto_generichash (hash, sizeof hash, bytes.data, bytes.size, NULL, 0);
    tide_file_t *file = add (self, url, size);
    file->type = type_of (path);
    file->bytes = bytes;
    file->etag[0] = '"';
    sodium_bin2hex (file->etag + 1, 33, hash, sizeof hash);
    file->etag[33] = '"';
}

/*  Reads what lies in the folder and below. Names with a leading dot are not served. */
static void add_folder (tide_files_t *self, const char *path, const char *url, unsigned depth)
{
    DIR *folder = opendir (path);
    if (!folder)
        return;
    struct dirent *entry;
    while ((entry = readdir (folder)) && self->count < FILES_MAX) {
        if (entry->d_name[0] == '.')
            continue;
        char below[PATH_MAX], below_url[PATH_MAX];
        int size = snprintf (below, sizeof below, "%s/%s", path, entry->d_name);
        int url_size = snprintf (below_url, sizeof below_url, "%s%s", url, entry->d_name);
        struct stat status;
        if (size < 0 || (size_t) size >= sizeof below || url_size < 0
            || (size_t) url_size + 1 >= sizeof below_url || stat (below, &status) != 0)
            continue;
        if (S_ISREG (status.st_mode))
            add_file (self, below, below_url);
        else if (S_ISDIR (status.st_mode) && depth < DEPTH_MAX) {
            memcpy (below_url + url_size, "/", 2);
            add_folder (self, below, below_url, depth + 1);
        }
    }
    closedir (folder);
}

static bool is_folder (const char *format, const char *one, char *path, size_t size)
{
    int written = snprintf (path, size, format, one);
    struct stat status;
    return written > 0 && (size_t) written < size && stat (path, &status) == 0
           && S_ISDIR (status.st_mode);
}

/*  Finds the share folder, which holds `page` or `client`. */
static char *find_share (void)
{
    char path[PATH_MAX + 64];
    const char *told = getenv ("TIDEMARK_SHARE");
    if (told && told[0] != '\0')
        return tide_copy (told, strlen (told));

    char program[PATH_MAX];
    ssize_t size = readlink ("/proc/self/exe", program, sizeof program - 1);
    if (size > 0) {
        program[size] = '\0';
        *strrchr (program, '/') = '\0';
        static const char *const beside[] = {"%s/../share/tidemark/page", "%s/../share/page"};
        for (size_t at = 0; at < sizeof beside / sizeof beside[0]; at++)
            if (is_folder (beside[at], program, path, sizeof path))
                return tide_copy (path, strlen (path) - strlen ("/page"));
    }
    if (is_folder ("%s/page", TIDE_SHARE, path, sizeof path))
        return tide_copy (TIDE_SHARE, strlen (TIDE_SHARE));
    return NULL;
}

static int compare (const void *one, const void *other)
{
    return strcmp (((const tide_file_t *) one)->url, ((const tide_file_t *) other)->url);
}

tide_files_t *tide_files_new (const char *socketio_path, char **found)
{
    tide_files_t *self = tide_alloc (sizeof *self);
    *found = find_share ();
    if (*found) {
        char path[PATH_MAX];
        if (is_folder ("%s/page", *found, path, sizeof path))
            add_folder (self, path, "/", 0);
        if (is_folder ("%s/client", *found, path, sizeof path))
            add_folder (self, path, socketio_path, 0);
    }
    if (self->count > 0)
        qsort (self->file, self->count, sizeof *self->file, compare);
    return self;
}

void tide_files_destroy (tide_files_t **self_p)
{
    tide_files_t *self = *self_p;
    if (!self)
        return;
    for (size_t at = 0; at < self->count; at++) {
        free (self->file[at].url);
        free (self->file[at].location);
        tide_buffer_free (&self->file[at].bytes);
    }
    free (self->file);
    free (self);
    *self_p = NULL;
}

const tide_file_t *tide_files_find (const tide_files_t *self, tide_bytes_t url)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = tide_bytes_compare (tide_bytes (self->file[middle].url), url);
        if (order == 0)
            return &self->file[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
