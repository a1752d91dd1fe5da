// The same list of what one does with Socket.IO, by the stock clients of several years, over each
// transport: who has a page with an old client in it notices nothing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { CALM, conformance } from "./support/conformance.mjs";
import { proxy } from "./support/proxy.mjs";
import { besides, call, client, connected, everyClient, heard, once, settled, wait } from "./support/stock.mjs";
import { until } from "./support/tidemark.mjs";

everyClient((name, version, way) => {
    const kind = { version, way };

    test(`${name}: connects, with and without auth`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const plain = client(t, place.url, kind);
        assert.deepEqual(await once(plain, "auth"), [{}]);
        await settled(plain, way);
        assert.equal(plain.io.engine.transport.name, way === "polling" ? "polling" : "websocket");
        assert.notEqual(plain.id, plain.io.engine.id);
        const named = client(t, place.url, { ...kind, auth: { token: "abc", n: [1] } });
        assert.deepEqual(await once(named, "auth"), [{ token: "abc", n: [1] }]);
        const asked = client(t, place.url, { ...kind, auth: (give) => give({ token: "def" }) });
        assert.deepEqual(await once(asked, "auth"), [{ token: "def" }]);
        const refused = client(t, place.url, { ...kind, auth: { refuse: true } });
        const [error] = await once(refused, "connect_error");
        assert.deepEqual([error.message, error.data], ["refused", { why: "asked for" }]);
    });

    test(`${name}: namespaces on one connection`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const main = await connected(client(t, place.url, kind));
        const custom = await connected(besides(t, main, "/custom"));
        const tenant = await connected(besides(t, main, "/tenant-7"));
        const nowhere = besides(t, main, "/nowhere");
        assert.equal((await once(nowhere, "connect_error"))[0].message, "Invalid namespace");
        for (const socket of [main, custom, tenant])
            assert.deepEqual(await call(socket, "message-with-ack", socket.nsp), [socket.nsp]);
        custom.disconnect();
        assert.deepEqual(await call(tenant, "message-with-ack", 1), [1]);
    });

    test(`${name}: events and acknowledgements, text and binary, both ways`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const socket = await connected(client(t, place.url, kind));
        const bytes = Buffer.from([0, 1, 127, 128, 255]);
        const args = [1, "two ✓ 🌊", null, true, [3, [4]], { five: { six: 7 } }, bytes, { eight: [bytes, { nine: Buffer.alloc(0) }] }];
        const back = once(socket, "message-back");
        socket.emit("message", ...args);
        assert.deepEqual(await back, args);
        assert.deepEqual(await call(socket, "message-with-ack", ...args), args);
        assert.deepEqual(await call(socket, "message-with-ack"), []);
        assert.deepEqual((await call(socket, "message-with-ack", Uint8Array.from([9, 8]))).map((x) => [...x]), [[9, 8]]);
        socket.on("question", (x, ack) => ack(x, bytes));
        assert.deepEqual(await call(socket, "ask", { event: "question", args: [bytes], timeout: 3000 }),
            [{ answers: [{ sid: socket.id, args: [bytes, bytes] }], missing: [] }]);
        const large = Buffer.alloc(600_000, 7);
        assert.deepEqual(await call(socket, "message-with-ack", large), [large]);
    });

    test(`${name}: a burst that begins before the connection keeps its order through the upgrade`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const socket = client(t, place.url, kind);
        const got = [];
        socket.on("message-back", (n) => got.push(n));
        let n = 0;
        while (n < 50)
            socket.emit("message", n++);
        await connected(socket);
        while (n < 200) {
            socket.emit("message", n++);
            if (n % 10 === 0)
                await wait(2);
        }
        await settled(socket, way);
        while (n < 250)
            socket.emit("message", n++);
        await until(() => `250 echoes (${got.length})`, () => got.length >= 250);
        assert.deepEqual(got, Array.from({ length: 250 }, (_, i) => i));
    });

    test(`${name}: rooms`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const [a, b] = await Promise.all([1, 2].map(() => connected(client(t, place.url, kind))));
        const [atA, atB] = [heard(a, "said"), heard(b, "said")];
        await call(a, "join", "r");
        await call(b, "join", "r");
        await call(a, "to", { room: "r", event: "said", args: [1, Buffer.from("x")] });
        await call(a, "to", { room: "r", except: [a.id], event: "said", args: [2] });
        await call(b, "leave", "r");
        await call(a, "to", { room: "r", event: "said", args: [3] });
        await call(a, "to", { event: "said", args: [4] });
        await until("the last one", () => [atA, atB].every((list) => list.some(([, n]) => n === 4)));
        assert.deepEqual(atA.map(([, n]) => n), [1, 3, 4]);
        assert.deepEqual(atB.map(([, n]) => n), [1, 2, 4]);
        assert.deepEqual(atB[0][2], Buffer.from("x"));
    });

    test(`${name}: comes back after a cut, and sends what it had kept`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const between = await proxy(t, place);
        const socket = await settled(client(t, between.url, kind), way);
        const got = [];
        socket.on("message-back", (n) => got.push(n));
        for (let cut = 0; cut < 3; cut++) {
            const { id } = socket;
            let reason;
            socket.once("disconnect", (why) => { reason = why; });
            await until("the end of the connection", () => {
                between.cut();      // between two polls there is nothing to cut
                return reason;
            });
            assert.ok(["transport close", "transport error"].includes(reason), reason);
            socket.emit("message", cut);
            await settled(socket, way);
            assert.notEqual(socket.id, id);
            await until("the message that was kept", () => got.length === cut + 1);
        }
        assert.deepEqual(got, [0, 1, 2]);
    });

    test(`${name}: stays for as long as it answers, and notices a silent server`, async (t) => {
        const place = await conformance(t, "socket");
        const between = await proxy(t, place);
        const socket = await settled(client(t, between.url, kind), way);
        const { id } = socket;
        let ends = 0;
        socket.on("disconnect", () => ends++);
        await wait(1500);
        assert.deepEqual([ends, socket.id], [0, id]);
        const why = once(socket, "disconnect");
        between.isOpen = false;
        const end = between.stall();
        assert.equal((await why)[0], "ping timeout");
        end();
        between.isOpen = true;
        await connected(socket);
    });

    test(`${name}: is let go by the server and does not come back`, async (t) => {
        const place = await conformance(t, "socket", ...CALM);
        const socket = await settled(client(t, place.url, kind), way);
        let attempts = 0;
        socket.io.on("reconnect_attempt", () => attempts++);
        // With the namespace alone there is no race between its packet and the connection's end.
        socket.emit("kick");
        assert.equal((await once(socket, "disconnect"))[0], "io server disconnect");
        await wait(200);
        assert.deepEqual([attempts, socket.connected], [0, false]);
        socket.connect();
        await connected(socket);
        assert.deepEqual(await call(socket, "message-with-ack", 1), [1]);
    });
});
