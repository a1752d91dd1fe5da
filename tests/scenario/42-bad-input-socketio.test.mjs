// Whatever comes over Socket.IO is answered as its protocols say, and touches nobody else.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { WebSocket } from "ws";

import { reader, stockClient } from "./support/clients.mjs";
import { publish, random, request, tidemark, until } from "./support/tidemark.mjs";

/* A bare Engine.IO connection: frames as they are. */
async function bare(t, server, { isJoined = true } = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/socket.io/?EIO=4&transport=websocket`);
    const said = [];
    socket.on("message", (bytes, isBinary) => said.push(isBinary ? bytes : bytes.toString()));
    socket.on("error", () => {});
    const closed = new Promise((resolve) => { socket.once("close", (code) => resolve(code)); });
    t.after(() => socket.terminate());
    await until("Engine.IO's open packet", () => said.length > 0);
    assert.equal(said[0][0], "0");
    const open = JSON.parse(said.shift().slice(1));
    if (isJoined) {
        socket.send("40");
        await until("Socket.IO's connect packet", () => said.length > 0);
        assert.match(said.shift(), /^40\{"sid":/);
    }
    return { socket, said, closed, open };
}

/* Whether the server ends the connection, soon. */
const isClosed = (connection) => Promise.race([
    connection.closed.then(() => true), until("the close", () => false, 3000).catch(() => false)
]);

test("the handshake is the protocol's, with its error codes", async (t) => {
    const server = await tidemark(t);
    const { open } = await bare(t, server);
    assert.deepEqual([open.pingInterval, open.pingTimeout, open.maxPayload], [25000, 20000, 1000000]);
    assert.equal(typeof open.sid, "string");
    for (const [query, code] of [["EIO=4&transport=carrier-pigeon", 0], ["EIO=4", 0],
                                 ["EIO=4&transport=websocket&sid=nobody", 1]]) {
        const answer = await request(`${server.url}/socket.io/?${query}`);
        assert.equal(answer.status, 400, query);
        assert.equal(JSON.parse(answer.body).code, code, `${query}: ${answer.body}`);
    }
    const old = new WebSocket(`ws://127.0.0.1:${server.port}/socket.io/?EIO=3&transport=websocket`);
    old.on("error", () => {});
    const answer = await new Promise((resolve) => { old.once("unexpected-response", (_, response) => resolve(response)); });
    assert.equal(answer.statusCode, 400);
});

test("a namespace that is not served is refused by name, and the connection stays", async (t) => {
    const server = await tidemark(t);
    const connection = await bare(t, server);
    connection.socket.send("40/nowhere,");
    await until("the refusal", () => connection.said.length > 0);
    assert.equal(connection.said.shift(), '44/nowhere,{"message":"Invalid namespace"}');
    connection.socket.send('420["tide:subscribe",{"topic":"a"}]');
    await until("the acknowledgement", () => connection.said.length > 0);
    assert.match(connection.said.shift(), /^430\[\{"ok":true/);
});

test("packets that are none end the connection", async (t) => {
    const server = await tidemark(t);
    const borne = [];
    for (const frame of ["9", "x", "4", "49", "4x", "42", "42{}", "42[]", "42[{}]", '42["a"', "43", "43[]",
                         '42["connect"]', '42["disconnect",1]', "451-", '45-1-["a"]', '459999-["a"]',
                         '451-["a",{"_placeholder":true,"num":7}]', Buffer.from("unasked")]) {
        const connection = await bare(t, server);
        connection.socket.send(frame);
        if (typeof frame === "string" && frame.startsWith("451-["))
            connection.socket.send(Buffer.from("attachment"));
        if (!await isClosed(connection))
            borne.push(String(frame));
    }
    assert.deepEqual(borne, []);
});

test("an event before the namespace is joined ends the connection", async (t) => {
    const server = await tidemark(t);
    const connection = await bare(t, server, { isJoined: false });
    connection.socket.send('42["hello"]');
    assert.equal(await isClosed(connection), true);
});

test("a client that joins no namespace is let go after the connect timeout", async (t) => {
    const server = await tidemark(t, { gateway: ["--connect-timeout", "300"] });
    const connection = await bare(t, server, { isJoined: false });
    assert.equal(await isClosed(connection), true);
});

test("a client that does not answer pings is let go", async (t) => {
    const server = await tidemark(t, { gateway: ["--ping-interval", "200", "--ping-timeout", "200"] });
    const connection = await bare(t, server);
    assert.equal(await isClosed(connection), true);
    assert.ok(connection.said.includes("2"), "no ping came");
    const other = await stockClient(t, server);
    let ends = 0;
    other.on("disconnect", () => ends++);
    await until("some pings", () => other.pings >= 5 || (other.pings ??= 0, other.io.engine.once("ping", () => other.pings++), false), 10000);
    assert.equal(ends, 0);
});

test("a tide: event of the wrong form is acknowledged with its code", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    const wrong = [];
    for (const [event, request, code] of [
        ["tide:subscribe", undefined, "bad_request"],
        ["tide:subscribe", "a", "bad_request"],
        ["tide:subscribe", {}, ["bad_request", "bad_topic"]],
        ["tide:subscribe", { topic: "" }, "bad_topic"],
        ["tide:subscribe", { topic: "a#" }, "bad_topic"],
        ["tide:subscribe", { topic: "$x" }, "forbidden"],
        ["tide:subscribe", { topic: "a", since: {} }, "bad_request"],
        ["tide:unsubscribe", {}, ["bad_request", "bad_topic", "not_found"]],
        ["tide:publish", { topic: "a" }, "bad_request"],
        ["tide:publish", { topic: "a/#", event: "e", data: 1 }, "bad_topic"],
        ["tide:publish", { topic: "@x", event: "e", data: 1 }, "forbidden"],
        ["tide:snapshot", {}, ["bad_request", "bad_topic"]],
        ["tide:history", { topic: "a", limit: -1 }, "bad_request"],
        ["tide:dance", {}, "bad_request"],
        ["nobody serves this", {}, "no_worker"]
    ]) {
        const args = request === undefined ? [] : [request];
        const answer = await socket.timeout(5000).emitWithAck(event, ...args).catch((error) => ({ error: error.message }));
        if (answer.ok !== false || ![code].flat().includes(answer.code) || !answer.message)
            wrong.push(`${event} ${JSON.stringify(request)}: ${JSON.stringify(answer)}`);
    }
    assert.deepEqual(wrong, []);
    socket.emit("nobody serves this either");
    assert.equal((await socket.timeout(5000).emitWithAck("tide:subscribe", { topic: "a" })).ok, true);
});

test("offsets and sessions that are none are new sessions", async (t) => {
    const server = await tidemark(t);
    await publish(server, { topic: "a", event: "wave", data: 1 });
    for (const auth of ['{"pid":"nobody","offset":"x"}', '{"pid":7,"offset":8}', '{"pid":"","offset":""}',
                        `{"pid":"${"p".repeat(5000)}"}`, "{}"]) {
        const connection = await bare(t, server, { isJoined: false });
        connection.socket.send(`40${auth}`);
        await until("the connect packet", () => connection.said.length > 0);
        assert.match(connection.said[0], /^40\{"sid":".+","pid":".+"\}$/, auth);
    }
});

test("random and mangled frames never stop the server nor reach another client", async (t) => {
    const server = await tidemark(t);
    const other = await reader(t, server, "a");
    const seeds = ['42["tide:subscribe",{"topic":"a"}]', '421["tide:publish",{"topic":"b","event":"e","data":1}]',
                   '451-["tide:publish",{"topic":"b","event":"e","data":{"_placeholder":true,"num":0}}]', "40/x,{}", "41", "3", "2probe"];
    for (let round = 0; round < 60; round++) {
        const { socket } = await bare(t, server, { isJoined: round % 3 > 0 });
        for (let i = 0; i < 20; i++) {
            const bytes = Buffer.from(seeds[random(seeds.length)]);
            for (let change = random(3); change > 0; change--)
                bytes[random(bytes.length)] = 32 + random(95);
            socket.send(random(4) ? bytes.toString() : bytes);
        }
        socket.terminate();
    }
    await publish(server, { topic: "a", event: "wave", data: { n: "last" } });
    await until("the last event", () => other.ns.includes("last"));
    assert.equal(other.connects, 0);
});
