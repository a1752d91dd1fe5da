// Workers say who may come in, are told who left, and let sessions into rooms, whatever dies.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { stockClient, subscribe } from "./support/clients.mjs";
import { client, connected, everyClient, once } from "./support/stock.mjs";
import { balancer } from "./support/balancer.mjs";
import { anotherGateway, tidemark, until } from "./support/tidemark.mjs";
import { workers } from "./support/workers.mjs";

const call = (socket, ...args) => socket.timeout(20000).emitWithAck(...args);

/* What the worker has told of the door, as it comes. */
async function told(t, server) {
    const events = [], socket = await stockClient(t, server);
    for (const name of ["came", "left", "gone"])
        socket.on(name, ({ sid, about }) => events.push({ name, sid, about }));
    await subscribe(socket, "door/told");
    events.until = (what, find) => until(() => `${what} among ${JSON.stringify(events)}`, () => events.find(find), 40000);
    return events;
}

everyClient((name, version, way) => test(`a_worker_says_who_may_come_in (${name})`, async (t) => {
    const server = await tidemark(t);
    const where = `${server.url}/door`;
    const early = client(t, where, { version, way, reconnection: false });
    assert.equal((await once(early, "connect_error"))[0].message, "Invalid namespace");
    await workers(t, server, 1);
    const events = await told(t, server);
    const unnamed = client(t, where, { version, way });
    const [refused] = await once(unnamed, "connect_error");
    assert.deepEqual([refused.message, refused.data], ["say your name", { wants: "name" }]);
    const forbidden = client(t, where, { version, way, auth: { name: "nobody" } });
    const [failed] = await once(forbidden, "connect_error");
    assert.deepEqual([failed.message, failed.data], ["not you", { code: "forbidden" }]);
    const socket = client(t, where, { version, way, auth: { name: "Ann" } });
    await connected(socket);
    const sid = socket.id;
    await events.until("Ann", (event) => event.sid === sid && event.name === "came");
    assert.deepEqual(events[0].about, ["Ann", false]);
    socket.disconnect();
    const left = await events.until("her leave", (event) => event.sid === sid && event.name === "left");
    assert.deepEqual(left.about, ["client namespace disconnect", null]);
}));

test("a_session_is_in_the_room_that_a_worker_lets_it_into", async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 2);
    const [one, other] = await Promise.all(["one", "other"].map((name) =>
        stockClient(t, { url: `${server.url}/door` }, { auth: { name } })));
    const heard = { one: [], other: [] };
    for (const [name, socket] of Object.entries({ one, other }))
        for (const event of ["entered", "said"])
            socket.on(event, (...args) => heard[name].push([event, args.filter((arg) => !/^[0-9a-f]{16}:/.test(arg))]));
    await call(one, "enter", "a room/with a slash");
    await until("its own coming", () => heard.one.length === 1);
    await call(other, "enter", "a room/with a slash");
    await call(one, "say to", "a room/with a slash", 7);
    await until("both", () => heard.one.length === 3 && heard.other.length === 2);
    assert.deepEqual(heard.one, [["entered", [one.id]], ["entered", [other.id]], ["said", ["a room/with a slash", 7]]]);
    assert.deepEqual(heard.other, heard.one.slice(1));
    await call(other, "leave", "a room/with a slash");
    await call(one, "say to", "a room/with a slash", 8);
    await until("the one that is left", () => heard.one.length === 4);
    assert.equal(heard.other.length, 2);
    assert.deepEqual(await call(other, "enter", "cellar"), { ok: false, code: "forbidden", message: "not there" });
    await call(other, "enter", "tired"); /* what a middleware does not let pass is tried again */
    await until("its coming", () => heard.other.length === 3);
    const reason = once(other, "disconnect");
    other.emit("go");
    assert.equal((await reason)[0], "io server disconnect");
});

test("workers_keep_data_of_a_session_and_ask_its_client", async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 3);
    const events = await told(t, server);
    const socket = await stockClient(t, { url: `${server.url}/door` }, { auth: { name: "Ann" } });
    assert.equal(await call(socket, "recall"), null);
    for (const data of [{ deep: ["é", { n: 1.5 }] }, 7, "text", false]) {
        assert.equal(await call(socket, "remember", data), undefined);
        assert.deepEqual(await call(socket, "recall"), data);
    }
    assert.equal((await call(socket, "remember", "x".repeat(70000))).code, "too_large");
    socket.on("how are you", (whom, bytes, answer) => answer("well", whom, bytes));
    const answer = await call(socket, "ask me", 5000);
    assert.deepEqual(answer, ["well", "friend", Buffer.from([1, 2, 255])]);
    socket.off("how are you");
    assert.equal((await call(socket, "ask me", 300)).code, "timeout");
    const { id } = socket;
    socket.disconnect();
    const left = await events.until("its leave", (event) => event.name === "left" && event.sid === id);
    assert.deepEqual(left.about, ["client namespace disconnect", false]); /* it is still there to be read */
});

everyClient((name, version, way) => test(`what_is_kept_of_who_comes_in_is_there_from_its_first_call (${name})`, async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 3);
    const events = await told(t, server);
    const where = `${server.url}/door`;
    for (const keep of [{ deep: ["é", { n: 1.5 }] }, 7, "text", false, "x".repeat(65534)]) {
        const socket = client(t, where, { version, way, auth: { name: "Ann", keep } });
        const first = new Promise((resolve) => socket.on("connect", () => socket.emit("recall", resolve)));
        assert.deepEqual(await first, keep);
        const came = await events.until("its coming", (event) => event.name === "came" && event.sid === socket.id);
        assert.deepEqual(came.about, ["Ann", false, keep]); /* read back where it was set */
    }
    const large = client(t, where, { version, way, auth: { name: "Ann", keep: "x".repeat(65535) } });
    assert.deepEqual((await once(large, "connect_error"))[0].data, { code: "too_large" });
    const socket = client(t, where, { version, way, auth: { name: "Ann", keep: 1 } });
    await connected(socket);
    await new Promise((resolve) => socket.emit("remember", 2, resolve));
    const { id } = socket;
    socket.disconnect();
    const left = await events.until("its leave", (event) => event.name === "left" && event.sid === id);
    assert.deepEqual(left.about, ["client namespace disconnect", 2]);
}));

test("g7_nobody_is_in_without_what_was_kept_of_it_whatever_dies", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const all = await workers(t, server, 3);
    const second = await anotherGateway(t, server);
    const proxy = await balancer(t, second, server);
    const found = [], sockets = [];
    const come = (n) => {
        const socket = client(t, `${proxy.url}/door`, { way: "websocket", auth: { name: "one of many", keep: { n } } });
        sockets.push(socket);
        socket.on("connect", async () => {
            const data = await call(socket, "recall").catch((error) => error.message);
            if (!/has been disconnected|timed out/.test(data)) /* it was cut, and asks again */
                found.push([n, data]);
        });
    };
    const kills = [() => all[0].kill(), () => second.gateway.end("SIGKILL"), async () => {
        await server.broker.end("SIGKILL");
        await server.start();
    }, () => all.forEach((worker) => worker.kill())];
    for (const kill of kills) {
        for (let n = 0; n < 30; n++)
            come(sockets.length);
        await until("the first of them", () => found.some(([n]) => n >= sockets.length - 30));
        await kill();
    }
    await until(() => `all of them (${found.length})`, () => new Set(found.map(([n]) => n)).size === sockets.length, 60000);
    for (const [n, data] of found)
        assert.deepEqual(data, { n });
});

test("g7_whoever_was_at_a_gateway_that_died_is_told_of", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    await workers(t, server, 1);
    const second = await anotherGateway(t, server);
    const events = await told(t, server);
    const options = { auth: { name: "Ann" } };
    const lost = await stockClient(t, { url: `${second.url}/door` }, { ...options, reconnection: false });
    const proxy = await balancer(t, second, server);
    const back = await stockClient(t, { url: `${proxy.url}/door` }, options);
    await call(back, "enter", "room");
    const heard = [];
    back.on("said", (room, n) => heard.push(n));
    await call(lost, "remember", { n: 1 });
    await call(back, "remember", ["what it said"]);
    const { id } = lost, returning = back.id;
    await second.gateway.end("SIGKILL");
    const left = await events.until("the lost one", (event) => event.name === "left" && event.sid === id);
    assert.deepEqual(left.about, ["transport close", { n: 1 }]);
    await events.until("who came back", (event) => event.name === "came" && event.sid === returning && event.about[1]);
    await call(back, "say to", "room", 1);
    await until("the room, which it is still in", () => heard.length === 1);
    assert.deepEqual(await call(back, "recall"), ["what it said"]);
    assert.equal(events.filter(({ name, sid }) => name === "left" && sid === id).length, 1);
});
