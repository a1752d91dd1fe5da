// Bytes that make no sense on any of the ports, and connections that say nothing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import { assertRun, reader } from "./support/clients.mjs";
import { publishMany, random, tidemark } from "./support/tidemark.mjs";

/* The greeting of ZMTP 3, so that what follows is read by the ZeroMQ engine or by us. */
const GREETING = Buffer.concat([Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0]), Buffer.from("NULL"), Buffer.alloc(48)]);
const READY = Buffer.from("\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00", "latin1");

async function throwAt(port, bytes) {
    const socket = net.connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.on("error", () => {});
    socket.resume();
    // It may keep the connection after our end: what it sent back, or its end, is enough.
    await new Promise((resolve) => { socket.once("close", resolve).once("end", resolve); });
    socket.destroy();
}

const some = (length) => Buffer.from(Array.from({ length }, () => random(256)));

/* A ZMTP frame, which reaches the broker's own decoder. */
const frame = (body) => Buffer.concat([Buffer.from([0, body.length]), body]);

test("garbage on the broker's and the gateway's ports disturbs nobody", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const one = await reader(t, server, "a");
    const ports = [server.port, server.brokerPort, server.brokerPort + 1, server.brokerPort + 2];
    for (let round = 0; round < 30; round++) {
        await Promise.all(ports.map((port) => throwAt(port, some(1 + random(2000)))));
        await throwAt(server.brokerPort, Buffer.concat([GREETING, some(1 + random(200))]));
        await throwAt(server.brokerPort, Buffer.concat([GREETING, READY, ...Array.from({ length: 10 }, () => frame(some(1 + random(250))))]));
        await publishMany(server, "a", 10, { first: round * 10 });
    }
    await one.count(300);
    assertRun(one.ns, 0, 300);
    assert.equal(one.connects, 0);
    assert.equal((await server.get("/readyz")).status, 200);
});

test("connections that say nothing keep nobody out", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const silent = [];
    for (const port of [server.port, server.brokerPort, server.brokerPort + 1])
        for (let i = 0; i < 100; i++) {
            const socket = net.connect(port, "127.0.0.1");
            socket.on("error", () => {});
            silent.push(once(socket, "connect"));
            t.after(() => socket.destroy());
        }
    await Promise.all(silent);
    const one = await reader(t, server, "a");
    await publishMany(server, "a", 20);
    await one.count(20);
    assertRun(one.ns, 0, 20);
});
