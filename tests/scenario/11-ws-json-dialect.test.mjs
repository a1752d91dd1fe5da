// The plain WebSocket dialect: every op of the contract.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertRising, assertRun, jsonClient } from "./support/clients.mjs";
import { publish, publishMany, tidemark } from "./support/tidemark.mjs";

test("hello is answered with a session, its epoch and the head", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server, { protocol: "tidemark.v1.json" });
    assert.equal(client.socket.protocol, "tidemark.v1.json");
    client.send({ op: "hello" });
    const welcome = await client.take("welcome");
    assert.match(welcome.epoch, /^[0-9a-f]{16}$/);
    assert.equal(welcome.resumed, false);
    assert.deepEqual(welcome.topics, []);
    assert.notEqual(welcome.sid, welcome.session);
    assert.equal(typeof welcome.seq, "number");
});

test("without hello there is an anonymous session", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    await client.ok({ op: "sub", topic: "a" });
    const { seq } = await client.ok({ op: "pub", topic: "a", event: "wave", data: { n: 1 } });
    const event = await client.take("event");
    assert.equal(event.seq, seq);
    assert.deepEqual([event.topic, event.event, event.data], ["a", "wave", { n: 1 }]);
    assert.equal(typeof event.from, "string");
});

test("sub since start, since a sequence and since epoch:seq bring history first, then live events", async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "other", 50);
    await publishMany(server, "a", 3000);
    const { json } = await server.get("/api/v1/history?topic=a&limit=1000");
    const middle = json.events[499].seq;
    let count = 3000;
    for (const [since, first] of [[{ since: "start" }, 0], [{ since: middle }, 500],
                                  [{ since: middle, epoch: json.epoch }, 500],
                                  [{ since: `${json.epoch}:${middle}` }, 500]]) {
        const client = await jsonClient(t, server);
        const answer = await client.ok({ op: "sub", topic: "a", ...since });
        const brought = client.events("a");
        assertRun(brought.map((event) => event.data.n), first, count - first, JSON.stringify(since));
        assert.ok(brought.at(-1).seq <= answer.seq, "the answer is for a sequence that was reached");
        await client.ok({ op: "pub", topic: "a", event: "wave", data: { n: count++ } });
        await client.count(count - first, "a");
        assertRising(client.events("a").map((event) => event.seq));
    }
});

test("a large snapshot comes in parts, all of one sequence", async (t) => {
    const server = await tidemark(t);
    const text = "x".repeat(2000);
    for (let n = 0; n < 600; n += 100)
        await publish(server, Array.from({ length: 100 }, (_, i) => ({
            topic: "state", event: "set", key: `k${n + i}`, data: { n: n + i, text }
        })));
    await publish(server, { topic: "state", event: "set", key: "k0" });
    const client = await jsonClient(t, server);
    const answer = await client.ok({ op: "sub", topic: "state", since: "snapshot" });
    const parts = client.said.filter((message) => message.op === "snapshot");
    assert.ok(parts.length > 1, `${parts.length} part`);
    assert.deepEqual(parts.map((part) => part.more === true), parts.map((_, i) => i < parts.length - 1));
    assert.ok(parts.every((part) => part.seq === parts[0].seq && part.seq <= answer.seq));
    const keys = parts.flatMap((part) => Object.keys(part.state));
    assert.equal(keys.length, 599);
    assert.equal(new Set(keys).size, 599);
    assert.equal(Object.assign({}, ...parts.map((part) => part.state)).k599.data.n, 599);
    assert.equal(client.events("state").length, 0, "no event of before the snapshot");
});

test("the snapshot of a subtree is by topic and key", async (t) => {
    const server = await tidemark(t);
    await publish(server, ["x/a", "x/b", "y/a"].map((topic) => ({ topic, event: "set", key: "k", data: topic })));
    const { json } = await server.get("/api/v1/snapshot?topic=x/%23");
    assert.deepEqual(Object.keys(json.state).sort(), ["x/a", "x/b"]);
    assert.equal(json.state["x/a"].k.data, "x/a");
});

test("unsub ends a topic", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    await client.ok({ op: "sub", topic: "a" });
    await client.ok({ op: "sub", topic: "b" });
    await client.ok({ op: "unsub", topic: "a" });
    await publish(server, [{ topic: "a", event: "wave", data: 1 }, { topic: "b", event: "wave", data: 2 }]);
    await client.count(1, "b");
    assert.equal(client.events("a").length, 0);
});

test("ping is answered with the sequence reached", async (t) => {
    const server = await tidemark(t);
    const { seq } = await publish(server, { topic: "a", event: "wave", data: 1 });
    const client = await jsonClient(t, server);
    await client.ok({ op: "sub", topic: "a" });
    client.send({ op: "ping" });
    assert.ok((await client.take("pong")).seq >= seq);
});

test("g4_a_publish_with_the_same_event_id_is_appended_once", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    const op = { op: "pub", topic: "a", event: "wave", data: 1, event_id: "one" };
    const first = await client.ok(op);
    assert.equal((await client.ok(op)).seq, first.seq);
    const answer = await client.ask({ ...op, data: 2 });
    assert.deepEqual([answer.op, answer.code], ["error", "conflict"]);
});

test("g5_hello_with_a_session_resumes_its_topics_and_brings_what_was_missed", async (t) => {
    const server = await tidemark(t);
    const first = await jsonClient(t, server);
    first.send({ op: "hello" });
    const { session, sid, epoch } = await first.take("welcome");
    await first.ok({ op: "sub", topic: "a" });
    await publishMany(server, "a", 10);
    await first.count(10, "a");
    const { seq } = first.events("a").at(-1);
    first.socket.terminate();
    await publishMany(server, "a", 2500, { first: 10 });

    const second = await jsonClient(t, server);
    second.send({ op: "hello", session, since: seq, epoch });
    const welcome = await second.take("welcome");
    assert.deepEqual([welcome.resumed, welcome.sid, welcome.topics], [true, sid, ["a"]]);
    await second.count(2500, "a");
    await publishMany(server, "a", 1, { first: 2510 });
    await second.count(2501, "a");
    assertRun(second.events("a").map((event) => event.data.n), 10, 2501);
});

test("an unknown session is a new one, and says so", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    client.send({ op: "hello", session: "no-such-session-of-ours" });
    const welcome = await client.take("welcome");
    assert.equal(welcome.resumed, false);
    assert.notEqual(welcome.session, "no-such-session-of-ours");
});

test("a call that no worker serves is answered no_worker", async (t) => {
    const server = await tidemark(t);
    const client = await jsonClient(t, server);
    const answer = await client.ask({ op: "call", event: "nobody serves this", data: 1 });
    assert.deepEqual([answer.op, answer.code], ["error", "no_worker"]);
});
