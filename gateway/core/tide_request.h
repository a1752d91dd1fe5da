/*  tide_request.h - the head of an HTTP/1.1 request (RFC 9112), as clients send it.
 *
 *  Pure, and strict: what servers and proxies could take differently is refused, since it is at
 *  such places that one request is smuggled in another. Nothing is allocated; spans point into the
 *  bytes that were given.
 *  SPDX-License-Identifier: MIT
 */
#ifndef TIDE_REQUEST_H
#define TIDE_REQUEST_H

#include "tide_wire.h"

/*  A head may have so many bytes, and so many header lines. */
#define TIDE_REQUEST_HEAD_MAX 16384
#define TIDE_REQUEST_HEADERS_MAX 100

typedef struct {
    tide_bytes_t method;
    tide_bytes_t path;  /* begins with a slash (or is `*`); still percent-encoded */
    tide_bytes_t query; /* without its `?`; still percent-encoded */
    bool is_http10;
    bool is_kept; /* the client would like to go on with this connection */

    bool has_length;
    uint64_t length;   /* Content-Length */
    bool has_coding;   /* Transfer-Encoding: where the body ends is said in another way */
    bool has_expect;   /* Expect: 100-continue */
    bool has_upgrade;  /* to something */
    bool is_websocket; /* … to WebSocket */

    /*  Header values, trimmed; empty where there is none. */
    tide_bytes_t host, origin, if_none_match, content_type, last_event_id;
    tide_bytes_t preflight_headers; /* Access-Control-Request-Headers */
    tide_bytes_t websocket_key, websocket_version, websocket_protocol;
} tide_request_t;

typedef enum {
    TIDE_REQUEST_WHOLE,     /* *request is there; the head had *size bytes */
    TIDE_REQUEST_PARTIAL,   /* more is to come */
    TIDE_REQUEST_MALFORMED, /* *why says what is wrong, for people */
    TIDE_REQUEST_TOO_LARGE  /* it is above a limit */
} tide_request_outcome_t;

/*  Reads the head at the front of bytes. */
tide_request_outcome_t tide_request_parse (tide_bytes_t bytes, tide_request_t *request,
                                           size_t *size, const char **why);

/*  True if the comma-separated list names the token, in whatever case. */
bool tide_request_lists (tide_bytes_t list, const char *token);

/*  True if what If-None-Match says has the entity tag. A proxy that compresses makes it a weak one,
 *  and it is compared as such (RFC 9110, 13.1.2). */
bool tide_request_knows (tide_bytes_t if_none_match, const char *etag);

#endif
