// What reaches the broker's sockets and is not one of ours: refused, while others are served.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { test } from "node:test";

import { Broker, Stranger } from "./support/cli.mjs";
import { until } from "./support/tidemark.mjs";

async function assertServes(broker, n) {
    const pub = await broker.tidemark("pub", "a", "n", String(n));
    assert.equal(pub.code, 0, pub.err);
    assert.ok(!broker.program.isOver, broker.program.err);
}

const hello = (version) => Buffer.concat([Buffer.from("TM"), Buffer.from([version, 1, 4]), Buffer.from("test"), Buffer.from([0, 0])]);

test("bytes that are not ZeroMQ's are cut off at every port", async (t) => {
    const broker = await Broker.start(t);
    const texts = ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", randomBytes(70000),
                   Buffer.alloc(64, 0xff), Buffer.concat([Buffer.from([0xff]), Buffer.alloc(8), Buffer.from([0x7f, 3, 0]), Buffer.alloc(5000, 0xff)])];
    for (const port of [broker.port, broker.port + 1, broker.port + 2]) {
        await Promise.all(texts.map((text) => new Promise((resolve) => {
            const socket = net.connect(port, "127.0.0.1", () => socket.end(text));
            socket.on("data", () => {});
            socket.on("error", resolve);
            socket.on("close", resolve);
        })));
    }
    await assertServes(broker, 1);
    assert.ok(broker.program.err.length < 2000, "a line per stranger would fill a disk");
});

test("connections that say nothing are dropped, and keep nobody out", async (t) => {
    const broker = await Broker.start(t);
    const silent = Array.from({ length: 100 }, () => net.connect(broker.port, "127.0.0.1"));
    for (const socket of silent)
        socket.on("error", () => {}).resume();
    t.after(() => silent.forEach((socket) => socket.destroy()));
    await assertServes(broker, 1);
    await until("the silent ones to be dropped", () => silent.every((socket) => socket.destroyed));
    await assertServes(broker, 2);
});

test("a peer of another version is told so", async (t) => {
    const broker = await Broker.start(t);
    const stranger = await Stranger.connect(t, broker.port);
    stranger.send(hello(2));
    await until("a refusal", () => stranger.refusals().length === 1);
    assert.match(stranger.refusals()[0].text, /version/);
    await assertServes(broker, 1);
    /* And of this version it is served. */
    stranger.send(hello(1));
    await until("a welcome", () => stranger.received.some((body) => body[3] === 2));
});

test("a peer that does not say hello first is told so", async (t) => {
    const broker = await Broker.start(t);
    const stranger = await Stranger.connect(t, broker.port);
    stranger.send(Buffer.from("TM\x01\x03", "latin1"));
    await until("a refusal", () => stranger.refusals().length === 1);
    await assertServes(broker, 1);
});

test("malformed messages are answered, and the peer that sent them is served on", async (t) => {
    const broker = await Broker.start(t);
    const stranger = await Stranger.connect(t, broker.port);
    stranger.send(hello(1));
    await until("a welcome", () => stranger.received.some((body) => body[3] === 2));
    const bad = [Buffer.alloc(0), Buffer.from("T"), Buffer.from("TM\x01"), Buffer.from("TM\x01\xff", "latin1"),
                 Buffer.from("TM\x01\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "latin1"), randomBytes(1000),
                 Buffer.concat([hello(1), Buffer.from("more")])];
    for (const bytes of bad)
        stranger.send(bytes);
    stranger.send(hello(1), hello(1));
    stranger.send(Buffer.alloc(0), Buffer.alloc(0), Buffer.alloc(0));
    await until("answers to all", () => stranger.refusals().length === bad.length + 2);
    await assertServes(broker, 1);
});

test("a message above --max-payload costs its sender the connection, and nobody else", async (t) => {
    const broker = await Broker.start(t, ["--max-payload", "1000"]);
    const stranger = await Stranger.connect(t, broker.port);
    stranger.send(Buffer.alloc(10 << 20));
    await until("it to be cut", () => stranger.isClosed);
    await assertServes(broker, 1);
    const pub = await broker.tidemark("pub", "a", "n", JSON.stringify("x".repeat(2000)));
    assert.equal(pub.code, 1);
    assert.match(pub.err, /too_large/);
});

test("a DEALER is cut off at the port that publishes", async (t) => {
    const broker = await Broker.start(t);
    const stranger = await Stranger.connect(t, broker.port + 1);
    await until("it to be cut", () => stranger.isClosed);
    await assertServes(broker, 1);
});
