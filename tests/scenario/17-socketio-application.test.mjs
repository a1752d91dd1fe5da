// What an application does with Socket.IO, seen by stock clients on each transport: namespaces on one
// connection, refusals, rooms, questions to clients and being shown the door.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { CALM, conformance } from "./support/conformance.mjs";
import { besides, call, client, connected, heard, once, settled, WAYS } from "./support/stock.mjs";
import { until } from "./support/tidemark.mjs";

function each(what, run) {
    for (const way of Object.keys(WAYS))
        test(`${what} (${way})`, async (t) => {
            const place = await conformance(t, "socket", ...CALM);
            await run(t, place, way);
        });
}

/* So many clients in a namespace, settled on their transport, each keeping what it hears. */
async function crowd(t, place, way, count, nsp = "") {
    const all = await Promise.all(Array.from({ length: count }, () => settled(client(t, place.url + nsp, { way }), way)));
    for (const one of all)
        one.heard = heard(one, "said", "last");
    return all;
}

/* What each has heard, by then: a last event has come to everybody. */
async function all(sockets) {
    await call(sockets[0], "to", { event: "last", args: [] });
    await until("the last event", () => sockets.every((one) => one.heard.some(([name]) => name === "last")));
    const lists = sockets.map((one) => one.heard.filter(([name]) => name !== "last").map(([, ...args]) => args.join()));
    for (const one of sockets)
        one.heard.length = 0;
    return lists;
}

each("four namespaces share one connection, and leave it one by one", async (t, place, way) => {
    const main = await settled(client(t, place.url, { way, auth: { me: "main" } }), way);
    const others = [];
    for (const nsp of ["/custom", "/tenant-a", "/tenant-b"])
        others.push(await connected(besides(t, main, nsp, { auth: { me: nsp } })));
    const engine = main.io.engine;
    for (const socket of [main, ...others]) {
        assert.equal(socket.io.engine, engine);
        assert.deepEqual(await call(socket, "message-with-ack", socket.nsp, 1), [socket.nsp, 1]);
    }
    assert.equal(new Set([main, ...others].map((socket) => socket.id)).size, 4);
    main.disconnect();
    others[0].disconnect();
    assert.deepEqual(await call(others[1], "message-with-ack", 2), [2]);
    main.connect();
    assert.deepEqual((await once(main, "auth"))[0], { me: "main" });
    assert.equal(main.io.engine, engine);
});

each("a namespace's events stay in it, a pattern's namespaces are each their own", async (t, place, way) => {
    const [a] = await crowd(t, place, way, 1, "/tenant-a");
    const [b] = await crowd(t, place, way, 1, "/tenant-b");
    const [main] = await crowd(t, place, way, 1);
    await call(a, "join", "room");
    await call(b, "join", "room");
    await call(a, "to", { event: "said", args: ["in a"] });
    await call(b, "to", { room: "room", event: "said", args: ["in b's room"] });
    await call(main, "to", { room: "room", event: "said", args: ["nobody"] });
    assert.deepEqual(await all([a]), [["in a"]]);
    assert.deepEqual(await all([b]), [["in b's room"]]);
    assert.deepEqual(await all([main]), [[]]);
});

each("connect_error says why, with the application's data", async (t, place, way) => {
    const refused = client(t, place.url, { way, auth: { refuse: true } });
    const [error] = await once(refused, "connect_error");
    assert.equal(error.message, "refused");
    assert.deepEqual(error.data, { why: "asked for" });
    assert.equal(refused.connected, false);
    assert.equal(refused.active, false, "it would try again by itself");
    refused.auth = {};
    refused.connect();
    await connected(refused);

    const unknown = client(t, `${place.url}/nowhere`, { way });
    const [invalid] = await once(unknown, "connect_error");
    assert.equal(invalid.message, "Invalid namespace");
    assert.equal(invalid.data, undefined);
    assert.equal(unknown.active, false);
});

each("auth may be a function, asked anew for every connection", async (t, place, way) => {
    let times = 0;
    const socket = client(t, place.url, { way, auth: (give) => setTimeout(() => give({ times: ++times }), 5) });
    assert.deepEqual(await once(socket, "auth"), [{ times: 1 }]);
    socket.disconnect().connect();
    assert.deepEqual(await once(socket, "auth"), [{ times: 2 }]);
});

each("emits to a room, to everybody, to a sid, and to those but some", async (t, place, way) => {
    const sockets = await crowd(t, place, way, 4);
    const [a, b, c, d] = sockets;
    for (const [one, room] of [[a, "red"], [b, "red"], [b, "blue"], [c, "blue"], [d, "a room/with #, ✓ and $"]])
        assert.deepEqual(await call(one, "join", room), ["ok"]);
    const to = (what, message) => call(a, "to", { event: "said", args: [message], ...what });
    await to({}, "everybody");
    await to({ room: "red" }, "red");
    await to({ room: "blue" }, "blue");
    await to({ room: "none" }, "none");
    await to({ room: "a room/with #, ✓ and $" }, "odd");
    await to({ room: d.id }, "d alone");
    await to({ room: "red", except: [b.id] }, "red but b");
    await to({ room: "red", except: ["blue"] }, "red but blue");
    await to({ except: [a.id, "blue"] }, "all but a and blue");
    await to({ room: c.id, except: ["blue"] }, "nobody");
    assert.deepEqual(await all(sockets), [["everybody", "red", "red but b", "red but blue"], ["everybody", "red", "blue"],
                                          ["everybody", "blue"], ["everybody", "odd", "d alone", "all but a and blue"]]);
    await call(b, "leave", "red");
    await call(b, "leave", "never joined");
    await call(c, "join", "blue");
    await to({ room: "red" }, "red again");
    await to({ room: "blue" }, "blue again");
    assert.deepEqual(await all(sockets), [["red again"], ["blue again"], ["blue again"], []]);
});

each("a room is left with the connection, and order is kept within one", async (t, place, way) => {
    const sockets = await crowd(t, place, way, 2);
    const [a, b] = sockets;
    await call(a, "join", "r");
    await call(b, "join", "r");
    b.disconnect().connect();
    await connected(b);
    for (let n = 0; n < 50; n++)
        await call(a, "to", { room: "r", event: "said", args: [n] });
    assert.deepEqual(await all(sockets), [Array.from({ length: 50 }, (_, n) => `${n}`), []]);
});

each("binary is emitted to a room as it was given", async (t, place, way) => {
    const [a, b] = await crowd(t, place, way, 2);
    await call(b, "join", "r");
    const bytes = Buffer.from([0, 1, 254, 255]);
    const came = once(b, "bytes");
    await call(a, "to", { room: "r", event: "bytes", args: [{ in: [bytes] }, "x"] });
    const [value, text] = await came;
    assert.ok(Buffer.isBuffer(value.in[0]));
    assert.deepEqual([value.in[0], text], [bytes, "x"]);
});

each("a volatile event reaches whoever is there", async (t, place, way) => {
    const [a, b] = await crowd(t, place, way, 2);
    let came = false;
    b.on("said", () => { came = true; });
    await until("a volatile event", async () => {
        await call(a, "to", { event: "said", args: [1], volatile: true });
        return came;
    });
});

each("the server asks a client and gets its answer, or that it has none", async (t, place, way) => {
    const [a] = await crowd(t, place, way, 1);
    a.on("question", (x, y, ack) => ack(x + y, Buffer.from([x, y]), { nested: [null] }));
    const [{ answers, missing }] = await call(a, "ask", { event: "question", args: [1, 2], timeout: 2000 });
    assert.deepEqual([answers, missing], [[{ sid: a.id, args: [3, Buffer.from([1, 2]), { nested: [null] }] }], []]);
    a.on("no answer", () => {});
    const begin = performance.now();
    const [nothing] = await call(a, "ask", { event: "no answer", args: [], timeout: 300 });
    assert.deepEqual(nothing, { answers: [], missing: [a.id] });
    assert.ok(performance.now() - begin >= 290);
});

each("the server asks a room: who answers, and who has not in time", async (t, place, way) => {
    const [a, b, c, d] = await crowd(t, place, way, 4);
    for (const one of [a, b, c]) {
        await call(one, "join", "r");
        one.on("question", (x, ack) => { if (one !== c) ack(x, one === a ? "a" : "b"); });
    }
    d.on("question", () => assert.fail("not in the room"));
    const [{ answers, missing }] = await call(d, "ask", { room: "r", event: "question", args: [7], timeout: 500 });
    const sorted = answers.sort((x, y) => (x.args[1] < y.args[1] ? -1 : 1));
    assert.deepEqual(sorted, [{ sid: a.id, args: [7, "a"] }, { sid: b.id, args: [7, "b"] }]);
    assert.deepEqual(missing, [c.id]);
    assert.deepEqual(await call(d, "ask", { room: "empty", event: "question", args: [1], timeout: 200 }), [{ answers: [], missing: [] }]);
    const begin = performance.now();
    c.disconnect();
    c.removeAllListeners("question");
    await call(d, "ask", { room: "r", event: "question", args: [8], timeout: 5000 });
    assert.ok(performance.now() - begin < 3000, "it waited although all had answered");
});

each("who is taken out of a namespace hears io server disconnect and does not come back by itself", async (t, place, way) => {
    const main = await settled(client(t, place.url, { way }), way);
    const custom = await connected(besides(t, main, "/custom"));
    let attempts = 0;
    main.io.on("reconnect_attempt", () => attempts++);
    custom.emit("kick");
    assert.equal((await once(custom, "disconnect"))[0], "io server disconnect");
    assert.deepEqual(await call(main, "message-with-ack", 1), [1]);
    custom.connect();
    await connected(custom);
    assert.equal(attempts, 0);
    // Over polling the reference server breaks the post that asked for it: that may be noticed first.
    const ends = [once(main, "disconnect"), once(custom, "disconnect")];
    main.emit("kick", true);
    const due = way === "polling" ? ["io server disconnect", "transport error", "transport close"] : ["io server disconnect"];
    for (const [why] of await Promise.all(ends))
        assert.ok(due.includes(why), why);
});

each("a large message in pieces of what a post may hold, and one beyond maxPayload", async (t, place, way) => {
    const socket = await settled(client(t, place.url, { way }), way);
    const parts = Array.from({ length: 8 }, (_, i) => call(socket, "message-with-ack", i, "x".repeat(400_000)));
    for (const [i, [n, text]] of (await Promise.all(parts)).entries())
        assert.deepEqual([n, text.length], [i, 400_000]);
    const end = once(socket, "disconnect");
    socket.emit("message", "x".repeat(1_000_001));
    const [why] = await end;
    assert.ok(["transport close", "transport error"].includes(why), why);
    await connected(socket);
    assert.deepEqual(await call(socket, "message-with-ack", "after"), ["after"]);
});
