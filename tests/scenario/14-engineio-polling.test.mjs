// A session over HTTP long-polling as the reference server has it: payloads, limits, one request of a
// kind at a time, heartbeat and every way to end.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { at, conformance, PING_INTERVAL, PING_TIMEOUT, Polling, rawly, SEPARATOR, target } from "./support/conformance.mjs";
import { wait } from "./support/tidemark.mjs";

const MAX = 1_000_000;

/* As many packets as were sent, in whatever portions they come. */
async function take(session, count) {
    const packets = [];
    while (packets.length < count)
        packets.push(await session.next());
    return packets;
}

test("one packet, several and mixed ones come back in one poll as they were posted", async (t) => {
    const place = await conformance(t, "engine");
    for (const packets of [["4hello"], ["4test1", "4test2", "4test3"], ["4hello", "bAQIDBA=="], ["bAQIDBA==", "4", "b", "4x"],
                           ["4héllo wörld ✓ 🌊"], ["42[\"a\",{}]"], ["4b", "4bAQID"], [`4${"é".repeat(5000)}`]]) {
        const session = await Polling.open(place);
        const posted = await session.post(packets.join(SEPARATOR)).answer;
        assert.deepEqual([posted.status, posted.body], [200, "ok"]);
        assert.match(posted.headers["content-type"], /^text\/html/);
        assert.equal(posted.headers["content-length"], "2");
        assert.equal(posted.headers["cache-control"], "no-store");
        const polled = await session.poll();
        assert.equal(polled.status, 200);
        assert.equal(polled.body, packets.join(SEPARATOR));
        assert.match(polled.headers["content-type"], /^text\/plain; ?charset=utf-8$/i);
        assert.equal(polled.headers["cache-control"], "no-store");
        assert.equal(Number(polled.headers["content-length"]), Buffer.byteLength(polled.body));
    }
});

test("a poll that waits is answered by the message", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const waiting = session.get();
    await waiting.onServer;
    assert.equal((await session.say("4hello")).body, "ok");
    assert.equal((await waiting.answer).body, "4hello");
});

test("the content type of a post is not looked at", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const type of [undefined, "text/plain;charset=UTF-8", "text/plain", "application/json", "x"]) {
        const posted = await session.post("4a", { headers: type ? { "Content-Type": type } : {} }).answer;
        assert.equal(posted.body, "ok", type);
        assert.equal(await session.next(), "4a");
    }
});

test("every byte value comes back in base64, of every length", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const length of [0, 1, 2, 3, 255, 256, 70_000]) {
        const packet = `b${Buffer.from(Array.from({ length }, (_, i) => i % 256)).toString("base64")}`;
        assert.equal(await session.echo(packet), packet);
    }
});

test("many messages keep their order, post by post", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const sent = [];
    for (let post = 0; post < 20; post++) {
        const packets = Array.from({ length: 10 }, (_, i) => `4${post * 10 + i}`);
        sent.push(...packets);
        await session.say(...packets);
    }
    assert.deepEqual(await take(session, 200), sent);
});

test("a payload of maxPayload is taken, one byte more is 413", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const most = `4${"x".repeat(MAX - 1)}`;
    assert.equal((await session.say(most)).body, "ok");
    assert.equal(await session.next(), most);
    const { status, error } = await session.post(`${most}x`, { agent: false }).answer;
    assert.ok(status === 413 || error, `${status}`);
    // Its length is in bytes, not in characters.
    const other = await Polling.open(place);
    const wide = await other.post(`4${"é".repeat(MAX / 2)}`, { agent: false }).answer;
    assert.ok(wide.status === 413 || wide.error, `${wide.status}`);
});

test("the status of a payload that is too large can be read", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const answer = await rawly(place, [`POST ${target(place, { sid: session.sid })} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n` +
        `Content-Length: ${MAX + 1}\r\n\r\n`, "4", "x".repeat(MAX)]);
    assert.match(answer, /^HTTP\/1\.1 413 /);
});

test("a second poll ends the session: the first is answered with the close packet", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const first = session.get();
    await first.onServer;
    await wait(5);
    const second = await session.poll();
    const { status, body } = await first.answer;
    assert.deepEqual([status, body], [200, "1"]);
    assert.ok([400, 500].includes(second.status), `${second.status}`);
    assert.equal(await session.isGone(), true);
});

test("a second post while the first is under way is 400 and ends the session", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const first = session.post(null, { headers: { "Content-Length": 4 } });
    first.sent.write("4a");
    await first.onServer;
    await wait(20);
    const second = await session.say("4b");
    assert.ok(second.status === 400 || second.error, `${second.status} ${second.body}`);
    first.sent.end("bc");
    assert.notEqual((await first.answer).body, "ok");
    assert.equal(await session.isGone(), true);
});

test("a poll and a post at the same time are no conflict", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (let i = 0; i < 50; i++) {
        const waiting = session.get();
        const [posted, polled] = await Promise.all([session.say(`4${i}`), waiting.answer]);
        assert.deepEqual([posted.body, polled.status], ["ok", 200]);
        const packets = polled.body.split(SEPARATOR);       // a ping may come alone or along with it
        if (packets.includes("2"))
            await session.say("3");
        assert.ok(packets.includes(`4${i}`) || await session.next() === `4${i}`, polled.body);
    }
});

test("a poll that the client breaks off ends the session", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const poll = session.get();
    await poll.onServer;
    await wait(20);
    poll.abort();
    await wait(20);
    assert.equal(await session.isGone(), true);
});

test("a post that the client breaks off ends the session, and says nothing to the application", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const waiting = session.get();
    const post = session.post(null, { headers: { "Content-Length": 20 } });
    post.sent.write("4hello");
    await post.onServer;
    await wait(20);
    post.abort();
    assert.equal((await waiting.answer).body, "1");
    assert.equal(await session.isGone(), true);
});

test("a binary body is none of version 4: 400, and the session is over", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const answer = await session.post("4hello", { headers: { "Content-Type": "application/octet-stream" } }).answer;
    assert.ok(answer.status === 400 || answer.error, `${answer.status}`);
    assert.equal(await session.isGone(), true);
});

test("a packet that is none ends the session", async (t) => {
    const place = await conformance(t, "engine");
    const alive = [];
    for (const payload of ["abc", "", "7", "8", "9", "x", SEPARATOR, `4a${SEPARATOR}`, `${SEPARATOR}4a`, `4a${SEPARATOR}9`,
                           "-1", " 4a", "B", "\0", "🌊", "{}"]) {
        const session = await Polling.open(place);
        await session.say(payload);
        if (!await session.isGone())
            alive.push(JSON.stringify(payload));
    }
    assert.deepEqual(alive, []);
});

test("what stands before a packet that is none is still a message", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const waiting = session.get();
    await waiting.onServer;
    await wait(5);
    await session.say("4first", "x", "4second");
    assert.equal((await waiting.answer).body, "4first");
    assert.equal(await session.isGone(), true);
});

test("packets that mean nothing here are ignored: open, upgrade, noop", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const packet of ["0", "0{}", "5", "6", "6x", "3", "3probe"])
        assert.equal((await session.say(packet)).body, "ok", packet);
    assert.equal(await session.echo("4a"), "4a");
});

/* -- heartbeat -------------------------------------------------------------------------------- */

test("a ping comes each interval, counted from the pong, and the pong is a post", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    let since = session.opened;
    for (let beat = 0; beat < 3; beat++) {
        const { status, body, at: came } = await session.poll();
        assert.deepEqual([status, body], [200, "2"]);
        if (beat > 0)
            assert.ok(came - since >= PING_INTERVAL - 2, `a ping after ${came - since} ms`);
        since = performance.now();
        assert.equal((await session.say("3")).status, 200);
    }
});

test("a poll at exactly interval plus timeout finds no session", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    await at(performance.now(), PING_INTERVAL + PING_TIMEOUT);
    assert.equal(await session.isGone(), true);
});

test("a session whose ping was fetched and not answered is gone when the timeout is over", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    assert.equal((await session.poll()).body, "2");
    await at(performance.now(), PING_TIMEOUT + 20);
    assert.equal(await session.isGone(), true);
});

test("a poll that waits when the pong is overdue is answered with the close packet", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    assert.equal((await session.poll()).body, "2");
    assert.equal((await session.poll()).body, "1");
    assert.equal(await session.isGone(), true);
});

test("a session that answers its pings stays, however little it says", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const end = performance.now() + 4 * (PING_INTERVAL + PING_TIMEOUT);
    while (performance.now() < end) {
        assert.equal((await session.poll()).body, "2");
        await wait(PING_TIMEOUT / 2);
        await session.say("3");
    }
    assert.equal(await session.echo("4a"), "4a");
});

test("messages do not stand in for pongs for ever", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const end = performance.now() + 3 * (PING_INTERVAL + PING_TIMEOUT);
    let status;
    do {
        ({ status } = await session.say("4a"));
        await wait(20);
    } while (status === 200 && performance.now() < end);
    assert.equal(status, 400);
});

test("a ping from the client is an error", async (t) => {
    const place = await conformance(t, "engine");
    for (const packet of ["2", "2probe"]) {
        const session = await Polling.open(place);
        await session.say(packet);
        assert.equal(await session.isGone(), true);
    }
});

/* -- close ------------------------------------------------------------------------------------ */

test("a close packet is answered ok, the waiting poll with noop, and the session is forgotten", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const waiting = session.get();
    await waiting.onServer;
    await wait(5);
    const posted = await session.say("1");
    assert.deepEqual([posted.status, posted.body], [200, "ok"]);
    const { status, body } = await waiting.answer;
    assert.deepEqual([status, body], [200, "6"]);
    assert.equal(await session.isGone(), true);
});

test("a close packet without a poll, and one behind a message, end the session too", async (t) => {
    const place = await conformance(t, "engine");
    for (const packets of [["1"], ["4a", "1"], ["1", "4a"]]) {
        const session = await Polling.open(place);
        assert.equal((await session.say(...packets)).body, "ok");
        assert.equal(await session.isGone(), true);
        assert.equal((await session.say("4a")).status, 400);
    }
});

/* -- the connection beneath ------------------------------------------------------------------- */

test("requests may come over one connection or each over its own", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const both = await rawly(place, [`POST ${target(place, { sid: session.sid })} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n4a`,
        `GET ${target(place, { sid: session.sid })} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`]);
    assert.match(both, /^HTTP\/1\.1 200 OK[^]*\r\n\r\nokHTTP\/1\.1 200 OK[^]*\r\n\r\n4a$/);
    const old = await rawly(place, `POST ${target(place, { sid: session.sid })} HTTP/1.0\r\nContent-Length: 2\r\n\r\n4b`);
    assert.match(old, /^HTTP\/1\.[01] 200 OK[^]*\r\n\r\nok$/);
    assert.equal(await session.next(), "4b");
});

test("a body that comes byte by byte is one payload", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    const packets = ["4héllo", "bAQID", "4🌊"];
    const body = Buffer.from(packets.join(SEPARATOR));
    const head = `POST ${target(place, { sid: session.sid })} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
    const answer = await rawly(place, [head, ...Array.from(body, (byte) => Buffer.from([byte]))], { gapMs: 1 });
    assert.match(answer, /^HTTP\/1\.1 200 OK[^]*\r\n\r\nok$/);
    assert.deepEqual(await take(session, 3), packets);
});
