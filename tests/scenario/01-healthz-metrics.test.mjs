// A server says that it is alive, that it can serve, and how much it does; and it stops cleanly.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { stockClient } from "./support/clients.mjs";
import { publish, request, tidemark, until } from "./support/tidemark.mjs";

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

test("the files of the stock client are served as to caches, debuggers and pages of other origins they should be", async (t) => {
    const server = await tidemark(t, { gateway: ["--allow-origin", "https://app.example", "--allow-origin", "*"] });
    const types = { js: "text/javascript; charset=utf-8", map: "application/json" };
    const etags = new Set();
    const names = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"].flatMap((name) => [name, `${name}.map`]);
    for (const name of [...names, "tidemark.js"]) {
        const url = `${server.url}/socket.io/${name}`;
        const got = await request(url);
        const { etag } = got.headers;
        const heading = ({ date, connection, "keep-alive": _, ...headers }) => headers;
        assert.deepEqual({ status: got.status, ...heading(got.headers) }, {
            status: 200, "content-type": types[name.split(".").at(-1)], "content-length": String(Buffer.byteLength(got.body)),
            "cache-control": "no-cache", vary: "Origin", "x-content-type-options": "nosniff", etag }, name);
        assert.match(etag, /^"[0-9a-f]{32}"$/);
        etags.add(etag);

        const head = await request(url, { method: "HEAD" });
        assert.deepEqual({ status: head.status, body: head.body, ...heading(head.headers) },
            { status: 200, body: "", ...heading(got.headers) }, name);
        assert.equal((await request(`${url}?v=1`)).headers.etag, etag);

        for (const method of ["GET", "HEAD"])
            for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
                const same = await request(url, { method, headers: { "If-None-Match": known } });
                assert.deepEqual({ status: same.status, body: same.body, etag: same.headers.etag, cache: same.headers["cache-control"] },
                    { status: 304, body: "", etag, cache: "no-cache" }, `${method} ${name} ${known}`);
            }
        const other = await request(url, { headers: { "If-None-Match": '"other"' } });
        assert.deepEqual([other.status, other.body], [200, got.body]);
        const refused = await request(url, { method: "POST", body: "x" });
        assert.deepEqual([refused.status, refused.headers.allow], [405, "GET, HEAD"]);

        for (const [origin, credentials] of [["https://app.example", "true"], ["https://other.example", undefined]])
            for (const sent of [{}, { "If-None-Match": etag }]) {
                const { headers } = await request(url, { headers: { Origin: origin, ...sent } });
                assert.deepEqual([headers["access-control-allow-origin"], headers["access-control-allow-credentials"], headers.vary],
                    [origin, credentials, "Origin"], name);
            }
    }
    assert.equal(etags.size, names.length + 1, "two files have one ETag");

    for (const name of names.filter((one) => one.endsWith(".js"))) {
        const { body } = await request(`${server.url}/socket.io/${name}`);
        const [, where] = /\/\/# sourceMappingURL=(\S+)\s*$/.exec(body);
        const map = JSON.parse((await request(new URL(where, `${server.url}/socket.io/${name}`))).body);
        assert.equal(map.version, 3);
        assert.ok(map.sources.length > 0 && map.sourcesContent.length === map.sources.length, name);
    }
});

test("the files of the stock client are where --socketio-path says", async (t) => {
    const server = await tidemark(t, { gateway: ["--socketio-path", "/realtime/"] });
    assert.equal((await request(`${server.url}/realtime/socket.io.min.js`)).status, 200);
    assert.equal((await request(`${server.url}/realtime/socket.io.min.js.map`)).status, 200);
    assert.equal((await request(`${server.url}/socket.io/socket.io.min.js`)).status, 404);
});

test("what is asked before a page of another origin may ask", async (t) => {
    const server = await tidemark(t, { gateway: ["--allow-origin", "https://app.example"] });
    for (const where of ["/socket.io/?EIO=4&transport=polling", "/events?topic=a", "/api/v1/publish"]) {
        const ask = (origin) => request(server.url + where, { method: "OPTIONS", headers: {
            Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-trace, content-type" } });
        const { status, body, headers } = await ask("https://app.example");
        assert.deepEqual([status, body], [204, ""], where);
        assert.equal(headers["access-control-allow-origin"], "https://app.example");
        assert.equal(headers["access-control-allow-credentials"], "true");
        assert.equal(headers["access-control-allow-headers"], "x-trace, content-type");
        assert.match(headers["access-control-allow-methods"], /\bPOST\b/);
        assert.ok(Number(headers["access-control-max-age"]) > 0);
        assert.equal(headers.vary, "Origin");
        const refused = await ask("https://other.example");
        assert.equal(refused.status, 403, where);
        assert.equal(refused.headers["access-control-allow-origin"], undefined);
    }
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
