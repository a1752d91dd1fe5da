// A position of another log means nothing in this one: it is refused by name, then bridged.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";

import { assertRun, comeBack, jsonClient, reader, subscribe } from "./support/clients.mjs";
import { publish, publishMany, tidemark } from "./support/tidemark.mjs";

/* The same server with a log of its own making. */
async function loseTheLog(server) {
    await server.stop();
    await rm(server.data, { recursive: true });
    await server.start();
}

test("g8_a_session_of_another_log_is_a_new_one", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    await publishMany(server, "a", 10);
    await one.count(10);
    await loseTheLog(server);
    await comeBack(one, 1);
    assert.equal(one.recoveries, 0);
    assert.notEqual(one.socket.id, one.sid);
    const { epoch } = await subscribe(one.socket, "a", { meta: true });
    assert.notEqual(epoch, one.answer.epoch);
    await publishMany(server, "a", 1, { first: 10 });
    await one.count(11);
    assertRun(one.ns, 0, 11);
});

test("g8_since_of_another_epoch_is_a_reset_with_the_state_and_then_events", async (t) => {
    const server = await tidemark(t);
    const { epoch } = await publish(server, { topic: "a", event: "set", key: "k", data: 1 });
    await loseTheLog(server);
    await publish(server, { topic: "a", event: "set", key: "k", data: 2 });

    const json = await jsonClient(t, server);
    await json.ok({ op: "sub", topic: "a", since: 1, epoch });
    const reset = await json.take("reset");
    assert.equal(reset.code, "epoch_changed");
    assert.equal(reset.state.k.data, 2);
    await publishMany(server, "a", 3);
    await json.count(3, "a");
    assertRun(json.events("a").map((event) => event.data.n), 0, 3);
});

test("g8_a_position_beyond_the_head_is_another_logs", async (t) => {
    const server = await tidemark(t);
    const { epoch, seq } = await publish(server, { topic: "a", event: "wave", data: 1 });
    const json = await jsonClient(t, server);
    await json.ok({ op: "sub", topic: "a", since: seq + 1_000_000, epoch });
    assert.equal((await json.take("reset")).code, "epoch_changed");
});

test("g8_history_of_another_epoch_is_refused_by_name", async (t) => {
    const server = await tidemark(t);
    await publish(server, { topic: "a", event: "wave", data: 1 });
    const { status, json } = await server.get("/api/v1/history?topic=a&since=0123456789abcdef:1");
    assert.ok(status >= 400, String(status));
    assert.equal(json.error.code, "epoch_changed");
});
