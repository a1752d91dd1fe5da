// A position is a position: who leaves one dialect reads on at any other from there.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Running } from "./support/cli.mjs";
import { assertRising, assertRun, Collector, jsonClient, stockClient, subscribe } from "./support/clients.mjs";
import { stream } from "./support/sse.mjs";
import { publishMany, tidemark, wait } from "./support/tidemark.mjs";

const TOPIC = "a/b ✓";

/* Each reads at least `count` events from behind a position (none: from the start) and leaves. It
   returns the events that it was given, until it left. */
function stock(transports) {
    return async (t, server, position, count) => {
        const socket = await stockClient(t, server, { transports });
        const collector = new Collector(socket);
        await subscribe(socket, TOPIC, { meta: true, ...(position ? { since: position.seq, epoch: position.epoch } : { since: "start" }) });
        await collector.count(count);
        socket.disconnect();
        return collector.events.map(({ n, seq }) => ({ n, seq }));
    };
}

async function plain(t, server, position, count) {
    const client = await jsonClient(t, server);
    await client.ok({ op: "sub", topic: TOPIC, since: position ? `${position.epoch}:${position.seq}` : "start" });
    await client.count(count, TOPIC);
    client.socket.terminate();
    return client.events(TOPIC).map(({ data, seq }) => ({ n: data.n, seq }));
}

function sse(resume) {
    return async (t, server, position, count) => {
        const since = position && `${position.epoch}:${position.seq}`;
        const source = await stream(t, server, TOPIC, position ? { [resume]: since } : { since: 0 });
        await source.count(count);
        source.end();
        return source.events.map(({ data, seq }) => ({ n: data.n, seq }));
    };
}

async function commandLine(t, server, position, count) {
    const sub = new Running(t, "tidemark", ["sub", TOPIC, "--broker", server.endpoint,
        "--since", position ? `${position.epoch}:${position.seq}` : "start", "--count", String(count)]);
    await sub.until(`${count} lines`, () => sub.lines().length >= count);
    await sub.kill();
    return sub.events().map(({ data, seq }) => ({ n: data.n, seq }));
}

const dialects = {
    "Socket.IO polling": stock(["polling"]), "Socket.IO WebSocket": stock(["websocket"]), "/ws": plain,
    "SSE": sse("lastEventId"), "SSE by since": sse("since"), "the command line": commandLine
};

/* A round trip that goes once over every ordered pair, also of one with itself. */
function roundTrip(names) {
    const left = new Map(names.map((name) => [name, [...names]]));
    const stack = [names[0]], trip = [];
    while (stack.length > 0) {
        const next = left.get(stack.at(-1)).pop();
        if (next)
            stack.push(next);
        else
            trip.push(stack.pop());
    }
    return trip.reverse();
}

test("g5_one_reader_that_changes_between_all_dialects_has_every_event_once_in_order", async (t) => {
    const server = await tidemark(t);
    await publishMany(server, "other", 20);
    await publishMany(server, TOPIC, 20);
    const trip = roundTrip(Object.keys(dialects));
    let n = 20, isOver = false, position;
    const publishing = (async () => {
        while (!isOver) {
            await publishMany(server, "other", 1);
            await publishMany(server, TOPIC, 5, { first: n });
            n += 5;
            await wait(20);
        }
    })();
    const got = [];
    const { json: { epoch } } = await server.get("/api/v1/history?topic=other");
    for (const [i, name] of trip.entries()) {
        const events = await dialects[name](t, server, position, 7);
        const due = got.length;
        got.push(...events);
        assertRun(got.slice(due).map((event) => event.n), due, events.length, `${trip[i - 1] ?? "start"} → ${name}`);
        position = { epoch, seq: got.at(-1).seq };
    }
    isOver = true;
    await publishing;
    assertRising(got.map((event) => event.seq));
    assert.equal(new Set(trip.slice(1).map((name, i) => `${trip[i]} → ${name}`)).size, Object.keys(dialects).length ** 2);
});
