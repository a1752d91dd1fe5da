// What is published by HTTP reaches a stock Socket.IO client in order, once, as documented.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, Collector, reader, stockClient, subscribe } from "./support/clients.mjs";
import { history, publish, publishMany, tidemark } from "./support/tidemark.mjs";

test("g1_500_events_reach_three_stock_clients_in_order_and_once", async (t) => {
    const server = await tidemark(t);
    const readers = await Promise.all([1, 2, 3].map(() => reader(t, server, "demo/tide")));
    await publishMany(server, "demo/tide", 500, { batch: 50 });
    const logged = await history(server, "demo/tide");
    assertRun(logged.map((event) => event.data.n), 0, 500, "the log");
    for (const one of readers) {
        await one.count(500);
        assertRun(one.ns, 0, 500);
        assert.deepEqual(one.events.map((event) => event.seq), logged.map((event) => event.seq));
    }
});

test("the answer to a publish names the sequence under which readers see it", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    const single = await publish(server, { topic: "a", event: "wave", data: { n: 0 } });
    const several = await publish(server, [1, 2].map((n) => ({ topic: "a", event: "wave", data: { n } })));
    assert.match(single.epoch, /^[0-9a-f]{16}$/);
    assert.equal(several.length, 2);
    await one.count(3);
    assert.deepEqual(one.events.map((event) => event.seq), [single, ...several].map((answer) => answer.seq));
    assertRising(one.events.map((event) => event.seq));
    const { meta } = one.events[0];
    assert.equal(meta.topic, "a");
    assert.ok(Math.abs(meta.time - Date.now()) < 60000, `time ${meta.time}`);
});

test("without meta a handler gets the data and the client's own offset, nothing else", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    await subscribe(socket, "a");
    const got = new Promise((resolve) => { socket.once("wave", (...args) => resolve(args)); });
    await publish(server, { topic: "a", event: "wave", data: { deep: [1, "é", null, 1.5, true] } });
    const args = await got;
    assert.deepEqual(args[0], { deep: [1, "é", null, 1.5, true] });
    assert.equal(args.length, 2);
    assert.equal(typeof args[1], "string");
});

test("several arguments arrive as several, a binary value as binary", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    await subscribe(socket, "a");
    const got = new Promise((resolve) => { socket.once("many", (...args) => resolve(args)); });
    await publish(server, { topic: "a", event: "many", args: [1, "two", { three: { $binary: "AAEC/w==" } }] });
    const [one, two, { three }] = await got;
    assert.deepEqual([one, two, Buffer.from(three).toString("hex")], [1, "two", "000102ff"]);
});

test("an event without data is one without arguments", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    await subscribe(socket, "a", { meta: true });
    const got = new Promise((resolve) => { socket.once("bare", (...args) => resolve(args)); });
    await publish(server, { topic: "a", event: "bare" });
    const [meta, ...rest] = await got;
    assert.equal(meta.topic, "a");
    assert.equal(rest.length, 1, "the client's own offset");
    assert.deepEqual((await history(server, "a"))[0].args, []);
});

test("a subtree gets what lies under it and itself, and nothing of its neighbours", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "home/#");
    const topics = ["home", "homes", "home/kitchen", "house/kitchen", "home/kitchen/lamp", "ho"];
    await publish(server, topics.map((topic, n) => ({ topic, event: "wave", data: { n } })));
    await publish(server, { topic: "home", event: "wave", data: { n: 9 } });
    await one.count(4);
    assert.deepEqual(one.events.map((event) => event.meta.topic), ["home", "home/kitchen", "home/kitchen/lamp", "home"]);
});

test("an unsubscribed topic is silent, and the others go on", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    await subscribe(one.socket, "b", { meta: true });
    const answer = await one.socket.timeout(5000).emitWithAck("tide:unsubscribe", { topic: "a" });
    assert.equal(answer.ok, true);
    await publish(server, [{ topic: "a", event: "wave", data: { n: 1 } }, { topic: "b", event: "wave", data: { n: 2 } }]);
    await one.count(1);
    assert.deepEqual(one.ns, [2]);
});

test("a removed key arrives as null and says so", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    await publish(server, { topic: "a", event: "wave", key: "k", data: { n: 1 } });
    await publish(server, { topic: "a", event: "wave", key: "k" });
    await one.count(2);
    assert.equal(one.events[0].meta.key, "k");
    assert.equal(one.events[1].data, null);
    assert.equal(one.events[1].meta.removed, true);
    assert.deepEqual((await server.get("/api/v1/snapshot?topic=a")).json.state, {});
});

test("g9_a_volatile_event_is_delivered_and_never_logged", async (t) => {
    const server = await tidemark(t);
    const one = await reader(t, server, "a");
    const volatile = new Collector(one.socket, "spray");
    for (let tries = 0; volatile.events.length === 0; tries++) {
        assert.ok(tries < 200, "no volatile event came");
        await publish(server, { topic: "a", event: "spray", data: { n: tries }, volatile: true });
    }
    await publish(server, { topic: "a", event: "wave", data: { n: 1 } });
    await one.count(1);
    assert.deepEqual((await history(server, "a")).map((event) => event.event), ["wave"]);
});

test("g4_the_same_id_is_appended_once_and_other_content_is_a_conflict", async (t) => {
    const server = await tidemark(t);
    const event = { topic: "a", event: "wave", data: { n: 1 }, id: "order-7" };
    const first = await publish(server, event);
    assert.equal((await publish(server, event)).seq, first.seq);
    await assert.rejects(publish(server, { ...event, data: { n: 2 } }), { status: 409, code: "conflict" });
    await server.killAndRestart();
    assert.equal((await publish(server, event)).seq, first.seq);
    assert.equal((await history(server, "a")).length, 1);
});
