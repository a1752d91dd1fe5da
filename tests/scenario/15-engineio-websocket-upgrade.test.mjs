// A session over WebSocket, and the way from polling to it, at every interleaving that a client and a
// network can bring about: no message is lost, doubled or out of its order.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { at, conformance, Frames, Polling, PING_INTERVAL, PING_TIMEOUT, probe, prober, SEPARATOR } from "./support/conformance.mjs";
import { wait } from "./support/tidemark.mjs";

const MAX = 1_000_000;

/* -- WebSocket from the beginning ------------------------------------------------------------- */

test("text and binary messages come back as they were, each in one frame", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    for (const text of ["4hello", "4", "4b", "4bAQID", "4héllo ✓ 🌊", `4${"x".repeat(200_000)}`, `4a${SEPARATOR}4b`])
        assert.equal(await frames.echo(text), text);
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 300_000]) {
        const bytes = Buffer.from(Array.from({ length }, (_, i) => i % 256));
        assert.deepEqual(await frames.echo(bytes), bytes);
    }
});

test("a text frame that begins with b is a binary message in base64", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    assert.deepEqual(await frames.echo("bAQIDBA=="), Buffer.from([1, 2, 3, 4]));
});

test("many messages keep their order, text and binary together", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    for (let i = 0; i < 500; i++)
        frames.send(i % 3 ? `4${i}` : Buffer.from(`${i}`));
    for (let i = 0; i < 500; i++)
        assert.equal(String(await frames.next()), i % 3 ? `4${i}` : `${i}`);
});

test("a message in fragments is one message, with control frames between them answered", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    const pong = new Promise((resolve) => { frames.socket.once("pong", (bytes) => resolve(bytes.toString())); });
    frames.socket.send("4one ", { fin: false });
    frames.socket.ping("between");
    frames.socket.send("and ", { fin: false });
    frames.socket.send("two", { fin: true });
    assert.equal(await frames.next(), "4one and two");
    assert.equal(await pong, "between");
});

test("a frame that is no packet closes the connection", async (t) => {
    const place = await conformance(t, "engine");
    const open = [];
    for (const frame of ["abc", "", "7", "9", "x", " 4a", "-1", "{}", SEPARATOR, "2", "2probe"]) {
        const frames = await Frames.open(t, place);
        frames.send(frame);
        if (!await frames.isClosed())
            open.push(JSON.stringify(frame));
    }
    assert.deepEqual(open, []);
});

test("packets that mean nothing on a WebSocket are ignored: open, pong, upgrade, noop", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    for (const packet of ["0", "0{}", "3", "3probe", "5", "6"])
        frames.send(packet);
    assert.equal(await frames.echo("4a"), "4a");
});

test("a message of maxPayload is taken, one byte more closes with 1009", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    const most = `4${"x".repeat(MAX - 1)}`;
    assert.equal(await frames.echo(most), most);
    const bytes = Buffer.alloc(MAX, 7);
    assert.deepEqual(await frames.echo(bytes), bytes);
    frames.send(`${most}x`);
    assert.equal((await frames.closed).code, 1009);
    const other = await Frames.open(t, place);
    other.send(Buffer.alloc(MAX + 1));
    assert.equal((await other.closed).code, 1009);
});

test("pings come each interval, counted from the pong, and a silent client is closed", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place, {}, { answersPings: false });
    let since;
    for (let beat = 0; beat < 3; beat++) {
        assert.equal(await frames.next("a ping"), "2");
        if (since)
            assert.ok(performance.now() - since >= PING_INTERVAL - 2, `a ping after ${performance.now() - since} ms`);
        since = performance.now();
        frames.send("3");
    }
    assert.equal(await frames.next("a ping"), "2");
    const pinged = performance.now();
    const { at: closed } = await frames.closed;
    assert.ok(closed - pinged >= PING_TIMEOUT - 20, `closed ${closed - pinged} ms after the ping`);
});

test("a client that says nothing at all is closed after interval and timeout", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place, {}, { answersPings: false });
    const { at: closed } = await frames.closed;
    const took = closed - frames.hello;
    assert.ok(took >= PING_INTERVAL + PING_TIMEOUT - 20 && took < 2 * (PING_INTERVAL + PING_TIMEOUT), `${took} ms`);
});

test("a close frame and a broken connection each end the session", async (t) => {
    const place = await conformance(t, "engine");
    for (const end of [(frames) => frames.socket.close(), (frames) => frames.socket.close(1000, "bye"),
                       (frames) => frames.socket.terminate()]) {
        const frames = await Frames.open(t, place);
        end(frames);
        assert.equal(await frames.isClosed(), true);
        const gone = new Polling(place);
        gone.sid = frames.sid;
        for (let tries = 0; !await gone.isGone(); tries++) {
            assert.ok(tries < 100, "the session is still known");
            await wait(10);
        }
    }
});

/* At the latest: the reference server waits for the pong that a client that has closed does not send. */
test("a close packet ends the session, at the latest when its next pong is due", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place, {}, { answersPings: false });
    frames.send("1");
    assert.equal(await frames.isClosed(2 * (PING_INTERVAL + PING_TIMEOUT)), true);
    const gone = new Polling(place);
    gone.sid = frames.sid;
    assert.equal(await gone.isGone(), true);
});

/* -- the upgrade ------------------------------------------------------------------------------ */

test("probe, noop for the poll, upgrade: then messages go over the WebSocket", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    const polled = await session.poll();
    assert.deepEqual([polled.status, polled.body], [200, "6"]);
    frames.send("5");
    assert.equal(await frames.echo("4hello"), "4hello");
    assert.deepEqual(await frames.echo(Buffer.from([1, 2])), Buffer.from([1, 2]));
});

test("a poll that waited before the probe is answered with noop", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const waiting = session.get();
    await waiting.onServer;
    await wait(20);
    const begin = performance.now();
    const frames = await probe(t, session);
    const { status, body, at: answered } = await waiting.answer;
    assert.deepEqual([status, body], [200, "6"]);
    assert.ok(answered - begin < PING_INTERVAL - 50, `${answered - begin} ms`);
    frames.send("5");
    assert.equal(await frames.echo("4hello"), "4hello");
});

test("every poll that comes during the upgrade is answered with noop, at once", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    for (let i = 0; i < 2; i++) {
        const begin = performance.now();
        const polled = await session.poll();
        if (polled.body === "2")
            await session.say("3");
        else
            assert.equal(polled.body, "6");
        assert.ok(performance.now() - begin < 250, `${performance.now() - begin} ms`);
    }
    frames.send("5");
    assert.equal(await frames.echo("4hello"), "4hello");
});

test("messages posted during the upgrade come over the WebSocket, in order, before later ones", async (t) => {
    const place = await conformance(t, "engine");
    for (let round = 0; round < 5; round++) {
        const session = await Polling.open(place);
        const frames = await prober(t, session);
        await session.say("40", "41");
        frames.send("2probe");
        await session.say("42", "bAQID", "43");
        assert.equal(await frames.next(), "3probe");
        await session.say("44");
        frames.send("5");
        frames.send("45");
        for (const due of ["40", "41", "42", Buffer.from([1, 2, 3]), "43", "44", "45"])
            assert.deepEqual(await frames.next(), due);
    }
});

test("messages of before, during and after the upgrade keep their order over poll and WebSocket", async (t) => {
    const place = await conformance(t, "engine");
    for (let round = 0; round < 10; round++) {
        const session = await Polling.open(place);
        const got = [];
        let isUpgrading = false;
        /* As a client does: it polls until a poll is answered during the upgrade, and then no more. */
        const polls = (async () => {
            for (;;) {
                const { status, body } = await session.poll();
                assert.equal(status, 200, body);
                for (const packet of body.split(SEPARATOR)) {
                    if (packet === "2")
                        session.say("3");
                    else if (packet !== "6")
                        got.push(packet);
                }
                if (isUpgrading)
                    return;
            }
        })();
        let n = 0;
        const posts = (async () => {
            while (!isUpgrading || n < 20)
                await session.say(`4${n++}`);
        })();
        const frames = await prober(t, session);
        frames.send("2probe");
        assert.equal(await frames.next(), "3probe");
        isUpgrading = true;
        await polls;
        await posts;
        frames.send("5");
        const last = n + 20;
        while (n < last)
            frames.send(`4${n++}`);
        while (got.length < last)
            got.push(await frames.next());
        assert.deepEqual(got, Array.from({ length: last }, (_, i) => `4${i}`));
    }
});

test("the upgrade packet right behind the answer to the poll, and while a poll waits", async (t) => {
    const place = await conformance(t, "engine");
    const quick = await Polling.open(place);
    const waiting = quick.get();
    const frames = await probe(t, quick);
    await waiting.answer;
    frames.send("5");
    assert.equal(await frames.echo("4a"), "4a");

    const hasty = await Polling.open(place);
    const other = await prober(t, hasty);
    const open = hasty.get();
    await open.onServer;
    await wait(5);
    other.send("2probe");
    other.send("5");
    other.send("4a");
    assert.equal(await other.next(), "3probe");
    assert.equal(await other.next(), "4a");
    const { status, body } = await open.answer;
    assert.equal(status, 200);
    assert.ok(["6", "1"].includes(body), body);
    assert.equal(await other.echo("4b"), "4b");
});

test("a probe may be repeated", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    assert.equal(await frames.echo("2probe"), "3probe");
    frames.send("5");
    assert.equal(await frames.echo("4a"), "4a");
});

test("anything but probe and upgrade on the probe socket closes it alone", async (t) => {
    const place = await conformance(t, "engine");
    const wrong = [];
    for (const isProbed of [false, true])
        for (const frame of ["4hello", "2", "2other", "3probe", "3", "0", "1", "6", "abc", "", Buffer.from("2probe"), Buffer.alloc(0)]) {
            const session = await Polling.open(place);
            const frames = isProbed ? await probe(t, session) : await prober(t, session);
            frames.send(frame);
            if (!await frames.isClosed())
                wrong.push(`${isProbed} ${JSON.stringify(frame)}: not closed`);
            const echo = await session.echo("4a").catch((error) => error.message);
            if (!["4a", "6"].includes(echo))
                wrong.push(`${isProbed} ${JSON.stringify(frame)}: ${echo}`);
        }
    assert.deepEqual(wrong, []);
});

test("behind a probe socket that failed another one upgrades", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const fail of [(frames) => frames.send("4wrong"), (frames) => frames.socket.terminate(), (frames) => frames.socket.close()]) {
        const frames = await probe(t, session);
        fail(frames);
        assert.equal(await frames.isClosed(), true);
        for (;;) {
            const echo = await session.echo("4still polling");
            if (echo !== "6") {
                assert.equal(echo, "4still polling");
                break;
            }
            assert.equal(await session.next(), "4still polling");
            break;
        }
    }
    const frames = await probe(t, session);
    frames.send("5");
    assert.equal(await frames.echo("4a"), "4a");
});

test("a poll is no longer answered at once when the probe socket is gone", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    frames.socket.close();
    await frames.closed;
    assert.equal((await session.poll()).body, "2");
    await session.say("3");
    assert.equal(await session.echo("4a"), "4a");
});

test("a second WebSocket with the same sid is accepted and closed: while one probes and when one has upgraded", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    for (const isUpgraded of [false, true]) {
        if (isUpgraded)
            frames.send("5");
        const second = new Frames(place, { sid: session.sid });
        assert.equal(await second.opened, true);
        assert.equal((await second.closed).code, 1005);
        assert.deepEqual(second.inbox.all, []);
        if (!isUpgraded)
            assert.equal((await session.poll()).body, "6");
    }
    assert.equal(await frames.echo("4a"), "4a");
});

test("a WebSocket with the sid of a session that began on WebSocket is closed", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    const second = new Frames(place, { sid: frames.sid });
    t.after(() => second.socket.terminate());
    second.send = () => {};
    await second.opened;
    second.socket.send("4wrong");
    assert.equal(await second.isClosed(), true);
    assert.equal(await frames.echo("4a"), "4a");
});

test("polls and posts with the sid of an upgraded session are 400 and do it no harm", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session);
    frames.send("5");
    assert.equal(await frames.echo("4a"), "4a");
    for (const answer of [await session.poll(), await session.say("4b"), await session.say("1"), await session.poll()]) {
        assert.equal(answer.status, 400);
        assert.deepEqual(JSON.parse(answer.body), { code: 3, message: "Bad request" });
    }
    assert.equal(await frames.echo("4c"), "4c");
});

test("the heartbeat goes on over the WebSocket: answered it holds, unanswered it ends", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session, { answersPings: false });
    frames.send("5");
    for (let beat = 0; beat < 3; beat++) {
        assert.equal(await frames.next("a ping"), "2");
        frames.send("3");
    }
    assert.equal(await frames.next("a ping"), "2");
    assert.equal(await frames.isClosed(), true);
    assert.equal(await session.isGone(), true);
});

test("a ping during the upgrade is not lost", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const frames = await probe(t, session, { answersPings: false });
    await at(session.opened, PING_INTERVAL + 50);
    frames.send("5");
    assert.equal(await frames.next("the ping"), "2");
    frames.send("3");
    assert.equal(await frames.echo("4a"), "4a");
});

test("a session that ends during its upgrade takes the probe socket along", async (t) => {
    const place = await conformance(t, "engine");
    for (const end of [(session) => session.say("1"), (session) => session.say("abc"), async (session) => {
        const poll = session.get();     // the second one
        const other = session.get();
        await Promise.all([poll.answer, other.answer]);
    }]) {
        const session = await Polling.open(place);
        const frames = await prober(t, session);
        await end(session);
        assert.equal(await frames.isClosed(), true);
        assert.equal(await session.isGone(), true);
    }
});

test("after an upgrade the end of the WebSocket is the end of the session", async (t) => {
    const place = await conformance(t, "engine");
    for (const end of [(frames) => frames.socket.close(), (frames) => frames.socket.terminate()]) {
        const session = await Polling.open(place);
        const frames = await probe(t, session);
        frames.send("5");
        await frames.echo("4a");
        end(frames);
        await frames.closed;
        for (let tries = 0; !await session.isGone(); tries++) {
            assert.ok(tries < 100, "the session is still known");
            await wait(10);
        }
    }
});

test("an upgrade that is not completed in ten seconds is given up, the polling goes on", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const begin = performance.now();
    const frames = await probe(t, session);
    let isOpen = true;
    frames.closed.then(() => { isOpen = false; });
    while (isOpen && performance.now() - begin < 15000) {
        const { status, body } = await session.poll();
        assert.equal(status, 200);
        if (body === "2")
            await session.say("3");
        else if (body === "6")
            await wait(50);
    }
    const took = performance.now() - begin;
    assert.equal(isOpen, false);
    assert.ok(took >= 9900, `${took} ms`);
    const echo = await session.echo("4a");
    assert.equal(echo === "6" ? await session.next() : echo, "4a");
});
