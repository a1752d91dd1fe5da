// Without --allow-origin the server's own pages may use it and no other's; with it, those it names.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, Frames, Place, rawly, target } from "./support/conformance.mjs";
import { tidemark } from "./support/tidemark.mjs";

const EVIL = "http://evil.example", GOOD = "https://good.example:8443";

/* What a page of that origin gets: of polling whether its script may read the answer, of WebSocket
   whether it opens. */
async function mayUse(t, place, origin) {
    const headers = origin === undefined ? {} : { Origin: origin };
    const answer = await ask(place, { headers });
    const allowed = answer.headers["access-control-allow-origin"];
    const isOwn = origin === undefined || origin === `http://127.0.0.1:${place.port}`;
    const polling = answer.status === 200 && (isOwn || allowed === "*" || allowed === origin);
    const frames = new Frames(place, {}, { headers });
    t.after(() => frames.socket.terminate());
    const websocket = await Promise.race([frames.next("the open packet").then(() => true, () => false),
                                          frames.refused.then(({ status }) => {
                                              assert.ok([400, 403].includes(status), `${status}`);
                                              return false;
                                          })]);
    return [polling, websocket];
}

test("by default there is no use for a page of another origin", async (t) => {
    const server = await tidemark(t);
    const place = new Place(server.url, "/socket.io/");
    for (const origin of [undefined, server.url])
        assert.deepEqual(await mayUse(t, place, origin), [true, true], origin);
    for (const origin of [EVIL, GOOD, "null", `http://127.0.0.1:${place.port + 1}`, `${server.url}.evil.example`,
                          `http://evil.example/${place.port}`, "*", "x".repeat(3000)])
        assert.deepEqual(await mayUse(t, place, origin), [false, false], origin);
});

test("--allow-origin lets in those that it names, and only them", async (t) => {
    const server = await tidemark(t, { gateway: ["--allow-origin", GOOD] });
    const place = new Place(server.url, "/socket.io/");
    assert.deepEqual(await mayUse(t, place, GOOD), [true, true]);
    for (const origin of [EVIL, "https://good.example", "http://good.example:8443", `${GOOD}0`, `${GOOD}.evil.example`, "null"])
        assert.deepEqual(await mayUse(t, place, origin), [false, false], origin);
    const preflight = await ask(place, { method: "OPTIONS", headers: { Origin: GOOD, "Access-Control-Request-Method": "POST",
                                                                      "Access-Control-Request-Headers": "content-type" } });
    assert.equal(preflight.headers["access-control-allow-origin"], GOOD);
    const refused = await ask(place, { method: "OPTIONS", headers: { Origin: EVIL, "Access-Control-Request-Method": "POST" } });
    assert.notEqual(refused.headers["access-control-allow-origin"], EVIL);
});

test("an Origin of control characters, twice, or empty is no way around", async (t) => {
    const server = await tidemark(t);
    const place = new Place(server.url, "/socket.io/");
    for (const lines of [`Origin: ${EVIL}\x01`, `Origin: ${server.url}\r\nOrigin: ${EVIL}`, `Origin: ${EVIL}\r\nOrigin: ${server.url}`,
                         `origin:${EVIL}`, `Origin:\t${EVIL}\t`, `Origin: ${server.url}, ${EVIL}`]) {
        const key = Buffer.alloc(16, 7).toString("base64");
        const answer = await rawly(place, `GET ${target(place, { transport: "websocket" })} HTTP/1.1\r\nHost: 127.0.0.1:${place.port}\r\n${lines}\r\n` +
            `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`, { silenceMs: 500 });
        assert.match(answer, /^(HTTP\/1\.1 (400|403) |$)/, lines);
    }
});
