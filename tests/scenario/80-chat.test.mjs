// The back end of Socket.IO's chat example: what its front end relies on, for stock clients; many
// workers that know the same; and the number of users, whatever dies.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { call, client, connected, heard } from "./support/stock.mjs";
import { anotherGateway, history, tidemark, until } from "./support/tidemark.mjs";
import { replaceWorker, startWorker, startWorkers } from "./support/back-ends.mjs";
import { workers } from "./support/workers.mjs";

const EVENTS = ["login", "new message", "user joined", "user left", "typing", "stop typing"];

/* A client as the example's front end is one: it knows nothing of topics. */
async function person(t, server, username, options = {}) {
    const socket = client(t, server.url, { way: "websocket", ...options });
    socket.events = heard(socket, ...EVENTS);
    socket.hears = (name, data, timeoutMs = 20000) => until(
        () => `${username} to hear ${name} ${JSON.stringify(data)}, who heard ${JSON.stringify(socket.events)}`,
        () => socket.events.find(([event, what]) => event === name && (!data || same(what, data))), timeoutMs);
    socket.count = (name) => socket.events.filter(([event]) => event === name).length;
    await connected(socket);
    if (username)
        socket.emit("add user", username);
    return socket;
}

const same = (one, other) => JSON.stringify(Object.entries(one ?? {}).sort()) === JSON.stringify(Object.entries(other).sort());

test("the_events_of_the_example_with_their_payloads", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat", 2);
    const ann = await person(t, server, "Ann");
    await ann.hears("login", { numUsers: 1 });
    const ben = await person(t, server, "Ben", { way: "polling" });
    await ben.hears("login", { numUsers: 2 });
    await ann.hears("user joined", { username: "Ben", numUsers: 2 });

    ann.emit("typing");
    await ben.hears("typing", { username: "Ann" });
    ann.emit("new message", "hello");
    await ben.hears("new message", { username: "Ann", message: "hello" });
    ann.emit("stop typing");
    await ben.hears("stop typing", { username: "Ann" });
    ben.emit("new message", { any: ["JSON", null, 1.5] });
    await ann.hears("new message", { username: "Ben", message: { any: ["JSON", null, 1.5] } });
    ben.emit("add user", "Somebody else"); /* once is enough */
    ben.emit("new message", "still Ben");
    await ann.hears("new message", { username: "Ben", message: "still Ben" });

    ben.disconnect();
    await ann.hears("user left", { username: "Ben", numUsers: 1 });
    /* Nobody hears himself, nor anything twice. */
    assert.deepEqual(ann.events.map(([name]) => name), ["login", "user joined", "new message", "new message", "user left"]);
    assert.deepEqual(ben.events.map(([name]) => name).sort(), ["login", "new message", "stop typing", "typing"]);
});

test("who_is_cut_off_and_comes_back_never_left", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat", 2);
    const ann = await person(t, server, "Ann");
    await ann.hears("login");
    const ben = await person(t, server, "Ben");
    await ben.hears("login");
    ben.io.engine.close();
    ann.emit("new message", "meanwhile");
    await ben.hears("new message", { username: "Ann", message: "meanwhile" });
    assert.equal(ben.recovered, true);
    ben.emit("add user", "Ben"); /* as the front end does when it is back */
    ben.emit("new message", "back");
    await ann.hears("new message", { username: "Ben", message: "back" });
    assert.deepEqual([ben.count("login"), ann.count("user left"), ann.count("user joined")], [1, 0, 1]);
});

test("a_late_joiner_reads_what_was_said", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat");
    const ann = await person(t, server, "Ann");
    await ann.hears("login");
    for (let n = 0; n < 5; n++)
        assert.deepEqual(await call(ann, "new message", `message ${n}`), []);
    const late = client(t, server.url), read = heard(late, "new message");
    await connected(late);
    const [answer] = await call(late, "tide:subscribe", { topic: "chat", since: "start", meta: true });
    assert.equal(answer.ok, true);
    assert.deepEqual(read.map(([, data]) => data), Array.from({ length: 5 }, (_, n) => ({ username: "Ann", message: `message ${n}` })));
    assert.deepEqual((await history(server, "chat")).map(({ event }) => event), ["user joined", ...Array(5).fill("new message")]);
});

test("rooms_are_apart", async (t) => {
    const server = await tidemark(t);
    await startWorkers(t, server, "chat");
    const ann = await person(t, server, "Ann"), cook = await person(t, server), other = await person(t, server);
    cook.emit("add user", "Cook", "kitchen");
    await cook.hears("login", { numUsers: 1 });
    other.emit("add user", "Other", "kitchen");
    await cook.hears("user joined", { username: "Other", numUsers: 2 });
    ann.emit("new message", "not for the kitchen");
    other.emit("new message", "soup");
    await cook.hears("new message", { username: "Other", message: "soup" });
    assert.deepEqual([ann.count("new message"), cook.count("new message")], [0, 1]);
});

test("what_is_wrong_is_refused_by_name_and_hurts_nobody", async (t) => {
    const server = await tidemark(t);
    const [worker] = await startWorkers(t, server, "chat");
    const socket = await person(t, server);
    const refused = async (...args) => (await call(socket, ...args))[0].code;
    assert.equal(await refused("new message", "who am I?"), "forbidden");
    for (const bad of [undefined, null, 1, true, "", "x".repeat(201), [], {}, ["Ann"], Buffer.from("Ann")])
        assert.equal(await refused("add user", bad), "bad_request", JSON.stringify(bad));
    assert.equal(await refused("add user", "Ann", "r".repeat(300)), "bad_request");
    assert.deepEqual(await call(socket, "add user", "Ann \u{1f30a} <b>"), []);
    await socket.hears("login", { numUsers: 1 });
    for (const odd of [undefined, null, 0, "\0", ["a"], "x".repeat(100000)])
        assert.deepEqual(await call(socket, "new message", odd), []);
    assert.equal(worker.child.exitCode, null);
    assert.equal(worker.output, "");
});

test("what_other_workers_keep_of_a_session_is_not_taken_for_ours", async (t) => {
    const server = await tidemark(t);
    await workers(t, server, 1);
    await startWorkers(t, server, "chat");
    const socket = await person(t, server), other = await person(t, server);
    const all = heard(other, "new message"); /* who is in no room */
    for (const data of [{ cart: [1] }, "text", [], { username: "Ann" }, { username: 1, room: 2 }]) {
        assert.deepEqual(await call(socket, "remember", data), []);
        assert.equal((await call(socket, "new message", "to everybody"))[0].code, "forbidden");
    }
    assert.deepEqual(await call(socket, "remember", { cart: [1] }), []);
    assert.deepEqual(await call(socket, "add user", "Ann"), []);
    await socket.hears("login", { numUsers: 1 });
    assert.deepEqual(await call(socket, "new message", "hello"), []);
    assert.deepEqual(await call(socket, "recall"), [{ cart: [1], username: "Ann", room: "chat" }]);
    assert.deepEqual(all, []);
});

test("workers_share_the_load_and_know_the_same_number", async (t) => {
    const PEOPLE = 40;
    const server = await tidemark(t);
    await startWorkers(t, server, "chat", 3);
    const all = await Promise.all(Array.from({ length: PEOPLE }, (_, n) => person(t, server, `p${n}`)));
    await Promise.all(all.map((one) => one.hears("login")));
    /* Whoever came last was told of nobody else; the first one heard of all others. */
    assert.deepEqual(all.map((one) => one.events.find(([name]) => name === "login")[1].numUsers).sort((a, b) => a - b),
        Array.from({ length: PEOPLE }, (_, n) => n + 1));
    await Promise.all(all.map((one) => until("all numbers", () => one.events.some(([, data]) => data.numUsers === PEOPLE))));
    for (const one of all) {
        const numbers = one.events.map(([, data]) => data.numUsers);
        assert.deepEqual(numbers, Array.from(numbers, (_, at) => numbers[0] + at), "each of them once, in order");
    }
});

test("the_number_stays_right_when_workers_are_killed", { timeout: 200000 }, async (t) => {
    const PEOPLE = 8;
    const server = await tidemark(t, { isSeparate: true });
    const workers = await startWorkers(t, server, "chat", 3);
    const people = [], said = [];
    for (let n = 0; n < PEOPLE; n++) {
        const killed = n > 0 && replaceWorker(t, server, workers, n % 3, "chat");
        people.push(await person(t, server, `p${n}`));
        people[0].emit("new message", n); /* in the middle of a sentence */
        said.push(n);
        await people[n].hears("login", { numUsers: n + 1 });
        await killed;
    }
    for (let n = PEOPLE - 1; n > PEOPLE / 2; n--) {
        const killed = replaceWorker(t, server, workers, n % 3, "chat");
        people[n].disconnect();
        await people[0].hears("user left", { username: `p${n}`, numUsers: n });
        await killed;
    }
    /* What was said before p1 was in, p1 need not have heard. */
    const heardBy1 = () => people[1].events.filter(([name, { message }]) => name === "new message" && message > 1).map(([, { message }]) => message);
    await until("all that was said", () => heardBy1().length >= PEOPLE - 2);
    assert.deepEqual(heardBy1(), said.slice(2), "each once, in order");
    assert.deepEqual([people[0].count("user joined"), people[0].count("user left")], [PEOPLE - 1, PEOPLE / 2 - 1]);
});

test("the_number_is_right_again_after_all_workers_died", { timeout: 60000 }, async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const workers = await startWorkers(t, server, "chat", 2);
    const ann = await person(t, server, "Ann");
    await ann.hears("login");
    const ben = await person(t, server, "Ben");
    await ben.hears("login");
    await Promise.all(workers.map((worker) => worker.end("SIGKILL")));
    const cleo = await person(t, server, "Cleo"); /* waits for a worker */
    startWorker(t, server, "chat");
    await cleo.hears("login", { numUsers: 3 });
    await ann.hears("user joined", { username: "Cleo", numUsers: 3 });
    ben.disconnect();
    await cleo.hears("user left", { username: "Ben", numUsers: 2 });
    assert.deepEqual([ann.count("user joined"), cleo.count("login"), ann.count("login")], [2, 1, 1]);
});

test("the_number_is_right_again_after_a_gateway_died", { timeout: 120000 }, async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    const other = await anotherGateway(t, server);
    await startWorkers(t, server, "chat", 2);
    const ann = await person(t, server, "Ann");
    await ann.hears("login");
    const lost = await Promise.all(["Ben", "Cleo", "Dov"].map((name) => person(t, other, name, { reconnection: false })));
    await Promise.all(lost.map((one) => one.hears("login")));
    lost[0].emit("new message", "from the other gateway");
    await ann.hears("new message", { username: "Ben", message: "from the other gateway" });
    await other.gateway.end("SIGKILL");
    await until("three to have left", () => ann.count("user left") === 3, 40000);
    await ann.hears("user left", ann.events.findLast(([name]) => name === "user left")[1]);
    assert.equal(ann.events.findLast(([name]) => name === "user left")[1].numUsers, 1);
    const eva = await person(t, server, "Eva");
    await eva.hears("login", { numUsers: 2 });
});

test("it_stops_cleanly_and_says_what_it_takes", async (t) => {
    const server = await tidemark(t);
    for (const name of ["chat", "control", "parcel"]) {
        const [worker] = await startWorkers(t, server, name);
        assert.deepEqual(await worker.end("SIGTERM"), { code: 0, signal: null }, worker.output);
        assert.equal(worker.output, "");
        const wrong = startWorker(t, { endpoint: "--nonsense" }, name);
        assert.equal((await wrong.ended).code, 2);
        assert.match(wrong.output, new RegExp(`^usage: tidemark-${name} `));
    }
});
