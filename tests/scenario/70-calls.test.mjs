// What stock clients emit is handled by workers in C, answered, and never lost, whatever dies.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { connected, jsonClient, stockClient } from "./support/clients.mjs";
import { isLong, random, tidemark, until, wait } from "./support/tidemark.mjs";
import { effects, workers } from "./support/workers.mjs";

const WAYS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

for (const [way, transports] of Object.entries(WAYS))
    test(`a_stock_client_is_answered_by_workers (${way})`, async (t) => {
        const server = await tidemark(t);
        const socket = await stockClient(t, server, { transports });
        await connected(socket);
        const call = (...args) => socket.timeout(20000).emitWithAck(...args);
        assert.equal((await call("echo", 1)).code, "no_worker"); /* nobody ever did */
        const all = await workers(t, server, 2);
        assert.deepEqual(await call("echo", { a: ["é", null, 1.5] }), { a: ["é", null, 1.5] });
        assert.deepEqual(await call("refuse"), { ok: false, code: "forbidden", message: "not for you" });
        assert.equal(await call("later"), 2);
        assert.deepEqual(await call("reject"), { ok: false, code: "worker_failed", message: "it cannot be" });
        assert.equal(await call("crash"), 2); /* the other one has it */
        await until("the worker that crashed", () => all.some(({ starts }) => starts === 2));
        assert.equal((await call("nobody")).code, "no_worker");
        const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => call("count", n)));
        assert.deepEqual(answers, Array.from({ length: 200 }, (_, n) => n));
        assert.deepEqual((await effects(server)).map(({ n }) => n), answers, "in order: they are of one session");
        const { json } = await server.get("/healthz") && await server.get(`/api/v1/topics`);
        assert.ok(json.topics.every(({ topic }) => !topic.startsWith("$")));
    });

test("what_a_worker_emits_comes_with_its_answer", async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 1);
    const one = await stockClient(t, server), other = await stockClient(t, server);
    await Promise.all([connected(one), connected(other)]);
    const said = [];
    for (const socket of [one, other]) {
        socket.on("said", (text) => said.push(text));
        await socket.emitWithAck("tide:subscribe", { topic: "lobby" });
    }
    await one.timeout(10000).emitWithAck("say", "hello");
    await until("both", () => said.length === 2);
    assert.deepEqual(said, ["hello", "hello"]);
});

test("a_client_of_the_json_dialect_is_answered_too", async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 1);
    const client = await jsonClient(t, server);
    const answer = await client.ask({ op: "call", event: "echo", data: { a: 1 } });
    assert.deepEqual([answer.op, answer.data], ["ok", { a: 1 }]);
    const refused = await client.ask({ op: "call", event: "refuse" });
    assert.deepEqual([refused.op, refused.code], ["error", "forbidden"]);
});

/* Each session has one call under way: its answer may come to a connection that is not there any more,
   and then nobody knows of it; but here it is workers that die. */
test("g7_no_call_is_lost_while_workers_are_killed", { timeout: 280000 }, async (t) => {
    const CALLS = isLong ? 100000 : 6000, CLIENTS = 20, EACH = 10;
    const server = await tidemark(t, { isSeparate: true });
    const all = await workers(t, server, 3, 8);
    const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => stockClient(t, server, { transports: ["websocket"] })));
    await Promise.all(sockets.map(connected));
    let next = 0, kills = 0, isOver = false;
    const killing = (async () => {
        while (!isOver) {
            await wait(1000); /* load, not a condition */
            all[random(all.length)].kill();
            kills++;
        }
    })();
    await Promise.all(sockets.flatMap((socket) => Array.from({ length: EACH }, async () => {
        while (next < CALLS) {
            const n = next++;
            assert.equal(await socket.timeout(60000).emitWithAck("count", n), n);
        }
    })));
    isOver = true;
    await killing;
    const done = await effects(server), seen = new Map();
    for (const { id, attempt, n } of done) {
        assert.ok(!seen.has(n) || (seen.get(n) === id && attempt > 1), `${n} again, at attempt ${attempt}`);
        seen.set(n, id);
    }
    assert.equal(seen.size, CALLS);
    assert.ok(kills > 0);
    await until("no call open", async () => await server.metric("tidemark_broker_open_calls") === 0);
    t.diagnostic(`${CALLS} calls, ${kills} kills, ${done.length - CALLS} handled again`);
});

test("g7_calls_outlive_the_broker", { timeout: 120000 }, async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    await workers(t, server, 2);
    const socket = await stockClient(t, server, { transports: ["websocket"] });
    await connected(socket);
    const CALLS = 300;
    const answers = Array.from({ length: CALLS }, (_, n) => socket.timeout(60000).emitWithAck("count", n));
    await server.broker.end("SIGKILL");
    server.broker.start();
    const got = await Promise.all(answers);
    assert.deepEqual(got, Array.from({ length: CALLS }, (_, n) => n));
    const seen = new Set();
    for (const { attempt, n } of await effects(server)) {
        assert.ok(!seen.has(n) || attempt > 1, `${n} again, at attempt ${attempt}`);
        seen.add(n);
    }
    assert.equal(seen.size, CALLS);
});
