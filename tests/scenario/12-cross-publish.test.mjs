// Whatever way an event goes in, every kind of reader gets the same event under the same sequence.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import path from "node:path";
import { test } from "node:test";

import { jsonClient, reader } from "./support/clients.mjs";
import { BIN, history, publish, tidemark, until } from "./support/tidemark.mjs";

/* `tidemark sub` as a reader: what it printed so far. */
function subscriber(t, server, topic) {
    const child = spawn(path.join(BIN, "tidemark"), ["sub", topic, "--broker", server.endpoint]);
    let text = "", complaint = "";
    child.stdout.on("data", (part) => { text += part; });
    child.stderr.on("data", (part) => { complaint += part; });
    t.after(() => child.kill("SIGKILL"));
    return {
        lines: () => text.split("\n").slice(0, -1).map((line) => JSON.parse(line)),
        complaint: () => complaint
    };
}

test("HTTP, WebSocket, Socket.IO and command line reach all readers alike", async (t) => {
    const server = await tidemark(t);
    const stock = await reader(t, server, "demo/tide");
    const json = await jsonClient(t, server);
    await json.ok({ op: "sub", topic: "demo/tide" });
    const printed = subscriber(t, server, "demo/#");
    /*  It says nothing when it has joined: it is there when it prints what is sent until then. */
    await until(() => `the command line to join: ${printed.complaint()}`, async () => {
        await publish(server, { topic: "demo/probe", event: "wave", data: 0 });
        return printed.lines().length > 0;
    });

    await publish(server, { topic: "demo/tide", event: "wave", data: { n: 0 } });
    await json.ok({ op: "pub", topic: "demo/tide", event: "wave", data: { n: 1 } });
    const answer = await stock.socket.timeout(5000).emitWithAck("tide:publish",
        { topic: "demo/tide", event: "wave", data: { n: 2 }, id: "mine" });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    const pub = await server.cli(["pub", "demo/tide", "wave", '{"n":3}', "--broker", server.endpoint]);
    assert.equal(pub.code, 0, pub.err);
    const lines = await server.cli(["pub", "demo/tide", "wave", "-", "--broker", server.endpoint],
                                   { input: '{"n":4}\n{"n":5}\n' });
    assert.equal(lines.code, 0, lines.err);

    const logged = await history(server, "demo/tide");
    const expected = logged.map(({ seq, data }) => [seq, data.n]);
    assert.deepEqual(expected.map(([, n]) => n), [0, 1, 2, 3, 4, 5]);
    assert.equal(expected[2][0], answer.seq);

    await stock.count(6);
    assert.deepEqual(stock.events.map(({ seq, n }) => [seq, n]), expected);
    await json.count(6, "demo/tide");
    assert.deepEqual(json.events("demo/tide").map(({ seq, data }) => [seq, data.n]), expected);
    const mine = () => printed.lines().filter((event) => event.topic === "demo/tide");
    await until("six lines of the command line", () => mine().length >= 6);
    assert.deepEqual(mine().map(({ seq, data }) => [seq, data.n]), expected);
    assert.deepEqual(json.events("demo/tide").map(({ op, ...event }) => event), logged);

    const printedHistory = await server.cli(["history", "demo/tide", "--broker", server.endpoint]);
    assert.equal(printedHistory.code, 0, printedHistory.err);
    assert.deepEqual(printedHistory.out.trim().split("\n").map((line) => JSON.parse(line)), logged);
});

test("a keyed event stands in every snapshot alike", async (t) => {
    const server = await tidemark(t);
    const json = await jsonClient(t, server);
    await json.ok({ op: "pub", topic: "lamp", event: "set", key: "hall", data: { on: true } });
    const { state } = (await server.get("/api/v1/snapshot?topic=lamp")).json;
    assert.equal(state.hall.data.on, true);
    const stock = await reader(t, server, "other");
    const answer = await stock.socket.timeout(5000).emitWithAck("tide:snapshot", { topic: "lamp" });
    assert.deepEqual(answer.state, state);
    const subscription = await stock.socket.timeout(5000).emitWithAck("tide:subscribe", { topic: "lamp", since: "snapshot" });
    assert.deepEqual(subscription.state, state);
    const printed = await server.cli(["snapshot", "lamp", "--broker", server.endpoint]);
    assert.equal(printed.code, 0, printed.err);
    assert.match(printed.out, /"on":\s*true/);
});
