/*  tide_request.c - the head of an HTTP/1.1 request (RFC 9112), as clients send it.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_request.h"

#include <string.h>
#include <strings.h>

static bool is_token (uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z')
           || (byte >= 'A' && byte <= 'Z') || (byte != 0 && strchr ("!#$%&'*+-.^_`|~", byte));
}

static bool is_blank (uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static bool equals (tide_bytes_t bytes, const char *text)
{
    return bytes.size == strlen (text)
           && strncasecmp ((const char *) bytes.data, text, bytes.size) == 0;
}

static tide_bytes_t trim (tide_bytes_t bytes)
{
    while (bytes.size > 0 && is_blank (bytes.data[0])) {
        bytes.data++;
        bytes.size--;
    }
    while (bytes.size > 0 && is_blank (bytes.data[bytes.size - 1]))
        bytes.size--;
    return bytes;
}

/*  Takes what comes before the byte off the front, and the byte; false if it is not there. */
static bool split (tide_bytes_t *rest, uint8_t at, tide_bytes_t *front)
{
    const uint8_t *found = rest->size > 0 ? memchr (rest->data, at, rest->size) : NULL;
    if (!found)
        return false;
    size_t size = (size_t) (found - rest->data);
    *front = (tide_bytes_t){rest->data, size};
    rest->data += size + 1;
    rest->size -= size + 1;
    return true;
}

bool tide_request_lists (tide_bytes_t list, const char *token)
{
    tide_bytes_t element;
    while (split (&list, ',', &element))
        if (equals (trim (element), token))
            return true;
    return equals (trim (list), token);
}

bool tide_request_knows (tide_bytes_t if_none_match, const char *etag)
{
    for (;;) {
        tide_bytes_t element;
        bool is_last = !split (&if_none_match, ',', &element);
        element = trim (is_last ? if_none_match : element);
        if (tide_bytes_is (element, "*"))
            return true;
        if (element.size > 2 && memcmp (element.data, "W/", 2) == 0) {
            element.data += 2;
            element.size -= 2;
        }
        if (tide_bytes_is (element, etag))
            return true;
        if (is_last)
            return false;
    }
}

/*  http://host/path is what one says to a proxy, and to be taken by everyone. */
static tide_bytes_t without_authority (tide_bytes_t target)
{
    static const char scheme[] = "http://";
    size_t size = strlen (scheme);
    if (target.size <= size || strncasecmp ((const char *) target.data, scheme, size) != 0)
        return target;
    const uint8_t *slash = memchr (target.data + size, '/', target.size - size);
    if (!slash)
        return target;
    return (tide_bytes_t){slash, target.size - (size_t) (slash - target.data)};
}

static const char *parse_line (tide_bytes_t line, tide_request_t *request)
{
    tide_bytes_t target;
    if (!split (&line, ' ', &request->method) || !split (&line, ' ', &target))
        return "the first line is not a method, a target and a version";
    for (size_t at = 0; at < request->method.size; at++)
        if (!is_token (request->method.data[at]))
            return "the method is no name";
    if (request->method.size == 0)
        return "there is no method";
    if (!tide_bytes_is (line, "HTTP/1.1") && !tide_bytes_is (line, "HTTP/1.0"))
        return "the version is neither HTTP/1.1 nor HTTP/1.0";
    request->is_http10 = tide_bytes_is (line, "HTTP/1.0");
    for (size_t at = 0; at < target.size; at++)
        if (target.data[at] <= ' ' || target.data[at] >= 0x7f)
            return "the target has bytes that must be percent-encoded";
    target = without_authority (target);
    if (target.size == 0 || (target.data[0] != '/' && !tide_bytes_is (target, "*")))
        return "the target does not begin with a slash";
    request->query = target;
    if (!split (&request->query, '?', &request->path)) {
        request->path = target;
        request->query = (tide_bytes_t){0};
    }
    return NULL;
}

static const char *parse_length (tide_bytes_t value, tide_request_t *request)
{
    if (request->has_length)
        return "Content-Length is there twice";
    request->has_length = true;
    if (value.size == 0 || value.size > 18)
        return "Content-Length is not a number";
    for (size_t at = 0; at < value.size; at++) {
        if (value.data[at] < '0' || value.data[at] > '9')
            return "Content-Length is not a number";
        request->length = request->length * 10 + (uint64_t) (value.data[at] - '0');
    }
    return NULL;
}

/*  What Connection headers say, all of them together. */
typedef struct {
    bool close, keep_alive, upgrade;
} connection_t;

static const char *parse_header (tide_bytes_t name, tide_bytes_t value, tide_request_t *request,
                                 connection_t *connection)
{
    const struct {
        const char *name;
        tide_bytes_t *value;
    } kept[] = {
        {"host", &request->host},
        {"origin", &request->origin},
        {"if-none-match", &request->if_none_match},
        {"content-type", &request->content_type},
        {"last-event-id", &request->last_event_id},
        {"access-control-request-headers", &request->preflight_headers},
        {"sec-websocket-key", &request->websocket_key},
        {"sec-websocket-version", &request->websocket_version},
        {"sec-websocket-protocol", &request->websocket_protocol},
    };
    for (size_t at = 0; at < sizeof kept / sizeof kept[0]; at++) {
        if (!equals (name, kept[at].name))
            continue;
        if (kept[at].value->data)
            return "a header that may be there once is there twice";
        *kept[at].value = value;
        return NULL;
    }
    if (equals (name, "content-length"))
        return parse_length (value, request);
    if (equals (name, "connection")) {
        connection->close = connection->close || tide_request_lists (value, "close");
        connection->keep_alive = connection->keep_alive || tide_request_lists (value, "keep-alive");
        connection->upgrade = connection->upgrade || tide_request_lists (value, "upgrade");
    }
    if (equals (name, "transfer-encoding"))
        request->has_coding = true;
    else if (equals (name, "expect"))
        request->has_expect = equals (value, "100-continue");
    else if (equals (name, "upgrade")) {
        request->has_upgrade = true;
        request->is_websocket = request->is_websocket || tide_request_lists (value, "websocket");
    }
    return NULL;
}

static const char *split_header (tide_bytes_t line, tide_bytes_t *name, tide_bytes_t *value)
{
    *value = line;
    if (!split (value, ':', name) || name->size == 0)
        return "a header has no name";
    for (size_t at = 0; at < name->size; at++)
        if (!is_token (name->data[at]))
            return "a header's name is no name";
    *value = trim (*value);
    for (size_t at = 0; at < value->size; at++)
        if ((value->data[at] < ' ' && value->data[at] != '\t') || value->data[at] == 0x7f)
            return "a header has a control character";
    return NULL;
}

/*  Takes a line and its CR LF off the front. False if there is no whole one. A line feed alone does
 *  not end a line: it stays in it, as a control character that is refused. */
static bool take_line (tide_bytes_t *rest, tide_bytes_t *line)
{
    const uint8_t *end = rest->size > 0 ? memmem (rest->data, rest->size, "\r\n", 2) : NULL;
    if (!end)
        return false;
    *line = (tide_bytes_t){rest->data, (size_t) (end - rest->data)};
    rest->data += line->size + 2;
    rest->size -= line->size + 2;
    return true;
}

/*  What the headers say together. */
static const char *conclude (tide_request_t *request, const connection_t *connection)
{
    request->has_upgrade = request->has_upgrade && connection->upgrade;
    request->is_websocket = request->is_websocket && connection->upgrade;
    request->is_kept = !connection->close && (!request->is_http10 || connection->keep_alive);
    return request->is_http10 || request->host.data ? NULL : "there is no Host header";
}

tide_request_outcome_t tide_request_parse (tide_bytes_t bytes, tide_request_t *request,
                                           size_t *size, const char **why)
{
    *request = (tide_request_t){0};
    tide_bytes_t rest = bytes, line = {0};
    connection_t connection = {0};
    *why = NULL;
    bool has_line = false;
    unsigned headers = 0;
    while (take_line (&rest, &line)) {
        if (bytes.size - rest.size > TIDE_REQUEST_HEAD_MAX || headers > TIDE_REQUEST_HEADERS_MAX)
            break;
        tide_bytes_t name, value;
        if (!has_line && line.size == 0) /* left over behind an earlier body */
            continue;
        if (!has_line) {
            *why = parse_line (line, request);
            has_line = true;
        }
        else if (line.size == 0) {
            *why = conclude (request, &connection);
            *size = bytes.size - rest.size;
            return *why ? TIDE_REQUEST_MALFORMED : TIDE_REQUEST_WHOLE;
        }
        else {
            headers++;
            *why = split_header (line, &name, &value);
            if (!*why)
                *why = parse_header (name, value, request, &connection);
        }
        if (*why)
            return TIDE_REQUEST_MALFORMED;
    }
    /*  Who speaks another protocol need not wait for the end of a line that never comes. */
    for (size_t at = 0; !has_line && at < rest.size; at++) {
        if (rest.data[at] != '\r' && (rest.data[at] < ' ' || rest.data[at] >= 0x7f)) {
            *why = "this is not HTTP";
            return TIDE_REQUEST_MALFORMED;
        }
    }
    if (bytes.size < TIDE_REQUEST_HEAD_MAX && headers <= TIDE_REQUEST_HEADERS_MAX)
        return TIDE_REQUEST_PARTIAL;
    *why = "the request's head is above 16384 bytes or 100 headers";
    return TIDE_REQUEST_TOO_LARGE;
}
