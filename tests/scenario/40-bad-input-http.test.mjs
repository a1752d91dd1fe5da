// Whatever comes over HTTP is answered with the contract's codes, and changes nothing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import { history, publish, random, request, tidemark } from "./support/tidemark.mjs";

const good = { topic: "a", event: "wave", data: 1 };
const without = (name) => Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));
const long = (n) => "x".repeat(n);

/* What is sent to /api/v1/publish, and how it is answered. */
const refused = [
    ["no body", "", 400, "bad_json"],
    ["no JSON", "{", 400, "bad_json"],
    ["two values", "{}{}", 400, "bad_json"],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0xfe, 0x22]), 400, "bad_json"],
    ["a NUL in a string", '{"topic":"a\\u0000b","event":"e","data":1}', 400, ["bad_json", "bad_topic"]],
    ["deep nesting", "[".repeat(100_000), 400, "bad_json"],
    ["a number", "17", 400, "bad_request"],
    ["a string", '"a"', 400, "bad_request"],
    ["null", "null", 400, "bad_request"],
    ["an array of numbers", "[1]", 400, "bad_request"],
    ["no topic", without("topic"), 400, ["bad_request", "bad_topic"]],
    ["no event", without("event"), 400, "bad_request"],
    ["a topic that is a number", { ...good, topic: 7 }, 400, ["bad_request", "bad_topic"]],
    ["an empty topic", { ...good, topic: "" }, 400, "bad_topic"],
    ["a subtree", { ...good, topic: "a/#" }, 400, "bad_topic"],
    ["a control character", { ...good, topic: "a\nb" }, 400, "bad_topic"],
    ["256 bytes of topic", { ...good, topic: long(256) }, 400, "bad_topic"],
    ["an event name that is an object", { ...good, event: {} }, 400, "bad_request"],
    ["256 bytes of event name", { ...good, event: long(256) }, [400, 413], ["bad_request", "too_large"]],
    ["256 bytes of key", { ...good, key: long(256) }, [400, 413], ["bad_request", "too_large"]],
    ["a key that is a number", { ...good, key: 5 }, 400, "bad_request"],
    ["an id that is an array", { ...good, id: [] }, 400, "bad_request"],
    ["volatile that is a string", { ...good, volatile: "yes" }, 400, "bad_request"],
    ["args that are no array", { ...without("data"), args: 1 }, 400, "bad_request"],
    ["data and args", { ...good, args: [1] }, 400, "bad_request"],
    ["base64 that is none", { ...good, data: { $binary: "!!" } }, 400, "bad_request"],
    ["one wrong of three", [good, { ...good, topic: "#" }, good], 400, "bad_topic"],
    ["a payload above the limit", { ...good, data: long(1_000_001) }, 413, "too_large"],
    ["a topic of the system", { ...good, topic: "$session/x" }, 403, "forbidden"],
    ["a session's own topic", { ...good, topic: "@x" }, 403, "forbidden"]
];

const oneOf = (value, allowed) => [allowed].flat().includes(value);

test("every wrong publish is refused by its code, and nothing of it is appended", async (t) => {
    const server = await tidemark(t);
    const wrong = [];
    for (const [what, body, status, code] of refused) {
        const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
        const answer = await request(`${server.url}/api/v1/publish`, { method: "POST", body: text });
        let error = {};
        try {
            error = JSON.parse(answer.body).error ?? {};
        }
        catch { /* counted below */ }
        if (!oneOf(answer.status, status) || !oneOf(error.code, code) || !error.message)
            wrong.push(`${what}: ${answer.status} ${answer.body.slice(0, 200)}`);
    }
    assert.deepEqual(wrong, []);
    assert.deepEqual(await history(server, "a"), []);
    assert.deepEqual((await history(server, "#")).map((event) => event.topic), []);
});

test("every wrong question is refused by its code", async (t) => {
    const server = await tidemark(t);
    const wrong = [];
    for (const [method, where, status, code] of [
        ["GET", "/api/v1/history", 400, ["bad_request", "bad_topic"]],
        ["GET", "/api/v1/history?topic=", 400, "bad_topic"],
        ["GET", "/api/v1/history?topic=a&limit=0", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a&limit=many", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a&limit=-1", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a&limit=99999999999999999999", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a&since=yesterday", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a&since=-5", 400, "bad_request"],
        ["GET", "/api/v1/history?topic=a%01b", 400, "bad_topic"],
        ["GET", "/api/v1/history?topic=%ff", 400, "bad_topic"],
        ["GET", "/api/v1/history?topic=a%23", 400, "bad_topic"],
        ["GET", `/api/v1/history?topic=${long(300)}`, 400, "bad_topic"],
        ["GET", "/api/v1/snapshot", 400, ["bad_request", "bad_topic"]],
        ["GET", "/api/v1/nothing", 404, "not_found"],
        ["GET", "/api/v1/publish", 405, "bad_request"],
        ["POST", "/api/v1/history?topic=a", 405, "bad_request"],
        ["DELETE", "/api/v1/publish", 405, "bad_request"]
    ]) {
        const answer = await request(server.url + where, { method, body: method === "POST" ? "{}" : undefined });
        const error = JSON.parse(answer.body || "{}").error ?? {};
        if (!oneOf(answer.status, status) || !oneOf(error.code, code))
            wrong.push(`${method} ${where.slice(0, 60)}: ${answer.status} ${answer.body.slice(0, 200)}`);
    }
    assert.deepEqual(wrong, []);
});

test("a body of many megabytes is refused without being kept", async (t) => {
    const server = await tidemark(t);
    const before = server.gateway.memory();
    for (let i = 0; i < 5; i++) {
        const answer = await request(`${server.url}/api/v1/publish`, { method: "POST", body: Buffer.alloc(50 << 20, 0x20) })
            .catch((error) => ({ status: error.code }));
        assert.ok([413, "EPIPE", "ECONNRESET"].includes(answer.status), String(answer.status));
    }
    assert.ok(server.gateway.memory() - before < 30 << 20, "memory grew");
    await publish(server, good);
});

/* Sends bytes as they are, and waits for the answer or breaks off. */
async function raw(server, bytes, { isPatient = false } = {}) {
    const socket = net.connect(server.port, "127.0.0.1", () => {
        if (isPatient)
            socket.end(bytes);
        else
            socket.write(bytes, () => socket.destroy());
    });
    socket.on("error", () => {});
    socket.resume();
    await new Promise((resolve) => { socket.once("close", resolve); });
}

test("malformed, cut and random requests leave the server as it was", async (t) => {
    const server = await tidemark(t);
    const { seq } = await publish(server, good);
    const requests = [
        "GET\r\n\r\n", "\r\n\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        `GET /${long(20_000)} HTTP/1.1\r\n\r\n`, `GET / HTTP/1.1\r\nX: ${long(100_000)}\r\n\r\n`,
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n{}",
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        "POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "GET /api/v1/history?topic=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/v1/history?topic=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 1\r\n\r\n"
    ];
    for (const bytes of requests)
        await Promise.all([raw(server, bytes), raw(server, bytes, { isPatient: true })]);
    for (let round = 0; round < 200; round++)
        await raw(server, Buffer.from(Array.from({ length: 1 + random(400) }, () => random(256))), { isPatient: round % 2 === 0 });
    assert.equal((await server.get("/healthz")).status, 200);
    assert.deepEqual((await history(server, "a")).map((event) => event.seq), [seq]);
});

test("a slow request holds nobody up", async (t) => {
    const server = await tidemark(t);
    const slow = Array.from({ length: 50 }, () => {
        const socket = net.connect(server.port, "127.0.0.1");
        socket.on("error", () => {});
        socket.write("POST /api/v1/publish HTTP/1.1\r\nHost: a\r\nContent-Le");
        t.after(() => socket.destroy());
        return socket;
    });
    await Promise.all(slow.map((socket) => once(socket, "connect")));
    await publish(server, good);
    assert.equal((await server.get("/readyz")).status, 200);
});
