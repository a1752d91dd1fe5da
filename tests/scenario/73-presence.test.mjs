// Who is in a topic, with real programs: clients of every dialect, cuts, and kills.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { connected, jsonClient, stockClient, subscribe } from "./support/clients.mjs";
import { proxy } from "./support/proxy.mjs";
import { anotherGateway, request, tidemark, until } from "./support/tidemark.mjs";
import { workers } from "./support/workers.mjs";

const SOON = { reconnectionDelay: 50, reconnectionDelayMax: 200 };

/* Who is there, as a gateway tells it: {sid: member}. */
async function members(server, topic = "lobby") {
    const { status, json, text } = await server.get(`/api/v1/presence?topic=${encodeURIComponent(topic)}`);
    assert.equal(status, 200, text);
    assert.match(json.epoch, /^[0-9a-f]{16}$/);
    return Object.fromEntries(json.members.map((member) => [member.sid, member]));
}

const sids = async (server, topic) => Object.keys(await members(server, topic)).sort();

async function untilPresent(server, wanted, timeoutMs) {
    let there;
    const sorted = [...wanted].sort();
    await until(() => `${sorted} to be present (there are ${there})`, async () => {
        there = await sids(server).catch(() => []);
        return JSON.stringify(there) === JSON.stringify(sorted);
    }, timeoutMs);
}

/* Follows a topic's presence as a client does: a snapshot, then what changes it. */
async function follow(t, server, topic = "lobby") {
    const socket = await stockClient(t, server);
    const state = { socket, told: [], there: new Map(), resets: 0 };
    socket.on("presence", (data, meta) => {
        state.told.push({ data, meta });
        if (meta.removed)
            state.there.delete(meta.key);
        else
            state.there.set(meta.key, data);
    });
    const load = (standing) => {
        state.there = new Map(Object.entries(standing).map(([sid, event]) => [sid, event.data]));
    };
    socket.on("tide:reset", (reset) => {
        state.resets++;
        load(reset.state);
    });
    load((await subscribe(socket, `$presence/${topic}`, { since: "snapshot" })).state);
    state.until = (what, look, timeoutMs) => until(() => `${what}; told: ${JSON.stringify(state.told)}`, look, timeoutMs);
    return state;
}

test("snapshot and updates tell the same in every dialect", async (t) => {
    const server = await tidemark(t);
    const ada = await stockClient(t, server);
    await subscribe(ada, "lobby", { present: { name: "Ada" } });
    const watch = await follow(t, server);
    assert.deepEqual([...watch.there], [[ada.id, { data: { name: "Ada" } }]]);

    const bob = await jsonClient(t, server);
    bob.send({ op: "hello" });
    const { sid } = await bob.take("welcome");
    await bob.ok({ op: "sub", topic: "lobby", present: true });
    await watch.until("Bob", () => watch.there.has(sid));
    assert.deepEqual(watch.told.at(-1).data, {});
    assert.equal(watch.told.at(-1).meta.topic, "$presence/lobby");

    const known = await members(server);
    assert.deepEqual(Object.keys(known).sort(), [ada.id, sid].sort());
    assert.deepEqual(known[ada.id].data, { name: "Ada" });
    assert.ok(Math.abs(known[sid].since - Date.now()) < 60000);
    const asked = await bob.ok({ op: "presence", topic: "lobby" });
    const emitted = await ada.timeout(10000).emitWithAck("tide:presence", { topic: "lobby" });
    assert.equal(emitted.ok, true);
    for (const { members: list } of [asked, emitted])
        assert.deepEqual(Object.fromEntries(list.map((member) => [member.sid, member])), known);
    const events = await request(`${server.url}/api/v1/snapshot?topic=${encodeURIComponent("$presence/#")}`);
    assert.deepEqual(Object.keys(JSON.parse(events.body).state["$presence/lobby"]).sort(), [ada.id, sid].sort());

    await subscribe(ada, "lobby", { present: { name: "Ada", typing: true } });
    await watch.until("what she says now", () => watch.there.get(ada.id)?.data.typing);
    await bob.ok({ op: "unsub", topic: "lobby" });
    await watch.until("Bob to be gone", () => !watch.there.has(sid));
    assert.equal(watch.told.at(-1).data, null);
    assert.equal(watch.told.at(-1).meta.from, sid);
    ada.disconnect();
    await watch.until("Ada to be gone", () => watch.there.size === 0);
    assert.deepEqual(await sids(server), []);
});

test("a client that comes back in time was never gone; one that does not, is", async (t) => {
    const server = await tidemark(t);
    const between = await proxy(t, server);
    const watch = await follow(t, server);
    const socket = await stockClient(t, between, SOON);
    await subscribe(socket, "lobby", { present: true });
    const { id } = socket;
    const { since } = (await members(server))[id];
    for (let cut = 1; cut <= 3; cut++) {
        await watch.until("the member", () => watch.there.has(id));
        const before = watch.told.length;
        between.cut();
        await until("the cut to be noticed", () => !socket.connected);
        await connected(socket);
        assert.equal(socket.id, id);
        await watch.until("it to enter again", () => watch.told.length > before);
    }
    assert.deepEqual(watch.told.filter(({ meta }) => meta.removed), []);
    assert.equal((await members(server))[id].since, since);
    /* A WebSocket without a session has nothing to come back to. */
    const passer = await jsonClient(t, server);
    await passer.ok({ op: "sub", topic: "lobby", present: {} });
    await watch.until("the passer-by", () => watch.there.size === 2);
    passer.socket.terminate();
    await watch.until("the passer-by to be gone", () => watch.there.size === 1, 3000);
    /* And whoever stays away is gone when the linger is over. */
    socket.io.reconnection(false);
    between.cut();
    await watch.until("the member to be gone", () => watch.there.size === 0, 15000);
});

test("a gateway that is killed takes its members along, and nobody else", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    const dies = await stockClient(t, server, { reconnection: false });
    const alone = await jsonClient(t, server);
    const stays = await stockClient(t, other);
    await subscribe(dies, "lobby", { present: true });
    await alone.ok({ op: "sub", topic: "lobby", present: true });
    await subscribe(stays, "lobby", { present: { stays: 1 } });
    const watch = await follow(t, other);
    assert.equal(watch.there.size, 3);
    await server.gateway.end("SIGKILL");
    await untilPresent(other, [stays.id], 25000);
    await watch.until("two to be gone", () => watch.there.size === 1);
    assert.deepEqual(watch.told.map(({ data, meta }) => [data, meta.removed]), [[null, true], [null, true]]);
    /* It is started again, and knows who is there as well as the other. */
    await server.start();
    assert.deepEqual(await members(server), await members(other));
});

test("a client of a gateway that is killed is present at another before it could be missed", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    const between = await proxy(t, server);
    const watch = await follow(t, other);
    const socket = await stockClient(t, between, SOON);
    await subscribe(socket, "lobby", { present: { name: "Ada" } });
    const { id } = socket;
    await watch.until("the member", () => watch.there.has(id));
    between.target = other.port;
    await server.gateway.end("SIGKILL");
    await until("a reconnect", () => socket.connected && socket.recovered);
    await watch.until("it to enter again", () => watch.told.length === 2);
    /* What another member's end shows: the dead lane's lease is over by now. */
    await server.start();
    const marker = await jsonClient(t, server);
    await marker.ok({ op: "sub", topic: "lobby", present: true });
    await watch.until("the marker", () => watch.there.size === 2);
    await server.gateway.end("SIGKILL");
    await watch.until("the marker to be gone", () => watch.there.size === 1, 25000);
    assert.deepEqual([...watch.there], [[id, watch.there.get(id)]]);
    assert.deepEqual(watch.told.filter(({ meta }) => meta.removed && meta.key === id), []);
});

test("presence outlives kill -9 of the broker, and of all at once", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const between = await proxy(t, server);
    const watch = await follow(t, server);
    const stays = await stockClient(t, between, SOON);
    const goes = await stockClient(t, server, { reconnection: false });
    await subscribe(stays, "lobby", { present: true });
    await subscribe(goes, "lobby", { present: true });
    await watch.until("both", () => watch.there.size === 2);
    await server.broker.end("SIGKILL");
    goes.disconnect(); /* while nobody could be told */
    await server.start();
    await untilPresent(server, [stays.id], 30000);
    const marker = await stockClient(t, server);
    await subscribe(marker, "lobby", { present: true });
    await watch.until("the next one", () => watch.there.has(marker.id));
    assert.ok(watch.there.has(stays.id));
    const { id } = stays;
    await Promise.all([server.gateway.end("SIGKILL"), server.broker.end("SIGKILL")]);
    await server.start();
    await until("a reconnect", () => stays.connected && marker.connected);
    assert.equal(stays.id, id);
    await untilPresent(server, [stays.id, marker.id], 30000);
});

test("a worker makes a session present in a room, wherever that is", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    await workers(t, server, 1);
    const watch = await follow(t, other, "door/room");
    const where = { url: `${server.url}/door` };
    const socket = await stockClient(t, where, { auth: { name: "Ann" } });
    const enter = (...args) => socket.timeout(20000).emitWithAck("enter", ...args);
    await enter("room", { name: "Ann" });
    await watch.until("Ann", () => watch.there.has(socket.id));
    assert.deepEqual(watch.there.get(socket.id), { data: { name: "Ann" } });
    assert.equal((await enter("room", 7)).code, "bad_request");
    assert.equal((await enter("room", { a: "x".repeat(5000) })).code, "too_large");
    assert.equal((await enter("r".repeat(241), true)).code, "bad_topic");
    await enter("room"); // as it was
    await enter("room", false);
    await watch.until("her to be gone", () => watch.there.size === 0);
    assert.equal(watch.told.length, 2);
    await enter("room", true);
    await watch.until("her again", () => watch.there.has(socket.id));
    socket.disconnect();
    await watch.until("her to be gone for good", () => watch.there.size === 0);
});

test("bad input is answered by name, and nobody is present for it", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    const ask = (name, object) => socket.timeout(10000).emitWithAck(name, object);
    const long = "x".repeat(250);
    for (const [topic, present, code] of [
        ["lobby", 7, "bad_request"], ["lobby", [], "bad_request"], ["lobby", "yes", "bad_request"],
        ["lobby", { a: Buffer.from("b") }, "bad_request"], ["lobby", { a: "x".repeat(5000) }, "too_large"],
        ["a/#", true, "bad_topic"], [long, true, "bad_topic"], ["$presence/a", true, "bad_topic"], ["$nsp", true, "forbidden"]
    ]) {
        const answer = await ask("tide:subscribe", { topic, present });
        assert.equal(answer.ok, false);
        assert.equal(answer.code, code, `${topic} ${JSON.stringify(present).slice(0, 40)}: ${answer.message}`);
    }
    assert.equal((await ask("tide:publish", { topic: "$presence/lobby", event: "presence", key: "me", data: {} })).code, "forbidden");
    assert.equal((await ask("tide:presence", { topic: "a/#" })).code, "bad_topic");
    assert.equal((await ask("tide:presence", {})).code, "bad_topic");
    assert.equal((await server.get("/api/v1/presence")).status, 400);
    assert.equal((await server.get("/api/v1/presence?topic=%24session")).status, 403);
    assert.equal((await request(`${server.url}/api/v1/presence?topic=a`, { method: "POST", body: "{}" })).status, 405);
    const client = await jsonClient(t, server);
    assert.equal((await client.ask({ op: "sub", topic: "lobby", present: 1 })).code, "bad_request");
    assert.equal((await client.ask({ op: "presence" })).code, "bad_topic");
    assert.deepEqual(await sids(server), []);
});
