// Engine.IO's handshake as the reference server does it: what is said, what is refused and in which
// order things are looked at, and what a page of another origin may do.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, conformance, Frames, PING_INTERVAL, PING_TIMEOUT, Polling, probe, rawly, target } from "./support/conformance.mjs";

const MESSAGES = ["Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden",
                  "Unsupported protocol version"];

test("over polling the open packet has five keys and the answer its headers", async (t) => {
    const place = await conformance(t, "engine");
    const answer = await ask(place);
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^text\/plain; ?charset=utf-8$/i);
    assert.equal(answer.headers["cache-control"], "no-store");
    assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(answer.body));
    assert.equal(answer.body[0], "0");
    const { sid, ...rest } = JSON.parse(answer.body.slice(1));
    assert.deepEqual(rest, { upgrades: ["websocket"], pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, maxPayload: 1000000 });
    assert.equal(typeof sid, "string");
    assert.ok(sid.length >= 20, `${sid} can be guessed`);
});

test("over WebSocket the open packet is the first text frame and offers no upgrade", async (t) => {
    const place = await conformance(t, "engine");
    const { open: { sid, ...rest } } = await Frames.open(t, place);
    assert.deepEqual(rest, { upgrades: [], pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, maxPayload: 1000000 });
    assert.equal(typeof sid, "string");
});

test("every session has a sid of its own that fits into a query as it is", async (t) => {
    const place = await conformance(t, "engine");
    const sids = new Set();
    for (let i = 0; i < 50; i++) {
        const { sid } = i % 2 ? await Polling.open(place) : await Frames.open(t, place);
        assert.equal(encodeURIComponent(sid), sid);
        sids.add(sid);
    }
    assert.equal(sids.size, 50);
});

test("what else stands in the query is ignored, and values may be percent-encoded", async (t) => {
    const place = await conformance(t, "engine");
    for (const query of ["EIO=4&transport=polling&t=abc.1", "t=x&transport=polling&EIO=4", "EIO=4&transport=polling&b64=1",
                         "EIO=4&transport=polling&sid=", "EIO=4&transport=%70olling", "%45IO=%34&transport=polling",
                         "EIO=4&transport=polling&token=a%20b+c&&x", "EIO=4&transport=polling&constructor=1&__proto__=2"]) {
        const answer = await ask(place, { target: `${place.path}?${query}` });
        assert.equal(answer.status, 200, `${query}: ${answer.body}`);
        assert.equal(answer.body[0], "0", query);
    }
});

test("the path is a prefix that ends in a slash", async (t) => {
    const place = await conformance(t, "engine");
    assert.equal((await ask(place, { target: `${place.path}?EIO=4&transport=polling` })).status, 200);
    assert.equal((await ask(place, { target: `${place.path}default/?EIO=4&transport=polling` })).status, 200);
});

/* Asks, and says what is wrong with the refusal; "" if nothing. */
async function refusal(place, { method, query, headers }, code) {
    const answer = await ask(place, { method, query, headers });
    if (answer.status !== 400)
        return `status ${answer.status} ${answer.body}`;
    if (!/^application\/json/.test(answer.headers["content-type"]))
        return `content type ${answer.headers["content-type"]}`;
    if (method === "HEAD")
        return "";
    const body = JSON.stringify({ code, message: MESSAGES[code] });
    return answer.body === body ? "" : answer.body;
}

test("every refusal has its code, and of several faults the first that is looked at", async (t) => {
    const place = await conformance(t, "engine");
    const frames = await Frames.open(t, place);
    const wrong = [];
    for (const [what, request, code] of [
        ["no transport", { query: { transport: undefined } }, 0],
        ["an empty transport", { query: { transport: "" } }, 0],
        ["another transport", { query: { transport: "abc" } }, 0],
        ["a transport in capitals", { query: { transport: "POLLING" } }, 0],
        ["a transport that is not served", { query: { transport: "webtransport" } }, 0],
        ["a name that every object has", { query: { transport: "constructor" } }, 0],
        ["no transport nor version nor method", { method: "PUT", query: { transport: undefined, EIO: undefined } }, 0],
        ["another transport of an unknown session", { query: { transport: "abc", sid: "nobody" } }, 0],
        ["an unknown session", { query: { sid: "nobody" } }, 1],
        ["a session by a name that every object has", { query: { sid: "__proto__" } }, 1],
        ["a session by another such name", { query: { sid: "toString" } }, 1],
        ["a POST to an unknown session", { method: "POST", query: { sid: "nobody" } }, 1],
        ["an unknown session of another version", { query: { sid: "nobody", EIO: 3 } }, 1],
        ["an unknown session over WebSocket", { query: { sid: "nobody", transport: "websocket" } }, 1],
        ["a handshake by POST", { method: "POST" }, 2],
        ["a handshake by PUT", { method: "PUT" }, 2],
        ["a handshake by DELETE", { method: "DELETE" }, 2],
        ["a handshake by HEAD", { method: "HEAD" }, 2],
        ["a handshake by POST of another version", { method: "POST", query: { EIO: 3 } }, 2],
        ["a handshake by POST for WebSocket", { method: "POST", query: { transport: "websocket" } }, 2],
        ["WebSocket without Upgrade", { query: { transport: "websocket" } }, 3],
        ["WebSocket without Upgrade of another version", { query: { transport: "websocket", EIO: 3 } }, 3],
        ["polling a session that is on WebSocket", { query: { sid: frames.sid } }, 3],
        ["posting to a session that is on WebSocket", { method: "POST", query: { sid: frames.sid } }, 3],
        ["no version", { query: { EIO: undefined } }, 5],
        ["an empty version", { query: { EIO: "" } }, 5],
        ["version 3", { query: { EIO: 3 } }, 5],
        ["version 5", { query: { EIO: 5 } }, 5],
        ["version 04", { query: { EIO: "04" } }, 5],
        ["a version that is none", { query: { EIO: "abc" } }, 5]
    ]) {
        const answer = await refusal(place, request, code);
        if (answer)
            wrong.push(`${what}: ${answer}`);
    }
    assert.deepEqual(wrong, []);
    assert.equal(await frames.echo("4still here"), "4still here");
});

test("a session's transport is not changed without an upgrade", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const method of ["GET", "POST"])
        assert.equal(await refusal(place, { method, query: { sid: session.sid, transport: "websocket" } }, 3), "");
    assert.equal(await session.echo("4a"), "4a");
});

test("a method that is neither GET nor POST leaves a session as it was", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
        const { status } = await session.get({ method }).answer;
        assert.ok([400, 405, 500].includes(status), `${method}: ${status}`);
    }
    assert.equal(await session.echo("4a"), "4a");
});

test("a WebSocket is refused by HTTP 400 with the message as its body, and the connection ended", async (t) => {
    const place = await conformance(t, "engine");
    for (const [query, message] of [[{ transport: "abc" }, MESSAGES[0]], [{ transport: undefined }, MESSAGES[0]],
                                    [{ sid: "nobody" }, MESSAGES[1]], [{ sid: "nobody", EIO: 3 }, MESSAGES[1]]]) {
        const frames = new Frames(place, query);
        const answer = await frames.refused;
        assert.deepEqual([answer.status, answer.body], [400, message], JSON.stringify(query));
        assert.equal(Number(answer.headers["content-length"]), message.length);
        assert.equal(answer.headers.connection, "close");
        frames.socket.terminate();
        const key = Buffer.alloc(16, 7).toString("base64");
        const raw = await rawly(place, `GET ${target(place, { transport: "websocket", ...query })} HTTP/1.1\r\nHost: a\r\n` +
            `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`);
        assert.ok(raw.startsWith("HTTP/1.1 400 Bad Request\r\n") && raw.endsWith(`\r\n\r\n${message}`), raw);
    }
});

test("a WebSocket of another version, or that asks for polling, opens no session", async (t) => {
    const place = await conformance(t, "engine");
    for (const query of [{ EIO: undefined }, { EIO: "abc" }, { EIO: 3 }, { transport: "polling" }]) {
        const frames = new Frames(place, query);
        const { code } = await Promise.race([frames.closed, frames.refused.then(() => ({ code: "refused" }))]);
        assert.deepEqual(frames.inbox.all, [], `${JSON.stringify(query)}: ${code}`);
        frames.socket.terminate();
    }
});

/* -- other origins ---------------------------------------------------------------------------- */

const ORIGIN = "http://elsewhere.example:8080";

function assertAllowed(headers, what) {
    const allowed = headers["access-control-allow-origin"];
    assert.ok(allowed === "*" || allowed === ORIGIN, `${what}: allows ${allowed}`);
    if (allowed === ORIGIN)
        assert.match(headers.vary ?? "", /origin/i, `${what}: must vary`);
}

test("a page of any origin may open a session, poll, post and see why it was refused", async (t) => {
    const place = await conformance(t, "engine");
    const headers = { Origin: ORIGIN };
    assertAllowed((await ask(place, { headers })).headers, "the handshake");
    const session = await Polling.open(place);
    const posted = await session.post("4a", { headers: { ...headers, "Content-Type": "text/plain;charset=UTF-8" } }).answer;
    assert.equal(posted.body, "ok");
    assertAllowed(posted.headers, "a POST");
    assertAllowed((await session.get({ headers }).answer).headers, "a poll");
    const refused = await ask(place, { headers, query: { sid: "nobody" } });
    assert.equal(refused.status, 400);
    assertAllowed(refused.headers, "a refusal");
    const frames = await Frames.open(t, place, {}, { headers });
    assert.equal(await frames.echo("4a"), "4a");
});

test("a preflight is answered without a session, and says methods and headers", async (t) => {
    const place = await conformance(t, "engine");
    const session = await Polling.open(place);
    for (const query of [{}, { sid: session.sid }, { sid: "nobody" }]) {
        const answer = await ask(place, { method: "OPTIONS", query, headers: {
            Origin: ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-mine" } });
        assert.ok(answer.status === 204 || answer.status === 200, `${answer.status} ${answer.body}`);
        assert.equal(answer.body, "");
        assertAllowed(answer.headers, "a preflight");
        const methods = answer.headers["access-control-allow-methods"].split(/, */);
        assert.ok(methods.includes("GET") && methods.includes("POST"), methods.join());
        const allowed = answer.headers["access-control-allow-headers"].toLowerCase().split(/, */);
        assert.ok(allowed.includes("content-type") && allowed.includes("x-mine"), allowed.join());
    }
    assert.equal(await session.echo("4a"), "4a");
});

test("an Origin with a control character in it is refused", async (t) => {
    const place = await conformance(t, "engine");
    const answer = await rawly(place, `GET ${target(place)} HTTP/1.1\r\nHost: a\r\nOrigin: http://a\x01b\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /);
});

test("sessions do not know each other", async (t) => {
    const place = await conformance(t, "engine");
    const [one, other] = [await Polling.open(place), await Polling.open(place)];
    await one.say("4of one");
    await other.say("4of other");
    assert.equal(await other.next(), "4of other");
    assert.equal(await one.next(), "4of one");
    const upgraded = await probe(t, one);
    upgraded.send("5");
    assert.equal(await other.echo("4again"), "4again");
});
