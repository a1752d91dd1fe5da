// A server says that it is alive, that it can serve, and how much it does; and it stops cleanly.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { stockClient } from "./support/clients.mjs";
import { publish, tidemark, until } from "./support/tidemark.mjs";

for (const isSeparate of [false, true]) {
    const what = isSeparate ? "broker and gateway" : "serve";

    test(`${what}: health, readiness and metrics are served, and SIGTERM is a clean stop`, async (t) => {
        const server = await tidemark(t, { isSeparate });
        assert.equal((await server.get("/healthz")).status, 200);
        assert.equal((await server.get("/readyz")).status, 200);
        const before = await server.get("/metrics");
        assert.equal(before.status, 200);
        for (const line of before.text.split("\n"))
            assert.match(line, /^(#.*|[a-zA-Z_:][\w:]*(\{[^}]*\})? -?[\d.eE+-]+|)$/, "a line that is not Prometheus text");

        await publish(server, { topic: "a", event: "wave", data: 1 });
        const after = await server.get("/metrics");
        assert.notEqual(after.text, before.text, "a publish moved no counter");

        server.mayBeDown = true;
        for (const { code, signal } of await server.stop())
            assert.deepEqual({ code, signal }, { code: 0, signal: null }, server.said());
    });
}

test("a gateway whose broker is away is alive but not ready", async (t) => {
    const server = await tidemark(t, { isSeparate: true });
    server.mayBeDown = true;
    await server.broker.end("SIGKILL");
    await until("not ready", async () => (await server.get("/readyz")).status === 503);
    assert.equal((await server.get("/healthz")).status, 200);
    await server.start();
    assert.equal((await server.get("/readyz")).status, 200);
});

test("the landing page and the stock client are served", async (t) => {
    const server = await tidemark(t);
    for (const [where, type] of [["/", "text/html"], ["/style.css", "text/css"], ["/page.js", "javascript"],
                                 ["/socket.io/socket.io.js", "javascript"],
                                 ["/socket.io/socket.io.min.js", "javascript"],
                                 ["/socket.io/socket.io.esm.min.js", "javascript"],
                                 ["/socket.io/socket.io.esm.min.js.map", "json"]]) {
        const answer = await fetch(server.url + where);
        assert.equal(answer.status, 200, where);
        assert.match(answer.headers.get("content-type"), new RegExp(type), where);
        assert.ok((await answer.text()).length > 100, where);
    }
    for (const where of ["/nothing", "/../CMakeCache.txt", "/%2e%2e/CMakeCache.txt", "/socket.io/other.js"])
        assert.ok((await server.get(where)).status >= 400, where);
});

test("a stop tells its Socket.IO clients, which come back to the next start", async (t) => {
    const server = await tidemark(t);
    const socket = await stockClient(t, server);
    const gone = new Promise((resolve) => { socket.once("disconnect", resolve); });
    await server.stop();
    assert.notEqual(await gone, "io client disconnect");
    const back = new Promise((resolve) => { socket.once("connect", resolve); });
    await server.start();
    await back;
});
