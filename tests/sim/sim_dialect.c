/*  sim_dialect.c - the client's half of both dialects, as a stock client speaks them.
 *
 *  Socket.IO: what socket.io-client 4 does over WebSocket, the rule of the offset included: if it
 *  has a pid and the last argument is a string, that is its offset, whatever it is.
 *  SPDX-License-Identifier: MIT
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_position_text (char text[64], uint64_t epoch, uint64_t seq)
{
    snprintf (text, 64, "%016llx:%llu", (unsigned long long) epoch, (unsigned long long) seq);
}

static uint64_t parse_epoch (const json_t *value)
{
    const char *text = json_string_value (value);
    return text ? strtoull (text, NULL, 16) : 0;
}

/*  -- saying ---------------------------------------------------------------------------------- */

static void send_text (sim_t *sim, sim_client_t *client, const char *text)
{
    if (!client->socket->is_broken)
        sim_pipe_put (sim, &client->socket->up, SIM_PACKET_BYTES, tide_bytes (text));
}

/*  The position it comes back with: sometimes one that is of no use. */
static void choose_position (sim_t *sim, sim_client_t *client, uint64_t *epoch, uint64_t *seq)
{
    client->sent_foreign = false;
    if (sim->has_faults && sim_random (sim, 40) == 0) {
        client->sent_foreign = true;
        if (sim_chance (sim, 50))
            *epoch ^= 0x10;
        else
            *seq += sim->disk->count + 1000;
    }
    client->sent_epoch = *epoch;
    client->sent_seq = *seq;
    sim_mutate_hello (sim, epoch, seq);
}

static void hello_json (sim_t *sim, sim_client_t *client)
{
    char position[64];
    json_t *hello = json_pack ("{s:s}", "op", "hello");
    uint64_t epoch = client->epoch, seq = client->position;
    client->sent_pid = client->pid[0] != 0;
    client->sent_epoch = 0;
    if (client->sent_pid) {
        json_object_set_new (hello, "session", json_string (client->pid));
        choose_position (sim, client, &epoch, &seq);
        sim_position_text (position, epoch, seq);
        if (sim_chance (sim, 50))
            json_object_set_new (hello, "since", json_string (position));
        else {
            position[16] = 0;
            json_object_set_new (hello, "since", json_integer ((json_int_t) seq));
            json_object_set_new (hello, "epoch", json_string (position));
        }
    }
    char *text = json_dumps (hello, JSON_COMPACT);
    send_text (sim, client, text);
    free (text);
    json_decref (hello);
}

static void hello_socketio (sim_t *sim, sim_client_t *client)
{
    client->sent_pid = client->pid[0] != 0;
    client->sent_epoch = client->sent_seq = 0;
    client->sent_foreign = false;
    json_t *auth = json_object ();
    if (client->sent_pid) {
        json_object_set_new (auth, "pid", json_string (client->pid));
        if (client->offset[0] != 0) {
            char offset[64], *colon;
            uint64_t epoch = strtoull (client->offset, &colon, 16);
            uint64_t seq = *colon == ':' ? strtoull (colon + 1, NULL, 10) : 0;
            choose_position (sim, client, &epoch, &seq);
            sim_position_text (offset, epoch, seq);
            json_object_set_new (auth, "offset", json_string (offset));
        }
    }
    char *text = json_dumps (auth, JSON_COMPACT);
    char *packet = tide_alloc (strlen (text) + 3);
    sprintf (packet, "40%s", text);
    send_text (sim, client, packet);
    free (packet);
    free (text);
    json_decref (auth);
}

void sim_say_hello (sim_t *sim, sim_client_t *client)
{
    if (client->is_json)
        hello_json (sim, client);
    else
        hello_socketio (sim, client);
}

/*  Takes the object. id 0: no answer is asked for. */
void sim_say (sim_t *sim, sim_client_t *client, const char *operation, json_t *object, uint64_t id)
{
    char *text, *packet;
    if (client->is_json) {
        json_object_set_new (object, "op", json_string (operation));
        if (id > 0)
            json_object_set_new (object, "id", json_integer ((json_int_t) id));
        packet = json_dumps (object, JSON_COMPACT);
    }
    else {
        text = json_dumps (object, JSON_COMPACT);
        packet = tide_alloc (strlen (text) + 80);
        sprintf (packet, "42%llu[\"tide:%s\",%s]", (unsigned long long) id, operation, text);
        free (text);
    }
    send_text (sim, client, packet);
    free (packet);
    json_decref (object);
}

/*  -- hearing --------------------------------------------------------------------------------- */

static void heard_json (sim_t *sim, sim_client_t *client, json_t *object)
{
    const char *op = json_string_value (json_object_get (object, "op"));
    uint64_t id = (uint64_t) json_integer_value (json_object_get (object, "id"));
    if (!op)
        sim_fail (sim, "wire", "client %u: a message without op", client->number);
    else if (strcmp (op, "welcome") == 0)
        sim_heard_open (sim, client, json_string_value (json_object_get (object, "sid")),
                        json_string_value (json_object_get (object, "session")),
                        json_is_true (json_object_get (object, "resumed")),
                        parse_epoch (json_object_get (object, "epoch")),
                        (uint64_t) json_integer_value (json_object_get (object, "seq")),
                        json_object_get (object, "topics"));
    else if (strcmp (op, "event") == 0)
        sim_heard_event (sim, client, json_string_value (json_object_get (object, "event")),
                         json_object_get (object, "data"), object, NULL);
    else if (strcmp (op, "ok") == 0 || strcmp (op, "error") == 0)
        sim_heard_answer (sim, client, id, strcmp (op, "ok") == 0, object);
    else if (strcmp (op, "snapshot") == 0 || strcmp (op, "reset") == 0)
        sim_heard_snapshot (sim, client, object, strcmp (op, "reset") == 0);
    else if (strcmp (op, "pong") != 0)
        sim_fail (sim, "wire", "client %u: unknown op %s", client->number, op);
}

static void heard_emit (sim_t *sim, sim_client_t *client, json_t *array)
{
    size_t count = json_array_size (array);
    const char *name = json_string_value (json_array_get (array, 0));
    const char *last = count > 1 ? json_string_value (json_array_get (array, count - 1)) : NULL;
    const json_t *data = json_array_get (array, 1);
    if (!name) {
        sim_fail (sim, "wire", "client %u: an event without a name", client->number);
        return;
    }
    if (strcmp (name, "tide:reset") == 0) {
        sim_heard_snapshot (sim, client, data, true);
        return;
    }
    bool recovers = client->pid[0] != 0;
    if (recovers && (!last || count < 3)) {
        sim_fail (sim, "G5", "client %u: %s has no offset", client->number, name);
        return;
    }
    const json_t *meta = json_array_get (array, 2);
    sim_heard_event (sim, client, name, data, json_is_object (meta) ? meta : NULL,
                     recovers ? last : NULL);
    if (recovers)
        snprintf (client->offset, sizeof client->offset, "%s", last);
}

static void heard_packet (sim_t *sim, sim_client_t *client, const char *packet)
{
    char *rest = NULL;
    uint64_t id = packet[0] != 0 ? strtoull (packet + 1, &rest, 10) : 0;
    json_t *json = rest && *rest ? json_loads (rest, JSON_DECODE_ANY, NULL) : NULL;
    if (rest && *rest && !json) {
        sim_fail (sim, "wire", "client %u: no JSON: %.200s", client->number, packet);
        return;
    }
    if (packet[0] == '0') {
        const char *pid = json_string_value (json_object_get (json, "pid"));
        sim_heard_open (sim, client, json_string_value (json_object_get (json, "sid")), pid,
                        pid && strcmp (pid, client->pid) == 0, 0, 0, NULL);
    }
    else if (packet[0] == '2' && id > 0) {
        char answer[64], text[96];
        if (sim_question_heard (sim, client, json, answer)) {
            snprintf (text, sizeof text, "43%llu%s", (unsigned long long) id, answer);
            send_text (sim, client, text);
        }
    }
    else if (packet[0] == '2')
        heard_emit (sim, client, json);
    else if (packet[0] == '3') {
        json_t *answer = json_array_get (json, 0);
        sim_heard_answer (sim, client, id, json_is_true (json_object_get (answer, "ok")), answer);
    }
    else if (packet[0] == '4' && sim->hooks.is_on)
        sim_client_cut (sim, client); /* it may not come in; later it tries again */
    else if (packet[0] == '1') {
        sim_orders_gone (sim, client);
        sim_client_cut (sim, client);
    }
    else
        sim_fail (sim, "wire", "client %u: unexpected packet %.200s", client->number, packet);
    json_decref (json);
}

static void heard_engineio (sim_t *sim, sim_client_t *client, const char *text)
{
    if (text[0] == '0')
        sim_say_hello (sim, client);
    else if (text[0] == '2')
        send_text (sim, client, "3");
    else if (text[0] == '4')
        heard_packet (sim, client, text + 1);
    else if (text[0] != '1' && text[0] != '6')
        sim_fail (sim, "wire", "client %u: unexpected packet %.200s", client->number, text);
}

void sim_heard_message (sim_t *sim, sim_client_t *client, tide_bytes_t bytes, bool is_text)
{
    if (!is_text) {
        sim_fail (sim, "wire", "client %u: a binary frame", client->number);
        return;
    }
    char *text = tide_copy (bytes.data, bytes.size);
    if (client->is_json) {
        json_t *object = json_loads (text, 0, NULL);
        if (object)
            heard_json (sim, client, object);
        else
            sim_fail (sim, "wire", "client %u: no JSON: %.200s", client->number, text);
        json_decref (object);
    }
    else
        heard_engineio (sim, client, text);
    free (text);
}

/*  -- frames ---------------------------------------------------------------------------------- */

/*  Takes the first whole frame off the bytes: its size with the header, or 0. */
static size_t take_frame (tide_bytes_t bytes, uint8_t *head, tide_bytes_t *payload)
{
    tide_reader_t reader = tide_reader (bytes);
    *head = tide_take_u8 (&reader);
    uint64_t size = tide_take_u8 (&reader);
    if (size == 126)
        size = tide_take_u16 (&reader);
    else if (size == 127)
        size = tide_take_u64 (&reader);
    *payload = tide_take_bytes (&reader, (size_t) size);
    return reader.failed ? 0 : bytes.size - reader.remaining;
}

static void heard_frame (sim_t *sim, sim_client_t *client, uint8_t head, tide_bytes_t payload)
{
    uint8_t opcode = head & 15;
    bool is_whole = (head & 128) != 0;
    if ((head & 0x70) != 0 || (opcode == 0) != (client->opcode != 0) || opcode > 2) {
        sim_fail (sim, "wire", "client %u: frame head %02x", client->number, head);
        return;
    }
    if (opcode != 0)
        client->opcode = opcode;
    tide_buffer_append_bytes (&client->message, payload);
    if (!is_whole)
        return;
    bool is_text = client->opcode == 1;
    client->opcode = 0;
    tide_buffer_t message = client->message;
    client->message = (tide_buffer_t){0};
    sim_heard_message (sim, client, tide_buffer_bytes (&message), is_text);
    tide_buffer_free (&message);
}

void sim_client_receive (sim_t *sim, sim_client_t *client, tide_bytes_t bytes)
{
    tide_buffer_append_bytes (&client->stream, bytes);
    tide_buffer_t stream = client->stream;
    client->stream = (tide_buffer_t){0};
    size_t at = 0, size;
    uint8_t head;
    tide_bytes_t payload;
    while (
        !sim->failed && client->socket
        && (size = take_frame ((tide_bytes_t){stream.data + at, stream.size - at}, &head, &payload))
               > 0) {
        heard_frame (sim, client, head, payload);
        at += size;
    }
    if (client->socket)
        tide_buffer_append (&client->stream, stream.data + at, stream.size - at);
    tide_buffer_free (&stream);
}
