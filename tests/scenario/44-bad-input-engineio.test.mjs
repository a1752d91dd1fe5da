// Whatever comes to Engine.IO, over either transport, is answered or dropped; the server goes on, and
// clients that have nothing to do with it notice nothing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";

import { ask, CALM, conformance, exchange, Frames, Polling, probe, prober, rawly, SEPARATOR, target, witnesses } from "./support/conformance.mjs";
import { random, wait } from "./support/tidemark.mjs";

const post = (place, session, rest) => `POST ${target(place, { sid: session.sid })} HTTP/1.1\r\nHost: a\r\n${rest}`;

test("a thousand polls on one sid end it once, and nothing else", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const session = await Polling.open(place);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 200 });
    t.after(() => agent.destroy());
    const answers = await Promise.all(Array.from({ length: 1000 }, () => session.get({ agent }).answer));
    const ok = answers.filter(({ status }) => status === 200);
    assert.ok(ok.length <= 1 && ok.every(({ body }) => body === "1" || body === "6"), JSON.stringify(ok.map(({ body }) => body)));
    assert.ok(answers.every(({ status, error }) => [200, 400, 500].includes(status) || error));
    assert.equal(await session.isGone(), true);
    await check("a thousand polls");
});

test("a body without a length, and one in chunks, are taken or refused as a whole", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const none = await Polling.open(place);
    const answer = await rawly(place, post(place, none, "Connection: close\r\n\r\n"));
    assert.match(answer, /^(HTTP\/1\.1 (200|400|411) |$)/, "a POST that says no length has no body: an empty payload is none");

    const chunked = await Polling.open(place);
    const taken = await rawly(place, [post(place, chunked, "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"),
                                      "3\r\n4he\r\n", "3\r\nllo\r\n", "0\r\n\r\n"]);
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(taken)?.[1]);
    assert.ok(status === 200 || status === 411, taken);
    assert.equal(status === 200 ? await chunked.next() : await chunked.echo("4hello"), "4hello");
    await check("bodies without a length");
});

test("chunks that are none, lengths that are none and both together are refused", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    for (const rest of ["Transfer-Encoding: chunked\r\n\r\nzz\r\n4a\r\n0\r\n\r\n", "Content-Length: -1\r\n\r\n4a", "Content-Length: x\r\n\r\n4a",
                        "Content-Length: 99999999999999999999\r\n\r\n4a", "Content-Length: 2\r\nContent-Length: 3\r\n\r\n4abc",
                        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\n0\r\n\r\n", "Content-Length: 0\r\n\r\n",
                        "Transfer-Encoding: gzip\r\n\r\n4a"]) {
        const session = await Polling.open(place);
        // Whoever waits for more is let alone: the client breaks off.
        const answer = await Promise.race([rawly(place, post(place, session, `Connection: close\r\n${rest}`)), wait(700)]);
        assert.ok(!/^HTTP\/1\.1 200/.test(answer ?? "") || rest.includes("Length: 0"), `${rest}: ${answer}`);
    }
    await check("wrong lengths");
});

test("requests that come a byte at a time are served, a hundred that stop half-way hold nobody up", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const session = await Polling.open(place);
    const sockets = Array.from({ length: 100 }, () => {
        const half = exchange(place, { method: "POST", query: { sid: session.sid }, body: null, headers: { "Content-Length": 50 }, agent: false });
        half.sent.write("4a");
        return half;
    });
    await Promise.all(sockets.map(({ onServer }) => onServer));
    await check("posts that stop half-way");
    const slow = await Polling.open(place);
    const text = post(place, slow, "Connection: close\r\nContent-Length: 6\r\n\r\n4hello");
    assert.match(await rawly(place, [...text], { gapMs: 0 }), /\r\n\r\nok$/);
    for (const { abort } of sockets)
        abort();
    await check("posts that were broken off");
});

test("a sid of a live session, changed, shortened or lengthened, is nobody's", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const session = await Polling.open(place);
    const { sid } = session;
    const swap = (c) => (c === "A" ? "B" : "A");
    for (const other of [sid.slice(1), sid.slice(0, -1), `${sid}A`, `A${sid}`, swap(sid[0]) + sid.slice(1), sid.slice(0, -2) + swap(sid.at(-2)) + sid.at(-1),
                         sid.toLowerCase() === sid ? sid.toUpperCase() : sid.toLowerCase(), ` ${sid}`, `${sid}\0`, `${sid}\n`, "x".repeat(5000), "é", "../..", "%"]) {
        const answer = await ask(place, { query: { sid: other } });
        assert.deepEqual([answer.status, answer.body], [400, '{"code":1,"message":"Session ID unknown"}'], other);
        const posted = await ask(place, { method: "POST", query: { sid: other }, body: "4stolen" });
        assert.equal(posted.status, 400, other);
        const frames = new Frames(place, { sid: other });
        assert.equal((await frames.refused).status, 400, other);
    }
    assert.equal(await session.echo("4mine"), "4mine");
});

test("bytes that are no text, where text must be", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    for (const bytes of [[0x34, 0xff], [0x34, 0xc0, 0x80], [0x34, 0xed, 0xa0, 0x80], [0x34, 0xf4, 0x90, 0x80, 0x80], [0xff], [0x34, 0x61, 0x1e, 0xff],
                         [0x34, 0xc3], [0x62, 0xff, 0xff], [0x34, 0x00]]) {
        const session = await Polling.open(place);
        await session.post(Buffer.from(bytes)).answer;
        const frames = await Frames.open(t, place);
        frames.socket._socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length, 0, 0, 0, 0]), Buffer.from(bytes)]));
        await Promise.race([frames.closed, frames.next().catch(() => {})]);
        frames.socket.terminate();
    }
    await check("bytes that are no text");
    const frames = await Frames.open(t, place);
    frames.socket._socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0xff]));
    assert.equal((await frames.closed).code, 1007);
});

test("base64 that is none does not harm", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    for (const text of ["b!", "b=", "b====", "bA", "bAA=A", "bAQIDBA", "b\0", "bé", "b AQID", "bAQ-_", "bb"]) {
        const session = await Polling.open(place);
        await session.say(text);
        await session.say("4a");
        const frames = await Frames.open(t, place);
        frames.send(text);
        frames.socket.terminate();
    }
    await check("wrong base64");
});

test("frames that WebSocket forbids close the connection", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const masked = (first, body = "") => Buffer.concat([Buffer.from([first, 0x80 | body.length, 0, 0, 0, 0]), Buffer.from(body)]);
    const open = [];
    /* libwebsockets lets a frame without a mask pass, and waits for the bytes of one whose length
       is beyond all measure: neither does harm, and they are not ours to decide. */
    for (const [what, bytes] of [["a reserved bit", masked(0xc1, "4a")], ["an unknown opcode", masked(0x83, "4a")],
                                 ["a fragment that continues nothing", masked(0x80, "4a")], ["a ping in fragments", masked(0x09, "x")],
                                 ["a new message within another", Buffer.concat([masked(0x01, "4a"), masked(0x81, "4b")])],
                                 ["a close frame of one byte", masked(0x88, "x")]]) {
        const frames = await Frames.open(t, place);
        frames.socket._socket.write(bytes);
        if (!await frames.isClosed())
            open.push(what);
    }
    assert.deepEqual(open, []);
    await check("forbidden frames");
});

test("probe frames in every wrong order, and thousands of them", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const frames = ["2probe", "3probe", "5", "4a", "2", "6", "1", "0", "x"];
    for (let round = 0; round < 60; round++) {
        const session = await Polling.open(place);
        const socket = await prober(t, session);
        for (let i = 0; i < 6; i++)
            socket.send(random(8) ? frames[random(frames.length)] : Buffer.from("2probe"));
        const poll = session.get();
        if (random(2))
            await session.say(frames[random(frames.length)]);
        await Promise.race([poll.answer, wait(10)]);
        poll.abort();
        socket.socket.terminate();
    }
    const session = await Polling.open(place);
    const socket = await probe(t, session);
    for (let i = 0; i < 3000; i++)
        socket.send("2probe");
    socket.send("5");
    for (let i = 0; i < 3000; i++)
        assert.equal(await socket.next(), "3probe");
    assert.equal(await socket.echo("4a"), "4a");
    await check("wrong probes");
});

test("a hundred probe sockets at once: one upgrades, the others are closed", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const session = await Polling.open(place);
    const all = Array.from({ length: 100 }, () => new Frames(place, { sid: session.sid }));
    t.after(() => all.forEach(({ socket }) => socket.terminate()));
    await Promise.all(all.map(({ opened }) => opened));
    await wait(100);
    const open = all.filter(({ socket }) => socket.readyState === 1);
    assert.equal(open.length, 1);
    assert.equal(await open[0].echo("2probe"), "3probe");
    open[0].send("5");
    assert.equal(await open[0].echo("4a"), "4a");
});

test("a payload of very many packets, and packets of nothing but separators", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const session = await Polling.open(place);
    await session.say(SEPARATOR.repeat(900_000));
    assert.equal(await session.isGone(), true);
    const other = await Polling.open(place);
    await other.say(Array.from({ length: 200_000 }, () => "6").join(SEPARATOR));
    const third = await Polling.open(place);
    await third.say(Array.from({ length: 50_000 }, () => "3").join(SEPARATOR));
    await check("payloads of very many packets");
});

test("random and mangled payloads and frames never stop the server nor reach another client", async (t) => {
    const place = await conformance(t, "engine", ...CALM);
    const check = await witnesses(t, place);
    const seeds = ["4hello", "bAQIDBA==", "4a\x1e4b", "2probe", "3", "5", "1", "0{}", "6"];
    for (let round = 0; round < 150; round++) {
        const bytes = Buffer.from(seeds[random(seeds.length)]);
        for (let change = 1 + random(3); change > 0; change--)
            bytes[random(bytes.length)] = random(256);
        if (round % 2) {
            const session = await Polling.open(place);
            await session.post(bytes).answer;
            session.get().abort();
        }
        else {
            const frames = await Frames.open(t, place);
            frames.send(random(2) ? bytes : bytes.toString("latin1"));
            frames.socket.terminate();
        }
        if (round % 30 === 0)
            await check(`payload ${round}`);
    }
    for (let round = 0; round < 100; round++)
        await Promise.race([rawly(place, Buffer.concat([Buffer.from(`GET ${place.path}`),
            Buffer.from(Array.from({ length: 1 + random(200) }, () => random(256))), Buffer.from("\r\n\r\n")])), wait(50)]);
    await check("random requests");
});
