/*  tide_browser.c - a browser at the end of a stream of Server-Sent Events.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_browser.h"

#include "tide_alloc.h"

#include <stdlib.h>

static void take_data (browser_t *self, const char *event, const char *text)
{
    json_t *json = json_loads (text, 0, NULL);
    assert_non_null (json);
    if (!*event) {
        assert_true (self->count < 4096);
        self->numbers[self->count] = (int) json_integer_value (json_object_get (json, "data"));
        snprintf (self->topics[self->count], sizeof self->topics[0], "%s",
                  json_string_value (json_object_get (json, "topic")));
        snprintf (self->ids[self->count++], sizeof self->ids[0], "%s", self->id);
        json_decref (json);
        return;
    }
    bool is_reset = strcmp (event, "reset") == 0;
    if (!is_reset)
        assert_string_equal (event, "snapshot");
    json_t **last = is_reset ? &self->reset : &self->snapshot;
    json_decref (*last);
    *last = json;
    self->resets += is_reset;
    self->snapshots += !is_reset;
    if (is_reset)
        snprintf (self->reset_topics + strlen (self->reset_topics), 16, " %s",
                  json_string_value (json_object_get (json, "topic")));
}

/*  One block: as the standard says, an id counts without data, too. */
static void take_block (browser_t *self, char *block)
{
    const char *event = "", *data = NULL;
    for (char *line = strtok (block, "\n"); line; line = strtok (NULL, "\n")) {
        if (line[0] == ':')
            self->comments++;
        else if (strncmp (line, "retry: ", 7) == 0)
            self->retry_ms = atoi (line + 7);
        else if (strncmp (line, "id: ", 4) == 0)
            snprintf (self->id, sizeof self->id, "%s", line + 4);
        else if (strncmp (line, "event: ", 7) == 0)
            event = line + 7;
        else if (strncmp (line, "data: ", 6) == 0 && !data)
            data = line + 6;
        else
            fail_msg ("what is this line: %s", line);
    }
    if (data)
        take_data (self, event, data);
}

browser_t *browse (const char *query)
{
    browser_t *self = tide_alloc (sizeof *self);
    browser_open (self, HOLDER, query);
    assert_int_equal (self->retry_ms, 1000);
    return self;
}

void browser_leave (browser_t **self_p)
{
    browser_t *self = *self_p;
    *self_p = NULL;
    json_decref (self->reset);
    json_decref (self->snapshot);
    if (self->wire->connection)
        tide_loop_cut (self->wire);
    free (self);
}

void browser_open (browser_t *self, unsigned hub, const char *query)
{
    self->wire = tide_loop_stream (loop, hub, query, self->id);
    assert_non_null (self->wire);
    self->at = 0;
    browser_listen (self);
}

void browser_listen (browser_t *self)
{
    const tide_buffer_t *text = &self->wire->text;
    while (self->at < text->size) {
        const char *begin = (const char *) text->data + self->at;
        const char *end = memmem (begin, text->size - self->at, "\n\n", 2);
        assert_non_null (end); /* whole blocks only */
        char *block = tide_copy ((const uint8_t *) begin, (size_t) (end - begin));
        self->at += (size_t) (end - begin) + 2;
        take_block (self, block);
        free (block);
    }
}

void browser_assert_numbers (browser_t *self, int from, int to)
{
    browser_listen (self);
    assert_int_equal (self->count, to - from + 1);
    for (int at = 0; at < self->count; at++)
        assert_int_equal (self->numbers[at], from + at);
}

uint64_t position_of (const char *id)
{
    const char *colon = strchr (id, ':');
    assert_non_null (colon);
    return strtoull (colon + 1, NULL, 10);
}

void publish (const char *topic, int from, int to)
{
    for (; from <= to; from++)
        tide_loop_publish (loop, topic, from);
}

void set_key (const char *topic, const char *key, int number)
{
    char body[200];
    snprintf (body, sizeof body, "{\"topic\":\"%s\",\"key\":\"%s\",\"event\":\"n\",\"data\":%d}",
              topic, key, number);
    tide_loop_http (loop, THIRD, "POST", "/api/v1/publish", "", body);
    assert_int_equal (loop->http_status, 200);
}

int standing_in (const json_t *object, const char *key)
{
    const json_t *event = json_object_get (json_object_get (object, "state"), key);
    return (int) json_integer_value (json_object_get (event, "data"));
}
