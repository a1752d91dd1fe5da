/*  tide_op.c - requests to the broker: who asked, who is to be told, and what when time is up.
 *  SPDX-License-Identifier: MIT
 */
#include "tide_op.h"
#include "tide_reply.h"

#include <stdlib.h>

static void op_leave_connection (tide_hub_t *hub, tide_op_t *op)
{
    tide_connection_t *connection = op->connection;
    if (!connection)
        return;
    DL_DELETE2 (connection->ops, op, own_prev, own_next);
    connection->op_count -= op->weight;
    op->connection = NULL;
    tide_hub_pace (hub, connection);
}

static void op_unlink (tide_hub_t *hub, tide_op_t *op)
{
    if (op->token != 0)
        HASH_DEL (hub->ops, op);
    if (op->due_ms != 0)
        DL_DELETE (hub->ops_due, op);
    op_leave_connection (hub, op);
    hub->ops_size -= op->size;
    op->token = op->due_ms = op->size = 0;
}

static void op_free (tide_op_t *op)
{
    tide_reply_free (&op->reply);
    tide_buffer_free (&op->text);
    json_decref (op->present);
    free (op->topic);
    free (op);
}

tide_op_t *tide_op_new (tide_hub_t *hub, tide_message_t *message, tide_op_fn *done)
{
    uint64_t token = hub->is_over ? 0 : tide_link_request (hub->link, hub->now_ms, message);
    if (token == 0)
        return NULL;
    tide_op_t *op = tide_alloc (sizeof *op);
    op->token = token;
    op->done = done;
    HASH_ADD (hh, hub->ops, token, sizeof op->token, op);
    return op;
}

/*  What a client asks for is bounded by what it may get; what it gives, by its size. */
static bool is_given (const tide_message_t *message)
{
    return message->kind == TIDE_MESSAGE_PUBLISH || message->kind == TIDE_MESSAGE_CALL;
}

static size_t size_of (const tide_message_t *message)
{
    if (message->kind == TIDE_MESSAGE_CALL)
        return message->call.payload.size;
    return message->kind == TIDE_MESSAGE_PUBLISH ? message->publish.events.bytes.size : 0;
}

tide_op_t *tide_op_send (tide_hub_t *hub, tide_message_t *message, tide_op_fn *done,
                         tide_connection_t *connection)
{
    /*  A quarter of the link's places is kept for the feed, so that clients never starve it. */
    size_t size = size_of (message);
    if (tide_link_pending (hub->link) >= TIDE_LINK_REQUESTS_MAX / 4 * 3
        || hub->ops_size + size > TIDE_OPS_SIZE_MAX)
        return NULL;
    tide_op_t *op = tide_op_new (hub, message, done);
    if (!op)
        return NULL;
    op->due_ms = hub->now_ms + TIDE_OP_TIMEOUT_MS;
    DL_APPEND (hub->ops_due, op);
    op->size = size;
    hub->ops_size += size;
    op->connection = connection;
    if (connection) {
        DL_APPEND2 (connection->ops, op, own_prev, own_next);
        op->weight = is_given (message) ? 1 : TIDE_LARGE_ANSWER_OPS;
        connection->op_count += op->weight;
        tide_hub_pace (hub, connection);
    }
    return op;
}

bool tide_op_again (tide_hub_t *hub, tide_op_t *op, tide_message_t *message)
{
    uint64_t token = tide_link_request (hub->link, hub->now_ms, message);
    if (token == 0)
        return false;
    op->token = token;
    op->asked_again = true;
    HASH_ADD (hh, hub->ops, token, sizeof op->token, op);
    return true;
}

void tide_op_cancel (tide_hub_t *hub, tide_op_t *op)
{
    if (op->token == 0) { /* from within its `done`: it goes when that returns */
        op_leave_connection (hub, op);
        return;
    }
    tide_link_cancel (hub->link, op->token);
    op_unlink (hub, op);
    op_free (op);
}

/*  Hands the answer (NULL: time is up) to whoever asked. */
void tide_op_answer (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    HASH_DEL (hub->ops, op);
    op->token = 0;
    op->asked_again = false;
    op->done (hub, op, answer);
    if (op->asked_again) {
        if (op->due_ms != 0) {
            DL_DELETE (hub->ops_due, op);
            op->due_ms = hub->now_ms + TIDE_OP_TIMEOUT_MS;
            DL_APPEND (hub->ops_due, op);
        }
        return;
    }
    op_unlink (hub, op);
    op_free (op);
}

/*  What was accepted goes on, though nobody waits for its answer any more. */
static void op_detach (tide_hub_t *hub, tide_op_t *op)
{
    op_leave_connection (hub, op);
    op->session = NULL;
    op->join = NULL;
    tide_reply_free (&op->reply);
    if (op->due_ms != 0)
        DL_DELETE (hub->ops_due, op);
    op->due_ms = 0;
}

/*  The connection has gone: what it asked for is forgotten, but not what was accepted. */
void tide_op_drop_all (tide_hub_t *hub, tide_connection_t *connection)
{
    tide_op_t *op, *next;
    DL_FOREACH_SAFE2 (connection->ops, op, next, own_next) {
        if (op->survives)
            op_detach (hub, op);
        else
            tide_op_cancel (hub, op);
    }
}

/*  Nobody waits for ever: whoever does is told; an append may still be answered, and then its
 *  `done` is called once more, without anybody. */
void tide_op_tick (tide_hub_t *hub)
{
    while (hub->ops_due && hub->ops_due->due_ms <= hub->now_ms) {
        tide_op_t *op = hub->ops_due;
        hub->counters.timeouts++;
        if (op->survives) {
            op->done (hub, op, NULL);
            op_detach (hub, op);
            continue;
        }
        tide_link_cancel (hub->link, op->token);
        tide_op_answer (hub, op, NULL);
    }
}

tide_gathered_t tide_op_gather (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    const tide_standing_message_t *standing = &answer->standing;
    if (standing->part == 0)
        op->text.size = op->tag = 0;
    tide_buffer_append_bytes (&op->text, standing->events.bytes);
    op->tag += standing->events.count;
    if (op->text.size > TIDE_SNAPSHOT_SIZE_MAX)
        return TIDE_GATHERED_TOO_LARGE;
    if (!standing->more)
        return TIDE_GATHERED_ALL;
    return tide_op_next_part (hub, op, standing, tide_bytes (op->topic)) ? TIDE_GATHERED_PART
                                                                         : TIDE_GATHERED_TOO_MANY;
}

bool tide_op_has_gathered (tide_hub_t *hub, tide_op_t *op, const tide_message_t *answer)
{
    if (!answer || answer->kind != TIDE_MESSAGE_STANDING) {
        tide_reply_fail_answer (hub, &op->reply, answer);
        return false;
    }
    tide_gathered_t gathered = tide_op_gather (hub, op, answer);
    if (gathered == TIDE_GATHERED_TOO_LARGE)
        tide_reply_fail (hub, &op->reply, TIDE_TOO_LARGE, "the snapshot is above 64 MiB");
    else if (gathered == TIDE_GATHERED_TOO_MANY)
        tide_reply_fail (hub, &op->reply, TIDE_TOO_MANY, NULL);
    return gathered == TIDE_GATHERED_ALL;
}

bool tide_op_next_part (tide_hub_t *hub, tide_op_t *op, const tide_standing_message_t *standing,
                        tide_bytes_t topic)
{
    tide_message_t message = {.kind = TIDE_MESSAGE_SNAPSHOT};
    message.snapshot.request = standing->request;
    message.snapshot.topic = topic;
    message.snapshot.part = standing->part + 1;
    return tide_op_again (hub, op, &message);
}
