/*  tide_files.h - the few files that a gateway serves: its page and the stock client.
 *
 *  They are read once, at start, into one table from URL to bytes, which all lanes share and none
 *  changes. A request is a look-up in it: no path of a client's ever reaches the file system.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_FILES_H
#define TIDE_FILES_H

#include "tide_wire.h"

typedef struct tide_files tide_files_t;

typedef struct {
    char *url;           /* the whole path, as "/demo/page.js" */
    tide_buffer_t bytes; /* empty where it redirects */
    const char *type;    /* content type */
    char etag[36];       /* with its quotes */
    char *location;      /* not NULL: the path of a folder without its slash, which moved there */
} tide_file_t;

/*  Reads `page` of the share folder as `/`, and `client` as the Socket.IO path (which begins and
 *  ends with a slash). The share folder is the environment's TIDEMARK_SHARE, or the one beside
 *  the program, or the one that was installed. What is not there is not served; *found says
 *  which folder it was, or is NULL. Never fails. */
tide_files_t *tide_files_new (const char *socketio_path, char **found);
void tide_files_destroy (tide_files_t **self_p);

/*  The file with this path, or NULL. Valid as long as self; may be called from any thread. */
const tide_file_t *tide_files_find (const tide_files_t *self, tide_bytes_t url);

#endif
